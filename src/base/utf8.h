/* utf8.h - is this a character? For messages and for checking JSON; texts have text/utf8.h. */
#ifndef CEI_BASE_UTF8_H
#define CEI_BASE_UTF8_H

#include <stddef.h>

/* The bytes of the well-formed UTF-8 sequence (Unicode, table 3-7) that data[0, size) begins with; 0 if none. */
static inline size_t cei_utf8_sequence(const unsigned char *data, size_t size) {
    if (size == 0) return 0;
    unsigned char lead = data[0];
    if (lead < 0x80) return 1;
    size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                    : lead >= 0xE0 && lead < 0xF0 ? 3
                    : lead >= 0xF0 && lead < 0xF5 ? 4
                                                  : 0;
    if (length == 0 || size < length) return 0;
    /* The second byte excludes overlong forms, surrogates and what is above U+10FFFF. */
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (data[1] < low || data[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((data[i] & 0xC0) != 0x80) return 0;
    return length;
}

#endif
