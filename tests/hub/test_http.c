/* test_http.c - header lines, URLs, and where redirections lead. */
#include "hub/http.h"

#include "base/memory.h"
#include "support/support.h"

#include <stdio.h>
#include <string.h>

static void take(cei_http_reply *reply, const char *line) { assert_true(cei_http_header(reply, line, strlen(line))); }

static void test_header(void **state) {
    (void)state;
    static const char *const lines[] = {"HTTP/1.1 302 Found\r\n",
                                        "Content-Length: 12\r\n",
                                        "x-linked-size:34\r\n",
                                        "X-Linked-ETag: \"abc\"\r\n",
                                        "ETag: W/\"def\"\r\n",
                                        "X-Repo-Commit:   0123  \r\n",
                                        "X-Error-Code: GatedRepo\r\n",
                                        "x-error-message: no\r\n",
                                        "Location: /a?b\r\n",
                                        "Retry-After: 7\r\n",
                                        "Content-Range: bytes 5-9/10\r\n",
                                        "X-Other: 1\r\n",
                                        "\r\n"};
    cei_http_reply reply = {0};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) take(&reply, lines[i]);
    assert_int_equal(reply.status, 302);
    assert_true(reply.has_length && reply.length == 12 && reply.has_linked_size && reply.linked_size == 34);
    assert_true(reply.has_retry && reply.retry_s == 7 && reply.has_range && reply.range_begin == 5);
    assert_string_equal(reply.linked_etag, "abc");
    assert_string_equal(reply.etag, "def");
    assert_string_equal(reply.commit, "0123");
    assert_string_equal(reply.error_code, "GatedRepo");
    assert_string_equal(reply.error_message, "no");
    assert_string_equal(reply.location, "/a?b");
    take(&reply, "HTTP/2 200\r\n"); /* another reply, as behind one of status 100 */
    assert_int_equal(reply.status, 200);
    assert_false(reply.has_length || reply.has_range || reply.has_retry || *reply.location || *reply.etag);
}

static void test_odd_header(void **state) {
    (void)state;
    cei_http_reply reply = {0};
    static const char *const lines[] = {
        "HTTP/1.1",        "HTTP/1.1 99999 x", "Content-Length: -1",
        "Content-Length:", "Retry-After: Fri", "Content-Range: bytes */5",
        "no colon",        ": nothing",        "Content-Length: 99999999999999999999999"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) take(&reply, lines[i]);
    assert_int_equal(reply.status, 0);
    assert_false(reply.has_length || reply.has_retry || reply.has_range);
    assert_true(cei_http_header(&reply, "ETag: \"a\0b\"", 11));
    assert_string_equal(reply.etag, "");
    char line[CEI_HTTP_FIELD + 64];
    snprintf(line, sizeof line, "ETag: %0*d", CEI_HTTP_FIELD - 1, 7);
    take(&reply, line);
    assert_int_equal(strlen(reply.etag), CEI_HTTP_FIELD - 1);
    snprintf(line, sizeof line, "ETag: %0*d", CEI_HTTP_FIELD, 7);
    take(&reply, line);
    assert_string_equal(reply.etag, "");
}

static void test_many_header_lines(void **state) {
    (void)state;
    cei_http_reply reply = {0};
    static char line[1024];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < CEI_HTTP_HEADERS / 1024; i++) assert_true(cei_http_header(&reply, line, sizeof line));
    assert_false(cei_http_header(&reply, "x", 1));
    assert_true(cei_http_header(&reply, "", 0));
}

static void expect_origin(const char *url, bool is_https, const char *host, unsigned port) {
    ce_error error = {0};
    cei_http_origin origin;
    expect_ok(cei_http_read_origin(url, &origin, &error), &error);
    assert_int_equal(origin.is_https, is_https);
    assert_string_equal(origin.host, host);
    assert_int_equal(origin.port, port);
}

static void test_origins(void **state) {
    (void)state;
    ce_error error = {0};
    cei_http_origin origin;
    expect_origin("https://Huggingface.CO", true, "huggingface.co", 443);
    expect_origin("http://a:8080/b?c", false, "a", 8080);
    expect_origin("http://a?b:c@d", false, "a", 80);
    expect_origin("https://[::1]:7/x", true, "[::1]", 7);
    static const char *const wrong[] = {"",
                                        "a",
                                        "ftp://a",
                                        "http://",
                                        "http:///a",
                                        "file:///a",
                                        "http://u@a/",
                                        "http://u:p@a",
                                        "http://a:0",
                                        "http://a:65536",
                                        "http://a:",
                                        "http://a:1x",
                                        "http://a b",
                                        "http://a\r\nb",
                                        "http://a\\@b",
                                        "http://a%40b",
                                        "HTTP://a",
                                        "http://[::1",
                                        "http://a:123456"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_status(cei_http_read_origin(wrong[i], &origin, &error), CE_ERR_FORMAT, &error, "is no URL");
}

static void test_same_origin(void **state) {
    (void)state;
    cei_http_origin a, b;
    static const char *const others[] = {"http://hub", "https://hub:444", "https://hub.evil", "https://evil"};
    assert_int_equal(cei_http_read_origin("https://hub", &a, NULL), CE_OK);
    assert_int_equal(cei_http_read_origin("https://HUB:443/x", &b, NULL), CE_OK);
    assert_true(cei_http_same_origin(&a, &b));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(cei_http_read_origin(others[i], &b, NULL), CE_OK);
        assert_false(cei_http_same_origin(&a, &b));
    }
}

static void test_redirections(void **state) {
    (void)state;
    ce_error error = {0};
    char next[CEI_HTTP_URL];
    expect_ok(cei_http_redirect("https://a:1/b?c", "/d?e", next, &error), &error);
    assert_string_equal(next, "https://a:1/d?e");
    expect_ok(cei_http_redirect("http://a", "/d", next, &error), &error);
    assert_string_equal(next, "http://a/d");
    expect_ok(cei_http_redirect("http://a/b", "https://c/d", next, &error), &error);
    assert_string_equal(next, "https://c/d");
    expect_status(cei_http_redirect("https://a/b", "http://a/b", next, &error), CE_ERR_FORMAT, &error, "not encrypted");
    static const char *const wrong[] = {"", "//c/d", "d", "ftp://c", "http://u@c", "/a b", "/a\r\nHost: x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(cei_http_redirect("http://a/b", wrong[i], next, &error), CE_ERR_FORMAT);
    static char location[CEI_HTTP_URL];
    memset(location, 'x', sizeof location - 1);
    location[0] = '/';
    expect_status(cei_http_redirect("http://a/b", location, next, &error), CE_ERR_FORMAT, &error, "where");
}

static void test_quoting(void **state) {
    (void)state;
    char *quoted = cei_http_quote("refs/pr/1 \xC3\xA4%-_.~", false);
    assert_string_equal(quoted, "refs%2Fpr%2F1%20%C3%A4%25-_.~");
    cei_free(quoted);
    quoted = cei_http_quote("1_Pooling/a?b#c", true);
    assert_string_equal(quoted, "1_Pooling/a%3Fb%23c");
    cei_free(quoted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),  cmocka_unit_test(test_odd_header),  cmocka_unit_test(test_many_header_lines),
        cmocka_unit_test(test_origins), cmocka_unit_test(test_same_origin), cmocka_unit_test(test_redirections),
        cmocka_unit_test(test_quoting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
