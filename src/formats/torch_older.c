/* torch_older.c - five pickles in a row, and then numbers: a mark, a version, what the machine was like, the state
 * dict, and the keys of its storages; of each key, in that order, how many numbers there are, and these.
 *
 * Relies on pickle.c. What the pickles claim is checked against the bytes behind them. */
#include "formats/torch_older.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1001, COUNT_BYTES = 8 };

/* What is looked at for a pickle: the largest known ones have less than a megabyte. */
static const size_t max_pickle_bytes = (size_t)64 << 20;

typedef struct older_file {
    const uint8_t *data;
    size_t size, at;
    const char *path;
    ce_error *error;
    cei_pickle *pickle;
} older_file;

/* A storage, to be sorted by its key. */
typedef struct keyed {
    cei_pickle_text key;
    size_t index;
} keyed;

static ce_status damaged(const older_file *in, const char *what) {
    return cei_fail(in->error, CE_ERR_FORMAT, "%s is no file of torch.save, or damaged: %s", in->path, what);
}

bool cei_torch_is_older(const uint8_t *data, size_t size) {
    /* The number that marks such files, as a pickle begins with it. */
    static const uint8_t mark[] = {0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9};
    return size >= sizeof mark && memcmp(data, mark, sizeof mark) == 0;
}

/* The bytes that the next pickle may have. */
static size_t pickle_room(const older_file *in) { return cei_min_size(in->size - in->at, max_pickle_bytes); }

static ce_status read_number(older_file *in, const char *key, int64_t *number) {
    size_t used = 0;
    ce_status status =
        cei_pickle_read_number(in->data + in->at, pickle_room(in), in->path, key, number, &used, in->error);
    in->at += used;
    return status;
}

static ce_status read_head(older_file *in) {
    int64_t mark, version, little = -1;
    ce_status status = read_number(in, "", &mark);
    if (status == CE_OK) status = read_number(in, "", &version);
    if (status == CE_OK) status = read_number(in, "little_endian", &little);
    if (status != CE_OK) return status;
    if (version != VERSION)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s is of version %lld of torch's older form, and crossenc reads %d", in->path,
                        (long long)version, VERSION);
    if (little == 1) return CE_OK;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                    "%s was not written by a little-endian machine, as crossenc reads them", in->path);
}

/* ---- storages ---- */

static int compare_keys(const void *left, const void *right) {
    const cei_pickle_text *a = &((const keyed *)left)->key, *b = &((const keyed *)right)->key;
    if (a->size != b->size) return a->size < b->size ? -1 : 1;
    return a->size ? memcmp(a->data, b->data, a->size) : 0;
}

/* The storages by their keys; NULL if there is no memory. */
static keyed *sort_storages(const cei_pickle *pickle) {
    keyed *sorted = cei_alloc(pickle->storage_count, sizeof *sorted);
    if (!sorted) return NULL;
    for (size_t i = 0; i < pickle->storage_count; i++) sorted[i] = (keyed){pickle->storages[i].key, i};
    if (pickle->storage_count > 0) qsort(sorted, pickle->storage_count, sizeof *sorted, compare_keys);
    return sorted;
}

/* The first of the storages of that key; storage_count if there is none. */
static size_t find_key(const older_file *in, const keyed *sorted, const cei_pickle_text *key) {
    const keyed want = {*key, 0};
    size_t first = 0, end = in->pickle->storage_count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (compare_keys(&sorted[middle], &want) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    const bool found = first < in->pickle->storage_count && compare_keys(&sorted[first], &want) == 0;
    return found ? first : in->pickle->storage_count;
}

/* The numbers at in->at, which are those of a key. Each storage is described wherever a tensor lies in it. */
static ce_status place_storage(older_file *in, const keyed *sorted, const cei_pickle_text *key,
                               const uint8_t **places) {
    const cei_pickle_storage *storages = in->pickle->storages;
    size_t first = find_key(in, sorted, key);
    if (first == in->pickle->storage_count) return damaged(in, "it has numbers that no tensor has");
    const cei_pickle_storage *storage = &storages[sorted[first].index];
    uint64_t count = 0;
    if (places[sorted[first].index]) return damaged(in, "the numbers of a tensor are there twice");
    if (in->size - in->at < COUNT_BYTES) return damaged(in, "a tensor's numbers are not all in it");
    for (size_t i = 0; i < COUNT_BYTES; i++) count |= (uint64_t)in->data[in->at++] << 8 * i;
    if ((in->size - in->at) / storage->element < count) return damaged(in, "a tensor's numbers are not all in it");
    for (; first < in->pickle->storage_count && compare_keys(&sorted[first], &(keyed){*key, 0}) == 0; first++) {
        const cei_pickle_storage *same = &storages[sorted[first].index];
        if (same->count != count || same->element != storage->element)
            return damaged(in, "the numbers of a tensor are more or less than it says");
        places[sorted[first].index] = in->data + in->at;
    }
    in->at += (size_t)count * storage->element;
    return CE_OK;
}

static ce_status place_all(older_file *in, const keyed *sorted, const uint8_t **places) {
    cei_pickle_text *keys = NULL;
    size_t count = 0, used = 0;
    ce_status status =
        cei_pickle_read_texts(in->data + in->at, pickle_room(in), in->path, &keys, &count, &used, in->error);
    in->at += used;
    for (size_t i = 0; i < count && status == CE_OK; i++) status = place_storage(in, sorted, &keys[i], places);
    cei_free(keys);
    for (size_t i = 0; i < in->pickle->storage_count && status == CE_OK; i++)
        if (!places[i]) status = damaged(in, "a tensor's numbers are not in it");
    return status == CE_OK && in->at != in->size ? damaged(in, "there is something behind its numbers") : status;
}

ce_status cei_torch_older_read(const uint8_t *data, size_t size, const char *path, cei_pickle *pickle,
                               const uint8_t ***places, ce_error *error) {
    older_file in = {data, size, 0, path, error, pickle};
    size_t used = 0;
    ce_status status = read_head(&in);
    if (status == CE_OK) status = cei_pickle_read(data + in.at, pickle_room(&in), path, pickle, &used, error);
    in.at += used;
    if (status != CE_OK) return status;
    keyed *sorted = sort_storages(pickle);
    *places = cei_alloc_zeroed(pickle->storage_count, sizeof **places);
    status = sorted && *places ? place_all(&in, sorted, *places) : cei_fail_memory(error, path, 0);
    cei_free(sorted);
    return status;
}
