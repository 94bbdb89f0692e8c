/* test_config.c - config.json against the reference's answers (config_reference.py), and every way to get it wrong. */
#include "model/config.h"

#include "base/json.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers ------------------------------------------------------------------------------------------------ */

static const char *const names[] = {"DEFAULT", "Identity", "Sigmoid", "Tanh", "ReLU", "Softmax"};

static json_t *load_cases(void) {
    ce_error error = {0};
    json_t *root = NULL;
    expect_ok(cei_json_load(test_data("model/config_cases.json"), (size_t)1 << 24, &root, &error), &error);
    return root;
}

static void write_case(const json_t *one, const char *folder) {
    const char *file;
    const json_t *text;
    json_object_foreach(json_object_get(one, "files"), file, text)
        test_write_file(folder, file, json_string_value(text), json_string_length(text));
}

static const json_t *find_case(const json_t *root, const char *name) {
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(root, "cases"), i,
                       one) if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0) return one;
    fail_msg("no case \"%s\"", name);
    return NULL;
}

/* A whole small config with text in front of its last brace. */
static ce_status parse_with(const char *text, cei_config *config, ce_error *error) {
    char json[4096];
    int size = snprintf(json, sizeof json,
                        "{\"architectures\": [\"BertForSequenceClassification\"], \"model_type\": \"bert\", "
                        "\"vocab_size\": 8, \"hidden_size\": 6, \"num_hidden_layers\": 3, \"num_attention_heads\": 2, "
                        "\"intermediate_size\": 12, \"max_position_embeddings\": 16, \"type_vocab_size\": 2%s%s}",
                        *text ? ", " : "", text);
    return cei_config_parse(json, (size_t)size, "dir/config.json", NULL, config, error);
}

static void expect_refusal(const char *text, ce_status want, const char *part) {
    ce_error error = {0};
    cei_config config;
    memset(&config, 0xA5, sizeof config);
    expect_status(parse_with(text, &config, &error), want, &error, part);
    expect_status(CE_ERR_FORMAT, CE_ERR_FORMAT, &error, "dir/config.json");
    cei_config_free(&config); /* a failed parse leaves a zeroed config */
    assert_int_equal(parse_with(text, &config, NULL), want);
}

/* ---- the reference ------------------------------------------------------------------------------------------ */

static void check_case(const json_t *one) {
    const char *name = json_string_value(json_object_get(one, "name"));
    const json_t *expect = json_object_get(one, "expect");
    bool refused = json_object_get(expect, "error") != NULL;
    char *folder = test_make_folder();
    write_case(one, folder);
    ce_error error = {0};
    cei_config config;
    ce_status status = cei_config_load(folder, NULL, &config, &error);
    if (status == CE_OK) status = cei_config_check_activation(&config, folder, &error);
    test_remove_folder(folder);
    if (json_object_get(one, "differs")) { /* each has a test of its own */
        cei_config_free(&config);
        return;
    }
    if ((status != CE_OK) != refused) fail_msg("%s: %s %s", name, ce_status_name(status), error.message);
    if (status != CE_OK) {
        assert_true(status == CE_ERR_FORMAT || status == CE_ERR_UNSUPPORTED);
        cei_config_free(&config);
        return;
    }
    const json_t *labels = json_object_get(expect, "labels");
    const char *activation = json_string_value(json_object_get(expect, "activation"));
    if (strcmp(names[config.activation], activation) != 0 || config.num_labels != json_array_size(labels))
        fail_msg("%s: %s and %zu labels", name, names[config.activation], config.num_labels);
    for (size_t i = 0; i < config.num_labels; i++)
        assert_string_equal(config.labels[i], json_string_value(json_array_get(labels, i)));
    cei_config_free(&config);
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    json_t *root = load_cases();
    const json_t *cases = json_object_get(root, "cases"), *one;
    size_t i;
    assert_true(json_array_size(cases) > 80);
    json_array_foreach(cases, i, one) check_case(one);
    json_decref(root);
}

