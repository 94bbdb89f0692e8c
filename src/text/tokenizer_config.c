/* tokenizer_config.c - tokenizer_config.json, special_tokens_map.json, added_tokens.json: the reference's rules.
 *
 * Transformers has classes of its own for BERT, MPNet, XLM-RoBERTa, CamemBERT, ALBERT, T5, DeBERTa-v2 (and v3),
 * RoBERTa, GPT-2, Qwen, Llama and Gemma, which take from tokenizer.json the vocabulary, the merges and the added tokens
 * alone (those for XLM-RoBERTa, CamemBERT, ALBERT and T5 its charsmap too): the rest follows from
 * tokenizer_config.json, whose absent keys have the class's defaults. So it is with a SentencePiece model, whose pieces
 * each class numbers in its own way. The class TokenizersBackend (formerly PreTrainedTokenizerFast) takes
 * tokenizer.json as it is, and so does this file where a folder has no tokenizer_config.json. */
#include "base/error.h"
#include "text/tokenizer_class.h"

#include <stdlib.h>
#include <string.h>

/* The names that the classes go by, and whether they give the model type ids. */
static const struct known_class {
    const char *name;
    cei_token_class class;
    bool with_type_ids;
} known_classes[] = {
    {"BertTokenizer", CEI_CLASS_BERT, true},
    {"ElectraTokenizer", CEI_CLASS_BERT, true},
    {"DistilBertTokenizer", CEI_CLASS_BERT, false},
    {"MobileBertTokenizer", CEI_CLASS_BERT, true},
    {"SqueezeBertTokenizer", CEI_CLASS_BERT, true},
    {"LayoutLMTokenizer", CEI_CLASS_BERT, true},
    {"LxmertTokenizer", CEI_CLASS_BERT, true},
    {"MPNetTokenizer", CEI_CLASS_MPNET, false},
    {"XLMRobertaTokenizer", CEI_CLASS_XLM_ROBERTA, false},
    {"CamembertTokenizer", CEI_CLASS_CAMEMBERT, false},
    {"AlbertTokenizer", CEI_CLASS_ALBERT, false},
    {"T5Tokenizer", CEI_CLASS_T5, false},
    {"DebertaV2Tokenizer", CEI_CLASS_DEBERTA_V2, true},
    {"RobertaTokenizer", CEI_CLASS_ROBERTA, false},
    {"DebertaTokenizer", CEI_CLASS_DEBERTA, false},
    {"GPT2Tokenizer", CEI_CLASS_GPT2, false},
    {"Qwen2Tokenizer", CEI_CLASS_QWEN2, false},
    {"LlamaTokenizer", CEI_CLASS_LLAMA, false},
    {"GemmaTokenizer", CEI_CLASS_GEMMA, false},
    {"TokenizersBackend", CEI_CLASS_FILE, false},
    {"PreTrainedTokenizerFast", CEI_CLASS_FILE, false},
};

/* The class of a kind of model, by config.json's model_type: where no class is named, or whatever is named. */
static const struct {
    const char *model_type, *class;
    bool always;
} model_classes[] = {
    {"roberta", "RobertaTokenizer", false},
    {"roberta-prelayernorm", "RobertaTokenizer", false},
    {"gpt2", "GPT2Tokenizer", false},
    {"qwen2", "Qwen2Tokenizer", true},
    {"qwen3", "Qwen2Tokenizer", false},
    {"modernbert", "TokenizersBackend", true},
    {"xlm-roberta", "XLMRobertaTokenizer", false},
    {"camembert", "CamembertTokenizer", false},
    {"deberta", "DebertaTokenizer", false},
    {"gemma", "GemmaTokenizer", false},
    {"gemma2", "GemmaTokenizer", false},
    {"gemma3", "GemmaTokenizer", false},
    {"gemma3_text", "GemmaTokenizer", false},
    {"deberta-v2", "DebertaV2Tokenizer", false},
    {"albert", "AlbertTokenizer", false},
    {"mpnet", "MPNetTokenizer", false},
    {"t5", "T5Tokenizer", false},
    {"mt5", "T5Tokenizer", false},
    {"umt5", "TokenizersBackend", true},
    {"mistral", "TokenizersBackend", true},
};

