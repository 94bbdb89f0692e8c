/* ops.c - the operations of the cuda device but linear layers: each fills its kernel's struct and launches it.
 *
 * Arguments were checked by device.c. Sizes beyond 32 bits, which no model has, are refused; indices are checked by the
 * kernels, which alone can see them. */
#include "device/cuda/launch.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

static const cei_weight *const no_weights[3];

ce_status cei_cuda_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    cei_cuda_running run;
    const cei_weight *weights[] = {args->word, args->position, args->type};
    ce_status status = cei_cuda_begin(&run, stream, weights, args->tokens, error);
    if (status != CE_OK) return status;
    cei_embed_kernel_args kernel = {.ids = cei_cuda_pointer(args->ids),
                                    .word = cei_cuda_values_of(args->word),
                                    .scale = args->scale,
                                    .out = cei_cuda_pointer(args->out)};
    if (args->position) {
        kernel.has_position = 1;
        kernel.positions = cei_cuda_pointer(args->positions);
        kernel.position = cei_cuda_values_of(args->position);
    }
    if (args->type) {
        kernel.has_type = 1;
        kernel.types = cei_cuda_pointer(args->types);
        kernel.type = cei_cuda_values_of(args->type);
    }
    kernel.in_fours = kernel.word.columns % 4 == 0 && cei_cuda_is_aligned(kernel.out) &&
                      cei_cuda_is_aligned(kernel.word.values) && cei_cuda_is_aligned(kernel.position.values) &&
                      cei_cuda_is_aligned(kernel.type.values);
    return cei_cuda_run(&run, CEI_CUDA_cei_k_embed, args->tokens, 1, &kernel);
}

/* Warps that share a row: by its width alone, since memory is aligned wherever a model has a width that suits. */
static unsigned warps_of_norm(const cei_norm_kernel_args *norm) {
    const bool suits = norm->columns % CEI_NORM_STEP == 0 && norm->columns <= CEI_NORM_COLUMNS && norm->stride % 4 == 0;
    if (!suits || !cei_cuda_is_aligned(norm->x) || !cei_cuda_is_aligned(norm->residual) ||
        !cei_cuda_is_aligned(norm->gain) || !cei_cuda_is_aligned(norm->bias) || !cei_cuda_is_aligned(norm->out) ||
        !cei_cuda_is_aligned(norm->sum))
        return 0;
    return norm->columns <= CEI_NORM_WIDTH ? 1 : norm->columns <= 2 * CEI_NORM_WIDTH ? 2 : 4;
}

static ce_status run_norm(const cei_cuda_running *run, cei_norm_kernel_args *norm) {
    const size_t of_block = CEI_ROWS_OF_BLOCK / (norm->warps ? norm->warps : 1);
    return cei_cuda_run(run, CEI_CUDA_cei_k_norm, cei_cuda_blocks_of((size_t)norm->rows * norm->heads, of_block), 1,
                        norm);
}

ce_status cei_cuda_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    cei_cuda_running run;
    const cei_weight *weights[] = {args->gain, args->bias, NULL};
    ce_status status = cei_cuda_begin(&run, stream, weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_norm_kernel_args kernel = {.x = cei_cuda_pointer(args->x),
                                   .residual = args->residual ? cei_cuda_pointer(*args->residual) : NULL,
                                   .gain = cei_cuda_pointer(args->gain->at),
                                   .bias = args->bias ? cei_cuda_pointer(args->bias->at) : NULL,
                                   .out = cei_cuda_pointer(args->out),
                                   .sum = args->sum ? cei_cuda_pointer(*args->sum) : NULL,
                                   .rows = (unsigned)args->rows,
                                   .heads = 1,
                                   .stride = (unsigned)args->gain->columns,
                                   .columns = (unsigned)args->gain->columns,
                                   .epsilon = args->epsilon,
                                   .is_rms = args->rms,
                                   .base = args->adds_one ? 1 : 0};
    kernel.warps = warps_of_norm(&kernel);
    const bool in_integers =
        kernel.warps > 0 && cei_cuda_keeps_integers_for(&run, stream, args->next, args->rows, args->gain->columns);
    if (in_integers || cei_cuda_keeps_for(&run, stream, args->next, args->rows, args->gain->columns)) {
        const cei_cuda_held held = {args->out, args->rows, args->gain->columns, args->next->format, 0};
        kernel.rounded = cei_cuda_keep(stream, held, &kernel.rounded_tiles);
        kernel.in_halves = held.format == CEI_FORMAT_FLOAT16;
    }
    if (in_integers) {
        const cei_cuda_rounded rounded = cei_cuda_rounded_of((cei_cuda_stream_state *)stream, 0);
        kernel.scales = (void *)(uintptr_t)rounded.scales;
        kernel.zeros = (void *)(uintptr_t)rounded.zeros;
    }
    return run_norm(&run, &kernel);
}

