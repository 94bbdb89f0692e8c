/* rounding.h - the precisions that weights and activations are rounded to, as plain loops over float32.
 *
 * Rounding happens on the host, before a weight is sent: so the same values, and the same checksums, are on every
 * device, and the portable reference can compute with them. Knows no file and no device. */
#ifndef CEI_ROUNDING_H
#define CEI_ROUNDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What the values of a weight are rounded to. */
typedef enum cei_format {
    CEI_FORMAT_FLOAT32,
    CEI_FORMAT_BFLOAT16, /* the upper half of a float32 */
    CEI_FORMAT_FLOAT16,  /* IEEE 754's binary16 */
    CEI_FORMAT_INT8      /* scale of the row * integer from -127 to 127, in one rounding */
} cei_format;

enum { CEI_FORMAT_COUNT = CEI_FORMAT_INT8 + 1 };

const char *cei_format_name(cei_format format); /* "float32", "bfloat16", "float16", "int8" */

/* x rounded to bfloat16, to nearest, ties to even; NaN stays NaN. The lower half of its bits is 0. */
float cei_round_bfloat16(float x);

/* The IEEE 754 binary16 nearest to x, ties to even; what is too large is infinity. */
uint16_t cei_round_float16(float x);

/* The float32 that a binary16 is, exact. Both forms of the result are made and one is chosen, without a branch:
 *   normal, infinity, NaN: the exponent is rebiased by 127 - 15 = 112, and by as much again at the top, where
 *                          31 must become 255;
 *   zero, subnormal:       mantissa * 2^-24 is 2^-14 (1 + mantissa / 1024) - 2^-14, a difference of normal numbers,
 *                          so that it is right (and quick) however the processor treats subnormals. */
static inline float cei_widen_float16(uint16_t half) {
    const uint32_t magnitude = (uint32_t)(half & 0x7FFF) << 13, exponent = magnitude & 0x0F800000u;
    const uint32_t is_top = -(uint32_t)(exponent == 0x0F800000u), is_small = -(uint32_t)(exponent == 0);
    const uint32_t rebiased = magnitude + (112u << 23) + (is_top & (112u << 23)), least = 113u << 23;
    uint32_t bits = magnitude + least;
    float value, least_value;
    memcpy(&value, &bits, sizeof value);
    memcpy(&least_value, &least, sizeof least_value);
    value -= least_value;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits & is_small) | (rebiased & ~is_small) | (uint32_t)(half & 0x8000) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* x rounded to binary16, as float32. A number beyond 65,504, the largest, becomes that; infinity and NaN stay. */
float cei_saturate_float16(float x);

/* May an int8 row have this scale? 0 or a normal number, finite when it is multiplied by 128: others are too large to
 * multiply by or too small to divide by, or of a row with NaN or infinity. */
bool cei_scale_is_sound(float scale);

/* Rounds values [rows, columns] in place, each row by itself. INT8: scales [rows] receives max|v| / 127 of each row, or
 * 0 if the row is 0 or too small to tell from it; FLOAT32 does nothing, and BFLOAT16 and FLOAT16 (by
 * cei_saturate_float16) need no scales. A row with a NaN or an infinity (or a value that would become one) has a scale
 * that is not finite. */
void cei_round_rows(cei_format format, float *values, size_t rows, size_t columns, float *scales);

/* Values that were rounded so, as the format holds them: the upper halves of bfloat16s, binary16s, and the integers of
 * an int8 row, whose sum is returned. inverse is 1 / the row's scale, or 0. What is no such value becomes some number,
 * which a checksum finds. */
void cei_hold_bfloat16(const float *from, size_t count, uint16_t *to);
void cei_hold_float16(const float *from, size_t count, uint16_t *to);
int32_t cei_hold_int8(const float *from, size_t count, float inverse, int8_t *to);

/* The values of an int8 row, scale * integer, and the sum of its integers. */
void cei_widen_int8(const int8_t *from, size_t count, float scale, float *to);
int32_t cei_sum_int8(const int8_t *from, size_t count);

/* An activation row in int8: x is about scale * (q - zero), q an integer from 0 to 255. */
typedef struct cei_row_scale {
    float scale;
    int32_t zero;
} cei_row_scale;

/* How a row of activations x [count] is rounded for an INT8 weight: 255 steps from min(0, least) to max(0, largest),
 *
 *     scale = (largest - least) / 255,  zero = round(-least / scale),  q = clamp(round(x / scale) + zero, 0, 255)
 *
 * with round to nearest, ties to even, and x / scale taken as x * (1 / scale). A row of zeros has scale 0. The range
 * and not only the size of x counts, so that the one-sided output of GELU keeps all of its steps. */
cei_row_scale cei_activation_scale(const float *x, size_t count);

/* Rounds x [count] so: each value becomes scale * (q - zero). */
void cei_round_activations(float *x, size_t count);

#endif
