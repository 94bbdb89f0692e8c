/* transformer.c - runs the encoder that most architectures share.
 *
 * A layer reads `input`: the states themselves where norms come behind, their norm where norms come before. Each step's
 * result is added to the states and normed in one operation, which is where the two differ: the second keeps the sum.
 */
#include "model/transformer_network.h"

#include "base/memory.h"

#include <math.h>

/* ---- workspace ---------------------------------------------------------------------------------------------- */

/* Where a batch's activations are, as offsets into the workspace. */
typedef struct encoder_layout {
    size_t ids, positions, types;      /* int32 [tokens] */
    size_t offsets;                    /* int32 [sequences + 1]; the first [sequences] are the rows of [CLS] */
    size_t hidden, context, projected; /* [tokens, hidden] */
    size_t input;                      /* [tokens, hidden], where norms come before */
    size_t wide;                       /* [tokens, the widest activation] */
    size_t gated;                      /* [tokens, intermediate] of a gated unit */
    size_t angles[2];                  /* [positions, head_size] for each kind of rotary positions */
    size_t first;                      /* [sequences, hidden] of [CLS] alone */
    size_t first_qkv;                  /* [sequences, 3 hidden] of [CLS] alone, where they are one product */
    size_t key_places, query_places;   /* int32 [2 tokens] where distances count; a bias has the first alone */
    size_t neighbours, convolved;      /* int32 [tokens, kernel], [tokens, hidden] where there is a convolution */
    size_t bytes;                      /* of all; 0 on overflow */
} encoder_layout;

/* Reserves rows * columns elements of 4 bytes, aligned. */
static size_t reserve(encoder_layout *layout, size_t rows, size_t columns, bool *fits) {
    size_t bytes, at = layout->bytes;
    *fits = *fits && cei_mul_size(rows, columns, &bytes) && cei_mul_size(bytes, 4, &bytes) &&
            cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes) &&
            cei_add_size(at, bytes & ~(size_t)(CEI_BUFFER_ALIGNMENT - 1), &layout->bytes);
    return at;
}

static encoder_layout lay_out(const cei_transformer *net, size_t tokens, size_t sequences) {
    encoder_layout at = {0};
    const size_t hidden = net->base.hidden;
    bool fits = true;
    at.ids = reserve(&at, tokens, 1, &fits);
    at.positions = reserve(&at, tokens, 1, &fits);
    at.types = reserve(&at, tokens, 1, &fits);
    at.offsets = reserve(&at, sequences + 1, 1, &fits);
    at.hidden = reserve(&at, tokens + (net->conv.kernel > 0), hidden, &fits); /* and a row of zeros */
    at.projected = reserve(&at, tokens, hidden, &fits);
    at.context = reserve(&at, tokens, hidden, &fits);
    at.input = reserve(&at, net->pre_norm ? tokens : 0, hidden, &fits);
    at.wide = reserve(&at, tokens, net->base.widest, &fits);
    /* Behind the feed-forward's first product nothing reads context or input: they make room for what is gated. */
    at.gated = at.context;
    if (net->gated && !(net->pre_norm && net->intermediate <= 2 * hidden))
        at.gated = reserve(&at, tokens, net->intermediate, &fits);
    for (size_t i = 0; i < 2; i++)
        at.angles[i] = reserve(&at, net->rotary[i].frequencies ? cei_min_size(tokens, net->base.positions) : 0,
                               net->base.head_size, &fits);
    at.first = reserve(&at, net->base.first_only ? sequences : 0, hidden, &fits);
    at.first_qkv = reserve(&at, net->base.first_only && net->fused ? sequences : 0, 3 * hidden, &fits);
    const size_t distances = cei_relative_weights(&net->relative) ? 2 : 0, conv = net->conv.kernel;
    at.key_places = reserve(&at, tokens, net->bias.kind ? 2 : distances, &fits);
    at.query_places = reserve(&at, tokens, distances, &fits);
    at.neighbours = reserve(&at, tokens, conv, &fits);
    at.convolved = reserve(&at, conv ? tokens : 0, hidden, &fits);
    if (!fits) at.bytes = 0;
    return at;
}

