/* low_cases.c - see low_cases.h. What is expected is computed here from the definitions in kernels.h and rounding.h, in
 * integers and double precision. */
#include "device/low_cases.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float canary = 12345.678f;
enum { FILL = 0x5A, MOST_ACTIVATION = 255 };

static const cei_cpu_low *low_of(const cei_cpu_kernels *kernels, cei_format format) {
    if (format == CEI_FORMAT_INT8) return &kernels->int8;
    return format == CEI_FORMAT_FLOAT16 ? &kernels->float16 : &kernels->bfloat16;
}

static size_t padded(const cei_cpu_low *low, size_t depth) { return (depth + low->step - 1) / low->step * low->step; }

/* Random bytes that begin at a multiple of alignment. */
static void *some_memory(size_t bytes, size_t alignment, guard_side side) {
    const size_t whole = (bytes + alignment - 1) / alignment * alignment;
    uint8_t *memory = guarded(whole, side);
    memset(memory, FILL, whole);
    return memory;
}

void low_check_table(const cei_cpu_kernels *kernels, cei_format format) {
    const cei_cpu_low *low = low_of(kernels, format);
    assert_true(kernels->panel >= 1 && kernels->panel <= CEI_CPU_MAX_PANEL);
    assert_true(low->group >= 1 && low->step >= 1 && low->step <= CEI_CPU_MAX_STEP && low->step % low->group == 0);
    assert_true((low->multiply != NULL) == (low->prepare != NULL) && (low->multiply != NULL) == (low->peak != NULL));
    if (low->multiply) {
        assert_true(low->element == 2 || (low->element == 1 && format == CEI_FORMAT_INT8));
        assert_true(low->peak(3) > 0);
    } else {
        assert_int_not_equal(format, CEI_FORMAT_INT8); /* has no other way */
        assert_int_equal(low->group, 1);
    }
    if (low->pack) assert_true(kernels->panel % low->step == 0 && kernels->panel % 16 == 0);
    assert_true((low->pack != NULL) == (low->weigh != NULL) && (low->pack != NULL) == (low->score != NULL));
    assert_true((low->pack != NULL) == (low->mix != NULL));
}

/* ---- prepare ------------------------------------------------------------------------------------------------ */

/* A prepared value less its zero. */
static int32_t integer_at(const cei_cpu_low *low, const uint8_t *row, size_t i, int32_t zero) {
    int16_t wide;
    if (low->element == 1) return row[i] - zero;
    memcpy(&wide, row + i * sizeof wide, sizeof wide);
    return wide;
}

static void expect_int8_row(const cei_cpu_low *low, const float *x, size_t depth, const uint8_t *row,
                            cei_row_scale found) {
    const cei_row_scale wanted = cei_activation_scale(x, depth);
    const float inverse = wanted.scale > 0 ? 1 / wanted.scale : 0;
    expect_same_bits(&found.scale, &wanted.scale, 1, "the scale of a row");
    assert_int_equal(found.zero, low->element == 1 ? wanted.zero : 0);
    for (size_t i = 0; i < depth; i++) {
        const int32_t q = integer_at(low, row, i, wanted.zero) + wanted.zero;
        if (q < 0 || q > MOST_ACTIVATION) fail_msg("element %zu of %zu: %d is no activation", i, depth, (int)q);
        if (!isfinite(x[i])) continue; /* a number, whichever */
        const float step = nearbyintf(x[i] * inverse) + (float)wanted.zero;
        const float clamped = step < 0 ? 0 : step > MOST_ACTIVATION ? MOST_ACTIVATION : step;
        if ((float)q != clamped)
            fail_msg("element %zu of %zu: %.9g became %d, wanted %.9g", i, depth, (double)x[i], (int)q,
                     (double)clamped);
    }
}

