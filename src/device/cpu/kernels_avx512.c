/* kernels_avx512.c - the kernels for AVX-512 F, BW, DQ and VL. Compiled with those flags, and called only where
 * features.c found them: nothing in this file may run before. Contracts in kernels.h.
 *
 * Rows of any length end in masked loads and stores, so that every element goes through the same instructions. */
#include "device/cpu/kernels.h"

#include "device/cpu/functions.h"
#include "device/cpu/gelu_table.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* A tile is TILE_ROWS x PANEL: 28 accumulators, two registers of the panel's row, one broadcast of a. */
enum { LANES = 16, PANEL = 2 * LANES, TILE_ROWS = 14 };

/* Masks are for ends of rows only: masked stores are slow on some processors. */
INLINE __mmask16 first_lanes(size_t count) { return (__mmask16)((1u << count) - 1u); }

/* The first count lanes from memory, the others 0; count may be more than there are. */
INLINE __m512 load(const float *from, size_t count) {
    return count >= LANES ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(first_lanes(count), from);
}

INLINE void store(float *to, size_t count, __m512 v) {
    if (count >= LANES)
        _mm512_storeu_ps(to, v);
    else
        _mm512_mask_storeu_ps(to, first_lanes(count), v);
}

/* v in the first count lanes, other in the rest. */
INLINE __m512 choose(size_t count, __m512 v, __m512 other) {
    return count >= LANES ? v : _mm512_mask_mov_ps(other, first_lanes(count), v);
}

/* Elements of a row from i on. */
INLINE size_t left(size_t columns, size_t i) { return columns > i ? columns - i : 0; }

/* ---- products ----------------------------------------------------------------------------------------------- */

typedef struct tile {
    const float *a, *add, *factors;
    float *out;
    const char *next; /* the share of product->next that this tile prefetches */
    size_t step;      /* bytes of it a step of depth */
} tile;

/* Sums become results: what was before, factors, bias. */
INLINE void finish_tile(const cei_cpu_product *p, const tile *t, __m512 sum[TILE_ROWS][2], const size_t rows,
                        const size_t columns) {
    const size_t c0 = columns, c1 = left(columns, LANES);
    const __m512 bias0 = p->bias ? load(p->bias, c0) : _mm512_setzero_ps();
    const __m512 bias1 = p->bias ? load(p->bias + LANES, c1) : _mm512_setzero_ps();
#pragma GCC unroll 14
    for (size_t r = 0; r < rows; r++) {
        if (p->add) {
            const float *add = t->add + r * p->add_stride;
            sum[r][0] = _mm512_add_ps(load(add, c0), sum[r][0]);
            sum[r][1] = _mm512_add_ps(load(add + LANES, c1), sum[r][1]);
        }
        if (p->factors) {
            const __m512 factor = _mm512_set1_ps(t->factors[r]);
            sum[r][0] = _mm512_mul_ps(sum[r][0], factor);
            sum[r][1] = _mm512_mul_ps(sum[r][1], factor);
        }
        float *out = t->out + r * p->out_stride;
        store(out, c0, _mm512_add_ps(sum[r][0], bias0));
        store(out + LANES, c1, _mm512_add_ps(sum[r][1], bias1));
    }
}

