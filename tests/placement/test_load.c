/* test_load.c - where the weights are when the constructor returns, and when they are not. */
#include "placement/scene.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- eager --------------------------------------------------------------------------------------------------- */

static void test_eager_weights_are_there_when_load_returns(void **state) {
    (void)state;
    ce_model *model = scene_load("sim:0");
    cei_sim_counters held = cei_sim_count(0);
    size_t bytes = tiny_model_parameters(&scene_shape) * sizeof(float);
    assert_int_equal(held.devices, 1);
    assert_int_equal(held.uploaded_bytes, bytes);
    assert_true(held.bytes >= bytes);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    assert_int_equal(scene_calls(1), 0);

    float scores[SCENE_SCORES];
    scene_score(model, scores); /* sends no weight, opens nothing */
    assert_int_equal(cei_sim_count(0).uploaded_bytes, bytes);
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_OPEN], 1);
    ce_model_free(model);
    scene_expect_idle(0);
}

static void test_report_of_an_eager_load(void **state) {
    (void)state;
    ce_model *model = scene_load("sim:1");
    ce_placement_report report = scene_report(model);
    cei_sim_counters counters = cei_sim_count(1);
    assert_string_equal(report.requested, "sim:1");
    assert_string_equal(report.device, "sim:1");
    assert_string_equal(report.device_name, "Simulated accelerator");
    assert_int_equal(report.precision, CE_PRECISION_FLOAT32);
    assert_int_equal(report.tensors, tiny_model_tensors(&scene_shape));
    assert_int_equal(report.tensors_verified, report.tensors);
    assert_int_equal(counters.calls[CEI_SIM_CHECKSUM], report.tensors);
    assert_int_equal(report.tensors_unused, 0);
    assert_true(report.self_tested);
    assert_true(counters.calls[CEI_SIM_OP] > 0);
    assert_true(report.self_test_error >= 0 && report.self_test_error <= report.self_test_bound);
    assert_true(report.self_test_bound > 0 && report.self_test_bound < 1e-2);
    assert_int_equal(report.file_bytes, tiny_model_parameters(&scene_shape) * sizeof(float));
    assert_true(report.weight_bytes >= report.file_bytes);
    assert_int_equal(report.weight_bytes + report.workspace_bytes, counters.bytes);
    assert_int_equal(report.host_bytes, 0);
    assert_false(report.fell_back);
    assert_string_equal(report.fallback_reason, "");
    assert_true(report.resolve_ms >= 0 && report.open_ms >= 0 && report.upload_ms > 0 && report.verify_ms > 0);
    assert_true(report.self_test_ms > 0);
    assert_true(report.total_ms >= report.upload_ms + report.verify_ms + report.self_test_ms);
    ce_model_free(model);
}

static void test_scores_agree_over_devices(void **state) {
    (void)state;
    float on_cpu[SCENE_SCORES], on_sim[SCENE_SCORES];
    ce_model *cpu = scene_load("cpu"), *sim = scene_load("sim:0"), *other = scene_load("sim:1");
    scene_score(cpu, on_cpu);
    scene_score(sim, on_sim);
    scene_expect_near(on_sim, on_cpu);
    scene_expect_scores(other, on_sim);
    scene_expect_scores(sim, on_sim);
    scene_expect_scores(cpu, on_cpu);
    ce_model_free(cpu);
    ce_model_free(sim);
    ce_model_free(other);
}

static void test_every_dtype_and_thread_count_gives_the_same_placement(void **state) {
    (void)state;
    static const char *const dtypes[] = {"F32", "BF16", "I8"};
    for (size_t i = 0; i < 3; i++) {
        tiny_model shape = scene_shape;
        shape.dtype = dtypes[i];
        tiny_model_write(&shape, scene_folder);
        ce_model *model[2];
        float scores[2][SCENE_LABELS];
        for (size_t j = 0; j < 2; j++) {
            ce_load_options options = scene_options("sim:0");
            ce_error error = {0};
            ce_pair pair = {ce_text_of("word1"), ce_text_of("word2 word3")};
            options.threads = j ? 3 : 1;
            expect_ok(ce_model_load(scene_folder, &options, &model[j], &error), &error);
            assert_int_equal(scene_report(model[j]).tensors_verified, tiny_model_tensors(&shape));
            expect_ok(ce_predict(model[j], &pair, 1, NULL, scores[j], &error), &error);
        }
        assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
        ce_model_free(model[0]);
        ce_model_free(model[1]);
    }
}

static void test_models_share_a_device(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_model *first = scene_load("sim:0");
    uint64_t bytes = cei_sim_count(0).bytes;
    ce_model *second = scene_load("sim:0");
    scene_score(first, scores);
    scene_expect_scores(second, scores);
    ce_model_free(first);
    assert_int_equal(cei_sim_count(0).bytes, bytes);
    scene_expect_scores(second, scores);
    ce_model_free(second);
}

/* ---- deferred ------------------------------------------------------------------------------------------------ */

