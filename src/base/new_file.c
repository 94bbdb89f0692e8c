/* new_file.c - writing files through POSIX. Must not follow a link or replace a file; what it made is the caller's to
 * remove when something fails. */
#include "base/new_file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

ce_status cei_new_file_create(cei_new_file *file, const char *path, ce_error *error) {
    *file = (cei_new_file){.path = path};
    file->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->descriptor < 0) return cei_fail_errno(error, "create", path, errno);
    file->is_open = true;
    return CE_OK;
}

ce_status cei_new_file_resume(cei_new_file *file, const char *path, uint64_t *bytes, ce_error *error) {
    struct stat info;
    *file = (cei_new_file){.path = path};
    file->descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (file->descriptor < 0) return cei_fail_errno(error, "write", path, errno);
    file->is_open = true;
    if (fstat(file->descriptor, &info) != 0) return cei_fail_errno(error, "examine", path, errno);
    if (!S_ISREG(info.st_mode)) return cei_fail(error, CE_ERR_IO, "%s is not a regular file", path);
    *bytes = (uint64_t)info.st_size;
    return CE_OK;
}

ce_status cei_new_file_read(const cei_new_file *file, uint64_t offset, void *data, size_t bytes, ce_error *error) {
    char *to = data;
    while (bytes > 0) {
        ssize_t got = pread(file->descriptor, to, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cei_fail_errno(error, "read", file->path, errno);
        if (got == 0) return cei_fail(error, CE_ERR_IO, "%s became shorter while it was read", file->path);
        to += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return CE_OK;
}

ce_status cei_new_file_cut(const cei_new_file *file, uint64_t bytes, ce_error *error) {
    if (ftruncate(file->descriptor, (off_t)bytes) == 0) return CE_OK;
    return cei_fail_errno(error, "write", file->path, errno);
}

ce_status cei_new_file_reserve(const cei_new_file *file, uint64_t bytes, ce_error *error) {
    if (bytes == 0) return CE_OK;
    int number = bytes > INT64_MAX ? EFBIG : EINTR;
    while (number == EINTR) number = posix_fallocate(file->descriptor, 0, (off_t)bytes);
    /* A file system that cannot do it will say later that it is full. */
    if (number == 0 || number == EOPNOTSUPP || number == EINVAL) return CE_OK;
    return cei_fail_errno(error, "write", file->path, number);
}

ce_status cei_new_file_write(const cei_new_file *file, uint64_t offset, const void *data, size_t bytes,
                             ce_error *error) {
    const char *from = data;
    while (bytes > 0) {
        ssize_t written = pwrite(file->descriptor, from, bytes, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return cei_fail_errno(error, "write", file->path, errno);
        from += written;
        offset += (uint64_t)written;
        bytes -= (size_t)written;
    }
    return CE_OK;
}

ce_status cei_new_file_finish(cei_new_file *file, ce_error *error) {
    int number = 0;
    if (fsync(file->descriptor) != 0) number = errno;
    file->is_open = false;
    if (close(file->descriptor) != 0 && number == 0 && errno != EINTR) number = errno;
    return number ? cei_fail_errno(error, "write", file->path, number) : CE_OK;
}

void cei_new_file_close(cei_new_file *file) {
    if (file->is_open) close(file->descriptor);
    *file = (cei_new_file){0};
}

ce_status cei_new_file_save(const char *path, const void *data, size_t bytes, ce_error *error) {
    cei_new_file file = {0};
    ce_status status = cei_new_file_create(&file, path, error);
    if (status == CE_OK) status = cei_new_file_write(&file, 0, data, bytes, error);
    if (status == CE_OK) status = cei_new_file_finish(&file, error);
    cei_new_file_close(&file);
    return status;
}
