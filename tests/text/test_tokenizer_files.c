/* test_tokenizer_files.c - broken, hostile and odd tokenizer files: each has its status and a message that names what
 * is wrong, and leaves nothing behind. And hostile texts: linear time, bounded memory, no allocation in steady use. */
#include "tokenizer_files.h"

#include "base/clock.h"
#include "text/normalizer.h"
#include "text/spec.h"
#include "text/vocab_json.h"

#define MODEL(fields) "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\"," fields "}"
#define VOCAB "\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"##b\":4,\"ab\":5}"
#define SPLIT "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
#define A "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define B "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}"
#define REST "," SPLIT ",\"normalizer\":null"
#define GOOD "{" MODEL(VOCAB) REST "}"

/* ---- lower case on demand ---- */

static void expect_lowercased(const char *json, const int32_t *before, const int32_t *behind, size_t count) {
    static const char text[] = "A aB";
    ce_error error;
    cei_tokenizer *tokenizer = open_json(json);
    expect_ids(tokenizer, text, count, before);
    for (size_t i = 0; i < 2 * CEI_NORMALIZER_MAX_STEPS; i++) { /* once is as good as often */
        expect_ok(cei_tokenizer_lowercase(tokenizer, &error), &error);
        expect_ids(tokenizer, text, count, behind);
    }
    cei_tokenizer_free(tokenizer);
}

static void test_lowercase(void **state) {
    (void)state;
    static const int32_t cased[] = {0, 0}, lower[] = {3, 5};
    expect_lowercased("{" MODEL(VOCAB) REST "}", cased, lower, 2);
    expect_lowercased("{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":false}}",
                      cased, lower, 2);
    expect_lowercased("{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":true}}",
                      lower, lower, 2);
    expect_lowercased("{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"Lowercase\"}}", lower, lower, 2);
}

static void test_lowercase_stands_before_the_other_steps(void **state) {
    (void)state;
    ce_error error;
    char json[1024] = "{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[";
    for (size_t i = 0; i < CEI_NORMALIZER_MAX_STEPS - 1; i++)
        strcat(json, i ? ",{\"type\":\"NFC\"}" : "{\"type\":\"NFD\"}");
    const size_t length = strlen(json);
    strcat(json, "]}}");
    expect_lowercased(json, (const int32_t[]){0, 0}, (const int32_t[]){3, 5}, 2);
    strcpy(json + length, ",{\"type\":\"NFC\"}]}}");
    cei_tokenizer *tokenizer = open_json(json); /* which is full */
    expect_status(cei_tokenizer_lowercase(tokenizer, &error), CE_ERR_UNSUPPORTED, &error, "more than 7 steps");
    cei_tokenizer_free(tokenizer);
}

/* ---- tokenizer.json ---- */

