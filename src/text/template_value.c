/* template_value.c - values of a template, as Python and Jinja have them: truth, equality, order, parts.
 *
 * Recursion into nested values is counted, and every pass over bytes or items takes steps. */
#include "text/template_render.h"

#include "text/utf8.h"

#include <math.h>

const char *cei_tvalue_kind(const cei_tvalue *value) {
    static const char *const names[] = {"undefined", "none",  "a boolean",   "an integer", "a number", "a string",
                                        "a list",    "a map", "a namespace", "a loop",     "a macro"};
    return names[value->kind];
}

bool cei_tvalue_is_true(const cei_tvalue *value) {
    switch (value->kind) {
    case CEI_T_UNDEFINED:
    case CEI_T_NONE: return false;
    case CEI_T_BOOL: return value->boolean;
    case CEI_T_INTEGER: return value->integer != 0;
    case CEI_T_REAL: return value->real != 0;
    case CEI_T_STRING: return value->text.size > 0;
    case CEI_T_LIST: return value->list.count > 0;
    case CEI_T_MAP: return value->map.count > 0;
    default: return true;
    }
}

bool cei_tvalue_is_integer(const cei_tvalue *value, int64_t *integer) {
    if (value->kind != CEI_T_BOOL && value->kind != CEI_T_INTEGER) return false;
    *integer = value->kind == CEI_T_BOOL ? value->boolean : value->integer;
    return true;
}

bool cei_tvalue_is_number(const cei_tvalue *value, double *number) {
    int64_t integer;
    if (!cei_tvalue_is_integer(value, &integer) && value->kind != CEI_T_REAL) return false;
    *number = value->kind == CEI_T_REAL ? value->real : (double)integer;
    return true;
}

bool cei_tvalue_need(cei_trender *render, const cei_tnode *node, const cei_tvalue *value) {
    if (value->kind != CEI_T_UNDEFINED) return true;
    return cei_trender_fail(render, node, "\"%.*s\" is undefined", (int)cei_min_size(value->text.size, 60),
                            value->text.size ? value->text.data : "");
}

/* A copy of a short string. */
static bool keep(cei_trender *render, const cei_tnode *node, const char *data, size_t size, ce_text *text) {
    char *copy = cei_trender_take(render, node, size, 1);
    if (!copy) return false;
    memcpy(copy, data, size);
    *text = (ce_text){copy, size};
    return true;
}

bool cei_tvalue_string(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, ce_text *text) {
    char number[CEI_NUMBER_SIZE];
    switch (value->kind) {
    case CEI_T_UNDEFINED: *text = ce_text_of(""); return true;
    case CEI_T_NONE: *text = ce_text_of("None"); return true;
    case CEI_T_BOOL: *text = ce_text_of(value->boolean ? "True" : "False"); return true;
    case CEI_T_INTEGER: {
        /* Up to 9e15 an integer is a double that is written with ".0" behind, or up to 16 digits. */
        const size_t size = cei_number_format((double)value->integer, number);
        return keep(render, node, number, size - 2, text);
    }
    case CEI_T_REAL: return keep(render, node, number, cei_number_format(value->real, number), text);
    case CEI_T_STRING: *text = value->text; return true;
    default: return cei_trender_fail(render, node, "%s is printed, which is not supported", cei_tvalue_kind(value));
    }
}

/* ---- equality and order -------------------------------------------------------------------------------------- */

static const cei_tvalue *map_find(cei_trender *render, const cei_tnode *node, const cei_tmap *map,
                                  const cei_tvalue *key) {
    if (!cei_trender_step(render, node, map->count / 8)) return NULL;
    for (size_t i = map->count; i-- > 0;) {
        bool same = false;
        if (map->keys[i].kind == CEI_T_STRING && key->kind == CEI_T_STRING)
            same = cei_same_text(map->keys[i].text, key->text);
        else if (!cei_tvalue_equal(render, node, &map->keys[i], key, &same))
            return NULL;
        if (same) return &map->values[i];
    }
    return NULL;
}

static bool equal_lists(cei_trender *render, const cei_tnode *node, cei_tlist a, cei_tlist b, bool *equal) {
    *equal = a.count == b.count;
    for (size_t i = 0; i < a.count && *equal; i++)
        if (!cei_tvalue_equal(render, node, &a.items[i], &b.items[i], equal)) return false;
    return true;
}

static bool equal_maps(cei_trender *render, const cei_tnode *node, const cei_tmap *a, const cei_tmap *b, bool *equal) {
    *equal = a->count == b->count;
    for (size_t i = 0; i < a->count && *equal; i++) {
        const cei_tvalue *other = map_find(render, node, b, &a->keys[i]);
        if (render->status != CE_OK) return false;
        *equal = other != NULL;
        if (other && !cei_tvalue_equal(render, node, &a->values[i], other, equal)) return false;
    }
    return true;
}