static void test_deferred_holds_nothing(void **state) {
    (void)state;
    ce_model *model = scene_load_deferred("sim:0");
    scene_expect_idle(0);
    assert_int_equal(scene_calls(0), 0);
    scene_expect_state(model, CE_STATE_DEFERRED, "sim:0", 0);
    ce_placement_report report = scene_report(model);
    assert_false(report.self_tested);
    assert_int_equal(report.tensors_verified, 0);
    assert_int_equal(report.host_bytes, 0);
    assert_int_equal(report.tensors, tiny_model_tensors(&scene_shape));
    assert_true(report.weight_bytes >= tiny_model_parameters(&scene_shape) * sizeof(float)); /* planned */
    assert_true(report.workspace_bytes > 0);

    int32_t ids[32];
    size_t count;
    ce_model_info info = {.size = sizeof info};
    ce_error error = {0};
    expect_ok(ce_tokenize(model, (ce_pair){ce_text_of("word1"), ce_text_of("word2")}, NULL, ids, NULL, 32, &count, NULL,
                          &error),
              &error);
    expect_ok(ce_model_describe(model, &info, &error), &error);
    assert_int_equal(scene_calls(0), 0); /* none of this needs the device */
    ce_model_free(model);
}

static void test_deferred_is_placed_on_request(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = scene_load_deferred("sim:0");
    expect_ok(ce_model_place(model, &error), &error);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    ce_placement_report report = scene_report(model);
    assert_true(report.self_tested);
    assert_int_equal(report.tensors_verified, report.tensors);
    uint64_t calls = scene_calls(0);
    expect_ok(ce_model_place(model, &error), &error); /* at once: it is READY */
    assert_int_equal(scene_calls(0), calls);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    ce_model_free(model);
}

static void test_deferred_is_placed_by_first_use(void **state) {
    (void)state;
    float eager_scores[SCENE_SCORES];
    ce_model *eager = scene_load("sim:1"), *model = scene_load_deferred("sim:0");
    scene_score(eager, eager_scores);
    scene_expect_scores(model, eager_scores);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    ce_model_free(eager);
    ce_model_free(model);
}

static void test_deferred_is_placed_by_a_ranking(void **state) {
    (void)state;
    scene_shape.labels = 1;
    tiny_model_write(&scene_shape, scene_folder);
    ce_model *model = scene_load_deferred("sim:0");
    ce_text documents[2] = {ce_text_of("word1"), ce_text_of("word2")};
    ce_ranked ranked[2];
    ce_error error = {0};
    expect_ok(ce_rank(model, ce_text_of("word3"), documents, 2, 0, NULL, ranked, NULL, &error), &error);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    ce_model_free(model);
}

static void test_deferred_fails_at_first_use_and_can_be_used_later(void **state) {
    (void)state;
    float scores[SCENE_SCORES];
    ce_error error = {0};
    ce_model *model = scene_load_deferred("sim:0");
    cei_sim_set_memory(0, 100);
    expect_status(scene_try_score(model, scores, &error), CE_ERR_DEVICE_MEMORY, &error, "sim:0");
    scene_expect_state(model, CE_STATE_DEFERRED, "sim:0", 0);
    scene_expect_idle(0);
    expect_status(ce_model_place(model, &error), CE_ERR_DEVICE_MEMORY, &error, "total 100");
    cei_sim_set_memory(0, 1 << 30);
    scene_score(model, scores);
    scene_expect_state(model, CE_STATE_READY, "sim:0", 1);
    ce_model_free(model);
}

/* ---- early errors -------------------------------------------------------------------------------------------- */

static void expect_early(const char *folder, const char *device, ce_status want, const char *part) {
    for (int deferred = 0; deferred < 2; deferred++) {
        ce_load_options options = scene_options(device);
        ce_model *model = (ce_model *)&options; /* must be set to NULL */
        ce_error error = {0};
        options.place = deferred ? CE_PLACE_DEFERRED : CE_PLACE_EAGER;
        expect_status(ce_model_load(folder, &options, &model, &error), want, &error, part);
        assert_null(model);
        assert_int_equal(scene_calls(0) + scene_calls(1), 0);
    }
}

static void test_a_wrong_device_is_found_before_anything_is_read(void **state) {
    (void)state;
    static const char nowhere[] = "/nonexistent/folder";
    expect_early(nowhere, "gpu", CE_ERR_DEVICE_NAME, "auto, cpu, cuda");
    expect_early(nowhere, "", CE_ERR_DEVICE_NAME, "valid are");
    expect_early(nowhere, "cuda:99", CE_ERR_DEVICE_ABSENT, "cuda");
    expect_early(nowhere, "opencl", CE_ERR_DEVICE_ABSENT, "OpenCL");
    expect_early(nowhere, "sim:2", CE_ERR_DEVICE_ABSENT, "there are 2 sim devices");
    expect_early(nowhere, "sim:0", CE_ERR_NOT_FOUND, "folder");
    cei_sim_set_unusable(1, "its driver is missing");
    expect_early(scene_folder, "sim:1", CE_ERR_DEVICE_ABSENT, "its driver is missing");
}

