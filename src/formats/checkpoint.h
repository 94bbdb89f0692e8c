/* checkpoint.h - the tensors of a checkpoint: model.safetensors, or model.safetensors.index.json and its shards; where
 * there is neither, pytorch_model.bin, or pytorch_model.bin.index.json and its shards; or a GGUF file.
 *
 * Files are mapped, never copied. Everything that a file claims is checked before anything is believed: sizes, dtypes,
 * shapes, offsets inside the file; of safetensors, that there is no overlap and no hole. Nothing that a PyTorch file
 * names is run (pickle.h).
 *
 * A mapped file must not be shortened while it is read: the system answers a read behind the new end with SIGBUS,
 * which a library cannot handle for its host. Replacing a file (write beside it, then rename) is safe. */
#ifndef CEI_CHECKPOINT_H
#define CEI_CHECKPOINT_H

#include "formats/values.h"

#include <crossenc/status.h>

enum { CEI_MAX_RANK = 8 };

/* One tensor. name is the checkpoint's own string. */
typedef struct cei_tensor {
    const char *name;
    const char *dtype; /* as safetensors writes it: "F32", "I64", ...; of a GGUF file "Q8_0" besides */
    int rank;
    uint64_t shape[CEI_MAX_RANK];
    uint64_t count; /* elements */
    const uint8_t *data;
    uint64_t bytes;
    size_t pairs; /* as in cei_values, as is what follows */
    bool is_more;
} cei_tensor;

typedef struct cei_checkpoint cei_checkpoint;

/* Opens the checkpoint of a model folder. safetensors win over PyTorch's files, a single file over an index.
 * Errors: NOT_FOUND (no such file; a tf_model.h5 in its place is named), IO, FORMAT, UNSUPPORTED (a PyTorch file that
 * is no state dict), MEMORY. */
ce_status cei_checkpoint_open(const char *folder, cei_checkpoint **checkpoint, ce_error *error);
void cei_checkpoint_close(cei_checkpoint *checkpoint); /* NULL is fine */

/* Opens a GGUF file, whose tensors get the names that name says (naming.h). Errors: those of cei_gguf_open; FORMAT (two
 * tensors get one name). */
struct cei_naming;
ce_status cei_checkpoint_open_gguf(const char *path,
                                   void (*name)(const void *user, const cei_tensor *tensor, struct cei_naming *to),
                                   const void *user, cei_checkpoint **checkpoint, ce_error *error);

/* Adds the tensors of another folder's checkpoint, each named FOLDER/NAME after the folder's place in the model:
 * "2_Dense/linear.weight". Errors: those of open. On failure the checkpoint is as before. */
ce_status cei_checkpoint_add(cei_checkpoint *checkpoint, const char *root, const char *folder, ce_error *error);

/* CE_OK if the files still are what they were at open; IO, naming the file, if one was changed or replaced. */
ce_status cei_checkpoint_verify(const cei_checkpoint *checkpoint, ce_error *error);

/* Which files these are, kept after the checkpoint is closed; a checkpoint opened later can be compared with it. */
typedef struct cei_checkpoint_identity cei_checkpoint_identity;
ce_status cei_checkpoint_identify(const cei_checkpoint *checkpoint, cei_checkpoint_identity **identity,
                                  ce_error *error);
bool cei_checkpoint_is(const cei_checkpoint *checkpoint, const cei_checkpoint_identity *identity);
void cei_checkpoint_identity_free(cei_checkpoint_identity *identity);

size_t cei_checkpoint_count(const cei_checkpoint *checkpoint);
const cei_tensor *cei_checkpoint_at(const cei_checkpoint *checkpoint, size_t index);       /* sorted by name */
const cei_tensor *cei_checkpoint_find(const cei_checkpoint *checkpoint, const char *name); /* NULL if none */
const char *cei_checkpoint_path(const cei_checkpoint *checkpoint);   /* the file, or the index, for messages */
const char *cei_checkpoint_format(const cei_checkpoint *checkpoint); /* "safetensors", "PyTorch" or "GGUF" */
uint64_t cei_checkpoint_bytes(const cei_checkpoint *checkpoint);     /* of all tensors' data */

/* A tensor as a matrix of float32-convertible values: the shape must be [rows, columns], or [columns] if rows is 1
 * (or [rows, columns] with leading ones). An I8 tensor NAME needs an F32 tensor NAME.scale of [rows] or [rows, 1].
 * Errors: MODEL (missing; wrong shape, with both shapes), UNSUPPORTED (dtype). */
ce_status cei_checkpoint_values(const cei_checkpoint *checkpoint, const char *name, size_t rows, size_t columns,
                                cei_values *values, ce_error *error);

/* The mapped pages of these values were read and are not needed soon. */
void cei_checkpoint_release(const cei_checkpoint *checkpoint, const cei_values *values);

/* The same of rows [first, first + count), but for the pages that they share with their neighbours. */
void cei_checkpoint_release_rows(const cei_checkpoint *checkpoint, const cei_values *values, size_t first,
                                 size_t count);

#endif