static void test_broken_tokenizer_json(void **state) {
    (void)state;
    static const struct {
        const char *json;
        ce_status status;
        const char *part;
    } cases[] = {
        {"", CE_ERR_FORMAT, "tokenizer.json"},
        {"[]", CE_ERR_FORMAT, "no JSON object"},
        {"{}", CE_ERR_FORMAT, "\"model\""},
        {"{\"model\":7}", CE_ERR_FORMAT, "\"model\""},
        {"{\"model\":{}}", CE_ERR_FORMAT, "\"type\""},
        {"{\"model\":{\"type\":7}}", CE_ERR_FORMAT, "\"type\""},
        {"{\"model\":{\"type\":\"WordLevel\"}}", CE_ERR_UNSUPPORTED, "model \"WordLevel\""},
        {"{" MODEL("\"x\":1") REST "}", CE_ERR_FORMAT, "\"vocab\""},
        {"{" MODEL("\"vocab\":[]") REST "}", CE_ERR_FORMAT, "\"vocab\""},
        {"{" MODEL("\"vocab\":{}") REST "}", CE_ERR_FORMAT, "lacks the unknown token \"[UNK]\""},
        {"{" MODEL("\"vocab\":{\"a\":0}") REST "}", CE_ERR_FORMAT, "lacks the unknown token \"[UNK]\""},
        {"{" MODEL("\"vocab\":{\"[UNK]\":\"0\"}") REST "}", CE_ERR_FORMAT, "not an integer"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":0.5}") REST "}", CE_ERR_FORMAT, "not an integer"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":-1}") REST "}", CE_ERR_FORMAT, "is -1"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":16777216}") REST "}", CE_ERR_FORMAT, "is 16777216"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":4294967296}") REST "}", CE_ERR_FORMAT, "is 4294967296"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":99999999999999999999}") REST "}", CE_ERR_FORMAT, "not an integer"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":0,\"a\":1,\"b\":1}") REST "}", CE_ERR_FORMAT, "have id 1"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":0,\"\xFF\":1}") REST "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":0,\"a\" 1}") REST "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":0,}") REST "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":00}") REST "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"vocab\":{\"[UNK]\":0} \"x\":1") REST "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL(VOCAB) ",", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"max_input_chars_per_word\":-1," VOCAB) REST "}", CE_ERR_FORMAT, "max_input_chars_per_word"},
        {"{" MODEL("\"max_input_chars_per_word\":1000000," VOCAB) REST "}", CE_ERR_UNSUPPORTED,
         "max_input_chars_per_word"},
        {"{" MODEL("\"continuing_subword_prefix\":1," VOCAB) REST "}", CE_ERR_FORMAT, "continuing_subword_prefix"},
        {"{" MODEL(VOCAB) ",\"pre_tokenizer\":{\"type\":\"ByteLevel\"}}", CE_ERR_UNSUPPORTED,
         "pre_tokenizer \"ByteLevel\" with the model"},
        {"{" MODEL(VOCAB) ",\"pre_tokenizer\":{\"type\":\"Punctuation\"}}", CE_ERR_UNSUPPORTED,
         "pre_tokenizer \"Punctuation\""},
        {"{" MODEL(VOCAB) ",\"pre_tokenizer\":{}}", CE_ERR_FORMAT, "lacks its \"type\""},
        {"{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"ByteLevel\"}}", CE_ERR_UNSUPPORTED,
         "normalizer \"ByteLevel\""},
        {"{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":[]}", CE_ERR_FORMAT, "\"normalizer\" is not an object"},
        {"{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"Sequence\"}}", CE_ERR_FORMAT, "\"normalizers\""},
        {"{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFX\"}]}}",
         CE_ERR_UNSUPPORTED, "normalizer \"NFX\""},
        {"{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":3}}", CE_ERR_FORMAT,
         "\"lowercase\""},
        {"{" MODEL(VOCAB) REST ",\"added_tokens\":{}}", CE_ERR_FORMAT, "\"added_tokens\""},
        {"{" MODEL(VOCAB) REST ",\"added_tokens\":[7]}", CE_ERR_FORMAT, "\"added_tokens\""},
        {"{" MODEL(VOCAB) REST ",\"added_tokens\":[{\"id\":1}]}", CE_ERR_FORMAT, "\"content\""},
        {"{" MODEL(VOCAB) REST ",\"added_tokens\":[{\"content\":\"x\"}]}", CE_ERR_FORMAT, "not an integer"},
        {"{" MODEL(VOCAB) REST ",\"added_tokens\":[{\"id\":-4,\"content\":\"x\"}]}", CE_ERR_FORMAT, "is -4"},
        {"{" MODEL(VOCAB) REST ",\"added_tokens\":[{\"id\":6,\"content\":\"x\",\"lstrip\":\"no\"}]}", CE_ERR_FORMAT,
         "\"lstrip\""},
        {"{" MODEL(VOCAB) REST ",\"added_tokens\":[{\"id\":6,\"content\":\"x\"},{\"id\":6,\"content\":\"y\"}]}",
         CE_ERR_FORMAT, "have id 6"},
        {"{" MODEL(VOCAB) REST
         ",\"added_tokens\":[{\"id\":6,\"content\":\"x\"},{\"id\":7,\"content\":\"x\",\"lstrip\":true}]}",
         CE_ERR_FORMAT, "there twice"},
        {"{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"BertNormalizer\"},"
                          "\"added_tokens\":[{\"id\":6,\"content\":\"\\u0001\",\"normalized\":true}]}",
         CE_ERR_UNSUPPORTED, "leaves nothing"},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"RobertaProcessing\"}}", CE_ERR_FORMAT, "\"cls\""},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"OtherProcessing\"}}", CE_ERR_UNSUPPORTED,
         "post_processor \"OtherProcessing\""},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"Sequence\"}}", CE_ERR_FORMAT, "\"processors\""},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":7}", CE_ERR_FORMAT, "\"post_processor\""},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"TemplateProcessing\"}}", CE_ERR_FORMAT, "\"pair\""},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"pair\":[]}}", CE_ERR_FORMAT,
         "once each"},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"pair\":[7]}}", CE_ERR_FORMAT,
         "not understood"},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"pair\":["
                               "{\"Sequence\":{\"id\":\"C\",\"type_id\":0}}]}}",
         CE_ERR_FORMAT, "neither"},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"pair\":["
                               "{\"SpecialToken\":{\"id\":\"[X]\",\"type_id\":0}}],\"special_tokens\":{}}}",
         CE_ERR_FORMAT, "\"[X]\" has no \"ids\""},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"pair\":[" A "," B "]}}",
         CE_ERR_FORMAT, "\"single\""},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"pair\":[" A "," B
                               "],\"single\":[" A "," B "]}}",
         CE_ERR_FORMAT, "for one text must have"},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\"],"
                               "\"sep\":[\"[SEP]\",2]}}",
         CE_ERR_FORMAT, "\"cls\""},
        {"{" MODEL(VOCAB) REST ",\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\",1],"
                               "\"sep\":[\"[SEP]\",99]}}",
         CE_ERR_FORMAT, "id 99"},
        {"{" MODEL(VOCAB) REST ",\"truncation\":{\"direction\":\"Left\"}}", CE_ERR_UNSUPPORTED, "on the left"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(cases[i].json, NULL, cases[i].status, cases[i].part);
}

