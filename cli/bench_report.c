/* bench_report.c - the figures of crossenc bench as tables for people and as one JSON object. Measures nothing. */
#include "bench.h"

#include "format.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* Per second, of what takes so many seconds. */
static double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

static double share_of_peak(const cli_bench_throughput *row) {
    return row->peak > 0 ? rate(row->operations, row->seconds) / row->peak : 0;
}

static double tokens_of_a_pair(uint64_t tokens, size_t pairs) { return pairs ? (double)tokens / (double)pairs : 0; }

/* ---- for people --------------------------------------------------------------------------------------------- */

enum { CELL = CLI_NUMBER_SIZE };

/* "12.3", "1,234"; "–" for what was not measured. */
static const char *format_rate(double value, char cell[static CELL]) {
    if (value <= 0) return "–";
    if (value >= 999.5) return cli_format_count((uint64_t)(value + 0.5), cell);
    snprintf(cell, CELL, value >= 99.95 ? "%.0f" : "%.1f", value);
    return cell;
}

/* Seconds as milliseconds. */
static const char *format_time(double seconds, char cell[static CELL]) {
    if (seconds <= 0) return "–";
    if (seconds >= 0.9995) return cli_format_count((uint64_t)(seconds * 1e3 + 0.5), cell);
    snprintf(cell, CELL, seconds >= 0.09995 ? "%.1f" : "%.2f", seconds * 1e3);
    return cell;
}

/* A cell that ends at its column's right edge. "–" is three bytes and one column. */
static void write_cell(cli_output *output, const char *text, size_t columns) {
    const size_t wide = cli_plain_columns(ce_text_of(text));
    cli_print(output, "%*s%s", (int)(wide < columns ? columns - wide : 0), "", text);
}

static void write_head(cli_output *output, const char *title) {
    cli_print(output, "%s%s%s\n", cli_style(output, CLI_BOLD), title, cli_style(output, CLI_RESET));
}

static void write_name(cli_output *output, const char *name) {
    cli_print(output, "  %s%-14s%s", cli_style(output, CLI_DIM), name, cli_style(output, CLI_RESET));
}

/* The names of columns. */
typedef struct column {
    const char *name;
    size_t columns;
} column;

static void write_columns(cli_output *output, const column *columns, size_t count) {
    cli_write_string(output, cli_style(output, CLI_DIM));
    for (size_t i = 0; i < count; i++) write_cell(output, columns[i].name, columns[i].columns);
    cli_print(output, "%s\n", cli_style(output, CLI_RESET));
}

static void show_model(cli_output *output, const cli_bench_job *bench) {
    const ce_model_info *info = &bench->scorer.info;
    char cell[CELL];
    write_head(output, "Model");
    write_name(output, cli_path_kind(info->path));
    cli_write_plain(output, ce_text_of(info->path), 0);
    cli_write_string(output, "\n");
    write_name(output, "size");
    cli_print(output, "%zu layers, hidden %zu, feed-forward %zu; %s parameters\n\n", info->layers, info->hidden_size,
              info->intermediate_size, cli_format_count(info->parameters, cell));
}

static void show_device(cli_output *output, const cli_bench_job *bench) {
    const ce_device_speed *speed = &bench->speed;
    write_head(output, "Device");
    write_name(output, bench->placement.device);
    cli_write_plain(output, ce_text_of(bench->placement.device_name), 0);
    cli_print(output, "%s%s", bench->placement.device_name[0] ? ", " : "",
              ce_precision_name(bench->placement.precision));
    if (speed->threads) cli_print(output, ", %u thread%s", speed->threads, speed->threads == 1 ? "" : "s");
    cli_write_string(output, "\n");
    write_name(output, "instructions");
    cli_write_plain(output, ce_text_of(bench->device.features), 0);
    cli_write_string(output, "\n");
    write_name(output, "peak");
    if (speed->flops > 0)
        cli_print(output, "%.1f %s in products, measured in this run\n", speed->flops * 1e-9,
                  cli_rate_unit(bench->placement.precision));
    else
        cli_write_string(output, bench->placement.devices > 1 ? "not known for several devices\n"
                                                              : "not known: this device cannot be measured\n");
    if (speed->bandwidth > 0) {
        write_name(output, "memory");
        cli_print(output, "%.1f GB/s read: the weights once in %.2f ms\n", speed->bandwidth * 1e-9,
                  (double)bench->placement.weight_bytes / speed->bandwidth * 1e3);
    }
    cli_write_string(output, "\n");
}

