/* predict.c - crossenc predict: pairs in, scores out, in the same order, in chunks. */
#include "chunks.h"
#include "commands.h"
#include "format.h"
#include "records.h"
#include "scorer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct predict_job {
    const cli_settings *settings;
    cli_reader reader;
    cli_format format;
    cli_arena arena;
    ce_pair pairs[CLI_CHUNK_PAIRS];
    float *scores; /* [CLI_CHUNK_PAIRS, labels] */
    size_t labels;
    cli_scorer scorer;
    cli_output output;
} predict_job;

static cli_status open_input(predict_job *job, cli_error *error) {
    const cli_settings *settings = job->settings;
    if (settings->argument_count > 1) {
        return cli_fail(error, CLI_USAGE, "predict reads one file; pairs are its lines. See 'crossenc predict --help'");
    }
    const char *path = settings->argument_count ? settings->arguments[0] : NULL;
    job->format = cli_format_of((cli_format)settings->format, path, CLI_FORMAT_TSV);
    if (job->format == CLI_FORMAT_LINES) {
        return cli_fail(error, CLI_USAGE, "pairs are no plain lines; --format is tsv or jsonl");
    }
    cli_status status = cli_reader_open(&job->reader, path, settings->utf8 == CE_UTF8_REPLACE, error);
    if (status == CLI_OK && !settings->quiet && isatty(job->reader.fd)) {
        fprintf(stderr, "crossenc: reading pairs from the terminal, query<TAB>document; Ctrl-D ends them\n");
    }
    return status;
}

static cli_status open_all(predict_job *job, cli_error *error) {
    cli_status status = open_input(job, error);
    if (status == CLI_OK) {
        status = cli_output_open(&job->output, job->settings->output, (cli_color)job->settings->color, error);
    }
    if (status == CLI_OK) status = cli_scorer_open(&job->scorer, job->settings, CE_PLACE_EAGER, error);
    if (status != CLI_OK) return status;
    job->labels = job->scorer.info.num_labels;
    job->scores = reallocarray(NULL, job->labels, CLI_CHUNK_PAIRS * sizeof *job->scores);
    return job->scores ? CLI_OK : cli_fail_memory(error);
}

static cli_status parse_line(void *argument, ce_text line, size_t index, size_t *bytes, cli_error *error) {
    predict_job *job = argument;
    ce_pair *pair = &job->pairs[index];
    cli_status status = cli_parse_pair(job->format, line, &job->reader, &job->arena, pair, error);
    if (status == CLI_OK) *bytes = pair->query.size + pair->document.size;
    return status;
}

static void write_json(const predict_job *job, cli_output *output, const float *scores) {
    char text[CLI_NUMBER_SIZE];
    if (job->labels == 1 && !job->settings->logits) {
        cli_print(output, "{\"score\":%s}\n", cli_format_json_score(scores[0], text));
        return;
    }
    cli_write_string(output, job->settings->logits ? "{\"logits\":[" : "{\"scores\":[");
    for (size_t i = 0; i < job->labels; i++) {
        cli_print(output, "%s%s", i ? "," : "", cli_format_json_score(scores[i], text));
    }
    cli_write_string(output, "]}\n");
}

static void write_scores(predict_job *job, const float *scores) {
    cli_output *output = &job->output;
    char text[CLI_NUMBER_SIZE];
    if (job->settings->json) {
        write_json(job, output, scores);
        return;
    }
    for (size_t i = 0; i < job->labels; i++) {
        cli_print(output, "%s%s", i ? "\t" : "", cli_format_score(scores[i], text));
    }
    cli_write_string(output, "\n");
}

static cli_status score_chunk(void *argument, size_t count, cli_error *error) {
    predict_job *job = argument;
    cli_status status = cli_scorer_score(&job->scorer, job->pairs, count, job->scores, error);
    if (status != CLI_OK) return status;
    if (job->output.is_terminal) cli_progress_clear(&job->scorer.progress);
    for (size_t i = 0; i < count; i++) write_scores(job, job->scores + i * job->labels);
    cli_arena_reset(&job->arena);
    return cli_output_flush(&job->output, error);
}

static void note(predict_job *job) {
    char first[64];
    snprintf(first, sizeof first, "line %llu", (unsigned long long)job->scorer.first_truncated + 1);
    cli_scorer_note_truncation(&job->scorer, first);
}

cli_status cli_predict(const cli_settings *settings, cli_error *error) {
    predict_job *job = calloc(1, sizeof *job);
    if (!job) return cli_fail_memory(error);
    job->settings = settings;
    cli_status status = open_all(job, error);
    if (status == CLI_OK) {
        const cli_chunks chunks = {&job->reader, &job->scorer, job, parse_line, score_chunk};
        status = cli_chunks_run(&chunks, error);
        if (status == CLI_OK) status = cli_output_commit(&job->output, error);
        note(job);
    }
    cli_scorer_close(&job->scorer);
    cli_output_close(&job->output);
    cli_arena_free(&job->arena);
    cli_reader_close(&job->reader);
    free(job->scores);
    free(job);
    return status;
}
