/* cpu.h - the objects of the cpu device, shared by its files and by no other folder. */
#ifndef CEI_CPU_H
#define CEI_CPU_H

#include "base/memory.h"
#include "device/cpu/kernels.h"
#include "device/table.h"

typedef struct cei_cpu_device {
    cei_device base;
    cei_pool *pool; /* not owned; NULL is the caller's thread alone */
    size_t workers; /* threads of pool */
    cei_cpu_kernels kernels;
    size_t copy_floats; /* of activations that a product keeps in the second-level cache */
} cei_cpu_device;

typedef struct cei_cpu_buffer {
    cei_buffer base;
    uint8_t *data; /* aligned to CEI_BUFFER_ALIGNMENT at least */
} cei_cpu_buffer;

/* Floats of a cache line. */
enum { CEI_CPU_LINE = 16 };

/* Scratch memory of one worker, in floats. Every part begins on a cache line. */
typedef struct cei_cpu_scratch_plan {
    size_t rows;                                   /* a block of activations copied or rounded for a product */
    size_t row_scales;                             /* of rounded activations */
    size_t panel;                                  /* a panel of weights of 16 bits, widened, or of digits */
    size_t partial;                                /* sums of a block of rows of one panel between blocks of depth */
    size_t temporary;                              /* what is between operations on a block of rows */
    size_t keys, values, queries, scores, factors; /* of one head of one sequence */
    size_t total;
} cei_cpu_scratch_plan;

typedef struct cei_cpu_stream {
    cei_stream base;
    const cei_cpu_device *device; /* what operations run on: the stream's device, or single */
    cei_cpu_device single;        /* the device without its pool: for a stream that is alone, and for blocks of rows */
    cei_cpu_scratch_plan plan;
    float *scratch; /* [workers, plan.total] */
    size_t bytes;
} cei_cpu_stream;

static inline cei_cpu_device *cei_cpu_of(const cei_device *device) {
    union { /* the table hands out const where it only looks */
        const cei_device *from;
        cei_cpu_device *to;
    } cast = {device};
    return cast.to;
}

static inline cei_cpu_stream *cei_cpu_stream_of(cei_stream *stream) { return (cei_cpu_stream *)stream; }

static inline void *cei_cpu_at(cei_slice slice) { return ((cei_cpu_buffer *)slice.buffer)->data + slice.offset; }

static inline size_t cei_cpu_divide_up(size_t a, size_t b) { return a / b + (a % b != 0); }

/* Is work, in simple operations, enough to wake other threads for? */
bool cei_cpu_is_worth_waking(const cei_cpu_device *device, double work);

/* Runs count tasks of work in all, on the caller's thread alone if it is not. */
void cei_cpu_run(const cei_cpu_device *device, size_t count, double work, cei_task_fn fn, void *argument);

/* OK if the weight has memory on a device: those of the reference are bound, and reach no other. NULL is fine. */
ce_status cei_cpu_check_placed(const cei_weight *weight, ce_error *error);

/* ---- memory.c ----------------------------------------------------------------------------------------------- */

/* Memory of this machine that the process may use, and what of it is free: the least of what the system and the control
 * groups give. A total of 0 is unknown. */
void cei_cpu_memory(uint64_t *total, uint64_t *available);

/* The same from the files below another root than "", for tests. */
void cei_cpu_memory_below(const char *root, uint64_t *total, uint64_t *available);

/* A block at a multiple of CEI_BUFFER_ALIGNMENT, of huge pages if it is large; NULL for want of memory. From 64 KiB on
 * it is a mapping of its own, which the system has back as soon as it is freed: with as many bytes as it was made with.
 */
void *cei_cpu_block_alloc(size_t bytes);
void cei_cpu_block_free(void *block, size_t bytes); /* NULL is fine */

ce_status cei_cpu_buffer_create(cei_device *device, size_t bytes, cei_buffer **buffer, ce_error *error);
void cei_cpu_buffer_free(cei_buffer *buffer);

/* DEVICE_MEMORY: what was wanted, and what there is. */
ce_status cei_cpu_fail_memory(ce_error *error, const char *what, size_t bytes);

