/* rounding.c - rounding to bfloat16, float16 and int8. Portable; relies on the default rounding mode, to nearest even.
 */
#include "formats/rounding.h"

#include "base/clones.h"

#include <float.h>
#include <math.h>

const char *cei_format_name(cei_format format) {
    static const char *const names[CEI_FORMAT_COUNT] = {"float32", "bfloat16", "float16", "int8"};
    return (unsigned)format < CEI_FORMAT_COUNT ? names[format] : "unknown";
}

static inline float round_bfloat16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        bits |= UINT32_C(0x400000); /* quiet, and not made an infinity by losing its lower half */
    else
        bits += UINT32_C(0x7FFF) + (bits >> 16 & 1);
    bits &= UINT32_C(0xFFFF0000);
    memcpy(&x, &bits, sizeof x);
    return x;
}

float cei_round_bfloat16(float x) { return round_bfloat16(x); }

/* All ones if a > b, else 0. Values are chosen by such masks, as branches keep loops from being vectorized; sizes, the
 * bits of a float32 without its sign, are in the order of the numbers. */
static inline uint32_t mask_greater(uint32_t a, uint32_t b) { return -(uint32_t)((int32_t)a > (int32_t)b); }

enum { LARGEST_FLOAT16 = 0x477FE000, INFINITE = 0x7F800000 }; /* sizes: 65,504, and what is no number */

static inline uint16_t round_size(float size, uint32_t sign) {
    const float shifted = size + 0.5f; /* has steps of 2^-24 below 1, as subnormals have */
    uint32_t bits, small;
    memcpy(&bits, &size, sizeof bits);
    memcpy(&small, &shifted, sizeof small);
    const uint32_t normal = (bits - (UINT32_C(112) << 23) + UINT32_C(0xFFF) + (bits >> 13 & 1)) >> 13;
    const uint32_t is_small = mask_greater(UINT32_C(0x38800000), bits);     /* below 2^-14 */
    const uint32_t is_large = mask_greater(bits, UINT32_C(0x477FF000) - 1); /* from 65,520 on */
    const uint32_t is_nan = mask_greater(bits, INFINITE);
    const uint32_t half = (small - UINT32_C(0x3F000000)) & is_small;
    return (uint16_t)(sign >> 16 |
                      (((half | (normal & ~is_small)) & ~is_large) | (0x7C00 & is_large) | (0x200 & is_nan)));
}

static inline uint16_t round_float16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return round_size(fabsf(x), bits & UINT32_C(0x80000000));
}

uint16_t cei_round_float16(float x) { return round_float16(x); }

static inline float saturate_float16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t size = bits & INT32_MAX, sign = bits & UINT32_C(0x80000000);
    const uint32_t is_beyond = mask_greater(size, LARGEST_FLOAT16) & mask_greater(INFINITE, size);
    const uint32_t kept = (LARGEST_FLOAT16 & is_beyond) | (size & ~is_beyond);
    float limited;
    memcpy(&limited, &kept, sizeof limited);
    return cei_widen_float16(round_size(limited, sign));
}

float cei_saturate_float16(float x) { return saturate_float16(x); }

/* Adding and taking away 1.5 * 2^23 leaves the nearest integer, ties to even, of a value below 2^22. */
static const float to_integer = 12582912.0f;

static inline float nearest(float x) { return (x + to_integer) - to_integer; }

static inline float largest_size(const float *row, size_t columns) {
    float most = 0;
    for (size_t i = 0; i < columns; i++) {
        const float size = fabsf(row[i]);
        most = size > most || size != size ? size : most;
    }
    return most;
}

bool cei_scale_is_sound(float scale) { return isfinite(scale * 128) && (scale == 0 || fabsf(scale) >= FLT_MIN); }

