/* test_finding.c - which OpenCL devices there are, why there are none, and what auto makes of them. Nothing is opened:
 * these cases need the shim alone, but for those that say so. */
#define _GNU_SOURCE /* RTLD_NOLOAD */
#include "opencl/stage.h"

#include "device/device.h"
#include "device/opencl/api.h"

#include <crossenc/device.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static shim_state *shim;

static int setup(void **state) {
    (void)state;
    unsetenv("LOCAL_RANK");
    shim = stage_open();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    stage_calm(shim);
    return 0;
}

static void expect_absent(const char *name, const char *part) {
    ce_error error = {0};
    cei_device_id id;
    expect_status(cei_device_resolve(name, 0, &id, &error), CE_ERR_DEVICE_ABSENT, &error, part);
}

static const ce_device_info *find(const ce_device_info *infos, size_t count, const char *id) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(infos[i].id, id) == 0) return &infos[i];
    return NULL;
}

/* What ce_devices says of a kind that cannot be used. */
static void expect_reason(const char *part) {
    ce_device_info infos[16];
    size_t count = 0;
    ce_error error = {0};
    expect_ok(ce_devices(infos, 16, &count, &error), &error);
    const ce_device_info *opencl = find(infos, count, "opencl");
    assert_non_null(opencl);
    assert_false(opencl->usable);
    if (!strstr(opencl->reason, part)) fail_msg("the reason is: %s", opencl->reason);
}

static void test_no_library(void **state) {
    (void)state;
    setenv("CROSSENC_OPENCL_LIBRARY", "/nowhere/libOpenCL.so.1", 1);
    expect_absent("opencl", "/nowhere/libOpenCL.so.1");
    expect_reason("ocl-icd-libopencl1");
    setenv("CROSSENC_OPENCL_LIBRARY", "libm.so.6", 1);
    expect_absent("opencl:0", "libm.so.6 has no clGetPlatformIDs");
    setenv("CROSSENC_OPENCL_LIBRARY", "", 1);
    expect_reason("switched off");
}

/* Whether files of such names and contents, which name drivers, are worth starting these for auto. */
static bool is_worth_starting(const char *const files[][2], size_t count) {
    char *folder = test_make_folder();
    for (size_t i = 0; i < count; i++) test_write_file(folder, files[i][0], files[i][1], strlen(files[i][1]));
    const bool found = cei_opencl_folder_suits_auto(folder);
    test_remove_folder(folder);
    return found;
}

static void test_drivers_of_processors_are_not_started_for_auto(void **state) {
    (void)state;
    static const char *const files[][2] = {{"pocl.icd", "libpocl.so.2.10.0"},
                                           {"intel64.icd", "/opt/intel/lib/libintelocl.so\n"},
                                           {"README", "libnvidia-opencl.so.1"},
                                           {"intel.icd", "/usr/lib/x86_64-linux-gnu/intel-opencl/libigdrcl.so\n"}};
    static const char *const nvidia[][2] = {{"nvidia.icd", "libnvidia-opencl.so.1\n"}};
    unsetenv("POCL_DEVICES");
    assert_false(is_worth_starting(files, 0));
    assert_false(is_worth_starting(files, 1));
    assert_false(is_worth_starting(files, 3)); /* only names that end so count */
    assert_true(is_worth_starting(files, 4));
    assert_true(is_worth_starting(nvidia, 1));
    assert_true(cei_opencl_folder_suits_auto("/nowhere")); /* the loader may know better */
    setenv("POCL_DEVICES", "cuda", 1);
    assert_true(is_worth_starting(files, 1));
    unsetenv("POCL_DEVICES");
}

