/* template_parse.c - reads a template: text, expressions and statements, into a tree in the template's arena.
 *
 * Linear in the template's size; nesting is bounded, and so is the depth of the tree, which rendering descends. */
#include "text/template_parse.h"

#include "base/error.h"

/* Of the arena, for each byte of a template, and beside: `[:]` makes four nodes of three bytes. */
enum { BYTES_EACH = 300, BYTES_MORE = 1 << 16 };

/* ---- what parsers share -------------------------------------------------------------------------------------- */

bool cei_tparser_fail(cei_tparser *p, ce_status status, const char *format, ...) {
    char message[CE_ERROR_MESSAGE_SIZE];
    va_list args;
    if (p->status != CE_OK) return false;
    va_start(args, format);
    cei_format_message(message, format, args);
    va_end(args);
    p->status = cei_template_refuse(p->error, status, p->tmpl->path, p->token->line, "%s", message);
    return false;
}

bool cei_tparser_expected(cei_tparser *p, const char *what) {
    const ce_text found = p->token->text;
    if (p->token->kind == CEI_TOK_END) return cei_tparser_fail(p, CE_ERR_FORMAT, "it ends where %s should be", what);
    return cei_tparser_fail(p, CE_ERR_FORMAT, "\"%.*s\" stands where %s should be", (int)cei_min_size(found.size, 40),
                            found.data, what);
}

void cei_tparser_no_memory(cei_tparser *p) {
    if (cei_arena_is_full(&p->tmpl->arena, 1, sizeof(cei_tnode)))
        cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "it has more parts than it may have");
    else
        cei_tparser_fail(p, CE_ERR_MEMORY, "no memory for its parts");
}

cei_tnode *cei_tparser_node(cei_tparser *p, cei_tnode_kind kind) {
    cei_tnode *node = cei_arena_take(&p->tmpl->arena, 1, sizeof *node);
    if (!node) {
        cei_tparser_no_memory(p);
        return NULL;
    }
    *node = (cei_tnode){.kind = kind, .line = p->token->line, .depth = 1};
    return node;
}

bool cei_tparser_hold(cei_tparser *p, cei_tnode *node, cei_tnode **place, cei_tnode *child) {
    if (!child) return false;
    *place = child;
    if (child->depth >= CEI_TEMPLATE_DEPTH)
        return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "more than %d constructs are nested", CEI_TEMPLATE_DEPTH);
    if (node->depth <= child->depth) node->depth = (uint16_t)(child->depth + 1);
    return true;
}

bool cei_tparser_enter(cei_tparser *p) {
    if (++p->nesting <= CEI_TEMPLATE_DEPTH) return true;
    return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "more than %d constructs are nested", CEI_TEMPLATE_DEPTH);
}

bool cei_tparser_skip(cei_tparser *p, cei_ttoken_kind kind, const char *text) {
    if (!cei_tparser_at(p, kind, text)) return false;
    p->token++;
    return true;
}

bool cei_tparser_take(cei_tparser *p, const char *text) {
    return cei_tparser_skip(p, CEI_TOK_OPERATOR, text) || cei_tparser_expected(p, text);
}

bool cei_tparser_take_name(cei_tparser *p, ce_text *name) {
    static const char *const words[] = {"and", "else", "if", "in", "is", "not", "or"};
    bool good = p->token->kind == CEI_TOK_NAME;
    for (size_t i = 0; good && i < sizeof words / sizeof *words; i++) good = !cei_text_is(p->token->text, words[i]);
    if (!good) return cei_tparser_expected(p, "a name");
    *name = p->token++->text;
    return true;
}

/* ---- statements ---------------------------------------------------------------------------------------------- */

static bool parse_until(cei_tparser *p, cei_tnode *parent, cei_tnode **list, const char *const *ends);

static bool end_block(cei_tparser *p) {
    if (p->token->kind != CEI_TOK_BLOCK_END) return cei_tparser_expected(p, "%}");
    p->token++;
    return true;
}

