/* split_cases.h - what float32 products by way of lower precision (cei_cpu_kernels.split) must do, as checks of a table
 * of kernels against double precision, and against themselves. A check does nothing where the tier has no such
 * products. Seed first (cases_seed). */
#ifndef CE_TEST_DEVICE_SPLIT_CASES_H
#define CE_TEST_DEVICE_SPLIT_CASES_H

#include "device/float_cases.h"

enum { SPLIT_CHECKS = 4 };
extern const float_check split_checks[SPLIT_CHECKS];

#endif
