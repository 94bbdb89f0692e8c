/* test_sentencepiece.c - SentencePiece models: small and real ones against the reference, and files that are broken,
 * hostile or odd. */
/* popen */
#define _POSIX_C_SOURCE 200809L
#include "golden_lines.h"

#include "support/failing_malloc.h"

#include "base/clock.h"
#include "text/bytes.h"
#include "text/sentencepiece_model.h"
#include "text/spec.h"

/* ---- against the reference ---- */

static cei_tokenizer *open_case(const json_t *entry) {
    char *folder = test_make_folder();
    cei_tokenizer *tokenizer = NULL;
    ce_error error;
    golden_write_files(folder, golden_get(entry, "files"));
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    test_remove_folder(folder);
    return tokenizer;
}

/* "a b" with the special tokens that it gets. */
static void check_wrapped(const cei_tokenizer *tokenizer, const json_t *want, const char *name) {
    cei_token_buffer buffer = {0};
    ce_error error;
    int32_t ids[16], types[16];
    expect_ok(cei_tokenizer_encode(tokenizer, ce_text_of("a b"), CE_UTF8_STRICT, &buffer, &error), &error);
    const size_t count = buffer.count + cei_tokenizer_single_specials(tokenizer);
    if (count > 16 || count != json_array_size(want)) fail_msg("%s: %zu ids", name, count);
    cei_tokenizer_wrap(tokenizer, buffer.ids, buffer.count, ids, types);
    for (size_t i = 0; i < count; i++) assert_int_equal(ids[i], json_integer_value(json_array_get(want, i)));
    cei_token_buffer_free(&buffer);
}

/* Texts with their ids, of cases that have some of their own. */
static void check_ids(const cei_tokenizer *tokenizer, const json_t *rows, const char *name) {
    cei_token_buffer buffer = {0};
    ce_error error;
    const json_t *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        const json_t *text = json_array_get(row, 0), *ids = json_array_get(row, 1);
        const ce_text string = {json_string_value(text), json_string_length(text)};
        expect_ok(cei_tokenizer_encode(tokenizer, string, CE_UTF8_STRICT, &buffer, &error), &error);
        if (buffer.count != json_array_size(ids)) fail_msg("%s: \"%s\" has %zu ids", name, string.data, buffer.count);
        for (size_t k = 0; k < buffer.count; k++)
            assert_int_equal(buffer.ids[k], json_integer_value(json_array_get(ids, k)));
    }
    cei_token_buffer_free(&buffer);
}

