/* cuda_cases.c - see cuda_cases.h. */
#include "device/cuda/cuda_cases.h"

#include "device/cuda/images.h"

#include <stdlib.h>
#include <string.h>

enum { MARGIN = 64 };
static const float canary = 12345.678f;

cuda_bench cuda_open(cei_stream_limits limits) {
    cuda_bench b = {0};
    const cei_device_options options = {0};
    expect_ok(cei_device_open((cei_device_id){"cuda", 0}, &options, &b.device, &b.error), &b.error);
    expect_ok(cei_stream_create(b.device, &limits, &b.stream, &b.error), &b.error);
    return b;
}

bool cuda_has_cubin(void) { return cei_cuda_image_for(cei_cuda_images, 80, true) != NULL; }

void cuda_close(cuda_bench *b) {
    while (b->count > 0) cei_buffer_free(b->buffers[--b->count]);
    cei_stream_free(b->stream);
    cei_device_close(b->device);
}

static cei_slice reserve(cuda_bench *b, size_t bytes) {
    assert_true(b->count < sizeof b->buffers / sizeof *b->buffers);
    expect_ok(cei_buffer_create(b->device, bytes, &b->buffers[b->count], &b->error), &b->error);
    return (cei_slice){b->buffers[b->count++], 0};
}

cei_slice cuda_put(cuda_bench *b, const void *from, size_t bytes) {
    const cei_slice slice = reserve(b, bytes);
    expect_ok(cei_write(b->stream, slice, from, bytes, &b->error), &b->error);
    return slice;
}

cei_weight cuda_put_weight(cuda_bench *b, cei_role role, cei_format format, size_t rows, size_t columns,
                           const float *values, const float *scales) {
    cei_weight weight = {role, rows, columns, {0}, format, false};
    const size_t bytes = cei_weight_bytes(b->device, &weight);
    assert_true(bytes % CEI_BUFFER_ALIGNMENT == 0);
    weight.at = reserve(b, bytes);
    expect_ok(cei_weight_write(b->device, &weight, 0, rows, values, scales, &b->error), &b->error);
    return weight;
}

cei_slice cuda_put_result(cuda_bench *b, size_t count) {
    float *values = malloc((count + 2 * MARGIN) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count + 2 * MARGIN; i++) values[i] = canary;
    cei_slice slice = cuda_put(b, values, (count + 2 * MARGIN) * sizeof *values);
    free(values);
    slice.offset = MARGIN * sizeof(float);
    return slice;
}

void cuda_get_result(cuda_bench *b, cei_slice slice, float *to, size_t count) {
    const size_t bytes = (count + 2 * MARGIN) * sizeof(float);
    float *all = malloc(bytes);
    assert_non_null(all);
    expect_ok(cei_read(b->stream, all, (cei_slice){slice.buffer, 0}, bytes, &b->error), &b->error);
    for (size_t i = 0; i < MARGIN; i++)
        if (all[i] != canary || all[MARGIN + count + i] != canary) fail_msg("a result was written outside its place");
    memcpy(to, all + MARGIN, count * sizeof *to);
    free(all);
}

int cuda_setup(void **state) {
    (void)state;
    fake_reset();
    return 0;
}

void cuda_expect_idle(void) {
    const fake_held held = fake_holds();
    const char *what = "";
    if (fake_misuses(&what)) fail_msg("the driver was misused: %s", what);
    assert_int_equal(fake_depth(), 0);
    if (held.contexts + held.modules + held.allocations + held.pinned + held.streams > 0)
        fail_msg("held: %d contexts, %d modules, %d allocations, %d of pinned memory, %d streams", (int)held.contexts,
                 (int)held.modules, (int)held.allocations, (int)held.pinned, (int)held.streams);
}

int cuda_teardown(void **state) {
    (void)state;
    cuda_expect_idle();
    return 0;
}

bool cuda_is_here(void) {
    cei_device_id id;
    ce_error error = {0};
    if (cei_device_resolve("cuda:0", 0, &id, &error) == CE_OK) return true;
    print_message("SKIP: %s\n", error.message);
    return false;
}