/* Each beginning of a good file, alone in its block so that a read past its end shows. */
static void test_cut_tokenizer_json(void **state) {
    (void)state;
    static const char whole[] =
        "{" MODEL(VOCAB) REST ",\"added_tokens\":[{\"id\":6,\"content\":\"x\\n\\u00e9\"}],"
                              "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\",1],\"sep\":"
                              "[\"[SEP]\",2]}}";
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        char *part = malloc(size ? size : 1); /* no byte more, so that a sanitizer sees it read */
        memcpy(part, whole, size);
        const cei_tokenizer_files files = {.tokenizer_json = {"tokenizer.json", part, size}};
        cei_tokenizer *tokenizer = NULL;
        ce_error error;
        expect_status(cei_tokenizer_parse(&files, &tokenizer, &error), CE_ERR_FORMAT, &error, "tokenizer.json");
        free(part);
    }
    cei_tokenizer_free(open_json(whole));
}

static void test_long_added_token(void **state) {
    (void)state;
    char *json = malloc(4096);
    memset(json, 'x', 4096);
    static const char start[] = "{" MODEL(VOCAB) REST ",\"added_tokens\":[{\"id\":6,\"content\":\"";
    memcpy(json, start, sizeof start - 1);
    strcpy(json + 2000, "\"}]}");
    expect_refused(json, NULL, CE_ERR_UNSUPPORTED, "may have 1024");
    free(json);
}

