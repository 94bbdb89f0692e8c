/* kernels_avx512.c - the kernels for AVX-512 F, BW, DQ and VL. Compiled with those flags, and called only where
 * features.c found them: nothing in this file may run before. Contracts in kernels.h.
 *
 * Rows of any length end in masked loads and stores, so that every element goes through the same instructions. */
#include "device/cpu/kernels.h"

#include "device/cpu/functions.h"
#include "device/cpu/gelu_table.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define CHAINS 24

typedef __m512 vec;

/* A tile is TILE_ROWS x PANEL: 28 accumulators, two registers of the panel's row, one broadcast of a. */
enum { LANES = 16, PANEL = 2 * LANES, TILE_ROWS = 14 };

/* Masks are for ends of rows only: masked stores are slow on some processors. */
INLINE __mmask16 first_lanes(size_t count) { return (__mmask16)((1u << count) - 1u); }

/* The first count lanes from memory, the others 0; count may be more than there are. */
INLINE __m512 load(const float *from, size_t count) {
    return count >= LANES ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(first_lanes(count), from);
}

INLINE void store(float *to, size_t count, __m512 v) {
    if (count >= LANES)
        _mm512_storeu_ps(to, v);
    else
        _mm512_mask_storeu_ps(to, first_lanes(count), v);
}

/* v in the first count lanes, other in the rest. */
INLINE __m512 choose(size_t count, __m512 v, __m512 other) {
    return count >= LANES ? v : _mm512_mask_mov_ps(other, first_lanes(count), v);
}

/* Elements of a row from i on. */
INLINE size_t left(size_t columns, size_t i) { return columns > i ? columns - i : 0; }

/* ---- products ----------------------------------------------------------------------------------------------- */

typedef struct tile {
    const float *a, *add, *factors;
    float *out;
    const char *next; /* the share of product->next that this tile prefetches */
    size_t step;      /* bytes of it a step of depth */
} tile;

/* Sums become results: what was before, factors, bias. */
INLINE void finish_tile(const cei_cpu_product *p, const tile *t, __m512 sum[TILE_ROWS][2], const size_t rows,
                        const size_t columns) {
    const size_t c0 = columns, c1 = left(columns, LANES);
    const __m512 bias0 = p->bias ? load(p->bias, c0) : _mm512_setzero_ps();
    const __m512 bias1 = p->bias ? load(p->bias + LANES, c1) : _mm512_setzero_ps();
#pragma GCC unroll 14
    for (size_t r = 0; r < rows; r++) {
        if (p->add) {
            const float *add = t->add + r * p->add_stride;
            sum[r][0] = _mm512_add_ps(load(add, c0), sum[r][0]);
            sum[r][1] = _mm512_add_ps(load(add + LANES, c1), sum[r][1]);
        }
        if (p->factors) {
            const __m512 factor = _mm512_set1_ps(t->factors[r]);
            sum[r][0] = _mm512_mul_ps(sum[r][0], factor);
            sum[r][1] = _mm512_mul_ps(sum[r][1], factor);
        }
        float *out = t->out + r * p->out_stride;
        store(out, c0, _mm512_add_ps(sum[r][0], bias0));
        store(out + LANES, c1, _mm512_add_ps(sum[r][1], bias1));
    }
}

