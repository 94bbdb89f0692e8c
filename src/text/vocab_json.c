/* vocab_json.c - takes the vocabulary and the merges out of a tokenizer.json before the JSON parser sees it.
 *
 * Nearly all of such a file is a flat object of strings and small integers, or an array of strings and scores, and an
 * array of strings or pairs of them. A parser that makes a tree of it takes ten times as long as this, and time to the
 * first score counts. This reader is never the judge of a file: whatever it does not understand it leaves to the
 * parser. */
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
    /* In registers: the compiler takes any byte for a part of the cursor. */
    const char *const data = in->data;
    const size_t size = in->size;
    size_t at = in->at;
    for (; at < size && data[at] != '"'; at += data[at] == '\\' ? 2 : 1)
        if ((unsigned char)data[at] < 0x20) in->bad = true;
    in->at = at;
    string.end = at < size ? at : size;
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
        if (depth > 0 && (c == ' ' || c == '\n')) continue; /* most of an indented file */
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && depth-- == 0) in->bad = true;
        c = peek(in);
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
    } while (in->at < in->size && !in->bad);
    if (in->at >= in->size) in->bad = true;
    value.end = in->at;
    return value;
}

static bool is_called(const cursor *in, span name, const char *key) {
    return name.end - name.start == strlen(key) && memcmp(in->data + name.start, key, strlen(key)) == 0;
}

/* What a member is, whose name was read: the cursor is behind it when it returns. */
typedef void (*member_fn)(void *user, cursor *in, span name);

static void read_members(cursor *in, member_fn read, void *user) {
    expect(in, '{');
    do {
        span name = read_string(in);
        expect(in, ':');
        if (!in->bad) read(user, in, name);
        skip_space(in);
    } while (!in->bad && peek(in) == ',' && in->at++ < in->size);
    expect(in, '}');
}

/* Where the two large values are; empty is not there. */
typedef struct places {
    bool has_model;
    span tokens, merges;
} places;

/* One that comes twice is not for this reader. */
static void place(span *to, cursor *in) {
    if (to->end) in->bad = true;
    *to = skip_value(in);
}

static void read_model_member(void *user, cursor *in, span name) {
    places *found = user;
    if (is_called(in, name, "vocab"))
        place(&found->tokens, in);
    else if (is_called(in, name, "merges"))
        place(&found->merges, in);
    else
        skip_value(in);
}

