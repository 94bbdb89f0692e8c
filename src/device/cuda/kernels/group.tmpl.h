/* group.tmpl.h - function(x W^T + bias) by warp groups (wgmma), of rows that round.cu or the operation before rounded,
 * in tiles as tiles.h has them: a kernel, for results of one shape and numbers of one kind. Included with
 *
 *     GROUP(name)      name_suffix, for functions; GROUP_KERNEL is the kernel's name
 *     GROUP_DOWN, GROUP_ACROSS      tiles of X and of W that a block's results have
 *     GROUP_STAGES, GROUP_BLOCKS    steps over the depth in shared memory at a time; blocks of a multiprocessor
 *     GROUP_SUM, GROUP_MULTIPLY     the sums' type, and what begins products of tiles that add to them
 *     GROUP_WAIT, GROUP_WAIT_BUT_LAST     for these
 *     GROUP_COPIERS        warps that copy
 *     GROUP_REGISTERS      of a thread that multiplies, where those that copy are a group and leave theirs to them; or
 *                          not defined
 *     GROUP_COLUMNS, GROUP_ROWS     what results need of columns and rows: types, and what reads them,
 *     GROUP_READ_COLUMNS(args, place, part), GROUP_READ_ROWS(args, place)
 *     GROUP_RESULTS(columns, rows, sums, values)     the results of half a tile, in front of their function
 *
 * A thread of some warps copies tiles, a warp group for every 64 rows multiplies them: the first wait until a stage is
 * empty, the others until it is full. One thread for all copies of a step would be slower than its products. A group
 * has one step's products under way while it begins the next one's. Blocks stay where they are: while groups write what
 * they have, the next tiles come.
 *
 * A result's sum runs over the depth in steps of 32 bytes, within which the order is the chip's: it depends on no other
 * row, and not on the shape of tiles. */
enum {
    GROUP(STAGE_BYTES) = (GROUP_DOWN + GROUP_ACROSS) * CEI_TILE_BYTES,
    GROUP(SUMS) = GROUP_ACROSS * CEI_TILE_SUMS,                                      /* of a thread */
    GROUP(THREADS) = GROUP_DOWN * CEI_GROUP_THREADS,                                 /* that multiply */
    GROUP(COPIES) = (GROUP_DOWN + GROUP_ACROSS + GROUP_COPIERS - 1) / GROUP_COPIERS, /* of a step, a warp's */
#ifdef GROUP_REGISTERS
    GROUP(READS_AHEAD) = 1 /* what results need of columns */
#else
    GROUP(READS_AHEAD) = 0
#endif
};

/* In front of the stages; behind them each warp has memory for its results. */
typedef struct GROUP(signals) {
    unsigned long long full[GROUP_STAGES], empty[GROUP_STAGES];
} GROUP(signals);

/* The first step's tile with this number, of X or of W. */
CEI_INLINE const unsigned char *GROUP(find)(const cei_group_kernel_args *a, unsigned first_x, unsigned first_w,
                                            unsigned number) {
    const unsigned char *x = (const unsigned char *)a->of.rounded,
                        *w = (const unsigned char *)a->of.linear.weight.values;
    const unsigned row = number < GROUP_DOWN ? first_x + number : first_w + number - GROUP_DOWN;
    return (number < GROUP_DOWN ? x : w) + (unsigned long long)row * a->of.linear.weight.tiles * CEI_TILE_BYTES;
}

/* The tiles of W that a block's results have, and the matrix too. */
CEI_INLINE unsigned GROUP(wanted)(const cei_group_kernel_args *a, unsigned first) {
    const unsigned tiles = (a->of.linear.weight.rows + CEI_TILE_ROWS - 1) / CEI_TILE_ROWS;
    return tiles - first < GROUP_ACROSS ? tiles - first : GROUP_ACROSS;
}

/* A thread of each warp that copies, which takes tiles in turn with the others: of X, then of W, as they lie in a
 * stage. Stages are taken in turn, over all that the block does. */