/* Rows in threes share a pointer, so that addresses fit into the general registers. */
INLINE void multiply_tile(const cei_cpu_product *p, const tile *t, const size_t rows) {
    __m512 sum[TILE_ROWS][2];
    const float *a[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 14
    for (size_t r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
#pragma GCC unroll 5
    for (size_t g = 0; g < (rows + 2) / 3; g++) a[g] = t->a + 3 * g * p->a_stride;
    const char *next = t->next;
    const float *end = p->panel + p->depth * PANEL;
    for (const float *b = p->panel; b != end; b += PANEL) {
        __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + LANES);
        _mm_prefetch(next, _MM_HINT_T1);
        next += t->step;
#pragma GCC unroll 14
        for (size_t r = 0; r < rows; r++) {
            __m512 x = _mm512_set1_ps(a[r / 3][(r % 3) * p->a_stride]);
            sum[r][0] = _mm512_fmadd_ps(x, b0, sum[r][0]);
            sum[r][1] = _mm512_fmadd_ps(x, b1, sum[r][1]);
        }
#pragma GCC unroll 5
        for (size_t g = 0; g < (rows + 2) / 3; g++) a[g]++;
    }
    if (p->columns == PANEL)
        finish_tile(p, t, sum, rows, PANEL);
    else
        finish_tile(p, t, sum, rows, p->columns);
}

/* clang-format off */
#define TILE(rows) \
    static void multiply_##rows(const cei_cpu_product *p, const tile *t) { multiply_tile(p, t, rows); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7)
TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)

static void (*const multiply_rows[TILE_ROWS + 1])(const cei_cpu_product *, const tile *) = {
    NULL,       multiply_1, multiply_2,  multiply_3,  multiply_4,  multiply_5,  multiply_6, multiply_7,
    multiply_8, multiply_9, multiply_10, multiply_11, multiply_12, multiply_13, multiply_14};
/* clang-format on */

/* Tiles of nearly equal height: a short last one would wait on its few accumulators. */
static void multiply(const cei_cpu_product *p) {
    const size_t tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS;
    const size_t step = p->next ? PANEL * sizeof(float) / tiles : 0;
    const char *next = (const char *)(p->next ? p->next : p->panel);
    size_t done = 0;
    for (size_t i = 0; i < tiles; i++) {
        const size_t rows = (p->rows - done + tiles - i - 1) / (tiles - i);
        const tile t = {p->a + done * p->a_stride,
                        p->add ? p->add + done * p->add_stride : NULL,
                        p->factors ? p->factors + done : NULL,
                        p->out + done * p->out_stride,
                        next + i * step * p->depth,
                        step};
        multiply_rows[rows](p, &t);
        done += rows;
    }
}

/* ---- packing ------------------------------------------------------------------------------------------------ */

/* v becomes its transpose, as a 16 x 16 matrix. */
INLINE void transpose(__m512 v[LANES]) {
    __m512 w[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i += 2) {
        w[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        w[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    /* v[4 q + c]: column c of each 128-bit lane, of rows 4 q .. 4 q + 3. */
#pragma GCC unroll 4
    for (int q = 0; q < LANES; q += 4) {
        __m512d lo0 = _mm512_castps_pd(w[q]), lo1 = _mm512_castps_pd(w[q + 2]);
        __m512d hi0 = _mm512_castps_pd(w[q + 1]), hi1 = _mm512_castps_pd(w[q + 3]);
        v[q] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo0, lo1));
        v[q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo0, lo1));
        v[q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(hi0, hi1));
        v[q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(hi0, hi1));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        __m512 a = _mm512_shuffle_f32x4(v[c], v[4 + c], 0x88), b = _mm512_shuffle_f32x4(v[8 + c], v[12 + c], 0x88);
        __m512 d = _mm512_shuffle_f32x4(v[c], v[4 + c], 0xDD), e = _mm512_shuffle_f32x4(v[8 + c], v[12 + c], 0xDD);
        w[c] = _mm512_shuffle_f32x4(a, b, 0x88);
        w[8 + c] = _mm512_shuffle_f32x4(a, b, 0xDD);
        w[4 + c] = _mm512_shuffle_f32x4(d, e, 0x88);
        w[12 + c] = _mm512_shuffle_f32x4(d, e, 0xDD);
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) v[i] = w[i];
}

