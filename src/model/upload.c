/* upload.c - streams weights to a device, and proves that they arrived.
 *
 * Each part is cut into blocks of rows; a block is converted to float32 and rounded to the weight's format in a
 * thread's staging memory (or taken as it lies in the file), summed for the checksum and sent. Host memory stays
 * bounded by two blocks a thread, one in staging memory and one of the file, whose pages are given back at once; those
 * of a small part when all of it was sent, since giving them back interrupts every thread. */
#include "base/error.h"
#include "base/memory.h"
#include "device/checksum.h"
#include "model/placement.h"

#include <pthread.h>
#include <string.h>

enum {
    BLOCK_VALUES = 128 * 1024, /* 512 KiB of float32: fits a core's L2 */
    ROW_MULTIPLE = 64,         /* see cei_weight_write */
    SMALL_PART = 1 << 20       /* bytes in the file */
};

/* A part on its way. */
typedef struct shipment {
    cei_values values; /* of the checkpoint */
    size_t first_task, block_rows;
    size_t left; /* blocks that have not been sent; guarded by the upload's lock, as sum is */
    cei_checksum sum;
} shipment;

typedef struct upload {
    cei_placement *placement;
    const cei_source *source;
    float **staging;     /* [workers], each of values and scales as staging_values says */
    size_t scales;       /* where the scales begin in it */
    shipment *shipments; /* [plan.part_count] */
    size_t tasks;        /* one for each block of each part */
    pthread_mutex_t lock;
    size_t mapped, most_mapped; /* bytes of the file that are being read, now and at most; guarded by lock, as status */
    ce_status status;           /* the first failure */
    ce_error *error;
} upload;

/* Rows of a block: a multiple of 64, or fewer if the part has fewer. At least one. */
static size_t rows_of_block(size_t columns) {
    size_t rows = BLOCK_VALUES / (columns ? columns : 1) / ROW_MULTIPLE * ROW_MULTIPLE;
    return rows ? rows : ROW_MULTIPLE;
}

/* The most values, and the most rows, of any block. */
static size_t staging_values(const cei_plan *plan, size_t *most_rows) {
    size_t most = 0;
    *most_rows = 0;
    for (size_t i = 0; i < plan->part_count; i++) {
        size_t columns = cei_part_stream_columns(plan, &plan->parts[i]);
        size_t rows = cei_min_size(rows_of_block(columns), cei_part_stream_rows(plan, &plan->parts[i]));
        if (rows * columns > most) most = rows * columns;
        if (rows > *most_rows) *most_rows = rows;
    }
    return most;
}

/* A weight that views the part alone, as rows to be streamed. A vector's part begins at an element, not a row, which
 * the devices' layout of vectors allows: they are float32, end to end. */
static cei_weight part_view(const cei_weight *weight, const cei_part *part, size_t *first) {
    *first = weight->role == CEI_ROLE_VECTOR ? 0 : part->first;
    if (weight->role != CEI_ROLE_VECTOR) return *weight;
    cei_weight view = *weight;
    view.columns = part->rows;
    view.at.offset += part->first * sizeof(float);
    return view;
}

static void record(upload *up, ce_status status, const ce_error *error) {
    pthread_mutex_lock(&up->lock);
    if (up->status == CE_OK) {
        up->status = status;
        if (up->error) *up->error = *error;
    }
    pthread_mutex_unlock(&up->lock);
}

static ce_status check_scales(const cei_part *part, const float *scales, size_t row, size_t count, ce_error *error) {
    for (size_t i = 0; i < count; i++)
        if (!cei_scale_is_sound(scales[i]))
            return cei_fail(error, CE_ERR_MODEL,
                            "%s: row %zu cannot be held in int8: it has NaN or infinity, or a scale of %g", part->name,
                            row + i, (double)scales[i]);
    return CE_OK;
}

