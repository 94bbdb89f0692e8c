/* test_sim_names.c - names of devices: every form, what auto takes, what ce_devices lists, what the messages say. */
#include "support/support.h"

#include "device/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static int fresh_machine(void **state) {
    (void)state;
    cei_sim_reset();
    unsetenv("LOCAL_RANK");
    setenv("CROSSENC_OPENCL_LIBRARY", "", 1); /* what this machine has of OpenCL is not the matter */
    return 0;
}

static void expect_resolves(const char *name, size_t skip, const char *kind, int index) {
    ce_error error = {0};
    cei_device_id id = {0};
    expect_ok(cei_device_resolve(name, skip, &id, &error), &error);
    assert_string_equal(id.kind, kind);
    assert_int_equal(id.index, index);
}

static void expect_fails(const char *name, ce_status want, const char *part) {
    ce_error error = {0};
    cei_device_id id = {0};
    expect_status(cei_device_resolve(name, 0, &id, &error), want, &error, part);
    assert_int_equal(error.status, want);
}

static void test_names_that_resolve(void **state) {
    (void)state;
    cei_sim_set_devices(3);
    expect_resolves("cpu", 0, "cpu", 0);
    expect_resolves("cpu:0", 0, "cpu", 0);
    expect_resolves("sim", 0, "sim", 0);
    expect_resolves("sim:0", 0, "sim", 0);
    expect_resolves("sim:2", 0, "sim", 2);
    expect_resolves("sim:000002", 0, "sim", 2);
}

static void test_canonical_names(void **state) {
    (void)state;
    char name[CE_DEVICE_ID_SIZE];
    cei_device_format((cei_device_id){"cpu", 0}, name);
    assert_string_equal(name, "cpu");
    cei_device_format((cei_device_id){"cuda", 0}, name);
    assert_string_equal(name, "cuda:0");
    cei_device_format((cei_device_id){"opencl", 12}, name);
    assert_string_equal(name, "opencl:12");
}

static void test_what_is_no_name(void **state) {
    (void)state;
    static const char *const wrong[] = {"",         "CPU",         "Cuda",
                                        "gpu",      "cuda:",       "cuda:-1",
                                        "cuda:+1",  "cuda: 1",     "cuda:1 ",
                                        "cuda:1x",  "cuda:x",      "cuda:0x1",
                                        "cuda0",    "cuda.0",      " cuda",
                                        "cuda ",    "cuda::1",     ":0",
                                        "cuda:0:1", "auto:0",      "AUTO",
                                        "cp",       "cpux",        "mps",
                                        "cpu,cuda", "sim:1234567", "cuda:99999999999999999999",
                                        "\xC3\xBC", "cpu\n"};
    cei_sim_set_devices(1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_fails(wrong[i], CE_ERR_DEVICE_NAME, "auto, cpu, cuda, cuda:N, opencl, opencl:N");
        assert_false(cei_device_is_auto(wrong[i]));
    }
    expect_fails("gpu", CE_ERR_DEVICE_NAME, "\"gpu\"");
}

static void test_a_long_name_is_cut_in_the_message(void **state) {
    (void)state;
    char name[4096];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    expect_fails(name, CE_ERR_DEVICE_NAME, "valid are");
}

static void test_absent_devices_say_why_and_what_can_be_used(void **state) {
    (void)state;
    expect_fails("cuda", CE_ERR_DEVICE_ABSENT, "CUDA");
    expect_fails("cuda:3", CE_ERR_DEVICE_ABSENT, "device cuda:3 cannot be used");
    expect_fails("opencl", CE_ERR_DEVICE_ABSENT, "OpenCL");
    expect_fails("opencl:0", CE_ERR_DEVICE_ABSENT, "usable here: cpu");
    expect_fails("cpu:1", CE_ERR_DEVICE_ABSENT, "there is 1 cpu device, counted from 0");
    expect_fails("sim:0", CE_ERR_DEVICE_ABSENT, "sim:0");
    cei_sim_set_devices(2);
    expect_fails("sim:2", CE_ERR_DEVICE_ABSENT, "there are 2 sim devices, counted from 0");
    expect_fails("sim:999999", CE_ERR_DEVICE_ABSENT, "usable here: sim:0, sim:1, cpu");
    cei_sim_set_unusable(1, "its driver is too old: update it");
    expect_fails("sim:1", CE_ERR_DEVICE_ABSENT, "its driver is too old: update it");
    expect_resolves("sim:0", 0, "sim", 0);
}

static void test_auto_prefers_accelerators(void **state) {
    (void)state;
    assert_true(cei_device_is_auto(NULL));
    assert_true(cei_device_is_auto("auto"));
    expect_resolves("auto", 0, "cpu", 0);
    expect_resolves(NULL, 0, "cpu", 0);
    cei_sim_set_devices(2);
    expect_resolves("auto", 0, "sim", 0);
    expect_resolves(NULL, 0, "sim", 0);
    expect_resolves("auto", 1, "cpu", 0);
    ce_error error = {0};
    cei_device_id id;
    expect_status(cei_device_resolve("auto", 2, &id, &error), CE_ERR_DEVICE_ABSENT, &error, "auto");
}

static void test_auto_passes_over_what_is_not_usable(void **state) {
    (void)state;
    cei_sim_set_devices(1);
    cei_sim_set_unusable(0, "broken");
    expect_resolves("auto", 0, "cpu", 0);
    cei_sim_set_unusable(0, NULL);
    expect_resolves("auto", 0, "sim", 0);
}

