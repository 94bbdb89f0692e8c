/* rerank.c - crossenc rank --run: a run in, the same documents in the model's order out. */
#include "collection.h"
#include "commands.h"
#include "format.h"

#include <stdio.h>
#include <stdlib.h>

static cli_status check_settings(const cli_settings *settings, cli_error *error) {
    if (!settings->corpus || !settings->queries) {
        return cli_fail(error, CLI_USAGE, "--run needs --corpus and --queries, which hold its texts");
    }
    if (settings->argument_count > 0 || settings->documents) {
        return cli_fail(error, CLI_USAGE,
                        "with --run, queries and documents come from --queries and --corpus; give no "
                        "others");
    }
    if (settings->format) return cli_fail(error, CLI_USAGE, "--format does not go with --run");
    if (settings->top_k) return cli_fail(error, CLI_USAGE, "--top-k does not go with --run; --top N keeps the N best");
    return CLI_OK;
}

/* A run as JSON lines, for those who asked for JSON. */
static void write_json(const cli_collection *collection, cli_output *output) {
    for (size_t i = 0; i < collection->chosen_count && !output->failure; i++) {
        size_t count, query = collection->chosen[i];
        const cli_entry *entries = cli_collection_entries(collection, query, &count);
        for (size_t j = 0; j < count; j++) {
            char score[CLI_NUMBER_SIZE];
            cli_write_string(output, "{\"query\":");
            cli_write_json(output, collection->run.queries.names[query]);
            cli_write_string(output, ",\"document\":");
            cli_write_json(output, entries[j].name);
            cli_print(output, ",\"rank\":%zu,\"score\":%s}\n", j + 1, cli_format_json_score(entries[j].score, score));
        }
    }
}

static cli_status rerank(cli_collection *collection, cli_scorer *scorer, cli_output *output, cli_error *error) {
    const cli_settings *settings = scorer->settings;
    cli_status status = cli_collection_rerank(collection, scorer, error);
    cli_progress_clear(&scorer->progress);
    if (status != CLI_OK) return status;
    if (settings->json)
        write_json(collection, output);
    else
        cli_collection_write(collection, settings, output);
    status = cli_output_commit(output, error);
    cli_collection_note_truncation(collection, scorer);
    cli_scorer_note_speed(scorer, "pair");
    return status;
}

static cli_status run(const cli_settings *settings, cli_collection *collection, cli_output *output, cli_error *error) {
    cli_scorer scorer = {0};
    cli_status status = cli_collection_read_run(collection, settings, error);
    if (status == CLI_OK) status = cli_collection_read_texts(collection, settings, error);
    if (status == CLI_OK) status = cli_output_open(output, settings->output, (cli_color)settings->color, error);
    if (status == CLI_OK) status = cli_scorer_open(&scorer, settings, CE_PLACE_EAGER, error);
    if (status == CLI_OK) status = cli_scorer_need_one_label(&scorer, "rank", error);
    if (status == CLI_OK) status = rerank(collection, &scorer, output, error);
    cli_scorer_close(&scorer);
    return status;
}

cli_status cli_rerank(const cli_settings *settings, cli_error *error) {
    cli_status status = check_settings(settings, error);
    if (status != CLI_OK) return status;
    cli_collection collection = {0};
    cli_output *output = calloc(1, sizeof *output);
    status = output ? run(settings, &collection, output, error) : cli_fail_memory(error);
    if (output) cli_output_close(output);
    free(output);
    cli_collection_free(&collection);
    return status;
}
