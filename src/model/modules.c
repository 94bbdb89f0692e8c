/* modules.c - reads what Sentence Transformers writes beside a transformer, of a bi-encoder or a cross-encoder.
 *
 * Every module is checked as it is read: of a kind that is known, in a folder of its own inside the model's, working on
 * the sentence's embedding. Must not look at weights. */
#include "model/modules_parts.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum { MOST_MODULES = 32, MAX_SIZE = CEI_MODULES_MAX_SIZE };

ce_status cei_modules_file_open(const cei_modules_reader *in, const char *folder, const char *name,
                                cei_modules_file *file) {
    char *inner = cei_join_path(in->folder, folder);
    *file = (cei_modules_file){0};
    file->path = inner ? cei_join_path(*folder ? inner : in->folder, name) : NULL;
    cei_free(inner);
    if (!file->path) return cei_fail_memory(in->error, name, 0);
    if (!cei_file_exists(file->path)) return CE_OK;
    return cei_json_load(file->path, CEI_MODULES_MAX_FILE, &file->root, in->error);
}

void cei_modules_file_close(cei_modules_file *file) {
    json_decref(file->root);
    cei_free(file->path);
}

ce_status cei_modules_copy(const cei_modules_reader *in, const char *text, char **copy) {
    *copy = cei_copy_string(text, strlen(text));
    return *copy ? CE_OK : cei_fail_memory(in->error, "a model's settings", 0);
}

ce_status cei_modules_unsupported(const cei_modules_reader *in, const cei_modules_file *file, const char *what,
                                  const char *found) {
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: %s \"%.96s\" is not supported", file->path, what, found);
}

/* object[key] must be absent, null or wanted. */
ce_status cei_modules_expect(const cei_modules_reader *in, const cei_modules_file *file, const char *key,
                             const char *wanted) {
    const char *found = wanted;
    ce_status status = cei_json_string(file->root, key, file->path, &found, in->error);
    return status != CE_OK || strcmp(found, wanted) == 0 ? status : cei_modules_unsupported(in, file, key, found);
}

/* ---- pooling ------------------------------------------------------------------------------------------------- */

/* The reference's names, now and as booleans of older files, in the order in which those are joined. */
static const struct pooling_name {
    const char *name, *old;
    cei_pooling pooling;
} poolings[] = {
    {"cls", "pooling_mode_cls_token", CEI_POOL_FIRST},
    {"max", "pooling_mode_max_tokens", CEI_POOL_MAX},
    {"mean", "pooling_mode_mean_tokens", CEI_POOL_MEAN},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", CEI_POOL_MEAN_SQRT},
    {"weightedmean", "pooling_mode_weightedmean_tokens", CEI_POOL_WEIGHTED},
    {"lasttoken", "pooling_mode_lasttoken", CEI_POOL_LAST},
};
enum { POOLINGS = sizeof poolings / sizeof poolings[0], MEAN = 2 };

static void add_pooling(cei_modules *to, const struct pooling_name *pooling) {
    const size_t length = strlen(to->pooling);
    snprintf(to->pooling + length, sizeof to->pooling - length, "%s%s", length ? ", " : "", pooling->name);
    to->poolings[to->pooling_count++] = pooling->pooling;
}

static ce_status add_named_pooling(const cei_modules_reader *in, const cei_modules_file *file, const json_t *value) {
    const char *name = json_string_value(value);
    if (!name)
        return cei_fail(in->error, CE_ERR_FORMAT,
                        "%s: \"pooling_mode\" must be a name or an array of names, and has %s", file->path,
                        cei_json_type(value));
    if (in->to->pooling_count == CEI_POOL_COUNT)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: more than %d pooling modes", file->path, CEI_POOL_COUNT);
    for (size_t i = 0; i < POOLINGS; i++) {
        if (strcmp(name, poolings[i].name) != 0) continue;
        add_pooling(in->to, &poolings[i]);
        return CE_OK;
    }
    return cei_modules_unsupported(in, file, "pooling_mode", name);
}

