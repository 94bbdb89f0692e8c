/* fetch.c - a file's way into the cache: asked for, fetched or gone on with, checked, named, linked. Relies on
 * client.h and cache.h. Nothing gets a blob's name before its bytes have that sum. */
#include "hub/fetch.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/new_file.h"
#include "hub/cache.h"
#include "hub/lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read back at a time, of what came earlier. */
enum { BLOCK = 256 << 10 };

/* ---- asking -------------------------------------------------------------------------------------------------- */

static char *url_of(const cei_hub_snapshot *snapshot, const char *name) {
    char *quoted = cei_http_quote(name, true);
    char *url = quoted ? cei_format_string("%s/%s/resolve/%s/%s", snapshot->client->settings->endpoint,
                                           snapshot->repository, snapshot->commit, quoted)
                       : NULL;
    cei_free(quoted);
    return url;
}

static ce_status take_reply(const cei_hub_snapshot *snapshot, const char *url, const cei_http_reply *reply,
                            cei_hub_file *file, ce_error *error) {
    const char *etag = *reply->linked_etag ? reply->linked_etag : reply->etag;
    bool is_linked = *reply->linked_etag && reply->has_linked_size;
    if (*reply->commit && strcmp(reply->commit, snapshot->commit) != 0)
        return cei_fail(error, CE_ERR_FORMAT, "%.300s is of commit %.40s: another one was asked for", url,
                        reply->commit);
    if (!cei_is_hex(etag, CEI_SHA1_DIGITS) && !cei_is_hex(etag, CEI_SHA256_DIGITS))
        return cei_fail(error, CE_ERR_FORMAT,
                        "%.250s: the hub names no sum to check the file by (ETag \"%.64s\"): is HF_ENDPOINT a hub?",
                        url, etag);
    if (!is_linked && !reply->has_length)
        return cei_fail(error, CE_ERR_FORMAT, "%.300s: the hub does not say how long the file is", url);
    memcpy(file->etag, etag, strlen(etag) + 1);
    file->size = is_linked ? reply->linked_size : reply->length;
    if (file->size > INT64_MAX) return cei_fail(error, CE_ERR_FORMAT, "%.300s: no file is so long", url);
    return CE_OK;
}

static char *blob_path(const cei_hub_snapshot *snapshot, const cei_hub_file *file, const char *ending) {
    return cei_format_string("%s/blobs/%s%s", snapshot->folder, file->etag, ending);
}

static uint64_t size_of(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (uint64_t)info.st_size : UINT64_MAX;
}

/* A blob of another size is the rest of some accident, and fetched anew. */
static bool has_size(const char *path, uint64_t size) { return size_of(path) == size; }

static ce_status look_for_blob(const cei_hub_snapshot *snapshot, cei_hub_file *file, ce_error *error) {
    char *blob = blob_path(snapshot, file, ""), *beginning = blob_path(snapshot, file, ".incomplete");
    bool found = blob && beginning;
    if (found) {
        uint64_t begun = size_of(beginning);
        file->is_here = has_size(blob, file->size);
        file->missing = file->is_here ? 0 : file->size - (begun <= file->size ? begun : 0);
    }
    cei_free(blob);
    cei_free(beginning);
    return found ? CE_OK : cei_fail_memory(error, file->name, 0);
}

ce_status cei_hub_file_ask(const cei_hub_snapshot *snapshot, const char *name, cei_hub_file *file, ce_error *error) {
    cei_http_reply *reply = cei_alloc_zeroed(1, sizeof *reply);
    char *url = url_of(snapshot, name);
    cei_hub_get get = {.url = url, .is_head = true};
    *file = (cei_hub_file){.name = name};
    ce_status status =
        reply && url ? cei_hub_client_get(snapshot->client, &get, reply, error) : cei_fail_memory(error, name, 0);
    if (status == CE_OK) status = take_reply(snapshot, url, reply, file, error);
    if (status == CE_OK) status = look_for_blob(snapshot, file, error);
    cei_free(url);
    cei_free(reply);
    return status;
}

