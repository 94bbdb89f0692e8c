/* listing.h - what the hub says of a model at a revision, which of its files are wanted, and the lists in files that
 * say so. All of it is read from untrusted bytes. */
#ifndef CEI_HUB_LISTING_H
#define CEI_HUB_LISTING_H

#include <crossenc/status.h>

#include "hub/name.h"

/* Bytes of a reply, or of a file that is read to know which others are wanted; files of a model; modules. */
enum { CEI_LISTING_LIMIT = 4 << 20, CEI_MOST_FILES = 100000, CEI_MOST_MODULES = 64 };

/* Names of files. Zeroed is empty. */
typedef struct cei_file_list {
    char **names;
    size_t count, capacity;
} cei_file_list;

/* Adds a copy of name, unless it is there already. false if there is no memory. */
bool cei_file_list_add(cei_file_list *list, const char *name);
bool cei_file_list_has(const cei_file_list *list, const char *name);
void cei_file_list_free(cei_file_list *list);

typedef struct cei_listing {
    char commit[CEI_COMMIT_SIZE];
    char repository[CEI_REPOSITORY_SIZE]; /* its name today, or "" */
    cei_file_list files;                  /* sorted by bytes */
} cei_listing;

/* Reads the reply of /api/models/REPOSITORY/revision/REVISION; source is its URL, for messages. A file's name that is
 * not safe (name.h) is an error. Errors: FORMAT, MEMORY. */
ce_status cei_listing_parse(const char *data, size_t size, const char *source, cei_listing *listing, ce_error *error);
void cei_listing_free(cei_listing *listing);
bool cei_listing_has(const cei_listing *listing, const char *name);

/* The folders of modules.json, each once, as "" (the model's own) or "FOLDER/". Errors: FORMAT, MEMORY. */
ce_status cei_listing_modules(const char *data, size_t size, const char *source, cei_file_list *folders,
                              ce_error *error);

/* The files that an index of weights names, with folder ("" or "FOLDER/") before each. Errors: FORMAT, MEMORY. */
ce_status cei_listing_shards(const char *data, size_t size, const char *source, const char *folder,
                             cei_file_list *shards, ce_error *error);

/* How many GGUF files there are, and the first one's name. */
size_t cei_listing_gguf(const cei_listing *listing, const char **first);

/* Adds the files of a folder that are wanted, its weights aside. false if there is no memory. */
bool cei_listing_want(const cei_listing *listing, const char *folder, cei_file_list *wanted);

/* The weights of a folder: a file, or an index that names several; NULL if there are none. folder/NAME is their file,
 * asked for by is_there. The first that is there is taken: safetensors before PyTorch's. */
const char *cei_listing_weights(bool (*is_there)(const void *where, const char *folder, const char *name),
                                const void *where, const char *folder, bool *is_index);

/* The weights of a LoRA adapter, asked for in the same way; NULL if there is no adapter_config.json, or they are not.
 */
const char *cei_listing_adapter(bool (*is_there)(const void *where, const char *folder, const char *name),
                                const void *where);

/* The model that an adapter_config.json names, at the revision that it names; base->repository is "" if what it names
 * is no name of the hub. Errors: FORMAT, MEMORY. */
ce_status cei_listing_base(const char *data, size_t size, const char *source, cei_model_name *base, ce_error *error);

#endif
