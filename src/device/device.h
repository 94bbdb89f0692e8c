/* device.h - everything that the layers above may ask of a device.
 *
 * A device is reached through the functions below and through nothing else; the tables that drivers fill are in
 * table.h, which only src/device includes. All memory on a device is named by (buffer, offset): no pointer into it
 * is ever seen above this line, so a device whose memory the host cannot read is no special case.
 *
 * Shapes are [rows, columns], row-major, in elements. Activations are float32 on every device. Weights are held as
 * the device likes best; their values are those of its precision. */
#ifndef CEI_DEVICE_H
#define CEI_DEVICE_H

#include "base/log.h"
#include "base/pool.h"
#include "formats/rounding.h"

#include <crossenc/device.h>

typedef struct cei_device cei_device; /* an opened device; shared by threads */
typedef struct cei_buffer cei_buffer; /* memory on a device */
typedef struct cei_stream cei_stream; /* an order of operations; used by one thread at a time */

/* ---- names -------------------------------------------------------------------------------------------------- */

typedef struct cei_device_id {
    const char *kind; /* static: "cpu", "cuda", ... */
    int index;
} cei_device_id;

typedef struct cei_device_options {
    cei_pool *pool;       /* threads of the model; outlives the device */
    uint64_t cpu_disable; /* CE_CPU_* */
    cei_log log;          /* for what is worth a line while the device is opened */
} cei_device_options;

/* Resolves a name without opening anything: syntax, then whether the device is there and usable. "auto" (or NULL)
 * gives the best usable device at or after the skip-th in order of preference, so that a caller whose first choice
 * fails can ask for the next. Errors: DEVICE_NAME, DEVICE_ABSENT. */
ce_status cei_device_resolve(const char *name, size_t skip, cei_device_id *id, ce_error *error);

/* "cpu", "cuda:1": the canonical name. */
void cei_device_format(cei_device_id id, char name[CE_DEVICE_ID_SIZE]);
bool cei_device_is_auto(const char *name);
bool cei_device_same(cei_device_id a, cei_device_id b);

/* Devices of one kind, each once. */
typedef struct cei_device_list {
    size_t count; /* at least 1 */
    cei_device_id ids[CE_MOST_DEVICES];
} cei_device_list;

/* list.c: resolves one name, as cei_device_resolve with skip 0, or several with commas between. Errors: DEVICE_NAME
 * (also auto in a list, a device that comes twice, too many), DEVICE_ABSENT, UNSUPPORTED (several kinds). */
ce_status cei_device_list_resolve(const char *names, cei_device_list *list, ce_error *error);

/* "cuda:0,cuda:1": canonical names. */
void cei_device_list_format(const cei_device_list *list, char names[CE_DEVICE_LIST_SIZE]);
bool cei_device_list_same(const cei_device_list *a, const cei_device_list *b); /* in the same order */

/* What the device is and how much memory it has free, without opening it. Errors: DEVICE_*. */
ce_status cei_device_probe(cei_device_id id, ce_device_info *info, ce_error *error);

/* ---- devices, memory ---------------------------------------------------------------------------------------- */

ce_status cei_device_open(cei_device_id id, const cei_device_options *options, cei_device **device, ce_error *error);
void cei_device_close(cei_device *device); /* its buffers and streams were freed; NULL is fine */

/* Asks the device itself: is it alive, how much memory is free? Errors: DEVICE_LOST, DEVICE_FAULT. */
ce_status cei_device_status(cei_device *device, ce_device_info *info, ce_error *error);

/* Measures what the device could do at most, and fills speed->flops and speed->bandwidth (left alone without
 * with_bandwidth). Errors: UNSUPPORTED, DEVICE_*, MEMORY. */
ce_status cei_device_measure(cei_device *device, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                             ce_error *error);

/* bytes of device memory. Errors: DEVICE_MEMORY (needed, free, total), DEVICE_LOST, MEMORY. */
ce_status cei_buffer_create(cei_device *device, size_t bytes, cei_buffer **buffer, ce_error *error);
void cei_buffer_free(cei_buffer *buffer); /* also on a lost device; NULL is fine */
size_t cei_buffer_size(const cei_buffer *buffer);

/* Offsets of tensors in a buffer are multiples of this. */
enum { CEI_BUFFER_ALIGNMENT = 256 };

/* A place in device memory. */
typedef struct cei_slice {
    cei_buffer *buffer;
    size_t offset; /* bytes */
} cei_slice;

/* ---- weights ------------------------------------------------------------------------------------------------ */

