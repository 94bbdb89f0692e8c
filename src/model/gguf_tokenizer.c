/* gguf_tokenizer.c - from the vocabulary in a GGUF file to tokenizer.json and tokenizer_config.json.
 *
 * Relies on gguf_vocabulary.c for the file, and on gguf_pieces.c where the vocabulary becomes a SentencePiece model
 * instead. Must not build a tokenizer: src/text reads what is written here as it reads a folder's files. */
#include "model/gguf_vocabulary.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* ---- tokens -------------------------------------------------------------------------------------------------- */

/* What is before a piece in tokenizer.json, and what of it stays: the converter's change undone. Old converters left
 * tokens in brackets alone whatever their type. */
static cei_gguf_text name_piece(const cei_gguf_vocabulary *work, size_t id, const char **before) {
    static const char mark[] = "\xE2\x96\x81";
    const size_t length = sizeof mark - 1;
    cei_gguf_text text = work->tokens[id];
    *before = "";
    if (work->kind != CEI_VOCABULARY_WORDPIECE) return text;
    if (text.size > length && memcmp(text.data, mark, length) == 0)
        return (cei_gguf_text){text.data + length, text.size - length};
    const bool bracketed = text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']';
    if (!cei_gguf_token_is_special(work, id) && !bracketed) *before = "##";
    return text;
}

static void put_token(const cei_gguf_vocabulary *work, size_t id) {
    const char *before;
    const cei_gguf_text text = name_piece(work, id, &before);
    cei_json_put(work->out, "\"");
    cei_json_put(work->out, before);
    cei_json_put_escaped(work->out, text.data, text.size);
    cei_json_put(work->out, "\"");
}

static void put_bool(const cei_gguf_vocabulary *work, const char *before, bool value) {
    cei_json_put(work->out, before);
    cei_json_put(work->out, value ? "true" : "false");
}

/* A token that is found in texts. The mask takes the blank before it, but for WordPiece's. */
static void put_added(const cei_gguf_vocabulary *work, size_t id) {
    const bool special = cei_gguf_token_is_special(work, id);
    cei_json_put(work->out, "{\"id\":");
    cei_json_put_number(work->out, id);
    cei_json_put(work->out, ",\"content\":");
    put_token(work, id);
    put_bool(work, ",\"single_word\":false,\"lstrip\":",
             work->kind != CEI_VOCABULARY_WORDPIECE && id == work->roles[CEI_VOCABULARY_MASK]);
    const bool is_raw = special || (work->kind == CEI_VOCABULARY_BYTE_LEVEL && work->cutting->finds_raw);
    put_bool(work, ",\"rstrip\":false,\"normalized\":", !is_raw);
    put_bool(work, ",\"special\":", special);
    cei_json_put(work->out, "}");
}

static bool is_added(const cei_gguf_vocabulary *work, size_t id) {
    if (work->tokens[id].size == 0) return false;
    return cei_gguf_token_is_special(work, id) || cei_gguf_token_type(work, id) == CEI_TOKEN_USER_DEFINED;
}

static void put_added_tokens(const cei_gguf_vocabulary *work) {
    size_t count = 0;
    cei_json_put(work->out, "\"added_tokens\":[");
    for (size_t id = 0; id < work->count; id++) {
        if (!is_added(work, id)) continue;
        if (count++) cei_json_put(work->out, ",\n");
        put_added(work, id);
    }
    cei_json_put(work->out, "],\n");
}