/* Classes with rules of their own, which this build does not know. */
static const char *const other_classes[] = {
    "BertJapaneseTokenizer", "ConvBertTokenizer", "FunnelTokenizer",   "HerbertTokenizer", "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",   "RoCBertTokenizer",  "SplinterTokenizer", "XLNetTokenizer",
};

#define END_OF_TEXT "<|endoftext|>"
static const char *const role_keys[CEI_ROLES] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                 "pad_token", "cls_token", "mask_token"};
const char *cei_tokenizer_role_key(size_t role) { return role_keys[role]; }

static const char *const usual_roles[][CEI_ROLES] = {
    [CEI_CLASS_FILE] = {NULL},
    [CEI_CLASS_BERT] = {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
    [CEI_CLASS_MPNET] = {"<s>", "</s>", "[UNK]", "</s>", "<pad>", "<s>", "<mask>"},
    [CEI_CLASS_XLM_ROBERTA] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
    [CEI_CLASS_CAMEMBERT] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
    [CEI_CLASS_ALBERT] = {"[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"},
    [CEI_CLASS_T5] = {NULL, "</s>", "<unk>", NULL, "<pad>", NULL, NULL},
    [CEI_CLASS_DEBERTA_V2] = {"[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
    [CEI_CLASS_ROBERTA] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
    [CEI_CLASS_DEBERTA] = {"[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
    [CEI_CLASS_GPT2] = {END_OF_TEXT, END_OF_TEXT, END_OF_TEXT, NULL, NULL, NULL, NULL},
    [CEI_CLASS_QWEN2] = {NULL, END_OF_TEXT, END_OF_TEXT, NULL, END_OF_TEXT, NULL, NULL},
    [CEI_CLASS_LLAMA] = {"<s>", "</s>", "<unk>", NULL, NULL, NULL, NULL},
    [CEI_CLASS_GEMMA] = {"<bos>", "<eos>", "<unk>", NULL, "<pad>", NULL, "<mask>"},
};

static const json_t *present(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value) ? value : NULL;
}

/* ---- the class ---- */

static bool same_class(const char *name, const char *class) {
    size_t length = strlen(class);
    return strncmp(name, class, length) == 0 && (name[length] == '\0' || strcmp(name + length, "Fast") == 0);
}

static const struct known_class *class_named(const char *name) {
    for (size_t i = 0; name && i < sizeof known_classes / sizeof known_classes[0]; i++)
        if (same_class(name, known_classes[i].name)) return &known_classes[i];
    return NULL;
}

/* The name of the class of the model's kind; NULL if that is not known. */
static const char *class_of_model(const char *model_type, bool always) {
    for (size_t i = 0; model_type && i < sizeof model_classes / sizeof model_classes[0]; i++)
        if (strcmp(model_type, model_classes[i].model_type) == 0 && (model_classes[i].always || !always))
            return model_classes[i].class;
    return NULL;
}

/* The class's name as the reference finds it; NULL if nothing says it. */
static ce_status find_name(cei_applying *work, bool has_json, const char **name) {
    const cei_tokenizer_settings *settings = work->settings;
    const char *type = NULL;
    *name = NULL;
    ce_status status = cei_json_string(settings->config, "tokenizer_class", settings->config_path, name, work->error);
    if (status == CE_OK && !*name)
        status = cei_json_string(settings->model, "tokenizer_class", settings->model_path, name, work->error);
    if (status == CE_OK)
        status = cei_json_string(settings->model, "model_type", settings->model_path, &type, work->error);
    const char *always = class_of_model(type, true);
    if (always) *name = always;
    if (!*name && (settings->config || !has_json)) *name = class_of_model(type, false);
    return status;
}

bool cei_tokenizer_config_rebuilds(const cei_tokenizer_settings *settings) {
    cei_applying work = {.settings = settings};
    const char *name;
    if (find_name(&work, true, &name) != CE_OK || !name) return settings->config != NULL;
    const struct known_class *known = class_named(name);
    return known && known->class != CEI_CLASS_FILE;
}

static ce_status refuse_class(cei_applying *work, const char *name, bool has_json) {
    return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: the tokenizer_class \"%.60s\" is not supported %s",
                    work->settings->config_path, name, has_json ? "by this build" : "without a tokenizer.json");
}

/* Where nothing names a class: that of the files. */
static void choose_class(cei_applying *work, bool has_json) {
    static const cei_token_class of_kind[] = {[CEI_MODEL_WORDPIECE] = CEI_CLASS_BERT,
                                              [CEI_MODEL_UNIGRAM] = CEI_CLASS_XLM_ROBERTA,
                                              [CEI_MODEL_BPE] = CEI_CLASS_ROBERTA};
    const bool pieces = work->spec->sentencepiece.count > 0;
    const bool as_it_is = pieces || (has_json && (work->spec->kind == CEI_MODEL_BPE || !work->settings->config));
    work->class = as_it_is ? CEI_CLASS_FILE : of_kind[work->spec->kind];
    work->spec->with_type_ids = work->class == CEI_CLASS_BERT || !work->settings->config;
}

/* What a class makes itself is for its own kind of model. RoBERTa's class is named in published folders whose
 * tokenizer.json is of another kind (jina-reranker-v1); the reference once took those as they are, and now drops most
 * of their characters. They are taken as they are. */
static ce_status check_class(cei_applying *work, const char *name, bool has_json) {
    const cei_tokenizer_spec *spec = work->spec;
    const bool bpe = spec->kind == CEI_MODEL_BPE;
    /* Of a class for Unigram, set_metaspace checks it. */
    if (work->class >= CEI_CLASS_XLM_ROBERTA && work->class <= CEI_CLASS_DEBERTA_V2) return CE_OK;
    if (work->class >= CEI_CLASS_LLAMA) {
        if (!bpe) return refuse_class(work, name, has_json);
        if (spec->splits.byte_level) work->class = CEI_CLASS_FILE; /* Llama 3's, which goes by the older name too */
        return CE_OK;
    }
    if (spec->sentencepiece.count > 0)
        return work->class == CEI_CLASS_FILE ? CE_OK : refuse_class(work, name, has_json);
    if (work->class <= CEI_CLASS_MPNET)
        return !has_json && (bpe || work->class == CEI_CLASS_FILE) ? refuse_class(work, name, has_json) : CE_OK;
    if (!bpe) return refuse_class(work, name, has_json);
    if (!spec->splits.byte_level) work->class = CEI_CLASS_FILE;
    return CE_OK;
}

static ce_status find_class(cei_applying *work, bool has_json) {
    const char *name;
    ce_status status = find_name(work, has_json, &name);
    if (status != CE_OK) return status;
    if (!name) {
        choose_class(work, has_json);
        return CE_OK;
    }
    const struct known_class *known = class_named(name);
    bool other = !known && !has_json;
    for (size_t i = 0; i < sizeof other_classes / sizeof other_classes[0]; i++)
        other = other || same_class(name, other_classes[i]);
    if (other) return refuse_class(work, name, has_json);
    work->class = known ? known->class : CEI_CLASS_FILE;
    work->spec->with_type_ids = known && known->with_type_ids;
    return check_class(work, name, has_json);
}

/* ---- plain settings ---- */

static ce_status read_max_length(cei_applying *work) {
    const char *path = work->settings->config_path;
    /* The older name counts only where the newer is not there at all, not even as null. */
    bool newer = json_object_get(work->settings->config, "model_max_length") != NULL;
    const json_t *value = present(work->settings->config, newer ? "model_max_length" : "max_len");
    work->spec->max_length = SIZE_MAX;
    if (!value) return CE_OK;
    /* "No limit" is written as 1e30, by some models as -1. */
    double number = json_number_value(value);
    if (!json_is_number(value) || (number < 1 && number != -1))
        return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"model_max_length\" is not a positive number", path);
    if (number >= 1 && number < 9007199254740992.0) work->spec->max_length = (size_t)number;
    return CE_OK;
}

