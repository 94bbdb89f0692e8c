/* rank.c - crossenc rank: one query, documents from the command line, a file or standard input.
 *
 * Documents are read and scored in chunks. With --top-k only the best are kept, so that a stream of any length needs
 * little memory; without it all texts stay, in one copy. */
#include "best.h"
#include "commands.h"
#include "format.h"
#include "scorer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct rank_job {
    const cli_settings *settings;
    ce_text query;
    char *query_memory;
    bool from_reader;
    cli_reader reader;
    cli_format format;
    cli_arena arena;
    cli_document documents[CLI_CHUNK_PAIRS];
    ce_pair pairs[CLI_CHUNK_PAIRS];
    float scores[CLI_CHUNK_PAIRS];
    uint64_t taken; /* documents so far */
    cli_best best;
    cli_scorer scorer;
    cli_output output;
} rank_job;

static cli_status check_settings(const cli_settings *settings, cli_error *error) {
    if (settings->argument_count == 0) {
        return cli_fail(error, CLI_USAGE, "rank needs a query; see 'crossenc rank --help'");
    }
    if (settings->argument_count > 1 && settings->documents) {
        return cli_fail(error, CLI_USAGE, "documents are given twice: by --documents and behind the query");
    }
    if (settings->corpus || settings->queries || settings->tag) {
        return cli_fail(error, CLI_USAGE, "--corpus, --queries and --tag go with --run");
    }
    return CLI_OK;
}

static cli_status open_input(rank_job *job, cli_error *error) {
    const cli_settings *settings = job->settings;
    bool replace = settings->utf8 == CE_UTF8_REPLACE;
    job->query = ce_text_of(settings->arguments[0]);
    cli_status status = cli_check_text("the query", &job->query, replace, &job->query_memory, error);
    job->from_reader = settings->argument_count == 1;
    if (status != CLI_OK || !job->from_reader) return status;
    job->format = cli_format_of((cli_format)settings->format, settings->documents, CLI_FORMAT_LINES);
    status = cli_reader_open(&job->reader, settings->documents, replace, error);
    if (status == CLI_OK && !settings->quiet && isatty(job->reader.fd)) {
        fprintf(stderr, "crossenc: reading documents from the terminal, one a line; Ctrl-D ends them\n");
    }
    return status;
}

static cli_status take_argument(rank_job *job, cli_document *document, bool *more, cli_error *error) {
    const cli_settings *settings = job->settings;
    *more = job->taken + 1 < (uint64_t)settings->argument_count;
    if (!*more) return CLI_OK;
    char what[64], *memory = NULL;
    snprintf(what, sizeof what, "document %llu", (unsigned long long)job->taken + 1);
    *document = (cli_document){.text = ce_text_of(settings->arguments[job->taken + 1])};
    cli_status status = cli_check_text(what, &document->text, settings->utf8 == CE_UTF8_REPLACE, &memory, error);
    if (memory) document->text = cli_arena_copy(&job->arena, document->text);
    free(memory);
    return status == CLI_OK && !document->text.data ? cli_fail_memory(error) : status;
}

static cli_status take_line(rank_job *job, cli_document *document, bool *more, cli_error *error) {
    ce_text line;
    cli_status status = cli_reader_next(&job->reader, &line, more, error);
    if (status != CLI_OK || !*more) return status;
    if (job->format == CLI_FORMAT_LINES) cli_scorer_note_format(&job->scorer, &job->reader, line);
    return cli_parse_document(job->format, line, &job->reader, &job->arena, document, error);
}

/* Reads a chunk of documents, and makes pairs of them. */
static cli_status take_chunk(rank_job *job, size_t *count, cli_error *error) {
    size_t bytes = 0;
    bool more = true;
    cli_status status = CLI_OK;
    for (*count = 0; *count < CLI_CHUNK_PAIRS && bytes < CLI_CHUNK_BYTES; ++*count) {
        cli_document *document = &job->documents[*count];
        status = job->from_reader ? take_line(job, document, &more, error) : take_argument(job, document, &more, error);
        if (status != CLI_OK || !more) break;
        job->pairs[*count] = (ce_pair){job->query, document->text};
        bytes += document->text.size;
        job->taken++;
    }
    return status;
}

static void set_fraction(rank_job *job) {
    double end = job->from_reader ? cli_reader_fraction(&job->reader)
                                  : (double)job->taken / (double)(job->settings->argument_count - 1);
    job->scorer.fraction_begin = end < 0 ? -1 : job->scorer.fraction_end > 0 ? job->scorer.fraction_end : 0;
    job->scorer.fraction_end = end;
}

static cli_status score_chunk(rank_job *job, size_t count, cli_error *error) {
    uint64_t first = job->taken - count;
    set_fraction(job);
    cli_status status = cli_scorer_score(&job->scorer, job->pairs, count, job->scores, error);
    for (size_t i = 0; i < count && status == CLI_OK; i++) {
        bool added = cli_best_add(&job->best, first + i, job->scores[i], &job->documents[i]);
        if (!added) status = cli_fail_memory(error);
    }
    /* The best have their own copies; without a limit they borrow, and the arena must stay. */
    if (job->best.limit) cli_arena_reset(&job->arena);
    return status;
}

static cli_status score_all(rank_job *job, cli_error *error) {
    cli_status status;
    size_t count = 0;
    while ((status = take_chunk(job, &count, error)) == CLI_OK && count > 0) {
        status = score_chunk(job, count, error);
        if (status != CLI_OK) return status;
    }
    return status;
}

