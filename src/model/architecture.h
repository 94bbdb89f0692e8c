/* architecture.h - what one architecture (BERT, ...) tells crossenc of itself.
 *
 * An architecture is one file. It reads the config, declares its weights and calls the device's operations in the
 * order of its paper. It does no arithmetic on activations and knows no device. To add one: a file and a line in
 * architecture.c. */
#ifndef CEI_ARCHITECTURE_H
#define CEI_ARCHITECTURE_H

#include "model/config.h"
#include "model/network.h"

typedef struct cei_architecture {
    const char *model_type; /* as in config.json's model_type: "bert" */
    const char *encoder;    /* as in its architectures: the encoder alone, "BertModel" */
    const char *classifier; /* with its classification head: "BertForSequenceClassification" */
    bool saved_as_encoder;  /* cross-encoders are published under the encoder's class too */
    const char
        *position_type;  /* the position_embedding_type of its configs, where others have its model_type; or NULL */
    unsigned ops;        /* bit 1 << cei_op for each operation that encode calls, but for GATHER of first tokens */
    cei_classifier head; /* its classification head */
    const char *logits;  /* of a causal model: the matrix that gives each word a logit, "lm_head"; else NULL */
    const void *form;    /* what its create has to know beside the config */

    /* What a config says of the head, over what stands above. NULL: nothing. */
    void (*set_head)(const cei_config *config, cei_classifier *head);

    /* Checks the config and declares the encoder's weights. reads: nothing will read the states of other tokens, unless
     * a run asks for them; where it is the first, every sequence will have one. The network may have it as all. The
     * checkpoint is for names that
     * differ between writers; values are not read. *network is freed by cei_free. Errors: MODEL, UNSUPPORTED, MEMORY.
     */
    ce_status (*create)(const struct cei_architecture *self, const cei_config *config, const cei_checkpoint *checkpoint,
                        cei_reads reads, cei_plan *plan, cei_network **network, ce_error *error);

    /* Bytes of device workspace that encode needs for so many tokens and sequences; 0 on overflow. */
    size_t (*workspace)(const cei_network *network, size_t tokens, size_t sequences);

    /* Makes the network's derived weights: see cei_network_derive. NULL if no network has any. */
    ce_status (*derive)(const cei_derivation *derivation, ce_error *error);

    /* Encodes a batch. *states has its tokens and sequences set, and receives the rest; where the network reads
     * one token of each sequence and the run asks for no states, it may leave those alone. Errors: DEVICE_*. */
    ce_status (*encode)(const cei_run *run, cei_states *states, ce_error *error);
} cei_architecture;

/* Its head as a config wants it. */
cei_classifier cei_architecture_head(const cei_architecture *architecture, const cei_config *config);

/* The architecture of a cross-encoder's config: by architectures[0], else by model_type. Errors: UNSUPPORTED, listing
 * what there is. */
ce_status cei_architecture_find(const cei_config *config, const cei_architecture **architecture, ce_error *error);

/* The architecture whose encoder a config describes, whatever head it was saved with: by model_type, else by
 * architectures[0]. Errors: as find. */
ce_status cei_architecture_find_encoder(const cei_config *config, const cei_architecture **architecture,
                                        ce_error *error);

extern const cei_architecture cei_bert, cei_electra, cei_roberta, cei_jina_roberta, cei_xlm_roberta, cei_camembert,
    cei_distilbert, cei_albert, cei_mpnet, cei_jina_bert, cei_deberta, cei_deberta_v2, cei_modernbert, cei_gte, cei_new,
    cei_nomic_bert, cei_jina_v3, cei_qwen2, cei_qwen3, cei_llama, cei_mistral, cei_gemma, cei_gemma2, cei_gemma3;

#endif
