/* json.h - JSON files and their fields, with errors that name file, field and what was found.
 *
 * Values are Jansson's; the parser is json_parse.c. No other folder includes <jansson.h> but through here. */
#ifndef CEI_JSON_H
#define CEI_JSON_H

#include <crossenc/status.h>

#include <jansson.h>

/* Parses size bytes that came from the file path (for messages only). The root may be any JSON value. Of a key that
 * an object has twice, the last one counts, as in Python; an integer beyond 64 bits, and -0, become reals. Strings and
 * keys may have NULs in them (real vocabularies do): read them with json_string_length and
 * json_object_keylen_foreach where that matters.
 * *root is the caller's, released by json_decref. Errors: FORMAT (with line and column), MEMORY. */
ce_status cei_json_parse(const char *data, size_t size, const char *path, json_t **root, ce_error *error);

/* The same, but a key that an object has twice, or with a NUL in it, is FORMAT. */
ce_status cei_json_parse_strict(const char *data, size_t size, const char *path, json_t **root, ce_error *error);

/* Reads and parses a file whose root must be an object. Errors: those of cei_read_file and cei_json_parse. */
ce_status cei_json_load(const char *path, size_t limit, json_t **root, ce_error *error);

/* "an array", "true", ..., for messages; "absent" for NULL. */
const char *cei_json_type(const json_t *value);

/* Typed fields. A field that is absent or null leaves *value as it was and is CE_OK; one of the wrong type or out
 * of [min, max], or a string with a NUL in it, is FORMAT with a message. path is the file's, for messages. Strings
 * stay the property of object. */
ce_status cei_json_size(const json_t *object, const char *key, size_t min, size_t max, const char *path, size_t *value,
                        ce_error *error);
ce_status cei_json_double(const json_t *object, const char *key, const char *path, double *value, ce_error *error);
ce_status cei_json_bool(const json_t *object, const char *key, const char *path, bool *value, ce_error *error);
ce_status cei_json_string(const json_t *object, const char *key, const char *path, const char **value, ce_error *error);

#endif