/* Of values of one kind that are no numbers. */
static bool equal_alike(cei_trender *render, const cei_tnode *node, const cei_tvalue *a, const cei_tvalue *b,
                        bool *equal) {
    switch (a->kind) {
    case CEI_T_STRING:
        *equal = cei_same_text(a->text, b->text);
        return !*equal || cei_trender_step(render, node, a->text.size / 256);
    case CEI_T_LIST: return equal_lists(render, node, a->list, b->list, equal);
    case CEI_T_MAP: return equal_maps(render, node, &a->map, &b->map, equal);
    case CEI_T_NAMESPACE: *equal = a->space == b->space; return true;
    case CEI_T_LOOP: *equal = a->loop == b->loop; return true;
    case CEI_T_MACRO: *equal = a->macro == b->macro; return true;
    default: *equal = true; return true; /* undefined, none */
    }
}

bool cei_tvalue_equal(cei_trender *render, const cei_tnode *node, const cei_tvalue *a, const cei_tvalue *b,
                      bool *equal) {
    double x, y;
    *equal = false;
    if (cei_tvalue_is_number(a, &x) && cei_tvalue_is_number(b, &y)) {
        *equal = x == y;
        return true;
    }
    if (a->kind != b->kind) return true;
    if (!cei_trender_step(render, node, 1) || !cei_trender_enter(render, node)) return false;
    const bool good = equal_alike(render, node, a, b, equal);
    render->depth--;
    return good;
}

bool cei_tvalue_compare(cei_trender *render, const cei_tnode *node, const cei_tvalue *a, const cei_tvalue *b,
                        int *order) {
    double x, y;
    if (cei_tvalue_is_number(a, &x) && cei_tvalue_is_number(b, &y)) {
        *order = (x > y) - (x < y);
        return true;
    }
    if (!cei_tvalue_need(render, node, a) || !cei_tvalue_need(render, node, b)) return false;
    if (a->kind != CEI_T_STRING || b->kind != CEI_T_STRING)
        return cei_trender_fail(render, node, "%s and %s have no order", cei_tvalue_kind(a), cei_tvalue_kind(b));
    const size_t size = cei_min_size(a->text.size, b->text.size);
    const int first = size ? memcmp(a->text.data, b->text.data, size) : 0; /* UTF-8 has the order of code points */
    *order = first ? first : (a->text.size > b->text.size) - (a->text.size < b->text.size);
    return cei_trender_step(render, node, size / 256);
}

bool cei_tvalue_contains(cei_trender *render, const cei_tnode *node, const cei_tvalue *all, const cei_tvalue *one,
                         bool *contains) {
    *contains = false;
    if (all->kind == CEI_T_STRING) {
        if (one->kind != CEI_T_STRING)
            return cei_trender_fail(render, node, "%s is looked for in a string", cei_tvalue_kind(one));
        *contains = cei_text_find(all->text, one->text, 0) != SIZE_MAX;
        return cei_trender_step(render, node, all->text.size / 64 * (one->text.size / 64 + 1));
    }
    if (all->kind == CEI_T_MAP) {
        *contains = map_find(render, node, &all->map, one) != NULL;
        return render->status == CE_OK;
    }
    cei_tlist items;
    if (!cei_tvalue_items(render, node, all, &items)) return false;
    for (size_t i = 0; i < items.count && !*contains; i++)
        if (!cei_trender_step(render, node, 1) || !cei_tvalue_equal(render, node, &items.items[i], one, contains))
            return false;
    return true;
}

/* ---- parts --------------------------------------------------------------------------------------------------- */

static bool characters(cei_trender *render, const cei_tnode *node, ce_text text, cei_tlist *items) {
    const size_t count = cei_text_length(text);
    cei_tvalue *values = cei_trender_take(render, node, count, sizeof *values);
    if (!values || !cei_trender_step(render, node, count / 8)) return false;
    for (size_t i = 0, at = 0; i < count; i++) {
        const size_t start = at;
        cei_utf8_next(text.data, &at);
        values[i] = cei_tvalue_text((ce_text){text.data + start, at - start});
    }
    *items = (cei_tlist){values, count};
    return true;
}

bool cei_tvalue_items(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, cei_tlist *items) {
    *items = (cei_tlist){NULL, 0};
    switch (value->kind) {
    case CEI_T_UNDEFINED: return true;
    case CEI_T_STRING: return characters(render, node, value->text, items);
    case CEI_T_LIST: *items = value->list; return true;
    case CEI_T_MAP: *items = (cei_tlist){value->map.keys, value->map.count}; return true;
    default: return cei_trender_fail(render, node, "%s has no items", cei_tvalue_kind(value));
    }
}

