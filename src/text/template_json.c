/* template_json.c - between JSON and a template's values: names that are defined, and the filter tojson. */
#include "text/template_render.h"

#include "base/error.h"

#include <stdio.h>

enum { NESTED_VALUES = 64 };

/* ---- from JSON ----------------------------------------------------------------------------------------------- */

typedef struct reader {
    cei_arena *arena;
    const char *name;
    size_t depth;
    ce_error *error;
} reader;

static ce_status read_value(reader *in, const json_t *json, cei_tvalue *value);

static ce_status no_memory(const reader *in) { return cei_fail_memory(in->error, "a chat template's names", 0); }

static ce_status read_text(const reader *in, const char *data, size_t size, cei_tvalue *value) {
    const char *copy = cei_arena_copy(in->arena, data, size);
    *value = cei_tvalue_text((ce_text){copy, size});
    return copy ? CE_OK : no_memory(in);
}

static ce_status read_list(reader *in, const json_t *json, cei_tvalue *value) {
    const size_t count = json_array_size(json);
    cei_tvalue *items = cei_arena_take(in->arena, count, sizeof *items);
    if (!items) return no_memory(in);
    for (size_t i = 0; i < count; i++) {
        ce_status status = read_value(in, json_array_get(json, i), &items[i]);
        if (status != CE_OK) return status;
    }
    *value = (cei_tvalue){.kind = CEI_T_LIST, .list = {items, count}};
    return CE_OK;
}

static ce_status read_map(reader *in, const json_t *json, cei_tvalue *value) {
    const size_t count = json_object_size(json);
    cei_tvalue *keys = cei_arena_take(in->arena, count, 2 * sizeof *keys);
    const char *key;
    size_t length, i = 0;
    json_t *item;
    if (!keys) return no_memory(in);
    json_object_keylen_foreach((json_t *)(uintptr_t)json, key, length, item) {
        ce_status status = read_text(in, key, length, &keys[i]);
        if (status == CE_OK) status = read_value(in, item, &keys[count + i]);
        if (status != CE_OK) return status;
        i++;
    }
    *value = (cei_tvalue){.kind = CEI_T_MAP, .map = {keys, keys + count, count}};
    return CE_OK;
}

static ce_status read_integer(const reader *in, json_int_t integer, cei_tvalue *value) {
    *value = cei_tvalue_integer((int64_t)integer);
    if ((double)integer >= -CEI_TEMPLATE_INTEGER_LIMIT && (double)integer <= CEI_TEMPLATE_INTEGER_LIMIT) return CE_OK;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "the chat template's \"%.60s\" is an integer larger than 9e15",
                    in->name);
}

static ce_status read_value(reader *in, const json_t *json, cei_tvalue *value) {
    ce_status status = CE_OK;
    if (++in->depth > NESTED_VALUES)
        return cei_fail(in->error, CE_ERR_FORMAT, "the chat template's \"%.60s\" is nested deeper than %d", in->name,
                        NESTED_VALUES);
    switch (json_typeof(json)) {
    case JSON_STRING: status = read_text(in, json_string_value(json), json_string_length(json), value); break;
    case JSON_ARRAY: status = read_list(in, json, value); break;
    case JSON_OBJECT: status = read_map(in, json, value); break;
    case JSON_INTEGER: status = read_integer(in, json_integer_value(json), value); break;
    case JSON_REAL: *value = cei_tvalue_real(json_real_value(json)); break;
    case JSON_NULL: *value = (cei_tvalue){.kind = CEI_T_NONE}; break;
    default: *value = cei_tvalue_bool(json_is_true(json)); break;
    }
    in->depth--;
    return status;
}

ce_status cei_template_define(cei_template *tmpl, const char *name, const json_t *value, ce_error *error) {
    reader in = {.arena = &tmpl->arena, .name = name, .error = error};
    tmpl->arena.limit = SIZE_MAX; /* what is defined is no stranger's to choose the size of: it was read already */
    cei_tname *made = cei_arena_take(in.arena, 1, sizeof *made);
    cei_tvalue *room = cei_arena_take(in.arena, 1, sizeof *room), text;
    if (!made || !room) return no_memory(&in);
    ce_status status = read_text(&in, name, strlen(name), &text);
    if (status == CE_OK) status = read_value(&in, value, room);
    if (status != CE_OK) return status;
    *made = (cei_tname){tmpl->names.names, text.text, room};
    tmpl->names.names = made;
    return CE_OK;
}

