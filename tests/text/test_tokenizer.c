/* test_tokenizer.c - whole tokenizers against the reference: model folders of all sorts, real vocabularies, pairs. */
/* popen */
#define _POSIX_C_SOURCE 200809L
#include "golden_lines.h"

#include <stdio.h>

static ce_text text_of(const json_t *string) {
    return (ce_text){json_string_value(string), json_string_length(string)};
}

static void expect_ids(const int32_t *got, size_t count, const json_t *want, const char *where, const char *text) {
    bool same = count == json_array_size(want);
    for (size_t i = 0; same && i < count; i++) same = got[i] == json_integer_value(json_array_get(want, i));
    if (same) return;
    for (size_t i = 0; i < count; i++) print_error("%d ", (int)got[i]);
    fail_msg("\n%s: other ids for \"%s\"", where, text);
}

/* ---- folders ---- */

/* Replaces the first place that mark has in text. The caller frees. */
static char *replace(const char *text, const char *mark, const char *by, size_t *size) {
    const char *at = strstr(text, mark);
    size_t before = at ? (size_t)(at - text) : strlen(text);
    char *out = malloc(strlen(text) + strlen(by) + 1);
    assert_non_null(out);
    memcpy(out, text, before);
    strcpy(out + before, at ? by : "");
    if (at) strcat(out, at + strlen(mark));
    *size = strlen(out);
    return out;
}

/* What stands for the long lists that all of a file's folders have. */
enum { VOCAB_TXT, VOCAB_JSON, MERGES_JSON, MERGES_TXT, LISTS };
static const char *const marks[LISTS] = {"@VOCAB_TXT@", "@VOCAB_JSON@", "@MERGES_JSON@", "@MERGES_TXT@"};

typedef struct long_lists {
    char *texts[LISTS];
} long_lists;

/* Of a file that has the tokens in the order of their ids. */
static long_lists lists_of_tokens(const json_t *vocab) {
    char *txt = calloc(1, 1 << 20);
    json_t *object = json_object(), *token;
    size_t i, size = 0;
    json_array_foreach(vocab, i, token) {
        size += (size_t)sprintf(txt + size, "%s%s", i ? "\n" : "", json_string_value(token));
        json_object_set_new(object, json_string_value(token), json_integer((json_int_t)i));
    }
    long_lists out = {{txt, json_dumps(object, JSON_COMPACT), strdup(""), strdup("")}};
    json_decref(object);
    return out;
}

static long_lists lists_of(const json_t *root) {
    const json_t *vocab = golden_get(root, "vocab");
    if (json_is_array(vocab)) return lists_of_tokens(vocab);
    return (long_lists){{strdup(""), strdup(json_string_value(vocab)),
                         strdup(json_string_value(golden_get(root, "merges"))),
                         strdup(json_string_value(golden_get(root, "merges.txt")))}};
}

static cei_tokenizer *open_case(const json_t *files, const long_lists *lists) {
    char *folder = test_make_folder();
    const char *name;
    const json_t *content;
    ce_error error;
    json_object_foreach((json_t *)(uintptr_t)files, name, content) {
        char *text = strdup(json_string_value(content));
        size_t size = strlen(text);
        for (size_t i = 0; i < LISTS; i++) {
            char *next = replace(text, marks[i], lists->texts[i], &size);
            free(text);
            text = next;
        }
        test_write_file(folder, name, text, size);
        free(text);
    }
    cei_tokenizer *tokenizer = NULL;
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    test_remove_folder(folder);
    return tokenizer;
}

/* ids and types, which are freed, are those of the row, at and after its place; of types there are so many. */
static void expect_sequence(size_t type_count, int32_t *ids, int32_t *types, size_t total, const json_t *row,
                            size_t place, const char *name) {
    expect_ids(ids, total, json_array_get(row, place), name, "a sequence");
    expect_ids(types, total, json_array_get(row, place + 1), name, "a sequence's types");
    for (size_t i = 0; i < total; i++) assert_true((size_t)types[i] < type_count);
    free(ids);
    free(types);
}

