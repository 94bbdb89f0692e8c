/* tasks.h - checkpoints whose matrices carry adapters of their own, one for each of several tasks, as Jina AI's
 * implementation of XLM-RoBERTa saves them with PyTorch's parametrizations.
 *
 * NAME.parametrizations.weight.original is NAME.weight; .0.lora_A [tasks, rank, columns] and .0.lora_B [tasks, rows,
 * rank] beside it change it by scale B A, of an embedding .0.lora_A [tasks, rows, rank] and .0.lora_B [tasks, rank,
 * columns] by scale A B. Added when values are read (values.h), as an adapter of PEFT's (adapter.h) is. */
#ifndef CEI_TASKS_H
#define CEI_TASKS_H

#include "formats/checkpoint.h"

/* Gives the matrices their plain names, and lays the adapter of task over them: 1 is the first, 0 none. Does nothing
 * to other checkpoints, which have no task. On failure the checkpoint is to be closed. Errors: MODEL (no such task,
 * shapes that do not fit), FORMAT, UNSUPPORTED (a dtype), MEMORY. */
ce_status cei_checkpoint_take_task(cei_checkpoint *checkpoint, size_t task, float scale, ce_error *error);

/* Does it have such adapters? */
bool cei_checkpoint_has_tasks(const cei_checkpoint *checkpoint);

#endif
