/* kernels_amx_split.c - float32 products as six bfloat16 ones, for AMX and panels of 32. Compiled with those flags, and
 * called only where kernels_amx.c's may be. Contracts in kernels.h.
 *
 * A float32 is split into the bfloat16 nearest to it, that nearest to what is left, and what is left then: three times
 * 8 bits hold its 24. Of the nine products in (a1 + a2 + a3)(w1 + w2 + w3) the three smallest are left out, together
 * less than 2^-23 of the whole: a sum is as exact as one of float32 products, and rounded less often, because 32 terms
 * are added before the sum so far is. Three products of two pieces each would be 1.5 times as fast; their errors of
 * 2^-17 became differences of 2e-4 in logits of models with random weights, twice what float32 may have.
 *
 * Activations are split once for a block of rows. Weights stay what they were sent as, for all that reads and proves
 * them: a part of a panel, as deep as the first-level cache has room for, is split into scratch memory, then all rows
 * pass by. Tiles lie as in kernels_amx.c. */
#include "device/cpu/amx.h"

enum { HALF = sizeof(uint16_t), DEPTH_STEP = STEP / HALF };

/* What a value is split into. Of a part of a panel a step is its tiles of the first, the second, the third; parts take
 * 36 KiB of the first-level cache's 48. */
enum { PIECES = 3, SPLIT_STEP = PIECES * PANEL_STEP, PART_STEPS = 6 };

/* ---- splitting ---------------------------------------------------------------------------------------------- */

/* The nearest bfloat16, ties away from 0, in the upper half of each lane; what is below it is 0. */
INLINE __m512i round_up_halves(__m512 x) {
    const __m512i half = _mm512_set1_epi32(0x8000), upper = _mm512_set1_epi32((int)0xFFFF0000u);
    return _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), half), upper);
}

/* The upper halves of two registers, in pairs. */
INLINE __m512i pair_halves(__m512i even, __m512i odd) { return _mm512_or_si512(_mm512_srli_epi32(even, 16), odd); }

INLINE __m512 subtract_halves(__m512 x, __m512i halves) { return _mm512_sub_ps(x, _mm512_castsi512_ps(halves)); }

/* Two rows of 16 columns of a panel become pairs of the first pieces and, each PANEL_STEP bytes further, of the others.
 */
INLINE void split_pairs(__m512 even, __m512 odd, uint8_t *to) {
    const __m512i order =
        _mm512_set_epi32(0x1F000F, 0x1E000E, 0x1D000D, 0x1C000C, 0x1B000B, 0x1A000A, 0x190009, 0x180008, 0x170007,
                         0x160006, 0x150005, 0x140004, 0x130003, 0x120002, 0x110001, 0x100000);
    const __m512i even1 = round_up_halves(even), odd1 = round_up_halves(odd);
    const __m512 even_left = subtract_halves(even, even1), odd_left = subtract_halves(odd, odd1);
    const __m512i even2 = round_up_halves(even_left), odd2 = round_up_halves(odd_left);
    const __m512i last =
        (__m512i)_mm512_cvtne2ps_pbh(subtract_halves(odd_left, odd2), subtract_halves(even_left, even2));
    _mm512_storeu_si512(to, pair_halves(even1, odd1));
    _mm512_storeu_si512(to + PANEL_STEP, pair_halves(even2, odd2));
    _mm512_storeu_si512(to + 2 * PANEL_STEP, _mm512_permutexvar_epi16(order, last));
}

/* A part of a panel on its way: some pairs of rows are split, others left. */
typedef struct splitting {
    const float *row;   /* the next pair */
    size_t left, total; /* pairs of rows to split; all pairs, with those that are behind depth */
    size_t done;
    bool is_odd; /* the last of left lacks its second row */
    uint8_t *to; /* [steps][PIECES][TILE_ROWS][PANEL_ROW] */
} splitting;

/* Rows first to end - 1 of a panel [depth, PANEL]; both are multiples of DEPTH_STEP, so that end may be behind depth.
 */
INLINE splitting begin_splitting(const float *panel, size_t first, size_t end, size_t depth, uint8_t *to) {
    const size_t rows = depth < end ? depth - first : end - first;
    return (splitting){panel + first * PANEL, (rows + 1) / 2, (end - first) / 2, 0, rows % 2 != 0, to};
}

/* At most count pairs of rows more. */
INLINE void split_some(splitting *s, size_t count) {
    const size_t end = s->total - s->done < count ? s->total : s->done + count;
    for (; s->done < end; s->done++, s->row += 2 * PANEL) {
        uint8_t *to = s->to + s->done / TILE_ROWS * SPLIT_STEP + s->done % TILE_ROWS * PANEL_ROW;
        const bool has_even = s->done < s->left, has_odd = s->done + s->is_odd < s->left;
        for (size_t c = 0; c < PANEL; c += LANES) {
            const __m512 even = has_even ? _mm512_loadu_ps(s->row + c) : _mm512_setzero_ps();
            const __m512 odd = has_odd ? _mm512_loadu_ps(s->row + PANEL + c) : _mm512_setzero_ps();
            split_pairs(even, odd, to + 4 * c);
        }
    }
}

