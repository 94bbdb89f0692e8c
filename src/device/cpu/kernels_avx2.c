/* kernels_avx2.c - the kernels for AVX2 with FMA. Compiled with those flags, and called only where features.c found
 * them: nothing in this file may run before. Contracts in kernels.h.
 *
 * Rows of any length end in masked loads and stores, so that every element goes through the same instructions. */
#include "device/cpu/kernels.h"

#include "device/cpu/functions.h"
#include "device/cpu/gelu_table.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define CHAINS 12

typedef __m256 vec;

/* A tile is TILE_ROWS x PANEL: 12 accumulators, two registers of the panel's row, one broadcast of a. */
enum { LANES = 8, PANEL = 2 * LANES, TILE_ROWS = 6 };

static const int32_t lane_masks[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

/* Masks are for ends of rows only. */
INLINE __m256i first_lanes(size_t count) {
    return _mm256_loadu_si256((const __m256i *)(const void *)(lane_masks + LANES - count));
}

/* The first count lanes from memory, the others 0; count may be more than there are. */
INLINE __m256 load(const float *from, size_t count) {
    return count >= LANES ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, first_lanes(count));
}

INLINE void store(float *to, size_t count, __m256 v) {
    if (count >= LANES)
        _mm256_storeu_ps(to, v);
    else
        _mm256_maskstore_ps(to, first_lanes(count), v);
}

/* v in the first count lanes, other in the rest. */
INLINE __m256 choose(size_t count, __m256 v, __m256 other) {
    return count >= LANES ? v : _mm256_blendv_ps(other, v, _mm256_castsi256_ps(first_lanes(count)));
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
INLINE void finish_tile(const cei_cpu_product *p, const tile *t, __m256 sum[TILE_ROWS][2], const size_t rows,
                        const size_t columns) {
    const size_t c0 = columns, c1 = left(columns, LANES);
    const __m256 bias0 = p->bias ? load(p->bias, c0) : _mm256_setzero_ps();
    const __m256 bias1 = p->bias ? load(p->bias + LANES, c1) : _mm256_setzero_ps();
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++) {
        if (p->add) {
            const float *add = t->add + r * p->add_stride;
            sum[r][0] = _mm256_add_ps(load(add, c0), sum[r][0]);
            sum[r][1] = _mm256_add_ps(load(add + LANES, c1), sum[r][1]);
        }
        if (p->factors) {
            const __m256 factor = _mm256_set1_ps(t->factors[r]);
            sum[r][0] = _mm256_mul_ps(sum[r][0], factor);
            sum[r][1] = _mm256_mul_ps(sum[r][1], factor);
        }
        float *out = t->out + r * p->out_stride;
        store(out, c0, _mm256_add_ps(sum[r][0], bias0));
        store(out + LANES, c1, _mm256_add_ps(sum[r][1], bias1));
    }
}

INLINE void multiply_tile(const cei_cpu_product *p, const tile *t, const size_t rows) {
    __m256 sum[TILE_ROWS][2];
    const float *a[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
#pragma GCC unroll 2
    for (size_t g = 0; g < (rows + 2) / 3; g++) a[g] = t->a + 3 * g * p->a_stride;
    const char *next = t->next;
    const float *end = p->panel + p->depth * PANEL;
    for (const float *b = p->panel; b != end; b += PANEL) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + LANES);
        _mm_prefetch(next, _MM_HINT_T1);
        next += t->step;
#pragma GCC unroll 6
        for (size_t r = 0; r < rows; r++) {
            __m256 x = _mm256_broadcast_ss(&a[r / 3][(r % 3) * p->a_stride]);
            sum[r][0] = _mm256_fmadd_ps(x, b0, sum[r][0]);
            sum[r][1] = _mm256_fmadd_ps(x, b1, sum[r][1]);
        }
#pragma GCC unroll 2
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
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)

static void (*const multiply_rows[TILE_ROWS + 1])(const cei_cpu_product *, const tile *) = {
    NULL, multiply_1, multiply_2, multiply_3, multiply_4, multiply_5, multiply_6};
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

