/* amx.h - tiles, and how their sums become results: what the products of AMX share, for panels of 32. Compiled with
 * those flags. INLINE is loops.h's.
 *
 * The tiles' configuration is loaded at the beginning of a call, and what was before is not brought back: nothing else
 * in the process uses tiles while a call runs on the thread, and all is released at its end. */
#ifndef CEI_AMX_H
#define CEI_AMX_H

#include "device/cpu/kernels.h"

#include "device/cpu/bfloat16_avx512.h"
#include "device/cpu/int8_avx512.h"
#include "device/cpu/loops.h"

#include <immintrin.h>

/* What has no operands that say so may not be moved across: gcc's tile loads do not tell that they read memory. */
#define BARRIER() __asm__ volatile("" ::: "memory")

enum { LANES = 16, PANEL = 2 * LANES, TILE_ROWS = 16, BLOCK_ROWS = 2 * TILE_ROWS };

/* Bytes: of a row that a step takes; of a row of the panel; of the panel that a step takes. */
enum { STEP = 64, PANEL_ROW = 4 * PANEL, PANEL_STEP = TILE_ROWS * PANEL_ROW };

enum { BFLOAT16_STEP = STEP / sizeof(uint16_t), INT8_STEP = STEP };

/* ---- tiles --------------------------------------------------------------------------------------------------
 * Sums are in tiles 0 to 3 (upper left, upper right, lower left, lower right), rows in 4 and 5, the panel in 6 and 7.
 */

/* The memory format of LDTILECFG (Intel SDM vol. 2, palette 1). */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Tiles for blocks of upper rows, and lower ones below them. */
INLINE void configure(size_t upper, size_t lower) {
    const uint8_t u = (uint8_t)upper, l = (uint8_t)lower;
    tile_config config = {.palette = 1,
                          .row_bytes = {STEP, STEP, STEP, STEP, STEP, STEP, STEP, STEP},
                          .rows = {u, u, l, l, u, l, TILE_ROWS, TILE_ROWS}};
    __asm__ volatile("" : : "r"(&config) : "memory"); /* gcc believes that 8 bytes of it are read */
    _tile_loadconfig(&config);
    __asm__ volatile("" : : "r"(&config) : "memory");
}

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

INLINE void clear_sums(const bool is_tall) {
    _tile_zero(0);
    _tile_zero(1);
    if (!is_tall) return;
    _tile_zero(2);
    _tile_zero(3);
}

/* Sums from or to memory, rows stride floats apart. */
INLINE void load_sums(const float *from, size_t stride, const bool is_tall) {
    const size_t bytes = stride * sizeof(float);
    _tile_loadd(0, from, bytes);
    _tile_loadd(1, from + LANES, bytes);
    if (!is_tall) return;
    _tile_loadd(2, from + TILE_ROWS * stride, bytes);
    _tile_loadd(3, from + TILE_ROWS * stride + LANES, bytes);
}

INLINE void store_sums(float *to, size_t stride, const bool is_tall) {
    const size_t bytes = stride * sizeof(float);
    _tile_stored(0, to, bytes);
    _tile_stored(1, to + LANES, bytes);
    if (!is_tall) return;
    _tile_stored(2, to + TILE_ROWS * stride, bytes);
    _tile_stored(3, to + TILE_ROWS * stride + LANES, bytes);
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

/* ---- peak --------------------------------------------------------------------------------------------------- */

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
    _tile_loadd(4, operand, STEP);
    _tile_loadd(5, operand, STEP);
    _tile_loadd(6, operand, STEP);
    _tile_loadd(7, operand, STEP);
    for (size_t n = 0; n < rounds; n++) {
        if (is_int8) {
            _tile_dpbusd(0, 4, 6);
            _tile_dpbusd(1, 4, 7);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        } else {
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_release();
    return 4 * 2.0 * TILE_ROWS * LANES * (double)(is_int8 ? INT8_STEP : BFLOAT16_STEP) * (double)rounds;
}

#endif
