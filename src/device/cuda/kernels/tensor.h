/* tensor.h - what products on tensor cores share: how tiles come into shared memory, and from there into the fragments
 * of a warp. A step over the depth takes CEI_STEP_BYTES of each row, 32 bfloat16 or 64 integers; nothing here knows
 * which. In images from capability 8.0 on. */
#ifndef CEI_CUDA_TENSOR_H
#define CEI_CUDA_TENSOR_H

#include "device/cuda/kernels/math.h"
#include "device/cuda/kernels/values.h"

enum { CEI_STEP_BYTES = 64, CEI_CHUNK_BYTES = 16, CEI_CHUNKS = 4 /* of a row in a step */ };

/* Rows of bytes that are a multiple of CEI_CHUNK_BYTES long. */
typedef struct cei_byte_rows {
    const unsigned char *bytes;
    unsigned rows, stride;
} cei_byte_rows;

/* Where a chunk of a row lies in a tile. Eight rows of a chunk, which are read at once, are in different banks. */
CEI_INLINE unsigned cei_chunk_at(unsigned row, unsigned chunk) {
    return row * CEI_STEP_BYTES + (chunk ^ (row / 2 % CEI_CHUNKS)) * CEI_CHUNK_BYTES;
}

/* Begins to copy rows [first, first + count) from byte `depth` of each on, with zeros behind the matrix's edges. */
CEI_INLINE void cei_begin_tile(cei_shared to, const cei_byte_rows *from, unsigned first, unsigned count,
                               unsigned depth) {
    CEI_UNROLL
    for (unsigned i = 0; i < count * CEI_CHUNKS; i += CEI_LINEAR_THREADS) {
        const unsigned row = (i + cei_thread()) / CEI_CHUNKS, chunk = cei_thread() % CEI_CHUNKS;
        const unsigned column = depth + chunk * CEI_CHUNK_BYTES;
        const bool inside = first + row < from->rows && column < from->stride;
        const unsigned long long at = inside ? (unsigned long long)(first + row) * from->stride + column : 0;
        cei_copy_chunk(to + cei_chunk_at(row, chunk), from->bytes + at, inside);
    }
}

/* A tile of 16 rows and 32 bytes of X, the first or second half of a step, as fragments: those of rows 0 to 7 and 8 to
 * 15, then the same 16 bytes on. */
CEI_INLINE void cei_load_x(cei_shared tile, unsigned first, unsigned half, unsigned fragments[4]) {
    const unsigned lane = cei_thread() % CEI_WARP;
    cei_load_matrices(tile + cei_chunk_at(first + lane % 16, 2 * half + lane / 16), fragments);
}

/* Two tiles of 8 rows and 32 bytes of W: of each, 16 bytes, then the next. */
CEI_INLINE void cei_load_w(cei_shared tile, unsigned first, unsigned half, unsigned fragments[4]) {
    const unsigned lane = cei_thread() % CEI_WARP;
    cei_load_matrices(tile + cei_chunk_at(first + lane % 8 + lane / 16 * 8, 2 * half + lane / 8 % 2), fragments);
}

#endif
