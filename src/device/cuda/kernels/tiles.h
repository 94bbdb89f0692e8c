/* tiles.h - how matrices lie for products of warp groups, weights and rounded activations alike: tiles of CEI_TILE_ROWS
 * rows of CEI_TILE_WIDTH bytes, one behind the other, first those of the first rows. In a tile, a row's chunks of 16
 * bytes are exchanged so that one chunk of eight rows is in different banks; that is what the chip calls a 128-byte
 * swizzle. A tile comes into shared memory as it is. Zeros fill rows up to whole tiles; rows behind the last are
 * anything. */
#ifndef CEI_CUDA_TILES_H
#define CEI_CUDA_TILES_H

#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

/* Where byte `byte` of a row is, of a matrix that is `tiles` tiles wide. */
CEI_INLINE unsigned long long cei_tile_place(unsigned row, unsigned byte, unsigned tiles) {
    const unsigned long long tile = (unsigned long long)(row / CEI_TILE_ROWS) * tiles + byte / CEI_TILE_WIDTH;
    const unsigned chunk = byte % CEI_TILE_WIDTH / 16 ^ row % 8;
    return tile * CEI_TILE_BYTES + row % CEI_TILE_ROWS * CEI_TILE_WIDTH + chunk * 16 + byte % 16;
}

/* Chunk `chunk` of a row of such a matrix. */
CEI_INLINE cei_four_words *cei_tile_chunk(void *matrix, unsigned row, unsigned chunk, unsigned tiles) {
    return (cei_four_words *)(void *)((unsigned char *)matrix + cei_tile_place(row, chunk * 16, tiles));
}

/* Writes a chunk of a row that has so many; behind the last one, zeros up to whole tiles. */
CEI_INLINE void cei_put_chunk(void *matrix, unsigned row, unsigned chunk, unsigned chunks, unsigned tiles,
                              cei_four_words value) {
    const cei_four_words none = {{0, 0, 0, 0}};
    *cei_tile_chunk(matrix, row, chunk, tiles) = value;
    if (chunk + 1 < chunks) return;
    for (unsigned c = chunks; c < tiles * (CEI_TILE_WIDTH / 16); c++) *cei_tile_chunk(matrix, row, c, tiles) = none;
}

#endif
