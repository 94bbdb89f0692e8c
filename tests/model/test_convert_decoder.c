/* test_convert_decoder.c - decoders written as GGUF files, against the folders that they were made of and against the
 * files that another writer makes of these (tools/golden/gguf_golden.py): bits of scores and embeddings, tensors,
 * numbers of keys; and what is refused, by name. */
#include "base/memory.h"
#include "formats/gguf.h"
#include "support/failing_malloc.h"
#include "support/model_folder.h"
#include "support/same_models.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *at(const char *name) { return test_path(test_folder, name); }

static const char *golden(const char *kind, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "golden/%s/%s", kind, name);
    return test_data(path);
}

/* A folder, and what of its config a file cannot say: then this is in its place. */
static const struct model {
    const char *file, *folder, *key, *value;
} models[] = {
    {"qwen3.gguf", "qwen3", NULL, NULL},
    {"qwen2.gguf", "qwen2", "use_sliding_window", "false"},
    {"llama.gguf", "mistral", "sliding_window", "null"},
    {"llama3.gguf", "llama", "rope_scaling",
     "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, "
     "\"original_max_position_embeddings\": 8192}"},
    {"gemma.gguf", "gemma", NULL, NULL},
    {"gemma2.gguf", "gemma2", "query_pre_attn_scalar", "6"},
    {"gemma3.gguf", "gemma3", "query_pre_attn_scalar", "6"},
    {NULL, "qwen3-ends", NULL, NULL}, /* biases of queries, and padding that is not the tokenizer's */
};
enum { MODELS = sizeof models / sizeof models[0], SCALED = 3 };

static void set_config(const char *key, const char *value) { test_set_json(at("model"), "config.json", key, value); }

/* The folder of a model, as a file can say it. That of Mistral stands in where Llama's weights have biases. */
static void make_folder(const struct model *model) {
    char path[128];
    const bool is_scaled = model == &models[SCALED];
    snprintf(path, sizeof path, "models/%s", is_scaled ? "mistral" : model->folder);
    test_make_inner(test_folder, "model");
    test_copy_model(path, at("model"));
    if (model->key) set_config(model->key, model->value);
    if (!is_scaled) return;
    set_config("sliding_window", "null");
    set_config("model_type", "\"llama\"");
    set_config("architectures", "[\"LlamaForSequenceClassification\"]");
}

static ce_status convert(const char *from, ce_gguf_type type, ce_kind kind, ce_error *error) {
    const ce_convert_options options = {
        .size = sizeof options, .gguf_type = type, .kind = kind, .overwrite = true, .threads = 1};
    return ce_convert(from, at("new.gguf"), &options, NULL, error);
}

static void write_file(const char *from, ce_gguf_type type, ce_kind kind) {
    ce_error error = {0};
    expect_ok(convert(from, type, kind, &error), &error);
}

static void start_again(void **state) {
    test_folder_remove(state);
    test_folder_make(state);
}

/* ---- the same bits ------------------------------------------------------------------------------------------------
 */

static void a_classifier_has_the_bits_of_its_folder(void **state) {
    for (size_t i = 0; i < MODELS; i++) {
        make_folder(&models[i]);
        write_file(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT);
        test_same_models(at("model"), at("new.gguf"), i == SCALED ? "mistral" : models[i].folder);
        start_again(state);
    }
}

static void a_bi_encoder_has_the_bits_of_its_folder(void **state) {
    for (size_t i = 0; i < MODELS; i++) {
        make_folder(&models[i]);
        write_file(at("model"), CE_GGUF_F32, CE_KIND_BI_ENCODER);
        test_same_encoders(at("model"), at("new.gguf"));
        start_again(state);
    }
}

/* With modules: the last token, prompts, Normalize. */
static void modules_are_kept(void **state) {
    (void)state;
    write_file(golden("encoders", "qwen3"), CE_GGUF_F32, CE_KIND_DEFAULT);
    test_same_encoders(golden("encoders", "qwen3"), at("new.gguf"));
}

