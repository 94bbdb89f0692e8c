/* blocks.h - the quantized types of GGML: blocks of values with scales of their own, as GGUF files hold them.
 *
 * A block is 32 or 256 values of one row, and its bytes are little-endian:
 *
 *     Q8_0  d, 32 int8                                  d q
 *     Q4_0  d, 32 of 4 bits                             d (q - 8)
 *     Q4_1  d, m, 32 of 4 bits                          d q + m
 *     Q5_0  d, 32 fifth bits, 32 of 4 bits              d (q - 16)
 *     Q5_1  d, m, 32 fifth bits, 32 of 4 bits           d q + m
 *     Q4_K  d, m, 8 pairs (s, n) of 6 bits, 256 of 4    (d s) q - m n, a pair for 32 values
 *     Q5_K  the same with 256 fifth bits before
 *     Q6_K  256 of 4 bits, 256 of 2, 16 int8 s, d       (d s) (q - 32), an s for 16 values
 *
 * d and m are F16. Results are computed in float32 in the order that is written here, which is that of the package
 * gguf, whose values they equal bit for bit. */
#ifndef CEI_BLOCKS_H
#define CEI_BLOCKS_H

#include "formats/values.h"

/* Converts count values, whole blocks, to float32. dtype is one with blocks. */
void cei_blocks_read(cei_dtype dtype, const uint8_t *from, size_t count, float *out);

/* Rounds count values, whole blocks, to Q8_0 as that package does: d is max|x| / 127 of the block, and F16 afterwards;
 * q = x / d, to nearest, ties away from 0. A block too small for d is 0. false if d is too large for F16, or no number,
 * when out may have been written. */
bool cei_blocks_write_q8_0(const float *values, size_t count, uint8_t *out);

#endif
