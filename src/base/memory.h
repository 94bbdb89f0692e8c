/* memory.h - allocation with checked sizes.
 *
 * Everything that the library allocates goes through here. Sizes are multiplied with overflow checks: an
 * overflow is answered like want of memory. All of it is freed by cei_free. */
#ifndef CEI_MEMORY_H
#define CEI_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__GNUC__)
#define CEI_LIKE_PRINTF __attribute__((format(printf, 1, 2)))
#else
#define CEI_LIKE_PRINTF
#endif

/* a * b and a + b into *out; false on overflow. */
bool cei_mul_size(size_t a, size_t b, size_t *out);
bool cei_add_size(size_t a, size_t b, size_t *out);

static inline size_t cei_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t cei_max_size(size_t a, size_t b) { return a > b ? a : b; }

/* count * size bytes, zeroed; NULL if there is no memory, or count * size overflows. A count of 0 gives a
 * unique pointer. */
void *cei_alloc_zeroed(size_t count, size_t size);

/* The same, not zeroed. */
void *cei_alloc(size_t count, size_t size);

/* Resizes a block to count * size bytes; on failure returns NULL and leaves the block as it was. */
void *cei_resize(void *block, size_t count, size_t size);

/* bytes aligned to alignment (a power of two, at least sizeof(void *)), freed by cei_free too. */
void *cei_alloc_aligned(size_t bytes, size_t alignment);

/* Makes an array of at least want elements of size bytes: *block has *capacity of them, and both grow
 * geometrically. false if there is no memory, when nothing has changed. */
bool cei_grow(void **block, size_t *capacity, size_t want, size_t size);

/* A copy of size bytes with a NUL behind; NULL if there is no memory. */
char *cei_copy_string(const char *data, size_t size);

/* Does text end with suffix? *stem receives the bytes before it. */
bool cei_ends_with(const char *text, const char *suffix, size_t *stem);

/* Are two strings the same? NULL is "". */
bool cei_same_string(const char *one, const char *other);

/* A new string of format and its arguments; NULL if there is no memory. */
char *cei_format_string(const char *format, ...) CEI_LIKE_PRINTF;

void cei_free(void *block); /* NULL is fine */

#endif