CEI_INLINE void GROUP(copy_all)(const cei_group_kernel_args *a, GROUP(signals) * signals, cei_shared stages) {
    const unsigned own = (cei_thread() - GROUP(THREADS)) / CEI_WARP, tiles = a->of.linear.weight.tiles;
    unsigned done = 0;
    for (unsigned turn = cei_block_x(); turn < a->down * a->across; turn += a->step) {
        const unsigned char *from[GROUP(COPIES)]; /* the next step's */
        unsigned row, column;
        cei_find_results(a, turn, &row, &column);
        const unsigned tiles_of_step = GROUP_DOWN + GROUP(wanted)(a, column * GROUP_ACROSS);
        const unsigned copies = (tiles_of_step + GROUP_COPIERS - 1 - own) / GROUP_COPIERS;
        CEI_UNROLL
        for (unsigned i = 0; i < GROUP(COPIES); i++)
            from[i] = GROUP(find)(a, row * GROUP_DOWN, column * GROUP_ACROSS, own + i * GROUP_COPIERS);
        for (unsigned step = 0; step < tiles; step++, done++) {
            const unsigned stage = done % GROUP_STAGES, round = done / GROUP_STAGES;
            const cei_shared full = cei_shared_of(&signals->full[stage]);
            const cei_shared to = stages + stage * GROUP(STAGE_BYTES) + own * CEI_TILE_BYTES;
            if (round > 0) cei_signal_wait(cei_shared_of(&signals->empty[stage]), (round + 1) % 2);
            cei_signal_expect(full, copies * CEI_TILE_BYTES);
            CEI_UNROLL
            for (unsigned i = 0; i < GROUP(COPIES); i++) {
                if (i >= copies) continue; /* to end would keep it a loop */
                cei_copy_tile(to + i * GROUP_COPIERS * CEI_TILE_BYTES, from[i], CEI_TILE_BYTES, full);
                from[i] += CEI_TILE_BYTES;
            }
        }
    }
}

/* One thread tells of a group that it is done with the stage of a step; steps are counted over all that the block does.
 */
CEI_INLINE void GROUP(leave)(GROUP(signals) * signals, unsigned step) {
    if (cei_thread() % CEI_GROUP_THREADS == 0) cei_signal_arrive(cei_shared_of(&signals->empty[step % GROUP_STAGES]));
}

/* Begins the sums of the tiles whose steps are those from first on; the last products are under way behind it. */
CEI_INLINE void GROUP(multiply)(const cei_group_kernel_args *a, GROUP(signals) * signals, cei_shared stages,
                                unsigned first, GROUP_SUM sums[GROUP(SUMS)]) {
    const cei_shared own = stages + cei_thread() / CEI_GROUP_THREADS * CEI_TILE_BYTES;
    const cei_shared w = stages + GROUP_DOWN * CEI_TILE_BYTES;
    const unsigned end = first + a->of.linear.weight.tiles;
    CEI_UNROLL
    for (unsigned i = 0; i < GROUP(SUMS); i++) sums[i] = 0;
    for (unsigned step = first; step < end; step++) {
        const unsigned stage = step % GROUP_STAGES;
        cei_signal_wait(cei_shared_of(&signals->full[stage]), step / GROUP_STAGES % 2);
        GROUP_MULTIPLY(own + stage * GROUP(STAGE_BYTES), w + stage * GROUP(STAGE_BYTES), sums);
        if (step == first) continue;
        GROUP_WAIT_BUT_LAST(sums);
        GROUP(leave)(signals, step - 1);
    }
}

/* What the results of a tile need of its columns, if it is the time for that. */
CEI_INLINE void GROUP(read)(const cei_group_kernel_args *a, const cei_results_place *place, const bool is_time,
                            GROUP_COLUMNS columns[CEI_PARTS]) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_PARTS; i++)
        if (is_time) columns[i] = GROUP_READ_COLUMNS(&a->of.linear, place, i);
}

