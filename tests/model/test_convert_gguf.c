/* test_convert_gguf.c - models written as GGUF files: that they are read with the bits of what they were made of, in
 * which types, with what besides; what is refused, by name; and that nothing half made stays. */
#include "formats/gguf.h"

#include "support/failing_malloc.h"
#include "support/same_models.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *at(const char *name) { return test_path(test_folder, name); }

static const char *golden(const char *kind, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "golden/%s/%s", kind, name);
    return test_data(path);
}

static size_t files_in_place(void) {
    size_t count = 0;
    DIR *folder = opendir(test_folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}

static ce_convert_report convert(const char *from, const char *to, ce_gguf_type type, ce_kind kind) {
    const ce_convert_options options = {
        .size = sizeof options, .gguf_type = type, .kind = kind, .overwrite = true, .threads = 1};
    ce_convert_report report = {.size = sizeof report};
    ce_error error = {0};
    expect_ok(ce_convert(from, to, &options, &report, &error), &error);
    assert_int_equal(report.stage, CE_CONVERT_DONE);
    return report;
}

/* ---- the same bits ------------------------------------------------------------------------------------------------
 */

static ce_model_info describe(const char *path, ce_model **model) {
    ce_model_info info = {.size = sizeof info};
    ce_error error = {0};
    *model = test_load(path, 0);
    expect_ok(ce_model_describe(*model, &info, &error), &error);
    return info;
}

static void same_settings(const char *one, const char *other) {
    ce_model *a, *b;
    const ce_model_info x = describe(one, &a), y = describe(other, &b);
    assert_int_equal(x.activation, y.activation);
    assert_int_equal(x.max_length, y.max_length);
    assert_int_equal(x.max_positions, y.max_positions);
    assert_int_equal(x.vocab_size, y.vocab_size);
    assert_string_equal(y.weight_format, "GGUF");
    ce_model_free(a);
    ce_model_free(b);
}

static void a_file_has_the_bits_of_its_folder(void **state) {
    (void)state;
    static const char *const names[] = {"three-labels", "xlm-roberta-unigram", "roberta-byte-level",
                                        "modernbert",   "jina-bert",           "int8",
                                        "cased-tanh",   "long-1024",           "sharded-old-names"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *folder = golden("models", names[i]);
        const ce_convert_report report = convert(folder, at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
        assert_int_equal(report.gguf_type, CE_GGUF_F32);
        assert_int_equal(report.tensors_rounded, 0);
        assert_int_equal(files_in_place(), 1);
        test_same_models(folder, at("new.gguf"), names[i]);
        same_settings(folder, at("new.gguf"));
    }
}

/* A file of a file, through a folder or not, is the same to the byte. */
static void a_file_becomes_the_same_file(void **state) {
    (void)state;
    size_t sizes[3];
    convert(golden("gguf", "quantized.gguf"), at("one.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
    convert(at("one.gguf"), at("two.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
    convert(at("one.gguf"), at("folder"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
    convert(at("folder"), at("three.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
    char *one = test_read_file(at("one.gguf"), &sizes[0]), *two = test_read_file(at("two.gguf"), &sizes[1]);
    char *three = test_read_file(at("three.gguf"), &sizes[2]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_int_equal(sizes[0], sizes[2]);
    assert_memory_equal(one, two, sizes[0]);
    assert_memory_equal(one, three, sizes[0]);
    free(one);
    free(two);
    free(three);
    test_same_models(golden("gguf", "quantized.gguf"), at("one.gguf"), "three-labels");
}

/* ---- types ----------------------------------------------------------------------------------------------------------
 */

static void score(const char *path, float *logits, size_t labels) {
    const ce_score_options options = {.size = sizeof options, .activation = CE_ACTIVATION_IDENTITY};
    const ce_pair pair = {ce_text_of("the sea of the king"), ce_text_of("how the king came to the sea, and why")};
    ce_error error = {0};
    ce_model *model;
    assert_int_equal(describe(path, &model).num_labels, labels);
    expect_ok(ce_predict(model, &pair, 1, &options, logits, &error), &error);
    ce_model_free(model);
}

static const char *dtype_of(const char *path, const char *name) {
    static char dtype[16];
    cei_gguf file;
    ce_error error = {0};
    expect_ok(cei_gguf_open(path, &file, &error), &error);
    const cei_tensor *tensor = cei_gguf_tensor(&file, name);
    snprintf(dtype, sizeof dtype, "%s", tensor ? tensor->dtype : "none");
    cei_gguf_close(&file);
    return dtype;
}

/* Rows are 32 and 64 long: whole blocks. */
static void matrices_have_the_type_that_is_asked_for(void **state) {
    (void)state;
    enum { LABELS = 3 };
    static const double bounds[] = {0, 0, 0.01, 0.1, 0.1};
    float want[LABELS], got[LABELS];
    score(golden("gguf", "quantized.gguf"), want, LABELS);
    for (int type = CE_GGUF_F32; type <= CE_GGUF_Q8_0; type++) {
        const char *name = ce_gguf_type_name((ce_gguf_type)type);
        const ce_convert_report report =
            convert(golden("gguf", "quantized.gguf"), at("new.gguf"), (ce_gguf_type)type, CE_KIND_DEFAULT);
        assert_int_equal(report.gguf_type, type);
        assert_true((report.tensors_rounded > 0) == (type != CE_GGUF_F32));
        assert_string_equal(dtype_of(at("new.gguf"), "blk.1.ffn_down.weight"), name);
        assert_string_equal(dtype_of(at("new.gguf"), "token_embd.weight"), name);
        assert_string_equal(dtype_of(at("new.gguf"), "position_embd.weight"), "F32");
        assert_string_equal(dtype_of(at("new.gguf"), "token_types.weight"), "F32");
        assert_string_equal(dtype_of(at("new.gguf"), "cls.output.weight"), "F32");
        assert_string_equal(dtype_of(at("new.gguf"), "blk.0.attn_q.bias"), "F32");
        score(at("new.gguf"), got, LABELS);
        for (size_t i = 0; i < LABELS; i++)
            assert_true(fabs((double)got[i] - want[i]) <= bounds[type] * (1 + fabs((double)want[i])));
    }
}

static void a_precision_stands_for_a_type(void **state) {
    (void)state;
    ce_convert_options options = {.size = sizeof options, .precision = CE_PRECISION_INT8, .threads = 1};
    ce_convert_report report = {.size = sizeof report};
    ce_error error = {0};
    expect_ok(ce_convert(golden("gguf", "quantized.gguf"), at("new.gguf"), &options, &report, &error), &error);
    assert_int_equal(report.gguf_type, CE_GGUF_Q8_0);
    assert_int_equal(report.precision, CE_PRECISION_INT8);
    assert_string_equal(dtype_of(at("new.gguf"), "blk.0.attn_q.weight"), "Q8_0");
}

static void rows_that_are_no_whole_blocks_are_halves(void **state) {
    (void)state;
    convert(golden("models", "three-labels"), at("new.gguf"), CE_GGUF_Q8_0, CE_KIND_DEFAULT);
    assert_string_equal(dtype_of(at("new.gguf"), "blk.0.attn_q.weight"), "F16");
}

/* ---- bi-encoders --------------------------------------------------------------------------------------------------
 */

static ce_encoder_info describe_encoder(const char *path, ce_encoder **encoder) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1};
    ce_encoder_info info = {.size = sizeof info};
    ce_error error = {0};
    expect_ok(ce_encoder_load(path, &options, encoder, &error), &error);
    expect_ok(ce_encoder_describe(*encoder, &info, &error), &error);
    return info;
}

static void same_prompts(const ce_encoder *a, const ce_encoder *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *names[2], *texts[2];
        assert_true(ce_encoder_prompt_at(a, i, &names[0], &texts[0]) &&
                    ce_encoder_prompt_at(b, i, &names[1], &texts[1]));
        assert_string_equal(names[0], names[1]);
        assert_string_equal(texts[0], texts[1]);
    }
}

static void same_bi_encoders(const char *one, const char *other) {
    ce_encoder *a, *b;
    const ce_encoder_info x = describe_encoder(one, &a), y = describe_encoder(other, &b);
    assert_string_equal(x.pooling, y.pooling);
    assert_int_equal(x.similarity, y.similarity);
    assert_int_equal(x.max_length, y.max_length);
    assert_int_equal(x.prompts, y.prompts);
    assert_string_equal(x.default_prompt ? x.default_prompt : "", y.default_prompt ? y.default_prompt : "");
    same_prompts(a, b, x.prompts);
    ce_encoder_free(a);
    ce_encoder_free(b);
    test_same_encoders(one, other);
}

/* The first has prompts, a similarity, a length of its own and Normalize. */
static void bi_encoders_keep_their_modules(void **state) {
    (void)state;
    static const char *const names[] = {"mean", "modernbert"};
    for (size_t i = 0; i < 2; i++) {
        const char *folder = golden("encoders", names[i]);
        const ce_convert_report report = convert(folder, at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
        assert_int_equal(report.kind, CE_KIND_BI_ENCODER);
        same_bi_encoders(folder, at("new.gguf"));
        convert(at("new.gguf"), at("back"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
        same_bi_encoders(folder, at("back"));
    }
}

/* As transformers names its tensors, and as its authors do, who have queries, keys and values in one. */
static void nomic_bert_is_written_in_both_forms(void **state) {
    (void)state;
    static const char *const names[] = {"nomic-bert", "nomic-authors"};
    static const char *const queries[] = {"blk.1.attn_q.weight", "blk.1.attn_qkv.weight"};
    for (size_t i = 0; i < 2; i++) {
        convert(golden("models", names[i]), at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_BI_ENCODER);
        same_bi_encoders(golden("models", names[i]), at("new.gguf"));
        assert_string_equal(dtype_of(at("new.gguf"), queries[i]), "F32");
        assert_string_equal(dtype_of(at("new.gguf"), "blk.1.ffn_gate.weight"), "F32");
    }
    convert(at("new.gguf"), at("back"), CE_GGUF_DEFAULT, CE_KIND_BI_ENCODER);
    same_bi_encoders(golden("models", "nomic-authors"), at("back"));
}

/* ---- what llama.cpp asks for --------------------------------------------------------------------------------------
 */

/* The number of a key in the file that was written; -1 if it is absent. */
static double number_of(const char *key) {
    cei_gguf file;
    ce_error error = {0};
    double number = -1;
    expect_ok(cei_gguf_open(at("new.gguf"), &file, &error), &error);
    const cei_gguf_value *value = cei_gguf_find(&file, key);
    if (value) number = cei_gguf_number_at(value, 0);
    cei_gguf_close(&file);
    return number;
}

/* Neither config says a base, and to llama.cpp each would be 10000. */
static void bases_of_rotary_positions_are_written_where_a_config_has_none(void **state) {
    (void)state;
    convert(golden("encoders", "modernbert"), at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
    assert_true(number_of("modern-bert.rope.freq_base") == 160000);
    assert_true(number_of("modern-bert.rope.freq_base_swa") == 10000);
    convert(golden("models", "nomic-bert"), at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_BI_ENCODER);
    assert_true(number_of("nomic-bert.rope.freq_base") == 1000);
    convert(golden("models", "jina-bert"), at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
    assert_true(number_of("jina-bert-v2.rope.freq_base") == -1);
}

/* llama.cpp loads no file of BERT's kin without a count. */
static void a_model_without_token_types_has_one(void **state) {
    (void)state;
    convert(golden("gguf", "distilbert.gguf"), at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
    assert_true(number_of("tokenizer.ggml.token_type_count") == 1);
    convert(golden("models", "modernbert"), at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
    assert_true(number_of("tokenizer.ggml.token_type_count") == -1);
}

static size_t pair_tokens(const char *path) {
    const ce_pair pair = {ce_text_of("the sea"), ce_text_of("of the king")};
    size_t count = 0;
    ce_error error = {0};
    ce_model *model = test_load(path, 0);
    expect_ok(ce_tokenize(model, pair, NULL, NULL, NULL, 0, &count, NULL, &error), &error);
    ce_model_free(model);
    return count;
}

/* The file at new.gguf with another value of this flag, as one.gguf. */
static void flip(const char *key) {
    size_t size;
    cei_gguf file;
    ce_error error = {0};
    char *data = test_read_file(at("new.gguf"), &size);
    expect_ok(cei_gguf_parse((const uint8_t *)data, size, "new.gguf", &file, &error), &error);
    data[cei_gguf_find(&file, key)->data - (const uint8_t *)data] ^= 1;
    cei_gguf_close(&file);
    test_write_file(test_folder, "one.gguf", data, size);
    free(data);
}

/* By it llama.cpp joins what it re-ranks; its own guess is one by the kind of tokenizer, and wrong of both kinds. */
static void separators_of_pairs_are_told(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int more; /* tokens of the file whose flag is the other */
    } cases[] = {{"three-labels", 1}, {"modernbert", 1}, {"xlm-roberta-unigram", -1}, {"roberta-byte-level", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        convert(golden("models", cases[i].name), at("new.gguf"), CE_GGUF_DEFAULT, CE_KIND_DEFAULT);
        assert_true(number_of("tokenizer.ggml.add_sep_token") == (cases[i].more < 0));
        flip("tokenizer.ggml.add_sep_token");
        assert_int_equal((int)pair_tokens(at("one.gguf")), (int)pair_tokens(at("new.gguf")) + cases[i].more);
    }
}

/* ---- what is refused ----------------------------------------------------------------------------------------------
 */

static void expect_refused(const char *from, const ce_convert_options *options, ce_status status, const char *part) {
    ce_error error = {0};
    const size_t before = files_in_place();
    expect_status(ce_convert(from, at("new.gguf"), options, NULL, &error), status, &error, part);
    assert_int_equal(files_in_place(), before);
}

static void what_a_file_cannot_say_is_named(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"models", "distilbert", "it differs in the function of its feed-forward"},
        {"models", "modernbert-scaled", "it differs in its rotary positions"},
        {"models", "modernbert-mean-biases", "it differs in which layers have a window"},
        {"models", "nomic-bert", "nomic_bert.pooler.dense.weight has no name in GGUF files of nomic-bert"},
        {"models", "nomic-authors", "the tensor bert.pooler.dense.weight has no name in GGUF files of nomic-bert"},
        {"models", "jina-bert-reglu", "it differs in the function of its feed-forward"},
        {"models", "albert", "this is: AlbertModel"},
        {"models", "bert-modules", "no module like 2_Dense"},
        {"encoders", "all-poolings", "it differs in"},
        {"encoders", "cls-dense", "no module like 2_Dense"},
    };
    const ce_convert_options options = {.size = sizeof options, .threads = 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(golden(cases[i][0], cases[i][1]), &options, CE_ERR_UNSUPPORTED, cases[i][2]);
}

static void options_that_contradict_are_refused(void **state) {
    (void)state;
    const char *from = golden("models", "three-labels");
    ce_error error = {0};
    ce_convert_options options = {
        .size = sizeof options, .precision = CE_PRECISION_INT8, .gguf_type = CE_GGUF_F16, .threads = 1};
    expect_refused(from, &options, CE_ERR_ARGUMENT, "a GGUF type (F16) and a precision (int8)");
    options.precision = CE_PRECISION_DEFAULT;
    expect_status(ce_convert(from, at("folder"), &options, NULL, &error), CE_ERR_ARGUMENT, &error,
                  "does not end with \".gguf\", and the type F16");
    options.gguf_type = (ce_gguf_type)9;
    expect_refused(from, &options, CE_ERR_ARGUMENT, "gguf_type is 9");
    assert_null(ce_gguf_type_name((ce_gguf_type)9));
    assert_string_equal(ce_gguf_type_name(CE_GGUF_DEFAULT), "default");
}

static void only_gguf_files_are_replaced(void **state) {
    (void)state;
    const char *from = golden("models", "three-labels");
    ce_convert_options options = {.size = sizeof options, .threads = 1};
    convert(from, at("new.gguf"), CE_GGUF_F32, CE_KIND_DEFAULT);
    expect_refused(from, &options, CE_ERR_IO, "is there already: choose another name, or have it replaced");
    options.overwrite = true;
    options.gguf_type = CE_GGUF_F16;
    ce_error error = {0};
    expect_ok(ce_convert(from, at("new.gguf"), &options, NULL, &error), &error);
    assert_string_equal(dtype_of(at("new.gguf"), "blk.0.attn_q.weight"), "F16");
    test_write_file(test_folder, "new.gguf", "notes", 5);
    expect_refused(from, &options, CE_ERR_IO, "a file of another kind");
    assert_int_equal(unlink(at("new.gguf")), 0);
    test_make_inner(test_folder, "new.gguf");
    expect_refused(from, &options, CE_ERR_IO, "is a folder");
}

static void the_model_itself_is_not_replaced(void **state) {
    (void)state;
    const ce_convert_options options = {.size = sizeof options, .overwrite = true, .threads = 1};
    convert(golden("models", "three-labels"), at("new.gguf"), CE_GGUF_F32, CE_KIND_DEFAULT);
    expect_refused(at("new.gguf"), &options, CE_ERR_ARGUMENT, "is the model that is read");
}

static bool stop(void *user, uint64_t done, uint64_t total) {
    (void)user;
    return done < total / 2;
}

static void a_cancelled_call_leaves_nothing(void **state) {
    (void)state;
    const ce_convert_options options = {.size = sizeof options, .threads = 1, .progress = stop};
    expect_refused(golden("models", "three-labels"), &options, CE_ERR_CANCELLED, "cancelled");
}

/* ---- memory -------------------------------------------------------------------------------------------------------
 */

static ce_status convert_once(void *user, ce_error *error) {
    const ce_convert_options options = {.size = sizeof options, .overwrite = true, .threads = 1};
    return ce_convert(user, at("new.gguf"), &options, NULL, error);
}

static void allocations_may_fail(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char path[512];
    snprintf(path, sizeof path, "%s", golden("models", "xlm-roberta-unigram"));
    assert_true(test_some_allocations(convert_once, path, 150) > 100);
    assert_int_equal(files_in_place(), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        folder_test(a_file_has_the_bits_of_its_folder),
        folder_test(a_file_becomes_the_same_file),
        folder_test(matrices_have_the_type_that_is_asked_for),
        folder_test(a_precision_stands_for_a_type),
        folder_test(rows_that_are_no_whole_blocks_are_halves),
        folder_test(bi_encoders_keep_their_modules),
        folder_test(nomic_bert_is_written_in_both_forms),
        folder_test(bases_of_rotary_positions_are_written_where_a_config_has_none),
        folder_test(a_model_without_token_types_has_one),
        folder_test(separators_of_pairs_are_told),
        folder_test(what_a_file_cannot_say_is_named),
        folder_test(options_that_contradict_are_refused),
        folder_test(only_gguf_files_are_replaced),
        folder_test(the_model_itself_is_not_replaced),
        folder_test(a_cancelled_call_leaves_nothing),
        folder_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("convert_gguf", tests, NULL, NULL);
}
