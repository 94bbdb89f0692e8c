/* template_parse.h - a template being read: what the parsers of statements and of expressions share.
 *
 * A parser function returns NULL or false after a failure, which the parser keeps. */
#ifndef CEI_TEMPLATE_PARSE_H
#define CEI_TEMPLATE_PARSE_H

#include "text/template_lexer.h"

typedef struct cei_tparser {
    const cei_ttoken *token; /* the next one; the last one is an END */
    cei_template *tmpl;
    size_t nesting;
    size_t loops;     /* around this place, for break and continue */
    cei_tnode *calls; /* of macros, by d, to be looked up in the end */
    ce_status status;
    ce_error *error;
} cei_tparser;

/* Keeps the first failure, at the next token's line; false. */
bool cei_tparser_fail(cei_tparser *p, ce_status status, const char *format, ...) CE_PRINTF(3, 4);

/* FORMAT: something else was expected here. */
bool cei_tparser_expected(cei_tparser *p, const char *what);

/* Says why the template's arena gave nothing. */
void cei_tparser_no_memory(cei_tparser *p);

/* A node of the next token's line. */
cei_tnode *cei_tparser_node(cei_tparser *p, cei_tnode_kind kind);

/* Puts child into its place below node; false if there is none, or the tree gets too deep. */
bool cei_tparser_hold(cei_tparser *p, cei_tnode *node, cei_tnode **place, cei_tnode *child);

/* Counts a level of nesting, which the caller takes back by nesting--; false if there are too many. */
bool cei_tparser_enter(cei_tparser *p);

static inline bool cei_tparser_at(const cei_tparser *p, cei_ttoken_kind kind, const char *text) {
    return p->token->kind == kind && cei_text_is(p->token->text, text);
}

static inline bool cei_tparser_at_operator(const cei_tparser *p, const char *text) {
    return cei_tparser_at(p, CEI_TOK_OPERATOR, text);
}

static inline bool cei_tparser_at_name(const cei_tparser *p, const char *text) {
    return cei_tparser_at(p, CEI_TOK_NAME, text);
}

/* Steps over the operator or the name if it is the next token. */
bool cei_tparser_skip(cei_tparser *p, cei_ttoken_kind kind, const char *text);

/* Steps over the operator, or fails. */
bool cei_tparser_take(cei_tparser *p, const char *text);

/* Takes a name that is no word of the language. */
bool cei_tparser_take_name(cei_tparser *p, ce_text *name);

/* template_expression.c: an expression; one that may be a list without brackets ("1, 2"); one without "if". */
cei_tnode *cei_tparser_expression(cei_tparser *p);
cei_tnode *cei_tparser_tuple(cei_tparser *p);
cei_tnode *cei_tparser_plain(cei_tparser *p);

#endif
