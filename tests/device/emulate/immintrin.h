/* immintrin.h - the intrinsics that the kernels for AVX-512, VNNI, BF16 and AMX use, in portable C: put in front of the
 * compiler's header it lets those kernels run on any processor, in tests.
 *
 * Semantics are those of the Intel SDM, vol. 2. Registers are vectors of the compiler's, so that loops over lanes are
 * all there is. Memory is touched for lanes whose mask bit is set and for no other, as the processor does. Tiles are
 * one set a thread, and a use that the processor would refuse aborts: no configuration, rows or bytes that do not fit.
 */
#ifndef CE_TEST_EMULATE_IMMINTRIN_H
#define CE_TEST_EMULATE_IMMINTRIN_H

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EMULATE static inline __attribute__((always_inline, unused))
#define LANES_DO(count) for (int i = 0; i < (count); i++)

typedef float __m128 __attribute__((vector_size(16)));
typedef float __m256 __attribute__((vector_size(32)));
typedef float __m512 __attribute__((vector_size(64)));
typedef double __m512d __attribute__((vector_size(64)));
typedef int64_t __m256i __attribute__((vector_size(32)));
typedef int64_t __m512i __attribute__((vector_size(64)));
typedef int16_t __m512bh __attribute__((vector_size(64)));

/* The lanes of an integer register. */
typedef int32_t emulate_8i __attribute__((vector_size(32)));
typedef int16_t emulate_16h __attribute__((vector_size(32)));
typedef uint8_t emulate_32b __attribute__((vector_size(32)));
typedef int32_t emulate_16i __attribute__((vector_size(64)));
typedef uint32_t emulate_16u __attribute__((vector_size(64)));
typedef int16_t emulate_32h __attribute__((vector_size(64)));
typedef uint8_t emulate_64b __attribute__((vector_size(64)));

typedef uint16_t __mmask16;
typedef uint32_t __mmask32;
typedef uint64_t __mmask64;

enum { _MM_FROUND_TO_NEAREST_INT = 0, _CMP_ORD_Q = 7, _CMP_LT_OQ = 17, _CMP_NLT_UQ = 21, _MM_HINT_T1 = 2 };

#define _mm_prefetch(address, hint) __builtin_prefetch((address), 0, 2)

/* ---- lanes -------------------------------------------------------------------------------------------------- */

EMULATE uint32_t emulate_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

EMULATE float emulate_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Denormals as zeros of their sign: what the bfloat16 instructions do to operands and results. */
EMULATE float emulate_flush(float x) {
    const uint32_t bits = emulate_bits(x);
    return (bits & 0x7F800000) == 0 ? emulate_float(bits & 0x80000000) : x;
}

EMULATE float emulate_widen(uint16_t half) { return emulate_flush(emulate_float((uint32_t)half << 16)); }

/* sum + a * b in one rounding, to nearest. A product of two values of 8 bits is exact as a float32, unless it is too
 * small for one. */
EMULATE float emulate_add_product(float sum, uint16_t a, uint16_t b) {
    const float x = emulate_widen(a), y = emulate_widen(b), product = x * y, before = emulate_flush(sum);
    if (fabsf(product) >= 0x1p-126f || x == 0 || y == 0) return emulate_flush(before + product);
    return emulate_flush(fmaf(x, y, before));
}

EMULATE uint16_t emulate_narrow(float x) {
    const uint32_t bits = emulate_bits(emulate_flush(x));
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(bits >> 16 | 0x40); /* NaN, made quiet */
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* To the nearest integer, ties to even; the least one for what has none. */
EMULATE int32_t emulate_round(float x) {
    return x >= -2147483648.0f && x < 2147483648.0f ? (int32_t)rintf(x) : INT32_MIN;
}

EMULATE float emulate_least(float a, float b) { return a < b ? a : b; } /* b if either is NaN */
EMULATE float emulate_most(float a, float b) { return a > b ? a : b; }
EMULATE int16_t emulate_to_int16(int32_t x) {
    return (int16_t)(x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : x);
}
EMULATE uint8_t emulate_to_uint8(int32_t x) { return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x); }

