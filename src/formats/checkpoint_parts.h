/* checkpoint_parts.h - the inside of a checkpoint, for checkpoint.c, adapter.c and tasks.c. */
#ifndef CEI_CHECKPOINT_PARTS_H
#define CEI_CHECKPOINT_PARTS_H

#include "base/file.h"
#include "formats/header.h"

/* A format: how its files are called, and what reads one. */
typedef struct cei_weights_format {
    const char *name, *single, *index;
    ce_status (*parse)(const uint8_t *data, size_t size, const char *path, cei_header *header, ce_error *error);
} cei_weights_format;

/* What an adapter adds to a tensor. */
typedef struct cei_change {
    const char *name; /* the tensor's own string */
    cei_delta delta;
} cei_change;

/* One file. */
typedef struct cei_shard {
    char *path;
    cei_map map;
    cei_header header;
} cei_shard;

struct cei_checkpoint {
    const cei_weights_format *format;
    char *path;
    cei_shard *shards; /* sorted by name */
    size_t shard_count;
    cei_tensor *tensors; /* of all shards, sorted by name */
    size_t count;
    uint64_t bytes;
    cei_change *changes; /* of an adapter, sorted by name */
    size_t change_count;
    size_t adapter_shard; /* 1 + the place of the adapter's file among the shards; 0: there is none */
};

/* checkpoint.c: opens folder/name as the one file of a format; folder is NULL if name is a path. Errors: those of
 * cei_checkpoint_open. */
ce_status cei_checkpoint_open_file(const cei_weights_format *format, const char *folder, const char *name,
                                   cei_checkpoint **checkpoint, ce_error *error);

/* checkpoint.c: takes the shards of another checkpoint, which is left empty, and makes the table of tensors anew.
 * Errors: FORMAT (a name comes twice), MEMORY, when the checkpoint is as before. */
ce_status cei_checkpoint_take(cei_checkpoint *checkpoint, cei_checkpoint *other, ce_error *error);

/* adapter.c: the order of changes, by name. */
int cei_change_compare(const void *left, const void *right);

/* adapter.c: what an adapter adds to a tensor; NULL: nothing. */
const cei_delta *cei_checkpoint_delta(const cei_checkpoint *checkpoint, const char *name);

/* checkpoint.c: the dtype of a tensor, if it is one that is read. */
bool cei_dtype_find(const char *name, cei_dtype *dtype);

#endif
