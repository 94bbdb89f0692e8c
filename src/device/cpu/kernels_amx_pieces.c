/* kernels_amx_pieces.c - attention by bfloat16 products of AMX, in float32 and rounded: cei_cpu_pieces. Compiled and
 * called as kernels_amx.c is. Contracts in kernels.h.
 *
 * A float32 has 24 bits, a bfloat16 eight: each number is the sum of three pieces, and six products of pieces, summed
 * in float32, leave out what is below a product's last bit. Rounded, it is one piece. Of both products of attention the
 * transpose is taken, S^T = K Q^T and O^T = V^T P^T: sixteen queries are the lanes of a register then, their softmax
 * needs nothing across lanes, and exponentials, pair by pair, are rows of a tile as they come.
 *
 * A tile of queries meets the keys in blocks whose scores and weights stay in the first-level cache. Weights are taken
 * by the largest score of the first block; where a later one is much larger, what was summed up is scaled down to go
 * with that (the softmax of Milakov and Gimelshein 2018). Exponentials are other units' work than products: while a
 * block's are made, the next one is scored, and the values of the one before are added up.
 *
 * A query's bits depend on the query, on keys and values, and on nothing beside it. */
#include "device/cpu/kernels.h"

#include "device/cpu/amx.h"
#include "device/cpu/bfloat16_avx512.h"
#include "device/cpu/functions.h"
#include "device/cpu/transpose_avx512.h"

#include <stdbool.h>

/* Pieces of a number, the highest first, at most; bytes of a tile; terms of a step. */
enum { PIECES = 3, TILE = TILE_ROWS * STEP, PIECES_TILE = PIECES * TILE, TERMS = BFLOAT16_STEP };

/* What a function is compiled for: so many pieces of a number, 1 or all; heads of two steps, not one. */
typedef struct form {
    size_t pieces;
    bool is_deep;
} form;

/* Keys that are scored at once, in halves of a step each. */
enum { PAIRS = TILE_ROWS, HALVES = 2, BLOCK = HALVES * TERMS, BLOCK_TILES = BLOCK / TILE_ROWS };

/* Powers of two by which a later score may outweigh those that weights are taken by. */
enum { GROWTH = 16 };

/* Columns of a head in tiles, and in steps. */
enum { MOST_TILES = CEI_CPU_ATTEND_SIZE / LANES, MOST_STEPS = CEI_CPU_ATTEND_SIZE / TERMS };

/* ---- pieces ------------------------------------------------------------------------------------------------- */

/* Pieces of sixteen pairs of numbers, a pair's beside each other. */
typedef struct pieces {
    __m512i of[PIECES];
} pieces;

/* The upper half of each number of a, then of b: of b, the lower halves are replaced. */
INLINE __m512i join_upper(__m512i a, __m512i b) {
    enum { LANE_3 = 0x0F0E0F0E, LANE_2 = 0x0B0A0B0A, LANE_1 = 0x07060706, LANE_0 = 0x03020302 };
    const __mmask64 lower = 0x3333333333333333;
    return _mm512_mask_shuffle_epi8(b, lower, a, _mm512_set4_epi32(LANE_3, LANE_2, LANE_1, LANE_0));
}

/* What is left of x without its upper half. */
INLINE __m512 without_upper(__m512 x, __m512i upper) {
    const __m512i high = _mm512_and_si512(upper, _mm512_set1_epi32((int)0xFFFF0000));
    return _mm512_sub_ps(x, _mm512_castsi512_ps(high));
}

/* x, rounded so that the upper half is the nearest one, which leaves half as much. */
INLINE __m512i towards_upper(__m512 x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __mmask16 are_numbers = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q); /* others might become 0 */
    return _mm512_mask_add_epi32(bits, are_numbers, bits, _mm512_set1_epi32(0x8000));
}

INLINE pieces split_pairs(__m512 a, __m512 b, const bool is_rounded, const size_t count) {
    pieces p;
    if (count == 1) {
        p.of[0] = round_pairs(a, b);
        return p;
    }
    UNROLL for (int i = 0; i < PIECES; i++) {
        const __m512i a_upper = is_rounded ? towards_upper(a) : _mm512_castps_si512(a);
        const __m512i b_upper = is_rounded ? towards_upper(b) : _mm512_castps_si512(b);
        p.of[i] = join_upper(a_upper, b_upper);
        a = without_upper(a, a_upper), b = without_upper(b, b_upper);
    }
    return p;
}