/* [query, document, max_length or 0, ids, type ids] */
static void check_pair(const cei_tokenizer *tokenizer, const json_t *row, const char *name) {
    cei_token_buffer query = {0}, document = {0};
    ce_error error;
    size_t specials = cei_tokenizer_pair_specials(tokenizer);
    size_t length = (size_t)json_integer_value(json_array_get(row, 2)), query_kept, document_kept;
    expect_ok(cei_tokenizer_encode(tokenizer, text_of(json_array_get(row, 0)), CE_UTF8_STRICT, &query, &error), &error);
    expect_ok(cei_tokenizer_encode(tokenizer, text_of(json_array_get(row, 1)), CE_UTF8_STRICT, &document, &error),
              &error);
    cei_truncate_pair(query.count, document.count, length ? length - specials : SIZE_MAX, &query_kept, &document_kept);
    size_t total = query_kept + document_kept + specials;
    int32_t *ids = malloc((total + 1) * sizeof *ids), *types = malloc((total + 1) * sizeof *types);
    cei_tokenizer_join(tokenizer, query.ids, query_kept, document.ids, document_kept, ids, types);
    expect_sequence(cei_tokenizer_pair_types(tokenizer), ids, types, total, row, 3, name);
    cei_token_buffer_free(&query);
    cei_token_buffer_free(&document);
}

/* [text, max_length or 0, ids, type ids] */
static void check_single(const cei_tokenizer *tokenizer, const json_t *row, const char *name) {
    cei_token_buffer text = {0};
    ce_error error;
    size_t specials = cei_tokenizer_single_specials(tokenizer);
    size_t length = (size_t)json_integer_value(json_array_get(row, 1));
    expect_ok(cei_tokenizer_encode(tokenizer, text_of(json_array_get(row, 0)), CE_UTF8_STRICT, &text, &error), &error);
    size_t kept = length && text.count > length - specials ? length - specials : text.count, total = kept + specials;
    int32_t *ids = malloc((total + 1) * sizeof *ids), *types = malloc((total + 1) * sizeof *types);
    cei_tokenizer_wrap(tokenizer, text.ids, kept, ids, types);
    expect_sequence(cei_tokenizer_single_types(tokenizer), ids, types, total, row, 2, name);
    cei_token_buffer_free(&text);
}

