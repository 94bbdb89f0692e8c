/* kernels.h - the inner loops of the cpu device: one table, filled by portable C and overridden tier by tier.
 *
 * The contracts below hold for every tier:
 * - a kernel reads and writes exactly the elements that its arguments name, never one beyond;
 * - pointers need the alignment of float alone; sizes may be 0 unless said;
 * - what it computes for a row depends on that row's inputs alone, by an order of operations that follows from the
 *   row's length: the same bits come out alone, among other rows, and at any place among them. Bits may differ
 *   between tiers;
 * - it calls nothing, allocates nothing, and uses no state.
 *
 * A new tier is one file with its own compile flags (CMakeLists.txt), one cei_cpu_fill_* and one line in features.c.
 * What is the same text for every width of register is in product.tmpl.h, rows.tmpl.h and product_low.tmpl.h. */
#ifndef CEI_CPU_KERNELS_H
#define CEI_CPU_KERNELS_H

#include "device/device.h"

/* The widest panel of any tier, in columns. */
enum { CEI_CPU_MAX_PANEL = 32 };

/* out[r][j] = ((add[r][j] +) sum over i < depth of a[r][i] panel[i][j]) (* factors[r]) (+ bias[j]), for r < rows and
 * j < columns. The sum runs in the order of i, in one float32 accumulator per element.
 *
 *     a      [rows, depth], rows a_stride floats apart
 *     panel  [depth, kernels.panel], packed: all of its columns are read, those past columns are not used
 *     add    [rows, columns], rows add_stride floats apart; NULL is 0. May be out
 *     factors  [rows]; NULL is 1
 *     bias   [columns]; NULL is 0
 *     out    [rows, columns], rows out_stride floats apart
 *     next   depth * kernels.panel floats that are wanted soon (the next panel), for prefetching; NULL is none */
typedef struct cei_cpu_product {
    size_t rows, depth, columns; /* 1 <= columns <= kernels.panel */
    const float *a;
    size_t a_stride;
    const float *panel;
    const float *add;
    size_t add_stride;
    const float *factors;
    const float *bias;
    float *out;
    size_t out_stride;
    const float *next;
} cei_cpu_product;

/* sum = v = x + residual and out = gain * (v - mean(v)) / sqrt(var(v) + epsilon) + bias, for each of rows contiguous
 * rows of columns; or, of an RMS norm, out = gain * v / sqrt(mean(v^2) + epsilon), where gain may stand for gain + 1.
 * sum may be x, residual or out; out may be x or residual. */
typedef struct cei_cpu_norm {
    size_t rows, columns;      /* columns >= 1 */
    const float *x, *residual; /* residual may be NULL */
    const float *gain, *bias;  /* bias may be NULL: 0 */
    float epsilon;
    float *sum, *out;
    bool rms, adds_one;
} cei_cpu_norm;

/* A product in low precision, of prepared rows (cei_cpu_low.prepare) with a packed panel (weights_low.c):
 *
 *     bfloat16  out[r][j] = (sum over i < depth of a[r][i] w[j][i]) (* factors[r]) (+ bias[j]), in float32, by an order
 *               of additions that follows from depth alone. Terms and sums below 2^-126 may be taken for 0
 *     int8      out[r][j] = (sum over i of q[r][i] w[j][i] - zero[r] sums[j]) * (scale[r] scales[j]) (+ bias[j]), the
 *               parentheses an exact integer */
typedef struct cei_cpu_low_product {
    size_t rows, depth, columns; /* depth a multiple of step; columns 1 to kernels.panel, more if low.wide */
    const void *a;               /* [rows, depth] elements, rows a_stride bytes apart */
    size_t a_stride;
    const cei_row_scale *rows_scale; /* [rows]; int8 only */
    const float *factors;            /* [rows]; NULL is 1. Only where cei_cpu_low.pack is */
    const void *panel;               /* see cei_cpu_low */
    size_t panel_bytes;              /* from one panel to the next, if columns are more than one has */
    const float *bias;               /* [columns]; NULL is 0 */
    float *out;                      /* [rows, columns], rows out_stride floats apart */
    size_t out_stride;
    const void *next; /* the panel behind the last, which is wanted soon, for prefetching; NULL is none */
} cei_cpu_low_product;

