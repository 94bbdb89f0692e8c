/* norm.cu - layer norm of x, or of x + residual (Ba et al. 2016), or the RMS norm (Zhang and Sennrich 2019), of rows or
 * of heads by themselves; and the same rounded, if that is wanted, in tiles.
 *
 * A row of whole warps of fours, as every model has them, is read once, all of it before anything is done: one, two or
 * four warps share it, four columns of a thread four times at most, and keep it in registers. A row of another width is
 * a warp's, which reads it three times, each lane every 32nd column. Sums are taken in an order that the width alone
 * decides. Threads read only columns that they write, so that out, or sum, may be an input. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/integers.h"
#include "device/cuda/kernels/rounding.h"
#include "device/cuda/kernels/tiles.h"

enum { CEI_NORM_FOURS = CEI_NORM_COLUMNS / 4 / CEI_ROWS_THREADS /* of a thread */ };

/* A row, or a head of one, and what a thread has of it. Blocks begin with the last rows, which the layer before wrote
 * last: they are in the second-level cache. */
typedef struct cei_norm_row {
    unsigned long long first; /* its first column's place in x, residual, out and sum */
    unsigned row, columns;    /* no columns: there is no such row */
    unsigned column, step;    /* the thread's first columns, and how far on its next ones are */
    unsigned warps;           /* that share the row */
} cei_norm_row;

typedef struct cei_norm_part {
    cei_four_floats of[CEI_NORM_FOURS];
} cei_norm_part;

CEI_INLINE cei_norm_row cei_find_row(const cei_norm_kernel_args *a, unsigned warps) {
    const unsigned shift = warps / 2; /* the logarithm of 1, 2, 4: divisions take as long as sums over a warp */
    const unsigned warp = cei_thread() / CEI_WARP, own = (warp & (warps - 1)) * CEI_WARP + cei_thread() % CEI_WARP;
    const unsigned last = (a->rows * a->heads - 1) >> (2 - shift), block = last - cei_block_x();
    const unsigned head = block * (CEI_ROWS_OF_BLOCK >> shift) + (warp >> shift);
    const unsigned row = a->heads == 1 ? head : head / a->heads;
    cei_norm_row at;
    at.first = (unsigned long long)row * a->stride + (head - row * a->heads) * a->columns;
    at.row = row;
    at.columns = head < a->rows * a->heads ? a->columns : 0;
    at.column = own * 4;
    at.step = warps * CEI_WARP * 4;
    at.warps = warps;
    return at;
}

/* ---- in registers --------------------------------------------------------------------------------------------- */

/* The thread's part of a row that begins at `from`, zeros where it has none. */
CEI_INLINE cei_norm_part cei_read_part(const float *from, const cei_norm_row *at) {
    cei_norm_part part;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_NORM_FOURS; i++) {
        const unsigned column = at->column + i * at->step;
        const cei_four_floats none = {{0, 0, 0, 0}};
        part.of[i] = none;
        if (column < at->columns) part.of[i] = *(const cei_four_floats *)(const void *)(from + column);
    }
    return part;
}

CEI_INLINE void cei_write_part(float *to, const cei_norm_row *at, const cei_norm_part *part) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_NORM_FOURS; i++) {
        const unsigned column = at->column + i * at->step;
        if (column < at->columns) *(cei_four_floats *)(void *)(to + column) = part->of[i];
    }
}

CEI_INLINE void cei_add_part(cei_norm_part *part, const cei_norm_part *other) {
    CEI_UNROLL
    for (unsigned i = 0; i < 4 * CEI_NORM_FOURS; i++) part->of[i / 4].value[i % 4] += other->of[i / 4].value[i % 4];
}

/* The sum over a row's threads, warp after warp; each of them has it. Each sum has parts of its own. */
CEI_INLINE float cei_row_sum(float value, unsigned warps, float parts[CEI_ROWS_OF_BLOCK]) {
    const unsigned warp = cei_thread() / CEI_WARP, first = warp & ~(warps - 1);
    float sum = cei_warp_sum(value);
    if (warps == 1) return sum;
    if (cei_thread() % CEI_WARP == 0) parts[warp] = sum;
    cei_barrier();
    sum = parts[first];
    CEI_UNROLL
    for (unsigned i = 1; i < CEI_ROWS_OF_BLOCK; i++)
        if (i < warps) sum += parts[first + i];
    return sum;
}

CEI_INLINE float cei_sum_part(const cei_norm_part *part) {
    float sum = 0;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_NORM_FOURS; i++) {
        const float *v = part->of[i].value;
        sum += (v[0] + v[1]) + (v[2] + v[3]);
    }
    return sum;
}

/* The sum of squares of what the part's columns differ from the mean. */
CEI_INLINE float cei_square_part(const cei_norm_part *part, const cei_norm_row *at, float mean) {
    float squares = 0;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_NORM_FOURS; i++) {
        const float *v = part->of[i].value;
        const float w[4] = {v[0] - mean, v[1] - mean, v[2] - mean, v[3] - mean};
        const float sum = cei_fma(w[0], w[0], w[1] * w[1]) + cei_fma(w[2], w[2], w[3] * w[3]);
        if (at->column + i * at->step < at->columns) squares += sum;
    }
    return squares;
}

