/* header.h - the header of one safetensors file: the tensors that it claims, checked.
 *
 * Only src/formats includes this; checkpoint.h is what the layers above see. */
#ifndef CEI_SAFETENSORS_HEADER_H
#define CEI_SAFETENSORS_HEADER_H

#include "formats/naming.h"

/* The tensors of a file of which data[0, size) are all bytes. They point into data and into names. */
typedef struct cei_header {
    cei_tensor *tensors; /* [count], in the order of their data */
    size_t count;
    char *names; /* the strings that tensors[].name point to */
} cei_header;

/* Parses and checks everything; path is for messages. Errors: FORMAT, MEMORY. */
ce_status cei_header_parse(const uint8_t *data, size_t size, const char *path, cei_header *header, ce_error *error);
void cei_header_free(cei_header *header); /* zeroed is fine */

/* naming.c: gives the tensors the names that name says. One that cannot be cut, as its rows are not so many times as
 * many, gets the first of its names alone. Errors: MEMORY. */
ce_status cei_header_rename(cei_header *header, cei_naming_fn name, const void *user, ce_error *error);

/* For fuzzing and tests: checks the bytes of a single safetensors file as open would. */
ce_status cei_safetensors_check(const uint8_t *data, size_t size, size_t *tensors, ce_error *error);

/* "[30522, 384]" into text; returns text. */
enum { CEI_SHAPE_TEXT = CEI_MAX_RANK * 22 + 3 };
const char *cei_shape_text(const uint64_t *shape, int rank, char text[CEI_SHAPE_TEXT]);

#endif
