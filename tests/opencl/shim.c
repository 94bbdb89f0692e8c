/* shim.c - see shim.h. A library of its own, which the driver loads as it would the real one. */
#include "opencl/shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHIM __attribute__((visibility("default")))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static shim_state state;
static cei_opencl_api real;
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

SHIM shim_state *shim_state_of_library(void) { return &state; }

#define FIND(name)                                    \
    {                                                 \
        void *found = dlsym(library, #name);          \
        memcpy(&real.name, &found, sizeof real.name); \
    }
static void load(void) {
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library) CEI_OPENCL_FUNCTIONS(FIND)
}

/* Questions that are answered without the device. */
static bool is_question(shim_function function) {
    return function <= SHIM_clGetDeviceInfo || function == SHIM_clGetProgramBuildInfo ||
           function == SHIM_clGetProgramInfo || function == SHIM_clGetKernelWorkGroupInfo;
}

static bool comes_now(uint64_t *left) { return *left > 0 && --*left == 0; }

/* Counts a call; what it must fail with, or CL_SUCCESS. */
static cl_int enter(shim_function function) {
    pthread_once(&loaded, load);
    cl_int code = CL_SUCCESS;
    pthread_mutex_lock(&lock);
    state.calls[function]++;
    if (!is_question(function) && comes_now(&state.lose_in)) state.is_lost = true;
    if (state.fail_function == function && comes_now(&state.fail_in)) code = state.fail_code;
    if (!is_question(function) && state.is_lost) code = CL_DEVICE_NOT_AVAILABLE;
    pthread_mutex_unlock(&lock);
    return code;
}

static void add(int64_t objects, uint64_t waits, uint64_t written) {
    pthread_mutex_lock(&lock);
    state.objects += objects;
    state.waits += waits;
    state.written += written;
    pthread_mutex_unlock(&lock);
}

/* An object that was made, or not. */
static void count_made(const void *object) { add(object ? 1 : 0, 0, 0); }

static cl_int give_back(shim_function function, cl_int code) {
    pthread_mutex_lock(&lock);
    state.calls[function]++;
    state.objects--;
    pthread_mutex_unlock(&lock);
    return code;
}

/* ---- platforms, devices ------------------------------------------------------------------------------------------ */

SHIM CL_API_ENTRY cl_int CL_API_CALL clGetPlatformIDs(cl_uint room, cl_platform_id *platforms, cl_uint *count) {
    const cl_int code = enter(SHIM_clGetPlatformIDs);
    if (code != CL_SUCCESS) return code;
    if (state.no_platform || !real.clGetPlatformIDs) return -1001; /* CL_PLATFORM_NOT_FOUND_KHR */
    return real.clGetPlatformIDs(room, platforms, count);
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t size,
                                                       void *value, size_t *used) {
    (void)enter(SHIM_clGetPlatformInfo);
    return real.clGetPlatformInfo(platform, what, size, value, used);
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint room,
                                                    cl_device_id *devices, cl_uint *count) {
    (void)enter(SHIM_clGetDeviceIDs);
    if (state.no_device) return CL_DEVICE_NOT_FOUND;
    return real.clGetDeviceIDs(platform, type, room, devices, count);
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *value,
                                                     size_t *used) {
    (void)enter(SHIM_clGetDeviceInfo);
    const cl_int code = real.clGetDeviceInfo(device, what, size, value, used);
    const cl_ulong gpu = CL_DEVICE_TYPE_GPU;
    if (what == CL_DEVICE_AVAILABLE && (state.is_lost || state.unavailable)) memset(value, 0, sizeof(cl_bool));
    if (what == CL_DEVICE_TYPE && state.is_gpu) memcpy(value, &gpu, sizeof gpu);
    if (what == CL_DEVICE_GLOBAL_MEM_SIZE && state.memory) memcpy(value, &state.memory, sizeof state.memory);
    if (what == CL_DEVICE_MAX_MEM_ALLOC_SIZE && state.piece) memcpy(value, &state.piece, sizeof state.piece);
    return code;
}

