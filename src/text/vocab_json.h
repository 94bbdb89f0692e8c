/* vocab_json.h - the quick way to the vocabulary of a tokenizer.json. */
#ifndef CEI_VOCAB_JSON_H
#define CEI_VOCAB_JSON_H

#include "text/spec.h"

/* Reads the object at "model", "vocab" into vocabulary, or the array of pieces and scores there (exact: piece_score.h)
 * into vocabulary and unigram, and writes the file with {} or [] in its place, line ends kept, to rest. Anything that
 * is out of the ordinary (or wrong) leaves all empty: a JSON parser is then to read the whole file. What is in rest
 * still has to be parsed. Errors: MEMORY. */
ce_status cei_vocab_json_take(const cei_tokenizer_file *file, bool exact, cei_vocabulary *vocabulary,
                              cei_unigram_options *unigram, cei_bytes *rest, ce_error *error);

#endif