/* Written again, the new file is the same to the byte. */
static void comes_out_again(void) {
    size_t sizes[2];
    char *one = test_read_file(at("new.gguf"), &sizes[0]);
    test_write_file(test_folder, "one.gguf", one, sizes[0]);
    write_file(at("one.gguf"), CE_GGUF_F32, CE_KIND_DEFAULT);
    char *two = test_read_file(at("new.gguf"), &sizes[1]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(one, two, sizes[0]);
    free(one);
    free(two);
}

/* Rows in pairs and gains that are one more come and go. */
static void a_file_becomes_the_same_file(void **state) {
    static const char *const names[] = {"llama.gguf", "llama3.gguf", "gemma3.gguf", "qwen2.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        write_file(golden("gguf", names[i]), CE_GGUF_F32, CE_KIND_DEFAULT);
        test_same_models(golden("gguf", names[i]), at("new.gguf"), i == 3 ? "qwen2" : "mistral");
        comes_out_again();
        start_again(state);
    }
}

/* ---- the other writer ---------------------------------------------------------------------------------------------
 */

/* Of their matrices, which have the type of the folder's. */
static ce_gguf_type type_of(const cei_gguf *file) {
    const char *dtype = cei_gguf_tensor(file, "blk.1.attn_q.weight")->dtype;
    for (int type = CE_GGUF_F32; type <= CE_GGUF_BF16; type++)
        if (strcmp(dtype, ce_gguf_type_name((ce_gguf_type)type)) == 0) return (ce_gguf_type)type;
    fail_msg("%s: another type, %s", file->path, dtype);
    return CE_GGUF_DEFAULT;
}

/* Each tensor of theirs, by its name and its bytes; but for divisors, which they compute in float32, and the
 * classifier, which is F32 here alone. */
static void same_tensors(const cei_gguf *theirs, const cei_gguf *ours) {
    assert_int_equal(theirs->tensor_count, ours->tensor_count);
    for (size_t i = 0; i < theirs->tensor_count; i++) {
        const cei_tensor *a = &theirs->tensors[i], *b = cei_gguf_tensor(ours, a->name);
        if (!b) fail_msg("%s has no %s", ours->path, a->name);
        assert_int_equal(a->rank, b->rank);
        assert_memory_equal(a->shape, b->shape, (size_t)a->rank * sizeof a->shape[0]);
        if (strcmp(a->name, "rope_freqs.weight") == 0 || strcmp(a->name, "cls.output.weight") == 0) continue;
        assert_string_equal(a->dtype, b->dtype);
        if (memcmp(a->data, b->data, (size_t)a->bytes) != 0) fail_msg("%s: %s differs", ours->path, a->name);
    }
}

/* Numbers of the architecture's keys. What ours has beside theirs llama.cpp takes for granted. */
static void same_numbers(const cei_gguf *theirs, const cei_gguf *ours, const char *architecture) {
    size_t count = 0;
    for (size_t i = 0; i < theirs->pair_count; i++) {
        char key[128];
        const cei_gguf_pair *pair = &theirs->pairs[i];
        snprintf(key, sizeof key, "%.*s", (int)pair->key.size, pair->key.data);
        if (strncmp(key, architecture, strlen(architecture)) != 0 || pair->value.is_array) continue;
        const cei_gguf_value *value = cei_gguf_find(ours, key);
        if (!value) fail_msg("%s has no %s", ours->path, key);
        if (cei_gguf_number_at(value, 0) != cei_gguf_number_at(&pair->value, 0)) fail_msg("%s differs", key);
        count++;
    }
    assert_true(count >= 8);
}

static void tensors_and_numbers_are_those_of_another_writer(void **state) {
    for (size_t i = 0; i < MODELS; i++) {
        if (!models[i].file) continue;
        cei_gguf theirs, ours;
        cei_gguf_text architecture = {NULL, 0};
        ce_error error = {0};
        char prefix[32];
        make_folder(&models[i]);
        expect_ok(cei_gguf_open(golden("gguf", models[i].file), &theirs, &error), &error);
        write_file(at("model"), type_of(&theirs), CE_KIND_DEFAULT);
        expect_ok(cei_gguf_open(at("new.gguf"), &ours, &error), &error);
        expect_ok(cei_gguf_string(&theirs, "general.architecture", &architecture, &error), &error);
        snprintf(prefix, sizeof prefix, "%.*s.", (int)architecture.size, architecture.data);
        same_tensors(&theirs, &ours);
        same_numbers(&theirs, &ours, prefix);
        cei_gguf_close(&theirs);
        cei_gguf_close(&ours);
        start_again(state);
    }
}

static void matrices_have_the_type_that_is_asked_for(void **state) {
    (void)state;
    cei_gguf file;
    ce_error error = {0};
    make_folder(&models[5]);
    write_file(at("model"), CE_GGUF_F16, CE_KIND_DEFAULT);
    expect_ok(cei_gguf_open(at("new.gguf"), &file, &error), &error);
    assert_string_equal(cei_gguf_tensor(&file, "blk.0.attn_q.weight")->dtype, "F16");
    assert_string_equal(cei_gguf_tensor(&file, "token_embd.weight")->dtype, "F16");
    assert_string_equal(cei_gguf_tensor(&file, "blk.0.attn_norm.weight")->dtype, "F32");
    assert_string_equal(cei_gguf_tensor(&file, "cls.output.weight")->dtype, "F32");
    cei_gguf_close(&file);
}

/* ---- answers ------------------------------------------------------------------------------------------------------
 */

enum { PAIRS = 4 };

/* Scores of pairs, whose texts are like parts of a template, behind a prompt. */
static void scores_of(const char *path, const char *prompt, float scores[PAIRS]) {
    static const char *const texts[PAIRS][2] = {
        {"what?", "that"}, {"", "a document"}, {"yes", "no"}, {"a \"b\" \\ {query}", "{{ x }} {document}"}};
    const ce_text before = ce_text_of(prompt);
    const ce_score_options options = {.size = sizeof options, .prompt = &before};
    ce_pair pairs[PAIRS];
    ce_error error = {0};
    ce_model *model = test_load(path, 0);
    for (size_t i = 0; i < PAIRS; i++) pairs[i] = (ce_pair){ce_text_of(texts[i][0]), ce_text_of(texts[i][1])};
    expect_ok(ce_predict(model, pairs, PAIRS, &options, scores, &error), &error);
    ce_model_free(model);
}

static void same_scores(const char *one, const char *other) {
    static const char *const prompts[] = {"", "the document and no query"};
    for (size_t i = 0; i < 2; i++) {
        float want[PAIRS], got[PAIRS];
        scores_of(one, prompts[i], want);
        scores_of(other, prompts[i], got);
        assert_true(want[0] != want[1]);
        assert_memory_equal(got, want, sizeof want);
    }
}

static void make_answering(const char *template) {
    test_make_inner(test_folder, "model");
    test_copy_model("chat/model", at("model"));
    test_write_file(at("model"), "chat_template.jinja", template, strlen(template));
}

/* The model that answers as Sentence Transformers saves it, with these words. */
static void make_saved(const char *template, const char *true_id, const char *false_id) {
    static const char modules[] =
        "[{\"path\": \"\", \"type\": \"sentence_transformers.base.modules.transformer.Transformer\"}, {\"path\": "
        "\"1_Words\", \"type\": \"sentence_transformers.cross_encoder.modules.logit_score.LogitScore\"}]";
    static const char settings[] =
        "{\"transformer_task\": \"text-generation\", \"module_output_name\": \"causal_logits\", \"modality_config\": "
        "{\"text\": {\"method\": \"forward\", \"method_output_name\": \"logits\"}, \"message\": {\"method\": "
        "\"forward\", "
        "\"method_output_name\": \"logits\", \"format\": \"flat\"}}}";
    make_answering(template);
    test_write_file(at("model"), "modules.json", modules, strlen(modules));
    test_write_file(at("model"), "sentence_bert_config.json", settings, strlen(settings));
    test_set_json(at("model"), "config_sentence_transformers.json", "model_type", "\"CrossEncoder\"");
    test_make_inner(at("model"), "1_Words");
    const char *folder = test_path(at("model"), "1_Words");
    test_set_json(folder, "config.json", "module_input_name", "\"causal_logits\"");
    test_set_json(folder, "config.json", "true_token_id", true_id);
    test_set_json(folder, "config.json", "false_token_id", false_id);
}

static bool has_tensor(const char *name) {
    cei_gguf file;
    ce_error error = {0};
    expect_ok(cei_gguf_open(at("new.gguf"), &file, &error), &error);
    const bool found = cei_gguf_tensor(&file, name) != NULL;
    cei_gguf_close(&file);
    return found;
}

/* One that has a place for a prompt too. */
static const char with_prompt[] =
    "{%- for message in messages %}{{ '<' + message.role + '> ' + message.content + '\n' }}{%- endfor %}";

static void a_causal_model_has_the_bits_of_its_folder(void **state) {
    (void)state;
    make_answering(with_prompt);
    write_file(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT);
    assert_false(has_tensor("cls.output.weight"));
    same_scores(at("model"), at("new.gguf"));
    write_file(golden("gguf", "causal.gguf"), CE_GGUF_F32, CE_KIND_CROSS_ENCODER);
    same_scores(golden("gguf", "causal.gguf"), at("new.gguf"));
}

/* The text with places in the file, to be freed by cei_free; NULL: there is none. */
static char *rerank_text(void) {
    cei_gguf file;
    cei_gguf_text text = {NULL, 0};
    ce_error error = {0};
    expect_ok(cei_gguf_open(at("new.gguf"), &file, &error), &error);
    expect_ok(cei_gguf_string(&file, "tokenizer.chat_template.rerank", &text, &error), &error);
    char *copy = text.data ? cei_copy_string(text.data, text.size) : NULL;
    cei_gguf_close(&file);
    return copy;
}

#define EACH "{%- for message in messages %}"
#define FRAME                                                                                                          \
    "{%- set end = '<|im_end|>' -%}\n<|im_start|>Is it?\n" EACH "{% if message.role == 'query' %}Q: "                  \
    "{{ message.content }}\n{% elif message['role'] != 'system' and not loop.first %}{{ 'D: ' + message['content'] + " \
    "end }}{% endif %}{% endfor %}\n{% for i in [1, 2] if i > 1 %}{{ i ~ '.' }}{% else %}never{% endfor %}"

/* Rows of two words and a text say it all; whatever the words are. */
static void two_words_have_the_bits_of_the_folder(void **state) {
    (void)state;
    static const char *const words[][2] = {{"257", "258"}, {"262", "269"}};
    for (size_t i = 0; i < 2; i++) {
        make_saved(FRAME, words[i][0], words[i][1]);
        write_file(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT);
        assert_true(has_tensor("cls.output.weight"));
        char *text = rerank_text();
        assert_string_equal(text, "<|im_start|>Is it?Q: {query}\nD: {document}<|im_end|>2.");
        cei_free(text);
        same_scores(at("model"), at("new.gguf"));
    }
}

/* Such a file, and one of another writer: again the same, and the same to the byte. */
static void two_words_come_of_a_file(void **state) {
    (void)state;
    write_file(golden("gguf", "rerank.gguf"), CE_GGUF_F32, CE_KIND_DEFAULT);
    same_scores(golden("gguf", "rerank.gguf"), at("new.gguf"));
    comes_out_again();
}

/* What a template does with contents, or says beside them, that a text with places does not. */
static void a_template_that_is_no_text_with_places_is_kept_whole(void **state) {
    (void)state;
    static const char *const templates[] = {
        EACH "{{ message.role + (message.content | trim) }}{% endfor %}",
        EACH "{% if message.role != 'system' %}{{ message.content.upper() }}{% endif %}{% endfor %}",
        EACH
        "{% if message.role != 'system' %}{{ message.content }}{{ message.content | length }}{% endif %}{% endfor %}",
        EACH "{% if message.role != 'system' and message.content != 'x' %}{{ message.content }}{% endif %}{% endfor %}",
        EACH "{% if message.role != 'system' %}{{ message.content }}{% endif %}{% endfor %}{query}",
        EACH "{% if message.role != 'system' %}{% set said = message.content %}{{ said }}{% endif %}{% endfor %}",
        EACH "{% if message.role != 'system' %}{{ message.content }}{% if loop.previtem %}{{ loop.previtem.content }}"
             "{% endif %}{% endif %}{% endfor %}",
        "{{ (messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first) ~ (messages | "
        "selectattr('role', 'eq', 'document') | map(attribute='content') | first) }}",
        "{% macro say(m) %}{{ m.content | trim }}{% endmacro %}" EACH
        "{% if message.role != 'system' %}{{ say(message) }}{% endif %}{% endfor %}",
    };
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        make_saved(templates[i], "257", "258");
        write_file(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT);
        if (has_tensor("cls.output.weight")) fail_msg("template %zu is taken for a text with places", i);
        same_scores(at("model"), at("new.gguf"));
    }
}

