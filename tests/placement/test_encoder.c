/* test_encoder.c - the placement contract for a bi-encoder, whose weights are in several folders and whose head pools,
 * has layers and normalizes. What placing shares with a cross-encoder's is tested in the other files; its faults are in
 * test_faults.c. */
#include "placement/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const ways[][2] = {{"sim:0", "sim:1"}, {"sim:0", "cpu"}, {"cpu", "sim:0"}};

static void move(scene_any any, const char *device) {
    ce_error error = {0};
    expect_ok(scene_any_to(any, device, &error), &error);
}

static void check(scene_any any) {
    ce_error error = {0};
    expect_ok(scene_any_check(any, NULL, &error), &error);
}

static void expect_verified(ce_placement_report report) {
    assert_int_equal(report.tensors, tiny_encoder_tensors(&scene_encoder));
    assert_int_equal(report.tensors_verified, report.tensors);
    assert_int_equal(report.tensors_unused, TINY_ENCODER_UNUSED);
    assert_true(report.self_tested);
    assert_true(report.self_test_error >= 0 && report.self_test_error <= report.self_test_bound);
    assert_int_equal(report.host_bytes, 0);
}

/* ---- where the weights are -----------------------------------------------------------------------------------------
 */

static void test_eager_weights_are_there_when_load_returns(void **state) {
    (void)state;
    scene_any any = scene_any_loaded("sim:0");
    const cei_sim_counters held = cei_sim_count(0);
    const size_t bytes = tiny_encoder_parameters(&scene_encoder) * sizeof(float);
    assert_int_equal(held.uploaded_bytes, bytes);
    assert_true(held.ops[CEI_OP_POOL] > 0 && held.ops[CEI_OP_NORMALIZE] > 0);
    scene_any_expect_state(any, CE_STATE_READY, "sim:0", 1);
    const ce_placement_report report = scene_any_report(any);
    expect_verified(report);
    assert_int_equal(held.calls[CEI_SIM_CHECKSUM], report.tensors);
    assert_true(report.weight_bytes >= bytes && report.file_bytes > bytes);
    assert_int_equal(report.weight_bytes + report.workspace_bytes, held.bytes);
    float values[SCENE_SCORES];
    scene_any_values(any, values); /* sends no weight, opens nothing */
    assert_int_equal(cei_sim_count(0).uploaded_bytes, bytes);
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_OPEN], 1);
    assert_int_equal(scene_calls(1), 0);
    scene_any_free(any);
}

static void test_deferred_holds_nothing_until_it_is_used(void **state) {
    (void)state;
    float wanted[SCENE_SCORES];
    ce_error error = {0};
    ce_encoder_info info = {.size = sizeof info};
    scene_any eager = scene_any_loaded("sim:1"), any = scene_any_deferred("sim:0");
    scene_any_values(eager, wanted);
    scene_any_free(eager);
    expect_ok(ce_encoder_describe(any.encoder, &info, &error), &error);
    assert_int_equal(info.parameters, tiny_encoder_parameters(&scene_encoder));
    assert_int_equal(scene_calls(0), 0);
    scene_any_expect_state(any, CE_STATE_DEFERRED, "sim:0", 0);
    assert_int_equal(scene_any_report(any).tensors, tiny_encoder_tensors(&scene_encoder));
    assert_false(scene_any_report(any).self_tested);
    scene_any_expect_values(any, wanted);
    scene_any_expect_state(any, CE_STATE_READY, "sim:0", 1);
    expect_ok(ce_encoder_place(any.encoder, &error), &error); /* at once */
    scene_any_expect_state(any, CE_STATE_READY, "sim:0", 1);
    scene_any_free(any);
}

static void test_what_is_wrong_is_found_before_the_device_is_opened(void **state) {
    (void)state;
    ce_load_options options = scene_options("sim:2");
    scene_any any;
    ce_error error = {0};
    expect_status(scene_any_load(&options, &any, &error), CE_ERR_DEVICE_ABSENT, &error, "there are 2 sim devices");
    options.device = "sim:0";
    test_write_file(scene_folder, "2_Dense/model.safetensors", "\x02\0\0\0\0\0\0\0{}", 10);
    expect_status(scene_any_load(&options, &any, &error), CE_ERR_MODEL, &error, "2_Dense/linear.weight");
    assert_null(any.encoder);
    assert_int_equal(scene_calls(0), 0);
}

/* ---- moving --------------------------------------------------------------------------------------------------------
 */

static void round_trip(ce_precision precision) {
    float on_cpu[SCENE_SCORES], on_sim[SCENE_SCORES];
    scene_precision = precision;
    scene_any any = scene_any_loaded("cpu");
    scene_any_values(any, on_cpu);
    move(any, "sim:0");
    scene_any_expect_state(any, CE_STATE_READY, "sim:0", 2);
    scene_any_values(any, on_sim);
    scene_expect_near(on_sim, on_cpu);
    move(any, "sim:1");
    scene_expect_idle(0);
    scene_any_expect_values(any, on_sim);
    expect_verified(scene_any_report(any));
    move(any, "cpu");
    scene_expect_idle(1);
    scene_any_expect_values(any, on_cpu);
    scene_any_expect_state(any, CE_STATE_READY, "cpu", 4);
    scene_any_free(any);
}

