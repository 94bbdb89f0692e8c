/* kernels_amx_attention.c - attention in bfloat16 for AMX, for panels of 32: cei_cpu_low.weigh, score and mix. Compiled
 * and called as kernels_amx.c is, whose sums these are to the bit. Contracts in kernels.h.
 *
 * Products go query tile by query tile, each with all keys or values, where layers' products go panel by panel: so the
 * scores of 16 queries are in the first-level cache when they become weights. A tile of queries is loaded once if heads
 * are not wide, and a tile of sums is stored where scores belong.
 *
 * Loads and stores of tiles take a core's whole width for as long as they last, products do not. */
#include "device/cpu/kernels.h"

#include "device/cpu/amx.h"
#include "device/cpu/bfloat16_avx512.h"
#include "device/cpu/weigh_avx512.h"

#include <immintrin.h>

/* Tiles for so many rows: sums are in 0 to 3, queries or weights in 4 and 5, panels in 6 and 7. */
INLINE void configure_rows(size_t rows) { configure(rows, rows); }

/* Where the tile of 16 columns from column on lies in a panel. */
INLINE const uint8_t *panel_tile(const cei_cpu_low_product *p, size_t column) {
    return (const uint8_t *)p->panel + column / PANEL * p->panel_bytes + column / LANES % 2 * STEP;
}

/* ---- scores ------------------------------------------------------------------------------------------------- */

/* Results that are not whole rows of a tile: rows of so many columns, at most 16. */
INLINE void store_columns(float sums[TILE_ROWS][LANES], size_t rows, size_t columns, float *out, size_t stride) {
    for (size_t r = 0; r < rows; r++)
        _mm512_mask_storeu_ps(out + r * stride, first_bits(0, columns), _mm512_loadu_ps(sums[r]));
}

/* Tile 0 becomes scores of so many columns, which may be more than it has. */
INLINE void store_scores(size_t rows, size_t columns, float *out, size_t stride) {
    _Alignas(64) float sums[TILE_ROWS][LANES];
    if (columns >= LANES) {
        tile_store(0, out, stride * sizeof(float));
        return;
    }
    tile_store(0, sums, sizeof *sums);
    BARRIER();
    store_columns(sums, rows, columns, out, stride);
}

/* Sums of the tile of queries with 16 keys. */
#define SCORE(sum, panel_at, is_deep)                                  \
    do {                                                               \
        tile_clear(sum);                                               \
        tile_load(6, panel_at, PANEL_ROW);                             \
        tile_multiply_bf16(sum, 4, 6);                                 \
        if (is_deep) tile_load(7, (panel_at) + PANEL_STEP, PANEL_ROW); \
        if (is_deep) tile_multiply_bf16(sum, 5, 7);                    \
    } while (0)

/* A tile of queries, one or two steps deep, with all keys. */
INLINE void score_tile(const cei_cpu_low_product *p, const uint8_t *a, float *out, size_t rows, const bool is_deep) {
    const size_t stride = p->out_stride;
    const uint8_t *panel = p->panel;
    size_t column = 0;
    tile_load(4, a, p->a_stride);
    if (is_deep) tile_load(5, a + STEP, p->a_stride);
    for (; column + 2 * PANEL <= p->columns; column += 2 * PANEL, panel += 2 * p->panel_bytes, out += 2 * PANEL) {
        SCORE(0, panel, is_deep);
        SCORE(1, panel + STEP, is_deep);
        SCORE(2, panel + p->panel_bytes, is_deep);
        SCORE(3, panel + p->panel_bytes + STEP, is_deep);
        tile_store(0, out, stride * sizeof(float));
        tile_store(1, out + LANES, stride * sizeof(float));
        tile_store(2, out + 2 * LANES, stride * sizeof(float));
        tile_store(3, out + 3 * LANES, stride * sizeof(float));
    }
    for (; column < p->columns; column += LANES, out += LANES) {
        panel = panel_tile(p, column);
        SCORE(0, panel, is_deep);
        store_scores(rows, p->columns - column, out, stride);
    }
}

/* The same of any depth. */
INLINE void score_deep_tile(const cei_cpu_low_product *p, const uint8_t *a, float *out, size_t rows) {
    for (size_t column = 0; column < p->columns; column += LANES, out += LANES) {
        const uint8_t *panel = panel_tile(p, column);
        tile_clear(0);
        for (size_t i = 0; i < p->depth / BFLOAT16_STEP; i++) {
            tile_load(4, a + i * STEP, p->a_stride);
            tile_load(6, panel + i * PANEL_STEP, PANEL_ROW);
            tile_multiply_bf16(0, 4, 6);
        }
        store_scores(rows, p->columns - column, out, p->out_stride);
    }
}