/* Rows that are wanted soon, for prefetching: of the next head's queries, keys and values one for each row at hand,
 * whose exponentials take so long that this costs nothing. */
typedef struct cei_cpu_next {
    const float *rows[3]; /* [rows at hand, floats], rows stride floats apart; NULL is none */
    size_t stride[3], floats;
} cei_cpu_next;

/* Scores of attention that become weights: of each row s of [rows, columns] those from first on, seen of them, become
 * e = exp(scale s - max(scale s)), and factors[row] 1 / (sum of e). Then e are rounded as cei_cpu_low.prepare does, and
 * lie where the row began, [columns padded to step], 0 where a score is not among the seen, which are not read. */
typedef struct cei_cpu_weighing {
    float *scores;
    size_t rows, columns, stride; /* rows stride floats apart, each with room for what it becomes */
    size_t first, seen;           /* 1 <= seen <= columns - first */
    float scale;
    float *factors;    /* [rows] */
    cei_cpu_next next; /* of each row */
} cei_cpu_weighing;

/* One low precision of a tier: how a panel of weights is laid out, and what multiplies it. A panel is
 *
 *     bfloat16, float16
 *               uint16 values [depth / group][kernels.panel][group]
 *     int8      float32 scales [kernels.panel], int32 sums [kernels.panel] of each column's integers,
 *               int8 values [depth / group][kernels.panel][group]
 *
 * with depth padded by zeros to a multiple of step, and begins at a multiple of 64 bytes. */
typedef struct cei_cpu_low {
    size_t group;   /* values of a column that lie together; divides step */
    size_t step;    /* at most CEI_CPU_MAX_STEP */
    size_t element; /* bytes of a prepared activation, at most 2 */

    /* Rounds x [rows, depth], rows x_stride floats apart, to a [rows, depth padded to step], rows a_stride bytes apart;
     * what is behind depth is 0. int8: by the rule of cei_activation_scale; scales [rows] receives each row's, whose
     * zero is 0 where the elements have it taken away already. Each row by itself. */
    void (*prepare)(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    cei_row_scale *scales);

    /* NULL in bfloat16: the tier has no such instructions, and panels (of group 1) are widened for the float32 product;
     * then prepare and peak are NULL too. Always so in float16, whose own instructions sum in float16. */
    void (*multiply)(const cei_cpu_low_product *product);

    /* As cei_cpu_kernels.peak, counting a multiply-add of two values as two. */
    double (*peak)(size_t rounds);

    bool wide; /* multiply takes several panels at once */

    /* Of bfloat16 products that attention may use, else NULL: attention is in float32 then. group is 2. Rounds rows
     * [count, columns], stride floats apart, 1 <= columns <= kernels.panel, as prepare does, and makes a panel of them
     * whose depth is count, padded to step, as the rows go; the panel's other columns become 0. With it, wide is true,
     * step divides kernels.panel, which is a multiple of 16, and prepare may be given x for a, and 4 x_stride for
     * a_stride. */
    void (*pack)(const float *rows, size_t stride, size_t count, size_t columns, void *panel);

    /* Where pack is, else NULL. Before e is rounded its relative error, beside that of scale s, is 2^-18 at most; e
     * below 2^-126 may be that. */
    void (*weigh)(const cei_cpu_weighing *weighing);

    /* multiply for attention's products, where pack is, else NULL: of queries with keys, without factors; and of
     * weights with values, where factors are not NULL. The same bits as multiply's, without a bias. */
    void (*score)(const cei_cpu_low_product *product);
    void (*mix)(const cei_cpu_low_product *product);
} cei_cpu_low;

enum { CEI_CPU_MAX_STEP = 64 };

