/* opencl.h - what the files of the opencl device share: objects, finding devices, errors, programs, memory, launches.
 *
 * Buffers are one cl_mem each, and slices are passed to kernels as (cl_mem, bytes in front). Weights lie row-major in
 * their format: float32; the upper halves of float32; or int8 with the rows' scales behind them. A device has a queue
 * of its own for weights and checks; each stream has another, in order, and kernels of its own, since an OpenCL kernel
 * object holds its arguments and belongs to one thread at a time. */
#ifndef CEI_OPENCL_H
#define CEI_OPENCL_H

#include "base/memory.h"
#include "device/opencl/api.h"
#include "device/table.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- finding: find.c ----------------------------------------------------------------------------------------- */

enum { CEI_OPENCL_MOST = 64 }; /* devices that are counted */

typedef struct cei_opencl_choice {
    cl_platform_id platform;
    cl_device_id device;
    cl_device_type type;
} cei_opencl_choice;

typedef struct cei_opencl_list {
    cei_opencl_choice all[CEI_OPENCL_MOST];
    size_t count;
} cei_opencl_list;

/* The devices of all platforms: GPUs, then accelerators, then others, then CPUs, otherwise in the order of the
 * platforms. None: reason [size] says why and what to do. */
void cei_opencl_find(const cei_opencl_api *api, cei_opencl_list *list, char *reason, size_t size);

/* Fills info but for its id. held: bytes that this process is known to hold there. */
void cei_opencl_describe(const cei_opencl_api *api, const cei_opencl_choice *choice, uint64_t held,
                         ce_device_info *info);

/* A number or a text that OpenCL says of a device; 0 or "" if it does not. */
uint64_t cei_opencl_number(const cei_opencl_api *api, cl_device_id device, cl_device_info what);
void cei_opencl_text(const cei_opencl_api *api, cl_device_id device, cl_device_info what, char *text, size_t size);

/* ---- objects -------------------------------------------------------------------------------------------------- */

/* The kernels of the program. LINEAR stands for the tile that the device chose. */
typedef enum cei_opencl_kernel {
    CEI_OPENCL_EMBED,
    CEI_OPENCL_NORM,
    CEI_OPENCL_ROW_SCALES,
    CEI_OPENCL_LINEAR,
    CEI_OPENCL_ATTENTION, /* blocks of CEI_OPENCL_QUERIES queries */
    CEI_OPENCL_ATTENTION_ONE,
    CEI_OPENCL_RELATIVE, /* as these two */
    CEI_OPENCL_RELATIVE_ONE,
    CEI_OPENCL_GATHER,
    CEI_OPENCL_POOL,
    CEI_OPENCL_NORMALIZE,
    CEI_OPENCL_ANGLES,
    CEI_OPENCL_ROTARY,
    CEI_OPENCL_GATE,
    CEI_OPENCL_KERNELS
} cei_opencl_kernel;

enum {
    CEI_OPENCL_ITEMS = 64,  /* of a work-group, but for tiles of linear layers: sums depend on it */
    CEI_OPENCL_KEYS = 32,   /* of a block of attention: sums depend on it */
    CEI_OPENCL_QUERIES = 16 /* of a block of attention */
};

typedef struct cei_opencl_device {
    cei_device base;
    cei_opencl_api api;
    cei_opencl_choice choice;
    cei_log log;
    cl_context context;
    cl_command_queue queue; /* weights, checks */
    cl_program program;
    unsigned tile; /* of linear layers: tiles.c */
    uint64_t total, most_bytes, local_bytes;
    _Atomic uint64_t held; /* bytes in buffers */
    pthread_mutex_t lock;  /* of the next two */
    cl_kernel checksum;
    cl_mem sums;
    bool has_lock;
} cei_opencl_device;

typedef struct cei_opencl_buffer {
    cei_buffer base;
    cl_mem memory;
} cei_opencl_buffer;

