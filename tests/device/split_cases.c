/* split_cases.c - see split_cases.h. Memory lies between guard pages. */
#include "device/split_cases.h"

#include <math.h>
#include <string.h>

static const float canary = 12345.678f;

static size_t padded(const cei_cpu_low *split, size_t depth) {
    return (depth + split->step - 1) / split->step * split->step;
}

static guard_side some_side(void) { return random_bits() & 1 ? GUARD_BEHIND : GUARD_BEFORE; }

/* ---- the table ---------------------------------------------------------------------------------------------- */

static void check_table(const cei_cpu_kernels *kernels) {
    const cei_cpu_low *split = &kernels->split;
    if (!split->multiply) {
        assert_true(!split->prepare && !split->peak);
        return;
    }
    assert_true(split->prepare && split->wide && !split->pack);
    assert_true(split->step >= 1 && split->step <= CEI_CPU_MAX_STEP && split->element <= 6);
    assert_true(split->peak(3) > 0);
}

/* ---- products ----------------------------------------------------------------------------------------------- */

/* Some rows with some panels. */
typedef struct split_case {
    const cei_cpu_kernels *kernels;
    float *x; /* [rows, depth] */
    cei_cpu_low_product product;
} split_case;

static void prepare_rows(split_case *c, guard_side side) {
    cei_cpu_low_product *p = &c->product;
    const cei_cpu_low *split = &c->kernels->split;
    const size_t row_bytes = padded(split, p->depth) * split->element;
    p->a_stride = row_bytes + 4 * random_size(0, 40);
    uint8_t *a = guarded(p->rows ? (p->rows - 1) * p->a_stride + row_bytes : 0, side);
    split->prepare(c->x, p->depth, p->rows, p->depth, a, p->a_stride, NULL);
    p->a = a;
}

static split_case make_case(const cei_cpu_kernels *kernels, size_t rows, size_t depth, size_t columns) {
    const guard_side side = some_side();
    split_case c = {.kernels = kernels, .product = {.rows = rows, .depth = depth, .columns = columns}};
    cei_cpu_low_product *p = &c.product;
    const size_t panels = (columns + kernels->panel - 1) / kernels->panel, panel = depth * kernels->panel;
    c.x = guarded_floats(rows * depth, side); /* random */
    p->panel_bytes = (panel + 16 * random_size(0, 2)) * sizeof(float);
    p->panel = guarded_floats(((panels - 1) * p->panel_bytes + panel * sizeof(float)) / sizeof(float), side);
    p->bias = random_bits() & 1 ? guarded_floats(columns, side) : NULL;
    p->out_stride = columns + random_size(0, 5);
    const size_t results = rows ? (rows - 1) * p->out_stride + columns : 0;
    p->out = guarded_floats(results, side);
    for (size_t i = 0; i < results; i++) p->out[i] = canary;
    prepare_rows(&c, side);
    return c;
}

static float weight_at(const split_case *c, size_t column, size_t i) {
    const size_t width = c->kernels->panel;
    const uint8_t *panel = (const uint8_t *)c->product.panel + column / width * c->product.panel_bytes;
    return ((const float *)(const void *)panel)[i * width + column % width];
}

/* Of a term 2^-22 is lost at most (kernels.h), and each of its six products brings a rounding. */
static void expect_result(const split_case *c, size_t r, size_t column) {
    const cei_cpu_low_product *p = &c->product;
    double sum = 0, size = 0;
    for (size_t i = 0; i < p->depth; i++) {
        const double term = (double)c->x[r * p->depth + i] * (double)weight_at(c, column, i);
        sum += term;
        size += fabs(term);
    }
    const double bias = p->bias ? (double)p->bias[column] : 0;
    const double roundings = (6 * (double)p->depth + 2) * ldexp(1, -24);
    expect_near((double)p->out[r * p->out_stride + column], sum + bias,
                size * (ldexp(1, -22) + roundings) + fabs(bias) * ldexp(1, -24) + 1e-30, "a split product",
                r * p->columns + column);
}

