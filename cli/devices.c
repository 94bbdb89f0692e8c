/* devices.c - crossenc devices: what is there, what is usable, and why not. */
#include "commands.h"
#include "format.h"

#include <crossenc/device.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
    const bool has[] = {info->float32, info->bfloat16, info->int8};
    static const ce_precision precisions[] = {CE_PRECISION_FLOAT32, CE_PRECISION_BFLOAT16, CE_PRECISION_INT8};
    const char *before = "";
    cli_write_string(output, "\"precisions\":[");
    for (size_t i = 0; i < sizeof has / sizeof *has; i++) {
        if (!has[i]) continue;
        cli_print(output, "%s\"%s\"", before, ce_precision_name(precisions[i]));
        before = ",";
    }
    cli_write_string(output, "]}");
}

static void write_json(cli_output *output, const ce_device_info *infos, size_t count) {
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
    }
    cli_write_string(output, "]\n");
}

enum { INDENT = 12, MOST_WIDTH = 100 };

/* Words, wrapped and indented as the second column. */
static void write_wrapped(cli_output *output, const char *text) {
    size_t width = output->width < MOST_WIDTH ? output->width : MOST_WIDTH;
    size_t room = width > INDENT + 20 ? width - INDENT : 20, used = 0;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        ce_text word = {text, strcspn(text, " ")};
        size_t columns = cli_plain_columns(word);
        if (used > 0 && used + 1 + columns > room) {
            cli_print(output, "\n%*s", INDENT, "");
            used = 0;
        } else if (used > 0) {
            cli_write_string(output, " ");
            used++;
        }
        cli_write_plain(output, word, 0);
        used += columns;
        text += word.size;
    }
    cli_write_string(output, "\n");
}

static void write_line(cli_output *output, const char *style, const char *text) {
    if (!*text) return;
    cli_print(output, "%*s%s", INDENT, "", cli_style(output, style));
    write_wrapped(output, text);
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
    char line[64];
    snprintf(line, sizeof line, "%s %s %s", info->float32 ? ce_precision_name(CE_PRECISION_FLOAT32) : "",
             info->bfloat16 ? ce_precision_name(CE_PRECISION_BFLOAT16) : "",
             info->int8 ? ce_precision_name(CE_PRECISION_INT8) : "");
    if (info->usable) write_line(output, "", line);
}

static void write_device(cli_output *output, const ce_device_info *info) {
    const char *reset = cli_style(output, CLI_RESET);
    cli_print(output, "%s%-*s%s", cli_style(output, CLI_BOLD), INDENT, info->id, reset);
    cli_print(output, "%s%s%s\n", cli_style(output, info->usable ? CLI_GREEN : CLI_YELLOW),
              info->usable ? "usable" : "not usable", reset);
    write_line(output, "", info->name);
    write_line(output, "", info->reason);
    write_memory(output, info);
    write_precision_line(output, info);
    write_line(output, CLI_DIM, info->features);
}

static cli_status write_devices(const cli_settings *settings, const ce_device_info *infos, size_t count,
                                cli_output *output, cli_error *error) {
    cli_status status = cli_output_open(output, NULL, (cli_color)settings->color, error);
    if (status != CLI_OK) return status;
    if (settings->json) write_json(output, infos, count);
    for (size_t i = 0; i < count && !settings->json; i++) write_device(output, &infos[i]);
    status = cli_output_commit(output, error);
    cli_output_close(output);
    return status;
}

cli_status cli_devices(const cli_settings *settings, cli_error *error) {
    if (settings->argument_count > 0) return cli_fail(error, CLI_USAGE, "devices takes no arguments");
    ce_device_info *infos = NULL;
    size_t count = 0;
    cli_output *output = calloc(1, sizeof *output);
    cli_status status = output ? list_devices(&infos, &count, error) : cli_fail_memory(error);
    if (status == CLI_OK && output && infos) status = write_devices(settings, infos, count, output, error);
    free(infos);
    free(output);
    return status;
}
