/* loops.h - what the loops of all tiers are written with. Included by tiers' files alone, each with its own flags:
 * nothing here may become a function that another file could call. */
#ifndef CEI_CPU_LOOPS_H
#define CEI_CPU_LOOPS_H

#include "device/cpu/kernels.h"

#include <stddef.h>

/* Intrinsics that are emulated are functions of many lines, which gcc takes minutes to put into each other: nothing is
 * unrolled there, nor must it be inlined. */
#if defined(CEI_EMULATED)
#define INLINE static inline __attribute__((unused))
#else
#define INLINE static inline __attribute__((always_inline))
#endif

/* Loops over registers must be unrolled for arrays of them to be registers. gcc takes a limit; clang takes a number for
 * what it is, and leaves shorter loops alone. Loops of any length are unrolled by the compiler, not by hand: of steps
 * that are written out gcc draws the loads together, and has too few registers then. */
#if defined(CEI_EMULATED)
#define UNROLL
#define UNROLL_FOUR
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_FOUR _Pragma("clang loop unroll_count(4)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#define UNROLL_FOUR _Pragma("GCC unroll 4")
#endif

/* Elements of a row from i on. */
INLINE size_t left(size_t columns, size_t i) { return columns > i ? columns - i : 0; }

/* Brings row r of what is wanted next into the second-level cache. */
INLINE void prefetch_next(const cei_cpu_next *next, size_t r) {
    enum { LINE_FLOATS = 16 };
    UNROLL for (size_t n = 0; n < 3; n++) {
        const float *row = next->rows[n] ? next->rows[n] + r * next->stride[n] : NULL;
        for (size_t i = 0; row && i < next->floats; i += LINE_FLOATS) __builtin_prefetch(row + i, 0, 2);
    }
}

#endif
