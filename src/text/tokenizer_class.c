/* tokenizer_class.c - what the classes of transformers make themselves: normalizer, words, unknown token, template.
 *
 * Relies on tokenizer_config.c for the class and the special tokens; takes from the files what the class takes. */
#include "text/tokenizer_class.h"

#include "base/error.h"
#include "text/text_steps.h"

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
    return read_bert_normalizer(work);
}

/* Only the charsmap is left of the normalizer, if there is one. */
static void keep_charsmap(cei_normalizer *normalizer) {
    cei_normalizer_step kept = {0};
    for (size_t i = 0; i < normalizer->count; i++) {
        cei_normalizer_step *step = &normalizer->steps[i];
        if (step->kind != CEI_NORMALIZER_CHARSMAP || kept.charsmap) continue;
        kept = *step;
        *step = (cei_normalizer_step){0};
    }
    cei_normalizer_free(normalizer);
    if (kept.charsmap) normalizer->steps[normalizer->count++] = kept;
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
    spec->metaspace =
        (cei_metaspace){split_white, true, true, prefix ? CEI_PREPEND_ALWAYS : otherwise, "\xE2\x96\x81", 3};
    spec->unigram.byte_fallback = false;
    return status;
}

/* What the class for XLM-RoBERTa makes itself: the unknown token is number 3 by its code. */
static ce_status apply_xlm_roberta(cei_applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    ce_status status = set_metaspace(work, true, CEI_PREPEND_NEVER);
    keep_charsmap(&spec->normalizer);
    spec->unigram.unknown = 3;
    spec->cls = work->roles[CEI_ROLE_BOS].content;
    spec->sep = work->roles[CEI_ROLE_EOS].content;
    spec->roberta_pairs = true;
    return status;
}

/* The steps of DeBERTa's class; its charsmap is not used. */
static ce_status set_deberta_steps(cei_applying *work, bool lowercase) {
    cei_normalizer *normalizer = &work->spec->normalizer;
    cei_normalizer_free(normalizer);
    if (lowercase) normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_LOWERCASE};
    char *blank = cei_copy_string(" ", 1);
    if (!blank) return cei_fail_memory(work->error, "a step of the normalizer", 1);
    normalizer->steps[normalizer->count++] = (cei_normalizer_step){
        .kind = CEI_NORMALIZER_REPLACE, .replace = CEI_REPLACE_SPACES, .content = blank, .content_size = 1};
    normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_NFC};
    normalizer->steps[normalizer->count++] = (cei_normalizer_step){.kind = CEI_NORMALIZER_STRIP, .strip_right = true};
    return CE_OK;
}

/* The unknown token's own place if its score is 0, else what tokenizer_config.json says, else 1. */
static ce_status find_deberta_unknown(cei_applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    const cei_added_token *role = &work->roles[CEI_ROLE_UNK];
    int32_t id = cei_vocabulary_find(&spec->vocabulary, role->content, role->size);
    spec->unigram.unknown = 1;
    if (id >= 0 && spec->unigram.scores[id] == 0) {
        spec->unigram.unknown = (size_t)id;
        return CE_OK;
    }
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
    if (status == CE_OK) status = set_deberta_steps(work, lowercase);
    if (status == CE_OK) status = find_deberta_unknown(work);
    work->spec->cls = work->roles[CEI_ROLE_CLS].content;
    work->spec->sep = work->roles[CEI_ROLE_SEP].content;
    return status;
}

/* Without a tokenizer.json, beginnings and ends would have to be put into a template that is not there. */
static ce_status check_template(cei_applying *work, bool has_json) {
    const char *const keys[] = {"add_bos_token", "add_eos_token"};
    for (size_t i = 0; i < 2 && !has_json && work->class != CEI_CLASS_ROBERTA; i++) {
        bool add = false;
        ce_status status =
            cei_json_bool(work->settings->config, keys[i], work->settings->config_path, &add, work->error);
        if (status != CE_OK) return status;
        if (add)
            return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: \"%s\" is not supported without a tokenizer.json",
                            work->settings->config_path, keys[i]);
    }
    return CE_OK;
}

static ce_status apply_byte_level(cei_applying *work, bool has_json) {
    cei_tokenizer_spec *spec = work->spec;
    bool qwen = work->class == CEI_CLASS_QWEN2, prefix_space = false;
    const cei_split numbers = {CEI_SPLIT_GPT4, 1, false}, whole = {CEI_SPLIT_NOTHING, 0, true};
    ce_status status = cei_json_bool(work->settings->config, "add_prefix_space", work->settings->config_path,
                                     &prefix_space, work->error);
    if (status == CE_OK) status = check_template(work, has_json);
    spec->bpe = (cei_bpe_options){.byte_level = true};
    cei_normalizer_free(&spec->normalizer);
    spec->normalizer = (cei_normalizer){.steps = {{.kind = CEI_NORMALIZER_NFC}}, .count = qwen};
    spec->splits = (cei_splits){.count = 1, .byte_level = true};
    spec->splits.steps[0] = qwen ? numbers : (cei_split){CEI_SPLIT_GPT2, 0, prefix_space};
    if (qwen && prefix_space) spec->splits.steps[spec->splits.count++] = whole;
    if (work->class == CEI_CLASS_ROBERTA) {
        spec->roberta_pairs = true;
        spec->cls = work->roles[CEI_ROLE_CLS].content;
        spec->sep = work->roles[CEI_ROLE_SEP].content;
    } else if (!has_json) {
        spec->pair = (cei_pair_template){.items = {{CEI_PAIR_QUERY, 0, 0}, {CEI_PAIR_DOCUMENT, 0, 1}}, .count = 2};
        spec->single = (cei_pair_template){.items = {{CEI_PAIR_QUERY, 0, 0}}, .count = 1};
    }
    return status;
}

ce_status cei_class_apply(cei_applying *work, bool has_json) {
    switch (work->class) {
    case CEI_CLASS_FILE: return CE_OK;
    case CEI_CLASS_BERT: return apply_bert(work);
    case CEI_CLASS_XLM_ROBERTA: return apply_xlm_roberta(work);
    case CEI_CLASS_DEBERTA_V2: return apply_deberta(work);
    default: return apply_byte_level(work, has_json);
    }
}
