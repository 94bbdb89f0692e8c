/* bench_measure.c - throughput by length, latency, memory: what the library's calls take, by a clock around them.
 *
 * Each figure comes from repetitions for a share of the time that the whole run has, at least one. Nothing runs beside
 * the call that is timed. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Shares of the time, if all parts are measured. */
static const double throughput_share = 0.45, latency_share = 0.4, start_share = 0.15;

/* A round takes about this share of a row's time, so that there is a median. */
static const double round_share = 0.2;

/* Tokens of a round: a few batches, whatever the device. */
enum { LEAST_TOKENS = 1024, MOST_TOKENS = 16 * 1024 };

enum { SHORTEST = 16, LONGEST = 512, LATENCY_TOKENS = 128 };

/* Percentiles need this many repetitions; more than MOST are not made. */
enum { FOR_P95 = 20, FOR_P99 = 100, MOST_REPETITIONS = 1000 };

/* What the parts work with. */
typedef struct workshop {
    cli_bench_job *bench;
    cli_bench_words words;
    cli_arena arena;
    ce_pair *pairs;  /* of a bi-encoder documents alone */
    ce_text *texts;  /* the documents, for a bi-encoder */
    float *scores;   /* or embeddings */
    size_t capacity; /* of pairs, of texts, and of scores in rows */
    double samples[MOST_REPETITIONS];
} workshop;

/* ---- calls -------------------------------------------------------------------------------------------------- */

/* Room for count pairs, old ones forgotten. */
static cli_status make_room(workshop *shop, size_t count, cli_error *error) {
    cli_arena_reset(&shop->arena);
    if (count <= shop->capacity) return CLI_OK;
    const cli_scorer *scorer = &shop->bench->scorer;
    const size_t columns = scorer->encoder ? scorer->encoder_info.truncate_dim : scorer->info.num_labels;
    free(shop->pairs);
    free(shop->texts);
    free(shop->scores);
    shop->capacity = 0;
    shop->pairs = calloc(count, sizeof *shop->pairs);
    shop->texts = calloc(count, sizeof *shop->texts);
    shop->scores = reallocarray(NULL, count, columns * sizeof *shop->scores);
    if (!shop->pairs || !shop->texts || !shop->scores) return cli_fail_memory(error);
    shop->capacity = count;
    return CLI_OK;
}

static ce_status predict(workshop *shop, size_t count, uint64_t *tokens, ce_error *why) {
    ce_score_report report = {.size = sizeof report};
    const ce_score_options options = {.size = sizeof options, .report = &report};
    ce_status status = ce_predict(shop->bench->scorer.model, shop->pairs, count, &options, shop->scores, why);
    *tokens = report.tokens;
    return status;
}

/* Behind no prompt, so that texts are as long as they are said to be. */
static ce_status encode(workshop *shop, size_t count, uint64_t *tokens, ce_error *why) {
    const ce_text none = {NULL, 0};
    ce_encode_report report = {.size = sizeof report};
    const ce_encode_options options = {.size = sizeof options, .prompt = &none, .report = &report};
    ce_status status = ce_encode(shop->bench->scorer.encoder, shop->texts, count, &options, shop->scores, why);
    *tokens = report.tokens;
    return status;
}

static cli_status score(workshop *shop, size_t count, double *seconds, uint64_t *tokens, cli_error *error) {
    ce_error why = {0};
    cli_scorer *scorer = &shop->bench->scorer;
    for (size_t i = 0; i < count; i++) shop->texts[i] = shop->pairs[i].document;
    const double begun = cli_now();
    const ce_status status = scorer->encoder ? encode(shop, count, tokens, &why) : predict(shop, count, tokens, &why);
    *seconds = cli_now() - begun;
    if (status != CE_OK) return cli_fail_call(error, status, &why);
    scorer->pairs += count;
    scorer->tokens += *tokens;
    return CLI_OK;
}

/* Pair number i, or text, of so many tokens; with query, that is the pair's. */
static cli_status make_one(workshop *shop, size_t tokens, size_t i, const ce_text *query, cli_error *error) {
    ce_pair *made = &shop->pairs[i];
    *made = (ce_pair){{NULL, 0}, {NULL, 0}};
    if (shop->bench->scorer.encoder)
        return cli_bench_make_text(&shop->words, tokens, i, &shop->arena, &made->document, error);
    return cli_bench_make_pair(&shop->words, tokens, i, query, &shop->arena, made, error);
}

