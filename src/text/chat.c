/* chat.c - finds a folder's chat template, and makes prompts of pairs with it.
 *
 * Must not guess: a template that loses the query or the document is told of, as the reference refuses it, for a model
 * would score an empty prompt without complaint. */
#include "text/chat.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json_write.h"
#include "text/template_text.h"

#include <stdio.h>

enum { FILE_LIMIT = 256 << 20 }; /* of tokenizer_config.json, which lists added tokens */

/* A template's text as it was found. */
typedef struct source {
    char *path; /* of the file */
    char *text; /* NULL if there is none */
    size_t size;
    bool is_named; /* it is one of several */
} source;

struct cei_chat {
    cei_template *tmpl;
    source found;
    json_t *settings; /* NULL for none */
    bool in_parts;    /* contents are lists of parts */
    bool restores_suffix;
};

/* ---- finding it ---------------------------------------------------------------------------------------------- */

static ce_status copy_text(const json_t *text, source *found, ce_error *error) {
    if (!json_is_string(text))
        return cei_fail(error, CE_ERR_FORMAT, "%s: a chat template must be a string, and is %s", found->path,
                        cei_json_type(text));
    found->size = json_string_length(text);
    found->text = cei_copy_string(json_string_value(text), found->size);
    return found->text ? CE_OK : cei_fail_memory(error, "a chat template", found->size);
}

/* The template "default" of several, in a list of {"name", "template"} or an object. */
static ce_status choose_default(const json_t *templates, source *found, ce_error *error) {
    const json_t *chosen = json_object_get(templates, "default"), *one;
    size_t i;
    found->is_named = true;
    json_array_foreach(templates, i, one) {
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && strcmp(name, "default") == 0) chosen = json_object_get(one, "template");
    }
    if (chosen) return copy_text(chosen, found, error);
    return cei_fail(error, CE_ERR_MODEL, "%s: there are several chat templates, and none is called \"default\"",
                    found->path);
}

static ce_status read_setting(const char *folder, source *found, ce_error *error) {
    json_t *root = NULL;
    found->path = cei_join_path(folder, "tokenizer_config.json");
    if (!found->path) return cei_fail_memory(error, "a path", 0);
    if (!cei_file_exists(found->path)) return CE_OK;
    ce_status status = cei_json_load(found->path, FILE_LIMIT, &root, error);
    const json_t *value = json_object_get(root, "chat_template");
    if (status == CE_OK && value && !json_is_null(value))
        status = json_is_array(value) || json_is_object(value) ? choose_default(value, found, error)
                                                               : copy_text(value, found, error);
    json_decref(root);
    return status;
}

/* Are there more templates in files? The reference then has several. */
static ce_status find_more(const char *folder, source *found, ce_error *error) {
    char *path = cei_join_path(folder, "additional_chat_templates");
    if (!path) return cei_fail_memory(error, "a path", 0);
    found->is_named = cei_file_exists(path);
    cei_free(path);
    return CE_OK;
}

static ce_status find_source(const char *folder, source *found, ce_error *error) {
    found->path = cei_join_path(folder, "chat_template.jinja");
    if (!found->path) return cei_fail_memory(error, "a path", 0);
    if (cei_file_exists(found->path)) {
        ce_status status = find_more(folder, found, error);
        return status == CE_OK ? cei_read_file(found->path, CEI_TEMPLATE_MAX_SIZE, &found->text, &found->size, error)
                               : status;
    }
    cei_free(found->path);
    return read_setting(folder, found, error);
}

/* ---- what it knows ------------------------------------------------------------------------------------------- */

/* Does the template look as if contents were lists? The reference's guess, by these strings. */
static bool looks_structured(const source *found) {
    static const char *const signs[] = {"content[0]", ".type", "'type'", "\"type\"", "message.content["};
    const ce_text text = {found->text, found->size};
    if (found->is_named || found->size == 0) return true;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (cei_text_find(text, ce_text_of(signs[i]), 0) != SIZE_MAX) return true;
    return false;
}

