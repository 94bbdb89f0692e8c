/* int8_avx2.h - what the int8 products of AVX2's tiers share: lanes of a row that has no more of them, and the scale of
 * a row of activations. Needs AVX2. */
#ifndef CEI_INT8_AVX2_H
#define CEI_INT8_AVX2_H

#include "device/cpu/kernels.h"

#include "device/cpu/loops.h"

#include <immintrin.h>

enum { LANES = 8 };

static const int32_t lane_masks[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

INLINE __m256i first_lanes(size_t count) {
    return _mm256_loadu_si256((const __m256i *)(const void *)(lane_masks + LANES - (count < LANES ? count : LANES)));
}

/* Lanes of a register from x[i] on, those at depth and behind 0. */
INLINE __m256 load_row(const float *x, size_t i, size_t depth) {
    if (i + LANES <= depth) return _mm256_loadu_ps(x + i);
    return i < depth ? _mm256_maskload_ps(x + i, first_lanes(depth - i)) : _mm256_setzero_ps();
}

INLINE float lowest_lane(__m256 v) {
    __m128 half = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_min_ss(half, _mm_shuffle_ps(half, half, 1)));
}

/* As cei_activation_scale: the least and the largest with 0 among them, NaN passed over. */
INLINE cei_row_scale find_scale(const float *x, size_t depth) {
    __m256 least[2], largest[2];
    for (size_t h = 0; h < 2; h++) least[h] = largest[h] = _mm256_setzero_ps();
    for (size_t i = 0; i < depth; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            const __m256 v = load_row(x, i + h * LANES, depth);
            least[h] = _mm256_min_ps(v, least[h]); /* the second operand if either is NaN */
            largest[h] = _mm256_max_ps(v, largest[h]);
        }
    }
    const float low = lowest_lane(_mm256_min_ps(least[0], least[1]));
    const __m256 most = _mm256_max_ps(largest[0], largest[1]);
    const float high = -lowest_lane(_mm256_sub_ps(_mm256_setzero_ps(), most));
    const float scale = (high - low) / 255;
    if (!(scale >= __FLT_MIN__) || scale > __FLT_MAX__) return (cei_row_scale){0, 0};
    return (cei_row_scale){scale, _mm_cvtss_si32(_mm_set_ss(-low * (1 / scale)))};
}

#endif
