/* convert_gguf.c - ce_convert to a GGUF file.
 *
 * A file's keys cannot say all that a model may be. So the header is written first, read again as every other file's
 * is, and what was made of it is compared with the model: where both differ, the model is refused by the name of what
 * gets lost, before its weights are written. In F32 the known input must have the model's own bits besides. */
#include "model/convert.h"

#include "base/error.h"
#include "base/memory.h"
#include "model/transformer_network.h"

#include <stdio.h>
#include <string.h>

const char *ce_gguf_type_name(ce_gguf_type type) {
    static const char *const names[] = {"default", "F32", "F16", "BF16", "Q8_0"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : NULL;
}

static ce_gguf_type type_of(const ce_convert_options *options) {
    if (options->gguf_type) return options->gguf_type;
    switch (options->precision) {
    case CE_PRECISION_FLOAT16: return CE_GGUF_F16;
    case CE_PRECISION_BFLOAT16: return CE_GGUF_BF16;
    case CE_PRECISION_INT8: return CE_GGUF_Q8_0;
    default: return CE_GGUF_F32;
    }
}

/* ---- the model's tokenizer ------------------------------------------------------------------------------------- */

static ce_status read_file(const ce_model *model, cei_files_fn use, void *user, ce_error *error) {
    cei_gguf_model file;
    ce_status status = cei_gguf_model_open(model->gguf, model->bi_encoder, &file, error);
    if (status != CE_OK) return status;
    const cei_tokenizer_files files = cei_gguf_tokenizer_files(&file);
    status = use(user, &files, error);
    cei_gguf_model_close(&file);
    return status;
}

/* Gives the files of a model's tokenizer to use. */
static ce_status read_files(const ce_model *model, cei_files_fn use, void *user, ce_error *error) {
    if (model->gguf) return read_file(model, use, user, error);
    char *own = cei_model_transformer_folder(model);
    ce_status status = own ? cei_tokenizer_read_folder(cei_model_tokenizer_folder(model, own), use, user, error)
                           : cei_fail_memory(error, "a path", 0);
    cei_free(own);
    return status;
}

/* The pairs that are being written, and of what. */
typedef struct writing {
    const ce_model *model;
    const cei_gguf_form *form;
    cei_gguf_out *keys;
} writing;

static ce_status put_spec(void *user, cei_tokenizer_spec *spec, ce_error *error) {
    const writing *work = user;
    const ce_model *model = work->model;
    const cei_head *head = &model->blueprint.network->head;
    const bool passes = !model->bi_encoder && !model->modules.logits.is_read && head->poolings[0] == CEI_POOL_LAST;
    const cei_gguf_tokens tokens = {.spec = spec,
                                    .built = model->tokenizer,
                                    .rows = model->config.vocab_size,
                                    .is_decoder = work->form->is_decoder,
                                    .tells_padding = passes,
                                    .padding = model->config.pad_token_id};
    return cei_gguf_put_tokenizer(&tokens, work->keys, error);
}

static ce_status put_files(void *user, const cei_tokenizer_files *files, ce_error *error) {
    return cei_tokenizer_read(files, put_spec, user, error);
}

/* ---- is it the same? ------------------------------------------------------------------------------------------- */

/* Two models whose tokenizers are compared, one inside the reading of the other. */
typedef struct comparison {
    const ce_model *written;
    cei_tokenizer_spec *source;
    const char *difference;
} comparison;

static ce_status compare_specs(void *user, cei_tokenizer_spec *spec, ce_error *error) {
    comparison *work = user;
    return cei_tokenizer_compare(work->source, spec, &work->difference, error);
}

static ce_status compare_files(void *user, const cei_tokenizer_files *files, ce_error *error) {
    return cei_tokenizer_read(files, compare_specs, user, error);
}

static ce_status take_spec(void *user, cei_tokenizer_spec *spec, ce_error *error) {
    comparison *work = user;
    work->source = spec;
    return read_files(work->written, compare_files, work, error);
}

static ce_status take_files(void *user, const cei_tokenizer_files *files, ce_error *error) {
    return cei_tokenizer_read(files, take_spec, user, error);
}

static const char *compare_labels(const ce_model *a, const ce_model *b) {
    if (a->config.activation != b->config.activation || a->config.named.other[0]) return "the activation of its scores";
    if (a->config.num_labels != b->config.num_labels) return "its labels";
    for (size_t i = 0; i < a->config.num_labels; i++)
        if (strcmp(a->config.labels[i], b->config.labels[i]) != 0) return "its labels";
    return NULL;
}

static const char *compare_modules(const cei_modules *a, const cei_modules *b) {
    bool same = a->prompt_count == b->prompt_count && cei_same_string(a->default_prompt, b->default_prompt);
    for (size_t i = 0; i < a->prompt_count && same; i++)
        same = cei_same_string(a->prompts[i].name, b->prompts[i].name) &&
               cei_same_string(a->prompts[i].text, b->prompts[i].text);
    if (!same) return "its prompts";
    if (a->similarity != b->similarity || a->truncate_dim != b->truncate_dim) return "its similarity or dimensions";
    return a->lowercase == b->lowercase ? NULL : "whether a module puts texts into lower case";
}

/* The words of a causal model whose logits are read. Of two rows there are no words. */
static const char *compare_words(const cei_token_logits *a, const cei_token_logits *b, bool are_rows) {
    if (a->is_read != b->is_read) return "what its score is";
    if (!a->is_read || are_rows || (a->true_id == b->true_id && a->false_id == b->false_id)) return NULL;
    return "the words whose logits are read";
}

/* How pairs become prompts: of a re-ranker that is told in a text of its own, the template that it is read as makes
 * that text again. */
static ce_status compare_chats(const cei_convert_gguf *gguf, const ce_model *a, const ce_model *b,
                               const char **difference, ce_error *error) {
    const cei_bytes *want = &gguf->rerank;
    cei_bytes found = {0};
    bool is_same = false;
    ce_status status = want->data && b->chat ? cei_chat_places(b->chat, &found, error) : CE_OK;
    if (status == CE_OK && !want->data) status = cei_chat_same(a->chat, b->chat, &is_same, error);
    if (want->data) is_same = found.size == want->size && memcmp(found.data, want->data, want->size) == 0;
    if (status == CE_OK && !is_same) *difference = "its chat template";
    cei_free(found.data);
    return status;
}

static const char *compare_weights(const cei_plan *a, const cei_plan *b) {
    bool same = a->weight_count == b->weight_count;
    for (size_t i = 0; i < a->weight_count && same; i++)
        same = a->weights[i].role == b->weights[i].role && a->weights[i].columns == b->weights[i].columns &&
               a->weights[i].rows == b->weights[i].rows;
    return same ? NULL : "its weights";
}

/* What two models differ in but for their tokenizers; NULL: nothing that a result depends on. The table of positions
 * may be cut, so that weights are compared where positions are counted alike. */
static const char *compare_models(const ce_model *a, const ce_model *b, bool are_rows) {
    const cei_network *x = a->blueprint.network, *y = b->blueprint.network;
    const char *found = cei_transformer_compare(x, y);
    if (!found) found = cei_head_compare(&x->head, &y->head);
    if (!found && x->padding_id == y->padding_id) found = compare_weights(&a->blueprint.plan, &b->blueprint.plan);
    if (!found && a->blueprint.max_length != b->blueprint.max_length) found = "how many tokens it reads";
    if (!found) found = compare_words(&a->modules.logits, &b->modules.logits, are_rows);
    if (!found) found = compare_modules(&a->modules, &b->modules);
    return found || a->bi_encoder ? found : compare_labels(a, b);
}

/* What the reader refuses, it says of a file that nobody has seen. */
static ce_status refuse_again(const ce_model *model, const char *path, ce_status status, ce_error *error) {
    char reason[CE_ERROR_MESSAGE_SIZE] = "";
    if (status != CE_ERR_UNSUPPORTED && status != CE_ERR_MODEL && status != CE_ERR_FORMAT) return status;
    if (error) snprintf(reason, sizeof reason, "%s", error->message);
    const size_t length = strlen(path);
    const char *said = strncmp(reason, path, length) == 0 && reason[length] == ':' ? reason + length + 2 : reason;
    return cei_fail(error, CE_ERR_UNSUPPORTED, "%s cannot become a GGUF file, which is refused when it is read: %.300s",
                    model->path, said);
}

ce_status cei_convert_check_gguf(const cei_convert_source *source, const char *path, ce_error *error) {
    ce_convert_options quiet = *source->options;
    ce_model *written = NULL;
    cei_checkpoint *checkpoint = NULL;
    quiet.log = NULL;
    quiet.adapter = NULL;
    ce_status status = cei_convert_load(path, &quiet, &written, &checkpoint, error);
    if (status != CE_OK) status = refuse_again(source->model, path, status, error);
    comparison work = {.written = written};
    if (status == CE_OK) work.difference = compare_models(source->model, written, source->gguf->rerank.data != NULL);
    if (status == CE_OK && !work.difference)
        status = compare_chats(source->gguf, source->model, written, &work.difference, error);
    if (status == CE_OK && !work.difference) status = read_files(source->model, take_files, &work, error);
    if (status == CE_OK && work.difference)
        status = cei_fail(error, CE_ERR_UNSUPPORTED,
                          "%s cannot become a GGUF file, whose keys do not say it all: read again, it differs in %s",
                          source->model->path, work.difference);
    cei_checkpoint_close(checkpoint);
    ce_model_free(written);
    return status;
}

/* ---- the file -------------------------------------------------------------------------------------------------- */

static ce_status find_form(const ce_model *model, const cei_gguf_form **form, ce_error *error) {
    *form = cei_gguf_form_of(&model->config);
    if (!*form)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: GGUF files are written of BERT, DistilBERT, RoBERTa, XLM-RoBERTa, CamemBERT, NomicBERT, "
                        "ModernBERT, JinaBERT and of decoders, and this is: %s",
                        model->path, model->blueprint.network->architecture->encoder);
    for (size_t i = 0; i < model->modules.layer_count; i++)
        if (model->modules.layers[i].kind != CEI_HEAD_NORMALIZE)
            return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: GGUF files have no module like %s", model->path,
                            model->modules.layers[i].folder);
    return CE_OK;
}

