/* test_predict.c - what ce_predict and ce_rank promise, on a tiny model: bits that don't depend on company or threads,
 * order, options, reports, errors. Agreement with the reference's numbers is tests/golden's. */
#include "support/support.h"
#include "support/tiny_model.h"

#include <crossenc/crossenc.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 300, TEXT = 400 };

static char *folder;
static ce_precision precision; /* of load; float32 but for tests of bits */
static char texts[2 * PAIRS][TEXT];
static ce_pair pairs[PAIRS];

/* Texts of 0 to about 70 words; some pairs are longer than the model's 64 positions. */
static void make_text(char *text, unsigned seed) {
    unsigned words = seed % 7 == 0 ? 0 : seed % 71;
    size_t length = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < words && length + 16 < TEXT; i++)
        length += (size_t)snprintf(text + length, TEXT - length, "%sword%u", i ? " " : "", (seed * 31 + i * i) % 99);
}

static int set_up(void **state) {
    (void)state;
    tiny_model shape = tiny_model_default();
    folder = tiny_model_folder(&shape);
    for (unsigned i = 0; i < 2 * PAIRS; i++) make_text(texts[i], i * 2654435761u >> 7);
    for (unsigned i = 0; i < PAIRS; i++) pairs[i] = (ce_pair){ce_text_of(texts[2 * i]), ce_text_of(texts[2 * i + 1])};
    return 0;
}

static int set_bfloat16(void **state) {
    (void)state;
    precision = CE_PRECISION_BFLOAT16;
    return 0;
}

static int set_int8(void **state) {
    (void)state;
    precision = CE_PRECISION_INT8;
    return 0;
}

static int set_default(void **state) {
    (void)state;
    precision = CE_PRECISION_DEFAULT;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static ce_model *load(unsigned threads, size_t batch_tokens) {
    ce_load_options options = {.size = sizeof options,
                               .device = "cpu",
                               .threads = threads,
                               .batch_tokens = batch_tokens,
                               .precision = precision};
    ce_model *model = NULL;
    ce_error error;
    expect_ok(ce_model_load(folder, &options, &model, &error), &error);
    return model;
}

static void predict(ce_model *model, const ce_pair *some, size_t count, float *scores) {
    ce_error error;
    expect_ok(ce_predict(model, some, count, NULL, scores, &error), &error);
}

/* ---- bits ----------------------------------------------------------------------------------------------------- */

static void test_bits_do_not_depend_on_the_batch(void **state) {
    (void)state;
    ce_model *model = load(1, 0);
    static float together[PAIRS];
    predict(model, pairs, PAIRS, together);
    for (size_t i = 0; i < PAIRS; i++) {
        float alone;
        predict(model, &pairs[i], 1, &alone);
        assert_memory_equal(&alone, &together[i], sizeof alone);
    }
    static ce_pair reversed[PAIRS];
    static float scores[PAIRS];
    for (size_t i = 0; i < PAIRS; i++) reversed[i] = pairs[PAIRS - 1 - i];
    predict(model, reversed, PAIRS, scores);
    for (size_t i = 0; i < PAIRS; i++) assert_memory_equal(&scores[PAIRS - 1 - i], &together[i], sizeof(float));
    ce_model_free(model);
}

/* A limit of the call gives the bits of a model that was loaded with it, in company too. */
static void test_a_calls_own_limit(void **state) {
    (void)state;
    static const size_t limits[] = {3, 17, 64};
    ce_model *whole = load(2, 0);
    ce_error error;
    for (size_t k = 0; k < 3; k++) {
        const ce_load_options how = {
            .size = sizeof how, .device = "cpu", .threads = 1, .precision = precision, .max_length = limits[k]};
        ce_score_report report = {.size = sizeof report};
        const ce_score_options options = {.size = sizeof options, .max_length = limits[k], .report = &report};
        static float found[PAIRS], wanted[PAIRS];
        ce_model *cut = NULL;
        expect_ok(ce_model_load(folder, &how, &cut, &error), &error);
        predict(cut, pairs, PAIRS, wanted);
        expect_ok(ce_predict(whole, pairs, PAIRS, &options, found, &error), &error);
        assert_memory_equal(found, wanted, sizeof wanted);
        assert_true(report.tokens <= PAIRS * limits[k] && report.truncated > 0);
        ce_model_free(cut);
    }
    for (size_t k = 0; k < 2; k++) {
        const ce_score_options options = {.size = sizeof options, .max_length = k ? 65 : 2};
        float score;
        ce_ranked ranked;
        expect_status(ce_predict(whole, pairs, 1, &options, &score, &error), CE_ERR_ARGUMENT, &error,
                      k ? "is 65, and must be from 3" : "to 64");
        expect_status(ce_rank(whole, pairs[0].query, &pairs[0].document, 1, 0, &options, &ranked, NULL, &error),
                      CE_ERR_ARGUMENT, &error, "ce_score_options.max_length");
    }
    ce_model_free(whole);
}

/* A tokenizer without special tokens makes nothing at all of such pairs: there is no first token to read. */
static void test_bits_of_pairs_without_tokens(void **state) {
    (void)state;
    static const ce_pair some[] = {{{"word0", 5}, {"word1", 5}}, {{NULL, 0}, {NULL, 0}}, {{"word1", 5}, {NULL, 0}}};
    const tiny_model shape = tiny_model_default();
    char *bare = tiny_model_folder(&shape);
    tiny_model_write_tokenizer(bare, false);
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1};
    ce_model *model = NULL;
    ce_error error;
    expect_ok(ce_model_load(bare, &options, &model, &error), &error);
    float together[3], alone;
    predict(model, some, 3, together);
    for (size_t i = 0; i < 3; i++) {
        predict(model, &some[i], 1, &alone);
        assert_memory_equal(&alone, &together[i], sizeof alone);
    }
    ce_model_free(model);
    test_remove_folder(bare);
}

