/* model_files.h - names of the files of a model's folder beside its weights: the one list of them, which is what a pull
 * from the hub fetches and what a conversion copies. */
#ifndef CEI_MODEL_FILES_H
#define CEI_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>

typedef enum cei_file_use {
    CEI_FILE_PART = 1,   /* a part of any model: config, tokenizer */
    CEI_FILE_LAYOUT = 2, /* says that a folder is a bi-encoder's, or a cross-encoder's in modules */
    CEI_FILE_PEOPLE = 4, /* for people: what it is, and who may use it */
    CEI_FILE_ANY = CEI_FILE_PART | CEI_FILE_LAYOUT | CEI_FILE_PEOPLE
} cei_file_use;

/* Is it the name of a GGUF file, which is a whole model? It ends with ".gguf", in letters of any case. */
bool cei_model_file_is_gguf(const char *name);

/* The i-th name of the files of these uses, which are or'ed; NULL behind the last. */
const char *cei_model_file(unsigned uses, size_t i);

#endif
