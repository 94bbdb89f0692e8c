/* test_several.c - one model on several devices: each replica placed and verified, batches shared out, results as of
 * one device, and what happens when one of them fails or goes away. */
#include "placement/scene.h"

#include "support/failing_malloc.h"

#include <stdio.h>
#include <string.h>

enum { DEVICES = 3, MANY = 120, MANY_SCORES = MANY * SCENE_LABELS };

static const char all_three[] = "sim:0,sim:1,sim:2";

static int setup(void **state) {
    scene_setup(state);
    cei_sim_set_devices(DEVICES);
    return 0;
}

static int setup_encoder(void **state) {
    scene_setup_encoder(state);
    cei_sim_set_devices(DEVICES);
    return 0;
}

static int teardown(void **state) {
    scene_teardown(state);
    scene_expect_idle(2);
    return 0;
}

static void expect_all_idle(void) {
    for (int i = 0; i < DEVICES; i++) scene_expect_idle(i);
}

/* Small batches: there are enough of them for all devices. */
static ce_load_options small_batches(const char *device) {
    ce_load_options options = scene_options(device);
    options.max_length = 24;
    options.batch_tokens = 48;
    return options;
}

static ce_model *load(const char *device) {
    ce_model *model = NULL;
    ce_error error = {0};
    const ce_load_options options = small_batches(device);
    expect_ok(ce_model_load(scene_folder, &options, &model, &error), &error);
    return model;
}

static void to(ce_model *model, const char *device) {
    ce_error error = {0};
    expect_ok(ce_model_to(model, device, &error), &error);
}

/* The texts of the pairs, of many lengths. */
static char texts[MANY][64];

static void make_pairs(ce_pair pairs[MANY]) {
    for (size_t i = 0; i < MANY; i++) {
        size_t length = 0;
        for (size_t w = 0; w <= i % 11; w++)
            length += (size_t)snprintf(texts[i] + length, sizeof texts[i] - length, "%d ", (int)(i * 7 + w * 3) % 10);
        pairs[i] = (ce_pair){ce_text_of("word1 word2"), ce_text_of(texts[i])};
    }
}

static ce_status try_score(ce_model *model, float scores[MANY_SCORES], ce_progress_fn progress, void *user,
                           ce_error *error) {
    ce_pair pairs[MANY];
    const ce_score_options options = {
        .size = sizeof options, .activation = CE_ACTIVATION_IDENTITY, .progress = progress, .progress_user = user};
    make_pairs(pairs);
    return ce_predict(model, pairs, MANY, &options, scores, error);
}

static void score(ce_model *model, float scores[MANY_SCORES]) {
    ce_error error = {0};
    expect_ok(try_score(model, scores, NULL, NULL, &error), &error);
}

/* What one device gives, which is what all must give. */
static float wanted[MANY_SCORES];

static void find_wanted(void) {
    ce_model *model = load("sim:0");
    score(model, wanted);
    ce_model_free(model);
}

static void expect_wanted(ce_model *model) {
    float found[MANY_SCORES];
    score(model, found);
    assert_memory_equal(found, wanted, sizeof found);
}

static ce_placement_report report_at(const ce_model *model, size_t index) {
    ce_placement_report report = {.size = sizeof report};
    ce_error error = {0};
    expect_ok(ce_model_placement_at(model, index, &report, &error), &error);
    return report;
}

/* ---- placed and shared out ----------------------------------------------------------------------------------- */

static void test_each_replica_is_placed_and_verified(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = load(all_three);
    for (int i = 0; i < DEVICES; i++) {
        char name[16];
        snprintf(name, sizeof name, "sim:%d", i);
        const ce_placement_report report = report_at(model, (size_t)i);
        assert_string_equal(report.device, name);
        assert_string_equal(report.requested, all_three);
        assert_int_equal(report.state, CE_STATE_READY);
        assert_int_equal(report.devices, DEVICES);
        assert_int_equal(report.generation, 1);
        assert_int_equal(report.tensors_verified, report.tensors);
        assert_true(report.self_tested);
        assert_true(cei_sim_count(i).bytes >= report.weight_bytes + report.workspace_bytes);
        assert_true(cei_sim_count(i).calls[CEI_SIM_CHECKSUM] >= report.tensors);
    }
    ce_placement_report report = {.size = sizeof report};
    expect_status(ce_model_placement_at(model, DEVICES, &report, &error), CE_ERR_ARGUMENT, &error, "3 devices");
    expect_status(ce_model_placement_at(NULL, 0, &report, &error), CE_ERR_ARGUMENT, &error, "model");
    expect_ok(ce_model_check(model, NULL, &error), &error);
    ce_model_free(model);
    expect_all_idle();
}

