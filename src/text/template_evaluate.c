/* template_evaluate.c - the values of expressions. */
#include "text/template_render.h"

#include <math.h>

/* ---- arithmetic ---------------------------------------------------------------------------------------------- */

/* An integer result, if it is exact as a double too: so sums and products can be checked before they are made. */
static bool give_integer(cei_trender *render, const cei_tnode *node, double checked, int64_t exact, cei_tvalue *value) {
    if (fabs(checked) > CEI_TEMPLATE_INTEGER_LIMIT)
        return cei_trender_fail(render, node, "an integer is larger than 9e15");
    *value = cei_tvalue_integer(exact);
    return true;
}

/* Rounded down, as Python divides. */
static int64_t floor_divide(int64_t a, int64_t b) {
    const int64_t quotient = a / b;
    return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

static bool integers(cei_trender *render, const cei_tnode *node, int64_t a, int64_t b, cei_tvalue *value) {
    const double x = (double)a, y = (double)b;
    switch (node->op) {
    case CEI_O_ADD: return give_integer(render, node, x + y, a + b, value);
    case CEI_O_SUBTRACT: return give_integer(render, node, x - y, a - b, value);
    case CEI_O_MULTIPLY:
        return give_integer(render, node, x * y, fabs(x * y) > CEI_TEMPLATE_INTEGER_LIMIT ? 0 : a * b, value);
    default: break;
    }
    if (b == 0) return cei_trender_fail(render, node, "a division by zero");
    if (node->op == CEI_O_DIVIDE)
        *value = cei_tvalue_real(x / y);
    else
        *value = cei_tvalue_integer(node->op == CEI_O_FLOOR ? floor_divide(a, b) : a - b * floor_divide(a, b));
    return true;
}

static bool reals(cei_trender *render, const cei_tnode *node, double x, double y, cei_tvalue *value) {
    switch (node->op) {
    case CEI_O_ADD: *value = cei_tvalue_real(x + y); return true;
    case CEI_O_SUBTRACT: *value = cei_tvalue_real(x - y); return true;
    case CEI_O_MULTIPLY: *value = cei_tvalue_real(x * y); return true;
    default: break;
    }
    if (y == 0) return cei_trender_fail(render, node, "a division by zero");
    if (node->op != CEI_O_DIVIDE)
        return cei_trender_fail(render, node, "// and %% of numbers that are no integers are not supported");
    *value = cei_tvalue_real(x / y);
    return true;
}

/* count copies of what was written from start on, one of which is there. */
static bool repeat(cei_trender *render, const cei_tnode *node, ce_text text, int64_t count, cei_tvalue *value) {
    const size_t start = render->out->size;
    for (int64_t i = 0; i < count; i++)
        if (!cei_trender_step(render, node, 1) || !cei_trender_write(render, node, text)) return false;
    return cei_trender_capture(render, node, start, value);
}

static bool join_texts(cei_trender *render, const cei_tnode *node, ce_text a, ce_text b, cei_tvalue *value) {
    size_t size;
    if (!cei_add_size(a.size, b.size, &size)) return cei_trender_fail(render, node, "a string is too long");
    char *joined = cei_trender_take(render, node, size, 1);
    if (!joined) return false;
    if (a.size) memcpy(joined, a.data, a.size);
    if (b.size) memcpy(joined + a.size, b.data, b.size);
    *value = cei_tvalue_text((ce_text){joined, size});
    return true;
}

static bool join_lists(cei_trender *render, const cei_tnode *node, cei_tlist a, cei_tlist b, cei_tvalue *value) {
    cei_tvalue *items = cei_trender_take(render, node, a.count + b.count, sizeof *items);
    if (!items) return false;
    if (a.count) memcpy(items, a.items, a.count * sizeof *items);
    if (b.count) memcpy(items + a.count, b.items, b.count * sizeof *items);
    *value = (cei_tvalue){.kind = CEI_T_LIST, .list = {items, a.count + b.count}};
    return true;
}

static bool calculate(cei_trender *render, const cei_tnode *node, const cei_tvalue *a, const cei_tvalue *b,
                      cei_tvalue *value) {
    int64_t i, j;
    double x, y;
    if (!cei_tvalue_need(render, node, a) || !cei_tvalue_need(render, node, b)) return false;
    if (cei_tvalue_is_integer(a, &i) && cei_tvalue_is_integer(b, &j)) return integers(render, node, i, j, value);
    if (cei_tvalue_is_number(a, &x) && cei_tvalue_is_number(b, &y)) return reals(render, node, x, y, value);
    if (node->op == CEI_O_ADD && a->kind == CEI_T_STRING && b->kind == CEI_T_STRING)
        return join_texts(render, node, a->text, b->text, value);
    if (node->op == CEI_O_ADD && a->kind == CEI_T_LIST && b->kind == CEI_T_LIST)
        return join_lists(render, node, a->list, b->list, value);
    if (node->op == CEI_O_MULTIPLY && a->kind == CEI_T_STRING && cei_tvalue_is_integer(b, &j))
        return repeat(render, node, a->text, j, value);
    return cei_trender_fail(render, node, "%s and %s have no such operation", cei_tvalue_kind(a), cei_tvalue_kind(b));
}

static bool binary(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    cei_tvalue a, b;
    ce_text left, right;
    if (!cei_trender_evaluate(render, scope, node->a, &a) || !cei_trender_evaluate(render, scope, node->b, &b))
        return false;
    if (node->op != CEI_O_CONCATENATE) return calculate(render, node, &a, &b, value);
    return cei_tvalue_string(render, node, &a, &left) && cei_tvalue_string(render, node, &b, &right) &&
           join_texts(render, node, left, right, value);
}

static bool sign(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    int64_t integer;
    if (!cei_trender_evaluate(render, scope, node->a, value) || !cei_tvalue_need(render, node, value)) return false;
    const bool negative = node->kind == CEI_N_NEGATE;
    if (cei_tvalue_is_integer(value, &integer))
        *value = cei_tvalue_integer(negative ? -integer : integer);
    else if (value->kind == CEI_T_REAL)
        value->real = negative ? -value->real : value->real;
    else
        return cei_trender_fail(render, node, "%s has no sign", cei_tvalue_kind(value));
    return true;
}

/* ---- comparisons --------------------------------------------------------------------------------------------- */

static bool compare(cei_trender *render, const cei_tnode *link, const cei_tvalue *a, const cei_tvalue *b, bool *holds) {
    const cei_toperator op = link->op;
    int order;
    if (op == CEI_O_EQUAL || op == CEI_O_NOT_EQUAL) {
        if (!cei_tvalue_equal(render, link, a, b, holds)) return false;
        *holds = *holds == (op == CEI_O_EQUAL);
        return true;
    }
    if (op == CEI_O_IN || op == CEI_O_NOT_IN) {
        if (!cei_tvalue_contains(render, link, b, a, holds)) return false;
        *holds = *holds == (op == CEI_O_IN);
        return true;
    }
    if (!cei_tvalue_compare(render, link, a, b, &order)) return false;
    *holds = op == CEI_O_LESS         ? order < 0
             : op == CEI_O_LESS_EQUAL ? order <= 0
             : op == CEI_O_GREATER    ? order > 0
                                      : order >= 0;
    return true;
}

/* a < b < c holds if both do. */
static bool compare_all(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    cei_tvalue left, right;
    bool holds = true;
    if (!cei_trender_evaluate(render, scope, node->a, &left)) return false;
    for (const cei_tnode *link = node->args; link && holds; link = link->next) {
        if (!cei_trender_evaluate(render, scope, link->a, &right) || !compare(render, link, &left, &right, &holds))
            return false;
        left = right;
    }
    *value = cei_tvalue_bool(holds);
    return true;
}

/* ---- lists and maps ------------------------------------------------------------------------------------------ */

static size_t count_args(const cei_tnode *node) {
    size_t count = 0;
    for (const cei_tnode *item = node->args; item; item = item->next) count++;
    return count;
}

static bool make_list(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    const size_t count = count_args(node);
    cei_tvalue *items = cei_trender_take(render, node, count, sizeof *items);
    size_t i = 0;
    if (!items) return false;
    for (const cei_tnode *item = node->args; item; item = item->next)
        if (!cei_trender_evaluate(render, scope, item, &items[i++])) return false;
    *value = (cei_tvalue){.kind = CEI_T_LIST, .list = {items, count}};
    return true;
}

/* Puts a value where an equal key is, or behind all. */
static bool put(cei_trender *render, const cei_tnode *node, cei_tvalue *keys, cei_tvalue *values, size_t *count,
                const cei_tvalue *key, const cei_tvalue *value) {
    size_t at = 0;
    bool same = false;
    for (; at < *count; at++) {
        if (!cei_tvalue_equal(render, node, &keys[at], key, &same)) return false;
        if (same) break;
    }
    if (at == *count) keys[(*count)++] = *key;
    values[at] = *value;
    return cei_trender_step(render, node, 1 + at / 8);
}

/* {key: value, ...}, or dict(name=value, ...). */
static bool make_map(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *result) {
    const size_t room = count_args(node);
    cei_tvalue *keys = cei_trender_take(render, node, 2 * room, sizeof *keys), key, value;
    size_t count = 0;
    if (!keys) return false;
    for (const cei_tnode *item = node->args; item; item = item->next) {
        const bool is_named = node->kind == CEI_N_DICT;
        key = cei_tvalue_text(item->name);
        if (!is_named && !cei_trender_evaluate(render, scope, item, &key)) return false;
        if (!is_named) item = item->next;
        if (!cei_trender_evaluate(render, scope, is_named ? item->a : item, &value) ||
            !put(render, node, keys, keys + room, &count, &key, &value))
            return false;
    }
    *result = (cei_tvalue){.kind = CEI_T_MAP, .map = {keys, keys + room, count}};
    return true;
}

static bool make_namespace(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *result) {
    cei_tscope *space = cei_trender_take(render, node, 1, sizeof *space);
    if (!space) return false;
    *space = (cei_tscope){0};
    for (const cei_tnode *item = node->args; item; item = item->next) {
        cei_tvalue value;
        if (!cei_trender_evaluate(render, scope, item->a, &value) ||
            !cei_tscope_set(render, node, space, item->name, &value))
            return false;
    }
    *result = (cei_tvalue){.kind = CEI_T_NAMESPACE, .space = space};
    return true;
}

static bool slice(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    cei_tvalue bounds[3];
    size_t i = 0;
    if (!cei_trender_evaluate(render, scope, node->a, value)) return false;
    for (const cei_tnode *bound = node->args; bound; bound = bound->next)
        if (!cei_trender_evaluate(render, scope, bound, &bounds[i++])) return false;
    return cei_tvalue_slice(render, node, value, bounds, value);
}

static bool item(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    cei_tvalue key;
    return cei_trender_evaluate(render, scope, node->a, value) && cei_trender_evaluate(render, scope, node->b, &key) &&
           cei_tvalue_item(render, node, value, &key, value);
}

/* ---- calls --------------------------------------------------------------------------------------------------- */

/* A call of a builtin, with its arguments. */
static bool prepare(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tcall *call) {
    *call = (cei_tcall){.node = node};
    if (node->a && !cei_trender_evaluate(render, scope, node->a, &call->self)) return false;
    for (size_t i = 0; i < CEI_TEMPLATE_PARAMETERS; i++)
        call->args[i] = cei_tvalue_undefined(ce_text_of("an argument"));
    for (const cei_tnode *argument = node->args; argument; argument = argument->next)
        if (!cei_trender_evaluate(render, scope, argument->a, &call->args[argument->index])) return false;
    return true;
}

static bool run_builtin(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    cei_tcall call;
    return prepare(render, scope, node, &call) && node->builtin->run(render, &call, value);
}

static bool call_macro(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    cei_tvalue macro;
    if (!cei_tscope_get(render, node, scope, node->name, &macro)) return false;
    if (macro.kind == CEI_T_MACRO) return cei_trender_macro(render, scope, macro.macro, node, value);
    return cei_trender_fail(render, node, "\"%.*s\" is called, and is %s", (int)cei_min_size(node->name.size, 60),
                            node->name.data, cei_tvalue_kind(&macro));
}

/* Is the item, or its attribute, of those that a select keeps? */
static bool is_selected(cei_trender *render, const cei_tcall *call, const cei_tvalue *one, bool *selected) {
    const cei_tnode *node = call->node;
    cei_tcall test = *call;
    cei_tvalue result;
    test.self = *one;
    if (node->name.data && !cei_tvalue_attribute(render, node, one, node->name, &test.self)) return false;
    if (!node->builtin)
        result = test.self;
    else if (!node->builtin->run(render, &test, &result))
        return false;
    *selected = cei_tvalue_is_true(&result) != node->flag;
    return true;
}

/* map and select: a list of what became of each item. */
static bool run_each(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    cei_tcall call;
    cei_tlist items;
    size_t count = 0;
    if (!prepare(render, scope, node, &call) || !cei_tvalue_items(render, node, &call.self, &items)) return false;
    cei_tvalue *kept = cei_trender_take(render, node, items.count, sizeof *kept);
    if (!kept) return false;
    for (size_t i = 0; i < items.count; i++) {
        bool wanted = true, good = cei_trender_step(render, node, 1);
        kept[count] = call.self = items.items[i];
        if (node->kind == CEI_N_SELECT)
            good = good && is_selected(render, &call, &items.items[i], &wanted);
        else if (node->kind == CEI_N_MAP_NAME)
            good = good && cei_tvalue_attribute(render, node, &items.items[i], node->name, &kept[count]);
        else
            good = good && node->builtin->run(render, &call, &kept[count]);
        if (!good) return false;
        count += wanted;
    }
    *value = (cei_tvalue){.kind = CEI_T_LIST, .list = {kept, count}};
    return true;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

static bool logic(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    if (!cei_trender_evaluate(render, scope, node->a, value)) return false;
    if (node->kind == CEI_N_NOT) {
        *value = cei_tvalue_bool(!cei_tvalue_is_true(value));
        return true;
    }
    const bool decided = cei_tvalue_is_true(value) == (node->kind == CEI_N_OR);
    return decided || cei_trender_evaluate(render, scope, node->b, value);
}

static bool conditional(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    if (!cei_trender_evaluate(render, scope, node->a, value)) return false;
    const cei_tnode *chosen = cei_tvalue_is_true(value) ? node->b : node->c;
    if (chosen) return cei_trender_evaluate(render, scope, chosen, value);
    *value = cei_tvalue_undefined(ce_text_of("an if without else"));
    return true;
}

static bool attribute(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    return cei_trender_evaluate(render, scope, node->a, value) &&
           cei_tvalue_attribute(render, node, value, node->name, value);
}

static bool evaluate(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    switch (node->kind) {
    case CEI_N_CONSTANT: *value = node->constant; return true;
    case CEI_N_NAME: return cei_tscope_get(render, node, scope, node->name, value);
    case CEI_N_LIST: return make_list(render, scope, node, value);
    case CEI_N_DICT:
    case CEI_N_MAP: return make_map(render, scope, node, value);
    case CEI_N_ATTRIBUTE: return attribute(render, scope, node, value);
    case CEI_N_ITEM: return item(render, scope, node, value);
    case CEI_N_SLICE: return slice(render, scope, node, value);
    case CEI_N_CALL: return call_macro(render, scope, node, value);
    case CEI_N_NAMESPACE: return make_namespace(render, scope, node, value);
    case CEI_N_MAP_NAME:
    case CEI_N_MAP_FILTER:
    case CEI_N_SELECT: return run_each(render, scope, node, value);
    case CEI_N_NEGATE:
    case CEI_N_PLUS: return sign(render, scope, node, value);
    case CEI_N_NOT:
    case CEI_N_AND:
    case CEI_N_OR: return logic(render, scope, node, value);
    case CEI_N_BINARY: return binary(render, scope, node, value);
    case CEI_N_COMPARE: return compare_all(render, scope, node, value);
    case CEI_N_CONDITIONAL: return conditional(render, scope, node, value);
    default: return run_builtin(render, scope, node, value);
    }
}

bool cei_trender_evaluate(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value) {
    if (!cei_trender_step(render, node, 1) || !cei_trender_enter(render, node)) return false;
    const bool good = evaluate(render, scope, node, value);
    render->depth--;
    return good;
}
