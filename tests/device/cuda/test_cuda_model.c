/* A model on cuda:0, with the driver failing: each of its calls in turn, each copy damaged, each launch breaking the
 * context; want of memory; calls from many threads during moves; and what scoring asks of the driver once it is warm.
 */
#include "device/cuda/cuda_cases.h"
#include "support/tiny_model.h"

#include <crossenc/crossenc.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PAIRS = 4, THREADS = 8 };

static char *folder;
static tiny_model shape;

static int setup(void **state) {
    cuda_setup(state);
    shape = tiny_model_default();
    shape.layers = 1; /* sweeps load many times */
    folder = tiny_model_folder(&shape);
    return 0;
}

static int teardown(void **state) {
    test_remove_folder(folder);
    return cuda_teardown(state);
}

static ce_load_options options_for(const char *device) {
    return (ce_load_options){.size = sizeof(ce_load_options), .device = device, .threads = 1, .batch_tokens = 64};
}

static ce_status try_load(const char *device, ce_model **model, ce_error *error) {
    const ce_load_options options = options_for(device);
    return ce_model_load(folder, &options, model, error);
}

static ce_model *load(const char *device) {
    ce_model *model = NULL;
    ce_error error = {0};
    expect_ok(try_load(device, &model, &error), &error);
    return model;
}

static ce_status try_score(ce_model *model, float scores[PAIRS], ce_error *error) {
    static const char *const texts[PAIRS] = {"word1 word2", "word3", "a b c 1 2 3", "word4 word5 word6"};
    ce_pair pairs[PAIRS];
    for (size_t i = 0; i < PAIRS; i++) pairs[i] = (ce_pair){ce_text_of("word7"), ce_text_of(texts[i])};
    return ce_predict(model, pairs, PAIRS, NULL, scores, error);
}

static void expect_scores(ce_model *model, const float wanted[PAIRS]) {
    float scores[PAIRS];
    ce_error error = {0};
    expect_ok(try_score(model, scores, &error), &error);
    assert_memory_equal(scores, wanted, sizeof scores);
}

/* ---- faults -------------------------------------------------------------------------------------------------- */

/* A load that fails holds nothing. Some calls may fail unnoticed: what is asked for a description, and what is given
 * back. */
static void expect_clean_load(bool must_fail) {
    ce_model *model = NULL;
    ce_error error = {0};
    ce_status status = try_load("cuda:0", &model, &error);
    if (must_fail && status == CE_OK) fail_msg("a load succeeded in spite of a fault");
    if (status != CE_OK) assert_true(error.message[0] && !model);
    ce_model_free(model);
    cuda_expect_idle();
}

static void sweep(fake_call call, cei_cuda_result result, bool must_fail) {
    fake_reset();
    ce_model_free(load("cuda:0"));
    const uint64_t calls = fake_count(call), step = calls / 40 + 1; /* each of few; of many a part */
    for (uint64_t nth = 1; nth <= calls; nth += step) {
        fake_reset();
        fake_fail(call, nth, result);
        expect_clean_load(must_fail);
    }
}

static void test_each_call_of_a_load_fails_in_turn(void **state) {
    (void)state;
    enum { INVALID_VALUE = 1 };
    static const fake_call counted[] = {FAKE_module_load,    FAKE_module_function, FAKE_memory_alloc,  FAKE_host_alloc,
                                        FAKE_copy_to_device, FAKE_copy_to_host,    FAKE_stream_create, FAKE_launch};
    static const fake_call ignored[] = {FAKE_context_retain, FAKE_device_name,   FAKE_device_memory,
                                        FAKE_context_state,  FAKE_memory_free,   FAKE_host_free,
                                        FAKE_stream_destroy, FAKE_module_unload, FAKE_stream_wait};
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        const bool must_fail = counted[i] != FAKE_module_load || !cuda_has_cubin();
        sweep(counted[i], INVALID_VALUE, must_fail);
        sweep(counted[i], CEI_CUDA_OUT_OF_MEMORY, must_fail);
    }
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sweep(ignored[i], INVALID_VALUE, false);
}

static void test_a_loss_at_each_call_of_a_load(void **state) {
    (void)state;
    ce_model_free(load("cuda:0"));
    const uint64_t calls = fake_calls(), step = calls / 60 + 1;
    for (uint64_t nth = 1; nth < calls / 3; nth += step) {
        fake_reset();
        fake_lose(nth, CEI_CUDA_ILLEGAL_ADDRESS);
        expect_clean_load(false);
    }
}

static void test_each_copy_arrives_damaged_in_turn(void **state) {
    (void)state;
    ce_model_free(load("cuda:0"));
    const uint64_t copies = fake_count(FAKE_copy_to_device);
    uint64_t found = 0;
    for (uint64_t nth = 1; nth <= copies; nth++) {
        ce_model *model = NULL;
        ce_error error = {0};
        fake_corrupt(nth);
        const ce_status status = try_load("cuda:0", &model, &error);
        found += status == CE_ERR_VERIFY;
        ce_model_free(model);
        cuda_expect_idle();
    }
    assert_true(found >= tiny_model_tensors(&shape)); /* all weights; of the known input's indices, most */
}

