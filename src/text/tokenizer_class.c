/* tokenizer_class.c - what the classes of transformers make themselves: normalizer, words, unknown token, template.
 *
 * Relies on tokenizer_config.c for the class and the special tokens; takes from the files what the class takes. */
#include "text/tokenizer_class.h"

#include "base/error.h"
#include "base/memory.h"
#include "text/sentencepiece_spec.h"
#include "text/text_steps.h"

#include <stdio.h>

static ce_status read_bert_normalizer(cei_applying *work) {
    const json_t *config = work->settings->config;
    const char *path = work->settings->config_path;
    cei_bert_options options = {true, true, false, true};
    ce_status status = cei_json_bool(config, "do_lower_case", path, &options.lowercase, work->error);
    if (status == CE_OK)
        status = cei_json_bool(config, "tokenize_chinese_chars", path, &options.handle_chinese_chars, work->error);
    options.strip_accents = options.lowercase;
    if (status == CE_OK) status = cei_json_bool(config, "strip_accents", path, &options.strip_accents, work->error);
    cei_normalizer_free(&work->spec->normalizer);
    work->spec->normalizer.steps[0] = cei_normalizer_bert(options);
    work->spec->normalizer.count = 1;
    return status;
}

/* What the class for BERT makes itself, and that for MPNet, which has RoBERTa's pairs. */
static ce_status apply_bert(cei_applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    if (spec->kind == CEI_MODEL_UNIGRAM)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: a tokenizer_class of BERT's with a model \"Unigram\"",
                        work->settings->config_path);
    spec->kind = CEI_MODEL_WORDPIECE;
    spec->splits = (cei_splits){.count = 0};
    spec->pre_tokenize = cei_pre_tokenize_bert;
    spec->wordpiece = (cei_wordpiece_options){work->roles[CEI_ROLE_UNK].content, "##", 100};
    spec->cls = work->roles[CEI_ROLE_CLS].content;
    spec->sep = work->roles[CEI_ROLE_SEP].content;
    spec->roberta_pairs = work->class == CEI_CLASS_MPNET;
    return read_bert_normalizer(work);
}

ce_status cei_class_set_ends(cei_applying *work, bool has_json) {
    const json_t *config = work->settings->config;
    const char *path = work->settings->config_path;
    cei_tokenizer_spec *spec = work->spec;
    bool begins = false, ends = false;
    if (has_json) return CE_OK;
    ce_status status = cei_json_bool(config, "add_bos_token", path, &begins, work->error);
    if (status == CE_OK) status = cei_json_bool(config, "add_eos_token", path, &ends, work->error);
    spec->ends_are_told = true;
    spec->begin = begins ? work->roles[CEI_ROLE_BOS].content : NULL;
    spec->end = ends ? work->roles[CEI_ROLE_EOS].content : NULL;
    return status;
}

/* Empties the normalizer. The step is its charsmap's, if it had one, else without. */
static cei_normalizer_step take_charsmap(cei_normalizer *normalizer) {
    cei_normalizer_step kept = {0};
    for (size_t i = 0; i < normalizer->count; i++) {
        cei_normalizer_step *step = &normalizer->steps[i];
        if (step->kind != CEI_NORMALIZER_CHARSMAP || kept.charsmap) continue;
        kept = *step;
        *step = (cei_normalizer_step){0};
    }
    cei_normalizer_free(normalizer);
    return kept;
}

/* The step, which is last, if it has a charsmap; else that of a SentencePiece model, if it has one. */
static ce_status put_charsmap(cei_tokenizer_spec *spec, cei_normalizer_step step, ce_error *error) {
    if (!step.charsmap) return cei_sentencepiece_take_charsmap(spec, error);
    spec->normalizer.steps[spec->normalizer.count++] = step;
    return CE_OK;
}

/* The words of a Unigram class, which begin with a mark; without add_prefix_space some only, as otherwise says. */
static ce_status set_metaspace(cei_applying *work, bool split_white, cei_prepend_scheme otherwise) {
    cei_tokenizer_spec *spec = work->spec;
    bool prefix = true;
    if (spec->kind != CEI_MODEL_UNIGRAM)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: the model of this tokenizer_class must be Unigram",
                        spec->path);
    ce_status status =
        cei_json_bool(work->settings->config, "add_prefix_space", work->settings->config_path, &prefix, work->error);
    spec->splits = (cei_splits){.count = 0};
    spec->pre_tokenize = NULL;
    spec->metaspace = (cei_metaspace){split_white, true, true, prefix ? CEI_PREPEND_ALWAYS : otherwise, CEI_MARK, 3};
    spec->unigram.byte_fallback = false;
    return status;
}