static void test_local_rank_picks_the_index(void **state) {
    (void)state;
    cei_device_id id;
    ce_error error = {0};
    cei_sim_set_devices(2);
    setenv("LOCAL_RANK", "1", 1);
    expect_resolves("auto", 0, "sim", 1);
    expect_resolves("auto", 1, "cpu", 0);
    expect_resolves("sim", 0, "sim", 0); /* a name that was given is not changed */
    setenv("LOCAL_RANK", "2", 1);        /* more processes than devices */
    expect_status(cei_device_resolve("auto", 0, &id, &error), CE_ERR_DEVICE_ABSENT, &error,
                  "LOCAL_RANK is 2, and there are 2 sim devices");
    cei_sim_set_unusable(0, "out of order");
    cei_sim_set_unusable(1, "out of order");
    expect_resolves("auto", 0, "cpu", 0); /* as without it */
    cei_sim_set_unusable(0, NULL);
    cei_sim_set_unusable(1, NULL);
    cei_sim_set_devices(0);
    expect_resolves("auto", 0, "cpu", 0);
    cei_sim_set_devices(2);
    setenv("LOCAL_RANK", "one", 1);
    expect_resolves("auto", 0, "sim", 0);
    setenv("LOCAL_RANK", "", 1);
    expect_resolves("auto", 0, "sim", 0);
    setenv("LOCAL_RANK", "-1", 1);
    expect_resolves("auto", 0, "sim", 0);
}

static const ce_device_info *find(const ce_device_info *infos, size_t count, const char *id) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(infos[i].id, id) == 0) return &infos[i];
    return NULL;
}

static void test_devices_lists_what_is_there_and_why_not(void **state) {
    (void)state;
    ce_device_info infos[16];
    size_t count = 0;
    ce_error error = {0};
    expect_ok(ce_devices(infos, 16, &count, &error), &error);
    assert_int_equal(count, 3);
    assert_string_equal(infos[0].id, "cuda");
    assert_false(infos[0].usable);
    assert_non_null(strstr(infos[0].reason, "CUDA"));
    assert_string_equal(infos[1].id, "opencl");
    assert_false(infos[1].usable);
    assert_string_equal(infos[2].id, "cpu");
    assert_true(infos[2].usable);
    assert_string_equal(infos[2].reason, "");
    assert_true(infos[2].float32);
    assert_true(infos[2].memory_total > 0);
    assert_true(infos[2].memory_free <= infos[2].memory_total);

    cei_sim_set_devices(2);
    cei_sim_set_memory(1, 1000);
    cei_sim_set_unusable(1, "switched off");
    expect_ok(ce_devices(infos, 16, &count, &error), &error);
    assert_int_equal(count, 5);
    const ce_device_info *off = find(infos, count, "sim:1");
    assert_non_null(off);
    assert_false(off->usable);
    assert_string_equal(off->reason, "switched off");
    assert_int_equal(off->memory_total, 1000);
    assert_true(find(infos, count, "sim:0")->usable);
    assert_ptr_equal(find(infos, count, "cpu"), &infos[4]); /* the last choice */
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_OPEN], 0);
}

static void test_devices_counts_beyond_capacity(void **state) {
    (void)state;
    ce_device_info infos[2];
    size_t count = 0;
    ce_error error = {0};
    memset(infos, 0x55, sizeof infos);
    expect_ok(ce_devices(infos, 1, &count, &error), &error);
    assert_int_equal(count, 3);
    assert_string_equal(infos[0].id, "cuda");
    assert_int_equal(infos[1].id[0], 0x55);
    count = 0;
    expect_ok(ce_devices(NULL, 0, &count, &error), &error);
    assert_int_equal(count, 3);
    expect_status(ce_devices(NULL, 1, &count, &error), CE_ERR_ARGUMENT, &error, "infos");
    expect_status(ce_devices(infos, 1, NULL, &error), CE_ERR_ARGUMENT, &error, "count");
    expect_status(ce_devices(infos, 1, NULL, NULL), CE_ERR_ARGUMENT, NULL, NULL);
}

static void test_probe_and_open_of_what_is_not_there(void **state) {
    (void)state;
    ce_error error = {0};
    ce_device_info info;
    cei_device *device = NULL;
    cei_device_options options = {0};
    expect_status(cei_device_probe((cei_device_id){"cuda", 0}, &info, &error), CE_ERR_DEVICE_ABSENT, &error, "cuda:0");
    expect_status(cei_device_open((cei_device_id){"cuda", 0}, &options, &device, &error), CE_ERR_DEVICE_ABSENT, &error,
                  "cuda");
    assert_null(device);
    cei_sim_set_devices(1);
    cei_sim_set_unusable(0, "switched off");
    expect_status(cei_device_probe((cei_device_id){"sim", 0}, &info, &error), CE_ERR_DEVICE_ABSENT, &error,
                  "switched off");
    cei_sim_set_unusable(0, NULL);
    cei_sim_set_memory(0, 12345);
    expect_ok(cei_device_probe((cei_device_id){"sim", 0}, &info, &error), &error);
    assert_string_equal(info.id, "sim:0");
    assert_int_equal(info.memory_total, 12345);
    assert_int_equal(info.memory_free, 12345);
}

#define names_test(name) cmocka_unit_test_setup(name, fresh_machine)

int main(void) {
    const struct CMUnitTest tests[] = {
        names_test(test_names_that_resolve),
        names_test(test_canonical_names),
        names_test(test_what_is_no_name),
        names_test(test_a_long_name_is_cut_in_the_message),
        names_test(test_absent_devices_say_why_and_what_can_be_used),
        names_test(test_auto_prefers_accelerators),
        names_test(test_auto_passes_over_what_is_not_usable),
        names_test(test_local_rank_picks_the_index),
        names_test(test_devices_lists_what_is_there_and_why_not),
        names_test(test_devices_counts_beyond_capacity),
        names_test(test_probe_and_open_of_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
