/* crossenc/text.h - texts, pairs of them, and their tokens. */
#ifndef CROSSENC_TEXT_H
#define CROSSENC_TEXT_H

#include <crossenc/status.h>

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A text: UTF-8 bytes with a length; need not end in NUL and may contain NUL. Borrowed for the call.
 * data may be NULL if size is 0. */
typedef struct ce_text {
    const char *data;
    size_t size; /* bytes */
} ce_text;

/* The two texts that a cross-encoder reads together. */
typedef struct ce_pair {
    ce_text query;
    ce_text document;
} ce_pair;

/* A ce_text over a NUL-terminated string; NULL gives the empty text. */
static inline ce_text ce_text_of(const char *string) {
    ce_text text = {string, string ? strlen(string) : 0};
    return text;
}

/* What to do with bytes that are not UTF-8. */
typedef enum ce_utf8_policy {
    CE_UTF8_STRICT = 0, /* CE_ERR_TEXT, naming the text and the byte */
    CE_UTF8_REPLACE = 1 /* each ill-formed sequence becomes U+FFFD, as Python's errors="replace" does */
} ce_utf8_policy;

/* What truncation did to one pair, in tokens without the special ones. Nothing was cut if both removed are 0. Where a
 * chat template makes one prompt of both, its tokens, all of them, are counted as the document's. */
typedef struct ce_truncation {
    size_t query_tokens;     /* before truncation */
    size_t document_tokens;  /* before truncation */
    size_t query_removed;    /* cut from the query's end */
    size_t document_removed; /* cut from the document's end */
} ce_truncation;

/* What became of one text (ce_encoder_tokenize), in tokens. */
typedef struct ce_text_tokens {
    size_t count;   /* that the model reads: special ones included, after truncation */
    size_t removed; /* cut from the end */
    size_t prompt;  /* at the beginning, of count: those of the prompt, with the special ones before it; 0 without one.
                       Counted as the reference does: the tokens that the prompt has by itself */
} ce_text_tokens;

#ifdef __cplusplus
}
#endif
#endif
