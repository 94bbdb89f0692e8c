/* test_memory.c - sizes that overflow are answered like want of memory; nothing changes on failure. */
#include "base/memory.h"

#include "support/support.h"

#include <string.h>

static void products_and_sums_are_checked(void **state) {
    (void)state;
    size_t out = 7;
    assert_true(cei_mul_size(3, 4, &out) && out == 12);
    assert_true(cei_mul_size(0, SIZE_MAX, &out) && out == 0);
    assert_true(cei_mul_size(SIZE_MAX, 0, &out) && out == 0);
    assert_true(cei_mul_size(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    assert_true(cei_mul_size(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
    assert_false(cei_mul_size(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(cei_mul_size((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_true(cei_add_size(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_false(cei_add_size(SIZE_MAX, 1, &out));
}

static void overflowing_sizes_give_no_memory(void **state) {
    (void)state;
    assert_null(cei_alloc((size_t)1 << 33, (size_t)1 << 33));
    assert_null(cei_alloc_zeroed((size_t)1 << 33, (size_t)1 << 33));
    assert_null(cei_copy_string("", SIZE_MAX));
    char *block = cei_alloc(4, 1);
    memcpy(block, "abc", 4);
    assert_null(cei_resize(block, SIZE_MAX, 2));
    assert_string_equal(block, "abc");
    cei_free(block);
}

static void nothing_is_still_a_block(void **state) {
    (void)state;
    void *a = cei_alloc(0, 8), *b = cei_alloc_zeroed(0, 8), *c = cei_alloc_aligned(0, 64);
    assert_true(a && b && c && a != b && b != c);
    void *resized = cei_resize(a, 0, 8);
    assert_non_null(resized);
    cei_free(resized);
    cei_free(b);
    cei_free(c);
    cei_free(NULL);
}

static void zeroed_and_aligned_are_so(void **state) {
    (void)state;
    unsigned char *zeroed = cei_alloc_zeroed(1000, 3);
    assert_non_null(zeroed);
    for (size_t i = 0; i < 3000; i++) assert_int_equal(zeroed[i], 0);
    cei_free(zeroed);
    for (size_t alignment = sizeof(void *); alignment <= 4096; alignment *= 2) {
        void *aligned = cei_alloc_aligned(100, alignment);
        assert_non_null(aligned);
        assert_int_equal((uintptr_t)aligned % alignment, 0);
        cei_free(aligned);
    }
}

static void arrays_grow_geometrically(void **state) {
    (void)state;
    void *block = NULL;
    size_t capacity = 0, moves = 0;
    for (size_t want = 1; want <= 100000; want++) {
        size_t before = capacity;
        assert_true(cei_grow(&block, &capacity, want, sizeof(int)));
        assert_true(capacity >= want);
        moves += capacity != before;
        ((int *)block)[want - 1] = (int)want;
    }
    assert_true(moves < 40);
    for (int i = 0; i < 100000; i++) assert_int_equal(((int *)block)[i], i + 1);
    void *same = block;
    size_t before = capacity;
    assert_false(cei_grow(&block, &capacity, SIZE_MAX / 2, sizeof(int)));
    assert_true(block == same && capacity == before);
    cei_free(block);
}

static void copies_end_in_nul(void **state) {
    (void)state;
    char *copy = cei_copy_string("ab\0cd", 5);
    assert_memory_equal(copy, "ab\0cd", 6);
    cei_free(copy);
    copy = cei_copy_string(NULL, 0);
    assert_string_equal(copy, "");
    cei_free(copy);
}

static void formats_become_strings(void **state) {
    (void)state;
    char *string = cei_format_string("%s/%d%s", "a", 5, "");
    assert_string_equal(string, "a/5");
    cei_free(string);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_and_sums_are_checked), cmocka_unit_test(overflowing_sizes_give_no_memory),
        cmocka_unit_test(nothing_is_still_a_block),      cmocka_unit_test(zeroed_and_aligned_are_so),
        cmocka_unit_test(arrays_grow_geometrically),     cmocka_unit_test(copies_end_in_nul),
        cmocka_unit_test(formats_become_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
