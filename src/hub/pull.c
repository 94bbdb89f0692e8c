/* pull.c - which files a model has, which of them are wanted, and all of these into a snapshot. Relies on listing.h for
 * what is wanted and on fetch.h for each file. Files that say which others are wanted come first, weights last; the
 * revision's ref is written when all are there. */
#include "hub/pull.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/model_files.h"
#include "hub/cache.h"
#include "hub/fetch.h"
#include "hub/listing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

typedef struct pull {
    cei_hub_client *client;
    const cei_model_name *name;
    ce_hub_report *report;
    cei_listing listing;
    cei_file_list folders; /* of modules; "" is the model's own */
    cei_file_list wanted;
    bool has_weights;
    cei_model_name base; /* of an adapter, the model that it changes; its repository is "" for none */
    cei_hub_file *files; /* [wanted.count] */
    char *folder, *locks, *path;
    cei_hub_snapshot snapshot;
} pull;

/* ---- what the hub has ---------------------------------------------------------------------------------------- */

static ce_status list_files(pull *self, ce_error *error) {
    char *revision = cei_http_quote(self->name->revision, false), *data = NULL;
    char *url = revision ? cei_format_string("%s/api/models/%s/revision/%s", self->client->settings->endpoint,
                                             self->name->repository, revision)
                         : NULL;
    size_t size = 0;
    ce_status status = url ? cei_hub_client_text(self->client, url, CEI_LISTING_LIMIT, &data, &size, error)
                           : cei_fail_memory(error, self->name->repository, 0);
    if (status == CE_OK) status = cei_listing_parse(data, size, url, &self->listing, error);
    cei_free(data);
    cei_free(url);
    cei_free(revision);
    const char *today = self->listing.repository;
    if (status == CE_OK && *today && strcmp(today, self->name->repository) != 0)
        cei_log_line(&self->client->settings->log, CE_LOG_WARNING, "%s is called %s now", self->name->repository,
                     today);
    return status;
}

static ce_status begin_snapshot(pull *self, ce_error *error) {
    const char *cache = self->client->settings->cache;
    self->folder = cei_cache_repository(cache, self->name->repository);
    if (self->folder) self->locks = cei_format_string("%s/.locks%s", cache, strrchr(self->folder, '/'));
    if (self->folder) self->path = cei_format_string("%s/snapshots/%s", self->folder, self->listing.commit);
    if (!self->locks || !self->path) return cei_fail_memory(error, self->name->repository, 0);
    self->snapshot = (cei_hub_snapshot){
        self->client, self->name->repository, self->listing.commit, self->folder, self->locks, self->path};
    ce_status status = cei_cache_make_folders(self->path, error);
    if (status == CE_OK) cei_cache_tag(cache);
    return status;
}

/* ---- which files are wanted ---------------------------------------------------------------------------------- */

/* Fetches a file that tells of others, and reads it. */
static ce_status read_small(pull *self, const char *name, char **data, size_t *size, ce_error *error) {
    cei_hub_file file;
    ce_status status = cei_hub_file_ask(&self->snapshot, name, &file, error);
    if (status == CE_OK && file.size > CEI_LISTING_LIMIT)
        status = cei_fail(error, CE_ERR_FORMAT,
                          "%s of %s has %" PRIu64 " bytes, more than the %d that such a file may "
                          "have",
                          name, self->client->model, file.size, CEI_LISTING_LIMIT);
    if (status == CE_OK && !file.is_here) self->client->total += file.size;
    if (status == CE_OK) status = cei_hub_file_fetch(&self->snapshot, &file, error);
    char *path = status == CE_OK ? cei_join_path(self->path, name) : NULL;
    if (status == CE_OK)
        status = path ? cei_read_file(path, CEI_LISTING_LIMIT, data, size, error) : cei_fail_memory(error, name, 0);
    if (status == CE_OK && !file.is_here) self->report->files_fetched++;
    cei_free(path);
    return status;
}

static ce_status find_folders(pull *self, ce_error *error) {
    char *data = NULL;
    size_t size = 0;
    if (!cei_file_list_add(&self->folders, "")) return cei_fail_memory(error, self->client->model, 0);
    if (!cei_listing_has(&self->listing, "modules.json")) return CE_OK;
    ce_status status = read_small(self, "modules.json", &data, &size, error);
    if (status == CE_OK) status = cei_listing_modules(data, size, "modules.json", &self->folders, error);
    cei_free(data);
    return status;
}

static bool is_listed(const void *where, const char *folder, const char *name) {
    const pull *self = where;
    char path[2 * CEI_FILE_NAME_SIZE];
    snprintf(path, sizeof path, "%s%s", folder, name);
    return cei_listing_has(&self->listing, path);
}

