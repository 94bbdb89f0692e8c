/* tokenizer_json.c - reads tokenizer.json, the file of the Hugging Face library tokenizers.
 *
 * Its sections "truncation" and "padding" are what its author last worked with: how long a pair may be is decided by
 * tokenizer_config.json. What a component does not know it refuses by name, as guessing would change results. */
#include "base/error.h"
#include "text/sentencepiece_json.h"
#include "text/spec.h"

static ce_status unsupported(const cei_tokenizer_spec *spec, const char *component, const char *type, ce_error *error) {
    return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the %s \"%.60s\" is not supported by this build", spec->path,
                    component, type);
}

static ce_status malformed(const cei_tokenizer_spec *spec, const char *what, ce_error *error) {
    return cei_fail(error, CE_ERR_FORMAT, "%s: %s", spec->path, what);
}

ce_status cei_component_type(const json_t *component, const char *name, const cei_tokenizer_spec *spec,
                             const char **type, ce_error *error) {
    *type = NULL;
    if (!json_is_object(component))
        return cei_fail(error, CE_ERR_FORMAT, "%s: \"%s\" is not an object", spec->path, name);
    ce_status status = cei_json_string(component, "type", spec->path, type, error);
    if (status == CE_OK && !*type)
        return cei_fail(error, CE_ERR_FORMAT, "%s: \"%s\" lacks its \"type\"", spec->path, name);
    return status;
}

/* ---- normalizer ---- */

static ce_status read_bert_normalizer(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    cei_bert_options options = {true, true, false, true};
    ce_status status = cei_json_bool(object, "clean_text", spec->path, &options.clean_text, error);
    if (status == CE_OK)
        status = cei_json_bool(object, "handle_chinese_chars", spec->path, &options.handle_chinese_chars, error);
    if (status == CE_OK) status = cei_json_bool(object, "lowercase", spec->path, &options.lowercase, error);
    options.strip_accents = options.lowercase;
    if (status == CE_OK) status = cei_json_bool(object, "strip_accents", spec->path, &options.strip_accents, error);
    spec->normalizer.steps[spec->normalizer.count++] = cei_normalizer_bert(options);
    return status;
}

static ce_status read_normalizer(const json_t *object, cei_tokenizer_spec *spec, ce_error *error);

static ce_status read_normalizer_sequence(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    const json_t *steps = json_object_get(object, "normalizers"), *step;
    if (!json_is_array(steps)) return malformed(spec, "the normalizer \"Sequence\" lacks \"normalizers\"", error);
    size_t i;
    ce_status status = CE_OK;
    json_array_foreach(steps, i, step) {
        status = read_normalizer(step, spec, error);
        if (status != CE_OK) break;
    }
    return status;
}

static ce_status read_normalizer(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    static const struct {
        const char *type;
        cei_normalizer_kind kind;
    } simple[] = {{"NFD", CEI_NORMALIZER_NFD},
                  {"NFC", CEI_NORMALIZER_NFC},
                  {"NFKD", CEI_NORMALIZER_NFKD},
                  {"NFKC", CEI_NORMALIZER_NFKC},
                  {"Lowercase", CEI_NORMALIZER_LOWERCASE},
                  {"StripAccents", CEI_NORMALIZER_STRIP_ACCENTS}};
    const char *type;
    ce_status status = cei_component_type(object, "normalizer", spec, &type, error);
    if (status != CE_OK) return status;
    if (strcmp(type, "Sequence") == 0) return read_normalizer_sequence(object, spec, error);
    if (spec->normalizer.count == CEI_NORMALIZER_MAX_STEPS)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the normalizer has more than %d steps", spec->path,
                        CEI_NORMALIZER_MAX_STEPS);
    if (strcmp(type, "BertNormalizer") == 0) return read_bert_normalizer(object, spec, error);
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++) {
        if (strcmp(type, simple[i].type) != 0) continue;
        spec->normalizer.steps[spec->normalizer.count++] = (cei_normalizer_step){.kind = simple[i].kind};
        return CE_OK;
    }
    bool known;
    cei_normalizer_step step;
    status = cei_step_json_read(object, type, spec, &known, &step, error);
    if (known) spec->normalizer.steps[spec->normalizer.count++] = step;
    return known ? status : unsupported(spec, "normalizer", type, error);
}

/* ---- model ---- */

