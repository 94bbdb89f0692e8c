/* gguf_config_decoder.c - from the keys of a decoder's GGUF file to its config.json.
 *
 * A file has no key for what llama.cpp has as a constant of an architecture (which layers of Gemma have a window, what
 * its scores are divided by); these are here by the same rules. What would change scores and has no place in a config
 * here is refused. The only values of a tensor that are read are the few by which Llama 3.1 divides frequencies. */
#include "model/gguf_config.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool has_type(const cei_translation *work, const char *model_type) {
    return strcmp(work->model->form->model_type, model_type) == 0;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

ce_status cei_gguf_find_words(const cei_translation *work, bool *found) {
    const cei_gguf_value *labels = NULL;
    cei_gguf_text text = {NULL, 0};
    char key[CEI_KEY_SIZE];
    ce_status status = cei_gguf_array(&work->model->file, cei_translation_key(work, "classifier.output_labels", key),
                                      CEI_GGUF_STRING, &labels, work->error);
    if (status == CE_OK) status = cei_gguf_string(&work->model->file, CEI_GGUF_RERANK_TEMPLATE, &text, work->error);
    *found = false;
    if (status != CE_OK || !text.data || !labels || labels->count != 2) return status;
    const uint8_t *at = labels->data;
    const cei_gguf_text first = cei_gguf_next_string(&at), second = cei_gguf_next_string(&at);
    *found = cei_gguf_text_is(first, "yes") && cei_gguf_text_is(second, "no") &&
             cei_translation_rows(work, CEI_GGUF_WORDS) == 2;
    return CE_OK;
}

/* ---- positions -----------------------------------------------------------------------------------------------------
 */

/* Scaled positions are a key, or a tensor: see put_divisors. */
static ce_status check_scaling(const cei_translation *work) {
    cei_gguf_text type = {"none", 4};
    char key[CEI_KEY_SIZE];
    ce_status status =
        cei_gguf_string(&work->model->file, cei_translation_key(work, "rope.scaling.type", key), &type, work->error);
    if (status != CE_OK || cei_gguf_text_is(type, "none")) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: \"%s\" is \"%.*s\"; supported: none", work->model->file.path,
                    key, (int)cei_min_size(type.size, 40), type.data);
}

/* The scalings of Llama 3.1 and its kin, of which a file has the divisors of frequencies alone. */
static const cei_rope_scaling llama_scalings[] = {
    {.kind = CEI_ROPE_LLAMA3, .factor = 8, .low_factor = 1, .high_factor = 4, .original = 8192},
    {.kind = CEI_ROPE_LLAMA3, .factor = 32, .low_factor = 1, .high_factor = 4, .original = 8192},
};

/* 1 where a turn takes few positions, the factor where it takes many, something between where the one becomes the other
 * (Grattafiori et al. 2024). */
double cei_gguf_divisor(const cei_rope_scaling *scaling, double base, size_t size, size_t i) {
    static const double turn = 6.283185307179586;
    const double length = turn * pow(base, 2.0 * (double)i / (double)size), original = (double)scaling->original;
    if (length < original / scaling->high_factor) return 1;
    if (length > original / scaling->low_factor) return scaling->factor;
    const double smooth = (original / length - scaling->low_factor) / (scaling->high_factor - scaling->low_factor);
    return 1 / ((1 - smooth) / scaling->factor + smooth);
}

static bool is_scaling(const cei_rope_scaling *scaling, double base, const cei_tensor *divisors) {
    const size_t count = (size_t)divisors->count;
    for (size_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, divisors->data + i * sizeof value, sizeof value);
        const double want = cei_gguf_divisor(scaling, base, 2 * count, i);
        if (!(fabs((double)value - want) <= 1e-3 * want)) return false;
    }
    return true;
}

static void put_scaling(cei_translation *work, const cei_rope_scaling *scaling) {
    cei_translation_put_key(work, "rope_scaling");
    cei_json_put(work->out, "{\"rope_type\": \"llama3\", \"factor\": ");
    cei_translation_write_real(work, scaling->factor);
    cei_json_put(work->out, ", \"low_freq_factor\": ");
    cei_translation_write_real(work, scaling->low_factor);
    cei_json_put(work->out, ", \"high_freq_factor\": ");
    cei_translation_write_real(work, scaling->high_factor);
    cei_json_put(work->out, ", \"original_max_position_embeddings\": ");
    cei_json_put_number(work->out, scaling->original);
    cei_json_put(work->out, "}");
}

/* The divisors themselves are rounded: so they are taken for those of a scaling that is known, whose frequencies then
 * have a folder's bits. */
static ce_status put_divisors(cei_translation *work, size_t head_size) {
    const cei_tensor *divisors = cei_gguf_tensor(&work->model->file, CEI_GGUF_DIVISORS);
    double base = 10000;
    ce_status status = cei_translation_get_real(work, "rope.freq_base", &base);
    if (status != CE_OK || !divisors) return status;
    const bool fits = strcmp(divisors->dtype, "F32") == 0 && divisors->count == head_size / 2;
    for (size_t i = 0; fits && i < sizeof llama_scalings / sizeof llama_scalings[0]; i++) {
        if (!is_scaling(&llama_scalings[i], base, divisors)) continue;
        put_scaling(work, &llama_scalings[i]);
        return CE_OK;
    }
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: its positions are scaled by \"%s\" in a way that is not Llama 3.1's (a factor of 8 or 32)",
                    work->model->file.path, CEI_GGUF_DIVISORS);
}

