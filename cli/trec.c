/* trec.c - TREC's runs and judgements. Knows no texts and no scores but those that the files give. */
#include "trec.h"

#include "format.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_FIELDS = 8 };

static bool is_blank(char byte) { return byte == ' ' || byte == '\t'; }

/* Parts line at blanks, or at tabs alone. Returns how many fields there are, of which the first MOST_FIELDS are set. */
static size_t split(ce_text line, bool at_tabs, ce_text *fields) {
    size_t count = 0, at = 0;
    while (at < line.size) {
        size_t begin = at;
        while (at < line.size && (at_tabs ? line.data[at] != '\t' : !is_blank(line.data[at]))) at++;
        if (at > begin || at_tabs) {
            if (count < MOST_FIELDS) fields[count] = (ce_text){line.data + begin, at - begin};
            count++;
        }
        at++;
    }
    return count;
}

static size_t split_any(ce_text line, ce_text *fields) {
    /* Ids of BEIR may hold spaces where tabs part the columns. */
    bool at_tabs = line.size > 0 && memchr(line.data, '\t', line.size);
    return split(line, at_tabs, fields);
}

static bool is_blank_line(ce_text line) {
    for (size_t i = 0; i < line.size; i++) {
        if (!is_blank(line.data[i])) return false;
    }
    return true;
}

/* field as a C string in buffer; false if it is empty, too long for a number, or holds a NUL. */
static bool copy_number(ce_text field, char *buffer, size_t size) {
    if (field.size == 0 || field.size >= size || memchr(field.data, '\0', field.size)) return false;
    memcpy(buffer, field.data, field.size);
    buffer[field.size] = '\0';
    return true;
}

static bool parse_score(ce_text field, float *score) {
    char digits[128], *end;
    if (!copy_number(field, digits, sizeof digits)) return false;
    double value = strtod(digits, &end);
    if (*end || !isfinite(value)) return false;
    *score = value > FLT_MAX ? INFINITY : value < -FLT_MAX ? -INFINITY : (float)value;
    return true;
}

static bool parse_relevance(ce_text field, int *relevance) {
    char digits[32], *end;
    if (!copy_number(field, digits, sizeof digits)) return false;
    errno = 0;
    long value = strtol(digits, &end, 10);
    if (*end || errno || value < INT_MIN || value > INT_MAX) return false;
    *relevance = (int)value;
    return true;
}

static int compare_names(ce_text a, ce_text b) {
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    if (order) return order;
    return (a.size > b.size) - (a.size < b.size);
}

static int by_rank(const void *left, const void *right) {
    const cli_entry *a = left, *b = right;
    if (a->query != b->query) return a->query < b->query ? -1 : 1;
    /* NaN, which no file has and a broken model may give, goes last. */
    if (isnan(a->score) != isnan(b->score)) return isnan(a->score) ? 1 : -1;
    if (a->score != b->score && !isnan(a->score)) return a->score > b->score ? -1 : 1;
    return compare_names(b->name, a->name);
}

