/* encoder.c - the bi-encoder's public face: a ce_model that was loaded with other modules behind its transformer.
 *
 * Placing, moving and checking are the model's own; here is what an encoder says of itself. */
#include "model/encoder.h"

#include "base/error.h"
#include "base/memory.h"
#include "model/gguf.h"

#include <string.h>

const char *ce_similarity_name(ce_similarity similarity) {
    static const char *const names[] = {"default", "cosine", "dot", "euclidean", "manhattan"};
    return (unsigned)similarity < sizeof names / sizeof *names ? names[similarity] : NULL;
}

/* ---- kinds --------------------------------------------------------------------------------------------------- */

const char *ce_kind_name(ce_kind kind) {
    static const char *const names[] = {"default", "cross-encoder", "bi-encoder"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : NULL;
}

ce_status ce_kind_find(const char *path, ce_kind *kind, ce_error *error) {
    bool is_bi_encoder = false;
    if (!path || !kind) return cei_fail(error, CE_ERR_ARGUMENT, "ce_kind_find: %s is NULL", path ? "kind" : "path");
    char *gguf = NULL;
    ce_status status = cei_gguf_find_file(path, &gguf, error);
    if (status == CE_OK)
        status =
            gguf ? cei_gguf_is_bi_encoder(gguf, &is_bi_encoder, error) : cei_modules_find(path, &is_bi_encoder, error);
    cei_free(gguf);
    if (status == CE_OK) *kind = is_bi_encoder ? CE_KIND_BI_ENCODER : CE_KIND_CROSS_ENCODER;
    return status;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

ce_status ce_encoder_load(const char *path, const ce_load_options *options, ce_encoder **out, ce_error *error) {
    if (!out) return cei_fail(error, CE_ERR_ARGUMENT, "ce_encoder_load: encoder is NULL");
    *out = NULL;
    if (!path) return cei_fail(error, CE_ERR_ARGUMENT, "ce_encoder_load: path is NULL");
    ce_encoder *encoder = cei_alloc_zeroed(1, sizeof *encoder);
    if (!encoder) return cei_fail_memory(error, "an encoder", sizeof *encoder);
    ce_status status = cei_model_load(path, options, true, &encoder->model, error);
    if (status != CE_OK) {
        cei_free(encoder);
        return status;
    }
    *out = encoder;
    return CE_OK;
}

void ce_encoder_free(ce_encoder *encoder) {
    if (!encoder) return;
    ce_model_free(encoder->model);
    cei_free(encoder);
}

static ce_status fail_null(const char *what, ce_error *error) {
    return cei_fail(error, CE_ERR_ARGUMENT, "%s is NULL", what);
}

ce_status ce_encoder_place(ce_encoder *encoder, ce_error *error) {
    return encoder ? ce_model_place(encoder->model, error) : fail_null("ce_encoder_place: encoder", error);
}

ce_status ce_encoder_to(ce_encoder *encoder, const char *device, ce_error *error) {
    return encoder ? ce_model_to(encoder->model, device, error) : fail_null("ce_encoder_to: encoder", error);
}

ce_status ce_encoder_check(ce_encoder *encoder, ce_health *health, ce_error *error) {
    return encoder ? ce_model_check(encoder->model, health, error) : fail_null("ce_encoder_check: encoder", error);
}

ce_status ce_encoder_placement(const ce_encoder *encoder, ce_placement_report *report, ce_error *error) {
    return encoder ? ce_model_placement(encoder->model, report, error)
                   : fail_null("ce_encoder_placement: encoder", error);
}

ce_status ce_encoder_placement_at(const ce_encoder *encoder, size_t index, ce_placement_report *report,
                                  ce_error *error) {
    return encoder ? ce_model_placement_at(encoder->model, index, report, error)
                   : fail_null("ce_encoder_placement_at: encoder", error);
}

/* ---- what it is ---------------------------------------------------------------------------------------------- */

/* The last layer decides, as far as the layers themselves say. */
static bool is_normalized(const cei_head *head) {
    return head->layer_count > 0 && head->layers[head->layer_count - 1].kind == CEI_HEAD_NORMALIZE;
}

size_t cei_encoder_dimension(const ce_encoder *encoder, size_t truncate_dim) {
    const size_t whole = encoder->model->blueprint.network->head.outputs;
    const size_t wanted = truncate_dim ? truncate_dim : encoder->model->modules.truncate_dim;
    return wanted && wanted < whole ? wanted : whole;
}

ce_status ce_encoder_describe(const ce_encoder *encoder, ce_encoder_info *info, ce_error *error) {
    if (!encoder || !info)
        return fail_null(encoder ? "ce_encoder_describe: info" : "ce_encoder_describe: encoder", error);
    ce_status status = cei_check_struct(info->size, sizeof *info, "ce_encoder_info", error);
    if (status != CE_OK) return status;
    const ce_model *model = encoder->model;
    const cei_config *config = &model->config;
    const cei_network *network = model->blueprint.network;
    *info = (ce_encoder_info){
        .size = info->size,
        .path = model->path,
        .architecture = network->architecture->encoder,
        .tokenizer = cei_tokenizer_kind(model->tokenizer),
        .pooling = model->modules.pooling,
        .weight_dtype = model->weight_dtype,
        .weight_format = model->weight_format,
        .dimension = network->head.outputs,
        .truncate_dim = cei_encoder_dimension(encoder, 0),
        .max_length = model->blueprint.max_length,
        .special_tokens = cei_model_specials(model),
        .max_positions = model->blueprint.max_positions,
        .vocab_size = config->vocab_size,
        .hidden_size = config->hidden_size,
        .layers = config->layers,
        .heads = config->heads,
        .intermediate_size = config->intermediate_size,
        .parameters = cei_plan_parameters(&model->blueprint.plan),
        .normalized = is_normalized(&network->head),
        .include_prompt = model->modules.includes_prompt,
        .similarity = model->modules.similarity,
        .prompts = model->modules.prompt_count,
        .default_prompt = model->modules.default_prompt,
    };
    return CE_OK;
}

bool ce_encoder_prompt_at(const ce_encoder *encoder, size_t index, const char **name, const char **text) {
    return encoder && ce_model_prompt_at(encoder->model, index, name, text);
}

const char *ce_encoder_prompt(const ce_encoder *encoder, const char *name) {
    return encoder ? ce_model_prompt(encoder->model, name) : NULL;
}
