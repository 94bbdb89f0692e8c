/* names.c - from the name of a device to the device, before anything is opened or read.
 *
 * Relies on the registry's drivers; must not open a device or allocate on one. */
#include "base/error.h"
#include "device/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *or_auto(const char *name) { return name ? name : "auto"; }

const char *ce_precision_name(ce_precision precision) {
    static const char *const names[] = {"default", "float32", "bfloat16", "int8", "float16"};
    return (unsigned)precision < sizeof names / sizeof *names ? names[precision] : NULL;
}

bool cei_device_is_auto(const char *name) { return strcmp(or_auto(name), "auto") == 0; }

bool cei_device_same(cei_device_id a, cei_device_id b) { return strcmp(a.kind, b.kind) == 0 && a.index == b.index; }

void cei_device_format(cei_device_id id, char name[CE_DEVICE_ID_SIZE]) {
    if (strcmp(id.kind, "cpu") == 0)
        snprintf(name, CE_DEVICE_ID_SIZE, "cpu");
    else
        snprintf(name, CE_DEVICE_ID_SIZE, "%s:%d", id.kind, id.index);
}

/* Digits only, at most six of them, as an index; -1 if it is anything else. */
static int parse_index(const char *text) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6 || text[digits]) return -1;
    return atoi(text);
}

static const cei_known_kind *find_kind(const char *name, size_t length) {
    for (const cei_known_kind *known = cei_known_kinds; known->kind; known++)
        if (strlen(known->kind) == length && memcmp(known->kind, name, length) == 0) return known;
    return NULL;
}

static ce_status fail_name(const char *name, ce_error *error) {
    return cei_fail(error, CE_ERR_DEVICE_NAME,
                    "\"%.64s\" is not the name of a device; valid are auto, cpu, cuda, cuda:N, opencl, opencl:N "
                    "(lower case, N from 0), and several of one kind, as in cuda:0,cuda:1",
                    name);
}

/* Lists what can be used instead, as "cpu, cuda:0". */
static void list_usable(char *list, size_t size) {
    size_t length = 0;
    list[0] = '\0';
    for (const cei_known_kind *known = cei_known_kinds; known->kind; known++) {
        char reason[256];
        int count = known->driver ? known->driver->count(reason, sizeof reason) : 0;
        for (int i = 0; i < count && i < 8; i++) {
            char name[CE_DEVICE_ID_SIZE];
            cei_device_format((cei_device_id){known->kind, i}, name);
            int written = snprintf(list + length, size - length, "%s%s", length ? ", " : "", name);
            if (written < 0 || (size_t)written >= size - length) return;
            length += (size_t)written;
        }
    }
}

static ce_status fail_absent(const char *name, const char *reason, ce_error *error) {
    char usable[128];
    if (!error) return CE_ERR_DEVICE_ABSENT; /* the list starts drivers, and nobody reads it */
    list_usable(usable, sizeof usable);
    return cei_fail(error, CE_ERR_DEVICE_ABSENT, "device %s cannot be used: %s; usable here: %s", name, reason, usable);
}

/* How many devices of a kind there are, as a reason against an index. */
static void tell_count(char *reason, size_t size, const char *before, int count, const char *kind) {
    snprintf(reason, size, "%sthere %s %d %s device%s, counted from 0", before, count == 1 ? "is" : "are", count, kind,
             count == 1 ? "" : "s");
}

/* Is device index of this kind there and usable? */
static ce_status check_device(const cei_known_kind *known, int index, const char *name, ce_error *error) {
    char reason[256] = "";
    if (!known->driver) return fail_absent(name, known->missing, error);
    int count = known->driver->count(reason, sizeof reason);
    if (count <= 0) return fail_absent(name, reason, error);
    if (index >= count) {
        tell_count(reason, sizeof reason, "", count, known->kind);
        return fail_absent(name, reason, error);
    }
    ce_device_info info = {0};
    known->driver->probe(index, &info);
    return info.usable ? CE_OK : fail_absent(name, info.reason, error);
}

/* The index that auto takes among accelerators: one process a device under a launcher that sets LOCAL_RANK. */
static int local_rank(void) {
    const char *text = getenv("LOCAL_RANK");
    int rank = text ? parse_index(text) : -1;
    return rank < 0 ? 0 : rank;
}

static bool suits_auto(const cei_known_kind *known, int index) {
    return check_device(known, index, "auto", NULL) == CE_OK &&
           (!known->driver->suits_auto || known->driver->suits_auto(index));
}

