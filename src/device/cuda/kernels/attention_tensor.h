/* attention_tensor.h - what both kinds of attention on tensor cores share: softmax(scale Q K^T) V in one pass over the
 * keys, as in attention.h, in tiles of 64 from the sequence's own beginning; a block takes 64 queries of one head of
 * one sequence, a warp 16 of them. Queries, keys, values and probabilities are halves, sums float32.
 * attention_tensor.cu has matrices in float32, which it rounds, attention_halves.cu those that come rounded: the bits
 * are the same.
 *
 * Scores stay in registers, where they lie as the fragments of probabilities must. Four lanes share a row. Exponentials
 * are powers of 2, by the chip's approximation (its error is some 2^-22), since probabilities keep 11 bits.
 *
 * A query's result depends on its sequence alone: a tile that only its neighbours see multiplies by 1 and adds 0. */
#ifndef CEI_CUDA_ATTENTION_TENSOR_H
#define CEI_CUDA_ATTENTION_TENSOR_H

#include "device/cuda/kernels/attention.h"
#include "device/cuda/kernels/rounding.h"
#include "device/cuda/kernels/tensor.h"
#include "device/cuda/kernels/tiles.h"

enum {
    CEI_T_KEYS = 64,                                      /* of a tile */
    CEI_T_CHUNKS = CEI_TENSOR_HEAD * 2 / CEI_CHUNK_BYTES, /* of a row of halves */
    CEI_T_ROWS_BYTES = 16 * CEI_T_CHUNKS * CEI_CHUNK_BYTES,
    CEI_T_STEPS = CEI_TENSOR_HEAD / 16 /* over the columns of a head */
};

/* Chunk c of row r is at c ^ r % 8: eight rows, eight groups of banks. */
typedef struct __attribute__((aligned(16))) cei_half_rows {
    cei_two_words fours[CEI_T_KEYS][2 * CEI_T_CHUNKS];
} cei_half_rows;

/* The keys that any of a warp's queries sees, and those that all of them see. */
typedef struct cei_warp_sight {
    unsigned first, end, first_of_all, end_of_all;
} cei_warp_sight;

/* What a lane keeps of its two rows, lane / 4 and 8 below, from tile to tile. Of the sum each of four lanes has a part.
 */
typedef struct cei_tensor_state {
    float most[2], sum[2];             /* most: of scores as exponents of 2 */
    float results[CEI_T_STEPS * 2][4]; /* tiles of 8 columns */
} cei_tensor_state;

/* What a tile comes to: probabilities beside the running maximum, as fragments of 16 keys, and what of the rows'
 * results so far is kept. */
typedef struct cei_tile_weights {
    unsigned of[CEI_T_KEYS / 16][4];
    float kept[2];
} cei_tile_weights;

/* Of the block's queries, the warp's first, and the lane's first row. */
CEI_INLINE unsigned cei_warp_query(void) { return cei_thread() / CEI_WARP * 16; }
CEI_INLINE unsigned cei_lane_query(void) { return cei_warp_query() + cei_thread() % CEI_WARP / 4; }

/* Of a tile's first 16 rows; those of the next lie CEI_T_ROWS_BYTES behind. */
CEI_INLINE cei_shared cei_row_chunk(cei_shared rows, unsigned row, unsigned chunk) {
    return cei_address_here(rows + (row * CEI_T_CHUNKS + (chunk ^ row % 8)) * CEI_CHUNK_BYTES);
}

/* Scores of the warp's queries and the tile's keys, in tiles of 8 keys. */
CEI_INLINE void cei_score_tile(cei_shared keys, const unsigned steps, unsigned queries[CEI_T_STEPS][4],
                               float scores[CEI_T_KEYS / 8][4]) {
    const unsigned lane = cei_thread() % CEI_WARP;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_T_KEYS / 2; i++) scores[i / 4][i % 4] = 0;
    CEI_UNROLL
    for (unsigned step = 0; step < CEI_T_STEPS; step++) {
        if (step >= steps) continue;
        const cei_shared at = cei_row_chunk(keys, lane % 8 + lane / 16 * 8, 2 * step + lane / 8 % 2);
        CEI_UNROLL
        for (unsigned n = 0; n < CEI_T_KEYS / 16; n++) {
            unsigned of_keys[4];
            cei_load_matrices(at + n * CEI_T_ROWS_BYTES, of_keys);
            cei_multiply_half(queries[step], of_keys, scores[2 * n]);
            cei_multiply_half(queries[step], of_keys + 2, scores[2 * n + 1]);
        }
    }
}

/* Takes away what rows do not see of a tile that begins at place t. */
CEI_INLINE void cei_hide_keys(const cei_attention_kernel_args *a, const cei_attention_block *block, unsigned t,
                              float scores[CEI_T_KEYS / 8][4]) {
    CEI_UNROLL
    for (unsigned r = 0; r < 2; r++) {
        unsigned first, end;
        cei_find_sight(a, block, cei_lane_query() + 8 * r, &first, &end);
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_T_KEYS / 4; i++) {
            const unsigned place = t + cei_thread() % 4 * 2 + i / 2 * 8 + i % 2;
            if (place - first >= end - first) /* also in front of it, since there is nothing below 0 */
                scores[i / 2][2 * r + i % 2] = -CEI_INFINITY;
        }
    }
}

