/* records.h - documents and pairs out of lines: plain, tab-separated, JSON. */
#ifndef CLI_RECORDS_H
#define CLI_RECORDS_H

#include "memory.h"
#include "reader.h"

typedef enum cli_format {
    CLI_FORMAT_AUTO = 0, /* by the ending of the file's name: .tsv, .jsonl, .ndjson, .json */
    CLI_FORMAT_LINES = 1,
    CLI_FORMAT_TSV = 2,
    CLI_FORMAT_JSONL = 3
} cli_format;

/* What format stands for: itself, or by the name of path (may be NULL), or otherwise. */
cli_format cli_format_of(cli_format format, const char *path, cli_format otherwise);

/* A document. Texts belong to the arena that was given. */
typedef struct cli_document {
    ce_text id; /* data is NULL if it has none */
    ce_text text;
} cli_document;

/* One document from a line:
 *     lines   the line is the text
 *     tsv     id<TAB>text
 *     jsonl   "text", or {"_id" or "id": "..." or a number, "title": "...", "text": "..."}, where the id and the title
 *             may be missing. A title that is not empty is set before the text with a space, as BEIR does.
 * Errors: INPUT naming the line, FAILED. */
cli_status cli_parse_document(cli_format format, ce_text line, const cli_reader *reader, cli_arena *arena,
                              cli_document *document, cli_error *error);

/* One pair from a line: query<TAB>document, or as JSON ["query", "document"] or {"query": "...", "document": "..."}.
 * Errors as above. */
cli_status cli_parse_pair(cli_format format, ce_text line, const cli_reader *reader, cli_arena *arena, ce_pair *pair,
                          cli_error *error);

#endif
