/* The driver's library: not there, too old, without a device, without a function; and what a device says of itself. */
#include "device/cuda/cuda_cases.h"

#include <stdlib.h>
#include <string.h>

static const cei_device_id cuda0 = {"cuda", 0};

static void test_no_library(void **state) {
    (void)state;
    cei_cuda_api api;
    char reason[256] = "";
    assert_false(cei_cuda_api_open("libcuda-that-is-not-there.so.1", &api, reason, sizeof reason));
    assert_non_null(strstr(reason, "install NVIDIA's driver"));
    assert_null(api.library);
}

static void test_a_library_without_a_function(void **state) {
    (void)state;
    cei_cuda_api api;
    char reason[256] = "";
    assert_false(cei_cuda_api_open("libm.so.6", &api, reason, sizeof reason));
    assert_non_null(strstr(reason, "lacks cuGetErrorName"));
    assert_null(api.library);
}

static void expect_absent(const char *part) {
    cei_device_id id;
    ce_device_info infos[8];
    size_t count;
    ce_error error = {0};
    expect_status(cei_device_resolve("cuda", 0, &id, &error), CE_ERR_DEVICE_ABSENT, &error, part);
    expect_ok(ce_devices(infos, 8, &count, &error), &error);
    assert_string_equal(infos[0].id, "cuda");
    assert_false(infos[0].usable);
    assert_non_null(strstr(infos[0].reason, part));
    expect_ok(cei_device_resolve("auto", 0, &id, &error), &error);
    assert_string_equal(id.kind, "cpu");
}

static void test_no_device(void **state) {
    (void)state;
    fake_set_devices(0);
    expect_absent("CUDA_VISIBLE_DEVICES");
}

static void test_an_old_driver(void **state) {
    (void)state;
    fake_set_version(10020);
    expect_absent("too old: it has CUDA 10.2, and 11.0 is needed");
}

static void test_a_driver_that_does_not_start(void **state) {
    (void)state;
    static const struct {
        cei_cuda_result result;
        const char *part;
    } cases[] = {{CEI_CUDA_NOT_INITIALIZED, "forked"},  {CEI_CUDA_STUB_LIBRARY, "stub"},
                 {CEI_CUDA_DRIVER_MISMATCH, "reboot"},  {CEI_CUDA_NOT_COMPATIBLE, "newer"},
                 {CEI_CUDA_SYSTEM_NOT_READY, "fabric"}, {CEI_CUDA_OPERATING_SYSTEM, "permissions"},
                 {CEI_CUDA_UNKNOWN, "nvidia-smi"}};
    cei_device_id id;
    ce_error error = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_fail(FAKE_init, 1, cases[i].result);
        expect_status(cei_device_resolve("cuda:0", 0, &id, &error), CE_ERR_DEVICE_ABSENT, &error, cases[i].part);
    }
    expect_ok(cei_device_resolve("cuda:0", 0, &id, &error), &error);
}

static void test_an_index_beyond_the_devices(void **state) {
    (void)state;
    cei_device_id id;
    ce_error error = {0};
    expect_status(cei_device_resolve("cuda:2", 0, &id, &error), CE_ERR_DEVICE_ABSENT, &error,
                  "there are 2 cuda devices");
}

static void test_auto_and_local_rank(void **state) {
    (void)state;
    cei_device_id id;
    ce_error error = {0};
    setenv("LOCAL_RANK", "1", 1);
    expect_ok(cei_device_resolve("auto", 0, &id, &error), &error);
    unsetenv("LOCAL_RANK");
    assert_string_equal(id.kind, "cuda");
    assert_int_equal(id.index, 1);
}

