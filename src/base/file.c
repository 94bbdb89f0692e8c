/* file.c - files through POSIX. Relies on memory.h; must not interpret what it reads. */
#include "base/file.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool cei_same_file(const cei_file_identity *a, const cei_file_identity *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->changed_s == b->changed_s &&
           a->changed_ns == b->changed_ns;
}

/* Opens a regular file; on success *descriptor is the caller's to close. */
static ce_status open_regular(const char *path, int *descriptor, struct stat *info, ce_error *error) {
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return cei_fail_errno(error, "open", path, errno);
    if (fstat(fd, info) != 0) {
        int number = errno;
        close(fd);
        return cei_fail_errno(error, "examine", path, number);
    }
    if (!S_ISREG(info->st_mode)) {
        close(fd);
        return cei_fail(error, CE_ERR_IO, "%s is %s, and a file is needed", path,
                        S_ISDIR(info->st_mode) ? "a folder" : "not a regular file");
    }
    *descriptor = fd;
    return CE_OK;
}

static cei_file_identity identity_of(const struct stat *info) {
    return (cei_file_identity){(uint64_t)info->st_dev, (uint64_t)info->st_ino, (uint64_t)info->st_size,
                               (int64_t)info->st_mtim.tv_sec, (int64_t)info->st_mtim.tv_nsec};
}

ce_status cei_file_identify(const char *path, cei_file_identity *identity, ce_error *error) {
    struct stat info;
    if (stat(path, &info) != 0) return cei_fail_errno(error, "examine", path, errno);
    *identity = identity_of(&info);
    return CE_OK;
}

ce_status cei_map_open(cei_map *map, const char *path, ce_error *error) {
    *map = (cei_map){0};
    int fd = -1;
    struct stat info;
    ce_status status = open_regular(path, &fd, &info, error);
    if (status != CE_OK) return status;
    size_t size = (size_t)info.st_size;
    void *data = NULL;
    if (size > 0) {
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) status = cei_fail_errno(error, "map", path, errno);
    }
    close(fd);
    if (status != CE_OK) return status;
    map->data = data;
    map->size = size;
    map->identity = identity_of(&info);
    return CE_OK;
}

void cei_map_close(cei_map *map) {
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (cei_map){0};
}

void cei_map_release(const cei_map *map, size_t offset, size_t size) {
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0 || !map->data) return;
    size_t mask = (size_t)page - 1;
    size_t first = (offset + mask) & ~mask;
    size_t last = offset + size == map->size ? map->size : (offset + size) & ~mask; /* the last page is no one else's */
    /* Advice only: a refusal changes nothing but the memory held until the map is closed. */
    if (last > first) (void)madvise((void *)(uintptr_t)(map->data + first), last - first, MADV_DONTNEED);
}

static ce_status read_all(int fd, const char *path, char *buffer, size_t size, size_t *got, ce_error *error) {
    *got = 0;
    while (*got < size) {
        ssize_t n = read(fd, buffer + *got, size - *got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cei_fail_errno(error, "read", path, errno);
        if (n == 0) break;
        *got += (size_t)n;
    }
    return CE_OK;
}

ce_status cei_read_file(const char *path, size_t limit, char **data, size_t *size, ce_error *error) {
    *data = NULL;
    *size = 0;
    int fd = -1;
    struct stat info;
    ce_status status = open_regular(path, &fd, &info, error);
    if (status != CE_OK) return status;
    char *buffer = NULL;
    size_t bytes = (size_t)info.st_size;
    if (bytes > limit) {
        status = cei_fail(error, CE_ERR_FORMAT, "%s has %zu bytes, more than the %zu that such a file may have", path,
                          bytes, limit);
        goto done;
    }
    buffer = cei_alloc(bytes + 1, 1);
    if (!buffer) {
        status = cei_fail_memory(error, path, bytes);
        goto done;
    }
    status = read_all(fd, path, buffer, bytes, size, error);
    if (status != CE_OK) goto done;
    buffer[*size] = '\0';
    *data = buffer;
    buffer = NULL;
done:
    cei_free(buffer);
    close(fd);
    return status;
}

char *cei_join_path(const char *folder, const char *name) {
    size_t a = strlen(folder), b = strlen(name);
    bool slash = a > 0 && folder[a - 1] != '/';
    char *path = cei_alloc(a + b + 2, 1);
    if (!path) return NULL;
    memcpy(path, folder, a);
    if (slash) path[a] = '/';
    memcpy(path + a + slash, name, b + 1);
    return path;
}

ce_status cei_check_folder(const char *path, ce_error *error) {
    struct stat info;
    if (stat(path, &info) != 0) return cei_fail_errno(error, "open", path, errno);
    if (!S_ISDIR(info.st_mode)) return cei_fail(error, CE_ERR_NOT_FOUND, "%s is not a folder", path);
    return CE_OK;
}

bool cei_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

ce_status cei_file_find(const char *folder, const char *name, bool *found, ce_error *error) {
    char *path = cei_join_path(folder, name);
    if (!path) return cei_fail_memory(error, name, 0);
    *found = cei_file_exists(path);
    cei_free(path);
    return CE_OK;
}
