/* json.c - JSON files, and fields behind messages for people. Relies on json_parse.c and file.h; knows no file's
 * meaning. */
#include "base/json.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

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
