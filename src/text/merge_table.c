/* merge_table.c - the hash table of merges, and byte pair encoding of one word.
 *
 * Short words, which nearly all are, look for their lowest rank by going through all pairs. Long ones keep pairs in a
 * heap, so that a megabyte without a blank takes n log n and not n squared. Both give the same: a pair that waits in
 * the heap is known by its rank, and the tokens at a place only ever grow, so that a rank never comes back there. */
#include "text/merge_table.h"

#define NO_RANK UINT32_MAX
#define NONE UINT32_MAX
#define SHORT_WORD 48 /* tokens: most words of most languages */
#define PLACE_BITS 32

bool cei_merge_table_create(cei_merge_table *table, size_t count) {
    unsigned bits = 4;
    while ((size_t)1 << bits < 2 * count) bits++;
    table->slots = cei_alloc((size_t)1 << bits, sizeof *table->slots);
    if (!table->slots) return false;
    table->shift = 64 - bits;
    table->mask = ((size_t)1 << bits) - 1;
    for (size_t i = 0; i <= table->mask; i++) table->slots[i].left = -1;
    return true;
}

void cei_merge_table_free(cei_merge_table *table) {
    cei_free(table->slots);
    *table = (cei_merge_table){0};
}

/* The slot of the pair, or the empty one where it belongs. The multiplier is 2^64 divided by the golden ratio. */
static cei_merge *slot_of(const cei_merge_table *table, int32_t left, int32_t right) {
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(hash >> table->shift);
    cei_merge *slot = &table->slots[at];
    while (slot->left >= 0 && (slot->left != left || slot->right != right))
        slot = &table->slots[at = (at + 1) & table->mask];
    return slot;
}

void cei_merge_table_add(cei_merge_table *table, const cei_merge *merge) {
    *slot_of(table, merge->left, merge->right) = *merge;
}

/* ---- short words ---- */

/* What the tokens at and behind at make, and how urgently. */
static void rank_pair(const cei_merge_table *table, const int32_t *ids, size_t at, uint32_t *ranks, int32_t *made) {
    const cei_merge *merge = slot_of(table, ids[at], ids[at + 1]);
    ranks[at] = merge->left >= 0 ? merge->rank : NO_RANK;
    made[at] = merge->made;
}

/* Closes the gap that the item at leaves. */
static void close_gap(void *items, size_t at, size_t count) {
    uint32_t *words = items;
    for (size_t i = at; i + 1 < count; i++) words[i] = words[i + 1];
}

static size_t merge_short(const cei_merge_table *table, int32_t *ids, size_t count) {
    uint32_t ranks[SHORT_WORD];
    int32_t made[SHORT_WORD];
    for (size_t i = 0; i + 1 < count; i++) rank_pair(table, ids, i, ranks, made);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == NO_RANK) break;
        ids[best] = made[best];
        close_gap(ids, best + 1, count);
        close_gap(ranks, best, count - 1);
        close_gap(made, best, count - 1);
        count--;
        if (best + 1 < count) rank_pair(table, ids, best, ranks, made);
        if (best > 0) rank_pair(table, ids, best - 1, ranks, made);
    }
    return count;
}

/* ---- long words ---- */

typedef struct token_link {
    int32_t id; /* -1 if it went into its left neighbour */
    uint32_t previous, next;
} token_link;

typedef struct long_word {
    const cei_merge_table *table;
    token_link *links;
    uint64_t *heap; /* rank and place of pairs, the least first; each place comes in once for each pair it had */
    size_t waiting;
} long_word;

static void sift_down(uint64_t *heap, size_t count, size_t at) {
    uint64_t item = heap[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= item) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = item;
}

static void push_waiting(long_word *word, uint64_t item) {
    size_t at = word->waiting++;
    while (at > 0 && word->heap[(at - 1) / 2] > item) {
        word->heap[at] = word->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    word->heap[at] = item;
}

static uint64_t pop_waiting(long_word *word) {
    uint64_t item = word->heap[0];
    word->heap[0] = word->heap[--word->waiting];
    if (word->waiting > 0) sift_down(word->heap, word->waiting, 0);
    return item;
}

/* The merge of the tokens at and behind place; NULL if there is none. */
static const cei_merge *merge_at(const long_word *word, uint32_t place) {
    const token_link *link = &word->links[place];
    if (link->id < 0 || link->next == NONE) return NULL;
    const cei_merge *merge = slot_of(word->table, link->id, word->links[link->next].id);
    return merge->left >= 0 ? merge : NULL;
}

static void queue_pair(long_word *word, uint32_t place) {
    const cei_merge *merge = merge_at(word, place);
    if (merge) push_waiting(word, (uint64_t)merge->rank << PLACE_BITS | place);
}

static void apply(long_word *word, uint32_t place, const cei_merge *merge) {
    token_link *link = &word->links[place], *gone = &word->links[link->next];
    link->id = merge->made;
    link->next = gone->next;
    gone->id = -1;
    if (link->next != NONE) word->links[link->next].previous = place;
    queue_pair(word, place);
    if (link->previous != NONE) queue_pair(word, link->previous);
}

static void start_links(long_word *word, const int32_t *ids, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        word->links[i] = (token_link){ids[i], i ? i - 1 : NONE, i + 1 < count ? i + 1 : NONE};
    for (uint32_t i = 0; i < count; i++) {
        const cei_merge *merge = merge_at(word, i);
        if (merge) word->heap[word->waiting++] = (uint64_t)merge->rank << PLACE_BITS | i;
    }
    for (size_t i = word->waiting / 2; i-- > 0;) sift_down(word->heap, word->waiting, i);
}

static size_t merge_long(const cei_merge_table *table, int32_t *ids, uint32_t count, char *memory) {
    /* A merge takes one pair from the heap and puts two there: 2 * count is room enough. */
    long_word word = {.table = table, .heap = (uint64_t *)(void *)memory};
    word.links = (token_link *)(void *)(memory + 2 * sizeof(uint64_t) * count);
    start_links(&word, ids, count);
    while (word.waiting > 0) {
        uint64_t item = pop_waiting(&word);
        const cei_merge *merge = merge_at(&word, (uint32_t)item);
        if (merge && merge->rank == (uint32_t)(item >> PLACE_BITS)) apply(&word, (uint32_t)item, merge);
    }
    size_t left = 0;
    for (uint32_t at = 0; at != NONE; at = word.links[at].next) ids[left++] = word.links[at].id;
    return left;
}

bool cei_merge_all(const cei_merge_table *table, int32_t *ids, size_t *count, cei_bytes *work) {
    size_t bytes;
    if (*count <= SHORT_WORD) {
        *count = merge_short(table, ids, *count);
        return true;
    }
    if (*count >= NONE || !cei_mul_size(*count, 2 * sizeof(uint64_t) + sizeof(token_link), &bytes)) return false;
    work->size = 0;
    if (!cei_bytes_reserve(work, bytes)) return false;
    *count = merge_long(table, ids, (uint32_t)*count, work->data);
    return true;
}
