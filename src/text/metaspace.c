/* metaspace.c - cuts text into words that begin with a mark where there was a blank, as SentencePiece has them.
 *
 * Words differ from the text, so they are written anew, as many at a time as the model takes. */
#include "text/metaspace.h"

#include "text/unicode.h"
#include "text/utf8.h"

static bool is_white(const char *text, size_t at, size_t *next) {
    *next = at;
    return cei_unicode_is(cei_utf8_next(text, next), CEI_UNICODE_WHITE);
}

/* Goes to the next chunk between white space; false at the end. */
static bool find_chunk(cei_metaspace_scan *scan) {
    size_t next;
    if (!scan->metaspace->split_white) {
        scan->chunk_end = scan->size;
        return scan->at < scan->size;
    }
    while (scan->at < scan->size && is_white(scan->text, scan->at, &next)) scan->at = next;
    size_t end = scan->at;
    while (end < scan->size && !is_white(scan->text, end, &next)) end = next;
    scan->chunk_end = end;
    return scan->at < end;
}

/* Does the text at at begin with a blank or the replacement? How many bytes, else 0. */
static size_t mark_size(const cei_metaspace_scan *scan, size_t at) {
    const cei_metaspace *how = scan->metaspace;
    if (scan->text[at] == ' ') return 1;
    bool mark = scan->chunk_end - at >= how->replacement_size &&
                memcmp(scan->text + at, how->replacement, how->replacement_size) == 0;
    return mark ? how->replacement_size : 0;
}

static bool put_mark(const cei_metaspace_scan *scan) {
    return cei_bytes_append(scan->scratch, scan->metaspace->replacement, scan->metaspace->replacement_size);
}

/* Writes the word at scan->at, and counts its characters. */
static bool put_word(cei_metaspace_scan *scan, bool prepend, size_t *characters) {
    bool begun = prepend;
    *characters = prepend;
    if (prepend && !put_mark(scan)) return false;
    while (scan->at < scan->chunk_end) {
        size_t mark = mark_size(scan, scan->at);
        if (mark && begun && scan->metaspace->split) return true;
        if (mark) {
            scan->at += mark;
            if (!put_mark(scan)) return false;
            (*characters)++;
        }
        const size_t start = scan->at;
        while (scan->at < scan->chunk_end && !mark_size(scan, scan->at)) {
            cei_utf8_next(scan->text, &scan->at);
            (*characters)++;
        }
        if (!cei_bytes_append(scan->scratch, scan->text + start, scan->at - start)) return false;
        begun = true;
    }
    return true;
}

static bool put_next(cei_metaspace_scan *scan, bool *more, size_t *characters) {
    const cei_metaspace *how = scan->metaspace;
    bool fresh = scan->at == scan->chunk_end;
    *more = !fresh || find_chunk(scan);
    if (!*more) return true;
    if (!how->mark) {
        size_t start = scan->at;
        for (*characters = 0; scan->at < scan->chunk_end; (*characters)++) cei_utf8_next(scan->text, &scan->at);
        return cei_bytes_append(scan->scratch, scan->text + start, scan->at - start);
    }
    bool prepend = fresh && (how->prepend == CEI_PREPEND_ALWAYS ||
                             (how->prepend == CEI_PREPEND_FIRST && scan->first && scan->at == 0));
    return put_word(scan, prepend && !mark_size(scan, scan->at), characters);
}

bool cei_metaspace_next(cei_metaspace_scan *scan, cei_word *words, size_t capacity, size_t *count) {
    size_t starts[CEI_METASPACE_WORDS + 1] = {0};
    scan->scratch->size = *count = 0;
    while (*count < capacity && *count < CEI_METASPACE_WORDS) {
        bool more;
        if (!put_next(scan, &more, &words[*count].characters)) return false;
        if (!more) break;
        starts[++*count] = scan->scratch->size;
    }
    /* Only now does the scratch memory lie still. */
    for (size_t i = 0; i < *count; i++) {
        words[i].data = scan->scratch->data + starts[i];
        words[i].size = starts[i + 1] - starts[i];
    }
    return true;
}
