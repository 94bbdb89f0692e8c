/* json_parse.c - JSON text (RFC 8259) to Jansson's values.
 *
 * Jansson has a parser of its own, which is not used: where its token buffer cannot grow for want of memory, it drops
 * the character and goes on, so that a damaged string comes back as a success; and it refuses integers beyond 64
 * bits, which tokenizers write for "no limit" (10^30). Its values are sound, and are what the library works with.
 *
 * Relies on utf8.h and memory.h. Must not depend on the host's locale, nor recurse without bound. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nested values; serde_json, which reads the same files for the reference, stops there too. */
enum { MAX_DEPTH = 127 };

typedef struct parser {
    const char *begin, *at, *end;
    bool strict;         /* no key may come twice in an object, or have a NUL in it */
    const char *problem; /* why parsing stopped at `at`; NULL is want of memory */
    char *scratch;       /* the last string that had escapes, or the last number with a fraction */
    size_t capacity;
} parser;

/* A string's bytes: in the text itself, or in scratch if it had escapes. */
typedef struct span {
    const char *data;
    size_t size;
} span;

static json_t *parse_value(parser *in, int depth);

static bool stop(parser *in, const char *problem) {
    in->problem = problem;
    return false;
}

static void skip_space(parser *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) in->at++;
}

static bool take(parser *in, char c) {
    if (in->at == in->end || *in->at != c) return false;
    in->at++;
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool reserve(parser *in, size_t size) {
    void *block = in->scratch;
    if (!cei_grow(&block, &in->capacity, size, 1)) return stop(in, NULL);
    in->scratch = block;
    return true;
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

/* Four hexadecimal digits at in->at, or -1. */
static long take_unit(parser *in) {
    long unit = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        if (in->at == in->end) return -1;
        char c = *in->at;
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static size_t put_utf8(char *out, long c) {
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xC0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3F)), 2;
    size_t n = 0;
    if (c < 0x10000)
        out[n++] = (char)(0xE0 | c >> 12);
    else
        out[n++] = (char)(0xF0 | c >> 18), out[n++] = (char)(0x80 | (c >> 12 & 0x3F));
    out[n++] = (char)(0x80 | (c >> 6 & 0x3F));
    out[n++] = (char)(0x80 | (c & 0x3F));
    return n;
}

/* What follows "\u": one unit, or two that are a surrogate pair. Returns the bytes written, 0 if it is malformed. */
static size_t take_code_point(parser *in, char *out) {
    long unit = take_unit(in);
    if (unit < 0xD800 || unit > 0xDFFF) return unit < 0 ? 0 : put_utf8(out, unit);
    if (unit > 0xDBFF || !take(in, '\\') || !take(in, 'u')) return 0;
    long low = take_unit(in);
    if (low < 0xDC00 || low > 0xDFFF) return 0;
    return put_utf8(out, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
}

static size_t take_escape(parser *in, char *out) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = *in->at++;
    if (c == 'u') return take_code_point(in, out);
    const char *letter = memchr(letters, c, sizeof letters - 1);
    if (letter) *out = meanings[letter - letters];
    return letter ? 1 : 0;
}

/* Decodes string, which lies in the text and has escapes, into scratch; nothing grows by being decoded. */
static bool unescape(parser *in, span *string) {
    if (!reserve(in, string->size)) return false;
    const char *behind = in->at, *end = string->data + string->size;
    size_t used = 0;
    for (in->at = string->data; in->at < end;) {
        if (*in->at != '\\') {
            in->scratch[used++] = *in->at++;
            continue;
        }
        in->at++;
        size_t written = take_escape(in, in->scratch + used);
        if (written == 0 || in->at > end) return stop(in, "malformed escape in a string");
        used += written;
    }
    in->at = behind;
    *string = (span){in->scratch, used};
    return true;
}

static bool parse_string(parser *in, span *string) {
    if (!take(in, '"')) return stop(in, "expected a string");
    const char *begin = in->at;
    bool escapes = false;
    while (in->at < in->end && *in->at != '"') {
        if ((unsigned char)*in->at < 0x20) return stop(in, "control character in a string");
        if (*in->at == '\\') {
            escapes = true;
            in->at++; /* what it escapes is no end of the string */
            if (in->at == in->end) break;
        }
        size_t length = cei_utf8_sequence((const unsigned char *)in->at, (size_t)(in->end - in->at));
        if (length == 0) return stop(in, "bytes that are not UTF-8");
        in->at += length;
    }
    *string = (span){begin, (size_t)(in->at - begin)};
    if (!take(in, '"')) return stop(in, "expected the end of a string");
    return !escapes || unescape(in, string);
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

/* The double nearest to the token, by strtod, which must be given the decimal point of the host's locale. */
static bool read_real(parser *in, span token, double *real) {
    char sample[32];
    snprintf(sample, sizeof sample, "%.1f", 0.5); /* 0, the point, 5 */
    size_t point = strlen(sample) - 2, used = 0;
    if (!reserve(in, token.size + point + 1)) return false;
    for (size_t i = 0; i < token.size; i++) {
        if (token.data[i] == '.') {
            memcpy(in->scratch + used, sample + 1, point);
            used += point;
        } else {
            in->scratch[used++] = token.data[i];
        }
    }
    in->scratch[used] = '\0';
    *real = strtod(in->scratch, NULL);
    return isfinite(*real) || stop(in, "number too large");
}

/* The integer that the token is, if 64 bits hold it. -0 is none. */
static bool read_integer(span token, json_int_t *integer) {
    bool negative = token.data[0] == '-';
    json_int_t value = 0;
    for (size_t i = negative; i < token.size; i++) {
        json_int_t digit = token.data[i] - '0';
        if (value > (INT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *integer = negative ? -value : value;
    return !negative || value != 0;
}

static bool skip_digits(parser *in) {
    const char *begin = in->at;
    while (in->at < in->end && is_digit(*in->at)) in->at++;
    return in->at > begin || stop(in, "expected a digit");
}

static json_t *parse_number(parser *in) {
    const char *begin = in->at;
    bool whole = true;
    (void)take(in, '-');
    if (in->at == in->end || !is_digit(*in->at)) return stop(in, "expected a value"), NULL;
    if (!take(in, '0') && !skip_digits(in)) return NULL;
    if (take(in, '.')) {
        whole = false;
        if (!skip_digits(in)) return NULL;
    }
    if (take(in, 'e') || take(in, 'E')) {
        whole = false;
        if (!take(in, '+')) (void)take(in, '-');
        if (!skip_digits(in)) return NULL;
    }
    span token = {begin, (size_t)(in->at - begin)};
    json_int_t integer;
    double real;
    in->problem = NULL;
    if (whole && read_integer(token, &integer)) return json_integer(integer);
    return read_real(in, token, &real) ? json_real(real) : NULL;
}

/* ---- arrays, objects ---------------------------------------------------------------------------------------- */

static json_t *parse_array(parser *in, int depth) {
    json_t *array = json_array();
    if (!array) return stop(in, NULL), NULL;
    skip_space(in);
    if (take(in, ']')) return array;
    do {
        json_t *value = parse_value(in, depth);
        if (!value) goto fail;
        if (json_array_append_new(array, value) != 0) {
            in->problem = NULL;
            goto fail;
        }
        skip_space(in);
    } while (take(in, ','));
    if (take(in, ']')) return array;
    in->problem = "expected ',' or ']'";
fail:
    json_decref(array);
    return NULL;
}

/* Parses the value of key, and puts both into object. */
static bool parse_member(parser *in, json_t *object, span key, int depth) {
    if (in->strict && memchr(key.data, '\0', key.size)) return stop(in, "a NUL in a key");
    if (in->strict && json_object_getn(object, key.data, key.size)) return stop(in, "a key for the second time");
    skip_space(in);
    if (!take(in, ':')) return stop(in, "expected ':'");
    json_t *value = parse_value(in, depth);
    if (!value) return false;
    return json_object_setn_new_nocheck(object, key.data, key.size, value) == 0 || stop(in, NULL);
}

static bool parse_pair(parser *in, json_t *object, int depth) {
    span key;
    skip_space(in);
    if (!parse_string(in, &key)) return false;
    if (key.data != in->scratch) return parse_member(in, object, key, depth);
    /* The value may need scratch for itself. */
    char *copy = cei_copy_string(key.data, key.size);
    if (!copy) return stop(in, NULL);
    bool parsed = parse_member(in, object, (span){copy, key.size}, depth);
    cei_free(copy);
    return parsed;
}

static json_t *parse_object(parser *in, int depth) {
    json_t *object = json_object();
    if (!object) return stop(in, NULL), NULL;
    skip_space(in);
    if (take(in, '}')) return object;
    do {
        if (!parse_pair(in, object, depth)) goto fail;
        skip_space(in);
    } while (take(in, ','));
    if (take(in, '}')) return object;
    in->problem = "expected ',' or '}'";
fail:
    json_decref(object);
    return NULL;
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static json_t *parse_text(parser *in) {
    span string;
    if (!parse_string(in, &string)) return NULL;
    in->problem = NULL;
    return json_stringn_nocheck(string.data, string.size);
}

static json_t *parse_word(parser *in) {
    static const char *const words[] = {"true", "false", "null"};
    json_t *const values[] = {json_true(), json_false(), json_null()};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(in->end - in->at) < length || memcmp(in->at, words[i], length) != 0) continue;
        in->at += length;
        return values[i];
    }
    return stop(in, "expected a value"), NULL;
}

static json_t *parse_value(parser *in, int depth) {
    skip_space(in);
    if (in->at == in->end) return stop(in, "expected a value"), NULL;
    char c = *in->at;
    if (c == '"') return parse_text(in);
    if (c == '-' || is_digit(c)) return parse_number(in);
    if (c != '{' && c != '[') return parse_word(in);
    if (depth == MAX_DEPTH) return stop(in, "values nested too deep"), NULL;
    in->at++;
    return c == '{' ? parse_object(in, depth + 1) : parse_array(in, depth + 1);
}

static ce_status fail_parse(const parser *in, const char *path, ce_error *error) {
    if (!in->problem) return cei_fail_memory(error, path, 0);
    size_t line = 1, column = 1;
    for (const char *p = in->begin; p < in->at; p++) {
        if (*p == '\n')
            line++, column = 1;
        else if (((unsigned char)*p & 0xC0) != 0x80)
            column++;
    }
    return cei_fail(error, CE_ERR_FORMAT, "%s is not valid JSON: line %zu, column %zu: %s%s", path, line, column,
                    in->problem, in->at == in->end ? ", and the text ends" : "");
}

static ce_status parse(const char *data, size_t size, bool strict, const char *path, json_t **root, ce_error *error) {
    if (size == 0) data = "";
    parser in = {.begin = data, .at = data, .end = data + size, .strict = strict};
    *root = parse_value(&in, 0);
    skip_space(&in);
    if (*root && in.at < in.end) {
        json_decref(*root);
        *root = NULL;
        in.problem = "expected the end of the text";
    }
    cei_free(in.scratch);
    return *root ? CE_OK : fail_parse(&in, path, error);
}

ce_status cei_json_parse(const char *data, size_t size, const char *path, json_t **root, ce_error *error) {
    return parse(data, size, false, path, root, error);
}

ce_status cei_json_parse_strict(const char *data, size_t size, const char *path, json_t **root, ce_error *error) {
    return parse(data, size, true, path, root, error);
}
