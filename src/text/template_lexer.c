/* template_lexer.c - cuts a template into tokens, by Jinja's rules of white space.
 *
 * As transformers sets them: a line break behind a block or a comment is dropped (trim_blocks), and so are blanks
 * between the beginning of a line and a block or comment (lstrip_blocks); "-" beside a bracket drops all white space
 * there, "+" keeps it. One line break at the end of the template is dropped. Linear in the template's size. */
#include "text/template_lexer.h"

#include "base/error.h"
#include "text/template_text.h"
#include "text/utf8.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_BRACKETS = CEI_TEMPLATE_DEPTH };

typedef struct lexer {
    const char *data;
    size_t size, at;
    size_t line;      /* from 1, of the byte at */
    bool line_begins; /* the last token ended with a line break, or there was none */
    char brackets[MOST_BRACKETS];
    size_t open;
    const char *path;
    cei_arena *arena;
    cei_ttokens *tokens;
    ce_error *error;
} lexer;

ce_status cei_template_refuse(ce_error *error, ce_status status, const char *path, size_t line, const char *format,
                              ...) {
    char message[CE_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    cei_format_message(message, format, args);
    va_end(args);
    return cei_fail(error, status, "%s, line %zu: %s", path, line, message);
}

static ce_status malformed(const lexer *in, const char *what) {
    return cei_template_refuse(in->error, CE_ERR_FORMAT, in->path, in->line, "%s", what);
}

static ce_status no_memory(const lexer *in) { return cei_fail_memory(in->error, "a chat template", in->size); }

static ce_status push(lexer *in, cei_ttoken_kind kind, const char *text, size_t size) {
    void *items = in->tokens->items;
    const bool grown = cei_grow(&items, &in->tokens->capacity, in->tokens->count + 1, sizeof *in->tokens->items);
    in->tokens->items = items;
    if (!grown) return no_memory(in);
    in->tokens->items[in->tokens->count++] =
        (cei_ttoken){.kind = kind, .line = (uint32_t)in->line, .text = {text, size}};
    return CE_OK;
}

/* ---- positions ----------------------------------------------------------------------------------------------- */

static void advance(lexer *in, size_t to) {
    for (; in->at < to; in->at++) in->line += in->data[in->at] == '\n';
}

static bool stands(const lexer *in, size_t at, const char *what) {
    const size_t length = strlen(what);
    return at <= in->size && in->size - at >= length && memcmp(in->data + at, what, length) == 0;
}

/* The first place of what from at on; size if there is none. */
static size_t find(const lexer *in, size_t at, const char *what) {
    while (at < in->size && !stands(in, at, what)) at++;
    return at < in->size ? at : in->size;
}

static size_t skip_white(const lexer *in, size_t at) {
    return at + cei_leading_white((ce_text){in->data + at, in->size - at});
}

/* Behind a closing bracket: all white space goes with "-", one line break if they are trimmed, nothing with "+". */
static void close_bracket(lexer *in, size_t end, char sign, bool trims) {
    if (sign == '-')
        end = skip_white(in, end);
    else if (trims && sign != '+' && end < in->size && in->data[end] == '\n')
        end++;
    in->line_begins = in->data[end - 1] == '\n';
    advance(in, end);
}

/* ---- texts --------------------------------------------------------------------------------------------------- */

/* The text from the lexer's place to end, where a bracket with this sign begins. */
static ce_status push_text(lexer *in, size_t end, char sign, bool is_output) {
    ce_text text = {in->data + in->at, end - in->at};
    if (sign == '-') {
        text.size -= cei_trailing_white(text);
    } else if (sign != '+' && !is_output) {
        size_t line = text.size;
        while (line > 0 && text.data[line - 1] != '\n') line--;
        const ce_text rest = {text.data + line, text.size - line};
        if ((line > 0 || in->line_begins) && cei_leading_white(rest) == rest.size) text.size = line;
    }
    ce_status status = text.size ? push(in, CEI_TOK_TEXT, text.data, text.size) : CE_OK;
    advance(in, end);
    return status;
}

static char sign_at(const lexer *in, size_t at) {
    return at < in->size && (in->data[at] == '-' || in->data[at] == '+') ? in->data[at] : '\0';
}

/* The comment whose text begins at start. */
static ce_status skip_comment(lexer *in, size_t start) {
    const size_t end = find(in, start, "#}");
    if (end == in->size) return malformed(in, "a comment {# is not closed");
    close_bracket(in, end + 2, end > start ? sign_at(in, end - 1) : '\0', true);
    return CE_OK;
}

/* Is the block at a "raw", or an "endraw"? Its end, and its closing sign; 0 if it is another. */
static size_t end_of_raw(const lexer *in, size_t at, const char *word, char *sign) {
    size_t end = at + 2;
    if (sign_at(in, end)) end++;
    end = skip_white(in, end);
    if (!stands(in, end, word)) return 0;
    end = skip_white(in, end + strlen(word));
    *sign = sign_at(in, end);
    if (*sign) end++;
    return stands(in, end, "%}") ? end + 2 : 0;
}

/* What stands behind {% raw %}, which ends at start, is text up to {% endraw %}. */
static ce_status take_raw(lexer *in, size_t start, char sign) {
    close_bracket(in, start, sign, false);
    for (size_t at = find(in, in->at, "{%"); at < in->size; at = find(in, at + 2, "{%")) {
        char last;
        const size_t end = end_of_raw(in, at, "endraw", &last);
        if (!end) continue;
        ce_status status = push_text(in, at, sign_at(in, at + 2), false);
        close_bracket(in, end, last, true);
        return status;
    }
    return malformed(in, "{% raw %} has no {% endraw %}");
}

/* ---- between brackets ---------------------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static size_t skip_digits(const lexer *in, size_t at) {
    while (at < in->size &&
           (is_digit(in->data[at]) || (in->data[at] == '_' && at + 1 < in->size && is_digit(in->data[at + 1]))))
        at++;
    return at;
}

static ce_status take_number(lexer *in) {
    char digits[32];
    size_t length = 0;
    const cei_ttoken *last = &in->tokens->items[in->tokens->count - 1];
    const bool is_attribute = last->kind == CEI_TOK_OPERATOR && cei_text_is(last->text, ".");
    size_t end = skip_digits(in, in->at);
    bool is_real = false;
    if (!is_attribute && end + 1 < in->size && in->data[end] == '.' && is_digit(in->data[end + 1])) {
        is_real = true;
        end = skip_digits(in, end + 1);
    }
    const bool odd = end < in->size && begins_name(in->data[end]);
    if (odd || end - in->at >= sizeof digits || (!is_real && in->data[in->at] == '0' && end - in->at > 1))
        return cei_template_refuse(in->error, CE_ERR_UNSUPPORTED, in->path, in->line,
                                   "the number \"%.*s...\" is not of a form that is supported",
                                   (int)cei_min_size(end - in->at, 32), in->data + in->at);
    for (size_t i = in->at; i < end; i++)
        if (in->data[i] != '_') digits[length++] = in->data[i];
    ce_status status = push(in, is_real ? CEI_TOK_REAL : CEI_TOK_INTEGER, in->data + in->at, end - in->at);
    if (status != CE_OK) return status;
    in->tokens->items[in->tokens->count - 1].number = cei_number_of((ce_text){digits, length});
    advance(in, end);
    return CE_OK;
}

/* The code point of count digits of base 8 or 16 at *at; false if there are not least of them. */
static bool read_code(const lexer *in, size_t *at, size_t least, size_t most, unsigned base, uint32_t *code) {
    size_t count = 0;
    for (*code = 0; count < most && *at < in->size; count++) {
        const char c = in->data[*at];
        const unsigned digit = is_digit(c)            ? (unsigned)(c - '0')
                               : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                               : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                      : base;
        if (digit >= base) break;
        *code = *code * base + digit;
        (*at)++;
    }
    return count >= least && *code < 0x110000 && (*code < 0xD800 || *code > 0xDFFF);
}

/* The escape behind the backslash before *at, as Python has them, written to out; false if it is none. */
static bool take_escape(const lexer *in, size_t *at, char *out, size_t *length) {
    static const char names[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
    const char c = in->data[*at];
    const char *known = memchr(names, c, sizeof names - 1);
    uint32_t code = 0;
    bool good = true;
    if (c == '\n') {
        (*at)++;
        return true;
    }
    if (known) {
        out[(*length)++] = values[known - names];
        (*at)++;
        return true;
    }
    if (c >= '0' && c <= '7') {
        good = read_code(in, at, 1, 3, 8, &code);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        (*at)++;
        good = read_code(in, at, digits, digits, 16, &code);
    } else {
        out[(*length)++] = '\\';
        return c != 'N';
    }
    if (good) *length += cei_utf8_put(out + *length, code);
    return good;
}

static ce_status take_string(lexer *in) {
    const char quote = in->data[in->at];
    size_t end = in->at + 1, length = 0;
    while (end < in->size && in->data[end] != quote) end += in->data[end] == '\\' ? 2 : 1;
    if (end >= in->size) return malformed(in, "a string is not closed");
    char *out = cei_arena_take(in->arena, end - in->at, 1);
    if (!out) return no_memory(in);
    for (size_t at = in->at + 1; at < end;) {
        if (in->data[at] != '\\') {
            out[length++] = in->data[at++];
            continue;
        }
        at++;
        if (!take_escape(in, &at, out, &length)) return malformed(in, "a string has an escape that is not supported");
    }
    ce_status status = push(in, CEI_TOK_STRING, out, length);
    advance(in, end + 1);
    return status;
}

/* Brackets must be closed by their own kind. */
static ce_status balance(lexer *in, char c) {
    const char closing = c == '(' ? ')' : c == '[' ? ']' : c == '{' ? '}' : '\0';
    if (closing) {
        if (in->open == MOST_BRACKETS) return malformed(in, "brackets are nested too deep");
        in->brackets[in->open++] = closing;
    } else if (c == ')' || c == ']' || c == '}') {
        if (in->open == 0 || in->brackets[--in->open] != c) return malformed(in, "a bracket closes nothing");
    }
    return CE_OK;
}

static ce_status take_operator(lexer *in) {
    static const char *const pairs[] = {"//", "**", "==", "!=", ">=", "<="};
    const char c = in->data[in->at];
    size_t length = 1;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (stands(in, in->at, pairs[i])) length = 2;
    if (length == 1 && (c == '\0' || !strchr("+-/*%~[](){}><=.:|,;", c)))
        return cei_template_refuse(in->error, CE_ERR_FORMAT, in->path, in->line, "an unexpected character \"%.*s\"",
                                   (int)cei_min_size(in->size - in->at, 4), in->data + in->at);
    ce_status status = balance(in, c);
    if (status == CE_OK) status = push(in, CEI_TOK_OPERATOR, in->data + in->at, length);
    advance(in, in->at + length);
    return status;
}

static ce_status take_name(lexer *in) {
    size_t end = in->at;
    while (end < in->size && (begins_name(in->data[end]) || is_digit(in->data[end]))) end++;
    ce_status status = push(in, CEI_TOK_NAME, in->data + in->at, end - in->at);
    advance(in, end);
    return status;
}

/* Is a closing bracket here? A "-" may stand before it, and before that of a block a "+". */
static bool closes(const lexer *in, const char *closing, char *sign) {
    *sign = sign_at(in, in->at);
    if (*sign == '+' && closing[0] == '}') *sign = '\0';
    return in->open == 0 && stands(in, in->at + (*sign != '\0'), closing);
}

/* All tokens up to the closing bracket, and that. */
static ce_status take_inside(lexer *in, bool is_output) {
    const char *closing = is_output ? "}}" : "%}";
    in->open = 0;
    while (true) {
        advance(in, skip_white(in, in->at));
        if (in->at >= in->size)
            return malformed(in, is_output ? "an expression {{ is not closed" : "a block {% is not closed");
        char sign;
        if (closes(in, closing, &sign)) {
            ce_status status = push(in, is_output ? CEI_TOK_OUTPUT_END : CEI_TOK_BLOCK_END, closing, 2);
            close_bracket(in, in->at + (sign != '\0') + 2, sign, !is_output);
            return status;
        }
        const char c = in->data[in->at];
        ce_status status = is_digit(c)             ? take_number(in)
                           : begins_name(c)        ? take_name(in)
                           : c == '\'' || c == '"' ? take_string(in)
                                                   : take_operator(in);
        if (status != CE_OK) return status;
    }
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

/* The next place of "{{", "{%" or "{#". */
static size_t find_bracket(const lexer *in) {
    size_t at = in->at;
    while (at + 1 < in->size &&
           (in->data[at] != '{' || (in->data[at + 1] != '{' && in->data[at + 1] != '%' && in->data[at + 1] != '#')))
        at++;
    return at + 1 < in->size ? at : in->size;
}

/* The text before the next bracket, and all of that. */
static ce_status take_next(lexer *in) {
    const size_t at = find_bracket(in);
    if (at == in->size) return push_text(in, at, '+', true);
    const char kind = in->data[at + 1], sign = sign_at(in, at + 2);
    const size_t inside = at + 2 + (sign != '\0');
    ce_status status = push_text(in, at, sign, kind == '{');
    if (status != CE_OK) return status;
    if (kind == '#') return skip_comment(in, inside);
    char last = '\0';
    const size_t raw = kind == '%' ? end_of_raw(in, at, "raw", &last) : 0;
    if (raw && last != '+') return take_raw(in, raw, last);
    status = push(in, kind == '{' ? CEI_TOK_OUTPUT_BEGIN : CEI_TOK_BLOCK_BEGIN, in->data + at, 2);
    advance(in, inside);
    return status == CE_OK ? take_inside(in, kind == '{') : status;
}

/* The source with "\n" for every line break, and without one at the end. */
static char *copy_source(cei_arena *arena, const char *source, size_t size, size_t *length) {
    char *copy = cei_arena_copy(arena, source, size);
    if (!copy) return NULL;
    *length = 0;
    for (size_t i = 0; i < size; i++) {
        const bool is_return = source[i] == '\r';
        if (is_return && i + 1 < size && source[i + 1] == '\n') continue;
        copy[(*length)++] = is_return ? '\n' : source[i];
    }
    if (*length > 0 && copy[*length - 1] == '\n') (*length)--;
    return copy;
}

ce_status cei_template_tokens(const char *source, size_t size, const char *path, cei_arena *arena, cei_ttokens *tokens,
                              ce_error *error) {
    lexer in = {.line = 1, .line_begins = true, .path = path, .arena = arena, .tokens = tokens, .error = error};
    const size_t bad = cei_utf8_check(source, size, NULL);
    if (bad < size) return cei_fail(error, CE_ERR_FORMAT, "%s is not valid UTF-8 at byte %zu", path, bad);
    in.data = copy_source(arena, source, size, &in.size);
    if (!in.data) return no_memory(&in);
    ce_status status = CE_OK;
    while (status == CE_OK && in.at < in.size) status = take_next(&in);
    return status == CE_OK ? push(&in, CEI_TOK_END, "", 0) : status;
}