/* Each piece to the same place of its own tile. */
INLINE void store_pieces(const pieces *p, uint8_t *to, const size_t count) {
    UNROLL for (size_t i = 0; i < count; i++) { _mm512_storeu_si512(to + i * TILE, p->of[i]); }
}

/* Sixteen rows of pairs become tiles of their transpose. */
INLINE void store_transposed(const pieces rows[TILE_ROWS], uint8_t *tiles, const size_t count) {
    for (size_t i = 0; i < count; i++, tiles += TILE) {
        __m512 piece[TILE_ROWS];
        UNROLL for (size_t r = 0; r < TILE_ROWS; r++) { piece[r] = _mm512_castsi512_ps(rows[r].of[i]); }
        transpose(piece);
        UNROLL for (size_t r = 0; r < TILE_ROWS; r++) { _mm512_storeu_ps(tiles + r * STEP, piece[r]); }
    }
}

/* So many numbers, 0 behind them. */
INLINE __m512 load_first(const float *from, size_t count) {
    return count >= LANES ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(first_bits(0, count), from);
}

/* ---- keys and values ----------------------------------------------------------------------------------------
 * A step of a row is 32 numbers, of which i and 16 + i are a pair. Keys: tiles of 16 rows, each step's pieces one
 * behind the other. Values: for each step of 32 tokens its tiles of 16 columns, all pieces of each, a column's tokens
 * in a row. What is behind the last token or column is 0. */

/* The pairs of a step of a row. */
INLINE pieces split_row(const float *row, size_t size, size_t step, const size_t count) {
    const float *from = row + step * TERMS;
    const size_t columns = size - step * TERMS;
    const __m512 none = _mm512_setzero_ps();
    return split_pairs(load_first(from, columns), columns > LANES ? load_first(from + LANES, columns - LANES) : none,
                       true, count);
}

static size_t steps_of(size_t size) { return (size + TERMS - 1) / TERMS; }

/* Tiles of columns that a head takes: those of whole steps. */
static size_t tiles_of(size_t size) { return steps_of(size) * (TERMS / LANES); }

INLINE void pack_rows(const float *k, size_t stride, size_t length, size_t size, uint8_t *tile, const size_t count) {
    const size_t steps = steps_of(size);
    for (size_t t = 0; t < steps_of(length) * TERMS; t += TILE_ROWS, tile += steps * count * TILE) {
        for (size_t r = 0; r < TILE_ROWS; r++) {
            for (size_t s = 0; s < steps; s++) {
                const pieces p = t + r < length ? split_row(k + (t + r) * stride, size, s, count) : (pieces){{{0}}};
                store_pieces(&p, tile + s * count * TILE + r * STEP, count);
            }
        }
    }
}

/* A tile of columns of a step of tokens. */
INLINE void pack_tile(const float *v, size_t stride, size_t tokens, size_t columns, uint8_t *tile, const size_t count) {
    pieces rows[TILE_ROWS];
    for (size_t r = 0; r < TILE_ROWS; r++) {
        const __m512 none = _mm512_setzero_ps();
        const __m512 a = r < tokens ? load_first(v + r * stride, columns) : none;
        const __m512 b = TILE_ROWS + r < tokens ? load_first(v + (TILE_ROWS + r) * stride, columns) : none;
        rows[r] = split_pairs(a, b, true, count);
    }
    store_transposed(rows, tile, count);
}

INLINE void pack_columns(const float *v, size_t stride, size_t length, size_t size, uint8_t *tile, const size_t count) {
    const size_t tiles = tiles_of(size);
    for (size_t t = 0; t < length; t += TERMS) {
        for (size_t c = 0; c < tiles; c++, tile += count * TILE) {
            const size_t columns = left(size, c * LANES);
            pack_tile(v + t * stride + (columns ? c * LANES : 0), stride, length - t, columns, tile, count);
        }
    }
}

/* ---- attention ---------------------------------------------------------------------------------------------- */

/* What lies in memory of the caller's. */
typedef struct attended {
    _Alignas(64) float scores[2][BLOCK][LANES];            /* of the next block and the one at hand */
    _Alignas(64) uint8_t weights[2][HALVES][PIECES_TILE];  /* of the block at hand and the one before */
    _Alignas(64) uint8_t queries[MOST_STEPS][PIECES_TILE]; /* of the tile that is scored */
    _Alignas(64) float sums[MOST_TILES][TILE_ROWS][LANES]; /* where sums are scaled, or become results */
} attended;

