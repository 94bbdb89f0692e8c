/* bfloat16_avx512.h - what the bfloat16 products of AVX-512's tiers share, for panels of 32. Needs AVX-512 F, BW, BF16.
 *
 * Rounding is cei_round_bfloat16's (formats/rounding.h), but the conversion takes denormals for zeros. */
#ifndef CEI_BFLOAT16_AVX512_H
#define CEI_BFLOAT16_AVX512_H

#include "device/cpu/kernels.h"

#include <immintrin.h>

enum { BFLOAT16_PANEL = 32 };

/* A bit for each of 16 elements from i on that are before depth. */
static inline __attribute__((always_inline)) __mmask16 first_bits(size_t i, size_t depth) {
    return (__mmask16)(i >= depth ? 0 : depth - i >= 16 ? 0xFFFF : (1u << (depth - i)) - 1u);
}

/* Rounds x[i] to x[i + 31], those at depth and behind as 0. */
static inline __attribute__((always_inline)) __m512i round_32(const float *x, size_t i, size_t depth) {
    const __m512 low = _mm512_maskz_loadu_ps(first_bits(i, depth), x + i);
    const __m512 high = _mm512_maskz_loadu_ps(first_bits(i + 16, depth), x + i + 16);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* cei_cpu_low.prepare, with zeros behind depth up to a multiple of step, which is at most 32. Each register is read
 * before what it becomes is written, which is never ahead of it: a may be x. */
static inline __attribute__((always_inline)) void prepare_halves(const float *x, size_t x_stride, size_t rows,
                                                                 size_t depth, uint8_t *a, size_t a_stride,
                                                                 const size_t step) {
    const size_t end = (depth + step - 1) / step * step;
    for (size_t r = 0; r < rows; r++, x += x_stride, a += a_stride) {
        size_t i = 0;
        for (; i + 32 <= depth; i += 32) {
            const __m512 low = _mm512_loadu_ps(x + i), high = _mm512_loadu_ps(x + i + 16);
            _mm512_storeu_si512(a + 2 * i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
        }
        if (i < end) {
            const __mmask32 all = end - i < 32 ? ((__mmask32)1 << (end - i)) - 1 : ~(__mmask32)0;
            _mm512_mask_storeu_epi16(a + 2 * i, all, round_32(x, i, depth));
        }
    }
}

/* Each number of a, rounded, beside that of b. */
static inline __attribute__((always_inline)) __m512i round_pairs(__m512 a, __m512 b) {
    /* The converted pair lies as 16 values of the first register, then 16 of the second. */
    const __m512i order =
        _mm512_set_epi32(0x1F000F, 0x1E000E, 0x1D000D, 0x1C000C, 0x1B000B, 0x1A000A, 0x190009, 0x180008, 0x170007,
                         0x160006, 0x150005, 0x140004, 0x130003, 0x120002, 0x110001, 0x100000);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

/* cei_cpu_low.pack, for panels of 32: rows in pairs, a pair's values of a column beside each other. */
static inline __attribute__((always_inline)) void pack_halves(const float *rows, size_t stride, size_t count,
                                                              size_t columns, uint16_t *panel, const size_t step) {
    const size_t end = (count + step - 1) / step * step;
    const __mmask16 low = first_bits(0, columns), high = first_bits(16, columns);
    for (size_t i = 0; i < end; i += 2, panel += 2 * BFLOAT16_PANEL) {
        const float *first = rows + i * stride, *second = first + stride;
        const __mmask16 is_first = i < count ? 0xFFFF : 0, is_second = i + 1 < count ? 0xFFFF : 0;
        const __m512 a0 = _mm512_maskz_loadu_ps(low & is_first, first);
        const __m512 a1 = _mm512_maskz_loadu_ps(high & is_first, first + 16);
        const __m512 b0 = _mm512_maskz_loadu_ps(low & is_second, second);
        const __m512 b1 = _mm512_maskz_loadu_ps(high & is_second, second + 16);
        _mm512_storeu_si512(panel, round_pairs(a0, b0));
        _mm512_storeu_si512(panel + BFLOAT16_PANEL, round_pairs(a1, b1));
    }
}

/* The first columns results of a row of sums: times factor, unless it is NULL, and plus bias [columns] or NULL. */
static inline __attribute__((always_inline)) void finish_bfloat16(const float *factor, const float *sums,
                                                                  const float *bias, size_t columns, float *out) {
    const __m512 by = _mm512_set1_ps(factor ? *factor : 1);
    for (size_t c = 0; c < BFLOAT16_PANEL; c += 16) {
        const __mmask16 lanes = first_bits(c, columns);
        __m512 value = _mm512_mul_ps(_mm512_loadu_ps(sums + c), by);
        if (bias) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(lanes, bias + c));
        if (columns == BFLOAT16_PANEL) /* masked stores are slow on some processors */
            _mm512_storeu_ps(out + c, value);
        else
            _mm512_mask_storeu_ps(out + c, lanes, value);
    }
}

#endif
