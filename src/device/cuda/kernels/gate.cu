/* gate.cu - function(a) b, elementwise: a gated linear unit's. A block a row. Where columns are whole fours, as every
 * model's are, a thread reads four of both at once. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/math.h"

CEI_INLINE void cei_gate_fours(const cei_gate_kernel_args *a, const float *x, const float *y, float *out) {
    for (unsigned i = cei_thread() * 4; i < a->columns; i += CEI_PLAIN_THREADS * 4) {
        cei_four_floats of_x, of_y;
        cei_read_four(x + i, of_x.value);
        cei_read_four(y + i, of_y.value);
        of_x = cei_apply_four(a->function, of_x);
        CEI_UNROLL
        for (unsigned k = 0; k < 4; k++) of_x.value[k] *= of_y.value[k];
        *(cei_four_floats *)(void *)(out + i) = of_x;
    }
}

CEI_KERNEL(cei_k_gate, CEI_PLAIN_THREADS, cei_gate_kernel_args) {
    const unsigned long long row = cei_block_x();
    const float *x = a.a + row * a.a_stride, *y = a.b + row * a.b_stride;
    float *out = a.out + row * a.columns;
    if (a.in_fours)
        cei_gate_fours(&a, x, y, out);
    else
        for (unsigned i = cei_thread(); i < a.columns; i += CEI_PLAIN_THREADS)
            out[i] = cei_apply(a.function, x[i]) * y[i];
}
