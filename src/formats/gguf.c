/* gguf.c - the metadata of a GGUF file, and its life. Relies on gguf_tensors.c for the tensors. Must believe nothing,
 * and must copy no value. */
#include "formats/gguf_parts.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The least that a pair takes: an empty key's length, a type, one byte. And the deepest that arrays may be nested. */
enum { LEAST_PAIR = 8 + 4 + 1, DEEPEST = 4, MAGIC_BYTES = 4 };

static const char magic[] = "GGUF";

/* Bytes of one value; 0 of those whose size is in the file. */
static const size_t type_sizes[CEI_GGUF_TYPES] = {
    [CEI_GGUF_UINT8] = 1,  [CEI_GGUF_INT8] = 1,    [CEI_GGUF_UINT16] = 2, [CEI_GGUF_INT16] = 2,
    [CEI_GGUF_UINT32] = 4, [CEI_GGUF_INT32] = 4,   [CEI_GGUF_BOOL] = 1,   [CEI_GGUF_UINT64] = 8,
    [CEI_GGUF_INT64] = 8,  [CEI_GGUF_FLOAT32] = 4, [CEI_GGUF_FLOAT64] = 8};

/* ---- reading ------------------------------------------------------------------------------------------------- */

#undef cei_gguf_cut
ce_status cei_gguf_cut(const cei_gguf_reader *in, const char *what) {
    return cei_fail(in->error, CE_ERR_FORMAT,
                    "%s is truncated or damaged: it has %zu bytes, and %s at byte %zu goes beyond; fetch it again",
                    in->path, in->size, what, in->at);
}

static const uint8_t *take(cei_gguf_reader *in, uint64_t bytes) {
    if (bytes > in->size - in->at) return NULL;
    const uint8_t *from = in->data + in->at;
    in->at += (size_t)bytes;
    return from;
}

static uint64_t little_endian(const uint8_t *from, size_t bytes) {
    uint64_t number = 0;
    for (size_t i = bytes; i-- > 0;) number = number << 8 | from[i];
    return number;
}

ce_status cei_gguf_read_number(cei_gguf_reader *in, size_t bytes, const char *what, uint64_t *number) {
    const uint8_t *from = take(in, bytes);
    if (!from) return cei_gguf_cut(in, what);
    *number = little_endian(from, bytes);
    return CE_OK;
}

ce_status cei_gguf_read_text(cei_gguf_reader *in, const char *what, cei_gguf_text *text) {
    uint64_t size = 0;
    ce_status status = cei_gguf_read_number(in, 8, what, &size);
    if (status != CE_OK) return status;
    text->data = (const char *)take(in, size);
    text->size = (size_t)size;
    return text->data ? CE_OK : cei_gguf_cut(in, what);
}

ce_status cei_gguf_check_name(const cei_gguf_reader *in, const char *what, cei_gguf_text name) {
    const unsigned char *text = (const unsigned char *)name.data;
    for (size_t at = 0, length; at < name.size; at += length) {
        length = cei_utf8_sequence(text + at, name.size - at);
        if (length == 0 || text[at] == '\0')
            return cei_fail(in->error, CE_ERR_FORMAT, "%s: %s is not UTF-8, or has a NUL in it", in->path, what);
    }
    return CE_OK;
}

int cei_gguf_compare(cei_gguf_text a, cei_gguf_text b) {
    const size_t shorter = cei_min_size(a.size, b.size);
    const int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool cei_gguf_text_is(cei_gguf_text text, const char *string) {
    return cei_gguf_compare(text, (cei_gguf_text){string, strlen(string)}) == 0;
}

/* ---- pairs --------------------------------------------------------------------------------------------------- */

static ce_status read_type(cei_gguf_reader *in, cei_gguf_text key, cei_gguf_type *type) {
    uint64_t number = 0;
    ce_status status = cei_gguf_read_number(in, 4, "a type", &number);
    if (status != CE_OK) return status;
    *type = (cei_gguf_type)number;
    if (number < CEI_GGUF_TYPES) return CE_OK;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: the value of \"%.*s\" has the type %u, and the format has 0 to %d",
                    in->path, (int)cei_min_size(key.size, 128), key.data, (unsigned)number, CEI_GGUF_TYPES - 1);
}

