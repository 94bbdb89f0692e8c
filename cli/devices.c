/* devices.c - crossenc devices: what is there, what is usable, and why not; and with --measure how fast it is.
 *
 * Without --measure nothing is opened: shells ask for this list to complete names of devices. */
#include "commands.h"
#include "format.h"
#include "wrap.h"

#include <crossenc/device.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PRECISIONS = 4 };
static const ce_precision precisions[PRECISIONS] = {CE_PRECISION_FLOAT32, CE_PRECISION_BFLOAT16, CE_PRECISION_FLOAT16,
                                                    CE_PRECISION_INT8};

static bool has_precision(const ce_device_info *info, size_t index) {
    const bool has[PRECISIONS] = {info->float32, info->bfloat16, info->float16, info->int8};
    return has[index];
}

/* What --measure found of a device. */
typedef struct device_speed {
    double flops[PRECISIONS]; /* operations a second; 0 if the device lacks the precision, or was not measured */
    double bandwidth;         /* bytes a second; 0 if not known */
    double milliseconds;
    char reason[CE_ERROR_MESSAGE_SIZE]; /* why there are no figures, or no bandwidth; else "" */
} device_speed;

/* The bandwidth is measured along with the first precision. It takes 256 MiB, which some devices have not left: then it
 * is not known. */
static ce_status measure_precision(const ce_device_info *info, size_t index, bool with_bandwidth, device_speed *found) {
    ce_error why = {0};
    ce_device_speed speed = {.size = sizeof speed};
    const ce_measure_options options = {
        .size = sizeof options, .precision = precisions[index], .skip_bandwidth = !with_bandwidth};
    const ce_status status = ce_device_measure(info->id, &options, &speed, &why);
    if (status != CE_OK) snprintf(found->reason, sizeof found->reason, "%s", why.message);
    found->flops[index] = speed.flops;
    if (with_bandwidth) found->bandwidth = speed.bandwidth;
    found->milliseconds += speed.milliseconds;
    return status;
}

static void measure(const ce_device_info *info, device_speed *found) {
    bool with_bandwidth = true;
    ce_status status = info->usable ? CE_OK : CE_ERR_DEVICE_ABSENT;
    for (size_t i = 0; i < PRECISIONS && status == CE_OK; i++) {
        if (!has_precision(info, i)) continue;
        status = measure_precision(info, i, with_bandwidth, found);
        if (with_bandwidth && status == CE_ERR_DEVICE_MEMORY) status = measure_precision(info, i, false, found);
        with_bandwidth = false;
    }
}

/* [count], to be freed. */
static cli_status measure_all(const ce_device_info *infos, size_t count, device_speed **speeds, cli_error *error) {
    *speeds = calloc(count + 1, sizeof **speeds);
    if (!*speeds) return cli_fail_memory(error);
    for (size_t i = 0; i < count; i++) measure(&infos[i], &(*speeds)[i]);
    return CLI_OK;
}

/* All devices, to be freed. */
static cli_status list_devices(ce_device_info **infos, size_t *count, cli_error *error) {
    ce_error why = {0};
    *infos = NULL;
    ce_status status = ce_devices(NULL, 0, count, &why);
    if (status != CE_OK) return cli_fail_call(error, status, &why);
    size_t capacity = *count;
    *infos = calloc(capacity + 1, sizeof **infos);
    if (!*infos) return cli_fail_memory(error);
    status = ce_devices(*infos, capacity, count, &why);
    if (status != CE_OK) return cli_fail_call(error, status, &why);
    /* One may have come in between. */
    if (*count > capacity) *count = capacity;
    return CLI_OK;
}

static void write_text(cli_output *output, const char *key, const char *value) {
    cli_print(output, "\"%s\":", key);
    cli_write_json(output, ce_text_of(value));
    cli_write_string(output, ",");
}

static void write_features(cli_output *output, const char *features) {
    cli_write_string(output, "\"features\":[");
    for (bool first = true; *features; first = false) {
        size_t size = strcspn(features, " ");
        if (!first) cli_write_string(output, ",");
        cli_write_json(output, (ce_text){features, size});
        features += size;
        features += strspn(features, " ");
    }
    cli_write_string(output, "],");
}

static void write_precisions(cli_output *output, const ce_device_info *info) {
    const char *before = "";
    cli_write_string(output, "\"precisions\":[");
    for (size_t i = 0; i < PRECISIONS; i++) {
        if (!has_precision(info, i)) continue;
        cli_print(output, "%s\"%s\"", before, ce_precision_name(precisions[i]));
        before = ",";
    }
    cli_write_string(output, "]");
}

static void write_speed(cli_output *output, const device_speed *speed) {
    const char *before = "";
    cli_write_string(output, ",\"operations_per_second\":{");
    for (size_t i = 0; i < PRECISIONS; i++) {
        if (speed->flops[i] <= 0) continue;
        cli_print(output, "%s\"%s\":%.0f", before, ce_precision_name(precisions[i]), speed->flops[i]);
        before = ",";
    }
    cli_print(output,
              "},\"memory_bytes_per_second\":%.0f,\"measure_milliseconds\":%.3f,\"not_measured\":", speed->bandwidth,
              speed->milliseconds);
    cli_write_json(output, ce_text_of(speed->reason));
}

