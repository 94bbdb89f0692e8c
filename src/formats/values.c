/* values.c - conversion of stored numbers to float32. Relies on blocks.c for GGML's types; must not allocate, and must
 * not assume any alignment of what it reads.
 *
 * The loops are plain and without branches, so that compilers turn them into vector code: a model's weights pass
 * through here at each load, at some gigabytes a second. */
#include "base/clones.h"
#include "base/memory.h"
#include "formats/blocks.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "checkpoints are little-endian, and are read in place: this host needs a byte swap here"
#endif

static const struct dtype_entry {
    const char *name;
    size_t block, size;
} dtypes[CEI_DTYPE_COUNT] = {
    [CEI_DTYPE_F32] = {"F32", 1, 4},       [CEI_DTYPE_F16] = {"F16", 1, 2},       [CEI_DTYPE_BF16] = {"BF16", 1, 2},
    [CEI_DTYPE_I8] = {"I8", 1, 1},         [CEI_DTYPE_Q4_0] = {"Q4_0", 32, 18},   [CEI_DTYPE_Q4_1] = {"Q4_1", 32, 20},
    [CEI_DTYPE_Q5_0] = {"Q5_0", 32, 22},   [CEI_DTYPE_Q5_1] = {"Q5_1", 32, 24},   [CEI_DTYPE_Q8_0] = {"Q8_0", 32, 34},
    [CEI_DTYPE_Q4_K] = {"Q4_K", 256, 144}, [CEI_DTYPE_Q5_K] = {"Q5_K", 256, 176}, [CEI_DTYPE_Q6_K] = {"Q6_K", 256, 210},
};

const char *cei_dtype_name(cei_dtype dtype) { return dtypes[dtype].name; }

size_t cei_dtype_block(cei_dtype dtype) { return dtypes[dtype].block; }

size_t cei_dtype_size(cei_dtype dtype) { return dtypes[dtype].size; }

size_t cei_values_bytes(const cei_values *values, size_t rows) {
    return rows * (values->columns / cei_dtype_block(values->dtype)) * cei_dtype_size(values->dtype);
}

cei_values cei_values_rows(const cei_values *values, size_t first, size_t count) {
    cei_values rows = *values;
    rows.rows = count;
    rows.data += cei_values_bytes(values, first);
    if (rows.scales) rows.scales += first * sizeof(float);
    rows.delta_row += first;
    return rows;
}

static inline float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

CEI_CLONED static void read_f16(const uint8_t *from, size_t count, float *out) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, from + 2 * i, sizeof half);
        out[i] = cei_widen_float16(half);
    }
}

/* bfloat16 is the upper half of a float32. */
CEI_CLONED static void read_bf16(const uint8_t *from, size_t count, float *out) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, from + 2 * i, sizeof half);
        out[i] = float_of_bits((uint32_t)half << 16);
    }
}

static void read_i8_rows(const cei_values *values, size_t first, size_t count, float *out) {
    for (size_t row = first; row < first + count; row++) {
        float scale;
        memcpy(&scale, values->scales + row * sizeof scale, sizeof scale);
        cei_widen_int8((const int8_t *)values->data + row * values->columns, values->columns, scale, out);
        out += values->columns;
    }
}

/* Where the file has a row. */
static size_t row_in_file(const cei_values *values, size_t row) {
    if (values->pairs) {
        const size_t half = values->pairs / 2, place = row % values->pairs;
        return row - place + place % half * 2 + place / half;
    }
    if (!values->heads) return row;
    const size_t size = values->rows / (3 * values->heads), part = row / (values->heads * size);
    return (row / size % values->heads * 3 + part) * size + row % size;
}

static void read_plain(const cei_values *values, size_t first, size_t count, float *out) {
    size_t total = count * values->columns;
    if (total == 0) return;
    const uint8_t *from = values->data + cei_values_bytes(values, first);
    switch (values->dtype) {
    case CEI_DTYPE_F32: memcpy(out, from, total * sizeof *out); return;
    case CEI_DTYPE_F16: read_f16(from, total, out); return;
    case CEI_DTYPE_BF16: read_bf16(from, total, out); return;
    case CEI_DTYPE_I8: read_i8_rows(values, first, count, out); return;
    default: cei_blocks_read(values->dtype, from, total, out);
    }
}

static bool has_sound_scales(const cei_values *values) {
    for (size_t row = 0; row < values->rows; row++) {
        float scale;
        memcpy(&scale, values->scales + row * sizeof scale, sizeof scale);
        if (!cei_scale_is_sound(scale)) return false;
    }
    return true;
}

