/* neon_int8.h - what the int8 tiers of AArch64 share: rounding of activations, to bytes with their zero in them, and
 * results of sums. Included by tiers' files alone, each with its own flags. */
#ifndef CEI_CPU_NEON_INT8_H
#define CEI_CPU_NEON_INT8_H

#include "device/cpu/neon.h"

#include <string.h>

/* A panel before its values: scales and sums of the columns. */
enum { HEAD = PANEL * (sizeof(float) + sizeof(int32_t)) };

/* Bytes of weights from column 0 of the first group on. */
INLINE const int8_t *values_of(const cei_cpu_low_product *p) { return (const int8_t *)p->panel + HEAD; }

/* sum [PANEL] holds the products with activations less offset, of which zero less offset is to be taken away. */
INLINE void finish_int8(const cei_cpu_low_product *p, size_t row, const int32x4_t sum[PANEL / LANES], int32_t offset) {
    const float *scales = p->panel;
    const int32_t *column_sums = (const int32_t *)p->panel + PANEL;
    const int32_t zero = p->rows_scale[row].zero - offset;
    float *out = p->out + row * p->out_stride;
    UNROLL for (size_t c = 0; c < PANEL; c += LANES) {
        const size_t count = left(p->columns, c);
        const int32x4_t whole = vmlsq_n_s32(sum[c / LANES], vld1q_s32(column_sums + c), zero);
        const float32x4_t factor = vmulq_n_f32(vld1q_f32(scales + c), p->rows_scale[row].scale);
        const float32x4_t bias = p->bias ? load(p->bias + c, count) : vdupq_n_f32(0);
        store(out + c, count, vfmaq_f32(bias, vcvtq_f32_s32(whole), factor));
    }
}

/* As cei_activation_scale: the least and the largest with 0 among them, NaN of any kind passed over. */
INLINE cei_row_scale find_scale(const float *x, size_t depth) {
    float32x4_t least = vdupq_n_f32(0), largest = vdupq_n_f32(0);
    for (size_t i = 0; i < depth; i += LANES) {
        const float32x4_t v = load(x + i, depth - i);
        least = vbslq_f32(vcltq_f32(v, least), v, least);
        largest = vbslq_f32(vcgtq_f32(v, largest), v, largest);
    }
    const float low = vminvq_f32(least), scale = (vmaxvq_f32(largest) - low) / 255;
    if (!(scale >= __FLT_MIN__) || scale > __FLT_MAX__) return (cei_row_scale){0, 0};
    return (cei_row_scale){scale, vcvtns_s32_f32(-low * (1 / scale))};
}

/* Eight activations from i on, as bytes: saturation is the clamp to [0, 255]. What is behind depth becomes zero. */
INLINE uint8x8_t round_eight(const float *x, size_t depth, size_t i, float32x4_t inverse, int32x4_t zero) {
    const float32x4_t v0 = vmulq_f32(load(x + i, left(depth, i)), inverse);
    const float32x4_t v1 = vmulq_f32(load(x + i + LANES, left(depth, i + LANES)), inverse);
    const int16x4_t q0 = vqmovn_s32(vqaddq_s32(vcvtnq_s32_f32(v0), zero));
    const int16x4_t q1 = vqmovn_s32(vqaddq_s32(vcvtnq_s32_f32(v1), zero));
    return vqmovun_s16(vcombine_s16(q0, q1));
}

INLINE void prepare_row(const float *x, size_t depth, size_t padded, uint8_t *to, cei_row_scale row) {
    const float32x4_t inverse = vdupq_n_f32(row.scale > 0 ? 1 / row.scale : 0);
    const int32x4_t zero = vdupq_n_s32(row.zero);
    size_t i = 0;
    for (; i + 8 <= depth; i += 8) vst1_u8(to + i, round_eight(x, depth, i, inverse, zero));
    if (i == depth && i == padded) return;
    uint8_t end[8];
    vst1_u8(end, round_eight(x, depth, i, inverse, zero));
    memcpy(to + i, end, depth - i);
    memset(to + depth, 0, padded - depth);
}

/* So that sums of a measurement are computed. */
INLINE void keep_sums(const int32x4_t *v, const size_t count) {
    int32x4_t all = v[0];
    UNROLL for (size_t i = 1; i < count; i++) all = veorq_s32(all, v[i]);
    volatile int32_t kept = vaddvq_s32(all);
    (void)kept;
}

#endif
