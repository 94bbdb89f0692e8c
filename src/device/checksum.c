/* checksum.c - the checksum of values in row-major order. Portable; the compiler vectorizes the inner loop. */
#include "device/checksum.h"

#include <string.h>

void cei_checksum_add(cei_checksum *sum, const float *values, size_t count) {
    uint64_t a = 0, b = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        a += bits;
        b += (uint64_t)(i + 1) * bits;
    }
    /* Value i of this call is value sum->count + i of the whole: its factor is greater by sum->count. */
    sum->b += b + sum->count * a;
    sum->a += a;
    sum->count += count;
}
