/* measure.c - what the processor could do at most: multiply-adds on registers, and reading of main memory.
 *
 * Relies on the kernels' own peak functions. Work is cut into many more tasks than there are threads, so that a thread
 * that comes late costs little; the best of several slices counts, since a neighbour can only make one slower. */
#include "device/cpu/cpu.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

/* Slices of which the best counts, and how long one lasts at least: long beside waking a thread (50 microseconds),
 * short beside the time for which a neighbour is quiet. */
enum { SLICES = 8 };
static const double slice_ms = 10;

/* Tasks of a slice, for each thread. */
enum { TASKS = 16 };

/* Larger than the share of a last-level cache that a machine of few cores gets, in pieces that are read in order. */
enum { READ_BYTES = 256 << 20, PIECE_BYTES = 1 << 20, PIECES = READ_BYTES / PIECE_BYTES };
enum { WORDS = PIECE_BYTES / sizeof(uint64_t), READINGS = 5 };

/* More simple operations than it takes to wake all threads. */
static const double plenty = 1e9;

/* ---- products ----------------------------------------------------------------------------------------------- */

cei_cpu_peak_fn cei_cpu_peak_of(const cei_cpu_kernels *kernels, ce_precision precision) {
    switch (precision) {
    case CE_PRECISION_DEFAULT:
    case CE_PRECISION_FLOAT32: return kernels->digits.peak ? kernels->digits.peak : kernels->peak;
    case CE_PRECISION_FLOAT16: return kernels->peak; /* widened */
    case CE_PRECISION_BFLOAT16: return kernels->bfloat16.peak ? kernels->bfloat16.peak : kernels->peak;
    case CE_PRECISION_INT8: return kernels->int8.peak;
    }
    return NULL;
}

typedef struct peak_job {
    cei_cpu_peak_fn peak;
    size_t rounds; /* of a task */
} peak_job;

static void run_peak_task(void *argument, size_t task, size_t worker) {
    (void)task, (void)worker;
    const peak_job *job = argument;
    (void)job->peak(job->rounds);
}

double cei_cpu_run_peak(const cei_cpu_device *device, cei_cpu_peak_fn peak, size_t rounds) {
    const size_t count = device->workers * TASKS;
    peak_job job = {peak, cei_cpu_divide_up(rounds, TASKS)};
    cei_cpu_run(device, count, plenty, run_peak_task, &job);
    return (double)count * (double)job.rounds * peak(1); /* each round is as many as any */
}

/* Operations a second. */
static double measure_peak(const cei_cpu_device *device, cei_cpu_peak_fn peak) {
    double best = 0, operations, start, ms = 0;
    size_t rounds = 1000;
    for (int slice = 0; slice < SLICES; slice += ms >= slice_ms) {
        if (ms > 0 && ms < slice_ms) rounds *= 2; /* these warm the clock up, too */
        start = cei_now_ms();
        operations = cei_cpu_run_peak(device, peak, rounds);
        ms = cei_now_ms() - start;
        if (ms >= slice_ms && operations / ms > best) best = operations / ms;
    }
    return best * 1e3;
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

typedef struct read_job {
    uint64_t *block;       /* [PIECES, WORDS] */
    uint64_t sums[PIECES]; /* keep the compiler from leaving the reading out */
} read_job;

static void write_piece(void *argument, size_t task, size_t worker) {
    (void)worker;
    const read_job *job = argument;
    /* Not 0: memory that was never written may be one page of zeros, many times. */
    memset(job->block + task * WORDS, (int)(task % 255 + 1), PIECE_BYTES);
}

static void read_piece(void *argument, size_t task, size_t worker) {
    (void)worker;
    enum { LANES = 8 };
    read_job *job = argument;
    const uint64_t *words = job->block + task * WORDS;
    uint64_t sums[LANES] = {0}, sum = 0;
    for (size_t i = 0; i < WORDS; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++) sums[lane] += words[i + lane];
    for (size_t lane = 0; lane < LANES; lane++) sum += sums[lane];
    job->sums[task] = sum;
}

/* Bytes a second into *bandwidth. */
static ce_status measure_reading(cei_cpu_device *device, double *bandwidth, ce_error *error) {
    cei_buffer *buffer = NULL;
    ce_status status = cei_cpu_buffer_create(&device->base, READ_BYTES, &buffer, error);
    if (status != CE_OK) return status;
    read_job job = {.block = cei_cpu_at((cei_slice){buffer, 0})};
    cei_cpu_run(device, PIECES, plenty, write_piece, &job);
    for (int i = 0; i < READINGS; i++) {
        const double start = cei_now_ms();
        cei_cpu_run(device, PIECES, plenty, read_piece, &job);
        const double ms = cei_now_ms() - start, rate = ms > 0 ? READ_BYTES / ms * 1e3 : 0;
        if (rate > *bandwidth) *bandwidth = rate;
    }
    cei_cpu_buffer_free(buffer);
    return CE_OK;
}

ce_status cei_cpu_measure(cei_device *base, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                          ce_error *error) {
    cei_cpu_device *device = cei_cpu_of(base);
    const cei_cpu_peak_fn peak = cei_cpu_peak_of(&device->kernels, precision);
    if (!peak)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "the cpu device has no precision %d, only float32, bfloat16, float16 and int8", (int)precision);
    speed->flops = measure_peak(device, peak);
    return with_bandwidth ? measure_reading(device, &speed->bandwidth, error) : CE_OK;
}