/* Statements up to {% end %}, and that. */
static bool parse_body(cei_tparser *p, cei_tnode *parent, cei_tnode **list, const char *end) {
    const char *const ends[] = {end, NULL};
    if (!end_block(p) || !parse_until(p, parent, list, ends)) return false;
    p->token++;
    return end_block(p);
}

/* Behind "if" or "elif". */
static cei_tnode *parse_if(cei_tparser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    cei_tnode *node = cei_tparser_node(p, CEI_N_IF);
    if (!node || !cei_tparser_enter(p) || !cei_tparser_hold(p, node, &node->a, cei_tparser_tuple(p)) || !end_block(p) ||
        !parse_until(p, node, &node->b, ends))
        return NULL;
    bool good;
    if (cei_tparser_skip(p, CEI_TOK_NAME, "elif"))
        good = cei_tparser_hold(p, node, &node->c, parse_if(p));
    else if (cei_tparser_skip(p, CEI_TOK_NAME, "else"))
        good = parse_body(p, node, &node->c, "endif");
    else
        good = (p->token++, end_block(p));
    p->nesting--;
    return good ? node : NULL;
}

/* The names that a loop gives its items to: one, or several for items that are lists. */
static bool parse_targets(cei_tparser *p, cei_tnode *node) {
    const bool enclosed = cei_tparser_skip(p, CEI_TOK_OPERATOR, "(");
    for (cei_tnode **end = &node->args; end == &node->args || cei_tparser_skip(p, CEI_TOK_OPERATOR, ",");) {
        cei_tnode *name = cei_tparser_node(p, CEI_N_NAME);
        if (!name || !cei_tparser_take_name(p, &name->name) || !cei_tparser_hold(p, node, end, name)) return false;
        end = &name->next;
    }
    return !enclosed || cei_tparser_take(p, ")");
}

static cei_tnode *parse_for(cei_tparser *p) {
    static const char *const ends[] = {"else", "endfor", NULL};
    cei_tnode *node = cei_tparser_node(p, CEI_N_FOR);
    if (!node || !parse_targets(p, node)) return NULL;
    if (!cei_tparser_skip(p, CEI_TOK_NAME, "in")) return cei_tparser_expected(p, "in"), NULL;
    if (!cei_tparser_hold(p, node, &node->a, cei_tparser_plain(p))) return NULL;
    if (cei_tparser_skip(p, CEI_TOK_NAME, "if") && !cei_tparser_hold(p, node, &node->d, cei_tparser_expression(p)))
        return NULL;
    if (cei_tparser_at_name(p, "recursive"))
        return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "recursive loops are not supported"), NULL;
    p->loops++;
    const bool good = end_block(p) && parse_until(p, node, &node->b, ends);
    p->loops--;
    if (!good) return NULL;
    if (cei_tparser_skip(p, CEI_TOK_NAME, "else")) return parse_body(p, node, &node->c, "endfor") ? node : NULL;
    p->token++;
    return end_block(p) ? node : NULL;
}

static cei_tnode *parse_set(cei_tparser *p) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_SET);
    if (!node || !cei_tparser_take_name(p, &node->name)) return NULL;
    if (cei_tparser_skip(p, CEI_TOK_OPERATOR, ".")) {
        node->kind = CEI_N_SET_NAME;
        node->text = node->name;
        if (!cei_tparser_take_name(p, &node->name)) return NULL;
    }
    if (cei_tparser_at_operator(p, ",") || cei_tparser_at_operator(p, "|"))
        return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "set with several names, or with a filter, is not supported"),
               NULL;
    if (cei_tparser_skip(p, CEI_TOK_OPERATOR, "="))
        return cei_tparser_hold(p, node, &node->a, cei_tparser_tuple(p)) && end_block(p) ? node : NULL;
    if (node->kind == CEI_N_SET_NAME) return cei_tparser_expected(p, "="), NULL;
    node->kind = CEI_N_SET_BLOCK;
    return parse_body(p, node, &node->b, "endset") ? node : NULL;
}

