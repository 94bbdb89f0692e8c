/* ref_math.c - the formulas of ref_math.h. Relies on the C library's elementary functions. */
#include "device/ref/ref_math.h"

#include "base/clones.h"

#include <math.h>

void cei_ref_embed_row(const float *word, const float *type, const float *position, size_t columns, float *out) {
    for (size_t i = 0; i < columns; i++) {
        const float sum = type ? word[i] + type[i] : word[i];
        out[i] = position ? sum + position[i] : sum;
    }
}

void cei_ref_scale_row(float scale, size_t columns, float *row) {
    for (size_t i = 0; i < columns && scale != 0; i++) row[i] *= scale;
}

void cei_ref_norm_row(const float *x, const float *residual, const float *gain, const float *bias, size_t columns,
                      float epsilon, float *sum, float *out) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < columns; i++) {
        sum[i] = residual ? x[i] + residual[i] : x[i];
        mean += (double)sum[i];
    }
    mean /= (double)columns;
    for (size_t i = 0; i < columns; i++) variance += ((double)sum[i] - mean) * ((double)sum[i] - mean);
    variance /= (double)columns;
    const double scale = 1 / sqrt(variance + (double)epsilon);
    for (size_t i = 0; i < columns; i++)
        out[i] = (float)(((double)sum[i] - mean) * scale) * gain[i] + (bias ? bias[i] : 0.0f);
}

void cei_ref_rms_norm_row(const float *x, const float *residual, const float *gain, float base, size_t columns,
                          float epsilon, float *sum, float *out) {
    double squares = 0;
    for (size_t i = 0; i < columns; i++) {
        sum[i] = residual ? x[i] + residual[i] : x[i];
        squares += (double)sum[i] * (double)sum[i];
    }
    const double scale = 1 / sqrt(squares / (double)columns + (double)epsilon);
    for (size_t i = 0; i < columns; i++) out[i] = (float)((double)sum[i] * scale) * (gain[i] + base);
}

void cei_ref_norm(const cei_norm_args *args, const float *x, const float *residual, const float *gain,
                  const float *bias, float *sum, float *out) {
    const size_t columns = args->gain->columns;
    if (args->rms)
        cei_ref_rms_norm_row(x, residual, gain, args->adds_one ? 1.0f : 0.0f, columns, args->epsilon, sum, out);
    else
        cei_ref_norm_row(x, residual, gain, bias, columns, args->epsilon, sum, out);
}

void cei_ref_round_activations(cei_format format, float *x, size_t rows, size_t columns) {
    if (format != CEI_FORMAT_INT8) {
        cei_round_rows(format, x, rows, columns, NULL);
        return;
    }
    for (size_t r = 0; r < rows; r++) cei_round_activations(x + r * columns, columns);
}

CEI_CLONED static float dot(const float *a, const float *b, size_t count) {
    enum { PARTS = 16 };
    float sums[PARTS] = {0};
    size_t i = 0;
    for (; i + PARTS <= count; i += PARTS)
        for (size_t p = 0; p < PARTS; p++) sums[p] += a[i + p] * b[i + p];
    for (size_t p = 0; i + p < count; p++) sums[p] += a[i + p] * b[i + p];
    /* Four sums, so that no addition waits for all others. */
    double whole[4] = {0};
    for (size_t p = 0; p < PARTS; p++) whole[p % 4] += (double)sums[p];
    return (float)((whole[0] + whole[1]) + (whole[2] + whole[3]));
}

float cei_ref_dot(const float *a, const float *b, size_t count) { return dot(a, b, count); }

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

float cei_ref_function(cei_function function, float value) {
    static const double sqrt_half = 0.70710678118654752440, gelu_scale = 0.79788456080286535588; /* sqrt(2 / pi) */
    const double x = (double)value;
    switch (function) {
    case CEI_FN_IDENTITY: return value;
    case CEI_FN_GELU: return (float)(x / 2 * (1 + erf(x * sqrt_half)));
    case CEI_FN_GELU_TANH: return (float)(x / 2 * (1 + tanh(gelu_scale * (x + 0.044715 * x * x * x))));
    case CEI_FN_GELU_QUICK: return (float)(x * sigmoid(1.702 * x));
    case CEI_FN_RELU: return value < 0 ? 0 : value;
    case CEI_FN_SILU: return (float)(x * sigmoid(x));
    case CEI_FN_TANH: return (float)tanh(x);
    case CEI_FN_SIGMOID: return (float)sigmoid(x);
    case CEI_FN_COUNT: break;
    }
    return value;
}

