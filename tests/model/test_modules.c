/* test_modules.c - modules.json and what it names: every name that is known, and every way to get it wrong. */
#include "model/modules.h"

#include "support/failing_malloc.h"
#include "support/support.h"
#include "support/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OLD "sentence_transformers.models."
#define TYPE(path, type) "{\"path\": \"" path "\", \"type\": \"" type "\"}"
#define FIRST TYPE("", OLD "Transformer") ", " TYPE("1_Pooling", OLD "Pooling")
#define WITH(path, kind) "[" FIRST ", " TYPE(path, OLD kind) "]"

/* ---- a folder of files --------------------------------------------------------------------------------------------
 */

static char *folder;
static char warnings[4][512];
static size_t warning_count;

static void log_line(void *user, ce_log_level level, const char *message) {
    (void)user;
    if (level == CE_LOG_WARNING && warning_count < 4) snprintf(warnings[warning_count++], 512, "%s", message);
}

static const cei_log logging = {log_line, NULL};

static void write_text(const char *name, const char *text) { test_write_file(folder, name, text, strlen(text)); }

/* A mean pooling, a Dense and a LayerNorm, each in its folder, and a list of the first two modules. */
static int set_up(void **state) {
    (void)state;
    folder = test_make_folder();
    warning_count = 0;
    test_make_inner(folder, "0_Transformer");
    test_make_inner(folder, "1_Pooling");
    test_make_inner(folder, "2_Dense");
    test_make_inner(folder, "3_LayerNorm");
    write_text("modules.json", "[" FIRST "]");
    write_text("1_Pooling/config.json", "{\"word_embedding_dimension\": 8, \"pooling_mode_mean_tokens\": true}");
    write_text("2_Dense/config.json", "{\"in_features\": 8, \"out_features\": 5}");
    write_text("3_LayerNorm/config.json", "{\"dimension\": 5}");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static cei_modules load(void) {
    cei_modules modules;
    ce_error error;
    memset(&modules, 0xA5, sizeof modules);
    expect_ok(cei_modules_load(folder, &logging, &modules, &error), &error);
    return modules;
}

static void expect_refused(ce_status want, const char *part) {
    cei_modules modules;
    ce_error error = {CE_OK, ""};
    memset(&modules, 0xA5, sizeof modules);
    expect_status(cei_modules_load(folder, &logging, &modules, &error), want, &error, part);
    cei_modules_free(&modules); /* a failed load leaves zeroed modules */
    assert_int_equal(cei_modules_load(folder, NULL, &modules, NULL), want);
}

/* A file with this text is refused with a message that names the file and has the part. */
static void expect_file_refused(const char *name, const char *text, ce_status want, const char *part) {
    write_text(name, text);
    expect_refused(want, part);
    expect_refused(want, name);
}

/* ---- modules.json --------------------------------------------------------------------------------------------------
 */

static void test_every_module_by_its_old_and_its_new_name(void **state) {
    (void)state;
    static const char *const packages[][6] = {
        {OLD "Transformer", OLD "Pooling", OLD "Dense", OLD "LayerNorm", OLD "Normalize", OLD "Dropout"},
        {"sentence_transformers.base.modules.transformer.Transformer",
         "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
         "sentence_transformers.base.modules.dense.Dense",
         "sentence_transformers.sentence_transformer.modules.layer_norm.LayerNorm",
         "sentence_transformers.base.modules.normalize.Normalize",
         "sentence_transformers.sentence_transformer.modules.dropout.Dropout"}};
    static const char *const paths[] = {"0_Transformer", "1_Pooling",   "2_Dense",
                                        "3_LayerNorm",   "4_Normalize", "5_Dropout"};
    for (size_t k = 0; k < 2; k++) {
        char list[2048] = "[";
        for (size_t i = 0; i < 6; i++)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s{\"path\": \"%s\", \"type\": \"%s\"}",
                     i ? ", " : "", paths[i], packages[k][i]);
        strcat(list, "]");
        write_text("modules.json", list);
        cei_modules modules = load();
        assert_string_equal(modules.transformer, "0_Transformer");
        assert_int_equal(modules.layer_count, 3);
        const cei_module *layers = modules.layers;
        assert_int_equal(layers[0].kind, CEI_HEAD_DENSE);
        assert_string_equal(layers[0].folder, "2_Dense");
        assert_true(layers[0].in == 8 && layers[0].out == 5 && layers[0].bias && layers[0].function == CEI_FN_TANH);
        assert_int_equal(layers[1].kind, CEI_HEAD_NORM);
        assert_int_equal(layers[1].in, 5);
        assert_int_equal(layers[2].kind, CEI_HEAD_NORMALIZE);
        cei_modules_free(&modules);
    }
    assert_int_equal(warning_count, 0);
}

static void test_modules_that_are_not_known(void **state) {
    (void)state;
    static const char *const types[] = {OLD "WordEmbeddings",
                                        OLD "CNN",
                                        OLD "StaticEmbedding",
                                        "Dense",
                                        "my_package.Dense",
                                        "sentence_transformers.models.dense.Dense.X",
                                        OLD,
                                        "sentence_transformers"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char list[512];
        snprintf(list, sizeof list, "[" FIRST ", {\"path\": \"2_Dense\", \"type\": \"%s\"}]", types[i]);
        expect_file_refused("modules.json", list, CE_ERR_UNSUPPORTED, types[i]);
    }
}

static void test_modules_in_another_order(void **state) {
    (void)state;
    static const char name[] = "modules.json";
    expect_file_refused(name, "[" TYPE("1_Pooling", OLD "Pooling") ", " TYPE("0", OLD "Transformer") "]",
                        CE_ERR_UNSUPPORTED, "module 0 is a Pooling");
    expect_file_refused(name, "[" TYPE("", OLD "Transformer") ", " TYPE("2_Dense", OLD "Dense") "]", CE_ERR_UNSUPPORTED,
                        "module 1 is a Dense");
    expect_file_refused(name, WITH("1_Pooling", "Pooling"), CE_ERR_UNSUPPORTED, "module 2 is a Pooling");
    expect_file_refused(name, WITH("0_Transformer", "Transformer"), CE_ERR_UNSUPPORTED, "module 2 is a Transformer");
}

static void test_a_list_of_another_form(void **state) {
    (void)state;
    static const char name[] = "modules.json";
    expect_file_refused(name, "{}", CE_ERR_FORMAT, "an object");
    expect_file_refused(name, "[]", CE_ERR_FORMAT, "2 to 32 modules");
    expect_file_refused(name, "[" TYPE("", OLD "Transformer") "]", CE_ERR_FORMAT, "2 to 32 modules");
    expect_file_refused(name, "[" FIRST ", 3]", CE_ERR_FORMAT, "module 2 must be an object, and is an integer");
    expect_file_refused(name, "[" FIRST ", {\"path\": \"2_Dense\"}]", CE_ERR_FORMAT, "module 2 lacks");
    expect_file_refused(name, "[" FIRST ", {\"type\": \"" OLD "Dense\"}]", CE_ERR_FORMAT, "module 2 lacks");
    expect_file_refused(name, "[" FIRST ", {\"type\": 1, \"path\": \"\"}]", CE_ERR_FORMAT, "\"type\" must be a string");
    expect_file_refused(name, "[" FIRST ", {\"type\": \"x\", \"path\": []}]", CE_ERR_FORMAT,
                        "\"path\" must be a string");
    expect_file_refused(name, "[" FIRST ", ", CE_ERR_FORMAT, "line 1");
    char list[8192] = "[" FIRST;
    for (size_t i = 0; i < 31; i++) strcat(list, ", " TYPE("9", OLD "Dropout"));
    strcat(list, "]");
    expect_file_refused(name, list, CE_ERR_FORMAT, "2 to 32 modules");
}

static void test_paths_that_leave_the_folder(void **state) {
    (void)state;
    static const char *const paths[] = {"../x", "/etc", "a/b", ".", "..", "1_Pooling/", "./1_Pooling", ""};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char list[512];
        snprintf(list, sizeof list, "[" FIRST ", {\"path\": \"%s\", \"type\": \"" OLD "Dense\"}]", paths[i]);
        expect_file_refused("modules.json", list, CE_ERR_FORMAT, "path of module 2 must be a folder in the model's");
        if (!*paths[i]) continue; /* a transformer may be in the model's folder itself */
        snprintf(list, sizeof list, "[{\"path\": \"%s\", \"type\": \"" OLD "Transformer\"}, {}]", paths[i]);
        expect_file_refused("modules.json", list, CE_ERR_FORMAT, "path of module 0");
    }
    expect_file_refused("modules.json", "[" FIRST ", {\"type\": \"x\", \"path\": \"2_\\u0000x\"}]", CE_ERR_FORMAT,
                        "NUL");
}

