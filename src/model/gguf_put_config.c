/* gguf_put_config.c - from a model to the keys of a GGUF file. Must not look at the tokenizer, nor at weights. */
#include "model/gguf_put.h"

#include "base/memory.h"
#include "model/transformer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef cei_gguf_writer writer;

/* ---- pairs --------------------------------------------------------------------------------------------------- */

const char *cei_gguf_key_of(const writer *work, const char *name, char key[CEI_GGUF_KEY_SIZE]) {
    snprintf(key, CEI_GGUF_KEY_SIZE, "%s.%s", work->architecture, name);
    return key;
}

void cei_gguf_put_size(const writer *work, const char *name, size_t value) {
    char key[CEI_GGUF_KEY_SIZE];
    cei_gguf_put_uint32(work->out, cei_gguf_key_of(work, name, key), (uint32_t)value);
}

void cei_gguf_put_double(const writer *work, const char *name, double value) {
    char key[CEI_GGUF_KEY_SIZE];
    cei_gguf_put_float32(work->out, cei_gguf_key_of(work, name, key), (float)value);
}

static cei_gguf_text text_of(const char *string) { return (cei_gguf_text){string, strlen(string)}; }

/* What a file is, before all else. Types by llama.cpp's numbers of kinds of files. */
static void put_general(const writer *work, cei_dtype type) {
    static const uint32_t file_types[CEI_DTYPE_COUNT] = {
        [CEI_DTYPE_F32] = 0, [CEI_DTYPE_F16] = 1, [CEI_DTYPE_Q8_0] = 7, [CEI_DTYPE_BF16] = 32};
    cei_gguf_put_string(work->out, "general.architecture", text_of(work->architecture));
    cei_gguf_put_string(work->out, "general.type", text_of("model"));
    cei_gguf_put_uint32(work->out, "general.file_type", file_types[type]);
    cei_gguf_put_uint32(work->out, "general.quantization_version", 2);
}

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

static void put_sizes(const writer *work) {
    const cei_config *config = &work->model->config;
    cei_gguf_put_size(work, "context_length", work->model->blueprint.max_positions);
    cei_gguf_put_size(work, "embedding_length", config->hidden_size);
    cei_gguf_put_size(work, "feed_forward_length", config->intermediate_size);
    cei_gguf_put_size(work, "block_count", config->layers);
    cei_gguf_put_size(work, "attention.head_count", config->heads);
}

/* The base of rotary positions: what the config says, else what the architecture has, since to llama.cpp an absent one
 * is 10000, of whatever architecture. 0: nothing turns. */
static void put_base(const writer *work, const char *name, double base, double usual) {
    if (usual > 0) cei_gguf_put_double(work, name, base > 0 ? base : usual);
}

static const cei_transformer_form *form_of(const ce_model *model) {
    return model->blueprint.network->architecture->form;
}

/* llama.cpp loads no "bert" that does not say how many types of tokens it has: one, where there are none. */
static void put_types(const writer *work) {
    const size_t types = work->model->blueprint.network->types;
    if (types > 0 || strcmp(work->architecture, "bert") == 0)
        cei_gguf_put_uint32(work->out, "tokenizer.ggml.token_type_count", types > 0 ? (uint32_t)types : 1);
}

/* What ModernBERT has beside. Functions by their names in configs; another one is found when the file is read again. */
static void put_modern(const writer *work) {
    const cei_config *config = &work->model->config;
    char key[CEI_GGUF_KEY_SIZE];
    const char *function = config->hidden_act == CEI_FN_GELU_TANH ? "gelu_pytorch_tanh"
                           : config->hidden_act == CEI_FN_SILU    ? "silu"
                           : config->hidden_act == CEI_FN_RELU    ? "relu"
                                                                  : "gelu";
    put_base(work, "rope.freq_base_swa", config->local_rope_theta, form_of(work->model)->local_theta);
    cei_gguf_put_size(work, "attention.sliding_window", config->local_attention);
    cei_gguf_put_size(work, "attention.sliding_window_pattern", config->global_every);
    cei_gguf_put_string(work->out, cei_gguf_key_of(work, "hidden_activation", key), text_of(function));
    cei_gguf_put_size(work, "classifier.pooling_type", config->classifier_pooling == CEI_POOL_MEAN ? 1 : 2);
}

/* ---- the head ------------------------------------------------------------------------------------------------ */

/* By llama.cpp's numbers; one that it lacks is found when the file is read again. */
static size_t pooling_of(const ce_model *model) {
    enum { MEAN = 1, CLS = 2, LAST = 3, RANK = 4 };
    if (!model->bi_encoder) return RANK;
    const cei_pooling pooling = model->modules.poolings[0];
    return pooling == CEI_POOL_FIRST ? CLS : pooling == CEI_POOL_LAST ? LAST : MEAN;
}

static void put_labels(const writer *work, char *const *labels, size_t count) {
    char key[CEI_GGUF_KEY_SIZE];
    cei_gguf_put_array(work->out, cei_gguf_key_of(work, "classifier.output_labels", key), CEI_GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) cei_gguf_put_text(work->out, text_of(labels[i]));
}