/* A probe takes no context, and says how much is free only where the process has one. */
static void test_probe(void **state) {
    (void)state;
    ce_device_info info;
    ce_error error = {0};
    expect_ok(cei_device_probe((cei_device_id){"cuda", 1}, &info, &error), &error);
    assert_string_equal(info.id, "cuda:1");
    assert_string_equal(info.name, "Fake GPU 1");
    assert_string_equal(info.features, "sm_80 driver_cuda_12.4");
    assert_true(info.usable && info.float32);
    assert_int_equal(info.memory_total, 64 << 20);
    assert_int_equal(info.memory_free, 0);
    assert_int_equal(fake_count(FAKE_context_retain), 0);
    cuda_bench b = cuda_open((cei_stream_limits){8, 8, 8, 8, false});
    expect_ok(cei_device_probe(cuda0, &info, &error), &error);
    assert_in_range(info.memory_free, 1, (64 << 20) - 1);
    ce_device_info status;
    expect_ok(cei_device_status(b.device, &status, &error), &error);
    assert_int_equal(status.memory_free, info.memory_free);
    cuda_close(&b);
}

static void test_a_device_that_cannot_be_used(void **state) {
    (void)state;
    ce_device_info info;
    ce_error error = {0};
    fake_set_capability(6, 1);
    expect_status(cei_device_probe(cuda0, &info, &error), CE_ERR_DEVICE_ABSENT, &error, "compute capability is 6.1");
    fake_set_capability(8, 0);
    fake_set_attribute(CEI_CUDA_COMPUTE_MODE, CEI_CUDA_COMPUTE_PROHIBITED);
    expect_status(cei_device_probe(cuda0, &info, &error), CE_ERR_DEVICE_ABSENT, &error, "prohibited");
}

/* Each call of opening fails in turn, with each kind of error, and leaves nothing. */
static void test_each_call_of_opening_fails_in_turn(void **state) {
    (void)state;
    static const cei_cuda_result results[] = {CEI_CUDA_OUT_OF_MEMORY, 1, CEI_CUDA_UNKNOWN};
    const cei_device_options options = {0};
    cei_device *device = NULL;
    ce_error error = {0};
    for (int call = FAKE_init; call < FAKE_CALLS; call++) {
        if (call == FAKE_context_pop) continue;
        fake_reset();
        expect_ok(cei_device_open(cuda0, &options, &device, &error), &error);
        const uint64_t calls = fake_count((fake_call)call);
        cei_device_close(device);
        for (uint64_t nth = 1; nth <= calls; nth++)
            for (size_t i = 0; i < 3; i++) {
                fake_fail((fake_call)call, nth, results[i]);
                const ce_status status = cei_device_open(cuda0, &options, &device, &error);
                if (call != FAKE_device_attribute && (call != FAKE_module_load || !cuda_has_cubin())) {
                    assert_int_not_equal(status, CE_OK);
                    assert_non_null(strstr(error.message, "cuda"));
                }
                cei_device_close(status == CE_OK ? device : NULL);
                cuda_expect_idle();
            }
    }
}

static void test_an_image_that_the_driver_refuses(void **state) {
    (void)state;
    const cei_device_options options = {0};
    cei_device *device = NULL;
    ce_error error = {0};
    fake_set_cubins(false);
    fake_fail(FAKE_module_load, cuda_has_cubin() ? 2 : 1, CEI_CUDA_OLD_PTX);
    expect_status(cei_device_open(cuda0, &options, &device, &error), CE_ERR_DEVICE_FAULT, &error,
                  "ptxas of the fake: no; install a newer NVIDIA driver");
    assert_null(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_no_library),
        cuda_test(test_a_library_without_a_function),
        cuda_test(test_no_device),
        cuda_test(test_an_old_driver),
        cuda_test(test_a_driver_that_does_not_start),
        cuda_test(test_an_index_beyond_the_devices),
        cuda_test(test_auto_and_local_rank),
        cuda_test(test_probe),
        cuda_test(test_a_device_that_cannot_be_used),
        cuda_test(test_each_call_of_opening_fails_in_turn),
        cuda_test(test_an_image_that_the_driver_refuses),
    };
    return cmocka_run_group_tests_name("cuda driver", tests, NULL, NULL);
}
