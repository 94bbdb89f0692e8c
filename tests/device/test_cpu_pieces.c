/* Attention in float32 by pieces, of the tier that has it, if the processor does. The checks are in piece_cases.c. */
#include "device/piece_cases.h"

#include <crossenc/model.h>

static tier with_pieces = {"avx512 with AMX", CE_CPU_AMX_FLOAT32 | CE_CPU_AMX_BF16, 0, NULL, NULL};

static void run_check(void **state) {
    const piece_check *test = *state;
    void *of = &with_pieces;
    const cei_cpu_kernels kernels = tier_kernels(&of);
    assert_non_null(kernels.pieces.attend);
    test->check(&kernels);
}

/* Any of the tiers that it stands on switches it off. */
static void test_disable(void **state) {
    (void)state;
    const uint64_t disabled[] = {CE_CPU_AMX_FLOAT32, CE_CPU_AMX_INT8, CE_CPU_AMX_BF16, CE_CPU_AVX512};
    for (size_t i = 0; i < sizeof disabled / sizeof *disabled; i++) {
        cei_cpu_kernels kernels;
        cei_cpu_choose_kernels(disabled[i], &kernels);
        assert_null(kernels.pieces.attend);
        assert_null(kernels.pieces.pack_keys);
        assert_null(kernels.pieces.pack_values);
    }
}

int main(void) {
    struct CMUnitTest tests[PIECE_CHECKS + 1];
    for (size_t i = 0; i < PIECE_CHECKS; i++) {
        union { /* a test's state is not const */
            const piece_check *from;
            void *to;
        } check = {&piece_checks[i]};
        tests[i] = (struct CMUnitTest){piece_checks[i].name, run_check, NULL, guards_teardown, check.to};
    }
    tests[PIECE_CHECKS] = (struct CMUnitTest){"switched off", test_disable, NULL, NULL, NULL};
    cases_seed();
    return cmocka_run_group_tests_name("attention by pieces", tests, NULL, NULL);
}