static inline float round_int8(float *row, size_t columns) {
    float scale = largest_size(row, columns) / 127;
    if (!isfinite(scale * 127)) return scale * 127;
    if (scale < FLT_MIN) scale = 0;
    const float inverse = scale > 0 ? 1 / scale : 0;
    for (size_t i = 0; i < columns; i++) {
        float value = nearest(row[i] * inverse);
        value = value > 127 ? 127 : value < -127 ? -127 : value;
        row[i] = scale * value;
    }
    return scale;
}

CEI_CLONED static void round_rows(cei_format format, float *values, size_t rows, size_t columns, float *scales) {
    switch (format) {
    case CEI_FORMAT_FLOAT32: return;
    case CEI_FORMAT_BFLOAT16:
        for (size_t i = 0; i < rows * columns; i++) values[i] = round_bfloat16(values[i]);
        return;
    case CEI_FORMAT_FLOAT16:
        for (size_t i = 0; i < rows * columns; i++) values[i] = saturate_float16(values[i]);
        return;
    case CEI_FORMAT_INT8:
        for (size_t r = 0; r < rows; r++) scales[r] = round_int8(values + r * columns, columns);
        return;
    }
}

void cei_round_rows(cei_format format, float *values, size_t rows, size_t columns, float *scales) {
    round_rows(format, values, rows, columns, scales);
}

CEI_CLONED static void hold_bfloat16(const float *from, size_t count, uint16_t *to) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, from + i, sizeof bits);
        to[i] = (uint16_t)(bits >> 16);
    }
}

void cei_hold_bfloat16(const float *from, size_t count, uint16_t *to) { hold_bfloat16(from, count, to); }

CEI_CLONED static void hold_float16(const float *from, size_t count, uint16_t *to) {
    for (size_t i = 0; i < count; i++) to[i] = round_float16(from[i]);
}

void cei_hold_float16(const float *from, size_t count, uint16_t *to) { hold_float16(from, count, to); }

CEI_CLONED static void widen_int8(const int8_t *from, size_t count, float scale, float *to) {
    for (size_t i = 0; i < count; i++) to[i] = scale * (float)from[i];
}

void cei_widen_int8(const int8_t *from, size_t count, float scale, float *to) { widen_int8(from, count, scale, to); }

CEI_CLONED static int32_t sum_int8(const int8_t *from, size_t count) {
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += from[i];
    return sum;
}

int32_t cei_sum_int8(const int8_t *from, size_t count) { return sum_int8(from, count); }

/* Adding to_integer leaves the nearest integer in the lowest bits, above those of that number itself. */
CEI_CLONED static int32_t hold_int8(const float *from, size_t count, float inverse, int8_t *to) {
    const uint32_t integer_bits = UINT32_C(0x4B400000); /* of to_integer */
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        const float value = from[i] * inverse + to_integer;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        to[i] = (int8_t)(uint8_t)bits;
        sum += bits;
    }
    return (int32_t)(sum - (uint32_t)count * integer_bits);
}

int32_t cei_hold_int8(const float *from, size_t count, float inverse, int8_t *to) {
    return hold_int8(from, count, inverse, to);
}

cei_row_scale cei_activation_scale(const float *x, size_t count) {
    float least = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        least = x[i] < least ? x[i] : least;
        largest = x[i] > largest ? x[i] : largest;
    }
    const float scale = (largest - least) / 255;
    if (!(scale >= FLT_MIN) || !isfinite(scale)) return (cei_row_scale){0, 0};
    return (cei_row_scale){scale, (int32_t)nearest(-least * (1 / scale))};
}

void cei_round_activations(float *x, size_t count) {
    const cei_row_scale row = cei_activation_scale(x, count);
    const float inverse = row.scale > 0 ? 1 / row.scale : 0, zero = (float)row.zero;
    for (size_t i = 0; i < count; i++) {
        float q = nearest(x[i] * inverse) + zero;
        q = q < 0 ? 0 : q > 255 ? 255 : q;
        x[i] = row.scale * (q - zero);
    }
}
