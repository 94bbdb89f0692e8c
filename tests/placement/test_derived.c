/* test_derived.c - models with weights that are derived of others when they are placed: DeBERTa's of the golden tests,
 * on the test device. They are counted, verified, moved with the model, and made without a leak or not at all. */
#include "device/sim/sim.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <stdio.h>
#include <string.h>

enum { PAIRS = 3, LABELS = 3 };

/* With distances in two layers; with a convolution as well. */
static const char *const folders[] = {"golden/models/deberta-v3", "golden/models/deberta-v2-conv"};
enum { FOLDERS = sizeof folders / sizeof *folders };

static int open_machine(void **state) {
    (void)state;
    cei_sim_reset();
    cei_sim_set_devices(2);
    return 0;
}

static ce_load_options options_for(const char *device) {
    return (ce_load_options){.size = sizeof(ce_load_options), .device = device, .threads = 1, .batch_tokens = 96};
}

static ce_model *load(const char *folder, const char *device) {
    const ce_load_options options = options_for(device);
    ce_model *model = NULL;
    ce_error error;
    expect_ok(ce_model_load(test_data(folder), &options, &model, &error), &error);
    return model;
}

static void refuse(const char *folder, ce_status want, const char *part) {
    const ce_load_options options = options_for("sim:0");
    ce_model *model = NULL;
    ce_error error;
    expect_status(ce_model_load(test_data(folder), &options, &model, &error), want, &error, part);
    assert_null(model);
    const cei_sim_counters held = cei_sim_count(0);
    assert_int_equal(held.devices + held.buffers + held.streams + held.bytes, 0);
}

static void score(ce_model *model, float *logits) {
    const ce_pair pairs[PAIRS] = {
        {ce_text_of("how many people live in berlin"), ce_text_of("the city of berlin has water and light")},
        {ce_text_of("a"), ce_text_of("b")},
        {ce_text_of("the sea"),
         ce_text_of("the river and the sea and the air over the house and the wing of most of the "
                    "people that were in the war and the world of paper and of music")}};
    const ce_score_options options = {.size = sizeof options, .activation = CE_ACTIVATION_IDENTITY};
    ce_error error;
    memset(logits, 0, PAIRS * LABELS * sizeof *logits);
    expect_ok(ce_predict(model, pairs, PAIRS, &options, logits, &error), &error);
}

static ce_placement_report report_of(const ce_model *model) {
    ce_placement_report report = {.size = sizeof report};
    ce_error error;
    expect_ok(ce_model_placement(model, &report, &error), &error);
    return report;
}

/* Device, memory, numbers: what is planned is what is taken, and a move changes nothing. */
static void test_placed_and_moved(void **state) {
    (void)state;
    for (size_t i = 0; i < FOLDERS; i++) {
        float here[PAIRS * LABELS], there[PAIRS * LABELS], cpu[PAIRS * LABELS];
        ce_error error;
        ce_model *model = load(folders[i], "sim:0");
        const ce_placement_report report = report_of(model);
        assert_int_equal(cei_sim_count(0).bytes, report.weight_bytes + report.workspace_bytes);
        assert_true(report.weight_bytes > report.file_bytes); /* which are int8 */
        score(model, here);
        expect_ok(ce_model_check(model, NULL, &error), &error);
        expect_ok(ce_model_to(model, "sim:1", &error), &error);
        assert_int_equal(cei_sim_count(0).bytes, 0);
        score(model, there);
        assert_memory_equal(here, there, sizeof here);
        expect_ok(ce_model_to(model, "cpu", &error), &error);
        score(model, cpu);
        for (size_t k = 0; k < PAIRS * LABELS; k++)
            if (!((double)cpu[k] - (double)here[k] <= 1e-4 && (double)here[k] - (double)cpu[k] <= 1e-4))
                fail_msg("logit %zu is %.9g on cpu, %.9g on sim", k, (double)cpu[k], (double)here[k]);
        ce_model_free(model);
    }
}

