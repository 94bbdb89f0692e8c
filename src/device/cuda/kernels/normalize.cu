/* normalize.cu - rows scaled to length 1. A warp a row; squares are added up in double, since they overflow and
 * underflow float32 where the length does not. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

/* The sum over a warp of a double, in the order of lanes; lanes [threads of the block] is shared. */
CEI_INLINE double cei_warp_sum_double(double value, double *lanes) {
    lanes[cei_thread()] = value;
    cei_barrier();
    double sum = 0;
    const unsigned first = cei_thread() / CEI_WARP * CEI_WARP;
    for (unsigned i = 0; i < CEI_WARP; i++) sum += lanes[first + i];
    return sum;
}

CEI_KERNEL(cei_k_normalize, CEI_ROWS_THREADS, cei_normalize_kernel_args) {
    CEI_SHARED double lanes[CEI_ROWS_THREADS];
    const unsigned row = cei_block_x() * CEI_ROWS_OF_BLOCK + cei_thread() / CEI_WARP, lane = cei_thread() % CEI_WARP;
    const unsigned columns = row < a.rows ? a.columns : 0; /* every thread meets the barrier */
    const float *x = a.x + (unsigned long long)row * a.columns;
    float *out = a.out + (unsigned long long)row * a.columns;
    double squares = 0;
    for (unsigned i = lane; i < columns; i += CEI_WARP) squares += (double)x[i] * (double)x[i];
    const double length = cei_sqrt_double(cei_warp_sum_double(squares, lanes)), least = 1e-12;
    for (unsigned i = lane; i < columns; i += CEI_WARP)
        out[i] = (float)((double)x[i] / (length > least ? length : least));
}
