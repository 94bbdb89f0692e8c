/* adapter.c - lays an adapter over a checkpoint. Relies on checkpoint.c for files and tables. Must not read a value:
 * that is done by values.c, row by row. */
#include "formats/adapter.h"

#include "base/error.h"
#include "base/memory.h"
#include "formats/checkpoint_parts.h"
#include "formats/torch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char root[] = "base_model.model.";

/* How the two matrices of a module are called. */
typedef struct factors {
    const char *a, *b;
    bool is_table; /* of an embedding, whose matrix is the product's transpose */
} factors;

static const factors kinds[] = {
    {".lora_A.weight", ".lora_B.weight", false},
    {".lora_embedding_A", ".lora_embedding_B", true},
};

static const cei_weights_format formats[] = {
    {"safetensors", "adapter_model.safetensors", NULL, cei_header_parse},
    {"PyTorch", "adapter_model.bin", NULL, cei_torch_parse},
};

enum {
    MOST_TENSORS = 1 << 14, /* each is looked for among the checkpoint's */
    MOST_PREFIXES = 16,
    PREFIX_SIZE = 64,
    NAME_SIZE = 512
};

/* The work of one call. */
typedef struct adapting {
    cei_checkpoint *checkpoint;
    cei_checkpoint *adapter;
    cei_header *header;                        /* of the adapter: sorted by name */
    char prefixes[MOST_PREFIXES][PREFIX_SIZE]; /* first parts of the checkpoint's names: "bert." */
    size_t prefix_count;
    cei_scale_fn scale;
    const void *user;
    cei_change *changes;
    size_t change_count, kept; /* tensors that stay in the adapter's header */
    ce_error *error;
} adapting;

/* ---- names --------------------------------------------------------------------------------------------------- */

/* Takes one ".part" out of a name, which is in the header's own block. */
static void drop_part(const char *name, const char *part) {
    char *found = strstr(name, part);
    if (found) memmove(found, found + strlen(part), strlen(found + strlen(part)) + 1);
}

/* Names as the model has them. PEFT wraps modules, and with the biases of all modules writes those of the wrappers'
 * insides too: what was trained once more, and what was before, which does not count. */
static ce_status shorten_names(const adapting *work) {
    cei_header *header = work->header;
    size_t kept = 0;
    for (size_t i = 0; i < header->count; i++) {
        cei_tensor *tensor = &header->tensors[i];
        if (strncmp(tensor->name, root, sizeof root - 1) != 0)
            return cei_fail(work->error, CE_ERR_FORMAT, "%s: tensor \"%.128s\" is not under \"%s\": it is no adapter",
                            work->adapter->path, tensor->name, root);
        tensor->name += sizeof root - 1;
        if (strstr(tensor->name, ".original_module.")) continue;
        drop_part(tensor->name, ".base_layer");
        drop_part(tensor->name, ".modules_to_save");
        header->tensors[kept++] = *tensor;
    }
    header->count = kept;
    return CE_OK;
}

static void find_prefixes(adapting *work) {
    const cei_checkpoint *checkpoint = work->checkpoint;
    for (size_t i = 0; i < checkpoint->count && work->prefix_count < MOST_PREFIXES; i++) {
        const char *name = checkpoint->tensors[i].name, *dot = strchr(name, '.');
        const size_t length = dot ? (size_t)(dot + 1 - name) : 0;
        if (length == 0 || length >= PREFIX_SIZE) continue;
        const size_t last = work->prefix_count;
        if (last > 0 && strncmp(work->prefixes[last - 1], name, length) == 0) continue; /* they are sorted */
        memcpy(work->prefixes[work->prefix_count], name, length);
        work->prefixes[work->prefix_count++][length] = '\0';
    }
}

static int compare_tensors(const void *left, const void *right) {
    return strcmp(((const cei_tensor *)left)->name, ((const cei_tensor *)right)->name);
}

static const cei_tensor *find_own(const adapting *work, const char *name) {
    const cei_tensor wanted = {.name = name};
    return bsearch(&wanted, work->header->tensors, work->header->count, sizeof wanted, compare_tensors);
}

/* The same behind one of the first parts that the checkpoint's names have. */
static const cei_tensor *find_behind(const adapting *work, const char *name) {
    const cei_tensor *found = NULL;
    for (size_t i = 0; i < work->prefix_count && !found; i++) {
        char longer[NAME_SIZE + PREFIX_SIZE];
        snprintf(longer, sizeof longer, "%s%s", work->prefixes[i], name);
        found = cei_checkpoint_find(work->checkpoint, longer);
    }
    return found;
}

/* The checkpoint's tensor of that name, or of one with another first part, or with none. */
static const cei_tensor *find_base(const adapting *work, const char *name) {
    const char *dot = strchr(name, '.'), *rest = dot ? dot + 1 : NULL;
    const cei_tensor *found = cei_checkpoint_find(work->checkpoint, name);
    if (!found && rest && strchr(rest, '.')) found = cei_checkpoint_find(work->checkpoint, rest);
    if (!found) found = find_behind(work, name);
    return found || !rest || !strchr(rest, '.') ? found : find_behind(work, rest);
}

