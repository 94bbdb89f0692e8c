/* launch.c - how operations begin and launch, and what a stream keeps of their results: see launch.h. */
#include "device/cuda/launch.h"

#include "base/error.h"
#include "base/memory.h"

ce_status cei_cuda_begin(cei_cuda_running *run, cei_stream *stream, const cei_weight *const weights[3], size_t largest,
                         ce_error *error) {
    *run = (cei_cuda_running){cei_cuda_of(stream->device), ((cei_cuda_stream_state *)stream)->stream, error};
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

ce_status cei_cuda_run(const cei_cuda_running *run, cei_cuda_kernel kernel, size_t blocks_x, size_t blocks_y,
                       void *arguments) {
    const ce_status status =
        cei_cuda_launch(run->device, kernel, run->stream, blocks_x, blocks_y, arguments, run->error);
    cei_cuda_leave(run->device);
    return status;
}

bool cei_cuda_has_tensor_cores(const cei_cuda_running *run) {
    return run->device->kernels[CEI_CUDA_cei_k_tensor_bfloat16] != NULL;
}

/* ---- what is kept ---------------------------------------------------------------------------------------------- */

bool cei_cuda_keeps_for(const cei_cuda_running *run, const cei_stream *stream, const cei_weight *next, size_t rows,
                        size_t columns) {
    return next && cei_cuda_is_16(next->format) && cei_cuda_tiles_of(run->device, next) && next->columns == columns &&
           rows <= stream->limits.tokens;
}

bool cei_cuda_keeps_integers_for(const cei_cuda_running *run, const cei_stream *stream, const cei_weight *next,
                                 size_t rows, size_t columns) {
    return next && next->format == CEI_FORMAT_INT8 && cei_cuda_tiles_of(run->device, next) &&
           next->columns == columns && rows <= stream->limits.tokens;
}

void *cei_cuda_keep(cei_stream *base, cei_cuda_held held, unsigned *tiles) {
    cei_cuda_stream_state *stream = (cei_cuda_stream_state *)base;
    stream->held = held;
    const size_t size = held.format == CEI_FORMAT_INT8 ? sizeof(int8_t) : sizeof(uint16_t);
    *tiles = (unsigned)cei_cuda_blocks_of(held.columns * size, CEI_TILE_WIDTH);
    return (void *)(uintptr_t)cei_cuda_rounded_of(stream, held.area).rows;
}

bool cei_cuda_holds(const cei_cuda_stream_state *stream, const cei_cuda_held *rows) {
    const cei_cuda_held *held = &stream->held;
    return held->of.buffer && held->area != CEI_CUDA_IN_PLACE && held->of.buffer == rows->of.buffer &&
           held->of.offset == rows->of.offset && held->rows == rows->rows && held->columns == rows->columns &&
           held->format == rows->format;
}

void cei_cuda_forget_overwritten(cei_cuda_stream_state *stream, const cei_linear_args *args) {
    cei_cuda_held *held = &stream->held;
    const size_t end = held->of.offset + held->rows * held->columns * sizeof(float);
    const size_t out_end = args->out.offset + args->rows * args->weight->rows * sizeof(float);
    if (args->out.buffer == held->of.buffer && args->out.offset < end && held->of.offset < out_end)
        held->of.buffer = NULL;
}

bool cei_cuda_suits_tensor_cores(const cei_attention_args *args) {
    const bool is_low = args->precision != CE_PRECISION_DEFAULT && args->precision != CE_PRECISION_FLOAT32;
    return is_low && args->head_size <= CEI_TENSOR_HEAD && args->head_size % CEI_TENSOR_STEP == 0 && args->cap == 0 &&
           args->scale > 0 && cei_cuda_has_whole_rows(args->q) && cei_cuda_has_whole_rows(args->k) &&
           cei_cuda_has_whole_rows(args->v) && cei_cuda_is_aligned(cei_cuda_pointer(args->out));
}

/* Where a part of a matrix of so many columns begins in it, in elements: whole chunks of 16 bytes, were they halves.
 * False if it is no such part. */
static bool find_part(cei_strided part, size_t part_columns, cei_slice matrix, size_t columns, size_t *first) {
    if (part.at.buffer != matrix.buffer || part.at.offset < matrix.offset || part.stride != columns) return false;
    const size_t bytes = part.at.offset - matrix.offset;
    *first = bytes / sizeof(float);
    return bytes % (CEI_CHUNK_NUMBERS * sizeof(float)) == 0 && *first + part_columns <= columns;
}

bool cei_cuda_find_halves(const cei_attention_args *args, const cei_cuda_held *held,
                          cei_attention_kernel_args *kernel) {
    const size_t queries = args->heads * args->head_size, keys = cei_attention_key_heads(args) * args->head_size;
    const size_t rows = cei_max_size(args->tokens, cei_attention_asks_one(args) ? args->sequences : 0);
    size_t q, k, v;
    if (!held->of.buffer || held->area != CEI_CUDA_IN_PLACE || held->rows < rows ||
        !find_part(args->q, queries, held->of, held->columns, &q) ||
        !find_part(args->k, keys, held->of, held->columns, &k) ||
        !find_part(args->v, keys, held->of, held->columns, &v))
        return false;
    const unsigned short *halves = cei_cuda_pointer(held->of);
    kernel->q = (const void *)(halves + q);
    kernel->k = (const void *)(halves + k);
    kernel->v = (const void *)(halves + v);
    return true;
}

bool cei_cuda_keeps_halves(const cei_linear_args *args, const cei_cuda_held *held) {
    cei_attention_kernel_args kernel;
    return args->attention && held->columns % CEI_CHUNK_NUMBERS == 0 &&
           cei_cuda_is_aligned(cei_cuda_pointer(held->of)) && cei_cuda_suits_tensor_cores(args->attention) &&
           cei_cuda_find_halves(args->attention, held, &kernel);
}
