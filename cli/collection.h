/* collection.h - a run with the texts that it names: what re-ranking needs. */
#ifndef CLI_COLLECTION_H
#define CLI_COLLECTION_H

#include "scorer.h"
#include "trec.h"

/* Zeroed is empty. */
typedef struct cli_collection {
    cli_run run;
    ce_text *queries;   /* [run.queries.count] texts; no data where none was needed */
    ce_text *documents; /* [run.documents.count] */
    cli_arena texts;
    size_t *chosen; /* [chosen_count] the queries to re-rank, in the run's order */
    size_t chosen_count;
    cli_entry truncated; /* the first pair that lost tokens, if any did */
} cli_collection;

/* Reads the run of the settings, its --top best, and chooses all queries. */
cli_status cli_collection_read_run(cli_collection *collection, const cli_settings *settings, cli_error *error);

/* Reads the texts of the chosen queries and their documents. A text that is missing is an error. */
cli_status cli_collection_read_texts(cli_collection *collection, const cli_settings *settings, cli_error *error);

/* The entries of one query. */
cli_entry *cli_collection_entries(const cli_collection *collection, size_t query, size_t *count);

/* Gives the chosen queries' entries the model's scores, and orders them. */
cli_status cli_collection_rerank(cli_collection *collection, cli_scorer *scorer, cli_error *error);

/* Writes the chosen queries as a run. */
void cli_collection_write(const cli_collection *collection, const cli_settings *settings, cli_output *output);

/* Says on standard error which pair was the first to be truncated, and how many were. */
void cli_collection_note_truncation(const cli_collection *collection, cli_scorer *scorer);

void cli_collection_free(cli_collection *collection);

#endif
