/* collection.c - reading a collection, of which only the texts that the run names are kept; and re-ranking it in chunks
 * that go across queries, so that pairs of like length meet. */
#include "collection.h"

#include "format.h"
#include "records.h"

#include <stdio.h>
#include <stdlib.h>

cli_status cli_collection_read_run(cli_collection *collection, const cli_settings *settings, cli_error *error) {
    cli_reader reader = {0};
    cli_status status = cli_reader_open(&reader, settings->run, false, error);
    if (status == CLI_OK) status = cli_run_read(&collection->run, &reader, settings->top, error);
    cli_reader_close(&reader);
    if (status != CLI_OK) return status;
    collection->chosen_count = collection->run.queries.count;
    collection->chosen = calloc(collection->chosen_count + 1, sizeof *collection->chosen);
    if (!collection->chosen) return cli_fail_memory(error);
    for (size_t i = 0; i < collection->chosen_count; i++) collection->chosen[i] = i;
    return CLI_OK;
}

cli_entry *cli_collection_entries(const cli_collection *collection, size_t query, size_t *count) {
    const cli_run *run = &collection->run;
    *count = run->begins[query + 1] - run->begins[query];
    return run->entries + run->begins[query];
}

/* A file of texts with ids, some of which are wanted. */
typedef struct text_file {
    const char *path;
    const cli_map *ids;
    const bool *wanted; /* [ids->count] */
    ce_text *texts;     /* [ids->count] */
} text_file;

static cli_status keep_text(const text_file *file, const cli_document *document, const cli_reader *reader,
                            cli_arena *arena, cli_error *error) {
    if (!document->id.data) return cli_fail_line(error, reader, "it has no id; expected \"_id\" and \"text\"");
    size_t number = cli_map_find(file->ids, document->id);
    if (number == CLI_MAP_NONE || !file->wanted[number]) return CLI_OK;
    if (file->texts[number].data) {
        return cli_fail_line(error, reader, "the id \"%.*s\" was there before", CLI_SHOWN(document->id));
    }
    file->texts[number] = cli_arena_copy(arena, document->text);
    return file->texts[number].data ? CLI_OK : cli_fail_memory(error);
}

static cli_status read_lines(const text_file *file, cli_reader *reader, cli_arena *arena, cli_error *error) {
    cli_format format = cli_format_of(CLI_FORMAT_AUTO, file->path, CLI_FORMAT_JSONL);
    cli_arena scratch = {0};
    ce_text line;
    bool more = false;
    cli_status status;
    while ((status = cli_reader_next(reader, &line, &more, error)) == CLI_OK && more) {
        cli_document document;
        status = cli_parse_document(format, line, reader, &scratch, &document, error);
        if (status == CLI_OK) status = keep_text(file, &document, reader, arena, error);
        if (status != CLI_OK) break;
        cli_arena_reset(&scratch);
    }
    cli_arena_free(&scratch);
    return status;
}

static cli_status read_texts(const text_file *file, bool replace, cli_arena *arena, cli_error *error) {
    cli_reader reader = {0};
    cli_status status = cli_reader_open(&reader, file->path, replace, error);
    if (status == CLI_OK) status = read_lines(file, &reader, arena, error);
    cli_reader_close(&reader);
    return status;
}

static void mark_wanted(const cli_collection *collection, bool *queries, bool *documents) {
    for (size_t i = 0; i < collection->chosen_count; i++) {
        size_t count;
        const cli_entry *entries = cli_collection_entries(collection, collection->chosen[i], &count);
        queries[collection->chosen[i]] = true;
        for (size_t j = 0; j < count; j++) documents[entries[j].document] = true;
    }
}

static cli_status check_texts(const cli_collection *collection, const cli_settings *settings, cli_error *error) {
    const cli_run *run = &collection->run;
    for (size_t i = 0; i < collection->chosen_count; i++) {
        size_t query = collection->chosen[i], count;
        const cli_entry *entries = cli_collection_entries(collection, query, &count);
        if (!collection->queries[query].data) {
            return cli_fail(error, CLI_INPUT, "%s, line %llu: query \"%.*s\" is not in %s", settings->run,
                            (unsigned long long)entries[0].line, CLI_SHOWN(run->queries.names[query]),
                            settings->queries);
        }
        for (size_t j = 0; j < count; j++) {
            if (collection->documents[entries[j].document].data) continue;
            return cli_fail(error, CLI_INPUT, "%s, line %llu: document \"%.*s\" of query \"%.*s\" is not in %s",
                            settings->run, (unsigned long long)entries[j].line, CLI_SHOWN(entries[j].name),
                            CLI_SHOWN(run->queries.names[query]), settings->corpus);
        }
    }
    return CLI_OK;
}

