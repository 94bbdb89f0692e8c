/* args.h - what the driver hands to each kernel: one struct, shared by the kernels and the host code that launches
 * them. Pointers are device memory. Matrices are row-major; sizes are elements. Plain C for three compilers: see
 * gpu.h. */
#ifndef CEI_CUDA_ARGS_H
#define CEI_CUDA_ARGS_H

/* How the values of a weight lie: numbered as cei_format is. Rows of a weight in FLOAT32 or BFLOAT16 follow each other;
 * those of an INT8 one are padded to CEI_INT8_STEP bytes, so that four values are one word. */
enum { CEI_VALUES_FLOAT32, CEI_VALUES_BFLOAT16, CEI_VALUES_INT8 };
enum { CEI_INT8_STEP = 16 };

/* A matrix of weights, of any format. */
typedef struct cei_values_args {
    const void *values;  /* [rows, columns] of float, unsigned short or signed char */
    const float *scales; /* [rows], of INT8 */
    const int *sums;     /* [rows], of INT8: the sum of each row's integers */
    unsigned rows, columns;
    unsigned stride; /* elements from a row to the next */
    unsigned format;
} cei_values_args;

typedef struct cei_embed_kernel_args {
    const int *ids, *positions, *types; /* [tokens] */
    cei_values_args word, position, type;
    unsigned has_type;
    float *out; /* [tokens, columns] */
} cei_embed_kernel_args;

typedef struct cei_norm_kernel_args {
    const float *x, *residual, *gain, *bias; /* residual may be NULL */
    float *out;
    unsigned rows, columns;
    float epsilon;
} cei_norm_kernel_args;

typedef struct cei_linear_kernel_args {
    const float *x;    /* [rows, weight.columns] */
    const float *bias; /* [weight.rows], or NULL */
    cei_values_args weight;
    float *out; /* [rows, weight.rows] */
    unsigned rows, function;
} cei_linear_kernel_args;

/* Rounds rows of activations to integers: see cei_activation_scale. */
typedef struct cei_round_kernel_args {
    const float *x; /* [rows, columns] */
    unsigned rows, columns, stride;
    signed char *rounded; /* [rows, stride]: integers less 128, zeros behind the columns */
    float *scales;        /* [rows] */
    int *zeros;           /* [rows]: less 128 as well */
} cei_round_kernel_args;

typedef struct cei_linear_int8_kernel_args {
    cei_linear_kernel_args linear; /* whose x is not read */
    const signed char *rounded;    /* as above, stride that of the weight */
    const float *scales;
    const int *zeros;
} cei_linear_int8_kernel_args;

typedef struct cei_attention_kernel_args {
    const int *offsets; /* [sequences + 1] */
    const float *q, *k, *v;
    unsigned q_stride, k_stride, v_stride;
    float *out;                     /* [queries, heads * head_size] */
    unsigned tokens, tiles;         /* tiles of queries a sequence */
    unsigned first_only, head_size; /* heads are the grid's second dimension */
    unsigned heads;
    float scale;
} cei_attention_kernel_args;

typedef struct cei_gather_kernel_args {
    const float *x;
    const int *rows; /* [count] */
    float *out;      /* [count, columns] */
    unsigned columns;
    unsigned x_rows; /* that x has at most; others give NaN */
} cei_gather_kernel_args;

typedef struct cei_pool_kernel_args {
    const float *x;     /* [tokens, columns] */
    const int *offsets; /* [sequences + 1] */
    float *out;
    unsigned tokens, columns, stride, pooling, skipped;
} cei_pool_kernel_args;

typedef struct cei_normalize_kernel_args {
    const float *x;
    float *out;
    unsigned rows, columns;
} cei_normalize_kernel_args;

/* Sums for cei_checksum, of rows [first, first + count) of a weight: see checksum.cu. */
typedef struct cei_checksum_kernel_args {
    cei_values_args weight;
    unsigned first, count, blocks;
    unsigned long long *sums; /* [blocks, 2] */
} cei_checksum_kernel_args;

enum { CEI_CHECKSUM_BLOCKS = 64 /* at most */, CEI_CHECKSUM_VALUES = 8 /* of a thread, or more of them */ };

/* Threads of a block, and what a block does. */
enum {
    CEI_LINEAR_THREADS = 256,
    CEI_LINEAR_ROWS = 64,
    CEI_LINEAR_COLUMNS = 64,
    CEI_ATTENTION_THREADS = 128,
    CEI_ATTENTION_QUERIES = 16,
    CEI_ATTENTION_HEAD = 256, /* the most columns of a head */
    CEI_ROWS_THREADS = 128,   /* a warp a row */
    CEI_ROWS_OF_BLOCK = 4,
    CEI_PLAIN_THREADS = 128
};

/* Every kernel: its name, its arguments, threads of a block, and the least capability that an image needs to have it.
 * The driver looks up all that the image has when a device is opened. */
#define CEI_CUDA_KERNELS(X)                                                  \
    X(cei_k_embed, cei_embed_kernel_args, CEI_PLAIN_THREADS, 0)              \
    X(cei_k_norm, cei_norm_kernel_args, CEI_ROWS_THREADS, 0)                 \
    X(cei_k_linear, cei_linear_kernel_args, CEI_LINEAR_THREADS, 0)           \
    X(cei_k_linear_bfloat16, cei_linear_kernel_args, CEI_LINEAR_THREADS, 80) \
    X(cei_k_linear_int8, cei_linear_int8_kernel_args, CEI_LINEAR_THREADS, 0) \
    X(cei_k_round, cei_round_kernel_args, CEI_ROWS_THREADS, 0)               \
    X(cei_k_attention, cei_attention_kernel_args, CEI_ATTENTION_THREADS, 0)  \
    X(cei_k_gather, cei_gather_kernel_args, CEI_PLAIN_THREADS, 0)            \
    X(cei_k_pool, cei_pool_kernel_args, CEI_PLAIN_THREADS, 0)                \
    X(cei_k_normalize, cei_normalize_kernel_args, CEI_ROWS_THREADS, 0)       \
    X(cei_k_checksum, cei_checksum_kernel_args, CEI_LINEAR_THREADS, 0)

#endif