static void test_files_that_are_missing(void **state) {
    (void)state;
    static const char *const lists[] = {WITH("9_Dense", "Dense"), WITH("9_Dense", "LayerNorm"),
                                        "[" TYPE("", OLD "Transformer") ", " TYPE("9_Dense", OLD "Pooling") "]"};
    for (size_t i = 0; i < 3; i++) {
        write_text("modules.json", lists[i]);
        expect_refused(CE_ERR_NOT_FOUND, "9_Dense/config.json is not there");
    }
    write_text("modules.json", WITH("9_Normalize", "Normalize")); /* has nothing to say in old folders */
    cei_modules modules = load();
    assert_int_equal(modules.layer_count, 1);
    cei_modules_free(&modules);
    ce_error error;
    expect_status(cei_modules_load("/nonexistent", NULL, &modules, &error), CE_ERR_NOT_FOUND, &error, "/nonexistent");
}

static void test_a_folder_that_is_a_transformer_alone(void **state) {
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/modules.json", folder);
    assert_int_equal(remove(path), 0);
    write_text("sentence_bert_config.json", "{\"max_seq_length\": 3, \"transformer_task\": \"fill-mask\"}");
    cei_modules modules = load();
    assert_string_equal(modules.transformer, "");
    assert_string_equal(modules.pooling, "mean");
    assert_true(modules.max_length == 0 && modules.layer_count == 0 && modules.includes_prompt);
    assert_int_equal(warning_count, 1);
    assert_non_null(strstr(warnings[0], "no modules.json"));
    cei_modules_free(&modules);
}

