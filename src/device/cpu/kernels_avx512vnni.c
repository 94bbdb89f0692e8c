/* kernels_avx512vnni.c - int8 products for AVX-512 with VNNI, for panels of 32. Compiled with those flags, and called
 * only where features.c found them. Contracts in kernels.h.
 *
 * VPDPBUSD multiplies four unsigned bytes of activations by four signed ones of weights and adds them up in int32,
 * exactly. Activations keep their zero, which is taken away from the sums. */
#include "device/cpu/kernels.h"

#include "device/cpu/int8_avx512.h"
#include "device/cpu/loops.h"

#include <immintrin.h>

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

typedef __m512i sums;

/* A tile is 14 x 32: 28 sums, two registers of the panel's row, one of activations. */
enum { LANES = 16, PANEL = 2 * LANES, TILE_ROWS = 14, GROUP = 4, HEAD = INT8_HEAD };

/* ---- words of product_low.tmpl.h ---------------------------------------------------------------------------- */

INLINE sums no_sums(void) { return _mm512_setzero_si512(); }

INLINE sums add_products(sums sum, const uint8_t *a, const uint8_t *w) {
    int32_t group;
    __builtin_memcpy(&group, a, sizeof group);
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(group), _mm512_loadu_si512(w));
}

INLINE void store_sums(uint8_t *to, sums sum) { _mm512_storeu_si512(to, sum); }

INLINE void finish(const cei_cpu_low_product *p, size_t row, const uint8_t *stored) {
    finish_int8(p->rows_scale[row], (const int32_t *)(const void *)stored, p->panel, p->bias, p->columns,
                p->out + row * p->out_stride);
}

#include "device/cpu/product_low.tmpl.h"

/* ---- the table ---------------------------------------------------------------------------------------------- */

static void prepare(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    cei_row_scale *scales) {
    prepare_bytes(x, x_stride, rows, depth, a, a_stride, scales, GROUP);
}

static double peak(size_t rounds) {
    enum { CHAINS = 24 };
    __m512i v[CHAINS];
    for (int i = 0; i < CHAINS; i++) v[i] = _mm512_set1_epi32(i);
    volatile int32_t bits = 0x7B9CA35D; /* zeros would run faster; read again, lest products be taken out of the loop */
    const __m512i w = _mm512_set1_epi32(0x5C31E7A9);
    for (size_t n = 0; n < rounds; n++) {
        const __m512i a = _mm512_set1_epi32(bits);
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) v[i] = _mm512_dpbusd_epi32(v[i], a, w);
    }
    __m512i sum = v[0];
    for (int i = 1; i < CHAINS; i++) sum = _mm512_xor_si512(sum, v[i]);
    volatile int32_t keep = _mm512_reduce_add_epi32(sum);
    (void)keep;
    return 2.0 * GROUP * LANES * CHAINS * (double)rounds;
}

void cei_cpu_fill_avx512vnni(cei_cpu_kernels *kernels) {
    kernels->int8 = (cei_cpu_low){.group = GROUP,
                                  .step = GROUP,
                                  .element = sizeof(uint8_t),
                                  .prepare = prepare,
                                  .multiply = multiply_panel,
                                  .peak = peak};
}
