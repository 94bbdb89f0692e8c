/* ops.c - the operations of the cuda device: each fills its kernel's struct and launches it.
 *
 * Arguments were checked by device.c. Sizes beyond 32 bits, which no model has, are refused; indices are checked by the
 * kernels, which alone can see them. */
#include "device/cuda/cuda.h"

#include "base/error.h"
#include "base/memory.h"

#include <limits.h>
#include <string.h>

static void *pointer(cei_slice slice) { return (void *)(uintptr_t)cei_cuda_at(slice); }

/* Can four floats be read at once here? */
static bool is_aligned(const void *pointer) { return (uintptr_t)pointer % sizeof(cei_four_floats) == 0; }

/* Rows of whole fours, as every model has them. */
static bool has_whole_rows(cei_strided matrix) {
    return matrix.stride % 4 == 0 && matrix.stride <= INT_MAX / sizeof(float) && is_aligned(pointer(matrix.at));
}

static size_t blocks_of(size_t count, size_t of_block) { return count / of_block + (count % of_block != 0); }

/* A running operation: the device is current. */
typedef struct running {
    cei_cuda_device *device;
    cei_cuda_stream stream;
    ce_error *error;
} running;

/* Weights that an operation reads must have memory and be there; every size must fit into 32 bits. What the stream
 * holds of earlier results is forgotten. */
static ce_status begin(running *run, cei_stream *stream, const cei_weight *const weights[3], size_t largest,
                       ce_error *error) {
    *run = (running){cei_cuda_of(stream->device), ((cei_cuda_stream_state *)stream)->stream, error};
    ((cei_cuda_stream_state *)stream)->held.of.buffer = NULL;
    ce_status status = CE_OK;
    for (size_t i = 0; i < 3 && status == CE_OK; i++) status = cei_cuda_check_placed(weights[i], error);
    if (status == CE_OK && largest > INT_MAX)
        status = cei_fail(error, CE_ERR_UNSUPPORTED, "cuda:%d: a matrix of %zu rows or columns is too large",
                          stream->device->id.index, largest);
    if (status == CE_OK) status = cei_cuda_enter(run->device, error);
    if (status != CE_OK) return status;
    status = cei_cuda_settle(run->device, error);
    if (status != CE_OK) cei_cuda_leave(run->device);
    return status;
}

static const cei_weight *const no_weights[3];

/* Launches, and leaves. */
static ce_status run_kernel(const running *run, cei_cuda_kernel kernel, size_t blocks_x, size_t blocks_y,
                            void *arguments) {
    const ce_status status =
        cei_cuda_launch(run->device, kernel, run->stream, blocks_x, blocks_y, arguments, run->error);
    cei_cuda_leave(run->device);
    return status;
}

ce_status cei_cuda_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    running run;
    const cei_weight *weights[] = {args->word, args->position, args->type};
    ce_status status = begin(&run, stream, weights, args->tokens, error);
    if (status != CE_OK) return status;
    cei_embed_kernel_args kernel = {.ids = pointer(args->ids),
                                    .word = cei_cuda_values_of(args->word),
                                    .scale = args->scale,
                                    .out = pointer(args->out)};
    if (args->position) {
        kernel.has_position = 1;
        kernel.positions = pointer(args->positions);
        kernel.position = cei_cuda_values_of(args->position);
    }
    if (args->type) {
        kernel.has_type = 1;
        kernel.types = pointer(args->types);
        kernel.type = cei_cuda_values_of(args->type);
    }
    kernel.in_fours = kernel.word.columns % 4 == 0 && is_aligned(kernel.out) && is_aligned(kernel.word.values) &&
                      is_aligned(kernel.position.values) && is_aligned(kernel.type.values);
    return run_kernel(&run, CEI_CUDA_cei_k_embed, args->tokens, 1, &kernel);
}

static bool is_16(cei_format format) { return format == CEI_FORMAT_BFLOAT16 || format == CEI_FORMAT_FLOAT16; }

