/* gguf_config.c - from the keys of a GGUF file, and the shapes of its tensors, to a config.json.
 *
 * Shapes are taken where both say something: a key may be left out or stale, a tensor not. Knows what published models
 * have where a file says nothing. Must not read a value of a tensor. */
#include "model/gguf_config.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 1 << 24, MOST_LABELS = 1 << 17, POOLINGS = 5 };

/* ---- the file's side ----------------------------------------------------------------------------------------- */

const char *cei_translation_key(const cei_translation *work, const char *name, char key[CEI_KEY_SIZE]) {
    snprintf(key, CEI_KEY_SIZE, "%s.%s", work->architecture, name);
    return key;
}

ce_status cei_translation_get_size(const cei_translation *work, const char *name, size_t *value) {
    char key[CEI_KEY_SIZE];
    return cei_gguf_size(&work->model->file, cei_translation_key(work, name, key), MOST, value, work->error);
}

ce_status cei_translation_require_size(const cei_translation *work, const char *name, size_t *value) {
    *value = 0;
    ce_status status = cei_translation_get_size(work, name, value);
    if (status != CE_OK || *value > 0) return status;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s.%s\" is missing or 0, and the model needs it",
                    work->model->file.path, work->architecture, name);
}

/* Absent, *value stays. */
ce_status cei_translation_get_real(const cei_translation *work, const char *name, double *value) {
    char key[CEI_KEY_SIZE];
    ce_status status = cei_gguf_double(&work->model->file, cei_translation_key(work, name, key), value, work->error);
    if (status != CE_OK || isfinite(*value)) return status;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" is no finite number", work->model->file.path, key);
}

bool cei_translation_has_tensor(const cei_translation *work, const char *name) {
    return cei_gguf_tensor(&work->model->file, name) != NULL;
}

/* The rows of a matrix; 0 if it is not there. */
size_t cei_translation_rows(const cei_translation *work, const char *name) {
    const cei_tensor *tensor = cei_gguf_tensor(&work->model->file, name);
    if (!tensor || tensor->rank < 2 || tensor->shape[0] > MOST) return 0;
    return (size_t)tensor->shape[0];
}

/* ---- the config's side --------------------------------------------------------------------------------------- */

void cei_translation_put_key(cei_translation *work, const char *key) {
    cei_json_put(work->out, work->fields++ ? ",\n  \"" : "{\n  \"");
    cei_json_put(work->out, key);
    cei_json_put(work->out, "\": ");
}

void cei_translation_put_size(cei_translation *work, const char *key, size_t value) {
    cei_translation_put_key(work, key);
    cei_json_put_number(work->out, value);
}

void cei_translation_write_real(cei_translation *work, double value) {
    const size_t before = work->out->size;
    cei_json_put_real(work->out, value);
    bool is_real = work->out->is_short;
    for (size_t i = before; i < work->out->size && !is_real; i++) is_real = strchr(".e", work->out->data[i]) != NULL;
    if (!is_real) cei_json_put(work->out, ".0");
}

void cei_translation_put_real(cei_translation *work, const char *key, double value) {
    cei_translation_put_key(work, key);
    cei_translation_write_real(work, value);
}

void cei_translation_put_bool(cei_translation *work, const char *key, bool value) {
    cei_translation_put_key(work, key);
    cei_json_put(work->out, value ? "true" : "false");
}

void cei_translation_put_text(cei_translation *work, const char *key, cei_gguf_text text) {
    cei_translation_put_key(work, key);
    cei_json_put_string(work->out, text.data, text.size);
}