/* A classifier may have such a template too. */
static void a_classifier_keeps_its_template(void **state) {
    (void)state;
    make_folder(&models[1]);
    test_write_file(at("model"), "chat_template.jinja", with_prompt, strlen(with_prompt));
    write_file(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT);
    same_scores(at("model"), at("new.gguf"));
}

static void words_are_kept_or_named(void **state) {
    (void)state;
    ce_error error = {0};
    make_saved(with_prompt, "257", "258"); /* those that are looked for in a file */
    write_file(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT);
    same_scores(at("model"), at("new.gguf"));
    make_saved(with_prompt, "258", "257");
    expect_status(convert(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT, &error), CE_ERR_UNSUPPORTED, &error,
                  "it differs in the words whose logits are read");
    make_saved(with_prompt, "257", "null");
    expect_status(convert(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT, &error), CE_ERR_UNSUPPORTED, &error,
                  "cannot become a GGUF file");
}

/* The settings of a template, which has no place of its own in a file, are set in it. */
static void settings_of_a_template_are_set_in_it(void **state) {
    (void)state;
    static const char asking[] =
        EACH "{{ '<' + message.role + '> ' + message.content }}{% endfor %}{{ tail }}"
             "{% if think %}<think>{% endif %}{% if count > 2 and nothing is none %}yes{% endif %}";
    static const char more[] = "{\"chat_template\": {\"think\": true, \"tail\": \"\\\\ \\\"no\\\"\", \"count\": 3, "
                               "\"nothing\": null}}";
    ce_error error = {0};
    make_saved(asking, "257", "258");
    test_set_json(at("model"), "sentence_bert_config.json", "processing_kwargs", more);
    write_file(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT);
    assert_false(has_tensor("cls.output.weight"));
    same_scores(at("model"), at("new.gguf"));
    static const char *const others[] = {"{\"chat_template\": {\"think\": [1]}}", "{\"chat_template\": {\"a b\": 1}}",
                                         "{\"chat_template\": {\"restore_suffix\": false}}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        make_saved(with_prompt, "257", "258");
        test_set_json(at("model"), "sentence_bert_config.json", "processing_kwargs", others[i]);
        expect_status(convert(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT, &error), CE_ERR_UNSUPPORTED, &error,
                      "cannot become a GGUF file");
    }
    make_saved("\n{%- for message in messages %}{{ message.role + message.content }}{% endfor %}", "257", "258");
    test_set_json(at("model"), "sentence_bert_config.json", "processing_kwargs",
                  "{\"chat_template\": {\"think\": true}}");
    expect_status(convert(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT, &error), CE_ERR_UNSUPPORTED, &error,
                  "cannot become a GGUF file");
}

