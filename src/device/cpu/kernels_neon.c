/* kernels_neon.c - the float32 kernels for AArch64, whose baseline has NEON with fused multiply-add. Contracts in
 * kernels.h. */
#include "device/cpu/kernels.h"

#include "device/cpu/functions.h"
#include "device/cpu/gelu_table.h"
#include "device/cpu/neon.h"

#include <string.h>

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)

typedef float32x4_t vec;

/* A tile is TILE_ROWS x PANEL: 24 accumulators, four registers of the panel's row, one element of a in each of the
 * other four. */
enum { TILE_ROWS = 6, CHAINS = 24 };

static const uint32_t lane_masks[2 * LANES] = {~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0};

/* v in the first count lanes, other in the rest. */
INLINE vec choose(size_t count, vec v, vec other) {
    return count >= LANES ? v : vbslq_f32(vld1q_u32(lane_masks + LANES - count), v, other);
}

/* ---- words of product.tmpl.h and rows.tmpl.h ---------------------------------------------------------------- */

INLINE vec zero(void) { return vdupq_n_f32(0); }
INLINE vec splat(float x) { return vdupq_n_f32(x); }
INLINE vec add(vec a, vec b) { return vaddq_f32(a, b); }
INLINE vec sub(vec a, vec b) { return vsubq_f32(a, b); }
INLINE vec mul(vec a, vec b) { return vmulq_f32(a, b); }
INLINE vec quotient(vec a, vec b) { return vdivq_f32(a, b); }
INLINE vec larger(vec a, vec b) { return vmaxq_f32(a, b); } /* NaN if either is */
INLINE vec multiply_add(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
INLINE vec multiply_subtract(vec a, vec b, vec c) { return vfmaq_f32(vnegq_f32(c), a, b); }
INLINE vec add_scaled(vec sum, float x, vec b) { return vfmaq_n_f32(sum, b, x); }
INLINE vec absolute(vec x) { return vabsq_f32(x); }
INLINE vec with_sign_of(vec size, vec x) { return vbslq_f32(vdupq_n_u32(0x80000000u), x, size); }
INLINE vec where_less(vec x, vec y, vec a, vec b) { return vbslq_f32(vcltq_f32(x, y), a, b); }
INLINE float reduce_add(vec v) { return vaddvq_f32(v); }
INLINE float reduce_max(vec v) { return vmaxvq_f32(v); }

/* ---- packing ------------------------------------------------------------------------------------------------ */

INLINE float64x2_t as_halves(vec v) { return vreinterpretq_f64_f32(v); }
INLINE vec of_halves(float64x2_t v) { return vreinterpretq_f32_f64(v); }

/* v becomes its transpose, as a 4 x 4 matrix. */
INLINE void transpose(vec v[LANES]) {
    const float64x2_t even_of_01 = as_halves(vtrn1q_f32(v[0], v[1])), odd_of_01 = as_halves(vtrn2q_f32(v[0], v[1]));
    const float64x2_t even_of_23 = as_halves(vtrn1q_f32(v[2], v[3])), odd_of_23 = as_halves(vtrn2q_f32(v[2], v[3]));
    v[0] = of_halves(vtrn1q_f64(even_of_01, even_of_23));
    v[1] = of_halves(vtrn1q_f64(odd_of_01, odd_of_23));
    v[2] = of_halves(vtrn2q_f64(even_of_01, even_of_23));
    v[3] = of_halves(vtrn2q_f64(odd_of_01, odd_of_23));
}

/* The four bytes of each lane's float in a table of floats. */
INLINE uint8x16_t bytes_of(uint32x4_t lane) {
    return vreinterpretq_u8_u32(vmlaq_u32(vdupq_n_u32(0x03020100u), lane, vdupq_n_u32(0x04040404u)));
}

INLINE vec pick(vec v, const int32_t *places) {
    const int32x4_t lane = vsubq_s32(vld1q_s32(places), vdupq_n_s32(places[0]));
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(v), bytes_of(vreinterpretq_u32_s32(lane))));
}

/* ---- checksums ---------------------------------------------------------------------------------------------- */

