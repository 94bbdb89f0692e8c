/* test_unigram_files.c - broken, hostile and odd files of Unigram tokenizers, and hostile texts for them: a status and
 * a message that names what is wrong, linear time, no allocation in steady use. */
#include "support/failing_malloc.h"
#include "support/support.h"

#include "base/clock.h"
#include "text/charsmap.h"
#include "text/piece_score.h"
#include "text/spec.h"
#include "text/utf8.h"
#include "text/vocab_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "\xE2\x96\x81"
#define MODEL(fields) "\"model\":{\"type\":\"Unigram\"," fields "}"
#define PIECES "\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"" MARK "\",-1.5],[\"a\",-2],[\"b\",-2e0],[\"ab\",-3.25]]"
#define METASPACE "{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\",\"prepend_scheme\":\"always\",\"split\":true}"
#define SPLIT ",\"pre_tokenizer\":" METASPACE
#define GOOD "{" MODEL(PIECES) SPLIT "}"
#define STEP(step) "{" MODEL(PIECES) SPLIT ",\"normalizer\":" step "}"
#define WORDS(pre) "{" MODEL(PIECES) ",\"pre_tokenizer\":" pre "}"
#define CHARSMAP(text) STEP("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"" text "\"}")

static ce_status parse(const char *json, size_t size, const char *config, cei_tokenizer **tokenizer, ce_error *error) {
    const cei_tokenizer_files files = {
        .tokenizer_json = {"tokenizer.json", json, size},
        .tokenizer_config = {"tokenizer_config.json", config, config ? strlen(config) : 0}};
    return cei_tokenizer_parse(&files, tokenizer, error);
}

static cei_tokenizer *open_json(const char *json) {
    ce_error error;
    cei_tokenizer *tokenizer = NULL;
    expect_ok(parse(json, strlen(json), NULL, &tokenizer, &error), &error);
    return tokenizer;
}

static void expect_refused(const char *json, const char *config, ce_status want, const char *part) {
    ce_error error = {CE_OK, ""};
    cei_tokenizer *tokenizer = NULL;
    ce_status status = parse(json, strlen(json), config, &tokenizer, &error);
    if (status != want) print_error("%s\n", json);
    expect_status(status, want, &error, part);
    assert_null(tokenizer);
}

