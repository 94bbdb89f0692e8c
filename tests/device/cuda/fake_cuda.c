/* fake_cuda.c - the stand-in's exports: the driver API of cuda.h, as far as api.h has it. */
#include "device/cuda/fake_machine.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cei_cuda_result enqueue_copy(struct CUstream_st *stream, work_kind kind, void *to, const void *from,
                                    size_t bytes) {
    enum { INVALID_VALUE = 1 };
    const void *device = kind == WORK_TO_DEVICE ? to : from, *host = kind == WORK_TO_DEVICE ? from : to;
    if (!find_allocation(device, bytes, false) || !find_allocation(host, bytes, true)) {
        misuse("a copy outside device memory, or of memory that is not pinned");
        return INVALID_VALUE;
    }
    enqueue(stream, &(work){.kind = kind, .to = to, .from = from, .bytes = bytes});
    return CEI_CUDA_SUCCESS;
}

/* ---- exports: the driver -------------------------------------------------------------------------------------- */

#define FUNCTION(name, ...)                   \
    EXPORT cei_cuda_result name(__VA_ARGS__); \
    EXPORT cei_cuda_result name(__VA_ARGS__)

FUNCTION(cuGetErrorName, cei_cuda_result result, const char **name) {
    *name = result == CEI_CUDA_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_OF_THE_FAKE";
    return CEI_CUDA_SUCCESS;
}

FUNCTION(cuGetErrorString, cei_cuda_result result, const char **text) {
    *text = result == CEI_CUDA_OUT_OF_MEMORY ? "out of memory" : "the test asked for it";
    return CEI_CUDA_SUCCESS;
}

FUNCTION(cuInit, unsigned flags) {
    (void)flags;
    const cei_cuda_result result = enter(FAKE_init);
    return result || machine.devices > 0 ? result : CEI_CUDA_NO_DEVICE;
}

FUNCTION(cuDriverGetVersion, int *version) {
    *version = machine.version;
    return enter(FAKE_driver_version);
}

FUNCTION(cuDeviceGetCount, int *count) {
    *count = machine.hidden ? 0 : machine.devices;
    return enter(FAKE_device_count);
}

FUNCTION(cuDeviceGet, cei_cuda_device_number *device, int index) {
    enum { INVALID_DEVICE = 101 };
    *device = index;
    const cei_cuda_result result = enter(FAKE_device_get);
    return result || (index >= 0 && index < machine.devices) ? result : INVALID_DEVICE;
}

FUNCTION(cuDeviceGetName, char *name, int size, cei_cuda_device_number device) {
    snprintf(name, (size_t)size, "Fake GPU %d", device);
    return enter(FAKE_device_name);
}

FUNCTION(cuDeviceTotalMem_v2, size_t *bytes, cei_cuda_device_number device) {
    (void)device;
    *bytes = machine.memory;
    return enter(FAKE_device_memory);
}

FUNCTION(cuDeviceGetAttribute, int *value, int which, cei_cuda_device_number device) {
    (void)device;
    *value = which == CEI_CUDA_CAPABILITY_MAJOR   ? machine.major
             : which == CEI_CUDA_CAPABILITY_MINOR ? machine.minor
             : which == CEI_CUDA_PROCESSORS       ? machine.processors
             : which == machine.attribute         ? machine.attribute_value
                                                  : 0;
    return enter(FAKE_device_attribute);
}

/* ---- exports: contexts, modules ------------------------------------------------------------------------------- */

FUNCTION(cuDevicePrimaryCtxRetain, cei_cuda_context *context, cei_cuda_device_number device) {
    cei_cuda_result result = enter(FAKE_context_retain);
    lock();
    struct CUctx_st *own = &machine.contexts[device];
    if (!result) result = own->broken;
    if (!result) {
        own->retained++;
        machine.held.contexts++;
        *context = own;
    }
    unlock();
    return result;
}

/* The last release gives a broken context's memory back, and mends it. */
FUNCTION(cuDevicePrimaryCtxRelease_v2, cei_cuda_device_number device) {
    const cei_cuda_result result = enter(FAKE_context_release);
    lock();
    struct CUctx_st *own = &machine.contexts[device];
    if (--own->retained == 0) own->broken = CEI_CUDA_SUCCESS;
    machine.held.contexts--;
    unlock();
    return result;
}

FUNCTION(cuDevicePrimaryCtxGetState, cei_cuda_device_number device, unsigned *flags, int *active) {
    const cei_cuda_result result = enter(FAKE_context_state);
    lock();
    *flags = 0;
    *active = machine.contexts[device].retained > 0;
    unlock();
    return result;
}

