/* template_filters.c - the filters, tests and functions of templates, each by its name. */
#include "text/template_render.h"

/* ---- filters ------------------------------------------------------------------------------------------------- */

static bool give_text(cei_tvalue *result, ce_text text) {
    *result = cei_tvalue_text(text);
    return true;
}

static bool give_bool(cei_tvalue *result, bool value) {
    *result = cei_tvalue_bool(value);
    return true;
}

/* The value as a text. */
static bool self_text(cei_trender *render, const cei_tcall *call, ce_text *text) {
    return cei_tvalue_string(render, call->node, &call->self, text);
}

/* A parameter that must be a string if it is given; NULL data if it isn't. */
static bool optional_text(cei_trender *render, const cei_tcall *call, size_t index, ce_text *text) {
    const cei_tvalue *value = &call->args[index];
    *text = value->kind == CEI_T_STRING ? value->text : (ce_text){NULL, 0};
    if (value->kind == CEI_T_STRING || value->kind == CEI_T_UNDEFINED || value->kind == CEI_T_NONE) return true;
    return cei_trender_fail(render, call->node, "\"%s\" is given %s for a string", call->node->builtin->name,
                            cei_tvalue_kind(value));
}

static bool trim(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    ce_text text, set;
    return self_text(render, call, &text) && optional_text(render, call, 0, &set) &&
           give_text(result, cei_text_strip(text, set, true, true)) &&
           cei_trender_step(render, call->node, (text.size - result->text.size) / 64 * (set.size + 1));
}

static bool length(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const cei_tvalue *self = &call->self;
    size_t count = 0;
    switch (self->kind) {
    case CEI_T_UNDEFINED: break;
    case CEI_T_STRING: count = cei_text_length(self->text); break;
    case CEI_T_LIST: count = self->list.count; break;
    case CEI_T_MAP: count = self->map.count; break;
    default: return cei_trender_fail(render, call->node, "%s has no length", cei_tvalue_kind(self));
    }
    *result = cei_tvalue_integer((int64_t)count);
    return cei_trender_step(render, call->node, self->kind == CEI_T_STRING ? self->text.size / 256 : 0);
}

static bool upper(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return cei_trender_fold(render, call, cei_tfold_upper, result);
}

static bool lower(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return cei_trender_fold(render, call, cei_tfold_lower, result);
}

static bool title(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return cei_trender_fold(render, call, cei_tfold_title, result);
}

static bool capitalize(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return cei_trender_fold(render, call, cei_tfold_capitalize, result);
}

static bool usual(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    (void)render;
    const bool by_truth = cei_tvalue_is_true(&call->args[1]);
    const bool keeps = by_truth ? cei_tvalue_is_true(&call->self) : call->self.kind != CEI_T_UNDEFINED;
    const bool given = call->args[0].kind != CEI_T_UNDEFINED;
    *result = keeps ? call->self : given ? call->args[0] : cei_tvalue_text(ce_text_of(""));
    return true;
}

static bool join(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const size_t start = render->out->size;
    cei_tlist items;
    ce_text between, attribute, text;
    if (!optional_text(render, call, 0, &between) || !optional_text(render, call, 1, &attribute) ||
        !cei_tvalue_items(render, call->node, &call->self, &items))
        return false;
    for (size_t i = 0; i < items.count; i++) {
        cei_tvalue one = items.items[i];
        if (attribute.data && !cei_tvalue_attribute(render, call->node, &one, attribute, &one)) return false;
        if (!cei_trender_step(render, call->node, 1) || !cei_tvalue_string(render, call->node, &one, &text) ||
            (i > 0 && !cei_trender_write(render, call->node, between)) || !cei_trender_write(render, call->node, text))
            return false;
    }
    return cei_trender_capture(render, call->node, start, result);
}

static bool one_of(cei_trender *render, const cei_tcall *call, bool last, cei_tvalue *result) {
    cei_tlist items;
    if (!cei_tvalue_items(render, call->node, &call->self, &items)) return false;
    *result = cei_tvalue_undefined(ce_text_of(last ? "a last item" : "a first item"));
    if (items.count) *result = items.items[last ? items.count - 1 : 0];
    return true;
}

static bool first(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return one_of(render, call, false, result);
}

static bool last(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return one_of(render, call, true, result);
}

static bool replace(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    ce_text text, old, new;
    int64_t most = -1;
    if (!self_text(render, call, &text) || !cei_tvalue_string(render, call->node, &call->args[0], &old) ||
        !cei_tvalue_string(render, call->node, &call->args[1], &new))
        return false;
    cei_tvalue_is_integer(&call->args[2], &most);
    return cei_trender_replace(render, call->node, text, old, new, most, result);
}

static bool tojson(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const size_t start = render->out->size;
    int64_t indent = -1;
    cei_tvalue_is_integer(&call->args[0], &indent);
    return cei_tvalue_json(render, call->node, &call->self, indent) &&
           cei_trender_capture(render, call->node, start, result);
}

static bool list(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    cei_tlist items;
    if (!cei_tvalue_items(render, call->node, &call->self, &items)) return false;
    *result = (cei_tvalue){.kind = CEI_T_LIST, .list = items};
    return true;
}

