/* wordpiece.c - greedy longest-match splitting of words.
 *
 * A word that is a token, as most are, costs one lookup. Else the hashes of all prefixes are made in one run, and
 * looked up from the longest down; so a word costs at most its length times that of the longest token, and both are
 * bounded. Ids are the only memory that it needs. */
#include "text/wordpiece.h"

#include "base/error.h"
#include "text/utf8.h"

#define MAX_PIECE (4 * CEI_WORDPIECE_MAX_CHARACTERS) /* bytes; a longer token matches no word */

typedef struct wordpiece {
    cei_vocabulary whole;      /* every token, as it is written */
    cei_vocabulary continuing; /* those with the prefix, without it */
    int32_t unknown;
    size_t max_characters;
} wordpiece;

/* Bytes of the longest prefix of data that is a token, and its id; 0 if there is none. */
static size_t longest_prefix(const cei_vocabulary *vocabulary, const char *data, size_t size, int32_t *id) {
    uint64_t hashes[MAX_PIECE];
    size_t limit = size < vocabulary->longest ? size : vocabulary->longest;
    if (limit > MAX_PIECE) limit = MAX_PIECE;
    uint64_t hash = CEI_HASH_START;
    for (size_t i = 0; i < limit; i++) hashes[i] = hash = cei_hash_step(hash, data[i]);
    for (size_t length = limit; length > 0; length--) {
        if (length < size && !cei_utf8_is_boundary(data[length])) continue;
        *id = cei_vocabulary_get(vocabulary, hashes[length - 1], data, length);
        if (*id >= 0) return length;
    }
    return 0;
}

/* Writes the pieces' ids to out, which has room for as many as the word has characters; how many, 0 if the word
 * cannot be made of tokens. */
static size_t split_word(const wordpiece *model, const cei_word *word, int32_t *out) {
    size_t count = 0;
    for (size_t at = 0; at < word->size;) {
        size_t taken =
            longest_prefix(at == 0 ? &model->whole : &model->continuing, word->data + at, word->size - at, &out[count]);
        if (taken == 0) return 0;
        at += taken;
        count++;
    }
    return count;
}

static bool encode(const void *state, const cei_word *words, size_t count, cei_model_scratch *scratch,
                   cei_token_buffer *buffer) {
    const wordpiece *model = state;
    (void)scratch;
    for (size_t i = 0; i < count; i++) {
        const cei_word *word = &words[i];
        bool fits = word->characters <= model->max_characters;
        size_t room = fits ? word->characters : 1;
        if (!cei_token_buffer_reserve(buffer, room)) return false;
        int32_t *out = buffer->ids + buffer->count;
        size_t pieces = fits ? split_word(model, word, out) : 0;
        if (pieces == 0) out[pieces++] = model->unknown;
        buffer->count += pieces;
    }
    return true;
}

static int32_t find(const void *state, const char *token, size_t size) {
    return cei_vocabulary_find(&((const wordpiece *)state)->whole, token, size);
}

static void free_model(void *state) {
    wordpiece *model = state;
    cei_vocabulary_free(&model->whole);
    cei_vocabulary_free(&model->continuing);
    cei_free(model);
}

static const cei_token_model_ops wordpiece_ops = {"WordPiece", encode, find, free_model};

/* Fills continuing from whole; a token that is the prefix alone continues nothing. Of BERT's tokens a fifth continue: a
 * table for more would be memory to be cleared at each load. */
static bool add_continuing(wordpiece *model, const char *prefix) {
    size_t length = strlen(prefix);
    if (!cei_vocabulary_create(&model->continuing, model->whole.count / 4)) return false;
    for (size_t i = 0; i < model->whole.slot_count; i++) {
        const cei_vocabulary_slot *slot = &model->whole.slots[i];
        if (slot->id < 0 || slot->size <= length) continue;
        const char *token = model->whole.bytes.data + slot->offset;
        if (length > 0 && (*token != *prefix || memcmp(token, prefix, length) != 0)) continue;
        if (!cei_vocabulary_add(&model->continuing, token + length, slot->size - length, slot->id)) return false;
    }
    return true;
}

ce_status cei_wordpiece_create(cei_vocabulary *vocabulary, const cei_wordpiece_options *options, const char *file,
                               cei_token_model *model, ce_error *error) {
    ce_status status = CE_OK;
    wordpiece *made = cei_alloc_zeroed(1, sizeof *made);
    if (!made) {
        status = cei_fail_memory(error, "the tokenizer", sizeof *made);
        goto fail;
    }
    made->whole = *vocabulary;
    *vocabulary = (cei_vocabulary){0};
    made->max_characters = options->max_characters;
    made->unknown = cei_vocabulary_find(&made->whole, options->unknown, strlen(options->unknown));
    if (made->unknown < 0)
        status =
            cei_fail(error, CE_ERR_FORMAT, "%s: the vocabulary lacks the unknown token \"%s\"", file, options->unknown);
    else if (options->max_characters > CEI_WORDPIECE_MAX_CHARACTERS)
        status =
            cei_fail(error, CE_ERR_UNSUPPORTED, "%s: max_input_chars_per_word is %zu, and this build goes up to %d",
                     file, options->max_characters, CEI_WORDPIECE_MAX_CHARACTERS);
    else if (!add_continuing(made, options->prefix))
        status = cei_fail_memory(error, "the vocabulary", 0);
    if (status != CE_OK) goto fail;
    *model = (cei_token_model){&wordpiece_ops, made, made->whole.count, made->whole.largest_id};
    return CE_OK;
fail:
    if (made) free_model(made);
    cei_vocabulary_free(vocabulary);
    return status;
}
