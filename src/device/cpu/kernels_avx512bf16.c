/* kernels_avx512bf16.c - bfloat16 products for AVX-512 with BF16, for panels of 32. Compiled with those flags, and
 * called only where features.c found them. Contracts in kernels.h.
 *
 * VDPBF16PS adds two products to a float32 sum, the second of the pair first, each by a fused multiply-add: the order
 * of a sum is i = 1, 0, 3, 2, 5, ... It takes denormals for zeros and makes zeros of them, whatever MXCSR says. */
#include "device/cpu/kernels.h"

#include "device/cpu/bfloat16_avx512.h"
#include "device/cpu/loops.h"
#include "device/cpu/weigh_avx512.h"

#include <immintrin.h>

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

typedef __m512 sums;

/* A tile is 14 x 32: 28 sums, two registers of the panel's row, one of activations. */
enum { LANES = 16, PANEL = 2 * LANES, TILE_ROWS = 14, GROUP = 2, HEAD = 0 };

/* ---- words of product_low.tmpl.h ---------------------------------------------------------------------------- */

INLINE sums no_sums(void) { return _mm512_setzero_ps(); }

INLINE sums add_products(sums sum, const uint8_t *a, const uint8_t *w) {
    int32_t group;
    __builtin_memcpy(&group, a, sizeof group);
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(group), (__m512bh)_mm512_loadu_si512(w));
}

INLINE void store_sums(uint8_t *to, sums sum) { _mm512_storeu_ps(to, sum); }

INLINE void finish(const cei_cpu_low_product *p, size_t row, const uint8_t *stored) {
    finish_bfloat16(p->factors ? p->factors + row : NULL, (const float *)(const void *)stored, p->bias, p->columns,
                    p->out + row * p->out_stride);
}

#include "device/cpu/product_low.tmpl.h"

static void multiply(const cei_cpu_low_product *whole) {
    cei_cpu_low_product part = *whole;
    for (size_t first = 0; first < whole->columns; first += PANEL) {
        const size_t left = whole->columns - first;
        const uint8_t *panel = (const uint8_t *)whole->panel + first / PANEL * whole->panel_bytes;
        part.columns = left < PANEL ? left : PANEL;
        part.panel = panel;
        part.next = left > PANEL ? panel + whole->panel_bytes : whole->next;
        part.bias = whole->bias ? whole->bias + first : NULL;
        part.out = whole->out + first;
        multiply_panel(&part);
    }
}

/* ---- activations -------------------------------------------------------------------------------------------- */

static void prepare(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    cei_row_scale *scales) {
    (void)scales;
    prepare_halves(x, x_stride, rows, depth, a, a_stride, GROUP);
}

static void pack(const float *rows, size_t stride, size_t count, size_t columns, void *panel) {
    pack_halves(rows, stride, count, columns, panel, GROUP);
}

static void weigh(const cei_cpu_weighing *weighing) { weigh_rows(weighing, GROUP); }

/* ---- the table ---------------------------------------------------------------------------------------------- */

static double peak(size_t rounds) {
    enum { CHAINS = 24 };
    __m512 v[CHAINS];
    for (int i = 0; i < CHAINS; i++) v[i] = _mm512_set1_ps((float)i);
    volatile int32_t bits = 0x3F81BF45; /* zeros would run faster; read again, lest products be taken out of the loop */
    const __m512i w = _mm512_set1_epi32(0x3F2B3F7D);
    for (size_t n = 0; n < rounds; n++) {
        const __m512i a = _mm512_set1_epi32(bits);
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) v[i] = _mm512_dpbf16_ps(v[i], (__m512bh)a, (__m512bh)w);
    }
    __m512 sum = v[0];
    for (int i = 1; i < CHAINS; i++) sum = _mm512_add_ps(sum, v[i]);
    volatile float keep = _mm512_reduce_add_ps(sum);
    (void)keep;
    return 2.0 * GROUP * LANES * CHAINS * (double)rounds;
}

void cei_cpu_fill_avx512bf16(cei_cpu_kernels *kernels) {
    kernels->bfloat16 = (cei_cpu_low){.group = GROUP,
                                      .step = GROUP,
                                      .element = sizeof(uint16_t),
                                      .prepare = prepare,
                                      .multiply = multiply,
                                      .peak = peak,
                                      .wide = true,
                                      .pack = pack,
                                      .weigh = weigh,
                                      .score = multiply,
                                      .mix = multiply};
}
