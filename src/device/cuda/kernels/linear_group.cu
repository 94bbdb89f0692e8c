/* linear_group.cu - function(x W^T + bias) by warp groups of capability 9.0, bfloat16, float16 and integers: in three
 * shapes, by how many results there are for the chip (linear.c). The bits are the same. Also how weights come into
 * tiles, and back. */
#ifdef CEI_GROUPS
#include "device/cuda/kernels/math.h"
#include "device/cuda/kernels/results.h"
#include "device/cuda/kernels/rounding.h"
#include "device/cuda/kernels/tiles.h"

/* Functions that come in line, up to CEI_QUICK as cei_function numbers them; what others give is theirs to change. */
enum { CEI_QUICK = 1 };

/* Sums of a tile that a thread of a group has: pairs in two rows, eight apart, of every eighth column. */
enum { CEI_TILE_SUMS = CEI_TILE_ROWS * CEI_TILE_ROWS / CEI_GROUP_THREADS, CEI_TILE_COLUMNS = CEI_TILE_WIDTH / 2 };

/* The thread's results of a tile: its first row and column, and those of its warp. */
typedef struct cei_results_place {
    unsigned row, column, first_row, first_column;
    bool has_columns; /* all of the tile's are there, and pairs of them are aligned */
    bool is_whole;    /* and all of the warp's rows */
} cei_results_place;

/* What results need of half of the thread's columns of a tile, pairs of numbers; all of them would take too many
 * registers where two blocks share a multiprocessor. */
enum { CEI_PARTS = 2, CEI_PART_SUMS = CEI_TILE_SUMS / CEI_PARTS, CEI_PART_PAIRS = CEI_PART_SUMS / 4 };
typedef struct cei_float_columns {
    cei_two_floats biases[CEI_PART_PAIRS];
} cei_float_columns;

typedef struct cei_int_columns {
    cei_two_floats biases[CEI_PART_PAIRS], scales[CEI_PART_PAIRS];
    cei_two_words sums[CEI_PART_PAIRS];
} cei_int_columns;

/* And of its two rows. */
typedef struct cei_int_rows {
    float scales[2];
    int zeros[2];
} cei_int_rows;

/* Where results are whose number is turn: all columns of a band of rows, then the next one, so that the rows that
 * blocks read at a time, and all of W, are in the second-level cache. Counted in what a block makes. */
CEI_INLINE void cei_find_results(const cei_group_kernel_args *a, unsigned turn, unsigned *row, unsigned *column) {
    const unsigned first = turn / (a->band * a->across) * a->band, within = turn % (a->band * a->across);
    const unsigned down = a->down - first < a->band ? a->down - first : a->band;
    *row = first + within % down;
    *column = within / down;
}

/* Of the group's tile of rows from tile_row on, and of this tile of columns. */
CEI_INLINE cei_results_place cei_place_results(const cei_group_kernel_args *a, unsigned tile_row,
                                               unsigned tile_column) {
    const cei_linear_kernel_args *linear = &a->of.linear;
    const unsigned long long pairs = (unsigned long long)linear->out | (unsigned long long)linear->bias |
                                     (unsigned long long)linear->weight.scales |
                                     (unsigned long long)linear->weight.sums;
    const unsigned lane = cei_thread() % CEI_WARP, outs = linear->weight.rows;
    cei_results_place place;
    place.first_row = tile_row * CEI_TILE_ROWS + cei_thread() / CEI_WARP * CEI_WARP_ROWS;
    place.first_column = tile_column * CEI_TILE_COLUMNS;
    place.row = place.first_row + lane / 4;
    place.column = place.first_column + lane % 4 * 2;
    place.has_columns =
        place.first_column + CEI_TILE_COLUMNS <= outs && outs % 2 == 0 && pairs % sizeof(cei_two_floats) == 0;
    place.is_whole = place.has_columns && place.first_row + CEI_WARP_ROWS <= linear->rows;
    return place;
}

/* Two of a vector that has a number for each column; zeros behind the last. */
CEI_INLINE cei_two_floats cei_two_of(const float *from, unsigned column, unsigned outs, const bool is_whole) {
    cei_two_floats two = {{0, 0}};
    if (is_whole) return *(const cei_two_floats *)(const void *)(from + column);
    if (column < outs) two.value[0] = from[column];
    if (column + 1 < outs) two.value[1] = from[column + 1];
    return two;
}

