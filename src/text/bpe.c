/* bpe.c - byte pair encoding: from words to the ids of their characters, which merge_table.c then merges.
 *
 * The vocabulary stays as the file has it. Where the alphabet of byte_level.h is in use, words come as bytes, and a
 * table says which token the character of a byte is; so nothing is ever spelled in that alphabet but a word that
 * ignore_merges looks for. */
#include "text/bpe.h"

#include "base/error.h"
#include "text/byte_level.h"
#include "text/merge_table.h"
#include "text/utf8.h"
#include "text/word_cache.h"

typedef struct bpe {
    cei_vocabulary vocabulary;
    cei_merge_table merges;
    uint64_t fingerprint; /* of all that decides about ids */
    bool byte_level, fuse_unknown, byte_fallback, ignore_merges;
    bool plain_bytes;      /* a byte's token does not depend on where in the word it stands */
    int32_t unknown;       /* -1 if there is none */
    int32_t byte_ids[256]; /* of plain_bytes, and of byte_fallback; -1 for none */
    uint16_t alphabet[256];
    char prefix[CEI_BPE_MAX_AFFIX + 1], suffix[CEI_BPE_MAX_AFFIX + 1];
    size_t prefix_size, suffix_size;
} bpe;

/* ---- characters ---- */

/* The token of a character, which stands first or last in its word or between. */
static int32_t find_character(const bpe *model, const char *character, size_t size, bool first, bool last) {
    char token[2 * CEI_BPE_MAX_AFFIX + 4];
    size_t length = 0;
    if (!first) {
        memcpy(token, model->prefix, model->prefix_size);
        length = model->prefix_size;
    }
    memcpy(token + length, character, size);
    length += size;
    if (last) {
        memcpy(token + length, model->suffix, model->suffix_size);
        length += model->suffix_size;
    }
    return cei_vocabulary_find(&model->vocabulary, token, length);
}

/* The token of the character that stands for a byte. */
static int32_t find_byte(const bpe *model, unsigned char byte, bool first, bool last) {
    char character[4];
    size_t size = cei_utf8_put(character, model->alphabet[byte]);
    return find_character(model, character, size, first, last);
}

/* The token of the character at *at of word, which moves behind it; -1 if there is none. */
static int32_t next_character(const bpe *model, const cei_word *word, size_t *at) {
    size_t start = *at;
    if (model->byte_level) {
        *at = start + 1;
        return find_byte(model, (unsigned char)word->data[start], start == 0, *at == word->size);
    }
    cei_utf8_next(word->data, at);
    return find_character(model, word->data + start, *at - start, start == 0, *at == word->size);
}

/* Are there tokens for all bytes of an unknown character? Writes them to ids if so. */
static bool fall_back(const bpe *model, const char *character, size_t size, int32_t *ids) {
    if (!model->byte_fallback) return false;
    for (size_t i = 0; i < size; i++)
        if ((ids[i] = model->byte_ids[(unsigned char)character[i]]) < 0) return false;
    return true;
}

/* Writes the tokens of the word's characters to ids; how many. An unknown one waits for the next known one, as in the
 * reference, where bytes overtake it; it takes a place that its own character left. */
static size_t spell(const bpe *model, const cei_word *word, int32_t *ids) {
    size_t count = 0;
    bool waiting = false;
    for (size_t at = 0; at < word->size;) {
        const size_t start = at;
        int32_t id =
            model->plain_bytes ? model->byte_ids[(unsigned char)word->data[at++]] : next_character(model, word, &at);
        if (id < 0 && fall_back(model, word->data + start, at - start, ids + count)) {
            count += at - start;
            continue;
        }
        if (waiting && (id >= 0 || !model->fuse_unknown)) ids[count++] = model->unknown;
        if (id >= 0) ids[count++] = id;
        waiting = id < 0 && model->unknown >= 0;
    }
    if (waiting) ids[count++] = model->unknown;
    return count;
}

/* ---- words ---- */

/* The token that the whole word is; -1 if it is none. false if there is no memory. */
static bool find_whole(const bpe *model, const cei_word *word, cei_bytes *work, int32_t *id) {
    const char *token = word->data;
    size_t size = word->size;
    if (model->byte_level) {
        work->size = 0;
        if (!cei_bytes_reserve(work, 2 * word->size)) return false;
        for (size_t i = 0; i < word->size; i++)
            work->size += cei_utf8_put(work->data + work->size, model->alphabet[(unsigned char)word->data[i]]);
        token = work->data;
        size = work->size;
    }
    *id = cei_vocabulary_find(&model->vocabulary, token, size);
    return true;
}

/* Writes the word's tokens to ids, which has room for one a byte. false if there is no memory. */
static bool split_word(const bpe *model, const cei_word *word, cei_bytes *work, int32_t *ids, size_t *count) {
    int32_t whole = -1;
    if (model->ignore_merges && !find_whole(model, word, work, &whole)) return false;
    if (whole >= 0) {
        ids[0] = whole;
        *count = 1;
        return true;
    }
    *count = spell(model, word, ids);
    return cei_merge_all(&model->merges, ids, count, work);
}

