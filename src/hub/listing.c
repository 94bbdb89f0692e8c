/* listing.c - the hub's replies and the lists in a model's files. Relies on base/json.h; asks nobody for anything. */
#include "hub/listing.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/model_files.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists --------------------------------------------------------------------------------------------------- */

static bool append(cei_file_list *list, const char *name) {
    void *names = list->names;
    bool grown = cei_grow(&names, &list->capacity, list->count + 1, sizeof *list->names);
    list->names = names;
    char *copy = grown ? cei_copy_string(name, strlen(name)) : NULL;
    if (!copy) return false;
    list->names[list->count++] = copy;
    return true;
}

bool cei_file_list_has(const cei_file_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0) return true;
    return false;
}

bool cei_file_list_add(cei_file_list *list, const char *name) {
    return cei_file_list_has(list, name) || append(list, name);
}

void cei_file_list_free(cei_file_list *list) {
    for (size_t i = 0; i < list->count; i++) cei_free(list->names[i]);
    cei_free(list->names);
    *list = (cei_file_list){0};
}

/* ---- the hub's reply ----------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

bool cei_listing_has(const cei_listing *listing, const char *name) {
    return listing->files.count &&
           bsearch(&name, listing->files.names, listing->files.count, sizeof *listing->files.names, compare);
}

static ce_status read_commit(const json_t *root, const char *source, cei_listing *listing, ce_error *error) {
    const char *sha = NULL, *id = NULL;
    ce_status status = cei_json_string(root, "sha", source, &sha, error);
    if (status != CE_OK) return status;
    if (!sha || !cei_is_hex(sha, CEI_COMMIT_SIZE - 1))
        return cei_fail(error, CE_ERR_FORMAT,
                        "%s: \"sha\" is \"%.64s\", and must be a commit of 40 digits: is HF_ENDPOINT a hub?", source,
                        sha ? sha : "absent");
    memcpy(listing->commit, sha, CEI_COMMIT_SIZE);
    status = cei_json_string(root, "id", source, &id, error);
    if (status == CE_OK && id && strlen(id) < sizeof listing->repository)
        memcpy(listing->repository, id, strlen(id) + 1);
    return status;
}

static ce_status read_file_name(const json_t *sibling, const char *source, cei_listing *listing, ce_error *error) {
    const char *name = NULL;
    if (!json_is_object(sibling))
        return cei_fail(error, CE_ERR_FORMAT, "%s: \"siblings\" must have objects, and has %s", source,
                        cei_json_type(sibling));
    ce_status status = cei_json_string(sibling, "rfilename", source, &name, error);
    if (status != CE_OK) return status;
    if (!name || !cei_file_name_is_safe(name))
        return cei_fail(error, CE_ERR_FORMAT,
                        "%s lists a file \"%.128s\", which no file may be called: nothing is "
                        "fetched",
                        source, name ? name : "");
    return append(&listing->files, name) ? CE_OK : cei_fail_memory(error, source, 0);
}

static ce_status read_listing(const json_t *root, const char *source, cei_listing *listing, ce_error *error) {
    if (!json_is_object(root))
        return cei_fail(error, CE_ERR_FORMAT, "%s gives %s, and must give an object: is HF_ENDPOINT a hub?", source,
                        cei_json_type(root));
    ce_status status = read_commit(root, source, listing, error);
    const json_t *siblings = json_object_get(root, "siblings");
    if (status != CE_OK) return status;
    if (!json_is_array(siblings) || json_array_size(siblings) > CEI_MOST_FILES)
        return cei_fail(error, CE_ERR_FORMAT, "%s: \"siblings\" must be a list of at most %d files, and is %s", source,
                        CEI_MOST_FILES, json_is_array(siblings) ? "longer" : cei_json_type(siblings));
    for (size_t i = 0; i < json_array_size(siblings) && status == CE_OK; i++)
        status = read_file_name(json_array_get(siblings, i), source, listing, error);
    if (status == CE_OK && listing->files.count)
        qsort(listing->files.names, listing->files.count, sizeof *listing->files.names, compare);
    return status;
}

ce_status cei_listing_parse(const char *data, size_t size, const char *source, cei_listing *listing, ce_error *error) {
    json_t *root = NULL;
    *listing = (cei_listing){0};
    ce_status status = cei_json_parse(data, size, source, &root, error);
    if (status == CE_OK) status = read_listing(root, source, listing, error);
    json_decref(root);
    if (status != CE_OK) cei_listing_free(listing);
    return status;
}

void cei_listing_free(cei_listing *listing) {
    cei_file_list_free(&listing->files);
    *listing = (cei_listing){0};
}

/* ---- lists in files ------------------------------------------------------------------------------------------ */

