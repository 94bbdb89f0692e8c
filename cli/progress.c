/* progress.c - drawing the progress bar. Writes to standard error only, and only if it is a terminal. */
#include "progress.h"

#include "format.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* Shorter work shows nothing; more often than this would only cost time. */
static const double FIRST_AFTER = 0.5, REDRAW_AFTER = 0.1;

enum { MOST_BAR = 30 };

double cli_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool is_utf8_terminal(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (!value || !*value) continue;
        const char *set = strchr(value, '.');
        return set && (strncasecmp(set, ".utf-8", 6) == 0 || strncasecmp(set, ".utf8", 5) == 0);
    }
    return false;
}

void cli_progress_begin(cli_progress *progress, const cli_settings *settings, const char *what) {
    const char *terminal = getenv("TERM");
    *progress = (cli_progress){.what = what, .begun = cli_now()};
    progress->is_on = !settings->quiet && isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    progress->is_color = cli_color_wanted((cli_color)settings->color, STDERR_FILENO);
    progress->is_unicode = is_utf8_terminal();
    progress->width = cli_terminal_width(STDERR_FILENO);
    progress->unit = "pairs";
}

static const char *format_time(double seconds, char *buffer, size_t size) {
    unsigned long whole = seconds < 359999 ? (unsigned long)(seconds + 0.5) : 359999;
    if (whole >= 3600) {
        snprintf(buffer, size, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
    } else {
        snprintf(buffer, size, "%lu:%02lu", whole / 60, whole % 60);
    }
    return buffer;
}

static void draw_bar(const cli_progress *progress, size_t columns, double fraction) {
    size_t full = (size_t)((double)columns * fraction);
    const char *on = progress->is_color ? CLI_GREEN : "", *off = progress->is_color ? CLI_DIM : "";
    const char *reset = progress->is_color ? CLI_RESET : "";
    fputs(on, stderr);
    for (size_t i = 0; i < full; i++) fputs(progress->is_unicode ? "━" : "#", stderr);
    fprintf(stderr, "%s%s", reset, off);
    for (size_t i = full; i < columns; i++) fputs(progress->is_unicode ? "─" : "-", stderr);
    fprintf(stderr, "%s ", reset);
}

/* The words behind the bar, at most size bytes. */
static size_t describe(const cli_progress *progress, uint64_t done, double fraction, double seconds, char *text,
                       size_t size) {
    char count[CLI_NUMBER_SIZE], left[32], rate[CLI_NUMBER_SIZE];
    double per_second = seconds > 0 ? (double)done / seconds : 0;
    size_t used = 0;
    if (fraction >= 0) used = (size_t)snprintf(text, size, "%3.0f %%  ", 100 * fraction);
    const uint64_t speed = (uint64_t)(per_second + 0.5);
    if (progress->in_bytes)
        used += (size_t)snprintf(text + used, size - used, "%s  %s/s", cli_format_bytes(done, count),
                                 cli_format_bytes(speed, rate));
    else
        used += (size_t)snprintf(text + used, size - used, "%s %s  %s/s", cli_format_count(done, count), progress->unit,
                                 cli_format_count(speed, rate));
    if (fraction > 0) {
        double remaining = seconds * (1 - fraction) / fraction;
        used += (size_t)snprintf(text + used, size - used, "  %s left", format_time(remaining, left, sizeof left));
    }
    return used;
}

static void draw(cli_progress *progress, uint64_t done, double fraction, double seconds) {
    char text[160];
    size_t used = describe(progress, done, fraction, seconds, text, sizeof text);
    size_t needed = strlen(progress->what) + 2 + used + 2;
    size_t room = progress->width > needed ? progress->width - needed : 0;
    fprintf(stderr, "\r%s  ", progress->what);
    if (fraction >= 0 && room >= 8) draw_bar(progress, room < MOST_BAR ? room : MOST_BAR, fraction);
    /* What does not fit would wrap, and could not be wiped. */
    size_t fits = progress->width - 1 - (strlen(progress->what) + 2);
    fprintf(stderr, "%.*s\033[K", (int)fits, text);
    fflush(stderr);
    progress->is_drawn = true;
}

void cli_progress_update(cli_progress *progress, uint64_t done, double fraction) {
    if (!progress->is_on) return;
    double now = cli_now();
    if (now - progress->begun < FIRST_AFTER || now - progress->drawn < REDRAW_AFTER) return;
    progress->drawn = now;
    draw(progress, done, fraction > 1 ? 1 : fraction, now - progress->begun);
}

void cli_progress_clear(cli_progress *progress) {
    if (!progress->is_drawn) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->is_drawn = false;
}