/* Scores the first count pairs until the seconds are spent; samples are sorted. */
static cli_status repeat(workshop *shop, const char *what, size_t count, double seconds, size_t *repetitions,
                         uint64_t *tokens, cli_error *error) {
    const double begun = cli_now();
    cli_status status = CLI_OK;
    *repetitions = 0;
    while (status == CLI_OK && *repetitions < MOST_REPETITIONS && (*repetitions == 0 || cli_now() - begun < seconds)) {
        cli_bench_show(shop->bench, what);
        status = score(shop, count, &shop->samples[*repetitions], tokens, error);
        ++*repetitions;
    }
    cli_bench_sort(shop->samples, *repetitions);
    return status;
}

/* The largest of the lengths that the model takes. */
static size_t limited(const workshop *shop, size_t tokens) {
    const size_t limit = shop->bench->scorer.info.max_length;
    return tokens < limit ? tokens : limit;
}

/* ---- the device --------------------------------------------------------------------------------------------- */

/* Measures the device, and keeps the best of all measurements. Where it cannot be measured, or there are several, all
 * stays 0. */
static cli_status measure_device(cli_bench_job *bench, bool with_bandwidth, cli_error *error) {
    ce_error why = {0};
    ce_device_speed speed = {.size = sizeof speed};
    ce_measure_options options = {.size = sizeof options, .skip_bandwidth = !with_bandwidth};
    options.precision = bench->placement.precision;
    options.threads = (unsigned)bench->settings->threads;
    bench->last_peak = 0;
    if (bench->placement.devices > 1) return CLI_OK; /* there is no figure for several together */
    const ce_status status = ce_device_measure(bench->placement.device, &options, &speed, &why);
    /* 256 MiB for the bandwidth are more than some machines have left: then it is not known. */
    if (status == CE_ERR_UNSUPPORTED || (with_bandwidth && status == CE_ERR_DEVICE_MEMORY)) return CLI_OK;
    if (status != CE_OK) return cli_fail_call(error, status, &why);
    bench->last_peak = speed.flops;
    if (speed.flops < bench->speed.flops) speed.flops = bench->speed.flops;
    if (speed.bandwidth < bench->speed.bandwidth) speed.bandwidth = bench->speed.bandwidth;
    bench->speed = speed;
    return CLI_OK;
}

/* Operations that the score of a pair needs, or the embedding of a text, a multiply-add as two: matrix products and
 * attention. Where only the first token is read, the last layer needs keys and values of all tokens, and everything
 * else of that one alone. Embeddings, norms, functions, and what comes behind the encoder are left out. */
static double operations_of(const cli_scorer *scorer, double tokens) {
    const ce_model_info *info = &scorer->info;
    const bool reads_first = !scorer->encoder || strcmp(scorer->encoder_info.pooling, "cls") == 0;
    const double hidden = (double)info->hidden_size, wide = (double)info->intermediate_size;
    const double token = 2 * (4 * hidden * hidden + 2 * hidden * wide); /* queries, keys, values, output; up, down */
    const double layer = tokens * token + 4 * tokens * tokens * hidden; /* scores, and the sum of the values */
    const double first_only = tokens * 4 * hidden * hidden + token - 4 * hidden * hidden + 4 * tokens * hidden;
    const double last = reads_first ? first_only : layer;
    return (double)(info->layers - 1) * layer + last;
}

/* ---- throughput --------------------------------------------------------------------------------------------- */

/* Tokens of pair i of count: all of one length; or from shortest to longest, as many of any octave as of another. */
static size_t length_of(const cli_bench_throughput *row, size_t i, size_t count) {
    if (row->shortest == row->longest) return row->longest;
    const double share = ((double)i + 0.5) / (double)count;
    return (size_t)((double)row->shortest * pow((double)row->longest / (double)row->shortest, share) + 0.5);
}

/* The same pairs in another order, the same in each run. */
static void shuffle(ce_pair *pairs, size_t count) {
    uint32_t state = 1;
    for (size_t i = count; i > 1; i--) {
        state = state * 1664525u + 1013904223u;
        const size_t other = (size_t)((uint64_t)state * i >> 32);
        const ce_pair kept = pairs[i - 1];
        pairs[i - 1] = pairs[other];
        pairs[other] = kept;
    }
}

