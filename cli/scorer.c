/* scorer.c - models by folder or name, scoring in chunks, and what people should know of it. Relies on the public
 * headers of the library. Prints to standard error only. */
#include "scorer.h"

#include "format.h"
#include "records.h"

#include <crossenc/hub.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

cli_status cli_find_model(const char *name, const char *organization, char *path, size_t size, cli_error *error) {
    ce_error why = {0};
    const ce_hub_options options = {.size = sizeof options, .organization = organization};
    ce_status status = ce_model_find(name, &options, path, size, &why);
    return status == CE_OK ? CLI_OK : cli_fail_load(error, status, &why);
}

static void on_log(void *user, ce_log_level level, const char *message) {
    cli_scorer *scorer = user;
    static const char *const names[] = {"debug", "info", "warning"};
    /* Truncation, which the library warns of while it scores, is summed up at the end instead. */
    bool is_shown =
        scorer->settings->verbose || (scorer->is_loading && level == CE_LOG_WARNING && !scorer->settings->quiet);
    if (!is_shown || (unsigned)level >= sizeof names / sizeof *names) return;
    cli_progress_clear(&scorer->progress);
    fprintf(stderr, "crossenc: %s: %s\n", names[level], message);
}

static ce_load_options load_options(cli_scorer *scorer, ce_place_mode mode) {
    const cli_settings *settings = scorer->settings;
    ce_load_options options = {.size = sizeof options};
    options.device = settings->device;
    options.place = settings->deferred ? CE_PLACE_DEFERRED : mode;
    options.precision = (ce_precision)settings->precision;
    options.threads = settings->threads > UINT_MAX ? UINT_MAX : (unsigned)settings->threads;
    options.cpus = settings->cpus;
    options.adapter = settings->adapter;
    options.max_length = settings->max_length;
    options.activation = settings->logits ? CE_ACTIVATION_IDENTITY : (ce_activation)settings->activation;
    options.batch_tokens = settings->batch_tokens;
    options.log = on_log;
    options.log_user = scorer;
    return options;
}

/* What comes before loading: path receives the model's folder. */
static cli_status begin_open(cli_scorer *scorer, const cli_settings *settings, const char *organization,
                             char path[PATH_MAX], cli_error *error) {
    *scorer = (cli_scorer){.settings = settings, .is_loading = true, .fraction_begin = -1, .fraction_end = -1};
    return cli_find_model(settings->model, organization, path, PATH_MAX, error);
}

static cli_status end_open(cli_scorer *scorer, ce_status loaded, const ce_error *why, const char *work,
                           cli_error *error) {
    if (loaded != CE_OK) return cli_fail_load(error, loaded, why);
    scorer->is_loading = false;
    cli_progress_begin(&scorer->progress, scorer->settings, work);
    return CLI_OK;
}

/* The text of a named prompt of the model or the encoder; NULL if there is none. */
static const char *find_prompt(const cli_scorer *scorer, const char *name) {
    return scorer->encoder ? ce_encoder_prompt(scorer->encoder, name) : ce_model_prompt(scorer->model, name);
}

static bool prompt_at(const cli_scorer *scorer, size_t index, const char **name) {
    return scorer->encoder ? ce_encoder_prompt_at(scorer->encoder, index, name, NULL)
                           : ce_model_prompt_at(scorer->model, index, name, NULL);
}

/* The prompt that --prompt-name names must be there. */
static cli_status check_prompt(const cli_scorer *scorer, cli_error *error) {
    const char *name = scorer->settings->prompt_name, *known = NULL;
    if (!name || find_prompt(scorer, name)) return CLI_OK;
    char names[512] = "";
    for (size_t i = 0; prompt_at(scorer, i, &known); i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", known);
    }
    return cli_fail(error, CLI_USAGE, "the model has no prompt \"%.80s\"; it has %s", name, *names ? names : "none");
}

cli_status cli_scorer_open(cli_scorer *scorer, const cli_settings *settings, ce_place_mode mode, cli_error *error) {
    char path[PATH_MAX];
    ce_error why = {0};
    cli_status status = begin_open(scorer, settings, CLI_CROSS_ENCODERS, path, error);
    if (status != CLI_OK) return status;
    ce_load_options options = load_options(scorer, mode);
    ce_status loaded = ce_model_load(path, &options, &scorer->model, &why);
    scorer->info.size = sizeof scorer->info;
    if (loaded == CE_OK) loaded = ce_model_describe(scorer->model, &scorer->info, &why);
    status = end_open(scorer, loaded, &why, "scoring", error);
    return status == CLI_OK ? check_prompt(scorer, error) : status;
}

