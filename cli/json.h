/* json.h - one JSON value on a line: a string, an object of which some fields are wanted, or an array.
 *
 * The whole line is checked by the grammar of RFC 8259; only what is wanted is decoded, into the caller's arena. The
 * text must be UTF-8, which reader.h sees to. Nothing else is allocated. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "memory.h"

typedef enum cli_json_kind {
    CLI_JSON_ABSENT = 0,
    CLI_JSON_NULL,
    CLI_JSON_BOOL,
    CLI_JSON_INTEGER, /* a number without fraction and exponent, of any length */
    CLI_JSON_REAL,
    CLI_JSON_STRING,
    CLI_JSON_OBJECT,
    CLI_JSON_ARRAY
} cli_json_kind;

/* A field that is wanted: of an object by its key, of an array by its place (key is not read). */
typedef struct cli_json_field {
    const char *key;
    cli_json_kind kind; /* of what was found */
    ce_text text;       /* a string decoded, an integer's digits; else empty */
} cli_json_field;

typedef struct cli_json_result {
    cli_json_kind kind;  /* of the line's value */
    ce_text text;        /* of a string */
    size_t elements;     /* of an array */
    const char *problem; /* what is wrong; NULL if nothing is, or if there was no memory */
    size_t column;       /* where, in bytes from 1 */
} cli_json_result;

/* Reads line and fills the fields. false: see result->problem. */
bool cli_json_read(ce_text line, cli_arena *arena, cli_json_field *fields, size_t count, cli_json_result *result);

#endif
