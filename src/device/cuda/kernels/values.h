/* values.h - reading a weight's values as float32, whatever they are held in. Relies on args.h. */
#ifndef CEI_CUDA_VALUES_H
#define CEI_CUDA_VALUES_H

#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"
#include "device/cuda/kernels/tiles.h"

/* The float32 that a binary16 is, to the bit, as rounding.h has it: the chip's conversion does not keep a NaN's. */
CEI_INLINE float cei_of_half(unsigned half) {
    const unsigned magnitude = (half & 0x7FFF) << 13, exponent = magnitude & 0x0F800000u, sign = (half & 0x8000) << 16;
    const float small = cei_of_bits(magnitude + (113u << 23)) - cei_of_bits(113u << 23); /* of normal numbers */
    const unsigned rebiased = magnitude + (exponent == 0x0F800000u ? 224u << 23 : 112u << 23);
    return cei_of_bits((exponent == 0 ? cei_bits_of(small) : rebiased) | sign);
}

CEI_INLINE float cei_value_at(const cei_values_args *from, unsigned row, unsigned column) {
    unsigned long long at = (unsigned long long)row * from->stride + column;
    if (from->tiles && from->format == CEI_VALUES_INT8)
        at = cei_tile_place(row, column, from->tiles);
    else if (from->tiles)
        at = cei_tile_place(row, column * 2, from->tiles) / 2;
    switch (from->format) {
    case CEI_VALUES_FLOAT32: return ((const float *)from->values)[at];
    case CEI_VALUES_BFLOAT16: return cei_of_bits((unsigned)((const unsigned short *)from->values)[at] << 16);
    case CEI_VALUES_FLOAT16: return cei_of_half(((const unsigned short *)from->values)[at]);
    default: return from->scales[row] * (float)((const signed char *)from->values)[at];
    }
}

#endif
