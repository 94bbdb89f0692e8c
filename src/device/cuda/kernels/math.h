/* math.h - elementary functions in float32 arithmetic of our own, the same on every compiler. Constants and their
 * errors are those of tools/fit_cuda.py. Without branches, where that can be, so that several values are worked on at a
 * time. Relies on args.h. */
#ifndef CEI_CUDA_MATH_H
#define CEI_CUDA_MATH_H

#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

/* exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 in two steps (Cody and Waite 1980), and
 * exp(r) = 1 + r + r^2 p(r) through the Chebyshev nodes of |r| <= ln(2) / 2: relative error 1e-8 before rounding.
 * Returns exp(r), of |x| <= 104. */
CEI_INLINE float cei_exp_parts(float x, unsigned *n) {
    const float round_magic = 0x1.8p+23f; /* adding it to |y| < 2^22 rounds y, which then stands in the low bits */
    const float shifted = cei_fma(x, 0x1.715476p+0f, round_magic), whole = shifted - round_magic;
    const float r = cei_fma(whole, 0x1.05c61p-29f, cei_fma(whole, -0x1.62e43p-1f, x));
    float p = cei_fma(0x1.6d10fcp-10f, r, 0x1.120b62p-7f);
    p = cei_fma(p, r, 0x1.55551ap-5f);
    p = cei_fma(p, r, 0x1.5554dep-3f);
    p = cei_fma(p, r, 0.5f);
    *n = cei_bits_of(shifted) - cei_bits_of(round_magic);
    return cei_fma(p * r, r, r) + 1;
}

/* exp(x). 2^n is multiplied in two halves, so that results overflow and underflow as they should. */
CEI_INLINE float cei_exp(float x) {
    const float least = -104, most = 89;
    unsigned n;
    const float p = cei_exp_parts(x < least ? least : x > most ? most : x, &n); /* a NaN stays */
    const unsigned both = n + 2 * 127, low = both / 2;
    return p * cei_of_bits(low << 23) * cei_of_bits((both - low) << 23);
}

/* exp(-x) of 0 <= x <= 104, or of a NaN, with the same bits; of other numbers nothing to rely on. 2^n, n >= -150, is
 * 2^(n + 24) times 2^-24. */
CEI_INLINE float cei_exp_minus(float x) {
    unsigned n;
    const float p = cei_exp_parts(-x, &n);
    return p * cei_of_bits((n + 127 + 24) << 23) * 0x1p-24f;
}

/* |x|, and no more than what exp(-x) is 0 beyond. A NaN stays. */
CEI_INLINE float cei_exp_size(float x) {
    const float size = x < 0 ? -x : x;
    return size > 104 ? 104 : size;
}

/* 1 / (1 + exp(-x)), and of what is below 0 exp(x) / (1 + exp(x)). */
CEI_INLINE float cei_sigmoid(float x) {
    const float e = cei_exp_minus(cei_exp_size(x)), y = cei_reciprocal(1 + e);
    return x < 0 ? e * y : y;
}

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
    const float e = cei_exp_minus(cei_exp_size(2 * size)), y = (1 - e) * cei_reciprocal(1 + e);
    return x < 0 ? -y : y;
}

/* gelu(x) = max(x, 0) - |x| Q(|x|), Q the normal distribution's upper tail, which is exp(-t^2 / 2) times a polynomial
 * in 1 / (1 + t / 4): the error of |x| Q(|x|) is 3e-9 before rounding. */
CEI_INLINE float cei_gelu(float x) {
    const float t = x < 0 ? -x : x, u = cei_reciprocal(cei_fma(0.25f, cei_exp_size(x), 1));
    float p = cei_fma(0x1.348e2ap-5f, u, -0x1.ba91cep-3f);
    p = cei_fma(p, u, 0x1.c3c788p-2f);
    p = cei_fma(p, u, -0x1.93a75ep-2f);
    p = cei_fma(p, u, 0x1.6ac788p-2f);
    p = cei_fma(p, u, -0x1.7ee6e4p-5f);
    p = cei_fma(p, u, 0x1.0b6398p-3f);
    p = cei_fma(p, u, 0x1.7c950cp-4f);
    p = cei_fma(p, u, 0x1.9b77c2p-4f);
    p = cei_fma(p, u, -0x1.167a3p-15f);
    const float tail = t * p * cei_exp_minus(0.5f * t * t);
    return (x > 0 ? x : 0) - (t < 14 ? tail : x - x); /* beyond 14 nothing, of infinity NaN */
}

/* The same where results are rounded to eight bits or come from numbers that were: x (1/2 + x P(min(x^2, 4.33^2))),
 * what is in brackets being within 0 and 1. The error is 4e-5 at most. */
CEI_INLINE float cei_gelu_low(float x) {
    const float u = cei_smaller(x * x, 0x1.2bfb7ep+4f);
    float p = cei_fma(0x1.5fd54p-35f, u, -0x1.197468p-28f);
    p = cei_fma(p, u, 0x1.8defb6p-23f);
    p = cei_fma(p, u, -0x1.4a4b2cp-18f);
    p = cei_fma(p, u, 0x1.69e638p-14f);
    p = cei_fma(p, u, -0x1.179bd2p-10f);
    p = cei_fma(p, u, 0x1.3d33cap-7f);
    p = cei_fma(p, u, -0x1.0ee1dp-4f);
    p = cei_fma(p, u, 0x1.985ca2p-2f);
    return x * cei_fma_within(x, p, 0.5f);
}

/* x/2 (1 + tanh u) = x sigmoid(2 u), 2 sqrt(2 / pi) = 0x1.988454p+0. */
CEI_INLINE float cei_gelu_tanh(float x) { return x * cei_sigmoid(0x1.988454p+0f * cei_fma(0.044715f * x * x, x, x)); }

CEI_INLINE float cei_relu(float x) { return x < 0 ? 0 : x; }
CEI_INLINE float cei_silu(float x) { return x * cei_sigmoid(x); }
CEI_INLINE float cei_quick_gelu(float x) { return x * cei_sigmoid(1.702f * x); }

/* Elementwise functions, numbered as cei_function is; 0 is none. */
#define CEI_ELEMENTWISE(X) \
    X(1, cei_gelu)         \
    X(2, cei_gelu_tanh)    \
    X(3, cei_quick_gelu)   \
    X(4, cei_relu)         \
    X(5, cei_silu)         \
    X(6, cei_tanh)         \
    X(7, cei_sigmoid)

/* One of them, called, since it would come in many times over. */
CEI_OUTLINE float cei_apply(unsigned function, float x) {
    switch (function) {
#define CEI_CASE(number, name) \
    case number: return name(x);
        CEI_ELEMENTWISE(CEI_CASE)
#undef CEI_CASE
    default: return x;
    }
}

/* The same of four values at a time, which takes little longer: most of it is waiting for what is before. Comes in
 * where it is used: a struct would be passed through memory. */
CEI_INLINE cei_four_floats cei_apply_four(unsigned function, cei_four_floats x) {
    switch (function) {
#define CEI_CASE(number, name)                                                                                \
    case number: {                                                                                            \
        const cei_four_floats y = {{name(x.value[0]), name(x.value[1]), name(x.value[2]), name(x.value[3])}}; \
        return y;                                                                                             \
    }
        CEI_ELEMENTWISE(CEI_CASE)
#undef CEI_CASE
    default: return x;
    }
}

#endif
