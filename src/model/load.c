/* load.c - from a folder, or a GGUF file, to a model: the device first, then config, tokenizer, plan, placement.
 *
 * The files are open during load only. Every step checks what it reads against the steps before it, so that a model
 * that loads is one that can score. */
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "formats/tasks.h"
#include "model/gguf.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_BATCH_TOKENS = 1024, MOST_LABELS = 1 << 20 };

/* ---- options ------------------------------------------------------------------------------------------------- */

static ce_status check_options(const ce_load_options *options, ce_error *error) {
    ce_status status = cei_check_struct(options->size, sizeof *options, "ce_load_options", error);
    if (status != CE_OK) return status;
    if (options->place != CE_PLACE_EAGER && options->place != CE_PLACE_DEFERRED)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_load_options.place is %d, which is no ce_place_mode",
                        (int)options->place);
    if (!ce_precision_name(options->precision))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_load_options.precision is %d, which is no ce_precision",
                        (int)options->precision);
    if ((unsigned)options->activation > CE_ACTIVATION_SOFTMAX)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_load_options.activation is %d, which is no ce_activation",
                        (int)options->activation);
    if ((unsigned)options->include_prompt > CE_INCLUDE_PROMPT_NO)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_load_options.include_prompt is %d, which is no ce_include_prompt",
                        (int)options->include_prompt);
    if (options->num_labels > MOST_LABELS)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_load_options.num_labels is %zu; the most is %d",
                        options->num_labels, MOST_LABELS);
    cei_cpu_list list;
    if (options->cpus && (status = cei_cpu_list_parse(options->cpus, &list, error)) != CE_OK) return status;
    if (options->threads > 4096)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_load_options.threads is %u; the most is 4096", options->threads);
    return CE_OK;
}

/* ---- limits -------------------------------------------------------------------------------------------------- */

size_t cei_model_specials(const ce_model *model) {
    if (model->chat) return 1;
    return model->bi_encoder ? cei_tokenizer_single_specials(model->tokenizer)
                             : cei_tokenizer_pair_specials(model->tokenizer);
}

/* Tokens of a sequence: the caller's, else a bi-encoder's own, else the smaller of the tokenizer's and the model's, as
 * the reference has it. It lets a bi-encoder's own be more than there are positions, and fails at the first long text.
 */
static ce_status set_max_length(ce_model *model, size_t asked, ce_error *error) {
    cei_blueprint *blueprint = &model->blueprint;
    size_t positions = blueprint->network->positions, specials = cei_model_specials(model);
    size_t own = model->modules.max_length ? model->modules.max_length : cei_tokenizer_max_length(model->tokenizer);
    size_t length = asked ? asked : cei_min_size(own, positions);
    if (length > positions)
        return cei_fail(error, CE_ERR_ARGUMENT, "max_length is %zu, and the model has only %zu positions", length,
                        positions);
    if (length < specials && asked)
        return cei_fail(error, CE_ERR_ARGUMENT, "max_length is %zu, and the special tokens of a %s alone are %zu",
                        length, model->bi_encoder ? "text" : "pair", specials);
    if (length < specials)
        return cei_fail(error, CE_ERR_MODEL, "%s: its limit is %zu tokens, and the special ones of a %s alone are %zu",
                        model->path, length, model->bi_encoder ? "text" : "pair", specials);
    blueprint->max_length = length;
    return CE_OK;
}

static ce_status set_batch(ce_model *model, size_t asked, ce_error *error) {
    cei_blueprint *blueprint = &model->blueprint;
    size_t tokens = asked ? asked : DEFAULT_BATCH_TOKENS;
    if (tokens > (size_t)INT32_MAX)
        return cei_fail(error, CE_ERR_ARGUMENT, "batch_tokens is %zu; the most is %d", tokens, INT32_MAX);
    blueprint->least_length = cei_model_specials(model);
    blueprint->batch_is_asked = asked > 0;
    blueprint->batch = cei_blueprint_budget(blueprint, tokens);
    return CE_OK;
}

/* ---- files --------------------------------------------------------------------------------------------------- */

