/* cuda.h - what the files of the cuda device share: objects, the way into the driver, launches.
 *
 * Every call makes the device's primary context current for its own time and leaves the caller's thread as it was.
 * Operations and copies are asynchronous, in the order of their stream; faults show where the host waits. Pinned
 * staging memory is all that the driver ever reads or writes on the host. */
#ifndef CEI_CUDA_H
#define CEI_CUDA_H

#include "device/cuda/api.h"
#include "device/cuda/images.h"
#include "device/cuda/kernels/args.h"
#include "device/table.h"

#include <pthread.h>
#include <stdatomic.h>

/* Every kernel of args.h, by number. */
typedef enum cei_cuda_kernel {
#define CEI_CUDA_NUMBER(name, arguments, threads, least, shared) CEI_CUDA_##name,
    CEI_CUDA_KERNELS(CEI_CUDA_NUMBER)
#undef CEI_CUDA_NUMBER
        CEI_CUDA_KERNEL_COUNT
} cei_cuda_kernel;

/* Pinned memory on the way of weights to the device, and the stream that empties it. */
typedef struct cei_cuda_slot {
    cei_cuda_stream stream;
    unsigned char *memory; /* CEI_CUDA_SLOT_BYTES */
    cei_cuda_address sums; /* of a checksum: [CEI_CHECKSUM_BLOCKS, 2] on the device */
    cei_cuda_address rows; /* CEI_CUDA_SLOT_BYTES on the device, on the way into tiles; 0 where there are none */
    bool taken;
} cei_cuda_slot;

enum { CEI_CUDA_SLOTS = 4, CEI_CUDA_SLOT_BYTES = 1 << 20 };

typedef struct cei_cuda_device {
    cei_device base;
    cei_cuda_api api;
    cei_cuda_device_number number;
    cei_cuda_context context; /* the primary one, retained */
    cei_cuda_module module;
    cei_cuda_function kernels[CEI_CUDA_KERNEL_COUNT]; /* NULL: the image lacks it */
    size_t processors;                                /* multiprocessors */
    cei_cuda_slot slots[CEI_CUDA_SLOTS];
    size_t next;          /* slot to take, so that the one used last has time to empty */
    pthread_mutex_t lock; /* of next, and of the slots' taken */
    pthread_cond_t returned;
    atomic_bool lost; /* a sticky error was seen: the driver is not asked again */
    /* Copies of weights that were begun, and how many of these are known to be done: see cei_cuda_settle. */
    atomic_size_t sent, settled;
} cei_cuda_device;

typedef struct cei_cuda_buffer {
    cei_buffer base;
    cei_cuda_address address;
} cei_cuda_buffer;

/* Host memory of a stream: what is written piles up in one part until the host waits, what is read comes by the other.
 */
enum { CEI_CUDA_LEAST_OUT = 1 << 12, CEI_CUDA_MOST_OUT = 1 << 20, CEI_CUDA_IN_BYTES = 1 << 18 };

/* Activations that a stream holds rounded: those that are, or stand for, a matrix in float32. In tiles; or in that
 * matrix's own memory, row behind row from its beginning on, for attention. */
typedef struct cei_cuda_held {
    cei_slice of;         /* without a buffer: none */
    size_t rows, columns; /* of them */
    cei_format format;    /* that they are rounded to */
    unsigned area;        /* of CEI_CUDA_AREAS, where they are; or CEI_CUDA_IN_PLACE */
} cei_cuda_held;

/* Areas: so that one is read while the other is written. */
enum { CEI_CUDA_AREAS = 2, CEI_CUDA_IN_PLACE = CEI_CUDA_AREAS };

typedef struct cei_cuda_stream_state {
    cei_stream base;
    cei_cuda_stream stream;
    unsigned char *staging;   /* pinned: out bytes, then CEI_CUDA_IN_BYTES */
    size_t out, used;         /* used of out by copies that may not have happened yet */
    cei_cuda_address rounded; /* activations as integers or in 16 bits, then scales and zeros: cei_cuda_rounded_of */
    cei_cuda_held held;
} cei_cuda_stream_state;

static inline cei_cuda_device *cei_cuda_of(const cei_device *device) { return (cei_cuda_device *)(uintptr_t)device; }

static inline cei_cuda_address cei_cuda_at(cei_slice slice) {
    return ((const cei_cuda_buffer *)slice.buffer)->address + slice.offset;
}

/* ---- device.c ----------------------------------------------------------------------------------------------- */

