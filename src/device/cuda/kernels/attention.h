/* attention.h - softmax(scale S) V over packed sequences, in one pass over the keys (Dao et al. 2022): no matrix of
 * scores S is ever in memory. A block takes CEI_ATTENTION_QUERIES queries of one head of one sequence. What scores are
 * is the kernels': attention.cu and attention_relative.cu.
 *
 * Keys go by in tiles of 32 from the sequence's own beginning, and columns of a head in pieces of 64. Eight threads
 * share a query: its scores, its running maximum and sum, and its results, an eighth of the columns each. So a query's
 * result depends on its sequence alone, wherever in a tile it stands: a tile that only its neighbours see multiplies by
 * 1 and adds 0. */
#ifndef CEI_CUDA_ATTENTION_H
#define CEI_CUDA_ATTENTION_H

#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/math.h"

enum {
    CEI_KEYS = 32,  /* of a tile */
    CEI_PIECE = 64, /* columns */
    CEI_PIECES = CEI_ATTENTION_HEAD / CEI_PIECE,
    CEI_SHARERS = CEI_ATTENTION_THREADS / CEI_ATTENTION_QUERIES,
    CEI_SCORES = CEI_KEYS / CEI_SHARERS, /* of a thread */
    CEI_RESULTS = CEI_PIECE / CEI_SHARERS
};

typedef struct cei_attention_tile {
    float q[CEI_ATTENTION_QUERIES][CEI_ATTENTION_HEAD + 1];
    float rows[CEI_KEYS][CEI_PIECE + 1]; /* a piece of keys, then of values */
    float p[CEI_ATTENTION_QUERIES][CEI_KEYS + 1];
} cei_attention_tile;

/* Where a block is at work. Places are those of tokens in their sequence. */
typedef struct cei_attention_block {
    const float *k, *v;       /* of the sequence's first token, the head's first column */
    unsigned length, queries; /* of the sequence, and how many of them are asked for */
    unsigned first_query;     /* the block's first among those */
    unsigned first_place;     /* its place */
    unsigned head;
    unsigned first_row;     /* of k and v, the sequence's first token */
    unsigned long long row; /* of q and out, the first query's */
} cei_attention_block;

/* What a thread keeps of its query from tile to tile. */
typedef struct cei_attention_state {
    unsigned first, end; /* the keys that it sees */
    float most, sum;
    float results[CEI_PIECES][CEI_RESULTS];
} cei_attention_state;

/* The thread's query in the block, and its first key in a tile. */
CEI_INLINE unsigned cei_own_query(void) { return cei_thread() / CEI_SHARERS; }
CEI_INLINE unsigned cei_own_key(void) { return cei_thread() % CEI_SHARERS; }

/* Rows [0, count) of a matrix, columns [first, first + CEI_PIECE), with zeros behind the edges. */
CEI_INLINE void cei_load_rows(cei_attention_tile *tile, const float *from, unsigned stride, unsigned count,
                              unsigned first, unsigned columns) {
    for (unsigned i = cei_thread(); i < CEI_KEYS * CEI_PIECE; i += CEI_ATTENTION_THREADS) {
        const unsigned row = i / CEI_PIECE, column = first + i % CEI_PIECE;
        const bool inside = row < count && column < columns;
        tile->rows[row][i % CEI_PIECE] = inside ? from[(unsigned long long)row * stride + column] : 0;
    }
}

CEI_INLINE void cei_load_queries(cei_attention_tile *tile, const float *from, unsigned stride, unsigned count,
                                 unsigned columns) {
    for (unsigned i = cei_thread(); i < CEI_ATTENTION_QUERIES * columns; i += CEI_ATTENTION_THREADS) {
        const unsigned row = i / columns, column = i % columns;
        tile->q[row][column] = row < count ? from[(unsigned long long)row * stride + column] : 0;
    }
}

/* Adds the products of a piece, wide columns from first on, to the scores of the thread's keys: key, key + CEI_SHARERS,
 * ... of the tile. */
CEI_INLINE void cei_add_products(const cei_attention_tile *tile, unsigned first, unsigned wide,
                                 float scores[CEI_SCORES]) {
    const unsigned query = cei_own_query(), key = cei_own_key();
    for (unsigned c = 0; c < wide; c++) CEI_UNROLL
    for (unsigned i = 0; i < CEI_SCORES; i++)
        scores[i] = cei_fma(tile->q[query][first + c], tile->rows[key + i * CEI_SHARERS][c], scores[i]);
}

/* Where the block, of so many queries, is; false if it has nothing to do. Offsets that contradict themselves are not
 * followed. */
CEI_INLINE bool cei_find_block(const cei_attention_kernel_args *a, unsigned of_block, cei_attention_block *block) {
    const unsigned sequence = cei_block_x() / a->tiles;
    const unsigned first = (unsigned)a->offsets[sequence], end = (unsigned)a->offsets[sequence + 1];
    if (first > end || end > a->tokens) return false;
    block->length = end - first;
    block->queries = a->asked != CEI_ASKED_ALL && first < end ? 1 : end - first;
    block->first_query = cei_block_x() % a->tiles * of_block;
    block->first_place = a->asked == CEI_ASKED_LAST ? block->length - 1 : block->first_query;
    block->head = cei_block_y();
    block->first_row = first;
    block->row = (unsigned long long)(a->asked != CEI_ASKED_ALL ? sequence : first) + block->first_query;
    block->k = a->k + (unsigned long long)first * a->k_stride + block->head / a->shared * a->head_size;
    block->v = a->v + (unsigned long long)first * a->v_stride + block->head / a->shared * a->head_size;
    return block->first_query < block->queries;
}

