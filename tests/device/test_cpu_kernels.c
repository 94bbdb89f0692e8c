/* The float32 kernels of every tier that the processor has. The checks are in float_cases.c. */
#include "device/float_cases.h"

#include <crossenc/model.h>

#include <stdio.h>

static void test_mask_turns_tiers_off(void **state) {
    (void)state;
    cei_cpu_kernels k;
    cei_cpu_choose_kernels(~UINT64_C(0), &k);
    assert_string_equal(k.name, "c");
    cei_cpu_choose_kernels(CE_CPU_AVX2 | CE_CPU_NEON, &k); /* the others stand on these */
    assert_string_equal(k.name, "c");
}

typedef struct kernel_test {
    tier *of;
    const float_check *check;
} kernel_test;

static void run_check(void **state) {
    kernel_test *test = *state;
    void *of = test->of;
    const cei_cpu_kernels kernels = tier_kernels(&of);
    test->check->check(&kernels);
}

int main(void) {
    enum { COUNT = FLOAT_CHECKS * TIERS };
    static char names[COUNT][48];
    static kernel_test made[COUNT];
    struct CMUnitTest tests[COUNT + 1] = {cmocka_unit_test(test_mask_turns_tiers_off)};
    for (size_t at = 0; at < COUNT; at++) {
        made[at] = (kernel_test){&tiers[at / FLOAT_CHECKS], &float_checks[at % FLOAT_CHECKS]};
        snprintf(names[at], sizeof names[at], "%s (%s)", made[at].check->name, made[at].of->name);
        tests[at + 1] = (struct CMUnitTest){names[at], run_check, NULL, guards_teardown, &made[at]};
    }
    cases_seed();
    return cmocka_run_group_tests_name("cpu kernels", tests, NULL, NULL);
}
