/* charsmap.c - reads, writes and applies a compiled charsmap, as the reference does and not as SentencePiece does.
 *
 * The reference looks up grapheme clusters of less than six bytes, then single code points, and takes the SHORTEST key
 * that either begins with; what it finds replaces all of the cluster. A lookup is bounded by the size of its text, and
 * nothing in the charsmap is believed: a place outside of it ends the lookup. */
#include "text/charsmap.h"

#include "base/error.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* Only a cluster of fewer bytes is looked up whole. */
#define CLUSTER_LIMIT 6

#define ZERO_WIDTH_JOINER 0x200D

/* What becomes of an ASCII character that stands alone: a byte, or one of these. */
enum { ASCII_LOOK_UP = 0x80 };

struct cei_charsmap {
    uint32_t *units; /* of the trie */
    size_t unit_count;
    char *texts; /* each ends before a NUL, or at the end; well-formed */
    size_t text_size;
    uint8_t ascii[128];
};

/* ---- the trie ---- */

/* A unit of a darts-clone double array: the bits are its format's. */
static uint32_t unit_offset(uint32_t unit) { return (unit >> 10) << ((unit & (UINT32_C(1) << 9)) >> 6); }

static bool unit_has_value(uint32_t unit) { return unit >> 8 & 1; }

static bool unit_is(uint32_t unit, unsigned char byte) { return (unit & (UINT32_C(1) << 31 | 0xFF)) == byte; }

/* The text of a value: its size in *size, NULL if there is no such place. */
static const char *text_at(const cei_charsmap *charsmap, uint32_t value, size_t *size) {
    if (value > charsmap->text_size) return NULL;
    const char *text = charsmap->texts + value;
    size_t left = charsmap->text_size - value;
    if (left > 0 && !cei_utf8_is_boundary(*text)) return NULL;
    const char *end = left ? memchr(text, '\0', left) : NULL;
    *size = end ? (size_t)(end - text) : left;
    return text;
}

/* What the shortest key is replaced by that data begins with; NULL if it begins with none. */
static const char *look_up(const cei_charsmap *charsmap, const char *data, size_t size, size_t *text_size) {
    size_t at = unit_offset(charsmap->units[0]);
    for (size_t i = 0; i < size && data[i] != '\0'; i++) {
        unsigned char byte = (unsigned char)data[i];
        at ^= byte;
        if (at >= charsmap->unit_count || !unit_is(charsmap->units[at], byte)) return NULL;
        uint32_t unit = charsmap->units[at];
        at ^= unit_offset(unit);
        if (!unit_has_value(unit)) continue;
        return at < charsmap->unit_count ? text_at(charsmap, charsmap->units[at] & INT32_MAX, text_size) : NULL;
    }
    return NULL;
}

/* ---- reading ---- */

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes into out, which has room for size / 4 * 3 bytes; false if it is not base64 with its padding. */
static bool decode_base64(const char *text, size_t size, unsigned char *out, size_t *out_size) {
    size_t padding = 0, written = 0;
    if (size % 4 != 0) return false;
    while (padding < 2 && padding < size && text[size - 1 - padding] == '=') padding++;
    uint32_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        int digit = i < size - padding ? base64_digit(text[i]) : 0;
        if (digit < 0) return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 3) continue;
        for (int shift = 16; shift >= 0; shift -= 8) out[written++] = (unsigned char)(bits >> shift);
        bits = 0;
    }
    *out_size = written - padding;
    return true;
}

