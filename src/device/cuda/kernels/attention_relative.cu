/* attention_relative.cu - scores in which distances count (He et al. 2021): beside products of queries and keys, each
 * of these has a product with a row that stands for their distance, and there is a bias for it. Blocks and threads
 * share the work as attention.h says.
 *
 * The distances of a tile of queries and keys are 47 in a row, and the rows that they stand for as many or fewer, one
 * behind the other: so a piece of them fits into shared memory, where every pair picks its own. */
#include "device/cuda/kernels/attention.h"

enum { CEI_DISTANCES = CEI_KEYS + CEI_ATTENTION_QUERIES - 1 };

typedef struct cei_distance_tile {
    float rows[CEI_DISTANCES + 1][CEI_PIECE + 1]; /* the last is of no distance: NaNs */
} cei_distance_tile;

/* The rows of a tile's distances in one of the weights, and which of them each of the thread's keys has. */
typedef struct cei_distance_rows {
    unsigned first, count;
    unsigned own[CEI_SCORES];
} cei_distance_rows;

/* The row of a distance; one that the batch does not have is taken for the nearest that it has. */
CEI_INLINE unsigned cei_place_of(const cei_distances_kernel_args *of, unsigned longest, int distance) {
    const int most = (int)longest - 1;
    return (unsigned)of->places[most + (distance < -most ? -most : distance > most ? most : distance)];
}

/* least: the tile's least distance; own: that of the thread's first key, whose next ones are step apart. */
CEI_INLINE void cei_find_rows(const cei_distances_kernel_args *of, unsigned longest, int least, int own, int step,
                              cei_distance_rows *rows) {
    rows->first = cei_place_of(of, longest, least);
    const unsigned count = cei_place_of(of, longest, least + CEI_DISTANCES - 1) - rows->first + 1;
    rows->count = count < CEI_DISTANCES ? count : CEI_DISTANCES;
    CEI_UNROLL
    for (int i = 0; i < CEI_SCORES; i++) {
        const unsigned row = cei_place_of(of, longest, own + i * step) - rows->first;
        rows->own[i] = row < rows->count ? row : CEI_DISTANCES;
    }
}

/* A piece of the rows, `wide` columns from `first` on. Rows that the head does not have are NaNs. */
CEI_INLINE void cei_load_distances(cei_distance_tile *tile, const cei_distances_kernel_args *of,
                                   const cei_distance_rows *rows, unsigned head, unsigned first, unsigned columns) {
    for (unsigned i = cei_thread(); i < (CEI_DISTANCES + 1) * CEI_PIECE; i += CEI_ATTENTION_THREADS) {
        const unsigned at = i / CEI_PIECE, row = rows->first + at, column = first + i % CEI_PIECE;
        const unsigned long long from = (unsigned long long)head * of->rows_per_head + row;
        const bool is_there = at < rows->count && row < of->rows_per_head;
        tile->rows[at][i % CEI_PIECE] = is_there && column < columns ? of->rows[from * columns + column] : CEI_NAN;
    }
}

/* The products of the thread's query with its distances to its keys. */
CEI_INLINE void cei_add_of_keys(const cei_attention_tile *tile, const cei_distance_tile *distances,
                                const cei_distance_rows *rows, unsigned first, unsigned wide,
                                float scores[CEI_SCORES]) {
    const unsigned query = cei_own_query();
    for (unsigned c = 0; c < wide; c++) CEI_UNROLL
    for (unsigned i = 0; i < CEI_SCORES; i++)
        scores[i] = cei_fma(tile->q[query][first + c], distances->rows[rows->own[i]][c], scores[i]);
}

/* The products of the thread's keys with their distances to its query. */
CEI_INLINE void cei_add_of_queries(const cei_attention_tile *tile, const cei_distance_tile *distances,
                                   const cei_distance_rows *rows, unsigned wide, float scores[CEI_SCORES]) {
    const unsigned key = cei_own_key();
    for (unsigned c = 0; c < wide; c++) CEI_UNROLL
    for (unsigned i = 0; i < CEI_SCORES; i++)
        scores[i] = cei_fma(tile->rows[key + i * CEI_SHARERS][c], distances->rows[rows->own[i]][c], scores[i]);
}

