/* config.c - reads config.json, and what Sentence Transformers writes beside it, by the reference's rules.
 *
 * Relies on base/json.h for typed fields. Must not look at weights, nor judge whether an architecture can use what is
 * written; tests/model/config_reference.py asks the reference for the answers that the tests compare with. */
#include "model/config_parts.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Configs have a few kilobytes; one with a hundred thousand labels has a few megabytes. */
static const size_t max_config_bytes = (size_t)16 << 20;

enum { MAX_LABELS = 1 << 17 };

/* ---- hidden_act --------------------------------------------------------------------------------------------- */

/* Names of transformers. Those of one row differ in how they are computed, not in the function. */
static const struct function_name {
    const char *name;
    cei_function function;
} functions[] = {
    {"gelu", CEI_FN_GELU},
    {"gelu_python", CEI_FN_GELU},
    {"gelu_new", CEI_FN_GELU_TANH},
    {"gelu_fast", CEI_FN_GELU_TANH},
    {"gelu_accurate", CEI_FN_GELU_TANH},
    {"gelu_python_tanh", CEI_FN_GELU_TANH},
    {"gelu_pytorch_tanh", CEI_FN_GELU_TANH},
    {"quick_gelu", CEI_FN_GELU_QUICK},
    {"relu", CEI_FN_RELU},
    {"silu", CEI_FN_SILU},
    {"swish", CEI_FN_SILU},
    {"tanh", CEI_FN_TANH},
    {"sigmoid", CEI_FN_SIGMOID},
    {"linear", CEI_FN_IDENTITY},
};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

ce_status cei_config_read_function(const cei_config_reader *in, const char *key, const char *absent,
                                   cei_function *function) {
    const char *name = absent;
    ce_status status = cei_json_string(in->root, key, in->path, &name, in->error);
    if (status != CE_OK) return status;
    char known[256] = "";
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (strcmp(name, functions[i].name) == 0) {
            *function = functions[i].function;
            return CE_OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", functions[i].name);
    }
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: %s \"%.64s\" is not supported; supported: %s", in->path, key,
                    name, known);
}

static bool has_type(const cei_config *config, const char *model_type) {
    return strcmp(config->model_type, model_type) == 0;
}

static ce_status read_hidden_act(const cei_config_reader *in, cei_config *config) {
    const char *key = has_type(config, "distilbert")   ? "activation"
                      : has_type(config, "modernbert") ? "hidden_activation"
                                                       : "hidden_act";
    const char *absent = has_type(config, "albert") ? "gelu_new" : "gelu";
    return cei_config_read_function(in, key, absent, &config->hidden_act);
}

/* JinaBERT's feed-forward, whose function is that of its name, whatever hidden_act says. */
static ce_status read_glu(const cei_config_reader *in, cei_config *config) {
    const char *type = "original";
    ce_status status = cei_json_string(in->root, "feed_forward_type", in->path, &type, in->error);
    if (status != CE_OK) return status;
    config->hidden_act = strcmp(type, "reglu") == 0 ? CEI_FN_RELU : CEI_FN_GELU;
    if (config->hidden_act == CEI_FN_RELU || strcmp(type, "geglu") == 0) return CE_OK;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: feed_forward_type \"%.64s\"; supported: geglu, reglu", in->path,
                    type);
}

/* Switches of NewModel that no published model sets. */
static ce_status refuse_switches(const cei_config_reader *in) {
    bool logn = false;
    const char *norm = "layer_norm";
    ce_status status = cei_json_bool(in->root, "logn_attention_scale", in->path, &logn, in->error);
    if (status == CE_OK) status = cei_json_string(in->root, "layer_norm_type", in->path, &norm, in->error);
    if (status == CE_OK && logn)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: logn_attention_scale is true, which is not supported",
                        in->path);
    if (status == CE_OK && strcmp(norm, "layer_norm") != 0)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: layer_norm_type \"%.64s\"; supported: layer_norm", in->path,
                        norm);
    return status;
}

