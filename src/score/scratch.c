/* scratch.c - lends, grows and keeps scratch memory. */
#include "score/scratch.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

enum {
    WINDOW_TOKENS = 1 << 19, /* 4 MiB of ids and types */
    WINDOW_MOST = 1024,      /* inputs: enough to fill batches evenly */
    WINDOW_LEAST = 16
};

size_t cei_scratch_window(const ce_model *model) {
    size_t window = WINDOW_TOKENS / model->blueprint.max_length;
    return window > WINDOW_MOST ? WINDOW_MOST : window < WINDOW_LEAST ? WINDOW_LEAST : window;
}

static void free_tray(cei_tray *tray) {
    cei_free(tray->ids);
    cei_free(tray->types);
    cei_free(tray->lengths);
    cei_free(tray->order);
}

static void free_room(cei_room *room) {
    cei_free(room->ids);
    cei_free(room->types);
    cei_free(room->positions);
    cei_free(room->offsets);
    cei_free(room->values);
    cei_free(room->states);
}

ce_status cei_lane_prompt(cei_lane_text *lane, ce_text prompt, ce_text *text, ce_error *error) {
    size_t size;
    if (prompt.size == 0) return CE_OK;
    void *block = lane->joined;
    const bool fits = cei_add_size(prompt.size, text->size, &size) && cei_grow(&block, &lane->joined_capacity, size, 1);
    lane->joined = block;
    if (!fits) return cei_fail_memory(error, "a text with its prompt", text->size);
    memcpy(lane->joined, prompt.data, prompt.size);
    if (text->size) memcpy(lane->joined + prompt.size, text->data, text->size);
    *text = (ce_text){lane->joined, size};
    return CE_OK;
}

void cei_lane_free(cei_lane_text *lane) {
    cei_token_buffer_free(&lane->query);
    cei_token_buffer_free(&lane->document);
    cei_chat_memory_free(&lane->chat);
    cei_free(lane->joined);
    cei_free(lane->prompt.data);
}

static void scratch_free(cei_scratch *scratch) {
    if (!scratch) return;
    for (size_t i = 0; scratch->texts && i < scratch->lanes; i++) cei_lane_free(&scratch->texts[i]);
    cei_lane_free(&scratch->prompt);
    cei_free(scratch->texts);
    for (size_t i = 0; i < 2; i++) free_tray(&scratch->trays[i]);
    cei_free(scratch->tally);
    for (size_t i = 0; i < CEI_MOST_ROOMS; i++) free_room(&scratch->rooms[i]);
    cei_free(scratch->scores);
    cei_free(scratch->sorted);
    cei_free(scratch->spare);
    cei_free(scratch);
}

void cei_scratch_free_all(ce_model *model) {
    for (cei_scratch *scratch = model->free_scratch; scratch;) {
        cei_scratch *next = scratch->next;
        scratch_free(scratch);
        scratch = next;
    }
    model->free_scratch = NULL;
}

/* Resizes *array to count * size bytes; false, with the old array kept, if there is no memory. */
static bool resize(void *array_pointer, size_t count, size_t size) {
    void **array = array_pointer;
    void *larger = cei_resize(*array, count, size);
    if (!larger) return false;
    *array = larger;
    return true;
}

static bool make_room(const cei_blueprint *blueprint, const cei_budget *batch, cei_room *room) {
    size_t values;
    *room = (cei_room){.batch = *batch};
    room->ids = cei_alloc(batch->tokens, sizeof(int32_t));
    room->types = cei_alloc(batch->tokens, sizeof(int32_t));
    room->positions = cei_alloc(batch->tokens, sizeof(int32_t));
    room->offsets = cei_alloc(batch->sequences + 1, sizeof(int32_t));
    if (cei_mul_size(batch->sequences, blueprint->network->head.outputs, &values))
        room->values = cei_alloc(values, sizeof(float));
    if (room->ids && room->types && room->positions && room->offsets && room->values) return true;
    free_room(room);
    *room = (cei_room){0};
    return false;
}