static void test_round_trip_in_every_precision(void **state) {
    (void)state;
    round_trip(CE_PRECISION_FLOAT32);
    round_trip(CE_PRECISION_BFLOAT16);
    round_trip(CE_PRECISION_INT8);
}

/* A layer behind the pooling costs little, and its error would not average out: it is float32 in every precision. */
static void test_layers_are_float32_in_every_precision(void **state) {
    (void)state;
    uint64_t bytes[2];
    for (int with = 0; with < 2; with++) {
        scene_encoder.dimension = with ? SCENE_LABELS : 0;
        scene_write();
        scene_precision = CE_PRECISION_INT8;
        scene_any any = scene_any_deferred("sim:0");
        bytes[with] = scene_any_report(any).weight_bytes;
        scene_any_free(any);
    }
    const size_t pooled = scene_encoder.poolings * scene_shape.hidden;
    assert_int_equal(bytes[1] - bytes[0], (pooled + 3) * SCENE_LABELS * sizeof(float));
}

/* ---- the files -----------------------------------------------------------------------------------------------------
 */

static void remove_dense(void) {
    char path[1024];
    snprintf(path, sizeof path, "%s/2_Dense/model.safetensors", scene_folder);
    assert_int_equal(unlink(path), 0);
}

/* Other weights of the same shape in one module's folder; the transformer's file is as it was. */
static void change_dense(void) {
    size_t size;
    char path[1024];
    snprintf(path, sizeof path, "%s/2_Dense/model.safetensors", scene_folder);
    char *data = test_read_file(path, &size);
    data[size - 1] = (char)(data[size - 1] ^ 1);
    remove_dense(); /* the file under a mapping must not change; a new one takes its name */
    test_write_file(scene_folder, "2_Dense/model.safetensors", data, size);
    free(data);
}

static void expect_move_without_dense(void (*spoil)(void), const char *warning) {
    for (size_t i = 0; i < 3; i++) {
        float before[SCENE_SCORES], after[SCENE_SCORES];
        scene_write();
        scene_any any = scene_any_loaded(ways[i][0]);
        scene_any_values(any, before);
        spoil();
        move(any, ways[i][1]);
        expect_verified(scene_any_report(any));
        scene_any_values(any, after);
        scene_expect_near(after, before); /* the old weights, none of the new */
        assert_true(scene_logged(CE_LOG_WARNING, warning));
        move(any, ways[i][0]);
        scene_any_expect_values(any, before);
        scene_any_free(any);
    }
    assert_true(cei_sim_count(0).calls[CEI_SIM_DOWNLOAD] > 0);
}

static void test_without_a_modules_file_the_weights_come_from_the_old_device(void **state) {
    (void)state;
    expect_move_without_dense(remove_dense, "old device");
}

static void test_a_modules_file_that_changed_is_not_mixed_in(void **state) {
    (void)state;
    expect_move_without_dense(change_dense, "changed");
}

static void test_unchanged_files_are_read_again(void **state) {
    (void)state;
    scene_any any = scene_any_loaded("sim:0");
    move(any, "sim:1");
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_DOWNLOAD], 0);
    scene_any_free(any);
}

static void test_a_deferred_encoder_needs_the_files_that_it_was_made_from(void **state) {
    (void)state;
    float values[SCENE_SCORES];
    ce_error error = {0};
    scene_any any = scene_any_deferred("sim:0");
    change_dense();
    expect_status(scene_any_try_values(any, values, &error), CE_ERR_IO, &error, "changed");
    remove_dense();
    expect_status(ce_encoder_place(any.encoder, &error), CE_ERR_NOT_FOUND, &error, "2_Dense");
    scene_any_expect_state(any, CE_STATE_DEFERRED, "sim:0", 0);
    scene_expect_idle(0);
    scene_any_free(any);
}

/* ---- health --------------------------------------------------------------------------------------------------------
 */

