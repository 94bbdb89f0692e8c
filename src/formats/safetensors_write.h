/* safetensors_write.h - the header and the layout of a new safetensors file.
 *
 * Tensors lie ordered by falling size of their values, then by name, so that each is aligned to its values; the data
 * begins 8 bytes behind a multiple of 64, as the format's own library has it. The same tensors give the same bytes. */
#ifndef CEI_SAFETENSORS_WRITE_H
#define CEI_SAFETENSORS_WRITE_H

#include "base/new_file.h"
#include "formats/values.h"

/* A tensor that is going to be written. Strings are the caller's; names differ. */
typedef struct cei_new_tensor {
    const char *name; /* UTF-8 */
    cei_dtype dtype;
    int rank; /* 1 or 2 */
    uint64_t shape[2];
    uint64_t offset, bytes; /* where its values go in the file; set by cei_safetensors_create */
} cei_new_tensor;

/* An entry of __metadata__. */
typedef struct cei_new_metadata {
    const char *key, *value;
} cei_new_metadata;

/* Makes the file, writes its header and has room reserved for the data, which the caller writes to the offsets that it
 * is given. metadata [metadata_count], in the order in which it is written. Errors: IO, MEMORY, ARGUMENT (sizes that
 * overflow). On failure the file may be there; it is closed. */
ce_status cei_safetensors_create(const char *path, cei_new_tensor *tensors, size_t count,
                                 const cei_new_metadata *metadata, size_t metadata_count, cei_new_file *file,
                                 ce_error *error);

#endif
