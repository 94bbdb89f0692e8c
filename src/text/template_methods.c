/* template_methods.c - methods of strings and maps that templates call. */
#include "text/template_render.h"

/* ---- what filters share with them ---------------------------------------------------------------------------- */

char cei_tfold_upper(char c, bool begins_word, bool begins_text) {
    (void)begins_word, (void)begins_text;
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

char cei_tfold_lower(char c, bool begins_word, bool begins_text) {
    (void)begins_word, (void)begins_text;
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

char cei_tfold_title(char c, bool begins_word, bool begins_text) {
    return begins_word ? cei_tfold_upper(c, true, begins_text) : cei_tfold_lower(c, false, false);
}

char cei_tfold_capitalize(char c, bool begins_word, bool begins_text) {
    return begins_text ? cei_tfold_upper(c, begins_word, true) : cei_tfold_lower(c, false, false);
}

/* Words begin for the filter title where Jinja has them begin: behind white space, hyphens and opening brackets. */
static bool parts_words(char c) { return c != '\0' && strchr("-({[< \t\n\r\f\v\x1C\x1D\x1E\x1F", c) != NULL; }

bool cei_trender_fold(cei_trender *render, const cei_tcall *call, cei_tfold_fn fold, cei_tvalue *result) {
    ce_text text;
    if (!cei_tvalue_string(render, call->node, &call->self, &text)) return false;
    char *folded = cei_trender_take(render, call->node, text.size, 1);
    if (!folded || !cei_trender_step(render, call->node, text.size / 64)) return false;
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] >= 0x80)
            return cei_trender_fail(render, call->node,
                                    "the case of a text beyond ASCII is changed, which is not "
                                    "supported");
        folded[i] = fold(text.data[i], i == 0 || parts_words(text.data[i - 1]), i == 0);
    }
    *result = cei_tvalue_text((ce_text){folded, text.size});
    return true;
}

/* An empty old stands before each character and at the end, as in Python. */
static size_t find_next(ce_text text, ce_text old, size_t from, bool is_first) {
    if (old.size > 0) return cei_text_find(text, old, from);
    if (is_first) return from;
    return from < text.size ? cei_text_offset(text, from, 1) : SIZE_MAX;
}

bool cei_trender_replace(cei_trender *render, const cei_tnode *node, ce_text text, ce_text old, ce_text new,
                         int64_t most, cei_tvalue *result) {
    const size_t start = render->out->size;
    size_t at = 0;
    bool first = true;
    if (!cei_trender_step(render, node, text.size / 64 * (old.size / 64 + 1))) return false;
    while (most != 0) {
        const size_t found = find_next(text, old, at, first);
        if (found == SIZE_MAX) break;
        if (!cei_trender_step(render, node, 1) ||
            !cei_trender_write(render, node, (ce_text){text.data + at, found - at}) ||
            !cei_trender_write(render, node, new))
            return false;
        at = found + old.size;
        first = false;
        if (most > 0) most--;
    }
    const ce_text rest = {text.size > at ? text.data + at : NULL, text.size - at};
    return cei_trender_write(render, node, rest) && cei_trender_capture(render, node, start, result);
}

/* ---- methods of strings -------------------------------------------------------------------------------------- */

/* The string before the point. */
static bool self_string(cei_trender *render, const cei_tcall *call, ce_text *text) {
    *text = (ce_text){NULL, 0};
    if (!cei_tvalue_need(render, call->node, &call->self)) return false;
    if (call->self.kind != CEI_T_STRING)
        return cei_trender_fail(render, call->node, "%s has no method \"%s\"", cei_tvalue_kind(&call->self),
                                call->node->builtin->name);
    *text = call->self.text;
    return true;
}

/* An argument that must be a string; NULL data for none or one that is not given, if it need not be. */
static bool string_argument(cei_trender *render, const cei_tcall *call, size_t index, bool needed, ce_text *text) {
    const cei_tvalue *value = &call->args[index];
    *text = (ce_text){NULL, 0};
    if (value->kind == CEI_T_STRING) *text = value->text.size ? value->text : ce_text_of("");
    if (value->kind == CEI_T_STRING || (!needed && (value->kind == CEI_T_UNDEFINED || value->kind == CEI_T_NONE)))
        return true;
    return cei_trender_fail(render, call->node, "\"%s\" is given %s for a string", call->node->builtin->name,
                            cei_tvalue_kind(value));
}