/* What CrossEncoder.save_pretrained writes: one module, which has a task of its own. */
static void test_folders_of_other_kinds_of_models(void **state) {
    (void)state;
    static const char *const kinds[] = {"CrossEncoder", "SparseEncoder", "MultiVectorEncoder"};
    write_text("modules.json", "[" TYPE("", "sentence_transformers.base.modules.transformer.Transformer") "]");
    write_text("sentence_bert_config.json", "{\"transformer_task\": \"sequence-classification\", "
                                            "\"module_output_name\": \"scores\"}");
    for (size_t i = 0; i < 3; i++) {
        char settings[256];
        snprintf(settings, sizeof settings,
                 "{\"model_type\": \"%s\", \"prompts\": {\"a\": \"b\"}, \"truncate_dim\": 2}", kinds[i]);
        write_text("config_sentence_transformers.json", settings);
        warning_count = 0;
        cei_modules modules = load();
        assert_string_equal(modules.pooling, "mean");
        assert_true(modules.prompt_count == 0 && modules.truncate_dim == 0); /* they are for the other kind */
        assert_int_equal(warning_count, 1);
        assert_non_null(strstr(warnings[0], kinds[i]));
        cei_modules_free(&modules);
    }
}

/* ---- pooling -------------------------------------------------------------------------------------------------------
 */

static const char pooling_file[] = "1_Pooling/config.json";

static void expect_pooling(const char *config, size_t count, const char *names) {
    write_text(pooling_file, config);
    cei_modules modules = load();
    assert_int_equal(modules.pooling_count, count);
    assert_string_equal(modules.pooling, names);
    cei_modules_free(&modules);
}

