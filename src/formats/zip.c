/* zip.c - reads the central directory of an archive, which lies at its end, and finds each file by it.
 *
 * Numbers and sizes of records are those of the format's specification. Every place that a record gives is checked
 * against the archive's size before it is looked at. */
#include "formats/zip.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    MAX_COMMENT = 65535,
    ENCRYPTED = 1,
    ZIP64_EXTRA = 1
};
#define END_MARK UINT32_C(0x06054B50)
#define END64_MARK UINT32_C(0x06064B50)
#define LOCATOR_MARK UINT32_C(0x07064B50)
#define CENTRAL_MARK UINT32_C(0x02014B50)
#define LOCAL_MARK UINT32_C(0x04034B50)

typedef struct archive {
    const uint8_t *data;
    size_t size;
    const char *path;
    ce_error *error;
} archive;

/* Where the list of files is. */
typedef struct directory {
    uint64_t offset, size, count;
} directory;

static uint64_t number(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static ce_status damaged(const archive *in, const char *what) {
    return cei_fail(in->error, CE_ERR_FORMAT, "%s is a damaged archive: %s", in->path, what);
}

/* The size bytes at offset; NULL if they are not all there, or don't begin with the mark. */
static const uint8_t *record(const archive *in, uint64_t offset, size_t size, uint32_t mark) {
    if (offset > in->size || in->size - offset < size) return NULL;
    const uint8_t *at = in->data + offset;
    return number(at, 4) == mark ? at : NULL;
}

/* ---- the end ---- */

/* The last record, behind which there may be a comment only. */
static bool find_end(const archive *in, uint64_t *offset) {
    if (in->size < END_SIZE) return false;
    for (size_t comment = 0; comment <= MAX_COMMENT && comment <= in->size - END_SIZE; comment++) {
        *offset = in->size - END_SIZE - comment;
        const uint8_t *end = record(in, *offset, END_SIZE, END_MARK);
        if (end && number(end + 20, 2) == comment) return true;
    }
    return false;
}

static ce_status find_directory(const archive *in, directory *found) {
    uint64_t offset;
    if (!find_end(in, &offset)) return damaged(in, "it has no end record, so it was cut off or is no archive");
    const uint8_t *end = in->data + offset;
    *found = (directory){number(end + 16, 4), number(end + 12, 4), number(end + 10, 2)};
    bool parts = number(end + 4, 2) != 0 || number(end + 6, 2) != 0;
    const uint8_t *locator =
        offset >= LOCATOR_SIZE ? record(in, offset - LOCATOR_SIZE, LOCATOR_SIZE, LOCATOR_MARK) : NULL;
    if (locator) {
        const uint8_t *end64 = record(in, number(locator + 8, 8), END64_SIZE, END64_MARK);
        if (!end64) return damaged(in, "its ZIP64 end record is not where it should be");
        *found = (directory){number(end64 + 48, 8), number(end64 + 40, 8), number(end64 + 32, 8)};
        parts = number(end64 + 16, 4) != 0 || number(end64 + 20, 4) != 0;
    }
    if (parts) return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s is one part of a larger archive", in->path);
    if (found->offset > offset || found->size > offset - found->offset || found->count > found->size / CENTRAL_SIZE)
        return damaged(in, "its list of files does not lie in it");
    return CE_OK;
}

/* ---- files ---- */

/* What the list says of a file. */
typedef struct listed {
    uint64_t packed, size, offset;
} listed;

/* Takes a number of 64 bits from the extra field where the list has no room for it. */
static bool widen(uint64_t *value, const uint8_t **extra, size_t *left) {
    if (*value != UINT32_MAX) return true;
    if (*left < 8) return false;
    *value = number(*extra, 8);
    *extra += 8;
    *left -= 8;
    return true;
}

static bool read_extra(listed *file, const uint8_t *extra, size_t size) {
    while (size >= 4) {
        const uint64_t id = number(extra, 2);
        size_t left = (size_t)number(extra + 2, 2);
        const uint8_t *at = extra + 4;
        if (left > size - 4) return false;
        extra += 4 + left;
        size -= 4 + left;
        if (id == ZIP64_EXTRA)
            return widen(&file->size, &at, &left) && widen(&file->packed, &at, &left) &&
                   widen(&file->offset, &at, &left);
    }
    return true;
}

/* The bytes of a file, whose own header has to have the same name. */
static ce_status find_bytes(const archive *in, const listed *file, cei_zip_entry *entry) {
    const uint8_t *local = record(in, file->offset, LOCAL_SIZE, LOCAL_MARK);
    if (!local) return damaged(in, "a file of it is not where the list says");
    const size_t name_size = (size_t)number(local + 26, 2), skip = name_size + (size_t)number(local + 28, 2);
    const uint64_t behind = in->size - file->offset - LOCAL_SIZE;
    if (skip > behind || file->size > behind - skip) return damaged(in, "a file of it is cut off");
    if (name_size != entry->name_size || memcmp(local + LOCAL_SIZE, entry->name, name_size) != 0)
        return damaged(in, "a file of it has another name than in the list");
    entry->data = local + LOCAL_SIZE + skip;
    entry->size = (size_t)file->size;
    return CE_OK;
}

static ce_status refuse(const archive *in, const cei_zip_entry *entry, const char *how) {
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: \"%.*s\" in the archive is %s, which crossenc does not read",
                    in->path, (int)(entry->name_size < 60 ? entry->name_size : 60), entry->name, how);
}