void cei_translation_put_string(cei_translation *work, const char *key, const char *text) {
    cei_translation_put_text(work, key, (cei_gguf_text){text, strlen(text)});
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

static ce_status fail_head(const cei_translation *work) {
    return cei_fail(work->error, CE_ERR_MODEL,
                    "%s has only a part of its classification head: cls.weight %s, cls.output.weight %s. Converters to "
                    "GGUF leave out the pooler of BERT, without which scores would be wrong: take the model's "
                    "safetensors",
                    work->model->file.path, cei_translation_has_tensor(work, "cls.weight") ? "is there" : "is not",
                    cei_translation_has_tensor(work, "cls.output.weight") ? "is there" : "is not");
}

/* Is there a head, and is it whole? */
static ce_status find_head(const cei_translation *work, bool *found) {
    const bool first = cei_translation_has_tensor(work, "cls.weight"),
               second = cei_translation_has_tensor(work, "cls.output.weight");
    *found = first && second;
    if (first != second || (first && cei_translation_rows(work, "cls.weight") != work->model->hidden))
        return fail_head(work);
    return CE_OK;
}

static ce_status put_labels(cei_translation *work) {
    const size_t count = cei_translation_rows(work, "cls.output.weight");
    const cei_gguf_value *labels = NULL;
    char key[CEI_KEY_SIZE];
    ce_status status = cei_gguf_array(&work->model->file, cei_translation_key(work, "classifier.output_labels", key),
                                      CEI_GGUF_STRING, &labels, work->error);
    if (status != CE_OK) return status;
    if (count == 0 || count > MOST_LABELS)
        return cei_fail(work->error, CE_ERR_MODEL, "%s: cls.output.weight gives no scores, or too many",
                        work->model->file.path);
    const uint8_t *at = labels && labels->count == count ? labels->data : NULL;
    cei_translation_put_key(work, "id2label");
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

static ce_status put_activation(cei_translation *work) {
    cei_gguf_text name = {NULL, 0};
    ce_status status = cei_gguf_string(&work->model->file, CEI_GGUF_ACTIVATION, &name, work->error);
    if (status != CE_OK || !name.data) return status;
    cei_translation_put_key(work, "sentence_transformers");
    cei_json_put(work->out, "{\"activation_fn\": ");
    cei_json_put_string(work->out, name.data, name.size);
    cei_json_put(work->out, "}");
    return CE_OK;
}

static ce_status find_any_head(const cei_translation *work, bool *found) {
    if (!work->model->form->is_decoder) return find_head(work, found);
    *found = cei_translation_has_tensor(work, CEI_GGUF_WORDS);
    return CE_OK;
}

/* The class that is what the file has: an encoder, a classifier, or a model that answers with a word. */
static ce_status put_class(cei_translation *work, bool *classifies) {
    const cei_gguf_form *form = work->model->form;
    bool found = false, answers = false;
    ce_status status = work->bi_encoder ? CE_OK : find_any_head(work, &found);
    if (status == CE_OK && found && form->is_decoder) status = cei_gguf_find_words(work, &answers);
    if (status != CE_OK) return status;
    *classifies = found && !answers;
    const bool is_causal = form->causal && !work->bi_encoder && !*classifies;
    cei_translation_put_key(work, "architectures");
    cei_json_put(work->out, "[\"");
    cei_json_put(work->out, is_causal ? form->causal : *classifies ? form->classifier : form->encoder);
    cei_json_put(work->out, "\"]");
    cei_translation_put_string(work, "model_type", form->model_type);
    return CE_OK;
}

static ce_status put_head(cei_translation *work) {
    bool classifies = false;
    ce_status status = put_class(work, &classifies);
    if (status == CE_OK && classifies) status = put_labels(work);
    return status == CE_OK ? put_activation(work) : status;
}

/* ---- kinds of models ----------------------------------------------------------------------------------------- */

/* Keys that most configs share. */
ce_status cei_translation_put_sizes(cei_translation *work, const char *const keys[4]) {
    static const char *const names[] = {"embedding_length", "block_count", "attention.head_count",
                                        "feed_forward_length"};
    ce_status status = CE_OK;
    for (size_t i = 0; i < 4 && status == CE_OK; i++) {
        size_t value = 0;
        status = cei_translation_require_size(work, names[i], &value);
        cei_translation_put_size(work, keys[i], value);
    }
    const size_t vocabulary = cei_translation_rows(work, "token_embd.weight");
    cei_translation_put_size(work, "vocab_size", vocabulary);
    if (status != CE_OK || vocabulary > 0) return status;
    return cei_fail(work->error, CE_ERR_MODEL,
                    "%s lacks the tensor token_embd.weight: it has a vocabulary and no model", work->model->file.path);
}

const char *const cei_usual_sizes[4] = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"};

ce_status cei_translation_put_float(cei_translation *work, const char *name, const char *key, double usual) {
    double value = usual;
    ce_status status = cei_translation_get_real(work, name, &value);
    cei_translation_put_real(work, key, decimal_of(value));
    return status;
}

static ce_status put_bert(cei_translation *work) {
    static const char *const distilbert_sizes[] = {"dim", "n_layers", "n_heads", "hidden_dim"};
    const bool is_distilbert = !cei_translation_has_tensor(work, "token_types.weight");
    ce_status status = cei_translation_put_sizes(work, is_distilbert ? distilbert_sizes : cei_usual_sizes);
    if (status == CE_OK)
        status = cei_translation_put_float(work, "attention.layer_norm_epsilon", "layer_norm_eps", 1e-12);
    /* Of RoBERTa's table the rows before the first position were cut off, so that this is their number. */
    work->model->context = cei_translation_rows(work, "position_embd.weight");
    cei_translation_put_size(work, "max_position_embeddings", work->model->context);
    if (!is_distilbert) cei_translation_put_size(work, "type_vocab_size", work->model->types);
    cei_translation_put_string(work, is_distilbert ? "activation" : "hidden_act", "gelu");
    return status;
}

static ce_status put_nomic(cei_translation *work) {
    ce_status status = cei_translation_put_sizes(work, cei_usual_sizes);
    if (status == CE_OK)
        status = cei_translation_put_float(work, "attention.layer_norm_epsilon", "layer_norm_eps", 1e-12);
    if (status == CE_OK) status = cei_translation_put_float(work, "rope.freq_base", "rope_theta", 1000);
    cei_translation_put_size(work, "max_position_embeddings", work->model->context);
    cei_translation_put_size(work, "type_vocab_size", work->model->types);
    cei_translation_put_string(work, "hidden_act", "silu");
    return status;
}

/* Slopes by distance stand for positions; feed_forward_type is that of all published models. */
static ce_status put_jina(cei_translation *work) {
    ce_status status = cei_translation_put_sizes(work, cei_usual_sizes);
    if (status == CE_OK)
        status = cei_translation_put_float(work, "attention.layer_norm_epsilon", "layer_norm_eps", 1e-12);
    cei_translation_put_size(work, "max_position_embeddings", work->model->context);
    cei_translation_put_size(work, "type_vocab_size", work->model->types);
    cei_translation_put_string(work, "position_embedding_type", "alibi");
    cei_translation_put_string(work, "feed_forward_type", "geglu");
    return status;
}

static ce_status put_modern_layers(cei_translation *work) {
    size_t window = 128, every = 3;
    cei_gguf_text act = {"gelu", 4};
    char key[CEI_KEY_SIZE];
    ce_status status = cei_translation_get_size(work, "attention.sliding_window", &window);
    if (status == CE_OK) status = cei_translation_get_size(work, "attention.sliding_window_pattern", &every);
    if (status == CE_OK)
        status =
            cei_gguf_string(&work->model->file, cei_translation_key(work, "hidden_activation", key), &act, work->error);
    cei_translation_put_size(work, "local_attention", window);
    cei_translation_put_size(work, "global_attn_every_n_layers", every);
    cei_translation_put_text(work, "hidden_activation", act);
    return status;
}

static const char *const pooling_names[POOLINGS] = {[1] = "mean", [2] = "cls", [3] = "lasttoken"};

/* Of a classification head; mean where the file does not say, as llama.cpp has it. */
static ce_status put_head_pooling(cei_translation *work) {
    size_t pooling = 1;
    ce_status status = cei_translation_get_size(work, "classifier.pooling_type", &pooling);
    if (status != CE_OK) return status;
    if (pooling != 1 && pooling != 2)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: \"%s.classifier.pooling_type\" is %zu; supported: 1, 2",
                        work->model->file.path, work->architecture, pooling);
    cei_translation_put_string(work, "classifier_pooling", pooling_names[pooling]);
    return CE_OK;
}

static ce_status put_modern(cei_translation *work) {
    ce_status status = cei_translation_put_sizes(work, cei_usual_sizes);
    if (status == CE_OK) status = cei_translation_put_float(work, "attention.layer_norm_epsilon", "norm_eps", 1e-5);
    if (status == CE_OK) status = cei_translation_put_float(work, "rope.freq_base", "global_rope_theta", 160000);
    if (status == CE_OK) status = cei_translation_put_float(work, "rope.freq_base_swa", "local_rope_theta", 10000);
    if (status == CE_OK) status = put_modern_layers(work);
    if (status == CE_OK) status = put_head_pooling(work);
    cei_translation_put_size(work, "max_position_embeddings", work->model->context);
    cei_translation_put_bool(work, "attention_bias", cei_translation_has_tensor(work, "blk.0.attn_qkv.bias"));
    cei_translation_put_bool(work, "mlp_bias", cei_translation_has_tensor(work, "blk.0.ffn_up.bias"));
    cei_translation_put_bool(work, "norm_bias", cei_translation_has_tensor(work, "output_norm.bias"));
    cei_translation_put_bool(work, "classifier_bias", cei_translation_has_tensor(work, "cls.bias"));
    return status;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

static ce_status find_form(cei_translation *work) {
    cei_gguf_model *model = work->model;
    cei_gguf_text name = {NULL, 0};
    ce_status status = cei_gguf_string(&model->file, "general.architecture", &name, work->error);
    if (status != CE_OK) return status;
    model->types = cei_translation_rows(work, "token_types.weight");
    model->form = name.data ? cei_gguf_form_find(name, model->types > 0) : NULL;
    if (!model->form)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                        "%s: general.architecture \"%.*s\" is not supported; supported: bert, nomic-bert, modern-bert, "
                        "jina-bert-v2, qwen2, qwen3, llama, gemma, gemma2, gemma3. "
                        "Take the model's safetensors if crossenc reads those",
                        model->file.path, (int)cei_min_size(name.size, 60), name.data ? name.data : "");
    work->architecture = model->form->architecture;
    return CE_OK;
}

/* What states are pooled by: mean where nothing is said, as in the reference. */
static ce_status find_pooling(cei_translation *work) {
    size_t pooling = 1;
    ce_status status = cei_translation_get_size(work, "pooling_type", &pooling);
    if (status != CE_OK) return status;
    const char *name = pooling < POOLINGS ? pooling_names[pooling] : NULL;
    work->model->pooling = name ? name : pooling_names[1];
    return CE_OK;
}

/* Encoders see all tokens, decoders those before. */
static ce_status check_causal(const cei_translation *work) {
    const bool wanted = work->model->form->is_decoder;
    bool causal = wanted;
    char key[CEI_KEY_SIZE];
    ce_status status =
        cei_gguf_bool(&work->model->file, cei_translation_key(work, "attention.causal", key), &causal, work->error);
    if (status != CE_OK || causal == wanted) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: \"%s\" is %s, which is not supported of such a model",
                    work->model->file.path, key, causal ? "true" : "false");
}

