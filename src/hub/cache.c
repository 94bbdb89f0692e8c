/* cache.c - the hub's cache on disk. Relies on POSIX links and renames; must not remove anything but what it makes. */
#include "hub/cache.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/new_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of a ref's file that are read: a commit has 40. */
enum { LONGEST_REF = 64 };

/* ---- where the cache is -------------------------------------------------------------------------------------- */

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool cei_hub_flag(const char *name) {
    static const char *const words[] = {"1", "on", "yes", "true"};
    const char *value = variable(name);
    for (size_t i = 0; value && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0) return true;
    return false;
}

ce_status cei_hub_expand(const char *base, const char *below, char **path, ce_error *error) {
    bool is_home = base[0] == '~' && (base[1] == '/' || base[1] == '\0');
    const char *home = is_home ? variable("HOME") : "";
    if (!home)
        return cei_fail(
            error, CE_ERR_NOT_FOUND,
            "HOME is not set, so nobody knows where models are cached: set it, or HF_HUB_CACHE to a folder");
    *path = cei_format_string("%s%s%s", home, is_home ? base + 1 : base, below);
    return *path ? CE_OK : cei_fail_memory(error, "the path of the cache", 0);
}

ce_status cei_hub_home(char **home, ce_error *error) {
    const char *named = variable("HF_HOME"), *caches = variable("XDG_CACHE_HOME");
    return named ? cei_hub_expand(named, "", home, error)
                 : cei_hub_expand(caches ? caches : "~/.cache", "/huggingface", home, error);
}

ce_status cei_hub_cache(const char *given, char **cache, ce_error *error) {
    static const char *const names[] = {"SENTENCE_TRANSFORMERS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"};
    for (size_t i = 0; !given && i < sizeof names / sizeof *names; i++) given = variable(names[i]);
    if (given) return cei_hub_expand(given, "", cache, error);
    char *home = NULL;
    ce_status status = cei_hub_home(&home, error);
    if (status == CE_OK) status = cei_hub_expand(home, "/hub", cache, error);
    cei_free(home);
    return status;
}

/* ---- names --------------------------------------------------------------------------------------------------- */

char *cei_cache_repository(const char *cache, const char *repository) {
    const char *slash = strchr(repository, '/');
    if (!slash) return cei_format_string("%s/models--%s", cache, repository);
    return cei_format_string("%s/models--%.*s--%s", cache, (int)(slash - repository), repository, slash + 1);
}

/* The commit in refs/REVISION into commit [LONGEST_REF + 1]; "" if there is no such file. */
static ce_status read_ref(const char *path, char *commit, ce_error *error) {
    char *data = NULL;
    size_t size = 0;
    commit[0] = '\0';
    ce_status status = cei_read_file(path, LONGEST_REF, &data, &size, error);
    if (status == CE_ERR_NOT_FOUND) return CE_OK;
    if (status != CE_OK) return status;
    data[strcspn(data, "\r\n")] = '\0';
    if (cei_file_name_is_safe(data) && !strchr(data, '/'))
        snprintf(commit, LONGEST_REF + 1, "%s", data);
    else
        status = cei_fail(error, CE_ERR_FORMAT, "%s names no commit: remove it, and fetch the model again", path);
    cei_free(data);
    return status;
}

ce_status cei_cache_snapshot(const char *repository_folder, const char *revision, char **snapshot, ce_error *error) {
    char commit[LONGEST_REF + 1];
    char *ref = cei_format_string("%s/refs/%s", repository_folder, revision);
    if (!ref) return cei_fail_memory(error, "the path of a revision", 0);
    ce_status status = read_ref(ref, commit, error);
    cei_free(ref);
    if (status != CE_OK) return status;
    *snapshot = cei_format_string("%s/snapshots/%s", repository_folder, *commit ? commit : revision);
    if (!*snapshot) return cei_fail_memory(error, "the path of a snapshot", 0);
    status = cei_check_folder(*snapshot, error);
    if (status == CE_OK) return CE_OK;
    cei_free(*snapshot);
    *snapshot = NULL;
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static int make_folder(const char *path) {
    struct stat info;
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))) return 0;
    return errno;
}

ce_status cei_cache_make_folders(const char *path, ce_error *error) {
    char *part = cei_copy_string(path, strlen(path));
    if (!part) return cei_fail_memory(error, path, 0);
    int number = 0;
    for (char *slash = strchr(part + 1, '/'); slash && number == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        number = make_folder(part);
        *slash = '/';
    }
    if (number == 0) number = make_folder(part);
    cei_free(part);
    return number ? cei_fail_errno(error, "make the folder", path, number) : CE_OK;
}

