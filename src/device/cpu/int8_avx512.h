/* int8_avx512.h - what the int8 products of AVX-512's tiers share: activations as bytes from 0 to 255 and a zero, for
 * panels of 32. Needs AVX-512 F and BW. */
#ifndef CEI_INT8_AVX512_H
#define CEI_INT8_AVX512_H

#include "device/cpu/kernels.h"

#include <immintrin.h>

enum { INT8_PANEL = 32, INT8_HEAD = INT8_PANEL * (sizeof(float) + sizeof(int32_t)) };

/* ---- activations: the rule is cei_activation_scale's (formats/rounding.h), to the bit -------------------------- */

/* Lanes of a register from x[i] on, those at depth and behind 0. */
static inline __attribute__((always_inline)) __m512 load_row(const float *x, size_t i, size_t depth) {
    if (i + 16 <= depth) return _mm512_loadu_ps(x + i);
    return _mm512_maskz_loadu_ps((__mmask16)(i < depth ? (1u << (depth - i)) - 1u : 0), x + i);
}

/* The least and the largest with 0 among them, NaN passed over: min and max give their second operand then. */
static inline __attribute__((always_inline)) cei_row_scale find_row_scale(const float *x, size_t depth) {
    __m512 least[4], largest[4];
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) least[q] = largest[q] = _mm512_setzero_ps();
    for (size_t i = 0; i < depth; i += 64) {
#pragma GCC unroll 4
        for (size_t q = 0; q < 4; q++) {
            const __m512 v = load_row(x, i + 16 * q, depth);
            least[q] = _mm512_min_ps(v, least[q]);
            largest[q] = _mm512_max_ps(v, largest[q]);
        }
    }
    const __m512 low4 = _mm512_min_ps(_mm512_min_ps(least[0], least[1]), _mm512_min_ps(least[2], least[3]));
    const __m512 high4 = _mm512_max_ps(_mm512_max_ps(largest[0], largest[1]), _mm512_max_ps(largest[2], largest[3]));
    const float low = _mm512_reduce_min_ps(low4), high = _mm512_reduce_max_ps(high4);
    const float scale = (high - low) / 255;
    if (!(scale >= __FLT_MIN__) || scale > __FLT_MAX__) return (cei_row_scale){0, 0};
    return (cei_row_scale){scale, _mm_cvtss_si32(_mm_set_ss(-low * (1 / scale)))};
}

/* Sixteen integers round(v inverse). What is no number becomes the least integer, and 0 when it is packed. */
static inline __attribute__((always_inline)) __m512i round_lanes(__m512 v, __m512 inverse) {
    return _mm512_cvtps_epi32(_mm512_mul_ps(v, inverse));
}

/* Packing saturates twice: to 16 bits, to which the zero is added, then to bytes from 0 to 255. It takes 128 bits of
 * each register in turn, which the permutation undoes. */
static inline __attribute__((always_inline)) __m512i round_64(const float *x, size_t i, size_t depth, __m512 inverse,
                                                              __m512i zero) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i q0 = round_lanes(load_row(x, i, depth), inverse);
    const __m512i q1 = round_lanes(load_row(x, i + 16, depth), inverse);
    const __m512i q2 = round_lanes(load_row(x, i + 32, depth), inverse);
    const __m512i q3 = round_lanes(load_row(x, i + 48, depth), inverse);
    const __m512i low = _mm512_add_epi16(_mm512_packs_epi32(q0, q1), zero);
    const __m512i high = _mm512_add_epi16(_mm512_packs_epi32(q2, q3), zero);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}

/* cei_cpu_low.prepare, with zeros behind depth up to a multiple of step, which is at most 64. */
static inline __attribute__((always_inline)) void prepare_bytes(const float *x, size_t x_stride, size_t rows,
                                                                size_t depth, uint8_t *a, size_t a_stride,
                                                                cei_row_scale *scales, const size_t step) {
    const size_t end = (depth + step - 1) / step * step;
    for (size_t r = 0; r < rows; r++, x += x_stride, a += a_stride) {
        const cei_row_scale row = find_row_scale(x, depth);
        const __m512 inverse = _mm512_set1_ps(row.scale > 0 ? 1 / row.scale : 0);
        const __m512i zero = _mm512_set1_epi16((short)row.zero);
        size_t i = 0;
        for (; i + 64 <= depth; i += 64) _mm512_storeu_si512(a + i, round_64(x, i, depth, inverse, zero));
        if (i < end) {
            const __mmask64 values = ((__mmask64)1 << (depth - i)) - 1;
            const __mmask64 all = end - i < 64 ? ((__mmask64)1 << (end - i)) - 1 : ~(__mmask64)0;
            const __m512i bytes = _mm512_maskz_mov_epi8(values, round_64(x, i, depth, inverse, zero));
            _mm512_mask_storeu_epi8(a + i, all, bytes);
        }
        scales[r] = row;
    }
}

/* ---- results ------------------------------------------------------------------------------------------------ */

/* (float)(sum - zero of the row * sums of the columns) * (scale of the row * scales of the columns) + bias */
static inline __attribute__((always_inline)) __m512 finish_integers(cei_row_scale row, const int32_t *sums,
                                                                    const float *scales, __m512 bias) {
    const __m512i of_columns = _mm512_loadu_si512(scales + INT8_PANEL);
    const __m512i shift = _mm512_mullo_epi32(_mm512_set1_epi32(row.zero), of_columns);
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(sums), shift));
    return _mm512_fmadd_ps(sum, _mm512_mul_ps(_mm512_set1_ps(row.scale), _mm512_loadu_ps(scales)), bias);
}

/* The first columns results of a row, from its sums with a panel that begins at scales; bias [columns] or NULL. */
static inline __attribute__((always_inline)) void finish_int8(cei_row_scale row, const int32_t *sums,
                                                              const float *scales, const float *bias, size_t columns,
                                                              float *out) {
    if (columns == INT8_PANEL) {
        const __m512 bias0 = bias ? _mm512_loadu_ps(bias) : _mm512_setzero_ps();
        const __m512 bias1 = bias ? _mm512_loadu_ps(bias + 16) : _mm512_setzero_ps();
        _mm512_storeu_ps(out, finish_integers(row, sums, scales, bias0));
        _mm512_storeu_ps(out + 16, finish_integers(row, sums + 16, scales + 16, bias1));
        return;
    }
    for (size_t c = 0; c < columns; c += 16) {
        const __mmask16 lanes = (__mmask16)(columns - c >= 16 ? 0xFFFF : (1u << (columns - c)) - 1u);
        const __m512 some = bias ? _mm512_maskz_loadu_ps(lanes, bias + c) : _mm512_setzero_ps();
        _mm512_mask_storeu_ps(out + c, lanes, finish_integers(row, sums + c, scales + c, some));
    }
}

#endif