static void test_a_lost_device_and_the_way_back(void **state) {
    (void)state;
    float wanted[SCENE_SCORES], values[SCENE_SCORES];
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    scene_any any = scene_any_loaded("sim:0");
    scene_any_values(any, wanted);
    uint64_t before = scene_calls(0);
    scene_any_values(any, values);
    const uint64_t calls = scene_calls(0) - before;
    for (uint64_t nth = 1; nth <= calls; nth++) {
        cei_sim_lose(0, nth);
        expect_status(scene_any_try_values(any, values, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
        scene_any_expect_state(any, CE_STATE_LOST, "sim:0", nth);
        scene_expect_idle(0);
        expect_status(scene_any_check(any, &health, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
        cei_sim_revive(0);
        expect_ok(ce_encoder_place(any.encoder, &error), &error);
        scene_any_expect_values(any, wanted);
    }
    cei_sim_lose(0, 0);
    move(any, "sim:1");
    scene_any_expect_values(any, wanted);
    scene_any_free(any);
}

static void test_a_check_finds_memory_that_went_bad(void **state) {
    (void)state;
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    scene_any any = scene_any_loaded("sim:0");
    size_t matrices = 0;
    for (; cei_sim_damage(0, CEI_ROLE_MATRIX, matrices); matrices++) {
        expect_status(scene_any_check(any, &health, &error), CE_ERR_VERIFY, &error, "sim:0");
        assert_int_equal(health.state, CE_STATE_READY);
        assert_true(cei_sim_damage(0, CEI_ROLE_MATRIX, matrices)); /* the same bit: mended */
        check(any);
    }
    assert_int_equal(matrices, 6 * scene_shape.layers + 1); /* the last one is the Dense's */
    scene_any_free(any);
}

static void test_a_check_finds_arithmetic_that_went_bad(void **state) {
    (void)state;
    ce_error error = {0};
    scene_any any = scene_any_loaded("sim:0");
    for (int op = 0; op < SCENE_ENCODER_OPS; op++) {
        if (op == CEI_OP_GATHER) continue; /* is not called */
        cei_sim_distort(0, (cei_op)op, true);
        expect_status(scene_any_check(any, NULL, &error), CE_ERR_VERIFY, &error, "sim:0");
        cei_sim_distort(0, (cei_op)op, false);
        check(any);
    }
    scene_any_free(any);
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

static bool count_tokens(void *user, const ce_encoded *encoded) {
    *(size_t *)user += encoded->tokens;
    return encoded->token_embeddings != NULL;
}

/* No call asks for an operation that the load has not asked for and tried. */
static void test_tokens_of_an_encoder_that_reads_first_tokens_alone(void **state) {
    (void)state;
    float wanted[SCENE_SCORES], values[SCENE_LABELS];
    const ce_text text = ce_text_of("word1 word2 word3"); /* the scene's first */
    size_t tokens = 0;
    const ce_encode_options options = {.size = sizeof options, .each = count_tokens, .each_user = &tokens};
    ce_error error = {0};
    scene_encoder.pooling = "\"cls\"";
    scene_encoder.poolings = 1;
    scene_write();
    cei_sim_lack_op(0, CEI_OP_POOL, true);
    cei_sim_distort(0, CEI_OP_POOL, true);
    scene_any any = scene_any_loaded("sim:0");
    scene_any_values(any, wanted);
    expect_ok(ce_encode(any.encoder, &text, 1, &options, values, &error), &error);
    assert_int_equal(tokens, 5);
    assert_memory_equal(values, wanted, sizeof values);
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_POOL], 0);
    scene_any_free(any);
}

/* A text without tokens is a sequence without rows, also alone in its batch. */
static void test_texts_without_tokens(void **state) {
    (void)state;
    static const char *const poolings[] = {"\"cls\"", "\"mean\"", "\"max\""};
    const ce_text some[3] = {{NULL, 0}, ce_text_of("word0"), {"", 0}};
    scene_encoder.poolings = 1;
    for (size_t i = 0; i < 3; i++) {
        float found[3][SCENE_LABELS], alone[SCENE_LABELS];
        ce_error error = {0};
        scene_encoder.pooling = poolings[i];
        scene_write();
        tiny_model_write_tokenizer(scene_folder, false);
        scene_any any = scene_any_loaded("sim:0");
        expect_ok(ce_encode(any.encoder, some, 3, NULL, found[0], &error), &error);
        expect_ok(ce_encode(any.encoder, some, 1, NULL, alone, &error), &error);
        assert_memory_equal(alone, found[0], sizeof alone);
        assert_memory_equal(alone, found[2], sizeof alone);
        scene_any_free(any);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test_encoder(test_eager_weights_are_there_when_load_returns),
        scene_test_encoder(test_deferred_holds_nothing_until_it_is_used),
        scene_test_encoder(test_what_is_wrong_is_found_before_the_device_is_opened),
        scene_test_encoder(test_round_trip_in_every_precision),
        scene_test_encoder(test_layers_are_float32_in_every_precision),
        scene_test_encoder(test_without_a_modules_file_the_weights_come_from_the_old_device),
        scene_test_encoder(test_a_modules_file_that_changed_is_not_mixed_in),
        scene_test_encoder(test_unchanged_files_are_read_again),
        scene_test_encoder(test_a_deferred_encoder_needs_the_files_that_it_was_made_from),
        scene_test_encoder(test_a_lost_device_and_the_way_back),
        scene_test_encoder(test_a_check_finds_memory_that_went_bad),
        scene_test_encoder(test_a_check_finds_arithmetic_that_went_bad),
        scene_test_encoder(test_tokens_of_an_encoder_that_reads_first_tokens_alone),
        scene_test_encoder(test_texts_without_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