static double gelu_tanh(double x) { return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))); }

/* The formulas of device.h. */
static double evaluate(cei_function function, double x) {
    switch (function) {
    case CEI_FN_IDENTITY: return x;
    case CEI_FN_GELU: return 0.5 * x * (1 + erf(x * 0.70710678118654752440));
    case CEI_FN_GELU_TANH: return gelu_tanh(x);
    case CEI_FN_GELU_QUICK: return x / (1 + exp(-1.702 * x));
    case CEI_FN_RELU: return x > 0 ? x : 0;
    case CEI_FN_SILU: return x / (1 + exp(-x));
    case CEI_FN_TANH: return tanh(x);
    case CEI_FN_SIGMOID: return 1 / (1 + exp(-x));
    case CEI_FN_COUNT: break;
    }
    fail_msg("function %d has no formula", (int)function);
    return 0;
}

static void check_function(const char *name, const json_t *points, const json_t *values, size_t *supported) {
    char text[128];
    cei_config config;
    ce_error error = {0};
    snprintf(text, sizeof text, "\"hidden_act\": \"%s\"", name);
    ce_status status = parse_with(text, &config, &error);
    if (status != CE_OK) {
        expect_status(status, CE_ERR_UNSUPPORTED, &error, name);
        return;
    }
    *supported += 1;
    for (size_t i = 0; i < json_array_size(points); i++) {
        double x = json_number_value(json_array_get(points, i));
        double want = json_number_value(json_array_get(values, i));
        double got = evaluate(config.hidden_act, x);
        if (fabs(got - want) > 1e-9) fail_msg("%s(%g) is %.12g, and %.12g in the reference", name, x, got, want);
    }
    cei_config_free(&config);
}

static void hidden_act_names_mean_what_they_mean_in_the_reference(void **state) {
    (void)state;
    json_t *root = load_cases();
    const json_t *table = json_object_get(root, "hidden_act");
    const char *name;
    const json_t *values;
    size_t supported = 0;
    json_object_foreach(json_object_get(table, "values"), name, values)
        check_function(name, json_object_get(table, "points"), values, &supported);
    assert_int_equal(supported, 14);
    json_decref(root);
}

/* ---- fields ------------------------------------------------------------------------------------------------- */

static void every_field_is_read(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(parse_with("\"layer_norm_eps\": 1e-5, \"hidden_act\": \"relu\", \"is_decoder\": true, "
                         "\"position_embedding_type\": \"relative_key\", \"num_labels\": 1",
                         &config, &error),
              &error);
    assert_string_equal(config.path, "dir/config.json");
    assert_string_equal(config.architecture, "BertForSequenceClassification");
    assert_string_equal(config.model_type, "bert");
    assert_int_equal(config.vocab_size, 8);
    assert_int_equal(config.hidden_size, 6);
    assert_int_equal(config.layers, 3);
    assert_int_equal(config.heads, 2);
    assert_int_equal(config.intermediate_size, 12);
    assert_int_equal(config.max_positions, 16);
    assert_int_equal(config.type_vocab_size, 2);
    assert_true(config.layer_norm_eps == 1e-5);
    assert_int_equal(config.hidden_act, CEI_FN_RELU);
    assert_true(config.is_decoder);
    assert_string_equal(config.position_embedding, "relative_key");
    assert_false(config.activation_given);
    cei_config_free(&config);
}

static void absent_fields_have_their_defaults(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(cei_config_parse("{}", 2, "config.json", NULL, &config, &error), &error);
    assert_string_equal(config.architecture, "");
    assert_string_equal(config.model_type, "");
    assert_int_equal(config.vocab_size + config.hidden_size + config.layers + config.heads, 0);
    assert_int_equal(config.intermediate_size + config.max_positions + config.type_vocab_size, 0);
    assert_true(config.layer_norm_eps == 1e-12);
    assert_int_equal(config.hidden_act, CEI_FN_GELU);
    assert_string_equal(config.position_embedding, "absolute");
    assert_false(config.is_decoder);
    assert_int_equal(config.num_labels, 1);
    assert_string_equal(config.labels[0], "LABEL_0");
    assert_int_equal(config.activation, CE_ACTIVATION_SIGMOID);
    cei_config_free(&config);
}

