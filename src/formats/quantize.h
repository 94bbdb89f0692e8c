/* quantize.h - rows of float32 as integers from -127 to 127 and a scale, chosen for a small squared error.
 *
 * For checkpoints that are made ahead, where time is no matter: rounding.h takes the scale from the largest value, at
 * a fifteenth of the cost and with a somewhat larger error. The result is a function of the row alone, on every
 * machine. Knows no file and no device. */
#ifndef CEI_QUANTIZE_H
#define CEI_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes integers [columns] and *scale so that the sum of (row - scale * integer)^2 is small. The scale is a normal,
 * positive float32; a row of zeros, or one too small for such a scale, has zeros and the scale 1. false if the row has
 * NaN or infinity, when nothing is written. */
bool cei_quantize_row(const float *row, size_t columns, int8_t *integers, float *scale);

#endif
