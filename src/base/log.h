/* log.h - lines for the caller's log callback; silent by default. */
#ifndef CEI_LOG_H
#define CEI_LOG_H

#include <crossenc/status.h>

typedef struct cei_log {
    ce_log_fn fn; /* NULL is silence */
    void *user;
} cei_log;

void cei_log_line(const cei_log *log, ce_log_level level, const char *format, ...) CE_PRINTF(3, 4);

#endif
