/* progress.h - a bar with rate and time left, on standard error, for work that takes a while. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "options.h"

/* Zeroed shows nothing. */
typedef struct cli_progress {
    bool is_on; /* standard error is a terminal, and nobody asked for quiet */
    bool is_color;
    bool is_unicode;
    bool is_drawn; /* there is a line to wipe */
    bool in_bytes; /* the units are bytes, and not those named by unit */
    size_t width;
    double begun, drawn;     /* seconds */
    const char *what, *unit; /* "pairs", unless another is set */
} cli_progress;

/* what is the work's name, such as "scoring". The clock starts now. */
void cli_progress_begin(cli_progress *progress, const cli_settings *settings, const char *what);

/* done units, which is this fraction of all; negative if nobody knows. Draws now and then. */
void cli_progress_update(cli_progress *progress, uint64_t done, double fraction);

/* Wipes the bar, so that other lines can be printed; it comes back at the next update. */
void cli_progress_clear(cli_progress *progress);

/* Seconds on a clock that never goes back. */
double cli_now(void);

#endif