/* May results be kept for the layer that reads them, rounded? */
static bool keeps_for(const running *run, const cei_stream *stream, const cei_weight *next, size_t rows,
                      size_t columns) {
    return next && is_16(next->format) && cei_cuda_tiles_of(run->device, next) && next->columns == columns &&
           rows <= stream->limits.tokens;
}

/* Where they are kept; and of how many tiles across. */
static void *keep(cei_stream *base, cei_cuda_held held, unsigned *tiles) {
    cei_cuda_stream_state *stream = (cei_cuda_stream_state *)base;
    stream->held = held;
    *tiles = (unsigned)blocks_of(held.columns * sizeof(uint16_t), CEI_TILE_WIDTH);
    return (void *)(uintptr_t)cei_cuda_rounded_of(stream, held.area).rows;
}

/* Warps that share a row: by its width alone, since memory is aligned wherever a model has a width that suits. */
static unsigned warps_of_norm(const cei_norm_kernel_args *norm) {
    const bool suits = norm->columns % CEI_NORM_STEP == 0 && norm->columns <= CEI_NORM_COLUMNS && norm->stride % 4 == 0;
    if (!suits || !is_aligned(norm->x) || !is_aligned(norm->residual) || !is_aligned(norm->gain) ||
        !is_aligned(norm->bias) || !is_aligned(norm->out) || !is_aligned(norm->sum))
        return 0;
    return norm->columns <= CEI_NORM_WIDTH ? 1 : norm->columns <= 2 * CEI_NORM_WIDTH ? 2 : 4;
}

static ce_status run_norm(const running *run, cei_norm_kernel_args *norm) {
    norm->warps = warps_of_norm(norm);
    const size_t of_block = CEI_ROWS_OF_BLOCK / (norm->warps ? norm->warps : 1);
    return run_kernel(run, CEI_CUDA_cei_k_norm, blocks_of((size_t)norm->rows * norm->heads, of_block), 1, norm);
}

ce_status cei_cuda_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    running run;
    const cei_weight *weights[] = {args->gain, args->bias, NULL};
    ce_status status = begin(&run, stream, weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_norm_kernel_args kernel = {.x = pointer(args->x),
                                   .residual = args->residual ? pointer(*args->residual) : NULL,
                                   .gain = pointer(args->gain->at),
                                   .bias = args->bias ? pointer(args->bias->at) : NULL,
                                   .out = pointer(args->out),
                                   .sum = args->sum ? pointer(*args->sum) : NULL,
                                   .rows = (unsigned)args->rows,
                                   .heads = 1,
                                   .stride = (unsigned)args->gain->columns,
                                   .columns = (unsigned)args->gain->columns,
                                   .epsilon = args->epsilon,
                                   .is_rms = args->rms,
                                   .base = args->adds_one ? 1 : 0};
    if (keeps_for(&run, stream, args->next, args->rows, args->gain->columns)) {
        const cei_cuda_held held = {args->out, args->rows, args->gain->columns, args->next->format, 0};
        kernel.rounded = keep(stream, held, &kernel.rounded_tiles);
        kernel.in_halves = held.format == CEI_FORMAT_FLOAT16;
    }
    return run_norm(&run, &kernel);
}

ce_status cei_cuda_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error) {
    running run;
    const cei_weight *weights[] = {args->gain, NULL, NULL};
    const size_t heads = args->rows * args->heads; /* of all rows: no more than x has columns */
    ce_status status = begin(&run, stream, weights, heads, error);
    if (status != CE_OK) return status;
    cei_norm_kernel_args kernel = {.x = pointer(args->x.at),
                                   .gain = pointer(args->gain->at),
                                   .out = pointer(args->x.at),
                                   .rows = (unsigned)args->rows,
                                   .heads = (unsigned)args->heads,
                                   .stride = (unsigned)args->x.stride,
                                   .columns = (unsigned)args->gain->columns,
                                   .epsilon = args->epsilon,
                                   .is_rms = 1,
                                   .base = args->adds_one ? 1 : 0};
    return run_norm(&run, &kernel);
}

