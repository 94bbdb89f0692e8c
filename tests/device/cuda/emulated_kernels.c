/* emulated_kernels.c - the kernels of the cuda device, compiled for the host, and a table of them by name. */
#define CEI_EMULATED
#include "device/cuda/kernels/module.cu"

#include <string.h>

#define RUN(name, type, threads, least, shared) \
    static void run_##name(const void *given) { name(*(const type *)given); }
CEI_CUDA_KERNELS(RUN)
#undef RUN

const emulate_kernel *emulate_find(const char *name) {
    static const emulate_kernel kernels[] = {
#define ROW(name, type, threads, least, shared) {#name, run_##name, sizeof(type), threads, shared},
        CEI_CUDA_KERNELS(ROW)
#undef ROW
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(kernels[i].name, name) == 0) return &kernels[i];
    return NULL;
}
