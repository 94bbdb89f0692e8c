/* records.c - what a line says. JSON is parsed by Jansson; its strings are copied once, into the caller's arena. */
#include "records.h"

#include <jansson.h>
#include <stdio.h>
#include <strings.h>

cli_format cli_format_of(cli_format format, const char *path, cli_format otherwise) {
    if (format != CLI_FORMAT_AUTO) return format;
    const char *ending = path ? strrchr(path, '.') : NULL;
    if (!ending) return otherwise;
    if (strcasecmp(ending, ".tsv") == 0) return CLI_FORMAT_TSV;
    bool json = strcasecmp(ending, ".jsonl") == 0 || strcasecmp(ending, ".ndjson") == 0;
    return json || strcasecmp(ending, ".json") == 0 ? CLI_FORMAT_JSONL : otherwise;
}

/* Parts line at its tab. More than one is an error, for nobody can tell what the rest of the line is. */
static cli_status split_at_tab(ce_text line, const char *form, const cli_reader *reader, ce_text *left, ce_text *right,
                               cli_error *error) {
    const char *tab = line.size ? memchr(line.data, '\t', line.size) : NULL;
    if (!tab) {
        return cli_fail_line(error, reader, "it %s; expected %s", line.size ? "has no tab" : "is empty", form);
    }
    *left = (ce_text){line.data, (size_t)(tab - line.data)};
    *right = (ce_text){tab + 1, line.size - left->size - 1};
    if (!memchr(right->data, '\t', right->size)) return CLI_OK;
    return cli_fail_line(error, reader,
                         "it has more than one tab; expected %s. Texts that hold tabs can be given as JSON "
                         "lines",
                         form);
}

static cli_status copy_text(cli_arena *arena, ce_text from, ce_text *to, cli_error *error) {
    *to = cli_arena_copy(arena, from);
    return to->data ? CLI_OK : cli_fail_memory(error);
}

static cli_status parse_json(ce_text line, const cli_reader *reader, json_t **value, cli_error *error) {
    json_error_t why;
    *value = NULL;
    /* Jansson would take a NUL for the end, and not see what comes behind. */
    if (line.size > 0 && memchr(line.data, '\0', line.size)) {
        return cli_fail_line(error, reader, "it is not valid JSON: it holds a NUL byte");
    }
    *value = json_loadb(line.data, line.size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    if (*value) return CLI_OK;
    if (json_error_code(&why) == json_error_out_of_memory) return cli_fail_memory(error);
    if (line.size == 0) return cli_fail_line(error, reader, "it is empty; expected JSON");
    return cli_fail_line(error, reader, "it is not valid JSON: column %d: %s", why.column, why.text);
}

static ce_text string_of(const json_t *value) { return (ce_text){json_string_value(value), json_string_length(value)}; }

/* The string under key. One that is missing or null is an error if it is needed, else *text stays as it was. */
static cli_status get_string(const json_t *object, const char *key, bool needed, const cli_reader *reader,
                             ce_text *text, cli_error *error) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value)) {
        *text = string_of(value);
    } else if (value && !json_is_null(value)) {
        return cli_fail_line(error, reader, "\"%s\" must be a string", key);
    } else if (needed) {
        return cli_fail_line(error, reader, "the object has no \"%s\"", key);
    }
    return CLI_OK;
}

/* The document's id under "_id" or "id", a string or a whole number, copied; no data if there is none. */
static cli_status get_id(const json_t *object, const cli_reader *reader, cli_arena *arena, ce_text *id,
                         cli_error *error) {
    const json_t *value = json_object_get(object, "_id");
    if (!value) value = json_object_get(object, "id");
    if (!value || json_is_null(value)) return CLI_OK;
    if (json_is_string(value)) return copy_text(arena, string_of(value), id, error);
    if (!json_is_integer(value)) return cli_fail_line(error, reader, "the id must be a string or a whole number");
    char digits[32];
    snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return copy_text(arena, ce_text_of(digits), id, error);
}

static bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static ce_text strip(ce_text text) {
    while (text.size > 0 && is_space(text.data[0])) text = (ce_text){text.data + 1, text.size - 1};
    while (text.size > 0 && is_space(text.data[text.size - 1])) text.size--;
    return text;
}

/* title + " " + text without the spaces around, as BEIR's corpora are read. */
static cli_status join_title(cli_arena *arena, ce_text title, ce_text text, ce_text *joined, cli_error *error) {
    if (title.size == 0) return copy_text(arena, text, joined, error);
    char *bytes = cli_arena_take(arena, title.size + 1 + text.size);
    if (!bytes) return cli_fail_memory(error);
    memcpy(bytes, title.data, title.size);
    bytes[title.size] = ' ';
    if (text.size) memcpy(bytes + title.size + 1, text.data, text.size);
    *joined = strip((ce_text){bytes, title.size + 1 + text.size});
    return CLI_OK;
}

static cli_status read_document(const json_t *value, const cli_reader *reader, cli_arena *arena, cli_document *document,
                                cli_error *error) {
    if (json_is_string(value)) return copy_text(arena, string_of(value), &document->text, error);
    if (!json_is_object(value)) return cli_fail_line(error, reader, "expected a string or an object with \"text\"");
    ce_text title = {"", 0}, text = {"", 0};
    cli_status status = get_id(value, reader, arena, &document->id, error);
    if (status == CLI_OK) status = get_string(value, "title", false, reader, &title, error);
    if (status == CLI_OK) status = get_string(value, "text", true, reader, &text, error);
    if (status == CLI_OK) status = join_title(arena, title, text, &document->text, error);
    return status;
}

cli_status cli_parse_document(cli_format format, ce_text line, const cli_reader *reader, cli_arena *arena,
                              cli_document *document, cli_error *error) {
    *document = (cli_document){{NULL, 0}, {NULL, 0}};
    if (format == CLI_FORMAT_JSONL) {
        json_t *value = NULL;
        cli_status status = parse_json(line, reader, &value, error);
        if (status == CLI_OK) status = read_document(value, reader, arena, document, error);
        json_decref(value);
        return status;
    }
    ce_text id = {NULL, 0}, text = line;
    cli_status status = CLI_OK;
    if (format == CLI_FORMAT_TSV) status = split_at_tab(line, "id<TAB>text", reader, &id, &text, error);
    if (status == CLI_OK && id.data) status = copy_text(arena, id, &document->id, error);
    if (status == CLI_OK) status = copy_text(arena, text, &document->text, error);
    return status;
}

static cli_status read_pair(const json_t *value, const cli_reader *reader, ce_pair *pair, cli_error *error) {
    if (json_is_object(value)) {
        cli_status status = get_string(value, "query", true, reader, &pair->query, error);
        if (status == CLI_OK) status = get_string(value, "document", true, reader, &pair->document, error);
        return status;
    }
    const json_t *query = json_array_get(value, 0), *document = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_string(query) || !json_is_string(document)) {
        return cli_fail_line(error, reader,
                             "expected [\"query\", \"document\"] or an object with \"query\" and "
                             "\"document\"");
    }
    *pair = (ce_pair){string_of(query), string_of(document)};
    return CLI_OK;
}

cli_status cli_parse_pair(cli_format format, ce_text line, const cli_reader *reader, cli_arena *arena, ce_pair *pair,
                          cli_error *error) {
    ce_pair found = {{"", 0}, {"", 0}};
    json_t *value = NULL;
    cli_status status;
    if (format == CLI_FORMAT_JSONL) {
        status = parse_json(line, reader, &value, error);
        if (status == CLI_OK) status = read_pair(value, reader, &found, error);
    } else {
        status = split_at_tab(line, "query<TAB>document", reader, &found.query, &found.document, error);
    }
    if (status == CLI_OK) status = copy_text(arena, found.query, &pair->query, error);
    if (status == CLI_OK) status = copy_text(arena, found.document, &pair->document, error);
    json_decref(value);
    return status;
}