static void wrong_fields_are_named(void **state) {
    (void)state;
    expect_refusal("\"hidden_size\": \"6\"", CE_ERR_FORMAT, "\"hidden_size\" must be an integer, and is a string");
    expect_refusal("\"hidden_size\": 6.0", CE_ERR_FORMAT, "\"hidden_size\" must be an integer");
    expect_refusal("\"hidden_size\": 0", CE_ERR_FORMAT, "\"hidden_size\" is 0, and must be from 1 to");
    expect_refusal("\"vocab_size\": -8", CE_ERR_FORMAT, "\"vocab_size\" is -8");
    expect_refusal("\"num_hidden_layers\": 1000000000000", CE_ERR_FORMAT, "\"num_hidden_layers\" is 1000000000000");
    expect_refusal("\"num_attention_heads\": 99999999999999999999999", CE_ERR_FORMAT,
                   "\"num_attention_heads\" is 1e+23");
    expect_refusal("\"layer_norm_eps\": -1e-12", CE_ERR_FORMAT, "\"layer_norm_eps\" is -1e-12");
    expect_refusal("\"layer_norm_eps\": true", CE_ERR_FORMAT, "\"layer_norm_eps\" must be a number, and is true");
    expect_refusal("\"layer_norm_eps\": 1e999", CE_ERR_FORMAT, "number too large");
    expect_refusal("\"layer_norm_eps\": NaN", CE_ERR_FORMAT, "not valid JSON");
    expect_refusal("\"is_decoder\": 1", CE_ERR_FORMAT, "\"is_decoder\" must be true or false, and is an integer");
    expect_refusal("\"hidden_act\": {}", CE_ERR_FORMAT, "\"hidden_act\" must be a string, and is an object");
    expect_refusal("\"hidden_act\": \"mish\"", CE_ERR_UNSUPPORTED,
                   "hidden_act \"mish\" is not supported; supported: gelu,");
    expect_refusal("\"model_type\": []", CE_ERR_FORMAT, "\"model_type\" must be a string");
    expect_refusal("\"model_type\": \"bert\\u0000x\"", CE_ERR_FORMAT, "\"model_type\" has a NUL in it");
    expect_refusal("\"architectures\": \"Bert\"", CE_ERR_FORMAT,
                   "\"architectures\" must be an array of strings, and is a string");
    expect_refusal("\"architectures\": [3]", CE_ERR_FORMAT, "holds an integer");
    expect_refusal("\"architectures\": [\"a\\u0000b\"]", CE_ERR_FORMAT, "holds a NUL");
}

static void wrong_labels_are_named(void **state) {
    (void)state;
    expect_refusal("\"num_labels\": 0", CE_ERR_FORMAT, "\"num_labels\" is 0");
    expect_refusal("\"num_labels\": -1", CE_ERR_FORMAT, "\"num_labels\" is -1");
    expect_refusal("\"num_labels\": 1000000000", CE_ERR_FORMAT, "\"num_labels\" is 1000000000");
    expect_refusal("\"id2label\": {}", CE_ERR_FORMAT, "\"id2label\" must be an object of 1 to");
    expect_refusal("\"id2label\": [\"a\"]", CE_ERR_FORMAT, "and is an array");
    expect_refusal("\"id2label\": {\"zero\": \"a\"}", CE_ERR_FORMAT, "one is \"zero\"");
    expect_refusal("\"id2label\": {\"-1\": \"a\"}", CE_ERR_FORMAT, "one is \"-1\"");
    expect_refusal("\"id2label\": {\"01\": \"a\"}", CE_ERR_FORMAT, "one is \"01\"");
    expect_refusal("\"id2label\": {\"\": \"a\"}", CE_ERR_FORMAT, "one is \"\"");
    expect_refusal("\"id2label\": {\"99999999999999999999\": \"a\"}", CE_ERR_FORMAT, "one is \"99999999999999999999\"");
    expect_refusal("\"id2label\": {\"0\": 7}", CE_ERR_FORMAT, "\"0\" must be a string, and is an integer");
}