static void test_every_pooling_by_its_old_and_its_new_name(void **state) {
    (void)state;
    static const struct {
        const char *name, *old;
        cei_pooling pooling;
    } all[] = {{"cls", "pooling_mode_cls_token", CEI_POOL_FIRST},
               {"max", "pooling_mode_max_tokens", CEI_POOL_MAX},
               {"mean", "pooling_mode_mean_tokens", CEI_POOL_MEAN},
               {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", CEI_POOL_MEAN_SQRT},
               {"weightedmean", "pooling_mode_weightedmean_tokens", CEI_POOL_WEIGHTED},
               {"lasttoken", "pooling_mode_lasttoken", CEI_POOL_LAST}};
    static const char *const before[] = {"pooling_mode\": \"", "pooling_mode\": [\"", ""};
    static const char *const behind[] = {"\"", "\"]", "\": true"};
    for (size_t i = 0; i < 6; i++)
        for (size_t form = 0; form < 3; form++) {
            char text[128];
            snprintf(text, sizeof text, "{\"%s%s%s}", before[form], form < 2 ? all[i].name : all[i].old, behind[form]);
            write_text(pooling_file, text);
            cei_modules modules = load();
            assert_true(modules.pooling_count == 1 && modules.poolings[0] == all[i].pooling);
            assert_string_equal(modules.pooling, all[i].name);
            cei_modules_free(&modules);
        }
}

static void test_several_poolings(void **state) {
    (void)state;
    expect_pooling("{\"pooling_mode\": [\"mean\", \"cls\", \"mean\"]}", 3, "mean, cls, mean");
    expect_pooling("{\"pooling_mode_mean_tokens\": true, \"pooling_mode_lasttoken\": true, "
                   "\"pooling_mode_cls_token\": true, \"pooling_mode_max_tokens\": null}",
                   3, "cls, mean, lasttoken"); /* in an order of their own */
    expect_pooling("{\"pooling_mode\": [\"mean_sqrt_len_tokens\", \"mean_sqrt_len_tokens\", \"mean_sqrt_len_tokens\", "
                   "\"mean_sqrt_len_tokens\", \"mean_sqrt_len_tokens\", \"mean_sqrt_len_tokens\"]}",
                   6,
                   "mean_sqrt_len_tokens, mean_sqrt_len_tokens, mean_sqrt_len_tokens, mean_sqrt_len_tokens, "
                   "mean_sqrt_len_tokens, mean_sqrt_len_tokens");
    expect_pooling("{}", 1, "mean");
    expect_pooling("{\"pooling_mode_mean_tokens\": false, \"pooling_mode\": null}", 1, "mean");
    expect_pooling("{\"pooling_mode\": \"cls\", \"pooling_mode_max_tokens\": true}", 1, "cls"); /* the new one counts */
    write_text(pooling_file, "{\"include_prompt\": false}");
    cei_modules modules = load();
    assert_false(modules.includes_prompt);
    cei_modules_free(&modules);
}

static void test_poolings_that_are_wrong(void **state) {
    (void)state;
    expect_file_refused(pooling_file, "{\"pooling_mode\": \"median\"}", CE_ERR_UNSUPPORTED, "\"median\"");
    expect_file_refused(pooling_file, "{\"pooling_mode\": [\"mean\", \"Mean\"]}", CE_ERR_UNSUPPORTED, "\"Mean\"");
    expect_file_refused(pooling_file, "{\"pooling_mode\": []}", CE_ERR_FORMAT, "names no mode");
    expect_file_refused(pooling_file, "{\"pooling_mode\": [null]}", CE_ERR_FORMAT, "has null");
    expect_file_refused(pooling_file, "{\"pooling_mode\": true}", CE_ERR_FORMAT, "has true");
    expect_file_refused(pooling_file, "{\"pooling_mode\": {}}", CE_ERR_FORMAT, "has an object");
    expect_file_refused(pooling_file,
                        "{\"pooling_mode\": [\"max\", \"max\", \"max\", \"max\", \"max\", \"max\", \"max\"]}",
                        CE_ERR_UNSUPPORTED, "more than 6");
    expect_file_refused(pooling_file, "{\"pooling_mode_cls_token\": 1}", CE_ERR_FORMAT, "pooling_mode_cls_token");
    expect_file_refused(pooling_file, "{\"include_prompt\": \"no\"}", CE_ERR_FORMAT, "include_prompt");
    expect_file_refused(pooling_file, "[]", CE_ERR_FORMAT, "no JSON object");
    expect_file_refused(pooling_file, "{", CE_ERR_FORMAT, "line 1");
}

/* ---- layers --------------------------------------------------------------------------------------------------------
 */

#define DENSE(fields) "{\"in_features\": 8, \"out_features\": 5" fields "}"

static void test_every_activation(void **state) {
    (void)state;
    static const struct {
        const char *path;
        cei_function function;
    } all[] = {{"torch.nn.modules.linear.Identity", CEI_FN_IDENTITY}, {"torch.nn.modules.activation.Tanh", CEI_FN_TANH},
               {"torch.nn.modules.activation.ReLU", CEI_FN_RELU},     {"torch.nn.modules.activation.GELU", CEI_FN_GELU},
               {"torch.nn.modules.activation.SiLU", CEI_FN_SILU},     {"torch.nn.Sigmoid", CEI_FN_SIGMOID}};
    write_text("modules.json", WITH("2_Dense", "Dense"));
    for (size_t i = 0; i < 6; i++) {
        char text[256];
        snprintf(text, sizeof text, DENSE(", \"bias\": false, \"activation_function\": \"%s\""), all[i].path);
        write_text("2_Dense/config.json", text);
        cei_modules modules = load();
        assert_true(modules.layers[0].function == all[i].function && !modules.layers[0].bias);
        cei_modules_free(&modules);
    }
}

static void test_layers_that_are_wrong(void **state) {
    (void)state;
    static const struct {
        const char *config;
        ce_status status;
        const char *part;
    } all[] = {
        {DENSE(", \"activation_function\": \"torch.nn.modules.activation.Mish\""), CE_ERR_UNSUPPORTED, "Mish"},
        {DENSE(", \"activation_function\": \"my.Tanh\""), CE_ERR_UNSUPPORTED, "my.Tanh"},
        {DENSE(", \"activation_function\": \"Tanh\""), CE_ERR_UNSUPPORTED, "Tanh"},
        {DENSE(", \"activation_function\": 3"), CE_ERR_FORMAT, "activation_function"},
        {DENSE(", \"use_residual\": true"), CE_ERR_UNSUPPORTED, "use_residual"},
        {DENSE(", \"use_residual\": 1"), CE_ERR_FORMAT, "use_residual"},
        {DENSE(", \"module_input_name\": \"token_embeddings\""), CE_ERR_UNSUPPORTED, "token_embeddings"},
        {DENSE(", \"module_output_name\": \"other\""), CE_ERR_UNSUPPORTED, "other"},
        {DENSE(", \"module_input_name\": []"), CE_ERR_FORMAT, "module_input_name"},
        {DENSE(", \"bias\": 0"), CE_ERR_FORMAT, "bias"},
        {"{\"in_features\": 8}", CE_ERR_FORMAT, "out_features"},
        {"{\"out_features\": 8}", CE_ERR_FORMAT, "in_features"},
        {"{\"in_features\": 0, \"out_features\": 5}", CE_ERR_FORMAT, "in_features"},
        {"{\"in_features\": 8, \"out_features\": 16777217}", CE_ERR_FORMAT, "16777217"},
        {"{\"in_features\": 8.5, \"out_features\": 5}", CE_ERR_FORMAT, "in_features"},
        {"{\"in_features\": -1, \"out_features\": 5}", CE_ERR_FORMAT, "in_features"},
        {"null", CE_ERR_FORMAT, "no JSON object"},
    };
    write_text("modules.json", WITH("2_Dense", "Dense"));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        expect_file_refused("2_Dense/config.json", all[i].config, all[i].status, all[i].part);
    write_text("modules.json", WITH("3_LayerNorm", "LayerNorm"));
    expect_file_refused("3_LayerNorm/config.json", "{}", CE_ERR_FORMAT, "\"dimension\" is missing");
    expect_file_refused("3_LayerNorm/config.json", "{\"dimension\": \"5\"}", CE_ERR_FORMAT, "dimension");
}

/* ---- the transformer -----------------------------------------------------------------------------------------------
 */

static void test_the_transformers_settings(void **state) {
    (void)state;
    static const char *const files[] = {"sentence_xlnet_config.json", "sentence_roberta_config.json",
                                        "sentence_bert_config.json"}; /* the last one comes before the others */
    for (size_t i = 0; i < 3; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"max_seq_length\": %zu, \"do_lower_case\": true, \"other\": 1}", i + 5);
        write_text(files[i], text);
        cei_modules modules = load();
        assert_true(modules.max_length == i + 5 && modules.lowercase);
        cei_modules_free(&modules);
    }
    write_text(files[2], "{\"max_seq_length\": null, \"do_lower_case\": null}");
    cei_modules modules = load();
    assert_true(modules.max_length == 0 && !modules.lowercase);
    cei_modules_free(&modules);
    expect_file_refused(files[2], "{\"max_seq_length\": \"12\"}", CE_ERR_FORMAT, "max_seq_length");
    expect_file_refused(files[2], "{\"max_seq_length\": 0}", CE_ERR_FORMAT, "max_seq_length");
    expect_file_refused(files[2], "{\"do_lower_case\": \"yes\"}", CE_ERR_FORMAT, "do_lower_case");
    expect_file_refused(files[2], "{\"transformer_task\": \"fill-mask\"}", CE_ERR_UNSUPPORTED, "fill-mask");
    expect_file_refused(files[2], "{\"module_output_name\": \"scores\"}", CE_ERR_UNSUPPORTED, "scores");
}

