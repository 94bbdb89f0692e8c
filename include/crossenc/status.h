/* crossenc/status.h - what a call returns when it cannot do its work.
 *
 * Every fallible call returns a ce_status and takes an optional, caller-owned ce_error. On failure the
 * error holds one sentence for people: the thing, what was found, what to do. On success it is untouched.
 * The library never exits, aborts, prints or changes process state (but for CE_CPU_AMX_*, crossenc/model.h). */
#ifndef CROSSENC_STATUS_H
#define CROSSENC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CE_API __attribute__((visibility("default")))
#define CE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CE_API
#define CE_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of these headers. Compare with ce_version() for that of the library at run time. */
#define CE_VERSION_MAJOR 0
#define CE_VERSION_MINOR 1
#define CE_VERSION_PATCH 0
#define CE_VERSION_STRING "0.1.0"

/* Values are stable: they are part of the ABI and are never reused. */
typedef enum ce_status {
    CE_OK = 0,
    CE_ERR_ARGUMENT = 1,       /* the call itself is wrong: NULL, out of range, a struct of unknown size */
    CE_ERR_MEMORY = 2,         /* no host memory */
    CE_ERR_NOT_FOUND = 3,      /* a file or folder is not there */
    CE_ERR_IO = 4,             /* it is there and cannot be read or written */
    CE_ERR_FORMAT = 5,         /* a file is malformed: truncated, not JSON, offsets outside the file, ... */
    CE_ERR_MODEL = 6,          /* well-formed files that contradict each other: a missing tensor, a wrong shape */
    CE_ERR_UNSUPPORTED = 7,    /* valid, and this build does not do it: an architecture, a dtype, an option */
    CE_ERR_TEXT = 8,           /* an input text is not valid UTF-8 */
    CE_ERR_DEVICE_NAME = 9,    /* not the name of a device; the message lists the valid ones */
    CE_ERR_DEVICE_ABSENT = 10, /* the build, the driver or the machine lacks the device; the message says which */
    CE_ERR_DEVICE_MEMORY = 11, /* the device's memory does not suffice; the message says needed, free, total */
    CE_ERR_DEVICE_FAULT = 12,  /* an operation failed on the device; the device may still work */
    CE_ERR_DEVICE_LOST = 13,   /* the device is gone; place the model again or move it (ce_model_place, ce_model_to) */
    CE_ERR_VERIFY = 14,        /* what is on the device is not what is in the file, or the self-test differs */
    CE_ERR_CANCELLED = 15      /* the caller's progress callback asked to stop */
} ce_status;

/* Room for a message in a ce_error, its terminating NUL included. Longer messages are cut. */
#define CE_ERROR_MESSAGE_SIZE 512

/* What went wrong, for people. Plain memory owned by the caller: nothing to free. */
typedef struct ce_error {
    ce_status status;
    char message[CE_ERROR_MESSAGE_SIZE]; /* UTF-8, one sentence, no newline */
} ce_error;

/* The constant name of a status ("CE_ERR_IO"), or "CE_ERR_UNKNOWN". Never NULL. Thread-safe. */
CE_API const char *ce_status_name(ce_status status);

/* The library's version, "MAJOR.MINOR.PATCH". Static storage. Thread-safe. */
CE_API const char *ce_version(void);

typedef enum ce_log_level {
    CE_LOG_DEBUG = 0,
    CE_LOG_INFO = 1,
    CE_LOG_WARNING = 2 /* worth a user's attention: a fallback, ignored settings, truncated texts */
} ce_log_level;

/* Receives log lines (UTF-8, no newline). Called from the thread that makes the call, possibly from several
 * threads at once when several use one model. Must not call back into the same model. */
typedef void (*ce_log_fn)(void *user, ce_log_level level, const char *message);

/* Receives progress: done of total units of work. Return false to stop the call with CE_ERR_CANCELLED. Called from the
 * thread that makes the call. Must not call back into the same model. */
typedef bool (*ce_progress_fn)(void *user, uint64_t done, uint64_t total);

#ifdef __cplusplus
}
#endif
#endif