static void check_case(const json_t *root, const json_t *entry, const long_lists *lists, const char *kind) {
    const char *name = json_string_value(golden_get(entry, "name"));
    const json_t *texts = golden_get(root, "texts"), *more = golden_get(entry, "texts"),
                 *ids = golden_get(entry, "ids");
    const json_t *length = golden_get(entry, "max_length"), *row;
    cei_tokenizer *tokenizer = open_case(golden_get(entry, "files"), lists);
    cei_token_buffer buffer = {0};
    ce_error error;
    size_t common = json_array_size(texts), count = common + json_array_size(more), i;
    assert_int_equal(json_array_size(ids), count);
    for (i = 0; i < count; i++) {
        const json_t *text = i < common ? json_array_get(texts, i) : json_array_get(more, i - common);
        expect_ok(cei_tokenizer_encode(tokenizer, text_of(text), CE_UTF8_STRICT, &buffer, &error), &error);
        expect_ids(buffer.ids, buffer.count, json_array_get(ids, i), name, json_string_value(text));
        for (size_t k = 0; k < buffer.count; k++)
            assert_true((size_t)buffer.ids[k] < cei_tokenizer_vocab_size(tokenizer));
    }
    json_array_foreach(golden_get(entry, "pairs"), i, row) check_pair(tokenizer, row, name);
    json_array_foreach(golden_get(entry, "singles"), i, row) check_single(tokenizer, row, name);
    assert_int_equal(cei_tokenizer_max_length(tokenizer),
                     json_is_null(length) ? SIZE_MAX : (size_t)json_integer_value(length));
    assert_string_equal(cei_tokenizer_kind(tokenizer), kind);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

static void check_folders(const char *file, const char *kind, size_t least) {
    json_t *root = golden_load(file), *entry;
    long_lists lists = lists_of(root);
    size_t i;
    json_array_foreach(golden_get(root, "cases"), i, entry) check_case(root, entry, &lists, kind);
    assert_true(i >= least);
    for (i = 0; i < LISTS; i++) free(lists.texts[i]);
    json_decref(root);
}

static void test_folders(void **state) {
    (void)state;
    check_folders("folders.json", "WordPiece", 20);
}

static void test_byte_level_folders(void **state) {
    (void)state;
    check_folders("bpe_folders.json", "BPE", 40);
}

static void test_character_folders(void **state) {
    (void)state;
    check_folders("bpe_characters.json", "BPE", 10);
}

/* ---- folders of Unigram models ---- */

static cei_tokenizer *open_unigram(const json_t *root, const json_t *files) {
    char *folder = test_make_folder();
    const char *name;
    const json_t *content;
    ce_error error;
    json_object_foreach((json_t *)(uintptr_t)files, name, content) {
        size_t size;
        char *half =
            replace(json_string_value(content), "@PIECES@", json_string_value(golden_get(root, "@PIECES@")), &size);
        char *whole = replace(half, "@CHARSMAP@", json_string_value(golden_get(root, "@CHARSMAP@")), &size);
        test_write_file(folder, name, whole, size);
        free(half);
        free(whole);
    }
    cei_tokenizer *tokenizer = NULL;
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    test_remove_folder(folder);
    return tokenizer;
}

static void check_unigram(const json_t *root, const json_t *entry) {
    const char *name = json_string_value(golden_get(entry, "name"));
    const char *hashes = json_string_value(golden_get(entry, "hashes"));
    const json_t *texts = golden_get(root, "texts"), *more = golden_get(entry, "texts"), *row;
    const json_t *length = golden_get(entry, "max_length");
    cei_tokenizer *tokenizer = open_unigram(root, golden_get(entry, "files"));
    cei_token_buffer buffer = {0};
    ce_error error;
    size_t common = json_array_size(texts), count = common + json_array_size(more), i;
    assert_int_equal(strlen(hashes), 8 * count);
    for (i = 0; i < count; i++) {
        const json_t *text = i < common ? json_array_get(texts, i) : json_array_get(more, i - common);
        expect_ok(cei_tokenizer_encode(tokenizer, text_of(text), CE_UTF8_STRICT, &buffer, &error), &error);
        expect_hash(buffer.ids, buffer.count, hashes, 8, i, name, json_string_value(text));
        for (size_t k = 0; k < buffer.count; k++)
            assert_true((size_t)buffer.ids[k] < cei_tokenizer_vocab_size(tokenizer));
    }
    json_array_foreach(golden_get(entry, "pairs"), i, row) check_pair(tokenizer, row, name);
    json_array_foreach(golden_get(entry, "singles"), i, row) check_single(tokenizer, row, name);
    assert_int_equal(cei_tokenizer_max_length(tokenizer),
                     json_is_null(length) ? SIZE_MAX : (size_t)json_integer_value(length));
    assert_string_equal(cei_tokenizer_kind(tokenizer), "Unigram");
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

static void test_unigram_folders(void **state) {
    (void)state;
    json_t *root = golden_load("unigram.json"), *entry;
    size_t i;
    json_array_foreach(golden_get(root, "cases"), i, entry) check_unigram(root, entry);
    assert_true(i > 40);
    json_decref(root);
}

/* ---- pairs ---- */

static void test_truncation(void **state) {
    (void)state;
    json_t *root = golden_load("truncation.json"), *rows, *row;
    const char *budget_text;
    size_t checked = 0;
    json_object_foreach(golden_get(root, "query_kept[budget][query][document]"), budget_text, rows) {
        size_t budget = (size_t)atol(budget_text), query, document, query_kept, document_kept;
        json_array_foreach(rows, query, row) {
            char *at = NULL;
            const char *numbers = json_string_value(row);
            for (document = 0; *numbers; document++, checked++) {
                size_t want = strtoul(numbers, &at, 10);
                numbers = at;
                cei_truncate_pair(query, document, budget, &query_kept, &document_kept);
                assert_int_equal(query_kept, want);
                assert_int_equal(query_kept + document_kept, query + document < budget ? query + document : budget);
            }
        }
    }
    assert_true(checked > 4000);
    size_t query_kept, document_kept;
    cei_truncate_pair(SIZE_MAX, SIZE_MAX, 509, &query_kept, &document_kept);
    assert_int_equal(query_kept, 254);
    assert_int_equal(document_kept, 255);
    json_decref(root);
}

/* ---- real vocabularies ---- */

static cei_tokenizer *open_vocabulary(const char *name, bool lower) {
    char path[128];
    snprintf(path, sizeof path, "tokenizers/%s/vocab.txt", name);
    size_t size;
    char *vocab = test_read_file(test_shared(path), &size), *folder = test_make_folder();
    const char *config = lower ? "{\"do_lower_case\": true}" : "{\"do_lower_case\": false}";
    test_write_file(folder, "vocab.txt", vocab, size);
    test_write_file(folder, "tokenizer_config.json", config, strlen(config));
    cei_tokenizer *tokenizer = NULL;
    ce_error error;
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    test_remove_folder(folder);
    free(vocab);
    return tokenizer;
}

static void check_vocabulary(const char *name) {
    test_shared("data/multilingual/ang.txt"); /* first: a test that skips frees nothing */
    json_t *root = golden_load("multilingual.json");
    const json_t *entry = golden_get(golden_get(root, "vocabularies"), name);
    cei_tokenizer *tokenizer = open_vocabulary(name, json_is_true(golden_get(entry, "do_lower_case")));
    check_files(tokenizer, golden_get(entry, "files"));
    cei_tokenizer_free(tokenizer);
    json_decref(root);
}

/* The folder as it is. */
static void check_folder(const char *name, const char *kind, size_t vocab_size) {
    char path[128];
    snprintf(path, sizeof path, "tokenizers/%s", name);
    test_shared("data/multilingual/ang.txt");
    test_shared(path);
    json_t *root = golden_load("bpe_multilingual.json");
    cei_tokenizer *tokenizer = NULL;
    ce_error error;
    expect_ok(cei_tokenizer_load(test_shared(path), &tokenizer, &error), &error);
    assert_string_equal(cei_tokenizer_kind(tokenizer), kind);
    assert_int_equal(cei_tokenizer_vocab_size(tokenizer), vocab_size);
    check_files(tokenizer, golden_get(golden_get(root, "vocabularies"), name));
    cei_tokenizer_free(tokenizer);
    json_decref(root);
}

static void test_roberta(void **state) {
    (void)state;
    check_folder("roberta-base", "BPE", 50265);
}

static void test_modernbert(void **state) {
    (void)state;
    check_folder("modernbert", "BPE", 50368);
}

static void test_qwen3(void **state) {
    (void)state;
    check_folder("qwen3", "BPE", 151669);
}

static void test_jina(void **state) {
    (void)state;
    check_folder("jina-reranker-v1-tiny-en", "BPE", 60516);
}

static void test_uncased(void **state) {
    (void)state;
    check_vocabulary("bert-base-uncased");
}

static void test_cased(void **state) {
    (void)state;
    check_vocabulary("bert-base-cased");
}

static void test_multilingual_cased(void **state) {
    (void)state;
    check_vocabulary("bert-base-multilingual-cased");
}

static void test_chinese(void **state) {
    (void)state;
    check_vocabulary("bert-base-chinese");
}

/* The pieces of XLM-RoBERTa as a vocabulary of tokenizer.json, into a new string. */
static char *xlm_roberta_pieces(void) {
    char command[512], line[512], *out = malloc(16 << 20), *end = out;
    snprintf(command, sizeof command, "gzip -dc '%s'", test_shared("tokenizers/xlm-roberta-base/pieces.tsv.gz"));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(out);
    end += sprintf(end, "[\"<s>\",0.0]");
    while (fgets(line, sizeof line, pipe)) {
        char *tab = strchr(line, '\t'), *score = strrchr(line, '\t') + 1;
        json_t *piece = json_stringn(line, (size_t)(tab - line));
        char *text = json_dumps(piece, JSON_ENCODE_ANY);
        end += sprintf(end, ",[%s,%.*s]", text, (int)strcspn(score, "\r\n"), score);
        free(text);
        json_decref(piece);
    }
    assert_int_equal(pclose(pipe), 0);
    return out;
}

/* tokenizer.json with all components of XLM-RoBERTa: its pieces, and the charsmap of another tokenizer. */
static char *xlm_roberta_json(size_t *size) {
    json_error_t problem;
    json_t *other =
        json_load_file(test_shared("tokenizers/sentencepiece-bpe/tokenizer.json"), JSON_ALLOW_NUL, &problem);
    assert_non_null(other);
    const json_t *normalizer = golden_get(other, "normalizer");
    char *charsmap = json_dumps(normalizer, JSON_COMPACT), *pieces = xlm_roberta_pieces();
    char *out = malloc(strlen(charsmap) + strlen(pieces) + 1000);
    assert_non_null(out);
    *size = (size_t)sprintf(
        out,
        "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s,{\"type\":\"Replace\",\"pattern\":{\"Regex\":"
        "\" {2,}\"},\"content\":\" \"}]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
        "\"WhitespaceSplit\"},{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\"}]},\"added_tokens\":[{\"id\":"
        "250001,\"content\":\"<mask>\",\"lstrip\":true,\"special\":true}],\"model\":{\"type\":\"Unigram\",\"unk_id\":"
        "3,\"vocab\":[%s]}}",
        charsmap, pieces);
    free(charsmap);
    free(pieces);
    json_decref(other);
    return out;
}

static void check_xlm_roberta(const char *folder, const json_t *files) {
    ce_error error;
    cei_tokenizer *tokenizer = NULL;
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    assert_int_equal(cei_tokenizer_vocab_size(tokenizer), 250002);
    check_files(tokenizer, files);
    cei_tokenizer_free(tokenizer);
}

static void test_xlm_roberta(void **state) {
    (void)state;
    test_shared("data/multilingual/ang.txt");
    size_t size;
    char *json = xlm_roberta_json(&size), *folder = test_make_folder();
    json_t *root = golden_load("unigram.json");
    const json_t *files = golden_get(root, "xlm-roberta");
    test_write_file(folder, "tokenizer.json", json, size);
    check_xlm_roberta(folder, files);
    static const char config[] = "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}";
    test_write_file(folder, "tokenizer_config.json", config, sizeof config - 1);
    check_xlm_roberta(folder, files);
    test_remove_folder(folder);
    free(json);
    json_decref(root);
}

/* Texts parted by a line of their own, and their ids, a line each, without special tokens. */
static void check_gguf(const cei_tokenizer *tokenizer, const char *name) {
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char path[2][128];
    snprintf(path[0], sizeof path[0], "tokenizers/gguf-golden/ggml-vocab-%s.gguf.inp", name);
    snprintf(path[1], sizeof path[1], "tokenizers/gguf-golden/ggml-vocab-%s.gguf.out", name);
    char *texts = test_read_file(test_shared(path[0]), NULL), *ids = test_read_file(test_shared(path[1]), NULL);
    ce_error error;
    cei_token_buffer buffer = {0};
    size_t count = 0;
    char *line = ids;
    for (char *text = texts; text; count++) {
        char *end = strstr(text, mark);
        size_t size = end ? (size_t)(end - text) : strlen(text);
        expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text, size}, CE_UTF8_STRICT, &buffer, &error), &error);
        for (size_t i = 0; i < buffer.count; i++) assert_int_equal(buffer.ids[i], strtol(line, &line, 10));
        line += strspn(line, " ");
        assert_true(*line == '\n' || *line == '\0');
        if (*line) line++;
        text = end ? end + sizeof mark - 1 : NULL;
    }
    assert_true(count > 40);
    cei_token_buffer_free(&buffer);
    free(texts);
    free(ids);
}

