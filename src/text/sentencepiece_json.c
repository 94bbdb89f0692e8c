/* sentencepiece_json.c - normalizer steps, pre-tokenizers and the model of tokenizers that were SentencePiece's. */
#include "text/sentencepiece_json.h"

#include "base/error.h"
#include "text/charsmap.h"
#include "text/text_steps.h"
#include "text/utf8.h"

static ce_status lacks(const cei_tokenizer_spec *spec, const char *component, const char *key, ce_error *error) {
    return cei_fail(error, CE_ERR_FORMAT, "%s: the %s lacks its \"%s\"", spec->path, component, key);
}

/* ---- normalizer ---- */

static ce_status copy_string(const json_t *value, const cei_tokenizer_spec *spec, const char *component,
                             const char *key, char **out, size_t *size, ce_error *error) {
    if (!json_is_string(value)) return lacks(spec, component, key, error);
    *size = json_string_length(value);
    *out = cei_copy_string(json_string_value(value), *size);
    return *out ? CE_OK : cei_fail_memory(error, "a step of the normalizer", *size);
}

static ce_status read_charsmap(const json_t *object, const cei_tokenizer_spec *spec, cei_normalizer_step *step,
                               ce_error *error) {
    const json_t *text = json_object_get(object, "precompiled_charsmap");
    step->kind = CEI_NORMALIZER_CHARSMAP;
    if (!json_is_string(text)) return lacks(spec, "normalizer \"Precompiled\"", "precompiled_charsmap", error);
    return cei_charsmap_create(json_string_value(text), json_string_length(text), spec->path, &step->charsmap, error);
}

static ce_status read_replace(const json_t *object, const cei_tokenizer_spec *spec, cei_normalizer_step *step,
                              ce_error *error) {
    static const char name[] = "normalizer \"Replace\"";
    const json_t *pattern = json_object_get(object, "pattern"), *string = json_object_get(pattern, "String");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    step->kind = CEI_NORMALIZER_REPLACE;
    ce_status status = copy_string(json_object_get(object, "content"), spec, name, "content", &step->content,
                                   &step->content_size, error);
    if (status != CE_OK) return status;
    cei_replace_pattern found = CEI_REPLACE_STRING;
    bool known = regex ? cei_replace_find_pattern(regex, &found) : string && json_string_length(string) > 0;
    step->replace = (int)found;
    if (!known && !regex && !json_is_string(string)) return lacks(spec, name, "pattern", error);
    if (!known)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the pattern \"%.60s\" of the %s is not supported by this build",
                        spec->path, regex ? regex : "", name);
    return regex ? CE_OK : copy_string(string, spec, name, "pattern", &step->pattern, &step->pattern_size, error);
}

static ce_status read_strip(const json_t *object, const cei_tokenizer_spec *spec, cei_normalizer_step *step,
                            ce_error *error) {
    step->kind = CEI_NORMALIZER_STRIP;
    ce_status status = cei_json_bool(object, "strip_left", spec->path, &step->strip_left, error);
    return status == CE_OK ? cei_json_bool(object, "strip_right", spec->path, &step->strip_right, error) : status;
}

ce_status cei_step_json_read(const json_t *object, const char *type, const cei_tokenizer_spec *spec, bool *known,
                             cei_normalizer_step *step, ce_error *error) {
    *step = (cei_normalizer_step){.kind = CEI_NORMALIZER_NMT};
    *known = true;
    if (strcmp(type, "Precompiled") == 0) return read_charsmap(object, spec, step, error);
    if (strcmp(type, "Replace") == 0) return read_replace(object, spec, step, error);
    if (strcmp(type, "Strip") == 0) return read_strip(object, spec, step, error);
    step->kind = strcmp(type, "Prepend") == 0 ? CEI_NORMALIZER_PREPEND : CEI_NORMALIZER_NMT;
    *known = step->kind == CEI_NORMALIZER_PREPEND || strcmp(type, "Nmt") == 0;
    if (step->kind != CEI_NORMALIZER_PREPEND) return CE_OK;
    return copy_string(json_object_get(object, "prepend"), spec, "normalizer \"Prepend\"", "prepend", &step->content,
                       &step->content_size, error);
}

/* ---- pre-tokenizers ---- */

static ce_status read_replacement(const json_t *object, const cei_tokenizer_spec *spec, cei_metaspace *metaspace,
                                  ce_error *error) {
    const json_t *value = json_object_get(object, "replacement");
    const char *text = json_string_value(value);
    size_t size = json_string_length(value), end = 0;
    if (size > 0) cei_utf8_next(text, &end);
    if (size == 0 || end != size)
        return cei_fail(error, CE_ERR_FORMAT,
                        "%s: the \"replacement\" of the pre_tokenizer \"Metaspace\" is not one"
                        " character",
                        spec->path);
    memcpy(metaspace->replacement, text, size);
    metaspace->replacement_size = size;
    return CE_OK;
}

