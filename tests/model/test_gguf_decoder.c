/* test_gguf_decoder.c - decoders, and JinaBERT, in GGUF files against the folders that they were made of: rows of
 * queries and keys in pairs, gains that are one more, halves of a matrix; re-rankers that answer "yes" or "no"; folders
 * made of such files; and what is refused. The files are made by tools/golden/gguf_golden.py. */
#include "base/memory.h"
#include "formats/gguf_write.h"
#include "model/gguf.h"

#include "support/model_folder.h"
#include "support/same_models.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *file_of(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "golden/gguf/%s.gguf", name);
    return test_data(path);
}

/* Copies what a golden folder has into the place, whose path is returned. */
static const char *copy_folder(const char *folder) {
    test_copy_model(folder, test_folder);
    return test_folder;
}

static void set_config(const char *key, const char *value) { test_set_json(test_folder, "config.json", key, value); }

/* ---- the same bits ------------------------------------------------------------------------------------------------
 */

/* A file, its folder, and what of the config the file cannot say, as llama.cpp has a constant for it or nothing. */
static const struct model {
    const char *file, *folder, *key, *value;
} models[] = {
    {"jina-bert", "jina-bert", NULL, NULL},
    {"qwen3", "qwen3", NULL, NULL},
    {"qwen2", "qwen2", "use_sliding_window", "false"},
    {"llama", "mistral", NULL, NULL},
    {"llama3", "mistral", "rope_scaling",
     "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, "
     "\"original_max_position_embeddings\": 8192}"},
    {"gemma", "gemma", NULL, NULL},
    {"gemma2", "gemma2", "query_pre_attn_scalar", "6"},
    {"gemma3", "gemma3", "query_pre_attn_scalar", "6"},
};
enum { MODELS = sizeof models / sizeof models[0] };

static const char *folder_of(const struct model *model) {
    char path[128];
    snprintf(path, sizeof path, "models/%s", model->folder);
    copy_folder(path);
    if (strcmp(model->folder, "mistral") == 0) set_config("sliding_window", "null");
    if (model->key) set_config(model->key, model->value);
    return test_folder;
}

static void a_file_has_the_bits_of_its_folder(void **state) {
    for (size_t i = 0; i < MODELS; i++) {
        test_same_models(file_of(models[i].file), folder_of(&models[i]), models[i].folder);
        test_folder_remove(state);
        test_folder_make(state);
    }
}

/* Neither names a pooling, so both have the mean of all tokens. */
static void embeddings_have_the_bits_of_the_folder(void **state) {
    for (size_t i = 0; i < MODELS; i++) {
        test_same_encoders(file_of(models[i].file), folder_of(&models[i]));
        test_folder_remove(state);
        test_folder_make(state);
    }
}

static void convert(const char *from, const char *to) {
    const ce_convert_options options = {.size = sizeof options, .threads = 1};
    ce_error error = {0};
    expect_ok(ce_convert(from, to, &options, NULL, &error), &error);
}

/* Rows and gains are a folder's again. */
static void a_file_becomes_a_folder(void **state) {
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        const char *to = test_path(test_folder, models[i].file);
        convert(file_of(models[i].file), to);
        test_same_models(file_of(models[i].file), to, models[i].folder);
    }
}

/* ---- answers ------------------------------------------------------------------------------------------------------
 */

/* The folder of the model that answers, with the template that a file has. */
static const char *answering_folder(void) {
    cei_gguf file;
    cei_gguf_text text = {NULL, 0};
    ce_error error = {0};
    copy_folder("chat/model");
    expect_ok(cei_gguf_open(file_of("causal"), &file, &error), &error);
    expect_ok(cei_gguf_string(&file, "tokenizer.chat_template", &text, &error), &error);
    test_write_file(test_folder, "chat_template.jinja", text.data, text.size);
    cei_gguf_close(&file);
    return test_folder;
}

