/* text_steps.c - Replace, Prepend, Strip, Nmt: steps that SentencePiece's normalizing is rebuilt from.
 *
 * Each is one linear pass. There are no regular expressions: the few that published tokenizers have are code. */
#include "text/text_steps.h"

#include "base/error.h"
#include "base/memory.h"
#include "text/charsmap.h"
#include "text/metaspace.h"
#include "text/unicode.h"
#include "text/utf8.h"

bool cei_replace_find_pattern(const char *regex, cei_replace_pattern *pattern) {
    static const struct {
        const char *regex;
        cei_replace_pattern pattern;
    } known[] = {{" {2,}", CEI_REPLACE_BLANKS},
                 {"\\s{2,}|[\\n\\r\\t]", CEI_REPLACE_SPACES},
                 {"\\s+", CEI_REPLACE_ANY_SPACE},
                 {"\\A +| +\\z", CEI_REPLACE_EDGE_BLANKS},
                 {"\\A" CEI_MARK, CEI_REPLACE_FIRST_MARK}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(regex, known[i].regex) != 0) continue;
        *pattern = known[i].pattern;
        return true;
    }
    return false;
}

/* ---- Replace ---- */

ce_status cei_replace_push(cei_normalizer *normalizer, cei_replace_pattern replace, const char *pattern,
                           const char *content, ce_error *error) {
    cei_normalizer_step *step = &normalizer->steps[normalizer->count++];
    *step = (cei_normalizer_step){.kind = CEI_NORMALIZER_REPLACE, .replace = (int)replace};
    step->pattern_size = strlen(pattern);
    step->content_size = strlen(content);
    step->pattern = cei_copy_string(pattern, step->pattern_size);
    step->content = cei_copy_string(content, step->content_size);
    return step->pattern && step->content ? CE_OK : cei_fail_memory(error, "a step of the normalizer", 0);
}

/* Where a run of blanks, or of white space, ends that begins at at. */
static size_t run_end(const char *text, size_t size, size_t at, bool blanks) {
    while (at < size) {
        size_t next = at;
        uint32_t c = cei_utf8_next(text, &next);
        if (blanks ? c != ' ' : !cei_unicode_is(c, CEI_UNICODE_WHITE)) break;
        at = next;
    }
    return at;
}

static size_t match_string(const char *text, size_t size, size_t at, const char *pattern, size_t pattern_size) {
    return size - at >= pattern_size && memcmp(text + at, pattern, pattern_size) == 0 ? at + pattern_size : at;
}

/* Blanks at the text's beginning or end. Of others each run is looked at once. */
static size_t match_edge(const char *text, size_t size, size_t at) {
    if (text[at] != ' ' || (at > 0 && text[at - 1] == ' ')) return at;
    size_t end = run_end(text, size, at, true);
    return at == 0 || end == size ? end : at;
}

/* The end of the match that begins at at; at if there is none. */
static size_t match_end(const cei_normalizer_step *step, const char *text, size_t size, size_t at) {
    if (step->replace == CEI_REPLACE_STRING) return match_string(text, size, at, step->pattern, step->pattern_size);
    if (step->replace == CEI_REPLACE_EDGE_BLANKS) return match_edge(text, size, at);
    if (step->replace == CEI_REPLACE_FIRST_MARK)
        return at == 0 ? match_string(text, size, at, CEI_MARK, sizeof CEI_MARK - 1) : at;
    size_t one = at, end = run_end(text, size, at, step->replace == CEI_REPLACE_BLANKS);
    cei_utf8_next(text, &one);
    bool control = text[at] == '\n' || text[at] == '\r' || text[at] == '\t';
    bool alone = step->replace == CEI_REPLACE_ANY_SPACE || (step->replace == CEI_REPLACE_SPACES && control);
    return end > one || alone ? end : at;
}

bool cei_normalize_replace(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                           cei_bytes *out) {
    (void)marks;
    size_t kept = 0; /* what is before was written */
    for (size_t at = 0; at < size;) {
        size_t end = match_end(step, text, size, at);
        if (end == at) {
            cei_utf8_next(text, &at);
            continue;
        }
        if (!cei_bytes_append(out, text + kept, at - kept) || !cei_bytes_append(out, step->content, step->content_size))
            return false;
        at = kept = end;
    }
    return cei_bytes_append(out, text + kept, size - kept);
}

/* ---- Prepend, Strip ---- */

bool cei_normalize_prepend(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                           cei_bytes *out) {
    (void)marks;
    return size == 0 || (cei_bytes_append(out, step->content, step->content_size) && cei_bytes_append(out, text, size));
}

bool cei_normalize_strip(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                         cei_bytes *out) {
    (void)marks;
    size_t start = step->strip_left ? run_end(text, size, 0, false) : 0;
    while (step->strip_right && size > start && cei_unicode_is(cei_utf8_previous(text, size), CEI_UNICODE_WHITE)) {
        do size--;
        while (!cei_utf8_is_boundary(text[size]));
    }
    return cei_bytes_append(out, text + start, size - start);
}

/* ---- Nmt ---- */

static bool nmt_drops(uint32_t c) {
    return (c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}

static bool nmt_blanks(uint32_t c) {
    return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
           c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

bool cei_normalize_nmt(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                       cei_bytes *out) {
    (void)step, (void)marks;
    if (!cei_bytes_reserve(out, size)) return false;
    for (size_t at = 0; at < size;) {
        uint32_t c = cei_utf8_next(text, &at);
        if (!nmt_drops(c)) out->size += cei_utf8_put(out->data + out->size, nmt_blanks(c) ? ' ' : c);
    }
    return true;
}

bool cei_normalize_charsmap(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                            cei_bytes *out) {
    (void)marks;
    return cei_charsmap_apply(step->charsmap, text, size, out);
}