static ce_status check_left_truncation(cei_applying *work) {
    const char *side = NULL, *path = work->settings->config_path;
    ce_status status = cei_json_string(work->settings->config, "truncation_side", path, &side, work->error);
    if (status != CE_OK || (side ? strcmp(side, "left") != 0 : !work->spec->left_truncation)) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: texts are to be cut on the left, which this build does not do",
                    side ? path : work->spec->path);
}

static ce_status check_split_special(cei_applying *work) {
    bool split = false;
    const char *path = work->settings->config_path;
    ce_status status = cei_json_bool(work->settings->config, "split_special_tokens", path, &split, work->error);
    if (status != CE_OK || !split) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: split_special_tokens is not supported by this build", path);
}

static ce_status read_input_names(cei_applying *work) {
    const json_t *names = present(work->settings->config, "model_input_names"), *name;
    if (!names) return CE_OK;
    if (!json_is_array(names))
        return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"model_input_names\" is not an array",
                        work->settings->config_path);
    work->spec->with_type_ids = false;
    size_t i;
    json_array_foreach(names, i, name) {
        const char *text = json_string_value(name);
        if (text && strcmp(text, "token_type_ids") == 0) work->spec->with_type_ids = true;
    }
    return CE_OK;
}

/* ---- added tokens ---- */

