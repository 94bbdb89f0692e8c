/* chat_load.c - what a model that reads prompts needs beside its network: words whose logits count, a chat template.
 *
 * Relies on text/chat.h. A causal model must have both; a classifier whose template is for other roles is given pairs
 * as before there were templates. */
#include "base/error.h"
#include "model/model.h"

/* A folder without modules is read as the reference does: by the logits of "yes" and "no". */
static ce_status find_words(ce_model *model, ce_error *error) {
    cei_token_logits *logits = &model->modules.logits;
    if (!logits->is_read || model->modules.is_listed) return CE_OK;
    logits->true_id = cei_tokenizer_find(model->tokenizer, "yes");
    logits->false_id = cei_tokenizer_find(model->tokenizer, "no");
    if (logits->true_id >= 0 && logits->false_id >= 0) return CE_OK;
    return cei_fail(
        error, CE_ERR_MODEL,
        "%s: its tokenizer has no token \"%s\", whose logit a causal model's score is made of; name others in "
        "modules.json, with a LogitScore",
        model->path, logits->true_id < 0 ? "yes" : "no");
}

static ce_status answer_unfit(const ce_model *model, const char *reason, ce_error *error) {
    if (model->modules.logits.is_read)
        return cei_fail(error, CE_ERR_MODEL,
                        "%s: its chat template cannot carry a query and a document (%.300s); put one beside the model "
                        "that renders messages with the roles \"query\" and \"document\"",
                        model->path, reason);
    cei_log_line(&model->blueprint.log, CE_LOG_WARNING,
                 "%s: its chat template is not used, for it cannot carry a query and a document (%.200s)", model->path,
                 reason);
    return CE_OK;
}

ce_status cei_model_load_chat(ce_model *model, const char *folder, ce_error *error) {
    const cei_modules *modules = &model->modules;
    const cei_chat_settings settings = {modules->message_format, modules->chat_settings, folder};
    char reason[CE_ERROR_MESSAGE_SIZE] = "";
    ce_status status = find_words(model, error);
    if (status == CE_OK && modules->reads_messages)
        status = cei_chat_load(folder, model->tokenizer, &settings, &model->chat, reason, error);
    return status == CE_OK && *reason ? answer_unfit(model, reason, error) : status;
}

ce_status cei_model_parse_chat(ce_model *model, ce_text text, ce_error *error) {
    const cei_chat_settings settings = {model->modules.message_format, NULL, model->path};
    char reason[CE_ERROR_MESSAGE_SIZE] = "";
    ce_status status = find_words(model, error);
    if (status == CE_OK && text.size > 0)
        status = cei_chat_parse(text, model->tokenizer, &settings, &model->chat, reason, error);
    return status == CE_OK && *reason ? answer_unfit(model, reason, error) : status;
}
