/* rows.tmpl.h - the kernels that are the same text for every width of register: packing, elementwise functions,
 * softmax, norm, embedding, rotation. Contracts in kernels.h.
 *
 * Included once by a tier's file, after product.tmpl.h (for multiply) and after it has defined
 *     vec, LANES, PANEL     a register of LANES floats; columns of a panel
 *     CHAINS                registers that peak keeps busy
 *     zero splat add sub mul quotient larger absolute with_sign_of where_less
 *     multiply_add (a b + c) multiply_subtract (a b - c) reduce_add reduce_max
 *     load store choose         ends of rows
 *     exp_nonpositive gelu      by the tables and instructions of the tier
 *     transpose checksum
 *     pick                      (v, places): lane l is v's lane places[l] - places[0], which is one of its lanes
 * and before it fills its table by fill_rows. Relies on loops.h. where_less(x, y, a, b) is a where x < y, else b (also
 * for NaN). */

/* ---- packing ------------------------------------------------------------------------------------------------ */

static void pack(const float *rows, size_t stride, size_t count, size_t depth, size_t first, float *panel) {
    for (size_t r = 0; r < count; r += LANES) {
        const size_t height = left(count, r);
        for (size_t k = 0; k < depth; k += LANES) {
            const size_t width = left(depth, k);
            vec v[LANES];
            for (size_t i = 0; i < LANES; i++) v[i] = i < height ? load(rows + (r + i) * stride + k, width) : zero();
            transpose(v);
            for (size_t i = 0; i < LANES && i < width; i++) store(panel + (k + i) * PANEL + first + r, height, v[i]);
        }
    }
}

static void copy(const float *from, size_t from_stride, size_t count, size_t columns, float *to, size_t to_stride) {
    for (size_t r = 0; r < count; r++, from += from_stride, to += to_stride)
        for (size_t i = 0; i < columns; i += LANES) store(to + i, columns - i, load(from + i, columns - i));
}

/* ---- elementwise functions ---------------------------------------------------------------------------------- */

INLINE vec sigmoid(vec x) {
    const vec one = splat(1);
    vec e = exp_nonpositive(sub(zero(), absolute(x)));
    return quotient(where_less(x, zero(), e, one), add(one, e));
}

INLINE vec gelu_tanh(vec x) {
    vec cubic = multiply_add(mul(x, x), splat(GELU_TANH_CUBIC), splat(1));
    vec u = mul(mul(x, splat(GELU_TANH_SCALE)), cubic);
    return mul(x, sigmoid(u));
}

INLINE vec gelu_quick(vec x) { return mul(x, sigmoid(mul(x, splat(QUICK_SCALE)))); }
INLINE vec relu(vec x) { return larger(zero(), x); }
INLINE vec silu(vec x) { return mul(x, sigmoid(x)); }

INLINE vec tanh_of(vec x) {
    const vec one = splat(1);
    vec size = absolute(x), z = mul(x, x);
    vec p = splat(TANH_4);
    p = multiply_add(p, z, splat(TANH_3));
    p = multiply_add(p, z, splat(TANH_2));
    p = multiply_add(p, z, splat(TANH_1));
    p = multiply_add(p, z, splat(TANH_0));
    vec small = multiply_add(mul(p, z), x, x);
    vec e = exp_nonpositive(mul(size, splat(-2)));
    vec large = quotient(sub(one, e), add(one, e));
    return where_less(splat(TANH_SWITCH), size, with_sign_of(large, x), small);
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
 * Rows are walked two registers at a time: lane l of sum[h] adds up the elements (2 i + h) LANES + l. */

static vec row_max(const float *row, size_t columns, vec scale) {
    const vec lowest = splat(-__builtin_inff());
    vec most[2] = {lowest, lowest};
    for (size_t i = 0; i < columns; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            const size_t count = left(columns, i + h * LANES);
            vec s = mul(load(row + i + h * LANES, count), scale);
            most[h] = larger(most[h], choose(count, s, lowest));
        }
    }
    return splat(reduce_max(larger(most[0], most[1])));
}

/* Replaces a row by its exponentials; returns their sum. */
static float row_exp(float *row, size_t columns, vec scale) {
    const vec most = row_max(row, columns, scale);
    vec sum[2] = {zero(), zero()};
    for (size_t i = 0; i < columns; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            float *at = row + i + h * LANES;
            const size_t count = left(columns, i + h * LANES);
            vec e = exp_nonpositive(multiply_subtract(load(at, count), scale, most));
            store(at, count, e);
            sum[h] = add(sum[h], choose(count, e, zero()));
        }
    }
    return reduce_add(add(sum[0], sum[1]));
}

static void softmax(float *scores, size_t rows, size_t columns, size_t stride, float scale, float *factors) {
    for (size_t r = 0; r < rows; r++) factors[r] = 1.0f / row_exp(scores + r * stride, columns, splat(scale));
}