/* The quick reader of vocabularies and the JSON parser agree; what the first leaves alone, the second reads. */
static void test_vocabulary_spellings(void **state) {
    (void)state;
    static const struct {
        const char *vocab;
        bool quick;
    } cases[] = {
        {"{\"[UNK]\":0,\"a\":3,\"##b\":4}", true},
        {" {\n\t\"[UNK]\" : 0 ,\r\n \"a\":3,\"##\\u0062\":4 } ", true},
        {"{\"[UNK]\":0,\"\\u0061\":3,\"\\u0023#b\":4,\"\\\"\\\\\\/\\b\\f\\n\\r\\t\":7}", true},
        {"{\"[UNK]\":0,\"a\":9,\"##b\":4,\"a\":3}", true},
        {"{\"[UNK]\":0,\"a\":3,\"##b\":4,\"\\ud83d\\ude00\":5}", false},
        {"{\"[UNK]\":0,\"a\":7},\"vocab\":{\"[UNK]\":0,\"a\":3,\"##b\":4}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[512];
        snprintf(json, sizeof json, "{\"x\":[\"}\",{\"model\":1}]," MODEL("\"vocab\":%s") REST "}", cases[i].vocab);
        cei_tokenizer_spec spec = {.has_merges = true};
        cei_bytes rest = {0};
        const cei_tokenizer_file file = file_of("tokenizer.json", json);
        expect_ok(cei_vocab_json_take(&file, &spec, &rest, NULL), NULL);
        assert_false(spec.has_merges);
        assert_int_equal(rest.size > 0, cases[i].quick);
        assert_int_equal(spec.vocabulary.slots != NULL, cases[i].quick);
        cei_vocabulary_free(&spec.vocabulary);
        cei_free(rest.data);
        cei_tokenizer *tokenizer = open_json(json);
        expect_ids(tokenizer, "ab a b", 4, (const int32_t[]){3, 4, 3, 0});
        cei_tokenizer_free(tokenizer);
    }
}

/* Messages count lines in the file as it is, though the vocabulary is taken out first. */
static void test_line_of_an_error_behind_the_vocabulary(void **state) {
    (void)state;
    expect_refused("{" MODEL("\"vocab\":{\n\"[UNK]\":0,\n\"a\":1\n}") ",\n\"normalizer\": nul}", NULL, CE_ERR_FORMAT,
                   "line 5");
}

static void test_vocabulary_with_gaps(void **state) {
    (void)state;
    cei_tokenizer *tokenizer = open_json("{" MODEL("\"vocab\":{\"a\":900,\"[UNK]\":5}") REST
                                         ",\"added_tokens\":[{\"id\":901,\"content\":\"<new>\"}]}");
    assert_int_equal(cei_tokenizer_vocab_size(tokenizer), 901);
    /* As the reference does it: the id in the file does not count, the number of tokens does. */
    expect_ids(tokenizer, "a b<new>", 3, (const int32_t[]){900, 5, 2});
    cei_tokenizer_free(tokenizer);
}

/* ---- the other files ---- */

static void test_broken_config(void **state) {
    (void)state;
    static const struct {
        const char *config;
        ce_status status;
        const char *part;
    } cases[] = {
        {"{", CE_ERR_FORMAT, "tokenizer_config.json is not valid JSON"},
        {"[]", CE_ERR_FORMAT, "tokenizer_config.json holds no JSON object"},
        {"{\"tokenizer_class\":7}", CE_ERR_FORMAT, "\"tokenizer_class\""},
        {"{\"tokenizer_class\":\"FunnelTokenizerFast\"}", CE_ERR_UNSUPPORTED, "\"FunnelTokenizerFast\""},
        {"{\"do_lower_case\":1}", CE_ERR_FORMAT, "\"do_lower_case\""},
        {"{\"strip_accents\":\"no\"}", CE_ERR_FORMAT, "\"strip_accents\""},
        {"{\"tokenize_chinese_chars\":[]}", CE_ERR_FORMAT, "\"tokenize_chinese_chars\""},
        {"{\"model_max_length\":0}", CE_ERR_FORMAT, "\"model_max_length\""},
        {"{\"model_max_length\":-2}", CE_ERR_FORMAT, "\"model_max_length\""},
        {"{\"model_max_length\":\"512\"}", CE_ERR_FORMAT, "\"model_max_length\""},
        {"{\"truncation_side\":\"left\"}", CE_ERR_UNSUPPORTED, "on the left"},
        {"{\"split_special_tokens\":true}", CE_ERR_UNSUPPORTED, "split_special_tokens"},
        {"{\"model_input_names\":7}", CE_ERR_FORMAT, "\"model_input_names\""},
        {"{\"cls_token\":7}", CE_ERR_FORMAT, "added token"},
        {"{\"unk_token\":\"[OTHER]\"}", CE_ERR_FORMAT, "lacks the unknown token \"[OTHER]\""},
        {"{\"extra_special_tokens\":7}", CE_ERR_FORMAT, "extra special tokens"},
        {"{\"extra_special_tokens\":[7]}", CE_ERR_FORMAT, "added token"},
        {"{\"extra_special_tokens\":{\"x\":7}}", CE_ERR_FORMAT, "added token"},
        {"{\"image_token\":{}}", CE_ERR_FORMAT, "added token"},
        {"{\"added_tokens_decoder\":[]}", CE_ERR_FORMAT, "\"added_tokens_decoder\""},
        {"{\"added_tokens_decoder\":{\"x\":{\"content\":\"y\"}}}", CE_ERR_FORMAT, "no token id"},
        {"{\"added_tokens_decoder\":{\"-1\":{\"content\":\"y\"}}}", CE_ERR_FORMAT, "no token id"},
        {"{\"added_tokens_decoder\":{\"99999999999999999999\":{\"content\":\"y\"}}}", CE_ERR_FORMAT, "no token id"},
        {"{\"added_tokens_decoder\":{\"5\":{}}}", CE_ERR_FORMAT, "\"content\""},
        {"{\"added_tokens_decoder\":{\"5\":{\"content\":\"x\"},\"6\":{\"content\":\"x\",\"lstrip\":true}}}",
         CE_ERR_FORMAT, "there twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(GOOD, cases[i].config, cases[i].status, cases[i].part);
}

static void test_max_length(void **state) {
    (void)state;
    static const struct {
        const char *config;
        size_t want;
    } cases[] = {
        {"{\"model_max_length\":512}", 512},
        {"{\"model_max_length\":1}", 1},
        {"{\"model_max_length\":1000000000000000019884624838656}", SIZE_MAX},
        {"{\"model_max_length\":1e30}", SIZE_MAX},
        {"{\"model_max_length\":-1}", SIZE_MAX},
        {"{\"model_max_length\":null}", SIZE_MAX},
        {"{\"max_len\":64}", 64},
        {"{\"model_max_length\":32,\"max_len\":64}", 32},
        {"{}", SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cei_tokenizer *tokenizer = NULL;
        ce_error error;
        expect_ok(parse_config(GOOD, cases[i].config, &tokenizer, &error), &error);
        assert_int_equal(cei_tokenizer_max_length(tokenizer), cases[i].want);
        cei_tokenizer_free(tokenizer);
    }
}

static void test_folders_that_lack_files(void **state) {
    (void)state;
    ce_error error;
    cei_tokenizer *tokenizer = NULL;
    expect_status(cei_tokenizer_load("/nowhere/at/all", &tokenizer, &error), CE_ERR_NOT_FOUND, &error,
                  "/nowhere/at/all");
    char *folder = test_make_folder();
    expect_status(cei_tokenizer_load(folder, &tokenizer, &error), CE_ERR_NOT_FOUND, &error, "vocab.txt");
    test_write_file(folder, "vocab.txt", "", 0);
    expect_status(cei_tokenizer_load(folder, &tokenizer, &error), CE_ERR_FORMAT, &error, "[UNK]");
    test_write_file(folder, "vocab.txt", "[UNK]\na\xC3\n", 9);
    expect_status(cei_tokenizer_load(folder, &tokenizer, &error), CE_ERR_FORMAT, &error, "not UTF-8: byte 7");
    test_write_file(folder, "vocab.txt", "[UNK]\na", 7);
    test_write_file(folder, "special_tokens_map.json", "{\"cls_token\":{}}", 16);
    expect_status(cei_tokenizer_load(folder, &tokenizer, &error), CE_ERR_FORMAT, &error, "special_tokens_map.json");
    test_write_file(folder, "special_tokens_map.json", "{}", 2);
    test_write_file(folder, "added_tokens.json", "{\"x\":\"y\"}", 9);
    expect_status(cei_tokenizer_load(folder, &tokenizer, &error), CE_ERR_FORMAT, &error, "added_tokens.json");
    test_write_file(folder, "added_tokens.json", "{}", 2);
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    /* [SEP], [PAD], [CLS] and [MASK] are not in the vocabulary: they come behind it. */
    assert_int_equal(cei_tokenizer_vocab_size(tokenizer), 6);
    cei_tokenizer_free(tokenizer);
    test_remove_folder(folder);
    cei_tokenizer_free(NULL);
    cei_token_buffer_free(NULL);
}

/* White space ends lines, whatever it is; of a token that stands there twice the last line counts; the last line may
 * lack its end. More tokens than most continue words, so that their table grows. */
static void test_lines_of_a_vocabulary(void **state) {
    (void)state;
    static const char lines[] = "[UNK] \n[CLS]\r\n[SEP]\t \na\n\xC3\xA9\nb\xC2\xA0\n##a\xE3\x80\x80\r\n##b\n"
                                "##\xC3\xA9\n##e\n##f\n##g\n##h\n##i\n##j\n##k\n##l\n##\na\n\n##c";
    static const char config[] = "{\"do_lower_case\":false,\"strip_accents\":false}";
    char *folder = test_make_folder();
    test_write_file(folder, "vocab.txt", lines, sizeof lines - 1);
    test_write_file(folder, "tokenizer_config.json", config, sizeof config - 1);
    ce_error error;
    cei_tokenizer *tokenizer = NULL;
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    expect_ids(tokenizer, "a b \xC3\xA9 bc", 5, (const int32_t[]){18, 5, 4, 5, 20});
    expect_ids(tokenizer, "aab\xC3\xA9l", 5, (const int32_t[]){18, 6, 7, 8, 16});
    expect_ids(tokenizer, "ba##", 4, (const int32_t[]){5, 6, 0, 0});
    cei_tokenizer_free(tokenizer);
    test_remove_folder(folder);
}

/* ---- added tokens ---- */

#define ADDED(id, content, flags) "{\"id\":" id ",\"content\":\"" content "\"," flags "}"

static void test_added_tokens_next_to_each_other(void **state) {
    (void)state;
    /* What is no word by itself is stepped over whole: no other token is looked for inside. */
    cei_tokenizer *tokenizer = open_json("{" MODEL(VOCAB) REST ",\"added_tokens\":[" ADDED(
        "6", "a.a", "\"special\":true,\"single_word\":true") "," ADDED("7", ".a", "\"special\":true") "]}");
    expect_ids(tokenizer, "a.ab", 3, (const int32_t[]){3, 0, 5});
    expect_ids(tokenizer, "a.a.ab", 3, (const int32_t[]){6, 7, 0});
    expect_ids(tokenizer, "b.ab", 3, (const int32_t[]){0, 7, 0});
    cei_tokenizer_free(tokenizer);
    /* White space that a token took on its right cannot be tokens any more. */
    tokenizer =
        open_json("{" MODEL(VOCAB) REST ",\"added_tokens\":[" ADDED("6", " ", "\"lstrip\":true,\"rstrip\":true") "]}");
    expect_ids(tokenizer, "a   a a", 5, (const int32_t[]){3, 6, 3, 6, 3});
    cei_tokenizer_free(tokenizer);
    /* Of two that the normalizer makes alike the first is found. */
    tokenizer =
        open_json("{" MODEL(VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"Lowercase\"},\"added_tokens\":[" ADDED(
            "6", "<X>", "\"normalized\":true") "," ADDED("7", "<x>", "\"normalized\":true") "]}");
    expect_ids(tokenizer, "<x><X>", 2, (const int32_t[]){6, 6});
    cei_tokenizer_free(tokenizer);
}

/* ---- texts ---- */

static void test_ill_formed_texts(void **state) {
    (void)state;
    cei_tokenizer *tokenizer = open_json(GOOD);
    cei_token_buffer buffer = {0};
    ce_error error;
    const ce_text text = {"ab \xE2\x82 a\xFF", 8};
    expect_status(cei_tokenizer_encode(tokenizer, text, CE_UTF8_STRICT, &buffer, &error), CE_ERR_TEXT, &error,
                  "byte 3 is 0xE2");
    expect_ok(cei_tokenizer_encode(tokenizer, text, CE_UTF8_REPLACE, &buffer, &error), &error);
    assert_int_equal(buffer.count, 3);
    assert_int_equal(buffer.ids[0], 5);
    assert_int_equal(buffer.ids[1], 0);
    assert_int_equal(buffer.ids[2], 0);
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){NULL, 0}, CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, 0);
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){"a\0b", 3}, CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, 1); /* a NUL is a letter like any other where nothing is cleaned */
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

/* One character for each ill-formed sequence. */
static void test_replaced_characters_are_counted(void **state) {
    (void)state;
    cei_tokenizer *tokenizer =
        open_json("{" MODEL("\"vocab\":{\"[UNK]\":0,\"\xEF\xBF\xBD\":1,\"##\xEF\xBF\xBD\":2}") REST "}");
    cei_token_buffer buffer = {0};
    ce_error error;
    const ce_text text = {"\xF0\x9F\x98\xE2\x82\xFF", 6};
    expect_ok(cei_tokenizer_encode(tokenizer, text, CE_UTF8_REPLACE, &buffer, &error), &error);
    assert_int_equal(buffer.count, 3);
    assert_int_equal(buffer.ids[0], 1);
    assert_int_equal(buffer.ids[2], 2);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

#define BERT_JSON                                                                                                   \
    "{" MODEL(                                                                                                      \
        VOCAB) "," SPLIT ",\"normalizer\":{\"type\":\"BertNormalizer\"},\"added_tokens\":["                         \
               "{\"id\":6,\"content\":\"  \",\"rstrip\":true},{\"id\":7,\"content\":\"[SEP]\",\"special\":true},"   \
               "{\"id\":8,\"content\":\"[[[[x\",\"normalized\":true},{\"id\":9,\"content\":\"ac\",\"single_word\":" \
               "true}]}"

/* Texts of 10 MB that would show anything quadratic. */
static void test_long_hostile_texts(void **state) {
    (void)state;
    enum { SIZE = 10 * 1000 * 1000 };
    static const char *const units[] = {
        "a",
        "b",
        "ab",
        " ",
        ".",
        "[",
        "a b. ",
        "ac",
        "\t",
        "\xCC\x81",
        "\xCC\xB4\xCD\x85",
        "\xE1\xB9\xA9",
        "\xE4\xB8\xAD",
        "\xF0\xAF\xA0\x80",
        "\xEA\xB0\x81",
        "\xE1\xBC\x82",
        "\xF0\x9D\x85\xA0",
        "\xEF\xB7\xBA",
        "\xFF",
        "[SEP]",
        "\xC2\xAD",
        "\xE0\xBD\xB3\xE0\xBD\xB1",
    };
    cei_tokenizer *tokenizer = open_json(BERT_JSON);
    cei_token_buffer buffer = {0};
    ce_error error;
    char *text = malloc(SIZE + 16);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t unit = strlen(units[i]), size = SIZE / unit * unit;
        for (size_t at = 0; at < size; at += unit) memcpy(text + at, units[i], unit);
        double start = cei_now_ms();
        expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text, size}, CE_UTF8_REPLACE, &buffer, &error), &error);
        /* A linear pass takes some 0.1 s, ten times that under a sanitizer; a quadratic one hours. */
        if (cei_now_ms() - start > 60e3) fail_msg("text %zu took %.0f ms", i, cei_now_ms() - start);
        assert_true(buffer.count <= size);
    }
    free(text);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