/* Rooms are made anew where a device with larger batches has the model now. */
ce_status cei_scratch_reserve_rooms(const ce_model *model, cei_scratch *scratch, const cei_budget *batch, size_t count,
                                    ce_error *error) {
    for (size_t i = 0; i < count; i++) {
        cei_room *room = &scratch->rooms[i];
        if (room->batch.tokens >= batch->tokens && room->batch.sequences >= batch->sequences) continue;
        free_room(room);
        if (!make_room(&model->blueprint, batch, room)) return cei_fail_memory(error, "scoring", 0);
    }
    return CE_OK;
}

static cei_scratch *scratch_create(const ce_model *model) {
    const cei_blueprint *blueprint = &model->blueprint;
    cei_scratch *scratch = cei_alloc_zeroed(1, sizeof *scratch);
    if (!scratch) return NULL;
    scratch->lanes = cei_pool_size(blueprint->pool);
    scratch->texts = cei_alloc_zeroed(scratch->lanes, sizeof *scratch->texts);
    scratch->tally = cei_alloc(blueprint->max_length + 2, sizeof *scratch->tally);
    if (scratch->texts && scratch->tally) return scratch;
    scratch_free(scratch);
    return NULL;
}

static bool reserve_tray(const ce_model *model, cei_tray *tray, size_t count) {
    size_t most = cei_scratch_window(model), tokens;
    if (count > most) count = most;
    if (count <= tray->window) return true;
    if (!cei_mul_size(count, model->blueprint.max_length, &tokens)) return false;
    /* Old contents are not needed, but a failure must leave arrays of at least the old size: resize keeps them. */
    if (!resize(&tray->ids, tokens, sizeof(int32_t)) || !resize(&tray->types, tokens, sizeof(int32_t)) ||
        !resize(&tray->lengths, count, sizeof(uint32_t)) || !resize(&tray->order, count, sizeof(uint32_t)))
        return false;
    tray->window = count;
    return true;
}

ce_status cei_scratch_reserve_next(const ce_model *model, cei_scratch *scratch, ce_error *error) {
    return reserve_tray(model, &scratch->trays[1], scratch->trays[0].window) ? CE_OK
                                                                             : cei_fail_memory(error, "scoring", 0);
}

ce_status cei_scratch_take(ce_model *model, size_t count, cei_scratch **out, ce_error *error) {
    pthread_mutex_lock(&model->scratch_lock);
    cei_scratch *scratch = model->free_scratch;
    if (scratch) model->free_scratch = scratch->next;
    pthread_mutex_unlock(&model->scratch_lock);
    if (!scratch) scratch = scratch_create(model);
    if (scratch && !reserve_tray(model, &scratch->trays[0], count)) {
        cei_scratch_give(model, scratch);
        scratch = NULL;
    }
    *out = scratch;
    return scratch ? CE_OK : cei_fail_memory(error, "scoring", 0);
}

void cei_scratch_give(ce_model *model, cei_scratch *scratch) {
    if (!scratch) return;
    for (size_t i = 0; i < scratch->lanes; i++) scratch->texts[i].has_cached = false;
    pthread_mutex_lock(&model->scratch_lock);
    scratch->next = model->free_scratch;
    model->free_scratch = scratch;
    pthread_mutex_unlock(&model->scratch_lock);
}

ce_status cei_scratch_reserve_ranked(cei_scratch *scratch, size_t count, ce_error *error) {
    if (count <= scratch->ranked) return CE_OK;
    if (!resize(&scratch->scores, count, sizeof *scratch->scores) ||
        !resize(&scratch->sorted, count, sizeof *scratch->sorted) ||
        !resize(&scratch->spare, count, sizeof *scratch->spare))
        return cei_fail_memory(error, "ranking", count * sizeof *scratch->sorted);
    scratch->ranked = count;
    return CE_OK;
}

ce_status cei_scratch_reserve_states(const ce_model *model, cei_scratch *scratch, ce_error *error) {
    size_t values;
    float **states = &scratch->rooms[0].states;
    if (*states) return CE_OK;
    if (cei_mul_size(scratch->rooms[0].batch.tokens, model->blueprint.network->hidden, &values))
        *states = cei_alloc(values, sizeof **states);
    return *states ? CE_OK : cei_fail_memory(error, "token embeddings", 0);
}
