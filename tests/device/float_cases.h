/* float_cases.h - what the float32 kernels of any tier must do: checks of a table of kernels against double precision,
 * and against itself: a row alone must give the bits that it gives among others. */
#ifndef CE_TEST_DEVICE_FLOAT_CASES_H
#define CE_TEST_DEVICE_FLOAT_CASES_H

#include "device/cases.h"

typedef struct float_check {
    const char *name;
    void (*check)(const cei_cpu_kernels *kernels);
} float_check;

enum { FLOAT_CHECKS = 14 };
extern const float_check float_checks[FLOAT_CHECKS];

#endif
