/* linear.cu - function(x W^T + bias) in float32, with weights of any format: in large tiles, and in small ones where
 * there are too few large ones for the chip.
 *
 * Each result is one chain of fused multiply-adds over the depth in order, so that it depends on no other row, and not
 * on the shape of tiles. */
#include "device/cuda/kernels/math.h"
#include "device/cuda/kernels/values.h"

enum { CEI_TILE_DEPTH = 16 /* of a step: four values of each of four threads */, CEI_SIDE = 4, CEI_ACROSS = 16 };

/* Where the thread's first results are in the block's. */
CEI_INLINE unsigned cei_own_row(void) { return cei_thread() / CEI_ACROSS * CEI_SIDE; }
CEI_INLINE unsigned cei_own_column(void) { return cei_thread() % CEI_ACROSS * CEI_SIDE; }

/* Four values of a row, of which the first has a column that is a multiple of 4; zeros behind the matrix's edges. */
CEI_INLINE cei_four_floats cei_fetch_four(const cei_values_args *matrix, unsigned row, unsigned column) {
    cei_four_floats four = {{0, 0, 0, 0}};
    const bool is_whole = matrix->format == CEI_VALUES_FLOAT32 && matrix->columns % 4 == 0 &&
                          (unsigned long long)matrix->values % sizeof four == 0;
    if (row >= matrix->rows || column >= matrix->columns) return four;
    if (is_whole)
        return ((const cei_four_floats *)matrix->values)[((unsigned long long)row * matrix->columns + column) / 4];
    CEI_UNROLL
    for (unsigned i = 0; i < 4; i++)
        if (column + i < matrix->columns) four.value[i] = cei_value_at(matrix, row, column + i);
    return four;
}

#define LINEAR(name) cei_linear_##name
#define LINEAR_KERNEL cei_k_linear
#define LINEAR_GROUPS 2
#include "device/cuda/kernels/linear.tmpl.h"

#define LINEAR(name) cei_linear_small_##name
#define LINEAR_KERNEL cei_k_linear_small
#define LINEAR_GROUPS 1
#include "device/cuda/kernels/linear.tmpl.h"