static void pack(const float *rows, size_t stride, size_t count, size_t depth, size_t first, float *panel) {
    for (size_t r = 0; r < count; r += LANES) {
        const size_t height = left(count, r);
        for (size_t k = 0; k < depth; k += LANES) {
            const size_t width = left(depth, k);
            __m512 v[LANES];
            for (size_t i = 0; i < LANES; i++)
                v[i] = i < height ? load(rows + (r + i) * stride + k, width) : _mm512_setzero_ps();
            transpose(v);
            for (size_t i = 0; i < LANES && i < width; i++) store(panel + (k + i) * PANEL + first + r, height, v[i]);
        }
    }
}

static void copy(const float *from, size_t from_stride, size_t count, size_t columns, float *to, size_t to_stride) {
    for (size_t r = 0; r < count; r++, from += from_stride, to += to_stride)
        for (size_t i = 0; i < columns; i += LANES) store(to + i, columns - i, load(from + i, columns - i));
}

/* ---- checksums ---------------------------------------------------------------------------------------------- */

/* The weighted sum without products: with running sums S(i), sum of (i + 1) b(i) = (count + 1) S - sum of S(i). */
static void checksum(const float *steps, size_t count, uint64_t *sums, uint64_t *weighted) {
    const __m512i total = _mm512_set1_epi64((long long)count + 1);
    const __m512i zero = _mm512_setzero_si512();
    __m512i s[4] = {zero, zero, zero, zero}, running[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < count; i++) {
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) {
            __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(steps + i * PANEL + (size_t)q * 8));
            s[q] = _mm512_add_epi64(s[q], _mm512_cvtepu32_epi64(bits));
            running[q] = _mm512_add_epi64(running[q], s[q]);
        }
    }
    for (int q = 0; q < 4; q++) {
        _mm512_storeu_si512(sums + q * 8, s[q]);
        _mm512_storeu_si512(weighted + q * 8, _mm512_sub_epi64(_mm512_mullo_epi64(total, s[q]), running[q]));
    }
}

/* ---- elementwise functions ---------------------------------------------------------------------------------- */

/* exp(x) for x <= 0, 0 where that is below 2^-126, NaN for NaN. See functions.h for the constants. */
INLINE __m512 exp_nonpositive(__m512 x) {
    const __mmask16 normal = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_SMALLEST), _CMP_NLT_UQ);
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(LOG2_E)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN_2), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN_2_REST), r);
    __m512 y = _mm512_set1_ps(EXP_6);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(EXP_5));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(EXP_4));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(EXP_3));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(EXP_2));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1));
    return _mm512_maskz_scalef_ps(normal, y, n);
}

INLINE __m512 gelu(__m512 x) {
    const __m512 magic = _mm512_set1_ps(ROUND_MAGIC);
    __m512 t = _mm512_min_ps(_mm512_set1_ps(GELU_16_LIMIT), _mm512_abs_ps(x));
    __m512 y = _mm512_mul_ps(t, _mm512_set1_ps(GELU_16_SCALE));
    /* Rounded by the add, so that the low bits of nearest are the piece. */
    __m512 nearest = _mm512_add_ps(y, magic);
    __m512i piece = _mm512_castps_si512(nearest);
    __m512 s = _mm512_sub_ps(y, _mm512_sub_ps(nearest, magic));
    __m512 q = _mm512_permutexvar_ps(piece, _mm512_loadu_ps(gelu_tail_16[5]));
#pragma GCC unroll 5
    for (int power = 4; power >= 0; power--)
        q = _mm512_fmadd_ps(q, s, _mm512_permutexvar_ps(piece, _mm512_loadu_ps(gelu_tail_16[power])));
    return _mm512_fnmadd_ps(t, q, _mm512_max_ps(_mm512_setzero_ps(), x));
}

INLINE __m512 sigmoid(__m512 x) {
    const __m512 one = _mm512_set1_ps(1);
    __m512 e = exp_nonpositive(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_abs_ps(x)));
    __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_div_ps(_mm512_mask_mov_ps(one, negative, e), _mm512_add_ps(one, e));
}