CEI_INLINE void cei_round_part(const cei_norm_kernel_args *a, const cei_norm_row *at, const cei_norm_part *part) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_NORM_FOURS; i++) {
        const unsigned column = at->column + i * at->step;
        const float *v = part->of[i].value;
        const cei_two_words pairs = {
            {cei_round_pair(a->in_halves, v[0], v[1]), cei_round_pair(a->in_halves, v[2], v[3])}};
        unsigned char *to = a->rounded + cei_tile_place(at->row, column * 2, a->rounded_tiles);
        if (column < at->columns) *(cei_two_words *)(void *)to = pairs;
    }
}

CEI_INLINE void cei_part_to_integers(const cei_norm_kernel_args *a, const cei_norm_row *at, const cei_norm_part *part) {
    CEI_SHARED cei_extremes parts[CEI_ROWS_OF_BLOCK];
    cei_extremes extremes = {0, 0};
    CEI_UNROLL
    for (unsigned i = 0; i < 4 * CEI_NORM_FOURS; i++)
        if (at->column + i / 4 * at->step < at->columns) cei_extend(&extremes, part->of[i / 4].value[i % 4]);
    extremes = cei_row_extremes(extremes, at->warps, parts);
    const cei_row_scale scale = cei_scale_row(&extremes);
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_NORM_FOURS; i++) {
        const unsigned column = at->column + i * at->step;
        unsigned char *to = a->rounded + cei_tile_place(at->row, column, a->rounded_tiles);
        if (column < at->columns) *(unsigned *)(void *)to = cei_four_integers(&scale, part->of[i].value);
    }
    if (at->column > 0 || at->columns == 0) return;
    cei_write_scale(a->scales, a->zeros, at->row, &scale);
}

/* All warps of a block come here, those of no row with no columns: they meet at barriers. */
CEI_INLINE void cei_norm_at_once(const cei_norm_kernel_args *a) {
    CEI_SHARED float parts[2][CEI_ROWS_OF_BLOCK];
    const cei_norm_row at = cei_find_row(a, a->warps);
    cei_norm_part x = cei_read_part(a->x + at.first, &at), other = {{{{0}}}};
    if (a->residual) other = cei_read_part(a->residual + at.first, &at);
    const cei_norm_part gain = cei_read_part(a->gain, &at);
    cei_norm_part bias = {{{{0}}}};
    if (a->bias) bias = cei_read_part(a->bias, &at);
    if (a->residual) cei_add_part(&x, &other);
    if (a->sum) cei_write_part(a->sum + at.first, &at, &x);
    const float count = (float)a->columns;
    const float mean = a->is_rms ? 0 : cei_row_sum(cei_sum_part(&x), at.warps, parts[0]) / count;
    const float variance = cei_row_sum(cei_square_part(&x, &at, mean), at.warps, parts[1]) / count;
    const float scale = 1 / cei_sqrt(variance + a->epsilon);
    CEI_UNROLL
    for (unsigned i = 0; i < 4 * CEI_NORM_FOURS; i++) {
        float *value = &x.of[i / 4].value[i % 4];
        *value = cei_fma((*value - mean) * scale, gain.of[i / 4].value[i % 4] + a->base, bias.of[i / 4].value[i % 4]);
    }
    cei_write_part(a->out + at.first, &at, &x);
    if (a->rounded && a->scales)
        cei_part_to_integers(a, &at, &x);
    else if (a->rounded)
        cei_round_part(a, &at, &x);
}

/* ---- of any width --------------------------------------------------------------------------------------------- */

/* Lanes read only what they wrote. */
CEI_INLINE void cei_round_row(const cei_norm_kernel_args *a, const cei_norm_row *at, const float *out) {
    const unsigned lane = cei_thread() % CEI_WARP;
    for (unsigned i = lane; i < a->rounded_tiles * CEI_TILE_WIDTH / 2; i += CEI_WARP) { /* all lanes as often */
        const float value = i < a->columns ? out[i] : 0, next = cei_shuffle_xor(value, 1);
        unsigned char *to = a->rounded + cei_tile_place(at->row, i * 2, a->rounded_tiles);
        if (lane % 2 == 0) *(unsigned *)(void *)to = cei_round_pair(a->in_halves, value, next);
    }
}

CEI_INLINE void cei_norm_in_passes(const cei_norm_kernel_args *a) {
    const cei_norm_row at = cei_find_row(a, 1);
    const unsigned lane = cei_thread() % CEI_WARP;
    const float *x = a->x + at.first, *residual = a->residual ? a->residual + at.first : a->x;
    float *out = a->out + at.first, sum = 0, squares = 0;
    if (at.columns == 0) return; /* a whole warp */
    for (unsigned i = lane; i < a->columns; i += CEI_WARP) {
        const float value = a->residual ? x[i] + residual[i] : x[i];
        out[i] = value;
        if (a->sum) a->sum[at.first + i] = value;
        sum += value;
    }
    const float mean = a->is_rms ? 0 : cei_warp_sum(sum) / (float)a->columns;
    for (unsigned i = lane; i < a->columns; i += CEI_WARP) squares = cei_fma(out[i] - mean, out[i] - mean, squares);
    const float variance = cei_warp_sum(squares) / (float)a->columns, scale = 1 / cei_sqrt(variance + a->epsilon);
    for (unsigned i = lane; i < a->columns; i += CEI_WARP)
        out[i] = cei_fma((out[i] - mean) * scale, a->gain[i] + a->base, a->bias ? a->bias[i] : 0);
    if (a->rounded) cei_round_row(a, &at, out);
}

CEI_KERNEL(cei_k_norm, CEI_ROWS_THREADS, cei_norm_kernel_args) {
    if (a.warps > 0)
        cei_norm_at_once(&a);
    else
        cei_norm_in_passes(&a);
}
