/* bench.h - what crossenc bench measures, and how its files pass it on: bench_text.c makes the pairs, bench_measure.c
 * measures, bench_report.c and bench_plot.c tell. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "memory.h"
#include "scorer.h"

/* Values of --only. */
typedef enum cli_bench_part {
    CLI_BENCH_ALL = 0,
    CLI_BENCH_THROUGHPUT,
    CLI_BENCH_LATENCY,
    CLI_BENCH_COLD_START,
    CLI_BENCH_MEMORY
} cli_bench_part;

enum { CLI_BENCH_MOST_ROWS = 8 };

/* Pairs of one length, or of many. Rates follow from the median of the rounds. */
typedef struct cli_bench_throughput {
    size_t shortest, longest; /* tokens of a pair, special ones included */
    size_t pairs;             /* of a round */
    uint64_t tokens;          /* of a round, as the library counted them */
    size_t rounds;
    double seconds, least_seconds; /* of a round: median and best */
    double operations;             /* that the scores of a round need; see bench_measure.c */
    double peak;                   /* operations a second, measured before and after; 0 if that cannot be measured */
} cli_bench_throughput;

/* One query with some documents, in one call. */
typedef struct cli_bench_latency {
    size_t documents;
    uint64_t tokens; /* of the call */
    size_t repetitions;
    double p50, p95, p99; /* seconds; 0 if there were not enough repetitions to tell: 20 and 100 */
    double least, most;
    double estimate; /* of one repetition, where it would have taken longer than the whole run; else 0 */
} cli_bench_latency;

typedef struct cli_bench_job {
    const cli_settings *settings;
    double budget; /* seconds to measure for, all parts together */
    cli_scorer scorer;
    ce_placement_report placement;
    ce_device_info device;
    ce_device_speed speed; /* the best of all measurements of the device; 0 where it cannot be measured */
    double last_peak;      /* of the latest one */

    cli_bench_throughput throughput[CLI_BENCH_MOST_ROWS];
    size_t throughput_count;

    cli_bench_latency latency[CLI_BENCH_MOST_ROWS];
    size_t latency_count;

    size_t starts;                                              /* of processes */
    double start_median, start_least, start_most;               /* seconds to the first score */
    uint64_t resident_at_start, resident_loaded, resident_peak; /* bytes; 0 if not measured */
} cli_bench_job;

/* What is measured: pairs of a cross-encoder, or texts of a bi-encoder, which the fields below call pairs as well. */
static inline const char *cli_bench_unit(const cli_bench_job *bench) { return bench->scorer.encoder ? "text" : "pair"; }

/* Is the part wanted, by itself or with all? */
static inline bool cli_bench_wants(const cli_bench_job *bench, cli_bench_part part) {
    return bench->settings->only == CLI_BENCH_ALL || bench->settings->only == (int)part;
}

/* ---- bench_text.c ------------------------------------------------------------------------------------------- */

/* The words of a built-in English text, and how many tokens the model makes of each. */
typedef struct cli_bench_words {
    ce_text *words;
    size_t *tokens;
    size_t count;
    size_t specials; /* tokens of a pair beside those of its texts; of a bi-encoder's text beside its own */
} cli_bench_words;

cli_status cli_bench_words_open(cli_bench_words *words, const cli_scorer *scorer, cli_error *error);
void cli_bench_words_close(cli_bench_words *words);

/* A pair of as many tokens as wanted, special ones included, exactly so for a WordPiece model; other texts for another
 * number. With query, that is the pair's. The texts live in the arena. Errors: FAILED (no memory). */
cli_status cli_bench_make_pair(const cli_bench_words *words, size_t tokens, size_t number, const ce_text *query,
                               cli_arena *arena, ce_pair *pair, cli_error *error);

/* The same for a bi-encoder: a text of so many tokens. */
cli_status cli_bench_make_text(const cli_bench_words *words, size_t tokens, size_t number, cli_arena *arena,
                               ce_text *made, cli_error *error);

/* ---- bench_measure.c, bench_start.c ------------------------------------------------------------------------- */

/* Runs the parts that are wanted, on the loaded model. */
cli_status cli_bench_measure(cli_bench_job *bench, cli_error *error);

/* Draws the bar. what says what is being measured; lives as long as the bench. */
void cli_bench_show(cli_bench_job *bench, const char *what);

/* Starts this program with one pair (of a bi-encoder its document alone), for about as many seconds, and fills the
 * bench. */
cli_status cli_bench_measure_start(cli_bench_job *bench, const ce_pair *pair, double seconds, cli_error *error);

/* Memory of this process in bytes, now and at its most; 0 if the system does not tell. */
void cli_bench_read_memory(uint64_t *resident, uint64_t *peak);

/* The middle of sorted values, and the least that a share of them does not exceed. */
double cli_bench_median(const double *sorted, size_t count);
void cli_bench_sort(double *values, size_t count);

/* ---- bench_report.c, bench_plot.c --------------------------------------------------------------------------- */

void cli_bench_write_table(cli_output *output, const cli_bench_job *bench);
void cli_bench_write_json(cli_output *output, const cli_bench_job *bench);
void cli_bench_write_plot(cli_output *output, const cli_bench_job *bench);

#endif
