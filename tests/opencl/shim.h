/* shim.h - a stand-in for libOpenCL.so.1, which passes every call on to the real one, counts it, and fails where a test
 * says so. The driver is led to it by CROSSENC_OPENCL_LIBRARY; a test reaches its state through shim_open. */
#ifndef CE_TEST_OPENCL_SHIM_H
#define CE_TEST_OPENCL_SHIM_H

#include "device/opencl/api.h"

#include <stdint.h>

#define SHIM_NUMBER(name) SHIM_##name,
typedef enum shim_function { CEI_OPENCL_FUNCTIONS(SHIM_NUMBER) SHIM_FUNCTIONS } shim_function;

/* Plans, which tests write, and counts, which they read, while no other thread calls the library. Zeroed: all works. */
typedef struct shim_state {
    shim_function fail_function; /* the fail_in-th call of it from now ends in fail_code; 0 is none */
    uint64_t fail_in;
    cl_int fail_code;
    uint64_t lose_in;    /* the device is lost at the nth call from now that could tell; 0 is never */
    bool is_lost;        /* and stays so until this is false again */
    uint64_t corrupt_in; /* the nth write that waits, as those of weights do, arrives with a bit flipped */
    bool no_platform, no_device, is_gpu, refuses_binaries, cannot_build, unavailable;
    uint64_t memory; /* of the device; 0 is the real size */
    uint64_t piece;  /* the most in one buffer; 0 is the real one */

    uint64_t calls[SHIM_FUNCTIONS];
    uint64_t waits;   /* calls that return when the device is done */
    int64_t objects;  /* alive: contexts, queues, buffers, programs, kernels */
    uint64_t written; /* bytes sent to buffers */
} shim_state;

/* What the shim's library exports under this name. */
shim_state *shim_state_of_library(void);

#endif
