/* format.c - numbers and texts for people and for programs. Relies on the C locale for numbers, and on POSIX for
 * what a path is. */
#include "format.h"

#include "utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* U+FFFD, in place of what is no UTF-8. */
#define REPLACEMENT "\xEF\xBF\xBD"

const char *cli_format_score(float score, char buffer[static CLI_NUMBER_SIZE]) {
    if (isnan(score)) return "nan"; /* without its sign */
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(buffer, CLI_NUMBER_SIZE, "%.*g", digits, (double)score);
        if (strtof(buffer, NULL) == score) break;
    }
    return buffer;
}

const char *cli_format_json_score(float score, char buffer[static CLI_NUMBER_SIZE]) {
    return isfinite(score) ? cli_format_score(score, buffer) : "null";
}

const char *cli_format_count(uint64_t count, char buffer[static CLI_NUMBER_SIZE]) {
    char digits[24];
    size_t size = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count), out = 0;
    for (size_t i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) buffer[out++] = ',';
        buffer[out++] = digits[i];
    }
    buffer[out] = '\0';
    return buffer;
}

const char *cli_format_bytes(uint64_t bytes, char buffer[static CLI_NUMBER_SIZE]) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    if (bytes < 1024) {
        snprintf(buffer, CLI_NUMBER_SIZE, "%" PRIu64 " B", bytes);
        return buffer;
    }
    for (value /= 1024; value >= 1024 && unit < 5; unit++) value /= 1024;
    snprintf(buffer, CLI_NUMBER_SIZE, "%.1f %s", value, units[unit]);
    return buffer;
}

static void write_escape(cli_output *output, uint32_t point) {
    switch (point) {
    case '"': cli_write(output, "\\\"", 2); break;
    case '\\': cli_write(output, "\\\\", 2); break;
    case '\n': cli_write(output, "\\n", 2); break;
    case '\r': cli_write(output, "\\r", 2); break;
    case '\t': cli_write(output, "\\t", 2); break;
    default: cli_print(output, "\\u%04x", (unsigned)point);
    }
}

/* What JSON wants escaped; and DEL and the line ends that are no ASCII, at which programs part lines. */
static bool needs_escape(uint32_t point) {
    return point < 0x20 || point == '"' || point == '\\' || point == 0x7F || point == 0x85 || point == 0x2028 ||
           point == 0x2029;
}

void cli_write_json(cli_output *output, ce_text text) {
    size_t begin = 0;
    cli_write(output, "\"", 1);
    for (size_t at = 0; at < text.size;) {
        uint32_t point;
        bool valid;
        size_t length = cli_utf8_read(text.data + at, text.size - at, &point, &valid);
        if (!valid || needs_escape(point)) {
            cli_write(output, text.data + begin, at - begin);
            if (valid)
                write_escape(output, point);
            else
                cli_write_string(output, REPLACEMENT);
            begin = at + length;
        }
        at += length;
    }
    if (text.size) cli_write(output, text.data + begin, text.size - begin);
    cli_write(output, "\"", 1);
}

/* C0, DEL, C1, the two Unicode line ends, and the marks that turn the direction of what follows. */
static bool is_control(uint32_t point) {
    return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x2028 || point == 0x2029 ||
           (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}

/* How many bytes of text fit into columns. */
static size_t fitting_bytes(ce_text text, size_t columns, size_t *used) {
    size_t at = 0;
    *used = 0;
    while (at < text.size) {
        uint32_t point;
        bool valid;
        size_t length = cli_utf8_read(text.data + at, text.size - at, &point, &valid);
        size_t wide = is_control(point) ? 1 : cli_utf8_columns(point);
        if (columns && *used + wide > columns) break;
        *used += wide;
        at += length;
    }
    return at;
}

size_t cli_plain_columns(ce_text text) {
    size_t used;
    fitting_bytes(text, 0, &used);
    return used;
}

static void write_without_controls(cli_output *output, ce_text text) {
    size_t begin = 0;
    for (size_t at = 0; at < text.size;) {
        uint32_t point;
        bool valid;
        size_t length = cli_utf8_read(text.data + at, text.size - at, &point, &valid);
        if (!valid || is_control(point)) {
            cli_write(output, text.data + begin, at - begin);
            cli_write_string(output, valid ? " " : REPLACEMENT);
            begin = at + length;
        }
        at += length;
    }
    if (text.size) cli_write(output, text.data + begin, text.size - begin);
}

void cli_write_plain(cli_output *output, ce_text text, size_t columns) {
    size_t used;
    size_t whole = columns ? fitting_bytes(text, columns, &used) : text.size;
    bool is_cut = whole < text.size;
    if (is_cut) whole = columns > 1 ? fitting_bytes(text, columns - 1, &used) : 0;
    write_without_controls(output, (ce_text){text.data, whole});
    if (is_cut) cli_write_string(output, "…");
}

void cli_make_plain(char *message) {
    size_t size = strlen(message), out = 0;
    for (size_t at = 0; at < size;) {
        uint32_t point;
        bool valid;
        size_t length = cli_utf8_read(message + at, size - at, &point, &valid);
        if (!valid) {
            message[out++] = '?';
        } else if (is_control(point)) {
            message[out++] = ' ';
        } else {
            memmove(message + out, message + at, length);
            out += length;
        }
        at += length;
    }
    message[out] = '\0';
}

const char *cli_rate_unit(ce_precision precision) { return precision == CE_PRECISION_INT8 ? "GOP/s" : "GFLOP/s"; }

const char *cli_path_kind(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? "file" : "folder";
}
