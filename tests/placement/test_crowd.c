/* test_crowd.c - many threads on one model: every score right, nothing left behind. */
#include "placement/scene.h"

#include <stdio.h>
#include <string.h>

static void move(ce_model *model, const char *device) {
    ce_error error = {0};
    expect_ok(ce_model_to(model, device, &error), &error);
}

typedef struct crowd {
    ce_model *model;
    float on_cpu[SCENE_SCORES], on_sim[SCENE_SCORES];
    pthread_mutex_t lock;
    bool stop;
    size_t calls, wrong;
} crowd;

static bool must_stop(crowd *all) {
    pthread_mutex_lock(&all->lock);
    bool stop = all->stop;
    pthread_mutex_unlock(&all->lock);
    return stop;
}

/* Scores until told to stop. Each call must give what one device gives, to the bit. */
static void *score_on(void *argument) {
    crowd *all = argument;
    size_t calls = 0, wrong = 0;
    do {
        float scores[SCENE_SCORES];
        bool good =
            scene_try_score(all->model, scores, NULL) == CE_OK &&
            (memcmp(scores, all->on_cpu, sizeof scores) == 0 || memcmp(scores, all->on_sim, sizeof scores) == 0);
        calls++;
        wrong += !good;
    } while (!must_stop(all));
    pthread_mutex_lock(&all->lock);
    all->calls += calls;
    all->wrong += wrong;
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

static void begin_crowd(crowd *all) {
    *all = (crowd){.model = scene_load("cpu")};
    pthread_mutex_init(&all->lock, NULL);
    scene_score(all->model, all->on_cpu);
    move(all->model, "sim:0");
    scene_score(all->model, all->on_sim);
}

static void end_crowd(crowd *all) {
    pthread_mutex_destroy(&all->lock);
    ce_model_free(all->model);
}

static void test_eight_threads_score_while_another_moves_fifty_times(void **state) {
    (void)state;
    enum { THREADS = 8, MOVES = 50 };
    static const char *const tour[] = {"cpu", "sim:0", "sim:1", "sim:0"};
    crowd all;
    pthread_t threads[THREADS];
    begin_crowd(&all);
    for (size_t i = 0; i < THREADS; i++) threads[i] = scene_start(score_on, &all);
    for (size_t i = 0; i < MOVES; i++) move(all.model, tour[i % 4]);
    pthread_mutex_lock(&all.lock);
    all.stop = true;
    pthread_mutex_unlock(&all.lock);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_true(all.calls >= THREADS);
    assert_int_equal(all.wrong, 0);
    scene_expect_state(all.model, CE_STATE_READY, tour[(MOVES - 1) % 4], MOVES + 2);
    scene_expect_idle(1);
    end_crowd(&all);
}

/* Moves on, in an order of its own. */
static void *move_about(void *argument) {
    crowd *all = argument;
    static const char *const tour[] = {"sim:1", "cpu", "sim:0"};
    size_t wrong = 0;
    pthread_mutex_lock(&all->lock);
    size_t start = all->calls++;
    pthread_mutex_unlock(&all->lock);
    for (size_t i = 0; i < 8; i++) wrong += ce_model_to(all->model, tour[(start + i) % 3], NULL) != CE_OK;
    pthread_mutex_lock(&all->lock);
    all->wrong += wrong;
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

static void test_concurrent_moves_leave_one_placement(void **state) {
    (void)state;
    crowd all;
    pthread_t threads[4];
    begin_crowd(&all);
    for (size_t i = 0; i < 4; i++) threads[i] = scene_start(move_about, &all);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_int_equal(all.wrong, 0);
    ce_placement_report report = scene_report(all.model);
    assert_int_equal(report.state, CE_STATE_READY);
    assert_string_equal(report.requested, report.device);
    for (int i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "sim:%d", i);
        assert_int_equal(scene_is_idle(i), strcmp(report.device, name) != 0);
    }
    scene_expect_scores(all.model, strcmp(report.device, "cpu") == 0 ? all.on_cpu : all.on_sim);
    end_crowd(&all);
}

static void *watch(void *argument) {
    crowd *all = argument;
    size_t wrong = 0;
    while (!must_stop(all)) {
        ce_placement_report report = {.size = sizeof report};
        ce_health health = {.size = sizeof health};
        wrong += ce_model_placement(all->model, &report, NULL) != CE_OK;
        wrong += report.state != CE_STATE_READY && report.state != CE_STATE_MOVING;
        wrong += report.tensors_verified != report.tensors || !report.self_tested;
        wrong += ce_model_check(all->model, &health, NULL) != CE_OK;
    }
    pthread_mutex_lock(&all->lock);
    all->wrong += wrong;
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

static void test_reports_and_checks_while_a_model_moves(void **state) {
    (void)state;
    crowd all;
    begin_crowd(&all);
    pthread_t one = scene_start(watch, &all), two = scene_start(watch, &all);
    for (size_t i = 0; i < 10; i++) move(all.model, i % 2 ? "sim:0" : "sim:1");
    pthread_mutex_lock(&all.lock);
    all.stop = true;
    pthread_mutex_unlock(&all.lock);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    assert_int_equal(all.wrong, 0);
    end_crowd(&all);
}

static void *use_once(void *argument) {
    float scores[SCENE_SCORES];
    ce_error error = {0};
    return scene_try_score(argument, scores, &error) == CE_OK ? NULL : argument;
}

static void test_deferred_is_placed_once_by_many_first_users(void **state) {
    (void)state;
    ce_model *model = scene_load_deferred("sim:0");
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) threads[i] = scene_start(use_once, model);
    for (size_t i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_OPEN], 1);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    ce_model_free(model);
}

