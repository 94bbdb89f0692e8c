/* http.c - header lines and URLs. Relies on the C library; every byte comes from strangers. */
#include "hub/http.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- header lines -------------------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits at the beginning of text[0, size) as a number; false if there are none, or too many. */
static bool read_number(const char *text, size_t size, uint64_t *number) {
    uint64_t value = 0;
    size_t i = 0;
    for (; i < size && is_digit(text[i]); i++) {
        if (value > (UINT64_MAX - 9) / 10) return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (i == 0) return false;
    *number = value;
    return true;
}

static void copy_field(char *field, size_t room, const char *value, size_t size) {
    field[0] = '\0';
    if (size >= room || memchr(value, '\0', size)) return;
    memcpy(field, value, size);
    field[size] = '\0';
}

/* W/"abc", "abc" and abc are all abc. */
static void copy_etag(char *field, const char *value, size_t size) {
    if (size >= 2 && value[0] == 'W' && value[1] == '/') {
        value += 2;
        size -= 2;
    }
    if (size >= 2 && value[0] == '"' && value[size - 1] == '"') {
        value++;
        size -= 2;
    }
    copy_field(field, CEI_HTTP_FIELD, value, size);
}

/* HTTP/1.1 200 OK */
static void begin_reply(cei_http_reply *reply, const char *line, size_t size) {
    uint64_t status = 0;
    const char *blank = memchr(line, ' ', size);
    size_t bytes = reply->bytes;
    *reply = (cei_http_reply){.bytes = bytes};
    if (blank) (void)read_number(blank + 1, size - (size_t)(blank + 1 - line), &status);
    reply->status = status < 1000 ? (unsigned)status : 0;
}

/* bytes 100-199/200 */
static void read_range(cei_http_reply *reply, const char *value, size_t size) {
    static const char unit[] = "bytes ";
    size_t skip = sizeof unit - 1;
    reply->has_range = size > skip && strncasecmp(value, unit, skip) == 0 &&
                       read_number(value + skip, size - skip, &reply->range_begin);
}

static void read_field(cei_http_reply *reply, const char *name, size_t length, const char *value, size_t size) {
#define IS(text) (length == sizeof(text) - 1 && strncasecmp(name, text, length) == 0)
    if (IS("content-length")) reply->has_length = read_number(value, size, &reply->length);
    if (IS("x-linked-size")) reply->has_linked_size = read_number(value, size, &reply->linked_size);
    if (IS("retry-after")) reply->has_retry = read_number(value, size, &reply->retry_s);
    if (IS("content-range")) read_range(reply, value, size);
    if (IS("etag")) copy_etag(reply->etag, value, size);
    if (IS("x-linked-etag")) copy_etag(reply->linked_etag, value, size);
    if (IS("x-repo-commit")) copy_field(reply->commit, sizeof reply->commit, value, size);
    if (IS("x-error-code")) copy_field(reply->error_code, sizeof reply->error_code, value, size);
    if (IS("x-error-message")) copy_field(reply->error_message, sizeof reply->error_message, value, size);
    if (IS("location")) copy_field(reply->location, sizeof reply->location, value, size);
#undef IS
}

bool cei_http_header(cei_http_reply *reply, const char *line, size_t size) {
    if (size > CEI_HTTP_HEADERS - reply->bytes) return false;
    reply->bytes += size;
    while (size && is_blank(line[size - 1])) size--;
    if (size >= 5 && strncmp(line, "HTTP/", 5) == 0) {
        begin_reply(reply, line, size);
        return true;
    }
    const char *colon = size ? memchr(line, ':', size) : NULL;
    if (!colon) return true;
    const char *value = colon + 1, *end = line + size;
    while (value < end && is_blank(*value)) value++;
    read_field(reply, line, (size_t)(colon - line), value, (size_t)(end - value));
    return true;
}

/* ---- URLs ---------------------------------------------------------------------------------------------------- */

/* What is written behind the host: nothing, or a colon and a port. */
static bool read_port(const char *text, size_t size, unsigned *port) {
    uint64_t number = 0;
    if (size == 0) return true;
    if (text[0] != ':' || size > 6 || !read_number(text + 1, size - 1, &number) || number == 0 || number > 65535)
        return false;
    for (size_t i = 1; i < size; i++)
        if (!is_digit(text[i])) return false;
    *port = (unsigned)number;
    return true;
}

/* host, host:port or [address]:port */
static bool read_authority(const char *text, size_t size, cei_http_origin *origin) {
    const char *bracket = size && text[0] == '[' ? memchr(text, ']', size) : NULL;
    const char *colon = bracket ? bracket + 1 : size ? memchr(text, ':', size) : NULL;
    size_t length = colon ? (size_t)(colon - text) : size;
    if (length == 0 || length >= sizeof origin->host) return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool is_good = is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._", c) ||
                       (bracket && strchr("[:]", c));
        if (!is_good || !c) return false;
        origin->host[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    origin->host[length] = '\0';
    return read_port(text + length, size - length, &origin->port);
}

ce_status cei_http_read_origin(const char *url, cei_http_origin *origin, ce_error *error) {
    *origin = (cei_http_origin){.is_https = strncmp(url, "https://", 8) == 0};
    origin->port = origin->is_https ? 443 : 80;
    const char *authority = url + (origin->is_https ? 8 : 7);
    bool is_good = origin->is_https || strncmp(url, "http://", 7) == 0;
    for (const char *c = url; is_good && *c; c++) is_good = *c > 0x20 && *c != 0x7F && *c != '\\';
    if (is_good && read_authority(authority, strcspn(authority, "/?#"), origin)) return CE_OK;
    return cei_fail(error, CE_ERR_FORMAT, "\"%.200s\" is no URL of http or https that could be followed", url);
}

bool cei_http_same_origin(const cei_http_origin *a, const cei_http_origin *b) {
    return a->is_https == b->is_https && a->port == b->port && strcmp(a->host, b->host) == 0;
}

ce_status cei_http_redirect(const char *url, const char *location, char *next, ce_error *error) {
    cei_http_origin from, to;
    int length = -1;
    ce_status status = cei_http_read_origin(url, &from, error);
    if (status != CE_OK) return status;
    if (location[0] == '/' && location[1] != '/') {
        size_t scheme = from.is_https ? 8 : 7, authority = strcspn(url + scheme, "/?#");
        length = snprintf(next, CEI_HTTP_URL, "%.*s%s", (int)(scheme + authority), url, location);
    } else if (*location) {
        length = snprintf(next, CEI_HTTP_URL, "%s", location);
    }
    if (length < 0 || length >= CEI_HTTP_URL)
        return cei_fail(error, CE_ERR_FORMAT, "%.200s leads elsewhere, but does not say where", url);
    status = cei_http_read_origin(next, &to, error);
    if (status == CE_OK && from.is_https && !to.is_https)
        status = cei_fail(error, CE_ERR_FORMAT, "%.160s leads to %.160s, which is not encrypted: it is not followed",
                          url, next);
    return status;
}

char *cei_http_quote(const char *text, bool keep_slashes) {
    size_t size = 0, bytes = 0;
    if (!cei_mul_size(strlen(text), 3, &bytes)) return NULL;
    char *quoted = cei_alloc(bytes + 1, 1);
    if (!quoted) return NULL;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_plain = is_digit(*text) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-_.~", c) ||
                        (keep_slashes && c == '/');
        if (is_plain) {
            quoted[size++] = *text;
        } else {
            quoted[size++] = '%';
            quoted[size++] = "0123456789ABCDEF"[c >> 4];
            quoted[size++] = "0123456789ABCDEF"[c & 15];
        }
    }
    quoted[size] = '\0';
    return quoted;
}
