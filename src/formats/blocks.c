/* blocks.c - conversion of GGML's quantized blocks to float32, and of float32 to Q8_0. Relies on values.c and
 * rounding.c for F16; must not allocate, and must not assume any alignment of what it reads. */
#include "formats/blocks.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SMALL = 32, LARGE = 256, HALF_BYTES = 2 };

static float half_at(const uint8_t *from) {
    const cei_values one = {.dtype = CEI_DTYPE_F16, .rows = 1, .columns = 1, .data = from};
    float value;
    cei_values_read(&one, 0, 1, &value);
    return value;
}

/* The low and the high four bits of a byte belong to values that are half a run apart. */
static inline int low(uint8_t byte) { return byte & 15; }
static inline int high(uint8_t byte) { return byte >> 4; }

/* ---- blocks of 32 -------------------------------------------------------------------------------------------- */

static void read_q8_0(const uint8_t *from, float *out) {
    const float d = half_at(from);
    const int8_t *q = (const int8_t *)(from + HALF_BYTES);
    for (size_t i = 0; i < SMALL; i++) out[i] = d * (float)q[i];
}

static void read_q4_0(const uint8_t *from, float *out) {
    const float d = half_at(from);
    const uint8_t *q = from + HALF_BYTES;
    for (size_t i = 0; i < SMALL / 2; i++) {
        out[i] = d * (float)(low(q[i]) - 8);
        out[i + SMALL / 2] = d * (float)(high(q[i]) - 8);
    }
}

static void read_q4_1(const uint8_t *from, float *out) {
    const float d = half_at(from), m = half_at(from + HALF_BYTES);
    const uint8_t *q = from + 2 * HALF_BYTES;
    for (size_t i = 0; i < SMALL / 2; i++) {
        out[i] = d * (float)low(q[i]) + m;
        out[i + SMALL / 2] = d * (float)high(q[i]) + m;
    }
}

/* Thirty-two values of five bits: the fifth bits, then the others. */
static void unpack_five(const uint8_t *from, int *out) {
    const uint8_t *q = from + SMALL / 8;
    for (size_t i = 0; i < SMALL / 2; i++) {
        const size_t k = i + SMALL / 2;
        out[i] = low(q[i]) | (from[i / 8] >> i % 8 & 1) << 4;
        out[k] = high(q[i]) | (from[k / 8] >> k % 8 & 1) << 4;
    }
}

static void read_q5_0(const uint8_t *from, float *out) {
    const float d = half_at(from);
    int q[SMALL];
    unpack_five(from + HALF_BYTES, q);
    for (size_t i = 0; i < SMALL; i++) out[i] = d * (float)(q[i] - 16);
}

static void read_q5_1(const uint8_t *from, float *out) {
    const float d = half_at(from), m = half_at(from + HALF_BYTES);
    int q[SMALL];
    unpack_five(from + 2 * HALF_BYTES, q);
    for (size_t i = 0; i < SMALL; i++) out[i] = d * (float)q[i] + m;
}

/* ---- blocks of 256 ------------------------------------------------------------------------------------------- */

enum { PAIRS = 8, PAIR_BYTES = 12 };

/* The pair of a run of 32 values. The first four pairs have a byte for each number, whose upper two bits are those of
 * the last four pairs; these have their lower four bits in the last four bytes. */
static void unpack_pair(const uint8_t *from, size_t i, float *scale, float *minimum) {
    int s = from[i % 4] & 63, n = from[i % 4 + 4] & 63;
    if (i >= 4) {
        s = low(from[i + 4]) | from[i - 4] >> 6 << 4;
        n = high(from[i + 4]) | from[i] >> 6 << 4;
    }
    *scale = (float)s;
    *minimum = (float)n;
}

