/* best.h - the best of a stream of scored documents. */
#ifndef CLI_BEST_H
#define CLI_BEST_H

#include "records.h"

typedef struct cli_scored {
    uint64_t index; /* place in the stream, from 0 */
    float score;
    cli_document document;
    char *own; /* the document's bytes, if they are this entry's own */
} cli_scored;

/* Zeroed with a limit keeps that many; with limit 0 it keeps all, whose texts it then borrows. */
typedef struct cli_best {
    size_t limit;
    cli_scored *items; /* [count]; with a limit a heap with the worst at the top, until cli_best_sort */
    size_t count, capacity;
} cli_best;

/* Offers a document; with a limit its texts are copied if it stays. false if there is no memory. */
bool cli_best_add(cli_best *best, uint64_t index, float score, const cli_document *document);

/* Orders items best first: by score, descending; equal scores in the order of the stream; NaN last. */
void cli_best_sort(cli_best *best);

void cli_best_free(cli_best *best);

#endif