static void check_case(const json_t *texts, const json_t *entry) {
    const char *name = json_string_value(golden_get(entry, "name"));
    const char *hashes = json_string_value(golden_get(entry, "hashes"));
    cei_tokenizer *tokenizer = open_case(entry);
    cei_token_buffer buffer = {0};
    ce_error error;
    const json_t *text;
    size_t i;
    assert_int_equal(strlen(hashes), 8 * json_array_size(texts));
    json_array_foreach(texts, i, text) {
        const ce_text string = {json_string_value(text), json_string_length(text)};
        expect_ok(cei_tokenizer_encode(tokenizer, string, CE_UTF8_STRICT, &buffer, &error), &error);
        expect_hash(buffer.ids, buffer.count, hashes, 8, i, name, string.data);
    }
    check_wrapped(tokenizer, golden_get(entry, "a b"), name);
    check_ids(tokenizer, json_object_get(entry, "ids"), name);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

static void test_small_models(void **state) {
    (void)state;
    json_t *root = golden_load("sentencepiece.json"), *entry;
    size_t i;
    json_array_foreach(golden_get(root, "cases"), i, entry) check_case(golden_get(root, "texts"), entry);
    assert_int_equal(i, 45);
    json_decref(root);
}

/* The folder, whose tokenizer is of that kind and size, which is freed. */
static void check_real(char *folder, const char *name, const char *kind, size_t vocab_size) {
    json_t *root = golden_load("sentencepiece.json");
    cei_tokenizer *tokenizer = NULL;
    ce_error error;
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    assert_string_equal(cei_tokenizer_kind(tokenizer), kind);
    assert_int_equal(cei_tokenizer_vocab_size(tokenizer), vocab_size);
    check_files(tokenizer, golden_get(golden_get(root, "multilingual"), name));
    cei_tokenizer_free(tokenizer);
    test_remove_folder(folder);
    json_decref(root);
}

static void copy_shared(const char *from, const char *folder, const char *name) {
    size_t size;
    char *data = test_read_file(test_shared(from), &size);
    test_write_file(folder, name, data, size);
    free(data);
}

static void write_text(const char *folder, const char *name, const char *text) {
    test_write_file(folder, name, text, strlen(text));
}

static void test_deberta(void **state) {
    (void)state;
    test_shared("data/multilingual/ang.txt"); /* first: a test that skips frees nothing */
    test_shared("tokenizers/deberta-v3/spm.model");
    char *folder = test_make_folder();
    copy_shared("tokenizers/deberta-v3/spm.model", folder, "spm.model");
    write_text(folder, "config.json", "{\"model_type\":\"deberta-v2\"}");
    check_real(folder, "deberta-v3", "Unigram", 128001);
}

static void test_bpe_model(void **state) {
    (void)state;
    test_shared("data/multilingual/ang.txt");
    test_shared("tokenizers/sentencepiece-bpe/sentencepiece.bpe.model");
    char *folder = test_make_folder();
    copy_shared("tokenizers/sentencepiece-bpe/sentencepiece.bpe.model", folder, "tokenizer.model");
    check_real(folder, "sentencepiece-bpe", "BPE", 50002);
}

/* The ids of all lines of a file. */
static uint64_t hash_file(const cei_tokenizer *tokenizer, const char *file, cei_token_buffer *buffer) {
    char path[128];
    size_t size;
    uint64_t hash = FNV_START;
    ce_error error;
    snprintf(path, sizeof path, "data/multilingual/%s", file);
    char *text = test_read_file(test_shared(path), &size);
    for (size_t at = 0; at <= size;) {
        const size_t length = strcspn(text + at, "\n");
        expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text + at, length}, CE_UTF8_STRICT, buffer, &error),
                  &error);
        hash = fnv1a(hash, buffer->ids, buffer->count * sizeof *buffer->ids);
        at += length + 1;
    }
    free(text);
    return hash;
}

/* A shared model in a folder of its own, whose class has the hashes under key. */
static void check_class(const char *model, const char *name, const char *config, const char *key) {
    test_shared("data/multilingual/ang.txt");
    test_shared(model);
    char *folder = test_make_folder(), got[17];
    copy_shared(model, folder, name);
    write_text(folder, "tokenizer_config.json", config);
    json_t *root = golden_load("sentencepiece.json"), *hash;
    cei_tokenizer *tokenizer = NULL;
    cei_token_buffer buffer = {0};
    const char *file;
    ce_error error;
    expect_ok(cei_tokenizer_load(folder, &tokenizer, &error), &error);
    json_object_foreach(golden_get(root, key), file, hash) {
        snprintf(got, sizeof got, "%016llx", (unsigned long long)hash_file(tokenizer, file, &buffer));
        if (strcmp(got, json_string_value(hash)) != 0) fail_msg("%s: other ids", file);
    }
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
    test_remove_folder(folder);
    json_decref(root);
}

static void test_bpe_model_as_llama(void **state) {
    (void)state;
    check_class("tokenizers/sentencepiece-bpe/sentencepiece.bpe.model", "tokenizer.model",
                "{\"tokenizer_class\":\"LlamaTokenizer\"}", "multilingual as Llama");
}

