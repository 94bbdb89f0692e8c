/* vocabulary.c - the hash table from token to id. Relies on base/memory.h; lookups never allocate. */
#include "text/vocabulary.h"

static uint64_t spread(uint64_t hash) {
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

/* Empty slots and filter for slot_count slots; what was there stays as it is if there is no memory. */
static bool renew(cei_vocabulary *vocabulary, size_t slot_count) {
    cei_vocabulary_slot *slots = cei_alloc(slot_count, sizeof *slots);
    uint64_t *filter = cei_alloc_zeroed(slot_count / 8, sizeof *filter);
    if (!slots || !filter) {
        cei_free(slots);
        cei_free(filter);
        return false;
    }
    for (size_t i = 0; i < slot_count; i++) slots[i] = (cei_vocabulary_slot){.id = -1};
    vocabulary->slots = slots;
    vocabulary->filter = filter;
    vocabulary->slot_count = slot_count;
    return true;
}

bool cei_vocabulary_create(cei_vocabulary *vocabulary, size_t count) {
    *vocabulary = (cei_vocabulary){.largest_id = -1};
    size_t slot_count = 16;
    while (slot_count / 2 < count) {
        if (slot_count > SIZE_MAX / 4) return false;
        slot_count *= 2;
    }
    return renew(vocabulary, slot_count);
}

void cei_vocabulary_free(cei_vocabulary *vocabulary) {
    cei_free(vocabulary->slots);
    cei_free(vocabulary->filter);
    cei_free(vocabulary->bytes.data);
    *vocabulary = (cei_vocabulary){0};
}

static uint64_t *filter_word(const cei_vocabulary *vocabulary, uint64_t mixed) {
    return &vocabulary->filter[(size_t)(mixed >> 32) & (vocabulary->slot_count / 8 - 1)];
}

static uint64_t filter_bits(uint64_t mixed) { return UINT64_C(1) << (mixed & 63) | UINT64_C(1) << (mixed >> 6 & 63); }

/* The slot of the token, or the empty one where it belongs. */
static cei_vocabulary_slot *slot_of(const cei_vocabulary *vocabulary, uint64_t mixed, const char *token, size_t size) {
    uint32_t tag = (uint32_t)mixed;
    size_t mask = vocabulary->slot_count - 1;
    for (size_t at = (size_t)(mixed >> 32) & mask;; at = (at + 1) & mask) {
        cei_vocabulary_slot *slot = &vocabulary->slots[at];
        if (slot->id < 0) return slot;
        if (slot->tag == tag && slot->size == size &&
            (size == 0 || memcmp(vocabulary->bytes.data + slot->offset, token, size) == 0))
            return slot;
    }
}

static uint64_t hash_of(const char *token, size_t size) {
    uint64_t hash = CEI_HASH_START;
    for (size_t i = 0; i < size; i++) hash = cei_hash_step(hash, token[i]);
    return hash;
}

static bool grow(cei_vocabulary *vocabulary) {
    cei_vocabulary old = *vocabulary;
    if (!renew(vocabulary, old.slot_count * 2)) return false;
    for (size_t i = 0; i < old.slot_count; i++) {
        if (old.slots[i].id < 0) continue;
        const char *token = old.bytes.data + old.slots[i].offset;
        uint64_t mixed = spread(hash_of(token, old.slots[i].size));
        *slot_of(vocabulary, mixed, token, old.slots[i].size) = old.slots[i];
        *filter_word(vocabulary, mixed) |= filter_bits(mixed);
    }
    cei_free(old.slots);
    cei_free(old.filter);
    return true;
}

/* Adds a token that is appended to the bytes if it is new, or that has an offset there. */
static inline bool add(cei_vocabulary *vocabulary, const char *token, const size_t *held, size_t size, int32_t id) {
    if (vocabulary->count >= vocabulary->slot_count / 2 && !grow(vocabulary)) return false;
    uint64_t mixed = spread(hash_of(token, size));
    cei_vocabulary_slot *slot = slot_of(vocabulary, mixed, token, size);
    if (slot->id < 0) {
        const size_t offset = held ? *held : vocabulary->bytes.size;
        if (!held && !cei_bytes_append(&vocabulary->bytes, token, size)) return false;
        *slot = (cei_vocabulary_slot){(uint32_t)mixed, id, (uint32_t)offset, (uint32_t)size};
        *filter_word(vocabulary, mixed) |= filter_bits(mixed);
        vocabulary->count++;
    }
    slot->id = id;
    if (size > vocabulary->longest) vocabulary->longest = size;
    if (id > vocabulary->largest_id) vocabulary->largest_id = id;
    return true;
}

bool cei_vocabulary_add(cei_vocabulary *vocabulary, const char *token, size_t size, int32_t id) {
    return add(vocabulary, token, NULL, size, id);
}

bool cei_vocabulary_add_held(cei_vocabulary *vocabulary, size_t offset, size_t size, int32_t id) {
    return add(vocabulary, vocabulary->bytes.data + offset, &offset, size, id);
}

int32_t cei_vocabulary_get(const cei_vocabulary *vocabulary, uint64_t hash, const char *token, size_t size) {
    uint64_t mixed = spread(hash), bits = filter_bits(mixed);
    if ((*filter_word(vocabulary, mixed) & bits) != bits) return -1;
    return slot_of(vocabulary, mixed, token, size)->id;
}

int32_t cei_vocabulary_get_likely(const cei_vocabulary *vocabulary, uint64_t hash, const char *token, size_t size) {
    return slot_of(vocabulary, spread(hash), token, size)->id;
}

int32_t cei_vocabulary_find(const cei_vocabulary *vocabulary, const char *token, size_t size) {
    return cei_vocabulary_get(vocabulary, hash_of(token, size), token, size);
}
