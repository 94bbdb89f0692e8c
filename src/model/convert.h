/* convert.h - the parts of ce_convert: convert.c sees to folders and files, convert_gguf.c to GGUF files,
 * convert_weights.c to the weights of both. */
#ifndef CEI_CONVERT_H
#define CEI_CONVERT_H

#include "base/new_folder.h"
#include "model/gguf_put.h"
#include "model/model.h"

#include <crossenc/convert.h>

/* A GGUF file that is going to be written. */
typedef struct cei_convert_gguf {
    const cei_gguf_form *form;
    cei_dtype type; /* of matrices */
    cei_gguf_out keys;
    cei_bytes rerank; /* CEI_GGUF_RERANK_TEMPLATE of a re-ranker of which two words are written; else without data */
} cei_convert_gguf;

/* What is read: a model that was loaded, deferred, in the precision that is wanted, and its files. */
typedef struct cei_convert_source {
    const ce_model *model;
    const cei_checkpoint *checkpoint;
    const ce_convert_options *options;
    const cei_convert_gguf *gguf; /* NULL: a folder is written */
} cei_convert_source;

/* convert.c: loads all but the weights, which stay in the files. Errors: those of a load; IO. */
ce_status cei_convert_load(const char *path, const ce_convert_options *options, ce_model **model,
                           cei_checkpoint **checkpoint, ce_error *error);

/* convert.c: the values that a known input gives by the portable reference; *logits is to be freed. from is for
 * messages. Errors: MODEL (one is no number), MEMORY. */
ce_status cei_convert_probe(const ce_model *model, const cei_checkpoint *checkpoint, const char *from, float **logits,
                            ce_error *error);

/* convert_gguf.c: ce_convert to a file; options are checked. Errors: as ce_convert. */
ce_status cei_convert_to_gguf(const char *from, const char *to, const ce_convert_options *options,
                              ce_convert_report *report, ce_error *error);

/* convert_gguf.c: does the file in path, whose weights are not written yet, say all of the model that is read? Errors:
 * UNSUPPORTED, by name. */
ce_status cei_convert_check_gguf(const cei_convert_source *source, const char *path, ce_error *error);

/* Writes the weights into new files in the folder, one for the transformer and one for each module that has weights,
 * puts them on disk, and fills the report's counts. report->stage says which side failed. Errors: IO, MODEL, MEMORY,
 * CANCELLED. On failure files may be there. */
ce_status cei_convert_weights(const cei_convert_source *source, cei_new_folder *folder, ce_convert_report *report,
                              ce_error *error);

/* "FOLDER/NAME", or NAME if the folder is "": to be freed; NULL if there is no memory. */
char *cei_convert_name(const char *folder, const char *name);

#endif
