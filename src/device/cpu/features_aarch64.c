/* features_aarch64.c - what a 64-bit ARM processor can do and what it is called; in the place of features.c there.
 * NEON is the baseline: no bit is asked for it. Relies on Linux for the rest; elsewhere there is none. */
#include "device/cpu/kernels.h"

#include <crossenc/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/auxv.h>
#endif

/* Bits of the auxiliary vector (linux/Documentation/arch/arm64/elf_hwcaps.rst). */
uint64_t cei_cpu_detect(void) {
    uint64_t found = CE_CPU_NEON;
#if defined(__linux__)
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    if (first & HWCAP_ASIMDDP) found |= CE_CPU_NEON_DOTPROD;
    if (second & HWCAP2_I8MM) found |= CE_CPU_NEON_I8MM;
    if (second & HWCAP2_BF16) found |= CE_CPU_NEON_BF16;
#endif
    return found;
}

void cei_cpu_choose_kernels(uint64_t disable, cei_cpu_kernels *kernels) {
    const uint64_t usable = cei_cpu_detect() & ~disable;
    cei_cpu_fill_c(kernels);
    /* The others make products for NEON's panels: without that tier there is none. */
    if (!(usable & CE_CPU_NEON)) return;
    cei_cpu_fill_neon(kernels);
    cei_cpu_fill_neon_int8(kernels);
    if (usable & CE_CPU_NEON_DOTPROD) cei_cpu_fill_neon_dot(kernels);
    if (usable & CE_CPU_NEON_I8MM) cei_cpu_fill_neon_i8mm(kernels);
    if (usable & CE_CPU_NEON_BF16) cei_cpu_fill_neon_bf16(kernels);
    kernels->tiers = usable;
}

/* The base tier's own, then what the others add, by the names that Linux has for them. */
void cei_cpu_features(const cei_cpu_kernels *kernels, char *features, size_t size) {
    const uint64_t tiers = kernels->tiers;
    snprintf(features, size, "%s%s%s%s", kernels->features, tiers & CE_CPU_NEON_DOTPROD ? " asimddp" : "",
             tiers & CE_CPU_NEON_I8MM ? " i8mm" : "", tiers & CE_CPU_NEON_BF16 ? " bf16" : "");
}

bool cei_cpu_request_amx(void) { return false; }

/* ---- names -------------------------------------------------------------------------------------------------- */

/* ARM's own designs, by the part number of MIDR_EL1 (Technical Reference Manual of each). */
static const struct {
    unsigned part;
    const char *name;
} arm_parts[] = {{0xD03, "Cortex-A53"},  {0xD05, "Cortex-A55"},  {0xD07, "Cortex-A57"},  {0xD08, "Cortex-A72"},
                 {0xD09, "Cortex-A73"},  {0xD0A, "Cortex-A75"},  {0xD0B, "Cortex-A76"},  {0xD0C, "Neoverse-N1"},
                 {0xD40, "Neoverse-V1"}, {0xD49, "Neoverse-N2"}, {0xD4F, "Neoverse-V2"}, {0xD84, "Neoverse-V3"}};

enum { IMPLEMENTER_ARM = 0x41 };

static void name_part(unsigned implementer, unsigned part, char *name, size_t size) {
    for (size_t i = 0; implementer == IMPLEMENTER_ARM && i < sizeof arm_parts / sizeof *arm_parts; i++) {
        if (arm_parts[i].part != part) continue;
        snprintf(name, size, "ARM %s", arm_parts[i].name);
        return;
    }
    snprintf(name, size, "AArch64 processor, implementer 0x%02x, part 0x%03x", implementer, part);
}

/* The value of a line of /proc/cpuinfo that begins with key, or NULL. */
static const char *value_of(const char *line, const char *key) {
    const char *colon = strchr(line, ':');
    if (!colon || strncmp(line, key, strlen(key)) != 0) return NULL;
    return colon + 1 + strspn(colon + 1, " ");
}

/* Linux gives the first processor's registers as "CPU implementer : 0x41" and "CPU part : 0xd0c"; some systems add a
 * "model name", which is taken if it comes before them. */
void cei_cpu_model_name(char *name, size_t size) {
    if (size == 0) return;
    name[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return;
    char line[256];
    unsigned long implementer = 0;
    while (name[0] == '\0' && fgets(line, sizeof line, file)) {
        const char *model = value_of(line, "model name"), *maker = value_of(line, "CPU implementer");
        const char *part = value_of(line, "CPU part");
        if (model) snprintf(name, size, "%.*s", (int)strcspn(model, "\n"), model);
        if (maker) implementer = strtoul(maker, NULL, 16);
        if (part) name_part((unsigned)implementer, (unsigned)strtoul(part, NULL, 16), name, size);
    }
    fclose(file);
}