/* The file at *offset of the list, which moves behind it. */
static ce_status read_entry(const archive *in, uint64_t *offset, uint64_t end, cei_zip_entry *entry) {
    const uint8_t *at = record(in, *offset, CENTRAL_SIZE, CENTRAL_MARK);
    if (!at || end - *offset < CENTRAL_SIZE) return damaged(in, "its list of files breaks off");
    const size_t name = (size_t)number(at + 28, 2), extra = (size_t)number(at + 30, 2);
    const size_t all = CENTRAL_SIZE + name + extra + (size_t)number(at + 32, 2);
    if (all > end - *offset) return damaged(in, "its list of files breaks off");
    listed file = {number(at + 20, 4), number(at + 24, 4), number(at + 42, 4)};
    *entry = (cei_zip_entry){.name = (const char *)at + CENTRAL_SIZE, .name_size = name};
    if (!read_extra(&file, at + CENTRAL_SIZE + name, extra)) return damaged(in, "an extra field is cut off");
    if (number(at + 8, 2) & ENCRYPTED) return refuse(in, entry, "encrypted");
    if (number(at + 10, 2) != 0 || file.packed != file.size) return refuse(in, entry, "compressed");
    *offset += all;
    return find_bytes(in, &file, entry);
}

static int compare_text(const char *a, size_t a_size, const char *b, size_t b_size) {
    const size_t common = a_size < b_size ? a_size : b_size;
    const int order = common ? memcmp(a, b, common) : 0;
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_entries(const void *left, const void *right) {
    const cei_zip_entry *a = left, *b = right;
    return compare_text(a->name, a->name_size, b->name, b->name_size);
}

static ce_status read_entries(const archive *in, const directory *list, cei_zip *zip) {
    uint64_t offset = list->offset;
    for (uint64_t i = 0; i < list->count; i++) {
        ce_status status = read_entry(in, &offset, list->offset + list->size, &zip->entries[i]);
        if (status != CE_OK) return status;
        zip->count++;
    }
    if (zip->count > 0) qsort(zip->entries, zip->count, sizeof *zip->entries, compare_entries);
    for (size_t i = 1; i < zip->count; i++)
        if (compare_entries(&zip->entries[i - 1], &zip->entries[i]) == 0) return damaged(in, "a name comes twice");
    return CE_OK;
}

ce_status cei_zip_open(const uint8_t *data, size_t size, const char *path, cei_zip *zip, ce_error *error) {
    const archive in = {data, size, path, error};
    directory list = {0};
    *zip = (cei_zip){0};
    ce_status status = find_directory(&in, &list);
    if (status != CE_OK) return status;
    zip->entries = cei_alloc((size_t)list.count, sizeof *zip->entries);
    if (!zip->entries) return cei_fail_memory(error, path, 0);
    status = read_entries(&in, &list, zip);
    if (status != CE_OK) cei_zip_close(zip);
    return status;
}

void cei_zip_close(cei_zip *zip) {
    cei_free(zip->entries);
    *zip = (cei_zip){0};
}

/* Like compare_text, of a name in two pieces. */
static int compare_pieces(const cei_zip_entry *entry, const char *prefix, size_t prefix_size, const char *name,
                          size_t name_size) {
    if (entry->name_size < prefix_size) return compare_text(prefix, prefix_size, entry->name, entry->name_size);
    const int order = prefix_size ? memcmp(prefix, entry->name, prefix_size) : 0;
    return order ? order : compare_text(name, name_size, entry->name + prefix_size, entry->name_size - prefix_size);
}

const cei_zip_entry *cei_zip_find(const cei_zip *zip, const char *prefix, size_t prefix_size, const char *name,
                                  size_t name_size) {
    size_t first = 0, end = zip->count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        const int order = compare_pieces(&zip->entries[middle], prefix, prefix_size, name, name_size);
        if (order == 0) return &zip->entries[middle];
        if (order < 0)
            end = middle;
        else
            first = middle + 1;
    }
    return NULL;
}
