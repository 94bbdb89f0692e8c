/* unigram.c - the best way to cut a word into pieces, by Viterbi's algorithm, as the reference adds and compares.
 *
 * From each place the running hash of what follows is looked up, character by character, until it begins no piece:
 * a filter in front says so, with one bit pattern for beginnings and one for pieces in the same word of memory. So a
 * word costs at most its size times that of the longest piece. Memory is the word's size times 16 bytes of scratch.
 *
 * Most words of a text were there before, and most misses of the processor's caches are in that search: so the scratch
 * memory keeps the ids of short words, each in the one place that its hash names. */
#include "text/unigram.h"

#include "base/error.h"
#include "text/byte_level.h"
#include "text/utf8.h"

#include <math.h>

/* How much less than the worst piece an unknown character scores. */
#define UNKNOWN_PENALTY 10.0

/* A word and its ids, in one line of the processor's cache. */
#define KEPT_BYTES 38
#define KEPT_IDS 6
typedef struct kept_word {
    int32_t ids[KEPT_IDS];
    uint8_t size, count; /* size is 0 in an empty place */
    char text[KEPT_BYTES];
} kept_word;

/* How many the scratch memory keeps. */
#define KEPT_WORDS 4096

typedef struct unigram {
    cei_vocabulary pieces;
    double *scores;
    uint64_t *filter;
    size_t filter_mask;
    uint64_t fingerprint; /* of all that decides about ids */
    int32_t unknown;
    double unknown_score;
    bool byte_fallback;
    int32_t bytes[256]; /* the ids of "<0x00>" to "<0xFF>", or -1 */
} unigram;

/* The best way to a place in the word. */
typedef struct node {
    double score;
    uint32_t start; /* of its last piece */
    int32_t id;     /* and its id; -1 if there is no way yet */
} node;

/* ---- the filter ---- */

static uint64_t beginning_bits(uint64_t mixed) {
    return UINT64_C(1) << (mixed & 31) | UINT64_C(1) << (mixed >> 5 & 31);
}

static uint64_t piece_bits(uint64_t mixed) {
    return UINT64_C(1) << (32 + (mixed >> 10 & 31)) | UINT64_C(1) << (32 + (mixed >> 15 & 31));
}

static uint64_t *filter_word(const unigram *model, uint64_t mixed) {
    return &model->filter[(size_t)(mixed >> 32) & model->filter_mask];
}

static void filter_add(const unigram *model, const char *piece, size_t size) {
    uint64_t hash = CEI_HASH_START;
    for (size_t i = 0; i < size; i++) {
        hash = cei_hash_step(hash, piece[i]);
        if (i + 1 < size && !cei_utf8_is_boundary(piece[i + 1])) continue;
        uint64_t mixed = cei_hash_spread(hash);
        *filter_word(model, mixed) |= beginning_bits(mixed) | (i + 1 == size ? piece_bits(mixed) : 0);
    }
}

static bool make_filter(unigram *model) {
    size_t words = 64;
    while (words < model->pieces.count / 2 && words <= SIZE_MAX / 16) words *= 2;
    model->filter = cei_alloc_zeroed(words, sizeof *model->filter);
    if (!model->filter) return false;
    model->filter_mask = words - 1;
    for (size_t i = 0; i < model->pieces.slot_count; i++) {
        const cei_vocabulary_slot *slot = &model->pieces.slots[i];
        if (slot->id >= 0) filter_add(model, model->pieces.bytes.data + slot->offset, slot->size);
    }
    return true;
}

/* ---- the lattice ---- */

/* A piece that leads to target. Of ways that are equally good the first found stays. */
static void relax(node *target, double score, size_t start, int32_t id) {
    if (target->id >= 0 && !(score > target->score)) return;
    *target = (node){score, (uint32_t)start, id};
}

