/* gguf_config.c - from the keys of a GGUF file, and the shapes of its tensors, to a config.json.
 *
 * Shapes are taken where both say something: a key may be left out or stale, a tensor not. Knows what published models
 * have where a file says nothing. Must not read a value of a tensor. */
#include "model/gguf.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 1 << 24, KEY_SIZE = 160, MOST_LABELS = 1 << 17, POOLINGS = 5 };

/* The file being translated. */
typedef struct translation {
    cei_gguf_model *model;
    const char *architecture; /* the prefix of keys */
    cei_json_out *out;
    size_t fields;
    ce_error *error;
} translation;

/* ---- the file's side ----------------------------------------------------------------------------------------- */

static const char *key_of(const translation *work, const char *name, char key[KEY_SIZE]) {
    snprintf(key, KEY_SIZE, "%s.%s", work->architecture, name);
    return key;
}

static ce_status read_size(const translation *work, const char *name, size_t *value) {
    char key[KEY_SIZE];
    return cei_gguf_size(&work->model->file, key_of(work, name, key), MOST, value, work->error);
}

static ce_status require_size(const translation *work, const char *name, size_t *value) {
    *value = 0;
    ce_status status = read_size(work, name, value);
    if (status != CE_OK || *value > 0) return status;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s.%s\" is missing or 0, and the model needs it",
                    work->model->file.path, work->architecture, name);
}

/* Absent, *value stays. */
static ce_status read_real(const translation *work, const char *name, double *value) {
    char key[KEY_SIZE];
    ce_status status = cei_gguf_double(&work->model->file, key_of(work, name, key), value, work->error);
    if (status != CE_OK || isfinite(*value)) return status;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" is no finite number", work->model->file.path, key);
}

static bool has_tensor(const translation *work, const char *name) {
    return cei_gguf_tensor(&work->model->file, name) != NULL;
}

/* The rows of a matrix; 0 if it is not there. */
static size_t rows_of(const translation *work, const char *name) {
    const cei_tensor *tensor = cei_gguf_tensor(&work->model->file, name);
    if (!tensor || tensor->rank < 2 || tensor->shape[0] > MOST) return 0;
    return (size_t)tensor->shape[0];
}

/* ---- the config's side --------------------------------------------------------------------------------------- */

static void put_key(translation *work, const char *key) {
    cei_json_put(work->out, work->fields++ ? ",\n  \"" : "{\n  \"");
    cei_json_put(work->out, key);
    cei_json_put(work->out, "\": ");
}

static void put_size(translation *work, const char *key, size_t value) {
    put_key(work, key);
    cei_json_put_number(work->out, value);
}

static void put_real(translation *work, const char *key, double value) {
    put_key(work, key);
    cei_json_put_real(work->out, value);
}

static void put_bool(translation *work, const char *key, bool value) {
    put_key(work, key);
    cei_json_put(work->out, value ? "true" : "false");
}

static void put_text(translation *work, const char *key, cei_gguf_text text) {
    put_key(work, key);
    cei_json_put_string(work->out, text.data, text.size);
}

static void put_string(translation *work, const char *key, const char *text) {
    put_text(work, key, (cei_gguf_text){text, strlen(text)});
}

/* float32 in the file: the shortest decimal that is meant by it. */
static double decimal_of(double value) {
    char digits[32];
    double meant = value;
    snprintf(digits, sizeof digits, "%.7g", value);
    if (sscanf(digits, "%lf", &meant) != 1 || (float)meant != (float)value) return value;
    return meant;
}

/* ---- the head ------------------------------------------------------------------------------------------------ */

static ce_status fail_head(const translation *work) {
    return cei_fail(work->error, CE_ERR_MODEL,
                    "%s has only a part of its classification head: cls.weight %s, cls.output.weight %s. Converters to "
                    "GGUF leave out the pooler of BERT, without which scores would be wrong: take the model's "
                    "safetensors",
                    work->model->file.path, has_tensor(work, "cls.weight") ? "is there" : "is not",
                    has_tensor(work, "cls.output.weight") ? "is there" : "is not");
}

/* Is there a head, and is it whole? */
static ce_status find_head(const translation *work, bool *found) {
    const bool first = has_tensor(work, "cls.weight"), second = has_tensor(work, "cls.output.weight");
    *found = first && second;
    if (first != second || (first && rows_of(work, "cls.weight") != work->model->hidden)) return fail_head(work);
    return CE_OK;
}

static ce_status put_labels(translation *work) {
    const size_t count = rows_of(work, "cls.output.weight");
    const cei_gguf_value *labels = NULL;
    char key[KEY_SIZE];
    ce_status status = cei_gguf_array(&work->model->file, key_of(work, "classifier.output_labels", key),
                                      CEI_GGUF_STRING, &labels, work->error);
    if (status != CE_OK) return status;
    if (count == 0 || count > MOST_LABELS)
        return cei_fail(work->error, CE_ERR_MODEL, "%s: cls.output.weight gives no scores, or too many",
                        work->model->file.path);
    const uint8_t *at = labels && labels->count == count ? labels->data : NULL;
    put_key(work, "id2label");
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "LABEL_%zu", i);
        const cei_gguf_text text = at ? cei_gguf_next_string(&at) : (cei_gguf_text){name, strlen(name)};
        cei_json_put(work->out, i ? ", \"" : "{\"");
        cei_json_put_number(work->out, i);
        cei_json_put(work->out, "\": ");
        cei_json_put_string(work->out, text.data, text.size);
    }
    cei_json_put(work->out, "}");
    return CE_OK;
}