static void test_bits_do_not_depend_on_threads_or_budget(void **state) {
    (void)state;
    static float wanted[PAIRS], scores[PAIRS];
    ce_model *first = load(1, 0);
    predict(first, pairs, PAIRS, wanted);
    ce_model_free(first);
    static const struct {
        unsigned threads;
        size_t budget;
    } settings[] = {{2, 0}, {3, 64}, {5, 100}, {2, 4096}, {1, 64}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        ce_model *model = load(settings[i].threads, settings[i].budget);
        predict(model, pairs, PAIRS, scores);
        assert_memory_equal(scores, wanted, sizeof wanted);
        ce_model_free(model);
    }
}

static void test_scores_differ_between_pairs(void **state) {
    (void)state;
    ce_model *model = load(1, 0);
    float scores[2];
    ce_pair two[] = {{ce_text_of("word1"), ce_text_of("word2 word3")},
                     {ce_text_of("word2 word3"), ce_text_of("word1")}};
    predict(model, two, 2, scores);
    assert_true(scores[0] != scores[1]);
    ce_model_free(model);
}

typedef struct caller {
    ce_model *model;
    const float *wanted;
    bool equal;
} caller;

static void *call_repeatedly(void *argument) {
    caller *me = argument;
    float scores[64];
    me->equal = true;
    for (size_t round = 0; round < 20; round++) {
        size_t first = round * 11 % (PAIRS - 64);
        if (ce_predict(me->model, pairs + first, 64, NULL, scores, NULL) != CE_OK ||
            memcmp(scores, me->wanted + first, sizeof scores) != 0)
            me->equal = false;
    }
    return NULL;
}