/* All pieces that begin at start, the shortest first; the character there takes length bytes. */
static void spread_from(const unigram *model, const char *word, size_t size, size_t start, size_t length, node *nodes) {
    const double so_far = nodes[start].score;
    size_t limit = size - start < model->pieces.longest ? size : start + model->pieces.longest;
    uint64_t hash = CEI_HASH_START;
    bool single = false;
    for (size_t at = start; at < limit;) {
        do hash = cei_hash_step(hash, word[at++]);
        while (at < size && !cei_utf8_is_boundary(word[at]));
        uint64_t mixed = cei_hash_spread(hash), present = *filter_word(model, mixed);
        if ((present & beginning_bits(mixed)) != beginning_bits(mixed)) break;
        if ((present & piece_bits(mixed)) != piece_bits(mixed)) continue;
        int32_t id = cei_vocabulary_get_likely(&model->pieces, hash, word + start, at - start);
        if (id < 0) continue;
        relax(&nodes[at], model->scores[id] + so_far, start, id);
        single = single || at - start == length;
    }
    if (!single) relax(&nodes[start + length], model->unknown_score + so_far, start, model->unknown);
}

static size_t character_size(const char *word, size_t size, size_t at) {
    size_t end = at + 1;
    while (end < size && !cei_utf8_is_boundary(word[end])) end++;
    return end - at;
}

static void fill(const unigram *model, const char *word, size_t size, node *nodes) {
    for (size_t i = 0; i <= size; i++) nodes[i].id = -1;
    nodes[0].score = 0;
    for (size_t at = 0; at < size;) {
        size_t length = character_size(word, size, at);
        spread_from(model, word, size, at, length, nodes);
        at += length;
    }
}

/* ---- ids ---- */

/* Unknown text, which is of one piece with unknown text before it: ids are written backwards, before out. */
static int32_t *put_unknown(const unigram *model, const char *text, size_t size, int32_t *out) {
    int32_t id = cei_vocabulary_find(&model->pieces, text, size);
    bool fall_back = id < 0 && model->byte_fallback;
    for (size_t i = 0; i < size && fall_back; i++) fall_back = model->bytes[(unsigned char)text[i]] >= 0;
    if (!fall_back) {
        *--out = id >= 0 ? id : model->unknown;
        return out;
    }
    while (size > 0) *--out = model->bytes[(unsigned char)text[--size]];
    return out;
}

/* Writes the ids of the best way backwards from end, which has room before it for one id a byte; where they begin. */
static int32_t *trace(const unigram *model, const char *word, size_t size, const node *nodes, int32_t *end) {
    int32_t *out = end;
    for (size_t at = size; at > 0;) {
        size_t start = nodes[at].start;
        if (nodes[at].id != model->unknown) {
            *--out = nodes[at].id;
            at = start;
            continue;
        }
        while (start > 0 && nodes[start].id == model->unknown) start = nodes[start].start;
        out = put_unknown(model, word + start, at - start, out);
        at = start;
    }
    return out;
}

/* ---- words that were there before ---- */

static const char kind[] = "Unigram";

static size_t place_of(const char *word, size_t size) {
    uint64_t hash = size, eight;
    for (; size > 0; word += sizeof eight) {
        size_t part = size < sizeof eight ? size : sizeof eight;
        eight = 0;
        memcpy(&eight, word, part);
        hash = (hash ^ eight) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
        size -= part;
    }
    return (size_t)hash % KEPT_WORDS;
}

/* Searches for the word's ids, and writes them to out, which has room for one a byte; how many. 0 if there is no
 * memory. */
static size_t search(const unigram *model, const cei_word *word, cei_model_scratch *scratch, int32_t *out) {
    if (!cei_bytes_reserve(&scratch->work, (word->size + 1) * sizeof(node))) return 0;
    node *nodes = (node *)(void *)scratch->work.data;
    fill(model, word->data, word->size, nodes);
    int32_t *end = out + word->size, *first = trace(model, word->data, word->size, nodes, end);
    memmove(out, first, (size_t)(end - first) * sizeof *out);
    return (size_t)(end - first);
}

/* The same for a word that may be kept. */
static size_t recall(const unigram *model, const cei_word *word, cei_model_scratch *scratch, int32_t *out) {
    kept_word *kept = (kept_word *)scratch->cache + place_of(word->data, word->size);
    if (kept->size == word->size && memcmp(kept->text, word->data, word->size) == 0) {
        memcpy(out, kept->ids, sizeof kept->ids);
        return kept->count;
    }
    size_t count = search(model, word, scratch, out);
    if (count == 0 || count > KEPT_IDS) return count;
    kept->size = (uint8_t)word->size;
    kept->count = (uint8_t)count;
    memcpy(kept->ids, out, count * sizeof *out);
    memcpy(kept->text, word->data, word->size);
    return count;
}

