/* cpus.c - how many CPUs this process may use, and lists of them. Relies on Linux's affinity masks and control groups;
 * must not allocate.
 *
 * A container that is given two CPUs of a large machine usually sees all of them in its affinity mask, and is held to
 * two by the quota of its control group. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/pool.h"

#include "base/error.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MASKS = 16 /* of 1024 CPUs each */, PATH_SIZE = 1024 };

/* The first bytes of a small file, as a string; false if it cannot be read. */
static bool read_text(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t got = read(fd, text, size - 1);
    close(fd);
    if (got < 0) return false;
    text[got] = '\0';
    return true;
}

/* quota microseconds in each period, in whole CPUs, rounded up; 0 if there is no limit ("max", or -1). */
static unsigned whole_cpus(const char *quota, const char *period) {
    long long used = strtoll(quota, NULL, 10), of = strtoll(period, NULL, 10);
    if (used <= 0 || of <= 0) return 0;
    long long cpus = used / of + (used % of != 0);
    return cpus < 1 << 20 ? (unsigned)cpus : 0;
}

static unsigned smaller_limit(unsigned a, unsigned b) { return a == 0 || (b != 0 && b < a) ? b : a; }

/* The smallest limit of the group and those above it. group: "/a/b", cut short by this. */
static unsigned group_limit(char *group) {
    unsigned limit = 0;
    for (;;) {
        char path[PATH_SIZE + 64], text[64];
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        if (read_text(path, text, sizeof text)) {
            const char *space = strchr(text, ' ');
            if (space) limit = smaller_limit(limit, whole_cpus(text, space));
        }
        char *slash = strrchr(group, '/');
        if (!slash) return limit;
        *slash = '\0';
    }
}

/* Version 2 of control groups: the line "0::/a/b" of /proc/self/cgroup. */
static unsigned unified_limit(void) {
    char text[PATH_SIZE];
    if (!read_text("/proc/self/cgroup", text, sizeof text)) return 0;
    char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line) return 0;
    char *group = strchr(line, '/');
    if (!group) return 0;
    group[strcspn(group, "\n")] = '\0';
    return group_limit(group);
}

/* Version 1, as a container sees it. */
static unsigned legacy_limit(void) {
    char quota[64], period[64];
    if (!read_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota, sizeof quota)) return 0;
    if (!read_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof period)) return 0;
    return whole_cpus(quota, period);
}

unsigned cei_usable_cpus(void) {
    cpu_set_t masks[MASKS];
    memset(masks, 0, sizeof masks);
    int allowed = sched_getaffinity(0, sizeof masks, masks) == 0 ? CPU_COUNT_S(sizeof masks, masks) : 0;
    unsigned limit = smaller_limit(unified_limit(), legacy_limit());
    return smaller_limit(limit, allowed > 0 ? (unsigned)allowed : 1);
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

/* A number at *text, which is moved behind it; false if there is none, or none that a CPU has. */
static bool read_cpu(const char **text, unsigned *cpu) {
    if (**text < '0' || **text > '9') return false;
    for (*cpu = 0; **text >= '0' && **text <= '9'; ++*text) {
        *cpu = *cpu * 10 + (unsigned)(**text - '0');
        if (*cpu >= CEI_MOST_CPUS) return false;
    }
    return true;
}

/* Adds first .. last; false if one of them is in the list already. */
static bool add_cpus(cei_cpu_list *list, bool *is_listed, unsigned first, unsigned last) {
    for (unsigned cpu = first; cpu <= last; cpu++) {
        if (is_listed[cpu]) return false;
        is_listed[cpu] = true;
        list->cpus[list->count++] = cpu;
    }
    return true;
}

ce_status cei_cpu_list_parse(const char *text, cei_cpu_list *list, ce_error *error) {
    bool is_listed[CEI_MOST_CPUS] = {false};
    const char *at = text;
    list->count = 0;
    for (;;) {
        unsigned first = 0, last;
        bool is_right = read_cpu(&at, &first);
        last = first;
        if (is_right && *at == '-') {
            at++;
            is_right = read_cpu(&at, &last) && last >= first;
        }
        if (!is_right || (*at != ',' && *at != '\0'))
            return cei_fail(error, CE_ERR_ARGUMENT,
                            "\"%.80s\" is no list of CPUs; write numbers below %d and ranges of them, as in 0-3,8",
                            text, CEI_MOST_CPUS);
        if (!add_cpus(list, is_listed, first, last))
            return cei_fail(error, CE_ERR_ARGUMENT, "the list of CPUs \"%.80s\" names one twice", text);
        if (*at++ == '\0') return CE_OK;
    }
}
