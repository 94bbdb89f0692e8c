/* neon.h - ends of rows for the kernels of AArch64, and what their panels have in common. NEON has no masked loads and
 * stores: ends go lane by lane, into registers whose other lanes are 0, so that every element goes through the same
 * arithmetic. Included by tiers' files alone, each with its own flags. */
#ifndef CEI_CPU_NEON_H
#define CEI_CPU_NEON_H

#include "device/cpu/kernels.h"
#include "device/cpu/loops.h"

#include <arm_neon.h>

enum { LANES = 4, PANEL = 4 * LANES };

/* The first count lanes from memory, the others 0; count may be more than there are. */
INLINE float32x4_t load(const float *from, size_t count) {
    if (count >= LANES) return vld1q_f32(from);
    float32x4_t v = vdupq_n_f32(0);
    if (count > 0) v = vld1q_lane_f32(from, v, 0);
    if (count > 1) v = vld1q_lane_f32(from + 1, v, 1);
    if (count > 2) v = vld1q_lane_f32(from + 2, v, 2);
    return v;
}

INLINE void store(float *to, size_t count, float32x4_t v) {
    if (count >= LANES) {
        vst1q_f32(to, v);
        return;
    }
    if (count > 0) vst1q_lane_f32(to, v, 0);
    if (count > 1) vst1q_lane_f32(to + 1, v, 1);
    if (count > 2) vst1q_lane_f32(to + 2, v, 2);
}

/* A prepared row of a product in low precision. */
INLINE const uint8_t *row_of(const cei_cpu_low_product *p, size_t row) {
    return (const uint8_t *)p->a + row * p->a_stride;
}

#endif
