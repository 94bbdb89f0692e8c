/* encoder.h - the inside of a ce_encoder, for src/model and src/score. */
#ifndef CEI_ENCODER_H
#define CEI_ENCODER_H

#include "model/model.h"

#include <crossenc/encoder.h>

struct ce_encoder {
    ce_model *model; /* a bi_encoder */
};

/* Values of an embedding when a call asks for truncate_dim of them; 0 is the encoder's own. */
size_t cei_encoder_dimension(const ce_encoder *encoder, size_t truncate_dim);

#endif
