/* encode.c - one text through the components of a tokenizer, in one linear pass.
 *
 * What is made on the way lives in the buffer's scratch memory, so that steady use allocates nothing. */
#include "base/error.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* Words that go to the model at a time: enough to make the calls between components cheap. */
#define WORDS_AT_ONCE 64

typedef struct encode_scratch {
    cei_bytes repaired; /* the text with U+FFFD for what was not UTF-8 */
    cei_normalizer_scratch normalizer;
    cei_bytes words; /* of metaspace; or a piece with a blank before it */
    cei_model_scratch model;
} encode_scratch;

void cei_token_buffer_free(cei_token_buffer *buffer) {
    if (!buffer) return;
    encode_scratch *scratch = buffer->scratch;
    if (scratch) {
        cei_free(scratch->repaired.data);
        cei_normalizer_scratch_free(&scratch->normalizer);
        cei_free(scratch->words.data);
        cei_free(scratch->model.cache);
        cei_free(scratch->model.work.data);
        cei_free(scratch);
    }
    cei_free(buffer->ids);
    *buffer = (cei_token_buffer){0};
}

static bool prepare(cei_token_buffer *buffer) {
    buffer->count = 0;
    if (buffer->scratch) return true;
    buffer->scratch = cei_alloc_zeroed(1, sizeof(encode_scratch));
    buffer->scratch_size = buffer->scratch ? sizeof(encode_scratch) : 0;
    return buffer->scratch != NULL;
}

static bool repair(ce_text text, cei_bytes *out) {
    out->size = 0;
    size_t at = 0;
    while (at < text.size) {
        size_t length = 0;
        size_t good = cei_utf8_check(text.data + at, text.size - at, &length);
        if (!cei_bytes_append(out, text.data + at, good) || !cei_bytes_reserve(out, 4)) return false;
        at += good;
        if (at == text.size) break;
        out->size += cei_utf8_put(out->data + out->size, CEI_UNICODE_REPLACEMENT);
        at += length;
    }
    return true;
}

ce_status cei_text_given(ce_text text, ce_error *error) {
    if (text.data || text.size == 0) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT, "the text has %zu bytes, and its data is NULL", text.size);
}

ce_status cei_text_check(ce_text *text, ce_utf8_policy policy, cei_bytes *room, ce_error *error) {
    size_t bad = cei_utf8_check(text->data, text->size, NULL);
    if (bad == text->size) return CE_OK;
    if (policy != CE_UTF8_REPLACE)
        return cei_fail(error, CE_ERR_TEXT, "the text is not valid UTF-8: byte %zu is 0x%02X", bad,
                        (unsigned)(unsigned char)text->data[bad]);
    if (!repair(*text, room)) return cei_fail_memory(error, "a text", text->size);
    *text = (ce_text){room->data, room->size};
    return CE_OK;
}

bool cei_token_buffer_reserve(cei_token_buffer *buffer, size_t room) {
    if (buffer->capacity - buffer->count >= room) return true;
    void *ids = buffer->ids;
    bool grown = cei_grow(&ids, &buffer->capacity, buffer->count + room, sizeof *buffer->ids);
    buffer->ids = ids;
    return grown;
}

void *cei_model_cache(cei_model_scratch *scratch, const char *kind, uint64_t fingerprint, size_t count, size_t size) {
    if (scratch->cache && scratch->kind == kind && scratch->owner == fingerprint) return scratch->cache;
    cei_free(scratch->cache);
    scratch->cache = cei_alloc_zeroed(count, size);
    scratch->kind = kind;
    scratch->owner = fingerprint;
    return scratch->cache;
}

static bool push_id(cei_token_buffer *buffer, int32_t id) {
    if (!cei_token_buffer_reserve(buffer, 1)) return false;
    buffer->ids[buffer->count++] = id;
    return true;
}

static bool give_words(const cei_tokenizer *tokenizer, const cei_word *words, size_t count, cei_token_buffer *buffer) {
    encode_scratch *scratch = buffer->scratch;
    return tokenizer->model.ops->encode(tokenizer->model.state, words, count, &scratch->model, buffer);
}