/* A float32 product by integers. A row of a, or a column of a panel, is multiples of its unit, a power of two: numbers
 * are rounded to the nearest multiple, of which the largest is some 2^22 to 2^23 units, and three digits with base 256,
 * d2 2^16 + d1 2^8 + d0, each from -128 to 127. Then
 *
 *     out[r][j] = (2^24 sum of d2 e2 + 2^16 sum of (d2 e1 + d1 e2) + 2^8 sum of (d2 e0 + d1 e1 + d0 e2)
 *                 + sum of (d1 e0 + d0 e1)) * 2^8 * unit[r] * unit[j] (+ out[r][j]) (+ bias[j])
 *
 * over the digits d of a[r] and e of the panel's column j, the sums exact integers, what is done with them in float32.
 * The product that is left out, d0 e0, is at most 2^14 unit[r] unit[j] a term. A row or column with a number that is
 * not finite, or beyond 3.38e38, gives NaN; units are at least 2^-126.
 *
 *     a           [rows, 3, depth] digits, the highest first, rows a_stride bytes apart
 *     columns_at  columns of a panel, as split made them
 *     next        next_bytes that are wanted soon, for prefetching; NULL is none
 *     coming      columns that are split meanwhile, as split() does; NULL is none */
typedef struct cei_cpu_digit_product {
    size_t rows, depth, columns; /* depth a multiple of step, at most CEI_CPU_DEEPEST_DIGITS; 1 <= columns <= width */
    const void *a;
    size_t a_stride;
    const float *exponents; /* of the rows' units, [rows] */
    const void *columns_at;
    const float *column_exponents; /* of the columns' units, [width] */
    const float *bias;             /* [columns]; NULL is 0 */
    float *out;                    /* [rows, columns], rows out_stride floats apart */
    size_t out_stride;
    bool adds; /* to what out is, before the bias */
    const void *next;
    size_t next_bytes;
    const float *coming, *coming_exponents;
    size_t coming_depth;
    void *coming_to;
} cei_cpu_digit_product;

/* Three products of digits a term, each at most 2^14, stay below 2^31. */
enum { CEI_CPU_DEEPEST_DIGITS = 1 << 15 };

/* Where a tier multiplies float32 so; multiply is NULL where it does not. */
typedef struct cei_cpu_digits {
    size_t step;  /* at most CEI_CPU_MAX_STEP */
    size_t width; /* columns that are split and multiplied together; divides kernels.panel */

    /* The exponents of the units of columns [depth, width] of a packed panel, rows kernels.panel floats apart: whole
     * numbers, or NaN. */
    void (*find_exponents)(const float *columns, size_t depth, float *exponents);

    /* x [rows, depth], rows x_stride floats apart, becomes a [rows, 3, depth padded to step] and exponents [rows]. */
    void (*prepare)(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    float *exponents);

    /* The same columns and their exponents [width] become digits: 3 * (depth padded to step) * width bytes. */
    void (*split)(const float *columns, size_t depth, const float *exponents, void *to);

    void (*multiply)(const cei_cpu_digit_product *product);
    double (*peak)(size_t rounds); /* as cei_cpu_kernels.peak, in operations of float32 */
} cei_cpu_digits;

/* Some queries of a head that see all keys of their sequence, length >= 1 of them: out = softmax(scale Q K^T) V. */
typedef struct cei_cpu_attending {
    size_t rows, size, length;
    const float *q; /* [rows, size], rows q_stride floats apart */
    size_t q_stride;
    const void *keys, *values; /* packed, [length, size] */
    float scale;
    float *scratch; /* CEI_CPU_ATTEND_FLOATS, at a multiple of 64 bytes */
    float *out;     /* [rows, size], rows out_stride floats apart */
    size_t out_stride;
    cei_cpu_next next; /* of each row */
} cei_cpu_attending;

enum { CEI_CPU_ATTEND_SIZE = 64, CEI_CPU_ATTEND_FLOATS = 8 * 1024 };

