/* attention.cu - softmax(scale Q K^T) V over packed sequences, in one pass over the keys (Dao et al. 2022): no matrix
 * of scores is ever in memory. A block takes CEI_ATTENTION_QUERIES queries of one head of one sequence.
 *
 * Keys go by in tiles of 32 from the sequence's own beginning, and columns of a head in pieces of 64. Eight threads
 * share a query: its scores, its running maximum and sum, and its results, an eighth of the columns each. So a query's
 * result depends on its sequence alone, wherever in a tile it stands. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/math.h"

enum {
    CEI_KEYS = 32,  /* of a tile */
    CEI_PIECE = 64, /* columns */
    CEI_PIECES = CEI_ATTENTION_HEAD / CEI_PIECE,
    CEI_SHARERS = CEI_ATTENTION_THREADS / CEI_ATTENTION_QUERIES,
    CEI_SCORES = CEI_KEYS / CEI_SHARERS, /* of a thread */
    CEI_RESULTS = CEI_PIECE / CEI_SHARERS
};

typedef struct cei_attention_tile {
    float q[CEI_ATTENTION_QUERIES][CEI_ATTENTION_HEAD + 1];
    float rows[CEI_KEYS][CEI_PIECE + 1]; /* a piece of keys, then of values */
    float p[CEI_ATTENTION_QUERIES][CEI_KEYS + 1];
} cei_attention_tile;

/* What a thread keeps of its query from tile to tile. */
typedef struct cei_attention_state {
    float most, sum;
    float results[CEI_PIECES][CEI_RESULTS];
} cei_attention_state;

/* Rows [0, count) of a matrix, columns [first, first + CEI_PIECE), with zeros behind the edges. */
CEI_INLINE void cei_load_rows(cei_attention_tile *tile, const float *from, unsigned stride, unsigned count,
                              unsigned first, unsigned columns) {
    for (unsigned i = cei_thread(); i < CEI_KEYS * CEI_PIECE; i += CEI_ATTENTION_THREADS) {
        const unsigned row = i / CEI_PIECE, column = first + i % CEI_PIECE;
        const bool inside = row < count && column < columns;
        tile->rows[row][i % CEI_PIECE] = inside ? from[(unsigned long long)row * stride + column] : 0;
    }
}

CEI_INLINE void cei_load_queries(cei_attention_tile *tile, const float *from, unsigned stride, unsigned count,
                                 unsigned columns) {
    for (unsigned i = cei_thread(); i < CEI_ATTENTION_QUERIES * columns; i += CEI_ATTENTION_THREADS) {
        const unsigned row = i / columns, column = i % columns;
        tile->q[row][column] = row < count ? from[(unsigned long long)row * stride + column] : 0;
    }
}

/* Scores of the thread's keys: key, key + CEI_SHARERS, ... of the tile. */
CEI_INLINE void cei_score_keys(cei_attention_tile *tile, const float *k, unsigned stride, unsigned keys,
                               unsigned columns, float scores[CEI_SCORES]) {
    const unsigned query = cei_thread() / CEI_SHARERS, key = cei_thread() % CEI_SHARERS;
    for (unsigned i = 0; i < CEI_SCORES; i++) scores[i] = 0;
    for (unsigned first = 0; first < columns; first += CEI_PIECE) {
        const unsigned piece = columns - first < CEI_PIECE ? columns - first : CEI_PIECE;
        cei_load_rows(tile, k, stride, keys, first, columns);
        cei_barrier();
        for (unsigned c = 0; c < piece; c++) CEI_UNROLL
        for (unsigned i = 0; i < CEI_SCORES; i++)
            scores[i] = cei_fma(tile->q[query][first + c], tile->rows[key + i * CEI_SHARERS][c], scores[i]);
        cei_barrier();
    }
}

