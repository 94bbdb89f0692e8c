/* failing_malloc.c - replaces the C library's allocator by one that counts and can fail.
 *
 * Relies on glibc, whose own allocator stays reachable as __libc_malloc and its like, and on the dynamic linker
 * preferring a program's symbols to a library's. Nothing here may allocate for itself, or print while it is armed. */
#define _GNU_SOURCE /* mmap64, MAP_ANONYMOUS */
#include "support/failing_malloc.h"

#include "support/support.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INTERPOSED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define INTERPOSED 0
#endif
#endif
#if !defined(INTERPOSED)
#if defined(__GLIBC__)
#define INTERPOSED 1
#else
#define INTERPOSED 0
#endif
#endif

static atomic_bool armed;
static failing_how how_to_fail; /* these three are written before armed is set */
static size_t failing_number;
static bool one_thread;
static atomic_size_t count;
static atomic_long live;
static _Thread_local bool chosen_thread;

void failing_malloc_start(failing_how how, size_t nth, failing_scope scope) {
    how_to_fail = how;
    failing_number = nth;
    one_thread = scope == FAILING_THIS_THREAD;
    chosen_thread = one_thread;
    atomic_store(&count, 0);
    atomic_store(&armed, true);
}

size_t failing_malloc_stop(void) {
    atomic_store(&armed, false);
    chosen_thread = false;
    return atomic_load(&count);
}

size_t failing_malloc_count(void) { return atomic_load(&count); }

long failing_malloc_live(void) { return atomic_load(&live); }

/* Tried out, as Valgrind takes malloc over when the program runs; by a pointer, or the compiler puts our own here. */
bool failing_malloc_works(void) {
    void *(*volatile allocate)(size_t) = malloc;
    failing_malloc_start(FAILING_ONCE, 1, FAILING_THIS_THREAD);
    void *block = allocate(1);
    failing_malloc_stop();
    free(block);
    return block == NULL;
}

void failing_malloc_or_skip(void) {
    if (failing_malloc_works()) return;
    print_message("SKIP: the allocator of a sanitizer or of Valgrind cannot be made to fail\n");
    skip();
}

#if INTERPOSED
/* Numbers an allocation; true if it must fail. */
static bool must_fail(void) {
    if (!atomic_load(&armed) || (one_thread && !chosen_thread)) return false;
    size_t number = atomic_fetch_add(&count, 1) + 1;
    bool fails = (how_to_fail == FAILING_ONCE && number == failing_number) ||
                 (how_to_fail == FAILING_FROM && number >= failing_number);
    if (fails) errno = ENOMEM;
    return fails;
}

static void *counted(void *block) {
    if (block) atomic_fetch_add(&live, 1);
    return block;
}

/* glibc's own entry points, and the functions that take their place. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t number, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

void *memalign(size_t alignment, size_t size);

void *malloc(size_t size) { return must_fail() ? NULL : counted(__libc_malloc(size)); }

void *calloc(size_t number, size_t size) { return must_fail() ? NULL : counted(__libc_calloc(number, size)); }

void *realloc(void *block, size_t size) {
    if (must_fail()) return NULL;
    if (!block) return counted(__libc_malloc(size));
    void *moved = __libc_realloc(block, size);
    if (!moved && size == 0) atomic_fetch_sub(&live, 1); /* glibc frees the block */
    return moved;
}

void *memalign(size_t alignment, size_t size) { return must_fail() ? NULL : counted(__libc_memalign(alignment, size)); }

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    int before = errno; /* which posix_memalign leaves alone */
    void *made = memalign(alignment, size);
    errno = before;
    if (!made) return ENOMEM;
    *block = made;
    return 0;
}

void free(void *block) {
    if (block) atomic_fetch_sub(&live, 1);
    __libc_free(block);
}

/* A mapping may be unmapped in parts: each page of it counts, as one block does. */
static long pages(size_t length) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (long)((length + page - 1) / page);
}

void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
    if (must_fail()) return MAP_FAILED;
    void *mapped = (void *)syscall(SYS_mmap, address, length, protection, flags, descriptor, offset);
    if (mapped != MAP_FAILED) atomic_fetch_add(&live, pages(length));
    return mapped;
}

void *mmap64(void *address, size_t length, int protection, int flags, int descriptor, off64_t offset) {
    return mmap(address, length, protection, flags, descriptor, offset);
}

int munmap(void *address, size_t length) {
    int result = (int)syscall(SYS_munmap, address, length);
    if (result == 0) atomic_fetch_sub(&live, pages(length));
    return result;
}
#endif

static void judge(ce_status status, const ce_error *error, bool may_fail, long left, char complaint[256]) {
    bool memory = status == CE_ERR_MEMORY || status == CE_ERR_DEVICE_MEMORY;
    complaint[0] = '\0';
    if (left != 0)
        snprintf(complaint, 256, "%ld blocks more than before the call", left);
    else if (status != CE_OK && !(memory && may_fail))
        snprintf(complaint, 256, "%s: %.200s", ce_status_name(status), error->message);
    else if (status != CE_OK && (error->status != status || error->message[0] == '\0'))
        snprintf(complaint, 256, "%s without its message", ce_status_name(status));
}

size_t failing_malloc_try(failing_fn fn, void *user, failing_how how, size_t nth, char complaint[256]) {
    ce_error error = {CE_OK, ""};
    long before = failing_malloc_live();
    failing_malloc_start(how, nth, FAILING_ALL_THREADS);
    ce_status status = fn(user, &error);
    size_t made = failing_malloc_stop();
    judge(status, &error, how != FAILING_NONE, failing_malloc_live() - before, complaint);
    return made;
}

static size_t check_call(failing_fn fn, void *user, failing_how how, size_t nth) {
    static const char *const what[] = {"no allocation", "this allocation alone", "all from this allocation on"};
    char complaint[256];
    size_t made = failing_malloc_try(fn, user, how, nth, complaint);
    if (complaint[0]) fail_msg("allocation %zu (failing: %s): %s", nth, what[how], complaint);
    return made;
}

size_t test_some_allocations(failing_fn fn, void *user, size_t runs) {
    failing_malloc_or_skip();
    ce_error error = {CE_OK, ""};
    expect_ok(fn(user, &error), &error);
    size_t total = check_call(fn, user, FAILING_NONE, 0);
    size_t step = 1;
    for (size_t nth = 1; nth <= total; nth += step) {
        size_t once = check_call(fn, user, FAILING_ONCE, nth);
        check_call(fn, user, FAILING_FROM, nth);
        /* A call that goes on after a failure may allocate more than one in which nothing fails, never less than n. */
        if (once < nth) break;
        if (total > runs && nth == runs / 2) step = (total - nth) / (runs - nth) + 1;
    }
    return total;
}

size_t test_each_allocation(failing_fn fn, void *user) { return test_some_allocations(fn, user, (size_t)-1); }
