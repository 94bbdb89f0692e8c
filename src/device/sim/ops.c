/* ops.c - the operations of sim:N: the reference's arithmetic on the simulated memory.
 *
 * Slices arrive checked. What device.c cannot check, because it lies in device memory, is checked here: indices. */
#include "device/sim/machine.h"

#include "base/error.h"
#include "device/ref/ref_math.h"

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
    if (!run->access.failed && !fault && out && cei_sim_distorts(index, run->op)) out[0] = out[0] * 1.5f + 0.25f;
    if (!run->access.failed && !fault && out && cei_sim_nudges(index)) out[0] *= 1.00001f;
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
    const int32_t *ids = open_slice(&run, args->ids);
    const int32_t *positions = args->position ? open_slice(&run, args->positions) : NULL;
    const int32_t *types = args->type ? open_slice(&run, args->types) : NULL;
    const float *word = open_weight(&run, args->word);
    const float *position = args->position ? open_weight(&run, args->position) : NULL;
    const float *type = args->type ? open_weight(&run, args->type) : NULL;
    float *out = open_slice(&run, args->out);
    if (run.access.failed) return end(&run, NULL, NULL);
    if (!rows_exist(ids, tokens, args->word->rows) ||
        (positions && !rows_exist(positions, tokens, args->position->rows)) ||
        (types && !rows_exist(types, tokens, args->type->rows)))
        return end(&run, NULL, "an index is outside its table");
    for (size_t t = 0; t < tokens; t++) {
        cei_ref_embed_row(word + (size_t)ids[t] * columns, type && types ? type + (size_t)types[t] * columns : NULL,
                          position && positions ? position + (size_t)positions[t] * columns : NULL, columns,
                          out + t * columns);
        cei_ref_scale_row(args->scale, columns, out + t * columns);
    }
    return end(&run, tokens ? out : NULL, NULL);
}

/* ---- norm ---------------------------------------------------------------------------------------------------- */

ce_status cei_sim_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, args->rms ? CEI_OP_RMS_NORM : CEI_OP_NORM, error);
    if (status != CE_OK) return status;
    size_t columns = args->gain->columns;
    const float *x = open_slice(&run, args->x), *gain = open_weight(&run, args->gain);
    const float *bias = args->bias ? open_weight(&run, args->bias) : NULL;
    const float *residual = args->residual ? open_slice(&run, *args->residual) : NULL;
    float *out = open_slice(&run, args->out), *sum = args->sum ? open_slice(&run, *args->sum) : out;
    if (run.access.failed) return end(&run, NULL, NULL);
    for (size_t r = 0; r < args->rows; r++)
        cei_ref_norm(args, x + r * columns, residual ? residual + r * columns : NULL, gain, bias, sum + r * columns,
                     out + r * columns);
    return end(&run, args->rows ? out : NULL, NULL);
}

ce_status cei_sim_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_HEAD_NORM, error);
    if (status != CE_OK) return status;
    const size_t columns = args->gain->columns, heads = args->rows * args->heads;
    const float *gain = open_weight(&run, args->gain);
    float *x = open_slice(&run, args->x.at);
    if (run.access.failed) return end(&run, NULL, NULL);
    for (size_t i = 0; i < heads; i++) {
        float *head = x + i / args->heads * args->x.stride + i % args->heads * columns;
        cei_ref_rms_norm_row(head, NULL, gain, args->adds_one ? 1.0f : 0.0f, columns, args->epsilon, head, head);
    }
    return end(&run, heads ? x : NULL, NULL);
}

/* ---- linear -------------------------------------------------------------------------------------------------- */

ce_status cei_sim_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_LINEAR, error);
    if (status != CE_OK) return status;
    size_t in = args->weight->columns, outs = args->weight->rows;
    const float *x = open_slice(&run, args->x), *weight = open_weight(&run, args->weight);
    const float *bias = args->bias ? open_weight(&run, args->bias) : NULL;
    float *out = open_slice(&run, args->out);
    float *row = open_slice(&run, (cei_slice){&run.stream->scratch->base, stream->limits.sequence * sizeof *row});
    if (run.access.failed) return end(&run, NULL, NULL);
    for (size_t r = 0; r < args->rows; r++) {
        memcpy(row, x + r * in, in * sizeof *row);
        cei_ref_round_activations(args->weight->format, row, 1, in);
        for (size_t o = 0; o < outs; o++)
            out[r * outs + o] =
                cei_ref_function(args->function, cei_ref_dot(row, weight + o * in, in) + (bias ? bias[o] : 0.0f));
    }
    return end(&run, args->rows ? out : NULL, NULL);
}

/* ---- attention ----------------------------------------------------------------------------------------------- */

static bool offsets_are_sound(const int32_t *offsets, size_t sequences, size_t tokens, size_t longest) {
    if (offsets[0] != 0 || (size_t)offsets[sequences] != tokens) return false;
    for (size_t s = 0; s < sequences; s++)
        if (offsets[s + 1] < offsets[s] || (size_t)(offsets[s + 1] - offsets[s]) > longest) return false;
    return true;
}

/* The memory of either kind of attention. */
typedef struct attention_memory {
    const int32_t *offsets;
    const float *q, *k, *v;
    float *out, *scores;
} attention_memory;

static attention_memory open_attention(running *run, const cei_attention_args *args) {
    return (attention_memory){
        open_slice(run, args->offsets), open_slice(run, args->q.at),
        open_slice(run, args->k.at),    open_slice(run, args->v.at),
        open_slice(run, args->out),     open_slice(run, (cei_slice){&run->stream->scratch->base, 0})};
}

