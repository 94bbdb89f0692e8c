/* test_gguf_tokenizers.c - tokenizers of published models, put into the keys of a GGUF file and read again: they say
 * the same, by everything that decides an id. Needs ../shared/tokenizers. */
#include "base/memory.h"
#include "model/gguf_put.h"
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

/* A tokenizer on its way through a file, and what model's it is. */
typedef enum model { ENCODER, DECODER, GEMMA } model;

typedef struct journey {
    const char *folder;
    model of;
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
                                    .is_decoder = work->of != ENCODER};
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
        .pieces = {"tokenizer.model", work->pieces.data, work->pieces.size},
        .tokenizer_config = {"tokenizer_config.json", work->config.data, work->config.size}};
    work->first = spec;
    return cei_tokenizer_read(&files, compare, work, error);
}

static ce_status compare_files(void *user, const cei_tokenizer_files *files, ce_error *error) {
    return cei_tokenizer_read(files, read_again, user, error);
}

/* What the tokenizer differs in after its way; NULL: nothing. */
static const char *travel(const char *folder, model of) {
    journey work = {.folder = folder, .of = of};
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
                                   .has_types = of == ENCODER,
                                   .is_decoder = of != ENCODER,
                                   .is_gemma = of == GEMMA,
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

static void check(const char *name, model of) {
    char path[128], folder[1024];
    snprintf(path, sizeof path, "tokenizers/%s", name);
    snprintf(folder, sizeof folder, "%s", test_shared(path));
    const char *difference = travel(folder, of);
    if (difference) fail_msg("%s: differs in %s", name, difference);
}

static void wordpiece(void **state) {
    (void)state;
    check("bert-base-uncased", ENCODER);
    check("bert-base-cased", ENCODER);
    check("bert-base-chinese", ENCODER);
    check("bert-base-multilingual-cased", ENCODER);
}

/* SentencePiece's own file, as the classes of Llama and of Gemma read it. */
static void pieces(void **state) {
    (void)state;
    static const char *const configs[] = {
        "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_bos_token\": true}",
        "{\"tokenizer_class\": \"GemmaTokenizer\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"pad_token\": "
        "\"<pad>\", \"add_bos_token\": true, \"add_eos_token\": true}"};
    size_t size;
    char *data = test_read_file(test_shared("tokenizers/sentencepiece-bpe/sentencepiece.bpe.model"), &size);
    for (size_t i = 0; i < 2; i++) {
        char *folder = test_make_folder();
        test_write_file(folder, "tokenizer.model", data, size);
        test_write_file(folder, "tokenizer_config.json", configs[i], strlen(configs[i]));
        const char *difference = travel(folder, i == 1 ? GEMMA : DECODER);
        if (difference) fail_msg("pieces: differs in %s", difference);
        test_remove_folder(folder);
    }
    free(data);
}

static void byte_level(void **state) {
    (void)state;
    check("roberta-base", ENCODER);
    check("modernbert", ENCODER);
    check("qwen3", DECODER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wordpiece),
        cmocka_unit_test(byte_level),
        cmocka_unit_test(pieces),
    };
    return cmocka_run_group_tests_name("gguf_tokenizers", tests, NULL, NULL);
}
