/* test_sim.c - the test device itself: its memory, its faults, its counts. What it promises, other tests rely on. */
#include "support/support.h"

#include "device/checksum.h"
#include "device/sim/sim.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cei_stream_limits limits = {.tokens = 8, .sequence = 8, .head_size = 8, .columns = 32};

static cei_device *device;
static cei_stream *stream;
static cei_buffer *buffer;

static int open_machine(void **state) {
    (void)state;
    cei_sim_reset();
    cei_sim_set_devices(2);
    cei_device_options options = {0};
    ce_error error = {0};
    expect_ok(cei_device_open((cei_device_id){"sim", 0}, &options, &device, &error), &error);
    expect_ok(cei_stream_create(device, &limits, &stream, &error), &error);
    expect_ok(cei_buffer_create(device, 4096, &buffer, &error), &error);
    return 0;
}

static int close_machine(void **state) {
    (void)state;
    cei_sim_set_hook(NULL, NULL);
    cei_buffer_free(buffer);
    cei_stream_free(stream);
    cei_device_close(device);
    cei_sim_counters left = cei_sim_count(0);
    assert_int_equal(left.devices + left.buffers + left.streams + left.bytes + left.misuses, 0);
    return 0;
}

static cei_weight weight_of(cei_role role, size_t rows, size_t columns, size_t offset) {
    return (cei_weight){role, rows, columns, {buffer, offset}, CEI_FORMAT_FLOAT32, false};
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* The access rights of the mapping that address is in, as the system says: "---p". */
static void rights_of(const void *address, char rights[8]) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    rights[0] = '\0';
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long long from, to;
        char found[8];
        if (sscanf(line, "%llx-%llx %7s", &from, &to, found) != 3) continue;
        if ((uintptr_t)address >= from && (uintptr_t)address < to) memcpy(rights, found, sizeof found);
    }
    fclose(maps);
}

static void note_rights(void *user, int index, cei_sim_call call, cei_op op) {
    (void)index, (void)call, (void)op;
    rights_of(cei_sim_memory(buffer), user);
}

static void test_memory_is_closed_but_to_operations(void **state) {
    (void)state;
    char rights[8];
    float values[4] = {1, 2, 3, 4};
    ce_error error = {0};
    rights_of(cei_sim_memory(buffer), rights);
    assert_string_equal(rights, "---p");
    cei_sim_set_hook(note_rights, rights);
    expect_ok(cei_write(stream, (cei_slice){buffer, 0}, values, sizeof values, &error), &error);
    assert_string_equal(rights, "---p"); /* before the call did its work */
    cei_sim_set_hook(NULL, NULL);
    rights_of(cei_sim_memory(buffer), rights);
    assert_string_equal(rights, "---p"); /* and after */
}

static void test_new_memory_is_no_number(void **state) {
    (void)state;
    float values[1024];
    ce_error error = {0};
    expect_ok(cei_read(stream, values, (cei_slice){buffer, 0}, sizeof values, &error), &error);
    for (size_t i = 0; i < 1024; i++) assert_true(isnan(values[i]));
}

static void test_bytes_come_back(void **state) {
    (void)state;
    unsigned char sent[100], got[100];
    ce_error error = {0};
    for (size_t i = 0; i < sizeof sent; i++) sent[i] = (unsigned char)(i * 7);
    expect_ok(cei_write(stream, (cei_slice){buffer, 4096 - 100}, sent, 100, &error), &error);
    expect_ok(cei_read(stream, got, (cei_slice){buffer, 4096 - 100}, 100, &error), &error);
    assert_memory_equal(sent, got, 100);
    expect_ok(cei_write(stream, (cei_slice){buffer, 4096}, sent, 0, &error), &error);
    expect_ok(cei_read(stream, got, (cei_slice){buffer, 4096}, 0, &error), &error);
}

