/* test_find.c - the folder of a model by its name: where it is looked for, in which order, and what counts as one. */
#include <crossenc/hub.h>

#include "hub/cache.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static char *place;
static const char *const variables[] = {"CROSSENC_MODELS", "CROSSENC_DEFAULT_MODEL", "SENTENCE_TRANSFORMERS_HOME",
                                        "HF_HUB_CACHE",    "HUGGINGFACE_HUB_CACHE",  "HF_HOME",
                                        "XDG_CACHE_HOME"};

static int make_place(void **state) {
    (void)state;
    place = test_make_folder();
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    return setenv("HOME", place, 1);
}

static int remove_place(void **state) {
    (void)state;
    test_remove_folder(place);
    return 0;
}

/* place/name, static, eight in turn. */
static const char *at(const char *name) {
    static char paths[8][3 * PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", place, name);
    return path;
}

static void write_at(const char *name, const char *text) {
    ce_error error = {0};
    expect_ok(cei_cache_make_parents(at(name), &error), &error);
    test_write_file(place, name, text, strlen(text));
}

/* A folder as far as finding looks into one. */
static void make_model(const char *folder) {
    char name[2 * PATH_MAX];
    snprintf(name, sizeof name, "%s/config.json", folder);
    write_at(name, "{}");
    snprintf(name, sizeof name, "%s/model.safetensors", folder);
    write_at(name, "");
}

static void make_cached(const char *cache, const char *repository, const char *revision) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%s/snapshots/" COMMIT, cache, repository);
    make_model(name);
    snprintf(name, sizeof name, "%s/%s/refs/%s", cache, repository, revision);
    write_at(name, COMMIT);
}

static void expect_found(const char *name, const ce_hub_options *options, const char *want) {
    ce_error error = {0};
    char path[PATH_MAX];
    expect_ok(ce_model_find(name, options, path, sizeof path, &error), &error);
    assert_string_equal(path, want);
}

static void expect_none(const char *name, const ce_hub_options *options, ce_status want, const char *part) {
    ce_error error = {0};
    char path[PATH_MAX];
    expect_status(ce_model_find(name, options, path, sizeof path, &error), want, &error, part);
    assert_int_equal(ce_model_find(name, options, path, sizeof path, NULL), want);
}

static void test_folders(void **state) {
    (void)state;
    make_model("a");
    expect_found(at("a"), NULL, at("a"));
    mkdir(at("empty"), 0700);
    expect_found(at("empty"), NULL, at("empty")); /* what is wrong with it is for the load to say */
    expect_none(at("a/config.json"), NULL, CE_ERR_IO, "is no folder");
    expect_none(at("b"), NULL, CE_ERR_NOT_FOUND, "it is no name of a model on the hub");
    expect_none("", NULL, CE_ERR_NOT_FOUND, "it is no name of a model on the hub");
    expect_none("a/b/c", NULL, CE_ERR_NOT_FOUND, "it is no name of a model on the hub");
}

static void test_folders_of_models(void **state) {
    (void)state;
    make_model("one/tiny");
    make_model("two/tiny");
    make_model("two/org/deep");
    mkdir(at("one/no-model"), 0700);
    char list[PATH_MAX * 2];
    snprintf(list, sizeof list, "/nonexistent::%s:%s", at("one"), at("two"));
    setenv("CROSSENC_MODELS", list, 1);
    expect_found("tiny", NULL, at("one/tiny"));
    expect_found("org/deep", NULL, at("two/org/deep"));
    expect_none("no-model", NULL, CE_ERR_NOT_FOUND, "CROSSENC_MODELS");
    expect_none("tiny@v1", NULL, CE_ERR_NOT_FOUND, "tiny@v1"); /* a folder has no revisions */
    make_model("three/default");
    make_model("three/sister");
    setenv("CROSSENC_DEFAULT_MODEL", at("three/default"), 1);
    expect_found("sister", NULL, at("three/sister"));
    expect_found(NULL, NULL, at("three/default"));
}

static void test_adapters(void **state) {
    (void)state;
    write_at("lora/mine/adapter_config.json", "{}");
    setenv("CROSSENC_MODELS", at("lora"), 1);
    expect_none("mine", NULL, CE_ERR_NOT_FOUND, "mine");
    write_at("lora/mine/adapter_model.bin", "");
    expect_found("mine", NULL, at("lora/mine"));
    write_at("lora/cache/models--org--lora/refs/main", COMMIT);
    write_at("lora/cache/models--org--lora/snapshots/" COMMIT "/adapter_config.json", "{}");
    setenv("HF_HUB_CACHE", at("lora/cache"), 1);
    expect_none("org/lora", NULL, CE_ERR_NOT_FOUND, "org/lora");
    write_at("lora/cache/models--org--lora/snapshots/" COMMIT "/adapter_model.safetensors", "");
    expect_found("org/lora", NULL, at("lora/cache/models--org--lora/snapshots/" COMMIT));
}

