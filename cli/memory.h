/* memory.h - growing arrays, and an arena for texts that are released together. */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include <crossenc/text.h>

/* Makes an array of at least want elements of size bytes: *block (NULL at first, released by free) has *capacity of
 * them, and both grow geometrically. false if there is no memory, when nothing has changed. */
bool cli_grow(void *block, size_t *capacity, size_t want, size_t size);

typedef struct cli_arena_block cli_arena_block;

/* Zeroed is empty. */
typedef struct cli_arena {
    cli_arena_block *last;
    size_t bytes; /* handed out */
} cli_arena;

/* A copy of text that lives until the arena is reset or freed; its data is NULL if there is no memory, and not NULL
 * otherwise. */
ce_text cli_arena_copy(cli_arena *arena, ce_text text);

/* size bytes, not zeroed; NULL if there is no memory. For bytes only: not aligned. */
char *cli_arena_take(cli_arena *arena, size_t size);

/* Forgets all texts and keeps one block for the next ones. */
void cli_arena_reset(cli_arena *arena);
void cli_arena_free(cli_arena *arena);

#endif
