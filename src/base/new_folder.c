/* new_folder.c - making a folder, or a file, appear whole. Relies on rename within one file system. Must not remove
 * anything but files that it made itself, and those of a folder that it was asked to replace: of folders in it, those
 * of modules. */
#define _GNU_SOURCE /* renameat2 */

#include "base/new_folder.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Other names that are tried before giving up, and room for one. */
enum { ATTEMPTS = 1000, NAME_ROOM = 64 };

/* ---- names --------------------------------------------------------------------------------------------------- */

static bool add_name(cei_names *names, const char *name) {
    void *all = names->all;
    bool grown = cei_grow(&all, &names->capacity, names->count + 1, sizeof *names->all);
    names->all = all;
    char *copy = grown ? cei_copy_string(name, strlen(name)) : NULL;
    if (!copy) return false;
    names->all[names->count++] = copy;
    return true;
}

static void free_names(cei_names *names) {
    for (size_t i = 0; i < names->count; i++) cei_free(names->all[i]);
    cei_free(names->all);
    *names = (cei_names){0};
}

/* Removes files of these names, or, with AT_REMOVEDIR, folders; false if one stays. */
static bool remove_all(int descriptor, const cei_names *names, int flags) {
    bool all = true;
    for (size_t i = 0; i < names->count; i++)
        if (unlinkat(descriptor, names->all[i], flags) != 0 && errno != ENOENT) all = false;
    return all;
}

static bool remove_files(int descriptor, const cei_names *files, const cei_names *folders) {
    const bool all = remove_all(descriptor, files, 0);
    return remove_all(descriptor, folders, AT_REMOVEDIR) && all;
}

/* ---- the target ---------------------------------------------------------------------------------------------- */

/* Splits path into the folder's own folder and name. */
static ce_status split_path(cei_new_folder *folder, const char *path, ce_error *error) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    size_t begin = length;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    const char *name = path + begin;
    size_t size = length - begin;
    if (size == 0 || (size == 1 && name[0] == '.') || (size == 2 && name[0] == '.' && name[1] == '.'))
        return cei_fail(error, CE_ERR_ARGUMENT, "\"%s\" names nothing that could be made", path);
    folder->target = cei_copy_string(path, length);
    folder->parent = begin ? cei_copy_string(path, begin > 1 ? begin - 1 : 1) : cei_copy_string(".", 1);
    return folder->target && folder->parent ? CE_OK : cei_fail_memory(error, path, 0);
}

/* Is it called as the folders of modules are: "1_Pooling"? */
static bool is_module(const char *name) {
    const size_t digits = strspn(name, "0123456789");
    return digits > 0 && name[digits] == '_';
}

/* An entry of the old folder, or of the folder `inside` it: a file, a link, or a folder. */
static ce_status add_entry(cei_new_folder *folder, const char *inside, const char *name, ce_error *error) {
    struct stat info;
    char *path = *inside ? cei_join_path(inside, name) : cei_copy_string(name, strlen(name));
    if (!path) return cei_fail_memory(error, folder->target, 0);
    ce_status status = CE_OK;
    if (fstatat(folder->old_descriptor - 1, path, &info, AT_SYMLINK_NOFOLLOW) != 0)
        status = cei_fail_errno(error, "examine a file of", folder->target, errno);
    else if (S_ISDIR(info.st_mode) && (*inside || !is_module(name)))
        status = cei_fail(error, CE_ERR_IO, "%s is not replaced, for it has the folder \"%.128s\" in it",
                          folder->target, path);
    else if (!add_name(S_ISDIR(info.st_mode) ? &folder->old_folders : &folder->old, path))
        status = cei_fail_memory(error, folder->target, 0);
    cei_free(path);
    return status;
}

static ce_status add_entries(cei_new_folder *folder, const char *inside, DIR *entries, ce_error *error) {
    ce_status status = CE_OK;
    errno = 0;
    for (struct dirent *entry; status == CE_OK && (entry = readdir(entries)); errno = 0) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        status = add_entry(folder, inside, name, error);
    }
    if (status == CE_OK && errno) return cei_fail_errno(error, "read", folder->target, errno);
    return status;
}

/* Remembers what is in the old folder, or in the folder `inside` it. */
static ce_status list_entries(cei_new_folder *folder, const char *inside, ce_error *error) {
    const int descriptor = openat(folder->old_descriptor - 1, *inside ? inside : ".",
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); /* closedir closes it */
    DIR *entries = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    if (!entries) {
        ce_status status = cei_fail_errno(error, "read", folder->target, errno);
        if (descriptor >= 0) close(descriptor);
        return status;
    }
    ce_status status = add_entries(folder, inside, entries, error);
    closedir(entries);
    return status;
}

static bool has_mark(const cei_names *names, const char *const *marks) {
    for (; *marks; marks++)
        for (size_t i = 0; i < names->count; i++)
            if (strcmp(names->all[i], *marks) == 0) return true;
    return false;
}

