/* linear.cu - function(x W^T + bias) in float32, with weights of any format. A block makes CEI_LINEAR_ROWS x
 * CEI_LINEAR_COLUMNS results from tiles in shared memory, a thread 4 x 4 of them.
 *
 * Each result is one chain of fused multiply-adds over the depth in order, so that it depends on no other row. */
#include "device/cuda/kernels/math.h"
#include "device/cuda/kernels/values.h"

enum { CEI_TILE_DEPTH = 16, CEI_TILE_WIDTH = CEI_LINEAR_ROWS + 4, CEI_SIDE = 4, CEI_ACROSS = 16 };

/* Fills tile [depth, row] from rows [first, ...) of a matrix, with zeros behind its edges. */
CEI_INLINE void cei_load_tile(float tile[CEI_TILE_DEPTH][CEI_TILE_WIDTH], const cei_values_args *matrix, unsigned first,
                              unsigned depth) {
    for (unsigned i = cei_thread(); i < CEI_LINEAR_ROWS * CEI_TILE_DEPTH; i += CEI_LINEAR_THREADS) {
        const unsigned row = first + i / CEI_TILE_DEPTH, column = depth + i % CEI_TILE_DEPTH;
        const bool inside = row < matrix->rows && column < matrix->columns;
        tile[i % CEI_TILE_DEPTH][i / CEI_TILE_DEPTH] = inside ? cei_value_at(matrix, row, column) : 0;
    }
}

CEI_INLINE void cei_multiply_tiles(float x[CEI_TILE_DEPTH][CEI_TILE_WIDTH], float w[CEI_TILE_DEPTH][CEI_TILE_WIDTH],
                                   unsigned depth, float sums[CEI_SIDE][CEI_SIDE]) {
    const unsigned row = cei_thread() / CEI_ACROSS * CEI_SIDE, column = cei_thread() % CEI_ACROSS * CEI_SIDE;
    for (unsigned d = 0; d < depth; d++) CEI_UNROLL
    for (unsigned i = 0; i < CEI_SIDE; i++) CEI_UNROLL
    for (unsigned j = 0; j < CEI_SIDE; j++) sums[i][j] = cei_fma(x[d][row + i], w[d][column + j], sums[i][j]);
}

CEI_KERNEL(cei_k_linear, CEI_LINEAR_THREADS, cei_linear_kernel_args) {
    CEI_SHARED float x[CEI_TILE_DEPTH][CEI_TILE_WIDTH];
    CEI_SHARED float w[CEI_TILE_DEPTH][CEI_TILE_WIDTH];
    const unsigned first_row = cei_block_x() * CEI_LINEAR_ROWS, first_column = cei_block_y() * CEI_LINEAR_COLUMNS;
    const unsigned in = a.weight.columns, outs = a.weight.rows;
    const unsigned row = first_row + cei_thread() / CEI_ACROSS * CEI_SIDE;
    const unsigned column = first_column + cei_thread() % CEI_ACROSS * CEI_SIDE;
    const bool is_needed = row < a.rows && column < outs; /* of few rows most warps have none */
    const cei_values_args rows = {a.x, 0, 0, a.rows, in, in, CEI_VALUES_FLOAT32};
    float sums[CEI_SIDE][CEI_SIDE] = {{0}};
    for (unsigned depth = 0; depth < in; depth += CEI_TILE_DEPTH) {
        cei_load_tile(x, &rows, first_row, depth);
        cei_load_tile(w, &a.weight, first_column, depth);
        cei_barrier();
        if (is_needed) cei_multiply_tiles(x, w, in - depth < CEI_TILE_DEPTH ? in - depth : CEI_TILE_DEPTH, sums);
        cei_barrier();
    }
    for (unsigned i = 0; i < CEI_SIDE && row + i < a.rows; i++)
        for (unsigned j = 0; j < CEI_SIDE && column + j < outs; j++)
            a.out[(unsigned long long)(row + i) * outs + column + j] =
                cei_apply(a.function, a.bias ? sums[i][j] + a.bias[column + j] : sums[i][j]);
}
