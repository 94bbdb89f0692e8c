/* test_real.c - trained models over real texts against the reference's logits in tests/data/golden/real-*.tsv.
 *
 * The default model's texts are in the repository. The 12-layer model's and its texts are in CE_SHARED; where that is
 * absent the tests are skipped. CE_GOLDEN_STRIDE=N scores every N-th pair only, for slow builds. */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PAIRS = 2500, MAX_TOKENS = 512 };

typedef struct golden_pairs {
    size_t count;
    char *texts[2 * MAX_PAIRS];
    ce_pair pairs[MAX_PAIRS];
    size_t tokens[MAX_PAIRS], before[MAX_PAIRS]; /* after and before truncation, special tokens included */
    double logits[MAX_PAIRS];
} golden_pairs;

static size_t stride(void) {
    const char *text = getenv("CE_GOLDEN_STRIDE");
    size_t value = text ? strtoul(text, NULL, 10) : 0;
    return value ? value : 1;
}

/* One line, split at its tabs in place; false for a comment. */
static bool split(char *line, char *fields[5]) {
    if (*line == '#') return false;
    for (size_t i = 0; i < 5; i++) {
        fields[i] = line;
        char *tab = strchr(line, '\t');
        if (i < 4) assert_non_null(tab);
        if (tab) *tab = '\0';
        line = tab ? tab + 1 : line;
    }
    return true;
}

static golden_pairs *read_pairs(const char *path, const json_t *texts) {
    golden_pairs *all = calloc(1, sizeof *all);
    assert_non_null(all);
    char *data = test_read_file(path, NULL), *fields[5], *save = NULL;
    size_t number = 0;
    for (char *line = strtok_r(data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (!split(line, fields) || number++ % stride() != 0) continue;
        size_t i = all->count++;
        assert_true(i < MAX_PAIRS);
        for (size_t side = 0; side < 2; side++) all->texts[2 * i + side] = golden_texts_find(texts, fields[side]);
        all->pairs[i] = (ce_pair){ce_text_of(all->texts[2 * i]), ce_text_of(all->texts[2 * i + 1])};
        all->tokens[i] = strtoul(fields[2], NULL, 10);
        all->before[i] = strtoul(fields[3], NULL, 10);
        all->logits[i] = strtod(fields[4], NULL);
    }
    free(data);
    assert_true(all->count > 0);
    return all;
}

static void free_pairs(golden_pairs *all) {
    for (size_t i = 0; i < 2 * all->count; i++) free(all->texts[i]);
    free(all);
}

static void check_tokens(const ce_model *model, const golden_pairs *all) {
    int32_t ids[MAX_TOKENS];
    for (size_t i = 0; i < all->count; i++) {
        size_t count = 0;
        ce_truncation cut;
        ce_error error;
        expect_ok(ce_tokenize(model, all->pairs[i], NULL, ids, NULL, MAX_TOKENS, &count, &cut, &error), &error);
        if (count != all->tokens[i]) fail_msg("pair %zu: %zu tokens, expected %zu", i, count, all->tokens[i]);
        assert_int_equal(cut.query_tokens + cut.document_tokens + 3, all->before[i]);
    }
}

static void check_logits(ce_model *model, const golden_pairs *all, const char *name) {
    float *scores = calloc(all->count, sizeof *scores);
    assert_non_null(scores);
    ce_score_report report = {.size = sizeof report};
    ce_score_options options = {.size = sizeof options, .activation = CE_ACTIVATION_IDENTITY, .report = &report};
    ce_error error;
    expect_ok(ce_predict(model, all->pairs, all->count, &options, scores, &error), &error);
    double worst = 0, sum = 0;
    size_t truncated = 0, tokens = 0, outside = 0;
    for (size_t i = 0; i < all->count; i++) {
        double off = golden_deviation(scores[i], all->logits[i]);
        if (!(off <= GOLDEN_BOUND) && outside++ < 10)
            print_error("pair %zu of %zu tokens: %.9g, expected %.9g\n", i, all->tokens[i], (double)scores[i],
                        all->logits[i]);
        if (!(off <= worst)) worst = off;
        sum += off;
        truncated += all->before[i] > all->tokens[i];
        tokens += all->tokens[i];
    }
    free(scores);
    print_message(
        "%s: %zu pairs, %zu tokens, %zu truncated; deviation of logits: largest %.3g, mean %.3g, bound %.0e\n", name,
        all->count, tokens, truncated, worst, sum / (double)all->count, GOLDEN_BOUND);
    assert_int_equal(report.pairs, all->count);
    assert_int_equal(report.tokens, tokens);
    assert_int_equal(report.truncated, truncated);
    assert_int_equal(outside, 0);
}

/* ---- low precision ---------------------------------------------------------------------------------------------- */

static const double *sorted_by;

static int compare_indices(const void *a, const void *b) {
    const double x = sorted_by[*(const size_t *)a], y = sorted_by[*(const size_t *)b];
    return x < y ? -1 : x > y;
}

/* Ranks from 1; equal values share the mean of theirs. */
static void find_ranks(const double *values, size_t count, double *ranks) {
    size_t *order = calloc(count, sizeof *order);
    assert_non_null(order);
    for (size_t i = 0; i < count; i++) order[i] = i;
    sorted_by = values;
    qsort(order, count, sizeof *order, compare_indices);
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && values[order[end]] == values[order[i]]) end++;
        for (size_t k = i; k < end; k++) ranks[order[k]] = (double)(i + end + 1) / 2;
        i = end;
    }
    free(order);
}