/* ---- objects ------------------------------------------------------------------------------------------------------
 */

/* Begins a function that makes an object: returns NULL, with the code, where it must fail. */
#define BEGIN_MAKING(function)          \
    const cl_int bad = enter(function); \
    if (bad != CL_SUCCESS) {            \
        if (code) *code = bad;          \
        return NULL;                    \
    }

SHIM CL_API_ENTRY cl_context CL_API_CALL
clCreateContext(const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,
                void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user, cl_int *code) {
    BEGIN_MAKING(SHIM_clCreateContext)
    cl_context made = real.clCreateContext(properties, count, devices, notify, user, code);
    count_made(made);
    return made;
}

SHIM CL_API_ENTRY cl_command_queue CL_API_CALL clCreateCommandQueue(cl_context context, cl_device_id device,
                                                                    cl_command_queue_properties properties,
                                                                    cl_int *code) {
    BEGIN_MAKING(SHIM_clCreateCommandQueue)
    cl_command_queue made = real.clCreateCommandQueue(context, device, properties, code);
    count_made(made);
    return made;
}

SHIM CL_API_ENTRY cl_mem CL_API_CALL clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                                                    cl_int *code) {
    BEGIN_MAKING(SHIM_clCreateBuffer)
    cl_mem made = real.clCreateBuffer(context, flags, size, host, code);
    count_made(made);
    return made;
}

SHIM CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint count,
                                                                   const char **texts, const size_t *sizes,
                                                                   cl_int *code) {
    BEGIN_MAKING(SHIM_clCreateProgramWithSource)
    cl_program made = real.clCreateProgramWithSource(context, count, texts, sizes, code);
    count_made(made);
    return made;
}

SHIM CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithBinary(cl_context context, cl_uint count,
                                                                   const cl_device_id *devices, const size_t *sizes,
                                                                   const unsigned char **binaries, cl_int *each,
                                                                   cl_int *code) {
    BEGIN_MAKING(SHIM_clCreateProgramWithBinary)
    if (state.refuses_binaries) {
        if (code) *code = CL_INVALID_BINARY;
        return NULL;
    }
    cl_program made = real.clCreateProgramWithBinary(context, count, devices, sizes, binaries, each, code);
    count_made(made);
    return made;
}

