/* test_pull.c - a whole fetch without any network: replies come from tables. What the command does over real sockets is
 * in the files of pytest cases; here are want of memory at every place, cancelling, and who gets the token. */
#include "hub/pull.h"

#include "base/file.h"
#include "base/memory.h"
#include "hub/cache.h"
#include "hub/digest.h"
#include "hub/fetch.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define HUB "https://hub.test"
#define STORE "https://store.test"

typedef struct served {
    const char *name, *content;
    bool is_large;
    char sum[CEI_DIGEST_SIZE];
} served;

static served files[] = {
    {"config.json", "{}", false, ""},
    {"modules.json", "[{\"path\": \"\"}, {\"path\": \"1_Pooling\"}]", false, ""},
    {"1_Pooling/config.json", "{\"a\": 1}", false, ""},
    {"model.safetensors.index.json", "{\"weight_map\": {\"w\": \"model-1.safetensors\"}}", false, ""},
    {"model-1.safetensors", "weights that are large, as far as tests know", true, ""},
    {"onnx/model.onnx", "not wanted", true, ""},
    {"README.md", "", false, ""},
};

enum { FILES = sizeof files / sizeof *files };

/* A carrier of requests that has everything in tables, and allocates nothing. */
typedef struct tables {
    cei_http http;
    size_t requests;
    size_t fail_at;      /* the request, from 1, that fails in a way that may pass; 0 is none */
    size_t piece;        /* bytes of a body at a time */
    bool leaks;          /* a token came to the other host */
    bool is_tokenless;   /* no token came to the hub */
    const char *changed; /* of this file another content is sent */
    char other_commit[64];
} tables;

