/* modules_settings.c - config_sentence_transformers.json: prompts, similarity, truncated dimension.
 *
 * Relies on base/json.h. Must not look at modules. */
#include "model/modules_parts.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

enum { MOST_PROMPTS = 1024 };

static ce_status read_texts(const cei_modules_reader *in, const cei_modules_file *file) {
    const json_t *prompts = json_object_get(file->root, "prompts");
    if (!prompts || json_is_null(prompts)) return CE_OK;
    if (!json_is_object(prompts) || json_object_size(prompts) > MOST_PROMPTS)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"prompts\" must be an object of at most %d texts, and is %s",
                        file->path, MOST_PROMPTS, json_is_object(prompts) ? "larger" : cei_json_type(prompts));
    in->to->prompts = cei_alloc_zeroed(json_object_size(prompts), sizeof *in->to->prompts);
    if (!in->to->prompts) return cei_fail_memory(in->error, "prompts", 0);
    const char *name;
    size_t length;
    const json_t *value;
    json_object_keylen_foreach((json_t *)(uintptr_t)prompts, name, length, value) {
        const char *text = ""; /* of null too */
        if (strlen(name) != length)
            return cei_fail(in->error, CE_ERR_FORMAT, "%s: the name of a prompt has a NUL in it", file->path);
        ce_status status = cei_json_string(prompts, name, file->path, &text, in->error);
        if (status != CE_OK) return status;
        cei_prompt *prompt = &in->to->prompts[in->to->prompt_count++];
        status = cei_modules_copy(in, name, &prompt->name);
        if (status == CE_OK) status = cei_modules_copy(in, text, &prompt->text);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

/* The reference gives these names to the empty text where a bi-encoder's folder doesn't say more. */
static bool is_given(const char *name) { return strcmp(name, "query") == 0 || strcmp(name, "document") == 0; }

static ce_status read_default_prompt(const cei_modules_reader *in, const cei_modules_file *file) {
    const char *name = NULL;
    ce_status status = cei_json_string(file->root, "default_prompt_name", file->path, &name, in->error);
    if (status != CE_OK || !name) return status;
    for (size_t i = 0; i < in->to->prompt_count; i++)
        if (strcmp(in->to->prompts[i].name, name) == 0) return cei_modules_copy(in, name, &in->to->default_prompt);
    if (in->count == 0 && is_given(name)) return CE_OK;
    return cei_fail(in->error, CE_ERR_MODEL, "%s: the default prompt \"%.96s\" is not among its prompts", file->path,
                    name);
}

/* Names that are for other kinds of models are passed over, as in the reference. */
static ce_status read_similarity(const cei_modules_reader *in, const cei_modules_file *file) {
    const char *name = NULL;
    ce_status status = cei_json_string(file->root, "similarity_fn_name", file->path, &name, in->error);
    for (int i = CE_SIMILARITY_COSINE; name && i <= CE_SIMILARITY_MANHATTAN; i++)
        if (strcmp(name, ce_similarity_name((ce_similarity)i)) == 0) in->to->similarity = (ce_similarity)i;
    return status;
}

ce_status cei_modules_read_prompts(const cei_modules_reader *in, const cei_modules_file *file) {
    ce_status status = read_texts(in, file);
    return status == CE_OK ? read_default_prompt(in, file) : status;
}

ce_status cei_modules_read_settings(const cei_modules_reader *in, const cei_modules_file *file) {
    ce_status status = cei_modules_read_prompts(in, file);
    if (status == CE_OK) status = read_similarity(in, file);
    if (status == CE_OK)
        status = cei_json_size(file->root, "truncate_dim", 1, CEI_MODULES_MAX_SIZE, file->path, &in->to->truncate_dim,
                               in->error);
    return status;
}