_Static_assert(sizeof(attended) <= CEI_CPU_ATTEND_FLOATS * sizeof(float), "the caller's memory has room");

/* Of the tile of queries whose block is at hand: the largest score, times scale log2(e), and the sum of weights; by
 * what the values that are summed up must be multiplied to go with this block. */
typedef struct attending {
    const cei_cpu_attending *of;
    attended *at;
    size_t blocks, items; /* of a tile; of all tiles */
    bool is_negative;     /* the scale */
    __m512 by, most, sum, shrunk;
    __m512 before;  /* the sum, without the block at hand */
    __m512 factors; /* of the tile before */
} attending;

/* Keys of an item's block. */
INLINE size_t keys_of(const attending *a, size_t item) {
    const size_t keys = left(a->of->length, item % a->blocks * BLOCK);
    return keys < BLOCK ? keys : BLOCK;
}

/* Queries of the tile that an item belongs to. */
INLINE size_t rows_of(const attending *a, size_t item) {
    const size_t rows = left(a->of->rows, item / a->blocks * TILE_ROWS);
    return rows < TILE_ROWS ? rows : TILE_ROWS;
}

INLINE void split_queries(attending *a, size_t item, const form f) {
    const cei_cpu_attending *of = a->of;
    const size_t first = item / a->blocks * TILE_ROWS, rows = rows_of(a, item);
    for (size_t s = 0; s < (f.is_deep ? 2 : 1); s++) {
        pieces split[TILE_ROWS];
        for (size_t r = 0; r < TILE_ROWS; r++)
            split[r] =
                r < rows ? split_row(of->q + (first + r) * of->q_stride, of->size, s, f.pieces) : (pieces){{{0}}};
        store_transposed(split, a->at->queries[s], f.pieces);
    }
    BARRIER();
}

/* ---- products -----------------------------------------------------------------------------------------------
 * The products of half a block go in slots, and after each come some of the exponentials: products wait for the one
 * before that added to the same sum, some 50 cycles, and loads of tiles take a core's whole width, exponentials
 * neither. Least products come first. */

enum { SLOTS = 12, SCORE_SLOTS = SLOTS / 2 };

/* What half of an item's block multiplies; NULL where there is nothing. */
typedef struct factors {
    const uint8_t *keys, *queries, *values, *weights;
} factors;

/* The three pieces of queries or weights, highest first, to tiles 4 to 6. */
INLINE void load_pieces(const uint8_t *from) {
    tile_load(4, from, STEP);
    tile_load(5, from + TILE, STEP);
    tile_load(6, from + 2 * TILE, STEP);
}

/* One piece of a tile of rows with those that go with it. */
#define ADD_PIECE(sum, rows, piece)                     \
    do {                                                \
        tile_load(7, (rows) + (piece)*TILE, STEP);      \
        if ((piece) < 1) tile_multiply_bf16(sum, 7, 6); \
        if ((piece) < 2) tile_multiply_bf16(sum, 7, 5); \
        tile_multiply_bf16(sum, 7, 4);                  \
    } while (0)

/* Heads of one step: scores of two tiles of keys, to tiles 2 and 3, then values, to 0 and 1. A slot is a piece of rows,
 * the lowest first. */
INLINE void multiply_one_step(const factors *f, const size_t slot) {
    const size_t piece = PIECES - 1 - slot % SCORE_SLOTS / 2;
    if (slot == 0 && f->keys) load_pieces(f->queries);
    if (slot == SCORE_SLOTS && f->values) load_pieces(f->weights);
    if (slot < SCORE_SLOTS && f->keys) {
        if (slot % 2 == 0) ADD_PIECE(2, f->keys, piece);
        if (slot % 2 == 1) ADD_PIECE(3, f->keys + PIECES_TILE, piece);
    } else if (slot >= SCORE_SLOTS && f->values) {
        if (slot % 2 == 0) ADD_PIECE(0, f->values, piece);
        if (slot % 2 == 1) ADD_PIECE(1, f->values + PIECES_TILE, piece);
    }
}

/* Heads of two steps: sums of values are in tiles 0 to 3, of scores in 4 and 5, and two are left. A slot is a pair of
 * pieces, of scores and of values in turns. */