/* A word that no piece ends, with a long piece for each of its places to try. */
static void test_word_that_almost_fits(void **state) {
    (void)state;
    cei_tokenizer *tokenizer = open_json(
        "{" MODEL("\"vocab\":{\"[UNK]\":0,\"a\":1,\"##a\":2,\"##aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\":3}") REST "}");
    char word[102];
    cei_token_buffer buffer = {0};
    ce_error error;
    memset(word, 'a', sizeof word);
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){word, 100}, CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, 100);
    assert_int_equal(buffer.ids[99], 2);
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){word, 101}, CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, 1);
    word[99] = 'c';
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){word, 100}, CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, 1);
    assert_int_equal(buffer.ids[0], 0);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

/* ---- memory ---- */

static ce_status load_and_encode(void *user, ce_error *error) {
    const ce_text text = {"ab \xC3\xA9\xCC\x81\xCD\x85 [[[[X ac \xE4\xB8\xAD  \xFF", 26};
    cei_tokenizer *tokenizer = NULL;
    cei_token_buffer buffer = {0};
    ce_status status = cei_tokenizer_load(user, &tokenizer, error);
    assert_int_equal(status == CE_OK, tokenizer != NULL);
    if (status == CE_OK) status = cei_tokenizer_encode(tokenizer, text, CE_UTF8_REPLACE, &buffer, error);
    if (status == CE_OK) assert_true(buffer.count >= 7);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
    return status;
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    skip_without_allocator();
    char *folder = test_make_folder();
    static const char config[] = "{\"tokenizer_class\":\"TokenizersBackend\",\"extra_special_tokens\":[\"<q>\"]}";
    test_write_file(folder, "tokenizer_config.json", config, sizeof config - 1);
    test_write_file(folder, "tokenizer.json", BERT_JSON, sizeof BERT_JSON - 1);
    test_each_allocation(load_and_encode, folder);
    char *other = test_make_folder();
    test_write_file(other, "vocab.txt", "[UNK]\na\nb\nc\n##d\n[CLS]\n[SEP]\n", 29);
    test_write_file(other, "added_tokens.json", "{\"<new>\":9}", 11);
    test_write_file(other, "tokenizer_config.json", "{\"strip_accents\":false}", 23);
    test_each_allocation(load_and_encode, other);
    test_remove_folder(folder);
    test_remove_folder(other);
}

