/* tiles.h - AMX's tiles and their products, in portable C: the end of immintrin.h, which alone includes it. */
#ifndef CE_TEST_EMULATE_TILES_H
#define CE_TEST_EMULATE_TILES_H

/* The configuration as it lies in memory, for palette 1: eight tiles of at most 16 rows of 64 bytes. */
typedef struct emulate_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} emulate_config;

typedef struct emulate_tiles {
    emulate_config config;
    uint32_t values[8][16][16];
} emulate_tiles;

static _Thread_local emulate_tiles emulated_tiles __attribute__((unused));

EMULATE void emulate_require(int condition) {
    if (!condition) abort();
}

EMULATE void _tile_loadconfig(const void *from) {
    memset(&emulated_tiles, 0, sizeof emulated_tiles);
    memcpy(&emulated_tiles.config, from, sizeof emulated_tiles.config);
    emulate_require(emulated_tiles.config.palette == 1 && emulated_tiles.config.start_row == 0);
    LANES_DO(16) {
        const int rows = emulated_tiles.config.rows[i], bytes = emulated_tiles.config.row_bytes[i];
        emulate_require(rows <= 16 && bytes <= 64 && (rows == 0) == (bytes == 0) && (i < 8 || rows == 0));
    }
}

EMULATE void _tile_release(void) { memset(&emulated_tiles, 0, sizeof emulated_tiles); }

EMULATE int emulate_rows(int tile) {
    emulate_require(tile < 8 && emulated_tiles.config.palette == 1 && emulated_tiles.config.rows[tile] > 0);
    return emulated_tiles.config.rows[tile];
}

EMULATE void _tile_zero(int tile) {
    emulate_require(emulate_rows(tile) > 0);
    memset(emulated_tiles.values[tile], 0, sizeof emulated_tiles.values[tile]);
}

static inline __attribute__((unused)) void _tile_loadd(int tile, const void *from, size_t stride) {
    const int rows = emulate_rows(tile);
    memset(emulated_tiles.values[tile], 0, sizeof emulated_tiles.values[tile]);
    for (int r = 0; r < rows; r++)
        memcpy(emulated_tiles.values[tile][r], (const uint8_t *)from + (size_t)r * stride,
               emulated_tiles.config.row_bytes[tile]);
}

EMULATE void _tile_stream_loadd(int tile, const void *from, size_t stride) { _tile_loadd(tile, from, stride); }

static inline __attribute__((unused)) void _tile_stored(int tile, void *to, size_t stride) {
    const int rows = emulate_rows(tile);
    for (int r = 0; r < rows; r++)
        memcpy((uint8_t *)to + (size_t)r * stride, emulated_tiles.values[tile][r],
               emulated_tiles.config.row_bytes[tile]);
}

/* Operands [m, k] and [k, n] of 32 bits, and the sums [m, n] that they fit. */
EMULATE void emulate_require_product(int sum, int a, int b) {
    const emulate_config *c = &emulated_tiles.config;
    emulate_require(sum != a && sum != b && a != b && emulate_rows(sum) == emulate_rows(a));
    emulate_require(c->row_bytes[sum] == c->row_bytes[b] && c->row_bytes[a] / 4 == emulate_rows(b));
}

/* Even terms and odd terms apart, then both, then what was there. */
static inline __attribute__((unused)) void _tile_dpbf16ps(int sum, int a, int b) {
    emulate_tiles *t = &emulated_tiles;
    emulate_require_product(sum, a, b);
    for (int m = 0; m < t->config.rows[sum]; m++)
        for (int n = 0; n < t->config.row_bytes[sum] / 4; n++) {
            float even = 0, odd = 0, before;
            for (int k = 0; k < t->config.rows[b]; k++) {
                const uint32_t x = t->values[a][m][k], y = t->values[b][k][n];
                even = emulate_add_product(even, (uint16_t)x, (uint16_t)y);
                odd = emulate_add_product(odd, (uint16_t)(x >> 16), (uint16_t)(y >> 16));
            }
            memcpy(&before, &t->values[sum][m][n], sizeof before);
            const float both = emulate_flush(even + odd), after = emulate_flush(emulate_flush(before) + both);
            memcpy(&t->values[sum][m][n], &after, sizeof after);
        }
}

static inline __attribute__((unused)) void _tile_dpbusd(int sum, int a, int b) {
    emulate_tiles *t = &emulated_tiles;
    emulate_require_product(sum, a, b);
    for (int m = 0; m < t->config.rows[sum]; m++)
        for (int n = 0; n < t->config.row_bytes[sum] / 4; n++)
            for (int k = 0; k < t->config.rows[b]; k++)
                t->values[sum][m][n] =
                    (uint32_t)emulate_add_bytes((int32_t)t->values[sum][m][n], t->values[a][m][k], t->values[b][k][n]);
}

static inline __attribute__((unused)) void _tile_dpbssd(int sum, int a, int b) {
    emulate_tiles *t = &emulated_tiles;
    emulate_require_product(sum, a, b);
    for (int m = 0; m < t->config.rows[sum]; m++)
        for (int n = 0; n < t->config.row_bytes[sum] / 4; n++)
            for (int k = 0; k < t->config.rows[b]; k++)
                for (int i = 0; i < 32; i += 8)
                    t->values[sum][m][n] += (uint32_t)((int32_t)(int8_t)(t->values[a][m][k] >> i) *
                                                       (int32_t)(int8_t)(t->values[b][k][n] >> i));
}

#endif