/* By which a model asks, where its template has a place for one; and else. */
static void prompts_are_kept(void **state) {
    (void)state;
    static const char *const templates[] = {with_prompt, FRAME};
    const ce_convert_options options = {.size = sizeof options, .kind = CE_KIND_CROSS_ENCODER, .threads = 1};
    float want[2], got[2];
    for (size_t i = 0; i < 2; i++) {
        const ce_pair pairs[] = {{ce_text_of("what?"), ce_text_of("that")}, {ce_text_of("yes"), ce_text_of("no")}};
        const char *name, *text;
        ce_error error = {0};
        make_saved(templates[i], "257", "258");
        test_set_json(at("model"), "config_sentence_transformers.json", "prompts",
                      "{\"judge\": \"the document and no query\", \"none\": \"\"}");
        test_set_json(at("model"), "config_sentence_transformers.json", "default_prompt_name", "\"judge\"");
        write_file(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT);
        assert_true(has_tensor("cls.output.weight") == (i == 1));
        ce_model *folder = test_load(at("model"), 0), *file = test_load(at("new.gguf"), 0);
        expect_ok(ce_predict(folder, pairs, 2, NULL, want, &error), &error);
        expect_ok(ce_predict(file, pairs, 2, NULL, got, &error), &error);
        assert_memory_equal(got, want, sizeof want);
        assert_true(ce_model_prompt_at(file, 0, &name, &text) && strcmp(name, "judge") == 0);
        assert_string_equal(text, "the document and no query");
        ce_model_free(folder);
        ce_model_free(file);
        expect_status(ce_convert(at("new.gguf"), at("folder"), &options, NULL, &error), CE_ERR_UNSUPPORTED, &error,
                      i == 1 ? "of \"yes\" and \"no\" alone" : "has prompts (crossenc.config_sentence_transformers)");
    }
}

