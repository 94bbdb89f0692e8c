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

static cei_tokenizer *finish(file *made) {
    memcpy(made->bytes.data + 16, &made->pairs, sizeof made->pairs);
    cei_gguf gguf;
    cei_json_out json = {0}, config = {0};
    cei_tokenizer *tokenizer = NULL;
    ce_error error = {0};
    expect_ok(cei_gguf_parse((uint8_t *)made->bytes.data, made->bytes.size, "the file", &gguf, &error), &error);
    const cei_gguf_tokenizer to = {&gguf, 512, true, &json, &config};
    expect_ok(cei_gguf_write_tokenizer(&to, &error), &error);
    const cei_tokenizer_files files = {.tokenizer_json = {"tokenizer.json", json.data, json.size},
                                       .tokenizer_config = {"tokenizer_config.json", config.data, config.size}};
    expect_ok(cei_tokenizer_parse(&files, &tokenizer, &error), &error);
    cei_gguf_close(&gguf);
    cei_free(json.data);
    cei_free(config.data);
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
    check_all(finish(&made), "bert-bge");
}

static void gpt2(void **state) {
    (void)state;
    const char *merges = test_shared("tokenizers/roberta-base/merges.txt"); /* which are GPT-2's */
    file made = begin("gpt2", "gpt-2");
    add_gpt2(&made, merges);
    put_size(&made, "tokenizer.ggml.eos_token_id", 50256);
    check_all(finish(&made), "gpt-2");
}

static void qwen2(void **state) {
    (void)state;
    const char *json = test_shared("tokenizers/qwen3/tokenizer.json"); /* whose vocabulary is Qwen2's */
    file made = begin("gpt2", "qwen2");
    add_byte_level(&made, json);
    check_all(finish(&made), "qwen2");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bert), cmocka_unit_test(gpt2), cmocka_unit_test(qwen2)};
    return cmocka_run_group_tests_name("gguf_vocabulary", tests, NULL, NULL);
}