/* Every id that the tokenizer can give must have a row in the embedding tables. */
static ce_status check_vocabulary(const ce_model *model, ce_error *error) {
    size_t types =
        model->bi_encoder ? cei_tokenizer_single_types(model->tokenizer) : cei_tokenizer_pair_types(model->tokenizer);
    size_t tokens = cei_tokenizer_vocab_size(model->tokenizer), rows = model->config.vocab_size;
    if (tokens > rows)
        return cei_fail(error, CE_ERR_MODEL, "%s: the tokenizer has ids up to %zu, and the model's vocab_size is %zu",
                        model->path, tokens - 1, rows);
    const size_t rows_of_types = model->blueprint.network->types;
    if (rows_of_types && types > rows_of_types)
        return cei_fail(error, CE_ERR_MODEL,
                        "%s: the tokenizer tells %zu token types apart, and the model's type_vocab_size is %zu",
                        model->path, types, rows_of_types);
    return CE_OK;
}

/* The dtypes of the weights in the files, in order of appearance: "F32", or "I8, F32". */
static void list_dtypes(const cei_plan *plan, const cei_checkpoint *checkpoint, char *list, size_t size) {
    bool seen[CEI_DTYPE_COUNT] = {false};
    size_t length = 0;
    list[0] = '\0';
    for (size_t i = 0; i < plan->part_count; i++) {
        cei_values values;
        if (!*plan->parts[i].name) continue;
        if (cei_plan_values(plan, i, checkpoint, &values, NULL) != CE_OK || seen[values.dtype]) continue;
        seen[values.dtype] = true;
        int written = snprintf(list + length, size - length, "%s%s", length ? ", " : "", cei_dtype_name(values.dtype));
        if (written < 0 || (size_t)written >= size - length) return;
        length += (size_t)written;
    }
}

char *cei_model_transformer_folder(const ce_model *model) {
    const char *inner = cei_modules_transformer(&model->modules);
    return *inner ? cei_join_path(model->path, inner) : cei_copy_string(model->path, strlen(model->path));
}

static ce_status open_model(const ce_model *model, cei_checkpoint **checkpoint, ce_error *error) {
    if (model->gguf) return cei_gguf_open_weights(model->gguf, &model->config, model->bi_encoder, checkpoint, error);
    char *own = cei_model_transformer_folder(model);
    ce_status status = own ? cei_checkpoint_open(model->base ? model->base : own, checkpoint, error)
                           : cei_fail_memory(error, "a model", 0);
    cei_free(own);
    return status;
}

ce_status cei_model_open_weights(const ce_model *model, cei_checkpoint **checkpoint, ce_error *error) {
    *checkpoint = NULL;
    ce_status status = open_model(model, checkpoint, error);
    if (status == CE_OK) status = cei_checkpoint_take_task(*checkpoint, model->task, model->task_scale, error);
    if (status == CE_OK && model->adapter.folder) status = cei_adapter_apply(&model->adapter, *checkpoint, error);
    if (status == CE_OK) status = cei_modules_open(&model->modules, model->path, *checkpoint, error);
    if (status != CE_OK) {
        cei_checkpoint_close(*checkpoint);
        *checkpoint = NULL;
    }
    return status;
}

/* The name of a causal model's logits: those of its word embeddings, or of a matrix of their own, of which a GGUF file
 * may have the rows of the two words alone. */
static ce_status add_logits(ce_model *model, const cei_architecture *architecture, const cei_checkpoint *checkpoint,
                            ce_error *error) {
    cei_blueprint *blueprint = &model->blueprint;
    cei_network *network = blueprint->network;
    char own[64];
    if (!architecture->logits)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: a %s has no logits of words to be read", model->config.path,
                        architecture->encoder);
    if (model->config.decoder.logit_cap > 0)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: final_logit_softcapping, where logits of words are read",
                        model->config.path);
    if (cei_checkpoint_find(checkpoint, CEI_GGUF_WORDS)) {
        static const cei_token_logits rows = {.is_read = true, .true_id = 0, .false_id = 1};
        return cei_head_add_token_logits(&network->head, &blueprint->plan, &rows, CEI_GGUF_WORDS, 2, error);
    }
    snprintf(own, sizeof own, "%s.weight", architecture->logits);
    const char *const name = model->config.decoder.ties_words ? cei_plan_name(&blueprint->plan, network->word) : own;
    return cei_head_add_token_logits(&network->head, &blueprint->plan, &model->modules.logits, name,
                                     model->config.vocab_size, error);
}

