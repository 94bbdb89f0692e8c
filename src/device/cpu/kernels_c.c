/* kernels_c.c - every kernel in portable C: the tier that each machine has, and the floor that other tiers override.
 * Contracts in kernels.h. Relies on the C library's sqrtf alone.
 *
 * Loops run over fixed numbers of lanes, so that compilers vectorize them for whatever registers there are without
 * leave to reorder sums. */
#include "device/cpu/kernels.h"

#include "device/cpu/functions.h"
#include "device/cpu/gelu_table.h"

#include <math.h>
#include <string.h>

/* Sixteen vector registers of four floats hold a tile of 4 x 8 beside its operands. */
enum { LANES = 8, PANEL = 8, TILE_ROWS = 4 };

/* ---- products ----------------------------------------------------------------------------------------------- */

static void finish_row(const cei_cpu_product *p, size_t row, const float sum[PANEL]) {
    const float *add = p->add ? p->add + row * p->add_stride : NULL;
    float *out = p->out + row * p->out_stride;
    for (size_t j = 0; j < p->columns; j++) {
        const float whole = add ? add[j] + sum[j] : sum[j];
        const float value = p->factors ? whole * p->factors[row] : whole;
        out[j] = p->bias ? value + p->bias[j] : value;
    }
}

/* Four floats in a register: what gcc and clang make of it on every processor. Left to themselves they vectorize the
 * loop over i, with shuffles. */
typedef float quad __attribute__((vector_size(16)));

static inline quad load_quad(const float *from) {
    quad v;
    memcpy(&v, from, sizeof v);
    return v;
}

static void multiply_tile(const cei_cpu_product *p, size_t first) {
    quad s00 = {0}, s01 = {0}, s10 = {0}, s11 = {0}, s20 = {0}, s21 = {0}, s30 = {0}, s31 = {0};
    const float *a0 = p->a + first * p->a_stride, *a1 = a0 + p->a_stride, *a2 = a1 + p->a_stride,
                *a3 = a2 + p->a_stride;
    for (size_t i = 0; i < p->depth; i++) {
        const quad b0 = load_quad(p->panel + i * PANEL), b1 = load_quad(p->panel + i * PANEL + 4);
        s00 += a0[i] * b0, s01 += a0[i] * b1;
        s10 += a1[i] * b0, s11 += a1[i] * b1;
        s20 += a2[i] * b0, s21 += a2[i] * b1;
        s30 += a3[i] * b0, s31 += a3[i] * b1;
    }
    const quad sums[TILE_ROWS][2] = {{s00, s01}, {s10, s11}, {s20, s21}, {s30, s31}};
    for (size_t r = 0; r < TILE_ROWS; r++) {
        float sum[PANEL];
        memcpy(sum, sums[r], sizeof sum);
        finish_row(p, first + r, sum);
    }
}

static void multiply_row(const cei_cpu_product *p, size_t row) {
    float sum[PANEL];
    const float *a = p->a + row * p->a_stride;
    quad s0 = {0}, s1 = {0};
    for (size_t i = 0; i < p->depth; i++) {
        s0 += a[i] * load_quad(p->panel + i * PANEL);
        s1 += a[i] * load_quad(p->panel + i * PANEL + 4);
    }
    memcpy(sum, &s0, sizeof s0);
    memcpy(sum + 4, &s1, sizeof s1);
    finish_row(p, row, sum);
}

static void multiply(const cei_cpu_product *p) {
    size_t row = 0;
    for (; row + TILE_ROWS <= p->rows; row += TILE_ROWS) multiply_tile(p, row);
    for (; row < p->rows; row++) multiply_row(p, row);
}

/* ---- packing, checksums ------------------------------------------------------------------------------------- */

static void pack(const float *rows, size_t stride, size_t count, size_t depth, size_t first, float *panel) {
    for (size_t k = 0; k < depth; k++)
        for (size_t r = 0; r < count; r++) panel[k * PANEL + first + r] = rows[r * stride + k];
}

static void copy(const float *from, size_t from_stride, size_t count, size_t columns, float *to, size_t to_stride) {
    for (size_t r = 0; r < count; r++) memcpy(to + r * to_stride, from + r * from_stride, columns * sizeof(float));
}

