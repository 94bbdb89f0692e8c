/* piece_score.h - scores of pieces as they are written in JSON, read as the reference reads them. */
#ifndef CEI_PIECE_SCORE_H
#define CEI_PIECE_SCORE_H

#include <stdbool.h>
#include <stddef.h>

/* The number at text, and in *used how many bytes it takes; false if there is none, or one that is left to the JSON
 * parser (too large, too long). exact: the nearest double, as Python reads it. Else as the package tokenizers does: the
 * digits as an integer, divided by a power of ten, each rounded, which may differ in the last bit. */
bool cei_piece_score_read(const char *text, size_t size, bool exact, double *score, size_t *used);

#endif
