/* transformer.h - the encoder that BERT and its kin share: layers with the norm behind each residual (Vaswani et al.
 * 2017), absolute positions, embeddings that are summed and normed.
 *
 * An architecture of this kind is a form: names, and the few things in which they differ. */
#ifndef CEI_TRANSFORMER_H
#define CEI_TRANSFORMER_H

#include "model/architecture.h"

/* Names of tensors without ".weight" and ".bias": layer is the stem of all, the rest stands behind LAYER.index. */
typedef struct cei_transformer_names {
    const char *layer;
    const char *query, *key, *value, *attention, *attention_norm, *up, *down, *output_norm;
} cei_transformer_names;

typedef struct cei_transformer_form {
    const char *prefix; /* of all names, where a head was saved with the encoder: "bert." */
    cei_transformer_names names;
    bool has_types;     /* token types have embeddings */
    bool projects;      /* embeddings may be narrower than the rest: embedding_size, embeddings_project */
    bool skips_padding; /* positions begin behind the padding token's id, which is its own position */
    size_t padding_id;  /* of a config that does not say */
} cei_transformer_form;

/* BERT's names, which most of its kin have. */
#define CEI_BERT_NAMES                                                                                    \
    {                                                                                                     \
        "encoder.layer", "attention.self.query", "attention.self.key", "attention.self.value",            \
            "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense", \
            "output.LayerNorm"                                                                            \
    }

/* As cei_architecture's functions; self->form is a cei_transformer_form. */
ce_status cei_transformer_create(const cei_architecture *self, const cei_config *config,
                                 const cei_checkpoint *checkpoint, bool first_only, cei_plan *plan,
                                 cei_network **network, ce_error *error);
size_t cei_transformer_workspace(const cei_network *network, size_t tokens, size_t sequences);
ce_status cei_transformer_encode(const cei_run *run, cei_states *states, ce_error *error);

/* The operations that encode calls, for cei_architecture's ops. */
#define CEI_TRANSFORMER_OPS (1u << CEI_OP_EMBED | 1u << CEI_OP_NORM | 1u << CEI_OP_LINEAR | 1u << CEI_OP_ATTENTION)

#endif
