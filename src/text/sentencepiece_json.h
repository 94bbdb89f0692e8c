/* sentencepiece_json.h - the components in tokenizer.json that SentencePiece's models are written as. */
#ifndef CEI_SENTENCEPIECE_JSON_H
#define CEI_SENTENCEPIECE_JSON_H

#include "text/spec.h"

/* A step of a normalizer: Precompiled, Replace, Prepend, Strip, Nmt. *known is false for any other type.
 * Errors: FORMAT, UNSUPPORTED (naming what it is), MEMORY. */
ce_status cei_step_json_read(const json_t *object, const char *type, const cei_tokenizer_spec *spec, bool *known,
                             cei_normalizer_step *step, ce_error *error);

/* The pre-tokenizer WhitespaceSplit or Metaspace, or a Sequence of them, which object has to be. Errors: FORMAT,
 * UNSUPPORTED (another one in the Sequence, by name). */
ce_status cei_metaspace_json_read(const json_t *object, const char *type, const cei_tokenizer_spec *spec,
                                  cei_metaspace *metaspace, ce_error *error);

/* The model Unigram; its vocabulary unless that was read before (vocab_json.h). Errors: FORMAT, MEMORY. */
ce_status cei_unigram_json_read(const json_t *model, cei_tokenizer_spec *spec, ce_error *error);

/* Appends a score. false if there is no memory. */
bool cei_unigram_push(cei_unigram_options *unigram, double score);

#endif
