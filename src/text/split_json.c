/* split_json.c - the pre_tokenizer of a tokenizer.json. What is not known is refused by name. */
#include "base/error.h"
#include "text/sentencepiece_json.h"

static ce_status unsupported(const cei_tokenizer_spec *spec, const char *type, ce_error *error) {
    return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the pre_tokenizer \"%.60s\" is not supported by this build",
                    spec->path, type);
}

static ce_status push_step(cei_tokenizer_spec *spec, cei_split step, ce_error *error) {
    cei_splits *splits = &spec->splits;
    if (splits->byte_level)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: a pre_tokenizer behind \"ByteLevel\" is not supported",
                        spec->path);
    if (splits->count == CEI_MAX_SPLITS)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the pre_tokenizer has more than %d steps", spec->path,
                        CEI_MAX_SPLITS);
    splits->steps[splits->count++] = step;
    return CE_OK;
}

/* A step that would cut nothing is left out where there are others. */
static ce_status read_byte_level(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    bool prefix_space = true, use_regex = true;
    ce_status status = cei_json_bool(object, "add_prefix_space", spec->path, &prefix_space, error);
    if (status == CE_OK) status = cei_json_bool(object, "use_regex", spec->path, &use_regex, error);
    if (status != CE_OK) return status;
    const cei_split step = {use_regex ? CEI_SPLIT_GPT2 : CEI_SPLIT_NOTHING, 0, prefix_space};
    if (use_regex || prefix_space || spec->splits.count == 0) status = push_step(spec, step, error);
    spec->splits.byte_level = true;
    return status;
}

/* The known expressions match all of a text: their matches are the pieces, whichever way that is written. */
static ce_status check_behavior(const json_t *object, const cei_tokenizer_spec *spec, ce_error *error) {
    bool invert = false;
    const char *behavior = "";
    ce_status status = cei_json_bool(object, "invert", spec->path, &invert, error);
    if (status == CE_OK) status = cei_json_string(object, "behavior", spec->path, &behavior, error);
    if (status != CE_OK || strcmp(behavior, "Isolated") == 0) return status;
    if (invert && strcmp(behavior, "Removed") == 0) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s: the pre_tokenizer \"Split\" with the behavior \"%.60s\"%s is not supported by this build",
                    spec->path, behavior, invert ? ", inverted," : "");
}

/* Gemma's files cut behind each blank. */
static bool is_behind_blanks(const json_t *object, const json_t *pattern) {
    const char *text = json_string_value(json_object_get(pattern, "String"));
    const char *behavior = json_string_value(json_object_get(object, "behavior"));
    return text && strcmp(text, " ") == 0 && behavior && strcmp(behavior, "MergedWithPrevious") == 0 &&
           !json_is_true(json_object_get(object, "invert"));
}

static ce_status read_split(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    const json_t *pattern = json_object_get(object, "pattern");
    const char *text = NULL;
    cei_split step;
    if (!json_is_object(pattern))
        return cei_fail(error, CE_ERR_FORMAT, "%s: the pre_tokenizer \"Split\" lacks its \"pattern\"", spec->path);
    if (is_behind_blanks(object, pattern)) return push_step(spec, (cei_split){CEI_SPLIT_BLANKS, 0, false}, error);
    ce_status status = cei_json_string(pattern, "Regex", spec->path, &text, error);
    if (status != CE_OK) return status;
    if (!text || !cei_split_find_regex(text, &step))
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: the pattern of the pre_tokenizer \"Split\" is not one that this build knows: %.160s",
                        spec->path, text ? text : "a string");
    status = check_behavior(object, spec, error);
    return status == CE_OK ? push_step(spec, step, error) : status;
}

static ce_status read_digits(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    bool apart = false;
    ce_status status = cei_json_bool(object, "individual_digits", spec->path, &apart, error);
    const cei_split step = {apart ? CEI_SPLIT_DIGITS : CEI_SPLIT_DIGIT_RUNS, 0, false};
    return status == CE_OK ? push_step(spec, step, error) : status;
}

static ce_status read_step(const json_t *object, size_t depth, cei_tokenizer_spec *spec, ce_error *error) {
    const char *type;
    ce_status status = cei_component_type(object, "pre_tokenizer", spec, &type, error);
    if (status != CE_OK) return status;
    if (strcmp(type, "ByteLevel") == 0) return read_byte_level(object, spec, error);
    if (strcmp(type, "Split") == 0) return read_split(object, spec, error);
    if (strcmp(type, "Digits") == 0) return read_digits(object, spec, error);
    if (strcmp(type, "Whitespace") == 0) return push_step(spec, (cei_split){CEI_SPLIT_WHITESPACE, 0, false}, error);
    if (strcmp(type, "Sequence") != 0 || depth == CEI_MAX_SPLITS) return unsupported(spec, type, error);
    const json_t *steps = json_object_get(object, "pretokenizers");
    if (json_array_size(steps) == 0)
        return cei_fail(error, CE_ERR_FORMAT, "%s: the pre_tokenizer \"Sequence\" lacks its \"pretokenizers\"",
                        spec->path);
    for (size_t i = 0; i < json_array_size(steps) && status == CE_OK; i++)
        status = read_step(json_array_get(steps, i), depth + 1, spec, error);
    return status;
}

static bool has_type(const json_t *object, const char *type) {
    const char *found = json_string_value(json_object_get(object, "type"));
    return found && strcmp(found, type) == 0;
}

/* Is it one of SentencePiece's, or a sequence with one? */
static bool is_metaspace(const json_t *object) {
    if (has_type(object, "Metaspace") || has_type(object, "WhitespaceSplit")) return true;
    const json_t *steps = has_type(object, "Sequence") ? json_object_get(object, "pretokenizers") : NULL;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        if (has_type(step, "Metaspace") || has_type(step, "WhitespaceSplit")) return true;
    }
    return false;
}

ce_status cei_split_json_read(const json_t *object, cei_tokenizer_spec *spec, ce_error *error) {
    if (!object || json_is_null(object)) return CE_OK; /* a stretch of text is one word */
    const char *type;
    ce_status status = cei_component_type(object, "pre_tokenizer", spec, &type, error);
    if (status != CE_OK) return status;
    if (is_metaspace(object)) return cei_metaspace_json_read(object, type, spec, &spec->metaspace, error);
    spec->pre_tokenize = cei_pre_tokenize_bert;
    return strcmp(type, "BertPreTokenizer") == 0 ? CE_OK : read_step(object, 0, spec, error);
}
