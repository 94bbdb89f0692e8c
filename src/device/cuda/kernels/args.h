/* args.h - what the driver hands to each kernel: one struct, shared by the kernels and the host code that launches
 * them. Pointers are device memory. Matrices are row-major; sizes are elements. Plain C for three compilers: see
 * gpu.h. */
#ifndef CEI_CUDA_ARGS_H
#define CEI_CUDA_ARGS_H

/* How the values of a weight lie: numbered as cei_format is. Rows of a weight follow each other; those of an INT8 one
 * are padded to CEI_INT8_STEP bytes, so that four values are one word. */
enum { CEI_VALUES_FLOAT32, CEI_VALUES_BFLOAT16, CEI_VALUES_FLOAT16, CEI_VALUES_INT8 };
enum { CEI_INT8_STEP = 16 };

/* A matrix of weights, of any format. */
typedef struct cei_values_args {
    const void *values;  /* [rows, columns] of float, unsigned short or signed char */
    const float *scales; /* [rows], of INT8 */
    const int *sums;     /* [rows], of INT8: the sum of each row's integers */
    unsigned rows, columns;
    unsigned stride; /* elements from a row to the next */
    unsigned format;
    unsigned tiles; /* across, of a matrix that lies in tiles as tiles.h has it; of others 0 */
} cei_values_args;

/* 16 bytes that are read at once. */
typedef struct __attribute__((aligned(16))) cei_four_words {
    unsigned word[4];
} cei_four_words;

typedef struct __attribute__((aligned(16))) cei_four_floats {
    float value[4];
} cei_four_floats;

typedef struct __attribute__((aligned(8))) cei_two_floats {
    float value[2];
} cei_two_floats;

typedef struct __attribute__((aligned(8))) cei_two_words {
    unsigned word[2];
} cei_two_words;

typedef struct cei_embed_kernel_args {
    const int *ids, *positions, *types; /* [tokens] */
    cei_values_args word, position, type;
    unsigned has_position, has_type;
    float scale;       /* of words; 0 is none */
    float *out;        /* [tokens, columns] */
    unsigned in_fours; /* columns are whole fours, and out and the tables aligned to 16 bytes */
} cei_embed_kernel_args;

/* Of rows, or of heads that lie side by side in rows of stride columns. */
typedef struct cei_norm_kernel_args {
    const float *x, *residual, *gain, *bias; /* residual and bias may be NULL */
    float *out, *sum;                        /* sum, which receives x + residual, may be NULL */
    unsigned rows, heads, stride, columns;
    float epsilon;
    unsigned is_rms;
    float base; /* added to the gain */
    /* 1, 2 or 4 that share a row in registers: CEI_NORM_WIDTH columns each at most, in all a multiple of CEI_NORM_STEP,
     * stride a multiple of 4 and all pointers of 16 bytes; or 0, any row. */
    unsigned warps;
    unsigned char *rounded; /* the rows rounded as well, in tiles, of one head; NULL: not wanted */
    unsigned rounded_tiles; /* across, just enough for the columns */
    unsigned in_halves;     /* rounded: float16, not bfloat16 */
    float *scales;          /* [rows]: rounded to integers, by warps that share a row; or NULL */
    int *zeros;
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
    signed char *rounded; /* [rows, stride]: integers less 128, zeros behind the columns; in tiles, if there are any */
    float *scales;        /* [rows] */
    int *zeros;           /* [rows]: less 128 as well */
    unsigned tiles;
    /* 1, 2 or 4 that share a row in registers: columns are whole fours, CEI_ROUND_COLUMNS at most by four warps, and x
     * is aligned to 16 bytes; or 0, any row. */
    unsigned warps;
} cei_round_kernel_args;

/* Rounds activations to bfloat16, or float16, in chunks of eight. */
typedef struct cei_round_16_kernel_args {
    const float *x;           /* [rows, chunks, 8] */
    cei_four_words *rounded;  /* [rows, chunks]: the first of two in a word's lower half; in tiles, if there are any */
    unsigned long long count; /* of chunks, in all rows */
    unsigned chunks, tiles, in_halves;
} cei_round_16_kernel_args;

typedef struct cei_linear_rounded_kernel_args {
    cei_linear_kernel_args linear; /* whose x is not read */
    const void *rounded;           /* [rows, stride] */
    unsigned stride;               /* bytes from a row to the next, also of the weight; of no use in tiles */
    const float *scales;           /* of INT8, as above */
    const int *zeros;
} cei_linear_rounded_kernel_args;

/* The same where rows and the weight lie in tiles. */
typedef struct cei_group_kernel_args {
    cei_linear_rounded_kernel_args of;
    void *next;          /* receives the results in 16 bits instead of out; or NULL. For few functions: see CEI_QUICK */
    unsigned next_tiles; /* across; 0: there are none, the results lie in rows of whole chunks of 16 bytes */
    unsigned in_halves;  /* next: float16, not bfloat16 */
    unsigned down, across, band, step; /* what blocks make: see cei_find_results; a block makes the results that have
                                        * its number, and those that are step on */
} cei_group_kernel_args;

