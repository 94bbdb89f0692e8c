/* normalizer.c - runs the steps of a normalizer, and the two steps that look at each code point alone.
 *
 * Relies on unicode.h; must not allocate once the scratch memory has grown to the texts. */
#include "text/normalizer.h"

#include "text/charsmap.h"
#include "text/letters.h"
#include "text/text_steps.h"
#include "text/unicode.h"
#include "text/utf8.h"

static bool normalize_lowercase(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                                cei_bytes *out) {
    (void)step, (void)marks;
    for (size_t at = 0; at < size;) {
        if (!cei_bytes_reserve(out, size - at + CEI_LOWER_MAX_SIZE)) return false;
        for (; at < size && (unsigned char)text[at] < 0x80; at++) {
            bool upper = text[at] >= 'A' && text[at] <= 'Z';
            out->data[out->size++] = (char)(text[at] | (upper ? 0x20 : 0));
        }
        if (at == size) break;
        out->size += cei_put_lower(out->data + out->size, cei_utf8_next(text, &at));
    }
    return true;
}

static bool normalize_strip_accents(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                                    cei_bytes *out) {
    (void)step, (void)marks;
    if (!cei_bytes_reserve(out, size)) return false;
    for (size_t at = 0; at < size;) {
        size_t start = at;
        if (cei_unicode_is(cei_utf8_next(text, &at), CEI_UNICODE_MARK)) continue;
        memcpy(out->data + out->size, text + start, at - start);
        out->size += at - start;
    }
    return true;
}

static const cei_normalizer_fn step_functions[] = {
    [CEI_NORMALIZER_BERT] = cei_normalize_bert,
    [CEI_NORMALIZER_NFD] = cei_normalize_form,
    [CEI_NORMALIZER_NFC] = cei_normalize_form,
    [CEI_NORMALIZER_NFKD] = cei_normalize_form,
    [CEI_NORMALIZER_NFKC] = cei_normalize_form,
    [CEI_NORMALIZER_LOWERCASE] = normalize_lowercase,
    [CEI_NORMALIZER_STRIP_ACCENTS] = normalize_strip_accents,
    [CEI_NORMALIZER_REPLACE] = cei_normalize_replace,
    [CEI_NORMALIZER_PREPEND] = cei_normalize_prepend,
    [CEI_NORMALIZER_STRIP] = cei_normalize_strip,
    [CEI_NORMALIZER_NMT] = cei_normalize_nmt,
    [CEI_NORMALIZER_CHARSMAP] = cei_normalize_charsmap,
};

bool cei_normalize(const cei_normalizer *normalizer, const char *text, size_t size, cei_normalizer_scratch *scratch,
                   const char **out, size_t *out_size) {
    *out = text;
    *out_size = size;
    for (size_t i = 0; i < normalizer->count; i++) {
        const cei_normalizer_step *step = &normalizer->steps[i];
        cei_bytes *output = &scratch->output[i % 2];
        output->size = 0;
        scratch->marks.count = 0;
        if (!step_functions[step->kind](step, *out, *out_size, &scratch->marks, output)) return false;
        *out = output->data;
        *out_size = output->size;
    }
    return true;
}

void cei_normalizer_step_free(cei_normalizer_step *step) {
    cei_free(step->pattern);
    cei_free(step->content);
    cei_charsmap_free(step->charsmap);
    *step = (cei_normalizer_step){0};
}

void cei_normalizer_free(cei_normalizer *normalizer) {
    for (size_t i = 0; i < normalizer->count; i++) cei_normalizer_step_free(&normalizer->steps[i]);
    normalizer->count = 0;
}

void cei_normalizer_scratch_free(cei_normalizer_scratch *scratch) {
    cei_free(scratch->output[0].data);
    cei_free(scratch->output[1].data);
    cei_marks_free(&scratch->marks);
    *scratch = (cei_normalizer_scratch){0};
}