/* ---- activation --------------------------------------------------------------------------------------------- */

/* Classes of torch.nn, and the modules that define them. torch.nn and torch.nn.modules export them all. */
static const struct activation_class {
    const char *name, *module;
    ce_activation activation;
} activations[] = {
    {"Identity", "torch.nn.modules.linear.", CE_ACTIVATION_IDENTITY},
    {"Sigmoid", "torch.nn.modules.activation.", CE_ACTIVATION_SIGMOID},
    {"Tanh", "torch.nn.modules.activation.", CE_ACTIVATION_TANH},
    {"ReLU", "torch.nn.modules.activation.", CE_ACTIVATION_RELU},
    {"Softmax", "torch.nn.modules.activation.", CE_ACTIVATION_SOFTMAX},
};

const char *cei_activation_class(ce_activation activation) {
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (activations[i].activation == activation) return activations[i].name;
    return "";
}

static bool is_module(const char *string, size_t length, const char *module) {
    return length == strlen(module) && memcmp(string, module, length) == 0;
}

static bool find_activation(const char *path, ce_activation *activation) {
    const char *dot = strrchr(path, '.');
    size_t length = dot ? (size_t)(dot + 1 - path) : 0; /* of the module, with its dot */
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        if (strcmp(path + length, activations[i].name) != 0) continue;
        *activation = activations[i].activation;
        return is_module(path, length, "torch.nn.") || is_module(path, length, "torch.nn.modules.") ||
               is_module(path, length, activations[i].module);
    }
    return false;
}

/* A path outside torch is code of the model's author, which the reference runs only if told to trust it: it warns,
 * and goes on as if nothing were written. */
static void resolve_activation(const cei_config_reader *in, const char *path, cei_named_activation *to) {
    ce_activation found;
    if (find_activation(path, &found))
        *to = (cei_named_activation){.known = found};
    else if (strncmp(path, "torch.", strlen("torch.")) == 0)
        snprintf(to->other, sizeof to->other, "%s", path);
    else
        cei_log_line(in->log, CE_LOG_WARNING,
                     "%s: the activation \"%.96s\" is code that crossenc does not run; it is ignored", in->path, path);
}

/* object[key], if it is there and resolves. */
static ce_status read_activation(const cei_config_reader *in, const json_t *object, const char *key,
                                 cei_named_activation *activation) {
    const char *path = NULL;
    const ce_status status = cei_json_string(object, key, in->path, &path, in->error);
    if (status == CE_OK && path) resolve_activation(in, path, activation);
    return status;
}

static bool is_named(const cei_named_activation *activation) {
    return activation->known != CE_ACTIVATION_DEFAULT || activation->other[0];
}

/* The new key hides the old one even where it is null or cannot be resolved. */
static ce_status choose_activation(const cei_config_reader *in, cei_named_activation *activation) {
    const json_t *section = json_object_get(in->root, "sentence_transformers");
    if (section && !json_is_null(section) && !json_is_object(section))
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"sentence_transformers\" must be an object, and is %s",
                        in->path, cei_json_type(section));
    if (json_object_get(section, "activation_fn")) return read_activation(in, section, "activation_fn", activation);
    return read_activation(in, in->root, "sbert_ce_default_activation_function", activation);
}

static ce_activation default_activation(size_t num_labels) {
    return num_labels == 1 ? CE_ACTIVATION_SIGMOID : CE_ACTIVATION_IDENTITY;
}

/* What the files name is the activation, or else what follows from the labels. */
static void take_named(cei_config *config) {
    config->activation_given = config->named.known != CE_ACTIVATION_DEFAULT;
    config->activation = config->activation_given ? config->named.known : default_activation(config->num_labels);
}

