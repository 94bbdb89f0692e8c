/* scene.c - the stage of the tests of placement. */
#include "placement/scene.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *scene_folder;
tiny_model scene_shape;
tiny_encoder scene_encoder;
static bool has_encoder; /* in the folder */
ce_precision scene_precision;

static struct {
    pthread_mutex_t lock;
    char lines[SCENE_LOG_LINES][512];
    ce_log_level levels[SCENE_LOG_LINES];
    size_t count;
} logged = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int index;
    cei_sim_call call;
    bool set, waiting, open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- setup --------------------------------------------------------------------------------------------------- */

/* Other builds of this file stand the scene's devices in front of a real driver: tests/device/cuda/cuda_scene.c. */
#ifdef SCENE_BACKED
const bool scene_is_backed = true;
void scene_choose_backing(void);
#else
const bool scene_is_backed = false;
static void scene_choose_backing(void) { cei_sim_set_backing(NULL); }
#endif

int scene_setup(void **state) {
    (void)state;
    unsetenv("LOCAL_RANK");
    cei_sim_reset();
    scene_choose_backing();
    cei_sim_set_devices(2);
    logged.count = 0;
    scene_precision = CE_PRECISION_DEFAULT;
    has_encoder = false;
    scene_shape = tiny_model_default();
    scene_shape.labels = SCENE_LABELS;
    scene_folder = tiny_model_folder(&scene_shape);
    return 0;
}

int scene_setup_bfloat16(void **state) {
    scene_setup(state);
    scene_precision = CE_PRECISION_BFLOAT16;
    return 0;
}

int scene_setup_int8(void **state) {
    scene_setup(state);
    scene_precision = CE_PRECISION_INT8;
    return 0;
}

void scene_write(void) {
    scene_encoder.transformer = scene_shape;
    if (has_encoder)
        tiny_encoder_write(&scene_encoder, scene_folder);
    else
        tiny_model_write(&scene_shape, scene_folder);
}

int scene_setup_encoder(void **state) {
    scene_setup(state);
    scene_encoder = (tiny_encoder){.pooling = "[\"cls\", \"mean\"]", .poolings = 2, .dimension = SCENE_LABELS};
    scene_encoder.include_prompt = has_encoder = true;
    scene_write();
    return 0;
}

int scene_teardown(void **state) {
    (void)state;
    cei_sim_set_hook(NULL, NULL);
    test_remove_folder(scene_folder);
    scene_folder = NULL;
    scene_expect_idle(0);
    scene_expect_idle(1);
    return 0;
}

static void log_line(void *user, ce_log_level level, const char *message) {
    (void)user;
    pthread_mutex_lock(&logged.lock);
    if (logged.count < SCENE_LOG_LINES) {
        logged.levels[logged.count] = level;
        snprintf(logged.lines[logged.count++], sizeof logged.lines[0], "%s", message);
    }
    pthread_mutex_unlock(&logged.lock);
}

bool scene_logged(ce_log_level level, const char *part) {
    bool found = false;
    pthread_mutex_lock(&logged.lock);
    for (size_t i = 0; i < logged.count; i++)
        found = found || (logged.levels[i] >= level && strstr(logged.lines[i], part));
    pthread_mutex_unlock(&logged.lock);
    return found;
}

ce_load_options scene_options(const char *device) {
    /* Small batches: memory of sim:N is written when it is taken, which takes time. */
    return (ce_load_options){.size = sizeof(ce_load_options),
                             .device = device,
                             .threads = 1,
                             .precision = scene_precision,
                             .batch_tokens = 128,
                             .log = log_line};
}

ce_status scene_any_load(const ce_load_options *options, scene_any *any, ce_error *error) {
    *any = (scene_any){0};
    return has_encoder ? ce_encoder_load(scene_folder, options, &any->encoder, error)
                       : ce_model_load(scene_folder, options, &any->model, error);
}

static scene_any load(const char *device, ce_place_mode place) {
    ce_load_options options = scene_options(device);
    scene_any any;
    ce_error error = {0};
    options.place = place;
    expect_ok(scene_any_load(&options, &any, &error), &error);
    assert_true(any.model || any.encoder);
    return any;
}

scene_any scene_any_loaded(const char *device) { return load(device, CE_PLACE_EAGER); }
scene_any scene_any_deferred(const char *device) { return load(device, CE_PLACE_DEFERRED); }
ce_model *scene_load(const char *device) { return load(device, CE_PLACE_EAGER).model; }
ce_model *scene_load_deferred(const char *device) { return load(device, CE_PLACE_DEFERRED).model; }

void scene_any_free(scene_any any) {
    ce_model_free(any.model);
    ce_encoder_free(any.encoder);
}

ce_status scene_any_to(scene_any any, const char *device, ce_error *error) {
    return any.encoder ? ce_encoder_to(any.encoder, device, error) : ce_model_to(any.model, device, error);
}

ce_status scene_any_check(scene_any any, ce_health *health, ce_error *error) {
    return any.encoder ? ce_encoder_check(any.encoder, health, error) : ce_model_check(any.model, health, error);
}

/* ---- state --------------------------------------------------------------------------------------------------- */

static scene_any cross(const ce_model *model) {
    return (scene_any){.model = (ce_model *)(uintptr_t)model}; /* which is not changed */
}

