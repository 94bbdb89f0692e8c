/* sentencepiece_spec.h - from a SentencePiece model file to what a tokenizer is made of. */
#ifndef CEI_SENTENCEPIECE_SPEC_H
#define CEI_SENTENCEPIECE_SPEC_H

#include "text/spec.h"
#include "text/text_steps.h"

/* Reads the file into spec->sentencepiece, which lends from it. What the pieces' ids are is decided later. Errors:
 * FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_sentencepiece_spec_read(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, ce_error *error);

/* A piece that a class has beside those of the file. */
typedef struct cei_class_piece {
    const char *text;
    double score;
} cei_class_piece;

/* Makes the vocabulary and the scores: count pieces of the class, those of the file without the first skipped ones, and
 * last, unless it is NULL, with the score 0. Errors: FORMAT (too many), MEMORY. */
ce_status cei_sentencepiece_take(cei_tokenizer_spec *spec, const cei_class_piece *before, size_t count, size_t skipped,
                                 const char *last, ce_error *error);

/* One piece more, with the score 0. Errors: FORMAT (too many), MEMORY. */
ce_status cei_sentencepiece_push(cei_tokenizer_spec *spec, const char *text, ce_error *error);

/* The file's charsmap, if it has one, becomes the next step of the normalizer. Errors: FORMAT, MEMORY. */
ce_status cei_sentencepiece_take_charsmap(cei_tokenizer_spec *spec, ce_error *error);

/* sentencepiece_merges.c: makes the merges of a BPE model from its pieces, whose ids are their places in the file: each
 * normal piece, the best score first, is made of any two normal ones that it can be cut into; or, as the reference's
 * classes have it (of_all), each piece of any kind, in the order of ids. Takes at most 96 times the file's size.
 * Errors: UNSUPPORTED (a piece is longer than 256 bytes), MEMORY. */
ce_status cei_sentencepiece_merges(cei_tokenizer_spec *spec, bool of_all, ce_error *error);

/* Makes everything as the file says, as SentencePiece does. Where each_stretch is false, only the stretch with which a
 * text begins gets the blank that the file wants before all. Errors: FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_sentencepiece_apply(cei_tokenizer_spec *spec, bool each_stretch, ce_error *error);

#endif
