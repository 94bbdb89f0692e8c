/* test_steady.c - after the first calls, scoring allocates nothing: neither the library nor what it calls. */
#include "placement/scene.h"

#include "support/failing_malloc.h"

#include <string.h>

/* So many documents that batches go to a thread each, where there are two. */
enum { DOCUMENTS = 120, TEXT_BYTES = 400, ROUNDS = 5 };

static char texts[DOCUMENTS][TEXT_BYTES];
static ce_text documents[DOCUMENTS];
static ce_pair pairs[DOCUMENTS];

/* Texts of many lengths, some of which are cut. */
static void make_texts(void) {
    for (size_t i = 0; i < DOCUMENTS; i++) {
        size_t size = 1 + i * 37 % (TEXT_BYTES - 1);
        for (size_t j = 0; j < size; j++) texts[i][j] = j % 6 ? (char)('a' + (i + j) % 26) : ' ';
        documents[i] = (ce_text){texts[i], size};
        pairs[i] = (ce_pair){{"word1 word2", 11}, documents[i]};
    }
}

static int setup(void **state) {
    scene_setup(state);
    scene_shape.labels = 1;
    scene_write();
    make_texts();
    return 0;
}

static int setup_encoder(void **state) {
    scene_setup_encoder(state);
    scene_encoder.include_prompt = false; /* the tokens of a prompt are counted */
    scene_write();
    make_texts();
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

static bool see(void *user, const ce_encoded *encoded) {
    *(size_t *)user += encoded->tokens;
    return true;
}

/* An encode with all that options offer, and one with none. */
static bool encode_all(ce_encoder *encoder, pthread_barrier_t *gate) {
    pthread_barrier_t *first = gate;
    float embeddings[DOCUMENTS * SCENE_LABELS];
    size_t tokens = 0;
    const ce_text prompt = ce_text_of(ce_encoder_prompt(encoder, "query"));
    ce_encode_report report = {.size = sizeof report};
    const ce_encode_options options = {.size = sizeof options,
                                       .prompt = &prompt,
                                       .normalize = true,
                                       .each = see,
                                       .each_user = &tokens,
                                       .report = &report,
                                       .progress = meet,
                                       .progress_user = &first};
    return ce_encode(encoder, documents, DOCUMENTS, &options, embeddings, NULL) == CE_OK && report.truncated > 0 &&
           tokens == report.tokens && ce_encode(encoder, documents, DOCUMENTS, NULL, embeddings, NULL) == CE_OK;
}

static bool use_all(scene_any any, pthread_barrier_t *gate) {
    return any.encoder ? encode_all(any.encoder, gate) : score_all(any.model, gate);
}

static scene_any load(const char *device, unsigned threads) {
    ce_load_options options = scene_options(device);
    scene_any any;
    ce_error error = {0};
    options.threads = threads;
    options.batch_tokens = 256; /* several batches a call */
    expect_ok(scene_any_load(&options, &any, &error), &error);
    return any;
}

static void skip_if_uncounted(void) {
    if (failing_malloc_works()) return;
    print_message("SKIP: the sanitizer's allocations are not counted\n");
    skip();
}

static void expect_no_allocation(const char *device, unsigned threads) {
    scene_any any = load(device, threads);
    ce_error error = {0};
    assert_true(use_all(any, NULL));
    expect_ok(scene_any_check(any, NULL, &error), &error);
    failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
    bool good = true;
    for (size_t i = 0; i < ROUNDS; i++) good = good && use_all(any, NULL);
    size_t made = failing_malloc_stop();
    assert_true(good);
    assert_int_equal(made, 0);
    scene_any_free(any);
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
    scene_any any = load("cpu", 1);
    failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
    bool good = use_all(any, NULL); /* the first call */
    assert_true(failing_malloc_stop() > 0);
    assert_true(good);
    scene_any_free(any);
}

/* ---- two callers --------------------------------------------------------------------------------------------- */

typedef struct caller {
    scene_any any;
    pthread_barrier_t *in_call, *warm, *counted; /* in_call: both are inside a call */
    bool good;
} caller;

static void *run_caller(void *argument) {
    caller *own = argument;
    own->good = use_all(own->any, own->in_call);
    pthread_barrier_wait(own->warm);
    pthread_barrier_wait(own->warm); /* counting began between the two */
    for (size_t i = 0; i < ROUNDS; i++) own->good = use_all(own->any, NULL) && own->good;
    pthread_barrier_wait(own->counted);
    pthread_barrier_wait(own->counted); /* counting ended */
    return NULL;
}

static void expect_no_allocation_of_two(const char *device, unsigned threads) {
    pthread_barrier_t in_call, warm, counted;
    scene_any any = load(device, threads);
    pthread_barrier_init(&in_call, NULL, 2);
    pthread_barrier_init(&warm, NULL, 3);
    pthread_barrier_init(&counted, NULL, 3);
    caller callers[2];
    pthread_t started[2];
    for (size_t i = 0; i < 2; i++) {
        callers[i] = (caller){any, &in_call, &warm, &counted, false};
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
    scene_any_free(any);
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

#define steady_test(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
#define steady_test_encoder(name) \
    { #name " of an encoder", name, setup_encoder, scene_teardown, NULL }
#define steady_test_bfloat16(name) \
    { #name " in bfloat16", name, setup_bfloat16, scene_teardown, NULL }
#define steady_test_int8(name) \
    { #name " in int8", name, setup_int8, scene_teardown, NULL }

int main(void) {
    const struct CMUnitTest tests[] = {
        steady_test(test_one_caller),          steady_test_bfloat16(test_one_caller),
        steady_test_int8(test_one_caller),     steady_test(test_scoring_counts_when_it_does_allocate),
        steady_test(test_two_callers),         steady_test_bfloat16(test_two_callers),
        steady_test_int8(test_two_callers),    steady_test_encoder(test_one_caller),
        steady_test_encoder(test_two_callers), steady_test_encoder(test_scoring_counts_when_it_does_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