static void expect_ids(const cei_tokenizer *tokenizer, const char *text, size_t count, const int32_t *want) {
    cei_token_buffer buffer = {0};
    ce_error error;
    expect_ok(cei_tokenizer_encode(tokenizer, ce_text_of(text), CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(buffer.ids[i], want[i]);
    cei_token_buffer_free(&buffer);
}

/* ---- tokenizer.json ---- */

static void test_broken_files(void **state) {
    (void)state;
    static const struct {
        const char *json;
        ce_status status;
        const char *part;
    } cases[] = {
        {"{" MODEL("\"vocab\":{}") SPLIT "}", CE_ERR_FORMAT, "\"vocab\" is not an array"},
        {"{" MODEL("\"unk_id\":0") SPLIT "}", CE_ERR_FORMAT, "\"vocab\" is not an array"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[]") SPLIT "}", CE_ERR_FORMAT, "\"unk_id\" is 0, and there are 0"},
        {"{" MODEL("\"unk_id\":1,\"vocab\":[[\"a\",0]]") SPLIT "}", CE_ERR_FORMAT, "\"unk_id\" is 1"},
        {"{" MODEL("\"unk_id\":-1,\"vocab\":[[\"a\",0]]") SPLIT "}", CE_ERR_FORMAT, "\"unk_id\""},
        {"{" MODEL("\"unk_id\":1e3,\"vocab\":[[\"a\",0]]") SPLIT "}", CE_ERR_FORMAT, "\"unk_id\""},
        {"{" MODEL("\"unk_id\":null,\"vocab\":[[\"a\",0]]") SPLIT "}", CE_ERR_UNSUPPORTED, "no \"unk_id\""},
        {"{" MODEL("\"vocab\":[[\"a\",0]]") SPLIT "}", CE_ERR_UNSUPPORTED, "no \"unk_id\""},
        {"{" MODEL("\"byte_fallback\":1," PIECES) SPLIT "}", CE_ERR_FORMAT, "\"byte_fallback\""},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\"]]") SPLIT "}", CE_ERR_FORMAT, "piece 0"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\",0],[\"b\",0,1]]") SPLIT "}", CE_ERR_FORMAT, "piece 1"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\",0],[7,0]]") SPLIT "}", CE_ERR_FORMAT, "piece 1"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\",\"0\"]]") SPLIT "}", CE_ERR_FORMAT, "piece 0"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[\"a\"]") SPLIT "}", CE_ERR_FORMAT, "piece 0"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\",NaN]]") SPLIT "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\",-Infinity]]") SPLIT "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\",1e999]]") SPLIT "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\",01]]") SPLIT "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"a\",0],]") SPLIT "}", CE_ERR_FORMAT, "not valid JSON"},
        {"{" MODEL("\"unk_id\":0,\"vocab\":[[\"\xFF\",0]]") SPLIT "}", CE_ERR_FORMAT, "not valid JSON"},
        {STEP("{\"type\":\"Precompiled\"}"), CE_ERR_FORMAT, "\"precompiled_charsmap\""},
        {STEP("{\"type\":\"Precompiled\",\"precompiled_charsmap\":null}"), CE_ERR_FORMAT, "\"precompiled_charsmap\""},
        {CHARSMAP(""), CE_ERR_FORMAT, "damaged"},
        {CHARSMAP("AAAA"), CE_ERR_FORMAT, "damaged"},
        {CHARSMAP("AAA"), CE_ERR_FORMAT, "damaged"},
        {CHARSMAP("BAAAAAA="), CE_ERR_FORMAT, "damaged"},
        {CHARSMAP("BAAAAAAAAAD/"), CE_ERR_FORMAT, "damaged"}, /* the texts are not UTF-8 */
        {CHARSMAP("/////wAAAAA="), CE_ERR_FORMAT, "damaged"}, /* a trie of 4 GB */
        {CHARSMAP("BAAAAAAAAA!="), CE_ERR_FORMAT, "damaged"},
        {CHARSMAP("BAAA=AAAAAA="), CE_ERR_FORMAT, "damaged"},
        {STEP("{\"type\":\"Replace\"}"), CE_ERR_FORMAT, "\"content\""},
        {STEP("{\"type\":\"Replace\",\"content\":\"\"}"), CE_ERR_FORMAT, "\"pattern\""},
        {STEP("{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"Regex\":\"[aeiou]\"}}"), CE_ERR_UNSUPPORTED,
         "\"[aeiou]\""},
        {STEP("{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"String\":\"\"}}"), CE_ERR_UNSUPPORTED,
         "pattern \"\""},
        {STEP("{\"type\":\"Prepend\"}"), CE_ERR_FORMAT, "\"prepend\""},
        {STEP("{\"type\":\"Strip\",\"strip_left\":1}"), CE_ERR_FORMAT, "\"strip_left\""},
        {STEP("{\"type\":\"ByteLevel\"}"), CE_ERR_UNSUPPORTED, "normalizer \"ByteLevel\""},
        {WORDS("{\"type\":\"Metaspace\"}"), CE_ERR_FORMAT, "not one character"},
        {WORDS("{\"type\":\"Metaspace\",\"replacement\":\"__\"}"), CE_ERR_FORMAT, "not one character"},
        {WORDS("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}"), CE_ERR_FORMAT,
         "\"last\""},
        {WORDS("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}"), CE_ERR_FORMAT,
         "add_prefix_space is false"},
        {WORDS("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"split\":7}"), CE_ERR_FORMAT, "\"split\""},
        {WORDS("{\"type\":\"Punctuation\"}"), CE_ERR_UNSUPPORTED, "pre_tokenizer \"Punctuation\""},
        {WORDS("{\"type\":\"Sequence\"}"), CE_ERR_FORMAT, "\"pretokenizers\""},
        {WORDS("{\"type\":\"Sequence\",\"pretokenizers\":[{}]}"), CE_ERR_FORMAT, "\"type\""},
        {WORDS("{\"type\":\"Sequence\",\"pretokenizers\":[7]}"), CE_ERR_FORMAT, "not an object"},
        {WORDS("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Punctuation\"}]}"), CE_ERR_UNSUPPORTED,
         "\"Punctuation\""},
        {WORDS("{\"type\":\"Sequence\",\"pretokenizers\":[" METASPACE ",{\"type\":\"WhitespaceSplit\"}]}"),
         CE_ERR_UNSUPPORTED, "\"WhitespaceSplit\" in this place"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(cases[i].json, NULL, cases[i].status, cases[i].part);
}

