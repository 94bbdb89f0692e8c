/* place.c - the states of a model: placing, moving, losing and checking it.
 *
 * Replicas on new devices are built beside the old ones and swapped in under the lock, all at once, so that a failure
 * changes nothing and calls in flight keep the replicas that they have references to. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

/* ---- replicas ------------------------------------------------------------------------------------------------ */

static size_t count_live(const ce_model *model) {
    size_t live = 0;
    for (size_t i = 0; i < model->targets.count; i++) live += model->replicas[i] != NULL;
    return live;
}

static ce_model_state state_of(const ce_model *model) {
    const bool is_live = count_live(model) > 0;
    if (model->busy) return is_live ? CE_STATE_MOVING : CE_STATE_PLACING;
    if (is_live) return CE_STATE_READY;
    return model->lost ? CE_STATE_LOST : CE_STATE_DEFERRED;
}

/* Threads of a crew: see cei_held. The cpu computes on the threads that would tokenize meanwhile. */
static size_t crew_size(const cei_device_list *targets) {
    return targets->count + (strcmp(targets->ids[0].kind, "cpu") != 0);
}

/* References to the replicas that there are; *lost tells why there is none. */
static void hold(ce_model *model, cei_held *held, bool *lost) {
    pthread_mutex_lock(&model->lock);
    *held = (cei_held){.crew = model->crews[crew_size(&model->targets)]};
    for (size_t i = 0; i < model->targets.count; i++) {
        if (!model->replicas[i]) continue;
        cei_placement_ref(model->replicas[i]);
        held->replicas[held->count++] = model->replicas[i];
    }
    if (held->count) held->first = model->turn++ % held->count;
    *lost = model->lost;
    pthread_mutex_unlock(&model->lock);
}

void cei_held_release(cei_held *held) {
    for (size_t i = 0; i < held->count; i++) cei_placement_unref(held->replicas[i]);
    *held = (cei_held){0};
}

static ce_status fail_lost(ce_model *model, ce_error *error) {
    char devices[CE_DEVICE_LIST_SIZE], names[CE_DEVICE_LIST_SIZE + 16];
    pthread_mutex_lock(&model->lock);
    cei_device_list_format(&model->targets, devices);
    const bool is_one = model->targets.count == 1;
    pthread_mutex_unlock(&model->lock);
    snprintf(names, sizeof names, is_one ? "device %s was" : "devices %s were", devices);
    return cei_fail(error, CE_ERR_DEVICE_LOST,
                    "%s lost and took the model's weights along; place the model again (ce_model_place) or move it to "
                    "another device (ce_model_to)",
                    names);
}

ce_status cei_model_acquire(ce_model *model, cei_held *held, ce_error *error) {
    for (;;) {
        bool lost;
        hold(model, held, &lost);
        if (held->count) return CE_OK;
        if (lost) return fail_lost(model, error);
        ce_status status = ce_model_place(model, error);
        if (status != CE_OK) return status;
    }
}

void cei_model_lose(ce_model *model, const cei_placement *replica) {
    cei_placement *dropped = NULL;
    pthread_mutex_lock(&model->lock);
    for (size_t i = 0; i < model->targets.count; i++) {
        if (model->replicas[i] != replica) continue;
        dropped = model->replicas[i];
        model->replicas[i] = NULL;
    }
    const size_t live = count_live(model);
    if (dropped && live == 0) model->lost = true;
    pthread_mutex_unlock(&model->lock);
    if (dropped && live > 0)
        cei_log_line(&model->blueprint.log, CE_LOG_WARNING,
                     "device %s was lost; the model works on without it until it is placed again (ce_model_place)",
                     replica->report.device);
    cei_placement_unref(dropped); /* the model's own reference */
}

/* ---- placing ------------------------------------------------------------------------------------------------- */

/* The replicas that a model is to have. */
typedef struct fleet {
    cei_device_list targets;
    cei_placement *replicas[CE_MOST_DEVICES]; /* [targets.count] a reference each */
    bool kept[CE_MOST_DEVICES];               /* the model has it already */
} fleet;

static void set_busy(ce_model *model, bool busy) {
    pthread_mutex_lock(&model->lock);
    model->busy = busy;
    pthread_mutex_unlock(&model->lock);
}

static cei_placement *find_replica(const ce_model *model, cei_device_id id) {
    for (size_t i = 0; i < model->targets.count; i++)
        if (cei_device_same(model->targets.ids[i], id)) return model->replicas[i];
    return NULL;
}

