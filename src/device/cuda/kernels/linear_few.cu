/* linear_few.cu - function(x W^T + bias) in float32 for at most CEI_FEW_ROWS rows, of weights in float32: heads, and
 * whatever else is asked of a few rows. Rows of both are whole fours of aligned floats. What takes time here is to
 * wait: so a block makes no more than CEI_FEW_COLUMNS columns, one result a thread, and reads 256 values of each row at
 * once, the next ones while it multiplies these.
 *
 * Each result is the same chain of multiply-adds as in linear.cu, over the depth in order, with zeros up to a multiple
 * of 16: so the bits are the same. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/math.h"

enum {
    CEI_FEW_FOURS = 64,                /* of a row that are in shared memory at a time */
    CEI_FEW_WIDTH = CEI_FEW_FOURS + 1, /* rows begin 4 banks apart */
    CEI_FEW_STEP = 4,                  /* fours, which end where linear.cu's steps do */
    CEI_FEW_CHAIN = 4,                 /* steps whose operands are read ahead */
    CEI_FEW_THREADS = CEI_FEW_ROWS * CEI_FEW_COLUMNS,
    CEI_FEW_X = CEI_FEW_ROWS * CEI_FEW_FOURS / CEI_FEW_THREADS, /* fours that a thread reads */
    CEI_FEW_W = CEI_FEW_COLUMNS * CEI_FEW_FOURS / CEI_FEW_THREADS
};

typedef struct cei_few_tile {
    cei_four_floats x[CEI_FEW_ROWS][CEI_FEW_WIDTH], w[CEI_FEW_COLUMNS][CEI_FEW_WIDTH];
} cei_few_tile;

/* A thread's values on their way. */
typedef struct cei_few_values {
    cei_four_floats x[CEI_FEW_X], w[CEI_FEW_W];
} cei_few_values;

/* A four of a matrix [rows, columns], or zeros behind its edges. */
CEI_INLINE cei_four_floats cei_few_four(const float *from, unsigned rows, unsigned columns, unsigned row,
                                        unsigned column) {
    cei_four_floats four = {{0, 0, 0, 0}};
    if (row < rows && column < columns) cei_read_four(from + (unsigned long long)row * columns + column, four.value);
    return four;
}

/* From column `depth` on. Columns of the result are rows of the weight. */
CEI_INLINE void cei_few_fetch(cei_few_values *values, const cei_linear_kernel_args *a, unsigned depth) {
    const unsigned row = cei_thread() / CEI_FEW_FOURS, column = depth + cei_thread() % CEI_FEW_FOURS * 4;
    const unsigned down = CEI_FEW_THREADS / CEI_FEW_FOURS, first = cei_block_x() * CEI_FEW_COLUMNS + row;
    const float *w = (const float *)a->weight.values;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_FEW_W; i++)
        values->w[i] = cei_few_four(w, a->weight.rows, a->weight.columns, first + i * down, column);
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_FEW_X; i++)
        values->x[i] = cei_few_four(a->x, a->rows, a->weight.columns, row + i * down, column);
}

CEI_INLINE void cei_few_store(cei_few_tile *tile, const cei_few_values *values) {
    const unsigned row = cei_thread() / CEI_FEW_FOURS, four = cei_thread() % CEI_FEW_FOURS;
    const unsigned down = CEI_FEW_THREADS / CEI_FEW_FOURS;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_FEW_W; i++) tile->w[row + i * down][four] = values->w[i];
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_FEW_X; i++) tile->x[row + i * down][four] = values->x[i];
}

/* Goes on with a result's sum over a row's fours from `first` on: a step, or several, in a chain. */
CEI_INLINE float cei_few_step(const cei_four_floats *x, const cei_four_floats *w, unsigned first, float sum) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_FEW_STEP; i++) {
        const cei_four_floats of_x = x[first + i], of_w = w[first + i]; /* each is read at once */
        CEI_UNROLL
        for (unsigned k = 0; k < 4; k++) sum = cei_fma(of_x.value[k], of_w.value[k], sum);
    }
    return sum;
}

CEI_INLINE float cei_few_steps(const cei_four_floats *x, const cei_four_floats *w, unsigned steps, float sum) {
    unsigned step = 0;
    for (; step + CEI_FEW_CHAIN <= steps; step += CEI_FEW_CHAIN) CEI_UNROLL
    for (unsigned i = 0; i < CEI_FEW_CHAIN; i++) sum = cei_few_step(x, w, (step + i) * CEI_FEW_STEP, sum);
    for (; step < steps; step++) sum = cei_few_step(x, w, step * CEI_FEW_STEP, sum);
    return sum;
}

/* Two blocks a multiprocessor leave the registers that reading ahead takes. */
CEI_KERNEL_BLOCKS(cei_k_linear_few, CEI_FEW_THREADS, 2, cei_linear_kernel_args) {
    CEI_SHARED cei_few_tile tile;
    const unsigned in = a.weight.columns, outs = a.weight.rows, wide = CEI_FEW_FOURS * 4;
    const unsigned row = cei_thread() / CEI_FEW_COLUMNS, own = cei_thread() % CEI_FEW_COLUMNS;
    const unsigned column = cei_block_x() * CEI_FEW_COLUMNS + own;
    const bool is_needed = row < a.rows && column < outs;
    cei_few_values values;
    float sum = 0;
    cei_few_fetch(&values, &a, 0);
    for (unsigned depth = 0; depth < in; depth += wide) {
        const unsigned left = in - depth, steps = ((left < wide ? left : wide) + 15) / 16;
        cei_barrier(); /* what was there is done with */
        cei_few_store(&tile, &values);
        cei_barrier();
        if (left > wide) cei_few_fetch(&values, &a, depth + wide);
        if (is_needed) sum = cei_few_steps(tile.x[row], tile.w[own], steps, sum);
    }
    if (!is_needed) return;
    if (a.bias) sum += a.bias[column];
    a.out[(unsigned long long)row * outs + column] = cei_apply(a.function, sum);
}