/* One query of one head over length keys and values. distances are NULL, or those of the head. */
typedef struct attended {
    const cei_attention_args *args;
    const cei_attention_relative_args *relative; /* NULL: distances don't count */
    const cei_ref_distances *distances;          /* of keys, queries, bias */
    size_t head, query, length;
    const float *q, *k, *v;
    bool rounds; /* to bfloat16 what is multiplied */
} attended;

/* The row of a distance in one head; NULL if there is none. */
static const float *distance_row(const attended *a, const cei_distances *of, size_t which, size_t from, size_t to,
                                 size_t columns) {
    const cei_ref_distances *at = &a->distances[which];
    if (!at->weight) return NULL;
    const size_t row = (size_t)at->places[a->args->longest - 1 + to - from];
    return at->weight + (a->head * of->rows_per_head + row) * columns;
}

/* The product of rounded factors, of a query that is scaled first where its score will be capped. */
static double rounded_dot(const attended *a, const float *k) {
    const float scale = a->args->cap > 0 ? a->args->scale / a->args->cap : 1;
    double sum = 0;
    for (size_t i = 0; i < a->args->head_size; i++)
        sum += (double)cei_round_bfloat16(a->q[i] * scale) * (double)cei_round_bfloat16(k[i]);
    return scale != 0 ? sum / (double)scale : 0;
}

static float score_of(const attended *a, size_t t) {
    const size_t size = a->args->head_size;
    const float *k = a->k + t * a->args->k.stride;
    double score = a->rounds ? rounded_dot(a, k) : (double)cei_ref_dot(a->q, k, size);
    if (a->relative) {
        const float *key = distance_row(a, &a->relative->keys, 0, a->query, t, size);
        const float *query = distance_row(a, &a->relative->queries, 1, t, a->query, size);
        const float *bias = distance_row(a, &a->relative->bias, 2, a->query, t, 1);
        score += key ? (double)cei_ref_dot(a->q, key, size) : 0;
        score += query ? (double)cei_ref_dot(k, query, size) : 0;
        score += bias ? (double)*bias : 0;
    }
    score *= (double)a->args->scale;
    const double cap = (double)a->args->cap;
    return (float)(cap > 0 ? cap * tanh(score / cap) : score);
}

static float factor_of(const attended *a, float x) { return a->rounds ? cei_round_bfloat16(x) : x; }

static void attend(const attended *a, float *scores, float *out) {
    float most = -INFINITY;
    double sum = 0;
    for (size_t t = 0; t < a->length; t++) {
        scores[t] = score_of(a, t);
        if (scores[t] > most) most = scores[t];
    }
    for (size_t t = 0; t < a->length; t++) {
        scores[t] = expf(scores[t] - most);
        sum += (double)scores[t];
        scores[t] = factor_of(a, scores[t]);
    }
    for (size_t i = 0; i < a->args->head_size; i++) {
        double mixed = 0;
        for (size_t t = 0; t < a->length; t++)
            mixed += (double)scores[t] * (double)factor_of(a, a->v[t * a->args->v.stride + i]);
        out[i] = (float)(mixed / sum);
    }
}

/* The query at place `query` of a sequence whose keys and values are at k and v; q and out are its rows. */
static void attend_heads(attended a, const float *q, const float *k, const float *v, float *scores, float *out) {
    const size_t shared = a.args->heads / cei_attention_key_heads(a.args);
    for (a.head = 0; a.head < a.args->heads; a.head++) {
        const size_t column = a.head * a.args->head_size, key_column = a.head / shared * a.args->head_size;
        a.q = q + column;
        a.k = k + key_column;
        a.v = v + key_column;
        attend(&a, scores, out + column);
    }
}

/* a has all but the head, the query and what belongs to them. */
static void attend_all(attended a, const int32_t *offsets, const float *q, const float *k, const float *v,
                       float *scores, float *out) {
    const cei_attention_args *args = a.args;
    const size_t hidden = args->heads * args->head_size;
    for (size_t s = 0; s < args->sequences; s++) {
        const size_t first = (size_t)offsets[s], length = (size_t)offsets[s + 1] - first;
        const bool is_one = cei_attention_asks_one(args) && length;
        const size_t from = is_one && args->last_only ? length - 1 : 0, end = is_one ? from + 1 : length;
        for (a.query = from; a.query < end; a.query++) {
            size_t near;
            const size_t row = (is_one ? s : first) + a.query - from;
            a.length = cei_attention_sees(args->window, a.query, args->causal ? a.query + 1 : length, &near);
            attend_heads(a, q + row * args->q.stride, k + (first + near) * args->k.stride,
                         v + (first + near) * args->v.stride, scores, out + row * hidden);
        }
    }
}