/* Remembers what is in the folder that is to be replaced. */
static ce_status list_old(cei_new_folder *folder, const char *const *marks, ce_error *error) {
    int descriptor = open(folder->target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0) return cei_fail_errno(error, "read", folder->target, errno);
    folder->old_descriptor = descriptor + 1;
    ce_status status = list_entries(folder, "", error);
    for (size_t i = 0; i < folder->old_folders.count && status == CE_OK; i++)
        status = list_entries(folder, folder->old_folders.all[i], error);
    if (status != CE_OK || folder->old.count + folder->old_folders.count == 0 || has_mark(&folder->old, marks))
        return status;
    return cei_fail(error, CE_ERR_IO, "%s is not replaced, for it is no model folder: it has files and no %s",
                    folder->target, marks[0]);
}

static ce_status fail_taken(const cei_new_folder *folder, ce_error *error) {
    return cei_fail(error, CE_ERR_IO,
                    "%s is there already: choose another name, or have it replaced (overwrite, --force)",
                    folder->target);
}

static ce_status check_target(cei_new_folder *folder, const char *const *marks, ce_error *error) {
    struct stat info;
    if (lstat(folder->target, &info) != 0)
        return errno == ENOENT ? CE_OK : cei_fail_errno(error, "write to", folder->target, errno);
    if (!S_ISDIR(info.st_mode))
        return cei_fail(error, CE_ERR_IO, "%s is there already, and is %s: choose another name", folder->target,
                        S_ISLNK(info.st_mode) ? "a symbolic link" : "no folder");
    if (!marks) return fail_taken(folder, error);
    return list_old(folder, marks, error);
}

/* ---- the folder of another name ------------------------------------------------------------------------------ */

static ce_status make_folder(cei_new_folder *folder, ce_error *error) {
    size_t size = strlen(folder->parent) + NAME_ROOM;
    folder->spare = cei_alloc_zeroed(size, 1);
    folder->path = cei_alloc_zeroed(size, 1);
    if (!folder->path || !folder->spare) return cei_fail_memory(error, folder->target, size);
    int number = EEXIST;
    for (unsigned i = 0; i < ATTEMPTS && number == EEXIST; i++) {
        snprintf(folder->path, size, "%s/.crossenc-%ld-%u", folder->parent, (long)getpid(), i);
        snprintf(folder->spare, size, "%s/.crossenc-%ld-%u-old", folder->parent, (long)getpid(), i);
        number = mkdir(folder->path, 0777) == 0 ? 0 : errno;
    }
    if (number == 0) {
        int descriptor = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor >= 0) {
            folder->descriptor = descriptor + 1;
            folder->is_made = true;
            return CE_OK;
        }
        number = errno;
        rmdir(folder->path);
    }
    return cei_fail_errno(error, "make a folder in", folder->parent, number);
}

ce_status cei_new_folder_create(cei_new_folder *folder, const char *target, const char *const *marks, ce_error *error) {
    *folder = (cei_new_folder){0};
    ce_status status = split_path(folder, target, error);
    if (status == CE_OK) status = check_target(folder, marks, error);
    if (status == CE_OK) status = make_folder(folder, error);
    return status;
}

static ce_status check_target_file(const cei_new_folder *folder, bool (*may_replace)(const char *path),
                                   ce_error *error) {
    struct stat info;
    if (lstat(folder->target, &info) != 0)
        return errno == ENOENT ? CE_OK : cei_fail_errno(error, "write to", folder->target, errno);
    if (!S_ISREG(info.st_mode))
        return cei_fail(error, CE_ERR_IO, "%s is there already, and is %s: choose another name", folder->target,
                        S_ISDIR(info.st_mode)   ? "a folder"
                        : S_ISLNK(info.st_mode) ? "a symbolic link"
                                                : "no file");
    if (!may_replace) return fail_taken(folder, error);
    if (may_replace(folder->target)) return CE_OK;
    return cei_fail(error, CE_ERR_IO, "%s is not replaced, for it is a file of another kind", folder->target);
}

ce_status cei_new_folder_create_file(cei_new_folder *folder, const char *target, bool (*may_replace)(const char *path),
                                     ce_error *error) {
    *folder = (cei_new_folder){.replaces = may_replace != NULL};
    ce_status status = split_path(folder, target, error);
    if (status == CE_OK) status = check_target_file(folder, may_replace, error);
    if (status == CE_OK) status = make_folder(folder, error);
    return status;
}

