/* vocab_json.c - takes the vocabulary out of a tokenizer.json before the JSON parser sees it.
 *
 * Nearly all of such a file is one flat object of strings and small integers, or an array of strings and scores. A
 * parser that makes a tree of it takes ten times as long as this, and time to the first score counts. This reader is
 * never the judge of a file: whatever it does not understand it leaves to the parser. */
#include "text/vocab_json.h"

#include "base/error.h"
#include "text/piece_score.h"
#include "text/sentencepiece_json.h"
#include "text/utf8.h"

/* A place in the file. bad: what stands there is not for this reader. */
typedef struct cursor {
    const char *data;
    size_t size, at;
    bool bad;
} cursor;

typedef struct span {
    size_t start, end;
} span;

static char peek(const cursor *in) { return in->at < in->size ? in->data[in->at] : '\0'; }

static void skip_space(cursor *in) {
    while (in->at < in->size && (peek(in) == ' ' || peek(in) == '\n' || peek(in) == '\r' || peek(in) == '\t')) in->at++;
}

/* The next character that is not space must be c. */
static void expect(cursor *in, char c) {
    skip_space(in);
    if (peek(in) == c && in->at < in->size)
        in->at++;
    else
        in->bad = true;
}

/* What is between the quotes, escapes as they are. */
static span read_string(cursor *in) {
    expect(in, '"');
    span string = {in->at, in->at};
    while (in->at < in->size && in->data[in->at] != '"') {
        if ((unsigned char)in->data[in->at] < 0x20) in->bad = true;
        in->at += in->data[in->at] == '\\' ? 2 : 1;
    }
    string.end = in->at < in->size ? in->at : in->size;
    expect(in, '"');
    return string;
}

/* Steps over a value; brackets are only counted. */
static span skip_value(cursor *in) {
    skip_space(in);
    span value = {in->at, in->at};
    size_t depth = 0;
    do {
        char c = peek(in);
        if (c == '"')
            read_string(in);
        else
            in->at++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && depth-- == 0) in->bad = true;
        c = peek(in);
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
    } while (in->at < in->size && !in->bad);
    if (in->at >= in->size) in->bad = true;
    value.end = in->at;
    return value;
}

/* The value of key in the object at where; bad if the object lacks it or has it twice. */
static span find_member(cursor *in, span where, const char *key) {
    span found = {0, 0};
    in->at = where.start;
    expect(in, '{');
    do {
        span name = read_string(in);
        expect(in, ':');
        if (in->bad) break;
        span value = skip_value(in);
        if (name.end - name.start == strlen(key) && memcmp(in->data + name.start, key, strlen(key)) == 0) {
            if (found.end) in->bad = true;
            found = value;
        }
        skip_space(in);
    } while (!in->bad && peek(in) == ',' && in->at++ < where.end);
    expect(in, '}');
    if (!found.end) in->bad = true;
    return found;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The code point of \uXXXX at text; 0 for what is left to the parser: NUL, surrogates, no digits. */
static uint32_t read_hex(const char *text, size_t size) {
    uint32_t c = 0;
    if (size < 6) return 0;
    for (size_t i = 2; i < 6; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) return 0;
        c = c << 4 | (uint32_t)digit;
    }
    return c >= 0xD800 && c < 0xE000 ? 0 : c;
}

/* Resolves the escapes of a string into out, which has room for size bytes; its size. */
static size_t unescape(cursor *in, const char *text, size_t size, char *out) {
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    size_t written = 0;
    for (size_t i = 0; i < size;) {
        if (text[i] != '\\') {
            out[written++] = text[i++];
            continue;
        }
        uint32_t c = 0;
        if (i + 1 < size && text[i + 1] == 'u') c = read_hex(text + i, size - i);
        size_t length = c ? 6 : 2;
        for (size_t e = 0; !c && i + 1 < size && e + 1 < sizeof escapes; e += 2)
            if (escapes[e] == text[i + 1]) c = (unsigned char)escapes[e + 1];
        if (!c) {
            in->bad = true;
            return 0;
        }
        written += cei_utf8_put(out + written, c);
        i += length;
    }
    return written;
}

static int32_t read_id(cursor *in) {
    int32_t id = 0;
    skip_space(in);
    size_t start = in->at;
    for (; peek(in) >= '0' && peek(in) <= '9' && in->at - start < 8; in->at++) id = id * 10 + (peek(in) - '0');
    bool leading_zero = in->at - start > 1 && in->data[start] == '0';
    if (in->at == start || leading_zero || id >= CEI_TOKEN_ID_LIMIT) in->bad = true;
    return id;
}