/* ---- linear layers ------------------------------------------------------------------------------------------- */

/* A launch of blocks that make side by side results each. */
static ce_status run_tiles(const running *run, cei_cuda_kernel kernel, const cei_linear_args *args, size_t side,
                           void *arguments) {
    return run_kernel(run, kernel, blocks_of(args->rows, side), blocks_of(args->weight->rows, side), arguments);
}

/* Large tiles read less, small ones keep more of the chip at work where there are few: the bits are the same. */
static bool has_large_tiles(const running *run, const cei_linear_args *args) {
    const size_t down = blocks_of(args->rows, CEI_LARGE_TILE), across = blocks_of(args->weight->rows, CEI_LARGE_TILE);
    return down * across >= run->device->processors;
}

static ce_status run_sized(const running *run, cei_cuda_kernel large, cei_cuda_kernel small,
                           const cei_linear_args *args, void *arguments) {
    if (has_large_tiles(run, args)) return run_tiles(run, large, args, CEI_LARGE_TILE, arguments);
    return run_tiles(run, small, args, CEI_SMALL_TILE, arguments);
}

/* The images for chips with tensor cores have all their kernels. */
static bool has_tensor_cores(const running *run) {
    return run->device->kernels[CEI_CUDA_cei_k_tensor_bfloat16] != NULL;
}

/* Of 16 bits: 16 bytes. */
enum { COLUMNS_OF_CHUNK = 8 };

/* Has the stream these rows in tiles, whichever area they are in? */
static bool holds(const cei_cuda_stream_state *stream, const cei_cuda_held *rows) {
    const cei_cuda_held *held = &stream->held;
    return held->of.buffer && held->area != CEI_CUDA_IN_PLACE && held->of.buffer == rows->of.buffer &&
           held->of.offset == rows->of.offset && held->rows == rows->rows && held->columns == rows->columns &&
           held->format == rows->format;
}

/* What a layer writes may be what is held. */
static void forget_overwritten(cei_cuda_stream_state *stream, const cei_linear_args *args) {
    cei_cuda_held *held = &stream->held;
    const size_t end = held->of.offset + held->rows * held->columns * sizeof(float);
    const size_t out_end = args->out.offset + args->rows * args->weight->rows * sizeof(float);
    if (args->out.buffer == held->of.buffer && args->out.offset < end && held->of.offset < out_end)
        held->of.buffer = NULL;
}

/* A layer of rows that lie rounded in one of the stream's areas. */
static cei_linear_rounded_kernel_args rounded_in(const cei_cuda_stream_state *stream, unsigned area,
                                                 const cei_linear_kernel_args *linear) {
    const cei_cuda_rounded at = cei_cuda_rounded_of(stream, area);
    const size_t size = linear->weight.format == CEI_VALUES_INT8 ? sizeof(int8_t) : sizeof(uint16_t);
    return (cei_linear_rounded_kernel_args){.linear = *linear,
                                            .rounded = (void *)(uintptr_t)at.rows,
                                            .stride = linear->weight.stride * (unsigned)size,
                                            .scales = (void *)(uintptr_t)at.scales,
                                            .zeros = (void *)(uintptr_t)at.zeros};
}

static ce_status launch_int8_rounding(const running *run, const cei_linear_rounded_kernel_args *to) {
    const cei_linear_kernel_args *linear = &to->linear;
    cei_round_kernel_args round = {.x = linear->x,
                                   .rows = linear->rows,
                                   .columns = linear->weight.columns,
                                   .stride = to->stride,
                                   .rounded = (void *)(uintptr_t)to->rounded,
                                   .scales = (void *)(uintptr_t)to->scales,
                                   .zeros = (void *)(uintptr_t)to->zeros,
                                   .tiles = linear->weight.tiles};
    return cei_cuda_launch(run->device, CEI_CUDA_cei_k_round, run->stream, blocks_of(linear->rows, CEI_ROWS_OF_BLOCK),
                           1, &round, run->error);
}

