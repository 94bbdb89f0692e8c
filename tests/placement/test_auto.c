/* test_auto.c - falling back: only for those who asked for auto, and never in silence. */
#include "placement/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*plan_fn)(void);

static void fail_open(void) { cei_sim_fail(0, CEI_SIM_OPEN, 1, CE_ERR_DEVICE_FAULT); }
static void fail_allocation(void) { cei_sim_fail(0, CEI_SIM_ALLOCATE, 2, CE_ERR_DEVICE_MEMORY); }
static void fail_upload(void) { cei_sim_fail(0, CEI_SIM_UPLOAD, 5, CE_ERR_DEVICE_FAULT); }
static void lack_memory(void) { cei_sim_set_memory(0, 4096); }
static void lack_attention(void) { cei_sim_lack_op(0, CEI_OP_ATTENTION, true); }
static void lack_float32(void) { cei_sim_lack_precision(0, CE_PRECISION_FLOAT32, true); }
static void corrupt(void) { cei_sim_corrupt_upload(0, 3, CEI_SIM_FLIP_BIT); }
static void distort(void) { cei_sim_distort(0, CEI_OP_LINEAR, true); }
static void lose(void) { cei_sim_lose(0, 10); }

static const struct {
    plan_fn plan;
    ce_status status;
    const char *part; /* of the message */
} faults[] = {
    {fail_open, CE_ERR_DEVICE_FAULT, "open"},
    {fail_allocation, CE_ERR_DEVICE_MEMORY, "allocate"},
    {fail_upload, CE_ERR_DEVICE_FAULT, "upload"},
    {lack_memory, CE_ERR_DEVICE_MEMORY, "total 4096"},
    {lack_attention, CE_ERR_UNSUPPORTED, "attention"},
    {lack_float32, CE_ERR_UNSUPPORTED, "float32"},
    {corrupt, CE_ERR_VERIFY, "did not arrive whole"},
    {distort, CE_ERR_VERIFY, "self-test"},
    {lose, CE_ERR_DEVICE_LOST, "lost"},
};
enum { FAULTS = sizeof faults / sizeof faults[0] };

static void fresh_machine(void) {
    cei_sim_reset();
    cei_sim_set_devices(1);
}

static void test_auto_takes_the_accelerator(void **state) {
    (void)state;
    static const char *const names[] = {"auto", NULL};
    for (size_t i = 0; i < 2; i++) {
        ce_model *model = scene_load(names[i]);
        ce_placement_report report = scene_report(model);
        assert_string_equal(report.requested, "auto");
        assert_string_equal(report.device, "sim:0");
        assert_false(report.fell_back);
        assert_string_equal(report.fallback_reason, "");
        assert_false(scene_logged(CE_LOG_WARNING, ""));
        ce_model_free(model);
    }
}

static void test_local_rank(void **state) {
    (void)state;
    setenv("LOCAL_RANK", "1", 1);
    ce_model *model = scene_load("auto");
    assert_string_equal(scene_report(model).device, "sim:1");
    ce_model_free(model);
    unsetenv("LOCAL_RANK");
}

static void test_auto_falls_back_and_says_so(void **state) {
    (void)state;
    float on_cpu[SCENE_SCORES];
    ce_model *cpu = scene_load("cpu");
    scene_score(cpu, on_cpu);
    ce_model_free(cpu);
    for (size_t i = 0; i < FAULTS; i++) {
        fresh_machine();
        faults[i].plan();
        ce_model *model = scene_load("auto");
        ce_placement_report report = scene_report(model);
        assert_string_equal(report.requested, "auto");
        assert_string_equal(report.device, "cpu");
        assert_int_equal(report.generation, 1);
        assert_true(report.fell_back);
        assert_non_null(strstr(report.fallback_reason, "sim:0"));
        assert_non_null(strstr(report.fallback_reason, faults[i].part));
        assert_true(scene_logged(CE_LOG_WARNING, faults[i].part));
        scene_expect_idle(0);
        scene_expect_scores(model, on_cpu);
        ce_model_free(model);
    }
}