static ce_status read_pooling_names(const cei_modules_reader *in, const cei_modules_file *file, const json_t *mode) {
    if (!json_is_array(mode)) return add_named_pooling(in, file, mode);
    if (json_array_size(mode) == 0)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"pooling_mode\" names no mode", file->path);
    const json_t *value;
    size_t i;
    json_array_foreach(mode, i, value) {
        ce_status status = add_named_pooling(in, file, value);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

static ce_status read_pooling_flags(const cei_modules_reader *in, const cei_modules_file *file) {
    for (size_t i = 0; i < POOLINGS; i++) {
        bool on = false;
        ce_status status = cei_json_bool(file->root, poolings[i].old, file->path, &on, in->error);
        if (status != CE_OK) return status;
        if (on) add_pooling(in->to, &poolings[i]);
    }
    return CE_OK;
}

static ce_status read_pooling(const cei_modules_reader *in, const char *folder) {
    cei_modules_file file;
    ce_status status = cei_modules_file_open(in, folder, "config.json", &file);
    const json_t *mode = json_object_get(file.root, "pooling_mode");
    if (status == CE_OK && !file.root)
        status = cei_fail(in->error, CE_ERR_NOT_FOUND, "%s is not there, and modules.json names it", file.path);
    if (status == CE_OK)
        status = mode && !json_is_null(mode) ? read_pooling_names(in, &file, mode) : read_pooling_flags(in, &file);
    if (status == CE_OK)
        status = cei_json_bool(file.root, "include_prompt", file.path, &in->to->includes_prompt, in->error);
    if (status == CE_OK && in->to->pooling_count == 0) add_pooling(in->to, &poolings[MEAN]);
    cei_modules_file_close(&file);
    return status;
}

/* ---- layers -------------------------------------------------------------------------------------------------- */

/* Modules of torch.nn that a dense layer may end with. */
static const struct function_class {
    const char *name;
    cei_function function;
} functions[] = {{"Identity", CEI_FN_IDENTITY}, {"Tanh", CEI_FN_TANH}, {"ReLU", CEI_FN_RELU},
                 {"GELU", CEI_FN_GELU},         {"SiLU", CEI_FN_SILU}, {"Sigmoid", CEI_FN_SIGMOID}};

static ce_status read_function(const cei_modules_reader *in, const cei_modules_file *file, cei_function *function) {
    const char *path = "torch.nn.modules.activation.Tanh";
    ce_status status = cei_json_string(file->root, "activation_function", file->path, &path, in->error);
    if (status != CE_OK) return status;
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && strncmp(path, "torch.nn.", 9) == 0 && i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(dot + 1, functions[i].name) != 0) continue;
        *function = functions[i].function;
        return CE_OK;
    }
    return cei_modules_unsupported(in, file, "activation_function", path);
}

static ce_status read_dense(const cei_modules_reader *in, const cei_modules_file *file, cei_module *layer) {
    bool residual = false;
    layer->bias = true;
    ce_status status = cei_json_size(file->root, "in_features", 1, MAX_SIZE, file->path, &layer->in, in->error);
    if (status == CE_OK)
        status = cei_json_size(file->root, "out_features", 1, MAX_SIZE, file->path, &layer->out, in->error);
    if (status == CE_OK) status = cei_json_bool(file->root, "bias", file->path, &layer->bias, in->error);
    if (status == CE_OK) status = cei_json_bool(file->root, "use_residual", file->path, &residual, in->error);
    if (status == CE_OK) status = read_function(in, file, &layer->function);
    if (status == CE_OK && residual) status = cei_modules_unsupported(in, file, "use_residual", "true");
    if (status == CE_OK && (!layer->in || !layer->out))
        status = cei_fail(in->error, CE_ERR_FORMAT, "%s: \"in_features\" or \"out_features\" is missing", file->path);
    return status;
}

static ce_status read_norm(const cei_modules_reader *in, const cei_modules_file *file, cei_module *layer) {
    ce_status status = cei_json_size(file->root, "dimension", 1, MAX_SIZE, file->path, &layer->in, in->error);
    if (status == CE_OK && !layer->in)
        status = cei_fail(in->error, CE_ERR_FORMAT, "%s: \"dimension\" is missing", file->path);
    return status;
}