/* A tensor that nothing is known of may be one without which scores would be wrong. */
static ce_status check_tensors(const cei_translation *work) {
    const cei_gguf *file = &work->model->file;
    for (size_t i = 0; cei_gguf_is_strict(work->model->form) && i < file->tensor_count; i++)
        if (!cei_gguf_is_known(work->model->form, &file->tensors[i]))
            return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: the tensor \"%.96s\" is not known of %s", file->path,
                            file->tensors[i].name, work->architecture);
    return CE_OK;
}

static ce_status put_kind(cei_translation *work) {
    const cei_gguf_form *form = work->model->form;
    if (form->is_decoder) return cei_gguf_put_decoder(work);
    if (form->position) return put_jina(work);
    if (strcmp(form->model_type, "modernbert") == 0) return put_modern(work);
    return strcmp(form->model_type, "nomic_bert") == 0 ? put_nomic(work) : put_bert(work);
}

/* What crossenc's own keys say beside the config. */
static ce_status read_own_keys(const cei_translation *work) {
    cei_gguf_model *model = work->model;
    model->max_length = model->context;
    ce_status status = cei_gguf_size(&model->file, CEI_GGUF_MAX_LENGTH, MOST, &model->max_length, work->error);
    if (status == CE_OK) status = cei_gguf_bool(&model->file, CEI_GGUF_NORMALIZE, &model->normalizes, work->error);
    if (status == CE_OK) status = cei_gguf_string(&model->file, CEI_GGUF_SETTINGS, &model->settings, work->error);
    if (status != CE_OK || model->max_length > 0) return status;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" is 0", model->file.path, CEI_GGUF_MAX_LENGTH);
}

ce_status cei_gguf_write_config(cei_gguf_model *model, bool bi_encoder, ce_error *error) {
    cei_translation work = {.model = model, .out = &model->config, .bi_encoder = bi_encoder, .error = error};
    ce_status status = find_form(&work);
    if (status == CE_OK) status = check_causal(&work);
    if (status == CE_OK) status = check_tensors(&work);
    if (status == CE_OK) status = find_pooling(&work);
    if (status == CE_OK) status = cei_translation_require_size(&work, "context_length", &model->context);
    if (status == CE_OK) status = cei_translation_require_size(&work, "embedding_length", &model->hidden);
    if (status == CE_OK) status = put_head(&work);
    if (status == CE_OK) status = put_kind(&work);
    if (status == CE_OK) status = read_own_keys(&work);
    cei_json_put(work.out, "\n}\n");
    if (status == CE_OK && work.out->is_short) status = cei_fail_memory(error, model->file.path, 0);
    return status;
}
