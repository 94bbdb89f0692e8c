/* ops.c - the operations of sim:N on the simulated memory, in the plainest C.
 *
 * The arithmetic shares no code with other devices, so that their agreement says something: sums are taken in double
 * precision, in order, and rounded once. Slices arrive checked. What device.c cannot check, because it lies in device
 * memory, is checked here: indices. */
#include "device/sim/machine.h"

#include "base/error.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* One running operation: its stream is taken and its memory open. */
typedef struct running {
    sim_stream *stream;
    sim_access access;
    cei_op op;
    ce_error *error;
} running;

static ce_status begin(running *run, cei_stream *stream, cei_op op, ce_error *error) {
    *run = (running){.stream = (sim_stream *)stream, .op = op, .error = error};
    return cei_sim_enter_stream(run->stream, CEI_SIM_OP, op, error);
}

static void *open_slice(running *run, cei_slice slice) { return cei_sim_open_memory(&run->access, slice); }
static const float *open_weight(running *run, const cei_weight *weight) { return open_slice(run, weight->at); }

/* Closes and leaves. out, if the operation succeeded, gets a wrong value where the test wants one. */
static ce_status end(running *run, float *out, const char *fault) {
    int index = run->stream->base.device->id.index;
    if (!run->access.failed && !fault && out && cei_sim_distorts(run->op)) out[0] = out[0] * 1.5f + 0.25f;
    bool failed = run->access.failed;
    cei_sim_close_memory(&run->access);
    cei_sim_leave(run->stream);
    if (failed) fault = "the memory cannot be reached";
    if (!fault) return CE_OK;
    return cei_fail(run->error, CE_ERR_DEVICE_FAULT, "sim:%d: %s: %s", index, cei_op_name(run->op), fault);
}

/* ---- embed --------------------------------------------------------------------------------------------------- */

static bool rows_exist(const int32_t *indices, size_t count, size_t rows) {
    for (size_t i = 0; i < count; i++)
        if (indices[i] < 0 || (size_t)indices[i] >= rows) return false;
    return true;
}

ce_status cei_sim_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_EMBED, error);
    if (status != CE_OK) return status;
    size_t tokens = args->tokens, columns = args->word->columns;
    const int32_t *ids = open_slice(&run, args->ids), *positions = open_slice(&run, args->positions);
    const int32_t *types = open_slice(&run, args->types);
    const float *word = open_weight(&run, args->word), *position = open_weight(&run, args->position);
    const float *type = open_weight(&run, args->type);
    float *out = open_slice(&run, args->out);
    if (run.access.failed) return end(&run, NULL, NULL);
    if (!rows_exist(ids, tokens, args->word->rows) || !rows_exist(positions, tokens, args->position->rows) ||
        !rows_exist(types, tokens, args->type->rows))
        return end(&run, NULL, "an index is outside its table");
    for (size_t t = 0; t < tokens; t++)
        for (size_t c = 0; c < columns; c++)
            out[t * columns + c] = (word[(size_t)ids[t] * columns + c] + type[(size_t)types[t] * columns + c]) +
                                   position[(size_t)positions[t] * columns + c];
    return end(&run, tokens ? out : NULL, NULL);
}

/* ---- norm ---------------------------------------------------------------------------------------------------- */

/* out may be x or residual: each value is read before it is written. */
static void norm_row(const float *x, const float *residual, const float *gain, const float *bias, size_t columns,
                     float epsilon, float *out) {
    double mean = 0, variance = 0;
    for (size_t c = 0; c < columns; c++) {
        out[c] = residual ? x[c] + residual[c] : x[c];
        mean += out[c];
    }
    mean /= (double)columns;
    for (size_t c = 0; c < columns; c++) variance += ((double)out[c] - mean) * ((double)out[c] - mean);
    double scale = 1 / sqrt(variance / (double)columns + (double)epsilon);
    for (size_t c = 0; c < columns; c++) out[c] = (float)(gain[c] * (((double)out[c] - mean) * scale) + bias[c]);
}

ce_status cei_sim_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_NORM, error);
    if (status != CE_OK) return status;
    size_t columns = args->gain->columns;
    const float *x = open_slice(&run, args->x), *gain = open_weight(&run, args->gain);
    const float *bias = open_weight(&run, args->bias);
    const float *residual = args->residual ? open_slice(&run, *args->residual) : NULL;
    float *out = open_slice(&run, args->out);
    if (run.access.failed) return end(&run, NULL, NULL);
    for (size_t r = 0; r < args->rows; r++)
        norm_row(x + r * columns, residual ? residual + r * columns : NULL, gain, bias, columns, args->epsilon,
                 out + r * columns);
    return end(&run, args->rows ? out : NULL, NULL);
}

/* ---- linear -------------------------------------------------------------------------------------------------- */