CEI_INLINE cei_two_words cei_two_ints_of(const int *from, unsigned column, unsigned outs, const bool is_whole) {
    cei_two_words two = {{0, 0}};
    if (is_whole) return *(const cei_two_words *)(const void *)(from + column);
    if (column < outs) two.word[0] = (unsigned)from[column];
    if (column + 1 < outs) two.word[1] = (unsigned)from[column + 1];
    return two;
}

/* is_whole is a constant. Nothing to add is 0 to sums, and -0, which changes no number, to what integers come to. */
CEI_INLINE void cei_read_biases(const cei_linear_kernel_args *a, unsigned column, float none, const bool is_whole,
                                cei_two_floats biases[CEI_PART_PAIRS]) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_PART_PAIRS; i++) {
        const cei_two_floats nothing = {{none, none}};
        biases[i] = nothing;
        if (a->bias) biases[i] = cei_two_of(a->bias, column + 8 * i, a->weight.rows, is_whole);
    }
}

CEI_INLINE cei_float_columns cei_read_float_columns(const cei_linear_kernel_args *a, const cei_results_place *place,
                                                    unsigned part) {
    const unsigned column = place->column + part * CEI_PART_PAIRS * 8;
    cei_float_columns columns;
    if (place->has_columns)
        cei_read_biases(a, column, 0, true, columns.biases);
    else
        cei_read_biases(a, column, 0, false, columns.biases);
    return columns;
}

CEI_INLINE void cei_read_int_pairs(const cei_linear_kernel_args *a, unsigned column, const bool is_whole,
                                   cei_int_columns *columns) {
    cei_read_biases(a, column, -0.0f, is_whole, columns->biases);
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_PART_PAIRS; i++) {
        columns->scales[i] = cei_two_of(a->weight.scales, column + 8 * i, a->weight.rows, is_whole);
        columns->sums[i] = cei_two_ints_of(a->weight.sums, column + 8 * i, a->weight.rows, is_whole);
    }
}

CEI_INLINE cei_int_columns cei_read_int_columns(const cei_linear_kernel_args *a, const cei_results_place *place,
                                                unsigned part) {
    const unsigned column = place->column + part * CEI_PART_PAIRS * 8;
    cei_int_columns columns;
    if (place->has_columns)
        cei_read_int_pairs(a, column, true, &columns);
    else
        cei_read_int_pairs(a, column, false, &columns);
    return columns;
}

/* Zeros behind the last row. */
CEI_INLINE cei_int_rows cei_read_int_rows(const cei_linear_rounded_kernel_args *a, const cei_results_place *place) {
    cei_int_rows rows;
    CEI_UNROLL
    for (unsigned i = 0; i < 2; i++) {
        const unsigned row = place->row + i * 8;
        rows.scales[i] = row < a->linear.rows ? a->scales[row] : 0;
        rows.zeros[i] = row < a->linear.rows ? a->zeros[row] : 0;
    }
    return rows;
}

/* Sums and their biases; of rows nothing is needed. */
CEI_INLINE void cei_results_of_floats(const cei_float_columns *columns, const unsigned *rows,
                                      const float sums[CEI_PART_SUMS], float values[CEI_PART_SUMS]) {
    (void)rows;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_PART_SUMS; i++) values[i] = sums[i] + columns->biases[i / 4].value[i % 2];
}

/* As cei_scaled has it. */
CEI_INLINE void cei_results_of_integers(const cei_int_columns *columns, const cei_int_rows *rows,
                                        const int sums[CEI_PART_SUMS], float values[CEI_PART_SUMS]) {
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_PART_SUMS; i++) {
        const unsigned row = i / 2 % 2, pair = i / 4, of_pair = i % 2;
        const float whole = (float)(sums[i] - rows->zeros[row] * (int)columns->sums[pair].word[of_pair]);
        values[i] =
            whole * (rows->scales[row] * columns->scales[pair].value[of_pair]) + columns->biases[pair].value[of_pair];
    }
}

/* Zeros behind the last column, where sums may be anything. */
CEI_INLINE void cei_clear_results(const cei_linear_kernel_args *a, const cei_results_place *place,
                                  float values[CEI_TILE_SUMS]) {
    if (place->has_columns) return;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_TILE_SUMS; i++)
        if (place->column + i / 4 * 8 + i % 2 >= a->weight.rows) values[i] = 0;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

