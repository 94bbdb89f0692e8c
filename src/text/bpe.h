/* bpe.h - the model BPE: a word is its characters, of which neighbours merge by a list of merges. */
#ifndef CEI_BPE_H
#define CEI_BPE_H

#include "text/components.h"
#include "text/merges.h"
#include "text/vocabulary.h"

typedef struct cei_bpe_options {
    bool byte_level;     /* the pre-tokenizer ends with ByteLevel: characters stand for bytes */
    const char *unknown; /* the token of characters that the vocabulary lacks; NULL: they are dropped */
    bool fuse_unknown;   /* neighbours of that kind become one */
    const char *prefix;  /* of characters that don't begin a word; NULL or "": none */
    const char *suffix;  /* of the character that ends a word; NULL or "": none */
    bool byte_fallback;  /* but before that, they become bytes like "<0x0A>" where all of them are tokens */
    bool ignore_merges;  /* a word that is a token is that token, whatever the merges say */
} cei_bpe_options;

/* Longer prefixes and suffixes are refused. */
#define CEI_BPE_MAX_AFFIX 64

/* Takes the vocabulary, which is empty afterwards, in failure too. file is for messages.
 * Errors: FORMAT (merges or the unknown token that the vocabulary lacks), UNSUPPORTED, MEMORY. */
ce_status cei_bpe_create(cei_vocabulary *vocabulary, const cei_merges *merges, const cei_bpe_options *options,
                         const char *file, cei_token_model *model, ce_error *error);

#endif