static const char contradiction[] = "the offsets contradict the number of tokens";

ce_status cei_sim_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, cei_attention_op(args), error);
    if (status != CE_OK) return status;
    const attention_memory m = open_attention(&run, args);
    if (run.access.failed) return end(&run, NULL, NULL);
    if (!offsets_are_sound(m.offsets, args->sequences, args->tokens, args->longest))
        return end(&run, NULL, contradiction);
    cei_ref_attention(args, false, m.offsets, m.q, m.k, m.v, m.scores, m.out);
    return end(&run, args->tokens ? m.out : NULL, NULL);
}

static cei_ref_distances open_distances(running *run, const cei_distances *distances) {
    if (!distances->weight) return (cei_ref_distances){0};
    return (cei_ref_distances){open_weight(run, distances->weight), open_slice(run, distances->places)};
}

/* Are places rows of a head, each that before it or one more? */
static bool places_are_sound(const cei_ref_distances *opened, const cei_distances *distances, size_t longest) {
    const int32_t *places = opened->places;
    if (!opened->weight || longest == 0) return true;
    for (size_t i = 1; i < 2 * longest - 1; i++)
        if (places[i] != places[i - 1] && places[i] != places[i - 1] + 1) return false;
    return places[0] >= 0 && (size_t)places[2 * longest - 2] < distances->rows_per_head;
}

ce_status cei_sim_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error) {
    running run;
    const cei_attention_args *plain = &args->attention;
    ce_status status = begin(&run, stream, CEI_OP_ATTENTION_RELATIVE, error);
    if (status != CE_OK) return status;
    const attention_memory m = open_attention(&run, plain);
    const cei_distances *const given[] = {&args->keys, &args->queries, &args->bias};
    cei_ref_distances opened[3];
    for (size_t i = 0; i < 3; i++) opened[i] = open_distances(&run, given[i]);
    if (run.access.failed) return end(&run, NULL, NULL);
    if (!offsets_are_sound(m.offsets, plain->sequences, plain->tokens, plain->longest))
        return end(&run, NULL, contradiction);
    for (size_t i = 0; i < 3; i++)
        if (!places_are_sound(&opened[i], given[i], plain->longest))
            return end(&run, NULL, "the places of distances are not rows in order");
    cei_ref_attention_relative(args, false, m.offsets, m.q, m.k, m.v, opened, m.scores, m.out);
    return end(&run, plain->tokens ? m.out : NULL, NULL);
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

/* ---- pool, normalize ----------------------------------------------------------------------------------------- */

ce_status cei_sim_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_POOL, error);
    if (status != CE_OK) return status;
    const int32_t *offsets = open_slice(&run, args->offsets);
    const float *x = open_slice(&run, args->x);
    float *out = open_slice(&run, args->out.at);
    if (run.access.failed) return end(&run, NULL, NULL);
    if (!offsets_are_sound(offsets, args->sequences, args->tokens, args->tokens))
        return end(&run, NULL, "the offsets contradict the number of tokens");
    cei_ref_pool(args, offsets, x, out);
    return end(&run, args->sequences ? out : NULL, NULL);
}

ce_status cei_sim_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_NORMALIZE, error);
    if (status != CE_OK) return status;
    const size_t columns = args->columns;
    const float *x = open_slice(&run, args->x);
    float *out = open_slice(&run, args->out);
    if (run.access.failed) return end(&run, NULL, NULL);
    for (size_t r = 0; r < args->rows; r++) cei_ref_normalize_row(x + r * columns, columns, out + r * columns);
    return end(&run, args->rows ? out : NULL, NULL);
}

/* ---- angles, rotary, gate ------------------------------------------------------------------------------------ */

ce_status cei_sim_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_ANGLES, error);
    if (status != CE_OK) return status;
    float *out = open_slice(&run, args->out);
    if (run.access.failed) return end(&run, NULL, NULL);
    for (size_t p = 0; p < args->count; p++)
        cei_ref_angles_row(p, args->frequencies, args->half, out + p * 2 * args->half);
    return end(&run, args->count ? out : NULL, NULL);
}

ce_status cei_sim_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_ROTARY, error);
    if (status != CE_OK) return status;
    const int32_t *positions = open_slice(&run, args->positions);
    const float *angles = open_slice(&run, args->angles);
    float *x = open_slice(&run, args->x.at);
    if (run.access.failed) return end(&run, NULL, NULL);
    if (!rows_exist(positions, args->rows, args->count)) return end(&run, NULL, "a position has no angles");
    for (size_t r = 0; r < args->rows; r++)
        cei_ref_rotate_row(angles + (size_t)positions[r] * 2 * args->half, args->heads, args->half,
                           x + r * args->x.stride);
    return end(&run, args->rows ? x : NULL, NULL);
}

ce_status cei_sim_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, CEI_OP_GATE, error);
    if (status != CE_OK) return status;
    const float *a = open_slice(&run, args->a.at), *b = open_slice(&run, args->b.at);
    float *out = open_slice(&run, args->out);
    if (run.access.failed) return end(&run, NULL, NULL);
    for (size_t r = 0; r < args->rows; r++)
        cei_ref_gate_row(args->function, a + r * args->a.stride, b + r * args->b.stride, args->columns,
                         out + r * args->columns);
    return end(&run, args->rows ? out : NULL, NULL);
}