/* The weighted sum without products: with running sums S(i), sum of (i + 1) b(i) = (count + 1) S - sum of S(i). */
static void checksum(const float *steps, size_t count, uint64_t *sums, uint64_t *weighted) {
    enum { PAIRS = PANEL / 2 };
    uint64x2_t s[PAIRS], running[PAIRS];
#pragma GCC unroll 8
    for (int q = 0; q < PAIRS; q++) s[q] = running[q] = vdupq_n_u64(0);
    for (size_t i = 0; i < count; i++) {
#pragma GCC unroll 8
        for (int q = 0; q < PAIRS; q++) {
            const float32x2_t pair = vld1_f32(steps + i * PANEL + (size_t)q * 2);
            s[q] = vaddw_u32(s[q], vreinterpret_u32_f32(pair));
            running[q] = vaddq_u64(running[q], s[q]);
        }
    }
    for (int q = 0; q < PAIRS; q++) {
        vst1q_u64(sums + (size_t)q * 2, s[q]);
        vst1q_u64(weighted + (size_t)q * 2, running[q]);
    }
    for (int j = 0; j < PANEL; j++) weighted[j] = (count + 1) * sums[j] - weighted[j];
}

/* ---- elementwise functions ---------------------------------------------------------------------------------- */

/* exp(x) for x <= 0, 0 where that is below 2^-126, NaN for NaN. See functions.h for the constants. */
INLINE vec exp_nonpositive(vec x) {
    const uint32x4_t is_small = vcltq_f32(x, splat(EXP_SMALLEST));
    vec n = vrndnq_f32(mul(x, splat(LOG2_E)));
    vec r = vfmsq_f32(x, n, splat(LN_2));
    r = vfmsq_f32(r, n, splat(LN_2_REST));
    vec y = splat(EXP_6);
    y = multiply_add(y, r, splat(EXP_5));
    y = multiply_add(y, r, splat(EXP_4));
    y = multiply_add(y, r, splat(EXP_3));
    y = multiply_add(y, r, splat(EXP_2));
    y = multiply_add(y, r, splat(1));
    y = multiply_add(y, r, splat(1));
    const int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    y = mul(y, vreinterpretq_f32_s32(exponent));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(y), is_small));
}

/* Eight coefficients, of which each lane takes that at the four bytes of its index. */
INLINE vec look_up(const float table[8], uint8x16_t index) {
    const uint8x16x2_t bytes = {{vreinterpretq_u8_f32(vld1q_f32(table)), vreinterpretq_u8_f32(vld1q_f32(table + 4))}};
    return vreinterpretq_f32_u8(vqtbl2q_u8(bytes, index));
}

INLINE vec gelu(vec x) {
    const vec magic = splat(ROUND_MAGIC);
    vec t = vminq_f32(splat(GELU_8_LIMIT), absolute(x));
    vec y = mul(t, splat(GELU_8_SCALE));
    /* Rounded by the add, so that the low bits of nearest are the piece. */
    vec nearest = add(y, magic);
    const uint32x4_t piece = vandq_u32(vreinterpretq_u32_f32(nearest), vdupq_n_u32(7));
    const uint8x16_t index = bytes_of(piece);
    vec s = sub(y, sub(nearest, magic));
    vec q = look_up(gelu_tail_8[7], index);
#pragma GCC unroll 7
    for (int power = 6; power >= 0; power--) q = multiply_add(q, s, look_up(gelu_tail_8[power], index));
    return vfmsq_f32(larger(zero(), x), t, q);
}

/* ---- low precision ------------------------------------------------------------------------------------------ */

INLINE vec widened(const uint16_t *from) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))); }

static void widen_float16(const uint16_t *from, size_t count, float *to) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) vst1q_f32(to + i, widened(from + i));
    uint16_t last[LANES] = {0};
    memcpy(last, from + i, (count - i) * sizeof *last);
    store(to + i, count - i, widened(last));
}

#include "device/cpu/product.tmpl.h"
#include "device/cpu/rows.tmpl.h"

void cei_cpu_fill_neon(cei_cpu_kernels *kernels) {
    kernels->name = "neon";
    kernels->features = "neon";
    fill_rows(kernels);
    kernels->widen_float16 = widen_float16;
}
