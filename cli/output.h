/* output.h - where results go: standard output, or a file that appears whole or not at all.
 *
 * Writes are buffered and remember their first failure; cli_output_flush tells of it. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "error.h"

#include <crossenc/text.h>

typedef enum cli_color { CLI_COLOR_AUTO = 0, CLI_COLOR_ALWAYS = 1, CLI_COLOR_NEVER = 2 } cli_color;

typedef struct cli_output cli_output;

/* Zeroed is closed. */
struct cli_output {
    int fd;
    const char *name; /* for messages */
    char *target;     /* NULL if fd is written in place */
    char *temporary;  /* beside target, renamed to it at the end */
    bool is_open;
    bool is_terminal;
    bool color;
    size_t width; /* columns of the terminal */
    int failure;  /* errno of the first write that failed; 0 if none */
    size_t used;
    char buffer[1 << 16];
};

/* path NULL or "-" is standard output. A regular file is written beside path under another name until
 * cli_output_commit; anything else (a device, a pipe) is written in place. */
cli_status cli_output_open(cli_output *output, const char *path, cli_color color, cli_error *error);

void cli_write(cli_output *output, const char *data, size_t size);
void cli_write_string(cli_output *output, const char *string);
void cli_print(cli_output *output, const char *format, ...) CE_PRINTF(2, 3);

/* Replaces bytes that were written before, in a file that appears whole. Errors: those of flush. */
cli_status cli_output_patch(cli_output *output, const char *data, size_t size, size_t offset, cli_error *error);

/* Hands everything to the system. Errors: OUTPUT, PIPE. */
cli_status cli_output_flush(cli_output *output, cli_error *error);

/* Flushes and gives the file its name. Errors: those of flush. */
cli_status cli_output_commit(cli_output *output, cli_error *error);

/* Releases everything; removes a file that was not committed. */
void cli_output_close(cli_output *output);

/* Has SIGINT, SIGTERM and SIGHUP remove the file that is being written before they end the process, and SIGPIPE
 * and SIGXFSZ ignored, so that a closed pipe and a file beyond the process's limit are failed writes. */
void cli_output_catch_signals(void);

/* From now on the first of these signals is only remembered, for work that can be asked to stop and cleans up by
 * itself; the same once more ends the process. */
void cli_output_postpone_signals(void);

/* Did one come? */
bool cli_output_was_signalled(void);

/* Ends the process by the signal that came; returns if none did. */
void cli_output_deliver_signal(void);

/* Is colour wanted on this file descriptor, and how wide is its terminal (80 if unknown)? */
bool cli_color_wanted(cli_color color, int fd);
size_t cli_terminal_width(int fd);

/* Escape sequences, or "" without colour. */
const char *cli_style(const cli_output *output, const char *sequence);
#define CLI_BOLD "\033[1m"
#define CLI_DIM "\033[2m"
#define CLI_RED "\033[31m"
#define CLI_GREEN "\033[32m"
#define CLI_YELLOW "\033[33m"
#define CLI_CYAN "\033[36m"
#define CLI_RESET "\033[0m"

#endif
