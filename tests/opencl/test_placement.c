/* test_placement.c - the placement contract on opencl:0: loads, moves, faults of every kind, loss, want of memory; each
 * through the shim, so that the driver's own ways are taken. */
#include "opencl/stage.h"

#include "device/device.h"
#include "placement/scene.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static shim_state *shim;
static int64_t objects; /* alive before a test */

static int setup(void **state) {
    scene_setup(state);
    scene_shape.layers = 1;
    scene_write();
    shim = stage_open();
    objects = shim->objects;
    return 0;
}

static int setup_bfloat16(void **state) {
    setup(state);
    scene_precision = CE_PRECISION_BFLOAT16;
    return 0;
}

static int setup_int8(void **state) {
    setup(state);
    scene_precision = CE_PRECISION_INT8;
    return 0;
}

static int setup_encoder(void **state) {
    scene_setup_encoder(state);
    scene_shape.layers = 1;
    scene_write();
    shim = stage_open();
    objects = shim->objects;
    return 0;
}

static int teardown(void **state) {
    stage_calm(shim);
    assert_int_equal(shim->objects, objects); /* nothing was left on the device */
    return scene_teardown(state);
}

static void move(ce_model *model, const char *device) {
    ce_error error = {0};
    expect_ok(ce_model_to(model, device, &error), &error);
}

/* ---- loading, moving --------------------------------------------------------------------------------------------- */

static void test_a_load_is_verified(void **state) {
    (void)state;
    stage_require_device();
    float on_cpu[SCENE_SCORES], found[SCENE_SCORES];
    scene_any cpu = scene_any_loaded("cpu"), any = scene_any_loaded("opencl");
    const ce_placement_report report = scene_any_report(any);
    assert_string_equal(report.device, "opencl:0");
    assert_true(report.device_name[0] && report.self_tested && report.tensors > 0);
    assert_int_equal(report.tensors_verified, report.tensors);
    scene_any_values(cpu, on_cpu);
    scene_any_values(any, found);
    scene_expect_near(found, on_cpu);
    for (int i = 0; i < 3; i++) scene_any_expect_values(any, found);
    ce_error error = {0};
    expect_ok(scene_any_check(any, NULL, &error), &error);
    scene_any_free(any);
    scene_any_free(cpu);
}

/* The files go while the model is there: on the way back its weights come from the device. */
static void test_moves_there_and_back(void **state) {
    (void)state;
    stage_require_device();
    float on_cpu[SCENE_SCORES], found[SCENE_SCORES];
    char path[512];
    ce_model *model = scene_load("cpu");
    scene_score(model, on_cpu);
    move(model, "opencl:0");
    scene_expect_state(model, CE_STATE_READY, "opencl:0", 2);
    scene_score(model, found);
    scene_expect_near(found, on_cpu);
    snprintf(path, sizeof path, "%s/model.safetensors", scene_folder);
    assert_int_equal(unlink(path), 0);
    move(model, "cpu");
    scene_expect_scores(model, on_cpu);
    assert_int_equal(shim->objects, objects);
    move(model, "opencl:0");
    scene_expect_scores(model, found);
    ce_model_free(model);
}

/* ---- under load ---------------------------------------------------------------------------------------------------
 */

typedef struct crowd {
    ce_model *model;
    float on_cpu[SCENE_SCORES], on_opencl[SCENE_SCORES];
    pthread_mutex_t lock;
    bool stop;
    size_t calls, wrong;
} crowd;

static bool note(crowd *all, bool good) {
    pthread_mutex_lock(&all->lock);
    all->calls++;
    all->wrong += !good;
    const bool stop = all->stop;
    pthread_mutex_unlock(&all->lock);
    return !stop;
}

static void *score_on(void *argument) {
    crowd *all = argument;
    float scores[SCENE_SCORES];
    bool good;
    do {
        good = scene_try_score(all->model, scores, NULL) == CE_OK &&
               (memcmp(scores, all->on_cpu, sizeof scores) == 0 || memcmp(scores, all->on_opencl, sizeof scores) == 0);
    } while (note(all, good));
    return NULL;
}

static void test_threads_score_while_the_model_moves(void **state) {
    (void)state;
    stage_require_device();
    enum { THREADS = 8, MOVES = 6 };
    crowd all = {.model = scene_load("cpu")};
    pthread_t threads[THREADS];
    pthread_mutex_init(&all.lock, NULL);
    scene_score(all.model, all.on_cpu);
    move(all.model, "opencl:0");
    scene_score(all.model, all.on_opencl);
    for (size_t i = 0; i < THREADS; i++) threads[i] = scene_start(score_on, &all);
    for (size_t i = 0; i < MOVES; i++) move(all.model, i % 2 ? "opencl:0" : "cpu");
    pthread_mutex_lock(&all.lock);
    all.stop = true;
    pthread_mutex_unlock(&all.lock);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_true(all.calls >= THREADS);
    assert_int_equal(all.wrong, 0);
    pthread_mutex_destroy(&all.lock);
    ce_model_free(all.model);
}