ce_status cei_config_check_activation(const cei_config *config, const char *model, ce_error *error) {
    if (!config->named.other[0]) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s: its activation \"%s\" is not supported; supported: torch.nn.Identity, Sigmoid, Tanh, ReLU, "
                    "Softmax. It can be loaded with one of these in its place",
                    model, config->named.other);
}

/* ---- labels ------------------------------------------------------------------------------------------------- */

/* The key of id2label as a number, which must be written as JSON writes numbers. */
static bool parse_label_key(const char *key, size_t *index) {
    size_t number = 0, length = strlen(key);
    if (length == 0 || length > 9 || (length > 1 && key[0] == '0')) return false;
    for (size_t i = 0; i < length; i++) {
        if (key[i] < '0' || key[i] > '9') return false;
        number = number * 10 + (size_t)(key[i] - '0');
    }
    *index = number;
    return true;
}

/* A name for each row of the head: those of id2label (or NULL), and LABEL_i for rows that it leaves out. */
static ce_status name_labels(const cei_config_reader *in, const json_t *names, cei_config *config) {
    config->labels = cei_alloc_zeroed(config->num_labels, sizeof *config->labels);
    if (!config->labels) return cei_fail_memory(in->error, "labels", config->num_labels * sizeof *config->labels);
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)names, key, value) {
        size_t index = 0;
        const char *label = NULL;
        ce_status status = cei_json_string(names, key, in->path, &label, in->error);
        if (status != CE_OK) return status;
        if (!parse_label_key(key, &index))
            return cei_fail(in->error, CE_ERR_FORMAT,
                            "%s: the keys of id2label must be \"0\", \"1\", ..., and one is \"%.64s\"", in->path, key);
        if (!label || index >= config->num_labels) continue;
        config->labels[index] = cei_copy_string(label, strlen(label));
        if (!config->labels[index]) return cei_fail_memory(in->error, "labels", 0);
    }
    for (size_t i = 0; i < config->num_labels; i++) {
        if (config->labels[i]) continue;
        char label[32];
        int length = snprintf(label, sizeof label, "LABEL_%zu", i);
        config->labels[i] = cei_copy_string(label, (size_t)length);
        if (!config->labels[i]) return cei_fail_memory(in->error, "labels", 0);
    }
    return CE_OK;
}

static void free_labels(cei_config *config) {
    for (size_t i = 0; config->labels && i < config->num_labels; i++) cei_free(config->labels[i]);
    cei_free(config->labels);
    config->labels = NULL;
}

/* Does an architecture name a head? Without one the reference makes a head of one label, whatever else is written. */
static bool has_head(const json_t *architectures) {
    for (size_t i = 0; i < json_array_size(architectures); i++) {
        const char *name = json_string_value(json_array_get(architectures, i));
        size_t stem;
        if (name && cei_ends_with(name, "ForSequenceClassification", &stem)) return true;
    }
    return false;
}

/* num_labels, if written, counts; the names of id2label are kept only if it has as many. */
static ce_status read_labels(const cei_config_reader *in, cei_config *config) {
    const json_t *names = json_object_get(in->root, "id2label");
    if (json_is_null(names)) names = NULL;
    if (names && (!json_is_object(names) || json_object_size(names) == 0 || json_object_size(names) > MAX_LABELS))
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"id2label\" must be an object of 1 to %d labels, and is %s",
                        in->path, MAX_LABELS, json_is_object(names) ? "of another size" : cei_json_type(names));
    size_t named = names ? json_object_size(names) : 0;
    config->num_labels = names ? named : 2;
    ce_status status = cei_json_size(in->root, "num_labels", 1, MAX_LABELS, in->path, &config->num_labels, in->error);
    if (status != CE_OK) return status;
    if (!has_head(json_object_get(in->root, "architectures"))) config->num_labels = 1;
    return name_labels(in, named == config->num_labels ? names : NULL, config);
}