static void test_many_threads_on_one_model(void **state) {
    (void)state;
    ce_model *model = load(2, 0);
    static float wanted[PAIRS];
    predict(model, pairs, PAIRS, wanted);
    caller callers[8];
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) {
        callers[i] = (caller){model, wanted, false};
        assert_int_equal(pthread_create(&threads[i], NULL, call_repeatedly, &callers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_true(callers[i].equal);
    }
    ce_model_free(model);
}

/* ---- options -------------------------------------------------------------------------------------------------- */

static void test_activations(void **state) {
    (void)state;
    ce_model *model = load(1, 0);
    float logits[4], scores[4];
    ce_score_options options = {.size = sizeof options, .activation = CE_ACTIVATION_IDENTITY};
    expect_ok(ce_predict(model, pairs, 4, &options, logits, NULL), NULL);
    options.activation = CE_ACTIVATION_SIGMOID;
    expect_ok(ce_predict(model, pairs, 4, &options, scores, NULL), NULL);
    for (size_t i = 0; i < 4; i++) assert_float_equal(scores[i], 1 / (1 + expf(-logits[i])), 1e-6f);
    options.activation = CE_ACTIVATION_TANH;
    expect_ok(ce_predict(model, pairs, 4, &options, scores, NULL), NULL);
    for (size_t i = 0; i < 4; i++) assert_float_equal(scores[i], tanhf(logits[i]), 1e-6f);
    options.activation = CE_ACTIVATION_RELU;
    expect_ok(ce_predict(model, pairs, 4, &options, scores, NULL), NULL);
    for (size_t i = 0; i < 4; i++) assert_float_equal(scores[i], logits[i] > 0 ? logits[i] : 0, 0);
    options.activation = CE_ACTIVATION_DEFAULT; /* one label and nothing in the config: Sigmoid */
    expect_ok(ce_predict(model, pairs, 4, &options, scores, NULL), NULL);
    for (size_t i = 0; i < 4; i++) assert_float_equal(scores[i], 1 / (1 + expf(-logits[i])), 1e-6f);
    ce_model_free(model);
}

static void test_softmax_over_labels(void **state) {
    (void)state;
    tiny_model shape = tiny_model_default();
    shape.labels = 3;
    char *three = tiny_model_folder(&shape);
    ce_model *model = NULL;
    ce_error error;
    expect_ok(ce_model_load(three, NULL, &model, &error), &error);
    float logits[2][3], scores[2][3];
    expect_ok(ce_predict(model, pairs, 2, NULL, logits[0], &error), &error);
    ce_score_options options = {.size = sizeof options, .apply_softmax = true};
    expect_ok(ce_predict(model, pairs, 2, &options, scores[0], &error), &error);
    for (size_t p = 0; p < 2; p++) {
        double sum = 0;
        for (size_t i = 0; i < 3; i++) sum += exp(logits[p][i]);
        for (size_t i = 0; i < 3; i++) assert_float_equal(scores[p][i], (float)(exp(logits[p][i]) / sum), 1e-6f);
    }
    ce_ranked ranked[1];
    ce_text document = ce_text_of("word1");
    expect_status(ce_rank(model, document, &document, 1, 0, NULL, ranked, NULL, &error), CE_ERR_ARGUMENT, &error,
                  "one label");
    ce_model_free(model);
    test_remove_folder(three);
}

static void test_softmax_on_one_label_changes_nothing(void **state) {
    (void)state;
    ce_model *model = load(1, 0);
    float plain, softened;
    predict(model, pairs, 1, &plain);
    ce_score_options options = {.size = sizeof options, .apply_softmax = true};
    expect_ok(ce_predict(model, pairs, 1, &options, &softened, NULL), NULL);
    assert_memory_equal(&plain, &softened, sizeof plain);
    ce_model_free(model);
}

static void test_reports_and_truncations(void **state) {
    (void)state;
    ce_model *model = load(2, 0);
    ce_score_report report = {.size = sizeof report};
    static ce_truncation cuts[PAIRS];
    ce_score_options options = {.size = sizeof options, .report = &report, .truncations = cuts};
    static float scores[PAIRS];
    expect_ok(ce_predict(model, pairs, PAIRS, &options, scores, NULL), NULL);
    uint64_t truncated = 0, tokens = 0, first = 0;
    for (size_t i = PAIRS; i-- > 0;) {
        size_t kept = cuts[i].query_tokens + cuts[i].document_tokens - cuts[i].query_removed - cuts[i].document_removed;
        tokens += kept + 3;
        if (cuts[i].query_removed + cuts[i].document_removed == 0) continue;
        assert_int_equal(kept + 3, 64);
        truncated++;
        first = i;
    }
    assert_true(truncated > 10 && truncated < PAIRS);
    assert_int_equal(report.pairs, PAIRS);
    assert_int_equal(report.tokens, tokens);
    assert_int_equal(report.truncated, truncated);
    assert_int_equal(report.first_truncated, first);
    ce_model_free(model);
}

static bool stop_after_first(void *user, uint64_t done, uint64_t total) {
    assert_true(done > 0 && done <= total);
    return ++*(int *)user < 2;
}

static void test_progress_can_cancel(void **state) {
    (void)state;
    ce_model *model = load(1, 64);
    int calls = 0;
    static float scores[PAIRS];
    ce_error error;
    ce_score_options options = {.size = sizeof options, .progress = stop_after_first, .progress_user = &calls};
    expect_status(ce_predict(model, pairs, PAIRS, &options, scores, &error), CE_ERR_CANCELLED, &error, "cancelled");
    assert_int_equal(calls, 2);
    predict(model, pairs, PAIRS, scores); /* nothing is left behind */
    ce_model_free(model);
}

/* ---- ranking -------------------------------------------------------------------------------------------------- */

static void test_rank_order_and_ties(void **state) {
    (void)state;
    ce_model *model = load(2, 0);
    enum { DOCUMENTS = 40 };
    ce_text documents[DOCUMENTS];
    /* Every third text is the same: its scores tie. */
    for (size_t i = 0; i < DOCUMENTS; i++) documents[i] = ce_text_of(i % 3 == 0 ? "word5 word6" : texts[i]);
    ce_ranked ranked[DOCUMENTS], top[5];
    size_t count = 0;
    ce_error error;
    expect_ok(ce_rank(model, ce_text_of("word7"), documents, DOCUMENTS, 0, NULL, ranked, &count, &error), &error);
    assert_int_equal(count, DOCUMENTS);
    bool seen[DOCUMENTS] = {false};
    for (size_t i = 0; i < DOCUMENTS; i++) {
        assert_false(seen[ranked[i].index]);
        seen[ranked[i].index] = true;
        assert_ptr_equal(ranked[i].document.data, documents[ranked[i].index].data);
        if (i == 0) continue;
        assert_true(ranked[i - 1].score >= ranked[i].score);
        if (ranked[i - 1].score == ranked[i].score) assert_true(ranked[i - 1].index < ranked[i].index);
    }
    expect_ok(ce_rank(model, ce_text_of("word7"), documents, DOCUMENTS, 5, NULL, top, &count, &error), &error);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(top[i].index, ranked[i].index);
        assert_memory_equal(&top[i].score, &ranked[i].score, sizeof(float));
    }
    expect_ok(ce_rank(model, ce_text_of("word7"), documents, 3, 99, NULL, ranked, &count, &error), &error);
    assert_int_equal(count, 3);
    expect_ok(ce_rank(model, ce_text_of("word7"), NULL, 0, 0, NULL, NULL, &count, &error), &error);
    assert_int_equal(count, 0);
    ce_model_free(model);
}

