/* tiny_model.h - small BERTs with random weights, written as the folder of a cross-encoder or of a bi-encoder: for
 * tests that vary shapes or break files.
 *
 * The weights are a function of the seed, so that two folders of one shape hold the same model. */
#ifndef CE_TEST_TINY_MODEL_H
#define CE_TEST_TINY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tiny_model {
    size_t vocab, hidden, layers, heads, intermediate, positions, types, labels;
    const char *hidden_act; /* as in config.json */
    const char *dtype;      /* of the weights in the file: "F32", "F16", "BF16" or "I8" */
    uint32_t seed;
    bool hollow; /* all weights are zeros, in a hole of the file that takes no room: F32 alone, of any size */
} tiny_model;

/* 200 words, hidden size 32, 2 layers of 4 heads, 64 positions, 1 label, gelu, F32. */
tiny_model tiny_model_default(void);

/* Writes config.json, vocab.txt, tokenizer_config.json and model.safetensors into folder, which exists. The vocabulary
 * has the special tokens, the letters and digits (also as continuations) and "word0", "word1", ...; it needs at least
 * 77 entries. Fails the test if a file cannot be written. */
void tiny_model_write(const tiny_model *model, const char *folder);

/* The same into a new folder of test_make_folder. */
char *tiny_model_folder(const tiny_model *model);

/* Adds a tokenizer.json that knows "word0" and "word1" alone and puts no special tokens around texts, or [CLS] before
 * them and nothing behind; it is read in vocab.txt's place. */
void tiny_model_write_tokenizer(const char *folder, bool with_cls);

/* Tensors that are written, and bytes of their values. The weights on a device in float32 take parameters * 4. */
size_t tiny_model_tensors(const tiny_model *model);
size_t tiny_model_parameters(const tiny_model *model);

/* Row row of the word embeddings as float32, exactly as written in an F32 file. out: [hidden]. */
void tiny_model_word_row(const tiny_model *model, size_t row, float *out);

/* A bi-encoder on that BERT, whose pooler and classifier are there and not read. */
typedef struct tiny_encoder {
    tiny_model transformer;
    const char *pooling; /* as in the pooling's config: "\"mean\"", "[\"cls\", \"mean\"]" */
    size_t poolings;     /* how many these are */
    bool include_prompt;
    size_t dimension; /* of a Dense, a LayerNorm and a Normalize behind the pooling; 0: none of them */
} tiny_encoder;

enum { TINY_ENCODER_UNUSED = 4 }; /* tensors of its files that are not read */

/* The default model with mean pooling alone. */
tiny_encoder tiny_encoder_default(void);

/* Writes the files of tiny_model_write, modules.json with what it names, and the prompts "query", which is two words,
 * and "passage", which is empty. */
void tiny_encoder_write(const tiny_encoder *encoder, const char *folder);

/* Tensors that are read, and their values. */
size_t tiny_encoder_tensors(const tiny_encoder *encoder);
size_t tiny_encoder_parameters(const tiny_encoder *encoder);

#endif