static void test_broken_config(void **state) {
    (void)state;
    expect_refused(GOOD, "{\"tokenizer_class\":\"XLMRobertaTokenizer\",\"add_prefix_space\":\"no\"}", CE_ERR_FORMAT,
                   "\"add_prefix_space\"");
    expect_refused(GOOD, "{\"tokenizer_class\":\"BertTokenizer\"}", CE_ERR_UNSUPPORTED, "\"Unigram\"");
    expect_refused(GOOD, "{\"tokenizer_class\":\"DebertaV2Tokenizer\",\"split_by_punct\":true}", CE_ERR_UNSUPPORTED,
                   "split_by_punct");
    expect_refused(GOOD, "{\"tokenizer_class\":\"DebertaV2Tokenizer\",\"unk_id\":99}", CE_ERR_FORMAT,
                   "\"unk_id\" is 99");
    expect_refused(GOOD, "{\"tokenizer_class\":\"XLNetTokenizer\"}", CE_ERR_UNSUPPORTED, "\"XLNetTokenizer\"");
    expect_refused(GOOD, "{\"tokenizer_class\":\"XLMRobertaTokenizer\",\"truncation_side\":\"left\"}",
                   CE_ERR_UNSUPPORTED, "on the left");
    /* The class takes piece 3 for the unknown one, whatever the file says. */
    expect_refused("{" MODEL("\"unk_id\":0,\"vocab\":[[\"<s>\",0],[\"a\",0]]") SPLIT "}",
                   "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}", CE_ERR_FORMAT, "\"unk_id\" is 3");
    expect_refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0}},\"pre_tokenizer\":{\"type\":"
                   "\"BertPreTokenizer\"}}",
                   "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}", CE_ERR_UNSUPPORTED, "must be Unigram");
}

/* A charsmap of two units: "a" leads behind the end, or to a place that is none of the texts'. */
#define EVERYTHING                                                                                                   \
    "{" MODEL(PIECES) ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\","           \
                      "\"precompiled_charsmap\":\"BAAAAAAEAABiAGMA\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":" \
                      "\" {2,}\"},\"content\":\" \"},{\"type\":\"Replace\",\"pattern\":{\"String\":\"ac\"},"         \
                      "\"content\":\"b\"},{\"type\":\"Prepend\",\"prepend\":\"a\"},{\"type\":\"Strip\"},"            \
                      "{\"type\":\"Nmt\"}]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["            \
                      "{\"type\":\"WhitespaceSplit\"}," METASPACE "]},\"added_tokens\":[{\"id\":5,\"content\":"      \
                      "\"<m>\",\"lstrip\":true,\"special\":true}],\"post_processor\":{\"type\":"                     \
                      "\"RobertaProcessing\",\"cls\":[\"a\",2],\"sep\":[\"b\",3]}}"

