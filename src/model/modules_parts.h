/* modules_parts.h - what the readers of Sentence Transformers' files share. Only modules*.c include this. */
#ifndef CEI_MODULES_PARTS_H
#define CEI_MODULES_PARTS_H

#include "model/modules.h"

enum { CEI_MODULES_MAX_SIZE = 1 << 24, CEI_MODULES_MAX_FILE = 1 << 20 };

/* One folder being read. */
typedef struct cei_modules_reader {
    const char *folder;
    const cei_log *log;
    cei_modules *to;
    size_t count; /* modules of a cross-encoder, of which the last gives scores; 0: a bi-encoder's are read */
    ce_error *error;
} cei_modules_reader;

/* A JSON file, if it is there. */
typedef struct cei_modules_file {
    char *path;
    json_t *root; /* NULL if it is not there */
} cei_modules_file;

/* Reads name in the model's inner folder, "" for the model's own. Errors: IO, FORMAT, MEMORY. */
ce_status cei_modules_file_open(const cei_modules_reader *in, const char *folder, const char *name,
                                cei_modules_file *file);
void cei_modules_file_close(cei_modules_file *file);

/* A copy of a string. Errors: MEMORY. */
ce_status cei_modules_copy(const cei_modules_reader *in, const char *text, char **copy);

/* UNSUPPORTED: what the file has found. */
ce_status cei_modules_unsupported(const cei_modules_reader *in, const cei_modules_file *file, const char *what,
                                  const char *found);

/* root[key] must be absent, null or wanted. Errors: FORMAT, UNSUPPORTED. */
ce_status cei_modules_expect(const cei_modules_reader *in, const cei_modules_file *file, const char *key,
                             const char *wanted);

/* modules_transformer.c: the settings of the transformer, and those of a LogitScore behind it, in their folders.
 * Errors: NOT_FOUND, IO, FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_modules_read_transformer(const cei_modules_reader *in, const char *folder);
ce_status cei_modules_read_logit_score(const cei_modules_reader *in, const char *folder);

/* modules_transformer.c: a transformer that is its authors' code. Known is that of jina-embeddings-v3, which is the
 * usual one but for tasks, by the config.json in the model's folder. Errors: UNSUPPORTED (another's), IO, FORMAT,
 * MEMORY. */
ce_status cei_modules_check_custom(const cei_modules_reader *in, const cei_modules_file *list, const char *type);

/* modules_settings.c: config_sentence_transformers.json: prompts, and what a bi-encoder has beside. Errors: FORMAT,
 * MODEL (a default prompt that is not there), MEMORY. */
ce_status cei_modules_read_settings(const cei_modules_reader *in, const cei_modules_file *file);
ce_status cei_modules_read_prompts(const cei_modules_reader *in, const cei_modules_file *file);

#endif
