/* measure.c - ce_device_measure: opens a device with threads of its own, has it measured, and closes it again. */
#include "base/clock.h"
#include "base/error.h"
#include "device/device.h"

enum { MOST_THREADS = 4096 };

static ce_status check(const ce_measure_options *options, const ce_device_speed *speed, ce_error *error) {
    if (!speed) return cei_fail(error, CE_ERR_ARGUMENT, "ce_device_measure: speed is NULL");
    ce_status status = cei_check_struct(speed->size, sizeof *speed, "ce_device_speed", error);
    if (status == CE_OK) status = cei_check_struct(options->size, sizeof *options, "ce_measure_options", error);
    if (status != CE_OK) return status;
    if (options->threads > MOST_THREADS)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_measure_options.threads is %u; the most is %d", options->threads,
                        MOST_THREADS);
    return CE_OK;
}

static ce_status measure(cei_device_id id, const ce_measure_options *options, ce_device_speed *speed, ce_error *error) {
    cei_pool *pool = NULL;
    cei_device *device = NULL;
    ce_status status = cei_pool_create(options->threads ? options->threads : cei_usable_cpus(), &pool, error);
    if (status == CE_OK)
        status = cei_device_open(id, &(cei_device_options){.pool = pool, .cpu_disable = options->cpu_disable}, &device,
                                 error);
    if (status == CE_OK)
        status = cei_device_measure(device, options->precision, !options->skip_bandwidth, speed, error);
    if (status == CE_OK) speed->threads = (unsigned)cei_pool_size(pool);
    cei_device_close(device);
    cei_pool_free(pool);
    return status;
}

ce_status ce_device_measure(const char *name, const ce_measure_options *given, ce_device_speed *speed,
                            ce_error *error) {
    static const ce_measure_options defaults = {.size = sizeof defaults};
    const ce_measure_options *options = given ? given : &defaults;
    const double start = cei_now_ms();
    ce_status status = check(options, speed, error);
    if (status != CE_OK) return status;
    ce_device_speed found = {.size = speed->size};
    cei_device_id id = {0};
    status = cei_device_resolve(name, 0, &id, error);
    if (status == CE_OK) status = measure(id, options, &found, error);
    if (status != CE_OK) return status;
    cei_device_format(id, found.device);
    found.milliseconds = cei_now_ms() - start;
    *speed = found;
    return CE_OK;
}
