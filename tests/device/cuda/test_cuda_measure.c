/* What cuda:0 could do at most: each precision, with and without tensor cores, and reading; each call of the driver
 * failing in turn. The figures are the emulator's, which is slow; that there are any, and that nothing is left, counts.
 */
#include "device/cuda/cuda_cases.h"

#include <math.h>

static const ce_precision precisions[] = {CE_PRECISION_FLOAT32, CE_PRECISION_BFLOAT16, CE_PRECISION_INT8,
                                          CE_PRECISION_FLOAT16};

static ce_status try_measure(ce_precision precision, bool skip, ce_device_speed *speed, ce_error *error) {
    const ce_measure_options options = {
        .size = sizeof options, .threads = 1, .precision = precision, .skip_bandwidth = skip};
    *speed = (ce_device_speed){.size = sizeof *speed};
    return ce_device_measure("cuda:0", &options, speed, error);
}

static void test_measure(void **state) {
    (void)state;
    ce_device_speed speed;
    ce_error error = {0};
    for (int capability = 7; capability <= 9; capability++)
        for (size_t p = 0; p < sizeof precisions / sizeof *precisions; p++) {
            fake_set_capability(capability, 0);
            fake_set_processors(1); /* there is less to do for the emulator */
            expect_ok(try_measure(precisions[p], p > 0, &speed, &error), &error);
            assert_string_equal(speed.device, "cuda:0");
            assert_true(isfinite(speed.flops) && speed.flops > 0);
            assert_true(isfinite(speed.bandwidth) && (speed.bandwidth > 0) == (p == 0));
            cuda_expect_idle();
        }
}

static void test_each_call_fails_in_turn(void **state) {
    (void)state;
    enum { INVALID_VALUE = 1 };
    static const fake_call calls[] = {FAKE_memory_alloc, FAKE_stream_create, FAKE_launch, FAKE_memory_info};
    const cei_device_options options = {0};
    cei_device *device = NULL;
    ce_device_speed speed;
    ce_error error = {0};
    expect_ok(cei_device_open((cei_device_id){"cuda", 0}, &options, &device, &error), &error);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (uint64_t nth = 1; nth <= (calls[i] == FAKE_memory_alloc ? 2 : 1); nth++) {
            const fake_held before = fake_holds();
            fake_fail(calls[i], nth, INVALID_VALUE);
            expect_status(cei_device_measure(device, CE_PRECISION_FLOAT32, true, &speed, &error), CE_ERR_DEVICE_FAULT,
                          &error, "cuda:0");
            assert_true(fake_holds().allocations == before.allocations && fake_holds().streams == before.streams);
        }
    expect_status(cei_device_measure(device, (ce_precision)99, true, &speed, &error), CE_ERR_UNSUPPORTED, &error, "99");
    fake_break(1, CEI_CUDA_LAUNCH_FAILED);
    expect_status(cei_device_measure(device, CE_PRECISION_INT8, true, &speed, &error), CE_ERR_DEVICE_LOST, &error,
                  "cuda:0");
    expect_status(cei_device_measure(device, CE_PRECISION_INT8, true, &speed, &error), CE_ERR_DEVICE_LOST, &error,
                  "was lost");
    cei_device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_measure),
        cuda_test(test_each_call_fails_in_turn),
    };
    return cmocka_run_group_tests_name("measuring cuda", tests, NULL, NULL);
}
