/* gate.cu - function(a) b, elementwise: a gated linear unit's. A block a row. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/math.h"

CEI_KERNEL(cei_k_gate, CEI_PLAIN_THREADS, cei_gate_kernel_args) {
    const unsigned long long row = cei_block_x();
    const float *x = a.a + row * a.a_stride, *y = a.b + row * a.b_stride;
    float *out = a.out + row * a.columns;
    for (unsigned i = cei_thread(); i < a.columns; i += CEI_PLAIN_THREADS) out[i] = cei_apply(a.function, x[i]) * y[i];
}