ce_status cei_config_set_labels(cei_config *config, size_t num_labels, ce_error *error) {
    if (num_labels == config->num_labels) return CE_OK;
    cei_config changed = {.num_labels = num_labels};
    cei_config_reader in = {NULL, config->path, NULL, error};
    ce_status status = name_labels(&in, NULL, &changed);
    if (status != CE_OK) {
        free_labels(&changed);
        return status;
    }
    free_labels(config);
    config->labels = changed.labels;
    config->num_labels = num_labels;
    if (!config->activation_given) config->activation = default_activation(num_labels);
    return CE_OK;
}

/* ---- the rest ----------------------------------------------------------------------------------------------- */

static ce_status copy_field(const cei_config_reader *in, const char *key, const char *absent, char **copy) {
    const char *value = absent;
    ce_status status = cei_json_string(in->root, key, in->path, &value, in->error);
    if (status != CE_OK) return status;
    *copy = cei_copy_string(value, strlen(value));
    return *copy ? CE_OK : cei_fail_memory(in->error, key, 0);
}

static ce_status read_architecture(const cei_config_reader *in, cei_config *config) {
    const json_t *list = json_object_get(in->root, "architectures");
    if (list && !json_is_null(list) && !json_is_array(list))
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"architectures\" must be an array of strings, and is %s",
                        in->path, cei_json_type(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *name = json_array_get(list, i);
        if (!json_is_string(name) || strlen(json_string_value(name)) != json_string_length(name))
            return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"architectures\" must be an array of strings, and holds %s",
                            in->path, json_is_string(name) ? "a NUL" : cei_json_type(name));
    }
    const char *first = json_array_size(list) > 0 ? json_string_value(json_array_get(list, 0)) : "";
    config->architecture = cei_copy_string(first, strlen(first));
    return config->architecture ? CE_OK : cei_fail_memory(in->error, "architectures", 0);
}

static ce_status read_sizes(const cei_config_reader *in, cei_config *config) {
    const struct {
        const char *key;
        size_t min;
        size_t *value;
    } sizes[] = {
        {"vocab_size", 1, &config->vocab_size},
        {"hidden_size", 1, &config->hidden_size},
        {"num_hidden_layers", 1, &config->layers},
        {"num_attention_heads", 1, &config->heads},
        {"intermediate_size", 1, &config->intermediate_size},
        {"n_layers", 1, &config->layers}, /* DistilBERT's names */
        {"n_heads", 1, &config->heads},
        {"dim", 1, &config->hidden_size},
        {"hidden_dim", 1, &config->intermediate_size},
        {"embedding_size", 1, &config->embedding_size},
        {"attention_head_size", 1, &config->head_size},
        {"num_hidden_groups", 1, &config->groups},
        {"inner_group_num", 1, &config->group_layers},
        {"pad_token_id", 0, &config->pad_token_id},
        {"max_position_embeddings", 1, &config->max_positions},
        {"type_vocab_size", 0, &config->type_vocab_size},
        {"relative_attention_num_buckets", 1, &config->bias_buckets},
    };
    ce_status status = CE_OK;
    config->pad_token_id = CEI_NO_TOKEN;
    config->groups = config->group_layers = 1;
    config->bias_buckets = 32;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && status == CE_OK; i++)
        status =
            cei_json_size(in->root, sizes[i].key, sizes[i].min, CEI_CONFIG_MOST, in->path, sizes[i].value, in->error);
    return status;
}

static bool is_deberta(const cei_config *config) {
    return strncmp(config->model_type, "deberta", strlen("deberta")) == 0 ||
           strncmp(config->architecture, "Deberta", strlen("Deberta")) == 0;
}

