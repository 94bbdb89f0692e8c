/* safetensors_write.c - writes a header as header.c reads it. Relies on base/new_file.h; must not see a value. */
#include "formats/safetensors_write.h"

#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, HEADER_MULTIPLE = 64 };

/* Text that grows. Want of memory is remembered. */
typedef struct text {
    char *data;
    size_t size, capacity;
    bool is_short;
} text;

static void append(text *to, const char *data, size_t size) {
    void *block = to->data;
    to->is_short = to->is_short || !cei_grow(&block, &to->capacity, to->size + size, 1);
    to->data = block;
    if (to->is_short) return;
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

static void append_string(text *to, const char *string) { append(to, string, strlen(string)); }

static void append_number(text *to, uint64_t number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    append_string(to, digits);
}

static void append_json(text *to, const char *string) {
    append(to, "\"", 1);
    for (; *string; string++) {
        char escape[8] = {'\\', *string, '\0'};
        if ((unsigned char)*string < 0x20) snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*string);
        bool plain = (unsigned char)*string >= 0x20 && *string != '"' && *string != '\\';
        append_string(to, plain ? (char[]){*string, '\0'} : escape);
    }
    append(to, "\"", 1);
}

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

static void describe(text *header, const cei_new_tensor *tensor) {
    append(header, ",", 1);
    append_json(header, tensor->name);
    append_string(header, ":{\"dtype\":\"");
    append_string(header, cei_dtype_name(tensor->dtype));
    append_string(header, "\",\"shape\":[");
    for (int k = 0; k < tensor->rank; k++) {
        if (k) append(header, ",", 1);
        append_number(header, tensor->shape[k]);
    }
    append_string(header, "],\"data_offsets\":[");
    append_number(header, tensor->offset);
    append(header, ",", 1);
    append_number(header, tensor->offset + tensor->bytes);
    append_string(header, "]}");
}

/* The header whole, its length in front. */
static void make_header(text *header, const place *order, size_t count, const cei_new_metadata *metadata,
                        size_t metadata_count) {
    append(header, "\0\0\0\0\0\0\0", LENGTH_BYTES);
    append_string(header, "{\"__metadata__\":{");
    for (size_t i = 0; i < metadata_count; i++) {
        if (i) append(header, ",", 1);
        append_json(header, metadata[i].key);
        append(header, ":", 1);
        append_json(header, metadata[i].value);
    }
    append(header, "}", 1);
    for (size_t i = 0; i < count; i++) describe(header, order[i].tensor);
    append(header, "}", 1);
    while (!header->is_short && (header->size - LENGTH_BYTES) % HEADER_MULTIPLE != 0) append(header, " ", 1);
    uint64_t length = header->size - LENGTH_BYTES;
    for (size_t i = 0; i < LENGTH_BYTES && !header->is_short; i++) header->data[i] = (char)(length >> 8 * i & 0xFF);
}

static ce_status write_header(cei_new_file *file, const char *path, const text *header, uint64_t total,
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
    text header = {0};
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