ce_placement_report scene_any_report(scene_any any) {
    ce_placement_report report = {.size = sizeof report};
    ce_error error = {0};
    expect_ok(any.encoder ? ce_encoder_placement(any.encoder, &report, &error)
                          : ce_model_placement(any.model, &report, &error),
              &error);
    return report;
}

void scene_any_expect_state(scene_any any, ce_model_state state, const char *device, uint64_t generation) {
    ce_placement_report report = scene_any_report(any);
    assert_int_equal(report.state, state);
    assert_string_equal(report.device, device);
    assert_int_equal(report.generation, generation);
}

ce_placement_report scene_report(const ce_model *model) { return scene_any_report(cross(model)); }

void scene_expect_state(const ce_model *model, ce_model_state state, const char *device, uint64_t generation) {
    scene_any_expect_state(cross(model), state, device, generation);
}

bool scene_is_idle(int index) {
    cei_sim_counters held = cei_sim_count(index);
    return held.devices + held.buffers + held.streams + held.bytes == 0;
}

void scene_expect_idle(int index) {
    cei_sim_counters held = cei_sim_count(index);
    if (!scene_is_idle(index))
        fail_msg("sim:%d holds %d devices, %d buffers, %d streams, %d bytes", index, (int)held.devices,
                 (int)held.buffers, (int)held.streams, (int)held.bytes);
    assert_int_equal(held.misuses, 0);
}

uint64_t scene_calls(int index) {
    cei_sim_counters counters = cei_sim_count(index);
    uint64_t sum = 0;
    for (int i = 0; i < CEI_SIM_CALLS; i++) sum += counters.calls[i];
    return sum;
}

/* ---- scores -------------------------------------------------------------------------------------------------- */

static const char *const texts[SCENE_PAIRS][2] = {
    {"word1 word2 word3", "word4 word5 word6 word7"},      {"word1 word2 word3", "word8"},
    {"a quick test", "of 123 letters and digits"},         {"", ""},
    {"word30", "word31 word32 word33 unknown words here"}, {"hello", "world"}};

ce_status scene_any_try_values(scene_any any, float values[SCENE_SCORES], ce_error *error) {
    ce_pair pairs[SCENE_PAIRS];
    ce_text first[SCENE_PAIRS];
    ce_score_options options = {.size = sizeof options, .activation = CE_ACTIVATION_IDENTITY};
    for (size_t i = 0; i < SCENE_PAIRS; i++) {
        first[i] = ce_text_of(texts[i][0]);
        pairs[i] = (ce_pair){first[i], ce_text_of(texts[i][1])};
    }
    return any.encoder ? ce_encode(any.encoder, first, SCENE_PAIRS, NULL, values, error)
                       : ce_predict(any.model, pairs, SCENE_PAIRS, &options, values, error);
}

void scene_any_values(scene_any any, float values[SCENE_SCORES]) {
    ce_error error = {0};
    expect_ok(scene_any_try_values(any, values, &error), &error);
}

void scene_any_expect_values(scene_any any, const float values[SCENE_SCORES]) {
    float found[SCENE_SCORES];
    scene_any_values(any, found);
    assert_memory_equal(found, values, sizeof found);
}

ce_status scene_try_score(ce_model *model, float scores[SCENE_SCORES], ce_error *error) {
    return scene_any_try_values(cross(model), scores, error);
}

void scene_score(ce_model *model, float scores[SCENE_SCORES]) { scene_any_values(cross(model), scores); }

void scene_expect_scores(ce_model *model, const float scores[SCENE_SCORES]) {
    scene_any_expect_values(cross(model), scores);
}

void scene_expect_near(const float found[SCENE_SCORES], const float wanted[SCENE_SCORES]) {
    static const double units[] = {1e-4, 1e-4, 2e-2, 2e-2}; /* docs/numerics.md, Devices */
    const double unit = units[scene_precision];
    for (size_t i = 0; i < SCENE_SCORES; i++) {
        double bound = unit + unit * fabs((double)wanted[i]);
        if (!(fabs((double)found[i] - (double)wanted[i]) <= bound))
            fail_msg("logit %zu is %.9g, expected %.9g", i, (double)found[i], (double)wanted[i]);
    }
}

/* ---- threads ------------------------------------------------------------------------------------------------- */

pthread_t scene_start(void *(*run)(void *argument), void *argument) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, argument), 0);
    return thread;
}

static void stand_at_gate(void *user, int index, cei_sim_call call, cei_op op) {
    (void)user, (void)op;
    pthread_mutex_lock(&gate.lock);
    if (gate.set && index == gate.index && call == gate.call) {
        gate.set = false;
        gate.waiting = true;
        pthread_cond_broadcast(&gate.changed);
        while (!gate.open) pthread_cond_wait(&gate.changed, &gate.lock);
        gate.waiting = false;
    }
    pthread_mutex_unlock(&gate.lock);
}

void scene_set_gate(int index, cei_sim_call call) {
    pthread_mutex_lock(&gate.lock);
    gate.index = index;
    gate.call = call;
    gate.set = true;
    gate.open = gate.waiting = false;
    pthread_mutex_unlock(&gate.lock);
    cei_sim_set_hook(stand_at_gate, NULL);
}

void scene_await_gate(void) {
    pthread_mutex_lock(&gate.lock);
    while (!gate.waiting) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

void scene_open_gate(void) {
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}