/* sum + four products of unsigned with signed bytes, modulo 2^32. */
EMULATE int32_t emulate_add_bytes(int32_t sum, uint32_t a, uint32_t b) {
    for (int k = 0; k < 32; k += 8) {
        const int32_t product = (int32_t)(a >> k & 0xFF) * (int8_t)(b >> k & 0xFF);
        sum = (int32_t)((uint32_t)sum + (uint32_t)product);
    }
    return sum;
}

/* ---- 128 and 256 bits --------------------------------------------------------------------------------------- */

EMULATE __m128 _mm_set_ss(float x) { return (__m128){x, 0, 0, 0}; }
EMULATE float _mm_cvtss_f32(__m128 v) { return v[0]; }
EMULATE int _mm_cvtss_si32(__m128 v) { return emulate_round(v[0]); }
EMULATE __m128 _mm_movehl_ps(__m128 a, __m128 b) { return (__m128){b[2], b[3], a[2], a[3]}; }
EMULATE __m128 _mm_min_ss(__m128 a, __m128 b) { return (__m128){emulate_least(a[0], b[0]), a[1], a[2], a[3]}; }
EMULATE __m128 _mm_shuffle_ps(__m128 a, __m128 b, unsigned by) {
    return (__m128){a[by & 3], a[by >> 2 & 3], b[by >> 4 & 3], b[by >> 6 & 3]};
}
EMULATE __m128 _mm_min_ps(__m128 a, __m128 b) {
    LANES_DO(4) a[i] = emulate_least(a[i], b[i]);
    return a;
}

