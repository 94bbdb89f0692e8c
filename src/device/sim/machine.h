/* machine.h - what the files of sim:N share: objects, the way into a call, access to memory. */
#ifndef CEI_SIM_MACHINE_H
#define CEI_SIM_MACHINE_H

#include "device/sim/sim.h"
#include "device/table.h"

typedef struct sim_device {
    cei_device base;
    uint64_t epoch; /* of the machine's device when this was opened: losses so far */
    uint64_t objects;
    cei_device *other; /* that does the work; NULL: the simulated one itself */
} sim_device;

typedef struct sim_buffer {
    cei_buffer base;
    unsigned char *memory; /* mapped; readable while users > 0 */
    size_t mapped;         /* bytes, whole pages */
    unsigned users;
    /* Changes one value of a weight, and back the next time, where another device has the memory; else NULL. */
    bool (*damage)(const cei_weight *weight, size_t row, size_t column);
} sim_buffer;

typedef struct sim_stream {
    cei_stream base;
    sim_buffer *scratch; /* float32 [limits.sequence], then [limits.columns] */
    bool busy;
} sim_stream;

/* ---- machine.c ---------------------------------------------------------------------------------------------- */

/* Every call to a device begins here: hook, counts, loss, planned faults. */
ce_status cei_sim_enter(const sim_device *device, cei_sim_call call, cei_op op, ce_error *error);

/* The same for opening, which has no device yet; *epoch receives what belongs into it. */
ce_status cei_sim_enter_open(int index, uint64_t *epoch, ce_error *error);

/* The same for a call on a stream, which it takes until cei_sim_leave. */
ce_status cei_sim_enter_stream(sim_stream *stream, cei_sim_call call, cei_op op, ce_error *error);
void cei_sim_leave(sim_stream *stream);

/* Accounts for memory before it is mapped. Errors: DEVICE_MEMORY. */
ce_status cei_sim_take_memory(sim_device *device, sim_buffer *buffer, ce_error *error);
void cei_sim_return_memory(sim_device *device, sim_buffer *buffer);

typedef enum sim_object { SIM_DEVICE, SIM_BUFFER, SIM_STREAM } sim_object;
void cei_sim_born(sim_device *device, sim_object object);
void cei_sim_died(sim_device *device, sim_object object);

/* Keeps an upload in mind for cei_sim_damage, and says whether it is to be damaged on its way. */
bool cei_sim_record_upload(sim_device *device, const cei_weight *weight, size_t first, size_t count,
                           cei_sim_corruption *how);

bool cei_sim_lacks(int index, cei_op op);
bool cei_sim_has_precision(int index, ce_precision precision);
bool cei_sim_distorts(int index, cei_op op);
bool cei_sim_nudges(int index);
void cei_sim_describe(int index, ce_device_info *info);
int cei_sim_devices(void);
const cei_driver *cei_sim_backing(void);

/* ---- access to memory, for the time of one call -------------------------------------------------------------- */

typedef struct sim_access {
    sim_buffer *open[16];
    size_t count;
    bool failed; /* the system would not let us; pointers are NULL */
} sim_access;

void *cei_sim_open_memory(sim_access *access, cei_slice slice);
void cei_sim_close_memory(sim_access *access);

/* ---- sim.c, backing.c ---------------------------------------------------------------------------------------- */

/* Flips the highest mantissa bit of the float32 that lies at value. */
void cei_sim_flip(void *value);

/* What a broken transfer leaves of rows that lie at values. */
void cei_sim_corrupt(float *values, size_t count, size_t columns, cei_sim_corruption how);

extern const cei_device_table cei_sim_backed_table;

/* ---- ops.c -------------------------------------------------------------------------------------------------- */

ce_status cei_sim_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error);
ce_status cei_sim_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error);
ce_status cei_sim_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error);
ce_status cei_sim_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error);
ce_status cei_sim_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error);
ce_status cei_sim_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error);
ce_status cei_sim_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error);
ce_status cei_sim_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error);
ce_status cei_sim_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error);
ce_status cei_sim_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error);
ce_status cei_sim_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error);
ce_status cei_sim_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error);

#endif
