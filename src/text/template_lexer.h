/* template_lexer.h - the tokens of a template: stretches of text, and what stands between the brackets. */
#ifndef CEI_TEMPLATE_LEXER_H
#define CEI_TEMPLATE_LEXER_H

#include "text/template_tree.h"

typedef enum cei_ttoken_kind {
    CEI_TOK_TEXT,
    CEI_TOK_OUTPUT_BEGIN, /* {{ */
    CEI_TOK_OUTPUT_END,
    CEI_TOK_BLOCK_BEGIN, /* {% */
    CEI_TOK_BLOCK_END,
    CEI_TOK_NAME,
    CEI_TOK_STRING,
    CEI_TOK_INTEGER,
    CEI_TOK_REAL,
    CEI_TOK_OPERATOR,
    CEI_TOK_END
} cei_ttoken_kind;

typedef struct cei_ttoken {
    cei_ttoken_kind kind;
    uint32_t line;
    ce_text text; /* in the arena */
    double number;
} cei_ttoken;

typedef struct cei_ttokens {
    cei_ttoken *items; /* the last one is an END */
    size_t count, capacity;
} cei_ttokens;

/* Cuts source, in well-formed UTF-8; texts are copied into the arena. The caller frees tokens->items. Errors: FORMAT,
 * UNSUPPORTED, MEMORY. */
ce_status cei_template_tokens(const char *source, size_t size, const char *path, cei_arena *arena, cei_ttokens *tokens,
                              ce_error *error);

/* The failure of a line of a template. */
ce_status cei_template_refuse(ce_error *error, ce_status status, const char *path, size_t line, const char *format, ...)
    CE_PRINTF(5, 6);

#endif
