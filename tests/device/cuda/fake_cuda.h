/* fake_cuda.h - a stand-in for NVIDIA's driver library, libcuda.so.1, that needs no GPU: what tests may plan and ask.
 *
 * It is functional: memory of its devices is mapped so that the host cannot touch it; copies and launches wait in their
 * stream until somebody waits for it, as late as a real device might run them, so that host memory that is used again
 * too early shows; kernels are the shipped ones, compiled for the host (emulate.h). A program that links it has it
 * found by the library's dlopen. All functions are safe from any thread. */
#ifndef CE_TEST_FAKE_CUDA_H
#define CE_TEST_FAKE_CUDA_H

#include "device/cuda/api.h"

enum { FAKE_DEVICES = 4 }; /* the most */

/* Functions by number, in the order of api.h. */
typedef enum fake_call {
#define FAKE_NUMBER(field, symbol, parameters) FAKE_##field,
    CEI_CUDA_FUNCTIONS(FAKE_NUMBER)
#undef FAKE_NUMBER
        FAKE_CALLS
} fake_call;

/* False in programs for a real GPU, which link no_fake.c in the stand-in's place. */
bool fake_is_here(void);

/* Two devices of capability 8.0, two processors and 64 MiB each, driver 12.4, no fault; counts of calls 0. */
void fake_reset(void);
void fake_set_devices(int count);
void fake_hide(void); /* devices are not counted, and can be opened */
void fake_set_version(int version);
void fake_set_capability(int major, int minor);
void fake_set_processors(int count); /* of each device */
void fake_set_cubins(bool taken);    /* else they are refused, as those for another chip are */
void fake_set_memory(size_t bytes);
void fake_set_attribute(int which, int value); /* of all devices, beside the capability; one at a time */
void fake_set_delay(unsigned microseconds);    /* of each launch and copy */

/* The nth call of this function from now (1 is the next) gives result, and does nothing; 0: none. */
void fake_fail(fake_call call, uint64_t nth, cei_cuda_result result);

/* The nth launch from now is taken, and breaks its context when it runs: what waits for it gets result, as do all calls
 * from then on, until the last holder has released the context. 0: none. */
void fake_break(uint64_t nth, cei_cuda_result result);

/* The same at the nth call of any kind that uses a context. */
void fake_lose(uint64_t nth, cei_cuda_result result);

/* The nth copy to a device from now arrives with one bit wrong. 0: none. */
void fake_corrupt(uint64_t nth);

typedef struct fake_held {
    uint64_t contexts, modules, allocations, pinned, streams;
    size_t bytes, pinned_bytes, most_pinned; /* now, now, since reset */
} fake_held;

fake_held fake_holds(void);
uint64_t fake_count(fake_call call);   /* since reset */
uint64_t fake_calls(void);             /* of all kinds */
uint64_t fake_ran(const char *kernel); /* threads that have run it, ever */

/* What no correct program does: a call without a current context, memory that is not pinned in an asynchronous copy, an
 * address outside its allocation, a kernel that broke a rule of emulate.h. The last is in *what, if not NULL. */
uint64_t fake_misuses(const char **what);

/* Contexts that the calling thread has current. */
int fake_depth(void);

#endif
