/* test_gguf_vocabulary.c - vocabularies of published models in GGUF against the ids that llama.cpp's own tests expect:
 * ../shared/tokenizers/gguf-golden has texts and ids. The files are put together here, as the converter does it, of the
 * same vocabularies in other forms: those beside the ids lost their numbers, being kept as text. */
#include "model/gguf.h"

#include "support/support.h"

#include "base/memory.h"
#include "text/spec.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a file ------------------------------------------------------------------------------------------------------ */

/* A GGUF file without tensors, and strings of an array that are counted as they come. */
typedef struct file {
    cei_bytes bytes;
    uint64_t pairs, strings;
    size_t count_at;
} file;

static void put(file *to, const void *data, size_t size) { assert_true(cei_bytes_append(&to->bytes, data, size)); }

static void put_text(file *to, const char *text, size_t size) {
    const uint64_t length = size;
    put(to, &length, sizeof length);
    put(to, text, size);
}

static void put_key(file *to, const char *key, uint32_t type) {
    to->pairs++;
    put_text(to, key, strlen(key));
    put(to, &type, sizeof type);
}

static void put_string(file *to, const char *key, const char *value) {
    put_key(to, key, CEI_GGUF_STRING);
    put_text(to, value, strlen(value));
}

static void put_size(file *to, const char *key, uint32_t value) {
    put_key(to, key, CEI_GGUF_UINT32);
    put(to, &value, sizeof value);
}

static void begin_strings(file *to, const char *key) {
    const uint32_t type = CEI_GGUF_STRING;
    put_key(to, key, CEI_GGUF_ARRAY);
    put(to, &type, sizeof type);
    to->count_at = to->bytes.size;
    to->strings = 0;
    put(to, &to->strings, sizeof to->strings);
}

static void add_string(file *to, const char *text, size_t size) {
    put_text(to, text, size);
    to->strings++;
}

static void end_strings(file *to) { memcpy(to->bytes.data + to->count_at, &to->strings, sizeof to->strings); }

static file begin(const char *model, const char *pre) {
    static const uint64_t numbers[2] = {0, 0}; /* of tensors and keys */
    file made = {.pairs = 0};
    put(&made, "GGUF\3\0\0\0", 8);
    put(&made, numbers, sizeof numbers);
    put_string(&made, "tokenizer.ggml.model", model);
    put_string(&made, "tokenizer.ggml.pre", pre);
    return made;
}

static cei_tokenizer *finish(file *made, bool is_decoder) {
    memcpy(made->bytes.data + 16, &made->pairs, sizeof made->pairs);
    cei_gguf gguf;
    cei_json_out json = {0}, config = {0}, pieces = {0};
    cei_tokenizer *tokenizer = NULL;
    ce_error error = {0};
    expect_ok(cei_gguf_parse((uint8_t *)made->bytes.data, made->bytes.size, "the file", &gguf, &error), &error);
    const cei_gguf_tokenizer to = {.file = &gguf,
                                   .context = 512,
                                   .has_types = true,
                                   .is_decoder = is_decoder,
                                   .tokenizer_json = &json,
                                   .tokenizer_config = &config,
                                   .pieces = &pieces};
    expect_ok(cei_gguf_write_tokenizer(&to, &error), &error);
    const cei_tokenizer_files files = {.tokenizer_json = {"tokenizer.json", json.data, json.size},
                                       .pieces = {"tokenizer.model", pieces.data, pieces.size},
                                       .tokenizer_config = {"tokenizer_config.json", config.data, config.size}};
    expect_ok(cei_tokenizer_parse(&files, &tokenizer, &error), &error);
    cei_gguf_close(&gguf);
    cei_free(json.data);
    cei_free(config.data);
    cei_free(pieces.data);
    cei_free(made->bytes.data);
    return tokenizer;
}

/* ---- vocabularies ------------------------------------------------------------------------------------------------ */

/* Each line of a file, without its end. */
static void for_each_line(const char *path, void (*take)(file *to, const char *line, size_t size), file *to) {
    size_t size;
    char *data = test_read_file(path, &size);
    for (char *line = data; *line;) {
        const size_t length = strcspn(line, "\n");
        take(to, line, length);
        line += length + (line[length] == '\n');
    }
    free(data);
}

static void add_wordpiece(file *to, const char *line, size_t size) {
    char text[256];
    const bool continues = size > 2 && memcmp(line, "##", 2) == 0, special = line[0] == '[' && size > 2;
    snprintf(text, sizeof text, "%s%.*s", continues || special ? "" : "\xE2\x96\x81", (int)size - 2 * continues,
             line + 2 * continues);
    add_string(to, text, strlen(text));
}

