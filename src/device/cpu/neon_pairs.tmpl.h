/* neon_pairs.tmpl.h - the sums of a tile by instructions that multiply two rows with two columns, over eight bytes of
 * depth: the same text for int8 and bfloat16.
 *
 * Included once by a tier's file, before neon_low.tmpl.h and after it has defined
 *     sums                      a register of sums: two columns of one row, then of the next
 *     no_sums                   0 in every lane
 *     GROUP, HEAD               values in eight bytes; bytes of a panel before its values
 *     TILE_ROWS                 rows of a tile, an even number
 *     add_products              (sum, a, w): sum + the products of two rows at a with two columns at w
 *     first_row, second_row     (x, y): four columns of the first row, or of the second, of which x has two and y two
 * and it defines sum_depth. Relies on neon.h. */

enum { PAIRS = TILE_ROWS / 2, COLUMN_PAIRS = PANEL / 2, PAIR_BYTES = 16 };

/* A row without a partner is its own, and what comes of the second is dropped. */
INLINE void sum_depth(const cei_cpu_low_product *p, size_t first, const size_t rows, sums sum[TILE_ROWS][4]) {
    const size_t pairs = (rows + 1) / 2;
    const uint8_t *a[TILE_ROWS], *w = (const uint8_t *)p->panel + HEAD;
    sums pair[PAIRS][COLUMN_PAIRS];
    UNROLL for (size_t r = 0; r < 2 * pairs; r++) a[r] = row_of(p, first + (r < rows ? r : rows - 1));
    UNROLL for (size_t q = 0; q < pairs; q++) {
        UNROLL for (size_t c = 0; c < COLUMN_PAIRS; c++) pair[q][c] = no_sums();
    }
    for (size_t k = 0; k < p->depth / GROUP; k++) {
        uint8x16_t x[PAIRS];
        UNROLL for (size_t q = 0; q < pairs; q++) x[q] = vcombine_u8(vld1_u8(a[2 * q]), vld1_u8(a[2 * q + 1]));
        UNROLL for (size_t r = 0; r < 2 * pairs; r++) a[r] += PAIR_BYTES / 2;
        UNROLL for (size_t c = 0; c < COLUMN_PAIRS; c++, w += PAIR_BYTES) {
            const uint8x16_t columns = vld1q_u8(w);
            UNROLL for (size_t q = 0; q < pairs; q++) pair[q][c] = add_products(pair[q][c], x[q], columns);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t c = 0; c < 4; c++) {
            const sums left_half = pair[r / 2][2 * c], right_half = pair[r / 2][2 * c + 1];
            sum[r][c] = r % 2 ? second_row(left_half, right_half) : first_row(left_half, right_half);
        }
    }
}
