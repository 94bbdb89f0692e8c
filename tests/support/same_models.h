/* same_models.h - are two models the same, whatever form they are in: tokens, and the bits of logits and embeddings. */
#ifndef CE_SAME_MODELS_H
#define CE_SAME_MODELS_H

#include <crossenc/model.h>

/* Loads a model on the CPU with one thread; max_length as in ce_load_options. Fails the test if that fails. */
ce_model *test_load(const char *path, size_t max_length);

/* Fails the test unless both cross-encoders have the same labels, tokens and logits of the pairs in
 * tests/data/golden/CASES.json. */
void test_same_models(const char *one, const char *other, const char *cases);

/* The same of two bi-encoders and the embeddings of a few texts. */
void test_same_encoders(const char *one, const char *other);

#endif