static void labels_that_are_left_out_have_names(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(parse_with("\"id2label\": {\"0\": \"a\", \"2\": \"c\"}", &config, &error), &error);
    assert_int_equal(config.num_labels, 2);
    assert_string_equal(config.labels[0], "a");
    assert_string_equal(config.labels[1], "LABEL_1");
    cei_config_free(&config);
}

static void null_is_as_absent(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(parse_with("\"num_labels\": null, \"sentence_transformers\": null, \"hidden_act\": null, "
                         "\"is_decoder\": null",
                         &config, &error),
              &error);
    assert_int_equal(config.num_labels, 2);
    assert_int_equal(config.hidden_act, CEI_FN_GELU);
    cei_config_free(&config);
    expect_ok(parse_with("\"architectures\": [], \"num_labels\": 3", &config, &error), &error);
    assert_int_equal(config.num_labels, 1);
    cei_config_free(&config);
}

/* They are no error until scores are asked for with them. */
static void unsupported_activations_are_named(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(parse_with("\"sentence_transformers\": {\"activation_fn\": \"torch.nn.modules.activation.GELU\"}",
                         &config, &error),
              &error);
    assert_string_equal(config.named.other, "torch.nn.modules.activation.GELU");
    assert_false(config.activation_given);
    assert_int_equal(cei_config_check_activation(&config, "folder", &error), CE_ERR_UNSUPPORTED);
    assert_non_null(
        strstr(error.message, "folder: its activation \"torch.nn.modules.activation.GELU\" is not supported"));
    cei_config_free(&config);
    expect_ok(parse_with("\"sbert_ce_default_activation_function\": \"torch.nn.LogSoftmax\"", &config, &error), &error);
    assert_string_equal(config.named.other, "torch.nn.LogSoftmax");
    cei_config_free(&config);
    expect_ok(parse_with("\"sbert_ce_default_activation_function\": \"torch.nn.Tanh\"", &config, &error), &error);
    expect_ok(cei_config_check_activation(&config, "folder", &error), &error);
    cei_config_free(&config);
    expect_refusal("\"sentence_transformers\": {\"activation_fn\": 3}", CE_ERR_FORMAT,
                   "\"activation_fn\" must be a string");
    expect_refusal("\"sentence_transformers\": 3", CE_ERR_FORMAT, "\"sentence_transformers\" must be an object");
}

typedef struct log_lines {
    int count;
    char last[CE_ERROR_MESSAGE_SIZE];
} log_lines;

static void keep_line(void *user, ce_log_level level, const char *message) {
    log_lines *lines = user;
    assert_int_equal(level, CE_LOG_WARNING);
    lines->count++;
    snprintf(lines->last, sizeof lines->last, "%s", message);
}

static void untrusted_activations_are_warned_of(void **state) {
    (void)state;
    const char json[] = "{\"sentence_transformers\": {\"activation_fn\": \"mine.Activation\"}}";
    log_lines lines = {0};
    cei_log log = {keep_line, &lines};
    ce_error error = {0};
    cei_config config;
    expect_ok(cei_config_parse(json, sizeof json - 1, "config.json", &log, &config, &error), &error);
    assert_int_equal(config.activation, CE_ACTIVATION_SIGMOID);
    assert_false(config.activation_given);
    assert_int_equal(lines.count, 1);
    assert_non_null(strstr(lines.last, "\"mine.Activation\""));
    cei_config_free(&config);
}

