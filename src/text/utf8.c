/* utf8.c - finding what is not UTF-8. Relies on nothing. */
#include "text/utf8.h"

#include <string.h>

/* How many bytes at data belong to one well-formed sequence, or to the maximal subpart of an ill-formed one, and
 * which of the two it is. The narrower range of some second bytes shuts out overlong forms, surrogates and values
 * beyond U+10FFFF. */
static size_t sequence_length(const unsigned char *data, size_t size, bool *good) {
    unsigned lead = data[0], low = 0x80, high = 0xBF;
    size_t want = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    *good = want == 1;
    if (want < 2) return 1;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    size_t have = 1;
    while (have < want && have < size && data[have] >= low && data[have] <= high) {
        have++;
        low = 0x80;
        high = 0xBF;
    }
    *good = have == want;
    return have;
}

size_t cei_utf8_check(const char *data, size_t size, size_t *length) {
    const unsigned char *bytes = (const unsigned char *)data;
    size_t at = 0;
    while (at < size) {
        uint64_t eight;
        if (size - at >= sizeof eight) {
            memcpy(&eight, bytes + at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        bool good;
        size_t taken = sequence_length(bytes + at, size - at, &good);
        if (!good) {
            if (length) *length = taken;
            return at;
        }
        at += taken;
    }
    return size;
}
