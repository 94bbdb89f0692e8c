/* failing_malloc.h - want of memory on demand, and a count of what is allocated.
 *
 * A test program that links ce_failing_malloc has its own malloc, calloc, realloc, free, posix_memalign, aligned_alloc,
 * memalign, mmap and munmap, which shared libraries (Jansson, utf8proc) use as well. They pass every call on to the C
 * library, count it, and make the chosen one fail with ENOMEM:
 *
 *     # CMakeLists.txt
 *     ce_test(base_oom LABELS oom SOURCES test_oom.c)
 *     target_link_libraries(test_base_oom PRIVATE ce_failing_malloc)
 *
 *     static ce_status open_it(void *user, ce_error *error) {      // everything it makes, it also frees
 *         cei_checkpoint *checkpoint = NULL;
 *         ce_status status = cei_checkpoint_open(user, &checkpoint, error);
 *         cei_checkpoint_close(checkpoint);
 *         return status;
 *     }
 *     ...
 *     failing_malloc_or_skip();
 *     ...
 *     test_each_allocation(open_it, folder);
 *
 * An allocation is one call of the functions above that asks for memory; mmap counts, as does a realloc that grows or
 * shrinks. Calls that the C library makes inside itself (a thread's stack, stdio's buffers in part) are not seen.
 *
 * Sanitizers and Valgrind bring their own malloc: there the counts stay 0, failing_malloc_works() is false, and
 * failing_malloc_or_skip, with which such a test begins, skips it with that reason. */
#ifndef CE_TEST_FAILING_MALLOC_H
#define CE_TEST_FAILING_MALLOC_H

#include <crossenc/status.h>

#include <stdbool.h>
#include <stddef.h>

typedef enum failing_how {
    FAILING_NONE, /* only count */
    FAILING_ONCE, /* the n-th allocation fails, later ones succeed */
    FAILING_FROM  /* the n-th and all that follow fail */
} failing_how;

typedef enum failing_scope {
    FAILING_ALL_THREADS,
    FAILING_THIS_THREAD /* only allocations of the thread that calls failing_malloc_start are counted and fail */
} failing_scope;

/* False under a sanitizer or Valgrind, where nothing can be made to fail. */
bool failing_malloc_works(void);

/* Ends the test as skipped, with the reason, where nothing can be made to fail: call it before the test makes anything.
 */
void failing_malloc_or_skip(void);

/* From here on allocations are numbered from 1, and fail as how and nth say (nth is not read for FAILING_NONE). */
void failing_malloc_start(failing_how how, size_t nth, failing_scope scope);

/* Back to plain allocation. Returns how many allocations there were since start, failed ones included. */
size_t failing_malloc_stop(void);

/* The same number while counting goes on. */
size_t failing_malloc_count(void);

/* Blocks, and pages of mappings, that the whole program holds now; compare two readings to see a leak. */
long failing_malloc_live(void);

/* Does the work once, frees all that it made, and returns its status (and *error if that is not CE_OK). */
typedef ce_status (*failing_fn)(void *user, ce_error *error);

/* One call of fn with its nth allocation failing. Returns how many allocations it made; complaint is "" if the call
 * kept the promises that test_each_allocation checks, else says which it broke. */
size_t failing_malloc_try(failing_fn fn, void *user, failing_how how, size_t nth, char complaint[256]);

/* Calls fn with the 1st, 2nd, 3rd ... allocation failing, once alone and once with all that follow, until a call
 * makes fewer allocations. fn must succeed with none failing, which is tried first (and lets libraries allocate what
 * they keep for ever). Each call must end in CE_ERR_MEMORY or CE_ERR_DEVICE_MEMORY with a message, or in CE_OK, and
 * leave no block behind; else the test fails and names the allocation. Returns the number of allocations of a call
 * in which nothing fails. */
size_t test_each_allocation(failing_fn fn, void *user);

/* The same for work too long to repeat for each allocation: at most runs of them, the first half of these in turn and
 * the others spread evenly over the rest. */
size_t test_some_allocations(failing_fn fn, void *user, size_t runs);

#endif