CEI_INLINE void cei_add_biases(const cei_distances_kernel_args *of, unsigned longest, unsigned head, int own,
                               float scores[CEI_SCORES]) {
    CEI_UNROLL
    for (int i = 0; i < CEI_SCORES; i++) {
        const unsigned row = cei_place_of(of, longest, own + i * CEI_SHARERS);
        const unsigned long long at = (unsigned long long)head * of->rows_per_head + row;
        scores[i] += row < of->rows_per_head ? of->rows[at] : CEI_NAN;
    }
}

/* Scores of the thread's keys in the tile that begins at place t. */
CEI_INLINE void cei_score_distances(const cei_attention_relative_kernel_args *a, const cei_attention_block *block,
                                    unsigned t, unsigned keys, cei_attention_tile *tile, cei_distance_tile *distances,
                                    float scores[CEI_SCORES]) {
    const unsigned columns = a->attention.head_size, stride = a->attention.k_stride;
    const int query = (int)block->first_query, apart = (int)(t + cei_own_key()) - query - (int)cei_own_query();
    const float *k = block->k + (unsigned long long)t * stride;
    float more[CEI_SCORES] = {0};
    cei_distance_rows of_keys = {0, 0, {0}}, of_queries = {0, 0, {0}};
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_SCORES; i++) scores[i] = 0;
    if (a->keys.rows)
        cei_find_rows(&a->keys, a->longest, (int)t - query - CEI_ATTENTION_QUERIES + 1, apart, CEI_SHARERS, &of_keys);
    if (a->queries.rows)
        cei_find_rows(&a->queries, a->longest, query - (int)t - CEI_KEYS + 1, -apart, -CEI_SHARERS, &of_queries);
    for (unsigned first = 0; first < columns; first += CEI_PIECE) {
        const unsigned wide = columns - first < CEI_PIECE ? columns - first : CEI_PIECE;
        cei_load_rows(tile, k, stride, keys, first, columns);
        if (a->keys.rows) cei_load_distances(distances, &a->keys, &of_keys, block->head, first, columns);
        cei_barrier();
        cei_add_products(tile, first, wide, scores);
        if (a->keys.rows) cei_add_of_keys(tile, distances, &of_keys, first, wide, more);
        cei_barrier();
        if (!a->queries.rows) continue;
        cei_load_distances(distances, &a->queries, &of_queries, block->head, first, columns);
        cei_barrier();
        cei_add_of_queries(tile, distances, &of_queries, wide, more);
        cei_barrier();
    }
    if (a->bias.rows) cei_add_biases(&a->bias, a->longest, block->head, apart, more);
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_SCORES; i++) scores[i] += more[i];
}

CEI_KERNEL(cei_k_attention_relative, CEI_ATTENTION_THREADS, cei_attention_relative_kernel_args) {
    CEI_SHARED cei_attention_tile tile;
    CEI_SHARED cei_distance_tile distances;
    const cei_attention_kernel_args *plain = &a.attention;
    cei_attention_block block;
    if (!cei_find_block(plain, CEI_ATTENTION_QUERIES, &block)) return;
    cei_attention_state state = {0, 0, -CEI_INFINITY, 0, {{0}}};
    float scores[CEI_SCORES];
    const unsigned columns = plain->head_size, head = block.head * columns;
    cei_find_sight(plain, &block, cei_own_query(), &state.first, &state.end);
    cei_load_queries(&tile, plain->q + block.row * plain->q_stride + head, plain->q_stride,
                     block.queries - block.first_query, columns);
    for (unsigned t = 0; t < block.length; t += CEI_KEYS) {
        const unsigned keys = block.length - t < CEI_KEYS ? block.length - t : CEI_KEYS;
        cei_score_distances(&a, &block, t, keys, &tile, &distances, scores);
        const float kept = cei_weigh_keys(plain, &tile, scores, t, &state);
        cei_mix_values(&tile, block.v + (unsigned long long)t * plain->v_stride, plain->v_stride, keys, columns, kept,
                       &state);
    }
    if (block.first_query + cei_own_query() < block.queries)
        cei_write_results(&state, plain->out + (block.row + cei_own_query()) * plain->heads * columns + head, columns);
}
