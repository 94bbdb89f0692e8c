/* template_expression.c - reads expressions, with Jinja's precedence of operators. */
#include "text/template_arguments.h"

static cei_tnode *parse_unary(cei_tparser *p, bool with_filters);

/* ---- values -------------------------------------------------------------------------------------------------- */

static cei_tnode *constant(cei_tparser *p, cei_tvalue value) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_CONSTANT);
    if (node) node->constant = value;
    return node;
}

/* Neighbouring strings are one. */
static cei_tnode *parse_strings(cei_tparser *p) {
    const cei_ttoken *first = p->token;
    size_t size = 0;
    for (; p->token->kind == CEI_TOK_STRING; p->token++) size += p->token->text.size;
    cei_tnode *node = constant(p, (cei_tvalue){.kind = CEI_T_STRING, .text = first->text});
    if (!node || p->token == first + 1) return node;
    char *joined = cei_arena_take(&p->tmpl->arena, size + 1, 1);
    if (!joined) {
        cei_tparser_no_memory(p);
        return NULL;
    }
    node->constant.text = (ce_text){joined, size};
    for (const cei_ttoken *token = first; token < p->token; joined += token++->text.size)
        if (token->text.size) memcpy(joined, token->text.data, token->text.size);
    return node;
}

static cei_tnode *parse_number(cei_tparser *p) {
    const cei_ttoken *token = p->token;
    if (token->kind == CEI_TOK_REAL)
        return p->token++, constant(p, (cei_tvalue){.kind = CEI_T_REAL, .real = token->number});
    if (token->number > CEI_TEMPLATE_INTEGER_LIMIT) {
        cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "an integer is larger than 9e15");
        return NULL;
    }
    p->token++;
    return constant(p, (cei_tvalue){.kind = CEI_T_INTEGER, .integer = (int64_t)token->number});
}

/* The words that are values; NULL if the next token is none of them. */
static const cei_tvalue *word_value(const cei_tparser *p) {
    static const struct {
        const char *name;
        cei_tvalue value;
    } words[] = {{"true", {.kind = CEI_T_BOOL, .boolean = true}},
                 {"True", {.kind = CEI_T_BOOL, .boolean = true}},
                 {"false", {.kind = CEI_T_BOOL, .boolean = false}},
                 {"False", {.kind = CEI_T_BOOL, .boolean = false}},
                 {"none", {.kind = CEI_T_NONE}},
                 {"None", {.kind = CEI_T_NONE}}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (cei_tparser_at_name(p, words[i].name)) return &words[i].value;
    return NULL;
}

static cei_tnode *parse_name(cei_tparser *p) {
    const cei_tvalue *word = word_value(p);
    if (word) {
        p->token++;
        return constant(p, *word);
    }
    cei_tnode *node = cei_tparser_node(p, CEI_N_NAME);
    return node && cei_tparser_take_name(p, &node->name) ? node : NULL;
}

/* Expressions up to closing, separated by commas; of a map, keys and values in turn. */
static cei_tnode *parse_items(cei_tparser *p, cei_tnode_kind kind, const char *closing) {
    cei_tnode *node = cei_tparser_node(p, kind);
    if (!node) return NULL;
    p->token++;
    for (cei_tnode **end = &node->args; !cei_tparser_skip(p, CEI_TOK_OPERATOR, closing); end = &(*end)->next) {
        if (end != &node->args && !cei_tparser_take(p, ",")) return NULL;
        if (end != &node->args && cei_tparser_skip(p, CEI_TOK_OPERATOR, closing)) return node;
        if (!cei_tparser_hold(p, node, end, cei_tparser_expression(p))) return NULL;
        if (kind == CEI_N_LIST) continue;
        end = &(*end)->next;
        if (!cei_tparser_take(p, ":") || !cei_tparser_hold(p, node, end, cei_tparser_expression(p))) return NULL;
    }
    return node;
}

/* Items behind first and its comma, up to what cannot be one. */
static cei_tnode *parse_tuple_rest(cei_tparser *p, cei_tnode *first) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_LIST);
    if (!node || !cei_tparser_hold(p, node, &node->args, first)) return NULL;
    for (cei_tnode **end = &first->next; cei_tparser_skip(p, CEI_TOK_OPERATOR, ",");) {
        if (cei_tparser_at_operator(p, ")") || p->token->kind == CEI_TOK_BLOCK_END ||
            p->token->kind == CEI_TOK_OUTPUT_END)
            break;
        if (!cei_tparser_hold(p, node, end, cei_tparser_expression(p))) return NULL;
        end = &(*end)->next;
    }
    return node;
}