static ce_status read_layer_norm_eps(const cei_config_reader *in, cei_config *config) {
    const bool is_modern = has_type(config, "modernbert");
    const char *key = is_modern ? "norm_eps" : "layer_norm_eps";
    double *epsilon = &config->layer_norm_eps;
    *epsilon = is_modern ? 1e-5 : is_deberta(config) ? 1e-7 : 1e-12;
    ce_status status = cei_json_double(in->root, key, in->path, epsilon, in->error);
    if (status != CE_OK || (*epsilon >= 0 && *epsilon <= 1)) return status;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"%s\" is %g, and must be from 0 to 1", in->path, key, *epsilon);
}

static ce_status read_pooling(const cei_config_reader *in, cei_pooling *pooling) {
    const char *name = "cls";
    ce_status status = cei_json_string(in->root, "classifier_pooling", in->path, &name, in->error);
    if (status != CE_OK) return status;
    *pooling = strcmp(name, "mean") == 0 ? CEI_POOL_MEAN : CEI_POOL_FIRST;
    if (*pooling == CEI_POOL_MEAN || strcmp(name, "cls") == 0) return CE_OK;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: classifier_pooling \"%.64s\"; supported: cls, mean", in->path,
                    name);
}

/* Which layers have biases, and the classification head. */
static ce_status read_layers(const cei_config_reader *in, cei_config *config) {
    const struct {
        const char *key;
        bool *value;
    } biases[] = {{"attention_bias", &config->attention_bias},
                  {"mlp_bias", &config->mlp_bias},
                  {"norm_bias", &config->norm_bias},
                  {"classifier_bias", &config->classifier_bias}};
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof biases / sizeof biases[0] && status == CE_OK; i++)
        status = cei_json_bool(in->root, biases[i].key, in->path, biases[i].value, in->error);
    if (status == CE_OK)
        status = cei_config_read_function(in, "classifier_activation", "gelu", &config->classifier_activation);
    return status == CE_OK ? read_pooling(in, &config->classifier_pooling) : status;
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

/* Fills config from in->root; config->activation is already that of config_sentence_transformers.json, if any. */
static ce_status read_config(const cei_config_reader *in, cei_config *config) {
    ce_status status = read_architecture(in, config);
    if (status == CE_OK) status = copy_field(in, "model_type", "", &config->model_type);
    const char *const positions = status == CE_OK && has_type(config, "new") ? "rope" : "absolute";
    if (status == CE_OK) status = copy_field(in, "position_embedding_type", positions, &config->position_embedding);
    if (status == CE_OK) status = cei_json_bool(in->root, "is_decoder", in->path, &config->is_decoder, in->error);
    if (status == CE_OK) status = read_sizes(in, config);
    if (status == CE_OK) status = read_layer_norm_eps(in, config);
    if (status == CE_OK) status = read_hidden_act(in, config);
    if (status == CE_OK) status = cei_config_read_rotary(in, config);
    if (status == CE_OK && has_type(config, "modernbert")) status = read_layers(in, config);
    if (status == CE_OK && has_type(config, "nomic_bert")) status = cei_config_read_nomic(in, config);
    if (status == CE_OK) status = cei_config_read_decoder(in, config);
    config->adds_positions = true;
    if (status == CE_OK && strcmp(config->position_embedding, "alibi") == 0) status = read_glu(in, config);
    if (status == CE_OK && has_type(config, "new")) status = refuse_switches(in);
    if (status == CE_OK && strcmp(config->position_embedding, "rotary") == 0)
        status = cei_config_check_flash(in, config);
    if (status == CE_OK && is_deberta(config)) status = cei_config_read_deberta(in, config);
    if (status == CE_OK) status = read_labels(in, config);
    if (status == CE_OK && !is_named(&config->named)) status = choose_activation(in, &config->named);
    take_named(config);
    return status;
}

