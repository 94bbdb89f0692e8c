/* kernels_amx_float32.c - float32 products by the integer products of AMX, for panels of 32. Compiled with those
 * flags, and called only where features.c found them and the system has granted the tiles' registers. Contracts in
 * kernels.h (cei_cpu_digits).
 *
 * A step is 64 terms. Of each of 16 rows it has the three digits, 64 bytes each, in a tile; of each of 16 columns
 * likewise. Eight products of these nine pairs of tiles are added up, by the digits' places in four tiles of sums: what
 * is left out is below the last place. That is six loads of tiles for eight products.
 *
 * The operations on a number are those of its row alone, and sums of integers have no order: bits depend on depth, and
 * on nothing else. */
#include "device/cpu/kernels.h"

#include "device/cpu/amx.h"
#include "device/cpu/int8_avx512.h"
#include "device/cpu/loops.h"

#include <immintrin.h>

/* Bytes of a tile; of a step of a column tile, all digits. */
enum { TILE = TILE_ROWS * STEP, DIGITS = 3, COLUMN_STEP = DIGITS * TILE };

/* Places of which products of digits are added up. */
enum { PLACES = 4 };

/* ---- units and digits --------------------------------------------------------------------------------------- */

/* The largest integer of three digits, 127 in each, is 0.99608 * 2^23: where the largest number times a little more
 * than the inverse of that is below 2^(E + 1), the unit is 2^(E - 22). Units are at least 2^-126, so that their
 * inverses are numbers too. */
#define MARGIN 1.004f
enum { LEAST_EXPONENT = -104, BITS = 22, BIAS = 127, FRACTION = 23 };

/* 128 in each digit: added, it makes every digit one from 0 to 255, which is 128 more than it was. */
#define OFFSETS 0x808080

typedef struct units {
    __m512 exponents; /* of a power of two, as numbers; NaN if there is none */
    __m512 inverses;  /* that power's, or 0 */
} units;

/* Of the largest numbers, by their bits without the sign, of which those of NaN are the largest. */
INLINE units find_units(__m512i largest) {
    const __m512 above = _mm512_mul_ps(_mm512_castsi512_ps(largest), _mm512_set1_ps(MARGIN));
    const __mmask16 finite = _mm512_cmp_ps_mask(above, _mm512_set1_ps(__builtin_inff()), _CMP_LT_OQ);
    const __m512i bias = _mm512_set1_epi32(BIAS), bits = _mm512_set1_epi32(BITS);
    __m512i exponent = _mm512_sub_epi32(_mm512_srli_epi32(_mm512_castps_si512(above), FRACTION), bias);
    exponent = _mm512_max_epi32(exponent, _mm512_set1_epi32(LEAST_EXPONENT));
    const __m512i unit = _mm512_sub_epi32(exponent, bits);
    const __m512i inverse = _mm512_slli_epi32(_mm512_sub_epi32(bias, unit), FRACTION);
    return (units){_mm512_mask_mov_ps(_mm512_set1_ps(__builtin_nanf("")), finite, _mm512_cvtepi32_ps(unit)),
                   _mm512_maskz_mov_ps(finite, _mm512_castsi512_ps(inverse))};
}

INLINE __m512i without_sign(__m512 x) { return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MAX)); }

/* The digits of 16 numbers, each 128 more than it is, in the lower three bytes of each lane, the lowest first. */
INLINE __m512i find_digits(__m512 x, __m512 inverse) {
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(x, inverse, _mm512_set1_ps(OFFSETS)));
}

/* Of four registers of digits each lane's four highest digits, then the middle ones, then the lowest: those of q[0],
 * q[2], q[1] and q[3], in this order of bytes. Rows and columns have the same, so that it does not matter which. */
typedef struct joined {
    __m512i digits[DIGITS];
} joined;

