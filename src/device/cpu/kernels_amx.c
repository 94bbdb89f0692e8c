/* kernels_amx.c - bfloat16 and int8 products for AMX, for panels of 32. Compiled with those flags, and called only
 * where features.c found them and the system has granted the tiles' registers (cei_cpu_request_amx). Contracts in
 * kernels.h.
 *
 * Both formats look alike in bytes: a step is 64 bytes of a row, and of the panel 16 rows of 128 bytes, a group of 4
 * bytes a column. A block of 32 x 32 sums is four tiles, which two tiles of rows and two of the panel are multiplied
 * into. Rows are streamed past the first-level cache, in which a part of the panel stays.
 *
 * TDPBF16PS sums the even and the odd terms of a step by fused multiply-adds, adds the two, and adds that to what was
 * before; it takes denormals for zeros and makes zeros of them. TDPBUSD is exact. Either does the same for a row
 * whatever the other rows are, so that bits depend on depth alone.
 *
 * The tiles' configuration is loaded at the beginning of a call, and what was before is not brought back: nothing else
 * in the process uses tiles while a call runs on the thread, and all is released at its end. */
#include "device/cpu/kernels.h"

#include "device/cpu/amx.h"
#include "device/cpu/bfloat16_avx512.h"
#include "device/cpu/int8_avx512.h"
#include "device/cpu/loops.h"

#include <immintrin.h>

/* Steps of a panel that stay in the first-level cache: 24 KiB of 48, the rest is for rows and results. */
enum { HOT_STEPS = 12 };

/* ---- results ------------------------------------------------------------------------------------------------
 * A block's sums are stored to scratch memory, and become results row by row while the next block is multiplied. */

typedef struct results {
    _Alignas(64) float sums[BLOCK_ROWS][PANEL]; /* int8: their bits are int32 */
    const cei_cpu_low_product *product;
    const void *head;  /* of the panel: scales and sums */
    const float *bias; /* of the panel's columns, or NULL */
    float *out;        /* of the block */
    size_t first_row, rows, done, columns;
} results;

INLINE void finish_row(const results *done, size_t r, const bool is_int8) {
    const cei_cpu_low_product *p = done->product;
    const size_t row = done->first_row + r;
    float *out = done->out + r * p->out_stride;
    if (is_int8)
        finish_int8(p->rows_scale[row], (const int32_t *)(const void *)done->sums[r], done->head, done->bias,
                    done->columns, out);
    else
        finish_bfloat16(p->factors ? p->factors + row : NULL, done->sums[r], done->bias, done->columns, out);
}

/* At most count rows more. */
INLINE void finish_some(results *done, size_t count, const bool is_int8) {
    const size_t left = done->rows - done->done, end = done->done + (count < left ? count : left);
    for (; done->done < end; done->done++) finish_row(done, done->done, is_int8);
}

/* Sums from or to memory, rows stride floats apart. */
INLINE void load_sums(const float *from, size_t stride, const bool is_tall) {
    const size_t bytes = stride * sizeof(float);
    tile_load(0, from, bytes);
    tile_load(1, from + LANES, bytes);
    if (!is_tall) return;
    tile_load(2, from + TILE_ROWS * stride, bytes);
    tile_load(3, from + TILE_ROWS * stride + LANES, bytes);
}

INLINE void store_sums(float *to, size_t stride, const bool is_tall) {
    const size_t bytes = stride * sizeof(float);
    tile_store(0, to, bytes);
    tile_store(1, to + LANES, bytes);
    if (!is_tall) return;
    tile_store(2, to + TILE_ROWS * stride, bytes);
    tile_store(3, to + TILE_ROWS * stride + LANES, bytes);
}

/* A panel at hand: its first column, and its columns. */
typedef struct panel_columns {
    size_t column, columns;
    const uint8_t *head; /* where it begins */
} panel_columns;

/* Results of so many rows from row on will be written when their block's steps are done: by then their lines have come
 * to the second-level cache, without which a store waits for each. */
