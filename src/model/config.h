/* config.h - config.json: every field that changes results.
 *
 * Knows JSON and the reference's rules of naming and precedence; knows nothing of weights or devices. Which fields an
 * architecture needs is said by its own file (bert.c). */
#ifndef CEI_CONFIG_H
#define CEI_CONFIG_H

#include "device/device.h"

#include <crossenc/model.h>

typedef struct cei_config {
    char *path;         /* of config.json, for messages */
    char *architecture; /* architectures[0], or "" */
    char *model_type;   /* "bert", or "" */
    size_t vocab_size, hidden_size, layers, heads, intermediate_size;
    size_t max_positions; /* max_position_embeddings; 0 if absent, as for the five above */
    size_t type_vocab_size;
    double layer_norm_eps;    /* 1e-12 if absent */
    cei_function hidden_act;  /* "gelu" if absent */
    size_t num_labels;        /* id2label's size; else "num_labels"; else 2, as transformers has it */
    char **labels;            /* [num_labels] id2label, or LABEL_0 ... */
    ce_activation activation; /* by the reference's order of precedence; never DEFAULT */
    char *position_embedding; /* "absolute" if absent */
    bool is_decoder;
} cei_config;

/* Reads folder/config.json. An activation that is not one of torch.nn's known ones is UNSUPPORTED by name if its path
 * begins with "torch.", else warned of and passed over, as the reference does without trust_remote_code.
 * Errors: NOT_FOUND, IO, FORMAT (with field, value and range), UNSUPPORTED (hidden_act by name), MEMORY. */
ce_status cei_config_load(const char *folder, const cei_log *log, cei_config *config, ce_error *error);

/* The same from bytes; path is for messages. */
ce_status cei_config_parse(const char *data, size_t size, const char *path, const cei_log *log, cei_config *config,
                           ce_error *error);

void cei_config_free(cei_config *config); /* zeroed is fine */

#endif
