/* test_ends.c - which tokens go around texts where settings ask for a beginning or an end, against the reference
 * (tests/data/text/ends.json, by tools/golden/ends_golden.py). */
#include "golden_json.h"

#include "text/tokenizer.h"

enum { MOST_IDS = 32 };

static cei_tokenizer *open_case(const json_t *files, const json_t *entry) {
    char *folder = test_make_folder();
    cei_tokenizer *tokenizer = NULL;
    ce_error error;
    json_t *more = json_pack("{s:O, s:{s:O}}", "tokenizer_config.json", golden_get(entry, "config"), "config.json",
                             "model_type", golden_get(entry, "model_type"));
    golden_write_files(folder, golden_get(files, json_string_value(golden_get(entry, "files"))));
    golden_write_files(folder, more);
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    test_remove_folder(folder);
    json_decref(more);
    return tokenizer;
}

static void compare(const int32_t *ids, size_t count, const json_t *entry, const char *key) {
    const json_t *want = golden_get(entry, key);
    bool same = count == json_array_size(want);
    for (size_t i = 0; i < count && same; i++) same = ids[i] == json_integer_value(json_array_get(want, i));
    if (same) return;
    print_error("%s: ", key);
    for (size_t i = 0; i < count; i++) print_error("%d ", (int)ids[i]);
    char *text = json_dumps(entry, JSON_COMPACT);
    fail_msg("%s", text);
}

static void check_case(const json_t *files, const json_t *entry) {
    cei_tokenizer *tokenizer = open_case(files, entry);
    cei_token_buffer buffer = {0};
    ce_error error;
    int32_t ids[MOST_IDS], types[MOST_IDS];
    expect_ok(cei_tokenizer_encode(tokenizer, ce_text_of("a b"), CE_UTF8_STRICT, &buffer, &error), &error);
    const size_t single = buffer.count + cei_tokenizer_single_specials(tokenizer);
    const size_t pair = 2 * buffer.count + cei_tokenizer_pair_specials(tokenizer);
    assert_true(single <= MOST_IDS && pair <= MOST_IDS);
    cei_tokenizer_wrap(tokenizer, buffer.ids, buffer.count, ids, types);
    compare(ids, single, entry, "single");
    cei_tokenizer_join(tokenizer, buffer.ids, buffer.count, buffer.ids, buffer.count, ids, types);
    compare(ids, pair, entry, "pair");
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

static void test_cases(void **state) {
    (void)state;
    json_t *root = golden_load("ends.json"), *entry;
    size_t i;
    json_array_foreach(golden_get(root, "cases"), i, entry) check_case(golden_get(root, "files"), entry);
    assert_int_equal(i, 354);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