/* ---- weights_low.c: weights of 16 and 8 bits ------------------------------------------------------------------ */

/* Where the values of a weight that is not float32 lie. A TABLE is row-major, the scales of an INT8 one behind it. */
typedef struct cei_cpu_low_layout {
    cei_format format;
    const cei_cpu_low *low;
    size_t width;       /* columns of a panel; 0 for a TABLE */
    size_t depth;       /* padded to low->step, for a MATRIX */
    size_t head;        /* bytes of a panel before its values: scales and sums */
    size_t panel_bytes; /* of a panel, or of a table's row */
} cei_cpu_low_layout;

/* The layout, for a weight with sizes that do not overflow (cei_cpu_low_bytes). */
cei_cpu_low_layout cei_cpu_low_lay_out(const cei_cpu_kernels *kernels, const cei_weight *weight);
size_t cei_cpu_low_bytes(const cei_cpu_kernels *kernels, const cei_weight *weight); /* 0 on overflow */

/* Values of a BFLOAT16 or FLOAT16 weight as float32. */
void cei_cpu_low_widen(const cei_cpu_kernels *kernels, cei_format format, const uint16_t *from, size_t count,
                       float *to);

void cei_cpu_low_write(cei_device *device, const cei_weight *weight, size_t first, size_t count, const float *values,
                       const float *scales);
void cei_cpu_low_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                      float *scales);
uint64_t cei_cpu_low_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count);

/* Row row of a TABLE of any format as float32: where it lies, or in scratch [columns]. */
const float *cei_cpu_table_row(const cei_cpu_kernels *kernels, const cei_weight *table, size_t row, float *scratch);

/* ---- weights.c ---------------------------------------------------------------------------------------------- */

size_t cei_cpu_weight_bytes(const cei_device *device, const cei_weight *shape);
ce_status cei_cpu_weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                               const float *values, const float *scales, ce_error *error);
ce_status cei_cpu_weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                              float *scales, ce_error *error);
ce_status cei_cpu_weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                  uint64_t *checksum, ce_error *error);

/* ---- stream.c ----------------------------------------------------------------------------------------------- */

size_t cei_cpu_stream_bytes(const cei_device *device, const cei_stream_limits *limits);
ce_status cei_cpu_stream_create(cei_device *device, const cei_stream_limits *limits, cei_stream **stream,
                                ce_error *error);
void cei_cpu_stream_free(cei_stream *stream);
ce_status cei_cpu_write(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error);
ce_status cei_cpu_read(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error);

/* ---- measure.c ---------------------------------------------------------------------------------------------- */

typedef double (*cei_cpu_peak_fn)(size_t rounds);

/* What shows the most that products of a precision could reach; NULL for a value that is no precision. bfloat16 without
 * products of its own, and float16, are multiplied as float32. */
cei_cpu_peak_fn cei_cpu_peak_of(const cei_cpu_kernels *kernels, ce_precision precision);

/* Runs rounds of a kernel table's peak on all threads, and returns the operations that this was. */
double cei_cpu_run_peak(const cei_cpu_device *device, cei_cpu_peak_fn peak, size_t rounds);

ce_status cei_cpu_measure(cei_device *device, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                          ce_error *error);

/* ---- ops.c, linear.c, linear_low.c, attention.c ------------------------------------------------------------- */

/* The sum over depth is taken in blocks of at most this, each in one accumulator, added up in order. */
enum { CEI_CPU_BLOCK_DEPTH = 512 };

/* The depth of all blocks but the last: they differ by a few elements at most. */
size_t cei_cpu_block_depth(size_t depth);

/* The most rows of a product, or queries of a head, that are worked on together. */
enum { CEI_CPU_MAX_ROWS = 224, CEI_CPU_FEWEST_ROWS = 28 };

/* Rows of a product that are worked on together, for rows of depth floats. */
size_t cei_cpu_block_rows(const cei_cpu_device *device, size_t depth);