INLINE void expect_results(const cei_cpu_low_product *p, const panel_columns *panel, size_t row, size_t rows) {
    const float *out = p->out + row * p->out_stride + panel->column;
    for (size_t r = 0; r < rows; r++, out += p->out_stride)
        for (size_t c = 0; c < panel->columns; c += LANES) _mm_prefetch((const char *)(out + c), _MM_HINT_T1);
}

/* The tiles hold the sums of rows from row on, and those before become results. */
INLINE void hand_over(const cei_cpu_low_product *p, const panel_columns *panel, results *done, size_t row, size_t rows,
                      const bool is_int8, const bool is_tall) {
    float *out = p->out + row * p->out_stride + panel->column;
    if (!is_int8 && !p->bias && !p->factors && panel->columns == PANEL) {
        store_sums(out, p->out_stride, is_tall);
        return;
    }
    finish_some(done, BLOCK_ROWS, is_int8);
    store_sums(done->sums[0], PANEL, is_tall);
    done->product = p;
    done->head = panel->head;
    done->bias = p->bias ? p->bias + panel->column : NULL;
    done->out = out;
    done->first_row = row;
    done->rows = rows;
    done->done = 0;
    done->columns = panel->columns;
}

/* ---- blocks ------------------------------------------------------------------------------------------------- */

/* A block of rows with some steps of a panel. */
typedef struct block {
    const uint8_t *a, *panel; /* where the first step begins */
    size_t a_stride, steps;
    const uint8_t *next; /* this block's share of product->next, and bytes of it that a step prefetches */
    size_t next_step;
} block;

/* What else there is to do, between instructions for tiles: the block before becomes results, row by row, and what is
 * wanted soon is fetched. */
typedef struct meanwhile {
    results *before;
    size_t due, times; /* rows are shared out evenly over so many times: one is due whenever due reaches them */
    const uint8_t *next, *end;
} meanwhile;

INLINE void do_some(meanwhile *m, const bool is_int8) {
    APART_A_LITTLE();
    for (m->due += m->before->rows; m->due >= m->times; m->due -= m->times) finish_some(m->before, 1, is_int8);
    if (m->next < m->end) {
        __builtin_prefetch(m->next, 0, 2);
        m->next += STEP;
    }
}

#define MULTIPLY(sum, a, b)            \
    do {                               \
        if (is_int8)                   \
            _tile_dpbusd(sum, a, b);   \
        else                           \
            _tile_dpbf16ps(sum, a, b); \
        do_some(&m, is_int8);          \
    } while (0)

/* Adds up the steps. */
INLINE void add_steps(const block *b, results *before, const bool is_int8, const bool is_tall) {
    const uint8_t *a = b->a, *panel = b->panel, *lower = a + TILE_ROWS * b->a_stride;
    meanwhile m = {.before = before, .times = b->steps * (is_tall ? 4 : 2), .next = b->next};
    for (size_t i = 0; i < b->steps; i++, a += STEP, lower += STEP, panel += PANEL_STEP) {
        m.end = m.next + b->next_step;
        tile_load(6, panel, PANEL_ROW);
        tile_stream(4, a, b->a_stride);
        tile_load(7, panel + STEP, PANEL_ROW);
        if (is_tall) tile_stream(5, lower, b->a_stride);
        MULTIPLY(0, 4, 6);
        MULTIPLY(1, 4, 7);
        if (is_tall) MULTIPLY(2, 5, 6);
        if (is_tall) MULTIPLY(3, 5, 7);
        for (; m.next < m.end; m.next += STEP) __builtin_prefetch(m.next, 0, 2);
    }
}

#undef MULTIPLY

/* ---- panels ------------------------------------------------------------------------------------------------- */

/* A product at work. */
typedef struct job {
    const cei_cpu_low_product *product;
    size_t steps;          /* of depth */
    size_t blocks, rest;   /* whole blocks, and rows behind them */
    panel_columns at;      /* the panel at hand */
    const uint8_t *values; /* of it, behind scales and sums */
    const uint8_t *next;   /* the panel behind it, or NULL */
} job;