ce_status cei_cuda_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error) {
    cei_cuda_running run;
    const cei_weight *weights[] = {args->gain, NULL, NULL};
    const size_t heads = args->rows * args->heads; /* of all rows: no more than x has columns */
    ce_status status = cei_cuda_begin(&run, stream, weights, heads, error);
    if (status != CE_OK) return status;
    cei_norm_kernel_args kernel = {.x = cei_cuda_pointer(args->x.at),
                                   .gain = cei_cuda_pointer(args->gain->at),
                                   .out = cei_cuda_pointer(args->x.at),
                                   .rows = (unsigned)args->rows,
                                   .heads = (unsigned)args->heads,
                                   .stride = (unsigned)args->x.stride,
                                   .columns = (unsigned)args->gain->columns,
                                   .epsilon = args->epsilon,
                                   .is_rms = 1,
                                   .base = args->adds_one ? 1 : 0};
    kernel.warps = warps_of_norm(&kernel);
    return run_norm(&run, &kernel);
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

/* Tiles of so many queries a sequence. */
static size_t tiles_of(const cei_attention_args *args, size_t queries) {
    return cei_attention_asks_one(args) ? 1 : cei_cuda_blocks_of(args->longest, queries);
}

static cei_attention_kernel_args attention_args(const cei_attention_args *args, size_t tiles) {
    const size_t window = args->window < INT_MAX ? args->window : INT_MAX; /* wider than any sequence */
    const size_t key_heads = cei_max_size(cei_attention_key_heads(args), 1);
    return (cei_attention_kernel_args){.offsets = cei_cuda_pointer(args->offsets),
                                       .q = cei_cuda_pointer(args->q.at),
                                       .k = cei_cuda_pointer(args->k.at),
                                       .v = cei_cuda_pointer(args->v.at),
                                       .q_stride = (unsigned)args->q.stride,
                                       .k_stride = (unsigned)args->k.stride,
                                       .v_stride = (unsigned)args->v.stride,
                                       .out = cei_cuda_pointer(args->out),
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
    cei_cuda_running run;
    const cei_cuda_held held = ((cei_cuda_stream_state *)stream)->held;
    ce_status status = cei_cuda_begin(&run, stream, no_weights, args->tokens, error);
    if (status != CE_OK) return status;
    const bool on_tensor_cores = cei_cuda_has_tensor_cores(&run) && cei_cuda_suits_tensor_cores(args);
    const size_t tiles = tiles_of(args, on_tensor_cores ? CEI_TENSOR_QUERIES : CEI_ATTENTION_QUERIES);
    const size_t rows = cei_attention_asks_one(args) ? args->sequences : args->tokens;
    const size_t columns = args->heads * args->head_size;
    cei_attention_kernel_args kernel = attention_args(args, tiles);
    if (on_tensor_cores && columns % (CEI_TILE_WIDTH / sizeof(uint16_t)) == 0 &&
        cei_cuda_keeps_for(&run, stream, args->next, rows, columns)) {
        const cei_cuda_held results = {args->out, rows, columns, args->next->format, 0};
        kernel.next = cei_cuda_keep(stream, results, &kernel.next_tiles);
        kernel.in_halves = results.format == CEI_FORMAT_FLOAT16;
    }
    const cei_cuda_kernel which = !on_tensor_cores                             ? CEI_CUDA_cei_k_attention
                                  : cei_cuda_find_halves(args, &held, &kernel) ? CEI_CUDA_cei_k_attention_halves
                                                                               : CEI_CUDA_cei_k_attention_tensor;
    return cei_cuda_run(&run, which, args->sequences * tiles, args->heads, &kernel);
}

static cei_distances_kernel_args distances_args(const cei_distances *distances) {
    if (!distances->weight) return (cei_distances_kernel_args){0};
    return (cei_distances_kernel_args){cei_cuda_pointer(distances->weight->at), cei_cuda_pointer(distances->places),
                                       (unsigned)distances->rows_per_head};
}

ce_status cei_cuda_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error) {
    cei_cuda_running run;
    const cei_attention_args *plain = &args->attention;
    const cei_weight *weights[] = {args->keys.weight, args->queries.weight, args->bias.weight};
    ce_status status = cei_cuda_begin(&run, stream, weights, plain->tokens, error);
    if (status != CE_OK) return status;
    const size_t tiles = tiles_of(plain, CEI_ATTENTION_QUERIES);
    cei_attention_relative_kernel_args kernel = {attention_args(plain, tiles), distances_args(&args->keys),
                                                 distances_args(&args->queries), distances_args(&args->bias),
                                                 (unsigned)plain->longest};
    /* Without a token there is no distance either. */
    const size_t blocks = plain->longest ? plain->sequences * tiles : 0;
    return cei_cuda_run(&run, CEI_CUDA_cei_k_attention_relative, blocks, plain->heads, &kernel);
}

/* ---- rotary positions, gates ----------------------------------------------------------------------------------- */

/* The frequencies go with the launch: so they are read before the call returns, and need no memory on the device. */
ce_status cei_cuda_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error) {
    cei_cuda_running run;
    cei_angles_kernel_args kernel = {.out = cei_cuda_pointer(args->out), .half = (unsigned)args->half};
    if (args->half > CEI_MOST_FREQUENCIES) /* not where the stream's limit of heads holds */
        return cei_fail(error, CE_ERR_UNSUPPORTED, "cuda:%d: %zu rotary frequencies; the most is %d",
                        stream->device->id.index, args->half, CEI_MOST_FREQUENCIES);
    ce_status status = cei_cuda_begin(&run, stream, no_weights, args->count, error);
    if (status != CE_OK) return status;
    memcpy(kernel.frequencies, args->frequencies, args->half * sizeof *kernel.frequencies);
    return cei_cuda_run(&run, CEI_CUDA_cei_k_angles, args->count, 1, &kernel);
}

