/* suggest.c - how many mistakes part two names: their optimal string alignment, by dynamic programming. Must not print.
 */
#include "suggest.h"

#include <string.h>

enum { MOST_LETTERS = 31, LETTERS_A_MISTAKE = 3 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* rows[i % 3][j] is what parts the first i letters of a from the first j of b; three rows suffice. */
static size_t mistakes_between(const char *a, size_t size_a, const char *b, size_t size_b) {
    size_t rows[3][MOST_LETTERS + 1];
    for (size_t j = 0; j <= size_b; j++) rows[0][j] = j;
    for (size_t i = 1; i <= size_a; i++) {
        size_t *row = rows[i % 3];
        const size_t *last = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= size_b; j++) {
            row[j] = least(least(row[j - 1], last[j]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return rows[size_a % 3][size_b];
}

void cli_suggest(cli_suggestion *suggestion, const char *typed, const char *candidate) {
    const size_t typed_size = strlen(typed), size = strlen(candidate);
    if (typed_size == 0 || typed_size > MOST_LETTERS || size > MOST_LETTERS) return;
    const size_t mistakes = mistakes_between(typed, typed_size, candidate, size);
    if (mistakes > least(typed_size, size) / LETTERS_A_MISTAKE) return;
    if (suggestion->name && suggestion->mistakes <= mistakes) return;
    *suggestion = (cli_suggestion){candidate, mistakes};
}
