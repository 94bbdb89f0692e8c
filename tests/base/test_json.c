/* test_json.c - the parser against Jansson's and by its own promises; typed fields and their messages. */
#include "base/json.h"

#include "base/file.h"
#include "base/memory.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text) {
    ce_error error = {0};
    json_t *root = NULL;
    expect_ok(cei_json_parse(text, strlen(text), "file", &root, &error), &error);
    return root;
}

static void expect_bad_of(const char *text, size_t size, const char *part) {
    ce_error error = {0};
    json_t *root = (json_t *)1;
    ce_status status = cei_json_parse(text, size, "file.json", &root, &error);
    if (status == CE_OK) fail_msg("accepted: %s", text);
    expect_status(status, CE_ERR_FORMAT, &error, part);
    expect_status(status, CE_ERR_FORMAT, &error, "file.json is not valid JSON: line ");
    assert_null(root);
}

static void expect_bad(const char *text, const char *part) { expect_bad_of(text, strlen(text), part); }

/* ---- the parser --------------------------------------------------------------------------------------------- */

static void every_kind_of_value_is_read(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775807",
        "1.5",
        "-0.0",
        "1e3",
        "1E-2",
        "2.5e+1",
        "1e-400",
        "true",
        "false",
        "null",
        "\"\"",
        "\"abc\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u00e9\\u20ac\\ud83d\\ude00\"",
        "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
        "\"\\u0000\"",
        "[]",
        "[ ]",
        "[1, [2, {}], \"3\"]",
        "{}",
        "{ }",
        "{\"a\": 1, \"b\" :[true] , \"\": null}",
        " \t\r\n{\"a\"\n:\n1}\n",
        "{\"a\": 1, \"a\": 2}",
        "{\"\\u0061\\n\": {\"\\t\": 3}}",
        "0.1",
        "123456789.123456789",
        "4.9406564584124654e-324",
        "1.7976931348623157e308",
        "3.141592653589793238462643383279502884",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *ours = parse(texts[i]);
        json_t *theirs = json_loads(texts[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(theirs);
        if (!json_equal(ours, theirs)) fail_msg("another value: %s", texts[i]);
        json_decref(ours);
        json_decref(theirs);
    }
}

static void large_integers_become_reals(void **state) {
    (void)state;
    json_t *root = parse("[1000000000000000019884624838656, 9223372036854775808, -9223372036854775809, -0]");
    static const double want[] = {1e30, 9223372036854775808.0, -9223372036854775808.0, 0};
    for (size_t i = 0; i < 4; i++) {
        assert_true(json_is_real(json_array_get(root, i)));
        assert_true(json_real_value(json_array_get(root, i)) == want[i]);
    }
    assert_true(signbit(json_real_value(json_array_get(root, 3))));
    json_decref(root);
}

static void nuls_are_kept(void **state) {
    (void)state;
    json_t *root = parse("{\"a\\u0000b\": \"c\\u0000d\", \"a\": 1}");
    const json_t *value = json_object_getn(root, "a\0b", 3);
    assert_int_equal(json_string_length(value), 3);
    assert_memory_equal(json_string_value(value), "c\0d", 4);
    assert_int_equal(json_object_size(root), 2);
    json_decref(root);
}

static void malformed_texts_are_refused(void **state) {
    (void)state;
    expect_bad("", "line 1, column 1: expected a value, and the text ends");
    expect_bad("  ", "expected a value, and the text ends");
    expect_bad("{\"a\": 1", "column 8: expected ',' or '}', and the text ends");
    expect_bad("[1, 2", "expected ',' or ']', and the text ends");
    expect_bad("{\"a\": 1,}", "expected a string");
    expect_bad("[1,]", "expected a value");
    expect_bad("[1 2]", "line 1, column 4: expected ',' or ']'");
    expect_bad("{\"a\" 1}", "expected ':'");
    expect_bad("{a: 1}", "expected a string");
    expect_bad("1 2", "expected the end of the text");
    expect_bad("{}x", "expected the end of the text");
    expect_bad("[\n1,\n\xC3\xA9]", "line 3, column 1: expected a value");
    expect_bad("[\"\xC3\xA9\", x]", "line 1, column 7");
    expect_bad("\xEF\xBB\xBF{}", "column 1: expected a value");
    expect_bad("nul", "expected a value");
    expect_bad("True", "expected a value");
    expect_bad("NaN", "expected a value");
    expect_bad("-Infinity", "expected a value");
    expect_bad("'a'", "expected a value");
    expect_bad("// a\n1", "expected a value");
    expect_bad_of("2\0", 2, "expected the end of the text");
    expect_bad_of("{\"a\":1}\0", 8, "expected the end of the text");
}

static void malformed_numbers_are_refused(void **state) {
    (void)state;
    expect_bad("-", "expected a value");
    expect_bad("+1", "expected a value");
    expect_bad(".5", "expected a value");
    expect_bad("01", "expected the end of the text");
    expect_bad("1.", "expected a digit, and the text ends");
    expect_bad("[1.e5]", "expected a digit");
    expect_bad("1e", "expected a digit");
    expect_bad("1e+", "expected a digit");
    expect_bad("0x10", "expected the end of the text");
    expect_bad("1e999", "number too large");
    expect_bad("-1e999", "number too large");
}

static void malformed_strings_are_refused(void **state) {
    (void)state;
    expect_bad("\"abc", "expected the end of a string, and the text ends");
    expect_bad("\"abc\\", "expected the end of a string");
    expect_bad("\"abc\\\"", "expected the end of a string");
    expect_bad("\"a\nb\"", "control character in a string");
    expect_bad_of("\"a\0b\"", 5, "control character in a string");
    expect_bad("\"\\x\"", "malformed escape");
    expect_bad("\"\\u12\"", "malformed escape");
    expect_bad("\"\\u12g4\"", "malformed escape");
    expect_bad("\"\\ud800\"", "malformed escape");
    expect_bad("\"\\ud800\\n\"", "malformed escape");
    expect_bad("\"\\ud800\\u0041\"", "malformed escape");
    expect_bad("\"\\udc00\"", "malformed escape");
    expect_bad("\"\xFF\"", "bytes that are not UTF-8");
    expect_bad("\"\xC0\x80\"", "bytes that are not UTF-8");
    expect_bad("\"\xED\xA0\x80\"", "bytes that are not UTF-8");
    expect_bad("\"\xC3\"", "bytes that are not UTF-8");
    expect_bad("\"\\\xC3\"", "bytes that are not UTF-8");
    expect_bad("{\"\\ud800\": 1}", "malformed escape");
}

static void expect_depth(size_t depth, const char *open, const char *close, bool fits) {
    char *text = malloc(depth * (strlen(open) + 1) + 2);
    assert_non_null(text);
    char *at = text;
    for (size_t i = 0; i < depth; i++) at = stpcpy(at, open);
    *at++ = '1';
    for (size_t i = 0; i < depth; i++) at = stpcpy(at, close);
    if (fits)
        json_decref(parse(text));
    else
        expect_bad(text, "values nested too deep");
    free(text);
}

static void nesting_is_bounded(void **state) {
    (void)state;
    expect_depth(127, "[", "]", true);
    expect_depth(128, "[", "]", false);
    expect_depth(127, "{\"a\":", "}", true);
    expect_depth(100000, "{\"a\":", "}", false);
}

static void strict_parsing_refuses_ambiguous_keys(void **state) {
    (void)state;
    ce_error error = {0};
    json_t *root = NULL;
    const char twice[] = "{\"a\": {\"b\": 1}, \"c\": {\"b\": 1, \"b\": 1}}", nul[] = "{\"a\\u0000\": 1}",
               good[] = "{\"a\": 1}";
    expect_status(cei_json_parse_strict(twice, strlen(twice), "file", &root, &error), CE_ERR_FORMAT, &error,
                  "column 34: a key for the second time");
    expect_status(cei_json_parse_strict(nul, strlen(nul), "file", &root, &error), CE_ERR_FORMAT, &error,
                  "a NUL in a key");
    expect_ok(cei_json_parse_strict(good, strlen(good), "file", &root, &error), &error);
    json_decref(root);
}

static void the_locale_changes_nothing(void **state) {
    (void)state;
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    bool set = false;
    for (size_t i = 0; i < 4 && !set; i++) set = setlocale(LC_NUMERIC, locales[i]) != NULL;
    if (!set) {
        print_message("SKIP: no locale with a decimal comma is installed\n");
        skip();
    }
    json_t *root = parse("[1.5, 1e-12]");
    setlocale(LC_NUMERIC, "C");
    assert_true(json_real_value(json_array_get(root, 0)) == 1.5);
    assert_true(json_real_value(json_array_get(root, 1)) == 1e-12);
    json_decref(root);
}

/* Strings and numbers of many lengths, so that every buffer grows; a parse that succeeds must give the same value. */
static const char demanding[] =
    "{\"key \\u00e9 with escapes, longer than any buffer's first size\": [1.25, 3.14159265358979323846264338327950288, "
    "\"a string with an escape \\n in it, longer than any buffer's first size\", \"short\", 1e30, 12], "
    "\"k1\": {}, \"k2\": [], \"k3\": null, \"k4\": 4, \"k5\": 5, \"k6\": 6, \"k7\": 7, \"k8\": \"\\u0041\", \"k9\": 9}";

static ce_status parse_and_compare(void *user, ce_error *error) {
    json_t *root = NULL;
    ce_status status = cei_json_parse(demanding, strlen(demanding), "file", &root, error);
    if (status == CE_OK && !json_equal(root, user)) status = CE_ERR_VERIFY;
    json_decref(root);
    return status;
}

static void no_memory_at_any_allocation(void **state) {
    (void)state;
    failing_malloc_or_skip();
    json_t *whole = parse(demanding);
    assert_true(test_each_allocation(parse_and_compare, whole) > 30);
    json_decref(whole);
}

/* ---- files and fields --------------------------------------------------------------------------------------- */

static void files_must_hold_an_object(void **state) {
    (void)state;
    char *folder = test_make_folder();
    char path[2048];
    ce_error error = {0};
    json_t *root = (json_t *)1;
    snprintf(path, sizeof path, "%s/x.json", folder);
    expect_status(cei_json_load(path, 100, &root, &error), CE_ERR_NOT_FOUND, &error, "x.json");
    assert_null(root);
    test_write_file(folder, "x.json", "[1]", 3);
    expect_status(cei_json_load(path, 100, &root, &error), CE_ERR_FORMAT, &error, "x.json holds no JSON object");
    assert_null(root);
    test_write_file(folder, "x.json", "{\"a\": 1}", 8);
    expect_status(cei_json_load(path, 7, &root, &error), CE_ERR_FORMAT, &error, "more than the 7");
    expect_ok(cei_json_load(path, 8, &root, &error), &error);
    json_decref(root);
    test_remove_folder(folder);
}

static void sizes_are_whole_and_in_range(void **state) {
    (void)state;
    ce_error error = {0};
    size_t value = 7;
    json_t *o = parse("{\"n\": null, \"s\": \"3\", \"r\": 3.0, \"five\": 5, \"minus\": -1, \"huge\": 1e30, \"vast\": "
                      "99999999999999999999}");
    expect_ok(cei_json_size(o, "absent", 0, 9, "f", &value, &error), &error);
    expect_ok(cei_json_size(o, "n", 0, 9, "f", &value, &error), &error);
    assert_int_equal(value, 7);
    expect_ok(cei_json_size(o, "five", 5, 5, "f", &value, &error), &error);
    assert_int_equal(value, 5);
    expect_status(cei_json_size(o, "five", 6, 9, "f", &value, &error), CE_ERR_FORMAT, &error,
                  "f: \"five\" is 5, and must be from 6 to 9");
    expect_status(cei_json_size(o, "five", 0, 4, "f", &value, &error), CE_ERR_FORMAT, &error, "from 0 to 4");
    expect_status(cei_json_size(o, "minus", 0, SIZE_MAX, "f", &value, &error), CE_ERR_FORMAT, &error, "is -1");
    expect_status(cei_json_size(o, "s", 0, 9, "f", &value, &error), CE_ERR_FORMAT, &error,
                  "must be an integer, and is a string");
    expect_status(cei_json_size(o, "r", 0, 9, "f", &value, &error), CE_ERR_FORMAT, &error, "a number with a fraction");
    expect_status(cei_json_size(o, "vast", 0, 9, "f", &value, &error), CE_ERR_FORMAT, &error, "is 1e+20");
    assert_int_equal(value, 5);
    json_decref(o);
}

static void other_fields_have_their_types(void **state) {
    (void)state;
    ce_error error = {0};
    double number = 7;
    bool truth = false;
    const char *string = "old";
    json_t *o =
        parse("{\"i\": 3, \"r\": 2.5, \"t\": true, \"f\": false, \"s\": \"text\", \"z\": \"a\\u0000b\", \"n\": null}");
    expect_ok(cei_json_double(o, "n", "f", &number, &error), &error);
    assert_true(number == 7);
    expect_ok(cei_json_double(o, "i", "f", &number, &error), &error);
    assert_true(number == 3);
    expect_ok(cei_json_double(o, "r", "f", &number, &error), &error);
    assert_true(number == 2.5);
    expect_status(cei_json_double(o, "t", "f", &number, &error), CE_ERR_FORMAT, &error,
                  "must be a number, and is true");
    expect_ok(cei_json_bool(o, "t", "f", &truth, &error), &error);
    assert_true(truth);
    expect_ok(cei_json_bool(o, "n", "f", &truth, &error), &error);
    assert_true(truth);
    expect_ok(cei_json_bool(o, "f", "f", &truth, &error), &error);
    assert_false(truth);
    expect_status(cei_json_bool(o, "i", "f", &truth, &error), CE_ERR_FORMAT, &error,
                  "must be true or false, and is an integer");
    expect_ok(cei_json_string(o, "absent", "f", &string, &error), &error);
    assert_string_equal(string, "old");
    expect_ok(cei_json_string(o, "s", "f", &string, &error), &error);
    assert_string_equal(string, "text");
    expect_status(cei_json_string(o, "f", "f", &string, &error), CE_ERR_FORMAT, &error,
                  "must be a string, and is false");
    expect_status(cei_json_string(o, "z", "f", &string, &error), CE_ERR_FORMAT, &error, "\"z\" has a NUL in it");
    assert_string_equal(cei_json_type(NULL), "absent");
    json_decref(o);
}

static void real_tokenizers_parse_as_in_jansson(void **state) {
    (void)state;
    const char *path = test_shared("models/crossenc-small-en/tokenizer.json");
    size_t size = 0;
    char *data = test_read_file(path, &size);
    ce_error error = {0};
    json_t *ours = NULL, *theirs = json_loadb(data, size, 0, NULL);
    expect_ok(cei_json_parse(data, size, path, &ours, &error), &error);
    assert_non_null(theirs);
    assert_true(json_equal(ours, theirs));
    json_decref(ours);
    json_decref(theirs);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(large_integers_become_reals),
        cmocka_unit_test(nuls_are_kept),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(malformed_numbers_are_refused),
        cmocka_unit_test(malformed_strings_are_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(strict_parsing_refuses_ambiguous_keys),
        cmocka_unit_test(the_locale_changes_nothing),
        cmocka_unit_test(no_memory_at_any_allocation),
        cmocka_unit_test(files_must_hold_an_object),
        cmocka_unit_test(sizes_are_whole_and_in_range),
        cmocka_unit_test(other_fields_have_their_types),
        cmocka_unit_test(real_tokenizers_parse_as_in_jansson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
