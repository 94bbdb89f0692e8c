/* clock.h - wall-clock time that never goes back. */
#ifndef CEI_CLOCK_H
#define CEI_CLOCK_H

#include <time.h>

static inline double cei_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

#endif
