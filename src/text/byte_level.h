/* byte_level.h - the alphabet of byte-level tokenizers: a visible character for each of the 256 bytes. */
#ifndef CEI_BYTE_LEVEL_H
#define CEI_BYTE_LEVEL_H

#include <stdint.h>

/* The character of each byte. Visible characters of Latin-1 stand for their own bytes; all other bytes have the
 * characters from U+0100 on, in order. */
static inline void cei_byte_level_alphabet(uint16_t characters[256]) {
    uint16_t next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        const int visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        characters[byte] = visible ? (uint16_t)byte : next++;
    }
}

/* The token that stands for a byte where unknown characters fall back to their bytes: "<0x0A>", with a NUL behind. */
#define CEI_BYTE_NAME 7
static inline void cei_byte_name(unsigned byte, char name[CEI_BYTE_NAME]) {
    static const char digits[] = "0123456789ABCDEF";
    name[0] = '<';
    name[1] = '0';
    name[2] = 'x';
    name[3] = digits[byte >> 4 & 15];
    name[4] = digits[byte & 15];
    name[5] = '>';
    name[6] = '\0';
}

#endif
