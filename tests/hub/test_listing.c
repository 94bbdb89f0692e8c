/* test_listing.c - the hub's replies, lists in a model's files, and which files are wanted. */
#include "hub/listing.h"

#include "support/failing_malloc.h"
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static ce_status parse(const char *text, cei_listing *listing, ce_error *error) {
    return cei_listing_parse(text, strlen(text), "URL", listing, error);
}

static void test_a_reply(void **state) {
    (void)state;
    ce_error error = {0};
    cei_listing listing;
    expect_ok(parse("{\"id\": \"new/name\", \"sha\": \"" COMMIT
                    "\", \"siblings\": [{\"rfilename\": \"z\", \"size\": 1}, "
                    "{\"rfilename\": \"1_Pooling/config.json\"}, {\"rfilename\": \"a\"}], \"more\": [[]]}",
                    &listing, &error),
              &error);
    assert_string_equal(listing.commit, COMMIT);
    assert_string_equal(listing.repository, "new/name");
    assert_int_equal(listing.files.count, 3);
    assert_true(cei_listing_has(&listing, "a") && cei_listing_has(&listing, "1_Pooling/config.json"));
    assert_false(cei_listing_has(&listing, "config.json"));
    cei_listing_free(&listing);
    expect_ok(parse("{\"sha\": \"" COMMIT "\", \"siblings\": []}", &listing, &error), &error);
    assert_false(cei_listing_has(&listing, "a"));
    cei_listing_free(&listing);
}

#define REPLY(name) "{\"sha\": \"" COMMIT "\", \"siblings\": [{\"rfilename\": " name "}]}"

static void test_wrong_replies(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"", "URL"},
        {"<html>", "URL"},
        {"[]", "must give an object"},
        {"{}", "\"sha\""},
        {"{\"sha\": 5}", "\"sha\" must be a string"},
        {"{\"sha\": \"main\"}", "a commit of 40 digits"},
        {"{\"sha\": \"../../../../../../../../../../../etc/passwd\"}", "a commit of 40 digits"},
        {"{\"sha\": \"" COMMIT "\"}", "\"siblings\""},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": {}}", "\"siblings\""},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": [5]}", "must have objects"},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": [{}]}", "no file may be called"},
        {REPLY("5"), "\"rfilename\" must be a string"},
        {REPLY("\"../x\""), "no file may be called"},
        {REPLY("\"/etc/passwd\""), "no file may be called"},
        {REPLY("\"a/../../b\""), "no file may be called"},
        {REPLY("\"a\\u0000b\""), "NUL"},
        {REPLY("\"a\\nb\""), "no file may be called"},
        {REPLY("\"\""), "no file may be called"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ce_error error = {0};
        cei_listing listing;
        expect_status(parse(wrong[i][0], &listing, &error), CE_ERR_FORMAT, &error, wrong[i][1]);
        assert_int_equal(listing.files.count, 0);
    }
}

static void test_modules(void **state) {
    (void)state;
    ce_error error = {0};
    cei_file_list folders = {0};
    static const char text[] = "[{\"path\": \"\", \"type\": \"Transformer\"}, {\"path\": \"1_Pooling\"}, {\"idx\": 2}, "
                               "{\"path\": \"2_Dense\"}, {\"path\": \"1_Pooling\"}]";
    expect_ok(cei_listing_modules(text, sizeof text - 1, "modules.json", &folders, &error), &error);
    assert_int_equal(folders.count, 3);
    assert_string_equal(folders.names[0], "");
    assert_string_equal(folders.names[1], "1_Pooling/");
    assert_string_equal(folders.names[2], "2_Dense/");
    static const char *const wrong[] = {"{}", "[5]", "[{\"path\": 5}]", "[{\"path\": \"..\"}]",
                                        "[{\"path\": \"/etc\"}]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(cei_listing_modules(wrong[i], strlen(wrong[i]), "modules.json", &folders, &error),
                         CE_ERR_FORMAT);
    cei_file_list_free(&folders);
}