/* How operations read a weight; the device chooses the layout by it. */
typedef enum cei_role {
    CEI_ROLE_VECTOR, /* [1, columns]: a bias, a norm's gain; float32 end to end on every device */
    CEI_ROLE_TABLE,  /* [rows, columns]: rows are picked by index */
    CEI_ROLE_MATRIX  /* [out, in]: y = x W^T */
} cei_role;

typedef struct cei_weight {
    cei_role role;
    size_t rows, columns;
    cei_slice at;      /* where its bytes are on the device */
    cei_format format; /* what its values are rounded to; FLOAT32 for a VECTOR */
    bool exact;        /* FLOAT32 in every precision: see cei_plan_round */
} cei_weight;

/* Bytes that a weight of such a role, shape and format takes on the device, a multiple of CEI_BUFFER_ALIGNMENT; 0 on
 * overflow. */
size_t cei_weight_bytes(const cei_device *device, const cei_weight *shape);

/* Writes rows [first, first + count) from values [count, columns] in host memory: float32 that have been rounded to the
 * weight's format (cei_values_round). scales [count] are those of an INT8 weight's rows, else NULL. Writing may be
 * split at any row, but is fastest at multiples of 64. Returns when values may be reused. Several threads may write
 * different rows at once, also from inside a task of the pool. Not in the order of any stream: what a stream wrote to
 * the same memory must have been followed by a cei_read. Errors: DEVICE_*. */
ce_status cei_weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                           const float *values, const float *scales, ce_error *error);

/* Reads rows back as they were written, whatever the layout. scales may be NULL but for INT8. Errors: DEVICE_*. */
ce_status cei_weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                          float *scales, ce_error *error);

/* The checksum of rows [first, first + count), computed by the device from its own memory and equal to
 * cei_checksum of the same float32 values in row-major order, whatever the layout (checksum.h). Errors: DEVICE_*. */
ce_status cei_weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                              uint64_t *checksum, ce_error *error);

/* ---- streams ------------------------------------------------------------------------------------------------ */

/* A stream runs its operations in order. Whatever scratch memory operations need for up to max_tokens tokens of up
 * to max_length each is allocated here, so that operations allocate nothing. Errors: DEVICE_MEMORY, MEMORY. */
typedef struct cei_stream_limits {
    size_t tokens;    /* in one batch */
    size_t sequence;  /* tokens of one sequence */
    size_t head_size; /* columns of one attention head */
    size_t columns;   /* the widest activation */
    bool alone;       /* operations run on the thread that calls them and use no other of the pool */
} cei_stream_limits;

ce_status cei_stream_create(cei_device *device, const cei_stream_limits *limits, cei_stream **stream, ce_error *error);
void cei_stream_free(cei_stream *stream); /* NULL is fine */

/* Does it compute on the threads of the pool that it was opened with? Then streams that are alone, one for each of
 * these threads, get more out of them than one that shares out each operation, as long as there are batches for all. */
bool cei_device_uses_pool(const cei_device *device);

/* Tokens of a batch that keep the device at work; 0 if it doesn't matter. */
size_t cei_device_batch_tokens(const cei_device *device);

/* Bytes of device memory that such a stream holds apart from buffers. */
size_t cei_stream_bytes(const cei_device *device, const cei_stream_limits *limits);

/* Copies host to device and device to host. What cei_write is given may be reused at once. cei_read returns when the
 * bytes are there, all operations before it done; faults of asynchronous operations are raised there. Errors:
 * DEVICE_*. */
ce_status cei_write(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error);
ce_status cei_read(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error);

/* ---- operations ---------------------------------------------------------------------------------------------
 * Rules for all: out may not overlap an input unless said. The result for a row depends on that row's inputs alone,
 * never on the other rows, their number or the threads, to the bit. Errors: DEVICE_*. */

typedef enum cei_op {
    CEI_OP_EMBED,
    CEI_OP_NORM,
    CEI_OP_LINEAR,
    CEI_OP_ATTENTION,
    CEI_OP_GATHER,
    CEI_OP_POOL,
    CEI_OP_NORMALIZE,
    CEI_OP_ANGLES,
    CEI_OP_ROTARY,
    CEI_OP_GATE,
    CEI_OP_ATTENTION_RELATIVE,
    CEI_OP_ATTENTION_CAUSAL, /* cei_attention, where cei_attention_op says so */
    CEI_OP_RMS_NORM,         /* cei_norm, of that kind */
    CEI_OP_HEAD_NORM,
    CEI_OP_COUNT
} cei_op;

