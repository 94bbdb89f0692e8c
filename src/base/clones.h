/* clones.h - functions that are compiled once for each width of the processor's vector registers.
 *
 * For plain loops that every load runs through and that stand outside the cpu device's tiers: conversions, checksums,
 * the reference. One text stays the portable one, and the dynamic linker chooses at the program's start. Bits do not
 * depend on the choice, for nothing is contracted and the text fixes the order of additions; so ce_load_options'
 * cpu_disable, which is about the cpu device's kernels, leaves it alone.
 *
 * For static functions only: gcc exports the others from the library, whatever their visibility is. */
#ifndef CEI_CLONES_H
#define CEI_CLONES_H

#include <stdint.h> /* __GLIBC__ */

/* gcc before 12 knows no such levels, clang 14 chooses none of them; only glibc has the relocations that choose. A
 * sanitizer's runtime is not there yet when they run. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__OPTIMIZE__) && defined(__GNUC__) && __GNUC__ >= 12 && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CEI_CLONED __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CEI_CLONED
#endif

#endif