static cei_head make_head(const ce_model *model, const cei_classifier *classifier) {
    static const cei_pooling last = CEI_POOL_LAST;
    const size_t hidden = model->config.hidden_size;
    if (model->modules.logits.is_read) return cei_head_pool(hidden, &last, 1);
    if (cei_modules_are_head(&model->modules)) return cei_modules_pool(&model->modules, hidden);
    cei_head head = cei_head_pool(hidden, &classifier->pooling, 1);
    /* The reference looks for the last token that is no padding by its id, whoever put it there. */
    if (classifier->pooling == CEI_POOL_LAST && model->config.pad_token_id < CEI_NO_TOKEN)
        head.passes = (int32_t)model->config.pad_token_id;
    return head;
}

/* Encoder and head, and the weights of both. */
static ce_status make_network(ce_model *model, const cei_checkpoint *checkpoint, ce_error *error) {
    const cei_architecture *architecture = NULL;
    cei_blueprint *blueprint = &model->blueprint;
    const bool has_modules = cei_modules_are_head(&model->modules);
    ce_status status = has_modules ? cei_architecture_find_encoder(&model->config, &architecture, error)
                                   : cei_architecture_find(&model->config, &architecture, error);
    if (status != CE_OK) return status;
    const cei_classifier classifier = cei_architecture_head(architecture, &model->config);
    const cei_head head = make_head(model, &classifier);
    cei_reads reads = cei_head_reads(&head);
    /* Without special tokens a text may have no token, and so no first one. */
    if (reads == CEI_READS_FIRST && cei_model_specials(model) == 0) reads = CEI_READS_ALL;
    status = architecture->create(architecture, &model->config, checkpoint, reads, &blueprint->plan,
                                  &blueprint->network, error);
    if (status != CE_OK) return status;
    cei_network *network = blueprint->network;
    network->head = head;
    if (model->modules.logits.is_read) return add_logits(model, architecture, checkpoint, error);
    if (has_modules) return cei_modules_plan(&model->modules, &blueprint->plan, &network->head, error);
    return cei_head_classify(&network->head, &blueprint->plan, &classifier, model->config.num_labels, error);
}

static ce_status describe_weights(ce_model *model, const cei_checkpoint *checkpoint, ce_error *error) {
    cei_blueprint *blueprint = &model->blueprint;
    model->file_bytes = cei_checkpoint_bytes(checkpoint);
    model->tensors_unused = (uint32_t)cei_plan_unused(&blueprint->plan, checkpoint);
    model->weight_format = cei_checkpoint_format(checkpoint);
    list_dtypes(&blueprint->plan, checkpoint, model->weight_dtype, sizeof model->weight_dtype);
    if (model->tensors_unused)
        cei_log_line(&blueprint->log, CE_LOG_INFO, "%s: %u tensors are not read", cei_checkpoint_path(checkpoint),
                     model->tensors_unused);
    return cei_checkpoint_identify(checkpoint, &model->identity, error);
}

static ce_status plan_weights(ce_model *model, ce_error *error) {
    cei_checkpoint *checkpoint = NULL;
    cei_blueprint *blueprint = &model->blueprint;
    ce_status status = cei_model_open_weights(model, &checkpoint, error);
    if (status == CE_OK) status = make_network(model, checkpoint, error);
    if (status == CE_OK) status = cei_plan_check(&blueprint->plan, checkpoint, error);
    if (status == CE_OK) status = cei_model_check_adapter(model, checkpoint, error);
    if (status == CE_OK && !model->task && cei_checkpoint_has_tasks(checkpoint))
        cei_log_line(&blueprint->log, CE_LOG_WARNING,
                     "%s has adapters for tasks, and none is laid over it: name a task as the adapter", model->path);
    if (status == CE_OK) cei_plan_round(&blueprint->plan, blueprint->precision);
    if (status == CE_OK && blueprint->precision == CE_PRECISION_FLOAT32)
        status = cei_plan_narrow(&blueprint->plan, checkpoint, error);
    if (status == CE_OK) {
        blueprint->network->precision = blueprint->precision;
        blueprint->embeds = model->bi_encoder;
        blueprint->max_positions = blueprint->network->positions;
        blueprint->vocab_size = model->config.vocab_size;
        blueprint->type_vocab_size = blueprint->network->types;
        status = describe_weights(model, checkpoint, error);
    }
    cei_checkpoint_close(checkpoint);
    return status;
}

