/* transformer.c - runs the encoder that most architectures share.
 *
 * A layer reads `input`: the states themselves where norms come behind, their norm where norms come before. Each step's
 * result is added to the states and normed in one operation, which is where the two differ: the second keeps the sum.
 *
 * What goes row by row waits in a list, from one attention to the next, which a device may run some rows at a time. */
#include "model/transformer_network.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>

/* ---- workspace ---------------------------------------------------------------------------------------------- */

/* Where a batch's activations are, as offsets into the encoder's part of the workspace. What a device may keep
 * elsewhere comes last: memory that nothing touches is none. */
typedef struct encoder_layout {
    size_t ids, positions, types;    /* int32 [tokens] */
    size_t offsets;                  /* int32 [sequences + 1]; the first [sequences] are the rows of first tokens */
    size_t rows, row_positions;      /* int32 [sequences] of last tokens, if those are read */
    size_t hidden;                   /* [tokens, hidden] */
    size_t context, projected;       /* [tokens, the wider of hidden and queries] */
    size_t one_projected;            /* [sequences, the same], or queries + 2 keys where these are one product */
    size_t input;                    /* [tokens, hidden], where norms come before */
    size_t wide;                     /* [tokens, the widest activation] */
    size_t gated;                    /* [tokens, intermediate] of a gated unit */
    size_t angles[2];                /* [positions, head_size] for each kind of rotary positions */
    size_t one;                      /* [sequences, hidden] of the tokens that are read alone */
    size_t key_places, query_places; /* int32 [2 tokens] where distances count; a bias has the first alone */
    size_t neighbours, convolved;    /* int32 [tokens, kernel], [tokens, hidden] where there is a convolution */
    size_t bytes;                    /* of all; 0 on overflow */
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
    const size_t ones = net->base.reads == CEI_READS_ALL ? 0 : sequences;
    const size_t lasts = net->base.reads == CEI_READS_LAST ? sequences : 0;
    const size_t mixed = cei_max_size(hidden, net->queries), qkv = net->queries + 2 * net->keys;
    at.rows = reserve(&at, lasts, 1, &fits);
    at.row_positions = reserve(&at, lasts, 1, &fits);
    at.one = reserve(&at, ones, hidden, &fits);
    at.one_projected = reserve(&at, ones, net->fused ? cei_max_size(mixed, qkv) : mixed, &fits);
    at.hidden = reserve(&at, tokens + (net->conv.kernel > 0), hidden, &fits); /* and a row of zeros */
    at.context = reserve(&at, tokens, mixed, &fits);
    at.input = reserve(&at, net->pre_norm ? tokens : 0, hidden, &fits);
    at.wide = reserve(&at, tokens, net->base.widest, &fits);
    /* Behind the feed-forward's first product nothing reads context or input: they make room for what is gated. */
    at.gated = at.context;
    if (net->gated && !(net->pre_norm && net->intermediate <= 2 * hidden))
        at.gated = reserve(&at, tokens, net->intermediate, &fits);
    for (size_t i = 0; i < 2; i++)
        at.angles[i] = reserve(&at, net->rotary[i].frequencies ? cei_min_size(tokens, net->base.positions) : 0,
                               net->base.head_size, &fits);
    const size_t distances = cei_relative_weights(&net->relative) ? 2 : 0, conv = net->conv.kernel;
    at.key_places = reserve(&at, tokens, net->bias.kind ? 2 : distances, &fits);
    at.query_places = reserve(&at, tokens, distances, &fits);
    at.neighbours = reserve(&at, tokens, conv, &fits);
    at.convolved = reserve(&at, conv ? tokens : 0, hidden, &fits);
    at.projected = reserve(&at, tokens, mixed, &fits);
    if (!fits) at.bytes = 0;
    return at;
}

size_t cei_transformer_workspace(const cei_network *network, size_t tokens, size_t sequences) {
    return lay_out((const cei_transformer *)network, tokens, sequences).bytes;
}

