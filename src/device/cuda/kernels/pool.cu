/* pool.cu - the rows of each sequence become one. A thread a column, which takes the rows in order; a block is one
 * sequence and CEI_PLAIN_THREADS columns. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

enum { CEI_FIRST, CEI_MAX, CEI_MEAN, CEI_MEAN_SQRT, CEI_WEIGHTED, CEI_LAST }; /* as cei_pooling */

CEI_INLINE float cei_pool_sum(const cei_pool_kernel_args *a, const float *x, unsigned rows) {
    double sum = 0, weights = 0;
    for (unsigned i = a->skipped; i < rows; i++) {
        const double weight = a->pooling == CEI_WEIGHTED ? (double)i + 1 : 1;
        sum += weight * (double)x[(unsigned long long)i * a->columns];
        weights += weight;
    }
    return (float)(sum / (a->pooling == CEI_MEAN_SQRT ? cei_sqrt_double(weights) : weights));
}

CEI_INLINE float cei_pool_most(const cei_pool_kernel_args *a, const float *x, unsigned rows) {
    float most = -CEI_INFINITY;
    for (unsigned i = a->skipped; i < rows; i++) {
        const float value = x[(unsigned long long)i * a->columns];
        if (!(value <= most)) most = value; /* a NaN stays */
    }
    return most;
}

CEI_INLINE float cei_pool_column(const cei_pool_kernel_args *a, const float *x, unsigned rows) {
    const bool none = a->skipped >= rows;
    switch (a->pooling) {
    case CEI_FIRST: return x[none ? 0 : (unsigned long long)a->skipped * a->columns];
    case CEI_LAST: return none ? 0 : x[(unsigned long long)(rows - 1) * a->columns];
    case CEI_MAX: return cei_pool_most(a, x, rows);
    default: return none ? 0 : cei_pool_sum(a, x, rows);
    }
}

CEI_KERNEL(cei_k_pool, CEI_PLAIN_THREADS, cei_pool_kernel_args) {
    const unsigned sequence = cei_block_x(), column = cei_block_y() * CEI_PLAIN_THREADS + cei_thread();
    if (column >= a.columns) return;
    const unsigned first = (unsigned)a.offsets[sequence], end = (unsigned)a.offsets[sequence + 1];
    float *out = a.out + (unsigned long long)sequence * a.stride + column;
    if (first > end || end > a.tokens)
        *out = CEI_NAN; /* offsets that contradict themselves are not followed */
    else
        *out =
            first == end ? 0 : cei_pool_column(&a, a.x + (unsigned long long)first * a.columns + column, end - first);
}