/* Each beginning of a good file, alone in its block so that a read past its end shows. */
static void test_cut_file(void **state) {
    (void)state;
    static const char whole[] = EVERYTHING;
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        char *part = malloc(size ? size : 1); /* no byte more, so that a sanitizer sees it read */
        memcpy(part, whole, size);
        cei_tokenizer *tokenizer = NULL;
        ce_error error;
        expect_status(parse(part, size, NULL, &tokenizer, &error), CE_ERR_FORMAT, &error, "tokenizer.json");
        free(part);
    }
    cei_tokenizer *tokenizer = open_json(whole);
    expect_ids(tokenizer, "ab  ac<m>", 6, (const int32_t[]){1, 2, 4, 1, 3, 5});
    cei_tokenizer_free(tokenizer);
}

/* ---- charsmaps ---- */

static void write_base64(const unsigned char *data, size_t size, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        unsigned bits = (unsigned)data[i] << 16;
        if (i + 1 < size) bits |= (unsigned)data[i + 1] << 8;
        if (i + 2 < size) bits |= data[i + 2];
        for (int k = 0; k < 4; k++) *out++ = digits[bits >> (18 - 6 * k) & 63];
        if (i + 1 >= size) out[-2] = '=';
        if (i + 2 >= size) out[-1] = '=';
    }
    *out = '\0';
}

/* Any bytes as a trie and texts: what comes out is UTF-8, whatever they say. */
static void test_random_charsmaps(void **state) {
    (void)state;
    static const char text[] = "ab\r\n \xC3\xA4 e\xCC\x81 \xE1\x84\x80\xE1\x85\xA1 \xF0\x9F\x91\xA9\xE2\x80\x8D zz";
    uint32_t random = 1;
    size_t read = 0;
    for (size_t round = 0; round < 3000; round++) {
        unsigned char data[4 + 4 * 256 + 8];
        char base64[sizeof data * 2];
        memcpy(data, "\x00\x04\x00\x00", 4);
        for (size_t i = 0; i < 256; i++) {
            random = random * 1664525 + 1013904223;
            /* Odd bytes lead on, often with a value, to any unit; even units are values, of which some are no place. */
            uint32_t unit = i % 2 ? (uint32_t)i | (random >> 30 > 0) << 8 | (random >> 20 & 0x3FF) << 10 : random >> 28;
            if (i == 0) unit = (random >> 28 & 3) << 10;
            for (size_t k = 0; k < 4; k++) data[4 + 4 * i + k] = (unsigned char)(unit >> 8 * k);
        }
        memcpy(data + 4 + 4 * 256, "\xC3\xA4\0x\xE2\x96\x81", 7);
        data[sizeof data - 1] = 'y';
        write_base64(data, sizeof data, base64);
        cei_charsmap *charsmap = NULL;
        ce_error error;
        expect_ok(cei_charsmap_create(base64, strlen(base64), "x", &charsmap, &error), &error);
        cei_bytes out = {0};
        assert_true(cei_charsmap_apply(charsmap, text, sizeof text - 1, &out));
        assert_int_equal(cei_utf8_check(out.data, out.size, NULL), out.size);
        read += out.size != sizeof text - 1;
        cei_free(out.data);
        cei_charsmap_free(charsmap);
    }
    assert_true(read > 100);
}

/* ---- scores ---- */

static void test_scores(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double exact, divided;
    } cases[] = {
        {"0", 0, 0},
        {"-0.0", 0, 0},
        {"12", 12, 12},
        {"-3.46354", -3.46354, -3.46354},
        {"-2.5e1", -25, -25},
        {"5E-1", .5, .5},
        /* 17 digits: the integer is rounded before it is divided. */
        {"-8.1746702104806900", -8.1746702104806900, -81746702104806900.0 / 1e16},
        {"-0.13436424411240122", -0.13436424411240122, -13436424411240122.0 / 1e17},
        {"-1.23456789012345678901234567", -1.23456789012345678901234567, -12345678901234567890.0 / 1e19},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double score;
        size_t used, size = strlen(cases[i].text);
        assert_true(cei_piece_score_read(cases[i].text, size, true, &score, &used));
        assert_true(score == cases[i].exact && used == size);
        assert_true(cei_piece_score_read(cases[i].text, size, false, &score, &used));
        assert_true(score == cases[i].divided && used == size);
    }
    static const char *const none[] = {"",
                                       "-",
                                       "x",
                                       "01",
                                       ".5",
                                       "1.",
                                       "1.x",
                                       "1e",
                                       "1e+",
                                       "1e301",
                                       "1e999999999999",
                                       "99999999999999999999",
                                       "0.00000000000000000000000000000000000000000001"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        double score;
        size_t used;
        assert_false(cei_piece_score_read(none[i], strlen(none[i]), true, &score, &used));
    }
}

