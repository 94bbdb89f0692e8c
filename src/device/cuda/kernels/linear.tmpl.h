/* linear.tmpl.h - function(x W^T + bias) in float32 for tiles of one shape: a kernel. Included with
 *
 *     LINEAR(name)       name_suffix, for functions; LINEAR_KERNEL is the kernel's name
 *     LINEAR_GROUPS      a block makes 64 LINEAR_GROUPS results down and across
 *
 * A thread makes groups of 4 x 4 results, 64 apart in both ways. While it multiplies one step of the depth, it already
 * has the next one's values in registers, and writes them into the other half of shared memory behind that. Then
 * results go through shared memory, 64 rows at a time, so that they are written side by side and the elementwise
 * function is in one place. */
enum {
    LINEAR(SIDE) = 64 * LINEAR_GROUPS,
    LINEAR(WIDTH) = LINEAR(SIDE) + 4, /* a multiple of 4 */
    LINEAR(PASS) = 64                 /* rows that are written at a time */
};

typedef float LINEAR(tile)[CEI_TILE_DEPTH][LINEAR(WIDTH)]; /* transposed: [depth, row] */

typedef union LINEAR(memory) {
    cei_four_floats aligned;
    LINEAR(tile) tiles[2][2]; /* of a step and of the next; of x and of the weight */
    float sums[LINEAR(PASS)][LINEAR(WIDTH)];
} LINEAR(memory);

typedef struct LINEAR(values) {
    cei_four_floats of[LINEAR_GROUPS];
} LINEAR(values);

/* The thread's values of a step: four of a row each, with zeros behind the matrix's edges. */
CEI_INLINE LINEAR(values) LINEAR(fetch)(const cei_values_args *matrix, unsigned first, unsigned depth) {
    LINEAR(values) values;
    CEI_UNROLL
    for (unsigned g = 0; g < LINEAR_GROUPS; g++)
        values.of[g] = cei_fetch_four(matrix, first + g * 64 + cei_thread() / 4, depth + cei_thread() % 4 * 4);
    return values;
}

CEI_INLINE void LINEAR(store)(LINEAR(tile) tile, const LINEAR(values) * values) {
    CEI_UNROLL
    for (unsigned g = 0; g < LINEAR_GROUPS; g++) CEI_UNROLL
    for (unsigned i = 0; i < 4; i++) tile[cei_thread() % 4 * 4 + i][g * 64 + cei_thread() / 4] = values->of[g].value[i];
}

CEI_INLINE void LINEAR(multiply)(LINEAR(tile) x, LINEAR(tile) w,
                                 float sums[LINEAR_GROUPS][LINEAR_GROUPS][CEI_SIDE][CEI_SIDE]) {
    for (unsigned d = 0; d < CEI_TILE_DEPTH; d++) {
        cei_four_floats of_x[LINEAR_GROUPS], of_w[LINEAR_GROUPS];
        CEI_UNROLL
        for (unsigned g = 0; g < LINEAR_GROUPS; g++) {
            of_x[g] = *(const cei_four_floats *)(const void *)&x[d][g * 64 + cei_own_row()];
            of_w[g] = *(const cei_four_floats *)(const void *)&w[d][g * 64 + cei_own_column()];
        }
        CEI_UNROLL
        for (unsigned g = 0; g < LINEAR_GROUPS; g++) CEI_UNROLL
        for (unsigned h = 0; h < LINEAR_GROUPS; h++) CEI_UNROLL
        for (unsigned i = 0; i < CEI_SIDE; i++) CEI_UNROLL
        for (unsigned j = 0; j < CEI_SIDE; j++)
            sums[g][h][i][j] = cei_fma(of_x[g].value[i], of_w[h].value[j], sums[g][h][i][j]);
    }
}

CEI_INLINE void LINEAR(show)(LINEAR(memory) * memory, float sums[LINEAR_GROUPS][CEI_SIDE][CEI_SIDE]) {
    CEI_UNROLL
    for (unsigned h = 0; h < LINEAR_GROUPS; h++) CEI_UNROLL
    for (unsigned i = 0; i < CEI_SIDE; i++) CEI_UNROLL
    for (unsigned j = 0; j < CEI_SIDE; j++)
        memory->sums[cei_own_row() + i][h * 64 + cei_own_column() + j] = sums[h][i][j];
}

CEI_INLINE void LINEAR(write)(const LINEAR(memory) * memory, const cei_linear_kernel_args *a, unsigned pass) {
    const unsigned first_row = cei_block_x() * LINEAR(SIDE) + pass * LINEAR(PASS), outs = a->weight.rows;
    for (unsigned i = cei_thread(); i < LINEAR(PASS) * LINEAR(SIDE); i += CEI_LINEAR_THREADS) {
        const unsigned row = first_row + i / LINEAR(SIDE), column = cei_block_y() * LINEAR(SIDE) + i % LINEAR(SIDE);
        if (row >= a->rows || column >= outs) continue;
        const float sum = memory->sums[i / LINEAR(SIDE)][i % LINEAR(SIDE)];
        a->out[(unsigned long long)row * outs + column] = cei_apply(a->function, a->bias ? sum + a->bias[column] : sum);
    }
}

CEI_KERNEL(LINEAR_KERNEL, CEI_LINEAR_THREADS, cei_linear_kernel_args) {
    CEI_SHARED LINEAR(memory) memory;
    const unsigned first_row = cei_block_x() * LINEAR(SIDE), first_column = cei_block_y() * LINEAR(SIDE);
    const unsigned in = a.weight.columns;
    const bool is_needed = first_row + cei_own_row() < a.rows && first_column + cei_own_column() < a.weight.rows;
    const cei_values_args x = {a.x, 0, 0, a.rows, in, in, CEI_VALUES_FLOAT32, 0};
    float sums[LINEAR_GROUPS][LINEAR_GROUPS][CEI_SIDE][CEI_SIDE] = {{{{0}}}};
    LINEAR(values) of_x = LINEAR(fetch)(&x, first_row, 0), of_w = LINEAR(fetch)(&a.weight, first_column, 0);
    for (unsigned depth = 0, now = 0; depth < in; depth += CEI_TILE_DEPTH, now = 1 - now) {
        LINEAR(store)(memory.tiles[now][0], &of_x);
        LINEAR(store)(memory.tiles[now][1], &of_w);
        cei_barrier(); /* behind which the other half is done with, too */
        of_x = LINEAR(fetch)(&x, first_row, depth + CEI_TILE_DEPTH);
        of_w = LINEAR(fetch)(&a.weight, first_column, depth + CEI_TILE_DEPTH);
        if (is_needed) LINEAR(multiply)(memory.tiles[now][0], memory.tiles[now][1], sums);
    }
    CEI_UNROLL
    for (unsigned pass = 0; pass < LINEAR_GROUPS; pass++) {
        cei_barrier();
        LINEAR(show)(&memory, sums[pass]);
        cei_barrier();
        LINEAR(write)(&memory, &a, pass);
    }
}

#undef LINEAR
#undef LINEAR_KERNEL
#undef LINEAR_GROUPS
