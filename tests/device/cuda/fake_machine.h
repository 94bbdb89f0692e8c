/* fake_machine.h - what the exports of the stand-in have of its machine: devices, contexts, memory, streams. */
#ifndef CE_TEST_FAKE_MACHINE_H
#define CE_TEST_FAKE_MACHINE_H

#include "device/cuda/emulate.h"
#include "device/cuda/fake_cuda.h"

#include <pthread.h>

#define EXPORT __attribute__((visibility("default")))

enum { MOST_ALLOCATIONS = 256, QUEUE = 96, ARGUMENT_BYTES = 640, MOST_DEPTH = 8, CALL_UNKNOWN = 1 };

typedef struct allocation {
    unsigned char *memory; /* NULL: free */
    size_t bytes, mapped;  /* device memory has a page without access behind it */
    struct CUctx_st *context;
    bool pinned;
} allocation;

/* A device, and its primary context. */
struct CUctx_st {
    int retained;
    size_t used;
    cei_cuda_result broken; /* sticky */
};

/* An image that was loaded, and what is known of its kernels: to look for them takes time. Kept for good. */
enum { MOST_IMAGES = 8, MOST_KERNELS = 64 };

typedef struct known_image {
    char *bytes; /* a copy: the driver needs the caller's no longer */
    size_t size, count;
    struct {
        const emulate_kernel *kernel;
        bool is_there;
    } kernels[MOST_KERNELS];
} known_image;

struct CUmod_st {
    known_image *image;
};

typedef enum work_kind { WORK_LAUNCH, WORK_TO_DEVICE, WORK_TO_HOST } work_kind;

typedef struct work {
    work_kind kind;
    const emulate_kernel *kernel;
    unsigned blocks_x, blocks_y;
    bool breaks, corrupts;
    void *to;
    const void *from;
    size_t bytes;
    unsigned char arguments[ARGUMENT_BYTES] __attribute__((aligned(16)));
} work;

struct CUstream_st {
    struct CUctx_st *context;
    struct CUstream_st *next; /* of all streams */
    work queue[QUEUE];
    size_t first, count;
};

typedef struct fake_machine {
    int devices, version, major, minor, processors, attribute, attribute_value;
    bool hidden, without_cubins;
    size_t memory;
    unsigned delay;
    struct CUctx_st contexts[FAKE_DEVICES];
    allocation allocations[MOST_ALLOCATIONS];
    struct CUstream_st *streams;
    uint64_t fail_in[FAKE_CALLS], break_in, lose_in, corrupt_in;
    cei_cuda_result fail_with[FAKE_CALLS], break_with, lose_with;
    uint64_t calls[FAKE_CALLS], all, misuses;
    const char *misuse;
    known_image images[MOST_IMAGES];
    fake_held held;
} fake_machine;

typedef struct fake_thread {
    struct CUctx_st *stack[MOST_DEPTH];
    int depth;
} fake_thread;

extern fake_machine machine;
extern _Thread_local fake_thread thread;

/* The lock of the machine's state. */
void lock(void);
void unlock(void);

void misuse(const char *what);

/* Every call begins here: what was planned for it. */
cei_cuda_result enter(fake_call call);

/* The same for a call on the current context, which may be broken, or break now. */
cei_cuda_result enter_context(fake_call call, struct CUctx_st **context);

/* The allocation that holds all of [address, address + bytes), of this kind; NULL if there is none. */
allocation *find_allocation(const void *address, size_t bytes, bool pinned);
cei_cuda_result map(struct CUctx_st *context, size_t bytes, bool pinned, void **address);
void unmap(allocation *row);

/* Runs all that waits in a stream, or in all streams of a context. */
void drain(struct CUstream_st *stream);
void drain_all(const struct CUctx_st *context);

void enqueue(struct CUstream_st *stream, const work *todo);

#endif