FUNCTION(cuCtxPushCurrent_v2, cei_cuda_context context) {
    const cei_cuda_result result = enter(FAKE_context_push);
    if (result) return result;
    if (!context || thread.depth == MOST_DEPTH) {
        misuse("a context that is none, or too many of them");
        return CALL_UNKNOWN;
    }
    thread.stack[thread.depth++] = context;
    return CEI_CUDA_SUCCESS;
}

FUNCTION(cuCtxPopCurrent_v2, cei_cuda_context *context) {
    (void)enter(FAKE_context_pop);
    if (thread.depth == 0) {
        misuse("no context to pop");
        return CALL_UNKNOWN;
    }
    *context = thread.stack[--thread.depth];
    return CEI_CUDA_SUCCESS;
}

static bool is_cubin(const char *image) { return memcmp(image, "\177ELF", 4) == 0; }

/* PTX ends with a NUL; a cubin is an ELF file, whose table of sections comes last or before its program's. */
static size_t size_of(const char *image) {
    Elf64_Ehdr header;
    if (!is_cubin(image)) return strlen(image) + 1;
    memcpy(&header, image, sizeof header);
    const size_t sections = (size_t)header.e_shoff + (size_t)header.e_shnum * header.e_shentsize;
    const size_t program = (size_t)header.e_phoff + (size_t)header.e_phnum * header.e_phentsize;
    return sections > program ? sections : program;
}

/* The image among those that are known; NULL if there are too many. Under the lock. */
static known_image *know_image(const char *bytes) {
    const size_t size = size_of(bytes);
    for (known_image *image = machine.images; image < machine.images + MOST_IMAGES; image++) {
        if (image->size == size && memcmp(image->bytes, bytes, size) == 0) return image;
        if (image->size > 0) continue;
        image->bytes = malloc(size);
        if (!image->bytes) return NULL;
        memcpy(image->bytes, bytes, size);
        image->size = size;
        return image;
    }
    return NULL;
}

/* Is the kernel in the image? PTX says the size of its arguments, too. */
static bool find_kernel(const known_image *image, const emulate_kernel *kernel) {
    char text[96];
    if (is_cubin(image->bytes))
        snprintf(text, sizeof text, ".text.%s", kernel->name);
    else
        snprintf(text, sizeof text, "%s_param_0[%zu]", kernel->name, kernel->size);
    for (size_t i = 0, length = strlen(text); i + length <= image->size; i++)
        if (memcmp(image->bytes + i, text, length) == 0) return true;
    return false;
}

/* The same, looked for once. Under the lock. */
static bool has_kernel(known_image *image, const emulate_kernel *kernel) {
    for (size_t i = 0; i < image->count; i++)
        if (image->kernels[i].kernel == kernel) return image->kernels[i].is_there;
    const bool is_there = find_kernel(image, kernel);
    if (image->count < MOST_KERNELS) {
        image->kernels[image->count].kernel = kernel;
        image->kernels[image->count++].is_there = is_there;
    }
    return is_there;
}

FUNCTION(cuModuleLoadDataEx, cei_cuda_module *module, const void *image, unsigned count, int *options, void **values) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_module_load, &context);
    if (result) {
        if (count > 0 && options[0] == 5) snprintf(values[0], 32, "ptxas of the fake: no\nmore");
        return result;
    }
    if (is_cubin(image) && machine.without_cubins) return CEI_CUDA_NO_BINARY;
    struct CUmod_st *made = malloc(sizeof *made);
    if (!made) return CEI_CUDA_OUT_OF_MEMORY;
    *module = made;
    lock();
    made->image = know_image(image);
    machine.held.modules++;
    unlock();
    if (!made->image) misuse("more images than the stand-in has room for");
    return CEI_CUDA_SUCCESS;
}

FUNCTION(cuModuleUnload, cei_cuda_module module) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_module_unload, &context);
    free(module);
    lock();
    machine.held.modules--;
    unlock();
    return result;
}

/* The image must have the kernel, with arguments of the size that the host has for them. */
FUNCTION(cuModuleGetFunction, cei_cuda_function *function, cei_cuda_module module, const char *name) {
    enum { NOT_FOUND = 500 };
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_module_function, &context);
    const emulate_kernel *kernel = emulate_find(name);
    if (result) return result;
    lock();
    const bool is_there = kernel && module->image && has_kernel(module->image, kernel);
    unlock();
    if (!is_there) return NOT_FOUND;
    *function = (cei_cuda_function)(uintptr_t)kernel;
    return CEI_CUDA_SUCCESS;
}

/* ---- exports: memory ------------------------------------------------------------------------------------------ */

FUNCTION(cuMemGetInfo_v2, size_t *available, size_t *total) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_memory_info, &context);
    if (result) return result;
    lock();
    *total = machine.memory;
    *available = context->used < machine.memory ? machine.memory - context->used : 0;
    unlock();
    return CEI_CUDA_SUCCESS;
}

