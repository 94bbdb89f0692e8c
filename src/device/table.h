/* table.h - what a driver provides. Included by src/device alone.
 *
 * To add a device: a folder with one driver, and a line in registry.c. Arguments have been checked by device.c when
 * they arrive here: slices lie inside their buffers, shapes agree, the stream's limits hold. Every slot is filled
 * unless said. A driver's objects begin with the base structs below. */
#ifndef CEI_TABLE_H
#define CEI_TABLE_H

#include "device/device.h"

struct cei_device {
    const struct cei_device_table *table;
    cei_device_id id;
};

struct cei_buffer {
    cei_device *device;
    size_t bytes;
};

struct cei_stream {
    cei_device *device;
    cei_stream_limits limits;
};

/* Matrices of one operation of a list (cei_row_op). */
enum { CEI_ROW_X, CEI_ROW_OTHER, CEI_ROW_SUM, CEI_ROW_OUT, CEI_ROW_MATRICES };

/* Where the matrices of a list of operations are. X is what is read, or changed in its place; OTHER is a residual, or a
 * gate's b. */
typedef struct cei_row_plan {
    size_t rows, count;          /* of each matrix; of temporary ones */
    size_t columns[CEI_ROW_OPS]; /* of the temporary ones, whose rows lie as close as columns allow */
    struct cei_row_place {
        size_t temporary; /* which one it is of; CEI_ROW_OPS: none, it is in memory as the operation says */
        size_t column;    /* of that one, where the matrix begins */
    } places[CEI_ROW_OPS][CEI_ROW_MATRICES];
} cei_row_plan;

/* rows.c: plans a list of at most CEI_ROW_OPS operations, whose arguments have been checked one by one. Errors:
 * ARGUMENT (rows that differ, matrices that lie in each other's memory otherwise than cei_run_rows allows). */
ce_status cei_plan_rows(const cei_row_op *ops, size_t count, cei_row_plan *plan, ce_error *error);

/* device.c: runs one of a list through the device's table. Its arguments have been checked. */
ce_status cei_run_row_op(cei_stream *stream, const cei_row_op *op, ce_error *error);

/* Operations and memory of an opened device. */
typedef struct cei_device_table {
    void (*close)(cei_device *device);
    ce_status (*status)(cei_device *device, ce_device_info *info, ce_error *error);
    bool (*supports)(const cei_device *device, cei_op op, ce_precision precision);
    bool (*rounds_attention)(const cei_device *device, ce_precision precision); /* NULL: no */
    /* NULL: the device cannot be measured. precision is never DEFAULT. */
    ce_status (*measure)(cei_device *device, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                         ce_error *error);

    ce_status (*buffer_create)(cei_device *device, size_t bytes, cei_buffer **buffer, ce_error *error);
    void (*buffer_free)(cei_buffer *buffer);

    size_t (*weight_bytes)(const cei_device *device, const cei_weight *shape);
    ce_status (*weight_write)(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                              const float *values, const float *scales, ce_error *error);
    ce_status (*weight_read)(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                             float *scales, ce_error *error);
    ce_status (*weight_checksum)(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                 uint64_t *checksum, ce_error *error);

    bool uses_pool;                                   /* see cei_device_uses_pool */
    size_t (*batch_tokens)(const cei_device *device); /* NULL: no matter how many */
    size_t (*stream_bytes)(const cei_device *device, const cei_stream_limits *limits);
    ce_status (*stream_create)(cei_device *device, const cei_stream_limits *limits, cei_stream **stream,
                               ce_error *error);
    void (*stream_free)(cei_stream *stream);
    ce_status (*write)(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error);
    ce_status (*read)(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error);

    ce_status (*embed)(cei_stream *stream, const cei_embed_args *args, ce_error *error);
    ce_status (*norm)(cei_stream *stream, const cei_norm_args *args, ce_error *error);
    ce_status (*norm_heads)(cei_stream *stream, const cei_head_norm_args *args, ce_error *error);
    ce_status (*linear)(cei_stream *stream, const cei_linear_args *args, ce_error *error);
    ce_status (*attention)(cei_stream *stream, const cei_attention_args *args, ce_error *error);
    ce_status (*attention_relative)(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error);
    ce_status (*gather)(cei_stream *stream, const cei_gather_args *args, ce_error *error);
    ce_status (*pool)(cei_stream *stream, const cei_pool_args *args, ce_error *error);
    ce_status (*normalize)(cei_stream *stream, const cei_normalize_args *args, ce_error *error);
    ce_status (*angles)(cei_stream *stream, const cei_angles_args *args, ce_error *error);
    ce_status (*rotate)(cei_stream *stream, const cei_rotary_args *args, ce_error *error);
    ce_status (*gate)(cei_stream *stream, const cei_gate_args *args, ce_error *error);
    /* At least two operations on at least one row. NULL: they are run one by one. */
    ce_status (*rows)(cei_stream *stream, const cei_row_op *ops, size_t count, const cei_row_plan *plan,
                      ce_error *error);
} cei_device_table;

/* How devices of one kind are found and opened. */
typedef struct cei_driver {
    const char *kind;
    /* How many there are. If none, why goes into reason, with what to do about it. */
    int (*count)(char *reason, size_t size);
    /* Describes device index without opening it; info->usable and info->reason say whether it can be opened. */
    void (*probe)(int index, ce_device_info *info);
    ce_status (*open)(int index, const cei_device_options *options, cei_device **device, ce_error *error);
    /* May auto take device index? NULL: any that is usable. */
    bool (*suits_auto)(int index);
    /* Could auto take any? Asked before count, which may start drivers. NULL: yes. */
    bool (*may_suit_auto)(void);
} cei_driver;

extern const cei_driver cei_cpu_driver;
extern const cei_driver cei_opencl_driver; /* where the build has OpenCL (CEI_WITH_OPENCL): src/device/opencl */
extern const cei_driver cei_cuda_driver;   /* where it was built */
#ifdef CEI_WITH_SIM
extern const cei_driver cei_sim_driver; /* tests only: src/device/sim */
#endif

#endif