static bool parse_parameters(cei_tparser *p, cei_tnode *macro) {
    cei_tnode **end = &macro->args;
    if (!cei_tparser_take(p, "(")) return false;
    while (!cei_tparser_skip(p, CEI_TOK_OPERATOR, ")")) {
        if (end != &macro->args && !cei_tparser_take(p, ",")) return false;
        cei_tnode *parameter = cei_tparser_node(p, CEI_N_ARGUMENT);
        if (!parameter || !cei_tparser_take_name(p, &parameter->name) || !cei_tparser_hold(p, macro, end, parameter))
            return false;
        if (cei_tparser_skip(p, CEI_TOK_OPERATOR, "=") &&
            !cei_tparser_hold(p, parameter, &parameter->a, cei_tparser_expression(p)))
            return false;
        end = &parameter->next;
    }
    return true;
}

/* A macro's names are those of the whole template and its own, so it may stand in no loop and in no macro. */
static cei_tnode *parse_macro(cei_tparser *p) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_MACRO);
    if (!node || !cei_tparser_take_name(p, &node->name)) return NULL;
    if (p->loops > 0)
        return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "a macro within a loop or a macro is not supported"), NULL;
    if (!parse_parameters(p, node)) return NULL;
    p->loops++;
    node->flag = parse_body(p, node, &node->b, "endmacro");
    p->loops--;
    return node->flag ? node : NULL;
}

static cei_tnode *parse_jump(cei_tparser *p, cei_tnode_kind kind) {
    cei_tnode *node = cei_tparser_node(p, kind);
    if (p->loops == 0) return cei_tparser_fail(p, CE_ERR_FORMAT, "break and continue belong in a loop"), NULL;
    return node && end_block(p) ? node : NULL;
}

/* {% generation %} marks what an assistant said, for training. */
static cei_tnode *parse_generation(cei_tparser *p) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_SCOPE);
    return node && parse_body(p, node, &node->b, "endgeneration") ? node : NULL;
}

static cei_tnode *parse_block(cei_tparser *p) {
    if (p->token->kind != CEI_TOK_NAME) return cei_tparser_expected(p, "a statement"), NULL;
    const ce_text name = p->token++->text;
    if (cei_text_is(name, "if")) return parse_if(p);
    if (cei_text_is(name, "for")) return parse_for(p);
    if (cei_text_is(name, "set")) return parse_set(p);
    if (cei_text_is(name, "macro")) return parse_macro(p);
    if (cei_text_is(name, "break")) return parse_jump(p, CEI_N_BREAK);
    if (cei_text_is(name, "continue")) return parse_jump(p, CEI_N_CONTINUE);
    if (cei_text_is(name, "generation")) return parse_generation(p);
    p->token--;
    return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "the statement \"%.*s\" is not supported",
                            (int)cei_min_size(name.size, 60), name.data),
           NULL;
}

static cei_tnode *parse_output(cei_tparser *p) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_OUTPUT);
    p->token++;
    if (!node || !cei_tparser_hold(p, node, &node->a, cei_tparser_tuple(p))) return NULL;
    if (p->token->kind != CEI_TOK_OUTPUT_END) return cei_tparser_expected(p, "}}"), NULL;
    p->token++;
    return node;
}

static cei_tnode *parse_text(cei_tparser *p) {
    cei_tnode *node = cei_tparser_node(p, CEI_N_TEXT);
    if (node) node->text = p->token->text;
    p->token++;
    return node;
}

/* Is this the block that ends a list of statements? Its name is the next token then. */
static bool at_end(cei_tparser *p, const char *const *ends) {
    for (; p->token->kind == CEI_TOK_BLOCK_BEGIN && *ends; ends++) {
        if (p->token[1].kind != CEI_TOK_NAME || !cei_text_is(p->token[1].text, *ends)) continue;
        p->token++;
        return true;
    }
    return false;
}

