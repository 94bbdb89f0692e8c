/* gguf_tokenizer.c - from the vocabulary in a GGUF file to tokenizer.json and tokenizer_config.json.
 *
 * Three kinds are known by tokenizer.ggml.model:
 *   bert   WordPiece. Pieces that begin a word have U+2581 before them, those that continue one have lost their "##".
 *   gpt2   byte pair encoding over bytes, cut as tokenizer.ggml.pre says.
 *   t5     Unigram with scores and a charsmap, as XLM-RoBERTa has it.
 * Special tokens and flags that a file leaves out are those of the kind's models. Must not build a tokenizer: src/text
 * reads what is written here as it reads a folder's files. */
#include "model/gguf.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_TOKENS = 1 << 24 };

typedef enum vocabulary_kind { WORDPIECE, BYTE_LEVEL, UNIGRAM } vocabulary_kind;
enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 }; /* types of tokens, by the format's numbers */

/* Special tokens by what they are for; an id is SIZE_MAX if there is none. */
enum { BOS, EOS, UNK, SEP, PAD, MASK, CLS, ROLES };
static const struct role {
    const char *key, *name; /* in the file, and in tokenizer_config.json */
} roles[ROLES] = {{"tokenizer.ggml.bos_token_id", "bos_token"},     {"tokenizer.ggml.eos_token_id", "eos_token"},
                  {"tokenizer.ggml.unknown_token_id", "unk_token"}, {"tokenizer.ggml.seperator_token_id", "sep_token"},
                  {"tokenizer.ggml.padding_token_id", "pad_token"}, {"tokenizer.ggml.mask_token_id", "mask_token"},
                  {"tokenizer.ggml.cls_token_id", "cls_token"}};

/* How tokenizer.ggml.pre cuts words. */
static const struct cutting {
    const char *pre;
    bool nfc, one_separator, ignores_merges;
    const char *regex; /* in JSON; NULL: GPT-2's */
} cuttings[] = {
    {"gpt-2", false, false, false, NULL},
    {"roberta-bpe", false, false, false, NULL},
    {"modern-bert", true, true, false, NULL},
    {"qwen2", true, true, false,
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
     "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"},
    {"llama-bpe", false, true, true,
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
     "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"},
};
enum { CUTTINGS = sizeof cuttings / sizeof cuttings[0] };

typedef struct writer {
    const cei_gguf_tokenizer *to;
    const cei_gguf *file;
    cei_json_out *out;
    ce_error *error;
    vocabulary_kind kind;
    const struct cutting *cutting; /* of BYTE_LEVEL */
    cei_gguf_text *tokens;         /* [count] */
    size_t count;
    const cei_gguf_value *types, *scores, *merges, *charsmap; /* NULL: there are none */
    size_t roles[ROLES];
    bool lowercase, strip_accents, add_bos, add_eos, add_space;
} writer;

/* ---- reading the file ---------------------------------------------------------------------------------------- */

static bool is_text(cei_gguf_text text, const char *name) {
    return text.size == strlen(name) && memcmp(text.data, name, text.size) == 0;
}

static ce_status find_kind(writer *work) {
    static const char *const names[] = {[WORDPIECE] = "bert", [BYTE_LEVEL] = "gpt2", [UNIGRAM] = "t5"};
    cei_gguf_text model = {NULL, 0};
    ce_status status = cei_gguf_string(work->file, "tokenizer.ggml.model", &model, work->error);
    for (int i = WORDPIECE; status == CE_OK && model.data && i <= UNIGRAM; i++) {
        work->kind = (vocabulary_kind)i;
        if (is_text(model, names[i])) return CE_OK;
    }
    if (status != CE_OK) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: the tokenizer \"%.*s\" is not supported; supported: bert, gpt2, t5", work->file->path,
                    (int)cei_min_size(model.size, 60), model.data ? model.data : "");
}

