/* place.c - the states of a model: placing, moving, losing and checking it.
 *
 * A new placement is built beside the old one and swapped in under the lock, so that a failure changes nothing and
 * calls in flight keep the placement that they have a reference to. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

/* ---- references ---------------------------------------------------------------------------------------------- */

static ce_model_state state_of(const ce_model *model) {
    if (model->busy) return model->current ? CE_STATE_MOVING : CE_STATE_PLACING;
    if (model->current) return CE_STATE_READY;
    return model->lost ? CE_STATE_LOST : CE_STATE_DEFERRED;
}

/* The current placement with a reference, or NULL; *lost tells why. */
static cei_placement *try_acquire(ce_model *model, bool *lost) {
    pthread_mutex_lock(&model->lock);
    cei_placement *placement = model->current;
    if (placement) cei_placement_ref(placement);
    *lost = model->lost;
    pthread_mutex_unlock(&model->lock);
    return placement;
}

static ce_status fail_lost(ce_model *model, ce_error *error) {
    char device[CE_DEVICE_ID_SIZE];
    pthread_mutex_lock(&model->lock);
    cei_device_format(model->target, device);
    pthread_mutex_unlock(&model->lock);
    return cei_fail(error, CE_ERR_DEVICE_LOST,
                    "device %s was lost and took the model's weights with it; place the model again (ce_model_place) "
                    "or move it to another device (ce_model_to)",
                    device);
}

ce_status cei_model_acquire(ce_model *model, cei_placement **placement, ce_error *error) {
    for (;;) {
        bool lost;
        *placement = try_acquire(model, &lost);
        if (*placement) return CE_OK;
        if (lost) return fail_lost(model, error);
        ce_status status = ce_model_place(model, error);
        if (status != CE_OK) return status;
    }
}

void cei_model_release(ce_model *model, cei_placement *placement, ce_status status) {
    bool dropped = false;
    if (status == CE_ERR_DEVICE_LOST) {
        pthread_mutex_lock(&model->lock);
        dropped = model->current == placement;
        if (dropped) {
            model->current = NULL;
            model->lost = true;
        }
        pthread_mutex_unlock(&model->lock);
    }
    if (dropped) cei_placement_unref(placement); /* the model's own reference */
    cei_placement_unref(placement);
}

/* ---- placing ------------------------------------------------------------------------------------------------- */

static void set_busy(ce_model *model, bool busy) {
    pthread_mutex_lock(&model->lock);
    model->busy = busy;
    pthread_mutex_unlock(&model->lock);
}

static void swap_in(ce_model *model, cei_placement *placement) {
    pthread_mutex_lock(&model->lock);
    cei_placement *old = model->current;
    model->current = placement;
    model->lost = false;
    model->target = placement->id;
    model->generation++;
    pthread_mutex_unlock(&model->lock);
    cei_placement_unref(old);
}

/* Remembers the checksums of the first placement: later ones must give the same. */
static ce_status keep_checksums(ce_model *model, const cei_placement *placement, ce_error *error) {
    if (model->checksums) return CE_OK;
    size_t count = model->blueprint.plan.part_count;
    model->checksums = cei_alloc(count, sizeof *model->checksums);
    if (!model->checksums) return cei_fail_memory(error, "checksums", count * sizeof *model->checksums);
    memcpy(model->checksums, placement->checksums, count * sizeof *model->checksums);
    return CE_OK;
}

/* Opens the model's files if they are those of the load. *checkpoint stays NULL, and error is filled, if not. */
static void reopen_files(const ce_model *model, cei_checkpoint **checkpoint, ce_error *error) {
    if (cei_model_open_weights(model, checkpoint, error) != CE_OK) return;
    if (cei_checkpoint_is(*checkpoint, model->identity)) return;
    cei_fail(error, CE_ERR_IO, "%s has changed since the model was loaded", cei_checkpoint_path(*checkpoint));
    cei_checkpoint_close(*checkpoint);
    *checkpoint = NULL;
}

