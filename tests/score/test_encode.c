/* test_encode.c - what ce_encode promises, on a tiny bi-encoder: bits that don't depend on company or threads, options,
 * reports, callbacks, errors. Texts and prompts are test_encode_texts.c's, the reference's numbers tests/golden's. */
#include "score/encoding.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { TEXTS = 200, TEXT = 600, DIMENSION = ENCODING_DIMENSION, POSITIONS = 64 };

static char texts[TEXTS][TEXT];
static ce_text all[TEXTS];

/* ---- helpers --------------------------------------------------------------------------------------------------- */

/* Texts of 0 to about 70 words; some are longer than the model's 64 positions. */
static void make_text(char *text, unsigned seed) {
    unsigned words = seed % 7 == 0 ? 0 : seed % 71;
    size_t length = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < words && length + 16 < TEXT; i++)
        length += (size_t)snprintf(text + length, TEXT - length, "%sword%u", i ? " " : "", (seed * 31 + i * i) % 99);
}

static int set_up(void **state) {
    for (unsigned i = 0; i < TEXTS; i++) {
        make_text(texts[i], i * 2654435761u >> 7);
        all[i] = ce_text_of(texts[i]);
    }
    return encoding_set_up(state);
}

/* ---- bits ------------------------------------------------------------------------------------------------------ */

static void test_bits_do_not_depend_on_the_batch(void **state) {
    (void)state;
    static float together[TEXTS][DIMENSION], turned[TEXTS][DIMENSION];
    static ce_text reversed[TEXTS];
    ce_encoder *encoder = encoding_load(1, 0, 0);
    encoding_plain(encoder, all, TEXTS, together[0]);
    for (size_t i = 0; i < TEXTS; i++) {
        float alone[DIMENSION];
        encoding_plain(encoder, &all[i], 1, alone);
        assert_memory_equal(alone, together[i], sizeof alone);
        reversed[i] = all[TEXTS - 1 - i];
    }
    encoding_plain(encoder, reversed, TEXTS, turned[0]);
    for (size_t i = 0; i < TEXTS; i++) assert_memory_equal(turned[TEXTS - 1 - i], together[i], sizeof together[i]);
    ce_encoder_free(encoder);
}

static void test_bits_do_not_depend_on_threads_or_budget(void **state) {
    (void)state;
    static const struct {
        unsigned threads;
        size_t budget;
    } settings[] = {{2, 0}, {3, 1}, {5, 100}, {2, 100000}};
    static float wanted[TEXTS][DIMENSION], found[TEXTS][DIMENSION];
    ce_encoder *first = encoding_load(1, 0, 0);
    encoding_plain(first, all, TEXTS, wanted[0]);
    ce_encoder_free(first);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        ce_encoder *encoder = encoding_load(settings[i].threads, settings[i].budget, 0);
        encoding_plain(encoder, all, TEXTS, found[0]);
        assert_memory_equal(found, wanted, sizeof wanted);
        ce_encoder_free(encoder);
    }
}

typedef struct caller {
    ce_encoder *encoder;
    const float (*wanted)[DIMENSION];
    bool with_tokens, equal;
} caller;

static bool take_any(void *user, const ce_encoded *encoded) {
    (void)user;
    return encoded->token_embeddings != NULL;
}

static void *call_repeatedly(void *argument) {
    enum { COUNT = 48 };
    caller *me = argument;
    float found[COUNT][DIMENSION];
    const ce_encode_options options = {.size = sizeof options, .each = me->with_tokens ? take_any : NULL};
    me->equal = true;
    for (size_t round = 0; round < 12; round++) {
        const size_t first = round * 11 % (TEXTS - COUNT);
        if (ce_encode(me->encoder, all + first, COUNT, &options, found[0], NULL) != CE_OK ||
            memcmp(found, me->wanted + first, sizeof found) != 0)
            me->equal = false;
    }
    return NULL;
}

static void test_many_threads_on_one_encoder(void **state) {
    (void)state;
    enum { CALLERS = 6 };
    static float wanted[TEXTS][DIMENSION];
    ce_encoder *encoder = encoding_load(2, 0, 0);
    encoding_plain(encoder, all, TEXTS, wanted[0]);
    caller callers[CALLERS];
    pthread_t threads[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (caller){encoder, (const float(*)[DIMENSION])wanted, i % 2 == 1, false};
        assert_int_equal(pthread_create(&threads[i], NULL, call_repeatedly, &callers[i]), 0);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(callers[i].equal);
    }
    ce_encoder_free(encoder);
}

/* ---- dimensions and lengths ------------------------------------------------------------------------------------ */

