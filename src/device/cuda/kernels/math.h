/* math.h - elementary functions in float32 arithmetic of our own, the same on every compiler. Constants and their
 * errors are those of tools/fit_cuda.py. Relies on gpu.h. */
#ifndef CEI_CUDA_MATH_H
#define CEI_CUDA_MATH_H

#include "device/cuda/kernels/gpu.h"

/* exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 in two steps (Cody and Waite 1980), and
 * exp(r) = 1 + r + r^2 p(r) through the Chebyshev nodes of |r| <= ln(2) / 2: relative error 1e-8 before rounding. 2^n
 * is multiplied in two halves, so that results overflow and underflow as they should. */
CEI_INLINE float cei_exp(float x) {
    const float round_magic = 0x1.8p+23f; /* adding it to |y| < 2^22 rounds y, which then stands in the low bits */
    const float least = -104, most = 89;
    x = x < least ? least : x > most ? most : x; /* a NaN stays */
    const float shifted = cei_fma(x, 0x1.715476p+0f, round_magic), n = shifted - round_magic;
    const float r = cei_fma(n, 0x1.05c61p-29f, cei_fma(n, -0x1.62e43p-1f, x));
    float p = cei_fma(0x1.6d10fcp-10f, r, 0x1.120b62p-7f);
    p = cei_fma(p, r, 0x1.55551ap-5f);
    p = cei_fma(p, r, 0x1.5554dep-3f);
    p = cei_fma(p, r, 0.5f);
    p = cei_fma(p * r, r, r) + 1;
    const int power = (int)(cei_bits_of(shifted) - cei_bits_of(round_magic)), half = power / 2;
    return p * cei_of_bits((unsigned)(127 + half) << 23) * cei_of_bits((unsigned)(127 + power - half) << 23);
}

CEI_INLINE float cei_sigmoid(float x) { return 1 / (1 + cei_exp(-x)); }

/* x + x^3 p(x^2) where that is better than the quotient: relative error 4e-9 before rounding. */
CEI_INLINE float cei_tanh(float x) {
    const float size = x < 0 ? -x : x;
    if (size < 0.625f) {
        const float y = x * x;
        float p = cei_fma(0x1.2c83cp-9f, y, -0x1.116a16p-7f);
        p = cei_fma(p, y, 0x1.64a976p-6f);
        p = cei_fma(p, y, -0x1.ba08c4p-5f);
        p = cei_fma(p, y, 0x1.1110eap-3f);
        p = cei_fma(p, y, -0x1.555556p-2f);
        return cei_fma(p * y, x, x);
    }
    const float e = cei_exp(-2 * size), y = (1 - e) / (1 + e);
    return x < 0 ? -y : y;
}

/* gelu(x) = max(x, 0) - |x| Q(|x|), Q the normal distribution's upper tail, which is exp(-t^2 / 2) times a polynomial
 * in 1 / (1 + t / 4): the error of |x| Q(|x|) is 3e-9 before rounding. */
CEI_INLINE float cei_gelu(float x) {
    const float t = x < 0 ? -x : x, u = 1 / (1 + 0.25f * t);
    float p = cei_fma(0x1.348e2ap-5f, u, -0x1.ba91cep-3f);
    p = cei_fma(p, u, 0x1.c3c788p-2f);
    p = cei_fma(p, u, -0x1.93a75ep-2f);
    p = cei_fma(p, u, 0x1.6ac788p-2f);
    p = cei_fma(p, u, -0x1.7ee6e4p-5f);
    p = cei_fma(p, u, 0x1.0b6398p-3f);
    p = cei_fma(p, u, 0x1.7c950cp-4f);
    p = cei_fma(p, u, 0x1.9b77c2p-4f);
    p = cei_fma(p, u, -0x1.167a3p-15f);
    const float tail = t < 14 ? t * p * cei_exp(-0.5f * t * t) : x - x; /* of infinity NaN, of all else 0 */
    return (x > 0 ? x : 0) - tail;
}

/* The same where results are rounded to eight bits or come from numbers that were: x (1/2 + t P(t^2)), t = x within
 * 4.5, behind which that is 0 or x to 2e-7 of it. The error is 4e-5 at most. */
CEI_INLINE float cei_gelu_low(float x) {
    const float most = 4.5f, t = x < -most ? -most : x > most ? most : x, u = t * t; /* a NaN stays */
    float p = cei_fma(-0x1.70b076p-40f, u, 0x1.6266e6p-33f);
    p = cei_fma(p, u, -0x1.30121ap-27f);
    p = cei_fma(p, u, 0x1.358982p-22f);
    p = cei_fma(p, u, -0x1.a46264p-18f);
    p = cei_fma(p, u, 0x1.970cc2p-14f);
    p = cei_fma(p, u, -0x1.253ef6p-10f);
    p = cei_fma(p, u, 0x1.41d93ep-7f);
    p = cei_fma(p, u, -0x1.0fa7a4p-4f);
    p = cei_fma(p, u, 0x1.987326p-2f);
    return x * cei_fma(t, p, 0.5f);
}

/* x/2 (1 + tanh u) = x sigmoid(2 u), 2 sqrt(2 / pi) = 0x1.988454p+0. */
CEI_INLINE float cei_gelu_tanh(float x) { return x * cei_sigmoid(0x1.988454p+0f * cei_fma(0.044715f * x * x, x, x)); }

/* An elementwise function, numbered as cei_function is. */
CEI_INLINE float cei_apply_here(unsigned function, float x) {
    switch (function) {
    case 1: return cei_gelu(x);
    case 2: return cei_gelu_tanh(x);
    case 3: return x * cei_sigmoid(1.702f * x);
    case 4: return x < 0 ? 0 : x;
    case 5: return x * cei_sigmoid(x);
    case 6: return cei_tanh(x);
    case 7: return cei_sigmoid(x);
    default: return x;
    }
}

/* The same, called, where it would come in many times over. */
CEI_OUTLINE float cei_apply(unsigned function, float x) { return cei_apply_here(function, x); }

#endif