static bool string(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    ce_text text;
    return self_text(render, call, &text) && give_text(result, text);
}

/* The number that a text is, in decimal digits with a sign and white space; false if it is none. */
static bool parse_integer(ce_text text, int64_t *integer) {
    text = cei_text_strip(text, (ce_text){NULL, 0}, true, true);
    const bool negative = text.size > 0 && text.data[0] == '-';
    if (text.size > 0 && (negative || text.data[0] == '+')) text = (ce_text){text.data + 1, text.size - 1};
    if (text.size == 0 || text.size > 15) return false;
    int64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *integer = negative ? -value : value;
    return true;
}

static bool integer(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    int64_t value = 0;
    double number;
    cei_tvalue_is_integer(&call->args[0], &value);
    if (cei_tvalue_is_number(&call->self, &number) && number > -CEI_TEMPLATE_INTEGER_LIMIT &&
        number < CEI_TEMPLATE_INTEGER_LIMIT)
        value = (int64_t)number;
    else if (call->self.kind == CEI_T_STRING)
        parse_integer(call->self.text, &value);
    else if (!cei_tvalue_need(render, call->node, &call->self))
        return false;
    *result = cei_tvalue_integer(value);
    return true;
}

static bool reverse(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const cei_tvalue bounds[3] = {{.kind = CEI_T_NONE}, {.kind = CEI_T_NONE}, cei_tvalue_integer(-1)};
    cei_tvalue self = call->self;
    if (self.kind != CEI_T_STRING && !list(render, call, &self)) return false;
    return cei_tvalue_slice(render, call->node, &self, bounds, result);
}

static bool items(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    const cei_tbuiltin *method = cei_template_method(ce_text_of("items"));
    if (call->self.kind != CEI_T_UNDEFINED) return method->run(render, call, result);
    *result = (cei_tvalue){.kind = CEI_T_LIST};
    return true;
}

static bool itself(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    (void)render;
    *result = call->self;
    return true;
}

static const cei_tbuiltin filters[] = {
    {.name = "trim", .run = trim, .parameters = {"chars"}},
    {.name = "length", .run = length},
    {.name = "count", .run = length},
    {.name = "upper", .run = upper},
    {.name = "lower", .run = lower},
    {.name = "title", .run = title},
    {.name = "capitalize", .run = capitalize},
    {.name = "default", .run = usual, .parameters = {"default_value", "boolean"}},
    {.name = "d", .run = usual, .parameters = {"default_value", "boolean"}},
    {.name = "join", .run = join, .parameters = {"d", "attribute"}},
    {.name = "first", .run = first},
    {.name = "last", .run = last},
    {.name = "replace", .run = replace, .parameters = {"old", "new", "count"}, .least = 2},
    {.name = "tojson", .run = tojson, .parameters = {"indent"}},
    {.name = "list", .run = list},
    {.name = "string", .run = string},
    {.name = "int", .run = integer, .parameters = {"default"}},
    {.name = "reverse", .run = reverse},
    {.name = "items", .run = items},
    {.name = "safe", .run = itself},
};

const cei_tbuiltin *cei_template_filter(ce_text name) {
    return cei_tbuiltin_find(filters, sizeof filters / sizeof *filters, name);
}

/* ---- tests --------------------------------------------------------------------------------------------------- */

/* Is it of one of the kinds that the table has for the test? */
static bool is_of_kinds(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    (void)render;
    return give_bool(result, (call->node->builtin->kinds >> call->self.kind & 1) != 0);
}

static bool is_number(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    (void)render;
    double number;
    return give_bool(result, cei_tvalue_is_number(&call->self, &number));
}

static bool is_true(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    (void)render;
    return give_bool(result, call->self.kind == CEI_T_BOOL && call->self.boolean);
}

static bool is_false(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    (void)render;
    return give_bool(result, call->self.kind == CEI_T_BOOL && !call->self.boolean);
}

static bool is_equal(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    bool equal;
    return cei_tvalue_equal(render, call->node, &call->self, &call->args[0], &equal) && give_bool(result, equal);
}

static bool is_unequal(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    bool equal;
    return cei_tvalue_equal(render, call->node, &call->self, &call->args[0], &equal) && give_bool(result, !equal);
}

static bool is_less(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    int order;
    return cei_tvalue_compare(render, call->node, &call->self, &call->args[0], &order) && give_bool(result, order < 0);
}

static bool is_greater(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    int order;
    return cei_tvalue_compare(render, call->node, &call->self, &call->args[0], &order) && give_bool(result, order > 0);
}

static bool is_in(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    bool contains;
    return cei_tvalue_contains(render, call->node, &call->args[0], &call->self, &contains) &&
           give_bool(result, contains);
}

static bool is_divisible(cei_trender *render, const cei_tcall *call, int64_t divisor, int64_t rest,
                         cei_tvalue *result) {
    int64_t value;
    if (!cei_tvalue_is_integer(&call->self, &value) || divisor == 0)
        return cei_trender_fail(render, call->node, "%s is divided", cei_tvalue_kind(&call->self));
    return give_bool(result, (value % divisor != 0) == (rest != 0));
}

