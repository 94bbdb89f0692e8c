/* throughput.c - pairs and tokens a second of a model over a file of pairs, and the time that a call takes.
 *
 * Uses the public interface alone. One warm-up round, then the rounds that count; the median is the result. With
 * --serve it waits for a line on standard input before each round, so that it can take turns with other programs. */
#include "tiers.h"

#include <crossenc/crossenc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ROUNDS = 1000 };

typedef struct settings {
    const char *model, *pairs, *device, *scores;
    ce_precision precision;
    uint64_t disable; /* tiers of the cpu */
    unsigned threads, rounds;
    size_t batch_tokens, call_pairs;
    bool json, serve;
} settings;

typedef struct workload {
    char *text; /* the file; the pairs point into it */
    ce_pair *pairs;
    float *scores; /* [count, labels] */
    size_t count, labels;
    uint64_t tokens, truncated;
    double *calls; /* [rounds, calls a round] seconds of each call; NULL if one call takes all pairs */
    size_t call_count;
} workload;

static const struct {
    const char *name;
    ce_precision value;
} precisions[] = {
    {"float32", CE_PRECISION_FLOAT32},
    {"bfloat16", CE_PRECISION_BFLOAT16},
    {"float16", CE_PRECISION_FLOAT16},
    {"int8", CE_PRECISION_INT8},
};

static const char usage[] =
    "usage: throughput --pairs FILE.tsv [--model DIR] [--device D] [--threads N] [--rounds N] [--batch-tokens N]\n"
    "                  [--precision NAME] [--tier NAME] [--call-pairs N] [--scores FILE] [--serve] [--json]\n"
    "  --pairs FILE      lines of query<TAB>document\n"
    "  --precision NAME  float32 (default), or another that this build has\n"
    "  --tier NAME       the best instructions to use: " CE_BENCH_TIERS "; the default is all\n"
    "  --call-pairs N    pairs in one call; 0 is all (default), 1 is one request at a time. Calls are timed as well\n"
    "  --scores FILE     writes the raw scores, one line a pair\n"
    "  --serve           before each round waits for a line on standard input; prints its seconds, then each call's\n";

static void fail(const char *what, const char *why) {
    fprintf(stderr, "throughput: %s: %s\n", what, why);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static ce_precision precision_named(const char *name) {
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++)
        if (strcmp(precisions[i].name, name) == 0) return precisions[i].value;
    fail(name, "is no precision that this build has");
    return CE_PRECISION_DEFAULT;
}

static uint64_t tier_named(const char *name) {
    uint64_t disable = 0;
    if (!ce_bench_tier(name, &disable)) fail(name, "is no tier: " CE_BENCH_TIERS);
    return disable;
}

static bool read_text(const char *name, const char *value, settings *out) {
    if (strcmp(name, "--model") == 0)
        out->model = value;
    else if (strcmp(name, "--pairs") == 0)
        out->pairs = value;
    else if (strcmp(name, "--device") == 0)
        out->device = value;
    else if (strcmp(name, "--scores") == 0)
        out->scores = value;
    else if (strcmp(name, "--precision") == 0)
        out->precision = precision_named(value);
    else if (strcmp(name, "--tier") == 0)
        out->disable = tier_named(value);
    else
        return false;
    return true;
}

static bool read_number(const char *name, const char *value, settings *out) {
    char *end = NULL;
    unsigned long number = strtoul(value, &end, 10);
    if (end == value || *end) return false;
    if (strcmp(name, "--threads") == 0)
        out->threads = (unsigned)number;
    else if (strcmp(name, "--rounds") == 0)
        out->rounds = (unsigned)number;
    else if (strcmp(name, "--batch-tokens") == 0)
        out->batch_tokens = number;
    else if (strcmp(name, "--call-pairs") == 0)
        out->call_pairs = number;
    else
        return false;
    return true;
}

