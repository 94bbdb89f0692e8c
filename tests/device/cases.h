/* cases.h - what the tests of devices share: random numbers, memory between guard pages, tiers of the cpu device, and
 * the operations in double precision. */
#ifndef CE_TEST_DEVICE_CASES_H
#define CE_TEST_DEVICE_CASES_H

#include "support/support.h"

#include "device/cpu/cpu.h"

/* Seeds from CE_TEST_SEED, or from the clock, and prints the seed: a failure can be run again. */
void cases_seed(void);
uint32_t random_bits(void);
size_t random_size(size_t least, size_t most);
float random_float(float least, float most);
void random_fill(float *values, size_t count, float scale);
float *floats(size_t count, float scale); /* random ones, the caller's; at least one */

/* Where a block of memory touches a page that must not be touched: behind its last byte, or before its first. */
typedef enum guard_side { GUARD_BEHIND, GUARD_BEFORE } guard_side;

/* bytes of memory between guard pages. Blocks live until guards_free. */
void *guarded(size_t bytes, guard_side side);
float *guarded_floats(size_t count, guard_side side); /* random, in [-1, 1] */
guard_side some_side(void);                           /* either */
void guards_free(void);                               /* all blocks; also a cmocka teardown's work */
int guards_teardown(void **state);

/* Do tests run in an emulator (CE_EMULATED, set for foreign processors)? Some sizes are smaller there. */
bool is_emulated(void);

/* Skips a test whose operations take minutes there. */
void skip_in_emulator(void);

/* A tier of the cpu device; a test's initial state. */
typedef struct tier {
    const char *name;
    uint64_t needs;                         /* CE_CPU_* */
    uint64_t disable;                       /* so that no better one is taken */
    void (*fill)(cei_cpu_kernels *kernels); /* else NULL: makes a table that no processor is asked about (emulated.h) */
    const char *device;                     /* else NULL: another device than the cpu, which is opened once */
} tier;

/* opencl:0 and cuda:0, for the tests that every device passes: a program's CE_ON_TIER is one of them. */
extern tier opencl_tier, cuda_tier;

enum { TIERS = 4 };
extern tier tiers[TIERS];

/* Those that differ in their low precisions. */
enum { LOW_C, LOW_AVX2, LOW_BF16 = 5, LOW_AMX, LOW_NEON, LOW_NEON_DOTPROD, LOW_NEON_I8MM, LOW_NEON_BF16, LOW_TIERS };
extern tier low_tiers[LOW_TIERS];

/* The kernels of the test's tier; skips the test, saying why, where the processor lacks it. */
cei_cpu_kernels tier_kernels(void **state);

/* A cpu device with threads of its own, or the tier's other device. Skips like tier_kernels. */
typedef struct cpu_device {
    cei_pool *pool;
    cei_device *device;
} cpu_device;
cpu_device cpu_open(const tier *of, unsigned threads);
void cpu_close(cpu_device *cpu);
void tier_require(const tier *of);
int tier_teardown(void **state); /* of a group of tests on another device than the cpu: closes it */

/* Fails unless |found - wanted| <= bound, with what and where. */
void expect_near(double found, double wanted, double bound, const char *what, size_t at);
void expect_same_bits(const float *found, const float *wanted, size_t count, const char *what);

double exact_function(cei_function function, double x);
extern const char *const function_names[CEI_FN_COUNT];

/* The error that a function of cpu or ref may make at x where it is y: 1e-7, or two units in the last place. */
double function_bound(double y);

#endif