/* The keys that the block's query `own` sees, from first to in front of end: see cei_attention_sees. */
CEI_INLINE void cei_find_sight(const cei_attention_kernel_args *a, const cei_attention_block *block, unsigned own,
                               unsigned *first, unsigned *end) {
    const unsigned place = block->first_place + own, length = block->length, window = a->window;
    const bool is_wide = window == 0 || window >= length;
    const unsigned last = a->is_causal ? place : is_wide || place + window >= length ? length - 1 : place + window;
    *first = is_wide || place < window ? 0 : place - window;
    *end = last < length ? last + 1 : length;
}

/* The keys that any query of a block of `of_block` sees: from the beginning of a tile of so many keys on, to the last.
 */
CEI_INLINE unsigned cei_first_tile(const cei_attention_kernel_args *a, const cei_attention_block *block,
                                   unsigned keys) {
    const bool is_all = a->window == 0 || a->window >= block->length || block->first_place < a->window;
    return is_all ? 0 : (block->first_place - a->window) / keys * keys;
}

CEI_INLINE unsigned cei_last_key(const cei_attention_kernel_args *a, const cei_attention_block *block,
                                 unsigned of_block) {
    const unsigned left = block->queries - block->first_query;
    const unsigned places = block->first_place + (left < of_block ? left : of_block); /* the place behind the block */
    const unsigned reach = a->is_causal ? 0 : a->window == 0 ? block->length : a->window;
    return block->length - places <= reach ? block->length : places + reach;
}

/* A score, of products that were added up. */
CEI_INLINE float cei_score_of(const cei_attention_kernel_args *a, float sum) {
    const float score = a->scale * sum;
    return a->cap > 0 ? a->cap * cei_tanh(score / a->cap) : score;
}

/* Probabilities of the tile's keys, which begin at place t, beside the running maximum; returns what all that came
 * before is worth now. */
CEI_INLINE float cei_weigh_keys(const cei_attention_kernel_args *a, cei_attention_tile *tile, float scores[CEI_SCORES],
                                unsigned t, cei_attention_state *state) {
    const unsigned query = cei_own_query(), key = cei_own_key();
    float most = state->most, sum = 0;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_SCORES; i++) {
        const unsigned place = t + key + i * CEI_SHARERS;
        scores[i] = cei_score_of(a, scores[i]);
        if (place >= state->first && place < state->end && !(scores[i] <= most)) most = scores[i];
    }
    for (unsigned mask = CEI_SHARERS / 2; mask > 0; mask /= 2) {
        const float other = cei_shuffle_xor(most, mask);
        if (!(other <= most)) most = other;
    }
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_SCORES; i++) {
        const unsigned place = t + key + i * CEI_SHARERS;
        const float p = place >= state->first && place < state->end ? cei_exp(scores[i] - most) : 0;
        tile->p[query][key + i * CEI_SHARERS] = p;
        sum += p;
    }
    for (unsigned mask = CEI_SHARERS / 2; mask > 0; mask /= 2) sum += cei_shuffle_xor(sum, mask);
    /* Both are -infinity while nothing was seen; 0 in the first tile that is, where most was -infinity. */
    const float kept = state->most == most ? 1 : cei_exp(state->most - most);
    state->sum = cei_fma(state->sum, kept, sum);
    state->most = most;
    return kept;
}

/* Adds the tile's values: columns first + sharer, first + sharer + CEI_SHARERS, ... of each piece are the thread's. */
CEI_INLINE void cei_mix_values(cei_attention_tile *tile, const float *v, unsigned stride, unsigned keys,
                               unsigned columns, float kept, cei_attention_state *state) {
    const unsigned query = cei_own_query(), sharer = cei_own_key();
    CEI_UNROLL
    for (unsigned piece = 0; piece < CEI_PIECES; piece++) {
        if (piece * CEI_PIECE >= columns) break; /* the same for all threads */
        cei_load_rows(tile, v, stride, keys, piece * CEI_PIECE, columns);
        cei_barrier(); /* which also shows the probabilities */
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_RESULTS; i++) {
            float sum = state->results[piece][i] * kept;
            for (unsigned t = 0; t < keys; t++)
                sum = cei_fma(tile->p[query][t], tile->rows[t][sharer + i * CEI_SHARERS], sum);
            state->results[piece][i] = sum;
        }
        cei_barrier();
    }
}

CEI_INLINE void cei_write_results(const cei_attention_state *state, float *out, unsigned columns) {
    CEI_UNROLL
    for (unsigned piece = 0; piece < CEI_PIECES; piece++) CEI_UNROLL
    for (unsigned i = 0; i < CEI_RESULTS; i++) {
        const unsigned column = piece * CEI_PIECE + cei_own_key() + i * CEI_SHARERS;
        if (column < columns) out[column] = state->results[piece][i] / state->sum;
    }
}

#endif