/* The result of a cross-encoder's last module is named, for what is not said is "sentence_embedding". */
static ce_status expect_output(const cei_modules_reader *in, const cei_modules_file *file, bool gives_scores) {
    const char *found = "sentence_embedding";
    if (!gives_scores) return cei_modules_expect(in, file, "module_output_name", found);
    ce_status status = cei_json_string(file->root, "module_output_name", file->path, &found, in->error);
    if (status != CE_OK || strcmp(found, "scores") == 0) return status;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: the last module of a cross-encoder gives \"%.64s\", not scores",
                    file->path, found);
}

/* Appends a layer, in that folder. */
static ce_status add_layer(const cei_modules_reader *in, const char *folder, const cei_module *what) {
    cei_modules *to = in->to;
    void *layers = to->layers;
    const bool grown = cei_grow(&layers, &to->layer_capacity, to->layer_count + 1, sizeof *what);
    to->layers = layers;
    if (!grown) return cei_fail_memory(in->error, "a model's settings", 0);
    to->layers[to->layer_count] = *what;
    ce_status status = cei_modules_copy(in, folder, &to->layers[to->layer_count].folder);
    if (status == CE_OK) to->layer_count++;
    return status;
}

static ce_status read_layer(const cei_modules_reader *in, cei_head_kind kind, const char *folder, bool gives_scores) {
    cei_modules_file file;
    cei_module layer = {.kind = kind};
    ce_status status = cei_modules_file_open(in, folder, "config.json", &file);
    if (status == CE_OK && file.root) status = cei_modules_expect(in, &file, "module_input_name", "sentence_embedding");
    if (status == CE_OK && file.root) status = expect_output(in, &file, gives_scores);
    if (status == CE_OK && !file.root && kind != CEI_HEAD_NORMALIZE)
        status = cei_fail(in->error, CE_ERR_NOT_FOUND, "%s is not there, and modules.json names it", file.path);
    if (status == CE_OK && kind == CEI_HEAD_DENSE) status = read_dense(in, &file, &layer);
    if (status == CE_OK && kind == CEI_HEAD_NORM) status = read_norm(in, &file, &layer);
    if (status == CE_OK) status = add_layer(in, folder, &layer);
    cei_modules_file_close(&file);
    return status;
}

/* ---- modules.json -------------------------------------------------------------------------------------------- */

typedef enum module_class { TRANSFORMER, POOLING, LOGIT_SCORE, DENSE, NORM, NORMALIZE, DROPOUT, CLASSES } module_class;
static const char *const class_names[CLASSES] = {"Transformer", "Pooling",   "LogitScore", "Dense",
                                                 "LayerNorm",   "Normalize", "Dropout"};

/* "sentence_transformers.models.Pooling", or longer in newer files: the last part counts. */
static ce_status find_class(const cei_modules_reader *in, const cei_modules_file *file, const char *type,
                            module_class *class) {
    static const char package[] = "sentence_transformers.";
    const char *dot = strrchr(type, '.');
    *class = TRANSFORMER;
    if (strcmp(type, "custom_st.Transformer") == 0) return cei_modules_check_custom(in, file, type);
    for (int i = 0; i < CLASSES; i++) {
        *class = (module_class)i;
        if (dot && strncmp(type, package, strlen(package)) == 0 && strcmp(dot + 1, class_names[i]) == 0) return CE_OK;
    }
    return cei_modules_unsupported(in, file, "the module", type);
}

/* A folder's own name, or "" for the model's folder itself. */
static bool stays_inside(const char *path) {
    return !strchr(path, '/') && strcmp(path, ".") != 0 && strcmp(path, "..") != 0;
}

static ce_status add_folder(const cei_modules_reader *in, const char *path) {
    cei_modules *to = in->to;
    void *folders = to->folders;
    const bool grown = cei_grow(&folders, &to->folder_capacity, to->folder_count + 1, sizeof *to->folders);
    to->folders = folders;
    if (!grown) return cei_fail_memory(in->error, "a model's settings", 0);
    ce_status status = cei_modules_copy(in, path, &to->folders[to->folder_count]);
    if (status == CE_OK) to->folder_count++;
    return status;
}

