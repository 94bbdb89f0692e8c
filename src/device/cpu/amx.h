/* amx.h - tiles: what the products of AMX share, for panels of 32. Compiled with those flags.
 *
 * The tiles' configuration is loaded at the beginning of a call, and what was before is not brought back: nothing else
 * in the process uses tiles while a call runs on the thread, and all is released at its end. */
#ifndef CEI_AMX_H
#define CEI_AMX_H

#include "device/cpu/loops.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* What has no operands that say so may not be moved across: gcc's tile loads do not tell that they read memory. */
#define BARRIER() __asm__ volatile("" ::: "memory")

enum { LANES = 16, PANEL = 2 * LANES, TILE_ROWS = 16, BLOCK_ROWS = 2 * TILE_ROWS };

/* Bytes: of a row that a step takes; of a row of the panel; of the panel that a step takes. */
enum { STEP = 64, PANEL_ROW = 4 * PANEL, PANEL_STEP = TILE_ROWS * PANEL_ROW };

enum { BFLOAT16_STEP = STEP / sizeof(uint16_t), INT8_STEP = STEP };

/* ---- tiles --------------------------------------------------------------------------------------------------
 * Sums are in tiles 0 to 3 (upper left, upper right, lower left, lower right), rows in 4 and 5, the panel in 6 and 7.
 */

/* The memory format of LDTILECFG (Intel SDM vol. 2, palette 1). */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

INLINE void load_config(const tile_config *config) {
    __asm__ volatile("" : : "r"(config) : "memory"); /* gcc believes that 8 bytes of it are read */
    _tile_loadconfig(config);
    __asm__ volatile("" : : "r"(config) : "memory");
}

/* An instruction for tiles, and as many others behind it as a cycle takes in (six, and a little more). Where a guest on
 * the core's other half uses tiles too, instructions for them that come in close together take three times as long as
 * those that come apart, be it work that is between them or nothing: a step of eight products of bytes and six loads
 * 220 ns in place of 120. Where the other half is idle it is 56 either way. */
#define APART() __asm__ volatile(".rept 8\n\tnop\n\t.endr")

#define APART_A_LITTLE() __asm__ volatile(".rept 4\n\tnop\n\t.endr") /* where some work follows */

#define AND_APART(instruction) \
    do {                       \
        instruction;           \
        APART();               \
    } while (0)

#define tile_clear(tile) AND_APART(_tile_zero(tile))
#define tile_load(tile, from, stride) AND_APART(_tile_loadd(tile, from, stride))
#define tile_store(tile, to, stride) AND_APART(_tile_stored(tile, to, stride))

/* With the hint that what is read passes. */
#define tile_stream(tile, from, stride) AND_APART(_tile_stream_loadd(tile, from, stride))

#define tile_multiply_bf16(sum, a, b) AND_APART(_tile_dpbf16ps(sum, a, b))
#define tile_multiply_u8s8(sum, a, b) AND_APART(_tile_dpbusd(sum, a, b))
#define tile_multiply_s8s8(sum, a, b) AND_APART(_tile_dpbssd(sum, a, b))

/* Tiles for blocks of upper rows, and lower ones below them. */
INLINE void configure(size_t upper, size_t lower) {
    const uint8_t u = (uint8_t)upper, l = (uint8_t)lower;
    load_config(&(tile_config){.palette = 1,
                               .row_bytes = {STEP, STEP, STEP, STEP, STEP, STEP, STEP, STEP},
                               .rows = {u, u, l, l, u, l, TILE_ROWS, TILE_ROWS}});
}

/* Tiles 4 to 7, all of them the same: what a peak is measured with. */
INLINE void load_operands(const void *operand) {
    tile_load(4, operand, STEP);
    tile_load(5, operand, STEP);
    tile_load(6, operand, STEP);
    tile_load(7, operand, STEP);
}

INLINE void clear_sums(const bool is_tall) {
    tile_clear(0);
    tile_clear(1);
    if (!is_tall) return;
    tile_clear(2);
    tile_clear(3);
}

#endif
