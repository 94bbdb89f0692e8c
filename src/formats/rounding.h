/* rounding.h - the precisions that weights and activations are rounded to, as plain loops over float32; and F16 of
 * files.
 *
 * Rounding happens on the host, before a weight is sent: so the same values, and the same checksums, are on every
 * device, and the portable reference can compute with them. Knows no file and no device. */
#ifndef CEI_ROUNDING_H
#define CEI_ROUNDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the values of a weight are rounded to. */
typedef enum cei_format {
    CEI_FORMAT_FLOAT32,
    CEI_FORMAT_BFLOAT16, /* the upper half of a float32 */
    CEI_FORMAT_INT8      /* scale of the row * integer from -127 to 127, in one rounding */
} cei_format;

enum { CEI_FORMAT_COUNT = CEI_FORMAT_INT8 + 1 };

const char *cei_format_name(cei_format format); /* "float32", "bfloat16", "int8" */

/* x rounded to bfloat16, to nearest, ties to even; NaN stays NaN. The lower half of its bits is 0. */
float cei_round_bfloat16(float x);

/* The IEEE 754 binary16 nearest to x, ties to even; what is too large is infinity. */
uint16_t cei_round_float16(float x);

/* May an int8 row have this scale? 0 or a normal number, finite when it is multiplied by 128: others are too large to
 * multiply by or too small to divide by, or of a row with NaN or infinity. */
bool cei_scale_is_sound(float scale);

/* Rounds values [rows, columns] in place, each row by itself. INT8: scales [rows] receives max|v| / 127 of each row, or
 * 0 if the row is 0 or too small to tell from it; FLOAT32 does nothing, and BFLOAT16 needs no scales. A row with a NaN
 * or an infinity (or a value that would become one) has a scale that is not finite. */
void cei_round_rows(cei_format format, float *values, size_t rows, size_t columns, float *scales);

/* Values that were rounded so, as the format holds them: the upper halves of bfloat16s, and the integers of an int8
 * row, whose sum is returned. inverse is 1 / the row's scale, or 0. What is no such value becomes some number, which
 * a checksum finds. */
void cei_hold_bfloat16(const float *from, size_t count, uint16_t *to);
int32_t cei_hold_int8(const float *from, size_t count, float inverse, int8_t *to);

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
