/* test_precision.c - placing in low precision: what the report says, which weights cannot be held so, what becomes
 * of a file's own int8 values, and bad memory. Moves in every precision are in test_move.c, faults in test_faults.c. */
#include "placement/scene.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRECISIONS = 4 };
static const ce_precision precisions[PRECISIONS] = {CE_PRECISION_FLOAT32, CE_PRECISION_BFLOAT16, CE_PRECISION_INT8,
                                                    CE_PRECISION_FLOAT16};
static const char *const names[PRECISIONS] = {"float32", "bfloat16", "int8", "float16"};
static const char *const devices[] = {"cpu", "sim:0"};

static ce_status try_load(const char *device, ce_place_mode place, ce_model **model, ce_error *error) {
    ce_load_options options = scene_options(device);
    options.place = place;
    *error = (ce_error){CE_OK, ""};
    return ce_model_load(scene_folder, &options, model, error);
}

/* ---- reports ------------------------------------------------------------------------------------------------- */

static void test_reports(void **state) {
    (void)state;
    static const double bounds[PRECISIONS] = {1e-3, 0.05, 0.1, 0.01}, of_cpu[PRECISIONS] = {1e-5, 1e-2, 1e-5, 2e-3};
    for (size_t d = 0; d < 2; d++)
        for (size_t p = 0; p < PRECISIONS; p++) {
            scene_precision = precisions[p];
            ce_model *model = scene_load(devices[d]);
            const ce_placement_report report = scene_report(model);
            assert_int_equal(report.precision, precisions[p]);
            assert_string_equal(ce_precision_name(report.precision), names[p]);
            assert_true(report.self_tested && report.self_test_bound == bounds[p]);
            print_message("%s in %s: the self-test differs by %.2g\n", devices[d], names[p], report.self_test_error);
            /* sim:N does the reference's arithmetic; the cpu device need not round activations to 16 bits. */
            const double most = d == 1 && !scene_is_backed ? 0 : of_cpu[p];
            assert_true(report.self_test_error >= 0 && report.self_test_error <= most);
            assert_int_equal(report.tensors, tiny_model_tensors(&scene_shape));
            assert_int_equal(report.tensors_verified, report.tensors);
            assert_int_equal(report.host_bytes, 0);
            ce_model_free(model);
        }
}

static void test_the_default_is_float32(void **state) {
    (void)state;
    float wanted[SCENE_SCORES];
    ce_model *model = scene_load("cpu");
    assert_int_equal(scene_report(model).precision, CE_PRECISION_FLOAT32);
    scene_score(model, wanted);
    ce_model_free(model);
    scene_precision = CE_PRECISION_FLOAT32;
    model = scene_load("cpu");
    scene_expect_scores(model, wanted);
    ce_model_free(model);
}

/* A model wide enough for padding not to matter takes half the memory, or about a quarter; and that is planned. */
static void test_weights_are_smaller(void **state) {
    (void)state;
    static const double most[PRECISIONS] = {1.01, 0.55, 0.32, 0.55}; /* the head, biases and norms stay float32 */
    scene_shape.vocab = 2000;
    scene_shape.hidden = 128;
    scene_shape.intermediate = 512;
    tiny_model_write(&scene_shape, scene_folder);
    const double full = (double)tiny_model_parameters(&scene_shape) * sizeof(float);
    for (size_t p = 0; p < PRECISIONS; p++) {
        scene_precision = precisions[p];
        ce_model *model = scene_load("cpu"), *deferred = scene_load_deferred("cpu");
        const double held = (double)scene_report(model).weight_bytes / full;
        const double planned = (double)scene_report(deferred).weight_bytes / full;
        print_message("%s: %.3f of the bytes in float32, %.3f planned\n", names[p], held, planned);
        assert_true(held <= most[p] && planned <= held && planned >= held * 0.9);
        ce_model_free(model);
        ce_model_free(deferred);
    }
}

/* The scores differ: the precision reaches the arithmetic. */
static void test_precisions_differ_a_little(void **state) {
    (void)state;
    float scores[PRECISIONS][SCENE_SCORES];
    for (size_t p = 0; p < PRECISIONS; p++) {
        scene_precision = precisions[p];
        ce_model *model = scene_load("cpu");
        scene_score(model, scores[p]);
        ce_model_free(model);
    }
    for (size_t p = 1; p < PRECISIONS; p++) {
        double worst = 0;
        for (size_t i = 0; i < SCENE_SCORES; i++)
            worst = fmax(worst, fabs((double)scores[p][i] - (double)scores[0][i]) / (1 + fabs((double)scores[0][i])));
        print_message("%s: logits differ from those in float32 by %.2g\n", names[p], worst);
        assert_true(worst > 1e-5 && worst < (precisions[p] == CE_PRECISION_FLOAT16 ? 0.01 : 0.1));
    }
}