EMULATE __m256 _mm256_setzero_ps(void) { return (__m256){0}; }
EMULATE __m256i _mm256_setzero_si256(void) { return (__m256i){0}; }
EMULATE __m256 _mm256_set1_ps(float x) { return (__m256){x, x, x, x, x, x, x, x}; }
EMULATE __m256i _mm256_set1_epi32(int x) { return (__m256i)(emulate_8i){x, x, x, x, x, x, x, x}; }
EMULATE __m256i _mm256_setr_epi32(int a, int b, int c, int d, int e, int f, int g, int h) {
    return (__m256i)(emulate_8i){a, b, c, d, e, f, g, h};
}
EMULATE __m256i _mm256_set1_epi16(short x) {
    emulate_16h v;
    LANES_DO(16) v[i] = x;
    return (__m256i)v;
}
EMULATE __m256 _mm256_loadu_ps(const void *from) {
    __m256 v;
    memcpy(&v, from, sizeof v);
    return v;
}
EMULATE __m256i _mm256_loadu_si256(const void *from) {
    __m256i v;
    memcpy(&v, from, sizeof v);
    return v;
}
EMULATE void _mm256_storeu_ps(void *to, __m256 v) { memcpy(to, &v, sizeof v); }
EMULATE void _mm256_storeu_si256(void *to, __m256i v) { memcpy(to, &v, sizeof v); }
EMULATE __m256 _mm256_maskload_ps(const float *from, __m256i mask) {
    const emulate_8i wanted = (emulate_8i)mask;
    __m256 v = {0};
    LANES_DO(8) if (wanted[i] < 0) v[i] = from[i];
    return v;
}
EMULATE void _mm256_maskstore_ps(float *to, __m256i mask, __m256 v) {
    const emulate_8i wanted = (emulate_8i)mask;
    LANES_DO(8) if (wanted[i] < 0) to[i] = v[i];
}
EMULATE __m256i _mm256_castps_si256(__m256 v) { return (__m256i)v; }
EMULATE __m128 _mm256_castps256_ps128(__m256 v) { return (__m128){v[0], v[1], v[2], v[3]}; }
EMULATE __m128 _mm256_extractf128_ps(__m256 v, int half) {
    return half ? (__m128){v[4], v[5], v[6], v[7]} : (__m128){v[0], v[1], v[2], v[3]};
}
EMULATE int _mm256_extract_epi32(__m256i v, int lane) { return ((emulate_8i)v)[lane]; }
EMULATE __m256 _mm256_mul_ps(__m256 a, __m256 b) { return a * b; }
EMULATE __m256 _mm256_sub_ps(__m256 a, __m256 b) { return a - b; }
EMULATE __m256 _mm256_min_ps(__m256 a, __m256 b) {
    LANES_DO(8) a[i] = emulate_least(a[i], b[i]);
    return a;
}
EMULATE __m256 _mm256_max_ps(__m256 a, __m256 b) {
    LANES_DO(8) a[i] = emulate_most(a[i], b[i]);
    return a;
}
EMULATE __m256 _mm256_fmadd_ps(__m256 a, __m256 b, __m256 c) {
    LANES_DO(8) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
}
EMULATE __m256i _mm256_add_epi16(__m256i a, __m256i b) {
    emulate_16h v;
    LANES_DO(16) v[i] = (int16_t)(((emulate_16h)a)[i] + ((emulate_16h)b)[i]);
    return (__m256i)v;
}
EMULATE __m256i _mm256_sub_epi32(__m256i a, __m256i b) {
    emulate_8i v;
    LANES_DO(8) v[i] = (int32_t)((uint32_t)((emulate_8i)a)[i] - (uint32_t)((emulate_8i)b)[i]);
    return (__m256i)v;
}
EMULATE __m256i _mm256_mullo_epi32(__m256i a, __m256i b) {
    emulate_8i v;
    LANES_DO(8) v[i] = (int32_t)((uint32_t)((emulate_8i)a)[i] * (uint32_t)((emulate_8i)b)[i]);
    return (__m256i)v;
}
EMULATE __m256i _mm256_xor_si256(__m256i a, __m256i b) { return a ^ b; }
EMULATE __m256i _mm256_cvtps_epi32(__m256 v) {
    emulate_8i to;
    LANES_DO(8) to[i] = emulate_round(v[i]);
    return (__m256i)to;
}
EMULATE __m256 _mm256_cvtepi32_ps(__m256i v) {
    __m256 to;
    LANES_DO(8) to[i] = (float)((emulate_8i)v)[i];
    return to;
}
/* Packing takes 128 bits of each operand in turn. */
EMULATE __m256i _mm256_packs_epi32(__m256i a, __m256i b) {
    emulate_16h v;
    LANES_DO(16) v[i] = emulate_to_int16(((emulate_8i)(i & 4 ? b : a))[i / 8 * 4 + (i & 3)]);
    return (__m256i)v;
}
EMULATE __m256i _mm256_packus_epi16(__m256i a, __m256i b) {
    emulate_32b v;
    LANES_DO(32) v[i] = emulate_to_uint8(((emulate_16h)(i & 8 ? b : a))[i / 16 * 8 + (i & 7)]);
    return (__m256i)v;
}
EMULATE __m256i _mm256_permutevar8x32_epi32(__m256i v, __m256i order) {
    emulate_8i to;
    LANES_DO(8) to[i] = ((emulate_8i)v)[((emulate_8i)order)[i] & 7];
    return (__m256i)to;
}
EMULATE __m256i _mm256_dpbusd_avx_epi32(__m256i sum, __m256i a, __m256i b) {
    emulate_8i v = (emulate_8i)sum;
    LANES_DO(8) v[i] = emulate_add_bytes(v[i], (uint32_t)((emulate_8i)a)[i], (uint32_t)((emulate_8i)b)[i]);
    return (__m256i)v;
}

/* ---- 512 bits: memory --------------------------------------------------------------------------------------- */

