/* fuzz_vocab.c - a vocab.txt, and behind the first NUL a special_tokens_map.json: a tokenizer or an error. */
#include "fuzz.h"

#include "text/spec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data, *end = size ? memchr(text, '\0', size) : NULL;
    size_t first = end ? (size_t)(end - text) : size;
    cei_tokenizer_files files = {.vocab_txt = {"vocab.txt", size ? text : "", first}};
    if (end) files.special_tokens_map = (cei_tokenizer_file){"special_tokens_map.json", end + 1, size - first - 1};
    cei_tokenizer *tokenizer = NULL;
    ce_error error = {CE_OK, ""};
    ce_status status = cei_tokenizer_parse(&files, &tokenizer, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (tokenizer != NULL));
    if (tokenizer) {
        cei_token_buffer buffer = {0};
        fuzz_require(cei_tokenizer_encode(tokenizer, (ce_text){text, first}, CE_UTF8_STRICT, &buffer, &error) == CE_OK);
        for (size_t i = 0; i < buffer.count; i++)
            fuzz_require(buffer.ids[i] >= 0 && (size_t)buffer.ids[i] < cei_tokenizer_vocab_size(tokenizer));
        cei_token_buffer_free(&buffer);
    }
    cei_tokenizer_free(tokenizer);
    return 0;
}
