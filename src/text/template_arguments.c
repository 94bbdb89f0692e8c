/* template_arguments.c - reads what is called: filters, tests, methods, functions, macros, with their arguments.
 *
 * Arguments are put in the order of the parameters here, so that nothing is left to refuse when a template runs. */
#include "text/template_arguments.h"

/* Is this `name =`, the beginning of an argument by name? */
static bool at_keyword(const cei_tparser *p) {
    return p->token->kind == CEI_TOK_NAME && p->token[1].kind == CEI_TOK_OPERATOR && cei_text_is(p->token[1].text, "=");
}

static cei_tnode *take_argument(cei_tparser *p, size_t position) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_ARGUMENT);
    if (!node) return NULL;
    node->index = (uint16_t)position;
    if (cei_tparser_at_operator(p, "*") || cei_tparser_at_operator(p, "**")) {
        cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "arguments by * are not supported");
        return NULL;
    }
    if (at_keyword(p)) {
        node->name = p->token->text;
        p->token += 2;
    }
    return cei_tparser_hold(p, node, &node->a, cei_tparser_expression(p)) ? node : NULL;
}

/* Arguments in parentheses, of which the first is the next token, as node's args. */
static bool take_arguments(cei_tparser *p, cei_tnode *node) {
    cei_tnode **end = &node->args;
    size_t position = 0;
    bool named = false;
    if (!cei_tparser_take(p, "(")) return false;
    while (!cei_tparser_skip(p, CEI_TOK_OPERATOR, ")")) {
        if (position > 0 && !cei_tparser_take(p, ",")) return false;
        if (position > 0 && cei_tparser_skip(p, CEI_TOK_OPERATOR, ")")) return true;
        if (!cei_tparser_hold(p, node, end, take_argument(p, position++))) return false;
        if (named && !(*end)->name.data)
            return cei_tparser_fail(p, CE_ERR_FORMAT, "an argument without a name stands behind one with a name");
        named = (*end)->name.data != NULL;
        end = &(*end)->next;
    }
    return true;
}

/* Gives each argument the number of its parameter. what is called so in messages. */
static bool bind(cei_tparser *p, cei_tnode *node, const char *what) {
    const cei_tbuiltin *builtin = node->builtin;
    bool given[CEI_TEMPLATE_PARAMETERS] = {false};
    for (cei_tnode *argument = node->args; argument; argument = argument->next) {
        size_t index = argument->index;
        if (argument->name.data)
            for (index = 0; index < CEI_TEMPLATE_PARAMETERS; index++)
                if (builtin->parameters[index] && cei_text_is(argument->name, builtin->parameters[index])) break;
        if (index >= CEI_TEMPLATE_PARAMETERS || !builtin->parameters[index] || given[index])
            return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "the argument \"%.*s\" of the %s \"%s\" is not supported",
                                    (int)cei_min_size(argument->name.size, 60),
                                    argument->name.data ? argument->name.data : "", what, builtin->name);
        given[index] = true;
        argument->index = (uint16_t)index;
    }
    for (size_t i = 0; i < builtin->least; i++)
        if (!given[i])
            return cei_tparser_fail(p, CE_ERR_FORMAT, "the %s \"%s\" lacks its argument \"%s\"", what, builtin->name,
                                    builtin->parameters[i]);
    return true;
}

static bool unknown(cei_tparser *p, const char *what, ce_text name) {
    return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "the %s \"%.*s\" is not supported", what,
                            (int)cei_min_size(name.size, 60), name.data);
}

/* ---- filters and tests --------------------------------------------------------------------------------------- */

/* The text of an argument that must be a string here, so that it is known what runs. */
static bool constant_text(cei_tparser *p, const cei_tnode *argument, const char *what, ce_text *text) {
    if (!argument || argument->a->kind != CEI_N_CONSTANT || argument->a->constant.kind != CEI_T_STRING)
        return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "%s must be a string in the template itself", what);
    *text = argument->a->constant.text;
    return true;
}

/* Drops the first argument; those behind it become the first ones. */
static void shift(cei_tnode *node) {
    node->args = node->args->next;
    for (cei_tnode *argument = node->args; argument; argument = argument->next)
        if (argument->index > 0) argument->index--;
}

static bool attribute_name(cei_tparser *p, cei_tnode *node) {
    if (!constant_text(p, node->args, "the attribute", &node->name)) return false;
    for (size_t i = 0; i < node->name.size; i++)
        if (node->name.data[i] == '.')
            return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "an attribute with a point in it is not supported");
    shift(node);
    return true;
}

/* map(attribute="x") or map("filter", ...). */
static bool read_map(cei_tparser *p, cei_tnode *node) {
    ce_text filter = {NULL, 0};
    if (node->args && node->args->name.data && cei_text_is(node->args->name, "attribute") && !node->args->next) {
        node->kind = CEI_N_MAP_NAME;
        return attribute_name(p, node);
    }
    if (!node->args || node->args->name.data)
        return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "map takes an attribute alone, or the name of a filter");
    if (!constant_text(p, node->args, "the filter of map", &filter)) return false;
    node->kind = CEI_N_MAP_FILTER;
    node->builtin = cei_template_filter(filter);
    shift(node);
    return node->builtin ? bind(p, node, "filter") : unknown(p, "filter", filter);
}

