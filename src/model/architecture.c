/* architecture.c - the list of architectures. */
#include "model/architecture.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Those with a position_type stand before others of their model_type. */
static const cei_architecture *const architectures[] = {
    &cei_jina_bert,  &cei_bert,       &cei_electra, &cei_roberta,    &cei_jina_roberta, &cei_xlm_roberta,
    &cei_camembert,  &cei_distilbert, &cei_albert,  &cei_mpnet,      &cei_deberta,      &cei_deberta_v2,
    &cei_modernbert, &cei_gte,        &cei_new,     &cei_nomic_bert, &cei_jina_v3,      &cei_qwen2,
    &cei_qwen3,      &cei_llama,      &cei_mistral, &cei_gemma,      &cei_gemma2,       &cei_gemma3};
enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

cei_classifier cei_architecture_head(const cei_architecture *architecture, const cei_config *config) {
    cei_classifier head = architecture->head;
    if (architecture->set_head) architecture->set_head(config, &head);
    return head;
}

/* Whether a config that names one of its names means it. */
static bool is_meant(const cei_config *config, const cei_architecture *candidate) {
    return !candidate->position_type || strcmp(config->position_embedding, candidate->position_type) == 0;
}

static bool is_classifier(const cei_config *config, const cei_architecture *candidate) {
    if (!is_meant(config, candidate)) return false;
    if (candidate->saved_as_encoder && strcmp(config->architecture, candidate->encoder) == 0) return true;
    return *config->architecture ? strcmp(config->architecture, candidate->classifier) == 0
                                 : strcmp(config->model_type, candidate->model_type) == 0;
}

static bool is_encoder(const cei_config *config, const cei_architecture *candidate) {
    if (!is_meant(config, candidate)) return false;
    return *config->model_type ? strcmp(config->model_type, candidate->model_type) == 0
                               : strcmp(config->architecture, candidate->encoder) == 0 ||
                                     strcmp(config->architecture, candidate->classifier) == 0;
}

/* Each model_type once: those that share one stand together. */
static void list_types(char *list, size_t size) {
    const char *last = "";
    for (size_t i = 0; i < ARCHITECTURES; i++) {
        const char *type = architectures[i]->model_type;
        if (strcmp(type, last) == 0) continue;
        const size_t used = strlen(list);
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", type);
        last = type;
    }
}

/* The class that is read as a classifier of a config's model_type; NULL if there is none. */
static const char *classifier_of_type(const cei_config *config) {
    for (size_t i = 0; i < ARCHITECTURES; i++)
        if (strcmp(config->model_type, architectures[i]->model_type) == 0 && is_meant(config, architectures[i]))
            return architectures[i]->classifier;
    return NULL;
}

static bool is_known_encoder(const char *architecture) {
    for (size_t i = 0; i < ARCHITECTURES; i++)
        if (strcmp(architecture, architectures[i]->encoder) == 0) return true;
    return false;
}

static ce_status fail_unknown(const cei_config *config, bool encoder, ce_error *error) {
    char types[400] = "";
    const char *why = "supported types: ", *names = types;
    list_types(types, sizeof types);
    if (!encoder && is_known_encoder(config->architecture)) {
        why = "it is an encoder without a classifier; a bi-encoder is loaded with ce_encoder_load (crossenc encode, "
              "SentenceTransformer)";
        names = "";
    } else if (!encoder && classifier_of_type(config)) {
        why = "supported of this type: ";
        names = classifier_of_type(config);
    }
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s: architecture \"%.64s\" (model_type \"%.64s\") is not supported; %s%s", config->path,
                    config->architecture, config->model_type, why, names);
}

ce_status cei_architecture_find(const cei_config *config, const cei_architecture **architecture, ce_error *error) {
    for (size_t i = 0; i < ARCHITECTURES; i++)
        if (is_classifier(config, *architecture = architectures[i])) return CE_OK;
    return fail_unknown(config, false, error);
}

ce_status cei_architecture_find_encoder(const cei_config *config, const cei_architecture **architecture,
                                        ce_error *error) {
    for (size_t i = 0; i < ARCHITECTURES; i++)
        if (is_encoder(config, *architecture = architectures[i])) return CE_OK;
    return fail_unknown(config, true, error);
}
