/* threads.c - several threads score on one model, with one copy of its weights, and get the same bits.
 *
 *     ./threads
 *
 * The last pair is longer than the model reads: the report tells of the truncation, which is never silent. */
#include <crossenc/crossenc.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, PAIRS = 3, LONG_TEXT = 8192 };

typedef struct job {
    ce_model *model; /* shared: its calls are safe from many threads */
    const ce_pair *pairs;
    float scores[PAIRS];
    ce_score_report report;
    ce_status status;
    ce_error error; /* each thread has its own */
} job;

static void *score(void *argument) {
    job *mine = argument;
    mine->report.size = sizeof mine->report;
    ce_score_options options = {.size = sizeof options, .report = &mine->report};
    mine->status = ce_predict(mine->model, mine->pairs, PAIRS, &options, mine->scores, &mine->error);
    return NULL;
}

/* 0 if every thread got scores, and the same ones. */
static int run(ce_model *model, const ce_pair *pairs) {
    job jobs[THREADS] = {0};
    pthread_t threads[THREADS];
    size_t started = 0;
    while (started < THREADS) {
        jobs[started].model = model;
        jobs[started].pairs = pairs;
        if (pthread_create(&threads[started], NULL, score, &jobs[started]) != 0) break;
        started++;
    }
    int failed = started < THREADS;
    for (size_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        if (jobs[i].status != CE_OK) fprintf(stderr, "thread %zu: %s\n", i, jobs[i].error.message);
        failed |= jobs[i].status != CE_OK || memcmp(jobs[i].scores, jobs[0].scores, sizeof jobs[i].scores) != 0;
    }
    if (failed) return 1;
    for (size_t i = 0; i < PAIRS; i++) printf("%.6f in each of %d threads\n", (double)jobs[0].scores[i], THREADS);
    const ce_score_report *report = &jobs[0].report;
    printf("%zu of %d pairs were cut to what the model reads, the first is pair %zu\n", (size_t)report->truncated,
           PAIRS, (size_t)report->first_truncated);
    return 0;
}

int main(void) {
    static char long_text[LONG_TEXT];
    for (size_t i = 0; i + 1 < LONG_TEXT; i++) long_text[i] = i % 8 == 7 ? ' ' : "wordily"[i % 8];
    ce_text query = ce_text_of("What is the capital of Germany?");
    const ce_pair pairs[PAIRS] = {{query, ce_text_of("Berlin is the capital of Germany.")},
                                  {query, ce_text_of("The museum opens at nine.")},
                                  {query, ce_text_of(long_text)}};
    ce_error error = {0};
    ce_model *model = NULL;
    char folder[4096];
    int result = 1;
    if (ce_default_model_path(folder, sizeof folder, &error) == CE_OK &&
        ce_model_load(folder, NULL, &model, &error) == CE_OK)
        result = run(model, pairs);
    else
        fprintf(stderr, "threads: %s\n", error.message);
    ce_model_free(model);
    return result;
}
