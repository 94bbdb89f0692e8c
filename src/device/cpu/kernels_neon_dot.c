/* kernels_neon_dot.c - int8 products for AArch64 with dot products (FEAT_DotProd). Compiled with that flag, and called
 * only where features_aarch64.c found it. Contracts in kernels.h.
 *
 * SDOT adds up four products of bytes in each 32-bit lane. Both of its operands are signed, so activations enter less
 * 128, and the column's sum of weights takes the difference away. */
#include "device/cpu/neon_int8.h"

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)

typedef int32x4_t sums;

/* A tile is TILE_ROWS x PANEL: 24 sums, a register of each row, one of weights. */
enum { GROUP = 4, STEP = 16, TILE_ROWS = 6, CHAINS = 24 };

/* Lanes must be constants where they are written. */
#define ADD_GROUP(lane)                                                                                       \
    UNROLL for (size_t c = 0; c < 4; c++) {                                                                   \
        const int8x16_t columns = vld1q_s8(w);                                                                \
        w += GROUP * LANES;                                                                                   \
        UNROLL for (size_t r = 0; r < rows; r++) sum[r][c] = vdotq_laneq_s32(sum[r][c], columns, a[r], lane); \
    }

INLINE void sum_depth(const cei_cpu_low_product *p, size_t first, const size_t rows, int32x4_t sum[TILE_ROWS][4]) {
    const int8_t *w = values_of(p);
    UNROLL for (size_t r = 0; r < rows; r++) { UNROLL for (size_t c = 0; c < 4; c++) sum[r][c] = vdupq_n_s32(0); }
    for (size_t k = 0; k < p->depth; k += STEP) {
        int8x16_t a[TILE_ROWS]; /* four groups */
        UNROLL for (size_t r = 0; r < rows; r++) a[r] =
            vreinterpretq_s8_u8(veorq_u8(vld1q_u8(row_of(p, first + r) + k), vdupq_n_u8(128)));
        ADD_GROUP(0)
        ADD_GROUP(1)
        ADD_GROUP(2)
        ADD_GROUP(3)
    }
}

INLINE void finish_row(const cei_cpu_low_product *p, size_t row, const int32x4_t sum[4]) {
    finish_int8(p, row, sum, 128);
}

#include "device/cpu/neon_low.tmpl.h"

static double peak(size_t rounds) {
    int32x4_t v[CHAINS];
    int8x16_t x = vdupq_n_s8(3);
    UNROLL for (int i = 0; i < CHAINS; i++) v[i] = vdupq_n_s32(i);
    for (size_t n = 0; n < rounds; n++) {
        __asm__ volatile("" : "+w"(x)); /* the product is not taken out of the loop */
        UNROLL for (int i = 0; i < CHAINS; i++) v[i] = vdotq_s32(v[i], x, x);
    }
    keep_sums(v, CHAINS);
    return 2.0 * 16 * CHAINS * (double)rounds;
}

#include "device/cpu/neon_int8.tmpl.h"

void cei_cpu_fill_neon_dot(cei_cpu_kernels *kernels) { fill_int8(kernels); }