const char *cei_op_name(cei_op op);

/* Does the device do op in this precision? Asked for each op that a model needs before any weight is sent. */
bool cei_device_supports(const cei_device *device, cei_op op, ce_precision precision);

/* Does the device take attention's products in bfloat16 in this precision? Then Q (times scale / cap, where scores are
 * capped), K, V and the exponentials of a row, once they are added up, are rounded as cei_round_bfloat16 does it, and
 * the self-test's reference rounds them too (device/ref/ref.h): in int8 their roundings would else look like errors. */
bool cei_device_rounds_attention(const cei_device *device, ce_precision precision);

/* Elementwise functions that a linear layer applies to its result. */
typedef enum cei_function {
    CEI_FN_IDENTITY,
    CEI_FN_GELU,       /* x/2 (1 + erf(x / sqrt 2)) */
    CEI_FN_GELU_TANH,  /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    CEI_FN_GELU_QUICK, /* x sigmoid(1.702 x) */
    CEI_FN_RELU,
    CEI_FN_SILU, /* x sigmoid(x) */
    CEI_FN_TANH,
    CEI_FN_SIGMOID,
    CEI_FN_COUNT
} cei_function;

/* out[t] = scale * word[ids[t]] + position[positions[t]] + type[types[t]], float32 [tokens, columns]. The sum is taken
 * in that order of word, type, position as the reference does: (word + type) + position. A scaled word has neither. */
typedef struct cei_embed_args {
    size_t tokens;
    cei_slice ids, positions, types;          /* int32 [tokens], each a valid row */
    const cei_weight *word, *position, *type; /* tables of equal columns; position or type NULL is none: its indices
                                                 are not read */
    float scale;                              /* 0 is none */
    cei_slice out;
} cei_embed_args;
ce_status cei_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error);

/* out = gain * (v - mean(v)) / sqrt(var(v) + epsilon) + bias for each row v = x (+ residual), var the biased
 * variance (Ba et al. 2016); or, of an RMS norm, gain * v / sqrt(mean(v^2) + epsilon) (Zhang and Sennrich 2019), which
 * has no bias. out may be x or residual. Where the norm is behind the residual, v is of no further use;
 * where it is before the next layer, v is that layer's residual, and goes to sum. */
typedef struct cei_norm_args {
    size_t rows;
    cei_slice x;
    const cei_slice *residual; /* NULL is none */
    const cei_weight *gain;
    const cei_weight *bias; /* NULL is none */
    float epsilon;
    cei_slice out;
    const cei_slice *sum; /* receives v; may be x or residual, not out; NULL is not wanted */
    bool rms;
    bool adds_one;          /* of an RMS norm: gain + 1 stands for gain */
    const cei_weight *next; /* NULL, or the weight of linear layers that also read out, one operation on: see below */
} cei_norm_args;
ce_status cei_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error);

/* out [rows, out] = function(x [rows, in] W^T + bias). With a BFLOAT16 weight, x may be rounded to bfloat16 first; with
 * an INT8 weight each row of x may be rounded as cei_round_activations says. Sums are float32, or exact integers. */
typedef struct cei_linear_args {
    size_t rows;
    cei_slice x;
    const cei_weight *weight; /* MATRIX [out, in] */
    const cei_weight *bias;   /* VECTOR [out]; NULL is none */
    cei_function function;
    cei_slice out;
    /* NULL, or the weight of linear layers that alone read out, one operation on: a device may then keep out in the
     * form in which it multiplies, and leave its memory as it was. */
    const cei_weight *next;
    /* NULL, or the arguments of the cei_attention that alone reads out, one operation on: a device may then keep out in
     * the form in which that multiplies, in out's own memory even, which is undefined until it is written again. Read
     * before the call returns. Not beside next. */
    const struct cei_attention_args *attention;
} cei_linear_args;
ce_status cei_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error);

/* A float32 matrix whose rows begin stride floats apart: whole, or some columns of a wider one. */
typedef struct cei_strided {
    cei_slice at; /* the first row */
    size_t stride;
} cei_strided;

/* The RMS norm of each head of x [rows, heads * gain's columns] by itself, in place; one gain for all heads. Heads that
 * lie side by side may be normed together. */
typedef struct cei_head_norm_args {
    size_t rows, heads;
    cei_strided x;
    const cei_weight *gain;
    float epsilon;
    bool adds_one; /* gain + 1 stands for gain */
} cei_head_norm_args;
ce_status cei_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error);

