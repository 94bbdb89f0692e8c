/* log.c - formats a log line and hands it to the caller. Must not allocate. */
#include "base/log.h"

#include "base/error.h"

void cei_log_line(const cei_log *log, ce_log_level level, const char *format, ...) {
    if (!log || !log->fn) return;
    char line[CE_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    cei_format_message(line, format, args);
    va_end(args);
    log->fn(log->user, level, line);
}
