/* piece_cases.h - what a tier's attention by pieces must do (cei_cpu_pieces), of either number of them, as checks.
 *
 * Seed first (cases_seed); a failure names the shape. */
#ifndef CE_TEST_DEVICE_PIECE_CASES_H
#define CE_TEST_DEVICE_PIECE_CASES_H

#include "device/cases.h"

typedef struct piece_check {
    const char *name;
    void (*check)(const cei_cpu_pieces *pieces);
} piece_check;

enum { PIECE_CHECKS = 5 };
extern const piece_check piece_checks[PIECE_CHECKS];

#endif