static void show_throughput(cli_output *output, const cli_bench_job *bench) {
    const bool is_texts = bench->scorer.encoder != NULL;
    const column columns[] = {{is_texts ? "tokens a text" : "tokens a pair", 17},
                              {is_texts ? "texts/s" : "pairs/s", 11},
                              {"tokens/s", 11},
                              {cli_rate_unit(bench->placement.precision), 10},
                              {"of peak", 9},
                              {"rounds", 8}};
    write_head(output, "Throughput");
    write_columns(output, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < bench->throughput_count; i++) {
        const cli_bench_throughput *row = &bench->throughput[i];
        char cell[CELL];
        if (row->shortest == row->longest)
            snprintf(cell, sizeof cell, "%.4g", tokens_of_a_pair(row->tokens, row->pairs));
        else
            snprintf(cell, sizeof cell, "%zu to %zu, mixed", row->shortest, row->longest);
        write_cell(output, cell, columns[0].columns);
        write_cell(output, format_rate(rate((double)row->pairs, row->seconds), cell), columns[1].columns);
        write_cell(output, format_rate(rate((double)row->tokens, row->seconds), cell), columns[2].columns);
        write_cell(output, format_rate(rate(row->operations, row->seconds) * 1e-9, cell), columns[3].columns);
        snprintf(cell, sizeof cell, row->peak > 0 ? "%.0f %%" : "–", 100 * share_of_peak(row));
        write_cell(output, cell, columns[4].columns);
        cli_print(output, "%*zu\n", (int)columns[5].columns, row->rounds);
    }
    cli_write_string(output, "\n");
}

static void show_latency(cli_output *output, const cli_bench_job *bench) {
    const column columns[] = {{bench->scorer.encoder ? "texts" : "documents", 17},
                              {"p50 ms", 11},
                              {"p95 ms", 11},
                              {"p99 ms", 10},
                              {"best ms", 9},
                              {"times", 8}};
    const double tokens = tokens_of_a_pair(bench->latency[0].tokens, 1);
    cli_print(output, "%sLatency%s of %s, %.4g tokens a %s\n", cli_style(output, CLI_BOLD),
              cli_style(output, CLI_RESET), bench->scorer.encoder ? "texts in one call" : "a query with documents",
              tokens, cli_bench_unit(bench));
    write_columns(output, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < bench->latency_count; i++) {
        const cli_bench_latency *row = &bench->latency[i];
        char cell[CELL];
        write_cell(output, cli_format_count(row->documents, cell), columns[0].columns);
        if (row->estimate > 0) {
            cli_print(output, "   left out: takes about %.0f s, more than --seconds\n", row->estimate);
            continue;
        }
        write_cell(output, format_time(row->p50, cell), columns[1].columns);
        write_cell(output, format_time(row->p95, cell), columns[2].columns);
        write_cell(output, format_time(row->p99, cell), columns[3].columns);
        write_cell(output, format_time(row->least, cell), columns[4].columns);
        cli_print(output, "%*zu\n", (int)columns[5].columns, row->repetitions);
    }
    cli_write_string(output, "\n");
}

static void show_start(cli_output *output, const cli_bench_job *bench) {
    write_head(output, "Cold start");
    write_name(output, bench->scorer.encoder ? "embedding" : "first score");
    cli_print(output, "%.1f ms after the start of a process; %.1f to %.1f in %zu starts\n\n", bench->start_median * 1e3,
              bench->start_least * 1e3, bench->start_most * 1e3, bench->starts);
}

