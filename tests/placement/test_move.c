/* test_move.c - moving a model: where it is afterwards, what became of the calls in flight and of the old memory. */
#include "placement/scene.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void move(ce_model *model, const char *device) {
    ce_error error = {0};
    expect_ok(ce_model_to(model, device, &error), &error);
}

/* ---- one thread ---------------------------------------------------------------------------------------------- */

static void test_round_trip(void **state) {
    (void)state;
    float on_cpu[SCENE_SCORES], on_sim[SCENE_SCORES];
    ce_model *model = scene_load("cpu");
    scene_score(model, on_cpu);
    move(model, "sim:0");
    scene_expect_state(model, CE_STATE_READY, "sim:0", 2);
    scene_score(model, on_sim);
    scene_expect_near(on_sim, on_cpu);
    move(model, "sim:1");
    scene_expect_state(model, CE_STATE_READY, "sim:1", 3);
    scene_expect_idle(0);
    scene_expect_scores(model, on_sim);
    ce_placement_report report = scene_report(model);
    assert_string_equal(report.requested, "sim:1");
    assert_true(report.self_tested);
    assert_int_equal(report.tensors_verified, report.tensors);
    move(model, "cpu");
    scene_expect_state(model, CE_STATE_READY, "cpu", 4);
    scene_expect_idle(1);
    scene_expect_scores(model, on_cpu);
    ce_model_free(model);
}

static void test_scoring_never_moves(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_model *model = scene_load("sim:0");
    move(model, "cpu");
    uint64_t calls = scene_calls(0);
    scene_score(model, scores);
    for (int i = 0; i < 5; i++) scene_expect_scores(model, scores);
    ce_error error = {0};
    expect_ok(ce_model_check(model, NULL, &error), &error);
    expect_ok(ce_model_place(model, &error), &error);
    scene_expect_state(model, CE_STATE_READY, "cpu", 2);
    assert_int_equal(scene_calls(0), calls); /* the device that it was loaded for hears nothing */
    ce_model_free(model);
}

static void test_the_same_device_is_no_move(void **state) {
    (void)state;
    static const char *const names[] = {"sim:0", "sim", "auto"}; /* auto is sim:0 here */
    ce_model *model = scene_load("sim:0");
    uint64_t calls = scene_calls(0);
    for (size_t i = 0; i < 3; i++) {
        move(model, names[i]);
        scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
        assert_string_equal(scene_report(model).requested, names[i]);
    }
    assert_int_equal(scene_calls(0), calls);
    ce_model_free(model);
}

static void test_a_deferred_model_changes_its_target(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_model *model = scene_load_deferred("sim:0");
    move(model, "sim:1");
    scene_expect_state(model, CE_STATE_DEFERRED, "sim:1", 0);
    assert_int_equal(scene_calls(0) + scene_calls(1), 0);
    ce_error error = {0};
    expect_status(ce_model_to(model, "sim:9", &error), CE_ERR_DEVICE_ABSENT, &error, "sim:9");
    scene_expect_state(model, CE_STATE_DEFERRED, "sim:1", 0);
    scene_score(model, scores);
    scene_expect_state(model, CE_STATE_READY, "sim:1", 1);
    assert_int_equal(scene_calls(0), 0);
    ce_model_free(model);
}

static void test_a_wrong_device_changes_nothing(void **state) {
    (void)state;
    static const char *const wrong[] = {"gpu", "", "sim:2", "cuda", "opencl:1"};
    float scores[SCENE_SCORES];
    ce_model *model = scene_load("sim:0");
    ce_error error = {0};
    scene_score(model, scores);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_status(ce_model_to(model, wrong[i], &error), i < 2 ? CE_ERR_DEVICE_NAME : CE_ERR_DEVICE_ABSENT, &error,
                      wrong[i]);
        scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
        assert_string_equal(scene_report(model).requested, "sim:0");
        scene_expect_scores(model, scores);
    }
    expect_status(ce_model_to(model, NULL, &error), CE_ERR_ARGUMENT, &error, "device");
    expect_status(ce_model_to(NULL, "cpu", &error), CE_ERR_ARGUMENT, &error, "model");
    expect_status(ce_model_place(NULL, &error), CE_ERR_ARGUMENT, &error, "model");
    ce_model_free(model);
}

/* ---- the files ----------------------------------------------------------------------------------------------- */

static void remove_weights(void) {
    char path[1024];
    snprintf(path, sizeof path, "%s/model.safetensors", scene_folder);
    assert_int_equal(unlink(path), 0);
}

/* Another model of the same shape in the same folder. */
static void change_weights(void) {
    tiny_model other = scene_shape;
    other.seed++;
    remove_weights(); /* the file under a mapping must not shrink; a new one takes its name */
    tiny_model_write(&other, scene_folder);
}