static ce_status launch_16_rounding(const running *run, const cei_linear_rounded_kernel_args *to) {
    const cei_linear_kernel_args *linear = &to->linear;
    const unsigned chunks = linear->weight.columns / COLUMNS_OF_CHUNK;
    cei_round_16_kernel_args round = {.x = linear->x,
                                      .rounded = (void *)(uintptr_t)to->rounded,
                                      .count = (unsigned long long)linear->rows * chunks,
                                      .chunks = chunks,
                                      .tiles = linear->weight.tiles,
                                      .in_halves = linear->weight.format == CEI_VALUES_FLOAT16};
    return cei_cuda_launch(run->device, CEI_CUDA_cei_k_round_16, run->stream,
                           blocks_of((size_t)round.count, CEI_LINEAR_THREADS), 1, &round, run->error);
}

/* Launches what rounds the activations; leaves the device if that fails. */
static ce_status round_rows(const running *run, const cei_linear_rounded_kernel_args *to) {
    const ce_status status =
        to->linear.weight.format == CEI_VALUES_INT8 ? launch_int8_rounding(run, to) : launch_16_rounding(run, to);
    if (status != CE_OK) cei_cuda_leave(run->device);
    return status;
}

static ce_status run_int8(const running *run, const cei_cuda_stream_state *stream, const cei_linear_args *args,
                          const cei_linear_kernel_args *linear) {
    cei_linear_rounded_kernel_args kernel = rounded_in(stream, 0, linear);
    const ce_status status = round_rows(run, &kernel);
    if (status != CE_OK) return status;
    if (has_tensor_cores(run))
        return run_sized(run, CEI_CUDA_cei_k_tensor_int8, CEI_CUDA_cei_k_tensor_int8_small, args, &kernel);
    return run_tiles(run, CEI_CUDA_cei_k_linear_int8, args, CEI_SMALL_TILE, &kernel);
}

static ce_status run_16(const running *run, const cei_cuda_stream_state *stream, const cei_linear_args *args,
                        const cei_linear_kernel_args *linear) {
    cei_linear_rounded_kernel_args kernel = rounded_in(stream, 0, linear);
    const ce_status status = round_rows(run, &kernel);
    if (status != CE_OK) return status;
    if (args->weight->format == CEI_FORMAT_FLOAT16)
        return run_sized(run, CEI_CUDA_cei_k_tensor_float16, CEI_CUDA_cei_k_tensor_float16_small, args, &kernel);
    return run_sized(run, CEI_CUDA_cei_k_tensor_bfloat16, CEI_CUDA_cei_k_tensor_bfloat16_small, args, &kernel);
}

/* Rows of x in tiles, in one of the stream's areas: those that it holds already, or rounded now. */
static ce_status hold_rows(const running *run, cei_cuda_stream_state *stream, const cei_linear_args *args,
                           const cei_linear_kernel_args *linear) {
    const cei_cuda_held wanted = {args->x, args->rows, args->weight->columns, args->weight->format, 0};
    if (holds(stream, &wanted)) return CE_OK;
    const cei_linear_rounded_kernel_args to = rounded_in(stream, wanted.area, linear);
    const ce_status status = round_rows(run, &to);
    if (status == CE_OK) stream->held = wanted;
    return status;
}

/* May products be taken in less than float32, of a head that is whole steps, without a cap, which only wide heads have?
 * A choice by the model alone. */
static bool suits_tensor_cores(const cei_attention_args *args) {
    const bool is_low = args->precision != CE_PRECISION_DEFAULT && args->precision != CE_PRECISION_FLOAT32;
    return is_low && args->head_size <= CEI_TENSOR_HEAD && args->head_size % CEI_TENSOR_STEP == 0 && args->cap == 0 &&
           args->scale > 0 && has_whole_rows(args->q) && has_whole_rows(args->k) && has_whole_rows(args->v) &&
           is_aligned(pointer(args->out));
}

