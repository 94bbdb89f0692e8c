/* product_low.tmpl.h - the product of prepared rows with a panel, for instructions that multiply groups of 32 bits
 * along depth and add each group up into a lane: the same text for every width of register and both low precisions.
 *
 * A tile is TILE_ROWS x PANEL sums that stay in registers while the panel passes by: of the others, a step takes the
 * two of the panel's row and one group of a, in every lane.
 *
 * Included once by a tier's file, after it has defined
 *     sums                  a register of LANES sums; PANEL is 2 * LANES columns
 *     GROUP                 values of a group
 *     HEAD                  bytes of a panel before its values
 *     TILE_ROWS             rows of a tile, at most 16
 *     TILES(X)              X(1) X(2) .. X(TILE_ROWS)
 *     no_sums               0 in every lane
 *     add_products          (sum, a, w): sum + the products of the group at a with LANES groups of weights at w
 *     store_sums            (to, sum)
 *     finish                (product, row, sums): makes the results of a row of PANEL sums
 * and it defines multiply_panel, for a product with a single panel. */

/* Bytes of a group, and of a step: the groups of one row of a panel. */
enum { GROUP_BYTES = 4, STEP_BYTES = PANEL * GROUP_BYTES };
_Static_assert(PANEL == 2 * LANES && TILE_ROWS <= 16, "loops below are unrolled as far as that");

typedef struct low_tile {
    size_t first;        /* row of the product */
    const uint8_t *next; /* the share of product->next that this tile prefetches */
    size_t next_step;    /* bytes of it a step */
} low_tile;

/* Rows in threes share a pointer, so that addresses fit into the general registers. */
INLINE void multiply_tile(const cei_cpu_low_product *p, const low_tile *t, const size_t rows) {
    sums sum[TILE_ROWS][2];
    const uint8_t *a[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++) sum[r][0] = sum[r][1] = no_sums();
#pragma GCC unroll 6
    for (size_t g = 0; g < (rows + 2) / 3; g++) a[g] = (const uint8_t *)p->a + (t->first + 3 * g) * p->a_stride;
    const uint8_t *next = t->next, *w = (const uint8_t *)p->panel + HEAD;
    for (const uint8_t *end = w + p->depth / GROUP * STEP_BYTES; w != end; w += STEP_BYTES) {
        __builtin_prefetch(next, 0, 2); /* to the second level */
        next += t->next_step;
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *group = a[r / 3] + (r % 3) * p->a_stride;
            sum[r][0] = add_products(sum[r][0], group, w);
            sum[r][1] = add_products(sum[r][1], group, w + LANES * GROUP_BYTES);
        }
#pragma GCC unroll 6
        for (size_t g = 0; g < (rows + 2) / 3; g++) a[g] += GROUP_BYTES;
    }
    /* Through memory: what makes results needs registers too, and compilers would take them from the loop above. */
    _Alignas(64) uint8_t stored[TILE_ROWS][STEP_BYTES];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++) {
        store_sums(stored[r], sum[r][0]);
        store_sums(stored[r] + LANES * GROUP_BYTES, sum[r][1]);
    }
    for (size_t r = 0; r < rows; r++) finish(p, t->first + r, stored[r]);
}

#define DEFINE_LOW_TILE(rows) \
    static void multiply_##rows(const cei_cpu_low_product *p, const low_tile *t) { multiply_tile(p, t, rows); }
TILES(DEFINE_LOW_TILE)

#define NAME_LOW_TILE(rows) [rows] = multiply_##rows,
static void (*const multiply_rows[TILE_ROWS + 1])(const cei_cpu_low_product *,
                                                  const low_tile *) = {TILES(NAME_LOW_TILE)};

/* Tiles of nearly equal height: a short last one would wait on its few sums. */
static void multiply_panel(const cei_cpu_low_product *p) {
    const size_t tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS, steps = p->depth / GROUP;
    const size_t next_step = p->next && tiles ? STEP_BYTES / tiles : 0;
    const uint8_t *next = p->next ? p->next : p->panel;
    size_t done = 0;
    for (size_t i = 0; i < tiles; i++) {
        const size_t rows = (p->rows - done + tiles - i - 1) / (tiles - i);
        const low_tile t = {done, next + i * next_step * steps, next_step};
        multiply_rows[rows](p, &t);
        done += rows;
    }
}
