/* find.c - the folder of a model that is here, by its name. The one place where names are resolved. Relies on cache.h
 * and on the default model's place; never uses a network, and reads of a model's files the list of modules alone. */
#include <crossenc/hub.h>
#include <crossenc/model.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/model_files.h"
#include "hub/cache.h"
#include "hub/listing.h"
#include "hub/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096 };

typedef struct search {
    const char *name;
    ce_hub_options options;
    cei_model_name wanted;
    char *found; /* the folder, once there is one */
} search;

/* What is longer than any path of the system is no file. */
static bool is_file(const void *where, const char *folder, const char *name) {
    char path[PATH_SIZE];
    int length = snprintf(path, sizeof path, "%s/%s%s", (const char *)where, folder, name);
    return length > 0 && (size_t)length < sizeof path && cei_file_exists(path);
}

static bool is_model(const char *folder) {
    return is_file(folder, "", "config.json") || is_file(folder, "", "modules.json") ||
           cei_listing_adapter(is_file, folder);
}

/* A file that is a whole model, by its name: what is in it is looked at when it is loaded. */
static bool is_gguf(const char *path) { return cei_model_file_is_gguf(path) && cei_file_exists(path); }

static bool has_weights(const char *folder, const char *module) {
    bool is_index;
    return cei_listing_weights(is_file, folder, module, &is_index) != NULL;
}

/* Takes the folder over if it is a model's. */
static void consider(search *self, char *folder) {
    if (folder && !self->found && is_model(folder)) {
        self->found = folder;
    } else {
        cei_free(folder);
    }
}

/* Each folder of CROSSENC_MODELS, and the one that the default model is in. */
static ce_status look_in_folders(search *self, ce_error *error) {
    const char *folders = getenv("CROSSENC_MODELS"), *name = self->wanted.repository;
    while (folders && *folders && !self->found) {
        size_t length = strcspn(folders, ":");
        char *folder = length ? cei_format_string("%.*s/%s", (int)length, folders, name) : NULL;
        if (length && !folder) return cei_fail_memory(error, name, 0);
        consider(self, folder);
        folders += length + (folders[length] == ':');
    }
    char known[PATH_SIZE];
    if (self->found || strchr(name, '/') || ce_default_model_path(known, sizeof known, NULL) != CE_OK) return CE_OK;
    const char *slash = strrchr(known, '/');
    char *folder = slash ? cei_format_string("%.*s/%s", (int)(slash - known), known, name) : NULL;
    if (slash && !folder) return cei_fail_memory(error, name, 0);
    consider(self, folder);
    return CE_OK;
}

/* Older bi-encoders have their weights in the folder of the first module. */
static ce_status modules_have_weights(const char *snapshot, bool *have, ce_error *error) {
    char *path = cei_join_path(snapshot, "modules.json"), *data = NULL;
    size_t size = 0;
    cei_file_list folders = {0};
    ce_status status =
        path ? cei_read_file(path, CEI_LISTING_LIMIT, &data, &size, error) : cei_fail_memory(error, snapshot, 0);
    if (status == CE_OK) status = cei_listing_modules(data, size, path, &folders, error);
    for (size_t i = 0; i < folders.count; i++) *have = *have || has_weights(snapshot, folders.names[i]);
    if (status == CE_ERR_NOT_FOUND) status = CE_OK;
    cei_file_list_free(&folders);
    cei_free(data);
    cei_free(path);
    return status;
}

/* A snapshot without weights is one of which somebody read the config alone, or whose download was broken off. */
static ce_status look_in_cache(search *self, const char *cache, const cei_model_name *name, ce_error *error) {
    char *repository = cei_cache_repository(cache, name->repository), *snapshot = NULL;
    if (!repository) return cei_fail_memory(error, name->repository, 0);
    ce_status status = cei_cache_snapshot(repository, name->revision, &snapshot, error);
    cei_free(repository);
    if (status != CE_OK) return status == CE_ERR_NOT_FOUND ? CE_OK : status;
    bool have = has_weights(snapshot, "") || cei_listing_adapter(is_file, snapshot);
    if (!have) status = modules_have_weights(snapshot, &have, error);
    if (status == CE_OK && have) {
        consider(self, snapshot);
    } else {
        cei_free(snapshot);
    }
    return status;
}

static ce_status look_in_caches(search *self, ce_error *error) {
    char *cache = NULL;
    cei_model_name qualified;
    ce_status status = cei_hub_cache(self->options.cache, &cache, error);
    /* Without a place for a cache nothing is in it. */
    if (status != CE_OK) return status == CE_ERR_NOT_FOUND ? CE_OK : status;
    const char *organization = self->options.organization;
    if (organization && cei_model_name_qualify(&self->wanted, organization, &qualified))
        status = look_in_cache(self, cache, &qualified, error);
    if (status == CE_OK && !self->found) status = look_in_cache(self, cache, &self->wanted, error);
    cei_free(cache);
    return status;
}

static ce_status fail_not_found(const search *self, ce_error *error) {
    char *cache = NULL;
    ce_status status = cei_hub_cache(self->options.cache, &cache, error);
    if (status == CE_OK)
        status = cei_fail(error, CE_ERR_NOT_FOUND,
                          "there is no model \"%.200s\" here: no such folder, nor one of that name in CROSSENC_MODELS, "
                          "beside the default model, or with its weights in the hub's cache, %.200s. 'crossenc pull' "
                          "fetches models",
                          self->name, cache);
    cei_free(cache);
    return status;
}

static ce_status look(search *self, ce_error *error) {
    ce_error why;
    if (cei_check_folder(self->name, NULL) == CE_OK || is_gguf(self->name)) {
        self->found = cei_copy_string(self->name, strlen(self->name));
        return self->found ? CE_OK : cei_fail_memory(error, self->name, 0);
    }
    if (cei_file_exists(self->name))
        return cei_fail(error, CE_ERR_IO,
                        "%s is no folder: give the folder that has the model's config.json, or a GGUF file",
                        self->name);
    ce_status status = cei_model_name_parse(self->name, self->options.revision, &self->wanted, &why);
    if (status != CE_OK && !*self->wanted.repository)
        return cei_fail(error, CE_ERR_NOT_FOUND,
                        "there is no model \"%.200s\": no such folder, and it is no name of a model on the hub",
                        self->name);
    if (status != CE_OK) return cei_fail(error, status, "%s", why.message);
    if (!self->wanted.has_revision) status = look_in_folders(self, error);
    if (status == CE_OK && !self->found) status = look_in_caches(self, error);
    if (status == CE_OK && !self->found) status = fail_not_found(self, error);
    return status;
}

ce_status ce_model_find(const char *name, const ce_hub_options *options, char *path, size_t size, ce_error *error) {
    search self = {.name = name};
    if (!path) return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_find: path is NULL");
    ce_status status = cei_hub_options_read(options, &self.options, error);
    if (status != CE_OK) return status;
    if (!name) return ce_default_model_path(path, size, error);
    status = look(&self, error);
    if (status == CE_OK) status = cei_hub_give_path(self.found, path, size, error);
    cei_free(self.found);
    return status;
}