static void test_deberta_model_as_t5(void **state) {
    (void)state;
    check_class("tokenizers/deberta-v3/spm.model", "spiece.model", "{\"tokenizer_class\":\"T5Tokenizer\"}",
                "multilingual as T5");
}

/* ---- writing models ---- */

static void put(cei_bytes *out, const void *data, size_t size) { assert_true(cei_bytes_append(out, data, size)); }

static void put_varint(cei_bytes *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) put(out, &(char){(char)(value | 0x80)}, 1);
    put(out, &(char){(char)value}, 1);
}

static void put_bytes(cei_bytes *out, unsigned field, const void *data, size_t size) {
    put_varint(out, field << 3 | 2);
    put_varint(out, size);
    put(out, data, size);
}

static void put_number(cei_bytes *out, unsigned field, uint64_t value) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_piece(cei_bytes *out, const char *text, size_t size, float score, unsigned kind) {
    cei_bytes piece = {0};
    put_bytes(&piece, 1, text, size);
    put_varint(&piece, 2 << 3 | 5);
    put(&piece, &score, sizeof score);
    if (kind != CEI_PIECE_NORMAL) put_number(&piece, 3, kind);
    put_bytes(out, 1, piece.data, piece.size);
    cei_free(piece.data);
}

static void put_plain(cei_bytes *out, const char *text, float score, unsigned kind) {
    put_piece(out, text, strlen(text), score, kind);
}

/* A specification of one number. */
static void put_setting(cei_bytes *out, unsigned message, unsigned field, uint64_t value) {
    cei_bytes inner = {0};
    put_number(&inner, field, value);
    put_bytes(out, message, inner.data, inner.size);
    cei_free(inner.data);
}

enum { TRAINER = 2, NORMALIZER = 3 };

/* fairseq's pieces of XLM-RoBERTa, and the charsmap of DeBERTa, which is the same one. */
static void put_xlm_roberta(cei_bytes *out) {
    char command[512], line[512];
    size_t size;
    ce_error error;
    cei_sentencepiece other;
    char *file = test_read_file(test_shared("tokenizers/deberta-v3/spm.model"), &size);
    expect_ok(cei_sentencepiece_read(file, size, "spm.model", &other, &error), &error);
    snprintf(command, sizeof command, "gzip -dc '%s'", test_shared("tokenizers/xlm-roberta-base/pieces.tsv.gz"));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    put_plain(out, "<unk>", 0, CEI_PIECE_UNKNOWN);
    put_plain(out, "<s>", 0, CEI_PIECE_CONTROL);
    put_plain(out, "</s>", 0, CEI_PIECE_CONTROL);
    for (size_t i = 0; fgets(line, sizeof line, pipe); i++)
        if (i >= 3 && strncmp(line, "<mask>\t", 7) != 0)
            put_piece(out, line, strcspn(line, "\t"), strtof(strrchr(line, '\t') + 1, NULL), CEI_PIECE_NORMAL);
    assert_int_equal(pclose(pipe), 0);
    cei_bytes normalizer = {0};
    put_bytes(&normalizer, 2, other.charsmap, other.charsmap_size);
    put_bytes(out, NORMALIZER, normalizer.data, normalizer.size);
    cei_free(normalizer.data);
    cei_sentencepiece_free(&other);
    free(file);
}

static void test_xlm_roberta(void **state) {
    (void)state;
    test_shared("data/multilingual/ang.txt");
    test_shared("tokenizers/deberta-v3/spm.model");
    test_shared("tokenizers/xlm-roberta-base/pieces.tsv.gz");
    char *folder = test_make_folder();
    cei_bytes model = {0};
    put_xlm_roberta(&model);
    test_write_file(folder, "sentencepiece.bpe.model", model.data, model.size);
    write_text(folder, "config.json", "{\"model_type\":\"xlm-roberta\"}");
    cei_free(model.data);
    check_real(folder, "xlm-roberta-base", "Unigram", 250002);
}

