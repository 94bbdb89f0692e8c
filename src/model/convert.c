/* convert.c - ce_convert: a model folder is read and checked, another is written, checked, and given its name.
 *
 * Both checks are those of a load, in the precision that is written; the new folder's weights run a known input through
 * the portable reference besides. Relies on base/new_folder.h for appearing whole. */
#include "model/convert.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/model_files.h"
#include "base/new_file.h"
#include "model/architecture.h"
#include "model/gguf.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* As config.c has it. */
static const size_t max_config_bytes = (size_t)16 << 20;

/* ---- options ------------------------------------------------------------------------------------------------- */

static ce_status check_options(const ce_convert_options *options, ce_error *error) {
    ce_status status = cei_check_struct(options->size, sizeof *options, "ce_convert_options", error);
    if (status != CE_OK) return status;
    if (!ce_precision_name(options->precision))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_convert_options.precision is %d, which is no ce_precision",
                        (int)options->precision);
    if (!ce_gguf_type_name(options->gguf_type))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_convert_options.gguf_type is %d, which is no ce_gguf_type",
                        (int)options->gguf_type);
    if (options->gguf_type && options->precision)
        return cei_fail(error, CE_ERR_ARGUMENT, "a GGUF type (%s) and a precision (%s): give one of them",
                        ce_gguf_type_name(options->gguf_type), ce_precision_name(options->precision));
    if (ce_kind_name(options->kind)) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT, "ce_convert_options.kind is %d, which is no ce_kind", (int)options->kind);
}

/* One name must not lead to the other's folder. */
static ce_status check_difference(const char *from, const char *to, ce_error *error) {
    cei_file_identity a, b;
    if (cei_file_identify(from, &a, NULL) != CE_OK || cei_file_identify(to, &b, NULL) != CE_OK) return CE_OK;
    if (a.device != b.device || a.inode != b.inode) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT, "%s is the model that is read: choose another name for the result", to);
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