static ce_status put_activation(translation *work) {
    cei_gguf_text name = {NULL, 0};
    ce_status status = cei_gguf_string(&work->model->file, CEI_GGUF_ACTIVATION, &name, work->error);
    if (status != CE_OK || !name.data) return status;
    put_key(work, "sentence_transformers");
    cei_json_put(work->out, "{\"activation_fn\": ");
    cei_json_put_string(work->out, name.data, name.size);
    cei_json_put(work->out, "}");
    return CE_OK;
}

static ce_status put_head(translation *work, bool bi_encoder) {
    bool found = false;
    ce_status status = bi_encoder ? CE_OK : find_head(work, &found);
    if (status != CE_OK) return status;
    put_key(work, "architectures");
    cei_json_put(work->out, "[\"");
    cei_json_put(work->out, found ? work->model->form->classifier : work->model->form->encoder);
    cei_json_put(work->out, "\"]");
    put_string(work, "model_type", work->model->form->model_type);
    status = found ? put_labels(work) : CE_OK;
    return status == CE_OK ? put_activation(work) : status;
}

/* ---- kinds of models ----------------------------------------------------------------------------------------- */

/* Keys that most configs share. */
static ce_status put_sizes(translation *work, const char *const keys[4]) {
    static const char *const names[] = {"embedding_length", "block_count", "attention.head_count",
                                        "feed_forward_length"};
    ce_status status = CE_OK;
    for (size_t i = 0; i < 4 && status == CE_OK; i++) {
        size_t value = 0;
        status = require_size(work, names[i], &value);
        put_size(work, keys[i], value);
    }
    const size_t vocabulary = rows_of(work, "token_embd.weight");
    put_size(work, "vocab_size", vocabulary);
    if (status != CE_OK || vocabulary > 0) return status;
    return cei_fail(work->error, CE_ERR_MODEL,
                    "%s lacks the tensor token_embd.weight: it has a vocabulary and no model", work->model->file.path);
}

static const char *const usual_sizes[] = {"hidden_size", "num_hidden_layers", "num_attention_heads",
                                          "intermediate_size"};

static ce_status put_epsilon(translation *work, const char *key, double usual) {
    double epsilon = usual;
    ce_status status = read_real(work, "attention.layer_norm_epsilon", &epsilon);
    put_real(work, key, decimal_of(epsilon));
    return status;
}

/* A base of rotary positions; usual where the file has none. */
static ce_status put_base(translation *work, const char *name, const char *key, double usual) {
    double base = usual;
    ce_status status = read_real(work, name, &base);
    put_real(work, key, decimal_of(base));
    return status;
}

static ce_status put_bert(translation *work) {
    static const char *const distilbert_sizes[] = {"dim", "n_layers", "n_heads", "hidden_dim"};
    const bool is_distilbert = !has_tensor(work, "token_types.weight");
    ce_status status = put_sizes(work, is_distilbert ? distilbert_sizes : usual_sizes);
    if (status == CE_OK) status = put_epsilon(work, "layer_norm_eps", 1e-12);
    /* Of RoBERTa's table the rows before the first position were cut off, so that this is their number. */
    work->model->context = rows_of(work, "position_embd.weight");
    put_size(work, "max_position_embeddings", work->model->context);
    if (!is_distilbert) put_size(work, "type_vocab_size", work->model->types);
    put_string(work, is_distilbert ? "activation" : "hidden_act", "gelu");
    return status;
}

static ce_status put_nomic(translation *work) {
    ce_status status = put_sizes(work, usual_sizes);
    if (status == CE_OK) status = put_epsilon(work, "layer_norm_eps", 1e-12);
    if (status == CE_OK) status = put_base(work, "rope.freq_base", "rope_theta", 1000);
    put_size(work, "max_position_embeddings", work->model->context);
    put_size(work, "type_vocab_size", work->model->types);
    put_string(work, "hidden_act", "silu");
    return status;
}

static ce_status put_modern_layers(translation *work) {
    size_t window = 128, every = 3;
    cei_gguf_text act = {"gelu", 4};
    char key[KEY_SIZE];
    ce_status status = read_size(work, "attention.sliding_window", &window);
    if (status == CE_OK) status = read_size(work, "attention.sliding_window_pattern", &every);
    if (status == CE_OK)
        status = cei_gguf_string(&work->model->file, key_of(work, "hidden_activation", key), &act, work->error);
    put_size(work, "local_attention", window);
    put_size(work, "global_attn_every_n_layers", every);
    put_text(work, "hidden_activation", act);
    return status;
}

