/* vocab_file.c - vocab.txt: the token of id n stands in line n, counted from 0.
 *
 * White space at a line's end is no part of the token; of a token that stands there twice, the last id counts. */
#include "base/error.h"
#include "text/spec.h"
#include "text/unicode.h"
#include "text/utf8.h"

static size_t trimmed_size(const char *line, size_t size) {
    const unsigned char last = size > 0 ? (unsigned char)line[size - 1] : ' ';
    if (last > ' ' && last < 0x7F) return size; /* of nearly all tokens */
    while (size > 0 && cei_unicode_is(cei_utf8_previous(line, size), CEI_UNICODE_WHITE)) {
        size--;
        while (size > 0 && !cei_utf8_is_boundary(line[size])) size--;
    }
    return size;
}

static size_t count_lines(const char *data, size_t size) {
    size_t lines = 0;
    for (size_t at = 0; at < size; at++) lines += data[at] == '\n';
    return lines + 1;
}

ce_status cei_vocab_file_read(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, ce_error *error) {
    size_t bad = cei_utf8_check(file->data, file->size, NULL);
    if (bad < file->size) return cei_fail(error, CE_ERR_FORMAT, "%s is not UTF-8: byte %zu", file->path, bad);
    size_t lines = count_lines(file->data, file->size);
    if (lines > CEI_TOKEN_ID_LIMIT || file->size > UINT32_MAX)
        return cei_fail(error, CE_ERR_FORMAT, "%s has %zu lines, and may have up to %d", file->path, lines,
                        CEI_TOKEN_ID_LIMIT);
    if (!cei_vocabulary_create(&spec->vocabulary, lines) ||
        !cei_bytes_append(&spec->vocabulary.bytes, file->data, file->size))
        return cei_fail_memory(error, "the vocabulary", 0);
    int32_t id = 0;
    for (size_t at = 0; at < file->size; id++) {
        const char *line = file->data + at;
        const char *end = memchr(line, '\n', file->size - at);
        size_t size = end ? (size_t)(end - line) : file->size - at;
        if (!cei_vocabulary_add_held(&spec->vocabulary, at, trimmed_size(line, size), id))
            return cei_fail_memory(error, "the vocabulary", 0);
        at += size + 1;
    }
    return CE_OK;
}