static ce_status add_folder(const json_t *module, const char *source, cei_file_list *folders, ce_error *error) {
    const char *path = NULL;
    char folder[CEI_FILE_NAME_SIZE + 1] = "";
    if (!json_is_object(module))
        return cei_fail(error, CE_ERR_FORMAT, "%s must have objects, and has %s", source, cei_json_type(module));
    ce_status status = cei_json_string(module, "path", source, &path, error);
    if (status != CE_OK) return status;
    size_t size = path ? strlen(path) : 0;
    if (size && (size >= CEI_FILE_NAME_SIZE || !cei_file_name_is_safe(path)))
        return cei_fail(error, CE_ERR_FORMAT, "%s names the folder \"%.128s\", which no folder may be called", source,
                        path);
    if (size) {
        memcpy(folder, path, size);
        folder[size] = '/';
    }
    return cei_file_list_add(folders, folder) ? CE_OK : cei_fail_memory(error, source, 0);
}

ce_status cei_listing_modules(const char *data, size_t size, const char *source, cei_file_list *folders,
                              ce_error *error) {
    json_t *root = NULL;
    ce_status status = cei_json_parse(data, size, source, &root, error);
    if (status == CE_OK && (!json_is_array(root) || json_array_size(root) > CEI_MOST_MODULES))
        status = cei_fail(error, CE_ERR_FORMAT, "%s must be a list of at most %d modules", source, CEI_MOST_MODULES);
    for (size_t i = 0; status == CE_OK && i < json_array_size(root); i++)
        status = add_folder(json_array_get(root, i), source, folders, error);
    json_decref(root);
    return status;
}

static ce_status add_shard(const json_t *value, const char *source, const char *folder, cei_file_list *shards,
                           ce_error *error) {
    const char *name = json_string_value(value);
    if (!name || strlen(name) != json_string_length(value) || strchr(name, '/') || !cei_file_name_is_safe(name))
        return cei_fail(error, CE_ERR_FORMAT, "%s names \"%.128s\", which is no file of weights beside it", source,
                        name ? name : cei_json_type(value));
    char *path = cei_format_string("%s%s", folder, name);
    bool added = path && cei_file_list_add(shards, path);
    cei_free(path);
    if (!added) return cei_fail_memory(error, source, 0);
    if (shards->count > CEI_MOST_FILES / 100)
        return cei_fail(error, CE_ERR_FORMAT, "%s names more than %d files", source, CEI_MOST_FILES / 100);
    return CE_OK;
}

ce_status cei_listing_shards(const char *data, size_t size, const char *source, const char *folder,
                             cei_file_list *shards, ce_error *error) {
    json_t *root = NULL;
    ce_status status = cei_json_parse(data, size, source, &root, error);
    json_t *map = status == CE_OK ? json_object_get(root, "weight_map") : NULL;
    if (status == CE_OK && !json_is_object(map))
        status = cei_fail(error, CE_ERR_FORMAT, "%s: \"weight_map\" must be an object, and is %s", source,
                          cei_json_type(map));
    for (void *at = json_object_iter(map); status == CE_OK && at; at = json_object_iter_next(map, at))
        status = add_shard(json_object_iter_value(at), source, folder, shards, error);
    json_decref(root);
    return status;
}

ce_status cei_listing_base(const char *data, size_t size, const char *source, cei_model_name *base, ce_error *error) {
    json_t *root = NULL;
    const char *name = NULL, *revision = NULL;
    ce_status status = cei_json_parse(data, size, source, &root, error);
    if (status == CE_OK) status = cei_json_string(root, "base_model_name_or_path", source, &name, error);
    if (status == CE_OK) status = cei_json_string(root, "revision", source, &revision, error);
    if (status == CE_OK && (!name || cei_model_name_parse(name, revision, base, NULL) != CE_OK))
        *base->repository = '\0';
    json_decref(root);
    return status;
}

size_t cei_listing_gguf(const cei_listing *listing, const char **first) {
    size_t count = 0;
    for (size_t i = 0; i < listing->files.count; i++) {
        const char *name = listing->files.names[i];
        if (!cei_model_file_is_gguf(name)) continue;
        if (count++ == 0) *first = name;
    }
    return count;
}

/* ---- what is wanted ------------------------------------------------------------------------------------------ */

bool cei_listing_want(const cei_listing *listing, const char *folder, cei_file_list *wanted) {
    const char *file;
    for (size_t i = 0; (file = cei_model_file(CEI_FILE_ANY, i)); i++) {
        char *name = cei_format_string("%s%s", folder, file);
        bool done = name && (!cei_listing_has(listing, name) || cei_file_list_add(wanted, name));
        cei_free(name);
        if (!done) return false;
    }
    return true;
}

const char *cei_listing_weights(bool (*is_there)(const void *where, const char *folder, const char *name),
                                const void *where, const char *folder, bool *is_index) {
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *is_index = i % 2;
        if (is_there(where, folder, names[i])) return names[i];
    }
    return NULL;
}

const char *cei_listing_adapter(bool (*is_there)(const void *where, const char *folder, const char *name),
                                const void *where) {
    static const char *const names[] = {"adapter_model.safetensors", "adapter_model.bin"};
    if (!is_there(where, "", "adapter_config.json")) return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_there(where, "", names[i])) return names[i];
    return NULL;
}