static void test_want_of_memory_names_sizes(void **state) {
    (void)state;
    ce_model *model = NULL;
    ce_error error = {0};
    fake_set_memory(64 << 10);
    expect_status(try_load("cuda:0", &model, &error), CE_ERR_DEVICE_MEMORY, &error, "total 65536");
    assert_non_null(strstr(error.message, "free"));
    fake_reset();
    fake_fail(FAKE_memory_alloc, 5, CEI_CUDA_OUT_OF_MEMORY); /* somebody else was quicker */
    expect_status(try_load("cuda:0", &model, &error), CE_ERR_DEVICE_MEMORY, &error, "bytes needed");
    assert_null(model);
}

/* A kernel that faults is seen at the end of the batch; the model is lost, and can be placed again. */
static uint64_t workspace_of(const ce_model *model, size_t device) {
    ce_placement_report report = {.size = sizeof report};
    ce_error error = {0};
    expect_ok(ce_model_placement_at(model, device, &report, &error), &error);
    return report.workspace_bytes;
}

static ce_model *load_with(const char *device, size_t batch_tokens) {
    ce_load_options options = options_for(device);
    ce_model *model = NULL;
    ce_error error = {0};
    options.batch_tokens = batch_tokens;
    expect_ok(ce_model_load(folder, &options, &model, &error), &error);
    return model;
}

/* Two devices, of which one has no room for the batches that suit it: each is given its own, and the scores are those
 * of one device. */
static void test_devices_with_batches_of_their_own(void **state) {
    (void)state;
    enum { MANY = 600 };
    static ce_pair pairs[MANY];
    static float wanted[MANY], found[MANY];
    const cei_device_options options = {0};
    cei_device *device = NULL;
    cei_buffer *filler = NULL;
    ce_device_info info;
    ce_error error = {0};
    fake_set_processors(20); /* which ask for 2,560 tokens; others get 1,024 */
    ce_model *model = load_with("cuda:1", 1024);
    const uint64_t small = workspace_of(model, 0);
    ce_model_free(model);
    model = load_with("cuda:1", 0);
    const uint64_t best = workspace_of(model, 0);
    assert_true(best > small);
    for (size_t i = 0; i < MANY; i++) pairs[i] = (ce_pair){ce_text_of("word7"), ce_text_of(i % 2 ? "word1" : "a b c")};
    expect_ok(ce_predict(model, pairs, MANY, NULL, wanted, &error), &error);
    ce_model_free(model);
    expect_ok(cei_device_open((cei_device_id){"cuda", 1}, &options, &device, &error), &error);
    expect_ok(cei_device_status(device, &info, &error), &error);
    model = load_with("cuda:1", 1024);
    ce_device_info beside;
    expect_ok(cei_device_status(device, &beside, &error), &error);
    const uint64_t of_small = info.memory_free - beside.memory_free; /* all that a model with small batches takes */
    ce_model_free(model);
    expect_ok(cei_buffer_create(device, info.memory_free - of_small - (best - small) / 2, &filler, &error), &error);
    model = load_with("cuda:0,cuda:1", 0);
    assert_int_equal(workspace_of(model, 0), best);
    assert_int_equal(workspace_of(model, 1), small);
    expect_ok(ce_predict(model, pairs, MANY, NULL, found, &error), &error);
    assert_memory_equal(found, wanted, sizeof found);
    ce_model_free(model);
    cei_buffer_free(filler);
    cei_device_close(device);
}

static void test_a_kernel_that_faults(void **state) {
    (void)state;
    float scores[PAIRS], failed[PAIRS];
    ce_error error = {0};
    ce_model *model = load("cuda:0");
    expect_ok(try_score(model, scores, &error), &error);
    const cei_cuda_result results[] = {CEI_CUDA_ILLEGAL_ADDRESS, CEI_CUDA_LAUNCH_FAILED, CEI_CUDA_LAUNCH_TIMEOUT,
                                       CEI_CUDA_ECC, CEI_CUDA_UNKNOWN};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        fake_break(3, results[i]);
        expect_status(try_score(model, failed, &error), CE_ERR_DEVICE_LOST, &error, "cuda:0");
        expect_status(try_score(model, failed, &error), CE_ERR_DEVICE_LOST, &error, "cuda:0");
        expect_ok(ce_model_place(model, &error), &error);
        expect_scores(model, scores);
    }
    fake_fail(FAKE_launch, 2, 701); /* out of resources: nothing is broken */
    expect_status(try_score(model, failed, &error), CE_ERR_DEVICE_FAULT, &error, "repeat");
    expect_scores(model, scores);
    ce_model_free(model);
}

