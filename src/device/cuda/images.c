/* images.c - choosing and unpacking an image: see images.h. Relies on nothing; the list itself is generated. */
#include "device/cuda/images.h"

#include <string.h>

const cei_cuda_image *cei_cuda_image_for(const cei_cuda_image *images, int capability, bool is_cubin) {
    for (const cei_cuda_image *image = images; image->size > 0; image++) {
        const bool is_of_kind = image->is_cubin == is_cubin && image->capability <= capability;
        if (image->is_exact && image->capability != capability) continue;
        if (is_of_kind && (!is_cubin || image->capability / 10 == capability / 10)) return image;
    }
    return NULL;
}

typedef struct reader {
    const unsigned char *at, *end;
} reader;

/* Seven bits a byte, the lowest first; the last byte has no eighth bit. False at the end, or beyond 28 bits. */
static bool take_number(reader *from, size_t *number) {
    enum { MOST_BITS = 28 };
    *number = 0;
    for (unsigned shift = 0; shift < MOST_BITS && from->at < from->end; shift += 7) {
        const unsigned char byte = *from->at++;
        *number |= (size_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

bool cei_cuda_unpack(const cei_cuda_image *image, unsigned char *to) {
    reader from = {image->bytes, image->bytes + image->packed};
    size_t done = 0, literals, length, distance;
    while (done < image->size) {
        if (!take_number(&from, &literals) || literals > image->size - done || literals > (size_t)(from.end - from.at))
            return false;
        memcpy(to + done, from.at, literals);
        from.at += literals;
        done += literals;
        if (done == image->size) break;
        if (!take_number(&from, &length) || !take_number(&from, &distance) || length > image->size - done ||
            distance == 0 || distance > done)
            return false;
        for (size_t piece; length > 0; length -= piece, done += piece) { /* which may overlap */
            piece = length < distance ? length : distance;
            memcpy(to + done, to + done - distance, piece);
        }
    }
    return from.at == from.end;
}