/* Spearman's rank correlation: Pearson's of the ranks. */
static double rank_correlation(const double *a, const double *b, size_t count) {
    double *x = calloc(count, sizeof *x), *y = calloc(count, sizeof *y), xy = 0, xx = 0, yy = 0;
    assert_true(x && y);
    find_ranks(a, count, x);
    find_ranks(b, count, y);
    const double mean = ((double)count + 1) / 2;
    for (size_t i = 0; i < count; i++) {
        xy += (x[i] - mean) * (y[i] - mean);
        xx += (x[i] - mean) * (x[i] - mean);
        yy += (y[i] - mean) * (y[i] - mean);
    }
    free(x);
    free(y);
    return xy / sqrt(xx * yy);
}

/* How far logits in a precision may be from the reference in float32, and how well their order must agree. */
typedef struct low_bound {
    ce_precision precision;
    double largest, mean, correlation;
} low_bound;

/* Scores every step-th pair. */
static void check_low(const char *folder, const golden_pairs *all, size_t step, const low_bound *bound,
                      const char *name) {
    size_t count = 0;
    ce_pair *pairs = calloc(all->count, sizeof *pairs);
    float *scores = calloc(all->count, sizeof *scores);
    double *found = calloc(all->count, sizeof *found), *wanted = calloc(all->count, sizeof *wanted), worst = 0, sum = 0;
    assert_true(pairs && scores && found && wanted);
    for (size_t i = 0; i < all->count; i += step, count++) {
        pairs[count] = all->pairs[i];
        wanted[count] = all->logits[i];
    }
    ce_model *model = golden_load_in(bound->precision, folder, 0);
    ce_score_options options = {.size = sizeof options, .activation = CE_ACTIVATION_IDENTITY};
    ce_error error;
    expect_ok(ce_predict(model, pairs, count, &options, scores, &error), &error);
    for (size_t i = 0; i < count; i++) {
        const double off = golden_deviation(scores[i], wanted[i]);
        found[i] = (double)scores[i];
        if (!(off <= worst)) worst = off;
        sum += off;
    }
    const double mean = sum / (double)count, correlation = rank_correlation(found, wanted, count);
    print_message("%s in %s: %zu pairs; deviation of logits: largest %.3g (bound %.2g), mean %.3g (%.2g); rank "
                  "correlation %.6f (at least %.4f)\n",
                  name, ce_precision_name(bound->precision), count, worst, bound->largest, mean, bound->mean,
                  correlation, bound->correlation);
    ce_model_free(model);
    free(pairs), free(scores), free(found), free(wanted);
    assert_true(worst <= bound->largest && mean <= bound->mean);
    if (count >= 50) assert_true(correlation >= bound->correlation); /* of a few pairs it says little */
}

static void check_model(const char *folder, const char *path, const json_t *texts, const char *name) {
    static const low_bound low[] = {{CE_PRECISION_BFLOAT16, 5e-2, 1e-2, 0.999},
                                    {CE_PRECISION_FLOAT16, 1e-2, 2e-3, 0.9999},
                                    {CE_PRECISION_INT8, 5e-1, 4e-2, 0.998}};
    golden_pairs *all = read_pairs(path, texts);
    ce_model *model = golden_load(folder, 0);
    check_tokens(model, all);
    check_logits(model, all, name);
    ce_model_free(model);
    for (size_t i = 0; i < sizeof low / sizeof *low; i++)
        check_low(folder, all, all->count > 400 ? 20 : 1, &low[i], name);
    free_pairs(all);
}

static void test_default_model(void **state) {
    (void)state;
    json_t *texts = golden_texts_create();
    golden_texts_add_collection(texts, "c", CE_SOURCE "/data/cranfield-mini");
    check_model(CE_SOURCE "/models/crossenc-small-en", test_data("golden/real-crossenc-small-en.tsv"), texts,
                "crossenc-small-en");
    json_decref(texts);
}

static void test_twelve_layers(void **state) {
    (void)state;
    const char *folder = test_shared("models/ms-marco-MiniLM-L-12-v2-dq");
    json_t *texts = golden_texts_create();
    golden_texts_add_collection(texts, "S", test_shared("data/scifact"));
    golden_texts_add_collection(texts, "C", test_shared("data/cranfield"));
    golden_texts_add_wikiqa(texts, test_shared("data/wikiqa/WikiQA-test.txt"));
    golden_texts_add_sentences(texts, test_shared("data/multilingual"));
    folder = test_shared("models/ms-marco-MiniLM-L-12-v2-dq");
    check_model(folder, test_data("golden/real-ms-marco-MiniLM-L-12-v2-dq.tsv"), texts, "ms-marco-MiniLM-L-12-v2-dq");
    json_decref(texts);
}

/* The model's two published scores. */
static void test_berlin(void **state) {
    (void)state;
    const char *folder = test_shared("models/ms-marco-MiniLM-L-12-v2-dq");
    ce_text query = ce_text_of("How many people live in Berlin?");
    const ce_pair pairs[] = {
        {query, ce_text_of("Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square "
                           "kilometers.")},
        {query, ce_text_of("New York City is famous for the Metropolitan Museum of Art.")},
    };
    ce_model *model = golden_load(folder, 0);
    float scores[2];
    ce_error error;
    expect_ok(ce_predict(model, pairs, 2, NULL, scores, &error), &error);
    print_message("Berlin: %.6f and %.6f\n", (double)scores[0], (double)scores[1]);
    assert_true(golden_deviation(scores[0], 9.266827) <= GOLDEN_BOUND);
    assert_true(golden_deviation(scores[1], -11.187496) <= GOLDEN_BOUND);
    ce_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_model),
        cmocka_unit_test(test_berlin),
        cmocka_unit_test(test_twelve_layers),
    };
    return cmocka_run_group_tests_name("real", tests, NULL, NULL);
}