cei_tnode *cei_tparser_tuple(cei_tparser *p) {
    cei_tnode *first = cei_tparser_expression(p);
    return first && cei_tparser_at_operator(p, ",") ? parse_tuple_rest(p, first) : first;
}

static cei_tnode *parse_parentheses(cei_tparser *p) {
    p->token++;
    if (cei_tparser_skip(p, CEI_TOK_OPERATOR, ")")) return cei_tparser_node(p, CEI_N_LIST);
    cei_tnode *node = cei_tparser_tuple(p);
    return node && cei_tparser_take(p, ")") ? node : NULL;
}

static cei_tnode *parse_primary(cei_tparser *p) {
    switch (p->token->kind) {
    case CEI_TOK_NAME: return parse_name(p);
    case CEI_TOK_STRING: return parse_strings(p);
    case CEI_TOK_INTEGER:
    case CEI_TOK_REAL: return parse_number(p);
    default: break;
    }
    if (cei_tparser_at_operator(p, "(")) return parse_parentheses(p);
    if (cei_tparser_at_operator(p, "[")) return parse_items(p, CEI_N_LIST, "]");
    if (cei_tparser_at_operator(p, "{")) return parse_items(p, CEI_N_MAP, "}");
    cei_tparser_expected(p, "a value");
    return NULL;
}

/* ---- what stands behind a value ------------------------------------------------------------------------------ */

/* .name or .0 */
static cei_tnode *parse_attribute(cei_tparser *p, cei_tnode *value) {
    const bool is_item = p->token->kind == CEI_TOK_INTEGER;
    cei_tnode *node = cei_tparser_node(p, is_item ? CEI_N_ITEM : CEI_N_ATTRIBUTE);
    if (!node || !cei_tparser_hold(p, node, &node->a, value)) return NULL;
    if (is_item) return cei_tparser_hold(p, node, &node->b, parse_number(p)) ? node : NULL;
    if (p->token->kind != CEI_TOK_NAME) {
        cei_tparser_expected(p, "a name");
        return NULL;
    }
    node->name = p->token++->text;
    return node;
}

static cei_tnode *parse_bound(cei_tparser *p) {
    const bool absent = cei_tparser_at_operator(p, ":") || cei_tparser_at_operator(p, "]");
    return absent ? constant(p, (cei_tvalue){.kind = CEI_T_NONE}) : cei_tparser_expression(p);
}

/* [item], or [start:stop:step] of which each may be missing. */
static cei_tnode *parse_subscript(cei_tparser *p, cei_tnode *value) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_ITEM), *first = parse_bound(p);
    if (!node || !cei_tparser_hold(p, node, &node->a, value)) return NULL;
    if (!cei_tparser_at_operator(p, ":"))
        return cei_tparser_hold(p, node, &node->b, first) && cei_tparser_take(p, "]") ? node : NULL;
    node->kind = CEI_N_SLICE;
    cei_tnode **end = &node->args;
    for (size_t i = 0; i < 3; i++) {
        if (i > 0)
            first = cei_tparser_skip(p, CEI_TOK_OPERATOR, ":") ? parse_bound(p)
                                                               : constant(p, (cei_tvalue){.kind = CEI_T_NONE});
        if (!cei_tparser_hold(p, node, end, first)) return NULL;
        end = &first->next;
    }
    return cei_tparser_take(p, "]") ? node : NULL;
}

