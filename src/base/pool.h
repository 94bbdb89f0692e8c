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

/* A list of CPUs by number, in the order given. */
enum { CEI_MOST_CPUS = 1024 };
typedef struct cei_cpu_list {
    size_t count; /* at least 1 */
    unsigned cpus[CEI_MOST_CPUS];
} cei_cpu_list;

/* Reads a list as Linux writes them: "0-3,8". Errors: ARGUMENT (what is wrong with it; a CPU that comes twice). */
ce_status cei_cpu_list_parse(const char *text, cei_cpu_list *list, ce_error *error);

/* Binds the pool's threads to CPUs: worker i to the list's entry i, and round again if the list is shorter. The
 * caller's thread, worker 0, is left as it is. Errors: ARGUMENT (a CPU that is not there or not allowed), IO. */
ce_status cei_pool_bind(cei_pool *pool, const cei_cpu_list *list, ce_error *error);

/* CPUs that this process may use: the affinity mask, and the quotas of its cgroup and those above it, rounded up. At
 * least 1. */
unsigned cei_usable_cpus(void);

#endif
