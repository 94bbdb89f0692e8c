/* test_faults.c - every fault that a device can have while a model is placed, for loading and for moving; of a
 * cross-encoder, and of a bi-encoder.
 *
 * A load that fails holds nothing. A move that fails leaves the model where it was, with the scores that it had. */
#include "placement/scene.h"

#include "support/failing_malloc.h"

#include <stdio.h>
#include <string.h>

static unsigned used; /* 1 << cei_op for each operation that what is in the folder calls */

/* Takes what is left at the nth request for memory from now, as another process might. */
static uint64_t requests_left;

static void take_the_rest(void *user, int index, cei_sim_call call, cei_op op) {
    (void)user, (void)op;
    if (call == CEI_SIM_ALLOCATE && --requests_left == 0) cei_sim_set_memory(index, cei_sim_count(index).bytes);
}

/* One layer: a sweep takes time with the square of a placing's calls. */
static int setup(void **state) {
    scene_setup(state);
    scene_shape.layers = 1;
    scene_write();
    used = (1u << SCENE_OPS) - 1;
    return 0;
}

static int setup_encoder(void **state) {
    scene_setup_encoder(state);
    scene_shape.layers = 1;
    scene_write();
    used = ((1u << SCENE_ENCODER_OPS) - 1) & ~(1u << CEI_OP_GATHER);
    return 0;
}

/* One that reads the first tokens alone, which takes another way through the last layer. */
static int setup_first_only(void **state) {
    setup_encoder(state);
    scene_encoder.pooling = "\"cls\"";
    scene_encoder.poolings = 1;
    scene_write();
    used = ((1u << SCENE_ENCODER_OPS) - 1) & ~(1u << CEI_OP_POOL);
    return 0;
}

static int setup_bfloat16(void **state) {
    setup(state);
    scene_precision = CE_PRECISION_BFLOAT16;
    return 0;
}

static int setup_int8(void **state) {
    setup(state);
    scene_precision = CE_PRECISION_INT8;
    return 0;
}

/* ---- what is tried ------------------------------------------------------------------------------------------- */

/* A way of placing the scene's model on sim:0 that a planned fault must make fail. */
typedef struct trial {
    bool moves;
    scene_any mover;            /* if it moves: on another device, to be moved to sim:0; else nothing, and is loaded */
    float before[SCENE_SCORES]; /* its values there */
    ce_placement_report report; /* and its report */
} trial;

static void begin_load(trial *t) { *t = (trial){0}; }

static void begin_move(trial *t, const char *from) {
    *t = (trial){.moves = true, .mover = scene_any_loaded(from)};
    scene_any_values(t->mover, t->before);
    t->report = scene_any_report(t->mover);
}

static void end(trial *t) { scene_any_free(t->mover); }

static void expect_unmoved(trial *t) {
    ce_placement_report report = scene_any_report(t->mover);
    assert_int_equal(report.state, CE_STATE_READY);
    assert_string_equal(report.device, t->report.device);
    assert_string_equal(report.requested, t->report.requested);
    assert_int_equal(report.generation, t->report.generation);
    assert_int_equal(report.workspace_bytes, t->report.workspace_bytes);
    scene_any_expect_values(t->mover, t->before);
}

/* Tries to place, with the fault that was planned: wants this status, a message with part that names the device, and
 * nothing left behind on the device or in host memory. */
static void expect_fault(trial *t, ce_status want, const char *part) {
    ce_error error = {0};
    long live = failing_malloc_live();
    if (t->moves) {
        expect_status(scene_any_to(t->mover, "sim:0", &error), want, &error, part);
    } else {
        ce_load_options options = scene_options("sim:0");
        scene_any any;
        expect_status(scene_any_load(&options, &any, &error), want, &error, part);
        assert_true(!any.model && !any.encoder);
    }
    assert_int_equal(error.status, want);
    if (!strstr(error.message, "sim:0")) fail_msg("the message does not name sim:0: %s", error.message);
    scene_expect_idle(0);
    if (failing_malloc_live() != live) fail_msg("%ld blocks leaked: %s", failing_malloc_live() - live, error.message);
    if (t->moves) expect_unmoved(t);
}

