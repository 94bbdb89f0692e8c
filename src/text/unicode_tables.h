/* unicode_tables.h - the layout of the generated unicode_tables.c. Only unicode.c reads these tables.
 *
 * A code point c has the record records[second[(first[c >> 7] << 7) + (c & 127)]]. Its decomposition, where a flag
 * says that it has one, begins at pool[second[(first[c >> 6] << 6) + (c & 63)]]: a length and that many code points. */
#ifndef CEI_UNICODE_TABLES_H
#define CEI_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct cei_unicode_record {
    int32_t lower;       /* distance to the lower-case letter */
    unsigned flags : 24; /* CEI_UNICODE_* of unicode.h */
    unsigned rank : 8;   /* sorts as the canonical combining classes do; 0 is class 0 */
} cei_unicode_record;

typedef struct cei_unicode_pair {
    uint32_t first, second, composed;
} cei_unicode_pair;

extern const uint16_t cei_unicode_first[];
extern const uint8_t cei_unicode_second[];
extern const cei_unicode_record cei_unicode_records[];

extern const uint16_t cei_unicode_canonical_first[];
extern const uint16_t cei_unicode_canonical_second[];
extern const uint32_t cei_unicode_canonical_pool[];

extern const uint16_t cei_unicode_compat_first[];
extern const uint16_t cei_unicode_compat_second[];
extern const uint32_t cei_unicode_compat_pool[];

/* Ascending by first, then second. */
extern const cei_unicode_pair cei_unicode_pairs[];
extern const size_t cei_unicode_pair_count;

#endif
