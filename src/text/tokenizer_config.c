/* tokenizer_config.c - tokenizer_config.json, special_tokens_map.json, added_tokens.json: the reference's rules.
 *
 * Transformers has classes of its own for BERT, XLM-RoBERTa, DeBERTa-v2 (and v3), RoBERTa, GPT-2 and Qwen, which take
 * from tokenizer.json the vocabulary, the merges and the added tokens alone (XLM-RoBERTa's its charsmap too): the rest
 * follows from tokenizer_config.json, whose absent keys have the class's defaults. The class TokenizersBackend
 * (formerly PreTrainedTokenizerFast) takes tokenizer.json as it is, and so does this file where a folder has no
 * tokenizer_config.json. */
#include "base/error.h"
#include "text/spec.h"
#include "text/text_steps.h"

#include <stdlib.h>
#include <string.h>

/* Who decides about normalizer, pre-tokenizer and template: tokenizer.json, or a class of transformers. */
typedef enum token_class {
    CLASS_FILE,
    CLASS_BERT,
    CLASS_XLM_ROBERTA,
    CLASS_DEBERTA_V2,
    CLASS_ROBERTA,
    CLASS_GPT2,
    CLASS_QWEN2
} token_class;

/* The names that the classes go by, and whether they give the model type ids. */
static const struct known_class {
    const char *name;
    token_class class;
    bool with_type_ids;
} known_classes[] = {
    {"BertTokenizer", CLASS_BERT, true},
    {"ElectraTokenizer", CLASS_BERT, true},
    {"DistilBertTokenizer", CLASS_BERT, false},
    {"MobileBertTokenizer", CLASS_BERT, true},
    {"SqueezeBertTokenizer", CLASS_BERT, true},
    {"LayoutLMTokenizer", CLASS_BERT, true},
    {"LxmertTokenizer", CLASS_BERT, true},
    {"XLMRobertaTokenizer", CLASS_XLM_ROBERTA, false},
    {"DebertaV2Tokenizer", CLASS_DEBERTA_V2, true},
    {"RobertaTokenizer", CLASS_ROBERTA, false},
    {"GPT2Tokenizer", CLASS_GPT2, false},
    {"Qwen2Tokenizer", CLASS_QWEN2, false},
    {"TokenizersBackend", CLASS_FILE, false},
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
    {"deberta-v2", "DebertaV2Tokenizer", false},
};

/* Classes with rules of their own, which this build does not know. */
static const char *const other_classes[] = {
    "AlbertTokenizer",  "BertJapaneseTokenizer", "CamembertTokenizer",  "ConvBertTokenizer",   "DebertaTokenizer",
    "FunnelTokenizer",  "HerbertTokenizer",      "LayoutLMv2Tokenizer", "LayoutLMv3Tokenizer", "MPNetTokenizer",
    "RoCBertTokenizer", "SplinterTokenizer",     "T5Tokenizer",         "XLNetTokenizer",
};