static void test_unchanged_files_are_read_again(void **state) {
    (void)state;
    ce_model *model = scene_load("sim:0");
    move(model, "sim:1");
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_DOWNLOAD], 0);
    ce_model_free(model);
}

static void expect_move_without_files(const char *from, const char *to, void (*spoil)(void), const char *warning) {
    float before[SCENE_SCORES], after[SCENE_SCORES];
    tiny_model_write(&scene_shape, scene_folder);
    ce_model *model = scene_load(from);
    scene_score(model, before);
    spoil();
    move(model, to);
    assert_string_equal(scene_report(model).device, to);
    ce_placement_report report = scene_report(model);
    assert_int_equal(report.tensors_verified, report.tensors);
    assert_true(report.self_tested);
    scene_score(model, after);
    scene_expect_near(after, before); /* the old weights, none of the new */
    if (strncmp(from, "sim", 3) == 0 && strncmp(to, "sim", 3) == 0) assert_memory_equal(before, after, sizeof before);
    assert_true(scene_logged(CE_LOG_WARNING, warning));
    move(model, from); /* and back again */
    scene_expect_scores(model, before);
    ce_model_free(model);
}

static void test_without_files_the_weights_come_from_the_old_device(void **state) {
    (void)state;
    static const char *const ways[][2] = {{"sim:0", "sim:1"}, {"sim:0", "cpu"}, {"cpu", "sim:0"}};
    for (size_t i = 0; i < 3; i++) expect_move_without_files(ways[i][0], ways[i][1], remove_weights, "old device");
    assert_true(cei_sim_count(0).calls[CEI_SIM_DOWNLOAD] > 0);
}

static void test_files_that_changed_are_not_mixed_in(void **state) {
    (void)state;
    static const char *const ways[][2] = {{"sim:0", "sim:1"}, {"sim:0", "cpu"}, {"cpu", "sim:0"}};
    for (size_t i = 0; i < 3; i++) expect_move_without_files(ways[i][0], ways[i][1], change_weights, "changed");
}

static void test_the_old_device_fails_while_the_weights_are_taken_from_it(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    scene_score(model, scores);
    remove_weights();
    for (uint64_t nth = 1; nth <= scene_report(model).tensors; nth++) {
        cei_sim_fail(0, CEI_SIM_DOWNLOAD, nth, CE_ERR_DEVICE_FAULT);
        expect_status(ce_model_to(model, "sim:1", &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
        scene_expect_idle(1);
        scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    }
    scene_expect_scores(model, scores);
    ce_model_free(model);
}

static void test_weights_that_went_bad_on_the_old_device_are_not_passed_on(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    remove_weights();
    assert_true(cei_sim_damage(0, CEI_ROLE_TABLE, 0)); /* of which the self-test may read nothing */
    expect_status(ce_model_to(model, "sim:1", &error), CE_ERR_VERIFY, &error, "bert.embeddings");
    scene_expect_idle(1);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    ce_model_free(model);
}

static void test_a_deferred_model_needs_the_files_that_it_was_made_from(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load_deferred("sim:0");
    change_weights();
    expect_status(scene_try_score(model, scores, &error), CE_ERR_IO, &error, "changed");
    scene_expect_state(model, CE_STATE_DEFERRED, "sim:0", 0);
    remove_weights();
    expect_status(ce_model_place(model, &error), CE_ERR_NOT_FOUND, &error, "model.safetensors");
    scene_expect_idle(0);
    ce_model_free(model);
}

/* ---- calls in flight ----------------------------------------------------------------------------------------- */

typedef struct call {
    ce_model *model;
    float scores[SCENE_SCORES];
    ce_status status;
    ce_error error;
    const char *device;
} call;

static void *run_score(void *argument) {
    call *own = argument;
    own->status = scene_try_score(own->model, own->scores, &own->error);
    return NULL;
}

static void *run_move(void *argument) {
    call *own = argument;
    own->status = ce_model_to(own->model, own->device, &own->error);
    return NULL;
}

static void *run_place(void *argument) {
    call *own = argument;
    own->status = ce_model_place(own->model, &own->error);
    return NULL;
}

static void test_a_call_in_flight_finishes_on_the_old_placement(void **state) {
    (void)state;
    float wanted[SCENE_SCORES];
    ce_model *model = scene_load("sim:0");
    scene_score(model, wanted);
    call flight = {.model = model};
    scene_set_gate(0, CEI_SIM_OP);
    pthread_t thread = scene_start(run_score, &flight);
    scene_await_gate();
    uint64_t held = cei_sim_count(0).bytes, ops = cei_sim_count(0).calls[CEI_SIM_OP];
    move(model, "sim:1"); /* completes while the call stands still */
    scene_expect_state(model, CE_STATE_READY, "sim:1", 2);
    assert_int_equal(cei_sim_count(0).bytes, held); /* its memory is still needed */
    scene_expect_scores(model, wanted);             /* new calls are served by the new placement */
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_OP], ops);
    scene_open_gate();
    pthread_join(thread, NULL);
    expect_ok(flight.status, &flight.error);
    assert_memory_equal(flight.scores, wanted, sizeof wanted);
    assert_true(cei_sim_count(0).calls[CEI_SIM_OP] > ops);
    scene_expect_idle(0); /* released after the last call */
    ce_model_free(model);
}