cei_format cei_values_own_format(const cei_values *values) {
    if (values->delta || values->is_more) return CEI_FORMAT_FLOAT32;
    switch (values->dtype) {
    case CEI_DTYPE_F16: return CEI_FORMAT_FLOAT16;
    case CEI_DTYPE_BF16: return CEI_FORMAT_BFLOAT16;
    case CEI_DTYPE_I8: return has_sound_scales(values) ? CEI_FORMAT_INT8 : CEI_FORMAT_FLOAT32;
    default: return CEI_FORMAT_FLOAT32;
    }
}

/* ---- deltas -------------------------------------------------------------------------------------------------- */

enum { TILE_ROWS = 32, TILE_COLUMNS = 128 };

/* Values [first, first + count) of row row. */
static void read_part(const cei_values *values, size_t row, size_t first, size_t count, float *out) {
    const size_t at = (row * values->columns + first) * cei_dtype_size(values->dtype);
    const cei_values part = {.dtype = values->dtype, .rows = 1, .columns = count, .data = values->data + at};
    read_plain(&part, 0, 1, out);
}

/* Term k of the sums is a product of what it has for the row and for the column. */
static float read_of_row(const cei_delta *delta, size_t k, size_t row) {
    float value;
    if (delta->is_transposed)
        read_part(&delta->a, k, row, 1, &value);
    else
        read_part(&delta->b, row, k, 1, &value);
    return value;
}

static void read_of_columns(const cei_delta *delta, size_t k, size_t column, size_t columns, float *out) {
    if (!delta->is_transposed) {
        read_part(&delta->a, k, column, columns, out);
        return;
    }
    for (size_t c = 0; c < columns; c++) read_part(&delta->b, column + c, k, 1, out + c);
}

/* Adds what is due to a tile; out is its first value, and values has the whole matrix. */
static void add_tile(const cei_values *values, size_t row, size_t rows, size_t column, size_t columns, float *out) {
    const cei_delta *delta = values->delta;
    float sums[TILE_ROWS][TILE_COLUMNS], terms[TILE_COLUMNS];
    memset(sums, 0, rows * sizeof *sums); /* often of one row */
    for (size_t k = 0; k < delta->a.rows; k++) {
        read_of_columns(delta, k, column, columns, terms);
        for (size_t r = 0; r < rows; r++) {
            const float factor = read_of_row(delta, k, row + r);
            for (size_t c = 0; c < columns; c++) sums[r][c] += factor * terms[c];
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) out[r * values->columns + c] += delta->scale * sums[r][c];
}

static void add_delta(const cei_values *values, size_t first, size_t count, float *out) {
    for (size_t r = 0; r < count; r += TILE_ROWS)
        for (size_t c = 0; c < values->columns; c += TILE_COLUMNS)
            add_tile(values, values->delta_row + first + r, cei_min_size(count - r, TILE_ROWS), c,
                     cei_min_size(values->columns - c, TILE_COLUMNS), out + r * values->columns + c);
}

/* Rows that lie at place in the file; a delta's are those of the values, but where the file has them head by head. */
static void read_rows(const cei_values *values, size_t place, size_t first, size_t count, float *out) {
    read_plain(values, place, count, out);
    for (size_t i = 0; values->is_more && i < count * values->columns; i++) out[i] -= 1;
    if (values->delta) add_delta(values, values->heads ? place : first, count, out);
}

void cei_values_read(const cei_values *values, size_t first, size_t count, float *out) {
    if (!values->heads && !values->pairs) {
        read_rows(values, first, first, count, out);
        return;
    }
    for (size_t row = first; row < first + count; row++, out += values->columns)
        read_rows(values, row_in_file(values, row), row, 1, out);
}

const float *cei_values_direct(const cei_values *values, size_t first) {
    const uint8_t *at = values->data + first * values->columns * sizeof(float);
    const bool is_changed = values->delta || values->heads || values->pairs || values->is_more;
    if (is_changed || values->dtype != CEI_DTYPE_F32 || (uintptr_t)at % _Alignof(float) != 0) return NULL;
    return (const float *)(const void *)at;
}

/* The rows' scales as they are in the file. Where one is 0 the row's zeros lose their signs, which came from integers
 * that nothing can be told about any more. */
static void keep_scales(const cei_values *values, size_t first, size_t count, float *out, float *scales) {
    for (size_t row = 0; row < count; row++) {
        memcpy(scales + row, values->scales + row_in_file(values, first + row) * sizeof *scales, sizeof *scales);
        if (scales[row] != 0) continue;
        memset(out + row * values->columns, 0, values->columns * sizeof *out);
        scales[row] = 0;
    }
}

void cei_values_read_as(const cei_values *values, size_t first, size_t count, cei_format format, float *out,
                        float *scales) {
    cei_values_read(values, first, count, out);
    if (values->dtype == CEI_DTYPE_I8 && format == CEI_FORMAT_INT8)
        keep_scales(values, first, count, out, scales);
    else
        cei_round_rows(format, out, count, values->columns, scales);
}
