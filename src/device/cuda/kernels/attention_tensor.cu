/* attention_tensor.cu - attention on tensor cores, of matrices in float32: attention_tensor.h says how. Products of
 * halves are as quick as bfloat16's and err an eighth as much; what lies beyond their range, which nothing does in a
 * model that is sound, is taken for their greatest number. In images from capability 8.0 on, for heads of at most
 * CEI_TENSOR_HEAD columns, a multiple of 16, scales above 0, no caps, and rows of whole fours of aligned floats.
 *
 * While scores are made, the tile's values are on their way in registers, and while these are mixed the next keys are:
 * for between memory and shared memory they are rounded. */
#ifdef CEI_TENSOR
#include "device/cuda/kernels/attention_tensor.h"

enum { CEI_T_FOURS = CEI_T_KEYS * CEI_TENSOR_HEAD / 4 / CEI_ATTENTION_THREADS /* of a tile, a thread's */ };

/* A thread's part of a tile on its way. */
typedef struct cei_tile_part {
    cei_four_floats of[CEI_T_FOURS];
} cei_tile_part;

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
