/* error.c - messages, and the library's statuses as exit codes. Prints nothing. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

cli_status cli_fail(cli_error *error, cli_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

cli_status cli_fail_memory(cli_error *error) { return cli_fail(error, CLI_FAILED, "out of memory"); }

static cli_status pass_on(cli_error *error, cli_status status, const ce_error *why) {
    return cli_fail(error, status, "%s", why->message);
}

cli_status cli_fail_load(cli_error *error, ce_status status, const ce_error *why) {
    switch (status) {
    case CE_ERR_NOT_FOUND:
    case CE_ERR_IO:
    case CE_ERR_FORMAT:
    case CE_ERR_MODEL:
    case CE_ERR_UNSUPPORTED: return pass_on(error, CLI_MODEL, why);
    case CE_ERR_ARGUMENT: return pass_on(error, CLI_USAGE, why);
    default: return cli_fail_call(error, status, why);
    }
}

cli_status cli_fail_call(cli_error *error, ce_status status, const ce_error *why) {
    switch (status) {
    case CE_ERR_TEXT: return pass_on(error, CLI_INPUT, why);
    case CE_ERR_DEVICE_NAME:
    case CE_ERR_DEVICE_ABSENT:
    case CE_ERR_DEVICE_MEMORY:
    case CE_ERR_DEVICE_FAULT:
    case CE_ERR_DEVICE_LOST:
    case CE_ERR_VERIFY: return pass_on(error, CLI_DEVICE, why);
    default: return pass_on(error, CLI_FAILED, why);
    }
}