/* ---- steady state ---------------------------------------------------------------------------------------------------
 */

/* A batch sends its tokens and offsets, waits once, and makes nothing; weights stay where they are. */
static void test_a_batch_waits_once_and_makes_nothing(void **state) {
    (void)state;
    stage_require_device();
    float scores[SCENE_SCORES];
    ce_model *model = scene_load("opencl:0");
    scene_score(model, scores);
    const shim_state before = *shim;
    enum { CALLS = 5 };
    for (int i = 0; i < CALLS; i++) scene_expect_scores(model, scores);
    assert_int_equal(shim->waits - before.waits, CALLS); /* the scene's pairs are one batch */
    assert_int_equal(shim->objects, before.objects);
    for (int f = SHIM_clCreateContext; f <= SHIM_clReleaseKernel; f++)
        assert_int_equal(shim->calls[f], before.calls[f]);
    assert_true(shim->calls[SHIM_clEnqueueNDRangeKernel] > before.calls[SHIM_clEnqueueNDRangeKernel]);
    assert_true(shim->written - before.written < CALLS * 4096);
    ce_model_free(model);
}

/* Rotary positions send their frequencies, relative attention the places of distances. */
static void test_other_batches_wait_once_too(void **state) {
    (void)state;
    stage_require_device();
    static const char *const folders[] = {"golden/models/modernbert", "golden/models/deberta-v3"};
    const ce_pair pair = {ce_text_of("how many people live in berlin"), ce_text_of("the city of berlin has water")};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const ce_load_options options = scene_options("opencl:0");
        float scores[SCENE_SCORES];
        ce_model *model = NULL;
        ce_error error;
        expect_ok(ce_model_load(test_data(folders[i]), &options, &model, &error), &error);
        expect_ok(ce_predict(model, &pair, 1, NULL, scores, &error), &error);
        const shim_state before = *shim;
        expect_ok(ce_predict(model, &pair, 1, NULL, scores, &error), &error);
        assert_int_equal(shim->waits - before.waits, 1);
        assert_int_equal(shim->objects, before.objects);
        ce_model_free(model);
    }
}

/* As much as the longest sequence alone in a batch sends. */
static void test_a_stream_sends_a_long_batch_without_waiting(void **state) {
    (void)state;
    stage_require_device();
    enum { LENGTH = 4096, SIZE = 64 };
    static const int32_t numbers[2 * LENGTH];
    static const size_t counts[] = {LENGTH, LENGTH, LENGTH, 2, 2 * LENGTH - 1, 2 * LENGTH - 1, SIZE / 2, SIZE / 2};
    const cei_stream_limits limits = {LENGTH, LENGTH, SIZE, SIZE, false};
    cei_device *device = NULL;
    cei_stream *stream = NULL;
    cei_buffer *buffer = NULL;
    ce_error error;
    expect_ok(cei_device_open((cei_device_id){"opencl", 0}, NULL, &device, &error), &error);
    expect_ok(cei_stream_create(device, &limits, &stream, &error), &error);
    expect_ok(cei_buffer_create(device, sizeof numbers, &buffer, &error), &error);
    const uint64_t waits = shim->waits;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        expect_ok(cei_write(stream, (cei_slice){buffer, 0}, numbers, counts[i] * sizeof *numbers, &error), &error);
    assert_int_equal(shim->waits, waits);
    cei_stream_free(stream);
    cei_buffer_free(buffer);
    cei_device_close(device);
}

/* ---- faults
 * ---------------------------------------------------------------------------------------------------------- */

/* Loads, and moves from the cpu: both must fail so, with a message that has part, and leave nothing. */
static void expect_faults(void (*plan)(uint64_t nth), uint64_t nth, ce_status want, const char *part) {
    ce_load_options options = scene_options("opencl:0");
    ce_model *model = NULL;
    ce_error error = {0};
    plan(nth);
    expect_status(ce_model_load(scene_folder, &options, &model, &error), want, &error, part);
    if (!strstr(error.message, "opencl:0")) fail_msg("the message does not name opencl:0: %s", error.message);
    assert_null(model);
    stage_calm(shim);
    assert_int_equal(shim->objects, objects);
}

