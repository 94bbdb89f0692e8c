/* The kernels in bfloat16 and int8 of every tier that the processor has. The checks are in low_cases.c. */
#include "device/low_cases.h"

#include <stdio.h>

typedef struct low_test {
    tier *of;
    const low_check *check;
} low_test;

static void run_check(void **state) {
    const low_test *test = *state;
    void *of = test->of;
    const cei_cpu_kernels kernels = tier_kernels(&of);
    test->check->check(&kernels, CEI_FORMAT_INT8);
    test->check->check(&kernels, CEI_FORMAT_BFLOAT16);
}

static void test_widen(void **state) {
    const cei_cpu_kernels kernels = tier_kernels(state);
    low_check_widen(&kernels);
}

int main(void) {
    enum { KINDS = LOW_CHECKS + 1, COUNT = KINDS * LOW_TIERS };
    static char names[COUNT][64];
    static low_test made[COUNT];
    struct CMUnitTest tests[COUNT];
    for (size_t at = 0; at < COUNT; at++) {
        tier *of = &low_tiers[at / KINDS];
        const size_t kind = at % KINDS;
        if (kind < LOW_CHECKS) made[at] = (low_test){of, &low_checks[kind]};
        snprintf(names[at], sizeof names[at], "%s (%s)", kind < LOW_CHECKS ? low_checks[kind].name : "widen", of->name);
        tests[at] = (struct CMUnitTest){names[at], kind < LOW_CHECKS ? run_check : test_widen, NULL, guards_teardown,
                                        kind < LOW_CHECKS ? (void *)&made[at] : of};
    }
    cases_seed();
    return cmocka_run_group_tests_name("low precision", tests, NULL, NULL);
}
