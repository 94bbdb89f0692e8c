/* fuzz_cli_readers.c - what the command reads: lines, documents and pairs of each format, runs and judgements. The
 * first byte says which reader gets the rest, and whether bytes that are not UTF-8 are replaced.
 *
 * Relies on the command's own sources, which are compiled into this target, and on Jansson to compare with. */
#include "fuzz.h"

#include "../cli/format.h"
#include "../cli/json.h"
#include "../cli/records.h"
#include "../cli/trec.h"
#include "../cli/utf8.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static void check_failure(cli_status status, const cli_error *error) {
    bool is_known = status == CLI_OK || status == CLI_INPUT;
    fuzz_require(is_known);
    fuzz_require((status == CLI_OK) == (error->message[0] == '\0'));
    fuzz_require(memchr(error->message, '\0', sizeof error->message));
}

static void check_text(ce_text text) {
    fuzz_require(text.data || text.size == 0);
    fuzz_require(cli_utf8_check(text) == text.size);
    /* Every byte is read, so that a sanitizer sees one that is not the text's. */
    fuzz_require(cli_plain_columns(text) <= 2 * text.size + 1);
}

/* Lines must say what the bytes do: the pieces between LFs, without a CR at their end. */
static void read_lines(cli_reader *reader, const char *data, size_t size) {
    cli_error error = {{0}};
    ce_text line;
    bool more = true;
    size_t at = 0;
    cli_status status;
    while ((status = cli_reader_next(reader, &line, &more, &error)) == CLI_OK && more) {
        const char *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        bool is_marked = at == 0 && length >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0;
        bool has_return = length > 0 && data[at + length - 1] == '\r';
        ce_text want = {data + at + (is_marked ? 3 : 0), length - (is_marked ? 3 : 0) - (has_return ? 1 : 0)};
        check_text(line);
        if (cli_utf8_check(want) == want.size) {
            fuzz_require(line.size == want.size && (want.size == 0 || memcmp(line.data, want.data, want.size) == 0));
        } else {
            fuzz_require(reader->replace);
        }
        at += length + (end != NULL);
    }
    check_failure(status, &error);
    fuzz_require(status != CLI_OK || at == size);
    fuzz_require(status == CLI_OK || !reader->replace);
}

static void read_documents(cli_reader *reader, cli_format format) {
    cli_error error = {{0}};
    cli_arena arena = {0};
    ce_text line;
    bool more = true;
    cli_status status;
    while ((status = cli_reader_next(reader, &line, &more, &error)) == CLI_OK && more) {
        cli_document document;
        status = cli_parse_document(format, line, reader, &arena, &document, &error);
        if (status != CLI_OK) break;
        fuzz_require(document.text.data);
        check_text(document.text);
        check_text(document.id);
    }
    check_failure(status, &error);
    cli_arena_free(&arena);
}

static void read_pairs(cli_reader *reader, cli_format format) {
    cli_error error = {{0}};
    cli_arena arena = {0};
    ce_text line;
    bool more = true;
    cli_status status;
    while ((status = cli_reader_next(reader, &line, &more, &error)) == CLI_OK && more) {
        ce_pair pair;
        status = cli_parse_pair(format, line, reader, &arena, &pair, &error);
        if (status != CLI_OK) break;
        check_text(pair.query);
        check_text(pair.document);
    }
    check_failure(status, &error);
    cli_arena_free(&arena);
}

static void check_run(const cli_run *run, size_t top) {
    for (size_t query = 0; query < run->queries.count; query++) {
        size_t begin = run->begins[query], end = run->begins[query + 1];
        fuzz_require(begin < end && end <= run->count && (top == 0 || end - begin <= top));
        for (size_t i = begin; i < end; i++) {
            char text[CLI_NUMBER_SIZE];
            const cli_entry *entry = &run->entries[i];
            fuzz_require(entry->query == query && entry->document < run->documents.count && !isnan(entry->score));
            fuzz_require(i == begin || run->entries[i - 1].score >= entry->score);
            fuzz_require(strtof(cli_format_score(entry->score, text), NULL) == entry->score);
        }
    }
}

/* A value must be what Jansson has it for, but for what differs by design: depth, and numbers that Jansson cannot hold.
 */
static void compare_json(const char *data, size_t size) {
    static const int flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    ce_text line = {data, size};
    if (cli_utf8_check(line) != size || memchr(data, '\0', size)) return;
    cli_arena arena = {0};
    cli_json_result found;
    cli_json_field field = {.key = "a"};
    json_error_t why;
    bool is_good = cli_json_read(line, &arena, &field, 1, &found);
    json_t *want = json_loadb(data, size, flags, &why);
    if (is_good && !want) {
        enum json_error_code code = json_error_code(&why);
        fuzz_require(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    } else if (!is_good) {
        fuzz_require(!want || strstr(found.problem, "twice") || strstr(found.problem, "deep"));
    } else {
        fuzz_require(json_is_string(want) == (found.kind == CLI_JSON_STRING));
        fuzz_require(json_array_size(want) == found.elements);
        const json_t *inner = json_is_object(want) ? json_object_get(want, "a") : json_array_get(want, 0);
        fuzz_require(json_is_string(inner) == (field.kind == CLI_JSON_STRING));
        const json_t *string = json_is_string(want) ? want : inner;
        ce_text text = json_is_string(want) ? found.text : field.text;
        if (json_is_string(string)) {
            fuzz_require(json_string_length(string) == text.size);
            fuzz_require(memcmp(json_string_value(string), text.data, text.size) == 0);
        }
    }
    json_decref(want);
    cli_arena_free(&arena);
}

/* The bytes are a run, and then judgements of it. */
static void read_trec(const char *data, size_t size, size_t top) {
    cli_error error = {{0}};
    cli_run run = {0};
    cli_judgements judgements = {0};
    cli_reader reader = {0};
    size_t half = size / 2;
    cli_reader_open_memory(&reader, data, half, true);
    cli_status status = cli_run_read(&run, &reader, top, &error);
    check_failure(status, &error);
    if (status == CLI_OK) check_run(&run, top);
    cli_reader_close(&reader);
    cli_reader_open_memory(&reader, data + half, size - half, true);
    if (status == CLI_OK) check_failure(cli_judgements_read(&judgements, &run, &reader, &error), &error);
    cli_reader_close(&reader);
    cli_judgements_free(&judgements);
    cli_run_free(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size == 0) return 0;
    const char *data = (const char *)bytes + 1;
    int kind = bytes[0] & 7;
    cli_reader reader = {0};
    cli_reader_open_memory(&reader, data, --size, (bytes[0] & 8) != 0);
    switch (kind) {
    case 0: read_lines(&reader, data, size); break;
    case 1: read_documents(&reader, CLI_FORMAT_LINES); break;
    case 2: read_documents(&reader, CLI_FORMAT_TSV); break;
    case 3: read_documents(&reader, CLI_FORMAT_JSONL); break;
    case 4: read_pairs(&reader, CLI_FORMAT_TSV); break;
    case 5:
        read_pairs(&reader, CLI_FORMAT_JSONL);
        compare_json(data, size);
        break;
    default: read_trec(data, size, kind - 6);
    }
    cli_reader_close(&reader);
    return 0;
}
