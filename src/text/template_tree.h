/* template_tree.h - a template that was read: a tree of statements and expressions, and the values that they have.
 *
 * Only template*.c include this. Nodes and constants lie in the template's arena and never change. */
#ifndef CEI_TEMPLATE_TREE_H
#define CEI_TEMPLATE_TREE_H

#include "text/template.h"

enum {
    CEI_TEMPLATE_DEPTH = 100,    /* nested nodes */
    CEI_TEMPLATE_PARAMETERS = 4, /* of a filter, test, method or function */
    CEI_TEMPLATE_RUN_DEPTH = 400 /* nodes at work, with those of macros that call macros */
};
#define CEI_TEMPLATE_INTEGER_LIMIT 9000000000000000.0 /* exact as doubles, so that sums and products can be checked */

typedef struct cei_tnode cei_tnode;

/* ---- values -------------------------------------------------------------------------------------------------- */

typedef enum cei_tkind {
    CEI_T_UNDEFINED, /* text is what is not defined, for messages */
    CEI_T_NONE,
    CEI_T_BOOL,
    CEI_T_INTEGER,
    CEI_T_REAL,
    CEI_T_STRING,
    CEI_T_LIST, /* tuples too */
    CEI_T_MAP,
    CEI_T_NAMESPACE,
    CEI_T_LOOP,
    CEI_T_MACRO
} cei_tkind;

typedef struct cei_tvalue cei_tvalue;

typedef struct cei_tlist {
    const cei_tvalue *items;
    size_t count;
} cei_tlist;

/* In the order in which keys were first given; of equal keys the last value counts. */
typedef struct cei_tmap {
    const cei_tvalue *keys, *values;
    size_t count;
} cei_tmap;

/* A name in a scope or a namespace. */
typedef struct cei_tname {
    struct cei_tname *next;
    ce_text name;
    cei_tvalue *value;
} cei_tname;

/* Names of a macro's call, of a round of a loop, of the whole template, of a namespace. */
typedef struct cei_tscope {
    struct cei_tscope *parent;
    cei_tname *names;
} cei_tscope;

typedef struct cei_tloop {
    cei_tlist items;
    size_t index; /* from 0 */
} cei_tloop;

struct cei_tvalue {
    cei_tkind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        ce_text text;
        cei_tlist list;
        cei_tmap map;
        cei_tscope *space;
        const cei_tloop *loop;
        const cei_tnode *macro;
    };
};

/* ---- nodes --------------------------------------------------------------------------------------------------- */

typedef enum cei_tnode_kind {
    /* expressions */
    CEI_N_CONSTANT,
    CEI_N_NAME,
    CEI_N_LIST,        /* args */
    CEI_N_MAP,         /* args: key, value, key, ... */
    CEI_N_ATTRIBUTE,   /* a.name */
    CEI_N_ITEM,        /* a[b] */
    CEI_N_SLICE,       /* a[args: start, stop, step], each of which may be a constant none */
    CEI_N_CALL,        /* name(args), a macro */
    CEI_N_FUNCTION,    /* builtin(args) */
    CEI_N_NAMESPACE,   /* namespace(args), each with a name */
    CEI_N_DICT,        /* dict(args), each with a name */
    CEI_N_METHOD,      /* a.builtin(args) */
    CEI_N_FILTER,      /* a | builtin(args) */
    CEI_N_TEST,        /* a is builtin(args) */
    CEI_N_MAP_NAME,    /* a | map(attribute=name) */
    CEI_N_MAP_FILTER,  /* a | map(builtin, args) */
    CEI_N_SELECT,      /* a | select(builtin, args), or selectattr(name, builtin, args); flag: reject */
    CEI_N_NEGATE,      /* -a */
    CEI_N_PLUS,        /* +a */
    CEI_N_NOT,         /* not a */
    CEI_N_AND,         /* a and b */
    CEI_N_OR,          /* a or b */
    CEI_N_BINARY,      /* a operator b */
    CEI_N_COMPARE,     /* a, then args: links */
    CEI_N_LINK,        /* operator a */
    CEI_N_CONDITIONAL, /* b if a else c; c may be NULL */
    CEI_N_ARGUMENT,    /* a, for parameter index, or with a name */
    /* statements */
    CEI_N_TEXT,      /* text */
    CEI_N_OUTPUT,    /* a */
    CEI_N_IF,        /* a; then b, else c: lists of statements */
    CEI_N_FOR,       /* targets args in a if d: b, else c */
    CEI_N_SET,       /* name = a */
    CEI_N_SET_NAME,  /* namespace.name = a; text is the namespace's own name */
    CEI_N_SET_BLOCK, /* name = what the statements b give */
    CEI_N_MACRO,     /* name, parameters args (each with a default a, or none): b */
    CEI_N_SCOPE,     /* statements b, in a scope of their own */
    CEI_N_BREAK,
    CEI_N_CONTINUE
} cei_tnode_kind;