/* Processors may take denormals for zeros. */
static void expect_bfloat16_row(const float *x, size_t depth, const uint8_t *row) {
    for (size_t i = 0; i < depth; i++) {
        const float rounded = cei_round_bfloat16(x[i]);
        uint32_t wanted;
        uint16_t found;
        memcpy(&wanted, &rounded, sizeof wanted);
        memcpy(&found, row + i * sizeof found, sizeof found);
        const bool is_nan = isnan(x[i]), is_tiny = fabsf(x[i]) < FLT_MIN;
        if (is_nan ? (found & 0x7FFF) <= 0x7F80 : found != wanted >> 16 && !(is_tiny && (found & 0x7FFF) == 0))
            fail_msg("element %zu of %zu: %.9g became %04x, wanted %04x", i, depth, (double)x[i], found,
                     (unsigned)(wanted >> 16));
    }
}

/* Zeros behind each row, and behind them what was there. */
static void expect_padding(const cei_cpu_low *low, const uint8_t *a, size_t rows, size_t depth, size_t stride) {
    const size_t used = depth * low->element, end = padded(low, depth) * low->element;
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = used; i < end; i++)
            if (a[r * stride + i] != 0) fail_msg("the padding of row %zu of depth %zu is not 0", r, depth);
        for (size_t i = end; i < stride && r + 1 < rows; i++)
            if (a[r * stride + i] != FILL) fail_msg("prepare wrote behind row %zu of depth %zu", r, depth);
    }
}

/* x [rows, depth], stride floats apart, rounded into memory of its own, and compared. */
static void check_rows(const cei_cpu_low *low, cei_format format, const float *x, size_t x_stride, size_t rows,
                       size_t depth, guard_side side) {
    const size_t row_bytes = padded(low, depth) * low->element,
                 stride = (row_bytes + 3) / 4 * 4 + 4 * random_size(0, 9);
    uint8_t *a = some_memory(rows ? (rows - 1) * stride + row_bytes : 0, 4, side);
    const bool is_int8 = format == CEI_FORMAT_INT8;
    cei_row_scale *scales = is_int8 ? some_memory(rows * sizeof *scales, 4, side) : NULL;
    low->prepare(x, x_stride, rows, depth, a, stride, scales);
    for (size_t r = 0; r < rows; r++) {
        if (is_int8)
            expect_int8_row(low, x + r * x_stride, depth, a + r * stride, scales[r]);
        else
            expect_bfloat16_row(x + r * x_stride, depth, a + r * stride);
        /* Alone, a row gives the same. */
        uint8_t *alone = some_memory(row_bytes, 4, side);
        cei_row_scale scale = {0};
        low->prepare(x + r * x_stride, depth, 1, depth, alone, row_bytes, is_int8 ? &scale : NULL);
        assert_memory_equal(alone, a + r * stride, row_bytes);
        if (is_int8) assert_memory_equal(&scale, &scales[r], sizeof scale);
    }
    expect_padding(low, a, rows, depth, stride);
}

void low_check_prepare(const cei_cpu_kernels *kernels, cei_format format) {
    const cei_cpu_low *low = low_of(kernels, format);
    if (!low->prepare) return;
    for (size_t depth = 0; depth < 150; depth++) {
        const size_t rows = depth % 8 ? random_size(1, 5) : 0, x_stride = depth + random_size(0, 5);
        const guard_side side = depth % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        float *x = guarded_floats(rows ? (rows - 1) * x_stride + depth : 0, side);
        for (size_t r = 0; r < rows; r++) {
            /* Both signs, one sign, and rows of very different sizes. */
            const float least = random_float(-3, 1), most = random_float(least, 4);
            const float size = ldexpf(1, (int)random_size(0, 60) - 30);
            for (size_t i = 0; i < depth; i++) x[r * x_stride + i] = size * random_float(least, most);
        }
        check_rows(low, format, x, x_stride, rows, depth, side);
        guards_free();
    }
}