/* Makes the embedding of one token of the model in folder NaN. */
static void spoil_token(const char *model_folder, int32_t id) {
    tiny_model shape = tiny_model_default();
    char path[1024];
    snprintf(path, sizeof path, "%s/model.safetensors", model_folder);
    size_t size, bytes = shape.hidden * sizeof(float);
    char *file = test_read_file(path, &size);
    float *row = malloc(bytes);
    assert_non_null(row);
    tiny_model_word_row(&shape, (size_t)id, row);
    char *at = NULL;
    for (size_t i = 0; i + bytes <= size && !at; i++)
        if (memcmp(file + i, row, bytes) == 0) at = file + i;
    assert_non_null(at);
    for (size_t i = 0; i < shape.hidden; i++) row[i] = NAN;
    memcpy(at, row, bytes);
    test_write_file(model_folder, "model.safetensors", file, size);
    free(row);
    free(file);
}

static void test_rank_puts_nan_last(void **state) {
    (void)state;
    tiny_model shape = tiny_model_default();
    char *spoiled = tiny_model_folder(&shape);
    ce_model *model = load(1, 0);
    int32_t ids[8];
    size_t count;
    ce_pair pair = {ce_text_of(""), ce_text_of("word9")};
    expect_ok(ce_tokenize(model, pair, NULL, ids, NULL, 8, &count, NULL, NULL), NULL);
    ce_model_free(model);
    spoil_token(spoiled, ids[2]); /* [CLS] [SEP] word9 [SEP] */

    ce_error error;
    expect_ok(ce_model_load(spoiled, NULL, &model, &error), &error);
    ce_text documents[] = {ce_text_of("word9"), ce_text_of("word2"), ce_text_of("word9 word1"), ce_text_of("word3")};
    ce_ranked ranked[4];
    expect_ok(ce_rank(model, ce_text_of("word7"), documents, 4, 0, NULL, ranked, NULL, &error), &error);
    assert_false(isnan(ranked[0].score) || isnan(ranked[1].score));
    assert_true(isnan(ranked[2].score) && isnan(ranked[3].score));
    assert_int_equal(ranked[2].index, 0);
    assert_int_equal(ranked[3].index, 2);
    ce_model_free(model);
    test_remove_folder(spoiled);
}

/* ---- bad calls ------------------------------------------------------------------------------------------------ */

