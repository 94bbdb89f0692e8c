/* gguf_chat.c - the chat template of a GGUF file as a folder has it.
 *
 * A re-ranker's file has a text with {query} and {document} in it, which is no template of messages: one is made of it
 * that renders the same. It comes before tokenizer.chat_template, which is that of the chat model. */
#include "model/gguf.h"

#include "base/error.h"
#include "base/memory.h"
#include "text/utf8.h"

#include <string.h>

enum { MOST_PLACES = 16 };

/* A string of the template language. */
static void put_literal(cei_json_out *out, const char *text, size_t size) {
    if (size == 0) return;
    cei_json_put(out, "{{ \"");
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"' || text[i] == '\\') cei_json_put(out, "\\");
        cei_json_put_bytes(out, &text[i], 1);
    }
    cei_json_put(out, "\" }}");
}

static void put_role(cei_json_out *out, const char *role) {
    cei_json_put(out, "{% for message in messages %}{% if message.role == \"");
    cei_json_put(out, role);
    cei_json_put(out, "\" %}{{ message.content }}{% endif %}{% endfor %}");
}

/* The role whose place is at text, in braces; NULL if there is none. */
static const char *role_at(const char *text, size_t size) {
    static const char *const roles[] = {"query", "document"};
    for (size_t i = 0; i < 2; i++) {
        const size_t length = strlen(roles[i]);
        if (size >= length + 2 && text[0] == '{' && text[length + 1] == '}' && memcmp(text + 1, roles[i], length) == 0)
            return roles[i];
    }
    return NULL;
}

/* false if there are more places than MOST_PLACES: each becomes many times its size. */
static bool put_rerank(cei_json_out *out, cei_gguf_text text) {
    size_t from = 0, places = 0;
    for (size_t at = 0; at < text.size;) {
        const char *role = role_at(text.data + at, text.size - at);
        if (!role) {
            at++;
            continue;
        }
        if (places++ == MOST_PLACES) return false;
        put_literal(out, text.data + from, at - from);
        put_role(out, role);
        at += strlen(role) + 2;
        from = at;
    }
    put_literal(out, text.data + from, text.size - from);
    return true;
}

ce_status cei_gguf_write_chat(const cei_gguf *file, cei_json_out *out, bool *is_flat, ce_error *error) {
    cei_gguf_text rerank = {NULL, 0}, usual = {NULL, 0};
    ce_status status = cei_gguf_string(file, CEI_GGUF_RERANK_TEMPLATE, &rerank, error);
    if (status == CE_OK) status = cei_gguf_string(file, CEI_GGUF_CHAT_TEMPLATE, &usual, error);
    const cei_gguf_text text = rerank.data ? rerank : usual;
    if (status != CE_OK || !text.data) return status;
    if (cei_utf8_check(text.data, text.size, NULL) < text.size)
        return cei_fail(error, CE_ERR_FORMAT, "%s: its chat template is not UTF-8", file->path);
    *is_flat = rerank.data != NULL;
    if (!*is_flat)
        cei_json_put_bytes(out, text.data, text.size);
    else if (!put_rerank(out, text))
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: \"%s\" has more than %d places for queries and documents",
                        file->path, CEI_GGUF_RERANK_TEMPLATE, MOST_PLACES);
    return out->is_short ? cei_fail_memory(error, file->path, text.size) : CE_OK;
}