/* A row of depth values whose steps are whole numbers and a half, from -zero - 1/2 to 255 - zero + 1/2. */
static void fill_edges(float *row, size_t depth, int zero) {
    row[0] = (float)-zero;
    if (depth > 1) row[1] = (float)(MOST_ACTIVATION - zero); /* so that the scale is 1 */
    for (size_t i = 2; i < depth; i++) row[i] = (float)random_size(0, 2 * MOST_ACTIVATION) / 2 - (float)zero;
}

void low_check_prepare_edges(const cei_cpu_kernels *kernels, cei_format format) {
    static const float odd[] = {NAN,      -NAN,   INFINITY, -INFINITY, FLT_MAX, -FLT_MAX,         FLT_MIN,
                                -FLT_MIN, 1e-45f, -1e-45f,  0.0f,      -0.0f,   FLT_MIN * 254.9f, FLT_MIN * 255.1f};
    enum { ODD = sizeof odd / sizeof *odd, DEPTH = 77 };
    const cei_cpu_low *low = low_of(kernels, format);
    if (!low->prepare) return;
    for (size_t depth = 1; depth < DEPTH; depth += random_size(1, 7)) {
        float *x = guarded_floats(depth, GUARD_BEHIND);
        for (size_t i = 0; i < ODD; i++) {
            for (size_t k = 0; k < depth; k++) x[k] = odd[i]; /* all of one kind */
            check_rows(low, format, x, depth, 1, depth, GUARD_BEHIND);
            random_fill(x, depth, 1);
            x[random_size(0, depth - 1)] = odd[i]; /* and one among others, at any place */
            check_rows(low, format, x, depth, 1, depth, GUARD_BEHIND);
            x[random_size(0, depth - 1)] = odd[random_size(0, ODD - 1)];
            check_rows(low, format, x, depth, 1, depth, GUARD_BEHIND);
        }
        for (int zero = 0; zero <= MOST_ACTIVATION; zero += 51) {
            fill_edges(x, depth, zero);
            check_rows(low, format, x, depth, 1, depth, GUARD_BEHIND);
        }
        for (size_t k = 0; k < depth; k++) { /* any bits at all */
            const uint32_t bits = random_bits();
            memcpy(&x[k], &bits, sizeof bits);
        }
        check_rows(low, format, x, depth, 1, depth, GUARD_BEHIND);
        guards_free();
    }
}

/* ---- multiply ----------------------------------------------------------------------------------------------- */

/* A product and what it is made of: values before padding, a in [rows, depth], w in [panel, depth]. */
typedef struct product_case {
    cei_format format;
    const cei_cpu_low *low;
    size_t rows, depth, width;
    float *a, *w;          /* integers less their zero, or bfloat16 values, as float32 */
    cei_row_scale *scales; /* of rows, with the zero that the elements have; int8 */
    float *columns;        /* scales of columns; int8 */
    cei_cpu_low_product low_product;
} product_case;

static float some_bfloat16(void) { return cei_round_bfloat16(random_float(-2, 2)); }

static void choose_values(product_case *c, bool extreme) {
    const bool is_int8 = c->format == CEI_FORMAT_INT8;
    for (size_t r = 0; r < c->rows; r++) {
        const int32_t zero = extreme ? (int32_t)(r % 2) * MOST_ACTIVATION : (int32_t)random_size(0, MOST_ACTIVATION);
        if (is_int8) c->scales[r] = (cei_row_scale){random_float(0.001f, 2), zero};
        for (size_t i = 0; i < c->depth; i++) {
            const int32_t q = (extreme ? zero == 0 : random_bits() & 1) ? MOST_ACTIVATION : (int32_t)random_size(0, 9);
            c->a[r * c->depth + i] = is_int8 ? (float)(q - zero) : some_bfloat16();
        }
    }
    for (size_t j = 0; j < c->width; j++) {
        if (is_int8) c->columns[j] = random_float(-1, 1);
        for (size_t i = 0; i < c->depth; i++) {
            const int32_t w = extreme ? (j % 2 ? 127 : -128) : (int32_t)random_size(0, 255) - 128;
            c->w[j * c->depth + i] = is_int8 ? (float)w : some_bfloat16();
        }
    }
}