/* The model's members are looked at on the way, so that the file is gone through once. */
static void read_file_member(void *user, cursor *in, span name) {
    places *found = user;
    if (!is_called(in, name, "model")) {
        skip_value(in);
        return;
    }
    if (found->has_model) in->bad = true;
    found->has_model = true;
    read_members(in, read_model_member, found);
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

/* A string without its escapes: in the file, or in plain, whose bytes from its size on are free. */
typedef struct token_text {
    const char *data;
    size_t size;
} token_text;

/* false if there is no memory. */
static bool read_text(cursor *in, cei_bytes *plain, token_text *token) {
    span string = read_string(in);
    *token = (token_text){in->data + string.start, string.end - string.start};
    if (in->bad || token->size == 0 || !memchr(token->data, '\\', token->size)) return true;
    if (!cei_bytes_reserve(plain, token->size)) return false;
    token->size = unescape(in, token->data, token->size, plain->data + plain->size);
    token->data = plain->data + plain->size;
    return true;
}

/* "token": id. false if there is no memory. */
static bool read_token(cursor *in, cei_tokenizer_spec *spec, cei_bytes *plain) {
    token_text token;
    if (!read_text(in, plain, &token)) return false;
    expect(in, ':');
    int32_t id = read_id(in);
    return in->bad || cei_vocabulary_add(&spec->vocabulary, token.data, token.size, id);
}

/* ["token", score]. false if there is no memory. */
static bool read_piece(cursor *in, cei_tokenizer_spec *spec, cei_bytes *plain) {
    token_text token;
    double score = 0;
    size_t used = 0, id = spec->unigram.count;
    expect(in, '[');
    if (!read_text(in, plain, &token)) return false;
    expect(in, ',');
    skip_space(in);
    if (in->at > in->size ||
        !cei_piece_score_read(in->data + in->at, in->size - in->at, spec->exact_scores, &score, &used))
        in->bad = true;
    in->at += used;
    expect(in, ']');
    if (id >= CEI_TOKEN_ID_LIMIT) in->bad = true;
    if (in->bad) return true;
    return cei_vocabulary_add(&spec->vocabulary, token.data, token.size, (int32_t)id) &&
           cei_unigram_push(&spec->unigram, score);
}

/* Reads an object of tokens, or an array of pieces. false if there is no memory. */
static bool read_tokens(cursor *in, span value, cei_tokenizer_spec *spec) {
    cei_bytes plain = {0};
    bool pieces = in->data[value.start] == '[';
    in->at = value.start;
    expect(in, pieces ? '[' : '{');
    skip_space(in);
    /* A token takes some 16 bytes and more, a piece with its score 26. */
    bool good = cei_vocabulary_create(&spec->vocabulary, (value.end - value.start) / (pieces ? 26 : 16));
    while (good && !in->bad) {
        good = pieces ? read_piece(in, spec, &plain) : read_token(in, spec, &plain);
        skip_space(in);
        if (peek(in) != ',') break;
        in->at++;
    }
    expect(in, pieces ? ']' : '}');
    cei_free(plain.data);
    return good;
}

/* "left right" or ["left", "right"]. false if there is no memory. */
static bool read_merge(cursor *in, cei_merges *merges, cei_bytes *plain) {
    token_text left, right;
    bool good = true;
    skip_space(in);
    if (peek(in) == '"') {
        if (!read_text(in, plain, &left)) return false;
        if (!in->bad && !cei_merges_push_line(merges, left.data, left.size, &good)) return false;
        in->bad = in->bad || !good;
        return true;
    }
    expect(in, '[');
    if (!read_text(in, plain, &left)) return false;
    expect(in, ',');
    if (in->bad) return true;
    bool unescaped = plain->data && left.data == plain->data;
    plain->size = unescaped ? left.size : 0;
    good = read_text(in, plain, &right);
    plain->size = 0;
    if (unescaped) left.data = plain->data; /* which the second may have moved */
    expect(in, ']');
    return good && (in->bad || cei_merges_push(merges, left.data, left.size, right.data, right.size));
}

/* false if there is no memory. */
static bool read_merges(cursor *in, span array, cei_merges *merges) {
    cei_bytes plain = {0};
    bool good = true;
    in->at = array.start;
    expect(in, '[');
    skip_space(in);
    while (good && !in->bad && peek(in) != ']') {
        good = read_merge(in, merges, &plain);
        skip_space(in);
        if (peek(in) != ',') break;
        in->at++;
        skip_space(in);
        if (peek(in) == ']') in->bad = true;
    }
    expect(in, ']');
    cei_free(plain.data);
    return good;
}

/* Is there nothing but the value that was read? */
static void expect_end(cursor *in, span value) {
    skip_space(in);
    if (in->at != value.end) in->bad = true;
}

/* Copies the file up to cut, and brackets with the line ends of what was between them. */
static bool write_cut(const cursor *in, size_t *from, span cut, const char brackets[2], cei_bytes *rest) {
    if (!cei_bytes_append(rest, in->data + *from, cut.start - *from) || !cei_bytes_append(rest, brackets, 1))
        return false;
    const char *end = in->data + cut.end, *at = in->data + cut.start;
    for (; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        if (!cei_bytes_append(rest, "\n", 1)) return false;
    *from = cut.end;
    return cei_bytes_append(rest, brackets + 1, 1);
}

static bool write_rest(const cursor *in, span tokens, span merges, cei_bytes *rest) {
    size_t from = 0;
    bool merges_first = merges.end && merges.start < tokens.start;
    bool good = cei_bytes_reserve(rest, in->size - (tokens.end - tokens.start) - (merges.end - merges.start) + 4);
    if (merges_first) good = good && write_cut(in, &from, merges, "[]", rest);
    good = good && write_cut(in, &from, tokens, in->data[tokens.start] == '[' ? "[]" : "{}", rest);
    if (merges.end && !merges_first) good = good && write_cut(in, &from, merges, "[]", rest);
    return good && cei_bytes_append(rest, in->data + from, in->size - from);
}

static bool is_utf8(const cursor *in, span value) {
    size_t size = value.end - value.start;
    return cei_utf8_check(in->data + value.start, size, NULL) == size;
}

/* Reads both. false if there is no memory. */
static bool read_both(cursor *in, span tokens, span merges, cei_tokenizer_spec *spec) {
    if (in->bad) return true; /* then what was found may go on behind the end */
    if (!tokens.end || !is_utf8(in, tokens) || !is_utf8(in, merges)) in->bad = true;
    if (in->bad) return true;
    if (!read_tokens(in, tokens, spec)) return false;
    expect_end(in, tokens);
    if (in->bad || !merges.end) return true;
    if (!read_merges(in, merges, &spec->merges)) return false;
    expect_end(in, merges);
    return true;
}

ce_status cei_vocab_json_take(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, cei_bytes *rest,
                              ce_error *error) {
    cursor in = {file->data, file->size, 0, file->size > UINT32_MAX};
    places found = {0};
    if (!in.bad) read_members(&in, read_file_member, &found);
    const span tokens = found.tokens, list = found.merges;
    bool good = read_both(&in, tokens, list, spec);
    if (good && !in.bad) good = write_rest(&in, tokens, list, rest);
    spec->has_merges = good && !in.bad && list.end;
    if (good && !in.bad) return CE_OK;
    cei_vocabulary_free(&spec->vocabulary);
    cei_merges_free(&spec->merges);
    spec->unigram.count = 0;
    rest->size = 0;
    return good ? CE_OK : cei_fail_memory(error, "the vocabulary", file->size);
}

ce_status cei_vocab_json_read(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, ce_error *error) {
    cursor in = {file->data, file->size, 0, file->size > UINT32_MAX || file->size == 0};
    span whole = {0, file->size};
    if (!is_utf8(&in, whole) || (!in.bad && *file->data == '[')) in.bad = true;
    bool good = in.bad || read_tokens(&in, whole, spec);
    if (good && !in.bad) expect_end(&in, whole);
    if (good && !in.bad) return CE_OK;
    cei_vocabulary_free(&spec->vocabulary);
    return good ? CE_OK : cei_fail_memory(error, "the vocabulary", file->size);
}
