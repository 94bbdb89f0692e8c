/* functions.h - constants of the elementwise functions, shared by all tiers so that they agree to a few ulp. */
#ifndef CEI_CPU_FUNCTIONS_H
#define CEI_CPU_FUNCTIONS_H

/* exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 in two steps (Cody and Waite 1980;
 * LN_2 + LN_2_REST where multiply-add is fused, LN_2_HIGH of 9 bits + LN_2_LOW where n LN_2_HIGH must be exact), and
 * exp(r) = 1 + r + r^2 (EXP_2 + ... + EXP_6 r^4), through the Chebyshev nodes of |r| <= ln(2) / 2; relative error of
 * the polynomial 1.1e-8. Below EXP_SMALLEST = -126 ln 2 the result would be subnormal, and is 0. */
#define LOG2_E 0x1.715476p+0f
#define LN_2 0x1.62e43p-1f
#define LN_2_REST (-0x1.05c61p-29f)
#define LN_2_HIGH 0x1.63p-1f
#define LN_2_LOW (-0x1.bd0106p-13f)
#define EXP_SMALLEST (-0x1.5d58ap+6f)
#define EXP_2 0x1p-1f
#define EXP_3 0x1.5554dcp-3f
#define EXP_4 0x1.555518p-5f
#define EXP_5 0x1.120be2p-7f
#define EXP_6 0x1.6d117cp-10f

/* 2^f = 1 + POWER_1 f + ... + POWER_4 f^4 for 0 <= f <= 1, of the least relative error among those that begin with 1:
 * 3.0e-6, a thousandth of what rounding to bfloat16 may add. */
#define POWER_1 0x1.62d6dp-1f
#define POWER_2 0x1.ee2374p-3f
#define POWER_3 0x1.abfe7ep-5f
#define POWER_4 0x1.b7ea5cp-7f

/* The same to float32 rounding: 1 + EXACT_POWER_1 f + ... + EXACT_POWER_6 f^6, relative error of the polynomial 1.9e-9.
 */
#define EXACT_POWER_1 0x1.62e42ap-1f
#define EXACT_POWER_2 0x1.ebfd9ep-3f
#define EXACT_POWER_3 0x1.c685p-5f
#define EXACT_POWER_4 0x1.3d28p-7f
#define EXACT_POWER_5 0x1.461954p-10f
#define EXACT_POWER_6 0x1.c7211ap-13f

/* 1.5 * 2^23: adding it to |y| < 2^22 rounds y to a whole number, which then stands in the low bits. */
#define ROUND_MAGIC 0x1.8p+23f

/* Pieces of gelu_table.h a unit of |x|, and where the last piece ends (just below, so that it rounds down). */
#define GELU_16_SCALE 2.5f
#define GELU_16_LIMIT 6.19f
#define GELU_8_SCALE 1.25f
#define GELU_8_LIMIT 5.99f

/* x/2 (1 + tanh u) = x sigmoid(2 u): GELU_TANH_SCALE = 2 sqrt(2 / pi). */
#define GELU_TANH_SCALE 0x1.988454p+0f
#define GELU_TANH_CUBIC 0.044715f
#define QUICK_SCALE 1.702f

/* tanh(x) = x + x^3 (TANH_0 + ... + TANH_4 x^8) for |x| <= TANH_SWITCH, through the Chebyshev nodes in x^2; relative
 * error 1.7e-8. Above, (1 - e) / (1 + e) with e = exp(-2 |x|). */
#define TANH_SWITCH 0.625f
#define TANH_0 (-0x1.555552p-2f)
#define TANH_1 0x1.110e1cp-3f
#define TANH_2 (-0x1.b9258ap-5f)
#define TANH_3 0x1.58048ep-6f
#define TANH_4 (-0x1.8f8de4p-8f)

#endif