static void test_batches_are_shared_out_and_bits_are_those_of_one(void **state) {
    (void)state;
    uint64_t before[DEVICES];
    find_wanted();
    ce_model *model = load(all_three);
    cei_sim_set_delay(100); /* or the first device has done it all before the others wake up */
    for (int i = 0; i < DEVICES; i++) before[i] = cei_sim_count(i).ops[CEI_OP_EMBED];
    expect_wanted(model);
    for (int i = 0; i < DEVICES; i++) assert_true(cei_sim_count(i).ops[CEI_OP_EMBED] > before[i]);
    cei_sim_set_delay(0);
    ce_model_free(model);
}

static void test_a_bi_encoder_on_several(void **state) {
    (void)state;
    float values[SCENE_SCORES];
    ce_error error = {0};
    scene_any any = scene_any_loaded("sim:1");
    scene_any_values(any, values);
    expect_ok(scene_any_to(any, all_three, &error), &error);
    scene_any_expect_values(any, values);
    ce_placement_report report = {.size = sizeof report};
    expect_ok(ce_encoder_placement_at(any.encoder, 2, &report, &error), &error);
    assert_string_equal(report.device, "sim:2");
    scene_any_free(any);
}

typedef struct watched {
    pthread_t thread;
    uint64_t done, stop_at;
    size_t wrong;
} watched;

static bool watch(void *user, uint64_t done, uint64_t total) {
    watched *seen = user;
    seen->wrong += !pthread_equal(pthread_self(), seen->thread) || done <= seen->done || total != MANY;
    seen->done = done;
    return done < seen->stop_at;
}

static void test_progress_comes_from_the_calling_thread(void **state) {
    (void)state;
    float scores[MANY_SCORES];
    ce_error error = {0};
    ce_model *model = load(all_three);
    cei_sim_set_delay(50);
    watched seen = {.thread = pthread_self(), .stop_at = MANY + 1};
    expect_ok(try_score(model, scores, watch, &seen, &error), &error);
    assert_int_equal(seen.done, MANY);
    assert_int_equal(seen.wrong, 0);
    seen = (watched){.thread = pthread_self(), .stop_at = 1};
    expect_status(try_score(model, scores, watch, &seen, &error), CE_ERR_CANCELLED, &error, "cancelled after");
    cei_sim_set_delay(0);
    find_wanted();
    expect_wanted(model);
    ce_model_free(model);
}

static bool count_texts(void *user, const ce_encoded *encoded) {
    watched *seen = user;
    seen->wrong += !pthread_equal(pthread_self(), seen->thread) || !encoded->token_embeddings;
    return ++seen->done < seen->stop_at;
}

static void test_tokens_of_texts_come_from_the_calling_thread(void **state) {
    (void)state;
    ce_error error = {0};
    ce_text few[5];
    for (size_t i = 0; i < 5; i++) few[i] = ce_text_of("word1 word2");
    scene_any any = scene_any_loaded(all_three);
    for (size_t turn = 0; turn < 2 * DEVICES; turn++) { /* each call begins at another device */
        watched seen = {.thread = pthread_self(), .stop_at = 6};
        const ce_encode_options options = {.size = sizeof options, .each = count_texts, .each_user = &seen};
        expect_ok(ce_encode(any.encoder, few, 5, &options, NULL, &error), &error);
        assert_true(seen.done == 5 && seen.wrong == 0);
    }
    scene_any_free(any);
}

/* ---- refused ------------------------------------------------------------------------------------------------- */

static void test_lists_that_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *devices;
        ce_status status;
        const char *part;
    } cases[] = {
        {"sim:0,sim:0", CE_ERR_DEVICE_NAME, "twice"},
        {"sim,sim:1,sim:0", CE_ERR_DEVICE_NAME, "sim:0 twice"},
        {"cpu,cpu:0", CE_ERR_DEVICE_NAME, "cpu twice"},
        {"cpu,sim:0", CE_ERR_UNSUPPORTED, "different kinds"},
        {"sim:0,sim:1,cpu", CE_ERR_UNSUPPORTED, "sim:0 and cpu"},
        {"auto,sim:0", CE_ERR_DEVICE_NAME, "auto stands alone"},
        {"sim:0,", CE_ERR_DEVICE_NAME, "\"\""},
        {",", CE_ERR_DEVICE_NAME, "\"\""},
        {"sim:0, sim:1", CE_ERR_DEVICE_NAME, "\" sim:1\""},
        {"sim:0,sim:3", CE_ERR_DEVICE_ABSENT, "sim:3"},
        {"sim:0,a name that is longer than any", CE_ERR_DEVICE_NAME, "a name that is longer"},
    };
    ce_error error = {0};
    ce_model *model = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ce_load_options options = scene_options(cases[i].devices);
        expect_status(ce_model_load(scene_folder, &options, &model, &error), cases[i].status, &error, cases[i].part);
        assert_null(model);
    }
    model = load("sim:1");
    find_wanted();
    expect_status(ce_model_to(model, "sim:0,cpu", &error), CE_ERR_UNSUPPORTED, &error, "kinds");
    scene_expect_state(model, CE_STATE_READY, "sim:1", 1);
    expect_wanted(model);
    ce_model_free(model);
}

