/* linear_int8.cu - function(x W^T + bias) of rounded rows and INT8 weights: sums are exact integers, so that no order
 * matters. On tensor cores as in linear_16.cu; before capability 8.0 four products at a time: a block
 * makes 64 x 64 results from tiles in shared memory, a thread 4 x 4 of them. */
#include "device/cuda/kernels/math.h"
#include "device/cuda/kernels/results.h"
#include "device/cuda/kernels/values.h"

enum { CEI_WORDS = 16, CEI_WORDS_WIDTH = CEI_SMALL_TILE + 4 }; /* of four integers, of a tile's depth */

/* Fills tile [word, row] from rows [first, ...) of a matrix of words, with zeros behind its edges. */
CEI_INLINE void cei_load_words(int tile[CEI_WORDS][CEI_WORDS_WIDTH], const int *matrix, unsigned rows, unsigned words,
                               unsigned first, unsigned depth) {
    for (unsigned i = cei_thread(); i < CEI_SMALL_TILE * CEI_WORDS; i += CEI_LINEAR_THREADS) {
        const unsigned row = first + i / CEI_WORDS, word = depth + i % CEI_WORDS;
        const bool inside = row < rows && word < words;
        tile[i % CEI_WORDS][i / CEI_WORDS] = inside ? matrix[(unsigned long long)row * words + word] : 0;
    }
}

CEI_INLINE void cei_multiply_words(int x[CEI_WORDS][CEI_WORDS_WIDTH], int w[CEI_WORDS][CEI_WORDS_WIDTH],
                                   int sums[4][4]) {
    const unsigned row = cei_thread() / 16 * 4, column = cei_thread() % 16 * 4;
    for (unsigned d = 0; d < CEI_WORDS; d++) CEI_UNROLL
    for (unsigned i = 0; i < 4; i++) CEI_UNROLL
    for (unsigned j = 0; j < 4; j++) sums[i][j] = cei_dot4(x[d][row + i], w[d][column + j], sums[i][j]);
}

CEI_INLINE float cei_of_sum(const cei_linear_rounded_kernel_args *a, int sum, unsigned row, unsigned column) {
    return cei_apply(a->linear.function, cei_scaled(a, sum, row, column));
}

CEI_KERNEL(cei_k_linear_int8, CEI_LINEAR_THREADS, cei_linear_rounded_kernel_args) {
    CEI_SHARED int x[CEI_WORDS][CEI_WORDS_WIDTH];
    CEI_SHARED int w[CEI_WORDS][CEI_WORDS_WIDTH];
    const unsigned first_row = cei_block_x() * CEI_SMALL_TILE, first_column = cei_block_y() * CEI_SMALL_TILE;
    const unsigned words = a.linear.weight.stride / 4, outs = a.linear.weight.rows;
    const unsigned row = first_row + cei_thread() / 16 * 4, column = first_column + cei_thread() % 16 * 4;
    const bool is_needed = row < a.linear.rows && column < outs;
    int sums[4][4] = {{0}};
    for (unsigned depth = 0; depth < words; depth += CEI_WORDS) {
        cei_load_words(x, (const int *)(const void *)a.rounded, a.linear.rows, words, first_row, depth);
        cei_load_words(w, (const int *)a.linear.weight.values, outs, words, first_column, depth);
        cei_barrier();
        if (is_needed) cei_multiply_words(x, w, sums);
        cei_barrier();
    }
    for (unsigned i = 0; i < 4 && row + i < a.linear.rows; i++)
        for (unsigned j = 0; j < 4 && column + j < outs; j++)
            a.linear.out[(unsigned long long)(row + i) * outs + column + j] =
                cei_of_sum(&a, sums[i][j], row + i, column + j);
}

#ifdef CEI_TENSOR
#include "device/cuda/kernels/tensor.h"

#define TENSOR_SUM int
#define TENSOR_MULTIPLY cei_multiply_int8
#define TENSOR_RESULT cei_of_sum

#define TENSOR(name) cei_int8_##name
#define TENSOR_KERNEL cei_k_tensor_int8
#define TENSOR_TILE CEI_LARGE_TILE
#include "device/cuda/kernels/tensor.tmpl.h"

#define TENSOR(name) cei_int8_small_##name
#define TENSOR_KERNEL cei_k_tensor_int8_small
#define TENSOR_TILE CEI_SMALL_TILE
#include "device/cuda/kernels/tensor.tmpl.h"

#undef TENSOR_SUM
#undef TENSOR_MULTIPLY
#undef TENSOR_RESULT
#endif
