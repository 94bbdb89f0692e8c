/* template_flat.c - whether a template only puts the contents of messages into a text: what it says beside them, and
 * where they stand, then hangs on no content, and is the same for all.
 *
 * What is not known to be so is taken for something else. Must not run the template. */
#include "text/template_tree.h"

enum { MOST_NAMES = 8 };

/* The names under which loops have a message. */
typedef struct flat_check {
    ce_text names[MOST_NAMES];
    size_t count;
} flat_check;

static bool is_message(const flat_check *check, const cei_tnode *node) {
    for (size_t i = 0; node->kind == CEI_N_NAME && i < check->count; i++)
        if (cei_same_text(node->name, check->names[i])) return true;
    return false;
}

/* The name that is looked up in a: a.name, or a["name"]. */
static ce_text name_of(const cei_tnode *node) {
    const bool is_item = node->kind == CEI_N_ITEM && node->b->kind == CEI_N_CONSTANT;
    if (is_item && node->b->constant.kind == CEI_T_STRING) return node->b->constant.text;
    return node->kind == CEI_N_ATTRIBUTE ? node->name : (ce_text){NULL, 0};
}

/* ---- expressions ----------------------------------------------------------------------------------------------- */

static bool is_plain(const flat_check *check, const cei_tnode *node);

/* A part of a message or of a loop that no content counts in. */
static bool is_plain_part(const flat_check *check, const cei_tnode *node) {
    static const char *const counts[] = {"first", "last", "index", "index0", "length"};
    const ce_text name = name_of(node);
    const cei_tnode *of = node->a;
    if (is_message(check, of)) return cei_text_is(name, "role");
    if (of->kind != CEI_N_NAME || !cei_text_is(of->name, "loop")) return false;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (cei_text_is(name, counts[i])) return true;
    return false;
}

static bool are_plain(const flat_check *check, const cei_tnode *list) {
    for (; list; list = list->next)
        if (!is_plain(check, list)) return false;
    return true;
}

/* Has the expression a value in which no content counts? */
static bool is_plain(const flat_check *check, const cei_tnode *node) {
    switch (node->kind) {
    case CEI_N_CONSTANT: return true;
    case CEI_N_NAME:
        return !is_message(check, node) && !cei_text_is(node->name, "messages") && !cei_text_is(node->name, "loop");
    case CEI_N_ATTRIBUTE:
    case CEI_N_ITEM: return is_plain_part(check, node);
    case CEI_N_LIST:
    case CEI_N_FUNCTION: return are_plain(check, node->args);
    case CEI_N_FILTER:
    case CEI_N_TEST:
    case CEI_N_COMPARE: return is_plain(check, node->a) && are_plain(check, node->args);
    case CEI_N_NOT:
    case CEI_N_LINK:
    case CEI_N_ARGUMENT: return is_plain(check, node->a);
    case CEI_N_AND:
    case CEI_N_OR:
    case CEI_N_BINARY: return is_plain(check, node->a) && is_plain(check, node->b);
    case CEI_N_CONDITIONAL:
        return is_plain(check, node->a) && is_plain(check, node->b) && (!node->c || is_plain(check, node->c));
    default: return false;
    }
}

/* Is it such a value, or a content, or such things one behind the other? */
static bool is_said(const flat_check *check, const cei_tnode *node) {
    const bool joins = node->kind == CEI_N_BINARY && (node->op == CEI_O_ADD || node->op == CEI_O_CONCATENATE);
    if (joins) return is_said(check, node->a) && is_said(check, node->b);
    const bool is_part = node->kind == CEI_N_ATTRIBUTE || node->kind == CEI_N_ITEM;
    if (is_part && is_message(check, node->a) && cei_text_is(name_of(node), "content")) return true;
    return is_plain(check, node);
}

/* ---- statements ------------------------------------------------------------------------------------------------ */

static bool are_flat(flat_check *check, const cei_tnode *statements);

static bool is_flat_loop(flat_check *check, const cei_tnode *node) {
    const bool of_messages = node->a->kind == CEI_N_NAME && cei_text_is(node->a->name, "messages");
    if (of_messages && (node->args->next || check->count == MOST_NAMES)) return false;
    if (of_messages) check->names[check->count++] = node->args->name;
    return (of_messages || is_plain(check, node->a)) && (!node->d || is_plain(check, node->d)) &&
           are_flat(check, node->b) && are_flat(check, node->c);
}

static bool is_flat(flat_check *check, const cei_tnode *node) {
    switch (node->kind) {
    case CEI_N_TEXT:
    case CEI_N_BREAK:
    case CEI_N_CONTINUE: return true;
    case CEI_N_OUTPUT: return is_said(check, node->a);
    case CEI_N_IF: return is_plain(check, node->a) && are_flat(check, node->b) && are_flat(check, node->c);
    case CEI_N_FOR: return is_flat_loop(check, node);
    case CEI_N_SET: return !cei_text_is(node->name, "messages") && is_plain(check, node->a);
    case CEI_N_SCOPE: return are_flat(check, node->b);
    default: return false;
    }
}

static bool are_flat(flat_check *check, const cei_tnode *statements) {
    for (; statements; statements = statements->next)
        if (!is_flat(check, statements)) return false;
    return true;
}

bool cei_template_is_flat(const cei_template *tmpl) {
    flat_check check = {.count = 0};
    return are_flat(&check, tmpl->statements);
}
