/* vocabulary.c - the hash table from token to id. Relies on base/memory.h; lookups never allocate. */
#include "text/vocabulary.h"

static uint64_t spread(uint64_t hash) {
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static cei_vocabulary_slot *new_slots(size_t count) {
    cei_vocabulary_slot *slots = cei_alloc(count, sizeof *slots);
    for (size_t i = 0; slots && i < count; i++) slots[i] = (cei_vocabulary_slot){.id = -1};
    return slots;
}

bool cei_vocabulary_create(cei_vocabulary *vocabulary, size_t count) {
    *vocabulary = (cei_vocabulary){.slot_count = 16, .largest_id = -1};
    while (vocabulary->slot_count / 2 < count) {
        if (vocabulary->slot_count > SIZE_MAX / 4) return false;
        vocabulary->slot_count *= 2;
    }
    vocabulary->slots = new_slots(vocabulary->slot_count);
    return vocabulary->slots != NULL;
}

void cei_vocabulary_free(cei_vocabulary *vocabulary) {
    cei_free(vocabulary->slots);
    cei_free(vocabulary->bytes.data);
    *vocabulary = (cei_vocabulary){0};
}

/* The slot of the token, or the empty one where it belongs. */
static cei_vocabulary_slot *slot_of(const cei_vocabulary *vocabulary, uint64_t hash, const char *token, size_t size) {
    uint64_t mixed = spread(hash);
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
    size_t count = vocabulary->slot_count * 2;
    cei_vocabulary_slot *slots = new_slots(count), *old = vocabulary->slots;
    if (!slots) return false;
    size_t old_count = vocabulary->slot_count;
    vocabulary->slots = slots;
    vocabulary->slot_count = count;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].id < 0) continue;
        const char *token = vocabulary->bytes.data + old[i].offset;
        *slot_of(vocabulary, hash_of(token, old[i].size), token, old[i].size) = old[i];
    }
    cei_free(old);
    return true;
}

bool cei_vocabulary_add(cei_vocabulary *vocabulary, const char *token, size_t size, int32_t id) {
    if (vocabulary->count >= vocabulary->slot_count / 2 && !grow(vocabulary)) return false;
    uint64_t hash = hash_of(token, size);
    cei_vocabulary_slot *slot = slot_of(vocabulary, hash, token, size);
    if (slot->id < 0) {
        uint32_t offset = (uint32_t)vocabulary->bytes.size;
        if (!cei_bytes_append(&vocabulary->bytes, token, size)) return false;
        *slot = (cei_vocabulary_slot){(uint32_t)spread(hash), id, offset, (uint32_t)size};
        vocabulary->count++;
    }
    slot->id = id;
    if (size > vocabulary->longest) vocabulary->longest = size;
    if (id > vocabulary->largest_id) vocabulary->largest_id = id;
    return true;
}

int32_t cei_vocabulary_get(const cei_vocabulary *vocabulary, uint64_t hash, const char *token, size_t size) {
    return slot_of(vocabulary, hash, token, size)->id;
}

int32_t cei_vocabulary_find(const cei_vocabulary *vocabulary, const char *token, size_t size) {
    return cei_vocabulary_get(vocabulary, hash_of(token, size), token, size);
}