/* Makes the folder in the new one that a file is to be in, unless it was made before. */
static ce_status make_inner(cei_new_folder *folder, const char *name, size_t length, ce_error *error) {
    char *inner = cei_copy_string(name, length);
    if (!inner) return cei_fail_memory(error, folder->target, length);
    ce_status status = CE_OK;
    if (mkdirat(folder->descriptor - 1, inner, 0777) == 0) {
        if (!add_name(&folder->folders, inner)) {
            status = cei_fail_memory(error, folder->target, 0);
            (void)unlinkat(folder->descriptor - 1, inner, AT_REMOVEDIR);
        }
    } else if (errno != EEXIST) {
        status = cei_fail_errno(error, "make a folder in", folder->path, errno);
    }
    cei_free(inner);
    return status;
}

ce_status cei_new_folder_add(cei_new_folder *folder, const char *name, char **path, ce_error *error) {
    const char *slash = strchr(name, '/');
    *path = NULL;
    ce_status status = slash ? make_inner(folder, name, (size_t)(slash - name), error) : CE_OK;
    if (status != CE_OK) return status;
    *path = cei_join_path(folder->path, name);
    if (*path && add_name(&folder->names, name)) return CE_OK;
    cei_free(*path);
    *path = NULL;
    return cei_fail_memory(error, folder->target, 0);
}

/* ---- publishing ---------------------------------------------------------------------------------------------- */

/* Puts a folder's names on disk. Some file systems cannot be asked to. */
static ce_status sync_folder(int descriptor, const char *path, ce_error *error) {
    if (fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS) return CE_OK;
    return cei_fail_errno(error, "write", path, errno);
}

static ce_status sync_inner(const cei_new_folder *folder, const char *name, ce_error *error) {
    const int descriptor = openat(folder->descriptor - 1, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return cei_fail_errno(error, "write", folder->path, errno);
    const ce_status status = sync_folder(descriptor, folder->path, error);
    close(descriptor);
    return status;
}

static ce_status sync_all(const cei_new_folder *folder, ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < folder->folders.count && status == CE_OK; i++)
        status = sync_inner(folder, folder->folders.all[i], error);
    return status == CE_OK ? sync_folder(folder->descriptor - 1, folder->path, error) : status;
}

/* The target is there by now, whatever comes of this. */
static void sync_parent(const cei_new_folder *folder) {
    int descriptor = open(folder->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    (void)fsync(descriptor);
    close(descriptor);
}

/* The new folder and the old one exchange their names: in one step, or, where the file system cannot, in two. */
static int exchange(const cei_new_folder *folder) {
    if (renameat2(AT_FDCWD, folder->path, AT_FDCWD, folder->target, RENAME_EXCHANGE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    if (rename(folder->target, folder->spare) != 0) return errno;
    if (rename(folder->path, folder->target) != 0) {
        int number = errno;
        (void)rename(folder->spare, folder->target);
        return number;
    }
    (void)rename(folder->spare, folder->path);
    return 0;
}

ce_status cei_new_folder_publish(cei_new_folder *folder, bool *left, ce_error *error) {
    *left = false;
    ce_status status = sync_all(folder, error);
    if (status != CE_OK) return status;
    bool replaces = folder->old_descriptor != 0;
    int number = replaces ? exchange(folder) : rename(folder->path, folder->target) == 0 ? 0 : errno;
    if (number) return cei_fail_errno(error, "make", folder->target, number);
    folder->is_made = false;
    if (replaces)
        *left =
            !remove_files(folder->old_descriptor - 1, &folder->old, &folder->old_folders) || rmdir(folder->path) != 0;
    sync_parent(folder);
    return CE_OK;
}

/* A file that came to be there meanwhile is not replaced, where the file system can see to it. */
static int rename_file(const cei_new_folder *folder, const char *path) {
    const unsigned flags = folder->replaces ? 0 : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, path, AT_FDCWD, folder->target, flags) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    return rename(path, folder->target) == 0 ? 0 : errno;
}

ce_status cei_new_folder_publish_file(cei_new_folder *folder, ce_error *error) {
    char *path = cei_join_path(folder->path, folder->names.all[0]);
    if (!path) return cei_fail_memory(error, folder->target, 0);
    const int number = rename_file(folder, path);
    cei_free(path);
    if (number) return cei_fail_errno(error, "make", folder->target, number);
    rmdir(folder->path);
    folder->is_made = false;
    sync_parent(folder);
    return CE_OK;
}

void cei_new_folder_free(cei_new_folder *folder) {
    if (folder->is_made) {
        (void)remove_files(folder->descriptor - 1, &folder->names, &folder->folders);
        rmdir(folder->path);
    }
    if (folder->descriptor) close(folder->descriptor - 1);
    if (folder->old_descriptor) close(folder->old_descriptor - 1);
    free_names(&folder->names);
    free_names(&folder->folders);
    free_names(&folder->old);
    free_names(&folder->old_folders);
    cei_free(folder->target);
    cei_free(folder->parent);
    cei_free(folder->path);
    cei_free(folder->spare);
    *folder = (cei_new_folder){0};
}