SHIM CL_API_ENTRY cl_kernel CL_API_CALL clCreateKernel(cl_program program, const char *name, cl_int *code) {
    BEGIN_MAKING(SHIM_clCreateKernel)
    cl_kernel made = real.clCreateKernel(program, name, code);
    count_made(made);
    return made;
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clReleaseContext(cl_context object) {
    return give_back(SHIM_clReleaseContext, real.clReleaseContext(object));
}
SHIM CL_API_ENTRY cl_int CL_API_CALL clReleaseCommandQueue(cl_command_queue object) {
    return give_back(SHIM_clReleaseCommandQueue, real.clReleaseCommandQueue(object));
}
SHIM CL_API_ENTRY cl_int CL_API_CALL clReleaseMemObject(cl_mem object) {
    return give_back(SHIM_clReleaseMemObject, real.clReleaseMemObject(object));
}
SHIM CL_API_ENTRY cl_int CL_API_CALL clReleaseProgram(cl_program object) {
    return give_back(SHIM_clReleaseProgram, real.clReleaseProgram(object));
}
SHIM CL_API_ENTRY cl_int CL_API_CALL clReleaseKernel(cl_kernel object) {
    return give_back(SHIM_clReleaseKernel, real.clReleaseKernel(object));
}

/* ---- programs, kernels ---------------------------------------------------------------------------------------------
 */

SHIM CL_API_ENTRY cl_int CL_API_CALL clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices,
                                                    const char *options, void(CL_CALLBACK *notify)(cl_program, void *),
                                                    void *user) {
    const cl_int code = enter(SHIM_clBuildProgram);
    if (state.cannot_build) return CL_BUILD_PROGRAM_FAILURE;
    return code == CL_SUCCESS ? real.clBuildProgram(program, count, devices, options, notify, user) : code;
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clGetProgramBuildInfo(cl_program program, cl_device_id device,
                                                           cl_program_build_info what, size_t size, void *value,
                                                           size_t *used) {
    static const char text[] = "<program source>:7:1: error: unknown type name 'kernl'\n1 error generated.\n";
    (void)enter(SHIM_clGetProgramBuildInfo);
    if (!state.cannot_build) return real.clGetProgramBuildInfo(program, device, what, size, value, used);
    if (used) *used = sizeof text;
    if (value && size >= sizeof text) memcpy(value, text, sizeof text);
    return CL_SUCCESS;
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clGetProgramInfo(cl_program program, cl_program_info what, size_t size,
                                                      void *value, size_t *used) {
    const cl_int code = enter(SHIM_clGetProgramInfo);
    return code == CL_SUCCESS ? real.clGetProgramInfo(program, what, size, value, used) : code;
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
    const cl_int code = enter(SHIM_clSetKernelArg);
    return code == CL_SUCCESS ? real.clSetKernelArg(kernel, index, size, value) : code;
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                                              cl_kernel_work_group_info what, size_t size, void *value,
                                                              size_t *used) {
    const cl_int code = enter(SHIM_clGetKernelWorkGroupInfo);
    return code == CL_SUCCESS ? real.clGetKernelWorkGroupInfo(kernel, device, what, size, value, used) : code;
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel,
                                                            cl_uint dimensions, const size_t *offset,
                                                            const size_t *global, const size_t *local, cl_uint count,
                                                            const cl_event *events, cl_event *event) {
    const cl_int code = enter(SHIM_clEnqueueNDRangeKernel);
    if (code != CL_SUCCESS) return code;
    return real.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, count, events, event);
}

/* ---- transfers ------------------------------------------------------------------------------------------------------
 */

static bool must_corrupt(cl_bool waits) {
    pthread_mutex_lock(&lock);
    const bool now = waits && comes_now(&state.corrupt_in);
    pthread_mutex_unlock(&lock);
    return now;
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool waits,
                                                          size_t offset, size_t size, const void *from, cl_uint count,
                                                          const cl_event *events, cl_event *event) {
    cl_int code = enter(SHIM_clEnqueueWriteBuffer);
    if (code != CL_SUCCESS) return code;
    add(0, waits ? 1 : 0, size);
    if (!must_corrupt(waits))
        return real.clEnqueueWriteBuffer(queue, buffer, waits, offset, size, from, count, events, event);
    unsigned char *copy = malloc(size);
    if (!copy) return CL_OUT_OF_HOST_MEMORY;
    memcpy(copy, from, size);
    copy[size / 2] ^= 1;
    code = real.clEnqueueWriteBuffer(queue, buffer, waits, offset, size, copy, count, events, event);
    free(copy);
    return code;
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool waits,
                                                         size_t offset, size_t size, void *to, cl_uint count,
                                                         const cl_event *events, cl_event *event) {
    const cl_int code = enter(SHIM_clEnqueueReadBuffer);
    if (code != CL_SUCCESS) return code;
    add(0, waits ? 1 : 0, 0);
    return real.clEnqueueReadBuffer(queue, buffer, waits, offset, size, to, count, events, event);
}

SHIM CL_API_ENTRY cl_int CL_API_CALL clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern,
                                                         size_t pattern_size, size_t offset, size_t size, cl_uint count,
                                                         const cl_event *events, cl_event *event) {
    const cl_int code = enter(SHIM_clEnqueueFillBuffer);
    if (code != CL_SUCCESS) return code;
    return real.clEnqueueFillBuffer(queue, buffer, pattern, pattern_size, offset, size, count, events, event);
}

/* Also where it must fail: what is on its way uses memory that is freed next. */
SHIM CL_API_ENTRY cl_int CL_API_CALL clFinish(cl_command_queue queue) {
    const cl_int code = enter(SHIM_clFinish);
    add(0, 1, 0);
    const cl_int done = real.clFinish(queue);
    return code == CL_SUCCESS ? done : code;
}
