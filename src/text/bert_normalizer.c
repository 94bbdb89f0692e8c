/* bert_normalizer.c - BERT's cleaning, ideograph splitting, accent stripping and lower-casing, in one pass.
 *
 * The four are defined one after the other; each looks at single code points but for the canonical ordering of marks,
 * for which marks wait in a queue until the next starter. Most text is ASCII: it goes through a table of 128. */
#include "text/letters.h"
#include "text/normalizer.h"

/* The most bytes that one code point may add, apart from marks in the queue. */
#define CODE_POINT_ROOM (CEI_LOWER_MAX_SIZE * (CEI_UNICODE_MAX_DECOMPOSITION + 2))

typedef struct bert_pass {
    cei_bert_options options;
    cei_marks *marks;
    cei_bytes *out;
} bert_pass;

cei_normalizer_step cei_normalizer_bert(cei_bert_options options) {
    cei_normalizer_step step = {.kind = CEI_NORMALIZER_BERT, .bert = options};
    for (uint32_t c = 0; c < 128; c++) {
        unsigned flags = cei_unicode_get(c)->flags;
        step.kept[c] = !(options.clean_text && (flags & CEI_UNICODE_CONTROL));
        step.ascii[c] = (char)c;
        if (options.clean_text && (flags & CEI_UNICODE_WHITE))
            step.ascii[c] = ' ';
        else if (options.lowercase)
            cei_put_lower(&step.ascii[c], c);
    }
    return step;
}

static void emit(bert_pass *pass, uint32_t c) {
    char *end = pass->out->data + pass->out->size;
    pass->out->size += pass->options.lowercase ? cei_put_lower(end, c) : cei_utf8_put(end, c);
}

static void emit_marks(bert_pass *pass) {
    if (pass->marks->count == 0) return;
    cei_marks_sort(pass->marks);
    for (size_t i = 0; i < pass->marks->count; i++) emit(pass, cei_mark_code_point(pass->marks->items[i]));
    pass->marks->count = 0;
}

/* Dropping marks before they are sorted leaves the same order as dropping them after. */
static bool strip_accents(bert_pass *pass, uint32_t c) {
    uint32_t parts[CEI_UNICODE_MAX_DECOMPOSITION];
    size_t count = cei_unicode_decompose(c, false, parts);
    for (size_t i = 0; i < count; i++) {
        const cei_unicode_record *record = cei_unicode_get(parts[i]);
        bool drop = record->flags & CEI_UNICODE_BERT_MARK;
        if (record->rank == 0) emit_marks(pass);
        if (drop) continue;
        if (record->rank == 0)
            emit(pass, parts[i]);
        else if (!cei_marks_push(pass->marks, parts[i], record->rank))
            return false;
    }
    return true;
}

static void emit_blank(bert_pass *pass) {
    emit_marks(pass);
    pass->out->data[pass->out->size++] = ' ';
}

static bool normalize_code_point(bert_pass *pass, uint32_t c) {
    unsigned flags = cei_unicode_get(c)->flags;
    if (pass->options.clean_text) {
        if (flags & CEI_UNICODE_CONTROL) return true;
        if (flags & CEI_UNICODE_WHITE) return emit_blank(pass), true;
    }
    bool split = pass->options.handle_chinese_chars && (flags & CEI_UNICODE_CJK);
    if (split) emit_blank(pass);
    if (!pass->options.strip_accents)
        emit(pass, c);
    else if (!strip_accents(pass, c))
        return false;
    if (split) emit_blank(pass);
    return true;
}

/* The ASCII that text begins with; how many bytes that was. out has room for size bytes. */
static size_t normalize_ascii(const cei_normalizer_step *step, const char *text, size_t size, cei_bytes *out) {
    char *end = out->data + out->size;
    size_t at = 0;
    for (; at < size; at++) {
        unsigned char byte = (unsigned char)text[at];
        if (byte >= 0x80) break;
        *end = step->ascii[byte];
        end += step->kept[byte];
    }
    out->size = (size_t)(end - out->data);
    return at;
}

bool cei_normalize_bert(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                        cei_bytes *out) {
    bert_pass pass = {step->bert, marks, out};
    for (size_t at = 0; at < size;) {
        /* Room for the rest as ASCII and for one code point more, so that only this place can run out of memory. */
        if (!cei_bytes_reserve(out, size - at + CEI_LOWER_MAX_SIZE * marks->count + CODE_POINT_ROOM)) return false;
        if (marks->count == 0) at += normalize_ascii(step, text + at, size - at, out);
        if (at < size && !normalize_code_point(&pass, cei_utf8_next(text, &at))) return false;
    }
    if (!cei_bytes_reserve(out, CEI_LOWER_MAX_SIZE * marks->count)) return false;
    emit_marks(&pass);
    return true;
}