static ce_status read_module(const cei_modules_reader *in, const cei_modules_file *file, size_t index,
                             const json_t *module) {
    const char *type = NULL, *path = NULL;
    module_class class = TRANSFORMER;
    ce_status status = cei_json_string(module, "type", file->path, &type, in->error);
    if (status == CE_OK) status = cei_json_string(module, "path", file->path, &path, in->error);
    if (status != CE_OK) return status;
    if (!type || !path)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: module %zu lacks its \"type\" or its \"path\"", file->path,
                        index);
    if (!stays_inside(path) || (index > 0 && !*path))
        return cei_fail(in->error, CE_ERR_FORMAT,
                        "%s: the path of module %zu must be a folder in the model's, and is "
                        "\"%.96s\"",
                        file->path, index, path);
    status = find_class(in, file, type, &class);
    if (status != CE_OK) return status;
    const module_class second = in->to->logits.is_read ? LOGIT_SCORE : POOLING;
    if (index == 0 ? class != TRANSFORMER : index == 1 ? class != second : class < DENSE)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s: module %zu is a %s; supported is a Transformer, a Pooling, then layers, or a Transformer "
                        "for text-generation and a LogitScore",
                        file->path, index, class_names[class]);
    const bool gives_scores = in->count > 0 && index + 1 == in->count;
    if (gives_scores && index > 0 && class != DENSE && class != LOGIT_SCORE)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s: the last module is a %s; a cross-encoder's is a Dense that gives scores", file->path,
                        class_names[class]);
    status = index == 0 ? cei_modules_copy(in, path, &in->to->transformer) : add_folder(in, path);
    if (status != CE_OK) return status;
    switch (class) {
    case TRANSFORMER: return cei_modules_read_transformer(in, path);
    case POOLING: return read_pooling(in, path);
    case LOGIT_SCORE: return cei_modules_read_logit_score(in, path);
    case DENSE: return read_layer(in, CEI_HEAD_DENSE, path, gives_scores);
    case NORM: return read_layer(in, CEI_HEAD_NORM, path, false);
    case NORMALIZE: return read_layer(in, CEI_HEAD_NORMALIZE, path, false);
    default: return CE_OK; /* a dropout does nothing but in training */
    }
}

/* modules.json holds an array, which cei_json_load does not take. */
static ce_status load_list(const cei_modules_reader *in, cei_modules_file *file) {
    char *data = NULL;
    size_t size = 0;
    *file = (cei_modules_file){cei_join_path(in->folder, "modules.json"), NULL};
    if (!file->path) return cei_fail_memory(in->error, in->folder, 0);
    if (!cei_file_exists(file->path)) return CE_OK;
    ce_status status = cei_read_file(file->path, CEI_MODULES_MAX_FILE, &data, &size, in->error);
    if (status == CE_OK) status = cei_json_parse(data, size, file->path, &file->root, in->error);
    cei_free(data);
    return status;
}