static void test_no_precision(void **state) {
    (void)state;
    static const int wrong[] = {-1, CE_PRECISION_FLOAT16 + 1, 1000};
    for (size_t i = 0; i < 3; i++)
        for (int place = CE_PLACE_EAGER; place <= CE_PLACE_DEFERRED; place++) {
            ce_model *model = NULL;
            ce_error error;
            scene_precision = (ce_precision)wrong[i];
            assert_null(ce_precision_name(scene_precision));
            expect_status(try_load("sim:0", (ce_place_mode)place, &model, &error), CE_ERR_ARGUMENT, &error,
                          "no ce_precision");
            assert_null(model);
        }
    assert_int_equal(scene_calls(0), 0);
    assert_string_equal(ce_precision_name(CE_PRECISION_DEFAULT), "default");
}

static void test_a_lacking_precision(void **state) {
    (void)state;
    for (size_t p = 0; p < PRECISIONS; p++) {
        ce_model *model = NULL;
        ce_error error;
        scene_precision = precisions[p];
        cei_sim_lack_precision(0, precisions[p], true);
        cei_sim_lack_precision(1, precisions[p], true);
        expect_status(try_load("sim:0", CE_PLACE_EAGER, &model, &error), CE_ERR_UNSUPPORTED, &error, names[p]);
        assert_non_null(strstr(error.message, "sim:0"));
        assert_int_equal(cei_sim_count(0).calls[CEI_SIM_UPLOAD] + cei_sim_count(0).calls[CEI_SIM_ALLOCATE], 0);
        model = scene_load("auto");
        assert_string_equal(scene_report(model).device, "cpu");
        assert_non_null(strstr(scene_report(model).fallback_reason, names[p]));
        expect_status(ce_model_to(model, "sim:1", &error), CE_ERR_UNSUPPORTED, &error, names[p]);
        scene_expect_state(model, CE_STATE_READY, "cpu", 1);
        ce_model_free(model);
        cei_sim_reset();
        cei_sim_set_devices(2);
    }
}

/* ---- files --------------------------------------------------------------------------------------------------- */

/* The bytes of the tensors in the scene's file, for changing; file is the whole of it, to be freed by write_back. */
static char *data_of_file(char **file, size_t *size) {
    char path[1024];
    uint64_t header;
    snprintf(path, sizeof path, "%s/model.safetensors", scene_folder);
    *file = test_read_file(path, size);
    memcpy(&header, *file, sizeof header);
    return *file + sizeof header + header;
}

static void write_back(char *file, size_t size) {
    test_write_file(scene_folder, "model.safetensors", file, size);
    free(file);
}

/* Value index of the word embeddings, the file's first tensor, becomes value. */
static void set_word_value(size_t index, float value) {
    char *file;
    size_t size;
    tiny_model_write(&scene_shape, scene_folder);
    char *data = data_of_file(&file, &size);
    memcpy(data + index * sizeof value, &value, sizeof value);
    write_back(file, size);
}

static void expect_no_load(ce_status want, const char *part) {
    for (size_t d = 0; d < 2; d++) {
        ce_model *model = NULL;
        ce_error error;
        float scores[SCENE_SCORES];
        expect_status(try_load(devices[d], CE_PLACE_EAGER, &model, &error), want, &error, part);
        assert_null(model);
        expect_ok(try_load(devices[d], CE_PLACE_DEFERRED, &model, &error), &error); /* no value is read */
        expect_status(scene_try_score(model, scores, &error), want, &error, part);
        scene_expect_state(model, CE_STATE_DEFERRED, devices[d], 0);
        ce_model_free(model);
    }
}