/* fairseq's numbers of the pieces: four of its own before, the mask behind. SentencePiece's first three are these. */
static ce_status take_xlm_roberta(cei_applying *work) {
    const cei_added_token *roles = work->roles;
    const cei_class_piece before[] = {{roles[CEI_ROLE_BOS].content, 0},
                                      {roles[CEI_ROLE_PAD].content, 0},
                                      {roles[CEI_ROLE_EOS].content, 0},
                                      {roles[CEI_ROLE_UNK].content, 0}};
    return cei_sentencepiece_take(work->spec, before, 4, 3, roles[CEI_ROLE_MASK].content, work->error);
}

/* CamemBERT's: five of its own, behind which SentencePiece's follow but for the unknown one. */
static ce_status take_camembert(cei_applying *work) {
    const cei_added_token *roles = work->roles;
    const cei_class_piece before[] = {{"<s>NOTUSED", 0},
                                      {roles[CEI_ROLE_PAD].content, 0},
                                      {"</s>NOTUSED", 0},
                                      {roles[CEI_ROLE_UNK].content, 0},
                                      {"<unk>NOTUSED", -100}};
    return cei_sentencepiece_take(work->spec, before, 5, 1, roles[CEI_ROLE_MASK].content, work->error);
}

/* The unknown token is number 3 by the code of the class for XLM-RoBERTa, and where it stands by that for CamemBERT. */
static void set_unknown(cei_applying *work) {
    const cei_added_token *role = &work->roles[CEI_ROLE_UNK];
    int32_t id = 3;
    if (work->class == CEI_CLASS_CAMEMBERT)
        id = cei_vocabulary_find(&work->spec->vocabulary, role->content, role->size);
    work->spec->unigram.unknown = id < 0 ? 0 : (size_t)id;
}

/* What the classes for XLM-RoBERTa and CamemBERT make themselves. */
static ce_status apply_xlm_roberta(cei_applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    const bool pieces = spec->sentencepiece.count > 0;
    ce_status status = set_metaspace(work, true, CEI_PREPEND_NEVER);
    if (status == CE_OK && pieces)
        status = work->class == CEI_CLASS_CAMEMBERT ? take_camembert(work) : take_xlm_roberta(work);
    if (status == CE_OK) status = put_charsmap(spec, take_charsmap(&spec->normalizer), work->error);
    if (status == CE_OK) set_unknown(work);
    spec->cls = work->roles[CEI_ROLE_BOS].content;
    spec->sep = work->roles[CEI_ROLE_EOS].content;
    spec->roberta_pairs = true;
    return status;
}

/* The steps of ALBERT's class before the charsmap. */
static ce_status set_albert_steps(cei_applying *work) {
    const json_t *config = work->settings->config;
    const char *path = work->settings->config_path;
    cei_normalizer *normalizer = &work->spec->normalizer;
    bool lowercase = true, accents = false;
    ce_status status = cei_json_bool(config, "do_lower_case", path, &lowercase, work->error);
    if (status == CE_OK) status = cei_json_bool(config, "keep_accents", path, &accents, work->error);
    if (status == CE_OK) status = cei_replace_push(normalizer, CEI_REPLACE_STRING, "``", "\"", work->error);
    if (status == CE_OK) status = cei_replace_push(normalizer, CEI_REPLACE_STRING, "''", "\"", work->error);
    if (status != CE_OK) return status;
    if (!accents) {
        normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_NFKD};
        normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_STRIP_ACCENTS};
    }
    if (lowercase) normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_LOWERCASE};
    return CE_OK;
}

/* ALBERT's template counts unless settings tell the ends. */
static ce_status set_albert_ends(cei_applying *work, bool has_json) {
    const json_t *config = work->settings->config;
    if (has_json || (!json_object_get(config, "add_bos_token") && !json_object_get(config, "add_eos_token"))) {
        work->spec->cls = work->roles[CEI_ROLE_CLS].content;
        work->spec->sep = work->roles[CEI_ROLE_SEP].content;
        return CE_OK;
    }
    return cei_class_set_ends(work, has_json);
}