static cli_status make_pairs(workshop *shop, cli_bench_throughput *row, size_t count, cli_error *error) {
    cli_status status = make_room(shop, count, error);
    row->pairs = count;
    row->operations = 0;
    for (size_t i = 0; i < count && status == CLI_OK; i++) {
        const size_t tokens = length_of(row, i, count);
        status = make_one(shop, tokens, i, NULL, error);
        row->operations += operations_of(&shop->bench->scorer, (double)tokens);
    }
    if (status == CLI_OK && row->shortest != row->longest) shuffle(shop->pairs, count);
    return status;
}

/* Pairs of a round of so many tokens. */
static size_t pairs_in(const cli_bench_throughput *row, double tokens) {
    double mean = (double)row->longest;
    if (row->shortest != row->longest)
        mean = (double)(row->longest - row->shortest) / log((double)row->longest / (double)row->shortest);
    const size_t pairs = (size_t)(tokens / mean);
    return pairs ? pairs : 1;
}

static double clamp(double value, double least, double most) {
    return value < least ? least : value > most ? most : value;
}

/* A short round to warm up and to learn how long the others may be, then these. */
static cli_status measure_row(workshop *shop, cli_bench_throughput *row, double seconds, cli_error *error) {
    cli_bench_job *bench = shop->bench;
    double trial, peak = bench->last_peak;
    cli_status status = make_pairs(shop, row, pairs_in(row, LEAST_TOKENS), error);
    cli_bench_show(bench, "throughput");
    if (status == CLI_OK) status = score(shop, row->pairs, &trial, &row->tokens, error);
    if (status != CLI_OK) return status;
    const double speed = (double)row->tokens / (trial > 0 ? trial : 1e-9);
    const double wanted = clamp(speed * seconds * round_share, LEAST_TOKENS, MOST_TOKENS);
    status = make_pairs(shop, row, pairs_in(row, wanted), error);
    if (status == CLI_OK) status = repeat(shop, "throughput", row->pairs, seconds, &row->rounds, &row->tokens, error);
    if (status != CLI_OK) return status;
    row->seconds = cli_bench_median(shop->samples, row->rounds);
    row->least_seconds = shop->samples[0];
    status = measure_device(bench, false, error);
    row->peak = bench->last_peak > peak ? bench->last_peak : peak;
    return status;
}

static void add_row(cli_bench_job *bench, size_t shortest, size_t longest) {
    bench->throughput[bench->throughput_count++] = (cli_bench_throughput){.shortest = shortest, .longest = longest};
}

static cli_status measure_throughput(workshop *shop, double seconds, cli_error *error) {
    cli_bench_job *bench = shop->bench;
    cli_status status = CLI_OK;
    const size_t most = limited(shop, LONGEST);
    for (size_t tokens = SHORTEST; tokens <= most; tokens *= 2) add_row(bench, tokens, tokens);
    if (most < SHORTEST) add_row(bench, most, most);
    if (most > SHORTEST) add_row(bench, SHORTEST, most);
    for (size_t i = 0; i < bench->throughput_count && status == CLI_OK; i++)
        status = measure_row(shop, &bench->throughput[i], seconds / (double)bench->throughput_count, error);
    return status;
}

/* ---- latency ------------------------------------------------------------------------------------------------ */

/* The least sample that a share of them does not exceed: nearest rank. */
static double percentile(const double *sorted, size_t count, double share) {
    const size_t rank = (size_t)ceil(share * (double)count);
    return sorted[rank > 0 ? rank - 1 : 0];
}

static cli_status make_query(workshop *shop, size_t documents, cli_error *error) {
    const size_t tokens = limited(shop, LATENCY_TOKENS);
    cli_status status = make_room(shop, documents, error);
    for (size_t i = 0; i < documents && status == CLI_OK; i++)
        status = make_one(shop, tokens, i, i ? &shop->pairs[0].query : NULL, error);
    return status;
}