/* The float32 values of a block, rounded to the weight's format, in the file itself or in staging; and their scales. */
static ce_status fetch(const upload *up, size_t index, size_t row, size_t count, float *staging, const float **values,
                       ce_error *error) {
    const cei_plan *plan = &up->placement->blueprint->plan;
    const cei_part *part = &plan->parts[index];
    const cei_values *from = &up->shipments[index].values;
    const cei_format format = plan->weights[part->weight].format;
    float *scales = staging + up->scales;
    *values = staging;
    if (up->source->placement) {
        size_t first;
        cei_weight view = part_view(&up->source->placement->weights[part->weight], part, &first);
        return cei_weight_read(up->source->placement->device, &view, first + row, count, staging, scales, error);
    }
    const float *direct = format == CEI_FORMAT_FLOAT32 ? cei_values_direct(from, row) : NULL;
    if (direct)
        *values = direct;
    else
        cei_values_read_as(from, row, count, format, staging, scales);
    return format == CEI_FORMAT_INT8 ? check_scales(part, scales, row, count, error) : CE_OK;
}

/* The part that a task belongs to: the last that begins at or before it. */
static size_t find_part(const upload *up, size_t task) {
    size_t low = 0, high = up->placement->blueprint->plan.part_count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (up->shipments[middle].first_task <= task)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Begins to read so many bytes of the file, unless the upload has failed. */
static bool begin_block(upload *up, size_t bytes) {
    pthread_mutex_lock(&up->lock);
    const bool goes_on = up->status == CE_OK;
    if (goes_on) up->mapped += bytes;
    if (up->mapped > up->most_mapped) up->most_mapped = up->mapped;
    pthread_mutex_unlock(&up->lock);
    return goes_on;
}

static size_t bytes_of(const upload *up, const cei_values *values, size_t rows) {
    return up->source->checkpoint ? cei_values_bytes(values, rows) : 0;
}

static bool is_small(const upload *up, const cei_values *values) {
    return bytes_of(up, values, values->rows) <= SMALL_PART;
}

static void end_block(upload *up, const cei_values *values, size_t row, size_t count, size_t bytes) {
    if (bytes == 0 || is_small(up, values)) return;
    cei_checkpoint_release_rows(up->source->checkpoint, values, row, count);
    pthread_mutex_lock(&up->lock);
    up->mapped -= bytes;
    pthread_mutex_unlock(&up->lock);
}

/* A block has been sent. A value's factor in the checksum is its place in the part, not in the block: greater by the
 * values before the block. After its last block a small part's pages are given back, and those that the blocks of
 * another shared. */
static void finish_block(upload *up, size_t index, const cei_checksum *sum, size_t before) {
    shipment *ship = &up->shipments[index];
    pthread_mutex_lock(&up->lock);
    ship->sum.a += sum->a;
    ship->sum.b += sum->b + (uint64_t)before * sum->a;
    const bool is_last = --ship->left == 0;
    pthread_mutex_unlock(&up->lock);
    if (!is_last) return;
    up->placement->checksums[index] = cei_checksum_value(&ship->sum);
    if (!up->source->checkpoint) return;
    cei_checkpoint_release(up->source->checkpoint, &ship->values);
    if (!is_small(up, &ship->values)) return;
    pthread_mutex_lock(&up->lock);
    up->mapped -= bytes_of(up, &ship->values, ship->values.rows);
    pthread_mutex_unlock(&up->lock);
}

static void send_block(void *argument, size_t task, size_t worker) {
    upload *up = argument;
    const cei_plan *plan = &up->placement->blueprint->plan;
    const size_t index = find_part(up, task);
    const shipment *ship = &up->shipments[index];
    const cei_part *part = &plan->parts[index];
    size_t rows = cei_part_stream_rows(plan, part), columns = cei_part_stream_columns(plan, part);
    size_t row = (task - ship->first_task) * ship->block_rows, count = cei_min_size(ship->block_rows, rows - row),
           first;
    ce_error error = {0};
    const float *values;
    cei_checksum sum = {0};
    const size_t bytes = bytes_of(up, &ship->values, count);
    if (!begin_block(up, bytes)) return;
    ce_status status = fetch(up, index, row, count, up->staging[worker], &values, &error);
    if (status == CE_OK) {
        cei_checksum_add(&sum, values, count * columns);
        cei_weight view = part_view(&up->placement->weights[part->weight], part, &first);
        status = cei_weight_write(up->placement->device, &view, first + row, count, values,
                                  up->staging[worker] + up->scales, &error);
    }
    end_block(up, &ship->values, row, count, bytes);
    if (status == CE_OK)
        finish_block(up, index, &sum, row * columns);
    else
        record(up, status, &error);
}

/* Finds every part's values, and numbers the blocks of all parts: one job for the pool, so that no thread waits at the
 * end of each of many small parts. */
static ce_status plan_shipments(upload *up, ce_error *error) {
    const cei_plan *plan = &up->placement->blueprint->plan;
    ce_status status = CE_OK;
    up->shipments = cei_alloc_zeroed(plan->part_count, sizeof *up->shipments);
    if (!up->shipments) return cei_fail_memory(error, "staging the weights", 0);
    for (size_t i = 0; i < plan->part_count && status == CE_OK; i++) {
        shipment *ship = &up->shipments[i];
        const size_t rows = cei_part_stream_rows(plan, &plan->parts[i]);
        ship->block_rows = rows_of_block(cei_part_stream_columns(plan, &plan->parts[i]));
        ship->first_task = up->tasks;
        ship->left = (rows + ship->block_rows - 1) / ship->block_rows;
        up->tasks += ship->left;
        if (up->source->checkpoint) status = cei_plan_values(plan, i, up->source->checkpoint, &ship->values, error);
    }
    return status;
}

static void free_staging(float **staging, size_t workers) {
    for (size_t i = 0; staging && i < workers; i++) cei_free(staging[i]);
    cei_free(staging);
}

static float **make_staging(size_t workers, size_t values) {
    float **staging = cei_alloc_zeroed(workers, sizeof *staging);
    for (size_t i = 0; staging && i < workers; i++) {
        size_t bytes;
        staging[i] = cei_mul_size(values, sizeof(float), &bytes) ? cei_alloc_aligned(bytes, 64) : NULL;
        if (!staging[i]) {
            free_staging(staging, workers);
            return NULL;
        }
    }
    return staging;
}

ce_status cei_upload(cei_placement *placement, const cei_source *source, ce_error *error) {
    const cei_blueprint *blueprint = placement->blueprint;
    size_t workers = cei_pool_size(blueprint->pool), rows, values = staging_values(&blueprint->plan, &rows);
    size_t all = 0;
    upload up = {.placement = placement, .source = source, .scales = values, .error = error};
    ce_status status = plan_shipments(&up, error);
    if (status == CE_OK) {
        up.staging = cei_add_size(values, rows, &all) ? make_staging(workers, all) : NULL;
        if (!up.staging) status = cei_fail_memory(error, "staging the weights", workers * values * sizeof(float));
    }
    if (status == CE_OK) {
        pthread_mutex_init(&up.lock, NULL);
        cei_pool_run(blueprint->pool, up.tasks, send_block, &up);
        pthread_mutex_destroy(&up.lock);
        status = up.status;
    }
    placement->report.staging_bytes = up.most_mapped + (up.staging ? workers * all * sizeof(float) : 0);
    free_staging(up.staging, workers);
    cei_free(up.shipments);
    return status;
}

static ce_status verify_part(cei_placement *placement, size_t index, const uint64_t *expected, ce_error *error) {
    const cei_plan *plan = &placement->blueprint->plan;
    const cei_part *part = &plan->parts[index];
    char device[CE_DEVICE_ID_SIZE];
    cei_device_format(placement->id, device);
    if (expected && expected[index] != placement->checksums[index])
        return cei_fail(error, CE_ERR_VERIFY,
                        "%s: the weights that were read for it are not those that the model was loaded with "
                        "(checksum %016llx, expected %016llx)",
                        part->name, (unsigned long long)placement->checksums[index],
                        (unsigned long long)expected[index]);
    size_t first;
    uint64_t found = 0;
    cei_weight view = part_view(&placement->weights[part->weight], part, &first);
    ce_status status =
        cei_weight_checksum(placement->device, &view, first, cei_part_stream_rows(plan, part), &found, error);
    if (status != CE_OK) return status;
    if (found != placement->checksums[index])
        return cei_fail(error, CE_ERR_VERIFY,
                        "%s did not arrive whole on %s: its checksum there is %016llx, in the file %016llx; the "
                        "device's memory or its connection is faulty",
                        part->name, device, (unsigned long long)found, (unsigned long long)placement->checksums[index]);
    placement->report.tensors_verified++;
    return CE_OK;
}

ce_status cei_verify(cei_placement *placement, const uint64_t *expected, ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < placement->blueprint->plan.part_count && status == CE_OK; i++)
        status = verify_part(placement, i, expected, error);
    return status;
}