static void check_product(const cei_cpu_kernels *kernels, size_t rows, size_t depth, size_t columns) {
    const split_case c = make_case(kernels, rows, depth, columns);
    const cei_cpu_low_product *p = &c.product;
    kernels->split.multiply(p);
    for (size_t r = 0; r < rows; r++) {
        for (size_t column = 0; column < columns; column++) expect_result(&c, r, column);
        for (size_t i = columns; i < p->out_stride && r + 1 < rows; i++)
            if (p->out[r * p->out_stride + i] != canary) fail_msg("a split product wrote behind row %zu", r);
    }
    guards_free();
}

static void check_products(const cei_cpu_kernels *kernels) {
    const size_t width = kernels->panel;
    if (!kernels->split.multiply) return;
    for (size_t rows = 0; rows <= 70; rows += rows < 36 ? 1 : 7)
        check_product(kernels, rows, random_size(0, 300), random_size(1, width));
    for (size_t columns = 1; columns <= width; columns++)
        check_product(kernels, random_size(1, 40), random_size(1, 400), columns);
    for (size_t depth = 0; depth < 100; depth++)
        check_product(kernels, random_size(1, 40), depth, random_size(1, 3 * width));
    check_product(kernels, 100, 384, 4 * width);
    check_product(kernels, 230, 450, 2 * width); /* more rows than a group has */
    check_product(kernels, 3, 1537, 2 * width + 1);
}

/* Errors are those of float32: a sum of hundreds has not even one rounding of each term in it. */
static void check_exactness(const cei_cpu_kernels *kernels) {
    enum { ROWS = 64, DEPTH = 384 };
    const size_t columns = kernels->panel;
    if (!kernels->split.multiply) return;
    const split_case c = make_case(kernels, ROWS, DEPTH, columns);
    double error = 0, size = 0;
    kernels->split.multiply(&c.product);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t column = 0; column < columns; column++) {
            double sum = c.product.bias ? (double)c.product.bias[column] : 0;
            for (size_t i = 0; i < DEPTH; i++) sum += (double)c.x[r * DEPTH + i] * (double)weight_at(&c, column, i);
            const double difference = (double)c.product.out[r * c.product.out_stride + column] - sum;
            error += difference * difference;
            size += sum * sum;
        }
    if (!(sqrt(error / size) < ldexp(1, -22))) fail_msg("split products are off by %.3g", sqrt(error / size));
    guards_free();
}

/* Alone, among any others and with any number of columns a row gives the same bits. */
static void check_bits(const cei_cpu_kernels *kernels) {
    enum { ROWS = 75, DEPTH = 419 };
    const size_t width = kernels->panel;
    if (!kernels->split.multiply) return;
    const split_case c = make_case(kernels, ROWS, DEPTH, 2 * width);
    const cei_cpu_low_product *p = &c.product;
    kernels->split.multiply(p);
    float *part = guarded_floats(ROWS * 2 * width, GUARD_BEHIND);
    for (size_t first = 0; first < ROWS; first += random_size(1, 5)) {
        for (size_t rows = 1; first + rows <= ROWS; rows += random_size(1, 17)) {
            cei_cpu_low_product some = *p;
            some.rows = rows;
            some.a = (const uint8_t *)p->a + first * p->a_stride;
            some.columns = random_size(1, 2 * width);
            some.out = part;
            some.out_stride = 2 * width;
            kernels->split.multiply(&some);
            for (size_t r = 0; r < rows; r++)
                expect_same_bits(part + r * 2 * width, p->out + (first + r) * p->out_stride, some.columns,
                                 "rows of a split product");
        }
    }
    guards_free();
}

const float_check split_checks[SPLIT_CHECKS] = {{"split, table", check_table},
                                                {"split products", check_products},
                                                {"split products, exactness", check_exactness},
                                                {"split products, bits", check_bits}};