/* The steps from first on, before end, of the block from row on. A block at a time takes its share of the next panel.
 */
INLINE block find_block(const job *j, size_t row, size_t first, size_t end) {
    const cei_cpu_low_product *p = j->product;
    const size_t shares = j->blocks + (j->rest != 0), next_step = (PANEL_STEP / shares + STEP - 1) / STEP * STEP;
    return (block){.a = (const uint8_t *)p->a + row * p->a_stride + first * STEP,
                   .panel = j->values + first * PANEL_STEP,
                   .a_stride = p->a_stride,
                   .steps = end - first,
                   .next = j->next ? j->next + (row / BLOCK_ROWS * j->steps + first) * next_step : NULL,
                   .next_step = j->next ? next_step : 0};
}

/* All whole blocks with the panel at hand. Where it is deep, part by part, so that a part stays in the first-level
 * cache; sums wait where results will be. That changes no bit of them. */
INLINE void run_blocks(const job *j, results *done, const bool is_int8) {
    const cei_cpu_low_product *p = j->product;
    const bool in_parts = j->steps > HOT_STEPS && j->blocks > 1 && j->at.columns == PANEL;
    const size_t parts = in_parts ? (j->steps + HOT_STEPS - 1) / HOT_STEPS : 1;
    for (size_t part = 0; part < parts; part++) {
        const size_t first = j->steps * part / parts, end = j->steps * (part + 1) / parts;
        for (size_t row = 0; row < j->blocks * BLOCK_ROWS; row += BLOCK_ROWS) {
            const block b = find_block(j, row, first, end);
            float *out = p->out + row * p->out_stride + j->at.column;
            if (part + 1 == parts) expect_results(p, &j->at, row, BLOCK_ROWS);
            if (part)
                load_sums(out, p->out_stride, true);
            else
                clear_sums(true);
            add_steps(&b, done, is_int8, true);
            if (part + 1 == parts)
                hand_over(p, &j->at, done, row, BLOCK_ROWS, is_int8, true);
            else
                store_sums(out, p->out_stride, true);
        }
    }
}

/* The rows behind them. */
INLINE void run_rest(const job *j, results *done, const bool is_int8) {
    const size_t row = j->blocks * BLOCK_ROWS;
    const block b = find_block(j, row, 0, j->steps);
    expect_results(j->product, &j->at, row, j->rest);
    if (j->rest > TILE_ROWS) {
        clear_sums(true);
        add_steps(&b, done, is_int8, true);
        hand_over(j->product, &j->at, done, row, j->rest, is_int8, true);
    } else {
        clear_sums(false);
        add_steps(&b, done, is_int8, false);
        hand_over(j->product, &j->at, done, row, j->rest, is_int8, false);
    }
}

INLINE void find_panel(job *j, size_t column, const bool is_int8) {
    const cei_cpu_low_product *p = j->product;
    const size_t left = p->columns - column;
    j->at.column = column;
    j->at.columns = left < PANEL ? left : PANEL;
    j->at.head = (const uint8_t *)p->panel + column / PANEL * p->panel_bytes;
    j->values = j->at.head + (is_int8 ? INT8_HEAD : 0);
    j->next = left > PANEL ? j->at.head + p->panel_bytes : p->next;
}

/* Tiles are set up twice at most: for whole blocks, then for the rest. */
INLINE void multiply(const cei_cpu_low_product *p, const bool is_int8) {
    const size_t steps = p->depth / (is_int8 ? INT8_STEP : BFLOAT16_STEP);
    job j = {.product = p, .steps = steps, .blocks = p->rows / BLOCK_ROWS, .rest = p->rows % BLOCK_ROWS};
    results done;
    done.rows = done.done = 0;
    BARRIER();
    if (j.blocks) {
        configure(TILE_ROWS, TILE_ROWS);
        for (size_t column = 0; column < p->columns; column += PANEL) {
            find_panel(&j, column, is_int8);
            run_blocks(&j, &done, is_int8);
        }
    }
    if (j.rest) {
        const size_t upper = j.rest < TILE_ROWS ? j.rest : TILE_ROWS;
        if (!j.blocks || j.rest != TILE_ROWS) configure(upper, j.rest > TILE_ROWS ? j.rest - TILE_ROWS : upper);
        for (size_t column = 0; column < p->columns; column += PANEL) {
            find_panel(&j, column, is_int8);
            run_rest(&j, &done, is_int8);
        }
    }
    if (p->rows) _tile_release();
    finish_some(&done, BLOCK_ROWS, is_int8);
}