static void score(const cei_cpu_low_product *p) {
    size_t configured = 0;
    BARRIER();
    for (size_t row = 0; row < p->rows; row += TILE_ROWS) {
        const size_t rows = p->rows - row < TILE_ROWS ? p->rows - row : TILE_ROWS;
        const uint8_t *a = (const uint8_t *)p->a + row * p->a_stride;
        float *out = p->out + row * p->out_stride;
        if (rows != configured) configure_rows(rows);
        configured = rows;
        if (p->depth == BFLOAT16_STEP)
            score_tile(p, a, out, rows, false);
        else if (p->depth == 2 * BFLOAT16_STEP)
            score_tile(p, a, out, rows, true);
        else
            score_deep_tile(p, a, out, rows);
    }
    if (configured) _tile_release();
    BARRIER();
}

/* ---- values ------------------------------------------------------------------------------------------------- */

/* A tile of weights with up to so many tiles of values' columns. */
INLINE void mix_tile(const cei_cpu_low_product *p, const uint8_t *a, size_t column, float sums[TILE_ROWS][2 * PANEL],
                     const size_t tiles) {
    const uint8_t *panel = panel_tile(p, column), *second = panel_tile(p, column + (tiles > 2 ? PANEL : 0));
    tile_clear(0);
    if (tiles > 1) tile_clear(1);
    if (tiles > 2) tile_clear(2);
    if (tiles > 3) tile_clear(3);
    for (size_t i = 0; i < p->depth; i += BFLOAT16_STEP, a += STEP, panel += PANEL_STEP, second += PANEL_STEP) {
        tile_load(4, a, p->a_stride);
        tile_load(6, panel, PANEL_ROW);
        tile_multiply_bf16(0, 4, 6);
        if (tiles > 1) {
            tile_load(7, panel + STEP, PANEL_ROW);
            tile_multiply_bf16(1, 4, 7);
        }
        if (tiles > 2) {
            tile_load(6, second, PANEL_ROW);
            tile_multiply_bf16(2, 4, 6);
        }
        if (tiles > 3) {
            tile_load(7, second + STEP, PANEL_ROW);
            tile_multiply_bf16(3, 4, 7);
        }
    }
    tile_store(0, sums[0], sizeof *sums);
    if (tiles > 1) tile_store(1, sums[0] + LANES, sizeof *sums);
    if (tiles > 2) tile_store(2, sums[0] + 2 * LANES, sizeof *sums);
    if (tiles > 3) tile_store(3, sums[0] + 3 * LANES, sizeof *sums);
    BARRIER();
}

/* Sums become results. */
INLINE void finish_rows(float sums[TILE_ROWS][2 * PANEL], size_t rows, size_t columns, const float *factors, float *out,
                        size_t stride) {
    for (size_t r = 0; r < rows; r++, out += stride) {
        const __m512 by = _mm512_set1_ps(factors[r]);
        for (size_t c = 0; c < columns; c += LANES) {
            const __m512 value = _mm512_mul_ps(_mm512_loadu_ps(sums[r] + c), by);
            if (c + LANES <= columns) /* masked stores are slow on some processors */
                _mm512_storeu_ps(out + c, value);
            else
                _mm512_mask_storeu_ps(out + c, first_bits(c, columns), value);
        }
    }
}

static void mix(const cei_cpu_low_product *p) {
    _Alignas(64) float sums[TILE_ROWS][2 * PANEL];
    size_t configured = 0;
    BARRIER();
    for (size_t row = 0; row < p->rows; row += TILE_ROWS) {
        const size_t rows = p->rows - row < TILE_ROWS ? p->rows - row : TILE_ROWS;
        const uint8_t *a = (const uint8_t *)p->a + row * p->a_stride;
        if (rows != configured) configure_rows(rows);
        configured = rows;
        for (size_t column = 0; column < p->columns; column += 2 * PANEL) {
            const size_t columns = p->columns - column < 2 * PANEL ? p->columns - column : 2 * PANEL;
            float *out = p->out + row * p->out_stride + column;
            if (columns > 3 * LANES)
                mix_tile(p, a, column, sums, 4);
            else if (columns > 2 * LANES)
                mix_tile(p, a, column, sums, 3);
            else if (columns > LANES)
                mix_tile(p, a, column, sums, 2);
            else
                mix_tile(p, a, column, sums, 1);
            finish_rows(sums, rows, columns, p->factors + row, out, p->out_stride);
        }
    }
    if (configured) _tile_release();
    BARRIER();
}

static void weigh(const cei_cpu_weighing *weighing) { weigh_rows(weighing, BFLOAT16_STEP); }

void cei_cpu_fill_amx_attention(cei_cpu_kernels *kernels) {
    kernels->bfloat16.weigh = weigh;
    kernels->bfloat16.score = score;
    kernels->bfloat16.mix = mix;
}
