/* trec.h - runs and judgements in the formats of TREC, and their order.
 *
 * A run has lines "query Q0 document rank score tag", parted by spaces or tabs; its order is that of the scores, as
 * for trec_eval, not that of the ranks or lines. Judgements have lines "query 0 document relevance", or
 * "query document relevance" with or without a first line of column names, as BEIR writes them. Blank lines are
 * passed over. */
#ifndef CLI_TREC_H
#define CLI_TREC_H

#include "map.h"
#include "output.h"
#include "reader.h"

/* One document in a run. */
typedef struct cli_entry {
    size_t query, document; /* numbers in the run's maps */
    ce_text name;           /* the document's id */
    float score;
    uint64_t line;
} cli_entry;

/* Zeroed is empty. */
typedef struct cli_run {
    cli_map queries, documents;
    cli_entry *entries; /* [count], by query in order of first appearance, then best first */
    size_t count, capacity;
    size_t *begins; /* [queries.count + 1] where each query's entries begin */
} cli_run;

/* Reads a run and keeps the top best of each query; 0 is all. A document that a query has twice is an error. */
cli_status cli_run_read(cli_run *run, cli_reader *reader, size_t top, cli_error *error);

/* Puts entries of one query in trec_eval's order: by score, descending, then by id, descending. */
void cli_entries_sort(cli_entry *entries, size_t count);

/* Writes entries of one query, which are in order, as lines of a run. */
void cli_entries_write(const cli_run *run, const cli_entry *entries, size_t count, const char *tag, cli_output *output);

void cli_run_free(cli_run *run);

typedef struct cli_judgement {
    size_t query, document; /* numbers in the run's maps */
    int relevance;
    uint64_t line;
} cli_judgement;

/* Zeroed is empty. */
typedef struct cli_judgements {
    cli_judgement *items; /* [count], by query, then by document */
    size_t count, capacity;
} cli_judgements;

/* Reads the judgements of queries that the run has; judged documents that it lacks are added to run->documents. A
 * document that is judged twice for a query is an error. */
cli_status cli_judgements_read(cli_judgements *judgements, cli_run *run, cli_reader *reader, cli_error *error);

/* The judgements of one query: their number, and where they begin. */
size_t cli_judgements_of(const cli_judgements *judgements, size_t query, const cli_judgement **first);

void cli_judgements_free(cli_judgements *judgements);

#endif