/* Attention by bfloat16 products, summed up in float32, each number being the sum of so many pieces:
 *
 *     3   x = x2 + x1 + x0, of which the products x2 y2, x2 y1, x1 y2, x2 y0, x1 y1 and x0 y2 are taken: float32. What
 *         is left out is at most 2^-22 of a product's size. A number beyond 3.38e38 gives NaN where it takes part;
 *         pieces below 2^-126 may be taken for 0.
 *     1   queries, keys, values and weights are rounded to the nearest, weights halfway up. Before that they are wrong
 *         by 2^-18 of themselves, beside what scores are.
 *
 * Weights are exp(scale s - m), m the largest scale s of the first 64 keys, or of those of later keys that weigh more
 * than 2^16 times as much; none is below 2^-126. They are added up as they are before they are rounded. A query's bits
 * depend on the query, the keys and the values alone.
 *
 * For heads of up to CEI_CPU_ATTEND_SIZE; a table that has these has all three, else they are NULL and count is 0. */
typedef struct cei_cpu_pieces {
    size_t count;

    /* Rows [length, size], stride floats apart, become what attend reads: count bfloat16 of each number, both length
     * and size padded to a multiple of 32, at a multiple of 64 bytes. */
    void (*pack_keys)(const float *k, size_t stride, size_t length, size_t size, void *keys);
    void (*pack_values)(const float *v, size_t stride, size_t length, size_t size, void *values);

    void (*attend)(const cei_cpu_attending *attending);
} cei_cpu_pieces;

typedef struct cei_cpu_kernels {
    const char *name;     /* of the tier: "c", "avx2", "avx512", "neon" */
    const char *features; /* instruction sets that the kernels use, parted by spaces */
    size_t panel;         /* columns of a packed panel, at most CEI_CPU_MAX_PANEL */

    void (*multiply)(const cei_cpu_product *product);

    /* Transposes rows [count, depth], stride floats apart, into columns first .. first + count - 1 of a panel
     * [depth, panel]. Its other columns are left alone. */
    void (*pack)(const float *rows, size_t stride, size_t count, size_t depth, size_t first, float *panel);

    /* Copies rows [count, columns] from rows from_stride floats apart to rows to_stride floats apart. */
    void (*copy)(const float *from, size_t from_stride, size_t count, size_t columns, float *to, size_t to_stride);

    /* Over steps [count, panel] of 32-bit values b: sums[j] = sum of b[i][j], weighted[j] = sum of (i + 1) b[i][j],
     * both modulo 2^64. */
    void (*checksum)(const float *steps, size_t count, uint64_t *sums, uint64_t *weighted);

    /* values [rows, columns], stride floats apart, become f(values). */
    void (*apply[CEI_FN_COUNT])(float *values, size_t rows, size_t columns, size_t stride);

    /* Each row s of scores [rows, columns], stride floats apart, becomes e = exp(scale s - max(scale s)), and
     * factors[row] 1 / (sum of e). columns >= 1. Values below 2^-126 come out as 0. */
    void (*softmax)(float *scores, size_t rows, size_t columns, size_t stride, float scale, float *factors);

    /* out[c] = (add[c] +) values[places[c] - places[0]], [columns] each. Of places each is that before it or one more,
     * so that a register's values lie together. add may be NULL or out. */
    void (*spread)(const float *values, const int32_t *places, size_t columns, const float *add, float *out);

    /* to[c][r] += from[r][c], for r < rows, c < columns; rows from_stride and to_stride floats apart. */
    void (*add_transposed)(const float *from, size_t from_stride, size_t rows, size_t columns, float *to,
                           size_t to_stride);

    void (*norm)(const cei_cpu_norm *norm);

    /* out = (word + type) + position, [columns] each. */
    void (*embed)(const float *word, const float *type, const float *position, size_t columns, float *out);

    /* values *= by, [count] each. */
    void (*times)(float *values, const float *by, size_t count);

    /* Turns the heads of one row, x [heads, 2 half]: columns i and i + half become x[i] cos[i] - x[i + half] sin[i] and
     * x[i + half] cos[i] + x[i] sin[i]. cosines, sines: [half]. */
    void (*rotate)(float *x, size_t heads, size_t half, const float *cosines, const float *sines);

    /* bfloat16 and float16 values become the float32 that they are; a signalling NaN may become quiet. */
    void (*widen)(const uint16_t *from, size_t count, float *to);
    void (*widen_float16)(const uint16_t *from, size_t count, float *to);

    cei_cpu_low bfloat16, float16, int8;
    cei_cpu_digits digits;
    cei_cpu_pieces pieces, rounded; /* three of a number, and one */
    uint64_t tiers;                 /* CE_CPU_* that fill this table */

    /* Runs rounds of independent multiply-adds on registers; returns how many floating-point operations (two for a
     * multiply-add) that were. The most that multiply could reach, for measurements. */
    double (*peak)(size_t rounds);
} cei_cpu_kernels;