static void test_the_cache(void **state) {
    (void)state;
    ce_hub_options options = {.size = sizeof options};
    make_cached("cache", "models--org--tiny", "main");
    make_cached("cache", "models--org--tiny", "refs/pr/7");
    make_cached("cache", "models--old", "main");
    make_cached("cache", "models--org--old", "main");
    setenv("HF_HUB_CACHE", at("cache"), 1);
    const char *tiny = at("cache/models--org--tiny/snapshots/" COMMIT);
    expect_found("org/tiny", NULL, tiny);
    expect_found("org/tiny@main", NULL, tiny);
    expect_found("org/tiny@refs/pr/7", NULL, tiny);
    expect_found("org/tiny@" COMMIT, NULL, tiny);
    expect_found("old", NULL, at("cache/models--old/snapshots/" COMMIT));
    expect_none("tiny", NULL, CE_ERR_NOT_FOUND, "'crossenc pull'");
    expect_none("org/tiny@v2", NULL, CE_ERR_NOT_FOUND, "org/tiny@v2");
    options.organization = "org";
    expect_found("tiny", &options, tiny);
    expect_found("old", &options, at("cache/models--org--old/snapshots/" COMMIT));
    options.revision = "refs/pr/7";
    expect_found("org/tiny", &options, tiny);
    expect_none("org/tiny@main", &options, CE_ERR_ARGUMENT, "give one of them");
    options.revision = "..";
    expect_none("org/tiny", &options, CE_ERR_ARGUMENT, "can be no revision");
}

static void test_what_is_in_the_cache(void **state) {
    (void)state;
    const ce_hub_options options = {.size = sizeof options, .cache = at("c")};
    write_at("c/models--a--config/snapshots/main/config.json", "{}");
    expect_none("a/config", &options, CE_ERR_NOT_FOUND, "with its weights");
    write_at("c/models--a--old/snapshots/main/modules.json", "[{\"path\": \"0_Transformer\"}]");
    expect_none("a/old", &options, CE_ERR_NOT_FOUND, "with its weights");
    write_at("c/models--a--old/snapshots/main/0_Transformer/pytorch_model.bin", "");
    expect_found("a/old", &options, at("c/models--a--old/snapshots/main"));
    write_at("c/models--a--broken/snapshots/main/modules.json", "{");
    expect_none("a/broken", &options, CE_ERR_FORMAT, "modules.json");
    write_at("c/models--a--ref/refs/main", "../../..");
    expect_none("a/ref", &options, CE_ERR_FORMAT, "names no commit");
    write_at("c/models--a--gone/refs/main", COMMIT);
    expect_none("a/gone", &options, CE_ERR_NOT_FOUND, "a/gone");
}

static void test_places_of_the_cache(void **state) {
    (void)state;
    static const char *const places[][3] = {
        {"HOME", "", ".cache/huggingface/hub"}, {"XDG_CACHE_HOME", "xdg", "xdg/huggingface/hub"},
        {"HF_HOME", "home", "home/hub"},        {"HUGGINGFACE_HUB_CACHE", "old", "old"},
        {"HF_HUB_CACHE", "new", "new"},         {"SENTENCE_TRANSFORMERS_HOME", "st", "st"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char want[PATH_MAX];
        if (i) setenv(places[i][0], at(places[i][1]), 1); /* each comes before those above it */
        make_cached(places[i][2], "models--a--b", "main");
        snprintf(want, sizeof want, "%s/models--a--b/snapshots/" COMMIT, at(places[i][2]));
        expect_found("a/b", NULL, want);
    }
    const ce_hub_options options = {.size = sizeof options, .cache = "~/given"};
    make_cached("given", "models--a--b", "main");
    expect_found("a/b", &options, at("given/models--a--b/snapshots/" COMMIT));
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    unsetenv("HOME");
    expect_none("a/b", NULL, CE_ERR_NOT_FOUND, "HOME is not set");
}

static void test_wrong_calls(void **state) {
    (void)state;
    ce_error error = {0};
    char path[PATH_MAX];
    const ce_hub_options small = {.size = 8};
    expect_none("a/b", &small, CE_ERR_ARGUMENT, "ce_hub_options.size");
    expect_status(ce_model_find("a", NULL, NULL, 0, &error), CE_ERR_ARGUMENT, &error, "NULL");
    make_model("a");
    expect_status(ce_model_find(at("a"), NULL, path, strlen(at("a")), &error), CE_ERR_ARGUMENT, &error, "bytes");
    expect_ok(ce_model_find(at("a"), NULL, path, strlen(at("a")) + 1, &error), &error);
}

static ce_status find(void *user, ce_error *error) {
    const ce_hub_options options = {.size = sizeof options, .organization = "org"};
    char path[PATH_MAX];
    return ce_model_find(user, &options, path, sizeof path, error);
}

static void test_without_memory(void **state) {
    (void)state;
    failing_malloc_or_skip();
    write_at("cache/models--old/snapshots/main/modules.json", "[{\"path\": \"0_Transformer\"}]");
    write_at("cache/models--old/snapshots/main/0_Transformer/model.safetensors", "");
    setenv("HF_HUB_CACHE", at("cache"), 1);
    setenv("CROSSENC_MODELS", "/nonexistent", 1);
    assert_true(test_each_allocation(find, (char[]){"old"}) > 10);
}

#define case_of(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        case_of(test_folders),     case_of(test_folders_of_models),    case_of(test_adapters),
        case_of(test_the_cache),   case_of(test_what_is_in_the_cache), case_of(test_places_of_the_cache),
        case_of(test_wrong_calls), case_of(test_without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
