/* gguf_put_decoder.c - what decoders have beside the rest, in the keys of a GGUF file.
 *
 * The way back of gguf_config_decoder.c. What llama.cpp has as a constant of an architecture has no key; whether the
 * model has that constant is found when the file is read again. */
#include "model/gguf_put.h"

#include "base/error.h"
#include "base/memory.h"
#include "model/transformer.h"

#include <string.h>

static const cei_transformer_form *form_of(const ce_model *model) {
    return model->blueprint.network->architecture->form;
}

static bool is_type(const cei_gguf_form *form, const char *model_type) {
    return strcmp(form->model_type, model_type) == 0;
}

/* What the config says, or what the architecture has. */
static double base_of(const ce_model *model) {
    return model->config.rope_theta > 0 ? model->config.rope_theta : form_of(model)->theta;
}

static void put_heads(const cei_gguf_writer *work) {
    const cei_config *config = &work->model->config;
    const size_t size = cei_gguf_head_size(config);
    cei_gguf_put_size(work, "attention.head_count_kv", config->decoder.key_heads);
    cei_gguf_put_size(work, "attention.key_length", size);
    cei_gguf_put_size(work, "attention.value_length", size);
    cei_gguf_put_size(work, "rope.dimension_count", size);
}

/* Layers with a window are all but each n-th: n, by the config or by the first layer that has none. */
static size_t window_pattern(const cei_config *config) {
    if (!config->local_layers) return config->decoder.window_skips;
    for (size_t i = 0; i < config->layers; i++)
        if (!config->local_layers[i]) return i + 1;
    return config->layers + 1;
}

/* Numbers of 0 are none, for which there is no word: found when the file is read again. */
static void put_gemma(const cei_gguf_writer *work, const cei_gguf_form *form) {
    const cei_config *config = &work->model->config;
    const cei_decoder_config *decoder = &config->decoder;
    const double local = config->local_rope_theta > 0 ? config->local_rope_theta : form_of(work->model)->local_theta;
    cei_gguf_put_size(work, "attention.sliding_window", decoder->window);
    if (is_type(form, "gemma2") && decoder->score_cap > 0)
        cei_gguf_put_double(work, "attn_logit_softcapping", decoder->score_cap);
    if (is_type(form, "gemma2") && decoder->logit_cap > 0)
        cei_gguf_put_double(work, "final_logit_softcapping", decoder->logit_cap);
    if (is_type(form, "gemma2")) return;
    cei_gguf_put_size(work, "attention.sliding_window_pattern", window_pattern(config));
    cei_gguf_put_double(work, "rope.freq_base_swa", local);
}

void cei_gguf_put_decoder_keys(const cei_gguf_writer *work, const cei_gguf_form *form) {
    const cei_config *config = &work->model->config;
    char key[CEI_GGUF_KEY_SIZE];
    put_heads(work);
    cei_gguf_put_double(work, "attention.layer_norm_rms_epsilon", config->layer_norm_eps);
    cei_gguf_put_bool(work->out, cei_gguf_key_of(work, "attention.causal", key), !config->decoder.sees_ahead);
    cei_gguf_put_double(work, "rope.freq_base", base_of(work->model));
    if (is_type(form, "gemma2") || is_type(form, "gemma3_text")) put_gemma(work, form);
}

ce_status cei_gguf_find_divisors(const ce_model *model, const cei_gguf_form *form, float **divisors, size_t *size,
                                 ce_error *error) {
    const cei_rope_scaling *scaling = &model->config.rope_scaling[0];
    const size_t columns = cei_gguf_head_size(&model->config);
    *divisors = NULL;
    *size = 0;
    if (!form->is_paired || scaling->kind != CEI_ROPE_LLAMA3 || columns < 2) return CE_OK;
    *divisors = cei_alloc(columns / 2, sizeof **divisors);
    if (!*divisors) return cei_fail_memory(error, CEI_GGUF_DIVISORS, columns / 2 * sizeof **divisors);
    *size = columns / 2;
    for (size_t i = 0; i < *size; i++) (*divisors)[i] = (float)cei_gguf_divisor(scaling, base_of(model), columns, i);
    return CE_OK;
}
