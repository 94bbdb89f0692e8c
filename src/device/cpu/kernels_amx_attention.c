/* kernels_amx_attention.c - attention in bfloat16 for AMX, for panels of 32: cei_cpu_low.weigh, score, mix and attend.
 * Compiled and called as kernels_amx.c is, whose sums these are to the bit. Contracts in kernels.h.
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
#include <string.h>

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

/* ---- all at once --------------------------------------------------------------------------------------------
 * Exponentials take about as long as all else, and other units of the processor: while those of a tile of queries are
 * made, row by row, the next tile is multiplied with its share of the keys, and the one before with its share of the
 * values.
 *
 * All tiles are whole: rows behind the last query hold what was there, and nothing reads what becomes of them. Sums of
 * values are in tiles 0 to 3, queries in 4 and 5, panels in 6, scores or weights in 7. */

typedef struct attending {
    const cei_cpu_attending *of;
    size_t stride; /* of scores, in bytes */
    _Alignas(64) uint16_t queries[TILE_ROWS][2 * BFLOAT16_STEP];
    _Alignas(64) float sums[TILE_ROWS][2 * PANEL];
    weighed_rows rows;           /* of the tile at hand */
    float factors[2][TILE_ROWS]; /* of the tile at hand and the one before, in turns */
} attending;

/* The tile of queries that will be scored. */
INLINE void load_queries(const attending *a, const bool is_deep) {
    tile_load(4, a->queries[0], sizeof *a->queries);
    if (is_deep) tile_load(5, a->queries[0] + BFLOAT16_STEP, sizeof *a->queries);
}

/* Its scores with the keys from place 16 begin on, before 16 end. */
INLINE void score_keys(const attending *a, float *to, size_t begin, size_t end, const bool is_deep) {
    for (size_t i = begin; i < end; i++) {
        const uint8_t *panel = (const uint8_t *)a->of->keys + i / 2 * a->of->key_bytes + i % 2 * STEP;
        tile_clear(7);
        tile_load(6, panel, PANEL_ROW);
        tile_multiply_bf16(7, 4, 6);
        if (is_deep) tile_load(6, panel + PANEL_STEP, PANEL_ROW);
        if (is_deep) tile_multiply_bf16(7, 5, 6);
        tile_store(7, to + i * LANES, a->stride);
    }
}

/* Adds up the values from place 32 begin on, before 32 end, by the weights. */
INLINE void mix_values(const attending *a, const float *from, size_t begin, size_t end, const bool is_deep) {
    const uint8_t *panel = (const uint8_t *)a->of->values + begin * PANEL_STEP;
    for (size_t i = begin; i < end; i++, panel += PANEL_STEP) {
        tile_load(7, (const uint8_t *)from + i * STEP, a->stride);
        tile_load(6, panel, PANEL_ROW);
        tile_multiply_bf16(0, 7, 6);
        tile_load(6, panel + STEP, PANEL_ROW);
        tile_multiply_bf16(1, 7, 6);
        if (!is_deep) continue;
        tile_load(6, panel + a->of->value_bytes, PANEL_ROW);
        tile_multiply_bf16(2, 7, 6);
        tile_load(6, panel + a->of->value_bytes + STEP, PANEL_ROW);
        tile_multiply_bf16(3, 7, 6);
    }
}

/* Queries of tile t, which may be behind the last. */
INLINE size_t rows_of(const cei_cpu_attending *of, size_t t) {
    const size_t rows = left(of->rows, t * TILE_ROWS);
    return rows < TILE_ROWS ? rows : TILE_ROWS;
}

/* The sums of tile t become results. */
INLINE void finish_values(attending *a, size_t t, const float *factors, const bool is_deep) {
    const cei_cpu_attending *of = a->of;
    tile_store(0, a->sums[0], sizeof *a->sums);
    tile_store(1, a->sums[0] + LANES, sizeof *a->sums);
    if (is_deep) tile_store(2, a->sums[0] + 2 * LANES, sizeof *a->sums);
    if (is_deep) tile_store(3, a->sums[0] + 3 * LANES, sizeof *a->sums);
    BARRIER();
    finish_rows(a->sums, rows_of(of, t), of->size, factors, of->out + t * TILE_ROWS * of->out_stride, of->out_stride);
}

/* Tile t becomes the queries, unless it is behind the last. */
INLINE void round_queries(attending *a, size_t t) {
    const cei_cpu_attending *of = a->of;
    const size_t rows = rows_of(of, t);
    if (rows)
        prepare_halves(of->q + t * TILE_ROWS * of->q_stride, of->q_stride, rows, of->size, (uint8_t *)a->queries,
                       sizeof *a->queries, BFLOAT16_STEP);
    BARRIER();
}

/* Tile t of queries becomes weights while the next is scored and the one before is mixed. Queries are rounded half a
 * tile before they are scored: they may come from far away. */
INLINE void attend_tiles(attending *a, const bool is_deep) {
    const cei_cpu_attending *of = a->of;
    const size_t keys = (of->length + LANES - 1) / LANES, steps = (of->length + BFLOAT16_STEP - 1) / BFLOAT16_STEP;
    const size_t tiles = (of->rows + TILE_ROWS - 1) / TILE_ROWS;
    float *scored = of->scores, *weighed = scored + TILE_ROWS * of->stride, *mixed = weighed + TILE_ROWS * of->stride;
    round_queries(a, 0);
    load_queries(a, is_deep);
    score_keys(a, scored, 0, keys, is_deep);
    round_queries(a, 1);
    for (size_t t = 0; t <= tiles; t++) {
        float *const last = mixed;
        const size_t rows = rows_of(of, t);
        mixed = weighed, weighed = scored, scored = last;
        load_queries(a, is_deep);
        clear_sums(is_deep);
        find_most(&a->rows, weighed, rows, of->stride, 0, of->length, of->scale);
        for (size_t r = 0; r < TILE_ROWS; r++) {
            if (r < rows) {
                prefetch_next(&of->next, t * TILE_ROWS + r);
                weigh_row(&a->rows, r, weighed + r * of->stride, 0, of->length, steps * BFLOAT16_STEP, of->scale);
            }
            if (r == TILE_ROWS / 2) round_queries(a, t + 2);
            BARRIER();
            if (t + 1 < tiles) score_keys(a, scored, keys * r / TILE_ROWS, keys * (r + 1) / TILE_ROWS, is_deep);
            if (t > 0) mix_values(a, mixed, steps * r / TILE_ROWS, steps * (r + 1) / TILE_ROWS, is_deep);
            BARRIER();
        }
        find_factors(&a->rows, rows, a->factors[t % 2]);
        if (t > 0) finish_values(a, t - 1, a->factors[(t - 1) % 2], is_deep);
    }
}

static void attend(const cei_cpu_attending *of) {
    attending a;
    if (!of->rows) return;
    a.of = of;
    a.stride = of->stride * sizeof(float);
    memset(a.queries, 0, sizeof a.queries);
    memset(&a.rows, 0, sizeof a.rows);
    BARRIER();
    configure_rows(TILE_ROWS);
    if (of->size <= BFLOAT16_STEP)
        attend_tiles(&a, false);
    else
        attend_tiles(&a, true);
    _tile_release();
    BARRIER();
}

static void weigh(const cei_cpu_weighing *weighing) { weigh_rows(weighing, BFLOAT16_STEP); }

void cei_cpu_fill_amx_attention(cei_cpu_kernels *kernels) {
    kernels->bfloat16.weigh = weigh;
    kernels->bfloat16.score = score;
    kernels->bfloat16.mix = mix;
    kernels->bfloat16.attend = attend;
}
