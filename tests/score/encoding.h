/* encoding.h - what the tests of encoding share: a tiny bi-encoder in a folder, and loading and calling one. */
#ifndef CE_TEST_ENCODING_H
#define CE_TEST_ENCODING_H

#include "support/support.h"
#include "support/tiny_model.h"

#include <crossenc/crossenc.h>

enum { ENCODING_DIMENSION = 6 }; /* of the encoder in the folder */

/* Its pooling is "cls, mean"; a Dense, a LayerNorm and a Normalize are behind it. */
extern char *encoding_folder;
int encoding_set_up(void **state);
int encoding_tear_down(void **state);

tiny_encoder encoding_shape(const char *pooling, size_t poolings, size_t dimension);
ce_load_options encoding_options(unsigned threads, size_t batch_tokens, size_t max_length); /* on the cpu */

/* The encoder of a folder, of the folder above, or of a shape in a new folder, which is removed, on one thread. */
ce_encoder *encoding_load_from(const char *path, const ce_load_options *options);
ce_encoder *encoding_load(unsigned threads, size_t batch_tokens, size_t max_length);
ce_encoder *encoding_load_shape(const tiny_encoder *shape);

/* Calls that must succeed, without options and with. */
void encoding_plain(ce_encoder *encoder, const ce_text *texts, size_t count, float *embeddings);
void encoding_run(ce_encoder *encoder, const ce_text *texts, size_t count, const ce_encode_options *options,
                  float *embeddings);

double encoding_length(const float *x, size_t count);

#endif
