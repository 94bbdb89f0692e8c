/* convert.c - crossenc convert: a model in another precision or form. The library does it and cleans up; a signal stops
 * it between two blocks, so that nothing half made stays. */
#include "commands.h"
#include "format.h"
#include "progress.h"
#include "scorer.h"

#include <crossenc/convert.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct conversion {
    const cli_settings *settings;
    char model[PATH_MAX];
    cli_progress progress;
    ce_convert_report report;
} conversion;

static void on_log(void *user, ce_log_level level, const char *message) {
    conversion *work = user;
    static const char *const names[] = {"debug", "info", "warning"};
    bool is_shown = work->settings->verbose || (level == CE_LOG_WARNING && !work->settings->quiet);
    if (!is_shown || (unsigned)level >= sizeof names / sizeof *names) return;
    cli_progress_clear(&work->progress);
    fprintf(stderr, "crossenc: %s: %s\n", names[level], message);
}

static bool on_progress(void *user, uint64_t done, uint64_t total) {
    conversion *work = user;
    cli_progress_update(&work->progress, done, total > 0 ? (double)done / (double)total : -1);
    return !cli_output_was_signalled();
}

/* Faults of what is written have their own exit code. */
static cli_status fail(const conversion *work, ce_status status, const ce_error *why, cli_error *error) {
    bool is_output = work->report.stage == CE_CONVERT_WRITING && (status == CE_ERR_IO || status == CE_ERR_NOT_FOUND);
    return is_output ? cli_fail(error, CLI_OUTPUT, "%s", why->message) : cli_fail_load(error, status, why);
}

static cli_status convert(conversion *work, cli_error *error) {
    const cli_settings *settings = work->settings;
    ce_error why = {0};
    ce_convert_options options = {.size = sizeof options};
    options.precision = (ce_precision)settings->precision;
    options.gguf_type = (ce_gguf_type)settings->gguf_type;
    options.overwrite = settings->force;
    options.adapter = settings->adapter;
    options.threads = settings->threads > UINT_MAX ? UINT_MAX : (unsigned)settings->threads;
    options.log = on_log;
    options.progress = on_progress;
    options.log_user = options.progress_user = work;
    work->report.size = sizeof work->report;
    cli_progress_begin(&work->progress, settings, "converting");
    work->progress.in_bytes = true;
    cli_output_postpone_signals();
    ce_status status = ce_convert(work->model, settings->arguments[1], &options, &work->report, &why);
    cli_progress_clear(&work->progress);
    cli_output_deliver_signal();
    return status == CE_OK ? CLI_OK : fail(work, status, &why, error);
}

static void write_json(cli_output *output, const conversion *work) {
    const ce_convert_report *report = &work->report;
    cli_write_string(output, "{\"model\":");
    cli_write_json(output, ce_text_of(work->model));
    cli_write_string(output, ",\"output\":");
    cli_write_json(output, ce_text_of(work->settings->arguments[1]));
    cli_print(output, ",\"kind\":\"%s\"", ce_kind_name(report->kind));
    cli_print(output, ",\"precision\":\"%s\",\"tensors\":%" PRIu32 ",\"tensors_rounded\":%" PRIu32,
              ce_precision_name(report->precision), report->tensors, report->tensors_rounded);
    cli_print(output, ",\"tensors_dropped\":%" PRIu32 ",\"files_copied\":%" PRIu32, report->tensors_dropped,
              report->files);
    cli_print(output, ",\"bytes_before\":%" PRIu64 ",\"bytes_after\":%" PRIu64, report->bytes_before,
              report->bytes_after);
    cli_print(output, ",\"largest_error\":%.9g,\"largest_error_tensor\":", report->largest_error);
    cli_write_json(output, ce_text_of(report->largest_error_tensor));
    cli_write_string(output, ",\"gguf_type\":");
    if (report->gguf_type)
        cli_print(output, "\"%s\"}\n", ce_gguf_type_name(report->gguf_type));
    else
        cli_write_string(output, "null}\n");
}

static void write_text(cli_output *output, const conversion *work) {
    const ce_convert_report *report = &work->report;
    char before[CLI_NUMBER_SIZE], after[CLI_NUMBER_SIZE];
    cli_print(output, "written   %s", cli_style(output, CLI_GREEN));
    cli_write_plain(output, ce_text_of(work->settings->arguments[1]), 0);
    cli_print(output, "%s, in %s%s\n", cli_style(output, CLI_RESET),
              report->gguf_type ? ce_gguf_type_name(report->gguf_type) : ce_precision_name(report->precision),
              report->gguf_type ? ", as GGUF" : "");
    cli_print(output, "weights   %s, before %s\n", cli_format_bytes(report->bytes_after, after),
              cli_format_bytes(report->bytes_before, before));
    cli_print(output, "tensors   %" PRIu32 ", of which %" PRIu32 " were rounded", report->tensors,
              report->tensors_rounded);
    if (report->tensors_dropped) cli_print(output, "; %" PRIu32 " not used and left out", report->tensors_dropped);
    cli_write_string(output, "\n");
    if (report->tensors_rounded) {
        cli_print(output, "error     %.2g, relative, at most: in ", report->largest_error);
        cli_write_plain(output, ce_text_of(report->largest_error_tensor), 0);
        cli_write_string(output, "\n");
    }
    if (!report->gguf_type) cli_print(output, "files     %" PRIu32 " copied\n", report->files);
}

static cli_status run(conversion *work, cli_output *output, cli_error *error) {
    cli_status status =
        cli_find_model(work->settings->arguments[0], CLI_CROSS_ENCODERS, work->model, sizeof work->model, error);
    if (status == CLI_OK) status = cli_output_open(output, NULL, (cli_color)work->settings->color, error);
    if (status == CLI_OK) status = convert(work, error);
    if (status != CLI_OK) return status;
    if (work->settings->json) {
        write_json(output, work);
    } else {
        write_text(output, work);
    }
    return cli_output_commit(output, error);
}

cli_status cli_convert(const cli_settings *settings, cli_error *error) {
    if (settings->argument_count != 2) {
        return cli_fail(error, CLI_USAGE, "convert takes a model and the folder or file to write; %d argument%s given",
                        settings->argument_count, settings->argument_count == 1 ? " was" : "s were");
    }
    cli_output *output = calloc(1, sizeof *output);
    conversion *work = calloc(1, sizeof *work);
    cli_status status = CLI_FAILED;
    if (output && work) {
        work->settings = settings;
        status = run(work, output, error);
        cli_output_close(output);
    } else {
        status = cli_fail_memory(error);
    }
    free(work);
    free(output);
    return status;
}