static void expect_a_move_to_fail(void (*plan)(uint64_t nth), uint64_t nth, ce_status want, const char *part) {
    float before[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load("cpu");
    scene_score(model, before);
    plan(nth);
    expect_status(ce_model_to(model, "opencl:0", &error), want, &error, part);
    stage_calm(shim);
    scene_expect_state(model, CE_STATE_READY, "cpu", 1);
    scene_expect_scores(model, before);
    assert_int_equal(shim->objects, objects);
    ce_model_free(model);
}

/* Calls of each function that a load makes. */
static shim_state count_calls(void) {
    const shim_state before = *shim;
    ce_model_free(scene_load("opencl:0"));
    shim_state after = *shim;
    for (int f = 0; f < SHIM_FUNCTIONS; f++) after.calls[f] -= before.calls[f];
    return after;
}

static shim_function failing;
static cl_int failing_code;

static void plan_failure(uint64_t nth) {
    shim->fail_function = failing;
    shim->fail_code = failing_code;
    shim->fail_in = nth;
}

/* Each of the first calls, then fewer and fewer, and the last. */
static uint64_t next_call(uint64_t nth, uint64_t calls) {
    if (nth == calls) return calls + 1;
    const uint64_t next = nth < 2 ? nth + 1 : nth * 3;
    return next < calls ? next : calls;
}

static void test_calls_to_opencl_fail_in_turn(void **state) {
    (void)state;
    stage_require_device();
    static const struct {
        shim_function function;
        cl_int code;
        ce_status want;
    } faults[] = {{SHIM_clCreateContext, CL_OUT_OF_RESOURCES, CE_ERR_DEVICE_FAULT},
                  {SHIM_clCreateCommandQueue, CL_OUT_OF_HOST_MEMORY, CE_ERR_MEMORY},
                  {SHIM_clCreateKernel, CL_OUT_OF_RESOURCES, CE_ERR_DEVICE_FAULT},
                  {SHIM_clCreateBuffer, CL_MEM_OBJECT_ALLOCATION_FAILURE, CE_ERR_DEVICE_MEMORY},
                  {SHIM_clEnqueueFillBuffer, CL_OUT_OF_RESOURCES, CE_ERR_DEVICE_MEMORY},
                  {SHIM_clSetKernelArg, CL_OUT_OF_RESOURCES, CE_ERR_DEVICE_FAULT},
                  {SHIM_clEnqueueNDRangeKernel, CL_OUT_OF_RESOURCES, CE_ERR_DEVICE_FAULT},
                  {SHIM_clEnqueueWriteBuffer, CL_OUT_OF_RESOURCES, CE_ERR_DEVICE_FAULT},
                  {SHIM_clEnqueueReadBuffer, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, CE_ERR_DEVICE_FAULT}};
    const shim_state whole = count_calls();
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const uint64_t calls = whole.calls[faults[i].function];
        assert_true(calls > 0);
        failing = faults[i].function;
        failing_code = faults[i].code;
        for (uint64_t nth = 1; nth <= calls; nth = next_call(nth, calls))
            expect_faults(plan_failure, nth, faults[i].want, NULL);
        expect_a_move_to_fail(plan_failure, calls, faults[i].want, "opencl:0");
    }
}

static void plan_loss(uint64_t nth) { shim->lose_in = nth; }

static void test_the_device_is_lost_while_a_model_is_placed(void **state) {
    (void)state;
    stage_require_device();
    for (uint64_t nth = 1; nth < 300; nth = nth < 4 ? nth + 1 : nth * 2)
        expect_faults(plan_loss, nth, CE_ERR_DEVICE_LOST, "lost");
    expect_a_move_to_fail(plan_loss, 50, CE_ERR_DEVICE_LOST, "lost");
}

static void plan_corruption(uint64_t nth) { shim->corrupt_in = nth; }

static void test_a_corrupted_upload_is_found(void **state) {
    (void)state;
    stage_require_device();
    for (uint64_t nth = 1; nth < 16; nth += 7)
        expect_faults(plan_corruption, nth, CE_ERR_VERIFY, "did not arrive whole");
    expect_a_move_to_fail(plan_corruption, 2, CE_ERR_VERIFY, "did not arrive whole");
}

static void plan_memory(uint64_t bytes) { shim->memory = bytes; }
static void plan_piece(uint64_t bytes) { shim->piece = bytes; }

static void test_want_of_memory(void **state) {
    (void)state;
    stage_require_device();
    expect_faults(plan_memory, 50000, CE_ERR_DEVICE_MEMORY, "free 50000, total 50000");
    expect_faults(plan_piece, 20000, CE_ERR_DEVICE_MEMORY, "in one piece at most 20000");
    expect_a_move_to_fail(plan_memory, 50000, CE_ERR_DEVICE_MEMORY, "needed");
}

/* ---- faults of a placed model -------------------------------------------------------------------------------------
 */