static int by_document(const void *left, const void *right) {
    const cli_entry *a = left, *b = right;
    if (a->query != b->query) return a->query < b->query ? -1 : 1;
    if (a->document != b->document) return a->document < b->document ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

void cli_entries_sort(cli_entry *entries, size_t count) {
    if (count > 1) qsort(entries, count, sizeof *entries, by_rank);
}

static cli_status add_entry(cli_run *run, ce_text line, const cli_reader *reader, cli_error *error) {
    ce_text fields[MOST_FIELDS];
    size_t count = split(line, false, fields);
    if (count != 6) {
        return cli_fail_line(error, reader, "it has %zu column%s; expected 6: query Q0 document rank score tag", count,
                             count == 1 ? "" : "s");
    }
    if (!cli_grow(&run->entries, &run->capacity, run->count + 1, sizeof *run->entries)) return cli_fail_memory(error);
    cli_entry entry = {.query = cli_map_add(&run->queries, fields[0]),
                       .document = cli_map_add(&run->documents, fields[2]),
                       .line = reader->line};
    if (entry.query == CLI_MAP_NONE || entry.document == CLI_MAP_NONE) return cli_fail_memory(error);
    if (!parse_score(fields[4], &entry.score)) {
        return cli_fail_line(error, reader, "the score is \"%.*s\"; expected a finite number", CLI_SHOWN(fields[4]));
    }
    entry.name = run->documents.names[entry.document];
    run->entries[run->count++] = entry;
    return CLI_OK;
}

static cli_status check_entries(cli_run *run, const cli_reader *reader, cli_error *error) {
    if (run->count > 1) qsort(run->entries, run->count, sizeof *run->entries, by_document);
    for (size_t i = 1; i < run->count; i++) {
        const cli_entry *a = &run->entries[i - 1], *b = &run->entries[i];
        if (a->query != b->query || a->document != b->document) continue;
        return cli_fail(error, CLI_INPUT, "%s, line %llu: query \"%.*s\" has document \"%.*s\" already in line %llu",
                        reader->name, (unsigned long long)b->line, CLI_SHOWN(run->queries.names[b->query]),
                        CLI_SHOWN(b->name), (unsigned long long)a->line);
    }
    return CLI_OK;
}

/* Orders the entries, drops those behind the top best of their query, and notes where each query begins. */
static cli_status index_entries(cli_run *run, size_t top, cli_error *error) {
    run->begins = calloc(run->queries.count + 1, sizeof *run->begins);
    if (!run->begins) return cli_fail_memory(error);
    cli_entries_sort(run->entries, run->count);
    size_t kept = 0, seen = 0;
    for (size_t i = 0; i < run->count; i++) {
        size_t query = run->entries[i].query;
        seen = i > 0 && run->begins[query + 1] > 0 ? seen + 1 : 0;
        if (top && seen >= top) continue;
        run->entries[kept++] = run->entries[i];
        run->begins[query + 1] = kept;
    }
    run->count = kept;
    return CLI_OK;
}

cli_status cli_run_read(cli_run *run, cli_reader *reader, size_t top, cli_error *error) {
    ce_text line;
    bool more = false;
    cli_status status;
    while ((status = cli_reader_next(reader, &line, &more, error)) == CLI_OK && more) {
        if (is_blank_line(line)) continue;
        status = add_entry(run, line, reader, error);
        if (status != CLI_OK) return status;
    }
    if (status == CLI_OK) status = check_entries(run, reader, error);
    if (status == CLI_OK) status = index_entries(run, top, error);
    return status;
}

void cli_entries_write(const cli_run *run, const cli_entry *entries, size_t count, const char *tag,
                       cli_output *output) {
    for (size_t i = 0; i < count; i++) {
        char score[CLI_NUMBER_SIZE];
        ce_text query = run->queries.names[entries[i].query];
        cli_write(output, query.data, query.size);
        cli_write_string(output, " Q0 ");
        cli_write(output, entries[i].name.data, entries[i].name.size);
        cli_print(output, " %zu %s %s\n", i + 1, cli_format_score(entries[i].score, score), tag);
    }
}

void cli_run_free(cli_run *run) {
    cli_map_free(&run->queries);
    cli_map_free(&run->documents);
    free(run->entries);
    free(run->begins);
    *run = (cli_run){0};
}

static cli_status add_judgement(cli_judgements *judgements, cli_run *run, ce_text line, const cli_reader *reader,
                                cli_error *error) {
    ce_text fields[MOST_FIELDS];
    size_t count = split_any(line, fields);
    if (count != 3 && count != 4) {
        return cli_fail_line(
            error, reader, "it has %zu column%s; expected query, document, relevance, or query, 0, document, relevance",
            count, count == 1 ? "" : "s");
    }
    cli_judgement judgement = {.line = reader->line};
    if (!parse_relevance(fields[count - 1], &judgement.relevance)) {
        /* BEIR's files begin with the names of the columns. */
        if (reader->line == 1 && count == 3) return CLI_OK;
        return cli_fail_line(error, reader, "the relevance is \"%.*s\"; expected a whole number",
                             CLI_SHOWN(fields[count - 1]));
    }
    judgement.query = cli_map_find(&run->queries, fields[0]);
    if (judgement.query == CLI_MAP_NONE) return CLI_OK;
    judgement.document = cli_map_add(&run->documents, fields[count - 2]);
    if (judgement.document == CLI_MAP_NONE) return cli_fail_memory(error);
    if (!cli_grow(&judgements->items, &judgements->capacity, judgements->count + 1, sizeof *judgements->items)) {
        return cli_fail_memory(error);
    }
    judgements->items[judgements->count++] = judgement;
    return CLI_OK;
}

static int by_pair(const void *left, const void *right) {
    const cli_judgement *a = left, *b = right;
    if (a->query != b->query) return a->query < b->query ? -1 : 1;
    if (a->document != b->document) return a->document < b->document ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

static cli_status check_judgements(cli_judgements *judgements, const cli_run *run, const cli_reader *reader,
                                   cli_error *error) {
    cli_judgement *items = judgements->items;
    if (judgements->count > 1) qsort(items, judgements->count, sizeof *items, by_pair);
    for (size_t i = 1; i < judgements->count; i++) {
        if (items[i].query != items[i - 1].query || items[i].document != items[i - 1].document) continue;
        return cli_fail(error, CLI_INPUT, "%s, line %llu: document \"%.*s\" was judged for query \"%.*s\" in line %llu",
                        reader->name, (unsigned long long)items[i].line,
                        CLI_SHOWN(run->documents.names[items[i].document]),
                        CLI_SHOWN(run->queries.names[items[i].query]), (unsigned long long)items[i - 1].line);
    }
    return CLI_OK;
}

cli_status cli_judgements_read(cli_judgements *judgements, cli_run *run, cli_reader *reader, cli_error *error) {
    ce_text line;
    bool more = false;
    cli_status status;
    while ((status = cli_reader_next(reader, &line, &more, error)) == CLI_OK && more) {
        if (is_blank_line(line)) continue;
        status = add_judgement(judgements, run, line, reader, error);
        if (status != CLI_OK) return status;
    }
    return status == CLI_OK ? check_judgements(judgements, run, reader, error) : status;
}

/* The first judgement of query or of one after it. */
static size_t lower_bound(const cli_judgements *judgements, size_t query) {
    size_t low = 0, high = judgements->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (judgements->items[middle].query < query) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t cli_judgements_of(const cli_judgements *judgements, size_t query, const cli_judgement **first) {
    size_t begin = lower_bound(judgements, query);
    *first = judgements->items + begin;
    return lower_bound(judgements, query + 1) - begin;
}

void cli_judgements_free(cli_judgements *judgements) {
    free(judgements->items);
    *judgements = (cli_judgements){0};
}