/* Calls of each kind that a placing without faults makes on sim:0. */
static cei_sim_counters count_calls(void) {
    cei_sim_counters before = cei_sim_count(0), after;
    scene_any_free(scene_any_loaded("sim:0"));
    after = cei_sim_count(0);
    for (int i = 0; i < CEI_SIM_CALLS; i++) after.calls[i] -= before.calls[i];
    assert_true(after.calls[CEI_SIM_OPEN] > 0 && after.calls[CEI_SIM_ALLOCATE] > 0);
    assert_true(after.calls[CEI_SIM_UPLOAD] > 0 && after.calls[CEI_SIM_CHECKSUM] > 0 && after.calls[CEI_SIM_OP] > 0);
    return after;
}

typedef void (*sweep_fn)(trial *t);

/* For a load, and for moves from the cpu and from another accelerator. */
static void for_each_way(sweep_fn sweep) {
    trial t;
    begin_load(&t);
    sweep(&t);
    end(&t);
    begin_move(&t, "cpu");
    sweep(&t);
    end(&t);
    begin_move(&t, "sim:1");
    sweep(&t);
    end(&t);
}

/* ---- sweeps -------------------------------------------------------------------------------------------------- */

static void sweep_failing_calls(trial *t) {
    cei_sim_counters calls = count_calls();
    for (int kind = 0; kind < CEI_SIM_CALLS; kind++)
        for (uint64_t nth = 1; nth <= calls.calls[kind]; nth++) {
            bool memory = kind == CEI_SIM_ALLOCATE;
            ce_status fault = memory ? CE_ERR_DEVICE_MEMORY : CE_ERR_DEVICE_FAULT;
            cei_sim_fail(0, (cei_sim_call)kind, nth, fault);
            expect_fault(t, fault, "the test asked for it");
        }
}

static void test_each_call_to_the_device_fails_in_turn(void **state) {
    (void)state;
    for_each_way(sweep_failing_calls);
}

static void sweep_losses(trial *t) {
    cei_sim_counters calls = count_calls();
    uint64_t total = 0;
    for (int kind = 0; kind < CEI_SIM_CALLS; kind++) total += calls.calls[kind];
    for (uint64_t nth = 1; nth <= total; nth++) {
        cei_sim_lose(0, nth);
        expect_fault(t, CE_ERR_DEVICE_LOST, "lost");
        cei_sim_revive(0);
    }
}

static void test_the_device_is_lost_at_each_call_in_turn(void **state) {
    (void)state;
    for_each_way(sweep_losses);
}

static void sweep_corruptions(trial *t) {
    static const cei_sim_corruption kinds[] = {CEI_SIM_FLIP_BIT, CEI_SIM_DROP_ROW, CEI_SIM_SWAP};
    cei_sim_counters calls = count_calls();
    for (size_t kind = 0; kind < 3; kind++)
        for (uint64_t nth = 1; nth <= calls.calls[CEI_SIM_UPLOAD]; nth++) {
            cei_sim_corrupt_upload(0, nth, kinds[kind]);
            expect_fault(t, CE_ERR_VERIFY, "did not arrive whole");
        }
}

static void test_each_upload_is_corrupted_in_turn(void **state) {
    (void)state;
    for_each_way(sweep_corruptions);
}

static void test_a_corrupted_tensor_is_named(void **state) {
    (void)state;
    trial t;
    begin_load(&t);
    cei_sim_corrupt_upload(0, 1, CEI_SIM_FLIP_BIT);
    expect_fault(&t, CE_ERR_VERIFY, "bert.embeddings.word_embeddings.weight");
}

/* The next operation behind op that what is in the folder calls, or CEI_OP_COUNT; the first one behind -1. */
static int next_op(int op) {
    do op++;
    while (op < CEI_OP_COUNT && !(used >> op & 1));
    return op;
}

static void sweep_wrong_results(trial *t) {
    for (int op = next_op(-1); op < CEI_OP_COUNT; op = next_op(op)) {
        cei_sim_distort(0, (cei_op)op, true);
        expect_fault(t, CE_ERR_VERIFY, "self-test");
        cei_sim_distort(0, (cei_op)op, false);
    }
}

