/* rotary.cu - rotary positions (Su et al. 2021): angles of positions, and turning pairs of columns by them. A block is
 * a position, or a row. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

/* cos x and sin x, both with errors below 1e-15, for |x| <= 2^31; beyond, NaN, which no position of a model asks. n
 * quarter turns are taken off in three steps, of which the first two are exact since pi / 2 is cut to 22 bits each
 * (Cody and Waite 1980); of the rest, at most an eighth turn, Taylor's series. */
CEI_INLINE void cei_cos_sin(double x, double *cosine, double *sine) {
    const double magic = 0x1.8p+52; /* adding it to |y| < 2^51 rounds y */
    const double n = (x * 0x1.45f306dc9c883p-1 + magic) - magic;
    const double r = ((x - n * 0x1.921fbp+0) - n * 0x1.5110bp-22) - n * 0x1.18469898cc517p-44, y = r * r;
    double s = 1.0 / 6227020800 - y / 1307674368000; /* 13!, 15! */
    s = s * y - 1.0 / 39916800;
    s = s * y + 1.0 / 362880;
    s = s * y - 1.0 / 5040;
    s = s * y + 1.0 / 120;
    s = s * y - 1.0 / 6;
    s = s * y * r + r;
    double c = 1.0 / 87178291200 - y / 20922789888000; /* 14!, 16!, whose signs are the other way round */
    c = c * y - 1.0 / 479001600;
    c = c * y + 1.0 / 3628800;
    c = c * y - 1.0 / 40320;
    c = c * y + 1.0 / 720;
    c = c * y - 1.0 / 24;
    c = c * y + 0.5;
    c = 1 - c * y;
    const bool is_known = x >= -0x1p+31 && x <= 0x1p+31;
    const int quarter = is_known ? (int)((long long)n & 3) : 0;
    const double wide = quarter % 2 ? s : c, high = quarter % 2 ? c : s;
    *cosine = !is_known ? (double)CEI_NAN : quarter == 1 || quarter == 2 ? -wide : wide;
    *sine = !is_known ? (double)CEI_NAN : quarter >= 2 ? -high : high;
}

/* A thread a frequency. The product is rounded to float32 before anything else is done with it. */
CEI_KERNEL(cei_k_angles, CEI_PLAIN_THREADS, cei_angles_kernel_args) {
    const unsigned position = cei_block_x(), i = cei_thread();
    float *row = a.out + (unsigned long long)position * 2 * a.half;
    double cosine, sine;
    if (i >= a.half) return;
    cei_cos_sin((double)((float)position * a.frequencies[i]), &cosine, &sine);
    row[i] = (float)cosine;
    row[a.half + i] = (float)sine;
}

/* A pair of columns is one thread's. A position that has no angles gives NaN. */
CEI_KERNEL(cei_k_rotary, CEI_PLAIN_THREADS, cei_rotary_kernel_args) {
    const unsigned position = (unsigned)a.positions[cei_block_x()];
    const bool is_there = position < a.count;
    const float *angles = a.angles + (unsigned long long)(is_there ? position : 0) * 2 * a.half;
    float *x = a.x + (unsigned long long)cei_block_x() * a.stride;
    for (unsigned pair = cei_thread(); pair < a.heads * a.half; pair += CEI_PLAIN_THREADS) {
        const unsigned i = pair % a.half, column = pair / a.half * 2 * a.half + i;
        const float cosine = is_there ? angles[i] : CEI_NAN, sine = is_there ? angles[a.half + i] : CEI_NAN;
        const float first = x[column], second = x[column + a.half];
        x[column] = cei_fma(first, cosine, -(second * sine));
        x[column + a.half] = cei_fma(second, cosine, first * sine);
    }
}
