/* gguf_put.h - a model in the keys of a GGUF file: the way back of gguf.h.
 *
 * Keys are llama.cpp's, and crossenc's own where there is none (gguf.h). What can be written is decided by reading it
 * again (convert_gguf.c): these writers say what a model is, and not whether a file can say all of it. */
#ifndef CEI_GGUF_PUT_H
#define CEI_GGUF_PUT_H

#include "formats/gguf_write.h"
#include "model/gguf.h"
#include "model/model.h"
#include "text/spec.h"

/* What the writers of keys share. */
typedef struct cei_gguf_writer {
    const ce_model *model;
    const char *architecture; /* the prefix of keys */
    cei_gguf_out *out;
} cei_gguf_writer;

/* gguf_put_config.c: "ARCHITECTURE.NAME", and numbers under such a key. */
enum { CEI_GGUF_KEY_SIZE = 128 };
const char *cei_gguf_key_of(const cei_gguf_writer *work, const char *name, char key[CEI_GGUF_KEY_SIZE]);
void cei_gguf_put_size(const cei_gguf_writer *work, const char *name, size_t value);
void cei_gguf_put_double(const cei_gguf_writer *work, const char *name, double value); /* as float32 */

/* How pairs become prompts, each without data where it is none: the text of a re-ranker of which the rows of two words
 * are written, or a chat template. */
typedef struct cei_gguf_asking {
    cei_gguf_text rerank, chat;
} cei_gguf_asking;

/* gguf_put_config.c: all but the tokenizer's pairs. type is that of matrices. */
void cei_gguf_put_config(const ce_model *model, const cei_gguf_form *form, cei_dtype type,
                         const cei_gguf_asking *asking, cei_gguf_out *out);

/* gguf_put_decoder.c: what decoders have beside sizes, pooling and labels. */
void cei_gguf_put_decoder_keys(const cei_gguf_writer *work, const cei_gguf_form *form);

/* gguf_put_decoder.c: what the frequencies of rotary positions are divided by, [size] of CEI_GGUF_DIVISORS, if a file
 * of that form has such a tensor for the model; size is 0 if it has not. divisors is to be freed. Errors: MEMORY. */
ce_status cei_gguf_find_divisors(const ce_model *model, const cei_gguf_form *form, float **divisors, size_t *size,
                                 ce_error *error);

/* A tokenizer that is going to be written. */
typedef struct cei_gguf_tokens {
    const cei_tokenizer_spec *spec;
    const cei_tokenizer *built; /* of the same files */
    size_t rows;                /* of the model's embeddings: tokens "[PADn]" fill them up */
    bool is_decoder;            /* texts begin and end as decoders' do */
    bool tells_padding;         /* the model passes over padding at a sequence's end: that of its own config, */
    size_t padding;             /* CEI_NO_TOKEN for none, and not the tokenizer's */
} cei_gguf_tokens;

/* gguf_put_tokenizer.c: the tokenizer's pairs. Errors: UNSUPPORTED (a kind that such files do not have), MODEL (more
 * tokens than rows), MEMORY. */
ce_status cei_gguf_put_tokenizer(const cei_gguf_tokens *tokens, cei_gguf_out *out, ce_error *error);

/* gguf_put_pieces.c: what the pieces of SentencePiece's byte pair encoding have beside their names: scores, and whether
 * a text begins with a blank. Sets the types [rows] of bytes and of the unknown piece; -1 for none. Errors: MEMORY. */
ce_status cei_gguf_put_scores(const cei_tokenizer_spec *spec, const cei_gguf_text *tokens, uint8_t *types, size_t rows,
                              int32_t unknown, cei_gguf_out *out, ce_error *error);

#endif
