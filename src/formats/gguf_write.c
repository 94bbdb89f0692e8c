/* gguf_write.c - writes what gguf.c and gguf_tensors.c read. Relies on base/new_file.h; must not see a tensor's values.
 */
#include "formats/gguf_write.h"

#include "base/error.h"
#include "base/memory.h"
#include "formats/gguf_parts.h"

#include <string.h>

enum { VERSION = 3 };

/* ---- numbers and texts --------------------------------------------------------------------------------------- */

void cei_gguf_put_number(cei_gguf_out *out, uint64_t number, size_t bytes) {
    char little[8];
    for (size_t i = 0; i < bytes; i++) little[i] = (char)(number >> 8 * i & 0xFF);
    cei_json_put_bytes(&out->pairs, little, bytes);
}

void cei_gguf_put_real(cei_gguf_out *out, float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    cei_gguf_put_number(out, bits, sizeof bits);
}

void cei_gguf_put_text(cei_gguf_out *out, cei_gguf_text text) {
    cei_gguf_put_number(out, text.size, 8);
    cei_json_put_bytes(&out->pairs, text.data, text.size);
}

/* ---- pairs --------------------------------------------------------------------------------------------------- */

static void put_key(cei_gguf_out *out, const char *key, cei_gguf_type type) {
    cei_gguf_put_text(out, (cei_gguf_text){key, strlen(key)});
    cei_gguf_put_number(out, type, 4);
    out->count++;
}

void cei_gguf_put_uint32(cei_gguf_out *out, const char *key, uint32_t value) {
    put_key(out, key, CEI_GGUF_UINT32);
    cei_gguf_put_number(out, value, 4);
}

void cei_gguf_put_float32(cei_gguf_out *out, const char *key, float value) {
    put_key(out, key, CEI_GGUF_FLOAT32);
    cei_gguf_put_real(out, value);
}

void cei_gguf_put_bool(cei_gguf_out *out, const char *key, bool value) {
    put_key(out, key, CEI_GGUF_BOOL);
    cei_gguf_put_number(out, value, 1);
}

void cei_gguf_put_string(cei_gguf_out *out, const char *key, cei_gguf_text value) {
    put_key(out, key, CEI_GGUF_STRING);
    cei_gguf_put_text(out, value);
}

void cei_gguf_put_array(cei_gguf_out *out, const char *key, cei_gguf_type type, uint64_t count) {
    put_key(out, key, CEI_GGUF_ARRAY);
    cei_gguf_put_number(out, type, 4);
    cei_gguf_put_number(out, count, 8);
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

/* Room to the next place where a tensor may begin. */
static size_t padding_of(size_t at) { return (CEI_GGUF_ALIGNMENT - at % CEI_GGUF_ALIGNMENT) % CEI_GGUF_ALIGNMENT; }

/* Sets bytes and offset of each, counted from the first data byte. */
static bool lay_out(cei_new_tensor *tensors, size_t count, size_t *total) {
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        cei_new_tensor *tensor = &tensors[i];
        size_t bytes = tensor->shape[tensor->rank - 1] / cei_dtype_block(tensor->dtype);
        if (!cei_mul_size(bytes, cei_dtype_size(tensor->dtype), &bytes)) return false;
        if (tensor->rank == 2 && !cei_mul_size(bytes, tensor->shape[0], &bytes)) return false;
        tensor->offset = at;
        tensor->bytes = bytes;
        if (!cei_add_size(at, bytes, &at) || !cei_add_size(at, padding_of(at), &at)) return false;
    }
    *total = at;
    return at <= INT64_MAX / 2;
}

/* The length of a row comes first. */
static void describe(cei_gguf_out *header, const cei_new_tensor *tensor) {
    cei_gguf_put_text(header, (cei_gguf_text){tensor->name, strlen(tensor->name)});
    cei_gguf_put_number(header, (uint64_t)tensor->rank, 4);
    for (int i = tensor->rank; i-- > 0;) cei_gguf_put_number(header, tensor->shape[i], 8);
    cei_gguf_put_number(header, cei_gguf_number_of(tensor->dtype), 4);
    cei_gguf_put_number(header, tensor->offset, 8);
}

static void make_header(cei_gguf_out *header, const cei_gguf_out *keys, const cei_new_tensor *tensors, size_t count) {
    static const char zeros[CEI_GGUF_ALIGNMENT] = {0};
    cei_json_put(&header->pairs, "GGUF");
    cei_gguf_put_number(header, VERSION, 4);
    cei_gguf_put_number(header, count, 8);
    cei_gguf_put_number(header, keys->count, 8);
    cei_json_put_bytes(&header->pairs, keys->pairs.data, keys->pairs.size);
    for (size_t i = 0; i < count; i++) describe(header, &tensors[i]);
    cei_json_put_bytes(&header->pairs, zeros, padding_of(header->pairs.size));
    header->pairs.is_short = header->pairs.is_short || keys->pairs.is_short;
}

static ce_status write_header(cei_new_file *file, const char *path, const cei_json_out *header, size_t total,
                              ce_error *error) {
    if (header->is_short) return cei_fail_memory(error, path, 0);
    ce_status status = cei_new_file_create(file, path, error);
    if (status == CE_OK) status = cei_new_file_reserve(file, header->size + total, error);
    if (status == CE_OK) status = cei_new_file_write(file, 0, header->data, header->size, error);
    if (status != CE_OK) cei_new_file_close(file);
    return status;
}

ce_status cei_gguf_create(const char *path, const cei_gguf_out *keys, cei_new_tensor *tensors, size_t count,
                          cei_new_file *file, ce_error *error) {
    size_t total = 0;
    cei_gguf_out header = {.count = 0};
    *file = (cei_new_file){0};
    if (!lay_out(tensors, count, &total))
        return cei_fail(error, CE_ERR_ARGUMENT, "%s would be larger than a file can be", path);
    make_header(&header, keys, tensors, count);
    ce_status status = write_header(file, path, &header.pairs, total, error);
    for (size_t i = 0; i < count; i++) tensors[i].offset += header.pairs.size;
    cei_free(header.pairs.data);
    return status;
}
