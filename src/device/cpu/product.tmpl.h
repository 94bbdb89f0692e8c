/* product.tmpl.h - the float32 product with a panel, which is the same text for every width of register and height of
 * tile. Contract in kernels.h.
 *
 * A tile is TILE_ROWS x PANEL sums that stay in registers while the panel passes by: of the others, a step of depth
 * takes a row of the panel and one element of a.
 *
 * Included once by a tier's file, before rows.tmpl.h and after it has defined
 *     vec, LANES, PANEL     a register of LANES floats; columns of a panel, whole registers of them
 *     TILE_ROWS             rows of a tile, at most 16
 *     TILES(X)              X(1) X(2) .. X(TILE_ROWS)
 *     zero splat add mul    as in rows.tmpl.h
 *     add_scaled            (sum, x, b): sum + x b with one rounding, x a float
 *     load store            ends of rows
 * and it defines multiply. Relies on loops.h. */

/* Registers of a panel's row. */
enum { WIDTH = PANEL / LANES };
_Static_assert(PANEL % LANES == 0 && TILE_ROWS <= 16, "a tile is whole registers, all of them unrolled");

typedef struct tile {
    const float *a, *add, *factors;
    float *out;
    const char *next; /* the share of product->next that this tile prefetches */
    size_t step;      /* bytes of it a step of depth */
} tile;

/* Sums become results: what was before, factors, bias. */
INLINE void finish_tile(const cei_cpu_product *p, const tile *t, vec sum[TILE_ROWS][WIDTH], const size_t rows,
                        const size_t columns) {
    vec bias[WIDTH];
    size_t count[WIDTH];
    UNROLL for (size_t c = 0; c < WIDTH; c++) count[c] = c ? left(columns, c * LANES) : columns;
    UNROLL for (size_t c = 0; c < WIDTH; c++) bias[c] = p->bias ? load(p->bias + c * LANES, count[c]) : zero();
    UNROLL for (size_t r = 0; r < rows; r++) {
        if (p->add) {
            const float *before = t->add + r * p->add_stride;
            UNROLL for (size_t c = 0; c < WIDTH; c++) sum[r][c] = add(load(before + c * LANES, count[c]), sum[r][c]);
        }
        if (p->factors) {
            const vec factor = splat(t->factors[r]);
            UNROLL for (size_t c = 0; c < WIDTH; c++) sum[r][c] = mul(sum[r][c], factor);
        }
        float *out = t->out + r * p->out_stride;
        UNROLL for (size_t c = 0; c < WIDTH; c++) store(out + c * LANES, count[c], add(sum[r][c], bias[c]));
    }
}

/* Rows in threes share a pointer, so that addresses fit into the general registers. */
INLINE void multiply_tile(const cei_cpu_product *p, const tile *t, const size_t rows) {
    vec sum[TILE_ROWS][WIDTH], b[WIDTH];
    const float *a[(TILE_ROWS + 2) / 3];
    UNROLL for (size_t r = 0; r < rows; r++) { UNROLL for (size_t c = 0; c < WIDTH; c++) sum[r][c] = zero(); }
    UNROLL for (size_t g = 0; g < (rows + 2) / 3; g++) a[g] = t->a + 3 * g * p->a_stride;
    const char *next = t->next;
    const float *end = p->panel + p->depth * PANEL;
    UNROLL_FOUR for (const float *at = p->panel; at != end; at += PANEL) {
        UNROLL for (size_t c = 0; c < WIDTH; c++) b[c] = load(at + c * LANES, LANES);
        __builtin_prefetch(next, 0, 2); /* to the second level */
        next += t->step;
        UNROLL for (size_t r = 0; r < rows; r++) {
            const float *x = &a[r / 3][(r % 3) * p->a_stride];
            UNROLL for (size_t c = 0; c < WIDTH; c++) sum[r][c] = add_scaled(sum[r][c], *x, b[c]);
        }
        UNROLL for (size_t g = 0; g < (rows + 2) / 3; g++) a[g]++;
    }
    if (p->columns == PANEL)
        finish_tile(p, t, sum, rows, PANEL);
    else
        finish_tile(p, t, sum, rows, p->columns);
}

#define DEFINE_TILE(rows) \
    static void multiply_##rows(const cei_cpu_product *p, const tile *t) { multiply_tile(p, t, rows); }
TILES(DEFINE_TILE)

#define NAME_TILE(rows) [rows] = multiply_##rows,
static void (*const multiply_rows[TILE_ROWS + 1])(const cei_cpu_product *, const tile *) = {TILES(NAME_TILE)};

/* Tiles of nearly equal height: a short last one would wait on its few accumulators. */
static void multiply(const cei_cpu_product *p) {
    const size_t tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS;
    const size_t step = p->next ? PANEL * sizeof(float) / tiles : 0;
    const char *next = (const char *)(p->next ? p->next : p->panel);
    size_t done = 0;
    for (size_t i = 0; i < tiles; i++) {
        const size_t rows = (p->rows - done + tiles - i - 1) / (tiles - i);
        const tile t = {p->a + done * p->a_stride,
                        p->add ? p->add + done * p->add_stride : NULL,
                        p->factors ? p->factors + done : NULL,
                        p->out + done * p->out_stride,
                        next + i * step * p->depth,
                        step};
        multiply_rows[rows](p, &t);
        done += rows;
    }
}