ce_status cei_convert_load(const char *path, const ce_convert_options *options, ce_model **model,
                           cei_checkpoint **checkpoint, ce_error *error) {
    const bool bi_encoder = options->kind == CE_KIND_BI_ENCODER;
    const ce_load_options how = {.size = sizeof how,
                                 .device = "cpu",
                                 .place = CE_PLACE_DEFERRED,
                                 .activation = bi_encoder ? CE_ACTIVATION_DEFAULT : CE_ACTIVATION_IDENTITY,
                                 .precision = options->precision,
                                 .threads = options->threads,
                                 .log = options->log,
                                 .log_user = options->log_user,
                                 .adapter = options->adapter};
    ce_status status = cei_model_load(path, &how, bi_encoder, model, error);
    if (status == CE_OK) status = cei_model_open_weights(*model, checkpoint, error);
    if (status != CE_OK || cei_checkpoint_is(*checkpoint, (*model)->identity)) return status;
    return cei_fail(error, CE_ERR_IO, "%s was changed while it was being read: convert it again",
                    cei_checkpoint_path(*checkpoint));
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static ce_status write_copy(const cei_map *map, cei_new_folder *folder, const char *name, ce_convert_report *report,
                            ce_error *error) {
    char *path = NULL;
    ce_status status = cei_new_folder_add(folder, name, &path, error);
    report->stage = CE_CONVERT_WRITING;
    if (status == CE_OK) status = cei_new_file_save(path, map->data, map->size, error);
    cei_free(path);
    if (status != CE_OK) return status;
    report->stage = CE_CONVERT_READING;
    report->files++;
    return CE_OK;
}

char *cei_convert_name(const char *folder, const char *name) {
    return *folder ? cei_join_path(folder, name) : cei_copy_string(name, strlen(name));
}

/* The path of inner/name in the model: to be freed; NULL if there is no memory. Under an adapter the files of the
 * tokenizer are where the tokenizer was read. */
static char *path_of(const ce_model *model, const char *inner, const char *name) {
    char *own = *inner ? cei_join_path(model->path, inner) : cei_copy_string(model->path, strlen(model->path));
    const char *folder = own;
    const bool is_transformer = own && strcmp(inner, cei_modules_transformer(&model->modules)) == 0;
    const char *part;
    for (size_t i = 0; is_transformer && (part = cei_model_file(CEI_FILE_PART, i)); i++)
        if (strcmp(name, part) == 0) folder = cei_model_tokenizer_folder(model, own);
    char *path = folder ? cei_join_path(folder, name) : NULL;
    cei_free(own);
    return path;
}

/* Copies folder/name of the model, if it is there. */
static ce_status copy_file(const cei_convert_source *source, const char *inner, const char *name,
                           cei_new_folder *folder, ce_convert_report *report, ce_error *error) {
    cei_map map = {0};
    char *to = cei_convert_name(inner, name), *from = to ? path_of(source->model, inner, name) : NULL;
    ce_status status = from ? CE_OK : cei_fail_memory(error, source->model->path, 0);
    if (status == CE_OK && cei_file_exists(from)) {
        status = cei_map_open(&map, from, error);
        if (status == CE_OK) status = write_copy(&map, folder, to, report, error);
    }
    cei_map_close(&map);
    cei_free(from);
    cei_free(to);
    return status;
}

/* A file of the new folder that the source says in another form. */
static ce_status write_text(const cei_json_out *text, cei_new_folder *folder, const char *name,
                            ce_convert_report *report, ce_error *error) {
    const cei_map map = {.data = (const uint8_t *)text->data, .size = text->size};
    return text->is_short ? cei_fail_memory(error, name, 0) : write_copy(&map, folder, name, report, error);
}

/* ---- the config of a model with an adapter ---------------------------------------------------------------------- */

static int append_json(const char *data, size_t size, void *user) {
    cei_json_put_bytes(user, data, size);
    return 0;
}

/* Sets object[key] to value, which is taken; false if there is no memory. */
static bool set_json(json_t *object, const char *key, json_t *value) {
    return value && json_object_set_new(object, key, value) == 0;
}

/* The classifier that the adapter may have brought, and its labels. */
static bool set_classifier(const ce_model *model, json_t *config) {
    json_t *names = json_object(), *numbers = json_object();
    bool good = names && numbers;
    for (size_t i = 0; i < model->config.num_labels && good; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        good = set_json(names, key, json_string(model->config.labels[i])) &&
               set_json(numbers, model->config.labels[i], json_integer((json_int_t)i));
    }
    good =
        good && set_json(config, "architectures", json_pack("[s]", model->blueprint.network->architecture->classifier));
    good = good && json_object_set(config, "id2label", names) == 0 && json_object_set(config, "label2id", numbers) == 0;
    json_object_del(config, "num_labels");
    json_decref(names);
    json_decref(numbers);
    return good;
}

/* The config of the model that the adapter changes, with what the adapter decides. */
static ce_status write_adapted_config(const cei_convert_source *source, const char *inner, cei_new_folder *folder,
                                      ce_convert_report *report, ce_error *error) {
    const ce_model *model = source->model;
    const bool classifies = !model->bi_encoder && !cei_modules_are_head(&model->modules);
    json_t *config = NULL;
    cei_json_out text = {0};
    char *name = cei_convert_name(inner, "config.json");
    ce_status status = name ? cei_json_load(model->config.path, max_config_bytes, &config, error)
                            : cei_fail_memory(error, "a config", 0);
    if (status == CE_OK && classifies && !set_classifier(model, config)) status = cei_fail_memory(error, "a config", 0);
    if (status == CE_OK && json_dump_callback(config, append_json, &text, JSON_INDENT(2)) != 0)
        status = cei_fail_memory(error, "a config", 0);
    if (status == CE_OK) status = write_text(&text, folder, name, report, error);
    cei_free(text.data);
    cei_free(name);
    json_decref(config);
    return status;
}

/* ---- folders ---------------------------------------------------------------------------------------------------- */

/* Files beside the weights are copied if they are there; nothing is that is not known to belong to a model. Of a
 * bi-encoder that is no more than a transformer, files that say something else are left out. */
static ce_status copy_folder(const cei_convert_source *source, const char *inner, cei_new_folder *folder,
                             ce_convert_report *report, ce_error *error) {
    const ce_model *model = source->model;
    const bool has_layout = !model->bi_encoder || model->modules.is_listed;
    const bool is_adapted = model->adapter.folder && strcmp(inner, cei_modules_transformer(&model->modules)) == 0;
    const unsigned uses = has_layout ? CEI_FILE_ANY : CEI_FILE_PART | CEI_FILE_PEOPLE;
    const char *name;
    ce_status status = CE_OK;
    for (size_t i = 0; status == CE_OK && (name = cei_model_file(uses, i)); i++)
        status = is_adapted && strcmp(name, "config.json") == 0
                     ? write_adapted_config(source, inner, folder, report, error)
                     : copy_file(source, inner, name, folder, report, error);
    return status;
}

static void put_modules(cei_json_out *list, bool normalizes) {
    cei_json_put(list, "[\n  {\"idx\": 0, \"name\": \"0\", \"path\": \"\", "
                       "\"type\": \"sentence_transformers.models.Transformer\"},\n"
                       "  {\"idx\": 1, \"name\": \"1\", \"path\": \"1_Pooling\", "
                       "\"type\": \"sentence_transformers.models.Pooling\"}");
    if (normalizes)
        cei_json_put(list, ",\n  {\"idx\": 2, \"name\": \"2\", \"path\": \"2_Normalize\", "
                           "\"type\": \"sentence_transformers.models.Normalize\"}");
    cei_json_put(list, "\n]\n");
}

static void put_pooling(cei_json_out *pooling, const cei_gguf_model *file) {
    cei_json_put(pooling, "{\n  \"embedding_dimension\": ");
    cei_json_put_number(pooling, file->hidden);
    cei_json_put(pooling, ",\n  \"pooling_mode\": \"");
    cei_json_put(pooling, file->pooling);
    cei_json_put(pooling, "\",\n  \"include_prompt\": true\n}\n");
}

/* What a bi-encoder's folder says beside its transformer. */
static ce_status write_pooling(const cei_gguf_model *file, cei_new_folder *folder, ce_convert_report *report,
                               ce_error *error) {
    static const char settings_name[] = "config_sentence_transformers.json";
    cei_json_out list = {0}, limit = {0}, pooling = {0}, settings = {0};
    put_modules(&list, file->normalizes);
    cei_json_put(&limit, "{\n  \"max_seq_length\": ");
    cei_json_put_number(&limit, file->max_length);
    cei_json_put(&limit, ",\n  \"do_lower_case\": false\n}\n");
    put_pooling(&pooling, file);
    cei_json_put_bytes(&settings, file->settings.data, file->settings.size);
    ce_status status = write_text(&list, folder, "modules.json", report, error);
    if (status == CE_OK) status = write_text(&limit, folder, "sentence_bert_config.json", report, error);
    if (status == CE_OK) status = write_text(&pooling, folder, "1_Pooling/config.json", report, error);
    if (status == CE_OK && file->settings.data) status = write_text(&settings, folder, settings_name, report, error);
    cei_free(list.data);
    cei_free(limit.data);
    cei_free(pooling.data);
    cei_free(settings.data);
    return status;
}

/* The files of a folder that a GGUF file stands for. */
static ce_status write_files(const ce_model *model, cei_new_folder *folder, ce_convert_report *report,
                             ce_error *error) {
    cei_gguf_model file;
    ce_status status = cei_gguf_model_open(model->gguf, model->bi_encoder, &file, error);
    if (status != CE_OK) return status;
    status = write_text(&file.config, folder, "config.json", report, error);
    if (status == CE_OK && file.tokenizer_json.size > 0)
        status = write_text(&file.tokenizer_json, folder, "tokenizer.json", report, error);
    if (status == CE_OK && file.pieces.size > 0)
        status = write_text(&file.pieces, folder, "tokenizer.model", report, error);
    if (status == CE_OK) status = write_text(&file.tokenizer_config, folder, "tokenizer_config.json", report, error);
    if (status == CE_OK && model->bi_encoder) status = write_pooling(&file, folder, report, error);
    cei_gguf_model_close(&file);
    return status;
}

/* A folder's matrix of logits has the rows of all words; and the folder of a cross-encoder that is made of one file has
 * no modules, beside which its prompts would be. */
static ce_status check_words(const cei_convert_source *source, ce_error *error) {
    const ce_model *model = source->model;
    if (model->modules.logits.is_read && cei_checkpoint_find(source->checkpoint, CEI_GGUF_WORDS))
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s has the logits of \"yes\" and \"no\" alone (%s), and a folder would need those of all "
                        "words: it can be scored with, and not become a folder",
                        model->path, CEI_GGUF_WORDS);
    if (!model->gguf || model->bi_encoder || model->modules.prompt_count == 0) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s has prompts (%s), for which the folder of a cross-encoder that is made of it has no place",
                    model->path, CEI_GGUF_SETTINGS);
}

