/* gguf_put_tokenizer.c - from what a tokenizer's files say to the keys of a GGUF file.
 *
 * The kinds are those that gguf_tokenizer.c reads. Roles of special tokens are taken from the template of a text, since
 * a file has ids for them and no template. Must not judge what gets lost: the file is read again and compared. */
#include "model/gguf_put.h"

#include "base/error.h"
#include "base/memory.h"
#include "text/charsmap.h"

#include <stdio.h>
#include <string.h>

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 }; /* types of tokens */
enum { PADDING_NAME = 32 };

/* The score of a token that is none, as converters have it. */
static const float unused_score = -1000;

typedef struct writer {
    const cei_gguf_tokens *asked;
    const cei_tokenizer_spec *spec;
    cei_gguf_out *out;
    ce_error *error;
    cei_gguf_text *tokens; /* [rows] as the files have them; without data where there is none */
    uint8_t *types;        /* [rows] */
    size_t rows;
    const cei_tokenizer *built; /* of the same files: for ids of added tokens, and templates */
} writer;

/* ---- reading the tokenizer ------------------------------------------------------------------------------------- */

static ce_status set_token(writer *work, const char *data, size_t size, int32_t id, int type) {
    if (id < 0 || (size_t)id >= work->rows)
        return cei_fail(work->error, CE_ERR_MODEL, "%s: the token \"%.60s\" has the id %d, and the model has %zu rows",
                        work->spec->path, data, (int)id, work->rows);
    work->tokens[id] = (cei_gguf_text){data, size};
    work->types[id] = (uint8_t)type;
    return CE_OK;
}

static ce_status read_vocabulary(writer *work) {
    const cei_vocabulary *vocabulary = &work->spec->vocabulary;
    ce_status status = CE_OK;
    for (size_t i = 0; i < vocabulary->slot_count && status == CE_OK; i++) {
        const cei_vocabulary_slot *slot = &vocabulary->slots[i];
        if (slot->id >= 0 && slot->size > 0) /* an empty one is found in no text */
            status = set_token(work, vocabulary->bytes.data + slot->offset, slot->size, slot->id, NORMAL);
    }
    return status;
}

static ce_status read_added(writer *work) {
    const cei_added_list *added = &work->spec->added;
    ce_status status = CE_OK;
    for (size_t i = 0; i < added->count && status == CE_OK; i++) {
        const cei_added_token *token = &added->items[i];
        const int32_t id = cei_tokenizer_find(work->built, token->content);
        if (id >= 0) status = set_token(work, token->content, token->size, id, token->special ? CONTROL : USER_DEFINED);
    }
    return status;
}

/* ---- tokens -------------------------------------------------------------------------------------------------- */

/* Pieces of WordPiece as converters rewrite them: a mark before those that begin a word, and no "##" before others. */
static void put_wordpiece_token(const writer *work, size_t id) {
    static const char continues[] = "##", mark[] = "\xE2\x96\x81";
    const cei_gguf_text token = work->tokens[id];
    const size_t length = sizeof continues - 1;
    if (work->types[id] == CONTROL) {
        cei_gguf_put_text(work->out, token);
    } else if (token.size > length && memcmp(token.data, continues, length) == 0) {
        cei_gguf_put_text(work->out, (cei_gguf_text){token.data + length, token.size - length});
    } else {
        cei_gguf_put_number(work->out, token.size + sizeof mark - 1, 8);
        cei_json_put(&work->out->pairs, mark);
        cei_json_put_bytes(&work->out->pairs, token.data, token.size);
    }
}

static void put_tokens(writer *work) {
    cei_gguf_put_array(work->out, "tokenizer.ggml.tokens", CEI_GGUF_STRING, work->rows);
    for (size_t id = 0; id < work->rows; id++) {
        char padding[PADDING_NAME];
        if (work->types[id] == 0) {
            snprintf(padding, sizeof padding, "[PAD%zu]", id);
            cei_gguf_put_text(work->out, (cei_gguf_text){padding, strlen(padding)});
        } else if (work->spec->kind == CEI_MODEL_WORDPIECE) {
            put_wordpiece_token(work, id);
        } else {
            cei_gguf_put_text(work->out, work->tokens[id]);
        }
    }
    cei_gguf_put_array(work->out, "tokenizer.ggml.token_type", CEI_GGUF_INT32, work->rows);
    for (size_t id = 0; id < work->rows; id++)
        cei_gguf_put_number(work->out, work->types[id] ? work->types[id] : UNUSED, 4);
}

/* ---- roles --------------------------------------------------------------------------------------------------- */

static int32_t role_id(const writer *work, size_t role) {
    const char *token = work->spec->roles[role];
    return token ? cei_tokenizer_find(work->built, token) : -1;
}

/* ---- kinds --------------------------------------------------------------------------------------------------- */