/* ---- config_sentence_transformers.json -----------------------------------------------------------------------------
 */

static const char settings_file[] = "config_sentence_transformers.json";

static void test_prompts(void **state) {
    (void)state;
    write_text(settings_file, "{\"prompts\": {\"zebra\": \"z: \", \"a\": null, \"\": \"nameless\"}, "
                              "\"default_prompt_name\": \"a\"}");
    cei_modules modules = load();
    assert_int_equal(modules.prompt_count, 3);
    assert_string_equal(modules.prompts[0].name, "zebra"); /* the order of the file */
    assert_string_equal(modules.prompts[0].text, "z: ");
    assert_string_equal(modules.prompts[1].text, ""); /* as in the reference */
    assert_string_equal(modules.prompts[2].name, "");
    assert_string_equal(modules.default_prompt, "a");
    cei_modules_free(&modules);
    static const char *const without[] = {"{}",
                                          "{\"prompts\": null}",
                                          "{\"prompts\": {}}",
                                          "{\"default_prompt_name\": null}",
                                          "{\"default_prompt_name\": \"query\"}",
                                          "{\"default_prompt_name\": \"document\", \"prompts\": {}}"};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        write_text(settings_file, without[i]);
        modules = load();
        assert_true(modules.prompt_count == 0 && !modules.default_prompt);
        cei_modules_free(&modules);
    }
}

