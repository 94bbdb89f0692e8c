/* gguf_vocabulary.c - reads the vocabulary in a GGUF file, its special tokens and its flags.
 *
 * Four kinds are known by tokenizer.ggml.model:
 *   bert   WordPiece. Pieces that begin a word have U+2581 before them, those that continue one have lost their "##".
 *   gpt2   byte pair encoding over bytes, cut as tokenizer.ggml.pre says.
 *   t5     Unigram with scores and a charsmap, as XLM-RoBERTa has it.
 *   llama  the pieces of a SentencePiece model, with scores by which they merge, or with merges, which then count.
 * Special tokens and flags that a file leaves out are those of the kind's models. */
#include "model/gguf_vocabulary.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <string.h>

enum { MOST_TOKENS = 1 << 24 };

static const struct role {
    const char *key, *name; /* in the file, and in tokenizer_config.json */
} roles[CEI_VOCABULARY_ROLES] = {
    {"tokenizer.ggml.bos_token_id", "bos_token"},     {"tokenizer.ggml.eos_token_id", "eos_token"},
    {"tokenizer.ggml.unknown_token_id", "unk_token"}, {"tokenizer.ggml.seperator_token_id", "sep_token"},
    {"tokenizer.ggml.padding_token_id", "pad_token"}, {"tokenizer.ggml.mask_token_id", "mask_token"},
    {"tokenizer.ggml.cls_token_id", "cls_token"}};

static const cei_gguf_cutting cuttings[] = {
    {"gpt-2", false, false, false, NULL, false, false},
    {"roberta-bpe", false, false, false, NULL, false, false},
    {"modern-bert", true, true, false, NULL, false, false},
    {"qwen2", true, true, false,
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
     "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+",
     false, true},
    {"llama-bpe", false, true, true,
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
     "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+",
     true, false},
};
enum { CUTTINGS = sizeof cuttings / sizeof cuttings[0] };

/* ---- reading the file ---------------------------------------------------------------------------------------- */

static ce_status find_kind(cei_gguf_vocabulary *work) {
    static const char *const names[] = {[CEI_VOCABULARY_WORDPIECE] = "bert",
                                        [CEI_VOCABULARY_BYTE_LEVEL] = "gpt2",
                                        [CEI_VOCABULARY_UNIGRAM] = "t5",
                                        [CEI_VOCABULARY_PIECES] = "llama"};
    cei_gguf_text model = {NULL, 0};
    ce_status status = cei_gguf_string(work->file, "tokenizer.ggml.model", &model, work->error);
    for (int i = CEI_VOCABULARY_WORDPIECE; status == CE_OK && model.data && i <= CEI_VOCABULARY_PIECES; i++) {
        work->kind = (cei_gguf_kind)i;
        if (cei_gguf_text_is(model, names[i])) return CE_OK;
    }
    if (status != CE_OK) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: the tokenizer \"%.*s\" is not supported; supported: bert, gpt2, t5, llama", work->file->path,
                    (int)cei_min_size(model.size, 60), model.data ? model.data : "");
}

static ce_status find_cutting(cei_gguf_vocabulary *work) {
    cei_gguf_text pre = {"", 0};
    ce_status status = cei_gguf_string(work->file, "tokenizer.ggml.pre", &pre, work->error);
    if (status != CE_OK || work->kind != CEI_VOCABULARY_BYTE_LEVEL) return status;
    for (size_t i = 0; i < CUTTINGS; i++)
        if (cei_gguf_text_is(pre, (work->cutting = &cuttings[i])->pre)) return CE_OK;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: tokenizer.ggml.pre \"%.*s\" is not supported; supported: gpt-2, roberta-bpe, modern-bert, "
                    "qwen2, llama-bpe",
                    work->file->path, (int)cei_min_size(pre.size, 60), pre.data);
}

/* The texts of an array, which must be UTF-8 to stand in JSON. */
static ce_status check_texts(const cei_gguf_vocabulary *work, const char *key, const cei_gguf_value *texts,
                             cei_gguf_text *all) {
    const uint8_t *next = texts->data;
    for (size_t i = 0; i < texts->count; i++) {
        const cei_gguf_text text = cei_gguf_next_string(&next);
        const unsigned char *bytes = (const unsigned char *)text.data;
        for (size_t at = 0, length; at < text.size; at += length) {
            length = cei_utf8_sequence(bytes + at, text.size - at);
            if (length == 0)
                return cei_fail(work->error, CE_ERR_FORMAT, "%s: number %zu of \"%s\" is not UTF-8", work->file->path,
                                i, key);
        }
        if (all) all[i] = text;
    }
    return CE_OK;
}

