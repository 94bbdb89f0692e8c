/* adapter.h - a LoRA adapter as PEFT saves it: a folder with adapter_config.json and adapter_model.safetensors (or
 * .bin).
 *
 * W + scale B A is what a matrix is when its rows are read, so that weights are streamed and verified as ever, and no
 * merged copy is held. Scales are those of PEFT (Hu et al. 2021; rank-stabilized: Kalajdzievski 2023): lora_alpha / r,
 * or lora_alpha / sqrt(r) with use_rslora, by alpha_pattern, with the rank that a module's matrices have. */
#ifndef CEI_ADAPTER_H
#define CEI_ADAPTER_H

#include "formats/checkpoint.h"

/* Zeroed is none. */
typedef struct cei_adapter {
    char *folder;         /* where it is */
    char *path;           /* of its config, for messages */
    struct json_t *root;  /* adapter_config.json */
    const char *base;     /* base_model_name_or_path; NULL if it is not written. The config's own */
    const char *revision; /* of it; NULL as the hub has it */
    bool classifies;      /* its task is to classify sequences */
    bool is_rank_stabilized;
    double alpha;
} cei_adapter;

/* Does a folder have an adapter? Errors: MEMORY. */
ce_status cei_adapter_is_in(const char *folder, bool *is, ce_error *error);

/* Reads the adapter of a folder. What LoRA has variants of, and what changes the model in another way, is refused by
 * name. Errors: NOT_FOUND, IO, FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_adapter_load(const char *folder, cei_adapter *adapter, ce_error *error);
void cei_adapter_free(cei_adapter *adapter); /* zeroed is fine */

/* Lays its weights over those of the model. Errors: those of cei_checkpoint_adapt. */
ce_status cei_adapter_apply(const cei_adapter *adapter, cei_checkpoint *checkpoint, ce_error *error);

#endif
