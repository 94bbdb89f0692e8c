/* weigh_avx512.h - cei_cpu_low.weigh for AVX-512: scores of attention become the bfloat16 that values are multiplied
 * by, in one pass over a row behind the one that finds its largest score. Needs AVX-512 F, BW, DQ, BF16.
 *
 * e = 2^t of t = scale log2(e) s - the same of the largest s: VREDUCEPS leaves what t has over a whole number, for the
 * polynomial, and VSCALEFPS takes the whole number of t itself. */
#ifndef CEI_WEIGH_AVX512_H
#define CEI_WEIGH_AVX512_H

#include "device/cpu/bfloat16_avx512.h"
#include "device/cpu/functions.h"
#include "device/cpu/loops.h"

enum { WEIGHED_AT_ONCE = 16 };

/* Up to 16 rows at work: of each its largest score, times scale log2(e), and the sums of its exponentials. */
typedef struct weighed_rows {
    _Alignas(64) float most[WEIGHED_AT_ONCE];
    __m512 lanes[WEIGHED_AT_ONCE]; /* to be joined: lane l of the elements 16 i + l */
} weighed_rows;

INLINE __m512 join_two(__m512 a, __m512 b, const bool is_sum) {
    return is_sum ? _mm512_add_ps(a, b) : _mm512_max_ps(a, b);
}

/* The sum, or the largest, of the lanes of each of 16 registers; in lane r that of v[r]. Lanes l and l + 8 are joined
 * first, then l and l + 4, and so on, as _mm512_reduce_add_ps does it for one register: a step for all registers at
 * once leaves half of them. */
INLINE __m512 join_lanes(const __m512 v[WEIGHED_AT_ONCE], const bool is_sum) {
    __m512 w[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        w[i] = join_two(_mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0x44),
                        _mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0xEE), is_sum);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        w[i] = join_two(_mm512_shuffle_f32x4(w[2 * i], w[2 * i + 1], 0x88),
                        _mm512_shuffle_f32x4(w[2 * i], w[2 * i + 1], 0xDD), is_sum);
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        w[i] = join_two(_mm512_shuffle_ps(w[2 * i], w[2 * i + 1], 0x44),
                        _mm512_shuffle_ps(w[2 * i], w[2 * i + 1], 0xEE), is_sum);
    w[0] = join_two(_mm512_shuffle_ps(w[0], w[1], 0x88), _mm512_shuffle_ps(w[0], w[1], 0xDD), is_sum);
    /* Rows 4 i + q lie in 128-bit lane q. */
    return _mm512_permutexvar_ps(_mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0), w[0]);
}

/* 2^t in the lanes of mask for t <= 0, else 0; 2^-126 where it would be less (a result below that takes a hundred times
 * as long), NaN for NaN. */
INLINE __m512 power_of_two(__mmask16 mask, __m512 t) {
    enum { FLOOR = 0x09 }; /* no bits behind the point are kept from the subtraction; exceptions are not signalled */
    t = _mm512_max_ps(_mm512_set1_ps(-126), t);
    const __m512 f = _mm512_reduce_ps(t, FLOOR);
    __m512 y = _mm512_set1_ps(POWER_4);
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(POWER_3));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(POWER_2));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(POWER_1));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(1));
    return mask == 0xFFFF ? _mm512_scalef_ps(y, t) : _mm512_maskz_scalef_ps(mask, y, t);
}

/* A bit for each of 16 elements from i on that are seen: from first on, before end. */
INLINE __mmask16 seen_bits(size_t i, size_t first, size_t end) {
    return (__mmask16)(first_bits(i, end) & ~first_bits(i, first));
}

/* Lanes of the largest seen score s; of the largest -s if is_negative. */
INLINE __m512 most_of_lanes(const float *row, size_t first, size_t end, const bool is_negative) {
    const __m512 worst = _mm512_set1_ps(is_negative ? __builtin_inff() : -__builtin_inff());
    __m512 most[4] = {worst, worst, worst, worst};
    size_t i = first;
    for (; i + 64 <= end; i += 64) {
#pragma GCC unroll 4
        for (size_t h = 0; h < 4; h++) {
            const __m512 s = _mm512_loadu_ps(row + i + 16 * h);
            most[h] = is_negative ? _mm512_min_ps(s, most[h]) : _mm512_max_ps(s, most[h]);
        }
    }
    for (; i < end; i += 16) {
        const __mmask16 mask = first_bits(i, end);
        const __m512 s = _mm512_mask_mov_ps(worst, mask, _mm512_maskz_loadu_ps(mask, row + i));
        most[0] = is_negative ? _mm512_min_ps(s, most[0]) : _mm512_max_ps(s, most[0]);
    }
    if (!is_negative) return _mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3]));
    const __m512 least = _mm512_min_ps(_mm512_min_ps(most[0], most[1]), _mm512_min_ps(most[2], most[3]));
    return _mm512_sub_ps(_mm512_setzero_ps(), least);
}

