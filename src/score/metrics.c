/* metrics.c - ranking measures as trec_eval defines them.
 *
 * Relies on nothing but libm: pure functions over arrays of relevance, in double precision, summed by rank in
 * ascending order so that equal lists give equal bits. Allocates nothing. Ordering documents by score, and what
 * to do with ties, is the caller's. */
#include <crossenc/metrics.h>

#include <limits.h>
#include <math.h>

static size_t cut(size_t count, size_t k) { return k && k < count ? k : count; }

/* What a document of this relevance adds at this rank, counted from 1. */
static double discounted(int relevance, size_t rank) { return relevance / log2((double)rank + 1.0); }

/* The largest relevance below limit, and how many documents have it; 0 if there is none above 0. */
static int next_level(const int *ideal, size_t count, int limit, size_t *members) {
    int level = 0;
    *members = 0;
    for (size_t i = 0; i < count; i++) {
        if (ideal[i] >= limit || ideal[i] < level || ideal[i] <= 0) continue;
        if (ideal[i] > level) {
            level = ideal[i];
            *members = 0;
        }
        ++*members;
    }
    return level;
}

/* The gain of the best order, one level of relevance after the other: judgements have few levels, so that walking
 * the list once for each is cheaper than a sorted copy, and cannot fail. */
static double ideal_gain(const int *ideal, size_t count, size_t k) {
    double gain = 0.0;
    size_t rank = 0, members = 0;
    size_t end = cut(count, k);
    /* INT_MAX itself is no limit below which it lies: it goes first, if it is there. */
    for (size_t i = 0; i < count && rank < end; i++) {
        if (ideal[i] == INT_MAX) gain += discounted(INT_MAX, ++rank);
    }
    for (int level = INT_MAX; rank < end && (level = next_level(ideal, count, level, &members)) > 0;) {
        for (size_t i = 0; i < members && rank < end; i++) gain += discounted(level, ++rank);
    }
    return gain;
}

double ce_metric_ndcg(const int *relevance, size_t count, const int *ideal, size_t ideal_count, size_t k) {
    double best = ideal_gain(ideal, ideal_count, k);
    if (best <= 0.0) return 0.0;
    double gain = 0.0;
    for (size_t i = 0; i < cut(count, k); i++) {
        if (relevance[i] > 0) gain += discounted(relevance[i], i + 1);
    }
    return gain / best;
}

double ce_metric_reciprocal_rank(const int *relevance, size_t count, size_t k) {
    for (size_t i = 0; i < cut(count, k); i++) {
        if (relevance[i] > 0) return 1.0 / (double)(i + 1);
    }
    return 0.0;
}

double ce_metric_average_precision(const int *relevance, size_t count, size_t relevant, size_t k) {
    if (relevant == 0) return 0.0;
    double sum = 0.0;
    size_t found = 0;
    for (size_t i = 0; i < cut(count, k); i++) {
        if (relevance[i] > 0) sum += (double)++found / (double)(i + 1);
    }
    return sum / (double)relevant;
}

double ce_metric_recall(const int *relevance, size_t count, size_t relevant, size_t k) {
    if (relevant == 0) return 0.0;
    size_t found = 0;
    for (size_t i = 0; i < cut(count, k); i++) found += relevance[i] > 0;
    return (double)found / (double)relevant;
}
