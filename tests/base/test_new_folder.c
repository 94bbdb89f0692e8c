/* test_new_folder.c - folders that appear whole or not at all, what they replace, and what they must not touch. */
#include "base/new_folder.h"

#include "base/memory.h"
#include "base/new_file.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const marks[] = {"mark", "modules", NULL};

static const char *at(const char *name) { return test_path(test_folder, name); }

/* Names in a folder, sorted, each with a space behind. */
static const char *listing(const char *path) {
    static char text[1024];
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    assert_true(count >= 0);
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        size_t used = strlen(text);
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0)
            snprintf(text + used, sizeof text - used, "%s ", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return text;
}

static void add(cei_new_folder *folder, const char *name, const char *text) {
    ce_error error = {0};
    char *path = NULL;
    expect_ok(cei_new_folder_add(folder, name, &path, &error), &error);
    expect_ok(cei_new_file_save(path, text, strlen(text), &error), &error);
    cei_free(path);
}

static void publish(const char *target, const char *const *some) {
    ce_error error = {0};
    cei_new_folder folder;
    bool left = true;
    expect_ok(cei_new_folder_create(&folder, target, some, &error), &error);
    add(&folder, "mark", "new");
    expect_ok(cei_new_folder_publish(&folder, &left, &error), &error);
    assert_false(left);
    cei_new_folder_free(&folder);
}

static void expect_refused(const char *target, const char *const *some, ce_status want, const char *part) {
    ce_error error = {0};
    cei_new_folder folder;
    expect_status(cei_new_folder_create(&folder, target, some, &error), want, &error, part);
    cei_new_folder_free(&folder);
}

