/* group.tmpl.h - function(x W^T + bias) by warp groups (wgmma), of rows that round.cu or the operation before rounded,
 * in tiles as tiles.h has them: a kernel, for results of one shape and numbers of one kind. Included with
 *
 *     GROUP(name)      name_suffix, for functions; GROUP_KERNEL is the kernel's name
 *     GROUP_TILE       results of a block, down and across: CEI_LARGE_TILE or CEI_SMALL_TILE
 *     GROUP_SUM, GROUP_MULTIPLY     the sums' type, and the product of tiles that adds to them
 *     GROUP_RESULT(args, sum, row, column)     the result, in front of its function
 *
 * One warp copies tiles, a warp group for every 64 rows multiplies them: the first waits until a stage is empty, the
 * others until it is full. Blocks stay where they are: while groups write what they have, the next tiles come.
 *
 * A result's sum runs over the depth in steps of 32 bytes, within which the order is the chip's: it depends on no other
 * row, and not on the shape of tiles. */
enum {
    GROUP(STAGES) = GROUP_TILE == CEI_LARGE_TILE ? CEI_LARGE_STAGES : CEI_SMALL_STAGES, /* of the depth, at a time */
    GROUP(BLOCKS) = GROUP_TILE == CEI_LARGE_TILE ? CEI_LARGE_BLOCKS : 1, /* that share a multiprocessor */
    GROUP(COUNT) = GROUP_TILE / CEI_TILE_ROWS,                           /* tiles of X, and of W */
    GROUP(STAGE_BYTES) = 2 * GROUP(COUNT) * CEI_TILE_BYTES,
    GROUP(SUMS) = GROUP_TILE / 2 /* of a thread */
};

typedef struct GROUP(signals) {
    unsigned long long full[GROUP(STAGES)], empty[GROUP(STAGES)];
} GROUP(signals);

/* The tiles of W that a block's results have, and the matrix too. */
CEI_INLINE unsigned GROUP(wanted)(const cei_group_kernel_args *a, unsigned first) {
    const unsigned tiles = (a->of.linear.weight.rows + CEI_TILE_ROWS - 1) / CEI_TILE_ROWS;
    return tiles - first < GROUP(COUNT) ? tiles - first : GROUP(COUNT);
}

/* Begins to copy what a step of the results `turn` needs. */
CEI_INLINE void GROUP(copy)(const cei_group_kernel_args *a, unsigned turn, unsigned step, cei_shared to,
                            cei_shared full) {
    const unsigned first_x = turn % a->down * GROUP(COUNT), first_w = turn / a->down * GROUP(COUNT);
    const unsigned wanted = GROUP(wanted)(a, first_w);
    const unsigned char *x = (const unsigned char *)a->of.rounded,
                        *w = (const unsigned char *)a->of.linear.weight.values;
    cei_signal_expect(full, (GROUP(COUNT) + wanted) * CEI_TILE_BYTES);
    for (unsigned i = 0; i < GROUP(COUNT); i++)
        cei_copy_tile(to + i * CEI_TILE_BYTES,
                      x + ((unsigned long long)(first_x + i) * a->of.linear.weight.tiles + step) * CEI_TILE_BYTES,
                      CEI_TILE_BYTES, full);
    for (unsigned i = 0; i < wanted; i++)
        cei_copy_tile(to + (GROUP(COUNT) + i) * CEI_TILE_BYTES,
                      w + ((unsigned long long)(first_w + i) * a->of.linear.weight.tiles + step) * CEI_TILE_BYTES,
                      CEI_TILE_BYTES, full);
}

/* One thread. Stages are taken in turn, over all that the block does. */
CEI_INLINE void GROUP(copy_all)(const cei_group_kernel_args *a, GROUP(signals) * signals, cei_shared stages) {
    unsigned done = 0;
    for (unsigned turn = cei_block_x(); turn < a->count; turn += a->step)
        for (unsigned step = 0; step < a->of.linear.weight.tiles; step++, done++) {
            const unsigned stage = done % GROUP(STAGES), round = done / GROUP(STAGES);
            if (round > 0) cei_signal_wait(cei_shared_of(&signals->empty[stage]), (round + 1) % 2);
            GROUP(copy)(a, turn, step, stages + stage * GROUP(STAGE_BYTES), cei_shared_of(&signals->full[stage]));
        }
}

