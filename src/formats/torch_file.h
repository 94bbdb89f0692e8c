/* torch_file.h - one file of torch.save: the tensors of the state dict in it, checked.
 *
 * Only src/formats includes this; checkpoint.h is what the layers above see. */
#ifndef CEI_TORCH_FILE_H
#define CEI_TORCH_FILE_H

#include "formats/header.h"

/* Parses and checks everything; the tensors point into data, which has size bytes. Nothing in the file is run. path is
 * for messages. Errors: FORMAT, UNSUPPORTED (it is no state dict, or not of this form), MEMORY. */
ce_status cei_torch_parse(const uint8_t *data, size_t size, const char *path, cei_header *header, ce_error *error);

#endif
