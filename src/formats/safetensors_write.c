/* safetensors_write.c - writes a header as header.c reads it. Relies on base/new_file.h; must not see a value. */
#include "formats/safetensors_write.h"

#include "base/error.h"
#include "base/json_write.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, HEADER_MULTIPLE = 64 };

/* A place in the file, and who has it. */
typedef struct place {
    cei_new_tensor *tensor;
} place;

/* By falling size of values, then by name. */
static int compare(const void *left, const void *right) {
    const cei_new_tensor *a = ((const place *)left)->tensor, *b = ((const place *)right)->tensor;
    size_t first = cei_dtype_size(a->dtype), second = cei_dtype_size(b->dtype);
    return first != second ? (first > second ? -1 : 1) : strcmp(a->name, b->name);
}

/* Sets bytes and offset of each, counted from the first data byte, in order. */
static bool lay_out(const place *order, size_t count, uint64_t *total) {
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = cei_dtype_size(order[i].tensor->dtype);
        for (int k = 0; k < order[i].tensor->rank; k++)
            if (!cei_mul_size(bytes, order[i].tensor->shape[k], &bytes)) return false;
        order[i].tensor->offset = at;
        order[i].tensor->bytes = bytes;
        if (!cei_add_size(at, bytes, &at)) return false;
    }
    *total = at;
    return at <= INT64_MAX / 2;
}

static void describe(cei_json_out *header, const cei_new_tensor *tensor) {
    cei_json_put(header, ",");
    cei_json_put_string(header, tensor->name, strlen(tensor->name));
    cei_json_put(header, ":{\"dtype\":\"");
    cei_json_put(header, cei_dtype_name(tensor->dtype));
    cei_json_put(header, "\",\"shape\":[");
    for (int k = 0; k < tensor->rank; k++) {
        if (k) cei_json_put(header, ",");
        cei_json_put_number(header, tensor->shape[k]);
    }
    cei_json_put(header, "],\"data_offsets\":[");
    cei_json_put_number(header, tensor->offset);
    cei_json_put(header, ",");
    cei_json_put_number(header, tensor->offset + tensor->bytes);
    cei_json_put(header, "]}");
}

/* The header whole, its length in front. */
static void make_header(cei_json_out *header, const place *order, size_t count, const cei_new_metadata *metadata,
                        size_t metadata_count) {
    cei_json_put_bytes(header, "\0\0\0\0\0\0\0", LENGTH_BYTES);
    cei_json_put(header, "{\"__metadata__\":{");
    for (size_t i = 0; i < metadata_count; i++) {
        if (i) cei_json_put(header, ",");
        cei_json_put_string(header, metadata[i].key, strlen(metadata[i].key));
        cei_json_put(header, ":");
        cei_json_put_string(header, metadata[i].value, strlen(metadata[i].value));
    }
    cei_json_put(header, "}");
    for (size_t i = 0; i < count; i++) describe(header, order[i].tensor);
    cei_json_put(header, "}");
    while (!header->is_short && (header->size - LENGTH_BYTES) % HEADER_MULTIPLE != 0) cei_json_put(header, " ");
    uint64_t length = header->size - LENGTH_BYTES;
    for (size_t i = 0; i < LENGTH_BYTES && !header->is_short; i++) header->data[i] = (char)(length >> 8 * i & 0xFF);
}

static ce_status write_header(cei_new_file *file, const char *path, const cei_json_out *header, uint64_t total,
                              ce_error *error) {
    ce_status status = cei_new_file_create(file, path, error);
    if (status == CE_OK) status = cei_new_file_reserve(file, header->size + total, error);
    if (status == CE_OK) status = cei_new_file_write(file, 0, header->data, header->size, error);
    if (status != CE_OK) cei_new_file_close(file);
    return status;
}

ce_status cei_safetensors_create(const char *path, cei_new_tensor *tensors, size_t count,
                                 const cei_new_metadata *metadata, size_t metadata_count, cei_new_file *file,
                                 ce_error *error) {
    *file = (cei_new_file){0};
    uint64_t total = 0;
    cei_json_out header = {0};
    place *order = cei_alloc(count, sizeof *order);
    if (!order) return cei_fail_memory(error, path, count * sizeof *order);
    for (size_t i = 0; i < count; i++) order[i] = (place){&tensors[i]};
    if (count > 0) qsort(order, count, sizeof *order, compare);
    ce_status status = CE_OK;
    if (!lay_out(order, count, &total)) {
        status = cei_fail(error, CE_ERR_ARGUMENT, "%s would be larger than a file can be", path);
    } else {
        make_header(&header, order, count, metadata, metadata_count);
        status = header.is_short ? cei_fail_memory(error, path, 0) : write_header(file, path, &header, total, error);
    }
    for (size_t i = 0; i < count; i++) tensors[i].offset += header.size;
    cei_free(header.data);
    cei_free(order);
    return status;
}