static ce_status check_ids_differ(const cei_tokenizer_spec *spec, ce_error *error) {
    const cei_vocabulary *vocabulary = &spec->vocabulary;
    uint8_t *seen = cei_alloc_zeroed((size_t)vocabulary->largest_id + 1, 1);
    if (!seen) return cei_fail_memory(error, "checking the vocabulary", (size_t)vocabulary->largest_id);
    ce_status status = CE_OK;
    for (size_t i = 0; i < vocabulary->slot_count && status == CE_OK; i++) {
        const cei_vocabulary_slot *slot = &vocabulary->slots[i];
        if (slot->id < 0) continue;
        if (seen[slot->id])
            status = cei_fail(error, CE_ERR_FORMAT, "%s: two tokens of the vocabulary have id %d, \"%.*s\" is one",
                              spec->path, (int)slot->id, (int)(slot->size < 60 ? slot->size : 60),
                              vocabulary->bytes.data + slot->offset);
        seen[slot->id] = 1;
    }
    cei_free(seen);
    return status;
}

static ce_status read_tokens(json_t *tokens, cei_tokenizer_spec *spec, ce_error *error) {
    if (!cei_vocabulary_create(&spec->vocabulary, json_object_size(tokens)))
        return cei_fail_memory(error, "the vocabulary", 0);
    for (void *at = json_object_iter(tokens); at; at = json_object_iter_next(tokens, at)) {
        const char *token = json_object_iter_key(at);
        int32_t id;
        ce_status status = cei_token_id_read(json_object_iter_value(at), token, spec->path, &id, error);
        if (status != CE_OK) return status;
        if (!cei_vocabulary_add(&spec->vocabulary, token, strlen(token), id))
            return cei_fail_memory(error, "the vocabulary", 0);
    }
    return CE_OK;
}

ce_status cei_vocabulary_json_read(json_t *tokens, cei_tokenizer_spec *spec, ce_error *error) {
    /* Of unigram there are scores if the quick reader met an array. */
    if ((!spec->vocabulary.slots && !json_is_object(tokens)) || spec->unigram.count > 0)
        return malformed(spec, "the model's \"vocab\" is not an object", error);
    ce_status status = spec->vocabulary.slots ? CE_OK : read_tokens(tokens, spec, error);
    return status == CE_OK ? check_ids_differ(spec, error) : status;
}

/* Old files don't name the model's type: BPE is known by its merges, WordPiece by its prefix. */
static ce_status read_model_type(const json_t *model, cei_tokenizer_spec *spec, ce_error *error) {
    static const char *const types[] = {
        [CEI_MODEL_WORDPIECE] = "WordPiece", [CEI_MODEL_UNIGRAM] = "Unigram", [CEI_MODEL_BPE] = "BPE"};
    const char *type = NULL;
    ce_status status = cei_json_string(model, "type", spec->path, &type, error);
    if (status != CE_OK) return status;
    if (!type && json_object_get(model, "merges")) type = "BPE";
    if (!type && json_object_get(model, "continuing_subword_prefix")) type = "WordPiece";
    if (!type) return malformed(spec, "the \"model\" lacks its \"type\"", error);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        spec->kind = (cei_model_kind)i;
        if (strcmp(type, types[i]) == 0) return CE_OK;
    }
    return unsupported(spec, "model", type, error);
}

static ce_status read_wordpiece(const json_t *model, cei_tokenizer_spec *spec, ce_error *error) {
    ce_status status = cei_json_string(model, "unk_token", spec->path, &spec->wordpiece.unknown, error);
    if (status == CE_OK)
        status = cei_json_string(model, "continuing_subword_prefix", spec->path, &spec->wordpiece.prefix, error);
    if (status == CE_OK)
        status = cei_json_size(model, "max_input_chars_per_word", 0, SIZE_MAX, spec->path,
                               &spec->wordpiece.max_characters, error);
    return status;
}

static ce_status read_model(const json_t *model, cei_tokenizer_spec *spec, ce_error *error) {
    if (!json_is_object(model)) return malformed(spec, "\"model\" is missing or not an object", error);
    ce_status status = read_model_type(model, spec, error);
    if (status == CE_OK && spec->kind == CEI_MODEL_UNIGRAM) return cei_unigram_json_read(model, spec, error);
    if (status == CE_OK)
        status =
            spec->kind == CEI_MODEL_BPE ? cei_bpe_json_read(model, spec, error) : read_wordpiece(model, spec, error);
    return status == CE_OK ? cei_vocabulary_json_read(json_object_get(model, "vocab"), spec, error) : status;
}

/* ---- added tokens ---- */

static ce_status check_added_ids_differ(const cei_tokenizer_spec *spec, ce_error *error) {
    ce_status status = CE_OK;
    uint8_t *seen = cei_alloc_zeroed(CEI_TOKEN_ID_LIMIT / 8, 1);
    if (!seen) return cei_fail_memory(error, "checking the added tokens", CEI_TOKEN_ID_LIMIT / 8);
    for (size_t i = 0; i < spec->added.count && status == CE_OK; i++) {
        uint32_t id = (uint32_t)spec->added.items[i].id;
        uint8_t bit = (uint8_t)(1u << id % 8);
        if (seen[id / 8] & bit)
            status = cei_fail(error, CE_ERR_FORMAT, "%s: two added tokens have id %u, \"%.60s\" is one", spec->path, id,
                              spec->added.items[i].content);
        seen[id / 8] |= bit;
    }
    cei_free(seen);
    return status;
}

