/* json.c - a reader of one JSON value by recursive descent.
 *
 * The command reads JSON lines by the million and wants two or three strings of each, and it must end with its own
 * words when memory is short; Jansson builds the whole tree, and asserts in its lexer when an allocation fails. */
#include "json.h"

/* Deeper values are refused, so that no line can use up the stack. */
enum { MOST_DEPTH = 256 };

typedef struct parser {
    const char *begin, *at, *end;
    cli_arena *arena;
    const char *problem;
    bool has_no_memory;
} parser;

static bool fail(parser *in, const char *problem) {
    if (!in->problem && !in->has_no_memory) in->problem = problem;
    return false;
}

static void skip_blanks(parser *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) in->at++;
}

static bool is_next(const parser *in, char byte) { return in->at < in->end && *in->at == byte; }

static bool take(parser *in, char byte) {
    if (!is_next(in, byte)) return false;
    in->at++;
    return true;
}

static bool is_digit(const parser *in) { return in->at < in->end && *in->at >= '0' && *in->at <= '9'; }

/* ---- strings ------------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits at bytes; -1 if they are none. */
static long hex_of(const char *bytes, const char *end) {
    long value = 0;
    if (end - bytes < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char byte = bytes[i];
        int digit = byte >= '0' && byte <= '9'   ? byte - '0'
                    : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
                    : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The character of an escape "uXXXX", or of two that are a surrogate pair, behind the backslash at in->at. */
static bool take_unicode(parser *in, uint32_t *point) {
    long high = hex_of(in->at + 1, in->end);
    if (high < 0) return fail(in, "\\u must be followed by four hexadecimal digits");
    in->at += 5;
    *point = (uint32_t)high;
    if (high < 0xD800 || high > 0xDFFF) return true;
    long low = in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u' ? hex_of(in->at + 2, in->end) : -1;
    if (high > 0xDBFF || low < 0xDC00 || low > 0xDFFF) return fail(in, "half of a surrogate pair");
    in->at += 6;
    *point = 0x10000 + (((uint32_t)high - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
    return true;
}

static size_t encode(uint32_t point, char *out) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t follow = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(leads[follow] | point >> (6 * follow));
    for (size_t i = 1; i <= follow; i++) out[i] = (char)(0x80 | (point >> (6 * (follow - i)) & 0x3F));
    return follow + 1;
}

/* One escape at the backslash; its bytes go to out, if out is not NULL. */
static bool take_escape(parser *in, char *out, size_t *written) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char bytes[4];
    uint32_t point = 0;
    in->at++;
    if (in->at == in->end) return fail(in, "the string has no end");
    if (*in->at == 'u') {
        if (!take_unicode(in, &point)) return false;
    } else {
        const char *name = *in->at ? strchr(names, *in->at) : NULL;
        if (!name) return fail(in, "unknown escape");
        point = (unsigned char)values[name - names];
        in->at++;
    }
    size_t size = encode(point, bytes);
    if (out) memcpy(out + *written, bytes, size);
    *written += size;
    return true;
}

/* The characters of a string behind its first quote, and its last one. No escape is shorter than what it stands for,
 * so that out needs no more room than the string takes. */
static bool take_characters(parser *in, char *out, size_t *written) {
    *written = 0;
    while (in->at < in->end) {
        unsigned char byte = (unsigned char)*in->at;
        if (byte == '"') {
            in->at++;
            return true;
        }
        if (byte < 0x20) return fail(in, "a control character in a string");
        if (byte == '\\') {
            if (!take_escape(in, out, written)) return false;
            continue;
        }
        if (out) out[*written] = (char)byte;
        ++*written;
        in->at++;
    }
    return fail(in, "the string has no end");
}

/* A string at its first quote; decoded into the arena if text is not NULL. */
static bool take_string(parser *in, ce_text *text) {
    size_t written;
    const char *begin = ++in->at;
    if (!take_characters(in, NULL, &written)) return false;
    if (!text) return true;
    char *out = cli_arena_take(in->arena, written);
    if (!out) {
        in->has_no_memory = true;
        return false;
    }
    in->at = begin;
    take_characters(in, out, &written);
    *text = (ce_text){out, written};
    return true;
}

/* ---- other values -------------------------------------------------------------------------------------------- */

static bool take_digits(parser *in) {
    if (!is_digit(in)) return fail(in, "expected a digit");
    while (is_digit(in)) in->at++;
    return true;
}

static bool take_number(parser *in, cli_json_kind *kind) {
    *kind = CLI_JSON_INTEGER;
    take(in, '-');
    if (take(in, '0')) {
        if (is_digit(in)) return fail(in, "a number with a leading zero");
    } else if (!take_digits(in)) {
        return false;
    }
    if (take(in, '.')) {
        *kind = CLI_JSON_REAL;
        if (!take_digits(in)) return false;
    }
    if (take(in, 'e') || take(in, 'E')) {
        *kind = CLI_JSON_REAL;
        if (!take(in, '+')) take(in, '-');
        return take_digits(in);
    }
    return true;
}

static bool take_word(parser *in, const char *word, cli_json_kind is, cli_json_kind *kind) {
    size_t size = strlen(word);
    *kind = is;
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, word, size) != 0) return fail(in, "expected a value");
    in->at += size;
    return true;
}

