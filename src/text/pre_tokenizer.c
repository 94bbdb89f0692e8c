/* pre_tokenizer.c - cuts normalized text into words. Relies on unicode.h; never allocates. */
#include "text/components.h"
#include "text/unicode.h"
#include "text/utf8.h"

enum { WORD, BLANK, POINT };

/* ASCII's white space and punctuation, as unicode_tables.c has them too: this table fits in two cache lines. */
static const uint8_t ascii_class[128] = {
    ['\t'] = BLANK, ['\n'] = BLANK, ['\v'] = BLANK, ['\f'] = BLANK, ['\r'] = BLANK, [' '] = BLANK,  ['!'] = POINT,
    ['"'] = POINT,  ['#'] = POINT,  ['$'] = POINT,  ['%'] = POINT,  ['&'] = POINT,  ['\''] = POINT, ['('] = POINT,
    [')'] = POINT,  ['*'] = POINT,  ['+'] = POINT,  [','] = POINT,  ['-'] = POINT,  ['.'] = POINT,  ['/'] = POINT,
    [':'] = POINT,  [';'] = POINT,  ['<'] = POINT,  ['='] = POINT,  ['>'] = POINT,  ['?'] = POINT,  ['@'] = POINT,
    ['['] = POINT,  ['\\'] = POINT, [']'] = POINT,  ['^'] = POINT,  ['_'] = POINT,  ['`'] = POINT,  ['{'] = POINT,
    ['|'] = POINT,  ['}'] = POINT,  ['~'] = POINT,
};

/* The class of the character at *at, which moves behind it. */
static unsigned next_class(const char *text, size_t *at) {
    unsigned char byte = (unsigned char)text[*at];
    if (byte < 0x80) return ++*at, ascii_class[byte];
    unsigned flags = cei_unicode_get(cei_utf8_next(text, at))->flags;
    return flags & CEI_UNICODE_WHITE ? BLANK : flags & CEI_UNICODE_PUNCTUATION ? POINT : WORD;
}

size_t cei_pre_tokenize_bert(const char *text, size_t size, size_t *position, cei_word *words, size_t capacity) {
    size_t at = *position, start = at, characters = 0, count = 0;
    while (at < size && count < capacity) {
        size_t here = at;
        unsigned class = next_class(text, &at);
        if (class == WORD) {
            characters++;
            continue;
        }
        if (characters > 0) {
            words[count++] = (cei_word){text + start, here - start, characters};
            /* The character that ended the word is met again: there may be no room for it. */
            if (class == POINT) at = here;
        } else if (class == POINT) {
            words[count++] = (cei_word){text + here, at - here, 1};
        }
        start = at;
        characters = 0;
    }
    if (characters > 0) words[count++] = (cei_word){text + start, at - start, characters};
    *position = at;
    return count;
}
