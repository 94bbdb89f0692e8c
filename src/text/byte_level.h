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

#endif
