/* machine.c - the machine that sim:N devices are in: what was planned for them, what happened to them.
 *
 * One mutex guards all of it; hooks run and operations compute outside of it. Must not touch a device's memory but to
 * open and close it, and to damage it. */
#include "device/sim/machine.h"

#include "base/error.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
    UPLOADS = 4096, /* that are kept in mind on one device */
    PRECISIONS = CE_PRECISION_FLOAT16 + 1
};
#define DEFAULT_MEMORY (UINT64_C(256) << 20)

typedef struct upload {
    sim_buffer *buffer; /* NULL: freed since */
    size_t offset, values;
    cei_weight weight;
    size_t first; /* row of it */
} upload;

typedef struct machine_device {
    uint64_t memory, used;
    uint64_t epoch;
    bool lost, unusable;
    bool lacks[CEI_OP_COUNT], distorts[CEI_OP_COUNT], lacks_precision[PRECISIONS], nudges;
    char reason[256];
    uint64_t lose_in; /* calls; 0: not planned. So are those below */
    uint64_t fail_in[CEI_SIM_CALLS];
    ce_status fail_with[CEI_SIM_CALLS];
    uint64_t corrupt_in;
    cei_sim_corruption corruption;
    upload uploads[UPLOADS];
    size_t upload_count;
    cei_sim_counters counters;
} machine_device;

static struct {
    pthread_mutex_t mutex;
    int count;
    machine_device devices[CEI_SIM_DEVICES];
    unsigned delay_us;
    cei_sim_hook_fn hook;
    void *hook_user;
    const cei_driver *backing;
} machine = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static machine_device *lock(int index) {
    pthread_mutex_lock(&machine.mutex);
    return &machine.devices[index];
}

static void unlock(void) { pthread_mutex_unlock(&machine.mutex); }

/* ---- the machine -------------------------------------------------------------------------------------------- */

static void reset_device(machine_device *device) {
    cei_sim_counters *counters = &device->counters;
    *counters = (cei_sim_counters){.devices = counters->devices,
                                   .buffers = counters->buffers,
                                   .streams = counters->streams,
                                   .bytes = counters->bytes,
                                   .peak_bytes = counters->bytes};
    memset(device->fail_in, 0, sizeof device->fail_in);
    memset(device->lacks, 0, sizeof device->lacks);
    memset(device->distorts, 0, sizeof device->distorts);
    device->nudges = false;
    memset(device->lacks_precision, 0, sizeof device->lacks_precision);
    device->memory = DEFAULT_MEMORY;
    device->lose_in = device->corrupt_in = 0;
    device->lost = device->unusable = false;
}

void cei_sim_reset(void) {
    (void)lock(0);
    for (int i = 0; i < CEI_SIM_DEVICES; i++) reset_device(&machine.devices[i]);
    machine.count = 0;
    machine.delay_us = 0;
    machine.hook = NULL;
    unlock();
}

void cei_sim_set_devices(int count) {
    (void)lock(0);
    machine.count = count;
    unlock();
}

void cei_sim_set_memory(int index, uint64_t bytes) {
    lock(index)->memory = bytes;
    unlock();
}

void cei_sim_set_unusable(int index, const char *reason) {
    machine_device *device = lock(index);
    device->unusable = reason != NULL;
    snprintf(device->reason, sizeof device->reason, "%s", reason ? reason : "");
    unlock();
}

void cei_sim_lack_op(int index, cei_op op, bool on) {
    lock(index)->lacks[op] = on;
    unlock();
}

void cei_sim_lack_precision(int index, ce_precision precision, bool on) {
    lock(index)->lacks_precision[precision] = on;
    unlock();
}

void cei_sim_nudge(int index, bool on) {
    lock(index)->nudges = on;
    unlock();
}

void cei_sim_distort(int index, cei_op op, bool on) {
    lock(index)->distorts[op] = on;
    unlock();
}

void cei_sim_set_delay(unsigned microseconds) {
    (void)lock(0);
    machine.delay_us = microseconds;
    unlock();
}

