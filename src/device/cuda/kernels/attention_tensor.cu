/* attention_tensor.cu - softmax(scale Q K^T) V on tensor cores, queries, keys, values and probabilities rounded to half
 * precision, sums in float32. Its products are as quick as bfloat16's and err an eighth as much; what lies beyond its
 * range, which nothing does in a model that is sound, is taken for its greatest number. In images from capability 8.0
 * on, for heads of at most CEI_TENSOR_HEAD columns, a multiple of 16, scales above 0, no caps, and rows of whole fours
 * of aligned floats. One pass over the keys, as in attention.h, in tiles of 64 from the sequence's own beginning; a
 * block takes 64 queries of one head of one sequence, a warp 16 of them.
 *
 * While scores are made, the tile's values are on their way in registers, and while these are mixed the next keys are:
 * for between memory and shared memory they are rounded. Scores stay in registers, where they lie as the fragments of
 * probabilities must. Four lanes share a row. Exponentials are powers of 2, by the chip's approximation (its error is
 * some 2^-22), since probabilities keep 11 bits.
 *
 * A query's result depends on its sequence alone: a tile that only its neighbours see multiplies by 1 and adds 0. */
#ifdef CEI_TENSOR
#include "device/cuda/kernels/attention.h"
#include "device/cuda/kernels/rounding.h"
#include "device/cuda/kernels/tensor.h"
#include "device/cuda/kernels/tiles.h"

enum {
    CEI_T_KEYS = 64,                                      /* of a tile */
    CEI_T_CHUNKS = CEI_TENSOR_HEAD * 2 / CEI_CHUNK_BYTES, /* of a row of halves */
    CEI_T_ROWS_BYTES = 16 * CEI_T_CHUNKS * CEI_CHUNK_BYTES,
    CEI_T_STEPS = CEI_TENSOR_HEAD / 16,                                    /* over the columns of a head */
    CEI_T_FOURS = CEI_T_KEYS * CEI_TENSOR_HEAD / 4 / CEI_ATTENTION_THREADS /* of a tile, a thread's */
};

/* Chunk c of row r is at c ^ r % 8: eight rows, eight groups of banks. */
typedef struct __attribute__((aligned(16))) cei_half_rows {
    cei_two_words fours[CEI_T_KEYS][2 * CEI_T_CHUNKS];
} cei_half_rows;

/* A thread's part of a tile on its way. */
typedef struct cei_tile_part {
    cei_four_floats of[CEI_T_FOURS];
} cei_tile_part;

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

/* How a tile's fours are dealt out: threads across a row, a power of 2 that whole groups of 8 rows go with. */
CEI_INLINE unsigned cei_threads_across(const unsigned steps) { return steps == 3 ? 16 : 4 * steps; }
CEI_INLINE unsigned cei_dealt_rows(const unsigned steps) { return CEI_ATTENTION_THREADS / cei_threads_across(steps); }

/* Reads the thread's fours of rows [0, last] of a matrix; for a row behind these the last, which nobody sees there. */
CEI_INLINE void cei_fetch_tile(cei_tile_part *part, const float *from, unsigned stride, unsigned last,
                               const unsigned steps) {
    const unsigned own = cei_thread() / cei_threads_across(steps), four = cei_thread() % cei_threads_across(steps);
    const unsigned char *at = (const unsigned char *)(from + (unsigned long long)own * stride + 4 * four);
    const int row_bytes = (int)(stride * sizeof *from), left = (int)last - (int)own;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_T_FOURS; i++) {
        const int on = (int)(i * cei_dealt_rows(steps)), rows = on < left ? on : left;
        if (on >= CEI_T_KEYS || four >= 4 * steps) continue; /* to end would keep it a loop */
        cei_read_four(at + (long long)rows * row_bytes, part->of[i].value);
    }
}

CEI_INLINE void cei_store_tile(cei_half_rows *rows, const cei_tile_part *part, const unsigned steps) {
    const unsigned own = cei_thread() / cei_threads_across(steps), four = cei_thread() % cei_threads_across(steps);
    const unsigned at = (four / 2 ^ own % 8) * 2 + four % 2;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_T_FOURS; i++) {
        const float *v = part->of[i].value;
        const cei_two_words halves = {{cei_round_halves(v[0], v[1]), cei_round_halves(v[2], v[3])}};
        if (i * cei_dealt_rows(steps) >= CEI_T_KEYS || four >= 4 * steps) continue;
        rows->fours[i * cei_dealt_rows(steps) + own][at] = halves;
    }
}