/* The weights of the cpu device are in the process; those of others are not. */
static void show_resident(cli_output *output, const cli_bench_job *bench, const char *name, uint64_t bytes) {
    char cell[CELL];
    write_name(output, name);
    if (!bytes) {
        cli_write_string(output, "not known\n");
        return;
    }
    cli_print(output, "%s resident", cli_format_bytes(bytes, cell));
    if (strcmp(bench->placement.device, "cpu") == 0 && bench->placement.weight_bytes > 0)
        cli_print(output, ", %.2f times the weights", (double)bytes / (double)bench->placement.weight_bytes);
    cli_write_string(output, "\n");
}

static void show_memory(cli_output *output, const cli_bench_job *bench) {
    char weights[CELL];
    write_head(output, "Memory");
    write_name(output, "weights");
    cli_print(output, "%s on the device\n", cli_format_bytes(bench->placement.weight_bytes, weights));
    show_resident(output, bench, "after loading", bench->resident_loaded);
    show_resident(output, bench, "at the most", bench->resident_peak);
}

void cli_bench_write_table(cli_output *output, const cli_bench_job *bench) {
    show_model(output, bench);
    show_device(output, bench);
    if (bench->throughput_count > 0) show_throughput(output, bench);
    if (bench->latency_count > 0) show_latency(output, bench);
    if (bench->starts > 0) show_start(output, bench);
    if (bench->resident_peak > 0) show_memory(output, bench);
}

/* ---- for programs ------------------------------------------------------------------------------------------- */

static void write_text(cli_output *output, const char *key, const char *value) {
    cli_print(output, "\"%s\":", key);
    cli_write_json(output, ce_text_of(value));
    cli_write_string(output, ",");
}

/* A number and a comma; null for what was not measured. */
static void write_number(cli_output *output, const char *key, double value) {
    if (value > 0)
        cli_print(output, "\"%s\":%.9g,", key, value);
    else
        cli_print(output, "\"%s\":null,", key);
}

/* The same for bytes, to the last one. */
static void write_bytes(cli_output *output, const char *key, uint64_t bytes) {
    if (bytes > 0)
        cli_print(output, "\"%s\":%" PRIu64 ",", key, bytes);
    else
        cli_print(output, "\"%s\":null,", key);
}

static void write_count(cli_output *output, const char *key, uint64_t value) {
    cli_print(output, "\"%s\":%" PRIu64 ",", key, value);
}

static void write_machine(cli_output *output) {
    struct utsname names = {0};
    char text[sizeof names.sysname + sizeof names.release + sizeof names.machine];
    const time_t now = time(NULL);
    struct tm utc;
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    write_text(output, "crossenc", ce_version());
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    write_text(output, "time", text);
    uname(&names);
    snprintf(text, sizeof text, "%s %s %s", names.sysname, names.release, names.machine);
    write_text(output, "system", text);
    write_count(output, "cpus", cpus > 0 ? (uint64_t)cpus : 0);
}

static void write_device(cli_output *output, const cli_bench_job *bench) {
    const ce_device_speed *speed = &bench->speed;
    cli_write_string(output, "\"device\":{");
    write_text(output, "id", bench->placement.device);
    write_text(output, "name", bench->placement.device_name);
    write_text(output, "features", bench->device.features);
    write_text(output, "precision", ce_precision_name(bench->placement.precision));
    write_number(output, "threads", speed->threads);
    write_number(output, "peak_operations_per_second", speed->flops);
    write_number(output, "memory_bytes_per_second", speed->bandwidth);
    cli_print(output, "\"memory_total\":%" PRIu64 "},", bench->device.memory_total);
}

static void write_model(cli_output *output, const cli_bench_job *bench) {
    const ce_model_info *info = &bench->scorer.info;
    cli_write_string(output, "\"model\":{");
    write_text(output, "path", info->path);
    write_text(output, "kind", ce_kind_name(bench->scorer.encoder ? CE_KIND_BI_ENCODER : CE_KIND_CROSS_ENCODER));
    write_text(output, "architecture", info->architecture);
    write_text(output, "weight_dtype", info->weight_dtype);
    write_count(output, "parameters", info->parameters);
    write_count(output, "layers", info->layers);
    write_count(output, "hidden_size", info->hidden_size);
    write_count(output, "heads", info->heads);
    write_count(output, "intermediate_size", info->intermediate_size);
    write_count(output, "max_length", info->max_length);
    cli_print(output, "\"weight_bytes\":%" PRIu64 "},", bench->placement.weight_bytes);
}

