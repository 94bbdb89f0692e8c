/* linear.c - linear layers on the cuda device: which kernel a weight meets, in blocks of which size, and the rounding
 * of rows in front of it, where nobody did that before. */
#include "device/cuda/launch.h"

#include "base/error.h"
#include "base/memory.h"

/* A launch of blocks that make side by side results each. */
static ce_status run_tiles(const cei_cuda_running *run, cei_cuda_kernel kernel, const cei_linear_args *args,
                           size_t side, void *arguments) {
    return cei_cuda_run(run, kernel, cei_cuda_blocks_of(args->rows, side), cei_cuda_blocks_of(args->weight->rows, side),
                        arguments);
}

/* Are there blocks of so many results for all multiprocessors? Large ones read less for a product, small ones keep more
 * of the chip at work where there are few: the bits are the same. */
static bool keeps_all_at_work(const cei_cuda_running *run, const cei_linear_args *args, size_t rows, size_t columns) {
    const size_t down = cei_cuda_blocks_of(args->rows, rows), across = cei_cuda_blocks_of(args->weight->rows, columns);
    return down * across >= run->device->processors;
}

static ce_status run_sized(const cei_cuda_running *run, cei_cuda_kernel large, cei_cuda_kernel small,
                           const cei_linear_args *args, void *arguments) {
    if (keeps_all_at_work(run, args, CEI_LARGE_TILE, CEI_LARGE_TILE))
        return run_tiles(run, large, args, CEI_LARGE_TILE, arguments);
    return run_tiles(run, small, args, CEI_SMALL_TILE, arguments);
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

/* Warps that share a row: by its width alone, as of norms. */
static unsigned warps_of_rounding(const cei_linear_kernel_args *linear) {
    const size_t columns = linear->weight.columns, of_warp = CEI_ROUND_COLUMNS / CEI_ROWS_OF_BLOCK;
    if (columns % 4 != 0 || columns > CEI_ROUND_COLUMNS || !cei_cuda_is_aligned(linear->x)) return 0;
    return columns <= of_warp ? 1 : columns <= 2 * of_warp ? 2 : 4;
}

static ce_status launch_int8_rounding(const cei_cuda_running *run, const cei_linear_rounded_kernel_args *to) {
    const cei_linear_kernel_args *linear = &to->linear;
    const unsigned warps = warps_of_rounding(linear);
    cei_round_kernel_args round = {.x = linear->x,
                                   .rows = linear->rows,
                                   .columns = linear->weight.columns,
                                   .stride = to->stride,
                                   .rounded = (void *)(uintptr_t)to->rounded,
                                   .scales = (void *)(uintptr_t)to->scales,
                                   .zeros = (void *)(uintptr_t)to->zeros,
                                   .tiles = linear->weight.tiles,
                                   .warps = warps};
    return cei_cuda_launch(run->device, CEI_CUDA_cei_k_round, run->stream,
                           cei_cuda_blocks_of(linear->rows, CEI_ROWS_OF_BLOCK / (warps ? warps : 1)), 1, &round,
                           run->error);
}

static ce_status launch_16_rounding(const cei_cuda_running *run, const cei_linear_rounded_kernel_args *to) {
    const cei_linear_kernel_args *linear = &to->linear;
    const unsigned chunks = linear->weight.columns / CEI_CHUNK_NUMBERS;
    cei_round_16_kernel_args round = {.x = linear->x,
                                      .rounded = (void *)(uintptr_t)to->rounded,
                                      .count = (unsigned long long)linear->rows * chunks,
                                      .chunks = chunks,
                                      .tiles = linear->weight.tiles,
                                      .in_halves = linear->weight.format == CEI_VALUES_FLOAT16};
    return cei_cuda_launch(run->device, CEI_CUDA_cei_k_round_16, run->stream,
                           cei_cuda_blocks_of((size_t)round.count, CEI_LINEAR_THREADS), 1, &round, run->error);
}

/* Launches what rounds the activations; leaves the device if that fails. */
static ce_status round_rows(const cei_cuda_running *run, const cei_linear_rounded_kernel_args *to) {
    const ce_status status =
        to->linear.weight.format == CEI_VALUES_INT8 ? launch_int8_rounding(run, to) : launch_16_rounding(run, to);
    if (status != CE_OK) cei_cuda_leave(run->device);
    return status;
}

static ce_status run_int8(const cei_cuda_running *run, const cei_cuda_stream_state *stream, const cei_linear_args *args,
                          const cei_linear_kernel_args *linear) {
    cei_linear_rounded_kernel_args kernel = rounded_in(stream, 0, linear);
    const ce_status status = round_rows(run, &kernel);
    if (status != CE_OK) return status;
    if (cei_cuda_has_tensor_cores(run))
        return run_sized(run, CEI_CUDA_cei_k_tensor_int8, CEI_CUDA_cei_k_tensor_int8_small, args, &kernel);
    return run_tiles(run, CEI_CUDA_cei_k_linear_int8, args, CEI_SMALL_TILE, &kernel);
}

static ce_status run_16(const cei_cuda_running *run, const cei_cuda_stream_state *stream, const cei_linear_args *args,
                        const cei_linear_kernel_args *linear) {
    cei_linear_rounded_kernel_args kernel = rounded_in(stream, 0, linear);
    const ce_status status = round_rows(run, &kernel);
    if (status != CE_OK) return status;
    if (args->weight->format == CEI_FORMAT_FLOAT16)
        return run_sized(run, CEI_CUDA_cei_k_tensor_float16, CEI_CUDA_cei_k_tensor_float16_small, args, &kernel);
    return run_sized(run, CEI_CUDA_cei_k_tensor_bfloat16, CEI_CUDA_cei_k_tensor_bfloat16_small, args, &kernel);
}

/* Rows of x in tiles, in one of the stream's areas: those that it holds already, or rounded now. */
static ce_status hold_rows(const cei_cuda_running *run, cei_cuda_stream_state *stream, const cei_linear_args *args,
                           const cei_linear_kernel_args *linear) {
    const cei_cuda_held wanted = {args->x, args->rows, args->weight->columns, args->weight->format, 0};
    if (cei_cuda_holds(stream, &wanted)) return CE_OK;
    const cei_linear_rounded_kernel_args to = rounded_in(stream, wanted.area, linear);
    const ce_status status = round_rows(run, &to);
    if (status == CE_OK) stream->held = wanted;
    return status;
}

/* What a block of warp groups makes, and how many of them are at work on a multiprocessor. */
typedef struct group_shape {
    size_t rows, columns, blocks;
    cei_cuda_kernel kernels[CEI_FORMAT_COUNT];
} group_shape;

/* The largest shape that keeps all at work; the smallest where none does. */
static const group_shape *choose_shape(const cei_cuda_running *run, const cei_linear_args *args) {
    static const group_shape shapes[] = {
        {CEI_LARGE_TILE,
         CEI_WIDE_COLUMNS,
         1,
         {[CEI_FORMAT_BFLOAT16] = CEI_CUDA_cei_k_group_bfloat16_wide,
          [CEI_FORMAT_FLOAT16] = CEI_CUDA_cei_k_group_float16_wide,
          [CEI_FORMAT_INT8] = CEI_CUDA_cei_k_group_int8_wide}},
        {CEI_LARGE_TILE,
         CEI_LARGE_TILE,
         CEI_LARGE_BLOCKS,
         {[CEI_FORMAT_BFLOAT16] = CEI_CUDA_cei_k_group_bfloat16,
          [CEI_FORMAT_FLOAT16] = CEI_CUDA_cei_k_group_float16,
          [CEI_FORMAT_INT8] = CEI_CUDA_cei_k_group_int8}},
        {CEI_SMALL_TILE,
         CEI_SMALL_TILE,
         1,
         {[CEI_FORMAT_BFLOAT16] = CEI_CUDA_cei_k_group_bfloat16_small,
          [CEI_FORMAT_FLOAT16] = CEI_CUDA_cei_k_group_float16_small,
          [CEI_FORMAT_INT8] = CEI_CUDA_cei_k_group_int8_small}},
    };
    const group_shape *shape = shapes;
    const group_shape *smallest = shapes + sizeof shapes / sizeof *shapes - 1;
    while (shape < smallest && !keeps_all_at_work(run, args, shape->rows, shape->columns)) shape++;
    return shape;
}

/* Blocks stay on their multiprocessor and do one after the other. */
static ce_status launch_groups(const cei_cuda_running *run, const cei_linear_args *args, cei_group_kernel_args *group) {
    enum { BAND_ROWS = 2048 }; /* whose activations, 16 MB of the widest, stay in the second-level cache */
    const group_shape *shape = choose_shape(run, args);
    const size_t down = cei_cuda_blocks_of(args->rows, shape->rows),
                 across = cei_cuda_blocks_of(args->weight->rows, shape->columns);
    if (down * across > INT_MAX) {
        cei_cuda_leave(run->device);
        return cei_fail(run->error, CE_ERR_UNSUPPORTED, "cuda:%d: a product of %zu by %zu is too large",
                        run->device->base.id.index, args->rows, args->weight->rows);
    }
    group->down = (unsigned)down;
    group->across = (unsigned)across;
    group->band = (unsigned)(BAND_ROWS / shape->rows);
    group->step = (unsigned)cei_min_size(down * across, shape->blocks * run->device->processors);
    return cei_cuda_run(run, shape->kernels[args->weight->format], group->step, 1, group);
}

static ce_status run_groups(const cei_cuda_running *run, cei_cuda_stream_state *stream, const cei_linear_args *args,
                            const cei_linear_kernel_args *linear) {
    const size_t outs = args->weight->rows;
    const cei_format format = args->weight->format;
    const bool is_quick = args->function == CEI_FN_IDENTITY || args->function == CEI_FN_GELU;
    ce_status status = hold_rows(run, stream, args, linear);
    if (status != CE_OK) return status;
    cei_group_kernel_args kernel = {.of = rounded_in(stream, stream->held.area, linear)};
    const unsigned other = (stream->held.area + 1) % CEI_CUDA_AREAS;
    const cei_cuda_held halves = {args->out, args->rows, outs, CEI_FORMAT_FLOAT16, CEI_CUDA_IN_PLACE};
    if (is_quick && cei_cuda_keeps_halves(args, &halves)) {
        stream->held = halves;
        kernel.next = cei_cuda_pointer(args->out);
        kernel.in_halves = 1;
    } else if (is_quick && cei_cuda_keeps_for(run, &stream->base, args->next, args->rows, outs) &&
               args->next->format == format) {
        kernel.next = cei_cuda_keep(&stream->base, (cei_cuda_held){args->out, args->rows, outs, format, other},
                                    &kernel.next_tiles);
        kernel.in_halves = format == CEI_FORMAT_FLOAT16;
    } else {
        cei_cuda_forget_overwritten(stream, args);
    }
    return launch_groups(run, args, &kernel);
}

/* May cei_k_linear_few make these results? Its bits are those of the other kernels of float32. */
static bool suits_few(const cei_linear_kernel_args *linear) {
    return linear->rows <= CEI_FEW_ROWS && linear->weight.format == CEI_VALUES_FLOAT32 &&
           linear->weight.columns % 4 == 0 && cei_cuda_is_aligned(linear->x) &&
           cei_cuda_is_aligned(linear->weight.values);
}

/* Tensor cores take rows of whole chunks of 16 bytes, as every weight of a real model has them. Which kernel a weight
 * meets does not depend on the rows of x, but for more of them than a stream rounds. */
ce_status cei_cuda_linear(cei_stream *base, const cei_linear_args *args, ce_error *error) {
    cei_cuda_running run;
    cei_cuda_stream_state *stream = (cei_cuda_stream_state *)base;
    const cei_weight *weights[] = {args->weight, args->bias, NULL};
    const cei_cuda_held held = stream->held;
    ce_status status = cei_cuda_begin(&run, base, weights, args->rows, error);
    if (status != CE_OK) return status;
    cei_linear_kernel_args kernel = {.x = cei_cuda_pointer(args->x),
                                     .bias = args->bias ? cei_cuda_pointer(args->bias->at) : NULL,
                                     .weight = cei_cuda_values_of(args->weight),
                                     .out = cei_cuda_pointer(args->out),
                                     .rows = (unsigned)args->rows,
                                     .function = (unsigned)args->function};
    const cei_format format = args->weight->format;
    const bool fits = args->rows <= base->limits.tokens;
    if (kernel.weight.tiles && fits) {
        stream->held = held;
        return run_groups(&run, stream, args, &kernel);
    }
    if (format == CEI_FORMAT_INT8 && fits) return run_int8(&run, stream, args, &kernel);
    if (cei_cuda_is_16(format) && fits && cei_cuda_has_tensor_cores(&run) &&
        args->weight->columns % CEI_CHUNK_NUMBERS == 0)
        return run_16(&run, stream, args, &kernel);
    if (suits_few(&kernel))
        return cei_cuda_run(&run, CEI_CUDA_cei_k_linear_few, cei_cuda_blocks_of(args->weight->rows, CEI_FEW_COLUMNS),
                            cei_cuda_blocks_of(args->rows, CEI_FEW_ROWS), &kernel);
    return run_sized(&run, CEI_CUDA_cei_k_linear, CEI_CUDA_cei_k_linear_small, args, &kernel);
}