void cei_sim_set_hook(cei_sim_hook_fn hook, void *user) {
    (void)lock(0);
    machine.hook = hook;
    machine.hook_user = user;
    unlock();
}

void cei_sim_set_backing(const cei_driver *driver) {
    (void)lock(0);
    machine.backing = driver;
    unlock();
}

const cei_driver *cei_sim_backing(void) {
    (void)lock(0);
    const cei_driver *backing = machine.backing;
    unlock();
    return backing;
}

static bool read_flag(const bool *flag) {
    (void)lock(0);
    bool value = *flag;
    unlock();
    return value;
}

bool cei_sim_lacks(int index, cei_op op) { return read_flag(&machine.devices[index].lacks[op]); }
/* The default is float32. */
bool cei_sim_has_precision(int index, ce_precision precision) {
    if (precision == CE_PRECISION_DEFAULT) precision = CE_PRECISION_FLOAT32;
    if ((unsigned)precision >= PRECISIONS) return false;
    return !read_flag(&machine.devices[index].lacks_precision[precision]);
}

bool cei_sim_distorts(int index, cei_op op) { return read_flag(&machine.devices[index].distorts[op]); }

bool cei_sim_nudges(int index) { return read_flag(&machine.devices[index].nudges); }

int cei_sim_devices(void) {
    (void)lock(0);
    int count = machine.count;
    unlock();
    return count;
}

void cei_sim_describe(int index, ce_device_info *info) {
    snprintf(info->id, sizeof info->id, "sim:%d", index);
    snprintf(info->name, sizeof info->name, "Simulated accelerator");
    snprintf(info->features, sizeof info->features, "faults");
    const machine_device *device = lock(index);
    info->memory_total = device->memory;
    info->memory_free = device->used < device->memory ? device->memory - device->used : 0;
    info->usable = !device->unusable;
    memcpy(info->reason, device->reason, sizeof info->reason);
    info->float32 = !device->lacks_precision[CE_PRECISION_FLOAT32];
    info->bfloat16 = !device->lacks_precision[CE_PRECISION_BFLOAT16];
    info->int8 = !device->lacks_precision[CE_PRECISION_INT8];
    info->float16 = !device->lacks_precision[CE_PRECISION_FLOAT16];
    unlock();
}

/* ---- faults ------------------------------------------------------------------------------------------------- */

void cei_sim_fail(int index, cei_sim_call call, uint64_t nth, ce_status status) {
    machine_device *device = lock(index);
    device->fail_in[call] = nth;
    device->fail_with[call] = status;
    unlock();
}

static void lose(machine_device *device) {
    device->lost = true;
    device->epoch++;
    device->used = 0;
}

void cei_sim_lose(int index, uint64_t nth) {
    machine_device *device = lock(index);
    device->lose_in = nth;
    if (nth == 0) lose(device);
    unlock();
}

void cei_sim_revive(int index) {
    lock(index)->lost = false;
    unlock();
}

void cei_sim_corrupt_upload(int index, uint64_t nth, cei_sim_corruption how) {
    machine_device *device = lock(index);
    device->corrupt_in = nth;
    device->corruption = how;
    unlock();
}

/* Counts one call down; true at the one that was planned. */
static bool is_due(uint64_t *countdown) { return *countdown > 0 && --*countdown == 0; }

/* ---- the way into a call ------------------------------------------------------------------------------------- */

static void run_hook(int index, cei_sim_call call, cei_op op) {
    (void)lock(0);
    cei_sim_hook_fn hook = machine.hook;
    void *user = machine.hook_user;
    unsigned delay_us = call == CEI_SIM_OP ? machine.delay_us : 0;
    unlock();
    if (hook) hook(user, index, call, op);
    if (delay_us) {
        struct timespec delay = {delay_us / 1000000, (long)(delay_us % 1000000) * 1000};
        nanosleep(&delay, NULL);
    }
}

