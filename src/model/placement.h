/* placement.h - the weights of a model on one device, and the proof that they are there.
 *
 * A placement is built whole or not at all, then never changes. It is counted: the model holds one reference, and each
 * call in flight one, so that a move can swap it out under running calls. Its contexts (a stream and a workspace each)
 * are lent to calls and come back. */
#ifndef CEI_PLACEMENT_H
#define CEI_PLACEMENT_H

#include "base/log.h"
#include "model/architecture.h"

/* The most that one batch takes. */
typedef struct cei_budget {
    size_t tokens, sequences; /* tokens are at least max_length */
} cei_budget;

/* What all placements of a model share; owned by the model, which outlives them. */
typedef struct cei_blueprint {
    cei_plan plan;
    cei_network *network;
    cei_pool *pool;
    cei_log log;
    uint64_t cpu_disable;
    ce_precision precision;
    size_t max_length;   /* tokens of one sequence */
    size_t least_length; /* the same, of special tokens alone */
    cei_budget batch;    /* on a device that asks for no other */
    bool batch_is_asked; /* by the caller: then on every device */
    size_t max_positions, vocab_size, type_vocab_size;
    bool embeds; /* values are embeddings, not logits: they are compared by the size of the whole row */
} cei_blueprint;

/* The self-test's known input: two short sequences of made-up ids (see selftest.c). */
enum { CEI_PROBE_TOKENS = 8, CEI_PROBE_SEQUENCES = 2 };

typedef struct cei_context {
    cei_stream *stream;
    cei_buffer *workspace;
    struct cei_context *next; /* in the free list */
} cei_context;

typedef struct cei_placement cei_placement;

struct cei_placement {
    const cei_blueprint *blueprint;
    cei_device_id id;
    cei_device *device;
    cei_buffer *memory;  /* all weights, and those derived of them */
    cei_weight *weights; /* [plan.weight_count], slices of memory */
    cei_weight *derived; /* [network->derived_count], behind them */
    uint64_t *checksums; /* [plan.part_count], of the parts' values as float32 */
    float *probe_values; /* [CEI_PROBE_SEQUENCES, outputs] what the known input gave at placing */
    cei_budget batch;    /* what this device is given at a time */
    size_t context_bytes;
    cei_budget lane_batch;      /* what each lane is, where there are lanes */
    size_t lane_bytes;          /* of a lane's context */
    ce_placement_report report; /* complete but for state, requested and generation, which are the model's */
    struct cei_shared *shared;  /* reference count and free contexts */
};

/* Where the weights come from: the checkpoint, or, if its files are gone, another placement. One of them is NULL. */
typedef struct cei_source {
    const cei_checkpoint *checkpoint;
    cei_placement *placement;
    const cei_placement *peer; /* another replica of the model, whose bits must come out here too; NULL is none */
} cei_source;

/* Opens the device, asks for its memory, streams the weights there, verifies them, runs the self-test.
 * expected: checksums of an earlier placement of the same model that must come out again, or NULL.
 * On success *placement has one reference. Errors: any of devices; MEMORY; VERIFY; UNSUPPORTED (also a device that
 * computes other bits than the peer's). On failure nothing is held. */
ce_status cei_placement_create(const cei_blueprint *blueprint, cei_device_id id, const cei_source *source,
                               const uint64_t *expected, cei_placement **placement, ce_error *error);

void cei_placement_ref(cei_placement *placement);
void cei_placement_unref(cei_placement *placement); /* frees it with the last reference; NULL is fine */

/* Lends a context; more are made as calls need them at the same time. If the device has no memory for another, waits
 * for one to come back. Errors: DEVICE_*, MEMORY. */
ce_status cei_context_take(cei_placement *placement, cei_context **context, ce_error *error);
void cei_context_give(cei_placement *placement, cei_context *context); /* NULL is fine */

/* Lends a context for each thread of the pool but one, linked by next, for batches of lane_batch: a lane's batches are
 * computed by the thread that has it. The one has a context like any other's. NULL if the device does not compute on
 * the pool, the pool has one thread or more than CEI_MOST_LANES others, another call has the lanes, or there is no
 * memory for them. */
cei_context *cei_lanes_take(cei_placement *placement);
void cei_lanes_give(cei_placement *placement, cei_context *lanes); /* the first of them */

enum { CEI_MOST_LANES = 64 };

/* Bytes of workspace that the placement holds now. */
uint64_t cei_placement_workspace(const cei_placement *placement);

/* Bytes that a placement would take on a device with no padding of its own: for plans. */
uint64_t cei_blueprint_weight_bytes(const cei_blueprint *blueprint);
uint64_t cei_blueprint_workspace_bytes(const cei_blueprint *blueprint);

/* Batches of so many tokens, or of as many more as a sequence and the self-test need. */
cei_budget cei_blueprint_budget(const cei_blueprint *blueprint, size_t tokens);

/* ---- parts of cei_placement_create, each in its own file ------------------------------------------------------ */

/* upload.c: streams every part to the device and sets placement->checksums. */
ce_status cei_upload(cei_placement *placement, const cei_source *source, ce_error *error);

/* upload.c: compares the device's checksum of every part with placement->checksums, and those with expected. */
ce_status cei_verify(cei_placement *placement, const uint64_t *expected, ce_error *error);

/* selftest.c: the known input on the placement's device: values [CEI_PROBE_SEQUENCES, outputs]. */
ce_status cei_probe_run(cei_placement *placement, float *values, ce_error *error);

/* selftest.c: the known input through the portable reference, reading weights from the checkpoint; its attention rounds
 * as cei_device_rounds_attention says, or does not. */
ce_status cei_probe_reference(const cei_blueprint *blueprint, const cei_checkpoint *checkpoint, bool rounds_attention,
                              float *values, ce_error *error);

/* selftest.c: are all values [CEI_PROBE_SEQUENCES, outputs] numbers? Those of sound weights are. */
bool cei_probe_is_finite(const cei_blueprint *blueprint, const float *values);

/* selftest.c: runs the known input on the device, keeps its values and compares them with the reference's, and, if
 * there is a peer, bit by bit with its. */
ce_status cei_self_test(cei_placement *placement, const float *reference, const cei_placement *peer, ce_error *error);

#endif
