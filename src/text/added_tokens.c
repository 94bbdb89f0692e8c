/* added_tokens.c - finds added tokens in text, leftmost first and longest there.
 *
 * Relies on unicode.h for what a word and white space are. Searching never allocates, and takes at most the text's
 * size times that of the longest token. */
#include "text/added_tokens.h"

#include "base/memory.h"
#include "text/unicode.h"
#include "text/utf8.h"

#define MANY_FIRST_BYTES (-1)

bool cei_added_tokens_add(cei_added_tokens *added, const cei_added_token *token) {
    if (!added->names.slots && !cei_vocabulary_create(&added->names, 0)) return false;
    void *tokens = added->tokens;
    bool grown = cei_grow(&tokens, &added->capacity, added->count + 1, sizeof *added->tokens);
    added->tokens = tokens;
    if (!grown || !cei_vocabulary_add(&added->names, token->content, token->size, (int32_t)added->count)) return false;
    added->tokens[added->count] = *token;
    added->tokens[added->count++].content = NULL;
    return true;
}

const cei_added_token *cei_added_tokens_find(const cei_added_tokens *added, const char *content, size_t size) {
    int32_t index = added->count ? cei_vocabulary_find(&added->names, content, size) : -1;
    return index >= 0 ? &added->tokens[index] : NULL;
}

void cei_added_tokens_replace(cei_added_tokens *added, const cei_added_token *token) {
    cei_added_token *old = &added->tokens[cei_vocabulary_find(&added->names, token->content, token->size)];
    int32_t id = old->id;
    *old = *token;
    old->id = id;
    old->content = NULL;
}

static uint32_t child_of(const cei_added_set *set, uint32_t node, char byte) {
    uint32_t child = set->nodes[node].child;
    while (child && set->nodes[child].byte != byte) child = set->nodes[child].sibling;
    return child;
}

/* A new node; 0 if there is no memory. The first is index 1. */
static uint32_t new_node(cei_added_set *set, char byte) {
    size_t index = set->count ? set->count : 1;
    void *nodes = set->nodes;
    bool grown = cei_grow(&nodes, &set->capacity, index + 1, sizeof *set->nodes);
    set->nodes = nodes;
    if (!grown || index >= UINT32_MAX) return 0;
    set->nodes[index] = (cei_added_node){.byte = byte};
    set->count = index + 1;
    return (uint32_t)index;
}

/* The node for byte below parent, or the first one if parent is 0; made if it is not there, 0 if that fails. */
static uint32_t descend(cei_added_set *set, uint32_t parent, char byte) {
    uint32_t node = parent ? child_of(set, parent, byte) : set->first[(unsigned char)byte];
    if (node) return node;
    node = new_node(set, byte);
    if (!node) return 0;
    if (!parent) {
        set->only = set->count == 2 ? (unsigned char)byte : MANY_FIRST_BYTES;
        set->first[(unsigned char)byte] = node;
    } else {
        set->nodes[node].sibling = set->nodes[parent].child;
        set->nodes[parent].child = node;
    }
    return node;
}

bool cei_added_tokens_index(cei_added_tokens *added, size_t index, const char *form, size_t size) {
    cei_added_set *set = added->tokens[index].normalized ? &added->normalized : &added->raw;
    uint32_t node = 0;
    for (size_t i = 0; i < size; i++) {
        node = descend(set, node, form[i]);
        if (!node) return false;
    }
    if (!set->nodes[node].token) set->nodes[node].token = (uint32_t)index + 1;
    return true;
}

void cei_added_tokens_free(cei_added_tokens *added) {
    cei_free(added->tokens);
    cei_vocabulary_free(&added->names);
    cei_free(added->raw.nodes);
    cei_free(added->normalized.nodes);
    *added = (cei_added_tokens){0};
}

cei_added_scan cei_added_scan_start(const cei_added_tokens *added, const cei_added_set *set, const char *text,
                                    size_t size) {
    return (cei_added_scan){.added = added, .set = set, .text = text, .size = size, .waiting = -1};
}

