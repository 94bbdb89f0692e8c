/* model.h - the inside of a ce_model, for src/model and src/score.
 *
 * Locks: `mover` is held by the one thread that places or moves; `lock` guards what its group says and is held for
 * moments only. A thread may take lock while it holds mover, never the other way round. */
#ifndef CEI_MODEL_H
#define CEI_MODEL_H

#include "model/modules.h"
#include "model/placement.h"
#include "text/tokenizer.h"

#include <crossenc/model.h>

#include <pthread.h>

struct ce_model {
    /* Set at load, then constant. */
    char *path;
    bool bi_encoder;     /* gives embeddings: it was loaded as a ce_encoder */
    cei_modules modules; /* of a bi-encoder, or of a cross-encoder that was saved in modules */
    cei_config config;
    cei_tokenizer *tokenizer;
    cei_blueprint blueprint;
    cei_checkpoint_identity *identity; /* of the files at load */
    ce_activation activation;
    char weight_dtype[32];     /* "F32", or "I8, F32" */
    const char *weight_format; /* of the files; a constant */
    uint64_t file_bytes;
    uint32_t tensors_unused;
    double resolve_ms;

    /* Guarded by mover. */
    pthread_mutex_t mover;
    uint64_t *checksums; /* [parts] of the first placement; NULL before it */

    /* Guarded by lock. */
    pthread_mutex_t lock;
    cei_placement *current; /* NULL if deferred or lost */
    bool lost, busy;        /* the device went away; a placing or moving is in progress */
    cei_device_id target;   /* where the model is, or is to be */
    char requested[CE_DEVICE_ID_SIZE];
    uint64_t generation;
    char fallback_reason[256]; /* "" if auto took its first choice */

    /* Host memory of calls, kept for the next ones: src/score. Guarded by scratch_lock. */
    pthread_mutex_t scratch_lock;
    struct cei_scratch *free_scratch;
};

/* load.c: ce_model_load, and the same for a bi-encoder. *model is left NULL on failure. */
ce_status cei_model_load(const char *path, const ce_load_options *options, bool bi_encoder, ce_model **model,
                         ce_error *error);

/* load.c: special tokens of what the model reads: a pair, or one text. */
size_t cei_model_specials(const ce_model *model);

/* load.c: opens the files of the weights. Errors: those of cei_checkpoint_open. */
ce_status cei_model_open_weights(const ce_model *model, cei_checkpoint **checkpoint, ce_error *error);

/* The current placement with a reference for the caller; a deferred model is placed first. Errors: those of placing;
 * DEVICE_LOST. */
ce_status cei_model_acquire(ce_model *model, cei_placement **placement, ce_error *error);

/* Gives the reference back. status is what the work on the placement came to: DEVICE_LOST makes the model LOST. */
void cei_model_release(ce_model *model, cei_placement *placement, ce_status status);

/* place.c: places the model on id, from its files or from its current placement, and swaps it in. Holds mover. */
ce_status cei_model_place_on(ce_model *model, cei_device_id id, ce_error *error);

/* load.c: places on the target, and, if the caller asked for auto, on the next choices when it fails. Holds mover. */
ce_status cei_model_place_auto(ce_model *model, ce_error *error);

/* src/score: frees the kept scratch memory of a model. */
void cei_scratch_free_all(ce_model *model);

#endif
