/* utf8.h - UTF-8: checking, repairing, decoding. */
#ifndef CEI_UTF8_H
#define CEI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the first ill-formed sequence begins, size if there is none; its length in *length if not NULL: that of the
 * maximal subpart (Unicode Standard, section 3.9), which is what Python replaces by one U+FFFD. */
size_t cei_utf8_check(const char *data, size_t size, size_t *length);

/* Decodes one code point of well-formed text and moves *at behind it. */
static inline uint32_t cei_utf8_next(const char *data, size_t *at) {
    const unsigned char *p = (const unsigned char *)data + *at;
    if (p[0] < 0x80) return *at += 1, p[0];
    if (p[0] < 0xE0) return *at += 2, (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    if (p[0] < 0xF0) return *at += 3, (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    return *at += 4, (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

/* The code point that ends before end > 0. */
static inline uint32_t cei_utf8_previous(const char *data, size_t end) {
    size_t at = end - 1;
    while (at > 0 && ((unsigned char)data[at] & 0xC0) == 0x80) at--;
    return cei_utf8_next(data, &at);
}

static inline bool cei_utf8_is_boundary(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* Writes c, which takes up to 4 bytes; how many it took. */
static inline size_t cei_utf8_put(char *out, uint32_t c) {
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xC0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3F)), 2;
    size_t length = c < 0x10000 ? 3 : 4;
    out[0] = (char)((length == 3 ? 0xE0 : 0xF0) | c >> (length == 3 ? 12 : 18));
    for (size_t i = 1; i < length; i++) out[i] = (char)(0x80 | (c >> 6 * (length - 1 - i) & 0x3F));
    return length;
}

#endif
