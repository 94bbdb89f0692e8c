/* architecture.c - the list of architectures. */
#include "model/architecture.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const cei_architecture *const architectures[] = {&cei_bert};
enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

ce_status cei_architecture_find(const cei_config *config, const cei_architecture **architecture, ce_error *error) {
    char known[256] = "";
    for (size_t i = 0; i < ARCHITECTURES; i++) {
        const cei_architecture *candidate = architectures[i];
        bool named = strcmp(config->architecture, candidate->name) == 0;
        if (named || (!*config->architecture && strcmp(config->model_type, candidate->model_type) == 0)) {
            *architecture = candidate;
            return CE_OK;
        }
        size_t length = strlen(known);
        snprintf(known + length, sizeof known - length, "%s%s", length ? ", " : "", candidate->name);
    }
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s: architecture \"%.64s\" (model_type \"%.64s\") is not supported; supported: %s", config->path,
                    config->architecture, config->model_type, known);
}
