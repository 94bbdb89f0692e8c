/* tokenize.c - crossenc tokenize: the ids of a pair as a cross-encoder reads them, or of a text as a bi-encoder does,
 * and what truncation took. */
#include "commands.h"
#include "format.h"
#include "reader.h"
#include "scorer.h"

#include <stdlib.h>

/* The texts of a call, and what they became. */
typedef struct tokens {
    ce_pair pair;
    ce_text text;           /* in place of the pair, if there is one */
    int32_t *ids, *types;   /* [count] */
    size_t count, capacity; /* capacity is 0 while they are counted */
    ce_truncation truncation;
    ce_text_tokens of_text;
} tokens;

static ce_status ask(const cli_scorer *scorer, tokens *found, ce_error *why) {
    /* The texts were checked: what is not UTF-8 has been replaced already. */
    ce_text text;
    const ce_text *prompt = cli_scorer_prompt(scorer, &text);
    const ce_score_options of_pair = {.size = sizeof of_pair, .prompt = prompt};
    if (!scorer->encoder)
        return ce_tokenize(scorer->model, found->pair, &of_pair, found->ids, found->types, found->capacity,
                           &found->count, &found->truncation, why);
    const ce_encode_options options = {.size = sizeof options, .prompt = prompt};
    ce_status status = ce_encoder_tokenize(scorer->encoder, found->text, &options, found->ids, found->types,
                                           found->capacity, &found->of_text, why);
    found->count = found->of_text.count;
    return status;
}

static cli_status tokenize(const cli_scorer *scorer, tokens *found, cli_error *error) {
    ce_error why = {0};
    ce_status status = ask(scorer, found, &why);
    if (status != CE_OK) return cli_fail_call(error, status, &why);
    found->ids = calloc(found->count + 1, sizeof *found->ids);
    found->types = calloc(found->count + 1, sizeof *found->types);
    if (!found->ids || !found->types) return cli_fail_memory(error);
    found->capacity = found->count;
    status = ask(scorer, found, &why);
    return status == CE_OK ? CLI_OK : cli_fail_call(error, status, &why);
}

static void write_ids(cli_output *output, const int32_t *ids, size_t count, const char *between) {
    for (size_t i = 0; i < count; i++) cli_print(output, "%s%ld", i ? between : "", (long)ids[i]);
}

static void write_json(cli_output *output, const tokens *found, bool is_text) {
    const ce_truncation *cut = &found->truncation;
    cli_print(output, "{\"count\":%zu,", found->count);
    if (is_text) {
        cli_print(output, "\"prompt_tokens\":%zu,\"removed\":%zu", found->of_text.prompt, found->of_text.removed);
    } else {
        cli_print(output, "\"query_tokens\":%zu,\"document_tokens\":%zu,", cut->query_tokens, cut->document_tokens);
        cli_print(output, "\"query_removed\":%zu,\"document_removed\":%zu", cut->query_removed, cut->document_removed);
    }
    cli_write_string(output, ",\"ids\":[");
    write_ids(output, found->ids, found->count, ",");
    cli_write_string(output, "],\"type_ids\":[");
    write_ids(output, found->types, found->count, ",");
    cli_write_string(output, "]}\n");
}

static void write_name(cli_output *output, const char *name) {
    cli_print(output, "%s%-10s%s", cli_style(output, CLI_DIM), name, cli_style(output, CLI_RESET));
}

static void write_parts(cli_output *output, const tokens *found, size_t max_length) {
    const ce_truncation *cut = &found->truncation;
    const size_t query = cut->query_tokens - cut->query_removed,
                 document = cut->document_tokens - cut->document_removed;
    write_name(output, "tokens");
    cli_print(output, "%zu of at most %zu: ", found->count, max_length);
    cli_print(output, "query %zu, document %zu, special %zu\n", query, document, found->count - query - document);
    if (cut->query_removed + cut->document_removed == 0) return;
    write_name(output, "removed");
    cli_print(output, "%s%zu of the query's, %zu of the document's%s\n", cli_style(output, CLI_YELLOW),
              cut->query_removed, cut->document_removed, cli_style(output, CLI_RESET));
}

static void write_parts_of_text(cli_output *output, const tokens *found, size_t max_length) {
    const ce_text_tokens *cut = &found->of_text;
    write_name(output, "tokens");
    cli_print(output, "%zu of at most %zu", found->count, max_length);
    if (cut->prompt) cli_print(output, ", the first %zu of them the prompt's", cut->prompt);
    cli_write_string(output, "\n");
    if (cut->removed == 0) return;
    write_name(output, "removed");
    cli_print(output, "%s%zu%s\n", cli_style(output, CLI_YELLOW), cut->removed, cli_style(output, CLI_RESET));
}

static void write_table(cli_output *output, const tokens *found, const cli_scorer *scorer) {
    if (scorer->encoder) {
        write_parts_of_text(output, found, scorer->encoder_info.max_length);
    } else {
        write_parts(output, found, scorer->info.max_length);
    }
    write_name(output, "ids");
    write_ids(output, found->ids, found->count, " ");
    cli_write_string(output, "\n");
    write_name(output, "type ids");
    write_ids(output, found->types, found->count, " ");
    cli_write_string(output, "\n");
}

static cli_status run(const cli_settings *settings, tokens *found, cli_output *output, cli_error *error) {
    cli_scorer scorer = {0};
    const bool is_text = settings->argument_count == 1;
    cli_status status = cli_output_open(output, NULL, (cli_color)settings->color, error);
    if (status == CLI_OK) {
        status = is_text ? cli_scorer_open_encoder(&scorer, settings, CE_PLACE_DEFERRED, error)
                         : cli_scorer_open(&scorer, settings, CE_PLACE_DEFERRED, error);
    }
    if (status == CLI_OK) status = tokenize(&scorer, found, error);
    if (status == CLI_OK) {
        if (settings->json) {
            write_json(output, found, is_text);
        } else {
            write_table(output, found, &scorer);
        }
        status = cli_output_commit(output, error);
    }
    free(found->ids);
    free(found->types);
    cli_scorer_close(&scorer);
    return status;
}

static cli_status check(const cli_settings *settings, cli_error *error) {
    const int count = settings->argument_count;
    if (count != 2 && (count != 1 || !settings->model)) {
        return cli_fail(error, CLI_USAGE,
                        "tokenize takes a query and a document, or, with --model and a bi-encoder, one text; see "
                        "'crossenc tokenize --help'");
    }
    return CLI_OK;
}

cli_status cli_tokenize(const cli_settings *settings, cli_error *error) {
    cli_status status = check(settings, error);
    if (status != CLI_OK) return status;
    const bool is_text = settings->argument_count == 1, replace = settings->utf8 == CE_UTF8_REPLACE;
    tokens found = {0};
    char *first = NULL, *second = NULL;
    cli_output *output = calloc(1, sizeof *output);
    status = output ? CLI_OK : cli_fail_memory(error);
    found.pair.query = ce_text_of(settings->arguments[0]);
    if (status == CLI_OK)
        status = cli_check_text(is_text ? "the text" : "the query", &found.pair.query, replace, &first, error);
    found.text = found.pair.query;
    if (!is_text) found.pair.document = ce_text_of(settings->arguments[1]);
    if (status == CLI_OK) status = cli_check_text("the document", &found.pair.document, replace, &second, error);
    if (status == CLI_OK) status = run(settings, &found, output, error);
    if (output) cli_output_close(output);
    free(output);
    free(first);
    free(second);
    return status;
}
