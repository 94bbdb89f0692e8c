/* tensor.tmpl.h - function(x W^T + bias) on tensor cores, of rows that round.cu rounded: a kernel, for tiles of one
 * shape and numbers of one kind. Included with
 *
 *     TENSOR(name)     name_suffix, for functions; TENSOR_KERNEL is the kernel's name
 *     TENSOR_TILE      results of a block, down and across: a multiple of 64
 *     TENSOR_SUM, TENSOR_MULTIPLY      the sums' type, and the product of fragments that adds to them
 *     TENSOR_RESULT(args, sum, row, column)
 *
 * Eight warps share the block's results, two by four. While they multiply one step, the next ones are on their way
 * (cp.async). Then results go through shared memory, 64 rows at a time, so that they are written side by side and the
 * elementwise function is in one place.
 *
 * A result's sum runs over the depth in steps of 32 bytes, within which the order is the chip's: it depends on no other
 * row, and not on the shape of tiles. */
enum {
    TENSOR(STAGES) = TENSOR_TILE == CEI_LARGE_TILE ? 3 : 4, /* steps over the depth in shared memory at a time */
    TENSOR(STAGE_BYTES) = 2 * TENSOR_TILE * CEI_STEP_BYTES,
    TENSOR(DOWN) = TENSOR_TILE / 32,   /* tiles of 16 x 8 of a warp */
    TENSOR(ACROSS) = TENSOR_TILE / 32, /* even */
    TENSOR(PASS) = 64,                 /* rows that are written at a time */
    TENSOR(WIDTH) = TENSOR_TILE + 4    /* of them in shared memory */
};

typedef union TENSOR(memory) {
    cei_four_words aligned;
    unsigned char stages[TENSOR(STAGES) * TENSOR(STAGE_BYTES)];
    TENSOR_SUM sums[TENSOR(PASS)][TENSOR(WIDTH)];
} TENSOR(memory);

/* Where the warp's results begin in the block's. */
CEI_INLINE unsigned TENSOR(warp_row)(void) { return cei_thread() / CEI_WARP / 4 * (TENSOR_TILE / 2); }
CEI_INLINE unsigned TENSOR(warp_column)(void) { return cei_thread() / CEI_WARP % 4 * (TENSOR_TILE / 4); }

/* Begins to copy a step, if there is one. */
CEI_INLINE void TENSOR(begin)(cei_shared stages, const cei_byte_rows *x, const cei_byte_rows *w, unsigned step) {
    const cei_shared stage = stages + step % TENSOR(STAGES) * TENSOR(STAGE_BYTES);
    const unsigned depth = step * CEI_STEP_BYTES;
    if (depth < x->stride) {
        cei_begin_tile(stage, x, cei_block_x() * TENSOR_TILE, TENSOR_TILE, depth);
        cei_begin_tile(stage + TENSOR_TILE * CEI_STEP_BYTES, w, cei_block_y() * TENSOR_TILE, TENSOR_TILE, depth);
    }
    cei_copy_commit();
}

CEI_INLINE void TENSOR(multiply)(cei_shared stage, TENSOR_SUM sums[TENSOR(DOWN)][TENSOR(ACROSS)][4]) {
    const cei_shared x = stage, w = stage + TENSOR_TILE * CEI_STEP_BYTES;
    CEI_UNROLL
    for (unsigned half = 0; half < 2; half++) {
        unsigned of_x[TENSOR(DOWN)][4], of_w[TENSOR(ACROSS) / 2][4];
        CEI_UNROLL
        for (unsigned i = 0; i < TENSOR(DOWN); i++) cei_load_x(x, TENSOR(warp_row)() + i * 16, half, of_x[i]);
        CEI_UNROLL
        for (unsigned i = 0; i < TENSOR(ACROSS) / 2; i++) cei_load_w(w, TENSOR(warp_column)() + i * 16, half, of_w[i]);
        CEI_UNROLL
        for (unsigned i = 0; i < TENSOR(DOWN); i++) CEI_UNROLL
        for (unsigned j = 0; j < TENSOR(ACROSS); j++) TENSOR_MULTIPLY(of_x[i], of_w[j / 2] + j % 2 * 2, sums[i][j]);
    }
}

