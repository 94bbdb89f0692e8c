/* describe.c - what a model is, for people and programs. */
#include "base/error.h"
#include "model/model.h"

#include <string.h>

ce_status ce_model_describe(const ce_model *model, ce_model_info *info, ce_error *error) {
    if (!model || !info)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_describe: %s is NULL", model ? "info" : "model");
    ce_status status = cei_check_struct(info->size, sizeof *info, "ce_model_info", error);
    if (status != CE_OK) return status;
    const cei_config *config = &model->config;
    const cei_architecture *architecture = model->blueprint.network->architecture;
    *info = (ce_model_info){
        .size = info->size,
        .path = model->path,
        .architecture = cei_modules_are_head(&model->modules) ? architecture->encoder : architecture->classifier,
        .tokenizer = cei_tokenizer_kind(model->tokenizer),
        .num_labels = config->num_labels,
        .max_length = model->blueprint.max_length,
        .special_tokens = cei_model_specials(model),
        .max_positions = model->blueprint.max_positions,
        .vocab_size = config->vocab_size,
        .hidden_size = config->hidden_size,
        .layers = config->layers,
        .heads = config->heads,
        .intermediate_size = config->intermediate_size,
        .parameters = cei_plan_parameters(&model->blueprint.plan),
        .activation = model->activation,
        .weight_dtype = model->weight_dtype,
        .weight_format = model->weight_format,
        .prompts = model->modules.prompt_count,
        .default_prompt = model->modules.default_prompt,
        .chat_template = model->chat != NULL,
    };
    return CE_OK;
}

bool ce_model_prompt_at(const ce_model *model, size_t index, const char **name, const char **text) {
    if (!model || index >= model->modules.prompt_count) return false;
    const cei_prompt *prompt = &model->modules.prompts[index];
    if (name) *name = prompt->name;
    if (text) *text = prompt->text;
    return true;
}

const char *ce_model_prompt(const ce_model *model, const char *name) {
    const char *found, *text;
    for (size_t i = 0; name && ce_model_prompt_at(model, i, &found, &text); i++)
        if (strcmp(found, name) == 0) return text;
    return NULL;
}

const char *ce_model_label(const ce_model *model, size_t index) {
    return model && index < model->config.num_labels ? model->config.labels[index] : NULL;
}

const char *ce_activation_name(ce_activation activation) {
    switch (activation) {
    case CE_ACTIVATION_DEFAULT: return "Default";
    case CE_ACTIVATION_IDENTITY: return "Identity";
    case CE_ACTIVATION_SIGMOID: return "Sigmoid";
    case CE_ACTIVATION_TANH: return "Tanh";
    case CE_ACTIVATION_RELU: return "ReLU";
    case CE_ACTIVATION_SOFTMAX: return "Softmax";
    }
    return "Unknown";
}