static void test_devices_that_round_otherwise_are_refused(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = NULL;
    const ce_load_options options = small_batches(all_three);
    cei_sim_nudge(1, true);
    expect_status(ce_model_load(scene_folder, &options, &model, &error), CE_ERR_UNSUPPORTED, &error, "other bits");
    assert_non_null(strstr(error.message, "sim:1 and sim:0"));
    expect_all_idle();
    model = load("sim:1"); /* alone it is good enough */
    ce_model_free(model);
}

/* ---- faults -------------------------------------------------------------------------------------------------- */

/* A load on all three with something wrong on device index must fail, name the device, and leave nothing anywhere. */
static void expect_load_fails(int index, ce_status status) {
    ce_error error = {0};
    ce_model *model = NULL;
    char name[16];
    snprintf(name, sizeof name, "sim:%d", index);
    const ce_load_options options = small_batches(all_three);
    expect_status(ce_model_load(scene_folder, &options, &model, &error), status, &error, name);
    assert_null(model);
    expect_all_idle();
}

static void test_a_fault_of_one_fails_the_load_whole(void **state) {
    (void)state;
    for (int index = 0; index < DEVICES; index++) {
        for (int call = 0; call < CEI_SIM_CALLS; call++) {
            if (call == CEI_SIM_DOWNLOAD) continue; /* no load reads weights back */
            cei_sim_fail(index, (cei_sim_call)call, 1, CE_ERR_DEVICE_FAULT);
            expect_load_fails(index, CE_ERR_DEVICE_FAULT);
        }
        cei_sim_corrupt_upload(index, 3, CEI_SIM_FLIP_BIT);
        expect_load_fails(index, CE_ERR_VERIFY);
        cei_sim_distort(index, CEI_OP_LINEAR, true);
        expect_load_fails(index, CE_ERR_VERIFY);
        cei_sim_distort(index, CEI_OP_LINEAR, false);
        cei_sim_lose(index, 5);
        expect_load_fails(index, CE_ERR_DEVICE_LOST);
        cei_sim_revive(index);
        cei_sim_set_memory(index, 1000);
        expect_load_fails(index, CE_ERR_DEVICE_MEMORY);
        cei_sim_set_memory(index, 256 << 20);
    }
    ce_model_free(load(all_three));
}

static void test_a_device_lost_at_each_call_of_a_move(void **state) {
    (void)state;
    ce_error error = {0};
    find_wanted();
    ce_model *model = load("sim:0");
    uint64_t before = scene_calls(2);
    to(model, all_three);
    const uint64_t calls = scene_calls(2) - before;
    to(model, "sim:0");
    for (uint64_t nth = 1; nth <= calls; nth += 7) {
        cei_sim_lose(2, nth);
        expect_status(ce_model_to(model, all_three, &error), CE_ERR_DEVICE_LOST, &error, "sim:2");
        cei_sim_revive(2);
        scene_expect_state(model, CE_STATE_READY, "sim:0", 3);
        scene_expect_idle(1);
        scene_expect_idle(2);
    }
    expect_wanted(model);
    ce_model_free(model);
}

/* ---- lost ---------------------------------------------------------------------------------------------------- */

static int victim;

static void lose_victim(void *user, int index, cei_sim_call call, cei_op op) {
    (void)user;
    if (index == victim && call == CEI_SIM_OP && op == CEI_OP_ATTENTION) cei_sim_lose(index, 0);
}