static void test_shards(void **state) {
    (void)state;
    ce_error error = {0};
    cei_file_list shards = {0};
    static const char text[] = "{\"metadata\": {}, \"weight_map\": {\"a\": \"model-1.safetensors\", \"b\": "
                               "\"model-2.safetensors\", \"c\": \"model-1.safetensors\"}}";
    expect_ok(cei_listing_shards(text, sizeof text - 1, "index", "0_T/", &shards, &error), &error);
    assert_int_equal(shards.count, 2);
    assert_true(cei_file_list_has(&shards, "0_T/model-1.safetensors"));
    static const char *const wrong[] = {"[]",
                                        "{}",
                                        "{\"weight_map\": []}",
                                        "{\"weight_map\": {\"a\": 5}}",
                                        "{\"weight_map\": {\"a\": \"../x\"}}",
                                        "{\"weight_map\": {\"a\": \"b/x\"}}",
                                        "{\"weight_map\": {\"a\": \"x\\u0000\"}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(cei_listing_shards(wrong[i], strlen(wrong[i]), "index", "", &shards, &error), CE_ERR_FORMAT);
    cei_file_list_free(&shards);
}

static bool is_in(const void *where, const char *folder, const char *name) {
    (void)folder;
    return strstr(where, name) != NULL;
}

static void test_weights(void **state) {
    (void)state;
    bool is_index = true;
    assert_string_equal(cei_listing_weights(is_in, "pytorch_model.bin model.safetensors.", "", &is_index),
                        "model.safetensors");
    assert_false(is_index);
    assert_string_equal(cei_listing_weights(is_in, "pytorch_model.bin", "", &is_index), "pytorch_model.bin");
    assert_null(cei_listing_weights(is_in, "tf_model.h5 onnx", "", &is_index));
}

static void expect_base(const char *config, const char *repository, const char *revision) {
    cei_model_name base = {.repository = ""};
    ce_error error = {0};
    expect_ok(cei_listing_base(config, strlen(config), "adapter_config.json", &base, &error), &error);
    assert_string_equal(base.repository, repository);
    if (*repository) assert_string_equal(base.revision, revision);
}

static void test_adapters(void **state) {
    (void)state;
    ce_error error = {0};
    cei_model_name base;
    assert_string_equal(cei_listing_adapter(is_in, "adapter_config.json adapter_model.bin adapter_model.safetensors"),
                        "adapter_model.safetensors");
    assert_string_equal(cei_listing_adapter(is_in, "adapter_config.json adapter_model.bin"), "adapter_model.bin");
    assert_null(cei_listing_adapter(is_in, "adapter_model.safetensors"));
    assert_null(cei_listing_adapter(is_in, "adapter_config.json model.safetensors"));
    expect_base("{\"base_model_name_or_path\": \"org/base\"}", "org/base", "main");
    expect_base("{\"base_model_name_or_path\": \"base\", \"revision\": \"v2\"}", "base", "v2");
    expect_base("{\"base_model_name_or_path\": \"/home/me/base\"}", "", NULL);
    expect_base("{\"base_model_name_or_path\": \"../base\", \"revision\": null}", "", NULL);
    expect_base("{\"base_model_name_or_path\": \"org/base\", \"revision\": \"..\"}", "", NULL);
    expect_base("{}", "", NULL);
    static const char *const wrong[] = {"{", "{\"base_model_name_or_path\": 1}", "{\"revision\": []}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_status(cei_listing_base(wrong[i], strlen(wrong[i]), "adapter_config.json", &base, &error), CE_ERR_FORMAT,
                      &error, "adapter_config.json");
}

static void test_wanted(void **state) {
    (void)state;
    ce_error error = {0};
    cei_listing listing;
    cei_file_list wanted = {0};
    expect_ok(parse("{\"sha\": \"" COMMIT "\", \"siblings\": [{\"rfilename\": \"config.json\"}, {\"rfilename\": "
                    "\"onnx/model.onnx\"}, {\"rfilename\": \"vocab.txt\"}, {\"rfilename\": \"tf_model.h5\"}, "
                    "{\"rfilename\": \"1_Pooling/config.json\"}, {\"rfilename\": \"2_X/config.json\"}]}",
                    &listing, &error),
              &error);
    assert_true(cei_listing_want(&listing, "", &wanted) && cei_listing_want(&listing, "1_Pooling/", &wanted));
    assert_int_equal(wanted.count, 3);
    assert_string_equal(wanted.names[0], "config.json");
    assert_string_equal(wanted.names[1], "vocab.txt");
    assert_string_equal(wanted.names[2], "1_Pooling/config.json");
    cei_file_list_free(&wanted);
    cei_listing_free(&listing);
}

static ce_status parse_all(void *user, ce_error *error) {
    (void)user;
    cei_listing listing;
    cei_file_list wanted = {0};
    ce_status status = parse("{\"sha\": \"" COMMIT "\", \"siblings\": [{\"rfilename\": \"config.json\"}, "
                             "{\"rfilename\": \"vocab.txt\"}]}",
                             &listing, error);
    if (status == CE_OK && !cei_listing_want(&listing, "", &wanted)) {
        snprintf(error->message, sizeof error->message, "no memory");
        status = error->status = CE_ERR_MEMORY;
    }
    cei_file_list_free(&wanted);
    cei_listing_free(&listing);
    return status;
}

static void test_without_memory(void **state) {
    (void)state;
    failing_malloc_or_skip();
    assert_true(test_each_allocation(parse_all, NULL) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_reply),  cmocka_unit_test(test_wrong_replies),
                                       cmocka_unit_test(test_modules),  cmocka_unit_test(test_shards),
                                       cmocka_unit_test(test_weights),  cmocka_unit_test(test_wanted),
                                       cmocka_unit_test(test_adapters), cmocka_unit_test(test_without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
