/* pool.cu - the rows of each sequence become one. A thread a column, which takes the rows in order, and reads some of
 * them ahead; a block is one sequence and CEI_PLAIN_THREADS columns. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

enum { CEI_FIRST, CEI_MAX, CEI_MEAN, CEI_MEAN_SQRT, CEI_WEIGHTED, CEI_LAST }; /* as cei_pooling */

enum { CEI_POOL_AHEAD = 16 /* rows */ };

/* A column's values in rows from `first` on; behind the last row that row's again. */
CEI_INLINE void cei_pool_read(const cei_pool_kernel_args *a, const float *x, unsigned first, unsigned rows,
                              float values[CEI_POOL_AHEAD]) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_POOL_AHEAD; i++) {
        const unsigned row = i < rows - first ? first + i : rows - 1;
        values[i] = x[(unsigned long long)row * a->columns];
    }
}

/* What is behind the last row adds 0, which changes no bit, since no sum is -0: a branch would wait for each value. */
CEI_INLINE float cei_pool_sum(const cei_pool_kernel_args *a, const float *x, unsigned rows) {
    double sum = 0, weights = 0;
    float values[CEI_POOL_AHEAD];
    for (unsigned first = a->skipped; first < rows; first += CEI_POOL_AHEAD) {
        cei_pool_read(a, x, first, rows, values);
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_POOL_AHEAD; i++) {
            const bool is_there = i < rows - first;
            const double weight = a->pooling == CEI_WEIGHTED ? (double)(first + i) + 1 : 1;
            sum += weight * (double)(is_there ? values[i] : 0);
            weights += is_there ? weight : 0;
        }
    }
    return (float)(sum / (a->pooling == CEI_MEAN_SQRT ? cei_sqrt_double(weights) : weights));
}

CEI_INLINE float cei_pool_most(const cei_pool_kernel_args *a, const float *x, unsigned rows) {
    float most = -CEI_INFINITY, values[CEI_POOL_AHEAD];
    for (unsigned first = a->skipped; first < rows; first += CEI_POOL_AHEAD) {
        cei_pool_read(a, x, first, rows, values);
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_POOL_AHEAD; i++)
            if (!(values[i] <= most)) most = values[i]; /* a NaN stays; the last row twice changes nothing */
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

/* Four blocks a multiprocessor leave the registers that reading ahead takes. */
CEI_KERNEL_BLOCKS(cei_k_pool, CEI_PLAIN_THREADS, 4, cei_pool_kernel_args) {
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
