/* test_lost.c - health: devices that go away, memory that goes bad, and the ways back. */
#include "placement/scene.h"

#include <string.h>

/* Loses device index at the first operation. */
static void lose_at_operation(void *user, int index, cei_sim_call call, cei_op op) {
    (void)user;
    if (call == CEI_SIM_OP && op == CEI_OP_ATTENTION) cei_sim_lose(index, 0);
}

/* A model that was on sim:0 when it was lost; scores are what it gave there. */
static ce_model *lost_model(float scores[SCENE_SCORES]) {
    float unused[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    scene_score(model, scores);
    cei_sim_set_hook(lose_at_operation, NULL);
    expect_status(scene_try_score(model, unused, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
    cei_sim_set_hook(NULL, NULL);
    return model;
}

static void test_a_device_lost_in_mid_call(void **state) {
    (void)state;
    float scores[SCENE_SCORES], unused[SCENE_SCORES];
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    ce_model *model = lost_model(scores);
    scene_expect_state(model, CE_STATE_LOST, "sim:0", 1);
    scene_expect_idle(0); /* its objects were freed */
    ce_placement_report report = scene_report(model);
    assert_false(report.self_tested);
    assert_int_equal(report.tensors_verified, 0);
    uint64_t calls = scene_calls(0);
    expect_status(scene_try_score(model, unused, &error), CE_ERR_DEVICE_LOST, &error, "ce_model_place");
    assert_non_null(strstr(error.message, "ce_model_to"));
    expect_status(ce_model_check(model, &health, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
    assert_int_equal(health.state, CE_STATE_LOST);
    assert_int_equal(scene_calls(0), calls); /* a lost model asks nothing of a device that is not there */
    ce_model_free(model);
}

static void test_a_lost_model_is_placed_again(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = lost_model(scores);
    expect_status(ce_model_place(model, &error), CE_ERR_DEVICE_LOST, &error, "sim:0"); /* it is still away */
    scene_expect_state(model, CE_STATE_LOST, "sim:0", 1);
    cei_sim_revive(0);
    expect_ok(ce_model_place(model, &error), &error);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 2);
    scene_expect_scores(model, scores);
    expect_ok(ce_model_check(model, NULL, &error), &error);
    ce_model_free(model);
}

static void test_a_lost_model_moves_to_another_device(void **state) {
    (void)state;
    static const char *const refuges[] = {"cpu", "sim:1"};
    for (size_t i = 0; i < 2; i++) {
        float before[SCENE_SCORES], after[SCENE_SCORES];
        ce_error error = {0};
        ce_model *model = lost_model(before);
        expect_ok(ce_model_to(model, refuges[i], &error), &error);
        scene_expect_state(model, CE_STATE_READY, refuges[i], 2);
        scene_score(model, after);
        scene_expect_near(after, before);
        ce_model_free(model);
        cei_sim_revive(0);
    }
}

static void test_naming_the_lost_device_places_anew(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = lost_model(scores);
    expect_status(ce_model_to(model, "sim:0", &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
    scene_expect_state(model, CE_STATE_LOST, "sim:0", 1);
    cei_sim_revive(0);
    expect_ok(ce_model_to(model, "sim:0", &error), &error);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 2);
    scene_expect_scores(model, scores);
    ce_model_free(model);
}

static void test_a_loss_shows_at_each_call_of_scoring(void **state) {
    (void)state;
    float scores[SCENE_SCORES], unused[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    uint64_t before = scene_calls(0);
    scene_score(model, scores);
    uint64_t calls = scene_calls(0) - before;
    for (uint64_t nth = 1; nth <= calls; nth++) {
        cei_sim_lose(0, nth);
        expect_status(scene_try_score(model, unused, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
        scene_expect_state(model, CE_STATE_LOST, "sim:0", nth);
        cei_sim_revive(0);
        expect_ok(ce_model_place(model, &error), &error);
    }
    scene_expect_scores(model, scores);
    ce_model_free(model);
}

static void test_a_move_away_from_a_lost_device_that_nobody_noticed(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    scene_score(model, scores);
    cei_sim_lose(0, 0);
    expect_ok(ce_model_to(model, "sim:1", &error), &error); /* the weights come from the files */
    scene_expect_state(model, CE_STATE_READY, "sim:1", 2);
    scene_expect_scores(model, scores);
    scene_expect_idle(0);
    ce_model_free(model);
}

typedef struct call {
    ce_model *model;
    ce_status status;
} call;

static void *score_until_lost(void *argument) {
    call *own = argument;
    float scores[SCENE_SCORES];
    do own->status = scene_try_score(own->model, scores, NULL);
    while (own->status == CE_OK);
    return NULL;
}

static void test_a_loss_under_many_calls(void **state) {
    (void)state;
    enum { THREADS = 4, ROUNDS = 5 };
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    for (uint64_t round = 0; round < ROUNDS; round++) {
        call calls[THREADS];
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            calls[i] = (call){.model = model};
            threads[i] = scene_start(score_until_lost, &calls[i]);
        }
        cei_sim_lose(0, 40 + 17 * round);
        for (size_t i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(calls[i].status, CE_ERR_DEVICE_LOST);
        }
        scene_expect_idle(0);
        scene_expect_state(model, CE_STATE_LOST, "sim:0", round + 1);
        cei_sim_revive(0);
        expect_ok(ce_model_place(model, &error), &error);
    }
    ce_model_free(model);
}

static void test_a_call_in_flight_on_an_old_placement_may_lose_it(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    call flight = {.model = model};
    scene_set_gate(0, CEI_SIM_OP);
    pthread_t thread = scene_start(score_until_lost, &flight);
    scene_await_gate();
    expect_ok(ce_model_to(model, "sim:1", &error), &error);
    cei_sim_lose(0, 0);
    scene_open_gate();
    pthread_join(thread, NULL);
    assert_int_equal(flight.status, CE_ERR_DEVICE_LOST);
    scene_expect_idle(0);
    scene_expect_state(model, CE_STATE_READY, "sim:1", 2); /* the model is elsewhere, and well */
    expect_ok(ce_model_check(model, NULL, &error), &error);
    ce_model_free(model);
}

/* ---- freeing ------------------------------------------------------------------------------------------------- */

static void test_a_model_on_a_lost_device_is_freed(void **state) {
    (void)state;
    ce_model *model = scene_load("sim:0");
    cei_sim_lose(0, 0);
    ce_model_free(model);
    scene_expect_idle(0);
    model = scene_load("sim:1");
    cei_sim_lose(1, 0);
    cei_sim_revive(1); /* lost and back before anybody looked */
    float unused[SCENE_SCORES];
    ce_error error = {0};
    expect_status(scene_try_score(model, unused, &error), CE_ERR_DEVICE_LOST, &error, "sim:1");
    ce_model_free(model);
    ce_model_free(NULL);
}

/* ---- checks -------------------------------------------------------------------------------------------------- */

static void test_a_healthy_model(void **state) {
    (void)state;
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    ce_model *model = scene_load("sim:0");
    uint64_t bytes = cei_sim_count(0).bytes, uploads = cei_sim_count(0).calls[CEI_SIM_UPLOAD];
    cei_sim_set_memory(0, bytes + 12345);
    expect_ok(ce_model_check(model, &health, &error), &error);
    assert_int_equal(health.size, sizeof health);
    assert_int_equal(health.state, CE_STATE_READY);
    assert_int_equal(health.memory_free, 12345);
    assert_int_equal(health.memory_total, bytes + 12345);
    assert_true(health.milliseconds > 0);
    assert_int_equal(cei_sim_count(0).bytes, bytes);
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_UPLOAD], uploads);
    expect_ok(ce_model_check(model, NULL, &error), &error);
    ce_model_free(model);
}

static void test_a_check_of_a_deferred_model_probes(void **state) {
    (void)state;
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    ce_model *model = scene_load_deferred("sim:0");
    cei_sim_set_memory(0, 777);
    expect_ok(ce_model_check(model, &health, &error), &error);
    assert_int_equal(health.state, CE_STATE_DEFERRED);
    assert_int_equal(health.memory_total, 777);
    assert_int_equal(scene_calls(0), 0);
    cei_sim_set_unusable(0, "switched off");
    expect_status(ce_model_check(model, &health, &error), CE_ERR_DEVICE_ABSENT, &error, "switched off");
    scene_expect_state(model, CE_STATE_DEFERRED, "sim:0", 0);
    ce_model_free(model);
}

static void test_a_check_finds_memory_that_went_bad(void **state) {
    (void)state;
    float before[SCENE_SCORES], after[SCENE_SCORES];
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    ce_model *model = scene_load("sim:0");
    scene_score(model, before);
    size_t matrices = 0;
    while (cei_sim_damage(0, CEI_ROLE_MATRIX, matrices)) {
        expect_status(ce_model_check(model, &health, &error), CE_ERR_VERIFY, &error, "sim:0");
        assert_int_equal(health.state, CE_STATE_READY);
        assert_true(cei_sim_damage(0, CEI_ROLE_MATRIX, matrices++)); /* the same bit: mended */
        expect_ok(ce_model_check(model, &health, &error), &error);
    }
    assert_int_equal(matrices, 6 * scene_shape.layers + 2);
    assert_true(cei_sim_damage(0, CEI_ROLE_MATRIX, 0));
    expect_ok(ce_model_to(model, "sim:1", &error), &error); /* from the files, not from what went bad */
    scene_score(model, after);
    assert_memory_equal(before, after, sizeof before);
    expect_ok(ce_model_check(model, &health, &error), &error);
    ce_model_free(model);
}

static void test_a_check_finds_arithmetic_that_went_bad(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    for (int op = 0; op < SCENE_OPS; op++) {
        cei_sim_distort(0, (cei_op)op, true);
        expect_status(ce_model_check(model, NULL, &error), CE_ERR_VERIFY, &error, "sim:0");
        cei_sim_distort(0, (cei_op)op, false);
        expect_ok(ce_model_check(model, NULL, &error), &error);
    }
    ce_model_free(model);
}

static void test_a_check_tells_a_fault_from_a_loss(void **state) {
    (void)state;
    static const cei_sim_call kinds[] = {CEI_SIM_STATUS, CEI_SIM_WRITE, CEI_SIM_OP, CEI_SIM_READ};
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    ce_model *model = scene_load("sim:0");
    for (size_t i = 0; i < 4; i++) {
        cei_sim_fail(0, kinds[i], 1, CE_ERR_DEVICE_FAULT);
        expect_status(ce_model_check(model, &health, &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
        assert_int_equal(health.state, CE_STATE_READY);
        expect_ok(ce_model_check(model, &health, &error), &error);
    }
    cei_sim_lose(0, 0);
    expect_status(ce_model_check(model, &health, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
    assert_int_equal(health.state, CE_STATE_LOST);
    scene_expect_state(model, CE_STATE_LOST, "sim:0", 1);
    ce_model_free(model);
}

static void test_wrong_arguments(void **state) {
    (void)state;
    ce_error error = {0};
    ce_health health = {0};
    ce_placement_report report = {0};
    ce_model *model = scene_load_deferred("sim:0");
    expect_status(ce_model_check(NULL, NULL, &error), CE_ERR_ARGUMENT, &error, "model");
    expect_status(ce_model_check(model, &health, &error), CE_ERR_ARGUMENT, &error, "ce_health");
    expect_status(ce_model_placement(NULL, &report, &error), CE_ERR_ARGUMENT, &error, "model");
    expect_status(ce_model_placement(model, NULL, &error), CE_ERR_ARGUMENT, &error, "report");
    expect_status(ce_model_placement(model, &report, &error), CE_ERR_ARGUMENT, &error, "ce_placement_report");
    ce_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test(test_a_device_lost_in_mid_call),
        scene_test(test_a_lost_model_is_placed_again),
        scene_test(test_a_lost_model_moves_to_another_device),
        scene_test(test_naming_the_lost_device_places_anew),
        scene_test(test_a_loss_shows_at_each_call_of_scoring),
        scene_test(test_a_move_away_from_a_lost_device_that_nobody_noticed),
        scene_test(test_a_loss_under_many_calls),
        scene_test(test_a_call_in_flight_on_an_old_placement_may_lose_it),
        scene_test(test_a_model_on_a_lost_device_is_freed),
        scene_test(test_a_healthy_model),
        scene_test(test_a_check_of_a_deferred_model_probes),
        scene_test(test_a_check_finds_memory_that_went_bad),
        scene_test(test_a_check_finds_arithmetic_that_went_bad),
        scene_test(test_a_check_tells_a_fault_from_a_loss),
        scene_test(test_wrong_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
