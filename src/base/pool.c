/* pool.c - a job at a time, tasks handed out by an atomic counter. Relies on pthreads, and on Linux's affinity masks.
 *
 * Workers spin briefly for the next job before they sleep: the operations of one encoder layer follow each other
 * within microseconds. With fewer usable CPUs than threads there is no spinning. A worker that comes late to a job
 * finds it closed and leaves it alone, so the caller never waits for a thread that the system has not run yet. */
#define _GNU_SOURCE /* pthread_setaffinity_np */
#include "base/pool.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How often a thread looks before it sleeps: 50 to 200 microseconds, by how long the processor takes to pause. */
enum { SPIN_ROUNDS = 4000 };

/* Keeps what every task writes away from what every task reads. */
enum { CACHE_LINE = 64 };

/* The state word: the job's number, whether it is open to workers, and how many are in it. */
#define INSIDE ((uint64_t)0xFFFFF)
#define OPEN ((uint64_t)1 << 20)
#define JOB ((uint64_t)1 << 21)

struct cei_pool {
    pthread_mutex_t lock;    /* guards the sleep and wake of all threads */
    pthread_cond_t wake;     /* a job has come, or the pool ends */
    pthread_cond_t finished; /* the last worker has left a closed job */
    pthread_mutex_t user;    /* held by the thread whose job has the pool */
    pthread_t *threads;
    struct worker_start *starts; /* of each thread */
    size_t started;              /* threads that run */
    size_t size;                 /* started + the caller's */
    unsigned spin;
    atomic_bool ending;
    atomic_uint sleepers;
    atomic_bool waiting; /* the caller sleeps on finished */
    /* The job. Written while no worker is inside, before the state says that it is open. */
    cei_task_fn fn;
    void *argument;
    size_t count;
    char apart[CACHE_LINE];
    atomic_uint_fast64_t state;
    char away[CACHE_LINE];
    atomic_size_t next; /* task to hand out */
};

typedef struct worker_start {
    cei_pool *pool;
    size_t index;
} worker_start;

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_tasks(cei_pool *pool, size_t worker) {
    for (;;) {
        size_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (task >= pool->count) return;
        pool->fn(pool->argument, task, worker);
    }
}

/* Waits until there is a job of another number than seen, which may already be closed. */
static void await_job(cei_pool *pool, uint64_t seen) {
    for (unsigned round = 0; round < pool->spin; round++) {
        if (atomic_load_explicit(&pool->state, memory_order_acquire) / JOB != seen) return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->state) / JOB == seen) pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

/* Enters the job if it is open; *seen becomes its number. */
static bool enter_job(cei_pool *pool, uint64_t *seen) {
    uint_fast64_t state = atomic_load(&pool->state);
    while ((state & OPEN) && !atomic_compare_exchange_weak(&pool->state, &state, state + 1)) {
    }
    *seen = state / JOB;
    return (state & OPEN) != 0;
}

/* The caller sleeps only on a closed job, and looks at the state after it says that it waits. */
static void leave_job(cei_pool *pool) {
    uint64_t before = atomic_fetch_sub(&pool->state, 1);
    if ((before & (OPEN | INSIDE)) != 1 || !atomic_load(&pool->waiting)) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *argument) {
    const worker_start *start = argument;
    uint64_t seen = 0;
    for (;;) {
        await_job(start->pool, seen);
        if (!enter_job(start->pool, &seen)) {
            /* Not before: it may be the last number that was just seen, after which none comes. */
            if (atomic_load(&start->pool->ending)) return NULL;
            continue;
        }
        run_tasks(start->pool, start->index);
        leave_job(start->pool);
    }
}

/* Sets a state with a new job number, and wakes those who sleep. What is written before the other side's word is read
 * is exchanged and not stored, here and in finish_job: QEMU lets the load of a 64-bit ARM overtake the store before it,
 * and a wakeup is lost. */
