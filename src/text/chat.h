/* chat.h - pairs as prompts: the chat template of a model's folder makes one text of a query and a document.
 *
 * As in the reference a pair becomes messages with the roles "query" and "document", behind a message "system" if there
 * is a prompt; the rendered text is tokenized without further special tokens. */
#ifndef CEI_CHAT_H
#define CEI_CHAT_H

#include "text/template.h"
#include "text/tokenizer.h"

/* Immutable and shared by threads. */
typedef struct cei_chat cei_chat;

/* How a folder's settings want prompts made. Zeroed is the usual way. */
typedef struct cei_chat_settings {
    const char *format;     /* of a message's content: "flat", "structured", or NULL: as the template looks */
    const json_t *settings; /* names for the template, and "restore_suffix"; NULL or an object */
    const char *path;       /* of the file that has them, for messages */
} cei_chat_settings;

/* Reads the template of a folder: chat_template.jinja, else what tokenizer_config.json says. *chat is NULL if there is
 * none, or if it cannot carry a pair: it fails for the roles, or one of them does not change what it renders, which
 * *reason (CE_ERROR_MESSAGE_SIZE bytes) tells then. Errors: IO, FORMAT, UNSUPPORTED (by name), MEMORY. */
ce_status cei_chat_load(const char *folder, const cei_tokenizer *tokenizer, const cei_chat_settings *settings,
                        cei_chat **chat, char *reason, ce_error *error);

/* The same of a template's text, which settings->path names. Errors: FORMAT, UNSUPPORTED (by name), MEMORY. */
ce_status cei_chat_parse(ce_text text, const cei_tokenizer *tokenizer, const cei_chat_settings *settings,
                         cei_chat **chat, char *reason, ce_error *error);
void cei_chat_free(cei_chat *chat); /* NULL is fine */

/* The template's text with the chat's settings in it, as names that are set before all else; empty where they cannot be
 * said so. It is to be freed. Errors: MEMORY. */
ce_status cei_chat_source(const cei_chat *chat, cei_bytes *text, ce_error *error);

/* The text that every prompt is, with "{query}" and "{document}" where these stand in it, if that is all that the
 * template does: contents go into it as they are, a prompt of the caller's counts for nothing, and nothing else looks
 * like such a place. Else text is empty. It is to be freed. Errors: MEMORY. */
ce_status cei_chat_places(const cei_chat *chat, cei_bytes *text, ce_error *error);

/* Do two chats make the same prompts by saying the same? NULL is no chat. Errors: MEMORY. */
ce_status cei_chat_same(const cei_chat *one, const cei_chat *other, bool *same, ce_error *error);

/* A chat of the same template with more names over its own, an object. Errors: FORMAT, UNSUPPORTED (by name), MODEL (it
 * cannot carry a pair with them), MEMORY. */
ce_status cei_chat_vary(const cei_chat *chat, const cei_tokenizer *tokenizer, const json_t *more, const char *path,
                        cei_chat **out, ce_error *error);

/* What one thread needs. Zeroed is empty; memory is kept. */
typedef struct cei_chat_memory {
    cei_template_memory render;
    cei_bytes query, document; /* repaired */
} cei_chat_memory;
void cei_chat_memory_free(cei_chat_memory *memory);

/* The ids of a pair's prompt. prompt is well-formed, or empty for none. Errors: TEXT and MODEL (what the template
 * says), with *part "query", "document" or "prompt"; MEMORY. */
ce_status cei_chat_encode(const cei_chat *chat, const cei_tokenizer *tokenizer, ce_text prompt, ce_pair pair,
                          ce_utf8_policy utf8, cei_chat_memory *memory, cei_token_buffer *buffer, const char **part,
                          ce_error *error);

/* The tokens that every pair's prompt ends with, which truncation must not take: those that two pairs with nothing in
 * common share. *suffix lies in first, and the buffers are the caller's. Errors: as encode. */
ce_status cei_chat_suffix(const cei_chat *chat, const cei_tokenizer *tokenizer, ce_text prompt, cei_chat_memory *memory,
                          cei_token_buffer *first, cei_token_buffer *second, const int32_t **suffix, size_t *count,
                          ce_error *error);

#endif