/* v becomes its transpose, as an 8 x 8 matrix. */
INLINE void transpose(__m256 v[LANES]) {
    __m256 w[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 2) {
        w[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        w[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    /* v[4 q + c]: column c of each 128-bit lane, of rows 4 q .. 4 q + 3. */
#pragma GCC unroll 2
    for (int q = 0; q < LANES; q += 4) {
        v[q] = _mm256_shuffle_ps(w[q], w[q + 2], 0x44);
        v[q + 1] = _mm256_shuffle_ps(w[q], w[q + 2], 0xEE);
        v[q + 2] = _mm256_shuffle_ps(w[q + 1], w[q + 3], 0x44);
        v[q + 3] = _mm256_shuffle_ps(w[q + 1], w[q + 3], 0xEE);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        w[c] = _mm256_permute2f128_ps(v[c], v[4 + c], 0x20);
        w[4 + c] = _mm256_permute2f128_ps(v[c], v[4 + c], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++) v[i] = w[i];
}

/* ---- checksums ---------------------------------------------------------------------------------------------- */

/* The weighted sum without products: with running sums S(i), sum of (i + 1) b(i) = (count + 1) S - sum of S(i). */
static void checksum(const float *steps, size_t count, uint64_t *sums, uint64_t *weighted) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i s[4] = {zero, zero, zero, zero}, running[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < count; i++) {
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) {
            __m128i bits = _mm_castps_si128(_mm_loadu_ps(steps + i * PANEL + (size_t)q * 4));
            s[q] = _mm256_add_epi64(s[q], _mm256_cvtepu32_epi64(bits));
            running[q] = _mm256_add_epi64(running[q], s[q]);
        }
    }
    for (int q = 0; q < 4; q++) {
        _mm256_storeu_si256((__m256i *)(void *)(sums + q * 4), s[q]);
        _mm256_storeu_si256((__m256i *)(void *)(weighted + q * 4), running[q]);
    }
    for (int j = 0; j < PANEL; j++) weighted[j] = (count + 1) * sums[j] - weighted[j];
}

/* ---- words of rows.tmpl.h ----------------------------------------------------------------------------------- */

INLINE vec zero(void) { return _mm256_setzero_ps(); }
INLINE vec splat(float x) { return _mm256_set1_ps(x); }
INLINE vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec quotient(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec larger(vec a, vec b) { return _mm256_max_ps(a, b); } /* b if either is NaN */
INLINE vec multiply_add(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec multiply_subtract(vec a, vec b, vec c) { return _mm256_fmsub_ps(a, b, c); }
INLINE vec absolute(vec x) { return _mm256_andnot_ps(splat(-0.0f), x); }
INLINE vec with_sign_of(vec size, vec x) { return _mm256_or_ps(size, _mm256_and_ps(x, splat(-0.0f))); }
INLINE vec where_less(vec x, vec y, vec a, vec b) { return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_LT_OQ)); }

INLINE float reduce_add(vec v) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

INLINE float reduce_max(vec v) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_shuffle_ps(half, half, 1)));
}

/* ---- elementwise functions ---------------------------------------------------------------------------------- */

/* exp(x) for x <= 0, 0 where that is below 2^-126, NaN for NaN. See functions.h for the constants. */
INLINE __m256 exp_nonpositive(__m256 x) {
    const __m256 normal = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_SMALLEST), _CMP_NLT_UQ);
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(LOG2_E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN_2), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN_2_REST), r);
    __m256 y = _mm256_set1_ps(EXP_6);
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(EXP_5));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(EXP_4));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(EXP_3));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(EXP_2));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1));
    __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(normal, _mm256_mul_ps(y, _mm256_castsi256_ps(exponent)));
}

INLINE __m256 gelu(__m256 x) {
    const __m256 magic = _mm256_set1_ps(ROUND_MAGIC);
    __m256 t = _mm256_min_ps(_mm256_set1_ps(GELU_8_LIMIT), absolute(x));
    __m256 y = _mm256_mul_ps(t, _mm256_set1_ps(GELU_8_SCALE));
    /* Rounded by the add, so that the low bits of nearest are the piece. */
    __m256 nearest = _mm256_add_ps(y, magic);
    __m256i piece = _mm256_castps_si256(nearest);
    __m256 s = _mm256_sub_ps(y, _mm256_sub_ps(nearest, magic));
    __m256 q = _mm256_permutevar8x32_ps(_mm256_loadu_ps(gelu_tail_8[7]), piece);
#pragma GCC unroll 7
    for (int power = 6; power >= 0; power--)
        q = _mm256_fmadd_ps(q, s, _mm256_permutevar8x32_ps(_mm256_loadu_ps(gelu_tail_8[power]), piece));
    return _mm256_fnmadd_ps(t, q, _mm256_max_ps(_mm256_setzero_ps(), x));
}

#include "device/cpu/rows.tmpl.h"

void cei_cpu_fill_avx2(cei_cpu_kernels *kernels) {
    kernels->name = "avx2";
    kernels->features = "avx2 fma";
    fill_rows(kernels);
}
