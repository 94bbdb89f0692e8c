/* checksum.h - the proof that what is on a device is what was in the file.
 *
 * Over values v[0 .. n - 1], each taken as its 32 bits b[i] (of the device's precision, widened), modulo 2^64:
 *
 *     A = sum of b[i]        B = sum of (i + 1) b[i]        checksum = A xor (B * 0x9E3779B97F4A7C15)
 *
 * A sum can be taken in any order, so each device computes it in its own layout and in parallel. It changes if any
 * one value changes, and if any two unequal values are exchanged; it is no defence against someone who forges. */
#ifndef CEI_CHECKSUM_H
#define CEI_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

typedef struct cei_checksum {
    uint64_t a, b;
    uint64_t count; /* values so far */
} cei_checksum;

/* Adds count values that follow those already added. Start from a zeroed struct. */
void cei_checksum_add(cei_checksum *sum, const float *values, size_t count);

static inline uint64_t cei_checksum_of(uint64_t a, uint64_t b) { return a ^ (b * UINT64_C(0x9E3779B97F4A7C15)); }
static inline uint64_t cei_checksum_value(const cei_checksum *sum) { return cei_checksum_of(sum->a, sum->b); }

#endif
