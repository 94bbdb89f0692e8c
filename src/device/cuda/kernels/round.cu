/* round.cu - activations for products of low precision. As integers: rows of whole fours are read once and held in
 * registers, by one, two or four warps, those of another width twice, by a warp. And as bfloat16 or float16, of which a
 * thread rounds eight. Rows follow each other, or lie in tiles. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"
#include "device/cuda/kernels/integers.h"
#include "device/cuda/kernels/rounding.h"
#include "device/cuda/kernels/tiles.h"

enum { CEI_ROUND_FOURS = CEI_ROUND_COLUMNS / 4 / CEI_ROWS_THREADS /* of a thread */ };

/* Where a row's bytes from `column` on are. */
CEI_INLINE signed char *cei_integers_at(const cei_round_kernel_args *a, unsigned row, unsigned column) {
    if (a->tiles) return a->rounded + cei_tile_place(row, column, a->tiles);
    return a->rounded + (unsigned long long)row * a->stride + column;
}

/* All warps of a block come here: they meet at a barrier. Blocks begin with the last rows, which were written last and
 * are in the second-level cache. */
CEI_INLINE void cei_round_at_once(const cei_round_kernel_args *a) {
    CEI_SHARED cei_extremes parts[CEI_ROWS_OF_BLOCK];
    const unsigned shift = a->warps / 2, warp = cei_thread() / CEI_WARP, first = warp & ~(a->warps - 1);
    const unsigned last = (a->rows - 1) >> (2 - shift);
    const unsigned row = (last - cei_block_x()) * (CEI_ROWS_OF_BLOCK >> shift) + (warp >> shift);
    const unsigned own = (warp - first) * CEI_WARP + cei_thread() % CEI_WARP, step = a->warps * CEI_WARP * 4;
    const unsigned width = a->tiles ? a->tiles * CEI_TILE_WIDTH : a->stride;
    const bool is_there = row < a->rows;
    float values[CEI_ROUND_FOURS][4] = {{0}};
    cei_extremes extremes = {0, 0};
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_ROUND_FOURS; i++) {
        const unsigned column = own * 4 + i * step;
        if (is_there && column < a->columns)
            cei_read_four(a->x + (unsigned long long)row * a->columns + column, values[i]);
    }
    CEI_UNROLL
    for (unsigned i = 0; i < 4 * CEI_ROUND_FOURS; i++) cei_extend(&extremes, values[i / 4][i % 4]);
    extremes = cei_row_extremes(extremes, a->warps, parts);
    const cei_row_scale scale = cei_scale_row(&extremes);
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_ROUND_FOURS; i++) {
        const unsigned column = own * 4 + i * step;
        const unsigned word = column < a->columns ? cei_four_integers(&scale, values[i]) : 0;
        if (is_there && column < width) *(unsigned *)(void *)cei_integers_at(a, row, column) = word;
    }
    if (is_there && own == 0) cei_write_scale(a->scales, a->zeros, row, &scale);
}

CEI_INLINE void cei_round_in_passes(const cei_round_kernel_args *a) {
    const unsigned row = cei_block_x() * CEI_ROWS_OF_BLOCK + cei_thread() / CEI_WARP, lane = cei_thread() % CEI_WARP;
    const unsigned width = a->tiles ? a->tiles * CEI_TILE_WIDTH : a->stride;
    const float *x = a->x + (unsigned long long)row * a->columns;
    cei_extremes extremes = {0, 0};
    if (row >= a->rows) return; /* a whole warp */
    for (unsigned i = lane; i < a->columns; i += CEI_WARP) cei_extend(&extremes, x[i]);
    extremes = cei_warp_extremes(extremes);
    const cei_row_scale scale = cei_scale_row(&extremes);
    for (unsigned i = lane; i < width; i += CEI_WARP)
        *cei_integers_at(a, row, i) = (signed char)(i < a->columns ? cei_integer_of(&scale, x[i]) : 0);
    if (lane == 0) cei_write_scale(a->scales, a->zeros, row, &scale);
}

CEI_KERNEL(cei_k_round, CEI_ROWS_THREADS, cei_round_kernel_args) {
    if (a.warps > 0)
        cei_round_at_once(&a);
    else
        cei_round_in_passes(&a);
}

/* Four values of a row, read at once where they are aligned. */
CEI_INLINE cei_four_floats cei_take_four(const float *from, bool is_aligned) {
    cei_four_floats four;
    if (is_aligned) return *(const cei_four_floats *)(const void *)from;
    CEI_UNROLL
    for (unsigned i = 0; i < 4; i++) four.value[i] = from[i];
    return four;
}

CEI_KERNEL(cei_k_round_16, CEI_LINEAR_THREADS, cei_round_16_kernel_args) {
    const unsigned long long at = (unsigned long long)cei_block_x() * CEI_LINEAR_THREADS + cei_thread();
    const bool is_aligned = (unsigned long long)a.x % sizeof(cei_four_floats) == 0;
    cei_four_words chunk;
    if (at >= a.count) return;
    CEI_UNROLL
    for (unsigned i = 0; i < 2; i++) {
        const cei_four_floats four = cei_take_four(a.x + 8 * at + 4 * i, is_aligned);
        chunk.word[2 * i] = cei_round_pair(a.in_halves, four.value[0], four.value[1]);
        chunk.word[2 * i + 1] = cei_round_pair(a.in_halves, four.value[2], four.value[3]);
    }
    if (a.tiles)
        cei_put_chunk(a.rounded, (unsigned)(at / a.chunks), (unsigned)(at % a.chunks), a.chunks, a.tiles, chunk);
    else
        a.rounded[at] = chunk;
}