/* What the class for ALBERT makes itself; the unknown piece is number 1 by its code. */
static ce_status apply_albert(cei_applying *work, bool has_json) {
    cei_tokenizer_spec *spec = work->spec;
    ce_status status = set_metaspace(work, true, CEI_PREPEND_NEVER);
    if (status != CE_OK) return status;
    const cei_normalizer_step charsmap = take_charsmap(&spec->normalizer);
    if (spec->sentencepiece.count > 0) status = cei_sentencepiece_take(spec, NULL, 0, 0, NULL, work->error);
    if (status == CE_OK) status = set_albert_steps(work);
    if (status == CE_OK) status = set_albert_ends(work, has_json);
    /* Put where it is freed, whatever failed. */
    const ce_status put = put_charsmap(spec, charsmap, work->error);
    spec->unigram.unknown = 1;
    return status == CE_OK ? put : status;
}

enum { SENTINEL_SIZE = 32, MOST_SENTINELS = 1000 };

const char *cei_class_sentinel(const cei_applying *work, size_t i) { return work->spec->sentinels + i * SENTINEL_SIZE; }

ce_status cei_class_read_sentinels(cei_applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    work->sentinel_count = 100;
    ce_status status = cei_json_size(work->settings->config, "extra_ids", 0, MOST_SENTINELS,
                                     work->settings->config_path, &work->sentinel_count, work->error);
    if (status != CE_OK || work->sentinel_count == 0) return status;
    spec->sentinels = cei_alloc_zeroed(work->sentinel_count, SENTINEL_SIZE);
    if (!spec->sentinels) return cei_fail_memory(work->error, "the special tokens", 0);
    for (size_t i = 0; i < work->sentinel_count; i++)
        snprintf(spec->sentinels + i * SENTINEL_SIZE, SENTINEL_SIZE, "<extra_id_%zu>", i);
    return CE_OK;
}

/* What the class for T5 makes itself: a mark before each word whatever the settings say, the unknown piece at number 2,
 * an end behind each text, and sentinels behind the pieces of a SentencePiece model, the last of them first. */
static ce_status apply_t5(cei_applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    ce_status status = set_metaspace(work, true, CEI_PREPEND_ALWAYS);
    if (status == CE_OK && spec->sentencepiece.count > 0)
        status = cei_sentencepiece_take(spec, NULL, 0, 0, NULL, work->error);
    for (size_t i = work->sentinel_count; i > 0 && status == CE_OK && spec->sentencepiece.count > 0; i--)
        status = cei_sentencepiece_push(spec, cei_class_sentinel(work, i - 1), work->error);
    if (status == CE_OK) status = put_charsmap(spec, take_charsmap(&spec->normalizer), work->error);
    spec->unigram.unknown = 2;
    spec->with_type_ids = false; /* all of its template are 0 */
    spec->ends_are_told = true;
    spec->end = work->roles[CEI_ROLE_EOS].content;
    return status;
}

/* The steps of DeBERTa's class; its charsmap is not used. */
static ce_status set_deberta_steps(cei_applying *work, bool lowercase) {
    cei_normalizer *normalizer = &work->spec->normalizer;
    cei_normalizer_free(normalizer);
    if (lowercase) normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_LOWERCASE};
    const ce_status status = cei_replace_push(normalizer, CEI_REPLACE_SPACES, "", " ", work->error);
    if (status != CE_OK) return status;
    normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_NFC};
    normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_STRIP, .strip_right = true};
    return CE_OK;
}

/* The unknown token's own place if its score is 0, else that of a SentencePiece model, else what
 * tokenizer_config.json says, else 1. */
static ce_status find_deberta_unknown(cei_applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    const cei_added_token *role = &work->roles[CEI_ROLE_UNK];
    int32_t id = cei_vocabulary_find(&spec->vocabulary, role->content, role->size);
    const bool pieces = spec->sentencepiece.count > 0;
    spec->unigram.unknown = pieces ? spec->sentencepiece.unknown : 1;
    if (id >= 0 && spec->unigram.scores[id] == 0) {
        spec->unigram.unknown = (size_t)id;
        return CE_OK;
    }
    if (pieces) return CE_OK;
    return cei_json_size(work->settings->config, "unk_id", 0, SIZE_MAX, work->settings->config_path,
                         &spec->unigram.unknown, work->error);
}

