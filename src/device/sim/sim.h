/* sim.h - sim:N, a device for tests: an accelerator that is not there, with faults on demand.
 *
 * Its memory is apart from the host's: each buffer is a mapping without any access right but while one of the device's
 * own operations runs on it, so that a layer that keeps a pointer, or takes device memory for its own, dies at once.
 * New memory holds NaNs. Operations do the reference's arithmetic, bit for bit.
 *
 * The machine below is global to the process: this is the one place in the project where that is allowed, and it is
 * built into the tests' library alone. It starts without devices, so that neither "auto" nor ce_devices knows of it
 * unless a test asks. All functions are safe from any thread. */
#ifndef CEI_SIM_H
#define CEI_SIM_H

#include "device/device.h"

enum { CEI_SIM_DEVICES = 8 }; /* the most that a machine can have */

/* The kinds of calls that reach a device. */
typedef enum cei_sim_call {
    CEI_SIM_OPEN,
    CEI_SIM_STATUS,
    CEI_SIM_ALLOCATE, /* of buffers and streams */
    CEI_SIM_UPLOAD,   /* cei_weight_write */
    CEI_SIM_DOWNLOAD, /* cei_weight_read */
    CEI_SIM_CHECKSUM,
    CEI_SIM_WRITE,
    CEI_SIM_READ,
    CEI_SIM_OP, /* an operation: CEI_OP_* */
    CEI_SIM_CALLS
} cei_sim_call;

/* ---- the machine -------------------------------------------------------------------------------------------- */

/* No devices, 256 MiB for each that will be, no fault, no hook, every count of events 0. What is alive stays counted,
 * as a leak of the test before. */
void cei_sim_reset(void);

void cei_sim_set_devices(int count);
void cei_sim_set_memory(int index, uint64_t bytes);

/* What a probe says from now on: cannot be used, and why. NULL: it can be. */
void cei_sim_set_unusable(int index, const char *reason);

/* While on, the device does without an operation, or without a precision. */
void cei_sim_lack_op(int index, cei_op op, bool on);
void cei_sim_lack_precision(int index, ce_precision precision, bool on);

/* Every operation takes at least so long. */
void cei_sim_set_delay(unsigned microseconds);

/* From now on a device that is opened stands in front of this driver's device of the same index, which does the work:
 * memory, arithmetic and all. Plans, limits and counts stay the machine's. NULL: its own. Stays through a reset. */
struct cei_driver;
void cei_sim_set_backing(const struct cei_driver *driver);

/* Called at the beginning of each call to a device, by the thread that makes it, before faults are considered; op is
 * CEI_OP_COUNT unless call is CEI_SIM_OP. It may block, and may use every function here. */
typedef void (*cei_sim_hook_fn)(void *user, int index, cei_sim_call call, cei_op op);
void cei_sim_set_hook(cei_sim_hook_fn hook, void *user); /* NULL: none */

/* ---- faults ------------------------------------------------------------------------------------------------- */

/* The nth call of this kind from now (1 is the next) ends in status; those before and after it do not. 0: none. */
void cei_sim_fail(int index, cei_sim_call call, uint64_t nth, ce_status status);

/* The device is lost at the nth call of any kind from now; 0: at once. Its objects are lost for good: revived, it has
 * empty memory, and must be opened anew. */
void cei_sim_lose(int index, uint64_t nth);
void cei_sim_revive(int index);

typedef enum cei_sim_corruption {
    CEI_SIM_FLIP_BIT, /* the lowest bit of the value in the middle */
    CEI_SIM_DROP_ROW, /* the last row does not arrive */
    CEI_SIM_SWAP      /* the first row and the last one change places; of a single row, its first value and its last */
} cei_sim_corruption;

/* The nth upload from now arrives damaged. 0: none. */
void cei_sim_corrupt_upload(int index, uint64_t nth, cei_sim_corruption how);

/* Memory goes bad: flips the highest mantissa bit of the value in the middle of the which-th upload of this role (from
 * 0) among those whose buffer is alive. False if there is no such upload. */
bool cei_sim_damage(int index, cei_role role, size_t which);

/* While on, one value of each result of op is wrong. */
void cei_sim_distort(int index, cei_op op, bool on);

/* While on, the device rounds otherwise than its like: one value of each result is off by a few bits. */
void cei_sim_nudge(int index, bool on);

/* ---- what happened ------------------------------------------------------------------------------------------ */

typedef struct cei_sim_counters {
    uint64_t devices, buffers, streams; /* alive now */
    uint64_t bytes;                     /* held now */
    uint64_t peak_bytes;                /* since reset */
    uint64_t calls[CEI_SIM_CALLS];      /* since reset, failed ones included */
    uint64_t ops[CEI_OP_COUNT];
    uint64_t uploaded_bytes;
    uint64_t misuses; /* a stream used by two threads at once, a device closed before its objects were freed */
} cei_sim_counters;

cei_sim_counters cei_sim_count(int index);

/* Where a buffer's memory is mapped, for a test that proves that it cannot be read. */
const void *cei_sim_memory(const cei_buffer *buffer);

#endif