static void test_memory_runs_out_with_numbers(void **state) {
    (void)state;
    ce_error error = {0};
    ce_device_info info;
    cei_buffer *more = NULL;
    uint64_t held = cei_sim_count(0).bytes;
    assert_int_equal(held, 4096 + cei_stream_bytes(device, &limits));
    cei_sim_set_memory(0, held + 1000);
    expect_status(cei_buffer_create(device, 1001, &more, &error), CE_ERR_DEVICE_MEMORY, &error, "1001 bytes needed");
    assert_non_null(strstr(error.message, "1000 free"));
    assert_null(more);
    expect_ok(cei_buffer_create(device, 1000, &more, &error), &error);
    expect_ok(cei_device_status(device, &info, &error), &error);
    assert_int_equal(info.memory_free, 0);
    assert_int_equal(info.memory_total, held + 1000);
    assert_string_equal(info.id, "sim:0");
    cei_stream *second = NULL;
    expect_status(cei_stream_create(device, &limits, &second, &error), CE_ERR_DEVICE_MEMORY, &error, "sim:0");
    assert_null(second);
    cei_buffer_free(more);
    assert_int_equal(cei_sim_count(0).bytes, held);
    assert_int_equal(cei_sim_count(0).peak_bytes, held + 1000);
}

static void test_a_size_beyond_any_memory(void **state) {
    (void)state;
    ce_error error = {0};
    cei_buffer *more = NULL;
    cei_sim_set_memory(0, UINT64_MAX);
    ce_status status = cei_buffer_create(device, SIZE_MAX, &more, &error);
    assert_true(status == CE_ERR_MEMORY || status == CE_ERR_DEVICE_MEMORY);
    assert_null(more);
    assert_int_equal(
        cei_weight_bytes(device, &(cei_weight){.role = CEI_ROLE_MATRIX, .rows = SIZE_MAX / 2, .columns = 16}), 0);
    assert_int_equal(cei_weight_bytes(device, &(cei_weight){.role = CEI_ROLE_MATRIX, .rows = SIZE_MAX, .columns = 1}),
                     0);
    assert_int_equal(cei_weight_bytes(device, &(cei_weight){.role = CEI_ROLE_MATRIX, .rows = 3, .columns = 5}), 256);
    assert_int_equal(cei_weight_bytes(device, &(cei_weight){.role = CEI_ROLE_VECTOR, .rows = 1, .columns = 65}), 512);
}

/* ---- weights ------------------------------------------------------------------------------------------------- */

static void fill(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = sinf((float)i + 1.0f);
}

static uint64_t checksum_of(const float *values, size_t count) {
    cei_checksum sum = {0};
    cei_checksum_add(&sum, values, count);
    return cei_checksum_value(&sum);
}

static void test_weights_are_written_in_parts_and_summed(void **state) {
    (void)state;
    float values[12 * 7], got[12 * 7];
    uint64_t sum = 0;
    ce_error error = {0};
    cei_weight weight = weight_of(CEI_ROLE_MATRIX, 12, 7, 256);
    fill(values, 12 * 7);
    expect_ok(cei_weight_write(device, &weight, 5, 7, values + 5 * 7, NULL, &error), &error);
    expect_ok(cei_weight_write(device, &weight, 0, 5, values, NULL, &error), &error);
    expect_ok(cei_weight_read(device, &weight, 0, 12, got, NULL, &error), &error);
    assert_memory_equal(values, got, sizeof values);
    expect_ok(cei_weight_read(device, &weight, 3, 2, got, NULL, &error), &error);
    assert_memory_equal(values + 3 * 7, got, 2 * 7 * sizeof *got);
    expect_ok(cei_weight_checksum(device, &weight, 0, 12, &sum, &error), &error);
    assert_true(sum == checksum_of(values, 12 * 7));
    expect_ok(cei_weight_checksum(device, &weight, 5, 3, &sum, &error), &error);
    assert_true(sum == checksum_of(values + 5 * 7, 3 * 7));
    assert_int_equal(cei_sim_count(0).uploaded_bytes, sizeof values);
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_UPLOAD], 2);
}

