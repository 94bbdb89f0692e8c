/* model.h - the inside of a ce_model, for src/model and src/score.
 *
 * Locks: `mover` is held by the one thread that places or moves; `lock` guards what its group says and is held for
 * moments only. A thread may take lock while it holds mover, never the other way round. */
#ifndef CEI_MODEL_H
#define CEI_MODEL_H

#include "model/adapter.h"
#include "model/modules.h"
#include "model/placement.h"
#include "text/chat.h"

#include <crossenc/model.h>

#include <pthread.h>

/* A crew has fewer threads than this: one for each device, and another. */
enum { CEI_MOST_CREWS = CE_MOST_DEVICES + 2 };

struct ce_model {
    /* Set at load, then constant. */
    char *path;
    char *gguf;          /* the file that is the whole model; NULL: path is a folder of files */
    cei_adapter adapter; /* laid over the weights; zeroed: there is none */
    size_t task;         /* 1 + that of the model's own adapters that is laid over its weights; 0: none */
    float task_scale;    /* what the adapter is multiplied by */
    char *base;          /* the folder of the model that path's adapter changes; NULL: path has its own model */
    bool own_tokenizer;  /* the adapter's folder has one, which counts */
    bool bi_encoder;     /* gives embeddings: it was loaded as a ce_encoder */
    cei_modules modules; /* of a bi-encoder, or of a cross-encoder that was saved in modules */
    cei_config config;
    cei_tokenizer *tokenizer;
    cei_chat *chat; /* makes pairs to prompts; NULL: pairs are joined */
    cei_blueprint blueprint;
    cei_checkpoint_identity *identity; /* of the files at load */
    ce_activation activation;
    char weight_dtype[96];     /* "F32", or "I8, F32"; room for all that there are */
    const char *weight_format; /* of the files; a constant */
    uint64_t file_bytes;
    uint32_t tensors_unused;
    double resolve_ms;

    /* Guarded by mover. */
    pthread_mutex_t mover;
    uint64_t *checksums; /* [parts] of the first placement; NULL before it */

    /* Guarded by lock. */
    pthread_mutex_t lock;
    cei_device_list targets;                  /* where the model is, or is to be */
    cei_placement *replicas[CE_MOST_DEVICES]; /* [targets.count] NULL if deferred, or lost there */
    bool lost, busy;                          /* all devices went away; a placing or moving is in progress */
    char requested[CE_DEVICE_LIST_SIZE];
    uint64_t generation;
    size_t turn;                     /* calls so far: each begins at another replica */
    cei_pool *crews[CEI_MOST_CREWS]; /* [threads] so many, see cei_held; made at need, then constant */
    char fallback_reason[256];       /* "" if auto took its first choice */

    /* Host memory of calls, kept for the next ones: src/score. Guarded by scratch_lock. */
    pthread_mutex_t scratch_lock;
    struct cei_scratch *free_scratch;
};

/* load.c: ce_model_load, and the same for a bi-encoder. *model is left NULL on failure. */
ce_status cei_model_load(const char *path, const ce_load_options *options, bool bi_encoder, ce_model **model,
                         ce_error *error);

/* load.c: special tokens of what the model reads: a pair, or one text; of a prompt one, which it cannot do without. */
size_t cei_model_specials(const ce_model *model);

/* chat_load.c: the words whose logits a causal model's score is made of, and the chat template in folder, that of the
 * transformer. Errors: those of cei_chat_load; MODEL (no such words, or a template that cannot carry a pair). */
ce_status cei_model_load_chat(ce_model *model, const char *folder, ce_error *error);

/* chat_load.c: the same of a chat template's text; one without bytes is none. Errors: those of cei_chat_parse; MODEL.
 */
ce_status cei_model_parse_chat(ce_model *model, ce_text text, ce_error *error);

/* adapted.c: finds the adapter that is asked for, one of the model's own for a task or another, or that own, the folder
 * of the transformer, is; and the model that it changes. Errors: those of cei_adapter_load and ce_model_find; MODEL. */
ce_status cei_model_find_adapter(ce_model *model, const char *own, const char *asked, ce_error *error);

/* adapted.c: loads an adapter by its folder or name. Errors: those of cei_adapter_load and ce_model_find. */
ce_status cei_model_load_adapter(ce_model *model, const char *asked, ce_error *error);

/* adapted.c: what the adapter says of the config: that the model has a classifier, and with how many labels unless they
 * are asked for. */
ce_status cei_model_adapt_config(ce_model *model, size_t asked, ce_error *error);

/* adapted.c: does the model read what the adapter has whole? Errors: MODEL (a tensor by name, of which scores would
 * know nothing). */
ce_status cei_model_check_adapter(const ce_model *model, const cei_checkpoint *checkpoint, ce_error *error);

/* adapted.c: the folder that has the tokenizer: own, or the model's that its adapter changes. */
const char *cei_model_tokenizer_folder(const ce_model *model, const char *own);

/* load.c: the folder of config.json and the tokenizer, in path: to be freed; NULL if there is no memory. */
char *cei_model_transformer_folder(const ce_model *model);

/* load.c: opens the files of the weights. Errors: those of cei_checkpoint_open. */
ce_status cei_model_open_weights(const ce_model *model, cei_checkpoint **checkpoint, ce_error *error);

/* What a call works on: the replicas that there are, with a reference each. */
typedef struct cei_held {
    size_t count; /* at least 1 */
    cei_placement *replicas[CE_MOST_DEVICES];
    size_t first; /* the one that this call begins with, so that calls at the same time spread */
    /* Threads for what goes on at the same time: the replicas' batches and, where a device computes by itself, the
     * tokens of those that come next. NULL where that is one thing. */
    cei_pool *crew;
} cei_held;

/* A deferred model is placed first. Errors: those of placing; DEVICE_LOST. */
ce_status cei_model_acquire(ce_model *model, cei_held *held, ce_error *error);
void cei_held_release(cei_held *held);

/* A replica's device is gone: the model does without it, and is LOST if it was the last. Whoever holds it keeps it. */
void cei_model_lose(ce_model *model, const cei_placement *replica);

/* place.c: places the model on targets, from its files or from what it has, and swaps it in. Replicas that are on one
 * of them already stay. Holds mover. */
ce_status cei_model_place_on(ce_model *model, const cei_device_list *targets, ce_error *error);

/* load.c: places on the target, and, if the caller asked for auto, on the next choices when it fails. Holds mover. */
ce_status cei_model_place_auto(ce_model *model, ce_error *error);

/* src/score: frees the kept scratch memory of a model. */
void cei_scratch_free_all(ce_model *model);

#endif
