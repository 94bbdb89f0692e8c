/* kernels_neon_bf16.c - bfloat16 products for AArch64 with FEAT_BF16. Compiled with that flag, and called only where
 * features_aarch64.c found it. Contracts in kernels.h.
 *
 * BFMMLA multiplies two rows with two columns, over four values of depth: terms 0 and 1 are added to each other, then
 * to the sum, then the same with terms 2 and 3. Each addition is rounded to odd, whatever FPCR says of rounding, and
 * denormals are taken for zeros and become zeros (Arm Architecture Reference Manual, BFDotAdd; while FPCR.EBF is 0, as
 * Linux starts every thread, and where there is no such bit). */
#include "device/cpu/neon.h"

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)

typedef float32x4_t sums;

/* A tile is TILE_ROWS x PANEL: 24 registers of sums, three of pairs of rows, one of weights. */
enum { GROUP = 4, STEP = GROUP, HEAD = 0, TILE_ROWS = 6, CHAINS = 24 };

INLINE float32x4_t no_sums(void) { return vdupq_n_f32(0); }

INLINE float32x4_t add_products(float32x4_t sum, uint8x16_t a, uint8x16_t w) {
    return vbfmmlaq_f32(sum, vreinterpretq_bf16_u8(a), vreinterpretq_bf16_u8(w));
}

INLINE float32x4_t first_row(float32x4_t x, float32x4_t y) {
    return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y)));
}

INLINE float32x4_t second_row(float32x4_t x, float32x4_t y) {
    return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y)));
}

INLINE void finish_row(const cei_cpu_low_product *p, size_t row, const float32x4_t sum[4]) {
    float *out = p->out + row * p->out_stride;
    UNROLL for (size_t c = 0; c < PANEL; c += LANES) {
        const size_t count = left(p->columns, c);
        const float32x4_t bias = p->bias ? load(p->bias + c, count) : vdupq_n_f32(0);
        store(out + c, count, vaddq_f32(sum[c / LANES], bias));
    }
}

#include "device/cpu/neon_pairs.tmpl.h"

#include "device/cpu/neon_low.tmpl.h"

/* The lanes behind the end of a row are 0, and so is its padding. */
static void prepare(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    cei_row_scale *scales) {
    (void)scales;
    for (size_t r = 0; r < rows; r++, x += x_stride) {
        uint16_t *to = (uint16_t *)(void *)((uint8_t *)a + r * a_stride);
        for (size_t i = 0; i < depth; i += GROUP)
            vst1_u16(to + i, vreinterpret_u16_bf16(vcvt_bf16_f32(load(x + i, depth - i))));
    }
}

static double peak(size_t rounds) {
    float32x4_t v[CHAINS];
    uint8x16_t x = vreinterpretq_u8_u16(vdupq_n_u16(0x3F00)); /* 0.5 */
    UNROLL for (int i = 0; i < CHAINS; i++) v[i] = vdupq_n_f32((float)i);
    for (size_t n = 0; n < rounds; n++) {
        __asm__ volatile("" : "+w"(x)); /* the product is not taken out of the loop */
        UNROLL for (int i = 0; i < CHAINS; i++) v[i] = add_products(v[i], x, x);
    }
    UNROLL for (int i = 1; i < CHAINS; i++) v[0] = vaddq_f32(v[0], v[i]);
    volatile float kept = vaddvq_f32(v[0]);
    (void)kept;
    return 2.0 * 16 * CHAINS * (double)rounds;
}

void cei_cpu_fill_neon_bf16(cei_cpu_kernels *kernels) {
    kernels->bfloat16 = (cei_cpu_low){.group = GROUP,
                                      .step = STEP,
                                      .element = sizeof(uint16_t),
                                      .prepare = prepare,
                                      .multiply = multiply,
                                      .peak = peak};
}