static double dot(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* As defined with cei_function. */
static double apply(cei_function function, double x) {
    static const double root_half = 0.70710678118654752440, root_two_over_pi = 0.79788456080286535588;
    switch (function) {
    case CEI_FN_GELU: return 0.5 * x * (1 + erf(x * root_half));
    case CEI_FN_GELU_TANH: return 0.5 * x * (1 + tanh(root_two_over_pi * (x + 0.044715 * x * x * x)));
    case CEI_FN_GELU_QUICK: return x / (1 + exp(-1.702 * x));
    case CEI_FN_RELU: return x > 0 ? x : 0;
    case CEI_FN_SILU: return x / (1 + exp(-x));
    case CEI_FN_TANH: return tanh(x);
    case CEI_FN_SIGMOID: return 1 / (1 + exp(-x));
    default: return x;
    }
}

ce_status cei_sim_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_LINEAR, error);
    if (status != CE_OK) return status;
    size_t in = args->weight->columns, outs = args->weight->rows;
    const float *x = open_slice(&run, args->x), *weight = open_weight(&run, args->weight);
    const float *bias = args->bias ? open_weight(&run, args->bias) : NULL;
    float *out = open_slice(&run, args->out);
    if (run.access.failed) return end(&run, NULL, NULL);
    for (size_t r = 0; r < args->rows; r++)
        for (size_t o = 0; o < outs; o++)
            out[r * outs + o] =
                (float)apply(args->function, dot(x + r * in, weight + o * in, in) + (bias ? (double)bias[o] : 0));
    return end(&run, args->rows ? out : NULL, NULL);
}

/* ---- attention ----------------------------------------------------------------------------------------------- */

static bool offsets_are_sound(const cei_attention_args *args, const int32_t *offsets) {
    if (offsets[0] != 0 || (size_t)offsets[args->sequences] != args->tokens) return false;
    for (size_t s = 0; s < args->sequences; s++)
        if (offsets[s + 1] < offsets[s] || (size_t)(offsets[s + 1] - offsets[s]) > args->longest) return false;
    return true;
}

/* One token's attention in one head: query [size]; keys and values are rows of length tokens, stride apart;
 * weights: scratch [length]. */
static void attend(const cei_attention_args *args, const float *query, const float *keys, const float *values,
                   size_t length, float *weights, float *out) {
    size_t size = args->head_size, stride = 3 * args->heads * size;
    double most = -INFINITY, sum = 0;
    for (size_t k = 0; k < length; k++) {
        weights[k] = (float)(dot(query, keys + k * stride, size) * (double)args->scale);
        if (weights[k] > most) most = weights[k];
    }
    for (size_t k = 0; k < length; k++) {
        weights[k] = (float)exp((double)weights[k] - most);
        sum += weights[k];
    }
    for (size_t c = 0; c < size; c++) {
        double mixed = 0;
        for (size_t k = 0; k < length; k++) mixed += (double)weights[k] * values[k * stride + c];
        out[c] = (float)(mixed / sum);
    }
}

ce_status cei_sim_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_ATTENTION, error);
    if (status != CE_OK) return status;
    size_t size = args->head_size, hidden = args->heads * size;
    const int32_t *offsets = open_slice(&run, args->offsets);
    const float *qkv = open_slice(&run, args->qkv);
    float *out = open_slice(&run, args->out);
    float *scores = open_slice(&run, (cei_slice){&run.stream->scratch->base, 0});
    if (run.access.failed) return end(&run, NULL, NULL);
    if (!offsets_are_sound(args, offsets)) return end(&run, NULL, "the offsets contradict the number of tokens");
    for (size_t s = 0; s < args->sequences; s++) {
        size_t first = (size_t)offsets[s], length = (size_t)(offsets[s + 1] - offsets[s]);
        for (size_t t = 0; t < length; t++)
            for (size_t h = 0; h < args->heads; h++) {
                const float *of_head = qkv + first * 3 * hidden + h * size;
                attend(args, of_head + t * 3 * hidden, of_head + hidden, of_head + 2 * hidden, length, scores,
                       out + (first + t) * hidden + h * size);
            }
    }
    return end(&run, args->tokens ? out : NULL, NULL);
}

/* ---- gather -------------------------------------------------------------------------------------------------- */

ce_status cei_sim_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_GATHER, error);
    if (status != CE_OK) return status;
    size_t columns = args->columns;
    size_t rows = (args->x.buffer->bytes - args->x.offset) / (sizeof(float) * (columns ? columns : 1));
    const float *x = open_slice(&run, args->x);
    const int32_t *chosen = open_slice(&run, args->rows);
    float *out = open_slice(&run, args->out);
    if (run.access.failed) return end(&run, NULL, NULL);
    if (!rows_exist(chosen, args->count, rows)) return end(&run, NULL, "a row is outside the matrix");
    for (size_t i = 0; i < args->count; i++)
        memcpy(out + i * columns, x + (size_t)chosen[i] * columns, columns * sizeof *out);
    return end(&run, args->count ? out : NULL, NULL);
}
