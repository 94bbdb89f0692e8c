/* names.c - what a processor and the instructions that its kernels use are called. Relies on CPUID on x86-64, on
 * /proc/cpuinfo elsewhere. */
#include "device/cpu/kernels.h"

#include <crossenc/model.h>

#include <stdio.h>
#include <string.h>

/* The base tier's own, then what the others add, by the names that Linux has for them; amx_float32 is our own. */
void cei_cpu_features(const cei_cpu_kernels *kernels, char *features, size_t size) {
    static const struct {
        uint64_t tier;
        const char *name;
    } names[] = {
        {CE_CPU_AVX_VNNI, "avx_vnni"},      {CE_CPU_AVX512_VNNI, "avx512_vnni"}, {CE_CPU_AVX512_BF16, "avx512_bf16"},
        {CE_CPU_AMX_BF16, "amx_bf16"},      {CE_CPU_AMX_INT8, "amx_int8"},       {CE_CPU_NEON_DOTPROD, "asimddp"},
        {CE_CPU_NEON_I8MM, "i8mm"},         {CE_CPU_NEON_BF16, "bf16"},          {CE_CPU_F16C, "f16c"},
        {CE_CPU_AMX_FLOAT32, "amx_float32"}};
    snprintf(features, size, "%s", kernels->features);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t used = strlen(features);
        if (kernels->tiers & names[i].tier) snprintf(features + used, size - used, " %s", names[i].name);
    }
}

#if defined(__x86_64__)
#include <cpuid.h>

/* The brand string of leaves 0x80000002 to 0x80000004, 16 characters each. */
static void read_brand(char brand[49]) {
    unsigned registers[12] = {0};
    brand[0] = brand[48] = '\0';
    if ((unsigned)__get_cpuid_max(0x80000000, NULL) < 0x80000004) return;
    for (unsigned leaf = 0; leaf < 3; leaf++) {
        unsigned *r = registers + 4 * leaf;
        __get_cpuid(0x80000002 + leaf, &r[0], &r[1], &r[2], &r[3]);
    }
    memcpy(brand, registers, sizeof registers);
}

void cei_cpu_model_name(char *name, size_t size) {
    char brand[49];
    read_brand(brand);
    const char *start = brand + strspn(brand, " ");
    size_t length = strlen(start);
    while (length > 0 && start[length - 1] == ' ') length--;
    snprintf(name, size, "%.*s", (int)length, start);
}

#else
#include <stdlib.h>

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

#endif