ce_status cei_cache_make_parents(const char *path, ce_error *error) {
    const char *slash = strrchr(path, '/');
    char *parent = cei_copy_string(path, slash ? (size_t)(slash - path) : 0);
    if (!parent) return cei_fail_memory(error, path, 0);
    ce_status status = *parent ? cei_cache_make_folders(parent, error) : CE_OK;
    cei_free(parent);
    return status;
}

/* Does path lead to target already? */
static bool is_link_to(const char *path, const char *target) {
    char found[CEI_FILE_NAME_SIZE * 2];
    ssize_t length = readlink(path, found, sizeof found);
    return length >= 0 && (size_t)length == strlen(target) && memcmp(found, target, (size_t)length) == 0;
}

/* Two processes may do it at once, so the link gets a name of its own first. */
static ce_status make_link(const char *path, const char *target, ce_error *error) {
    char *other = cei_format_string("%s.%ld.tmp", path, (long)getpid());
    if (!other) return cei_fail_memory(error, path, 0);
    (void)unlink(other);
    ce_status status = CE_OK;
    if (symlink(target, other) != 0 || rename(other, path) != 0) {
        status = cei_fail_errno(error, "make the link", path, errno);
        (void)unlink(other);
    }
    cei_free(other);
    return status;
}

ce_status cei_cache_link(const char *snapshot, const char *file, const char *blob, ce_error *error) {
    /* SNAPSHOT is two folders below the repository's, and file may be in folders of its own. */
    char target[CEI_FILE_NAME_SIZE * 2] = "../../";
    size_t used = strlen(target);
    for (const char *slash = strchr(file, '/'); slash; slash = strchr(slash + 1, '/'))
        used += (size_t)snprintf(target + used, sizeof target - used, "../");
    snprintf(target + used, sizeof target - used, "blobs/%.64s", blob);
    char *path = cei_join_path(snapshot, file);
    if (!path) return cei_fail_memory(error, file, 0);
    ce_status status = CE_OK;
    if (!is_link_to(path, target)) status = cei_cache_make_parents(path, error);
    if (status == CE_OK && !is_link_to(path, target)) status = make_link(path, target, error);
    cei_free(path);
    return status;
}

/* Writes path under another name first, so that it is whole whenever it is there. */
static ce_status replace_file(const char *path, const char *text, ce_error *error) {
    char *other = cei_format_string("%s.%ld.tmp", path, (long)getpid());
    if (!other) return cei_fail_memory(error, path, 0);
    (void)unlink(other);
    ce_status status = cei_new_file_save(other, text, strlen(text), error);
    if (status == CE_OK && rename(other, path) != 0) status = cei_fail_errno(error, "write", path, errno);
    if (status != CE_OK) (void)unlink(other);
    cei_free(other);
    return status;
}

ce_status cei_cache_set_ref(const char *repository_folder, const char *revision, const char *commit, ce_error *error) {
    char known[LONGEST_REF + 1];
    char *path = cei_format_string("%s/refs/%s", repository_folder, revision);
    if (!path) return cei_fail_memory(error, "the path of a revision", 0);
    ce_status status = CE_OK;
    if (read_ref(path, known, NULL) != CE_OK || strcmp(known, commit) != 0) {
        status = cei_cache_make_parents(path, error);
        if (status == CE_OK) status = replace_file(path, commit, error);
    }
    cei_free(path);
    return status;
}

/* A file whose loss does no harm, so that nobody waits until it is on disk. */
static void make_file(const char *path, const char *text, size_t size) {
    cei_new_file file = {0};
    if (cei_file_exists(path) || cei_cache_make_parents(path, NULL) != CE_OK) return;
    if (cei_new_file_create(&file, path, NULL) == CE_OK) (void)cei_new_file_write(&file, 0, text, size, NULL);
    cei_new_file_close(&file);
}

void cei_cache_note_absent(const char *repository_folder, const char *commit, const char *file) {
    char *path = cei_format_string("%s/.no_exist/%s/%s", repository_folder, commit, file);
    if (path) make_file(path, "", 0);
    cei_free(path);
}

void cei_cache_tag(const char *cache) {
    /* The first line is the standard's, bford.info/cachedir. */
    static const char text[] = "Signature: 8a477f597d28d172789f06886806bc55\n# Models of the Hugging Face hub.\n";
    char *path = cei_join_path(cache, "CACHEDIR.TAG");
    if (path) make_file(path, text, sizeof text - 1);
    cei_free(path);
}