/* Rows in threes share a pointer, so that addresses fit into the general registers. */
INLINE void multiply_tile(const cei_cpu_product *p, const tile *t, const size_t rows) {
    __m512 sum[TILE_ROWS][2];
    const float *a[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 14
    for (size_t r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
#pragma GCC unroll 5
    for (size_t g = 0; g < (rows + 2) / 3; g++) a[g] = t->a + 3 * g * p->a_stride;
    const char *next = t->next;
    const float *end = p->panel + p->depth * PANEL;
    for (const float *b = p->panel; b != end; b += PANEL) {
        __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + LANES);
        _mm_prefetch(next, _MM_HINT_T1);
        next += t->step;
#pragma GCC unroll 14
        for (size_t r = 0; r < rows; r++) {
            __m512 x = _mm512_set1_ps(a[r / 3][(r % 3) * p->a_stride]);
            sum[r][0] = _mm512_fmadd_ps(x, b0, sum[r][0]);
            sum[r][1] = _mm512_fmadd_ps(x, b1, sum[r][1]);
        }
#pragma GCC unroll 5
        for (size_t g = 0; g < (rows + 2) / 3; g++) a[g]++;
    }
    if (p->columns == PANEL)
        finish_tile(p, t, sum, rows, PANEL);
    else
        finish_tile(p, t, sum, rows, p->columns);
}

/* clang-format off */
#define TILE(rows) \
    static void multiply_##rows(const cei_cpu_product *p, const tile *t) { multiply_tile(p, t, rows); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7)
TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)

static void (*const multiply_rows[TILE_ROWS + 1])(const cei_cpu_product *, const tile *) = {
    NULL,       multiply_1, multiply_2,  multiply_3,  multiply_4,  multiply_5,  multiply_6, multiply_7,
    multiply_8, multiply_9, multiply_10, multiply_11, multiply_12, multiply_13, multiply_14};
/* clang-format on */

/* Tiles of nearly equal height: a short last one would wait on its few accumulators. */
static void multiply(const cei_cpu_product *p) {
    const size_t tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS;
    const size_t step = p->next ? PANEL * sizeof(float) / tiles : 0;
    const char *next = (const char *)(p->next ? p->next : p->panel);
    size_t done = 0;
    for (size_t i = 0; i < tiles; i++) {
        const size_t rows = (p->rows - done + tiles - i - 1) / (tiles - i);
        const tile t = {p->a + done * p->a_stride,
                        p->add ? p->add + done * p->add_stride : NULL,
                        p->factors ? p->factors + done : NULL,
                        p->out + done * p->out_stride,
                        next + i * step * p->depth,
                        step};
        multiply_rows[rows](p, &t);
        done += rows;
    }
}

/* ---- packing ------------------------------------------------------------------------------------------------ */

/* v becomes its transpose, as a 16 x 16 matrix. */
INLINE void transpose(__m512 v[LANES]) {
    __m512 w[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i += 2) {
        w[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        w[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    /* v[4 q + c]: column c of each 128-bit lane, of rows 4 q .. 4 q + 3. */
#pragma GCC unroll 4
    for (int q = 0; q < LANES; q += 4) {
        __m512d lo0 = _mm512_castps_pd(w[q]), lo1 = _mm512_castps_pd(w[q + 2]);
        __m512d hi0 = _mm512_castps_pd(w[q + 1]), hi1 = _mm512_castps_pd(w[q + 3]);
        v[q] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo0, lo1));
        v[q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo0, lo1));
        v[q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(hi0, hi1));
        v[q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(hi0, hi1));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        __m512 a = _mm512_shuffle_f32x4(v[c], v[4 + c], 0x88), b = _mm512_shuffle_f32x4(v[8 + c], v[12 + c], 0x88);
        __m512 d = _mm512_shuffle_f32x4(v[c], v[4 + c], 0xDD), e = _mm512_shuffle_f32x4(v[8 + c], v[12 + c], 0xDD);
        w[c] = _mm512_shuffle_f32x4(a, b, 0x88);
        w[8 + c] = _mm512_shuffle_f32x4(a, b, 0xDD);
        w[4 + c] = _mm512_shuffle_f32x4(d, e, 0x88);
        w[12 + c] = _mm512_shuffle_f32x4(d, e, 0xDD);
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) v[i] = w[i];
}

/* ---- checksums ---------------------------------------------------------------------------------------------- */

