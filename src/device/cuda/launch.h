/* launch.h - what the operations of the cuda device share: how one begins and launches, and what a stream keeps of its
 * results for the next. Relies on cuda.h. */
#ifndef CEI_CUDA_LAUNCH_H
#define CEI_CUDA_LAUNCH_H

#include "device/cuda/cuda.h"

#include <limits.h>

static inline void *cei_cuda_pointer(cei_slice slice) { return (void *)(uintptr_t)cei_cuda_at(slice); }

/* Can 16 bytes be read at once here? */
static inline bool cei_cuda_is_aligned(const void *pointer) {
    return (uintptr_t)pointer % sizeof(cei_four_floats) == 0;
}

/* Rows of whole fours, as every model has them. */
static inline bool cei_cuda_has_whole_rows(cei_strided matrix) {
    return matrix.stride % 4 == 0 && matrix.stride <= INT_MAX / sizeof(float) &&
           cei_cuda_is_aligned(cei_cuda_pointer(matrix.at));
}

static inline size_t cei_cuda_blocks_of(size_t count, size_t of_block) {
    return count / of_block + (count % of_block != 0);
}

static inline bool cei_cuda_is_16(cei_format format) {
    return format == CEI_FORMAT_BFLOAT16 || format == CEI_FORMAT_FLOAT16;
}

/* A running operation: the device is current. */
typedef struct cei_cuda_running {
    cei_cuda_device *device;
    cei_cuda_stream stream;
    ce_error *error;
} cei_cuda_running;

/* Weights that an operation reads must have memory and be there; every size must fit into 32 bits. What the stream
 * holds of earlier results is forgotten. */
ce_status cei_cuda_begin(cei_cuda_running *run, cei_stream *stream, const cei_weight *const weights[3], size_t largest,
                         ce_error *error);

/* Launches, and leaves. */
ce_status cei_cuda_run(const cei_cuda_running *run, cei_cuda_kernel kernel, size_t blocks_x, size_t blocks_y,
                       void *arguments);

/* The images for chips with tensor cores have all their kernels. */
bool cei_cuda_has_tensor_cores(const cei_cuda_running *run);

/* ---- what is kept ---------------------------------------------------------------------------------------------- */

/* May results be kept for the layer that reads them, rounded to 16 bits? */
bool cei_cuda_keeps_for(const cei_cuda_running *run, const cei_stream *stream, const cei_weight *next, size_t rows,
                        size_t columns);

/* Or as integers, by an operation that has a whole row at hand, of which their scale is? */
bool cei_cuda_keeps_integers_for(const cei_cuda_running *run, const cei_stream *stream, const cei_weight *next,
                                 size_t rows, size_t columns);

/* Where they are kept; and of how many tiles across. */
void *cei_cuda_keep(cei_stream *base, cei_cuda_held held, unsigned *tiles);

/* Has the stream these rows in tiles, whichever area they are in? */
bool cei_cuda_holds(const cei_cuda_stream_state *stream, const cei_cuda_held *rows);

/* What a layer writes may be what is held. */
void cei_cuda_forget_overwritten(cei_cuda_stream_state *stream, const cei_linear_args *args);

/* May products be taken in less than float32, of a head that is whole steps, without a cap, which only wide heads have?
 * A choice by the model alone. */
bool cei_cuda_suits_tensor_cores(const cei_attention_args *args);

/* Finds the queries, keys and values of attention on tensor cores in a matrix of halves in its own memory; false if one
 * of them is not there. */
bool cei_cuda_find_halves(const cei_attention_args *args, const cei_cuda_held *held, cei_attention_kernel_args *kernel);

/* Will the attention behind a layer round all of its results to halves? Then it may have them so, to the same bits. */
bool cei_cuda_keeps_halves(const cei_linear_args *args, const cei_cuda_held *held);

#endif