static void it_appears_when_published(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_folder folder;
    bool left = true;
    struct stat info;
    mode_t mask = umask(027);
    expect_ok(cei_new_folder_create(&folder, at("new"), NULL, &error), &error);
    umask(mask);
    add(&folder, "a", "text");
    assert_int_not_equal(access(at("new"), F_OK), 0);
    expect_ok(cei_new_folder_publish(&folder, &left, &error), &error);
    cei_new_folder_free(&folder);
    assert_string_equal(listing(test_folder), "new ");
    assert_string_equal(listing(at("new")), "a ");
    assert_int_equal(stat(at("new"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0750);
}

static void it_leaves_nothing_without(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_folder folder;
    char *path = NULL;
    expect_ok(cei_new_folder_create(&folder, at("new/"), NULL, &error), &error);
    add(&folder, "a", "text");
    expect_ok(cei_new_folder_add(&folder, "never made", &path, &error), &error);
    cei_free(path);
    cei_new_folder_free(&folder);
    assert_string_equal(listing(test_folder), "");
    cei_new_folder_free(&folder);
}

static void two_at_the_same_time(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_folder one, two;
    bool left;
    expect_ok(cei_new_folder_create(&one, at("new"), NULL, &error), &error);
    expect_ok(cei_new_folder_create(&two, at("new"), NULL, &error), &error);
    add(&one, "a", "first");
    add(&two, "b", "second");
    expect_ok(cei_new_folder_publish(&one, &left, &error), &error);
    expect_status(cei_new_folder_publish(&two, &left, &error), CE_ERR_IO, &error, "cannot make");
    cei_new_folder_free(&two);
    cei_new_folder_free(&one);
    assert_string_equal(listing(test_folder), "new ");
    assert_string_equal(listing(at("new")), "a ");
}

static void a_folder_is_replaced(void **state) {
    (void)state;
    publish(at("new"), NULL);
    test_write_file(test_folder, "new/other", "x", 1);
    assert_int_equal(symlink("/", at("new/link")), 0);
    expect_refused(at("new"), NULL, CE_ERR_IO, "is there already");
    publish(at("new"), marks);
    assert_string_equal(listing(at("new")), "mark ");
    assert_string_equal(listing(test_folder), "new ");
    assert_int_equal(mkdir(at("empty"), 0700), 0);
    publish(at("empty"), marks);
    assert_string_equal(listing(at("empty")), "mark ");
}

/* Folders of modules, one level deep, come and go with the folder that they are in. */
static void folders_in_it(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_folder folder;
    bool left = true;
    for (int round = 0; round < 2; round++) {
        expect_ok(cei_new_folder_create(&folder, at("new"), round ? marks : NULL, &error), &error);
        add(&folder, "modules", "new");
        add(&folder, round ? "1_Pooling/a" : "2_Dense/a", "text");
        add(&folder, round ? "1_Pooling/b" : "2_Dense/b", "text");
        expect_ok(cei_new_folder_publish(&folder, &left, &error), &error);
        assert_false(left);
        cei_new_folder_free(&folder);
        assert_string_equal(listing(test_folder), "new ");
        assert_string_equal(listing(at("new")), round ? "1_Pooling modules " : "2_Dense modules ");
    }
    assert_string_equal(listing(at("new/1_Pooling")), "a b ");
    expect_ok(cei_new_folder_create(&folder, at("other"), NULL, &error), &error);
    add(&folder, "1_Pooling/a", "text");
    char *path = NULL;
    add(&folder, "2_Dense", "a file");
    expect_ok(cei_new_folder_add(&folder, "2_Dense/a", &path, &error), &error);
    expect_status(cei_new_file_save(path, "x", 1, &error), CE_ERR_NOT_FOUND, &error, "Not a directory");
    cei_free(path);
    cei_new_folder_free(&folder);
    assert_string_equal(listing(test_folder), "new ");
}

static void the_old_one_stays_after_a_failure(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_folder folder;
    publish(at("new"), NULL);
    expect_ok(cei_new_folder_create(&folder, at("new"), marks, &error), &error);
    add(&folder, "half", "x");
    assert_string_equal(listing(at("new")), "mark ");
    cei_new_folder_free(&folder);
    assert_string_equal(listing(at("new")), "mark ");
    assert_string_equal(listing(test_folder), "new ");
}

/* A file that came into the old folder meanwhile is nobody's to remove. */
static void what_came_later_is_kept(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_folder folder;
    bool left = false;
    publish(at("new"), NULL);
    expect_ok(cei_new_folder_create(&folder, at("new"), marks, &error), &error);
    test_write_file(test_folder, "new/later", "x", 1);
    expect_ok(cei_new_folder_publish(&folder, &left, &error), &error);
    assert_true(left);
    assert_string_equal(listing(folder.path), "later ");
    cei_new_folder_free(&folder);
    assert_string_equal(listing(at("new")), "");
}

static void what_is_not_replaced(void **state) {
    (void)state;
    test_write_file(test_folder, "file", "x", 1);
    assert_int_equal(mkdir(at("strange"), 0700), 0);
    test_write_file(test_folder, "strange/photo", "x", 1);
    assert_int_equal(mkdir(at("deep"), 0700), 0);
    test_write_file(test_folder, "deep/mark", "x", 1);
    assert_int_equal(mkdir(at("deep/inner"), 0700), 0);
    assert_int_equal(mkdir(at("deeper"), 0700), 0);
    test_write_file(test_folder, "deeper/mark", "x", 1);
    assert_int_equal(mkdir(at("deeper/1_Pooling"), 0700), 0);
    assert_int_equal(mkdir(at("deeper/1_Pooling/2_Dense"), 0700), 0);
    assert_int_equal(mkdir(at("bare"), 0700), 0);
    assert_int_equal(mkdir(at("bare/1_Pooling"), 0700), 0);
    test_write_file(test_folder, "bare/1_Pooling/mark", "x", 1);
    assert_int_equal(symlink("strange", at("link")), 0);
    assert_int_equal(symlink("nowhere", at("dangling")), 0);
    expect_refused(at("file"), marks, CE_ERR_IO, "no folder");
    expect_refused(at("strange"), marks, CE_ERR_IO, "no model folder");
    expect_refused(at("deep"), marks, CE_ERR_IO, "\"inner\"");
    expect_refused(at("deeper"), marks, CE_ERR_IO, "\"1_Pooling/2_Dense\"");
    expect_refused(at("bare"), marks, CE_ERR_IO, "no model folder");
    expect_refused(at("link"), marks, CE_ERR_IO, "a symbolic link");
    expect_refused(at("dangling"), NULL, CE_ERR_IO, "a symbolic link");
    expect_refused(at("file/new"), NULL, CE_ERR_NOT_FOUND, "Not a directory");
    expect_refused(at("gone/new"), NULL, CE_ERR_NOT_FOUND, "No such file");
    for (size_t i = 0; i < 5; i++)
        expect_refused((const char *[]){"", "/", ".", "..", "a/.."}[i], marks, CE_ERR_ARGUMENT, "names nothing");
    assert_string_equal(listing(test_folder), "bare dangling deep deeper file link strange ");
}

static void a_folder_that_may_not_be_written(void **state) {
    (void)state;
    if (geteuid() == 0) {
        print_message("SKIP: root may write everywhere\n");
        skip();
    }
    assert_int_equal(chmod(test_folder, 0500), 0);
    expect_refused(at("new"), NULL, CE_ERR_IO, "Permission denied");
    assert_int_equal(chmod(test_folder, 0700), 0);
}

static void relative_names(void **state) {
    (void)state;
    char before[2048];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(test_folder), 0);
    publish("new", NULL);
    publish("./other///", NULL);
    assert_int_equal(chdir(before), 0);
    assert_string_equal(listing(test_folder), "new other ");
}

/* ---- files --------------------------------------------------------------------------------------------------- */

static void files_are_new(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_file file;
    expect_ok(cei_new_file_create(&file, at("a"), &error), &error);
    expect_ok(cei_new_file_reserve(&file, 10, &error), &error);
    expect_ok(cei_new_file_write(&file, 7, "end", 3, &error), &error);
    expect_ok(cei_new_file_finish(&file, &error), &error);
    cei_new_file_close(&file);
    size_t size;
    char *data = test_read_file(at("a"), &size);
    assert_int_equal(size, 10);
    assert_memory_equal(data, "\0\0\0\0\0\0\0end", 10);
    free(data);
    expect_status(cei_new_file_create(&file, at("a"), &error), CE_ERR_IO, &error, "File exists");
    cei_new_file_close(&file);
}

static void no_room(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_file file;
    struct rlimit old, small;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 4096;
    expect_ok(cei_new_file_create(&file, at("a"), &error), &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    ce_status reserved = cei_new_file_reserve(&file, 1 << 20, &error);
    ce_status written = cei_new_file_write(&file, 4096, "x", 1, NULL);
    ce_status huge = cei_new_file_reserve(&file, UINT64_MAX, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    expect_status(reserved, CE_ERR_IO, &error, "File too large");
    assert_int_equal(written, CE_ERR_IO);
    assert_int_equal(huge, CE_ERR_IO);
    cei_new_file_close(&file);
}

/* ---- want of memory ------------------------------------------------------------------------------------------ */

static ce_status replace(void *user, ce_error *error) {
    cei_new_folder folder;
    char *path = NULL;
    bool left = false;
    ce_status status = cei_new_folder_create(&folder, user, marks, error);
    for (size_t i = 0; i < 2 && status == CE_OK; i++) {
        status = cei_new_folder_add(&folder, (const char *[]){"mark", "1_Pooling/a"}[i], &path, error);
        if (status == CE_OK) status = cei_new_file_save(path, "x", 1, error);
        cei_free(path);
    }
    if (status == CE_OK) status = cei_new_folder_publish(&folder, &left, error);
    cei_new_folder_free(&folder);
    return status;
}

/* ---- a single file ------------------------------------------------------------------------------------------- */

static bool is_mine(const char *path) {
    size_t size;
    char *text = test_read_file(path, &size);
    const bool mine = strncmp(text, "mine", 4) == 0;
    free(text);
    return mine;
}

static ce_status make_file(bool (*may_replace)(const char *path), ce_error *error) {
    cei_new_folder folder;
    ce_status status = cei_new_folder_create_file(&folder, at("file"), may_replace, error);
    if (status == CE_OK) {
        add(&folder, "any name", "mine, new");
        status = cei_new_folder_publish_file(&folder, error);
    }
    cei_new_folder_free(&folder);
    return status;
}

static void a_file_appears_when_published(void **state) {
    (void)state;
    ce_error error = {0};
    expect_ok(make_file(NULL, &error), &error);
    assert_string_equal(listing(test_folder), "file ");
    expect_status(make_file(NULL, &error), CE_ERR_IO, &error, "is there already");
    test_write_file(test_folder, "file", "mine, old", 9);
    expect_ok(make_file(is_mine, &error), &error);
    size_t size;
    char *text = test_read_file(at("file"), &size);
    assert_string_equal(text, "mine, new");
    free(text);
    test_write_file(test_folder, "file", "other", 5);
    expect_status(make_file(is_mine, &error), CE_ERR_IO, &error, "of another kind");
    assert_string_equal(listing(test_folder), "file ");
}

static void a_file_that_came_later_is_kept(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_folder folder;
    expect_ok(cei_new_folder_create_file(&folder, at("file"), NULL, &error), &error);
    add(&folder, "any name", "mine");
    test_write_file(test_folder, "file", "other", 5);
    expect_status(cei_new_folder_publish_file(&folder, &error), CE_ERR_IO, &error, "file");
    cei_new_folder_free(&folder);
    assert_string_equal(listing(test_folder), "file ");
    assert_false(is_mine(at("file")));
}

static void only_files_are_replaced_by_one(void **state) {
    (void)state;
    ce_error error = {0};
    test_make_inner(test_folder, "file");
    expect_status(make_file(is_mine, &error), CE_ERR_IO, &error, "is a folder");
    assert_int_equal(rmdir(at("file")), 0);
    assert_int_equal(symlink("nowhere", at("file")), 0);
    expect_status(make_file(is_mine, &error), CE_ERR_IO, &error, "a symbolic link");
}

static void want_of_memory_leaves_nothing(void **state) {
    (void)state;
    char target[2048];
    snprintf(target, sizeof target, "%s", at("new"));
    failing_malloc_or_skip();
    test_each_allocation(replace, target);
    assert_string_equal(listing(test_folder), "new ");
    assert_string_equal(listing(target), "1_Pooling mark ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        folder_test(it_appears_when_published),
        folder_test(it_leaves_nothing_without),
        folder_test(two_at_the_same_time),
        folder_test(a_folder_is_replaced),
        folder_test(folders_in_it),
        folder_test(the_old_one_stays_after_a_failure),
        folder_test(what_came_later_is_kept),
        folder_test(what_is_not_replaced),
        folder_test(a_folder_that_may_not_be_written),
        folder_test(relative_names),
        folder_test(files_are_new),
        folder_test(no_room),
        folder_test(a_file_appears_when_published),
        folder_test(a_file_that_came_later_is_kept),
        folder_test(only_files_are_replaced_by_one),
        folder_test(want_of_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