/* ---- bytes --------------------------------------------------------------------------------------------------- */

typedef struct incoming {
    const cei_hub_snapshot *snapshot;
    const cei_hub_file *file;
    cei_new_file to;
    cei_digest digest;
    uint64_t have;      /* bytes in to, all of them in digest */
    uint64_t found;     /* of them, those that came before the last request */
    bool is_restarting; /* the reply to come begins at 0 */
} incoming;

/* Git's sum has the kind and the size of what it is of before it. */
static void begin_digest(incoming *self) {
    char head[32];
    bool is_git = strlen(self->file->etag) == CEI_SHA1_DIGITS;
    cei_digest_begin(&self->digest, is_git ? CEI_SHA1 : CEI_SHA256);
    int size = snprintf(head, sizeof head, "blob %" PRIu64, self->file->size);
    if (is_git) cei_digest_add(&self->digest, head, (size_t)size + 1);
}

static void count(incoming *self, uint64_t have) {
    self->snapshot->client->done += have - self->have; /* modulo 2^64: it may become less */
    self->have = have;
}

static ce_status restart(incoming *self, ce_error *error) {
    count(self, 0);
    self->found = 0;
    begin_digest(self);
    return cei_new_file_cut(&self->to, 0, error);
}

/* Takes the sum of what came earlier. */
static ce_status read_back(incoming *self, uint64_t bytes, ce_error *error) {
    unsigned char *block = cei_alloc(BLOCK, 1);
    ce_status status = block ? CE_OK : cei_fail_memory(error, self->file->name, BLOCK);
    while (status == CE_OK && self->have < bytes) {
        size_t part = bytes - self->have < BLOCK ? (size_t)(bytes - self->have) : BLOCK;
        status = cei_new_file_read(&self->to, self->have, block, part, error);
        if (status == CE_OK) cei_digest_add(&self->digest, block, part);
        if (status == CE_OK) count(self, self->have + part);
        if (status == CE_OK && !cei_hub_client_tick(self->snapshot->client)) status = cei_hub_fail_cancelled(error);
    }
    self->found = self->have;
    cei_free(block);
    return status;
}

/* A range that was asked for may be answered by all of it, and must not be by another one. */
static ce_status check_place(incoming *self, const cei_http_reply *reply, ce_error *error) {
    self->is_restarting = false;
    if (reply->status == 200) return self->have ? restart(self, error) : CE_OK;
    if (reply->has_range && reply->range_begin == self->have) return CE_OK;
    return cei_fail(error, CE_ERR_FORMAT, "%s of %s: the hub sends another part of the file than was asked for",
                    self->file->name, self->snapshot->client->model);
}

static void begin_body(void *user) {
    incoming *self = user;
    self->is_restarting = true;
    self->found = self->have;
}

static ce_status take_bytes(void *user, const cei_http_reply *reply, const void *data, size_t size, ce_error *error) {
    incoming *self = user;
    ce_status status = self->is_restarting ? check_place(self, reply, error) : CE_OK;
    if (status != CE_OK) return status;
    if (size > self->file->size - self->have)
        return cei_fail(error, CE_ERR_FORMAT, "%s of %s is longer than the %" PRIu64 " bytes that the hub says it has",
                        self->file->name, self->snapshot->client->model, self->file->size);
    status = cei_new_file_write(&self->to, self->have, data, size, error);
    if (status != CE_OK) return status;
    cei_digest_add(&self->digest, data, size);
    count(self, self->have + size);
    self->snapshot->client->received += size;
    return CE_OK;
}

static ce_status receive(incoming *self, ce_error *error) {
    cei_http_reply *reply = cei_alloc_zeroed(1, sizeof *reply);
    char *url = url_of(self->snapshot, self->file->name);
    cei_hub_get get = {.url = url, .offset = &self->have, .begin = begin_body, .body = take_bytes, .user = self};
    ce_status status = reply && url ? cei_hub_client_get(self->snapshot->client, &get, reply, error)
                                    : cei_fail_memory(error, self->file->name, 0);
    cei_free(url);
    cei_free(reply);
    if (status == CE_OK && self->have != self->file->size)
        status = cei_fail(error, CE_ERR_FORMAT, "%s of %s has %" PRIu64 " bytes, and the hub says that it has %" PRIu64,
                          self->file->name, self->snapshot->client->model, self->have, self->file->size);
    return status;
}

