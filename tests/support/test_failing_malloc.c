/* test_failing_malloc.c - the failing allocator itself: a check that cannot fail would prove nothing. */
#include "support/failing_malloc.h"

#include "support/support.h"

#include <jansson.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The compiler may drop an allocation that nothing reads. */
static void *kept(void *block) {
    void *volatile through = block;
    return through;
}

static void counts_and_fails_once(void **state) {
    (void)state;
    failing_malloc_or_skip();
    failing_malloc_start(FAILING_ONCE, 2, FAILING_ALL_THREADS);
    void *first = kept(malloc(10)), *second = kept(malloc(10)), *third = kept(calloc(3, 10));
    size_t made = failing_malloc_stop();
    bool right = first && !second && third;
    free(first);
    free(third);
    assert_true(right);
    assert_int_equal(made, 3);
}

static void fails_every_kind_from_the_first(void **state) {
    (void)state;
    failing_malloc_or_skip();
    void *block = kept(malloc(8)), *aligned = NULL;
    failing_malloc_start(FAILING_FROM, 1, FAILING_ALL_THREADS);
    bool failed = !kept(malloc(1)) && !kept(calloc(1, 1)) && !kept(realloc(block, 100)) &&
                  !kept(aligned_alloc(64, 64)) && posix_memalign(&aligned, 64, 64) != 0 &&
                  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
    size_t made = failing_malloc_stop();
    free(block);
    assert_true(failed);
    assert_int_equal(made, 6);
}

static void libraries_fail_too(void **state) {
    (void)state;
    failing_malloc_or_skip();
    failing_malloc_start(FAILING_FROM, 1, FAILING_ALL_THREADS);
    json_t *root = json_loads("{\"a\": 1}", 0, NULL);
    failing_malloc_stop();
    bool made = root != NULL;
    json_decref(root);
    assert_false(made);
}

static void live_blocks_show_a_leak(void **state) {
    (void)state;
    failing_malloc_or_skip();
    long before = failing_malloc_live();
    void *block = kept(malloc(8));
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(NULL, 2 * page + 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(failing_malloc_live() - before, 4);
    free(block);
    munmap(pages, page);
    assert_int_equal(failing_malloc_live() - before, 2);
    munmap(pages + page, 2 * page);
    assert_int_equal(failing_malloc_live() - before, 0);
}

static void *allocate_in_thread(void *made) {
    void *block = kept(malloc(8));
    *(bool *)made = block != NULL;
    free(block);
    return NULL;
}

static void other_threads_can_be_left_alone(void **state) {
    (void)state;
    failing_malloc_or_skip();
    bool other = false;
    pthread_t thread;
    failing_malloc_start(FAILING_FROM, 2, FAILING_THIS_THREAD);
    void *first = kept(malloc(8)), *second = kept(malloc(8));
    failing_malloc_stop();
    assert_non_null(first);
    assert_null(second);
    free(first);
    /* pthread_create itself may allocate here, so only what is counted after it shows the other thread. */
    failing_malloc_start(FAILING_NONE, 0, FAILING_THIS_THREAD);
    int started = pthread_create(&thread, NULL, allocate_in_thread, &other);
    size_t after_start = failing_malloc_count();
    if (started == 0) pthread_join(thread, NULL);
    size_t made = failing_malloc_stop();
    assert_int_equal(started, 0);
    assert_true(other);
    assert_int_equal(made, after_start);
}

/* Three allocations; reports the failure of each as the library would. */
static ce_status good_work(void *user, ce_error *error) {
    (void)user;
    void *blocks[3] = {NULL, NULL, NULL};
    ce_status status = CE_OK;
    for (int i = 0; i < 3 && status == CE_OK; i++) {
        blocks[i] = kept(malloc(8));
        if (!blocks[i]) {
            status = error->status = CE_ERR_MEMORY;
            strcpy(error->message, "out of host memory");
        }
    }
    for (int i = 0; i < 3; i++) free(blocks[i]);
    return status;
}

static void each_allocation_is_tried(void **state) {
    (void)state;
    assert_int_equal(test_each_allocation(good_work, NULL), 3);
    assert_int_equal(test_some_allocations(good_work, NULL, 2), 3);
}

static void *leaked;

static ce_status leaking_work(void *user, ce_error *error) {
    leaked = kept(malloc(8));
    return good_work(user, error);
}

static ce_status careless_work(void *user, ce_error *error) {
    ce_status status = good_work(user, error);
    if (status != CE_OK) error->message[0] = '\0';
    return status;
}

static ce_status misnaming_work(void *user, ce_error *error) {
    return good_work(user, error) == CE_OK ? CE_OK : CE_ERR_IO;
}

static void broken_promises_are_named(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char complaint[256];
    failing_malloc_try(good_work, NULL, FAILING_ONCE, 2, complaint);
    assert_string_equal(complaint, "");
    failing_malloc_try(leaking_work, NULL, FAILING_NONE, 0, complaint);
    free(leaked);
    assert_non_null(strstr(complaint, "1 blocks more"));
    failing_malloc_try(careless_work, NULL, FAILING_ONCE, 2, complaint);
    assert_non_null(strstr(complaint, "CE_ERR_MEMORY without its message"));
    failing_malloc_try(misnaming_work, NULL, FAILING_FROM, 2, complaint);
    assert_non_null(strstr(complaint, "CE_ERR_IO"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_fails_once),
        cmocka_unit_test(fails_every_kind_from_the_first),
        cmocka_unit_test(libraries_fail_too),
        cmocka_unit_test(live_blocks_show_a_leak),
        cmocka_unit_test(other_threads_can_be_left_alone),
        cmocka_unit_test(each_allocation_is_tried),
        cmocka_unit_test(broken_promises_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