/* The weighted sum without products: with running sums S(i), sum of (i + 1) b(i) = (count + 1) S - sum of S(i). */
static void checksum(const float *steps, size_t count, uint64_t *sums, uint64_t *weighted) {
    uint64_t s[PANEL] = {0}, running[PANEL] = {0};
    for (size_t i = 0; i < count; i++) {
        uint32_t bits[PANEL];
        memcpy(bits, steps + i * PANEL, sizeof bits);
        for (size_t j = 0; j < PANEL; j++) {
            s[j] += bits[j];
            running[j] += s[j];
        }
    }
    for (size_t j = 0; j < PANEL; j++) {
        sums[j] = s[j];
        weighted[j] = (count + 1) * s[j] - running[j];
    }
}

/* ---- elementwise functions ---------------------------------------------------------------------------------- */

static inline int32_t bits_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The whole number nearest to y, |y| < 2^22, and its low bits. */
static inline float nearest_whole(float y, int32_t *whole) {
    const float shifted = y + ROUND_MAGIC;
    *whole = bits_of(shifted) - bits_of(ROUND_MAGIC);
    return shifted - ROUND_MAGIC;
}

/* All ones if a > b, else 0; b - a must not overflow. */
static inline int32_t mask_greater(int32_t a, int32_t b) { return -(int32_t)((uint32_t)(b - a) >> 31); }

/* exp(x) for x <= 0, 0 where that is below 2^-126, NaN for NaN. See functions.h for the constants. Values are compared
 * by their bits and chosen by masks: comparisons of floats may trap, and branches keep loops from being vectorized. */
static inline float exp_nonpositive(float x) {
    const int32_t most = bits_of(-EXP_SMALLEST), infinite = 0x7F800000, size = bits_of(x) & INT32_MAX;
    const int32_t is_small = mask_greater(size, most), is_nan = mask_greater(size, infinite);
    const float kept = -float_of((size & ~is_small) | (most & is_small));
    int32_t exponent;
    const float n = nearest_whole(kept * LOG2_E, &exponent);
    const float r = (kept - n * LN_2_HIGH) - n * LN_2_LOW;
    float y = EXP_6;
    y = y * r + EXP_5;
    y = y * r + EXP_4;
    y = y * r + EXP_3;
    y = y * r + EXP_2;
    y = y * r + 1;
    y = y * r + 1;
    const int32_t value = bits_of(y * float_of((int32_t)((uint32_t)(exponent + 127) << 23)));
    return float_of((value & ~is_small) | (size & is_nan));
}

/* x if x > 0, else 0; NaN for NaN. */
static inline float positive_part(float x) {
    const int32_t bits = bits_of(x), size = bits & INT32_MAX;
    return float_of((bits & ~mask_greater(0, bits)) | (size & mask_greater(size, 0x7F800000)));
}

/* Without permutations of registers a table cannot be vectorized: exp(-t^2 / 2) times a polynomial in 1 / (1 + t / 4)
 * takes its place. From t = 14 on the exponential is 0. */
static inline float gelu(float x) {
    const int32_t size = bits_of(x) & INT32_MAX, far = bits_of(14.0f), is_far = mask_greater(size, far);
    const float t = float_of((size & ~is_far) | (far & is_far));
    const float u = 1 / (1 + t * 0.25f);
    float q = gelu_ratio[7];
    for (int power = 6; power >= 0; power--) q = q * u + gelu_ratio[power];
    return positive_part(x) - t * (q * exp_nonpositive(-0.5f * t * t));
}

