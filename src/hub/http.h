/* http.h - one request and its reply, whoever carries them: libcurl (curl.c), or a test's own. */
#ifndef CEI_HUB_HTTP_H
#define CEI_HUB_HTTP_H

#include <crossenc/status.h>

/* Bytes with the NUL; a field that is longer is as good as absent. Bytes of all header lines together. */
enum { CEI_HTTP_FIELD = 128, CEI_HTTP_URL = 8192, CEI_HTTP_HEADERS = 64 << 10 };

/* What the header of a reply says, as far as anybody here asks. Zeroed is that nothing came. */
typedef struct cei_http_reply {
    unsigned status; /* 200 and so on; 0 before the first line */
    bool has_length, has_linked_size, has_range, has_retry;
    uint64_t length;           /* Content-Length */
    uint64_t linked_size;      /* X-Linked-Size: of the file that a redirection leads to */
    uint64_t range_begin;      /* Content-Range: of the first byte that follows */
    uint64_t retry_s;          /* Retry-After, if it is in seconds */
    char etag[CEI_HTTP_FIELD]; /* without quotes and a weak one's W/ */
    char linked_etag[CEI_HTTP_FIELD];
    char commit[CEI_HTTP_FIELD];        /* X-Repo-Commit */
    char error_code[CEI_HTTP_FIELD];    /* X-Error-Code: "GatedRepo" and so on */
    char error_message[CEI_HTTP_FIELD]; /* X-Error-Message */
    char location[CEI_HTTP_URL];
    size_t bytes; /* of header lines so far */
} cei_http_reply;

/* Takes a line of a header, with or without its end. A status line begins a new reply. false: there are too many. */
bool cei_http_header(cei_http_reply *reply, const char *line, size_t size);

/* Receives a part of the body of a reply whose header is known. A failure ends the request. */
typedef ce_status (*cei_http_body_fn)(void *user, const cei_http_reply *reply, const void *data, size_t size,
                                      ce_error *error);

typedef struct cei_http_request {
    const char *url;   /* http or https */
    const char *token; /* NULL is none */
    bool is_head;
    uint64_t offset; /* of the first byte that is wanted; 0 is all, asked for without a range */
    cei_http_body_fn body;
    void *user;
} cei_http_request;

/* Carries a request, following no redirection. Of a failure *again says whether another try may do better.
 * Errors: IO (no connection, it broke off, ...), CANCELLED, MEMORY, those of the body. */
typedef struct cei_http cei_http;
struct cei_http {
    ce_status (*perform)(cei_http *http, const cei_http_request *request, cei_http_reply *reply, bool *again,
                         ce_error *error);
};

/* Where a URL leads. */
typedef struct cei_http_origin {
    bool is_https;
    unsigned port;
    char host[256]; /* in lower case */
} cei_http_origin;

/* Errors: FORMAT (no URL of http or https that leads to a host alone: no user, no blanks). */
ce_status cei_http_read_origin(const char *url, cei_http_origin *origin, ce_error *error);
bool cei_http_same_origin(const cei_http_origin *a, const cei_http_origin *b);

/* The URL that location, from a reply to url, leads to, into next [CEI_HTTP_URL]. Errors: FORMAT. */
ce_status cei_http_redirect(const char *url, const char *location, char *next, ce_error *error);

/* text with all but letters, digits, "-_.~" and, if it is kept, "/" as %XX, to be freed; NULL if there is no memory. */
char *cei_http_quote(const char *text, bool keep_slashes);

#endif
