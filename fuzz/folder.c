/* folder.c - in memory if the machine has a file system there. Relies on POSIX only. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "folder.h"

#include "fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 256 };

static char folder[64];

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at) {
    (void)info, (void)kind, (void)at;
    return remove(path);
}

static void remove_all(void) { (void)nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS); }

const char *fuzz_folder(void) {
    if (folder[0]) return folder;
    const char *memory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/crossenc-fuzz-XXXXXX", memory);
    fuzz_require(mkdtemp(folder) != NULL);
    fuzz_require(atexit(remove_all) == 0);
    return folder;
}

static const char *path_of(char path[PATH_SIZE], const char *name) {
    const int length = snprintf(path, PATH_SIZE, "%s/%s", fuzz_folder(), name);
    fuzz_require(length > 0 && length < PATH_SIZE);
    return path;
}

void fuzz_folder_add(const char *name) {
    char path[PATH_SIZE];
    fuzz_require(mkdir(path_of(path, name), 0700) == 0);
}

void fuzz_folder_write(const char *name, const void *data, size_t size) {
    char path[PATH_SIZE];
    FILE *file = fopen(path_of(path, name), "wb");
    fuzz_require(file != NULL);
    fuzz_require(size == 0 || fwrite(data, 1, size, file) == size);
    fuzz_require(fclose(file) == 0);
}

void fuzz_folder_remove(const char *name) {
    char path[PATH_SIZE];
    unlink(path_of(path, name));
}