static void another_number_of_labels(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(parse_with("\"id2label\": {\"0\": \"no\", \"1\": \"yes\"}", &config, &error), &error);
    expect_ok(cei_config_set_labels(&config, 2, &error), &error);
    assert_string_equal(config.labels[1], "yes");
    expect_ok(cei_config_set_labels(&config, 1, &error), &error);
    assert_string_equal(config.labels[0], "LABEL_0");
    assert_int_equal(config.activation, CE_ACTIVATION_SIGMOID);
    cei_config_free(&config);
    expect_ok(parse_with("\"num_labels\": 1, \"sentence_transformers\": {\"activation_fn\": \"torch.nn.Tanh\"}",
                         &config, &error),
              &error);
    assert_true(config.activation_given);
    expect_ok(cei_config_set_labels(&config, 3, &error), &error);
    assert_int_equal(config.num_labels, 3);
    assert_int_equal(config.activation, CE_ACTIVATION_TANH);
    cei_config_free(&config);
}

/* ---- files -------------------------------------------------------------------------------------------------- */

static void expect_file_error(const char *folder, const char *name, const char *text, ce_status want,
                              const char *part) {
    ce_error error = {0};
    cei_config config;
    test_write_file(folder, name, text, strlen(text));
    expect_status(cei_config_load(folder, NULL, &config, &error), want, &error, part);
}

static void broken_files_are_named(void **state) {
    (void)state;
    char *folder = test_make_folder();
    ce_error error = {0};
    cei_config config;
    expect_status(cei_config_load("/no/such/folder", NULL, &config, &error), CE_ERR_NOT_FOUND, &error,
                  "/no/such/folder");
    expect_status(cei_config_load(folder, NULL, &config, &error), CE_ERR_NOT_FOUND, &error, "config.json");
    expect_file_error(folder, "config.json", "", CE_ERR_FORMAT, "config.json is not valid JSON");
    expect_file_error(folder, "config.json", "{\"a\": 1", CE_ERR_FORMAT,
                      "line 1, column 8: expected ',' or '}', and the text ends");
    expect_file_error(folder, "config.json", "{\"a\": \"\xff\"}", CE_ERR_FORMAT, "not valid JSON");
    expect_file_error(folder, "config.json", "[1]", CE_ERR_FORMAT, "must hold a JSON object, and holds an array");
    expect_file_error(folder, "config.json", "null", CE_ERR_FORMAT, "holds null");
    test_write_file(folder, "config.json", "{}", 2);
    test_write_file(folder, "modules.json", "[]", 2);
    expect_file_error(folder, "config_sentence_transformers.json", "[]", CE_ERR_FORMAT,
                      "config_sentence_transformers.json holds no JSON object");
    const char saved[] = "{\"model_type\": \"CrossEncoder\", \"activation_fn\": \"torch.nn.GELU\"}";
    test_write_file(folder, "config_sentence_transformers.json", saved, sizeof saved - 1);
    expect_ok(cei_config_load(folder, NULL, &config, &error), &error);
    expect_status(cei_config_check_activation(&config, folder, &error), CE_ERR_UNSUPPORTED, &error,
                  "its activation \"torch.nn.GELU\" is not supported; supported: torch.nn.Identity");
    cei_config_free(&config);
    test_remove_folder(folder);
}

static ce_status load_and_free(void *user, ce_error *error) {
    cei_config config;
    ce_status status = cei_config_load(user, NULL, &config, error);
    if (status == CE_OK) status = cei_config_set_labels(&config, 5, error);
    cei_config_free(&config);
    return status;
}

static void no_memory_at_any_allocation(void **state) {
    (void)state;
    failing_malloc_or_skip();
    json_t *root = load_cases();
    char *folder = test_make_folder();
    write_case(find_case(root, "id2label of three"), folder);
    write_case(find_case(root, "saved by version 6, null, config.json has one"), folder);
    json_decref(root);
    assert_true(test_each_allocation(load_and_free, folder) > 20);
    test_remove_folder(folder);
}

/* Texts with single quotes, which are easier to read here. */
static const char *quoted(const char *text) {
    static char json[1024];
    size_t i = 0;
    for (; text[i]; i++) json[i] = text[i] == '\'' ? '"' : text[i];
    json[i] = '\0';
    return json;
}

