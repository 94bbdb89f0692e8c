/* tokenize.c - crossenc tokenize: the ids of a pair as the model reads them, and what truncation took. */
#include "commands.h"
#include "format.h"
#include "reader.h"
#include "scorer.h"

#include <stdlib.h>

typedef struct tokens {
    int32_t *ids, *types; /* [count] */
    size_t count;
    ce_truncation truncation;
} tokens;

static cli_status tokenize(const cli_scorer *scorer, ce_pair pair, tokens *found, cli_error *error) {
    ce_error why = {0};
    /* The texts were checked: what is not UTF-8 has been replaced already. */
    ce_status status = ce_tokenize(scorer->model, pair, CE_UTF8_STRICT, NULL, NULL, 0, &found->count, NULL, &why);
    if (status != CE_OK) return cli_fail_call(error, status, &why);
    size_t capacity = found->count;
    found->ids = calloc(capacity + 1, sizeof *found->ids);
    found->types = calloc(capacity + 1, sizeof *found->types);
    if (!found->ids || !found->types) return cli_fail_memory(error);
    status = ce_tokenize(scorer->model, pair, CE_UTF8_STRICT, found->ids, found->types, capacity, &found->count,
                         &found->truncation, &why);
    return status == CE_OK ? CLI_OK : cli_fail_call(error, status, &why);
}

static void write_ids(cli_output *output, const int32_t *ids, size_t count, const char *between) {
    for (size_t i = 0; i < count; i++) cli_print(output, "%s%ld", i ? between : "", (long)ids[i]);
}

static void write_json(cli_output *output, const tokens *found) {
    const ce_truncation *cut = &found->truncation;
    cli_print(output, "{\"count\":%zu,\"query_tokens\":%zu,\"document_tokens\":%zu,", found->count, cut->query_tokens,
              cut->document_tokens);
    cli_print(output, "\"query_removed\":%zu,\"document_removed\":%zu,\"ids\":[", cut->query_removed,
              cut->document_removed);
    write_ids(output, found->ids, found->count, ",");
    cli_write_string(output, "],\"type_ids\":[");
    write_ids(output, found->types, found->count, ",");
    cli_write_string(output, "]}\n");
}

static void write_table(cli_output *output, const tokens *found, size_t max_length) {
    const ce_truncation *cut = &found->truncation;
    const char *dim = cli_style(output, CLI_DIM), *reset = cli_style(output, CLI_RESET);
    cli_print(output, "%stokens%s    %zu of at most %zu: ", dim, reset, found->count, max_length);
    cli_print(output, "query %zu, document %zu, special %zu\n", cut->query_tokens - cut->query_removed,
              cut->document_tokens - cut->document_removed,
              found->count - (cut->query_tokens - cut->query_removed) - (cut->document_tokens - cut->document_removed));
    if (cut->query_removed + cut->document_removed > 0) {
        cli_print(output, "%sremoved%s   %s%zu of the query's, %zu of the document's%s\n", dim, reset,
                  cli_style(output, CLI_YELLOW), cut->query_removed, cut->document_removed, reset);
    }
    cli_print(output, "%sids%s       ", dim, reset);
    write_ids(output, found->ids, found->count, " ");
    cli_print(output, "\n%stype ids%s  ", dim, reset);
    write_ids(output, found->types, found->count, " ");
    cli_write_string(output, "\n");
}

static cli_status run(const cli_settings *settings, ce_pair pair, cli_output *output, cli_error *error) {
    cli_scorer scorer = {0};
    tokens found = {0};
    cli_status status = cli_output_open(output, NULL, (cli_color)settings->color, error);
    if (status == CLI_OK) status = cli_scorer_open(&scorer, settings, CE_PLACE_DEFERRED, error);
    if (status == CLI_OK) status = tokenize(&scorer, pair, &found, error);
    if (status == CLI_OK) {
        if (settings->json)
            write_json(output, &found);
        else
            write_table(output, &found, scorer.info.max_length);
        status = cli_output_commit(output, error);
    }
    free(found.ids);
    free(found.types);
    cli_scorer_close(&scorer);
    return status;
}

cli_status cli_tokenize(const cli_settings *settings, cli_error *error) {
    if (settings->argument_count != 2) {
        return cli_fail(error, CLI_USAGE, "tokenize takes a query and a document; see 'crossenc tokenize --help'");
    }
    ce_pair pair = {ce_text_of(settings->arguments[0]), ce_text_of(settings->arguments[1])};
    bool replace = settings->utf8 == CE_UTF8_REPLACE;
    char *query = NULL, *document = NULL;
    cli_output *output = calloc(1, sizeof *output);
    cli_status status = output ? CLI_OK : cli_fail_memory(error);
    if (status == CLI_OK) status = cli_check_text("the query", &pair.query, replace, &query, error);
    if (status == CLI_OK) status = cli_check_text("the document", &pair.document, replace, &document, error);
    if (status == CLI_OK) status = run(settings, pair, output, error);
    if (output) cli_output_close(output);
    free(output);
    free(query);
    free(document);
    return status;
}
