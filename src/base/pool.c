/* pool.c - a job at a time, tasks handed out by an atomic counter. Relies on pthreads.
 *
 * Workers spin briefly for the next job before they sleep: the operations of one encoder layer follow each other
 * within microseconds. With one usable CPU there is no spinning. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/pool.h"

#include "base/error.h"
#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* About 20-50 microseconds of looking before a thread sleeps. */
enum { SPIN_ROUNDS = 4000 };

struct cei_pool {
    pthread_mutex_t lock;    /* guards the sleep and wake of workers */
    pthread_cond_t wake;     /* a job has come, or the pool ends */
    pthread_cond_t finished; /* the last worker has left the job */
    pthread_mutex_t user;    /* held by the thread whose job has the pool */
    pthread_t *threads;
    size_t started; /* threads that run */
    size_t size;    /* started + the caller's */
    unsigned spin;
    atomic_uint job;      /* counts jobs; a worker joins when it changes */
    atomic_size_t inside; /* workers that have not yet left the current job */
    atomic_bool ending;
    atomic_uint sleepers;
    atomic_bool waiting; /* the caller sleeps on finished */
    cei_task_fn fn;
    void *argument;
    size_t count;
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

/* Waits until the job number differs from seen; returns the new one. */
static unsigned await_job(cei_pool *pool, unsigned seen) {
    for (unsigned round = 0; round < pool->spin; round++) {
        unsigned job = atomic_load_explicit(&pool->job, memory_order_acquire);
        if (job != seen) return job;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    unsigned job;
    while ((job = atomic_load(&pool->job)) == seen) pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void leave_job(cei_pool *pool) {
    if (atomic_fetch_sub(&pool->inside, 1) != 1 || !atomic_load(&pool->waiting)) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *argument) {
    worker_start start = *(worker_start *)argument;
    cei_free(argument);
    unsigned seen = 0;
    for (;;) {
        seen = await_job(start.pool, seen);
        if (atomic_load(&start.pool->ending)) return NULL;
        run_tasks(start.pool, start.index);
        leave_job(start.pool);
    }
}

/* Announces a new job number, and wakes those who sleep. */
static void announce_job(cei_pool *pool) {
    atomic_fetch_add(&pool->job, 1);
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static void await_workers(cei_pool *pool) {
    for (unsigned round = 0; round < pool->spin; round++) {
        if (atomic_load_explicit(&pool->inside, memory_order_acquire) == 0) return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->waiting, true);
    while (atomic_load(&pool->inside) != 0) pthread_cond_wait(&pool->finished, &pool->lock);
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
    atomic_store(&pool->inside, pool->started);
    announce_job(pool);
    run_tasks(pool, 0);
    await_workers(pool);
    pthread_mutex_unlock(&pool->user);
}

size_t cei_pool_size(const cei_pool *pool) { return pool->size; }

static ce_status start_worker(cei_pool *pool, ce_error *error) {
    worker_start *start = cei_alloc(1, sizeof *start);
    if (!start) return cei_fail_memory(error, "a worker thread", sizeof *start);
    *start = (worker_start){pool, pool->started + 1};
    /* Signals are the application's: workers take none. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(&pool->threads[pool->started], NULL, worker_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0) {
        char text[128];
        cei_free(start);
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
    ce_status status = pool->threads ? CE_OK : cei_fail_memory(error, "a thread pool", 0);
    while (status == CE_OK && pool->started + 1 < pool->size) status = start_worker(pool, error);
    if (status != CE_OK) {
        cei_pool_free(pool);
        return status;
    }
    *out = pool;
    return CE_OK;
}

void cei_pool_free(cei_pool *pool) {
    if (!pool) return;
    atomic_store(&pool->ending, true);
    announce_job(pool);
    for (size_t i = 0; i < pool->started; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->user);
    pthread_mutex_destroy(&pool->lock);
    cei_free(pool->threads);
    cei_free(pool);
}

/* The cgroup v2 limit "QUOTA PERIOD" or "max PERIOD" in whole CPUs, rounded up; 0 if there is none. */
static unsigned cgroup_cpus(void) {
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!file) return 0;
    unsigned long long quota = 0, period = 0;
    int fields = fscanf(file, "%llu %llu", &quota, &period);
    fclose(file);
    if (fields != 2 || period == 0) return 0;
    unsigned long long cpus = (quota + period - 1) / period;
    return cpus > 0 && cpus < 65536 ? (unsigned)cpus : 0;
}

unsigned cei_usable_cpus(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    unsigned cpus = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) cpus = (unsigned)CPU_COUNT(&set);
    unsigned limit = cgroup_cpus();
    return limit && limit < cpus ? limit : cpus;
}
