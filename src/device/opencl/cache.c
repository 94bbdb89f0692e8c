/* cache.c - programs that were built before, in the user's cache folder: one file for each device, driver and source.
 *
 * What is there may be of any age and broken in any way: it counts only if it is whole and of the very key that is
 * asked for. Without a folder, or one that cannot be written, programs are built each time. */
#include "device/opencl/opencl.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/new_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 64 << 20, MOST_PATH = 1024 };

/* The file is a header, the key, the binary; in the machine's own byte order, as no other machine reads it. */
typedef struct cache_header {
    char magic[8];
    uint64_t key_size, tile, binary_size;
    uint64_t hash; /* of all that follows the magic, itself aside */
} cache_header;
static const char magic[8] = {'C', 'E', 'O', 'P', 'N', 'C', 'L', '1'};

static const uint64_t prime = UINT64_C(0x100000001B3);

/* FNV-1a (Fowler, Noll, Vo 1991). */
uint64_t cei_opencl_hash(uint64_t hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * prime;
    return hash;
}

static uint64_t hash_of(const cache_header *header, const void *key, const void *binary) {
    const uint64_t sizes[] = {header->key_size, header->tile, header->binary_size};
    uint64_t hash = CEI_OPENCL_HASH;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) hash = (hash ^ sizes[i]) * prime;
    hash = cei_opencl_hash(hash, key, header->key_size);
    return cei_opencl_hash(hash, binary, header->binary_size);
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

/* The folder of all caches (XDG Base Directory Specification): a relative path counts as none. */
static bool find_folder(char folder[MOST_PATH]) {
    const char *cache = cei_opencl_setting("XDG_CACHE_HOME"), *home = cei_opencl_setting("HOME");
    int written = 0;
    if (cache && *cache == '/')
        written = snprintf(folder, MOST_PATH, "%s", cache);
    else if (home && *home == '/')
        written = snprintf(folder, MOST_PATH, "%s/.cache", home);
    return written > 0 && written < MOST_PATH;
}

/* The path of a key's file; false if there is no folder for it. */
static bool find_path(const cei_opencl_cached *cached, char path[MOST_PATH]) {
    char folder[MOST_PATH];
    if (!find_folder(folder)) return false;
    const uint64_t hash = cei_opencl_hash(CEI_OPENCL_HASH, cached->key, cached->key_size);
    const int written = snprintf(path, MOST_PATH, "%s/crossenc/opencl-%016llx.bin", folder, (unsigned long long)hash);
    return written > 0 && written < MOST_PATH;
}

/* Makes the folder of all caches and ours in it; what cannot be made shows when the file cannot. */
static void make_folders(void) {
    char folder[MOST_PATH], own[MOST_PATH + 16];
    if (!find_folder(folder)) return;
    (void)mkdir(folder, 0700);
    snprintf(own, sizeof own, "%s/crossenc", folder);
    (void)mkdir(own, 0700);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Takes a file apart; false if it is not whole, or not of this key. */
static bool take_apart(const char *data, size_t size, cei_opencl_cached *cached) {
    cache_header header;
    if (size < sizeof header) return false;
    memcpy(&header, data, sizeof header);
    if (memcmp(header.magic, magic, sizeof magic) != 0 || header.key_size != cached->key_size) return false;
    const size_t left = size - sizeof header;
    if (left < header.key_size || left - header.key_size != header.binary_size || header.binary_size == 0) return false;
    const char *key = data + sizeof header, *binary = key + header.key_size;
    if (memcmp(key, cached->key, cached->key_size) != 0 || hash_of(&header, key, binary) != header.hash) return false;
    cached->binary = cei_alloc(header.binary_size, 1);
    if (!cached->binary) return false;
    memcpy(cached->binary, binary, header.binary_size);
    cached->binary_size = header.binary_size;
    cached->tile = header.tile;
    return true;
}

bool cei_opencl_cache_read(const cei_log *log, cei_opencl_cached *cached) {
    char path[MOST_PATH], *data = NULL;
    size_t size = 0;
    ce_error error = {0};
    if (!find_path(cached, path) || !cei_file_exists(path)) return false;
    if (cei_read_file(path, MOST_BYTES, &data, &size, &error) != CE_OK) {
        cei_log_line(log, CE_LOG_INFO, "kernels are built anew: %s", error.message);
        return false;
    }
    const bool is_good = take_apart(data, size, cached);
    cei_free(data);
    if (!is_good) cei_log_line(log, CE_LOG_INFO, "kernels are built anew: %s is damaged, or another device's", path);
    return is_good;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static char *put_together(const cei_opencl_cached *cached, size_t *size) {
    cache_header header = {{0}, cached->key_size, cached->tile, cached->binary_size, 0};
    if (!cei_add_size(sizeof header + cached->key_size, cached->binary_size, size) || *size > MOST_BYTES) return NULL;
    char *data = cei_alloc(*size, 1);
    if (!data) return NULL;
    memcpy(header.magic, magic, sizeof magic);
    header.hash = hash_of(&header, cached->key, cached->binary);
    memcpy(data, &header, sizeof header);
    memcpy(data + sizeof header, cached->key, cached->key_size);
    memcpy(data + sizeof header + cached->key_size, cached->binary, cached->binary_size);
    return data;
}

/* Under another name first, so that nobody reads half a file. */
static ce_status save(const char *path, const char *data, size_t size, ce_error *error) {
    char other[MOST_PATH + 64];
    snprintf(other, sizeof other, "%s.%ld-%.0f", path, (long)getpid(), cei_now_ms() * 1e6);
    ce_status status = cei_new_file_save(other, data, size, error);
    if (status == CE_OK && rename(other, path) != 0) status = cei_fail_errno(error, "write", path, errno);
    if (status != CE_OK) (void)unlink(other);
    return status;
}

void cei_opencl_cache_write(const cei_log *log, const cei_opencl_cached *cached) {
    char path[MOST_PATH];
    size_t size = 0;
    ce_error error = {0};
    if (!find_path(cached, path)) return;
    char *data = put_together(cached, &size);
    if (!data) return;
    make_folders();
    if (save(path, data, size, &error) != CE_OK)
        cei_log_line(log, CE_LOG_WARNING, "built kernels are not kept for the next time: %s", error.message);
    cei_free(data);
}

void cei_opencl_cached_free(cei_opencl_cached *cached) {
    cei_free(cached->key);
    cei_free(cached->binary);
    *cached = (cei_opencl_cached){0};
}
