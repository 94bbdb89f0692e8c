/* protobuf.h - the fields of a message of Protocol Buffers, one after the other, as they lie in untrusted bytes.
 *
 * A message is fields in any order: a number and a type in a variable-length integer, then the value. Nothing is
 * copied, and nothing is allocated. Groups, which no file in use has, are refused. */
#ifndef CEI_PROTOBUF_H
#define CEI_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are the format's. */
typedef enum cei_protobuf_type {
    CEI_PROTOBUF_VARINT = 0,
    CEI_PROTOBUF_FIXED64 = 1,
    CEI_PROTOBUF_BYTES = 2, /* strings and messages too */
    CEI_PROTOBUF_FIXED32 = 5
} cei_protobuf_type;

typedef struct cei_protobuf_field {
    uint32_t number;
    cei_protobuf_type type;
    uint64_t value;   /* of a number: its bits */
    const char *data; /* of bytes: where they lie in the message, */
    size_t size;      /* and how many they are */
} cei_protobuf_field;

/* A walk over a message of size bytes at data. */
typedef struct cei_protobuf {
    const char *data;
    size_t size, at;
    bool bad; /* what stands at at is no field */
} cei_protobuf;

cei_protobuf cei_protobuf_start(const char *data, size_t size);

/* The next field; false at the end, or where there is none and bad is set. */
bool cei_protobuf_next(cei_protobuf *message, cei_protobuf_field *field);

#endif
