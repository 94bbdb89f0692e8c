/* values.h - reading a weight's values as float32, whatever they are held in. Relies on args.h. */
#ifndef CEI_CUDA_VALUES_H
#define CEI_CUDA_VALUES_H

#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"
#include "device/cuda/kernels/tiles.h"

CEI_INLINE float cei_value_at(const cei_values_args *from, unsigned row, unsigned column) {
    unsigned long long at = (unsigned long long)row * from->stride + column;
    if (from->tiles && from->format == CEI_VALUES_BFLOAT16) at = cei_tile_place(row, column * 2, from->tiles) / 2;
    if (from->tiles && from->format == CEI_VALUES_INT8) at = cei_tile_place(row, column, from->tiles);
    switch (from->format) {
    case CEI_VALUES_FLOAT32: return ((const float *)from->values)[at];
    case CEI_VALUES_BFLOAT16: return cei_of_bits((unsigned)((const unsigned short *)from->values)[at] << 16);
    default: return from->scales[row] * (float)((const signed char *)from->values)[at];
    }
}

#endif