/* ---- forward ------------------------------------------------------------------------------------------------ */

/* Operations on rows that wait to be run together: see take. */
typedef struct row_list {
    cei_row_op ops[CEI_ROW_OPS];
    cei_slice residuals[CEI_ROW_OPS]; /* of norms */
    size_t count;
} row_list;

/* One run over a batch. rows shrinks to one a sequence where the rest reads no other token. */
typedef struct encoder_run {
    const cei_transformer *net;
    const cei_run *run;
    encoder_layout at;
    size_t rows;
    bool one;         /* the last layer leaves the tokens alone that the head reads */
    size_t hidden;    /* where the states are, to which each step adds */
    size_t input;     /* where what the next step reads is */
    size_t projected; /* where a step's result is before it is added */
    row_list list;
    ce_error *error;
} encoder_run;

static cei_slice slice(const encoder_run *run, size_t offset) {
    return (cei_slice){run->run->workspace, run->run->encoder_at + offset};
}

static cei_strided strided(const encoder_run *run, size_t offset, size_t column, size_t stride) {
    return (cei_strided){slice(run, offset + column * sizeof(float)), stride};
}

/* The rows and positions of the tokens that the head reads. */
static ce_status send_rows(const encoder_run *run) {
    enum { SENT = 64 };
    const cei_batch *batch = run->run->batch;
    int32_t rows[SENT], positions[SENT];
    ce_status status = CE_OK;
    for (size_t s = 0; s < batch->sequences && status == CE_OK; s += SENT) {
        const size_t count = cei_min_size(SENT, batch->sequences - s), bytes = count * sizeof *rows;
        for (size_t i = 0; i < count; i++) {
            const size_t row = cei_network_row(&run->net->base, batch, s + i);
            rows[i] = (int32_t)row;
            positions[i] = batch->tokens ? batch->positions[row] : 0;
        }
        const size_t at = s * sizeof *rows;
        status = cei_write(run->run->stream, slice(run, run->at.rows + at), rows, bytes, run->error);
        if (status == CE_OK)
            status = cei_write(run->run->stream, slice(run, run->at.row_positions + at), positions, bytes, run->error);
    }
    return status;
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
    if (status == CE_OK && net->base.reads == CEI_READS_LAST) status = send_rows(run);
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

/* Runs what was taken. */
static ce_status run_taken(encoder_run *run) {
    const size_t count = run->list.count;
    run->list.count = 0;
    return cei_run_rows(run->run->stream, run->list.ops, count, run->error);
}

/* Takes an operation on rows, to be run with those before it and behind it. run_taken comes before all else that runs,
 * and before an operation that writes over rows which others of the list have yet to read. */
static ce_status take(encoder_run *run, const cei_row_op *op) {
    row_list *list = &run->list;
    if (list->count == CEI_ROW_OPS)
        return cei_fail(run->error, CE_ERR_ARGUMENT, "internal: more steps than a list has");
    cei_row_op *taken = &list->ops[list->count];
    *taken = *op;
    if (op->op == CEI_OP_NORM && op->of.norm.residual) {
        cei_slice *residual = &list->residuals[list->count];
        *residual = *op->of.norm.residual;
        taken->of.norm.residual = residual;
        if (op->of.norm.sum) taken->of.norm.sum = residual;
    }
    list->count++;
    return CE_OK;
}

/* What becomes of an operation's result. */
typedef enum lifetime { KEPT, TEMPORARY } lifetime;

/* next is the layer, or attention, that alone reads what comes out, or NULL; attention stays until the list was run. */
static ce_status linear_for(encoder_run *run, size_t x, cei_weight_pair pair, cei_function function, size_t out,
                            lifetime lives, const cei_weight_pair *next, const cei_attention_args *attention) {
    const cei_weight *weights = run->run->weights;
    const cei_linear_args args = {run->rows,
                                  slice(run, x),
                                  &weights[pair.weight],
                                  bias_of(run, pair),
                                  function,
                                  slice(run, out),
                                  next ? &weights[next->weight] : NULL,
                                  attention};
    return take(run, &(cei_row_op){CEI_OP_LINEAR, lives == TEMPORARY, {.linear = args}});
}

static ce_status linear(encoder_run *run, size_t x, cei_weight_pair pair, cei_function function, size_t out,
                        lifetime lives) {
    return linear_for(run, x, pair, function, out, lives, NULL, NULL);
}

/* out = norm(x + residual), and the sum to where the residual was, if it is kept; residual may be NULL. next is the
 * layer that reads out next, or NULL. */
static ce_status norm(encoder_run *run, size_t x, const size_t *residual, bool keeps, cei_weight_pair pair, size_t out,
                      lifetime lives, const cei_weight_pair *next) {
    const cei_transformer_form *form = run->net->base.architecture->form;
    const cei_slice other = residual ? slice(run, *residual) : (cei_slice){0};
    const cei_norm_args args = {.rows = run->rows,
                                .x = slice(run, x),
                                .residual = residual ? &other : NULL,
                                .gain = &run->run->weights[pair.weight],
                                .bias = bias_of(run, pair),
                                .epsilon = run->net->epsilon,
                                .out = slice(run, out),
                                .sum = keeps ? &other : NULL,
                                .rms = form->is_decoder,
                                .adds_one = form->adds_one,
                                .next = next ? &run->run->weights[next->weight] : NULL};
    return take(run, &(cei_row_op){CEI_OP_NORM, lives == TEMPORARY, {.norm = args}});
}

/* The sum of the embeddings, normed and projected into hidden. Narrow or wide, they go where there is room for either.
 */
static ce_status norm_and_project(encoder_run *run) {
    const cei_transformer *net = run->net;
    const size_t sum = run->at.wide, normed = net->projects ? run->at.wide : run->at.hidden;
    ce_status status = norm(run, sum, NULL, false, net->embedding_norm, normed, net->projects ? TEMPORARY : KEPT, NULL);
    return status == CE_OK && net->projects ? linear(run, normed, net->project, CEI_FN_IDENTITY, run->at.hidden, KEPT)
                                            : status;
}

/* The same in DeBERTa's order. */
static ce_status project_and_norm(encoder_run *run) {
    const cei_transformer *net = run->net;
    const size_t sum = run->at.wide, projected = net->projects ? run->at.projected : sum;
    ce_status status = net->projects ? linear(run, sum, net->project, CEI_FN_IDENTITY, projected, TEMPORARY) : CE_OK;
    return status == CE_OK ? norm(run, projected, NULL, false, net->embedding_norm, run->at.hidden, KEPT, NULL)
                           : status;
}

static ce_status embed(encoder_run *run) {
    const cei_transformer *net = run->net;
    const cei_transformer_form *form = net->base.architecture->form;
    const bool is_normed = form->names.embedding_norm != NULL;
    const cei_weight *weights = run->run->weights;
    cei_embed_args args = {.tokens = run->run->batch->tokens,
                           .ids = slice(run, run->at.ids),
                           .positions = slice(run, run->at.positions),
                           .types = slice(run, run->at.types),
                           .word = &weights[net->base.word],
                           .position = net->adds_positions ? &weights[net->position] : NULL,
                           .type = net->base.types ? &weights[net->type] : NULL,
                           .scale = net->word_scale,
                           .out = slice(run, is_normed ? run->at.wide : run->at.hidden)};
    ce_status status = cei_embed(run->run->stream, &args, run->error);
    if (status != CE_OK) return status;
    if (!is_normed) {
        run->input = run->at.input;
        return norm(run, run->at.hidden, NULL, false, net->embedding_norm, run->input, KEPT, &net->layers[0].qkv);
    }
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
    const cei_linear_args dense = {
        tokens,         slice(run, run->at.wide),      derived, &run->run->weights[conv->bias],
        conv->function, slice(run, run->at.convolved), NULL,    NULL};
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

/* Turns heads at x, in rows of so many columns, if positions are rotary: those at positions. */
static ce_status turn(encoder_run *run, const cei_layer_weights *layer, size_t x, size_t columns, size_t heads,
                      size_t positions) {
    if (!run->net->rotary[layer->is_local].frequencies) return CE_OK;
    const cei_rotary_args args = {run->rows,
                                  heads,
                                  run->net->base.head_size / 2,
                                  slice(run, positions),
                                  slice(run, run->at.angles[layer->is_local]),
                                  run->run->batch->longest,
                                  strided(run, x, 0, columns)};
    return take(run, &(cei_row_op){CEI_OP_ROTARY, false, {.rotary = args}});
}

/* Norms heads at a column of x, in rows of so many columns, if heads are normed. */
static ce_status norm_heads(encoder_run *run, cei_weight_pair pair, size_t x, size_t column, size_t columns,
                            size_t heads) {
    const cei_transformer_form *form = run->net->base.architecture->form;
    if (!run->net->norms_heads) return CE_OK;
    const cei_head_norm_args args = {
        run->rows,         heads,         strided(run, x, column, columns), &run->run->weights[pair.weight],
        run->net->epsilon, form->adds_one};
    return take(run, &(cei_row_op){CEI_OP_HEAD_NORM, false, {.head_norm = args}});
}

/* Where the rows of the tokens are that the head reads alone. */
static size_t rows_of(const encoder_run *run) {
    return run->net->base.reads == CEI_READS_LAST ? run->at.rows : run->at.offsets;
}

static ce_status gather_one(const encoder_run *run, size_t x, size_t columns, size_t out) {
    const cei_gather_args args = {run->run->batch->sequences, columns, slice(run, x), slice(run, rows_of(run)),
                                  slice(run, out)};
    return cei_gather(run->run->stream, &args, run->error);
}

/* From here on there are the rows of one token a sequence alone: of the states, and of what the queries are made of, or
 * are. context is free before. */
static ce_status take_one(encoder_run *run) {
    const cei_transformer *net = run->net;
    const size_t hidden = net->base.hidden;
    ce_status status = run_taken(run);
    if (status == CE_OK) status = gather_one(run, run->hidden, hidden, run->at.one);
    if (status == CE_OK && net->fused) {
        status = gather_one(run, run->at.wide, net->queries + 2 * net->keys, run->at.one_projected);
    } else if (status == CE_OK && run->input != run->hidden) {
        status = gather_one(run, run->input, hidden, run->at.context);
        run->input = run->at.context;
    } else {
        run->input = run->at.one;
    }
    run->hidden = run->at.one;
    run->projected = run->at.one_projected;
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

/* What makes context of these queries, and of the keys and values that wide ends with. */
static cei_attention_args attention_of(const encoder_run *run, const cei_layer_weights *layer, bool one,
                                       cei_strided queries, size_t columns) {
    const cei_transformer *net = run->net;
    const cei_batch *batch = run->run->batch;
    const float factor = net->rotary[layer->is_local].factor;
    return (cei_attention_args){.tokens = batch->tokens,
                                .sequences = batch->sequences,
                                .longest = batch->longest,
                                .offsets = slice(run, run->at.offsets),
                                .q = queries,
                                .k = strided(run, run->at.wide, columns - 2 * net->keys, columns),
                                .v = strided(run, run->at.wide, columns - net->keys, columns),
                                .first_only = one && net->base.reads == CEI_READS_FIRST,
                                .last_only = one && net->base.reads == CEI_READS_LAST,
                                .heads = net->heads,
                                .head_size = net->base.head_size,
                                .key_heads = net->key_heads,
                                .window = net->rotary[layer->is_local].window,
                                .causal = net->causal,
                                .scale = factor * factor * net->scale,
                                .cap = net->cap,
                                .out = slice(run, run->at.context),
                                .precision = net->base.precision,
                                .next = &run->run->weights[layer->attention.weight]};
}

/* Runs attention behind what was taken. */
static ce_status mix(encoder_run *run, const cei_layer_weights *layer, const cei_attention_args *args) {
    const ce_status status = run_taken(run);
    return status == CE_OK ? run_attention(run, layer, args) : status;
}

/* Is the product that makes queries, keys and values read by plain attention at once? */
static bool attends_at_once(const cei_transformer *net, const cei_layer_weights *layer) {
    return !net->norms_heads && !net->rotary[layer->is_local].frequencies && !net->bias.kind &&
           !cei_relative_weights(&net->relative);
}

/* context = attention over input. projected is free before. */
static ce_status attend(encoder_run *run, const cei_layer_weights *layer) {
    const cei_transformer *net = run->net;
    const size_t columns = net->queries + 2 * net->keys, wide = run->at.wide;
    const cei_attention_args args = attention_of(run, layer, false, strided(run, wide, 0, columns), columns);
    ce_status status = linear_for(run, run->input, layer->qkv, CEI_FN_IDENTITY, wide, KEPT, NULL,
                                  attends_at_once(net, layer) ? &args : NULL);
    if (status == CE_OK) status = norm_heads(run, layer->query_norm, wide, 0, columns, net->heads);
    if (status == CE_OK) status = norm_heads(run, layer->key_norm, wide, net->queries, columns, net->key_heads);
    if (status == CE_OK) status = turn(run, layer, wide, columns, net->heads + net->key_heads, run->at.positions);
    return status == CE_OK ? mix(run, layer, &args) : status;
}

/* projected = the queries of a last layer that has them apart. */
static ce_status find_queries(encoder_run *run, const cei_layer_weights *layer) {
    const cei_transformer *net = run->net;
    const size_t out = run->projected;
    const bool is_last = run->one && net->base.reads == CEI_READS_LAST;
    ce_status status = linear(run, run->input, layer->query, CEI_FN_IDENTITY, out, KEPT);
    if (status == CE_OK) status = norm_heads(run, layer->query_norm, out, 0, net->queries, net->heads);
    /* A first token's position is 0, where nothing turns. */
    if (status != CE_OK || (run->one && !is_last)) return status;
    return turn(run, layer, out, net->queries, net->heads, is_last ? run->at.row_positions : run->at.positions);
}

/* The same in the last layer of a network that reads one token a sequence; where the run leaves that one alone, there
 * is one row a sequence behind it. */
static ce_status attend_last(encoder_run *run, const cei_layer_weights *layer) {
    const cei_transformer *net = run->net;
    const size_t wide = run->at.wide, own = net->fused ? net->queries : 0, columns = own + 2 * net->keys;
    const size_t heads = net->key_heads + (net->fused ? net->heads : 0);
    cei_strided queries = strided(run, run->one ? run->at.one_projected : wide, 0, columns);
    ce_status status = linear(run, run->input, layer->qkv, CEI_FN_IDENTITY, wide, KEPT);
    if (status == CE_OK) status = norm_heads(run, layer->key_norm, wide, own, columns, net->key_heads);
    if (status == CE_OK) status = turn(run, layer, wide, columns, heads, run->at.positions);
    if (status == CE_OK && run->one) status = take_one(run);
    if (status == CE_OK && !net->fused) {
        queries = strided(run, run->projected, 0, net->queries);
        status = find_queries(run, layer);
    }
    if (status != CE_OK) return status;
    const cei_attention_args args = attention_of(run, layer, run->one, queries, columns);
    return mix(run, layer, &args);
}

/* Adds projected, perhaps normed by `after` before, to the states, and norms them for the next step, which begins with
 * the layer next; NULL: there is none. */
static ce_status add(encoder_run *run, cei_weight_pair after, cei_weight_pair pair, const cei_weight_pair *next) {
    const bool keeps = run->net->pre_norm;
    const size_t projected = run->projected;
    const ce_status status =
        run->net->norms_after ? norm(run, projected, NULL, false, after, projected, TEMPORARY, NULL) : CE_OK;
    run->input = keeps ? run->at.input : run->hidden;
    return status == CE_OK ? norm(run, projected, &run->hidden, keeps, pair, run->input, KEPT, next) : status;
}

/* projected = the feed-forward's result. */
static ce_status feed_forward(encoder_run *run, const cei_layer_weights *layer) {
    const cei_transformer *net = run->net;
    const size_t inner = net->intermediate, wide = run->at.wide, out = net->gated ? run->at.gated : wide;
    ce_status status = net->gated
                           ? linear(run, run->input, layer->up, CEI_FN_IDENTITY, wide, TEMPORARY)
                           : linear_for(run, run->input, layer->up, net->function, wide, TEMPORARY, &layer->down, NULL);
    if (status == CE_OK && net->gated) {
        const cei_strided first = strided(run, wide, 0, 2 * inner), second = strided(run, wide, inner, 2 * inner);
        const cei_gate_args args = {
            run->rows,     inner,          net->gate_is_second ? second : first, net->gate_is_second ? first : second,
            net->function, slice(run, out)};
        status = take(run, &(cei_row_op){CEI_OP_GATE, true, {.gate = args}});
    }
    return status == CE_OK ? linear(run, out, layer->down, CEI_FN_IDENTITY, run->projected, TEMPORARY) : status;
}

static ce_status run_layer(encoder_run *run, const cei_layer_weights *layer) {
    const bool is_last = layer + 1 == run->net->layers + run->net->layer_count;
    ce_status status = run->net->base.reads != CEI_READS_ALL && is_last ? attend_last(run, layer) : attend(run, layer);
    if (status == CE_OK)
        status = linear(run, run->at.context, layer->attention, CEI_FN_IDENTITY, run->projected, TEMPORARY);
    if (status == CE_OK) status = add(run, layer->attention_after, layer->attention_norm, &layer->up);
    if (status == CE_OK) status = feed_forward(run, layer);
    if (status == CE_OK) status = add(run, layer->down_after, layer->output_norm, is_last ? NULL : &layer[1].qkv);
    if (status == CE_OK && layer == run->net->layers && run->net->conv.kernel)
        status = norm(run, run->hidden, &run->at.convolved, false, run->net->conv.norm, run->hidden, KEPT, NULL);
    return status;
}

/* May the last layer leave one token a sequence alone? Its attention takes sequences' ends for last tokens. */
static bool leaves_one(const cei_run *run) {
    const cei_network *network = run->network;
    const cei_batch *batch = run->batch;
    if (network->reads == CEI_READS_ALL || run->states) return false;
    for (size_t s = 0; network->reads == CEI_READS_LAST && s < batch->sequences; s++) {
        const size_t end = (size_t)batch->offsets[s + 1];
        if (end > (size_t)batch->offsets[s] && cei_network_row(network, batch, s) + 1 != end) return false;
    }
    return true;
}

ce_status cei_transformer_encode(const cei_run *whole, cei_states *states, ce_error *error) {
    const cei_transformer *net = (const cei_transformer *)whole->network;
    const cei_batch *batch = whole->batch;
    encoder_run run = {.net = net,
                       .run = whole,
                       .at = lay_out(net, batch->tokens, batch->sequences),
                       .rows = batch->tokens,
                       .one = leaves_one(whole),
                       .error = error};
    run.hidden = run.input = run.at.hidden;
    run.projected = run.at.projected;
    ce_status status = send_batch(&run);
    if (status == CE_OK) status = embed(&run);
    if (status == CE_OK) status = run_taken(&run);
    if (status == CE_OK && net->conv.kernel) status = convolve(&run);
    if (status == CE_OK) status = find_angles(&run);
    for (size_t i = 0; i < net->layer_count && status == CE_OK; i++) status = run_layer(&run, &net->layers[i]);
    if (status == CE_OK) status = run_taken(&run);
    states->at = slice(&run, run.input);
    states->offsets = slice(&run, run.at.offsets);
    states->rows = slice(&run, rows_of(&run));
    states->one_only = run.one;
    return status;
}
