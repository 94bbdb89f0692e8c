/* test_pool.c - every task once, whatever the threads, callers and nesting; also run under ThreadSanitizer. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "base/pool.h"

#include "base/memory.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 8, MOST_TASKS = 1000 };

static cei_pool *make_pool(unsigned threads) {
    ce_error error = {0};
    cei_pool *pool = NULL;
    expect_ok(cei_pool_create(threads, &pool, &error), &error);
    return pool;
}

static void lists_of_cpus(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        unsigned cpus[5];
    } good[] = {{"0", 1, {0}}, {"0-3,8", 5, {0, 1, 2, 3, 8}}, {"7,2", 2, {7, 2}}, {"1023", 1, {1023}}, {"4-4", 1, {4}}};
    static const char *const bad[] = {"",    ",",   "1,",  ",1",    "-1", "1-",    "3-2", "1024", "99999999999",
                                      "1 2", "0x1", "0,0", "0-3,2", "a",  "1-2-3", " 1",  "1;2"};
    cei_cpu_list list;
    ce_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        expect_ok(cei_cpu_list_parse(good[i].text, &list, &error), &error);
        assert_int_equal(list.count, good[i].count);
        assert_memory_equal(list.cpus, good[i].cpus, list.count * sizeof *list.cpus);
    }
    expect_ok(cei_cpu_list_parse("0-1023", &list, &error), &error);
    assert_int_equal(list.count, CEI_MOST_CPUS);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_status(cei_cpu_list_parse(bad[i], &list, &error), CE_ERR_ARGUMENT, &error, "list of CPUs");
}

static void note_cpu(void *argument, size_t task, size_t worker) {
    (void)task;
    atomic_int *cpus = argument;
    if (worker) atomic_store(&cpus[worker], sched_getcpu() + 1);
    usleep(1000); /* so that every worker gets tasks */
}

static void threads_are_bound(void **state) {
    (void)state;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    unsigned cpu = 0;
    while (!CPU_ISSET(cpu, &before)) cpu++;
    const cei_cpu_list list = {1, {cpu}}, missing = {1, {CEI_MOST_CPUS - 1}};
    cei_pool *pool = make_pool(4);
    ce_error error;
    atomic_int cpus[4] = {0};
    expect_ok(cei_pool_bind(pool, &list, &error), &error);
    cei_pool_run(pool, 200, note_cpu, cpus);
    for (size_t worker = 1; worker < 4; worker++) {
        const int found = atomic_load(&cpus[worker]);
        assert_true(found == 0 || found == (int)cpu + 1);
    }
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after)); /* the caller's own thread is left alone */
    if (!CPU_ISSET(CEI_MOST_CPUS - 1, &before))
        expect_status(cei_pool_bind(pool, &missing, &error), CE_ERR_ARGUMENT, &error, "no such CPU");
    cei_pool_free(pool);
    cei_pool *alone = make_pool(1); /* without a thread to bind */
    expect_ok(cei_pool_bind(alone, &list, &error), &error);
    if (!CPU_ISSET(CEI_MOST_CPUS - 1, &before) && access("/sys/devices/system/cpu/cpu0", F_OK) == 0)
        expect_status(cei_pool_bind(alone, &missing, &error), CE_ERR_ARGUMENT, &error, "no such CPU");
    cei_pool_free(alone);
}

typedef struct job {
    atomic_int runs[MOST_TASKS];
    atomic_int inside[MOST_THREADS]; /* tasks that run as this worker now */
    atomic_int clashes;
    size_t workers;
} job;

static void count_task(void *argument, size_t task, size_t worker) {
    job *one = argument;
    if (worker >= one->workers || atomic_fetch_add(&one->inside[worker], 1) != 0) atomic_fetch_add(&one->clashes, 1);
    atomic_fetch_add(&one->runs[task], 1);
    if (worker < one->workers) atomic_fetch_sub(&one->inside[worker], 1);
}

static void check_job(const job *one, size_t count) {
    assert_int_equal(atomic_load(&one->clashes), 0);
    for (size_t i = 0; i < MOST_TASKS; i++) assert_int_equal(atomic_load(&one->runs[i]), i < count);
}

