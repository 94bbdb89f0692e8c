/* client.c - requests to the hub. Relies on http.h for carrying them. A token goes to the endpoint's own origin alone,
 * and once a redirection has left it, to nobody; it is in no message. */
#include "hub/client.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* Fewer bytes are no progress, for which the tries would begin anew: else a server could go on for ever. */
enum { PROGRESS = 64 << 10 };

enum { MOST_REDIRECTIONS = 10, LONGEST_RETRY_AFTER_S = 60, MOST_DOUBLINGS = 4, SLICE_MS = 50 };

ce_status cei_hub_client_create(cei_hub_client *client, cei_http *http, const cei_hub_settings *settings,
                                ce_error *error) {
    *client = (cei_hub_client){.http = http, .settings = settings, .model = ""};
    return cei_http_read_origin(settings->endpoint, &client->endpoint, error);
}

/* ---- the caller ---------------------------------------------------------------------------------------------- */

bool cei_hub_client_tick(const cei_hub_client *client) {
    const cei_hub_settings *settings = client->settings;
    return !settings->progress || settings->progress(settings->progress_user, client->done, client->total);
}

ce_status cei_hub_fail_cancelled(ce_error *error) {
    return cei_fail(error, CE_ERR_CANCELLED, "fetching was cancelled; the next time it goes on from here");
}

ce_status cei_hub_client_wait(const cei_hub_client *client, uint64_t ms, ce_error *error) {
    for (double end = cei_now_ms() + (double)ms, left; (left = end - cei_now_ms()) > 0;) {
        if (!cei_hub_client_tick(client)) return cei_hub_fail_cancelled(error);
        double slice = left < SLICE_MS ? left : SLICE_MS;
        struct timespec pause = {0, (long)(slice * 1e6)};
        nanosleep(&pause, NULL);
    }
    return CE_OK;
}

/* ---- refusals ------------------------------------------------------------------------------------------------ */

static ce_status fail_denied(const cei_hub_client *client, const cei_http_reply *reply, ce_error *error) {
    const char *endpoint = client->settings->endpoint, *model = client->model;
    bool has_token = client->settings->token != NULL;
    if (strcmp(reply->error_code, "GatedRepo") == 0)
        return cei_fail(error, CE_ERR_IO, "%s is gated: agree to its terms at %.100s in a browser, and %s", model,
                        endpoint,
                        has_token ? "use a token of an account that has (HF_TOKEN, or `hf auth login`)"
                                  : "then log in with `hf auth login`, or set HF_TOKEN");
    if (reply->status == 403)
        return cei_fail(error, CE_ERR_IO, "the hub refuses access to %s%s%s: %s", model,
                        *reply->error_message ? ": " : "", reply->error_message,
                        has_token ? "does the token have the right to read it?"
                                  : "log in with `hf auth login`, or set HF_TOKEN");
    return cei_fail(error, CE_ERR_NOT_FOUND, "there is no model %s at %.100s, or it is private%s", model, endpoint,
                    has_token ? ", or the token is not valid: check the name, and the token"
                              : ": check the name; for a private one log in with `hf auth login`, or set HF_TOKEN");
}

static ce_status fail_absent(const cei_hub_client *client, const char *url, const cei_http_reply *reply,
                             ce_error *error) {
    if (strcmp(reply->error_code, "RevisionNotFound") == 0)
        return cei_fail(error, CE_ERR_NOT_FOUND, "%s: the model has no such branch, tag or commit", client->model);
    if (strcmp(reply->error_code, "EntryNotFound") == 0)
        return cei_fail(error, CE_ERR_NOT_FOUND, "%.300s is not there, though the hub lists it", url);
    return cei_fail(error, CE_ERR_NOT_FOUND, "there is no model %s at %.100s: check the name", client->model,
                    client->settings->endpoint);
}

static ce_status fail_status(const cei_hub_client *client, const char *url, const cei_http_reply *reply,
                             ce_error *error) {
    if (reply->status == 401 || reply->status == 403) return fail_denied(client, reply, error);
    if (reply->status == 404 || reply->status == 410) return fail_absent(client, url, reply, error);
    if (reply->status == 429)
        return cei_fail(error, CE_ERR_IO,
                        "the hub says that too much was asked for (429): try again later, or with a token (HF_TOKEN)");
    /* Status 416: there is no such range, so that what came earlier is of another file. */
    return cei_fail(error, reply->status == 416 ? CE_ERR_FORMAT : CE_ERR_IO,
                    "%.200s: the hub replies with status %u%s%s; %s", url, reply->status,
                    *reply->error_message ? ": " : "", reply->error_message,
                    reply->status >= 500 ? "try again later" : "is HF_ENDPOINT a hub?");
}

/* ---- one try ------------------------------------------------------------------------------------------------- */

typedef struct attempt {
    cei_hub_client *client;
    const cei_hub_get *get;
    cei_http_reply *reply;
    bool again; /* of a failure: another try may do better */
} attempt;

