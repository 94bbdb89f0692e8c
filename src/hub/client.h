/* client.h - requests to the hub: redirections, the token, another try, and what a refusal means. */
#ifndef CEI_HUB_CLIENT_H
#define CEI_HUB_CLIENT_H

#include "hub/http.h"
#include "hub/settings.h"

typedef struct cei_hub_client {
    cei_http *http;
    const cei_hub_settings *settings;
    cei_http_origin endpoint;
    const char *model;    /* for messages */
    uint64_t done, total; /* bytes of files, for the caller's progress */
    uint64_t received;    /* bytes of files that came */
} cei_hub_client;

/* Errors: FORMAT (an endpoint that leads nowhere). */
ce_status cei_hub_client_create(cei_hub_client *client, cei_http *http, const cei_hub_settings *settings,
                                ce_error *error);

/* What is asked for. */
typedef struct cei_hub_get {
    const char *url;
    bool is_head;              /* the header alone, of the first reply that tells of the file */
    const uint64_t *offset;    /* where a body goes on, read before each try; NULL is its beginning */
    void (*begin)(void *user); /* called before each try; may be NULL */
    cei_http_body_fn body;     /* for the bodies of replies with status 200 or 206 */
    void *user;
} cei_hub_get;

/* Asks until there is a reply of status 200 or 206 (or, with is_head, one of a redirection that tells of the file).
 * Errors: NOT_FOUND, IO, FORMAT, CANCELLED, MEMORY, those of get->body. */
ce_status cei_hub_client_get(cei_hub_client *client, const cei_hub_get *get, cei_http_reply *reply, ce_error *error);

/* Tells the caller how far it is. false: the caller wants it to end. */
bool cei_hub_client_tick(const cei_hub_client *client);
ce_status cei_hub_fail_cancelled(ce_error *error);

/* Waits, while the caller has no wish to end. Errors: CANCELLED. */
ce_status cei_hub_client_wait(const cei_hub_client *client, uint64_t ms, ce_error *error);

/* A whole body of at most limit bytes, to be freed, with a NUL behind. Errors: those of get, FORMAT (longer). */
ce_status cei_hub_client_text(cei_hub_client *client, const char *url, size_t limit, char **data, size_t *size,
                              ce_error *error);

#endif