/* ---- changes ------------------------------------------------------------------------------------------------- */

static ce_status fail_shape(const adapting *work, const char *module) {
    return cei_fail(work->error, CE_ERR_MODEL,
                    "%s: lora_A and lora_B of \"%.128s\" do not fit to each other, or to the model's matrix: it is an "
                    "adapter of another model",
                    work->adapter->path, module);
}

/* A matrix of plain values. */
static ce_status take_matrix(const adapting *work, const cei_tensor *tensor, cei_values *values) {
    cei_dtype dtype;
    if (tensor->rank != 2 || !cei_dtype_find(tensor->dtype, &dtype) || dtype == CEI_DTYPE_I8)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                        "%s: tensor \"%.128s\" must be a matrix of F32, F16 or BF16, and is %s of rank %d",
                        work->adapter->path, tensor->name, tensor->dtype, tensor->rank);
    *values = (cei_values){
        .dtype = dtype, .rows = (size_t)tensor->shape[0], .columns = (size_t)tensor->shape[1], .data = tensor->data};
    return CE_OK;
}

static bool fits(const cei_tensor *base, const cei_delta *delta) {
    const size_t rows = delta->is_transposed ? delta->a.columns : delta->b.rows;
    const size_t columns = delta->is_transposed ? delta->b.rows : delta->a.columns;
    return base->rank == 2 && base->shape[0] == rows && base->shape[1] == columns &&
           delta->a.rows == delta->b.columns && delta->a.rows > 0;
}

/* module is the name without ".weight"; a and b are its two matrices. */
static ce_status add_change(adapting *work, const char *module, const cei_tensor *a, const cei_tensor *b,
                            bool is_table) {
    char name[NAME_SIZE + sizeof ".weight"];
    cei_change *change = &work->changes[work->change_count];
    change->delta.is_transposed = is_table;
    snprintf(name, sizeof name, "%s.weight", module);
    const cei_tensor *base = find_base(work, name);
    if (!base)
        return cei_fail(work->error, CE_ERR_MODEL,
                        "%s changes \"%.128s\", which %s lacks: it is an adapter of another model", work->adapter->path,
                        name, work->checkpoint->path);
    ce_status status = take_matrix(work, a, &change->delta.a);
    if (status == CE_OK) status = take_matrix(work, b, &change->delta.b);
    if (status != CE_OK) return status;
    if (!fits(base, &change->delta)) return fail_shape(work, module);
    change->name = base->name;
    work->change_count++;
    return work->scale(work->user, module, change->delta.a.rows, &change->delta.scale, work->error);
}

/* What a tensor is a matrix of, if it is one; length receives how much of its name is the module's. */
static const factors *find_kind(const char *name, size_t *length, bool *is_a) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        *is_a = cei_ends_with(name, kinds[i].a, length);
        if ((*is_a || cei_ends_with(name, kinds[i].b, length)) && *length > 0) return &kinds[i];
    }
    return NULL;
}

static ce_status read_change(adapting *work, const cei_tensor *tensor, const factors *kind, size_t length, bool is_a) {
    char module[NAME_SIZE], other[2 * NAME_SIZE];
    snprintf(module, sizeof module, "%.*s", (int)length, tensor->name);
    snprintf(other, sizeof other, "%s%s", module, is_a ? kind->b : kind->a);
    const cei_tensor *found = find_own(work, other);
    if (!found)
        return cei_fail(work->error, CE_ERR_FORMAT, "%s has \"%.128s\" and no \"%.128s\"", work->adapter->path,
                        tensor->name, other);
    return is_a ? add_change(work, module, tensor, found, kind->is_table) : CE_OK;
}

/* ---- tensors that were trained whole --------------------------------------------------------------------------- */

/* The place of the checkpoint's tensor in its header. */
static cei_tensor *place_of(const adapting *work, const cei_tensor *base) {
    for (size_t i = 0; i < work->checkpoint->shard_count; i++) {
        const cei_header *header = &work->checkpoint->shards[i].header;
        for (size_t k = 0; k < header->count; k++)
            if (header->tensors[k].name == base->name) return &header->tensors[k];
    }
    return NULL;
}