INLINE joined join_digits(const __m512i q[4]) {
    const __mmask32 odd = 0xAAAAAAAA; /* the upper half of each lane */
    const __m512i even_bytes = _mm512_set1_epi32(0x00FF00FF), offset = _mm512_set1_epi8((char)0x80);
    const __m512i a = _mm512_mask_blend_epi16(odd, q[0], _mm512_slli_epi32(q[1], 16));
    const __m512i b = _mm512_mask_blend_epi16(odd, q[2], _mm512_slli_epi32(q[3], 16));
    const __m512i c = _mm512_mask_blend_epi16(odd, _mm512_srli_epi32(q[0], 16), q[1]);
    const __m512i d = _mm512_mask_blend_epi16(odd, _mm512_srli_epi32(q[2], 16), q[3]);
    enum { EITHER_BUT_NOT_THE_THIRD = 0x56, SECOND_WHERE_FIRST_ELSE_THIRD = 0xCA };
    const __m512i middle =
        _mm512_ternarylogic_epi32(even_bytes, _mm512_srli_epi32(a, 8), b, SECOND_WHERE_FIRST_ELSE_THIRD);
    const __m512i lowest =
        _mm512_ternarylogic_epi32(even_bytes, a, _mm512_slli_epi32(b, 8), SECOND_WHERE_FIRST_ELSE_THIRD);
    return (joined){{_mm512_ternarylogic_epi32(c, _mm512_slli_epi32(d, 8), offset, EITHER_BUT_NOT_THE_THIRD),
                     _mm512_xor_si512(middle, offset), _mm512_xor_si512(lowest, offset)}};
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

INLINE __m512i largest_of_row(const float *x, size_t depth) {
    __m512i most[4];
    UNROLL for (size_t q = 0; q < 4; q++) most[q] = _mm512_setzero_si512();
    for (size_t i = 0; i < depth; i += STEP) {
        UNROLL for (size_t q = 0; q < 4; q++) {
            most[q] = _mm512_max_epi32(most[q], without_sign(load_row(x, i + LANES * q, depth)));
        }
    }
    most[0] = _mm512_max_epi32(_mm512_max_epi32(most[0], most[1]), _mm512_max_epi32(most[2], most[3]));
    return _mm512_set1_epi32(_mm512_reduce_max_epi32(most[0]));
}

static void prepare(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    float *exponents) {
    const size_t padded = (depth + STEP - 1) / STEP * STEP;
    uint8_t *to = a;
    for (size_t r = 0; r < rows; r++, x += x_stride, to += a_stride) {
        const units of_row = find_units(largest_of_row(x, depth));
        exponents[r] = _mm512_cvtss_f32(of_row.exponents);
        for (size_t i = 0; i < padded; i += STEP) {
            __m512i q[4];
            UNROLL for (size_t h = 0; h < 4; h++) {
                q[h] = find_digits(load_row(x, i + LANES * h, depth), of_row.inverses);
            }
            const joined all = join_digits(q);
            UNROLL for (size_t d = 0; d < DIGITS; d++) _mm512_storeu_si512(to + d * padded + i, all.digits[d]);
        }
    }
}

/* ---- panels -------------------------------------------------------------------------------------------------
 * Splitting 16 columns of a panel is cut into tasks of four rows each, which are done one behind the other, or one by
 * one while another product is computed. */

static void find_exponents(const float *columns, size_t depth, float *exponents) {
    __m512i most[4];
    UNROLL for (size_t i = 0; i < 4; i++) most[i] = _mm512_setzero_si512();
    size_t k = 0;
    for (; k + 4 <= depth; k += 4) {
        UNROLL for (size_t i = 0; i < 4; i++) {
            most[i] = _mm512_max_epi32(most[i], without_sign(_mm512_loadu_ps(columns + (k + i) * PANEL)));
        }
    }
    for (; k < depth; k++) most[0] = _mm512_max_epi32(most[0], without_sign(_mm512_loadu_ps(columns + k * PANEL)));
    most[0] = _mm512_max_epi32(_mm512_max_epi32(most[0], most[1]), _mm512_max_epi32(most[2], most[3]));
    _mm512_storeu_ps(exponents, find_units(most[0]).exponents);
}

typedef struct splitting {
    const float *columns;
    size_t depth;
    uint8_t *digits;
    size_t done, tasks; /* that are done; in all */
    __m512 inverses;
} splitting;

INLINE void begin_split(splitting *s, const float *columns, size_t depth, const float *exponents, void *to) {
    const __m512 e = _mm512_loadu_ps(exponents);
    const __m512 inverses = _mm512_scalef_ps(_mm512_set1_ps(1), _mm512_sub_ps(_mm512_setzero_ps(), e));
    const __mmask16 finite = _mm512_cmp_ps_mask(e, _mm512_set1_ps(__builtin_inff()), _CMP_LT_OQ);
    s->columns = columns;
    s->depth = depth;
    s->digits = to;
    s->done = 0;
    s->tasks = (depth + STEP - 1) / STEP * TILE_ROWS;
    s->inverses = _mm512_maskz_mov_ps(finite, inverses);
}

/* Of a step's rows i, 16 + i, 32 + i and 48 + i: they become row i of each digit's tile. */
INLINE void do_task(splitting *s) {
    const size_t step = s->done / TILE_ROWS, i = s->done % TILE_ROWS, k = step * STEP;
    const float *from = s->columns + k * PANEL;
    uint8_t *to = s->digits + step * COLUMN_STEP + i * STEP;
    __m512i q[4];
    UNROLL for (size_t h = 0; h < 4; h++) {
        const size_t row = TILE_ROWS * h + i;
        const bool is_there = k + STEP <= s->depth || k + row < s->depth;
        const __m512 x = is_there ? _mm512_loadu_ps(from + row * PANEL) : _mm512_setzero_ps();
        q[h] = find_digits(x, s->inverses);
    }
    const joined all = join_digits(q);
    UNROLL for (size_t d = 0; d < DIGITS; d++) _mm512_storeu_si512(to + d * TILE, all.digits[d]);
    s->done++;
}

static void split(const float *columns, size_t depth, const float *exponents, void *to) {
    splitting s;
    begin_split(&s, columns, depth, exponents, to);
    while (s.done < s.tasks) do_task(&s);
}

/* ---- results -------------------------------------------------------------------------------------------------
 * A block's sums are stored to scratch memory, and become results row by row while the next block is multiplied. */

typedef struct results {
    _Alignas(64) int32_t sums[PLACES][TILE_ROWS][LANES]; /* of the highest place first */
    const cei_cpu_digit_product *product;
    __m512 exponents, bias; /* of the columns */
    __mmask16 lanes;        /* columns that there are */
    size_t first_row, rows, done;
} results;

/* Sums that are not exact in float32 are rounded; nothing else is before the power of two is multiplied in. */
INLINE void finish_row(const results *done, size_t r) {
    const cei_cpu_digit_product *p = done->product;
    const size_t row = done->first_row + r;
    const __m512 base = _mm512_set1_ps(256);
    __m512 v = _mm512_cvtepi32_ps(_mm512_loadu_si512(done->sums[0][r]));
    UNROLL for (size_t place = 1; place < PLACES; place++) {
        v = _mm512_fmadd_ps(v, base, _mm512_cvtepi32_ps(_mm512_loadu_si512(done->sums[place][r])));
    }
    v = _mm512_scalef_ps(v, _mm512_add_ps(_mm512_set1_ps(p->exponents[row] + 8), done->exponents));
    float *out = p->out + row * p->out_stride;
    if (p->adds) v = _mm512_add_ps(_mm512_maskz_loadu_ps(done->lanes, out), v);
    if (p->bias) v = _mm512_add_ps(v, done->bias);
    if (done->lanes == 0xFFFF) /* masked stores are slow on some processors */
        _mm512_storeu_ps(out, v);
    else
        _mm512_mask_storeu_ps(out, done->lanes, v);
}

/* ---- blocks -------------------------------------------------------------------------------------------------
 * Between a step's products, which have to be apart (amx.h), is what else there is to do: the columns that come next
 * are split, the block before becomes results, what is wanted soon is fetched. */

enum { FINISHES = 3, SPLITS = 4 }; /* times that a step has for each */

/* A product at work. */
typedef struct job {
    const cei_cpu_digit_product *product;
    size_t steps;
    const uint8_t *next, *next_end; /* what is left to prefetch */
    size_t next_step;               /* bytes of it that a step does */
    splitting coming;
    size_t due, times; /* tasks are shared out evenly over so many times: one is due whenever due reaches them */
    results before;
    size_t share;         /* rows that become results at a time */
    size_t expected, end; /* the next row whose results are fetched; behind this block's */
} job;

INLINE void split_some(job *j) {
    APART_A_LITTLE();
    for (j->due += j->coming.tasks; j->due >= j->times; j->due -= j->times) do_task(&j->coming);
}

/* Rows of the block before become results. Those of this one will while the next is multiplied: by then their lines
 * have come to the second-level cache, without which a store waits for each. */
INLINE void finish_some(job *j) {
    float *out = j->product->out;
    const size_t stride = j->product->out_stride;
    APART_A_LITTLE();
    for (size_t r = 0; r < j->share; r++) {
        if (j->before.done < j->before.rows) finish_row(&j->before, j->before.done++);
        if (j->expected < j->end) _mm_prefetch((const char *)(out + j->expected++ * stride), _MM_HINT_T1);
    }
}

INLINE void fetch_next(job *j) {
    APART_A_LITTLE();
    const uint8_t *end = j->next + j->next_step < j->next_end ? j->next + j->next_step : j->next_end;
    for (; j->next < end; j->next += STEP) __builtin_prefetch(j->next, 0, 2);
}

INLINE void multiply_block(job *j, const uint8_t *a) {
    const cei_cpu_digit_product *p = j->product;
    const size_t stride = p->a_stride, digit = p->depth;
    const uint8_t *panel = p->columns_at;
    clear_sums(true);
    for (size_t i = 0; i < j->steps; i++, a += STEP, panel += COLUMN_STEP) {
        tile_load(7, panel, STEP);
        tile_stream(4, a, stride);
        tile_stream(5, a + digit, stride);
        tile_stream(6, a + 2 * digit, stride);
        _tile_dpbssd(0, 4, 7);
        split_some(j);
        _tile_dpbssd(1, 5, 7);
        finish_some(j);
        _tile_dpbssd(2, 6, 7);
        split_some(j);
        tile_load(7, panel + TILE, STEP);
        _tile_dpbssd(1, 4, 7);
        finish_some(j);
        _tile_dpbssd(2, 5, 7);
        split_some(j);
        _tile_dpbssd(3, 6, 7);
        finish_some(j);
        tile_load(7, panel + 2 * TILE, STEP);
        _tile_dpbssd(2, 4, 7);
        split_some(j);
        _tile_dpbssd(3, 5, 7);
        fetch_next(j);
    }
}

INLINE void finish_all(results *done) {
    while (done->done < done->rows) finish_row(done, done->done++);
}

/* The tiles hold the sums of rows from row on, and those before become results. */
INLINE void hand_over(results *done, size_t row, size_t rows) {
    finish_all(done);
    tile_store(0, done->sums[0], STEP);
    tile_store(1, done->sums[1], STEP);
    tile_store(2, done->sums[2], STEP);
    tile_store(3, done->sums[3], STEP);
    done->first_row = row;
    done->rows = rows;
    done->done = 0;
}

/* Sums are in tiles 0 to 3, rows in 4 to 6, the panel in 7. */
INLINE void configure_rows(size_t height) {
    const uint8_t rows = (uint8_t)height;
    load_config(&(tile_config){.palette = 1,
                               .row_bytes = {STEP, STEP, STEP, STEP, STEP, STEP, STEP, STEP},
                               .rows = {rows, rows, rows, rows, rows, rows, rows, TILE_ROWS}});
}

/* The rows from first on, before end, in blocks of so many. */
INLINE void multiply_rows(job *j, size_t first, size_t end, size_t height) {
    const cei_cpu_digit_product *p = j->product;
    const uint8_t *a = p->a;
    configure_rows(height);
    for (size_t row = first; row < end; row += height) {
        j->expected = row;
        j->end = row + height;
        multiply_block(j, a + row * p->a_stride);
        hand_over(&j->before, row, height);
    }
}

static void multiply(const cei_cpu_digit_product *p) {
    const size_t whole = p->rows / TILE_ROWS * TILE_ROWS, steps = p->depth / STEP;
    const size_t shares = (p->rows + TILE_ROWS - 1) / TILE_ROWS * steps, bytes = p->next ? p->next_bytes : 0;
    job j; /* its sums are not to be cleared */
    j.product = p;
    j.steps = steps;
    j.next = j.next_end = p->next;
    j.next_step = shares ? (bytes / shares + STEP - 1) / STEP * STEP : 0;
    if (shares && bytes) j.next_end += bytes;
    j.coming.tasks = j.coming.done = j.due = 0;
    j.times = shares * SPLITS;
    if (p->coming) begin_split(&j.coming, p->coming, p->coming_depth, p->coming_exponents, p->coming_to);
    j.share = steps ? (TILE_ROWS + FINISHES * steps - 1) / (FINISHES * steps) : 0;
    j.before.product = p;
    j.before.exponents = _mm512_loadu_ps(p->column_exponents);
    j.before.lanes = (__mmask16)(p->columns < LANES ? (1u << p->columns) - 1u : 0xFFFF);
    j.before.bias = p->bias ? _mm512_maskz_loadu_ps(j.before.lanes, p->bias) : _mm512_setzero_ps();
    j.before.rows = j.before.done = 0;
    BARRIER();
    if (whole) multiply_rows(&j, 0, whole, TILE_ROWS);
    if (whole < p->rows) multiply_rows(&j, whole, p->rows, p->rows - whole);
    if (p->rows) _tile_release();
    finish_all(&j.before);
    while (j.coming.done < j.coming.tasks) do_task(&j.coming);
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

/* A step's products a round, of tiles in registers. */
static double peak(size_t rounds) {
    _Alignas(64) uint8_t operand[TILE];
    uint32_t bits = 1;
    for (size_t i = 0; i < TILE; i++) {
        bits = bits * 1664525 + 1013904223; /* Knuth's linear congruential generator */
        operand[i] = (uint8_t)(bits >> 24);
    }
    BARRIER();
    configure_rows(TILE_ROWS);
    clear_sums(true);
    load_operands(operand);
    for (size_t n = 0; n < rounds; n++) {
        tile_multiply_s8s8(0, 4, 7);
        tile_multiply_s8s8(1, 5, 7);
        tile_multiply_s8s8(2, 6, 7);
        tile_multiply_s8s8(3, 4, 7);
        tile_multiply_s8s8(0, 5, 7);
        tile_multiply_s8s8(1, 6, 7);
        tile_multiply_s8s8(2, 4, 7);
        tile_multiply_s8s8(3, 5, 7);
    }
    _tile_release();
    return 2.0 * TILE_ROWS * LANES * STEP * (double)rounds;
}

void cei_cpu_fill_amx_float32(cei_cpu_kernels *kernels) {
    kernels->digits = (cei_cpu_digits){.step = STEP,
                                       .width = LANES,
                                       .find_exponents = find_exponents,
                                       .prepare = prepare,
                                       .split = split,
                                       .multiply = multiply,
                                       .peak = peak};
}