/* Can the rows of two words and a text with places say what a causal model does? */
static ce_status find_rerank(const ce_model *model, cei_bytes *rerank, ce_error *error) {
    const cei_token_logits *logits = &model->modules.logits;
    if (!logits->is_read || !model->blueprint.network->head.subtracts || !model->chat) return CE_OK;
    return cei_chat_places(model->chat, rerank, error);
}

static ce_status put_keys(const ce_model *model, cei_convert_gguf *gguf, ce_error *error) {
    writing work = {model, gguf->form, &gguf->keys};
    cei_bytes chat = {0};
    ce_status status = find_rerank(model, &gguf->rerank, error);
    if (status == CE_OK && model->chat && !gguf->rerank.data) status = cei_chat_source(model->chat, &chat, error);
    const cei_gguf_asking asking = {.rerank = {gguf->rerank.data, gguf->rerank.size}, .chat = {chat.data, chat.size}};
    if (status == CE_OK) {
        cei_gguf_put_config(model, gguf->form, gguf->type, &asking, &gguf->keys);
        status = read_files(model, put_files, &work, error);
    }
    cei_free(chat.data);
    return status;
}

/* Runs the known input through what was written; in F32 the bits must be the model's. */
static ce_status check_values(const cei_convert_source *source, const char *path, const char *from, ce_error *error) {
    ce_convert_options quiet = *source->options;
    ce_model *written = NULL;
    cei_checkpoint *checkpoint = NULL;
    float *wanted = NULL, *found = NULL;
    const size_t bytes = CEI_PROBE_SEQUENCES * source->model->blueprint.network->head.outputs * sizeof *wanted;
    quiet.log = NULL;
    quiet.adapter = NULL;
    ce_status status = cei_convert_load(path, &quiet, &written, &checkpoint, error);
    if (status == CE_OK) status = cei_convert_probe(written, checkpoint, from, &found, error);
    /* Where positions begin behind the padding token, the known input may have that token, which a file has not. */
    const bool is_exact = source->gguf->type == CEI_DTYPE_F32 && source->model->blueprint.network->padding_id < 0;
    if (status == CE_OK && is_exact) {
        status = cei_convert_probe(source->model, source->checkpoint, from, &wanted, error);
        if (status == CE_OK && memcmp(wanted, found, bytes) != 0)
            status = cei_fail(error, CE_ERR_UNSUPPORTED,
                              "%s cannot become a GGUF file: read again, a known input gives other values", from);
    }
    cei_free(wanted);
    cei_free(found);
    cei_checkpoint_close(checkpoint);
    ce_model_free(written);
    return status;
}

