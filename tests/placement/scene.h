/* scene.h - what the tests of placement share: a machine with two simulated accelerators, a small model, fixed texts.
 *
 * Each test begins with an empty machine of two devices and must leave nothing on them. */
#ifndef CE_TEST_SCENE_H
#define CE_TEST_SCENE_H

#include "support/support.h"
#include "support/tiny_model.h"

#include "device/sim/sim.h"

#include <crossenc/crossenc.h>

#include <pthread.h>

enum { SCENE_PAIRS = 6, SCENE_LABELS = 3, SCENE_SCORES = SCENE_PAIRS * SCENE_LABELS, SCENE_LOG_LINES = 32 };

/* Operations that the scene's cross-encoder calls, and its bi-encoders: the first ones. */
enum { SCENE_OPS = CEI_OP_GATHER + 1, SCENE_ENCODER_OPS = CEI_OP_NORMALIZE + 1 };

/* The folder of the scene's model, as setup wrote it, and its shape: SCENE_LABELS labels. */
extern char *scene_folder;
extern tiny_model scene_shape;

/* The folder may hold a bi-encoder on that shape instead, of SCENE_LABELS dimensions, so that the first texts of the
 * pairs have as many values as the pairs have logits. Every operation is in it but GATHER. */
extern tiny_encoder scene_encoder;

/* Of scene_options; float32 unless a test or its setup says otherwise. */
extern ce_precision scene_precision;

/* Do the scene's devices stand in front of others, whose arithmetic is not the reference's to the bit? */
extern const bool scene_is_backed;

/* For cmocka_unit_test_setup_teardown. Teardown fails the test if a device still holds anything. */
int scene_setup(void **state);
int scene_setup_bfloat16(void **state);
int scene_setup_int8(void **state);
int scene_setup_encoder(void **state);
int scene_teardown(void **state);
#define scene_test(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
#define scene_test_encoder(name) cmocka_unit_test_setup_teardown(name, scene_setup_encoder, scene_teardown)
#define scene_test_bfloat16(name) \
    { #name " in bfloat16", name, scene_setup_bfloat16, scene_teardown, NULL }
#define scene_test_int8(name) \
    { #name " in int8", name, scene_setup_int8, scene_teardown, NULL }

/* Writes scene_shape, or scene_encoder on it if that is what setup wrote, into the scene's folder. */
void scene_write(void);

/* Options for device, one thread, and a log that scene_logged searches. */
ce_load_options scene_options(const char *device);

/* Loads the scene's model; these must succeed. */
ce_model *scene_load(const char *device);
ce_model *scene_load_deferred(const char *device);

/* Was a line with this part logged since setup, at least at this level? */
bool scene_logged(ce_log_level level, const char *part);

ce_placement_report scene_report(const ce_model *model);
void scene_expect_state(const ce_model *model, ce_model_state state, const char *device, uint64_t generation);

/* Logits of the scene's pairs. */
ce_status scene_try_score(ce_model *model, float scores[SCENE_SCORES], ce_error *error);
void scene_score(ce_model *model, float scores[SCENE_SCORES]);

/* Fails unless the model gives exactly these logits. */
void scene_expect_scores(ce_model *model, const float scores[SCENE_SCORES]);

/* Fails if two devices differ by more than docs/numerics.md lets them in the scene's precision. */
void scene_expect_near(const float found[SCENE_SCORES], const float wanted[SCENE_SCORES]);

/* ---- a model of either kind ---------------------------------------------------------------------------------- */

/* One of the two is NULL; both are if nothing is loaded. The functions are those of crossenc/model.h and encoder.h. */
typedef struct scene_any {
    ce_model *model;
    ce_encoder *encoder;
} scene_any;

/* Loads what is in the scene's folder as what setup wrote there. */
ce_status scene_any_load(const ce_load_options *options, scene_any *any, ce_error *error);
scene_any scene_any_loaded(const char *device); /* must succeed, as must the next */
scene_any scene_any_deferred(const char *device);
void scene_any_free(scene_any any);
ce_status scene_any_to(scene_any any, const char *device, ce_error *error);
ce_status scene_any_check(scene_any any, ce_health *health, ce_error *error);
ce_placement_report scene_any_report(scene_any any);
void scene_any_expect_state(scene_any any, ce_model_state state, const char *device, uint64_t generation);

/* Logits of the pairs, or embeddings of their first texts. */
ce_status scene_any_try_values(scene_any any, float values[SCENE_SCORES], ce_error *error);
void scene_any_values(scene_any any, float values[SCENE_SCORES]);
void scene_any_expect_values(scene_any any, const float values[SCENE_SCORES]);

/* Fails unless device index holds nothing, and no call misused it. */
void scene_expect_idle(int index);
bool scene_is_idle(int index);

/* All calls that device index has had. */
uint64_t scene_calls(int index);

/* A gate that a call to a device waits at: the first call of this kind on device index. Opened by scene_open_gate. */
void scene_set_gate(int index, cei_sim_call call);
void scene_await_gate(void); /* returns when a call stands at the gate */
void scene_open_gate(void);

/* Threads that run a function of one argument; fails the test if a thread cannot be started. */
pthread_t scene_start(void *(*run)(void *argument), void *argument);

#endif