/* ---- bfloat16 ----------------------------------------------------------------------------------------------- */

static void multiply_bfloat16(const cei_cpu_low_product *product) { multiply(product, false); }

static void prepare_bfloat16(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                             cei_row_scale *scales) {
    (void)scales;
    prepare_halves(x, x_stride, rows, depth, a, a_stride, BFLOAT16_STEP);
}

static void pack_bfloat16(const float *rows, size_t stride, size_t count, size_t columns, void *panel) {
    pack_halves(rows, stride, count, columns, panel, BFLOAT16_STEP);
}

/* ---- int8 --------------------------------------------------------------------------------------------------- */

static void multiply_int8(const cei_cpu_low_product *product) { multiply(product, true); }

static void prepare_int8(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                         cei_row_scale *scales) {
    prepare_bytes(x, x_stride, rows, depth, a, a_stride, scales, INT8_STEP);
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

/* Four products a round, of tiles in registers. Half of the operands' bits differ from lane to lane: zeros would run
 * faster, because the chip draws less power. */
INLINE double run_peak(size_t rounds, const bool is_int8) {
    _Alignas(64) uint16_t operand[TILE_ROWS][STEP / 2];
    uint32_t bits = 1;
    for (size_t i = 0; i < TILE_ROWS * STEP / 2; i++) {
        bits = bits * 1664525 + 1013904223; /* Knuth's linear congruential generator */
        operand[i / (STEP / 2)][i % (STEP / 2)] = (uint16_t)((bits >> 16 & 0x80FF) | 0x3F00); /* about 1 as bfloat16 */
    }
    BARRIER();
    configure(TILE_ROWS, TILE_ROWS);
    clear_sums(true);
    load_operands(operand);
    for (size_t n = 0; n < rounds; n++) {
        if (is_int8) {
            tile_multiply_u8s8(0, 4, 6);
            tile_multiply_u8s8(1, 4, 7);
            tile_multiply_u8s8(2, 5, 6);
            tile_multiply_u8s8(3, 5, 7);
        } else {
            tile_multiply_bf16(0, 4, 6);
            tile_multiply_bf16(1, 4, 7);
            tile_multiply_bf16(2, 5, 6);
            tile_multiply_bf16(3, 5, 7);
        }
    }
    _tile_release();
    return 4 * 2.0 * TILE_ROWS * LANES * (double)(is_int8 ? INT8_STEP : BFLOAT16_STEP) * (double)rounds;
}

static double peak_bfloat16(size_t rounds) { return run_peak(rounds, false); }
static double peak_int8(size_t rounds) { return run_peak(rounds, true); }

void cei_cpu_fill_amx_bf16(cei_cpu_kernels *kernels) {
    kernels->bfloat16 = (cei_cpu_low){.group = 2,
                                      .step = BFLOAT16_STEP,
                                      .element = sizeof(uint16_t),
                                      .prepare = prepare_bfloat16,
                                      .multiply = multiply_bfloat16,
                                      .peak = peak_bfloat16,
                                      .wide = true,
                                      .pack = pack_bfloat16};
}

void cei_cpu_fill_amx_int8(cei_cpu_kernels *kernels) {
    kernels->int8 = (cei_cpu_low){.group = 4,
                                  .step = INT8_STEP,
                                  .element = sizeof(uint8_t),
                                  .prepare = prepare_int8,
                                  .multiply = multiply_int8,
                                  .peak = peak_int8,
                                  .wide = true};
}