/* Makes the file in the folder, whole and checked. */
static ce_status write_file(const cei_convert_source *source, cei_new_folder *folder, const char *from,
                            ce_convert_report *report, ce_error *error) {
    ce_status status = cei_convert_weights(source, folder, report, error);
    char *path = status == CE_OK ? cei_join_path(folder->path, folder->names.all[0]) : NULL;
    if (status == CE_OK) status = path ? check_values(source, path, from, error) : cei_fail_memory(error, "a path", 0);
    cei_free(path);
    return status;
}

static void begin_report(const ce_model *model, const ce_convert_options *options, ce_convert_report *report) {
    report->precision = options->precision ? options->precision : CE_PRECISION_FLOAT32;
    report->kind = options->kind;
    report->gguf_type = type_of(options);
    report->tensors_dropped = model->tensors_unused;
    report->bytes_before = model->file_bytes;
}

static cei_dtype dtype_of(ce_gguf_type type) {
    static const cei_dtype dtypes[] = {CEI_DTYPE_F32, CEI_DTYPE_F32, CEI_DTYPE_F16, CEI_DTYPE_BF16, CEI_DTYPE_Q8_0};
    return dtypes[type];
}

ce_status cei_convert_to_gguf(const char *from, const char *to, const ce_convert_options *options,
                              ce_convert_report *report, ce_error *error) {
    ce_convert_options plain = *options; /* a precision would round what is read, before it is written */
    ce_model *model = NULL;
    cei_checkpoint *checkpoint = NULL;
    cei_new_folder folder = {0};
    cei_convert_gguf gguf = {.type = dtype_of(type_of(options))};
    plain.precision = CE_PRECISION_FLOAT32;
    ce_status status = cei_convert_load(from, &plain, &model, &checkpoint, error);
    if (status == CE_OK) status = find_form(model, &gguf.form, error);
    if (status == CE_OK) status = put_keys(model, &gguf, error);
    if (status != CE_OK) goto done;
    const cei_convert_source source = {model, checkpoint, &plain, &gguf};
    begin_report(model, options, report);
    report->stage = CE_CONVERT_WRITING;
    status = cei_new_folder_create_file(&folder, to, options->overwrite ? cei_gguf_is : NULL, error);
    if (status != CE_OK) goto done;
    report->stage = CE_CONVERT_READING;
    status = write_file(&source, &folder, from, report, error);
    if (status != CE_OK) goto done;
    report->stage = CE_CONVERT_WRITING;
    status = cei_new_folder_publish_file(&folder, error);
    if (status == CE_OK) report->stage = CE_CONVERT_DONE;
done:
    cei_free(gguf.keys.pairs.data);
    cei_free(gguf.rerank.data);
    cei_new_folder_free(&folder);
    cei_checkpoint_close(checkpoint);
    ce_model_free(model);
    return status;
}
