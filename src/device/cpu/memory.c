/* memory.c - buffers of the cpu device, and how much memory there is. Relies on /proc/meminfo and the files of
 * control groups, each of which may be missing. */
#include "device/cpu/cpu.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Blocks of at least HUGE_FROM lie in huge pages where the system gives them: writing weights for the first time then
 * costs one page fault for 2 MiB instead of 512. */
enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 2 * HUGE_PAGE };

/* Blocks of at least this are mappings of their own. What the C library takes back from a program it may keep, with
 * what is in it, and weights must not stay in memory when their device was left. */
enum { MAPPED_FROM = 64 << 10 };

/* A sanitizer watches the C library's blocks, and no mapping. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MAPS_BLOCKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define MAPS_BLOCKS 0
#endif
#endif
#if !defined(MAPS_BLOCKS)
#define MAPS_BLOCKS 1
#endif

/* Blocks of at least this are not asked for when the system has less memory: it would grant them, and kill the
 * process when they are used. */
enum { CHECKED_FROM = 1 << 20 };

/* ---- how much there is -------------------------------------------------------------------------------------- */

/* The number behind key in a file of "key number" lines; an empty key is for a file that is a number alone. */
static bool read_number(const char *path, const char *key, uint64_t *value) {
    FILE *file = fopen(path, "re");
    if (!file) return false;
    const size_t length = strlen(key);
    bool found = false;
    char line[256];
    while (!found && fgets(line, sizeof line, file)) {
        unsigned long long number;
        found = strncmp(line, key, length) == 0 && sscanf(line + length, "%llu", &number) == 1;
        if (found) *value = number;
    }
    fclose(file);
    return found;
}

/* While the least is looked for, what is not known is this. */
static const uint64_t unknown = UINT64_MAX;

static void take_least(uint64_t *least, uint64_t value) {
    if (value < *least) *least = value;
}

/* The limit of the control group in folder, and what is left below it. Pages of files are given up when memory is
 * short, so they count as free. */
static void read_group(const char *folder, const char *limit_file, const char *used_file, uint64_t *total,
                       uint64_t *available) {
    char path[1280];
    uint64_t limit, used, files = 0, part;
    snprintf(path, sizeof path, "%s/%s", folder, limit_file);
    if (!read_number(path, "", &limit)) return;
    snprintf(path, sizeof path, "%s/%s", folder, used_file);
    if (!read_number(path, "", &used)) return;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (read_number(path, "inactive_file ", &part)) files += part;
    if (read_number(path, "active_file ", &part)) files += part;
    used -= files < used ? files : used;
    if (limit >= *total) return; /* no limit that matters */
    take_least(total, limit);
    take_least(available, limit > used ? limit - used : 0);
}

/* Version 2: the limits of the process's own group and of all above it hold. */
static void read_groups(const char *root, uint64_t *total, uint64_t *available) {
    char line[384], folder[1024];
    snprintf(folder, sizeof folder, "%s/proc/self/cgroup", root);
    FILE *file = fopen(folder, "re");
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::/", 4) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        char *group = line + 3, *slash;
        do {
            snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s", root, group);
            read_group(folder, "memory.max", "memory.current", total, available);
            slash = strrchr(group, '/');
            if (slash) *slash = '\0';
        } while (slash);
    }
    fclose(file);
    snprintf(folder, sizeof folder, "%s/sys/fs/cgroup/memory", root); /* version 1 */
    read_group(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", total, available);
}

void cei_cpu_memory_below(const char *root, uint64_t *total, uint64_t *available) {
    *total = *available = unknown;
    char path[512];
    uint64_t kib;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (read_number(path, "MemTotal:", &kib)) *total = kib * 1024;
    if (read_number(path, "MemAvailable:", &kib)) *available = kib * 1024;
    read_groups(root, total, available);
    if (*available > *total) *available = *total;
    if (*total == unknown) *total = *available = 0;
}

void cei_cpu_memory(uint64_t *total, uint64_t *available) { cei_cpu_memory_below("", total, available); }

