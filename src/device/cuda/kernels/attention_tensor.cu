/* attention_tensor.cu - softmax(scale Q K^T) V on tensor cores, queries, keys, values and probabilities rounded to half
 * precision, sums in float32. Its products are as quick as bfloat16's and err an eighth as much; what lies beyond its
 * range, which nothing does in a model that is sound, is taken for its greatest number. In images from capability 8.0
 * on, for heads of at most CEI_TENSOR_HEAD columns, a multiple of 16. One pass over the keys, as in attention.h, in
 * tiles of 64 from the sequence's own beginning; a block takes 64 queries of one head of one sequence, a warp 16 of
 * them.
 *
 * Scores stay in registers, where they lie as the fragments of probabilities must. Four lanes share a row. A query's
 * result depends on its sequence alone: a tile that only its neighbours see multiplies by 1 and adds 0. */
#ifdef CEI_TENSOR
#include "device/cuda/kernels/attention.h"
#include "device/cuda/kernels/rounding.h"
#include "device/cuda/kernels/tensor.h"
#include "device/cuda/kernels/tiles.h"

enum {
    CEI_T_KEYS = 64,                                       /* of a tile */
    CEI_T_CHUNKS = CEI_TENSOR_HEAD * 2 / CEI_CHUNK_BYTES,  /* of a row of halves */
    CEI_T_STEPS = CEI_TENSOR_HEAD / 16,                    /* over the columns of a head */
    CEI_T_WARPS = CEI_ATTENTION_THREADS / CEI_WARP_THREADS /* 16 queries each */
};

typedef struct cei_half_rows {
    cei_four_words chunks[CEI_T_KEYS][CEI_T_CHUNKS]; /* chunk c of row r at c ^ r % 8: eight rows, eight banks */
} cei_half_rows;

/* What a lane keeps of its two rows, lane / 4 and 8 below, from tile to tile. Of the sum each of four lanes has a part.
 */
typedef struct cei_tensor_state {
    unsigned first[2], end[2]; /* the keys that they see */
    float most[2], sum[2];
    float results[CEI_T_STEPS * 2][4]; /* tiles of 8 columns */
} cei_tensor_state;

/* A NaN stays one. */
CEI_INLINE float cei_clamp_half(float x) {
    const float most = 65504;
    return x < -most ? -most : x > most ? most : x;
}

CEI_INLINE unsigned cei_pack_pair(float low, float high) {
    return cei_pack_halves(cei_clamp_half(low), cei_clamp_half(high));
}

/* Eight values of a row, which are read four at a time where they are aligned. */
CEI_INLINE cei_four_words cei_round_chunk(const float *from, bool is_aligned) {
    cei_four_words chunk;
    CEI_UNROLL
    for (unsigned i = 0; i < 2; i++) {
        cei_four_floats four = {{0, 0, 0, 0}};
        if (is_aligned) {
            four = ((const cei_four_floats *)(const void *)from)[i];
        } else {
            CEI_UNROLL
            for (unsigned k = 0; k < 4; k++) four.value[k] = from[4 * i + k];
        }
        chunk.word[2 * i] = cei_pack_pair(four.value[0], four.value[1]);
        chunk.word[2 * i + 1] = cei_pack_pair(four.value[2], four.value[3]);
    }
    return chunk;
}

/* Rows [0, count) of a matrix, `steps` steps over the columns wide, and zeros behind them. */
CEI_INLINE void cei_load_rounded(cei_half_rows *rows, const float *from, unsigned stride, unsigned count,
                                 unsigned steps) {
    const unsigned chunks = 2 * steps;
    const bool is_aligned = stride % 4 == 0 && (unsigned long long)from % sizeof(cei_four_floats) == 0;
    const cei_four_words none = {{0, 0, 0, 0}};
    for (unsigned i = cei_thread(); i < CEI_T_KEYS * chunks; i += CEI_ATTENTION_THREADS) {
        const unsigned row = i / chunks, chunk = i % chunks;
        const float *at = from + (unsigned long long)row * stride + chunk * 8;
        rows->chunks[row][chunk ^ row % 8] = row < count ? cei_round_chunk(at, is_aligned) : none;
    }
}