typedef struct cei_opencl_stream {
    cei_stream base;
    cl_command_queue queue;
    cl_kernel kernels[CEI_OPENCL_KERNELS];
    cei_buffer *scratch; /* of one operation: scales, float2 [limits.tokens], that say how rows of activations are
                            rounded to int8; or frequencies of angles, float [limits.head_size / 2] */
    bool has_many;       /* blocks of CEI_OPENCL_QUERIES queries fit into local memory */
    uint8_t *staging;    /* what is on its way to the device */
    size_t staging_bytes, staged;
} cei_opencl_stream;

static inline cei_opencl_device *cei_opencl_of(const cei_device *device) {
    return (cei_opencl_device *)(uintptr_t)device;
}

static inline cl_mem cei_opencl_memory(cei_slice slice) { return ((cei_opencl_buffer *)slice.buffer)->memory; }

static inline size_t cei_opencl_divide_up(size_t a, size_t b) { return a / b + (a % b != 0); }

/* ---- errors: error.c ------------------------------------------------------------------------------------------ */

/* A call of OpenCL that failed with code while it did what `what` says: MEMORY, DEVICE_MEMORY, DEVICE_LOST, or
 * DEVICE_FAULT. Asks the device whether it is still there. */
ce_status cei_opencl_fail(const cei_opencl_device *device, cl_int code, const char *what, ce_error *error);

static inline ce_status cei_opencl_check(const cei_opencl_device *device, cl_int code, const char *what,
                                         ce_error *error) {
    return code == CL_SUCCESS ? CE_OK : cei_opencl_fail(device, code, what, error);
}

/* ---- programs: program.c, cache.c, tiles.c --------------------------------------------------------------------- */

/* A file of the folder kernels/, as the build embeds it. */
typedef struct cei_opencl_source {
    const char *name;
    const char *text;
    size_t size;
} cei_opencl_source;

extern const cei_opencl_source cei_opencl_sources[]; /* ended by a NULL name */

/* What a program is for: timing tiles, all operations with the chosen tile, measuring. */
typedef enum cei_opencl_part { CEI_OPENCL_PROBE, CEI_OPENCL_OPERATIONS, CEI_OPENCL_MEASURE } cei_opencl_part;

/* Builds a program from source, to be released. Errors: DEVICE_FAULT (it does not compile; what the compiler says is in
 * the error and the log), DEVICE_*, MEMORY. */
ce_status cei_opencl_build(const cei_opencl_device *device, cei_opencl_part part, cl_program *program, ce_error *error);

/* Makes device->program and chooses the tile: from the user's cache folder, or from source and by probing, after which
 * both are put there. Errors: DEVICE_FAULT (the kernels do not compile), UNSUPPORTED (no tile fits), DEVICE_*, MEMORY.
 */
ce_status cei_opencl_program_make(cei_opencl_device *device, ce_error *error);

/* Hashes texts and files, in pieces; the first begins with CEI_OPENCL_HASH. */
#define CEI_OPENCL_HASH UINT64_C(0xCBF29CE484222325)
uint64_t cei_opencl_hash(uint64_t hash, const void *data, size_t size);

/* What a cached program depends on, and where it is. Zeroed is empty. */
typedef struct cei_opencl_cached {
    char *key; /* text */
    size_t key_size;
    uint64_t tile;
    uint8_t *binary;
    size_t binary_size;
} cei_opencl_cached;

/* Reads what the cache has for cached->key; false if it has nothing that is whole and of that key. */
bool cei_opencl_cache_read(const cei_log *log, cei_opencl_cached *cached);
/* Puts it there, in one step; what fails is logged, and nothing else. */
void cei_opencl_cache_write(const cei_log *log, const cei_opencl_cached *cached);
void cei_opencl_cached_free(cei_opencl_cached *cached);

typedef struct cei_opencl_tile {
    const char *name; /* of its kernel */
    bool for_processors;
    unsigned group_x, group_y, rows, width, depth;
} cei_opencl_tile;

