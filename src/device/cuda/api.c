/* api.c - finds the driver's library and its functions, and says what its results mean. Relies on dlopen. */
#include "device/cuda/api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* A function's address is stored through memcpy: ISO C has no conversion from void * to a function. */
static bool find(void *library, const char *symbol, void *field) {
    void *address = dlsym(library, symbol);
    memcpy(field, &address, sizeof address);
    return address != NULL;
}

/* The first symbol that the library lacks, or NULL. */
static const char *find_all(cei_cuda_api *api) {
#define CEI_CUDA_FIND(field, symbol, parameters) \
    if (!find(api->library, symbol, &api->field)) return symbol;
    CEI_CUDA_FUNCTIONS(CEI_CUDA_FIND)
#undef CEI_CUDA_FIND
    return NULL;
}

const char *cei_cuda_describe(const cei_cuda_api *api, cei_cuda_result result, char *text, size_t size) {
    const char *name = NULL, *meaning = NULL;
    if (api->get_error_name(result, &name) != CEI_CUDA_SUCCESS || !name) name = "unknown error";
    if (api->get_error_string(result, &meaning) != CEI_CUDA_SUCCESS || !meaning) meaning = "no description";
    snprintf(text, size, "%s (%d), %s", name, result, meaning);
    return text;
}

const char *cei_cuda_advice(cei_cuda_result result) {
    switch (result) {
    case CEI_CUDA_NO_DEVICE: return "no NVIDIA GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES";
    case CEI_CUDA_NOT_INITIALIZED:
    case CEI_CUDA_DEINITIALIZED:
        return "a process that was forked from one that used CUDA cannot use it: start it anew";
    case CEI_CUDA_STUB_LIBRARY: return "libcuda.so.1 is the toolkit's stub: put the driver's first in the library path";
    case CEI_CUDA_SYSTEM_NOT_READY: return "start the NVIDIA fabric manager, or wait until the machine is up";
    case CEI_CUDA_DRIVER_MISMATCH: return "the kernel module and libcuda.so.1 differ: reboot after a driver's update";
    case CEI_CUDA_NOT_COMPATIBLE: return "this driver doesn't know the GPU: install a newer one";
    case CEI_CUDA_OPERATING_SYSTEM: return "the system refused: check the permissions of /dev/nvidia*";
    default: return "check nvidia-smi and the kernel's log";
    }
}

ce_status cei_cuda_status_of(cei_cuda_result result) {
    switch (result) {
    case CEI_CUDA_SUCCESS: return CE_OK;
    case CEI_CUDA_OUT_OF_MEMORY: return CE_ERR_DEVICE_MEMORY;
    case CEI_CUDA_DEINITIALIZED:
    case CEI_CUDA_DEVICE_UNAVAILABLE:
    case CEI_CUDA_NO_DEVICE:
    case CEI_CUDA_ECC:
    case CEI_CUDA_NVLINK:
    case CEI_CUDA_ILLEGAL_ADDRESS:
    case CEI_CUDA_LAUNCH_TIMEOUT:
    case CEI_CUDA_CONTEXT_DESTROYED:
    case CEI_CUDA_ASSERT:
    case CEI_CUDA_UNKNOWN: return CE_ERR_DEVICE_LOST;
    default:
        return result >= CEI_CUDA_FIRST_STICKY && result <= CEI_CUDA_LAUNCH_FAILED ? CE_ERR_DEVICE_LOST
                                                                                   : CE_ERR_DEVICE_FAULT;
    }
}

/* Version, then the driver itself. */
static bool start(cei_cuda_api *api, char *reason, size_t size) {
    char text[160];
    cei_cuda_result result = api->driver_version(&api->version);
    if (result == CEI_CUDA_SUCCESS && api->version < CEI_CUDA_OLDEST) {
        snprintf(reason, size,
                 "the NVIDIA driver is too old: it has CUDA %d.%d, and %d.%d is needed; install a newer one",
                 api->version / 1000, api->version % 1000 / 10, CEI_CUDA_OLDEST / 1000, CEI_CUDA_OLDEST % 1000 / 10);
        return false;
    }
    if (result == CEI_CUDA_SUCCESS) result = api->init(0);
    if (result == CEI_CUDA_SUCCESS) return true;
    snprintf(reason, size, "%s: %s", cei_cuda_advice(result), cei_cuda_describe(api, result, text, sizeof text));
    return false;
}

bool cei_cuda_api_open(const char *library, cei_cuda_api *api, char *reason, size_t size) {
    *api = (cei_cuda_api){.library = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
    if (!api->library) {
        while (dlerror()) continue; /* which keeps a text of the failure until it is asked for once more */
        snprintf(reason, size, "%s is not there: install NVIDIA's driver, which is all that CUDA needs", library);
        return false;
    }
    const char *missing = find_all(api);
    if (missing) snprintf(reason, size, "%s lacks %s: install a newer NVIDIA driver", library, missing);
    if (!missing && start(api, reason, size)) return true;
    cei_cuda_api_close(api);
    return false;
}

void cei_cuda_api_close(cei_cuda_api *api) {
    if (api->library) dlclose(api->library);
    *api = (cei_cuda_api){0};
}