/* select, reject, selectattr and rejectattr: an attribute, if it is one of the latter, and a test with arguments. */
static bool read_select(cei_tparser *p, cei_tnode *node, ce_text name) {
    ce_text test = {NULL, 0};
    node->kind = CEI_N_SELECT;
    node->flag = name.data[0] == 'r';
    if (name.size > 6 && !attribute_name(p, node)) return false;
    if (!node->args) return true;
    if (!constant_text(p, node->args, "the test", &test)) return false;
    node->builtin = cei_template_test(test);
    shift(node);
    return node->builtin ? bind(p, node, "test") : unknown(p, "test", test);
}

cei_tnode *cei_tparser_filter(cei_tparser *p, cei_tnode *value) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_FILTER);
    ce_text name;
    if (!node || !cei_tparser_take_name(p, &name) || !cei_tparser_hold(p, node, &node->a, value)) return NULL;
    if (cei_tparser_at_operator(p, "(") && !take_arguments(p, node)) return NULL;
    bool good;
    if (cei_text_is(name, "map")) {
        good = read_map(p, node);
    } else if (cei_text_is(name, "select") || cei_text_is(name, "reject") || cei_text_is(name, "selectattr") ||
               cei_text_is(name, "rejectattr")) {
        good = read_select(p, node, name);
    } else {
        node->builtin = cei_template_filter(name);
        good = node->builtin ? bind(p, node, "filter") : unknown(p, "filter", name);
    }
    return good ? node : NULL;
}

/* May the next token be the argument of a test that has no parentheses? */
static bool at_test_argument(const cei_tparser *p) {
    switch (p->token->kind) {
    case CEI_TOK_STRING:
    case CEI_TOK_INTEGER:
    case CEI_TOK_REAL: return true;
    case CEI_TOK_NAME:
        return !cei_tparser_at_name(p, "else") && !cei_tparser_at_name(p, "or") && !cei_tparser_at_name(p, "and");
    default: return cei_tparser_at_operator(p, "[") || cei_tparser_at_operator(p, "{");
    }
}

cei_tnode *cei_tparser_test(cei_tparser *p, cei_tnode *value) {
    const bool negated = cei_tparser_skip(p, CEI_TOK_NAME, "not");
    cei_tnode *node = cei_tparser_node(p, CEI_N_TEST), *not = negated ? cei_tparser_node(p, CEI_N_NOT) : NULL;
    if (!node || (negated && !not ) || !cei_tparser_hold(p, node, &node->a, value)) return NULL;
    if (p->token->kind != CEI_TOK_NAME) {
        cei_tparser_expected(p, "the name of a test");
        return NULL;
    }
    const ce_text name = p->token++->text;
    node->builtin = cei_template_test(name);
    if (cei_tparser_at_operator(p, "(")) {
        if (!take_arguments(p, node)) return NULL;
    } else if (at_test_argument(p)) {
        cei_tnode *argument = cei_tparser_node(p, CEI_N_ARGUMENT);
        if (!argument || !cei_tparser_hold(p, argument, &argument->a, cei_tparser_operand(p)) ||
            !cei_tparser_hold(p, node, &node->args, argument))
            return NULL;
    }
    if (!(node->builtin ? bind(p, node, "test") : unknown(p, "test", name))) return NULL;
    if (!not ) return node;
    return cei_tparser_hold(p, not, &not ->a, node) ? not : NULL;
}

/* ---- calls --------------------------------------------------------------------------------------------------- */

/* namespace(a=1) and dict(a=1): every argument has a name. */
static bool take_names(cei_tparser *p, cei_tnode *node) {
    if (!take_arguments(p, node)) return false;
    for (const cei_tnode *argument = node->args; argument; argument = argument->next)
        if (!argument->name.data)
            return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "namespace and dict take arguments by name alone");
    return true;
}

static bool read_call(cei_tparser *p, cei_tnode *node, ce_text name) {
    const bool is_namespace = cei_text_is(name, "namespace");
    if (is_namespace || cei_text_is(name, "dict")) {
        node->kind = is_namespace ? CEI_N_NAMESPACE : CEI_N_DICT;
        return take_names(p, node);
    }
    node->builtin = cei_template_function(name);
    if (node->builtin) {
        node->kind = CEI_N_FUNCTION;
        return take_arguments(p, node) && bind(p, node, "function");
    }
    node->name = name;
    node->d = p->calls;
    p->calls = node;
    return take_arguments(p, node);
}

cei_tnode *cei_tparser_call(cei_tparser *p, cei_tnode *callee) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_CALL);
    if (!node) return NULL;
    if (callee->kind == CEI_N_NAME) return read_call(p, node, callee->name) ? node : NULL;
    if (callee->kind != CEI_N_ATTRIBUTE) {
        cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "a call of what has no name is not supported");
        return NULL;
    }
    node->kind = CEI_N_METHOD;
    node->builtin = cei_template_method(callee->name);
    if (!node->builtin) {
        unknown(p, "method", callee->name);
        return NULL;
    }
    const bool good = cei_tparser_hold(p, node, &node->a, callee->a) && take_arguments(p, node);
    return good && bind(p, node, "method") ? node : NULL;
}