static void write_element(const product_case *c, uint8_t *to, float value, int32_t zero) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t half = (uint16_t)(bits >> 16);
    const int16_t wide = (int16_t)value;
    if (c->format == CEI_FORMAT_BFLOAT16)
        memcpy(to, &half, sizeof half);
    else if (c->low->element == 2)
        memcpy(to, &wide, sizeof wide);
    else
        *to = (uint8_t)((int32_t)value + zero);
}

/* The rows as prepare leaves them. */
static void lay_out_rows(product_case *c, guard_side side) {
    cei_cpu_low_product *p = &c->low_product;
    const size_t element = c->low->element, row_bytes = p->depth * element;
    p->a_stride = (row_bytes + 3) / 4 * 4 + 4 * random_size(0, 9);
    const size_t bytes = c->rows ? (c->rows - 1) * p->a_stride + row_bytes : 0;
    uint8_t *a = some_memory(bytes, 4, side);
    for (size_t r = 0; r < c->rows; r++) {
        const int32_t zero = c->scales ? c->scales[r].zero : 0;
        memset(a + r * p->a_stride, 0, row_bytes);
        for (size_t i = 0; i < c->depth; i++)
            write_element(c, a + r * p->a_stride + i * element, c->a[r * c->depth + i], zero);
    }
    p->a = a;
    p->rows_scale = c->scales;
    for (size_t r = 0; r < c->rows && c->scales && element == 2; r++) c->scales[r].zero = 0;
}

/* The panel as weights_low.c packs it. */
static void lay_out_panel(product_case *c, guard_side side) {
    cei_cpu_low_product *p = &c->low_product;
    const bool is_int8 = c->format == CEI_FORMAT_INT8;
    const size_t head = is_int8 ? c->width * (sizeof(float) + sizeof(int32_t)) : 0, size = is_int8 ? 1 : 2;
    const size_t bytes = head + p->depth * c->width * size, group = c->low->group;
    uint8_t *panel = some_memory(bytes, 64, side);
    memset(panel, 0, bytes);
    if (is_int8) memcpy(panel, c->columns, c->width * sizeof(float));
    for (size_t j = 0; j < c->width; j++) {
        int32_t sum = 0;
        for (size_t i = 0; i < c->depth; i++) {
            uint8_t *to = panel + head + ((i / group * c->width + j) * group + i % group) * size;
            const int8_t narrow = is_int8 ? (int8_t)c->w[j * c->depth + i] : 0;
            if (is_int8)
                memcpy(to, &narrow, sizeof narrow);
            else
                write_element(c, to, c->w[j * c->depth + i], 0);
            sum += narrow;
        }
        if (is_int8) memcpy(panel + (c->width + j) * sizeof(float), &sum, sizeof sum);
    }
    p->panel = panel;
    p->next = random_bits() & 1 ? panel : NULL;
}

static product_case make_case(const cei_cpu_kernels *kernels, cei_format format, size_t rows, size_t depth,
                              bool extreme) {
    const guard_side side = some_side();
    product_case c = {.format = format, .low = low_of(kernels, format), .rows = rows, .depth = depth};
    c.width = kernels->panel;
    c.a = calloc(rows * depth + 1, sizeof *c.a);
    c.w = calloc(c.width * depth + 1, sizeof *c.w);
    assert_true(c.a && c.w);
    if (format == CEI_FORMAT_INT8) {
        c.scales = some_memory(rows * sizeof *c.scales, 4, side);
        c.columns = guarded_floats(c.width, side);
    }
    choose_values(&c, extreme);
    c.low_product = (cei_cpu_low_product){.rows = rows, .depth = padded(c.low, depth)};
    lay_out_rows(&c, side);
    lay_out_panel(&c, side);
    return c;
}

static void free_case(product_case *c) {
    free(c->a), free(c->w);
    guards_free();
}