static ce_status read_tokens(cei_gguf_vocabulary *work) {
    static const char key[] = "tokenizer.ggml.tokens";
    const cei_gguf_value *found = NULL;
    ce_status status = cei_gguf_array(work->file, key, CEI_GGUF_STRING, &found, work->error);
    if (status != CE_OK) return status;
    if (!found || found->count == 0 || found->count > MOST_TOKENS)
        return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" must be an array of 1 to %d tokens", work->file->path,
                        key, MOST_TOKENS);
    work->tokens = cei_alloc(found->count, sizeof *work->tokens);
    if (!work->tokens) return cei_fail_memory(work->error, work->file->path, found->count * sizeof *work->tokens);
    work->count = found->count;
    return check_texts(work, key, found, work->tokens);
}

/* An array with one number, or text, for each token. */
static ce_status read_beside(const cei_gguf_vocabulary *work, const char *key, cei_gguf_type type,
                             const cei_gguf_value **array) {
    ce_status status = cei_gguf_array(work->file, key, type, array, work->error);
    if (status != CE_OK || !*array || (*array)->count == work->count) return status;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" has %zu entries, and there are %zu tokens",
                    work->file->path, key, (*array)->count, work->count);
}

static ce_status read_arrays(cei_gguf_vocabulary *work) {
    ce_status status = read_beside(work, "tokenizer.ggml.token_type", CEI_GGUF_INT32, &work->types);
    if (status == CE_OK) status = read_beside(work, "tokenizer.ggml.scores", CEI_GGUF_FLOAT32, &work->scores);
    if (status == CE_OK)
        status = cei_gguf_array(work->file, "tokenizer.ggml.merges", CEI_GGUF_STRING, &work->merges, work->error);
    if (status == CE_OK && work->merges) status = check_texts(work, "tokenizer.ggml.merges", work->merges, NULL);
    if (status == CE_OK)
        status = cei_gguf_array(work->file, "tokenizer.ggml.precompiled_charsmap", CEI_GGUF_INT32, &work->charsmap,
                                work->error);
    if (status != CE_OK) return status;
    const bool has_scores = work->kind == CEI_VOCABULARY_UNIGRAM || work->kind == CEI_VOCABULARY_PIECES;
    const char *missing = has_scores && !work->scores                                ? "tokenizer.ggml.scores"
                          : work->kind == CEI_VOCABULARY_BYTE_LEVEL && !work->merges ? "tokenizer.ggml.merges"
                                                                                     : NULL;
    if (!missing) return CE_OK;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s lacks \"%s\"", work->file->path, missing);
}

/* ---- special tokens ------------------------------------------------------------------------------------------ */

static size_t find_token(const cei_gguf_vocabulary *work, const char *name) {
    for (size_t i = 0; i < work->count; i++)
        if (cei_gguf_text_is(work->tokens[i], name)) return i;
    return SIZE_MAX;
}

static ce_status read_roles(cei_gguf_vocabulary *work) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < CEI_VOCABULARY_ROLES && status == CE_OK; i++) {
        work->roles[i] = SIZE_MAX;
        status = cei_gguf_size(work->file, roles[i].key, SIZE_MAX, &work->roles[i], work->error);
        if (status != CE_OK || work->roles[i] == SIZE_MAX || work->roles[i] < work->count) continue;
        status = cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" is %zu, and there are %zu tokens", work->file->path,
                          roles[i].key, work->roles[i], work->count);
    }
    return status;
}

/* What a kind of model calls them, where the file does not say. */
static void guess_roles(cei_gguf_vocabulary *work) {
    static const char *const bert[CEI_VOCABULARY_ROLES] = {[CEI_VOCABULARY_UNK] = "[UNK]",
                                                           [CEI_VOCABULARY_SEP] = "[SEP]",
                                                           [CEI_VOCABULARY_PAD] = "[PAD]",
                                                           [CEI_VOCABULARY_MASK] = "[MASK]",
                                                           [CEI_VOCABULARY_CLS] = "[CLS]"};
    for (size_t i = 0; work->kind == CEI_VOCABULARY_WORDPIECE && i < CEI_VOCABULARY_ROLES; i++)
        if (work->roles[i] == SIZE_MAX && bert[i]) work->roles[i] = find_token(work, bert[i]);
    if (work->roles[CEI_VOCABULARY_CLS] == SIZE_MAX) work->roles[CEI_VOCABULARY_CLS] = work->roles[CEI_VOCABULARY_BOS];
    if (work->roles[CEI_VOCABULARY_SEP] == SIZE_MAX) work->roles[CEI_VOCABULARY_SEP] = work->roles[CEI_VOCABULARY_EOS];
    if (work->kind == CEI_VOCABULARY_UNIGRAM && work->roles[CEI_VOCABULARY_UNK] == SIZE_MAX)
        work->roles[CEI_VOCABULARY_UNK] = find_token(work, "<unk>");
}

