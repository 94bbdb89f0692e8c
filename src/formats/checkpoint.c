/* checkpoint.c - a checkpoint: one file of weights, or an index and its shards, and what may be asked of it.
 *
 * Relies on header.c (safetensors), torch_file.c (PyTorch) and gguf.c for what each file claims, and on
 * base/file.h for mapping. Must not copy tensor data, and must not open a file outside the model's folder. As in the
 * reference, a shard may hold tensors that the index does not name; unlike there, a tensor that the index names must be
 * where it says, and none may come twice. */
#include "formats/checkpoint_parts.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "formats/gguf_parts.h"
#include "formats/torch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An index names each tensor of a model once; the largest known ones have a few megabytes. */
static const size_t max_index_bytes = (size_t)64 << 20;

/* The better first. */
static const cei_weights_format formats[] = {
    {"safetensors", "model.safetensors", "model.safetensors.index.json", cei_header_parse},
    {"PyTorch", "pytorch_model.bin", "pytorch_model.bin.index.json", cei_torch_parse},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

/* This one has a file of any name, which is the whole model. */
static const cei_weights_format gguf_format = {"GGUF", NULL, NULL, cei_gguf_header};

struct cei_checkpoint_identity {
    size_t count;
    cei_file_identity *files; /* in the order of the shards */
};

/* ---- opening ------------------------------------------------------------------------------------------------ */

/* folder is NULL if name is a path. */
static ce_status open_shard(const cei_weights_format *format, const char *folder, const char *name, cei_shard *file,
                            ce_error *error) {
    file->path = folder ? cei_join_path(folder, name) : cei_copy_string(name, strlen(name));
    if (!file->path) return cei_fail_memory(error, name, 0);
    ce_status status = cei_map_open(&file->map, file->path, error);
    if (status != CE_OK) return status;
    return format->parse(file->map.data, file->map.size, file->path, &file->header, error);
}

/* Opens the files of those names. */
static ce_status open_shards(cei_checkpoint *checkpoint, const char *folder, const char *const *names, size_t count,
                             ce_error *error) {
    checkpoint->shards = cei_alloc_zeroed(count, sizeof *checkpoint->shards);
    if (!checkpoint->shards) return cei_fail_memory(error, checkpoint->path, 0);
    for (size_t i = 0; i < count; i++) {
        checkpoint->shard_count = i + 1;
        ce_status status = open_shard(checkpoint->format, folder, names[i], &checkpoint->shards[i], error);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

static int compare_names(const void *left, const void *right) {
    const cei_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

/* The file that a tensor's data lies in. A header comes first in every format, so no data begins where a mapping does;
 * empty data may lie at its very end. */
static const cei_shard *shard_of(const cei_checkpoint *checkpoint, const uint8_t *data) {
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        const cei_map *map = &checkpoint->shards[i].map;
        if (map->data && data > map->data && (size_t)(data - map->data) <= map->size) return &checkpoint->shards[i];
    }
    return NULL;
}

/* Puts the tensors of all shards into one sorted table. */
static ce_status merge_tensors(cei_checkpoint *checkpoint, ce_error *error) {
    size_t total = 0;
    for (size_t i = 0; i < checkpoint->shard_count; i++) total += checkpoint->shards[i].header.count;
    checkpoint->tensors = cei_alloc(total, sizeof *checkpoint->tensors);
    if (!checkpoint->tensors) return cei_fail_memory(error, checkpoint->path, 0);
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        const cei_header *header = &checkpoint->shards[i].header;
        for (size_t k = 0; k < header->count; k++) {
            checkpoint->tensors[checkpoint->count++] = header->tensors[k];
            checkpoint->bytes += header->tensors[k].bytes;
        }
    }
    if (total > 0) qsort(checkpoint->tensors, total, sizeof *checkpoint->tensors, compare_names);
    for (size_t i = 1; i < total; i++)
        if (compare_names(&checkpoint->tensors[i - 1], &checkpoint->tensors[i]) == 0)
            return cei_fail(error, CE_ERR_FORMAT, "%s: tensor \"%.128s\" is in two of its files", checkpoint->path,
                            checkpoint->tensors[i].name);
    return CE_OK;
}

static ce_status open_single(cei_checkpoint *checkpoint, const char *folder, ce_error *error) {
    const char *name = checkpoint->format->single;
    ce_status status = open_shards(checkpoint, folder, &name, 1, error);
    return status == CE_OK ? merge_tensors(checkpoint, error) : status;
}

/* ---- the index ---------------------------------------------------------------------------------------------- */

/* A name that stays in the folder. */
static bool is_plain_name(const char *name) {
    return name[0] != '\0' && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static ce_status load_index(const char *path, json_t **root, const json_t **map, ce_error *error) {
    ce_status status = cei_json_load(path, max_index_bytes, root, error);
    if (status != CE_OK) return status;
    *map = json_object_get(*root, "weight_map");
    if (!json_is_object(*map) || json_object_size(*map) == 0)
        return cei_fail(error, CE_ERR_FORMAT,
                        "%s: \"weight_map\" must be an object that gives each tensor its file, and is %s", path,
                        json_is_object(*map) ? "empty" : cei_json_type(*map));
    const char *tensor;
    const json_t *file;
    json_object_foreach((json_t *)(uintptr_t)*map, tensor, file) {
        const char *name = "";
        if (!json_is_string(file))
            return cei_fail(error, CE_ERR_FORMAT, "%s: the file of tensor \"%.128s\" must be a string, and is %s", path,
                            tensor, cei_json_type(file));
        status = cei_json_string(*map, tensor, path, &name, error);
        if (status != CE_OK) return status;
        if (!is_plain_name(name))
            return cei_fail(error, CE_ERR_FORMAT,
                            "%s: the file of tensor \"%.128s\" must be in the model's folder, and is \"%.128s\"", path,
                            tensor, name);
    }
    return CE_OK;
}

static int compare_strings(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The files of the map, sorted, each once; to be freed with cei_free. NULL if there is no memory. */
static const char **list_files(const json_t *map, size_t *count) {
    const char **files = cei_alloc(json_object_size(map), sizeof *files);
    if (!files) return NULL;
    size_t all = 0;
    const char *tensor;
    const json_t *file;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, file) files[all++] = json_string_value(file);
    qsort((void *)files, all, sizeof *files, compare_strings);
    *count = 0;
    for (size_t i = 0; i < all; i++)
        if (i == 0 || strcmp(files[i], files[i - 1]) != 0) files[(*count)++] = files[i];
    return files;
}

/* Each tensor of the map is in the file that the map says. */
static ce_status check_index(const cei_checkpoint *checkpoint, const json_t *map, const char *const *files,
                             ce_error *error) {
    const char *tensor;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *file = json_string_value(value);
        const cei_tensor *found = cei_checkpoint_find(checkpoint, tensor);
        const cei_shard *holder = found ? shard_of(checkpoint, found->data) : NULL;
        if (!holder || strcmp(files[holder - checkpoint->shards], file) != 0)
            return cei_fail(error, CE_ERR_FORMAT, "%s: tensor \"%.128s\" is not in %.128s, where the index says it is",
                            checkpoint->path, tensor, file);
    }
    return CE_OK;
}

static ce_status open_index(cei_checkpoint *checkpoint, const char *folder, ce_error *error) {
    json_t *root = NULL;
    const json_t *map = NULL;
    const char **files = NULL;
    size_t count = 0;
    ce_status status = load_index(checkpoint->path, &root, &map, error);
    if (status != CE_OK) goto done;
    files = list_files(map, &count);
    if (!files) {
        status = cei_fail_memory(error, checkpoint->path, 0);
        goto done;
    }
    status = open_shards(checkpoint, folder, files, count, error);
    if (status == CE_OK) status = merge_tensors(checkpoint, error);
    if (status == CE_OK) status = check_index(checkpoint, map, files, error);
done:
    cei_free((void *)files);
    json_decref(root);
    return status;
}

/* ---- folders ------------------------------------------------------------------------------------------------ */

/* Is folder/name there? Sets *path to folder/name if so; it is NULL if there is no memory. */
static bool find_file(const char *folder, const char *name, char **path) {
    *path = cei_join_path(folder, name);
    if (!*path || cei_file_exists(*path)) return true;
    cei_free(*path);
    *path = NULL;
    return false;
}

/* No checkpoint is there: says what is, if it is one of another kind. */
static ce_status fail_absent(const char *folder, ce_error *error) {
    static const char *const others[] = {"tf_model.h5", "flax_model.msgpack"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char *path = NULL;
        if (!find_file(folder, others[i], &path)) continue;
        cei_free(path);
        return cei_fail(error, CE_ERR_NOT_FOUND,
                        "%s has no %s, only %s, which crossenc does not read: save the model as safetensors", folder,
                        formats[0].single, others[i]);
    }
    return cei_fail(error, CE_ERR_NOT_FOUND, "%s has neither %s nor %s, nor %s", folder, formats[0].single,
                    formats[0].index, formats[1].single);
}

/* Which of the formats is there, and whether as one file: sets *path to it, or to the index, unless there is no memory.
 * NULL if none is. */
static const cei_weights_format *find_format(const char *folder, char **path, bool *single) {
    for (size_t i = 0; i < FORMATS; i++) {
        *single = find_file(folder, formats[i].single, path);
        if (*single || find_file(folder, formats[i].index, path)) return &formats[i];
    }
    return NULL;
}

ce_status cei_checkpoint_open(const char *folder, cei_checkpoint **out, ce_error *error) {
    *out = NULL;
    ce_status status = cei_check_folder(folder, error);
    if (status != CE_OK) return status;
    cei_checkpoint *checkpoint = cei_alloc_zeroed(1, sizeof *checkpoint);
    if (!checkpoint) return cei_fail_memory(error, folder, sizeof *checkpoint);
    bool single = false;
    checkpoint->format = find_format(folder, &checkpoint->path, &single);
    if (!checkpoint->format)
        status = fail_absent(folder, error);
    else if (!checkpoint->path)
        status = cei_fail_memory(error, folder, 0);
    else
        status = single ? open_single(checkpoint, folder, error) : open_index(checkpoint, folder, error);
    if (status != CE_OK) {
        cei_checkpoint_close(checkpoint);
        return status;
    }
    *out = checkpoint;
    return CE_OK;
}

ce_status cei_checkpoint_open_file(const cei_weights_format *format, const char *folder, const char *name,
                                   cei_checkpoint **out, ce_error *error) {
    *out = NULL;
    cei_checkpoint *checkpoint = cei_alloc_zeroed(1, sizeof *checkpoint);
    if (!checkpoint) return cei_fail_memory(error, name, sizeof *checkpoint);
    checkpoint->format = format;
    checkpoint->path = folder ? cei_join_path(folder, name) : cei_copy_string(name, strlen(name));
    ce_status status =
        checkpoint->path ? open_shards(checkpoint, folder, &name, 1, error) : cei_fail_memory(error, name, 0);
    if (status == CE_OK) status = merge_tensors(checkpoint, error);
    if (status != CE_OK) {
        cei_checkpoint_close(checkpoint);
        return status;
    }
    *out = checkpoint;
    return CE_OK;
}

ce_status cei_checkpoint_open_gguf(const char *path, cei_naming_fn name, const void *user, cei_checkpoint **out,
                                   ce_error *error) {
    cei_checkpoint none = {.shard_count = 0};
    ce_status status = cei_checkpoint_open_file(&gguf_format, NULL, path, out, error);
    if (status != CE_OK) return status;
    status = cei_header_rename(&(*out)->shards[0].header, name, user, error);
    if (status == CE_OK) status = cei_checkpoint_take(*out, &none, error); /* which makes the table anew */
    if (status == CE_OK) return CE_OK;
    cei_checkpoint_close(*out);
    *out = NULL;
    return status;
}

void cei_checkpoint_close(cei_checkpoint *checkpoint) {
    if (!checkpoint) return;
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        cei_header_free(&checkpoint->shards[i].header);
        cei_map_close(&checkpoint->shards[i].map);
        cei_free(checkpoint->shards[i].path);
    }
    cei_free(checkpoint->shards);
    cei_free(checkpoint->tensors);
    cei_free(checkpoint->changes);
    cei_free(checkpoint->path);
    cei_free(checkpoint);
}

/* ---- adding ------------------------------------------------------------------------------------------------- */

/* Renames the tensors of a shard to FOLDER/NAME. */
static ce_status rename_tensors(cei_header *header, const char *folder, ce_error *error) {
    size_t bytes = 1, prefix = strlen(folder) + 1;
    for (size_t i = 0; i < header->count; i++) bytes += prefix + strlen(header->tensors[i].name) + 1;
    char *names = cei_alloc(bytes, 1), *at = names;
    if (!names) return cei_fail_memory(error, folder, bytes);
    for (size_t i = 0; i < header->count; i++) {
        const size_t length = prefix + strlen(header->tensors[i].name);
        snprintf(at, length + 1, "%s/%s", folder, header->tensors[i].name);
        header->tensors[i].name = at;
        at += length + 1;
    }
    cei_free(header->names);
    header->names = names;
    return CE_OK;
}

ce_status cei_checkpoint_take(cei_checkpoint *checkpoint, cei_checkpoint *other, ce_error *error) {
    const size_t own = checkpoint->shard_count, total = own + other->shard_count;
    cei_shard *shards = cei_resize(checkpoint->shards, total, sizeof *shards);
    if (!shards) return cei_fail_memory(error, checkpoint->path, total * sizeof *shards);
    checkpoint->shards = shards;
    if (other->shard_count) memcpy(shards + own, other->shards, other->shard_count * sizeof *shards);
    cei_checkpoint merged = *checkpoint;
    merged.shard_count = total;
    merged.tensors = NULL;
    merged.count = merged.bytes = 0;
    ce_status status = merge_tensors(&merged, error);
    if (status != CE_OK) {
        cei_free(merged.tensors);
        return status;
    }
    cei_free(checkpoint->tensors);
    *checkpoint = merged;
    other->shard_count = 0;
    return CE_OK;
}

ce_status cei_checkpoint_add(cei_checkpoint *checkpoint, const char *root, const char *folder, ce_error *error) {
    cei_checkpoint *other = NULL;
    char *path = cei_join_path(root, folder);
    ce_status status = path ? cei_checkpoint_open(path, &other, error) : cei_fail_memory(error, folder, 0);
    for (size_t i = 0; status == CE_OK && i < other->shard_count; i++)
        status = rename_tensors(&other->shards[i].header, folder, error);
    if (status == CE_OK) status = cei_checkpoint_take(checkpoint, other, error);
    cei_checkpoint_close(other);
    cei_free(path);
    return status;
}

/* ---- identity ----------------------------------------------------------------------------------------------- */

ce_status cei_checkpoint_verify(const cei_checkpoint *checkpoint, ce_error *error) {
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        const cei_shard *file = &checkpoint->shards[i];
        cei_file_identity now;
        ce_status status = cei_file_identify(file->path, &now, error);
        if (status != CE_OK && error) return cei_fail(error, CE_ERR_IO, "it was there before: %s", error->message);
        if (status != CE_OK) return CE_ERR_IO;
        if (!cei_same_file(&now, &file->map.identity))
            return cei_fail(error, CE_ERR_IO, "%s was changed while it was being read: load the model again",
                            file->path);
    }
    return CE_OK;
}