/* How far apart rows of so many floats lie in scratch memory. */
size_t cei_cpu_padded(size_t columns);

/* Panels that a product in low precision takes at once where it can (cei_cpu_low.wide): what a call costs at its
 * beginning is shared, and its results are still warm for what reads them. */
enum { CEI_CPU_PANELS_AT_ONCE = 4 };

/* Floats of scratch memory for the scores of one head of a sequence. */
size_t cei_cpu_score_floats(const cei_cpu_kernels *kernels, size_t length);

/* The depth of what is packed in pieces, in floats (cei_cpu_pieces); 0 where there are none. */
size_t cei_cpu_pieces_depth_floats(const cei_cpu_kernels *kernels, size_t depth);

/* A product of any depth with one panel: blocks of depth, their sums held in partial [rows, kernels.panel].
 * product->add is not used. */
void cei_cpu_multiply_deep(const cei_cpu_kernels *kernels, const cei_cpu_product *product, float *partial);

ce_status cei_cpu_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error);
ce_status cei_cpu_norm_rows(cei_stream *stream, const cei_norm_args *args, ce_error *error);
ce_status cei_cpu_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error);
ce_status cei_cpu_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error);
ce_status cei_cpu_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error);
ce_status cei_cpu_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error);
ce_status cei_cpu_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error);
ce_status cei_cpu_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error);
ce_status cei_cpu_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error);
ce_status cei_cpu_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error);

/* A linear layer at work: what its tasks share. */
typedef struct cei_cpu_linear_job {
    const cei_cpu_device *device;
    const cei_cpu_stream *stream;
    const float *x;
    const cei_weight *weight;
    const float *bias;
    float *out;
    size_t rows, in, columns, panels;
    size_t row_blocks, groups; /* of panels; a task is one of each */
    cei_function function;
    const uint8_t *prepared; /* x as the product takes it; NULL: it is prepared by each task */
    uint8_t *rounded;        /* where results go as the next layer's product takes them; NULL: to out */
    size_t rounded_stride;   /* bytes */
    float *tile;             /* then results of a few panels, [rows, CEI_CPU_TILE_STRIDE], for a single worker */
} cei_cpu_linear_job;

/* The rows and panels of one task. */
typedef struct cei_cpu_linear_block {
    size_t first_row, rows, first_panel, end_panel;
    float *scratch; /* of the worker */
} cei_cpu_linear_block;

/* Floats from one row of such a tile to the next, apart as suits the first-level cache. */
enum { CEI_CPU_TILE_STRIDE = CEI_CPU_PANELS_AT_ONCE * CEI_CPU_MAX_PANEL + CEI_CPU_LINE };

/* Two layers in one, the second alone reading what the first gives: bfloat16, each value rounded while it is warm. */
bool cei_cpu_can_pair(const cei_cpu_kernels *kernels, const cei_weight *first, const cei_weight *second);

/* Bytes of scratch memory for that between them, for a row. */
size_t cei_cpu_pair_bytes(const cei_cpu_kernels *kernels, const cei_weight *second);

/* Runs them as one after the other, to the same bits; weights are placed, and the stream is a single worker's. */
void cei_cpu_linear_pair(cei_stream *stream, const cei_linear_args *first, const cei_linear_args *second,
                         void *between);

/* Bytes from one row that was prepared for a product with the weight to the next. */
size_t cei_cpu_low_row_stride(const cei_cpu_kernels *kernels, const cei_weight *weight);

cei_cpu_linear_block cei_cpu_find_block(const cei_cpu_linear_job *job, size_t task, size_t worker);

/* linear_digits.c: how far apart, in floats, a product's rows of so much depth lie in scratch memory, digits or not. */
size_t cei_cpu_row_floats(const cei_cpu_kernels *kernels, size_t depth);

/* Is a float32 product of such depth taken by integers? */
bool cei_cpu_takes_digits(const cei_cpu_kernels *kernels, size_t depth);

/* Of a FLOAT32 MATRIX of such depth: the exponents of its rows' units, [rows padded to panels], where it is held; and
 * one block of rows of its product. */
