/* kernels_avx2_int8.c - int8 products for AVX2 without VNNI. Compiled with those flags, and called only where
 * features.c found them. Contracts in kernels.h.
 *
 * Activations are held as int16 with their zero taken away, weights as int8 in pairs along depth. VPMADDWD multiplies
 * pairs of int16 and adds them up in int32: exact, where VPMADDUBSW on bytes would saturate for weights of 8 bits, and
 * as fast, because both wait for the same multipliers. A panel's bytes become int16 as they are loaded. */
#include "device/cpu/int8_avx2.h"

/* A tile is TILE_ROWS x 16: 12 accumulators, two registers of weights, one of activations, one product. A panel is one
 * tile wide, or two in the AVX-512 tier, which has panels of 32 columns. */
enum { TILE = 2 * LANES, TILE_ROWS = 6, GROUP = 2 };

/* ---- products ----------------------------------------------------------------------------------------------- */

INLINE __m256i load_pairs(const int8_t *from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)from));
}

/* Two neighbouring activations of a row in every lane. */
INLINE __m256i broadcast_pair(const uint8_t *row, size_t k) {
    int32_t pair;
    __builtin_memcpy(&pair, row + k * sizeof(int16_t), sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* (float)sum * (scale of the row * scales of the columns) + bias, in the first count columns. */
INLINE void finish(const __m256i sum, __m256 scale, const float *scales, const float *bias, float *out, size_t count) {
    if (count == 0) return;
    const __m256i mask = first_lanes(count);
    const __m256 factor = _mm256_mul_ps(scale, _mm256_loadu_ps(scales));
    const __m256 shift = bias ? _mm256_maskload_ps(bias, mask) : _mm256_setzero_ps();
    const __m256 value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, shift);
    if (count >= LANES)
        _mm256_storeu_ps(out, value);
    else
        _mm256_maskstore_ps(out, mask, value);
}

/* Columns [column, column + 16) of a panel of width columns. */
INLINE void multiply_tile(const cei_cpu_low_product *p, size_t first, size_t column, const size_t rows,
                          const size_t width) {
    __m256i sum[TILE_ROWS][2];
    const uint8_t *a[TILE_ROWS];
    const float *scales = (const float *)p->panel + column;
    const int8_t *b = (const int8_t *)p->panel + width * (sizeof(float) + sizeof(int32_t)) + GROUP * column;
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++) {
        sum[r][0] = sum[r][1] = _mm256_setzero_si256();
        a[r] = (const uint8_t *)p->a + (first + r) * p->a_stride;
    }
    UNROLL_FOUR for (size_t k = 0; k < p->depth; k += GROUP, b += GROUP * width) {
        const __m256i b0 = load_pairs(b), b1 = load_pairs(b + GROUP * LANES);
#pragma GCC unroll 6
        for (size_t r = 0; r < rows; r++) {
            const __m256i x = broadcast_pair(a[r], k);
            sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(x, b0));
            sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(x, b1));
        }
    }
    const size_t columns = left(p->columns, column);
    const float *bias = p->bias ? p->bias + column : NULL;
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++) {
        float *out = p->out + (first + r) * p->out_stride + column;
        const __m256 scale = _mm256_set1_ps(p->rows_scale[first + r].scale);
        finish(sum[r][0], scale, scales, bias, out, columns);
        finish(sum[r][1], scale, scales + LANES, bias ? bias + LANES : NULL, out + LANES, left(columns, LANES));
    }
}

typedef void (*tile_fn)(const cei_cpu_low_product *product, size_t first, size_t column);

/* clang-format off */
#define TILES(width, rows) \
    static void multiply_##width##_##rows(const cei_cpu_low_product *p, size_t first, size_t column) { \
        multiply_tile(p, first, column, rows, width); \
    }
#define ALL_TILES(width) \
    TILES(width, 1) TILES(width, 2) TILES(width, 3) TILES(width, 4) TILES(width, 5) TILES(width, 6) \
    static const tile_fn tiles_##width[TILE_ROWS + 1] = { \
        NULL, multiply_##width##_1, multiply_##width##_2, multiply_##width##_3, multiply_##width##_4, \
        multiply_##width##_5, multiply_##width##_6};
ALL_TILES(16)
ALL_TILES(32)
/* clang-format on */

/* Tiles of nearly equal height; the columns of a tile's width pass by all rows before the next. */
INLINE void multiply(const cei_cpu_low_product *p, const tile_fn *tiles_of) {
    const size_t tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS;
    for (size_t column = 0; column < p->columns; column += TILE) {
        size_t done = 0;
        for (size_t i = 0; i < tiles; i++) {
            const size_t rows = (p->rows - done + tiles - i - 1) / (tiles - i);
            tiles_of[rows](p, done, column);
            done += rows;
        }
    }
}

static void multiply_16(const cei_cpu_low_product *p) { multiply(p, tiles_16); }
static void multiply_32(const cei_cpu_low_product *p) { multiply(p, tiles_32); }

/* ---- activations -------------------------------------------------------------------------------------------- */

static void prepare(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    cei_row_scale *scales) {
    for (size_t r = 0; r < rows; r++, x += x_stride) {
        int16_t *to = (int16_t *)(void *)((uint8_t *)a + r * a_stride);
        const cei_row_scale row = find_scale(x, depth);
        const __m256 inverse = _mm256_set1_ps(row.scale > 0 ? 1 / row.scale : 0);
        /* Clamping q - zero to [-zero, 255 - zero] is clamping q to [0, 255]. */
        const __m256 low = _mm256_set1_ps((float)-row.zero), high = _mm256_set1_ps((float)(255 - row.zero));
        for (size_t i = 0; i < depth; i += LANES) {
            __m256 v = _mm256_mul_ps(load_row(x, i, depth), inverse);
            v = _mm256_min_ps(_mm256_max_ps(v, low), high);
            const __m256i q = _mm256_cvtps_epi32(v);
            const __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
            if (depth - i >= LANES)
                _mm_storeu_si128((__m128i *)(void *)(to + i), packed);
            else
                __builtin_memcpy(to + i, &packed, (depth - i) * sizeof *to);
        }
        if (depth % GROUP) to[depth] = 0;
        scales[r] = (cei_row_scale){row.scale, 0};
    }
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static double peak(size_t rounds) {
    enum { CHAINS = 12 };
    __m256i v[CHAINS];
    for (int i = 0; i < CHAINS; i++) v[i] = _mm256_set1_epi32(i);
    __m256i x = _mm256_set1_epi16(3);
    const __m256i y = _mm256_set1_epi16(5);
    for (size_t n = 0; n < rounds; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+x"(x)); /* so that the product is taken each time */
            v[i] = _mm256_add_epi32(v[i], _mm256_madd_epi16(x, y));
        }
    }
    __m256i sum = v[0];
    for (int i = 1; i < CHAINS; i++) sum = _mm256_xor_si256(sum, v[i]);
    volatile int32_t keep = _mm256_extract_epi32(sum, 0);
    (void)keep;
    return 2.0 * 2 * LANES * CHAINS * (double)rounds;
}

void cei_cpu_fill_avx2_int8(cei_cpu_kernels *kernels) {
    kernels->int8 = (cei_cpu_low){.group = GROUP,
                                  .step = GROUP,
                                  .element = sizeof(int16_t),
                                  .prepare = prepare,
                                  .multiply = kernels->panel == TILE ? multiply_16 : multiply_32,
                                  .peak = peak};
}