static cei_tnode *parse_postfix(cei_tparser *p, cei_tnode *value) {
    while (value) {
        if (cei_tparser_skip(p, CEI_TOK_OPERATOR, "."))
            value = parse_attribute(p, value);
        else if (cei_tparser_skip(p, CEI_TOK_OPERATOR, "["))
            value = parse_subscript(p, value);
        else if (cei_tparser_at_operator(p, "("))
            value = cei_tparser_call(p, value);
        else
            break;
    }
    return value;
}

static cei_tnode *parse_filters(cei_tparser *p, cei_tnode *value) {
    while (value) {
        if (cei_tparser_skip(p, CEI_TOK_OPERATOR, "|"))
            value = cei_tparser_filter(p, value);
        else if (cei_tparser_skip(p, CEI_TOK_NAME, "is"))
            value = cei_tparser_test(p, value);
        else if (cei_tparser_at_operator(p, "("))
            value = cei_tparser_call(p, value);
        else
            break;
    }
    return value;
}

cei_tnode *cei_tparser_operand(cei_tparser *p) {
    cei_tnode *value = parse_primary(p);
    return value ? parse_postfix(p, value) : NULL;
}

/* ---- operators ----------------------------------------------------------------------------------------------- */

static cei_tnode *parse_sign(cei_tparser *p, cei_tnode_kind kind) {
    cei_tnode *node = cei_tparser_node(p, kind);
    p->token++;
    if (!node || !cei_tparser_enter(p) || !cei_tparser_hold(p, node, &node->a, parse_unary(p, false))) return NULL;
    p->nesting--;
    return node;
}

/* As in Jinja, a filter behind a sign works on what the sign gave. */
static cei_tnode *parse_unary(cei_tparser *p, bool with_filters) {
    cei_tnode *value = cei_tparser_at_operator(p, "-")   ? parse_sign(p, CEI_N_NEGATE)
                       : cei_tparser_at_operator(p, "+") ? parse_sign(p, CEI_N_PLUS)
                                                         : parse_primary(p);
    value = parse_postfix(p, value);
    return with_filters ? parse_filters(p, value) : value;
}

static cei_tnode *parse_operand(cei_tparser *p) {
    cei_tnode *value = parse_unary(p, true);
    if (value && cei_tparser_at_operator(p, "**")) {
        cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "the operator ** is not supported");
        return NULL;
    }
    return value;
}

