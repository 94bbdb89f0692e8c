/* neon_low.tmpl.h - the product of prepared rows with a panel in low precision, cut into tiles: the same text for all
 * such tiers of AArch64. Contract in kernels.h.
 *
 * Included once by a tier's file, after it has defined
 *     sums          a register of LANES sums
 *     TILE_ROWS     rows of a tile
 *     TILES(X)      X(1) X(2) .. X(TILE_ROWS)
 *     sum_depth     (product, first, rows, sum): the sums of rows rows from first on, over all of depth, four registers
 *                   each; they depend on nothing but the row and depth
 *     finish_row    (product, row, sum): makes results of the sums of a row
 * and it defines multiply. Relies on neon.h. */

INLINE void multiply_tile(const cei_cpu_low_product *p, size_t first, const size_t rows) {
    sums sum[TILE_ROWS][PANEL / LANES];
    sum_depth(p, first, rows, sum);
    UNROLL for (size_t r = 0; r < rows; r++) finish_row(p, first + r, sum[r]);
}

#define DEFINE_TILE(rows) \
    static void multiply_##rows(const cei_cpu_low_product *p, size_t first) { multiply_tile(p, first, rows); }
TILES(DEFINE_TILE)

#define NAME_TILE(rows) [rows] = multiply_##rows,
static void (*const multiply_rows[TILE_ROWS + 1])(const cei_cpu_low_product *, size_t) = {TILES(NAME_TILE)};

/* Tiles of nearly equal height: a short last one would wait on its few sums. */
static void multiply(const cei_cpu_low_product *p) {
    const size_t tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS;
    size_t done = 0;
    for (size_t i = 0; i < tiles; i++) {
        const size_t rows = (p->rows - done + tiles - i - 1) / (tiles - i);
        multiply_rows[rows](p, done);
        done += rows;
    }
}
