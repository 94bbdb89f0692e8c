/* template.h - chat templates: a text with expressions and statements in the language Jinja, and messages, make a
 * prompt.
 *
 * What published templates use is done as jinja2 does it in the environment of transformers (trim_blocks,
 * lstrip_blocks, the sandbox); all else is refused when the template is read, by line and name: other statements,
 * filters, tests and functions (strftime_now too: a prompt must not depend on the day), calls with * or **, recursive
 * loops. A few things are errors where they happen, with the line: what raises an exception there too; a list or a map
 * that is printed; upper and lower case of a text beyond ASCII; integers beyond 9e15.
 *
 * A template comes from strangers. Reading one takes at most 300 times its size and 64 KiB; of nested constructs it may
 * have 100. Rendering takes at most CEI_TEMPLATE_STEPS steps and one for each byte of the messages, and at most
 * CEI_TEMPLATE_BYTES and 64 times the messages' bytes for all strings made on the way, and as much for the prompt. */
#ifndef CEI_TEMPLATE_H
#define CEI_TEMPLATE_H

#include "base/json.h"
#include "text/arena.h"
#include "text/bytes.h"

#include <crossenc/text.h>

#define CEI_TEMPLATE_STEPS 1000000
#define CEI_TEMPLATE_BYTES ((size_t)4 << 20)
#define CEI_TEMPLATE_MAX_SIZE ((size_t)1 << 20) /* of a template */

/* Immutable once all names are defined; then shared by threads. */
typedef struct cei_template cei_template;

/* Reads a template; path is for messages. Errors: FORMAT (it is no template), UNSUPPORTED (by name), MEMORY. */
ce_status cei_template_parse(const char *source, size_t size, const char *path, cei_template **out, ce_error *error);
void cei_template_free(cei_template *tmpl); /* NULL is fine */

/* Gives a name its value in every rendering; a later value counts. Errors: UNSUPPORTED (an integer beyond 9e15), FORMAT
 * (nested deeper than 64), MEMORY. */
ce_status cei_template_define(cei_template *tmpl, const char *name, const json_t *value, ce_error *error);

/* A message: its content is a text or, in parts, [{"type": "text", "text": content}]. */
typedef struct cei_template_message {
    ce_text role, content; /* well-formed UTF-8 */
    bool in_parts;
} cei_template_message;

/* What one thread needs for rendering. Zeroed is empty; memory is kept, so that steady use allocates nothing. */
typedef struct cei_template_memory {
    cei_arena arena;
    cei_bytes prompt;
} cei_template_memory;
void cei_template_memory_free(cei_template_memory *memory);

/* Renders messages, which the template knows as "messages". *prompt lies in memory until the next rendering.
 * Errors: MODEL (the template fails on these messages, or takes too long or too much), MEMORY. */
ce_status cei_template_render(const cei_template *tmpl, const cei_template_message *messages, size_t count,
                              cei_template_memory *memory, ce_text *prompt, ce_error *error);

/* Does it put the contents of messages into the text as they are, with what is around them the same whatever they are?
 * false also where that is not seen. template_flat.c. */
bool cei_template_is_flat(const cei_template *tmpl);

#endif
