/* test_steady.c - after the first calls, scoring allocates nothing: neither the library nor what it calls. */
#include "placement/scene.h"

#include "support/failing_malloc.h"

#include <string.h>

enum { DOCUMENTS = 40, TEXT_BYTES = 400, ROUNDS = 5 };

static char texts[DOCUMENTS][TEXT_BYTES];
static ce_text documents[DOCUMENTS];
static ce_pair pairs[DOCUMENTS];

/* Texts of many lengths, some of which are cut. */
static int make_texts(void **state) {
    scene_setup(state);
    scene_shape.labels = 1;
    tiny_model_write(&scene_shape, scene_folder);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        size_t size = 1 + i * 37 % (TEXT_BYTES - 1);
        for (size_t j = 0; j < size; j++) texts[i][j] = j % 6 ? (char)('a' + (i + j) % 26) : ' ';
        documents[i] = (ce_text){texts[i], size};
        pairs[i] = (ce_pair){{"word1 word2", 11}, documents[i]};
    }
    return 0;
}

/* Waits at a barrier, once a call. */
static bool meet(void *user, uint64_t done, uint64_t total) {
    (void)done, (void)total;
    pthread_barrier_t **first = user;
    if (*first) pthread_barrier_wait(*first);
    *first = NULL;
    return true;
}

/* A predict and a rank with all that options offer. gate, if not NULL, is where each waits for others. */
static bool score_all(ce_model *model, pthread_barrier_t *gate) {
    pthread_barrier_t *first = gate;
    float scores[DOCUMENTS];
    ce_truncation cut[DOCUMENTS];
    ce_ranked ranked[DOCUMENTS];
    size_t count;
    ce_score_report report = {.size = sizeof report};
    ce_score_options options = {.size = sizeof options, .truncations = cut, .report = &report};
    options.progress = meet;
    options.progress_user = &first;
    if (ce_predict(model, pairs, DOCUMENTS, &options, scores, NULL) != CE_OK || report.truncated == 0) return false;
    first = gate;
    return ce_rank(model, ce_text_of("word1 word2"), documents, DOCUMENTS, 10, &options, ranked, &count, NULL) ==
               CE_OK &&
           count == 10;
}

static ce_model *load(const char *device, unsigned threads) {
    ce_load_options options = scene_options(device);
    ce_model *model = NULL;
    ce_error error = {0};
    options.threads = threads;
    options.batch_tokens = 256; /* several batches a call */
    expect_ok(ce_model_load(scene_folder, &options, &model, &error), &error);
    return model;
}

static void skip_if_uncounted(void) {
    if (failing_malloc_works()) return;
    print_message("SKIP: the sanitizer's allocations are not counted\n");
    skip();
}

static void expect_no_allocation(const char *device, unsigned threads) {
    ce_model *model = load(device, threads);
    ce_error error = {0};
    assert_true(score_all(model, NULL));
    expect_ok(ce_model_check(model, NULL, &error), &error);
    failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
    bool good = true;
    for (size_t i = 0; i < ROUNDS; i++) good = good && score_all(model, NULL);
    size_t made = failing_malloc_stop();
    assert_true(good);
    assert_int_equal(made, 0);
    ce_model_free(model);
}

static void test_one_caller(void **state) {
    (void)state;
    skip_if_uncounted();
    expect_no_allocation("cpu", 1);
    expect_no_allocation("cpu", 2);
    expect_no_allocation("sim:0", 1);
    expect_no_allocation("sim:0", 2);
}

static void test_scoring_counts_when_it_does_allocate(void **state) {
    (void)state;
    skip_if_uncounted();
    ce_model *model = load("cpu", 1);
    failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
    bool good = score_all(model, NULL); /* the first call */
    assert_true(failing_malloc_stop() > 0);
    assert_true(good);
    ce_model_free(model);
}

/* ---- two callers --------------------------------------------------------------------------------------------- */

typedef struct caller {
    ce_model *model;
    pthread_barrier_t *in_call, *warm, *counted; /* in_call: both are inside a call */
    bool good;
} caller;

static void *run_caller(void *argument) {
    caller *own = argument;
    own->good = score_all(own->model, own->in_call);
    pthread_barrier_wait(own->warm);
    pthread_barrier_wait(own->warm); /* counting began between the two */
    for (size_t i = 0; i < ROUNDS; i++) own->good = score_all(own->model, NULL) && own->good;
    pthread_barrier_wait(own->counted);
    pthread_barrier_wait(own->counted); /* counting ended */
    return NULL;
}

static void expect_no_allocation_of_two(const char *device, unsigned threads) {
    pthread_barrier_t in_call, warm, counted;
    ce_model *model = load(device, threads);
    pthread_barrier_init(&in_call, NULL, 2);
    pthread_barrier_init(&warm, NULL, 3);
    pthread_barrier_init(&counted, NULL, 3);
    caller callers[2];
    pthread_t started[2];
    for (size_t i = 0; i < 2; i++) {
        callers[i] = (caller){model, &in_call, &warm, &counted, false};
        started[i] = scene_start(run_caller, &callers[i]);
    }
    pthread_barrier_wait(&warm);
    failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
    pthread_barrier_wait(&warm);
    pthread_barrier_wait(&counted);
    size_t made = failing_malloc_stop();
    pthread_barrier_wait(&counted);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(started[i], NULL);
        assert_true(callers[i].good);
    }
    assert_int_equal(made, 0);
    ce_model_free(model);
    pthread_barrier_destroy(&in_call);
    pthread_barrier_destroy(&warm);
    pthread_barrier_destroy(&counted);
}

static void test_two_callers(void **state) {
    (void)state;
    skip_if_uncounted();
    expect_no_allocation_of_two("cpu", 1);
    expect_no_allocation_of_two("cpu", 2);
    expect_no_allocation_of_two("sim:0", 1);
}

static int make_texts_bfloat16(void **state) {
    make_texts(state);
    scene_precision = CE_PRECISION_BFLOAT16;
    return 0;
}

static int make_texts_int8(void **state) {
    make_texts(state);
    scene_precision = CE_PRECISION_INT8;
    return 0;
}

#define steady_test(name) cmocka_unit_test_setup_teardown(name, make_texts, scene_teardown)
#define steady_test_bfloat16(name) \
    { #name " in bfloat16", name, make_texts_bfloat16, scene_teardown, NULL }
#define steady_test_int8(name) \
    { #name " in int8", name, make_texts_int8, scene_teardown, NULL }

int main(void) {
    const struct CMUnitTest tests[] = {
        steady_test(test_one_caller),       steady_test_bfloat16(test_one_caller),
        steady_test_int8(test_one_caller),  steady_test(test_scoring_counts_when_it_does_allocate),
        steady_test(test_two_callers),      steady_test_bfloat16(test_two_callers),
        steady_test_int8(test_two_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
