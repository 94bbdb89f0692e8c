/* test_formula.c - models with the dimensions of published ones, whose weights follow from a formula
 * (tools/golden/formula_golden.py, which has the reference's logits): long sequences, all buckets of distances,
 * the same bits alone and in a batch, on any number of threads. */
#include "golden.h"

#include "formats/safetensors_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_TENSORS = 64, MOST_PAIRS = 16 };

/* ---- the formula ------------------------------------------------------------------------------------------------ */

static uint32_t hash(uint32_t seed, uint32_t i) {
    uint32_t x = i * UINT32_C(2654435761) + seed;
    x = (x ^ (x >> 15)) * UINT32_C(2246822519);
    x = (x ^ (x >> 13)) * UINT32_C(3266489917);
    return x ^ (x >> 16);
}

static uint32_t seed_of(const char *name) {
    uint32_t seed = UINT32_C(2166136261);
    for (; *name; name++) seed = (seed ^ (uint32_t)(unsigned char)*name) * UINT32_C(16777619);
    return seed;
}

/* X.weight, the last part of X with "norm" in it, in letters of either case. */
static bool is_gain(const char *name) {
    const char *kind = strrchr(name, '.'), *layer = kind;
    if (!kind || strcmp(kind, ".weight") != 0) return false;
    while (layer > name && layer[-1] != '.') layer--;
    for (; layer + strlen("norm") <= kind; layer++)
        if (strncasecmp(layer, "norm", strlen("norm")) == 0) return true;
    return false;
}

static float scale_of(const char *name, int rank) {
    const bool is_head = strncmp(name, "classifier", strlen("classifier")) == 0 || strncmp(name, "score", 5) == 0;
    if ((is_head && !strstr(name, "dense")) || strstr(name, "embed") || strstr(name, "attention_bias"))
        return ldexpf(1, -7);
    return ldexpf(1, rank > 1 ? -11 : -9);
}

static void fill(const char *name, int rank, size_t count, float *values) {
    const uint32_t seed = seed_of(name);
    const bool is_around_one = is_gain(name);
    const float scale = scale_of(name, rank);
    for (size_t i = 0; i < count; i++) {
        const float steps = (float)(hash(seed, (uint32_t)i) >> 24) - 128;
        values[i] = is_around_one ? 1 + floorf(steps / 8) / 32 : steps * scale;
    }
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

static size_t list_tensors(const json_t *golden, cei_new_tensor *tensors) {
    const char *name;
    const json_t *shape;
    size_t count = 0;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(golden, "tensors"), name, shape) {
        cei_new_tensor tensor = {.name = name, .dtype = CEI_DTYPE_F32, .rank = (int)json_array_size(shape)};
        assert_true(count < MOST_TENSORS && tensor.rank <= 2);
        for (int i = 0; i < tensor.rank; i++)
            tensor.shape[i] = (uint64_t)json_integer_value(json_array_get(shape, (size_t)i));
        tensors[count++] = tensor;
    }
    return count;
}

static void write_tensors(const json_t *golden, const char *folder) {
    cei_new_tensor tensors[MOST_TENSORS];
    const size_t count = list_tensors(golden, tensors);
    char path[1200];
    cei_new_file file;
    ce_error error;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    expect_ok(cei_safetensors_create(path, tensors, count, NULL, 0, &file, &error), &error);
    for (size_t i = 0; i < count; i++) {
        float *values = malloc(tensors[i].bytes);
        assert_non_null(values);
        fill(tensors[i].name, tensors[i].rank, tensors[i].bytes / sizeof *values, values);
        expect_ok(cei_new_file_write(&file, tensors[i].offset, values, tensors[i].bytes, &error), &error);
        free(values);
    }
    cei_new_file_close(&file);
}

static void write_json(const json_t *value, const char *folder, const char *name) {
    char *text = json_dumps(value, 0);
    assert_non_null(text);
    test_write_file(folder, name, text, strlen(text));
    free(text);
}

static void write_vocabulary(const json_t *golden, const char *folder) {
    char text[4096];
    size_t used = 0, i;
    const json_t *special;
    json_array_foreach((json_t *)(uintptr_t)json_object_get(golden, "specials"), i, special) used +=
        (size_t)snprintf(text + used, sizeof text - used, "%s\n", json_string_value(special));
    for (int word = 0; word < (int)json_integer_value(json_object_get(golden, "words")); word++)
        used += (size_t)snprintf(text + used, sizeof text - used, "w%d\n", word);
    assert_true(used < sizeof text);
    test_write_file(folder, "vocab.txt", text, used);
}