/* Shows the warp's sums to the block, if their rows are those of the pass. */
CEI_INLINE void TENSOR(show)(TENSOR(memory) * memory, unsigned pass, TENSOR_SUM sums[TENSOR(DOWN)][TENSOR(ACROSS)][4]) {
    const unsigned lane = cei_thread() % CEI_WARP, row = TENSOR(warp_row)() % TENSOR(PASS) + lane / 4;
    const unsigned column = TENSOR(warp_column)() + lane % 4 * 2;
    if (TENSOR(warp_row)() / TENSOR(PASS) != pass) return;
    CEI_UNROLL
    for (unsigned i = 0; i < TENSOR(DOWN); i++) CEI_UNROLL
    for (unsigned j = 0; j < TENSOR(ACROSS); j++) CEI_UNROLL
    for (unsigned k = 0; k < 4; k++) memory->sums[row + i * 16 + k / 2 * 8][column + j * 8 + k % 2] = sums[i][j][k];
}

CEI_INLINE void TENSOR(write)(const TENSOR(memory) * memory, const cei_linear_rounded_kernel_args *a, unsigned pass) {
    const unsigned first_row = cei_block_x() * TENSOR_TILE + pass * TENSOR(PASS), outs = a->linear.weight.rows;
    for (unsigned i = cei_thread(); i < TENSOR(PASS) * TENSOR_TILE; i += CEI_LINEAR_THREADS) {
        const unsigned row = first_row + i / TENSOR_TILE;
        const unsigned column = cei_block_y() * TENSOR_TILE + i % TENSOR_TILE;
        if (row < a->linear.rows && column < outs)
            a->linear.out[(unsigned long long)row * outs + column] =
                TENSOR_RESULT(a, memory->sums[i / TENSOR_TILE][i % TENSOR_TILE], row, column);
    }
}

CEI_KERNEL(TENSOR_KERNEL, CEI_LINEAR_THREADS, cei_linear_rounded_kernel_args) {
    CEI_SHARED TENSOR(memory) memory;
    const cei_byte_rows x = {(const unsigned char *)a.rounded, a.linear.rows, a.stride};
    const cei_byte_rows w = {(const unsigned char *)a.linear.weight.values, a.linear.weight.rows, a.stride};
    const cei_shared stages = cei_shared_of(memory.stages);
    const bool is_needed = cei_block_x() * TENSOR_TILE + TENSOR(warp_row)() < x.rows &&
                           cei_block_y() * TENSOR_TILE + TENSOR(warp_column)() < w.rows;
    TENSOR_SUM sums[TENSOR(DOWN)][TENSOR(ACROSS)][4] = {{{0}}};
    CEI_UNROLL
    for (unsigned step = 0; step < TENSOR(STAGES) - 1; step++) TENSOR(begin)(stages, &x, &w, step);
    for (unsigned step = 0; step * CEI_STEP_BYTES < a.stride; step++) {
        cei_copy_wait(TENSOR(STAGES) - 2); /* until this step's copies are there */
        cei_barrier();                     /* those of all threads; and the stage that is filled next is done with */
        TENSOR(begin)(stages, &x, &w, step + TENSOR(STAGES) - 1);
        if (is_needed) TENSOR(multiply)(stages + step % TENSOR(STAGES) * TENSOR(STAGE_BYTES), sums);
    }
    CEI_UNROLL
    for (unsigned pass = 0; pass < TENSOR_TILE / TENSOR(PASS); pass++) {
        cei_barrier();
        TENSOR(show)(&memory, pass, sums);
        cei_barrier();
        TENSOR(write)(&memory, &a, pass);
    }
}

#undef TENSOR
#undef TENSOR_KERNEL
#undef TENSOR_TILE
