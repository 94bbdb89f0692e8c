/* modules_transformer.c - the settings of a Transformer module, and of the LogitScore behind a causal one.
 *
 * Says whether texts go through a chat template, and how; must not read the template. */
#include "model/modules_parts.h"

#include "base/error.h"
#include "text/components.h"

#include <string.h>

/* ---- messages ------------------------------------------------------------------------------------------------ */

/* object[key] if it is an object; NULL if it is absent or null. */
static ce_status read_object(const cei_modules_reader *in, const cei_modules_file *file, const json_t *object,
                             const char *key, json_t **found) {
    *found = json_object_get(object, key);
    if (json_is_null(*found)) *found = NULL;
    if (!*found || json_is_object(*found)) return CE_OK;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"%s\" must be an object, and is %s", file->path, key,
                    cei_json_type(*found));
}

/* modality_config: only where it names messages are texts made to messages. Files without it are older. */
static ce_status read_modalities(const cei_modules_reader *in, const cei_modules_file *file) {
    json_t *modalities, *message = NULL;
    const char *format = NULL;
    ce_status status = read_object(in, file, file->root, "modality_config", &modalities);
    if (status == CE_OK) status = read_object(in, file, modalities, "message", &message);
    if (status == CE_OK) status = cei_json_string(message, "format", file->path, &format, in->error);
    in->to->reads_messages = message != NULL;
    if (status != CE_OK || !format || strcmp(format, "auto") == 0) return status;
    return cei_modules_copy(in, format, &in->to->message_format);
}

/* Of what is told to the tokenizer, a limit of tokens counts here; that it pads and truncates is taken for granted. */
static ce_status read_text_settings(const cei_modules_reader *in, const cei_modules_file *file, const json_t *text) {
    bool truncates = true;
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)text, key, value) {
        if (strcmp(key, "padding") == 0 || strcmp(key, "max_length") == 0) continue;
        if (strcmp(key, "truncation") != 0)
            return cei_modules_unsupported(in, file, "the setting of processing_kwargs.text", key);
        truncates =
            json_is_true(value) || (json_is_string(value) && strcmp(json_string_value(value), "longest_first") == 0);
    }
    if (!truncates) return cei_modules_unsupported(in, file, "processing_kwargs.text", "truncation");
    return cei_json_size(text, "max_length", 1, CEI_MODULES_MAX_SIZE, file->path, &in->to->max_length, in->error);
}

static ce_status read_processing(const cei_modules_reader *in, const cei_modules_file *file) {
    json_t *processing, *text = NULL, *chat = NULL;
    ce_status status = read_object(in, file, file->root, "processing_kwargs", &processing);
    if (status == CE_OK) status = read_object(in, file, processing, "chat_template", &chat);
    if (status == CE_OK) status = read_object(in, file, processing, "text", &text);
    if (status == CE_OK && text) status = read_text_settings(in, file, text);
    in->to->chat_settings = json_incref(chat);
    return status;
}

/* ---- the transformer ----------------------------------------------------------------------------------------- */

/* The first of these that is there is read: older versions named the file after the architecture. */
static const char *const transformer_files[] = {"sentence_bert_config.json",       "sentence_roberta_config.json",
                                                "sentence_distilbert_config.json", "sentence_camembert_config.json",
                                                "sentence_albert_config.json",     "sentence_xlm-roberta_config.json",
                                                "sentence_xlnet_config.json"};

/* What the transformer must do for the modules behind it, of which a cross-encoder's may be a causal model's. */
static ce_status read_task(const cei_modules_reader *in, const cei_modules_file *file) {
    const char *task = NULL;
    ce_status status = cei_json_string(file->root, "transformer_task", file->path, &task, in->error);
    if (status != CE_OK) return status;
    if (in->count == 2 && task && strcmp(task, "text-generation") == 0) {
        in->to->logits.is_read = true;
        return cei_modules_expect(in, file, "module_output_name", "causal_logits");
    }
    /* A cross-encoder's only module is transformers' own classifier. */
    if (in->count == 1) return cei_modules_expect(in, file, "transformer_task", "sequence-classification");
    status = cei_modules_expect(in, file, "transformer_task", "feature-extraction");
    return status == CE_OK ? cei_modules_expect(in, file, "module_output_name", "token_embeddings") : status;
}

ce_status cei_modules_read_transformer(const cei_modules_reader *in, const char *folder) {
    cei_modules_file file = {0};
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof transformer_files / sizeof *transformer_files && status == CE_OK && !file.root; i++) {
        cei_modules_file_close(&file);
        status = cei_modules_file_open(in, folder, transformer_files[i], &file);
    }
    if (status == CE_OK)
        status = cei_json_size(file.root, "max_seq_length", 1, CEI_MODULES_MAX_SIZE, file.path, &in->to->max_length,
                               in->error);
    if (status == CE_OK) status = cei_json_bool(file.root, "do_lower_case", file.path, &in->to->lowercase, in->error);
    if (status == CE_OK) status = read_task(in, &file);
    if (status == CE_OK && in->count > 0) status = read_modalities(in, &file);
    if (status == CE_OK && in->count > 0) status = read_processing(in, &file);
    cei_modules_file_close(&file);
    return status;
}

ce_status cei_modules_check_custom(const cei_modules_reader *in, const cei_modules_file *list, const char *type) {
    cei_modules_file config;
    ce_status status = cei_modules_file_open(in, "", "config.json", &config);
    const char *kind = json_string_value(json_object_get(config.root, "model_type"));
    const bool is_known =
        kind && strcmp(kind, "xlm-roberta") == 0 && json_is_array(json_object_get(config.root, "lora_adaptations"));
    cei_modules_file_close(&config);
    if (status != CE_OK || is_known) return status;
    return cei_modules_unsupported(in, list, "the module", type);
}

/* ---- LogitScore ---------------------------------------------------------------------------------------------- */

static ce_status read_token(const cei_modules_reader *in, const cei_modules_file *file, const char *key, int32_t *id) {
    size_t value = SIZE_MAX;
    ce_status status = cei_json_size(file->root, key, 0, CEI_TOKEN_ID_LIMIT - 1, file->path, &value, in->error);
    *id = value == SIZE_MAX ? -1 : (int32_t)value;
    return status;
}

ce_status cei_modules_read_logit_score(const cei_modules_reader *in, const char *folder) {
    cei_modules_file file;
    cei_token_logits *logits = &in->to->logits;
    ce_status status = cei_modules_file_open(in, folder, "config.json", &file);
    if (status == CE_OK && !file.root)
        status = cei_fail(in->error, CE_ERR_NOT_FOUND, "%s is not there, and modules.json names it", file.path);
    if (status == CE_OK) status = cei_modules_expect(in, &file, "module_input_name", "causal_logits");
    if (status == CE_OK) status = read_token(in, &file, "true_token_id", &logits->true_id);
    if (status == CE_OK) status = read_token(in, &file, "false_token_id", &logits->false_id);
    if (status == CE_OK && logits->true_id < 0)
        status = cei_fail(in->error, CE_ERR_FORMAT, "%s: \"true_token_id\" is missing", file.path);
    cei_modules_file_close(&file);
    return status;
}
