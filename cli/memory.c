/* memory.c - arrays and arenas over malloc. Knows nothing of what it holds. */
#include "memory.h"

#include <stdlib.h>

/* Large enough that a million short lines cost few calls, small enough not to matter for one. */
enum { BLOCK_BYTES = 256 * 1024 };

struct cli_arena_block {
    cli_arena_block *before;
    size_t used, size;
    char bytes[];
};

bool cli_grow(void *block, size_t *capacity, size_t want, size_t size) {
    if (want <= *capacity) return true;
    size_t larger = *capacity < 16 ? 16 : *capacity + *capacity / 2;
    if (larger < want) larger = want;
    void *old;
    memcpy(&old, block, sizeof old);
    void *grown = reallocarray(old, larger, size);
    if (!grown) return false;
    memcpy(block, &grown, sizeof grown);
    *capacity = larger;
    return true;
}

static bool add_block(cli_arena *arena, size_t size) {
    if (size < BLOCK_BYTES) size = BLOCK_BYTES;
    if (size > SIZE_MAX - sizeof(cli_arena_block)) return false;
    cli_arena_block *block = malloc(sizeof *block + size);
    if (!block) return false;
    block->before = arena->last;
    block->used = 0;
    block->size = size;
    arena->last = block;
    return true;
}

char *cli_arena_take(cli_arena *arena, size_t size) {
    if (!arena->last || arena->last->size - arena->last->used < size) {
        if (!add_block(arena, size)) return NULL;
    }
    char *taken = arena->last->bytes + arena->last->used;
    arena->last->used += size;
    arena->bytes += size;
    return taken;
}

ce_text cli_arena_copy(cli_arena *arena, ce_text text) {
    char *copy = cli_arena_take(arena, text.size);
    if (copy && text.size) memcpy(copy, text.data, text.size);
    return (ce_text){copy, copy ? text.size : 0};
}

void cli_arena_reset(cli_arena *arena) {
    cli_arena_block *block = arena->last;
    while (block && block->before) {
        cli_arena_block *before = block->before;
        free(block);
        block = before;
    }
    /* A first block that one huge text made is not worth keeping. */
    if (block && block->size > BLOCK_BYTES) {
        free(block);
        block = NULL;
    }
    if (block) block->used = 0;
    *arena = (cli_arena){.last = block};
}

void cli_arena_free(cli_arena *arena) {
    cli_arena_reset(arena);
    free(arena->last);
    *arena = (cli_arena){0};
}