EMULATE __m512 _mm512_setzero_ps(void) { return (__m512){0}; }
EMULATE __m512i _mm512_setzero_si512(void) { return (__m512i){0}; }
EMULATE __m512 _mm512_set1_ps(float x) {
    __m512 v;
    LANES_DO(16) v[i] = x;
    return v;
}
EMULATE __m512i _mm512_set1_epi16(short x) {
    emulate_32h v;
    LANES_DO(32) v[i] = x;
    return (__m512i)v;
}
EMULATE __m512i _mm512_set1_epi8(char x) {
    emulate_64b v;
    LANES_DO(64) v[i] = (uint8_t)x;
    return (__m512i)v;
}
EMULATE __m512i _mm512_set1_epi32(int x) {
    emulate_16i v;
    LANES_DO(16) v[i] = x;
    return (__m512i)v;
}
EMULATE __m512i _mm512_set1_epi64(long long x) { return (__m512i){x, x, x, x, x, x, x, x}; }
EMULATE __m512i _mm512_setr_epi32(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l,
                                  int m, int n, int o, int p) {
    return (__m512i)(emulate_16i){a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p};
}
EMULATE __m512i _mm512_set_epi32(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l,
                                 int m, int n, int o, int p) {
    return (__m512i)(emulate_16i){p, o, n, m, l, k, j, i, h, g, f, e, d, c, b, a};
}
EMULATE __m512 _mm512_loadu_ps(const void *from) {
    __m512 v;
    memcpy(&v, from, sizeof v);
    return v;
}
EMULATE __m512i _mm512_loadu_si512(const void *from) {
    __m512i v;
    memcpy(&v, from, sizeof v);
    return v;
}
EMULATE void _mm512_storeu_ps(void *to, __m512 v) { memcpy(to, &v, sizeof v); }
EMULATE void _mm512_storeu_si512(void *to, __m512i v) { memcpy(to, &v, sizeof v); }
EMULATE __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const float *from) {
    __m512 v = {0};
    LANES_DO(16) if (mask >> i & 1) v[i] = from[i];
    return v;
}
EMULATE void _mm512_mask_storeu_ps(float *to, __mmask16 mask, __m512 v) {
    LANES_DO(16) if (mask >> i & 1) to[i] = v[i];
}
EMULATE void _mm512_mask_storeu_epi8(void *to, __mmask64 mask, __m512i v) {
    LANES_DO(64) if (mask >> i & 1)((uint8_t *)to)[i] = ((emulate_64b)v)[i];
}
EMULATE void _mm512_mask_storeu_epi16(void *to, __mmask32 mask, __m512i v) {
    LANES_DO(32) if (mask >> i & 1) memcpy((uint8_t *)to + 2 * i, (uint8_t *)&v + 2 * i, 2);
}

/* ---- 512 bits: choosing and moving lanes -------------------------------------------------------------------- */

EMULATE __m512i _mm512_castps_si512(__m512 v) { return (__m512i)v; }
EMULATE __m512 _mm512_castsi512_ps(__m512i v) { return (__m512)v; }
EMULATE __m512d _mm512_castps_pd(__m512 v) { return (__m512d)v; }
EMULATE __m512 _mm512_castpd_ps(__m512d v) { return (__m512)v; }
EMULATE __m512 _mm512_mask_mov_ps(__m512 other, __mmask16 mask, __m512 v) {
    LANES_DO(16) v[i] = mask >> i & 1 ? v[i] : other[i];
    return v;
}
EMULATE __m512 _mm512_maskz_mov_ps(__mmask16 mask, __m512 v) {
    LANES_DO(16) v[i] = mask >> i & 1 ? v[i] : 0;
    return v;
}
EMULATE __m512i _mm512_set4_epi32(int d, int c, int b, int a) {
    emulate_16i v;
    LANES_DO(16) v[i] = (const int[]){a, b, c, d}[i % 4];
    return (__m512i)v;
}
/* Bytes of a from places in the same 128 bits, 0 where a place has its highest bit set; from, where the mask has none.
 */