static void test_the_first_values_are_kept(void **state) {
    (void)state;
    static const size_t asked[] = {1, 2, DIMENSION - 1, DIMENSION, DIMENSION + 1, SIZE_MAX};
    float whole[4][DIMENSION], some[4 * DIMENSION + 1];
    ce_encoder *encoder = encoding_load(1, 0, 0);
    encoding_plain(encoder, all + 1, 4, whole[0]);
    for (size_t k = 0; k < sizeof asked / sizeof asked[0]; k++) {
        const ce_encode_options options = {.size = sizeof options, .truncate_dim = asked[k]};
        const size_t kept = asked[k] < DIMENSION ? asked[k] : DIMENSION;
        some[4 * kept] = 77;
        encoding_run(encoder, all + 1, 4, &options, some);
        for (size_t i = 0; i < 4; i++) assert_memory_equal(some + i * kept, whole[i], kept * sizeof *some);
        assert_true(some[4 * kept] == 77);
    }
    ce_encoder_free(encoder);
}

static void test_what_is_kept_is_normalized(void **state) {
    (void)state;
    float plain[DIMENSION], scaled[DIMENSION];
    ce_encoder *encoder = encoding_load(1, 0, 0);
    ce_encode_options options = {.size = sizeof options, .truncate_dim = 3};
    encoding_run(encoder, all + 1, 1, &options, plain);
    options.normalize = true;
    encoding_run(encoder, all + 1, 1, &options, scaled);
    assert_float_equal(encoding_length(scaled, 3), 1, 1e-6);
    assert_true(encoding_length(plain, 3) < 0.999);
    for (size_t i = 0; i < 3; i++) assert_float_equal(scaled[i], plain[i] / (float)encoding_length(plain, 3), 1e-6);
    options.truncate_dim = 1; /* a single value becomes its sign */
    encoding_run(encoder, all + 1, 1, &options, scaled);
    assert_float_equal(fabsf(scaled[0]), 1, 1e-7);
    ce_encoder_free(encoder);
}

static void test_the_folders_own_dimension_is_the_default(void **state) {
    (void)state;
    static const char settings[] = "{\"truncate_dim\": 4}";
    const ce_load_options load = encoding_options(1, 0, 0);
    char *own = test_make_folder();
    const tiny_encoder shape = encoding_shape("\"max\"", 1, DIMENSION);
    tiny_encoder_write(&shape, own);
    test_write_file(own, "config_sentence_transformers.json", settings, sizeof settings - 1);
    ce_encoder *encoder = encoding_load_from(own, &load);
    ce_encoder_info info = {.size = sizeof info};
    float four[2][4], whole[2][DIMENSION];
    expect_ok(ce_encoder_describe(encoder, &info, NULL), NULL);
    assert_int_equal(info.dimension, DIMENSION);
    assert_int_equal(info.truncate_dim, 4);
    encoding_plain(encoder, all, 2, four[0]);
    const ce_encode_options options = {.size = sizeof options, .truncate_dim = SIZE_MAX};
    encoding_run(encoder, all, 2, &options, whole[0]);
    for (size_t i = 0; i < 2; i++) assert_memory_equal(four[i], whole[i], sizeof four[i]);
    ce_encoder_free(encoder);
    test_remove_folder(own);
}

/* ---- reports and callbacks ------------------------------------------------------------------------------------- */

typedef struct visits {
    size_t seen[TEXTS], tokens, columns, calls, stop_at; /* stop_at 0: never */
    const float *embeddings;
} visits;

static bool visit(void *user, const ce_encoded *encoded) {
    visits *to = user;
    if (encoded->index >= TEXTS || !encoded->ids || !encoded->type_ids || !encoded->token_embeddings) return false;
    to->seen[encoded->index]++;
    to->tokens += encoded->tokens;
    if (to->embeddings && memcmp(encoded->embedding, to->embeddings + encoded->index * to->columns,
                                 to->columns * sizeof *to->embeddings) != 0)
        return false;
    return ++to->calls != to->stop_at;
}

static void test_each_gets_every_text_once(void **state) {
    (void)state;
    static float wanted[TEXTS][DIMENSION], found[TEXTS][DIMENSION];
    static visits got;
    ce_encoder *encoder = encoding_load(2, 0, 0);
    ce_encode_report report = {.size = sizeof report};
    ce_encode_options options = {.size = sizeof options, .report = &report};
    encoding_run(encoder, all, TEXTS, &options, wanted[0]);
    const uint64_t tokens = report.tokens;
    got = (visits){.embeddings = wanted[0], .columns = DIMENSION};
    options.each = visit;
    options.each_user = &got;
    encoding_run(encoder, all, TEXTS, &options, found[0]);
    assert_memory_equal(found, wanted, sizeof wanted);
    for (size_t i = 0; i < TEXTS; i++) assert_int_equal(got.seen[i], 1);
    assert_int_equal(got.tokens, tokens);
    assert_int_equal(report.tokens, tokens);
    got = (visits){.embeddings = wanted[0], .columns = DIMENSION};
    encoding_run(encoder, all, TEXTS, &options, NULL); /* nobody else wants them */
    assert_int_equal(got.calls, TEXTS);
    ce_encoder_free(encoder);
}

