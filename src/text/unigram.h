/* unigram.h - the model Unigram: of all ways to cut a word into pieces, the one with the highest sum of scores. */
#ifndef CEI_UNIGRAM_H
#define CEI_UNIGRAM_H

#include "text/components.h"
#include "text/vocabulary.h"

/* What tokenizer.json says of the model, beside the vocabulary. */
typedef struct cei_unigram_options {
    double *scores; /* by id, as many as pieces; allocated */
    size_t count, capacity;
    size_t unknown;     /* the id of what is no piece; SIZE_MAX if there is none */
    bool byte_fallback; /* unknown text becomes bytes like "<0x0A>" where all of them are pieces */
} cei_unigram_options;

/* Takes the vocabulary and the scores, which are empty afterwards; in failure it may leave them, and may give a model
 * that is to be freed. file is for messages.
 * Errors: FORMAT (unknown is no id), UNSUPPORTED (there is none), MEMORY. */
ce_status cei_unigram_create(cei_vocabulary *vocabulary, cei_unigram_options *options, const char *file,
                             cei_token_model *model, ce_error *error);

#endif
