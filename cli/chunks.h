/* chunks.h - lines of an input, read, worked on and written in chunks.
 *
 * Memory stays bounded, and what was done before a bad line is not lost. A chunk ends early when the next line would
 * have to be waited for, so that another program can hold a conversation through pipes. */
#ifndef CLI_CHUNKS_H
#define CLI_CHUNKS_H

#include "reader.h"
#include "scorer.h"

typedef struct cli_chunks {
    cli_reader *reader;
    cli_scorer *scorer; /* learns how far the input is */
    void *job;          /* what the two functions know */
    /* Takes a line as input index of the chunk, below CLI_CHUNK_PAIRS; *bytes receives how long its texts are. */
    cli_status (*parse)(void *job, ce_text line, size_t index, size_t *bytes, cli_error *error);
    /* Works on the count inputs of a chunk, at least one. */
    cli_status (*work)(void *job, size_t count, cli_error *error);
} cli_chunks;

/* Works on all lines. Errors: those of the functions, INPUT, FAILED. */
cli_status cli_chunks_run(const cli_chunks *chunks, cli_error *error);

#endif
