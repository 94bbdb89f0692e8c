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
 * CE_ERR_DEVICE_ABSENT. Both are raised before a single weight is read. */
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
    CE_PRECISION_INT8 = 3      /* weights as integers with a scale a row, activations with a scale a token */
} ce_precision;

/* "float32", "bfloat16", "int8"; "default" for 0; NULL for a value that is no ce_precision. */
CE_API const char *ce_precision_name(ce_precision precision);

#define CE_DEVICE_ID_SIZE 32

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
    bool bfloat16, int8;
} ce_device_info;

/* Lists every kind of device that crossenc knows: one entry for each device found, and one for each kind of
 * which none can be used. Opens nothing and allocates nothing on any device.
 *
 * infos  [capacity] filled in order of preference; may be NULL if capacity is 0
 * count  receives the number of entries that exist, which may exceed capacity
 *
 * Errors: CE_ERR_ARGUMENT. Thread-safe. */
CE_API ce_status ce_devices(ce_device_info *infos, size_t capacity, size_t *count, ce_error *error);

#ifdef __cplusplus
}
#endif
#endif
