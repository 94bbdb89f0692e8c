/* attention_halves.cu - attention on tensor cores, of matrices whose rows the layer before has rounded to halves
 * already: attention_tensor.h says how, and attention_tensor.cu for which heads; bits are those that float32 between
 * them gives. In images for capability 9.0, whose layers leave such rows. A row is a multiple of 16 bytes, aligned;
 * strides are columns.
 *
 * Tiles come into shared memory as they are (cp.async), those of keys and values while the ones before are multiplied.
 * Queries stay there, too, and are read for each tile, so that registers are left for a fourth block. */
#ifdef CEI_GROUPS
#include "device/cuda/kernels/attention_tensor.h"

enum {
    CEI_H_COPIES = CEI_T_KEYS * CEI_T_CHUNKS / CEI_ATTENTION_THREADS, /* of a tile, a thread's */
    CEI_H_BYTES = sizeof(cei_half_rows),
    CEI_H_STAGE = 2 * CEI_H_BYTES
};

/* Queries; then two stages of keys, and behind them values: those at hand, and those that are on their way. */
typedef struct cei_half_tiles {
    cei_half_rows queries, stages[2][2];
} cei_half_tiles;

/* Columns of a head, from the first of some rows on. */
typedef struct cei_half_matrix {
    const unsigned char *at;
    unsigned row_bytes;
} cei_half_matrix;

CEI_INLINE cei_half_matrix cei_find_halves(const float *matrix, unsigned stride, unsigned long long row,
                                           unsigned column) {
    cei_half_matrix halves;
    halves.at = (const unsigned char *)matrix + (row * stride + column) * 2;
    halves.row_bytes = stride * 2;
    return halves;
}

/* Begins to copy rows [first, first + 64) of a head of so many steps; for one behind the last that one, of which
 * nothing comes. Threads across a row are a power of 2 that whole groups of 8 rows go with. */
CEI_INLINE void cei_begin_halves(cei_shared to, const cei_half_matrix *from, unsigned first, unsigned last,
                                 const unsigned steps) {
    const unsigned across = steps == 3 ? 8 : 2 * steps, dealt = CEI_ATTENTION_THREADS / across;
    const unsigned own = cei_thread() / across, chunk = cei_thread() % across;
    const unsigned char *chunks = from->at + chunk * CEI_CHUNK_BYTES;
    const cei_shared into = cei_row_chunk(to, own, chunk);
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_H_COPIES; i++) {
        const unsigned row = first + own + i * dealt;
        const unsigned long long at = (unsigned long long)(row < last ? row : last) * from->row_bytes;
        if (i * dealt >= CEI_T_KEYS || chunk >= 2 * steps) continue; /* to end would keep it a loop */
        cei_copy_chunk(into + i * dealt * CEI_T_CHUNKS * CEI_CHUNK_BYTES, chunks + at, true);
    }
}

/* The warp's 16 queries as fragments, a step over the columns each. */
CEI_INLINE void cei_load_halves(cei_shared tile, const unsigned steps, unsigned queries[CEI_T_STEPS][4]) {
    const unsigned lane = cei_thread() % CEI_WARP, row = cei_warp_query() + lane % 16;
    CEI_UNROLL
    for (unsigned step = 0; step < CEI_T_STEPS; step++)
        if (step < steps) cei_load_matrices(cei_row_chunk(tile, row, 2 * step + lane / 16), queries[step]);
}

/* steps is a constant for each size of head: all arrays are registers. */
CEI_INLINE void cei_attend_in_halves(const cei_attention_kernel_args *a, const cei_attention_block *block,
                                     cei_shared tiles, const unsigned steps) {
    const unsigned head = block->head * a->head_size, shared = block->head / a->shared * a->head_size;
    const cei_half_matrix q = cei_find_halves(a->q, a->q_stride, block->row, head);
    const cei_half_matrix k = cei_find_halves(a->k, a->k_stride, block->first_row, shared);
    const cei_half_matrix v = cei_find_halves(a->v, a->v_stride, block->first_row, shared);
    const unsigned end = cei_last_key(a, block, CEI_TENSOR_QUERIES);
    const float factor = a->scale * 0x1.715476p+0f; /* log2(e) */
    const cei_shared stages = tiles + CEI_H_BYTES;
    const cei_warp_sight sight = cei_find_warp_sight(a, block);
    cei_tensor_state state = {{-CEI_INFINITY, -CEI_INFINITY}, {0}, {{0}}};
    unsigned t = cei_first_tile(a, block, CEI_T_KEYS), stage = 0; /* where that begins */
    cei_begin_halves(tiles, &q, 0, block->queries - block->first_query - 1, steps);
    cei_begin_halves(stages, &k, t, end - 1, steps);
    cei_begin_halves(stages + CEI_H_BYTES, &v, t, end - 1, steps);
    cei_copy_commit();
    for (; t < end; t += CEI_T_KEYS, stage = CEI_H_STAGE - stage) {
        const bool is_seen = t < sight.end && t + CEI_T_KEYS > sight.first; /* the warp's threads alike */
        const cei_shared keys = stages + stage, next = stages + (CEI_H_STAGE - stage);
        cei_copy_wait(0);
        cei_barrier(); /* the tiles are there, and those before are done with */
        if (end - t > CEI_T_KEYS) {
            cei_begin_halves(next, &k, t + CEI_T_KEYS, end - 1, steps);
            cei_begin_halves(next + CEI_H_BYTES, &v, t + CEI_T_KEYS, end - 1, steps);
            cei_copy_commit();
        }
        if (is_seen) {
            unsigned queries[CEI_T_STEPS][4];
            float scores[CEI_T_KEYS / 8][4];
            cei_tile_weights weights;
            cei_load_halves(tiles, steps, queries);
            cei_score_tile(keys, steps, queries, scores);
            if (t < sight.first_of_all || t + CEI_T_KEYS > sight.end_of_all) cei_hide_keys(a, block, t, scores);
            cei_weigh_tile(factor, scores, &state, &weights);
            cei_mix_tile(keys + CEI_H_BYTES, steps, &weights, &state);
        }
    }
    cei_write_rows(a, &state, block, steps);
}

CEI_KERNEL_BLOCKS(cei_k_attention_halves, CEI_ATTENTION_THREADS, 4, cei_attention_kernel_args) {
    CEI_SHARED cei_half_tiles tiles;
    cei_attention_block block;
    if (!cei_find_block(&a, CEI_TENSOR_QUERIES, &block)) return;
    switch (a.head_size / 16) {
    case 1: cei_attend_in_halves(&a, &block, cei_shared_of(&tiles), 1); break;
    case 2: cei_attend_in_halves(&a, &block, cei_shared_of(&tiles), 2); break;
    case 3: cei_attend_in_halves(&a, &block, cei_shared_of(&tiles), 3); break;
    default: cei_attend_in_halves(&a, &block, cei_shared_of(&tiles), CEI_T_STEPS); break;
    }
}
#endif