static void test_gguf_golden(void **state) {
    (void)state;
    ce_error error;
    cei_tokenizer *tokenizer = NULL;
    expect_ok(cei_tokenizer_load(test_shared("tokenizers/bert-base-uncased"), &tokenizer, &error), &error);
    assert_int_equal(cei_tokenizer_max_length(tokenizer), 512);
    assert_int_equal(cei_tokenizer_vocab_size(tokenizer), 30522);
    check_gguf(tokenizer, "bert-bge");
    cei_tokenizer_free(tokenizer);
}

static void test_gguf_golden_qwen2(void **state) {
    (void)state;
    ce_error error;
    cei_tokenizer *tokenizer = NULL;
    expect_ok(cei_tokenizer_load(test_shared("tokenizers/qwen3"), &tokenizer, &error), &error);
    assert_int_equal(cei_tokenizer_max_length(tokenizer), 131072);
    check_gguf(tokenizer, "qwen2");
    cei_tokenizer_free(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_byte_level_folders),
        cmocka_unit_test(test_character_folders),
        cmocka_unit_test(test_unigram_folders),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_uncased),
        cmocka_unit_test(test_cased),
        cmocka_unit_test(test_multilingual_cased),
        cmocka_unit_test(test_chinese),
        cmocka_unit_test(test_roberta),
        cmocka_unit_test(test_modernbert),
        cmocka_unit_test(test_qwen3),
        cmocka_unit_test(test_jina),
        cmocka_unit_test(test_xlm_roberta),
        cmocka_unit_test(test_gguf_golden),
        cmocka_unit_test(test_gguf_golden_qwen2),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