static bool strip_ends(cei_trender *render, const cei_tcall *call, bool left, bool right, cei_tvalue *result) {
    ce_text text, set;
    if (!self_string(render, call, &text) || !string_argument(render, call, 0, false, &set)) return false;
    *result = cei_tvalue_text(cei_text_strip(text, set, left, right));
    return cei_trender_step(render, call->node, (text.size - result->text.size) / 64 * (set.size + 1));
}

static bool strip(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return strip_ends(render, call, true, true, result);
}

static bool lstrip(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return strip_ends(render, call, true, false, result);
}

static bool rstrip(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return strip_ends(render, call, false, true, result);
}

static bool fold_string(cei_trender *render, const cei_tcall *call, cei_tfold_fn fold, cei_tvalue *result) {
    ce_text text;
    return self_string(render, call, &text) && cei_trender_fold(render, call, fold, result);
}

static bool upper(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return fold_string(render, call, cei_tfold_upper, result);
}

static bool lower(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return fold_string(render, call, cei_tfold_lower, result);
}

static bool capitalize(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return fold_string(render, call, cei_tfold_capitalize, result);
}

static bool has_end(ce_text text, ce_text part, bool at_start) {
    if (part.size > text.size) return false;
    const ce_text end = {at_start || !part.size ? text.data : text.data + text.size - part.size, part.size};
    return cei_same_text(end, part);
}

/* startswith and endswith, of one string or any of several. */
static bool test_end(cei_trender *render, const cei_tcall *call, bool at_start, cei_tvalue *result) {
    cei_tlist parts = {&call->args[0], 1};
    ce_text text;
    bool found = false;
    if (!self_string(render, call, &text)) return false;
    if (call->args[0].kind == CEI_T_LIST) parts = call->args[0].list;
    for (size_t i = 0; i < parts.count && !found; i++) {
        if (parts.items[i].kind != CEI_T_STRING)
            return cei_trender_fail(render, call->node, "\"%s\" is given %s for a string", call->node->builtin->name,
                                    cei_tvalue_kind(&parts.items[i]));
        if (!cei_trender_step(render, call->node, 1 + parts.items[i].text.size / 256)) return false;
        found = has_end(text, parts.items[i].text, at_start);
    }
    *result = cei_tvalue_bool(found);
    return true;
}

static bool startswith(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return test_end(render, call, true, result);
}

static bool endswith(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return test_end(render, call, false, result);
}

static bool replace(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    ce_text text, old, new;
    int64_t most = -1;
    if (!self_string(render, call, &text) || !string_argument(render, call, 0, true, &old) ||
        !string_argument(render, call, 1, true, &new))
        return false;
    cei_tvalue_is_integer(&call->args[2], &most);
    return cei_trender_replace(render, call->node, text, old, new, most, result);
}

/* ---- split --------------------------------------------------------------------------------------------------- */

/* The next part of what is left of a text, which it is taken from; *more tells whether something is left. */
static ce_text take_part(ce_text *left, ce_text separator, bool is_last, bool *more) {
    const size_t found = is_last ? SIZE_MAX : cei_text_find(*left, separator, 0);
    const ce_text part = {left->data, found == SIZE_MAX ? left->size : found};
    *more = found != SIZE_MAX;
    if (*more) *left = (ce_text){left->data + found + separator.size, left->size - found - separator.size};
    return part;
}

/* The same where white space parts; what is left has none at its beginning. */
static ce_text take_word(ce_text *left, bool is_last, bool *more) {
    const ce_text none = {NULL, 0};
    size_t size = 0;
    if (is_last) size = left->size;
    while (size < left->size && cei_leading_white((ce_text){left->data + size, left->size - size}) == 0)
        size = cei_text_offset(*left, size, 1);
    const ce_text part = {left->data, size};
    *left = cei_text_strip((ce_text){left->data + size, left->size - size}, none, true, false);
    *more = left->size > 0;
    return part;
}

/* A list of the parts; with parts NULL only their number. */
static size_t split_parts(ce_text text, ce_text separator, int64_t most, cei_tvalue *parts) {
    size_t count = 0;
    bool more = true;
    if (!separator.data) {
        text = cei_text_strip(text, separator, true, false);
        more = text.size > 0;
    }
    while (more) {
        const bool is_last = most >= 0 && (int64_t)count == most;
        const ce_text part =
            separator.data ? take_part(&text, separator, is_last, &more) : take_word(&text, is_last, &more);
        if (parts) parts[count] = cei_tvalue_text(part);
        count++;
    }
    return count;
}