static uint32_t little_endian(const unsigned char *data) {
    return data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* The size of the trie in bytes, its units, the texts. false if the sizes don't fit together or there is no memory. */
static bool read_parts(cei_charsmap *made, const unsigned char *data, size_t size, bool *no_memory) {
    size_t trie_size = size >= 4 ? little_endian(data) / 4 * 4 : 0;
    if (trie_size == 0 || trie_size > size - 4) return false;
    made->unit_count = trie_size / 4;
    made->text_size = size - 4 - trie_size;
    made->units = cei_alloc(made->unit_count, sizeof *made->units);
    made->texts = cei_alloc(made->text_size + 1, 1);
    *no_memory = !made->units || !made->texts;
    if (*no_memory) return false;
    for (size_t i = 0; i < made->unit_count; i++) made->units[i] = little_endian(data + 4 + 4 * i);
    memcpy(made->texts, data + 4 + trie_size, made->text_size);
    return cei_utf8_check(made->texts, made->text_size, NULL) == made->text_size;
}

static void fill_ascii(cei_charsmap *made) {
    for (size_t c = 0; c < sizeof made->ascii; c++) {
        size_t size;
        const char byte = (char)c, *text = look_up(made, &byte, 1, &size);
        made->ascii[c] = !text ? (uint8_t)c : size == 1 ? (uint8_t)*text : ASCII_LOOK_UP;
    }
    made->ascii['\r'] = ASCII_LOOK_UP; /* with a line feed behind it is a cluster */
}

static ce_status damaged(const char *path, ce_error *error) {
    return cei_fail(error, CE_ERR_FORMAT, "%s: the \"precompiled_charsmap\" is damaged or no charsmap at all", path);
}

ce_status cei_charsmap_read(const void *data, size_t size, const char *path, cei_charsmap **charsmap, ce_error *error) {
    bool no_memory = false;
    *charsmap = NULL;
    cei_charsmap *made = cei_alloc_zeroed(1, sizeof *made);
    if (!made) return cei_fail_memory(error, "the charsmap", sizeof *made);
    if (!read_parts(made, data, size, &no_memory)) {
        cei_charsmap_free(made);
        return no_memory ? cei_fail_memory(error, "the charsmap", size) : damaged(path, error);
    }
    fill_ascii(made);
    *charsmap = made;
    return CE_OK;
}

ce_status cei_charsmap_create(const char *base64, size_t size, const char *path, cei_charsmap **charsmap,
                              ce_error *error) {
    *charsmap = NULL;
    unsigned char *data = cei_alloc(size / 4 + 1, 3);
    if (!data) return cei_fail_memory(error, "the charsmap", size);
    size_t data_size = 0;
    ce_status status = decode_base64(base64, size, data, &data_size)
                           ? cei_charsmap_read(data, data_size, path, charsmap, error)
                           : damaged(path, error);
    cei_free(data);
    return status;
}

static bool append_unit(cei_bytes *out, uint32_t unit) {
    const char little[] = {(char)(unit & 0xFF), (char)(unit >> 8 & 0xFF), (char)(unit >> 16 & 0xFF),
                           (char)(unit >> 24)};
    return cei_bytes_append(out, little, sizeof little);
}

bool cei_charsmap_write(const cei_charsmap *charsmap, cei_bytes *out) {
    bool good = append_unit(out, (uint32_t)(4 * charsmap->unit_count));
    for (size_t i = 0; i < charsmap->unit_count && good; i++) good = append_unit(out, charsmap->units[i]);
    return good && cei_bytes_append(out, charsmap->texts, charsmap->text_size);
}

void cei_charsmap_free(cei_charsmap *charsmap) {
    if (!charsmap) return;
    cei_free(charsmap->units);
    cei_free(charsmap->texts);
    cei_free(charsmap);
}

/* ---- applying ---- */

/* Of Hangul, what a cluster is made of: leading consonants, vowels, trailing ones, and syllables without and with one.
 */
enum { NOT_HANGUL, LEADING, VOWEL, TRAILING, OPEN_SYLLABLE, CLOSED_SYLLABLE };

static int hangul_class(uint32_t c) {
    if (c < 0x1100 || c > 0xD7FB) return NOT_HANGUL;
    if (c < 0x1200) return c < 0x1160 ? LEADING : c < 0x11A8 ? VOWEL : TRAILING;
    if (c >= 0xA960 && c <= 0xA97C) return LEADING;
    if (c >= 0xAC00 && c <= 0xD7A3) return (c - 0xAC00) % 28 == 0 ? OPEN_SYLLABLE : CLOSED_SYLLABLE;
    if (c >= 0xD7B0 && c <= 0xD7C6) return VOWEL;
    return c >= 0xD7CB ? TRAILING : NOT_HANGUL;
}

static bool hangul_joins(uint32_t before, uint32_t after) {
    int first = hangul_class(before), second = hangul_class(after);
    if (first == NOT_HANGUL || second == NOT_HANGUL) return false;
    if (first == LEADING) return second != TRAILING;
    if (first == OPEN_SYLLABLE || first == VOWEL) return second == VOWEL || second == TRAILING;
    return second == TRAILING;
}

/* A cluster being scanned. */
typedef struct cluster {
    uint32_t last;
    unsigned flags; /* of last */
    bool picture;   /* all that is not EXTEND so far ended in a pictograph */
} cluster;

/* Does c, of these flags, belong to the cluster? (Unicode Standard Annex 29; its rules for flags and for conjuncts of
 * Indic scripts are left out: they join nothing that is looked up.) */
static bool joins(const cluster *so_far, uint32_t c, unsigned flags) {
    if ((so_far->flags & CEI_UNICODE_BREAK) || (flags & CEI_UNICODE_BREAK)) return so_far->last == '\r' && c == '\n';
    if (flags & CEI_UNICODE_EXTEND) return true;
    if (so_far->flags & CEI_UNICODE_PREPEND) return true;
    if (so_far->picture && so_far->last == ZERO_WIDTH_JOINER) return (flags & CEI_UNICODE_PICTOGRAPH) != 0;
    return hangul_joins(so_far->last, c);
}

/* Bytes of the grapheme cluster that text begins with. */
static size_t cluster_size(const char *text, size_t size) {
    size_t end = 0;
    cluster so_far = {.last = cei_utf8_next(text, &end)};
    so_far.flags = cei_unicode_get(so_far.last)->flags;
    so_far.picture = so_far.flags & CEI_UNICODE_PICTOGRAPH;
    while (end < size) {
        size_t next = end;
        uint32_t c = cei_utf8_next(text, &next);
        unsigned flags = cei_unicode_get(c)->flags;
        if (!joins(&so_far, c, flags)) break;
        if (!(flags & CEI_UNICODE_EXTEND)) so_far.picture = flags & CEI_UNICODE_PICTOGRAPH;
        so_far.last = c;
        so_far.flags = flags;
        end = next;
    }
    return end;
}

/* The stretch of data, which is a cluster or a code point: replaced if it begins with a key. */
static bool replace(const cei_charsmap *charsmap, const char *data, size_t size, bool keep, bool *done,
                    cei_bytes *out) {
    size_t text_size = 0;
    const char *text = look_up(charsmap, data, size, &text_size);
    *done = text || keep;
    if (text) return cei_bytes_append(out, text, text_size);
    return !keep || cei_bytes_append(out, data, size);
}

/* A cluster; how many bytes it was in *taken. */
static bool apply_cluster(const cei_charsmap *charsmap, const char *text, size_t size, cei_bytes *out, size_t *taken) {
    size_t end = *taken = cluster_size(text, size);
    bool done = false;
    if (end < CLUSTER_LIMIT && !replace(charsmap, text, end, false, &done, out)) return false;
    for (size_t at = 0; at < end && !done;) {
        size_t start = at;
        bool replaced;
        cei_utf8_next(text, &at);
        if (!replace(charsmap, text + start, at - start, true, &replaced, out)) return false;
    }
    return true;
}

/* The ASCII that text begins with, but for a last character that what follows may join; out has room for it. */
static size_t apply_ascii(const cei_charsmap *charsmap, const char *text, size_t size, cei_bytes *out) {
    char *to = out->data + out->size;
    size_t at = 0;
    for (; at + 1 < size && !((unsigned char)(text[at] | text[at + 1]) & 0x80); at++) {
        uint8_t byte = charsmap->ascii[(unsigned char)text[at]];
        if (byte == ASCII_LOOK_UP) break;
        to[at] = (char)byte;
    }
    out->size += at;
    return at;
}

bool cei_charsmap_apply(const cei_charsmap *charsmap, const char *text, size_t size, cei_bytes *out) {
    for (size_t at = 0; at < size;) {
        size_t taken = 0;
        if (!cei_bytes_reserve(out, size - at)) return false;
        at += apply_ascii(charsmap, text + at, size - at, out);
        if (!apply_cluster(charsmap, text + at, size - at, out, &taken)) return false;
        at += taken;
    }
    return true;
}