/* ---- to JSON ------------------------------------------------------------------------------------------------- */

typedef struct writer {
    cei_trender *render;
    const cei_tnode *node;
    int64_t indent;
} writer;

static bool write_value(const writer *out, const cei_tvalue *value, int64_t level);

static bool put(const writer *out, const char *text) {
    return cei_trender_write(out->render, out->node, ce_text_of(text));
}

static bool write_string(const writer *out, ce_text text) {
    static const char plain[] = "\"\\\n\r\t\f\b", *const escapes[] = {"\\\"", "\\\\", "\\n", "\\r",
                                                                      "\\t",  "\\f",  "\\b"};
    size_t start = 0;
    if (!put(out, "\"")) return false;
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        char code[8];
        snprintf(code, sizeof code, "\\u%04x", c);
        const char *known = memchr(plain, c, sizeof plain - 1);
        if (!cei_trender_write(out->render, out->node, (ce_text){text.data + start, i - start}) ||
            !put(out, known ? escapes[known - plain] : code))
            return false;
        start = i + 1;
    }
    return cei_trender_write(out->render, out->node, (ce_text){text.data + start, text.size - start}) && put(out, "\"");
}

/* A new line, indented to level, or nothing where there is no indent. */
static bool write_break(const writer *out, int64_t level) {
    if (out->indent < 0) return true;
    if (!put(out, "\n")) return false;
    for (int64_t i = 0; i < level * out->indent; i++)
        if (!put(out, " ")) return false;
    return true;
}

static bool write_comma(const writer *out, size_t index, int64_t level) {
    return (index == 0 || put(out, out->indent < 0 ? ", " : ",")) && write_break(out, level + 1);
}

static bool write_list(const writer *out, cei_tlist list, int64_t level) {
    if (!put(out, "[")) return false;
    for (size_t i = 0; i < list.count; i++)
        if (!write_comma(out, i, level) || !write_value(out, &list.items[i], level + 1)) return false;
    return (list.count == 0 || write_break(out, level)) && put(out, "]");
}

static bool write_map(const writer *out, const cei_tmap *map, int64_t level) {
    if (!put(out, "{")) return false;
    for (size_t i = 0; i < map->count; i++) {
        if (map->keys[i].kind != CEI_T_STRING)
            return cei_trender_fail(out->render, out->node, "a map with keys that are no strings becomes no JSON");
        if (!write_comma(out, i, level) || !write_string(out, map->keys[i].text) || !put(out, ": ") ||
            !write_value(out, &map->values[i], level + 1))
            return false;
    }
    return (map->count == 0 || write_break(out, level)) && put(out, "}");
}

static bool write_any(const writer *out, const cei_tvalue *value, int64_t level) {
    ce_text text;
    switch (value->kind) {
    case CEI_T_NONE: return put(out, "null");
    case CEI_T_BOOL: return put(out, value->boolean ? "true" : "false");
    case CEI_T_STRING: return write_string(out, value->text);
    case CEI_T_LIST: return write_list(out, value->list, level);
    case CEI_T_MAP: return write_map(out, &value->map, level);
    case CEI_T_INTEGER:
    case CEI_T_REAL:
        return cei_tvalue_string(out->render, out->node, value, &text) &&
               cei_trender_write(out->render, out->node, text);
    default: return cei_trender_fail(out->render, out->node, "%s becomes no JSON", cei_tvalue_kind(value));
    }
}

static bool write_value(const writer *out, const cei_tvalue *value, int64_t level) {
    if (!cei_trender_step(out->render, out->node, 1) || !cei_trender_enter(out->render, out->node)) return false;
    const bool good = write_any(out, value, level);
    out->render->depth--;
    return good;
}

bool cei_tvalue_json(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, int64_t indent) {
    const writer out = {render, node, indent < 0 ? -1 : indent > 16 ? 16 : indent};
    return write_value(&out, value, 0);
}