/* The value and its bound. int8: the integer is rounded once, the factor, the product and the sum with bias once each.
 * bfloat16: products of 8 bits are exact, so that each term brings one rounding (Higham 2002, 3.1), and processors may
 * take denormal terms for zeros. */
static double wanted_of(const product_case *c, size_t r, size_t j, double *bound) {
    const cei_cpu_low_product *p = &c->low_product;
    double sum = 0, size = 0;
    for (size_t i = 0; i < c->depth; i++) {
        const double term = (double)c->a[r * c->depth + i] * (double)c->w[j * c->depth + i];
        sum += term; /* exact for integers */
        size += fabs(term);
    }
    const double bias = p->bias ? (double)p->bias[j] : 0;
    const bool is_int8 = c->format == CEI_FORMAT_INT8;
    const double product = is_int8 ? sum * ((double)c->scales[r].scale * (double)c->columns[j]) : sum;
    const double steps = is_int8 ? 4 * fabs(product) + fabs(bias) : ((double)c->depth + 4) * size + fabs(bias);
    *bound = steps * ldexp(1, -24) + ((double)c->depth + 1) * (double)FLT_MIN;
    return product + bias;
}

/* int8: the bits, which are the same in every tier but for the addition of bias, which may have a rounding of its own.
 */
static bool is_int8_result(const product_case *c, size_t r, size_t j, float found) {
    const cei_cpu_low_product *p = &c->low_product;
    int64_t sum = 0;
    for (size_t i = 0; i < c->depth; i++) sum += (int64_t)c->a[r * c->depth + i] * (int64_t)c->w[j * c->depth + i];
    const float factor = c->scales[r].scale * c->columns[j], bias = p->bias ? p->bias[j] : 0;
    const float product = (float)sum * factor;
    return found == fmaf((float)sum, factor, bias) || found == product + bias;
}

static void check_product(product_case *c, size_t columns, bool has_bias) {
    cei_cpu_low_product *p = &c->low_product;
    const guard_side side = some_side();
    const size_t count = c->rows ? (c->rows - 1) * (columns + 5) + columns : 0;
    p->columns = columns;
    p->bias = has_bias ? guarded_floats(columns, side) : NULL;
    p->out_stride = columns + 5;
    p->out = guarded_floats(count, side);
    for (size_t i = 0; i < count; i++) p->out[i] = canary;
    c->low->multiply(p);
    for (size_t i = 0; i < count; i++) {
        const size_t r = i / p->out_stride, j = i % p->out_stride;
        double bound = 0;
        const double wanted = j < columns ? wanted_of(c, r, j, &bound) : (double)canary;
        if (!(fabs((double)p->out[i] - wanted) <= bound))
            fail_msg("row %zu of %zu, column %zu of %zu, depth %zu: found %.9g, wanted %.9g within %.3g", r, c->rows, j,
                     columns, c->depth, (double)p->out[i], wanted, bound);
        if (c->format == CEI_FORMAT_INT8 && j < columns && !is_int8_result(c, r, j, p->out[i]))
            fail_msg("row %zu, column %zu, depth %zu: %.9g has not the bits of int8", r, j, c->depth,
                     (double)p->out[i]);
    }
}

/* With scales of 1 and no bias the integer itself comes out, rounded once to float32. */
static void check_integers(product_case *c) {
    cei_cpu_low_product *p = &c->low_product;
    for (size_t r = 0; r < c->rows; r++) c->scales[r].scale = 1;
    for (size_t j = 0; j < c->width; j++) c->columns[j] = 1;
    lay_out_panel(c, GUARD_BEHIND);
    p->columns = p->out_stride = c->width;
    p->bias = NULL;
    p->out = guarded_floats(c->rows * c->width, GUARD_BEHIND);
    c->low->multiply(p);
    for (size_t r = 0; r < c->rows; r++)
        for (size_t j = 0; j < c->width; j++) {
            int64_t sum = 0;
            for (size_t i = 0; i < c->depth; i++)
                sum += (int64_t)c->a[r * c->depth + i] * (int64_t)c->w[j * c->depth + i];
            const float wanted = (float)sum;
            if (p->out[r * c->width + j] != wanted)
                fail_msg("row %zu of %zu, column %zu, depth %zu: found %.9g, wanted the integer %lld", r, c->rows, j,
                         c->depth, (double)p->out[r * c->width + j], (long long)sum);
        }
}