static inline float sigmoid(float x) {
    const float e = exp_nonpositive(-fabsf(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static inline float gelu_tanh(float x) { return x * sigmoid(x * GELU_TANH_SCALE * (GELU_TANH_CUBIC * (x * x) + 1)); }

static inline float gelu_quick(float x) { return x * sigmoid(x * QUICK_SCALE); }
static inline float relu(float x) { return positive_part(x); }
static inline float silu(float x) { return x * sigmoid(x); }

static inline float tanh_of(float x) {
    const float size = fabsf(x), z = x * x;
    const float p = (((TANH_4 * z + TANH_3) * z + TANH_2) * z + TANH_1) * z + TANH_0;
    const float e = exp_nonpositive(-2 * size);
    return size > TANH_SWITCH ? copysignf((1 - e) / (1 + e), x) : p * z * x + x;
}

#define APPLY(name, function)                                                     \
    static void name(float *values, size_t rows, size_t columns, size_t stride) { \
        for (size_t r = 0; r < rows; r++, values += stride)                       \
            for (size_t i = 0; i < columns; i++) values[i] = function(values[i]); \
    }
APPLY(apply_gelu, gelu)
APPLY(apply_gelu_tanh, gelu_tanh)
APPLY(apply_gelu_quick, gelu_quick)
APPLY(apply_relu, relu)
APPLY(apply_silu, silu)
APPLY(apply_tanh, tanh_of)
APPLY(apply_sigmoid, sigmoid)

static void apply_identity(float *values, size_t rows, size_t columns, size_t stride) {
    (void)values, (void)rows, (void)columns, (void)stride;
}

/* ---- rows ---------------------------------------------------------------------------------------------------
 * Lane l of a sum adds up the elements LANES i + l; the lanes are then added in pairs. */

static float reduce_add(float lanes[LANES]) {
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lanes[l] += lanes[l + half];
    return lanes[0];
}

static float row_max(const float *row, size_t columns, float scale) {
    float lanes[LANES];
    for (size_t l = 0; l < LANES; l++) lanes[l] = row[0] * scale;
    size_t i = 0;
    for (; i + LANES <= columns; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            const float s = row[i + l] * scale;
            lanes[l] = s > lanes[l] ? s : lanes[l];
        }
    float most = lanes[0];
    for (size_t l = 1; l < LANES; l++) most = lanes[l] > most ? lanes[l] : most;
    for (; i < columns; i++) most = row[i] * scale > most ? row[i] * scale : most;
    return most;
}

static float row_sum(const float *row, size_t columns) {
    float lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= columns; i += LANES)
        for (size_t l = 0; l < LANES; l++) lanes[l] += row[i + l];
    for (size_t l = 0; i + l < columns; l++) lanes[l] += row[i + l];
    return reduce_add(lanes);
}

static void softmax_row(float *row, size_t columns, float scale, float *factor) {
    const float most = row_max(row, columns, scale);
    for (size_t i = 0; i < columns; i++) row[i] = exp_nonpositive(row[i] * scale - most);
    *factor = 1 / row_sum(row, columns);
}

static void softmax(float *scores, size_t rows, size_t columns, size_t stride, float scale, float *factors) {
    for (size_t r = 0; r < rows; r++) softmax_row(scores + r * stride, columns, scale, factors + r);
}

static void spread(const float *values, const int32_t *places, size_t columns, const float *add, float *out) {
    for (size_t i = 0; i < columns; i++) {
        const float value = values[places[i] - places[0]];
        out[i] = add ? add[i] + value : value;
    }
}

static void add_transposed(const float *from, size_t from_stride, size_t rows, size_t columns, float *to,
                           size_t to_stride) {
    for (size_t c = 0; c < columns; c++)
        for (size_t r = 0; r < rows; r++) to[c * to_stride + r] += from[r * from_stride + c];
}

static float row_variance(const float *row, size_t columns, float mean) {
    float lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= columns; i += LANES)
        for (size_t l = 0; l < LANES; l++) lanes[l] += (row[i + l] - mean) * (row[i + l] - mean);
    for (size_t l = 0; i + l < columns; l++) lanes[l] += (row[i + l] - mean) * (row[i + l] - mean);
    return reduce_add(lanes) / (float)columns;
}

/* Two passes: the mean, then the squares of what differs from it. An RMS norm's mean is taken for 0. */
static void norm(const cei_cpu_norm *n) {
    for (size_t r = 0; r < n->rows; r++) {
        const size_t at = r * n->columns;
        float *row = n->sum + at, *out = n->out + at;
        for (size_t i = 0; i < n->columns; i++)
            row[i] = n->residual ? n->x[at + i] + n->residual[at + i] : n->x[at + i];
        const float mean = n->rms ? 0.0f : row_sum(row, n->columns) / (float)n->columns;
        const float base = n->adds_one ? 1.0f : 0.0f;
        const float scale = 1.0f / sqrtf(row_variance(row, n->columns, mean) + n->epsilon);
        for (size_t i = 0; i < n->columns; i++)
            out[i] = (row[i] - mean) * scale * (n->gain[i] + base) + (n->bias ? n->bias[i] : 0.0f);
    }
}

static void embed(const float *word, const float *type, const float *position, size_t columns, float *out) {
    for (size_t i = 0; i < columns; i++) out[i] = (word[i] + type[i]) + position[i];
}

static void times(float *values, const float *by, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] *= by[i];
}

static void rotate(float *x, size_t heads, size_t half, const float *cosines, const float *sines) {
    for (size_t h = 0; h < heads; h++, x += 2 * half)
        for (size_t i = 0; i < half; i++) {
            const float a = x[i], b = x[half + i];
            x[i] = a * cosines[i] - b * sines[i];
            x[half + i] = b * cosines[i] + a * sines[i];
        }
}