ce_status cei_checkpoint_identify(const cei_checkpoint *checkpoint, cei_checkpoint_identity **out, ce_error *error) {
    *out = NULL;
    cei_checkpoint_identity *identity = cei_alloc_zeroed(1, sizeof *identity);
    if (!identity) return cei_fail_memory(error, checkpoint->path, sizeof *identity);
    identity->files = cei_alloc(checkpoint->shard_count, sizeof *identity->files);
    if (!identity->files) {
        cei_free(identity);
        return cei_fail_memory(error, checkpoint->path, 0);
    }
    identity->count = checkpoint->shard_count;
    for (size_t i = 0; i < identity->count; i++) identity->files[i] = checkpoint->shards[i].map.identity;
    *out = identity;
    return CE_OK;
}

bool cei_checkpoint_is(const cei_checkpoint *checkpoint, const cei_checkpoint_identity *identity) {
    if (checkpoint->shard_count != identity->count) return false;
    for (size_t i = 0; i < identity->count; i++)
        if (!cei_same_file(&checkpoint->shards[i].map.identity, &identity->files[i])) return false;
    return true;
}

void cei_checkpoint_identity_free(cei_checkpoint_identity *identity) {
    if (!identity) return;
    cei_free(identity->files);
    cei_free(identity);
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

size_t cei_checkpoint_count(const cei_checkpoint *checkpoint) { return checkpoint->count; }

const cei_tensor *cei_checkpoint_at(const cei_checkpoint *checkpoint, size_t index) {
    return index < checkpoint->count ? &checkpoint->tensors[index] : NULL;
}

const cei_tensor *cei_checkpoint_find(const cei_checkpoint *checkpoint, const char *name) {
    cei_tensor key = {.name = name};
    if (checkpoint->count == 0) return NULL;
    return bsearch(&key, checkpoint->tensors, checkpoint->count, sizeof key, compare_names);
}

const char *cei_checkpoint_path(const cei_checkpoint *checkpoint) { return checkpoint->path; }

const char *cei_checkpoint_format(const cei_checkpoint *checkpoint) { return checkpoint->format->name; }

uint64_t cei_checkpoint_bytes(const cei_checkpoint *checkpoint) { return checkpoint->bytes; }

bool cei_dtype_find(const char *name, cei_dtype *dtype) {
    for (int i = 0; i < CEI_DTYPE_COUNT; i++) {
        *dtype = (cei_dtype)i;
        if (strcmp(name, cei_dtype_name(*dtype)) == 0) return true;
    }
    return false;
}

/* [rows, columns] with any number of ones in front, or [columns] if there is one row; or [rows, a, b], as a convolution
 * has it, with a b = columns. */
static bool has_shape(const cei_tensor *tensor, uint64_t rows, uint64_t columns) {
    int first = 0;
    while (first < tensor->rank - 2 && tensor->shape[first] == 1) first++;
    const uint64_t *shape = tensor->shape + first;
    int rank = tensor->rank - first;
    if (rank == 3 && shape[0] == rows) return shape[2] > 0 && columns % shape[2] == 0 && shape[1] == columns / shape[2];
    return (rank == 2 && shape[0] == rows && shape[1] == columns) || (rank == 1 && rows == 1 && shape[0] == columns);
}

static ce_status fail_shape(const cei_checkpoint *checkpoint, const cei_tensor *tensor, uint64_t rows, uint64_t columns,
                            ce_error *error) {
    char found[CEI_SHAPE_TEXT], wanted[CEI_SHAPE_TEXT];
    uint64_t shape[2] = {rows, columns};
    return cei_fail(error, CE_ERR_MODEL, "%s: tensor \"%.128s\" has the shape %s, and the model needs %s",
                    checkpoint->path, tensor->name, cei_shape_text(tensor->shape, tensor->rank, found),
                    rows == 1 ? cei_shape_text(&columns, 1, wanted) : cei_shape_text(shape, 2, wanted));
}

static ce_status fail_missing(const cei_checkpoint *checkpoint, const char *name, const char *why, ce_error *error) {
    return cei_fail(error, CE_ERR_MODEL, "%s lacks the tensor \"%s\"%s", checkpoint->path, name, why);
}

/* The scales of an int8 tensor, one a row. */
static ce_status find_scales(const cei_checkpoint *checkpoint, const char *name, size_t rows, const uint8_t **scales,
                             ce_error *error) {
    static const char suffix[] = ".scale";
    char *scale_name = cei_alloc(strlen(name) + sizeof suffix, 1);
    if (!scale_name) return cei_fail_memory(error, name, 0);
    memcpy(scale_name, name, strlen(name));
    memcpy(scale_name + strlen(name), suffix, sizeof suffix);
    const cei_tensor *tensor = cei_checkpoint_find(checkpoint, scale_name);
    ce_status status = CE_OK;
    if (!tensor)
        status = fail_missing(checkpoint, scale_name, ", and an I8 tensor needs its scales", error);
    else if (strcmp(tensor->dtype, "F32") != 0)
        status = cei_fail(error, CE_ERR_UNSUPPORTED, "%s: tensor \"%.128s\" has the dtype %s, and scales must be F32",
                          checkpoint->path, scale_name, tensor->dtype);
    else if (!has_shape(tensor, 1, rows) && !has_shape(tensor, rows, 1))
        status = fail_shape(checkpoint, tensor, 1, rows, error);
    else
        *scales = tensor->data;
    cei_free(scale_name);
    return status;
}

ce_status cei_checkpoint_values(const cei_checkpoint *checkpoint, const char *name, size_t rows, size_t columns,
                                cei_values *values, ce_error *error) {
    const cei_tensor *tensor = cei_checkpoint_find(checkpoint, name);
    if (!tensor) return fail_missing(checkpoint, name, "", error);
    cei_dtype dtype;
    if (!cei_dtype_find(tensor->dtype, &dtype))
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: tensor \"%.128s\" has the dtype %s, and crossenc reads F32, F16, BF16, and I8 with scales",
                        checkpoint->path, name, tensor->dtype);
    if (!has_shape(tensor, rows, columns)) return fail_shape(checkpoint, tensor, rows, columns, error);
    *values = (cei_values){.dtype = dtype, .rows = rows, .columns = columns, .data = tensor->data};
    values->pairs = tensor->pairs;
    values->is_more = tensor->is_more;
    values->delta = cei_checkpoint_delta(checkpoint, tensor->name);
    if (dtype != CEI_DTYPE_I8) return CE_OK;
    if (values->delta)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: tensor \"%.128s\" is I8, and an adapter would change it: take the model's weights in "
                        "another form",
                        checkpoint->path, name);
    return find_scales(checkpoint, name, rows, &values->scales, error);
}

void cei_checkpoint_release_rows(const cei_checkpoint *checkpoint, const cei_values *values, size_t first,
                                 size_t count) {
    const cei_shard *file = shard_of(checkpoint, values->data);
    if (!file) return;
    cei_map_release(&file->map, (size_t)(values->data - file->map.data) + cei_values_bytes(values, first),
                    cei_values_bytes(values, count));
}

void cei_checkpoint_release(const cei_checkpoint *checkpoint, const cei_values *values) {
    cei_checkpoint_release_rows(checkpoint, values, 0, values->rows);
}