/* Where a part of a matrix of so many columns begins in it, in elements: whole chunks of 16 bytes, were they halves.
 * False if it is no such part. */
static bool find_part(cei_strided part, size_t part_columns, cei_slice matrix, size_t columns, size_t *first) {
    if (part.at.buffer != matrix.buffer || part.at.offset < matrix.offset || part.stride != columns) return false;
    const size_t bytes = part.at.offset - matrix.offset;
    *first = bytes / sizeof(float);
    return bytes % (COLUMNS_OF_CHUNK * sizeof(float)) == 0 && *first + part_columns <= columns;
}

/* Finds the queries, keys and values of attention on tensor cores in a matrix of halves in its own memory; false if one
 * of them is not there. */
static bool find_halves(const cei_attention_args *args, const cei_cuda_held *held, cei_attention_kernel_args *kernel) {
    const size_t queries = args->heads * args->head_size, keys = cei_attention_key_heads(args) * args->head_size;
    const size_t rows = cei_max_size(args->tokens, cei_attention_asks_one(args) ? args->sequences : 0);
    size_t q, k, v;
    if (!held->of.buffer || held->area != CEI_CUDA_IN_PLACE || held->rows < rows ||
        !find_part(args->q, queries, held->of, held->columns, &q) ||
        !find_part(args->k, keys, held->of, held->columns, &k) ||
        !find_part(args->v, keys, held->of, held->columns, &v))
        return false;
    const unsigned short *halves = pointer(held->of);
    kernel->q = (const void *)(halves + q);
    kernel->k = (const void *)(halves + k);
    kernel->v = (const void *)(halves + v);
    return true;
}

/* Will the attention behind a layer round all of its results to halves? Then it may have them so, to the same bits. */
static bool keeps_halves(const cei_linear_args *args, const cei_cuda_held *held) {
    cei_attention_kernel_args kernel;
    return args->attention && held->columns % COLUMNS_OF_CHUNK == 0 && is_aligned(pointer(held->of)) &&
           suits_tensor_cores(args->attention) && find_halves(args->attention, held, &kernel);
}

/* Large blocks stay on their multiprocessor and do one after the other. */
static ce_status launch_groups(const running *run, const cei_linear_args *args, cei_group_kernel_args *group) {
    static const cei_cuda_kernel kernels[CEI_FORMAT_COUNT][2] = {
        [CEI_FORMAT_BFLOAT16] = {CEI_CUDA_cei_k_group_bfloat16_small, CEI_CUDA_cei_k_group_bfloat16},
        [CEI_FORMAT_FLOAT16] = {CEI_CUDA_cei_k_group_float16_small, CEI_CUDA_cei_k_group_float16},
        [CEI_FORMAT_INT8] = {CEI_CUDA_cei_k_group_int8_small, CEI_CUDA_cei_k_group_int8}};
    const bool is_large = has_large_tiles(run, args);
    const size_t side = is_large ? CEI_LARGE_TILE : CEI_SMALL_TILE,
                 at_once = CEI_LARGE_BLOCKS * run->device->processors;
    const size_t down = blocks_of(args->rows, side), count = down * blocks_of(args->weight->rows, side);
    if (count > INT_MAX) {
        cei_cuda_leave(run->device);
        return cei_fail(run->error, CE_ERR_UNSUPPORTED, "cuda:%d: a product of %zu by %zu is too large",
                        run->device->base.id.index, args->rows, args->weight->rows);
    }
    group->down = (unsigned)down;
    group->count = (unsigned)count;
    group->step = (unsigned)(is_large ? cei_min_size(count, at_once) : count);
    return run_kernel(run, kernels[args->weight->format][is_large], group->step, 1, group);
}

