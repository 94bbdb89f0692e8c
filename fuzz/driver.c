/* driver.c - feeds files, or all files of folders, to a fuzz target once each: the corpus as an ordinary test.
 *
 * Relies on POSIX only. A finding ends the program; an empty corpus is a failure, as nothing was tested. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The input lies in a block of exactly its size, so that sanitizers and valgrind see a read past its end. */
static bool feed_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info) != 0) {
        fprintf(stderr, "cannot read %s\n", path);
        if (file) fclose(file);
        return false;
    }
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size ? size : 1);
    bool read = data && fread(data, 1, size, file) == size;
    fclose(file);
    if (read)
        LLVMFuzzerTestOneInput(data, size);
    else
        fprintf(stderr, "cannot read %s\n", path);
    free(data);
    return read;
}

static bool feed_path(const char *path, size_t *fed) {
    DIR *folder = opendir(path);
    if (!folder) {
        *fed += 1;
        return feed_file(path);
    }
    bool good = true;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char inner[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        good = feed_path(inner, fed) && good;
    }
    closedir(folder);
    return good;
}

int main(int argc, char **argv) {
    size_t fed = 0;
    bool good = true;
    for (int i = 1; i < argc; i++) good = feed_path(argv[i], &fed) && good;
    printf("%zu inputs\n", fed);
    if (fed == 0) fprintf(stderr, "usage: %s FILE-OR-FOLDER...\nno input was found\n", argv[0]);
    return good && fed > 0 ? 0 : 1;
}