FUNCTION(cuMemAlloc_v2, cei_cuda_address *address, size_t bytes) {
    struct CUctx_st *context;
    void *memory = NULL;
    cei_cuda_result result = enter_context(FAKE_memory_alloc, &context);
    if (!result) result = map(context, bytes, false, &memory);
    *address = (uintptr_t)memory;
    return result;
}

/* Waits for the device, as the real one does. Memory of a broken context is given back as well: in the end it is. */
FUNCTION(cuMemFree_v2, cei_cuda_address address) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_memory_free, &context);
    allocation *row = find_allocation((void *)(uintptr_t)address, 0, false);
    if (!row || row->memory != (void *)(uintptr_t)address) misuse("freeing what is no device memory");
    if (context) drain_all(context);
    if (row) unmap(row);
    return result;
}

FUNCTION(cuMemHostAlloc, void **address, size_t bytes, unsigned flags) {
    (void)flags;
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_host_alloc, &context);
    return result ? result : map(context, bytes, true, address);
}

FUNCTION(cuMemFreeHost, void *address) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_host_free, &context);
    allocation *row = find_allocation(address, 0, true);
    if (row)
        unmap(row);
    else
        misuse("freeing what is not pinned");
    return result;
}

FUNCTION(cuMemcpyHtoDAsync_v2, cei_cuda_address to, const void *from, size_t bytes, cei_cuda_stream stream) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_copy_to_device, &context);
    return result ? result : enqueue_copy(stream, WORK_TO_DEVICE, (void *)(uintptr_t)to, from, bytes);
}

FUNCTION(cuMemcpyDtoHAsync_v2, void *to, cei_cuda_address from, size_t bytes, cei_cuda_stream stream) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_copy_to_host, &context);
    return result ? result : enqueue_copy(stream, WORK_TO_HOST, to, (const void *)(uintptr_t)from, bytes);
}

/* ---- exports: streams ----------------------------------------------------------------------------------------- */

FUNCTION(cuStreamCreate, cei_cuda_stream *stream, unsigned flags) {
    (void)flags;
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_stream_create, &context);
    if (result) return result;
    struct CUstream_st *made = calloc(1, sizeof *made);
    if (!made) return CEI_CUDA_OUT_OF_MEMORY;
    lock();
    made->context = context;
    made->next = machine.streams;
    machine.streams = made;
    machine.held.streams++;
    unlock();
    *stream = made;
    return CEI_CUDA_SUCCESS;
}

FUNCTION(cuStreamDestroy_v2, cei_cuda_stream stream) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_stream_destroy, &context);
    drain(stream);
    lock();
    struct CUstream_st **link = &machine.streams;
    while (*link != stream) link = &(*link)->next;
    *link = stream->next;
    machine.held.streams--;
    unlock();
    free(stream);
    return result;
}

FUNCTION(cuStreamSynchronize, cei_cuda_stream stream) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_stream_wait, &context);
    if (result) return result;
    drain(stream);
    lock();
    const cei_cuda_result broken = context->broken;
    unlock();
    return broken;
}

FUNCTION(cuFuncSetAttribute, cei_cuda_function function, int attribute, int value) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_function_set, &context);
    const emulate_kernel *kernel = (const emulate_kernel *)(uintptr_t)function;
    if (result == CEI_CUDA_SUCCESS && (attribute != CEI_CUDA_FUNCTION_SHARED || value != (int)kernel->shared))
        misuse("an attribute that the kernel does not need");
    return result;
}

FUNCTION(cuLaunchKernel, cei_cuda_function function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,
         unsigned threads_x, unsigned threads_y, unsigned threads_z, unsigned shared, cei_cuda_stream stream,
         void **parameters, void **extra) {
    struct CUctx_st *context;
    const cei_cuda_result result = enter_context(FAKE_launch, &context);
    const emulate_kernel *kernel = (const emulate_kernel *)(uintptr_t)function;
    if (result) return result;
    if (blocks_z != 1 || threads_y != 1 || threads_z != 1 || shared != kernel->shared || extra ||
        threads_x != kernel->threads || blocks_x == 0 || blocks_y == 0 || blocks_y > 65535 ||
        kernel->size > ARGUMENT_BYTES) {
        misuse("a launch of a shape that the kernel does not have");
        return CALL_UNKNOWN;
    }
    work todo = {.kind = WORK_LAUNCH, .kernel = kernel, .blocks_x = blocks_x, .blocks_y = blocks_y};
    memcpy(todo.arguments, parameters[0], kernel->size);
    enqueue(stream, &todo);
    return CEI_CUDA_SUCCESS;
}