static ce_status fail_planned(int index, cei_sim_call call, ce_status status, ce_error *error) {
    static const char *const names[CEI_SIM_CALLS] = {"open",     "status", "allocate", "upload",      "download",
                                                     "checksum", "write",  "read",     "an operation"};
    return cei_fail(error, status, "sim:%d: %s failed: the test asked for it", index, names[call]);
}

static ce_status fail_lost(int index, ce_error *error) {
    return cei_fail(error, CE_ERR_DEVICE_LOST,
                    "sim:%d: the device was lost; place the model again, or move it to another device", index);
}

/* *epoch is that of the caller's device; for opening, it is filled. */
static ce_status enter(int index, cei_sim_call call, cei_op op, uint64_t *epoch, ce_error *error) {
    run_hook(index, call, op);
    machine_device *device = lock(index);
    device->counters.calls[call]++;
    if (call == CEI_SIM_OP) device->counters.ops[op]++;
    if (is_due(&device->lose_in)) lose(device);
    bool fails = is_due(&device->fail_in[call]);
    ce_status planned = device->fail_with[call];
    if (call == CEI_SIM_OPEN) *epoch = device->epoch;
    bool lost = device->lost || *epoch != device->epoch;
    unlock();
    if (lost) return fail_lost(index, error);
    return fails ? fail_planned(index, call, planned, error) : CE_OK;
}

ce_status cei_sim_enter(const sim_device *device, cei_sim_call call, cei_op op, ce_error *error) {
    uint64_t epoch = device->epoch;
    return enter(device->base.id.index, call, op, &epoch, error);
}

ce_status cei_sim_enter_open(int index, uint64_t *epoch, ce_error *error) {
    return enter(index, CEI_SIM_OPEN, CEI_OP_COUNT, epoch, error);
}

ce_status cei_sim_enter_stream(sim_stream *stream, cei_sim_call call, cei_op op, ce_error *error) {
    const sim_device *device = (const sim_device *)stream->base.device;
    machine_device *state = lock(device->base.id.index);
    bool busy = stream->busy;
    stream->busy = true;
    if (busy) state->counters.misuses++;
    unlock();
    if (busy) return cei_fail(error, CE_ERR_ARGUMENT, "internal: a stream of sim is used by two threads at once");
    ce_status status = cei_sim_enter(device, call, op, error);
    if (status != CE_OK) cei_sim_leave(stream);
    return status;
}

void cei_sim_leave(sim_stream *stream) {
    (void)lock(stream->base.device->id.index);
    stream->busy = false;
    unlock();
}

/* ---- accounts ------------------------------------------------------------------------------------------------ */

ce_status cei_sim_take_memory(sim_device *device, sim_buffer *buffer, ce_error *error) {
    int index = device->base.id.index;
    size_t bytes = buffer->base.bytes;
    machine_device *state = lock(index);
    uint64_t free_bytes = state->used < state->memory ? state->memory - state->used : 0, total = state->memory;
    bool fits = bytes <= free_bytes;
    if (fits) {
        state->used += bytes;
        state->counters.bytes += bytes;
        if (state->counters.bytes > state->counters.peak_bytes) state->counters.peak_bytes = state->counters.bytes;
    }
    unlock();
    if (fits) return CE_OK;
    return cei_fail(error, CE_ERR_DEVICE_MEMORY,
                    "sim:%d: not enough memory on the device: %zu bytes needed, %llu free of %llu", index, bytes,
                    (unsigned long long)free_bytes, (unsigned long long)total);
}

static void forget_uploads(machine_device *device, const sim_buffer *buffer) {
    for (size_t i = 0; i < device->upload_count; i++)
        if (device->uploads[i].buffer == buffer) device->uploads[i].buffer = NULL;
    while (device->upload_count > 0 && !device->uploads[device->upload_count - 1].buffer) device->upload_count--;
}

void cei_sim_return_memory(sim_device *device, sim_buffer *buffer) {
    machine_device *state = lock(device->base.id.index);
    if (device->epoch == state->epoch) state->used -= buffer->base.bytes;
    state->counters.bytes -= buffer->base.bytes;
    forget_uploads(state, buffer);
    unlock();
}

