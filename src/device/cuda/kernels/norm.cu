/* norm.cu - layer norm of x, or of x + residual (Ba et al. 2016), or the RMS norm (Zhang and Sennrich 2019), of rows or
 * of heads by themselves. A warp a row, or a head of one: each lane adds up every 32nd column, and the lanes' sums are
 * added in a fixed order. Lanes read only columns that they write, so that out, or sum, may be an input. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

CEI_KERNEL(cei_k_norm, CEI_ROWS_THREADS, cei_norm_kernel_args) {
    const unsigned row = cei_block_x() * CEI_ROWS_OF_BLOCK + cei_thread() / CEI_WARP, lane = cei_thread() % CEI_WARP;
    if (row >= a.rows * a.heads) return; /* a whole warp */
    const unsigned long long first = (unsigned long long)(row / a.heads) * a.stride + row % a.heads * a.columns;
    const float *x = a.x + first, *residual = a.residual ? a.residual + first : a.x;
    float *out = a.out + first, sum = 0, squares = 0;
    for (unsigned i = lane; i < a.columns; i += CEI_WARP) {
        const float value = a.residual ? x[i] + residual[i] : x[i];
        out[i] = value;
        if (a.sum) a.sum[first + i] = value;
        sum += value;
    }
    const float mean = a.is_rms ? 0 : cei_warp_sum(sum) / (float)a.columns;
    for (unsigned i = lane; i < a.columns; i += CEI_WARP) squares = cei_fma(out[i] - mean, out[i] - mean, squares);
    const float variance = cei_warp_sum(squares) / (float)a.columns, scale = 1 / cei_sqrt(variance + a.epsilon);
    for (unsigned i = lane; i < a.columns; i += CEI_WARP)
        out[i] = cei_fma((out[i] - mean) * scale, a.gain[i] + a.base, a.bias ? a.bias[i] : 0);
}
