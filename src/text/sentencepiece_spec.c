/* sentencepiece_spec.c - makes vocabulary, normalizer and words of a tokenizer from a SentencePiece model.
 *
 * The steps are those that the reference rebuilds SentencePiece from, so ids are the reference's where the two differ:
 * it looks up grapheme clusters in the charsmap (charsmap.h), and finds control pieces in a text. */
#include "text/sentencepiece_spec.h"

#include "base/error.h"
#include "text/charsmap.h"
#include "text/sentencepiece_json.h"

ce_status cei_sentencepiece_spec_read(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, ce_error *error) {
    cei_sentencepiece *model = &spec->sentencepiece;
    ce_status status = cei_sentencepiece_read(file->data, file->size, file->path, model, error);
    if (status != CE_OK) return status;
    spec->kind = model->type == CEI_SENTENCEPIECE_BPE ? CEI_MODEL_BPE : CEI_MODEL_UNIGRAM;
    spec->unigram.unknown = model->unknown;
    return CE_OK;
}

/* ---- pieces ---- */

static bool push_piece(cei_tokenizer_spec *spec, const char *text, size_t size, double score) {
    return cei_vocabulary_add(&spec->vocabulary, text, size, (int32_t)spec->unigram.count) &&
           cei_unigram_push(&spec->unigram, score);
}

ce_status cei_sentencepiece_take(cei_tokenizer_spec *spec, const cei_class_piece *before, size_t count, size_t skipped,
                                 const char *last, ce_error *error) {
    const cei_sentencepiece *model = &spec->sentencepiece;
    const size_t total = count + model->count + 1;
    if (total > CEI_TOKEN_ID_LIMIT)
        return cei_fail(error, CE_ERR_FORMAT, "%s has %zu pieces, and may have up to %zu", spec->path, model->count,
                        CEI_TOKEN_ID_LIMIT - count - 1);
    bool good = cei_vocabulary_create(&spec->vocabulary, total);
    for (size_t i = 0; i < count && good; i++)
        good = push_piece(spec, before[i].text, strlen(before[i].text), before[i].score);
    for (size_t i = skipped; i < model->count && good; i++)
        good = push_piece(spec, model->pieces[i].text, model->pieces[i].size, (double)model->pieces[i].score);
    if (last && good) good = push_piece(spec, last, strlen(last), 0);
    return good ? CE_OK : cei_fail_memory(error, "the vocabulary", 0);
}

ce_status cei_sentencepiece_push(cei_tokenizer_spec *spec, const char *text, ce_error *error) {
    if (spec->unigram.count >= CEI_TOKEN_ID_LIMIT)
        return cei_fail(error, CE_ERR_FORMAT, "%s has no id left for \"%.60s\"", spec->path, text);
    return push_piece(spec, text, strlen(text), 0) ? CE_OK : cei_fail_memory(error, "the vocabulary", 0);
}

/* ---- normalizer ---- */

ce_status cei_sentencepiece_take_charsmap(cei_tokenizer_spec *spec, ce_error *error) {
    const cei_sentencepiece *model = &spec->sentencepiece;
    cei_normalizer_step *step = &spec->normalizer.steps[spec->normalizer.count];
    if (!model->charsmap) return CE_OK;
    *step = (cei_normalizer_step){.kind = CEI_NORMALIZER_CHARSMAP};
    spec->normalizer.count++;
    return cei_charsmap_read(model->charsmap, model->charsmap_size, spec->path, &step->charsmap, error);
}

static ce_status push_steps(cei_tokenizer_spec *spec, bool each_stretch, ce_error *error) {
    const cei_sentencepiece *model = &spec->sentencepiece;
    ce_status status = cei_sentencepiece_take_charsmap(spec, error);
    if (status == CE_OK && model->collapse_blanks) {
        status = cei_replace_push(&spec->normalizer, CEI_REPLACE_EDGE_BLANKS, "", "", error);
        if (status == CE_OK) status = cei_replace_push(&spec->normalizer, CEI_REPLACE_BLANKS, "", " ", error);
    }
    if (status == CE_OK && model->mark_blanks)
        status = cei_replace_push(&spec->normalizer, CEI_REPLACE_STRING, " ", CEI_MARK, error);
    /* The pre-tokenizer puts no mark before a text that begins with one; SentencePiece does. */
    if (status == CE_OK && model->prefix && each_stretch)
        status = cei_replace_push(&spec->normalizer, CEI_REPLACE_FIRST_MARK, "", CEI_MARK CEI_MARK, error);
    return status;
}

/* ---- all of it ---- */

static ce_status refuse_user_defined(const cei_tokenizer_spec *spec, ce_error *error) {
    const cei_sentencepiece *model = &spec->sentencepiece;
    for (size_t i = 0; i < model->count; i++)
        if (model->pieces[i].kind == CEI_PIECE_USER_DEFINED)
            return cei_fail(error, CE_ERR_UNSUPPORTED,
                            "%s: the user-defined piece \"%.60s\" is not supported without a tokenizer.json",
                            spec->path, model->pieces[i].text);
    return CE_OK;
}

/* The reference gives the blank to a text of which the normalizer dropped no beginning, which is not known here. */
static ce_status check_first_stretch(const cei_tokenizer_spec *spec, ce_error *error) {
    const cei_sentencepiece *model = &spec->sentencepiece;
    if (!model->prefix || (!model->charsmap && !model->collapse_blanks)) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s: \"legacy\": false with a normalizer that drops characters is not supported without a"
                    " tokenizer.json",
                    spec->path);
}

ce_status cei_sentencepiece_apply(cei_tokenizer_spec *spec, bool each_stretch, ce_error *error) {
    const cei_sentencepiece *model = &spec->sentencepiece;
    const bool prefix = model->prefix;
    spec->metaspace = (cei_metaspace){.mark = prefix, .replacement = CEI_MARK, .replacement_size = 3};
    spec->metaspace.prepend = each_stretch ? CEI_PREPEND_ALWAYS : CEI_PREPEND_FIRST;
    spec->unigram.byte_fallback = model->byte_fallback;
    spec->bpe =
        (cei_bpe_options){.unknown = model->unknown_name, .fuse_unknown = true, .byte_fallback = model->byte_fallback};
    ce_status status = refuse_user_defined(spec, error);
    if (status == CE_OK && !each_stretch) status = check_first_stretch(spec, error);
    if (status == CE_OK) status = push_steps(spec, each_stretch, error);
    if (status == CE_OK) status = cei_sentencepiece_take(spec, NULL, 0, 0, NULL, error);
    return status == CE_OK && spec->kind == CEI_MODEL_BPE ? cei_sentencepiece_merges(spec, false, error) : status;
}