/* Does a vocabulary have upper case in words? Then the text is not put into lower case: such pieces would be idle. */
static bool has_upper_case(const cei_gguf_vocabulary *work) {
    for (size_t i = 0; i < work->count; i++) {
        const cei_gguf_text token = work->tokens[i];
        if (token.size == 0 || token.data[0] == '[' || token.data[0] == '<') continue;
        for (size_t k = 0; k < token.size; k++)
            if (token.data[k] >= 'A' && token.data[k] <= 'Z') return true;
    }
    return false;
}

static ce_status read_flags(cei_gguf_vocabulary *work) {
    static const char *const keys[] = {"tokenizer.ggml.normalizer.lowercase", "tokenizer.ggml.normalizer.strip_accents",
                                       "tokenizer.ggml.add_bos_token",        "tokenizer.ggml.add_eos_token",
                                       "tokenizer.ggml.add_sep_token",        "tokenizer.ggml.add_space_prefix"};
    bool *const values[] = {&work->lowercase, &work->strip_accents, &work->add_bos,
                            &work->add_eos,   &work->add_sep,       &work->add_space};
    work->lowercase = work->kind == CEI_VOCABULARY_WORDPIECE && !has_upper_case(work);
    work->add_bos = work->add_eos = work->add_space = true;
    work->add_sep = work->kind == CEI_VOCABULARY_UNIGRAM ||
                    (work->kind == CEI_VOCABULARY_BYTE_LEVEL && !work->cutting->one_separator);
    if (work->to->is_decoder && work->kind != CEI_VOCABULARY_WORDPIECE) {
        work->add_bos = work->kind != CEI_VOCABULARY_BYTE_LEVEL || work->cutting->begins;
        work->add_eos = false;
    }
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == CE_OK; i++) {
        if (i == 1) work->strip_accents = work->lowercase;
        status = cei_gguf_bool(work->file, keys[i], values[i], work->error);
    }
    /* WordPiece has no end, only separators. */
    const bool asks_sep = work->add_sep && cei_gguf_find(work->file, "tokenizer.ggml.add_sep_token");
    work->add_eos = work->kind == CEI_VOCABULARY_WORDPIECE || work->add_eos || asks_sep;
    return status;
}

/* ---- tokens -------------------------------------------------------------------------------------------------- */

int cei_gguf_token_type(const cei_gguf_vocabulary *work, size_t id) {
    return work->types ? (int)cei_gguf_integer_at(work->types, id) : CEI_TOKEN_NORMAL;
}

/* What fills a vocabulary up to the rows of the embeddings is no token. */
static void drop_unused(cei_gguf_vocabulary *work) {
    while (work->types && work->count > 1 && cei_gguf_token_type(work, work->count - 1) == CEI_TOKEN_UNUSED)
        work->count--;
}

static bool has_role(const cei_gguf_vocabulary *work, size_t id) {
    for (size_t i = 0; i < CEI_VOCABULARY_ROLES; i++)
        if (work->roles[i] == id) return true;
    return false;
}

bool cei_gguf_token_is_special(const cei_gguf_vocabulary *work, size_t id) {
    return cei_gguf_token_type(work, id) == CEI_TOKEN_CONTROL || has_role(work, id);
}

const char *cei_gguf_role_name(size_t role) { return roles[role].name; }

/* ---- all of it ----------------------------------------------------------------------------------------------- */

ce_status cei_gguf_vocabulary_read(const cei_gguf_tokenizer *to, cei_gguf_vocabulary *work, ce_error *error) {
    *work = (cei_gguf_vocabulary){.to = to, .file = to->file, .error = error};
    ce_status status = find_kind(work);
    if (status == CE_OK) status = find_cutting(work);
    if (status == CE_OK) status = read_tokens(work);
    if (status == CE_OK) status = read_arrays(work);
    if (status == CE_OK) drop_unused(work);
    if (status == CE_OK) status = read_roles(work);
    if (status != CE_OK) return status;
    guess_roles(work);
    return read_flags(work);
}

void cei_gguf_vocabulary_free(cei_gguf_vocabulary *work) { cei_free(work->tokens); }