/* Where a byte that begins a token is, from at on; size if nowhere. */
static size_t next_candidate(const cei_added_scan *scan, size_t at) {
    if (scan->set->count == 0) return scan->size;
    if (scan->set->only >= 0) {
        const char *found = at < scan->size ? memchr(scan->text + at, scan->set->only, scan->size - at) : NULL;
        return found ? (size_t)(found - scan->text) : scan->size;
    }
    while (at < scan->size && !scan->set->first[(unsigned char)scan->text[at]]) at++;
    return at;
}

/* The longest token that begins at at; its end in *end. NULL if there is none. */
static const cei_added_token *match_at(const cei_added_scan *scan, size_t at, size_t *end) {
    const cei_added_token *token = NULL;
    uint32_t node = scan->set->first[(unsigned char)scan->text[at]];
    while (node) {
        at++;
        uint32_t ends = scan->set->nodes[node].token;
        if (ends) {
            token = &scan->added->tokens[ends - 1];
            *end = at;
        }
        node = at < scan->size ? child_of(scan->set, node, scan->text[at]) : 0;
    }
    return token;
}

static bool stands_alone(const cei_added_scan *scan, size_t start, size_t end) {
    if (start > 0 && cei_unicode_is(cei_utf8_previous(scan->text, start), CEI_UNICODE_WORD)) return false;
    size_t after = end;
    return end == scan->size || !cei_unicode_is(cei_utf8_next(scan->text, &after), CEI_UNICODE_WORD);
}

/* The white space left of start begins here, but not before limit. */
static size_t strip_left(const cei_added_scan *scan, size_t start, size_t limit) {
    while (start > limit) {
        size_t before = start - 1;
        while (before > 0 && !cei_utf8_is_boundary(scan->text[before])) before--;
        size_t at = before;
        if (!cei_unicode_is(cei_utf8_next(scan->text, &at), CEI_UNICODE_WHITE)) break;
        start = before;
    }
    return start;
}

static size_t strip_right(const cei_added_scan *scan, size_t end) {
    for (size_t at = end; at < scan->size; end = at)
        if (!cei_unicode_is(cei_utf8_next(scan->text, &at), CEI_UNICODE_WHITE)) break;
    return end;
}

/* The next token, or NULL, and where it lies: at the end of the text if there is none. */
static const cei_added_token *find_token(cei_added_scan *scan, size_t *start, size_t *end) {
    size_t at = next_candidate(scan, scan->searched);
    while (at < scan->size) {
        size_t match_end = at + 1;
        const cei_added_token *token = match_at(scan, at, &match_end);
        if (token && (!token->single_word || stands_alone(scan, at, match_end))) {
            *start = at;
            *end = scan->searched = match_end;
            return token;
        }
        at = next_candidate(scan, match_end);
    }
    *start = *end = scan->searched = scan->size;
    return NULL;
}

bool cei_added_scan_next(cei_added_scan *scan, cei_added_piece *piece) {
    if (scan->waiting >= 0) {
        *piece = (cei_added_piece){.id = scan->waiting};
        scan->waiting = -1;
        return true;
    }
    size_t start, end, taken;
    const cei_added_token *token;
    do {
        taken = scan->taken;
        token = find_token(scan, &start, &end);
        if (!token && taken >= scan->size) return false;
        /* A token may lie in white space that the last one took. There strip_right would end where it did. */
        if (token && token->lstrip) start = start > taken ? strip_left(scan, start, taken) : taken;
        if (token && token->rstrip) end = end < taken ? taken : strip_right(scan, end);
        scan->taken = end;
    } while (token && start >= end); /* nothing is left of it */
    if (start > taken) {
        *piece = (cei_added_piece){-1, scan->text + taken, start - taken};
        if (token) scan->waiting = token->id;
    } else {
        *piece = (cei_added_piece){.id = token->id};
    }
    return true;
}