static char *make_folder(const json_t *golden) {
    char *folder = test_make_folder();
    write_tensors(golden, folder);
    write_json(json_object_get(golden, "config"), folder, "config.json");
    write_json(json_object_get(golden, "tokenizer_config"), folder, "tokenizer_config.json");
    write_vocabulary(golden, folder);
    return folder;
}

/* ---- scoring ---------------------------------------------------------------------------------------------------- */

/* The caller frees. */
static char *make_text(const json_t *golden, size_t words, size_t salt) {
    const size_t known = (size_t)json_integer_value(json_object_get(golden, "words"));
    char *text = calloc(words + 1, 8);
    assert_non_null(text);
    for (size_t i = 0, used = 0; i < words; i++)
        used += (size_t)snprintf(text + used, 8, "%sw%zu", i ? " " : "", (i * i * 7 + salt) % known);
    return text;
}

static size_t make_pairs(const json_t *golden, ce_pair *pairs) {
    size_t i;
    const json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)json_object_get(golden, "pairs"), i, entry) {
        const json_t *words = json_object_get(entry, "words");
        assert_true(i < MOST_PAIRS);
        pairs[i].query = ce_text_of(make_text(golden, (size_t)json_integer_value(json_array_get(words, 0)), 1));
        pairs[i].document = ce_text_of(make_text(golden, (size_t)json_integer_value(json_array_get(words, 1)), 2));
    }
    return i;
}

static double worst_deviation(const json_t *golden, const float *logits, size_t count) {
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(json_object_get(golden, "pairs"), i);
        const double off = golden_deviation(logits[i], json_real_value(json_object_get(entry, "logit")));
        if (!(off <= worst)) worst = off;
    }
    return worst;
}

/* All pairs at once, then each alone on one thread. */
static void check_precision(const json_t *golden, const char *folder, ce_precision precision, double bound) {
    ce_pair pairs[MOST_PAIRS];
    const size_t count = make_pairs(golden, pairs);
    float logits[MOST_PAIRS], alone;
    ce_load_options options = {.size = sizeof options, .device = "cpu", .precision = precision, .threads = 1};
    ce_model *model = golden_load_in(precision, folder, 0), *single = NULL;
    ce_error error;
    expect_ok(ce_predict(model, pairs, count, NULL, logits, &error), &error);
    const double worst = worst_deviation(golden, logits, count);
    print_message("in %s: largest deviation of a logit %.2g, bound %.2g\n", ce_precision_name(precision), worst, bound);
    assert_true(worst <= bound);
    expect_ok(ce_model_load(folder, &options, &single, &error), &error);
    for (size_t i = 0; i < count; i++) {
        expect_ok(ce_predict(single, &pairs[i], 1, NULL, &alone, &error), &error);
        assert_memory_equal(&alone, &logits[i], sizeof alone);
        free((void *)(uintptr_t)pairs[i].query.data);
        free((void *)(uintptr_t)pairs[i].document.data);
    }
    ce_model_free(single);
    ce_model_free(model);
}

/* state is the model's name. */
static void test_model(void **state) {
    char path[128];
    snprintf(path, sizeof path, "golden/formula-%s.json", (const char *)*state);
    json_t *golden = golden_read_json(test_data(path));
    char *folder = make_folder(golden);
    check_precision(golden, folder, CE_PRECISION_FLOAT32, GOLDEN_BOUND);
    check_precision(golden, folder, CE_PRECISION_BFLOAT16, 0.2);
    check_precision(golden, folder, CE_PRECISION_INT8, 0.2);
    test_remove_folder(folder);
    json_decref(golden);
}

int main(void) {
    static char names[][16] = {"deberta-v3",   "deberta-base",    "mpnet-base",  "bert-base",  "roberta-base",
                               "electra-base", "distilbert-base", "albert-base", "llama-135m", "gemma3-270m"};
    enum { MODELS = sizeof names / sizeof *names };
    struct CMUnitTest tests[MODELS];
    for (size_t i = 0; i < MODELS; i++) tests[i] = (struct CMUnitTest){names[i], test_model, NULL, NULL, names[i]};
    return cmocka_run_group_tests_name("formula", tests, NULL, NULL);
}
