/* tiers.h - names of the cpu device's tiers, for benchmarks that leave the better ones out. */
#ifndef CE_BENCH_TIERS_H
#define CE_BENCH_TIERS_H

#include <crossenc/model.h>

#include <stdbool.h>
#include <string.h>

#define CE_BENCH_TIERS "c, avx2, avx512 (without AMX), neon, dotprod, i8mm"

/* What ce_load_options.cpu_disable must be so that the tier of that name is the best. False if there is none. */
static inline bool ce_bench_tier(const char *name, uint64_t *disable) {
    static const struct {
        const char *name;
        uint64_t disable;
    } tiers[] = {{"c", CE_CPU_AVX2 | CE_CPU_NEON},
                 {"avx2", CE_CPU_AVX512},
                 {"avx512", CE_CPU_AMX_BF16 | CE_CPU_AMX_INT8 | CE_CPU_AMX_FLOAT32},
                 {"neon", CE_CPU_NEON_DOTPROD | CE_CPU_NEON_I8MM | CE_CPU_NEON_BF16},
                 {"dotprod", CE_CPU_NEON_I8MM | CE_CPU_NEON_BF16},
                 {"i8mm", CE_CPU_NEON_BF16}};
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
        if (strcmp(name, tiers[i].name) != 0) continue;
        *disable = tiers[i].disable;
        return true;
    }
    return false;
}

#endif