/* speeds is NULL if nothing was measured. */
static void write_json(cli_output *output, const ce_device_info *infos, const device_speed *speeds, size_t count) {
    cli_write_string(output, "[");
    for (size_t i = 0; i < count; i++) {
        const ce_device_info *info = &infos[i];
        cli_write_string(output, i ? ",{" : "{");
        write_text(output, "id", info->id);
        write_text(output, "name", info->name);
        cli_print(output, "\"usable\":%s,", info->usable ? "true" : "false");
        write_text(output, "reason", info->reason);
        write_features(output, info->features);
        cli_print(output, "\"memory_total\":%" PRIu64 ",\"memory_free\":%" PRIu64 ",", info->memory_total,
                  info->memory_free);
        write_precisions(output, info);
        if (speeds && info->usable) write_speed(output, &speeds[i]);
        cli_write_string(output, "}");
    }
    cli_write_string(output, "]\n");
}

enum { INDENT = 12 };

/* Words of the second column, behind the first column columns of the line. */
static void write_words(cli_output *output, size_t column, const char *text) {
    cli_wrap wrap = {.output = output, .indent = INDENT, .column = column};
    cli_wrap_words(&wrap, ce_text_of(text));
    cli_wrap_end(&wrap);
}

static void write_line(cli_output *output, const char *style, const char *text) {
    if (!*text) return;
    cli_print(output, "%*s%s", INDENT, "", cli_style(output, style));
    write_words(output, INDENT, text);
    cli_write_string(output, cli_style(output, style[0] ? CLI_RESET : ""));
}

static void write_memory(cli_output *output, const ce_device_info *info) {
    char total[CLI_NUMBER_SIZE], left[CLI_NUMBER_SIZE];
    if (!info->memory_total) return;
    cli_print(output, "%*s%s memory", INDENT, "", cli_format_bytes(info->memory_total, total));
    if (info->memory_free) cli_print(output, ", %s free", cli_format_bytes(info->memory_free, left));
    cli_write_string(output, "\n");
}

static void write_precision_line(cli_output *output, const ce_device_info *info) {
    char line[64] = "";
    for (size_t i = 0; i < PRECISIONS; i++) {
        const size_t used = strlen(line);
        if (has_precision(info, i)) snprintf(line + used, sizeof line - used, " %s", ce_precision_name(precisions[i]));
    }
    if (info->usable) write_line(output, "", line);
}

/* "float32 134 GFLOP/s, int8 480 GOP/s; memory 21 GB/s", in place of the precisions' names. */
static void write_speed_line(cli_output *output, const device_speed *speed) {
    char line[192] = "";
    size_t used = 0;
    for (size_t i = 0; i < PRECISIONS; i++) {
        if (speed->flops[i] <= 0) continue;
        used +=
            (size_t)snprintf(line + used, sizeof line - used, "%s%s %.1f %s", used ? ", " : "",
                             ce_precision_name(precisions[i]), speed->flops[i] * 1e-9, cli_rate_unit(precisions[i]));
    }
    if (speed->bandwidth > 0)
        snprintf(line + used, sizeof line - used, "%smemory %.1f GB/s", used ? "; " : "", speed->bandwidth * 1e-9);
    write_line(output, "", line);
    if (!speed->reason[0]) return;
    static const char begin[] = "not measured:";
    cli_print(output, "%*s%s", INDENT, "", begin);
    write_words(output, INDENT + sizeof begin - 1, speed->reason);
}

static bool has_speed(const device_speed *speed) { return speed && (speed->flops[0] > 0 || speed->reason[0]); }

/* speed is NULL if nothing was measured. */
static void write_device(cli_output *output, const ce_device_info *info, const device_speed *speed) {
    const char *reset = cli_style(output, CLI_RESET);
    cli_print(output, "%s%-*s%s", cli_style(output, CLI_BOLD), INDENT, info->id, reset);
    cli_print(output, "%s%s%s\n", cli_style(output, info->usable ? CLI_GREEN : CLI_YELLOW),
              info->usable ? "usable" : "not usable", reset);
    write_line(output, "", info->name);
    write_line(output, "", info->reason);
    write_memory(output, info);
    if (has_speed(speed))
        write_speed_line(output, speed);
    else
        write_precision_line(output, info);
    write_line(output, CLI_DIM, info->features);
}

/* Names what can be asked, to people who look. */
static void write_hint(cli_output *output) {
    if (!*cli_style(output, CLI_DIM)) return;
    cli_print(output, "%scrossenc devices --measure shows how fast they are%s\n", cli_style(output, CLI_DIM),
              cli_style(output, CLI_RESET));
}

static cli_status write_devices(const cli_settings *settings, const ce_device_info *infos, const device_speed *speeds,
                                size_t count, cli_output *output, cli_error *error) {
    cli_status status = cli_output_open(output, NULL, (cli_color)settings->color, error);
    if (status != CLI_OK) return status;
    if (settings->json) write_json(output, infos, speeds, count);
    for (size_t i = 0; i < count && !settings->json; i++) write_device(output, &infos[i], speeds ? &speeds[i] : NULL);
    if (!settings->json && !speeds) write_hint(output);
    status = cli_output_commit(output, error);
    cli_output_close(output);
    return status;
}

cli_status cli_devices(const cli_settings *settings, cli_error *error) {
    if (settings->argument_count > 0) return cli_fail(error, CLI_USAGE, "devices takes no arguments");
    ce_device_info *infos = NULL;
    device_speed *speeds = NULL;
    size_t count = 0;
    cli_output *output = calloc(1, sizeof *output);
    cli_status status = output ? list_devices(&infos, &count, error) : cli_fail_memory(error);
    if (status == CLI_OK && infos && settings->measure) status = measure_all(infos, count, &speeds, error);
    if (status == CLI_OK && output && infos) status = write_devices(settings, infos, speeds, count, output, error);
    free(speeds);
    free(infos);
    free(output);
    return status;
}