static bool has_sum(incoming *self) {
    char sum[CEI_DIGEST_SIZE];
    cei_digest digest = self->digest;
    cei_digest_end(&digest, sum);
    return self->have == self->file->size && strcmp(sum, self->file->etag) == 0;
}

static ce_status fail_sum(const incoming *self, ce_error *error) {
    return cei_fail(error, CE_ERR_FORMAT,
                    "%s of %s is not the file that the hub promises: its %s is another one. It is not kept; try again",
                    self->file->name, self->snapshot->client->model,
                    strlen(self->file->etag) == CEI_SHA1_DIGITS ? "git SHA-1" : "SHA-256");
}

static ce_status receive_and_check(incoming *self, ce_error *error) {
    ce_status status = self->have < self->file->size ? receive(self, error) : CE_OK;
    return status == CE_OK && !has_sum(self) ? fail_sum(self, error) : status;
}

/* Gets all bytes into self->to. What came earlier may be what is wrong, so then it is done once more without. */
static ce_status complete(incoming *self, uint64_t there, ce_error *error) {
    begin_digest(self);
    ce_status status = there <= self->file->size ? read_back(self, there, error) : restart(self, error);
    if (status == CE_OK) status = receive_and_check(self, error);
    if (status != CE_ERR_FORMAT || self->found == 0) return status;
    status = restart(self, error);
    return status == CE_OK ? receive_and_check(self, error) : status;
}

/* ---- the blob ------------------------------------------------------------------------------------------------ */

static ce_status fetch_into(incoming *self, const char *beginning, const char *blob, ce_error *error) {
    uint64_t there = 0;
    ce_status status = cei_cache_make_parents(blob, error);
    if (status == CE_OK) status = cei_new_file_resume(&self->to, beginning, &there, error);
    if (status == CE_OK) status = complete(self, there, error);
    if (status == CE_OK) status = cei_new_file_finish(&self->to, error);
    if (status == CE_OK && rename(beginning, blob) != 0) status = cei_fail_errno(error, "write", blob, errno);
    cei_new_file_close(&self->to);
    if (status == CE_ERR_FORMAT) (void)unlink(beginning);
    return status;
}

/* Somebody else may have fetched it while the lock was waited for. */
static ce_status fetch_locked(const cei_hub_snapshot *snapshot, cei_hub_file *file, const char *blob, ce_error *error) {
    incoming self = {.snapshot = snapshot, .file = file};
    if (has_size(blob, file->size)) {
        count(&self, file->size);
        file->is_here = true;
        return CE_OK;
    }
    char *beginning = blob_path(snapshot, file, ".incomplete");
    ce_status status = beginning ? fetch_into(&self, beginning, blob, error) : cei_fail_memory(error, file->name, 0);
    cei_free(beginning);
    return status;
}

static ce_status fetch_blob(const cei_hub_snapshot *snapshot, cei_hub_file *file, ce_error *error) {
    cei_hub_lock lock = {0};
    char *blob = blob_path(snapshot, file, "");
    char *path = cei_format_string("%s/%s.lock", snapshot->locks, file->etag);
    ce_status status =
        blob && path ? cei_hub_lock_take(&lock, path, snapshot->client, error) : cei_fail_memory(error, file->name, 0);
    if (status == CE_OK) status = fetch_locked(snapshot, file, blob, error);
    cei_hub_lock_release(&lock);
    cei_free(path);
    cei_free(blob);
    return status;
}

ce_status cei_hub_file_fetch(const cei_hub_snapshot *snapshot, cei_hub_file *file, ce_error *error) {
    ce_status status = file->is_here ? CE_OK : fetch_blob(snapshot, file, error);
    return status == CE_OK ? cei_cache_link(snapshot->path, file->name, file->etag, error) : status;
}
