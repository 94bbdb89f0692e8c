/* integers.h - rows of activations as integers, as cei_activation_scale says, to the bit. They and zeros are held less
 * 128, so that they are signed bytes; their differences are what counts. Relies on args.h. */
#ifndef CEI_CUDA_INTEGERS_H
#define CEI_CUDA_INTEGERS_H

#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

/* A row's extremes, 0 among them, and what comes of them. */
typedef struct cei_extremes {
    float least, most;
} cei_extremes;

typedef struct cei_row_scale {
    float scale, inverse, zero;
} cei_row_scale;

/* To the nearest whole number, ties to even, of a value below 2^22. */
CEI_INLINE float cei_nearest(float x) { return (x + 0x1.8p+23f) - 0x1.8p+23f; }

/* A NaN is never taken. */
CEI_INLINE void cei_extend(cei_extremes *of, float x) {
    of->least = x < of->least ? x : of->least;
    of->most = x > of->most ? x : of->most;
}

CEI_INLINE void cei_extend_both(cei_extremes *of, float least, float most) {
    of->least = least < of->least ? least : of->least;
    of->most = most > of->most ? most : of->most;
}

/* Those of a warp's lanes; an order that is not numbers' own cannot come up. */
CEI_INLINE cei_extremes cei_warp_extremes(cei_extremes own) {
    CEI_UNROLL
    for (unsigned mask = CEI_WARP / 2; mask > 0; mask /= 2) {
        const float least = cei_shuffle_xor(own.least, mask), most = cei_shuffle_xor(own.most, mask);
        cei_extend_both(&own, least, most);
    }
    return own;
}

/* Those of the threads of so many warps, 1, 2 or 4, that share a row; the block's threads all come here. */
CEI_INLINE cei_extremes cei_row_extremes(cei_extremes own, unsigned warps, cei_extremes parts[CEI_ROWS_OF_BLOCK]) {
    const unsigned warp = cei_thread() / CEI_WARP, first = warp & ~(warps - 1);
    own = cei_warp_extremes(own);
    if (warps == 1) return own;
    if (cei_thread() % CEI_WARP == 0) parts[warp] = own;
    cei_barrier();
    for (unsigned i = 0; i < warps; i++) cei_extend_both(&own, parts[first + i].least, parts[first + i].most);
    return own;
}

CEI_INLINE cei_row_scale cei_scale_row(const cei_extremes *of) {
    const float smallest = 0x1p-126f;
    cei_row_scale row;
    row.scale = (of->most - of->least) / 255;
    if (!(row.scale >= smallest) || row.scale == CEI_INFINITY) row.scale = 0;
    row.inverse = row.scale > 0 ? 1 / row.scale : 0;
    row.zero = row.scale > 0 ? cei_nearest(-of->least * row.inverse) : 0;
    return row;
}

CEI_INLINE signed char cei_integer_of(const cei_row_scale *row, float x) {
    float q = cei_nearest(x * row->inverse) + row->zero;
    q = q > 255 ? 255 : q > 0 ? q : 0; /* a NaN is 0 */
    return (signed char)((int)q - 128);
}

/* Four of a row, as a word. */
CEI_INLINE unsigned cei_four_integers(const cei_row_scale *row, const float x[4]) {
    unsigned word = 0;
    CEI_UNROLL
    for (unsigned i = 0; i < 4; i++) word |= (unsigned)(unsigned char)cei_integer_of(row, x[i]) << 8 * i;
    return word;
}

CEI_INLINE void cei_write_scale(float *scales, int *zeros, unsigned row, const cei_row_scale *scale) {
    scales[row] = scale->scale;
    zeros[row] = (int)scale->zero - 128;
}

#endif