static cli_status measure_query(workshop *shop, cli_bench_latency *row, double seconds, double *pair_seconds,
                                cli_error *error) {
    cli_bench_job *bench = shop->bench;
    const double estimate = *pair_seconds * (double)row->documents;
    if (estimate > bench->budget) {
        row->estimate = estimate;
        return CLI_OK;
    }
    cli_status status = make_query(shop, row->documents, error);
    if (status == CLI_OK)
        status = repeat(shop, "latency", row->documents, seconds, &row->repetitions, &row->tokens, error);
    if (status != CLI_OK) return status;
    const size_t count = row->repetitions;
    row->least = shop->samples[0];
    row->most = shop->samples[count - 1];
    row->p50 = percentile(shop->samples, count, 0.5);
    if (count >= FOR_P95) row->p95 = percentile(shop->samples, count, 0.95);
    if (count >= FOR_P99) row->p99 = percentile(shop->samples, count, 0.99);
    *pair_seconds = row->p50 / (double)row->documents;
    return CLI_OK;
}

static cli_status measure_latency(workshop *shop, double seconds, cli_error *error) {
    static const size_t documents[] = {1, 10, 100, 1000};
    enum { ROWS = sizeof documents / sizeof *documents };
    cli_bench_job *bench = shop->bench;
    double pair_seconds = 0, warm;
    uint64_t tokens;
    cli_status status = make_query(shop, 1, error);
    if (status == CLI_OK) status = score(shop, 1, &warm, &tokens, error);
    for (size_t i = 0; i < ROWS && status == CLI_OK; i++) {
        bench->latency[i].documents = documents[i];
        bench->latency_count = i + 1;
        status = measure_query(shop, &bench->latency[i], seconds / ROWS, &pair_seconds, error);
    }
    return status;
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

/* The most that the process held: it must have scored what fills its buffers. */
static cli_status measure_memory(workshop *shop, cli_error *error) {
    cli_bench_job *bench = shop->bench;
    uint64_t resident;
    cli_status status = CLI_OK;
    if (bench->settings->only == CLI_BENCH_MEMORY) {
        cli_bench_throughput mixed = {.shortest = limited(shop, SHORTEST), .longest = limited(shop, LONGEST)};
        double seconds;
        status = make_pairs(shop, &mixed, pairs_in(&mixed, MOST_TOKENS), error);
        cli_bench_show(bench, "memory");
        if (status == CLI_OK) status = score(shop, mixed.pairs, &seconds, &mixed.tokens, error);
    }
    cli_bench_read_memory(&resident, &bench->resident_peak);
    return status;
}

static double seconds_for(const cli_bench_job *bench, double share) {
    return bench->settings->only == CLI_BENCH_ALL ? share * bench->budget : bench->budget;
}

static cli_status measure_parts(workshop *shop, cli_error *error) {
    cli_bench_job *bench = shop->bench;
    cli_status status = measure_device(bench, false, error);
    if (status == CLI_OK && cli_bench_wants(bench, CLI_BENCH_THROUGHPUT))
        status = measure_throughput(shop, seconds_for(bench, throughput_share), error);
    if (status == CLI_OK && cli_bench_wants(bench, CLI_BENCH_LATENCY))
        status = measure_latency(shop, seconds_for(bench, latency_share), error);
    if (status == CLI_OK && cli_bench_wants(bench, CLI_BENCH_MEMORY)) status = measure_memory(shop, error);
    /* After that: it takes more memory than the model may have. */
    if (status == CLI_OK && cli_bench_wants(bench, CLI_BENCH_THROUGHPUT)) status = measure_device(bench, true, error);
    if (status == CLI_OK && cli_bench_wants(bench, CLI_BENCH_COLD_START)) {
        status = make_query(shop, 1, error);
        if (status == CLI_OK)
            status = cli_bench_measure_start(bench, &shop->pairs[0], seconds_for(bench, start_share), error);
    }
    return status;
}

cli_status cli_bench_measure(cli_bench_job *bench, cli_error *error) {
    workshop *shop = calloc(1, sizeof *shop);
    if (!shop) return cli_fail_memory(error);
    shop->bench = bench;
    cli_status status = cli_bench_words_open(&shop->words, &bench->scorer, error);
    if (status == CLI_OK) status = measure_parts(shop, error);
    cli_progress_clear(&bench->scorer.progress);
    cli_bench_words_close(&shop->words);
    cli_arena_free(&shop->arena);
    free(shop->pairs);
    free(shop->texts);
    free(shop->scores);
    free(shop);
    return status;
}
