/* digit_cases.h - what a tier's float32 products by integers must do (cei_cpu_digits), as checks of a table of kernels.
 *
 * Each check does nothing where the tier has none. Seed first (cases_seed); a failure names the shape. */
#ifndef CE_TEST_DEVICE_DIGIT_CASES_H
#define CE_TEST_DEVICE_DIGIT_CASES_H

#include "device/cases.h"

typedef struct digit_check {
    const char *name;
    void (*check)(const cei_cpu_kernels *kernels);
} digit_check;

enum { DIGIT_CHECKS = 6 };
extern const digit_check digit_checks[DIGIT_CHECKS];

#endif