static void write_json(cli_output *output, const cli_scored *item) {
    char score[CLI_NUMBER_SIZE];
    cli_print(output, "{\"index\":%llu,", (unsigned long long)item->index);
    if (item->document.id.data) {
        cli_write_string(output, "\"id\":");
        cli_write_json(output, item->document.id);
        cli_write_string(output, ",");
    }
    cli_print(output, "\"score\":%s,\"text\":", cli_format_json_score(item->score, score));
    cli_write_json(output, item->document.text);
    cli_write_string(output, "}\n");
}

static ce_text label_of(const cli_scored *item, char digits[static CLI_NUMBER_SIZE]) {
    if (item->document.id.data) return item->document.id;
    snprintf(digits, CLI_NUMBER_SIZE, "%llu", (unsigned long long)item->index);
    return ce_text_of(digits);
}

/* rank, score, id or index, text; tabs between them. */
static void write_columns(cli_output *output, const cli_scored *item, size_t rank) {
    char score[CLI_NUMBER_SIZE], digits[CLI_NUMBER_SIZE];
    cli_print(output, "%zu\t%s\t", rank, cli_format_score(item->score, score));
    cli_write_plain(output, label_of(item, digits), 0);
    cli_write_string(output, "\t");
    cli_write_plain(output, item->document.text, 0);
    cli_write_string(output, "\n");
}

/* Columns of the widest label, at most 24, so that the texts keep their room. */
static size_t label_columns(const cli_best *best) {
    size_t widest = 5;
    for (size_t i = 0; i < best->count; i++) {
        char digits[CLI_NUMBER_SIZE];
        size_t columns = cli_plain_columns(label_of(&best->items[i], digits));
        if (columns > widest) widest = columns;
    }
    return widest < 24 ? widest : 24;
}

static void write_padded(cli_output *output, ce_text text, size_t columns) {
    size_t wide = cli_plain_columns(text);
    cli_write_plain(output, text, columns);
    if (wide < columns) cli_print(output, "%*s", (int)(columns - wide), "");
}

static void write_table(cli_output *output, const cli_best *best) {
    size_t label = label_columns(best);
    size_t rank = 4, left = rank + 2 + 9 + 2 + label + 2;
    size_t room = output->width > left + 8 ? output->width - left : 8;
    const char *dim = cli_style(output, CLI_DIM), *reset = cli_style(output, CLI_RESET);
    bool has_ids = best->count > 0 && best->items[0].document.id.data;
    cli_print(output, "%s%*s  %9s  %-*s  text%s\n", dim, (int)rank, "rank", "score", (int)label,
              has_ids ? "id" : "index", reset);
    for (size_t i = 0; i < best->count; i++) {
        const cli_scored *item = &best->items[i];
        char digits[CLI_NUMBER_SIZE];
        cli_print(output, "%*zu  %s%s%9.4f%s  %s", (int)rank, i + 1, cli_style(output, i ? "" : CLI_BOLD),
                  cli_style(output, CLI_GREEN), (double)item->score, reset, dim);
        write_padded(output, label_of(item, digits), label);
        cli_print(output, "%s  ", reset);
        cli_write_plain(output, item->document.text, room);
        cli_write_string(output, "\n");
    }
}

static cli_status write_results(rank_job *job, cli_error *error) {
    cli_output *output = &job->output;
    cli_progress_clear(&job->scorer.progress);
    cli_best_sort(&job->best);
    if (!job->settings->json && output->is_terminal && job->best.count > 0) {
        write_table(output, &job->best);
    } else {
        for (size_t i = 0; i < job->best.count && !output->failure; i++) {
            if (job->settings->json)
                write_json(output, &job->best.items[i]);
            else
                write_columns(output, &job->best.items[i], i + 1);
        }
    }
    return cli_output_commit(output, error);
}

static void note(rank_job *job) {
    char first[96];
    unsigned long long index = job->scorer.first_truncated;
    if (job->from_reader)
        snprintf(first, sizeof first, "index %llu, line %llu", index, index + 1);
    else
        snprintf(first, sizeof first, "index %llu", index);
    cli_scorer_note_truncation(&job->scorer, first);
    if (job->output.is_terminal && !job->settings->json) cli_scorer_note_speed(&job->scorer, "document");
}

static cli_status run(rank_job *job, cli_error *error) {
    cli_status status = open_input(job, error);
    if (status == CLI_OK) {
        status = cli_output_open(&job->output, job->settings->output, (cli_color)job->settings->color, error);
    }
    if (status == CLI_OK) status = cli_scorer_open(&job->scorer, job->settings, CE_PLACE_EAGER, error);
    if (status == CLI_OK) status = cli_scorer_need_one_label(&job->scorer, "rank", error);
    if (status == CLI_OK) status = score_all(job, error);
    if (status == CLI_OK) status = write_results(job, error);
    if (status == CLI_OK) note(job);
    return status;
}

cli_status cli_rank(const cli_settings *settings, cli_error *error) {
    if (settings->run) return cli_rerank(settings, error);
    cli_status status = check_settings(settings, error);
    if (status != CLI_OK) return status;
    rank_job *job = calloc(1, sizeof *job);
    if (!job) return cli_fail_memory(error);
    job->settings = settings;
    job->best.limit = settings->top_k;
    status = run(job, error);
    cli_scorer_close(&job->scorer);
    cli_output_close(&job->output);
    cli_best_free(&job->best);
    cli_arena_free(&job->arena);
    cli_reader_close(&job->reader);
    free(job->query_memory);
    free(job);
    return status;
}
