/* best.c - a bounded heap, so that a stream of any length needs room for its best documents only. */
#include "best.h"

#include <math.h>
#include <stdlib.h>

/* Does a go before b? */
static bool is_better(const cli_scored *a, const cli_scored *b) {
    if (isnan(a->score) != isnan(b->score)) return isnan(b->score);
    if (a->score > b->score || a->score < b->score) return a->score > b->score;
    return a->index < b->index;
}

static void swap(cli_scored *a, cli_scored *b) {
    cli_scored kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(cli_scored *items, size_t at) {
    while (at > 0 && is_better(&items[(at - 1) / 2], &items[at])) {
        swap(&items[(at - 1) / 2], &items[at]);
        at = (at - 1) / 2;
    }
}

static void sift_down(cli_scored *items, size_t count, size_t at) {
    for (;;) {
        size_t worst = at;
        for (size_t child = 2 * at + 1; child < count && child <= 2 * at + 2; child++) {
            if (is_better(&items[worst], &items[child])) worst = child;
        }
        if (worst == at) return;
        swap(&items[at], &items[worst]);
        at = worst;
    }
}

/* Gives item its own copy of its texts. */
static bool own_texts(cli_scored *item) {
    cli_document *document = &item->document;
    item->own = malloc(document->id.size + document->text.size + 1);
    if (!item->own) return false;
    char *text = item->own + document->id.size;
    if (document->id.size) memcpy(item->own, document->id.data, document->id.size);
    if (document->text.size) memcpy(text, document->text.data, document->text.size);
    if (document->id.data) document->id.data = item->own;
    document->text.data = text;
    return true;
}

bool cli_best_add(cli_best *best, uint64_t index, float score, const cli_document *document) {
    cli_scored item = {index, score, *document, NULL};
    bool is_full = best->limit > 0 && best->count == best->limit;
    if (is_full && !is_better(&item, &best->items[0])) return true;
    if (best->limit > 0 && !own_texts(&item)) return false;
    if (is_full) {
        free(best->items[0].own);
        best->items[0] = item;
        sift_down(best->items, best->count, 0);
        return true;
    }
    if (!cli_grow(&best->items, &best->capacity, best->count + 1, sizeof *best->items)) {
        free(item.own);
        return false;
    }
    best->items[best->count++] = item;
    if (best->limit > 0) sift_up(best->items, best->count - 1);
    return true;
}

static int by_rank(const void *left, const void *right) {
    const cli_scored *a = left, *b = right;
    return is_better(a, b) ? -1 : is_better(b, a);
}

void cli_best_sort(cli_best *best) {
    if (best->count > 1) qsort(best->items, best->count, sizeof *best->items, by_rank);
}

void cli_best_free(cli_best *best) {
    for (size_t i = 0; i < best->count; i++) free(best->items[i].own);
    free(best->items);
    *best = (cli_best){0};
}
