/* bench_plot.c - throughput and latency as a picture: an SVG that needs no other file. Measures nothing.
 *
 * Widths of texts are not known here: they have room by the widest letters of common fonts, or are cut. */
#include "bench.h"

#include "format.h"
#include "utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Pixels. A panel's columns stand from LEFT to its right edge, and from TOP to BOTTOM. */
enum { MARGIN = 32, PANEL = 520, NARROW_PANEL = 400, LEFT = 64, TOP = 150, BOTTOM = 400, HEIGHT = 500 };

#define INK "#1f2328"
#define FAINT_INK "#57606a"
#define GRID "#e2e6ea"
#define AXIS "#8c959f"
#define BLUE "#3a78b5"
#define LIGHT_BLUE "#86aed3"
#define ORANGE "#b85c2b"
#define DARK_ORANGE "#6b3010"

/* ---- elements ----------------------------------------------------------------------------------------------- */

/* text as the content of an element, cut to columns. What XML cannot say becomes a question mark. */
static void write_xml(cli_output *output, const char *text, size_t columns) {
    const size_t size = strlen(text);
    for (size_t at = 0, used = 0; at < size; used++) {
        uint32_t point;
        bool valid;
        const size_t length = cli_utf8_read(text + at, size - at, &point, &valid);
        if (used + 1 == columns && at + length < size) {
            cli_write_string(output, "…");
            return;
        }
        if (!valid || point < 0x20 || point == 0xFFFE || point == 0xFFFF)
            cli_write_string(output, "?");
        else if (point == '<' || point == '&' || point == '>')
            cli_print(output, "&#%u;", (unsigned)point);
        else
            cli_write(output, text + at, length);
        at += length;
    }
}

/* Where a text begins, or ends, or has its middle. */
typedef struct place {
    double x, y;
    const char *anchor; /* "start", "middle", "end" */
} place;

static void begin_text(cli_output *output, place at, int size, const char *color, const char *more) {
    cli_print(output, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\" fill=\"%s\"%s>", at.x, at.y,
              at.anchor, size, color, more);
}

static void end_text(cli_output *output) { cli_write_string(output, "</text>\n"); }

static void draw_text(cli_output *output, place at, int size, const char *color, const char *format, ...)
    CE_PRINTF(5, 6);

static void draw_text(cli_output *output, place at, int size, const char *color, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    begin_text(output, at, size, color, "");
    write_xml(output, text, sizeof text);
    end_text(output);
}

/* The number that a bar stands for, legible over the lines behind it. */
static void draw_value(cli_output *output, double x, double y, const char *text) {
    begin_text(output, (place){x, y - 6, "middle"}, 12, INK,
               " stroke=\"#ffffff\" stroke-width=\"4\" paint-order=\"stroke\"");
    write_xml(output, text, CLI_NUMBER_SIZE);
    end_text(output);
}

static void draw_title(cli_output *output, place at, int size, const char *text, size_t columns) {
    begin_text(output, at, size, INK, " font-weight=\"bold\"");
    write_xml(output, text, columns);
    end_text(output);
}

static void draw_line(cli_output *output, double x1, double y1, double x2, double y2, const char *color, double width) {
    cli_print(output, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%.1f\"/>\n",
              x1, y1, x2, y2, color, width);
}

static void draw_bar(cli_output *output, double x, double y, double width, const char *color) {
    cli_print(output, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, width,
              BOTTOM - y, color);
}

/* ---- panels ------------------------------------------------------------------------------------------------- */

/* Columns side by side over an axis. */
typedef struct panel {
    double x, width; /* of all of it */
    size_t columns;
} panel;

static double slot_of(const panel *at) { return (at->width - LEFT) / (double)at->columns; }
static double middle_of(const panel *at, size_t column) { return at->x + LEFT + slot_of(at) * ((double)column + 0.5); }
static double bar_width(const panel *at) { return slot_of(at) * 0.7 < 60 ? slot_of(at) * 0.7 : 60; }