/* Portable C fills every slot; the others override what they do better. */
void cei_cpu_fill_c(cei_cpu_kernels *kernels);
#if defined(__x86_64__)
void cei_cpu_fill_avx2(cei_cpu_kernels *kernels);      /* AVX2 and FMA */
void cei_cpu_fill_avx2_int8(cei_cpu_kernels *kernels); /* int8 products, for the panels of either */
void cei_cpu_fill_f16c(cei_cpu_kernels *kernels);      /* widen_float16, by F16C */
void cei_cpu_fill_avx512(cei_cpu_kernels *kernels);    /* AVX-512 F, BW, DQ, VL */

/* Products in low precision: for the panels of AVX2 the first, for those of AVX-512 the others. */
void cei_cpu_fill_avxvnni(cei_cpu_kernels *kernels);       /* int8 */
void cei_cpu_fill_avx512vnni(cei_cpu_kernels *kernels);    /* int8 */
void cei_cpu_fill_avx512bf16(cei_cpu_kernels *kernels);    /* bfloat16 */
void cei_cpu_fill_amx_bf16(cei_cpu_kernels *kernels);      /* bfloat16; also uses AVX-512 BF16 */
void cei_cpu_fill_amx_attention(cei_cpu_kernels *kernels); /* attention's products, behind amx_bf16 */
void cei_cpu_fill_amx_int8(cei_cpu_kernels *kernels);      /* int8 */
void cei_cpu_fill_amx_float32(cei_cpu_kernels *kernels);   /* digits */
void cei_cpu_fill_amx_pieces(cei_cpu_kernels *kernels);    /* pieces */
void cei_cpu_fill_amx_rounded(cei_cpu_kernels *kernels);   /* rounded */
#elif defined(__aarch64__)
void cei_cpu_fill_neon(cei_cpu_kernels *kernels);      /* the baseline of AArch64 */
void cei_cpu_fill_neon_int8(cei_cpu_kernels *kernels); /* int8 products, for its panels */

/* Products in low precision, for the same panels. */
void cei_cpu_fill_neon_dot(cei_cpu_kernels *kernels);  /* int8 */
void cei_cpu_fill_neon_i8mm(cei_cpu_kernels *kernels); /* int8 */
void cei_cpu_fill_neon_bf16(cei_cpu_kernels *kernels); /* bfloat16 */
#endif

/* The best tiers that processor and operating system allow, without those in disable (CE_CPU_*). Those with tiles
 * (AMX) may be among them before they have been requested, and may not run until then. */
void cei_cpu_choose_kernels(uint64_t disable, cei_cpu_kernels *kernels);

/* The instruction sets that kernels use, parted by spaces. */
void cei_cpu_features(const cei_cpu_kernels *kernels, char *features, size_t size);

/* CE_CPU_* bits of the tiers that can run here. Changes nothing. */
uint64_t cei_cpu_detect(void);

/* Asks the system to let this process use the registers of AMX: once is enough, for all of its threads and for good.
 * False if it does not; then disable those tiers. */
bool cei_cpu_request_amx(void);

/* What the processor calls itself, "" if unknown. */
void cei_cpu_model_name(char *name, size_t size);

#endif