/* Of a tile's first 16 rows; those of the next lie CEI_T_ROWS_BYTES behind. */
CEI_INLINE cei_shared cei_row_chunk(cei_shared rows, unsigned row, unsigned chunk) {
    return cei_address_here(rows + (row * CEI_T_CHUNKS + (chunk ^ row % 8)) * CEI_CHUNK_BYTES);
}

/* The warp's 16 queries as fragments, a step over the columns each: a lane reads pairs of its two rows. Behind the last
 * row it is taken again. */
CEI_INLINE void cei_take_queries(const float *from, unsigned stride, unsigned last, const unsigned steps,
                                 unsigned queries[CEI_T_STEPS][4]) {
    const unsigned lane = cei_thread() % CEI_WARP, own = cei_lane_query();
    CEI_UNROLL
    for (unsigned i = 0; i < 4 * CEI_T_STEPS; i++) {
        if (i >= 4 * steps) continue;
        const unsigned row = own + i % 2 * 8, column = i / 4 * 16 + i % 4 / 2 * 8 + lane % 4 * 2;
        const float *at = from + (unsigned long long)(row < last ? row : last) * stride + column;
        const cei_two_floats pair = *(const cei_two_floats *)(const void *)at;
        queries[i / 4][i % 4] = cei_round_halves(pair.value[0], pair.value[1]);
    }
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

/* steps is a constant for each size of head: all arrays are registers. */
CEI_INLINE void cei_attend(const cei_attention_kernel_args *a, const cei_attention_block *block, cei_half_rows *of_keys,
                           cei_half_rows *of_values, const unsigned steps) {
    const unsigned head = block->head * a->head_size, end = cei_last_key(a, block, CEI_TENSOR_QUERIES);
    const float factor = a->scale * 0x1.715476p+0f; /* log2(e) */
    const cei_warp_sight sight = cei_find_warp_sight(a, block);
    cei_tensor_state state = {{-CEI_INFINITY, -CEI_INFINITY}, {0}, {{0}}};
    cei_tile_part part = {{{{0}}}};
    unsigned queries[CEI_T_STEPS][4] = {{0}}, t = cei_first_tile(a, block, CEI_T_KEYS);
    cei_tile_weights weights = {{{0}}, {0}};
    cei_fetch_tile(&part, block->k + (unsigned long long)t * a->k_stride, a->k_stride, end - t - 1, steps);
    cei_take_queries(a->q + block->row * a->q_stride + head, a->q_stride, block->queries - block->first_query - 1,
                     steps, queries);
    cei_store_tile(of_keys, &part, steps);
    for (; t < end; t += CEI_T_KEYS) {
        const bool is_seen = t < sight.end && t + CEI_T_KEYS > sight.first; /* the warp's threads alike */
        cei_fetch_tile(&part, block->v + (unsigned long long)t * a->v_stride, a->v_stride, end - t - 1, steps);
        cei_barrier(); /* the keys are there, and the values before are done with */
        if (is_seen) {
            float scores[CEI_T_KEYS / 8][4];
            cei_score_tile(cei_shared_of(of_keys), steps, queries, scores);
            if (t < sight.first_of_all || t + CEI_T_KEYS > sight.end_of_all) cei_hide_keys(a, block, t, scores);
            cei_weigh_tile(factor, scores, &state, &weights);
        }
        cei_store_tile(of_values, &part, steps);
        cei_barrier(); /* the values are there, and the keys are done with */
        const unsigned left = end - t, next = t + CEI_T_KEYS;
        const float *k = block->k + (unsigned long long)next * a->k_stride;
        if (left > CEI_T_KEYS) cei_fetch_tile(&part, k, a->k_stride, end - next - 1, steps);
        if (is_seen) cei_mix_tile(cei_shared_of(of_values), steps, &weights, &state);
        if (left > CEI_T_KEYS) cei_store_tile(of_keys, &part, steps);
    }
    cei_write_rows(a, &state, block, steps);
}

CEI_KERNEL_BLOCKS(cei_k_attention_tensor, CEI_ATTENTION_THREADS, 3, cei_attention_kernel_args) {
    CEI_SHARED cei_half_rows of_keys;
    CEI_SHARED cei_half_rows of_values;
    cei_attention_block block;
    if (!cei_find_block(&a, CEI_TENSOR_QUERIES, &block)) return;
    switch (a.head_size / 16) {
    case 1: cei_attend(&a, &block, &of_keys, &of_values, 1); break;
    case 2: cei_attend(&a, &block, &of_keys, &of_values, 2); break;
    case 3: cei_attend(&a, &block, &of_keys, &of_values, 3); break;
    default: cei_attend(&a, &block, &of_keys, &of_values, CEI_T_STEPS); break;
    }
}
#endif
