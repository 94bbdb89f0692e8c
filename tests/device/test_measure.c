/* What a device could do at most: ce_device_measure, and the slot of the table behind it. */
#include "device/cases.h"

#include "device/ref/ref.h"
#include "device/sim/sim.h"

#include <crossenc/model.h>

#include <string.h>

static int fresh_machine(void **state) {
    (void)state;
    cei_sim_reset();
    return 0;
}

static ce_device_speed measured(const char *device, ce_measure_options options) {
    ce_device_speed speed = {.size = sizeof speed};
    ce_error error = {0};
    options.size = sizeof options;
    expect_ok(ce_device_measure(device, &options, &speed, &error), &error);
    return speed;
}

static void test_products_and_reading(void **state) {
    (void)state;
    const ce_device_speed speed = measured("cpu", (ce_measure_options){.threads = 1});
    assert_string_equal(speed.device, "cpu");
    assert_int_equal(speed.size, sizeof speed);
    assert_int_equal(speed.threads, 1);
    /* From what an emulator does on a slow day to what no core of this decade does. */
    assert_true(speed.flops > 1e6 && speed.flops < 1e14);
    assert_true(speed.bandwidth > 1e6 && speed.bandwidth < 1e13);
    assert_true(speed.milliseconds > 0);
}

static void test_products_alone(void **state) {
    (void)state;
    const ce_measure_options options = {.threads = 1, .skip_bandwidth = true, .precision = CE_PRECISION_FLOAT32};
    const ce_device_speed speed = measured("cpu", options);
    assert_true(speed.flops > 0);
    assert_true(speed.bandwidth == 0);
}

static void test_defaults(void **state) {
    (void)state;
    ce_device_speed speed = {.size = sizeof speed};
    ce_error error = {0};
    expect_ok(ce_device_measure(NULL, NULL, &speed, &error), &error);
    assert_string_equal(speed.device, "cpu");
    assert_int_equal(speed.threads, cei_usable_cpus());
    assert_true(speed.flops > 0 && speed.bandwidth > 0);
}

/* The figure follows the instructions: a wider tier does more at once, by far more than a measurement errs. */
static void test_tiers(void **state) {
    (void)state;
    tier_require(&tiers[1]);
    const ce_device_speed wide = measured("cpu", (ce_measure_options){.threads = 1, .skip_bandwidth = true});
    const ce_device_speed narrow =
        measured("cpu", (ce_measure_options){.threads = 1, .skip_bandwidth = true, .cpu_disable = CE_CPU_AVX2});
    assert_true(wide.flops > 1.5 * narrow.flops);
}

static void test_what_cannot_be_measured(void **state) {
    (void)state;
    ce_device_speed speed = {.size = sizeof speed, .flops = 42};
    ce_measure_options options = {.size = sizeof options};
    ce_error error = {0};
    expect_status(ce_device_measure("gpu", &options, &speed, &error), CE_ERR_DEVICE_NAME, &error, "\"gpu\"");
    expect_status(ce_device_measure("cuda:0", &options, &speed, &error), CE_ERR_DEVICE_ABSENT, &error, "cuda");
    cei_sim_set_devices(1);
    expect_status(ce_device_measure("sim:0", &options, &speed, &error), CE_ERR_UNSUPPORTED, &error, "sim:0");
    assert_int_equal(cei_sim_count(0).devices, 0);
    options.precision = (ce_precision)99;
    expect_status(ce_device_measure("cpu", &options, &speed, &error), CE_ERR_UNSUPPORTED, &error, "precision 99");
    assert_true(speed.flops == 42 && speed.device[0] == '\0');
}

static void test_wrong_calls(void **state) {
    (void)state;
    ce_device_speed speed = {.size = sizeof speed};
    ce_measure_options options = {.size = sizeof options, .threads = 4097};
    ce_error error = {0};
    expect_status(ce_device_measure("cpu", &options, &speed, &error), CE_ERR_ARGUMENT, &error, "4097");
    expect_status(ce_device_measure("cpu", &options, NULL, &error), CE_ERR_ARGUMENT, &error, "speed is NULL");
    options.size = 0;
    expect_status(ce_device_measure("cpu", &options, &speed, &error), CE_ERR_ARGUMENT, &error, "ce_measure_options");
    speed.size = 1;
    expect_status(ce_device_measure("cpu", NULL, &speed, &error), CE_ERR_ARGUMENT, &error, "ce_device_speed");
    expect_status(ce_device_measure("gpu", NULL, &speed, NULL), CE_ERR_ARGUMENT, NULL, NULL);
}

/* A device that leaves the slot empty: the reference, which has no name and is reached from inside alone. */
static void test_an_empty_slot(void **state) {
    (void)state;
    ce_device_speed speed = {.size = sizeof speed};
    ce_error error = {0};
    cei_device *device = NULL;
    expect_ok(cei_ref_open(NULL, &device, &error), &error);
    expect_status(cei_device_measure(device, CE_PRECISION_DEFAULT, true, &speed, &error), CE_ERR_UNSUPPORTED, &error,
                  "cannot be measured");
    cei_device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_products_and_reading, fresh_machine),
        cmocka_unit_test_setup(test_products_alone, fresh_machine),
        cmocka_unit_test_setup(test_defaults, fresh_machine),
        cmocka_unit_test_setup(test_tiers, fresh_machine),
        cmocka_unit_test_setup(test_what_cannot_be_measured, fresh_machine),
        cmocka_unit_test_setup(test_wrong_calls, fresh_machine),
        cmocka_unit_test_setup(test_an_empty_slot, fresh_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