/* ---- low precision ------------------------------------------------------------------------------------------ */

static void widen(const uint16_t *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(to + i, &bits, sizeof bits);
    }
}

static void widen_float16(const uint16_t *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++) to[i] = cei_widen_float16(from[i]);
}

/* Elements are int16, the zero taken away. */
static void prepare_int8(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                         cei_row_scale *scales) {
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * x_stride;
        int16_t *to = (int16_t *)(void *)((uint8_t *)a + r * a_stride);
        const cei_row_scale found = cei_activation_scale(row, depth);
        const float inverse = found.scale > 0 ? 1 / found.scale : 0, magic = 12582912.0f; /* rounds to an integer */
        for (size_t i = 0; i < depth; i++) {
            float q = ((row[i] * inverse + magic) - magic) + (float)found.zero;
            q = q > 0 ? q : 0; /* NaN too becomes a number */
            to[i] = (int16_t)((int32_t)(q > 255 ? 255 : q) - found.zero);
        }
        scales[r] = (cei_row_scale){found.scale, 0};
    }
}

static void multiply_int8(const cei_cpu_low_product *p) {
    const float *scales = p->panel;
    const int8_t *values = (const int8_t *)p->panel + PANEL * (sizeof(float) + sizeof(int32_t));
    for (size_t r = 0; r < p->rows; r++) {
        const int16_t *a = (const int16_t *)(const void *)((const uint8_t *)p->a + r * p->a_stride);
        int32_t sum[PANEL] = {0};
        for (size_t i = 0; i < p->depth; i++)
            for (size_t j = 0; j < PANEL; j++) sum[j] += a[i] * values[i * PANEL + j];
        for (size_t j = 0; j < p->columns; j++) {
            const float value = (float)sum[j] * (p->rows_scale[r].scale * scales[j]);
            p->out[r * p->out_stride + j] = p->bias ? value + p->bias[j] : value;
        }
    }
}

static double peak_int8(size_t rounds) {
    enum { CHAINS = 32 };
    int32_t v[CHAINS];
    for (int i = 0; i < CHAINS; i++) v[i] = i;
    for (size_t n = 0; n < rounds; n++)
        for (int i = 0; i < CHAINS; i++) v[i] = (int16_t)v[i] * 3 + i;
    int32_t sum = 0;
    for (int i = 0; i < CHAINS; i++) sum ^= v[i];
    volatile int32_t keep = sum;
    (void)keep;
    return 2.0 * CHAINS * (double)rounds;
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static double peak(size_t rounds) {
    enum { CHAINS = 32 };
    float v[CHAINS];
    for (size_t i = 0; i < CHAINS; i++) v[i] = (float)i;
    for (size_t n = 0; n < rounds; n++)
        for (size_t i = 0; i < CHAINS; i++) v[i] = v[i] * 0.9999f + 0.5f;
    float sum = 0;
    for (size_t i = 0; i < CHAINS; i++) sum += v[i];
    volatile float keep = sum;
    (void)keep;
    return 2.0 * CHAINS * (double)rounds;
}

void cei_cpu_fill_c(cei_cpu_kernels *kernels) {
    *kernels = (cei_cpu_kernels){
        .name = "c",
        .features = "portable",
        .panel = PANEL,
        .multiply = multiply,
        .pack = pack,
        .copy = copy,
        .checksum = checksum,
        .apply = {[CEI_FN_IDENTITY] = apply_identity,
                  [CEI_FN_GELU] = apply_gelu,
                  [CEI_FN_GELU_TANH] = apply_gelu_tanh,
                  [CEI_FN_GELU_QUICK] = apply_gelu_quick,
                  [CEI_FN_RELU] = apply_relu,
                  [CEI_FN_SILU] = apply_silu,
                  [CEI_FN_TANH] = apply_tanh,
                  [CEI_FN_SIGMOID] = apply_sigmoid},
        .softmax = softmax,
        .spread = spread,
        .add_transposed = add_transposed,
        .norm = norm,
        .embed = embed,
        .times = times,
        .rotate = rotate,
        .widen = widen,
        .widen_float16 = widen_float16,
        .bfloat16 = {.group = 1, .step = 1},
        .float16 = {.group = 1, .step = 1},
        .int8 = {.group = 1,
                 .step = 1,
                 .element = sizeof(int16_t),
                 .prepare = prepare_int8,
                 .multiply = multiply_int8,
                 .peak = peak_int8},
        .peak = peak,
    };
}