/* What is the same of both kinds, as a cross-encoder says it. */
static ce_model_info shared_info(const ce_encoder_info *encoder) {
    return (ce_model_info){.size = sizeof(ce_model_info),
                           .path = encoder->path,
                           .architecture = encoder->architecture,
                           .tokenizer = encoder->tokenizer,
                           .max_length = encoder->max_length,
                           .special_tokens = encoder->special_tokens,
                           .max_positions = encoder->max_positions,
                           .vocab_size = encoder->vocab_size,
                           .hidden_size = encoder->hidden_size,
                           .layers = encoder->layers,
                           .heads = encoder->heads,
                           .intermediate_size = encoder->intermediate_size,
                           .parameters = encoder->parameters,
                           .weight_dtype = encoder->weight_dtype,
                           .weight_format = encoder->weight_format};
}

cli_status cli_scorer_open_encoder(cli_scorer *scorer, const cli_settings *settings, ce_place_mode mode,
                                   cli_error *error) {
    char path[PATH_MAX];
    ce_error why = {0};
    if (!settings->model) {
        *scorer = (cli_scorer){0};
        return cli_fail(error, CLI_USAGE,
                        "--model is missing: no bi-encoder comes with crossenc, so one must be named");
    }
    cli_status status = begin_open(scorer, settings, CLI_ENCODERS, path, error);
    if (status != CLI_OK) return status;
    ce_load_options options = load_options(scorer, mode);
    ce_status loaded = ce_encoder_load(path, &options, &scorer->encoder, &why);
    scorer->encoder_info.size = sizeof scorer->encoder_info;
    if (loaded == CE_OK) loaded = ce_encoder_describe(scorer->encoder, &scorer->encoder_info, &why);
    scorer->info = shared_info(&scorer->encoder_info);
    status = end_open(scorer, loaded, &why, "encoding", error);
    scorer->progress.unit = "texts";
    return status == CLI_OK ? check_prompt(scorer, error) : status;
}

cli_status cli_scorer_open_any(cli_scorer *scorer, const cli_settings *settings, ce_place_mode mode, cli_error *error) {
    char path[PATH_MAX];
    ce_kind kind = CE_KIND_CROSS_ENCODER;
    ce_error why = {0};
    cli_error unused;
    if (settings->model && (cli_find_model(settings->model, CLI_CROSS_ENCODERS, path, sizeof path, &unused) == CLI_OK ||
                            cli_find_model(settings->model, CLI_ENCODERS, path, sizeof path, &unused) == CLI_OK)) {
        *scorer = (cli_scorer){0};
        const ce_status status = ce_kind_find(path, &kind, &why);
        if (status != CE_OK) return cli_fail_load(error, status, &why);
    }
    return kind == CE_KIND_BI_ENCODER ? cli_scorer_open_encoder(scorer, settings, mode, error)
                                      : cli_scorer_open(scorer, settings, mode, error);
}

static bool on_progress(void *user, uint64_t done, uint64_t total) {
    cli_scorer *scorer = user;
    double fraction = -1;
    if (scorer->fraction_begin >= 0 && total > 0) {
        double share = (double)done / (double)total;
        fraction = scorer->fraction_begin + share * (scorer->fraction_end - scorer->fraction_begin);
    }
    cli_progress_update(&scorer->progress, scorer->pairs + done, fraction);
    return true;
}

/* Takes the figures of a call of count inputs that began at begun. */
static cli_status end_call(cli_scorer *scorer, ce_status status, const ce_error *why, double begun, size_t count,
                           uint64_t tokens, uint64_t truncated, uint64_t first, cli_error *error) {
    scorer->seconds += cli_now() - begun;
    if (status != CE_OK) {
        cli_progress_clear(&scorer->progress);
        return cli_fail_call(error, status, why);
    }
    if (truncated && !scorer->truncated) scorer->first_truncated = scorer->pairs + first;
    scorer->truncated += truncated;
    scorer->tokens += tokens;
    scorer->pairs += count;
    return CLI_OK;
}

cli_status cli_scorer_score(cli_scorer *scorer, const ce_pair *pairs, size_t count, float *scores, cli_error *error) {
    ce_error why = {0};
    ce_score_report report = {.size = sizeof report};
    ce_score_options options = {.size = sizeof options, .report = &report, .progress = on_progress};
    options.apply_softmax = scorer->settings->softmax;
    options.utf8 = (ce_utf8_policy)scorer->settings->utf8;
    ce_text prompt;
    options.prompt = cli_scorer_prompt(scorer, &prompt);
    options.progress_user = scorer;
    double begun = cli_now();
    ce_status status = ce_predict(scorer->model, pairs, count, &options, scores, &why);
    return end_call(scorer, status, &why, begun, count, report.tokens, report.truncated, report.first_truncated, error);
}