static void put_activation(const writer *work) {
    const cei_config *config = &work->model->config;
    char class[48];
    if (!config->activation_given) return;
    snprintf(class, sizeof class, "torch.nn.%s", cei_activation_class(config->activation));
    cei_gguf_put_string(work->out, CEI_GGUF_ACTIVATION, text_of(class));
}

/* How a re-ranker asks, by a name among the chat templates. Its answers are in the order of the rows of CEI_GGUF_WORDS,
 * and have these names whatever the words are. */
static void put_rerank(const writer *work, cei_gguf_text text) {
    char yes[] = "yes", no[] = "no", *const labels[] = {yes, no};
    put_labels(work, labels, 2);
    cei_gguf_put_array(work->out, "tokenizer.chat_templates", CEI_GGUF_STRING, 1);
    cei_gguf_put_text(work->out, text_of("rerank"));
    cei_gguf_put_string(work->out, CEI_GGUF_RERANK_TEMPLATE, text);
}

/* A classifier, or a causal model whose logits of two words are its score: their rows alone, or all of it, which then
 * is as a chat model's file is. */
static void put_head(const writer *work, const cei_gguf_asking *asking) {
    const ce_model *model = work->model;
    const bool is_whole = model->modules.logits.is_read && !asking->rerank.data;
    if (!is_whole) cei_gguf_put_size(work, "pooling_type", pooling_of(model));
    if (model->bi_encoder) return;
    if (!model->modules.logits.is_read) put_labels(work, model->config.labels, model->config.num_labels);
    if (asking->rerank.data) put_rerank(work, asking->rerank);
    if (asking->chat.data) cei_gguf_put_string(work->out, CEI_GGUF_CHAT_TEMPLATE, asking->chat);
    put_activation(work);
}

/* ---- settings: a bi-encoder's, and a cross-encoder's prompts --------------------------------------------------- */

static void put_prompts(cei_json_out *out, const cei_modules *modules) {
    cei_json_put(out, "{\"prompts\": {");
    for (size_t i = 0; i < modules->prompt_count; i++) {
        const cei_gguf_text name = text_of(modules->prompts[i].name), text = text_of(modules->prompts[i].text);
        if (i) cei_json_put(out, ", ");
        cei_json_put_string(out, name.data, name.size);
        cei_json_put(out, ": ");
        cei_json_put_string(out, text.data, text.size);
    }
    cei_json_put(out, "}");
    if (!modules->default_prompt) return;
    cei_json_put(out, ", \"default_prompt_name\": ");
    cei_json_put_string(out, modules->default_prompt, strlen(modules->default_prompt));
}

static void put_settings(const writer *work) {
    const cei_modules *modules = &work->model->modules;
    if (!modules->prompt_count && !modules->similarity && !modules->truncate_dim) return;
    cei_json_out text = {0};
    put_prompts(&text, modules);
    if (modules->similarity) {
        cei_json_put(&text, ", \"similarity_fn_name\": \"");
        cei_json_put(&text, ce_similarity_name(modules->similarity));
        cei_json_put(&text, "\"");
    }
    if (modules->truncate_dim) {
        cei_json_put(&text, ", \"truncate_dim\": ");
        cei_json_put_number(&text, modules->truncate_dim);
    }
    cei_json_put(&text, "}");
    work->out->pairs.is_short = work->out->pairs.is_short || text.is_short;
    if (!text.is_short) cei_gguf_put_string(work->out, CEI_GGUF_SETTINGS, (cei_gguf_text){text.data, text.size});
    cei_free(text.data);
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

/* What encoders have beside sizes, pooling and labels: norms with means, and tokens that see those behind them. */
static void put_encoder(const writer *work, const cei_gguf_form *form) {
    const cei_config *config = &work->model->config;
    char key[CEI_GGUF_KEY_SIZE];
    cei_gguf_put_double(work, "attention.layer_norm_epsilon", config->layer_norm_eps);
    cei_gguf_put_bool(work->out, cei_gguf_key_of(work, "attention.causal", key), false);
    put_base(work, "rope.freq_base", config->rope_theta, form_of(work->model)->theta);
    if (strcmp(form->model_type, "modernbert") == 0) put_modern(work);
    put_types(work);
}

void cei_gguf_put_config(const ce_model *model, const cei_gguf_form *form, cei_dtype type,
                         const cei_gguf_asking *asking, cei_gguf_out *out) {
    const writer work = {model, form->architecture, out};
    put_general(&work, type);
    put_sizes(&work);
    if (form->is_decoder)
        cei_gguf_put_decoder_keys(&work, form);
    else
        put_encoder(&work, form);
    put_head(&work, asking);
    if (model->blueprint.max_length < model->blueprint.max_positions)
        cei_gguf_put_uint32(out, CEI_GGUF_MAX_LENGTH, (uint32_t)model->blueprint.max_length);
    if (model->bi_encoder && model->modules.layer_count > 0) cei_gguf_put_bool(out, CEI_GGUF_NORMALIZE, true);
    put_settings(&work);
}
