/* map.c - a hash table with open addressing and linear probing, at most half full. */
#include "map.h"

#include <stdlib.h>

/* FNV-1a, 64 bits (constants from its authors), folded so that the low bits depend on all. */
static uint64_t hash_of(ce_text name) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < name.size; i++) hash = (hash ^ (unsigned char)name.data[i]) * 0x100000001B3u;
    return hash ^ hash >> 32;
}

static bool is_equal(ce_text a, ce_text b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Where name is, or the free slot where it would go. There is always a free one. */
static size_t slot_of(const cli_map *map, ce_text name) {
    size_t slot = (size_t)hash_of(name) & (map->slot_count - 1);
    while (map->slots[slot] && !is_equal(map->names[map->slots[slot] - 1], name)) {
        slot = (slot + 1) & (map->slot_count - 1);
    }
    return slot;
}

static bool rehash(cli_map *map) {
    size_t slot_count = map->slot_count ? 2 * map->slot_count : 64;
    size_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots) return false;
    free(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
    for (size_t i = 0; i < map->count; i++) map->slots[slot_of(map, map->names[i])] = i + 1;
    return true;
}

size_t cli_map_find(const cli_map *map, ce_text name) {
    if (map->count == 0) return CLI_MAP_NONE;
    size_t number = map->slots[slot_of(map, name)];
    return number ? number - 1 : CLI_MAP_NONE;
}

size_t cli_map_add(cli_map *map, ce_text name) {
    if (2 * (map->count + 1) > map->slot_count && !rehash(map)) return CLI_MAP_NONE;
    size_t slot = slot_of(map, name);
    if (map->slots[slot]) return map->slots[slot] - 1;
    if (!cli_grow(&map->names, &map->capacity, map->count + 1, sizeof *map->names)) return CLI_MAP_NONE;
    ce_text own = cli_arena_copy(&map->arena, name);
    if (!own.data) return CLI_MAP_NONE;
    map->names[map->count] = own;
    map->slots[slot] = ++map->count;
    return map->count - 1;
}

void cli_map_free(cli_map *map) {
    cli_arena_free(&map->arena);
    free(map->names);
    free(map->slots);
    *map = (cli_map){0};
}