static void draw_head(cli_output *output, const panel *at, const char *title, const char *what, const char *axis) {
    draw_title(output, (place){at->x, 104, "start"}, 15, title, 40);
    draw_text(output, (place){at->x, 124, "start"}, 12, FAINT_INK, "%s", what);
    draw_text(output, (place){at->x + LEFT + (at->width - LEFT) / 2, BOTTOM + 40, "middle"}, 12, FAINT_INK, "%s", axis);
}

/* A line across, with what it stands for. */
static void draw_mark(cli_output *output, const panel *at, double y, const char *label) {
    draw_line(output, at->x + LEFT, y, at->x + at->width, y, y == BOTTOM ? AXIS : GRID, 1);
    draw_text(output, (place){at->x + LEFT - 8, y + 4, "end"}, 12, FAINT_INK, "%s", label);
}

/* The step of 1, 2 or 5 times a power of ten that parts most in four to nine. */
static double step_for(double most) {
    const double power = pow(10, floor(log10(most / 4)));
    const double times = most / 4 / power;
    return power * (times >= 5 ? 5 : times >= 2 ? 2 : 1);
}

static const char *tokens_label(double value, char text[static CLI_NUMBER_SIZE]) {
    if (value > 0 && value < 1)
        snprintf(text, CLI_NUMBER_SIZE, "%.2g", value);
    else
        cli_format_count((uint64_t)(value + 0.5), text);
    return text;
}

/* ---- throughput --------------------------------------------------------------------------------------------- */

static double per_second(double amount, const cli_bench_throughput *row) {
    return row->seconds > 0 ? amount / row->seconds : 0;
}

static void draw_throughput_bar(cli_output *output, const panel *at, size_t i, const cli_bench_throughput *row,
                                double y) {
    const double middle = middle_of(at, i), wide = bar_width(at), pairs = per_second((double)row->pairs, row);
    const bool is_mixed = row->shortest != row->longest;
    char text[CLI_NUMBER_SIZE];
    draw_bar(output, middle - wide / 2, y, wide, is_mixed ? LIGHT_BLUE : BLUE);
    if (pairs < 99.95)
        snprintf(text, sizeof text, "%.1f", pairs);
    else
        cli_format_count((uint64_t)(pairs + 0.5), text);
    draw_value(output, middle, y, text);
    if (row->peak > 0 && BOTTOM - y > 28) {
        draw_text(output, (place){middle, y + 18, "middle"}, 12, is_mixed ? INK : "#ffffff", "%.0f %%",
                  100 * per_second(row->operations, row) / row->peak);
    }
    if (is_mixed)
        draw_text(output, (place){middle, BOTTOM + 18, "middle"}, 12, INK, "%zu–%zu", row->shortest, row->longest);
    else
        draw_text(output, (place){middle, BOTTOM + 18, "middle"}, 12, INK, "%zu", row->longest);
}

static void draw_throughput(cli_output *output, const panel *at, const cli_bench_job *bench) {
    double most = 0;
    char text[CLI_NUMBER_SIZE];
    for (size_t i = 0; i < bench->throughput_count; i++)
        most = fmax(most, per_second((double)bench->throughput[i].tokens, &bench->throughput[i]));
    if (most <= 0) return;
    char about[96], axis[32];
    snprintf(about, sizeof about, "tokens a second; above the bars %ss a second, in them the share of the peak",
             cli_bench_unit(bench));
    snprintf(axis, sizeof axis, "tokens a %s", cli_bench_unit(bench));
    draw_head(output, at, "Throughput", about, axis);
    const double step = step_for(most);
    const size_t steps = (size_t)ceil(most * 1.02 / step);
    const double scale = (BOTTOM - TOP) / ((double)steps * step);
    for (size_t i = 0; i <= steps; i++) {
        const double value = (double)i * step;
        draw_mark(output, at, BOTTOM - value * scale, tokens_label(value, text));
    }
    for (size_t i = 0; i < bench->throughput_count; i++) {
        const cli_bench_throughput *row = &bench->throughput[i];
        draw_throughput_bar(output, at, i, row, BOTTOM - per_second((double)row->tokens, row) * scale);
    }
}