const ce_text *cli_scorer_prompt(const cli_scorer *scorer, ce_text *prompt) {
    const cli_settings *settings = scorer->settings;
    *prompt = ce_text_of(settings->prompt_name ? find_prompt(scorer, settings->prompt_name) : settings->prompt);
    return settings->prompt_name || settings->prompt ? prompt : NULL;
}

cli_status cli_scorer_encode(cli_scorer *scorer, const ce_text *texts, size_t count, float *embeddings,
                             cli_error *error) {
    const cli_settings *settings = scorer->settings;
    ce_error why = {0};
    ce_encode_report report = {.size = sizeof report};
    ce_encode_options options = {.size = sizeof options, .report = &report, .progress = on_progress};
    ce_text prompt;
    options.prompt = cli_scorer_prompt(scorer, &prompt);
    options.truncate_dim = settings->truncate_dim;
    options.normalize = settings->normalize;
    options.utf8 = (ce_utf8_policy)settings->utf8;
    options.progress_user = scorer;
    double begun = cli_now();
    ce_status status = ce_encode(scorer->encoder, texts, count, &options, embeddings, &why);
    return end_call(scorer, status, &why, begun, count, report.tokens, report.truncated, report.first_truncated, error);
}

static void begin_note(cli_scorer *scorer) {
    bool is_color = scorer->progress.is_color;
    cli_progress_clear(&scorer->progress);
    fprintf(stderr, "%scrossenc: note:%s ", is_color ? CLI_YELLOW : "", is_color ? CLI_RESET : "");
}

void cli_scorer_note_truncation(cli_scorer *scorer, const char *first) {
    char pairs[CLI_NUMBER_SIZE], truncated[CLI_NUMBER_SIZE];
    if (!scorer->truncated || scorer->settings->quiet) return;
    begin_note(scorer);
    fprintf(stderr, "%s of %s %s %s truncated to %zu tokens; first: %s\n",
            cli_format_count(scorer->truncated, truncated), cli_format_count(scorer->pairs, pairs),
            scorer->encoder ? "texts" : "pairs", scorer->truncated == 1 ? "was" : "were", scorer->info.max_length,
            first);
}

static bool is_json_with_text(ce_text line) {
    static const char key[] = "\"text\"";
    const size_t size = sizeof key - 1;
    if (line.size < 2 || line.data[0] != '{' || line.data[line.size - 1] != '}') return false;
    for (size_t i = 0; i + size <= line.size; i++)
        if (memcmp(line.data + i, key, size) == 0) return true;
    return false;
}

void cli_scorer_note_format(cli_scorer *scorer, const cli_reader *reader, ce_text line) {
    const cli_settings *settings = scorer->settings;
    if (reader->line != 1 || settings->format != CLI_FORMAT_AUTO || settings->quiet || !is_json_with_text(line)) return;
    char name[96];
    snprintf(name, sizeof name, "%s", reader->name);
    cli_make_plain(name);
    begin_note(scorer);
    fprintf(stderr, "%s is read as texts, one a line, and its first is JSON; --format jsonl reads JSON lines\n", name);
}

void cli_scorer_note_speed(cli_scorer *scorer, const char *what) {
    char pairs[CLI_NUMBER_SIZE];
    ce_placement_report report = {.size = sizeof report};
    const cli_progress *progress = &scorer->progress;
    ce_status status = scorer->encoder ? ce_encoder_placement(scorer->encoder, &report, NULL)
                                       : ce_model_placement(scorer->model, &report, NULL);
    if (!progress->is_on || status != CE_OK) return;
    cli_progress_clear(&scorer->progress);
    fprintf(stderr, "%s%s %s%s in %.2f s (%.0f/s) on %s%s\n", progress->is_color ? CLI_DIM : "",
            cli_format_count(scorer->pairs, pairs), what, scorer->pairs == 1 ? "" : "s", scorer->seconds,
            scorer->seconds > 0 ? (double)scorer->pairs / scorer->seconds : 0,
            report.devices > 1 ? report.requested : report.device, progress->is_color ? CLI_RESET : "");
}

cli_status cli_scorer_need_one_label(const cli_scorer *scorer, const char *command, cli_error *error) {
    if (scorer->info.num_labels == 1) return CLI_OK;
    return cli_fail(error, CLI_MODEL,
                    "the model has %zu labels, and 'crossenc %s' needs one that gives one score; 'crossenc predict' "
                    "takes any",
                    scorer->info.num_labels, command);
}

void cli_scorer_close(cli_scorer *scorer) {
    cli_progress_clear(&scorer->progress);
    ce_model_free(scorer->model);
    ce_encoder_free(scorer->encoder);
    *scorer = (cli_scorer){0};
}