static void check_shape(const cei_cpu_kernels *kernels, cei_format format, size_t rows, size_t depth, size_t columns,
                        bool extreme) {
    product_case c = make_case(kernels, format, rows, depth, extreme);
    check_product(&c, columns, random_bits() & 1);
    if (format == CEI_FORMAT_INT8) check_integers(&c);
    free_case(&c);
}

void low_check_multiply(const cei_cpu_kernels *kernels, cei_format format) {
    const cei_cpu_low *low = low_of(kernels, format);
    if (!low->multiply) return;
    for (size_t rows = 0; rows <= 40; rows++)
        check_shape(kernels, format, rows, random_size(0, 150), random_size(1, kernels->panel), rows % 5 == 4);
    for (size_t columns = 1; columns <= kernels->panel; columns++)
        check_shape(kernels, format, random_size(1, 30), random_size(1, 40), columns, columns % 5 == 4);
    for (size_t depth = 0; depth <= 2 * low->step + 2; depth++)
        check_shape(kernels, format, random_size(1, 9), depth, random_size(1, kernels->panel), depth % 5 == 4);
    check_shape(kernels, format, 7, low->step, kernels->panel, false);
    check_shape(kernels, format, 3, 3072, 1, true);
    check_shape(kernels, format, 29, 1536, kernels->panel, false);
    /* The deepest that int8 is used for: the largest sums fit. */
    if (format == CEI_FORMAT_INT8) check_shape(kernels, format, 2, 1 << 16, kernels->panel, true);
}

void low_check_multiply_bits(const cei_cpu_kernels *kernels, cei_format format) {
    enum { ROWS = 43, DEPTH = 131 };
    if (!low_of(kernels, format)->multiply) return;
    product_case c = make_case(kernels, format, ROWS, DEPTH, false);
    const size_t width = kernels->panel;
    float *all = calloc(ROWS * width, sizeof *all), *part = calloc(ROWS * width, sizeof *part);
    assert_true(all && part);
    cei_cpu_low_product p = c.low_product;
    p.columns = p.out_stride = width;
    p.bias = guarded_floats(width, GUARD_BEHIND);
    p.out = all;
    c.low->multiply(&p);
    for (size_t first = 0; first < ROWS; first++) {
        for (size_t rows = 1; first + rows <= ROWS; rows += random_size(1, 5)) {
            cei_cpu_low_product some = p;
            some.rows = rows;
            some.a = (const uint8_t *)p.a + first * p.a_stride;
            some.rows_scale = p.rows_scale ? p.rows_scale + first : NULL;
            some.columns = random_size(1, width);
            some.out = part;
            c.low->multiply(&some);
            for (size_t r = 0; r < rows; r++)
                expect_same_bits(part + r * width, all + (first + r) * width, some.columns, "rows of a low product");
        }
    }
    free(all), free(part);
    free_case(&c);
}

void low_check_both(const cei_cpu_kernels *kernels, cei_format format) {
    enum { ROWS = 9 };
    const cei_cpu_low *low = low_of(kernels, format);
    if (!low->multiply) return;
    for (size_t depth = 1; depth < 200; depth += random_size(1, 17)) {
        product_case c = make_case(kernels, format, ROWS, depth, false);
        cei_cpu_low_product *p = &c.low_product;
        uint8_t *a = some_memory(ROWS * p->a_stride, 4, GUARD_BEHIND);
        random_fill(c.a, ROWS * depth, 3);
        low->prepare(c.a, depth, ROWS, depth, a, p->a_stride, c.scales);
        p->a = a;
        for (size_t r = 0; r < ROWS; r++) {
            float *row = c.a + r * depth;
            if (format == CEI_FORMAT_BFLOAT16) cei_round_rows(format, row, 1, depth, NULL);
            const cei_row_scale scale = cei_activation_scale(row, depth);
            if (format == CEI_FORMAT_INT8) cei_round_activations(row, depth);
            /* Back to integers: wanted_of multiplies by the scale. */
            for (size_t i = 0; i < depth && format == CEI_FORMAT_INT8; i++) row[i] = roundf(row[i] / scale.scale);
        }
        check_product(&c, kernels->panel, true);
        free_case(&c);
    }
}