typedef enum cei_toperator {
    CEI_O_ADD,
    CEI_O_SUBTRACT,
    CEI_O_MULTIPLY,
    CEI_O_DIVIDE,
    CEI_O_FLOOR,
    CEI_O_MODULO,
    CEI_O_CONCATENATE,
    CEI_O_EQUAL,
    CEI_O_NOT_EQUAL,
    CEI_O_LESS,
    CEI_O_LESS_EQUAL,
    CEI_O_GREATER,
    CEI_O_GREATER_EQUAL,
    CEI_O_IN,
    CEI_O_NOT_IN
} cei_toperator;

typedef struct cei_tbuiltin cei_tbuiltin;

struct cei_tnode {
    cei_tnode_kind kind;
    uint32_t line;
    uint16_t depth; /* of the nodes below */
    uint16_t index; /* of a parameter */
    cei_toperator op;
    bool flag;
    cei_tnode *a, *b, *c, *d;
    cei_tnode *args; /* a list by next */
    cei_tnode *next;
    const cei_tbuiltin *builtin; /* NULL in a select: the value's own truth */
    ce_text name, text;
    cei_tvalue constant;
};

struct cei_template {
    char *path;
    cei_arena arena;
    cei_tnode *statements;
    cei_tscope names; /* those that were defined */
};

/* ---- builtins ------------------------------------------------------------------------------------------------ */

typedef struct cei_trender cei_trender;

/* What a builtin works on: the value before "|", "is" or ".", and its arguments; those not given are undefined. */
typedef struct cei_tcall {
    const cei_tnode *node;
    cei_tvalue self;
    cei_tvalue args[CEI_TEMPLATE_PARAMETERS];
} cei_tcall;

/* Writes the result; false after cei_trender_fail. */
typedef bool (*cei_tbuiltin_fn)(cei_trender *render, const cei_tcall *call, cei_tvalue *result);

struct cei_tbuiltin {
    const char *name;
    cei_tbuiltin_fn run;
    const char *parameters[CEI_TEMPLATE_PARAMETERS]; /* their names, for arguments by name */
    size_t least;                                    /* arguments that must be given */
    unsigned kinds;                                  /* of a test for kinds: 1 << cei_tkind of each */
};

/* The builtin of a name; NULL if there is none. template_filters.c, template_methods.c. */
const cei_tbuiltin *cei_template_filter(ce_text name);
const cei_tbuiltin *cei_template_test(ce_text name);
const cei_tbuiltin *cei_template_method(ce_text name);
const cei_tbuiltin *cei_template_function(ce_text name);

static inline bool cei_same_text(ce_text a, ce_text b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool cei_text_is(ce_text text, const char *string) { return cei_same_text(text, ce_text_of(string)); }

/* One of count builtins by its name. */
static inline const cei_tbuiltin *cei_tbuiltin_find(const cei_tbuiltin *all, size_t count, ce_text name) {
    for (size_t i = 0; i < count; i++)
        if (cei_text_is(name, all[i].name)) return &all[i];
    return NULL;
}

#endif