static uint64_t *alive(cei_sim_counters *counters, sim_object object) {
    return object == SIM_DEVICE ? &counters->devices : object == SIM_BUFFER ? &counters->buffers : &counters->streams;
}

void cei_sim_born(sim_device *device, sim_object object) {
    ++*alive(&lock(device->base.id.index)->counters, object);
    if (object != SIM_DEVICE) device->objects++;
    unlock();
}

void cei_sim_died(sim_device *device, sim_object object) {
    cei_sim_counters *counters = &lock(device->base.id.index)->counters;
    --*alive(counters, object);
    if (object != SIM_DEVICE)
        device->objects--;
    else if (device->objects > 0)
        counters->misuses++;
    unlock();
}

cei_sim_counters cei_sim_count(int index) {
    cei_sim_counters counters = lock(index)->counters;
    unlock();
    return counters;
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* Both under the lock. */
static bool open_buffer(sim_buffer *buffer) {
    if (buffer->users == 0 && mprotect(buffer->memory, buffer->mapped, PROT_READ | PROT_WRITE) != 0) return false;
    buffer->users++;
    return true;
}

static void close_buffer(sim_buffer *buffer) {
    if (--buffer->users == 0) (void)mprotect(buffer->memory, buffer->mapped, PROT_NONE);
}

void *cei_sim_open_memory(sim_access *access, cei_slice slice) {
    sim_buffer *buffer = (sim_buffer *)slice.buffer;
    if (!buffer || access->count == sizeof access->open / sizeof access->open[0]) {
        access->failed = true;
        return NULL;
    }
    (void)lock(buffer->base.device->id.index);
    bool opened = open_buffer(buffer);
    unlock();
    if (opened)
        access->open[access->count++] = buffer;
    else
        access->failed = true;
    return opened ? buffer->memory + slice.offset : NULL;
}

void cei_sim_close_memory(sim_access *access) {
    (void)lock(0);
    while (access->count > 0) close_buffer(access->open[--access->count]);
    unlock();
}

bool cei_sim_record_upload(sim_device *device, const cei_weight *weight, size_t first, size_t count,
                           cei_sim_corruption *how) {
    machine_device *state = lock(device->base.id.index);
    size_t values = count * weight->columns;
    state->counters.uploaded_bytes += values * sizeof(float);
    if (state->upload_count < UPLOADS)
        state->uploads[state->upload_count++] =
            (upload){(sim_buffer *)weight->at.buffer, weight->at.offset + first * weight->columns * sizeof(float),
                     values, *weight, first};
    bool corrupt = is_due(&state->corrupt_in);
    *how = state->corruption;
    unlock();
    return corrupt;
}

void cei_sim_flip(void *value) {
    enum { HIGHEST_MANTISSA_BIT = 22 };
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    bits ^= UINT32_C(1) << HIGHEST_MANTISSA_BIT;
    memcpy(value, &bits, sizeof bits);
}

/* Changes the value in the middle. Under the lock. */
static bool damage(const upload *target) {
    const size_t middle = target->values / 2, columns = target->weight.columns;
    if (target->buffer->damage)
        return target->buffer->damage(&target->weight, target->first + middle / columns, middle % columns);
    if (!open_buffer(target->buffer)) return false;
    cei_sim_flip(target->buffer->memory + target->offset + middle * sizeof(float));
    close_buffer(target->buffer);
    return true;
}

bool cei_sim_damage(int index, cei_role role, size_t which) {
    const machine_device *device = lock(index);
    bool done = false;
    for (size_t i = 0; i < device->upload_count && !done; i++) {
        const upload *candidate = &device->uploads[i];
        if (!candidate->buffer || candidate->weight.role != role || which-- > 0) continue;
        done = damage(candidate);
        break;
    }
    unlock();
    return done;
}

const void *cei_sim_memory(const cei_buffer *buffer) { return ((const sim_buffer *)buffer)->memory; }
