/* marks.c - canonical ordering of combining marks. Relies on base/memory.h only. */
#include "text/marks.h"

#include "base/memory.h"

/* Up to here an insertion sort is quicker than counting. Real text has one to three marks. */
#define SHORT_RUN 24

bool cei_marks_push(cei_marks *marks, uint32_t c, uint8_t rank) {
    if (marks->count == marks->capacity) {
        void *items = marks->items, *sorted = marks->sorted;
        bool grown = cei_grow(&items, &marks->capacity, marks->count + 1, sizeof *marks->items);
        marks->items = items;
        if (!grown) return false;
        grown = cei_grow(&sorted, &marks->sorted_capacity, marks->capacity, sizeof *marks->sorted);
        marks->sorted = sorted;
        if (!grown) return false;
    }
    marks->items[marks->count++] = (uint32_t)rank << 24 | c;
    return true;
}

static void insertion_sort(uint32_t *items, size_t count) {
    for (size_t i = 1; i < count; i++) {
        uint32_t item = items[i];
        size_t at = i;
        for (; at > 0 && cei_mark_rank(items[at - 1]) > cei_mark_rank(item); at--) items[at] = items[at - 1];
        items[at] = item;
    }
}

static void counting_sort(cei_marks *marks) {
    size_t start[257] = {0};
    for (size_t i = 0; i < marks->count; i++) start[cei_mark_rank(marks->items[i]) + 1]++;
    for (size_t rank = 0; rank < 256; rank++) start[rank + 1] += start[rank];
    for (size_t i = 0; i < marks->count; i++) marks->sorted[start[cei_mark_rank(marks->items[i])]++] = marks->items[i];
    uint32_t *swap = marks->items;
    marks->items = marks->sorted;
    marks->sorted = swap;
    size_t capacity = marks->capacity;
    marks->capacity = marks->sorted_capacity;
    marks->sorted_capacity = capacity;
}

void cei_marks_sort(cei_marks *marks) {
    if (marks->count <= SHORT_RUN)
        insertion_sort(marks->items, marks->count);
    else
        counting_sort(marks);
}

void cei_marks_free(cei_marks *marks) {
    cei_free(marks->items);
    cei_free(marks->sorted);
    *marks = (cei_marks){0};
}