/* Finds what counts most in each of so many rows: they are looked through in advance, so that none waits for its own.
 * Lanes of rows behind them must be numbers. */
INLINE void find_most(weighed_rows *w, const float *scores, size_t rows, size_t stride, size_t first, size_t end,
                      float scale) {
    for (size_t r = 0; r < rows; r++, scores += stride)
        w->lanes[r] = scale < 0 ? most_of_lanes(scores, first, end, true) : most_of_lanes(scores, first, end, false);
    const __m512 most = rows == 1 ? _mm512_set1_ps(_mm512_reduce_max_ps(w->lanes[0])) : join_lanes(w->lanes, false);
    const __m512 by = _mm512_set1_ps(scale < 0 ? -scale * LOG2_E : scale * LOG2_E);
    _mm512_storeu_ps(w->most, _mm512_mul_ps(most, by));
}

/* 1 / (sum of e) of each of so many rows. */
INLINE void find_factors(const weighed_rows *w, size_t rows, float *factors) {
    const __m512 sum = rows == 1 ? _mm512_set1_ps(_mm512_reduce_add_ps(w->lanes[0])) : join_lanes(w->lanes, true);
    _mm512_mask_storeu_ps(factors, first_bits(0, rows), _mm512_div_ps(_mm512_set1_ps(1), sum));
}

/* What the exponentials of a row need, and their sums, lane l of sums[h] of the elements 32 i + 16 h + l. */
typedef struct weighed_row {
    __m512 scale, most; /* both times log2(e) */
    __m512 sums[2];
} weighed_row;

/* The elements i to i + 31 of a row, those in the masks. Each is read before it is written over. */
INLINE __m512i weigh_32(weighed_row *w, const float *row, size_t i, __mmask16 low, __mmask16 high) {
    const __m512 s0 = _mm512_maskz_loadu_ps(low, row + i), s1 = _mm512_maskz_loadu_ps(high, row + i + 16);
    const __m512 e0 = power_of_two(low, _mm512_fmsub_ps(s0, w->scale, w->most));
    const __m512 e1 = power_of_two(high, _mm512_fmsub_ps(s1, w->scale, w->most));
    w->sums[0] = _mm512_add_ps(w->sums[0], e0);
    w->sums[1] = _mm512_add_ps(w->sums[1], e1);
    return (__m512i)_mm512_cvtne2ps_pbh(e1, e0);
}

/* Row r, which begins there: its scores from first on, before end, become padded weights. */
INLINE void weigh_row(weighed_rows *of, size_t r, float *row, size_t first, size_t end, size_t padded, float scale) {
    const __m512 none = _mm512_setzero_ps();
    weighed_row w = {_mm512_set1_ps(scale * LOG2_E), _mm512_set1_ps(of->most[r]), {none, none}};
    uint8_t *out = (uint8_t *)row;
    size_t i = 0;
    for (; i + 32 <= first; i += 32) _mm512_storeu_si512(out + 2 * i, _mm512_setzero_si512());
    if (i < first && i + 32 <= end) {
        const __mmask16 low = seen_bits(i, first, end), high = seen_bits(i + 16, first, end);
        _mm512_storeu_si512(out + 2 * i, weigh_32(&w, row, i, low, high));
        i += 32;
    }
    for (; i + 32 <= end; i += 32) _mm512_storeu_si512(out + 2 * i, weigh_32(&w, row, i, 0xFFFF, 0xFFFF));
    for (; i < padded; i += 32) {
        const __mmask16 low = seen_bits(i, first, end), high = seen_bits(i + 16, first, end);
        const __mmask32 all = padded - i < 32 ? ((__mmask32)1 << (padded - i)) - 1 : ~(__mmask32)0;
        _mm512_mask_storeu_epi16(out + 2 * i, all, weigh_32(&w, row, i, low, high));
    }
    of->lanes[r] = _mm512_add_ps(w.sums[0], w.sums[1]);
}

/* cei_cpu_low.weigh, of a tier whose step is this. */
INLINE void weigh_rows(const cei_cpu_weighing *w, const size_t step) {
    const size_t padded = (w->columns + step - 1) / step * step, end = w->first + w->seen;
    weighed_rows at_once = {.most = {0}};
    for (size_t first = 0; first < w->rows; first += WEIGHED_AT_ONCE) {
        const size_t rows = w->rows - first < WEIGHED_AT_ONCE ? w->rows - first : WEIGHED_AT_ONCE;
        float *scores = w->scores + first * w->stride;
        find_most(&at_once, scores, rows, w->stride, w->first, end, w->scale);
        for (size_t r = 0; r < rows; r++) {
            prefetch_next(&w->next, first + r);
            weigh_row(&at_once, r, scores + r * w->stride, w->first, end, padded, w->scale);
        }
        find_factors(&at_once, rows, w->factors + first);
    }
}

#endif
