/* The kernels in bfloat16 and int8 of every tier that the processor has. The checks are in low_cases.c. */
#include "device/low_cases.h"

#include <stdio.h>

static void check_both_formats(void **state, void (*check)(const cei_cpu_kernels *, cei_format)) {
    const cei_cpu_kernels kernels = tier_kernels(state);
    check(&kernels, CEI_FORMAT_INT8);
    check(&kernels, CEI_FORMAT_BFLOAT16);
}

static void test_table(void **state) { check_both_formats(state, low_check_table); }
static void test_prepare(void **state) { check_both_formats(state, low_check_prepare); }
static void test_prepare_edges(void **state) { check_both_formats(state, low_check_prepare_edges); }
static void test_multiply(void **state) { check_both_formats(state, low_check_multiply); }
static void test_multiply_bits(void **state) { check_both_formats(state, low_check_multiply_bits); }
static void test_both(void **state) { check_both_formats(state, low_check_both); }

static void test_widen(void **state) {
    const cei_cpu_kernels kernels = tier_kernels(state);
    low_check_widen(&kernels);
}

int main(void) {
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } kinds[] = {{"table", test_table},
                 {"prepare", test_prepare},
                 {"prepare, edges", test_prepare_edges},
                 {"multiply", test_multiply},
                 {"bits of multiply", test_multiply_bits},
                 {"prepare and multiply", test_both},
                 {"widen", test_widen}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    static char names[KINDS * TIERS][48];
    struct CMUnitTest tests[KINDS * TIERS];
    for (size_t at = 0; at < KINDS * TIERS; at++) {
        snprintf(names[at], sizeof names[at], "%s (%s)", kinds[at % KINDS].name, tiers[at / KINDS].name);
        tests[at] =
            (struct CMUnitTest){names[at], kinds[at % KINDS].function, NULL, guards_teardown, &tiers[at / KINDS]};
    }
    cases_seed();
    return cmocka_run_group_tests_name("low precision", tests, NULL, NULL);
}
