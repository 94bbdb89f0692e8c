/* gguf.c - finds, opens and closes the GGUF file of a model. Relies on gguf_config.c and gguf_tokenizer.c for the
 * translation. */
#include "model/gguf.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/model_files.h"

#include <dirent.h>
#include <string.h>

/* ---- finding ------------------------------------------------------------------------------------------------- */

/* The files of a folder that are called so: how many, and a copy of the first name that was met, NULL without memory.
 */
static size_t list(const char *folder, char **name) {
    size_t count = 0;
    DIR *open = opendir(folder);
    *name = NULL;
    for (const struct dirent *entry; open && (entry = readdir(open)) != NULL;) {
        if (!cei_model_file_is_gguf(entry->d_name)) continue;
        if (count++ == 0) *name = cei_copy_string(entry->d_name, strlen(entry->d_name));
    }
    if (open) closedir(open);
    return count;
}

/* The only such file of a folder. One with config.json, or modules.json, is a model without it. */
static ce_status find_in(const char *folder, char **file, ce_error *error) {
    char *name;
    bool has_config = false, has_modules = false;
    ce_status status = cei_file_find(folder, "config.json", &has_config, error);
    if (status == CE_OK) status = cei_file_find(folder, "modules.json", &has_modules, error);
    if (status != CE_OK || has_config || has_modules) return status;
    const size_t count = list(folder, &name);
    if (count == 1) *file = name ? cei_join_path(folder, name) : NULL;
    cei_free(name);
    if (count > 1)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s has %zu GGUF files: name the one that is wanted", folder, count);
    return count == 0 || *file ? CE_OK : cei_fail_memory(error, folder, 0);
}

ce_status cei_gguf_find_file(const char *path, char **file, ce_error *error) {
    *file = NULL;
    if (cei_check_folder(path, NULL) == CE_OK) return find_in(path, file, error);
    if (!cei_file_exists(path) || (!cei_model_file_is_gguf(path) && !cei_gguf_is(path))) return CE_OK;
    *file = cei_copy_string(path, strlen(path));
    return *file ? CE_OK : cei_fail_memory(error, path, 0);
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

/* A file in parts, or one that is no model. */
static ce_status check_kind(const cei_gguf *file, ce_error *error) {
    size_t parts = 1;
    cei_gguf_text type = {"model", 5};
    ce_status status = cei_gguf_size(file, "split.count", 1 << 16, &parts, error);
    if (status == CE_OK) status = cei_gguf_string(file, "general.type", &type, error);
    if (status != CE_OK) return status;
    if (parts > 1)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s is one of %zu parts, which crossenc does not read: put them together first", file->path,
                        parts);
    if (type.size == 5 && memcmp(type.data, "model", 5) == 0) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED, "%s is no model but of the type \"%.*s\"", file->path,
                    (int)cei_min_size(type.size, 60), type.data);
}

ce_status cei_gguf_model_open(const char *file, bool bi_encoder, cei_gguf_model *model, ce_error *error) {
    *model = (cei_gguf_model){0};
    ce_status status = cei_gguf_open(file, &model->file, error);
    if (status == CE_OK) status = check_kind(&model->file, error);
    if (status == CE_OK) status = cei_gguf_write_config(model, bi_encoder, error);
    if (status == CE_OK && model->form->is_decoder)
        status = cei_gguf_write_chat(&model->file, &model->chat, &model->chat_is_flat, error);
    if (status == CE_OK) {
        const cei_gguf_tokenizer to = {.file = &model->file,
                                       .context = model->max_length,
                                       .has_types = model->types > 1,
                                       .is_decoder = model->form->is_decoder,
                                       .is_gemma = model->form->is_more,
                                       .chat = &model->chat,
                                       .tokenizer_json = &model->tokenizer_json,
                                       .tokenizer_config = &model->tokenizer_config,
                                       .pieces = &model->pieces};
        status = cei_gguf_write_tokenizer(&to, error);
    }
    if (status != CE_OK) cei_gguf_model_close(model);
    return status;
}

void cei_gguf_model_close(cei_gguf_model *model) {
    cei_gguf_close(&model->file);
    cei_free(model->config.data);
    cei_free(model->tokenizer_json.data);
    cei_free(model->tokenizer_config.data);
    cei_free(model->pieces.data);
    cei_free(model->chat.data);
    *model = (cei_gguf_model){0};
}

cei_tokenizer_files cei_gguf_tokenizer_files(const cei_gguf_model *model) {
    const char *path = model->file.path;
    return (cei_tokenizer_files){.tokenizer_json = {path, model->tokenizer_json.data, model->tokenizer_json.size},
                                 .pieces = {path, model->pieces.data, model->pieces.size},
                                 .tokenizer_config = {path, model->tokenizer_config.data, model->tokenizer_config.size},
                                 .model_config = {path, model->config.data, model->config.size}};
}

ce_status cei_gguf_is_bi_encoder(const char *file, bool *is, ce_error *error) {
    cei_gguf gguf;
    ce_status status = cei_gguf_open(file, &gguf, error);
    *is = status == CE_OK && !cei_gguf_tensor(&gguf, "cls.weight") && !cei_gguf_tensor(&gguf, "cls.output.weight");
    if (status == CE_OK) cei_gguf_close(&gguf);
    return status;
}