static ce_status read_modules(const cei_modules_reader *in, const cei_modules_file *file) {
    const size_t count = json_array_size(file->root), fewest = in->count > 0 ? 1 : 2;
    const json_t *module;
    size_t i;
    if (count < fewest || count > MOST_MODULES)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s must hold an array of %zu to %d modules, and holds %s",
                        file->path, fewest, MOST_MODULES,
                        json_is_array(file->root) ? "another number" : cei_json_type(file->root));
    json_array_foreach(file->root, i, module) {
        if (!json_is_object(module))
            return cei_fail(in->error, CE_ERR_FORMAT, "%s: module %zu must be an object, and is %s", file->path, i,
                            cei_json_type(module));
        ce_status status = read_module(in, file, i, module);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

/* A transformer alone. Its sentence_bert_config.json is another kind's, if it has one, and is not read: as in the
 * reference. */
static ce_status read_plain(const cei_modules_reader *in) {
    add_pooling(in->to, &poolings[MEAN]);
    return cei_modules_copy(in, "", &in->to->transformer);
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

static const char own_type[] = "SentenceTransformer";

/* What kind of model the folder was saved as. */
static ce_status read_type(const cei_modules_reader *in, const cei_modules_file *settings, const char **type) {
    *type = own_type;
    return cei_json_string(settings->root, "model_type", settings->path, type, in->error);
}

static ce_status load(const cei_modules_reader *in, const cei_modules_file *list, const cei_modules_file *settings) {
    const char *type;
    ce_status status = read_type(in, settings, &type);
    if (status != CE_OK) return status;
    in->to->is_listed = list->root && strcmp(type, own_type) == 0;
    if (in->to->is_listed) {
        status = read_modules(in, list);
        return status == CE_OK ? cei_modules_read_settings(in, settings) : status;
    }
    if (list->root)
        cei_log_line(in->log, CE_LOG_WARNING, "%s was saved as a %.64s: its transformer is taken, with mean pooling",
                     in->folder, type);
    else
        cei_log_line(in->log, CE_LOG_WARNING,
                     "%s has no modules.json: it is taken for a transformer, with mean pooling", in->folder);
    return read_plain(in);
}

/* The two files that say what the folder is. */
static ce_status open_both(const cei_modules_reader *in, cei_modules_file *list, cei_modules_file *settings) {
    ce_status status = cei_check_folder(in->folder, in->error);
    if (status == CE_OK) status = load_list(in, list);
    if (status == CE_OK) status = cei_modules_file_open(in, "", "config_sentence_transformers.json", settings);
    return status;
}

ce_status cei_modules_find(const char *folder, bool *is_bi_encoder, ce_error *error) {
    const cei_modules_reader in = {.folder = folder, .error = error};
    cei_modules_file list = {0}, settings = {0};
    const char *type = own_type;
    ce_status status = open_both(&in, &list, &settings);
    if (status == CE_OK) status = read_type(&in, &settings, &type);
    *is_bi_encoder = list.root && strcmp(type, own_type) == 0;
    cei_modules_file_close(&settings);
    cei_modules_file_close(&list);
    return status;
}

/* A cross-encoder's, where it was saved as one: else the folder is transformers' classifier, or a causal model. */
static ce_status load_scorer(cei_modules_reader *in, const cei_modules_file *list, const cei_modules_file *settings) {
    const char *type;
    ce_status status = read_type(in, settings, &type);
    in->to->reads_messages = true;
    if (status != CE_OK || !list->root || strcmp(type, "CrossEncoder") != 0) return status;
    in->count = cei_max_size(json_array_size(list->root), 1);
    in->to->is_listed = true;
    status = read_modules(in, list);
    return status == CE_OK ? cei_modules_read_prompts(in, settings) : status;
}

static ce_status load_either(const char *folder, const cei_log *log, bool scores, cei_modules *modules,
                             ce_error *error) {
    *modules = (cei_modules){.includes_prompt = true};
    cei_modules_reader in = {.folder = folder, .log = log, .to = modules, .error = error};
    cei_modules_file list = {0}, settings = {0};
    ce_status status = open_both(&in, &list, &settings);
    if (status == CE_OK) status = scores ? load_scorer(&in, &list, &settings) : load(&in, &list, &settings);
    cei_modules_file_close(&settings);
    cei_modules_file_close(&list);
    if (status != CE_OK) cei_modules_free(modules);
    return status;
}

ce_status cei_modules_load(const char *folder, const cei_log *log, cei_modules *modules, ce_error *error) {
    return load_either(folder, log, false, modules, error);
}

ce_status cei_modules_load_scorer(const char *folder, const cei_log *log, cei_modules *modules, ce_error *error) {
    return load_either(folder, log, true, modules, error);
}

static ce_status set_settings(const cei_modules_reader *in, const cei_modules_said *said) {
    char *path = cei_copy_string(said->path, strlen(said->path));
    cei_modules_file file = {path, NULL};
    ce_status status = path ? cei_json_parse(said->settings, said->settings_size, path, &file.root, in->error)
                            : cei_fail_memory(in->error, said->path, 0);
    if (status == CE_OK && !json_is_object(file.root))
        status = cei_fail(in->error, CE_ERR_FORMAT, "%s: the settings in it are no object", said->path);
    if (status == CE_OK)
        status = in->count > 0 ? cei_modules_read_prompts(in, &file) : cei_modules_read_settings(in, &file);
    cei_modules_file_close(&file);
    return status;
}

ce_status cei_modules_set(const cei_modules_said *said, cei_modules *modules, ce_error *error) {
    *modules = (cei_modules){.is_listed = true, .includes_prompt = true, .max_length = said->max_length};
    const cei_modules_reader in = {.to = modules, .error = error};
    for (size_t i = 0; i < POOLINGS; i++)
        if (strcmp(said->pooling, poolings[i].name) == 0) add_pooling(modules, &poolings[i]);
    ce_status status = cei_modules_copy(&in, "", &modules->transformer);
    if (status == CE_OK) status = add_folder(&in, "1_Pooling");
    if (status == CE_OK && said->normalizes) status = add_folder(&in, "2_Normalize");
    if (status == CE_OK && said->normalizes)
        status = add_layer(&in, "2_Normalize", &(cei_module){.kind = CEI_HEAD_NORMALIZE});
    if (status == CE_OK && said->settings) status = set_settings(&in, said);
    if (status != CE_OK) cei_modules_free(modules);
    return status;
}

ce_status cei_modules_set_prompts(const cei_modules_said *said, cei_modules *modules, ce_error *error) {
    const cei_modules_reader in = {.to = modules, .error = error, .count = 1};
    return said->settings ? set_settings(&in, said) : CE_OK;
}

void cei_modules_free(cei_modules *modules) {
    for (size_t i = 0; i < modules->layer_count; i++) cei_free(modules->layers[i].folder);
    for (size_t i = 0; i < modules->folder_count; i++) cei_free(modules->folders[i]);
    cei_free(modules->folders);
    for (size_t i = 0; i < modules->prompt_count; i++) {
        cei_free(modules->prompts[i].name);
        cei_free(modules->prompts[i].text);
    }
    cei_free(modules->layers);
    cei_free(modules->prompts);
    cei_free(modules->default_prompt);
    cei_free(modules->transformer);
    cei_free(modules->message_format);
    json_decref(modules->chat_settings);
    *modules = (cei_modules){0};
}

/* ---- the head ------------------------------------------------------------------------------------------------ */

ce_status cei_modules_open(const cei_modules *modules, const char *folder, cei_checkpoint *checkpoint,
                           ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < modules->layer_count && status == CE_OK; i++)
        if (modules->layers[i].kind != CEI_HEAD_NORMALIZE)
            status = cei_checkpoint_add(checkpoint, folder, modules->layers[i].folder, error);
    return status;
}

static ce_status check_width(const cei_module *layer, const cei_head *head, ce_error *error) {
    if (layer->in == head->outputs) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s takes %zu values, and the module before it gives %zu", layer->folder,
                    layer->in, head->outputs);
}