static void test_a_move_that_fails_changes_nothing(void **state) {
    (void)state;
    float scores[PAIRS];
    ce_error error = {0};
    ce_model *model = load("cpu");
    expect_ok(try_score(model, scores, &error), &error);
    for (uint64_t nth = 1; nth <= 6; nth++) {
        fake_fail(FAKE_memory_alloc, nth, CEI_CUDA_OUT_OF_MEMORY);
        expect_status(ce_model_to(model, "cuda:0", &error), CE_ERR_DEVICE_MEMORY, &error, "cuda:0");
        cuda_expect_idle();
        expect_scores(model, scores);
    }
    ce_model_free(model);
}

/* ---- what scoring costs -------------------------------------------------------------------------------------- */

static void test_steady_state(void **state) {
    (void)state;
    static const fake_call none[] = {FAKE_memory_alloc, FAKE_host_alloc,     FAKE_stream_create, FAKE_module_load,
                                     FAKE_memory_info,  FAKE_context_retain, FAKE_memory_free,   FAKE_init};
    enum { CALLS = 5, INPUTS = 4 /* ids, types, positions, offsets */ };
    float scores[PAIRS];
    ce_error error = {0};
    ce_model *model = load("cuda:0");
    expect_ok(try_score(model, scores, &error), &error);
    assert_true(fake_holds().most_pinned < 64 << 20); /* host memory for a load is bounded */
    fake_reset();
    for (int i = 0; i < CALLS; i++) expect_scores(model, scores);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_int_equal(fake_count(none[i]), 0);
    assert_int_equal(fake_count(FAKE_stream_wait), CALLS);             /* one a batch */
    assert_int_equal(fake_count(FAKE_copy_to_device), CALLS * INPUTS); /* and no weight */
    assert_int_equal(fake_count(FAKE_copy_to_host), CALLS);
    ce_model_free(model);
}

static void test_a_callers_context_stays_current(void **state) {
    (void)state;
    float scores[PAIRS];
    ce_error error = {0};
    cei_cuda_api api;
    cei_cuda_context own, current;
    char reason[256];
    assert_true(cei_cuda_api_open(CEI_CUDA_LIBRARY, &api, reason, sizeof reason));
    assert_int_equal(api.context_retain(&own, 1), CEI_CUDA_SUCCESS);
    assert_int_equal(api.context_push(own), CEI_CUDA_SUCCESS);
    ce_model *model = load("cuda:0");
    expect_ok(try_score(model, scores, &error), &error);
    ce_model_free(model);
    assert_int_equal(fake_depth(), 1);
    assert_int_equal(api.context_pop(&current), CEI_CUDA_SUCCESS);
    assert_ptr_equal(current, own);
    assert_int_equal(api.context_release(1), CEI_CUDA_SUCCESS);
    cei_cuda_api_close(&api);
}

/* ---- moves ----------------------------------------------------------------------------------------------------- */

typedef struct scorer {
    ce_model *model;
    const float (*wanted)[PAIRS]; /* on the cpu, on cuda */
    int calls;
    bool ok;
} scorer;

static void *score_often(void *argument) {
    scorer *s = argument;
    s->ok = true;
    for (int i = 0; i < s->calls && s->ok; i++) {
        float scores[PAIRS];
        s->ok = try_score(s->model, scores, NULL) == CE_OK &&
                (memcmp(scores, s->wanted[0], sizeof scores) == 0 || memcmp(scores, s->wanted[1], sizeof scores) == 0);
    }
    return NULL;
}

static void test_moves_under_load(void **state) {
    (void)state;
    static const char *const ways[] = {"cuda:0", "cpu", "cuda:1", "cuda:0", "cpu"};
    float wanted[2][PAIRS];
    ce_error error = {0};
    scorer scorers[THREADS];
    pthread_t threads[THREADS];
    ce_model *model = load("cpu");
    expect_ok(try_score(model, wanted[0], &error), &error);
    expect_ok(ce_model_to(model, "cuda:1", &error), &error);
    expect_ok(try_score(model, wanted[1], &error), &error);
    for (size_t i = 0; i < THREADS; i++) {
        scorers[i] = (scorer){model, (const float(*)[PAIRS])wanted, 6, false};
        assert_int_equal(pthread_create(&threads[i], NULL, score_often, &scorers[i]), 0);
    }
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) expect_ok(ce_model_to(model, ways[i], &error), &error);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(scorers[i].ok);
    }
    expect_scores(model, wanted[0]);
    for (size_t i = 0; i < PAIRS; i++) assert_float_equal(wanted[0][i], wanted[1][i], 1e-5);
    ce_model_free(model);
}

#define model_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        model_test(test_each_call_of_a_load_fails_in_turn), model_test(test_a_loss_at_each_call_of_a_load),
        model_test(test_each_copy_arrives_damaged_in_turn), model_test(test_want_of_memory_names_sizes),
        model_test(test_devices_with_batches_of_their_own), model_test(test_a_kernel_that_faults),
        model_test(test_a_move_that_fails_changes_nothing), model_test(test_steady_state),
        model_test(test_a_callers_context_stays_current),   model_test(test_moves_under_load),
    };
    return cmocka_run_group_tests_name("models on cuda", tests, NULL, NULL);
}