EMULATE __m512i _mm512_mask_shuffle_epi8(__m512i from, __mmask64 mask, __m512i a, __m512i places) {
    const emulate_64b bytes = (emulate_64b)a, at = (emulate_64b)places;
    emulate_64b v = (emulate_64b)from;
    LANES_DO(64) if (mask >> i & 1) v[i] = at[i] & 0x80 ? 0 : bytes[i / 16 * 16 + (at[i] & 15)];
    return (__m512i)v;
}
EMULATE __m512i _mm512_mask_blend_epi16(__mmask32 mask, __m512i a, __m512i b) {
    emulate_32h to = (emulate_32h)a;
    LANES_DO(32) to[i] = mask >> i & 1 ? ((emulate_32h)b)[i] : to[i];
    return (__m512i)to;
}
EMULATE float _mm512_cvtss_f32(__m512 v) { return v[0]; }
EMULATE __m512i _mm512_maskz_mov_epi8(__mmask64 mask, __m512i v) {
    emulate_64b to = (emulate_64b)v;
    LANES_DO(64) to[i] = mask >> i & 1 ? to[i] : 0;
    return (__m512i)to;
}
EMULATE __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int how) {
    unsigned less = 0, ordered = 0;
    LANES_DO(16) {
        less |= (unsigned)(a[i] < b[i]) << i;
        ordered |= (unsigned)(a[i] == a[i] && b[i] == b[i]) << i;
    }
    return (__mmask16)(how == _CMP_LT_OQ ? less : how == _CMP_ORD_Q ? ordered : ~less); /* else _CMP_NLT_UQ */
}
EMULATE __m512i _mm512_mask_add_epi32(__m512i from, __mmask16 mask, __m512i a, __m512i b) {
    emulate_16i to = (emulate_16i)from, x = (emulate_16i)a, y = (emulate_16i)b;
    LANES_DO(16) to[i] = mask >> i & 1 ? (int32_t)((uint32_t)x[i] + (uint32_t)y[i]) : to[i];
    return (__m512i)to;
}
/* Unpacking works in each 128 bits by itself. */
EMULATE __m512 _mm512_unpacklo_ps(__m512 a, __m512 b) {
    __m512 v;
    LANES_DO(16) v[i] = (i & 1 ? b : a)[i / 4 * 4 + (i & 3) / 2];
    return v;
}
EMULATE __m512 _mm512_unpackhi_ps(__m512 a, __m512 b) {
    __m512 v;
    LANES_DO(16) v[i] = (i & 1 ? b : a)[i / 4 * 4 + 2 + (i & 3) / 2];
    return v;
}
EMULATE __m512d _mm512_unpacklo_pd(__m512d a, __m512d b) {
    __m512d v;
    LANES_DO(8) v[i] = (i & 1 ? b : a)[i / 2 * 2];
    return v;
}
EMULATE __m512d _mm512_unpackhi_pd(__m512d a, __m512d b) {
    __m512d v;
    LANES_DO(8) v[i] = (i & 1 ? b : a)[i / 2 * 2 + 1];
    return v;
}
EMULATE __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, unsigned by) {
    __m512 v;
    LANES_DO(16) v[i] = (i < 8 ? a : b)[(by >> (i / 4 * 2) & 3) * 4 + (unsigned)(i & 3)];
    return v;
}
EMULATE __m512 _mm512_shuffle_ps(__m512 a, __m512 b, unsigned by) {
    __m512 v;
    LANES_DO(16) v[i] = (i & 2 ? b : a)[(unsigned)(i / 4 * 4) + (by >> (i % 4 * 2) & 3)];
    return v;
}
EMULATE __m512 _mm512_permutexvar_ps(__m512i order, __m512 v) {
    __m512 to;
    LANES_DO(16) to[i] = v[((emulate_16i)order)[i] & 15];
    return to;
}
EMULATE __m512i _mm512_permutexvar_epi32(__m512i order, __m512i v) {
    emulate_16i to;
    LANES_DO(16) to[i] = ((emulate_16i)v)[((emulate_16i)order)[i] & 15];
    return (__m512i)to;
}
EMULATE __m512i _mm512_permutexvar_epi16(__m512i order, __m512i v) {
    emulate_32h to;
    LANES_DO(32) to[i] = ((emulate_32h)v)[((emulate_32h)order)[i] & 31];
    return (__m512i)to;
}
EMULATE __m512i _mm512_packs_epi32(__m512i a, __m512i b) {
    emulate_32h v;
    LANES_DO(32) v[i] = emulate_to_int16(((emulate_16i)(i & 4 ? b : a))[i / 8 * 4 + (i & 3)]);
    return (__m512i)v;
}
EMULATE __m512i _mm512_packus_epi16(__m512i a, __m512i b) {
    emulate_64b v;
    LANES_DO(64) v[i] = emulate_to_uint8(((emulate_32h)(i & 8 ? b : a))[i / 16 * 8 + (i & 7)]);
    return (__m512i)v;
}