/* The quick reader and the JSON parser agree; what the first leaves alone, the second reads. */
static void test_spellings_of_the_vocabulary(void **state) {
    (void)state;
    static const struct {
        const char *vocab;
        bool quick;
    } cases[] = {
        {"[[\"?\",0],[\"a\",-1],[\"b\",-1]]", true},
        {" [\n[ \"?\" , 0.0 ] ,\r\n\t[\"\\u0061\",-1e0],[\"b\",-10e-1] ] ", true},
        {"[[\"?\",0],[\"a\",-1],[\"b\",-1.00000000000000000000000000000000000000000]]", false},
        {"[[\"?\",0],[\"a\",-1],[\"b\",-1],[\"\\ud83d\\ude00\",-1]]", false},
        {"[[\"?\",0],[\"a\",-5]],\"vocab\":[[\"?\",0],[\"a\",-1],[\"b\",-1]]", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[512];
        int length = snprintf(json, sizeof json,
                              "{" MODEL("\"unk_id\":0,\"vocab\":%s") ",\"pre_tokenizer\":{\"type\":"
                                                                     "\"WhitespaceSplit\"}}",
                              cases[i].vocab);
        const cei_tokenizer_file file = {"tokenizer.json", json, (size_t)length};
        cei_tokenizer_spec spec = {.exact_scores = true};
        cei_bytes rest = {0};
        expect_ok(cei_vocab_json_take(&file, &spec, &rest, NULL), NULL);
        assert_int_equal(rest.size > 0, cases[i].quick);
        assert_int_equal(spec.unigram.count, cases[i].quick ? 3 : 0);
        cei_vocabulary_free(&spec.vocabulary);
        cei_free(spec.unigram.scores);
        cei_free(rest.data);
        cei_tokenizer *tokenizer = open_json(json);
        expect_ids(tokenizer, "ab a", 3, (const int32_t[]){1, 2, 1});
        cei_tokenizer_free(tokenizer);
    }
}

/* ---- texts ---- */

/* Texts of 4 MB that would show anything quadratic, in one line, with a long piece to try from each place. */
static void test_long_hostile_texts(void **state) {
    (void)state;
    enum { SIZE = 4 * 1000 * 1000 };
    static const char *const units[] = {"a",
                                        "b",
                                        "ab",
                                        " ",
                                        "c",
                                        "a  ",
                                        "\xCC\x81",
                                        "e\xCC\x81",
                                        "\xE2\x96\x81",
                                        "<m>",
                                        " <m>",
                                        "\xEA\xB0\x81",
                                        "\xF0\x9F\x91\xA9\xE2\x80\x8D",
                                        "\xD8\x80",
                                        "\r",
                                        "\xFF"};
    static const char json[] = "{" MODEL(
        "\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"a\",-1],[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\",-1],"
        "[\"" MARK
        "\",-1],[\"b\",-1]]") ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
                              "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAEAABiAGMA\"},{\"type\":"
                              "\"Replace\",\"pattern\":"
                              "{\"Regex\":\" {2,}\"},\"content\":\" \"}]},\"pre_tokenizer\":" METASPACE
                              ",\"added_tokens\":[{\"id\":5,\"content\":\"<m>\",\"lstrip\":true,\"special\":true}]}";
    cei_tokenizer *tokenizer = open_json(json);
    cei_token_buffer buffer = {0};
    ce_error error;
    char *text = malloc(SIZE + 16);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t unit = strlen(units[i]), size = SIZE / unit * unit;
        for (size_t at = 0; at < size; at += unit) memcpy(text + at, units[i], unit);
        double start = cei_now_ms();
        expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text, size}, CE_UTF8_REPLACE, &buffer, &error), &error);
        if (cei_now_ms() - start > 60e3) fail_msg("text %zu took %.0f ms", i, cei_now_ms() - start);
        assert_true(buffer.count <= size + 1);
    }
    free(text);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