size_t cei_transformer_workspace(const cei_network *network, size_t tokens, size_t sequences) {
    return lay_out((const cei_transformer *)network, tokens, sequences).bytes;
}

/* ---- forward ------------------------------------------------------------------------------------------------ */

/* One run over a batch. rows shrinks to one a sequence where the rest reads no other token. */
typedef struct encoder_run {
    const cei_transformer *net;
    const cei_run *run;
    encoder_layout at;
    size_t rows;
    size_t hidden; /* where the states are, to which each step adds */
    size_t input;  /* where what the next step reads is */
    ce_error *error;
} encoder_run;

static cei_slice slice(const encoder_run *run, size_t offset) { return (cei_slice){run->run->workspace, offset}; }

static cei_strided strided(const encoder_run *run, size_t offset, size_t column, size_t stride) {
    return (cei_strided){slice(run, offset + column * sizeof(float)), stride};
}

static ce_status send_batch(const encoder_run *run) {
    const cei_batch *batch = run->run->batch;
    const struct {
        size_t to;
        const int32_t *from;
        size_t count;
    } parts[] = {{run->at.ids, batch->ids, batch->tokens},
                 {run->at.types, batch->types, batch->tokens},
                 {run->at.positions, batch->positions, batch->tokens},
                 {run->at.offsets, batch->offsets, batch->sequences + 1}};
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == CE_OK; i++)
        status = cei_write(run->run->stream, slice(run, parts[i].to), parts[i].from, parts[i].count * sizeof(int32_t),
                           run->error);
    const cei_transformer *net = run->net;
    if (status == CE_OK && cei_relative_weights(&net->relative))
        status = cei_relative_send(&net->relative, run->run->stream, batch->longest, slice(run, run->at.key_places),
                                   slice(run, run->at.query_places), run->error);
    if (status == CE_OK && net->bias.kind)
        status = cei_distance_bias_send(&net->bias, run->run->stream, batch->longest, slice(run, run->at.key_places),
                                        run->error);
    if (status == CE_OK && net->conv.kernel)
        status = cei_token_conv_send(&net->conv, run->run->stream, batch, slice(run, run->at.neighbours), run->error);
    return status;
}

static const cei_weight *bias_of(const encoder_run *run, cei_weight_pair pair) {
    return pair.has_bias ? &run->run->weights[pair.bias] : NULL;
}

static ce_status linear(const encoder_run *run, size_t x, cei_weight_pair pair, cei_function function, size_t out) {
    cei_linear_args args = {run->rows,          slice(run, x), &run->run->weights[pair.weight],
                            bias_of(run, pair), function,      slice(run, out)};
    return cei_linear(run->run->stream, &args, run->error);
}

/* out = norm(x + residual), and the sum to where the residual was, if it is kept; residual may be NULL. */
static ce_status norm(const encoder_run *run, size_t x, const size_t *residual, bool keeps, cei_weight_pair pair,
                      size_t out) {
    const cei_slice other = residual ? slice(run, *residual) : (cei_slice){0};
    cei_norm_args args = {.rows = run->rows,
                          .x = slice(run, x),
                          .residual = residual ? &other : NULL,
                          .gain = &run->run->weights[pair.weight],
                          .bias = bias_of(run, pair),
                          .epsilon = run->net->epsilon,
                          .out = slice(run, out),
                          .sum = keeps ? &other : NULL};
    return cei_norm(run->run->stream, &args, run->error);
}

/* The sum of the embeddings, normed and projected into hidden. Narrow or wide, they go where there is room for either.
 */