/* Takes over what the model has on the fleet's devices; true if that is all of it. */
static bool keep_replicas(ce_model *model, fleet *next) {
    bool is_whole = true;
    pthread_mutex_lock(&model->lock);
    for (size_t i = 0; i < next->targets.count; i++) {
        next->replicas[i] = find_replica(model, next->targets.ids[i]);
        next->kept[i] = next->replicas[i] != NULL;
        if (next->kept[i]) cei_placement_ref(next->replicas[i]);
        is_whole = is_whole && next->kept[i];
    }
    pthread_mutex_unlock(&model->lock);
    return is_whole;
}

static void drop_fleet(fleet *next) {
    for (size_t i = 0; i < next->targets.count; i++) cei_placement_unref(next->replicas[i]);
}

/* All at once. A replica that was kept, and lost in the meantime, is not brought back. */
static void swap_in(ce_model *model, const fleet *next) {
    fleet old = {0};
    pthread_mutex_lock(&model->lock);
    old.targets = model->targets;
    memcpy(old.replicas, model->replicas, sizeof old.replicas);
    cei_placement *replicas[CE_MOST_DEVICES] = {0}, *gone[CE_MOST_DEVICES] = {0};
    for (size_t i = 0; i < next->targets.count; i++) {
        const bool is_there = !next->kept[i] || find_replica(model, next->targets.ids[i]) == next->replicas[i];
        *(is_there ? &replicas[i] : &gone[i]) = next->replicas[i];
    }
    memcpy(model->replicas, replicas, sizeof replicas);
    model->targets = next->targets;
    model->lost = count_live(model) == 0;
    model->generation++;
    pthread_mutex_unlock(&model->lock);
    drop_fleet(&old);
    for (size_t i = 0; i < next->targets.count; i++) cei_placement_unref(gone[i]);
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

/* For as long as the model lives: calls hold it. */
static ce_status make_crew(ce_model *model, const cei_device_list *targets, ce_error *error) {
    const size_t threads = crew_size(targets);
    cei_pool *crew = NULL;
    if (threads == 1 || model->crews[threads]) return CE_OK; /* written with mover held */
    ce_status status = cei_pool_create((unsigned)threads, &crew, error);
    pthread_mutex_lock(&model->lock);
    model->crews[threads] = crew;
    pthread_mutex_unlock(&model->lock);
    return status;
}

static ce_status add_replica(const ce_model *model, fleet *next, size_t index, cei_source source, ce_error *error) {
    ce_error why = {0};
    const uint64_t *expected = model->checksums;
    for (size_t i = 0; i < next->targets.count && !source.peer; i++) source.peer = next->replicas[i];
    if (!expected && source.peer) expected = source.peer->checksums;
    ce_status status = cei_placement_create(&model->blueprint, next->targets.ids[index], &source, expected,
                                            &next->replicas[index], &why);
    if (status == CE_OK || !error) return status;
    *error = why;
    if (next->targets.count == 1) return status;
    char device[CE_DEVICE_ID_SIZE], devices[CE_DEVICE_LIST_SIZE];
    cei_device_format(next->targets.ids[index], device);
    cei_device_list_format(&next->targets, devices);
    return cei_fail(error, status, "%s, one of %s: %s", device, devices, why.message);
}

/* Builds what is missing, from source. */
static ce_status complete(ce_model *model, fleet *next, const cei_source *source, ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < next->targets.count && status == CE_OK; i++)
        if (!next->kept[i]) status = add_replica(model, next, i, *source, error);
    if (status == CE_OK && source->checkpoint)
        status = cei_checkpoint_verify(source->checkpoint, error); /* while they were read */
    if (status == CE_OK) status = make_crew(model, &next->targets, error);
    if (status == CE_OK) status = keep_checksums(model, next->replicas[0], error);
    for (size_t i = 0; i < next->targets.count && status == CE_OK; i++)
        if (!next->kept[i]) log_placement(model, next->replicas[i]);
    return status;
}

