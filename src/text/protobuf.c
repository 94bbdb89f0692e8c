/* protobuf.c - steps over the fields of a message. Relies on nothing; every read is checked against the size. */
#include "text/protobuf.h"

cei_protobuf cei_protobuf_start(const char *data, size_t size) { return (cei_protobuf){.data = data, .size = size}; }

/* Seven bits a byte, the lowest first; 64 bits take ten bytes at most. */
static uint64_t read_varint(cei_protobuf *message) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && message->at < message->size; shift += 7) {
        const unsigned char byte = (unsigned char)message->data[message->at++];
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
    }
    message->bad = true;
    return 0;
}

static uint64_t read_fixed(cei_protobuf *message, size_t bytes) {
    uint64_t value = 0;
    if (message->size - message->at < bytes) {
        message->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t)(unsigned char)message->data[message->at++] << 8 * i;
    return value;
}

static void read_bytes(cei_protobuf *message, cei_protobuf_field *field) {
    const uint64_t size = read_varint(message);
    if (message->bad || size > message->size - message->at) {
        message->bad = true;
        return;
    }
    field->data = message->data + message->at;
    field->size = (size_t)size;
    message->at += field->size;
}

bool cei_protobuf_next(cei_protobuf *message, cei_protobuf_field *field) {
    if (message->bad || message->at == message->size) return false;
    const uint64_t tag = read_varint(message);
    *field = (cei_protobuf_field){.number = (uint32_t)(tag >> 3), .type = (cei_protobuf_type)(tag & 7)};
    if (tag >> 3 == 0 || tag > UINT32_MAX) message->bad = true;
    if (message->bad) return false;
    switch (field->type) {
    case CEI_PROTOBUF_VARINT: field->value = read_varint(message); break;
    case CEI_PROTOBUF_FIXED64: field->value = read_fixed(message, 8); break;
    case CEI_PROTOBUF_FIXED32: field->value = read_fixed(message, 4); break;
    case CEI_PROTOBUF_BYTES: read_bytes(message, field); break;
    default: message->bad = true;
    }
    return !message->bad;
}