static settings read_arguments(int count, char **values) {
    settings out = {.rounds = 5, .device = "cpu"};
    for (int i = 1; i < count; i++) {
        if (strcmp(values[i], "--json") == 0)
            out.json = true;
        else if (strcmp(values[i], "--serve") == 0)
            out.serve = true;
        else if (i + 1 < count &&
                 (read_text(values[i], values[i + 1], &out) || read_number(values[i], values[i + 1], &out)))
            i++;
        else {
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (!out.pairs || out.rounds == 0 || out.rounds > MAX_ROUNDS) {
        fputs(usage, stderr);
        exit(2);
    }
    return out;
}

/* ---- pairs ------------------------------------------------------------------------------------------------------ */

static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail(path, "cannot be read");
    long length = ftell(file);
    char *data = length < 0 ? NULL : malloc((size_t)length + 1);
    rewind(file);
    if (!data || fread(data, 1, (size_t)length, file) != (size_t)length) fail(path, "cannot be read");
    fclose(file);
    data[length] = '\0';
    *size = (size_t)length;
    return data;
}

static size_t count_lines(const char *text, size_t size) {
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    return lines + (size > 0 && text[size - 1] != '\n');
}

static void read_pairs(const char *path, workload *work) {
    size_t size;
    work->text = read_file(path, &size);
    size_t lines = count_lines(work->text, size);
    work->pairs = calloc(lines + 1, sizeof *work->pairs);
    if (!work->pairs) fail(path, "no memory");
    const char *line = work->text, *end = work->text + size;
    for (; work->count < lines; work->count++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        const char *tab = memchr(line, '\t', (size_t)(stop - line));
        if (!tab) fail(path, "has a line without a tab");
        work->pairs[work->count].query = (ce_text){line, (size_t)(tab - line)};
        work->pairs[work->count].document = (ce_text){tab + 1, (size_t)(stop - tab - 1)};
        line = stop + 1;
    }
    if (work->count == 0) fail(path, "has no lines");
}

/* ---- rounds ----------------------------------------------------------------------------------------------------- */

static double run_round(ce_model *model, const settings *with, workload *work) {
    size_t step = with->call_pairs ? with->call_pairs : work->count;
    double begin = now();
    work->tokens = work->truncated = 0;
    for (size_t i = 0; i < work->count; i += step) {
        size_t count = work->count - i < step ? work->count - i : step;
        ce_score_report report = {.size = sizeof report};
        ce_score_options options = {.size = sizeof options, .activation = CE_ACTIVATION_IDENTITY, .report = &report};
        ce_error error;
        double start = now();
        if (ce_predict(model, work->pairs + i, count, &options, work->scores + i * work->labels, &error) != CE_OK)
            fail("predict", error.message);
        if (work->calls) work->calls[work->call_count++] = now() - start;
        work->tokens += report.tokens;
        work->truncated += report.truncated;
    }
    return now() - begin;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which a share of them lies, between the two nearest ones; sorts them. */
static double quantile(double *values, size_t count, double share) {
    qsort(values, count, sizeof *values, by_value);
    double at = share * (double)(count - 1);
    size_t low = (size_t)at, high = low + 1 < count ? low + 1 : low;
    return values[low] + (at - (double)low) * (values[high] - values[low]);
}

static void print_result(const settings *with, const workload *work, double load, double seconds) {
    double pairs = (double)work->count / seconds, tokens = (double)work->tokens / seconds;
    double p50 = work->calls ? quantile(work->calls, work->call_count, 0.50) * 1e3 : 0;
    double p95 = work->calls ? quantile(work->calls, work->call_count, 0.95) * 1e3 : 0;
    if (with->json) {
        printf("{\"pairs\":%zu,\"tokens\":%llu,\"truncated\":%llu,\"rounds\":%u,\"load_ms\":%.1f,\"seconds\":%.6f,"
               "\"pairs_per_second\":%.2f,\"tokens_per_second\":%.1f",
               work->count, (unsigned long long)work->tokens, (unsigned long long)work->truncated, with->rounds,
               load * 1e3, seconds, pairs, tokens);
        if (work->calls) printf(",\"call_p50_ms\":%.3f,\"call_p95_ms\":%.3f", p50, p95);
        puts("}");
        return;
    }
    printf("%zu pairs, %llu tokens (%.0f a pair), %llu truncated; loaded in %.0f ms\n", work->count,
           (unsigned long long)work->tokens, (double)work->tokens / (double)work->count,
           (unsigned long long)work->truncated, load * 1e3);
    printf("median of %u rounds: %.3f s, %.1f pairs/s, %.0f tokens/s\n", with->rounds, seconds, pairs, tokens);
    if (work->calls) printf("%zu calls: p50 %.3f ms, p95 %.3f ms\n", work->call_count, p50, p95);
}

static void write_scores(const char *path, const workload *work) {
    FILE *file = fopen(path, "w");
    if (!file) fail(path, "cannot be written");
    for (size_t i = 0; i < work->count * work->labels; i++)
        fprintf(file, "%.9g%c", (double)work->scores[i], (i + 1) % work->labels ? '\t' : '\n');
    if (fclose(file) != 0) fail(path, "cannot be written");
}

static ce_model *load_model(const settings *with, workload *work) {
    char path[4096];
    ce_error error;
    if (!with->model && ce_default_model_path(path, sizeof path, &error) != CE_OK) fail("model", error.message);
    ce_load_options options = {.size = sizeof options,
                               .cpu_disable = with->disable,
                               .device = with->device,
                               .precision = with->precision,
                               .threads = with->threads,
                               .batch_tokens = with->batch_tokens};
    ce_model *model = NULL;
    if (ce_model_load(with->model ? with->model : path, &options, &model, &error) != CE_OK)
        fail("model", error.message);
    ce_model_info info = {.size = sizeof info};
    if (ce_model_describe(model, &info, &error) != CE_OK) fail("model", error.message);
    work->labels = info.num_labels;
    work->scores = calloc(work->count * work->labels, sizeof *work->scores);
    if (!work->scores) fail("scores", "no memory");
    return model;
}

/* Calls are recorded from here on, of every round. */
static void record_calls(const settings *with, workload *work) {
    if (with->call_pairs == 0) return;
    size_t calls = (work->count + with->call_pairs - 1) / with->call_pairs;
    work->calls = calloc(with->rounds * calls, sizeof *work->calls);
    if (!work->calls) fail("calls", "no memory");
}

static void tell_round(double seconds, const double *calls, size_t count) {
    printf("%.6f", seconds);
    for (size_t i = 0; calls && i < count; i++) printf(" %.6f", calls[i]);
    putchar('\n');
    fflush(stdout);
}

int main(int count, char **values) {
    settings with = read_arguments(count, values);
    workload work = {0};
    double seconds[MAX_ROUNDS], begin;
    read_pairs(with.pairs, &work);
    begin = now();
    ce_model *model = load_model(&with, &work);
    double load = now() - begin;
    run_round(model, &with, &work);
    if (with.scores) write_scores(with.scores, &work);
    if (with.serve) {
        printf("ready %llu\n", (unsigned long long)work.tokens);
        fflush(stdout);
    }
    record_calls(&with, &work);
    unsigned done = 0;
    for (; done < with.rounds && (!with.serve || getchar() != EOF); done++) {
        size_t first = work.call_count;
        seconds[done] = run_round(model, &with, &work);
        if (with.serve) tell_round(seconds[done], work.calls ? work.calls + first : NULL, work.call_count - first);
    }
    if (!with.serve) print_result(&with, &work, load, quantile(seconds, done, 0.5));
    ce_model_free(model);
    free(work.text);
    free(work.pairs);
    free(work.scores);
    free(work.calls);
    return 0;
}