/* Operators that stand between two operands of the next level, from the tightest on. */
typedef struct level {
    const char *operators[4];
    cei_toperator values[4];
} level;
static const level levels[] = {
    {{"*", "/", "//", "%"}, {CEI_O_MULTIPLY, CEI_O_DIVIDE, CEI_O_FLOOR, CEI_O_MODULO}},
    {{"~", NULL, NULL, NULL}, {CEI_O_CONCATENATE}},
    {{"+", "-", NULL, NULL}, {CEI_O_ADD, CEI_O_SUBTRACT}},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

/* Which of a level's operators is next, which is stepped over; 4 if none. */
static size_t skip_operator(cei_tparser *p, const level *of) {
    for (size_t i = 0; i < 4 && of->operators[i]; i++)
        if (cei_tparser_skip(p, CEI_TOK_OPERATOR, of->operators[i])) return i;
    return 4;
}

static cei_tnode *parse_level(cei_tparser *p, size_t number) {
    cei_tnode *left = number == 0 ? parse_operand(p) : parse_level(p, number - 1);
    while (left) {
        const size_t which = skip_operator(p, &levels[number]);
        if (which == 4) break;
        cei_tnode *node = cei_tparser_node(p, CEI_N_BINARY);
        if (!node || !cei_tparser_hold(p, node, &node->a, left)) return NULL;
        node->op = levels[number].values[which];
        cei_tnode *right = number == 0 ? parse_operand(p) : parse_level(p, number - 1);
        if (!cei_tparser_hold(p, node, &node->b, right)) return NULL;
        left = node;
    }
    return left;
}

/* Steps over a comparison. */
static bool skip_comparison(cei_tparser *p, cei_toperator *op) {
    static const char *const names[] = {"==", "!=", "<", "<=", ">", ">="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *op = (cei_toperator)(CEI_O_EQUAL + i);
        if (cei_tparser_skip(p, CEI_TOK_OPERATOR, names[i])) return true;
    }
    const bool negated =
        cei_tparser_at_name(p, "not") && p->token[1].kind == CEI_TOK_NAME && cei_text_is(p->token[1].text, "in");
    *op = negated ? CEI_O_NOT_IN : CEI_O_IN;
    if (negated) p->token++;
    return cei_tparser_skip(p, CEI_TOK_NAME, "in");
}

static cei_tnode *parse_comparison(cei_tparser *p) {
    cei_tnode *first = parse_level(p, LEVELS - 1), *node = NULL, **end = NULL;
    cei_toperator op;
    while (first && skip_comparison(p, &op)) {
        if (!node) {
            node = cei_tparser_node(p, CEI_N_COMPARE);
            if (!node || !cei_tparser_hold(p, node, &node->a, first)) return NULL;
            end = &node->args;
        }
        cei_tnode *link = cei_tparser_node(p, CEI_N_LINK);
        if (!link || !cei_tparser_hold(p, link, &link->a, parse_level(p, LEVELS - 1))) return NULL;
        link->op = op;
        if (!cei_tparser_hold(p, node, end, link)) return NULL;
        end = &link->next;
    }
    return node ? node : first;
}

static cei_tnode *parse_not(cei_tparser *p) {
    if (!cei_tparser_at_name(p, "not")) return parse_comparison(p);
    cei_tnode *node = cei_tparser_node(p, CEI_N_NOT);
    p->token++;
    if (!node || !cei_tparser_enter(p) || !cei_tparser_hold(p, node, &node->a, parse_not(p))) return NULL;
    p->nesting--;
    return node;
}

static cei_tnode *parse_logic(cei_tparser *p, bool is_or) {
    cei_tnode *left = is_or ? parse_logic(p, false) : parse_not(p);
    while (left && cei_tparser_skip(p, CEI_TOK_NAME, is_or ? "or" : "and")) {
        cei_tnode *node = cei_tparser_node(p, is_or ? CEI_N_OR : CEI_N_AND);
        if (!node || !cei_tparser_hold(p, node, &node->a, left)) return NULL;
        cei_tnode *right = is_or ? parse_logic(p, false) : parse_not(p);
        if (!cei_tparser_hold(p, node, &node->b, right)) return NULL;
        left = node;
    }
    return left;
}

cei_tnode *cei_tparser_plain(cei_tparser *p) { return parse_logic(p, true); }

static cei_tnode *parse_conditional(cei_tparser *p) {
    cei_tnode *value = cei_tparser_plain(p);
    while (value && cei_tparser_skip(p, CEI_TOK_NAME, "if")) {
        cei_tnode *node = cei_tparser_node(p, CEI_N_CONDITIONAL);
        if (!node || !cei_tparser_hold(p, node, &node->b, value) ||
            !cei_tparser_hold(p, node, &node->a, cei_tparser_plain(p)))
            return NULL;
        if (cei_tparser_skip(p, CEI_TOK_NAME, "else") &&
            !cei_tparser_hold(p, node, &node->c, cei_tparser_expression(p)))
            return NULL;
        value = node;
    }
    return value;
}

cei_tnode *cei_tparser_expression(cei_tparser *p) {
    if (!cei_tparser_enter(p)) return NULL;
    cei_tnode *node = parse_conditional(p);
    p->nesting--;
    return node;
}