static void test_prompts_that_are_wrong(void **state) {
    (void)state;
    expect_file_refused(settings_file, "{\"prompts\": {\"a\": 1}}", CE_ERR_FORMAT, "\"a\" must be a string");
    expect_file_refused(settings_file, "{\"prompts\": {\"a\": \"b\", \"c\": []}}", CE_ERR_FORMAT, "\"c\"");
    expect_file_refused(settings_file, "{\"prompts\": {\"a\": \"b\\u0000\"}}", CE_ERR_FORMAT, "NUL");
    expect_file_refused(settings_file, "{\"prompts\": {\"a\\u0000b\": \"c\"}}", CE_ERR_FORMAT, "NUL");
    expect_file_refused(settings_file, "{\"prompts\": [\"a\"]}", CE_ERR_FORMAT, "an array");
    expect_file_refused(settings_file, "{\"default_prompt_name\": \"none\"}", CE_ERR_MODEL, "\"none\"");
    expect_file_refused(settings_file, "{\"default_prompt_name\": 1}", CE_ERR_FORMAT, "default_prompt_name");
    char *many = malloc(40000), *at = many;
    assert_non_null(many);
    at += sprintf(at, "{\"prompts\": {\"0\": \"\"");
    for (int i = 1; i <= 1024; i++) at += sprintf(at, ", \"%d\": \"\"", i);
    strcpy(at, "}}");
    expect_file_refused(settings_file, many, CE_ERR_FORMAT, "at most 1024");
    free(many);
}