static void announce_job(cei_pool *pool, uint64_t open) {
    atomic_exchange(&pool->state, (atomic_load(&pool->state) / JOB + 1) * JOB | open);
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

/* Closes the job to workers that have not come yet, and waits for those inside. */
static void finish_job(cei_pool *pool) {
    atomic_fetch_and(&pool->state, ~OPEN);
    for (unsigned round = 0; round < pool->spin; round++) {
        if ((atomic_load_explicit(&pool->state, memory_order_acquire) & INSIDE) == 0) return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_exchange(&pool->waiting, true);
    while ((atomic_load(&pool->state) & INSIDE) != 0) pthread_cond_wait(&pool->finished, &pool->lock);
    atomic_store(&pool->waiting, false);
    pthread_mutex_unlock(&pool->lock);
}

void cei_pool_run(cei_pool *pool, size_t count, cei_task_fn fn, void *argument) {
    if (count == 0) return;
    if (count == 1 || pool->started == 0 || pthread_mutex_trylock(&pool->user) != 0) {
        for (size_t task = 0; task < count; task++) fn(argument, task, 0);
        return;
    }
    pool->fn = fn;
    pool->argument = argument;
    pool->count = count;
    atomic_store(&pool->next, 0);
    announce_job(pool, OPEN);
    run_tasks(pool, 0);
    finish_job(pool);
    pthread_mutex_unlock(&pool->user);
}

size_t cei_pool_size(const cei_pool *pool) { return pool->size; }

static ce_status start_worker(cei_pool *pool, ce_error *error) {
    worker_start *start = &pool->starts[pool->started];
    *start = (worker_start){pool, pool->started + 1};
    /* Signals are the application's: workers take none. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(&pool->threads[pool->started], NULL, worker_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0) {
        char text[128];
        return cei_fail(error, CE_ERR_IO, "cannot start worker thread %zu of %zu: %s", pool->started + 1,
                        pool->size - 1, cei_errno_text(number, text, sizeof text));
    }
    pool->started++;
    return CE_OK;
}

ce_status cei_pool_create(unsigned threads, cei_pool **out, ce_error *error) {
    *out = NULL;
    cei_pool *pool = cei_alloc_zeroed(1, sizeof *pool);
    if (!pool) return cei_fail_memory(error, "a thread pool", sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_mutex_init(&pool->user, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->size = threads ? threads : 1;
    pool->spin = cei_usable_cpus() >= pool->size ? SPIN_ROUNDS : 0;
    pool->threads = cei_alloc_zeroed(pool->size, sizeof *pool->threads);
    pool->starts = cei_alloc_zeroed(pool->size, sizeof *pool->starts);
    ce_status status = pool->threads && pool->starts ? CE_OK : cei_fail_memory(error, "a thread pool", 0);
    while (status == CE_OK && pool->started + 1 < pool->size) status = start_worker(pool, error);
    if (status != CE_OK) {
        cei_pool_free(pool);
        return status;
    }
    *out = pool;
    return CE_OK;
}

/* Has this machine a CPU of that number, or does the system not say? */
static bool may_exist(unsigned cpu) {
    char path[64];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u", cpu);
    return access(path, F_OK) == 0 || access("/sys/devices/system/cpu/cpu0", F_OK) != 0;
}

ce_status cei_pool_bind(cei_pool *pool, const cei_cpu_list *list, ce_error *error) {
    if (list->count == 0) return CE_OK;
    for (size_t i = 0; i < list->count; i++) /* also those that no thread of the pool is bound to, as the caller's */
        if (!may_exist(list->cpus[i]))
            return cei_fail(error, CE_ERR_ARGUMENT, "cannot bind a thread to CPU %u: this machine has no such CPU",
                            list->cpus[i]);
    for (size_t i = 0; i < pool->started; i++) {
        const unsigned cpu = list->cpus[(i + 1) % list->count];
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        const int number = pthread_setaffinity_np(pool->threads[i], sizeof set, &set);
        if (number == 0) continue;
        char text[128];
        return cei_fail(error, number == EINVAL ? CE_ERR_ARGUMENT : CE_ERR_IO,
                        "cannot bind a worker thread to CPU %u: %s", cpu,
                        number == EINVAL ? "this process has no such CPU" : cei_errno_text(number, text, sizeof text));
    }
    return CE_OK;
}

void cei_pool_free(cei_pool *pool) {
    if (!pool) return;
    atomic_store(&pool->ending, true);
    announce_job(pool, 0);
    for (size_t i = 0; i < pool->started; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->user);
    pthread_mutex_destroy(&pool->lock);
    cei_free(pool->threads);
    cei_free(pool->starts);
    cei_free(pool);
}