/* ---- broken files ---- */

/* Everything that a model can have; BPE or Unigram. */
static cei_bytes small_model(bool bpe) {
    static const char charsmap[] = "\x04\0\0\0\0\x04\0\0b\0c"; /* a trie of one unit */
    cei_bytes model = {0}, normalizer = {0};
    put_plain(&model, "<unk>", 0, CEI_PIECE_UNKNOWN);
    put_plain(&model, "<s>", 0, CEI_PIECE_CONTROL);
    put_plain(&model, "</s>", 0, CEI_PIECE_CONTROL);
    put_plain(&model, "ab", -1, CEI_PIECE_NORMAL);
    put_plain(&model, "\xE2\x96\x81", -2, CEI_PIECE_NORMAL);
    put_plain(&model, "a", -3, CEI_PIECE_NORMAL);
    put_plain(&model, "b", -4, CEI_PIECE_NORMAL);
    put_plain(&model, "<0x41>", 0, CEI_PIECE_BYTE);
    put_setting(&model, TRAINER, 3, bpe ? 2 : 1);
    put_setting(&model, TRAINER, 35, 1);
    put_bytes(&normalizer, 2, charsmap, sizeof charsmap - 1);
    put_bytes(&model, NORMALIZER, normalizer.data, normalizer.size);
    cei_free(normalizer.data);
    return model;
}

static ce_status parse(const char *data, size_t size, const char *config, cei_tokenizer **tokenizer, ce_error *error) {
    const cei_tokenizer_files files = {
        .pieces = {"spm.model", data, size},
        .tokenizer_config = {"tokenizer_config.json", config, config ? strlen(config) : 0}};
    return cei_tokenizer_parse(&files, tokenizer, error);
}

static void expect_refused(cei_bytes model, const char *config, ce_status want, const char *part) {
    ce_error error = {CE_OK, ""};
    cei_tokenizer *tokenizer = NULL;
    /* An empty file is there, and has data. */
    expect_status(parse(model.size ? model.data : "", model.size, config, &tokenizer, &error), want, &error, part);
    assert_null(tokenizer);
    cei_free(model.data);
}

static cei_bytes plain_model(void) {
    cei_bytes model = {0};
    put_plain(&model, "<unk>", 0, CEI_PIECE_UNKNOWN);
    put_plain(&model, "a", -1, CEI_PIECE_NORMAL);
    return model;
}

/* A good model, and something behind it. */
static cei_bytes model_and(const char *data, size_t size) {
    cei_bytes model = plain_model();
    put(&model, data, size);
    return model;
}
#define AND(text) model_and((text), sizeof(text) - 1)