/* Steps over so many values. Arrays in arrays are stepped over too: no key that is read here has one. */
static ce_status skip_values(cei_gguf_reader *in, cei_gguf_text key, cei_gguf_type type, uint64_t count, int depth) {
    size_t bytes;
    if (type_sizes[type]) {
        const bool fits = count <= SIZE_MAX && cei_mul_size((size_t)count, type_sizes[type], &bytes);
        return fits && take(in, bytes) ? CE_OK : cei_gguf_cut(in, "a value");
    }
    if (count > (in->size - in->at) / 8) return cei_gguf_cut(in, "an array");
    if (depth == DEEPEST)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: \"%.*s\" has arrays in arrays, deeper than %d", in->path,
                        (int)cei_min_size(key.size, 128), key.data, DEEPEST);
    ce_status status = CE_OK;
    for (uint64_t i = 0; i < count && status == CE_OK; i++) {
        cei_gguf_text text;
        cei_gguf_type inner;
        uint64_t inside = 0;
        if (type == CEI_GGUF_STRING) {
            status = cei_gguf_read_text(in, "a string", &text);
            continue;
        }
        status = read_type(in, key, &inner);
        if (status == CE_OK) status = cei_gguf_read_number(in, 8, "an array", &inside);
        if (status == CE_OK) status = skip_values(in, key, inner, inside, depth + 1);
    }
    return status;
}

static ce_status read_pair(cei_gguf_reader *in, cei_gguf_pair *pair) {
    cei_gguf_value *value = &pair->value;
    uint64_t count = 1;
    ce_status status = cei_gguf_read_text(in, "a key", &pair->key);
    if (status == CE_OK) status = cei_gguf_check_name(in, "a key", pair->key);
    if (status == CE_OK) status = read_type(in, pair->key, &value->type);
    if (status != CE_OK) return status;
    value->is_array = value->type == CEI_GGUF_ARRAY;
    if (value->is_array) {
        status = read_type(in, pair->key, &value->type);
        if (status == CE_OK) status = cei_gguf_read_number(in, 8, "an array", &count);
    }
    value->data = in->data + in->at;
    if (status == CE_OK) status = skip_values(in, pair->key, value->type, count, value->is_array);
    value->count = (size_t)count;
    return status;
}

static int compare_pairs(const void *left, const void *right) {
    return cei_gguf_compare(((const cei_gguf_pair *)left)->key, ((const cei_gguf_pair *)right)->key);
}

static ce_status read_pairs(cei_gguf_reader *in, uint64_t count, cei_gguf *gguf) {
    if (count > (in->size - in->at) / LEAST_PAIR) return cei_gguf_cut(in, "the metadata");
    gguf->pairs = cei_alloc_zeroed((size_t)count, sizeof *gguf->pairs);
    if (!gguf->pairs) return cei_fail_memory(in->error, in->path, (size_t)count * sizeof *gguf->pairs);
    ce_status status = CE_OK;
    while (gguf->pair_count < count && status == CE_OK) status = read_pair(in, &gguf->pairs[gguf->pair_count++]);
    if (status != CE_OK) return status;
    if (count > 0) qsort(gguf->pairs, (size_t)count, sizeof *gguf->pairs, compare_pairs);
    for (size_t i = 1; i < gguf->pair_count; i++)
        if (compare_pairs(&gguf->pairs[i - 1], &gguf->pairs[i]) == 0)
            return cei_fail(in->error, CE_ERR_FORMAT, "%s has the key \"%.*s\" twice", in->path,
                            (int)cei_min_size(gguf->pairs[i].key.size, 128), gguf->pairs[i].key.data);
    return CE_OK;
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

static ce_status read_version(cei_gguf_reader *in) {
    uint64_t version = 0;
    const uint8_t *from = take(in, MAGIC_BYTES);
    if (!from || memcmp(from, magic, MAGIC_BYTES) != 0)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s is no GGUF file: it does not begin with \"GGUF\"", in->path);
    ce_status status = cei_gguf_read_number(in, 4, "the version", &version);
    if (status != CE_OK || version == 2 || version == 3) return status;
    if ((version & 0xFFFF) == 0)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s is a big-endian GGUF file, and crossenc reads little-endian",
                        in->path);
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s is a GGUF file of version %u, and crossenc reads 2 and 3",
                    in->path, (unsigned)version);
}