static bool encode_marked(const cei_tokenizer *tokenizer, const char *text, size_t size, bool first,
                          cei_token_buffer *buffer) {
    encode_scratch *scratch = buffer->scratch;
    cei_metaspace_scan scan = {&tokenizer->metaspace, text, size, first, 0, 0, &scratch->words};
    cei_word words[WORDS_AT_ONCE];
    size_t count;
    while (true) {
        if (!cei_metaspace_next(&scan, words, WORDS_AT_ONCE, &count)) return false;
        if (count == 0) return true;
        if (!give_words(tokenizer, words, count, buffer)) return false;
    }
}

/* The words of a pre-tokenizer that consists of steps. */
static bool encode_splits(const cei_tokenizer *tokenizer, const char *text, size_t size, cei_token_buffer *buffer) {
    encode_scratch *scratch = buffer->scratch;
    cei_word words[WORDS_AT_ONCE];
    cei_split_walk walk;
    size_t count;
    if (!cei_split_start(&walk, &tokenizer->splits, text, size, &scratch->words)) return false;
    while (true) {
        if (!cei_split_next(&walk, words, WORDS_AT_ONCE, &count)) return false;
        if (count == 0) return true;
        if (!give_words(tokenizer, words, count, buffer)) return false;
    }
}

/* first: the stretch is where the whole text begins. */
static bool encode_words(const cei_tokenizer *tokenizer, const char *text, size_t size, bool first,
                         cei_token_buffer *buffer) {
    cei_word words[WORDS_AT_ONCE];
    size_t position = 0, count;
    if (tokenizer->splits.count > 0) return encode_splits(tokenizer, text, size, buffer);
    if (!tokenizer->pre_tokenize) return encode_marked(tokenizer, text, size, first, buffer);
    while ((count = tokenizer->pre_tokenize(text, size, &position, words, WORDS_AT_ONCE)) > 0)
        if (!give_words(tokenizer, words, count, buffer)) return false;
    return true;
}

/* A stretch of raw text without raw added tokens. */
static bool encode_stretch(const cei_tokenizer *tokenizer, const char *text, size_t size, bool first,
                           cei_token_buffer *buffer) {
    encode_scratch *scratch = buffer->scratch;
    const char *normal;
    size_t normal_size;
    if (!cei_normalize(&tokenizer->normalizer, text, size, &scratch->normalizer, &normal, &normal_size)) return false;
    const cei_added_tokens *added = &tokenizer->added;
    cei_added_scan scan = cei_added_scan_start(added, &added->normalized, normal, normal_size);
    cei_added_piece piece;
    while (cei_added_scan_next(&scan, &piece)) {
        bool good = piece.id >= 0
                        ? push_id(buffer, piece.id)
                        : encode_words(tokenizer, piece.data, piece.size, first && piece.data == normal, buffer);
        if (!good) return false;
    }
    return true;
}

ce_status cei_tokenizer_encode(const cei_tokenizer *tokenizer, ce_text text, ce_utf8_policy utf8,
                               cei_token_buffer *buffer, ce_error *error) {
    if (!prepare(buffer)) return cei_fail_memory(error, "the tokens of a text", sizeof(encode_scratch));
    encode_scratch *scratch = buffer->scratch;
    ce_status status = cei_text_check(&text, utf8, &scratch->repaired, error);
    if (status != CE_OK) return status;
    const cei_added_tokens *added = &tokenizer->added;
    cei_added_scan scan = cei_added_scan_start(added, &added->raw, text.data, text.size);
    cei_added_piece piece;
    while (cei_added_scan_next(&scan, &piece)) {
        bool good = piece.id >= 0 ? push_id(buffer, piece.id)
                                  : encode_stretch(tokenizer, piece.data, piece.size, piece.data == text.data, buffer);
        if (!good) return cei_fail_memory(error, "the tokens of a text", text.size);
    }
    return CE_OK;
}