INLINE void multiply_two_steps(const factors *f, const size_t slot) {
    const size_t of_rows[] = {2, 1, 1, 0, 0, 0}, of_others[] = {0, 0, 1, 1, 0, 2};
    const size_t row = of_rows[slot / 2] * TILE, other = of_others[slot / 2] * TILE;
    if (slot % 2 == 0 && f->keys) {
        for (size_t s = 0; s < MOST_STEPS; s++) {
            tile_load(7, f->queries + s * PIECES_TILE + other, STEP);
            tile_load(6, f->keys + s * PIECES_TILE + row, STEP);
            tile_multiply_bf16(4, 6, 7);
            tile_load(6, f->keys + (MOST_STEPS + s) * PIECES_TILE + row, STEP);
            tile_multiply_bf16(5, 6, 7);
        }
    } else if (slot % 2 == 1 && f->values) {
        tile_load(7, f->weights + other, STEP);
        tile_load(6, f->values + row, STEP);
        tile_multiply_bf16(0, 6, 7);
        tile_load(6, f->values + PIECES_TILE + row, STEP);
        tile_multiply_bf16(1, 6, 7);
        tile_load(6, f->values + 2 * PIECES_TILE + row, STEP);
        tile_multiply_bf16(2, 6, 7);
        tile_load(6, f->values + 3 * PIECES_TILE + row, STEP);
        tile_multiply_bf16(3, 6, 7);
    }
}

/* Heads of either, of one piece: what all share, queries or weights, is in tile 6. A slot is a tile of rows, or every
 * third is. */
INLINE void multiply_rounded(const factors *f, const size_t slot, const bool is_deep) {
    const size_t steps = is_deep ? MOST_STEPS : 1;
    if (slot < SCORE_SLOTS && f->keys) {
        const size_t every = is_deep ? 1 : 3, tile = slot / every % 2, step = slot / every / 2;
        if (step >= steps || slot % every) return;
        if (tile == 0) tile_load(6, f->queries + step * PIECES_TILE, STEP);
        tile_load(7, f->keys + (tile * steps + step) * TILE, STEP);
        if (is_deep) {
            if (tile == 0) tile_multiply_bf16(4, 7, 6);
            if (tile == 1) tile_multiply_bf16(5, 7, 6);
        } else {
            if (tile == 0) tile_multiply_bf16(2, 7, 6);
            if (tile == 1) tile_multiply_bf16(3, 7, 6);
        }
    } else if (slot >= SCORE_SLOTS && f->values) {
        const size_t every = is_deep ? 1 : 3, tile = (slot - SCORE_SLOTS) / every;
        if (tile >= 2 * steps || slot % every) return;
        if (tile == 0) tile_load(6, f->weights, STEP);
        tile_load(7, f->values + tile * TILE, STEP);
        if (tile == 0) tile_multiply_bf16(0, 7, 6);
        if (tile == 1) tile_multiply_bf16(1, 7, 6);
        if (tile == 2) tile_multiply_bf16(2, 7, 6);
        if (tile == 3) tile_multiply_bf16(3, 7, 6);
    }
}

INLINE void multiply_slot(const factors *f, const size_t slot, const form of) {
    if (of.pieces == 1)
        multiply_rounded(f, slot, of.is_deep);
    else if (of.is_deep)
        multiply_two_steps(f, slot);
    else
        multiply_one_step(f, slot);
}

/* Scores of two tiles of keys begin, and are stored. */
INLINE void begin_scores(const bool is_deep) {
    if (is_deep) {
        tile_clear(4);
        tile_clear(5);
    } else {
        tile_clear(2);
        tile_clear(3);
    }
}

INLINE void store_scores(float *to, const bool is_deep) {
    if (is_deep) {
        tile_store(4, to, STEP);
        tile_store(5, to + TILE_ROWS * LANES, STEP);
    } else {
        tile_store(2, to, STEP);
        tile_store(3, to + TILE_ROWS * LANES, STEP);
    }
}

INLINE void store_sums(attending *a, const bool is_deep) {
    tile_store(0, a->at->sums[0], STEP);
    tile_store(1, a->at->sums[1], STEP);
    if (is_deep) tile_store(2, a->at->sums[2], STEP);
    if (is_deep) tile_store(3, a->at->sums[3], STEP);
    BARRIER();
}