static ce_status parse_quoted(const char *text, cei_config *config, ce_error *error) {
    return parse_with(quoted(text), config, error);
}

static void expect_refusal_of(const char *text, ce_status want, const char *part) {
    expect_refusal(quoted(text), want, part);
}

/* The newer names beside the older ones, which they hide; and what is absent or null. */
static void rotary_positions_in_all_spellings(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double theta, local;
        const char *layers; /* of six: L has a window */
    } cases[] = {
        {"", 0, 0, "-LL-LL"},
        {"'rope_theta': 7", 7, 0, "-LL-LL"},
        {"'global_rope_theta': 160, 'local_rope_theta': 10, 'global_attn_every_n_layers': 2", 160, 10, "-L-L-L"},
        {"'global_rope_theta': 160, 'local_rope_theta': null, 'global_attn_every_n_layers': 1", 160, 160, "------"},
        {"'rope_scaling': null, 'rope_parameters': {'rope_type': 'default', 'rope_theta': 20}", 20, 0, "-LL-LL"},
        {"'global_rope_theta': 1, 'rope_parameters': {'full_attention': {'rope_theta': 30, 'rope_type': 'default'},"
         "'sliding_attention': {'rope_theta': 40}}, 'layer_types': ['sliding_attention', 'full_attention',"
         "'full_attention', 'full_attention', 'sliding_attention', 'sliding_attention']",
         30, 40, "L---LL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        ce_error error = {0};
        cei_config config;
        snprintf(text, sizeof text, "'num_hidden_layers': 6%s%s", *cases[i].text ? ", " : "", cases[i].text);
        expect_ok(parse_quoted(text, &config, &error), &error);
        assert_true(config.rope_theta == cases[i].theta && config.local_rope_theta == cases[i].local);
        for (size_t layer = 0; layer < 6; layer++)
            assert_int_equal(cei_config_is_local(&config, layer), cases[i].layers[layer] == 'L');
        cei_config_free(&config);
    }
}

static void rotary_positions_that_are_refused(void **state) {
    (void)state;
    expect_refusal_of("'rope_scaling': {'type': 'ntk', 'factor': 2}", CE_ERR_UNSUPPORTED, "\"ntk\"");
    expect_refusal_of("'model_type': 'new', 'rope_scaling': {'type': 'linear', 'factor': 2}", CE_ERR_UNSUPPORTED,
                      "\"linear\"; supported: default, ntk");
    expect_refusal_of("'rope_parameters': {'rope_type': 'yarn'}", CE_ERR_FORMAT, "\"factor\"");
    expect_refusal_of("'rope_parameters': {'sliding_attention': {'rope_type': 'linear'}}", CE_ERR_FORMAT,
                      "\"factor\" of the rotary positions is missing");
    expect_refusal_of("'rope_scaling': {'type': 'linear', 'factor': 0}", CE_ERR_FORMAT, "\"factor\"");
    expect_refusal_of("'rope_scaling': {'type': 'linear', 'factor': '2'}", CE_ERR_FORMAT, "factor");
    expect_refusal_of("'rope_scaling': {'type': 'yarn', 'factor': 2, 'original_max_position_embeddings': 1}",
                      CE_ERR_FORMAT, "original_max_position_embeddings");
    expect_refusal_of("'rope_scaling': {'type': 'yarn', 'factor': 2, 'original_max_position_embeddings': 9,"
                      "'beta_slow': -1}",
                      CE_ERR_FORMAT, "beta_slow");
    expect_refusal_of("'rope_scaling': {'type': 'llama3', 'factor': 2, 'original_max_position_embeddings': 9,"
                      "'low_freq_factor': 4, 'high_freq_factor': 4}",
                      CE_ERR_FORMAT, "high_freq_factor 4");
    expect_refusal_of("'rope_scaling': {'type': 'longrope', 'original_max_position_embeddings': 9}", CE_ERR_FORMAT,
                      "short_factor");
    expect_refusal_of("'rope_scaling': {'type': 'longrope', 'original_max_position_embeddings': 9,"
                      "'short_factor': [1, 0]}",
                      CE_ERR_FORMAT, "short_factor");
    expect_refusal_of("'rope_scaling': {'type': 'linear', 'factor': 2, 'partial_rotary_factor': 0.5}",
                      CE_ERR_UNSUPPORTED, "partial_rotary_factor is 0.5");
    expect_refusal_of("'rope_scaling': 2", CE_ERR_FORMAT, "an integer");
    expect_refusal_of("'rope_parameters': []", CE_ERR_FORMAT, "an array");
    expect_refusal_of("'rope_theta': 0.5", CE_ERR_FORMAT, "rope_theta");
    expect_refusal_of("'local_rope_theta': -1", CE_ERR_FORMAT, "local_rope_theta");
    expect_refusal_of("'local_attention': 1", CE_ERR_FORMAT, "local_attention");
    expect_refusal_of("'global_attn_every_n_layers': 0", CE_ERR_FORMAT, "global_attn_every_n_layers");
    expect_refusal_of("'num_hidden_layers': 2, 'layer_types': ['full_attention']", CE_ERR_FORMAT, "array of 2");
    expect_refusal_of("'num_hidden_layers': 1, 'layer_types': 'full_attention'", CE_ERR_FORMAT, "a string");
    expect_refusal_of("'num_hidden_layers': 1, 'layer_types': ['linear_attention']", CE_ERR_UNSUPPORTED, "linear");
    expect_refusal_of("'num_hidden_layers': 1, 'layer_types': [3]", CE_ERR_UNSUPPORTED, "no string");
}

