/* vocab_json.h - the quick way to the vocabulary and the merges of a tokenizer.json. */
#ifndef CEI_VOCAB_JSON_H
#define CEI_VOCAB_JSON_H

#include "text/spec.h"

/* Reads the object at "model", "vocab" into the spec's vocabulary, or the array of pieces and scores there into its
 * vocabulary and unigram (exact_scores: piece_score.h), and the array at "model", "merges", where there is one, into
 * its merges (has_merges says so), and writes the file with {} or [] in their places, line ends kept, to rest. Anything
 * that is out of the ordinary (or wrong) leaves all of them empty: a JSON parser is then to read the whole file. What
 * is in rest still has to be parsed. Errors: MEMORY. */
ce_status cei_vocab_json_take(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, cei_bytes *rest,
                              ce_error *error);

/* Reads a file that is such an object, as vocab.json is, or leaves the vocabulary empty. Errors: MEMORY. */
ce_status cei_vocab_json_read(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, ce_error *error);

#endif
