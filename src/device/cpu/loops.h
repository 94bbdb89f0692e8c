/* loops.h - what the loops of all tiers are written with. Included by tiers' files alone, each with its own flags:
 * nothing here may become a function that another file could call. */
#ifndef CEI_CPU_LOOPS_H
#define CEI_CPU_LOOPS_H

#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

/* Loops over registers must be unrolled for arrays of them to be registers. gcc takes a limit; clang takes a number for
 * what it is, and leaves shorter loops alone. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* Elements of a row from i on. */
INLINE size_t left(size_t columns, size_t i) { return columns > i ? columns - i : 0; }

#endif
