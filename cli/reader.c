/* reader.c - lines out of a buffer that grows to the longest of them. Relies on POSIX read and poll. Must not print,
 * and must not change a byte of a line but where it is told to repair. */
#include "reader.h"

#include "memory.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024 };

cli_status cli_reader_open(cli_reader *reader, const char *path, bool replace, cli_error *error) {
    bool from_stdin = !path || strcmp(path, "-") == 0;
    *reader = (cli_reader){.name = from_stdin ? "standard input" : path, .replace = replace};
    reader->fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (reader->fd < 0 || fstat(reader->fd, &status) != 0) {
        int number = errno;
        if (reader->fd > STDIN_FILENO) close(reader->fd);
        return cli_fail(error, CLI_INPUT, "cannot read %s: %s", reader->name, strerror(number));
    }
    reader->is_open = true;
    if (S_ISDIR(status.st_mode)) {
        cli_reader_close(reader);
        return cli_fail(error, CLI_INPUT, "cannot read %s: it is a folder", from_stdin ? "standard input" : path);
    }
    if (S_ISREG(status.st_mode)) reader->total = (uint64_t)status.st_size;
    return CLI_OK;
}

void cli_reader_open_memory(cli_reader *reader, const char *data, size_t size, bool replace) {
    *reader = (cli_reader){.name = "memory", .replace = replace, .fd = -1, .is_open = true, .ended = true};
    /* Never written to: cli_reader_next only reads the buffer once the file has ended. */
    memcpy(&reader->buffer, &data, sizeof data);
    reader->end = size;
    reader->total = size;
}

void cli_reader_close(cli_reader *reader) {
    if (!reader->is_open) return;
    if (reader->fd > STDIN_FILENO) close(reader->fd);
    if (reader->fd >= 0) free(reader->buffer);
    free(reader->repaired);
    *reader = (cli_reader){0};
}

cli_status cli_fail_line(cli_error *error, const cli_reader *reader, const char *format, ...) {
    char what[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return cli_fail(error, CLI_INPUT, "%s, line %llu: %s", reader->name, (unsigned long long)reader->line, what);
}

/* Room for more bytes: what was given goes first, then the buffer grows. */
static bool make_room(cli_reader *reader) {
    if (reader->begin > 0 && reader->end - reader->begin <= reader->capacity / 2) {
        memmove(reader->buffer, reader->buffer + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    if (reader->capacity - reader->end >= READ_BYTES / 2) return true;
    return cli_grow(&reader->buffer, &reader->capacity, reader->end + READ_BYTES, 1);
}

static cli_status fill(cli_reader *reader, cli_error *error) {
    if (!make_room(reader)) return cli_fail_memory(error);
    ssize_t size;
    do size = read(reader->fd, reader->buffer + reader->end, reader->capacity - reader->end);
    while (size < 0 && errno == EINTR);
    if (size < 0) return cli_fail(error, CLI_INPUT, "cannot read %s: %s", reader->name, strerror(errno));
    reader->ended = size == 0;
    reader->end += (size_t)size;
    return CLI_OK;
}

/* Bytes of the next line with its end; 0 if more must be read to know. */
static size_t line_bytes(cli_reader *reader) {
    size_t size = reader->end - reader->begin;
    if (size > reader->searched) {
        const char *begin = reader->buffer + reader->begin;
        const char *found = memchr(begin + reader->searched, '\n', size - reader->searched);
        if (found) return (size_t)(found - begin) + 1;
    }
    reader->searched = size;
    return reader->ended ? size : 0;
}

static ce_text without_end(const char *data, size_t size) {
    if (size > 0 && data[size - 1] == '\n') size--;
    if (size > 0 && data[size - 1] == '\r') size--;
    return (ce_text){data, size};
}

/* What some editors and shells call Unicode begins with a mark that is never UTF-8. */
static bool is_utf16(const cli_reader *reader, const ce_text *line) {
    return reader->line == 1 && line->size >= 2 &&
           (memcmp(line->data, "\xFF\xFE", 2) == 0 || memcmp(line->data, "\xFE\xFF", 2) == 0);
}

static cli_status check_line(cli_reader *reader, ce_text *line, cli_error *error) {
    size_t bad = cli_utf8_check(*line);
    if (bad == line->size) return CLI_OK;
    if (!reader->replace && is_utf16(reader, line)) {
        return cli_fail(error, CLI_INPUT, "%s is UTF-16, and must be UTF-8: iconv -f UTF-16 -t UTF-8 makes it that",
                        reader->name);
    }
    if (!reader->replace) {
        return cli_fail_line(error, reader, "byte %zu (0x%02x) is not UTF-8; with --utf8 replace it is read as U+FFFD",
                             bad + 1, (unsigned)(unsigned char)line->data[bad]);
    }
    if (!cli_grow(&reader->repaired, &reader->repaired_capacity, 3 * line->size, 1)) return cli_fail_memory(error);
    *line = (ce_text){reader->repaired, cli_utf8_replace(*line, reader->repaired)};
    return CLI_OK;
}

static size_t mark_size(const ce_text *line) {
    return line->size >= 3 && memcmp(line->data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

cli_status cli_reader_next(cli_reader *reader, ce_text *line, bool *more, cli_error *error) {
    size_t size = 0;
    *line = (ce_text){"", 0};
    *more = false;
    while ((size = line_bytes(reader)) == 0 && !reader->ended) {
        if (reader->end - reader->begin > CLI_LINE_LIMIT) {
            reader->line++;
            return cli_fail_line(error, reader, "it is longer than %zu MiB", CLI_LINE_LIMIT >> 20);
        }
        cli_status status = fill(reader, error);
        if (status != CLI_OK) return status;
    }
    if (size == 0) return CLI_OK;
    *line = without_end(reader->buffer + reader->begin, size);
    *more = true;
    reader->begin += size;
    reader->consumed += size;
    reader->searched = 0;
    if (reader->line++ == 0) {
        size_t mark = mark_size(line);
        line->data += mark;
        line->size -= mark;
    }
    return check_line(reader, line, error);
}

bool cli_reader_is_ready(const cli_reader *reader) {
    if (reader->ended || reader->total > 0) return true;
    size_t size = reader->end - reader->begin;
    if (size > 0 && memchr(reader->buffer + reader->begin, '\n', size)) return true;
    struct pollfd poll_in = {.fd = reader->fd, .events = POLLIN};
    return poll(&poll_in, 1, 0) != 0;
}

double cli_reader_fraction(const cli_reader *reader) {
    if (reader->total == 0) return -1;
    double fraction = (double)reader->consumed / (double)reader->total;
    return fraction < 1 ? fraction : 1;
}

cli_status cli_check_text(const char *what, ce_text *text, bool replace, char **memory, cli_error *error) {
    size_t bad = cli_utf8_check(*text);
    *memory = NULL;
    if (bad == text->size) return CLI_OK;
    if (!replace) {
        return cli_fail(error, CLI_INPUT,
                        "%s: byte %zu (0x%02x) is not UTF-8; with --utf8 replace it is read as U+FFFD", what, bad + 1,
                        (unsigned)(unsigned char)text->data[bad]);
    }
    *memory = malloc(3 * text->size);
    if (!*memory) return cli_fail_memory(error);
    *text = (ce_text){*memory, cli_utf8_replace(*text, *memory)};
    return CLI_OK;
}
