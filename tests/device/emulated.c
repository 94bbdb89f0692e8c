/* emulated.c - see emulated.h. */
#include "device/emulated.h"

/* Fill functions of src/device/cpu by the names that they have in ce_emulated. */
void emulated_fill_avx512(cei_cpu_kernels *kernels);

static void fill_avx512(cei_cpu_kernels *kernels) {
    cei_cpu_fill_c(kernels);
    emulated_fill_avx512(kernels);
}

tier emulated_tiers[EMULATED_TIERS] = {
    {"AVX-512, emulated", 0, 0, fill_avx512},
};
