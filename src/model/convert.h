/* convert.h - the two halves of ce_convert: convert.c sees to folders and files, convert_weights.c to the weights. */
#ifndef CEI_CONVERT_H
#define CEI_CONVERT_H

#include "model/model.h"

#include <crossenc/convert.h>

/* What is read: a model that was loaded, deferred, in the precision that is wanted, and its files. */
typedef struct cei_convert_source {
    const ce_model *model;
    const cei_checkpoint *checkpoint;
    const ce_convert_options *options;
} cei_convert_source;

/* Writes the weights into a new file at path, puts it on disk, and fills the report's counts. report->stage says which
 * side failed. Errors: IO, MODEL, MEMORY, CANCELLED. On failure the file may be there. */
ce_status cei_convert_weights(const cei_convert_source *source, const char *path, ce_convert_report *report,
                              ce_error *error);

#endif