/* The results of a tile, in front of their function. */
CEI_INLINE void GROUP(make)(const cei_group_kernel_args *a, const cei_results_place *place, GROUP_ROWS rows,
                            GROUP_COLUMNS columns[CEI_PARTS], const GROUP_SUM sums[CEI_TILE_SUMS],
                            float values[CEI_TILE_SUMS]) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_PARTS; i++) {
        if (!GROUP(READS_AHEAD)) columns[i] = GROUP_READ_COLUMNS(&a->of.linear, place, i);
        GROUP_RESULTS(&columns[i], &rows, sums + i * CEI_PART_SUMS, values + i * CEI_PART_SUMS);
    }
    cei_clear_results(&a->of.linear, place, values);
}

/* A warp group. What results need of rows and columns is read while products are under way, or results before them are
 * written. */
CEI_INLINE void GROUP(multiply_all)(const cei_group_kernel_args *a, GROUP(signals) * signals, cei_shared stages) {
    const cei_shared own =
        stages + GROUP_STAGES * GROUP(STAGE_BYTES) + cei_thread() / CEI_WARP * CEI_WARP_RESULTS_BYTES;
    unsigned done = 0;
    for (unsigned turn = cei_block_x(); turn < a->down * a->across; turn += a->step) {
        GROUP_SUM sums[GROUP(SUMS)];
        GROUP_COLUMNS columns[CEI_PARTS];
        unsigned row, column;
        GROUP(multiply)(a, signals, stages, done, sums);
        done += a->of.linear.weight.tiles;
        cei_find_results(a, turn, &row, &column);
        cei_results_place place = cei_place_results(a, row * GROUP_DOWN, column * GROUP_ACROSS);
        const GROUP_ROWS rows = GROUP_READ_ROWS(&a->of, &place);
        GROUP(read)(a, &place, GROUP(READS_AHEAD), columns);
        GROUP_WAIT(sums);
        GROUP(leave)(signals, done - 1);
        CEI_UNROLL
        for (unsigned i = 0; i < GROUP_ACROSS; i++) {
            float values[CEI_TILE_SUMS];
            if (place.first_column >= a->of.linear.weight.rows) continue; /* to end would keep it a loop */
            const cei_results_place now = place;
            GROUP(make)(a, &now, rows, columns, sums + i * CEI_TILE_SUMS, values);
            if (i + 1 < GROUP_ACROSS) {
                place = cei_place_results(a, row * GROUP_DOWN, column * GROUP_ACROSS + i + 1);
                GROUP(read)(a, &place, GROUP(READS_AHEAD), columns);
            }
            cei_finish_results(a, &now, values, own);
        }
    }
}

CEI_KERNEL_BLOCKS(GROUP_KERNEL, GROUP(THREADS) + GROUP_COPIERS * CEI_WARP, GROUP_BLOCKS, cei_group_kernel_args) {
    const cei_shared signals_at = cei_launched_memory(), stages = signals_at + CEI_SIGNALS_BYTES;
    GROUP(signals) *signals = (GROUP(signals) *)(void *)cei_of_shared(signals_at);
    if (cei_thread() == 0) {
        for (unsigned i = 0; i < GROUP_STAGES; i++) {
            cei_signal_begin(cei_shared_of(&signals->full[i]), GROUP_COPIERS);
            cei_signal_begin(cei_shared_of(&signals->empty[i]), GROUP_DOWN);
        }
        cei_signal_begun();
    }
    cei_barrier();
    if (cei_thread() < GROUP(THREADS)) {
#ifdef GROUP_REGISTERS
        CEI_TAKE_REGISTERS(GROUP_REGISTERS);
#endif
        GROUP(multiply_all)(&a, signals, stages);
    } else {
#ifdef GROUP_REGISTERS
        CEI_LEAVE_REGISTERS(CEI_COPIERS_REGISTERS);
#endif
        if (cei_thread() % CEI_WARP == 0) GROUP(copy_all)(&a, signals, stages);
    }
}

#undef GROUP
#undef GROUP_KERNEL
#undef GROUP_DOWN
#undef GROUP_ACROSS
#undef GROUP_STAGES
#undef GROUP_BLOCKS
#undef GROUP_COPIERS
#undef GROUP_REGISTERS
#undef GROUP_MULTIPLY
#undef GROUP_WAIT
#undef GROUP_WAIT_BUT_LAST
