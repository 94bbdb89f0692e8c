/* arena.h - memory that is taken piece by piece and given back all at once.
 *
 * Blocks are kept when an arena is emptied, so that the same takings again allocate nothing. Pieces never move. */
#ifndef CEI_ARENA_H
#define CEI_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cei_arena_block cei_arena_block;

/* Zeroed is empty, and without a limit it gives nothing. */
typedef struct cei_arena {
    cei_arena_block *first, *current;
    size_t taken; /* bytes since it was emptied */
    size_t limit; /* the most that may be taken */
} cei_arena;

/* count * size bytes, aligned for any type; NULL if there is no memory or the limit is reached (cei_arena_is_full). */
void *cei_arena_take(cei_arena *arena, size_t count, size_t size);

/* A copy of size bytes with a NUL behind; NULL as above. */
char *cei_arena_copy(cei_arena *arena, const char *data, size_t size);

/* Would so many bytes go beyond the limit? */
bool cei_arena_is_full(const cei_arena *arena, size_t count, size_t size);

void cei_arena_empty(cei_arena *arena); /* keeps the blocks */
void cei_arena_free(cei_arena *arena);  /* zeroed is fine */

#endif
