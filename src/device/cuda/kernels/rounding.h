/* rounding.h - float32 to bfloat16. Relies on gpu.h. */
#ifndef CEI_CUDA_ROUNDING_H
#define CEI_CUDA_ROUNDING_H

#include "device/cuda/kernels/gpu.h"

/* To bfloat16, to nearest, ties to even; a NaN stays one. */
CEI_INLINE unsigned cei_round_bfloat16(float x) {
    const unsigned bits = cei_bits_of(x);
    return (x != x ? bits | 0x400000u : bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
}

/* The lower half of the word is the first. */
CEI_INLINE unsigned cei_round_pair(float first, float second) {
    return cei_round_bfloat16(first) | cei_round_bfloat16(second) << 16;
}

#endif
