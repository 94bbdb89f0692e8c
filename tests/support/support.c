/* support.c - helpers of the test programs; anything that goes wrong here fails the running test. */
#include "support/support.h"

#include <crossenc/model.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct path_ring {
    char paths[4][2048];
    unsigned turn;
} path_ring;

static const char *join(path_ring *ring, const char *folder, const char *path) {
    char *out = ring->paths[ring->turn++ % 4];
    snprintf(out, sizeof ring->paths[0], "%s/%s", folder, path);
    return out;
}

static const char *in_turn(const char *folder, const char *path) {
    static _Thread_local path_ring ring;
    return join(&ring, folder, path);
}

/* A ring of its own: what a test holds must outlive the calls below that it is given to. */
const char *test_path(const char *folder, const char *name) {
    static _Thread_local path_ring ring;
    return join(&ring, folder, name);
}

const char *test_shared(const char *path) {
    const char *full = in_turn(CE_SHARED, path);
    if (access(full, R_OK) != 0) {
        print_message("SKIP: %s is not on this machine\n", full);
        skip();
    }
    return full;
}

const char *test_data(const char *path) { return in_turn(CE_TEST_DATA, path); }

char *test_make_folder(void) {
    const char *base = getenv("TMPDIR");
    char *folder = malloc(1024);
    assert_non_null(folder);
    snprintf(folder, 1024, "%s/crossenc-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static void remove_tree(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) {
        unlink(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char inner[2048];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        struct stat info;
        if (lstat(inner, &info) == 0 && S_ISDIR(info.st_mode))
            remove_tree(inner);
        else
            unlink(inner);
    }
    closedir(folder);
    rmdir(path);
}

void test_remove_folder(char *folder) {
    remove_tree(folder);
    free(folder);
}

char *test_folder;

int test_folder_make(void **state) {
    (void)state;
    test_folder = test_make_folder();
    return 0;
}

int test_folder_remove(void **state) {
    (void)state;
    test_remove_folder(test_folder);
    return 0;
}

void test_make_inner(const char *folder, const char *name) {
    assert_true(mkdir(in_turn(folder, name), 0777) == 0 || errno == EEXIST);
}

void test_write_file(const char *folder, const char *name, const void *data, size_t size) {
    FILE *file = fopen(in_turn(folder, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

char *test_read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot open %s", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long length = ftell(file);
    assert_true(length >= 0);
    rewind(file);
    char *data = malloc((size_t)length + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)length, file), (size_t)length);
    fclose(file);
    data[length] = '\0';
    if (size) *size = (size_t)length;
    return data;
}

void test_overwrite(char *data, size_t size, const char *from, const char *to) {
    char *found = NULL;
    for (size_t i = 0; i + strlen(from) <= size && !found; i++)
        if (memcmp(data + i, from, strlen(from)) == 0) found = data + i;
    assert_non_null(found);
    assert_true(strlen(to) <= strlen(from));
    memcpy(found, to, strlen(to));
}

uint8_t *test_from_hex(const char *digits, size_t *size) {
    assert_non_null(digits);
    *size = strlen(digits) / 2;
    uint8_t *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < *size; i++) assert_int_equal(sscanf(digits + 2 * i, "%2hhx", &bytes[i]), 1);
    return bytes;
}

ce_status test_load_deferred(void *path, ce_error *error) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1, .place = CE_PLACE_DEFERRED};
    ce_model *model = NULL;
    ce_status status = ce_model_load(path, &options, &model, error);
    ce_model_free(model);
    return status;
}

void test_expect_status(ce_status status, ce_status want, const ce_error *error, const char *part, const char *file,
                        int line) {
    const char *message = status != CE_OK && error ? error->message : "";
    if (status != want) {
        print_error("%s:%d: %s, expected %s: %s\n", file, line, ce_status_name(status), ce_status_name(want), message);
        _fail(file, line);
    }
    if (part && !strstr(message, part)) {
        print_error("%s:%d: the message lacks \"%s\": %s\n", file, line, part, message);
        _fail(file, line);
    }
}