static void log_placement(const ce_model *model, const cei_placement *placement) {
    const ce_placement_report *report = &placement->report;
    cei_log_line(&model->blueprint.log, CE_LOG_INFO,
                 "placed on %s in %.0f ms: %llu bytes of weights, %u of %u tensors verified, self-test deviation %.1e",
                 report->device, report->total_ms, (unsigned long long)report->weight_bytes, report->tensors_verified,
                 report->tensors, report->self_test_error);
}

ce_status cei_model_place_on(ce_model *model, cei_device_id id, ce_error *error) {
    ce_error files = {0};
    cei_source source = {0};
    cei_checkpoint *checkpoint = NULL;
    cei_placement *placement = NULL;
    bool lost;
    reopen_files(model, &checkpoint, &files);
    source.checkpoint = checkpoint;
    if (!checkpoint) {
        source.placement = try_acquire(model, &lost);
        if (!source.placement) {
            if (error) *error = files;
            return files.status;
        }
        cei_log_line(&model->blueprint.log, CE_LOG_WARNING, "%s; the weights are taken from the old device",
                     files.message);
    }
    set_busy(model, true);
    ce_status status = cei_placement_create(&model->blueprint, id, &source, model->checksums, &placement, error);
    if (status == CE_OK && checkpoint) status = cei_checkpoint_verify(checkpoint, error); /* while they were read */
    if (status == CE_OK) status = keep_checksums(model, placement, error);
    set_busy(model, false);
    if (status == CE_OK) log_placement(model, placement);
    if (status == CE_OK)
        swap_in(model, placement);
    else
        cei_placement_unref(placement);
    cei_placement_unref(source.placement);
    cei_checkpoint_close(checkpoint);
    return status;
}

ce_status ce_model_place(ce_model *model, ce_error *error) {
    if (!model) return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_place: model is NULL");
    ce_status status = CE_OK;
    pthread_mutex_lock(&model->mover);
    pthread_mutex_lock(&model->lock);
    bool ready = model->current != NULL;
    pthread_mutex_unlock(&model->lock);
    if (!ready) status = cei_model_place_auto(model, error);
    pthread_mutex_unlock(&model->mover);
    return status;
}

/* ---- moving -------------------------------------------------------------------------------------------------- */

static void set_target(ce_model *model, const char *requested, cei_device_id id) {
    pthread_mutex_lock(&model->lock);
    model->target = id;
    model->fallback_reason[0] = '\0';
    snprintf(model->requested, sizeof model->requested, "%s", requested);
    pthread_mutex_unlock(&model->lock);
}

static bool same_device(cei_device_id a, cei_device_id b) { return a.kind == b.kind && a.index == b.index; }

static ce_status move_to(ce_model *model, const char *device, ce_error *error) {
    cei_device_id id;
    ce_status status = cei_device_resolve(device, 0, &id, error);
    if (status != CE_OK) return status;
    pthread_mutex_lock(&model->lock);
    ce_model_state state = state_of(model);
    cei_device_id here = model->target;
    pthread_mutex_unlock(&model->lock);
    bool stay = state == CE_STATE_DEFERRED || (state == CE_STATE_READY && same_device(here, id));
    if (!stay) status = cei_model_place_on(model, id, error);
    if (status == CE_OK) set_target(model, device, id);
    return status;
}

ce_status ce_model_to(ce_model *model, const char *device, ce_error *error) {
    if (!model || !device)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_to: %s is NULL", model ? "device" : "model");
    pthread_mutex_lock(&model->mover);
    ce_status status = move_to(model, device, error);
    pthread_mutex_unlock(&model->mover);
    return status;
}

/* ---- health -------------------------------------------------------------------------------------------------- */

static ce_status compare_probe(const cei_placement *placement, const float *values, ce_error *error) {
    size_t bytes = CEI_PROBE_SEQUENCES * placement->blueprint->network->head.outputs * sizeof *values;
    if (memcmp(values, placement->probe_values, bytes) == 0) return CE_OK;
    return cei_fail(error, CE_ERR_VERIFY,
                    "the known input gives another result on %s than when the model was placed: its memory or its "
                    "arithmetic is faulty; place the model elsewhere (ce_model_to)",
                    placement->report.device);
}

