/* cache.h - the hub's cache on disk, in the layout of huggingface_hub:
 *
 *     CACHE/models--ORGANIZATION--NAME/
 *         refs/REVISION                a commit: what the revision was when it was last asked for
 *         snapshots/COMMIT/FILE        a relative link to a blob, FILE with its folders
 *         blobs/ETAG                   a file's bytes, by the SHA-256 or git's SHA-1
 *         blobs/ETAG.incomplete        its beginning
 *         .no_exist/COMMIT/FILE        empty: that commit has no such file
 *     CACHE/.locks/models--.../ETAG.lock  held by whoever fetches that blob (flock)
 *
 * All strings that are returned are freed by cei_free, and NULL means want of memory unless said otherwise. */
#ifndef CEI_HUB_CACHE_H
#define CEI_HUB_CACHE_H

#include <crossenc/hub.h>

#include "hub/name.h"

/* Where the cache is: given, or as the environment says. Errors: NOT_FOUND (nothing is set, HOME neither), MEMORY. */
ce_status cei_hub_cache(const char *given, char **cache, ce_error *error);

/* HF_HOME, or what stands for it; the token's file is there. Errors: those of cei_hub_cache. */
ce_status cei_hub_home(char **home, ce_error *error);

/* base with a leading "~" replaced by HOME, and below behind it. Errors: those of cei_hub_cache. */
ce_status cei_hub_expand(const char *base, const char *below, char **path, ce_error *error);

/* Is a variable of the environment set to 1, on, yes or true, in any case? */
bool cei_hub_flag(const char *variable);

/* CACHE/models--ORGANIZATION--NAME. */
char *cei_cache_repository(const char *cache, const char *repository);

/* The snapshot that is known for a revision: by refs/REVISION, or as a commit. NOT_FOUND if there is none.
 * Errors: IO, FORMAT (a ref that names no commit), MEMORY. */
ce_status cei_cache_snapshot(const char *repository_folder, const char *revision, char **snapshot, ce_error *error);

/* Makes path a folder, with those above it. Errors: IO, MEMORY. */
ce_status cei_cache_make_folders(const char *path, ce_error *error);

/* The same for the folder that path is in. */
ce_status cei_cache_make_parents(const char *path, ce_error *error);

/* Makes SNAPSHOT/file a link to the blob, unless it is one. Errors: IO, MEMORY. */
ce_status cei_cache_link(const char *snapshot, const char *file, const char *blob, ce_error *error);

/* Writes refs/REVISION, in one step, unless it is that commit. Errors: IO, MEMORY. */
ce_status cei_cache_set_ref(const char *repository_folder, const char *revision, const char *commit, ce_error *error);

/* Notes that a commit has no such file, as far as that can be done. */
void cei_cache_note_absent(const char *repository_folder, const char *commit, const char *file);

/* Marks the cache as one for programs that make backups (CACHEDIR.TAG), as far as that can be done. */
void cei_cache_tag(const char *cache);

#endif
