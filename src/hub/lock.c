/* lock.c - locks between processes. Relies on flock; never removes the file, on which others may wait. What it guards
 * is right without it too: where a file system grants everybody a lock, bytes are fetched twice, and checked. */
#include "hub/lock.h"

#include "base/error.h"
#include "hub/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RETRY_MS = 50 };

/* Whoever held the lock before may have removed its file: then a lock on it keeps nobody out. */
static bool is_still_there(int descriptor) {
    struct stat info;
    return fstat(descriptor, &info) == 0 && info.st_nlink > 0;
}

/* One try. *descriptor is the lock, or -1 if somebody else has it. */
static ce_status try_lock(const char *path, int *descriptor, ce_error *error) {
    int opened = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
    *descriptor = -1;
    if (opened < 0) return cei_fail_errno(error, "make the lock", path, errno);
    int number = flock(opened, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    /* A file system that knows no locks leaves everybody to go on. */
    bool is_ours = number == ENOSYS || number == ENOTSUP || (number == 0 && is_still_there(opened));
    if (is_ours) {
        *descriptor = opened;
        return CE_OK;
    }
    close(opened);
    bool is_held = number == 0 || number == EWOULDBLOCK || number == EINTR;
    return is_held ? CE_OK : cei_fail_errno(error, "lock", path, number);
}

ce_status cei_hub_lock_take(cei_hub_lock *lock, const char *path, const cei_hub_client *client, ce_error *error) {
    int descriptor = -1;
    ce_status status = cei_cache_make_parents(path, error);
    while (status == CE_OK) {
        status = try_lock(path, &descriptor, error);
        if (descriptor >= 0) lock->descriptor = descriptor + 1;
        if (status != CE_OK || descriptor >= 0) break;
        status = cei_hub_client_wait(client, RETRY_MS, error);
    }
    return status;
}

void cei_hub_lock_release(cei_hub_lock *lock) {
    if (lock->descriptor) close(lock->descriptor - 1);
    lock->descriptor = 0;
}