static void test_auto_starts_what_is_named(void **state) {
    (void)state;
    cei_device_id id = {0};
    ce_error error = {0};
    assert_true(cei_opencl_may_suit_auto()); /* the shim is named as the library, whatever the files say */
    void *before = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_NOLOAD); /* the shim's, if it was asked already */
    const bool had_library = before != NULL;
    if (before) dlclose(before);
    unsetenv("CROSSENC_OPENCL_LIBRARY");
    setenv("OCL_ICD_VENDORS", "/nowhere", 1);
    assert_true(cei_opencl_may_suit_auto());
    unsetenv("OCL_ICD_VENDORS");
    const bool may = cei_opencl_may_suit_auto();
    expect_ok(cei_device_resolve("auto", 0, &id, &error), &error);
    if (!may) assert_string_not_equal(id.kind, "opencl");
    void *started = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_NOLOAD);
    if (!may && started && !had_library) fail_msg("auto has loaded OpenCL's library");
    if (started) dlclose(started);
}

static void test_no_driver(void **state) {
    (void)state;
    shim->no_platform = true;
    expect_absent("opencl", "has no driver");
    expect_reason("pocl-opencl-icd");
    stage_calm(shim);
    shim->fail_function = SHIM_clGetPlatformIDs;
    shim->fail_code = CL_OUT_OF_HOST_MEMORY;
    shim->fail_in = 1;
    expect_absent("opencl", "error -6");
}

static void test_no_device(void **state) {
    (void)state;
    stage_require_device();
    shim->no_device = true;
    expect_absent("opencl", "finds no device");
    expect_reason("video and render");
}

static void test_a_device_that_cannot_be_used(void **state) {
    (void)state;
    stage_require_device();
    shim->unavailable = true;
    expect_absent("opencl:0", "not available");
    expect_absent("opencl:77", "counted from 0");
}

static void test_what_a_device_says_of_itself(void **state) {
    (void)state;
    stage_require_device();
    ce_device_info infos[16];
    size_t count = 0;
    ce_error error = {0};
    shim->memory = 123456789;
    expect_ok(ce_devices(infos, 16, &count, &error), &error);
    const ce_device_info *info = find(infos, count, "opencl:0");
    assert_non_null(info);
    assert_true(info->usable && info->float32 && info->bfloat16 && info->int8 && info->float16);
    assert_true(info->name[0] && info->reason[0] == '\0');
    assert_int_equal(info->memory_total, 123456789);
    assert_int_equal(info->memory_free, 123456789);
    assert_non_null(strstr(info->features, "OpenCL-"));
    assert_non_null(strstr(info->features, "driver-"));
    assert_int_equal(shim->calls[SHIM_clCreateContext], 0); /* listing opens nothing */
}

/* A processor that poses as an OpenCL device is left to those who name it; a GPU goes before the cpu. */
static void test_auto_takes_accelerators_alone(void **state) {
    (void)state;
    stage_require_device();
    cei_device_id id;
    ce_error error = {0};
    ce_device_info info;
    expect_ok(cei_device_resolve("opencl:0", 0, &id, &error), &error);
    expect_ok(cei_device_probe(id, &info, &error), &error);
    expect_ok(cei_device_resolve("auto", 0, &id, &error), &error);
    if (strncmp(info.features, "cpu ", 4) == 0) assert_string_equal(id.kind, "cpu");
    shim->is_gpu = true;
    expect_ok(cei_device_resolve("auto", 0, &id, &error), &error);
    assert_string_equal(id.kind, "opencl");
    expect_ok(cei_device_resolve("auto", 1, &id, &error), &error);
    assert_string_equal(id.kind, "cpu");
    setenv("LOCAL_RANK", "9", 1);
    expect_status(cei_device_resolve("auto", 0, &id, &error), CE_ERR_DEVICE_ABSENT, &error, "LOCAL_RANK is 9");
    shim->is_gpu = false; /* processors are not what it counts */
    expect_ok(cei_device_resolve("auto", 0, &id, &error), &error);
    assert_string_equal(id.kind, "cpu");
}

#define finding_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        finding_test(test_no_library),
        finding_test(test_drivers_of_processors_are_not_started_for_auto),
        finding_test(test_auto_starts_what_is_named),
        finding_test(test_no_driver),
        finding_test(test_no_device),
        finding_test(test_a_device_that_cannot_be_used),
        finding_test(test_what_a_device_says_of_itself),
        finding_test(test_auto_takes_accelerators_alone),
    };
    return cmocka_run_group_tests_name("finding opencl devices", tests, NULL, NULL);
}