static ce_status put_name(const writer *work, const char *model, const char *pre) {
    cei_gguf_put_string(work->out, "tokenizer.ggml.model", (cei_gguf_text){model, strlen(model)});
    cei_gguf_put_string(work->out, "tokenizer.ggml.pre", (cei_gguf_text){pre, strlen(pre)});
    return CE_OK;
}

static ce_status put_wordpiece(const writer *work) {
    const cei_normalizer *normalizer = &work->spec->normalizer;
    const bool is_bert = normalizer->count > 0 && normalizer->steps[0].kind == CEI_NORMALIZER_BERT;
    cei_gguf_put_bool(work->out, "tokenizer.ggml.normalizer.lowercase", is_bert && normalizer->steps[0].bert.lowercase);
    cei_gguf_put_bool(work->out, "tokenizer.ggml.normalizer.strip_accents",
                      is_bert && normalizer->steps[0].bert.strip_accents);
    return put_name(work, "bert", "default");
}

/* The charsmap is the only step of a normalizer that there is a key for. */
static ce_status put_charsmap(const writer *work) {
    const cei_normalizer *normalizer = &work->spec->normalizer;
    cei_bytes bytes = {0};
    if (normalizer->count == 0 || normalizer->steps[0].kind != CEI_NORMALIZER_CHARSMAP) return CE_OK;
    if (!cei_charsmap_write(normalizer->steps[0].charsmap, &bytes)) {
        cei_free(bytes.data);
        return cei_fail_memory(work->error, "a charsmap", bytes.size);
    }
    cei_gguf_put_array(work->out, "tokenizer.ggml.precompiled_charsmap", CEI_GGUF_UINT8, bytes.size);
    cei_json_put_bytes(&work->out->pairs, bytes.data, bytes.size);
    cei_free(bytes.data);
    return CE_OK;
}

static ce_status put_unigram(writer *work) {
    const cei_unigram_options *options = &work->spec->unigram;
    if (options->unknown < work->rows && work->types[options->unknown] == NORMAL)
        work->types[options->unknown] = UNKNOWN;
    cei_gguf_put_array(work->out, "tokenizer.ggml.scores", CEI_GGUF_FLOAT32, work->rows);
    for (size_t id = 0; id < work->rows; id++)
        cei_gguf_put_real(work->out, id < options->count ? (float)options->scores[id] : unused_score);
    cei_gguf_put_bool(work->out, "tokenizer.ggml.add_space_prefix", work->spec->metaspace.prepend != CEI_PREPEND_NEVER);
    cei_gguf_put_bool(work->out, "tokenizer.ggml.remove_extra_whitespaces", true);
    if (options->unknown < work->rows)
        cei_gguf_put_uint32(work->out, "tokenizer.ggml.unknown_token_id", (uint32_t)options->unknown);
    ce_status status = put_charsmap(work);
    return status == CE_OK ? put_name(work, "t5", "default") : status;
}

/* Which of the ways to cut text that a file can name is this one? */
static ce_status put_pre(const writer *work) {
    const cei_tokenizer_spec *spec = work->spec;
    const cei_split *split = spec->splits.steps;
    const bool nfc = spec->normalizer.count > 0 && spec->normalizer.steps[0].kind == CEI_NORMALIZER_NFC;
    if (spec->splits.count > 0 && split->kind == CEI_SPLIT_GPT2)
        return put_name(work, "gpt2", nfc ? "modern-bert" : "roberta-bpe");
    if (spec->splits.count > 0 && split->kind == CEI_SPLIT_GPT4)
        return put_name(work, "gpt2", split->digits == 1 ? "qwen2" : "llama-bpe");
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: tokenizer.ggml.pre, by which a GGUF file says how text is cut, has no word for this tokenizer",
                    spec->path);
}

static void put_merges(const writer *work) {
    const cei_merges *merges = &work->spec->merges;
    cei_merge_walk walk = {.spec = work->spec};
    int32_t left, right;
    cei_gguf_put_array(work->out, "tokenizer.ggml.merges", CEI_GGUF_STRING,
                       merges->known_count ? merges->known_count : merges->count);
    while (cei_merge_walk_next(&walk, &left, &right)) {
        static const cei_gguf_text none = {"", 0};
        const bool known = left >= 0 && right >= 0;
        const cei_gguf_text a = known ? work->tokens[left] : none, b = known ? work->tokens[right] : none;
        cei_gguf_put_number(work->out, a.size + 1 + b.size, 8);
        cei_json_put_bytes(&work->out->pairs, a.data, a.size);
        cei_json_put(&work->out->pairs, " ");
        cei_json_put_bytes(&work->out->pairs, b.data, b.size);
    }
}

static ce_status put_byte_level(const writer *work) {
    put_merges(work);
    return put_pre(work);
}

/* Merges are numbered by what they make, unless a tokenizer.json has them in an order of its own: then they are there
 * too, for crossenc, since other programs merge by scores. */
