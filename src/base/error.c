/* error.c - messages for people. Relies on utf8.h; must never allocate. */
#include "base/error.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#undef cei_fail /* macros for the analyzer alone, which would change the definitions below */
#undef cei_fail_memory
#undef cei_fail_errno

/* Takes off the end of message[0, length) what may be the first part of a character. */
static void drop_broken_end(char *message, size_t length) {
    size_t begin = length;
    while (begin > 0 && length - begin < 3 && ((unsigned char)message[begin - 1] & 0xC0) == 0x80) begin--;
    if (begin > 0 && ((unsigned char)message[begin - 1] & 0xC0) == 0xC0) begin--;
    if (cei_utf8_sequence((const unsigned char *)message + begin, length - begin) != length - begin)
        message[begin] = '\0';
}

/* Paths and names in messages come from outside: makes one line of UTF-8 of whatever they hold. A character that was
 * cut in two at the end, by %.64s or by the message's own end, goes the way of other bytes that are no character. */
static void tidy_message(char *message) {
    size_t length = strlen(message);
    for (size_t i = 0; i < length;) {
        unsigned char *at = (unsigned char *)message + i;
        size_t sequence = cei_utf8_sequence(at, length - i);
        bool control = *at < 0x20 || *at == 0x7F || (sequence == 2 && at[0] == 0xC2 && at[1] < 0xA0);
        if (sequence == 0)
            *at = '?';
        else if (control)
            memset(at, ' ', sequence);
        i += sequence ? sequence : 1;
    }
}

void cei_format_message(char message[CE_ERROR_MESSAGE_SIZE], const char *format, va_list args) {
    int length = vsnprintf(message, CE_ERROR_MESSAGE_SIZE, format, args);
    if (length < 0) message[0] = '\0';
    if (length >= CE_ERROR_MESSAGE_SIZE) drop_broken_end(message, CE_ERROR_MESSAGE_SIZE - 1);
    tidy_message(message);
}

ce_status cei_fail(ce_error *error, ce_status status, const char *format, ...) {
    if (!error) return status;
    /* An argument may be the old message itself (context added in front), so it is formatted beside it. */
    char message[CE_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    cei_format_message(message, format, args);
    va_end(args);
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

ce_status cei_fail_errno(ce_error *error, const char *what, const char *path, int number) {
    char text[128];
    cei_errno_text(number, text, sizeof text);
    ce_status status = number == ENOENT || number == ENOTDIR ? CE_ERR_NOT_FOUND
                       : number == ENOMEM                    ? CE_ERR_MEMORY
                                                             : CE_ERR_IO;
    return cei_fail(error, status, "cannot %s %s: %s", what, path, text);
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
