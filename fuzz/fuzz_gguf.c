/* fuzz_gguf.c - a GGUF file: tensors that lie in it and can be read to their last byte, metadata of which each string
 * can be read, a config and a tokenizer that their readers take or refuse; or an error. */
#include "fuzz.h"

#include "base/memory.h"
#include "model/config.h"
#include "model/gguf.h"
#include "model/modules.h"
#include "text/spec.h"

#include <string.h>

static void check_tensors(const cei_gguf *file, const uint8_t *data, size_t size) {
    uint64_t sum = 0;
    const uint8_t *end = data + size;
    for (size_t i = 0; i < file->tensor_count; i++) {
        const cei_tensor *tensor = &file->tensors[i];
        fuzz_require(tensor->rank >= 1 && tensor->rank <= CEI_MAX_RANK && tensor->name && tensor->dtype);
        fuzz_require(tensor->data > data && tensor->data <= end && tensor->bytes <= (uint64_t)(end - tensor->data));
        for (uint64_t k = 0; k < tensor->bytes; k++) sum += tensor->data[k];
    }
    volatile uint64_t kept = sum; /* so that the reads stay */
    (void)kept;
}

static void check_pairs(const cei_gguf *file, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < file->pair_count; i++) {
        const cei_gguf_value *value = &file->pairs[i].value;
        const uint8_t *at = value->data;
        for (size_t k = 0; value->type == CEI_GGUF_STRING && k < value->count; k++) {
            const cei_gguf_text text = cei_gguf_next_string(&at);
            fuzz_require(text.size <= (size_t)(data + size - (const uint8_t *)text.data));
        }
    }
}

static void check_tokenizer(const cei_gguf *file, bool is_decoder) {
    cei_json_out json = {0}, config = {0}, pieces = {0}, chat = {0};
    ce_error error = {CE_OK, ""};
    bool is_flat;
    const cei_gguf_tokenizer to = {.file = file,
                                   .context = 64,
                                   .has_types = true,
                                   .is_decoder = is_decoder,
                                   .tokenizer_json = &json,
                                   .tokenizer_config = &config,
                                   .pieces = &pieces,
                                   .chat = &chat};
    ce_status status = is_decoder ? cei_gguf_write_chat(file, &chat, &is_flat, &error) : CE_OK;
    if (status == CE_OK) status = cei_gguf_write_tokenizer(&to, &error);
    fuzz_check_error(status, &error);
    if (status == CE_OK) {
        cei_tokenizer *tokenizer = NULL;
        const cei_tokenizer_files files = {.tokenizer_json = {"tokenizer.json", json.data, json.size},
                                           .pieces = {"tokenizer.model", pieces.data, pieces.size},
                                           .tokenizer_config = {"tokenizer_config.json", config.data, config.size}};
        fuzz_check_error(cei_tokenizer_parse(&files, &tokenizer, &error), &error);
        cei_tokenizer_free(tokenizer);
    }
    cei_free(json.data);
    cei_free(config.data);
    cei_free(pieces.data);
    cei_free(chat.data);
}

static void check_modules(const cei_gguf_model *model, bool bi_encoder) {
    ce_error error = {CE_OK, ""};
    cei_modules modules = {.is_listed = false};
    const cei_modules_said said = {
        "file", model->pooling, model->max_length, model->normalizes, model->settings.data, model->settings.size};
    ce_status status =
        bi_encoder ? cei_modules_set(&said, &modules, &error) : cei_modules_set_prompts(&said, &modules, &error);
    fuzz_check_error(status, &error);
    cei_modules_free(&modules);
}

static void check_config(const cei_gguf *file, bool bi_encoder) {
    ce_error error = {CE_OK, ""};
    const cei_log log = {NULL, NULL};
    cei_config config;
    cei_gguf_model model = {.file = *file};
    ce_status status = cei_gguf_write_config(&model, bi_encoder, &error);
    fuzz_check_error(status, &error);
    if (status == CE_OK) {
        fuzz_check_error(cei_config_parse(model.config.data, model.config.size, "config.json", &log, &config, &error),
                         &error);
        cei_config_free(&config);
        check_modules(&model, bi_encoder);
    }
    cei_free(model.config.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cei_gguf file;
    ce_error error = {CE_OK, ""};
    ce_status status = cei_gguf_parse(data, size, "file", &file, &error);
    fuzz_check_error(status, &error);
    fuzz_require(status == CE_OK || (!file.tensors && !file.pairs));
    if (status != CE_OK) return 0;
    check_tensors(&file, data, size);
    check_pairs(&file, data, size);
    check_tokenizer(&file, false);
    check_tokenizer(&file, true);
    check_config(&file, false);
    check_config(&file, true);
    cei_gguf_close(&file);
    return 0;
}