/* Probabilities of the tile's keys beside the running maximum; returns what all that came before is worth now. */
CEI_INLINE float cei_weigh_keys(cei_attention_tile *tile, const float scores[CEI_SCORES], float scale, unsigned keys,
                                cei_attention_state *state) {
    const unsigned query = cei_thread() / CEI_SHARERS, key = cei_thread() % CEI_SHARERS;
    float most = state->most, sum = 0;
    for (unsigned i = 0; i < CEI_SCORES; i++)
        if (key + i * CEI_SHARERS < keys && !(scale * scores[i] <= most)) most = scale * scores[i];
    for (unsigned mask = CEI_SHARERS / 2; mask > 0; mask /= 2) {
        const float other = cei_shuffle_xor(most, mask);
        if (!(other <= most)) most = other;
    }
    for (unsigned i = 0; i < CEI_SCORES; i++) {
        const unsigned at = key + i * CEI_SHARERS;
        const float p = at < keys ? cei_exp(scale * scores[i] - most) : 0;
        tile->p[query][at] = p;
        sum += p;
    }
    for (unsigned mask = CEI_SHARERS / 2; mask > 0; mask /= 2) sum += cei_shuffle_xor(sum, mask);
    const float kept = cei_exp(state->most - most); /* 0 in the first tile, where most was -infinity */
    state->sum = cei_fma(state->sum, kept, sum);
    state->most = most;
    return kept;
}

/* Adds the tile's values: columns first + sharer, first + sharer + CEI_SHARERS, ... of each piece are the thread's. */
CEI_INLINE void cei_mix_values(cei_attention_tile *tile, const float *v, unsigned stride, unsigned keys,
                               unsigned columns, float kept, cei_attention_state *state) {
    const unsigned query = cei_thread() / CEI_SHARERS, sharer = cei_thread() % CEI_SHARERS;
    CEI_UNROLL
    for (unsigned piece = 0; piece < CEI_PIECES; piece++) {
        if (piece * CEI_PIECE >= columns) break; /* the same for all threads */
        cei_load_rows(tile, v, stride, keys, piece * CEI_PIECE, columns);
        cei_barrier(); /* which also shows the probabilities */
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_RESULTS; i++) {
            float sum = state->results[piece][i] * kept;
            for (unsigned t = 0; t < keys; t++)
                sum = cei_fma(tile->p[query][t], tile->rows[t][sharer + i * CEI_SHARERS], sum);
            state->results[piece][i] = sum;
        }
        cei_barrier();
    }
}

CEI_INLINE void cei_write_results(const cei_attention_state *state, float *out, unsigned columns) {
    CEI_UNROLL
    for (unsigned piece = 0; piece < CEI_PIECES; piece++) CEI_UNROLL
    for (unsigned i = 0; i < CEI_RESULTS; i++) {
        const unsigned column = piece * CEI_PIECE + cei_thread() % CEI_SHARERS + i * CEI_SHARERS;
        if (column < columns) out[column] = state->results[piece][i] / state->sum;
    }
}

CEI_KERNEL(cei_k_attention, CEI_ATTENTION_THREADS, cei_attention_kernel_args) {
    CEI_SHARED cei_attention_tile tile;
    const unsigned sequence = cei_block_x() / a.tiles, first_query = cei_block_x() % a.tiles * CEI_ATTENTION_QUERIES;
    const unsigned first = (unsigned)a.offsets[sequence], end = (unsigned)a.offsets[sequence + 1];
    if (first > end || end > a.tokens) return; /* offsets that contradict themselves are not followed */
    const unsigned length = end - first, queries = a.first_only && length > 0 ? 1 : length;
    if (first_query >= queries) return;
    const unsigned head = cei_block_y() * a.head_size, query = cei_thread() / CEI_SHARERS;
    const unsigned long long row = (a.first_only ? sequence : first) + first_query;
    const float *k = a.k + (unsigned long long)first * a.k_stride + head;
    const float *v = a.v + (unsigned long long)first * a.v_stride + head;
    cei_attention_state state = {-CEI_INFINITY, 0, {{0}}};
    float scores[CEI_SCORES];
    cei_load_queries(&tile, a.q + row * a.q_stride + head, a.q_stride, queries - first_query, a.head_size);
    for (unsigned t = 0; t < length; t += CEI_KEYS) {
        const unsigned keys = length - t < CEI_KEYS ? length - t : CEI_KEYS;
        cei_score_keys(&tile, k + (unsigned long long)t * a.k_stride, a.k_stride, keys, a.head_size, scores);
        const float kept = cei_weigh_keys(&tile, scores, a.scale, keys, &state);
        cei_mix_values(&tile, v + (unsigned long long)t * a.v_stride, a.v_stride, keys, a.head_size, kept, &state);
    }
    if (first_query + query < queries)
        cei_write_results(&state, a.out + (row + query) * a.heads * a.head_size + head, a.head_size);
}