/* Sums of values begin for an item's tile, or shrink to go with the item's block. */
INLINE void begin_sums(attending *a, size_t item, const bool is_deep) {
    const __mmask16 shrinks = _mm512_cmp_ps_mask(a->shrunk, _mm512_set1_ps(1), _CMP_LT_OQ);
    if (item % a->blocks == 0) clear_sums(is_deep);
    if (item % a->blocks == 0 || !shrinks) return;
    store_sums(a, is_deep);
    for (size_t c = 0; c < (is_deep ? 4 : 2); c++)
        for (size_t r = 0; r < TILE_ROWS; r++)
            _mm512_storeu_ps(a->at->sums[c][r], _mm512_mul_ps(_mm512_loadu_ps(a->at->sums[c][r]), a->shrunk));
    BARRIER();
    tile_load(0, a->at->sums[0], STEP);
    tile_load(1, a->at->sums[1], STEP);
    if (is_deep) tile_load(2, a->at->sums[2], STEP);
    if (is_deep) tile_load(3, a->at->sums[3], STEP);
}

/* The sums of the tile that an item belongs to become results. */
INLINE void finish_sums(attending *a, size_t item, const bool is_deep) {
    const cei_cpu_attending *of = a->of;
    const size_t rows = rows_of(a, item);
    float *out = of->out + item / a->blocks * TILE_ROWS * of->out_stride;
    store_sums(a, is_deep);
    for (size_t c = 0; c < (is_deep ? 4 : 2) && c * LANES < of->size; c++) {
        const size_t columns = of->size - c * LANES;
        __m512 of_column[TILE_ROWS];
        UNROLL for (size_t r = 0; r < TILE_ROWS; r++) {
            of_column[r] = _mm512_mul_ps(_mm512_loadu_ps(a->at->sums[c][r]), a->factors);
        }
        transpose(of_column);
        for (size_t r = 0; r < rows; r++) {
            float *to = out + r * of->out_stride + c * LANES;
            if (columns >= LANES) /* masked stores are slow on some processors */
                _mm512_storeu_ps(to, of_column[r]);
            else
                _mm512_mask_storeu_ps(to, first_bits(0, columns), of_column[r]);
        }
    }
}

/* ---- weights ------------------------------------------------------------------------------------------------ */

/* 2^t for t <= GROWTH, as exact as so many pieces need; 2^-126 where it would be less, NaN for NaN. */
INLINE __m512 power_of_two(__m512 t, const size_t count) {
    enum { FLOOR = 0x09 }; /* no bits behind the point are kept from the subtraction; exceptions are not signalled */
    t = _mm512_max_ps(_mm512_set1_ps(-126), t);
    const __m512 f = _mm512_reduce_ps(t, FLOOR);
    __m512 y;
    if (count == 1) {
        y = _mm512_fmadd_ps(_mm512_set1_ps(POWER_4), f, _mm512_set1_ps(POWER_3));
        y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(POWER_2));
        y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(POWER_1));
        return _mm512_scalef_ps(_mm512_fmadd_ps(y, f, _mm512_set1_ps(1)), t);
    }
    y = _mm512_set1_ps(EXACT_POWER_6);
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(EXACT_POWER_5));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(EXACT_POWER_4));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(EXACT_POWER_3));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(EXACT_POWER_2));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(EXACT_POWER_1));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(1));
    return _mm512_scalef_ps(y, t);
}

/* Of a score and the one that counted most: the one that does; the second if the first is NaN. */
INLINE __m512 count_more(const attending *a, __m512 s, __m512 most) {
    return a->is_negative ? _mm512_min_ps(s, most) : _mm512_max_ps(s, most);
}

/* What scores count, times scale log2(e), at the most. */
INLINE __m512 find_most(const attending *a, const float *scores, size_t keys) {
    const __m512 least = _mm512_set1_ps(a->is_negative ? __builtin_inff() : -__builtin_inff());
    __m512 most[4] = {least, least, least, least};
    size_t i = 0;
    for (; i + 4 <= keys; i += 4) {
        UNROLL for (size_t h = 0; h < 4; h++) {
            most[h] = count_more(a, _mm512_loadu_ps(scores + (i + h) * LANES), most[h]);
        }
    }
    for (; i < keys; i++) most[0] = count_more(a, _mm512_loadu_ps(scores + i * LANES), most[0]);
    const __m512 upper = count_more(a, most[0], most[1]), lower = count_more(a, most[2], most[3]);
    return _mm512_mul_ps(count_more(a, upper, lower), a->by);
}

