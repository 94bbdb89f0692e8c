/* modules.h - what Sentence Transformers writes beside a transformer: modules.json, the modules' own configs, and
 * config_sentence_transformers.json.
 *
 * Knows JSON and the reference's names, old and new; knows nothing of weights or devices. */
#ifndef CEI_MODULES_H
#define CEI_MODULES_H

#include "base/json.h"
#include "model/head.h"

#include <crossenc/encoder.h>

/* A module behind the pooling. */
typedef struct cei_module {
    cei_head_kind kind;
    char *folder; /* its place in the model's folder: "2_Dense" */
    size_t in, out;
    bool bias; /* of a dense layer */
    cei_function function;
} cei_module;

typedef struct cei_prompt {
    char *name, *text;
} cei_prompt;

typedef struct cei_modules {
    bool is_listed;    /* in modules.json; else this is a transformer alone */
    char *transformer; /* its folder in the model's: "", or "0_Transformer"; NULL: nothing was read */
    char **folders;    /* of the modules behind it, in their order: "1_Pooling" */
    size_t folder_count, folder_capacity;
    cei_pooling poolings[CEI_POOL_COUNT];
    size_t pooling_count;
    bool includes_prompt;
    char pooling[136]; /* their names: "cls, mean"; room for the longest one so many times */
    cei_module *layers;
    size_t layer_count, layer_capacity;
    cei_token_logits logits; /* of a cross-encoder that is a causal model, read at one token; without a pooling */
    size_t max_length;       /* max_seq_length; 0 if it is not written */
    bool lowercase;          /* do_lower_case */
    cei_prompt *prompts;     /* in the order of the file */
    size_t prompt_count;
    char *default_prompt;  /* NULL is none */
    bool reads_messages;   /* of a cross-encoder: pairs become messages, if there is a chat template */
    char *message_format;  /* "flat", "structured", or another; NULL: as the template looks */
    json_t *chat_settings; /* an object of names for the chat template; NULL for none */
    ce_similarity similarity;
    size_t truncate_dim; /* 0 if it is not written */
} cei_modules;

/* Reads the folder of a bi-encoder. One without modules.json is a transformer that gets mean pooling, and so is one
 * that was saved as another kind of model (a CrossEncoder); both are warned of, as in the reference, and have no other
 * settings. A default prompt "query" or "document" that is not among the prompts is none: the reference gives these
 * names to the empty text. Errors: NOT_FOUND, IO, FORMAT, MODEL (modules that contradict each other), UNSUPPORTED (a
 * module or a setting, by name), MEMORY. */
ce_status cei_modules_load(const char *folder, const cei_log *log, cei_modules *modules, ce_error *error);

/* Reads the folder of a cross-encoder that was saved in modules by version 6 or later: a transformer, a pooling, and
 * layers of which the last gives the scores; or a causal transformer and a LogitScore. One that is transformers'
 * classifier, alone or as the only module, has no pooling then: cei_modules_are_head is false. Errors: as above. */
ce_status cei_modules_load_scorer(const char *folder, const cei_log *log, cei_modules *modules, ce_error *error);

/* What the one file of a bi-encoder says of its modules. */
typedef struct cei_modules_said {
    const char *path;     /* of the file, for messages */
    const char *pooling;  /* by the reference's name */
    size_t max_length;    /* tokens of a text */
    bool normalizes;      /* a Normalize follows */
    const char *settings; /* the text of a config_sentence_transformers.json; NULL: there is none */
    size_t settings_size;
} cei_modules_said;

/* The modules of such a bi-encoder: as a folder with modules.json that has them in "1_Pooling" and "2_Normalize".
 * Errors: FORMAT, MODEL (a default prompt that is not there), MEMORY. */
ce_status cei_modules_set(const cei_modules_said *said, cei_modules *modules, ce_error *error);

/* The prompts that the one file of a cross-encoder says in its settings, added to modules, which are zeroed and freed
 * by the caller whatever happens. Errors: FORMAT, MODEL, MEMORY. */
ce_status cei_modules_set_prompts(const cei_modules_said *said, cei_modules *modules, ce_error *error);

/* The folder of the transformer in the model's: "" is the same. */
static inline const char *cei_modules_transformer(const cei_modules *modules) {
    return modules->transformer ? modules->transformer : "";
}

/* Are pooling and layers the model's head? Else its architecture's classifier is. */
static inline bool cei_modules_are_head(const cei_modules *modules) {
    return modules->pooling_count > 0 || modules->logits.is_read;
}

/* Does the folder say that it is a bi-encoder's: is there a modules.json, and not of another kind of model? Errors: as
 * load. */
ce_status cei_modules_find(const char *folder, bool *is_bi_encoder, ce_error *error);

void cei_modules_free(cei_modules *modules); /* zeroed is fine */

/* A head that pools the tokens of an encoder of hidden columns, without the layers. */
cei_head cei_modules_pool(const cei_modules *modules, size_t hidden);

/* Adds the layers to the head, and their weights to the plan. Errors: MODEL, UNSUPPORTED, MEMORY. */
ce_status cei_modules_plan(const cei_modules *modules, cei_plan *plan, cei_head *head, ce_error *error);

/* Adds the layers' tensors to the transformer's: "2_Dense/linear.weight". */
ce_status cei_modules_open(const cei_modules *modules, const char *folder, cei_checkpoint *checkpoint, ce_error *error);

#endif
