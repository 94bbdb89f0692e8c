/* added_json.c - added tokens and ids as they are written in JSON. */
#include "base/error.h"
#include "text/spec.h"

#include <stdlib.h>

ce_status cei_token_id_read(const json_t *value, const char *token, const char *path, int32_t *id, ce_error *error) {
    if (!json_is_integer(value))
        return cei_fail(error, CE_ERR_FORMAT, "%s: the id of token \"%.60s\" is not an integer", path, token);
    json_int_t number = json_integer_value(value);
    if (number < 0 || number >= CEI_TOKEN_ID_LIMIT)
        return cei_fail(error, CE_ERR_FORMAT, "%s: the id of token \"%.60s\" is %lld, and must be from 0 to %d", path,
                        token, (long long)number, CEI_TOKEN_ID_LIMIT - 1);
    *id = (int32_t)number;
    return CE_OK;
}

ce_status cei_added_list_push(cei_added_list *list, const cei_added_token *token, ce_error *error) {
    void *items = list->items;
    bool grown = cei_grow(&items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items = items;
    if (!grown) return cei_fail_memory(error, "the added tokens", 0);
    list->items[list->count++] = *token;
    return CE_OK;
}

static int compare_ids(const void *a, const void *b) {
    const cei_added_token *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

void cei_added_list_sort(cei_added_list *list, size_t from) {
    for (size_t i = from; i < list->count; i++) list->items[i].order = i;
    if (list->count > from) qsort(list->items + from, list->count - from, sizeof *list->items, compare_ids);
}

static ce_status read_flags(const json_t *object, const char *path, cei_added_token *token, ce_error *error) {
    const struct {
        const char *key;
        bool *value;
    } flags[] = {{"special", &token->special},
                 {"single_word", &token->single_word},
                 {"lstrip", &token->lstrip},
                 {"rstrip", &token->rstrip}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        ce_status status = cei_json_bool(object, flags[i].key, path, flags[i].value, error);
        if (status != CE_OK) return status;
    }
    token->normalized = !token->special;
    return cei_json_bool(object, "normalized", path, &token->normalized, error);
}

ce_status cei_added_json_read(const json_t *value, bool special, const char *path, cei_added_token *token,
                              ce_error *error) {
    *token = (cei_added_token){.id = -1, .special = special, .normalized = !special};
    const json_t *content = value;
    if (json_is_object(value)) {
        ce_status status = read_flags(value, path, token, error);
        if (status != CE_OK) return status;
        content = json_object_get(value, "content");
    }
    if (!json_is_string(content))
        return cei_fail(error, CE_ERR_FORMAT, "%s: an added token is neither a string nor an object with \"content\"",
                        path);
    token->content = json_string_value(content);
    token->size = json_string_length(content);
    return CE_OK;
}
