/* settings.h - what a caller and the environment say: options, endpoint, token, patience. */
#ifndef CEI_HUB_SETTINGS_H
#define CEI_HUB_SETTINGS_H

#include <crossenc/hub.h>

#include "base/log.h"

/* A header line with the token, and a place in the endpoint's URLs, stay well below what servers take. */
enum { CEI_TOKEN_LIMIT = 2048, CEI_ENDPOINT_LIMIT = 1024 };

/* Zeroed is empty. */
typedef struct cei_hub_settings {
    char *cache;
    char *endpoint;           /* http or https, without a slash at its end */
    char *token;              /* NULL is none */
    const char *certificates; /* NULL is the system's */
    unsigned attempts, backoff_ms, timeout_ms;
    cei_log log;
    ce_progress_fn progress;
    void *progress_user;
} cei_hub_settings;

/* The options with their defaults in place of a NULL. Errors: ARGUMENT (a size too small). */
ce_status cei_hub_options_read(const ce_hub_options *given, ce_hub_options *options, ce_error *error);

/* All that a fetch needs to know. Errors: ARGUMENT (an endpoint or a token that can be none), NOT_FOUND (no place for
 * a cache, or no token where one is needed), IO, MEMORY. */
ce_status cei_hub_settings_read(const ce_hub_options *options, cei_hub_settings *settings, ce_error *error);
void cei_hub_settings_free(cei_hub_settings *settings);

/* A caller's path [size] receives folder. Errors: ARGUMENT (it is too small). */
ce_status cei_hub_give_path(const char *folder, char *path, size_t size, ce_error *error);

#endif