/* The bytes in the order of GPT-2's ids: those that can be printed, which stand for themselves, before the others. */
static void add_bytes(file *to) {
    for (int printed = 1; printed >= 0; printed--)
        for (int byte = 0, other = 0; byte < 256; byte++) {
            const bool prints = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
            const int c = prints ? byte : 256 + other++;
            const char text[] = {(char)(0xC0 | c >> 6), (char)(0x80 | (c & 0x3F))};
            if (prints != printed) continue;
            if (c < 128)
                add_string(to, &(char){(char)c}, 1);
            else
                add_string(to, text, 2);
        }
}

static bool is_version(const char *line) { return strncmp(line, "#version", 8) == 0; }

/* A merge gives a token: its two parts, one behind the other. */
static void add_merged(file *to, const char *line, size_t size) {
    char text[256];
    const char *blank = memchr(line, ' ', size);
    if (is_version(line) || !blank) return;
    const size_t first = (size_t)(blank - line);
    memcpy(text, line, first);
    memcpy(text + first, blank + 1, size - first - 1);
    add_string(to, text, size - 1);
}

static void add_merge(file *to, const char *line, size_t size) {
    if (!is_version(line)) add_string(to, line, size);
}

static void add_gpt2(file *to, const char *merges) {
    begin_strings(to, "tokenizer.ggml.tokens");
    add_bytes(to);
    for_each_line(merges, add_merged, to);
    add_string(to, "<|endoftext|>", 13);
    end_strings(to);
    begin_strings(to, "tokenizer.ggml.merges");
    for_each_line(merges, add_merge, to);
    end_strings(to);
}

/* Of a tokenizer.json, whose ids have no holes. */
static void add_byte_level(file *to, const char *path) {
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, NULL), *model = json_object_get(root, "model"), *value;
    json_t *vocabulary = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
    const size_t count = json_object_size(vocabulary);
    const char **tokens = calloc(count, sizeof *tokens), *key;
    json_object_foreach(vocabulary, key, value) tokens[json_integer_value(value)] = key;
    begin_strings(to, "tokenizer.ggml.tokens");
    for (size_t i = 0; i < count; i++) add_string(to, tokens[i], strlen(tokens[i]));
    end_strings(to);
    begin_strings(to, "tokenizer.ggml.merges");
    size_t i;
    json_array_foreach(merges, i, value) {
        char text[512];
        snprintf(text, sizeof text, "%s %s", json_string_value(json_array_get(value, 0)),
                 json_string_value(json_array_get(value, 1)));
        if (json_is_string(value)) snprintf(text, sizeof text, "%s", json_string_value(value));
        add_string(to, text, strlen(text));
    }
    end_strings(to);
    free((void *)tokens);
    json_decref(root);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static void check_text(const cei_tokenizer *tokenizer, const char *text, size_t size, const char *ids) {
    cei_token_buffer buffer = {0};
    ce_error error = {0};
    expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text, size}, CE_UTF8_STRICT, &buffer, &error), &error);
    for (size_t i = 0; i < buffer.count; i++) {
        char *end;
        const long want = strtol(ids, &end, 10);
        if (end == ids || want != buffer.ids[i])
            fail_msg("\"%.*s\": token %zu is %d, expected %.20s", (int)size, text, i, (int)buffer.ids[i], ids);
        ids = end;
    }
    assert_int_equal(ids[strspn(ids, " ")], '\n');
    cei_token_buffer_free(&buffer);
}

/* Texts are parted by a line, ids are a line a text. */
static void check_all(cei_tokenizer *tokenizer, const char *name) {
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char path[128];
    size_t size, count = 0;
    snprintf(path, sizeof path, "tokenizers/gguf-golden/ggml-vocab-%s.gguf.inp", name);
    char *texts = test_read_file(test_shared(path), &size);
    snprintf(path, sizeof path, "tokenizers/gguf-golden/ggml-vocab-%s.gguf.out", name);
    char *ids = test_read_file(test_shared(path), &size), *line = ids;
    for (char *text = texts, *end; (end = strstr(text, mark)) != NULL; text = end + sizeof mark - 1, count++) {
        check_text(tokenizer, text, (size_t)(end - text), line);
        line += strcspn(line, "\n") + 1;
    }
    assert_true(count > 30);
    free(texts);
    free(ids);
    cei_tokenizer_free(tokenizer);
}

static void bert(void **state) {
    (void)state;
    const char *vocabulary = test_shared("tokenizers/bert-base-uncased/vocab.txt");
    file made = begin("bert", "bert-bge");
    begin_strings(&made, "tokenizer.ggml.tokens");
    for_each_line(vocabulary, add_wordpiece, &made);
    end_strings(&made);
    check_all(finish(&made, false), "bert-bge");
}