/* Row and column of the thread's sum i: pairs lie side by side, every second pair eight rows down. */
CEI_INLINE unsigned GROUP(row_of)(const cei_group_kernel_args *a, unsigned turn, unsigned i) {
    const unsigned own = cei_thread() / CEI_WARP * 16 + cei_thread() % CEI_WARP / 4;
    return turn % a->down * GROUP_TILE + own + i / 2 % 2 * 8;
}
CEI_INLINE unsigned GROUP(column_of)(const cei_group_kernel_args *a, unsigned turn, unsigned i) {
    return turn / a->down * GROUP_TILE + i / 4 * 8 + cei_thread() % 4 * 2 + i % 2;
}

CEI_INLINE void GROUP(write)(const cei_group_kernel_args *a, unsigned turn, const GROUP_SUM sums[GROUP(SUMS)]) {
    const unsigned outs = a->of.linear.weight.rows, function = a->of.linear.function;
    CEI_UNROLL
    for (unsigned i = 0; i < GROUP(SUMS); i += 2) {
        const unsigned row = GROUP(row_of)(a, turn, i), column = GROUP(column_of)(a, turn, i);
        float low = 0, high = 0;
        if (row >= a->of.linear.rows) continue;
        if (column < outs) low = cei_quick(function, GROUP_RESULT(a, sums[i], row, column));
        if (column + 1 < outs) high = cei_quick(function, GROUP_RESULT(a, sums[i + 1], row, column + 1));
        cei_write_pair(a, row, column, low, high);
    }
    if (function <= CEI_QUICK) return;
    for (unsigned i = 0; i < GROUP(SUMS); i++) { /* the thread's own, as it wrote them */
        const unsigned row = GROUP(row_of)(a, turn, i), column = GROUP(column_of)(a, turn, i);
        float *out = a->of.linear.out + (unsigned long long)row * outs + column;
        if (row < a->of.linear.rows && column < outs) *out = cei_apply(function, *out);
    }
}

/* A warp group. */
CEI_INLINE void GROUP(multiply_all)(const cei_group_kernel_args *a, GROUP(signals) * signals, cei_shared stages) {
    const cei_shared own = stages + cei_thread() / CEI_GROUP_THREADS * CEI_TILE_BYTES;
    unsigned done = 0;
    for (unsigned turn = cei_block_x(); turn < a->count; turn += a->step) {
        GROUP_SUM sums[GROUP(SUMS)] = {0};
        for (unsigned step = 0; step < a->of.linear.weight.tiles; step++, done++) {
            const unsigned stage = done % GROUP(STAGES), at = stage * GROUP(STAGE_BYTES);
            cei_signal_wait(cei_shared_of(&signals->full[stage]), done / GROUP(STAGES) % 2);
            GROUP_MULTIPLY(own + at, stages + at + GROUP(COUNT) * CEI_TILE_BYTES, sums);
            if (cei_thread() % CEI_GROUP_THREADS == 0) cei_signal_arrive(cei_shared_of(&signals->empty[stage]));
        }
        GROUP(write)(a, turn, sums);
    }
}

CEI_KERNEL_BLOCKS(GROUP_KERNEL, GROUP(COUNT) * CEI_GROUP_THREADS + CEI_WARP, GROUP(BLOCKS), cei_group_kernel_args) {
    CEI_SHARED GROUP(signals) signals;
    const cei_shared stages = cei_launched_memory();
    if (cei_thread() == 0) {
        for (unsigned i = 0; i < GROUP(STAGES); i++) {
            cei_signal_begin(cei_shared_of(&signals.full[i]), 1);
            cei_signal_begin(cei_shared_of(&signals.empty[i]), GROUP(COUNT));
        }
        cei_signal_begun();
    }
    cei_barrier();
    if (cei_thread() < GROUP(COUNT) * CEI_GROUP_THREADS)
        GROUP(multiply_all)(&a, &signals, stages);
    else if (cei_thread() % CEI_WARP == 0)
        GROUP(copy_all)(&a, &signals, stages);
}

#undef GROUP
#undef GROUP_KERNEL
#undef GROUP_TILE