/* In float32. */
CEI_INLINE void cei_write_floats(const cei_group_kernel_args *a, const cei_results_place *place,
                                 const float values[CEI_TILE_SUMS]) {
    const unsigned outs = a->of.linear.weight.rows;
    float *out = a->of.linear.out + (unsigned long long)place->row * outs + place->column;
    float *below = out + 8ull * outs;
    if (place->is_whole) {
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_TILE_SUMS; i += 4) {
            const cei_two_floats upper = {{values[i], values[i + 1]}}, lower = {{values[i + 2], values[i + 3]}};
            *(cei_two_floats *)(void *)(out + 2 * i) = upper;
            *(cei_two_floats *)(void *)(below + 2 * i) = lower;
        }
        return;
    }
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_TILE_SUMS; i++) {
        const unsigned row = place->row + i / 2 % 2 * 8, on = i / 4 * 8 + i % 2;
        if (row < a->of.linear.rows && place->column + on < outs) (i / 2 % 2 == 0 ? out : below)[on] = values[i];
    }
}

/* What the thread wrote in float32 goes through a function that is not in line. */
CEI_INLINE void cei_apply_to_results(const cei_group_kernel_args *a, const cei_results_place *place) {
    const unsigned outs = a->of.linear.weight.rows;
    for (unsigned i = 0; i < CEI_TILE_SUMS; i++) {
        const unsigned row = place->row + i / 2 % 2 * 8, column = place->column + i / 4 * 8 + i % 2;
        float *out = a->of.linear.out + (unsigned long long)row * outs + column;
        if (row < a->of.linear.rows && column < outs) *out = cei_apply(a->of.linear.function, *out);
    }
}

/* Gives a warp's results in 16 bits to its part of shared memory, as they lie in a tile. */
CEI_INLINE void cei_show_results(bool in_halves, const float values[CEI_TILE_SUMS], cei_shared own) {
    const unsigned lane = cei_thread() % CEI_WARP, row = lane % CEI_WARP_ROWS;
    const cei_shared to = cei_address_here(own + row * CEI_TILE_WIDTH);
    CEI_UNROLL
    for (unsigned chunk = 0; chunk < CEI_TILE_CHUNKS; chunk += 2) {
        const float *v = values + 4 * chunk;
        const unsigned words[4] = {cei_round_pair(in_halves, v[0], v[1]), cei_round_pair(in_halves, v[2], v[3]),
                                   cei_round_pair(in_halves, v[4], v[5]), cei_round_pair(in_halves, v[6], v[7])};
        cei_store_matrices(to + ((chunk + lane / CEI_WARP_ROWS) ^ row % 8) * 16, words);
    }
}

/* These to a tile, in which a warp's rows follow each other. Rows behind the last may be anything. */
CEI_INLINE void cei_write_to_tile(const cei_group_kernel_args *a, const cei_results_place *place, cei_shared own) {
    const unsigned on = cei_thread() % CEI_WARP * 16;
    unsigned char *tile = (unsigned char *)cei_tile_chunk(a->next, place->first_row,
                                                          place->first_column / CEI_CHUNK_NUMBERS, a->next_tiles);
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_WARP_RESULTS_BYTES; i += CEI_WARP * 16) {
        unsigned words[4];
        cei_read_words(own + on + i, words);
        cei_write_words(tile + on + i, words);
    }
}

/* Or to rows, which are whole chunks. */
CEI_INLINE void cei_write_to_rows(const cei_group_kernel_args *a, const cei_results_place *place, cei_shared own) {
    enum { AT_ONCE = CEI_WARP / CEI_TILE_CHUNKS };
    const unsigned lane = cei_thread() % CEI_WARP, chunk = lane % CEI_TILE_CHUNKS, outs = a->of.linear.weight.rows;
    const unsigned first = place->first_row + lane / CEI_TILE_CHUNKS;
    const unsigned column = place->first_column + chunk * CEI_CHUNK_NUMBERS;
    unsigned short *to = (unsigned short *)a->next + (unsigned long long)first * outs + column;
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_WARP_ROWS; i += AT_ONCE) {
        const unsigned row = i + lane / CEI_TILE_CHUNKS;
        unsigned words[4];
        cei_read_words(own + row * CEI_TILE_WIDTH + (chunk ^ row % 8) * 16, words);
        if (place->first_row + row < a->of.linear.rows && column < outs)
            cei_write_words(to + (unsigned long long)i * outs, words);
    }
}

