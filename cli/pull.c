/* pull.c - crossenc pull: models from the Hugging Face hub into its cache. The library does it; what a signal ends goes
 * on the next time. */
#include "commands.h"
#include "format.h"
#include "progress.h"

#include <crossenc/hub.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct pulling {
    const cli_settings *settings;
    const char *name;
    char folder[PATH_MAX];
    cli_progress progress;
    ce_hub_report report;
} pulling;

static void on_log(void *user, ce_log_level level, const char *message) {
    pulling *work = user;
    static const char *const names[] = {"debug", "info", "warning"};
    /* That another try is needed is worth a line too: it may take a while. */
    bool is_shown = work->settings->verbose || (level >= CE_LOG_INFO && !work->settings->quiet);
    if (!is_shown || (unsigned)level >= sizeof names / sizeof *names) return;
    cli_progress_clear(&work->progress);
    fprintf(stderr, "crossenc: %s: %s\n", names[level], message);
}

static bool on_progress(void *user, uint64_t done, uint64_t total) {
    pulling *work = user;
    cli_progress_update(&work->progress, done, total > 0 ? (double)done / (double)total : -1);
    return true;
}

static cli_status pull(pulling *work, cli_error *error) {
    ce_error why = {0};
    ce_hub_options options = {.size = sizeof options, .log = on_log, .progress = on_progress};
    options.log_user = options.progress_user = work;
    work->report.size = sizeof work->report;
    cli_progress_begin(&work->progress, work->settings, "fetching");
    work->progress.in_bytes = true;
    ce_status status = ce_hub_pull(work->name, &options, work->folder, sizeof work->folder, &work->report, &why);
    cli_progress_clear(&work->progress);
    return status == CE_OK ? CLI_OK : cli_fail_load(error, status, &why);
}

static void write_json(cli_output *output, const pulling *work) {
    const ce_hub_report *report = &work->report;
    cli_write_string(output, "{\"model\":");
    cli_write_json(output, ce_text_of(report->repository));
    cli_print(output, ",\"commit\":\"%s\"", report->commit);
    if (*report->base) {
        cli_write_string(output, ",\"base\":");
        cli_write_json(output, ce_text_of(report->base));
    }
    cli_write_string(output, ",\"folder\":");
    cli_write_json(output, ce_text_of(work->folder));
    cli_print(output, ",\"files\":%" PRIu32 ",\"files_fetched\":%" PRIu32 ",\"bytes\":%" PRIu64, report->files,
              report->files_fetched, report->bytes);
    cli_print(output, ",\"bytes_fetched\":%" PRIu64 "}\n", report->bytes_fetched);
}

static void write_text(cli_output *output, const pulling *work) {
    const ce_hub_report *report = &work->report;
    char bytes[CLI_NUMBER_SIZE], fetched[CLI_NUMBER_SIZE];
    cli_print(output, "model     %s%s%s, commit %.12s\n", cli_style(output, CLI_GREEN), report->repository,
              cli_style(output, CLI_RESET), report->commit);
    if (*report->base) cli_print(output, "changes   %s\n", report->base);
    cli_write_string(output, "folder    ");
    cli_write_plain(output, ce_text_of(work->folder), 0);
    cli_print(output, "\nfiles     %" PRIu32 ", %s", report->files, cli_format_bytes(report->bytes, bytes));
    if (report->files_fetched) {
        cli_print(output, "; %" PRIu32 " of them fetched, %s\n", report->files_fetched,
                  cli_format_bytes(report->bytes_fetched, fetched));
    } else {
        cli_write_string(output, "; all were here\n");
    }
}

static cli_status pull_all(pulling *work, cli_output *output, cli_error *error) {
    cli_status status = cli_output_open(output, NULL, (cli_color)work->settings->color, error);
    for (int i = 0; status == CLI_OK && i < work->settings->argument_count; i++) {
        work->name = work->settings->arguments[i];
        status = pull(work, error);
        if (status != CLI_OK) break;
        if (work->settings->json) {
            write_json(output, work);
        } else {
            write_text(output, work);
        }
        status = cli_output_flush(output, error);
    }
    return status == CLI_OK ? cli_output_commit(output, error) : status;
}

cli_status cli_pull(const cli_settings *settings, cli_error *error) {
    if (settings->argument_count == 0)
        return cli_fail(error, CLI_USAGE, "pull takes the names of models, as ORGANIZATION/NAME; none was given");
    cli_output *output = calloc(1, sizeof *output);
    pulling *work = calloc(1, sizeof *work);
    cli_status status = CLI_FAILED;
    if (output && work) {
        work->settings = settings;
        status = pull_all(work, output, error);
        cli_output_close(output);
    } else {
        status = cli_fail_memory(error);
    }
    free(work);
    free(output);
    return status;
}
