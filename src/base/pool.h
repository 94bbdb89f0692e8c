/* pool.h - a pool of threads that run numbered tasks of one job.
 *
 * One pool belongs to one model. The thread that calls takes part, so a pool of 1 starts no thread. Which thread
 * runs a task is not fixed: results must not depend on it. */
#ifndef CEI_POOL_H
#define CEI_POOL_H

#include <crossenc/status.h>

typedef struct cei_pool cei_pool;

/* task: 0 .. count - 1; worker: 0 .. cei_pool_size - 1, different for tasks that run at the same time within one
 * cei_pool_run, for choosing scratch memory. */
typedef void (*cei_task_fn)(void *argument, size_t task, size_t worker);

/* threads >= 1, the caller's included. Errors: MEMORY, IO (the system refuses a thread). */
ce_status cei_pool_create(unsigned threads, cei_pool **pool, ce_error *error);
void cei_pool_free(cei_pool *pool); /* no run in flight; NULL is fine */
size_t cei_pool_size(const cei_pool *pool);

/* Runs count tasks and returns when all have ended. If another thread's job has the pool, or the call comes from
 * inside a task, all tasks run on the calling thread, as worker 0. Never allocates. */
void cei_pool_run(cei_pool *pool, size_t count, cei_task_fn fn, void *argument);

/* CPUs that this process may use: the affinity mask, and the quotas of its cgroup and those above it, rounded up. At
 * least 1. */
unsigned cei_usable_cpus(void);

#endif