/* The weights of a tile are taken by what is largest in its first block, until check_weights finds them too large. */
INLINE void begin_weights(attending *a, size_t item) {
    a->shrunk = _mm512_set1_ps(1);
    a->before = a->sum;
    if (item % a->blocks) return;
    a->most = find_most(a, a->at->scores[item % 2][0], keys_of(a, item));
    a->sum = a->before = _mm512_setzero_ps();
}

/* The weight of a key. */
INLINE __m512 weigh(const attending *a, const float *scores, const size_t count) {
    return power_of_two(_mm512_fmsub_ps(_mm512_loadu_ps(scores), a->by, a->most), count);
}

/* One piece of each. NaN among them comes of bfloat16, so that nothing is carried into its sign. */
INLINE pieces round_weights(__m512 a, __m512 b) {
    const __m512i half = _mm512_set1_epi32(0x8000);
    return (pieces){
        {join_upper(_mm512_add_epi32(_mm512_castps_si512(a), half), _mm512_add_epi32(_mm512_castps_si512(b), half))}};
}

/* The share of a slot of the pairs of half an item's keys, of which there are so many, becomes weights. */
INLINE void weigh_share(attending *a, size_t item, size_t half, size_t keys, const size_t slot, const size_t count) {
    const float *scores = a->at->scores[item % 2][half * TERMS];
    uint8_t *to = a->at->weights[item % 2][half];
    const __m512 none = _mm512_setzero_ps();
    if (keys == 0) return;
    UNROLL for (size_t j = PAIRS * slot / SLOTS; j < PAIRS * (slot + 1) / SLOTS; j++) {
        __m512 e0 = none, e1 = none;
        if (keys >= TERMS || j < keys) e0 = weigh(a, scores + j * LANES, count);
        if (keys >= TERMS || PAIRS + j < keys) e1 = weigh(a, scores + (PAIRS + j) * LANES, count);
        const pieces p = count == 1 ? round_weights(e0, e1) : split_pairs(e0, e1, false, count);
        a->sum = _mm512_add_ps(a->sum, _mm512_add_ps(e0, e1));
        store_pieces(&p, to + j * STEP, count);
    }
}

/* Where weights of an item are so large that they were taken by too little, all of those queries are taken anew by what
 * is largest in it, and what was summed up before must shrink. Weights up to 2^GROWTH are as exact as those below 1. */
INLINE void check_weights(attending *a, size_t item, const form f) {
    const __m512 bound = _mm512_set1_ps(1 << GROWTH);
    const __mmask16 grows = _mm512_cmp_ps_mask(bound, _mm512_sub_ps(a->sum, a->before), _CMP_LT_OQ);
    const size_t keys = keys_of(a, item);
    if (item % a->blocks == 0 || !grows) return;
    const __m512 most = find_most(a, a->at->scores[item % 2][0], keys);
    a->shrunk = _mm512_mask_mov_ps(a->shrunk, grows, power_of_two(_mm512_sub_ps(a->most, most), f.pieces));
    a->most = _mm512_mask_mov_ps(a->most, grows, most);
    a->sum = _mm512_mul_ps(a->before, a->shrunk);
    for (size_t half = 0; half < HALVES; half++) {
        UNROLL for (size_t slot = 0; slot < SLOTS; slot++)
            weigh_share(a, item, half, left(keys, half * TERMS), slot, f.pieces);
    }
    BARRIER();
}

/* ---- all of it ---------------------------------------------------------------------------------------------- */

INLINE void prefetch_rows(const attending *a, size_t item) {
    if (item % a->blocks) return;
    for (size_t r = 0; r < rows_of(a, item); r++) prefetch_next(&a->of->next, item / a->blocks * TILE_ROWS + r);
}

/* What half of the scores of an item multiplies, and half of the values of the one before the last. */
INLINE factors find_factors(const attending *a, size_t scored, size_t half, const form of) {
    const size_t steps = of.is_deep ? 2 : 1, tiles = of.is_deep ? 4 : 2, mixed = scored - 2, bytes = of.pieces * TILE;
    factors f = {NULL, a->at->queries[0], NULL, NULL};
    if (scored < a->items && keys_of(a, scored) > half * TERMS) {
        const size_t tile = scored % a->blocks * BLOCK_TILES + 2 * half;
        f.keys = (const uint8_t *)a->of->keys + tile * steps * bytes;
    }
    if (scored > 1 && keys_of(a, mixed) > half * TERMS) {
        const size_t step = mixed % a->blocks * HALVES + half;
        f.values = (const uint8_t *)a->of->values + step * tiles * bytes;
        f.weights = a->at->weights[mixed % 2][half];
    }
    return f;
}