INLINE __m512 gelu_tanh(__m512 x) {
    __m512 cubic = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(GELU_TANH_CUBIC), _mm512_set1_ps(1));
    __m512 u = _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(GELU_TANH_SCALE)), cubic);
    return _mm512_mul_ps(x, sigmoid(u));
}

INLINE __m512 gelu_quick(__m512 x) { return _mm512_mul_ps(x, sigmoid(_mm512_mul_ps(x, _mm512_set1_ps(QUICK_SCALE)))); }
INLINE __m512 relu(__m512 x) { return _mm512_max_ps(_mm512_setzero_ps(), x); }
INLINE __m512 silu(__m512 x) { return _mm512_mul_ps(x, sigmoid(x)); }

INLINE __m512 tanh_of(__m512 x) {
    const __m512 one = _mm512_set1_ps(1);
    __m512 size = _mm512_abs_ps(x), z = _mm512_mul_ps(x, x);
    __m512 p = _mm512_set1_ps(TANH_4);
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(TANH_3));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(TANH_2));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(TANH_1));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(TANH_0));
    __m512 small = _mm512_fmadd_ps(_mm512_mul_ps(p, z), x, x);
    __m512 e = exp_nonpositive(_mm512_mul_ps(size, _mm512_set1_ps(-2)));
    __m512 large = _mm512_div_ps(_mm512_sub_ps(one, e), _mm512_add_ps(one, e));
    const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0f));
    __mmask16 is_large = _mm512_cmp_ps_mask(size, _mm512_set1_ps(TANH_SWITCH), _CMP_GT_OQ);
    return _mm512_mask_mov_ps(small, is_large, _mm512_or_ps(large, sign));
}

#define APPLY(name, function)                                                            \
    static void name(float *values, size_t rows, size_t columns, size_t stride) {        \
        for (size_t r = 0; r < rows; r++, values += stride)                              \
            for (size_t i = 0; i < columns; i += LANES)                                  \
                store(values + i, columns - i, function(load(values + i, columns - i))); \
    }
APPLY(apply_gelu, gelu)
APPLY(apply_gelu_tanh, gelu_tanh)
APPLY(apply_gelu_quick, gelu_quick)
APPLY(apply_relu, relu)
APPLY(apply_silu, silu)
APPLY(apply_tanh, tanh_of)
APPLY(apply_sigmoid, sigmoid)

/* ---- rows ---------------------------------------------------------------------------------------------------
 * Rows are walked two registers at a time: lane l of sum[h] adds up the elements 32 i + 16 h + l. */

static __m512 row_max(const float *row, size_t columns, __m512 scale) {
    const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
    __m512 most[2] = {lowest, lowest};
    for (size_t i = 0; i < columns; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            const size_t count = left(columns, i + h * LANES);
            __m512 s = _mm512_mul_ps(load(row + i + h * LANES, count), scale);
            most[h] = _mm512_max_ps(most[h], choose(count, s, lowest));
        }
    }
    return _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(most[0], most[1])));
}

/* Replaces a row by its exponentials; returns their sum. */
static float row_exp(float *row, size_t columns, __m512 scale) {
    const __m512 most = row_max(row, columns, scale);
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (size_t i = 0; i < columns; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            float *at = row + i + h * LANES;
            const size_t count = left(columns, i + h * LANES);
            __m512 e = exp_nonpositive(_mm512_fmsub_ps(load(at, count), scale, most));
            store(at, count, e);
            sum[h] = _mm512_add_ps(sum[h], choose(count, e, _mm512_setzero_ps()));
        }
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

static void softmax(float *scores, size_t rows, size_t columns, size_t stride, float scale, float *factors) {
    for (size_t r = 0; r < rows; r++) factors[r] = 1.0f / row_exp(scores + r * stride, columns, _mm512_set1_ps(scale));
}

/* v = x + residual goes to out; returns its mean. */
static float row_mean(const float *x, const float *residual, size_t columns, float *out) {
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (size_t i = 0; i < columns; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            const size_t at = i + h * LANES, count = left(columns, at);
            __m512 v = load(x + at, count);
            if (residual) v = _mm512_add_ps(v, load(residual + at, count));
            store(out + at, count, v);
            sum[h] = _mm512_add_ps(sum[h], v);
        }
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1])) / (float)columns;
}