enum { CEI_OPENCL_TILES = 5 };
extern const cei_opencl_tile cei_opencl_tiles[CEI_OPENCL_TILES];

/* Is the tile made for such devices? */
bool cei_opencl_tile_suits(const cei_opencl_device *device, unsigned tile);

/* Times a product with each tile that the device can run, and sets device->tile. Errors: UNSUPPORTED, DEVICE_*. */
ce_status cei_opencl_tile_choose(cei_opencl_device *device, ce_error *error);

/* ---- launches: launch.c ---------------------------------------------------------------------------------------- */

/* Arguments of a kernel, in their order; the first failure is kept until the launch. */
typedef struct cei_opencl_launch {
    const cei_opencl_device *device;
    cl_command_queue queue;
    cl_kernel kernel;
    cl_uint next;
    cl_int code;
    bool is_too_large; /* a number beyond 32 bits */
} cei_opencl_launch;

cei_opencl_launch cei_opencl_begin(const cei_opencl_device *device, cl_command_queue queue, cl_kernel kernel);
void cei_opencl_put_memory(cei_opencl_launch *launch, cl_mem memory);
void cei_opencl_put_slice(cei_opencl_launch *launch, cei_slice slice);
void cei_opencl_put_number(cei_opencl_launch *launch, size_t number); /* as uint */
void cei_opencl_put_long(cei_opencl_launch *launch, uint64_t number);
void cei_opencl_put_float(cei_opencl_launch *launch, float number);
void cei_opencl_put_local(cei_opencl_launch *launch, size_t bytes);

/* Work-groups of [items_x, items_y] items, so many of them in three directions. Errors: DEVICE_*, ARGUMENT. */
ce_status cei_opencl_run(cei_opencl_launch *launch, size_t items_x, size_t items_y, const size_t groups[3],
                         const char *what, ce_error *error);

/* A linear layer by a tile's kernel. scales: how the rows of x are rounded, read if the weight is INT8. */
ce_status cei_opencl_multiply(cei_opencl_launch *launch, const cei_opencl_tile *tile, const cei_linear_args *args,
                              cl_mem scales, ce_error *error);

/* ---- the table -------------------------------------------------------------------------------------------------- */

ce_status cei_opencl_buffer_create(cei_device *device, size_t bytes, cei_buffer **buffer, ce_error *error);
void cei_opencl_buffer_free(cei_buffer *buffer);

size_t cei_opencl_weight_bytes(const cei_device *device, const cei_weight *shape);
ce_status cei_opencl_weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                  const float *values, const float *scales, ce_error *error);
ce_status cei_opencl_weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                 float *values, float *scales, ce_error *error);
ce_status cei_opencl_weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                     uint64_t *checksum, ce_error *error);
/* The checksum's kernel and its memory, for the device's life; freed with the device. */
ce_status cei_opencl_checksum_prepare(cei_opencl_device *device, ce_error *error);

size_t cei_opencl_stream_bytes(const cei_device *device, const cei_stream_limits *limits);
ce_status cei_opencl_stream_create(cei_device *device, const cei_stream_limits *limits, cei_stream **stream,
                                   ce_error *error);
void cei_opencl_stream_free(cei_stream *stream);
ce_status cei_opencl_write(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error);
ce_status cei_opencl_read(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error);

ce_status cei_opencl_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error);
ce_status cei_opencl_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error);
ce_status cei_opencl_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error);
ce_status cei_opencl_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error);
ce_status cei_opencl_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error);
ce_status cei_opencl_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error);
ce_status cei_opencl_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error);
ce_status cei_opencl_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error);
ce_status cei_opencl_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error);
ce_status cei_opencl_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error);
ce_status cei_opencl_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error);
ce_status cei_opencl_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error);

ce_status cei_opencl_measure(cei_device *device, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                             ce_error *error);

#endif