static void scores_of(const char *path, float *scores, size_t count) {
    static const char *const texts[][2] = {
        {"what?", "that"}, {"", "a document"}, {"yes", "no"}, {"a \"b\" \\ {query}", "{{ x }} {document}"}};
    ce_pair pairs[4];
    ce_error error = {0};
    ce_model *model = test_load(path, 0);
    ce_model_info info = {.size = sizeof info};
    expect_ok(ce_model_describe(model, &info, &error), &error);
    assert_true(info.chat_template && info.num_labels == 1);
    for (size_t i = 0; i < count; i++) pairs[i] = (ce_pair){ce_text_of(texts[i][0]), ce_text_of(texts[i][1])};
    expect_ok(ce_predict(model, pairs, count, NULL, scores, &error), &error);
    ce_model_free(model);
}

/* One file has all of the model and a template of messages, the other the rows of two words and a text with places. */
static void answers_have_the_bits_of_the_folder(void **state) {
    (void)state;
    enum { PAIRS = 4 };
    static const char *const files[] = {"causal", "rerank"};
    float want[PAIRS], got[PAIRS];
    scores_of(answering_folder(), want, PAIRS);
    assert_true(want[0] != want[1]);
    for (size_t i = 0; i < 2; i++) {
        scores_of(file_of(files[i]), got, PAIRS);
        assert_memory_equal(got, want, sizeof want);
    }
}

static void an_answering_file_becomes_a_folder(void **state) {
    (void)state;
    const ce_convert_options options = {.size = sizeof options, .threads = 1, .kind = CE_KIND_CROSS_ENCODER};
    float want[2], got[2];
    ce_error error = {0};
    expect_ok(ce_convert(file_of("causal"), test_path(test_folder, "new"), &options, NULL, &error), &error);
    scores_of(file_of("causal"), want, 2);
    scores_of(test_path(test_folder, "new"), got, 2);
    assert_memory_equal(got, want, sizeof want);
    expect_status(ce_convert(file_of("rerank"), test_path(test_folder, "no"), &options, NULL, &error),
                  CE_ERR_UNSUPPORTED, &error, "the logits of \"yes\" and \"no\" alone");
}

static void kinds_are_told_apart(void **state) {
    (void)state;
    static const struct {
        const char *file;
        ce_kind kind;
    } kinds[] = {{"rerank", CE_KIND_CROSS_ENCODER}, {"qwen3", CE_KIND_CROSS_ENCODER}, {"causal", CE_KIND_BI_ENCODER}};
    for (size_t i = 0; i < 3; i++) {
        ce_kind kind = CE_KIND_DEFAULT;
        ce_error error = {0};
        expect_ok(ce_kind_find(file_of(kinds[i].file), &kind, &error), &error);
        assert_int_equal(kind, kinds[i].kind);
    }
}

/* ---- what is refused ----------------------------------------------------------------------------------------------
 */

/* The file with one occurrence of a text in it changed to another of the same length. */
static void expect_refused(const char *name, const char *from, const char *to, ce_status status, const char *part) {
    size_t size;
    char *data = test_read_file(file_of(name), &size);
    test_overwrite(data, size, from, to);
    test_write_file(test_folder, "changed.gguf", data, size);
    free(data);
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1};
    ce_model *model = NULL;
    ce_error error = {0};
    expect_status(ce_model_load(test_path(test_folder, "changed.gguf"), &options, &model, &error), status, &error,
                  part);
}

static void what_is_not_known_is_named(void **state) {
    (void)state;
    expect_refused("llama", "blk.1.ffn_up.weight", "blk.1.ffn_op.weight", CE_ERR_UNSUPPORTED,
                   "the tensor \"blk.1.ffn_op.weight\" is not known of llama");
    expect_refused("jina-bert", "blk.0.attn_q.bias", "blk.0.attn_z.bias", CE_ERR_UNSUPPORTED, "\"blk.0.attn_z.bias\"");
    expect_refused("gemma3", "gemma3.attention.key_length", "gemma3.attention.kay_length", CE_ERR_UNSUPPORTED,
                   "supported is one number");
    expect_refused("gemma3", "gemma3.attention.sliding_window", "gemma3.attention.slided_window", CE_ERR_FORMAT,
                   "\"gemma3.attention.sliding_window\" is missing");
}