/* fifth is NULL, or a byte for each of 32 places, with a bit for each run. */
static void read_k(const uint8_t *from, const uint8_t *fifth, const uint8_t *q, float *out) {
    const float d = half_at(from), m = half_at(from + HALF_BYTES);
    for (size_t run = 0; run < PAIRS; run++, out += SMALL) {
        float scale, minimum;
        unpack_pair(from + 2 * HALF_BYTES, run, &scale, &minimum);
        const float step = d * scale, below = m * minimum;
        const uint8_t *bytes = q + run / 2 * SMALL;
        for (size_t i = 0; i < SMALL; i++) {
            const int four = run % 2 ? high(bytes[i]) : low(bytes[i]);
            const int five = fifth ? (fifth[i] >> run & 1) << 4 : 0;
            out[i] = step * (float)(four | five) - below;
        }
    }
}

static void read_q4_k(const uint8_t *from, float *out) { read_k(from, NULL, from + 2 * HALF_BYTES + PAIR_BYTES, out); }

static void read_q5_k(const uint8_t *from, float *out) {
    const uint8_t *fifth = from + 2 * HALF_BYTES + PAIR_BYTES;
    read_k(from, fifth, fifth + SMALL, out);
}

/* Each half of the block is four runs of 32, which share 64 bytes of low bits and 32 of high ones. */
static void read_q6_k(const uint8_t *from, float *out) {
    const uint8_t *lows = from, *highs = from + LARGE / 2;
    const int8_t *scales = (const int8_t *)(highs + LARGE / 4);
    const float d = half_at(highs + LARGE / 4 + LARGE / 16);
    for (size_t i = 0; i < LARGE; i++) {
        const size_t half = i / 128, scale = i / 16, run = i % 128 / SMALL, place = i % SMALL;
        const uint8_t byte = lows[half * 64 + run % 2 * SMALL + place];
        const int two = highs[half * SMALL + place] >> 2 * run & 3;
        const int six = (run < 2 ? low(byte) : high(byte)) | two << 4;
        out[i] = d * (float)scales[scale] * (float)(six - 32);
    }
}

/* ---- all of them --------------------------------------------------------------------------------------------- */

typedef void (*block_reader)(const uint8_t *from, float *out);

static block_reader reader_of(cei_dtype dtype) {
    switch (dtype) {
    case CEI_DTYPE_Q4_0: return read_q4_0;
    case CEI_DTYPE_Q4_1: return read_q4_1;
    case CEI_DTYPE_Q5_0: return read_q5_0;
    case CEI_DTYPE_Q5_1: return read_q5_1;
    case CEI_DTYPE_Q8_0: return read_q8_0;
    case CEI_DTYPE_Q4_K: return read_q4_k;
    case CEI_DTYPE_Q5_K: return read_q5_k;
    case CEI_DTYPE_Q6_K: return read_q6_k;
    default: return NULL;
    }
}

void cei_blocks_read(cei_dtype dtype, const uint8_t *from, size_t count, float *out) {
    const block_reader read = reader_of(dtype);
    const size_t values = cei_dtype_block(dtype), bytes = cei_dtype_size(dtype);
    for (size_t at = 0; read && at < count; at += values, from += bytes) read(from, out + at);
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static bool write_q8_0(const float *values, uint8_t *out) {
    float most = 0;
    for (size_t i = 0; i < SMALL; i++) most = fabsf(values[i]) > most || isnan(values[i]) ? fabsf(values[i]) : most;
    const float d = most / 127, inverse = d >= FLT_MIN ? 1 / d : 0;
    const uint16_t half = cei_round_float16(d);
    const float read = half_at((const uint8_t *)&half);
    if (!isfinite(read)) return false;
    memcpy(out, &half, sizeof half);
    for (size_t i = 0; i < SMALL; i++) {
        const int8_t q = (int8_t)roundf(values[i] * inverse);
        memcpy(out + HALF_BYTES + i, &q, sizeof q);
    }
    return true;
}

bool cei_blocks_write_q8_0(const float *values, size_t count, uint8_t *out) {
    bool good = true;
    for (size_t i = 0; i < count && good; i += SMALL, out += HALF_BYTES + SMALL) good = write_q8_0(values + i, out);
    return good;
}
