/* api.h - the part of NVIDIA's driver API that crossenc calls, declared by its documented binary interface and found in
 * the driver's own library when a device is asked for: nothing is linked, and no toolkit is needed to build.
 *
 * Names are those of cuda.h less "cu"; where cuda.h maps a name to a later version (_v2), that is the one looked up. */
#ifndef CEI_CUDA_API_H
#define CEI_CUDA_API_H

#include <crossenc/device.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int cei_cuda_result;
typedef int cei_cuda_device_number;
typedef uint64_t cei_cuda_address; /* of device memory */
typedef struct CUctx_st *cei_cuda_context;
typedef struct CUmod_st *cei_cuda_module;
typedef struct CUfunc_st *cei_cuda_function;
typedef struct CUstream_st *cei_cuda_stream;

/* The driver library and its oldest version that is accepted, as cuDriverGetVersion counts: 11.0, the first with sm_80
 * and PTX 7.0. */
#define CEI_CUDA_LIBRARY "libcuda.so.1"
enum { CEI_CUDA_OLDEST = 11000 };

/* Results (CUresult) that are told apart. */
enum {
    CEI_CUDA_SUCCESS = 0,
    CEI_CUDA_OUT_OF_MEMORY = 2,
    CEI_CUDA_NOT_INITIALIZED = 3,
    CEI_CUDA_DEINITIALIZED = 4,
    CEI_CUDA_STUB_LIBRARY = 34,
    CEI_CUDA_DEVICE_UNAVAILABLE = 46,
    CEI_CUDA_NO_DEVICE = 100,
    CEI_CUDA_INVALID_IMAGE = 200,
    CEI_CUDA_NO_BINARY = 209,
    CEI_CUDA_ECC = 214,
    CEI_CUDA_NVLINK = 220,
    CEI_CUDA_NO_COMPILER = 221,
    CEI_CUDA_OLD_PTX = 222,
    CEI_CUDA_OPERATING_SYSTEM = 304,
    CEI_CUDA_ILLEGAL_ADDRESS = 700,
    CEI_CUDA_LAUNCH_TIMEOUT = 702,
    CEI_CUDA_CONTEXT_DESTROYED = 709,
    CEI_CUDA_ASSERT = 710,
    CEI_CUDA_FIRST_STICKY = 714, /* to LAUNCH_FAILED: errors of a running kernel */
    CEI_CUDA_LAUNCH_FAILED = 719,
    CEI_CUDA_SYSTEM_NOT_READY = 802,
    CEI_CUDA_DRIVER_MISMATCH = 803,
    CEI_CUDA_NOT_COMPATIBLE = 804,
    CEI_CUDA_UNKNOWN = 999
};

/* Attributes (CUdevice_attribute) and flags. */
enum {
    CEI_CUDA_PROCESSORS = 16,
    CEI_CUDA_COMPUTE_MODE = 20,
    CEI_CUDA_CAPABILITY_MAJOR = 75,
    CEI_CUDA_CAPABILITY_MINOR = 76,
    CEI_CUDA_COMPUTE_PROHIBITED = 2, /* a value of COMPUTE_MODE */
    CEI_CUDA_STREAM_NON_BLOCKING = 1,
    CEI_CUDA_FUNCTION_SHARED = 8 /* of a function: the most memory that a launch gives to a block */
};

