/* reader.h - the lines of a file or of standard input, with bounded memory and checked UTF-8.
 *
 * A line ends at LF or CRLF; the last one needs no end. A byte order mark at the beginning is passed over. NULs are
 * characters like others. A line may be as long as CLI_LINE_LIMIT. */
#ifndef CLI_READER_H
#define CLI_READER_H

#include "error.h"

#include <crossenc/text.h>

#define CLI_LINE_LIMIT ((size_t)1 << 30)

/* Zeroed is closed. */
typedef struct cli_reader {
    const char *name; /* for messages */
    int fd;           /* -1 when reading from memory */
    bool is_open;
    bool replace; /* what is not UTF-8 becomes U+FFFD; else it is an error */
    bool ended;   /* the file, not yet its lines */
    char *buffer; /* [capacity]; buffer[begin, end) was read and not given yet */
    size_t capacity, begin, end;
    size_t searched; /* of those bytes, how many hold no LF */
    char *repaired;  /* [repaired_capacity] the line with U+FFFD in it */
    size_t repaired_capacity;
    uint64_t line;     /* number of the line given last, from 1 */
    uint64_t consumed; /* bytes of the lines given */
    uint64_t total;    /* bytes of the file; 0 if unknown */
} cli_reader;

/* path NULL or "-" is standard input. path must live as long as the reader. Errors: INPUT, FAILED. */
cli_status cli_reader_open(cli_reader *reader, const char *path, bool replace, cli_error *error);

/* Reads size bytes at data instead of a file; they must live as long as the reader. */
void cli_reader_open_memory(cli_reader *reader, const char *data, size_t size, bool replace);

void cli_reader_close(cli_reader *reader);

/* The next line without its end, valid until the next call; *more is false and the line empty when there is none.
 * Errors: INPUT (unreadable, too long, not UTF-8), FAILED. */
cli_status cli_reader_next(cli_reader *reader, ce_text *line, bool *more, cli_error *error);

/* Can the next line, or the end, be had without waiting for whoever writes it? */
bool cli_reader_is_ready(const cli_reader *reader);

/* How much of the file was given, in [0, 1]; negative if unknown. */
double cli_reader_fraction(const cli_reader *reader);

/* An error that names the file and the line given last. */
cli_status cli_fail_line(cli_error *error, const cli_reader *reader, const char *format, ...) CE_PRINTF(3, 4);

/* text itself, or with U+FFFD for what is not UTF-8, written to *memory (to be freed); or an error that says what. For
 * texts from the command line. */
cli_status cli_check_text(const char *what, ce_text *text, bool replace, char **memory, cli_error *error);

#endif