static bool is_success(unsigned status) { return status == 200 || status == 206; }
static bool is_redirection(unsigned status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Bodies of other replies are pages for people. */
static ce_status take_body(void *user, const cei_http_reply *reply, const void *data, size_t size, ce_error *error) {
    const attempt *self = user;
    if (!is_success(reply->status) || !self->get->body) return CE_OK;
    return self->get->body(self->get->user, reply, data, size, error);
}

static ce_status carry(attempt *self, const char *url, bool is_trusted, ce_error *error) {
    const cei_hub_get *get = self->get;
    cei_http *http = self->client->http;
    const cei_http_request request = {.url = url,
                                      .token = is_trusted ? self->client->settings->token : NULL,
                                      .is_head = get->is_head,
                                      .offset = get->offset ? *get->offset : 0,
                                      .body = take_body,
                                      .user = self};
    *self->reply = (cei_http_reply){0};
    return http->perform(http, &request, self->reply, &self->again, error);
}

static bool is_endpoint(const attempt *self, const char *url) {
    cei_http_origin origin;
    return cei_http_read_origin(url, &origin, NULL) == CE_OK && cei_http_same_origin(&origin, &self->client->endpoint);
}

/* Where the hub redirects to another host, it tells of the file itself; on its own host, at the end of the way. */
static bool tells_enough(const attempt *self, const char *next) {
    const cei_http_reply *reply = self->reply;
    return self->get->is_head && *reply->linked_etag && reply->has_linked_size && !is_endpoint(self, next);
}

/* Follows redirections from the URL that is asked for. url [CEI_HTTP_URL] is where it ended. */
static ce_status follow(attempt *self, char *url, ce_error *error) {
    char next[CEI_HTTP_URL];
    bool is_trusted = true;
    for (int i = 0; i <= MOST_REDIRECTIONS; i++) {
        is_trusted = is_trusted && is_endpoint(self, url);
        ce_status status = carry(self, url, is_trusted, error);
        if (status != CE_OK || !is_redirection(self->reply->status)) return status;
        status = cei_http_redirect(url, self->reply->location, next, error);
        if (status != CE_OK || tells_enough(self, next)) return status;
        memcpy(url, next, strlen(next) + 1);
    }
    return cei_fail(error, CE_ERR_IO, "%.200s: more than %d redirections", self->get->url, MOST_REDIRECTIONS);
}

static bool may_pass(unsigned status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

/* Asks once. */
static ce_status ask(attempt *self, ce_error *error) {
    char url[CEI_HTTP_URL];
    size_t size = strlen(self->get->url);
    self->again = false;
    if (self->get->begin) self->get->begin(self->get->user);
    if (size >= sizeof url) return cei_fail(error, CE_ERR_FORMAT, "%.200s... is too long for a URL", self->get->url);
    memcpy(url, self->get->url, size + 1);
    ce_status status = follow(self, url, error);
    if (status != CE_OK) return status;
    const cei_http_reply *reply = self->reply;
    if (is_success(reply->status) || (self->get->is_head && is_redirection(reply->status))) return CE_OK;
    self->again = may_pass(reply->status) && !(reply->has_retry && reply->retry_s > LONGEST_RETRY_AFTER_S);
    return fail_status(self->client, self->get->url, reply, error);
}

/* ---- all tries ----------------------------------------------------------------------------------------------- */

/* Before try number count, which follows a failure. */
static uint64_t pause_ms(const attempt *self, unsigned count) {
    unsigned doublings = count - 1 < MOST_DOUBLINGS ? count - 1 : MOST_DOUBLINGS;
    uint64_t backoff = (uint64_t)self->client->settings->backoff_ms << doublings;
    uint64_t asked = self->reply->has_retry ? self->reply->retry_s * 1000 : 0;
    return asked > backoff ? asked : backoff;
}

ce_status cei_hub_client_get(cei_hub_client *client, const cei_hub_get *get, cei_http_reply *reply, ce_error *error) {
    attempt self = {client, get, reply, false};
    ce_error why;
    for (unsigned count = 1;; count++) {
        uint64_t begun = client->received;
        ce_status status = ask(&self, &why);
        if (status == CE_OK) return CE_OK;
        if (client->received - begun >= PROGRESS) count = 1;
        if (!self.again || count >= client->settings->attempts) return cei_fail(error, status, "%s", why.message);
        uint64_t pause = pause_ms(&self, count);
        cei_log_line(&client->settings->log, CE_LOG_INFO, "%s; once more in %" PRIu64 " ms", why.message, pause);
        status = cei_hub_client_wait(client, pause, error);
        if (status != CE_OK) return status;
    }
}

/* ---- bodies that are kept ------------------------------------------------------------------------------------ */

typedef struct text {
    void *data;
    size_t size, capacity, limit;
    const char *url;
} text;

static void begin_text(void *user) { ((text *)user)->size = 0; }

static ce_status keep(void *user, const cei_http_reply *reply, const void *data, size_t size, ce_error *error) {
    text *self = user;
    (void)reply;
    if (size > self->limit - self->size)
        return cei_fail(error, CE_ERR_FORMAT, "%.200s replies with more than %zu bytes: is HF_ENDPOINT a hub?",
                        self->url, self->limit);
    if (!cei_grow(&self->data, &self->capacity, self->size + size + 1, 1))
        return cei_fail_memory(error, self->url, self->size + size + 1);
    memcpy((char *)self->data + self->size, data, size);
    self->size += size;
    return CE_OK;
}

ce_status cei_hub_client_text(cei_hub_client *client, const char *url, size_t limit, char **data, size_t *size,
                              ce_error *error) {
    cei_http_reply reply = {0};
    text self = {.limit = limit, .url = url};
    cei_hub_get get = {.url = url, .begin = begin_text, .body = keep, .user = &self};
    ce_status status = cei_hub_client_get(client, &get, &reply, error);
    if (status == CE_OK && !cei_grow(&self.data, &self.capacity, self.size + 1, 1))
        status = cei_fail_memory(error, url, self.size + 1);
    if (status != CE_OK) {
        cei_free(self.data);
        return status;
    }
    ((char *)self.data)[self.size] = '\0';
    *data = self.data;
    *size = self.size;
    return CE_OK;
}