/* ---- what attention asks ------------------------------------------------------------------------------------ */

/* Rounded, and 0 where denormals may be taken for it. */
static uint16_t half_of(float x) {
    const float rounded = fabsf(x) < FLT_MIN ? 0 : cei_round_bfloat16(x);
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void check_pack(const cei_cpu_kernels *k, size_t count, size_t columns, guard_side side) {
    const cei_cpu_low *low = &k->bfloat16;
    const size_t stride = columns + random_size(0, 9), depth = padded(low, count);
    const float *rows = guarded_floats(count ? (count - 1) * stride + columns : 0, side);
    uint16_t *panel = some_memory(depth * k->panel * sizeof *panel, 64, side);
    low->pack(rows, stride, count, columns, panel);
    for (size_t i = 0; i < depth; i++)
        for (size_t j = 0; j < k->panel; j++) {
            const uint16_t wanted = i < count && j < columns ? half_of(rows[i * stride + j]) : 0;
            if (panel[(i / 2 * k->panel + j) * 2 + i % 2] != wanted)
                fail_msg("pack of %zu rows of %zu: row %zu, column %zu", count, columns, i, j);
        }
    guards_free();
}

void low_check_pack(const cei_cpu_kernels *kernels, cei_format format) {
    const cei_cpu_low *low = low_of(kernels, format);
    if (!low->pack) return;
    assert_int_equal(format, CEI_FORMAT_BFLOAT16);
    assert_int_equal(low->group, 2);
    for (size_t count = 0; count < 80; count++)
        check_pack(kernels, count, random_size(1, kernels->panel), count % 2 ? GUARD_BEHIND : GUARD_BEFORE);
    for (size_t columns = 1; columns <= kernels->panel; columns++)
        check_pack(kernels, random_size(1, 9), columns, columns % 2 ? GUARD_BEHIND : GUARD_BEFORE);
    for (size_t depth = 1; depth < 140; depth += random_size(1, 9)) { /* a row rounded where it is */
        const size_t bytes = padded(low, depth) * sizeof(uint16_t);
        float *x = guarded_floats(depth + low->step, GUARD_BEHIND);
        uint8_t *apart = some_memory(bytes, 4, GUARD_BEHIND);
        low->prepare(x, depth + low->step, 1, depth, apart, bytes, NULL);
        low->prepare(x, depth + low->step, 1, depth, x, (depth + low->step) * sizeof *x, NULL);
        assert_memory_equal(x, apart, bytes);
        guards_free();
    }
}

/* A panel of random values, with random scales and sums that need not be theirs. */
static void fill_panel(const product_case *c, uint8_t *panel) {
    const bool is_int8 = c->format == CEI_FORMAT_INT8;
    for (size_t j = 0; j < c->width && is_int8; j++) {
        const float scale = random_float(-1, 1);
        const int32_t sum = (int32_t)random_size(0, 1000) - 500;
        memcpy(panel + j * sizeof scale, &scale, sizeof scale);
        memcpy(panel + (c->width + j) * sizeof sum, &sum, sizeof sum);
    }
    uint8_t *values = panel + (is_int8 ? c->width * 8 : 0);
    for (size_t i = 0; i < c->low_product.depth * c->width; i++) {
        const uint16_t half = half_of(random_float(-1, 1));
        if (is_int8)
            values[i] = (uint8_t)random_bits();
        else
            memcpy(values + i * sizeof half, &half, sizeof half);
    }
}

/* Columns of a product p of several panels, from first on, as its panel alone gives them, without factors and bias. */
static void expect_panel(const product_case *c, const cei_cpu_low_product *p, size_t first) {
    const size_t left = p->columns - first, rows = p->rows, columns = left < c->width ? left : c->width;
    cei_cpu_low_product one = *p;
    one.columns = columns;
    one.panel = (const uint8_t *)p->panel + first / c->width * p->panel_bytes;
    one.out = guarded_floats(rows * columns, GUARD_BEHIND);
    one.out_stride = columns;
    one.bias = c->format == CEI_FORMAT_INT8 && p->bias ? p->bias + first : NULL; /* fused there */
    one.factors = NULL;
    one.next = NULL;
    c->low->multiply(&one);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < columns; j++) {
            float wanted = one.out[r * columns + j];
            if (p->factors) wanted *= p->factors[r];
            if (p->bias && !one.bias) wanted += p->bias[first + j];
            expect_same_bits(&p->out[r * p->out_stride + first + j], &wanted, 1, "a product of several panels");
        }
}