/* Of a SentencePiece model that no class knows. Where a blank goes before all, the reference looks for the tokens in
 * the raw text, so that each stretch between them gets its own. What it does to a token that has the id of another
 * piece, which is to rename that piece, is not done here. */
static ce_status check_piece(const cei_applying *work, cei_added_token *token, const char *path) {
    const cei_sentencepiece *model = &work->spec->sentencepiece;
    if (work->class != CEI_CLASS_FILE || model->count == 0) return CE_OK;
    if (model->prefix) token->normalized = false;
    const cei_piece *piece = (size_t)token->id < model->count ? &model->pieces[token->id] : NULL;
    if (!piece || (piece->size == token->size && memcmp(piece->text, token->content, token->size) == 0)) return CE_OK;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: the token \"%.60s\" has the id %d, which is another piece's in"
                    " %s",
                    path, token->content, (int)token->id, work->spec->path);
}

/* {"101": {"content": "[CLS]", ...}, ...} */
static ce_status read_decoder(cei_applying *work) {
    const char *path = work->settings->config_path;
    if (!json_is_object(work->decoder))
        return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"added_tokens_decoder\" is not an object", path);
    if (work->class != CEI_CLASS_FILE) work->spec->added.count = 0;
    size_t before = work->spec->added.count;
    for (void *at = json_object_iter(work->decoder); at; at = json_object_iter_next(work->decoder, at)) {
        const char *key = json_object_iter_key(at);
        char *end;
        unsigned long id = strtoul(key, &end, 10);
        if (*key < '0' || *key > '9' || *end != '\0' || id >= CEI_TOKEN_ID_LIMIT)
            return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"%.60s\" in \"added_tokens_decoder\" is no token id",
                            path, key);
        cei_added_token token;
        ce_status status = cei_added_json_read(json_object_iter_value(at), false, path, &token, work->error);
        token.id = (int32_t)id;
        token.overrides = work->class == CEI_CLASS_FILE;
        if (status == CE_OK) status = check_piece(work, &token, path);
        if (status == CE_OK) status = cei_added_list_push(&work->spec->added, &token, work->error);
        if (status != CE_OK) return status;
    }
    cei_added_list_sort(&work->spec->added, before);
    return CE_OK;
}

/* added_tokens.json, of old models: {"<new>": 30522}. Those that have a role are special; they are looked for in
 * normalized text unless a file names the role. */