static void test_what_is_no_number_has_no_int8(void **state) {
    (void)state;
    static const float kinds[] = {NAN, INFINITY, -INFINITY, 3.4028235e38f};
    scene_precision = CE_PRECISION_INT8;
    for (size_t i = 0; i < 4; i++) {
        /* A row that the self-test reads or not: the second to last, at its end. */
        set_word_value((scene_shape.vocab - 1) * scene_shape.hidden - 1, kinds[i]);
        expect_no_load(CE_ERR_MODEL, "bert.embeddings.word_embeddings.weight: row 198 ");
    }
    ce_model *model = NULL;
    ce_error error;
    expect_status(try_load("auto", CE_PLACE_EAGER, &model, &error), CE_ERR_MODEL, &error, "int8"); /* nowhere */
    scene_precision = CE_PRECISION_BFLOAT16; /* has infinities and NaN, as float32 does */
    expect_ok(try_load("cpu", CE_PLACE_EAGER, &model, &error), &error);
    ce_model_free(model);
}

/* The row behind the words is one that every text reads. */
static void test_float16_ends_at_its_largest_number(void **state) {
    (void)state;
    static const float values[] = {1e6f, 65504, 30000};
    float scores[3][SCENE_SCORES];
    scene_precision = CE_PRECISION_FLOAT16;
    for (size_t d = 0; d < 2; d++) {
        for (size_t i = 0; i < 3; i++) {
            set_word_value(scene_shape.vocab * scene_shape.hidden, values[i]);
            ce_model *model = scene_load(devices[d]);
            scene_score(model, scores[i]);
            ce_model_free(model);
        }
        assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
        assert_memory_not_equal(scores[0], scores[2], sizeof scores[0]);
    }
}

static void test_nan_in_a_vector_is_the_model_s_fault(void **state) {
    (void)state;
    const size_t tables = scene_shape.vocab + scene_shape.positions + scene_shape.types;
    set_word_value(tables * scene_shape.hidden + 3, NAN); /* the first norm's gain */
    for (size_t p = 0; p < PRECISIONS; p++) {
        scene_precision = precisions[p];
        expect_no_load(CE_ERR_MODEL, "NaN or infinity, or are damaged");
        ce_model *model = NULL;
        ce_error error;
        expect_status(try_load("auto", CE_PLACE_EAGER, &model, &error), CE_ERR_MODEL, &error, "damaged"); /* nowhere */
    }
}

/* Row 150 of the word embeddings of a file in int8 gets this scale, and integers from -128 on. */
static void set_scale(float scale) {
    enum { ROW = 150 };
    char *file;
    size_t size;
    scene_shape.dtype = "I8";
    tiny_model_write(&scene_shape, scene_folder);
    char *data = data_of_file(&file, &size);
    memcpy(data + ROW * sizeof scale, &scale, sizeof scale);
    char *integers = data + scene_shape.vocab * sizeof scale + ROW * scene_shape.hidden;
    for (size_t i = 0; i < scene_shape.hidden; i++) integers[i] = (char)(int8_t)((int)(i * 17 % 256) - 128);
    write_back(file, size);
}

static void test_scales_of_a_file(void **state) {
    (void)state;
    static const float good[] = {0.01f, -0.01f, 0.0f, -0.0f, 1.1754944e-38f, -1e-30f};
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e-39f, -1e-45f, 3e38f, -2.7e36f};
    scene_precision = CE_PRECISION_INT8;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        set_scale(good[i]);
        for (size_t d = 0; d < 2; d++) {
            ce_model *model = scene_load(devices[d]);
            ce_error error = {0};
            float before[SCENE_SCORES], after[SCENE_SCORES];
            scene_score(model, before);
            expect_ok(ce_model_to(model, devices[1 - d], &error), &error);
            scene_score(model, after);
            scene_expect_near(after, before);
            ce_model_free(model);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        set_scale(bad[i]);
        expect_no_load(CE_ERR_MODEL, "bert.embeddings.word_embeddings.weight: row 150 ");
    }
}

/* A file's int8 values are taken as they are: as float32 they are the same numbers, so that only activations differ. */
static void test_every_dtype_in_every_precision(void **state) {
    (void)state;
    static const char *const dtypes[] = {"F32", "F16", "BF16", "I8"};
    for (size_t i = 0; i < 4; i++)
        for (size_t p = 0; p < PRECISIONS; p++)
            for (size_t d = 0; d < 2; d++) {
                float scores[2][SCENE_SCORES];
                scene_shape.dtype = dtypes[i];
                scene_precision = precisions[p];
                tiny_model_write(&scene_shape, scene_folder);
                for (unsigned threads = 0; threads < 2; threads++) {
                    ce_load_options options = scene_options(devices[d]);
                    ce_model *model = NULL;
                    ce_error error = {0};
                    options.threads = 1 + 2 * threads;
                    expect_ok(ce_model_load(scene_folder, &options, &model, &error), &error);
                    scene_score(model, scores[threads]);
                    ce_model_free(model);
                }
                assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
            }
}

