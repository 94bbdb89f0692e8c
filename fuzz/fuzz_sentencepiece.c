/* fuzz_sentencepiece.c - a SentencePiece model, read as the class says that the first byte names: a tokenizer whose ids
 * are in bounds, or an error; and no more memory than the reader promises. */
#include "fuzz.h"

#include "text/spec.h"

#include <string.h>

static const char *const configs[] = {
    "{\"tokenizer_class\":\"PreTrainedTokenizerFast\"}",
    "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"added_tokens_decoder\":{\"3\":{\"content\":\"<new>\"}}}",
    "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}",
    "{\"tokenizer_class\":\"CamembertTokenizer\",\"additional_special_tokens\":[\"<t>\"]}",
    "{\"tokenizer_class\":\"DebertaV2Tokenizer\",\"do_lower_case\":true}",
    "{\"tokenizer_class\":\"AlbertTokenizer\"}",
    "{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":true}",
    "{\"tokenizer_class\":\"GemmaTokenizer\"}",
};
enum { CONFIGS = sizeof configs / sizeof configs[0] };

static void use(const cei_tokenizer *tokenizer) {
    static const char text[] = "  a b ab <s> <new> E\xCC\x81\xC3\xA9 \xE4\xB8\xAD\xE5\x9B\xBD  x.y\xE2\x96\x81z ";
    cei_token_buffer buffer = {0};
    ce_error error = {CE_OK, ""};
    fuzz_require(cei_tokenizer_encode(tokenizer, ce_text_of(text), CE_UTF8_STRICT, &buffer, &error) == CE_OK);
    for (size_t i = 0; i < buffer.count; i++)
        fuzz_require(buffer.ids[i] >= 0 && (size_t)buffer.ids[i] < cei_tokenizer_vocab_size(tokenizer));
    cei_token_buffer_free(&buffer);
}

static void check_pieces(const char *data, size_t size) {
    cei_sentencepiece model;
    ce_error error = {CE_OK, ""};
    ce_status status = cei_sentencepiece_read(data, size, "spm.model", &model, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (model.count > 0));
    fuzz_require(model.capacity * sizeof *model.pieces + model.names.capacity <= 12 * size + 256);
    for (size_t i = 0; i < model.count; i++)
        fuzz_require(model.pieces[i].size > 0 && model.pieces[i].text[0] != '\xFF');
    cei_sentencepiece_free(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const char *model = (const char *)data + 1, *config = configs[data[0] % CONFIGS];
    const cei_tokenizer_files files = {.pieces = {"spm.model", model, size - 1},
                                       .tokenizer_config = {"tokenizer_config.json", config, strlen(config)}};
    cei_tokenizer *tokenizer = NULL;
    ce_error error = {CE_OK, ""};
    ce_status status = cei_tokenizer_parse(&files, &tokenizer, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (tokenizer != NULL));
    if (tokenizer) use(tokenizer);
    cei_tokenizer_free(tokenizer);
    check_pieces(model, size - 1);
    return 0;
}