static void test_bad_calls(void **state) {
    (void)state;
    ce_model *model = load(1, 0);
    ce_error error;
    float score;
    expect_status(ce_predict(NULL, pairs, 1, NULL, &score, &error), CE_ERR_ARGUMENT, &error, "model");
    expect_status(ce_predict(model, NULL, 1, NULL, &score, &error), CE_ERR_ARGUMENT, &error, "pairs");
    expect_status(ce_predict(model, pairs, 1, NULL, NULL, &error), CE_ERR_ARGUMENT, &error, "scores");
    const ce_text without_data = {NULL, 5};
    const ce_pair empty[] = {{without_data, pairs[0].document}, {pairs[0].query, without_data}};
    for (int i = 0; i < 2; i++)
        expect_status(ce_predict(model, &empty[i], 1, NULL, &score, &error), CE_ERR_ARGUMENT, &error,
                      "its data is NULL");
    ce_ranked best;
    expect_status(ce_rank(model, without_data, &pairs[0].document, 1, 0, NULL, &best, NULL, &error), CE_ERR_ARGUMENT,
                  &error, "its data is NULL");
    expect_status(ce_rank(model, pairs[0].query, &without_data, 1, 0, NULL, &best, NULL, &error), CE_ERR_ARGUMENT,
                  &error, "its data is NULL");
    size_t tokens;
    expect_status(ce_tokenize(model, empty[1], NULL, NULL, NULL, 0, &tokens, NULL, &error), CE_ERR_ARGUMENT, &error,
                  "its data is NULL");
    expect_ok(ce_predict(model, NULL, 0, NULL, NULL, &error), &error);
    ce_score_options options = {.size = 3};
    expect_status(ce_predict(model, pairs, 1, &options, &score, &error), CE_ERR_ARGUMENT, &error, "size");
    options = (ce_score_options){.size = sizeof options, .activation = (ce_activation)77};
    expect_status(ce_predict(model, pairs, 1, &options, &score, &error), CE_ERR_ARGUMENT, &error, "activation");
    ce_model_free(model);
}

static void test_bad_text_names_the_pair(void **state) {
    (void)state;
    ce_model *model = load(2, 0);
    static ce_pair some[PAIRS];
    static float scores[PAIRS];
    memcpy(some, pairs, sizeof some);
    some[201].document = (ce_text){"word1 \xFF word2", 13};
    some[77].query = (ce_text){"\xC3", 1};
    ce_error error;
    expect_status(ce_predict(model, some, PAIRS, NULL, scores, &error), CE_ERR_TEXT, &error, "pair 77, its query");
    some[77] = pairs[77];
    expect_status(ce_predict(model, some, PAIRS, NULL, scores, &error), CE_ERR_TEXT, &error, "pair 201, its document");
    ce_score_options options = {.size = sizeof options, .utf8 = CE_UTF8_REPLACE};
    expect_ok(ce_predict(model, some, PAIRS, &options, scores, &error), &error);
    ce_model_free(model);
}

static void test_tokenize(void **state) {
    (void)state;
    ce_model *model = load(1, 0);
    int32_t ids[8], types[8];
    size_t count = 0;
    ce_truncation cut;
    ce_pair pair = {ce_text_of("word1 word2"), ce_text_of("word3")};
    ce_error error;
    expect_ok(ce_tokenize(model, pair, NULL, ids, types, 8, &count, &cut, &error), &error);
    assert_int_equal(count, 6);
    assert_int_equal(ids[3], ids[5]); /* [SEP] */
    static const int32_t wanted[] = {0, 0, 0, 0, 1, 1};
    assert_memory_equal(types, wanted, sizeof wanted);
    expect_ok(ce_tokenize(model, pair, NULL, NULL, NULL, 0, &count, NULL, &error), &error);
    assert_int_equal(count, 6);
    ce_model_free(model);
}

#define in_bfloat16(test) \
    { #test " in bfloat16", test, set_bfloat16, set_default, NULL }
#define in_int8(test) \
    { #test " in int8", test, set_int8, set_default, NULL }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_calls_own_limit),
        cmocka_unit_test(test_bits_do_not_depend_on_the_batch),
        cmocka_unit_test(test_bits_of_pairs_without_tokens),
        in_bfloat16(test_bits_do_not_depend_on_the_batch),
        in_int8(test_bits_do_not_depend_on_the_batch),
        cmocka_unit_test(test_bits_do_not_depend_on_threads_or_budget),
        in_bfloat16(test_bits_do_not_depend_on_threads_or_budget),
        in_int8(test_bits_do_not_depend_on_threads_or_budget),
        cmocka_unit_test(test_scores_differ_between_pairs),
        in_bfloat16(test_scores_differ_between_pairs),
        in_int8(test_scores_differ_between_pairs),
        cmocka_unit_test(test_many_threads_on_one_model),
        in_bfloat16(test_many_threads_on_one_model),
        in_int8(test_many_threads_on_one_model),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_softmax_over_labels),
        cmocka_unit_test(test_softmax_on_one_label_changes_nothing),
        cmocka_unit_test(test_reports_and_truncations),
        cmocka_unit_test(test_progress_can_cancel),
        cmocka_unit_test(test_rank_order_and_ties),
        cmocka_unit_test(test_rank_puts_nan_last),
        cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_bad_text_names_the_pair),
        cmocka_unit_test(test_tokenize),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
