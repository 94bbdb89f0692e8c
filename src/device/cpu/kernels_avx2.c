/* kernels_avx2.c - the kernels for AVX2 with FMA. Compiled with those flags, and called only where features.c found
 * them: nothing in this file may run before. Contracts in kernels.h.
 *
 * Rows of any length end in masked loads and stores, so that every element goes through the same instructions. */
#include "device/cpu/kernels.h"

#include "device/cpu/functions.h"
#include "device/cpu/gelu_table.h"
#include "device/cpu/loops.h"

#include <immintrin.h>

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)

typedef __m256 vec;

/* A tile is TILE_ROWS x PANEL: 12 accumulators, two registers of the panel's row, one broadcast of a. */
enum { LANES = 8, PANEL = 2 * LANES, TILE_ROWS = 6, CHAINS = 12 };

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

/* ---- words of product.tmpl.h and rows.tmpl.h ---------------------------------------------------------------- */

INLINE vec zero(void) { return _mm256_setzero_ps(); }
INLINE vec splat(float x) { return _mm256_set1_ps(x); }
INLINE vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec quotient(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec larger(vec a, vec b) { return _mm256_max_ps(a, b); } /* b if either is NaN */
INLINE vec multiply_add(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec multiply_subtract(vec a, vec b, vec c) { return _mm256_fmsub_ps(a, b, c); }
INLINE vec add_scaled(vec sum, float x, vec b) { return multiply_add(splat(x), b, sum); }
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

INLINE vec pick(vec v, const int32_t *places) {
    const __m256i from = _mm256_loadu_si256((const __m256i *)(const void *)places);
    return _mm256_permutevar8x32_ps(v, _mm256_sub_epi32(from, _mm256_set1_epi32(places[0])));
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

#include "device/cpu/product.tmpl.h"
#include "device/cpu/rows.tmpl.h"

void cei_cpu_fill_avx2(cei_cpu_kernels *kernels) {
    kernels->name = "avx2";
    kernels->features = "avx2 fma";
    fill_rows(kernels);
}