/* The named special tokens, in the order in which new ones get ids. */
enum { BOS, EOS, UNK, SEP, PAD, CLS, MASK, ROLES };
static const char *const role_keys[ROLES] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                             "pad_token", "cls_token", "mask_token"};
#define END_OF_TEXT "<|endoftext|>"
static const char *const usual_roles[][ROLES] = {
    [CLASS_FILE] = {NULL},
    [CLASS_BERT] = {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
    [CLASS_XLM_ROBERTA] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
    [CLASS_DEBERTA_V2] = {"[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
    [CLASS_ROBERTA] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
    [CLASS_GPT2] = {END_OF_TEXT, END_OF_TEXT, END_OF_TEXT, NULL, NULL, NULL, NULL},
    [CLASS_QWEN2] = {NULL, END_OF_TEXT, END_OF_TEXT, NULL, END_OF_TEXT, NULL, NULL},
};

typedef struct applying {
    const cei_tokenizer_settings *settings;
    cei_tokenizer_spec *spec;
    ce_error *error;
    token_class class;
    json_t *decoder;              /* "added_tokens_decoder"; the older files are read only where there is none */
    cei_added_token roles[ROLES]; /* content is NULL for none */
} applying;

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
static ce_status find_name(applying *work, bool has_json, const char **name) {
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
    applying work = {.settings = settings};
    const char *name;
    if (find_name(&work, true, &name) != CE_OK || !name) return settings->config != NULL;
    const struct known_class *known = class_named(name);
    return known && known->class != CLASS_FILE;
}

static ce_status refuse_class(applying *work, const char *name, bool has_json) {
    return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: the tokenizer_class \"%.60s\" is not supported %s",
                    work->settings->config_path, name, has_json ? "by this build" : "without a tokenizer.json");
}

/* Where nothing names a class: that of the files. */
static void choose_class(applying *work, bool has_json) {
    static const token_class of_kind[] = {
        [CEI_MODEL_WORDPIECE] = CLASS_BERT, [CEI_MODEL_UNIGRAM] = CLASS_XLM_ROBERTA, [CEI_MODEL_BPE] = CLASS_ROBERTA};
    const bool as_it_is = has_json && (work->spec->kind == CEI_MODEL_BPE || !work->settings->config);
    work->class = as_it_is ? CLASS_FILE : of_kind[work->spec->kind];
    work->spec->with_type_ids = work->class == CLASS_BERT || !work->settings->config;
}

/* What a class makes itself is for its own kind of model. RoBERTa's class is named in published folders whose
 * tokenizer.json is of another kind (jina-reranker-v1); the reference once took those as they are, and now drops most
 * of their characters. They are taken as they are. */
static ce_status check_class(applying *work, const char *name, bool has_json) {
    const cei_tokenizer_spec *spec = work->spec;
    const bool bpe = spec->kind == CEI_MODEL_BPE;
    if (work->class == CLASS_XLM_ROBERTA || work->class == CLASS_DEBERTA_V2) return CE_OK; /* set_metaspace checks it */
    if (work->class == CLASS_FILE || work->class == CLASS_BERT)
        return !has_json && (bpe || work->class == CLASS_FILE) ? refuse_class(work, name, has_json) : CE_OK;
    if (!bpe) return refuse_class(work, name, has_json);
    if (!spec->splits.byte_level) work->class = CLASS_FILE;
    return CE_OK;
}

static ce_status find_class(applying *work, bool has_json) {
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
    work->class = known ? known->class : CLASS_FILE;
    work->spec->with_type_ids = known && known->with_type_ids;
    return check_class(work, name, has_json);
}

/* ---- plain settings ---- */

static ce_status read_max_length(applying *work) {
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

static ce_status check_left_truncation(applying *work) {
    const char *side = NULL, *path = work->settings->config_path;
    ce_status status = cei_json_string(work->settings->config, "truncation_side", path, &side, work->error);
    if (status != CE_OK || (side ? strcmp(side, "left") != 0 : !work->spec->left_truncation)) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED,
                    "%s: texts are to be cut on the left, which this build does not do",
                    side ? path : work->spec->path);
}

static ce_status check_split_special(applying *work) {
    bool split = false;
    const char *path = work->settings->config_path;
    ce_status status = cei_json_bool(work->settings->config, "split_special_tokens", path, &split, work->error);
    if (status != CE_OK || !split) return status;
    return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: split_special_tokens is not supported by this build", path);
}

static ce_status read_input_names(applying *work) {
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

static ce_status read_bert_normalizer(applying *work) {
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

/* ---- added tokens ---- */

/* {"101": {"content": "[CLS]", ...}, ...} */
static ce_status read_decoder(applying *work) {
    const char *path = work->settings->config_path;
    if (!json_is_object(work->decoder))
        return cei_fail(work->error, CE_ERR_FORMAT, "%s: \"added_tokens_decoder\" is not an object", path);
    if (work->class != CLASS_FILE) work->spec->added.count = 0;
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
        token.overrides = work->class == CLASS_FILE;
        if (status == CE_OK) status = cei_added_list_push(&work->spec->added, &token, work->error);
        if (status != CE_OK) return status;
    }
    cei_added_list_sort(&work->spec->added, before);
    return CE_OK;
}

/* added_tokens.json, of old models: {"<new>": 30522}. Those that have a role are special. */
static ce_status read_older_added(applying *work) {
    json_t *root = work->settings->added;
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at)) {
        const char *key = json_object_iter_key(at);
        cei_added_token token = {.content = key, .size = strlen(key), .fallback = true};
        for (size_t role = 0; role < ROLES; role++)
            if (work->roles[role].content && strcmp(work->roles[role].content, key) == 0) token.special = true;
        token.normalized = !token.special;
        ce_status status =
            cei_token_id_read(json_object_iter_value(at), key, work->settings->added_path, &token.id, work->error);
        if (status == CE_OK) status = cei_added_list_push(&work->spec->added, &token, work->error);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

/* null in tokenizer_config.json takes a role away from the byte-level classes. The others need all of theirs. */
static bool has_no_role(const applying *work, size_t role) {
    return work->class >= CLASS_ROBERTA && json_is_null(json_object_get(work->settings->config, role_keys[role]));
}

static ce_status read_roles(applying *work) {
    const cei_tokenizer_settings *settings = work->settings;
    ce_status status = CE_OK;
    for (size_t role = 0; role < ROLES && status == CE_OK; role++) {
        cei_added_token *token = &work->roles[role];
        const json_t *value = work->decoder ? NULL : present(settings->specials, role_keys[role]);
        const char *path = value ? settings->specials_path : settings->config_path;
        if (!value) value = present(settings->config, role_keys[role]);
        const char *usual = has_no_role(work, role) ? NULL : usual_roles[work->class][role];
        if (value)
            status = cei_added_json_read(value, true, path, token, work->error);
        else if (usual)
            *token = (cei_added_token){.content = usual, .size = strlen(usual)};
        token->special = token->fallback = true;
    }
    return status;
}

static ce_status push_special(applying *work, const json_t *value, const char *path) {
    cei_added_token token;
    ce_status status = cei_added_json_read(value, true, path, &token, work->error);
    token.special = token.fallback = true;
    return status == CE_OK ? cei_added_list_push(&work->spec->added, &token, work->error) : status;
}

/* Further roles that a model has, by keys like "image_token". */
static ce_status push_named_roles(applying *work, json_t *object, bool strings, bool objects, const char *path) {
    ce_status status = CE_OK;
    for (void *at = json_object_iter(object); at && status == CE_OK; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        size_t length = strlen(key);
        bool named = length > 6 && strcmp(key + length - 6, "_token") == 0;
        for (size_t role = 0; role < ROLES; role++) named = named && strcmp(key, role_keys[role]) != 0;
        if (named && ((strings && json_is_string(value)) || (objects && json_is_object(value))))
            status = push_special(work, value, path);
    }
    return status;
}

/* An object of extra special tokens: roles too, with names of any kind. */
static ce_status push_roles_of(applying *work, json_t *extras, const char *path) {
    ce_status status = CE_OK;
    for (void *at = json_object_iter(extras); at && status == CE_OK; at = json_object_iter_next(extras, at))
        status = push_special(work, json_object_iter_value(at), path);
    return status;
}

static ce_status push_model_roles(applying *work, json_t *specials, json_t *config_extras, json_t *map_extras) {
    const cei_tokenizer_settings *settings = work->settings;
    const char *config_path = settings->config_path, *map_path = settings->specials_path;
    ce_status status = push_named_roles(work, settings->config, false, true, config_path);
    if (status == CE_OK) status = push_named_roles(work, specials, true, true, map_path);
    if (status == CE_OK) status = push_named_roles(work, settings->config, true, false, config_path);
    if (status == CE_OK) status = push_roles_of(work, config_extras, config_path);
    return status == CE_OK ? push_roles_of(work, map_extras, map_path) : status;
}

static ce_status push_extras(applying *work, const json_t *extras, const char *path) {
    if (extras && !json_is_array(extras) && !json_is_object(extras) && !json_is_null(extras))
        return cei_fail(work->error, CE_ERR_FORMAT, "%s: the extra special tokens are neither a list nor an object",
                        path);
    ce_status status = CE_OK;
    for (size_t i = 0; i < json_array_size(extras) && status == CE_OK; i++)
        status = push_special(work, json_array_get(extras, i), path);
    return status;
}

/* "additional_special_tokens" is the older name of the list "extra_special_tokens". In tokenizer_config.json it counts
 * where the newer is empty, and in either file where there is no newer list at all. An object of extra special tokens
 * is no such list: it stands beside it, and in special_tokens_map.json it undoes that of tokenizer_config.json. Lists
 * of special_tokens_map.json come behind. */
static ce_status push_all_extras(applying *work) {
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
    if (!extras && !more && map_older)
        more = map_older;
    else if (!extras && !more)
        extras = config_older;
    ce_status status = push_model_roles(work, specials, config_extras, map_extras);
    if (status == CE_OK) status = push_extras(work, extras, settings->config_path);
    return status == CE_OK ? push_extras(work, more, settings->specials_path) : status;
}

/* The class for Qwen adds its special tokens once more, without any flags, which then count. */
static ce_status push_plainly(applying *work, size_t first) {
    ce_status status = CE_OK;
    for (size_t i = first, end = work->spec->added.count; i < end && status == CE_OK; i++) {
        cei_added_token token = {.content = work->spec->added.items[i].content, .id = -1, .special = true};
        token.size = work->spec->added.items[i].size;
        token.overrides = true;
        status = cei_added_list_push(&work->spec->added, &token, work->error);
    }
    return status;
}

static ce_status collect_added(applying *work) {
    ce_status status = read_roles(work);
    if (status == CE_OK) status = work->decoder ? read_decoder(work) : read_older_added(work);
    if (status == CE_OK && work->class != CLASS_FILE) cei_added_list_sort(&work->spec->added, 0);
    size_t first = work->spec->added.count;
    for (size_t role = 0; role < ROLES && status == CE_OK; role++)
        if (work->roles[role].content)
            status = cei_added_list_push(&work->spec->added, &work->roles[role], work->error);
    if (status == CE_OK) status = push_all_extras(work);
    return status == CE_OK && work->class == CLASS_QWEN2 ? push_plainly(work, first) : status;
}

/* ---- what the classes make themselves ---- */

static ce_status apply_bert(applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    if (spec->kind == CEI_MODEL_UNIGRAM)
        return cei_fail(work->error, CE_ERR_UNSUPPORTED, "%s: a tokenizer_class of BERT's with a model \"Unigram\"",
                        work->settings->config_path);
    spec->kind = CEI_MODEL_WORDPIECE;
    spec->splits = (cei_splits){.count = 0};
    spec->pre_tokenize = cei_pre_tokenize_bert;
    spec->wordpiece = (cei_wordpiece_options){work->roles[UNK].content, "##", 100};
    spec->cls = work->roles[CLS].content;
    spec->sep = work->roles[SEP].content;
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
static ce_status set_metaspace(applying *work, bool split_white, cei_prepend_scheme otherwise) {
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
static ce_status apply_xlm_roberta(applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    ce_status status = set_metaspace(work, true, CEI_PREPEND_NEVER);
    keep_charsmap(&spec->normalizer);
    spec->unigram.unknown = 3;
    spec->cls = work->roles[BOS].content;
    spec->sep = work->roles[EOS].content;
    spec->roberta_pairs = true;
    return status;
}

/* The steps of DeBERTa's class; its charsmap is not used. */
static ce_status set_deberta_steps(applying *work, bool lowercase) {
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
static ce_status find_deberta_unknown(applying *work) {
    cei_tokenizer_spec *spec = work->spec;
    const cei_added_token *role = &work->roles[UNK];
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
static ce_status apply_deberta(applying *work) {
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
    work->spec->cls = work->roles[CLS].content;
    work->spec->sep = work->roles[SEP].content;
    return status;
}

/* Without a tokenizer.json, beginnings and ends would have to be put into a template that is not there. */
static ce_status check_template(applying *work, bool has_json) {
    const char *const keys[] = {"add_bos_token", "add_eos_token"};
    for (size_t i = 0; i < 2 && !has_json && work->class != CLASS_ROBERTA; i++) {
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

static ce_status apply_byte_level(applying *work, bool has_json) {
    cei_tokenizer_spec *spec = work->spec;
    bool qwen = work->class == CLASS_QWEN2, prefix_space = false;
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
    if (work->class == CLASS_ROBERTA) {
        spec->roberta_pairs = true;
        spec->cls = work->roles[CLS].content;
        spec->sep = work->roles[SEP].content;
    } else if (!has_json) {
        spec->pair = (cei_pair_template){.items = {{CEI_PAIR_QUERY, 0, 0}, {CEI_PAIR_DOCUMENT, 0, 1}}, .count = 2};
        spec->single = (cei_pair_template){.items = {{CEI_PAIR_QUERY, 0, 0}}, .count = 1};
    }
    return status;
}

ce_status cei_tokenizer_config_apply(const cei_tokenizer_settings *settings, bool has_json, cei_tokenizer_spec *spec,
                                     ce_error *error) {
    applying work = {.settings = settings, .spec = spec, .error = error};
    json_t *decoder = json_object_get(settings->config, "added_tokens_decoder");
    work.decoder = json_is_null(decoder) ? NULL : decoder;
    ce_status status = find_class(&work, has_json);
    if (status == CE_OK) status = read_max_length(&work);
    if (status == CE_OK) status = check_left_truncation(&work);
    if (status == CE_OK) status = check_split_special(&work);
    if (status == CE_OK) status = read_input_names(&work);
    if (status == CE_OK) status = collect_added(&work);
    if (status != CE_OK || work.class == CLASS_FILE) return status;
    if (work.class == CLASS_BERT) return apply_bert(&work);
    if (work.class == CLASS_XLM_ROBERTA) return apply_xlm_roberta(&work);
    return work.class == CLASS_DEBERTA_V2 ? apply_deberta(&work) : apply_byte_level(&work, has_json);
}