static ce_status read_modules(ce_model *model, const ce_load_options *options, ce_error *error) {
    const cei_log *log = &model->blueprint.log;
    ce_status status = model->bi_encoder ? cei_modules_load(model->path, log, &model->modules, error)
                                         : cei_modules_load_scorer(model->path, log, &model->modules, error);
    if (status == CE_OK && options->include_prompt)
        model->modules.includes_prompt = options->include_prompt == CE_INCLUDE_PROMPT_YES;
    return status;
}

/* What is asked for; of a head in modules, what its last one gives. */
static ce_status set_labels(ce_model *model, size_t asked, ce_error *error) {
    const cei_modules *modules = &model->modules;
    if (model->bi_encoder || !cei_modules_are_head(modules))
        return asked ? cei_config_set_labels(&model->config, asked, error) : CE_OK;
    const size_t given = modules->logits.is_read ? 1 : modules->layers[modules->layer_count - 1].out;
    if (asked && asked != given)
        return cei_fail(error, CE_ERR_ARGUMENT, "num_labels is %zu, and the last module of %s gives %zu", asked,
                        model->path, given);
    return cei_config_set_labels(&model->config, given, error);
}

/* Such a folder, without modules, is one of a re-ranker that answers "yes" or "no". */
static bool is_causal(const cei_config *config) {
    size_t stem;
    return cei_ends_with(config->architecture, "ForCausalLM", &stem);
}

/* The config of the transformer, and what the folder that it may be in says of the whole. */
static ce_status read_config(ce_model *model, const char *folder, size_t labels, ce_error *error) {
    const cei_log *log = &model->blueprint.log;
    ce_status status = cei_config_load(folder, log, &model->config, error);
    if (status == CE_OK && strcmp(folder, model->path) != 0)
        status = cei_config_take_activation(model->path, log, &model->config, error);
    if (status == CE_OK) status = cei_model_adapt_config(model, labels, error);
    if (status == CE_OK && !model->bi_encoder && !model->modules.is_listed && is_causal(&model->config))
        model->modules.logits.is_read = true;
    return status == CE_OK ? set_labels(model, labels, error) : status;
}

/* What the files of a folder say. */
static ce_status read_folder(ce_model *model, const ce_load_options *options, ce_error *error) {
    char *own = NULL;
    ce_status status = cei_check_folder(model->path, error);
    if (status == CE_OK) status = read_modules(model, options, error);
    if (status == CE_OK && !(own = cei_model_transformer_folder(model))) status = cei_fail_memory(error, "a model", 0);
    if (status == CE_OK) status = cei_model_find_adapter(model, own, options->adapter, error);
    if (status == CE_OK) status = read_config(model, model->base ? model->base : own, options->num_labels, error);
    if (status == CE_OK) status = cei_tokenizer_load(cei_model_tokenizer_folder(model, own), &model->tokenizer, error);
    if (status == CE_OK && !model->bi_encoder)
        status = cei_model_load_chat(model, cei_model_tokenizer_folder(model, own), error);
    cei_free(own);
    return status;
}

/* The template by which a decoder's pairs become prompts. */
static ce_status read_gguf_chat(ce_model *model, const cei_gguf_model *file, ce_error *error) {
    static const char flat[] = "flat";
    if (file->chat_is_flat && !(model->modules.message_format = cei_copy_string(flat, sizeof flat - 1)))
        return cei_fail_memory(error, "a chat template", 0);
    return cei_model_parse_chat(model, (ce_text){file->chat.data, file->chat.size}, error);
}