CEI_INLINE cei_shared cei_row_chunk(cei_shared rows, unsigned row, unsigned chunk) {
    return rows + (row * CEI_T_CHUNKS + (chunk ^ row % 8)) * CEI_CHUNK_BYTES;
}

/* The warp's 16 queries as fragments, a step over the columns each. */
CEI_INLINE void cei_take_queries(cei_shared rows, unsigned steps, unsigned queries[CEI_T_STEPS][4]) {
    const unsigned lane = cei_thread() % CEI_WARP, row = cei_thread() / CEI_WARP * 16 + lane % 16;
    CEI_UNROLL
    for (unsigned step = 0; step < CEI_T_STEPS; step++)
        if (step < steps) cei_load_matrices(cei_row_chunk(rows, row, 2 * step + lane / 16), queries[step]);
}

/* Scores of the warp's queries and the tile's keys, in tiles of 8 keys. */
CEI_INLINE void cei_score_tile(cei_shared keys, unsigned steps, unsigned queries[CEI_T_STEPS][4],
                               float scores[CEI_T_KEYS / 8][4]) {
    const unsigned lane = cei_thread() % CEI_WARP;
    CEI_UNROLL
    for (unsigned n = 0; n < CEI_T_KEYS / 16; n++) {
        CEI_UNROLL
        for (unsigned i = 0; i < 8; i++) scores[2 * n + i / 4][i % 4] = 0;
        CEI_UNROLL
        for (unsigned step = 0; step < CEI_T_STEPS; step++) {
            unsigned of_keys[4];
            if (step >= steps) continue; /* all threads alike; a loop that ends early would not be unrolled */
            cei_load_matrices(cei_row_chunk(keys, n * 16 + lane % 8 + lane / 16 * 8, 2 * step + lane / 8 % 2), of_keys);
            cei_multiply_half(queries[step], of_keys, scores[2 * n]);
            cei_multiply_half(queries[step], of_keys + 2, scores[2 * n + 1]);
        }
    }
}

/* Scores become probabilities beside the running maximum, those of keys that a row does not see 0; returns in kept what
 * all that came before is worth now. The tile begins at place t. */
CEI_INLINE void cei_weigh_tile(const cei_attention_kernel_args *a, float scores[CEI_T_KEYS / 8][4], unsigned t,
                               cei_tensor_state *state, float kept[2]) {
    const unsigned column = t + cei_thread() % 4 * 2;
    CEI_UNROLL
    for (unsigned r = 0; r < 2; r++) {
        float most = state->most[r], sum = 0;
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_T_KEYS / 4; i++) {
            const unsigned place = column + i / 2 * 8 + i % 2;
            float *score = &scores[i / 2][2 * r + i % 2];
            *score = cei_score_of(a, *score);
            if (place >= state->first[r] && place < state->end[r] && !(*score <= most)) most = *score;
        }
        for (unsigned mask = 2; mask > 0; mask /= 2) {
            const float other = cei_shuffle_xor(most, mask);
            if (!(other <= most)) most = other;
        }
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_T_KEYS / 4; i++) {
            const unsigned place = column + i / 2 * 8 + i % 2;
            float *score = &scores[i / 2][2 * r + i % 2];
            *score = place >= state->first[r] && place < state->end[r] ? cei_exp(*score - most) : 0;
            sum += *score;
        }
        kept[r] = state->most[r] == most ? 1 : cei_exp(state->most[r] - most);
        state->sum[r] = cei_fma(state->sum[r], kept[r], sum);
        state->most[r] = most;
    }
}

/* Adds the tile's values. Fragments of V are transposed as they are read: 16 keys deep, 16 columns at a time. */
CEI_INLINE void cei_mix_tile(cei_shared values, unsigned steps, float p[CEI_T_KEYS / 8][4], const float kept[2],
                             cei_tensor_state *state) {
    const unsigned lane = cei_thread() % CEI_WARP;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_T_STEPS * 8; i++) state->results[i / 4][i % 4] *= kept[i % 4 / 2];
    CEI_UNROLL
    for (unsigned n = 0; n < CEI_T_KEYS / 16; n++) {
        const unsigned weights[4] = {cei_pack_pair(p[2 * n][0], p[2 * n][1]), cei_pack_pair(p[2 * n][2], p[2 * n][3]),
                                     cei_pack_pair(p[2 * n + 1][0], p[2 * n + 1][1]),
                                     cei_pack_pair(p[2 * n + 1][2], p[2 * n + 1][3])};
        CEI_UNROLL
        for (unsigned step = 0; step < CEI_T_STEPS; step++) {
            unsigned of_values[4];
            if (step >= steps) continue; /* as above */
            cei_load_transposed(cei_row_chunk(values, n * 16 + lane % 16, 2 * step + lane / 16), of_values);
            cei_multiply_half(weights, of_values, state->results[2 * step]);
            cei_multiply_half(weights, of_values + 2, state->results[2 * step + 1]);
        }
    }
}

