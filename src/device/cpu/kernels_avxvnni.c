/* kernels_avxvnni.c - int8 products for AVX2 with AVX-VNNI, for panels of 16. Compiled with those flags, and called
 * only where features.c found them. Contracts in kernels.h.
 *
 * VPDPBUSD multiplies four unsigned bytes of activations by four signed ones of weights and adds them up in int32,
 * exactly. Activations keep their zero, which is taken away from the sums. */
#include "device/cpu/int8_avx2.h"

#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)

typedef __m256i sums;

/* A tile is 6 x 16: 12 sums, two registers of the panel's row, one of activations. */
enum { PANEL = 2 * LANES, TILE_ROWS = 6, GROUP = 4, HEAD = PANEL * (sizeof(float) + sizeof(int32_t)) };

INLINE __m256i load_integers(const uint8_t *from) { return _mm256_loadu_si256((const __m256i *)(const void *)from); }

/* ---- words of product_low.tmpl.h ---------------------------------------------------------------------------- */

INLINE sums no_sums(void) { return _mm256_setzero_si256(); }

INLINE sums add_products(sums sum, const uint8_t *a, const uint8_t *w) {
    int32_t group;
    __builtin_memcpy(&group, a, sizeof group);
    return _mm256_dpbusd_avx_epi32(sum, _mm256_set1_epi32(group), load_integers(w));
}

INLINE void store_sums(uint8_t *to, sums sum) { _mm256_storeu_si256((__m256i *)(void *)to, sum); }

/* (float)(sum - zero of the row * sums of the columns) * (scale of the row * scales of the columns) + bias */
INLINE __m256 finish_integers(cei_row_scale row, const uint8_t *stored, const float *scales, __m256 bias) {
    const __m256i of_columns = load_integers((const uint8_t *)(const void *)(scales + PANEL));
    const __m256i shift = _mm256_mullo_epi32(_mm256_set1_epi32(row.zero), of_columns);
    const __m256 factor = _mm256_mul_ps(_mm256_set1_ps(row.scale), _mm256_loadu_ps(scales));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(load_integers(stored), shift)), factor, bias);
}

INLINE void finish(const cei_cpu_low_product *p, size_t row, const uint8_t *stored) {
    for (size_t c = 0; c < p->columns; c += LANES) {
        const __m256i lanes = first_lanes(p->columns - c);
        const __m256 bias = p->bias ? _mm256_maskload_ps(p->bias + c, lanes) : _mm256_setzero_ps();
        const __m256 value = finish_integers(p->rows_scale[row], stored + c * GROUP, (const float *)p->panel + c, bias);
        float *out = p->out + row * p->out_stride + c;
        if (p->columns - c >= LANES)
            _mm256_storeu_ps(out, value);
        else
            _mm256_maskstore_ps(out, lanes, value);
    }
}

#include "device/cpu/product_low.tmpl.h"

/* ---- activations -------------------------------------------------------------------------------------------- */

/* What is no number becomes the least integer, and 0 when it is packed. */
INLINE __m256i round_lanes(__m256 v, __m256 inverse) { return _mm256_cvtps_epi32(_mm256_mul_ps(v, inverse)); }

/* Packing saturates twice: to 16 bits, to which the zero is added, then to bytes from 0 to 255. It takes 128 bits of
 * each register in turn, which the permutation undoes. */
INLINE __m256i round_32(const float *x, size_t i, size_t depth, __m256 inverse, __m256i zero) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i q0 = round_lanes(load_row(x, i, depth), inverse);
    const __m256i q1 = round_lanes(load_row(x, i + LANES, depth), inverse);
    const __m256i q2 = round_lanes(load_row(x, i + 2 * LANES, depth), inverse);
    const __m256i q3 = round_lanes(load_row(x, i + 3 * LANES, depth), inverse);
    const __m256i low = _mm256_add_epi16(_mm256_packs_epi32(q0, q1), zero);
    const __m256i high = _mm256_add_epi16(_mm256_packs_epi32(q2, q3), zero);
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
}

static void prepare(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    cei_row_scale *scales) {
    enum { WIDTH = 4 * LANES };
    for (size_t r = 0; r < rows; r++, x += x_stride) {
        uint8_t *to = (uint8_t *)a + r * a_stride;
        const cei_row_scale row = find_scale(x, depth);
        const __m256 inverse = _mm256_set1_ps(row.scale > 0 ? 1 / row.scale : 0);
        const __m256i zero = _mm256_set1_epi16((short)row.zero);
        for (size_t i = 0; i < depth; i += WIDTH) {
            const __m256i q = round_32(x, i, depth, inverse, zero);
            __builtin_memcpy(to + i, &q, depth - i < WIDTH ? depth - i : WIDTH);
        }
        for (size_t i = depth; i % GROUP != 0; i++) to[i] = 0;
        scales[r] = row;
    }
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static double peak(size_t rounds) {
    enum { CHAINS = 12 };
    __m256i v[CHAINS];
    for (int i = 0; i < CHAINS; i++) v[i] = _mm256_set1_epi32(i);
    volatile int32_t bits = 0x7B9CA35D; /* zeros would run faster; read again, lest products be taken out of the loop */
    const __m256i w = _mm256_set1_epi32(0x5C31E7A9);
    for (size_t n = 0; n < rounds; n++) {
        const __m256i a = _mm256_set1_epi32(bits);
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) v[i] = _mm256_dpbusd_avx_epi32(v[i], a, w);
    }
    __m256i sum = v[0];
    for (int i = 1; i < CHAINS; i++) sum = _mm256_xor_si256(sum, v[i]);
    volatile int32_t keep = _mm256_extract_epi32(sum, 0);
    (void)keep;
    return 2.0 * GROUP * LANES * CHAINS * (double)rounds;
}

void cei_cpu_fill_avxvnni(cei_cpu_kernels *kernels) {
    kernels->int8 = (cei_cpu_low){.group = GROUP,
                                  .step = GROUP,
                                  .element = sizeof(uint8_t),
                                  .prepare = prepare,
                                  .multiply = multiply_panel,
                                  .peak = peak};
}
