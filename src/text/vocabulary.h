/* vocabulary.h - a table from token to id, with lookups of all prefixes of a word by one running hash. */
#ifndef CEI_VOCABULARY_H
#define CEI_VOCABULARY_H

#include "text/bytes.h"

#include <stdint.h>

/* Open addressing, at most half full. id is -1 in an empty slot. */
typedef struct cei_vocabulary_slot {
    uint32_t tag;
    int32_t id;
    uint32_t offset, size; /* of the token in bytes */
} cei_vocabulary_slot;

/* In front of the slots stands a Bloom filter: splitting a word asks for many strings that are no token, and the filter
 * fits in a nearer cache than the slots. Each token sets two bits in one 64-bit word. */
typedef struct cei_vocabulary {
    cei_vocabulary_slot *slots;
    uint64_t *filter;  /* slot_count / 8 words: 16 to 32 bits a token */
    size_t slot_count; /* a power of two */
    size_t count;
    size_t longest; /* bytes of the longest token */
    int32_t largest_id;
    cei_bytes bytes;
} cei_vocabulary;

/* An empty table with room for count tokens before it has to grow; false if there is no memory. */
bool cei_vocabulary_create(cei_vocabulary *vocabulary, size_t count);
void cei_vocabulary_free(cei_vocabulary *vocabulary);

/* Adds a token; one that is there gets the new id. All together are below 4 GB. false if there is no memory. */
bool cei_vocabulary_add(cei_vocabulary *vocabulary, const char *token, size_t size, int32_t id);

/* The same of a token that lies in the table's bytes already, at offset: whoever has a text of all tokens appends it
 * once to an empty table's bytes. */
bool cei_vocabulary_add_held(cei_vocabulary *vocabulary, size_t offset, size_t size, int32_t id);

/* The hash of a string is the state after all its bytes, begun from CEI_HASH_START. The multiplier is that of
 * Knuth's MMIX generator; any odd number with well-mixed bits would do. */
#define CEI_HASH_START UINT64_C(0x9E3779B97F4A7C15)
static inline uint64_t cei_hash_step(uint64_t state, char byte) {
    return (state ^ (unsigned char)byte) * UINT64_C(6364136223846793005);
}

/* Every bit of the state into all of them. */
static inline uint64_t cei_hash_spread(uint64_t state) {
    state ^= state >> 32;
    state *= UINT64_C(0xD6E8FEB86659FD93);
    return state ^ state >> 32;
}

/* The id of the token of that hash, or -1. */
int32_t cei_vocabulary_get(const cei_vocabulary *vocabulary, uint64_t hash, const char *token, size_t size);

/* The same without a look at the filter: for one that is likely to be there. */
int32_t cei_vocabulary_get_likely(const cei_vocabulary *vocabulary, uint64_t hash, const char *token, size_t size);

/* The same, of any string. */
int32_t cei_vocabulary_find(const cei_vocabulary *vocabulary, const char *token, size_t size);

#endif