/* Moves chunks of 16 bytes of rows that follow each other into tiles, or takes them from there. */
typedef struct cei_tiles_kernel_args {
    unsigned char *matrix;
    cei_four_words *rows;     /* [count] */
    unsigned long long first; /* of the matrix's chunks, row by row */
    unsigned long long count;
    unsigned chunks; /* of a row */
    unsigned tiles, takes;
} cei_tiles_kernel_args;

/* Of which tokens of a sequence attention is asked for. */
enum { CEI_ASKED_ALL, CEI_ASKED_FIRST, CEI_ASKED_LAST };

typedef struct cei_attention_kernel_args {
    const int *offsets;     /* [sequences + 1] */
    const float *q, *k, *v; /* of cei_k_attention_halves, halves */
    unsigned q_stride, k_stride, v_stride;
    float *out;                 /* [queries, heads * head_size] */
    unsigned tokens, tiles;     /* tiles of queries a sequence */
    unsigned asked, head_size;  /* heads are the grid's second dimension */
    unsigned heads, shared;     /* heads that read the same one of keys and values */
    unsigned window, is_causal; /* no window: 0 */
    float scale, cap;           /* no cap: 0 */
    unsigned char *next;        /* receives the results in 16 bits, in tiles, instead of out; or NULL */
    unsigned next_tiles;        /* across */
    unsigned in_halves;         /* next: float16, not bfloat16 */
} cei_attention_kernel_args;

typedef struct cei_distances_kernel_args {
    const float *rows; /* [heads * rows_per_head, head_size or 1]; NULL is none */
    const int *places; /* [2 longest - 1], the distance 0 in the middle */
    unsigned rows_per_head;
} cei_distances_kernel_args;

typedef struct cei_attention_relative_kernel_args {
    cei_attention_kernel_args attention;
    cei_distances_kernel_args keys, queries, bias;
    unsigned longest; /* at least 1 */
} cei_attention_relative_kernel_args;

typedef struct cei_gate_kernel_args {
    const float *a, *b;
    float *out; /* [rows, columns] */
    unsigned a_stride, b_stride, columns, function;
    unsigned in_fours; /* columns and strides are whole fours, and a, b and out aligned to 16 bytes */
} cei_gate_kernel_args;

/* A block's threads are enough for half, which is at most half a head. */
enum { CEI_MOST_FREQUENCIES = 128 };

typedef struct cei_angles_kernel_args {
    float *out; /* [positions, 2 half] */
    unsigned half;
    float frequencies[CEI_MOST_FREQUENCIES];
} cei_angles_kernel_args;

typedef struct cei_rotary_kernel_args {
    const int *positions; /* [rows] */
    const float *angles;  /* [count, 2 half] */
    float *x;
    unsigned heads, half, count, stride;
} cei_rotary_kernel_args;