/* In 16 bits, by way of shared memory, so that a lane writes 16 bytes at once. */
CEI_INLINE void cei_write_rounded(const cei_group_kernel_args *a, const cei_results_place *place,
                                  const float values[CEI_TILE_SUMS], cei_shared own) {
    if (a->in_halves)
        cei_show_results(true, values, own);
    else
        cei_show_results(false, values, own);
    cei_warp_barrier();
    if (a->next_tiles)
        cei_write_to_tile(a, place, own);
    else
        cei_write_to_rows(a, place, own);
    cei_warp_barrier(); /* the next ones may come */
}

CEI_INLINE void cei_finish_results(const cei_group_kernel_args *a, const cei_results_place *place,
                                   float values[CEI_TILE_SUMS], cei_shared own) {
    if (a->of.linear.function == CEI_QUICK) {
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_TILE_SUMS; i++) values[i] = cei_gelu_low(values[i]);
    }
    if (a->next) {
        cei_write_rounded(a, place, values, own);
        return;
    }
    cei_write_floats(a, place, values);
    if (a->of.linear.function > CEI_QUICK) cei_apply_to_results(a, place);
}

/* ---- bfloat16 --------------------------------------------------------------------------------------------------- */

#define GROUP_SUM float
#define GROUP_COLUMNS cei_float_columns
#define GROUP_ROWS unsigned
#define GROUP_READ_COLUMNS cei_read_float_columns
#define GROUP_READ_ROWS(args, place) 0
#define GROUP_RESULTS cei_results_of_floats

#define GROUP(name) cei_group_bfloat16_small_##name
#define GROUP_KERNEL cei_k_group_bfloat16_small
#define GROUP_DOWN 1
#define GROUP_ACROSS 1
#define GROUP_STAGES CEI_SMALL_STAGES
#define GROUP_BLOCKS 1
#define GROUP_COPIERS CEI_SMALL_COPIERS
#define GROUP_MULTIPLY cei_group_bfloat16_64
#define GROUP_WAIT cei_group_wait_float_32
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_float_32
#include "device/cuda/kernels/group.tmpl.h"

#define GROUP(name) cei_group_bfloat16_large_##name
#define GROUP_KERNEL cei_k_group_bfloat16
#define GROUP_DOWN 2
#define GROUP_ACROSS 2
#define GROUP_STAGES CEI_LARGE_STAGES
#define GROUP_BLOCKS CEI_LARGE_BLOCKS
#define GROUP_COPIERS CEI_LARGE_COPIERS
#define GROUP_MULTIPLY cei_group_bfloat16_128
#define GROUP_WAIT cei_group_wait_float_64
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_float_64
#include "device/cuda/kernels/group.tmpl.h"

#define GROUP(name) cei_group_bfloat16_wide_##name
#define GROUP_KERNEL cei_k_group_bfloat16_wide
#define GROUP_DOWN 2
#define GROUP_ACROSS 4
#define GROUP_STAGES CEI_WIDE_STAGES
#define GROUP_BLOCKS 1
#define GROUP_COPIERS CEI_WIDE_COPIERS
#define GROUP_REGISTERS CEI_WIDE_REGISTERS
#define GROUP_MULTIPLY cei_group_bfloat16_256
#define GROUP_WAIT cei_group_wait_float_128
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_float_128
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_SUM
#undef GROUP_COLUMNS
#undef GROUP_ROWS
#undef GROUP_READ_COLUMNS
#undef GROUP_READ_ROWS
#undef GROUP_RESULTS

/* ---- float16 ---------------------------------------------------------------------------------------------------- */

#define GROUP_SUM float
#define GROUP_COLUMNS cei_float_columns
#define GROUP_ROWS unsigned
#define GROUP_READ_COLUMNS cei_read_float_columns
#define GROUP_READ_ROWS(args, place) 0
#define GROUP_RESULTS cei_results_of_floats

#define GROUP(name) cei_group_float16_small_##name
#define GROUP_KERNEL cei_k_group_float16_small
#define GROUP_DOWN 1
#define GROUP_ACROSS 1
#define GROUP_STAGES CEI_SMALL_STAGES
#define GROUP_BLOCKS 1
#define GROUP_COPIERS CEI_SMALL_COPIERS
#define GROUP_MULTIPLY cei_group_float16_64
#define GROUP_WAIT cei_group_wait_float_32
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_float_32
#include "device/cuda/kernels/group.tmpl.h"