/* Loses one device in mid-call; the call says so, and the others live on. */
static void lose_one(ce_model *model, int index) {
    float unused[MANY_SCORES];
    ce_error error = {0};
    char name[16];
    snprintf(name, sizeof name, "sim:%d", index);
    victim = index;
    cei_sim_set_delay(100);
    cei_sim_set_hook(lose_victim, NULL);
    expect_status(try_score(model, unused, NULL, NULL, &error), CE_ERR_DEVICE_LOST, &error, name);
    cei_sim_set_hook(NULL, NULL);
    cei_sim_set_delay(0);
}

static void test_one_is_lost_in_mid_call_and_the_others_live_on(void **state) {
    (void)state;
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    find_wanted();
    ce_model *model = load(all_three);
    for (int index = 0; index < DEVICES; index++) {
        const uint64_t generation = report_at(model, 0).generation;
        lose_one(model, index);
        scene_expect_idle(index);
        assert_int_equal(report_at(model, (size_t)index).state, CE_STATE_LOST);
        assert_int_equal(scene_report(model).state, CE_STATE_READY);
        assert_true(scene_logged(CE_LOG_WARNING, "works on without it"));
        expect_wanted(model);
        expect_status(ce_model_check(model, &health, &error), CE_ERR_DEVICE_LOST, &error, "without it");
        assert_int_equal(health.state, CE_STATE_READY);
        expect_status(ce_model_place(model, &error), CE_ERR_DEVICE_LOST, &error, "one of sim:0,sim:1,sim:2");
        expect_wanted(model); /* a failure to bring it back changes nothing */
        cei_sim_revive(index);
        const uint64_t uploads = cei_sim_count((index + 1) % DEVICES).calls[CEI_SIM_UPLOAD];
        expect_ok(ce_model_place(model, &error), &error);
        assert_int_equal(cei_sim_count((index + 1) % DEVICES).calls[CEI_SIM_UPLOAD], uploads); /* it was there */
        assert_int_equal(report_at(model, (size_t)index).state, CE_STATE_READY);
        assert_int_equal(report_at(model, (size_t)index).generation, generation + 1);
        expect_ok(ce_model_check(model, NULL, &error), &error);
        expect_wanted(model);
    }
    ce_model_free(model);
}

static void test_without_any_device_the_model_is_lost(void **state) {
    (void)state;
    float unused[MANY_SCORES];
    ce_error error = {0};
    find_wanted();
    ce_model *model = load("sim:0,sim:1");
    lose_one(model, 0);
    lose_one(model, 1);
    assert_int_equal(scene_report(model).state, CE_STATE_LOST);
    expect_status(try_score(model, unused, NULL, NULL, &error), CE_ERR_DEVICE_LOST, &error, "sim:0,sim:1");
    to(model, "sim:2");
    expect_wanted(model);
    cei_sim_revive(0);
    cei_sim_revive(1);
    ce_model_free(model);
}

/* ---- moved --------------------------------------------------------------------------------------------------- */

static void test_moves_keep_what_is_there(void **state) {
    (void)state;
    find_wanted();
    ce_model *model = load("sim:0");
    const uint64_t first = cei_sim_count(0).calls[CEI_SIM_UPLOAD];
    to(model, "sim:0,sim:1");
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_UPLOAD], first);
    expect_wanted(model);
    to(model, "sim:0,sim:1"); /* is there: nothing happens */
    assert_int_equal(report_at(model, 0).generation, 2);
    const uint64_t second = cei_sim_count(1).calls[CEI_SIM_UPLOAD];
    to(model, "sim:2,sim:1");
    assert_int_equal(cei_sim_count(1).calls[CEI_SIM_UPLOAD], second);
    scene_expect_idle(0);
    assert_string_equal(report_at(model, 0).device, "sim:2");
    expect_wanted(model);
    to(model, "sim:1");
    assert_int_equal(cei_sim_count(1).calls[CEI_SIM_UPLOAD], second);
    scene_expect_idle(2);
    assert_int_equal(report_at(model, 0).devices, 1);
    expect_wanted(model);
    to(model, "cpu");
    expect_all_idle();
    ce_model_free(model);
}

static void test_replicas_from_the_old_device_when_the_files_are_gone(void **state) {
    (void)state;
    ce_error error = {0};
    find_wanted();
    ce_model *model = load("sim:0");
    assert_int_equal(remove(test_path(scene_folder, "model.safetensors")), 0);
    to(model, "sim:1,sim:2");
    scene_expect_idle(0);
    expect_wanted(model);
    lose_one(model, 2);
    cei_sim_revive(2);
    expect_ok(ce_model_place(model, &error), &error); /* from the replica that is left */
    expect_wanted(model);
    ce_model_free(model);
}

