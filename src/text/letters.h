/* letters.h - lower-casing one code point, as the reference does: by itself, without regard to its neighbours (a
 * final sigma stays an ordinary one) or to a language. */
#ifndef CEI_LETTERS_H
#define CEI_LETTERS_H

#include "text/unicode.h"
#include "text/utf8.h"

#define CEI_LOWER_MAX_SIZE 8 /* bytes that cei_put_lower may write */

/* Writes the lower-case letter of c and returns its size. */
static inline size_t cei_put_lower(char *out, uint32_t c) {
    if (c == 0x130) return out[0] = 'i', 1 + cei_utf8_put(out + 1, 0x307); /* the one that becomes two */
    return cei_utf8_put(out, c + (uint32_t)cei_unicode_get(c)->lower);
}

#endif