/* Rows [rows, depth] become the first pieces [depth, padded to a step], then as many second ones, and third. */
static void prepare(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    cei_row_scale *scales) {
    const size_t end = (depth + DEPTH_STEP - 1) / DEPTH_STEP * DEPTH_STEP, piece = HALF * end;
    uint8_t *row = a;
    (void)scales;
    for (size_t r = 0; r < rows; r++, x += x_stride, row += a_stride) {
        for (size_t i = 0; i < end; i += DEPTH_STEP) {
            uint8_t *to = row + HALF * i;
            __m512 low = _mm512_maskz_loadu_ps(first_bits(i, depth), x + i);
            __m512 high = _mm512_maskz_loadu_ps(first_bits(i + LANES, depth), x + i + LANES);
            for (size_t n = 0; n < PIECES; n++, to += piece) {
                const __m512i low_halves = round_up_halves(low), high_halves = round_up_halves(high);
                _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(_mm512_castsi512_ps(high_halves),
                                                                     _mm512_castsi512_ps(low_halves)));
                low = subtract_halves(low, low_halves);
                high = subtract_halves(high, high_halves);
            }
        }
    }
}

/* ---- blocks ------------------------------------------------------------------------------------------------- */

/* Rows of a group: as many as a block of activations has. Their sums wait for the next part of the panel in memory of
 * their own, because rows of results may be as far apart as sets of the first-level cache are wide. */
enum { GROUP_ROWS = 7 * BLOCK_ROWS };

typedef struct job {
    const cei_cpu_low_product *product;
    size_t steps;        /* of depth, padded */
    size_t parts;        /* of a panel, at least 1 */
    size_t tiled;        /* rows of a block that the tiles are set up for; 0: none yet */
    panel_columns at;    /* the panel at hand */
    size_t first, rows;  /* the group at hand */
    splitting coming;    /* the part after the one at hand */
    size_t coming_share; /* pairs of it that are split in each step */
    results done;
    _Alignas(64) float sums[GROUP_ROWS][PANEL];
    _Alignas(64) uint8_t split[2][PART_STEPS * SPLIT_STEP];
} job;

/* The tiles of rows, and of the panel, that come next: from a piece of each. */
INLINE void load_rows(const uint8_t *upper, const uint8_t *lower, size_t stride, const bool is_tall) {
    _tile_stream_loadd(4, upper, stride);
    if (is_tall) _tile_stream_loadd(5, lower, stride);
}

INLINE void load_columns(const uint8_t *panel) {
    _tile_loadd(6, panel, PANEL_ROW);
    _tile_loadd(7, panel + STEP, PANEL_ROW);
}

INLINE void add_products(const bool is_tall) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (is_tall) _tile_dpbf16ps(2, 5, 6);
    if (is_tall) _tile_dpbf16ps(3, 5, 7);
}

/* Adds steps of a block's rows a, whose pieces are piece bytes apart: the smallest terms first, in an order in which
 * each product shares an operand with the one before. Meanwhile the block before becomes results, and the coming part
 * is split: both are work for what else the processor can do beside tiles. */
INLINE void add_steps(job *j, const uint8_t *a, const uint8_t *part, size_t steps, const bool is_tall) {
    const size_t stride = j->product->a_stride, piece = j->steps * STEP;
    const uint8_t *lower = a + TILE_ROWS * stride;
    const size_t share = steps ? (j->done.rows - j->done.done + steps - 1) / steps : 0;
    for (size_t i = 0; i < steps; i++, a += STEP, lower += STEP, part += SPLIT_STEP) {
        load_columns(part);
        load_rows(a + 2 * piece, lower + 2 * piece, stride, is_tall);
        add_products(is_tall); /* a3 w1 */
        load_rows(a + piece, lower + piece, stride, is_tall);
        add_products(is_tall); /* a2 w1 */
        load_columns(part + PANEL_STEP);
        add_products(is_tall); /* a2 w2 */
        load_rows(a, lower, stride, is_tall);
        add_products(is_tall); /* a1 w2 */
        load_columns(part + 2 * PANEL_STEP);
        add_products(is_tall); /* a1 w3 */
        load_columns(part);
        add_products(is_tall); /* a1 w1 */
        split_some(&j->coming, j->coming_share);
        finish_some(&j->done, share, false);
    }
}

INLINE void set_tiles(job *j, size_t rows) {
    if (rows == j->tiled) return;
    const size_t upper = rows < TILE_ROWS ? rows : TILE_ROWS;
    configure(upper, rows > TILE_ROWS ? rows - TILE_ROWS : upper);
    j->tiled = rows;
}