/* ---- latency ------------------------------------------------------------------------------------------------ */

/* "12.3 ms", "4.56 s" */
static const char *time_label(double seconds, char text[static CLI_NUMBER_SIZE]) {
    const double shown = seconds < 0.9995 ? seconds * 1e3 : seconds;
    const char *unit = seconds < 0.9995 ? "ms" : "s";
    snprintf(text, CLI_NUMBER_SIZE, shown >= 99.95 ? "%.0f %s" : shown >= 9.995 ? "%.1f %s" : "%.2f %s", shown, unit);
    return text;
}

/* Powers of ten, from one well below all medians, so that their bars have room for a text, to one that nothing exceeds.
 */
typedef struct decades {
    int first, last;
} decades;

static double height_of(const decades *scale, double seconds) {
    const double share = (log10(seconds) - scale->first) / (scale->last - scale->first);
    return BOTTOM - share * (BOTTOM - TOP);
}

static double farthest(const cli_bench_latency *row) { return row->p95 > row->p50 ? row->p95 : row->p50; }

static void draw_latency_bar(cli_output *output, const panel *at, size_t i, const cli_bench_latency *row,
                             const decades *scale) {
    const double middle = middle_of(at, i), wide = bar_width(at), y = height_of(scale, row->p50);
    char text[CLI_NUMBER_SIZE];
    draw_bar(output, middle - wide / 2, y, wide, ORANGE);
    draw_text(output, (place){middle, y + 18, "middle"}, 12, "#ffffff", "%s", time_label(row->p50, text));
    if (row->p95 > 0) {
        const double top = height_of(scale, farthest(row));
        draw_line(output, middle, top, middle, y, DARK_ORANGE, 1.5);
        draw_line(output, middle - 9, top, middle + 9, top, DARK_ORANGE, 1.5);
        draw_value(output, middle, top, time_label(row->p95, text));
    }
}

static decades decades_of(const cli_bench_job *bench) {
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < bench->latency_count; i++) {
        if (bench->latency[i].repetitions == 0) continue;
        least = fmin(least, bench->latency[i].p50);
        most = fmax(most, farthest(&bench->latency[i]));
    }
    if (!(least > 0 && most > 0)) return (decades){-3, 0};
    return (decades){(int)floor(log10(least) - 0.5), (int)ceil(log10(most * 1.2))};
}

static void draw_latency(cli_output *output, const panel *at, const cli_bench_job *bench) {
    char axis[96], text[CLI_NUMBER_SIZE];
    const decades scale = decades_of(bench);
    snprintf(axis, sizeof axis, "%s, %.4g tokens a %s",
             bench->scorer.encoder ? "texts in a call" : "documents of a query", (double)bench->latency[0].tokens,
             cli_bench_unit(bench));
    draw_head(output, at, "Latency", "logarithmic; in the bars the median, at the marks p95", axis);
    for (int power = scale.first; power <= scale.last; power++) {
        const double seconds = pow(10, power);
        snprintf(text, sizeof text, power < 0 ? "%g ms" : "%g s", power < 0 ? seconds * 1e3 : seconds);
        draw_mark(output, at, height_of(&scale, seconds), text);
    }
    for (size_t i = 0; i < bench->latency_count; i++) {
        const cli_bench_latency *row = &bench->latency[i];
        if (row->repetitions > 0)
            draw_latency_bar(output, at, i, row, &scale);
        else
            draw_text(output, (place){middle_of(at, i), BOTTOM - 8, "middle"}, 12, FAINT_INK, "left out");
        draw_text(output, (place){middle_of(at, i), BOTTOM + 18, "middle"}, 12, INK, "%s",
                  cli_format_count(row->documents, text));
    }
}

