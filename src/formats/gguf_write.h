/* gguf_write.h - a new GGUF file: metadata that is put together pair by pair, then the tensors' places.
 *
 * Version 3, little-endian, each tensor aligned to 32 bytes, tensors in the order in which they are given. The same
 * pairs and tensors give the same bytes. */
#ifndef CEI_GGUF_WRITE_H
#define CEI_GGUF_WRITE_H

#include "base/json_write.h"
#include "formats/gguf.h"
#include "formats/safetensors_write.h"

/* Pairs of metadata. Zeroed is empty; its owner frees pairs.data by cei_free. Want of memory is told by create. */
typedef struct cei_gguf_out {
    cei_json_out pairs; /* as they are in the file */
    uint64_t count;
} cei_gguf_out;

/* One pair each. Keys are ASCII and none comes twice. */
void cei_gguf_put_uint32(cei_gguf_out *out, const char *key, uint32_t value);
void cei_gguf_put_float32(cei_gguf_out *out, const char *key, float value);
void cei_gguf_put_bool(cei_gguf_out *out, const char *key, bool value);
void cei_gguf_put_string(cei_gguf_out *out, const char *key, cei_gguf_text value);

/* A pair whose value is an array of count elements of that type, which are put next, each by what its type needs: an
 * integer of the type's size or a float32 by its bytes, a string as a text. */
void cei_gguf_put_array(cei_gguf_out *out, const char *key, cei_gguf_type type, uint64_t count);
void cei_gguf_put_text(cei_gguf_out *out, cei_gguf_text text);
void cei_gguf_put_number(cei_gguf_out *out, uint64_t number, size_t bytes);
void cei_gguf_put_real(cei_gguf_out *out, float number);

/* Makes the file, writes all but the tensors' bytes, and has room reserved for these, which the caller writes to the
 * offsets that it is given. Rows are whole blocks of their type. Errors: IO, MEMORY, ARGUMENT (sizes that overflow). On
 * failure the file may be there; it is closed. */
ce_status cei_gguf_create(const char *path, const cei_gguf_out *keys, cei_new_tensor *tensors, size_t count,
                          cei_new_file *file, ce_error *error);

#endif
