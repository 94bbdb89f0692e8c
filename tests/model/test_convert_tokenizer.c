/* test_convert_tokenizer.c - which tokenizers a GGUF file can stand for: those that give each text the same ids when
 * they are read again, whatever their files say; and what of the others is named. */
#include "support/model_folder.h"
#include "support/same_models.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *at(const char *name) { return test_path(test_folder, name); }

static void put(const char *file, const char *key, const char *value) { test_set_json(at("model"), file, key, value); }

/* ---- the same tokens ----------------------------------------------------------------------------------------------
 */

enum { MOST_TOKENS = 64 };

static size_t tokens_of(const ce_model *model, const char *query, const char *document, int32_t ids[MOST_TOKENS]) {
    size_t count = 0;
    ce_error error = {0};
    expect_ok(ce_tokenize(model, (ce_pair){ce_text_of(query), ce_text_of(document)}, NULL, ids, NULL, MOST_TOKENS,
                          &count, NULL, &error),
              &error);
    return count;
}

/* Texts in which white space, marks and added tokens stand beside each other. */
static void same_tokens(const char *one, const char *other) {
    static const char *const texts[][2] = {
        {"the sea", "of the king"},
        {"  the  sea   ", "\t the \n\n king "},
        {" ", ""},
        {"the \xE2\x96\x81 sea", "  \xE2\x96\x81the\xE2\x96\x81\xE2\x96\x81 king\xE2\x96\x81"},
        {"the  <mask>  sea <s>", " </s>  the\xE3\x80\x80\xC2\xA0king"},
    };
    int32_t ids[2][MOST_TOKENS] = {{0}};
    ce_model *a = test_load(one, 0), *b = test_load(other, 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const size_t count = tokens_of(a, texts[i][0], texts[i][1], ids[0]);
        assert_int_equal(tokens_of(b, texts[i][0], texts[i][1], ids[1]), count);
        assert_true(count >= 2 && count <= MOST_TOKENS);
        assert_memory_equal(ids[0], ids[1], count * sizeof ids[0][0]);
    }
    ce_model_free(a);
    ce_model_free(b);
}

static ce_status convert(ce_error *error) {
    const ce_convert_options options = {.size = sizeof options, .overwrite = true, .threads = 1};
    return ce_convert(at("model"), at("new.gguf"), &options, NULL, error);
}

/* ---- Unigram ------------------------------------------------------------------------------------------------------
 */

#define WORDS "{\"type\": \"WhitespaceSplit\"}"
#define MARKS "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", \"prepend_scheme\": \"always\", \"split\": true}"
#define STRIP "{\"type\": \"Strip\", \"strip_left\": false, \"strip_right\": true}"
#define BLANKS(content) "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \"" content "\"}"
#define REPLACE(pattern, content) \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \"" pattern "\"}, \"content\": \"" content "\"}"

/* XLM-RoBERTa's as a class that takes tokenizer.json as it is reads it, with these steps in it. */
static void make_unigram(const char *steps, const char *words) {
    char normalizer[512], cutter[512];
    snprintf(normalizer, sizeof normalizer, "{\"type\": \"Sequence\", \"normalizers\": [%s]}", steps);
    snprintf(cutter, sizeof cutter, "{\"type\": \"Sequence\", \"pretokenizers\": [%s]}", words);
    test_make_inner(test_folder, "model");
    test_copy_model("models/xlm-roberta-unigram", at("model"));
    put("tokenizer_config.json", "tokenizer_class", "\"PreTrainedTokenizerFast\"");
    put("tokenizer.json", "normalizer", normalizer);
    put("tokenizer.json", "pre_tokenizer", cutter);
    put("tokenizer.json", "post_processor",
        "{\"type\": \"RobertaProcessing\", \"sep\": [\"</s>\", 2], \"cls\": [\"<s>\", 0]}");
}