/* From the files, or else from a replica that there is. */
static ce_status build_missing(ce_model *model, fleet *next, ce_error *error) {
    ce_error files = {0};
    cei_checkpoint *checkpoint = NULL;
    cei_held held = {0};
    bool lost;
    reopen_files(model, &checkpoint, &files);
    if (!checkpoint) {
        hold(model, &held, &lost);
        if (held.count == 0) {
            if (error) *error = files;
            return files.status;
        }
        cei_log_line(&model->blueprint.log, CE_LOG_WARNING, "%s; the weights are taken from the old device",
                     files.message);
    }
    const cei_source source = {.checkpoint = checkpoint, .placement = checkpoint ? NULL : held.replicas[0]};
    set_busy(model, true);
    ce_status status = complete(model, next, &source, error);
    set_busy(model, false);
    cei_held_release(&held);
    cei_checkpoint_close(checkpoint);
    return status;
}

ce_status cei_model_place_on(ce_model *model, const cei_device_list *targets, ce_error *error) {
    fleet next = {.targets = *targets};
    ce_status status =
        keep_replicas(model, &next) ? make_crew(model, targets, error) : build_missing(model, &next, error);
    if (status == CE_OK)
        swap_in(model, &next);
    else
        drop_fleet(&next);
    return status;
}

ce_status ce_model_place(ce_model *model, ce_error *error) {
    if (!model) return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_place: model is NULL");
    ce_status status = CE_OK;
    pthread_mutex_lock(&model->mover);
    pthread_mutex_lock(&model->lock);
    bool is_whole = count_live(model) == model->targets.count;
    pthread_mutex_unlock(&model->lock);
    if (!is_whole) status = cei_model_place_auto(model, error);
    pthread_mutex_unlock(&model->mover);
    return status;
}

/* ---- moving -------------------------------------------------------------------------------------------------- */

static void set_targets(ce_model *model, const char *requested, const cei_device_list *targets) {
    pthread_mutex_lock(&model->lock);
    model->targets = *targets;
    model->fallback_reason[0] = '\0';
    snprintf(model->requested, sizeof model->requested, "%s", requested);
    pthread_mutex_unlock(&model->lock);
}

