/* error.h - filling a ce_error, and adding context to one. */
#ifndef CEI_ERROR_H
#define CEI_ERROR_H

#include <crossenc/status.h>

#include <stdarg.h>

/* Sets *error (if not NULL) and returns status, so that a failure is one line:
 *     return cei_fail(error, CE_ERR_IO, "cannot read %s: %s", path, why);
 * A message longer than the field is cut at a character boundary. Control characters become spaces, bytes that are
 * not UTF-8 question marks. Arguments may point into *error. */
ce_status cei_fail(ce_error *error, ce_status status, const char *format, ...) CE_PRINTF(3, 4);

/* The same for a message alone. */
void cei_format_message(char message[CE_ERROR_MESSAGE_SIZE], const char *format, va_list args) CE_PRINTF(2, 0);

/* The one message for want of host memory: what was being made, and how many bytes (0 if unknown). */
ce_status cei_fail_memory(ce_error *error, const char *what, size_t bytes);

/* A call of the system that failed with errno number: "cannot open PATH: No such file or directory". NOT_FOUND, MEMORY,
 * or IO. */
ce_status cei_fail_errno(ce_error *error, const char *what, const char *path, int number);

#ifdef __clang_analyzer__
/* What the analyzer cannot see in another file: a failure is never CE_OK. Without this it follows the lines behind
 * `if (status != CE_OK) return status;` with results that were never set. */
#define cei_fail(error, status, ...) ((void)cei_fail((error), (status), __VA_ARGS__), (status))
#define cei_fail_memory(error, what, bytes) ((void)cei_fail_memory((error), (what), (bytes)), CE_ERR_MEMORY)
#define cei_fail_errno(error, what, path, number) ((void)cei_fail_errno((error), (what), (path), (number)), CE_ERR_IO)
#endif

/* strerror_r for the calling thread, written into buffer; returns buffer. */
const char *cei_errno_text(int number, char *buffer, size_t size);

/* Checks the size field that begins each public struct: at least the first version's size, else ARGUMENT. */
ce_status cei_check_struct(size_t given, size_t minimum, const char *type, ce_error *error);

#endif
