/* fuzz_hub.c - what a hub sends: its list of a model's files, lists in these files, header lines, addresses; and names.
 * What is accepted is safe to be a path below a folder of ours, or leads where it says. The first byte chooses. */
#include "fuzz.h"

#include "base/memory.h"
#include "hub/http.h"
#include "hub/listing.h"

#include <string.h>

static void check_names(const cei_file_list *list, bool are_folders) {
    for (size_t i = 0; i < list->count; i++) {
        char name[CEI_FILE_NAME_SIZE + 1];
        size_t size = strlen(list->names[i]);
        fuzz_require(size < sizeof name);
        memcpy(name, list->names[i], size + 1);
        if (are_folders && size) {
            fuzz_require(name[size - 1] == '/');
            name[size - 1] = '\0';
        }
        if (size || !are_folders) fuzz_require(cei_file_name_is_safe(name) && name[0] != '/');
    }
}

static void read_listing(const char *data, size_t size) {
    ce_error error = {CE_OK, ""};
    cei_listing listing;
    cei_file_list wanted = {0};
    ce_status status = cei_listing_parse(data, size, "URL", &listing, &error);
    fuzz_check_error(status, &error);
    if (status == CE_OK) {
        fuzz_require(cei_is_hex(listing.commit, CEI_COMMIT_SIZE - 1));
        check_names(&listing.files, false);
        fuzz_require(cei_listing_want(&listing, "", &wanted));
        for (size_t i = 0; i < wanted.count; i++) fuzz_require(cei_listing_has(&listing, wanted.names[i]));
    }
    cei_file_list_free(&wanted);
    cei_listing_free(&listing);
}

static void read_lists(const char *data, size_t size) {
    ce_error error = {CE_OK, ""};
    cei_file_list folders = {0}, shards = {0};
    fuzz_check_error(cei_listing_modules(data, size, "modules.json", &folders, &error), &error);
    check_names(&folders, true);
    fuzz_check_error(cei_listing_shards(data, size, "index", "F/", &shards, &error), &error);
    check_names(&shards, false);
    cei_model_name base = {.repository = ""};
    fuzz_check_error(cei_listing_base(data, size, "adapter_config.json", &base, &error), &error);
    if (*base.repository) fuzz_require(cei_file_name_is_safe(base.repository));
    cei_file_list_free(&folders);
    cei_file_list_free(&shards);
}

static void check_redirection(const char *location) {
    ce_error error = {CE_OK, ""};
    char next[CEI_HTTP_URL];
    cei_http_origin from, to;
    fuzz_require(cei_http_read_origin("https://hub:1/x", &from, NULL) == CE_OK);
    ce_status status = cei_http_redirect("https://hub:1/x", location, next, &error);
    fuzz_check_error(status, &error);
    if (status != CE_OK) return;
    fuzz_require(cei_http_read_origin(next, &to, NULL) == CE_OK && to.is_https);
    /* Nothing but a path on the same host, or that host by its name, keeps the origin. */
    if (location[0] == '/') fuzz_require(cei_http_same_origin(&from, &to));
}

static void read_header(const char *data, size_t size) {
    cei_http_reply reply = {0};
    bool goes_on = true;
    while (size && goes_on) {
        const char *end = memchr(data, '\n', size);
        size_t line = end ? (size_t)(end - data) + 1 : size;
        goes_on = cei_http_header(&reply, data, line);
        data += line;
        size -= line;
    }
    fuzz_require(reply.status < 1000 && reply.bytes <= CEI_HTTP_HEADERS);
    fuzz_require(strlen(reply.etag) < sizeof reply.etag && strlen(reply.linked_etag) < sizeof reply.linked_etag);
    check_redirection(reply.location);
}

static void read_name(const char *text) {
    ce_error error = {CE_OK, ""};
    cei_model_name name, qualified;
    ce_status status = cei_model_name_parse(text, NULL, &name, &error);
    fuzz_require(status == CE_OK || (status == CE_ERR_ARGUMENT && error.message[0]));
    if (status == CE_OK) {
        fuzz_require(cei_file_name_is_safe(name.repository) && cei_file_name_is_safe(name.revision));
        fuzz_require(!strstr(name.repository, "--"));
        if (cei_model_name_qualify(&name, "org", &qualified))
            fuzz_require(strncmp(qualified.repository, "org/", 4) == 0);
    }
    char *quoted = cei_http_quote(text, false);
    fuzz_require(quoted && !strpbrk(quoted, "/?#\r\n \"\\"));
    cei_free(quoted);
    check_redirection(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    /* A copy, so that sanitizers see what is read behind its end; with a NUL for those who want one. */
    char *text = cei_copy_string((const char *)data + 1, size - 1);
    fuzz_require(text != NULL);
    switch (data[0]) {
    case 'l': read_listing(text, size - 1); break;
    case 'm': read_lists(text, size - 1); break;
    case 'h': read_header(text, size - 1); break;
    default: read_name(text); break;
    }
    cei_free(text);
    return 0;
}
