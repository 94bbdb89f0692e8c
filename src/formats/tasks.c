/* tasks.c - lays one of a checkpoint's own adapters over it. Relies on checkpoint.c for the table. Must not read a
 * value. */
#include "formats/tasks.h"

#include "base/error.h"
#include "base/memory.h"
#include "formats/checkpoint_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char original[] = ".parametrizations.weight.original", part_a[] = ".parametrizations.weight.0.lora_A",
                  part_b[] = ".parametrizations.weight.0.lora_B";

enum { NAME_SIZE = 512 };

static bool is_original(const char *name, size_t *stem) { return cei_ends_with(name, original, stem) && *stem > 0; }

bool cei_checkpoint_has_tasks(const cei_checkpoint *checkpoint) {
    size_t stem;
    for (size_t i = 0; i < checkpoint->count; i++)
        if (cei_ends_with(checkpoint->tensors[i].name, part_a, &stem)) return true;
    return false;
}

static size_t count_originals(const cei_checkpoint *checkpoint) {
    size_t count = 0, stem;
    for (size_t i = 0; i < checkpoint->count; i++) count += is_original(checkpoint->tensors[i].name, &stem);
    return count;
}

/* ---- changes ------------------------------------------------------------------------------------------------- */

/* The matrix of a task in one of the two tensors of the module whose name has stem bytes. */
static ce_status find_matrix(const cei_checkpoint *checkpoint, const char *name, size_t stem, const char *part,
                             size_t task, cei_values *values, ce_error *error) {
    char wanted[NAME_SIZE];
    cei_dtype dtype;
    const int length = snprintf(wanted, sizeof wanted, "%.*s%s", (int)stem, name, part);
    const cei_tensor *tensor =
        length > 0 && (size_t)length < sizeof wanted ? cei_checkpoint_find(checkpoint, wanted) : NULL;
    if (!tensor)
        return cei_fail(error, CE_ERR_FORMAT, "%s has \"%.128s\" and no \"%.128s\"", checkpoint->path, name, wanted);
    if (tensor->rank != 3 || !cei_dtype_find(tensor->dtype, &dtype) || dtype > CEI_DTYPE_BF16)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: tensor \"%.128s\" must be of F32, F16 or BF16 and of rank 3, and is %s of rank %d",
                        checkpoint->path, tensor->name, tensor->dtype, tensor->rank);
    if (task > tensor->shape[0])
        return cei_fail(error, CE_ERR_MODEL, "%s: tensor \"%.128s\" has %llu tasks, and number %zu is asked for",
                        checkpoint->path, tensor->name, (unsigned long long)tensor->shape[0], task);
    *values = (cei_values){.dtype = dtype,
                           .rows = (size_t)tensor->shape[1],
                           .columns = (size_t)tensor->shape[2],
                           .data = tensor->data + (task - 1) * (tensor->bytes / tensor->shape[0])};
    return CE_OK;
}

/* A matrix is rows of the first times columns of the second. */
static bool fits(const cei_tensor *base, const cei_values *left, const cei_values *right) {
    return base->rank == 2 && base->shape[0] == left->rows && base->shape[1] == right->columns &&
           left->columns == right->rows && right->rows > 0;
}

static ce_status add_change(cei_checkpoint *checkpoint, const cei_tensor *base, size_t stem, size_t task, float scale,
                            ce_error *error) {
    cei_values a = {0}, b = {0};
    cei_change *change = &checkpoint->changes[checkpoint->change_count];
    ce_status status = find_matrix(checkpoint, base->name, stem, part_a, task, &a, error);
    if (status == CE_OK) status = find_matrix(checkpoint, base->name, stem, part_b, task, &b, error);
    if (status != CE_OK) return status;
    const bool is_linear = fits(base, &b, &a);
    if (!is_linear && !fits(base, &a, &b))
        return cei_fail(error, CE_ERR_MODEL, "%s: lora_A and lora_B of \"%.128s\" do not fit to it", checkpoint->path,
                        base->name);
    *change = (cei_change){base->name, {.a = is_linear ? a : b, .b = is_linear ? b : a, .scale = scale}};
    checkpoint->change_count++;
    return CE_OK;
}

static ce_status add_changes(cei_checkpoint *checkpoint, size_t count, size_t task, float scale, ce_error *error) {
    ce_status status = CE_OK;
    size_t stem;
    checkpoint->changes = cei_alloc_zeroed(count, sizeof *checkpoint->changes);
    if (!checkpoint->changes) return cei_fail_memory(error, checkpoint->path, 0);
    for (size_t i = 0; i < checkpoint->count && status == CE_OK; i++)
        if (is_original(checkpoint->tensors[i].name, &stem))
            status = add_change(checkpoint, &checkpoint->tensors[i], stem, task, scale, error);
    return status;
}

/* ---- names --------------------------------------------------------------------------------------------------- */

/* A plain name is shorter, and is written where the long one was, which changes know it by. */
static void shorten_names(cei_checkpoint *checkpoint) {
    static const char plain[] = ".weight";
    size_t stem;
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        const cei_header *header = &checkpoint->shards[i].header;
        for (size_t k = 0; k < header->count; k++) {
            const char *name = header->tensors[k].name;
            if (is_original(name, &stem)) memcpy(header->names + (name - header->names) + stem, plain, sizeof plain);
        }
    }
}

ce_status cei_checkpoint_take_task(cei_checkpoint *checkpoint, size_t task, float scale, ce_error *error) {
    cei_checkpoint none = {.shard_count = 0};
    const size_t count = count_originals(checkpoint);
    if (count == 0 && task == 0) return CE_OK;
    if (count == 0)
        return cei_fail(error, CE_ERR_MODEL, "%s has no adapters for tasks: they were merged, or left out",
                        checkpoint->path);
    ce_status status = task ? add_changes(checkpoint, count, task, scale, error) : CE_OK;
    if (status != CE_OK) return status;
    shorten_names(checkpoint);
    if (checkpoint->change_count)
        qsort(checkpoint->changes, checkpoint->change_count, sizeof *checkpoint->changes, cei_change_compare);
    return cei_checkpoint_take(checkpoint, &none, error); /* which makes the table anew */
}
