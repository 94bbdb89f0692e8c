/* cuda_cases.h - what the tests of cuda:N share: an opened device on the stand-in's machine, memory to work in, and a
 * check that nothing is left behind. */
#ifndef CE_TEST_CUDA_CASES_H
#define CE_TEST_CUDA_CASES_H

#include "support/support.h"

#include "device/cuda/fake_cuda.h"
#include "device/device.h"

typedef struct cuda_bench {
    cei_device *device;
    cei_stream *stream;
    cei_buffer *buffers[16];
    size_t count;
    ce_error error;
} cuda_bench;

cuda_bench cuda_open(cei_stream_limits limits);
void cuda_close(cuda_bench *bench);

/* Does the build embed a cubin for the stand-in's devices? Where the driver refuses that, PTX is loaded. */
bool cuda_has_cubin(void);

/* A buffer of its own that holds these bytes. */
cei_slice cuda_put(cuda_bench *bench, const void *from, size_t bytes);
cei_weight cuda_put_weight(cuda_bench *bench, cei_role role, cei_format format, size_t rows, size_t columns,
                           const float *values, const float *scales);

/* Room for a result of count floats, in the middle of canaries, which cuda_get_result checks. */
cei_slice cuda_put_result(cuda_bench *bench, size_t count);
void cuda_get_result(cuda_bench *bench, cei_slice slice, float *to, size_t count);

/* cmocka's setup and teardown: a fresh machine; nothing held, nothing misused, the thread without a context. */
int cuda_setup(void **state);
int cuda_teardown(void **state);
#define cuda_test(name) cmocka_unit_test_setup_teardown(name, cuda_setup, cuda_teardown)
void cuda_expect_idle(void);

/* Says SKIP, and why, where there is neither the stand-in nor a GPU. */
bool cuda_is_here(void);

#endif
