/* unicode.c - decomposition and composition from the generated tables; Hangul by the arithmetic of the Unicode
 * Standard, section 3.12. */
#include "text/unicode.h"

#include <string.h>

#define HANGUL_FIRST 0xAC00u
#define HANGUL_COUNT 11172u
#define LEADING_FIRST 0x1100u
#define LEADING_COUNT 19u
#define VOWEL_FIRST 0x1161u
#define VOWEL_COUNT 21u
#define TRAILING_BASE 0x11A7u /* one before the first trailing consonant: 0 stands for none */
#define TRAILING_COUNT 28u

static size_t decompose_hangul(uint32_t syllable, uint32_t *out) {
    out[0] = LEADING_FIRST + syllable / (VOWEL_COUNT * TRAILING_COUNT);
    out[1] = VOWEL_FIRST + syllable / TRAILING_COUNT % VOWEL_COUNT;
    uint32_t trailing = syllable % TRAILING_COUNT;
    if (trailing == 0) return 2;
    out[2] = TRAILING_BASE + trailing;
    return 3;
}

static size_t from_pool(const uint32_t *entry, uint32_t *out) {
    memcpy(out, entry + 1, entry[0] * sizeof *out);
    return entry[0];
}

static size_t at(const uint16_t *first, const uint16_t *second, uint32_t c) {
    return second[((size_t)first[c >> 6] << 6) + (c & 63)];
}

size_t cei_unicode_decompose(uint32_t c, bool compat, uint32_t out[CEI_UNICODE_MAX_DECOMPOSITION]) {
    unsigned flags = cei_unicode_get(c)->flags;
    if (compat && (flags & CEI_UNICODE_COMPAT))
        return from_pool(&cei_unicode_compat_pool[at(cei_unicode_compat_first, cei_unicode_compat_second, c)], out);
    if (flags & CEI_UNICODE_CANONICAL)
        return from_pool(&cei_unicode_canonical_pool[at(cei_unicode_canonical_first, cei_unicode_canonical_second, c)],
                         out);
    if (c - HANGUL_FIRST < HANGUL_COUNT) return decompose_hangul(c - HANGUL_FIRST, out);
    out[0] = c;
    return 1;
}

static uint32_t compose_hangul(uint32_t first, uint32_t second) {
    if (first - LEADING_FIRST < LEADING_COUNT && second - VOWEL_FIRST < VOWEL_COUNT)
        return HANGUL_FIRST + ((first - LEADING_FIRST) * VOWEL_COUNT + (second - VOWEL_FIRST)) * TRAILING_COUNT;
    if (first - HANGUL_FIRST < HANGUL_COUNT && (first - HANGUL_FIRST) % TRAILING_COUNT == 0 &&
        second - TRAILING_BASE - 1 < TRAILING_COUNT - 1)
        return first + (second - TRAILING_BASE);
    return 0;
}

uint32_t cei_unicode_compose(uint32_t first, uint32_t second) {
    uint32_t hangul = compose_hangul(first, second);
    if (hangul) return hangul;
    size_t low = 0, high = cei_unicode_pair_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const cei_unicode_pair *pair = &cei_unicode_pairs[middle];
        if (pair->first == first && pair->second == second) return pair->composed;
        if (pair->first < first || (pair->first == first && pair->second < second))
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}
