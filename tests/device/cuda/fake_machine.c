/* fake_machine.c - the stand-in's machine: plans, memory, streams that run late.
 *
 * One lock guards the machine's state, another one whatever runs on a device: one copy or kernel at a time. */
#include "device/cuda/fake_machine.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER, engine_lock = PTHREAD_MUTEX_INITIALIZER;

fake_machine machine = {.devices = 2, .version = 12040, .major = 8, .processors = 2, .memory = 64 << 20};

_Thread_local fake_thread thread;

void lock(void) { pthread_mutex_lock(&state_lock); }
void unlock(void) { pthread_mutex_unlock(&state_lock); }

void misuse(const char *what) {
    lock();
    machine.misuses++;
    machine.misuse = what;
    unlock();
}

/* Counts down a plan; true when it is due. */
static bool is_due(uint64_t *in) { return *in > 0 && --*in == 0; }

/* ---- plans ---------------------------------------------------------------------------------------------------- */

EXPORT bool fake_is_here(void) { return true; }

EXPORT void fake_reset(void) {
    lock();
    memset(machine.fail_in, 0, sizeof machine.fail_in);
    memset(machine.calls, 0, sizeof machine.calls);
    machine.break_in = machine.lose_in = machine.corrupt_in = machine.all = machine.misuses = 0;
    machine.devices = 2;
    machine.version = 12040;
    machine.major = 8;
    machine.processors = 2;
    machine.minor = machine.attribute = machine.attribute_value = 0;
    machine.memory = 64 << 20;
    machine.delay = 0;
    machine.hidden = machine.without_cubins = false;
    machine.held.most_pinned = machine.held.pinned_bytes;
    unlock();
}

#define SETTER(name, type, ...)    \
    EXPORT void name(type value) { \
        lock();                    \
        __VA_ARGS__;               \
        unlock();                  \
    }
SETTER(fake_set_devices, int, machine.devices = value)
SETTER(fake_set_version, int, machine.version = value)
SETTER(fake_set_processors, int, machine.processors = value)
SETTER(fake_set_cubins, bool, machine.without_cubins = !value)
SETTER(fake_set_memory, size_t, machine.memory = value)
SETTER(fake_set_delay, unsigned, machine.delay = value)
SETTER(fake_corrupt, uint64_t, machine.corrupt_in = value)
#undef SETTER

EXPORT void fake_hide(void) {
    lock();
    machine.hidden = true;
    unlock();
}

EXPORT void fake_set_capability(int major, int minor) {
    lock();
    machine.major = major;
    machine.minor = minor;
    unlock();
}

EXPORT void fake_set_attribute(int which, int value) {
    lock();
    machine.attribute = which;
    machine.attribute_value = value;
    unlock();
}

EXPORT void fake_fail(fake_call call, uint64_t nth, cei_cuda_result result) {
    lock();
    machine.fail_in[call] = nth;
    machine.fail_with[call] = result;
    unlock();
}

EXPORT void fake_break(uint64_t nth, cei_cuda_result result) {
    lock();
    machine.break_in = nth;
    machine.break_with = result;
    unlock();
}

EXPORT void fake_lose(uint64_t nth, cei_cuda_result result) {
    lock();
    machine.lose_in = nth;
    machine.lose_with = result;
    unlock();
}

EXPORT fake_held fake_holds(void) {
    lock();
    const fake_held held = machine.held;
    unlock();
    return held;
}

EXPORT uint64_t fake_count(fake_call call) {
    lock();
    const uint64_t count = machine.calls[call];
    unlock();
    return count;
}

EXPORT uint64_t fake_calls(void) {
    lock();
    const uint64_t count = machine.all;
    unlock();
    return count;
}

EXPORT uint64_t fake_misuses(const char **what) {
    lock();
    const uint64_t count = machine.misuses;
    if (what) *what = machine.misuse;
    unlock();
    return count;
}

EXPORT int fake_depth(void) { return thread.depth; }

cei_cuda_result enter(fake_call call) {
    lock();
    machine.calls[call]++;
    machine.all++;
    const cei_cuda_result result = is_due(&machine.fail_in[call]) ? machine.fail_with[call] : CEI_CUDA_SUCCESS;
    unlock();
    return result;
}