/* The adapter's data under the checkpoint's name; or one more tensor. */
static void replace(adapting *work, size_t i) {
    const cei_tensor tensor = work->header->tensors[i];
    const cei_tensor *base = find_base(work, tensor.name);
    cei_tensor *place = base ? place_of(work, base) : NULL;
    if (!place) {
        work->header->tensors[work->kept++] = tensor;
        return;
    }
    const char *name = place->name;
    *place = tensor;
    place->name = name;
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

static ce_status read_tensor(adapting *work, const cei_tensor *tensor) {
    if (strlen(tensor->name) >= NAME_SIZE)
        return cei_fail(work->error, CE_ERR_FORMAT, "%s: a tensor has a name of %zu bytes, and may have %d",
                        work->adapter->path, strlen(tensor->name), NAME_SIZE - 1);
    size_t length;
    bool is_a;
    const factors *kind = find_kind(tensor->name, &length, &is_a);
    if (kind) return read_change(work, tensor, kind, length, is_a);
    if (strstr(tensor->name, "lora_"))
        return cei_fail(
            work->error, CE_ERR_UNSUPPORTED,
            "%s: tensor \"%.128s\" is not of a plain LoRA of linear layers or embeddings: merge the adapter "
            "and save the model",
            work->adapter->path, tensor->name);
    return CE_OK;
}

int cei_change_compare(const void *left, const void *right) {
    return strcmp(((const cei_change *)left)->name, ((const cei_change *)right)->name);
}

/* Two modules may be found in one tensor, where first parts are passed over. */
static ce_status sort_changes(const adapting *work) {
    if (work->change_count > 0) qsort(work->changes, work->change_count, sizeof *work->changes, cei_change_compare);
    for (size_t i = 1; i < work->change_count; i++)
        if (cei_change_compare(&work->changes[i - 1], &work->changes[i]) == 0)
            return cei_fail(work->error, CE_ERR_FORMAT, "%s changes \"%.128s\" twice", work->adapter->path,
                            work->changes[i].name);
    return CE_OK;
}

static ce_status read_all(adapting *work) {
    cei_header *header = work->header;
    if (header->count > MOST_TENSORS)
        return cei_fail(work->error, CE_ERR_FORMAT, "%s has %zu tensors, and may have %d", work->adapter->path,
                        header->count, MOST_TENSORS);
    ce_status status = shorten_names(work);
    if (status == CE_OK && header->count > 0)
        qsort(header->tensors, header->count, sizeof *header->tensors, compare_tensors);
    find_prefixes(work);
    work->changes = cei_alloc_zeroed(header->count, sizeof *work->changes);
    if (!work->changes) return cei_fail_memory(work->error, work->adapter->path, 0);
    for (size_t i = 0; i < header->count && status == CE_OK; i++) status = read_tensor(work, &header->tensors[i]);
    if (status == CE_OK) status = sort_changes(work);
    if (status != CE_OK) return status;
    for (size_t i = 0; i < header->count; i++) {
        const bool is_again = i > 0 && compare_tensors(&header->tensors[i - 1], &header->tensors[i]) == 0;
        if (!is_again && !strstr(header->tensors[i].name, "lora_")) replace(work, i);
    }
    header->count = work->kept;
    return CE_OK;
}

static ce_status open_adapter(const char *folder, cei_checkpoint **adapter, ce_error *error) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char *path = cei_join_path(folder, formats[i].single);
        const bool is_there = path && cei_file_exists(path);
        cei_free(path);
        if (!path) return cei_fail_memory(error, folder, 0);
        if (is_there) return cei_checkpoint_open_file(&formats[i], folder, formats[i].single, adapter, error);
    }
    return cei_fail(error, CE_ERR_NOT_FOUND, "%s has neither %s nor %s", folder, formats[0].single, formats[1].single);
}

ce_status cei_checkpoint_adapt(cei_checkpoint *checkpoint, const char *folder, cei_scale_fn scale, const void *user,
                               ce_error *error) {
    adapting work = {.checkpoint = checkpoint, .scale = scale, .user = user, .error = error};
    ce_status status = open_adapter(folder, &work.adapter, error);
    if (status != CE_OK) return status;
    work.header = &work.adapter->shards[0].header;
    status = read_all(&work);
    if (status == CE_OK) status = cei_checkpoint_take(checkpoint, work.adapter, error);
    if (status == CE_OK) {
        checkpoint->changes = work.changes;
        checkpoint->change_count = work.change_count;
        checkpoint->adapter_shard = checkpoint->shard_count;
    } else {
        cei_free(work.changes);
    }
    cei_checkpoint_close(work.adapter);
    return status;
}

const char *cei_checkpoint_added(const cei_checkpoint *checkpoint, size_t i) {
    if (!checkpoint->adapter_shard) return NULL;
    const cei_header *header = &checkpoint->shards[checkpoint->adapter_shard - 1].header;
    return i < header->count ? header->tensors[i].name : NULL;
}

ce_status cei_adapter_rows(const char *folder, const char *name, size_t *rows, ce_error *error) {
    adapting work = {.error = error};
    *rows = 0;
    ce_status status = open_adapter(folder, &work.adapter, error);
    if (status != CE_OK) return status;
    work.header = &work.adapter->shards[0].header;
    status = shorten_names(&work);
    for (size_t i = 0; status == CE_OK && i < work.header->count; i++) {
        const cei_tensor *tensor = &work.header->tensors[i];
        if (tensor->rank == 2 && strcmp(tensor->name, name) == 0) *rows = (size_t)tensor->shape[0];
    }
    cei_checkpoint_close(work.adapter);
    return status;
}

const cei_delta *cei_checkpoint_delta(const cei_checkpoint *checkpoint, const char *name) {
    const cei_change wanted = {.name = name};
    const cei_change *found = checkpoint->change_count ? bsearch(&wanted, checkpoint->changes, checkpoint->change_count,
                                                                 sizeof wanted, cei_change_compare)
                                                       : NULL;
    return found ? &found->delta : NULL;
}
