/* metaspace.h - the pre-tokenizers WhitespaceSplit and Metaspace, one behind the other, each if it is wanted. */
#ifndef CEI_METASPACE_H
#define CEI_METASPACE_H

#include "text/bytes.h"
#include "text/components.h"

/* What SentencePiece writes for a blank: U+2581. */
#define CEI_MARK "\xE2\x96\x81"

typedef enum cei_prepend_scheme { CEI_PREPEND_NEVER, CEI_PREPEND_FIRST, CEI_PREPEND_ALWAYS } cei_prepend_scheme;

typedef struct cei_metaspace {
    bool split_white;           /* WhitespaceSplit: white space parts words and is dropped */
    bool mark;                  /* Metaspace: a blank becomes replacement, */
    bool split;                 /* which begins a word, */
    cei_prepend_scheme prepend; /* and is put before a stretch that does not begin with it */
    char replacement[4];
    size_t replacement_size;
} cei_metaspace;

/* A walk over a stretch of text. */
typedef struct cei_metaspace_scan {
    const cei_metaspace *metaspace;
    const char *text;
    size_t size;
    bool first; /* the whole text begins here */
    size_t at, chunk_end;
    cei_bytes *scratch; /* where words are written, until the next call */
} cei_metaspace_scan;

/* Up to capacity words (of at most CEI_METASPACE_WORDS) into words; *count is 0 at the end. false if there is no
 * memory. */
#define CEI_METASPACE_WORDS 64
bool cei_metaspace_next(cei_metaspace_scan *scan, cei_word *words, size_t capacity, size_t *count);

#endif