/* As published files of XLM-RoBERTa's kin have them before words are parted at white space. */
static void steps_that_change_no_word_are_left_out(void **state) {
    (void)state;
    static const char *const steps[] = {BLANKS(" "), STRIP, STRIP ", " BLANKS(" "), REPLACE("\\t\\n", "  "),
                                        REPLACE("\\t", "\\n") ", " STRIP};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        ce_error error = {0};
        make_unigram(steps[i], WORDS ", " MARKS);
        expect_ok(convert(&error), &error);
        test_same_models(at("model"), at("new.gguf"), "xlm-roberta-unigram");
        same_tokens(at("model"), at("new.gguf"));
    }
}

/* A mark in the place of blanks is one token more before a mark that is in the text; without white space that parts
 * words, blanks at the ends of a text are tokens. */
static void steps_that_change_a_word_are_named(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {BLANKS("\\u2581"), WORDS ", " MARKS, "it differs in its normalizer"},
        {REPLACE("a", " "), WORDS ", " MARKS, "it differs in its normalizer"},
        {REPLACE(" ", "a"), WORDS ", " MARKS, "it differs in its normalizer"},
        {REPLACE(" ", ""), WORDS ", " MARKS, "it differs in its normalizer"},
        {BLANKS(" ") ", {\"type\": \"NFC\"}", WORDS ", " MARKS, "it differs in its normalizer"},
        {BLANKS(" "), MARKS, "it differs in its normalizer"},
        {"", MARKS, "it differs in what cuts words"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ce_error error = {0};
        make_unigram(cases[i][0], cases[i][1]);
        expect_status(convert(&error), CE_ERR_UNSUPPORTED, &error, cases[i][2]);
    }
}

/* It would be found in texts that have more blanks in that place. */
static void tokens_with_white_space_forbid_it(void **state) {
    (void)state;
    size_t size;
    ce_error error = {0};
    make_unigram(BLANKS(" "), WORDS ", " MARKS);
    put("tokenizer.json", "added_tokens",
        "[{\"id\": 335, \"content\": \"a b\", \"normalized\": true}, {\"id\": 338, \"content\": \"<mask>\","
        " \"lstrip\": true, \"special\": true}]");
    char *data = test_read_file(test_path(at("model"), "tokenizer.json"), &size);
    test_overwrite(data, size, "\xED\x95\x9C", "a b"); /* a piece of three bytes */
    test_write_file(at("model"), "tokenizer.json", data, size);
    free(data);
    expect_status(convert(&error), CE_ERR_UNSUPPORTED, &error, "it differs in its normalizer");
}

/* ---- pieces of SentencePiece --------------------------------------------------------------------------------------
 */

#define MARK "\xE2\x96\x81"

/* Byte pair encoding as tokenizer.json has it of such pieces; the merges are those that the pieces have by their ids,
 * or not. */
static void put_pieces(bool in_order) {
    static const char *const made[][2] = {{"t", "h"},  {"th", "e"},   {MARK, "the"}, {"s", "e"},
                                          {"se", "a"}, {MARK, "sea"}, {"o", "f"},    {"k", "ing"}};
    static const char *const whole[] = {MARK, "ing"};
    enum { MADE = sizeof made / sizeof made[0] };
    char model[16384];
    int at = snprintf(model, sizeof model,
                      "{\"type\": \"BPE\", \"byte_fallback\": true, \"fuse_unk\": true, \"unk_token\": \"<unk>\", "
                      "\"vocab\": {\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2, \"<mask>\": 3");
    int id = 4;
    for (int byte = 0; byte < 256; byte++)
        at += snprintf(model + at, sizeof model - (size_t)at, ", \"<0x%02X>\": %d", (unsigned)byte, id++);
    for (char letter = 'a'; letter <= 'z'; letter++)
        at += snprintf(model + at, sizeof model - (size_t)at, ", \"%c\": %d", letter, id++);
    for (size_t i = 0; i < 2; i++)
        at += snprintf(model + at, sizeof model - (size_t)at, ", \"%s\": %d", whole[i], id++);
    for (size_t i = 0; i < MADE; i++)
        at += snprintf(model + at, sizeof model - (size_t)at, ", \"%s%s\": %d", made[i][0], made[i][1], id++);
    at += snprintf(model + at, sizeof model - (size_t)at, "}, \"merges\": [");
    for (size_t i = 0; i < MADE; i++) {
        const char *const *merge = made[in_order ? i : MADE - 1 - i];
        at += snprintf(model + at, sizeof model - (size_t)at, "%s\"%s %s\"", i ? ", " : "", merge[0], merge[1]);
    }
    snprintf(model + at, sizeof model - (size_t)at, "]}");
    put("tokenizer.json", "model", model);
}