static ce_status put_pieces(const writer *work) {
    ce_status status = cei_gguf_put_scores(work->spec, work->tokens, work->types, work->rows,
                                           role_id(work, CEI_ROLE_UNK), work->out, work->error);
    if (work->spec->sentencepiece.count == 0) put_merges(work);
    return status == CE_OK ? put_name(work, "llama", "default") : status;
}

static ce_status put_kind(writer *work) {
    switch (work->spec->kind) {
    case CEI_MODEL_WORDPIECE: return put_wordpiece(work);
    case CEI_MODEL_UNIGRAM: return put_unigram(work);
    default: return work->spec->splits.byte_level ? put_byte_level(work) : put_pieces(work);
    }
}

/* ---- special tokens ------------------------------------------------------------------------------------------ */

static void put_id(const writer *work, const char *key, int32_t id) {
    if (id >= 0) cei_gguf_put_uint32(work->out, key, (uint32_t)id);
}

/* Readers take the white space before a mask token, but for WordPiece's: so what a text loses that before is one,
 * whatever it is called, and a mask that keeps it is none. */
static int32_t mask_id(const writer *work) {
    const cei_added_list *added = &work->spec->added;
    if (work->spec->kind == CEI_MODEL_WORDPIECE) return role_id(work, CEI_ROLE_MASK);
    for (size_t i = 0; i < added->count; i++)
        if (added->items[i].lstrip) return cei_tokenizer_find(work->built, added->items[i].content);
    return -1;
}

/* What stands before a text and behind it; -1 for nothing. Of more than two the file knows nothing. */
static void find_ends(const writer *work, int32_t *first, int32_t *last) {
    enum { MOST = 2 };
    int32_t ids[MOST], types[MOST];
    const size_t count = cei_tokenizer_single_specials(work->built);
    *first = *last = -1;
    if (count == 0 || count > MOST) return;
    cei_tokenizer_wrap(work->built, NULL, 0, ids, types);
    if (count == MOST || !cei_tokenizer_single_closes(work->built)) *first = ids[0];
    if (cei_tokenizer_single_closes(work->built)) *last = ids[count - 1];
}

/* The id of padding, of which a model's config may say another than its tokenizer. */
static int32_t padding_id(const writer *work) {
    if (!work->asked->tells_padding) return role_id(work, CEI_ROLE_PAD);
    return work->asked->padding < CEI_NO_TOKEN ? (int32_t)work->asked->padding : -1;
}

/* Decoders have such tokens where texts do not begin or end with them, and programs ask for them. */
static int32_t end_id(const writer *work, int32_t found, size_t role) {
    return found < 0 && work->asked->is_decoder ? role_id(work, role) : found;
}

static void put_roles(const writer *work) {
    int32_t first, last;
    find_ends(work, &first, &last);
    put_id(work, "tokenizer.ggml.bos_token_id", end_id(work, first, CEI_ROLE_BOS));
    put_id(work, "tokenizer.ggml.eos_token_id", end_id(work, last, CEI_ROLE_EOS));
    put_id(work, "tokenizer.ggml.cls_token_id", first);
    put_id(work, "tokenizer.ggml.seperator_token_id", last);
    if (work->spec->kind != CEI_MODEL_UNIGRAM)
        put_id(work, "tokenizer.ggml.unknown_token_id", role_id(work, CEI_ROLE_UNK));
    put_id(work, "tokenizer.ggml.padding_token_id", padding_id(work));
    put_id(work, "tokenizer.ggml.mask_token_id", mask_id(work));
    cei_gguf_put_bool(work->out, "tokenizer.ggml.add_bos_token", first >= 0);
    cei_gguf_put_bool(work->out, "tokenizer.ggml.add_eos_token", last >= 0);
    /* A pair has one separator more than a text, or two. Absent, the number is by the kind in llama.cpp, and not what
     * models of that kind have. */
    cei_gguf_put_bool(work->out, "tokenizer.ggml.add_sep_token",
                      cei_tokenizer_pair_specials(work->built) == cei_tokenizer_single_specials(work->built) + 2);
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

ce_status cei_gguf_put_tokenizer(const cei_gguf_tokens *tokens, cei_gguf_out *out, ce_error *error) {
    const size_t rows = tokens->rows;
    writer work = {
        .asked = tokens, .spec = tokens->spec, .out = out, .error = error, .rows = rows, .built = tokens->built};
    work.tokens = cei_alloc_zeroed(rows, sizeof *work.tokens);
    work.types = cei_alloc_zeroed(rows, sizeof *work.types);
    ce_status status = work.tokens && work.types ? CE_OK : cei_fail_memory(error, "a vocabulary", rows);
    if (status == CE_OK) status = read_vocabulary(&work);
    if (status == CE_OK) status = read_added(&work);
    if (status == CE_OK) status = put_kind(&work);
    if (status == CE_OK) {
        put_tokens(&work);
        put_roles(&work);
    }
    cei_free(work.tokens);
    cei_free(work.types);
    return status;
}
