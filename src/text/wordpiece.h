/* wordpiece.h - the model WordPiece: a word is its longest token, then the longest continuing tokens, or unknown. */
#ifndef CEI_WORDPIECE_H
#define CEI_WORDPIECE_H

#include "text/components.h"
#include "text/vocabulary.h"

/* The longest word that may be asked for; it bounds the work for each byte of a hostile text. BERT has 100. */
#define CEI_WORDPIECE_MAX_CHARACTERS 200

typedef struct cei_wordpiece_options {
    const char *unknown; /* the token for words that are too long or have no pieces */
    const char *prefix;  /* marks the tokens that continue a word: "##" */
    size_t max_characters;
} cei_wordpiece_options;

/* Takes the vocabulary, which is empty afterwards, in failure too. file is for messages.
 * Errors: FORMAT (the vocabulary lacks unknown), UNSUPPORTED (max_characters), MEMORY. */
ce_status cei_wordpiece_create(cei_vocabulary *vocabulary, const cei_wordpiece_options *options, const char *file,
                               cei_token_model *model, ce_error *error);

#endif