float *cei_cpu_exponents(const cei_cpu_kernels *kernels, const cei_weight *weight);
void cei_cpu_run_digit_block(const cei_cpu_linear_job *job, const cei_cpu_linear_block *block);

/* A task of a layer whose weight is not FLOAT32; the argument is the cei_cpu_linear_job. */
void cei_cpu_run_low_block(void *argument, size_t task, size_t worker);
bool cei_cpu_rounds_attention(const cei_device *device, ce_precision precision);
ce_status cei_cpu_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error);
ce_status cei_cpu_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error);

/* ---- rows.c ------------------------------------------------------------------------------------------------- */

/* Floats of scratch memory for what is temporary in lists of operations, of activations up to so wide. */
size_t cei_cpu_temporary_floats(size_t columns);

ce_status cei_cpu_rows(cei_stream *stream, const cei_row_op *ops, size_t count, const cei_row_plan *plan,
                       ce_error *error);

/* ---- attention_relative.c ----------------------------------------------------------------------------------- */

/* Queries or keys that meet distances together. */
enum { CEI_CPU_STRIP = 24 };

/* Scores of some queries of one head with all keys of their sequence. */
typedef struct cei_cpu_scores {
    size_t head, length;       /* length: of the sequence */
    size_t first, rows;        /* the queries, by their places in the sequence */
    const float *q, *k;        /* [rows, head_size], [length, head_size] */
    size_t q_stride, k_stride; /* floats */
    float *spare;              /* room for CEI_CPU_STRIP more rows like q's */
    float *scores;             /* [rows, length], rows cei_cpu_padded(length) floats apart */
    float *scratch;            /* of the worker */
} cei_cpu_scores;

/* Floats of scratch memory, of the part for rows, that cei_cpu_add_distances takes. */
enum { CEI_CPU_DISTANCE_FLOATS = 36 * 1024 };

/* Adds what the distances contribute to scores, before they are scaled. */
void cei_cpu_add_distances(const cei_cpu_device *device, const cei_cpu_scratch_plan *plan,
                           const cei_attention_relative_args *args, const cei_cpu_scores *block);

/* ---- attention_low.c: attention's products in bfloat16, where cei_cpu_low.pack is --------------------------- */

/* One head of one sequence, and the worker's memory for it. */
typedef struct cei_cpu_low_head {
    const cei_cpu_kernels *kernels;
    size_t size, length;  /* columns of the head; tokens */
    float *keys, *values; /* panels */
    float *queries;       /* [CEI_CPU_MAX_ROWS, size], rows cei_cpu_padded(size) floats apart */
} cei_cpu_low_head;

/* The depth that a panel has room for, in floats, so that it may be one of float32 or one of bfloat16. */
size_t cei_cpu_low_depth_floats(const cei_cpu_low *low, size_t depth);

/* Panels of k or v [length, size], rows stride floats apart. The first overwrites the queries. */
void cei_cpu_low_pack_keys(const cei_cpu_low_head *h, const float *k, size_t stride);
void cei_cpu_low_pack_values(const cei_cpu_low_head *h, const float *v, size_t stride);

/* So many queries q, rows stride floats apart, become the queries, rounded. They may lie there already. */
void cei_cpu_low_round_queries(const cei_cpu_low_head *h, const float *q, size_t stride, size_t rows);

/* scores [rows, keys] = Q K^T, of rounded queries and the keys from first_key on, where a panel begins; rows stride
 * floats apart. */
void cei_cpu_low_score(const cei_cpu_low_head *h, size_t rows, size_t first_key, size_t keys, float *scores,
                       size_t stride);

/* out [rows, size] = weights V * factors, of weights [rows, keys] as cei_cpu_low.weigh makes them, rows
 * cei_cpu_padded(keys) floats apart, for the tokens from first_key on, where a panel of keys begins; those behind them,
 * up to a step, count 0 times. */
void cei_cpu_low_mix(const cei_cpu_low_head *h, size_t rows, size_t first_key, size_t keys, const float *weights,
                     const float *factors, float *out, size_t out_stride);

#endif