static void every_task_runs_once(void **state) {
    (void)state;
    static const size_t counts[] = {0, 1, 2, 7, 8, 9, 100, MOST_TASKS};
    for (unsigned threads = 1; threads <= MOST_THREADS; threads++) {
        cei_pool *pool = make_pool(threads);
        assert_int_equal(cei_pool_size(pool), threads);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            job *one = calloc(1, sizeof *one);
            assert_non_null(one);
            one->workers = threads;
            cei_pool_run(pool, counts[i], count_task, one);
            check_job(one, counts[i]);
            free(one);
        }
        cei_pool_free(pool);
    }
}

static void record_thread(void *argument, size_t task, size_t worker) {
    (void)task;
    assert_int_equal(worker, 0);
    *(pthread_t *)argument = pthread_self();
}

static void a_pool_of_one_is_its_caller(void **state) {
    (void)state;
    cei_pool *pool = make_pool(1);
    pthread_t ran = {0};
    cei_pool_run(pool, 1, record_thread, &ran);
    assert_true(pthread_equal(ran, pthread_self()));
    cei_pool_free(pool);
    pool = make_pool(0); /* as one */
    assert_int_equal(cei_pool_size(pool), 1);
    cei_pool_free(pool);
}

/* Plain sums: results of tasks are visible to the caller without any lock of its own. */
typedef struct sums {
    size_t value[64];
} sums;

static void add_one(void *argument, size_t task, size_t worker) {
    (void)worker;
    ((sums *)argument)->value[task] += task + 1;
}

static void nothing(void *argument, size_t task, size_t worker) {
    (void)argument;
    (void)task;
    (void)worker;
}

/* A worker may come to its first job when the pool has already ended. */
static void pools_that_end_at_once(void **state) {
    (void)state;
    for (size_t round = 0; round < 2000; round++) {
        cei_pool *pool = make_pool(4);
        for (size_t jobs = round % 4; jobs > 0; jobs--) cei_pool_run(pool, 2, nothing, NULL);
        cei_pool_free(pool);
    }
}

static void thousands_of_tiny_jobs(void **state) {
    (void)state;
    for (unsigned threads = 2; threads <= MOST_THREADS; threads *= 2) {
        cei_pool *pool = make_pool(threads);
        sums all = {{0}};
        enum { JOBS = 5000 };
        for (int i = 0; i < JOBS; i++) cei_pool_run(pool, 1 + (size_t)i % 64, add_one, &all);
        for (size_t task = 0; task < 64; task++) {
            size_t jobs = 0; /* those with more tasks than this one's number */
            for (size_t i = 0; i < JOBS; i++) jobs += 1 + i % 64 > task;
            assert_int_equal(all.value[task], jobs * (task + 1));
        }
        cei_pool_free(pool);
    }
}

typedef struct nest {
    cei_pool *pool;
    job inner[16];
} nest;

static void run_inner(void *argument, size_t task, size_t worker) {
    (void)worker;
    nest *outer = argument;
    outer->inner[task].workers = 1; /* a job inside a task runs as worker 0 alone */
    cei_pool_run(outer->pool, 20, count_task, &outer->inner[task]);
}

static void jobs_inside_tasks(void **state) {
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++) {
        nest *outer = calloc(1, sizeof *outer);
        assert_non_null(outer);
        outer->pool = make_pool(threads);
        cei_pool_run(outer->pool, 16, run_inner, outer);
        for (size_t i = 0; i < 16; i++) check_job(&outer->inner[i], 20);
        cei_pool_free(outer->pool);
        free(outer);
    }
}

typedef struct caller {
    cei_pool *pool;
    sums all;
} caller;

static void *call_often(void *argument) {
    caller *one = argument;
    for (int i = 0; i < 1000; i++) cei_pool_run(one->pool, 1 + (size_t)i % 8, add_one, &one->all);
    return NULL;
}