static ce_status parse(const char *data, size_t size, const char *path, const cei_log *log,
                       const cei_named_activation *named, cei_config *config, ce_error *error) {
    json_t *root = NULL;
    *config = (cei_config){.named = *named};
    ce_status status = cei_json_parse(data, size, path, &root, error);
    if (status == CE_OK && !json_is_object(root))
        status = cei_fail(error, CE_ERR_FORMAT, "%s must hold a JSON object, and holds %s", path, cei_json_type(root));
    if (status == CE_OK) {
        config->path = cei_copy_string(path, strlen(path));
        if (!config->path) status = cei_fail_memory(error, path, 0);
    }
    cei_config_reader in = {root, path, log, error};
    if (status == CE_OK) status = read_config(&in, config);
    json_decref(root);
    if (status != CE_OK) cei_config_free(config);
    return status;
}

ce_status cei_config_parse(const char *data, size_t size, const char *path, const cei_log *log, cei_config *config,
                           ce_error *error) {
    const cei_named_activation none = {.known = CE_ACTIVATION_DEFAULT};
    return parse(data, size, path, log, &none, config, error);
}

/* ---- folders ------------------------------------------------------------------------------------------------ */

/* The activation that version 6 and later save beside config.json, which comes before all others. It counts only in
 * a folder that has modules.json and was saved as a CrossEncoder. */
static ce_status read_saved_activation(const char *folder, const cei_log *log, cei_named_activation *activation,
                                       ce_error *error) {
    json_t *root = NULL;
    ce_status status = CE_OK;
    char *modules = cei_join_path(folder, "modules.json");
    char *path = cei_join_path(folder, "config_sentence_transformers.json");
    if (!modules || !path) {
        status = cei_fail_memory(error, folder, 0);
        goto done;
    }
    if (!cei_file_exists(modules) || !cei_file_exists(path)) goto done;
    status = cei_json_load(path, max_config_bytes, &root, error);
    if (status != CE_OK) goto done;
    cei_config_reader in = {root, path, log, error};
    const char *type = "";
    status = cei_json_string(root, "model_type", path, &type, error);
    if (status == CE_OK && strcmp(type, "CrossEncoder") == 0)
        status = read_activation(&in, root, "activation_fn", activation);
done:
    json_decref(root);
    cei_free(path);
    cei_free(modules);
    return status;
}

ce_status cei_config_take_activation(const char *folder, const cei_log *log, cei_config *config, ce_error *error) {
    cei_named_activation named = {.known = CE_ACTIVATION_DEFAULT};
    const ce_status status = read_saved_activation(folder, log, &named, error);
    if (status != CE_OK || !is_named(&named)) return status;
    config->named = named;
    take_named(config);
    return CE_OK;
}

static ce_status read_config_file(const char *folder, const char *path, char **data, size_t *size, ce_error *error) {
    const ce_status status = cei_read_file(path, max_config_bytes, data, size, error);
    if (status != CE_ERR_NOT_FOUND) return status;
    return cei_fail(error, status,
                    "%s has no config.json: give a model's folder, as Hugging Face lays it out, or a GGUF file",
                    folder);
}

ce_status cei_config_load(const char *folder, const cei_log *log, cei_config *config, ce_error *error) {
    *config = (cei_config){0};
    char *data = NULL;
    size_t size = 0;
    cei_named_activation named = {.known = CE_ACTIVATION_DEFAULT};
    char *path = cei_join_path(folder, "config.json");
    ce_status status = path ? cei_check_folder(folder, error) : cei_fail_memory(error, folder, 0);
    if (status == CE_OK) status = read_config_file(folder, path, &data, &size, error);
    if (status == CE_OK) status = read_saved_activation(folder, log, &named, error);
    if (status == CE_OK) status = parse(data, size, path, log, &named, config, error);
    cei_free(data);
    cei_free(path);
    return status;
}

void cei_config_free(cei_config *config) {
    free_labels(config);
    cei_free(config->path);
    cei_free(config->architecture);
    cei_free(config->model_type);
    cei_free(config->position_embedding);
    cei_free(config->local_layers);
    for (size_t i = 0; i < 2; i++) cei_free(config->rope_scaling[i].short_factors);
    *config = (cei_config){0};
}