static ce_status run_groups(const running *run, cei_cuda_stream_state *stream, const cei_linear_args *args,
                            const cei_linear_kernel_args *linear) {
    const size_t outs = args->weight->rows;
    const cei_format format = args->weight->format;
    const bool is_quick = args->function == CEI_FN_IDENTITY || args->function == CEI_FN_GELU;
    ce_status status = hold_rows(run, stream, args, linear);
    if (status != CE_OK) return status;
    cei_group_kernel_args kernel = {.of = rounded_in(stream, stream->held.area, linear)};
    const unsigned other = (stream->held.area + 1) % CEI_CUDA_AREAS;
    const cei_cuda_held halves = {args->out, args->rows, outs, CEI_FORMAT_FLOAT16, CEI_CUDA_IN_PLACE};
    if (is_quick && keeps_halves(args, &halves)) {
        stream->held = halves;
        kernel.next = pointer(args->out);
    } else if (is_quick && keeps_for(run, &stream->base, args->next, args->rows, outs) &&
               args->next->format == format) {
        kernel.next =
            keep(&stream->base, (cei_cuda_held){args->out, args->rows, outs, format, other}, &kernel.next_tiles);
    } else {
        forget_overwritten(stream, args);
    }
    return launch_groups(run, args, &kernel);
}

/* May cei_k_linear_few make these results? Its bits are those of the other kernels of float32. */
static bool suits_few(const cei_linear_kernel_args *linear) {
    return linear->rows <= CEI_FEW_ROWS && linear->weight.format == CEI_VALUES_FLOAT32 &&
           linear->weight.columns % 4 == 0 && is_aligned(linear->x) && is_aligned(linear->weight.values);
}

/* Tensor cores take rows of whole chunks of 16 bytes, as every weight of a real model has them. Which kernel a weight
 * meets does not depend on the rows of x, but for more of them than a stream rounds. */