typedef struct cei_gather_kernel_args {
    const float *x;
    const int *rows; /* [count] */
    float *out;      /* [count, columns] */
    unsigned columns;
    unsigned x_rows;   /* that x has at most; others give NaN */
    unsigned in_fours; /* columns are whole fours, and x and out aligned to 16 bytes */
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

/* Measuring: see measure.cu. */
typedef struct cei_measure_kernel_args {
    float *out; /* [threads of all blocks] */
    unsigned rounds;
    float factor;
} cei_measure_kernel_args;

typedef struct cei_reading_kernel_args {
    const cei_four_words *data; /* [count] */
    unsigned *out;              /* [threads of all blocks] */
    unsigned long long count;
    unsigned blocks;
} cei_reading_kernel_args;

enum { CEI_MEASURE_CHAINS = 8 /* of a thread */, CEI_WARP_THREADS = 32 };

enum { CEI_CHECKSUM_BLOCKS = 64 /* at most */, CEI_CHECKSUM_VALUES = 8 /* of a thread, or more of them */ };

/* A tile of a matrix for warp groups: see tiles.h. */
enum {
    CEI_TILE_ROWS = 64,
    CEI_TILE_WIDTH = 128, /* bytes */
    CEI_TILE_BYTES = CEI_TILE_ROWS * CEI_TILE_WIDTH,
    CEI_TILE_CHUNKS = CEI_TILE_WIDTH / 16, /* of a row */
    CEI_CHUNK_NUMBERS = 8                  /* of 16 bits */
};

/* Threads of a block, and what a block does. */
enum {
    CEI_LINEAR_THREADS = 256,
    CEI_LARGE_TILE = 128, /* rows, and columns, of a product */
    CEI_SMALL_TILE = 64,
    CEI_GROUP_THREADS = 128, /* of a warp group; a block has some, and warps that copy */
    CEI_WIDE_COLUMNS = 256,  /* of a block of 128 rows */
    CEI_LARGE_BLOCKS = 2,    /* that share a multiprocessor: one multiplies while the other writes */
    CEI_WIDE_STAGES = 4,     /* steps over the depth that are in shared memory at a time */
    CEI_LARGE_STAGES = 3,
    CEI_SMALL_STAGES = 12,
    CEI_WIDE_REGISTERS = 240, /* of a thread that multiplies */
    CEI_COPIERS_REGISTERS = 24,
    CEI_WIDE_COPIERS = 4, /* warps, a whole group, which leaves its registers to the others */
    CEI_LARGE_COPIERS = 2,
    CEI_SMALL_COPIERS = 2,
    CEI_WIDE_GROUPS = CEI_LARGE_TILE / CEI_TILE_ROWS * CEI_GROUP_THREADS + CEI_WIDE_COPIERS * CEI_WARP_THREADS,
    CEI_LARGE_GROUPS = CEI_LARGE_TILE / CEI_TILE_ROWS * CEI_GROUP_THREADS + CEI_LARGE_COPIERS * CEI_WARP_THREADS,
    CEI_SMALL_GROUPS = CEI_GROUP_THREADS + CEI_SMALL_COPIERS * CEI_WARP_THREADS,
    CEI_WARP_ROWS = 16, /* of a group's tile */
    CEI_WARP_RESULTS_BYTES = CEI_WARP_ROWS * CEI_TILE_WIDTH,
    CEI_SIGNALS_BYTES = 1024, /* in front of the stages, which begin at a multiple of that */
    CEI_WIDE_SHARED = CEI_SIGNALS_BYTES + CEI_WIDE_STAGES * (CEI_LARGE_TILE + CEI_WIDE_COLUMNS) * CEI_TILE_WIDTH +
                      CEI_LARGE_TILE * CEI_TILE_WIDTH,
    CEI_LARGE_SHARED =
        CEI_SIGNALS_BYTES + CEI_LARGE_STAGES * 2 * CEI_LARGE_TILE * CEI_TILE_WIDTH + CEI_LARGE_TILE * CEI_TILE_WIDTH,
    CEI_SMALL_SHARED = CEI_SIGNALS_BYTES + CEI_SMALL_STAGES * 2 * CEI_TILE_BYTES + CEI_TILE_BYTES,
    CEI_MEASURE_SHARED = 3 * CEI_TILE_BYTES,
    CEI_FEW_ROWS = 16, /* at most, and columns of a block, a thread a result */
    CEI_FEW_COLUMNS = 8,
    CEI_ATTENTION_THREADS = 128,
    CEI_ATTENTION_QUERIES = 16,
    CEI_ATTENTION_HEAD = 256, /* the most columns of a head */
    CEI_TENSOR_QUERIES = 64,  /* the same on tensor cores */
    CEI_TENSOR_HEAD = 64,
    CEI_TENSOR_STEP = 16,   /* columns */
    CEI_ROWS_THREADS = 128, /* a warp a row */
    CEI_ROWS_OF_BLOCK = 4,
    CEI_NORM_STEP = 128,  /* columns that a warp reads at once */
    CEI_NORM_WIDTH = 512, /* that it keeps in registers at most */
    CEI_NORM_COLUMNS = 2048 /* that a block does */,
    CEI_ROUND_COLUMNS = 4096, /* the same of rows that become integers */
    CEI_PLAIN_THREADS = 128
};

/* Every kernel: its name, its arguments, threads of a block, the least capability that an image needs to have it, and
 * bytes of shared memory that a launch gives to a block. The driver looks up all that the image has when a device is
 * opened. */
#define CEI_CUDA_KERNELS(X)                                                                              \
    X(cei_k_embed, cei_embed_kernel_args, CEI_PLAIN_THREADS, 0, 0)                                       \
    X(cei_k_norm, cei_norm_kernel_args, CEI_ROWS_THREADS, 0, 0)                                          \
    X(cei_k_linear, cei_linear_kernel_args, CEI_LINEAR_THREADS, 0, 0)                                    \
    X(cei_k_linear_small, cei_linear_kernel_args, CEI_LINEAR_THREADS, 0, 0)                              \
    X(cei_k_linear_few, cei_linear_kernel_args, CEI_FEW_ROWS *CEI_FEW_COLUMNS, 0, 0)                     \
    X(cei_k_linear_int8, cei_linear_rounded_kernel_args, CEI_LINEAR_THREADS, 0, 0)                       \
    X(cei_k_tensor_bfloat16, cei_linear_rounded_kernel_args, CEI_LINEAR_THREADS, 80, 0)                  \
    X(cei_k_tensor_bfloat16_small, cei_linear_rounded_kernel_args, CEI_LINEAR_THREADS, 80, 0)            \
    X(cei_k_tensor_float16, cei_linear_rounded_kernel_args, CEI_LINEAR_THREADS, 80, 0)                   \
    X(cei_k_tensor_float16_small, cei_linear_rounded_kernel_args, CEI_LINEAR_THREADS, 80, 0)             \
    X(cei_k_tensor_int8, cei_linear_rounded_kernel_args, CEI_LINEAR_THREADS, 80, 0)                      \
    X(cei_k_tensor_int8_small, cei_linear_rounded_kernel_args, CEI_LINEAR_THREADS, 80, 0)                \
    X(cei_k_group_bfloat16, cei_group_kernel_args, CEI_LARGE_GROUPS, 90, CEI_LARGE_SHARED)               \
    X(cei_k_group_bfloat16_wide, cei_group_kernel_args, CEI_WIDE_GROUPS, 90, CEI_WIDE_SHARED)            \
    X(cei_k_group_bfloat16_small, cei_group_kernel_args, CEI_SMALL_GROUPS, 90, CEI_SMALL_SHARED)         \
    X(cei_k_group_float16, cei_group_kernel_args, CEI_LARGE_GROUPS, 90, CEI_LARGE_SHARED)                \
    X(cei_k_group_float16_wide, cei_group_kernel_args, CEI_WIDE_GROUPS, 90, CEI_WIDE_SHARED)             \
    X(cei_k_group_float16_small, cei_group_kernel_args, CEI_SMALL_GROUPS, 90, CEI_SMALL_SHARED)          \
    X(cei_k_group_int8, cei_group_kernel_args, CEI_LARGE_GROUPS, 90, CEI_LARGE_SHARED)                   \
    X(cei_k_group_int8_wide, cei_group_kernel_args, CEI_WIDE_GROUPS, 90, CEI_WIDE_SHARED)                \
    X(cei_k_group_int8_small, cei_group_kernel_args, CEI_SMALL_GROUPS, 90, CEI_SMALL_SHARED)             \
    X(cei_k_lay_tiles, cei_tiles_kernel_args, CEI_LINEAR_THREADS, 90, 0)                                 \
    X(cei_k_round, cei_round_kernel_args, CEI_ROWS_THREADS, 0, 0)                                        \
    X(cei_k_round_16, cei_round_16_kernel_args, CEI_LINEAR_THREADS, 0, 0)                                \
    X(cei_k_attention, cei_attention_kernel_args, CEI_ATTENTION_THREADS, 0, 0)                           \
    X(cei_k_attention_tensor, cei_attention_kernel_args, CEI_ATTENTION_THREADS, 80, 0)                   \
    X(cei_k_attention_halves, cei_attention_kernel_args, CEI_ATTENTION_THREADS, 90, 0)                   \
    X(cei_k_attention_relative, cei_attention_relative_kernel_args, CEI_ATTENTION_THREADS, 0, 0)         \
    X(cei_k_angles, cei_angles_kernel_args, CEI_PLAIN_THREADS, 0, 0)                                     \
    X(cei_k_rotary, cei_rotary_kernel_args, CEI_PLAIN_THREADS, 0, 0)                                     \
    X(cei_k_gate, cei_gate_kernel_args, CEI_PLAIN_THREADS, 0, 0)                                         \
    X(cei_k_gather, cei_gather_kernel_args, CEI_PLAIN_THREADS, 0, 0)                                     \
    X(cei_k_pool, cei_pool_kernel_args, CEI_PLAIN_THREADS, 0, 0)                                         \
    X(cei_k_normalize, cei_normalize_kernel_args, CEI_ROWS_THREADS, 0, 0)                                \
    X(cei_k_measure_float32, cei_measure_kernel_args, CEI_LINEAR_THREADS, 0, 0)                          \
    X(cei_k_measure_int8, cei_measure_kernel_args, CEI_LINEAR_THREADS, 0, 0)                             \
    X(cei_k_measure_tensor_bfloat16, cei_measure_kernel_args, CEI_LINEAR_THREADS, 80, 0)                 \
    X(cei_k_measure_tensor_int8, cei_measure_kernel_args, CEI_LINEAR_THREADS, 80, 0)                     \
    X(cei_k_measure_group_bfloat16, cei_measure_kernel_args, CEI_LINEAR_THREADS, 90, CEI_MEASURE_SHARED) \
    X(cei_k_measure_group_int8, cei_measure_kernel_args, CEI_LINEAR_THREADS, 90, CEI_MEASURE_SHARED)     \
    X(cei_k_measure_reading, cei_reading_kernel_args, CEI_LINEAR_THREADS, 0, 0)                          \
    X(cei_k_checksum, cei_checksum_kernel_args, CEI_LINEAR_THREADS, 0, 0)

#endif
