/* linear_bfloat16.cu - function(x W^T + bias) on tensor cores, x rounded to bfloat16: in images from capability 8.0 on.
 * A block makes 64 x 64 results, a warp 16 x 32 of them in four tiles of 16 x 8.
 *
 * A result's sum runs over the depth in steps of 16, within which the order is the chip's; it depends on no other row.
 */
#ifdef CEI_TENSOR
#include "device/cuda/kernels/math.h"
#include "device/cuda/kernels/values.h"

/* Two bfloat16 in a word, of a tile 32 deep; rows are padded so that the lanes of a warp meet different banks. */
enum { CEI_PAIRS = 16, CEI_PAIRS_WIDTH = CEI_PAIRS + 4, CEI_TILES = 4 };

/* To bfloat16, to nearest, ties to even; a NaN stays one. */
CEI_INLINE unsigned cei_round_bfloat16(float x) {
    const unsigned bits = cei_bits_of(x);
    return (x != x ? bits | 0x400000u : bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
}

CEI_INLINE unsigned cei_bfloat16_at(const cei_values_args *matrix, unsigned row, unsigned column) {
    if (row >= matrix->rows || column >= matrix->columns) return 0;
    return cei_round_bfloat16(cei_value_at(matrix, row, column));
}

/* Fills tile [row, pair] from rows [first, ...) of a matrix, with zeros behind its edges. */
CEI_INLINE void cei_load_pairs(unsigned tile[CEI_LINEAR_ROWS][CEI_PAIRS_WIDTH], const cei_values_args *matrix,
                               unsigned first, unsigned depth) {
    for (unsigned i = cei_thread(); i < CEI_LINEAR_ROWS * CEI_PAIRS; i += CEI_LINEAR_THREADS) {
        const unsigned row = first + i / CEI_PAIRS, column = depth + i % CEI_PAIRS * 2;
        tile[i / CEI_PAIRS][i % CEI_PAIRS] =
            cei_bfloat16_at(matrix, row, column) | cei_bfloat16_at(matrix, row, column + 1) << 16;
    }
}

/* Where a warp's results begin in the block's, and a lane's place in a fragment. */
CEI_INLINE unsigned cei_warp_row(void) { return cei_thread() / CEI_WARP % 4 * 16; }
CEI_INLINE unsigned cei_warp_column(void) { return cei_thread() / CEI_WARP / 4 * 32; }
CEI_INLINE unsigned cei_lane_row(void) { return cei_thread() % CEI_WARP / 4; }
CEI_INLINE unsigned cei_lane_pair(void) { return cei_thread() % 4; }

CEI_INLINE void cei_multiply_pairs(unsigned x[CEI_LINEAR_ROWS][CEI_PAIRS_WIDTH],
                                   unsigned w[CEI_LINEAR_ROWS][CEI_PAIRS_WIDTH], float sums[CEI_TILES][4]) {
    const unsigned row = cei_warp_row() + cei_lane_row();
    CEI_UNROLL
    for (unsigned step = 0; step < CEI_PAIRS; step += 8) {
        const unsigned pair = step + cei_lane_pair();
        const unsigned fragment[4] = {x[row][pair], x[row + 8][pair], x[row][pair + 4], x[row + 8][pair + 4]};
        CEI_UNROLL
        for (unsigned t = 0; t < CEI_TILES; t++) {
            const unsigned column = cei_warp_column() + t * 8 + cei_lane_row();
            const unsigned other[2] = {w[column][pair], w[column][pair + 4]};
            cei_multiply_bfloat16(fragment, other, sums[t]);
        }
    }
}

CEI_INLINE void cei_write_sum(const cei_linear_kernel_args *a, unsigned row, unsigned column, float sum) {
    if (row >= a->rows || column >= a->weight.rows) return;
    a->out[(unsigned long long)row * a->weight.rows + column] =
        cei_apply(a->function, a->bias ? sum + a->bias[column] : sum);
}

CEI_KERNEL(cei_k_linear_bfloat16, CEI_LINEAR_THREADS, cei_linear_kernel_args) {
    CEI_SHARED unsigned x[CEI_LINEAR_ROWS][CEI_PAIRS_WIDTH];
    CEI_SHARED unsigned w[CEI_LINEAR_ROWS][CEI_PAIRS_WIDTH];
    const unsigned first_row = cei_block_x() * CEI_LINEAR_ROWS, first_column = cei_block_y() * CEI_LINEAR_COLUMNS;
    const unsigned in = a.weight.columns;
    const cei_values_args rows = {a.x, 0, 0, a.rows, in, in, CEI_VALUES_FLOAT32};
    const bool is_needed = first_row + cei_warp_row() < a.rows && first_column + cei_warp_column() < a.weight.rows;
    float sums[CEI_TILES][4] = {{0}}; /* is_needed is the same for a whole warp */
    for (unsigned depth = 0; depth < in; depth += CEI_PAIRS * 2) {
        cei_load_pairs(x, &rows, first_row, depth);
        cei_load_pairs(w, &a.weight, first_column, depth);
        cei_barrier();
        if (is_needed) cei_multiply_pairs(x, w, sums);
        cei_barrier();
    }
    CEI_UNROLL
    for (unsigned t = 0; t < CEI_TILES; t++) {
        CEI_UNROLL
        for (unsigned i = 0; i < 4; i++) {
            const unsigned row = first_row + cei_warp_row() + cei_lane_row() + i / 2 * 8;
            const unsigned column = first_column + cei_warp_column() + t * 8 + cei_lane_pair() * 2 + i % 2;
            cei_write_sum(&a, row, column, sums[t][i]);
        }
    }
}
#endif