static ce_status want_shards(pull *self, const char *index, const char *folder, ce_error *error) {
    char *data = NULL;
    size_t size = 0, before = self->wanted.count;
    ce_status status = read_small(self, index, &data, &size, error);
    if (status == CE_OK) status = cei_listing_shards(data, size, index, folder, &self->wanted, error);
    cei_free(data);
    for (size_t i = before; status == CE_OK && i < self->wanted.count; i++)
        if (!cei_listing_has(&self->listing, self->wanted.names[i]))
            status = cei_fail(error, CE_ERR_FORMAT, "%s of %s names %s, which is not there", index, self->client->model,
                              self->wanted.names[i]);
    return status;
}

static ce_status want_weights(pull *self, const char *folder, ce_error *error) {
    bool is_index = false;
    const char *name = cei_listing_weights(is_listed, self, folder, &is_index);
    if (!name) return CE_OK;
    self->has_weights = true;
    char *path = cei_format_string("%s%s", folder, name);
    ce_status status = path && cei_file_list_add(&self->wanted, path) ? CE_OK : cei_fail_memory(error, name, 0);
    if (status == CE_OK && is_index) status = want_shards(self, path, folder, error);
    cei_free(path);
    return status;
}

/* A repository of GGUF files has the same model in many sizes: which is wanted only the user knows. */
static ce_status check_gguf(const pull *self, ce_error *error) {
    const char *first = NULL;
    const size_t count = cei_listing_gguf(&self->listing, &first);
    if (self->has_weights || count == 0) return CE_OK;
    return cei_fail(error, CE_ERR_NOT_FOUND,
                    "%s has its weights as GGUF alone, in %zu files (%.100s): crossenc reads such files and does not "
                    "choose among them. Fetch the one that is wanted, and give its path as the model",
                    self->client->model, count, first);
}

/* A repository without a model's weights may be an adapter's. */
static ce_status want_adapter(pull *self, ce_error *error) {
    static const char config[] = "adapter_config.json";
    const char *weights = self->has_weights ? NULL : cei_listing_adapter(is_listed, self);
    char *data = NULL;
    size_t size = 0;
    if (!weights) return CE_OK;
    self->has_weights = true;
    if (!cei_file_list_add(&self->wanted, config) || !cei_file_list_add(&self->wanted, weights))
        return cei_fail_memory(error, self->client->model, 0);
    ce_status status = read_small(self, config, &data, &size, error);
    if (status == CE_OK) status = cei_listing_base(data, size, config, &self->base, error);
    cei_free(data);
    if (status == CE_OK && !*self->base.repository)
        cei_log_line(
            &self->client->settings->log, CE_LOG_WARNING,
            "%s is an adapter, and the model that it changes has no name of the hub: give that model, and this "
            "as its adapter",
            self->client->model);
    return status;
}

static ce_status choose_files(pull *self, bool is_base, ce_error *error) {
    ce_status status = find_folders(self, error);
    for (size_t i = 0; status == CE_OK && i < self->folders.count; i++)
        if (!cei_listing_want(&self->listing, self->folders.names[i], &self->wanted))
            status = cei_fail_memory(error, self->client->model, 0);
    for (size_t i = 0; status == CE_OK && i < self->folders.count; i++)
        status = want_weights(self, self->folders.names[i], error);
    if (status == CE_OK && !is_base) status = want_adapter(self, error);
    if (status == CE_OK) status = check_gguf(self, error);
    if (status != CE_OK || self->wanted.count) return status;
    return cei_fail(error, CE_ERR_NOT_FOUND, "%s has no file of a model that crossenc could use", self->client->model);
}

/* ---- all of them --------------------------------------------------------------------------------------------- */

static ce_status ask_all(pull *self, ce_error *error) {
    ce_status status = CE_OK;
    self->files = cei_alloc_zeroed(self->wanted.count, sizeof *self->files);
    if (!self->files) return cei_fail_memory(error, self->client->model, 0);
    for (size_t i = 0; status == CE_OK && i < self->wanted.count; i++) {
        cei_hub_file *file = &self->files[i];
        status = cei_hub_file_ask(&self->snapshot, self->wanted.names[i], file, error);
        if (status == CE_OK && file->size > UINT64_MAX / 2 - self->report->bytes)
            status = cei_fail(error, CE_ERR_FORMAT, "the files of %s are longer than can be", self->client->model);
        if (status != CE_OK) break;
        self->report->bytes += file->size;
        if (!file->is_here) self->client->total += file->size;
    }
    return status;
}

