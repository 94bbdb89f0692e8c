/* pickle_tensor.c - what a state dict's pickle may name, and what comes of it: storages, tensors, the dict itself.
 *
 * Relies on the machine of pickle.c for values of any shape; believes nothing of them. */
#include "formats/pickle_machine.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* ---- names ---- */

static const struct known_global {
    const char *module, *name;
    cei_pickle_global global;
} known_globals[] = {
    {"collections", "OrderedDict", CEI_PICKLE_ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor_v2", CEI_PICKLE_REBUILD_TENSOR},
    {"torch._utils", "_rebuild_parameter", CEI_PICKLE_REBUILD_PARAMETER},
};

/* Types of storages: their classes in torch, and what safetensors calls them. */
static const struct known_type {
    const char *name, *dtype;
    unsigned bytes;
} known_types[] = {
    {"FloatStorage", "F32", 4}, {"HalfStorage", "F16", 2},  {"BFloat16Storage", "BF16", 2}, {"DoubleStorage", "F64", 8},
    {"LongStorage", "I64", 8},  {"IntStorage", "I32", 4},   {"ShortStorage", "I16", 2},     {"CharStorage", "I8", 1},
    {"ByteStorage", "U8", 1},   {"BoolStorage", "BOOL", 1},
};

static bool is_text(cei_pickle_text text, const char *want) {
    return text.size == strlen(want) && memcmp(text.data, want, text.size) == 0;
}

static int shown(cei_pickle_text text) { return text.size < 60 ? (int)text.size : 60; }

ce_status cei_pickle_find_global(const cei_pickle_machine *in, cei_pickle_text module, cei_pickle_text name,
                                 cei_pickle_value *value) {
    for (size_t i = 0; i < sizeof known_globals / sizeof known_globals[0]; i++) {
        if (!is_text(module, known_globals[i].module) || !is_text(name, known_globals[i].name)) continue;
        *value = (cei_pickle_value){.kind = CEI_PICKLE_GLOBAL, .global = known_globals[i].global};
        return CE_OK;
    }
    for (size_t i = 0; i < sizeof known_types / sizeof known_types[0]; i++) {
        if (!is_text(module, "torch") || !is_text(name, known_types[i].name)) continue;
        *value = (cei_pickle_value){.kind = CEI_PICKLE_TYPE, .index = i};
        return CE_OK;
    }
    return cei_fail(
        in->error, CE_ERR_UNSUPPORTED,
        "%s: its pickle names \"%.*s.%.*s\", which is no part of a state dict, and crossenc runs nothing that"
        " a file names: save the model as safetensors where you trust it",
        in->path, shown(module), module.data, shown(name), name.data);
}

/* ---- storages ---- */

/* Item index of a tuple, if it is of that kind; else NULL. */
static const cei_pickle_value *item(const cei_pickle_machine *in, const cei_pickle_value *tuple, size_t index,
                                    cei_pickle_kind kind) {
    if (tuple->kind != CEI_PICKLE_TUPLE || index >= tuple->items.count) return NULL;
    const cei_pickle_value *found = &in->items[tuple->items.first + index];
    return found->kind == kind ? found : NULL;
}

ce_status cei_pickle_add_storage(cei_pickle_machine *in, const cei_pickle_value *id, cei_pickle_value *made) {
    cei_pickle *pickle = in->pickle;
    const cei_pickle_value *what = item(in, id, 0, CEI_PICKLE_TEXT), *type = item(in, id, 1, CEI_PICKLE_TYPE);
    const cei_pickle_value *key = item(in, id, 2, CEI_PICKLE_TEXT), *count = item(in, id, 4, CEI_PICKLE_NUMBER);
    if (!what || !is_text(what->text, "storage") || !type || !key || !count || count->number < 0 ||
        count->number > INT64_MAX / 8 || (id->items.count > 5 && !item(in, id, 5, CEI_PICKLE_OTHER)))
        return cei_pickle_damaged(in, "what describes a storage");
    void *storages = pickle->storages;
    bool grown = cei_grow(&storages, &pickle->storage_capacity, pickle->storage_count + 1, sizeof *pickle->storages);
    pickle->storages = storages;
    if (!grown) return cei_fail_memory(in->error, in->path, 0);
    const struct known_type *known = &known_types[type->index];
    pickle->storages[pickle->storage_count] =
        (cei_pickle_storage){key->text, known->dtype, known->bytes, (uint64_t)count->number};
    *made = (cei_pickle_value){.kind = CEI_PICKLE_STORAGE, .index = pickle->storage_count++};
    return CE_OK;
}

/* ---- tensors ---- */

/* The shape, and how many elements there are: false if that is no shape. */
static bool read_shape(const cei_pickle_machine *in, const cei_pickle_value *shape, cei_pickle_tensor *tensor) {
    if (shape->items.count > CEI_MAX_RANK) return false;
    tensor->rank = (int)shape->items.count;
    tensor->count = 1;
    for (size_t i = 0; i < shape->items.count; i++) {
        const cei_pickle_value *size = item(in, shape, i, CEI_PICKLE_NUMBER);
        if (!size || size->number < 0) return false;
        tensor->shape[i] = (uint64_t)size->number;
        if (tensor->shape[i] > 0 && tensor->count > INT64_MAX / tensor->shape[i]) return false;
        tensor->count *= tensor->shape[i];
    }
    return true;
}

/* Do the elements lie one behind the other, the last index running fastest? *good becomes false if these are no
 * strides. */
static bool is_in_a_row(const cei_pickle_machine *in, const cei_pickle_value *strides, const cei_pickle_tensor *tensor,
                        bool *good) {
    uint64_t want = 1;
    bool row = true;
    *good = strides->items.count == (size_t)tensor->rank;
    for (size_t i = strides->items.count; i > 0 && *good; i--) {
        const cei_pickle_value *stride = item(in, strides, i - 1, CEI_PICKLE_NUMBER);
        *good = stride && stride->number >= 0;
        if (!*good || tensor->count == 0 || tensor->shape[i - 1] == 1) continue;
        row = row && (uint64_t)stride->number == want;
        want *= tensor->shape[i - 1];
    }
    return row;
}

static ce_status push_tensor(cei_pickle_machine *in, const cei_pickle_tensor *tensor, cei_pickle_value *made) {
    void *all = in->made;
    bool grown = cei_grow(&all, &in->made_capacity, in->made_count + 1, sizeof *in->made);
    in->made = all;
    if (!grown) return cei_fail_memory(in->error, in->path, 0);
    in->made[in->made_count] = *tensor;
    *made = (cei_pickle_value){.kind = CEI_PICKLE_TENSOR, .index = in->made_count++};
    return CE_OK;
}

/* (storage, offset, size, stride, ...) */
static ce_status rebuild_tensor(cei_pickle_machine *in, const cei_pickle_value *arguments, cei_pickle_value *made) {
    const cei_pickle_value *storage = item(in, arguments, 0, CEI_PICKLE_STORAGE);
    const cei_pickle_value *offset = item(in, arguments, 1, CEI_PICKLE_NUMBER);
    const cei_pickle_value *shape = item(in, arguments, 2, CEI_PICKLE_TUPLE);
    const cei_pickle_value *strides = item(in, arguments, 3, CEI_PICKLE_TUPLE);
    cei_pickle_tensor tensor = {0};
    bool good = storage && offset && offset->number >= 0 && shape && strides && read_shape(in, shape, &tensor);
    if (!good) return cei_pickle_damaged(in, "what describes a tensor");
    const bool row = is_in_a_row(in, strides, &tensor, &good);
    if (!good) return cei_pickle_damaged(in, "the strides of a tensor");
    if (!row)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s: a tensor's elements do not lie in a row (it was transposed or cut): save the model as"
                        " safetensors, which puts them there",
                        in->path);
    tensor.storage = storage->index;
    tensor.first = (uint64_t)offset->number;
    const uint64_t held = in->pickle->storages[tensor.storage].count;
    if (tensor.first > held || tensor.count > held - tensor.first)
        return cei_pickle_damaged(in, "a tensor does not lie in its storage");
    return push_tensor(in, &tensor, made);
}

