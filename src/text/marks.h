/* marks.h - combining marks that wait for the next starter, to be put in canonical order. */
#ifndef CEI_MARKS_H
#define CEI_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed is empty. An item is a code point below its rank in the highest byte, so that items compare by rank. */
typedef struct cei_marks {
    uint32_t *items;
    size_t count;
    size_t capacity;
    uint32_t *sorted; /* as large as items: where a long run is sorted to */
    size_t sorted_capacity;
} cei_marks;

static inline uint32_t cei_mark_code_point(uint32_t item) { return item & 0x1FFFFF; }
static inline unsigned cei_mark_rank(uint32_t item) { return item >> 24; }

bool cei_marks_push(cei_marks *marks, uint32_t c, uint8_t rank); /* false if there is no memory */

/* Orders items by rank; those of equal rank stay as they are. Linear in the count, however long the run. */
void cei_marks_sort(cei_marks *marks);

void cei_marks_free(cei_marks *marks);

#endif
