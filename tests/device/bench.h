/* bench.h - a device with a stream and a buffer, for tests of operations, and how they run on every device: the
 * reference against double precision; the simulated device to the reference's bits; each tier of the cpu device against
 * the reference, and to the bit against itself on more threads. Compiled with CE_ON_TIER, that one in their place. */
#ifndef CE_TEST_DEVICE_BENCH_H
#define CE_TEST_DEVICE_BENCH_H

#include "device/cases.h"

enum { BENCH_SPACE = 24 << 20 };

typedef struct bench {
    cei_pool *pool;
    cei_device *device;
    cei_stream *stream;
    cei_buffer *buffer; /* of BENCH_SPACE bytes */
    size_t used;
    ce_error error;
} bench;

/* The names of devices that are no tier of the cpu device. */
extern tier reference_tier, simulated_tier;

bench bench_open(const tier *of, unsigned threads, cei_stream_limits limits);
void bench_close(bench *b);

/* Places in the buffer, and what is written there and read. Each fails the test if it cannot. */
cei_slice bench_reserve(bench *b, size_t bytes);
cei_slice bench_put(bench *b, const void *from, size_t bytes);
cei_weight bench_put_weight(bench *b, cei_role role, size_t rows, size_t columns, const float *values);
void bench_get(bench *b, cei_slice from, float *to, size_t count);

/* count random values in [-scale, scale], to be freed. */
float *random_floats(size_t count, float scale);

/* Runs an operation everywhere: what the reference gives goes to wanted and must suit check, the other devices must
 * give that, as closely as bound says. */
typedef struct op_case {
    void (*run)(const tier *of, unsigned threads, const void *argument, float *out);
    void (*check)(const void *argument, const float *out); /* against double precision */
    const void *argument;
    size_t count;
    double bound;
    const char *name;
} op_case;
void expect_everywhere(const tier *of, const op_case *c);

/* A test that runs on each device: its state is the tier. */
typedef struct op_kind {
    const char *name;
    CMUnitTestFunction function;
} op_kind;

/* Runs all kinds on all devices, and then one test by itself. Returns what main does. */
enum { BENCH_KINDS = 16 };
int bench_run(const char *name, const op_kind *kinds, size_t count, const struct CMUnitTest *last);

#endif
