/* gguf.h - a GGUF file, as llama.cpp and its kin write them: metadata by key, and tensors, all in one file.
 *
 * Versions 2 and 3, little-endian: the magic "GGUF", the version, the numbers of tensors and of pairs; each pair a key,
 * a type and a value; each tensor a name, its sizes (those of a row first), a type and where its bytes begin; then,
 * aligned, the bytes. Knows no model: what keys and names mean is for src/model/gguf.h.
 *
 * Nothing is believed before it is checked: counts, lengths and nesting against the bytes that are left, keys and names
 * (UTF-8, none twice), sizes for overflow, types by number, bytes for bounds, alignment and overlap. Takes at most 8
 * times the bytes of the file's header in memory, and time in proportion to them times the logarithm of the counts. */
#ifndef CEI_GGUF_H
#define CEI_GGUF_H

#include "base/file.h"
#include "formats/checkpoint.h"

/* The numbers are the format's. */
typedef enum cei_gguf_type {
    CEI_GGUF_UINT8,
    CEI_GGUF_INT8,
    CEI_GGUF_UINT16,
    CEI_GGUF_INT16,
    CEI_GGUF_UINT32,
    CEI_GGUF_INT32,
    CEI_GGUF_FLOAT32,
    CEI_GGUF_BOOL,
    CEI_GGUF_STRING,
    CEI_GGUF_ARRAY,
    CEI_GGUF_UINT64,
    CEI_GGUF_INT64,
    CEI_GGUF_FLOAT64
} cei_gguf_type;
enum { CEI_GGUF_TYPES = CEI_GGUF_FLOAT64 + 1 };

/* A text in the file, without a NUL behind it. It may have any bytes. */
typedef struct cei_gguf_text {
    const char *data;
    size_t size;
} cei_gguf_text;

bool cei_gguf_text_is(cei_gguf_text text, const char *string);

typedef struct cei_gguf_value {
    cei_gguf_type type; /* of the value, or of what is in the array */
    bool is_array;
    size_t count;        /* 1, or what is in the array */
    const uint8_t *data; /* one behind the other, at any address; a string is its length, 64 bits, and its bytes */
} cei_gguf_value;

typedef struct cei_gguf_pair {
    cei_gguf_text key;
    cei_gguf_value value;
} cei_gguf_pair;

/* Zeroed is empty. All points into the file, but for the tensors' names. */
typedef struct cei_gguf {
    char *path;
    cei_map map; /* of cei_gguf_open */
    cei_gguf_pair *pairs;
    size_t pair_count; /* sorted by key */
    cei_tensor *tensors;
    size_t tensor_count; /* in the order of the file; shapes are [rows, columns], as everywhere here */
    char *names;
} cei_gguf;

/* Maps and reads a file. Errors: NOT_FOUND, IO, FORMAT, UNSUPPORTED (a version, big-endian, a type of tensors by name
 * and number), MEMORY. On failure gguf is empty. */
ce_status cei_gguf_open(const char *path, cei_gguf *gguf, ce_error *error);

/* The same of bytes, which have to outlive gguf; path is for messages. */
ce_status cei_gguf_parse(const uint8_t *data, size_t size, const char *path, cei_gguf *gguf, ce_error *error);
void cei_gguf_close(cei_gguf *gguf);

/* Does the file begin as a GGUF file does? */
bool cei_gguf_is(const char *path);

/* Metadata. A key that is absent leaves *value as it was, and is CE_OK; one of another type or out of its range is
 * FORMAT. An integer of any width will do. */
const cei_gguf_value *cei_gguf_find(const cei_gguf *gguf, const char *key); /* NULL if absent */
ce_status cei_gguf_size(const cei_gguf *gguf, const char *key, size_t most, size_t *value, ce_error *error);
ce_status cei_gguf_double(const cei_gguf *gguf, const char *key, double *value, ce_error *error);
ce_status cei_gguf_bool(const cei_gguf *gguf, const char *key, bool *value, ce_error *error);
ce_status cei_gguf_string(const cei_gguf *gguf, const char *key, cei_gguf_text *value, ce_error *error);

/* An array of that type: any integers for INT32. NULL if absent. */
ce_status cei_gguf_array(const cei_gguf *gguf, const char *key, cei_gguf_type type, const cei_gguf_value **value,
                         ce_error *error);

/* Number i of a value that holds numbers. */
int64_t cei_gguf_integer_at(const cei_gguf_value *value, size_t i);
double cei_gguf_number_at(const cei_gguf_value *value, size_t i);

/* The string at *at, which moves to the next one: at begins as value->data and may be asked value->count times. */
cei_gguf_text cei_gguf_next_string(const uint8_t **at);

const cei_tensor *cei_gguf_tensor(const cei_gguf *gguf, const char *name); /* NULL if there is none */

#endif
