/* test_job.c - windows of a job: on a device that computes by itself the next one is tokenized meanwhile, on the cpu
 * not, and neither changes a value or which failure is told. */
#include "placement/scene.h"

#include "base/error.h"
#include "score/job.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { MAX_LENGTH = 24, COUNT = 2500, VALUES = COUNT * SCENE_LABELS };

/* What the functions of a job see and do. */
typedef struct watch {
    size_t window;           /* inputs of one */
    atomic_size_t tokenized; /* inputs behind the first window */
    atomic_bool waited;      /* the first window's values have waited for them, as long as that may take */
    bool waits;
    atomic_size_t before; /* inputs behind the first window that had tokens when a value of the first was there */
    size_t bad;           /* an input that cannot be read; COUNT is none */
    float *values;        /* [COUNT, SCENE_LABELS] */
} watch;

static ce_status tokenize(const cei_job *job, size_t index, cei_lane_text *lane, cei_tokens *tokens, ce_error *error) {
    (void)lane;
    watch *w = (watch *)(uintptr_t)job->call;
    tokens->count = 3 + index % (MAX_LENGTH - 2);
    for (size_t i = 0; i < tokens->count; i++) {
        tokens->ids[i] = (int32_t)((index + 3 * i) % 10);
        tokens->types[i] = 0;
    }
    if (index >= w->window) atomic_fetch_add(&w->tokenized, 1);
    return index == w->bad ? cei_fail(error, CE_ERR_TEXT, "input %zu is bad", index) : CE_OK;
}

/* Until the next window's first tokens are there, or for ten seconds. */
static void await_tokens(watch *w) {
    const struct timespec pause = {0, 1000000};
    for (int i = 0; i < 10000 && atomic_load(&w->tokenized) == 0; i++) nanosleep(&pause, NULL);
}

static ce_status deliver(const cei_job *job, const cei_result *result, ce_error *error) {
    (void)error;
    watch *w = (watch *)(uintptr_t)job->call;
    if (result->index < w->window) {
        if (w->waits && !atomic_exchange(&w->waited, true)) await_tokens(w);
        const size_t seen = atomic_load(&w->tokenized);
        if (seen > atomic_load(&w->before)) atomic_store(&w->before, seen);
    }
    memcpy(w->values + result->index * SCENE_LABELS, result->values, SCENE_LABELS * sizeof(float));
    return CE_OK;
}

static ce_model *load(const char *device, unsigned threads) {
    ce_model *model = NULL;
    ce_error error = {0};
    ce_load_options options = scene_options(device);
    options.max_length = MAX_LENGTH;
    options.batch_tokens = 2048;
    options.threads = threads;
    expect_ok(ce_model_load(scene_folder, &options, &model, &error), &error);
    return model;
}

/* Runs COUNT inputs, of which there are more than two windows. */
static ce_status run(ce_model *model, watch *w, ce_progress_fn progress, ce_error *error) {
    cei_scratch *scratch = NULL;
    w->window = cei_scratch_window(model);
    assert_true(w->window * 2 < COUNT);
    expect_ok(cei_scratch_take(model, COUNT, &scratch, error), error);
    cei_job job = {.model = model,
                   .unit = "input",
                   .count = COUNT,
                   .call = w,
                   .tokenize = tokenize,
                   .deliver = deliver,
                   .max_length = MAX_LENGTH,
                   .progress = progress};
    const ce_status status = cei_job_run(&job, scratch, error);
    cei_scratch_give(model, scratch);
    return status;
}

static void run_on(const char *device, unsigned threads, watch *w) {
    ce_error error = {0};
    ce_model *model = load(device, threads);
    expect_ok(run(model, w, NULL, &error), &error);
    /* The same memory serves another call. */
    expect_ok(run(model, w, NULL, &error), &error);
    ce_model_free(model);
}

static float wanted[VALUES], found[VALUES];

static void test_next_window_is_tokenized_meanwhile(void **state) {
    (void)state;
    static const char *const devices[] = {"sim:0", "sim:0,sim:1"};
    for (size_t i = 0; i < 2; i++)
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            watch w = {.bad = COUNT, .waits = true, .values = i || threads > 1 ? found : wanted};
            run_on(devices[i], threads, &w);
            assert_true(w.before > 0);
            if (i || threads > 1) assert_memory_equal(found, wanted, sizeof wanted);
        }
}

static void test_on_the_cpu_windows_follow_each_other(void **state) {
    (void)state;
    watch w = {.bad = COUNT, .values = wanted};
    ce_error error = {0};
    ce_model *model = load("cpu", 3);
    expect_ok(run(model, &w, NULL, &error), &error);
    assert_int_equal(w.before, 0);
    ce_model_free(model);
}

