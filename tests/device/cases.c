/* cases.c - see cases.h. */
#include "device/cases.h"

#include <crossenc/model.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t random_state = 1;

void cases_seed(void) {
    const char *given = getenv("CE_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
    print_message("CE_TEST_SEED=%llu\n", (unsigned long long)seed);
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

/* xorshift64* (Vigna 2016). */
uint32_t random_bits(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

size_t random_size(size_t least, size_t most) { return least + random_bits() % (most - least + 1); }

float random_float(float least, float most) {
    return least + (most - least) * ((float)(random_bits() >> 8) / 16777216.0f);
}

void random_fill(float *values, size_t count, float scale) {
    for (size_t i = 0; i < count; i++) values[i] = random_float(-scale, scale);
}

float *floats(size_t count, float scale) {
    float *values = malloc((count ? count : 1) * sizeof *values);
    assert_non_null(values);
    random_fill(values, count, scale);
    return values;
}

/* ---- guard pages -------------------------------------------------------------------------------------------- */

enum { MOST_GUARDS = 4096 };
static struct {
    void *base;
    size_t bytes;
} guards[MOST_GUARDS];
static size_t guard_count;

guard_side some_side(void) { return random_bits() & 1 ? GUARD_BEHIND : GUARD_BEFORE; }

void *guarded(size_t bytes, guard_side side) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    assert_true(guard_count < MOST_GUARDS);
    uint8_t *base = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED);
    if (inner) assert_int_equal(mprotect(base + page, inner, PROT_READ | PROT_WRITE), 0);
    guards[guard_count].base = base;
    guards[guard_count++].bytes = inner + 2 * page;
    return side == GUARD_BEHIND ? base + page + inner - bytes : base + page;
}

float *guarded_floats(size_t count, guard_side side) {
    float *values = guarded(count * sizeof *values, side);
    random_fill(values, count, 1);
    return values;
}

void guards_free(void) {
    while (guard_count > 0) {
        guard_count--;
        munmap(guards[guard_count].base, guards[guard_count].bytes);
    }
}

int guards_teardown(void **state) {
    (void)state;
    guards_free();
    return 0;
}

bool is_emulated(void) { return getenv("CE_EMULATED") != NULL; }

void skip_in_emulator(void) {
    if (!is_emulated()) return;
    print_message("SKIP: takes minutes in an emulator\n");
    skip();
}

/* ---- tiers -------------------------------------------------------------------------------------------------- */

tier tiers[TIERS] = {
    {"c", 0, CE_CPU_AVX2 | CE_CPU_AVX512 | CE_CPU_NEON, NULL, NULL},
    {"avx2", CE_CPU_AVX2, CE_CPU_AVX512, NULL, NULL},
    {"avx512", CE_CPU_AVX2 | CE_CPU_AVX512, 0, NULL, NULL},
    {"neon", CE_CPU_NEON, 0, NULL, NULL},
};

tier low_tiers[LOW_TIERS] = {
    {"c", 0, CE_CPU_AVX2 | CE_CPU_NEON, NULL, NULL},
    {"avx2", CE_CPU_AVX2, CE_CPU_AVX512 | CE_CPU_AVX_VNNI, NULL, NULL},
    {"avx2 with VNNI", CE_CPU_AVX_VNNI, CE_CPU_AVX512, NULL, NULL},
    {"avx512", CE_CPU_AVX512, CE_CPU_AVX512_VNNI | CE_CPU_AVX512_BF16 | CE_CPU_AMX_BF16 | CE_CPU_AMX_INT8, NULL, NULL},
    {"avx512 with VNNI", CE_CPU_AVX512_VNNI, CE_CPU_AMX_BF16 | CE_CPU_AMX_INT8, NULL, NULL},
    {"avx512 with BF16", CE_CPU_AVX512_BF16, CE_CPU_AMX_BF16 | CE_CPU_AMX_INT8, NULL, NULL},
    {"avx512 with AMX", CE_CPU_AMX_BF16 | CE_CPU_AMX_INT8, 0, NULL, NULL},
    [LOW_NEON] = {"neon", CE_CPU_NEON, CE_CPU_NEON_DOTPROD | CE_CPU_NEON_I8MM | CE_CPU_NEON_BF16, NULL, NULL},
    [LOW_NEON_DOTPROD] = {"neon with dot products", CE_CPU_NEON_DOTPROD, CE_CPU_NEON_I8MM | CE_CPU_NEON_BF16, NULL,
                          NULL},
    [LOW_NEON_I8MM] = {"neon with I8MM", CE_CPU_NEON_I8MM, CE_CPU_NEON_BF16, NULL, NULL},
    [LOW_NEON_BF16] = {"neon with BF16", CE_CPU_NEON_BF16, 0, NULL, NULL},
};

tier opencl_tier = {.name = "opencl", .device = "opencl:0"};
tier cuda_tier = {.name = "cuda", .device = "cuda:0"};

/* The tier's device if that is not the cpu: opening one takes its time. */
static cpu_device other;

static void require_device(const char *name) {
    cei_device_id id;
    ce_error error = {0};
    if (cei_device_resolve(name, 0, &id, &error) == CE_OK) return;
    print_message("SKIP: %s\n", error.message);
    skip();
}

static void open_other(const char *name) {
    cei_device_id id;
    ce_error error;
    expect_ok(cei_device_resolve(name, 0, &id, &error), &error);
    expect_ok(cei_pool_create(2, &other.pool, &error), &error);
    expect_ok(cei_device_open(id, &(cei_device_options){.pool = other.pool}, &other.device, &error), &error);
}

int tier_teardown(void **state) {
    (void)state;
    cei_device_close(other.device);
    cei_pool_free(other.pool);
    other = (cpu_device){0};
    return 0;
}

void tier_require(const tier *of) {
    if (of->device) {
        require_device(of->device);
        return;
    }
    if ((cei_cpu_detect() & of->needs) == of->needs) return;
    print_message("SKIP: this processor lacks the tier %s\n", of->name);
    skip();
}

cei_cpu_kernels tier_kernels(void **state) {
    const tier *of = *state;
    tier_require(of);
    cei_cpu_kernels kernels;
    if (of->fill) {
        of->fill(&kernels);
        return kernels;
    }
    cei_cpu_choose_kernels(of->disable, &kernels);
    if (kernels.tiers & (CE_CPU_AMX_BF16 | CE_CPU_AMX_INT8)) assert_true(cei_cpu_request_amx());
    assert_memory_equal(kernels.name, of->name, strlen(kernels.name));
    return kernels;
}

cpu_device cpu_open(const tier *of, unsigned threads) {
    tier_require(of);
    ce_error error;
    cpu_device cpu = {0};
    if (of->device) {
        if (!other.device) open_other(of->device);
        return other;
    }
    expect_ok(cei_pool_create(threads, &cpu.pool, &error), &error);
    const cei_device_options options = {.pool = cpu.pool, .cpu_disable = of->disable};
    expect_ok(cei_cpu_driver.open(0, &options, &cpu.device, &error), &error);
    if (of->fill) of->fill(&cei_cpu_of(cpu.device)->kernels);
    return cpu;
}

void cpu_close(cpu_device *cpu) {
    if (cpu->device != other.device) {
        cei_device_close(cpu->device);
        cei_pool_free(cpu->pool);
    }
    *cpu = (cpu_device){0};
}

/* ---- comparing ---------------------------------------------------------------------------------------------- */

void expect_near(double found, double wanted, double bound, const char *what, size_t at) {
    if (fabs(found - wanted) <= bound || (isnan(found) && isnan(wanted)) || found == wanted) return;
    fail_msg("%s, element %zu: found %.9g, wanted %.9g, differs by %.3g where %.3g is allowed", what, at, found, wanted,
             fabs(found - wanted), bound);
}

void expect_same_bits(const float *found, const float *wanted, size_t count, const char *what) {
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&found[i], &wanted[i], sizeof *found) == 0) continue;
        fail_msg("%s, element %zu: the bits of %.9g are not those of %.9g", what, i, (double)found[i],
                 (double)wanted[i]);
    }
}

const char *const function_names[CEI_FN_COUNT] = {"identity", "gelu", "gelu_tanh", "gelu_quick",
                                                  "relu",     "silu", "tanh",      "sigmoid"};

double exact_function(cei_function function, double x) {
    switch (function) {
    case CEI_FN_IDENTITY: return x;
    case CEI_FN_GELU: return x / 2 * erfc(-x / sqrt(2));
    case CEI_FN_GELU_TANH: return x / (1 + exp(-2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case CEI_FN_GELU_QUICK: return x / (1 + exp(-1.702 * x));
    case CEI_FN_RELU: return x > 0 ? x : x * 0;
    case CEI_FN_SILU: return x / (1 + exp(-x));
    case CEI_FN_TANH: return tanh(x);
    case CEI_FN_SIGMOID: return 1 / (1 + exp(-x));
    case CEI_FN_COUNT: break;
    }
    return 0;
}

double function_bound(double y) {
    const double units = 2 * ldexp(1, -23) * fabs(y);
    return units > 1e-7 ? units : 1e-7;
}