/* X(field, symbol, parameters): every function, in the order of cuda.h. */
#define CEI_CUDA_FUNCTIONS(X)                                                                                    \
    X(get_error_name, "cuGetErrorName", (cei_cuda_result, const char **))                                        \
    X(get_error_string, "cuGetErrorString", (cei_cuda_result, const char **))                                    \
    X(init, "cuInit", (unsigned))                                                                                \
    X(driver_version, "cuDriverGetVersion", (int *))                                                             \
    X(device_get, "cuDeviceGet", (cei_cuda_device_number *, int))                                                \
    X(device_count, "cuDeviceGetCount", (int *))                                                                 \
    X(device_name, "cuDeviceGetName", (char *, int, cei_cuda_device_number))                                     \
    X(device_memory, "cuDeviceTotalMem_v2", (size_t *, cei_cuda_device_number))                                  \
    X(device_attribute, "cuDeviceGetAttribute", (int *, int, cei_cuda_device_number))                            \
    X(context_retain, "cuDevicePrimaryCtxRetain", (cei_cuda_context *, cei_cuda_device_number))                  \
    X(context_release, "cuDevicePrimaryCtxRelease_v2", (cei_cuda_device_number))                                 \
    X(context_state, "cuDevicePrimaryCtxGetState", (cei_cuda_device_number, unsigned *, int *))                  \
    X(context_push, "cuCtxPushCurrent_v2", (cei_cuda_context))                                                   \
    X(context_pop, "cuCtxPopCurrent_v2", (cei_cuda_context *))                                                   \
    X(module_load, "cuModuleLoadDataEx", (cei_cuda_module *, const void *, unsigned, int *, void **))            \
    X(module_unload, "cuModuleUnload", (cei_cuda_module))                                                        \
    X(module_function, "cuModuleGetFunction", (cei_cuda_function *, cei_cuda_module, const char *))              \
    X(function_set, "cuFuncSetAttribute", (cei_cuda_function, int, int))                                         \
    X(memory_info, "cuMemGetInfo_v2", (size_t *, size_t *))                                                      \
    X(memory_alloc, "cuMemAlloc_v2", (cei_cuda_address *, size_t))                                               \
    X(memory_free, "cuMemFree_v2", (cei_cuda_address))                                                           \
    X(host_alloc, "cuMemHostAlloc", (void **, size_t, unsigned))                                                 \
    X(host_free, "cuMemFreeHost", (void *))                                                                      \
    X(copy_to_device, "cuMemcpyHtoDAsync_v2", (cei_cuda_address, const void *, size_t, cei_cuda_stream))         \
    X(copy_to_host, "cuMemcpyDtoHAsync_v2", (void *, cei_cuda_address, size_t, cei_cuda_stream))                 \
    X(stream_create, "cuStreamCreate", (cei_cuda_stream *, unsigned))                                            \
    X(stream_destroy, "cuStreamDestroy_v2", (cei_cuda_stream))                                                   \
    X(stream_wait, "cuStreamSynchronize", (cei_cuda_stream))                                                     \
    X(launch, "cuLaunchKernel",                                                                                  \
      (cei_cuda_function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, cei_cuda_stream, \
       void **, void **))

typedef struct cei_cuda_api {
    void *library;
    int version; /* of the driver, as cuDriverGetVersion counts: 12040 is 12.4 */
/* A declarator, not an expression. NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define CEI_CUDA_FIELD(field, symbol, parameters) cei_cuda_result(*field) parameters;
    CEI_CUDA_FUNCTIONS(CEI_CUDA_FIELD)
#undef CEI_CUDA_FIELD
} cei_cuda_api;

/* Opens the driver's library under this name, finds all functions, initializes the driver. On failure nothing is held,
 * and reason says what is missing and what to do. The library stays in the process once it was there: it may not be
 * unloaded safely. */
bool cei_cuda_api_open(const char *library, cei_cuda_api *api, char *reason, size_t size);
void cei_cuda_api_close(cei_cuda_api *api);

/* "CUDA_ERROR_OUT_OF_MEMORY (2), out of memory", as the driver calls it. Returns text. */
const char *cei_cuda_describe(const cei_cuda_api *api, cei_cuda_result result, char *text, size_t size);

/* Why a driver that is there cannot be used, and what to do. */
const char *cei_cuda_advice(cei_cuda_result result);

/* DEVICE_MEMORY, DEVICE_LOST (nothing on the context works after such an error) or DEVICE_FAULT. */
ce_status cei_cuda_status_of(cei_cuda_result result);

#endif
