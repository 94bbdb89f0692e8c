/* adapter.h - the weights of a PEFT adapter on top of a checkpoint: adapter_model.safetensors, or adapter_model.bin.
 *
 * base_model.model.MODULE.lora_A.weight [rank, columns] and .lora_B.weight [rows, rank] change MODULE.weight by
 * scale B A, which is added when values are read (values.h): nothing is merged beforehand. Of an embedding they are
 * called MODULE.lora_embedding_A [rank, rows] and .lora_embedding_B [columns, rank], and the change is the transpose of
 * that. Any other tensor stands in for the checkpoint's of its name, or is a new one: a classifier that was trained
 * whole, a bias. Knows no model: what the scale is, the caller says. */
#ifndef CEI_ADAPTER_FORMAT_H
#define CEI_ADAPTER_FORMAT_H

#include "formats/checkpoint.h"

/* The factor of a module's change, whose rank is given. Errors: any, which end the opening. */
typedef ce_status (*cei_scale_fn)(const void *user, const char *module, size_t rank, float *scale, ce_error *error);

/* Opens the adapter of a folder and lays it over the checkpoint, whose files it joins. Modules are found where the
 * checkpoint's names have another first part, or none ("bert."). On failure the checkpoint is to be closed. Errors:
 * NOT_FOUND, IO, FORMAT, UNSUPPORTED (tensors of other methods, by name), MODEL (a module that is not there, shapes
 * that do not fit), MEMORY. */
ce_status cei_checkpoint_adapt(cei_checkpoint *checkpoint, const char *folder, cei_scale_fn scale, const void *user,
                               ce_error *error);

/* Name i of the tensors that the adapter has whole and the checkpoint had not; NULL behind the last. */
const char *cei_checkpoint_added(const cei_checkpoint *checkpoint, size_t i);

/* Rows of a matrix that an adapter has whole, by the model's name for it: "classifier.weight". 0 if it has none.
 * Errors: those of opening the adapter. */
ce_status cei_adapter_rows(const char *folder, const char *name, size_t *rows, ce_error *error);

#endif