static void test_the_self_test_finds_a_wrong_operation(void **state) {
    (void)state;
    for_each_way(sweep_wrong_results);
}

static void sweep_lacking_operations(trial *t) {
    uint64_t uploads = cei_sim_count(0).calls[CEI_SIM_UPLOAD], allocations = cei_sim_count(0).calls[CEI_SIM_ALLOCATE];
    for (int op = next_op(-1); op < CEI_OP_COUNT; op = next_op(op)) {
        char name[32];
        snprintf(name, sizeof name, "\"%s\"", cei_op_name((cei_op)op));
        cei_sim_lack_op(0, (cei_op)op, true);
        expect_fault(t, CE_ERR_UNSUPPORTED, name);
        cei_sim_lack_op(0, (cei_op)op, false);
    }
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_UPLOAD], uploads);
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_ALLOCATE], allocations);
}

static void test_a_lacking_operation_is_found_before_a_weight_is_sent(void **state) {
    (void)state;
    for_each_way(sweep_lacking_operations);
}

/* What the scene's models do not call: each operation of a golden model, wrong and lacking. */
static void expect_operations(const char *path, const cei_op *ops, size_t count) {
    const ce_load_options options = scene_options("sim:0");
    for (size_t i = 0; i < count; i++) {
        ce_model *model = NULL;
        ce_error error;
        cei_sim_distort(0, ops[i], true);
        expect_status(ce_model_load(test_data(path), &options, &model, &error), CE_ERR_VERIFY, &error, "self-test");
        cei_sim_distort(0, ops[i], false);
        cei_sim_lack_op(0, ops[i], true);
        expect_status(ce_model_load(test_data(path), &options, &model, &error), CE_ERR_UNSUPPORTED, &error,
                      cei_op_name(ops[i]));
        cei_sim_lack_op(0, ops[i], false);
        assert_null(model);
        scene_expect_idle(0);
    }
}

static void test_the_operations_of_a_rotary_encoder(void **state) {
    (void)state;
    static const cei_op ops[] = {CEI_OP_EMBED,  CEI_OP_NORM,   CEI_OP_LINEAR, CEI_OP_ATTENTION,
                                 CEI_OP_GATHER, CEI_OP_ANGLES, CEI_OP_ROTARY, CEI_OP_GATE};
    expect_operations("golden/models/modernbert", ops, sizeof ops / sizeof *ops);
}

static void test_the_operations_of_a_decoder(void **state) {
    (void)state;
    static const cei_op ops[] = {CEI_OP_EMBED,  CEI_OP_RMS_NORM,         CEI_OP_HEAD_NORM,
                                 CEI_OP_LINEAR, CEI_OP_ATTENTION_CAUSAL, CEI_OP_GATHER,
                                 CEI_OP_ANGLES, CEI_OP_ROTARY,           CEI_OP_GATE};
    expect_operations("golden/models/qwen3", ops, sizeof ops / sizeof *ops);
}

static void sweep_lacking_precision(trial *t) {
    cei_sim_lack_precision(0, CE_PRECISION_FLOAT32, true);
    expect_fault(t, CE_ERR_UNSUPPORTED, "float32");
    cei_sim_lack_precision(0, CE_PRECISION_FLOAT32, false);
}

static void test_a_lacking_precision(void **state) {
    (void)state;
    for_each_way(sweep_lacking_precision);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

static void sweep_memory(trial *t) {
    char part[64];
    scene_any any = scene_any_loaded("sim:0");
    ce_placement_report report = scene_any_report(any);
    uint64_t need = cei_sim_count(0).bytes;
    assert_int_equal(need, report.weight_bytes + report.workspace_bytes);
    scene_any_free(any);
    uint64_t allocations = cei_sim_count(0).calls[CEI_SIM_ALLOCATE];
    const uint64_t sizes[] = {1, 1000, need - 1};
    for (size_t i = 0; i < 3; i++) {
        uint64_t memory = sizes[i];
        cei_sim_set_memory(0, memory);
        snprintf(part, sizeof part, "free %llu, total %llu", (unsigned long long)memory, (unsigned long long)memory);
        expect_fault(t, CE_ERR_DEVICE_MEMORY, part);
        snprintf(part, sizeof part, "needed %llu", (unsigned long long)need);
        expect_fault(t, CE_ERR_DEVICE_MEMORY, part);
    }
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_ALLOCATE], allocations); /* known before anything was asked for */
    cei_sim_set_memory(0, need);
    scene_any_free(scene_any_loaded("sim:0")); /* which is just enough */
    cei_sim_set_memory(0, 1 << 30);
}

