/* header.c - parses and checks the header of a safetensors file.
 *
 * The file: 8 bytes, little-endian, the header's length; the header, a JSON object {name: {"dtype", "shape",
 * "data_offsets": [begin, end)}} whose "__metadata__" is an object of strings; the data, which the tensors cover
 * exactly. Relies on base/json.h. Must believe nothing: what the format's own library refuses is refused here, and
 * besides it a name that comes twice, and ranks above CEI_MAX_RANK. */
#include "formats/header.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8 };

/* The format's own limit on headers. */
static const uint64_t max_header_bytes = 100000000;

/* Every dtype that the format knows, and the bits of one element. */
static const struct dtype_entry {
    const char *name;
    unsigned bits;
} dtypes[] = {
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6},     {"F6_E3M2", 6},     {"U8", 8},   {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},     {"I16", 16},        {"U16", 16}, {"F16", 16},
    {"BF16", 16},   {"I32", 32},    {"F8_E5M2FNUZ", 8}, {"F8_E4M3FNUZ", 8}, {"U32", 32}, {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},        {"U64", 64},
};

/* What the messages name: the file, and the tensor if there is one. */
typedef struct place {
    const char *path, *tensor;
    ce_error *error;
} place;

/* The bytes behind the header. */
typedef struct region {
    const uint8_t *data;
    uint64_t size;
} region;

const char *cei_shape_text(const uint64_t *shape, int rank, char text[CEI_SHAPE_TEXT]) {
    size_t used = (size_t)snprintf(text, CEI_SHAPE_TEXT, "[");
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, CEI_SHAPE_TEXT - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
    snprintf(text + used, CEI_SHAPE_TEXT - used, "]");
    return text;
}

static bool multiply(uint64_t a, uint64_t b, uint64_t *product) {
    if (b != 0 && a > UINT64_MAX / b) return false;
    *product = a * b;
    return true;
}

static ce_status read_dtype(const json_t *entry, const place *at, cei_tensor *tensor, unsigned *bits) {
    const json_t *value = json_object_get(entry, "dtype");
    if (!json_is_string(value))
        return cei_fail(at->error, CE_ERR_FORMAT, "%s: the dtype of tensor \"%.128s\" must be a string, and is %s",
                        at->path, at->tensor, cei_json_type(value));
    const char *name = json_string_value(value);
    bool whole = strlen(name) == json_string_length(value); /* without a NUL */
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (!whole || strcmp(name, dtypes[i].name) != 0) continue;
        tensor->dtype = dtypes[i].name;
        *bits = dtypes[i].bits;
        return CE_OK;
    }
    return cei_fail(at->error, CE_ERR_FORMAT, "%s: tensor \"%.128s\" has the unknown dtype \"%.32s\"", at->path,
                    at->tensor, name);
}

/* The whole numbers of the array entry[key], at most max of them. */
static ce_status read_numbers(const json_t *entry, const char *key, size_t max, const place *at, uint64_t *numbers,
                              size_t *count) {
    const json_t *array = json_object_get(entry, key);
    if (!json_is_array(array))
        return cei_fail(at->error, CE_ERR_FORMAT, "%s: %s of tensor \"%.128s\" must be an array, and is %s", at->path,
                        key, at->tensor, cei_json_type(array));
    *count = json_array_size(array);
    if (*count > max)
        return cei_fail(at->error, CE_ERR_FORMAT, "%s: %s of tensor \"%.128s\" has %zu numbers, and may have %zu",
                        at->path, key, at->tensor, *count, max);
    for (size_t i = 0; i < *count; i++) {
        const json_t *number = json_array_get(array, i);
        if (!json_is_integer(number) || json_integer_value(number) < 0)
            return cei_fail(at->error, CE_ERR_FORMAT,
                            "%s: %s of tensor \"%.128s\" must be whole numbers from 0, and number %zu is not", at->path,
                            key, at->tensor, i + 1);
        numbers[i] = (uint64_t)json_integer_value(number);
    }
    return CE_OK;
}