static ce_status norm_and_project(const encoder_run *run) {
    const cei_transformer *net = run->net;
    const size_t sum = run->at.wide, normed = net->projects ? run->at.wide : run->at.hidden;
    ce_status status = norm(run, sum, NULL, false, net->embedding_norm, normed);
    return status == CE_OK && net->projects ? linear(run, normed, net->project, CEI_FN_IDENTITY, run->at.hidden)
                                            : status;
}

/* The same in DeBERTa's order. */
static ce_status project_and_norm(const encoder_run *run) {
    const cei_transformer *net = run->net;
    const size_t sum = run->at.wide, projected = net->projects ? run->at.projected : sum;
    ce_status status = net->projects ? linear(run, sum, net->project, CEI_FN_IDENTITY, projected) : CE_OK;
    return status == CE_OK ? norm(run, projected, NULL, false, net->embedding_norm, run->at.hidden) : status;
}

static ce_status embed(const encoder_run *run) {
    const cei_transformer *net = run->net;
    const cei_transformer_form *form = net->base.architecture->form;
    const cei_weight *weights = run->run->weights;
    cei_embed_args args = {.tokens = run->run->batch->tokens,
                           .ids = slice(run, run->at.ids),
                           .positions = slice(run, run->at.positions),
                           .types = slice(run, run->at.types),
                           .word = &weights[net->base.word],
                           .position = net->adds_positions ? &weights[net->position] : NULL,
                           .type = net->base.types ? &weights[net->type] : NULL,
                           .out = slice(run, run->at.wide)};
    ce_status status = cei_embed(run->run->stream, &args, run->error);
    if (status != CE_OK) return status;
    return form->is_deberta ? project_and_norm(run) : norm_and_project(run);
}

/* convolved = function(neighbours of hidden laid end to end W^T + bias); what is behind hidden becomes zeros. */
static ce_status convolve(const encoder_run *run) {
    static const float zeros[256];
    const cei_token_conv *conv = &run->net->conv;
    const size_t hidden = run->net->base.hidden, tokens = run->run->batch->tokens;
    const cei_weight *derived = run->run->derived + run->net->base.derived_count - 1;
    const cei_gather_args gather = {tokens * conv->kernel, hidden, slice(run, run->at.hidden),
                                    slice(run, run->at.neighbours), slice(run, run->at.wide)};
    const cei_linear_args dense = {tokens,         slice(run, run->at.wide),
                                   derived,        &run->run->weights[conv->bias],
                                   conv->function, slice(run, run->at.convolved)};
    ce_status status = CE_OK;
    for (size_t i = 0; i < hidden && status == CE_OK; i += sizeof zeros / sizeof *zeros)
        status = cei_write(run->run->stream, slice(run, run->at.hidden + (tokens * hidden + i) * sizeof(float)), zeros,
                           cei_min_size(sizeof zeros, (hidden - i) * sizeof(float)), run->error);
    if (status == CE_OK) status = cei_gather(run->run->stream, &gather, run->error);
    return status == CE_OK ? cei_linear(run->run->stream, &dense, run->error) : status;
}

/* Positions of a sequence begin at 0: the longest has all that there are. */
static ce_status find_angles(const encoder_run *run) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < 2 && status == CE_OK; i++) {
        const cei_angles_args args = {run->run->batch->longest, run->net->base.head_size / 2,
                                      run->net->rotary[i].frequencies, slice(run, run->at.angles[i])};
        if (args.frequencies) status = cei_angles(run->run->stream, &args, run->error);
    }
    return status;
}

/* Turns heads at x, in rows of so many columns, if positions are rotary. */
static ce_status turn(const encoder_run *run, const cei_layer_weights *layer, size_t x, size_t columns, size_t heads) {
    if (!run->net->rotary[layer->is_local].frequencies) return CE_OK;
    const cei_rotary_args args = {run->rows,
                                  heads,
                                  run->net->base.head_size / 2,
                                  slice(run, run->at.positions),
                                  slice(run, run->at.angles[layer->is_local]),
                                  run->run->batch->longest,
                                  strided(run, x, 0, columns)};
    return cei_rotate(run->run->stream, &args, run->error);
}