static void test_too_little_memory_says_needed_free_and_total(void **state) {
    (void)state;
    for_each_way(sweep_memory);
}

static void test_memory_that_others_hold_is_not_free(void **state) {
    (void)state;
    ce_model *first = scene_load("sim:0");
    uint64_t bytes = cei_sim_count(0).bytes;
    char part[64];
    ce_load_options options = scene_options("sim:0");
    ce_model *second = NULL;
    ce_error error = {0};
    cei_sim_set_memory(0, 2 * bytes - 1);
    snprintf(part, sizeof part, "free %llu, total %llu", (unsigned long long)bytes - 1,
             (unsigned long long)(2 * bytes - 1));
    expect_status(ce_model_load(scene_folder, &options, &second, &error), CE_ERR_DEVICE_MEMORY, &error, part);
    cei_sim_set_memory(0, 2 * bytes);
    expect_ok(ce_model_load(scene_folder, &options, &second, &error), &error);
    ce_model_free(second);
    ce_model_free(first);
}

static void test_memory_that_another_process_takes_after_it_was_checked(void **state) {
    (void)state;
    ce_error error = {0};
    ce_model *model = scene_load("sim:0");
    const uint64_t requests = cei_sim_count(0).calls[CEI_SIM_ALLOCATE];
    ce_model_free(model);
    const ce_load_options options = scene_options("sim:0");
    assert_true(requests >= 3); /* weights, a stream, a workspace */
    for (uint64_t nth = 1; nth <= requests; nth++) {
        requests_left = nth;
        cei_sim_set_hook(take_the_rest, NULL);
        expect_status(ce_model_load(scene_folder, &options, &model, &error), CE_ERR_DEVICE_MEMORY, &error, "needed");
        if (!strstr(error.message, " 0 free of")) fail_msg("%s", error.message);
        cei_sim_set_hook(NULL, NULL);
        scene_expect_idle(0);
        cei_sim_set_memory(0, 256 << 20);
    }
    ce_model_free(scene_load("sim:0"));
}

typedef struct race {
    ce_model *model;
    ce_status status;
    ce_error error;
} race;

static void *load_in_a_race(void *argument) {
    race *own = argument;
    const ce_load_options options = scene_options("sim:0");
    own->status = ce_model_load(scene_folder, &options, &own->model, &own->error);
    return NULL;
}

/* Where there is room for one and a half, one of two that load at once has it, and the other one says what is missing.
 */
static void test_two_that_race_for_the_memory_of_one(void **state) {
    (void)state;
    ce_model *model = scene_load("sim:0");
    const uint64_t bytes = cei_sim_count(0).bytes;
    ce_model_free(model);
    cei_sim_set_memory(0, bytes + bytes / 2);
    for (size_t round = 0; round < 10; round++) {
        race racers[2] = {{0}};
        const pthread_t thread = scene_start(load_in_a_race, &racers[0]);
        load_in_a_race(&racers[1]);
        pthread_join(thread, NULL);
        const size_t loser = racers[0].status == CE_OK;
        assert_int_equal(racers[1 - loser].status, CE_OK);
        expect_status(racers[loser].status, CE_ERR_DEVICE_MEMORY, &racers[loser].error, "needed");
        assert_int_equal(cei_sim_count(0).bytes, bytes);
        ce_model_free(racers[1 - loser].model);
    }
    cei_sim_set_memory(0, 256 << 20);
}

/* ---- faults of a placed model -------------------------------------------------------------------------------- */