/* Adds the token between the quotes. false if there is no memory. */
static bool add_token(cursor *in, span string, int32_t id, cei_vocabulary *vocabulary, cei_bytes *plain) {
    const char *token = in->data + string.start;
    size_t size = string.end - string.start;
    if (size > 0 && memchr(token, '\\', size)) {
        plain->size = 0;
        if (!cei_bytes_reserve(plain, size)) return false;
        size = unescape(in, token, size, plain->data);
        token = plain->data;
        if (in->bad) return true;
    }
    return cei_vocabulary_add(vocabulary, token, size, id);
}

/* Where tokens go to. */
typedef struct taking {
    cei_vocabulary *vocabulary;
    cei_unigram_options *unigram;
    bool pieces, exact; /* pieces: an array of them with scores */
    cei_bytes plain;
} taking;

/* "token": id. false if there is no memory. */
static bool read_token(cursor *in, taking *to) {
    span string = read_string(in);
    expect(in, ':');
    int32_t id = read_id(in);
    return in->bad || add_token(in, string, id, to->vocabulary, &to->plain);
}

/* ["token", score]. false if there is no memory. */
static bool read_piece(cursor *in, taking *to) {
    double score = 0;
    size_t used = 0;
    expect(in, '[');
    span string = read_string(in);
    expect(in, ',');
    skip_space(in);
    if (in->at > in->size || !cei_piece_score_read(in->data + in->at, in->size - in->at, to->exact, &score, &used))
        in->bad = true;
    in->at += used;
    expect(in, ']');
    if (to->unigram->count >= CEI_TOKEN_ID_LIMIT) in->bad = true;
    if (in->bad) return true;
    return add_token(in, string, (int32_t)to->unigram->count, to->vocabulary, &to->plain) &&
           (in->bad || cei_unigram_push(to->unigram, score));
}

/* false if there is no memory. */
static bool read_tokens(cursor *in, span value, taking *to) {
    in->at = value.start;
    expect(in, to->pieces ? '[' : '{');
    skip_space(in);
    /* A token takes some 16 bytes and more, a piece with its score 26. */
    bool good = cei_vocabulary_create(to->vocabulary, (value.end - value.start) / (to->pieces ? 26 : 16));
    while (good && !in->bad) {
        good = to->pieces ? read_piece(in, to) : read_token(in, to);
        skip_space(in);
        if (peek(in) != ',') break;
        in->at++;
    }
    expect(in, to->pieces ? ']' : '}');
    cei_free(to->plain.data);
    return good;
}

/* What is cut begins and ends with the brackets that stay. */
static bool write_rest(const cursor *in, span cut, bool pieces, cei_bytes *rest) {
    if (!cei_bytes_append(rest, in->data, cut.start) || !cei_bytes_append(rest, pieces ? "[" : "{", 1)) return false;
    for (size_t at = cut.start; at < cut.end; at++)
        if (in->data[at] == '\n' && !cei_bytes_append(rest, "\n", 1)) return false;
    return cei_bytes_append(rest, pieces ? "]" : "}", 1) &&
           cei_bytes_append(rest, in->data + cut.end, in->size - cut.end);
}

ce_status cei_vocab_json_take(const cei_tokenizer_file *file, bool exact, cei_vocabulary *vocabulary,
                              cei_unigram_options *unigram, cei_bytes *rest, ce_error *error) {
    cursor in = {file->data, file->size, 0, file->size > UINT32_MAX};
    span whole = {0, file->size};
    span model = in.bad ? whole : find_member(&in, whole, "model");
    span tokens = in.bad ? whole : find_member(&in, model, "vocab");
    if (in.bad ||
        cei_utf8_check(file->data + tokens.start, tokens.end - tokens.start, NULL) < tokens.end - tokens.start)
        return CE_OK;
    taking to = {vocabulary, unigram, file->data[tokens.start] == '[', exact, {0}};
    bool good = read_tokens(&in, tokens, &to);
    skip_space(&in);
    if (in.at != tokens.end) in.bad = true; /* something stands between the object and what ends the value */
    if (good && !in.bad) good = write_rest(&in, tokens, to.pieces, rest);
    if (good && !in.bad) return CE_OK;
    cei_vocabulary_free(vocabulary);
    unigram->count = 0;
    rest->size = 0;
    return good ? CE_OK : cei_fail_memory(error, "the vocabulary", file->size);
}
