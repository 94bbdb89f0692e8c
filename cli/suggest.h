/* suggest.h - the name that was probably meant, for names that were mistyped. */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include <stddef.h>

/* The nearest name so far. Zeroed is none. */
typedef struct cli_suggestion {
    const char *name; /* NULL if nothing is near */
    size_t mistakes;
} cli_suggestion;

/* Takes candidate, which must outlive it, if it is nearer to what was typed than the name before: at most one mistake
 * for three letters. A mistake is a letter too many, too few or wrong, or two that changed places. Names of more than
 * 31 bytes are near to nothing. */
void cli_suggest(cli_suggestion *suggestion, const char *typed, const char *candidate);

#endif