static ce_status read_added_tokens(const json_t *list, cei_tokenizer_spec *spec, ce_error *error) {
    if (!list || json_is_null(list)) return CE_OK;
    if (!json_is_array(list)) return malformed(spec, "\"added_tokens\" is not an array", error);
    size_t i;
    const json_t *item;
    ce_status status = CE_OK;
    json_array_foreach(list, i, item) {
        cei_added_token token;
        if (!json_is_object(item)) return malformed(spec, "an item of \"added_tokens\" is not an object", error);
        status = cei_added_json_read(item, false, spec->path, &token, error);
        if (status == CE_OK)
            status = cei_token_id_read(json_object_get(item, "id"), token.content, spec->path, &token.id, error);
        if (status == CE_OK) status = cei_added_list_push(&spec->added, &token, error);
        if (status != CE_OK) return status;
    }
    return check_added_ids_differ(spec, error);
}

/* ---- post-processor ---- */

/* One of a post-processor's templates, being read. */
typedef struct template_reader {
    const cei_tokenizer_spec *spec;
    const json_t *specials;
    cei_pair_template *to;
    ce_error *error;
} template_reader;

static ce_status push_item(const template_reader *in, cei_pair_item item) {
    if (in->to->count == CEI_PAIR_MAX_ITEMS)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: the post_processor's template has more than %d items",
                        in->spec->path, CEI_PAIR_MAX_ITEMS);
    in->to->items[in->to->count++] = item;
    return CE_OK;
}

/* A special token of the template, which may stand for several ids. */
static ce_status read_template_special(const template_reader *in, const json_t *item, int32_t type_id) {
    const char *name = NULL, *path = in->spec->path;
    ce_status status = cei_json_string(item, "id", path, &name, in->error);
    if (status != CE_OK) return status;
    const json_t *ids = name ? json_object_get(json_object_get(in->specials, name), "ids") : NULL, *value;
    if (!json_is_array(ids))
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: the template's special token \"%.60s\" has no \"ids\"", path,
                        name ? name : "");
    size_t i;
    json_array_foreach(ids, i, value) {
        cei_pair_item special = {CEI_PAIR_SPECIAL, 0, type_id};
        status = cei_token_id_read(value, name, path, &special.id, in->error);
        if (status == CE_OK) status = push_item(in, special);
        if (status != CE_OK) break;
    }
    return status;
}

static ce_status read_template_item(const template_reader *in, const json_t *item) {
    const json_t *sequence = json_object_get(item, "Sequence"), *special = json_object_get(item, "SpecialToken");
    const json_t *inner = sequence ? sequence : special;
    if (!json_is_object(inner))
        return malformed(in->spec, "the template has an item that is not understood", in->error);
    size_t type_id = 0;
    ce_status status = cei_json_size(inner, "type_id", 0, INT32_MAX, in->spec->path, &type_id, in->error);
    if (status != CE_OK) return status;
    if (special) return read_template_special(in, special, (int32_t)type_id);
    const char *name = NULL;
    status = cei_json_string(sequence, "id", in->spec->path, &name, in->error);
    if (status != CE_OK) return status;
    if (!name || (strcmp(name, "A") != 0 && strcmp(name, "B") != 0))
        return malformed(in->spec, "the template has a \"Sequence\" that is neither \"A\" nor \"B\"", in->error);
    cei_pair_item text = {*name == 'A' ? CEI_PAIR_QUERY : CEI_PAIR_DOCUMENT, 0, (int32_t)type_id};
    return push_item(in, text);
}

/* Are A, and B where there are two texts, each there once, and B nowhere else? */
static bool has_texts(const cei_pair_template *texts, size_t documents) {
    size_t seen[3] = {0};
    for (size_t i = 0; i < texts->count; i++) seen[texts->items[i].kind]++;
    return seen[CEI_PAIR_QUERY] == 1 && seen[CEI_PAIR_DOCUMENT] == documents;
}