/* Scores become probabilities; factor makes exponents of 2 of them. */
CEI_INLINE void cei_weigh_tile(float factor, float scores[CEI_T_KEYS / 8][4], cei_tensor_state *state,
                               cei_tile_weights *weights) {
    CEI_UNROLL
    for (unsigned r = 0; r < 2; r++) {
        float most = -CEI_INFINITY, sum = 0;
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_T_KEYS / 8; i++)
            most = cei_greater(most, cei_greater(scores[i][2 * r], scores[i][2 * r + 1]));
        most = cei_greater(most, cei_shuffle_xor(most, 2));
        most = cei_greater(state->most[r], cei_greater(most, cei_shuffle_xor(most, 1)) * factor);
        const float base = most == -CEI_INFINITY ? 0 : most; /* nothing was seen yet: all is 0 */
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_T_KEYS / 8; i++) {
            float *pair = &scores[i][2 * r];
            pair[0] = cei_exp2(cei_fma(pair[0], factor, -base));
            pair[1] = cei_exp2(cei_fma(pair[1], factor, -base));
            sum += pair[0] + pair[1];
            weights->of[i / 2][i % 2 * 2 + r] = cei_pack_halves(pair[0], pair[1]);
        }
        weights->kept[r] = cei_exp2(state->most[r] - base);
        state->sum[r] = cei_fma(state->sum[r], weights->kept[r], sum);
        state->most[r] = most;
    }
}

/* Adds the tile's values. Fragments of V are transposed as they are read: 16 keys deep, 16 columns at a time. */
CEI_INLINE void cei_mix_tile(cei_shared values, const unsigned steps, const cei_tile_weights *weights,
                             cei_tensor_state *state) {
    const unsigned lane = cei_thread() % CEI_WARP;
    cei_shared at[CEI_T_STEPS];
    CEI_UNROLL
    for (unsigned step = 0; step < CEI_T_STEPS; step++)
        at[step] = cei_row_chunk(values, lane % 16, 2 * step + lane / 16);
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_T_STEPS * 8; i++) state->results[i / 4][i % 4] *= weights->kept[i % 4 / 2];
    CEI_UNROLL
    for (unsigned n = 0; n < CEI_T_KEYS / 16; n++) CEI_UNROLL
    for (unsigned step = 0; step < CEI_T_STEPS; step++) {
        unsigned of_values[4];
        if (step >= steps) continue;
        cei_load_transposed(at[step] + n * CEI_T_ROWS_BYTES, of_values);
        cei_multiply_half(weights->of[n], of_values, state->results[2 * step]);
        cei_multiply_half(weights->of[n], of_values + 2, state->results[2 * step + 1]);
    }
}

/* The lane's part of its two rows, as they are, or rounded for the layer that reads them next. */
CEI_INLINE void cei_write_rows(const cei_attention_kernel_args *a, const cei_tensor_state *state,
                               const cei_attention_block *block, const unsigned steps) {
    const unsigned head = block->head * a->head_size;
    CEI_UNROLL
    for (unsigned r = 0; r < 2; r++) {
        const unsigned own = cei_lane_query() + 8 * r;
        float sum = state->sum[r];
        sum += cei_shuffle_xor(sum, 2);
        sum += cei_shuffle_xor(sum, 1);
        const unsigned long long row = block->row + own;
        const unsigned first = head + cei_thread() % 4 * 2;
        float *to = a->out + row * a->heads * a->head_size + first;
        const float inverse = 1 / sum;
        CEI_UNROLL
        for (unsigned i = 0; i < 2 * CEI_T_STEPS; i++) {
            const float *from = &state->results[i][2 * r];
            /* Adding 0 makes a zero's sign what it is where tiles were seen that add nothing. */
            const cei_two_floats pair = {{cei_fma(from[0], inverse, 0), cei_fma(from[1], inverse, 0)}};
            if (i >= 2 * steps || block->first_query + own >= block->queries) continue;
            if (a->next)
                *(unsigned *)(void *)(a->next + cei_tile_place((unsigned)row, (first + 8 * i) * 2, a->next_tiles)) =
                    cei_round_pair(a->in_halves, pair.value[0], pair.value[1]);
            else
                *(cei_two_floats *)(void *)(to + 8 * i) = pair;
        }
    }
}

/* Of the warp's 16 rows; a warp of none sees nothing. */
CEI_INLINE cei_warp_sight cei_find_warp_sight(const cei_attention_kernel_args *a, const cei_attention_block *block) {
    cei_warp_sight sight;
    const unsigned own = cei_warp_query();
    cei_find_sight(a, block, own, &sight.first, &sight.end_of_all);
    cei_find_sight(a, block, own + 15, &sight.first_of_all, &sight.end);
    if (block->first_query + own >= block->queries) sight.end = 0;
    return sight;
}

#endif