/* Of a model in float32 a table stays what it is in the file: that takes less memory, and no bit of a score differs
 * from those of the same values written as F32. */
static void test_tables_keep_the_form_of_the_file(void **state) {
    (void)state;
    static const char *const dtypes[] = {"F16", "BF16", "I8"};
    static const double sizes[] = {2, 2, 1}; /* bytes of a value, without scales */
    char *whole = test_make_folder();
    const ce_convert_options to_float32 = {
        .size = sizeof to_float32, .precision = CE_PRECISION_FLOAT32, .overwrite = true};
    for (size_t i = 0; i < 3; i++) {
        ce_error error = {0};
        scene_shape.dtype = dtypes[i];
        tiny_model_write(&scene_shape, scene_folder);
        expect_ok(ce_convert(scene_folder, whole, &to_float32, NULL, &error), &error);
        for (size_t d = 0; d < 2; d++) {
            const ce_load_options options = scene_options(devices[d]);
            ce_model *model = NULL, *wide = NULL;
            float scores[SCENE_SCORES];
            expect_ok(ce_model_load(whole, &options, &wide, &error), &error);
            expect_ok(ce_model_load(scene_folder, &options, &model, &error), &error);
            scene_score(wide, scores);
            scene_expect_scores(model, scores);
            const double saved = (double)scene_report(wide).weight_bytes - (double)scene_report(model).weight_bytes;
            const double values = (double)(scene_shape.vocab * scene_shape.hidden);
            print_message("%s on %s: %.0f bytes less for %.0f words\n", dtypes[i], devices[d], saved, values);
            if (d == 0) assert_true(saved > values * (4 - sizes[i]) * 0.85); /* sim:N holds float32 in every format */
            float moved[SCENE_SCORES];
            expect_ok(ce_model_to(model, devices[1 - d], &error), &error);
            scene_score(model, moved);
            scene_expect_near(moved, scores);
            ce_model_free(model);
            ce_model_free(wide);
        }
    }
    test_remove_folder(whole);
}

/* ---- damage -------------------------------------------------------------------------------------------------- */

static void test_a_check_finds_bad_memory(void **state) {
    (void)state;
    for (size_t p = 1; p < PRECISIONS; p++) {
        scene_precision = precisions[p];
        ce_model *model = scene_load("sim:0");
        ce_error error = {0};
        expect_ok(ce_model_check(model, NULL, &error), &error);
        assert_true(cei_sim_damage(0, CEI_ROLE_MATRIX, 2));
        expect_status(ce_model_check(model, NULL, &error), CE_ERR_VERIFY, &error, "sim:0");
        ce_model_free(model);
    }
}

/* The bounds are wider than in float32: one wrong value is seen where much depends on it. */
static void test_the_self_test_finds_a_wrong_operation(void **state) {
    (void)state;
    static const cei_op ops[] = {CEI_OP_NORM, CEI_OP_LINEAR};
    for (size_t p = 1; p < PRECISIONS; p++)
        for (size_t i = 0; i < 2; i++) {
            ce_model *model = NULL;
            ce_error error;
            scene_precision = precisions[p];
            cei_sim_distort(0, ops[i], true);
            expect_status(try_load("sim:0", CE_PLACE_EAGER, &model, &error), CE_ERR_VERIFY, &error, "self-test");
            cei_sim_distort(0, ops[i], false);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test(test_reports),
        scene_test(test_the_default_is_float32),
        scene_test(test_weights_are_smaller),
        scene_test(test_precisions_differ_a_little),
        scene_test(test_no_precision),
        scene_test(test_a_lacking_precision),
        scene_test(test_what_is_no_number_has_no_int8),
        scene_test(test_float16_ends_at_its_largest_number),
        scene_test(test_nan_in_a_vector_is_the_model_s_fault),
        scene_test(test_scales_of_a_file),
        scene_test(test_every_dtype_in_every_precision),
        scene_test(test_tables_keep_the_form_of_the_file),
        scene_test(test_a_check_finds_bad_memory),
        scene_test(test_the_self_test_finds_a_wrong_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