/* Multiplies the shape out: *bytes is what the tensor's data must take. */
static ce_status count_bytes(cei_tensor *tensor, unsigned bits, const place *at, uint64_t *bytes) {
    char shape[CEI_SHAPE_TEXT];
    uint64_t all_bits = 0;
    bool fits = true;
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++) fits = fits && multiply(tensor->count, tensor->shape[i], &tensor->count);
    if (!fits || !multiply(tensor->count, bits, &all_bits))
        return cei_fail(at->error, CE_ERR_FORMAT, "%s: the shape %s of tensor \"%.128s\" overflows", at->path,
                        cei_shape_text(tensor->shape, tensor->rank, shape), at->tensor);
    if (all_bits % 8 != 0)
        return cei_fail(at->error, CE_ERR_FORMAT, "%s: tensor \"%.128s\", %s of %s, does not end at a whole byte",
                        at->path, at->tensor, cei_shape_text(tensor->shape, tensor->rank, shape), tensor->dtype);
    *bytes = all_bits / 8;
    return CE_OK;
}

static ce_status read_offsets(const json_t *entry, const region *data, uint64_t bytes, const place *at,
                              cei_tensor *tensor) {
    char shape[CEI_SHAPE_TEXT];
    uint64_t offsets[2];
    size_t count = 0;
    ce_status status = read_numbers(entry, "data_offsets", 2, at, offsets, &count);
    if (status != CE_OK) return status;
    if (count != 2 || offsets[0] > offsets[1])
        return cei_fail(at->error, CE_ERR_FORMAT, "%s: data_offsets of tensor \"%.128s\" must be [begin, end]",
                        at->path, at->tensor);
    if (offsets[1] > data->size)
        return cei_fail(at->error, CE_ERR_FORMAT,
                        "%s: tensor \"%.128s\" ends at byte %" PRIu64 " of the data, of which the file has %" PRIu64
                        ": it is truncated or damaged; fetch it again",
                        at->path, at->tensor, offsets[1], data->size);
    if (offsets[1] - offsets[0] != bytes)
        return cei_fail(at->error, CE_ERR_FORMAT,
                        "%s: tensor \"%.128s\", %s of %s, needs %" PRIu64 " bytes, and its data_offsets span %" PRIu64,
                        at->path, at->tensor, cei_shape_text(tensor->shape, tensor->rank, shape), tensor->dtype, bytes,
                        offsets[1] - offsets[0]);
    tensor->data = data->data + offsets[0];
    tensor->bytes = bytes;
    return CE_OK;
}

static ce_status read_tensor(const json_t *entry, const region *data, const place *at, cei_tensor *tensor) {
    if (!json_is_object(entry))
        return cei_fail(at->error, CE_ERR_FORMAT, "%s: tensor \"%.128s\" must be described by an object, and is by %s",
                        at->path, at->tensor, cei_json_type(entry));
    unsigned bits = 0;
    ce_status status = read_dtype(entry, at, tensor, &bits);
    if (status != CE_OK) return status;
    size_t rank = 0;
    status = read_numbers(entry, "shape", CEI_MAX_RANK, at, tensor->shape, &rank);
    if (status != CE_OK) return status;
    tensor->rank = (int)rank;
    uint64_t bytes = 0;
    status = count_bytes(tensor, bits, at, &bytes);
    if (status != CE_OK) return status;
    return read_offsets(entry, data, bytes, at, tensor);
}

static ce_status check_metadata(const json_t *metadata, const char *path, ce_error *error) {
    if (!metadata || json_is_null(metadata)) return CE_OK;
    if (!json_is_object(metadata))
        return cei_fail(error, CE_ERR_FORMAT, "%s: __metadata__ must be an object of strings, and is %s", path,
                        cei_json_type(metadata));
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
        if (!json_is_string(value))
            return cei_fail(error, CE_ERR_FORMAT, "%s: __metadata__ must be an object of strings, and \"%.128s\" is %s",
                            path, key, cei_json_type(value));
    }
    return CE_OK;
}