/* A decoder with such a tokenizer, which begins each text with a token. */
static void make_decoder(const char *golden, const char *class, bool in_order) {
    test_make_inner(test_folder, "model");
    test_copy_model(golden, at("model"));
    remove(test_path(at("model"), "tokenizer_config.json"));
    put("tokenizer_config.json", "tokenizer_class", class);
    put("tokenizer_config.json", "bos_token", "\"<s>\"");
    put("tokenizer_config.json", "eos_token", "\"</s>\"");
    put("tokenizer_config.json", "pad_token", "\"<unk>\"");
    put("tokenizer.json", "normalizer", NULL);
    put("tokenizer.json", "pre_tokenizer", NULL);
    put("tokenizer.json", "added_tokens",
        "[{\"id\": 0, \"content\": \"<unk>\", \"special\": true}, {\"id\": 1, \"content\": \"<s>\", \"special\": true},"
        " {\"id\": 2, \"content\": \"</s>\", \"special\": true}, {\"id\": 3, \"content\": \"<mask>\", \"special\": "
        "true}]");
    put("tokenizer.json", "post_processor",
        "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, "
        "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [{\"SpecialToken\": {\"id\": \"<s>\", "
        "\"type_id\": "
        "0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 1}}, "
        "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": "
        "[1], "
        "\"tokens\": [\"<s>\"]}}}");
    put_pieces(in_order);
}

/* In the order of what they make, or in another: of "thesea" it then makes other pieces. */
static void pieces_keep_their_merges(void **state) {
    (void)state;
    static const struct {
        const char *golden, *class, *cases;
    } models[] = {{"models/gemma", "\"GemmaTokenizer\"", "gemma"}, {"models/mistral", "\"LlamaTokenizer\"", "mistral"}};
    for (size_t i = 0; i < 4; i++) {
        ce_error error = {0};
        make_decoder(models[i / 2].golden, models[i / 2].class, i % 2 == 0);
        if (i / 2 == 1) {
            put("config.json", "model_type", "\"llama\"");
            put("config.json", "architectures", "[\"LlamaForSequenceClassification\"]");
        }
        expect_ok(convert(&error), &error);
        test_same_models(at("model"), at("new.gguf"), models[i / 2].cases);
        same_tokens(at("model"), at("new.gguf"));
    }
}

/* Mistral's newer files say in a pre-tokenizer what Llama's class does, and name a token for what is unknown, which no
 * character is. Their older ones put a mark before each stretch of text, which that class does not. */
static void a_file_that_says_what_the_class_does_is_written(void **state) {
    (void)state;
    ce_error error = {0};
    make_decoder("models/mistral", "\"LlamaTokenizer\"", true);
    put("config.json", "sliding_window", "null");
    put("tokenizer.json", "pre_tokenizer",
        "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", \"prepend_scheme\": \"first\", \"split\": false}");
    expect_ok(convert(&error), &error);
    test_same_models(at("model"), at("new.gguf"), "mistral");
    same_tokens(at("model"), at("new.gguf"));
    put("tokenizer.json", "pre_tokenizer", NULL);
    put("tokenizer.json", "normalizer",
        "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\\u2581\"}, "
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\\u2581\"}]}");
    expect_status(convert(&error), CE_ERR_UNSUPPORTED, &error, "it differs in its normalizer");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        folder_test(steps_that_change_no_word_are_left_out),
        folder_test(steps_that_change_a_word_are_named),
        folder_test(tokens_with_white_space_forbid_it),
        folder_test(pieces_keep_their_merges),
        folder_test(a_file_that_says_what_the_class_does_is_written),
    };
    return cmocka_run_group_tests_name("convert_tokenizer", tests, NULL, NULL);
}