static ce_status read_older_added(cei_applying *work) {
    json_t *root = work->settings->added;
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at)) {
        const char *key = json_object_iter_key(at);
        cei_added_token token = {.content = key, .size = strlen(key), .fallback = true};
        token.normalized = true;
        for (size_t role = 0; role < CEI_ROLES; role++) {
            if (!work->roles[role].content || strcmp(work->roles[role].content, key) != 0) continue;
            token.special = true;
            if (work->named[role]) token.normalized = false;
        }
        ce_status status =
            cei_token_id_read(json_object_iter_value(at), key, work->settings->added_path, &token.id, work->error);
        if (status == CE_OK) status = check_piece(work, &token, work->settings->added_path);
        if (status == CE_OK) status = cei_added_list_push(&work->spec->added, &token, work->error);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

/* The name of a role where no file has it; NULL for none. null in tokenizer_config.json takes a role away from the
 * byte-level classes and from SentencePiece models that have no class. The others need all of theirs. */
static const char *usual_role(const cei_applying *work, size_t role) {
    const cei_sentencepiece *model = &work->spec->sentencepiece;
    const bool none = json_is_null(json_object_get(work->settings->config, role_keys[role]));
    if (none && (work->class >= CEI_CLASS_ROBERTA || work->class == CEI_CLASS_FILE)) return NULL;
    if (work->class != CEI_CLASS_FILE || model->count == 0) return usual_roles[work->class][role];
    if (role == CEI_ROLE_UNK) return model->unknown_name;
    if (role == CEI_ROLE_BOS && model->has_bos) return model->bos_name;
    return role == CEI_ROLE_EOS && model->has_eos ? model->eos_name : NULL;
}

/* The classes whose mask takes the blank before it. */
static bool mask_takes_blank(cei_token_class class) { return class == CEI_CLASS_CAMEMBERT || class == CEI_CLASS_MPNET; }

static ce_status read_roles(cei_applying *work) {
    const cei_tokenizer_settings *settings = work->settings;
    ce_status status = CE_OK;
    for (size_t role = 0; role < CEI_ROLES && status == CE_OK; role++) {
        cei_added_token *token = &work->roles[role];
        const json_t *value = work->decoder ? NULL : present(settings->specials, role_keys[role]);
        const char *path = value ? settings->specials_path : settings->config_path;
        if (!value) value = present(settings->config, role_keys[role]);
        const char *usual = usual_role(work, role);
        work->named[role] = value != NULL;
        if (value)
            status = cei_added_json_read(value, true, path, token, work->error);
        else if (usual)
            *token = (cei_added_token){.content = usual, .size = strlen(usual)};
        token->special = token->fallback = true;
        if (role == CEI_ROLE_MASK && !json_is_object(value)) token->lstrip = mask_takes_blank(work->class);
        work->spec->roles[role] = token->content;
    }
    return status;
}

static ce_status push_special(cei_applying *work, const json_t *value, const char *path) {
    cei_added_token token;
    ce_status status = cei_added_json_read(value, true, path, &token, work->error);
    token.special = token.fallback = true;
    return status == CE_OK ? cei_added_list_push(&work->spec->added, &token, work->error) : status;
}

/* Further roles that a model has, by keys like "image_token". */
static ce_status push_named_roles(cei_applying *work, json_t *object, bool strings, bool objects, const char *path) {
    ce_status status = CE_OK;
    for (void *at = json_object_iter(object); at && status == CE_OK; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        size_t length = strlen(key);
        bool named = length > 6 && strcmp(key + length - 6, "_token") == 0;
        for (size_t role = 0; role < CEI_ROLES; role++) named = named && strcmp(key, role_keys[role]) != 0;
        if (named && ((strings && json_is_string(value)) || (objects && json_is_object(value))))
            status = push_special(work, value, path);
    }
    return status;
}

/* An object of extra special tokens: roles too, with names of any kind. */
static ce_status push_roles_of(cei_applying *work, json_t *extras, const char *path) {
    ce_status status = CE_OK;
    for (void *at = json_object_iter(extras); at && status == CE_OK; at = json_object_iter_next(extras, at))
        status = push_special(work, json_object_iter_value(at), path);
    return status;
}

static ce_status push_model_roles(cei_applying *work, json_t *specials, json_t *config_extras, json_t *map_extras) {
    const cei_tokenizer_settings *settings = work->settings;
    const char *config_path = settings->config_path, *map_path = settings->specials_path;
    ce_status status = push_named_roles(work, settings->config, false, true, config_path);
    if (status == CE_OK) status = push_named_roles(work, specials, true, true, map_path);
    if (status == CE_OK) status = push_named_roles(work, settings->config, true, false, config_path);
    if (status == CE_OK) status = push_roles_of(work, config_extras, config_path);
    return status == CE_OK ? push_roles_of(work, map_extras, map_path) : status;
}

static ce_status push_extras(cei_applying *work, const json_t *extras, const char *path) {
    if (extras && !json_is_array(extras) && !json_is_object(extras) && !json_is_null(extras))
        return cei_fail(work->error, CE_ERR_FORMAT, "%s: the extra special tokens are neither a list nor an object",
                        path);
    ce_status status = CE_OK;
    for (size_t i = 0; i < json_array_size(extras) && status == CE_OK; i++)
        status = push_special(work, json_array_get(extras, i), path);
    return status;
}

static ce_status push_usual(cei_applying *work, const char *name) {
    const cei_added_token token = {.content = name, .size = strlen(name), .id = -1, .fallback = true, .special = true};
    return cei_added_list_push(&work->spec->added, &token, work->error);
}

/* Control and user-defined pieces are found in texts. Without a class, the latter are not among the tokens. */
static ce_status push_pieces(cei_applying *work) {
    const cei_sentencepiece *model = &work->spec->sentencepiece;
    ce_status status = CE_OK;
    for (size_t i = 0; i < model->count && status == CE_OK; i++) {
        const cei_piece *piece = &model->pieces[i];
        if (piece->kind != CEI_PIECE_CONTROL && piece->kind != CEI_PIECE_USER_DEFINED) continue;
        const cei_added_token token = {.content = piece->text,
                                       .size = piece->size,
                                       .id = -1,
                                       .fallback = true,
                                       .special = piece->kind == CEI_PIECE_CONTROL};
        status = cei_added_list_push(&work->spec->added, &token, work->error);
    }
    return status;
}

/* The sentinels of T5's class stand beside the tokens from first on unless these have sentinels, which then must be
 * as many. */
static ce_status push_sentinels(cei_applying *work, size_t first) {
    cei_tokenizer_spec *spec = work->spec;
    size_t found = 0;
    for (size_t i = first; i < spec->added.count; i++)
        found += strstr(spec->added.items[i].content, "<extra_id_") != NULL;
    if (found > 0 && work->sentinel_count > 0 && found != work->sentinel_count)
        return cei_fail(work->error, CE_ERR_FORMAT,
                        "%s: there are %zu tokens \"<extra_id_...>\", and \"extra_ids\" says %zu",
                        work->settings->config_path, found, work->sentinel_count);
    ce_status status = CE_OK;
    for (size_t i = 0; i < work->sentinel_count && found == 0 && status == CE_OK; i++)
        status = push_usual(work, cei_class_sentinel(work, i));
    return status;
}

/* The tokens that stand in for a list of extra special tokens where no file has one. */
static ce_status push_usual_extras(cei_applying *work) {
    static const char *const unused[] = {"<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"};
    ce_status status = push_pieces(work);
    if (work->class != CEI_CLASS_CAMEMBERT || work->spec->sentencepiece.count > 0) return status;
    for (size_t i = 0; i < sizeof unused / sizeof unused[0] && status == CE_OK; i++)
        status = push_usual(work, unused[i]);
    return status;
}

/* "additional_special_tokens" is the older name of the list "extra_special_tokens". In tokenizer_config.json it counts
 * where the newer is empty, and in either file where there is no newer list at all. An object of extra special tokens
 * is no such list: it stands beside it, and in special_tokens_map.json it undoes that of tokenizer_config.json. Lists
 * of special_tokens_map.json come behind. The pieces of a SentencePiece model stand where the older name would. */
static ce_status push_all_extras(cei_applying *work) {
    static const char newer[] = "extra_special_tokens", older[] = "additional_special_tokens";
    const cei_tokenizer_settings *settings = work->settings;
    json_t *specials = work->decoder ? NULL : settings->specials;
    json_t *config_extras = json_object_get(settings->config, newer), *map_extras = json_object_get(specials, newer);
    json_t *config_older = json_object_get(settings->config, older), *map_older = json_object_get(specials, older);
    json_t *extras = json_is_object(config_extras) ? NULL : config_extras;
    json_t *more = json_is_object(map_extras) ? NULL : map_extras;
    bool empty = json_array_size(extras) == 0 && json_object_size(config_extras) == 0;
    if (empty && config_older) {
        extras = config_older;
        config_older = NULL;
    }
    if (json_is_object(map_extras)) extras = NULL;
    if (!extras && !more && work->spec->sentencepiece.count == 0) {
        more = map_older;
        if (!more) extras = config_older;
    }
    const bool beside = work->class == CEI_CLASS_T5 && !extras && (!more || more == map_older);
    ce_status status = push_model_roles(work, specials, config_extras, map_extras);
    const size_t first = work->spec->added.count;
    if (status == CE_OK && !extras && !more) status = push_usual_extras(work);
    if (status == CE_OK) status = push_extras(work, extras, settings->config_path);
    if (status == CE_OK) status = push_extras(work, more, settings->specials_path);
    return status == CE_OK && beside ? push_sentinels(work, first) : status;
}

/* The class for Qwen adds its special tokens once more, without any flags, which then count. */
static ce_status push_plainly(cei_applying *work, size_t first) {
    ce_status status = CE_OK;
    for (size_t i = first, end = work->spec->added.count; i < end && status == CE_OK; i++) {
        cei_added_token token = {.content = work->spec->added.items[i].content, .id = -1, .special = true};
        token.size = work->spec->added.items[i].size;
        token.overrides = true;
        status = cei_added_list_push(&work->spec->added, &token, work->error);
    }
    return status;
}

static ce_status collect_added(cei_applying *work) {
    ce_status status = read_roles(work);
    if (status == CE_OK) status = work->decoder ? read_decoder(work) : read_older_added(work);
    if (status == CE_OK && work->class != CEI_CLASS_FILE) cei_added_list_sort(&work->spec->added, 0);
    size_t first = work->spec->added.count;
    for (size_t role = 0; role < CEI_ROLES && status == CE_OK; role++)
        if (work->roles[role].content)
            status = cei_added_list_push(&work->spec->added, &work->roles[role], work->error);
    if (status == CE_OK) status = push_all_extras(work);
    return status == CE_OK && work->class == CEI_CLASS_QWEN2 ? push_plainly(work, first) : status;
}

ce_status cei_tokenizer_config_apply(const cei_tokenizer_settings *settings, bool has_json, cei_tokenizer_spec *spec,
                                     ce_error *error) {
    cei_applying work = {.settings = settings, .spec = spec, .error = error};
    json_t *decoder = json_object_get(settings->config, "added_tokens_decoder");
    work.decoder = json_is_null(decoder) ? NULL : decoder;
    ce_status status = find_class(&work, has_json);
    if (status == CE_OK) status = read_max_length(&work);
    if (status == CE_OK) status = check_left_truncation(&work);
    if (status == CE_OK) status = check_split_special(&work);
    if (status == CE_OK) status = read_input_names(&work);
    if (status == CE_OK && work.class == CEI_CLASS_T5) status = cei_class_read_sentinels(&work);
    if (status == CE_OK) status = collect_added(&work);
    return status == CE_OK ? cei_class_apply(&work, has_json) : status;
}
