/* kernels_avx512.c - the kernels for AVX-512 F, BW, DQ and VL. Compiled with those flags, and called only where
 * features.c found them: nothing in this file may run before. Contracts in kernels.h.
 *
 * Rows of any length end in masked loads and stores, so that every element goes through the same instructions. */
#include "device/cpu/kernels.h"

#include "device/cpu/functions.h"
#include "device/cpu/gelu_table.h"
#include "device/cpu/loops.h"
#include "device/cpu/transpose_avx512.h"

#include <immintrin.h>

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

typedef __m512 vec;

/* A tile is TILE_ROWS x PANEL: 28 accumulators, two registers of the panel's row, one broadcast of a. */
enum { LANES = 16, PANEL = 2 * LANES, TILE_ROWS = 14, CHAINS = 24 };

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

/* ---- words of product.tmpl.h and rows.tmpl.h ---------------------------------------------------------------- */

INLINE vec zero(void) { return _mm512_setzero_ps(); }
INLINE vec splat(float x) { return _mm512_set1_ps(x); }
INLINE vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec quotient(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec larger(vec a, vec b) { return _mm512_max_ps(a, b); } /* b if either is NaN */
INLINE vec multiply_add(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec multiply_subtract(vec a, vec b, vec c) { return _mm512_fmsub_ps(a, b, c); }
INLINE vec add_scaled(vec sum, float x, vec b) { return multiply_add(splat(x), b, sum); }
INLINE vec absolute(vec x) { return _mm512_abs_ps(x); }
INLINE vec with_sign_of(vec size, vec x) { return _mm512_or_ps(size, _mm512_and_ps(x, splat(-0.0f))); }
INLINE vec where_less(vec x, vec y, vec a, vec b) {
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), a);
}
INLINE float reduce_add(vec v) { return _mm512_reduce_add_ps(v); }
INLINE float reduce_max(vec v) { return _mm512_reduce_max_ps(v); }

INLINE vec pick(vec v, const int32_t *places) {
    const __m512i from = _mm512_loadu_si512(places);
    return _mm512_permutexvar_ps(_mm512_sub_epi32(from, _mm512_set1_epi32(places[0])), v);
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

#include "device/cpu/product.tmpl.h"
#include "device/cpu/rows.tmpl.h"

void cei_cpu_fill_avx512(cei_cpu_kernels *kernels) {
    kernels->name = "avx512";
    kernels->features = "avx512f avx512bw avx512dq avx512vl avx2 fma";
    fill_rows(kernels);
}