ce_status cei_cuda_linear(cei_stream *base, const cei_linear_args *args, ce_error *error) {
    running run;
    cei_cuda_stream_state *stream = (cei_cuda_stream_state *)base;
    const cei_weight *weights[] = {args->weight, args->bias, NULL};
    const cei_cuda_held held = stream->held;
    ce_status status = begin(&run, base, weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_linear_kernel_args kernel = {.x = pointer(args->x),
                                     .bias = args->bias ? pointer(args->bias->at) : NULL,
                                     .weight = cei_cuda_values_of(args->weight),
                                     .out = pointer(args->out),
                                     .rows = (unsigned)args->rows,
                                     .function = (unsigned)args->function};
    const cei_format format = args->weight->format;
    const bool fits = args->rows <= base->limits.tokens;
    if (kernel.weight.tiles && fits) {
        stream->held = held;
        return run_groups(&run, stream, args, &kernel);
    }
    if (format == CEI_FORMAT_INT8 && fits) return run_int8(&run, stream, args, &kernel);
    if (is_16(format) && fits && has_tensor_cores(&run) && args->weight->columns % COLUMNS_OF_CHUNK == 0)
        return run_16(&run, stream, args, &kernel);
    if (suits_few(&kernel))
        return run_kernel(&run, CEI_CUDA_cei_k_linear_few, blocks_of(args->weight->rows, CEI_FEW_COLUMNS),
                          blocks_of(args->rows, CEI_FEW_ROWS), &kernel);
    return run_sized(&run, CEI_CUDA_cei_k_linear, CEI_CUDA_cei_k_linear_small, args, &kernel);
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

/* Tiles of so many queries a sequence. */
static size_t tiles_of(const cei_attention_args *args, size_t queries) {
    return cei_attention_asks_one(args) ? 1 : blocks_of(args->longest, queries);
}

static cei_attention_kernel_args attention_args(const cei_attention_args *args, size_t tiles) {
    const size_t window = args->window < INT_MAX ? args->window : INT_MAX; /* wider than any sequence */
    const size_t key_heads = cei_max_size(cei_attention_key_heads(args), 1);
    return (cei_attention_kernel_args){.offsets = pointer(args->offsets),
                                       .q = pointer(args->q.at),
                                       .k = pointer(args->k.at),
                                       .v = pointer(args->v.at),
                                       .q_stride = (unsigned)args->q.stride,
                                       .k_stride = (unsigned)args->k.stride,
                                       .v_stride = (unsigned)args->v.stride,
                                       .out = pointer(args->out),
                                       .tokens = (unsigned)args->tokens,
                                       .tiles = (unsigned)tiles,
                                       .asked = args->first_only  ? CEI_ASKED_FIRST
                                                : args->last_only ? CEI_ASKED_LAST
                                                                  : CEI_ASKED_ALL,
                                       .head_size = (unsigned)args->head_size,
                                       .heads = (unsigned)args->heads,
                                       .shared = (unsigned)(args->heads / key_heads),
                                       .is_causal = args->causal,
                                       .cap = args->cap,
                                       .window = (unsigned)window,
                                       .scale = args->scale};
}

ce_status cei_cuda_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    running run;
    const cei_cuda_held held = ((cei_cuda_stream_state *)stream)->held;
    ce_status status = begin(&run, stream, no_weights, args->tokens, error);
    if (status != CE_OK) return status;
    const bool on_tensor_cores = has_tensor_cores(&run) && suits_tensor_cores(args);
    const size_t tiles = tiles_of(args, on_tensor_cores ? CEI_TENSOR_QUERIES : CEI_ATTENTION_QUERIES);
    const size_t rows = cei_attention_asks_one(args) ? args->sequences : args->tokens;
    const size_t columns = args->heads * args->head_size;
    cei_attention_kernel_args kernel = attention_args(args, tiles);
    if (on_tensor_cores && columns % (CEI_TILE_WIDTH / sizeof(uint16_t)) == 0 &&
        keeps_for(&run, stream, args->next, rows, columns)) {
        const cei_cuda_held results = {args->out, rows, columns, args->next->format, 0};
        kernel.next = keep(stream, results, &kernel.next_tiles);
        kernel.in_halves = results.format == CEI_FORMAT_FLOAT16;
    }
    const cei_cuda_kernel which = !on_tensor_cores                    ? CEI_CUDA_cei_k_attention
                                  : find_halves(args, &held, &kernel) ? CEI_CUDA_cei_k_attention_halves
                                                                      : CEI_CUDA_cei_k_attention_tensor;
    return run_kernel(&run, which, args->sequences * tiles, args->heads, &kernel);
}

static cei_distances_kernel_args distances_args(const cei_distances *distances) {
    if (!distances->weight) return (cei_distances_kernel_args){0};
    return (cei_distances_kernel_args){pointer(distances->weight->at), pointer(distances->places),
                                       (unsigned)distances->rows_per_head};
}

ce_status cei_cuda_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error) {
    running run;
    const cei_attention_args *plain = &args->attention;
    const cei_weight *weights[] = {args->keys.weight, args->queries.weight, args->bias.weight};
    ce_status status = begin(&run, stream, weights, plain->tokens, error);
    if (status != CE_OK) return status;
    const size_t tiles = tiles_of(plain, CEI_ATTENTION_QUERIES);
    cei_attention_relative_kernel_args kernel = {attention_args(plain, tiles), distances_args(&args->keys),
                                                 distances_args(&args->queries), distances_args(&args->bias),
                                                 (unsigned)plain->longest};
    /* Without a token there is no distance either. */
    const size_t blocks = plain->longest ? plain->sequences * tiles : 0;
    return run_kernel(&run, CEI_CUDA_cei_k_attention_relative, blocks, plain->heads, &kernel);
}

/* ---- rotary positions, gates ----------------------------------------------------------------------------------- */

