/* torch_file.c - pytorch_model.bin: an archive of stored files, of which data.pkl lists the tensors and data/KEY holds
 * the bytes of each storage.
 *
 * Relies on zip.c and pickle.c, which check their formats, and on torch_older.c for files that are no archives. Must
 * copy no tensor, and run nothing. */
#include "formats/torch_file.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "formats/pickle.h"
#include "formats/torch_older.h"
#include "formats/zip.h"

#include <string.h>

/* The pickle lists tensors; the largest known ones have less than a megabyte. */
static const size_t max_pickle_bytes = (size_t)64 << 20;

typedef struct torch_file {
    const char *path;
    ce_error *error;
    cei_zip zip;
    const char *folder; /* of the archive, in which all files are: "archive/", without a NUL behind */
    size_t folder_size;
    cei_pickle pickle;
} torch_file;

static ce_status damaged(const torch_file *in, const char *what) {
    return cei_fail(in->error, CE_ERR_FORMAT, "%s is no file of torch.save, or damaged: %s", in->path, what);
}

/* ---- the archive ---- */

/* The one file FOLDER/data.pkl, which says what the folder is. */
static ce_status find_pickle(torch_file *in, const cei_zip_entry **found) {
    static const char name[] = "/data.pkl";
    const size_t length = sizeof name - 1;
    *found = NULL;
    for (size_t i = 0; i < in->zip.count; i++) {
        const cei_zip_entry *entry = &in->zip.entries[i];
        if (entry->name_size <= length || memcmp(entry->name + entry->name_size - length, name, length) != 0) continue;
        if (memchr(entry->name, '/', entry->name_size - length)) continue;
        if (*found) return damaged(in, "it has more than one data.pkl");
        *found = entry;
    }
    if (!*found) return damaged(in, "it has no data.pkl");
    in->folder = (*found)->name;
    in->folder_size = (*found)->name_size - length + 1;
    if ((*found)->size <= max_pickle_bytes) return CE_OK;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: its data.pkl has %zu bytes, and may have %zu", in->path,
                    (*found)->size, max_pickle_bytes);
}

/* Older files don't say it, and were written where all are little-endian. */
static ce_status check_byte_order(const torch_file *in) {
    static const char want[] = "little";
    const cei_zip_entry *order = cei_zip_find(&in->zip, in->folder, in->folder_size, "byteorder", 9);
    if (!order || (order->size == sizeof want - 1 && memcmp(order->data, want, sizeof want - 1) == 0)) return CE_OK;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: its byte order is \"%.*s\", and crossenc reads \"little\"",
                    in->path, (int)(order->size < 20 ? order->size : 20), (const char *)order->data);
}

static ce_status read_pickle(torch_file *in) {
    const cei_zip_entry *pickle;
    size_t used = 0;
    ce_status status = find_pickle(in, &pickle);
    if (status == CE_OK) status = check_byte_order(in);
    if (status == CE_OK) status = cei_pickle_read(pickle->data, pickle->size, in->path, &in->pickle, &used, in->error);
    return status == CE_OK && used != pickle->size ? damaged(in, "there is something behind its pickle") : status;
}

/* ---- tensors ---- */

/* Where the bytes of each storage are, which are files data/KEY of the folder. */
static ce_status find_storages(const torch_file *in, const uint8_t **places) {
    const size_t size = in->folder_size + 5;
    char *prefix = cei_alloc(size, 1);
    if (!prefix) return cei_fail_memory(in->error, in->path, size);
    memcpy(prefix, in->folder, in->folder_size);
    memcpy(prefix + in->folder_size, "data/", 5);
    ce_status status = CE_OK;
    for (size_t i = 0; i < in->pickle.storage_count && status == CE_OK; i++) {
        const cei_pickle_storage *storage = &in->pickle.storages[i];
        const cei_zip_entry *entry = cei_zip_find(&in->zip, prefix, size, storage->key.data, storage->key.size);
        if (!entry)
            status = damaged(in, "a tensor's numbers are not in it");
        else if (entry->size / storage->element < storage->count)
            status = damaged(in, "a tensor's numbers are not all in it");
        else
            places[i] = entry->data;
    }
    cei_free(prefix);
    return status;
}

static ce_status check_name(const torch_file *in, cei_pickle_text name) {
    const unsigned char *text = (const unsigned char *)name.data;
    for (size_t at = 0, length; at < name.size; at += length) {
        length = cei_utf8_sequence(text + at, name.size - at);
        if (length == 0 || text[at] == '\0')
            return damaged(in, "the name of a tensor is not UTF-8, or has a NUL in it");
    }
    return CE_OK;
}

static cei_tensor describe(const torch_file *in, const cei_pickle_tensor *from, const uint8_t *const *places,
                           const char *name) {
    const cei_pickle_storage *storage = &in->pickle.storages[from->storage];
    cei_tensor to = {.name = name, .dtype = storage->dtype, .rank = from->rank, .count = from->count};
    memcpy(to.shape, from->shape, sizeof to.shape);
    to.data = places[from->storage] + from->first * storage->element;
    to.bytes = from->count * storage->element;
    return to;
}

static ce_status list_tensors(const torch_file *in, const uint8_t *const *places, cei_header *header) {
    size_t bytes = 1;
    for (size_t i = 0; i < in->pickle.count; i++) bytes += in->pickle.tensors[i].name.size + 1;
    header->tensors = cei_alloc(in->pickle.count, sizeof *header->tensors);
    header->names = cei_alloc(bytes, 1);
    if (!header->tensors || !header->names) return cei_fail_memory(in->error, in->path, 0);
    char *at = header->names;
    for (size_t i = 0; i < in->pickle.count; i++) {
        const cei_pickle_tensor *tensor = &in->pickle.tensors[i];
        ce_status status = check_name(in, tensor->name);
        if (status != CE_OK) return status;
        memcpy(at, tensor->name.data, tensor->name.size);
        at[tensor->name.size] = '\0';
        header->tensors[header->count++] = describe(in, tensor, places, at);
        at += tensor->name.size + 1;
    }
    return CE_OK;
}

/* The tensors' names and where their bytes are, of an archive. */
static ce_status read_archive(torch_file *in, const uint8_t *data, size_t size, const uint8_t ***places) {
    if (size < 4 || memcmp(data, "PK\x03\x04", 4) != 0) return damaged(in, "it is no archive");
    ce_status status = cei_zip_open(data, size, in->path, &in->zip, in->error);
    if (status == CE_OK) status = read_pickle(in);
    if (status != CE_OK) return status;
    *places = cei_alloc(in->pickle.storage_count, sizeof **places);
    return *places ? find_storages(in, *places) : cei_fail_memory(in->error, in->path, 0);
}

ce_status cei_torch_parse(const uint8_t *data, size_t size, const char *path, cei_header *header, ce_error *error) {
    torch_file in = {.path = path, .error = error};
    const uint8_t **places = NULL;
    *header = (cei_header){0};
    ce_status status = cei_torch_is_older(data, size)
                           ? cei_torch_older_read(data, size, path, &in.pickle, &places, error)
                           : read_archive(&in, data, size, &places);
    if (status == CE_OK) status = list_tensors(&in, places, header);
    cei_free((void *)places);
    cei_pickle_free(&in.pickle);
    cei_zip_close(&in.zip);
    if (status != CE_OK) cei_header_free(header);
    return status;
}