static void spread(const float *values, const int32_t *places, size_t columns, const float *before, float *out) {
    size_t i = 0;
    for (; i + LANES <= columns; i += LANES) {
        const size_t height = (size_t)(places[i + LANES - 1] - places[i]) + 1;
        const vec v = pick(load(values + (places[i] - places[0]), height), places + i);
        store(out + i, LANES, before ? add(load(before + i, LANES), v) : v);
    }
    for (; i < columns; i++) {
        const float value = values[places[i] - places[0]];
        out[i] = before ? before[i] + value : value;
    }
}

static void add_transposed(const float *from, size_t from_stride, size_t rows, size_t columns, float *to,
                           size_t to_stride) {
    for (size_t r = 0; r < rows; r += LANES) {
        const size_t height = left(rows, r);
        for (size_t c = 0; c < columns; c += LANES) {
            const size_t width = left(columns, c);
            vec v[LANES];
            for (size_t i = 0; i < LANES; i++)
                v[i] = i < height ? load(from + (r + i) * from_stride + c, width) : zero();
            transpose(v);
            for (size_t i = 0; i < LANES && i < width; i++) {
                float *at = to + (c + i) * to_stride + r;
                store(at, height, add(load(at, height), v[i]));
            }
        }
    }
}

/* v = x + residual goes to out; returns its mean. */
static float row_mean(const float *x, const float *residual, size_t columns, float *out) {
    vec sum[2] = {zero(), zero()};
    for (size_t i = 0; i < columns; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            const size_t at = i + h * LANES, count = left(columns, at);
            vec v = load(x + at, count);
            if (residual) v = add(v, load(residual + at, count));
            store(out + at, count, v);
            sum[h] = add(sum[h], v);
        }
    }
    return reduce_add(add(sum[0], sum[1])) / (float)columns;
}

static float row_variance(const float *row, size_t columns, vec mean) {
    vec sum[2] = {zero(), zero()};
    for (size_t i = 0; i < columns; i += 2 * LANES) {
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
            const size_t at = i + h * LANES, count = left(columns, at);
            vec d = choose(count, sub(load(row + at, count), mean), zero());
            sum[h] = multiply_add(d, d, sum[h]);
        }
    }
    return reduce_add(add(sum[0], sum[1])) / (float)columns;
}

/* Two passes: the mean, then the squares of what differs from it. An RMS norm's mean is taken for 0. */
static void norm_row(const cei_cpu_norm *n, size_t at) {
    const float *residual = n->residual ? n->residual + at : NULL;
    float *row = n->sum + at, *out = n->out + at;
    const float average = row_mean(n->x + at, residual, n->columns, row);
    const vec mean = n->rms ? zero() : splat(average), base = splat(n->adds_one ? 1.0f : 0.0f);
    const float variance = row_variance(row, n->columns, mean);
    const vec scale = splat(1.0f / __builtin_sqrtf(variance + n->epsilon));
    for (size_t i = 0; i < n->columns; i += LANES) {
        const size_t count = n->columns - i;
        vec d = mul(sub(load(row + i, count), mean), scale);
        vec gain = add(load(n->gain + i, count), base);
        store(out + i, count, multiply_add(d, gain, n->bias ? load(n->bias + i, count) : zero()));
    }
}

static void norm(const cei_cpu_norm *n) {
    for (size_t r = 0; r < n->rows; r++) norm_row(n, r * n->columns);
}

static void embed(const float *word, const float *type, const float *position, size_t columns, float *out) {
    for (size_t i = 0; i < columns; i += LANES) {
        const size_t count = columns - i;
        vec v = add(load(word + i, count), load(type + i, count));
        store(out + i, count, add(v, load(position + i, count)));
    }
}

static void times(float *values, const float *by, size_t count) {
    for (size_t i = 0; i < count; i += LANES)
        store(values + i, count - i, mul(load(values + i, count - i), load(by + i, count - i)));
}

static void rotate(float *x, size_t heads, size_t half, const float *cosines, const float *sines) {
    for (size_t h = 0; h < heads; h++, x += 2 * half)
        for (size_t i = 0; i < half; i += LANES) {
            const size_t count = half - i;
            vec a = load(x + i, count), b = load(x + half + i, count);
            vec c = load(cosines + i, count), s = load(sines + i, count);
            store(x + i, count, multiply_subtract(a, c, mul(b, s)));
            store(x + half + i, count, multiply_add(b, c, mul(a, s)));
        }
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static double peak(size_t rounds) {
    vec v[CHAINS];
    for (int i = 0; i < CHAINS; i++) v[i] = splat((float)i);
    const vec x = splat(0.9999f), y = splat(0.5f);
    for (size_t n = 0; n < rounds; n++) {
        UNROLL for (int i = 0; i < CHAINS; i++) v[i] = multiply_add(v[i], x, y);
    }
    vec sum = v[0];
    for (int i = 1; i < CHAINS; i++) sum = add(sum, v[i]);
    volatile float keep = reduce_add(sum);
    (void)keep;
    return 2.0 * LANES * CHAINS * (double)rounds;
}

static void fill_rows(cei_cpu_kernels *kernels) {
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
    kernels->spread = spread;
    kernels->add_transposed = add_transposed;
    kernels->norm = norm;
    kernels->embed = embed;
    kernels->times = times;
    kernels->rotate = rotate;
    kernels->peak = peak;
}