static void test_ill_formed_texts(void **state) {
    (void)state;
    cei_tokenizer *tokenizer = open_json(GOOD);
    cei_token_buffer buffer = {0};
    ce_error error;
    const ce_text text = {"ab \xE2\x82 a\xFF", 8};
    expect_status(cei_tokenizer_encode(tokenizer, text, CE_UTF8_STRICT, &buffer, &error), CE_ERR_TEXT, &error,
                  "byte 3 is 0xE2");
    expect_ok(cei_tokenizer_encode(tokenizer, text, CE_UTF8_REPLACE, &buffer, &error), &error);
    assert_int_equal(buffer.count, 7); /* mark, ab, mark, U+FFFD, mark, a, U+FFFD */
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){NULL, 0}, CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, 0);
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){"a\0b", 3}, CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, 4);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

/* ---- memory ---- */

static ce_status load_and_encode(void *user, ce_error *error) {
    const ce_text text = {"ab  ac e\xCC\x81 \xE4\xB8\xAD <m> \xFF", 20};
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

static void skip_without_allocator(void) {
    if (failing_malloc_works()) return;
    print_message("SKIP: a sanitizer has the allocator\n");
    skip();
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    skip_without_allocator();
    char *folder = test_make_folder();
    test_write_file(folder, "tokenizer.json", EVERYTHING, sizeof EVERYTHING - 1);
    test_each_allocation(load_and_encode, folder);
    test_write_file(folder, "tokenizer_config.json", "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}", 41);
    test_each_allocation(load_and_encode, folder);
    /* Read by the JSON parser. */
    static const char odd[] = "{" MODEL("\"unk_id\":0,\"vocab\":[[\"\\ud83d\\ude00\",0],[\"a\",-1]]") SPLIT "}";
    char *other = test_make_folder();
    test_write_file(other, "tokenizer.json", odd, sizeof odd - 1);
    test_each_allocation(load_and_encode, other);
    test_remove_folder(folder);
    test_remove_folder(other);
}

static void test_steady_use_allocates_nothing(void **state) {
    (void)state;
    skip_without_allocator();
    static const ce_text texts[] = {{"ab  ac e\xCC\x81 \xE4\xB8\xAD <m> \xFF", 20}, {"a b", 3}, {NULL, 0}};
    cei_tokenizer *tokenizer = open_json(EVERYTHING);
    cei_token_buffer buffer = {0};
    ce_error error;
    for (size_t round = 0; round < 3; round++) {
        failing_malloc_start(FAILING_NONE, 0, FAILING_THIS_THREAD);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            expect_ok(cei_tokenizer_encode(tokenizer, texts[i], CE_UTF8_REPLACE, &buffer, &error), &error);
        size_t made = failing_malloc_stop();
        assert_int_equal(made > 0, round == 0);
    }
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_broken_config),
        cmocka_unit_test(test_cut_file),
        cmocka_unit_test(test_random_charsmaps),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_spellings_of_the_vocabulary),
        cmocka_unit_test(test_long_hostile_texts),
        cmocka_unit_test(test_ill_formed_texts),
        cmocka_unit_test(test_each_allocation_fails),
        cmocka_unit_test(test_steady_use_allocates_nothing),
    };
    return cmocka_run_group_tests_name("unigram_files", tests, NULL, NULL);
}
