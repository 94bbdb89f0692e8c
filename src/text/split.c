/* split.c - walks through the steps of a pre-tokenizer; those that are no regular expressions of GPTs.
 *
 * Relies on unicode.h. Steps are cut depth first, so that a walk needs a place for each step and no memory for pieces;
 * but a piece that gets a blank before it has to be written down. */
#include "text/split.h"

#include "text/unicode.h"
#include "text/utf8.h"

static size_t split_nothing(const cei_split *split, const char *text, size_t size, size_t *start) {
    (void)split, (void)text, (void)start;
    return size;
}

/* The flags of the character at *at, which moves behind it. */
static unsigned next_flags(const char *text, size_t *at) { return cei_unicode_get(cei_utf8_next(text, at))->flags; }

/* Where the characters end whose flags of mask are want. */
static size_t run_end(const char *text, size_t size, size_t at, unsigned mask, unsigned want) {
    for (size_t next = at; next < size; at = next)
        if ((next_flags(text, &next) & mask) != want) break;
    return at;
}

static size_t split_whitespace(const cei_split *split, const char *text, size_t size, size_t *start) {
    (void)split;
    enum { CLASSES = CEI_UNICODE_WORD | CEI_UNICODE_WHITE };
    size_t at = *start = run_end(text, size, *start, CEI_UNICODE_WHITE, CEI_UNICODE_WHITE);
    if (at == size) return size;
    unsigned flags = next_flags(text, &at);
    return flags & CEI_UNICODE_WORD ? run_end(text, size, at, CEI_UNICODE_WORD, CEI_UNICODE_WORD)
                                    : run_end(text, size, at, CLASSES, 0);
}

static size_t split_blanks(const cei_split *split, const char *text, size_t size, size_t *start) {
    (void)split;
    const char *blank = memchr(text + *start, ' ', size - *start);
    return blank ? (size_t)(blank - text) + 1 : size;
}

static size_t split_digits(const cei_split *split, const char *text, size_t size, size_t *start) {
    size_t at = *start;
    if (at == size) return size;
    unsigned digit = next_flags(text, &at) & CEI_UNICODE_DIGIT;
    if (digit && split->kind == CEI_SPLIT_DIGITS) return at;
    return run_end(text, size, at, CEI_UNICODE_DIGIT, digit);
}

static const cei_split_fn split_functions[] = {
    [CEI_SPLIT_NOTHING] = split_nothing, [CEI_SPLIT_WHITESPACE] = split_whitespace, [CEI_SPLIT_DIGITS] = split_digits,
    [CEI_SPLIT_BLANKS] = split_blanks,   [CEI_SPLIT_DIGIT_RUNS] = split_digits,     [CEI_SPLIT_GPT2] = cei_split_gpt2,
    [CEI_SPLIT_GPT4] = cei_split_gpt4,
};

/* Gives the step at depth a piece to cut. */
static bool enter(cei_split_walk *walk, size_t depth, const char *text, size_t size) {
    const cei_split *step = &walk->splits->steps[depth];
    if (step->prefix_space && size > 0 && *text != ' ') {
        walk->prefixed->size = 0;
        if (!cei_bytes_append(walk->prefixed, " ", 1) || !cei_bytes_append(walk->prefixed, text, size)) return false;
        text = walk->prefixed->data;
        size = walk->prefixed->size;
    }
    walk->depth = depth;
    walk->levels[depth].text = text;
    walk->levels[depth].size = size;
    walk->levels[depth].at = 0;
    return true;
}

bool cei_split_start(cei_split_walk *walk, const cei_splits *splits, const char *text, size_t size,
                     cei_bytes *prefixed) {
    walk->splits = splits;
    walk->prefixed = prefixed;
    return enter(walk, 0, text, size);
}

static size_t count_characters(const char *data, size_t size) {
    size_t count = 0;
    for (size_t i = 0; i < size; i++) count += cei_utf8_is_boundary(data[i]);
    return count;
}

/* Words of the piece that the last step is at. */
static size_t last_words(cei_split_walk *walk, cei_word *words, size_t capacity) {
    const cei_split *step = &walk->splits->steps[walk->depth];
    const cei_split_fn cut = split_functions[step->kind];
    const char *text = walk->levels[walk->depth].text;
    size_t size = walk->levels[walk->depth].size, at = walk->levels[walk->depth].at, count = 0;
    while (at < size && count < capacity) {
        size_t start = at;
        at = cut(step, text, size, &start);
        if (start == at) continue;
        size_t characters = walk->splits->byte_level ? 0 : count_characters(text + start, at - start);
        words[count++] = (cei_word){text + start, at - start, characters};
    }
    walk->levels[walk->depth].at = at;
    return count;
}

/* The next piece of a step that is not the last one goes to the step behind it. */
static bool descend(cei_split_walk *walk) {
    const cei_split *step = &walk->splits->steps[walk->depth];
    const char *text = walk->levels[walk->depth].text;
    size_t start = walk->levels[walk->depth].at;
    size_t end = split_functions[step->kind](step, text, walk->levels[walk->depth].size, &start);
    walk->levels[walk->depth].at = end;
    return start == end || enter(walk, walk->depth + 1, text + start, end - start);
}

bool cei_split_next(cei_split_walk *walk, cei_word *words, size_t capacity, size_t *count) {
    const size_t last = walk->splits->count - 1;
    const bool prefixes = walk->splits->steps[last].prefix_space;
    *count = 0;
    while (*count < capacity) {
        if (walk->levels[walk->depth].at < walk->levels[walk->depth].size) {
            if (walk->depth == last)
                *count += last_words(walk, words + *count, capacity - *count);
            else if (!descend(walk))
                return false;
        } else if (walk->depth == 0 || (prefixes && *count > 0)) {
            break; /* the end; or the next piece would be written over the words */
        } else {
            walk->depth--;
        }
    }
    return true;
}