static void callers_at_the_same_time(void **state) {
    (void)state;
    cei_pool *pool = make_pool(3);
    caller callers[6];
    pthread_t threads[6];
    memset(callers, 0, sizeof callers);
    for (int i = 0; i < 6; i++) {
        callers[i].pool = pool;
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 6; i++)
        for (size_t task = 0; task < 8; task++)
            assert_int_equal(callers[i].all.value[task], (task + 1) * (1000 / 8) * (8 - task));
    cei_pool_free(pool);
}

static void spin(void *argument, size_t task, size_t worker) {
    (void)worker;
    volatile size_t turns = 20000 * (task % 3);
    while (turns > 0) turns--;
    atomic_fetch_add((atomic_size_t *)argument, 1);
}

/* Long and short tasks, pauses in which workers fall asleep, pools that end at once. */
static void workers_sleep_and_wake(void **state) {
    (void)state;
    for (int round = 0; round < 20; round++) {
        cei_pool *pool = make_pool(1 + (unsigned)round % 4);
        atomic_size_t done = 0;
        for (int i = 0; i < 5; i++) {
            struct timespec pause = {0, i * 200000};
            cei_pool_run(pool, 10, spin, &done);
            nanosleep(&pause, NULL);
        }
        assert_int_equal(atomic_load(&done), 50);
        cei_pool_free(pool);
    }
    cei_pool_free(make_pool(8));
    cei_pool_free(NULL);
}

static atomic_bool signalled_elsewhere;
static pthread_t main_thread;

static void on_signal(int number) {
    (void)number;
    if (!pthread_equal(pthread_self(), main_thread)) atomic_store(&signalled_elsewhere, true);
}

static void signals_are_left_to_the_host(void **state) {
    (void)state;
    main_thread = pthread_self();
    struct sigaction action = {.sa_handler = on_signal}, before;
    cei_pool *pool = make_pool(4);
    sigaction(SIGUSR1, &action, &before);
    for (int i = 0; i < 50; i++) kill(getpid(), SIGUSR1);
    sigaction(SIGUSR1, &before, NULL);
    cei_pool_free(pool);
    assert_false(atomic_load(&signalled_elsewhere));
}

static void usable_cpus_follow_the_affinity(void **state) {
    (void)state;
    unsigned all = cei_usable_cpus();
    assert_true(all >= 1);
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(all <= (unsigned)CPU_COUNT(&before));
    int first = 0;
    while (!CPU_ISSET(first, &before)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    unsigned now = cei_usable_cpus();
    sched_setaffinity(0, sizeof before, &before);
    assert_int_equal(now, 1);
}

static ce_status make_and_run(void *user, ce_error *error) {
    (void)user;
    cei_pool *pool = NULL;
    ce_status status = cei_pool_create(3, &pool, error);
    atomic_size_t done = 0;
    if (status == CE_OK) cei_pool_run(pool, 3, spin, &done);
    cei_pool_free(pool);
    return status;
}

static void no_memory_at_any_allocation(void **state) {
    (void)state;
    failing_malloc_or_skip();
    assert_true(test_each_allocation(make_and_run, NULL) >= 3);
}

static void a_running_job_allocates_nothing(void **state) {
    (void)state;
    failing_malloc_or_skip();
    cei_pool *pool = make_pool(4);
    atomic_size_t done = 0;
    failing_malloc_start(FAILING_NONE, 0, FAILING_ALL_THREADS);
    for (int i = 0; i < 100; i++) cei_pool_run(pool, 5, spin, &done);
    size_t made = failing_malloc_stop();
    cei_pool_free(pool);
    assert_int_equal(made, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_cpus),
        cmocka_unit_test(threads_are_bound),
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(a_pool_of_one_is_its_caller),
        cmocka_unit_test(pools_that_end_at_once),
        cmocka_unit_test(thousands_of_tiny_jobs),
        cmocka_unit_test(jobs_inside_tasks),
        cmocka_unit_test(callers_at_the_same_time),
        cmocka_unit_test(workers_sleep_and_wake),
        cmocka_unit_test(signals_are_left_to_the_host),
        cmocka_unit_test(usable_cpus_follow_the_affinity),
        cmocka_unit_test(no_memory_at_any_allocation),
        cmocka_unit_test(a_running_job_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
