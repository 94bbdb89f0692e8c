/* adapter.c - reads adapter_config.json, and says by what each module's change is multiplied. Relies on
 * formats/adapter.h for the weights. */
#include "model/adapter.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "formats/adapter.h"

#include <math.h>
#include <string.h>

static const char config_name[] = "adapter_config.json";
static const size_t max_config_bytes = (size_t)1 << 20;

/* Ways in which an adapter is no plain LoRA: where the field is there and neither null, false nor empty. */
static const struct variant {
    const char *key, *name;
} variants[] = {
    {"use_dora", "DoRA"},
    {"use_qalora", "QALoRA"},
    {"use_bdlora", "block-diagonal LoRA"},
    {"lora_bias", "LoRA with biases"},
    {"alora_invocation_tokens", "activated LoRA"},
    {"arrow_config", "Arrow"},
    {"kasa_config", "KaSA"},
    {"velora_config", "VeLoRA"},
    {"monteclora_config", "MonteCLoRA"},
    {"layer_replication", "layers that are replicated"},
    {"target_parameters", "parameters outside of modules"},
    {"trainable_token_indices", "single tokens that were trained"},
};

/* Beginnings of weights that change the model's own: without the change the sum is another. */
static const char *const changing[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};

/* ---- reading ------------------------------------------------------------------------------------------------- */

static bool is_set(const json_t *value) {
    if (!value || json_is_null(value) || json_is_false(value)) return false;
    return !(json_is_array(value) && json_array_size(value) == 0) &&
           !(json_is_object(value) && json_object_size(value) == 0);
}

static ce_status refuse(const cei_adapter *adapter, const char *what, ce_error *error) {
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s: %s is not supported; supported is plain LoRA: merge the adapter and "
                    "save the model",
                    adapter->path, what);
}

static ce_status check_variants(const cei_adapter *adapter, ce_error *error) {
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (is_set(json_object_get(adapter->root, variants[i].key))) return refuse(adapter, variants[i].name, error);
    const char *init = json_string_value(json_object_get(adapter->root, "init_lora_weights"));
    for (size_t i = 0; init && i < sizeof changing / sizeof *changing; i++)
        if (strncmp(init, changing[i], strlen(changing[i])) == 0) return refuse(adapter, init, error);
    return CE_OK;
}

static ce_status check_type(const cei_adapter *adapter, ce_error *error) {
    const char *type = NULL;
    ce_status status = cei_json_string(adapter->root, "peft_type", adapter->path, &type, error);
    if (status != CE_OK) return status;
    if (!type) return cei_fail(error, CE_ERR_FORMAT, "%s: \"peft_type\" is missing", adapter->path);
    return strcmp(type, "LORA") == 0
               ? CE_OK
               : cei_fail(error, CE_ERR_UNSUPPORTED, "%s: an adapter of the type \"%.60s\"; supported: LORA",
                          adapter->path, type);
}

static ce_status check_alpha(const cei_adapter *adapter, const char *key, double alpha, ce_error *error) {
    if (isfinite(alpha)) return CE_OK;
    return cei_fail(error, CE_ERR_FORMAT, "%s: \"%.60s\" must be a finite number", adapter->path, key);
}

/* Keys of alpha_pattern are regular expressions; those that are names, whole or the last parts of one, are read. */
static ce_status check_patterns(const cei_adapter *adapter, ce_error *error) {
    json_t *patterns = json_object_get(adapter->root, "alpha_pattern");
    if (patterns && !json_is_null(patterns) && !json_is_object(patterns))
        return cei_fail(error, CE_ERR_FORMAT, "%s: \"alpha_pattern\" must be an object, and is %s", adapter->path,
                        cei_json_type(patterns));
    const char *key;
    json_t *value;
    ce_status status = CE_OK;
    json_object_foreach(patterns, key, value) {
        if (strpbrk(key, "\\^$*+?|()[]{}"))
            return cei_fail(error, CE_ERR_UNSUPPORTED,
                            "%s: \"alpha_pattern\" has the expression \"%.96s\"; supported are names of modules",
                            adapter->path, key);
        double alpha = NAN;
        status = cei_json_double(patterns, key, adapter->path, &alpha, error);
        if (status == CE_OK) status = check_alpha(adapter, key, alpha, error);
        if (status != CE_OK) break;
    }
    return status;
}