static bool encode(const void *state, const cei_word *words, size_t count, cei_model_scratch *scratch,
                   cei_token_buffer *buffer) {
    const unigram *model = state;
    if (!cei_model_cache(scratch, kind, model->fingerprint, KEPT_WORDS, sizeof(kept_word))) return false;
    scratch->work.size = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t size = words[i].size;
        if (size >= UINT32_MAX || !cei_token_buffer_reserve(buffer, size + KEPT_IDS)) return false;
        int32_t *out = buffer->ids + buffer->count;
        size_t made =
            size <= KEPT_BYTES ? recall(model, &words[i], scratch, out) : search(model, &words[i], scratch, out);
        if (made == 0) return false;
        buffer->count += made;
    }
    return true;
}

/* ---- life ---- */

static int32_t find(const void *state, const char *token, size_t size) {
    return cei_vocabulary_find(&((const unigram *)state)->pieces, token, size);
}

static void free_model(void *state) {
    unigram *model = state;
    cei_vocabulary_free(&model->pieces);
    cei_free(model->scores);
    cei_free(model->filter);
    cei_free(model);
}

static const cei_token_model_ops unigram_ops = {kind, encode, find, free_model};

static void find_bytes(unigram *model) {
    char name[CEI_BYTE_NAME];
    for (unsigned byte = 0; byte < 256; byte++) {
        cei_byte_name(byte, name);
        model->bytes[byte] = cei_vocabulary_find(&model->pieces, name, sizeof name - 1);
    }
}

/* Two models of one fingerprint give the same ids, unless 64 bits deceive. */
static void take_fingerprint(unigram *model) {
    uint64_t sum = cei_hash_spread((uint64_t)model->unknown * 2 + model->byte_fallback + 1);
    for (size_t i = 0; i < model->pieces.slot_count; i++) {
        const cei_vocabulary_slot *slot = &model->pieces.slots[i];
        if (slot->id < 0) continue;
        uint64_t score, hash = (uint64_t)slot->tag << 32 | (uint32_t)slot->id;
        memcpy(&score, &model->scores[slot->id], sizeof score);
        sum += cei_hash_spread(cei_hash_spread(hash) ^ score ^ (uint64_t)slot->size << 56);
    }
    model->fingerprint = sum | 1;
}

static double worst_score(const cei_unigram_options *options) {
    double worst = INFINITY;
    for (size_t i = 0; i < options->count; i++)
        if (options->scores[i] < worst) worst = options->scores[i];
    return worst;
}

static ce_status check_unknown(const cei_unigram_options *options, const char *file, ce_error *error) {
    if (options->unknown == SIZE_MAX)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the model Unigram has no \"unk_id\", which this build needs",
                        file);
    if (options->unknown >= options->count)
        return cei_fail(error, CE_ERR_FORMAT, "%s: the \"unk_id\" is %zu, and there are %zu pieces", file,
                        options->unknown, options->count);
    return CE_OK;
}

ce_status cei_unigram_create(cei_vocabulary *vocabulary, cei_unigram_options *options, const char *file,
                             cei_token_model *model, ce_error *error) {
    ce_status status = check_unknown(options, file, error);
    unigram *made = status == CE_OK ? cei_alloc_zeroed(1, sizeof *made) : NULL;
    if (status == CE_OK && !made) status = cei_fail_memory(error, "the tokenizer", sizeof *made);
    if (status != CE_OK) return status;
    made->unknown = (int32_t)options->unknown;
    made->unknown_score = worst_score(options) - UNKNOWN_PENALTY;
    made->byte_fallback = options->byte_fallback;
    made->pieces = *vocabulary;
    made->scores = options->scores;
    *vocabulary = (cei_vocabulary){0};
    options->scores = NULL;
    *model = (cei_token_model){&unigram_ops, made, options->count, (int32_t)options->count - 1};
    find_bytes(made);
    take_fingerprint(made);
    /* The tokenizer owns the model from here on. */
    return make_filter(made) ? CE_OK : cei_fail_memory(error, "the vocabulary", 0);
}