static ce_status gather_first(const encoder_run *run, size_t x, size_t columns, size_t out) {
    const cei_gather_args args = {run->run->batch->sequences, columns, slice(run, x), slice(run, run->at.offsets),
                                  slice(run, out)};
    return cei_gather(run->run->stream, &args, run->error);
}

/* From here on there are the rows of [CLS] alone: of the states, and of what the queries are made of, or are. context
 * is free before. */
static ce_status take_first(encoder_run *run) {
    const size_t hidden = run->net->base.hidden;
    ce_status status = gather_first(run, run->hidden, hidden, run->at.first);
    if (status == CE_OK && run->net->fused) {
        status = gather_first(run, run->at.wide, 3 * hidden, run->at.first_qkv);
    } else if (status == CE_OK && run->input != run->hidden) {
        status = gather_first(run, run->input, hidden, run->at.context);
        run->input = run->at.context;
    } else {
        run->input = run->at.first;
    }
    run->hidden = run->at.first;
    run->rows = run->run->batch->sequences;
    return status;
}

static ce_status run_attention(const encoder_run *run, const cei_layer_weights *layer, const cei_attention_args *args) {
    const cei_relative *relative = &run->net->relative;
    const cei_distance_bias *bias = &run->net->bias;
    if (bias->kind) {
        const cei_attention_relative_args with = {
            .attention = *args, .bias = {run->run->derived, slice(run, run->at.key_places), bias->rows_per_head}};
        return cei_attention_relative(run->run->stream, &with, run->error);
    }
    if (!cei_relative_weights(relative)) return cei_attention(run->run->stream, args, run->error);
    const cei_attention_relative_args with =
        cei_relative_args(relative, args, run->run->derived, (size_t)(layer - run->net->layers),
                          slice(run, run->at.key_places), slice(run, run->at.query_places));
    return cei_attention_relative(run->run->stream, &with, run->error);
}

/* context = attention of these queries, over the keys and values that wide ends with. */
static ce_status mix(const encoder_run *run, const cei_layer_weights *layer, bool first, cei_strided queries,
                     size_t columns) {
    const cei_batch *batch = run->run->batch;
    const size_t hidden = run->net->base.hidden, size = run->net->base.head_size;
    const cei_attention_args args = {.tokens = batch->tokens,
                                     .sequences = batch->sequences,
                                     .longest = batch->longest,
                                     .offsets = slice(run, run->at.offsets),
                                     .q = queries,
                                     .k = strided(run, run->at.wide, columns - 2 * hidden, columns),
                                     .v = strided(run, run->at.wide, columns - hidden, columns),
                                     .first_only = first,
                                     .heads = run->net->heads,
                                     .head_size = size,
                                     .window = run->net->rotary[layer->is_local].window,
                                     .scale = 1.0f / sqrtf((float)(size * run->net->relative.terms)),
                                     .out = slice(run, run->at.context),
                                     .precision = run->net->base.precision};
    return run_attention(run, layer, &args);
}

/* context = attention over input. projected is free before. */
static ce_status attend(encoder_run *run, const cei_layer_weights *layer) {
    const size_t hidden = run->net->base.hidden, wide = run->at.wide;
    ce_status status = linear(run, run->input, layer->qkv, CEI_FN_IDENTITY, wide);
    if (status == CE_OK) status = turn(run, layer, wide, 3 * hidden, 2 * run->net->heads);
    return status == CE_OK ? mix(run, layer, false, strided(run, wide, 0, 3 * hidden), 3 * hidden) : status;
}

/* The same in the last layer of a network that is first_only; first: of [CLS] alone, which leaves one row a sequence.
 */