static ce_status read_fields(cei_adapter *adapter, ce_error *error) {
    const char *task = NULL;
    adapter->alpha = 8; /* PEFT's */
    ce_status status = check_type(adapter, error);
    if (status == CE_OK) status = check_variants(adapter, error);
    if (status == CE_OK) status = cei_json_double(adapter->root, "lora_alpha", adapter->path, &adapter->alpha, error);
    if (status == CE_OK) status = check_alpha(adapter, "lora_alpha", adapter->alpha, error);
    if (status == CE_OK)
        status = cei_json_bool(adapter->root, "use_rslora", adapter->path, &adapter->is_rank_stabilized, error);
    if (status == CE_OK)
        status = cei_json_string(adapter->root, "base_model_name_or_path", adapter->path, &adapter->base, error);
    if (status == CE_OK) status = cei_json_string(adapter->root, "revision", adapter->path, &adapter->revision, error);
    if (status == CE_OK) status = cei_json_string(adapter->root, "task_type", adapter->path, &task, error);
    adapter->classifies = task && strcmp(task, "SEQ_CLS") == 0;
    return status == CE_OK ? check_patterns(adapter, error) : status;
}

ce_status cei_adapter_is_in(const char *folder, bool *is, ce_error *error) {
    return cei_file_find(folder, config_name, is, error);
}

ce_status cei_adapter_load(const char *folder, cei_adapter *adapter, ce_error *error) {
    *adapter =
        (cei_adapter){.folder = cei_copy_string(folder, strlen(folder)), .path = cei_join_path(folder, config_name)};
    ce_status status =
        adapter->folder && adapter->path ? cei_check_folder(folder, error) : cei_fail_memory(error, "an adapter", 0);
    if (status == CE_OK) status = cei_json_load(adapter->path, max_config_bytes, &adapter->root, error);
    if (status == CE_OK) status = read_fields(adapter, error);
    if (status != CE_OK) cei_adapter_free(adapter);
    return status;
}

void cei_adapter_free(cei_adapter *adapter) {
    json_decref(adapter->root);
    cei_free(adapter->folder);
    cei_free(adapter->path);
    *adapter = (cei_adapter){0};
}

/* ---- scales -------------------------------------------------------------------------------------------------- */

/* Is key the module's name, or the last parts of it? */
static bool is_pattern_of(const char *key, const char *module) {
    size_t stem;
    return cei_ends_with(module, key, &stem) && (stem == 0 || module[stem - 1] == '.');
}

static ce_status find_scale(const void *user, const char *module, size_t rank, float *scale, ce_error *error) {
    const cei_adapter *adapter = user;
    double alpha = adapter->alpha;
    const char *key;
    json_t *value;
    /* DeBERTa reads this table around the module that PEFT puts in its place, so that a change has no effect there
     * until it is merged. */
    if (is_pattern_of("rel_embeddings", module))
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: the adapter changes \"%.96s\", which only counts once it is merged: merge the adapter and "
                        "save the model",
                        adapter->path, module);
    /* The first that fits counts. */
    json_object_foreach(json_object_get(adapter->root, "alpha_pattern"), key, value) {
        if (!is_pattern_of(key, module)) continue;
        alpha = json_number_value(value);
        break;
    }
    *scale = (float)(alpha / (adapter->is_rank_stabilized ? sqrt((double)rank) : (double)rank));
    return CE_OK;
}

ce_status cei_adapter_apply(const cei_adapter *adapter, cei_checkpoint *checkpoint, ce_error *error) {
    return cei_checkpoint_adapt(checkpoint, adapter->folder, find_scale, adapter, error);
}
