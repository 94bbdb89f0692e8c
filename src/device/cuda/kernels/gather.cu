/* gather.cu - rows by their number. A block a row; one that x lacks gives NaN, and is not read. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

CEI_KERNEL(cei_k_gather, CEI_PLAIN_THREADS, cei_gather_kernel_args) {
    const unsigned row = (unsigned)a.rows[cei_block_x()];
    const float *from = a.x + (unsigned long long)row * a.columns;
    float *out = a.out + (unsigned long long)cei_block_x() * a.columns;
    for (unsigned i = cei_thread(); i < a.columns; i += CEI_PLAIN_THREADS) out[i] = row < a.x_rows ? from[i] : CEI_NAN;
}