static void test_steady_use_allocates_nothing(void **state) {
    (void)state;
    skip_without_allocator();
    static const ce_text texts[] = {
        {"ab \xC3\xA9\xCC\x81\xCD\x85 [[[[X ac \xE4\xB8\xAD  \xFF", 26}, {"a b", 3}, {NULL, 0}};
    check_steady(BERT_JSON, texts, sizeof texts / sizeof texts[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lowercase),
        cmocka_unit_test(test_lowercase_stands_before_the_other_steps),
        cmocka_unit_test(test_broken_tokenizer_json),
        cmocka_unit_test(test_cut_tokenizer_json),
        cmocka_unit_test(test_long_added_token),
        cmocka_unit_test(test_vocabulary_spellings),
        cmocka_unit_test(test_line_of_an_error_behind_the_vocabulary),
        cmocka_unit_test(test_vocabulary_with_gaps),
        cmocka_unit_test(test_broken_config),
        cmocka_unit_test(test_max_length),
        cmocka_unit_test(test_folders_that_lack_files),
        cmocka_unit_test(test_lines_of_a_vocabulary),
        cmocka_unit_test(test_added_tokens_next_to_each_other),
        cmocka_unit_test(test_ill_formed_texts),
        cmocka_unit_test(test_replaced_characters_are_counted),
        cmocka_unit_test(test_long_hostile_texts),
        cmocka_unit_test(test_word_that_almost_fits),
        cmocka_unit_test(test_each_allocation_fails),
        cmocka_unit_test(test_steady_use_allocates_nothing),
    };
    return cmocka_run_group_tests_name("tokenizer_files", tests, NULL, NULL);
}
