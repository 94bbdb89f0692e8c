/* adapted.c - a model under an adapter: where it is, and what of it the adapter decides.
 *
 * Relies on ce_model_find for a model that is named. Must not fetch anything: as of any model that is not here,
 * 'crossenc pull' fetches it. */
#include "model/architecture.h"
#include "model/model.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "formats/adapter.h"

#include <crossenc/hub.h>

#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 4096 };

static bool has_file(const char *folder, const char *name) {
    char *path = cei_join_path(folder, name);
    const bool has = path && cei_file_exists(path);
    cei_free(path);
    return has;
}

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
    ce_status status = ce_model_find(adapter->base, NULL, found, sizeof found, &why);
    if (status != CE_OK)
        return cei_fail(error, status, "%s changes the model \"%.96s\": %s", adapter->path, adapter->base, why.message);
    if (has_file(found, "config.json"))
        return model->base = cei_copy_string(found, strlen(found)),
               model->base ? CE_OK : cei_fail_memory(error, "a model", 0);
    return cei_fail(error, CE_ERR_MODEL, "%s changes the model %s, which has no config.json", adapter->path, found);
}

ce_status cei_model_find_adapter(ce_model *model, const char *own, const char *asked, ce_error *error) {
    if (asked) return cei_adapter_load(asked, &model->adapter, error);
    if (has_file(own, "config.json") || !cei_adapter_is_in(own)) return CE_OK;
    ce_status status = cei_adapter_load(own, &model->adapter, error);
    return status == CE_OK ? find_base(model, error) : status;
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

const char *cei_model_tokenizer_folder(const ce_model *model, const char *own) {
    static const char *const names[] = {"tokenizer_config.json", "tokenizer.json", "vocab.txt"};
    for (size_t i = 0; model->base && i < sizeof names / sizeof *names; i++)
        if (has_file(own, names[i])) return own;
    return model->base ? model->base : own;
}