ce_status cei_cuda_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    cei_cuda_running run;
    ce_status status = cei_cuda_begin(&run, stream, no_weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_rotary_kernel_args kernel = {.positions = cei_cuda_pointer(args->positions),
                                     .angles = cei_cuda_pointer(args->angles),
                                     .x = cei_cuda_pointer(args->x.at),
                                     .heads = (unsigned)args->heads,
                                     .half = (unsigned)args->half,
                                     .count = (unsigned)args->count,
                                     .stride = (unsigned)args->x.stride};
    return cei_cuda_run(&run, CEI_CUDA_cei_k_rotary, args->rows, 1, &kernel);
}

ce_status cei_cuda_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    cei_cuda_running run;
    ce_status status = cei_cuda_begin(&run, stream, no_weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_gate_kernel_args kernel = {.a = cei_cuda_pointer(args->a.at),
                                   .b = cei_cuda_pointer(args->b.at),
                                   .out = cei_cuda_pointer(args->out),
                                   .a_stride = (unsigned)args->a.stride,
                                   .b_stride = (unsigned)args->b.stride,
                                   .columns = (unsigned)args->columns,
                                   .function = (unsigned)args->function};
    kernel.in_fours = args->columns % 4 == 0 && cei_cuda_has_whole_rows(args->a) && cei_cuda_has_whole_rows(args->b) &&
                      cei_cuda_is_aligned(kernel.out);
    return cei_cuda_run(&run, CEI_CUDA_cei_k_gate, args->rows, 1, &kernel);
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

ce_status cei_cuda_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error) {
    cei_cuda_running run;
    const size_t row_bytes = args->columns * sizeof(float);
    const size_t x_rows = row_bytes ? (args->x.buffer->bytes - args->x.offset) / row_bytes : 0;
    ce_status status = cei_cuda_begin(&run, stream, no_weights, args->count, error);
    if (status != CE_OK) return status;
    cei_gather_kernel_args kernel = {.x = cei_cuda_pointer(args->x),
                                     .rows = cei_cuda_pointer(args->rows),
                                     .out = cei_cuda_pointer(args->out),
                                     .columns = (unsigned)args->columns,
                                     .x_rows = (unsigned)(x_rows < INT_MAX ? x_rows : INT_MAX)};
    kernel.in_fours = args->columns % 4 == 0 && cei_cuda_is_aligned(kernel.x) && cei_cuda_is_aligned(kernel.out);
    return cei_cuda_run(&run, CEI_CUDA_cei_k_gather, args->count, 1, &kernel);
}

ce_status cei_cuda_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error) {
    cei_cuda_running run;
    ce_status status = cei_cuda_begin(&run, stream, no_weights, args->tokens, error);
    if (status != CE_OK) return status;
    cei_pool_kernel_args kernel = {.x = cei_cuda_pointer(args->x),
                                   .offsets = cei_cuda_pointer(args->offsets),
                                   .out = cei_cuda_pointer(args->out.at),
                                   .tokens = (unsigned)args->tokens,
                                   .columns = (unsigned)args->columns,
                                   .stride = (unsigned)args->out.stride,
                                   .pooling = (unsigned)args->pooling,
                                   .skipped = (unsigned)(args->skipped < INT_MAX ? args->skipped : INT_MAX)};
    return cei_cuda_run(&run, CEI_CUDA_cei_k_pool, args->sequences,
                        cei_cuda_blocks_of(args->columns, CEI_PLAIN_THREADS), &kernel);
}

ce_status cei_cuda_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error) {
    cei_cuda_running run;
    ce_status status = cei_cuda_begin(&run, stream, no_weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_normalize_kernel_args kernel = {.x = cei_cuda_pointer(args->x),
                                        .out = cei_cuda_pointer(args->out),
                                        .rows = (unsigned)args->rows,
                                        .columns = (unsigned)args->columns};
    return cei_cuda_run(&run, CEI_CUDA_cei_k_normalize, cei_cuda_blocks_of(args->rows, CEI_ROWS_OF_BLOCK), 1, &kernel);
}