static void what_modernbert_says(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(
        parse_quoted("'model_type': 'modernbert', 'hidden_activation': 'silu', 'norm_eps': 0.5, 'layer_norm_eps': 1,"
                     "'mlp_bias': true, 'classifier_bias': true, 'classifier_pooling': 'mean', "
                     "'classifier_activation': 'relu', 'local_attention': 64",
                     &config, &error),
        &error);
    assert_true(config.layer_norm_eps == 0.5 && config.hidden_act == CEI_FN_SILU);
    assert_true(config.mlp_bias && config.classifier_bias && !config.attention_bias && !config.norm_bias);
    assert_int_equal(config.classifier_pooling, CEI_POOL_MEAN);
    assert_int_equal(config.classifier_activation, CEI_FN_RELU);
    assert_int_equal(config.local_attention, 64);
    cei_config_free(&config);
    expect_ok(parse_quoted("'model_type': 'modernbert'", &config, &error), &error);
    assert_true(config.layer_norm_eps == 1e-5 && config.hidden_act == CEI_FN_GELU && config.local_attention == 128);
    assert_int_equal(config.classifier_pooling, CEI_POOL_FIRST);
    cei_config_free(&config);
    expect_refusal_of("'model_type': 'modernbert', 'classifier_pooling': 'max'", CE_ERR_UNSUPPORTED, "cls, mean");
    expect_refusal_of("'model_type': 'modernbert', 'classifier_activation': 'x'", CE_ERR_UNSUPPORTED,
                      "classifier_activation");
    expect_refusal_of("'model_type': 'modernbert', 'norm_eps': 2", CE_ERR_FORMAT, "norm_eps");
}

static void real_models(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(cei_config_load(test_shared("models/ms-marco-MiniLM-L-12-v2-dq"), NULL, &config, &error), &error);
    assert_int_equal(config.layers, 12);
    assert_int_equal(config.num_labels, 1);
    assert_int_equal(config.activation, CE_ACTIVATION_IDENTITY);
    assert_true(config.activation_given);
    cei_config_free(&config);
}

/* ---- DeBERTa ------------------------------------------------------------------------------------------------ */

