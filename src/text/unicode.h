/* unicode.h - what is known of a code point: classes, lower case, decomposition, composition.
 *
 * The facts are those of the reference's tokenizer library (tools/unicode/make_tables.py), which are not those of one
 * Unicode release. Code points must be Unicode scalar values: below 0x110000 and no surrogates. */
#ifndef CEI_UNICODE_H
#define CEI_UNICODE_H

#include "text/unicode_tables.h"

#include <stdbool.h>

enum {
    CEI_UNICODE_WHITE = 1 << 0,       /* White_Space */
    CEI_UNICODE_CONTROL = 1 << 1,     /* what BERT's clean_text removes */
    CEI_UNICODE_PUNCTUATION = 1 << 2, /* BERT's, with all of ASCII's symbols */
    CEI_UNICODE_CJK = 1 << 3,         /* ideographs that BERT puts between spaces */
    CEI_UNICODE_BERT_MARK = 1 << 4,   /* what BERT's strip_accents removes */
    CEI_UNICODE_MARK = 1 << 5,        /* what the step StripAccents removes */
    CEI_UNICODE_WORD = 1 << 6,        /* \w of regular expressions */
    CEI_UNICODE_CANONICAL = 1 << 7,   /* has a canonical decomposition; Hangul syllables are not flagged */
    CEI_UNICODE_COMPAT = 1 << 8,      /* has another decomposition for NFKD */
    CEI_UNICODE_EXTEND = 1 << 9,      /* of one grapheme cluster with what is before */
    CEI_UNICODE_PREPEND = 1 << 10,    /* and with what is behind */
    CEI_UNICODE_BREAK = 1 << 11,      /* a cluster of its own: controls; known below U+10000 */
    CEI_UNICODE_PICTOGRAPH = 1 << 12, /* an emoji, which a joiner joins with the next */
    CEI_UNICODE_LETTER = 1 << 13,     /* \p{L} of the pre-tokenizers' regular expressions; their \s is WHITE */
    CEI_UNICODE_NUMBER = 1 << 14,     /* and their \p{N} */
    CEI_UNICODE_DIGIT = 1 << 15,      /* what the pre-tokenizer Digits takes for one: numbers of a newer Unicode */
    CEI_UNICODE_STABLE = 1 << 16      /* NFC leaves it, and nothing before it joins it: it stands for itself */
};

#define CEI_UNICODE_REPLACEMENT 0xFFFDu

/* The longest decomposition: U+FDFA, in NFKD. */
#define CEI_UNICODE_MAX_DECOMPOSITION 18

static inline const cei_unicode_record *cei_unicode_get(uint32_t c) {
    return &cei_unicode_records[cei_unicode_second[((size_t)cei_unicode_first[c >> 7] << 7) + (c & 127)]];
}

static inline bool cei_unicode_is(uint32_t c, unsigned flag) { return (cei_unicode_get(c)->flags & flag) != 0; }

/* The full decomposition of c into out, c itself if it has none; how many code points that are. */
size_t cei_unicode_decompose(uint32_t c, bool compat, uint32_t out[CEI_UNICODE_MAX_DECOMPOSITION]);

/* What the two compose to in NFC; 0 if they don't. */
uint32_t cei_unicode_compose(uint32_t first, uint32_t second);

#endif
