/* checksum.c - the checksum of values in row-major order. Portable; the compiler vectorizes the inner loop, which only
 * adds: the running totals of a lane's sums make its weighted sum, without a multiplication of 64 bits. */
#include "device/checksum.h"

#include "base/clones.h"

#include <string.h>

/* So many that compilers keep the loop over them: gcc unrolls one of 16, and then adds one value at a time. */
enum { LANES = 32 };

static inline uint64_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

CEI_CLONED static void add(cei_checksum *sum, const float *values, size_t count) {
    const size_t steps = count / LANES;
    uint64_t sums[LANES] = {0}, totals[LANES] = {0}, a = 0, b = 0;
    for (size_t t = 0; t < steps; t++)
        for (size_t j = 0; j < LANES; j++) {
            sums[j] += bits_of(values[t * LANES + j]);
            totals[j] += sums[j];
        }
    /* Step t is (steps - t) times in its lane's total, and t LANES + j + 1 is the factor wanted. */
    for (size_t j = 0; j < LANES; j++) {
        a += sums[j];
        b += LANES * (steps * sums[j] - totals[j]) + (j + 1) * sums[j];
    }
    for (size_t i = steps * LANES; i < count; i++) {
        a += bits_of(values[i]);
        b += (uint64_t)(i + 1) * bits_of(values[i]);
    }
    /* Value i of this call is value sum->count + i of the whole: its factor is greater by sum->count. */
    sum->b += b + sum->count * a;
    sum->a += a;
    sum->count += count;
}

void cei_checksum_add(cei_checksum *sum, const float *values, size_t count) { add(sum, values, count); }
