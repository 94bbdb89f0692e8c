/* pair.c - truncating and joining two texts. Relies on nothing; never allocates. */
#include "text/pair.h"

#include <string.h>

cei_pair_template cei_pair_bert(int32_t cls, int32_t sep) {
    return (cei_pair_template){.items = {{CEI_PAIR_SPECIAL, cls, 0},
                                         {CEI_PAIR_QUERY, 0, 0},
                                         {CEI_PAIR_SPECIAL, sep, 0},
                                         {CEI_PAIR_DOCUMENT, 0, 1},
                                         {CEI_PAIR_SPECIAL, sep, 1}},
                               .count = 5};
}

cei_pair_template cei_single_bert(int32_t cls, int32_t sep) {
    return (cei_pair_template){
        .items = {{CEI_PAIR_SPECIAL, cls, 0}, {CEI_PAIR_QUERY, 0, 0}, {CEI_PAIR_SPECIAL, sep, 0}}, .count = 3};
}

cei_pair_template cei_pair_roberta(int32_t cls, int32_t sep) {
    return (cei_pair_template){.items = {{CEI_PAIR_SPECIAL, cls, 0},
                                         {CEI_PAIR_QUERY, 0, 0},
                                         {CEI_PAIR_SPECIAL, sep, 0},
                                         {CEI_PAIR_SPECIAL, sep, 0},
                                         {CEI_PAIR_DOCUMENT, 0, 0},
                                         {CEI_PAIR_SPECIAL, sep, 0}},
                               .count = 6};
}

cei_pair_template cei_single_roberta(int32_t cls, int32_t sep) { return cei_single_bert(cls, sep); }

size_t cei_pair_specials(const cei_pair_template *pair) {
    size_t specials = 0;
    for (size_t i = 0; i < pair->count; i++) specials += pair->items[i].kind == CEI_PAIR_SPECIAL;
    return specials;
}

size_t cei_pair_types(const cei_pair_template *pair) {
    int32_t largest = 0;
    for (size_t i = 0; i < pair->count; i++)
        if (pair->items[i].type_id > largest) largest = pair->items[i].type_id;
    return (size_t)largest + 1;
}

static void fill(int32_t *items, size_t count, int32_t value) {
    for (size_t i = 0; i < count; i++) items[i] = value;
}

void cei_pair_join(const cei_pair_template *pair, const int32_t *query, size_t query_kept, const int32_t *document,
                   size_t document_kept, int32_t *ids, int32_t *type_ids) {
    size_t at = 0;
    for (size_t i = 0; i < pair->count; i++) {
        const cei_pair_item *item = &pair->items[i];
        const int32_t *from = item->kind == CEI_PAIR_QUERY      ? query
                              : item->kind == CEI_PAIR_DOCUMENT ? document
                                                                : &item->id;
        size_t count = item->kind == CEI_PAIR_QUERY ? query_kept : item->kind == CEI_PAIR_DOCUMENT ? document_kept : 1;
        if (count) memcpy(ids + at, from, count * sizeof *ids);
        fill(type_ids + at, count, item->type_id);
        at += count;
    }
}

/* The reference lets the shorter text keep what it has as far as it can, and halves the budget if both are longer
 * than half of it; the odd token goes to the longer text, of equally long ones to the document. */
void cei_truncate_pair(size_t query_tokens, size_t document_tokens, size_t budget, size_t *query_kept,
                       size_t *document_kept) {
    *query_kept = query_tokens;
    *document_kept = document_tokens;
    if (query_tokens <= budget && document_tokens <= budget - query_tokens) return;
    size_t *shorter = query_tokens <= document_tokens ? query_kept : document_kept;
    size_t *longer = shorter == query_kept ? document_kept : query_kept;
    if (*shorter > budget / 2) *shorter = budget / 2;
    *longer = budget - *shorter;
}