/* The weighted sum without products: with running sums S(i), sum of (i + 1) b(i) = (count + 1) S - sum of S(i). */
static void checksum(const float *steps, size_t count, uint64_t *sums, uint64_t *weighted) {
    const __m512i total = _mm512_set1_epi64((long long)count + 1);
    const __m512i zero = _mm512_setzero_si512();
    __m512i s[4] = {zero, zero, zero, zero}, running[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < count; i++) {
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) {
            __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(steps + i * PANEL + (size_t)q * 8));
            s[q] = _mm512_add_epi64(s[q], _mm512_cvtepu32_epi64(bits));
            running[q] = _mm512_add_epi64(running[q], s[q]);
        }
    }
    for (int q = 0; q < 4; q++) {
        _mm512_storeu_si512(sums + q * 8, s[q]);
        _mm512_storeu_si512(weighted + q * 8, _mm512_sub_epi64(_mm512_mullo_epi64(total, s[q]), running[q]));
    }
}

/* ---- words of rows.tmpl.h ----------------------------------------------------------------------------------- */

INLINE vec zero(void) { return _mm512_setzero_ps(); }
INLINE vec splat(float x) { return _mm512_set1_ps(x); }
INLINE vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec quotient(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec larger(vec a, vec b) { return _mm512_max_ps(a, b); } /* b if either is NaN */
INLINE vec multiply_add(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec multiply_subtract(vec a, vec b, vec c) { return _mm512_fmsub_ps(a, b, c); }
INLINE vec absolute(vec x) { return _mm512_abs_ps(x); }
INLINE vec with_sign_of(vec size, vec x) { return _mm512_or_ps(size, _mm512_and_ps(x, splat(-0.0f))); }
INLINE vec where_less(vec x, vec y, vec a, vec b) {
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), a);
}
INLINE float reduce_add(vec v) { return _mm512_reduce_add_ps(v); }
INLINE float reduce_max(vec v) { return _mm512_reduce_max_ps(v); }

/* ---- elementwise functions ---------------------------------------------------------------------------------- */

/* exp(x) for x <= 0, 0 where that is below 2^-126, NaN for NaN. See functions.h for the constants. */
INLINE __m512 exp_nonpositive(__m512 x) {
    const __mmask16 normal = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_SMALLEST), _CMP_NLT_UQ);
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(LOG2_E)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN_2), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN_2_REST), r);
    __m512 y = _mm512_set1_ps(EXP_6);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(EXP_5));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(EXP_4));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(EXP_3));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(EXP_2));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1));
    return _mm512_maskz_scalef_ps(normal, y, n);
}

INLINE __m512 gelu(__m512 x) {
    const __m512 magic = _mm512_set1_ps(ROUND_MAGIC);
    __m512 t = _mm512_min_ps(_mm512_set1_ps(GELU_16_LIMIT), _mm512_abs_ps(x));
    __m512 y = _mm512_mul_ps(t, _mm512_set1_ps(GELU_16_SCALE));
    /* Rounded by the add, so that the low bits of nearest are the piece. */
    __m512 nearest = _mm512_add_ps(y, magic);
    __m512i piece = _mm512_castps_si512(nearest);
    __m512 s = _mm512_sub_ps(y, _mm512_sub_ps(nearest, magic));
    __m512 q = _mm512_permutexvar_ps(piece, _mm512_loadu_ps(gelu_tail_16[5]));
#pragma GCC unroll 5
    for (int power = 4; power >= 0; power--)
        q = _mm512_fmadd_ps(q, s, _mm512_permutexvar_ps(piece, _mm512_loadu_ps(gelu_tail_16[power])));
    return _mm512_fnmadd_ps(t, q, _mm512_max_ps(_mm512_setzero_ps(), x));
}

#include "device/cpu/rows.tmpl.h"

void cei_cpu_fill_avx512(cei_cpu_kernels *kernels) {
    kernels->name = "avx512";
    kernels->features = "avx512f avx512bw avx512dq avx512vl avx2 fma";
    fill_rows(kernels);
}
