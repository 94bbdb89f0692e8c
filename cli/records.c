/* records.c - what a line says. Texts are copied once, into the caller's arena. */
#include "records.h"

#include "json.h"

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
        bool is_json = line.size && (*line.data == '{' || *line.data == '[');
        return cli_fail_line(error, reader, "it %s; expected %s%s", line.size ? "has no tab" : "is empty", form,
                             is_json ? ". JSON lines are read with --format jsonl" : "");
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

static cli_status read_json(ce_text line, const cli_reader *reader, cli_arena *arena, cli_json_field *fields,
                            size_t count, cli_json_result *result, cli_error *error) {
    if (cli_json_read(line, arena, fields, count, result)) return CLI_OK;
    if (!result->problem) return cli_fail_memory(error);
    if (line.size == 0) return cli_fail_line(error, reader, "it is empty; expected JSON");
    /* Where the line ends within a value, the file is most likely one value, written over several lines. */
    return cli_fail_line(error, reader, "it is not valid JSON: column %zu: %s%s", result->column, result->problem,
                         result->column > line.size ? "; each line must hold a whole value (JSON lines)" : "");
}

/* A field must be a string; one that is missing or null may be, unless it is needed. */
static cli_status check_string(const cli_json_field *field, bool needed, const cli_reader *reader, cli_error *error) {
    if (field->kind == CLI_JSON_STRING) return CLI_OK;
    if (field->kind > CLI_JSON_NULL) return cli_fail_line(error, reader, "\"%s\" must be a string", field->key);
    return needed ? cli_fail_line(error, reader, "the object has no \"%s\"", field->key) : CLI_OK;
}

/* The document's id, a string or a whole number, in the arena; no data if there is none. */
static cli_status take_id(const cli_json_field *field, const cli_reader *reader, cli_arena *arena, ce_text *id,
                          cli_error *error) {
    if (field->kind <= CLI_JSON_NULL) return CLI_OK;
    if (field->kind == CLI_JSON_INTEGER) return copy_text(arena, field->text, id, error);
    if (field->kind != CLI_JSON_STRING) {
        return cli_fail_line(error, reader, "the id must be a string or a whole number");
    }
    *id = field->text;
    return CLI_OK;
}

static bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static ce_text strip(ce_text text) {
    while (text.size > 0 && is_space(text.data[0])) text = (ce_text){text.data + 1, text.size - 1};
    while (text.size > 0 && is_space(text.data[text.size - 1])) text.size--;
    return text;
}

/* title + " " + text without the spaces around, as BEIR's corpora are read. */
static cli_status join_title(cli_arena *arena, ce_text title, ce_text *text, cli_error *error) {
    if (title.size == 0) return CLI_OK;
    char *bytes = cli_arena_take(arena, title.size + 1 + text->size);
    if (!bytes) return cli_fail_memory(error);
    memcpy(bytes, title.data, title.size);
    bytes[title.size] = ' ';
    if (text->size) memcpy(bytes + title.size + 1, text->data, text->size);
    *text = strip((ce_text){bytes, title.size + 1 + text->size});
    return CLI_OK;
}

static cli_status parse_json_document(ce_text line, const cli_reader *reader, cli_arena *arena, cli_document *document,
                                      cli_error *error) {
    enum { ID, OTHER_ID, TITLE, TEXT, FIELDS };
    cli_json_field fields[FIELDS] = {{.key = "_id"}, {.key = "id"}, {.key = "title"}, {.key = "text"}};
    cli_json_result found;
    cli_status status = read_json(line, reader, arena, fields, FIELDS, &found, error);
    if (status != CLI_OK) return status;
    document->text = found.text;
    if (found.kind == CLI_JSON_STRING) return CLI_OK;
    if (found.kind != CLI_JSON_OBJECT) {
        return cli_fail_line(error, reader, "expected a string or an object with \"text\"");
    }
    status = take_id(&fields[fields[ID].kind > CLI_JSON_NULL ? ID : OTHER_ID], reader, arena, &document->id, error);
    if (status == CLI_OK) status = check_string(&fields[TITLE], false, reader, error);
    if (status == CLI_OK) status = check_string(&fields[TEXT], true, reader, error);
    document->text = fields[TEXT].text;
    return status == CLI_OK ? join_title(arena, fields[TITLE].text, &document->text, error) : status;
}

cli_status cli_parse_document(cli_format format, ce_text line, const cli_reader *reader, cli_arena *arena,
                              cli_document *document, cli_error *error) {
    *document = (cli_document){{NULL, 0}, {NULL, 0}};
    if (format == CLI_FORMAT_JSONL) return parse_json_document(line, reader, arena, document, error);
    ce_text id = {NULL, 0}, text = line;
    cli_status status = CLI_OK;
    if (format == CLI_FORMAT_TSV) status = split_at_tab(line, "id<TAB>text", reader, &id, &text, error);
    if (status == CLI_OK && id.data) status = copy_text(arena, id, &document->id, error);
    if (status == CLI_OK) status = copy_text(arena, text, &document->text, error);
    return status;
}

static cli_status parse_json_pair(ce_text line, const cli_reader *reader, cli_arena *arena, ce_pair *pair,
                                  cli_error *error) {
    cli_json_field fields[] = {{.key = "query"}, {.key = "document"}};
    cli_json_result found;
    cli_status status = read_json(line, reader, arena, fields, 2, &found, error);
    if (status != CLI_OK) return status;
    *pair = (ce_pair){fields[0].text, fields[1].text};
    if (found.kind == CLI_JSON_OBJECT) {
        status = check_string(&fields[0], true, reader, error);
        return status == CLI_OK ? check_string(&fields[1], true, reader, error) : status;
    }
    bool is_pair = found.kind == CLI_JSON_ARRAY && found.elements == 2 && fields[0].kind == CLI_JSON_STRING &&
                   fields[1].kind == CLI_JSON_STRING;
    if (is_pair) return CLI_OK;
    return cli_fail_line(error, reader,
                         "expected [\"query\", \"document\"] or an object with \"query\" and \"document\"");
}

cli_status cli_parse_pair(cli_format format, ce_text line, const cli_reader *reader, cli_arena *arena, ce_pair *pair,
                          cli_error *error) {
    if (format == CLI_FORMAT_JSONL) return parse_json_pair(line, reader, arena, pair, error);
    ce_text query = {NULL, 0}, document = {NULL, 0};
    cli_status status = split_at_tab(line, "query<TAB>document", reader, &query, &document, error);
    if (status == CLI_OK) status = copy_text(arena, query, &pair->query, error);
    return status == CLI_OK ? copy_text(arena, document, &pair->document, error) : status;
}
