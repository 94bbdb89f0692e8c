/* pickle.h - the pickle of a state dict, read without running anything.
 *
 * A pickle is a program for a stack machine that may call whatever it names. This machine knows the instructions that
 * torch.save writes for a state dict, builds strings, numbers, tuples, lists and dicts, and knows by name what a state
 * dict needs: OrderedDict, the rebuilding of tensors and parameters, and the types of storages. It calls nothing;
 * anything else is refused by name. */
#ifndef CEI_PICKLE_H
#define CEI_PICKLE_H

#include "formats/checkpoint.h"

/* A text in the pickle, without a NUL behind. */
typedef struct cei_pickle_text {
    const char *data;
    size_t size;
} cei_pickle_text;

/* Numbers that tensors lie in. */
typedef struct cei_pickle_storage {
    cei_pickle_text key; /* names the file or the place with its bytes */
    const char *dtype;   /* as safetensors has it: "F32" */
    unsigned element;    /* bytes of one number */
    uint64_t count;      /* of numbers; count * element fits in 64 bits */
} cei_pickle_storage;

/* A tensor of the dict. Its elements lie in a row, and inside of its storage. */
typedef struct cei_pickle_tensor {
    cei_pickle_text name;
    size_t storage; /* which */
    uint64_t first; /* its first element there */
    int rank;
    uint64_t shape[CEI_MAX_RANK];
    uint64_t count; /* of elements */
} cei_pickle_tensor;

/* Zeroed is empty. */
typedef struct cei_pickle {
    cei_pickle_tensor *tensors;
    size_t count;
    cei_pickle_storage *storages; /* what the tensors name may be the same one */
    size_t storage_count, storage_capacity;
} cei_pickle;

/* Reads the pickle that begins at data, which has to outlive the result, and *used of its size bytes. Takes at most
 * 400 times that. path is for messages. Errors: FORMAT, UNSUPPORTED (naming what is not known), MEMORY. */
ce_status cei_pickle_read(const uint8_t *data, size_t size, const char *path, cei_pickle *pickle, size_t *used,
                          ce_error *error);
/* The same of a pickle that is a number, or a dict with a number of that key: -1 if it is neither. */
ce_status cei_pickle_read_number(const uint8_t *data, size_t size, const char *path, const char *key, int64_t *number,
                                 size_t *used, ce_error *error);

/* The same of a pickle that is a list of texts. The caller frees *texts by cei_free. */
ce_status cei_pickle_read_texts(const uint8_t *data, size_t size, const char *path, cei_pickle_text **texts,
                                size_t *count, size_t *used, ce_error *error);

void cei_pickle_free(cei_pickle *pickle);

#endif
