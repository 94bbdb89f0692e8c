/* ref.h - the portable reference device: the oracle that other devices are checked against.
 *
 * Written for clarity and run on few tokens. It is not in the registry and has no name; the self-test opens it by
 * cei_ref_open. Its one extension to the table: it can bind a weight's rows to bytes in host memory (the mapped
 * file) in the file's own dtype instead of copying them, so that checking a model needs no second copy of it. */
#ifndef CEI_REF_H
#define CEI_REF_H

#include "device/device.h"
#include "formats/values.h"

/* pool shares the work, and outlives the device; NULL is the caller's thread alone. */
ce_status cei_ref_open(cei_pool *pool, cei_device **device, ce_error *error);

/* Rows [first, first + rows of source) of weight are read from source, which must outlive the device.
 * For a VECTOR, whose parts are laid end to end, first counts elements. weight is known by its address, which the
 * operations are given too. It needs no buffer: its slice stays zero. Errors: MEMORY, ARGUMENT. */
ce_status cei_ref_bind(cei_device *device, const cei_weight *weight, size_t first, const cei_values *source,
                       ce_error *error);

/* Told of rows [first, first + count) of a source when an operation has read them, so that whoever owns the memory may
 * let it go until it is read again. Called by several threads at once. */
typedef void (*cei_ref_read_fn)(void *user, const cei_values *source, size_t first, size_t count);
void cei_ref_watch(cei_device *device, cei_ref_read_fn read, void *user);

/* From now on attention rounds, in every precision, as cei_device_rounds_attention says of a device, or does not. */
void cei_ref_round_attention(cei_device *device, bool rounds);

#endif
