/* split_gpt.c - the regular expressions that GPT-2 and GPT-4 cut texts by, as scanners.
 *
 * Each alternative of an expression is tried in its order, and all of them together match any text; so a scanner looks
 * at the class of a character or two, and runs to where the class ends. Relies on unicode.h. */
#include "text/split.h"
#include "text/unicode.h"
#include "text/utf8.h"

enum { OTHER, LETTER, NUMBER, WHITE };

/* ASCII's classes, as unicode_tables.c has them too: this table fits in two cache lines. */
static const uint8_t ascii_class[128] = {
    ['\t'] = WHITE, ['\n'] = WHITE, ['\v'] = WHITE, ['\f'] = WHITE, ['\r'] = WHITE, [' '] = WHITE,  ['0'] = NUMBER,
    ['1'] = NUMBER, ['2'] = NUMBER, ['3'] = NUMBER, ['4'] = NUMBER, ['5'] = NUMBER, ['6'] = NUMBER, ['7'] = NUMBER,
    ['8'] = NUMBER, ['9'] = NUMBER, ['A'] = LETTER, ['B'] = LETTER, ['C'] = LETTER, ['D'] = LETTER, ['E'] = LETTER,
    ['F'] = LETTER, ['G'] = LETTER, ['H'] = LETTER, ['I'] = LETTER, ['J'] = LETTER, ['K'] = LETTER, ['L'] = LETTER,
    ['M'] = LETTER, ['N'] = LETTER, ['O'] = LETTER, ['P'] = LETTER, ['Q'] = LETTER, ['R'] = LETTER, ['S'] = LETTER,
    ['T'] = LETTER, ['U'] = LETTER, ['V'] = LETTER, ['W'] = LETTER, ['X'] = LETTER, ['Y'] = LETTER, ['Z'] = LETTER,
    ['a'] = LETTER, ['b'] = LETTER, ['c'] = LETTER, ['d'] = LETTER, ['e'] = LETTER, ['f'] = LETTER, ['g'] = LETTER,
    ['h'] = LETTER, ['i'] = LETTER, ['j'] = LETTER, ['k'] = LETTER, ['l'] = LETTER, ['m'] = LETTER, ['n'] = LETTER,
    ['o'] = LETTER, ['p'] = LETTER, ['q'] = LETTER, ['r'] = LETTER, ['s'] = LETTER, ['t'] = LETTER, ['u'] = LETTER,
    ['v'] = LETTER, ['w'] = LETTER, ['x'] = LETTER, ['y'] = LETTER, ['z'] = LETTER,
};

/* The class of the character at *at, which moves behind it. */
static unsigned next_class(const char *text, size_t *at) {
    unsigned char byte = (unsigned char)text[*at];
    if (byte < 0x80) return ++*at, ascii_class[byte];
    unsigned flags = cei_unicode_get(cei_utf8_next(text, at))->flags;
    if (flags & CEI_UNICODE_LETTER) return LETTER;
    return flags & CEI_UNICODE_NUMBER ? NUMBER : flags & CEI_UNICODE_WHITE ? WHITE : OTHER;
}

/* Where the characters of class end, up to most of them. */
static size_t run_end(const char *text, size_t size, size_t at, unsigned class, size_t most) {
    for (size_t next = at; next < size && most > 0; at = next, most--)
        if (next_class(text, &next) != class) break;
    return at;
}

/* Bytes of 's, 't, 're, 've, 'm, 'll or 'd, which text begins with; 0 for none. Where case is folded, the long s is an
 * s too. */
static size_t contraction(const char *text, size_t size, bool fold) {
    if (size < 2 || text[0] != '\'') return 0;
    char first = text[1], second = size > 2 ? text[2] : '\0';
    if (fold && first == '\xC5' && second == '\xBF') return 3;
    if (fold && first >= 'A' && first <= 'Z') first = (char)(first + 'a' - 'A');
    if (fold && second >= 'A' && second <= 'Z') second = (char)(second + 'a' - 'A');
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
    return ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l') ? 3 : 0;
}

/* White space from start to end: all of it at the end of the text, else all but the last character, which may belong
 * to what comes; one alone is a piece. */
static size_t split_white(const char *text, size_t size, size_t start, size_t end) {
    if (end == size) return end;
    size_t last = end - 1;
    while (!cei_utf8_is_boundary(text[last])) last--;
    return last > start ? last : end;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t cei_split_gpt2(const cei_split *split, const char *text, size_t size, size_t *start) {
    (void)split;
    size_t at = *start, begin = at, first;
    size_t short_form = contraction(text + at, size - at, false);
    if (short_form) return at + short_form;
    unsigned class = next_class(text, &at);
    first = at;
    if (text[begin] == ' ' && at < size) class = next_class(text, &at);
    if (class != WHITE) return run_end(text, size, at, class, SIZE_MAX);
    return split_white(text, size, begin, run_end(text, size, first, WHITE, SIZE_MAX));
}

/* ---- GPT-4 ---- */

static bool is_line_end(char c) { return c == '\r' || c == '\n'; }

/* [^\s\p{L}\p{N}]+[\r\n]* from at on, where the first of them was. */
static size_t other_end(const char *text, size_t size, size_t at) {
    at = run_end(text, size, at, OTHER, SIZE_MAX);
    while (at < size && is_line_end(text[at])) at++;
    return at;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ where white space begins at start. */
static size_t lines_end(const char *text, size_t size, size_t start) {
    size_t end = run_end(text, size, start, WHITE, SIZE_MAX), line = end;
    while (line > start && !is_line_end(text[line - 1])) line--;
    return line > start ? line : split_white(text, size, start, end);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 * \s+(?!\S)|\s+ */
size_t cei_split_gpt4(const cei_split *split, const char *text, size_t size, size_t *start) {
    size_t begin = *start, at = begin, next;
    size_t short_form = contraction(text + at, size - at, true);
    if (short_form) return at + short_form;
    unsigned class = next_class(text, &at);
    if (class == LETTER) return run_end(text, size, at, LETTER, SIZE_MAX);
    if (class == NUMBER) return run_end(text, size, at, NUMBER, split->digits - 1);
    next = at;
    unsigned following = next < size ? next_class(text, &next) : WHITE;
    if (following == LETTER && !is_line_end(text[begin])) return run_end(text, size, next, LETTER, SIZE_MAX);
    if (class == OTHER) return other_end(text, size, at);
    if (following == OTHER && text[begin] == ' ') return other_end(text, size, next);
    return lines_end(text, size, begin);
}

bool cei_split_find_regex(const char *pattern, cei_split *split) {
    static const struct {
        const char *pattern;
        cei_split split;
    } known[] = {
        {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
         {CEI_SPLIT_GPT2, 0, false}},
        {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", {CEI_SPLIT_GPT2, 0, false}},
        {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
         "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
         {CEI_SPLIT_GPT4, 1, false}},
        {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
         "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
         {CEI_SPLIT_GPT4, 3, false}},
        {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
         "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
         {CEI_SPLIT_GPT4, 3, false}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(pattern, known[i].pattern) != 0) continue;
        *split = known[i].split;
        return true;
    }
    return false;
}
