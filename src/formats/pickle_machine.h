/* pickle_machine.h - the inside of pickle.c and pickle_tensor.c, which alone include this. */
#ifndef CEI_PICKLE_MACHINE_H
#define CEI_PICKLE_MACHINE_H

#include "formats/pickle.h"

typedef enum cei_pickle_kind {
    CEI_PICKLE_OTHER, /* None, or a number that no state dict uses */
    CEI_PICKLE_MARK,
    CEI_PICKLE_NUMBER, /* True and False too */
    CEI_PICKLE_TEXT,
    CEI_PICKLE_TUPLE,
    CEI_PICKLE_LIST,
    CEI_PICKLE_DICT,
    CEI_PICKLE_GLOBAL,
    CEI_PICKLE_TYPE, /* of storages: a global too */
    CEI_PICKLE_STORAGE,
    CEI_PICKLE_TENSOR
} cei_pickle_kind;

/* What a pickle may name and call. */
typedef enum cei_pickle_global {
    CEI_PICKLE_ORDERED_DICT,
    CEI_PICKLE_REBUILD_TENSOR,
    CEI_PICKLE_REBUILD_PARAMETER
} cei_pickle_global;

typedef struct cei_pickle_value {
    cei_pickle_kind kind;
    union {
        int64_t number;
        cei_pickle_text text;
        struct {
            size_t first, count;
        } items;                  /* of a tuple or a list, in the machine's items */
        size_t index;             /* of a dict, a storage, a tensor, a type */
        cei_pickle_global global; /* of CEI_PICKLE_GLOBAL */
    };
} cei_pickle_value;

typedef struct cei_pickle_entry {
    size_t dict;
    cei_pickle_value key, value;
} cei_pickle_entry;

/* The running machine; arrays grow, and are freed at its end. */
typedef struct cei_pickle_machine {
    const uint8_t *data;
    size_t size, at;
    const char *path;
    ce_error *error;
    cei_pickle *pickle; /* storages are pushed at once, tensors are collected at the end */
    cei_pickle_value *stack, *memo, *items;
    size_t stack_count, stack_capacity, memo_count, memo_capacity, items_count, items_capacity;
    cei_pickle_entry *entries;
    size_t entries_count, entries_capacity, dict_count;
    cei_pickle_tensor *made; /* tensors without their names */
    size_t made_count, made_capacity;
} cei_pickle_machine;

/* pickle.c: FORMAT, with the place in the pickle. */
ce_status cei_pickle_damaged(const cei_pickle_machine *in, const char *what);

/* The rest is in pickle_tensor.c. What a name stands for. Errors: UNSUPPORTED, with the name. */
ce_status cei_pickle_find_global(const cei_pickle_machine *in, cei_pickle_text module, cei_pickle_text name,
                                 cei_pickle_value *value);

/* Does what a call of _rebuild_tensor_v2 or _rebuild_parameter does. Errors: FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_pickle_rebuild(cei_pickle_machine *in, cei_pickle_global callee, const cei_pickle_value *arguments,
                             cei_pickle_value *made);

/* The storage that a persistent id describes: ("storage", type, key, device, count), in older files
 * with None behind. Errors: FORMAT, MEMORY. */
ce_status cei_pickle_add_storage(cei_pickle_machine *in, const cei_pickle_value *id, cei_pickle_value *made);

/* The tensors of the dict that the pickle was. Errors: FORMAT, UNSUPPORTED (there is something else in it), MEMORY. */
ce_status cei_pickle_collect(cei_pickle_machine *in, const cei_pickle_value *result);

#endif
