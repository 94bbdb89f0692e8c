/* bench.c - crossenc bench: how fast a model is on this machine, and how near to what the machine could do.
 *
 * The command itself: checks the settings, opens what is written to, loads the model, has it measured, and writes. */
#include "bench.h"

#include "commands.h"

#include <stdio.h>
#include <stdlib.h>

/* Seconds to measure for, unless --seconds says otherwise. */
enum { SECONDS = 40, QUICK_SECONDS = 5 };

/* ---- what the other files share ----------------------------------------------------------------------------- */

static int by_value(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void cli_bench_sort(double *values, size_t count) { qsort(values, count, sizeof *values, by_value); }

double cli_bench_median(const double *sorted, size_t count) {
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

void cli_bench_show(cli_bench_job *bench, const char *what) {
    cli_progress *progress = &bench->scorer.progress;
    const double share = (cli_now() - progress->begun) / bench->budget;
    progress->what = what;
    cli_progress_update(progress, bench->scorer.pairs, share < 0.99 ? share : 0.99);
}

/* The number behind key in /proc/self/status, in bytes. */
static uint64_t read_status(const char *key) {
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (!file) return 0;
    while (kib == 0 && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) == 0) kib = strtoull(line + strlen(key), NULL, 10);
    }
    fclose(file);
    return kib * 1024;
}

void cli_bench_read_memory(uint64_t *resident, uint64_t *peak) {
    *resident = read_status("VmRSS:");
    *peak = read_status("VmHWM:");
}

/* ---- the command -------------------------------------------------------------------------------------------- */

static cli_status check_settings(const cli_settings *settings, cli_error *error) {
    if (settings->argument_count > 0) {
        return cli_fail(error, CLI_USAGE, "bench takes options only; name the model by --model %.80s",
                        settings->arguments[0]);
    }
    if (settings->plot && (settings->only == CLI_BENCH_COLD_START || settings->only == CLI_BENCH_MEMORY)) {
        return cli_fail(error, CLI_USAGE, "--plot shows throughput and latency, and --only asks for neither");
    }
    if (settings->plot && strcmp(settings->plot, "-") == 0) {
        return cli_fail(error, CLI_USAGE, "--plot needs the name of a file: standard output is for the figures");
    }
    return CLI_OK;
}

/* What the device is. One that is not listed, which cannot be, stays empty. */
static void find_device(cli_bench_job *bench) {
    enum { MOST = 64 };
    ce_device_info infos[MOST];
    size_t count = 0;
    if (ce_devices(infos, MOST, &count, NULL) != CE_OK) return;
    for (size_t i = 0; i < count && i < MOST; i++) {
        if (strcmp(infos[i].id, bench->placement.device) == 0) bench->device = infos[i];
    }
}

static cli_status load(cli_bench_job *bench, cli_error *error) {
    ce_error why = {0};
    uint64_t peak;
    cli_bench_read_memory(&bench->resident_at_start, &peak);
    cli_status status = cli_scorer_open_any(&bench->scorer, bench->settings, CE_PLACE_EAGER, error);
    if (status != CLI_OK) return status;
    if (cli_bench_wants(bench, CLI_BENCH_MEMORY)) cli_bench_read_memory(&bench->resident_loaded, &peak);
    bench->placement.size = sizeof bench->placement;
    const cli_scorer *scorer = &bench->scorer;
    ce_status found = scorer->encoder ? ce_encoder_placement(scorer->encoder, &bench->placement, &why)
                                      : ce_model_placement(scorer->model, &bench->placement, &why);
    if (found != CE_OK) return cli_fail_call(error, found, &why);
    find_device(bench);
    return CLI_OK;
}

static cli_status write_figures(const cli_bench_job *bench, cli_output *output, cli_error *error) {
    if (bench->settings->json)
        cli_bench_write_json(output, bench);
    else
        cli_bench_write_table(output, bench);
    return cli_output_commit(output, error);
}

static cli_status run(cli_bench_job *bench, cli_output *output, cli_output *plot, cli_error *error) {
    const cli_settings *settings = bench->settings;
    cli_status status = cli_output_open(output, NULL, (cli_color)settings->color, error);
    /* Before the work: who cannot write the plot should not wait for it. */
    if (status == CLI_OK && settings->plot) status = cli_output_open(plot, settings->plot, CLI_COLOR_NEVER, error);
    if (status == CLI_OK) status = load(bench, error);
    if (status == CLI_OK) status = cli_bench_measure(bench, error);
    if (status == CLI_OK) status = write_figures(bench, output, error);
    if (status == CLI_OK && settings->plot) {
        cli_bench_write_plot(plot, bench);
        status = cli_output_commit(plot, error);
    }
    return status;
}

cli_status cli_bench(const cli_settings *settings, cli_error *error) {
    cli_status status = check_settings(settings, error);
    if (status != CLI_OK) return status;
    cli_bench_job *bench = calloc(1, sizeof *bench);
    cli_output *output = calloc(1, sizeof *output), *plot = calloc(1, sizeof *plot);
    if (bench && output && plot) {
        bench->settings = settings;
        bench->budget = (double)(settings->seconds ? settings->seconds : settings->quick ? QUICK_SECONDS : SECONDS);
        status = run(bench, output, plot, error);
        cli_scorer_close(&bench->scorer);
        cli_output_close(plot);
        cli_output_close(output);
    } else {
        status = cli_fail_memory(error);
    }
    free(plot);
    free(output);
    free(bench);
    return status;
}
