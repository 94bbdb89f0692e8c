/* kernels_neon_i8mm.c - int8 products for AArch64 with products of 8-bit matrices (FEAT_I8MM). Compiled with that flag,
 * and called only where features_aarch64.c found it. Contracts in kernels.h.
 *
 * USMMLA multiplies two rows of unsigned bytes with two columns of signed ones: twice the work of a dot product, and
 * activations enter as they are. */
#include "device/cpu/neon_int8.h"

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)

typedef int32x4_t sums;

/* A tile is TILE_ROWS x PANEL: 24 registers of sums, three of pairs of rows, one of weights. */
enum { GROUP = 8, STEP = GROUP, TILE_ROWS = 6, CHAINS = 24 };

INLINE int32x4_t no_sums(void) { return vdupq_n_s32(0); }

INLINE int32x4_t add_products(int32x4_t sum, uint8x16_t a, uint8x16_t w) {
    return vusmmlaq_s32(sum, a, vreinterpretq_s8_u8(w));
}

INLINE int32x4_t first_row(int32x4_t x, int32x4_t y) {
    return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y)));
}

INLINE int32x4_t second_row(int32x4_t x, int32x4_t y) {
    return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y)));
}

INLINE void finish_row(const cei_cpu_low_product *p, size_t row, const int32x4_t sum[4]) {
    finish_int8(p, row, sum, 0);
}

#include "device/cpu/neon_pairs.tmpl.h"

#include "device/cpu/neon_low.tmpl.h"

static double peak(size_t rounds) {
    int32x4_t v[CHAINS];
    uint8x16_t x = vdupq_n_u8(3);
    UNROLL for (int i = 0; i < CHAINS; i++) v[i] = vdupq_n_s32(i);
    for (size_t n = 0; n < rounds; n++) {
        __asm__ volatile("" : "+w"(x)); /* the product is not taken out of the loop */
        UNROLL for (int i = 0; i < CHAINS; i++) v[i] = add_products(v[i], x, x);
    }
    keep_sums(v, CHAINS);
    return 2.0 * 32 * CHAINS * (double)rounds;
}

#include "device/cpu/neon_int8.tmpl.h"

void cei_cpu_fill_neon_i8mm(cei_cpu_kernels *kernels) { fill_int8(kernels); }
