/* The kernels for AVX-512, AVX-VNNI, AVX-512 VNNI, AVX-512 BF16 and AMX on any processor, emulated. The checks are
 * those of the kernels that run natively. */
#include "device/digit_cases.h"
#include "device/emulated.h"
#include "device/float_cases.h"
#include "device/low_cases.h"
#include "device/piece_cases.h"

#include <stdio.h>

/* What a test is given: a tier, and one of the four kinds of checks. */
typedef struct emulated_test {
    tier *of;
    const low_check *low;
    const float_check *whole;
    const digit_check *digits;
    const piece_check *pieces;
    bool is_rounded;
} emulated_test;

static void run_emulated(void **state) {
    const emulated_test *test = *state;
    void *of = test->of;
    const cei_cpu_kernels kernels = tier_kernels(&of);
    if (test->whole) {
        test->whole->check(&kernels);
        return;
    }
    if (test->digits) {
        assert_non_null(kernels.digits.multiply);
        test->digits->check(&kernels);
        return;
    }
    if (test->pieces) {
        const cei_cpu_pieces *pieces = test->is_rounded ? &kernels.rounded : &kernels.pieces;
        assert_non_null(pieces->attend);
        test->pieces->check(pieces);
        return;
    }
    test->low->check(&kernels, CEI_FORMAT_INT8);
    test->low->check(&kernels, CEI_FORMAT_BFLOAT16);
}

int main(void) {
    enum { LOW = LOW_CHECKS * EMULATED_TIERS, FLOAT = LOW + FLOAT_CHECKS, DIGITS = FLOAT + DIGIT_CHECKS };
    enum { COUNT = DIGITS + 2 * PIECE_CHECKS };
    static char names[COUNT][64];
    static emulated_test made[COUNT];
    struct CMUnitTest tests[COUNT];
    for (size_t at = 0; at < COUNT; at++) {
        if (at < LOW) {
            made[at] = (emulated_test){.of = &emulated_tiers[at / LOW_CHECKS], .low = &low_checks[at % LOW_CHECKS]};
            snprintf(names[at], sizeof names[at], "%s (%s)", made[at].low->name, made[at].of->name);
        } else if (at < FLOAT) { /* float32 is the same in both tiers that have AVX-512 */
            made[at] = (emulated_test){.of = &emulated_tiers[EMULATED_AVX512], .whole = &float_checks[at - LOW]};
            snprintf(names[at], sizeof names[at], "%s (AVX-512, emulated)", made[at].whole->name);
        } else if (at < DIGITS) {
            made[at] = (emulated_test){.of = &emulated_tiers[EMULATED_AMX], .digits = &digit_checks[at - FLOAT]};
            snprintf(names[at], sizeof names[at], "float32 by integers: %s", made[at].digits->name);
        } else {
            const bool is_rounded = (at - DIGITS) % 2;
            made[at] = (emulated_test){.of = &emulated_tiers[EMULATED_AMX],
                                       .pieces = &piece_checks[(at - DIGITS) / 2],
                                       .is_rounded = is_rounded};
            snprintf(names[at], sizeof names[at], "attention by pieces, %s: %s", is_rounded ? "rounded" : "float32",
                     made[at].pieces->name);
        }
        tests[at] = (struct CMUnitTest){names[at], run_emulated, NULL, guards_teardown, &made[at]};
    }
    cases_seed();
    return cmocka_run_group_tests_name("emulated kernels", tests, NULL, NULL);
}
