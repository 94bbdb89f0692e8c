/* test_bpe_files.c - broken, hostile and odd files of byte pair encoding, long words, and want of memory. */
#include "tokenizer_files.h"

#include "base/clock.h"

#define BPE(fields) "{\"model\":{\"type\":\"BPE\"," fields "}" BPE_REST
#define BPE_VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\xC4\xA0\":3,\"<unk>\":4,\"aba\":5}"
#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define BPE_REST ",\"pre_tokenizer\":" BYTE_LEVEL
#define BPE_MERGES "\"merges\":[\"a b\",[\"ab\",\"\\u0061\"]]"
#define BPE_JSON BPE(BPE_VOCAB "," BPE_MERGES) ",\"added_tokens\":[{\"id\":6,\"content\":\"<m>\",\"lstrip\":true}]}"
#define SPLITS(pre) "{\"model\":{\"type\":\"BPE\"," BPE_VOCAB "," BPE_MERGES "},\"pre_tokenizer\":" pre "}"
#define SPLIT_BY(pattern, more) "{\"type\":\"Split\",\"pattern\":{" pattern "}" more "}"
#define LLAMA                                                                                          \
    "\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| " \
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\""

static void test_broken_bpe(void **state) {
    (void)state;
    static const struct {
        const char *json;
        ce_status status;
        const char *part;
    } cases[] = {
        {BPE(BPE_VOCAB) "}", CE_ERR_FORMAT, "\"merges\""},
        {BPE("\"merges\":[]") "}", CE_ERR_FORMAT, "\"vocab\""},
        {BPE(BPE_VOCAB ",\"merges\":{}") "}", CE_ERR_FORMAT, "\"merges\""},
        {BPE(BPE_VOCAB ",\"merges\":[7]") "}", CE_ERR_FORMAT, "merge 1"},
        {BPE(BPE_VOCAB ",\"merges\":[\"a b\",\"ab\"]") "}", CE_ERR_FORMAT, "merge 2"},
        {BPE(BPE_VOCAB ",\"merges\":[\"a b a\"]") "}", CE_ERR_FORMAT, "merge 1"},
        {BPE(BPE_VOCAB ",\"merges\":[[\"a\"]]") "}", CE_ERR_FORMAT, "merge 1"},
        {BPE(BPE_VOCAB ",\"merges\":[[\"a\",\"b\",\"a\"]]") "}", CE_ERR_FORMAT, "merge 1"},
        {BPE(BPE_VOCAB ",\"merges\":[[\"a\",1]]") "}", CE_ERR_FORMAT, "merge 1"},
        {BPE(BPE_VOCAB ",\"merges\":[\"a c\"]") "}", CE_ERR_FORMAT, "needs the token \"c\""},
        {BPE(BPE_VOCAB ",\"merges\":[\"c a\"]") "}", CE_ERR_FORMAT, "needs the token \"c\""},
        {BPE(BPE_VOCAB ",\"merges\":[\"b a\"]") "}", CE_ERR_FORMAT, "needs the token \"ba\""},
        {BPE(BPE_VOCAB ",\"merges\":[\"a b\",]") "}", CE_ERR_FORMAT, "not valid JSON"},
        {BPE(BPE_VOCAB "," BPE_MERGES ",\"dropout\":0.1") "}", CE_ERR_UNSUPPORTED, "\"dropout\""},
        {BPE(BPE_VOCAB "," BPE_MERGES ",\"byte_fallback\":1") "}", CE_ERR_FORMAT, "\"byte_fallback\""},
        {BPE(BPE_VOCAB "," BPE_MERGES ",\"unk_token\":\"[X]\"") "}", CE_ERR_FORMAT, "unknown token \"[X]\""},
        {BPE(BPE_VOCAB "," BPE_MERGES ",\"fuse_unk\":1") "}", CE_ERR_FORMAT, "\"fuse_unk\""},
        {BPE(BPE_VOCAB "," BPE_MERGES ",\"continuing_subword_prefix\":\"##\"") "}", CE_ERR_UNSUPPORTED, "prefix"},
        {BPE("\"vocab\":{\"a\":0,\"b\":0}," BPE_MERGES) "}", CE_ERR_FORMAT, "have id 0"},
        {SPLITS("7"), CE_ERR_FORMAT, "\"pre_tokenizer\" is not an object"},
        {SPLITS("{\"type\":\"Sequence\"}"), CE_ERR_FORMAT, "\"pretokenizers\""},
        {SPLITS("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Odd\"}]}"), CE_ERR_UNSUPPORTED, "\"Odd\""},
        {SPLITS("{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL ",{\"type\":\"Digits\"}]}"), CE_ERR_UNSUPPORTED,
         "behind \"ByteLevel\""},
        {SPLITS("{\"type\":\"Split\"}"), CE_ERR_FORMAT, "\"pattern\""},
        {SPLITS(SPLIT_BY("\"Regex\":\"a+\"", "")), CE_ERR_UNSUPPORTED, "a+"},
        {SPLITS(SPLIT_BY("\"String\":\"a\"", "")), CE_ERR_UNSUPPORTED, "pattern"},
        {SPLITS(SPLIT_BY(LLAMA, ",\"behavior\":\"MergedWithNext\"")), CE_ERR_UNSUPPORTED, "MergedWithNext"},
        {SPLITS(SPLIT_BY(LLAMA, ",\"behavior\":\"Removed\"")), CE_ERR_UNSUPPORTED, "Removed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(cases[i].json, NULL, cases[i].status, cases[i].part);
    expect_refused(
        "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0}},\"pre_tokenizer\":{\"type\":\"Whitespace\"}}",
        "{\"tokenizer_class\":\"RobertaTokenizer\"}", CE_ERR_UNSUPPORTED, "RobertaTokenizer");
}

static void test_bpe_ids(void **state) {
    (void)state;
    cei_tokenizer *tokenizer = open_json(BPE_JSON);
    expect_ids(tokenizer, "abaab <m>b ab", 6, (const int32_t[]){5, 2, 6, 1, 3, 2});
    expect_ids(tokenizer, "", 0, NULL);
    expect_ids(tokenizer, "xyz", 0, NULL); /* bytes without a token are dropped */
    expect_ids(tokenizer, "axb", 1, (const int32_t[]){2});
    cei_tokenizer_free(tokenizer);
}

/* Each beginning of a good file. */
static void test_cut_bpe(void **state) {
    (void)state;
    static const char whole[] = BPE_JSON;
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        char *part = malloc(size ? size : 1); /* no byte more, so that a sanitizer sees it read */
        memcpy(part, whole, size);
        const cei_tokenizer_files files = {.tokenizer_json = {"tokenizer.json", part, size}};
        cei_tokenizer *tokenizer = NULL;
        ce_error error;
        expect_status(cei_tokenizer_parse(&files, &tokenizer, &error), CE_ERR_FORMAT, &error, "tokenizer.json");
        free(part);
    }
}

static ce_status parse_pair(const char *vocab, const char *merges, const char *config, cei_tokenizer **tokenizer,
                            ce_error *error) {
    const cei_tokenizer_files files = {.vocab_json = file_of("vocab.json", vocab),
                                       .merges_txt = file_of("merges.txt", merges),
                                       .tokenizer_config = file_of("tokenizer_config.json", config)};
    return cei_tokenizer_parse(&files, tokenizer, error);
}

#define PAIR_VOCAB "{\"<s>\":0,\"</s>\":1,\"a\":2,\"b\":3,\"ab\":4}"

static void test_vocab_json_and_merges_txt(void **state) {
    (void)state;
    static const struct {
        const char *vocab, *merges, *config;
        ce_status status;
        const char *part;
    } cases[] = {
        {PAIR_VOCAB, "#version: 0.2\na b\n", NULL, CE_OK, NULL},
        {"{\"<s>\":0,\"</s>\":1,\"a\":2,\"b\":3,\"ab\":4,\"\\ud83d\\ude00\":5}", "a b\r\n", NULL, CE_OK, NULL},
        {PAIR_VOCAB, "", NULL, CE_OK, NULL},
        {PAIR_VOCAB, "a b\n\n", NULL, CE_ERR_FORMAT, "merges.txt: merge 2"},
        {PAIR_VOCAB, "a b b\n", NULL, CE_ERR_FORMAT, "merge 1"},
        {PAIR_VOCAB, "a \xFF", NULL, CE_ERR_FORMAT, "not UTF-8"},
        {PAIR_VOCAB, "b a", NULL, CE_ERR_FORMAT, "\"ba\""},
        {"[]", "a b", NULL, CE_ERR_FORMAT, "not an object"},
        {"{\"a\":-1}", "a b", NULL, CE_ERR_FORMAT, "is -1"},
        {"{\"a\":1", "a b", NULL, CE_ERR_FORMAT, "vocab.json"},
        {PAIR_VOCAB, "a b", "{\"tokenizer_class\":\"BertTokenizer\"}", CE_ERR_UNSUPPORTED, "BertTokenizer"},
        {PAIR_VOCAB, "a b", "{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_bos_token\":1}", CE_ERR_FORMAT,
         "add_bos_token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cei_tokenizer *tokenizer = NULL;
        ce_error error = {CE_OK, ""};
        ce_status status = parse_pair(cases[i].vocab, cases[i].merges, cases[i].config, &tokenizer, &error);
        expect_status(status, cases[i].status, &error, cases[i].part);
        assert_int_equal(tokenizer != NULL, status == CE_OK);
        cei_tokenizer_free(tokenizer);
    }
}

/* A megabyte without a blank, of one letter and of two, and the same merges as a short word gets. */
static void test_long_bpe_word(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    cei_tokenizer *tokenizer = open_json(BPE("\"vocab\":{\"a\":0,\"aa\":1,\"aaaa\":2,\"b\":3,\"ab\":4},\"merges\":["
                                             "\"a b\",\"a a\",\"aa aa\"]") "}");
    char *text = malloc(SIZE);
    cei_token_buffer buffer = {0};
    ce_error error;
    memset(text, 'a', SIZE);
    double start = cei_now_ms();
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text, SIZE}, CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, SIZE / 4);
    for (size_t i = 0; i < SIZE; i += 3) text[i] = 'b'; /* baabaab... */
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text, SIZE}, CE_UTF8_STRICT, &buffer, &error), &error);
    if (cei_now_ms() - start > 20e3) fail_msg("long words took %.0f ms", cei_now_ms() - start);
    assert_int_equal(buffer.ids[0], 3);
    for (size_t i = 1; i + 2 < buffer.count; i++) assert_int_equal(buffer.ids[i], i % 2 ? 0 : 4);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
    free(text);
}

