/* config_parts.h - what config.c has others read: the parts of config.json that few architectures have. */
#ifndef CEI_CONFIG_PARTS_H
#define CEI_CONFIG_PARTS_H

#include "base/json.h"
#include "model/config.h"

/* The object being read and what its messages name. */
typedef struct cei_config_reader {
    const json_t *root;
    const char *path;
    const cei_log *log;
    ce_error *error;
} cei_config_reader;

/* Fills the fields of rotary positions; the sizes and the model_type have been read. Errors: FORMAT, UNSUPPORTED (a
 * kind of scaling), MEMORY. */
ce_status cei_config_read_rotary(const cei_config_reader *in, cei_config *config);

/* Fills what DeBERTa's configs alone have; in others these fields may mean something else. Errors: FORMAT, UNSUPPORTED.
 */
ce_status cei_config_read_deberta(const cei_config_reader *in, cei_config *config);

/* Fills what decoders' configs have, if model_type is one of theirs: decoder, and by its rules hidden_act,
 * layer_norm_eps, pad_token_id and local_layers. Errors: FORMAT, UNSUPPORTED. */
ce_status cei_config_read_decoder(const cei_config_reader *in, cei_config *config);

/* Fills sizes, limit, norm and function out of a NomicBERT's config that is its authors', if it is. Errors: FORMAT,
 * UNSUPPORTED (what their code can do besides, by name). */
ce_status cei_config_read_nomic(const cei_config_reader *in, cei_config *config);

/* Refuses what Jina AI's XLM-RoBERTa with rotary positions could be told besides. Errors: FORMAT, UNSUPPORTED. */
ce_status cei_config_check_flash(const cei_config_reader *in, const cei_config *config);

/* A function by transformers' name for it. Errors: FORMAT, UNSUPPORTED. */
ce_status cei_config_read_function(const cei_config_reader *in, const char *key, const char *absent,
                                   cei_function *function);

/* Far above any model, low enough that products of two of them and an element's size fit into 63 bits. */
enum { CEI_CONFIG_MOST = 1 << 28 };

#endif
