/* features_aarch64.c - what a 64-bit ARM processor can do; in the place of features.c there.
 * NEON is the baseline: no bit is asked for it. Relies on Linux for the rest; elsewhere there is none. */
#include "device/cpu/kernels.h"

#include <crossenc/model.h>

#if defined(__linux__)
#include <sys/auxv.h>
#endif

/* Bits of the auxiliary vector (linux/Documentation/arch/arm64/elf_hwcaps.rst). */
uint64_t cei_cpu_detect(void) {
    uint64_t found = CE_CPU_NEON;
#if defined(__linux__)
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    if (first & HWCAP_ASIMDDP) found |= CE_CPU_NEON_DOTPROD;
    if (second & HWCAP2_I8MM) found |= CE_CPU_NEON_I8MM;
    if (second & HWCAP2_BF16) found |= CE_CPU_NEON_BF16;
#endif
    return found;
}

void cei_cpu_choose_kernels(uint64_t disable, cei_cpu_kernels *kernels) {
    const uint64_t usable = cei_cpu_detect() & ~disable;
    cei_cpu_fill_c(kernels);
    /* The others make products for NEON's panels: without that tier there is none. */
    if (!(usable & CE_CPU_NEON)) return;
    cei_cpu_fill_neon(kernels);
    cei_cpu_fill_neon_int8(kernels);
    if (usable & CE_CPU_NEON_DOTPROD) cei_cpu_fill_neon_dot(kernels);
    if (usable & CE_CPU_NEON_I8MM) cei_cpu_fill_neon_i8mm(kernels);
    if (usable & CE_CPU_NEON_BF16) cei_cpu_fill_neon_bf16(kernels);
    kernels->tiers = usable;
}

bool cei_cpu_request_amx(void) { return false; }
