/* transpose_avx512.h - the transpose of sixteen registers of AVX-512. Needs AVX-512 F. */
#ifndef CEI_TRANSPOSE_AVX512_H
#define CEI_TRANSPOSE_AVX512_H

#include "device/cpu/loops.h"

#include <immintrin.h>

/* v becomes its transpose, as a 16 x 16 matrix. */
INLINE void transpose(__m512 v[16]) {
    __m512 w[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        w[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        w[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    /* v[4 q + c]: column c of each 128-bit lane, of rows 4 q .. 4 q + 3. */
#pragma GCC unroll 4
    for (int q = 0; q < 16; q += 4) {
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
    for (int i = 0; i < 16; i++) v[i] = w[i];
}

#endif
