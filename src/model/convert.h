/* convert.h - the two halves of ce_convert: convert.c sees to folders and files, convert_weights.c to the weights. */
#ifndef CEI_CONVERT_H
#define CEI_CONVERT_H

#include "base/new_folder.h"
#include "model/model.h"

#include <crossenc/convert.h>

/* What is read: a model that was loaded, deferred, in the precision that is wanted, and its files. */
typedef struct cei_convert_source {
    const ce_model *model;
    const cei_checkpoint *checkpoint;
    const ce_convert_options *options;
} cei_convert_source;

/* Writes the weights into new files in the folder, one for the transformer and one for each module that has weights,
 * puts them on disk, and fills the report's counts. report->stage says which side failed. Errors: IO, MODEL, MEMORY,
 * CANCELLED. On failure files may be there. */
ce_status cei_convert_weights(const cei_convert_source *source, cei_new_folder *folder, ce_convert_report *report,
                              ce_error *error);

/* "FOLDER/NAME", or NAME if the folder is "": to be freed; NULL if there is no memory. */
char *cei_convert_name(const char *folder, const char *name);

#endif