static ce_status find_cutting(writer *work) {
    cei_gguf_text pre = {"", 0};
    ce_status status = cei_gguf_string(work->file, "tokenizer.ggml.pre", &pre, work->error);
    if (status != CE_OK || work->kind != BYTE_LEVEL) return status;
    for (size_t i = 0; i < CUTTINGS; i++)
        if (is_text(pre, (work->cutting = &cuttings[i])->pre)) return CE_OK;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: tokenizer.ggml.pre \"%.*s\" is not supported; supported: gpt-2, roberta-bpe, modern-bert, "
                    "qwen2, llama-bpe",
                    work->file->path, (int)cei_min_size(pre.size, 60), pre.data);
}

/* The texts of an array, which must be UTF-8 to stand in JSON. */
static ce_status check_texts(const writer *work, const char *key, const cei_gguf_value *texts, cei_gguf_text *all) {
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

static ce_status read_tokens(writer *work) {
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
static ce_status read_beside(const writer *work, const char *key, cei_gguf_type type, const cei_gguf_value **array) {
    ce_status status = cei_gguf_array(work->file, key, type, array, work->error);
    if (status != CE_OK || !*array || (*array)->count == work->count) return status;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" has %zu entries, and there are %zu tokens",
                    work->file->path, key, (*array)->count, work->count);
}

static ce_status read_arrays(writer *work) {
    ce_status status = read_beside(work, "tokenizer.ggml.token_type", CEI_GGUF_INT32, &work->types);
    if (status == CE_OK) status = read_beside(work, "tokenizer.ggml.scores", CEI_GGUF_FLOAT32, &work->scores);
    if (status == CE_OK)
        status = cei_gguf_array(work->file, "tokenizer.ggml.merges", CEI_GGUF_STRING, &work->merges, work->error);
    if (status == CE_OK && work->merges) status = check_texts(work, "tokenizer.ggml.merges", work->merges, NULL);
    if (status == CE_OK)
        status = cei_gguf_array(work->file, "tokenizer.ggml.precompiled_charsmap", CEI_GGUF_INT32, &work->charsmap,
                                work->error);
    if (status != CE_OK) return status;
    const char *missing = work->kind == UNIGRAM && !work->scores      ? "tokenizer.ggml.scores"
                          : work->kind == BYTE_LEVEL && !work->merges ? "tokenizer.ggml.merges"
                                                                      : NULL;
    if (!missing) return CE_OK;
    return cei_fail(work->error, CE_ERR_FORMAT, "%s lacks \"%s\"", work->file->path, missing);
}

/* ---- special tokens ------------------------------------------------------------------------------------------ */

static size_t find_token(const writer *work, const char *name) {
    for (size_t i = 0; i < work->count; i++)
        if (is_text(work->tokens[i], name)) return i;
    return SIZE_MAX;
}

static ce_status read_roles(writer *work) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < ROLES && status == CE_OK; i++) {
        work->roles[i] = SIZE_MAX;
        status = cei_gguf_size(work->file, roles[i].key, SIZE_MAX, &work->roles[i], work->error);
        if (status != CE_OK || work->roles[i] == SIZE_MAX || work->roles[i] < work->count) continue;
        status = cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%s\" is %zu, and there are %zu tokens", work->file->path,
                          roles[i].key, work->roles[i], work->count);
    }
    return status;
}

/* What a kind of model calls them, where the file does not say. */
static void guess_roles(writer *work) {
    static const char *const bert[ROLES] = {
        [UNK] = "[UNK]", [SEP] = "[SEP]", [PAD] = "[PAD]", [MASK] = "[MASK]", [CLS] = "[CLS]"};
    for (size_t i = 0; work->kind == WORDPIECE && i < ROLES; i++)
        if (work->roles[i] == SIZE_MAX && bert[i]) work->roles[i] = find_token(work, bert[i]);
    if (work->roles[CLS] == SIZE_MAX) work->roles[CLS] = work->roles[BOS];
    if (work->roles[SEP] == SIZE_MAX) work->roles[SEP] = work->roles[EOS];
    if (work->kind == UNIGRAM && work->roles[UNK] == SIZE_MAX) work->roles[UNK] = find_token(work, "<unk>");
}

