/* The kernels for AVX-512 on any processor, emulated. The checks are those of the kernels that run natively. */
#include "device/emulated.h"
#include "device/float_cases.h"

#include <stdio.h>

static void run_emulated(void **state) {
    const float_check *test = *state;
    void *of = &emulated_tiers[0];
    const cei_cpu_kernels kernels = tier_kernels(&of);
    test->check(&kernels);
}

int main(void) {
    static char names[FLOAT_CHECKS][64];
    static float_check made[FLOAT_CHECKS];
    struct CMUnitTest tests[FLOAT_CHECKS];
    for (size_t at = 0; at < FLOAT_CHECKS; at++) {
        made[at] = float_checks[at];
        snprintf(names[at], sizeof names[at], "%s (%s)", made[at].name, emulated_tiers[0].name);
        tests[at] = (struct CMUnitTest){names[at], run_emulated, NULL, guards_teardown, &made[at]};
    }
    cases_seed();
    return cmocka_run_group_tests_name("emulated kernels", tests, NULL, NULL);
}