static void *score_many(void *argument) {
    float scores[SCENE_SCORES];
    for (int i = 0; i < 20; i++)
        if (scene_try_score(argument, scores, NULL) != CE_OK) return argument;
    return NULL;
}

static void test_calls_share_a_workspace_where_there_is_memory_for_one(void **state) {
    (void)state;
    ce_model *model = scene_load("sim:0");
    pthread_t threads[4];
    cei_sim_set_memory(0, cei_sim_count(0).bytes);
    cei_sim_set_delay(20);
    for (size_t i = 0; i < 4; i++) threads[i] = scene_start(score_many, model);
    for (size_t i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    ce_model_free(model);
}

static void test_a_fault_in_one_of_several_uploading_threads(void **state) {
    (void)state;
    scene_shape.vocab = 8000; /* a table of several blocks, which the threads of the pool send at the same time */
    scene_shape.hidden = 64;
    tiny_model_write(&scene_shape, scene_folder);
    ce_load_options options = scene_options("sim:0");
    ce_model *model = NULL;
    ce_error error = {0};
    options.threads = 3;
    for (uint64_t nth = 1; nth <= 8; nth++) {
        cei_sim_fail(0, CEI_SIM_UPLOAD, nth, CE_ERR_DEVICE_FAULT);
        expect_status(ce_model_load(scene_folder, &options, &model, &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
        scene_expect_idle(0);
        cei_sim_lose(0, nth + 5);
        expect_status(ce_model_load(scene_folder, &options, &model, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
        scene_expect_idle(0);
        cei_sim_revive(0);
        cei_sim_corrupt_upload(0, nth, CEI_SIM_FLIP_BIT);
        expect_status(ce_model_load(scene_folder, &options, &model, &error), CE_ERR_VERIFY, &error, "sim:0");
        scene_expect_idle(0);
    }
    expect_ok(ce_model_load(scene_folder, &options, &model, &error), &error);
    assert_true(cei_sim_count(0).uploaded_bytes >= tiny_model_parameters(&scene_shape) * sizeof(float));
    ce_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test(test_eight_threads_score_while_another_moves_fifty_times),
        scene_test(test_concurrent_moves_leave_one_placement),
        scene_test(test_reports_and_checks_while_a_model_moves),
        scene_test(test_deferred_is_placed_once_by_many_first_users),
        scene_test(test_a_fault_in_one_of_several_uploading_threads),
        scene_test(test_calls_share_a_workspace_where_there_is_memory_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
