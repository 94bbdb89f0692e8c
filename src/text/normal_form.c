/* normal_form.c - NFD, NFC, NFKD and NFKC in one pass (Unicode Standard, section 3.11).
 *
 * What is held back is one starter and the marks behind it; a run of marks of any length costs linear time. */
#include "text/normalizer.h"
#include "text/unicode.h"
#include "text/utf8.h"

#define NONE UINT32_MAX

typedef struct form_pass {
    bool compat, compose;
    uint32_t starter; /* waits for what it composes with; NONE at the start and when not composing */
    cei_marks *marks;
    cei_bytes *out;
} form_pass;

static void emit(form_pass *pass, uint32_t c) { pass->out->size += cei_utf8_put(pass->out->data + pass->out->size, c); }

/* Composes marks into the starter. One is blocked if a mark of its own rank was left before it. */
static void compose_marks(form_pass *pass) {
    size_t left = 0;
    for (size_t i = 0; i < pass->marks->count; i++) {
        uint32_t item = pass->marks->items[i];
        bool blocked = left > 0 && cei_mark_rank(pass->marks->items[left - 1]) == cei_mark_rank(item);
        uint32_t composed = blocked ? 0 : cei_unicode_compose(pass->starter, cei_mark_code_point(item));
        if (composed)
            pass->starter = composed;
        else
            pass->marks->items[left++] = item;
    }
    pass->marks->count = left;
}

static void emit_waiting(form_pass *pass) {
    if (pass->starter != NONE) emit(pass, pass->starter);
    for (size_t i = 0; i < pass->marks->count; i++) emit(pass, cei_mark_code_point(pass->marks->items[i]));
    pass->marks->count = 0;
    pass->starter = NONE;
}

static void take_starter(form_pass *pass, uint32_t c) {
    cei_marks_sort(pass->marks);
    if (pass->starter != NONE) {
        compose_marks(pass);
        uint32_t composed = pass->marks->count == 0 ? cei_unicode_compose(pass->starter, c) : 0;
        if (composed) {
            pass->starter = composed;
            return;
        }
    }
    emit_waiting(pass);
    if (pass->compose)
        pass->starter = c;
    else
        emit(pass, c);
}

static bool take_code_point(form_pass *pass, uint32_t c) {
    uint32_t parts[CEI_UNICODE_MAX_DECOMPOSITION];
    size_t count = cei_unicode_decompose(c, pass->compat, parts);
    for (size_t i = 0; i < count; i++) {
        uint8_t rank = cei_unicode_get(parts[i])->rank;
        if (rank == 0)
            take_starter(pass, parts[i]);
        else if (!cei_marks_push(pass->marks, parts[i], rank))
            return false;
    }
    return true;
}

static bool finish(form_pass *pass) {
    if (!cei_bytes_reserve(pass->out, 4 * (pass->marks->count + 1))) return false;
    cei_marks_sort(pass->marks);
    if (pass->starter != NONE) compose_marks(pass);
    emit_waiting(pass);
    return true;
}

/* Where stable characters that begin at at end. All below U+0300, whose first byte is below 0xCC, are stable. */
static size_t stable_end(const char *text, size_t size, size_t at) {
    for (size_t next = at; next < size; at = next) {
        while (next < size && (unsigned char)text[next] < 0x80) next++;
        at = next;
        if (next == size || !cei_unicode_is(cei_utf8_next(text, &next), CEI_UNICODE_STABLE)) break;
    }
    return at;
}

/* Composes text of which most is stable: runs of it are copied, but for a last character that what follows may join.
 * From there on it goes by one character at a time to the next stable one. */
static bool compose_between_stable(form_pass *pass, const char *text, size_t size) {
    for (size_t at = 0; at < size;) {
        size_t end = stable_end(text, size, at), kept = end;
        if (end < size && end > at)
            while (!cei_utf8_is_boundary(text[--kept])) continue;
        if (!cei_bytes_append(pass->out, text + at, kept - at)) return false;
        for (at = kept; at < size;) {
            size_t next = at;
            uint32_t c = cei_utf8_next(text, &next);
            if (at > kept && cei_unicode_is(c, CEI_UNICODE_STABLE)) break;
            if (!cei_bytes_reserve(pass->out, 4 * (pass->marks->count + CEI_UNICODE_MAX_DECOMPOSITION + 1)))
                return false;
            if (!take_code_point(pass, c)) return false;
            at = next;
        }
        if (!finish(pass)) return false;
    }
    return true;
}

bool cei_normalize_form(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                        cei_bytes *out) {
    form_pass pass = {.compat = step->kind == CEI_NORMALIZER_NFKD || step->kind == CEI_NORMALIZER_NFKC,
                      .compose = step->kind == CEI_NORMALIZER_NFC || step->kind == CEI_NORMALIZER_NFKC,
                      .starter = NONE,
                      .marks = marks,
                      .out = out};
    if (step->kind == CEI_NORMALIZER_NFC) return compose_between_stable(&pass, text, size);
    for (size_t at = 0; at < size;) {
        if (!cei_bytes_reserve(out, size - at + 4 * (marks->count + CEI_UNICODE_MAX_DECOMPOSITION + 1))) return false;
        if (!take_code_point(&pass, cei_utf8_next(text, &at))) return false;
    }
    return finish(&pass);
}
