/* relative.h - attention in which distances count, as DeBERTa has it (He et al. 2021).
 *
 * A distance i - j of query and key has a row in a table of embeddings; each layer makes keys and queries of them, with
 * which a token's queries and keys are multiplied. These depend on weights alone, so they are derived when a model is
 * placed: a batch only reads them. Distances that share a row of the table share one here. */
#ifndef CEI_RELATIVE_H
#define CEI_RELATIVE_H

#include "model/config.h"
#include "model/network.h"

/* Where a layer's projection of the table is: in the plan, and in which columns of its result. */
typedef struct cei_relative_source {
    size_t weight, bias, column;
    bool has_bias;
} cei_relative_source;

typedef struct cei_relative_layer {
    cei_relative_source key, query;
} cei_relative_layer;

typedef struct cei_relative {
    bool keys, queries; /* the terms that scores have: of queries with distances' keys, of keys with their queries */
    size_t terms;       /* all terms that the reference counts, content's own among them: 1 to 3 */
    size_t table;       /* in the plan: [2 span, hidden] */
    bool has_norm;      /* over the table's rows */
    cei_weight_pair norm;
    float epsilon;
    size_t span;
    size_t length; /* tokens of a sequence at most */
    size_t heads, layer_count;
    cei_relative_layer *layers; /* [layer_count] */
    int32_t *key_places;        /* [2 length - 1] rows of keys by j - i, as cei_distances has them */
    int32_t *query_places;      /* [2 length - 1] of queries by i - j */
    int32_t *sources;           /* [rows] the table's row of each row of queries; keys' are in reverse */
    size_t rows, rows_per_head; /* distances that are told apart; the same, padded to whole panels */
} cei_relative;

/* Can such distances be had? Errors: MODEL, UNSUPPORTED. */
ce_status cei_relative_check(const cei_config *config, ce_error *error);

/* Integers that a cei_relative needs for its three arrays; config was checked. At most 6 for each of the at most
 * 65,536 positions of a sequence. */
size_t cei_relative_integers(const cei_config *config);

/* Fills what follows from a checked config, the arrays in memory [cei_relative_integers]. */
void cei_relative_init(cei_relative *relative, const cei_config *config, int32_t *memory);

/* The weights that a layer's distances are derived into: one or two, keys first. */
size_t cei_relative_weights(const cei_relative *relative);
cei_weight cei_relative_shape(const cei_relative *relative, size_t head_size);

/* Makes them all; derivation->derived has those of layer i from i * cei_relative_weights on. Errors: DEVICE_*, VERIFY,
 * MEMORY. */
ce_status cei_relative_derive(const cei_relative *relative, const cei_derivation *derivation, ce_error *error);

/* Sends the places for sequences of up to longest tokens. Errors: DEVICE_*. */
ce_status cei_relative_send(const cei_relative *relative, cei_stream *stream, size_t longest, cei_slice key_places,
                            cei_slice query_places, ce_error *error);

/* The operands of attention in layer index, with places where they were sent. */
cei_attention_relative_args cei_relative_args(const cei_relative *relative, const cei_attention_args *attention,
                                              const cei_weight *derived, size_t index, cei_slice key_places,
                                              cei_slice query_places);

#endif