static void test_a_broken_model_is_found_before_the_device_is_opened(void **state) {
    (void)state;
    test_write_file(scene_folder, "model.safetensors", "\x02\0\0\0\0\0\0\0{}", 10);
    expect_early(scene_folder, "sim:0", CE_ERR_MODEL, "model.safetensors");
    expect_early(scene_folder, "auto", CE_ERR_MODEL, NULL); /* no device's fault: nothing to fall back from */
}

/* ---- host memory --------------------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SCANNABLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SCANNABLE 0
#endif
#endif
#ifndef SCANNABLE
#define SCANNABLE 1
#endif

enum { SAMPLES = 16, SAMPLE_VALUES = 16 };

/* Under valgrind, which sees a read of memory that nobody wrote as an error of this test. */
static bool is_watched(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    bool watched = false;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) watched = watched || strstr(line, "vgpreload");
    fclose(maps);
    return watched;
}

/* Beginnings of rows of the word embeddings. */
typedef struct samples {
    float rows[SAMPLES][SAMPLE_VALUES];
    bool found[SAMPLES];
} samples;

static void search(samples *wanted, const unsigned char *from, const unsigned char *to) {
    for (const unsigned char *at = from; at + sizeof wanted->rows[0] <= to; at += sizeof(float))
        for (size_t i = 0; i < SAMPLES; i++) {
            uint32_t here, first;
            memcpy(&here, at, sizeof here);
            memcpy(&first, wanted->rows[i], sizeof first);
            if (here == first && memcmp(at, wanted->rows[i], sizeof wanted->rows[i]) == 0) wanted->found[i] = true;
        }
}

/* Looks for the samples in all memory that this process can read, but in the samples themselves. */
static size_t count_in_host_memory(samples *wanted) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    size_t count = 0;
    uintptr_t begin = (uintptr_t)wanted, end = (uintptr_t)(wanted + 1);
    memset(wanted->found, 0, sizeof wanted->found);
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long long from, to;
        char rights[8];
        assert_int_equal(sscanf(line, "%llx-%llx %7s", &from, &to, rights), 3);
        assert_null(strstr(line, ".safetensors"));
        if (rights[0] != 'r' || strstr(line, "[v")) continue; /* vvar, vsyscall */
        if (begin >= from && begin < to) {
            search(wanted, (const unsigned char *)(uintptr_t)from, (const unsigned char *)begin);
            search(wanted, (const unsigned char *)end, (const unsigned char *)(uintptr_t)to);
        } else {
            search(wanted, (const unsigned char *)(uintptr_t)from, (const unsigned char *)(uintptr_t)to);
        }
    }
    fclose(maps);
    for (size_t i = 0; i < SAMPLES; i++) count += wanted->found[i];
    return count;
}

/* Writes the model from another process, so that none of its values was ever in this one. */
static void write_elsewhere(void) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        scene_write();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_no_weight_stays_in_host_memory(void **state) {
    (void)state;
    if (!SCANNABLE || is_watched()) {
        print_message("SKIP: a sanitizer keeps freed memory, and valgrind forbids to read it\n");
        skip();
    }
    static samples wanted;
    float row[64];
    scene_shape.vocab = 8000;
    scene_shape.hidden = 64;
    write_elsewhere();
    for (size_t i = 0; i < SAMPLES; i++) {
        tiny_model_word_row(&scene_shape, 100 + i * (scene_shape.vocab - 200) / SAMPLES, row);
        memcpy(wanted.rows[i], row, sizeof wanted.rows[i]);
    }
    memset(row, 0, sizeof row);

    scene_any any = scene_any_loaded("sim:0");
    float values[SCENE_SCORES];
    ce_error error = {0};
    scene_any_values(any, values);
    malloc_trim(0); /* what was freed may keep its bytes until it is used again */
    assert_int_equal(count_in_host_memory(&wanted), 0);
    expect_ok(scene_any_to(any, "cpu", &error), &error);
    assert_int_equal(count_in_host_memory(&wanted), SAMPLES); /* the search does find them where they are */
    expect_ok(scene_any_to(any, "sim:1", &error), &error);
    malloc_trim(0);
    assert_int_equal(count_in_host_memory(&wanted), 0);
    assert_int_equal(scene_any_report(any).host_bytes, 0);
    scene_any_free(any);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        scene_test(test_eager_weights_are_there_when_load_returns),
        scene_test(test_report_of_an_eager_load),
        scene_test(test_scores_agree_over_devices),
        scene_test(test_every_dtype_and_thread_count_gives_the_same_placement),
        scene_test(test_models_share_a_device),
        scene_test(test_deferred_holds_nothing),
        scene_test(test_deferred_is_placed_on_request),
        scene_test(test_deferred_is_placed_by_first_use),
        scene_test(test_deferred_is_placed_by_a_ranking),
        scene_test(test_deferred_fails_at_first_use_and_can_be_used_later),
        scene_test(test_a_wrong_device_is_found_before_anything_is_read),
        scene_test(test_a_broken_model_is_found_before_the_device_is_opened),
        scene_test(test_no_weight_stays_in_host_memory),
        scene_test_encoder(test_no_weight_stays_in_host_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