static void test_a_failing_call_of_scoring_leaves_the_model_working(void **state) {
    (void)state;
    stage_require_device();
    static const shim_function functions[] = {SHIM_clSetKernelArg, SHIM_clEnqueueNDRangeKernel,
                                              SHIM_clEnqueueWriteBuffer, SHIM_clEnqueueReadBuffer};
    float values[SCENE_SCORES], failed[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load("opencl:0");
    scene_score(model, values);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const uint64_t before = shim->calls[functions[i]];
        scene_expect_scores(model, values);
        const uint64_t calls = shim->calls[functions[i]] - before;
        failing = functions[i];
        failing_code = CL_OUT_OF_RESOURCES;
        for (uint64_t nth = 1; nth <= calls; nth++) {
            plan_failure(nth);
            expect_status(scene_try_score(model, failed, &error), CE_ERR_DEVICE_FAULT, &error, "opencl:0");
            scene_expect_state(model, CE_STATE_READY, "opencl:0", 1);
            scene_expect_scores(model, values);
        }
    }
    ce_model_free(model);
}

static void test_a_loss_in_mid_batch_and_placing_again(void **state) {
    (void)state;
    stage_require_device();
    float values[SCENE_SCORES], failed[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load("opencl:0");
    scene_score(model, values);
    shim->lose_in = 40;
    expect_status(scene_try_score(model, failed, &error), CE_ERR_DEVICE_LOST, &error, "opencl:0 is lost");
    assert_int_equal(scene_report(model).state, CE_STATE_LOST);
    assert_int_equal(shim->objects, objects); /* what it held is given back */
    expect_status(ce_model_place(model, &error), CE_ERR_DEVICE_ABSENT, &error, "not available");
    shim->is_lost = false;
    expect_ok(ce_model_place(model, &error), &error);
    scene_expect_scores(model, values);
    ce_model_free(model);
}

/* ---- programs -------------------------------------------------------------------------------------------------------
 */

static void test_kernels_that_do_not_compile(void **state) {
    (void)state;
    stage_require_device();
    ce_load_options options = scene_options("opencl:0");
    ce_model *model = NULL;
    ce_error error = {0};
    shim->refuses_binaries = shim->cannot_build = true;
    expect_status(ce_model_load(scene_folder, &options, &model, &error), CE_ERR_DEVICE_FAULT, &error,
                  "cannot compile the kernels");
    assert_non_null(strstr(error.message, "unknown type name 'kernl'"));
    assert_true(scene_logged(CE_LOG_WARNING, "unknown type name 'kernl'"));
    assert_int_equal(shim->objects, objects);
}

/* They are built from source then, and tiles are probed. */
static void test_a_driver_that_refuses_the_cached_binary(void **state) {
    (void)state;
    stage_require_device();
    float values[SCENE_SCORES];
    ce_model *model = scene_load("opencl:0");
    scene_score(model, values);
    ce_model_free(model);
    const uint64_t before = shim->calls[SHIM_clCreateProgramWithSource];
    shim->refuses_binaries = true;
    model = scene_load("opencl:0");
    assert_int_equal(shim->calls[SHIM_clCreateProgramWithSource], before + 2);
    assert_true(scene_logged(CE_LOG_INFO, "built anew"));
    scene_expect_scores(model, values);
    ce_model_free(model);
}

#define opencl_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define opencl_test_in(name, precision) \
    { #name " in " #precision, name, setup_##precision, teardown, NULL }

int main(void) {
    const struct CMUnitTest tests[] = {
        opencl_test(test_a_load_is_verified),
        opencl_test_in(test_a_load_is_verified, bfloat16),
        opencl_test_in(test_a_load_is_verified, int8),
        opencl_test_in(test_a_load_is_verified, encoder),
        opencl_test(test_moves_there_and_back),
        opencl_test_in(test_moves_there_and_back, bfloat16),
        opencl_test_in(test_moves_there_and_back, int8),
        opencl_test(test_threads_score_while_the_model_moves),
        opencl_test(test_a_batch_waits_once_and_makes_nothing),
        opencl_test_in(test_a_batch_waits_once_and_makes_nothing, int8),
        opencl_test(test_other_batches_wait_once_too),
        opencl_test(test_a_stream_sends_a_long_batch_without_waiting),
        opencl_test(test_calls_to_opencl_fail_in_turn),
        opencl_test(test_the_device_is_lost_while_a_model_is_placed),
        opencl_test(test_a_corrupted_upload_is_found),
        opencl_test_in(test_a_corrupted_upload_is_found, bfloat16),
        opencl_test_in(test_a_corrupted_upload_is_found, int8),
        opencl_test(test_want_of_memory),
        opencl_test(test_a_failing_call_of_scoring_leaves_the_model_working),
        opencl_test(test_a_loss_in_mid_batch_and_placing_again),
        opencl_test(test_kernels_that_do_not_compile),
        opencl_test(test_a_driver_that_refuses_the_cached_binary),
    };
    return cmocka_run_group_tests_name("placement on opencl", tests, NULL, NULL);
}