static ce_status send_body(const tables *self, const cei_http_request *request, const cei_http_reply *reply,
                           const char *body, ce_error *error) {
    size_t size = strlen(body);
    for (size_t at = request->offset; at < size; at += self->piece) {
        size_t piece = size - at < self->piece ? size - at : self->piece;
        ce_status status = request->body(request->user, reply, body + at, piece, error);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

static const served *find_file(const char *url, const char *before) {
    for (size_t i = 0; i < FILES; i++) {
        const served *file = &files[i];
        size_t length = strlen(before);
        if (strncmp(url, before, length) == 0 && strcmp(url + length, file->name) == 0) return file;
    }
    return NULL;
}

static ce_status send_listing(const tables *self, const cei_http_request *request, cei_http_reply *reply,
                              ce_error *error) {
    char body[2048] = "{\"id\": \"org/name\", \"sha\": \"" COMMIT "\", \"siblings\": [";
    for (size_t i = 0; i < FILES; i++) {
        size_t used = strlen(body);
        snprintf(body + used, sizeof body - used, "%s{\"rfilename\": \"%s\"}", i ? ", " : "", files[i].name);
    }
    strcat(body, "]}");
    reply->status = 200;
    return send_body(self, request, reply, body, error);
}

static ce_status send_file(const tables *self, const cei_http_request *request, cei_http_reply *reply,
                           const served *file, bool is_store, ce_error *error) {
    bool is_elsewhere = file->is_large && !is_store;
    reply->status = is_elsewhere ? 302 : request->offset ? 206 : 200;
    reply->has_range = request->offset > 0;
    reply->range_begin = request->offset;
    reply->has_length = true;
    reply->length = is_elsewhere ? 7 : strlen(file->content);
    snprintf(reply->commit, sizeof reply->commit, "%s", *self->other_commit ? self->other_commit : COMMIT);
    snprintf(reply->etag, sizeof reply->etag, "%s", is_elsewhere ? "pointer" : file->sum);
    if (is_elsewhere) {
        snprintf(reply->linked_etag, sizeof reply->linked_etag, "%s", file->sum);
        reply->has_linked_size = true;
        reply->linked_size = strlen(file->content);
        snprintf(reply->location, sizeof reply->location, STORE "/%s", file->name);
    }
    if (request->is_head || is_elsewhere) return CE_OK;
    bool is_changed = self->changed && strcmp(self->changed, file->name) == 0;
    return send_body(self, request, reply, is_changed ? "weights that are large, as far as tests see!" : file->content,
                     error);
}

static ce_status perform(cei_http *http, const cei_http_request *request, cei_http_reply *reply, bool *again,
                         ce_error *error) {
    tables *self = (tables *)(void *)http;
    self->requests++;
    bool is_store = strncmp(request->url, STORE, strlen(STORE)) == 0;
    self->leaks = self->leaks || (is_store && request->token);
    self->is_tokenless = self->is_tokenless || (!is_store && !request->token);
    if (self->requests == self->fail_at) {
        *again = true;
        snprintf(error->message, sizeof error->message, "the connection is gone");
        return error->status = CE_ERR_IO;
    }
    if (strcmp(request->url, HUB "/api/models/org/name/revision/v1") == 0)
        return send_listing(self, request, reply, error);
    const served *file = find_file(request->url, is_store ? STORE "/" : HUB "/org/name/resolve/" COMMIT "/");
    assert_non_null(file);
    return send_file(self, request, reply, file, is_store, error);
}

/* ---- a fetch ------------------------------------------------------------------------------------------------- */

static char *place;
static tables carrier;

static int make_place(void **state) {
    (void)state;
    place = test_make_folder();
    carrier = (tables){.http = {perform}, .piece = 7};
    return 0;
}

static int remove_place(void **state) {
    (void)state;
    test_remove_folder(place);
    return 0;
}

static ce_status pull_with(cei_hub_settings *settings, char **folder, ce_hub_report *report, ce_error *error) {
    cei_hub_client client;
    cei_model_name name;
    char endpoint[] = HUB, token[] = "t";
    settings->endpoint = endpoint;
    settings->token = token;
    *report = (ce_hub_report){.size = sizeof *report};
    expect_ok(cei_model_name_parse("org/name@v1", NULL, &name, error), error);
    expect_ok(cei_hub_client_create(&client, &carrier.http, settings, error), error);
    return cei_hub_pull(&client, &name, folder, report, error);
}

static ce_status pull(char **folder, ce_hub_report *report, ce_error *error) {
    cei_hub_settings settings = {.cache = place, .attempts = 2};
    return pull_with(&settings, folder, report, error);
}

static char *path_of(const char *name) {
    char *path = cei_format_string("%s/models--org--name/%s", place, name);
    assert_non_null(path);
    return path;
}

static bool is_there(const char *name) {
    char *path = path_of(name);
    bool there = access(path, F_OK) == 0;
    cei_free(path);
    return there;
}

static void expect_content(const char *name, const char *want) {
    size_t size = 0;
    char *path = path_of(name), *data = test_read_file(path, &size);
    assert_int_equal(size, strlen(want));
    assert_memory_equal(data, want, size);
    free(data);
    cei_free(path);
}

static void expect_whole(void) {
    expect_content("refs/v1", COMMIT);
    for (size_t i = 0; i < FILES; i++) {
        char name[256];
        snprintf(name, sizeof name, "snapshots/" COMMIT "/%s", files[i].name);
        if (strncmp(files[i].name, "onnx", 4) == 0) {
            assert_false(is_there(name));
        } else {
            expect_content(name, files[i].content);
        }
    }
    assert_true(is_there(".no_exist/" COMMIT "/vocab.txt") && !is_there(".no_exist/" COMMIT "/config.json"));
}

static void test_all_of_it(void **state) {
    (void)state;
    ce_error error = {0};
    ce_hub_report report;
    char *folder = NULL, target[256];
    expect_ok(pull(&folder, &report, &error), &error);
    expect_whole();
    assert_non_null(strstr(folder, "/models--org--name/snapshots/" COMMIT));
    cei_free(folder);
    assert_int_equal(report.files, 6);
    assert_int_equal(report.files_fetched, 6);
    assert_int_equal(report.bytes, report.bytes_fetched);
    assert_string_equal(report.repository, "org/name");
    assert_string_equal(report.commit, COMMIT);
    assert_false(carrier.leaks || carrier.is_tokenless);
    char *link = path_of("snapshots/" COMMIT "/1_Pooling/config.json");
    ssize_t length = readlink(link, target, sizeof target - 1);
    assert_true(length > 0);
    target[length] = '\0';
    assert_int_equal(strncmp(target, "../../../blobs/", 15), 0);
    cei_free(link);
}

static void test_nothing_to_do(void **state) {
    (void)state;
    ce_error error = {0};
    ce_hub_report report;
    char *folder = NULL;
    expect_ok(pull(&folder, &report, &error), &error);
    cei_free(folder);
    carrier.requests = 0;
    expect_ok(pull(&folder, &report, &error), &error);
    cei_free(folder);
    assert_int_equal(report.files_fetched, 0);
    assert_int_equal(report.bytes_fetched, 0);
    assert_int_equal(carrier.requests, 1 + 6 + 2); /* the list, and each file's sum; of two of them twice */
}

/* A try that fails, at each request in turn. */
static void test_each_request_fails_once(void **state) {
    (void)state;
    ce_error error = {0};
    ce_hub_report report;
    carrier.fail_at = 1;
    for (size_t total = 1; carrier.fail_at <= total; carrier.fail_at++) {
        char *folder = NULL;
        test_remove_folder(place);
        place = test_make_folder();
        carrier.requests = 0;
        expect_ok(pull(&folder, &report, &error), &error);
        cei_free(folder);
        expect_whole();
        total = carrier.requests - 1;
    }
    assert_true(carrier.fail_at > 10);
}

static void test_a_file_that_is_another(void **state) {
    (void)state;
    ce_error error = {0};
    ce_hub_report report;
    char *folder = NULL, name[128];
    carrier.changed = "model-1.safetensors";
    expect_status(pull(&folder, &report, &error), CE_ERR_FORMAT, &error, "SHA-256");
    assert_null(folder);
    assert_false(is_there("refs/v1") || is_there("snapshots/" COMMIT "/model-1.safetensors"));
    snprintf(name, sizeof name, "blobs/%s", files[4].sum);
    assert_false(is_there(name));
    strcat(name, ".incomplete");
    assert_false(is_there(name));
    carrier.changed = NULL;
    expect_ok(pull(&folder, &report, &error), &error);
    cei_free(folder);
    expect_whole();
}

static void test_another_commit(void **state) {
    (void)state;
    ce_error error = {0};
    ce_hub_report report;
    char *folder = NULL;
    snprintf(carrier.other_commit, sizeof carrier.other_commit, "%s", "f" COMMIT);
    expect_status(pull(&folder, &report, &error), CE_ERR_FORMAT, &error, "another one was asked for");
}

/* Beginnings of a file: right, wrong, too long, all of it, and a blob that was cut. */
static void test_beginnings(void **state) {
    (void)state;
    static const struct {
        const char *content, *ending;
        size_t fetched; /* of this file's bytes */
    } beginnings[] = {{"weights that", ".incomplete", 32},
                      {"Weights that", ".incomplete", 32 + 44},
                      {"weights that are large, as far as tests know", ".incomplete", 0},
                      {"weights that are large, as far as tests know, and more", ".incomplete", 44},
                      {"weights", "", 44}};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        ce_error error = {0};
        ce_hub_report report;
        char *folder = NULL, name[128];
        test_remove_folder(place);
        place = test_make_folder();
        char *blobs = path_of("blobs");
        expect_ok(cei_cache_make_folders(blobs, &error), &error);
        snprintf(name, sizeof name, "%s%s", files[4].sum, beginnings[i].ending);
        test_write_file(blobs, name, beginnings[i].content, strlen(beginnings[i].content));
        cei_free(blobs);
        expect_ok(pull(&folder, &report, &error), &error);
        cei_free(folder);
        expect_whole();
        assert_int_equal(report.bytes_fetched, report.bytes - 44 + beginnings[i].fetched);
    }
}

/* Room is needed for what is missing alone: a beginning may be larger than all the room that is left. */
static void test_what_is_missing(void **state) {
    (void)state;
    static const struct {
        const char *name;
        off_t bytes;
        uint64_t missing;
        bool is_here;
    } blobs[] = {{"", 44, 0, true}, {"", 43, 44, false}, {".incomplete", 40, 4, false}, {".incomplete", 45, 44, false}};
    char *folder = path_of(""), *blob_folder = path_of("blobs");
    char endpoint[] = HUB;
    ce_error error = {0};
    cei_hub_client client;
    const cei_hub_settings settings = {.endpoint = endpoint, .attempts = 1};
    const cei_hub_snapshot snapshot = {&client, "org/name", COMMIT, folder, "", ""};
    expect_ok(cei_hub_client_create(&client, &carrier.http, &settings, &error), &error);
    expect_ok(cei_cache_make_folders(blob_folder, &error), &error);
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++) {
        cei_hub_file file;
        char name[128];
        snprintf(name, sizeof name, "%s%s", files[4].sum, blobs[i].name);
        test_write_file(blob_folder, name, "", 0);
        char *blob = cei_join_path(blob_folder, name);
        assert_int_equal(truncate(blob, blobs[i].bytes), 0);
        expect_ok(cei_hub_file_ask(&snapshot, files[4].name, &file, &error), &error);
        assert_true(file.size == 44 && file.missing == blobs[i].missing && file.is_here == blobs[i].is_here);
        assert_int_equal(unlink(blob), 0);
        cei_free(blob);
    }
    cei_free(folder);
    cei_free(blob_folder);
}

