/* crossenc/device.h - the devices of this machine.
 *
 * A device is named by a string, as people know it from PyTorch:
 *
 *     auto                  the best device that works: accelerators before cpu; LOCAL_RANK picks the index
 *     cpu                   this processor ("cpu:0" is accepted)
 *     cuda, cuda:N          NVIDIA GPUs ("cuda" is "cuda:0")
 *     opencl, opencl:N      OpenCL devices ("opencl" is "opencl:0")
 *
 * Names are lower case. Any other name is CE_ERR_DEVICE_NAME; a name whose driver or device is missing is
 * CE_ERR_DEVICE_ABSENT. Both are raised before a single weight is read.
 *
 * A model may be on several devices at once: "cuda:0,cuda:1", without blanks, at most CE_MOST_DEVICES, each once, all
 * of one kind (CE_ERR_UNSUPPORTED: a pair's bits would depend on where it was scored), and no "auto". Each holds a
 * whole replica; a call's batches go to whichever is free, and its results have the bits that one of them would
 * give. */
#ifndef CROSSENC_DEVICE_H
#define CROSSENC_DEVICE_H

#include <crossenc/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How weights are held and products are taken. Between products everything is float32: activations, sums, norms,
 * softmax, and all of the classifier head. The bounds against the reference are in docs/numerics.md. */
typedef enum ce_precision {
    CE_PRECISION_DEFAULT = 0, /* float32 */
    CE_PRECISION_FLOAT32 = 1,
    CE_PRECISION_BFLOAT16 = 2, /* weights and, where that is faster, activations of a product rounded to bfloat16 */
    CE_PRECISION_INT8 = 3,     /* weights as integers with a scale a row, activations with a scale a token */
    CE_PRECISION_FLOAT16 = 4   /* as BFLOAT16, rounded to IEEE 754's binary16; beyond 65,504 it is 65,504 */
} ce_precision;

/* "float32", "bfloat16", "int8", "float16"; "default" for 0; NULL for a value that is no ce_precision. */
CE_API const char *ce_precision_name(ce_precision precision);

#define CE_DEVICE_ID_SIZE 32

/* The most devices of one model, and room for their names. */
#define CE_MOST_DEVICES 16
#define CE_DEVICE_LIST_SIZE 256

/* One device, or the reason why a kind of device cannot be used. Plain memory, nothing to free. */
typedef struct ce_device_info {
    char id[CE_DEVICE_ID_SIZE]; /* the name to give: "cpu", "cuda:0"; the bare kind if none is usable: "cuda" */
    char name[96];              /* what the hardware calls itself; "" if unknown */
    bool usable;                /* a model can be asked onto it */
    char reason[256];           /* if not usable: why, and what to do; else "" */
    char features[192];         /* instruction sets or capabilities in use, parted by spaces */
    uint64_t memory_total;      /* bytes; 0 if unknown */
    uint64_t memory_free;       /* bytes at the time of the call; 0 if unknown */
    bool float32;               /* precisions that the device computes in */
    bool bfloat16, int8, float16;
} ce_device_info;

/* Lists every kind of device that crossenc knows: one entry for each device found, and one for each kind of
 * which none can be used. Opens nothing and allocates nothing on any device.
 *
 * infos  [capacity] filled in order of preference; may be NULL if capacity is 0
 * count  receives the number of entries that exist, which may exceed capacity
 *
 * Errors: CE_ERR_ARGUMENT. Thread-safe. */
CE_API ce_status ce_devices(ce_device_info *infos, size_t capacity, size_t *count, ce_error *error);

/* What to measure. Zero every field but size for the defaults. */
typedef struct ce_measure_options {
    size_t size;            /* sizeof(ce_measure_options) as the caller was compiled */
    ce_precision precision; /* of the products; default: float32 */
    unsigned threads;       /* CPU threads, the caller's included; 0 is all that this process may use */
    bool skip_bandwidth;    /* products alone: quicker, and takes no memory to speak of */
    uint64_t cpu_disable;   /* CE_CPU_* tiers not to use (crossenc/model.h); 0 is none */
} ce_measure_options;

/* The most that a device could do, measured: the speed of a model is a share of it. */
typedef struct ce_device_speed {
    size_t size;                    /* set by the caller: sizeof(ce_device_speed) */
    char device[CE_DEVICE_ID_SIZE]; /* what the name resolved to */
    unsigned threads;               /* that measured, on the host */
    double flops;                   /* operations a second of dense products in the precision, all threads together, by
                                       the fastest instructions that the device's kernels use, operands in registers;
                                       a multiply-add is two. For integers, integer operations */
    double bandwidth;               /* bytes a second read from the device's main memory; 0 if skipped */
    double milliseconds;            /* that the measurement took */
} ce_device_speed;

/* Measures a device: multiply-adds on registers, then reading a block of 256 MiB, each several times, of which the best
 * counts. Takes about 0.1 s, and about 0.3 s with the bandwidth, in which the device is busy; what other programs do at
 * the same time lowers the figures, and so does a clock that sinks: measure right before or after what is compared.
 * All threads and memory are released before it returns.
 *
 * device   NULL is "auto"
 * options  NULL is all defaults
 * speed    filled on success
 *
 * Errors: CE_ERR_ARGUMENT, CE_ERR_DEVICE_NAME, CE_ERR_DEVICE_ABSENT, CE_ERR_UNSUPPORTED (the device cannot be measured,
 * or does not compute in the precision), CE_ERR_MEMORY, CE_ERR_IO (the system refuses a thread), CE_ERR_DEVICE_*.
 * Thread-safe; two measurements at a time disturb each other. */
CE_API ce_status ce_device_measure(const char *device, const ce_measure_options *options, ce_device_speed *speed,
                                   ce_error *error);

#ifdef __cplusplus
}
#endif
#endif
