/* curl.c - requests carried by libcurl. Relies on the library's headers at build time (CEI_WITH_CURL) and on the
 * library itself when a request is made: it is loaded then, so that nobody who only scores needs it. It is never
 * unloaded, since what it brings along leaves work for the end of the process; and no global state of its is undone, as
 * others in the process may use it. Must not follow redirections or choose who gets a token. */
#define _GNU_SOURCE /* RTLD_NODELETE */

#include "hub/curl.h"

#include "base/error.h"

#ifdef CEI_WITH_CURL

#include "base/clock.h"
#include "base/memory.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 100 };

/* libcurl's functions, found by their names. */
typedef struct functions {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    void (*easy_reset)(CURL *easy);
    void (*easy_cleanup)(CURL *easy);
    const char *(*easy_strerror)(CURLcode code);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_perform)(CURLM *multi, int *running);
    CURLMcode (*multi_poll)(CURLM *multi, struct curl_waitfd *more, unsigned count, int timeout_ms, int *ready);
    CURLMsg *(*multi_info_read)(CURLM *multi, int *left);
    CURLMcode (*multi_cleanup)(CURLM *multi);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
} functions;

typedef struct named_function {
    const char *name;
    size_t offset;
} named_function;

#define FUNCTION(name) \
    { "curl_" #name, offsetof(functions, name) }

static const named_function names[] = {
    FUNCTION(global_init),   FUNCTION(easy_init),       FUNCTION(easy_setopt),         FUNCTION(easy_reset),
    FUNCTION(easy_cleanup),  FUNCTION(easy_strerror),   FUNCTION(multi_init),          FUNCTION(multi_add_handle),
    FUNCTION(multi_perform), FUNCTION(multi_info_read), FUNCTION(multi_remove_handle), FUNCTION(multi_poll),
    FUNCTION(multi_cleanup), FUNCTION(slist_append),    FUNCTION(slist_free_all),
};

struct cei_curl {
    cei_http http;
    const cei_hub_client *client;
    functions call;
    CURL *easy;
    CURLM *multi;
    void *library;
};

/* A request while it is carried. */
typedef struct transfer {
    cei_curl *curl;
    const cei_http_request *request;
    cei_http_reply *reply;
    double heard_ms; /* when the last byte came */
    bool has_body;   /* a line of a header behind it would be a trailer */
    ce_status status;
    ce_error *error;
} transfer;

/* ---- loading ------------------------------------------------------------------------------------------------- */

static ce_status load(cei_curl *curl, ce_error *error) {
    static const char *const files[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    for (size_t i = 0; !curl->library && i < sizeof files / sizeof *files; i++)
        curl->library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!curl->library)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "fetching models needs libcurl, and libcurl.so.4 cannot be loaded: install it (Debian: "
                        "libcurl4), or fetch the model with `hf download`");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *found = dlsym(curl->library, names[i].name);
        if (!found)
            return cei_fail(error, CE_ERR_UNSUPPORTED, "libcurl here has no %s: version 7.66 or later is needed",
                            names[i].name);
        memcpy((char *)&curl->call + names[i].offset, &found, sizeof found);
    }
    return CE_OK;
}

static ce_status fail_start(ce_error *error) { return cei_fail_memory(error, "libcurl", 0); }

/* ---- what libcurl calls -------------------------------------------------------------------------------------- */

static size_t on_header(char *data, size_t one, size_t size, void *user) {
    transfer *self = user;
    (void)one; /* always 1 */
    self->heard_ms = cei_now_ms();
    if (self->has_body || cei_http_header(self->reply, data, size)) return size;
    self->status = cei_fail(self->error, CE_ERR_FORMAT, "%.200s replies with a header of more than %d bytes",
                            self->request->url, CEI_HTTP_HEADERS);
    return 0;
}

static size_t on_body(char *data, size_t one, size_t size, void *user) {
    transfer *self = user;
    (void)one;
    self->heard_ms = cei_now_ms();
    self->has_body = true;
    self->status = self->request->body(self->request->user, self->reply, data, size, self->error);
    return self->status == CE_OK ? size : 0;
}

/* ---- a request ----------------------------------------------------------------------------------------------- */

static bool set_options(transfer *self, struct curl_slist **headers) {
    const cei_http_request *request = self->request;
    const cei_hub_settings *settings = self->curl->client->settings;
    const functions *call = &self->curl->call;
    CURL *easy = self->curl->easy;
    char line[CEI_TOKEN_LIMIT + 64], range[32];
    call->easy_reset(easy);
    if (request->token) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", request->token);
        *headers = call->slist_append(NULL, line);
        if (!*headers) return false;
    }
    snprintf(range, sizeof range, "%" PRIu64 "-", request->offset);
    bool done = call->easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK;
    done = call->easy_setopt(easy, CURLOPT_HTTPHEADER, *headers) == CURLE_OK && done;
    done = call->easy_setopt(easy, CURLOPT_USERAGENT, "crossenc/" CE_VERSION_STRING) == CURLE_OK && done;
    if (request->offset) done = call->easy_setopt(easy, CURLOPT_RANGE, range) == CURLE_OK && done;
    if (settings->certificates)
        done = call->easy_setopt(easy, CURLOPT_CAINFO, settings->certificates) == CURLE_OK && done;
    call->easy_setopt(easy, CURLOPT_NOBODY, request->is_head ? 1L : 0L);
    call->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    call->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    call->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->timeout_ms);
    call->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    call->easy_setopt(easy, CURLOPT_HEADERDATA, self);
    call->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    call->easy_setopt(easy, CURLOPT_WRITEDATA, self);
    return done;
}