/* By begin, then end: an empty tensor lies before the one that begins where it lies. */
static int compare_data(const void *left, const void *right) {
    const cei_tensor *a = left, *b = right;
    if (a->data != b->data) return a->data < b->data ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Sorts the tensors by their data, which must be all of the file's behind the header, each byte once. */
static ce_status check_cover(cei_header *header, const region *data, const char *path, ce_error *error) {
    if (header->count > 0) qsort(header->tensors, header->count, sizeof *header->tensors, compare_data);
    uint64_t covered = 0;
    for (size_t i = 0; i < header->count; i++) {
        const cei_tensor *tensor = &header->tensors[i];
        uint64_t begin = (uint64_t)(tensor->data - data->data);
        if (begin < covered)
            return cei_fail(error, CE_ERR_FORMAT, "%s: tensors \"%.128s\" and \"%.128s\" overlap at byte %" PRIu64,
                            path, header->tensors[i - 1].name, tensor->name, begin);
        if (begin > covered)
            return cei_fail(error, CE_ERR_FORMAT, "%s: %" PRIu64 " bytes before tensor \"%.128s\" belong to no tensor",
                            path, begin - covered, tensor->name);
        covered = begin + tensor->bytes;
    }
    if (covered == data->size) return CE_OK;
    return cei_fail(error, CE_ERR_FORMAT, "%s: the last %" PRIu64 " bytes belong to no tensor", path,
                    data->size - covered);
}

/* Makes room for the tensors of root and their names. */
static ce_status allocate_header(const json_t *root, const char *path, cei_header *header, ce_error *error) {
    size_t bytes = 0;
    const char *key;
    const json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)root, key, entry) bytes += strlen(key) + 1;
    header->tensors = cei_alloc_zeroed(json_object_size(root), sizeof *header->tensors);
    header->names = cei_alloc(bytes, 1);
    return header->tensors && header->names ? CE_OK : cei_fail_memory(error, path, bytes);
}

static ce_status read_tensors(const json_t *root, const region *data, const char *path, cei_header *header,
                              ce_error *error) {
    char *names = header->names;
    const char *key;
    const json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)root, key, entry) {
        if (strcmp(key, "__metadata__") == 0) continue;
        cei_tensor *tensor = &header->tensors[header->count++];
        size_t bytes = strlen(key) + 1;
        tensor->name = memcpy(names, key, bytes);
        names += bytes;
        place at = {path, tensor->name, error};
        ce_status status = read_tensor(entry, data, &at, tensor);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

/* Where the JSON is, and what is behind it. */
static ce_status split_file(const uint8_t *data, size_t size, const char *path, region *json, region *rest,
                            ce_error *error) {
    if (size < LENGTH_BYTES)
        return cei_fail(error, CE_ERR_FORMAT, "%s has %zu bytes, too few for a safetensors file: fetch it again", path,
                        size);
    uint64_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | data[i];
    if (length > max_header_bytes)
        return cei_fail(error, CE_ERR_FORMAT,
                        "%s claims a header of %" PRIu64 " bytes, and at most %" PRIu64
                        " are allowed: it is no safetensors file",
                        path, length, max_header_bytes);
    if (length > size - LENGTH_BYTES)
        return cei_fail(error, CE_ERR_FORMAT,
                        "%s has %zu bytes, and its header alone would have %" PRIu64
                        ": it is truncated; fetch it again",
                        path, size, length + LENGTH_BYTES);
    *json = (region){data + LENGTH_BYTES, length};
    *rest = (region){json->data + length, size - LENGTH_BYTES - length};
    return CE_OK;
}

static ce_status parse_json(const region *json, const char *path, json_t **root, ce_error *error) {
    ce_status status = cei_json_parse_strict((const char *)json->data, (size_t)json->size, path, root, error);
    if (status == CE_ERR_FORMAT && error) return cei_fail(error, status, "the header of %s", error->message);
    if (status != CE_OK || json_is_object(*root)) return status;
    return cei_fail(error, CE_ERR_FORMAT, "the header of %s must be a JSON object, and is %s", path,
                    cei_json_type(*root));
}

ce_status cei_header_parse(const uint8_t *data, size_t size, const char *path, cei_header *header, ce_error *error) {
    *header = (cei_header){0};
    region text = {0}, rest = {0};
    json_t *root = NULL;
    ce_status status = split_file(data, size, path, &text, &rest, error);
    if (status == CE_OK) status = parse_json(&text, path, &root, error);
    if (status == CE_OK) status = check_metadata(json_object_get(root, "__metadata__"), path, error);
    if (status == CE_OK) status = allocate_header(root, path, header, error);
    if (status == CE_OK) status = read_tensors(root, &rest, path, header, error);
    if (status == CE_OK) status = check_cover(header, &rest, path, error);
    json_decref(root);
    if (status != CE_OK) cei_header_free(header);
    return status;
}

void cei_header_free(cei_header *header) {
    cei_free(header->tensors);
    cei_free(header->names);
    *header = (cei_header){0};
}

ce_status cei_safetensors_check(const uint8_t *data, size_t size, size_t *tensors, ce_error *error) {
    cei_header header;
    ce_status status = cei_header_parse(data, size, "the file", &header, error);
    *tensors = header.count;
    cei_header_free(&header);
    return status;
}
