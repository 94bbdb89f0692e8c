/* kernels_f16c.c - the widening of float16 by F16C, which every tier of x86-64 with AVX2 takes. Compiled with that
 * flag, and called only where features.c found it. Contract in kernels.h. */
#include "device/cpu/kernels.h"

#include <immintrin.h>

enum { LANES = 8 };

static void widen_float16(const uint16_t *from, size_t count, float *to) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from + i))));
    for (; i < count; i++) to[i] = _cvtsh_ss(from[i]);
}

void cei_cpu_fill_f16c(cei_cpu_kernels *kernels) { kernels->widen_float16 = widen_float16; }