/* ---- the page ----------------------------------------------------------------------------------------------- */

/* The last part of a path; of "/" all of it. */
static void write_folder(const char *path, char *name, size_t size) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    snprintf(name, size, "%.*s", (int)(end - begin), path + begin);
}

static void draw_page_head(cli_output *output, const cli_bench_job *bench, size_t columns) {
    char name[256], about[512], threads[32] = "";
    const ce_model_info *info = &bench->scorer.info;
    write_folder(info->path, name, sizeof name);
    draw_title(output, (place){MARGIN, 42, "start"}, 20, name, columns / 2);
    if (bench->speed.threads > 0)
        snprintf(threads, sizeof threads, ", %u thread%s", bench->speed.threads, bench->speed.threads == 1 ? "" : "s");
    snprintf(about, sizeof about, "%s%s%s, %s%s; %zu layers, hidden %zu; crossenc %s", bench->placement.device,
             bench->placement.device_name[0] ? ": " : "", bench->placement.device_name,
             ce_precision_name(bench->placement.precision), threads, info->layers, info->hidden_size, ce_version());
    begin_text(output, (place){MARGIN, 64, "start"}, 12, FAINT_INK, "");
    write_xml(output, about, columns);
    end_text(output);
}

static void draw_page_foot(cli_output *output, const cli_bench_job *bench, size_t columns) {
    char about[512], bytes[CLI_NUMBER_SIZE], text[CLI_NUMBER_SIZE];
    size_t used = 0;
    about[0] = '\0';
    if (bench->speed.flops > 0)
        used += (size_t)snprintf(about, sizeof about, "peak %.1f %s", bench->speed.flops * 1e-9,
                                 cli_rate_unit(bench->placement.precision));
    if (bench->speed.bandwidth > 0)
        used += (size_t)snprintf(about + used, sizeof about - used, ", %.1f GB/s read from memory",
                                 bench->speed.bandwidth * 1e-9);
    if (bench->starts > 0)
        used += (size_t)snprintf(about + used, sizeof about - used, "%sfirst %s %s after the start of a process",
                                 used ? "; " : "", bench->scorer.encoder ? "embedding" : "score",
                                 time_label(bench->start_median, text));
    if (bench->resident_peak > 0)
        snprintf(about + used, sizeof about - used, "%s%s resident at the most", used ? "; " : "",
                 cli_format_bytes(bench->resident_peak, bytes));
    begin_text(output, (place){MARGIN, HEIGHT - 24, "start"}, 12, FAINT_INK, "");
    write_xml(output, about, columns);
    end_text(output);
}

void cli_bench_write_plot(cli_output *output, const cli_bench_job *bench) {
    const panel left = {MARGIN, PANEL, bench->throughput_count};
    const bool has_left = bench->throughput_count > 0, has_right = bench->latency_count > 0;
    const panel right = {has_left ? MARGIN + PANEL + 48 : MARGIN, has_left ? NARROW_PANEL : PANEL,
                         bench->latency_count};
    const double width = (has_right ? right.x + right.width : left.x + left.width) + MARGIN;
    const size_t columns = (size_t)((width - 2 * MARGIN) / 6.5); /* of a text of 12 pixels */
    cli_print(output,
              "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%d\" viewBox=\"0 0 %.0f %d\" "
              "font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\">\n",
              width, HEIGHT, width, HEIGHT);
    cli_print(output, "<rect width=\"%.0f\" height=\"%d\" fill=\"#ffffff\"/>\n", width, HEIGHT);
    draw_page_head(output, bench, columns);
    if (has_left) draw_throughput(output, &left, bench);
    if (has_right) draw_latency(output, &right, bench);
    draw_page_foot(output, bench, columns);
    cli_write_string(output, "</svg>\n");
}
