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

/* gguf_put_config.c: all but the tokenizer's pairs. type is that of matrices. */
void cei_gguf_put_config(const ce_model *model, const cei_gguf_form *form, cei_dtype type, cei_gguf_out *out);

/* gguf_put_tokenizer.c: the tokenizer's, of a model whose embeddings have so many rows: tokens "[PADn]" fill them up.
 * built was made of the same files. Errors: UNSUPPORTED (a kind that such files do not have), MODEL (more tokens than
 * rows), MEMORY. */
ce_status cei_gguf_put_tokenizer(const cei_tokenizer_spec *spec, const cei_tokenizer *built, size_t rows,
                                 cei_gguf_out *out, ce_error *error);

#endif