static const char kind[] = "BPE";

static void keep(cei_cached_word *entry, const uint64_t key[4], size_t size, const int32_t *ids, size_t count) {
    if (count > CEI_CACHED_TOKENS) return;
    memcpy(entry->key, key, sizeof entry->key);
    entry->size = (uint8_t)size;
    entry->count = (uint8_t)count;
    memcpy(entry->ids, ids, count * sizeof *ids);
}

static bool encode_word(const bpe *model, const cei_word *word, cei_model_scratch *scratch, int32_t *ids,
                        size_t *count) {
    uint64_t key[4];
    if (word->size == 0 || word->size > CEI_CACHED_BYTES) return split_word(model, word, &scratch->work, ids, count);
    cei_word_key(word->data, word->size, key);
    cei_cached_word *entry = cei_word_entry(scratch->cache, key, word->size);
    if (cei_word_is(entry, key, word->size)) {
        *count = entry->count;
        for (size_t i = 0; i < entry->count; i++) ids[i] = entry->ids[i];
        return true;
    }
    if (!split_word(model, word, &scratch->work, ids, count)) return false;
    keep(entry, key, word->size, ids, *count);
    return true;
}

static bool encode(const void *state, const cei_word *words, size_t count, cei_model_scratch *scratch,
                   cei_token_buffer *buffer) {
    const bpe *model = state;
    if (!cei_model_cache(scratch, kind, model->fingerprint, (size_t)1 << CEI_CACHE_BITS, sizeof(cei_cached_word)))
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t room = words[i].size, made = 0;
        if (!cei_token_buffer_reserve(buffer, room)) return false;
        if (!encode_word(model, &words[i], scratch, buffer->ids + buffer->count, &made)) return false;
        buffer->count += made;
    }
    return true;
}

static int32_t find(const void *state, const char *token, size_t size) {
    return cei_vocabulary_find(&((const bpe *)state)->vocabulary, token, size);
}

static void free_model(void *state) {
    bpe *model = state;
    cei_vocabulary_free(&model->vocabulary);
    cei_merge_table_free(&model->merges);
    cei_free(model);
}

static const cei_token_model_ops bpe_ops = {kind, encode, find, free_model};

/* ---- making one ---- */

static int shown(size_t size) { return size < 60 ? (int)size : 60; }

static ce_status missing(const char *file, const char *token, size_t size, size_t index, ce_error *error) {
    return cei_fail(error, CE_ERR_FORMAT, "%s: merge %zu needs the token \"%.*s\", which the vocabulary lacks", file,
                    index + 1, shown(size), token);
}

/* What left and right make: right loses the prefix of characters within a word. */
static ce_status add_merge(bpe *model, const char *text, cei_merge_sizes sizes, size_t index, cei_bytes *work,
                           const char *file, ce_error *error) {
    const char *right = text + sizes.left;
    size_t cut = model->prefix_size;
    if (cut && (sizes.right <= cut || memcmp(right, model->prefix, cut) != 0))
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the second token of merge %zu lacks the prefix \"%s\"", file,
                        index + 1, model->prefix);
    work->size = 0;
    if (!cei_bytes_append(work, text, sizes.left) || !cei_bytes_append(work, right + cut, sizes.right - cut))
        return cei_fail_memory(error, "the merges", 0);
    const cei_vocabulary *vocabulary = &model->vocabulary;
    const cei_merge merge = {cei_vocabulary_find(vocabulary, text, sizes.left),
                             cei_vocabulary_find(vocabulary, right, sizes.right), (uint32_t)index,
                             cei_vocabulary_find(vocabulary, work->data, work->size)};
    if (merge.left < 0) return missing(file, text, sizes.left, index, error);
    if (merge.right < 0) return missing(file, right, sizes.right, index, error);
    if (merge.made < 0) return missing(file, work->data, work->size, index, error);
    cei_merge_table_add(&model->merges, &merge);
    return CE_OK;
}

static ce_status add_known(bpe *model, const cei_merges *merges, ce_error *error) {
    if (!cei_merge_table_create(&model->merges, merges->known_count)) return cei_fail_memory(error, "the merges", 0);
    for (size_t i = 0; i < merges->known_count; i++) cei_merge_table_add(&model->merges, &merges->known[i]);
    return CE_OK;
}

static ce_status add_merges(bpe *model, const cei_merges *merges, const char *file, ce_error *error) {
    if (merges->known_count > 0) return add_known(model, merges, error);
    if (merges->count >= CEI_TOKEN_ID_LIMIT)
        return cei_fail(error, CE_ERR_FORMAT, "%s has %zu merges, and may have up to %d", file, merges->count,
                        CEI_TOKEN_ID_LIMIT - 1);
    if (!cei_merge_table_create(&model->merges, merges->count)) return cei_fail_memory(error, "the merges", 0);
    cei_bytes work = {0};
    ce_status status = cei_bytes_reserve(&work, 1) ? CE_OK : cei_fail_memory(error, "the merges", 0);
    size_t at = 0;
    for (size_t i = 0; i < merges->count && status == CE_OK; i++) {
        status = add_merge(model, merges->text.data + at, merges->sizes[i], i, &work, file, error);
        at += (size_t)merges->sizes[i].left + merges->sizes[i].right;
    }
    cei_free(work.data);
    return status;
}

