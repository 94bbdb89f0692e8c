/* merge_table.h - which two neighbours merge into what, and how urgently; and the merging itself. */
#ifndef CEI_MERGE_TABLE_H
#define CEI_MERGE_TABLE_H

#include "text/bytes.h"

#include <stdint.h>

/* A merge of two tokens. rank is its place in the list: the lowest is done first. */
typedef struct cei_merge {
    int32_t left, right; /* left is -1 in an empty slot */
    uint32_t rank;
    int32_t made;
} cei_merge;

/* Open addressing, at most half full. */
typedef struct cei_merge_table {
    cei_merge *slots;
    unsigned shift; /* a hash's upper bits choose the slot */
    size_t mask;
} cei_merge_table;

/* Room for count merges, which is below 2^26; false if there is no memory. */
bool cei_merge_table_create(cei_merge_table *table, size_t count);
void cei_merge_table_free(cei_merge_table *table);

/* Adds a merge; of two of the same tokens the last one counts. */
void cei_merge_table_add(cei_merge_table *table, const cei_merge *merge);

/* Merges neighbours among the tokens of a word until no two of them can be, the lowest rank first and the leftmost of
 * equal ones. In place; work is scratch memory, which long words need. *count becomes the number of what is left.
 * Takes n log n for n tokens. false if there is no memory. */
bool cei_merge_all(const cei_merge_table *table, int32_t *ids, size_t *count, cei_bytes *work);

#endif
