/* distance_bias.h - a bias of attention's scores by the distance of query and key, the same in every layer.
 *
 * It is a table's, whose rows are for distances in buckets (Raffel et al. 2020, as MPNet has it), or falls with the
 * distance by a slope for each head (ALiBi, Press et al. 2022, on both sides of the query). Either depends on weights
 * alone: a weight is derived that has each distance's bias of each head, and attention looks it up. */
#ifndef CEI_DISTANCE_BIAS_H
#define CEI_DISTANCE_BIAS_H

#include "model/config.h"
#include "model/network.h"

typedef enum cei_bias_kind { CEI_BIAS_NONE, CEI_BIAS_BUCKETS, CEI_BIAS_SLOPES } cei_bias_kind;

enum { CEI_BIAS_TABLE_ROWS = 32 }; /* that CEI_BIAS_BUCKETS reads, whatever the config says of the table */

typedef struct cei_distance_bias {
    cei_bias_kind kind;
    size_t table;               /* in the plan, of buckets: TABLE [rows of the config, heads] */
    size_t heads, length;       /* length: tokens of a sequence at most */
    float scale;                /* of attention, which multiplies biases too */
    int32_t *places;            /* [2 length - 1] rows by j - i, as cei_distances has them */
    int32_t *sources;           /* [rows] the table's row of each row; of slopes, the distance without its sign */
    size_t rows, rows_per_head; /* distances that are told apart; the same, padded to whole panels */
} cei_distance_bias;

/* Can such a bias be had? Errors: MODEL, UNSUPPORTED. */
ce_status cei_distance_bias_check(cei_bias_kind kind, const cei_config *config, ce_error *error);

/* Integers that its two arrays need; config was checked. At most 4 for each of the at most 65,536 positions. */
size_t cei_distance_bias_integers(const cei_config *config);

/* Fills what follows from a checked config, the arrays in memory [cei_distance_bias_integers]. */
void cei_distance_bias_init(cei_distance_bias *bias, cei_bias_kind kind, const cei_config *config, int32_t *memory);

/* The weight that it is derived into: TABLE [heads * rows_per_head, 1]. */
cei_weight cei_distance_bias_shape(const cei_distance_bias *bias);

/* Writes it, those rows that sequences of derivation->longest read. Errors: DEVICE_*, VERIFY, MEMORY. */
ce_status cei_distance_bias_derive(const cei_distance_bias *bias, const cei_derivation *derivation,
                                   const cei_weight *to, ce_error *error);

/* Sends the places for sequences of up to longest tokens. Errors: DEVICE_*. */
ce_status cei_distance_bias_send(const cei_distance_bias *bias, cei_stream *stream, size_t longest, cei_slice places,
                                 ce_error *error);

#endif
