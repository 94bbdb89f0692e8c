/* template_arguments.h - the parsers of all that takes arguments. */
#ifndef CEI_TEMPLATE_ARGUMENTS_H
#define CEI_TEMPLATE_ARGUMENTS_H

#include "text/template_parse.h"

/* Behind value and "|": a filter. */
cei_tnode *cei_tparser_filter(cei_tparser *p, cei_tnode *value);

/* Behind value and "is": a test, maybe with "not". */
cei_tnode *cei_tparser_test(cei_tparser *p, cei_tnode *value);

/* Behind callee, where "(" is the next token. */
cei_tnode *cei_tparser_call(cei_tparser *p, cei_tnode *callee);

/* template_expression.c: a value with attributes, items and calls behind it, without operators. */
cei_tnode *cei_tparser_operand(cei_tparser *p);

#endif
