/* test_oom.c - want of host memory at every allocation of every call of the library, in turn.
 *
 * The call ends in CE_ERR_MEMORY or CE_ERR_DEVICE_MEMORY (or does without), leaves nothing behind, and the model works
 * on: where it was, with the scores that it had. */
#include "placement/scene.h"

#include "support/failing_malloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- loading ------------------------------------------------------------------------------------------------- */

typedef struct loading {
    const char *device;
    ce_place_mode place;
    unsigned threads;
} loading;

static ce_status load_and_free(void *user, ce_error *error) {
    const loading *how = user;
    ce_load_options options = scene_options(how->device);
    scene_any any;
    options.place = how->place;
    options.threads = how->threads;
    ce_status status = scene_any_load(&options, &any, error);
    assert_true((status == CE_OK) == (any.model || any.encoder));
    scene_any_free(any);
    return status;
}

static void test_load(void **state) {
    (void)state;
    static const loading ways[] = {{"cpu", CE_PLACE_EAGER, 1},
                                   {"sim:0", CE_PLACE_EAGER, 1},
                                   {"cpu", CE_PLACE_EAGER, 2},
                                   {"sim:0", CE_PLACE_DEFERRED, 1}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        loading how = ways[i];
        test_each_allocation(load_and_free, &how);
        scene_expect_idle(0);
    }
}

/* ---- calls on a loaded model --------------------------------------------------------------------------------- */

typedef ce_status (*use_fn)(scene_any any, ce_error *error);

static float wanted[SCENE_SCORES]; /* values of the model on the device that is tested */

static ce_status use_all(scene_any any, ce_error *error) {
    float values[SCENE_SCORES];
    ce_status status = scene_any_try_values(any, values, error);
    if (status == CE_OK) assert_memory_equal(values, wanted, sizeof values);
    return status;
}