/* softmax(scale * Q K^T) V in each head of each sequence of a packed batch (Vaswani et al. 2017): sequence s is the
 * tokens offsets[s] .. offsets[s + 1] - 1, and attends to itself alone: each token to all, or, where there is a window,
 * to those that are at most so far away (Beltagy et al. 2020), and, where it is causal, to none behind it; what is not
 * seen costs nothing. k and v are [tokens, key_heads * head_size]: each head of theirs is read by as many of the
 * queries', one after the other (Ainslie et al. 2023). With a cap, a score s is cap * tanh(s / cap) instead. q and out
 * have a row for each token or, where only the first or the last token of each sequence is asked for, for each
 * sequence; the row of a sequence without tokens is then left alone. A query's result is the same either way, to the
 * bit. */
typedef struct cei_attention_args {
    size_t tokens, sequences, longest;
    cei_slice offsets; /* int32 [sequences + 1], from 0 to tokens */
    cei_strided q, k, v;
    bool first_only, last_only; /* not both */
    size_t heads, head_size;
    size_t key_heads; /* divides heads; 0 is as many */
    size_t window;    /* 0 is none */
    bool causal;
    float scale;
    float cap; /* above 0; 0 is none */
    cei_slice out;
    ce_precision precision; /* the least that products may be taken in: a device may do better */
    const cei_weight *next; /* as of linear layers */
} cei_attention_args;

/* Heads of keys, and of values. */
static inline size_t cei_attention_key_heads(const cei_attention_args *args) {
    return args->key_heads ? args->key_heads : args->heads;
}

/* Is one token of each sequence asked for? */
static inline bool cei_attention_asks_one(const cei_attention_args *args) {
    return args->first_only || args->last_only;
}

/* What a device is asked for that is to do this: more than plain attention, or that alone. */
static inline cei_op cei_attention_op(const cei_attention_args *args) {
    const bool shares = cei_attention_key_heads(args) != args->heads;
    return args->causal || args->last_only || shares || args->cap > 0 ? CEI_OP_ATTENTION_CAUSAL : CEI_OP_ATTENTION;
}

/* Sets q, k and v for qkv [tokens, (heads + 2 key_heads) * head_size]: all of a token's queries, then keys, then
 * values. */
static inline void cei_attention_take_qkv(cei_attention_args *args, cei_slice qkv) {
    const size_t queries = args->heads * args->head_size, keys = cei_attention_key_heads(args) * args->head_size;
    const size_t columns[] = {0, queries, queries + keys};
    cei_strided *const parts[] = {&args->q, &args->k, &args->v};
    for (size_t i = 0; i < 3; i++)
        *parts[i] = (cei_strided){{qkv.buffer, qkv.offset + columns[i] * sizeof(float)}, queries + 2 * keys};
}

/* How many keys the query at a place of a sequence of so many tokens sees, from *first on. To a causal one the sequence
 * ends with itself: length is place + 1. */
static inline size_t cei_attention_sees(size_t window, size_t place, size_t length, size_t *first) {
    const bool is_wide = window == 0 || window >= length;
    *first = is_wide || place < window ? 0 : place - window;
    const size_t end = is_wide || length - place <= window ? length : place + window + 1;
    return end - *first;
}

ce_status cei_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error);

/* The angles of rotary positions (Su et al. 2021): row p of out, for positions p < count, has the cosines of
 * p frequencies[i], then their sines. The products are rounded to float32: so are the reference's, and at far positions
 * that is more than all other rounding. */
typedef struct cei_angles_args {
    size_t count, half;
    const float *frequencies; /* [half], in host memory; read before the call returns */
    cei_slice out;            /* [count, 2 half] */
} cei_angles_args;
ce_status cei_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error);

/* Turns the columns i and i + half of each head of x [rows, heads * 2 half], in place, by the angles of the row's
 * position: (a, b) becomes (a cos - b sin, b cos + a sin). Heads that lie side by side, of queries and keys, may be
 * turned together. */
typedef struct cei_rotary_args {
    size_t rows, heads, half;
    cei_slice positions; /* int32 [rows], each below count */
    cei_slice angles;    /* [count, 2 half], of cei_angles */
    size_t count;
    cei_strided x;
} cei_rotary_args;
ce_status cei_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error);

/* out = function(a) * b, elementwise: a gated linear unit's (Shazeer 2020) behind its product, [rows, columns]. */
typedef struct cei_gate_args {
    size_t rows, columns;
    cei_strided a, b;
    cei_function function;
    cei_slice out;
} cei_gate_args;
ce_status cei_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error);

