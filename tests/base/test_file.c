/* test_file.c - files that are there, and all the ways in which they are not. */
#include "base/file.h"

#include "base/memory.h"
#include "base/new_file.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static int make_folder(void **state) {
    (void)state;
    folder = test_make_folder();
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

/* folder/name, static. */
static const char *inside(const char *name) {
    static char path[2048];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Both ways of opening refuse path in the same manner. */
static void expect_refused(const char *path, ce_status want, const char *part) {
    ce_error error = {0};
    cei_map map = {(const uint8_t *)"x", 1, {0}};
    expect_status(cei_map_open(&map, path, &error), want, &error, part);
    expect_status(want, want, &error, path);
    assert_true(map.data == NULL && map.size == 0);
    cei_map_close(&map);
    char *data = (char *)1;
    size_t size = 1;
    expect_status(cei_read_file(path, 100, &data, &size, &error), want, &error, part);
    assert_true(data == NULL && size == 0);
    assert_int_equal(cei_read_file(path, 100, &data, &size, NULL), want);
}

static void what_is_not_a_file_is_refused(void **state) {
    (void)state;
    expect_refused(inside("absent"), CE_ERR_NOT_FOUND, "No such file");
    test_write_file(folder, "plain", "x", 1);
    expect_refused(inside("plain/below"), CE_ERR_NOT_FOUND, "Not a directory");
    expect_refused(folder, CE_ERR_IO, "is a folder, and a file is needed");
    expect_refused("/dev/null", CE_ERR_IO, "is not a regular file");
    expect_refused("", CE_ERR_NOT_FOUND, "No such file");
    assert_int_equal(symlink("loop", inside("loop")), 0);
    expect_refused(inside("loop"), CE_ERR_IO, "symbolic links");
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    expect_refused(inside(name), CE_ERR_IO, "too long");
}

static void a_fifo_does_not_block(void **state) {
    (void)state;
    assert_int_equal(mkfifo(inside("fifo"), 0600), 0);
    expect_refused(inside("fifo"), CE_ERR_IO, "is not a regular file");
}

static void an_unreadable_file_is_refused(void **state) {
    (void)state;
    test_write_file(folder, "secret", "x", 1);
    assert_int_equal(chmod(inside("secret"), 0), 0);
    uid_t user = geteuid();
    if (user == 0 && seteuid(65534) != 0) { /* "nobody": root may read everything */
        print_message("SKIP: this user may read every file\n");
        skip();
    }
    ce_error error = {0};
    cei_map map;
    ce_status status = cei_map_open(&map, inside("secret"), &error);
    assert_int_equal(seteuid(user), 0);
    expect_status(status, CE_ERR_IO, &error, "Permission denied");
}

static void empty_files_are_empty(void **state) {
    (void)state;
    test_write_file(folder, "empty", "", 0);
    ce_error error = {0};
    cei_map map;
    expect_ok(cei_map_open(&map, inside("empty"), &error), &error);
    assert_true(map.data == NULL && map.size == 0);
    cei_map_release(&map, 0, 0);
    cei_map_close(&map);
    char *data = NULL;
    size_t size = 1;
    expect_ok(cei_read_file(inside("empty"), 0, &data, &size, &error), &error);
    assert_int_equal(size, 0);
    assert_string_equal(data, "");
    cei_free(data);
}

static void files_are_read_whole(void **state) {
    (void)state;
    enum { SIZE = 100000 };
    static char content[SIZE];
    for (size_t i = 0; i < SIZE; i++) content[i] = (char)(i * 31 + (i >> 8));
    test_write_file(folder, "large", content, SIZE);
    ce_error error = {0};
    cei_map map;
    expect_ok(cei_map_open(&map, inside("large"), &error), &error);
    assert_int_equal(map.size, SIZE);
    assert_memory_equal(map.data, content, SIZE);
    cei_map_release(&map, 1, SIZE - 1);
    cei_map_release(&map, 5000, 10);
    assert_memory_equal(map.data, content, SIZE); /* released pages come back from the file */
    cei_map_close(&map);
    assert_null(map.data);
    char *data = NULL;
    size_t size = 0;
    expect_ok(cei_read_file(inside("large"), SIZE, &data, &size, &error), &error);
    assert_int_equal(size, SIZE);
    assert_memory_equal(data, content, SIZE);
    assert_int_equal(data[SIZE], 0);
    cei_free(data);
    expect_status(cei_read_file(inside("large"), SIZE - 1, &data, &size, &error), CE_ERR_FORMAT, &error,
                  "100000 bytes, more than the 99999");
}

static void identities_tell_files_apart(void **state) {
    (void)state;
    ce_error error = {0};
    cei_file_identity a, b;
    test_write_file(folder, "one", "1", 1);
    test_write_file(folder, "two", "2", 1);
    expect_ok(cei_file_identify(inside("one"), &a, &error), &error);
    expect_ok(cei_file_identify(inside("one"), &b, &error), &error);
    assert_true(cei_same_file(&a, &b));
    expect_ok(cei_file_identify(inside("two"), &b, &error), &error);
    assert_false(cei_same_file(&a, &b));
    struct timespec times[2] = {{1000, 5}, {1000, 5}};
    assert_int_equal(utimensat(AT_FDCWD, inside("one"), times, 0), 0);
    expect_ok(cei_file_identify(inside("one"), &b, &error), &error);
    assert_false(cei_same_file(&a, &b));
    cei_map map;
    expect_ok(cei_map_open(&map, inside("one"), &error), &error);
    assert_true(cei_same_file(&map.identity, &b));
    cei_map_close(&map);
    expect_status(cei_file_identify(inside("three"), &b, &error), CE_ERR_NOT_FOUND, &error, "three");
}

static void expect_joined(const char *first, const char *second, const char *want) {
    char *path = cei_join_path(first, second);
    assert_string_equal(path, want);
    cei_free(path);
}

static void paths_are_joined(void **state) {
    (void)state;
    expect_joined("a", "b", "a/b");
    expect_joined("a/", "b", "a/b");
    expect_joined("/", "b", "/b");
    expect_joined("", "b", "b");
    expect_joined(".", "", "./");
}

static void folders_are_told_from_files(void **state) {
    (void)state;
    ce_error error = {0};
    test_write_file(folder, "file", "x", 1);
    expect_ok(cei_check_folder(folder, &error), &error);
    expect_status(cei_check_folder(inside("file"), &error), CE_ERR_NOT_FOUND, &error, "is not a folder");
    expect_status(cei_check_folder(inside("none"), &error), CE_ERR_NOT_FOUND, &error, "none");
    expect_status(cei_check_folder("", &error), CE_ERR_NOT_FOUND, &error, "No such file");
    assert_true(cei_file_exists(inside("file")));
    assert_true(cei_file_exists(folder));
    assert_false(cei_file_exists(inside("none")));
}

static ce_status read_and_map(void *user, ce_error *error) {
    char *data = NULL;
    size_t size;
    cei_map map = {0};
    ce_status status = cei_read_file(user, 100, &data, &size, error);
    if (status == CE_OK) status = cei_map_open(&map, user, error);
    cei_map_close(&map);
    cei_free(data);
    return status;
}

static void no_memory_at_any_allocation(void **state) {
    (void)state;
    failing_malloc_or_skip();
    test_write_file(folder, "file", "text", 4);
    char path[2048];
    snprintf(path, sizeof path, "%s", inside("file"));
    assert_int_equal(test_each_allocation(read_and_map, path), 2);
}

/* Writing goes on where it stopped; what is read back is what was there. */
static void files_are_gone_on_with(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_file file;
    uint64_t bytes = 9;
    char read[8] = "";
    expect_ok(cei_new_file_resume(&file, inside("new"), &bytes, &error), &error);
    assert_int_equal(bytes, 0);
    expect_ok(cei_new_file_write(&file, 0, "abcdef", 6, &error), &error);
    cei_new_file_close(&file);
    expect_ok(cei_new_file_resume(&file, inside("new"), &bytes, &error), &error);
    assert_int_equal(bytes, 6);
    expect_ok(cei_new_file_read(&file, 2, read, 4, &error), &error);
    assert_string_equal(read, "cdef");
    expect_status(cei_new_file_read(&file, 3, read, 4, &error), CE_ERR_IO, &error, "became shorter");
    expect_ok(cei_new_file_cut(&file, 3, &error), &error);
    expect_ok(cei_new_file_finish(&file, &error), &error);
    expect_ok(cei_new_file_resume(&file, inside("new"), &bytes, &error), &error);
    assert_int_equal(bytes, 3);
    cei_new_file_close(&file);
}

static void files_that_are_no_files_are_not_gone_on_with(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_file file;
    uint64_t bytes = 0;
    assert_int_equal(symlink("target", inside("way")), 0);
    expect_status(cei_new_file_resume(&file, inside("way"), &bytes, &error), CE_ERR_IO, &error, "way");
    cei_new_file_close(&file);
    assert_int_equal(mkfifo(inside("pipe"), 0600), 0);
    expect_status(cei_new_file_resume(&file, inside("pipe"), &bytes, &error), CE_ERR_IO, &error, "regular");
    cei_new_file_close(&file);
    expect_status(cei_new_file_resume(&file, inside("no/file"), &bytes, &error), CE_ERR_NOT_FOUND, &error, "no/file");
    cei_new_file_close(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_a_file_is_refused),
        cmocka_unit_test(a_fifo_does_not_block),
        cmocka_unit_test(an_unreadable_file_is_refused),
        cmocka_unit_test(empty_files_are_empty),
        cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(identities_tell_files_apart),
        cmocka_unit_test(paths_are_joined),
        cmocka_unit_test(folders_are_told_from_files),
        cmocka_unit_test(files_are_gone_on_with),
        cmocka_unit_test(files_that_are_no_files_are_not_gone_on_with),
        cmocka_unit_test(no_memory_at_any_allocation),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