#define LONG_WORDS_JSON                                                                \
    BPE(BPE_VOCAB ",\"ignore_merges\":true,\"merges\":[\"a b\",[\"ab\",\"\\u0061\"]]") \
    ",\"normalizer\":{\"type\":\"NFC\"},\"added_tokens\":[{\"id\":6,\"content\":\"<m>\"}]}"

static ce_status load_and_encode_long(void *user, ce_error *error) {
    const ce_text text = {"ab a <m>e\xCC\x81 abababababababababababababababababababababababababababababababababab", 80};
    cei_tokenizer *tokenizer = NULL;
    cei_token_buffer buffer = {0};
    ce_status status = cei_tokenizer_load(user, &tokenizer, error);
    if (status == CE_OK) status = cei_tokenizer_encode(tokenizer, text, CE_UTF8_STRICT, &buffer, error);
    if (status == CE_OK) assert_true(buffer.count > 20);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
    return status;
}

static void test_each_bpe_allocation_fails(void **state) {
    (void)state;
    skip_without_allocator();
    char *bytes = test_make_folder(), *pair = test_make_folder();
    test_write_file(bytes, "tokenizer.json", LONG_WORDS_JSON, sizeof LONG_WORDS_JSON - 1);
    test_each_allocation(load_and_encode_long, bytes);
    test_write_file(pair, "vocab.json", PAIR_VOCAB, sizeof PAIR_VOCAB - 1);
    test_write_file(pair, "merges.txt", "#version: 0.2\na b\n", 18);
    test_write_file(pair, "tokenizer_config.json", "{\"add_prefix_space\":true}", 25);
    test_write_file(pair, "config.json", "{\"model_type\":\"roberta\"}", 24);
    test_each_allocation(load_and_encode_long, pair);
    test_remove_folder(bytes);
    test_remove_folder(pair);
}