static void test_each_stops_the_call(void **state) {
    (void)state;
    static float found[TEXTS][DIMENSION];
    static visits got;
    ce_encoder *encoder = encoding_load(2, 128, 0);
    ce_encode_report report = {.size = sizeof report};
    const ce_encode_options options = {.size = sizeof options, .report = &report, .each = visit, .each_user = &got};
    ce_error error;
    got = (visits){.stop_at = 20};
    expect_status(ce_encode(encoder, all, TEXTS, &options, found[0], &error), CE_ERR_CANCELLED, &error, "at text ");
    assert_int_equal(got.calls, 20);
    assert_int_equal(report.texts, 0);
    got = (visits){.calls = 0};
    encoding_run(encoder, all, TEXTS, &options, found[0]); /* the encoder works on */
    assert_int_equal(got.calls, TEXTS);
    ce_encoder_free(encoder);
}

typedef struct steps {
    uint64_t last;
    size_t calls, most; /* most 0: all of them */
} steps;

static bool step(void *user, uint64_t done, uint64_t total) {
    steps *to = user;
    assert_true(done > to->last && total == TEXTS);
    to->last = done;
    return ++to->calls != to->most;
}

static void test_progress_and_cancelling(void **state) {
    (void)state;
    static float found[TEXTS][DIMENSION];
    ce_encoder *encoder = encoding_load(2, 128, 0);
    steps seen = {.calls = 0};
    const ce_encode_options options = {.size = sizeof options, .progress = step, .progress_user = &seen};
    ce_error error;
    encoding_run(encoder, all, TEXTS, &options, found[0]);
    assert_int_equal(seen.last, TEXTS);
    assert_true(seen.calls > 5);
    seen = (steps){.most = 2};
    expect_status(ce_encode(encoder, all, TEXTS, &options, found[0], &error), CE_ERR_CANCELLED, &error, "of 200 texts");
    assert_int_equal(seen.calls, 2);
    ce_encoder_free(encoder);
}

static void test_reports(void **state) {
    (void)state;
    static float found[TEXTS][DIMENSION];
    ce_encoder *encoder = encoding_load(2, 0, 0);
    ce_encode_report report = {.size = sizeof report}, one = {.size = sizeof one};
    const ce_encode_options options = {.size = sizeof options, .report = &report};
    ce_encode_options single = {.size = sizeof single, .report = &one};
    uint64_t tokens = 0, truncated = 0, first = 0;
    encoding_run(encoder, all, TEXTS, &options, found[0]);
    for (size_t i = TEXTS; i-- > 0;) {
        encoding_run(encoder, &all[i], 1, &single, found[0]);
        assert_int_equal(one.texts, 1);
        assert_int_equal(one.first_truncated, 0);
        assert_true(!one.truncated || one.tokens == POSITIONS);
        tokens += one.tokens;
        truncated += one.truncated;
        if (one.truncated) first = i;
    }
    assert_true(truncated > 5 && truncated < TEXTS && first > 0);
    assert_int_equal(report.texts, TEXTS);
    assert_int_equal(report.tokens, tokens);
    assert_int_equal(report.truncated, truncated);
    assert_int_equal(report.first_truncated, first);
    encoding_run(encoder, NULL, 0, &options, NULL);
    assert_true(report.texts == 0 && report.tokens == 0 && report.truncated == 0);
    ce_encoder_free(encoder);
}

/* ---- arguments ------------------------------------------------------------------------------------------------- */

#define expect_argument(call, part) expect_status(call, CE_ERR_ARGUMENT, &error, part)

static void test_wrong_arguments_of_a_call(void **state) {
    (void)state;
    float found[DIMENSION];
    ce_error error;
    ce_encoder *encoder = encoding_load(1, 0, 0);
    ce_encode_report report = {.size = 3};
    ce_encode_options options = {.size = sizeof options};
    expect_argument(ce_encode(NULL, all, 1, NULL, found, &error), "encoder is NULL");
    expect_argument(ce_encode(encoder, NULL, 1, NULL, found, &error), "texts is NULL");
    expect_argument(ce_encode(encoder, all, 1, NULL, NULL, &error), "embeddings is NULL");
    const ce_text without_data = {NULL, 5};
    ce_text_tokens tokens;
    expect_argument(ce_encode(encoder, &without_data, 1, NULL, found, &error), "5 bytes, and its data is NULL");
    expect_argument(ce_encoder_tokenize(encoder, without_data, NULL, NULL, NULL, 0, &tokens, &error), "data is NULL");
    options.prompt = &without_data;
    expect_argument(ce_encode(encoder, all, 1, &options, found, &error), "data is NULL");
    options.prompt = NULL;
    expect_argument(ce_encode(encoder, all, 1, &options, NULL, &error), "embeddings is NULL");
    options.size = 0;
    expect_argument(ce_encode(encoder, all, 1, &options, found, &error), "ce_encode_options");
    options = (ce_encode_options){.size = sizeof options, .report = &report};
    expect_argument(ce_encode(encoder, all, 1, &options, found, &error), "ce_encode_report");
    assert_int_equal(ce_encode(encoder, NULL, 1, NULL, found, NULL), CE_ERR_ARGUMENT);
    expect_ok(ce_encode(encoder, NULL, 0, NULL, NULL, &error), &error);
    expect_ok(ce_encode(encoder, all, 0, NULL, found, &error), &error);
    ce_encoder_free(encoder);
    ce_encoder_free(NULL);
}