/* Depths are those of recursive loops, of which there are none. */
static bool loop_attribute(const cei_tloop *loop, ce_text name, cei_tvalue *found) {
    const size_t index = loop->index, count = loop->items.count;
    const struct {
        const char *name;
        size_t value;
    } numbers[] = {{"index", index + 1},
                   {"index0", index},
                   {"revindex", count - index},
                   {"revindex0", count - index - 1},
                   {"length", count},
                   {"depth", 1},
                   {"depth0", 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (cei_text_is(name, numbers[i].name)) *found = cei_tvalue_integer((int64_t)numbers[i].value);
    if (cei_text_is(name, "first")) *found = cei_tvalue_bool(index == 0);
    if (cei_text_is(name, "last")) *found = cei_tvalue_bool(index + 1 == count);
    if (cei_text_is(name, "previtem") && index > 0) *found = loop->items.items[index - 1];
    if (cei_text_is(name, "nextitem") && index + 1 < count) *found = loop->items.items[index + 1];
    return true;
}

bool cei_tvalue_attribute(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, ce_text name,
                          cei_tvalue *found) {
    if (!cei_tvalue_need(render, node, value)) return false;
    const cei_tvalue from = *value; /* found may be the same */
    *found = cei_tvalue_undefined(name);
    if (from.kind == CEI_T_NAMESPACE) return cei_tscope_get(render, node, from.space, name, found);
    if (from.kind == CEI_T_LOOP) return loop_attribute(from.loop, name, found);
    if (from.kind != CEI_T_MAP) return true;
    const cei_tvalue key = cei_tvalue_text(name), *item = map_find(render, node, &from.map, &key);
    if (item) *found = *item;
    return render->status == CE_OK;
}

static bool string_item(cei_trender *render, const cei_tnode *node, ce_text text, int64_t index, cei_tvalue *found) {
    const int64_t length = (int64_t)cei_text_length(text);
    if (!cei_trender_step(render, node, text.size / 256)) return false;
    if (index < 0) index += length;
    if (index < 0 || index >= length) return true;
    const size_t start = cei_text_offset(text, 0, (size_t)index), end = cei_text_offset(text, start, 1);
    *found = cei_tvalue_text((ce_text){text.data + start, end - start});
    return true;
}

bool cei_tvalue_item(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, const cei_tvalue *key,
                     cei_tvalue *found) {
    const cei_tvalue from = *value, which = *key;
    int64_t index;
    if (which.kind == CEI_T_STRING && from.kind != CEI_T_MAP)
        return cei_tvalue_attribute(render, node, &from, which.text, found);
    if (!cei_tvalue_need(render, node, &from)) return false;
    *found = cei_tvalue_undefined(ce_text_of("an item"));
    if (from.kind == CEI_T_MAP) {
        const cei_tvalue *item = map_find(render, node, &from.map, &which);
        if (item) *found = *item;
        return render->status == CE_OK;
    }
    if (!cei_tvalue_is_integer(&which, &index)) return true;
    if (from.kind == CEI_T_STRING) return string_item(render, node, from.text, index, found);
    if (from.kind != CEI_T_LIST) return true;
    if (index < 0) index += (int64_t)from.list.count;
    if (index >= 0 && index < (int64_t)from.list.count) *found = from.list.items[index];
    return true;
}

/* A bound of a slice over count items, as Python places it; usual where it is none. */
static bool place_bound(cei_trender *render, const cei_tnode *node, const cei_tvalue *bound, int64_t usual,
                        int64_t count, int64_t least, int64_t *at) {
    *at = usual;
    if (bound->kind == CEI_T_NONE) return true;
    if (!cei_tvalue_is_integer(bound, at))
        return cei_trender_fail(render, node, "a slice's bound is %s", cei_tvalue_kind(bound));
    if (*at < 0) *at += count;
    if (*at < least) *at = least;
    if (*at > count + least) *at = count + least;
    return true;
}

bool cei_tvalue_slice(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, const cei_tvalue bounds[3],
                      cei_tvalue *part) {
    const cei_tvalue from = *value;
    int64_t start, stop, step = 1;
    cei_tlist items;
    if (!cei_tvalue_need(render, node, &from)) return false;
    *part = cei_tvalue_undefined(ce_text_of("a slice"));
    if (from.kind != CEI_T_STRING && from.kind != CEI_T_LIST) return true;
    if (!cei_tvalue_items(render, node, &from, &items)) return false;
    if (bounds[2].kind != CEI_T_NONE && (!cei_tvalue_is_integer(&bounds[2], &step) || step == 0))
        return cei_trender_fail(render, node, "a slice's step must be an integer but 0");
    const int64_t count = (int64_t)items.count, least = step < 0 ? -1 : 0;
    if (!place_bound(render, node, &bounds[0], step < 0 ? count - 1 : 0, count, least, &start) ||
        !place_bound(render, node, &bounds[1], step < 0 ? -1 : count, count, least, &stop))
        return false;
    cei_tvalue *kept = cei_trender_take(render, node, items.count, sizeof *kept);
    if (!kept || !cei_trender_step(render, node, items.count / 8)) return false;
    size_t found = 0;
    for (int64_t at = start; step > 0 ? at < stop : at > stop; at += step) kept[found++] = items.items[at];
    if (from.kind == CEI_T_LIST) {
        *part = (cei_tvalue){.kind = CEI_T_LIST, .list = {kept, found}};
        return true;
    }
    const size_t begin = render->out->size;
    for (size_t i = 0; i < found; i++)
        if (!cei_trender_write(render, node, kept[i].text)) return false;
    return cei_trender_capture(render, node, begin, part);
}