static ce_status attend_last(encoder_run *run, const cei_layer_weights *layer, bool first) {
    const size_t hidden = run->net->base.hidden, heads = run->net->heads, wide = run->at.wide;
    const bool fused = run->net->fused;
    const size_t columns = (fused ? 3 : 2) * hidden;
    cei_strided queries = strided(run, first ? run->at.first_qkv : wide, 0, columns);
    ce_status status = linear(run, run->input, layer->qkv, CEI_FN_IDENTITY, wide);
    if (status == CE_OK) status = turn(run, layer, wide, columns, fused ? 2 * heads : heads);
    if (status == CE_OK && first) status = take_first(run);
    if (status == CE_OK && !fused) {
        queries = strided(run, run->at.projected, 0, hidden);
        status = linear(run, run->input, layer->query, CEI_FN_IDENTITY, run->at.projected);
        /* A first token's position is 0, where nothing turns. */
        if (status == CE_OK && !first) status = turn(run, layer, run->at.projected, hidden, heads);
    }
    return status == CE_OK ? mix(run, layer, first, queries, columns) : status;
}

/* Adds projected to the states, and norms them for the next step. */
static ce_status add(encoder_run *run, cei_weight_pair pair) {
    const bool keeps = run->net->pre_norm;
    run->input = keeps ? run->at.input : run->hidden;
    return norm(run, run->at.projected, &run->hidden, keeps, pair, run->input);
}

/* projected = the feed-forward's result. */
static ce_status feed_forward(const encoder_run *run, const cei_layer_weights *layer) {
    const cei_transformer *net = run->net;
    const size_t inner = net->intermediate, wide = run->at.wide, out = net->gated ? run->at.gated : wide;
    ce_status status = linear(run, run->input, layer->up, net->gated ? CEI_FN_IDENTITY : net->function, wide);
    if (status == CE_OK && net->gated) {
        const cei_gate_args args = {
            run->rows,     inner,          strided(run, wide, 0, 2 * inner), strided(run, wide, inner, 2 * inner),
            net->function, slice(run, out)};
        status = cei_gate(run->run->stream, &args, run->error);
    }
    return status == CE_OK ? linear(run, out, layer->down, CEI_FN_IDENTITY, run->at.projected) : status;
}

static ce_status run_layer(encoder_run *run, const cei_layer_weights *layer) {
    const bool is_last = layer + 1 == run->net->layers + run->net->layer_count;
    ce_status status =
        run->net->base.first_only && is_last ? attend_last(run, layer, !run->run->states) : attend(run, layer);
    if (status == CE_OK) status = linear(run, run->at.context, layer->attention, CEI_FN_IDENTITY, run->at.projected);
    if (status == CE_OK) status = add(run, layer->attention_norm);
    if (status == CE_OK) status = feed_forward(run, layer);
    if (status == CE_OK) status = add(run, layer->output_norm);
    if (status == CE_OK && layer == run->net->layers && run->net->conv.kernel)
        status = norm(run, run->hidden, &run->at.convolved, false, run->net->conv.norm, run->hidden);
    return status;
}

ce_status cei_transformer_encode(const cei_run *whole, cei_states *states, ce_error *error) {
    const cei_transformer *net = (const cei_transformer *)whole->network;
    const cei_batch *batch = whole->batch;
    encoder_run run = {.net = net,
                       .run = whole,
                       .at = lay_out(net, batch->tokens, batch->sequences),
                       .rows = batch->tokens,
                       .error = error};
    run.hidden = run.input = run.at.hidden;
    ce_status status = send_batch(&run);
    if (status == CE_OK) status = embed(&run);
    if (status == CE_OK && net->conv.kernel) status = convolve(&run);
    if (status == CE_OK) status = find_angles(&run);
    for (size_t i = 0; i < net->layer_count && status == CE_OK; i++) status = run_layer(&run, &net->layers[i]);
    states->at = slice(&run, run.input);
    states->offsets = slice(&run, run.at.offsets);
    states->first_only = net->base.first_only && !whole->states;
    return status;
}
