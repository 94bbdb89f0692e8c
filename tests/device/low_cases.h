/* low_cases.h - what the low precisions of any tier must do, as checks of a table of kernels: the tests of the cpu
 * device call them for each tier that runs here, and others may for tables of their own.
 *
 * Each check takes the table and a format but FLOAT32, and does nothing where the tier has no product of its own in
 * that format. Seed first (cases_seed); a failure names the shape. */
#ifndef CE_TEST_DEVICE_LOW_CASES_H
#define CE_TEST_DEVICE_LOW_CASES_H

#include "device/cases.h"

/* Sizes that kernels.h allows; every slot filled, or none. */
void low_check_table(const cei_cpu_kernels *kernels, cei_format format);

/* Rounded rows: by the rule of rounding.h, to the bit; zeros behind them; nothing else touched. */
void low_check_prepare(const cei_cpu_kernels *kernels, cei_format format);

/* Rows of zeros, tiny rows, NaN and infinity, and values on the edge between two steps. */
void low_check_prepare_edges(const cei_cpu_kernels *kernels, cei_format format);

/* Products against exact integers, or double precision, with memory between guard pages. */
void low_check_multiply(const cei_cpu_kernels *kernels, cei_format format);

/* The same bits for a row alone, among others, and at any place. */
void low_check_multiply_bits(const cei_cpu_kernels *kernels, cei_format format);

/* prepare, then multiply: the product of the rounded rows. */
void low_check_both(const cei_cpu_kernels *kernels, cei_format format);

/* What attention asks of products that it may use: pack, rows rounded where they are, factors; and several panels. */
void low_check_pack(const cei_cpu_kernels *kernels, cei_format format);
void low_check_wide(const cei_cpu_kernels *kernels, cei_format format);

/* The rest of what attention asks: weights against double precision; its products as multiply makes them. */
void low_check_weigh(const cei_cpu_kernels *kernels, cei_format format);
void low_check_attention_products(const cei_cpu_kernels *kernels, cei_format format);

/* All of these. */
typedef struct low_check {
    const char *name;
    void (*check)(const cei_cpu_kernels *kernels, cei_format format);
} low_check;

enum { LOW_CHECKS = 10 };
extern const low_check low_checks[LOW_CHECKS];

#endif