static ce_status write_folder(const cei_convert_source *source, cei_new_folder *folder, ce_convert_report *report,
                              ce_error *error) {
    const cei_modules *modules = &source->model->modules;
    ce_status status = cei_convert_weights(source, folder, report, error);
    if (status == CE_OK && source->model->gguf) return write_files(source->model, folder, report, error);
    if (status == CE_OK) status = copy_folder(source, "", folder, report, error);
    if (status == CE_OK && *cei_modules_transformer(modules))
        status = copy_folder(source, modules->transformer, folder, report, error);
    for (size_t i = 0; i < modules->folder_count && status == CE_OK; i++)
        status = copy_file(source, modules->folders[i], "config.json", folder, report, error);
    return status;
}

/* ---- the check of what was written ---------------------------------------------------------------------------- */

ce_status cei_convert_probe(const ce_model *model, const cei_checkpoint *checkpoint, const char *from, float **logits,
                            ce_error *error) {
    const size_t count = CEI_PROBE_SEQUENCES * model->blueprint.network->head.outputs;
    *logits = cei_alloc(count, sizeof **logits);
    if (!*logits) return cei_fail_memory(error, "the self-test", count * sizeof **logits);
    ce_status status = cei_probe_reference(&model->blueprint, checkpoint, false, *logits, error);
    if (status != CE_OK || cei_probe_is_finite(&model->blueprint, *logits)) return status;
    return cei_fail(error, CE_ERR_MODEL,
                    "%s: a known input gives a value that is no number: the weights have NaN or infinity, or values "
                    "that the new form does not hold",
                    from);
}