/* Does a vocabulary have upper case in words? Then the text is not put into lower case: such pieces would be idle. */
static bool has_upper_case(const writer *work) {
    for (size_t i = 0; i < work->count; i++) {
        const cei_gguf_text token = work->tokens[i];
        if (token.size == 0 || token.data[0] == '[' || token.data[0] == '<') continue;
        for (size_t k = 0; k < token.size; k++)
            if (token.data[k] >= 'A' && token.data[k] <= 'Z') return true;
    }
    return false;
}

static ce_status read_flags(writer *work) {
    static const char *const keys[] = {"tokenizer.ggml.normalizer.lowercase", "tokenizer.ggml.normalizer.strip_accents",
                                       "tokenizer.ggml.add_bos_token",        "tokenizer.ggml.add_eos_token",
                                       "tokenizer.ggml.add_sep_token",        "tokenizer.ggml.add_space_prefix"};
    bool add_sep = false;
    bool *const values[] = {&work->lowercase, &work->strip_accents, &work->add_bos, &work->add_eos,
                            &add_sep,         &work->add_space};
    work->lowercase = work->kind == WORDPIECE && !has_upper_case(work);
    work->add_bos = work->add_eos = work->add_space = true;
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == CE_OK; i++) {
        if (i == 1) work->strip_accents = work->lowercase;
        status = cei_gguf_bool(work->file, keys[i], values[i], work->error);
    }
    /* WordPiece has no end, only separators. */
    work->add_eos = work->kind == WORDPIECE || work->add_eos || add_sep;
    return status;
}

/* ---- tokens -------------------------------------------------------------------------------------------------- */

static int type_of(const writer *work, size_t id) {
    return work->types ? (int)cei_gguf_integer_at(work->types, id) : NORMAL;
}

/* What fills a vocabulary up to the rows of the embeddings is no token. */
static void drop_unused(writer *work) {
    while (work->types && work->count > 1 && type_of(work, work->count - 1) == UNUSED) work->count--;
}

static bool has_role(const writer *work, size_t id) {
    for (size_t i = 0; i < ROLES; i++)
        if (work->roles[i] == id) return true;
    return false;
}

static bool is_special(const writer *work, size_t id) { return type_of(work, id) == CONTROL || has_role(work, id); }

/* What is before a piece in tokenizer.json, and what of it stays: the converter's change undone. Old converters left
 * tokens in brackets alone whatever their type. */
static cei_gguf_text name_piece(const writer *work, size_t id, const char **before) {
    static const char mark[] = "\xE2\x96\x81";
    const size_t length = sizeof mark - 1;
    cei_gguf_text text = work->tokens[id];
    *before = "";
    if (work->kind != WORDPIECE) return text;
    if (text.size > length && memcmp(text.data, mark, length) == 0)
        return (cei_gguf_text){text.data + length, text.size - length};
    const bool bracketed = text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']';
    if (!is_special(work, id) && !bracketed) *before = "##";
    return text;
}

static void put_token(const writer *work, size_t id) {
    const char *before;
    const cei_gguf_text text = name_piece(work, id, &before);
    cei_json_put(work->out, "\"");
    cei_json_put(work->out, before);
    cei_json_put_escaped(work->out, text.data, text.size);
    cei_json_put(work->out, "\"");
}

static void put_bool(const writer *work, const char *before, bool value) {
    cei_json_put(work->out, before);
    cei_json_put(work->out, value ? "true" : "false");
}

/* A token that is found in texts. The mask takes the blank before it, but for WordPiece's. */
static void put_added(const writer *work, size_t id) {
    const bool special = is_special(work, id);
    cei_json_put(work->out, "{\"id\":");
    cei_json_put_number(work->out, id);
    cei_json_put(work->out, ",\"content\":");
    put_token(work, id);
    put_bool(work, ",\"single_word\":false,\"lstrip\":", work->kind != WORDPIECE && id == work->roles[MASK]);
    put_bool(work, ",\"rstrip\":false,\"normalized\":", !special);
    put_bool(work, ",\"special\":", special);
    cei_json_put(work->out, "}");
}

