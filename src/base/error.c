/* error.c - messages for people. Relies on nothing; must never allocate. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef cei_fail /* macros for the analyzer alone, which would change the definitions below */
#undef cei_fail_memory

/* Cuts an incomplete UTF-8 sequence off the end and makes the text one line. */
static void tidy_message(char *message) {
    size_t length = strlen(message);
    size_t lead = length;
    while (lead > 0 && length - lead < 4 && ((unsigned char)message[lead - 1] & 0xC0) == 0x80) lead--;
    if (lead > 0) {
        unsigned char first = (unsigned char)message[lead - 1];
        size_t need = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
        if (need > length - lead + 1) message[lead - 1] = '\0';
    }
    for (char *p = message; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F) *p = ' ';
}

ce_status cei_fail(ce_error *error, ce_status status, const char *format, ...) {
    if (!error) return status;
    /* An argument may be the old message itself (context added in front), so it is formatted beside it. */
    char message[CE_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    tidy_message(message);
    error->status = status;
    memcpy(error->message, message, sizeof message);
    return status;
}

ce_status cei_fail_memory(ce_error *error, const char *what, size_t bytes) {
    if (bytes) return cei_fail(error, CE_ERR_MEMORY, "out of host memory: %zu bytes for %s", bytes, what);
    return cei_fail(error, CE_ERR_MEMORY, "out of host memory for %s", what);
}

/* strerror_r comes in two forms, told apart by what it returns. */
static const char *strerror_result(int result, const char *buffer) { return result == 0 ? buffer : "unknown error"; }
static const char *strerror_text(const char *result, const char *buffer) { return (void)buffer, result; }

const char *cei_errno_text(int number, char *buffer, size_t size) {
    buffer[0] = '\0';
    const char *text = _Generic(strerror_r(number, buffer, size), int: strerror_result, char *: strerror_text)(
        strerror_r(number, buffer, size), buffer);
    if (text != buffer) snprintf(buffer, size, "%s", text);
    return buffer;
}

ce_status cei_check_struct(size_t given, size_t minimum, const char *type, ce_error *error) {
    if (given >= minimum) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT,
                    "%s.size is %zu, and must be sizeof(%s), which was never below %zu: set it before the call", type,
                    given, type, minimum);
}

const char *ce_status_name(ce_status status) {
    switch (status) {
    case CE_OK: return "CE_OK";
    case CE_ERR_ARGUMENT: return "CE_ERR_ARGUMENT";
    case CE_ERR_MEMORY: return "CE_ERR_MEMORY";
    case CE_ERR_NOT_FOUND: return "CE_ERR_NOT_FOUND";
    case CE_ERR_IO: return "CE_ERR_IO";
    case CE_ERR_FORMAT: return "CE_ERR_FORMAT";
    case CE_ERR_MODEL: return "CE_ERR_MODEL";
    case CE_ERR_UNSUPPORTED: return "CE_ERR_UNSUPPORTED";
    case CE_ERR_TEXT: return "CE_ERR_TEXT";
    case CE_ERR_DEVICE_NAME: return "CE_ERR_DEVICE_NAME";
    case CE_ERR_DEVICE_ABSENT: return "CE_ERR_DEVICE_ABSENT";
    case CE_ERR_DEVICE_MEMORY: return "CE_ERR_DEVICE_MEMORY";
    case CE_ERR_DEVICE_FAULT: return "CE_ERR_DEVICE_FAULT";
    case CE_ERR_DEVICE_LOST: return "CE_ERR_DEVICE_LOST";
    case CE_ERR_VERIFY: return "CE_ERR_VERIFY";
    case CE_ERR_CANCELLED: return "CE_ERR_CANCELLED";
    }
    return "CE_ERR_UNKNOWN";
}

const char *ce_version(void) { return CE_VERSION_STRING; }