/* ---- 512 bits: floats --------------------------------------------------------------------------------------- */

EMULATE __m512 _mm512_add_ps(__m512 a, __m512 b) { return a + b; }
EMULATE __m512 _mm512_sub_ps(__m512 a, __m512 b) { return a - b; }
EMULATE __m512 _mm512_mul_ps(__m512 a, __m512 b) { return a * b; }
EMULATE __m512 _mm512_div_ps(__m512 a, __m512 b) { return a / b; }
EMULATE __m512 _mm512_and_ps(__m512 a, __m512 b) { return (__m512)((__m512i)a & (__m512i)b); }
EMULATE __m512 _mm512_or_ps(__m512 a, __m512 b) { return (__m512)((__m512i)a | (__m512i)b); }
EMULATE __m512 _mm512_min_ps(__m512 a, __m512 b) {
    LANES_DO(16) a[i] = emulate_least(a[i], b[i]);
    return a;
}
EMULATE __m512 _mm512_max_ps(__m512 a, __m512 b) {
    LANES_DO(16) a[i] = emulate_most(a[i], b[i]);
    return a;
}
EMULATE __m512 _mm512_abs_ps(__m512 v) {
    LANES_DO(16) v[i] = fabsf(v[i]);
    return v;
}
EMULATE __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
    LANES_DO(16) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
}
EMULATE __m512 _mm512_fmsub_ps(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, -c); }
EMULATE __m512 _mm512_fnmadd_ps(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(-a, b, c); }
EMULATE __m512 _mm512_roundscale_ps(__m512 v, int how) {
    if (how != _MM_FROUND_TO_NEAREST_INT) abort();
    LANES_DO(16) v[i] = rintf(v[i]);
    return v;
}
/* What is above a whole number. */
EMULATE __m512 _mm512_reduce_ps(__m512 v, int how) {
    if (how != 0x09) abort();
    LANES_DO(16) v[i] = isinf(v[i]) ? 0 : v[i] - floorf(v[i]);
    return v;
}
/* a * 2^floor(b) */
EMULATE __m512 _mm512_maskz_scalef_ps(__mmask16 mask, __m512 a, __m512 b) {
    LANES_DO(16) {
        const float power = b[i] < -500 ? -500 : b[i] > 500 ? 500 : floorf(b[i]);
        a[i] = mask >> i & 1 ? isnan(b[i]) ? b[i] : ldexpf(a[i], (int)power) : 0;
    }
    return a;
}
EMULATE __m512 _mm512_scalef_ps(__m512 a, __m512 b) { return _mm512_maskz_scalef_ps(0xFFFF, a, b); }
/* In halves, as compilers do. */
EMULATE float _mm512_reduce_add_ps(__m512 v) {
    for (int half = 8; half > 0; half /= 2) LANES_DO(half) v[i] += v[i + half];
    return v[0];
}
EMULATE float _mm512_reduce_max_ps(__m512 v) {
    for (int half = 8; half > 0; half /= 2) LANES_DO(half) v[i] = emulate_most(v[i + half], v[i]);
    return v[0];
}
EMULATE float _mm512_reduce_min_ps(__m512 v) {
    for (int half = 8; half > 0; half /= 2) LANES_DO(half) v[i] = emulate_least(v[i + half], v[i]);
    return v[0];
}

/* ---- 512 bits: integers ------------------------------------------------------------------------------------- */

