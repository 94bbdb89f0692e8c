/* quantize.c - the search for a row's scale. Relies on arithmetic in double, to nearest, without contraction; must not
 * allocate, and must not depend on how a compiler orders additions.
 *
 * The scales 0.8 ... 1.0 of max|w| / 127 are tried, and the best is refined by turns: with the integers fixed the best
 * scale is <w, v> / <v, v>; with the scale fixed the best integers are the rounded quotients. Sums are taken in eight
 * lanes over at most 128 values, and pairwise above that: exact enough, quick, and one order for all. */
#include "formats/quantize.h"

#include <float.h>
#include <math.h>

enum { GRID = 41, ROUNDS = 8, LANES = 8, LEAF = 128 };
static const double smallest_factor = 0.8;

/* Adding and taking away 1.5 * 2^52 leaves the nearest integer, ties to even, of a value below 2^51. */
static const double to_integer = 6755399441055744.0;

/* scale * integer is the row's approximation. */
static inline double nearest_integer(double value, double scale) {
    const double q = (value / scale + to_integer) - to_integer;
    return q > 127 ? 127 : q < -127 ? -127 : q;
}

/* What is summed over a row: of a value and its scale. */
typedef enum quantity { SQUARED_ERROR, PRODUCT, SQUARE } quantity;

static inline double term(quantity what, double value, double scale) {
    const double q = nearest_integer(value, scale), rest = value - scale * q;
    return what == SQUARED_ERROR ? rest * rest : what == PRODUCT ? value * q : q * q;
}

static inline double sum_leaf(quantity what, const float *row, size_t count, double scale) {
    double lanes[LANES], sum = 0;
    size_t i = 0;
    if (count >= LANES) {
        for (size_t j = 0; j < LANES; j++) lanes[j] = term(what, row[j], scale);
        for (i = LANES; i + LANES <= count; i += LANES)
            for (size_t j = 0; j < LANES; j++) lanes[j] += term(what, row[i + j], scale);
        sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    }
    for (; i < count; i++) sum += term(what, row[i], scale);
    return sum;
}

/* Halves, at a multiple of the lanes: at most 57 deep, for a row cannot have more than 2^64 values. */
static double sum_row(quantity what, const float *row, size_t count, double scale) {
    if (count > LEAF) {
        const size_t half = count / 2 - count / 2 % LANES;
        return sum_row(what, row, half, scale) + sum_row(what, row + half, count - half, scale);
    }
    /* Apart, so that each is a loop without branches. */
    switch (what) {
    case SQUARED_ERROR: return sum_leaf(SQUARED_ERROR, row, count, scale);
    case PRODUCT: return sum_leaf(PRODUCT, row, count, scale);
    case SQUARE: break;
    }
    return sum_leaf(SQUARE, row, count, scale);
}

/* The best scale so far. */
typedef struct search {
    const float *row;
    size_t columns;
    float scale;
    double error;
} search;

/* Takes the scale if it is better; true if so. */
static bool consider(search *best, double wanted) {
    const float scale = (float)wanted;
    if (!(scale >= FLT_MIN && (double)scale * 127 <= FLT_MAX)) return false;
    const double error = sum_row(SQUARED_ERROR, best->row, best->columns, scale);
    if (!(error < best->error)) return false;
    best->error = error;
    best->scale = scale;
    return true;
}

static void refine(search *best) {
    for (int round = 0; round < ROUNDS; round++) {
        const double square = sum_row(SQUARE, best->row, best->columns, best->scale);
        const double product = sum_row(PRODUCT, best->row, best->columns, best->scale);
        /* The next round would ask the same again. */
        if (square <= 0 || product <= 0 || !consider(best, product / square)) return;
    }
}

/* NaN or infinity if the row has one. */
static float largest_size(const float *row, size_t columns) {
    float most = 0;
    for (size_t i = 0; i < columns; i++) {
        const float size = fabsf(row[i]);
        most = size > most || size != size ? size : most;
        if (!isfinite(most)) return most;
    }
    return most;
}

bool cei_quantize_row(const float *row, size_t columns, int8_t *integers, float *scale) {
    const float largest = largest_size(row, columns);
    if (!isfinite(largest)) return false;
    const double top = (double)largest / 127, step = (smallest_factor - 1) / (GRID - 1);
    search best = {row, columns, 1, INFINITY};
    for (int i = 0; i < GRID; i++) (void)consider(&best, top * (i < GRID - 1 ? i * step + 1 : smallest_factor));
    if (isfinite(best.error)) refine(&best);
    for (size_t i = 0; i < columns; i++) integers[i] = (int8_t)nearest_integer(row[i], best.scale);
    *scale = best.scale;
    return true;
}
