/* results.h - what comes of a sum of products, in front of its function. Relies on args.h. */
#ifndef CEI_CUDA_RESULTS_H
#define CEI_CUDA_RESULTS_H

#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

CEI_INLINE float cei_biased(const cei_linear_kernel_args *a, float sum, unsigned column) {
    return a->bias ? sum + a->bias[column] : sum;
}

/* Of integers: with x = s (q - z) and w = t v, a sum is s t (sum of q v - z sum of v); the last sum is kept with the
 * weight. */
CEI_INLINE float cei_scaled(const cei_linear_rounded_kernel_args *a, int sum, unsigned row, unsigned column) {
    const cei_values_args *weight = &a->linear.weight;
    const float whole = (float)(sum - a->zeros[row] * weight->sums[column]);
    return cei_biased(&a->linear, whole * (a->scales[row] * weight->scales[column]), column);
}

#endif