/* The same of a GGUF file. */
static ce_status read_gguf(ce_model *model, const ce_load_options *options, ce_error *error) {
    cei_gguf_model file;
    ce_status status = cei_gguf_model_open(model->gguf, model->bi_encoder, &file, error);
    if (status != CE_OK) return status;
    const cei_modules_said said = {model->gguf,     file.pooling,       file.max_length,
                                   file.normalizes, file.settings.data, file.settings.size};
    status = model->bi_encoder ? cei_modules_set(&said, &model->modules, error)
                               : cei_modules_set_prompts(&said, &model->modules, error);
    if (status == CE_OK && options->include_prompt)
        model->modules.includes_prompt = options->include_prompt == CE_INCLUDE_PROMPT_YES;
    if (status == CE_OK)
        status = cei_config_parse(file.config.data, file.config.size, model->gguf, &model->blueprint.log,
                                  &model->config, error);
    if (status == CE_OK && options->adapter) status = cei_model_load_adapter(model, options->adapter, error);
    if (status == CE_OK) status = cei_model_adapt_config(model, options->num_labels, error);
    model->modules.logits.is_read = status == CE_OK && !model->bi_encoder && is_causal(&model->config);
    if (status == CE_OK) status = set_labels(model, options->num_labels, error);
    const cei_tokenizer_files files = cei_gguf_tokenizer_files(&file);
    if (status == CE_OK) status = cei_tokenizer_parse(&files, &model->tokenizer, error);
    if (status == CE_OK && !model->bi_encoder) status = read_gguf_chat(model, &file, error);
    cei_gguf_model_close(&file);
    return status;
}

static ce_status read_files(ce_model *model, const ce_load_options *options, ce_error *error) {
    ce_status status = cei_gguf_find_file(model->path, &model->gguf, error);
    if (status == CE_OK) status = model->gguf ? read_gguf(model, options, error) : read_folder(model, options, error);
    if (status == CE_OK && !options->activation && !model->bi_encoder)
        status = cei_config_check_activation(&model->config, model->path, error);
    if (status == CE_OK) status = plan_weights(model, error);
    if (status == CE_OK && model->modules.lowercase) status = cei_tokenizer_lowercase(model->tokenizer, error);
    if (status == CE_OK) status = check_vocabulary(model, error);
    if (status == CE_OK) status = set_max_length(model, options->max_length, error);
    if (status == CE_OK) status = set_batch(model, options->batch_tokens, error);
    model->activation = options->activation ? options->activation : model->config.activation;
    return status;
}

/* ---- placing, with auto's choices ---------------------------------------------------------------------------- */

static bool is_device_fault(ce_status status) {
    return status == CE_ERR_DEVICE_ABSENT || status == CE_ERR_DEVICE_MEMORY || status == CE_ERR_DEVICE_FAULT ||
           status == CE_ERR_DEVICE_LOST || status == CE_ERR_VERIFY || status == CE_ERR_UNSUPPORTED;
}

static void set_fallback_reason(ce_model *model, const char *reason) {
    pthread_mutex_lock(&model->lock);
    snprintf(model->fallback_reason, sizeof model->fallback_reason, "%s", reason);
    pthread_mutex_unlock(&model->lock);
}

static void note_fallback(ce_model *model, cei_device_id failed, const ce_error *why) {
    char device[CE_DEVICE_ID_SIZE], reason[sizeof model->fallback_reason];
    cei_device_format(failed, device);
    cei_log_line(&model->blueprint.log, CE_LOG_WARNING, "auto passes over %s: %s", device, why->message);
    snprintf(reason, sizeof reason, "%s: %.200s", device, why->message);
    set_fallback_reason(model, reason);
}