static void write_throughput(cli_output *output, const cli_bench_job *bench) {
    const bool is_texts = bench->scorer.encoder != NULL;
    cli_write_string(output, "\"throughput\":[");
    for (size_t i = 0; i < bench->throughput_count; i++) {
        const cli_bench_throughput *row = &bench->throughput[i];
        cli_write_string(output, i ? ",{" : "{");
        write_count(output, "shortest", row->shortest);
        write_count(output, "longest", row->longest);
        write_number(output, is_texts ? "tokens_per_text" : "tokens_per_pair",
                     tokens_of_a_pair(row->tokens, row->pairs));
        write_count(output, is_texts ? "texts" : "pairs", row->pairs);
        write_count(output, "rounds", row->rounds);
        write_number(output, "seconds", row->seconds);
        write_number(output, "best_seconds", row->least_seconds);
        write_number(output, is_texts ? "texts_per_second" : "pairs_per_second",
                     rate((double)row->pairs, row->seconds));
        write_number(output, "tokens_per_second", rate((double)row->tokens, row->seconds));
        write_number(output, "operations_per_second", rate(row->operations, row->seconds));
        write_number(output, "peak_operations_per_second", row->peak);
        cli_print(output, row->peak > 0 ? "\"share_of_peak\":%.4f}" : "\"share_of_peak\":null}", share_of_peak(row));
    }
    cli_write_string(output, "],");
}

static void write_latency(cli_output *output, const cli_bench_job *bench) {
    const bool is_texts = bench->scorer.encoder != NULL;
    cli_write_string(output, "\"latency\":[");
    for (size_t i = 0; i < bench->latency_count; i++) {
        const cli_bench_latency *row = &bench->latency[i];
        cli_write_string(output, i ? ",{" : "{");
        write_count(output, is_texts ? "texts" : "documents", row->documents);
        write_number(output, is_texts ? "tokens_per_text" : "tokens_per_pair",
                     tokens_of_a_pair(row->tokens, row->documents));
        write_number(output, "p50_ms", row->p50 * 1e3);
        write_number(output, "p95_ms", row->p95 * 1e3);
        write_number(output, "p99_ms", row->p99 * 1e3);
        write_number(output, "best_ms", row->least * 1e3);
        write_number(output, "worst_ms", row->most * 1e3);
        cli_print(output, "\"repetitions\":%zu}", row->repetitions);
    }
    cli_write_string(output, "],");
}

static void write_start(cli_output *output, const cli_bench_job *bench) {
    cli_write_string(output, "\"cold_start\":{");
    write_number(output, "median_ms", bench->start_median * 1e3);
    write_number(output, "best_ms", bench->start_least * 1e3);
    write_number(output, "worst_ms", bench->start_most * 1e3);
    cli_print(output, "\"starts\":%zu},", bench->starts);
}

static void write_memory(cli_output *output, const cli_bench_job *bench) {
    cli_write_string(output, "\"memory\":{");
    write_bytes(output, "resident_at_start", bench->resident_at_start);
    write_bytes(output, "resident_after_loading", bench->resident_loaded);
    write_bytes(output, "resident_peak", bench->resident_peak);
    write_count(output, "weight_bytes", bench->placement.weight_bytes);
    cli_print(output, "\"workspace_bytes\":%" PRIu64 "}", bench->placement.workspace_bytes);
}

/* What --only left out: no rows, or null. */
void cli_bench_write_json(cli_output *output, const cli_bench_job *bench) {
    cli_write_string(output, "{");
    write_machine(output);
    write_number(output, "seconds", bench->budget);
    write_device(output, bench);
    write_model(output, bench);
    write_throughput(output, bench);
    write_latency(output, bench);
    write_start(output, bench);
    write_memory(output, bench);
    cli_write_string(output, "}\n");
}