EMULATE __m512i _mm512_xor_si512(__m512i a, __m512i b) { return a ^ b; }
EMULATE __m512i _mm512_and_si512(__m512i a, __m512i b) { return a & b; }
EMULATE __m512i _mm512_or_si512(__m512i a, __m512i b) { return a | b; }
EMULATE __m512i _mm512_add_epi32(__m512i a, __m512i b) { return (__m512i)((emulate_16u)a + (emulate_16u)b); }
EMULATE __m512i _mm512_srli_epi32(__m512i v, unsigned count) { return (__m512i)((emulate_16u)v >> count); }
EMULATE __m512i _mm512_slli_epi32(__m512i v, unsigned count) { return (__m512i)((emulate_16u)v << count); }
EMULATE __m512i _mm512_max_epi32(__m512i a, __m512i b) {
    emulate_16i v;
    LANES_DO(16) v[i] = ((emulate_16i)a)[i] > ((emulate_16i)b)[i] ? ((emulate_16i)a)[i] : ((emulate_16i)b)[i];
    return (__m512i)v;
}
EMULATE int _mm512_reduce_max_epi32(__m512i v) {
    int most = ((emulate_16i)v)[0];
    LANES_DO(16) most = ((emulate_16i)v)[i] > most ? ((emulate_16i)v)[i] : most;
    return most;
}
/* Bit (a, b, c) of the table, read as a number, for each bit. */
EMULATE __m512i _mm512_ternarylogic_epi32(__m512i a, __m512i b, __m512i c, int table) {
    __m512i v = {0};
    for (int row = 0; row < 8; row++)
        if (table >> row & 1) v |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
    return v;
}
EMULATE __m512i _mm512_add_epi64(__m512i a, __m512i b) {
    LANES_DO(8) a[i] = (int64_t)((uint64_t)a[i] + (uint64_t)b[i]);
    return a;
}
EMULATE __m512i _mm512_sub_epi64(__m512i a, __m512i b) {
    LANES_DO(8) a[i] = (int64_t)((uint64_t)a[i] - (uint64_t)b[i]);
    return a;
}
EMULATE __m512i _mm512_mullo_epi64(__m512i a, __m512i b) {
    LANES_DO(8) a[i] = (int64_t)((uint64_t)a[i] * (uint64_t)b[i]);
    return a;
}
EMULATE __m512i _mm512_cvtepu32_epi64(__m256i v) {
    __m512i to;
    LANES_DO(8) to[i] = (int64_t)(uint32_t)((emulate_8i)v)[i];
    return to;
}
EMULATE __m512i _mm512_sub_epi32(__m512i a, __m512i b) { return (__m512i)((emulate_16u)a - (emulate_16u)b); }
EMULATE __m512i _mm512_mullo_epi32(__m512i a, __m512i b) { return (__m512i)((emulate_16u)a * (emulate_16u)b); }
EMULATE __m512i _mm512_add_epi16(__m512i a, __m512i b) {
    emulate_32h v;
    LANES_DO(32) v[i] = (int16_t)(((emulate_32h)a)[i] + ((emulate_32h)b)[i]);
    return (__m512i)v;
}
EMULATE int _mm512_reduce_add_epi32(__m512i v) {
    uint32_t sum = 0;
    LANES_DO(16) sum += ((emulate_16u)v)[i];
    return (int)sum;
}
EMULATE __m512i _mm512_cvtps_epi32(__m512 v) {
    emulate_16i to;
    LANES_DO(16) to[i] = emulate_round(v[i]);
    return (__m512i)to;
}
EMULATE __m512 _mm512_cvtepi32_ps(__m512i v) {
    __m512 to;
    LANES_DO(16) to[i] = (float)((emulate_16i)v)[i];
    return to;
}
EMULATE __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i a, __m512i b) {
    emulate_16i v = (emulate_16i)sum;
    LANES_DO(16) v[i] = emulate_add_bytes(v[i], ((emulate_16u)a)[i], ((emulate_16u)b)[i]);
    return (__m512i)v;
}

/* ---- bfloat16 ----------------------------------------------------------------------------------------------- */

/* The second operand's lanes first. */
EMULATE __m512bh _mm512_cvtne2ps_pbh(__m512 high, __m512 low) {
    __m512bh v;
    LANES_DO(16) v[i] = (int16_t)emulate_narrow(low[i]);
    LANES_DO(16) v[16 + i] = (int16_t)emulate_narrow(high[i]);
    return v;
}
/* The second of a pair first. */
EMULATE __m512 _mm512_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b) {
    LANES_DO(16) {
        sum[i] = emulate_add_product(sum[i], (uint16_t)a[2 * i + 1], (uint16_t)b[2 * i + 1]);
        sum[i] = emulate_add_product(sum[i], (uint16_t)a[2 * i], (uint16_t)b[2 * i]);
    }
    return sum;
}

#include "tiles.h"

#undef LANES_DO
#endif
