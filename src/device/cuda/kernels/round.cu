/* round.cu - activations for products of low precision. As integers, as cei_activation_scale says, to the bit: a warp a
 * row; integers and zeros are held less 128, so that they are signed bytes; their differences are what counts. And as
 * bfloat16, of which a thread rounds two. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

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
    float least = 0, most = 0;
    for (unsigned i = lane; i < a.columns; i += CEI_WARP) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    least = -cei_warp_most(-least);
    float scale = (cei_warp_most(most) - least) / 255;
    if (!(scale >= smallest) || scale == CEI_INFINITY) scale = 0;
    const float inverse = scale > 0 ? 1 / scale : 0, zero = scale > 0 ? cei_nearest(-least * inverse) : 0;
    for (unsigned i = lane; i < a.stride; i += CEI_WARP) {
        float q = i < a.columns ? cei_nearest(x[i] * inverse) + zero : 128;
        q = q > 255 ? 255 : q > 0 ? q : 0; /* a NaN is 0 */
        rounded[i] = (signed char)((int)q - 128);
    }
    if (lane > 0) return;
    a.scales[row] = scale;
    a.zeros[row] = (int)zero - 128;
}

/* To bfloat16, to nearest, ties to even; a NaN stays one. */
CEI_INLINE unsigned cei_round_bfloat16(float x) {
    const unsigned bits = cei_bits_of(x);
    return (x != x ? bits | 0x400000u : bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
}

CEI_KERNEL(cei_k_round_bfloat16, CEI_LINEAR_THREADS, cei_round_bfloat16_kernel_args) {
    const unsigned long long pair = (unsigned long long)cei_block_x() * CEI_LINEAR_THREADS + cei_thread();
    if (pair >= a.pairs) return;
    a.rounded[pair] = cei_round_bfloat16(a.x[2 * pair]) | cei_round_bfloat16(a.x[2 * pair + 1]) << 16;
}
