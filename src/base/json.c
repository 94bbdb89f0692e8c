/* json.c - Jansson behind messages for people. Relies on file.h and error.h; knows no file's meaning. */
#include "base/json.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Jansson's failure as ours. Where it ran out of memory it says nothing at all. */
static ce_status fail_parse(ce_error *error, const char *path, const json_error_t *why) {
    if (why->text[0] == '\0' || json_error_code(why) == json_error_out_of_memory)
        return cei_fail_memory(error, path, 0);
    return cei_fail(error, CE_ERR_FORMAT, "%s is not valid JSON: line %d, column %d: %s", path, why->line, why->column,
                    why->text);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool in_number(char c) { return is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'; }

/* Rewrites the number text[0, size) in place if it is an integer beyond 64 bits: its last two digits become "e2",
 * which makes a real of the same value, as near as a double comes to it anyway. */
static void shorten_integer(char *text, size_t size) {
    static const char largest[] = "9223372036854775807"; /* INT64_MAX, 19 digits */
    enum { DIGITS = sizeof largest - 1 };
    if (size > 0 && text[0] == '-') text++, size--;
    for (size_t i = 0; i < size; i++)
        if (!is_digit(text[i])) return;
    if (size > DIGITS || (size == DIGITS && memcmp(text, largest, DIGITS) > 0)) memcpy(text + size - 2, "e2", 2);
}

/* The first byte behind the string whose opening quote is data[at]. */
static size_t skip_string(const char *data, size_t size, size_t at) {
    for (at++; at < size && data[at] != '"'; at++)
        if (data[at] == '\\') at++;
    return at + 1;
}

/* Does so for all numbers outside strings. */
static void shorten_integers(char *data, size_t size) {
    for (size_t i = 0; i < size;) {
        size_t begin = i;
        if (data[i] == '"') {
            i = skip_string(data, size, i);
            continue;
        }
        while (i < size && in_number(data[i])) i++;
        if (i > begin)
            shorten_integer(data + begin, i - begin);
        else
            i++;
    }
}

static ce_status parse(const char *data, size_t size, const char *path, size_t flags, json_t **root, json_error_t *why,
                       ce_error *error) {
    *root = json_loadb(size ? data : "", size, JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, why);
    return *root ? CE_OK : fail_parse(error, path, why);
}

/* Jansson refuses files with integers beyond 64 bits, which tokenizers write for "no limit" (10^30). */
static ce_status parse_large_integers(const char *data, size_t size, const char *path, json_t **root, ce_error *error) {
    char *copy = cei_copy_string(data, size);
    if (!copy) return cei_fail_memory(error, path, size);
    json_error_t why;
    shorten_integers(copy, size);
    ce_status status = parse(copy, size, path, 0, root, &why, error);
    cei_free(copy);
    return status;
}

ce_status cei_json_parse(const char *data, size_t size, const char *path, json_t **root, ce_error *error) {
    json_error_t why;
    ce_status status = parse(data, size, path, 0, root, &why, error);
    if (status != CE_ERR_FORMAT || json_error_code(&why) != json_error_numeric_overflow) return status;
    return parse_large_integers(data, size, path, root, error);
}

ce_status cei_json_parse_unique(const char *data, size_t size, const char *path, json_t **root, ce_error *error) {
    json_error_t why;
    return parse(data, size, path, JSON_REJECT_DUPLICATES, root, &why, error);
}

ce_status cei_json_load(const char *path, size_t limit, json_t **root, ce_error *error) {
    char *data = NULL;
    size_t size = 0;
    *root = NULL;
    ce_status status = cei_read_file(path, limit, &data, &size, error);
    if (status == CE_OK) status = cei_json_parse(data, size, path, root, error);
    cei_free(data);
    if (status == CE_OK && !json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        status = cei_fail(error, CE_ERR_FORMAT, "%s holds no JSON object", path);
    }
    return status;
}

const char *cei_json_type(const json_t *value) {
    if (!value) return "absent";
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "something else";
}

static ce_status wrong_type(ce_error *error, const char *path, const char *key, const char *want, const json_t *got) {
    return cei_fail(error, CE_ERR_FORMAT, "%s: \"%s\" must be %s, and is %s", path, key, want, cei_json_type(got));
}

/* The field, or NULL if it is absent or null. */
static const json_t *field(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value) ? value : NULL;
}

/* An integer beyond 64 bits was read as a real. */
static bool is_large_integer(const json_t *value) {
    return json_is_real(value) && fabs(json_real_value(value)) >= 9223372036854775808.0;
}

ce_status cei_json_size(const json_t *object, const char *key, size_t min, size_t max, const char *path, size_t *value,
                        ce_error *error) {
    const json_t *got = field(object, key);
    if (!got) return CE_OK;
    if (is_large_integer(got))
        return cei_fail(error, CE_ERR_FORMAT, "%s: \"%s\" is %g, and must be from %zu to %zu", path, key,
                        json_real_value(got), min, max);
    if (!json_is_integer(got)) return wrong_type(error, path, key, "an integer", got);
    json_int_t number = json_integer_value(got);
    if (number < 0 || (uint64_t)number < min || (uint64_t)number > max)
        return cei_fail(error, CE_ERR_FORMAT, "%s: \"%s\" is %lld, and must be from %zu to %zu", path, key,
                        (long long)number, min, max);
    *value = (size_t)number;
    return CE_OK;
}

ce_status cei_json_double(const json_t *object, const char *key, const char *path, double *value, ce_error *error) {
    const json_t *got = field(object, key);
    if (!got) return CE_OK;
    if (!json_is_number(got)) return wrong_type(error, path, key, "a number", got);
    *value = json_number_value(got); /* always finite: JSON has no other numbers, and Jansson refuses overflow */
    return CE_OK;
}

ce_status cei_json_bool(const json_t *object, const char *key, const char *path, bool *value, ce_error *error) {
    const json_t *got = field(object, key);
    if (!got) return CE_OK;
    if (!json_is_boolean(got)) return wrong_type(error, path, key, "true or false", got);
    *value = json_is_true(got);
    return CE_OK;
}

ce_status cei_json_string(const json_t *object, const char *key, const char *path, const char **value,
                          ce_error *error) {
    const json_t *got = field(object, key);
    if (!got) return CE_OK;
    if (!json_is_string(got)) return wrong_type(error, path, key, "a string", got);
    const char *string = json_string_value(got);
    if (strlen(string) != json_string_length(got))
        return cei_fail(error, CE_ERR_FORMAT, "%s: \"%s\" has a NUL in it", path, key);
    *value = string;
    return CE_OK;
}