static cli_status read_wanted(cli_collection *collection, const cli_settings *settings, bool *queries, bool *documents,
                              cli_error *error) {
    bool replace = settings->utf8 == CE_UTF8_REPLACE;
    text_file query_file = {settings->queries, &collection->run.queries, queries, collection->queries};
    text_file document_file = {settings->corpus, &collection->run.documents, documents, collection->documents};
    mark_wanted(collection, queries, documents);
    cli_status status = read_texts(&query_file, replace, &collection->texts, error);
    if (status == CLI_OK) status = read_texts(&document_file, replace, &collection->texts, error);
    return status == CLI_OK ? check_texts(collection, settings, error) : status;
}

cli_status cli_collection_read_texts(cli_collection *collection, const cli_settings *settings, cli_error *error) {
    const cli_run *run = &collection->run;
    bool *queries = calloc(run->queries.count + 1, sizeof *queries);
    bool *documents = calloc(run->documents.count + 1, sizeof *documents);
    collection->queries = calloc(run->queries.count + 1, sizeof *collection->queries);
    collection->documents = calloc(run->documents.count + 1, sizeof *collection->documents);
    bool is_complete = queries && documents && collection->queries && collection->documents;
    cli_status status =
        is_complete ? read_wanted(collection, settings, queries, documents, error) : cli_fail_memory(error);
    free(queries);
    free(documents);
    return status;
}

/* The pairs of the chosen queries, in order; *total receives their number. */
static ce_pair *make_pairs(const cli_collection *collection, size_t *total) {
    size_t count = 0;
    *total = 0;
    for (size_t i = 0; i < collection->chosen_count; i++) {
        cli_collection_entries(collection, collection->chosen[i], &count);
        *total += count;
    }
    ce_pair *pairs = reallocarray(NULL, *total + 1, sizeof *pairs), *next = pairs;
    for (size_t i = 0; pairs && i < collection->chosen_count; i++) {
        size_t query = collection->chosen[i];
        const cli_entry *entries = cli_collection_entries(collection, query, &count);
        for (size_t j = 0; j < count; j++) {
            *next++ = (ce_pair){collection->queries[query], collection->documents[entries[j].document]};
        }
    }
    return pairs;
}

static cli_status score_pairs(cli_scorer *scorer, const ce_pair *pairs, size_t total, float *scores, cli_error *error) {
    for (size_t begin = 0; begin < total; begin += CLI_CHUNK_PAIRS) {
        size_t count = total - begin < CLI_CHUNK_PAIRS ? total - begin : CLI_CHUNK_PAIRS;
        scorer->fraction_begin = (double)begin / (double)total;
        scorer->fraction_end = (double)(begin + count) / (double)total;
        cli_status status = cli_scorer_score(scorer, pairs + begin, count, scores + begin, error);
        if (status != CLI_OK) return status;
    }
    return CLI_OK;
}

static void take_scores(cli_collection *collection, const float *scores) {
    for (size_t i = 0; i < collection->chosen_count; i++) {
        size_t count;
        cli_entry *entries = cli_collection_entries(collection, collection->chosen[i], &count);
        for (size_t j = 0; j < count; j++) entries[j].score = *scores++;
        cli_entries_sort(entries, count);
    }
}

/* Remembers the entry of pair number, before the order changes. */
static void remember_truncated(cli_collection *collection, uint64_t number) {
    for (size_t i = 0; i < collection->chosen_count; i++) {
        size_t count;
        const cli_entry *entries = cli_collection_entries(collection, collection->chosen[i], &count);
        if (number < count) {
            collection->truncated = entries[number];
            return;
        }
        number -= count;
    }
}

cli_status cli_collection_rerank(cli_collection *collection, cli_scorer *scorer, cli_error *error) {
    size_t total = 0;
    ce_pair *pairs = make_pairs(collection, &total);
    float *scores = reallocarray(NULL, total + 1, sizeof *scores);
    cli_status status = pairs && scores ? CLI_OK : cli_fail_memory(error);
    if (status == CLI_OK) status = score_pairs(scorer, pairs, total, scores, error);
    if (status == CLI_OK) {
        if (scorer->truncated) remember_truncated(collection, scorer->first_truncated);
        take_scores(collection, scores);
    }
    free(pairs);
    free(scores);
    return status;
}

void cli_collection_write(const cli_collection *collection, const cli_settings *settings, cli_output *output) {
    for (size_t i = 0; i < collection->chosen_count && !output->failure; i++) {
        size_t count;
        const cli_entry *entries = cli_collection_entries(collection, collection->chosen[i], &count);
        cli_entries_write(&collection->run, entries, count, settings->tag ? settings->tag : "crossenc", output);
    }
}

void cli_collection_note_truncation(const cli_collection *collection, cli_scorer *scorer) {
    char first[600] = "";
    if (!scorer->truncated) return;
    snprintf(first, sizeof first, "query %.*s, document %.*s",
             CLI_SHOWN(collection->run.queries.names[collection->truncated.query]),
             CLI_SHOWN(collection->truncated.name));
    cli_make_plain(first);
    cli_scorer_note_truncation(scorer, first);
}

void cli_collection_free(cli_collection *collection) {
    cli_run_free(&collection->run);
    cli_arena_free(&collection->texts);
    free(collection->queries);
    free(collection->documents);
    free(collection->chosen);
    *collection = (cli_collection){0};
}
