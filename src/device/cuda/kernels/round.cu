/* round.cu - activations for products of low precision. As integers, as cei_activation_scale says, to the bit: a warp a
 * row; integers and zeros are held less 128, so that they are signed bytes; their differences are what counts. And as
 * bfloat16 or float16, of which a thread rounds eight. Rows follow each other, or lie in tiles. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"
#include "device/cuda/kernels/rounding.h"
#include "device/cuda/kernels/tiles.h"

/* To the nearest whole number, ties to even, of a value below 2^22. */
CEI_INLINE float cei_nearest(float x) { return (x + 0x1.8p+23f) - 0x1.8p+23f; }

/* Extremes over a warp; an order that is not numbers' own cannot come up, since a NaN is never taken. */
CEI_INLINE float cei_warp_most(float value) {
    for (unsigned mask = CEI_WARP / 2; mask > 0; mask /= 2) {
        const float other = cei_shuffle_xor(value, mask);
        value = other > value ? other : value;
    }
    return value;
}

CEI_KERNEL(cei_k_round, CEI_ROWS_THREADS, cei_round_kernel_args) {
    const unsigned row = cei_block_x() * CEI_ROWS_OF_BLOCK + cei_thread() / CEI_WARP, lane = cei_thread() % CEI_WARP;
    if (row >= a.rows) return; /* a whole warp */
    const float *x = a.x + (unsigned long long)row * a.columns, smallest = 0x1p-126f;
    signed char *rounded = a.rounded + (unsigned long long)row * a.stride;
    const unsigned width = a.tiles ? a.tiles * CEI_TILE_WIDTH : a.stride;
    float least = 0, most = 0;
    for (unsigned i = lane; i < a.columns; i += CEI_WARP) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    least = -cei_warp_most(-least);
    float scale = (cei_warp_most(most) - least) / 255;
    if (!(scale >= smallest) || scale == CEI_INFINITY) scale = 0;
    const float inverse = scale > 0 ? 1 / scale : 0, zero = scale > 0 ? cei_nearest(-least * inverse) : 0;
    for (unsigned i = lane; i < width; i += CEI_WARP) {
        float q = i < a.columns ? cei_nearest(x[i] * inverse) + zero : 128;
        q = q > 255 ? 255 : q > 0 ? q : 0; /* a NaN is 0 */
        *(a.tiles ? a.rounded + cei_tile_place(row, i, a.tiles) : rounded + i) = (signed char)((int)q - 128);
    }
    if (lane > 0) return;
    a.scales[row] = scale;
    a.zeros[row] = (int)zero - 128;
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