static ce_status read_items(const template_reader *in, const json_t *items) {
    const json_t *item;
    size_t i;
    json_array_foreach(items, i, item) {
        ce_status status = read_template_item(in, item);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

/* One of the two templates, named key; documents says how many second texts it has. */
static ce_status read_texts(const json_t *object, const char *key, size_t documents, cei_tokenizer_spec *spec,
                            cei_pair_template *to, ce_error *error) {
    const json_t *items = json_object_get(object, key);
    if (!json_is_array(items))
        return cei_fail(error, CE_ERR_FORMAT, "%s: the \"TemplateProcessing\" lacks its array \"%s\"", spec->path, key);
    const template_reader in = {spec, json_object_get(object, "special_tokens"), to, error};
    ce_status status = read_items(&in, items);
    if (status != CE_OK || has_texts(to, documents)) return status;
    return malformed(spec,
                     documents ? "the template for pairs must have \"A\" and \"B\" once each"
                               : "the template for one text must have \"A\" once, and no \"B\"",
                     error);
}

static ce_status read_template(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    ce_status status = read_texts(object, "pair", 1, spec, &spec->pair, error);
    return status == CE_OK ? read_texts(object, "single", 0, spec, &spec->single, error) : status;
}

/* ["[SEP]", 102] */
static ce_status read_bert_special(const json_t *object, const char *key, const cei_tokenizer_spec *spec, int32_t *id,
                                   ce_error *error) {
    const json_t *pair = json_object_get(object, key);
    if (!json_is_array(pair) || json_array_size(pair) != 2)
        return cei_fail(error, CE_ERR_FORMAT, "%s: the post_processor's \"%s\" must be [token, id]", spec->path, key);
    return cei_token_id_read(json_array_get(pair, 1), key, spec->path, id, error);
}

/* One post-processor that puts special tokens in place. */
static ce_status read_placing(const json_t *object, const char *type, cei_tokenizer_spec *spec, ce_error *error) {
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(object, spec, error);
    bool bert = strcmp(type, "BertProcessing") == 0;
    if (!bert && strcmp(type, "RobertaProcessing") != 0) return unsupported(spec, "post_processor", type, error);
    int32_t cls = 0, sep = 0;
    ce_status status = read_bert_special(object, "cls", spec, &cls, error);
    if (status == CE_OK) status = read_bert_special(object, "sep", spec, &sep, error);
    spec->pair = bert ? cei_pair_bert(cls, sep) : cei_pair_roberta(cls, sep);
    spec->single = cei_single_bert(cls, sep);
    return status;
}

static ce_status read_step(const json_t *object, bool *placed, cei_tokenizer_spec *spec, ce_error *error) {
    const char *type;
    ce_status status = cei_component_type(object, "post_processor", spec, &type, error);
    if (status != CE_OK || strcmp(type, "ByteLevel") == 0) return status; /* ByteLevel changes offsets alone */
    if (*placed)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the post_processor \"%.60s\" behind another is not supported",
                        spec->path, type);
    *placed = true;
    spec->pair.count = spec->single.count = 0;
    return read_placing(object, type, spec, error);
}

static ce_status read_post_processor(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    bool placed = false;
    const char *type;
    spec->pair = (cei_pair_template){.items = {{CEI_PAIR_QUERY, 0, 0}, {CEI_PAIR_DOCUMENT, 0, 1}}, .count = 2};
    spec->single = (cei_pair_template){.items = {{CEI_PAIR_QUERY, 0, 0}}, .count = 1};
    if (!object || json_is_null(object)) return CE_OK;
    ce_status status = cei_component_type(object, "post_processor", spec, &type, error);
    if (status != CE_OK || strcmp(type, "Sequence") != 0)
        return status == CE_OK ? read_step(object, &placed, spec, error) : status;
    const json_t *steps = json_object_get(object, "processors");
    if (!json_is_array(steps)) return malformed(spec, "the post_processor \"Sequence\" lacks \"processors\"", error);
    for (size_t i = 0; i < json_array_size(steps) && status == CE_OK; i++)
        status = read_step(json_array_get(steps, i), &placed, spec, error);
    return status;
}

ce_status cei_tokenizer_json_read(const json_t *root, cei_tokenizer_spec *spec, ce_error *error) {
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *truncation = json_object_get(root, "truncation");
    const char *direction = NULL;
    ce_status status = read_model(json_object_get(root, "model"), spec, error);
    if (status == CE_OK && normalizer && !json_is_null(normalizer)) status = read_normalizer(normalizer, spec, error);
    if (status == CE_OK) status = cei_split_json_read(json_object_get(root, "pre_tokenizer"), spec, error);
    if (status == CE_OK) status = read_added_tokens(json_object_get(root, "added_tokens"), spec, error);
    if (status == CE_OK) status = read_post_processor(json_object_get(root, "post_processor"), spec, error);
    if (status == CE_OK && truncation && !json_is_null(truncation))
        status = cei_json_string(truncation, "direction", spec->path, &direction, error);
    spec->left_truncation = direction && strcmp(direction, "Left") == 0;
    return status;
}
