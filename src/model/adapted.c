/* adapted.c - a model under an adapter: where it is, and what of it the adapter decides.
 *
 * Relies on ce_model_find for a model that is named. Must not fetch anything: as of any model that is not here,
 * 'crossenc pull' fetches it. */
#include "model/architecture.h"
#include "model/model.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "formats/adapter.h"

#include <crossenc/hub.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 4096, CONFIG_LIMIT = 16 << 20 };

/* The folder of the model that an adapter names: a path as it is written, or a name. */
static ce_status find_base(ce_model *model, ce_error *error) {
    const cei_adapter *adapter = &model->adapter;
    char found[PATH_SIZE];
    ce_error why = {0};
    if (!adapter->base || !*adapter->base)
        return cei_fail(
            error, CE_ERR_MODEL,
            "%s: \"base_model_name_or_path\" is missing: load the model that it changes, with this folder as "
            "its adapter",
            adapter->path);
    const ce_hub_options options = {.size = sizeof options, .revision = adapter->revision};
    ce_status status = ce_model_find(adapter->base, &options, found, sizeof found, &why);
    if (status != CE_OK)
        return cei_fail(error, status, "%s changes the model \"%.96s\": %s", adapter->path, adapter->base, why.message);
    bool has_config = false;
    status = cei_file_find(found, "config.json", &has_config, error);
    if (status == CE_OK && !has_config)
        return cei_fail(error, CE_ERR_MODEL, "%s changes the model %s, which has no config.json", adapter->path, found);
    model->base = status == CE_OK ? cei_copy_string(found, strlen(found)) : NULL;
    return status != CE_OK || model->base ? status : cei_fail_memory(error, "a model", 0);
}

/* An adapter may be saved with a tokenizer, to which tokens may have been added. */
static ce_status find_tokenizer(ce_model *model, const char *own, ce_error *error) {
    static const char *const names[] = {"tokenizer_config.json", "tokenizer.json", "vocab.txt"};
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == CE_OK && !model->own_tokenizer; i++)
        status = cei_file_find(own, names[i], &model->own_tokenizer, error);
    return status;
}

ce_status cei_model_load_adapter(ce_model *model, const char *asked, ce_error *error) {
    char found[PATH_SIZE];
    ce_error why = {0};
    const ce_status status = ce_model_find(asked, NULL, found, sizeof found, &why);
    if (status == CE_OK) return cei_adapter_load(found, &model->adapter, error);
    return cei_fail(error, status, "the adapter \"%.96s\": %s", asked, why.message);
}

/* lora_alpha / lora_rank, of all tasks. */
static ce_status read_task_scale(const json_t *root, const char *path, float *scale, ce_error *error) {
    double alpha = 1, rank = 4; /* the class's */
    ce_status status = cei_json_double(root, "lora_alpha", path, &alpha, error);
    if (status == CE_OK) status = cei_json_double(root, "lora_rank", path, &rank, error);
    if (status != CE_OK) return status;
    *scale = (float)(alpha / rank);
    return isfinite(*scale)
               ? CE_OK
               : cei_fail(error, CE_ERR_FORMAT, "%s: lora_alpha %g and lora_rank %g make no scale", path, alpha, rank);
}

/* A model may have adapters of its own, each for a task: its config lists their names. */
static ce_status find_task(ce_model *model, const char *own, const char *asked, ce_error *error) {
    json_t *root = NULL;
    bool is_there = false;
    char *path = cei_join_path(own, "config.json");
    ce_status status = path ? cei_file_find(own, "config.json", &is_there, error) : cei_fail_memory(error, own, 0);
    if (is_there) status = cei_json_load(path, CONFIG_LIMIT, &root, error);
    const json_t *tasks = json_object_get(root, "lora_adaptations"), *task;
    size_t i;
    json_array_foreach(tasks, i, task) {
        if (!json_is_string(task) || strcmp(json_string_value(task), asked) != 0) continue;
        model->task = i + 1;
        status = read_task_scale(root, path, &model->task_scale, error);
    }
    json_decref(root);
    cei_free(path);
    return status;
}

