/* emulated_kernels.c - the kernels of the cuda device, compiled for the host, and a table of them by name. */
#define CEI_EMULATED
#include "device/cuda/kernels/module.cu"

#include "device/cuda/fake_machine.h"

#include <stdatomic.h>
#include <string.h>

enum {
#define NUMBER(name, type, threads, least, shared) NUMBER_##name,
    CEI_CUDA_KERNELS(NUMBER)
#undef NUMBER
        KERNELS
};

static _Atomic uint64_t ran[KERNELS];

#define RUN(name, type, threads, least, shared)                                  \
    static void run_##name(const void *given) {                                  \
        atomic_fetch_add_explicit(&ran[NUMBER_##name], 1, memory_order_relaxed); \
        name(*(const type *)given);                                              \
    }
CEI_CUDA_KERNELS(RUN)
#undef RUN

static const emulate_kernel kernels[KERNELS] = {
#define ROW(name, type, threads, least, shared) {#name, run_##name, sizeof(type), threads, shared},
    CEI_CUDA_KERNELS(ROW)
#undef ROW
};

const emulate_kernel *emulate_find(const char *name) {
    for (size_t i = 0; i < KERNELS; i++)
        if (strcmp(kernels[i].name, name) == 0) return &kernels[i];
    return NULL;
}

EXPORT uint64_t fake_ran(const char *name) {
    const emulate_kernel *kernel = emulate_find(name);
    return kernel ? atomic_load(&ran[kernel - kernels]) : 0;
}
