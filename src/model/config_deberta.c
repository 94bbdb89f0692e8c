/* config_deberta.c - reads what DeBERTa's configs have of their own: distances, the convolution, the pooler's function.
 */
#include "model/config_parts.h"

#include "base/error.h"

#include <string.h>
#include <strings.h>

/* Is word one of those that text has between '|', whatever its case and with blanks around? */
static bool has_word(const char *text, const char *word) {
    for (const char *at = text;; at++) {
        at += strspn(at, " \t\n\r\f\v");
        size_t length = strcspn(at, "|"), end = length;
        while (end > 0 && strchr(" \t\n\r\f\v", at[end - 1])) end--;
        if (end == strlen(word) && strncasecmp(at, word, end) == 0) return true;
        at += length;
        if (!*at) return false;
    }
}

/* pos_att_type: words in a string or in an array. */
static ce_status read_terms(const cei_config_reader *in, cei_relative_config *relative) {
    const char *text = "";
    const json_t *terms = json_object_get(in->root, "pos_att_type");
    if (!json_is_array(terms)) {
        ce_status status = cei_json_string(in->root, "pos_att_type", in->path, &text, in->error);
        relative->c2p = has_word(text, "c2p");
        relative->p2c = has_word(text, "p2c");
        return status;
    }
    for (size_t i = 0; i < json_array_size(terms); i++) {
        const char *term = json_string_value(json_array_get(terms, i));
        if (!term)
            return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"pos_att_type\" must be a string or strings, and holds %s",
                            in->path, cei_json_type(json_array_get(terms, i)));
        relative->c2p = relative->c2p || strcmp(term, "c2p") == 0;
        relative->p2c = relative->p2c || strcmp(term, "p2c") == 0;
    }
    return CE_OK;
}

/* A number that is written as -1 where there is none. */
static ce_status read_optional_size(const cei_config_reader *in, const char *key, size_t *value) {
    const json_t *field = json_object_get(in->root, key);
    if (json_is_integer(field) && json_integer_value(field) < 1) return CE_OK;
    return cei_json_size(in->root, key, 1, CEI_CONFIG_MOST, in->path, value, in->error);
}

static ce_status read_relative(const cei_config_reader *in, cei_relative_config *relative) {
    const char *norm = "none";
    ce_status status = cei_json_bool(in->root, "relative_attention", in->path, &relative->is_on, in->error);
    if (status == CE_OK) status = cei_json_bool(in->root, "share_att_key", in->path, &relative->shares_keys, in->error);
    if (status == CE_OK) status = cei_json_string(in->root, "norm_rel_ebd", in->path, &norm, in->error);
    if (status == CE_OK) status = read_terms(in, relative);
    if (status == CE_OK) status = read_optional_size(in, "position_buckets", &relative->buckets);
    if (status == CE_OK) status = read_optional_size(in, "max_relative_positions", &relative->max_positions);
    relative->has_norm = has_word(norm, "layer_norm");
    return status;
}

/* How many words pos_att_type has, known ones or not. */
static size_t count_terms(const json_t *terms) {
    const char *text = json_string_value(terms);
    size_t count = text && *text ? 1 : json_array_size(terms);
    for (; text && *text; text++) count += *text == '|';
    return count;
}

static bool is_first(const cei_config *config) {
    return *config->model_type ? strcmp(config->model_type, "deberta") == 0
                               : strncmp(config->architecture, "DebertaV2", strlen("DebertaV2")) != 0;
}

/* What the first version alone has, heads that are mixed and a scale that counts every word, is refused; what came
 * later it does not read. */
static ce_status take_first(const cei_config_reader *in, cei_config *config) {
    cei_relative_config *relative = &config->relative;
    bool talks = false;
    const size_t words = count_terms(json_object_get(in->root, "pos_att_type"));
    ce_status status = cei_json_bool(in->root, "talking_head", in->path, &talks, in->error);
    if (status != CE_OK) return status;
    if (talks)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: talking_head is true, which is not supported", in->path);
    if (words != (size_t)relative->c2p + relative->p2c)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s: pos_att_type has %zu words; supported: c2p and p2c, each once", in->path, words);
    relative->shares_keys = relative->has_norm = false;
    relative->buckets = config->conv_kernel_size = 0;
    return CE_OK;
}

ce_status cei_config_read_deberta(const cei_config_reader *in, cei_config *config) {
    ce_status status = read_relative(in, &config->relative);
    if (status == CE_OK)
        status = cei_json_bool(in->root, "position_biased_input", in->path, &config->adds_positions, in->error);
    if (status == CE_OK)
        status = cei_json_size(in->root, "conv_kernel_size", 0, CEI_CONFIG_MOST, in->path, &config->conv_kernel_size,
                               in->error);
    config->conv_groups = 1;
    if (status == CE_OK)
        status = cei_json_size(in->root, "conv_groups", 1, CEI_CONFIG_MOST, in->path, &config->conv_groups, in->error);
    if (status == CE_OK) status = cei_config_read_function(in, "conv_act", "tanh", &config->conv_act);
    if (status == CE_OK && is_first(config)) status = take_first(in, config);
    return status == CE_OK ? cei_config_read_function(in, "pooler_hidden_act", "gelu", &config->pooler_act) : status;
}