ce_status cei_model_place_auto(ce_model *model, ce_error *error) {
    ce_error why = {0};
    pthread_mutex_lock(&model->lock);
    cei_device_list targets = model->targets;
    bool automatic = cei_device_is_auto(model->requested);
    pthread_mutex_unlock(&model->lock);
    ce_status status = cei_model_place_on(model, &targets, &why);
    for (size_t skip = 1; automatic && is_device_fault(status); skip++) {
        cei_device_id next;
        if (cei_device_resolve("auto", skip, &next, NULL) != CE_OK) break;
        note_fallback(model, targets.ids[0], &why);
        targets.ids[0] = next;
        status = cei_model_place_on(model, &targets, &why);
    }
    if (status != CE_OK) set_fallback_reason(model, ""); /* the next attempt begins with the first choice again */
    if (status != CE_OK && error) *error = why;
    return status;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

static ce_status create(const char *path, const ce_load_options *options, ce_model **out, ce_error *error) {
    ce_model *model = cei_alloc_zeroed(1, sizeof *model);
    if (!model) return cei_fail_memory(error, "a model", sizeof *model);
    pthread_mutex_init(&model->mover, NULL);
    pthread_mutex_init(&model->lock, NULL);
    pthread_mutex_init(&model->scratch_lock, NULL);
    model->blueprint.log = (cei_log){options->log, options->log_user};
    model->blueprint.cpu_disable = options->cpu_disable;
    model->blueprint.precision = options->precision ? options->precision : CE_PRECISION_FLOAT32;
    snprintf(model->requested, sizeof model->requested, "%s", options->device ? options->device : "auto");
    *out = model;
    model->path = cei_copy_string(path, strlen(path));
    return model->path ? CE_OK : cei_fail_memory(error, "a model", 0);
}

void ce_model_free(ce_model *model) {
    if (!model) return;
    for (size_t i = 0; i < model->targets.count; i++) cei_placement_unref(model->replicas[i]);
    for (size_t i = 0; i < CEI_MOST_CREWS; i++) cei_pool_free(model->crews[i]);
    cei_scratch_free_all(model);
    cei_pool_free(model->blueprint.pool);
    cei_chat_free(model->chat);
    cei_tokenizer_free(model->tokenizer);
    cei_config_free(&model->config);
    cei_modules_free(&model->modules);
    cei_plan_free(&model->blueprint.plan);
    cei_free(model->blueprint.network);
    cei_checkpoint_identity_free(model->identity);
    cei_free(model->checksums);
    cei_free(model->path);
    cei_free(model->gguf);
    cei_free(model->base);
    cei_adapter_free(&model->adapter);
    pthread_mutex_destroy(&model->scratch_lock);
    pthread_mutex_destroy(&model->lock);
    pthread_mutex_destroy(&model->mover);
    cei_free(model);
}

static ce_status make_pool(const ce_load_options *options, cei_pool **pool, ce_error *error) {
    cei_cpu_list list = {0};
    ce_status status = options->cpus ? cei_cpu_list_parse(options->cpus, &list, error) : CE_OK;
    if (status != CE_OK) return status;
    const unsigned threads = options->threads ? options->threads
                             : list.count     ? (unsigned)list.count
                                              : cei_usable_cpus();
    status = cei_pool_create(threads, pool, error);
    if (status == CE_OK && list.count) status = cei_pool_bind(*pool, &list, error);
    return status;
}

static ce_status load(const char *path, const ce_load_options *options, bool bi_encoder, ce_model **out,
                      ce_error *error) {
    cei_device_list targets;
    double start = cei_now_ms();
    ce_status status = cei_device_list_resolve(options->device, &targets, error);
    double resolve_ms = cei_now_ms() - start;
    if (status != CE_OK) return status;

    ce_model *model = NULL;
    status = create(path, options, &model, error);
    if (status == CE_OK) {
        model->bi_encoder = bi_encoder;
        model->targets = targets;
        model->resolve_ms = resolve_ms;
        status = read_files(model, options, error);
    }
    if (status == CE_OK) status = make_pool(options, &model->blueprint.pool, error);
    if (status == CE_OK && options->place == CE_PLACE_EAGER) status = ce_model_place(model, error);
    if (status != CE_OK) {
        ce_model_free(model);
        return status;
    }
    *out = model;
    return CE_OK;
}

ce_status cei_model_load(const char *path, const ce_load_options *options, bool bi_encoder, ce_model **model,
                         ce_error *error) {
    static const ce_load_options defaults = {.size = sizeof defaults};
    *model = NULL;
    if (!options) options = &defaults;
    ce_status status = check_options(options, error);
    if (status == CE_OK && bi_encoder && (options->num_labels || options->activation))
        status = cei_fail(error, CE_ERR_ARGUMENT, "ce_load_options.%s is set, and a bi-encoder has no labels",
                          options->num_labels ? "num_labels" : "activation");
    if (status == CE_OK && !bi_encoder && options->include_prompt)
        status = cei_fail(error, CE_ERR_ARGUMENT,
                          "ce_load_options.include_prompt is set, and a cross-encoder has no pooling of a prompt");
    return status == CE_OK ? load(path, options, bi_encoder, model, error) : status;
}

ce_status ce_model_load(const char *path, const ce_load_options *options, ce_model **out, ce_error *error) {
    if (!out) return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_load: model is NULL");
    *out = NULL;
    if (!path) return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_load: path is NULL");
    return cei_model_load(path, options, false, out, error);
}