static ce_status fail_code(transfer *self, CURLcode code, bool *again) {
    cei_http_origin origin;
    const char *host = cei_http_read_origin(self->request->url, &origin, NULL) == CE_OK ? origin.host : "the hub";
    const char *why = self->curl->call.easy_strerror(code);
    switch (code) {
    case CURLE_OUT_OF_MEMORY: return cei_fail_memory(self->error, "a connection", 0);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return cei_fail(self->error, CE_ERR_IO, "the address of %s cannot be found (%s): is there a network?", host,
                        why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return cei_fail(self->error, CE_ERR_IO,
                        "%s cannot prove that it is who it says (%s): are the system's certificates there (Debian: "
                        "ca-certificates), or does SSL_CERT_FILE name those of your proxy?",
                        host, why);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT: return cei_fail(self->error, CE_ERR_IO, "%s cannot be asked: %s", host, why);
    default: *again = true; return cei_fail(self->error, CE_ERR_IO, "the connection to %s failed: %s", host, why);
    }
}

/* May the transfer go on? */
static ce_status look_up(transfer *self, bool *again) {
    unsigned patience = self->curl->client->settings->timeout_ms;
    if (!cei_hub_client_tick(self->curl->client)) return cei_hub_fail_cancelled(self->error);
    if (cei_now_ms() - self->heard_ms <= patience) return CE_OK;
    *again = true;
    return cei_fail(self->error, CE_ERR_IO,
                    "no byte came for %u ms from %.200s (HF_HUB_DOWNLOAD_TIMEOUT sets how long "
                    "to wait)",
                    patience, self->request->url);
}

/* The end of the only transfer that there is, once it has ended. */
static ce_status finish(transfer *self, bool *again) {
    int left = 0;
    CURLMsg *message = self->curl->call.multi_info_read(self->curl->multi, &left);
    if (self->status != CE_OK) return self->status;
    if (!message || message->msg != CURLMSG_DONE) return fail_start(self->error);
    return message->data.result == CURLE_OK ? CE_OK : fail_code(self, message->data.result, again);
}

static ce_status run(transfer *self, bool *again) {
    const functions *call = &self->curl->call;
    CURLM *multi = self->curl->multi;
    int running = 1;
    for (;;) {
        if (call->multi_perform(multi, &running) != CURLM_OK) return fail_start(self->error);
        if (!running) return finish(self, again);
        ce_status status = look_up(self, again);
        if (status != CE_OK) return status;
        if (call->multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK) return fail_start(self->error);
    }
}

/* Writing to a connection that was closed must not end the process: TLS libraries write without MSG_NOSIGNAL. The
 * signal is for this thread alone, so blocking it here and taking what is left changes nothing for others. */
static ce_status run_without_pipe_signal(transfer *self, bool *again) {
    sigset_t pipe_signal, before, pending;
    const struct timespec now = {0, 0};
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ce_status status = run(self, again);
    if (!was_pending) (void)sigtimedwait(&pipe_signal, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static ce_status perform(cei_http *http, const cei_http_request *request, cei_http_reply *reply, bool *again,
                         ce_error *error) {
    cei_curl *curl = (cei_curl *)(void *)http; /* its first member */
    struct curl_slist *headers = NULL;
    transfer self = {.curl = curl, .request = request, .reply = reply, .heard_ms = cei_now_ms(), .error = error};
    ce_status status = set_options(&self, &headers) ? CE_OK : fail_start(error);
    if (status == CE_OK && curl->call.multi_add_handle(curl->multi, curl->easy) != CURLM_OK) status = fail_start(error);
    if (status == CE_OK) {
        status = run_without_pipe_signal(&self, again);
        curl->call.multi_remove_handle(curl->multi, curl->easy);
    }
    curl->call.slist_free_all(headers);
    return status;
}

/* ---- the object ---------------------------------------------------------------------------------------------- */

ce_status cei_curl_create(const cei_hub_client *client, cei_curl **curl, ce_error *error) {
    cei_curl *self = cei_alloc_zeroed(1, sizeof *self);
    if (!self) return fail_start(error);
    self->http.perform = perform;
    self->client = client;
    ce_status status = load(self, error);
    if (status == CE_OK && self->call.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) status = fail_start(error);
    if (status == CE_OK) {
        self->easy = self->call.easy_init();
        self->multi = self->call.multi_init();
        if (!self->easy || !self->multi) status = fail_start(error);
    }
    if (status == CE_OK) {
        *curl = self;
    } else {
        cei_curl_free(self);
    }
    return status;
}

cei_http *cei_curl_http(cei_curl *curl) { return &curl->http; }

void cei_curl_free(cei_curl *curl) {
    if (!curl) return;
    if (curl->multi) curl->call.multi_cleanup(curl->multi);
    if (curl->easy) curl->call.easy_cleanup(curl->easy);
    if (curl->library) dlclose(curl->library);
    cei_free(curl);
}

#else

ce_status cei_curl_create(const cei_hub_client *client, cei_curl **curl, ce_error *error) {
    (void)client, (void)curl;
    return cei_fail(
        error, CE_ERR_UNSUPPORTED,
        "this crossenc was built without libcurl's headers, and fetches nothing: build it with them (Debian: "
        "libcurl4-openssl-dev), or fetch the model with `hf download`");
}

cei_http *cei_curl_http(cei_curl *curl) { return (cei_http *)(void *)curl; }
void cei_curl_free(cei_curl *curl) { (void)curl; }

#endif