cei_cuda_result enter_context(fake_call call, struct CUctx_st **context) {
    enum { INVALID_CONTEXT = 201 };
    cei_cuda_result result = enter(call);
    *context = thread.depth ? thread.stack[thread.depth - 1] : NULL;
    if (!*context) {
        misuse("a call without a context");
        return INVALID_CONTEXT;
    }
    lock();
    if (is_due(&machine.lose_in)) (*context)->broken = machine.lose_with;
    if ((*context)->broken) result = (*context)->broken;
    unlock();
    return result;
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

static size_t whole_pages(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* A free row of the table, or NULL. Under the lock. */
static allocation *find_free(void) {
    for (size_t i = 0; i < MOST_ALLOCATIONS; i++)
        if (!machine.allocations[i].memory) return &machine.allocations[i];
    return NULL;
}

allocation *find_allocation(const void *address, size_t bytes, bool pinned) {
    allocation *found = NULL;
    lock();
    for (size_t i = 0; i < MOST_ALLOCATIONS && !found; i++) {
        allocation *one = &machine.allocations[i];
        const unsigned char *at = address;
        if (one->memory && one->pinned == pinned && at >= one->memory && bytes <= one->bytes &&
            (size_t)(at - one->memory) <= one->bytes - bytes)
            found = one;
    }
    unlock();
    return found;
}

cei_cuda_result map(struct CUctx_st *context, size_t bytes, bool pinned, void **address) {
    const size_t inner = whole_pages(bytes), mapped = inner + whole_pages(1);
    unsigned char *memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return CEI_CUDA_OUT_OF_MEMORY;
    memset(memory, 0xFF, inner);
    mprotect(pinned ? memory + inner : memory, pinned ? mapped - inner : mapped, PROT_NONE);
    lock();
    allocation *row = find_free();
    const bool fits = row && (pinned || (bytes <= machine.memory && context->used <= machine.memory - bytes));
    if (fits) {
        *row = (allocation){memory, bytes, mapped, context, pinned};
        context->used += pinned ? 0 : bytes;
        machine.held.allocations += !pinned;
        machine.held.pinned += pinned;
        *(pinned ? &machine.held.pinned_bytes : &machine.held.bytes) += bytes;
        if (machine.held.pinned_bytes > machine.held.most_pinned) machine.held.most_pinned = machine.held.pinned_bytes;
    }
    unlock();
    if (!fits) {
        munmap(memory, mapped);
        return CEI_CUDA_OUT_OF_MEMORY;
    }
    *address = memory;
    return CEI_CUDA_SUCCESS;
}

void unmap(allocation *row) {
    lock();
    const allocation old = *row;
    row->memory = NULL;
    old.context->used -= old.pinned ? 0 : old.bytes;
    machine.held.allocations -= !old.pinned;
    machine.held.pinned -= old.pinned;
    *(old.pinned ? &machine.held.pinned_bytes : &machine.held.bytes) -= old.bytes;
    unlock();
    munmap(old.memory, old.mapped);
}

/* Lets a running copy or kernel at all device memory, or nobody. Under both locks. */
static void open_memory(bool open) {
    for (size_t i = 0; i < MOST_ALLOCATIONS; i++) {
        const allocation *one = &machine.allocations[i];
        if (one->memory && !one->pinned)
            mprotect(one->memory, whole_pages(one->bytes), open ? PROT_READ | PROT_WRITE : PROT_NONE);
    }
}

/* ---- streams -------------------------------------------------------------------------------------------------- */

static void run_work(const work *todo, struct CUctx_st *context) {
    if (machine.delay) usleep(machine.delay);
    if (todo->breaks) context->broken = machine.break_with;
    if (context->broken) return;
    if (todo->kind != WORK_LAUNCH) {
        memcpy(todo->to, todo->from, todo->bytes);
        if (todo->corrupts) ((unsigned char *)todo->to)[todo->bytes / 2] ^= 1;
    } else if (!emulate(todo->kernel->run, todo->arguments, todo->kernel->threads, todo->blocks_x, todo->blocks_y)) {
        machine.misuses++;
        machine.misuse = todo->kernel->name;
        context->broken = CEI_CUDA_LAUNCH_FAILED;
    }
}

/* Runs all that waits in a stream. Kernels run under both locks: no call looks at a device that is at work. */
void drain(struct CUstream_st *stream) {
    pthread_mutex_lock(&engine_lock);
    lock();
    if (stream->count > 0) open_memory(true);
    const bool opened = stream->count > 0;
    for (; stream->count > 0; stream->count--) {
        run_work(&stream->queue[stream->first], stream->context);
        stream->first = (stream->first + 1) % QUEUE;
    }
    if (opened) open_memory(false);
    unlock();
    pthread_mutex_unlock(&engine_lock);
}

void drain_all(const struct CUctx_st *context) {
    for (struct CUstream_st *stream = machine.streams; stream; stream = stream->next)
        if (stream->context == context) drain(stream);
}

void enqueue(struct CUstream_st *stream, const work *todo) {
    lock();
    const bool full = stream->count == QUEUE;
    unlock();
    if (full) drain(stream);
    lock();
    work *slot = &stream->queue[(stream->first + stream->count++) % QUEUE];
    *slot = *todo;
    slot->breaks = todo->kind == WORK_LAUNCH && is_due(&machine.break_in);
    slot->corrupts = todo->kind == WORK_TO_DEVICE && is_due(&machine.corrupt_in);
    unlock();
}
