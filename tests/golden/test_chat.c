/* test_chat.c - prompts and yes/no scores against the reference: ids of every pair, and logits alone and in a batch, of
 * folders with and without a chat template, plain ones and such as the reference saved. */
#include "support/failing_malloc.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1024, MOST_PAIRS = 8 };

static json_t *load_cases(void) {
    json_error_t error;
    json_t *root = json_load_file(test_data("golden/chat/cases.json"), 0, &error);
    if (!root) fail_msg("cases.json, line %d: %s", error.line, error.text);
    return root;
}

static const json_t *get(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!value) fail_msg("no \"%s\"", key);
    return value;
}

static ce_text text_of(const json_t *string) {
    return (ce_text){json_string_value(string), json_string_length(string)};
}

/* A folder with the files of the model, and those of a case over them. */
static char *make_folder(const json_t *files) {
    static const char *const base[] = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"};
    char *folder = test_make_folder(), path[128];
    const char *name;
    const json_t *content;
    for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
        size_t size;
        snprintf(path, sizeof path, "golden/chat/model/%s", base[i]);
        char *data = test_read_file(test_data(path), &size);
        test_write_file(folder, base[i], data, size);
        free(data);
    }
    json_object_foreach((json_t *)(uintptr_t)files, name, content) {
        char *text = json_is_string(content) ? strdup(json_string_value(content)) : json_dumps(content, 0);
        assert_non_null(text);
        if (strchr(name, '/')) test_make_inner(folder, "1_LogitScore");
        test_write_file(folder, name, text, strlen(text));
        free(text);
    }
    return folder;
}

static ce_model *load(const char *folder, size_t max_length) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 2, .max_length = max_length};
    ce_model *model = NULL;
    ce_error error;
    expect_ok(ce_model_load(folder, &options, &model, &error), &error);
    return model;
}

static ce_pair pair_at(const json_t *root, size_t index) {
    const json_t *pair = json_array_get(get(root, "pairs"), index);
    return (ce_pair){text_of(json_array_get(pair, 0)), text_of(json_array_get(pair, 1))};
}

/* What the reference made of one pair: [index, prompt, limit, ids, logit], and what the call said of the template. */
typedef struct result {
    ce_pair pair;
    ce_text prompt;
    ce_score_options options;
    const json_t *ids;
    float logit;
    char *chat; /* NULL, or freed by the caller */
    ce_text settings;
} result;

static result read_result(const json_t *root, const json_t *row) {
    const json_t *prompt = json_array_get(row, 1);
    return (result){.pair = pair_at(root, (size_t)json_integer_value(json_array_get(row, 0))),
                    .prompt = text_of(prompt),
                    .options = {.size = sizeof(ce_score_options),
                                .activation = CE_ACTIVATION_IDENTITY,
                                .max_length = (size_t)json_integer_value(json_array_get(row, 2))},
                    .ids = json_array_get(row, 3),
                    .logit = (float)json_number_value(json_array_get(row, 4)),
                    .chat = json_dumps(json_array_get(row, 5), 0)};
}

/* The options point into the result itself. */
static void complete(result *want) {
    if (want->prompt.data) want->options.prompt = &want->prompt;
    want->settings = want->chat ? ce_text_of(want->chat) : (ce_text){NULL, 0};
    if (want->chat) want->options.chat_settings = &want->settings;
}

static void check_ids(const ce_model *model, const result *want, const char *name, size_t row) {
    int32_t ids[MOST_TOKENS];
    size_t count = 0;
    ce_truncation cut;
    ce_error error;
    expect_ok(ce_tokenize(model, want->pair, &want->options, ids, NULL, MOST_TOKENS, &count, &cut, &error), &error);
    if (count != json_array_size(want->ids)) fail_msg("%s, result %zu: %zu ids", name, row, count);
    for (size_t i = 0; i < count; i++)
        if (ids[i] != json_integer_value(json_array_get(want->ids, i)))
            fail_msg("%s, result %zu: id %zu is %d", name, row, i, (int)ids[i]);
    assert_true(cut.query_removed + cut.document_removed == 0 || count == want->options.max_length ||
                want->options.max_length == 0);
}

static void check_case(const json_t *root, const json_t *entry) {
    const char *name = json_string_value(get(entry, "name"));
    char *folder = make_folder(get(entry, "files"));
    ce_model *model = load(folder, 0);
    const json_t *row;
    size_t i;
    json_array_foreach(get(entry, "results"), i, row) {
        result want = read_result(root, row);
        complete(&want);
        float score;
        ce_error error;
        check_ids(model, &want, name, i);
        expect_ok(ce_predict(model, &want.pair, 1, &want.options, &score, &error), &error);
        if (!(fabsf(score - want.logit) <= 2e-5f * (1 + fabsf(want.logit))))
            fail_msg("%s, result %zu: %g, and the reference gives %g", name, i, (double)score, (double)want.logit);
        free(want.chat);
    }
    ce_model_free(model);
    test_remove_folder(folder);
}