/* What a distance between two tokens of a sequence stands for in relative attention: one of the first rows of each head
 * in a weight of heads * rows_per_head rows, head by head. places is int32 [2 longest - 1]: entry longest - 1 + d is
 * the row of the distance d. An entry is that before it or one more, and all are below rows_per_head, which is a
 * multiple of CEI_PANEL_ROWS, so that each head begins a panel in whatever layout a device has. */
typedef struct cei_distances {
    const cei_weight *weight; /* FLOAT32; NULL is none, and places is not read */
    cei_slice places;
    size_t rows_per_head;
} cei_distances;

enum { CEI_PANEL_ROWS = 32 };

/* Attention in which distances count (He et al. 2021, Raffel et al. 2020): query i and key j of a head, d = j - i, have
 * the score
 *
 *     scale * (q_i k_j + q_i keys[d] + k_j queries[-d] + bias[d])
 *
 * keys and queries are MATRIX [heads * rows_per_head, head_size], bias is a TABLE [heads * rows_per_head, 1]. There is
 * no window, and nothing of what CEI_OP_ATTENTION_CAUSAL stands for; all else is as cei_attention does it. */
typedef struct cei_attention_relative_args {
    cei_attention_args attention;
    cei_distances keys, queries, bias;
} cei_attention_relative_args;
ce_status cei_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error);

/* out[i] = x[rows[i]], [count, columns]. */
typedef struct cei_gather_args {
    size_t count, columns;
    cei_slice x;
    cei_slice rows; /* int32 [count] */
    cei_slice out;
} cei_gather_args;
ce_status cei_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error);

/* How the rows x_1 .. x_n of a sequence become one. The first `skipped` of them don't count, though their places do. */
typedef enum cei_pooling {
    CEI_POOL_FIRST,     /* the first row that counts; x_1 if none does */
    CEI_POOL_MAX,       /* the greatest value of each column; -infinity if no row counts */
    CEI_POOL_MEAN,      /* sum x_i / count of the rows that count; here and below, 0 if none does */
    CEI_POOL_MEAN_SQRT, /* sum x_i / sqrt(count) */
    CEI_POOL_WEIGHTED,  /* sum i x_i / sum i */
    CEI_POOL_LAST,      /* x_n */
    CEI_POOL_COUNT
} cei_pooling;

/* out[s] = the pooled rows offsets[s] .. offsets[s + 1] - 1 of x [tokens, columns]; zeros for a sequence without rows.
 */
typedef struct cei_pool_args {
    size_t tokens, sequences, columns;
    cei_slice x;
    cei_slice offsets; /* int32 [sequences + 1], from 0 to tokens */
    cei_pooling pooling;
    size_t skipped; /* rows of each sequence */
    cei_strided out;
} cei_pool_args;
ce_status cei_pool_rows(cei_stream *stream, const cei_pool_args *args, ce_error *error);

/* out[r] = x[r] / max(|x[r]|, 1e-12), |x| the Euclidean norm, [rows, columns]. out may be x. */
typedef struct cei_normalize_args {
    size_t rows, columns;
    cei_slice x, out;
} cei_normalize_args;
ce_status cei_normalize_rows(cei_stream *stream, const cei_normalize_args *args, ce_error *error);

/* ---- lists of operations on rows ----------------------------------------------------------------------------- */

/* An operation that makes each row of its result of the same row of what it reads. */
typedef struct cei_row_op {
    cei_op op;         /* LINEAR, NORM (of either kind), HEAD_NORM, ROTARY or GATE: the member of `of` that counts */
    bool is_temporary; /* of LINEAR, NORM and GATE: operations behind it in the list alone read out, and its memory is
                          undefined behind the list unless one of them writes there again */
    union {
        cei_linear_args linear;
        cei_norm_args norm;
        cei_head_norm_args head_norm;
        cei_rotary_args rotary;
        cei_gate_args gate;
    } of;
} cei_row_op;

enum { CEI_ROW_OPS = 16 }; /* the most of a list */

/* Runs operations on equally many rows as if one after the other, to the same bits. A device may take some rows through
 * the whole list before it begins with the next, so that what is made between stays in a cache, and what is temporary
 * never reaches memory. So matrices that the list reads or writes may lie in each other's memory only row by row, with
 * equal strides, but for what is temporary: its memory may be any that nothing of the list reads behind it as it was
 * before. Errors: those of the operations. */
ce_status cei_run_rows(cei_stream *stream, const cei_row_op *ops, size_t count, ce_error *error);

#endif