ce_status cei_model_find_adapter(ce_model *model, const char *own, const char *asked, ce_error *error) {
    bool has_config = false, has_adapter = false;
    ce_status status = asked ? find_task(model, own, asked, error) : CE_OK;
    if (status == CE_OK && asked && !model->task) status = cei_model_load_adapter(model, asked, error);
    if (status != CE_OK || asked) return status;
    status = cei_file_find(own, "config.json", &has_config, error);
    if (status == CE_OK && !has_config) status = cei_adapter_is_in(own, &has_adapter, error);
    if (status != CE_OK || !has_adapter) return status;
    status = cei_adapter_load(own, &model->adapter, error);
    if (status == CE_OK) status = find_base(model, error);
    return status == CE_OK ? find_tokenizer(model, own, error) : status;
}

/* A classifier that was trained with the adapter may stand on a model that was saved with another head, or none: then
 * model_type says what it is. */
static void let_classify(cei_config *config) {
    const cei_architecture *found;
    if (!*config->architecture) return;
    if (cei_architecture_find(config, &found, NULL) != CE_OK || strcmp(found->classifier, config->architecture) != 0)
        *config->architecture = '\0';
}

ce_status cei_model_adapt_config(ce_model *model, size_t asked, ce_error *error) {
    const cei_architecture *architecture = NULL;
    char name[160];
    size_t rows = 0;
    if (!model->adapter.folder || model->bi_encoder || cei_modules_are_head(&model->modules)) return CE_OK;
    if (model->adapter.classifies) let_classify(&model->config);
    if (cei_architecture_find(&model->config, &architecture, NULL) != CE_OK) return CE_OK; /* which is told later */
    snprintf(name, sizeof name, "%s.weight", cei_architecture_head(architecture, &model->config).second);
    ce_status status = cei_adapter_rows(model->adapter.folder, name, &rows, error);
    if (status != CE_OK || rows == 0 || asked) return status;
    return cei_config_set_labels(&model->config, rows, error);
}

static bool is_read(const cei_plan *plan, const char *name) {
    for (size_t i = 0; i < plan->part_count; i++)
        if (strcmp(plan->parts[i].name, name) == 0) return true;
    return false;
}

/* Where logits are made of word embeddings, the adapter's change is not theirs: it is of what comes in alone. */
static ce_status check_tied(const ce_model *model, const cei_checkpoint *checkpoint, ce_error *error) {
    const cei_plan *plan = &model->blueprint.plan;
    ce_status status = CE_OK;
    for (size_t i = 0; i < plan->part_count && status == CE_OK; i++) {
        cei_values values;
        if (!cei_plan_reads_before(plan, i)) continue;
        status = cei_plan_values(plan, i, checkpoint, &values, error);
        if (status == CE_OK && values.delta)
            status =
                cei_fail(error, CE_ERR_UNSUPPORTED,
                         "%s: the adapter changes \"%.96s\", of which the model's answers are made too: embeddings "
                         "that are tied cannot be adapted",
                         model->adapter.folder, plan->parts[i].name);
    }
    return status;
}

/* A classifier under another name, as a GGUF file has it, would be passed over. Embeddings need none. */
ce_status cei_model_check_adapter(const ce_model *model, const cei_checkpoint *checkpoint, ce_error *error) {
    const char *name;
    for (size_t i = 0; !model->bi_encoder && (name = cei_checkpoint_added(checkpoint, i)) != NULL; i++)
        if (!is_read(&model->blueprint.plan, name))
            return cei_fail(error, CE_ERR_MODEL,
                            "%s: the adapter has the tensor \"%.96s\", which the model does not read: it is an adapter "
                            "of another model, or of another form of it",
                            model->adapter.folder, name);
    return model->adapter.folder ? check_tied(model, checkpoint, error) : CE_OK;
}

const char *cei_model_tokenizer_folder(const ce_model *model, const char *own) {
    return model->base && !model->own_tokenizer ? model->base : own;
}
