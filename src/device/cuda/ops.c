/* ops.c - the operations of the cuda device: each fills its kernel's struct and launches it.
 *
 * Arguments were checked by device.c. Sizes beyond 32 bits, which no model has, are refused; indices are checked by the
 * kernels, which alone can see them. */
#include "device/cuda/cuda.h"

#include "base/error.h"

#include <limits.h>

static void *pointer(cei_slice slice) { return (void *)(uintptr_t)cei_cuda_at(slice); }

static size_t blocks_of(size_t count, size_t of_block) { return count / of_block + (count % of_block != 0); }

/* A running operation: the device is current. */
typedef struct running {
    cei_cuda_device *device;
    cei_cuda_stream stream;
    ce_error *error;
} running;

/* Weights that an operation reads must have memory and be there; every size must fit into 32 bits. */
static ce_status begin(running *run, cei_stream *stream, const cei_weight *const weights[3], size_t largest,
                       ce_error *error) {
    *run = (running){cei_cuda_of(stream->device), ((cei_cuda_stream_state *)stream)->stream, error};
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

/* What no kernel does, and no model asks whose operations are supported. */
static ce_status fail_without_kernel(const cei_stream *stream, const char *what, ce_error *error) {
    return cei_fail(error, CE_ERR_UNSUPPORTED, "cuda:%d: %s: no kernel does it yet", stream->device->id.index, what);
}

ce_status cei_cuda_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    running run;
    if (args->scale != 0) return fail_without_kernel(stream, "embeddings that are scaled", error);
    if (!args->position) return fail_without_kernel(stream, "embeddings without positions", error);
    const cei_weight *weights[] = {args->word, args->position, args->type};
    ce_status status = begin(&run, stream, weights, args->tokens, error);
    if (status != CE_OK) return status;
    cei_embed_kernel_args kernel = {.ids = pointer(args->ids),
                                    .positions = pointer(args->positions),
                                    .word = cei_cuda_values_of(args->word),
                                    .position = cei_cuda_values_of(args->position),
                                    .out = pointer(args->out)};
    if (args->type) {
        kernel.has_type = 1;
        kernel.types = pointer(args->types);
        kernel.type = cei_cuda_values_of(args->type);
    }
    return run_kernel(&run, CEI_CUDA_cei_k_embed, args->tokens, 1, &kernel);
}

ce_status cei_cuda_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    running run;
    if (args->rms) return fail_without_kernel(stream, cei_op_name(CEI_OP_RMS_NORM), error);
    if (!args->bias || args->sum)
        return fail_without_kernel(stream, "a norm without bias, or that keeps its sum", error);
    const cei_weight *weights[] = {args->gain, args->bias, NULL};
    ce_status status = begin(&run, stream, weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_norm_kernel_args kernel = {.x = pointer(args->x),
                                   .residual = args->residual ? pointer(*args->residual) : NULL,
                                   .gain = pointer(args->gain->at),
                                   .bias = pointer(args->bias->at),
                                   .out = pointer(args->out),
                                   .rows = (unsigned)args->rows,
                                   .columns = (unsigned)args->gain->columns,
                                   .epsilon = args->epsilon};
    return run_kernel(&run, CEI_CUDA_cei_k_norm, blocks_of(args->rows, CEI_ROWS_OF_BLOCK), 1, &kernel);
}

static ce_status launch_linear(const running *run, cei_cuda_kernel kernel, const cei_linear_args *args,
                               void *arguments) {
    return run_kernel(run, kernel, blocks_of(args->rows, CEI_LINEAR_ROWS),
                      blocks_of(args->weight->rows, CEI_LINEAR_COLUMNS), arguments);
}

/* Rounds the rows, then multiplies integers. */
static ce_status run_int8(const running *run, const cei_cuda_stream_state *stream, const cei_linear_args *args,
                          const cei_linear_kernel_args *linear) {
    const cei_cuda_rounded at = cei_cuda_rounded_of(stream);
    cei_round_kernel_args round = {.x = linear->x,
                                   .rows = linear->rows,
                                   .columns = linear->weight.columns,
                                   .stride = linear->weight.stride,
                                   .rounded = (void *)(uintptr_t)at.rows,
                                   .scales = (void *)(uintptr_t)at.scales,
                                   .zeros = (void *)(uintptr_t)at.zeros};
    cei_linear_int8_kernel_args kernel = {*linear, round.rounded, round.scales, round.zeros};
    ce_status status = cei_cuda_launch(run->device, CEI_CUDA_cei_k_round, run->stream,
                                       blocks_of(args->rows, CEI_ROWS_OF_BLOCK), 1, &round, run->error);
    if (status == CE_OK) return launch_linear(run, CEI_CUDA_cei_k_linear_int8, args, &kernel);
    cei_cuda_leave(run->device);
    return status;
}

ce_status cei_cuda_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    running run;
    const cei_weight *weights[] = {args->weight, args->bias, NULL};
    ce_status status = begin(&run, stream, weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_linear_kernel_args kernel = {.x = pointer(args->x),
                                     .bias = args->bias ? pointer(args->bias->at) : NULL,
                                     .weight = cei_cuda_values_of(args->weight),
                                     .out = pointer(args->out),
                                     .rows = (unsigned)args->rows,
                                     .function = (unsigned)args->function};
    const cei_format format = args->weight->format;
    const bool has_tensor_cores = run.device->kernels[CEI_CUDA_cei_k_linear_bfloat16] != NULL;
    if (format == CEI_FORMAT_INT8 && args->rows <= stream->limits.tokens)
        return run_int8(&run, (const cei_cuda_stream_state *)stream, args, &kernel);
    return launch_linear(&run,
                         format == CEI_FORMAT_BFLOAT16 && has_tensor_cores ? CEI_CUDA_cei_k_linear_bfloat16
                                                                           : CEI_CUDA_cei_k_linear,
                         args, &kernel);
}

ce_status cei_cuda_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    running run;
    if (cei_attention_op(args) != CEI_OP_ATTENTION)
        return fail_without_kernel(stream, cei_op_name(CEI_OP_ATTENTION_CAUSAL), error);
    if (args->window) return fail_without_kernel(stream, "attention with a window", error);
    const size_t tiles = args->first_only ? 1 : blocks_of(args->longest, CEI_ATTENTION_QUERIES);
    ce_status status = begin(&run, stream, no_weights, args->tokens, error);
    if (status != CE_OK) return status;
    cei_attention_kernel_args kernel = {.offsets = pointer(args->offsets),
                                        .q = pointer(args->q.at),
                                        .k = pointer(args->k.at),
                                        .v = pointer(args->v.at),
                                        .q_stride = (unsigned)args->q.stride,
                                        .k_stride = (unsigned)args->k.stride,
                                        .v_stride = (unsigned)args->v.stride,
                                        .out = pointer(args->out),
                                        .tokens = (unsigned)args->tokens,
                                        .tiles = (unsigned)tiles,
                                        .first_only = args->first_only,
                                        .head_size = (unsigned)args->head_size,
                                        .heads = (unsigned)args->heads,
                                        .scale = args->scale};
    return run_kernel(&run, CEI_CUDA_cei_k_attention, args->sequences * tiles, args->heads, &kernel);
}

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
