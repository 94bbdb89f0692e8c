/* test_adapter.c - LoRA adapters against PEFT (tests/data/golden/adapters.json, by tools/golden/adapter_golden.py): as
 * the model itself and beside one, over folders and a GGUF file, merged by converting; and what is refused. */
#include "model/adapter.h"

#include "support/failing_malloc.h"
#include "support/support.h"
#include "support/tiny_model.h"

#include <crossenc/crossenc.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS = 4, MOST_VALUES = 40 };
static const double bound = 1e-4;

static const char *in_golden(const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "golden/%s/%s", folder, name);
    return test_data(path);
}

static const char *adapter_of(const char *name) { return in_golden("adapters", name); }

/* Adapters name their models, which are found in these folders. */
static int set_models(void **state) {
    char folders[1024];
    (void)state;
    snprintf(folders, sizeof folders, "%s:%s", test_data("golden/models"), test_data("golden/encoders"));
    return setenv("CROSSENC_MODELS", folders, 1);
}

static json_t *load_json(const char *path) {
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    return root;
}

/* The case of that name; the root is the caller's. */
static json_t *find_case(json_t **root, const char *name) {
    size_t i;
    json_t *entry;
    *root = load_json(test_data("golden/adapters.json"));
    json_array_foreach(json_object_get(*root, "cases"), i,
                       entry) if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0) return entry;
    fail_msg("no case %s", name);
    return NULL;
}

static ce_text text_of(const json_t *string) {
    return (ce_text){json_string_value(string), json_string_length(string)};
}

static void check_rows(const char *name, const float *got, size_t columns) {
    json_t *root, *rows = json_object_get(find_case(&root, name), "results");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        assert_int_equal(json_array_size(row), columns);
        for (size_t k = 0; k < columns; k++) {
            const double want = json_number_value(json_array_get(row, k)), value = (double)got[i * columns + k];
            if (!(fabs(value - want) <= bound * (1 + fabs(want))))
                fail_msg("%s, %zu, %zu: %.9g, expected %.9g", name, i, k, value, want);
        }
    }
    json_decref(root);
}

/* A copy of a path, which test_data keeps for a while only; NULL stays. */
typedef struct kept {
    char path[512];
} kept;

static const char *keep(const char *path, kept *to) {
    if (!path) return NULL;
    snprintf(to->path, sizeof to->path, "%s", path);
    return to->path;
}

static ce_load_options options_with(const char *adapter) {
    return (ce_load_options){.size = sizeof(ce_load_options), .device = "cpu", .threads = 1, .adapter = adapter};
}

/* Logits of the case's pairs; how many of a pair. The same bits one by one. */
static size_t predict(const char *from, const char *with, const char *name, float logits[INPUTS * MOST_VALUES]) {
    kept paths[2];
    const char *path = keep(from, &paths[0]);
    const ce_load_options options = options_with(keep(with, &paths[1]));
    const ce_score_options raw = {.size = sizeof raw, .activation = CE_ACTIVATION_IDENTITY};
    json_t *root, *inputs = json_object_get(find_case(&root, name), "inputs");
    ce_pair pairs[INPUTS];
    ce_model *model = NULL;
    ce_model_info info = {.size = sizeof info};
    ce_error error = {0};
    assert_int_equal(json_array_size(inputs), INPUTS);
    for (size_t i = 0; i < INPUTS; i++) {
        const json_t *pair = json_array_get(inputs, i);
        pairs[i] = (ce_pair){text_of(json_array_get(pair, 0)), text_of(json_array_get(pair, 1))};
    }
    expect_ok(ce_model_load(path, &options, &model, &error), &error);
    expect_ok(ce_model_describe(model, &info, &error), &error);
    expect_ok(ce_predict(model, pairs, INPUTS, &raw, logits, &error), &error);
    for (size_t i = 0; i < INPUTS; i++) {
        float alone[MOST_VALUES];
        expect_ok(ce_predict(model, &pairs[i], 1, &raw, alone, &error), &error);
        assert_memory_equal(alone, logits + i * info.num_labels, info.num_labels * sizeof(float));
    }
    ce_model_free(model);
    json_decref(root);
    return info.num_labels;
}

