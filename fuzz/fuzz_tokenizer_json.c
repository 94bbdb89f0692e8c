/* fuzz_tokenizer_json.c - a tokenizer.json, and behind the first NUL a tokenizer_config.json: any bytes give a
 * tokenizer whose ids are in bounds, or an error. What the quick reader of vocabularies takes, the parser takes too. */
#include "fuzz.h"

#include "text/spec.h"
#include "text/vocab_json.h"

#include <string.h>

/* The ids of a text with something of everything, and a joined pair. */
static void use(const cei_tokenizer *tokenizer) {
    static const char text[] = "a b ab <new> [SEP] E\xCC\x81\xC3\xA9 \xE4\xB8\xAD\xE5\x9B\xBD  x.y";
    cei_token_buffer buffer = {0};
    ce_error error = {CE_OK, ""};
    fuzz_require(cei_tokenizer_encode(tokenizer, ce_text_of(text), CE_UTF8_STRICT, &buffer, &error) == CE_OK);
    int32_t ids[128], types[128];
    size_t kept = buffer.count < 20 ? buffer.count : 20, total = 2 * kept + cei_tokenizer_pair_specials(tokenizer);
    fuzz_require(total <= 128);
    cei_tokenizer_join(tokenizer, buffer.ids, kept, buffer.ids, kept, ids, types);
    for (size_t i = 0; i < total; i++) {
        fuzz_require(ids[i] >= 0 && (size_t)ids[i] < cei_tokenizer_vocab_size(tokenizer));
        fuzz_require(types[i] >= 0 && (size_t)types[i] < cei_tokenizer_pair_types(tokenizer));
    }
    cei_token_buffer_free(&buffer);
}

static void compare_pieces(const json_t *pieces, const cei_vocabulary *vocabulary, const cei_unigram_options *unigram) {
    fuzz_require(json_array_size(pieces) == unigram->count);
    for (size_t i = 0; i < unigram->count; i++) {
        const json_t *piece = json_array_get(json_array_get(pieces, i), 0), *score = json_array_get(pieces, i);
        int32_t id = cei_vocabulary_find(vocabulary, json_string_value(piece), json_string_length(piece));
        fuzz_require(id >= (int32_t)i && (size_t)id < unigram->count); /* of equal pieces the last has its id */
        fuzz_require(json_number_value(json_array_get(score, 1)) == unigram->scores[i]);
    }
}

static void compare_merges(const json_t *array, const cei_merges *merges) {
    cei_merges read = {0};
    fuzz_require(cei_merges_read_json(array, "whole", &read, NULL) == CE_OK);
    fuzz_require(read.count == merges->count && read.text.size == merges->text.size);
    fuzz_require(read.count == 0 || memcmp(read.sizes, merges->sizes, read.count * sizeof *read.sizes) == 0);
    fuzz_require(read.text.size == 0 || memcmp(read.text.data, merges->text.data, read.text.size) == 0);
    cei_merges_free(&read);
}

/* The vocabulary taken by the quick reader is that of the parser, token for token. */
static void compare(const cei_tokenizer_file *file) {
    cei_tokenizer_spec spec = {.exact_scores = true};
    cei_bytes rest = {0};
    json_t *root = NULL;
    fuzz_require(cei_vocab_json_take(file, &spec, &rest, NULL) == CE_OK);
    if (rest.size > 0 && cei_json_parse(rest.data, rest.size, "rest", &root, NULL) == CE_OK) {
        json_decref(root);
        fuzz_require(cei_json_parse(file->data, file->size, "whole", &root, NULL) == CE_OK);
        json_t *tokens = json_object_get(json_object_get(root, "model"), "vocab");
        if (spec.has_merges) compare_merges(json_object_get(json_object_get(root, "model"), "merges"), &spec.merges);
        if (json_is_array(tokens))
            compare_pieces(tokens, &spec.vocabulary, &spec.unigram);
        else
            fuzz_require(json_object_size(tokens) == spec.vocabulary.count);
        for (void *at = json_object_iter(tokens); at; at = json_object_iter_next(tokens, at)) {
            const char *token = json_object_iter_key(at);
            json_int_t id = json_integer_value(json_object_iter_value(at));
            fuzz_require(cei_vocabulary_find(&spec.vocabulary, token, strlen(token)) == id);
        }
    }
    json_decref(root);
    cei_vocabulary_free(&spec.vocabulary);
    cei_free(spec.unigram.scores);
    cei_merges_free(&spec.merges);
    cei_free(rest.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data, *end = size ? memchr(text, '\0', size) : NULL;
    size_t first = end ? (size_t)(end - text) : size;
    cei_tokenizer_files files = {.tokenizer_json = {"tokenizer.json", size ? text : "", first}};
    if (end) files.tokenizer_config = (cei_tokenizer_file){"tokenizer_config.json", end + 1, size - first - 1};
    cei_tokenizer *tokenizer = NULL;
    ce_error error = {CE_OK, ""};
    ce_status status = cei_tokenizer_parse(&files, &tokenizer, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (tokenizer != NULL));
    if (tokenizer) use(tokenizer);
    cei_tokenizer_free(tokenizer);
    compare(&files.tokenizer_json);
    return 0;
}
