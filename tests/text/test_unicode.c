/* test_unicode.c - UTF-8, normalizers and the splitting into words, over all code points, against the reference. */
#include "golden_json.h"

#include "text/components.h"
#include "text/normalizer.h"
#include "text/split.h"
#include "text/unicode.h"
#include "text/utf8.h"

#include <stdio.h>

/* ---- UTF-8 ---- */

static void test_utf8_golden(void **state) {
    (void)state;
    json_t *root = golden_load("utf8.json"), *row;
    size_t i;
    json_array_foreach(golden_get(root, "rows"), i, row) {
        size_t size, want_size, length = 0, made = 0;
        char *bytes = golden_hex(json_array_get(row, 0), &size), *want = golden_hex(json_array_get(row, 2), &want_size);
        char out[64];
        assert_int_equal(cei_utf8_check(bytes, size, NULL), json_integer_value(json_array_get(row, 1)));
        for (size_t at = 0; at < size; at += length) {
            size_t good = cei_utf8_check(bytes + at, size - at, &length);
            memcpy(out + made, bytes + at, good);
            made += good;
            at += good;
            if (at == size) break;
            assert_true(length >= 1 && length <= 3);
            made += cei_utf8_put(out + made, CEI_UNICODE_REPLACEMENT);
        }
        assert_int_equal(made, want_size);
        assert_memory_equal(out, want, want_size);
        free(bytes);
        free(want);
    }
    assert_true(i > 200);
    json_decref(root);
}

static void test_utf8_round_trip(void **state) {
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char bytes[4];
        size_t size = cei_utf8_put(bytes, c), at = 0;
        bool surrogate = c >= 0xD800 && c < 0xE000;
        assert_int_equal(cei_utf8_check(bytes, size, NULL) == size, !surrogate);
        if (surrogate) continue;
        assert_int_equal(cei_utf8_next(bytes, &at), c);
        assert_int_equal(at, size);
        assert_int_equal(cei_utf8_previous(bytes, size), c);
    }
}

/* Eight bytes are checked at a time where they are ASCII. */
static void test_utf8_check_finds_every_place(void **state) {
    (void)state;
    char text[40];
    for (size_t size = 0; size <= sizeof text; size++) {
        memset(text, 'a', sizeof text);
        assert_int_equal(cei_utf8_check(text, size, NULL), size);
        for (size_t bad = 0; bad < size; bad++) {
            text[bad] = (char)0xFF;
            assert_int_equal(cei_utf8_check(text, size, NULL), bad);
            text[bad] = 'a';
        }
    }
    assert_int_equal(cei_utf8_check(NULL, 0, NULL), 0);
}

/* ---- normalizers ---- */

/* Of a name as the golden files have it. */
static cei_normalizer normalizer_of(const char *name) {
    static const char *const names[] = {[CEI_NORMALIZER_NFD] = "NFD",
                                        [CEI_NORMALIZER_NFC] = "NFC",
                                        [CEI_NORMALIZER_NFKD] = "NFKD",
                                        [CEI_NORMALIZER_NFKC] = "NFKC",
                                        [CEI_NORMALIZER_LOWERCASE] = "Lowercase",
                                        [CEI_NORMALIZER_STRIP_ACCENTS] = "StripAccents"};
    cei_normalizer normalizer = {.count = 1};
    static const char bert[] = "BertNormalizer ";
    if (strncmp(name, bert, sizeof bert - 1) == 0) {
        const char *on = name + sizeof bert - 1;
        normalizer.steps[0] =
            cei_normalizer_bert((cei_bert_options){on[0] == '1', on[1] == '1', on[2] == '1', on[3] == '1'});
        return normalizer;
    }
    for (size_t kind = CEI_NORMALIZER_NFD; kind < sizeof names / sizeof names[0]; kind++) {
        if (strcmp(name, names[kind]) != 0) continue;
        normalizer.steps[0].kind = (cei_normalizer_kind)kind;
        return normalizer;
    }
    fail_msg("unknown normalizer %s", name);
    return normalizer;
}

/* The code points of a block, parted by x. */
static size_t write_block(uint32_t start, uint32_t block, char *out) {
    size_t size = 0;
    for (uint32_t c = start; c < start + block; c++) {
        if (c >= 0xD800 && c < 0xE000) continue;
        if (size) out[size++] = 'x';
        size += cei_utf8_put(out + size, c);
    }
    return size;
}