static void test_wrong_arguments_of_the_others(void **state) {
    (void)state;
    ce_error error;
    ce_encoder *encoder = encoding_load(1, 0, 0);
    ce_encoder_info info = {.size = 1};
    ce_placement_report report = {.size = sizeof report};
    const char *text;
    expect_argument(ce_encoder_describe(NULL, &info, &error), "encoder is NULL");
    expect_argument(ce_encoder_describe(encoder, NULL, &error), "info is NULL");
    expect_argument(ce_encoder_describe(encoder, &info, &error), "ce_encoder_info");
    expect_argument(ce_encoder_place(NULL, &error), "encoder is NULL");
    expect_argument(ce_encoder_to(NULL, "cpu", &error), "encoder is NULL");
    expect_argument(ce_encoder_to(encoder, NULL, &error), "device is NULL");
    expect_argument(ce_encoder_check(NULL, NULL, &error), "encoder is NULL");
    expect_argument(ce_encoder_placement(NULL, &report, &error), "encoder is NULL");
    expect_argument(ce_encoder_placement(encoder, NULL, &error), "report is NULL");
    assert_false(ce_encoder_prompt_at(NULL, 0, NULL, NULL));
    assert_false(ce_encoder_prompt_at(encoder, 2, NULL, NULL));
    assert_true(ce_encoder_prompt_at(encoder, 1, NULL, &text));
    assert_string_equal(text, "");
    assert_null(ce_encoder_prompt(NULL, "query"));
    assert_null(ce_encoder_prompt(encoder, NULL));
    assert_null(ce_encoder_prompt(encoder, "Query"));
    assert_string_equal(ce_encoder_prompt(encoder, "query"), "word1 word2 ");
    assert_string_equal(ce_similarity_name(CE_SIMILARITY_MANHATTAN), "manhattan");
    assert_null(ce_similarity_name((ce_similarity)5));
    assert_null(ce_similarity_name((ce_similarity)-1));
    ce_encoder_free(encoder);
}

static void test_wrong_arguments_of_load(void **state) {
    (void)state;
    ce_error error;
    ce_encoder *encoder = (ce_encoder *)&error; /* must be set to NULL */
    ce_load_options options = encoding_options(1, 0, 0);
    expect_argument(ce_encoder_load(encoding_folder, &options, NULL, &error), "encoder is NULL");
    expect_argument(ce_encoder_load(NULL, &options, &encoder, &error), "path is NULL");
    assert_null(encoder);
    options.num_labels = 1;
    expect_argument(ce_encoder_load(encoding_folder, &options, &encoder, &error), "num_labels is set");
    options.num_labels = 0;
    options.activation = CE_ACTIVATION_SIGMOID;
    expect_argument(ce_encoder_load(encoding_folder, &options, &encoder, &error), "activation is set");
    options.activation = CE_ACTIVATION_DEFAULT;
    options.size = 1;
    expect_argument(ce_encoder_load(encoding_folder, &options, &encoder, &error), "ce_load_options");
    expect_status(ce_encoder_load("/nonexistent/folder", NULL, &encoder, &error), CE_ERR_NOT_FOUND, &error, "folder");
    assert_null(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_do_not_depend_on_the_batch),
        cmocka_unit_test(test_bits_do_not_depend_on_threads_or_budget),
        cmocka_unit_test(test_many_threads_on_one_encoder),
        cmocka_unit_test(test_the_first_values_are_kept),
        cmocka_unit_test(test_what_is_kept_is_normalized),
        cmocka_unit_test(test_the_folders_own_dimension_is_the_default),
        cmocka_unit_test(test_each_gets_every_text_once),
        cmocka_unit_test(test_each_stops_the_call),
        cmocka_unit_test(test_progress_and_cancelling),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_wrong_arguments_of_a_call),
        cmocka_unit_test(test_wrong_arguments_of_the_others),
        cmocka_unit_test(test_wrong_arguments_of_load),
    };
    return cmocka_run_group_tests(tests, set_up, encoding_tear_down);
}
