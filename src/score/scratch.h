/* scratch.h - the host memory of one scoring call, kept by the model for the next call. */
#ifndef CEI_SCRATCH_H
#define CEI_SCRATCH_H

#include "model/model.h"

/* What one of the threads that tokenize a window needs. */
typedef struct cei_lane_text {
    cei_token_buffer query, document;
    ce_text cached; /* the text whose tokens are in query: pairs of one call often share their query */
    bool has_cached;
    char *joined; /* a text behind its prompt */
    size_t joined_capacity;
    cei_chat_memory chat;
    cei_bytes prompt; /* repaired */
} cei_lane_text;

/* Room for one batch on its way through a device. */
typedef struct cei_room {
    cei_budget batch;                 /* that there is room for */
    int32_t *ids, *types, *positions; /* [tokens] */
    int32_t *offsets;                 /* [sequences + 1] */
    float *values;                    /* [sequences, outputs] */
    float *states;                    /* [tokens, hidden]; NULL until it is reserved */
} cei_room;

/* The tokens of a window's inputs. */
typedef struct cei_tray {
    size_t window;     /* inputs that there is room for */
    int32_t *ids;      /* [window, max_length] */
    int32_t *types;    /* [window, max_length] */
    uint32_t *lengths; /* [window] tokens of an input */
    uint32_t *order;   /* [window] inputs, longest first */
} cei_tray;

/* Batches at the same time: one for each device, or each lane of one and one beside them. */
enum { CEI_MOST_ROOMS = CEI_MOST_LANES + 1 };
_Static_assert(CE_MOST_DEVICES <= CEI_MOST_ROOMS, "each device has a room");

/* Inputs (pairs or texts) are handled a window at a time, so that memory doesn't grow with the call. */
typedef struct cei_scratch {
    struct cei_scratch *next; /* in the model's list */
    size_t lanes;         /* parts of a window that are tokenized at the same time: one for each thread of the pool */
    cei_lane_text *texts; /* [lanes] */
    cei_lane_text prompt; /* what is made of a call's prompt once */

    cei_tray trays[2]; /* of a window, and of the next where its tokens are made meanwhile */
    uint32_t *tally;   /* [max_length + 2] for sorting by length */

    cei_room rooms[CEI_MOST_ROOMS]; /* for batches at the same time: those that are reserved */

    size_t ranked;          /* documents that there is room for, below */
    float *scores;          /* [ranked] */
    size_t *sorted, *spare; /* [ranked] */
} cei_scratch;

/* Lends scratch memory with room for count inputs (at most a window of them). Errors: MEMORY. */
ce_status cei_scratch_take(ce_model *model, size_t count, cei_scratch **scratch, ce_error *error);
void cei_scratch_give(ce_model *model, cei_scratch *scratch); /* NULL is fine */

/* Puts a text behind a prompt, if that is not empty, in the lane's memory. Errors: MEMORY. */
ce_status cei_lane_prompt(cei_lane_text *lane, ce_text prompt, ce_text *text, ce_error *error);

void cei_lane_free(cei_lane_text *lane); /* what it holds */

/* Makes room for ranking count documents. Errors: MEMORY. */
ce_status cei_scratch_reserve_ranked(cei_scratch *scratch, size_t count, ce_error *error);

/* Makes room for a second window of inputs, as large as the first. Errors: MEMORY. */
ce_status cei_scratch_reserve_next(const ce_model *model, cei_scratch *scratch, ce_error *error);

/* Makes room for so many batches of this size at the same time. Errors: MEMORY. */
ce_status cei_scratch_reserve_rooms(const ce_model *model, cei_scratch *scratch, const cei_budget *batch, size_t count,
                                    ce_error *error);

/* Makes room for the states of a batch's tokens in the first room, which is there. Errors: MEMORY. */
ce_status cei_scratch_reserve_states(const ce_model *model, cei_scratch *scratch, ce_error *error);

/* The most inputs of one window. */
size_t cei_scratch_window(const ce_model *model);

#endif