static ce_status check_result(const char *path, const char *from, const ce_convert_options *options, ce_error *error) {
    ce_convert_options quiet = *options; /* what is worth saying was said of the source */
    ce_model *model = NULL;
    cei_checkpoint *checkpoint = NULL;
    float *logits = NULL;
    quiet.log = NULL;
    quiet.adapter = NULL;
    ce_status status = cei_convert_load(path, &quiet, &model, &checkpoint, error);
    if (status == CE_OK) status = cei_convert_probe(model, checkpoint, from, &logits, error);
    cei_free(logits);
    cei_checkpoint_close(checkpoint);
    ce_model_free(model);
    return status;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

static ce_status publish(const cei_convert_source *source, cei_new_folder *folder, ce_convert_report *report,
                         ce_error *error) {
    bool left = false;
    ce_status status = cei_new_folder_publish(folder, &left, error);
    if (status != CE_OK) return status;
    report->stage = CE_CONVERT_DONE;
    if (left)
        cei_log_line(&source->model->blueprint.log, CE_LOG_WARNING,
                     "%s was replaced, and what was there could not be removed whole: it is %s now", folder->target,
                     folder->path);
    return CE_OK;
}

static ce_status convert(const char *from, const char *to, const ce_convert_options *options, ce_convert_report *report,
                         ce_error *error) {
    static const char *const marks[] = {"config.json", "modules.json", NULL};
    ce_model *model = NULL;
    cei_checkpoint *checkpoint = NULL;
    cei_new_folder folder = {0};
    ce_status status = cei_convert_load(from, options, &model, &checkpoint, error);
    if (status != CE_OK) goto done;
    const cei_convert_source source = {model, checkpoint, options, NULL};
    report->precision = model->blueprint.precision;
    report->kind = options->kind;
    report->tensors_dropped = model->tensors_unused;
    report->bytes_before = model->file_bytes;
    status = check_words(&source, error);
    if (status != CE_OK) goto done;
    report->stage = CE_CONVERT_WRITING;
    status = cei_new_folder_create(&folder, to, options->overwrite ? marks : NULL, error);
    if (status != CE_OK) goto done;
    report->stage = CE_CONVERT_READING;
    status = write_folder(&source, &folder, report, error);
    if (status != CE_OK) goto done;
    status = check_result(folder.path, from, options, error);
    if (status != CE_OK) goto done;
    report->stage = CE_CONVERT_WRITING;
    status = publish(&source, &folder, report, error);
done:
    cei_new_folder_free(&folder);
    cei_checkpoint_close(checkpoint);
    ce_model_free(model);
    return status;
}

ce_status ce_convert(const char *from, const char *to, const ce_convert_options *options, ce_convert_report *report,
                     ce_error *error) {
    static const ce_convert_options defaults = {.size = sizeof defaults};
    ce_convert_report found = {0};
    if (!from || !to) return cei_fail(error, CE_ERR_ARGUMENT, "ce_convert: %s is NULL", from ? "to" : "from");
    if (!options) options = &defaults;
    ce_status status = check_options(options, error);
    if (status == CE_OK && report) status = cei_check_struct(report->size, sizeof *report, "ce_convert_report", error);
    if (status != CE_OK) return status;
    ce_convert_options resolved = *options;
    if (options->gguf_type && !cei_model_file_is_gguf(to))
        return cei_fail(error, CE_ERR_ARGUMENT,
                        "%s does not end with \".gguf\", and the type %s is one of GGUF files: name one", to,
                        ce_gguf_type_name(options->gguf_type));
    status = check_difference(from, to, error);
    if (status == CE_OK && !resolved.kind) status = ce_kind_find(from, &resolved.kind, error);
    if (status == CE_OK)
        status = cei_model_file_is_gguf(to) ? cei_convert_to_gguf(from, to, &resolved, &found, error)
                                            : convert(from, to, &resolved, &found, error);
    found.size = report ? report->size : sizeof found;
    if (report) *report = found;
    return status;
}
