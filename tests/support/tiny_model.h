/* tiny_model.h - small BERTs with random weights, written as a model folder: for tests that vary shapes or break files.
 *
 * The weights are a function of the seed, so that two folders of one shape hold the same model. */
#ifndef CE_TEST_TINY_MODEL_H
#define CE_TEST_TINY_MODEL_H

#include <stddef.h>
#include <stdint.h>

typedef struct tiny_model {
    size_t vocab, hidden, layers, heads, intermediate, positions, types, labels;
    const char *hidden_act; /* as in config.json */
    const char *dtype;      /* of the weights in the file: "F32", "BF16" or "I8" */
    uint32_t seed;
} tiny_model;

/* 200 words, hidden size 32, 2 layers of 4 heads, 64 positions, 1 label, gelu, F32. */
tiny_model tiny_model_default(void);

/* Writes config.json, vocab.txt, tokenizer_config.json and model.safetensors into folder, which exists. The vocabulary
 * has the special tokens, the letters and digits (also as continuations) and "word0", "word1", ...; it needs at least
 * 77 entries. Fails the test if a file cannot be written. */
void tiny_model_write(const tiny_model *model, const char *folder);

/* The same into a new folder of test_make_folder. */
char *tiny_model_folder(const tiny_model *model);

/* Tensors that are written, and bytes of their values. The weights on a device in float32 take parameters * 4. */
size_t tiny_model_tensors(const tiny_model *model);
size_t tiny_model_parameters(const tiny_model *model);

/* Row row of the word embeddings as float32, exactly as written in an F32 file. out: [hidden]. */
void tiny_model_word_row(const tiny_model *model, size_t row, float *out);

#endif