static void test_calls_are_served_while_a_move_is_under_way(void **state) {
    (void)state;
    float wanted[SCENE_SCORES];
    ce_model *model = scene_load("sim:0");
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    scene_score(model, wanted);
    call moving = {.model = model, .device = "sim:1"};
    scene_set_gate(1, CEI_SIM_UPLOAD);
    pthread_t thread = scene_start(run_move, &moving);
    scene_await_gate();
    scene_expect_state(model, CE_STATE_MOVING, "sim:0", 1);
    scene_expect_scores(model, wanted);
    expect_ok(ce_model_check(model, &health, &error), &error);
    assert_int_equal(health.state, CE_STATE_MOVING);
    scene_open_gate();
    pthread_join(thread, NULL);
    expect_ok(moving.status, &moving.error);
    scene_expect_state(model, CE_STATE_READY, "sim:1", 2);
    scene_expect_scores(model, wanted);
    ce_model_free(model);
}

static void test_a_placing_is_seen_while_it_is_under_way(void **state) {
    (void)state;
    ce_model *model = scene_load_deferred("sim:0");
    call placing = {.model = model};
    scene_set_gate(0, CEI_SIM_CHECKSUM);
    pthread_t thread = scene_start(run_place, &placing);
    scene_await_gate();
    scene_expect_state(model, CE_STATE_PLACING, "sim:0", 0);
    scene_open_gate();
    pthread_join(thread, NULL);
    expect_ok(placing.status, &placing.error);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    ce_model_free(model);
}

static void test_moves_queue(void **state) {
    (void)state;
    ce_model *model = scene_load("cpu");
    call first = {.model = model, .device = "sim:0"}, second = {.model = model, .device = "sim:1"};
    scene_set_gate(0, CEI_SIM_UPLOAD);
    pthread_t one = scene_start(run_move, &first);
    scene_await_gate();
    pthread_t two = scene_start(run_move, &second);
    scene_expect_state(model, CE_STATE_MOVING, "cpu", 1);
    assert_int_equal(cei_sim_count(1).calls[CEI_SIM_OPEN], 0);
    scene_open_gate();
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    expect_ok(first.status, &first.error);
    expect_ok(second.status, &second.error);
    scene_expect_state(model, CE_STATE_READY, "sim:1", 3);
    scene_expect_idle(0);
    ce_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test(test_round_trip),
        scene_test_bfloat16(test_round_trip),
        scene_test_int8(test_round_trip),
        scene_test(test_scoring_never_moves),
        scene_test(test_the_same_device_is_no_move),
        scene_test(test_a_deferred_model_changes_its_target),
        scene_test(test_a_wrong_device_changes_nothing),
        scene_test(test_unchanged_files_are_read_again),
        scene_test_bfloat16(test_unchanged_files_are_read_again),
        scene_test_int8(test_unchanged_files_are_read_again),
        scene_test(test_without_files_the_weights_come_from_the_old_device),
        scene_test_bfloat16(test_without_files_the_weights_come_from_the_old_device),
        scene_test_int8(test_without_files_the_weights_come_from_the_old_device),
        scene_test(test_files_that_changed_are_not_mixed_in),
        scene_test_bfloat16(test_files_that_changed_are_not_mixed_in),
        scene_test_int8(test_files_that_changed_are_not_mixed_in),
        scene_test(test_the_old_device_fails_while_the_weights_are_taken_from_it),
        scene_test(test_weights_that_went_bad_on_the_old_device_are_not_passed_on),
        scene_test_bfloat16(test_weights_that_went_bad_on_the_old_device_are_not_passed_on),
        scene_test_int8(test_weights_that_went_bad_on_the_old_device_are_not_passed_on),
        scene_test(test_a_deferred_model_needs_the_files_that_it_was_made_from),
        scene_test_bfloat16(test_a_deferred_model_needs_the_files_that_it_was_made_from),
        scene_test_int8(test_a_deferred_model_needs_the_files_that_it_was_made_from),
        scene_test(test_a_call_in_flight_finishes_on_the_old_placement),
        scene_test_bfloat16(test_a_call_in_flight_finishes_on_the_old_placement),
        scene_test_int8(test_a_call_in_flight_finishes_on_the_old_placement),
        scene_test(test_calls_are_served_while_a_move_is_under_way),
        scene_test(test_a_placing_is_seen_while_it_is_under_way),
        scene_test(test_moves_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