static ce_status read_scheme(const json_t *object, const cei_tokenizer_spec *spec, cei_metaspace *metaspace,
                             ce_error *error) {
    static const char *const names[] = {"never", "first", "always"};
    const char *scheme = "always";
    bool older = true;
    ce_status status = cei_json_string(object, "prepend_scheme", spec->path, &scheme, error);
    if (status == CE_OK) status = cei_json_bool(object, "add_prefix_space", spec->path, &older, error);
    if (status != CE_OK) return status;
    /* The older name may say no only if the newer does, which has to be there then. */
    for (int i = 0; i < 3; i++) {
        if (strcmp(scheme, names[i]) != 0 || (!older && i > 0)) continue;
        metaspace->prepend = (cei_prepend_scheme)i;
        return CE_OK;
    }
    return cei_fail(error, CE_ERR_FORMAT, "%s: the pre_tokenizer \"Metaspace\" has the prepend_scheme \"%.60s\"%s",
                    spec->path, scheme, older ? "" : ", but its add_prefix_space is false");
}

static ce_status read_metaspace(const json_t *object, const cei_tokenizer_spec *spec, cei_metaspace *metaspace,
                                ce_error *error) {
    metaspace->mark = metaspace->split = true;
    ce_status status = read_replacement(object, spec, metaspace, error);
    if (status == CE_OK) status = read_scheme(object, spec, metaspace, error);
    return status == CE_OK ? cei_json_bool(object, "split", spec->path, &metaspace->split, error) : status;
}

static ce_status read_sequence(const json_t *object, const cei_tokenizer_spec *spec, cei_metaspace *metaspace,
                               ce_error *error) {
    const json_t *parts = json_object_get(object, "pretokenizers"), *part;
    size_t i;
    json_array_foreach(parts, i, part) {
        const char *type;
        ce_status status = cei_component_type(part, "pre_tokenizer", spec, &type, error);
        if (status != CE_OK) return status;
        bool white = strcmp(type, "WhitespaceSplit") == 0;
        /* White space is looked for in what is not marked yet, and marks are made once. */
        if (metaspace->mark || (!white && strcmp(type, "Metaspace") != 0))
            return cei_fail(error, CE_ERR_UNSUPPORTED,
                            "%s: the pre_tokenizer \"%.60s\" in this place of a \"Sequence\" is not supported by this"
                            " build",
                            spec->path, type);
        status = cei_metaspace_json_read(part, type, spec, metaspace, error);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

ce_status cei_metaspace_json_read(const json_t *object, const char *type, const cei_tokenizer_spec *spec,
                                  cei_metaspace *metaspace, ce_error *error) {
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(object, spec, metaspace, error);
    if (strcmp(type, "Sequence") == 0) return read_sequence(object, spec, metaspace, error);
    metaspace->split_white = true;
    return CE_OK;
}

/* ---- model ---- */

bool cei_unigram_push(cei_unigram_options *unigram, double score) {
    void *scores = unigram->scores;
    bool grown = cei_grow(&scores, &unigram->capacity, unigram->count + 1, sizeof *unigram->scores);
    unigram->scores = scores;
    if (grown) unigram->scores[unigram->count++] = score;
    return grown;
}

static ce_status read_piece(const json_t *item, cei_tokenizer_spec *spec, ce_error *error) {
    const json_t *piece = json_array_get(item, 0), *score = json_array_get(item, 1);
    const size_t id = spec->unigram.count;
    if (json_array_size(item) != 2 || !json_is_string(piece) || !json_is_number(score))
        return cei_fail(error, CE_ERR_FORMAT, "%s: piece %zu of the \"vocab\" is not [string, number]", spec->path, id);
    if (id >= CEI_TOKEN_ID_LIMIT)
        return cei_fail(error, CE_ERR_FORMAT, "%s: the \"vocab\" has more than %d pieces", spec->path,
                        CEI_TOKEN_ID_LIMIT);
    bool added =
        cei_vocabulary_add(&spec->vocabulary, json_string_value(piece), json_string_length(piece), (int32_t)id);
    return added && cei_unigram_push(&spec->unigram, json_number_value(score))
               ? CE_OK
               : cei_fail_memory(error, "the vocabulary", 0);
}

static ce_status read_pieces(const json_t *pieces, cei_tokenizer_spec *spec, ce_error *error) {
    if (!json_is_array(pieces))
        return cei_fail(error, CE_ERR_FORMAT, "%s: the model's \"vocab\" is not an array", spec->path);
    if (spec->vocabulary.slots) return CE_OK;
    if (!cei_vocabulary_create(&spec->vocabulary, json_array_size(pieces)))
        return cei_fail_memory(error, "the vocabulary", 0);
    const json_t *item;
    size_t i;
    json_array_foreach(pieces, i, item) {
        ce_status status = read_piece(item, spec, error);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

ce_status cei_unigram_json_read(const json_t *model, cei_tokenizer_spec *spec, ce_error *error) {
    spec->unigram.unknown = SIZE_MAX;
    ce_status status = read_pieces(json_object_get(model, "vocab"), spec, error);
    if (status == CE_OK)
        status = cei_json_size(model, "unk_id", 0, SIZE_MAX, spec->path, &spec->unigram.unknown, error);
    return status == CE_OK ? cei_json_bool(model, "byte_fallback", spec->path, &spec->unigram.byte_fallback, error)
                           : status;
}
