/* embedding.c - smaller forms of embeddings: Sentence Transformers' quantize_embeddings, in its own float32 steps so
 * that its values come out. */
#include "base/error.h"
#include "base/memory.h"

#include <crossenc/encoder.h>

#include <math.h>
#include <string.h>

const char *ce_embedding_type_name(ce_embedding_type type) {
    static const char *const names[] = {"float32", "int8", "uint8", "binary", "ubinary"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : NULL;
}

size_t ce_embedding_bytes(ce_embedding_type type, size_t dimension) {
    size_t bytes = 0;
    switch (type) {
    case CE_EMBEDDING_FLOAT32: return cei_mul_size(dimension, sizeof(float), &bytes) ? bytes : 0;
    case CE_EMBEDDING_INT8:
    case CE_EMBEDDING_UINT8: return dimension;
    case CE_EMBEDDING_BINARY:
    case CE_EMBEDDING_UBINARY: return dimension / 8 + (dimension % 8 != 0);
    }
    return 0;
}

ce_status ce_embedding_ranges(const float *embeddings, size_t count, size_t dimension, float *ranges, ce_error *error) {
    if (!embeddings || !ranges || count == 0)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_embedding_ranges: %s",
                        count == 0 ? "there are no embeddings" : "an array is NULL");
    for (size_t c = 0; c < dimension; c++) {
        float low = INFINITY, high = -INFINITY;
        for (size_t r = 0; r < count; r++) {
            const float value = embeddings[r * dimension + c];
            if (value < low) low = value;
            if (value > high) high = value;
        }
        ranges[c] = low;
        ranges[dimension + c] = high;
    }
    return CE_OK;
}

/* One row to 0..255, or to -128..127 if it is signed; NaN becomes the lowest. */
static void quantize_row(const float *row, size_t dimension, const float *ranges, bool is_signed, uint8_t *out) {
    for (size_t c = 0; c < dimension; c++) {
        float step = (ranges[dimension + c] - ranges[c]) / 255;
        if (step == 0) step = 1;
        const float place = floorf((row[c] - ranges[c]) / step);
        const int value = place >= 255 ? 255 : place > 0 ? (int)place : 0;
        out[c] = (uint8_t)(is_signed ? value ^ 0x80 : value); /* value - 128 in two's complement */
    }
}

static void pack_row(const float *row, size_t dimension, bool is_signed, uint8_t *out) {
    const size_t bytes = ce_embedding_bytes(CE_EMBEDDING_UBINARY, dimension);
    memset(out, 0, bytes);
    for (size_t c = 0; c < dimension; c++)
        if (row[c] > 0) out[c / 8] |= (uint8_t)(0x80 >> c % 8);
    for (size_t i = 0; is_signed && i < bytes; i++) out[i] ^= 0x80;
}

ce_status ce_embedding_quantize(const float *embeddings, size_t count, size_t dimension, ce_embedding_type type,
                                const float *ranges, void *quantized, ce_error *error) {
    const bool scaled = type == CE_EMBEDDING_INT8 || type == CE_EMBEDDING_UINT8;
    const bool is_signed = type == CE_EMBEDDING_INT8 || type == CE_EMBEDDING_BINARY;
    const size_t bytes = ce_embedding_bytes(type, dimension);
    if (!ce_embedding_type_name(type))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_embedding_quantize: type is %d, which is no ce_embedding_type",
                        (int)type);
    if (count && (!embeddings || !quantized || (scaled && !ranges)))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_embedding_quantize: %s is NULL",
                        !embeddings  ? "embeddings"
                        : !quantized ? "quantized"
                                     : "ranges");
    for (size_t r = 0; r < count; r++) {
        const float *row = embeddings + r * dimension;
        uint8_t *out = (uint8_t *)quantized + r * bytes;
        if (type == CE_EMBEDDING_FLOAT32)
            memcpy(out, row, bytes);
        else if (scaled)
            quantize_row(row, dimension, ranges, is_signed, out);
        else
            pack_row(row, dimension, is_signed, out);
    }
    return CE_OK;
}