void cei_ref_attention(const cei_attention_args *args, bool rounds, const int32_t *offsets, const float *q,
                       const float *k, const float *v, float *scores, float *out) {
    attend_all((attended){.args = args, .rounds = rounds}, offsets, q, k, v, scores, out);
}

void cei_ref_attention_relative(const cei_attention_relative_args *args, bool rounds, const int32_t *offsets,
                                const float *q, const float *k, const float *v, const cei_ref_distances distances[3],
                                float *scores, float *out) {
    const attended a = {.args = &args->attention, .relative = args, .distances = distances, .rounds = rounds};
    attend_all(a, offsets, q, k, v, scores, out);
}

void cei_ref_angles_row(size_t position, const float *frequencies, size_t half, float *out) {
    for (size_t i = 0; i < half; i++) {
        const float angle = (float)position * frequencies[i];
        out[i] = (float)cos((double)angle);
        out[half + i] = (float)sin((double)angle);
    }
}

void cei_ref_rotate_row(const float *angles, size_t heads, size_t half, float *x) {
    for (size_t h = 0; h < heads; h++, x += 2 * half)
        for (size_t i = 0; i < half; i++) {
            const double a = (double)x[i], b = (double)x[half + i];
            const double cosine = (double)angles[i], sine = (double)angles[half + i];
            x[i] = (float)(a * cosine - b * sine);
            x[half + i] = (float)(b * cosine + a * sine);
        }
}

void cei_ref_gate_row(cei_function function, const float *a, const float *b, size_t columns, float *out) {
    for (size_t i = 0; i < columns; i++) out[i] = cei_ref_function(function, a[i]) * b[i];
}

/* What the row at place i of a sequence, counted from 0, weighs in a sum. */
static double pool_weight(cei_pooling pooling, size_t i) { return pooling == CEI_POOL_WEIGHTED ? (double)i + 1 : 1; }

static float pool_sum(const cei_pool_args *args, const float *x, size_t rows) {
    double sum = 0, weights = 0;
    for (size_t i = args->skipped; i < rows; i++) {
        sum += pool_weight(args->pooling, i) * (double)x[i * args->columns];
        weights += pool_weight(args->pooling, i);
    }
    return (float)(weights == 0 ? 0 : sum / (args->pooling == CEI_POOL_MEAN_SQRT ? sqrt(weights) : weights));
}

static float pool_most(const cei_pool_args *args, const float *x, size_t rows) {
    float most = -INFINITY;
    for (size_t i = args->skipped; i < rows; i++)
        if (!(x[i * args->columns] <= most)) most = x[i * args->columns]; /* a NaN stays */
    return most;
}

/* One column of one sequence of at least one row. */
static float pool_column(const cei_pool_args *args, const float *x, size_t rows) {
    const bool none = args->skipped >= rows;
    switch (args->pooling) {
    case CEI_POOL_FIRST: return x[none ? 0 : args->skipped * args->columns];
    case CEI_POOL_LAST: return none ? 0 : x[(rows - 1) * args->columns];
    case CEI_POOL_MAX: return pool_most(args, x, rows);
    default: return pool_sum(args, x, rows);
    }
}

void cei_ref_pool(const cei_pool_args *args, const int32_t *offsets, const float *x, float *out) {
    for (size_t s = 0; s < args->sequences; s++) {
        const size_t first = (size_t)offsets[s], rows = (size_t)offsets[s + 1] - first;
        for (size_t i = 0; i < args->columns; i++)
            out[s * args->out.stride + i] = rows ? pool_column(args, x + first * args->columns + i, rows) : 0;
    }
}

void cei_ref_normalize_row(const float *x, size_t columns, float *out) {
    double sum = 0;
    for (size_t i = 0; i < columns; i++) sum += (double)x[i] * (double)x[i];
    const double length = sqrt(sum);
    for (size_t i = 0; i < columns; i++) out[i] = (float)((double)x[i] / (length > 1e-12 ? length : 1e-12));
}