#define GROUP(name) cei_group_float16_large_##name
#define GROUP_KERNEL cei_k_group_float16
#define GROUP_DOWN 2
#define GROUP_ACROSS 2
#define GROUP_STAGES CEI_LARGE_STAGES
#define GROUP_BLOCKS CEI_LARGE_BLOCKS
#define GROUP_COPIERS CEI_LARGE_COPIERS
#define GROUP_MULTIPLY cei_group_float16_128
#define GROUP_WAIT cei_group_wait_float_64
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_float_64
#include "device/cuda/kernels/group.tmpl.h"

#define GROUP(name) cei_group_float16_wide_##name
#define GROUP_KERNEL cei_k_group_float16_wide
#define GROUP_DOWN 2
#define GROUP_ACROSS 4
#define GROUP_STAGES CEI_WIDE_STAGES
#define GROUP_BLOCKS 1
#define GROUP_COPIERS CEI_WIDE_COPIERS
#define GROUP_REGISTERS CEI_WIDE_REGISTERS
#define GROUP_MULTIPLY cei_group_float16_256
#define GROUP_WAIT cei_group_wait_float_128
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_float_128
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_SUM
#undef GROUP_COLUMNS
#undef GROUP_ROWS
#undef GROUP_READ_COLUMNS
#undef GROUP_READ_ROWS
#undef GROUP_RESULTS

/* ---- integers --------------------------------------------------------------------------------------------------- */

#define GROUP_SUM int
#define GROUP_COLUMNS cei_int_columns
#define GROUP_ROWS cei_int_rows
#define GROUP_READ_COLUMNS cei_read_int_columns
#define GROUP_READ_ROWS cei_read_int_rows
#define GROUP_RESULTS cei_results_of_integers

#define GROUP(name) cei_group_int8_small_##name
#define GROUP_KERNEL cei_k_group_int8_small
#define GROUP_DOWN 1
#define GROUP_ACROSS 1
#define GROUP_STAGES CEI_SMALL_STAGES
#define GROUP_BLOCKS 1
#define GROUP_COPIERS CEI_SMALL_COPIERS
#define GROUP_MULTIPLY cei_group_int8_64
#define GROUP_WAIT cei_group_wait_int_32
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_int_32
#include "device/cuda/kernels/group.tmpl.h"

#define GROUP(name) cei_group_int8_large_##name
#define GROUP_KERNEL cei_k_group_int8
#define GROUP_DOWN 2
#define GROUP_ACROSS 2
#define GROUP_STAGES CEI_LARGE_STAGES
#define GROUP_BLOCKS CEI_LARGE_BLOCKS
#define GROUP_COPIERS CEI_LARGE_COPIERS
#define GROUP_MULTIPLY cei_group_int8_128
#define GROUP_WAIT cei_group_wait_int_64
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_int_64
#include "device/cuda/kernels/group.tmpl.h"

#define GROUP(name) cei_group_int8_wide_##name
#define GROUP_KERNEL cei_k_group_int8_wide
#define GROUP_DOWN 2
#define GROUP_ACROSS 4
#define GROUP_STAGES CEI_WIDE_STAGES
#define GROUP_BLOCKS 1
#define GROUP_COPIERS CEI_WIDE_COPIERS
#define GROUP_REGISTERS CEI_WIDE_REGISTERS
#define GROUP_MULTIPLY cei_group_int8_256
#define GROUP_WAIT cei_group_wait_int_128
#define GROUP_WAIT_BUT_LAST cei_group_wait_but_last_int_128
#include "device/cuda/kernels/group.tmpl.h"
#undef GROUP_SUM
#undef GROUP_COLUMNS
#undef GROUP_ROWS
#undef GROUP_READ_COLUMNS
#undef GROUP_READ_ROWS
#undef GROUP_RESULTS

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* A thread moves a chunk of 16 bytes, and fills the row up to whole tiles behind its last one. */
CEI_KERNEL(cei_k_lay_tiles, CEI_LINEAR_THREADS, cei_tiles_kernel_args) {
    const unsigned long long i = (unsigned long long)cei_block_x() * CEI_LINEAR_THREADS + cei_thread();
    if (i >= a.count) return;
    const unsigned row = (unsigned)((a.first + i) / a.chunks), chunk = (unsigned)((a.first + i) % a.chunks);
    if (a.takes)
        a.rows[i] = *cei_tile_chunk(a.matrix, row, chunk, a.tiles);
    else
        cei_put_chunk(a.matrix, row, chunk, a.chunks, a.tiles, a.rows[i]);
}
#endif
