/* test_peak.c - host memory while a model of several hundred MB is loaded onto a device with memory of its own: the
 * process never holds more than 64 MB beside what it started with and what the device holds.
 *
 * sim:N's memory is this process's too, and is counted: before it is taken by itself, and then together with it. The
 * file is a hole, which costs no disk; its pages count like others when they are read. */
#include "placement/scene.h"

#include "support/failing_malloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MB ((uint64_t)1000 * 1000)
#define BOUND (64 * MB)

/* The number behind key in /proc/self/status, in bytes. */
static uint64_t read_status(const char *key) {
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) kib = strtoull(line + strlen(key), NULL, 10);
    fclose(file);
    return kib * 1024;
}

/* The most that the process has held begins anew with what it holds now. */
static void forget_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (!file || fputs("5", file) < 0 || fclose(file) != 0) {
        print_message("SKIP: this system does not let a process forget its peak of memory\n");
        skip();
    }
}

static uint64_t peak_before_device; /* 0 until the device is asked for memory */

static void note_first_allocation(void *user, int index, cei_sim_call call, cei_op op) {
    (void)user, (void)index, (void)op;
    if (call == CEI_SIM_ALLOCATE && peak_before_device == 0) peak_before_device = read_status("VmHWM:");
}

static int setup_large(void **state) {
    scene_setup(state);
    scene_shape.hidden = 1024;
    scene_shape.intermediate = 4096;
    scene_shape.layers = 6;
    scene_shape.heads = 16;
    scene_shape.hollow = true;
    scene_write();
    return 0;
}

static void test_a_load_holds_little_beside_the_device(void **state) {
    (void)state;
    if (!failing_malloc_works()) {
        print_message("SKIP: under a sanitizer or Valgrind a process holds more than its own\n");
        skip();
    }
    ce_error error = {0};
    ce_model *model = NULL;
    ce_load_options options = scene_options("sim:0");
    options.threads = 2;
    cei_sim_set_memory(0, 1000 * MB);
    forget_peak();
    const uint64_t start = read_status("VmHWM:");
    peak_before_device = 0;
    cei_sim_set_hook(note_first_allocation, NULL);
    expect_ok(ce_model_load(scene_folder, &options, &model, &error), &error);
    cei_sim_set_hook(NULL, NULL);
    const uint64_t peak = read_status("VmHWM:"), held = cei_sim_count(0).peak_bytes;
    const ce_placement_report report = scene_report(model);
    assert_true(report.weight_bytes > 300 * MB && held >= report.weight_bytes);
    assert_true(report.staging_bytes > 0 && report.staging_bytes < BOUND);
    if (peak_before_device - start > BOUND || peak - start > held + BOUND)
        fail_msg("of a model of %" PRIu64 " bytes the reference held %" PRIu64 " and the upload %" PRIu64
                 " beside the device's",
                 report.weight_bytes, peak_before_device - start, peak - start - held);
    print_message("the reference held %" PRIu64 " KiB; at the peak %" PRId64
                  " KiB beside the device's; staging %" PRIu64 " KiB\n",
                  (peak_before_device - start) / 1024, (int64_t)(peak - start - held) / 1024,
                  report.staging_bytes / 1024);
    ce_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_load_holds_little_beside_the_device, setup_large, scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