/* What the class for DeBERTa-v2 and v3 makes itself. */
static ce_status apply_deberta(cei_applying *work) {
    const json_t *config = work->settings->config;
    const char *path = work->settings->config_path;
    bool lowercase = false, punctuation = false;
    ce_status status = set_metaspace(work, false, CEI_PREPEND_FIRST);
    if (status == CE_OK) status = cei_json_bool(config, "do_lower_case", path, &lowercase, work->error);
    if (status == CE_OK) status = cei_json_bool(config, "split_by_punct", path, &punctuation, work->error);
    if (status == CE_OK && punctuation)
        status = cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: split_by_punct is not supported by this build", path);
    if (status == CE_OK && work->spec->sentencepiece.count > 0)
        status = cei_sentencepiece_take(work->spec, NULL, 0, 0, NULL, work->error);
    if (status == CE_OK) status = set_deberta_steps(work, lowercase);
    if (status == CE_OK) status = find_deberta_unknown(work);
    work->spec->cls = work->roles[CEI_ROLE_CLS].content;
    work->spec->sep = work->roles[CEI_ROLE_SEP].content;
    return status;
}

/* The byte-level classes that put special tokens around texts and between them. */
static bool has_pairs(cei_token_class class) { return class == CEI_CLASS_ROBERTA || class == CEI_CLASS_DEBERTA; }

static ce_status apply_byte_level(cei_applying *work, bool has_json) {
    cei_tokenizer_spec *spec = work->spec;
    bool qwen = work->class == CEI_CLASS_QWEN2, prefix_space = false;
    const cei_split numbers = {CEI_SPLIT_GPT4, 1, false}, whole = {CEI_SPLIT_NOTHING, 0, true};
    ce_status status = cei_json_bool(work->settings->config, "add_prefix_space", work->settings->config_path,
                                     &prefix_space, work->error);
    spec->bpe = (cei_bpe_options){.byte_level = true};
    cei_normalizer_free(&spec->normalizer);
    spec->normalizer = (cei_normalizer){.steps = {{.kind = CEI_NORMALIZER_NFC}}, .count = qwen};
    spec->splits = (cei_splits){.count = 1, .byte_level = true};
    spec->splits.steps[0] = qwen ? numbers : (cei_split){CEI_SPLIT_GPT2, 0, prefix_space};
    if (qwen && prefix_space) spec->splits.steps[spec->splits.count++] = whole;
    if (has_pairs(work->class)) {
        spec->roberta_pairs = true;
        spec->cls = work->roles[CEI_ROLE_CLS].content;
        spec->sep = work->roles[CEI_ROLE_SEP].content;
        return status;
    }
    return status == CE_OK ? cei_class_set_ends(work, has_json) : status;
}

/* A SentencePiece model without a class follows its own settings. "legacy" says which stretches get a blank. */
static ce_status apply_sentencepiece(cei_applying *work) {
    bool legacy = true;
    ce_status status =
        cei_json_bool(work->settings->config, "legacy", work->settings->config_path, &legacy, work->error);
    if (status == CE_OK) status = cei_class_set_ends(work, false);
    return status == CE_OK ? cei_sentencepiece_apply(work->spec, legacy, work->error) : status;
}

ce_status cei_class_apply(cei_applying *work, bool has_json) {
    switch (work->class) {
    case CEI_CLASS_FILE: return work->spec->sentencepiece.count > 0 ? apply_sentencepiece(work) : CE_OK;
    case CEI_CLASS_BERT:
    case CEI_CLASS_MPNET: return apply_bert(work);
    case CEI_CLASS_XLM_ROBERTA:
    case CEI_CLASS_CAMEMBERT: return apply_xlm_roberta(work);
    case CEI_CLASS_ALBERT: return apply_albert(work, has_json);
    case CEI_CLASS_T5: return apply_t5(work);
    case CEI_CLASS_DEBERTA_V2: return apply_deberta(work);
    case CEI_CLASS_LLAMA:
    case CEI_CLASS_GEMMA: return cei_class_apply_pieces(work, has_json);
    default: return apply_byte_level(work, has_json);
    }
}
