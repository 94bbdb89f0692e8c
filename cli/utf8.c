/* utf8.c - decoding by the table of well-formed byte sequences of the Unicode standard (chapter 3, table 3-7).
 * Relies on the C library's wcwidth for columns, whose locale main.c sets. */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "utf8.h"

#include <wchar.h>

/* The range that the second byte must be in after lead, which rules out overlong forms, surrogates and what lies
 * above U+10FFFF; and how many bytes follow. false if nothing may begin with lead. */
static bool lead_byte(unsigned char lead, size_t *follow, unsigned char *low, unsigned char *high) {
    *low = 0x80;
    *high = 0xBF;
    *follow = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    if (lead == 0xE0) *low = 0xA0;
    if (lead == 0xED) *high = 0x9F;
    if (lead == 0xF0) *low = 0x90;
    if (lead == 0xF4) *high = 0x8F;
    return lead >= 0xC2 && lead <= 0xF4;
}

size_t cli_utf8_read(const char *data, size_t size, uint32_t *point, bool *valid) {
    const unsigned char *bytes = (const unsigned char *)data;
    size_t follow = 0;
    unsigned char low, high;
    *point = bytes[0];
    *valid = bytes[0] < 0x80;
    if (*valid) return 1;
    if (!lead_byte(bytes[0], &follow, &low, &high)) follow = 0;
    uint32_t value = bytes[0] & (0x3Fu >> follow);
    size_t length = 1;
    while (length <= follow && length < size && bytes[length] >= low && bytes[length] <= high) {
        value = value << 6 | (bytes[length++] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *valid = follow > 0 && length == follow + 1;
    *point = *valid ? value : 0xFFFD;
    return length;
}

size_t cli_utf8_check(ce_text text) {
    size_t at = 0;
    while (at < text.size) {
        if ((unsigned char)text.data[at] < 0x80) {
            at++;
            continue;
        }
        uint32_t point;
        bool valid;
        size_t length = cli_utf8_read(text.data + at, text.size - at, &point, &valid);
        if (!valid) return at;
        at += length;
    }
    return at;
}

size_t cli_utf8_replace(ce_text text, char *out) {
    size_t written = 0;
    for (size_t at = 0; at < text.size;) {
        uint32_t point;
        bool valid;
        size_t length = cli_utf8_read(text.data + at, text.size - at, &point, &valid);
        memcpy(out + written, valid ? text.data + at : "\xEF\xBF\xBD", valid ? length : 3);
        written += valid ? length : 3;
        at += length;
    }
    return written;
}

size_t cli_utf8_columns(uint32_t point) {
    if (point < 0x7F) return 1;
    int columns = wcwidth((wchar_t)point);
    return columns < 0 ? 1 : (size_t)columns;
}
