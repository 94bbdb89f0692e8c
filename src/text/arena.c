/* arena.c - a list of blocks, each larger than the one before. Relies on base/memory.h alone. */
#include "text/arena.h"

#include "base/memory.h"

#include <string.h>

enum { ALIGNMENT = 16, FIRST_BLOCK = 4096, LARGEST_STEP = 1 << 20 };

struct cei_arena_block {
    cei_arena_block *next;
    char *data;
    size_t size, used;
};

bool cei_arena_is_full(const cei_arena *arena, size_t count, size_t size) {
    size_t bytes;
    return !cei_mul_size(count, size, &bytes) || bytes > arena->limit - arena->taken;
}

/* A new block behind the current one, with room for bytes. */
static bool add_block(cei_arena *arena, size_t bytes) {
    const size_t before = arena->current ? arena->current->size : FIRST_BLOCK / 2;
    const size_t size = cei_max_size(cei_min_size(2 * before, LARGEST_STEP), bytes);
    cei_arena_block *block = cei_alloc_zeroed(1, sizeof *block);
    if (!block) return false;
    block->size = size;
    block->data = cei_alloc_aligned(size, ALIGNMENT);
    if (!block->data) {
        cei_free(block);
        return false;
    }
    block->next = arena->current ? arena->current->next : NULL;
    if (arena->current)
        arena->current->next = block;
    else
        arena->first = block;
    arena->current = block;
    return true;
}

/* Makes the current block one with room for bytes, passing over kept ones that are too small. */
static bool find_room(cei_arena *arena, size_t bytes) {
    while (arena->current && arena->current->size - arena->current->used < bytes && arena->current->next) {
        arena->current = arena->current->next;
        arena->current->used = 0;
    }
    return (arena->current && arena->current->size - arena->current->used >= bytes) || add_block(arena, bytes);
}

void *cei_arena_take(cei_arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (cei_arena_is_full(arena, count, size) || !cei_add_size(count * size, ALIGNMENT - 1, &bytes)) return NULL;
    bytes -= bytes % ALIGNMENT;
    if (!find_room(arena, bytes)) return NULL;
    void *piece = arena->current->data + arena->current->used;
    arena->current->used += bytes;
    arena->taken += cei_min_size(bytes, arena->limit - arena->taken);
    return piece;
}

char *cei_arena_copy(cei_arena *arena, const char *data, size_t size) {
    char *copy = size < (size_t)-1 ? cei_arena_take(arena, size + 1, 1) : NULL;
    if (!copy) return NULL;
    if (size) memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

void cei_arena_empty(cei_arena *arena) {
    arena->current = arena->first;
    if (arena->first) arena->first->used = 0;
    arena->taken = 0;
}

void cei_arena_free(cei_arena *arena) {
    for (cei_arena_block *block = arena->first; block;) {
        cei_arena_block *next = block->next;
        cei_free(block->data);
        cei_free(block);
        block = next;
    }
    *arena = (cei_arena){0};
}
