/* linear_group.cu - function(x W^T + bias) by warp groups of capability 9.0, bfloat16, float16 and integers: in large
 * tiles, and in small ones where there are too few large ones for the chip. The bits are the same. Also how weights
 * come into tiles, and back. */
#ifdef CEI_GROUPS
#include "device/cuda/kernels/math.h"
#include "device/cuda/kernels/results.h"
#include "device/cuda/kernels/rounding.h"
#include "device/cuda/kernels/tiles.h"

/* Functions that come in line, up to CEI_QUICK as cei_function numbers them; what others give is theirs to change. */
enum { CEI_QUICK = 1 };
CEI_INLINE float cei_quick(unsigned function, float x) { return function == CEI_QUICK ? cei_gelu_low(x) : x; }

/* Two results of a row, which lie side by side, the first in an even column: as float32, or rounded as this layer's
 * rows were, in tiles, or as attention rounds them, in rows. */
CEI_INLINE void cei_write_pair(const cei_group_kernel_args *a, unsigned row, unsigned column, float low, float high) {
    const unsigned outs = a->of.linear.weight.rows;
    float *out = a->of.linear.out + (unsigned long long)row * outs + column;
    if (a->next && a->next_tiles == 0) {
        if (column < outs)
            ((unsigned *)a->next)[((unsigned long long)row * outs + column) / 2] = cei_round_halves(low, high);
    } else if (a->next) {
        if (column / (CEI_TILE_WIDTH / 2) < a->next_tiles)
            *(unsigned *)((unsigned char *)a->next + cei_tile_place(row, column * 2, a->next_tiles)) =
                cei_round_pair(a->of.linear.weight.format == CEI_VALUES_FLOAT16, low, high);
    } else if (column + 1 < outs && outs % 2 == 0 && (unsigned long long)a->of.linear.out % 8 == 0) {
        const cei_two_floats pair = {{low, high}};
        *(cei_two_floats *)(void *)out = pair;
    } else {
        if (column < outs) out[0] = low;
        if (column + 1 < outs) out[1] = high;
    }
}

/* ---- bfloat16 -------------------------------------------------------------------------------------------------- */

#define GROUP_SUM float
#define GROUP_RESULT(a, sum, row, column) cei_biased(&(a)->of.linear, sum, column)

#define GROUP(name) cei_group_bfloat16_large_##name
#define GROUP_KERNEL cei_k_group_bfloat16
#define GROUP_TILE CEI_LARGE_TILE
#define GROUP_MULTIPLY cei_group_bfloat16_128
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_MULTIPLY

#define GROUP(name) cei_group_bfloat16_small_##name
#define GROUP_KERNEL cei_k_group_bfloat16_small
#define GROUP_TILE CEI_SMALL_TILE
#define GROUP_MULTIPLY cei_group_bfloat16_64
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_MULTIPLY

/* ---- float16 --------------------------------------------------------------------------------------------------- */

#define GROUP(name) cei_group_float16_large_##name
#define GROUP_KERNEL cei_k_group_float16
#define GROUP_TILE CEI_LARGE_TILE
#define GROUP_MULTIPLY cei_group_float16_128
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_MULTIPLY

#define GROUP(name) cei_group_float16_small_##name
#define GROUP_KERNEL cei_k_group_float16_small
#define GROUP_TILE CEI_SMALL_TILE
#define GROUP_MULTIPLY cei_group_float16_64
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_MULTIPLY
#undef GROUP_SUM
#undef GROUP_RESULT

/* ---- integers -------------------------------------------------------------------------------------------------- */

#define GROUP_SUM int
#define GROUP_RESULT(a, sum, row, column) cei_scaled(&(a)->of, sum, row, column)

#define GROUP(name) cei_group_int8_large_##name
#define GROUP_KERNEL cei_k_group_int8
#define GROUP_TILE CEI_LARGE_TILE
#define GROUP_MULTIPLY cei_group_int8_128
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_MULTIPLY

#define GROUP(name) cei_group_int8_small_##name
#define GROUP_KERNEL cei_k_group_int8_small
#define GROUP_TILE CEI_SMALL_TILE
#define GROUP_MULTIPLY cei_group_int8_64
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_MULTIPLY
#undef GROUP_SUM
#undef GROUP_RESULT

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* A thread moves a chunk of 16 bytes, and fills the row up to whole tiles behind its last one. */
CEI_KERNEL(cei_k_lay_tiles, CEI_LINEAR_THREADS, cei_tiles_kernel_args) {
    const unsigned long long i = (unsigned long long)cei_block_x() * CEI_LINEAR_THREADS + cei_thread();
    if (i >= a.count) return;
    const unsigned row = (unsigned)((a.first + i) / a.chunks), chunk = (unsigned)((a.first + i) % a.chunks);
    if (a.takes)
        a.rows[i] = *cei_tile_chunk(a.matrix, row, chunk, a.tiles);
    else
        cei_put_chunk(a.matrix, row, chunk, a.chunks, a.tiles, a.rows[i]);
}
#endif