static ce_status choose_format(const cei_chat_settings *settings, const source *found, bool *in_parts,
                               ce_error *error) {
    const char *format = settings->format;
    *in_parts = format ? strcmp(format, "structured") == 0 : looks_structured(found);
    if (!format || *in_parts || strcmp(format, "flat") == 0) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the message format \"%.60s\" is not supported", settings->path,
                    format);
}

/* Defines a name and releases its value. */
static ce_status define(cei_template *tmpl, const char *name, json_t *value, ce_error *error) {
    ce_status status =
        value ? cei_template_define(tmpl, name, value, error) : cei_fail_memory(error, "a chat template's names", 0);
    json_decref(value);
    return status;
}

static ce_status define_usual(cei_template *tmpl, const cei_tokenizer *tokenizer, ce_error *error) {
    ce_status status = define(tmpl, "tools", json_null(), error);
    if (status == CE_OK) status = define(tmpl, "documents", json_null(), error);
    if (status == CE_OK) status = define(tmpl, "add_generation_prompt", json_false(), error);
    for (size_t role = 0; role < CEI_ROLES && status == CE_OK; role++) {
        const char *token = cei_tokenizer_role(tokenizer, role);
        if (token) status = define(tmpl, cei_tokenizer_role_key(role), json_string(token), error);
    }
    return status;
}

/* Settings are the template's names, but for those that are the reference's own arguments. */
static ce_status define_settings(cei_chat *chat, const json_t *settings, const char *path, ce_error *error) {
    static const char *const others[] = {
        "chat_template", "truncation", "max_length", "padding", "return_tensors", "messages", "continue_final_message"};
    json_t *object = (json_t *)(uintptr_t)settings;
    ce_status status = cei_json_bool(object, "restore_suffix", path, &chat->restores_suffix, error);
    for (void *at = json_object_iter(object); at && status == CE_OK; at = json_object_iter_next(object, at)) {
        const char *name = json_object_iter_key(at);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (strcmp(name, others[i]) == 0)
                return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the setting \"%s\" of a chat template is not supported",
                                path, name);
        if (strcmp(name, "restore_suffix") != 0)
            status = cei_template_define(chat->tmpl, name, json_object_iter_value(at), error);
    }
    return status;
}

/* ---- prompts ------------------------------------------------------------------------------------------------- */

static ce_status render(const cei_chat *chat, ce_text prompt, ce_pair pair, cei_template_memory *memory, ce_text *text,
                        ce_error *error) {
    const cei_template_message messages[] = {{ce_text_of("system"), prompt, chat->in_parts},
                                             {ce_text_of("query"), pair.query, chat->in_parts},
                                             {ce_text_of("document"), pair.document, chat->in_parts}};
    const size_t first = prompt.size == 0;
    return cei_template_render(chat->tmpl, messages + first, 3 - first, memory, text, error);
}

ce_status cei_chat_encode(const cei_chat *chat, const cei_tokenizer *tokenizer, ce_text prompt, ce_pair pair,
                          ce_utf8_policy utf8, cei_chat_memory *memory, cei_token_buffer *buffer, const char **part,
                          ce_error *error) {
    ce_text text;
    *part = "query";
    ce_status status = cei_text_check(&pair.query, utf8, &memory->query, error);
    if (status != CE_OK) return status;
    *part = "document";
    status = cei_text_check(&pair.document, utf8, &memory->document, error);
    if (status != CE_OK) return status;
    *part = "prompt";
    status = render(chat, prompt, pair, &memory->render, &text, error);
    return status == CE_OK ? cei_tokenizer_encode(tokenizer, text, CE_UTF8_STRICT, buffer, error) : status;
}

ce_status cei_chat_suffix(const cei_chat *chat, const cei_tokenizer *tokenizer, ce_text prompt, cei_chat_memory *memory,
                          cei_token_buffer *first, cei_token_buffer *second, const int32_t **suffix, size_t *count,
                          ce_error *error) {
    /* The reference's fillers, which share no token. */
    const ce_pair one = {ce_text_of("0"), ce_text_of("0")}, other = {ce_text_of("1 2 3 4"), ce_text_of("1 2 3 4")};
    const char *part;
    *suffix = NULL;
    *count = 0;
    if (!chat->restores_suffix) return CE_OK;
    ce_status status = cei_chat_encode(chat, tokenizer, prompt, one, CE_UTF8_STRICT, memory, first, &part, error);
    if (status == CE_OK)
        status = cei_chat_encode(chat, tokenizer, prompt, other, CE_UTF8_STRICT, memory, second, &part, error);
    if (status != CE_OK) return status;
    const size_t most = cei_min_size(first->count, second->count);
    size_t shared = 0;
    while (shared < most && first->ids[first->count - 1 - shared] == second->ids[second->count - 1 - shared]) shared++;
    if (shared == most) return CE_OK; /* they never differ */
    *suffix = first->ids + first->count - shared;
    *count = shared;
    return CE_OK;
}

