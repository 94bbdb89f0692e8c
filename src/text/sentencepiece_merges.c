/* sentencepiece_merges.c - the merges that a SentencePiece BPE model has without listing them.
 *
 * SentencePiece merges the two neighbours that make the piece with the best score. As a list: for each normal piece, in
 * the order of scores and then of ids, the ways to cut it into two normal pieces, the shortest left one first. */
#include "text/sentencepiece_spec.h"

#include "base/error.h"
#include "text/utf8.h"

#include <stdlib.h>

/* Longer ones would take long: a piece of n bytes is looked at n times. Published models have up to 64 bytes or so. */
#define LONGEST_PIECE 256

/* A piece, to be sorted. */
typedef struct ranked_piece {
    float score;
    int32_t id;
} ranked_piece;

static int compare_ranks(const void *a, const void *b) {
    const ranked_piece *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* What the merges are made of. */
typedef struct maker {
    cei_tokenizer_spec *spec;
    bool of_all; /* pieces of any kind, by their ids */
} maker;

static bool is_merged(const maker *make, size_t id) {
    return make->of_all || make->spec->sentencepiece.pieces[id].kind == CEI_PIECE_NORMAL;
}

/* The id of a piece that is merged; -1 if there is none. Of pieces that come twice the last one counts. */
static int32_t find_piece(const maker *make, uint64_t hash, const char *text, size_t size) {
    int32_t id = cei_vocabulary_get(&make->spec->vocabulary, hash, text, size);
    return id >= 0 && is_merged(make, (size_t)id) ? id : -1;
}

static uint64_t hash_of(const char *text, size_t size) {
    uint64_t hash = CEI_HASH_START;
    for (size_t i = 0; i < size; i++) hash = cei_hash_step(hash, text[i]);
    return hash;
}

static bool push_known(cei_merges *merges, int32_t left, int32_t right, int32_t made) {
    void *known = merges->known;
    bool grown = cei_grow(&known, &merges->known_capacity, merges->known_count + 1, sizeof *merges->known);
    merges->known = known;
    if (!grown) return false;
    merges->known[merges->known_count] = (cei_merge){left, right, (uint32_t)merges->known_count, made};
    merges->known_count++;
    return true;
}

/* All ways to make the piece of two. false if there is no memory. */
static bool push_cuts(const maker *make, int32_t id) {
    cei_tokenizer_spec *spec = make->spec;
    const cei_piece *piece = &spec->sentencepiece.pieces[id];
    uint64_t hash = CEI_HASH_START;
    for (size_t at = 0; at + 1 < piece->size;) {
        hash = cei_hash_step(hash, piece->text[at++]);
        if (!cei_utf8_is_boundary(piece->text[at])) continue;
        int32_t left = find_piece(make, hash, piece->text, at);
        if (left < 0) continue;
        const size_t rest = piece->size - at;
        int32_t right = find_piece(make, hash_of(piece->text + at, rest), piece->text + at, rest);
        if (right >= 0 && !push_known(&spec->merges, left, right, id)) return false;
    }
    return true;
}

/* The pieces that are merged, by rank, as many as *count. Errors: UNSUPPORTED, MEMORY. */
static ce_status rank_pieces(const maker *make, ranked_piece **out, size_t *count, ce_error *error) {
    const cei_tokenizer_spec *spec = make->spec;
    const cei_sentencepiece *model = &spec->sentencepiece;
    ranked_piece *ranked = cei_alloc(model->count, sizeof *ranked);
    *out = ranked;
    *count = 0;
    if (!ranked) return cei_fail_memory(error, "the merges", 0);
    for (size_t i = 0; i < model->count; i++) {
        const cei_piece *piece = &model->pieces[i];
        if (!is_merged(make, i)) continue;
        if (piece->size > LONGEST_PIECE)
            return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: piece %zu has %u bytes, and may have %d", spec->path, i,
                            (unsigned)piece->size, LONGEST_PIECE);
        if (find_piece(make, hash_of(piece->text, piece->size), piece->text, piece->size) == (int32_t)i)
            ranked[(*count)++] = (ranked_piece){make->of_all ? 0 : piece->score, (int32_t)i};
    }
    qsort(ranked, *count, sizeof *ranked, compare_ranks);
    return CE_OK;
}

ce_status cei_sentencepiece_merges(cei_tokenizer_spec *spec, bool of_all, ce_error *error) {
    const maker make = {spec, of_all};
    ranked_piece *ranked = NULL;
    size_t count = 0;
    ce_status status = rank_pieces(&make, &ranked, &count, error);
    for (size_t i = 0; i < count && status == CE_OK; i++)
        if (!push_cuts(&make, ranked[i].id)) status = cei_fail_memory(error, "the merges", 0);
    if (status == CE_OK && spec->merges.known_count >= (size_t)1 << 26)
        status = cei_fail(error, CE_ERR_UNSUPPORTED, "%s has %zu merges, and may have up to %d", spec->path,
                          spec->merges.known_count, (1 << 26) - 1);
    cei_free(ranked);
    return status;
}