static float row_variance(const float *row, size_t columns, __m512 mean) {
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (size_t i = 0; i < columns; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            const size_t at = i + h * LANES, count = left(columns, at);
            __m512 d = choose(count, _mm512_sub_ps(load(row + at, count), mean), _mm512_setzero_ps());
            sum[h] = _mm512_fmadd_ps(d, d, sum[h]);
        }
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1])) / (float)columns;
}

/* Two passes: the mean, then the squares of what differs from it. The row v waits in out. */
static void norm_row(const cei_cpu_norm *n, const float *x, const float *residual, float *out) {
    const __m512 mean = _mm512_set1_ps(row_mean(x, residual, n->columns, out));
    const float variance = row_variance(out, n->columns, mean);
    const __m512 scale = _mm512_set1_ps(1.0f / __builtin_sqrtf(variance + n->epsilon));
    for (size_t i = 0; i < n->columns; i += LANES) {
        const size_t count = n->columns - i;
        __m512 d = _mm512_mul_ps(_mm512_sub_ps(load(out + i, count), mean), scale);
        store(out + i, count, _mm512_fmadd_ps(d, load(n->gain + i, count), load(n->bias + i, count)));
    }
}

static void norm(const cei_cpu_norm *n) {
    for (size_t r = 0; r < n->rows; r++) {
        const size_t at = r * n->columns;
        norm_row(n, n->x + at, n->residual ? n->residual + at : NULL, n->out + at);
    }
}

static void embed(const float *word, const float *type, const float *position, size_t columns, float *out) {
    for (size_t i = 0; i < columns; i += LANES) {
        const size_t count = columns - i;
        __m512 v = _mm512_add_ps(load(word + i, count), load(type + i, count));
        store(out + i, count, _mm512_add_ps(v, load(position + i, count)));
    }
}

static double peak(size_t rounds) {
    enum { CHAINS = 24 };
    __m512 v[CHAINS];
    for (int i = 0; i < CHAINS; i++) v[i] = _mm512_set1_ps((float)i);
    const __m512 x = _mm512_set1_ps(0.9999f), y = _mm512_set1_ps(0.5f);
    for (size_t n = 0; n < rounds; n++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) v[i] = _mm512_fmadd_ps(v[i], x, y);
    }
    __m512 sum = v[0];
    for (int i = 1; i < CHAINS; i++) sum = _mm512_add_ps(sum, v[i]);
    volatile float keep = _mm512_reduce_add_ps(sum);
    (void)keep;
    return 2.0 * LANES * CHAINS * (double)rounds;
}

void cei_cpu_fill_avx512(cei_cpu_kernels *kernels) {
    kernels->name = "avx512";
    kernels->features = "avx512f avx512bw avx512dq avx512vl avx2 fma";
    kernels->panel = PANEL;
    kernels->multiply = multiply;
    kernels->pack = pack;
    kernels->copy = copy;
    kernels->checksum = checksum;
    kernels->apply[CEI_FN_GELU] = apply_gelu;
    kernels->apply[CEI_FN_GELU_TANH] = apply_gelu_tanh;
    kernels->apply[CEI_FN_GELU_QUICK] = apply_gelu_quick;
    kernels->apply[CEI_FN_RELU] = apply_relu;
    kernels->apply[CEI_FN_SILU] = apply_silu;
    kernels->apply[CEI_FN_TANH] = apply_tanh;
    kernels->apply[CEI_FN_SIGMOID] = apply_sigmoid;
    kernels->softmax = softmax;
    kernels->norm = norm;
    kernels->embed = embed;
    kernels->peak = peak;
}