void cei_chat_memory_free(cei_chat_memory *memory) {
    cei_template_memory_free(&memory->render);
    cei_free(memory->query.data);
    cei_free(memory->document.data);
    *memory = (cei_chat_memory){0};
}

/* ---- loading ------------------------------------------------------------------------------------------------- */

/* Renders a pair as cei_template_render does, into bytes of its own. */
static ce_status render_probe(const cei_chat *chat, ce_text prompt, ce_pair pair, cei_template_memory *memory,
                              cei_bytes *out, ce_error *error) {
    ce_text text;
    ce_status status = render(chat, prompt, pair, memory, &text, error);
    if (status == CE_OK && !cei_bytes_append(out, text.data, text.size)) status = cei_fail_memory(error, "a prompt", 0);
    return status;
}

static bool same_bytes(const cei_bytes *a, const cei_bytes *b) {
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* Does what is rendered change with each half of a pair? Else why not, in reason. */
static ce_status probe_roles(const cei_chat *chat, char *reason, ce_error *error) {
    const ce_pair pairs[] = {{ce_text_of("alpha"), ce_text_of("bravo")},
                             {ce_text_of("charlie"), ce_text_of("bravo")},
                             {ce_text_of("alpha"), ce_text_of("foxtrot")}};
    cei_bytes texts[3] = {{0}};
    cei_template_memory memory = {0};
    ce_error why = {0};
    ce_status status = CE_OK;
    *reason = '\0';
    for (size_t i = 0; i < 3 && status == CE_OK; i++)
        status = render_probe(chat, (ce_text){NULL, 0}, pairs[i], &memory, &texts[i], &why);
    if (status == CE_ERR_MODEL)
        snprintf(reason, CE_ERROR_MESSAGE_SIZE, "%s", why.message);
    else if (status == CE_OK && (same_bytes(&texts[0], &texts[1]) || same_bytes(&texts[0], &texts[2])))
        snprintf(reason, CE_ERROR_MESSAGE_SIZE, "what it renders does not change with the %s",
                 same_bytes(&texts[0], &texts[1]) ? "query" : "document");
    for (size_t i = 0; i < 3; i++) cei_free(texts[i].data);
    cei_template_memory_free(&memory);
    if (status == CE_OK || status == CE_ERR_MODEL) return CE_OK;
    if (error) *error = why;
    return status;
}

/* Everything but the check of what it carries; more may be NULL. */
static ce_status make_chat(cei_chat *chat, const cei_tokenizer *tokenizer, const json_t *more, const char *path,
                           ce_error *error) {
    const source *found = &chat->found;
    chat->restores_suffix = true;
    ce_status status = cei_template_parse(found->text, found->size, found->path, &chat->tmpl, error);
    if (status == CE_OK) status = define_usual(chat->tmpl, tokenizer, error);
    if (status == CE_OK) status = define_settings(chat, chat->settings, path, error);
    return status == CE_OK && more ? define_settings(chat, more, path, error) : status;
}

/* A chat with the caller's settings, whose template is still to be found. */
static cei_chat *begin_chat(const cei_chat_settings *settings, ce_error *error) {
    cei_chat *chat = cei_alloc_zeroed(1, sizeof *chat);
    if (chat)
        chat->settings = json_incref((json_t *)(uintptr_t)settings->settings);
    else
        cei_fail_memory(error, "a chat template", 0);
    return chat;
}

/* Gives the chat to the caller, if its template was found and can be used; else frees it. status is that of finding. */
static ce_status end_chat(cei_chat *chat, ce_status status, const cei_tokenizer *tokenizer,
                          const cei_chat_settings *settings, cei_chat **out, char *reason, ce_error *error) {
    const bool is_there = status == CE_OK && chat->found.text;
    if (is_there) status = choose_format(settings, &chat->found, &chat->in_parts, error);
    if (is_there && status == CE_OK) status = make_chat(chat, tokenizer, NULL, settings->path, error);
    if (is_there && status == CE_OK) status = probe_roles(chat, reason, error);
    if (is_there && status == CE_OK && !*reason)
        *out = chat;
    else
        cei_chat_free(chat);
    return status;
}

ce_status cei_chat_load(const char *folder, const cei_tokenizer *tokenizer, const cei_chat_settings *settings,
                        cei_chat **out, char *reason, ce_error *error) {
    cei_chat *chat = begin_chat(settings, error);
    *out = NULL;
    *reason = '\0';
    if (!chat) return CE_ERR_MEMORY;
    const ce_status status = find_source(folder, &chat->found, error);
    return end_chat(chat, status, tokenizer, settings, out, reason, error);
}

static ce_status copy_source(const source *from, source *to, ce_error *error) {
    *to = *from;
    to->path = cei_copy_string(from->path, strlen(from->path));
    to->text = cei_copy_string(from->text, from->size);
    return to->path && to->text ? CE_OK : cei_fail_memory(error, "a chat template", from->size);
}

ce_status cei_chat_parse(ce_text text, const cei_tokenizer *tokenizer, const cei_chat_settings *settings,
                         cei_chat **out, char *reason, ce_error *error) {
    cei_chat *chat = begin_chat(settings, error);
    const source given = {
        .path = (char *)(uintptr_t)settings->path, .text = (char *)(uintptr_t)text.data, .size = text.size};
    *out = NULL;
    *reason = '\0';
    if (!chat) return CE_ERR_MEMORY;
    const ce_status status = copy_source(&given, &chat->found, error);
    return end_chat(chat, status, tokenizer, settings, out, reason, error);
}

ce_status cei_chat_vary(const cei_chat *chat, const cei_tokenizer *tokenizer, const json_t *more, const char *path,
                        cei_chat **out, ce_error *error) {
    char reason[CE_ERROR_MESSAGE_SIZE];
    cei_chat *made = cei_alloc_zeroed(1, sizeof *made);
    if (!made) return cei_fail_memory(error, "a chat template", 0);
    made->in_parts = chat->in_parts;
    made->settings = json_incref(chat->settings);
    ce_status status = copy_source(&chat->found, &made->found, error);
    if (status == CE_OK) status = make_chat(made, tokenizer, more, path, error);
    if (status == CE_OK) status = probe_roles(made, reason, error);
    if (status == CE_OK && *reason)
        status = cei_fail(error, CE_ERR_MODEL,
                          "%s: the chat template cannot carry a query and a document with it (%.300s)", path, reason);
    if (status == CE_OK)
        *out = made;
    else
        cei_chat_free(made);
    return status;
}

/* ---- what it says --------------------------------------------------------------------------------------------- */

static bool is_name(const char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    const size_t first = strspn(text, letters);
    return first > 0 &&
           text[first + strspn(text + first, "0123456789_"
                                             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")] == '\0';
}

/* A value as the template language writes it; false if it is not written here. */
static bool put_value(cei_json_out *out, const json_t *value) {
    char number[32];
    switch (json_typeof(value)) {
    case JSON_TRUE: cei_json_put(out, "true"); return true;
    case JSON_FALSE: cei_json_put(out, "false"); return true;
    case JSON_NULL: cei_json_put(out, "none"); return true;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        cei_json_put(out, number);
        return true;
    case JSON_STRING: break;
    default: return false;
    }
    const char *text = json_string_value(value);
    cei_json_put(out, "\"");
    for (size_t i = 0; i < json_string_length(value); i++) {
        if (text[i] == '"' || text[i] == '\\') cei_json_put(out, "\\");
        cei_json_put_bytes(out, &text[i], 1);
    }
    cei_json_put(out, "\"");
    return true;
}

/* The settings as statements; false if one cannot be one. */
static bool put_settings(cei_json_out *out, json_t *settings) {
    for (void *at = json_object_iter(settings); at; at = json_object_iter_next(settings, at)) {
        const char *name = json_object_iter_key(at);
        if (strcmp(name, "restore_suffix") == 0) continue; /* it is no name of the template's */
        if (!is_name(name)) return false;
        cei_json_put(out, "{% set ");
        cei_json_put(out, name);
        cei_json_put(out, " = ");
        if (!put_value(out, json_object_iter_value(at))) return false;
        cei_json_put(out, " %}");
    }
    return true;
}

ce_status cei_chat_source(const cei_chat *chat, cei_bytes *text, ce_error *error) {
    const source *found = &chat->found;
    cei_json_out out = {0};
    *text = (cei_bytes){0};
    /* White space that begins a template is dropped, or not, by what stands before it. */
    const bool is_said = put_settings(&out, chat->settings) && (out.size == 0 || !strchr(" \t\r\n", *found->text));
    if (is_said) cei_json_put_bytes(&out, found->text, found->size);
    const ce_status status = out.is_short ? cei_fail_memory(error, "a chat template", found->size) : CE_OK;
    if (status == CE_OK && is_said)
        *text = (cei_bytes){.data = out.data, .size = out.size, .capacity = out.capacity};
    else
        cei_free(out.data);
    return status;
}

ce_status cei_chat_same(const cei_chat *one, const cei_chat *other, bool *same, ce_error *error) {
    cei_bytes a = {0}, b = {0};
    *same = one == other;
    if (!one || !other) return CE_OK;
    ce_status status = cei_chat_source(one, &a, error);
    if (status == CE_OK) status = cei_chat_source(other, &b, error);
    *same = status == CE_OK && a.data && b.data && same_bytes(&a, &b) && one->in_parts == other->in_parts &&
            one->restores_suffix == other->restores_suffix;
    cei_free(a.data);
    cei_free(b.data);
    return status;
}

/* Do a few prompts show that the text is the frame around its places? What they show holds for all, since the template
 * is flat. */
static bool is_framed(const cei_bytes *text, const cei_bytes *empty, const cei_bytes *prompted) {
    static const char *const places[] = {"{query}", "{document}"};
    for (size_t i = 0; i < 2; i++) {
        const ce_text place = ce_text_of(places[i]);
        if (cei_text_find((ce_text){text->data, text->size}, place, 0) == SIZE_MAX ||
            cei_text_find((ce_text){empty->data, empty->size}, place, 0) != SIZE_MAX)
            return false;
    }
    return same_bytes(text, prompted);
}

ce_status cei_chat_places(const cei_chat *chat, cei_bytes *text, ce_error *error) {
    const ce_pair places = {ce_text_of("{query}"), ce_text_of("{document}")};
    const ce_pair nothing = {ce_text_of(""), ce_text_of("")};
    const struct {
        ce_text prompt;
        ce_pair pair;
    } asked[] = {{ce_text_of(""), places}, {ce_text_of(""), nothing}, {ce_text_of("a prompt"), places}};
    cei_bytes texts[3] = {{0}};
    cei_template_memory memory = {0};
    ce_status status = CE_OK;
    *text = (cei_bytes){0};
    if (chat->in_parts || !chat->restores_suffix || !cei_template_is_flat(chat->tmpl)) return CE_OK;
    for (size_t i = 0; i < 3 && status == CE_OK; i++)
        status = render_probe(chat, asked[i].prompt, asked[i].pair, &memory, &texts[i], error);
    if (status == CE_OK && is_framed(&texts[0], &texts[1], &texts[2])) {
        *text = texts[0];
        texts[0] = (cei_bytes){0};
    }
    for (size_t i = 0; i < 3; i++) cei_free(texts[i].data);
    cei_template_memory_free(&memory);
    return status == CE_ERR_MODEL ? CE_OK : status; /* it fails without a query, or with a prompt */
}

void cei_chat_free(cei_chat *chat) {
    if (!chat) return;
    cei_template_free(chat->tmpl);
    cei_free(chat->found.path);
    cei_free(chat->found.text);
    json_decref(chat->settings);
    cei_free(chat);
}