/* The same small config as a DeBERTa's, with text in front of its last brace. */
static ce_status parse_deberta(const char *text, cei_config *config, ce_error *error) {
    char whole[2048];
    snprintf(whole, sizeof whole, "\"model_type\": \"deberta-v2\"%s%s", *text ? ", " : "", text);
    return parse_with(whole, config, error); /* the last of two equal names counts */
}

static void test_deberta(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(parse_deberta("", &config, &error), &error);
    const cei_relative_config *relative = &config.relative;
    assert_true(!relative->is_on && !relative->c2p && !relative->p2c && !relative->shares_keys && !relative->has_norm);
    assert_true(config.adds_positions && config.conv_kernel_size == 0 && config.conv_groups == 1);
    assert_true(config.layer_norm_eps == 1e-7 && config.pooler_act == CEI_FN_GELU && config.conv_act == CEI_FN_TANH);
    cei_config_free(&config);
    expect_ok(parse_deberta("\"relative_attention\": true, \"pos_att_type\": \" P2C| c2p\", \"share_att_key\": true, "
                            "\"norm_rel_ebd\": \"none | Layer_Norm\", \"position_buckets\": 256, "
                            "\"max_relative_positions\": -1, \"position_biased_input\": false, "
                            "\"conv_kernel_size\": 3, \"conv_groups\": 2, \"conv_act\": \"gelu\", "
                            "\"pooler_hidden_act\": \"relu\"",
                            &config, &error),
              &error);
    assert_true(relative->is_on && relative->c2p && relative->p2c && relative->shares_keys && relative->has_norm);
    assert_true(relative->buckets == 256 && relative->max_positions == 0 && !config.adds_positions);
    assert_true(config.conv_kernel_size == 3 && config.conv_groups == 2 && config.conv_act == CEI_FN_GELU);
    assert_int_equal(config.pooler_act, CEI_FN_RELU);
    cei_config_free(&config);
    expect_ok(parse_deberta("\"pos_att_type\": [\"p2p\", \"p2c\"]", &config, &error), &error);
    assert_true(!relative->c2p && relative->p2c);
    cei_config_free(&config);
}

static void test_wrong_deberta(void **state) {
    (void)state;
    static const char *const wrong[] = {"\"pos_att_type\": 3",        "\"pos_att_type\": [3]",
                                        "\"norm_rel_ebd\": []",       "\"position_buckets\": 1.5",
                                        "\"relative_attention\": 1",  "\"position_biased_input\": \"no\"",
                                        "\"conv_groups\": 0",         "\"position_buckets\": 1000000000000",
                                        "\"share_att_key\": \"yes\"", "\"conv_kernel_size\": -1"};
    ce_error error = {0};
    cei_config config;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_status(parse_deberta(wrong[i], &config, &error), CE_ERR_FORMAT, &error, "dir/config.json");
    expect_status(parse_deberta("\"pooler_hidden_act\": \"mish\"", &config, &error), CE_ERR_UNSUPPORTED, &error,
                  "mish");
    /* What another architecture calls so is not read. */
    expect_ok(parse_with("\"pos_att_type\": 3, \"conv_act\": 4", &config, &error), &error);
    cei_config_free(&config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(hidden_act_names_mean_what_they_mean_in_the_reference),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(absent_fields_have_their_defaults),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(wrong_labels_are_named),
        cmocka_unit_test(labels_that_are_left_out_have_names),
        cmocka_unit_test(null_is_as_absent),
        cmocka_unit_test(unsupported_activations_are_named),
        cmocka_unit_test(untrusted_activations_are_warned_of),
        cmocka_unit_test(another_number_of_labels),
        cmocka_unit_test(broken_files_are_named),
        cmocka_unit_test(no_memory_at_any_allocation),
        cmocka_unit_test(rotary_positions_in_all_spellings),
        cmocka_unit_test(rotary_positions_that_are_refused),
        cmocka_unit_test(what_modernbert_says),
        cmocka_unit_test(real_models),
        cmocka_unit_test(test_deberta),
        cmocka_unit_test(test_wrong_deberta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