static void put_added_tokens(const writer *work) {
    size_t count = 0;
    cei_json_put(work->out, "\"added_tokens\":[");
    for (size_t id = 0; id < work->count; id++) {
        if (work->tokens[id].size == 0 || (!is_special(work, id) && type_of(work, id) != USER_DEFINED)) continue;
        if (count++) cei_json_put(work->out, ",\n");
        put_added(work, id);
    }
    cei_json_put(work->out, "],\n");
}

/* {"token": id, ...} */
static void put_vocabulary(const writer *work) {
    cei_json_put(work->out, "\"vocab\":{");
    for (size_t id = 0; id < work->count; id++) {
        if (id) cei_json_put(work->out, ",\n");
        put_token(work, id);
        cei_json_put(work->out, ":");
        cei_json_put_number(work->out, id);
    }
    cei_json_put(work->out, "}");
}

/* ---- models -------------------------------------------------------------------------------------------------- */

static ce_status put_wordpiece(const writer *work) {
    if (work->roles[UNK] == SIZE_MAX || work->roles[CLS] == SIZE_MAX || work->roles[SEP] == SIZE_MAX)
        return cei_fail(work->error, CE_ERR_FORMAT, "%s has no token for unknown pieces, beginnings or separators",
                        work->file->path);
    put_bool(work,
             "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
             "\"strip_accents\":",
             work->strip_accents);
    put_bool(work, ",\"lowercase\":", work->lowercase);
    cei_json_put(work->out, "},\n\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\n\"model\":{\"type\":\"WordPiece\","
                            "\"unk_token\":");
    put_token(work, work->roles[UNK]);
    cei_json_put(work->out, ",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,");
    put_vocabulary(work);
    cei_json_put(work->out, "},\n");
    return CE_OK;
}

static void put_merges(const writer *work) {
    const uint8_t *at = work->merges->data;
    cei_json_put(work->out, ",\"merges\":[");
    for (size_t i = 0; i < work->merges->count; i++) {
        const cei_gguf_text merge = cei_gguf_next_string(&at);
        if (i) cei_json_put(work->out, ",\n");
        cei_json_put_string(work->out, merge.data, merge.size);
    }
    cei_json_put(work->out, "]},\n");
}

static ce_status put_byte_level(const writer *work) {
    const struct cutting *cutting = work->cutting;
    cei_json_put(work->out, cutting->nfc ? "\"normalizer\":{\"type\":\"NFC\"},\n" : "\"normalizer\":null,\n");
    cei_json_put(work->out, "\"pre_tokenizer\":");
    if (cutting->regex) {
        cei_json_put(work->out,
                     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"");
        cei_json_put(work->out, cutting->regex);
        cei_json_put(work->out, "\"},\"behavior\":\"Isolated\",\"invert\":false},");
    }
    put_bool(work, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":",
             !cutting->regex);
    cei_json_put(work->out, cutting->regex ? "}]},\n" : "},\n");
    put_bool(work,
             "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"fuse_unk\":false,"
             "\"byte_fallback\":false,\"ignore_merges\":",
             cutting->ignores_merges);
    cei_json_put(work->out, ",");
    put_vocabulary(work);
    put_merges(work);
    return CE_OK;
}

/* Bytes in base 64 (RFC 4648). */
static void put_base64(const writer *work, const cei_gguf_value *bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes->count; i += 3) {
        const size_t left = cei_min_size(bytes->count - i, 3);
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < left ? (uint32_t)cei_gguf_integer_at(bytes, i + k) & 0xFF : 0);
        char four[4];
        for (size_t k = 0; k < 4; k++) four[k] = k <= left ? digits[bits >> (18 - 6 * k) & 63] : '=';
        cei_json_put_bytes(work->out, four, sizeof four);
    }
}