/* The results of one of the lane's two rows, for the layer that reads them next: from a column of its matrix on. */
CEI_INLINE void cei_keep_row(const cei_attention_kernel_args *a, const cei_tensor_state *state, unsigned r, float sum,
                             unsigned row, unsigned first) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_T_STEPS * 2; i++) {
        const unsigned column = i * 8 + cei_thread() % 4 * 2;
        const float *pair = &state->results[i][2 * r];
        unsigned char *to = a->next + cei_tile_place(row, (first + column) * 2, a->next_tiles);
        if (column < a->head_size) *(unsigned *)(void *)to = cei_round_pair(pair[0] / sum, pair[1] / sum);
    }
}

/* The same, as they are. */
CEI_INLINE void cei_write_row(const cei_tensor_state *state, unsigned r, float sum, float *out, unsigned columns) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_T_STEPS * 4; i++) {
        const unsigned column = i / 2 * 8 + cei_thread() % 4 * 2 + i % 2;
        if (column < columns) out[column] = state->results[i / 2][2 * r + i % 2] / sum;
    }
}

CEI_KERNEL(cei_k_attention_tensor, CEI_ATTENTION_THREADS, cei_attention_kernel_args) {
    CEI_SHARED cei_half_rows of_keys;
    CEI_SHARED cei_half_rows of_values;
    cei_attention_block block;
    if (!cei_find_block(&a, CEI_TENSOR_QUERIES, &block)) return;
    const unsigned columns = a.head_size, head = block.head * columns, steps = columns / 16;
    const unsigned end = cei_last_key(&a, &block, CEI_TENSOR_QUERIES);
    const unsigned own = cei_thread() / CEI_WARP * 16 + cei_thread() % CEI_WARP / 4;
    const cei_shared keys = cei_shared_of(&of_keys), values = cei_shared_of(&of_values);
    cei_tensor_state state = {{0}, {0}, {-CEI_INFINITY, -CEI_INFINITY}, {0}, {{0}}};
    unsigned queries[CEI_T_STEPS][4] = {{0}};
    float scores[CEI_T_KEYS / 8][4], kept[2];
    CEI_UNROLL
    for (unsigned r = 0; r < 2; r++) cei_find_sight(&a, &block, own + 8 * r, &state.first[r], &state.end[r]);
    cei_load_rounded(&of_keys, a.q + block.row * a.q_stride + head, a.q_stride, block.queries - block.first_query,
                     steps);
    cei_barrier();
    cei_take_queries(keys, steps, queries);
    for (unsigned t = cei_first_tile(&a, &block, CEI_T_KEYS); t < end; t += CEI_T_KEYS) {
        cei_barrier(); /* the tiles before are done with */
        cei_load_rounded(&of_keys, block.k + (unsigned long long)t * a.k_stride, a.k_stride, end - t, steps);
        cei_load_rounded(&of_values, block.v + (unsigned long long)t * a.v_stride, a.v_stride, end - t, steps);
        cei_barrier();
        cei_score_tile(keys, steps, queries, scores);
        cei_weigh_tile(&a, scores, t, &state, kept);
        cei_mix_tile(values, steps, scores, kept, &state);
    }
    CEI_UNROLL
    for (unsigned r = 0; r < 2; r++) {
        float sum = state.sum[r];
        for (unsigned mask = 2; mask > 0; mask /= 2) sum += cei_shuffle_xor(sum, mask);
        const unsigned long long row = block.row + own + 8 * r;
        if (block.first_query + own + 8 * r >= block.queries) continue;
        if (a.next)
            cei_keep_row(&a, &state, r, sum, (unsigned)row, head);
        else
            cei_write_row(&state, r, sum, a.out + row * a.heads * columns + head, columns);
    }
}
#endif