/* What lies in wait under a name of ours is not written to. */
static void test_links_in_the_way(void **state) {
    (void)state;
    ce_error error = {0};
    ce_hub_report report;
    char *folder = NULL, name[128];
    snprintf(name, sizeof name, "blobs/%s.incomplete", files[4].sum);
    char *link = path_of(name);
    expect_ok(cei_cache_make_parents(link, &error), &error);
    assert_int_equal(symlink("/nonexistent/target", link), 0);
    expect_status(pull(&folder, &report, &error), CE_ERR_IO, &error, ".incomplete");
    cei_free(link);
}

/* ---- the caller ---------------------------------------------------------------------------------------------- */

typedef struct watcher {
    size_t calls, stop_at;
    uint64_t done, total;
} watcher;

static bool watch(void *user, uint64_t done, uint64_t total) {
    watcher *self = user;
    assert_true(done <= total);
    self->done = done;
    self->total = total;
    return ++self->calls != self->stop_at;
}

static void test_cancelling(void **state) {
    (void)state;
    ce_error error = {0};
    ce_hub_report report;
    char *folder = NULL;
    watcher seen = {.stop_at = 1};
    cei_hub_settings settings = {
        .cache = place, .attempts = 2, .backoff_ms = 1, .progress = watch, .progress_user = &seen};
    carrier.fail_at = 3; /* the pause before another try asks the caller */
    expect_status(pull_with(&settings, &folder, &report, &error), CE_ERR_CANCELLED, &error, "cancelled");
    assert_null(folder);
    assert_false(is_there("refs/v1"));
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* Into the same cache each time: what failed before must not be in the way. */
static ce_status pull_once(void *user, ce_error *error) {
    (void)user;
    ce_hub_report report;
    char *folder = NULL;
    ce_status status = pull(&folder, &report, error);
    assert_true((status == CE_OK) == (folder != NULL));
    cei_free(folder);
    return status;
}

/* One allocation more succeeds each time, until none is missing; each time into an empty cache. */
static void test_without_memory(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char complaint[256] = "";
    size_t made = 0, nth = 0;
    do {
        nth++;
        test_remove_folder(place);
        place = test_make_folder();
        made = failing_malloc_try(pull_once, NULL, nth % 2 ? FAILING_ONCE : FAILING_FROM, nth, complaint);
        if (*complaint) fail_msg("allocation %zu: %s", nth, complaint);
    } while (made >= nth);
    assert_in_range(nth, 90, 2000);
    assert_true(test_some_allocations(pull_once, NULL, 50) > 50);
    expect_whole();
}

static int make_sums(void **state) {
    (void)state;
    /* Hundreds of fetches wait hundreds of times until all is on a disk, which memory is not. */
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    for (size_t i = 0; i < FILES; i++) {
        cei_digest digest;
        char head[32];
        int size = snprintf(head, sizeof head, "blob %zu", strlen(files[i].content));
        cei_digest_begin(&digest, files[i].is_large ? CEI_SHA256 : CEI_SHA1);
        if (!files[i].is_large) cei_digest_add(&digest, head, (size_t)size + 1);
        cei_digest_add(&digest, files[i].content, strlen(files[i].content));
        cei_digest_end(&digest, files[i].sum);
    }
    return 0;
}

#define case_of(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void) {
    const struct CMUnitTest tests[] = {case_of(test_all_of_it),
                                       case_of(test_nothing_to_do),
                                       case_of(test_each_request_fails_once),
                                       case_of(test_a_file_that_is_another),
                                       case_of(test_another_commit),
                                       case_of(test_beginnings),
                                       case_of(test_what_is_missing),
                                       case_of(test_links_in_the_way),
                                       case_of(test_cancelling),
                                       case_of(test_without_memory)};
    return cmocka_run_group_tests(tests, make_sums, NULL);
}