ce_status cei_gguf_parse(const uint8_t *data, size_t size, const char *path, cei_gguf *gguf, ce_error *error) {
    cei_gguf_reader in = {data, size, 0, path, error};
    uint64_t tensors = 0, pairs = 0;
    *gguf = (cei_gguf){.path = cei_copy_string(path, strlen(path))};
    ce_status status = gguf->path ? read_version(&in) : cei_fail_memory(error, path, 0);
    if (status == CE_OK) status = cei_gguf_read_number(&in, 8, "the number of tensors", &tensors);
    if (status == CE_OK) status = cei_gguf_read_number(&in, 8, "the number of keys", &pairs);
    if (status == CE_OK) status = read_pairs(&in, pairs, gguf);
    if (status == CE_OK) status = cei_gguf_read_tensors(&in, tensors, gguf);
    if (status != CE_OK) cei_gguf_close(gguf);
    return status;
}

ce_status cei_gguf_open(const char *path, cei_gguf *gguf, ce_error *error) {
    cei_map map = {0};
    *gguf = (cei_gguf){0};
    ce_status status = cei_map_open(&map, path, error);
    if (status == CE_OK) status = cei_gguf_parse(map.data, map.size, path, gguf, error);
    if (status == CE_OK)
        gguf->map = map;
    else
        cei_map_close(&map);
    return status;
}

void cei_gguf_close(cei_gguf *gguf) {
    cei_free(gguf->pairs);
    cei_free(gguf->tensors);
    cei_free(gguf->names);
    cei_free(gguf->path);
    cei_map_close(&gguf->map);
    *gguf = (cei_gguf){0};
}

bool cei_gguf_is(const char *path) {
    char found[MAGIC_BYTES];
    FILE *file = fopen(path, "rbe");
    const bool is =
        file && fread(found, 1, sizeof found, file) == sizeof found && memcmp(found, magic, sizeof found) == 0;
    if (file) fclose(file);
    return is;
}

/* ---- asking -------------------------------------------------------------------------------------------------- */

const cei_gguf_value *cei_gguf_find(const cei_gguf *gguf, const char *key) {
    const cei_gguf_pair wanted = {.key = {key, strlen(key)}};
    const cei_gguf_pair *found =
        gguf->pair_count ? bsearch(&wanted, gguf->pairs, gguf->pair_count, sizeof wanted, compare_pairs) : NULL;
    return found ? &found->value : NULL;
}

static bool is_integer(cei_gguf_type type) {
    return type_sizes[type] > 0 && type != CEI_GGUF_FLOAT32 && type != CEI_GGUF_FLOAT64 && type != CEI_GGUF_BOOL;
}

static bool is_signed(cei_gguf_type type) {
    return type == CEI_GGUF_INT8 || type == CEI_GGUF_INT16 || type == CEI_GGUF_INT32 || type == CEI_GGUF_INT64;
}

