/* added_tokens.h - tokens that are found in the text itself, before the model sees it: [SEP], <new>, ...
 *
 * Two passes: tokens that are not normalized are looked for in the raw text, then normalized ones in what the
 * normalizer made of each stretch between them. At each place the longest token wins. */
#ifndef CEI_ADDED_TOKENS_H
#define CEI_ADDED_TOKENS_H

#include "text/components.h"
#include "text/vocabulary.h"

typedef struct cei_added_token {
    const char *content;
    size_t size;
    int32_t id;
    bool special;     /* has a role, as [SEP] has; found in texts like any other */
    bool normalized;  /* looked for in normalized text, in its own normalized form */
    bool single_word; /* not next to a character of a word */
    bool lstrip;      /* takes the white space on its left with it */
    bool rstrip;      /* and on its right */
    size_t order;     /* in its list */
    bool fallback;    /* counts only if there is no other token of its content */
    bool overrides;   /* its flags count, and not those of an earlier token of its content */
} cei_added_token;

/* A trie node: children are a list of siblings. Index 0 is no node. */
typedef struct cei_added_node {
    uint32_t child, sibling;
    uint32_t token; /* 1 + index of the token that ends here; 0 if none does */
    char byte;
} cei_added_node;

typedef struct cei_added_set {
    uint32_t first[256]; /* the node of each first byte */
    cei_added_node *nodes;
    size_t count, capacity;
    int only; /* the first byte of all tokens; -1 if they differ */
} cei_added_set;

typedef struct cei_added_tokens {
    cei_added_token *tokens; /* without their contents, which are names' */
    size_t count, capacity;
    cei_vocabulary names; /* content to index */
    cei_added_set raw, normalized;
} cei_added_tokens;

/* The longest content, in bytes: it bounds the work for each byte of a hostile text. */
#define CEI_ADDED_MAX_SIZE 1024

/* Appends a token that is not there yet; content is 1 to CEI_ADDED_MAX_SIZE bytes. false if there is no memory. */
bool cei_added_tokens_add(cei_added_tokens *added, const cei_added_token *token);

/* The token of that content, or NULL. */
const cei_added_token *cei_added_tokens_find(const cei_added_tokens *added, const char *content, size_t size);

/* Gives the token of that content, which is there, the flags of token. */
void cei_added_tokens_replace(cei_added_tokens *added, const cei_added_token *token);

/* Makes token index, whose form in the text is the size bytes at form, one that is looked for. Of two with the same
 * form the first wins. form must not be empty. false if there is no memory. */
bool cei_added_tokens_index(cei_added_tokens *added, size_t index, const char *form, size_t size);

void cei_added_tokens_free(cei_added_tokens *added);

/* A walk over text: stretches between tokens, and tokens. */
typedef struct cei_added_scan {
    const cei_added_tokens *added;
    const cei_added_set *set;
    const char *text;
    size_t size;
    size_t searched; /* where the search goes on */
    size_t taken;    /* what is before was given out */
    int32_t waiting; /* a token that comes after the stretch before it; -1 if none */
} cei_added_scan;

typedef struct cei_added_piece {
    int32_t id; /* of an added token; -1 for a stretch of text, which is not empty */
    const char *data;
    size_t size;
} cei_added_piece;

cei_added_scan cei_added_scan_start(const cei_added_tokens *added, const cei_added_set *set, const char *text,
                                    size_t size);
bool cei_added_scan_next(cei_added_scan *scan, cei_added_piece *piece); /* false at the end */

#endif
