/* template_render.h - a template at work: what its statements, its expressions and the builtins share.
 *
 * Functions return false after a failure, of which the rendering keeps the first. Strings and lists that are made lie
 * in the rendering's arena, so that values are copied freely and nothing is freed one by one. */
#ifndef CEI_TEMPLATE_RENDER_H
#define CEI_TEMPLATE_RENDER_H

#include "text/template_text.h"
#include "text/template_tree.h"

typedef enum cei_tflow { CEI_FLOW_ON, CEI_FLOW_BREAK, CEI_FLOW_CONTINUE } cei_tflow;

struct cei_trender {
    const cei_template *tmpl;
    cei_arena *arena;
    cei_bytes *out;
    size_t out_limit;
    uint64_t steps;  /* left */
    size_t depth;    /* of recursion */
    cei_tscope *top; /* the whole template's names */
    cei_tflow flow;
    ce_status status;
    ce_error *error;
};

/* Fails at the node's line; false. */
bool cei_trender_fail(cei_trender *render, const cei_tnode *node, const char *format, ...) CE_PRINTF(3, 4);

/* Takes steps; false if they are used up. Every loop over values or bytes takes some. */
bool cei_trender_step(cei_trender *render, const cei_tnode *node, uint64_t steps);

/* Counts a level of recursion, which the caller takes back by depth--. */
bool cei_trender_enter(cei_trender *render, const cei_tnode *node);

/* Memory of the rendering; NULL after a failure. */
void *cei_trender_take(cei_trender *render, const cei_tnode *node, size_t count, size_t size);

/* Appends to the output. */
bool cei_trender_write(cei_trender *render, const cei_tnode *node, ce_text text);

/* What was written from byte start on becomes a string, and is no output any more. */
bool cei_trender_capture(cei_trender *render, const cei_tnode *node, size_t start, cei_tvalue *value);

/* template_evaluate.c */
bool cei_trender_evaluate(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tvalue *value);

/* template_render.c: the macro node, called with the arguments of call. */
bool cei_trender_macro(cei_trender *render, cei_tscope *scope, const cei_tnode *macro, const cei_tnode *call,
                       cei_tvalue *value);

/* template_render.c: a name's value, which is undefined if nothing gave it one; and giving it one in this scope. */
bool cei_tscope_get(cei_trender *render, const cei_tnode *node, const cei_tscope *scope, ce_text name,
                    cei_tvalue *value);
bool cei_tscope_set(cei_trender *render, const cei_tnode *node, cei_tscope *scope, ce_text name,
                    const cei_tvalue *value);

/* ---- template_value.c ---------------------------------------------------------------------------------------- */

static inline cei_tvalue cei_tvalue_bool(bool value) { return (cei_tvalue){.kind = CEI_T_BOOL, .boolean = value}; }
static inline cei_tvalue cei_tvalue_integer(int64_t value) {
    return (cei_tvalue){.kind = CEI_T_INTEGER, .integer = value};
}
static inline cei_tvalue cei_tvalue_real(double value) { return (cei_tvalue){.kind = CEI_T_REAL, .real = value}; }
static inline cei_tvalue cei_tvalue_text(ce_text text) { return (cei_tvalue){.kind = CEI_T_STRING, .text = text}; }
static inline cei_tvalue cei_tvalue_undefined(ce_text name) {
    return (cei_tvalue){.kind = CEI_T_UNDEFINED, .text = name};
}

const char *cei_tvalue_kind(const cei_tvalue *value); /* "a string", for messages */
bool cei_tvalue_is_true(const cei_tvalue *value);

/* Is it an integer or a boolean, which counts as one? */
bool cei_tvalue_is_integer(const cei_tvalue *value, int64_t *integer);

/* Is it a number? */
bool cei_tvalue_is_number(const cei_tvalue *value, double *number);

/* Fails if the value is undefined. */
bool cei_tvalue_need(cei_trender *render, const cei_tnode *node, const cei_tvalue *value);

/* What str gives: of an undefined value nothing. Fails for lists and maps. */
bool cei_tvalue_string(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, ce_text *text);

bool cei_tvalue_equal(cei_trender *render, const cei_tnode *node, const cei_tvalue *a, const cei_tvalue *b,
                      bool *equal);

/* -1, 0 or 1 as a is less, equal or greater; fails if they have no order. */
bool cei_tvalue_compare(cei_trender *render, const cei_tnode *node, const cei_tvalue *a, const cei_tvalue *b,
                        int *order);

bool cei_tvalue_contains(cei_trender *render, const cei_tnode *node, const cei_tvalue *all, const cei_tvalue *one,
                         bool *contains);

/* What a loop over the value goes over: items, characters, keys. */
bool cei_tvalue_items(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, cei_tlist *items);

/* value.name, and value[key]: undefined if there is no such thing. */
bool cei_tvalue_attribute(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, ce_text name,
                          cei_tvalue *found);
bool cei_tvalue_item(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, const cei_tvalue *key,
                     cei_tvalue *found);

/* value[start:stop:step]; bounds are none or integers. */
bool cei_tvalue_slice(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, const cei_tvalue bounds[3],
                      cei_tvalue *part);

/* template_json.c: appends the value as json.dumps writes it, ensure_ascii off; indent below 0 is none. */
bool cei_tvalue_json(cei_trender *render, const cei_tnode *node, const cei_tvalue *value, int64_t indent);

/* template_methods.c: text with each old replaced, up to most times if that is not negative. */
bool cei_trender_replace(cei_trender *render, const cei_tnode *node, ce_text text, ce_text old, ce_text new,
                         int64_t most, cei_tvalue *result);

/* template_methods.c: runs fold over the letters of an ASCII text; fails for others. */
typedef char (*cei_tfold_fn)(char c, bool begins_word, bool begins_text);
bool cei_trender_fold(cei_trender *render, const cei_tcall *call, cei_tfold_fn fold, cei_tvalue *result);
char cei_tfold_upper(char c, bool begins_word, bool begins_text);
char cei_tfold_lower(char c, bool begins_word, bool begins_text);
char cei_tfold_title(char c, bool begins_word, bool begins_text);
char cei_tfold_capitalize(char c, bool begins_word, bool begins_text);

#endif
