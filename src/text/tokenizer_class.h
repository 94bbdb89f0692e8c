/* tokenizer_class.h - the classes of transformers, which make most of a tokenizer themselves.
 *
 * Only tokenizer_config.c, which finds the class, and tokenizer_class.c include this. */
#ifndef CEI_TOKENIZER_CLASS_H
#define CEI_TOKENIZER_CLASS_H

#include "text/spec.h"

/* Who decides about normalizer, pre-tokenizer and template: the file, or a class of transformers. Those for Unigram
 * stand together from XLM-RoBERTa's on, the byte-level ones from RoBERTa's; Llama's and Gemma's are BPE over pieces. */
typedef enum cei_token_class {
    CEI_CLASS_FILE,
    CEI_CLASS_BERT,
    CEI_CLASS_MPNET,
    CEI_CLASS_XLM_ROBERTA,
    CEI_CLASS_CAMEMBERT,
    CEI_CLASS_ALBERT,
    CEI_CLASS_T5,
    CEI_CLASS_DEBERTA_V2,
    CEI_CLASS_ROBERTA,
    CEI_CLASS_DEBERTA,
    CEI_CLASS_GPT2,
    CEI_CLASS_QWEN2,
    CEI_CLASS_LLAMA,
    CEI_CLASS_GEMMA
} cei_token_class;

/* The settings, being applied to a spec. */
typedef struct cei_applying {
    const cei_tokenizer_settings *settings;
    cei_tokenizer_spec *spec;
    ce_error *error;
    cei_token_class class;
    json_t *decoder;                  /* "added_tokens_decoder"; the older files are read only where there is none */
    cei_added_token roles[CEI_ROLES]; /* content is NULL for none */
    bool named[CEI_ROLES];            /* the role is a file's, not the class's own */
    size_t sentinel_count;            /* of T5's class: its "extra_ids" */
} cei_applying;

/* tokenizer_class.c: reads how many sentinels T5's class has, and makes their names. Errors: FORMAT, MEMORY. */
ce_status cei_class_read_sentinels(cei_applying *work);

/* The name of sentinel i, "<extra_id_7>". The spec's own. */
const char *cei_class_sentinel(const cei_applying *work, size_t i);

/* tokenizer_class.c: the tokens that "add_bos_token" and "add_eos_token" put around each text. The reference asks for
 * them only where there is no tokenizer.json, whose template counts whatever they say. Errors: FORMAT. */
ce_status cei_class_set_ends(cei_applying *work, bool has_json);

/* tokenizer_class_pieces.c: what the classes for Llama and Gemma make themselves. Errors: as below. */
ce_status cei_class_apply_pieces(cei_applying *work, bool has_json);

/* Makes what the class makes itself, once the class and the roles are known. Errors: FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_class_apply(cei_applying *work, bool has_json);

#endif
