/* tokenizer_class_pieces.c - the classes of transformers for Llama and Gemma: BPE over the pieces of SentencePiece.
 *
 * Relies on tokenizer_config.c for the class and the special tokens, on sentencepiece_spec.h for a model's pieces. */
#include "text/tokenizer_class.h"

#include "base/error.h"
#include "text/sentencepiece_spec.h"

/* Llama marks blanks where it cuts words, of which a text is one; Gemma in its normalizer, and puts none before. */
static ce_status set_marks(cei_applying *work) {
    const json_t *config = work->settings->config;
    const char *path = work->settings->config_path;
    cei_tokenizer_spec *spec = work->spec;
    bool prefix = true, legacy = false;
    cei_normalizer_free(&spec->normalizer);
    spec->splits = (cei_splits){.count = 0};
    spec->pre_tokenize = NULL;
    spec->metaspace = (cei_metaspace){.replacement = CEI_MARK, .replacement_size = 3};
    if (work->class == CEI_CLASS_GEMMA)
        return cei_replace_push(&spec->normalizer, CEI_REPLACE_STRING, " ", CEI_MARK, work->error);
    ce_status status = cei_json_bool(config, "add_prefix_space", path, &prefix, work->error);
    if (status == CE_OK) status = cei_json_bool(config, "legacy", path, &legacy, work->error);
    spec->metaspace.mark = true;
    spec->metaspace.prepend = !prefix ? CEI_PREPEND_NEVER : legacy ? CEI_PREPEND_ALWAYS : CEI_PREPEND_FIRST;
    return status;
}

ce_status cei_class_apply_pieces(cei_applying *work, bool has_json) {
    cei_tokenizer_spec *spec = work->spec;
    ce_status status = set_marks(work);
    spec->bpe = (cei_bpe_options){.fuse_unknown = true, .byte_fallback = true};
    if (work->class == CEI_CLASS_GEMMA) spec->bpe.unknown = work->roles[CEI_ROLE_UNK].content;
    if (status == CE_OK && spec->sentencepiece.count > 0) {
        status = cei_sentencepiece_take(spec, NULL, 0, 0, NULL, work->error);
        if (status == CE_OK) status = cei_sentencepiece_merges(spec, true, work->error);
    }
    return status == CE_OK ? cei_class_set_ends(work, has_json) : status;
}
