/* error.h - how a run of the command ends, and the sentence that says why. */
#ifndef CLI_ERROR_H
#define CLI_ERROR_H

#include <crossenc/status.h>

/* Exit codes. Scripts rely on them: they are documented in the man page and never change their meaning. */
typedef enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1, /* no memory, or another fault of this run */
    CLI_USAGE = 2,  /* the command line is wrong */
    CLI_MODEL = 3,  /* the model cannot be loaded */
    CLI_DEVICE = 4, /* no such device, or it failed */
    CLI_INPUT = 5,  /* input data is missing, unreadable or malformed */
    CLI_OUTPUT = 6, /* results cannot be written */
    CLI_PIPE = 141  /* the reader of standard output went away; said by no message, as by SIGPIPE */
} cli_status;

/* Why. Zeroed is no message. */
typedef struct cli_error {
    char message[1024];
} cli_error;

/* Sets the message (cut to its room) and returns status, so that a failure is one line. */
cli_status cli_fail(cli_error *error, cli_status status, const char *format, ...) CE_PRINTF(3, 4);

cli_status cli_fail_memory(cli_error *error);

/* What a failure of the library means here: while a model is loaded, and after. */
cli_status cli_fail_load(cli_error *error, ce_status status, const ce_error *why);
cli_status cli_fail_call(cli_error *error, ce_status status, const ce_error *why);

#endif