/* {"token": id, ...} */
static void put_vocabulary(const cei_gguf_vocabulary *work) {
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

static ce_status put_wordpiece(const cei_gguf_vocabulary *work) {
    if (work->roles[CEI_VOCABULARY_UNK] == SIZE_MAX || work->roles[CEI_VOCABULARY_CLS] == SIZE_MAX ||
        work->roles[CEI_VOCABULARY_SEP] == SIZE_MAX)
        return cei_fail(work->error, CE_ERR_FORMAT, "%s has no token for unknown pieces, beginnings or separators",
                        work->file->path);
    put_bool(work,
             "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
             "\"strip_accents\":",
             work->strip_accents);
    put_bool(work, ",\"lowercase\":", work->lowercase);
    cei_json_put(work->out, "},\n\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\n\"model\":{\"type\":\"WordPiece\","
                            "\"unk_token\":");
    put_token(work, work->roles[CEI_VOCABULARY_UNK]);
    cei_json_put(work->out, ",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,");
    put_vocabulary(work);
    cei_json_put(work->out, "},\n");
    return CE_OK;
}

static void put_merges(const cei_gguf_vocabulary *work) {
    const uint8_t *at = work->merges->data;
    cei_json_put(work->out, ",\"merges\":[");
    for (size_t i = 0; i < work->merges->count; i++) {
        const cei_gguf_text merge = cei_gguf_next_string(&at);
        if (i) cei_json_put(work->out, ",\n");
        cei_json_put_string(work->out, merge.data, merge.size);
    }
    cei_json_put(work->out, "]},\n");
}

static ce_status put_byte_level(const cei_gguf_vocabulary *work) {
    const cei_gguf_cutting *cutting = work->cutting;
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

/* Pieces of SentencePiece whose merges the file has, which the class of the tokenizer then takes as they are. */
static ce_status put_merged_pieces(const cei_gguf_vocabulary *work) {
    cei_json_put(work->out, "\"normalizer\":null,\n\"pre_tokenizer\":null,\n\"model\":{\"type\":\"BPE\","
                            "\"dropout\":null,\"unk_token\":null,\"fuse_unk\":true,\"byte_fallback\":true,");
    put_vocabulary(work);
    put_merges(work);
    return CE_OK;
}

/* Bytes in base 64 (RFC 4648). */
static void put_base64(const cei_gguf_vocabulary *work, const cei_gguf_value *bytes) {
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

static ce_status put_pieces(const cei_gguf_vocabulary *work) {
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

static ce_status put_unigram(const cei_gguf_vocabulary *work) {
    if (work->roles[CEI_VOCABULARY_UNK] == SIZE_MAX)
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
    cei_json_put_number(work->out, work->roles[CEI_VOCABULARY_UNK]);
    cei_json_put(work->out, ",");
    return put_pieces(work);
}

/* ---- special tokens around texts ------------------------------------------------------------------------------- */

static void put_item(const cei_gguf_vocabulary *work, bool first, const char *kind, size_t id, const char *name,
                     int type_id) {
    cei_json_put(work->out, first ? "{\"" : ",{\"");
    cei_json_put(work->out, kind);
    cei_json_put(work->out, "\":{\"id\":");
    if (name)
        cei_json_put(work->out, name);
    else
        put_token(work, id);
    cei_json_put(work->out, type_id ? ",\"type_id\":1}}" : ",\"type_id\":0}}");
}

/* A decoder's texts, each between the tokens for a beginning and an end, if it gets those. */
static void put_decoder_text(const cei_gguf_vocabulary *work, bool first, const char *name) {
    const size_t begin = work->roles[CEI_VOCABULARY_BOS], end = work->roles[CEI_VOCABULARY_EOS];
    const bool begins = work->add_bos && begin != SIZE_MAX;
    if (begins) put_item(work, first, "SpecialToken", begin, NULL, 0);
    put_item(work, first && !begins, "Sequence", 0, name, 0);
    if (work->add_eos && end != SIZE_MAX) put_item(work, false, "SpecialToken", end, NULL, 0);
}

static void put_decoder_template(const cei_gguf_vocabulary *work, const char *key, bool pair) {
    cei_json_put(work->out, key);
    put_decoder_text(work, true, "\"A\"");
    if (pair) put_decoder_text(work, false, "\"B\"");
    cei_json_put(work->out, "]");
}

/* [CLS] A [SEP], or [CLS] A [SEP] B [SEP], where RoBERTa has two separators between; types are WordPiece's alone. */
static void put_template(const cei_gguf_vocabulary *work, const char *key, bool pair) {
    static const char special[] = "SpecialToken", sequence[] = "Sequence";
    const bool is_pieces = work->kind == CEI_VOCABULARY_PIECES;
    if (is_pieces || (work->to->is_decoder && work->kind == CEI_VOCABULARY_BYTE_LEVEL)) {
        put_decoder_template(work, key, pair);
        return;
    }
    const bool begins = work->add_bos && work->roles[CEI_VOCABULARY_CLS] != SIZE_MAX;
    const bool ends = work->add_eos && work->roles[CEI_VOCABULARY_SEP] != SIZE_MAX;
    const int second = work->kind == CEI_VOCABULARY_WORDPIECE;
    cei_json_put(work->out, key);
    if (begins) put_item(work, true, special, work->roles[CEI_VOCABULARY_CLS], NULL, 0);
    put_item(work, !begins, sequence, 0, "\"A\"", 0);
    if (ends) put_item(work, false, special, work->roles[CEI_VOCABULARY_SEP], NULL, 0);
    if (pair && ends && work->add_sep) put_item(work, false, special, work->roles[CEI_VOCABULARY_SEP], NULL, 0);
    if (pair) put_item(work, false, sequence, 0, "\"B\"", second);
    if (pair && ends) put_item(work, false, special, work->roles[CEI_VOCABULARY_SEP], NULL, second);
    cei_json_put(work->out, "]");
}

static void put_template_token(const cei_gguf_vocabulary *work, bool first, size_t id) {
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

static void put_post_processor(const cei_gguf_vocabulary *work) {
    const size_t first = work->roles[CEI_VOCABULARY_CLS], last = work->roles[CEI_VOCABULARY_SEP];
    put_template(work, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[", false);
    put_template(work, ",\"pair\":[", true);
    cei_json_put(work->out, ",\"special_tokens\":{");
    if (first != SIZE_MAX) put_template_token(work, true, first);
    if (last != SIZE_MAX && last != first) put_template_token(work, first == SIZE_MAX, last);
    cei_json_put(work->out, "}},\n");
}

static const char *decoder_of(cei_gguf_kind kind) {
    switch (kind) {
    case CEI_VOCABULARY_WORDPIECE: return "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}";
    case CEI_VOCABULARY_BYTE_LEVEL:
        return "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}";
    default:
        return "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"always\","
               "\"split\":true}";
    }
}

static void put_decoder(const cei_gguf_vocabulary *work) {
    cei_json_put(work->out, "\"decoder\":");
    cei_json_put(work->out, decoder_of(work->kind));
    cei_json_put(work->out, "}\n");
}

static ce_status put_json(cei_gguf_vocabulary *work) {
    ce_status status;
    work->out = work->to->tokenizer_json;
    cei_json_put(work->out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    put_added_tokens(work);
    switch (work->kind) {
    case CEI_VOCABULARY_WORDPIECE: status = put_wordpiece(work); break;
    case CEI_VOCABULARY_BYTE_LEVEL: status = put_byte_level(work); break;
    case CEI_VOCABULARY_PIECES: status = put_merged_pieces(work); break;
    default: status = put_unigram(work);
    }
    put_post_processor(work);
    put_decoder(work);
    return status;
}

/* ---- tokenizer_config.json ----------------------------------------------------------------------------------- */

/* A class of the reference's where that makes the same: it reads scores of pieces more exactly. */
static const char *class_of(const cei_gguf_vocabulary *work) {
    const bool is_xlm_roberta = work->kind == CEI_VOCABULARY_UNIGRAM && work->roles[CEI_VOCABULARY_UNK] == 3 &&
                                work->roles[CEI_VOCABULARY_CLS] == 0 && work->roles[CEI_VOCABULARY_SEP] == 2 &&
                                work->add_bos && work->add_eos && work->add_sep;
    if (is_xlm_roberta) return "XLMRobertaTokenizer";
    if (work->kind == CEI_VOCABULARY_PIECES) return work->to->is_gemma ? "GemmaTokenizer" : "LlamaTokenizer";
    return work->kind == CEI_VOCABULARY_WORDPIECE && !work->add_sep ? "BertTokenizer" : "PreTrainedTokenizerFast";
}

static void put_roles(const cei_gguf_vocabulary *work) {
    for (size_t i = 0; i < CEI_VOCABULARY_ROLES; i++) {
        if (work->roles[i] == SIZE_MAX) continue;
        cei_json_put(work->out, ",\n  \"");
        cei_json_put(work->out, cei_gguf_role_name(i));
        cei_json_put(work->out, "\": ");
        const bool strips = i == CEI_VOCABULARY_MASK && work->kind != CEI_VOCABULARY_WORDPIECE;
        if (strips) cei_json_put(work->out, "{\"__type\": \"AddedToken\", \"content\": ");
        put_token(work, work->roles[i]);
        if (!strips) continue;
        cei_json_put(work->out, ", \"single_word\": false, \"lstrip\": true, \"rstrip\": false, "
                                "\"normalized\": false, \"special\": true}");
    }
}

/* What tokenizer.json would say beside a model of SentencePiece. */
static void put_beside_pieces(const cei_gguf_vocabulary *work) {
    put_bool(work, ",\n  \"add_bos_token\": ", work->add_bos);
    put_bool(work, ",\n  \"add_eos_token\": ", work->add_eos);
    put_bool(work, ",\n  \"add_prefix_space\": ", work->add_space);
    cei_json_put(work->out, ",\n  \"legacy\": false,\n  \"added_tokens_decoder\": {");
    size_t count = 0;
    for (size_t id = 0; id < work->count; id++) {
        if (!is_added(work, id)) continue;
        cei_json_put(work->out, count++ ? ",\n    \"" : "\n    \"");
        cei_json_put_number(work->out, id);
        cei_json_put(work->out, "\": ");
        put_added(work, id);
    }
    cei_json_put(work->out, "}");
}

static void put_config(cei_gguf_vocabulary *work) {
    work->out = work->to->tokenizer_config;
    cei_json_put(work->out, "{\n  \"tokenizer_class\": \"");
    cei_json_put(work->out, class_of(work));
    cei_json_put(work->out, "\",\n  \"model_max_length\": ");
    cei_json_put_number(work->out, work->to->context);
    cei_json_put(work->out, ",\n  \"model_input_names\": [\"input_ids\", ");
    if (work->to->has_types) cei_json_put(work->out, "\"token_type_ids\", ");
    cei_json_put(work->out, "\"attention_mask\"]");
    if (work->kind == CEI_VOCABULARY_WORDPIECE) {
        put_bool(work, ",\n  \"do_lower_case\": ", work->lowercase);
        put_bool(work, ",\n  \"strip_accents\": ", work->strip_accents);
    }
    if (work->kind == CEI_VOCABULARY_UNIGRAM) put_bool(work, ",\n  \"add_prefix_space\": ", work->add_space);
    if (work->kind == CEI_VOCABULARY_PIECES) put_beside_pieces(work);
    put_roles(work);
    if (work->to->chat && work->to->chat->size > 0) {
        cei_json_put(work->out, ",\n  \"chat_template\": ");
        cei_json_put_string(work->out, work->to->chat->data, work->to->chat->size);
    }
    cei_json_put(work->out, "\n}\n");
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

ce_status cei_gguf_write_tokenizer(const cei_gguf_tokenizer *to, ce_error *error) {
    cei_gguf_vocabulary work;
    ce_status status = cei_gguf_vocabulary_read(to, &work, error);
    if (status == CE_OK)
        status = work.kind == CEI_VOCABULARY_PIECES && !work.merges ? cei_gguf_put_pieces(&work, to->pieces)
                                                                    : put_json(&work);
    if (status == CE_OK) put_config(&work);
    if (status == CE_OK && (to->tokenizer_json->is_short || to->tokenizer_config->is_short || to->pieces->is_short))
        status = cei_fail_memory(error, to->file->path, 0);
    cei_gguf_vocabulary_free(&work);
    return status;
}