static bool stop(void *user, uint64_t done, uint64_t total) {
    (void)user;
    return done * 4 < total;
}

/* ---- lanes --------------------------------------------------------------------------------------------------- */

static float alone[VALUES]; /* of one thread */

static uint64_t workspace_of(const ce_model *model) {
    ce_placement_report report = {.size = sizeof report};
    ce_error error = {0};
    expect_ok(ce_model_placement(model, &report, &error), &error);
    return report.workspace_bytes;
}

/* A thread for each batch changes no bit, and takes memory once. */
static void test_lanes(void **state) {
    (void)state;
    ce_error error = {0};
    watch w = {.bad = COUNT, .values = alone};
    run_on("cpu", 1, &w);
    for (unsigned threads = 2; threads <= 5; threads += 3) {
        ce_model *model = load("cpu", threads);
        const uint64_t before = workspace_of(model);
        w = (watch){.bad = COUNT, .values = found};
        expect_ok(run(model, &w, NULL, &error), &error);
        const uint64_t after = workspace_of(model);
        assert_true(after > before);
        assert_memory_equal(found, alone, sizeof alone);
        memset(found, 0, sizeof found);
        expect_ok(run(model, &w, NULL, &error), &error);
        assert_int_equal(workspace_of(model), after);
        assert_memory_equal(found, alone, sizeof alone);
        ce_model_free(model);
    }
}

static void test_failures_in_lanes(void **state) {
    (void)state;
    ce_model *model = load("cpu", 3);
    ce_error error = {0};
    watch w = {.bad = cei_scratch_window(model) + 7, .values = found};
    memset(found, 0, sizeof found);
    assert_int_equal(run(model, &w, NULL, &error), CE_ERR_TEXT);
    assert_memory_equal(found, alone, w.window * SCENE_LABELS * sizeof *found);
    w.bad = COUNT;
    assert_int_equal(run(model, &w, stop, &error), CE_ERR_CANCELLED);
    expect_ok(run(model, &w, NULL, &error), &error);
    assert_memory_equal(found, alone, sizeof alone);
    ce_model_free(model);
}

typedef struct caller {
    ce_model *model;
    float values[VALUES];
    ce_status status;
} caller;

static void *call_twice(void *argument) {
    caller *own = argument;
    watch w = {.bad = COUNT, .values = own->values};
    own->status = run(own->model, &w, NULL, NULL);
    if (own->status == CE_OK) own->status = run(own->model, &w, NULL, NULL);
    return NULL;
}

/* One has the lanes, the others go the other way, and nobody waits for them. */
static void test_lanes_of_several_callers(void **state) {
    (void)state;
    enum { CALLERS = 4 };
    static caller callers[CALLERS];
    pthread_t threads[CALLERS];
    ce_model *model = load("cpu", 2);
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (caller){.model = model};
        threads[i] = scene_start(call_twice, &callers[i]);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].status, CE_OK);
        assert_memory_equal(callers[i].values, alone, sizeof alone);
    }
    ce_model_free(model);
}

/* The failure of a window behind is told when those before it are done, and that of the lowest input. */
static void test_failure_of_the_next_window(void **state) {
    (void)state;
    ce_model *model = load("sim:0,sim:1", 3);
    const size_t window = cei_scratch_window(model);
    watch w = {.bad = window + 7, .waits = true, .values = found};
    ce_error error = {0};
    memset(found, 0, sizeof found);
    assert_int_equal(run(model, &w, NULL, &error), CE_ERR_TEXT);
    char message[64];
    snprintf(message, sizeof message, "input %zu is bad", window + 7);
    assert_string_equal(error.message, message);
    assert_memory_equal(found, wanted, window * SCENE_LABELS * sizeof *found);
    w.bad = COUNT;
    expect_ok(run(model, &w, NULL, &error), &error);
    assert_memory_equal(found, wanted, sizeof wanted);
    ce_model_free(model);
}

static void test_cancelled_beside_the_next_window(void **state) {
    (void)state;
    ce_model *model = load("sim:0", 2);
    watch w = {.bad = COUNT, .values = found};
    ce_error error = {0};
    assert_int_equal(run(model, &w, stop, &error), CE_ERR_CANCELLED);
    expect_ok(run(model, &w, NULL, &error), &error);
    assert_memory_equal(found, wanted, sizeof wanted);
    ce_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test(test_on_the_cpu_windows_follow_each_other),
        scene_test(test_next_window_is_tokenized_meanwhile),
        scene_test(test_lanes),
        scene_test(test_failures_in_lanes),
        scene_test(test_lanes_of_several_callers),
        scene_test(test_failure_of_the_next_window),
        scene_test(test_cancelled_beside_the_next_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
