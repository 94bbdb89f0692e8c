/* linear_16.cu - function(x W^T + bias) on tensor cores, of rows that were rounded to bfloat16 or float16: in large
 * tiles, and in small ones where there are too few large ones for the chip. The bits are the same. */
#ifdef CEI_TENSOR
#include "device/cuda/kernels/results.h"
#include "device/cuda/kernels/tensor.h"

CEI_INLINE float cei_result_of_16(const cei_linear_rounded_kernel_args *a, float sum, unsigned column) {
    return cei_apply(a->linear.function, cei_biased(&a->linear, sum, column));
}

#define TENSOR_SUM float
#define TENSOR_RESULT(a, sum, row, column) cei_result_of_16(a, sum, column)

/* ---- bfloat16 -------------------------------------------------------------------------------------------------- */

#define TENSOR_MULTIPLY cei_multiply_bfloat16

#define TENSOR(name) cei_bfloat16_##name
#define TENSOR_KERNEL cei_k_tensor_bfloat16
#define TENSOR_TILE CEI_LARGE_TILE
#include "device/cuda/kernels/tensor.tmpl.h"

#define TENSOR(name) cei_bfloat16_small_##name
#define TENSOR_KERNEL cei_k_tensor_bfloat16_small
#define TENSOR_TILE CEI_SMALL_TILE
#include "device/cuda/kernels/tensor.tmpl.h"
#undef TENSOR_MULTIPLY

/* ---- float16 --------------------------------------------------------------------------------------------------- */

#define TENSOR_MULTIPLY cei_multiply_half

#define TENSOR(name) cei_float16_##name
#define TENSOR_KERNEL cei_k_tensor_float16
#define TENSOR_TILE CEI_LARGE_TILE
#include "device/cuda/kernels/tensor.tmpl.h"

#define TENSOR(name) cei_float16_small_##name
#define TENSOR_KERNEL cei_k_tensor_float16_small
#define TENSOR_TILE CEI_SMALL_TILE
#include "device/cuda/kernels/tensor.tmpl.h"

#undef TENSOR_SUM
#undef TENSOR_MULTIPLY
#undef TENSOR_RESULT
#endif
