/* The float32 products by integers of the tier that has them, if the processor does. The checks are in digit_cases.c.
 */
#include "device/digit_cases.h"

#include <crossenc/model.h>

#include <stdio.h>

static tier with_digits = {"avx512 with AMX", CE_CPU_AMX_FLOAT32, 0, NULL, NULL};

static void run_check(void **state) {
    const digit_check *test = *state;
    void *of = &with_digits;
    const cei_cpu_kernels kernels = tier_kernels(&of);
    assert_non_null(kernels.digits.multiply);
    test->check(&kernels);
}

/* Either of the two tiers switches them off. */
static void test_disable(void **state) {
    (void)state;
    const uint64_t disabled[] = {CE_CPU_AMX_FLOAT32, CE_CPU_AMX_INT8, CE_CPU_AVX512};
    for (size_t i = 0; i < sizeof disabled / sizeof *disabled; i++) {
        cei_cpu_kernels kernels;
        cei_cpu_choose_kernels(disabled[i], &kernels);
        assert_null(kernels.digits.multiply);
        assert_int_equal(kernels.tiers & CE_CPU_AMX_FLOAT32, 0);
    }
}

int main(void) {
    struct CMUnitTest tests[DIGIT_CHECKS + 1];
    for (size_t i = 0; i < DIGIT_CHECKS; i++) {
        union { /* a test's state is not const */
            const digit_check *from;
            void *to;
        } check = {&digit_checks[i]};
        tests[i] = (struct CMUnitTest){digit_checks[i].name, run_check, NULL, guards_teardown, check.to};
    }
    tests[DIGIT_CHECKS] = (struct CMUnitTest){"switched off", test_disable, NULL, NULL, NULL};
    cases_seed();
    return cmocka_run_group_tests_name("float32 by integers", tests, NULL, NULL);
}