static void gpt2(void **state) {
    (void)state;
    const char *merges = test_shared("tokenizers/roberta-base/merges.txt"); /* which are GPT-2's */
    file made = begin("gpt2", "gpt-2");
    add_gpt2(&made, merges);
    put_size(&made, "tokenizer.ggml.eos_token_id", 50256);
    check_all(finish(&made, false), "gpt-2");
}

static void qwen2(void **state) {
    (void)state;
    const char *json = test_shared("tokenizers/qwen3/tokenizer.json"); /* whose vocabulary is Qwen2's */
    file made = begin("gpt2", "qwen2");
    add_byte_level(&made, json);
    check_all(finish(&made, false), "qwen2");
}

/* ---- SentencePiece ------------------------------------------------------------------------------------------------
 */

static void put_array(file *to, const char *key, uint32_t type, size_t count) {
    const uint64_t length = count;
    put_key(to, key, CEI_GGUF_ARRAY);
    put(to, &type, sizeof type);
    put(to, &length, sizeof length);
}

/* The arrays that a converter makes of a model's pieces. */
static void put_pieces(file *to, const cei_sentencepiece *model) {
    begin_strings(to, "tokenizer.ggml.tokens");
    for (size_t i = 0; i < model->count; i++) add_string(to, model->pieces[i].text, model->pieces[i].size);
    end_strings(to);
    put_array(to, "tokenizer.ggml.scores", CEI_GGUF_FLOAT32, model->count);
    for (size_t i = 0; i < model->count; i++) put(to, &model->pieces[i].score, sizeof(float));
    put_array(to, "tokenizer.ggml.token_type", CEI_GGUF_INT32, model->count);
    for (size_t i = 0; i < model->count; i++) put(to, &(int32_t){(int32_t)model->pieces[i].kind}, sizeof(int32_t));
}

static void same_ids(const cei_tokenizer *one, const cei_tokenizer *other, const char *text) {
    cei_token_buffer a = {0}, b = {0};
    ce_error error = {0};
    expect_ok(cei_tokenizer_encode(one, ce_text_of(text), CE_UTF8_STRICT, &a, &error), &error);
    expect_ok(cei_tokenizer_encode(other, ce_text_of(text), CE_UTF8_STRICT, &b, &error), &error);
    assert_int_equal(a.count, b.count);
    if (a.count) assert_memory_equal(a.ids, b.ids, a.count * sizeof *a.ids);
    cei_token_buffer_free(&a);
    cei_token_buffer_free(&b);
}

/* A published model of byte pair encoding, read as llama's class reads its file, and through a GGUF file. */
static void pieces(void **state) {
    (void)state;
    static const char config[] = "{\"tokenizer_class\": \"LlamaTokenizer\", \"bos_token\": \"<s>\", \"eos_token\": "
                                 "\"</s>\", \"unk_token\": \"<unk>\", \"add_bos_token\": true, \"legacy\": false}";
    static const char *const texts[] = {"",
                                        "Hello world",
                                        "  two  blanks ",
                                        "Der König im Schloß, 2024",
                                        "日本語 emoji 🦙",
                                        "<s>a</s> <unk>",
                                        "x\ny\tz",
                                        "the \xE2\x96\x81 mark"};
    size_t size;
    char *data = test_read_file(test_shared("tokenizers/sentencepiece-bpe/sentencepiece.bpe.model"), &size);
    const cei_tokenizer_files files = {.pieces = {"tokenizer.model", data, size},
                                       .tokenizer_config = {"tokenizer_config.json", config, sizeof config - 1}};
    cei_sentencepiece model = {0};
    cei_tokenizer *want = NULL;
    ce_error error = {0};
    expect_ok(cei_sentencepiece_read(data, size, "the model", &model, &error), &error);
    expect_ok(cei_tokenizer_parse(&files, &want, &error), &error);
    file made = begin("llama", "default");
    put_pieces(&made, &model);
    put_size(&made, "tokenizer.ggml.unknown_token_id", (uint32_t)cei_tokenizer_find(want, "<unk>"));
    put_size(&made, "tokenizer.ggml.bos_token_id", (uint32_t)cei_tokenizer_find(want, "<s>"));
    put_size(&made, "tokenizer.ggml.eos_token_id", (uint32_t)cei_tokenizer_find(want, "</s>"));
    cei_tokenizer *got = finish(&made, true);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) same_ids(want, got, texts[i]);
    assert_int_equal(cei_tokenizer_pair_specials(got), 2); /* the beginning of each text */
    assert_int_equal(cei_tokenizer_single_specials(got), 1);
    cei_tokenizer_free(want);
    cei_tokenizer_free(got);
    cei_sentencepiece_free(&model);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bert), cmocka_unit_test(gpt2), cmocka_unit_test(qwen2),
                                       cmocka_unit_test(pieces)};
    return cmocka_run_group_tests_name("gguf_vocabulary", tests, NULL, NULL);
}