static void test_each_corruption_changes_the_checksum(void **state) {
    (void)state;
    static const cei_sim_corruption kinds[] = {CEI_SIM_FLIP_BIT, CEI_SIM_DROP_ROW, CEI_SIM_SWAP};
    float values[6 * 5];
    ce_error error = {0};
    fill(values, 6 * 5);
    for (size_t rows = 1; rows <= 6; rows += 5)
        for (size_t i = 0; i < 3; i++) {
            cei_weight weight = weight_of(CEI_ROLE_MATRIX, rows, 5, 0);
            uint64_t clean = 0, damaged = 0;
            cei_sim_corrupt_upload(0, 2, kinds[i]); /* the second from now */
            expect_ok(cei_weight_write(device, &weight, 0, rows, values, NULL, &error), &error);
            expect_ok(cei_weight_checksum(device, &weight, 0, rows, &clean, &error), &error);
            assert_true(clean == checksum_of(values, rows * 5));
            expect_ok(cei_weight_write(device, &weight, 0, rows, values, NULL, &error), &error);
            expect_ok(cei_weight_checksum(device, &weight, 0, rows, &damaged, &error), &error);
            assert_true(damaged != clean);
        }
}

static void test_damage_flips_one_bit_of_the_chosen_upload(void **state) {
    (void)state;
    float values[4 * 4], got[4 * 4];
    ce_error error = {0};
    cei_weight first = weight_of(CEI_ROLE_MATRIX, 4, 4, 0), second = weight_of(CEI_ROLE_MATRIX, 4, 4, 1024);
    fill(values, 16);
    expect_ok(cei_weight_write(device, &first, 0, 4, values, NULL, &error), &error);
    expect_ok(cei_weight_write(device, &second, 0, 4, values, NULL, &error), &error);
    assert_false(cei_sim_damage(0, CEI_ROLE_TABLE, 0));
    assert_false(cei_sim_damage(0, CEI_ROLE_MATRIX, 2));
    assert_true(cei_sim_damage(0, CEI_ROLE_MATRIX, 1));
    expect_ok(cei_weight_read(device, &first, 0, 4, got, NULL, &error), &error);
    assert_memory_equal(values, got, sizeof values);
    expect_ok(cei_weight_read(device, &second, 0, 4, got, NULL, &error), &error);
    size_t different = 0;
    for (size_t i = 0; i < 16; i++) different += memcmp(&values[i], &got[i], sizeof(float)) != 0;
    assert_int_equal(different, 1);
}

static void test_uploads_of_freed_memory_are_forgotten(void **state) {
    (void)state;
    float values[16] = {0};
    ce_error error = {0};
    cei_weight weight = weight_of(CEI_ROLE_MATRIX, 4, 4, 0);
    expect_ok(cei_weight_write(device, &weight, 0, 4, values, NULL, &error), &error);
    cei_buffer_free(buffer);
    buffer = NULL;
    assert_false(cei_sim_damage(0, CEI_ROLE_MATRIX, 0));
}

/* ---- faults -------------------------------------------------------------------------------------------------- */

/* One call of a kind. What it makes, it frees. */
static ce_status make_call(cei_sim_call call, ce_error *error) {
    float values[16] = {0};
    int32_t rows[1] = {0};
    uint64_t sum;
    ce_device_info info;
    cei_buffer *other_buffer = NULL;
    cei_device *other = NULL;
    cei_device_options options = {0};
    cei_weight weight = weight_of(CEI_ROLE_MATRIX, 4, 4, 0);
    ce_status status = CE_OK;
    switch (call) {
    case CEI_SIM_OPEN:
        status = cei_device_open((cei_device_id){"sim", 0}, &options, &other, error);
        cei_device_close(other);
        return status;
    case CEI_SIM_STATUS: return cei_device_status(device, &info, error);
    case CEI_SIM_ALLOCATE:
        status = cei_buffer_create(device, 64, &other_buffer, error);
        cei_buffer_free(other_buffer);
        return status;
    case CEI_SIM_UPLOAD: return cei_weight_write(device, &weight, 0, 4, values, NULL, error);
    case CEI_SIM_DOWNLOAD: return cei_weight_read(device, &weight, 0, 4, values, NULL, error);
    case CEI_SIM_CHECKSUM: return cei_weight_checksum(device, &weight, 0, 4, &sum, error);
    case CEI_SIM_WRITE: return cei_write(stream, (cei_slice){buffer, 0}, rows, sizeof rows, error);
    case CEI_SIM_READ: return cei_read(stream, values, (cei_slice){buffer, 0}, 16, error);
    default: break;
    }
    cei_gather_args args = {1, 4, {buffer, 256}, {buffer, 0}, {buffer, 512}};
    status = cei_write(stream, args.rows, rows, sizeof rows, error);
    return status == CE_OK ? cei_gather(stream, &args, error) : status;
}