/* Makes the device current; DEVICE_LOST without asking the driver if it was lost before. Paired with leave. */
ce_status cei_cuda_enter(cei_cuda_device *device, ce_error *error);
void cei_cuda_leave(cei_cuda_device *device);

/* OK, or an error that names the device, what was done, and what the driver said. */
ce_status cei_cuda_check(cei_cuda_device *device, cei_cuda_result result, const char *what, ce_error *error);

/* Launches a kernel of blocks_x by blocks_y blocks on stream; no blocks is nothing to do. arguments is its struct of
 * args.h. The device is current. */
ce_status cei_cuda_launch(cei_cuda_device *device, cei_cuda_kernel kernel, cei_cuda_stream stream, size_t blocks_x,
                          size_t blocks_y, void *arguments, ce_error *error);

/* ---- memory.c ----------------------------------------------------------------------------------------------- */

ce_status cei_cuda_buffer_create(cei_device *device, size_t bytes, cei_buffer **buffer, ce_error *error);
void cei_cuda_buffer_free(cei_buffer *buffer);

/* bytes of device memory; 0 bytes are some. DEVICE_MEMORY says needed, free and total. The device is current. */
ce_status cei_cuda_allocate(cei_cuda_device *device, size_t bytes, cei_cuda_address *address, ce_error *error);

/* Slots: made and freed with the device, which is current. */
ce_status cei_cuda_slots_create(cei_cuda_device *device, ce_error *error);
void cei_cuda_slots_free(cei_cuda_device *device);

/* Takes a slot whose last copy is done, waiting for one; paired with give. */
ce_status cei_cuda_slot_take(cei_cuda_device *device, cei_cuda_slot **slot, ce_error *error);
void cei_cuda_slot_give(cei_cuda_device *device, cei_cuda_slot *slot);

/* Returns when all weights that were written are there. The device is current. */
ce_status cei_cuda_settle(cei_cuda_device *device, ce_error *error);

size_t cei_cuda_batch_tokens(const cei_device *device);
size_t cei_cuda_stream_bytes(const cei_device *device, const cei_stream_limits *limits);
ce_status cei_cuda_stream_create(cei_device *device, const cei_stream_limits *limits, cei_stream **stream,
                                 ce_error *error);
void cei_cuda_stream_free(cei_stream *stream);
ce_status cei_cuda_write(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error);
ce_status cei_cuda_read(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error);

/* Where a stream holds activations that were rounded. Scales and zeros, one a row, are those of integers. */
typedef struct cei_cuda_rounded {
    cei_cuda_address rows, scales, zeros;
} cei_cuda_rounded;
cei_cuda_rounded cei_cuda_rounded_of(const cei_cuda_stream_state *stream, unsigned area);

/* ---- weights.c ---------------------------------------------------------------------------------------------- */

/* What kernels are told of a weight that has memory. */
cei_values_args cei_cuda_values_of(const cei_weight *weight);

/* Has the device kernels for products of warp groups? */
bool cei_cuda_has_groups(const cei_cuda_device *device);

/* The tiles that rows of a matrix take, in low precision; 0 of a weight that does not lie in tiles on this device. */
unsigned cei_cuda_tiles_of(const cei_cuda_device *device, const cei_weight *weight);

/* OK if the weight has memory on a device: those of the reference are bound, and reach no other. NULL is fine. */
ce_status cei_cuda_check_placed(const cei_weight *weight, ce_error *error);

size_t cei_cuda_weight_bytes(const cei_device *device, const cei_weight *shape);
ce_status cei_cuda_weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                const float *values, const float *scales, ce_error *error);
ce_status cei_cuda_weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                               float *scales, ce_error *error);
ce_status cei_cuda_weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                   uint64_t *checksum, ce_error *error);

/* ---- ops.c, linear.c ------------------------------------------------------------------------------------------- */

ce_status cei_cuda_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error);
ce_status cei_cuda_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error);
ce_status cei_cuda_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error);
ce_status cei_cuda_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error);
ce_status cei_cuda_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error);
ce_status cei_cuda_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error);
ce_status cei_cuda_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error);
ce_status cei_cuda_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error);
ce_status cei_cuda_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error);
ce_status cei_cuda_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error);
ce_status cei_cuda_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error);
ce_status cei_cuda_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error);

/* ---- measure.c ---------------------------------------------------------------------------------------------- */

ce_status cei_cuda_measure(cei_device *device, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                           ce_error *error);

#endif
