/* fuzz_encode.c - any bytes as a text, for a few small tokenizers: replacing never fails, ids are in bounds, a text
 * that is UTF-8 gives the same ids by either policy, and a used buffer gives those of a new one. */
#include "fuzz.h"

#include "text/spec.h"

#include <string.h>

#define START                                                                                                          \
    "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"[SEP]\":1,\"a\":2,\"##b\":3,\"ab\":4,\"##\xCC\x81\":" \
    "5,"                                                                                                               \
    "\"\xE4\xB8\xAD\":6,\".\":7,\"e\":8,\"##ba\":9}},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"               \
    "\"added_tokens\":[{\"id\":1,\"content\":\"[SEP]\",\"special\":true},{\"id\":10,\"content\":\"  "                  \
    "\",\"lstrip\":true,"                                                                                              \
    "\"rstrip\":true,\"normalized\":true},{\"id\":11,\"content\":\"<ab>\",\"single_word\":true},{\"id\":12,"           \
    "\"content\":"                                                                                                     \
    "\"<a\",\"rstrip\":true},{\"id\":13,\"content\":\"\xC3\x89\",\"normalized\":true}],\"normalizer\":"

static const char *const jsons[] = {
    START "null}",
    START "{\"type\":\"BertNormalizer\"}}",
    START "{\"type\":\"BertNormalizer\",\"clean_text\":false,\"lowercase\":false,\"strip_accents\":true}}",
    START "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Lowercase\"}]}}",
    START
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKD\"},{\"type\":\"StripAccents\"},{\"type\":\"NFC\"}]}}",
};

#define COUNT (sizeof jsons / sizeof jsons[0])

static void check_policies(const cei_tokenizer *tokenizer, ce_text text, cei_token_buffer *used) {
    cei_token_buffer fresh = {0};
    ce_error error = {CE_OK, ""};
    fuzz_require(cei_tokenizer_encode(tokenizer, text, CE_UTF8_REPLACE, used, &error) == CE_OK);
    /* One character may become 18, each a token. */
    fuzz_require(used->count <= 18 * text.size);
    for (size_t i = 0; i < used->count; i++)
        fuzz_require(used->ids[i] >= 0 && (size_t)used->ids[i] < cei_tokenizer_vocab_size(tokenizer));
    ce_status status = cei_tokenizer_encode(tokenizer, text, CE_UTF8_STRICT, &fresh, &error);
    fuzz_require(status == CE_OK || status == CE_ERR_TEXT);
    if (status != CE_OK) fuzz_require(cei_tokenizer_encode(tokenizer, text, CE_UTF8_REPLACE, &fresh, &error) == CE_OK);
    fuzz_require(fresh.count == used->count);
    fuzz_require(fresh.count == 0 || memcmp(fresh.ids, used->ids, fresh.count * sizeof *fresh.ids) == 0);
    cei_token_buffer_free(&fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static cei_tokenizer *tokenizers[COUNT];
    cei_token_buffer used = {0};
    for (size_t i = 0; i < COUNT; i++) {
        const cei_tokenizer_files files = {.tokenizer_json = {"tokenizer.json", jsons[i], strlen(jsons[i])}};
        if (!tokenizers[i]) fuzz_require(cei_tokenizer_parse(&files, &tokenizers[i], NULL) == CE_OK);
        check_policies(tokenizers[i], (ce_text){(const char *)data, size}, &used);
    }
    cei_token_buffer_free(&used);
    return 0;
}
