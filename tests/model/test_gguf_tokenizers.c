/* test_gguf_tokenizers.c - tokenizers of published models, put into the keys of a GGUF file and read again: they say
 * the same, by everything that decides an id. Needs ../shared/tokenizers. */
#include "base/memory.h"
#include "model/gguf_put.h"
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

/* A tokenizer on its way through a file. */
typedef struct journey {
    const char *folder;
    bool is_decoder;
    cei_gguf_out keys;
    cei_gguf_tokenizer to;
    cei_json_out json, config, pieces;
    cei_tokenizer_spec *first;
    const char *difference;
} journey;

static ce_status put(void *user, cei_tokenizer_spec *spec, ce_error *error) {
    journey *work = user;
    cei_tokenizer *built = NULL;
    ce_status status = cei_tokenizer_load(work->folder, &built, error);
    const cei_gguf_tokens tokens = {.spec = spec,
                                    .built = built,
                                    .rows = built ? cei_tokenizer_vocab_size(built) + 3 : 0,
                                    .is_decoder = work->is_decoder};
    if (status == CE_OK) status = cei_gguf_put_tokenizer(&tokens, &work->keys, error);
    cei_tokenizer_free(built);
    return status;
}

static ce_status put_files(void *user, const cei_tokenizer_files *files, ce_error *error) {
    return cei_tokenizer_read(files, put, user, error);
}

static ce_status compare(void *user, cei_tokenizer_spec *spec, ce_error *error) {
    journey *work = user;
    return cei_tokenizer_compare(work->first, spec, &work->difference, error);
}

static ce_status read_again(void *user, cei_tokenizer_spec *spec, ce_error *error) {
    journey *work = user;
    const cei_tokenizer_files files = {
        .tokenizer_json = {"tokenizer.json", work->json.data, work->json.size},
        .tokenizer_config = {"tokenizer_config.json", work->config.data, work->config.size}};
    work->first = spec;
    return cei_tokenizer_read(&files, compare, work, error);
}

static ce_status compare_files(void *user, const cei_tokenizer_files *files, ce_error *error) {
    return cei_tokenizer_read(files, read_again, user, error);
}

/* What the tokenizer differs in after its way; NULL: nothing. */
static const char *travel(const char *folder, bool is_decoder) {
    journey work = {.folder = folder, .is_decoder = is_decoder};
    char *place = test_make_folder();
    cei_new_file out;
    cei_gguf file;
    ce_error error = {0};
    expect_ok(cei_tokenizer_read_folder(folder, put_files, &work, &error), &error);
    expect_ok(cei_gguf_create(test_path(place, "it.gguf"), &work.keys, NULL, 0, &out, &error), &error);
    expect_ok(cei_new_file_finish(&out, &error), &error);
    expect_ok(cei_gguf_open(test_path(place, "it.gguf"), &file, &error), &error);
    work.to = (cei_gguf_tokenizer){.file = &file,
                                   .context = 512,
                                   .has_types = true,
                                   .is_decoder = is_decoder,
                                   .tokenizer_json = &work.json,
                                   .tokenizer_config = &work.config,
                                   .pieces = &work.pieces};
    expect_ok(cei_gguf_write_tokenizer(&work.to, &error), &error);
    expect_ok(cei_tokenizer_read_folder(folder, compare_files, &work, &error), &error);
    cei_gguf_close(&file);
    cei_free(work.keys.pairs.data);
    cei_free(work.json.data);
    cei_free(work.config.data);
    cei_free(work.pieces.data);
    test_remove_folder(place);
    return work.difference;
}

static void check(const char *name, bool is_decoder) {
    char path[128], folder[1024];
    snprintf(path, sizeof path, "tokenizers/%s", name);
    snprintf(folder, sizeof folder, "%s", test_shared(path));
    const char *difference = travel(folder, is_decoder);
    if (difference) fail_msg("%s: differs in %s", name, difference);
}

static void wordpiece(void **state) {
    (void)state;
    check("bert-base-uncased", false);
    check("bert-base-cased", false);
    check("bert-base-chinese", false);
    check("bert-base-multilingual-cased", false);
}

static void byte_level(void **state) {
    (void)state;
    check("roberta-base", false);
    check("modernbert", false);
    check("qwen3", true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wordpiece),
        cmocka_unit_test(byte_level),
    };
    return cmocka_run_group_tests_name("gguf_tokenizers", tests, NULL, NULL);
}