static void test_a_deferred_list_is_placed_by_its_first_call(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = NULL;
    ce_load_options options = small_batches("sim:0,sim:1");
    find_wanted();
    options.place = CE_PLACE_DEFERRED;
    expect_ok(ce_model_load(scene_folder, &options, &model, &error), &error);
    expect_all_idle();
    to(model, "sim:1,sim:2");
    expect_all_idle();
    assert_string_equal(report_at(model, 1).device, "sim:2");
    expect_ok(ce_model_check(model, NULL, &error), &error);
    expect_wanted(model);
    scene_expect_idle(0);
    ce_model_free(model);
}

/* ---- many threads -------------------------------------------------------------------------------------------- */

enum { THREADS = 8, CALLS = 4 };

typedef struct caller {
    ce_model *model;
    size_t wrong;
} caller;

static void *call_often(void *argument) {
    caller *own = argument;
    for (size_t i = 0; i < CALLS; i++) {
        float found[SCENE_SCORES];
        own->wrong += scene_try_score(own->model, found, NULL) != CE_OK || memcmp(found, wanted, sizeof found) != 0;
    }
    return NULL;
}

static void test_eight_threads_while_the_list_changes(void **state) {
    (void)state;
    static const char *const tour[] = {"sim:0,sim:1", "sim:2", "sim:2,sim:1,sim:0", "sim:1,sim:0"};
    caller callers[THREADS];
    pthread_t threads[THREADS];
    ce_model *model = load(all_three);
    scene_score(model, wanted);
    for (size_t i = 0; i < THREADS; i++) {
        callers[i] = (caller){model, 0};
        threads[i] = scene_start(call_often, &callers[i]);
    }
    for (size_t i = 0; i < 8; i++) to(model, tour[i % 4]);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].wrong, 0);
    }
    ce_model_free(model);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* A load on one, a move to two and a call there; bytes of a move that failed are all given back. */
static ce_status use_two(void *user, ce_error *error) {
    (void)user;
    float scores[SCENE_SCORES];
    ce_model *model = NULL;
    const ce_load_options options = scene_options("sim:0");
    ce_status status = ce_model_load(scene_folder, &options, &model, error);
    if (status == CE_OK) status = ce_model_to(model, "sim:0,sim:1", error);
    if (status == CE_OK) status = scene_try_score(model, scores, error);
    if (status == CE_OK) assert_memory_equal(scores, wanted, sizeof scores);
    ce_model_free(model);
    return status;
}

static void test_want_of_memory_at_allocations_on_two(void **state) {
    (void)state;
    failing_malloc_or_skip();
    ce_model *model = scene_load("sim:0");
    scene_score(model, wanted);
    ce_model_free(model);
    test_some_allocations(use_two, NULL, 60);
    expect_all_idle();
}

static void test_steady_calls_allocate_nothing(void **state) {
    (void)state;
    failing_malloc_or_skip();
    float scores[MANY_SCORES];
    find_wanted();
    ce_model *model = load(all_three);
    cei_sim_set_delay(20);
    for (size_t i = 0; i < 6; i++) score(model, scores);
    failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
    for (size_t i = 0; i < 3; i++) score(model, scores);
    const size_t made = failing_malloc_stop();
    assert_int_equal(made, 0);
    assert_memory_equal(scores, wanted, sizeof scores);
    cei_sim_set_delay(0);
    ce_model_free(model);
}

#define several_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define encoder_test(name) cmocka_unit_test_setup_teardown(name, setup_encoder, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        several_test(test_each_replica_is_placed_and_verified),
        several_test(test_batches_are_shared_out_and_bits_are_those_of_one),
        encoder_test(test_a_bi_encoder_on_several),
        several_test(test_progress_comes_from_the_calling_thread),
        encoder_test(test_tokens_of_texts_come_from_the_calling_thread),
        several_test(test_lists_that_are_refused),
        several_test(test_devices_that_round_otherwise_are_refused),
        several_test(test_a_fault_of_one_fails_the_load_whole),
        several_test(test_a_device_lost_at_each_call_of_a_move),
        several_test(test_one_is_lost_in_mid_call_and_the_others_live_on),
        several_test(test_without_any_device_the_model_is_lost),
        several_test(test_moves_keep_what_is_there),
        several_test(test_replicas_from_the_old_device_when_the_files_are_gone),
        several_test(test_a_deferred_list_is_placed_by_its_first_call),
        several_test(test_eight_threads_while_the_list_changes),
        several_test(test_want_of_memory_at_allocations_on_two),
        several_test(test_steady_calls_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