static bool is_odd(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return is_divisible(render, call, 2, 1, result);
}

static bool is_even(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    return is_divisible(render, call, 2, 0, result);
}

static bool is_divisible_by(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    int64_t divisor = 0;
    cei_tvalue_is_integer(&call->args[0], &divisor);
    return is_divisible(render, call, divisor, 0, result);
}

#define KIND(name) (1u << CEI_T_##name)
/* undefined is an empty sequence, as it is in a loop. */
#define SEQUENCES (KIND(STRING) | KIND(LIST) | KIND(MAP) | KIND(UNDEFINED))

static const cei_tbuiltin tests[] = {
    {.name = "defined", .run = is_of_kinds, .kinds = ~KIND(UNDEFINED)},
    {.name = "undefined", .run = is_of_kinds, .kinds = KIND(UNDEFINED)},
    {.name = "none", .run = is_of_kinds, .kinds = KIND(NONE)},
    {.name = "string", .run = is_of_kinds, .kinds = KIND(STRING)},
    {.name = "mapping", .run = is_of_kinds, .kinds = KIND(MAP)},
    {.name = "iterable", .run = is_of_kinds, .kinds = SEQUENCES | KIND(LOOP)},
    {.name = "sequence", .run = is_of_kinds, .kinds = SEQUENCES},
    {.name = "number", .run = is_number},
    {.name = "integer", .run = is_of_kinds, .kinds = KIND(INTEGER)},
    {.name = "float", .run = is_of_kinds, .kinds = KIND(REAL)},
    {.name = "boolean", .run = is_of_kinds, .kinds = KIND(BOOL)},
    {.name = "true", .run = is_true},
    {.name = "false", .run = is_false},
    {.name = "eq", .run = is_equal, .parameters = {"other"}, .least = 1},
    {.name = "equalto", .run = is_equal, .parameters = {"other"}, .least = 1},
    {.name = "==", .run = is_equal, .parameters = {"other"}, .least = 1},
    {.name = "ne", .run = is_unequal, .parameters = {"other"}, .least = 1},
    {.name = "!=", .run = is_unequal, .parameters = {"other"}, .least = 1},
    {.name = "lt", .run = is_less, .parameters = {"other"}, .least = 1},
    {.name = "lessthan", .run = is_less, .parameters = {"other"}, .least = 1},
    {.name = "gt", .run = is_greater, .parameters = {"other"}, .least = 1},
    {.name = "greaterthan", .run = is_greater, .parameters = {"other"}, .least = 1},
    {.name = "in", .run = is_in, .parameters = {"seq"}, .least = 1},
    {.name = "odd", .run = is_odd},
    {.name = "even", .run = is_even},
    {.name = "divisibleby", .run = is_divisible_by, .parameters = {"num"}, .least = 1},
};

const cei_tbuiltin *cei_template_test(ce_text name) {
    return cei_tbuiltin_find(tests, sizeof tests / sizeof *tests, name);
}

/* ---- functions ----------------------------------------------------------------------------------------------- */

static bool raise_exception(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    ce_text text;
    (void)result;
    if (!cei_tvalue_string(render, call->node, &call->args[0], &text)) return false;
    return cei_trender_fail(render, call->node, "the template says: %.*s", (int)cei_min_size(text.size, 200),
                            text.size ? text.data : "");
}

static bool range(cei_trender *render, const cei_tcall *call, cei_tvalue *result) {
    int64_t bounds[3] = {0, 0, 1};
    size_t given = 0;
    while (given < 3 && call->args[given].kind != CEI_T_UNDEFINED) given++;
    for (size_t i = 0; i < given; i++)
        if (!cei_tvalue_is_integer(&call->args[i], &bounds[given == 1 ? 1 : i]))
            return cei_trender_fail(render, call->node, "range is given %s", cei_tvalue_kind(&call->args[i]));
    const int64_t step = bounds[2], span = bounds[1] - bounds[0];
    if (step == 0) return cei_trender_fail(render, call->node, "the step of range is 0");
    const int64_t count = (span > 0) == (step > 0) && span != 0 ? (span + step - (step > 0 ? 1 : -1)) / step : 0;
    if (!cei_trender_step(render, call->node, (uint64_t)count)) return false;
    cei_tvalue *all = cei_trender_take(render, call->node, (size_t)count, sizeof *all);
    if (!all) return false;
    for (int64_t i = 0; i < count; i++) all[i] = cei_tvalue_integer(bounds[0] + i * step);
    *result = (cei_tvalue){.kind = CEI_T_LIST, .list = {all, (size_t)count}};
    return true;
}

static const cei_tbuiltin functions[] = {
    {.name = "raise_exception", .run = raise_exception, .parameters = {"message"}, .least = 1},
    {.name = "range", .run = range, .parameters = {"start", "stop", "step"}, .least = 1},
};

const cei_tbuiltin *cei_template_function(ce_text name) {
    return cei_tbuiltin_find(functions, sizeof functions / sizeof *functions, name);
}
