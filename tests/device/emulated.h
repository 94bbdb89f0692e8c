/* emulated.h - tiers of the cpu device on any processor of x86-64: their kernels, compiled against the intrinsics in
 * portable C of emulate/immintrin.h. Programs that use them link ce_emulated. */
#ifndef CE_TEST_DEVICE_EMULATED_H
#define CE_TEST_DEVICE_EMULATED_H

#include "device/cases.h"

enum { EMULATED_AVX_VNNI, EMULATED_AVX512, EMULATED_AMX, EMULATED_TIERS };
extern tier emulated_tiers[EMULATED_TIERS];

#endif