static size_t encode(const char *from, const char *with, const char *name, float values[INPUTS * MOST_VALUES]) {
    kept paths[2];
    const char *path = keep(from, &paths[0]);
    const ce_load_options options = options_with(keep(with, &paths[1]));
    json_t *root, *inputs = json_object_get(find_case(&root, name), "inputs");
    const size_t count = json_array_size(inputs);
    ce_text texts[INPUTS];
    ce_encoder *encoder = NULL;
    ce_encoder_info info = {.size = sizeof info};
    ce_error error = {0};
    for (size_t i = 0; i < count; i++) texts[i] = text_of(json_array_get(inputs, i));
    expect_ok(ce_encoder_load(path, &options, &encoder, &error), &error);
    expect_ok(ce_encoder_describe(encoder, &info, &error), &error);
    expect_ok(ce_encode(encoder, texts, count, NULL, values, &error), &error);
    ce_encoder_free(encoder);
    json_decref(root);
    return info.dimension;
}

static void expect_refused(const char *path, const char *adapter, ce_status status, const char *part) {
    const ce_load_options options = options_with(adapter);
    ce_model *model = NULL;
    ce_error error = {0};
    expect_status(ce_model_load(path, &options, &model, &error), status, &error, part);
    assert_null(model);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void scores_are_those_of_peft(void **state) {
    (void)state;
    float own[INPUTS * MOST_VALUES], beside[INPUTS * MOST_VALUES];
    const size_t labels = predict(adapter_of("patterns"), NULL, "patterns", own);
    check_rows("patterns", own, labels);
    assert_int_equal(predict(in_golden("models", "three-labels"), adapter_of("patterns"), "patterns", beside), labels);
    assert_memory_equal(own, beside, INPUTS * labels * sizeof(float));
}

/* The model is an encoder without a head, and without "bert." before its names. */
static void an_adapter_may_bring_the_classifier(void **state) {
    (void)state;
    float logits[INPUTS * MOST_VALUES];
    check_rows("classifier", logits, predict(adapter_of("classifier"), NULL, "classifier", logits));
}

static void embeddings_are_those_of_peft(void **state) {
    (void)state;
    float own[INPUTS * MOST_VALUES], beside[INPUTS * MOST_VALUES];
    const size_t dimension = encode(adapter_of("encoder"), NULL, "encoder", own);
    check_rows("encoder", own, dimension);
    encode(in_golden("models", "three-labels"), NULL, "encoder", beside);
    assert_memory_not_equal(own, beside, dimension * sizeof(float));
}

/* PEFT writes Gemma's word embeddings beside their change, which is scaled as they are. */
static void embeddings_may_be_adapted(void **state) {
    (void)state;
    static const char *const names[] = {"tables", "tables-gemma3"};
    for (size_t i = 0; i < 2; i++) {
        float logits[INPUTS * MOST_VALUES];
        check_rows(names[i], logits, predict(adapter_of(names[i]), NULL, names[i], logits));
    }
}

/* Its names have another first part there, and its classifier is another one. */
static void a_gguf_file_may_have_an_adapter(void **state) {
    (void)state;
    kept path;
    const char *file = keep(test_data("golden/gguf/xlm-roberta.gguf"), &path);
    float own[INPUTS * MOST_VALUES], beside[INPUTS * MOST_VALUES];
    check_rows("xlm-roberta", own, predict(adapter_of("xlm-roberta"), NULL, "xlm-roberta", own));
    const size_t dimension = encode(adapter_of("xlm-roberta-encoder"), NULL, "xlm-roberta-encoder", own);
    check_rows("xlm-roberta-encoder", own, dimension);
    encode(file, adapter_of("xlm-roberta-encoder"), "xlm-roberta-encoder", beside);
    assert_memory_equal(own, beside, 3 * dimension * sizeof(float));
    expect_refused(file, adapter_of("xlm-roberta"), CE_ERR_MODEL, "\"classifier.dense.");
}

/* ---- converting -------------------------------------------------------------------------------------------------- */

static void convert(const char *from, const char *adapter, const char *to, ce_kind kind) {
    const ce_convert_options options = {.size = sizeof options, .threads = 1, .adapter = adapter, .kind = kind};
    ce_error error = {0};
    expect_ok(ce_convert(from, to, &options, NULL, &error), &error);
}

static void converting_merges(void **state) {
    (void)state;
    static const char *const names[] = {"patterns", "classifier", "tables"};
    char *place = test_make_folder();
    for (size_t i = 0; i < 3; i++) {
        float laid[INPUTS * MOST_VALUES], merged[INPUTS * MOST_VALUES];
        const size_t labels = predict(adapter_of(names[i]), NULL, names[i], laid);
        convert(adapter_of(names[i]), NULL, test_path(place, names[i]), CE_KIND_DEFAULT);
        assert_int_equal(predict(test_path(place, names[i]), NULL, names[i], merged), labels);
        assert_memory_equal(laid, merged, INPUTS * labels * sizeof(float));
    }
    convert(in_golden("models", "three-labels"), adapter_of("encoder"), test_path(place, "bi"), CE_KIND_BI_ENCODER);
    float merged[INPUTS * MOST_VALUES];
    check_rows("encoder", merged, encode(test_path(place, "bi"), NULL, "encoder", merged));
    test_remove_folder(place);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

/* A copy of an adapter whose config has another value. */
static char *changed_folder(const char *name, const char *key, json_t *value) {
    static const char weights[] = "adapter_model.safetensors";
    char *folder = test_make_folder();
    size_t size;
    char *data = test_read_file(test_path(adapter_of(name), weights), &size);
    test_write_file(folder, weights, data, size);
    free(data);
    json_t *config = load_json(test_path(adapter_of(name), "adapter_config.json"));
    if (value)
        json_object_set_new(config, key, value);
    else
        json_object_del(config, key);
    data = json_dumps(config, 0);
    test_write_file(folder, "adapter_config.json", data, strlen(data));
    free(data);
    json_decref(config);
    return folder;
}

static void refuse_change(const char *key, json_t *value, ce_status status, const char *part) {
    char *folder = changed_folder("patterns", key, value);
    expect_refused(folder, NULL, status, part);
    test_remove_folder(folder);
}

static void other_methods_are_refused_by_name(void **state) {
    (void)state;
    refuse_change("use_dora", json_true(), CE_ERR_UNSUPPORTED, "DoRA");
    refuse_change("lora_bias", json_true(), CE_ERR_UNSUPPORTED, "LoRA with biases");
    refuse_change("trainable_token_indices", json_pack("[i]", 3), CE_ERR_UNSUPPORTED, "single tokens");
    refuse_change("init_lora_weights", json_string("pissa_niter_4"), CE_ERR_UNSUPPORTED, "pissa_niter_4");
    refuse_change("peft_type", json_string("IA3"), CE_ERR_UNSUPPORTED, "\"IA3\"");
    refuse_change("peft_type", NULL, CE_ERR_FORMAT, "\"peft_type\" is missing");
    refuse_change("alpha_pattern", json_pack("{s:i}", "layer\\.[0-9]", 3), CE_ERR_UNSUPPORTED, "layer\\.[0-9]");
    refuse_change("alpha_pattern", json_pack("{s:s}", "query", "3"), CE_ERR_FORMAT, "\"query\"");
    refuse_change("alpha_pattern", json_pack("[i]", 3), CE_ERR_FORMAT, "alpha_pattern");
    refuse_change("lora_alpha", json_string("8"), CE_ERR_FORMAT, "lora_alpha");
}

static void models_that_do_not_fit(void **state) {
    (void)state;
    refuse_change("base_model_name_or_path", NULL, CE_ERR_MODEL, "\"base_model_name_or_path\" is missing");
    refuse_change("base_model_name_or_path", json_string("no-such-model"), CE_ERR_NOT_FOUND, "\"no-such-model\"");
    expect_refused(in_golden("models", "relu-f16"), adapter_of("patterns"), CE_ERR_MODEL, "another model");
    expect_refused(in_golden("models", "modernbert"), adapter_of("patterns"), CE_ERR_MODEL, "lacks");
    expect_refused(in_golden("models", "three-labels"), in_golden("models", "three-labels"), CE_ERR_NOT_FOUND,
                   "adapter_config.json");
    char *folder = changed_folder("patterns", "r", json_integer(4));
    test_write_file(folder, "adapter_model.safetensors", "x", 1);
    expect_refused(folder, NULL, CE_ERR_FORMAT, "too few");
    test_remove_folder(folder);
}

/* A folder with an adapter of one table [rows, columns], of rank 1 and zeros. */
static char *table_folder(const char *module, unsigned rows, unsigned columns) {
    static const char config[] = "{\"peft_type\":\"LORA\",\"lora_alpha\":1}";
    static char file[8192];
    char *folder = test_make_folder();
    memset(file, 0, sizeof file);
    const int length = snprintf(file + 8, sizeof file - 8,
                                "{\"base_model.model.%s.lora_embedding_A\":{\"dtype\":\"F32\",\"shape\":[1,%u],"
                                "\"data_offsets\":[0,%u]},\"base_model.model.%s.lora_embedding_B\":{\"dtype\":\"F32\","
                                "\"shape\":[%u,1],\"data_offsets\":[%u,%u]}}",
                                module, rows, 4 * rows, module, columns, 4 * rows, 4 * (rows + columns));
    const uint64_t size = (uint64_t)length;
    memcpy(file, &size, sizeof size);
    memset(file + 8 + length, 0, sizeof file - 8 - (size_t)length);
    test_write_file(folder, "adapter_config.json", config, sizeof config - 1);
    test_write_file(folder, "adapter_model.safetensors", file, 8 + (size_t)length + (size_t)4 * (rows + columns));
    return folder;
}

/* Where a table is read past the module that the adapter changes, the reference's results are others than those of the
 * merged model. */
static void tables_that_are_read_twice_are_refused(void **state) {
    (void)state;
    char *folder = table_folder("model.embed_tokens", 274, 16);
    expect_refused(test_data("golden/chat/model"), folder, CE_ERR_UNSUPPORTED, "embeddings that are tied");
    test_remove_folder(folder);
    folder = table_folder("deberta.encoder.rel_embeddings", 24, 20);
    expect_refused(in_golden("models", "deberta-v3"), folder, CE_ERR_UNSUPPORTED, "rel_embeddings");
    test_remove_folder(folder);
}

/* int8 values have scales by row, and are to arrive as they are. */
static void int8_is_not_changed(void **state) {
    (void)state;
    tiny_model tiny = tiny_model_default();
    tiny.hidden = 36;
    tiny.intermediate = 72;
    tiny.layers = 1;
    tiny.labels = 3;
    tiny.dtype = "I8";
    char *folder = tiny_model_folder(&tiny);
    expect_refused(folder, adapter_of("patterns"), CE_ERR_UNSUPPORTED, "is I8, and an adapter would change it");
    test_remove_folder(folder);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void each_allocation_may_fail(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char path[512];
    snprintf(path, sizeof path, "%s", adapter_of("classifier"));
    test_some_allocations(test_load_deferred, path, 400);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_peft),
        cmocka_unit_test(an_adapter_may_bring_the_classifier),
        cmocka_unit_test(embeddings_are_those_of_peft),
        cmocka_unit_test(embeddings_may_be_adapted),
        cmocka_unit_test(a_gguf_file_may_have_an_adapter),
        cmocka_unit_test(converting_merges),
        cmocka_unit_test(other_methods_are_refused_by_name),
        cmocka_unit_test(models_that_do_not_fit),
        cmocka_unit_test(tables_that_are_read_twice_are_refused),
        cmocka_unit_test(int8_is_not_changed),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("adapter", tests, set_models, NULL);
}