int64_t cei_gguf_integer_at(const cei_gguf_value *value, size_t i) {
    const size_t size = type_sizes[value->type];
    const uint64_t number = little_endian(value->data + i * size, size);
    const uint64_t sign = is_signed(value->type) ? UINT64_C(1) << (8 * size - 1) : 0;
    if (!is_signed(value->type) && number > INT64_MAX) return INT64_MAX;
    return (int64_t)((number ^ sign) - sign);
}

double cei_gguf_number_at(const cei_gguf_value *value, size_t i) {
    const uint8_t *from = value->data + i * type_sizes[value->type];
    float narrow;
    double wide;
    if (value->type == CEI_GGUF_FLOAT32) return memcpy(&narrow, from, sizeof narrow), (double)narrow;
    if (value->type == CEI_GGUF_FLOAT64) return memcpy(&wide, from, sizeof wide), wide;
    return (double)cei_gguf_integer_at(value, i);
}

cei_gguf_text cei_gguf_next_string(const uint8_t **at) {
    const cei_gguf_text text = {(const char *)*at + 8, (size_t)little_endian(*at, 8)};
    *at += 8 + text.size;
    return text;
}

static ce_status refuse(const cei_gguf *gguf, const char *key, const char *wanted, ce_error *error) {
    return cei_fail(error, CE_ERR_FORMAT, "%s: \"%s\" must be %s", gguf->path, key, wanted);
}

ce_status cei_gguf_size(const cei_gguf *gguf, const char *key, size_t most, size_t *value, ce_error *error) {
    const cei_gguf_value *found = cei_gguf_find(gguf, key);
    if (!found) return CE_OK;
    const int64_t number = !found->is_array && is_integer(found->type) ? cei_gguf_integer_at(found, 0) : -1;
    if (number >= 0 && (uint64_t)number <= most) return *value = (size_t)number, CE_OK;
    return cei_fail(error, CE_ERR_FORMAT, "%s: \"%s\" must be an integer from 0 to %zu", gguf->path, key, most);
}

ce_status cei_gguf_double(const cei_gguf *gguf, const char *key, double *value, ce_error *error) {
    const cei_gguf_value *found = cei_gguf_find(gguf, key);
    if (!found) return CE_OK;
    if (found->is_array || !type_sizes[found->type] || found->type == CEI_GGUF_BOOL)
        return refuse(gguf, key, "a number", error);
    *value = cei_gguf_number_at(found, 0);
    return CE_OK;
}

ce_status cei_gguf_bool(const cei_gguf *gguf, const char *key, bool *value, ce_error *error) {
    const cei_gguf_value *found = cei_gguf_find(gguf, key);
    if (!found) return CE_OK;
    if (found->is_array || found->type != CEI_GGUF_BOOL || *found->data > 1)
        return refuse(gguf, key, "true or false", error);
    *value = *found->data;
    return CE_OK;
}

ce_status cei_gguf_string(const cei_gguf *gguf, const char *key, cei_gguf_text *value, ce_error *error) {
    const cei_gguf_value *found = cei_gguf_find(gguf, key);
    if (!found) return CE_OK;
    if (found->is_array || found->type != CEI_GGUF_STRING) return refuse(gguf, key, "a string", error);
    const uint8_t *at = found->data;
    *value = cei_gguf_next_string(&at);
    return CE_OK;
}

ce_status cei_gguf_array(const cei_gguf *gguf, const char *key, cei_gguf_type type, const cei_gguf_value **value,
                         ce_error *error) {
    *value = cei_gguf_find(gguf, key);
    if (!*value) return CE_OK;
    const bool fits = type == CEI_GGUF_INT32 ? is_integer((*value)->type) : (*value)->type == type;
    return (*value)->is_array && fits ? CE_OK : refuse(gguf, key, "an array of its usual type", error);
}

const cei_tensor *cei_gguf_tensor(const cei_gguf *gguf, const char *name) {
    for (size_t i = 0; i < gguf->tensor_count; i++)
        if (strcmp(gguf->tensors[i].name, name) == 0) return &gguf->tensors[i];
    return NULL;
}
