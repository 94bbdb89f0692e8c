/* test_cache.c - built programs in the user's cache folder: what is whole comes back, what is not never does, and a
 * folder that cannot be written is a line in the log. Needs no OpenCL. */
#include "support/support.h"

#include "device/opencl/opencl.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *folder, logged[CE_ERROR_MESSAGE_SIZE];
static size_t lines;

static void keep_line(void *user, ce_log_level level, const char *message) {
    (void)user, (void)level;
    lines++;
    snprintf(logged, sizeof logged, "%s", message);
}
static const cei_log log_to_us = {keep_line, NULL};

static int setup(void **state) {
    (void)state;
    folder = test_make_folder();
    setenv("XDG_CACHE_HOME", folder, 1);
    logged[0] = '\0';
    lines = 0;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static const char key[] = "a device and a driver", binary[] = "the kernels, built";

static cei_opencl_cached cached_of(const char *name) {
    return (cei_opencl_cached){.key = cei_copy_string(name, strlen(name)), .key_size = strlen(name)};
}

static void write_one(void) {
    cei_opencl_cached cached = cached_of(key);
    cached.tile = 3;
    cached.binary = (uint8_t *)cei_copy_string(binary, sizeof binary);
    cached.binary_size = sizeof binary;
    cei_opencl_cache_write(&log_to_us, &cached);
    cei_opencl_cached_free(&cached);
}

/* Does the cache have what write_one put there? What it has must be just that. */
static bool reads(const char *name) {
    cei_opencl_cached cached = cached_of(name);
    const bool found = cei_opencl_cache_read(&log_to_us, &cached);
    if (found) {
        assert_int_equal(cached.tile, 3);
        assert_int_equal(cached.binary_size, sizeof binary);
        assert_memory_equal(cached.binary, binary, sizeof binary);
    } else {
        assert_null(cached.binary);
    }
    cei_opencl_cached_free(&cached);
    return found;
}

/* The one file of the cache; fails the test if there is another. */
static void find_file(char path[512]) {
    char inner[400];
    size_t count = 0;
    snprintf(inner, sizeof inner, "%s/crossenc", folder);
    DIR *listing = opendir(inner);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, 512, "%.380s/%.100s", inner, entry->d_name);
        count++;
    }
    closedir(listing);
    assert_int_equal(count, 1);
}

static void replace_file(const char *data, size_t size) {
    char path[512];
    find_file(path);
    test_write_file("", path, data, size);
}

static void test_what_was_written_comes_back(void **state) {
    (void)state;
    assert_false(reads(key));
    write_one();
    assert_true(reads(key));
    write_one(); /* over the old one */
    assert_true(reads(key));
    char path[512];
    find_file(path);
    assert_false(reads("another device"));
    assert_int_equal(lines, 0);
}

static void test_each_byte_counts(void **state) {
    (void)state;
    char path[512];
    size_t size;
    write_one();
    find_file(path);
    char *data = test_read_file(path, &size);
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 1;
        replace_file(data, size);
        assert_false(reads(key));
        assert_non_null(strstr(logged, "built anew"));
        data[i] ^= 1;
    }
    for (size_t length = 0; length < size; length++) {
        replace_file(data, length);
        assert_false(reads(key));
    }
    replace_file(data, size);
    assert_true(reads(key));
    free(data);
}

/* A file of the right name for another key: as if two hashes were the same. */
static void test_a_file_of_another_key(void **state) {
    (void)state;
    char path[512], other[512];
    write_one();
    find_file(path);
    cei_opencl_cached cached = cached_of("b device and a driver");
    cached.binary = (uint8_t *)cei_copy_string(binary, sizeof binary);
    cached.binary_size = sizeof binary;
    snprintf(other, sizeof other, "%s", path);
    assert_int_equal(unlink(path), 0);
    cei_opencl_cache_write(&log_to_us, &cached);
    cei_opencl_cached_free(&cached);
    find_file(path);
    assert_int_equal(rename(path, other), 0);
    assert_false(reads(key));
}

static void test_a_folder_that_cannot_be_written(void **state) {
    (void)state;
    test_write_file(folder, "crossenc", "a file", 6);
    write_one();
    assert_int_equal(lines, 1);
    assert_non_null(strstr(logged, "not kept"));
    assert_false(reads(key));
}

static void test_no_folder(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", "relative/path", 1);
    char *home = getenv("HOME") ? cei_copy_string(getenv("HOME"), strlen(getenv("HOME"))) : NULL;
    unsetenv("HOME");
    write_one();
    assert_false(reads(key));
    assert_int_equal(lines, 0);
    setenv("HOME", folder, 1); /* a relative path counts as none: .cache below HOME is taken */
    write_one();
    assert_true(reads(key));
    if (home) setenv("HOME", home, 1);
    cei_free(home);
}

#define cache_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cache_test(test_what_was_written_comes_back),
        cache_test(test_each_byte_counts),
        cache_test(test_a_file_of_another_key),
        cache_test(test_a_folder_that_cannot_be_written),
        cache_test(test_no_folder),
    };
    return cmocka_run_group_tests_name("cache of kernels", tests, NULL, NULL);
}