static void test_each_call_of_scoring_fails_in_turn_and_the_model_works_on(void **state) {
    (void)state;
    static const cei_sim_call kinds[] = {CEI_SIM_WRITE, CEI_SIM_OP, CEI_SIM_READ};
    float values[SCENE_SCORES], failed[SCENE_SCORES];
    scene_any any = scene_any_loaded("sim:0");
    ce_error error = {0};
    scene_any_values(any, values);
    for (size_t kind = 0; kind < 3; kind++) {
        uint64_t before = cei_sim_count(0).calls[kinds[kind]];
        scene_any_expect_values(any, values);
        uint64_t calls = cei_sim_count(0).calls[kinds[kind]] - before;
        assert_true(calls > 0);
        for (uint64_t nth = 1; nth <= calls; nth++) {
            cei_sim_fail(0, kinds[kind], nth, CE_ERR_DEVICE_FAULT);
            expect_status(scene_any_try_values(any, failed, &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
            scene_any_expect_state(any, CE_STATE_READY, "sim:0", 1);
            scene_any_expect_values(any, values);
        }
    }
    scene_any_free(any);
}

#define fault_test(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
#define fault_test_encoder(name) \
    { #name " of an encoder", name, setup_encoder, scene_teardown, NULL }
#define fault_test_first_only(name) \
    { #name " of an encoder by first tokens", name, setup_first_only, scene_teardown, NULL }
#define fault_test_bfloat16(name) \
    { #name " in bfloat16", name, setup_bfloat16, scene_teardown, NULL }
#define fault_test_int8(name) \
    { #name " in int8", name, setup_int8, scene_teardown, NULL }

int main(void) {
    const struct CMUnitTest tests[] = {
        fault_test(test_each_call_to_the_device_fails_in_turn),
        fault_test_encoder(test_each_call_to_the_device_fails_in_turn),
        fault_test_bfloat16(test_each_call_to_the_device_fails_in_turn),
        fault_test_int8(test_each_call_to_the_device_fails_in_turn),
        fault_test(test_the_device_is_lost_at_each_call_in_turn),
        fault_test_encoder(test_the_device_is_lost_at_each_call_in_turn),
        fault_test_bfloat16(test_the_device_is_lost_at_each_call_in_turn),
        fault_test_int8(test_the_device_is_lost_at_each_call_in_turn),
        fault_test(test_each_upload_is_corrupted_in_turn),
        fault_test_encoder(test_each_upload_is_corrupted_in_turn),
        fault_test_bfloat16(test_each_upload_is_corrupted_in_turn),
        fault_test_int8(test_each_upload_is_corrupted_in_turn),
        fault_test(test_a_corrupted_tensor_is_named),
        fault_test(test_the_self_test_finds_a_wrong_operation),
        fault_test_encoder(test_the_self_test_finds_a_wrong_operation),
        fault_test_first_only(test_the_self_test_finds_a_wrong_operation),
        fault_test(test_a_lacking_operation_is_found_before_a_weight_is_sent),
        fault_test_encoder(test_a_lacking_operation_is_found_before_a_weight_is_sent),
        fault_test_first_only(test_a_lacking_operation_is_found_before_a_weight_is_sent),
        fault_test(test_the_operations_of_a_rotary_encoder),
        fault_test(test_the_operations_of_a_decoder),
        fault_test(test_a_lacking_precision),
        fault_test(test_too_little_memory_says_needed_free_and_total),
        fault_test_encoder(test_too_little_memory_says_needed_free_and_total),
        fault_test_bfloat16(test_too_little_memory_says_needed_free_and_total),
        fault_test_int8(test_too_little_memory_says_needed_free_and_total),
        fault_test(test_memory_that_others_hold_is_not_free),
        fault_test(test_memory_that_another_process_takes_after_it_was_checked),
        fault_test(test_two_that_race_for_the_memory_of_one),
        fault_test(test_each_call_of_scoring_fails_in_turn_and_the_model_works_on),
        fault_test_encoder(test_each_call_of_scoring_fails_in_turn_and_the_model_works_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