/* A template that looks as if contents were lists, though the settings say that they are not. */
static void a_template_that_is_read_otherwise_is_named(void **state) {
    (void)state;
    static const char misleading[] =
        "{# .type #}{%- for message in messages %}{{ message.role + message.content }}{%- endfor %}";
    ce_error error = {0};
    make_saved(misleading, "257", "258");
    expect_status(convert(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT, &error), CE_ERR_UNSUPPORTED, &error,
                  "cannot become a GGUF file");
}

/* ---- what is refused ----------------------------------------------------------------------------------------------
 */

static void what_a_file_cannot_say_is_named(void **state) {
    static const struct {
        size_t model;
        const char *key, *value, *part;
    } cases[] = {
        {1, "use_sliding_window", "true", "it differs in its rotary positions or windows"},
        {2, "sliding_window", "7", "it differs in its rotary positions or windows"},
        {SCALED, "rope_scaling",
         "{\"rope_type\": \"llama3\", \"factor\": 16, \"low_freq_factor\": 1, \"high_freq_factor\": 4, "
         "\"original_max_position_embeddings\": 8192}",
         "refused when it is read: its positions are scaled by \"rope_freqs.weight\" in a way"},
        {SCALED, "rope_scaling", "{\"rope_type\": \"linear\", \"factor\": 2}", "it differs in its rotary positions"},
        {0, "hidden_act", "\"gelu\"", "it differs in the function of its feed-forward"},
        {4, "hidden_act", "\"silu\"", "it differs in the function of its feed-forward"},
        {5, "query_pre_attn_scalar", "4", "it differs in what scores are scaled by"},
        {5, "attn_logit_softcapping", "null", "it differs in what scores are scaled by"},
        {6, "use_bidirectional_attention", "true", "\"gemma3.attention.causal\" is false"},
        {6, "layer_types", "[\"full_attention\", \"sliding_attention\", \"full_attention\"]",
         "it differs in which layers have a window"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ce_error error = {0};
        make_folder(&models[cases[i].model]);
        set_config(cases[i].key, cases[i].value);
        expect_status(convert(at("model"), CE_GGUF_F32, CE_KIND_DEFAULT, &error), CE_ERR_UNSUPPORTED, &error,
                      cases[i].part);
        start_again(state);
    }
    ce_error error = {0};
    expect_status(convert(golden("models", "llama"), CE_GGUF_F32, CE_KIND_DEFAULT, &error), CE_ERR_UNSUPPORTED, &error,
                  "llama cannot become a GGUF file, which is refused when it is read: biases of queries");
}

/* ---- memory -------------------------------------------------------------------------------------------------------
 */

static ce_status convert_once(void *user, ce_error *error) {
    return convert(user, CE_GGUF_DEFAULT, CE_KIND_DEFAULT, error);
}

static void allocations_may_fail(void **state) {
    (void)state;
    failing_malloc_or_skip();
    static const char *const names[] = {"llama3.gguf", "rerank.gguf"};
    for (size_t i = 0; i < 2; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s", golden("gguf", names[i]));
        assert_true(test_some_allocations(convert_once, path, 150) > 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        folder_test(a_classifier_has_the_bits_of_its_folder),
        folder_test(a_bi_encoder_has_the_bits_of_its_folder),
        folder_test(modules_are_kept),
        folder_test(a_file_becomes_the_same_file),
        folder_test(tensors_and_numbers_are_those_of_another_writer),
        folder_test(matrices_have_the_type_that_is_asked_for),
        folder_test(a_causal_model_has_the_bits_of_its_folder),
        folder_test(two_words_have_the_bits_of_the_folder),
        folder_test(two_words_come_of_a_file),
        folder_test(a_template_that_is_no_text_with_places_is_kept_whole),
        folder_test(a_classifier_keeps_its_template),
        folder_test(words_are_kept_or_named),
        folder_test(settings_of_a_template_are_set_in_it),
        folder_test(prompts_are_kept),
        folder_test(a_template_that_is_read_otherwise_is_named),
        folder_test(what_a_file_cannot_say_is_named),
        folder_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("convert_decoder", tests, NULL, NULL);
}
