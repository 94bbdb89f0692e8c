/* values.h - numbers as they lie in a file, and their conversion to float32. */
#ifndef CEI_VALUES_H
#define CEI_VALUES_H

#include "formats/rounding.h"

typedef enum cei_dtype {
    CEI_DTYPE_F32,
    CEI_DTYPE_F16,
    CEI_DTYPE_BF16,
    CEI_DTYPE_I8, /* value = scale of the row * int8 */
    /* GGML's, in blocks: blocks.h */
    CEI_DTYPE_Q4_0,
    CEI_DTYPE_Q4_1,
    CEI_DTYPE_Q5_0,
    CEI_DTYPE_Q5_1,
    CEI_DTYPE_Q8_0,
    CEI_DTYPE_Q4_K,
    CEI_DTYPE_Q5_K,
    CEI_DTYPE_Q6_K
} cei_dtype;

enum { CEI_DTYPE_COUNT = CEI_DTYPE_Q6_K + 1 };

const char *cei_dtype_name(cei_dtype dtype); /* "F32", ... */
size_t cei_dtype_block(cei_dtype dtype);     /* values that are stored together: 1, or 32 or 256 of GGML's */
size_t cei_dtype_size(cei_dtype dtype);      /* bytes of one value, or of one block */

/* A matrix [rows, columns] in host memory, row-major, little-endian, possibly unaligned; a vector is [1, columns]. A
 * row is whole blocks. */
typedef struct cei_values {
    cei_dtype dtype;
    size_t rows, columns;
    const uint8_t *data;
    const uint8_t *scales;         /* I8: float32 [rows], possibly unaligned; else NULL */
    const struct cei_delta *delta; /* what is added to the values; NULL: nothing. Not of I8 */
    size_t delta_row;              /* the delta's row for the first of these */
    size_t heads; /* not 0: rows are queries, keys, values, each of so many heads; the file has them head by head */
    size_t
        pairs; /* not 0: rows of a head, of which the file has each of the first half before its fellow of the second */
    bool is_more; /* the file has each value and one: 1 is taken from it */
} cei_values;

/* A change of low rank (LoRA, Hu et al. 2021): scale B A, with b [rows, rank] and a [rank, columns] of plain types; or
 * its transpose, with b [columns, rank] and a [rank, rows]. */
typedef struct cei_delta {
    cei_values a, b;
    float scale;
    bool is_transposed;
} cei_delta;

/* Some rows of a matrix. */
cei_values cei_values_rows(const cei_values *values, size_t first, size_t count);

/* Bytes of so many rows. */
size_t cei_values_bytes(const cei_values *values, size_t rows);

/* Converts rows [first, first + count) to float32: exact for F32, F16 and BF16, one rounding for I8; blocks as blocks.h
 * says. A delta's sums run over the rank in order, then are scaled and added: a row has the same bits alone. */
void cei_values_read(const cei_values *values, size_t first, size_t count, float *out);

/* The same, rounded to a format (rounding.h). scales [count] receives the rows' scales if it is INT8, and may be NULL
 * if not; I8 values keep theirs, so that they arrive as they are in the file. */
void cei_values_read_as(const cei_values *values, size_t first, size_t count, cei_format format, float *out,
                        float *scales);

/* The format that has every value bit for bit in fewer bytes than float32 (F16, BF16; I8 whose scales are all sound);
 * FLOAT32 if there is none. Reads the scales. */
cei_format cei_values_own_format(const cei_values *values);

/* The rows themselves if they are aligned float32 already and in the file's order, else NULL. */
const float *cei_values_direct(const cei_values *values, size_t first);

#endif