static ce_status move_to(ce_model *model, const char *device, ce_error *error) {
    cei_device_list targets;
    ce_status status = cei_device_list_resolve(device, &targets, error);
    if (status != CE_OK) return status;
    pthread_mutex_lock(&model->lock);
    const ce_model_state state = state_of(model);
    const bool is_there = cei_device_list_same(&model->targets, &targets) && count_live(model) == model->targets.count;
    pthread_mutex_unlock(&model->lock);
    const bool stays = state == CE_STATE_DEFERRED || is_there;
    if (!stays) status = cei_model_place_on(model, &targets, error);
    if (status == CE_OK) set_targets(model, device, &targets);
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

/* Every replica is checked, whatever the others came to; error is of the first that failed. *info gets what the device
 * with the least free memory says. */
static ce_status check_replicas(ce_model *model, const cei_held *held, ce_device_info *info, ce_error *error) {
    ce_status first = CE_OK;
    for (size_t i = 0; i < held->count; i++) {
        ce_device_info found = {0};
        ce_status status = check_placement(held->replicas[i], &found, first == CE_OK ? error : NULL);
        if (status == CE_ERR_DEVICE_LOST) cei_model_lose(model, held->replicas[i]);
        if (i == 0 || found.memory_free < info->memory_free) *info = found;
        if (first == CE_OK) first = status;
    }
    return first;
}

/* Those that were lost are a failure too: *is_missing names the first of them. */
static bool find_missing(ce_model *model, char device[CE_DEVICE_ID_SIZE]) {
    bool is_missing = false;
    pthread_mutex_lock(&model->lock);
    for (size_t i = 0; i < model->targets.count && !is_missing; i++) {
        is_missing = !model->replicas[i];
        cei_device_format(model->targets.ids[i], device);
    }
    pthread_mutex_unlock(&model->lock);
    return is_missing;
}

static ce_status check_live(ce_model *model, const cei_held *held, ce_device_info *info, ce_error *error) {
    char device[CE_DEVICE_ID_SIZE];
    ce_status status = check_replicas(model, held, info, error);
    if (status != CE_OK || !find_missing(model, device)) return status;
    return cei_fail(error, CE_ERR_DEVICE_LOST,
                    "device %s was lost, and the model works on without it; place the model again (ce_model_place) or "
                    "move it (ce_model_to)",
                    device);
}

static ce_status probe_targets(ce_model *model, ce_device_info *info, ce_error *error) {
    pthread_mutex_lock(&model->lock);
    const cei_device_list targets = model->targets;
    pthread_mutex_unlock(&model->lock);
    ce_status status = CE_OK;
    for (size_t i = targets.count; i-- > 0 && status == CE_OK;) status = cei_device_probe(targets.ids[i], info, error);
    return status;
}

ce_status ce_model_check(ce_model *model, ce_health *health, ce_error *error) {
    if (!model) return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_check: model is NULL");
    ce_status status = health ? cei_check_struct(health->size, sizeof *health, "ce_health", error) : CE_OK;
    if (status != CE_OK) return status;
    double start = cei_now_ms();
    ce_device_info info = {0};
    cei_held held;
    bool lost;
    hold(model, &held, &lost);
    if (held.count)
        status = check_live(model, &held, &info, error);
    else
        status = lost ? fail_lost(model, error) : probe_targets(model, &info, error);
    cei_held_release(&held);
    if (health) {
        *health = (ce_health){.size = health->size, .state = model_state(model)};
        health->memory_free = info.memory_free;
        health->memory_total = info.memory_total;
        health->milliseconds = cei_now_ms() - start;
    }
    return status;
}

/* ---- report -------------------------------------------------------------------------------------------------- */

/* What is known of a replica that there is not, and what is planned. */
static void describe_plan(const ce_model *model, size_t index, ce_placement_report *report) {
    report->precision = model->blueprint.precision;
    report->tensors = (uint32_t)model->blueprint.plan.part_count;
    report->weight_bytes = cei_blueprint_weight_bytes(&model->blueprint);
    report->workspace_bytes = cei_blueprint_workspace_bytes(&model->blueprint);
    cei_device_format(model->targets.ids[index], report->device);
}

/* The fields of one replica. Holds lock. */
static void describe_replica(const ce_model *model, size_t index, ce_placement_report *report) {
    const cei_placement *replica = model->replicas[index];
    if (replica) {
        *report = replica->report;
        report->workspace_bytes = cei_placement_workspace(replica);
    } else {
        describe_plan(model, index, report);
    }
    report->state = state_of(model);
    if (!replica && report->state == CE_STATE_READY) report->state = CE_STATE_LOST; /* the others live on */
}

/* The fields of the whole. Holds lock. */
static void describe_model(const ce_model *model, ce_placement_report *report) {
    report->generation = model->generation;
    report->devices = (uint32_t)model->targets.count;
    report->fell_back = model->fallback_reason[0] != '\0';
    memcpy(report->fallback_reason, model->fallback_reason, sizeof report->fallback_reason);
    memcpy(report->requested, model->requested, sizeof report->requested);
    report->file_bytes = model->file_bytes;
    report->tensors_unused = model->tensors_unused;
    report->resolve_ms = model->resolve_ms;
}

/* The first replica that there is, else the first that is planned. */
static size_t first_live(const ce_model *model) {
    for (size_t i = 0; i < model->targets.count; i++)
        if (model->replicas[i]) return i;
    return 0;
}

/* index NULL is the first that there is. */
static ce_status report_placement(const ce_model *model, const size_t *index, ce_placement_report *report,
                                  ce_error *error) {
    ce_status status = cei_check_struct(report->size, sizeof *report, "ce_placement_report", error);
    if (status != CE_OK) return status;
    ce_model *unlocked = (ce_model *)(uintptr_t)model;
    ce_placement_report found = {0};
    pthread_mutex_lock(&unlocked->lock);
    const size_t count = model->targets.count, at = index ? *index : first_live(model);
    if (at < count) {
        describe_replica(model, at, &found);
        describe_model(model, &found);
    }
    pthread_mutex_unlock(&unlocked->lock);
    if (at >= count)
        return cei_fail(error, CE_ERR_ARGUMENT, "the model is on %zu devices, counted from 0, and %zu is asked for",
                        count, at);
    found.size = report->size;
    *report = found;
    return CE_OK;
}

ce_status ce_model_placement(const ce_model *model, ce_placement_report *report, ce_error *error) {
    if (model && report) return report_placement(model, NULL, report, error);
    return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_placement: %s is NULL", model ? "report" : "model");
}

ce_status ce_model_placement_at(const ce_model *model, size_t index, ce_placement_report *report, ce_error *error) {
    if (model && report) return report_placement(model, &index, report, error);
    return cei_fail(error, CE_ERR_ARGUMENT, "ce_model_placement_at: %s is NULL", model ? "report" : "model");
}
