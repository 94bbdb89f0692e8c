/* bench.c - a device with a stream and a buffer, and operations that run on every device in turn. */
#include "device/bench.h"

#include "device/ref/ref.h"
#include "device/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

tier reference_tier = {.name = "ref"}, simulated_tier = {.name = "sim"};

bench bench_open(const tier *of, unsigned threads, cei_stream_limits limits) {
    bench b = {0};
    if (of == &reference_tier) {
        expect_ok(cei_ref_open(NULL, &b.device, &b.error), &b.error);
    } else if (of == &simulated_tier) {
        cei_sim_reset();
        cei_sim_set_devices(1);
        expect_ok(cei_device_open((cei_device_id){"sim", 0}, &(cei_device_options){0}, &b.device, &b.error), &b.error);
    } else {
        const cpu_device cpu = cpu_open(of, threads);
        b.pool = cpu.pool, b.device = cpu.device;
    }
    expect_ok(cei_stream_create(b.device, &limits, &b.stream, &b.error), &b.error);
    expect_ok(cei_buffer_create(b.device, BENCH_SPACE, &b.buffer, &b.error), &b.error);
    return b;
}

void bench_close(bench *b) {
    cei_buffer_free(b->buffer);
    cei_stream_free(b->stream);
    if (b->pool)
        cpu_close(&(cpu_device){b->pool, b->device});
    else
        cei_device_close(b->device);
}

cei_slice bench_reserve(bench *b, size_t bytes) {
    const cei_slice slice = {b->buffer, b->used};
    b->used += (bytes + 2 * CEI_BUFFER_ALIGNMENT - 1) / CEI_BUFFER_ALIGNMENT * CEI_BUFFER_ALIGNMENT;
    assert_true(b->used <= BENCH_SPACE);
    return slice;
}

cei_slice bench_put(bench *b, const void *from, size_t bytes) {
    const cei_slice slice = bench_reserve(b, bytes);
    expect_ok(cei_write(b->stream, slice, from, bytes, &b->error), &b->error);
    return slice;
}

void bench_get(bench *b, cei_slice from, float *to, size_t count) {
    expect_ok(cei_read(b->stream, to, from, count * sizeof *to, &b->error), &b->error);
}

cei_weight bench_put_weight(bench *b, cei_role role, size_t rows, size_t columns, const float *values) {
    cei_weight weight = {.role = role, .rows = rows, .columns = columns};
    weight.at = bench_reserve(b, cei_weight_bytes(b->device, &weight));
    expect_ok(cei_weight_write(b->device, &weight, 0, rows, values, NULL, &b->error), &b->error);
    return weight;
}

float *random_floats(size_t count, float scale) {
    float *values = malloc((count ? count : 1) * sizeof *values);
    assert_non_null(values);
    random_fill(values, count, scale);
    return values;
}

void expect_everywhere(const tier *of, const op_case *c) {
    float *wanted = random_floats(c->count, 1), *found = random_floats(c->count, 1),
          *again = random_floats(c->count, 1);
    c->run(&reference_tier, 1, c->argument, wanted);
    c->check(c->argument, wanted);
    if (of == &reference_tier) {
        c->run(&simulated_tier, 1, c->argument, found);
        expect_same_bits(found, wanted, c->count, c->name);
    } else {
        c->run(of, 1, c->argument, found);
        for (size_t i = 0; i < c->count; i++)
            expect_near((double)found[i], (double)wanted[i], c->bound * (1 + fabs((double)wanted[i])), c->name, i);
        for (unsigned threads = 2; threads <= 5; threads += 3) {
            c->run(of, threads, c->argument, again);
            expect_same_bits(again, found, c->count, c->name);
        }
    }
    free(wanted), free(found), free(again);
}

int bench_run(const char *name, const op_kind *kinds, size_t count, const struct CMUnitTest *last) {
#ifdef CE_ON_TIER
    tier *const on[] = {&CE_ON_TIER};
#else
    tier *const on[TIERS + 1] = {&reference_tier, &tiers[0], &tiers[1], &tiers[2], &tiers[3]};
#endif
    enum { DEVICES = sizeof on / sizeof *on };
    static char names[BENCH_KINDS * DEVICES][64];
    struct CMUnitTest tests[BENCH_KINDS * DEVICES + 1];
    assert_true(count <= BENCH_KINDS);
    for (size_t at = 0; at < count * DEVICES; at++) {
        tier *of = on[at / count];
        snprintf(names[at], sizeof names[at], "%s (%s)", kinds[at % count].name, of->name);
        tests[at] = (struct CMUnitTest){names[at], kinds[at % count].function, NULL, NULL, of};
    }
    tests[count * DEVICES] = *last;
    cases_seed();
    return _cmocka_run_group_tests(name, tests, count * DEVICES + 1, NULL, tier_teardown);
}