/* Rows row to row + rows - 1 of the group, at most BLOCK_ROWS, with steps first to end - 1 of the panel. A group of one
 * block leaves its sums in the tiles from one part to the next. */
INLINE void run_block(job *j, size_t row, size_t rows, const uint8_t *part, size_t first, size_t end,
                      const bool is_tall) {
    const cei_cpu_low_product *p = j->product;
    const bool is_alone = j->rows <= BLOCK_ROWS;
    const size_t at = j->first + row;
    if (end == j->steps) expect_results(p, &j->at, at, rows);
    if (first == 0)
        clear_sums(is_tall);
    else if (!is_alone)
        load_sums(j->sums[row], PANEL, is_tall);
    add_steps(j, (const uint8_t *)p->a + at * p->a_stride + first * STEP, part, end - first, is_tall);
    if (end == j->steps)
        hand_over(p, &j->at, &j->done, at, rows, false, is_tall);
    else if (!is_alone)
        store_sums(j->sums[row], PANEL, is_tall);
}

/* ---- groups and panels -------------------------------------------------------------------------------------- */

INLINE panel_columns find_panel(const cei_cpu_low_product *p, size_t column) {
    const size_t columns = p->columns - column;
    return (panel_columns){.column = column,
                           .columns = columns < PANEL ? columns : PANEL,
                           .head = (const uint8_t *)p->panel + column / PANEL * p->panel_bytes};
}

INLINE splitting begin_part(job *j, const panel_columns *panel, size_t part, size_t turn) {
    const size_t first = j->steps * part / j->parts, end = j->steps * (part + 1) / j->parts;
    return begin_splitting((const float *)(const void *)panel->head, first * DEPTH_STEP, end * DEPTH_STEP,
                           j->product->depth, j->split[turn % 2]);
}

/* The group with one part of the panel at hand. */
INLINE void run_part(job *j, size_t part, const uint8_t *split) {
    const size_t first = j->steps * part / j->parts, end = j->steps * (part + 1) / j->parts;
    const size_t blocks = (j->rows + BLOCK_ROWS - 1) / BLOCK_ROWS, all = blocks * (end - first);
    j->coming_share = all ? (j->coming.total + all - 1) / all : 0;
    for (size_t row = 0; row < j->rows; row += BLOCK_ROWS) {
        const size_t rows = j->rows - row < BLOCK_ROWS ? j->rows - row : BLOCK_ROWS;
        set_tiles(j, rows);
        if (rows > TILE_ROWS)
            run_block(j, row, rows, split, first, end, true);
        else
            run_block(j, row, rows, split, first, end, false);
    }
}

/* The group at hand with all panels. */
static void run_group(job *j) {
    const size_t columns = j->product->columns;
    size_t turn = 0;
    j->at = find_panel(j->product, 0);
    j->coming = begin_part(j, &j->at, 0, turn);
    split_some(&j->coming, j->coming.total);
    for (size_t column = 0; column < columns; column += PANEL) {
        j->at = find_panel(j->product, column);
        for (size_t part = 0; part < j->parts; part++, turn++) {
            const panel_columns next = find_panel(j->product, column + PANEL < columns ? column + PANEL : column);
            const bool is_last = part + 1 == j->parts;
            if (is_last && column + PANEL >= columns)
                j->coming.total = j->coming.done = 0;
            else
                j->coming = begin_part(j, is_last ? &next : &j->at, is_last ? 0 : part + 1, turn + 1);
            BARRIER();
            run_part(j, part, j->split[turn % 2]);
            split_some(&j->coming, j->coming.total);
        }
    }
}

static void multiply(const cei_cpu_low_product *p) {
    job j;
    j.product = p;
    j.steps = (p->depth + DEPTH_STEP - 1) / DEPTH_STEP;
    j.parts = j.steps ? (j.steps + PART_STEPS - 1) / PART_STEPS : 1;
    j.tiled = 0;
    j.done.rows = j.done.done = 0;
    for (j.first = 0; j.first < p->rows; j.first += j.rows) {
        j.rows = p->rows - j.first < GROUP_ROWS ? p->rows - j.first : GROUP_ROWS;
        run_group(&j);
    }
    if (j.tiled) _tile_release();
    finish_some(&j.done, BLOCK_ROWS, false);
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

/* As bfloat16's, of which six are one. */
static double peak(size_t rounds) { return run_peak(rounds, false) / 6; }

void cei_cpu_fill_amx_split(cei_cpu_kernels *kernels) {
    kernels->split = (cei_cpu_low){.group = 1,
                                   .step = DEPTH_STEP,
                                   .element = PIECES * HALF,
                                   .prepare = prepare,
                                   .multiply = multiply,
                                   .peak = peak,
                                   .wide = true};
}
