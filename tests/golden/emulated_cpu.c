/* emulated_cpu.c - the cpu device of a program with kernels of AMX, emulated, whatever the processor is.
 *
 * It stands in for src/device/cpu/features.c: of a static library, no file is taken whose names are all there. */
#include "device/emulated.h"

void cei_cpu_choose_kernels(uint64_t disable, cei_cpu_kernels *kernels) {
    (void)disable;
    emulated_tiers[EMULATED_AMX].fill(kernels);
}

uint64_t cei_cpu_detect(void) { return 0; }
bool cei_cpu_request_amx(void) { return false; }