/* The frequencies go with the launch: so they are read before the call returns, and need no memory on the device. */
ce_status cei_cuda_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error) {
    running run;
    cei_angles_kernel_args kernel = {.out = pointer(args->out), .half = (unsigned)args->half};
    if (args->half > CEI_MOST_FREQUENCIES) /* not where the stream's limit of heads holds */
        return cei_fail(error, CE_ERR_UNSUPPORTED, "cuda:%d: %zu rotary frequencies; the most is %d",
                        stream->device->id.index, args->half, CEI_MOST_FREQUENCIES);
    ce_status status = begin(&run, stream, no_weights, args->count, error);
    if (status != CE_OK) return status;
    memcpy(kernel.frequencies, args->frequencies, args->half * sizeof *kernel.frequencies);
    return run_kernel(&run, CEI_CUDA_cei_k_angles, args->count, 1, &kernel);
}

ce_status cei_cuda_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, no_weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_rotary_kernel_args kernel = {.positions = pointer(args->positions),
                                     .angles = pointer(args->angles),
                                     .x = pointer(args->x.at),
                                     .heads = (unsigned)args->heads,
                                     .half = (unsigned)args->half,
                                     .count = (unsigned)args->count,
                                     .stride = (unsigned)args->x.stride};
    return run_kernel(&run, CEI_CUDA_cei_k_rotary, args->rows, 1, &kernel);
}

ce_status cei_cuda_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, no_weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_gate_kernel_args kernel = {.a = pointer(args->a.at),
                                   .b = pointer(args->b.at),
                                   .out = pointer(args->out),
                                   .a_stride = (unsigned)args->a.stride,
                                   .b_stride = (unsigned)args->b.stride,
                                   .columns = (unsigned)args->columns,
                                   .function = (unsigned)args->function};
    kernel.in_fours =
        args->columns % 4 == 0 && has_whole_rows(args->a) && has_whole_rows(args->b) && is_aligned(kernel.out);
    return run_kernel(&run, CEI_CUDA_cei_k_gate, args->rows, 1, &kernel);
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

ce_status cei_cuda_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error) {
    running run;
    const size_t row_bytes = args->columns * sizeof(float);
    const size_t x_rows = row_bytes ? (args->x.buffer->bytes - args->x.offset) / row_bytes : 0;
    ce_status status = begin(&run, stream, no_weights, args->count, error);
    if (status != CE_OK) return status;
    cei_gather_kernel_args kernel = {.x = pointer(args->x),
                                     .rows = pointer(args->rows),
                                     .out = pointer(args->out),
                                     .columns = (unsigned)args->columns,
                                     .x_rows = (unsigned)(x_rows < INT_MAX ? x_rows : INT_MAX)};
    kernel.in_fours = args->columns % 4 == 0 && is_aligned(kernel.x) && is_aligned(kernel.out);
    return run_kernel(&run, CEI_CUDA_cei_k_gather, args->count, 1, &kernel);
}

ce_status cei_cuda_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, no_weights, args->tokens, error);
    if (status != CE_OK) return status;
    cei_pool_kernel_args kernel = {.x = pointer(args->x),
                                   .offsets = pointer(args->offsets),
                                   .out = pointer(args->out.at),
                                   .tokens = (unsigned)args->tokens,
                                   .columns = (unsigned)args->columns,
                                   .stride = (unsigned)args->out.stride,
                                   .pooling = (unsigned)args->pooling,
                                   .skipped = (unsigned)(args->skipped < INT_MAX ? args->skipped : INT_MAX)};
    return run_kernel(&run, CEI_CUDA_cei_k_pool, args->sequences, blocks_of(args->columns, CEI_PLAIN_THREADS), &kernel);
}

ce_status cei_cuda_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error) {
    running run;
    ce_status status = begin(&run, stream, no_weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_normalize_kernel_args kernel = {.x = pointer(args->x),
                                        .out = pointer(args->out),
                                        .rows = (unsigned)args->rows,
                                        .columns = (unsigned)args->columns};
    return run_kernel(&run, CEI_CUDA_cei_k_normalize, blocks_of(args->rows, CEI_ROWS_OF_BLOCK), 1, &kernel);
}