static void test_the_nth_call_of_each_kind_fails(void **state) {
    (void)state;
    for (int call = 0; call < CEI_SIM_CALLS; call++) {
        ce_error error = {0};
        uint64_t before = cei_sim_count(0).calls[call];
        cei_sim_fail(0, (cei_sim_call)call, 3, CE_ERR_DEVICE_FAULT);
        expect_ok(make_call((cei_sim_call)call, &error), &error);
        expect_ok(make_call((cei_sim_call)call, &error), &error);
        expect_status(make_call((cei_sim_call)call, &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
        expect_ok(make_call((cei_sim_call)call, &error), &error);
        assert_int_equal(cei_sim_count(0).calls[call] - before, 4);
        cei_sim_fail(0, (cei_sim_call)call, 1, CE_ERR_DEVICE_FAULT);
        cei_sim_fail(0, (cei_sim_call)call, 0, CE_OK); /* taken back */
        expect_ok(make_call((cei_sim_call)call, &error), &error);
    }
}

static void test_a_lost_device_stays_lost_until_it_is_revived_and_opened_anew(void **state) {
    (void)state;
    ce_error error = {0};
    cei_sim_lose(0, 2);
    expect_ok(make_call(CEI_SIM_STATUS, &error), &error);
    expect_status(make_call(CEI_SIM_READ, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
    for (int call = 0; call < CEI_SIM_CALLS; call++)
        expect_status(make_call((cei_sim_call)call, &error), CE_ERR_DEVICE_LOST, &error, "lost");
    cei_sim_revive(0);
    expect_ok(make_call(CEI_SIM_OPEN, &error), &error);
    expect_status(make_call(CEI_SIM_READ, &error), CE_ERR_DEVICE_LOST, &error, "lost"); /* an object from before */
    ce_device_info info;
    expect_ok(cei_device_probe((cei_device_id){"sim", 0}, &info, &error), &error);
    assert_int_equal(info.memory_free, info.memory_total);
    assert_true(cei_sim_count(0).bytes > 0); /* which close_machine frees all the same */
}

static void test_one_device_is_lost_and_the_other_works(void **state) {
    (void)state;
    ce_error error = {0};
    cei_device *other = NULL;
    cei_device_options options = {0};
    ce_device_info info;
    expect_ok(cei_device_open((cei_device_id){"sim", 1}, &options, &other, &error), &error);
    cei_sim_lose(1, 0);
    expect_status(cei_device_status(other, &info, &error), CE_ERR_DEVICE_LOST, &error, "sim:1");
    expect_ok(make_call(CEI_SIM_STATUS, &error), &error);
    cei_device_close(other);
    assert_int_equal(cei_sim_count(1).devices, 0);
}

static void lose_it(void *user, int index, cei_sim_call call, cei_op op) {
    (void)user, (void)op;
    if (call == CEI_SIM_READ) cei_sim_lose(index, 0);
}

static void test_a_hook_can_lose_the_device_in_mid_call(void **state) {
    (void)state;
    ce_error error = {0};
    cei_sim_set_hook(lose_it, NULL);
    expect_ok(make_call(CEI_SIM_WRITE, &error), &error);
    expect_status(make_call(CEI_SIM_READ, &error), CE_ERR_DEVICE_LOST, &error, "sim:0");
}

static void test_lacking_operations_and_precision(void **state) {
    (void)state;
    for (int op = 0; op < CEI_OP_COUNT; op++) {
        assert_true(cei_device_supports(device, (cei_op)op, CE_PRECISION_FLOAT32));
        assert_true(cei_device_supports(device, (cei_op)op, CE_PRECISION_DEFAULT));
        assert_false(cei_device_supports(device, (cei_op)op, (ce_precision)77));
    }
    assert_false(cei_device_supports(device, CEI_OP_COUNT, CE_PRECISION_FLOAT32));
    cei_sim_lack_op(0, CEI_OP_NORM, true);
    assert_false(cei_device_supports(device, CEI_OP_NORM, CE_PRECISION_FLOAT32));
    assert_true(cei_device_supports(device, CEI_OP_LINEAR, CE_PRECISION_FLOAT32));
    for (int lacking = CE_PRECISION_FLOAT32; lacking <= CE_PRECISION_FLOAT16; lacking++) {
        ce_device_info info;
        ce_error error = {0};
        cei_sim_lack_precision(0, (ce_precision)lacking, true);
        expect_ok(cei_device_status(device, &info, &error), &error);
        const bool has[] = {info.float32, info.float32, info.bfloat16, info.int8,
                            info.float16}; /* the default: float32 */
        for (int precision = CE_PRECISION_DEFAULT; precision <= CE_PRECISION_FLOAT16; precision++) {
            const bool wanted = (precision ? precision : CE_PRECISION_FLOAT32) != lacking;
            assert_true(cei_device_supports(device, CEI_OP_LINEAR, (ce_precision)precision) == wanted);
            assert_true(has[precision] == wanted);
        }
        cei_sim_lack_precision(0, (ce_precision)lacking, false);
    }
}

static ce_status nested_status;

static void use_stream_again(void *user, int index, cei_sim_call call, cei_op op) {
    (void)index, (void)call, (void)op;
    char byte;
    cei_sim_set_hook(NULL, NULL);
    nested_status = cei_read(stream, &byte, (cei_slice){buffer, 0}, 1, user);
}

static void test_a_stream_in_two_calls_at_once_is_noticed(void **state) {
    (void)state;
    ce_error error = {0}, inner = {0};
    cei_sim_set_hook(use_stream_again, &inner);
    expect_ok(make_call(CEI_SIM_WRITE, &error), &error);
    expect_status(nested_status, CE_ERR_ARGUMENT, &inner, "stream");
    assert_int_equal(cei_sim_count(0).misuses, 1);
    cei_sim_reset();
}

/* ---- threads ------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 50 };

static void *work(void *argument) {
    size_t number = *(size_t *)argument, place = number * 1024;
    cei_stream *own = NULL;
    ce_error error = {0};
    float sent[16], got[16];
    bool good = cei_stream_create(device, &limits, &own, &error) == CE_OK;
    for (size_t round = 0; round < ROUNDS && good; round++) {
        uint64_t sum = 0;
        cei_weight weight = weight_of(CEI_ROLE_MATRIX, 4, 4, place);
        for (size_t i = 0; i < 16; i++) sent[i] = (float)(number * 1000 + round + i);
        good = cei_weight_write(device, &weight, 0, 4, sent, NULL, &error) == CE_OK &&
               cei_weight_checksum(device, &weight, 0, 4, &sum, &error) == CE_OK && sum == checksum_of(sent, 16) &&
               cei_write(own, (cei_slice){buffer, place + 512}, sent, sizeof sent, &error) == CE_OK &&
               cei_read(own, got, (cei_slice){buffer, place + 512}, sizeof got, &error) == CE_OK &&
               memcmp(sent, got, sizeof sent) == 0;
    }
    cei_stream_free(own);
    return good ? NULL : argument;
}

static void test_threads_share_a_device(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_UPLOAD], THREADS * ROUNDS);
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_READ], THREADS * ROUNDS);
}

#define sim_test(name) cmocka_unit_test_setup_teardown(name, open_machine, close_machine)

int main(void) {
    const struct CMUnitTest tests[] = {
        sim_test(test_memory_is_closed_but_to_operations),
        sim_test(test_new_memory_is_no_number),
        sim_test(test_bytes_come_back),
        sim_test(test_memory_runs_out_with_numbers),
        sim_test(test_a_size_beyond_any_memory),
        sim_test(test_weights_are_written_in_parts_and_summed),
        sim_test(test_each_corruption_changes_the_checksum),
        sim_test(test_damage_flips_one_bit_of_the_chosen_upload),
        sim_test(test_uploads_of_freed_memory_are_forgotten),
        sim_test(test_the_nth_call_of_each_kind_fails),
        sim_test(test_a_lost_device_stays_lost_until_it_is_revived_and_opened_anew),
        sim_test(test_one_device_is_lost_and_the_other_works),
        sim_test(test_a_hook_can_lose_the_device_in_mid_call),
        sim_test(test_lacking_operations_and_precision),
        sim_test(test_a_stream_in_two_calls_at_once_is_noticed),
        sim_test(test_threads_share_a_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