static ce_status use_predict_with_details(scene_any any, ce_error *error) {
    float scores[2 * SCENE_LABELS];
    ce_truncation cut[2];
    ce_score_report report = {.size = sizeof report};
    ce_score_options options = {
        .size = sizeof options, .apply_softmax = true, .utf8 = CE_UTF8_REPLACE, .truncations = cut, .report = &report};
    char text[2000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = i % 5 ? 'a' : ' ';
    ce_pair pairs[2] = {{{text, sizeof text}, {"\xFF\xC3", 2}}, {{"word1", 5}, {text, sizeof text}}};
    ce_status status = ce_predict(any.model, pairs, 2, &options, scores, error);
    if (status == CE_OK) assert_int_equal(report.truncated, 2);
    return status;
}

/* So many pairs that, with two threads, each computes batches of its own. All are one pair. */
static ce_status use_predict_of_many(scene_any any, ce_error *error) {
    enum { PAIRS = 40, TEXT = 200 };
    float scores[PAIRS * SCENE_LABELS];
    char text[TEXT];
    ce_pair pairs[PAIRS];
    for (size_t i = 0; i < TEXT; i++) text[i] = i % 5 ? 'a' : ' ';
    for (size_t i = 0; i < PAIRS; i++) pairs[i] = (ce_pair){{"word1", 5}, {text, TEXT}};
    const ce_status status = ce_predict(any.model, pairs, PAIRS, NULL, scores, error);
    for (size_t i = 1; i < PAIRS && status == CE_OK; i++)
        assert_memory_equal(scores + i * SCENE_LABELS, scores, SCENE_LABELS * sizeof *scores);
    return status;
}

typedef struct seen {
    size_t texts, tokens;
} seen;

static bool see(void *user, const ce_encoded *encoded) {
    seen *to = user;
    to->texts++;
    to->tokens += encoded->tokens;
    return true;
}

/* With a prompt that pooling leaves out, a text that is cut, and the tokens of each. */
static ce_status use_encode_with_details(scene_any any, ce_error *error) {
    char text[2000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = i % 5 ? 'a' : ' ';
    const ce_text prompt = ce_text_of(ce_encoder_prompt(any.encoder, "query"));
    const ce_text some[2] = {{"\xFF\xC3", 2}, {text, sizeof text}};
    float values[2 * SCENE_LABELS];
    seen found = {0};
    ce_encode_report report = {.size = sizeof report};
    const ce_encode_options options = {.size = sizeof options,
                                       .prompt = &prompt,
                                       .normalize = true,
                                       .utf8 = CE_UTF8_REPLACE,
                                       .each = see,
                                       .each_user = &found,
                                       .report = &report};
    ce_status status = ce_encode(any.encoder, some, 2, &options, values, error);
    if (status == CE_OK) assert_true(found.texts == 2 && found.tokens == report.tokens && report.truncated == 1);
    return status;
}

static ce_status use_describe(scene_any any, ce_error *error) {
    ce_encoder_info info = {.size = sizeof info};
    return ce_encoder_describe(any.encoder, &info, error);
}

static ce_status use_check(scene_any any, ce_error *error) {
    ce_health health = {.size = sizeof health};
    return scene_any_check(any, &health, error);
}

static ce_status use_tokenize(scene_any any, ce_error *error) {
    int32_t ids[64], types[64];
    size_t count;
    ce_truncation cut;
    ce_pair pair = {ce_text_of("word1 something else"), ce_text_of("W\xC3\xB6rd 2, \xE4\xB8\xAD\xE6\x96\x87")};
    return ce_tokenize(any.model, pair, NULL, ids, types, 64, &count, &cut, error);
}

static ce_status use_devices(scene_any any, ce_error *error) {
    (void)any;
    ce_device_info infos[8];
    size_t count;
    return ce_devices(infos, 8, &count, error);
}

static ce_status use_measure(scene_any any, ce_error *error) {
    (void)any;
    ce_device_speed speed = {.size = sizeof speed};
    const ce_measure_options options = {.size = sizeof options, .threads = 2};
    return ce_device_measure("cpu", &options, &speed, error);
}

static ce_status use_place(scene_any any, ce_error *error) { return ce_model_place(any.model, error); }
static ce_status move_to_cpu(scene_any any, ce_error *error) { return scene_any_to(any, "cpu", error); }
static ce_status move_to_sim0(scene_any any, ce_error *error) { return scene_any_to(any, "sim:0", error); }
static ce_status move_to_sim1(scene_any any, ce_error *error) { return scene_any_to(any, "sim:1", error); }

static void expect_works_on(scene_any any, const loading *how, ce_status status) {
    float found[SCENE_SCORES];
    if (status != CE_OK && how->place == CE_PLACE_EAGER) {
        scene_any_expect_state(any, CE_STATE_READY, how->device, 1);
        scene_any_expect_values(any, wanted);
    }
    scene_any_values(any, found);
    scene_expect_near(found, wanted);
}

/* One use of a fresh model with the nth allocation failing. Returns how many allocations the use made. */
static size_t try_use(use_fn use, const loading *how, failing_how failing, size_t nth) {
    long before = failing_malloc_live();
    ce_load_options options = scene_options(how->device);
    scene_any any;
    ce_error error = {CE_OK, ""};
    options.place = how->place;
    options.threads = how->threads;
    expect_ok(scene_any_load(&options, &any, &error), &error);
    failing_malloc_start(failing, nth, FAILING_ALL_THREADS);
    ce_status status = use(any, &error);
    size_t made = failing_malloc_stop();
    bool memory = status == CE_ERR_MEMORY || status == CE_ERR_DEVICE_MEMORY;
    if (status != CE_OK && !(memory && made >= nth))
        fail_msg("allocation %zu of %zu: %s: %s", nth, made, ce_status_name(status), error.message);
    if (status != CE_OK) assert_true(error.status == status && error.message[0]);
    expect_works_on(any, how, status);
    scene_any_free(any);
    if (failing_malloc_live() != before)
        fail_msg("allocation %zu of %zu: %ld blocks leaked", nth, made, failing_malloc_live() - before);
    return made;
}

/* Of the allocations of a use, each: or every n-th, if CE_OOM_STRIDE is n. */
static size_t stride(void) {
    const char *text = getenv("CE_OOM_STRIDE");
    const long n = text ? strtol(text, NULL, 10) : 1;
    return n > 1 ? (size_t)n : 1;
}

static void try_each_with(use_fn use, const char *device, ce_place_mode place, unsigned threads) {
    const loading how = {device, place, threads};
    size_t made;
    if (!failing_malloc_works()) {
        print_message("SKIP: the sanitizer's allocator cannot be made to fail\n");
        skip();
    }
    scene_any any = scene_any_loaded(device);
    scene_any_values(any, wanted);
    scene_any_free(any);
    (void)try_use(use, &how, FAILING_NONE, 0); /* lets libraries allocate what they keep */
    const size_t step = stride();
    size_t nth = 1;
    do {
        made = try_use(use, &how, FAILING_ONCE, nth);
        (void)try_use(use, &how, FAILING_FROM, nth);
        nth += step;
    } while (made >= nth);
    scene_expect_idle(0);
    scene_expect_idle(1);
}

static void try_each(use_fn use, const char *device, ce_place_mode place) { try_each_with(use, device, place, 1); }

static void test_first_predict(void **state) {
    (void)state;
    try_each(use_all, "cpu", CE_PLACE_EAGER);
    try_each(use_all, "sim:0", CE_PLACE_EAGER);
    try_each(use_predict_with_details, "cpu", CE_PLACE_EAGER);
    try_each_with(use_predict_of_many, "cpu", CE_PLACE_EAGER, 2);
}

static int setup_encoder(void **state) {
    scene_setup_encoder(state);
    scene_encoder.include_prompt = false;
    scene_write();
    return 0;
}

static void test_first_encode(void **state) {
    (void)state;
    static const char *const devices[] = {"cpu", "sim:0"};
    for (size_t i = 0; i < 2; i++) {
        try_each(use_all, devices[i], CE_PLACE_EAGER);
        try_each(use_encode_with_details, devices[i], CE_PLACE_EAGER);
        try_each(use_describe, devices[i], CE_PLACE_EAGER);
    }
    try_each(use_encode_with_details, "sim:0", CE_PLACE_DEFERRED);
}

static void test_predict_of_a_deferred_model(void **state) {
    (void)state;
    try_each(use_all, "cpu", CE_PLACE_DEFERRED);
    try_each(use_all, "sim:0", CE_PLACE_DEFERRED);
}

static void test_place(void **state) {
    (void)state;
    try_each(use_place, "sim:0", CE_PLACE_DEFERRED);
}

static void test_move(void **state) {
    (void)state;
    try_each(move_to_sim0, "cpu", CE_PLACE_EAGER);
    try_each(move_to_sim1, "sim:0", CE_PLACE_EAGER);
    try_each(move_to_cpu, "sim:0", CE_PLACE_EAGER);
}

static void test_check(void **state) {
    (void)state;
    try_each(use_check, "cpu", CE_PLACE_EAGER);
    try_each(use_check, "sim:0", CE_PLACE_EAGER);
}

static void test_tokenize(void **state) {
    (void)state;
    try_each(use_tokenize, "cpu", CE_PLACE_EAGER);
}

static void test_devices(void **state) {
    (void)state;
    size_t count;
    expect_ok(ce_devices(NULL, 0, &count, NULL), NULL); /* the first failed dlopen takes a block for ever */
    try_each(use_devices, "cpu", CE_PLACE_EAGER);
}

static void test_measure(void **state) {
    (void)state;
    try_each(use_measure, "cpu", CE_PLACE_EAGER);
}

/* ---- ranking, which needs a model of one label ---------------------------------------------------------------- */

static ce_status rank_afresh(void *user, ce_error *error) {
    ce_model *model = NULL;
    ce_load_options options = scene_options(user);
    enum { DOCUMENTS = 5 };
    ce_text documents[DOCUMENTS] = {ce_text_of("word1 word2"), ce_text_of("word3"), ce_text_of("word1"),
                                    ce_text_of("no word"), ce_text_of("")};
    ce_ranked ranked[DOCUMENTS];
    size_t count = 0;
    ce_status status = ce_model_load(scene_folder, &options, &model, error);
    if (status == CE_OK)
        status = ce_rank(model, ce_text_of("word1"), documents, DOCUMENTS, 0, NULL, ranked, &count, error);
    if (status == CE_OK) assert_int_equal(count, DOCUMENTS);
    ce_model_free(model);
    return status;
}

static void test_rank(void **state) {
    (void)state;
    scene_shape.labels = 1;
    tiny_model_write(&scene_shape, scene_folder);
    char devices[][8] = {"cpu", "sim:0"};
    for (size_t i = 0; i < 2; i++) test_each_allocation(rank_afresh, devices[i]);
}

#define encoder_test(name) \
    { #name " of an encoder", name, setup_encoder, scene_teardown, NULL }

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test(test_load),          scene_test_int8(test_load),
        scene_test(test_first_predict), scene_test(test_predict_of_a_deferred_model),
        scene_test(test_place),         scene_test(test_move),
        scene_test_int8(test_move),     scene_test(test_check),
        scene_test(test_tokenize),      scene_test(test_devices),
        scene_test(test_rank),          scene_test(test_measure),
        encoder_test(test_load),        encoder_test(test_first_encode),
        encoder_test(test_move),        encoder_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