/* ---- memory -------------------------------------------------------------------------------------------------------
 */

/* Divisors that are Llama 3.1's but for the last. */
static void unknown_divisors_are_refused(void **state) {
    (void)state;
    static const float theirs[] = {1, 1, 1, 1, 8}, others[] = {1, 1, 1, 1, 9};
    size_t size, at = 0;
    char *data = test_read_file(file_of("llama3"), &size);
    while (at + sizeof theirs <= size && memcmp(data + at, theirs, sizeof theirs) != 0) at++;
    assert_true(at + sizeof theirs <= size);
    memcpy(data + at, others, sizeof others);
    test_write_file(test_folder, "changed.gguf", data, size);
    free(data);
    cei_gguf_model model;
    ce_error error = {0};
    expect_status(cei_gguf_model_open(test_path(test_folder, "changed.gguf"), false, &model, &error),
                  CE_ERR_UNSUPPORTED, &error, "\"rope_freqs.weight\" in a way that is not Llama 3.1's");
}

static void too_many_places_are_refused(void **state) {
    (void)state;
    char text[20 * 7 + 1] = "";
    cei_gguf file = {.path = NULL};
    cei_gguf_out keys = {.count = 0};
    cei_json_out out = {0};
    cei_new_file made;
    bool is_flat;
    ce_error error = {0};
    for (size_t i = 0; i < 20; i++) strcat(text, "{query}");
    char path[1024];
    snprintf(path, sizeof path, "%s", test_path(test_folder, "places.gguf"));
    cei_gguf_put_string(&keys, CEI_GGUF_RERANK_TEMPLATE, (cei_gguf_text){text, strlen(text)});
    expect_ok(cei_gguf_create(path, &keys, NULL, 0, &made, &error), &error);
    expect_ok(cei_new_file_finish(&made, &error), &error);
    expect_ok(cei_gguf_open(path, &file, &error), &error);
    expect_status(cei_gguf_write_chat(&file, &out, &is_flat, &error), CE_ERR_UNSUPPORTED, &error,
                  "more than 16 places");
    cei_gguf_close(&file);
    cei_free(out.data);
    cei_free(keys.pairs.data);
}

/* A file without tensors is enough for what keys say. */
static void scaled_positions_are_refused(void **state) {
    (void)state;
    cei_gguf_out keys = {.count = 0};
    cei_new_file file;
    cei_gguf_model model;
    ce_error error = {0};
    char path[1024];
    snprintf(path, sizeof path, "%s", test_path(test_folder, "scaled.gguf"));
    cei_gguf_put_string(&keys, "general.architecture", (cei_gguf_text){"llama", 5});
    cei_gguf_put_uint32(&keys, "llama.context_length", 64);
    cei_gguf_put_uint32(&keys, "llama.embedding_length", 8);
    cei_gguf_put_string(&keys, "llama.rope.scaling.type", (cei_gguf_text){"yarn", 4});
    expect_ok(cei_gguf_create(path, &keys, NULL, 0, &file, &error), &error);
    expect_ok(cei_new_file_finish(&file, &error), &error);
    expect_status(cei_gguf_model_open(path, false, &model, &error), CE_ERR_UNSUPPORTED, &error,
                  "\"llama.rope.scaling.type\" is \"yarn\"");
    cei_free(keys.pairs.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        folder_test(a_file_has_the_bits_of_its_folder),
        folder_test(embeddings_have_the_bits_of_the_folder),
        folder_test(a_file_becomes_a_folder),
        folder_test(answers_have_the_bits_of_the_folder),
        folder_test(an_answering_file_becomes_a_folder),
        folder_test(kinds_are_told_apart),
        folder_test(what_is_not_known_is_named),
        folder_test(scaled_positions_are_refused),
        folder_test(unknown_divisors_are_refused),
        folder_test(too_many_places_are_refused),
    };
    return cmocka_run_group_tests_name("gguf_decoder", tests, NULL, NULL);
}