/* Item scored - 1 becomes weights while the next one is scored and the one before is mixed. */
INLINE void run_half(attending *a, size_t scored, size_t half, const form of) {
    const factors f = find_factors(a, scored, half, of);
    const size_t stored = of.pieces > 1 && of.is_deep ? SLOTS - 1 : SCORE_SLOTS;
    const size_t weighed = scored - 1;
    const size_t keys = scored > 0 && weighed < a->items ? left(keys_of(a, weighed), half * TERMS) : 0;
    BARRIER();
    if (f.keys) begin_scores(of.is_deep);
    UNROLL for (size_t slot = 0; slot < SLOTS; slot++) {
        multiply_slot(&f, slot, of);
        if (slot == stored && f.keys) store_scores(a->at->scores[scored % 2][half * TERMS], of.is_deep);
        weigh_share(a, weighed, half, keys, slot, of.pieces);
    }
    BARRIER();
}

INLINE void attend_items(attending *a, const form of) {
    for (size_t scored = 0; scored < a->items + 2; scored++) {
        const size_t weighed = scored - 1, mixed = scored - 2;
        const bool is_weighing = scored > 0 && weighed < a->items;
        const bool is_mixing = scored > 1;
        if (is_mixing) begin_sums(a, mixed, of.is_deep);
        if (is_weighing) begin_weights(a, weighed);
        if (scored < a->items && scored % a->blocks == 0) {
            split_queries(a, scored, of);
            prefetch_rows(a, scored);
        }
        for (size_t half = 0; half < HALVES; half++) run_half(a, scored, half, of);
        if (is_weighing) check_weights(a, weighed, of);
        if (is_mixing && scored % a->blocks == 1 % a->blocks) finish_sums(a, mixed, of.is_deep);
        if (is_weighing && scored % a->blocks == 0) a->factors = _mm512_div_ps(_mm512_set1_ps(1), a->sum);
    }
}

INLINE void attend_rows(const cei_cpu_attending *of, const size_t count) {
    const size_t blocks = (of->length + BLOCK - 1) / BLOCK, tiles = (of->rows + TILE_ROWS - 1) / TILE_ROWS;
    const __m512 none = _mm512_setzero_ps();
    attending a = {.of = of,
                   .at = (attended *)(void *)of->scratch,
                   .blocks = blocks,
                   .items = blocks * tiles,
                   .is_negative = of->scale < 0,
                   .by = _mm512_set1_ps(of->scale * LOG2_E),
                   .most = none,
                   .sum = none,
                   .shrunk = none,
                   .before = none,
                   .factors = none};
    if (!of->rows) return;
    BARRIER();
    configure(TILE_ROWS, TILE_ROWS);
    if (of->size <= TERMS)
        attend_items(&a, (form){count, false});
    else
        attend_items(&a, (form){count, true});
    _tile_release();
    BARRIER();
}

/* ---- the tables ---------------------------------------------------------------------------------------------- */

static void pack_keys(const float *k, size_t stride, size_t length, size_t size, void *keys) {
    pack_rows(k, stride, length, size, keys, PIECES);
}

static void pack_values(const float *v, size_t stride, size_t length, size_t size, void *values) {
    pack_columns(v, stride, length, size, values, PIECES);
}

static void attend(const cei_cpu_attending *of) { attend_rows(of, PIECES); }

static void pack_rounded_keys(const float *k, size_t stride, size_t length, size_t size, void *keys) {
    pack_rows(k, stride, length, size, keys, 1);
}

static void pack_rounded_values(const float *v, size_t stride, size_t length, size_t size, void *values) {
    pack_columns(v, stride, length, size, values, 1);
}

static void attend_rounded(const cei_cpu_attending *of) { attend_rows(of, 1); }

void cei_cpu_fill_amx_pieces(cei_cpu_kernels *kernels) {
    kernels->pieces = (cei_cpu_pieces){PIECES, pack_keys, pack_values, attend};
}

void cei_cpu_fill_amx_rounded(cei_cpu_kernels *kernels) {
    kernels->rounded = (cei_cpu_pieces){1, pack_rounded_keys, pack_rounded_values, attend_rounded};
}