static void test_steady_bpe_allocates_nothing(void **state) {
    (void)state;
    skip_without_allocator();
    static const ce_text texts[] = {
        {"ab a <m>e\xCC\x81 abababababababababababababababababababababababababababab", 66}, {"a b", 3}, {NULL, 0}};
    check_steady(LONG_WORDS_JSON, texts, sizeof texts / sizeof texts[0]);
}

/* ---- beside the other models ---- */

#define MARK "\xE2\x96\x81"
#define METASPACE ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\"}}"
#define PIECES "[[\"<unk>\",0.0],[\"" MARK "\",-1.5],[\"a\",-2],[\"b\",-2],[\"ab\",-3.25]]"
#define UNIGRAM(pieces) "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":" pieces "}"

static void encode_with(const char *json, const char *text, cei_token_buffer *buffer, const char *want) {
    char got[128] = "";
    ce_error error;
    cei_tokenizer *tokenizer = open_json(json);
    expect_ok(cei_tokenizer_encode(tokenizer, ce_text_of(text), CE_UTF8_STRICT, buffer, &error), &error);
    for (size_t i = 0; i < buffer->count; i++) sprintf(got + strlen(got), "%d ", (int)buffer->ids[i]);
    assert_string_equal(got, want);
    cei_tokenizer_free(tokenizer);
}

