/* kernels_neon_int8.c - int8 products for every AArch64. Contracts in kernels.h.
 *
 * Activations less 128 are int8; pairs of them meet pairs of weights in 16-bit products, which are exact and are added
 * up, neighbour to neighbour, in 32 bits. That is as many multiply-adds an instruction as float32 has: int8 saves
 * memory here, not time, which takes dot products (kernels_neon_dot.c). */
#include "device/cpu/neon_int8.h"

#define TILES(X) X(1) X(2) X(3) X(4)

typedef int32x4_t sums;

/* A tile is TILE_ROWS x PANEL: 16 sums, a register of each row, two of weights, and what is between. */
enum { GROUP = 2, STEP = 8, TILE_ROWS = 4, CHAINS = 16 };

/* The sums of a row, of 16 columns: its pair in every lane with a group of weights, w0 and w1. */
INLINE void add_pair(int32x4_t sum[4], int8x16_t pair, int8x16_t w0, int8x16_t w1) {
    sum[0] = vpadalq_s16(sum[0], vmull_s8(vget_low_s8(pair), vget_low_s8(w0)));
    sum[1] = vpadalq_s16(sum[1], vmull_high_s8(pair, w0));
    sum[2] = vpadalq_s16(sum[2], vmull_s8(vget_low_s8(pair), vget_low_s8(w1)));
    sum[3] = vpadalq_s16(sum[3], vmull_high_s8(pair, w1));
}

/* Lanes must be constants where they are written. */
#define ADD_GROUP(lane)                                                                 \
    do {                                                                                \
        const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16);                        \
        w += GROUP * PANEL;                                                             \
        UNROLL for (size_t r = 0; r < rows; r++)                                        \
            add_pair(sum[r], vreinterpretq_s8_s16(vdupq_lane_s16(a[r], lane)), w0, w1); \
    } while (0)

INLINE void sum_depth(const cei_cpu_low_product *p, size_t first, const size_t rows, int32x4_t sum[TILE_ROWS][4]) {
    const int8_t *w = values_of(p);
    UNROLL for (size_t r = 0; r < rows; r++) { UNROLL for (size_t c = 0; c < 4; c++) sum[r][c] = vdupq_n_s32(0); }
    for (size_t k = 0; k < p->depth; k += STEP) {
        int16x4_t a[TILE_ROWS]; /* four pairs */
        UNROLL for (size_t r = 0; r < rows; r++) a[r] =
            vreinterpret_s16_u8(veor_u8(vld1_u8(row_of(p, first + r) + k), vdup_n_u8(128)));
        ADD_GROUP(0);
        ADD_GROUP(1);
        ADD_GROUP(2);
        ADD_GROUP(3);
    }
}

INLINE void finish_row(const cei_cpu_low_product *p, size_t row, const int32x4_t sum[4]) {
    finish_int8(p, row, sum, 128);
}

#include "device/cpu/neon_low.tmpl.h"

static double peak(size_t rounds) {
    int32x4_t v[CHAINS];
    int8x8_t x = vdup_n_s8(3);
    UNROLL for (int i = 0; i < CHAINS; i++) v[i] = vdupq_n_s32(i);
    for (size_t n = 0; n < rounds; n++) {
        __asm__ volatile("" : "+w"(x)); /* the product is not taken out of the loop */
        UNROLL for (int i = 0; i < CHAINS; i++) v[i] = vpadalq_s16(v[i], vmull_s8(x, x));
    }
    keep_sums(v, CHAINS);
    return 2.0 * 8 * CHAINS * (double)rounds;
}

#include "device/cpu/neon_int8.tmpl.h"

void cei_cpu_fill_neon_int8(cei_cpu_kernels *kernels) { fill_int8(kernels); }