static ce_status check_placement(cei_placement *placement, ce_device_info *info, ce_error *error) {
    size_t outputs = placement->blueprint->network->head.outputs;
    float *values = cei_alloc_zeroed(CEI_PROBE_SEQUENCES * outputs, sizeof *values);
    if (!values) return cei_fail_memory(error, "the health check", 0);
    ce_status status = cei_probe_run(placement, values, error);
    if (status == CE_OK) status = compare_probe(placement, values, error);
    if (status == CE_OK) status = cei_device_status(placement->device, info, error);
    cei_free(values);
    return status;
}

static ce_model_state model_state(const ce_model *model) {
    ce_model *unlocked = (ce_model *)(uintptr_t)model; /* a mutex of a const model may be locked */
    pthread_mutex_lock(&unlocked->lock);
    ce_model_state state = state_of(model);
    pthread_mutex_unlock(&unlocked->lock);
    return state;
}

ce_status ce_model_check(ce_model *model, ce_health *health, ce_error *error) {
    if (!model) return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_check: model is NULL");
    ce_status status = health ? cei_check_struct(health->size, sizeof *health, "ce_health", error) : CE_OK;
    if (status != CE_OK) return status;
    double start = cei_now_ms();
    ce_device_info info = {0};
    bool lost;
    cei_placement *placement = try_acquire(model, &lost);
    if (placement) {
        status = check_placement(placement, &info, error);
        cei_model_release(model, placement, status);
    } else if (lost) {
        status = fail_lost(model, error);
    } else {
        pthread_mutex_lock(&model->lock);
        cei_device_id target = model->target;
        pthread_mutex_unlock(&model->lock);
        status = cei_device_probe(target, &info, error);
    }
    if (health) {
        *health = (ce_health){.size = health->size, .state = model_state(model)};
        health->memory_free = info.memory_free;
        health->memory_total = info.memory_total;
        health->milliseconds = cei_now_ms() - start;
    }
    return status;
}

/* ---- report -------------------------------------------------------------------------------------------------- */

/* The fields of a deferred or lost model: what is known, and what is planned. */
static void describe_plan(const ce_model *model, ce_placement_report *report) {
    report->precision = model->blueprint.precision;
    report->tensors = (uint32_t)model->blueprint.plan.part_count;
    report->weight_bytes = cei_blueprint_weight_bytes(&model->blueprint);
    report->workspace_bytes = cei_blueprint_workspace_bytes(&model->blueprint);
    cei_device_format(model->target, report->device);
}

ce_status ce_model_placement(const ce_model *model, ce_placement_report *report, ce_error *error) {
    if (!model || !report)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_placement: %s is NULL", model ? "report" : "model");
    ce_status status = cei_check_struct(report->size, sizeof *report, "ce_placement_report", error);
    if (status != CE_OK) return status;
    ce_model *unlocked = (ce_model *)(uintptr_t)model;
    ce_placement_report found = {0};
    pthread_mutex_lock(&unlocked->lock);
    if (model->current) {
        found = model->current->report;
        found.workspace_bytes = cei_placement_workspace(model->current);
    } else {
        describe_plan(model, &found);
    }
    found.state = state_of(model);
    found.generation = model->generation;
    found.fell_back = model->fallback_reason[0] != '\0';
    memcpy(found.fallback_reason, model->fallback_reason, sizeof found.fallback_reason);
    memcpy(found.requested, model->requested, sizeof found.requested);
    pthread_mutex_unlock(&unlocked->lock);
    found.size = report->size;
    found.file_bytes = model->file_bytes;
    found.tensors_unused = model->tensors_unused;
    found.resolve_ms = model->resolve_ms;
    *report = found;
    return CE_OK;
}