/* A buffer keeps the ids of words, and may come to another tokenizer, which may be where the first one was. */
static void test_buffer_of_another_tokenizer(void **state) {
    (void)state;
    cei_token_buffer buffer = {0};
    for (size_t round = 0; round < 3; round++) {
        encode_with(BPE_JSON, "ab aba", &buffer, "2 3 5 ");
        encode_with(UNIGRAM(PIECES) METASPACE, "ab b", &buffer, "1 4 1 3 ");
        encode_with(BPE(BPE_VOCAB ",\"merges\":[]") "}", "ab aba", &buffer, "0 1 3 0 1 0 ");
        encode_with(BPE("\"vocab\":{\"a\":1,\"b\":0,\"ab\":2,\"\xC4\xA0\":3},\"merges\":[]") "}", "ab", &buffer,
                    "1 0 ");
        encode_with(UNIGRAM("[[\"<unk>\",0.0],[\"" MARK "ab\",-1]]") METASPACE, "ab b", &buffer, "1 0 ");
    }
    cei_token_buffer_free(&buffer);
}

static void test_parts_of_the_other_models(void **state) {
    (void)state;
    expect_refused(UNIGRAM(PIECES) BPE_REST "}", NULL, CE_ERR_UNSUPPORTED, "\"ByteLevel\" with the model \"Unigram\"");
    expect_refused(BPE("\"vocab\":" PIECES "," BPE_MERGES) "}", NULL, CE_ERR_FORMAT, "\"vocab\" is not an object");
    expect_refused(BPE_JSON, "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}", CE_ERR_UNSUPPORTED, "must be Unigram");
    expect_refused(UNIGRAM(PIECES) METASPACE, "{\"tokenizer_class\":\"RobertaTokenizer\"}", CE_ERR_UNSUPPORTED,
                   "RobertaTokenizer");
    cei_token_buffer buffer = {0};
    encode_with("{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"" MARK
                "\":3,\"" MARK "ab\":4,\"<unk>\":5},\"merges\":[\"a b\",\"" MARK " ab\"]}" METASPACE,
                "ab ba  ab x", &buffer, "4 3 1 0 3 4 3 5 ");
    cei_token_buffer_free(&buffer);
}

/* Where tokenizer_config.json names no class, config.json's model_type does. */
static void test_class_of_the_model(void **state) {
    (void)state;
    static const struct {
        const char *config;
        size_t specials;
    } cases[] = {{NULL, 4}, {"{\"model_type\":\"xlm-roberta\"}", 4}, {"{\"model_type\":\"deberta-v2\"}", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const cei_tokenizer_files files = {.tokenizer_json = file_of("tokenizer.json", UNIGRAM(PIECES) METASPACE),
                                           .tokenizer_config = file_of("tokenizer_config.json", "{}"),
                                           .model_config = file_of("config.json", cases[i].config)};
        cei_tokenizer *tokenizer = NULL;
        ce_error error;
        expect_ok(cei_tokenizer_parse(&files, &tokenizer, &error), &error);
        assert_int_equal(cei_tokenizer_pair_specials(tokenizer), cases[i].specials);
        cei_tokenizer_free(tokenizer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_bpe),
        cmocka_unit_test(test_bpe_ids),
        cmocka_unit_test(test_cut_bpe),
        cmocka_unit_test(test_vocab_json_and_merges_txt),
        cmocka_unit_test(test_long_bpe_word),
        cmocka_unit_test(test_each_bpe_allocation_fails),
        cmocka_unit_test(test_steady_bpe_allocates_nothing),
        cmocka_unit_test(test_buffer_of_another_tokenizer),
        cmocka_unit_test(test_parts_of_the_other_models),
        cmocka_unit_test(test_class_of_the_model),
    };
    return cmocka_run_group_tests_name("bpe_files", tests, NULL, NULL);
}
