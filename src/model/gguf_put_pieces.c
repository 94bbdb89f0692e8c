/* gguf_put_pieces.c - byte pair encoding over the pieces of SentencePiece, in the keys of a GGUF file.
 *
 * Such a file has a score for each piece: programs merge the two neighbours whose piece has the largest. The way back
 * of gguf_pieces.c, which orders merges by the ids of what they make, as the reference's classes do of a model's file.
 */
#include "model/gguf_put.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* Types of tokens, by the format's numbers. */
enum { NORMAL = 1, UNKNOWN = 2, BYTE = 6 };

/* The id of what merge number i makes; -1 if that is no token. *at is where its text begins, and is moved behind it. */
static int32_t made_by(const cei_tokenizer_spec *spec, size_t i, size_t *at) {
    const cei_merges *merges = &spec->merges;
    if (merges->known_count > 0) return merges->known[i].made;
    const size_t size = (size_t)merges->sizes[i].left + merges->sizes[i].right;
    const char *text = merges->text.data + *at;
    *at += size;
    return cei_vocabulary_find(&spec->vocabulary, text, size);
}

/* The first merge that makes a piece decides; a piece that none makes comes behind all that are made, by its id. */
static void score_by_merges(const cei_tokenizer_spec *spec, float *scores, size_t rows) {
    const cei_merges *merges = &spec->merges;
    const size_t count = merges->known_count > 0 ? merges->known_count : merges->count;
    size_t at = 0;
    for (size_t id = 0; id < rows; id++) scores[id] = -(float)(count + id);
    for (size_t i = 0; i < count; i++) {
        const int32_t id = made_by(spec, i, &at);
        if (id >= 0 && (size_t)id < rows && -scores[id] > (float)i) scores[id] = -(float)i;
    }
}

static void find_scores(const cei_tokenizer_spec *spec, float *scores, size_t rows) {
    const cei_sentencepiece *model = &spec->sentencepiece;
    score_by_merges(spec, scores, rows);
    for (size_t id = 0; id < rows && id < model->count; id++) scores[id] = model->pieces[id].score;
}

/* "<0x0A>", where unknown characters become such pieces. */
static bool is_byte(const cei_tokenizer_spec *spec, cei_gguf_text token) {
    static const char digits[] = "0123456789ABCDEF";
    return spec->bpe.byte_fallback && token.size == 6 && memcmp(token.data, "<0x", 3) == 0 && token.data[5] == '>' &&
           memchr(digits, token.data[3], 16) && memchr(digits, token.data[4], 16);
}

ce_status cei_gguf_put_scores(const cei_tokenizer_spec *spec, const cei_gguf_text *tokens, uint8_t *types, size_t rows,
                              int32_t unknown, cei_gguf_out *out, ce_error *error) {
    float *scores = cei_alloc(rows, sizeof *scores);
    if (!scores) return cei_fail_memory(error, "scores of pieces", rows * sizeof *scores);
    find_scores(spec, scores, rows);
    for (size_t id = 0; id < rows; id++)
        if (types[id] == NORMAL && is_byte(spec, tokens[id])) types[id] = BYTE;
    if (unknown >= 0) types[unknown] = UNKNOWN;
    cei_gguf_put_array(out, "tokenizer.ggml.scores", CEI_GGUF_FLOAT32, rows);
    for (size_t id = 0; id < rows; id++) cei_gguf_put_real(out, scores[id]);
    cei_gguf_put_bool(out, "tokenizer.ggml.add_space_prefix",
                      spec->metaspace.mark && spec->metaspace.prepend != CEI_PREPEND_NEVER);
    cei_free(scores);
    return CE_OK;
}
