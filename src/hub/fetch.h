/* fetch.h - one file of a model: what the hub says of it, and its way into the cache. */
#ifndef CEI_HUB_FETCH_H
#define CEI_HUB_FETCH_H

#include "hub/client.h"
#include "hub/digest.h"
#include "hub/name.h"

/* A model at a commit. Strings are the caller's. */
typedef struct cei_hub_snapshot {
    cei_hub_client *client;
    const char *repository; /* its name, of which URLs are made */
    const char *commit;
    const char *folder; /* CACHE/models--... */
    const char *locks;  /* CACHE/.locks/models--... */
    const char *path;   /* folder/snapshots/COMMIT */
} cei_hub_snapshot;

typedef struct cei_hub_file {
    const char *name;           /* the caller's */
    char etag[CEI_DIGEST_SIZE]; /* a SHA-256, or git's SHA-1, in hexadecimal digits */
    uint64_t size;
    uint64_t missing; /* of its bytes, those that were not in the cache when it was looked for */
    bool is_here;     /* its blob was */
} cei_hub_file;

/* Asks for size and sum of a file. Errors: those of cei_hub_client_get, FORMAT (neither a size nor a sum that is
 * known). */
ce_status cei_hub_file_ask(const cei_hub_snapshot *snapshot, const char *name, cei_hub_file *file, ce_error *error);

/* Has the file in the snapshot: its blob is fetched, or what is missing of it, unless it is here, and linked to.
 * Errors: those of cei_hub_client_get, FORMAT (what came is not what was promised), IO (the disk). */
ce_status cei_hub_file_fetch(const cei_hub_snapshot *snapshot, cei_hub_file *file, ce_error *error);

#endif
