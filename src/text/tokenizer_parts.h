/* tokenizer_parts.h - what a tokenizer is made of. Only tokenizer*.c and encode.c look inside. */
#ifndef CEI_TOKENIZER_PARTS_H
#define CEI_TOKENIZER_PARTS_H

#include "text/added_tokens.h"
#include "text/metaspace.h"
#include "text/normalizer.h"
#include "text/pair.h"
#include "text/spec.h"

struct cei_tokenizer {
    cei_normalizer normalizer;
    cei_splits splits;                 /* what cuts words; where there are none: */
    cei_pre_tokenizer_fn pre_tokenize; /* and where that is NULL: */
    cei_metaspace metaspace;
    cei_token_model model;
    cei_added_tokens added;
    cei_pair_template pair, single; /* of two texts, and of one */
    size_t max_length;
    size_t vocab_size;
    char *roles[CEI_ROLES]; /* NULL for none */
};

/* tokenizer_build.c: puts a tokenizer together; takes the spec's vocabulary. Errors: FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_tokenizer_build(cei_tokenizer_spec *spec, cei_tokenizer **tokenizer, ce_error *error);

#endif
