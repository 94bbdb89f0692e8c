/* torch_older.h - files of torch.save from before version 1.6, which are no archives.
 *
 * Only torch_file.c includes this. */
#ifndef CEI_TORCH_OLDER_H
#define CEI_TORCH_OLDER_H

#include "formats/pickle.h"

/* Does the file begin as these do? */
bool cei_torch_is_older(const uint8_t *data, size_t size);

/* Reads the list of tensors, and where the bytes of each of its storages are: *places, which the caller frees by
 * cei_free, has one for each. path is for messages. Errors: FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_torch_older_read(const uint8_t *data, size_t size, const char *path, cei_pickle *pickle,
                               const uint8_t ***places, ce_error *error);

#endif
