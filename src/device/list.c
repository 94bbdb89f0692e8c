/* list.c - several devices for one model: "cuda:0,cuda:1".
 *
 * Relies on names.c for each of them; must not open a device. */
#include "base/error.h"
#include "device/device.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST_NAME = 13 }; /* "opencl:999999" */

_Static_assert(CE_MOST_DEVICES *(LONGEST_NAME + 1) < CE_DEVICE_LIST_SIZE, "all names of a list have room");

static ce_status check_next(const cei_device_list *list, cei_device_id id, const char *names, ce_error *error) {
    char name[CE_DEVICE_ID_SIZE], first[CE_DEVICE_ID_SIZE];
    cei_device_format(id, name);
    for (size_t i = 0; i < list->count; i++)
        if (cei_device_same(list->ids[i], id))
            return cei_fail(error, CE_ERR_DEVICE_NAME, "%.128s names %s twice; a device holds one replica", names,
                            name);
    if (list->count == 0 || strcmp(list->ids[0].kind, id.kind) == 0) return CE_OK;
    cei_device_format(list->ids[0], first);
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s and %s are of different kinds, and a pair's score would depend on which of them it came to; "
                    "name devices of one kind, or load one model for each",
                    first, name);
}

static ce_status append(cei_device_list *list, const char *name, size_t length, const char *names, ce_error *error) {
    char one[LONGEST_NAME + 1] = "";
    cei_device_id id;
    if (list->count == CE_MOST_DEVICES)
        return cei_fail(error, CE_ERR_DEVICE_NAME, "%.128s... names more than %d devices", names, CE_MOST_DEVICES);
    if (length > LONGEST_NAME)
        return cei_fail(error, CE_ERR_DEVICE_NAME, "\"%.*s\" in \"%.128s\" is not the name of a device",
                        (int)(length < 64 ? length : 64), name, names);
    memcpy(one, name, length);
    if (cei_device_is_auto(one))
        return cei_fail(error, CE_ERR_DEVICE_NAME, "auto stands alone, not in a list such as \"%.128s\"", names);
    ce_status status = cei_device_resolve(one, 0, &id, error);
    if (status == CE_OK) status = check_next(list, id, names, error);
    if (status == CE_OK) list->ids[list->count++] = id;
    return status;
}

ce_status cei_device_list_resolve(const char *names, cei_device_list *list, ce_error *error) {
    *list = (cei_device_list){0};
    if (!names || !strchr(names, ',')) {
        list->count = 1;
        return cei_device_resolve(names, 0, &list->ids[0], error);
    }
    ce_status status = CE_OK;
    for (const char *name = names; status == CE_OK;) {
        const size_t length = strcspn(name, ",");
        status = append(list, name, length, names, error);
        if (!name[length]) break;
        name += length + 1;
    }
    return status;
}

void cei_device_list_format(const cei_device_list *list, char names[CE_DEVICE_LIST_SIZE]) {
    size_t length = 0;
    for (size_t i = 0; i < list->count; i++) {
        char name[CE_DEVICE_ID_SIZE];
        cei_device_format(list->ids[i], name);
        length += (size_t)snprintf(names + length, CE_DEVICE_LIST_SIZE - length, "%s%s", i ? "," : "", name);
    }
}

bool cei_device_list_same(const cei_device_list *a, const cei_device_list *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) same = cei_device_same(a->ids[i], b->ids[i]);
    return same;
}
