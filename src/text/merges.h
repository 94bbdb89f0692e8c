/* merges.h - the merges of a BPE model as they are written: pairs of tokens, the most urgent first. */
#ifndef CEI_MERGES_H
#define CEI_MERGES_H

#include "base/json.h"
#include "text/bytes.h"
#include "text/merge_table.h"

#include <stdint.h>

typedef struct cei_merge_sizes {
    uint32_t left, right; /* bytes */
} cei_merge_sizes;

/* Zeroed is empty. */
typedef struct cei_merges {
    cei_bytes text; /* left, right, left, right, ... without anything between them */
    cei_merge_sizes *sizes;
    size_t count, capacity;
    cei_merge *known; /* in place of all these: merges whose tokens are known by their ids */
    size_t known_count, known_capacity;
} cei_merges;

void cei_merges_free(cei_merges *merges);

/* Appends one. Together they are below 4 GB. false if there is no memory. */
bool cei_merges_push(cei_merges *merges, const char *left, size_t left_size, const char *right, size_t right_size);

/* Appends one that is written "left right"; a line that begins with #version is none. *good becomes false if there is
 * not exactly one blank. false if there is no memory. */
bool cei_merges_push_line(cei_merges *merges, const char *line, size_t size, bool *good);

/* Reads an array of "left right" and [left, right]. Errors: FORMAT, MEMORY. */
ce_status cei_merges_read_json(const json_t *array, const char *path, cei_merges *merges, ce_error *error);

/* Reads a merges.txt. Errors: FORMAT, MEMORY. */
ce_status cei_merges_read_text(const char *data, size_t size, const char *path, cei_merges *merges, ce_error *error);

#endif