static void test_cases(void **state) {
    (void)state;
    json_t *root = load_cases();
    const json_t *entry;
    size_t i;
    json_array_foreach(get(root, "cases"), i, entry) check_case(root, entry);
    json_decref(root);
}

/* The pairs of a call together, in both orders: the bits that each has alone. */
static void test_batches(void **state) {
    (void)state;
    json_t *root = load_cases();
    const json_t *entry = json_array_get(get(root, "cases"), 0);
    char *folder = make_folder(get(entry, "files"));
    ce_model *model = load(folder, 100);
    const size_t count = json_array_size(get(root, "pairs"));
    ce_pair pairs[2 * MOST_PAIRS];
    float together[2 * MOST_PAIRS], alone;
    ce_truncation cuts[2 * MOST_PAIRS];
    ce_score_report report = {.size = sizeof report};
    const ce_score_options options = {.size = sizeof options, .truncations = cuts, .report = &report};
    ce_error error;
    assert_true(count <= MOST_PAIRS);
    for (size_t i = 0; i < count; i++) pairs[i] = pairs[2 * count - 1 - i] = pair_at(root, i);
    expect_ok(ce_predict(model, pairs, 2 * count, &options, together, &error), &error);
    uint64_t cut = 0;
    for (size_t i = 0; i < 2 * count; i++) {
        expect_ok(ce_predict(model, &pairs[i], 1, NULL, &alone, &error), &error);
        assert_memory_equal(&alone, &together[i], sizeof alone);
        assert_true(alone > 0 && alone < 1); /* one label: the sigmoid is the default */
        assert_int_equal(cuts[i].query_tokens + cuts[i].query_removed, 0);
        cut += cuts[i].document_removed > 0;
    }
    assert_int_equal(report.truncated, cut);
    assert_true(cut > 0 && cut < 2 * count);
    ce_model_free(model);
    test_remove_folder(folder);
    json_decref(root);
}

static void test_what_a_model_says(void **state) {
    (void)state;
    json_t *root = load_cases();
    const json_t *entry = json_array_get(get(root, "cases"), 4);
    char *folder = make_folder(get(entry, "files"));
    ce_model *model = load(folder, 0);
    ce_model_info info = {.size = sizeof info};
    const char *name, *text;
    ce_error error;
    expect_ok(ce_model_describe(model, &info, &error), &error);
    assert_true(info.chat_template);
    assert_int_equal(info.num_labels, 1);
    assert_int_equal(info.prompts, 2);
    assert_string_equal(info.default_prompt, "judge");
    assert_string_equal(ce_model_prompt(model, "judge"), "Strictly.");
    assert_null(ce_model_prompt(model, "nobody"));
    assert_true(ce_model_prompt_at(model, 1, &name, &text));
    assert_string_equal(name, "none");
    assert_string_equal(text, "");
    assert_false(ce_model_prompt_at(model, 2, &name, &text));
    ce_model_free(model);
    test_remove_folder(folder);
    json_decref(root);
}

static void expect_refused(const char *folder, ce_status want, const char *part) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .place = CE_PLACE_DEFERRED};
    ce_model *model = NULL;
    ce_error error = {CE_OK, ""};
    expect_status(ce_model_load(folder, &options, &model, &error), want, &error, part);
    assert_null(model);
}

static void write_text(const char *folder, const char *name, const char *text) {
    test_write_file(folder, name, text, strlen(text));
}

static void test_what_is_refused(void **state) {
    (void)state;
    json_t *root = load_cases();
    char *folder = make_folder(get(json_array_get(get(root, "cases"), 5), "files"));
    write_text(folder, "chat_template.jinja", json_string_value(get(root, "deaf")));
    expect_refused(folder, CE_ERR_MODEL, "does not change with the query");
    write_text(folder, "chat_template.jinja", "{{ messages[0].content }}{{ raise_exception('no system') }}");
    expect_refused(folder, CE_ERR_MODEL, "no system");
    write_text(folder, "chat_template.jinja", "a\n{{ strftime_now('%d') }}");
    expect_refused(folder, CE_ERR_UNSUPPORTED, "chat_template.jinja, line 2: the function \"strftime_now\"");
    write_text(folder, "chat_template.jinja", "{{ messages[0].content }}{{ messages[1].content }}");
    write_text(folder, "1_LogitScore/config.json", "{\"false_token_id\": 1}");
    expect_refused(folder, CE_ERR_FORMAT, "\"true_token_id\" is missing");
    write_text(folder, "1_LogitScore/config.json", "{\"true_token_id\": 100000}");
    expect_refused(folder, CE_ERR_MODEL, "");
    write_text(folder, "1_LogitScore/config.json", "{\"true_token_id\": 1, \"module_input_name\": \"scores\"}");
    expect_refused(folder, CE_ERR_UNSUPPORTED, "module_input_name");
    test_remove_folder(folder);
    json_decref(root);
}