static bool take_value(parser *in, int depth, cli_json_kind *kind, ce_text *text);

/* A field of fields that has this key; NULL if it is not wanted. */
static cli_json_field *field_of(cli_json_field *fields, size_t count, ce_text key) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(fields[i].key) == key.size && memcmp(fields[i].key, key.data, key.size) == 0) return &fields[i];
    }
    return NULL;
}

static bool take_member(parser *in, int depth, cli_json_field *fields, size_t count) {
    ce_text key = {NULL, 0};
    cli_json_kind kind;
    skip_blanks(in);
    if (!is_next(in, '"')) return fail(in, "expected a key in quotes");
    if (!take_string(in, count ? &key : NULL)) return false;
    skip_blanks(in);
    if (!take(in, ':')) return fail(in, "expected a colon behind the key");
    cli_json_field *field = count ? field_of(fields, count, key) : NULL;
    if (!field) return take_value(in, depth + 1, &kind, NULL);
    if (field->kind != CLI_JSON_ABSENT) return fail(in, "a key is there twice");
    return take_value(in, depth + 1, &field->kind, &field->text);
}

static bool take_object(parser *in, int depth, cli_json_field *fields, size_t count) {
    in->at++;
    skip_blanks(in);
    if (take(in, '}')) return true;
    for (;;) {
        if (!take_member(in, depth, fields, count)) return false;
        skip_blanks(in);
        if (take(in, '}')) return true;
        if (!take(in, ',')) return fail(in, "expected a comma or } in the object");
    }
}

static bool take_array(parser *in, int depth, cli_json_field *fields, size_t count, size_t *elements) {
    in->at++;
    *elements = 0;
    skip_blanks(in);
    if (take(in, ']')) return true;
    for (;; ++*elements) {
        cli_json_kind kind;
        cli_json_field *field = *elements < count ? &fields[*elements] : NULL;
        if (!take_value(in, depth + 1, field ? &field->kind : &kind, field ? &field->text : NULL)) return false;
        skip_blanks(in);
        if (is_next(in, ']')) break;
        if (!take(in, ',')) return fail(in, "expected a comma or ] in the array");
    }
    in->at++;
    ++*elements;
    return true;
}

static bool take_value(parser *in, int depth, cli_json_kind *kind, ce_text *text) {
    size_t elements;
    skip_blanks(in);
    if (in->at == in->end) return fail(in, "expected a value");
    if (depth > MOST_DEPTH) return fail(in, "nested too deep");
    const char *begin = in->at;
    switch (*in->at) {
    case '"': *kind = CLI_JSON_STRING; return take_string(in, text);
    case '{': *kind = CLI_JSON_OBJECT; return take_object(in, depth, NULL, 0);
    case '[': *kind = CLI_JSON_ARRAY; return take_array(in, depth, NULL, 0, &elements);
    case 'n': return take_word(in, "null", CLI_JSON_NULL, kind);
    case 't': return take_word(in, "true", CLI_JSON_BOOL, kind);
    case 'f': return take_word(in, "false", CLI_JSON_BOOL, kind);
    default: break;
    }
    if (*in->at != '-' && !is_digit(in)) return fail(in, "expected a value");
    if (!take_number(in, kind)) return false;
    if (text && *kind == CLI_JSON_INTEGER) *text = (ce_text){begin, (size_t)(in->at - begin)};
    return true;
}

static bool take_root(parser *in, cli_json_field *fields, size_t count, cli_json_result *result) {
    skip_blanks(in);
    if (is_next(in, '{')) {
        result->kind = CLI_JSON_OBJECT;
        return take_object(in, 0, fields, count);
    }
    if (is_next(in, '[')) {
        result->kind = CLI_JSON_ARRAY;
        return take_array(in, 0, fields, count, &result->elements);
    }
    return take_value(in, 0, &result->kind, &result->text);
}

bool cli_json_read(ce_text line, cli_arena *arena, cli_json_field *fields, size_t count, cli_json_result *result) {
    parser in = {.begin = line.data, .at = line.data, .end = line.data + line.size, .arena = arena};
    *result = (cli_json_result){.kind = CLI_JSON_ABSENT};
    for (size_t i = 0; i < count; i++) {
        fields[i].kind = CLI_JSON_ABSENT;
        fields[i].text = (ce_text){"", 0};
    }
    bool is_good = take_root(&in, fields, count, result);
    if (is_good) skip_blanks(&in);
    if (is_good && in.at < in.end) is_good = fail(&in, "something behind the value");
    result->problem = in.problem;
    result->column = (size_t)(in.at - in.begin) + 1;
    return is_good;
}