static ce_status copy_affix(const char *from, char *to, size_t *size, const char *file, ce_error *error) {
    *size = from ? strlen(from) : 0;
    if (*size > CEI_BPE_MAX_AFFIX)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the affix \"%.60s...\" has %zu bytes, and may have %d", file,
                        from, *size, CEI_BPE_MAX_AFFIX);
    if (*size) memcpy(to, from, *size);
    return CE_OK;
}

/* Fills the tables of bytes. Is there a token for each of them? */
static bool find_bytes(bpe *model) {
    bool all = model->plain_bytes;
    cei_byte_level_alphabet(model->alphabet);
    for (unsigned byte = 0; byte < 256 && model->plain_bytes; byte++) {
        model->byte_ids[byte] = find_byte(model, (unsigned char)byte, true, true);
        all = all && model->byte_ids[byte] >= 0;
    }
    char name[CEI_BYTE_NAME];
    for (unsigned byte = 0; byte < 256 && model->byte_fallback; byte++) {
        cei_byte_name(byte, name);
        model->byte_ids[byte] = cei_vocabulary_find(&model->vocabulary, name, sizeof name - 1);
    }
    return all;
}

/* An unknown token that no word ever needs may be missing, and is in published files. */
static ce_status set_options(bpe *model, const cei_bpe_options *options, const char *file, ce_error *error) {
    model->byte_level = options->byte_level;
    model->fuse_unknown = options->fuse_unknown;
    model->ignore_merges = options->ignore_merges;
    model->byte_fallback = options->byte_fallback && !options->byte_level;
    model->unknown = -1;
    ce_status status = copy_affix(options->prefix, model->prefix, &model->prefix_size, file, error);
    if (status == CE_OK) status = copy_affix(options->suffix, model->suffix, &model->suffix_size, file, error);
    if (status == CE_OK && model->byte_fallback && model->prefix_size + model->suffix_size > 0)
        status =
            cei_fail(error, CE_ERR_UNSUPPORTED,
                     "%s: the model's \"byte_fallback\" with a prefix or suffix is not supported by this build", file);
    if (status != CE_OK) return status;
    model->plain_bytes = model->byte_level && model->prefix_size == 0 && model->suffix_size == 0;
    bool complete = find_bytes(model);
    if (options->unknown)
        model->unknown = cei_vocabulary_find(&model->vocabulary, options->unknown, strlen(options->unknown));
    if (options->unknown && model->unknown < 0 && !complete)
        return cei_fail(error, CE_ERR_FORMAT, "%s: the vocabulary lacks the unknown token \"%.60s\"", file,
                        options->unknown);
    return CE_OK;
}

/* Two models of one fingerprint give the same ids, unless 64 bits deceive. */
static void take_fingerprint(bpe *model) {
    uint64_t sum = (uint64_t)model->byte_level << 2 | (uint64_t)model->fuse_unknown << 1 | model->ignore_merges;
    sum = cei_hash_spread((sum << 1 | model->byte_fallback) << 32 | (uint32_t)model->unknown);
    for (size_t i = 0; i < model->prefix_size; i++) sum = cei_hash_step(sum, model->prefix[i]);
    for (size_t i = 0; i <= model->suffix_size; i++) sum = cei_hash_step(sum, model->suffix[i]);
    for (size_t i = 0; i < model->vocabulary.slot_count; i++) {
        const cei_vocabulary_slot *slot = &model->vocabulary.slots[i];
        uint64_t hash = (uint64_t)slot->tag << 32 | (uint32_t)slot->id;
        if (slot->id >= 0) sum += cei_hash_spread(cei_hash_spread(hash) ^ slot->size);
    }
    for (size_t i = 0; i <= model->merges.mask; i++) {
        const cei_merge *merge = &model->merges.slots[i];
        uint64_t hash = (uint64_t)merge->left << 32 | (uint32_t)merge->right;
        if (merge->left >= 0) sum += cei_hash_spread(cei_hash_spread(hash) ^ merge->rank);
    }
    model->fingerprint = sum;
}

ce_status cei_bpe_create(cei_vocabulary *vocabulary, const cei_merges *merges, const cei_bpe_options *options,
                         const char *file, cei_token_model *model, ce_error *error) {
    bpe *made = cei_alloc_zeroed(1, sizeof *made);
    if (!made) {
        cei_vocabulary_free(vocabulary);
        return cei_fail_memory(error, "the tokenizer", sizeof *made);
    }
    made->vocabulary = *vocabulary;
    *vocabulary = (cei_vocabulary){0};
    ce_status status = set_options(made, options, file, error);
    if (status == CE_OK) status = add_merges(made, merges, file, error);
    if (status != CE_OK) {
        free_model(made);
        return status;
    }
    take_fingerprint(made);
    *model = (cei_token_model){&bpe_ops, made, made->vocabulary.count, made->vocabulary.largest_id};
    return CE_OK;
}