static void test_similarity_and_dimension(void **state) {
    (void)state;
    static const struct {
        const char *name;
        ce_similarity similarity;
    } all[] = {{"\"cosine\"", CE_SIMILARITY_COSINE},
               {"\"dot\"", CE_SIMILARITY_DOT},
               {"\"euclidean\"", CE_SIMILARITY_EUCLIDEAN},
               {"\"manhattan\"", CE_SIMILARITY_MANHATTAN},
               {"\"maxsim\"", CE_SIMILARITY_DEFAULT},
               {"\"default\"", CE_SIMILARITY_DEFAULT},
               {"null", CE_SIMILARITY_DEFAULT}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"similarity_fn_name\": %s, \"truncate_dim\": %zu}", all[i].name, i + 1);
        write_text(settings_file, text);
        cei_modules modules = load();
        assert_int_equal(modules.similarity, all[i].similarity);
        assert_int_equal(modules.truncate_dim, i + 1);
        cei_modules_free(&modules);
    }
    expect_file_refused(settings_file, "{\"similarity_fn_name\": 2}", CE_ERR_FORMAT, "similarity_fn_name");
    expect_file_refused(settings_file, "{\"truncate_dim\": \"all\"}", CE_ERR_FORMAT, "truncate_dim");
    expect_file_refused(settings_file, "{\"truncate_dim\": 0}", CE_ERR_FORMAT, "truncate_dim");
    expect_file_refused(settings_file, "{\"model_type\": 1}", CE_ERR_FORMAT, "model_type");
    expect_file_refused(settings_file, "[]", CE_ERR_FORMAT, "no JSON object");
}

/* ---- with weights --------------------------------------------------------------------------------------------------
 */

static void write_encoder(size_t dimension) {
    tiny_encoder shape = tiny_encoder_default();
    shape.dimension = dimension;
    tiny_encoder_write(&shape, folder);
}

static void expect_load(ce_status want, const char *part) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .place = CE_PLACE_DEFERRED, .threads = 1};
    ce_encoder *encoder = NULL;
    ce_error error;
    expect_status(ce_encoder_load(folder, &options, &encoder, &error), want, &error, part);
    ce_encoder_free(encoder);
}

static void test_layers_that_do_not_fit(void **state) {
    (void)state;
    write_encoder(6);
    expect_load(CE_OK, NULL);
    write_text("2_Dense/config.json", "{\"in_features\": 31, \"out_features\": 6}");
    expect_load(CE_ERR_MODEL, "2_Dense takes 31 values, and the module before it gives 32");
    write_text("2_Dense/config.json", "{\"in_features\": 32, \"out_features\": 7}");
    expect_load(CE_ERR_MODEL, "3_LayerNorm takes 6 values, and the module before it gives 7");
    write_text("3_LayerNorm/config.json", "{\"dimension\": 7}");
    expect_load(CE_ERR_MODEL, "2_Dense/linear.weight");
}

