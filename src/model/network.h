/* network.h - an encoder and the head behind it: batches in, one row of values a sequence out. */
#ifndef CEI_NETWORK_H
#define CEI_NETWORK_H

#include "model/head.h"

/* A packed batch, in host memory: sequence s is tokens offsets[s] .. offsets[s + 1] - 1. */
typedef struct cei_batch {
    size_t tokens, sequences, longest;
    const int32_t *ids, *types, *positions; /* [tokens] */
    const int32_t *offsets;                 /* [sequences + 1] */
    size_t prompt;                          /* tokens at the beginning of each sequence that are a prompt's */
} cei_batch;

/* What an architecture makes of a config; each has its own, which begins with this. */
typedef struct cei_network {
    const struct cei_architecture *architecture;
    size_t word;            /* the table of word embeddings, in the plan */
    size_t hidden;          /* columns of a token's state */
    size_t widest;          /* columns of the encoder's widest activation */
    size_t head_size;       /* columns of one attention head */
    ce_precision precision; /* of attention; set by load */
    size_t types;           /* token types that there are embeddings of; 0 if it reads none */
    size_t positions;       /* that a sequence may have */
    int32_t padding_id;     /* where positions begin behind it; -1 where they begin at 0 */
    size_t derived_count;   /* weights that are computed of others when the model is placed */
    cei_weight *derived;    /* [derived_count] their roles and shapes, FLOAT32; lies in the network's own memory */
    cei_reads reads;        /* what the head reads of a sequence; the first token only where each has one */
    cei_head head;
} cei_network;

/* One run of a network over a batch. */
typedef struct cei_run {
    const cei_network *network;
    const cei_weight *weights; /* those of the plan, on the stream's device */
    const cei_weight *derived; /* the network's, filled by cei_network_derive, on the same device */
    const cei_batch *batch;
    cei_stream *stream;
    cei_buffer *workspace; /* of cei_network_workspace bytes */
    size_t encoder_at;     /* where the encoder's part of it begins; cei_network_run sets it */
    float *values;         /* [sequences, outputs] in host memory: the result */
    float *states;         /* [tokens, hidden] in host memory: what the encoder gives; NULL is not asked for */
} cei_run;

/* The making of derived weights. */
typedef struct cei_derivation {
    const cei_network *network;
    const cei_weight *weights, *derived; /* as cei_run has them; those derived are to be written */
    cei_device *device;
    cei_stream *stream;
    cei_buffer *workspace; /* of cei_network_workspace bytes for rows tokens */
    size_t rows;           /* at least 1 */
    size_t longest;        /* tokens of a sequence: what only longer ones read may stay unwritten */
} cei_derivation;

/* Of a network that has some: computes the derived weights on the device, writes them there and verifies each by its
 * checksum. Errors: DEVICE_*, VERIFY, MEMORY. */
ce_status cei_network_derive(const cei_derivation *derivation, ce_error *error);

/* For those who make them: writes rows of one of them from float32 [count, columns], and verifies them. Errors:
 * DEVICE_*, VERIFY. */
ce_status cei_derivation_write(const cei_derivation *derivation, const cei_weight *to, size_t first, size_t count,
                               const float *values, ce_error *error);

/* The same: rows of a table by their numbers, into host memory [count, columns]; count is at most derivation->rows.
 * Errors: DEVICE_*. */
ce_status cei_derivation_read(const cei_derivation *derivation, const cei_weight *table, const int32_t *rows,
                              size_t count, float *values, ce_error *error);

/* Errors: DEVICE_*. */
ce_status cei_network_run(const cei_run *run, ce_error *error);

/* The row of the token that a network reads which reads one of each sequence; of a sequence without tokens any row. */
size_t cei_network_row(const cei_network *network, const cei_batch *batch, size_t sequence);

/* The positions of a sequence's tokens, [length]. Where they begin behind the padding token's id, a padding token that
 * stands in a text has that position and is not counted, as in the reference. */
void cei_network_positions(const cei_network *network, const int32_t *ids, size_t length, int32_t *positions);

/* Bytes of device workspace for so many tokens and sequences; 0 on overflow. */
size_t cei_network_workspace(const cei_network *network, size_t tokens, size_t sequences);

/* 1 << cei_op for each operation that it calls. */
unsigned cei_network_ops(const cei_network *network);

/* Columns of the widest activation. */
size_t cei_network_widest(const cei_network *network);

#endif