static void test_a_name_never_falls_back(void **state) {
    (void)state;
    for (size_t i = 0; i < FAULTS; i++) {
        fresh_machine();
        faults[i].plan();
        ce_load_options options = scene_options("sim:0");
        ce_model *model = NULL;
        ce_error error = {0};
        expect_status(ce_model_load(scene_folder, &options, &model, &error), faults[i].status, &error, faults[i].part);
        assert_null(model);
        scene_expect_idle(0);
    }
    assert_false(scene_logged(CE_LOG_WARNING, "auto"));
}

static void test_a_deferred_auto_falls_back_at_first_use(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_model *model = scene_load_deferred("auto");
    scene_expect_state(model, CE_STATE_DEFERRED, "sim:0", 0);
    lack_memory();
    scene_score(model, scores);
    scene_expect_state(model, CE_STATE_READY, "cpu", 1);
    assert_true(scene_report(model).fell_back);
    ce_model_free(model);
}

static void test_a_later_placing_forgets_the_fallback(void **state) {
    (void)state;
    ce_error error = {0};
    lack_memory();
    ce_model *model = scene_load("auto");
    assert_true(scene_report(model).fell_back);
    cei_sim_set_memory(0, 1 << 30);
    expect_ok(ce_model_to(model, "sim:0", &error), &error);
    ce_placement_report report = scene_report(model);
    assert_string_equal(report.device, "sim:0");
    assert_false(report.fell_back);
    assert_string_equal(report.requested, "sim:0");
    ce_model_free(model);
}

static void rename_weights(const char *from, const char *to) {
    char old_path[1024], new_path[1024];
    snprintf(old_path, sizeof old_path, "%s/%s", scene_folder, from);
    snprintf(new_path, sizeof new_path, "%s/%s", scene_folder, to);
    assert_int_equal(rename(old_path, new_path), 0);
}

static void hide_weights(void *user, int index, cei_sim_call call, cei_op op) {
    (void)user, (void)index, (void)op;
    if (call == CEI_SIM_OPEN) rename_weights("model.safetensors", "hidden");
}

static void test_a_fallback_that_fails_is_forgotten(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = scene_load_deferred("auto");
    fail_open();
    cei_sim_set_hook(hide_weights, NULL);
    expect_status(ce_model_place(model, &error), CE_ERR_NOT_FOUND, &error, "model.safetensors"); /* on the cpu */
    cei_sim_set_hook(NULL, NULL);
    scene_expect_state(model, CE_STATE_DEFERRED, "sim:0", 0);
    assert_false(scene_report(model).fell_back);
    rename_weights("hidden", "model.safetensors");
    expect_ok(ce_model_place(model, &error), &error);
    ce_placement_report report = scene_report(model);
    assert_string_equal(report.device, "sim:0");
    assert_false(report.fell_back);
    assert_string_equal(report.fallback_reason, "");
    ce_model_free(model);
}

static void test_a_lost_auto_model_finds_another_device(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load("auto");
    cei_sim_lose(0, 0);
    expect_status(scene_try_score(model, scores, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
    expect_ok(ce_model_place(model, &error), &error);
    ce_placement_report report = scene_report(model);
    assert_string_equal(report.device, "cpu");
    assert_true(report.fell_back);
    scene_score(model, scores);
    ce_model_free(model);
}

static void test_an_unusable_device_is_not_asked(void **state) {
    (void)state;
    cei_sim_set_unusable(0, "its driver is missing");
    ce_model *model = scene_load("auto");
    assert_string_equal(scene_report(model).device, "cpu");
    assert_int_equal(scene_calls(0), 0);
    ce_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test(test_auto_takes_the_accelerator),
        scene_test(test_local_rank),
        scene_test(test_auto_falls_back_and_says_so),
        scene_test(test_a_name_never_falls_back),
        scene_test(test_a_deferred_auto_falls_back_at_first_use),
        scene_test(test_a_later_placing_forgets_the_fallback),
        scene_test(test_a_fallback_that_fails_is_forgotten),
        scene_test(test_a_lost_auto_model_finds_another_device),
        scene_test(test_an_unusable_device_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
