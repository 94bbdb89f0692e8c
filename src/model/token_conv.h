/* token_conv.h - a convolution over the tokens of a sequence, as DeBERTa-v2 may have one beside its first layer.
 *
 * Around a token an odd number of neighbours, itself in the middle, are laid end to end, zeros where the sequence has
 * none; a dense layer of that width follows. Its matrix is derived: the checkpoint has the neighbours innermost, and
 * groups of columns that see one another alone. */
#ifndef CEI_TOKEN_CONV_H
#define CEI_TOKEN_CONV_H

#include "model/config.h"
#include "model/network.h"

typedef struct cei_token_conv {
    size_t kernel, groups; /* tokens that a result reads; 0: there is none */
    cei_function function;
    size_t weight, bias;  /* in the plan: TABLE [hidden, hidden / groups * kernel], [hidden] */
    cei_weight_pair norm; /* behind it */
} cei_token_conv;

/* Errors: MODEL, UNSUPPORTED (an even kernel, which the reference cannot run either). */
ce_status cei_token_conv_check(const cei_config *config, ce_error *error);

cei_weight cei_token_conv_shape(const cei_token_conv *conv, size_t hidden);

/* Writes its matrix, a few rows at a time. Errors: DEVICE_*, VERIFY, MEMORY. */
ce_status cei_token_conv_derive(const cei_token_conv *conv, const cei_derivation *derivation, const cei_weight *to,
                                ce_error *error);

/* Sends the neighbours of each token, int32 [tokens, kernel]: rows of the states, or, where there is no neighbour, the
 * row behind those of all tokens. Errors: DEVICE_*. */
ce_status cei_token_conv_send(const cei_token_conv *conv, cei_stream *stream, const cei_batch *batch, cei_slice to,
                              ce_error *error);

#endif