static bool split(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    ce_text text, separator;
    int64_t most = -1;
    if (!self_string(render, call, &text) || !string_argument(render, call, 0, false, &separator)) return false;
    if (separator.data && separator.size == 0) return cei_trender_fail(render, call->node, "an empty separator");
    cei_tvalue_is_integer(&call->args[1], &most);
    if (!cei_trender_step(render, call->node, text.size / 16 * (separator.size / 64 + 1))) return false;
    const size_t count = split_parts(text, separator, most, NULL);
    cei_tvalue *parts = cei_trender_take(render, call->node, count, sizeof *parts);
    if (!parts) return false;
    split_parts(text, separator, most, parts);
    *result = (cei_tvalue){.kind = CEI_T_LIST, .list = {parts, count}};
    return true;
}

/* ---- methods of maps ----------------------------------------------------------------------------------------- */

static bool self_map(cei_trender *render, const cei_tcall *call, const cei_tmap **map) {
    *map = &call->self.map;
    if (!cei_tvalue_need(render, call->node, &call->self)) return false;
    if (call->self.kind != CEI_T_MAP)
        return cei_trender_fail(render, call->node, "%s has no method \"%s\"", cei_tvalue_kind(&call->self),
                                call->node->builtin->name);
    return true;
}

static bool items(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const cei_tmap *map;
    if (!self_map(render, call, &map) || !cei_trender_step(render, call->node, map->count)) return false;
    cei_tvalue *pairs = cei_trender_take(render, call->node, map->count, sizeof *pairs);
    cei_tvalue *parts = pairs ? cei_trender_take(render, call->node, map->count, 2 * sizeof *parts) : NULL;
    if (!parts) return false;
    for (size_t i = 0; i < map->count; i++) {
        parts[2 * i] = map->keys[i];
        parts[2 * i + 1] = map->values[i];
        pairs[i] = (cei_tvalue){.kind = CEI_T_LIST, .list = {parts + 2 * i, 2}};
    }
    *result = (cei_tvalue){.kind = CEI_T_LIST, .list = {pairs, map->count}};
    return true;
}

static bool keys(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const cei_tmap *map;
    if (!self_map(render, call, &map)) return false;
    *result = (cei_tvalue){.kind = CEI_T_LIST, .list = {map->keys, map->count}};
    return true;
}

static bool values(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const cei_tmap *map;
    if (!self_map(render, call, &map)) return false;
    *result = (cei_tvalue){.kind = CEI_T_LIST, .list = {map->values, map->count}};
    return true;
}

static bool get(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const cei_tmap *map;
    if (!self_map(render, call, &map) || !cei_tvalue_item(render, call->node, &call->self, &call->args[0], result))
        return false;
    if (result->kind == CEI_T_UNDEFINED) *result = call->args[1];
    if (result->kind == CEI_T_UNDEFINED) *result = (cei_tvalue){.kind = CEI_T_NONE};
    return true;
}

static const cei_tbuiltin methods[] = {
    {.name = "strip", .run = strip, .parameters = {"chars"}},
    {.name = "lstrip", .run = lstrip, .parameters = {"chars"}},
    {.name = "rstrip", .run = rstrip, .parameters = {"chars"}},
    {.name = "upper", .run = upper},
    {.name = "lower", .run = lower},
    {.name = "capitalize", .run = capitalize},
    {.name = "startswith", .run = startswith, .parameters = {"prefix"}, .least = 1},
    {.name = "endswith", .run = endswith, .parameters = {"suffix"}, .least = 1},
    {.name = "replace", .run = replace, .parameters = {"old", "new", "count"}, .least = 2},
    {.name = "split", .run = split, .parameters = {"sep", "maxsplit"}},
    {.name = "items", .run = items},
    {.name = "keys", .run = keys},
    {.name = "values", .run = values},
    {.name = "get", .run = get, .parameters = {"key", "default"}, .least = 1},
};

const cei_tbuiltin *cei_template_method(ce_text name) {
    return cei_tbuiltin_find(methods, sizeof methods / sizeof *methods, name);
}
