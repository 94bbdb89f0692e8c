/* chunks.c - the loop of the commands that go through lines. */
#include "chunks.h"

/* Reads a chunk. After a bad line *count tells how many came before it. */
static cli_status take_chunk(const cli_chunks *chunks, size_t *count, bool *more, cli_error *error) {
    size_t bytes = 0;
    cli_status status = CLI_OK;
    for (*count = 0; *count < CLI_CHUNK_PAIRS && bytes < CLI_CHUNK_BYTES; ++*count) {
        if (*count > 0 && !cli_reader_is_ready(chunks->reader)) break;
        ce_text line;
        size_t size = 0;
        status = cli_reader_next(chunks->reader, &line, more, error);
        if (status == CLI_OK && *more) status = chunks->parse(chunks->job, line, *count, &size, error);
        if (status != CLI_OK || !*more) break;
        bytes += size;
    }
    return status;
}

static cli_status work(const cli_chunks *chunks, size_t count, cli_error *error) {
    cli_scorer *scorer = chunks->scorer;
    double end = cli_reader_fraction(chunks->reader);
    scorer->fraction_begin = end < 0 ? -1 : scorer->fraction_end > 0 ? scorer->fraction_end : 0;
    scorer->fraction_end = end;
    return chunks->work(chunks->job, count, error);
}

cli_status cli_chunks_run(const cli_chunks *chunks, cli_error *error) {
    cli_status status = CLI_OK;
    for (bool more = true; more && status == CLI_OK;) {
        cli_error work_error = {{0}};
        size_t count = 0;
        status = take_chunk(chunks, &count, &more, error);
        cli_status done = count > 0 ? work(chunks, count, &work_error) : CLI_OK;
        if (done == CLI_OK) continue;
        /* Came first: what the reader had to say is about lines that nobody asked for any more. */
        *error = work_error;
        status = done;
    }
    return status;
}
