/* map.h - names to numbers, in order of arrival. */
#ifndef CLI_MAP_H
#define CLI_MAP_H

#include "memory.h"

#define CLI_MAP_NONE SIZE_MAX

/* Zeroed is empty. Names belong to the map. */
typedef struct cli_map {
    cli_arena arena;
    ce_text *names; /* [count] */
    size_t count, capacity;
    size_t *slots; /* [slot_count] number + 1 of the name there, 0 if free; slot_count is a power of two */
    size_t slot_count;
} cli_map;

/* The number of name, which becomes the next one if it is new; CLI_MAP_NONE if there is no memory. */
size_t cli_map_add(cli_map *map, ce_text name);

/* The number of name, or CLI_MAP_NONE. */
size_t cli_map_find(const cli_map *map, ce_text name);

void cli_map_free(cli_map *map);

#endif
