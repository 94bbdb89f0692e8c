/* attention.cu - scores are products of queries and keys; where there is a window, of those that a query sees. Blocks
 * and threads share the work as attention.h says. */
#include "device/cuda/kernels/attention.h"

/* Scores of the thread's keys in the tile of `keys` keys at k. */
CEI_INLINE void cei_score_keys(cei_attention_tile *tile, const float *k, unsigned stride, unsigned keys,
                               unsigned columns, float scores[CEI_SCORES]) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_SCORES; i++) scores[i] = 0;
    for (unsigned first = 0; first < columns; first += CEI_PIECE) {
        cei_load_rows(tile, k, stride, keys, first, columns);
        cei_barrier();
        cei_add_products(tile, first, columns - first < CEI_PIECE ? columns - first : CEI_PIECE, scores);
        cei_barrier();
    }
}

CEI_KERNEL(cei_k_attention, CEI_ATTENTION_THREADS, cei_attention_kernel_args) {
    CEI_SHARED cei_attention_tile tile;
    cei_attention_block block;
    if (!cei_find_block(&a, CEI_ATTENTION_QUERIES, &block)) return;
    cei_attention_state state = {0, 0, -CEI_INFINITY, 0, {{0}}};
    float scores[CEI_SCORES];
    const unsigned columns = a.head_size, head = block.head * columns,
                   end = cei_last_key(&a, &block, CEI_ATTENTION_QUERIES);
    cei_find_sight(&a, &block, cei_own_query(), &state.first, &state.end);
    cei_load_queries(&tile, a.q + block.row * a.q_stride + head, a.q_stride, block.queries - block.first_query,
                     columns);
    for (unsigned t = cei_first_tile(&a, &block, CEI_KEYS); t < end; t += CEI_KEYS) {
        const unsigned keys = end - t < CEI_KEYS ? end - t : CEI_KEYS;
        cei_score_keys(&tile, block.k + (unsigned long long)t * a.k_stride, a.k_stride, keys, columns, scores);
        const float kept = cei_weigh_keys(&a, &tile, scores, t, &state);
        cei_mix_values(&tile, block.v + (unsigned long long)t * a.v_stride, a.v_stride, keys, columns, kept, &state);
    }
    if (block.first_query + cei_own_query() < block.queries)
        cei_write_results(&state, a.out + (block.row + cei_own_query()) * a.heads * columns + head, columns);
}
