/* rounding.h - float32 to bfloat16 and float16. Relies on gpu.h. */
#ifndef CEI_CUDA_ROUNDING_H
#define CEI_CUDA_ROUNDING_H

#include "device/cuda/kernels/gpu.h"

/* To bfloat16, to nearest, ties to even; a NaN stays one. */
CEI_INLINE unsigned cei_round_bfloat16(float x) {
    const unsigned bits = cei_bits_of(x);
    return (x != x ? bits | 0x400000u : bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
}

#ifdef CEI_TENSOR
/* To float16; what lies beyond its range becomes its greatest number, and a NaN stays one. */
CEI_INLINE unsigned cei_round_halves(float first, float second) {
    return cei_clamp_halves(cei_pack_halves(first, second));
}
#endif

/* The lower half of the word is the first. float16 is for images that multiply it. */
CEI_INLINE unsigned cei_round_pair(bool in_halves, float first, float second) {
#ifdef CEI_TENSOR
    if (in_halves) return cei_round_halves(first, second);
    return cei_pack_bfloat16(first, second);
#else
    (void)in_halves;
    return cei_round_bfloat16(first) | cei_round_bfloat16(second) << 16;
#endif
}

#endif