static uint64_t hash_words(const char *text, size_t size) {
    cei_word words[7];
    uint64_t hash = FNV_START;
    size_t position = 0, count, all = 0;
    while ((count = cei_pre_tokenize_bert(text, size, &position, words, 7)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (all++) hash = fnv1a(hash, "", 1);
            hash = fnv1a(hash, words[i].data, words[i].size);
        }
    }
    return hash;
}

static uint64_t hash_normalized(const cei_normalizer *normalizer, const char *text, size_t size) {
    cei_normalizer_scratch scratch = {0};
    const char *out;
    size_t out_size;
    assert_true(cei_normalize(normalizer, text, size, &scratch, &out, &out_size));
    uint64_t hash = fnv1a(FNV_START, out, out_size);
    cei_normalizer_scratch_free(&scratch);
    return hash;
}

static void test_all_code_points(void **state) {
    (void)state;
    json_t *root = golden_load("unicode.json"), *hashes;
    uint32_t block = (uint32_t)json_integer_value(golden_get(root, "block"));
    char *text = malloc(5 * (size_t)block);
    const char *name;
    size_t kinds = 0;
    json_object_foreach(golden_get(root, "hashes"), name, hashes) {
        bool split = strcmp(name, "BertPreTokenizer") == 0;
        cei_normalizer normalizer = split ? (cei_normalizer){.count = 0} : normalizer_of(name);
        const char *want = json_string_value(hashes);
        assert_int_equal(strlen(want), 0x110000 / block * 9 - 1);
        for (uint32_t start = 0; start < 0x110000; start += block, want += 9) {
            size_t size = write_block(start, block, text);
            uint64_t hash = split ? hash_words(text, size) : hash_normalized(&normalizer, text, size);
            char got[9];
            snprintf(got, sizeof got, "%08x", (unsigned)(hash & 0xFFFFFFFF));
            if (memcmp(got, want, 8) != 0) fail_msg("%s differs from U+%04X on", name, (unsigned)start);
        }
        kinds++;
    }
    assert_int_equal(kinds, 16 + 6 + 1);
    free(text);
    json_decref(root);
}

static void expect_normalized(const char *name, const char *text, size_t size, const char *want, size_t want_size) {
    cei_normalizer normalizer = normalizer_of(name);
    cei_normalizer_scratch scratch = {0};
    const char *out;
    size_t out_size;
    assert_true(cei_normalize(&normalizer, text, size, &scratch, &out, &out_size));
    if (out_size != want_size || memcmp(out, want, want_size) != 0)
        fail_msg("%s of \"%.*s\" is \"%.*s\"", name, (int)size, text, (int)out_size, out);
    cei_normalizer_scratch_free(&scratch);
}

static void test_marks_in_every_order(void **state) {
    (void)state;
    json_t *root = golden_load("unicode.json"), *sequence, *want;
    size_t i;
    const char *name;
    json_array_foreach(golden_get(root, "sequences"), i, sequence) {
        const json_t *text = golden_get(sequence, "text");
        json_object_foreach(golden_get(sequence, "normalized"), name, want) expect_normalized(
            name, json_string_value(text), json_string_length(text), json_string_value(want), json_string_length(want));
    }
    assert_true(i > 50);
    json_decref(root);
}

/* A run of marks is sorted by insertion if it is short, by counting if it is long. */
static void test_short_and_long_runs_sort_alike(void **state) {
    (void)state;
    static const uint32_t marks[] = {0x345, 0x301, 0x334, 0x323, 0x300, 0x327};
    static const uint8_t ranks[] = {60, 40, 1, 30, 40, 20};
    for (size_t count = 0; count < 80; count++) {
        cei_marks run = {0};
        for (size_t i = 0; i < count; i++) assert_true(cei_marks_push(&run, marks[i * 7 % 6], ranks[i * 7 % 6]));
        cei_marks_sort(&run);
        assert_int_equal(run.count, count);
        size_t seen[2] = {0}; /* of the two of rank 40, which take turns */
        for (size_t i = 0; i < count; i++) {
            if (i) assert_true(cei_mark_rank(run.items[i - 1]) <= cei_mark_rank(run.items[i]));
            if (cei_mark_rank(run.items[i]) != 40) continue;
            seen[cei_mark_code_point(run.items[i]) == 0x300]++;
            assert_true(seen[0] - seen[1] <= 1);
        }
        cei_marks_free(&run);
    }
}