ce_status cei_pickle_rebuild(cei_pickle_machine *in, cei_pickle_global callee, const cei_pickle_value *arguments,
                             cei_pickle_value *made) {
    if (callee == CEI_PICKLE_REBUILD_TENSOR) return rebuild_tensor(in, arguments, made);
    const cei_pickle_value *tensor =
        callee == CEI_PICKLE_REBUILD_PARAMETER ? item(in, arguments, 0, CEI_PICKLE_TENSOR) : NULL;
    if (!tensor) return cei_pickle_damaged(in, "a call with other arguments than it takes");
    *made = *tensor;
    return CE_OK;
}

/* ---- the dict ---- */

static ce_status collect_entry(cei_pickle_machine *in, const cei_pickle_entry *entry) {
    if (entry->key.kind != CEI_PICKLE_TEXT) return cei_pickle_damaged(in, "a name that is no text");
    if (entry->value.kind != CEI_PICKLE_TENSOR)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s: \"%.*s\" in it is no tensor: it is more than a state dict, and crossenc reads those alone",
                        in->path, shown(entry->key.text), entry->key.text.data);
    cei_pickle_tensor *tensor = &in->pickle->tensors[in->pickle->count++];
    *tensor = in->made[entry->value.index];
    tensor->name = entry->key.text;
    return CE_OK;
}

ce_status cei_pickle_collect(cei_pickle_machine *in, const cei_pickle_value *result) {
    if (result->kind != CEI_PICKLE_DICT)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s holds no dict of tensors: crossenc reads state dicts alone",
                        in->path);
    in->pickle->tensors = cei_alloc(in->entries_count, sizeof *in->pickle->tensors);
    if (!in->pickle->tensors) return cei_fail_memory(in->error, in->path, 0);
    ce_status status = CE_OK;
    for (size_t i = 0; i < in->entries_count && status == CE_OK; i++)
        if (in->entries[i].dict == result->index) status = collect_entry(in, &in->entries[i]);
    return status;
}