static void test_weights_of_layers(void **state) {
    (void)state;
    char path[1024];
    write_encoder(6);
    write_text("2_Dense/config.json", "{\"in_features\": 32, \"out_features\": 6, \"bias\": false}");
    expect_load(CE_OK, NULL); /* the bias is there and not read */
    write_text("sentence_bert_config.json", "{\"max_seq_length\": 1}");
    expect_load(CE_ERR_MODEL, "its limit is 1 tokens"); /* which the caller did not ask for */
    write_text("sentence_bert_config.json", "{}");
    snprintf(path, sizeof path, "%s/2_Dense/model.safetensors", folder);
    assert_int_equal(remove(path), 0);
    expect_load(CE_ERR_NOT_FOUND, "2_Dense");
    write_text("2_Dense/pytorch_model.bin", "x");
    expect_load(CE_ERR_FORMAT, "2_Dense/pytorch_model.bin");
    test_write_file(folder, "2_Dense/model.safetensors", "\x02\0\0\0\0\0\0\0{}", 10);
    expect_load(CE_ERR_MODEL, "2_Dense/linear.weight");
    test_write_file(folder, "2_Dense/model.safetensors", "\x09\0\0\0\0\0\0\0{}", 10);
    expect_load(CE_ERR_FORMAT, "2_Dense/model.safetensors");
}

static void test_two_layers_in_one_folder(void **state) {
    (void)state;
    write_encoder(6);
    write_text("modules.json", "[" FIRST ", " TYPE("2_Dense", OLD "Dense") ", " TYPE("2_Dense", OLD "Dense") "]");
    expect_load(CE_ERR_FORMAT, "2_Dense");
}

static void test_more_layers_than_a_head_has(void **state) {
    (void)state;
    char list[4096] = "[" FIRST;
    write_encoder(0);
    for (size_t i = 0; i < CEI_HEAD_LAYERS; i++) strcat(list, ", " TYPE("9", OLD "Normalize"));
    strcat(list, "]");
    write_text("modules.json", list);
    expect_load(CE_OK, NULL);
    list[strlen(list) - 1] = '\0';
    strcat(list, ", " TYPE("9", OLD "Normalize") "]");
    write_text("modules.json", list);
    expect_load(CE_ERR_UNSUPPORTED, "layers");
}

static void test_one_token_type_is_enough(void **state) {
    (void)state;
    tiny_encoder shape = tiny_encoder_default();
    shape.transformer.types = 1; /* a pair's second text would have the other */
    tiny_encoder_write(&shape, folder);
    expect_load(CE_OK, NULL);
}

/* ---- want of memory ------------------------------------------------------------------------------------------------
 */

static ce_status load_and_free(void *user, ce_error *error) {
    cei_modules modules;
    ce_status status = cei_modules_load(user, NULL, &modules, error);
    cei_modules_free(&modules);
    return status;
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    failing_malloc_or_skip();
    write_text("modules.json", "[" FIRST ", " TYPE("2_Dense", OLD "Dense") ", " TYPE(
                                   "3_LayerNorm", OLD "LayerNorm") ", " TYPE("4", OLD "Normalize") "]");
    write_text("sentence_bert_config.json", "{\"max_seq_length\": 12}");
    write_text(settings_file, "{\"prompts\": {\"a\": \"b\", \"c\": \"d\"}, \"default_prompt_name\": \"c\"}");
    assert_true(test_each_allocation(load_and_free, folder) > 20);
    write_text(settings_file, "{\"model_type\": \"CrossEncoder\"}");
    (void)test_each_allocation(load_and_free, folder);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_every_module_by_its_old_and_its_new_name),
        test(test_modules_that_are_not_known),
        test(test_modules_in_another_order),
        test(test_a_list_of_another_form),
        test(test_paths_that_leave_the_folder),
        test(test_files_that_are_missing),
        test(test_a_folder_that_is_a_transformer_alone),
        test(test_folders_of_other_kinds_of_models),
        test(test_every_pooling_by_its_old_and_its_new_name),
        test(test_several_poolings),
        test(test_poolings_that_are_wrong),
        test(test_every_activation),
        test(test_layers_that_are_wrong),
        test(test_the_transformers_settings),
        test(test_prompts),
        test(test_prompts_that_are_wrong),
        test(test_similarity_and_dimension),
        test(test_layers_that_do_not_fit),
        test(test_weights_of_layers),
        test(test_two_layers_in_one_folder),
        test(test_more_layers_than_a_head_has),
        test(test_one_token_type_is_enough),
        test(test_each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