static ce_status put_pieces(const writer *work) {
    cei_json_put(work->out, "\"vocab\":[");
    for (size_t id = 0; id < work->count; id++) {
        const double score = cei_gguf_number_at(work->scores, id);
        if (!isfinite(score))
            return cei_fail(work->error, CE_ERR_FORMAT, "%s: the score of token %zu is no finite number",
                            work->file->path, id);
        cei_json_put(work->out, id ? ",\n[" : "[");
        put_token(work, id);
        cei_json_put(work->out, ",");
        cei_json_put_real(work->out, score);
        cei_json_put(work->out, "]");
    }
    cei_json_put(work->out, "]},\n");
    return CE_OK;
}

static ce_status put_unigram(const writer *work) {
    if (work->roles[UNK] == SIZE_MAX)
        return cei_fail(work->error, CE_ERR_FORMAT, "%s has no token for unknown pieces", work->file->path);
    cei_json_put(work->out, "\"normalizer\":");
    if (work->charsmap) {
        cei_json_put(work->out, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
        put_base64(work, work->charsmap);
    }
    cei_json_put(work->out, work->charsmap ? "\"},\n" : "null,\n");
    cei_json_put(work->out,
                 "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                 "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"");
    cei_json_put(work->out, work->add_space ? "always" : "never");
    cei_json_put(work->out, "\",\"split\":true}]},\n\"model\":{\"type\":\"Unigram\",\"unk_id\":");
    cei_json_put_number(work->out, work->roles[UNK]);
    cei_json_put(work->out, ",");
    return put_pieces(work);
}

/* ---- special tokens around texts ------------------------------------------------------------------------------- */

static void put_item(const writer *work, bool first, const char *kind, size_t id, const char *name, int type_id) {
    cei_json_put(work->out, first ? "{\"" : ",{\"");
    cei_json_put(work->out, kind);
    cei_json_put(work->out, "\":{\"id\":");
    if (name)
        cei_json_put(work->out, name);
    else
        put_token(work, id);
    cei_json_put(work->out, type_id ? ",\"type_id\":1}}" : ",\"type_id\":0}}");
}

/* [CLS] A [SEP], or [CLS] A [SEP] B [SEP], where RoBERTa has two separators between, and no types. */
static void put_template(const writer *work, const char *key, bool pair) {
    static const char special[] = "SpecialToken", sequence[] = "Sequence";
    const bool begins = work->add_bos && work->roles[CLS] != SIZE_MAX;
    const bool ends = work->add_eos && work->roles[SEP] != SIZE_MAX;
    const bool twice = work->kind == UNIGRAM || (work->kind == BYTE_LEVEL && !work->cutting->one_separator);
    const int second = work->kind == WORDPIECE;
    cei_json_put(work->out, key);
    if (begins) put_item(work, true, special, work->roles[CLS], NULL, 0);
    put_item(work, !begins, sequence, 0, "\"A\"", 0);
    if (ends) put_item(work, false, special, work->roles[SEP], NULL, 0);
    if (pair && ends && twice) put_item(work, false, special, work->roles[SEP], NULL, 0);
    if (pair) put_item(work, false, sequence, 0, "\"B\"", second);
    if (pair && ends) put_item(work, false, special, work->roles[SEP], NULL, second);
    cei_json_put(work->out, "]");
}

static void put_template_token(const writer *work, bool first, size_t id) {
    if (!first) cei_json_put(work->out, ",");
    put_token(work, id);
    cei_json_put(work->out, ":{\"id\":");
    put_token(work, id);
    cei_json_put(work->out, ",\"ids\":[");
    cei_json_put_number(work->out, id);
    cei_json_put(work->out, "],\"tokens\":[");
    put_token(work, id);
    cei_json_put(work->out, "]}");
}

static void put_post_processor(const writer *work) {
    const size_t first = work->roles[CLS], last = work->roles[SEP];
    put_template(work, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[", false);
    put_template(work, ",\"pair\":[", true);
    cei_json_put(work->out, ",\"special_tokens\":{");
    if (first != SIZE_MAX) put_template_token(work, true, first);
    if (last != SIZE_MAX && last != first) put_template_token(work, first == SIZE_MAX, last);
    cei_json_put(work->out, "}},\n");
}

static const char *decoder_of(vocabulary_kind kind) {
    switch (kind) {
    case WORDPIECE: return "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}";
    case BYTE_LEVEL:
        return "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}";
    default:
        return "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"always\","
               "\"split\":true}";
    }
}

static void put_decoder(const writer *work) {
    cei_json_put(work->out, "\"decoder\":");
    cei_json_put(work->out, decoder_of(work->kind));
    cei_json_put(work->out, "}\n");
}

static ce_status put_json(writer *work) {
    ce_status status;
    work->out = work->to->tokenizer_json;
    cei_json_put(work->out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    put_added_tokens(work);
    switch (work->kind) {
    case WORDPIECE: status = put_wordpiece(work); break;
    case BYTE_LEVEL: status = put_byte_level(work); break;
    default: status = put_unigram(work);
    }
    put_post_processor(work);
    put_decoder(work);
    return status;
}

/* ---- tokenizer_config.json ----------------------------------------------------------------------------------- */

/* A class of the reference's where that makes the same: it reads scores of pieces more exactly. */
static const char *class_of(const writer *work) {
    const bool is_xlm_roberta = work->kind == UNIGRAM && work->roles[UNK] == 3 && work->roles[CLS] == 0 &&
                                work->roles[SEP] == 2 && work->add_bos && work->add_eos;
    if (is_xlm_roberta) return "XLMRobertaTokenizer";
    return work->kind == WORDPIECE ? "BertTokenizer" : "PreTrainedTokenizerFast";
}

static void put_roles(const writer *work) {
    for (size_t i = 0; i < ROLES; i++) {
        if (work->roles[i] == SIZE_MAX) continue;
        cei_json_put(work->out, ",\n  \"");
        cei_json_put(work->out, roles[i].name);
        cei_json_put(work->out, "\": ");
        const bool strips = i == MASK && work->kind != WORDPIECE;
        if (strips) cei_json_put(work->out, "{\"__type\": \"AddedToken\", \"content\": ");
        put_token(work, work->roles[i]);
        if (!strips) continue;
        cei_json_put(work->out, ", \"single_word\": false, \"lstrip\": true, \"rstrip\": false, "
                                "\"normalized\": false, \"special\": true}");
    }
}

static void put_config(writer *work) {
    work->out = work->to->tokenizer_config;
    cei_json_put(work->out, "{\n  \"tokenizer_class\": \"");
    cei_json_put(work->out, class_of(work));
    cei_json_put(work->out, "\",\n  \"model_max_length\": ");
    cei_json_put_number(work->out, work->to->context);
    cei_json_put(work->out, ",\n  \"model_input_names\": [\"input_ids\", ");
    if (work->to->has_types) cei_json_put(work->out, "\"token_type_ids\", ");
    cei_json_put(work->out, "\"attention_mask\"]");
    if (work->kind == WORDPIECE) {
        put_bool(work, ",\n  \"do_lower_case\": ", work->lowercase);
        put_bool(work, ",\n  \"strip_accents\": ", work->strip_accents);
    }
    if (work->kind == UNIGRAM) put_bool(work, ",\n  \"add_prefix_space\": ", work->add_space);
    put_roles(work);
    cei_json_put(work->out, "\n}\n");
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

ce_status cei_gguf_write_tokenizer(const cei_gguf_tokenizer *to, ce_error *error) {
    writer work = {.to = to, .file = to->file, .error = error};
    ce_status status = find_kind(&work);
    if (status == CE_OK) status = find_cutting(&work);
    if (status == CE_OK) status = read_tokens(&work);
    if (status == CE_OK) status = read_arrays(&work);
    drop_unused(&work);
    if (status == CE_OK) status = read_roles(&work);
    if (status == CE_OK) {
        guess_roles(&work);
        status = read_flags(&work);
    }
    if (status == CE_OK) status = put_json(&work);
    if (status == CE_OK) put_config(&work);
    if (status == CE_OK && (to->tokenizer_json->is_short || to->tokenizer_config->is_short))
        status = cei_fail_memory(error, to->file->path, 0);
    cei_free(work.tokens);
    return status;
}
