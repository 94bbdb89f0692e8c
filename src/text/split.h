/* split.h - pre-tokenizers that are sequences of steps: each cuts the pieces of the one before into smaller ones. */
#ifndef CEI_SPLIT_H
#define CEI_SPLIT_H

#include "text/bytes.h"
#include "text/components.h"

typedef enum cei_split_kind {
    CEI_SPLIT_NOTHING,    /* a piece stays whole */
    CEI_SPLIT_WHITESPACE, /* \w+|[^\w\s]+, white space is dropped */
    CEI_SPLIT_BLANKS,     /* a blank ends a piece */
    CEI_SPLIT_DIGITS,     /* each digit apart */
    CEI_SPLIT_DIGIT_RUNS, /* runs of digits, and what is between them */
    CEI_SPLIT_GPT2,       /* the regular expression of GPT-2, RoBERTa and their kin */
    CEI_SPLIT_GPT4        /* that of GPT-4, Llama 3 and Qwen 2, which differ in how many digits go together */
} cei_split_kind;

typedef struct cei_split {
    cei_split_kind kind;
    size_t digits;     /* of CEI_SPLIT_GPT4: numerals that go together */
    bool prefix_space; /* a piece that does not begin with a blank gets one, before it is cut */
} cei_split;

/* Only the last step has prefix_space. */
#define CEI_MAX_SPLITS 8
typedef struct cei_splits {
    cei_split steps[CEI_MAX_SPLITS];
    size_t count;
    bool byte_level; /* the pieces' bytes are what the model is given */
} cei_splits;

/* The end of the piece that begins at *start or, where something is dropped, behind it, which moves *start there; at
 * the text's end both are size. */
typedef size_t (*cei_split_fn)(const cei_split *split, const char *text, size_t size, size_t *start);

/* split_gpt.c */
size_t cei_split_gpt2(const cei_split *split, const char *text, size_t size, size_t *start);
size_t cei_split_gpt4(const cei_split *split, const char *text, size_t size, size_t *start);

/* The step for a regular expression that files of tokenizers have; false if it is not known. */
bool cei_split_find_regex(const char *pattern, cei_split *split);

/* A walk over the words of text. */
typedef struct cei_split_walk {
    const cei_splits *splits;
    cei_bytes *prefixed; /* a piece with a blank before it */
    struct {
        const char *text;
        size_t size, at;
    } levels[CEI_MAX_SPLITS];
    size_t depth; /* the step that is cutting */
} cei_split_walk;

/* There is a step at least. prefixed is scratch memory. false if there is no memory. */
bool cei_split_start(cei_split_walk *walk, const cei_splits *splits, const char *text, size_t size,
                     cei_bytes *prefixed);

/* Up to capacity words, valid until the next call; how many into *count, 0 at the end. false if there is no memory. */
bool cei_split_next(cei_split_walk *walk, cei_word *words, size_t capacity, size_t *count);

#endif