static void test_broken_models(void **state) {
    (void)state;
    expect_refused((cei_bytes){0}, NULL, CE_ERR_FORMAT, "no pieces");
    expect_refused(AND("\x0A"), NULL, CE_ERR_FORMAT, "breaks off");
    expect_refused(AND("\x0A\x05"
                       "abc"),
                   NULL, CE_ERR_FORMAT, "breaks off");
    expect_refused(AND("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), NULL, CE_ERR_FORMAT, "breaks off");
    expect_refused(AND("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), NULL, CE_ERR_FORMAT, "breaks off");
    expect_refused(AND("\x02\x00"), NULL, CE_ERR_FORMAT, "breaks off");                     /* field 0 */
    expect_refused(AND("\x0B\x0C"), NULL, CE_ERR_FORMAT, "breaks off");                     /* a group */
    expect_refused(AND("\x0E"), NULL, CE_ERR_FORMAT, "breaks off");                         /* type 6 */
    expect_refused(AND("\x8A\x80\x80\x80\x80\x01\x00"), NULL, CE_ERR_FORMAT, "breaks off"); /* field 2^32 */
    expect_refused(AND("\x51\x01\x02\x03"), NULL, CE_ERR_FORMAT, "breaks off");             /* half of 64 bits */
    expect_refused(AND("\x08\x01"), NULL, CE_ERR_FORMAT, "piece 2");                        /* a number */
    expect_refused(AND("\x0A\x00"), NULL, CE_ERR_FORMAT, "piece 2");                        /* empty */
    expect_refused(AND("\x0A\x02\x0A\x00"), NULL, CE_ERR_FORMAT, "piece 2");
    expect_refused(AND("\x0A\x03\x0A\x01\xFF"), NULL, CE_ERR_FORMAT, "piece 2"); /* no UTF-8 */
    expect_refused(AND("\x0A\x02\x08\x01"), NULL, CE_ERR_FORMAT, "piece 2");     /* a number for a text */
    expect_refused(AND("\x0A\x03\x0A\x05"
                       "a"),
                   NULL, CE_ERR_FORMAT, "piece 2"); /* longer than it is */
    expect_refused(AND("\x0A\x05\x0A\x01"
                       "b\x18\x07"),
                   NULL, CE_ERR_FORMAT, "piece 2"); /* of kind 7 */
    expect_refused(AND("\x0A\x05\x0A\x01"
                       "b\x18\x00"),
                   NULL, CE_ERR_FORMAT, "piece 2");
    expect_refused(AND("\x0A\x08\x0A\x01"
                       "b\x15\0\0\x80\x7F"),
                   NULL, CE_ERR_FORMAT, "piece 2"); /* of infinite score */
    expect_refused(AND("\x0A\x08\x0A\x01"
                       "b\x15\0\0\xC0\x7F"),
                   NULL, CE_ERR_FORMAT, "piece 2");
    expect_refused(AND("\x12\x02\x1A\x00"), NULL, CE_ERR_FORMAT, "the trainer's specification");
    expect_refused(AND("\x12\x01\x18"), NULL, CE_ERR_FORMAT, "the trainer's specification");
    expect_refused(AND("\x10\x00"), NULL, CE_ERR_FORMAT, "the trainer's specification");
    expect_refused(AND("\x1A\x02\x1A\x00"), NULL, CE_ERR_FORMAT, "the normalizer's specification");
    expect_refused(AND("\x1A\x05\x12\x03"
                       "abc"),
                   NULL, CE_ERR_FORMAT, "\"precompiled_charsmap\" is damaged");
    expect_refused(AND("version https://git-lfs.github.com/spec/v1\n"), NULL, CE_ERR_FORMAT, "breaks off");
}

static void expect_setting(unsigned message, unsigned field, uint64_t value, ce_status want, const char *part) {
    cei_bytes model = plain_model();
    put_setting(&model, message, field, value);
    expect_refused(model, NULL, want, part);
}

static void test_refused_settings(void **state) {
    (void)state;
    expect_setting(TRAINER, 3, 3, CE_ERR_UNSUPPORTED, "type 3");
    expect_setting(TRAINER, 3, UINT64_MAX, CE_ERR_UNSUPPORTED, "type -1");
    expect_setting(TRAINER, 24, 1, CE_ERR_UNSUPPORTED, "treat_whitespace_as_suffix");
    expect_setting(TRAINER, 40, 2, CE_ERR_FORMAT, "unk_id is 2");
    expect_setting(TRAINER, 40, UINT64_MAX, CE_ERR_FORMAT, "unk_id is -1");
    cei_bytes named = plain_model();
    put_plain(&named, "<extra_id_0>", 0, CEI_PIECE_CONTROL);
    expect_refused(named, "{\"tokenizer_class\":\"T5Tokenizer\"}", CE_ERR_FORMAT, "\"extra_ids\" says 100");
    static const char backend[] = "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",";
    char config[256];
    cei_bytes model = plain_model();
    put_plain(&model, "<user>", 0, CEI_PIECE_USER_DEFINED);
    expect_refused(model, NULL, CE_ERR_UNSUPPORTED, "user-defined piece \"<user>\"");
    expect_refused(small_model(false), "{\"tokenizer_class\":\"LlamaTokenizer\"}", CE_ERR_UNSUPPORTED,
                   "LlamaTokenizer");
    expect_refused(small_model(true), "{\"tokenizer_class\":\"AlbertTokenizer\"}", CE_ERR_UNSUPPORTED, "Unigram");
    expect_refused(small_model(true), "{\"tokenizer_class\":\"T5Tokenizer\"}", CE_ERR_UNSUPPORTED, "Unigram");
    expect_refused(small_model(false), "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":1001}", CE_ERR_FORMAT,
                   "extra_ids");
    expect_refused(small_model(true), "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}", CE_ERR_UNSUPPORTED, "Unigram");
    expect_refused(small_model(true), "{\"tokenizer_class\":\"BertTokenizer\"}", CE_ERR_UNSUPPORTED, "BertTokenizer");
    snprintf(config, sizeof config, "%s\"legacy\":false}", backend);
    expect_refused(small_model(true), config, CE_ERR_UNSUPPORTED, "\"legacy\"");
    snprintf(config, sizeof config, "%s\"add_bos_token\":1}", backend);
    expect_refused(small_model(true), config, CE_ERR_FORMAT, "add_bos_token");
    snprintf(config, sizeof config, "%s\"added_tokens_decoder\":{\"1\":{\"content\":\"<q>\"}}}", backend);
    expect_refused(small_model(true), config, CE_ERR_UNSUPPORTED, "\"<q>\" has the id 1");
}

/* Each beginning of a good file, alone in its block so that a read past its end shows: pieces may end anywhere between
 * two fields, so some are models too, but none without its first piece. */
static void test_cut_models(void **state) {
    (void)state;
    for (int bpe = 0; bpe < 2; bpe++) {
        cei_bytes model = small_model(bpe);
        size_t good = 0;
        for (size_t size = 0; size <= model.size; size++) {
            char *part = malloc(size ? size : 1); /* no byte more, so that a sanitizer sees it read */
            cei_tokenizer *tokenizer = NULL;
            ce_error error = {CE_OK, ""};
            memcpy(part, model.data, size);
            if (parse(part, size, NULL, &tokenizer, &error) == CE_OK)
                good++;
            else
                assert_non_null(strstr(error.message, "spm.model"));
            cei_tokenizer_free(tokenizer);
            free(part);
        }
        assert_int_equal(good, 11); /* eight pieces and three specifications */
        cei_free(model.data);
    }
}

static void expect_ids(const cei_tokenizer *tokenizer, const char *text, size_t count, const int32_t *want) {
    cei_token_buffer buffer = {0};
    ce_error error;
    expect_ok(cei_tokenizer_encode(tokenizer, ce_text_of(text), CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(buffer.ids[i], want[i]);
    cei_token_buffer_free(&buffer);
}

static void test_small_model_by_hand(void **state) {
    (void)state;
    for (int bpe = 0; bpe < 2; bpe++) {
        cei_bytes model = small_model(bpe);
        cei_tokenizer *tokenizer = NULL;
        ce_error error;
        expect_ok(parse(model.data, model.size, NULL, &tokenizer, &error), &error);
        expect_ids(tokenizer, " ab  ba", 5, (const int32_t[]){4, 3, 4, 6, 5});
        /* Unigram takes unknown neighbours together, of which one has a byte that is no piece. */
        if (bpe)
            expect_ids(tokenizer, "A\xC3\x84<s>", 4, (const int32_t[]){4, 7, 0, 1});
        else
            expect_ids(tokenizer, "A\xC3\x84<s>", 3, (const int32_t[]){4, 0, 1});
        cei_tokenizer_free(tokenizer);
        cei_free(model.data);
    }
}

/* ---- limits ---- */

/* Pieces that are all beginnings of one: each of them merges in one way, and no file of its size takes longer. */
static void test_long_pieces(void **state) {
    (void)state;
    char text[300];
    cei_bytes model = {0};
    cei_tokenizer *tokenizer = NULL;
    ce_error error;
    memset(text, 'a', sizeof text);
    put_plain(&model, "<unk>", 0, CEI_PIECE_UNKNOWN);
    put_setting(&model, TRAINER, 3, 2);
    for (size_t size = 1; size <= 256; size++) put_piece(&model, text, size, -(float)size, CEI_PIECE_NORMAL);
    expect_ok(parse(model.data, model.size, NULL, &tokenizer, &error), &error);
    cei_tokenizer_free(tokenizer);
    put_piece(&model, text, 257, -1, CEI_PIECE_NORMAL);
    expect_refused(model, NULL, CE_ERR_UNSUPPORTED, "piece 257 has 257 bytes");
}

/* A megabyte of one word, and of blanks, whose runs are looked at once each. */
static void test_long_texts(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    cei_bytes model = small_model(true);
    cei_tokenizer *tokenizer = NULL;
    cei_token_buffer buffer = {0};
    ce_error error;
    char *text = malloc(SIZE);
    expect_ok(parse(model.data, model.size, NULL, &tokenizer, &error), &error);
    const double start = cei_now_ms();
    for (int blanks = 0; blanks < 2; blanks++) {
        memset(text, blanks ? ' ' : 'a', SIZE);
        text[SIZE - 1] = 'b';
        expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text, SIZE}, CE_UTF8_STRICT, &buffer, &error), &error);
        assert_int_equal(buffer.count, blanks ? 2 : SIZE);
    }
    assert_true(cei_now_ms() - start < 20000);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
    cei_free(model.data);
    free(text);
}

static ce_status load_and_encode(void *folder, ce_error *error) {
    cei_tokenizer *tokenizer = NULL;
    cei_token_buffer buffer = {0};
    ce_status status = cei_tokenizer_load(folder, &tokenizer, error);
    if (status == CE_OK)
        status = cei_tokenizer_encode(tokenizer, ce_text_of("ab <s> a\xC3\x84"), CE_UTF8_STRICT, &buffer, error);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
    return status;
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    static const char *const configs[] = {"{}",
                                          "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}",
                                          "{\"tokenizer_class\":\"CamembertTokenizer\"}",
                                          "{\"tokenizer_class\":\"DebertaV2Tokenizer\"}",
                                          "{\"tokenizer_class\":\"AlbertTokenizer\"}",
                                          "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":2}",
                                          "{}",
                                          "{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":true}",
                                          "{\"tokenizer_class\":\"GemmaTokenizer\"}"};
    enum { CONFIGS = sizeof configs / sizeof *configs, FIRST_BPE = 6 };
    failing_malloc_or_skip();
    for (size_t i = 0; i < CONFIGS; i++) {
        char *folder = test_make_folder();
        cei_bytes model = small_model(i >= FIRST_BPE);
        test_write_file(folder, "spm.model", model.data, model.size);
        write_text(folder, "tokenizer_config.json", configs[i]);
        test_each_allocation(load_and_encode, folder);
        cei_free(model.data);
        test_remove_folder(folder);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_models),
        cmocka_unit_test(test_deberta),
        cmocka_unit_test(test_xlm_roberta),
        cmocka_unit_test(test_bpe_model),
        cmocka_unit_test(test_bpe_model_as_llama),
        cmocka_unit_test(test_deberta_model_as_t5),
        cmocka_unit_test(test_broken_models),
        cmocka_unit_test(test_refused_settings),
        cmocka_unit_test(test_cut_models),
        cmocka_unit_test(test_small_model_by_hand),
        cmocka_unit_test(test_long_pieces),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_each_allocation_fails),
    };
    return cmocka_run_group_tests_name("sentencepiece", tests, NULL, NULL);
}