static ce_status plan_layer(const cei_module *layer, cei_plan *plan, cei_head *head, ce_error *error) {
    static const float norm_epsilon = 1e-5f; /* torch.nn.LayerNorm's, which the module does not change */
    char weight[300], bias[300];
    const char *kind = layer->kind == CEI_HEAD_DENSE ? "linear" : "norm";
    if (layer->kind == CEI_HEAD_NORMALIZE) return cei_head_add_normalize(head, error);
    ce_status status = check_width(layer, head, error);
    if (status != CE_OK) return status;
    snprintf(weight, sizeof weight, "%s/%s.weight", layer->folder, kind);
    snprintf(bias, sizeof bias, "%s/%s.bias", layer->folder, kind);
    return layer->kind == CEI_HEAD_DENSE
               ? cei_head_add_dense(head, plan, weight, layer->bias ? bias : NULL, layer->out, layer->function, error)
               : cei_head_add_norm(head, plan, weight, bias, norm_epsilon, error);
}

cei_head cei_modules_pool(const cei_modules *modules, size_t hidden) {
    cei_head head = cei_head_pool(hidden, modules->poolings, modules->pooling_count);
    head.includes_prompt = modules->includes_prompt;
    return head;
}

ce_status cei_modules_plan(const cei_modules *modules, cei_plan *plan, cei_head *head, ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < modules->layer_count && status == CE_OK; i++)
        status = plan_layer(&modules->layers[i], plan, head, error);
    return status;
}