/* Would auto take a device of this kind, if only there were as many as the rank asks for? Then the reason says so. */
static bool has_too_few(const cei_known_kind *known, int rank, char *reason, size_t size) {
    char before[48];
    const int count = known->driver ? known->driver->count(reason, size) : 0;
    if (rank < count) return false;
    snprintf(before, sizeof before, "LOCAL_RANK is %d, and ", rank);
    tell_count(reason, size, before, count, known->kind);
    for (int index = 0; index < count; index++)
        if (suits_auto(known, index)) return true;
    return false;
}

/* A process of a launcher that started more of them than there are devices must not end up on the processor unasked. */
static ce_status resolve_auto(size_t skip, cei_device_id *id, ce_error *error) {
    bool has_own = false; /* an accelerator of an earlier kind */
    for (const cei_known_kind *known = cei_known_kinds; known->kind; known++) {
        int index = strcmp(known->kind, "cpu") == 0 ? 0 : local_rank();
        if (known->driver && known->driver->may_suit_auto && !known->driver->may_suit_auto()) continue;
        if (suits_auto(known, index)) {
            has_own = true;
            if (skip-- > 0) continue;
            *id = (cei_device_id){known->kind, index};
            return CE_OK;
        }
        char reason[256] = "";
        if (index > 0 && !has_own && has_too_few(known, index, reason, sizeof reason))
            return fail_absent("auto", reason, error);
    }
    return cei_fail(error, CE_ERR_DEVICE_ABSENT, "auto: no device can be used");
}

ce_status cei_device_resolve(const char *name, size_t skip, cei_device_id *id, ce_error *error) {
    name = or_auto(name);
    if (cei_device_is_auto(name)) return resolve_auto(skip, id, error);
    const char *colon = strchr(name, ':');
    const cei_known_kind *known = find_kind(name, colon ? (size_t)(colon - name) : strlen(name));
    int index = colon ? parse_index(colon + 1) : 0;
    if (!known || index < 0) return fail_name(name, error);
    ce_status status = check_device(known, index, name, error);
    if (status == CE_OK) *id = (cei_device_id){known->kind, index};
    return status;
}

ce_status cei_device_probe(cei_device_id id, ce_device_info *info, ce_error *error) {
    const cei_known_kind *known = find_kind(id.kind, strlen(id.kind));
    char name[CE_DEVICE_ID_SIZE];
    cei_device_format(id, name);
    *info = (ce_device_info){0};
    memcpy(info->id, name, sizeof name);
    if (!known || !known->driver) return fail_absent(name, known ? known->missing : "unknown kind", error);
    known->driver->probe(id.index, info);
    return info->usable ? CE_OK : fail_absent(name, info->reason, error);
}

ce_status cei_device_open(cei_device_id id, const cei_device_options *options, cei_device **device, ce_error *error) {
    *device = NULL;
    const cei_known_kind *known = find_kind(id.kind, strlen(id.kind));
    if (!known || !known->driver) return fail_absent(id.kind, "this build lacks it", error);
    return known->driver->open(id.index, options, device, error);
}

/* Appends one entry if there is room; counts it in any case. */
typedef struct info_list {
    ce_device_info *infos;
    size_t capacity, count;
} info_list;

static void list_kind(const cei_known_kind *known, info_list *list) {
    ce_device_info absent = {0};
    snprintf(absent.id, sizeof absent.id, "%s", known->kind);
    int count = 0;
    if (known->driver)
        count = known->driver->count(absent.reason, sizeof absent.reason);
    else
        snprintf(absent.reason, sizeof absent.reason, "%s", known->missing);
    if (count <= 0 && absent.reason[0]) { /* a kind with nothing to say (the test device) is not listed */
        if (list->count < list->capacity) list->infos[list->count] = absent;
        list->count++;
    }
    for (int i = 0; i < count; i++, list->count++)
        if (list->count < list->capacity)
            (void)cei_device_probe((cei_device_id){known->kind, i}, &list->infos[list->count], NULL);
}

ce_status ce_devices(ce_device_info *infos, size_t capacity, size_t *count, ce_error *error) {
    if (!count) return cei_fail(error, CE_ERR_ARGUMENT, "ce_devices: count is NULL");
    if (!infos && capacity) return cei_fail(error, CE_ERR_ARGUMENT, "ce_devices: infos is NULL, capacity is not 0");
    info_list list = {infos, capacity, 0};
    for (const cei_known_kind *known = cei_known_kinds; known->kind; known++) list_kind(known, &list);
    *count = list.count;
    return CE_OK;
}