/* Heads' columns, all of which turn, in keys as in values. */
static ce_status put_heads(cei_translation *work) {
    size_t heads = 0, hidden = work->model->hidden;
    ce_status status = cei_translation_require_size(work, "attention.head_count", &heads);
    if (status != CE_OK) return status;
    size_t key_heads = heads, size = hidden / heads, value_size, turning;
    status = cei_translation_get_size(work, "attention.head_count_kv", &key_heads);
    if (status == CE_OK) status = cei_translation_get_size(work, "attention.key_length", &size);
    value_size = turning = size;
    if (status == CE_OK) status = cei_translation_get_size(work, "attention.value_length", &value_size);
    if (status == CE_OK) status = cei_translation_get_size(work, "rope.dimension_count", &turning);
    if (status != CE_OK) return status;
    if (value_size != size || turning != size)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                        "%s: heads have %zu columns of keys, %zu of values, and %zu that turn: supported is one number",
                        work->model->file.path, size, value_size, turning);
    cei_translation_put_size(work, "num_key_value_heads", key_heads);
    cei_translation_put_size(work, "head_dim", size);
    return put_divisors(work, size);
}

/* ---- Gemma ---------------------------------------------------------------------------------------------------------
 */

/* By llama.cpp's rule the largest models divide scores by the columns that a head would have if they shared the states,
 * the others by those that it has. */
static ce_status put_query_scale(cei_translation *work, size_t largest) {
    size_t heads = 0, layers = 0, size;
    ce_status status = cei_translation_require_size(work, "attention.head_count", &heads);
    if (status == CE_OK) status = cei_translation_require_size(work, "block_count", &layers);
    if (status != CE_OK) return status;
    size = work->model->hidden / heads;
    if (layers != largest) status = cei_translation_get_size(work, "attention.key_length", &size);
    cei_translation_put_size(work, "query_pre_attn_scalar", size);
    return status;
}

static ce_status put_gemma2(cei_translation *work) {
    enum { LARGEST = 46 }; /* layers of the model of 27 billion parameters */
    size_t window = 4096;
    ce_status status = cei_translation_get_size(work, "attention.sliding_window", &window);
    cei_translation_put_size(work, "sliding_window", window);
    if (status == CE_OK)
        status = cei_translation_put_float(work, "attn_logit_softcapping", "attn_logit_softcapping", 50);
    if (status == CE_OK)
        status = cei_translation_put_float(work, "final_logit_softcapping", "final_logit_softcapping", 30);
    return status == CE_OK ? put_query_scale(work, LARGEST) : status;
}

static ce_status put_gemma3(cei_translation *work) {
    enum { LARGEST = 62 };
    size_t window = 0, every = 6;
    ce_status status = cei_translation_require_size(work, "attention.sliding_window", &window);
    if (status == CE_OK) status = cei_translation_get_size(work, "attention.sliding_window_pattern", &every);
    cei_translation_put_size(work, "sliding_window", window);
    cei_translation_put_size(work, "sliding_window_pattern", every);
    if (status == CE_OK) status = cei_translation_put_float(work, "rope.freq_base_swa", "rope_local_base_freq", 10000);
    return status == CE_OK ? put_query_scale(work, LARGEST) : status;
}

/* ---- all of it -----------------------------------------------------------------------------------------------------
 */

/* Biases, and what has them in a config. */
static ce_status put_biases(cei_translation *work) {
    const bool has_bias = cei_translation_has_tensor(work, "blk.0.attn_q.bias");
    if (has_bias && work->model->form->is_paired)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: biases of queries are not supported of %s",
                        work->model->file.path, work->architecture);
    cei_translation_put_bool(work, "attention_bias", has_bias);
    if (has_type(work, "llama"))
        cei_translation_put_bool(work, "mlp_bias", cei_translation_has_tensor(work, "blk.0.ffn_up.bias"));
    return CE_OK;
}

static ce_status put_padding(cei_translation *work) {
    size_t padding = SIZE_MAX;
    ce_status status =
        cei_gguf_size(&work->model->file, "tokenizer.ggml.padding_token_id", SIZE_MAX, &padding, work->error);
    if (status == CE_OK && padding < CEI_NO_TOKEN) cei_translation_put_size(work, "pad_token_id", padding);
    return status;
}

/* Which layers would have it, no key says. */
static ce_status check_window(const cei_translation *work) {
    size_t window = 0;
    ce_status status = cei_translation_get_size(work, "attention.sliding_window", &window);
    if (status != CE_OK || window == 0) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: \"%s.attention.sliding_window\" is %zu; supported of gemma2, gemma3", work->model->file.path,
                    work->architecture, window);
}

static ce_status put_kind(cei_translation *work) {
    if (has_type(work, "gemma2")) return put_gemma2(work);
    return has_type(work, "gemma3_text") ? put_gemma3(work) : check_window(work);
}

ce_status cei_gguf_put_decoder(cei_translation *work) {
    ce_status status = check_scaling(work);
    if (status == CE_OK) status = cei_translation_put_sizes(work, cei_usual_sizes);
    if (status == CE_OK) status = put_heads(work);
    if (status == CE_OK)
        status = cei_translation_put_float(work, "attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-6);
    if (status == CE_OK) status = cei_translation_put_float(work, "rope.freq_base", "rope_theta", 10000);
    if (status == CE_OK) status = put_biases(work);
    if (status == CE_OK) status = put_padding(work);
    if (status == CE_OK) status = put_kind(work);
    cei_translation_put_size(work, "max_position_embeddings", work->model->context);
    cei_translation_put_bool(work, "tie_word_embeddings", !cei_translation_has_tensor(work, "output.weight"));
    return status;
}