static void check_wide(const cei_cpu_kernels *k, cei_format format, size_t rows, size_t depth, size_t columns) {
    product_case c = make_case(k, format, rows, depth, false);
    cei_cpu_low_product p = c.low_product;
    const size_t panels = (columns + k->panel - 1) / k->panel, head = format == CEI_FORMAT_INT8 ? k->panel * 8 : 0;
    const size_t used = head + p.depth * k->panel * (head ? 1 : 2);
    p.panel_bytes = (used + 63) / 64 * 64 + 64 * random_size(0, 2);
    uint8_t *all = some_memory((panels - 1) * p.panel_bytes + used, 64, GUARD_BEHIND);
    for (size_t i = 0; i < panels; i++) fill_panel(&c, all + i * p.panel_bytes);
    const size_t count = rows ? (rows - 1) * (columns + 3) + columns : 0;
    p.columns = columns;
    p.panel = all;
    p.factors = c.low->pack && random_bits() & 1 ? guarded_floats(rows, GUARD_BEHIND) : NULL;
    p.bias = random_bits() & 1 ? guarded_floats(columns, GUARD_BEHIND) : NULL;
    p.out = guarded_floats(count, GUARD_BEHIND);
    p.out_stride = columns + 3;
    for (size_t i = 0; i < count; i++) p.out[i] = canary;
    c.low->multiply(&p);
    for (size_t first = 0; first < columns; first += k->panel) expect_panel(&c, &p, first);
    for (size_t i = 0; i < count; i++)
        if (i % p.out_stride >= columns && p.out[i] != canary)
            fail_msg("a product of several panels wrote behind a row");
    free_case(&c);
}

void low_check_wide(const cei_cpu_kernels *kernels, cei_format format) {
    const cei_cpu_low *low = low_of(kernels, format);
    assert_true(low->wide || !low->pack);
    if (!low->wide) return;
    for (size_t rows = 0; rows < 70; rows += random_size(1, 5))
        check_wide(kernels, format, rows, random_size(0, 100), random_size(1, 5 * kernels->panel));
    check_wide(kernels, format, 96, 1600, 3 * kernels->panel);
    check_wide(kernels, format, 65, 1601, 2 * kernels->panel + 1);
    check_wide(kernels, format, 128, 32, 20 * kernels->panel);
}

const low_check low_checks[LOW_CHECKS] = {{"table", low_check_table},
                                          {"prepare", low_check_prepare},
                                          {"prepare, edges", low_check_prepare_edges},
                                          {"multiply", low_check_multiply},
                                          {"bits of multiply", low_check_multiply_bits},
                                          {"prepare and multiply", low_check_both},
                                          {"pack", low_check_pack},
                                          {"several panels", low_check_wide},
                                          {"weights", low_check_weigh},
                                          {"attention's products", low_check_attention_products}};