static const char *const pooling_names[POOLINGS] = {[1] = "mean", [2] = "cls", [3] = "lasttoken"};

/* Of a classification head; mean where the file does not say, as llama.cpp has it. */
static ce_status put_head_pooling(translation *work) {
    size_t pooling = 1;
    ce_status status = read_size(work, "classifier.pooling_type", &pooling);
    if (status != CE_OK) return status;
    if (pooling != 1 && pooling != 2)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: \"%s.classifier.pooling_type\" is %zu; supported: 1, 2",
                        work->model->file.path, work->architecture, pooling);
    put_string(work, "classifier_pooling", pooling_names[pooling]);
    return CE_OK;
}

static ce_status put_modern(translation *work) {
    ce_status status = put_sizes(work, usual_sizes);
    if (status == CE_OK) status = put_epsilon(work, "norm_eps", 1e-5);
    if (status == CE_OK) status = put_base(work, "rope.freq_base", "global_rope_theta", 160000);
    if (status == CE_OK) status = put_base(work, "rope.freq_base_swa", "local_rope_theta", 10000);
    if (status == CE_OK) status = put_modern_layers(work);
    if (status == CE_OK) status = put_head_pooling(work);
    put_size(work, "max_position_embeddings", work->model->context);
    put_bool(work, "attention_bias", has_tensor(work, "blk.0.attn_qkv.bias"));
    put_bool(work, "mlp_bias", has_tensor(work, "blk.0.ffn_up.bias"));
    put_bool(work, "norm_bias", has_tensor(work, "output_norm.bias"));
    put_bool(work, "classifier_bias", has_tensor(work, "cls.bias"));
    return status;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

static ce_status find_form(translation *work) {
    cei_gguf_model *model = work->model;
    cei_gguf_text name = {NULL, 0};
    ce_status status = cei_gguf_string(&model->file, "general.architecture", &name, work->error);
    if (status != CE_OK) return status;
    model->types = rows_of(work, "token_types.weight");
    model->form = name.data ? cei_gguf_form_find(name, model->types > 0) : NULL;
    if (!model->form)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                        "%s: general.architecture \"%.*s\" is not supported; supported: bert, nomic-bert, modern-bert. "
                        "Take the model's safetensors if crossenc reads those",
                        model->file.path, (int)cei_min_size(name.size, 60), name.data ? name.data : "");
    work->architecture = model->form->architecture;
    return CE_OK;
}

/* What states are pooled by: mean where nothing is said, as in the reference. */
static ce_status find_pooling(translation *work) {
    size_t pooling = 1;
    ce_status status = read_size(work, "pooling_type", &pooling);
    if (status != CE_OK) return status;
    const char *name = pooling < POOLINGS ? pooling_names[pooling] : NULL;
    work->model->pooling = name ? name : pooling_names[1];
    return CE_OK;
}

static ce_status check_causal(const translation *work) {
    bool causal = false;
    char key[KEY_SIZE];
    ce_status status = cei_gguf_bool(&work->model->file, key_of(work, "attention.causal", key), &causal, work->error);
    if (status != CE_OK || !causal) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: \"%s\" is true; only encoders are supported",
                    work->model->file.path, key);
}

static ce_status put_kind(translation *work) {
    const char *type = work->model->form->model_type;
    if (strcmp(type, "modernbert") == 0) return put_modern(work);
    return strcmp(type, "nomic_bert") == 0 ? put_nomic(work) : put_bert(work);
}

/* What crossenc's own keys say beside the config. */
static ce_status read_own_keys(const translation *work) {
    cei_gguf_model *model = work->model;
    model->max_length = model->context;
    ce_status status = cei_gguf_size(&model->file, CEI_GGUF_MAX_LENGTH, MOST, &model->max_length, work->error);
    if (status == CE_OK) status = cei_gguf_bool(&model->file, CEI_GGUF_NORMALIZE, &model->normalizes, work->error);
    if (status == CE_OK) status = cei_gguf_string(&model->file, CEI_GGUF_SETTINGS, &model->settings, work->error);
    if (status != CE_OK || model->max_length > 0) return status;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" is 0", model->file.path, CEI_GGUF_MAX_LENGTH);
}

ce_status cei_gguf_write_config(cei_gguf_model *model, bool bi_encoder, ce_error *error) {
    translation work = {.model = model, .out = &model->config, .error = error};
    ce_status status = find_form(&work);
    if (status == CE_OK) status = check_causal(&work);
    if (status == CE_OK) status = find_pooling(&work);
    if (status == CE_OK) status = require_size(&work, "context_length", &model->context);
    if (status == CE_OK) status = require_size(&work, "embedding_length", &model->hidden);
    if (status == CE_OK) status = put_head(&work, bi_encoder);
    if (status == CE_OK) status = put_kind(&work);
    if (status == CE_OK) status = read_own_keys(&work);
    cei_json_put(work.out, "\n}\n");
    if (status == CE_OK && work.out->is_short) status = cei_fail_memory(error, model->file.path, 0);
    return status;
}
