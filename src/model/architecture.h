/* architecture.h - what one architecture (BERT, ...) tells crossenc of itself.
 *
 * An architecture is one file. It reads the config, declares its weights and calls the device's operations in the
 * order of its paper. It does no arithmetic on activations and knows no device. To add one: a file and a line in
 * architecture.c. */
#ifndef CEI_ARCHITECTURE_H
#define CEI_ARCHITECTURE_H

#include "model/config.h"
#include "model/plan.h"

/* A packed batch, in host memory: sequence s is tokens offsets[s] .. offsets[s + 1] - 1. */
typedef struct cei_batch {
    size_t tokens, sequences, longest;
    const int32_t *ids, *types, *positions; /* [tokens] */
    const int32_t *offsets;                 /* [sequences + 1] */
} cei_batch;

/* What an architecture makes of a config; each has its own, which begins with this. */
typedef struct cei_network {
    const struct cei_architecture *architecture;
    size_t labels;
    size_t widest;          /* columns of the widest activation */
    size_t head_size;       /* columns of one attention head */
    ce_precision precision; /* of attention; set by load */
} cei_network;

typedef struct cei_architecture {
    const char *name;       /* as in config.json's architectures */
    const char *model_type; /* as in config.json's model_type */
    unsigned ops;           /* bit 1 << cei_op for each operation that forward calls */

    /* Checks the config and declares the weights. The checkpoint is for names that differ between writers; values are
     * not read. *network is freed by cei_free. Errors: MODEL, UNSUPPORTED, MEMORY. */
    ce_status (*create)(const cei_config *config, const cei_checkpoint *checkpoint, cei_plan *plan,
                        cei_network **network, ce_error *error);

    /* Bytes of device workspace that forward needs for so many tokens and sequences; 0 on overflow. */
    size_t (*workspace)(const cei_network *network, size_t tokens, size_t sequences);

    /* Encodes a batch: logits [sequences, labels] in host memory. weights are those of the plan, on the stream's
     * device. Errors: DEVICE_*. */
    ce_status (*forward)(const cei_network *network, const cei_weight *weights, const cei_batch *batch,
                         cei_stream *stream, cei_buffer *workspace, float *logits, ce_error *error);
} cei_architecture;

/* The architecture of a config: by architectures[0], else by model_type. Errors: UNSUPPORTED, listing what there is. */
ce_status cei_architecture_find(const cei_config *config, const cei_architecture **architecture, ce_error *error);

extern const cei_architecture cei_bert;

#endif