static void test_what_the_device_must_do(void **state) {
    (void)state;
    cei_sim_lack_op(0, CEI_OP_ATTENTION_RELATIVE, true);
    refuse(folders[0], CE_ERR_UNSUPPORTED, "relative attention");
    cei_sim_lack_op(0, CEI_OP_ATTENTION_RELATIVE, false);
    cei_sim_distort(0, CEI_OP_ATTENTION_RELATIVE, true);
    refuse(folders[0], CE_ERR_VERIFY, "self-test");
    cei_sim_distort(0, CEI_OP_ATTENTION_RELATIVE, false);
    ce_model_free(load(folders[0], "sim:0"));
}

/* Each upload of a derived weight damaged on its way: they come behind those of the tensors, which other tests damage.
 */
static void test_damaged_uploads_are_found(void **state) {
    (void)state;
    for (size_t i = 0; i < FOLDERS; i++) {
        const uint64_t before = cei_sim_count(0).calls[CEI_SIM_UPLOAD];
        ce_model *model = load(folders[i], "sim:0");
        const uint64_t uploads = cei_sim_count(0).calls[CEI_SIM_UPLOAD] - before, tensors = report_of(model).tensors;
        ce_model_free(model);
        assert_true(uploads > tensors);
        for (uint64_t nth = tensors + 1; nth <= uploads; nth++) {
            cei_sim_corrupt_upload(0, nth, CEI_SIM_FLIP_BIT);
            refuse(folders[i], CE_ERR_VERIFY, "a weight that is computed at placing did not arrive whole");
        }
    }
}

static void test_each_call_may_fail(void **state) {
    (void)state;
    static const cei_sim_call kinds[] = {CEI_SIM_WRITE, CEI_SIM_OP, CEI_SIM_READ, CEI_SIM_UPLOAD};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const uint64_t before = cei_sim_count(0).calls[kinds[i]];
        ce_model_free(load(folders[1], "sim:0"));
        const uint64_t calls = cei_sim_count(0).calls[kinds[i]] - before;
        for (uint64_t nth = 1; nth <= calls; nth += 1 + calls / 12) {
            cei_sim_fail(0, kinds[i], nth, CE_ERR_DEVICE_FAULT);
            refuse(folders[1], CE_ERR_DEVICE_FAULT, "sim:0");
        }
    }
}

static ce_status load_once(void *user, ce_error *error) {
    const ce_load_options options = options_for("cpu");
    ce_model *model = NULL;
    const ce_status status = ce_model_load(user, &options, &model, error);
    ce_model_free(model);
    return status;
}

static void test_want_of_memory(void **state) {
    (void)state;
    char folder[1200];
    failing_malloc_or_skip();
    for (size_t i = 0; i < FOLDERS; i++) {
        snprintf(folder, sizeof folder, "%s", test_data(folders[i]));
        assert_true(test_some_allocations(load_once, folder, 200) > 0);
    }
}

static void test_scoring_allocates_nothing(void **state) {
    (void)state;
    float first[PAIRS * LABELS], again[PAIRS * LABELS];
    failing_malloc_or_skip();
    for (size_t i = 0; i < FOLDERS; i++) {
        ce_model *model = load(folders[i], "cpu");
        score(model, first);
        failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
        score(model, again);
        assert_int_equal(failing_malloc_stop(), 0);
        assert_memory_equal(first, again, sizeof first);
        ce_model_free(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_placed_and_moved, open_machine),
        cmocka_unit_test_setup(test_what_the_device_must_do, open_machine),
        cmocka_unit_test_setup(test_damaged_uploads_are_found, open_machine),
        cmocka_unit_test_setup(test_each_call_may_fail, open_machine),
        cmocka_unit_test_setup(test_want_of_memory, open_machine),
        cmocka_unit_test_setup(test_scoring_allocates_nothing, open_machine),
    };
    return cmocka_run_group_tests_name("derived weights", tests, NULL, NULL);
}