static void test_known_normal_forms(void **state) {
    (void)state;
    static const struct {
        const char *name, *text, *want;
    } cases[] = {
        {"BertNormalizer 1111", "\xC4\xB0STANBUL", "istanbul"},          /* U+0130 loses its dot with the accents */
        {"BertNormalizer 0001", "\xC4\xB0", "i\xCC\x87"},                /* and keeps it without */
        {"BertNormalizer 0001", "\xCE\x91\xCE\xA3", "\xCE\xB1\xCF\x83"}, /* no final sigma */
        {"Lowercase", "\xCE\x91\xCE\xA3", "\xCE\xB1\xCF\x83"},
        {"BertNormalizer 1111", "\xEA\xB0\x81", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"}, /* Hangul falls apart */
        {"NFC", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"},
        {"NFC", "\xE2\x84\xA6", "\xCE\xA9"},                 /* the ohm sign is an omega */
        {"NFC", "\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC"}, /* a composition that is excluded */
        {"BertNormalizer 1111",
         "a\xE4\xB8\xAD"
         "b",
         "a \xE4\xB8\xAD b"},
        {"BertNormalizer 1000",
         "a\xC2\xAD\xE2\x80\x8B\x01"
         "b\t\xC2\xA0"
         "c",
         "ab  c"},
        {"BertNormalizer 1011", "e\xCD\x85\x01\xCC\xB4x", "ex"},
        {"NFD", "e\xCD\x85\xCC\xB4", "e\xCC\xB4\xCD\x85"},
        {"NFKC", "\xEF\xAC\x81\xC2\xBD",
         "fi1\xE2\x81\x84"
         "2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_normalized(cases[i].name, cases[i].text, strlen(cases[i].text), cases[i].want, strlen(cases[i].want));
}

static void test_steps_follow_each_other(void **state) {
    (void)state;
    cei_normalizer normalizer = {.count = 3};
    normalizer.steps[0].kind = CEI_NORMALIZER_NFD;
    normalizer.steps[1].kind = CEI_NORMALIZER_LOWERCASE;
    normalizer.steps[2].kind = CEI_NORMALIZER_STRIP_ACCENTS;
    cei_normalizer_scratch scratch = {0};
    const char *out;
    size_t size;
    assert_true(cei_normalize(&normalizer, "\xC3\x89t\xC3\x89", 5, &scratch, &out, &size));
    assert_int_equal(size, 3);
    assert_memory_equal(out, "ete", 3);
    normalizer.count = 0;
    static const char text[] = "\xC3\x89";
    assert_true(cei_normalize(&normalizer, text, 2, &scratch, &out, &size));
    assert_ptr_equal(out, text);
    assert_int_equal(size, 2);
    cei_normalizer_scratch_free(&scratch);
}

/* ---- words ---- */

/* The code points of a block, parted by joiner; its end is no place for one. */
static size_t join_block(uint32_t start, uint32_t block, const char *joiner, char *out) {
    size_t size = 0;
    for (uint32_t c = start; c < start + block; c++) {
        if (c >= 0xD800 && c < 0xE000) continue;
        if (size) size += (size_t)sprintf(out + size, "%s", joiner);
        size += cei_utf8_put(out + size, c);
    }
    return size;
}

static uint64_t hash_splits(const cei_splits *splits, const char *text, size_t size) {
    cei_word words[7];
    cei_split_walk walk;
    cei_bytes prefixed = {0};
    uint64_t hash = FNV_START;
    size_t count, all = 0;
    assert_true(cei_split_start(&walk, splits, text, size, &prefixed));
    while (assert_true(cei_split_next(&walk, words, 7, &count)), count > 0) {
        for (size_t i = 0; i < count; i++) {
            if (all++) hash = fnv1a(hash, "", 1);
            hash = fnv1a(hash, words[i].data, words[i].size);
        }
    }
    return hash;
}

static void check_splits(const cei_splits *splits, const char *name, const char *joiner, const char *want) {
    enum { BLOCK = 0x1000 };
    char *text = malloc(7 * BLOCK);
    assert_int_equal(strlen(want), 0x110000 / BLOCK * 9 - 1);
    for (uint32_t start = 0; start < 0x110000; start += BLOCK, want += 9) {
        char got[9];
        size_t size = join_block(start, BLOCK, joiner, text);
        snprintf(got, sizeof got, "%08x", (unsigned)(hash_splits(splits, text, size) & 0xFFFFFFFF));
        if (memcmp(got, want, 8) != 0) fail_msg("%s differs from U+%04X on", name, (unsigned)start);
    }
    free(text);
}

/* All code points, with something between them that makes each alternative of the expressions work. */
static void test_splits_of_all_code_points(void **state) {
    (void)state;
    static const struct {
        const char *name;
        cei_split split;
    } steps[] = {
        {"GPT2", {CEI_SPLIT_GPT2, 0, false}},
        {"QWEN2", {CEI_SPLIT_GPT4, 1, false}},
        {"LLAMA3", {CEI_SPLIT_GPT4, 3, false}},
        {"Digits", {CEI_SPLIT_DIGITS, 0, false}},
        {"Digit runs", {CEI_SPLIT_DIGIT_RUNS, 0, false}},
        {"Whitespace", {CEI_SPLIT_WHITESPACE, 0, false}},
    };
    static const struct {
        const char *name, *text;
    } joiners[] = {{"'x'", "x"}, {"' '", " "}, {"'7'", "7"}, {"\"'\"", "'"}, {"''", ""}, {"'\\n '", "\n "}};
    json_t *root = golden_load("bpe_unicode.json");
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const cei_splits splits = {.steps = {steps[i].split}, .count = 1};
        for (size_t k = 0; k < sizeof joiners / sizeof joiners[0]; k++) {
            char name[64];
            snprintf(name, sizeof name, "%s %s", steps[i].name, joiners[k].name);
            check_splits(&splits, name, joiners[k].text,
                         json_string_value(golden_get(golden_get(root, "hashes"), name)));
        }
    }
    json_decref(root);
}

/* What the reference makes of the text, its pieces in brackets. */
static void expect_pieces(cei_split split, const char *text, const char *want) {
    const cei_splits splits = {.steps = {split}, .count = 1};
    cei_split_walk walk;
    cei_bytes prefixed = {0};
    cei_word words[32];
    size_t count;
    char got[256] = "";
    assert_true(cei_split_start(&walk, &splits, text, strlen(text), &prefixed));
    assert_true(cei_split_next(&walk, words, 32, &count));
    for (size_t i = 0; i < count; i++) {
        size_t end = strlen(got);
        snprintf(got + end, sizeof got - end, "[%.*s]", (int)words[i].size, words[i].data);
    }
    assert_string_equal(got, want);
}

static void test_pieces(void **state) {
    (void)state;
    const cei_split gpt2 = {CEI_SPLIT_GPT2, 0, false}, qwen2 = {CEI_SPLIT_GPT4, 1, false};
    expect_pieces(qwen2,
                  "'\xC5\xBF"
                  "a'Sb'REc'Ld",
                  "['\xC5\xBF][a]['S][b]['RE][c]['Ld]");
    expect_pieces(gpt2,
                  "'\xC5\xBF"
                  "a'Sb'REc'Ld",
                  "['][\xC5\xBF"
                  "a]['][Sb]['][REc]['][Ld]");
    expect_pieces(qwen2, "  a\n \n  b!\n\n c", "[ ][ a][\n \n][ ][ b][!\n\n][ c]");
    expect_pieces(gpt2, "  a\n \n  b!\n\n c", "[ ][ a][\n \n ][ b][!][\n\n][ c]");
}

/* The words of text, each in brackets, whatever room there is for them at a time. */
static void expect_words(const char *text, const char *want) {
    for (size_t capacity = 1; capacity <= 8; capacity++) {
        char got[256] = "";
        cei_word words[8];
        size_t position = 0, count;
        while ((count = cei_pre_tokenize_bert(text, strlen(text), &position, words, capacity)) > 0)
            for (size_t i = 0; i < count; i++) {
                size_t end = strlen(got);
                snprintf(got + end, sizeof got - end, "[%.*s %zu]", (int)words[i].size, words[i].data,
                         words[i].characters);
            }
        assert_string_equal(got, want);
        assert_int_equal(position, strlen(text));
    }
}

static void test_words(void **state) {
    (void)state;
    expect_words("", "");
    expect_words(" \t\n", "");
    expect_words("one", "[one 3]");
    expect_words(" one two ", "[one 3][two 3]");
    expect_words("don't.", "[don 3][' 1][t 1][. 1]");
    expect_words("..a..", "[. 1][. 1][a 1][. 1][. 1]");
    expect_words("a\xC2\xA0\xC3\xA9t\xC3\xA9\xE2\x80\xA6"
                 "b",
                 "[a 1][\xC3\xA9t\xC3\xA9 3][\xE2\x80\xA6 1][b 1]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_golden),
        cmocka_unit_test(test_utf8_round_trip),
        cmocka_unit_test(test_utf8_check_finds_every_place),
        cmocka_unit_test(test_all_code_points),
        cmocka_unit_test(test_marks_in_every_order),
        cmocka_unit_test(test_short_and_long_runs_sort_alike),
        cmocka_unit_test(test_known_normal_forms),
        cmocka_unit_test(test_steps_follow_each_other),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_splits_of_all_code_points),
        cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}