static void refuse_settings(ce_model *model, const char *settings, ce_status want, const char *part) {
    const ce_text text = ce_text_of(settings);
    const ce_score_options options = {.size = sizeof options, .chat_settings = &text};
    const ce_pair pair = {ce_text_of("a"), ce_text_of("b")};
    size_t count;
    float score;
    ce_error error = {0};
    expect_status(ce_predict(model, &pair, 1, &options, &score, &error), want, &error, part);
    expect_status(ce_tokenize(model, pair, &options, NULL, NULL, 0, &count, NULL, &error), want, &error, part);
}

static void test_settings_that_are_refused(void **state) {
    (void)state;
    json_t *root = load_cases();
    char *folder = make_folder(get(json_array_get(get(root, "cases"), 0), "files"));
    write_text(folder, "chat_template.jinja", "{{ none_of_it or messages[0].content ~ messages[1].content }}");
    ce_model *model = load(folder, 0);
    refuse_settings(model, "{", CE_ERR_ARGUMENT, "ce_score_options.chat_settings");
    refuse_settings(model, "[1]", CE_ERR_ARGUMENT, "must be an object");
    refuse_settings(model, "{\"restore_suffix\": 1}", CE_ERR_ARGUMENT, "restore_suffix");
    refuse_settings(model, "{\"chat_template\": \"x\"}", CE_ERR_UNSUPPORTED, "\"chat_template\"");
    refuse_settings(model, "{\"none_of_it\": \"x\"}", CE_ERR_MODEL, "does not change with the query");
    ce_model_free(model);
    test_remove_folder(folder);
    json_decref(root);
}

/* Loads a folder and scores a pair, with a prompt that is cut, and settings. */
static ce_status load_and_score(void *user, ce_error *error) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1, .max_length = 24};
    const ce_pair pair = {ce_text_of("query"), ce_text_of("a document that is longer than the model may read of it")};
    const ce_text prompt = ce_text_of("Rule");
    const ce_text settings = ce_text_of("{\"tail\": \"now\"}");
    const ce_score_options how = {.size = sizeof how, .prompt = &prompt, .chat_settings = &settings};
    ce_model *model = NULL;
    float score;
    ce_status status = ce_model_load(user, &options, &model, error);
    if (status == CE_OK) status = ce_predict(model, &pair, 1, &how, &score, error);
    ce_model_free(model);
    return status;
}

static void test_allocations_fail(void **state) {
    (void)state;
    failing_malloc_or_skip();
    json_t *root = load_cases();
    char *folder = make_folder(get(json_array_get(get(root, "cases"), 4), "files"));
    assert_true(test_some_allocations(load_and_score, folder, 200) > 100);
    test_remove_folder(folder);
    json_decref(root);
}

/* Pairs whose prompts are cut and whole, over and over: all memory is there after the first calls. */
static void test_steady_scoring_allocates_nothing(void **state) {
    (void)state;
    failing_malloc_or_skip();
    json_t *root = load_cases();
    char *folder = make_folder(get(json_array_get(get(root, "cases"), 0), "files"));
    ce_model *model = load(folder, 100);
    const size_t count = json_array_size(get(root, "pairs"));
    ce_pair pairs[MOST_PAIRS];
    float scores[MOST_PAIRS];
    ce_error error;
    for (size_t i = 0; i < count; i++) pairs[i] = pair_at(root, i);
    for (int round = 0; round < 3; round++) {
        failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
        expect_ok(ce_predict(model, pairs, count, NULL, scores, &error), &error);
        const size_t made = failing_malloc_stop();
        if (round > 0) assert_int_equal(made, 0);
    }
    ce_model_free(model);
    test_remove_folder(folder);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_what_a_model_says),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_settings_that_are_refused),
        cmocka_unit_test(test_allocations_fail),
        cmocka_unit_test(test_steady_scoring_allocates_nothing),
    };
    return cmocka_run_group_tests_name("chat", tests, NULL, NULL);
}
