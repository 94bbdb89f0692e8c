/* test_name.c - what may be the name of a model, a revision, a file. */
#include "hub/name.h"

#include "support/support.h"

#include <stdio.h>
#include <string.h>

static void expect_name(const char *text, const char *revision, const char *repository, const char *want) {
    ce_error error = {0};
    cei_model_name name;
    expect_ok(cei_model_name_parse(text, revision, &name, &error), &error);
    assert_string_equal(name.repository, repository);
    assert_string_equal(name.revision, want);
    assert_int_equal(name.has_revision, revision || strchr(text, '@'));
}

static void expect_refused(const char *text, const char *revision, const char *part) {
    ce_error error = {0};
    cei_model_name name;
    expect_status(cei_model_name_parse(text, revision, &name, &error), CE_ERR_ARGUMENT, &error, part);
    assert_int_equal(cei_model_name_parse(text, revision, &name, NULL), CE_ERR_ARGUMENT);
}

static void test_names(void **state) {
    (void)state;
    expect_name("bert-base-uncased", NULL, "bert-base-uncased", "main");
    expect_name("cross-encoder/ms-marco-MiniLM-L6-v2", NULL, "cross-encoder/ms-marco-MiniLM-L6-v2", "main");
    expect_name("a/b@v1.0", NULL, "a/b", "v1.0");
    expect_name("a/b@refs/pr/7", NULL, "a/b", "refs/pr/7");
    expect_name("a/b", "dev", "a/b", "dev");
    expect_name("a/b@dev", "dev", "a/b", "dev");
    expect_name("A_1.x/b.2", NULL, "A_1.x/b.2", "main");
}

static void test_wrong_names(void **state) {
    (void)state;
    static const char *const names[] = {"",     "/",    "a/",    "/a",    "a//b",  "a/b/c",  "a--b/c",  "a/b..c",
                                        ".a/b", "a/b.", "-a/b",  "a/b-",  "a b/c", "a\\b",   "a/b.git", "\xC3\xA4/b",
                                        "..",   "a/..", "a/b\n", "a:b/c", "~/a",   "a/b%2e", "@main"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) expect_refused(names[i], NULL, "is no name of a model");
    char longest[97 + 97 + 1], *end = longest + sizeof longest - 1;
    memset(longest, 'a', sizeof longest);
    longest[97] = '/';
    *end = '\0';
    expect_refused(longest, NULL, "is no name of a model");
    longest[96] = '/';
    end[-1] = '\0';
    longest[97] = 'b';
    expect_name(longest, NULL, longest, "main");
}

static void test_wrong_revisions(void **state) {
    (void)state;
    static const char *const revisions[] = {"",    "..",  "a/../b", "/a",  "a/",   "a b",  "a\tb",  "a:b", "a^",
                                            "a~1", "a?b", "a*b",    "a[b", "a\\b", "a//b", "a\x7F", ".",   "a@{1}"};
    for (size_t i = 0; i < sizeof revisions / sizeof *revisions; i++)
        expect_refused("a/b", revisions[i], "can be no revision");
    expect_refused("a/b@", NULL, "can be no revision");
    expect_refused("a/b@x", "y", "give one of them");
    char longest[CEI_REVISION_SIZE + 1];
    memset(longest, 'r', sizeof longest);
    longest[CEI_REVISION_SIZE] = '\0';
    expect_refused("a/b", longest, "can be no revision");
    longest[CEI_REVISION_SIZE - 1] = '\0';
    expect_name("a/b", longest, "a/b", longest);
}

static void test_organizations(void **state) {
    (void)state;
    ce_error error = {0};
    cei_model_name name, qualified;
    expect_ok(cei_model_name_parse("tiny@v1", NULL, &name, &error), &error);
    assert_true(cei_model_name_qualify(&name, "cross-encoder", &qualified));
    assert_string_equal(qualified.repository, "cross-encoder/tiny");
    assert_string_equal(qualified.revision, "v1");
    assert_false(cei_model_name_qualify(&name, "a/b", &qualified));
    assert_false(cei_model_name_qualify(&name, "", &qualified));
    expect_ok(cei_model_name_parse("a/tiny", NULL, &name, &error), &error);
    assert_false(cei_model_name_qualify(&name, "cross-encoder", &qualified));
}

static void test_files(void **state) {
    (void)state;
    static const char *const safe[] = {"a",   "config.json", "1_Pooling/config.json", "...", "..a/b", ".gitattributes",
                                       "a b", "\xC3\xA4"};
    static const char *const unsafe[] = {"",      ".",    "..",    "../a",   "a/..", "a/../b", "/a",
                                         "a/",    "a//b", "./a",   "a/./b",  "a\\b", "a\nb",   "a\x7F",
                                         "a/../", "/",    "\x01x", "..\\..", "a/.."};
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++) assert_true(cei_file_name_is_safe(safe[i]));
    for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++) assert_false(cei_file_name_is_safe(unsafe[i]));
    char name[CEI_FILE_NAME_SIZE + 1];
    memset(name, 'x', sizeof name);
    name[256] = '\0';
    assert_false(cei_file_name_is_safe(name));
    name[255] = '\0';
    assert_true(cei_file_name_is_safe(name));
    for (size_t i = 0; i < sizeof name; i++) name[i] = i % 2 ? '/' : 'x';
    name[CEI_FILE_NAME_SIZE] = '\0';
    assert_false(cei_file_name_is_safe(name));
    name[CEI_FILE_NAME_SIZE - 1] = '\0';
    assert_true(cei_file_name_is_safe(name));
}

static void test_digits(void **state) {
    (void)state;
    assert_true(cei_is_hex("0af9", 4));
    assert_false(cei_is_hex("0af9", 3));
    assert_false(cei_is_hex("0AF9", 4));
    assert_false(cei_is_hex("0afg", 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),           cmocka_unit_test(test_wrong_names),
                                       cmocka_unit_test(test_wrong_revisions), cmocka_unit_test(test_organizations),
                                       cmocka_unit_test(test_files),           cmocka_unit_test(test_digits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
