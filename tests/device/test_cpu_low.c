/* The kernels in low precision of every tier that the processor has. The checks are in low_cases.c. */
#include "device/low_cases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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
    test->check->check(&kernels, CEI_FORMAT_FLOAT16);
}

/* ---- widen -------------------------------------------------------------------------------------------------- */

/* The float32 that 16 bits are, in double precision; of a NaN the bits of a quiet one. */
static float exact_value(cei_format format, uint16_t held) {
    const uint32_t bits = (uint32_t)held << 16;
    const int exponent = held >> 10 & 31, mantissa = held & 1023, sign = held & 0x8000 ? -1 : 1;
    float value;
    memcpy(&value, &bits, sizeof value);
    if (format == CEI_FORMAT_BFLOAT16) return value;
    if (exponent == 31) return mantissa ? NAN : (float)sign * INFINITY;
    return (float)(sign * ldexp(exponent ? 1024 + mantissa : mantissa, (exponent ? exponent : 1) - 25));
}

static void expect_widened(cei_format format, const uint16_t *from, size_t count, const float *to) {
    for (size_t i = 0; i < count; i++) {
        const float wanted = exact_value(format, from[i]);
        if (format == CEI_FORMAT_FLOAT16 && isnan(wanted)) {
            if (!isnan(to[i])) fail_msg("the NaN %04x became %a", from[i], (double)to[i]);
        } else if (memcmp(&wanted, to + i, sizeof wanted) != 0) {
            fail_msg("%04x became %a in %s", from[i], (double)to[i], cei_format_name(format));
        }
    }
}

static void check_widen(void (*widen)(const uint16_t *, size_t, float *), cei_format format) {
    enum { ALL = 1 << 16 };
    static const float canary = 12345.678f;
    uint16_t *from = guarded(ALL * sizeof *from, GUARD_BEHIND);
    float *to = guarded_floats(ALL, GUARD_BEHIND);
    for (size_t i = 0; i < ALL; i++) from[i] = (uint16_t)i;
    widen(from, ALL, to);
    expect_widened(format, from, ALL, to);
    for (size_t count = 0; count < 70; count++) {
        uint16_t *some = guarded(count * sizeof *some, GUARD_BEHIND);
        float *wide = guarded_floats(count + 1, GUARD_BEHIND); /* one more, that must not be written */
        for (size_t i = 0; i < count; i++) some[i] = (uint16_t)random_bits();
        wide[count] = canary;
        widen(some, count, wide);
        assert_true(wide[count] == canary);
        expect_widened(format, some, count, wide);
    }
    guards_free();
}

static void test_widen(void **state) {
    const cei_cpu_kernels kernels = tier_kernels(state);
    check_widen(kernels.widen, CEI_FORMAT_BFLOAT16);
    check_widen(kernels.widen_float16, CEI_FORMAT_FLOAT16);
}

/* ---- all ----------------------------------------------------------------------------------------------------- */

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