/* Statements up to a block that is named in ends; without ends, up to the end of the template. */
static bool parse_list(cei_tparser *p, cei_tnode *parent, cei_tnode **list, const char *const *ends) {
    while (!at_end(p, ends)) {
        cei_tnode *node;
        switch (p->token->kind) {
        case CEI_TOK_TEXT: node = parse_text(p); break;
        case CEI_TOK_OUTPUT_BEGIN: node = parse_output(p); break;
        case CEI_TOK_BLOCK_BEGIN: node = (p->token++, parse_block(p)); break;
        default: return *ends ? cei_tparser_expected(p, *ends) : true;
        }
        if (!cei_tparser_hold(p, parent, list, node)) return false;
        list = &node->next;
    }
    return true;
}

static bool parse_until(cei_tparser *p, cei_tnode *parent, cei_tnode **list, const char *const *ends) {
    if (!cei_tparser_enter(p)) return false;
    const bool good = parse_list(p, parent, list, ends);
    p->nesting--;
    return good;
}

/* ---- macros that are called ---------------------------------------------------------------------------------- */

/* Is there a macro of that name, at the top or in an if? */
static bool has_macro(const cei_tnode *list, ce_text name) {
    for (; list; list = list->next) {
        if (list->kind == CEI_N_MACRO && cei_same_text(list->name, name)) return true;
        if (list->kind == CEI_N_IF && (has_macro(list->b, name) || has_macro(list->c, name))) return true;
    }
    return false;
}

static bool check_calls(cei_tparser *p) {
    enum { MOST_CALLS = 1024 }; /* each looks through the statements */
    size_t count = 0;
    for (const cei_tnode *call = p->calls; call; call = call->d) {
        if (++count > MOST_CALLS) return cei_tparser_fail(p, CE_ERR_UNSUPPORTED, "more than %d calls", MOST_CALLS);
        if (has_macro(p->tmpl->statements, call->name)) continue;
        p->status = cei_template_refuse(p->error, CE_ERR_UNSUPPORTED, p->tmpl->path, call->line,
                                        "the function \"%.*s\" is not supported",
                                        (int)cei_min_size(call->name.size, 60), call->name.data);
        return false;
    }
    return true;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

static ce_status read_tokens(cei_template *tmpl, const cei_ttokens *tokens, ce_error *error) {
    static const char *const none[] = {NULL};
    cei_tparser p = {.token = tokens->items, .tmpl = tmpl, .error = error};
    cei_tnode all = {0};
    if (parse_until(&p, &all, &tmpl->statements, none)) check_calls(&p);
    return p.status;
}

ce_status cei_template_parse(const char *source, size_t size, const char *path, cei_template **out, ce_error *error) {
    *out = NULL;
    if (size > CEI_TEMPLATE_MAX_SIZE)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s has %zu bytes, and a chat template may have %zu", path, size,
                        CEI_TEMPLATE_MAX_SIZE);
    cei_template *tmpl = cei_alloc_zeroed(1, sizeof *tmpl);
    if (!tmpl) return cei_fail_memory(error, "a chat template", sizeof *tmpl);
    cei_ttokens tokens = {0};
    tmpl->arena.limit = BYTES_EACH * size + BYTES_MORE;
    tmpl->path = cei_copy_string(path, strlen(path));
    ce_status status = tmpl->path ? CE_OK : cei_fail_memory(error, "a chat template", 0);
    if (status == CE_OK) status = cei_template_tokens(source, size, path, &tmpl->arena, &tokens, error);
    if (status == CE_OK) status = read_tokens(tmpl, &tokens, error);
    cei_free(tokens.items);
    if (status == CE_OK)
        *out = tmpl;
    else
        cei_template_free(tmpl);
    return status;
}

void cei_template_free(cei_template *tmpl) {
    if (!tmpl) return;
    cei_arena_free(&tmpl->arena);
    cei_free(tmpl->path);
    cei_free(tmpl);
}
