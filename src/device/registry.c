/* registry.c - the drivers that this build has, and the kinds that it knows of. The only file that differs between
 * the shipped library and the tests' one (CEI_WITH_SIM). */
#include "device/registry.h"

const cei_known_kind cei_known_kinds[] = {
#if defined(CEI_WITH_CUDA)
    {"cuda", &cei_cuda_driver, ""},
#elif defined(CEI_CUDA_SWITCHED_OFF)
    {"cuda", NULL, "this build of crossenc has no CUDA support: it was switched off (CE_CUDA)"},
#else
    {"cuda", NULL, "this build of crossenc has no CUDA support: it was built without clang or nvcc"},
#endif
#ifdef CEI_WITH_OPENCL
    {"opencl", &cei_opencl_driver, ""},
#else
    {"opencl", NULL,
     "this build of crossenc has no OpenCL support; build it with -DCE_BUILD_OPENCL=ON and Khronos' headers (Debian: "
     "opencl-c-headers)"},
#endif
#ifdef CEI_WITH_SIM
    {"sim", &cei_sim_driver, ""},
#endif
    {"cpu", &cei_cpu_driver, ""},       {NULL, NULL, NULL},
};
