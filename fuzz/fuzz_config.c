/* fuzz_config.c - config.json: what is accepted is whole and in range. */
#include "fuzz.h"

#include "model/config.h"

#include <string.h>

static void count_line(void *user, ce_log_level level, const char *message) {
    fuzz_require(level <= CE_LOG_WARNING && message[0] != '\0');
    ++*(int *)user;
}

static void check_config(const cei_config *config) {
    fuzz_require(config->path && config->architecture && config->model_type && config->position_embedding);
    fuzz_require(config->num_labels >= 1 && config->labels);
    for (size_t i = 0; i < config->num_labels; i++) fuzz_require(config->labels[i] != NULL);
    fuzz_require(config->hidden_act < CEI_FN_COUNT);
    fuzz_require(config->activation > CE_ACTIVATION_DEFAULT && config->activation <= CE_ACTIVATION_SOFTMAX);
    fuzz_require(config->layer_norm_eps >= 0 && config->layer_norm_eps <= 1);
    fuzz_require(!config->decoder.is_on || (config->decoder.window != 1 && config->decoder.score_cap >= 0));
    fuzz_require(config->hidden_size <= (size_t)1 << 28 && config->vocab_size <= (size_t)1 << 28);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int lines = 0;
    cei_log log = {count_line, &lines};
    ce_error error = {CE_OK, ""};
    cei_config config;
    ce_status status = cei_config_parse((const char *)data, size, "config.json", &log, &config, &error);
    fuzz_check_error(status, &error);
    if (status == CE_OK) {
        check_config(&config);
        fuzz_check_error(cei_config_set_labels(&config, 3, &error), &error);
        check_config(&config);
    }
    cei_config_free(&config);
    return 0;
}