/* ---- blocks ------------------------------------------------------------------------------------------------- */

static size_t page_size(void) {
    const long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (size_t)size : 4096;
}

/* bytes, up to the end of their last page or huge page. Far above what there can be it stays as it is, and fails. */
static size_t mapped_bytes(size_t bytes, size_t page) {
    return bytes < SIZE_MAX - page ? (bytes + page - 1) / page * page : bytes;
}

static void *map(size_t bytes) {
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block == MAP_FAILED ? NULL : block;
}

/* A mapping that begins and ends with a huge page: what is too much of a larger one goes back. */
static uint8_t *map_huge(size_t bytes) {
    const size_t wanted = mapped_bytes(bytes, HUGE_PAGE), spare = HUGE_PAGE;
    uint8_t *block = wanted < SIZE_MAX - spare ? map(wanted + spare) : NULL;
    if (!block) return NULL;
    const size_t before = (HUGE_PAGE - (uintptr_t)block % HUGE_PAGE) % HUGE_PAGE;
    if (before) munmap(block, before);
    if (before < spare) munmap(block + before + wanted, spare - before);
    return block + before;
}

void *cei_cpu_block_alloc(size_t bytes) {
    if (bytes < (MAPS_BLOCKS ? MAPPED_FROM : HUGE_FROM)) return cei_alloc_aligned(bytes, CEI_BUFFER_ALIGNMENT);
    if (bytes < HUGE_FROM) return map(mapped_bytes(bytes, page_size()));
    void *block = MAPS_BLOCKS ? map_huge(bytes) : cei_alloc_aligned(bytes, HUGE_PAGE);
#if defined(MADV_HUGEPAGE)
    /* Advice: where it is refused, pages are small and all else is the same. */
    if (block) (void)madvise(block, bytes / page_size() * page_size(), MADV_HUGEPAGE);
#endif
    return block;
}

void cei_cpu_block_free(void *block, size_t bytes) {
    if (!block) return;
    if (MAPS_BLOCKS && bytes >= MAPPED_FROM) {
        munmap(block, mapped_bytes(bytes, bytes < HUGE_FROM ? page_size() : HUGE_PAGE));
        return;
    }
    /* The C library may keep a freed block for later: its pages go back first. */
    if (bytes >= HUGE_FROM) (void)madvise(block, bytes / page_size() * page_size(), MADV_DONTNEED);
    cei_free(block);
}

ce_status cei_cpu_fail_memory(ce_error *error, const char *what, size_t bytes) {
    uint64_t total, available;
    cei_cpu_memory(&total, &available);
    return cei_fail(error, CE_ERR_DEVICE_MEMORY,
                    "the cpu device has not the memory for %s: %.1f MiB are needed, %.1f MiB of %.1f MiB are free",
                    what, (double)bytes / 1048576.0, (double)available / 1048576.0, (double)total / 1048576.0);
}

static bool is_available(size_t bytes) {
    if (bytes < CHECKED_FROM) return true;
    uint64_t total, available;
    cei_cpu_memory(&total, &available);
    return total == 0 || bytes <= available;
}

ce_status cei_cpu_buffer_create(cei_device *device, size_t bytes, cei_buffer **out, ce_error *error) {
    *out = NULL;
    cei_cpu_buffer *buffer = cei_alloc_zeroed(1, sizeof *buffer);
    if (!buffer) return cei_fail_memory(error, "a buffer", sizeof *buffer);
    *buffer = (cei_cpu_buffer){.base = {device, bytes}};
    if (is_available(bytes)) buffer->data = cei_cpu_block_alloc(bytes);
    if (!buffer->data) {
        cei_free(buffer);
        return cei_cpu_fail_memory(error, "a buffer", bytes);
    }
    *out = &buffer->base;
    return CE_OK;
}

void cei_cpu_buffer_free(cei_buffer *base) {
    if (!base) return;
    cei_cpu_buffer *buffer = (cei_cpu_buffer *)base;
    cei_cpu_block_free(buffer->data, base->bytes);
    cei_free(buffer);
}
