/* word_cache.h - the tokens of words that were met not long ago. Most words of a text are repetitions.
 *
 * A table of fixed size in which a new word takes the place of the one that was there: memory is bounded, and since an
 * entry holds all of its word, what comes out is what the model made of that very word. */
#ifndef CEI_WORD_CACHE_H
#define CEI_WORD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Longer words, and those of more tokens, are not kept. */
#define CEI_CACHED_BYTES 32
#define CEI_CACHED_TOKENS 23
#define CEI_CACHE_BITS 12 /* half a megabyte */

/* Two cache lines; what a short word needs is in the first. */
typedef struct cei_cached_word {
    uint64_t key[4];
    uint8_t size, count; /* bytes and tokens; a size of 0 is an empty entry */
    uint8_t unused[2];
    int32_t ids[CEI_CACHED_TOKENS];
} cei_cached_word;

static inline uint64_t cei_load_8(const char *data) {
    uint64_t value;
    memcpy(&value, data, sizeof value);
    return value;
}

static inline uint64_t cei_load_4(const char *data) {
    uint32_t value;
    memcpy(&value, data, sizeof value);
    return value;
}

/* Loads that overlap read any size without reading past the word; with the size they tell any two words apart. */
static inline void cei_word_key(const char *data, size_t size, uint64_t key[4]) {
    key[1] = key[2] = key[3] = 0;
    if (size > 16) {
        key[0] = cei_load_8(data);
        key[1] = cei_load_8(data + 8);
        key[2] = cei_load_8(data + size - 16);
        key[3] = cei_load_8(data + size - 8);
    } else if (size > 8) {
        key[0] = cei_load_8(data);
        key[1] = cei_load_8(data + size - 8);
    } else if (size >= 4) {
        key[0] = cei_load_4(data) | cei_load_4(data + size - 4) << 32;
    } else {
        key[0] = (uint64_t)(unsigned char)data[0] | (uint64_t)(unsigned char)data[size / 2] << 8 |
                 (uint64_t)(unsigned char)data[size - 1] << 16;
    }
}

/* The entry where a word of 1 to CEI_CACHED_BYTES bytes belongs. The multipliers are odd, with well-mixed bits. */
static inline cei_cached_word *cei_word_entry(cei_cached_word *cache, const uint64_t key[4], size_t size) {
    uint64_t hash = (key[0] ^ size) * UINT64_C(0x9E3779B97F4A7C15);
    hash = (hash ^ hash >> 32 ^ key[1]) * UINT64_C(0xD6E8FEB86659FD93);
    hash = (hash ^ hash >> 32 ^ key[2] ^ key[3] << 1) * UINT64_C(0x9E3779B97F4A7C15);
    return &cache[hash >> (64 - CEI_CACHE_BITS)];
}

static inline bool cei_word_is(const cei_cached_word *entry, const uint64_t key[4], size_t size) {
    uint64_t differs = (entry->key[0] ^ key[0]) | (entry->key[1] ^ key[1]) | (entry->key[2] ^ key[2]) |
                       (entry->key[3] ^ key[3]) | (entry->size ^ size);
    return differs == 0;
}

#endif