static ce_status check_room(const pull *self, ce_error *error) {
    struct statvfs disk;
    uint64_t need = 0;
    for (size_t i = 0; i < self->wanted.count; i++) need += self->files[i].missing;
    /* Without an answer the disk will say by itself that it is full. */
    if (statvfs(self->folder, &disk) != 0 || disk.f_frsize == 0) return CE_OK;
    uint64_t blocks = need / disk.f_frsize + 1;
    if (need == 0 || blocks <= disk.f_bavail) return CE_OK;
    return cei_fail(error, CE_ERR_IO,
                    "%s needs %" PRIu64 " MB more in %s, where %" PRIu64 " MB are free: make room, or set HF_HUB_CACHE "
                    "to a folder on another disk",
                    self->client->model, need / 1000000 + 1, self->client->settings->cache,
                    (uint64_t)disk.f_bavail * disk.f_frsize / 1000000);
}

static ce_status fetch_all(pull *self, ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; status == CE_OK && i < self->wanted.count; i++) {
        bool was_here = self->files[i].is_here;
        cei_log_line(&self->client->settings->log, CE_LOG_DEBUG, "%s: %s", self->files[i].name,
                     was_here ? "in the cache" : "fetching");
        status = cei_hub_file_fetch(&self->snapshot, &self->files[i], error);
        if (status == CE_OK && !self->files[i].is_here) self->report->files_fetched++;
    }
    return status;
}

/* Programs that share the cache need not ask for what is not there. */
static void note_absent(const pull *self) {
    const char *name;
    for (size_t i = 0; (name = cei_model_file(CEI_FILE_ANY, i)); i++)
        if (!cei_listing_has(&self->listing, name)) cei_cache_note_absent(self->folder, self->listing.commit, name);
}

static ce_status publish(pull *self, ce_error *error) {
    note_absent(self);
    memcpy(self->report->commit, self->listing.commit, sizeof self->listing.commit);
    if (strcmp(self->name->revision, self->listing.commit) == 0) return CE_OK;
    return cei_cache_set_ref(self->folder, self->name->revision, self->listing.commit, error);
}

static ce_status pull_all(pull *self, bool is_base, ce_error *error) {
    ce_status status = list_files(self, error);
    if (status == CE_OK) status = begin_snapshot(self, error);
    if (status == CE_OK) status = choose_files(self, is_base, error);
    if (status == CE_OK) status = ask_all(self, error);
    if (status == CE_OK) status = check_room(self, error);
    if (status == CE_OK) status = fetch_all(self, error);
    return status == CE_OK ? publish(self, error) : status;
}

/* One repository; base receives the name of the model that is to be fetched behind an adapter, or "". */
static ce_status pull_one(cei_hub_client *client, const cei_model_name *name, bool is_base, char **folder,
                          cei_model_name *base, ce_hub_report *report, ce_error *error) {
    char model[CEI_REPOSITORY_SIZE + CEI_REVISION_SIZE];
    pull self = {.client = client, .name = name, .report = report};
    snprintf(model, sizeof model, "%s%s%s", name->repository, name->has_revision ? "@" : "",
             name->has_revision ? name->revision : "");
    client->model = model;
    snprintf(report->repository, sizeof report->repository, "%s", name->repository);
    ce_status status = pull_all(&self, is_base, error);
    report->files = (uint32_t)self.wanted.count;
    *base = self.base;
    if (status == CE_OK) {
        *folder = self.path;
        self.path = NULL;
    }
    cei_listing_free(&self.listing);
    cei_file_list_free(&self.folders);
    cei_file_list_free(&self.wanted);
    cei_free(self.files);
    cei_free(self.folder);
    cei_free(self.locks);
    cei_free(self.path);
    client->model = "";
    return status;
}

/* An adapter's model, unless it is a folder here, which loading takes first. Its files count with the adapter's. */
static ce_status pull_base(cei_hub_client *client, const cei_model_name *base, ce_hub_report *report, ce_error *error) {
    ce_hub_report of_base = {.size = sizeof of_base};
    cei_model_name none;
    char *folder = NULL;
    ce_error why = {0};
    if (!*base->repository || cei_check_folder(base->repository, NULL) == CE_OK) return CE_OK;
    ce_status status = pull_one(client, base, true, &folder, &none, &of_base, &why);
    cei_free(folder);
    report->files += of_base.files;
    report->files_fetched += of_base.files_fetched;
    report->bytes += of_base.bytes;
    snprintf(report->base, sizeof report->base, "%s", base->repository);
    if (status == CE_OK) return CE_OK;
    return cei_fail(error, status, "%s is here, and the model that it changes is not: %s", report->repository,
                    why.message);
}

ce_status cei_hub_pull(cei_hub_client *client, const cei_model_name *name, char **folder, ce_hub_report *report,
                       ce_error *error) {
    cei_model_name base = {.repository = ""};
    char *path = NULL;
    ce_status status = pull_one(client, name, false, &path, &base, report, error);
    if (status == CE_OK) status = pull_base(client, &base, report, error);
    report->bytes_fetched = client->received;
    if (status == CE_OK)
        *folder = path;
    else
        cei_free(path);
    return status;
}
