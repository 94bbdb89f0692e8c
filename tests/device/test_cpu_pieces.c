/* Attention by pieces, in float32 and rounded, of the tier that has it, if the processor does. The checks are in
 * piece_cases.c. */
#include "device/piece_cases.h"

#include <crossenc/model.h>

#include <stdio.h>

static tier with_pieces = {"avx512 with AMX", CE_CPU_AMX_FLOAT32 | CE_CPU_AMX_BF16, 0, NULL, NULL};

typedef struct piece_test {
    const piece_check *check;
    bool is_rounded;
    char name[64];
} piece_test;

static void run_check(void **state) {
    const piece_test *test = *state;
    void *of = &with_pieces;
    const cei_cpu_kernels kernels = tier_kernels(&of);
    const cei_cpu_pieces *pieces = test->is_rounded ? &kernels.rounded : &kernels.pieces;
    assert_non_null(pieces->attend);
    test->check->check(pieces);
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
        assert_int_equal(kernels.pieces.count, 0);
        assert_true((kernels.rounded.attend == NULL) == (kernels.rounded.count == 0));
        if (disabled[i] & (CE_CPU_AMX_BF16 | CE_CPU_AVX512)) assert_null(kernels.rounded.attend);
    }
}

int main(void) {
    enum { COUNT = 2 * PIECE_CHECKS };
    struct CMUnitTest tests[COUNT + 1];
    piece_test made[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        made[i] = (piece_test){.check = &piece_checks[i / 2], .is_rounded = i % 2};
        snprintf(made[i].name, sizeof made[i].name, "%s (%s)", made[i].check->name, i % 2 ? "rounded" : "float32");
        tests[i] = (struct CMUnitTest){made[i].name, run_check, NULL, guards_teardown, &made[i]};
    }
    tests[COUNT] = (struct CMUnitTest){"switched off", test_disable, NULL, NULL, NULL};
    cases_seed();
    return cmocka_run_group_tests_name("attention by pieces", tests, NULL, NULL);
}
