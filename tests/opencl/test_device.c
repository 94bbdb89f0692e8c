/* test_device.c - opencl:0 as it is on this machine: weights come back and are proved, values of norms and functions
 * agree with the formulas, every tile gives the same bits, and the device can be measured. What all devices pass is in
 * tests/device, compiled for opencl:0 too. */
#include "device/cases.h"

#include "device/checksum.h"
#include "device/opencl/opencl.h"
#include "device/ref/ref_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDEST = 4096, TOKENS = 512 };

static cei_pool *pool;
static cei_device *device;
static cei_stream *stream;
static ce_error error;

static void require(void) {
    tier_require(&opencl_tier);
    if (device) return;
    const cpu_device opened = cpu_open(&opencl_tier, 1);
    pool = opened.pool;
    device = opened.device;
    expect_ok(cei_stream_create(device, &(cei_stream_limits){TOKENS, TOKENS, 64, WIDEST, false}, &stream, &error),
              &error);
}

static int close_all(void **state) {
    cei_stream_free(stream);
    return tier_teardown(state);
}

/* A buffer with room behind, and values in it. */
static cei_slice put(const void *from, size_t bytes) {
    cei_slice slice = {NULL, 256};
    expect_ok(cei_buffer_create(device, bytes + 1024, &slice.buffer, &error), &error);
    expect_ok(cei_write(stream, slice, from, bytes, &error), &error);
    return slice;
}

static void get(cei_slice from, float *to, size_t count) {
    expect_ok(cei_read(stream, to, from, count * sizeof *to, &error), &error);
}

/* ---- weights ------------------------------------------------------------------------------------------------------
 */

static const struct {
    cei_role role;
    size_t rows, columns;
} shapes[] = {{CEI_ROLE_MATRIX, 1, 1},    {CEI_ROLE_MATRIX, 33, 5},    {CEI_ROLE_MATRIX, 129, 31},
              {CEI_ROLE_VECTOR, 1, 1000}, {CEI_ROLE_TABLE, 3, 70001},  {CEI_ROLE_TABLE, 2000, 77},
              {CEI_ROLE_MATRIX, 31, 513}, {CEI_ROLE_MATRIX, 768, 384}, {CEI_ROLE_TABLE, 7, 3}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Values that the format holds: of a float32 or a bfloat16 any bits, of a float16 such as are rounded, NaNs among them.
 */
static float *held_values(cei_format format, size_t rows, size_t columns, float *scales) {
    float *values = floats(rows * columns, 3);
    for (size_t i = 0; i < rows * columns && format != CEI_FORMAT_INT8; i++) {
        const uint32_t bits = random_bits() & (format == CEI_FORMAT_BFLOAT16 ? UINT32_C(0xFFFF0000) : UINT32_MAX);
        memcpy(values + i, &bits, sizeof bits);
    }
    for (size_t i = 0; i < rows * columns && format == CEI_FORMAT_FLOAT16; i++)
        if (i % 8) values[i] = ldexpf(random_float(-1, 1), (int)random_size(0, 44) - 27);
    if (format == CEI_FORMAT_INT8 || format == CEI_FORMAT_FLOAT16)
        cei_round_rows(format, values, rows, columns, scales);
    return values;
}

static uint64_t wanted_checksum(const float *values, size_t count) {
    cei_checksum sum = {0};
    cei_checksum_add(&sum, values, count);
    return cei_checksum_value(&sum);
}

static cei_weight write_weight(cei_role role, cei_format format, size_t rows, size_t columns, const float *values,
                               const float *scales) {
    cei_weight weight = {role, rows, columns, {NULL, 512}, format, false};
    const size_t bytes = cei_weight_bytes(device, &weight);
    assert_true(bytes > 0 && bytes % CEI_BUFFER_ALIGNMENT == 0);
    expect_ok(cei_buffer_create(device, bytes + 512, &weight.at.buffer, &error), &error);
    for (size_t first = 0; first < rows;) { /* in parts */
        const size_t count = random_size(1, rows - first);
        expect_ok(cei_weight_write(device, &weight, first, count, values + first * columns,
                                   format == CEI_FORMAT_INT8 ? scales + first : NULL, &error),
                  &error);
        first += count;
    }
    return weight;
}

static void check_weight(const cei_weight *weight, const float *values, const float *scales) {
    float *back = floats(weight->rows * weight->columns, 1), *back_scales = floats(weight->rows, 1);
    for (int round = 0; round < 4; round++) {
        const size_t first = round ? random_size(0, weight->rows) : 0;
        const size_t count = round ? random_size(0, weight->rows - first) : weight->rows;
        const size_t size = count * weight->columns;
        uint64_t checksum = 1;
        expect_ok(cei_weight_checksum(device, weight, first, count, &checksum, &error), &error);
        assert_true(checksum == wanted_checksum(values + first * weight->columns, size));
        expect_ok(cei_weight_read(device, weight, first, count, back, back_scales, &error), &error);
        assert_memory_equal(back, values + first * weight->columns, size * sizeof *back);
        if (weight->format == CEI_FORMAT_INT8) assert_memory_equal(back_scales, scales + first, count * sizeof *scales);
    }
    free(back), free(back_scales);
}

static void test_weights(void **state) {
    (void)state;
    require();
    for (size_t i = 0; i < SHAPES; i++)
        for (int format = 0; format < CEI_FORMAT_COUNT; format++) {
            if (shapes[i].role == CEI_ROLE_VECTOR && format != CEI_FORMAT_FLOAT32) continue;
            float *scales = floats(shapes[i].rows, 1);
            float *values = held_values((cei_format)format, shapes[i].rows, shapes[i].columns, scales);
            cei_weight weight =
                write_weight(shapes[i].role, (cei_format)format, shapes[i].rows, shapes[i].columns, values, scales);
            check_weight(&weight, values, scales);
            cei_buffer_free(weight.at.buffer);
            free(values), free(scales);
        }
}

/* Any bit that changes what is read back changes the checksum. */
static void test_a_flipped_bit_is_seen(void **state) {
    (void)state;
    require();
    enum { ROWS = 37, COLUMNS = 50 };
    for (int format = 0; format < CEI_FORMAT_COUNT; format++) {
        float scales[ROWS], *values = held_values((cei_format)format, ROWS, COLUMNS, scales);
        cei_weight weight = write_weight(CEI_ROLE_MATRIX, (cei_format)format, ROWS, COLUMNS, values, scales);
        const uint64_t wanted = wanted_checksum(values, ROWS * COLUMNS);
        const size_t sizes[CEI_FORMAT_COUNT] = {4, 2, 2, 1}, bytes = ROWS * COLUMNS * sizes[format];
        for (int round = 0; round < 40; round++) {
            const cei_slice at = {weight.at.buffer, weight.at.offset + random_size(0, bytes - 1)};
            const uint8_t bit = (uint8_t)(1u << random_size(0, 7));
            uint8_t byte;
            uint64_t checksum;
            expect_ok(cei_read(stream, &byte, at, 1, &error), &error);
            byte ^= bit;
            for (int flips = 0; flips < 2; flips++, byte ^= bit) {
                expect_ok(cei_write(stream, at, &byte, 1, &error), &error);
                expect_ok(cei_read(stream, &(uint8_t){0}, at, 1, &error), &error);
                expect_ok(cei_weight_checksum(device, &weight, 0, ROWS, &checksum, &error), &error);
                assert_true((checksum == wanted) == (flips == 1));
            }
        }
        cei_buffer_free(weight.at.buffer);
        free(values);
    }
}

static void test_sizes_overflow(void **state) {
    (void)state;
    require();
    static const size_t sizes[][2] = {{SIZE_MAX, 1}, {1, SIZE_MAX}, {SIZE_MAX / 2, 8}, {SIZE_MAX, SIZE_MAX}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int format = 0; format < CEI_FORMAT_COUNT; format++) {
            const cei_weight shape = {
                .role = CEI_ROLE_MATRIX, .rows = sizes[i][0], .columns = sizes[i][1], .format = (cei_format)format};
            assert_int_equal(cei_weight_bytes(device, &shape), 0);
        }
    cei_buffer *buffer = NULL;
    expect_status(cei_buffer_create(device, (size_t)1 << 60, &buffer, &error), CE_ERR_DEVICE_MEMORY, &error, "needed");
    assert_null(buffer);
    cei_stream *other = NULL;
    expect_status(cei_stream_create(device, &(cei_stream_limits){1, 1, 1 << 20, 1, false}, &other, &error),
                  CE_ERR_UNSUPPORTED, &error, "local memory");
    assert_null(other);
}

/* ---- values -------------------------------------------------------------------------------------------------------
 */

static void test_norm(void **state) {
    (void)state;
    require();
    static const size_t columns[] = {1, 2, 63, 64, 65, 384, 1025};
    enum { ROWS = 9 };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        const size_t size = ROWS * columns[i], bytes = size * sizeof(float);
        float *x = floats(size, 1), *added = floats(size, 1), *gain = floats(columns[i], 1);
        float *bias = floats(columns[i], 1), *found = floats(size, 1), *wanted = floats(size, 1);
        for (size_t k = 0; k < size; k++) x[k] += 3; /* a mean to take away */
        const cei_slice at = put(x, bytes), residual = put(added, bytes);
        const cei_weight gains = {CEI_ROLE_VECTOR, 1, columns[i], put(gain, columns[i] * 4), CEI_FORMAT_FLOAT32, false};
        const cei_weight shift = {CEI_ROLE_VECTOR, 1, columns[i], put(bias, columns[i] * 4), CEI_FORMAT_FLOAT32, false};
        const cei_norm_args args = {.rows = ROWS,
                                    .x = at,
                                    .residual = i % 2 ? &residual : NULL,
                                    .gain = &gains,
                                    .bias = &shift,
                                    .epsilon = 1e-5f,
                                    .out = i % 3 ? residual : at};
        expect_ok(cei_norm(stream, &args, &error), &error);
        get(args.out, found, size);
        for (size_t r = 0; r < size; r += columns[i])
            cei_ref_norm_row(x + r, i % 2 ? added + r : NULL, gain, bias, columns[i], 1e-5f, wanted + r, wanted + r);
        for (size_t k = 0; k < size; k++) expect_near((double)found[k], (double)wanted[k], 1e-4, "norm", k);
        cei_buffer_free(at.buffer), cei_buffer_free(residual.buffer);
        cei_buffer_free(gains.at.buffer), cei_buffer_free(shift.at.buffer);
        free(x), free(added), free(gain), free(bias), free(found), free(wanted);
    }
}

/* Each function alone, as a layer of one weight that is 1, over all that activations are and what is far beyond. */
static void test_functions(void **state) {
    (void)state;
    require();
    enum { COUNT = 60000 };
    const float one = 1, edges[] = {0.0f, -0.0f, 1e-45f, -1e-45f, 1e4f, -1e4f, 1e9f, -1e9f, INFINITY, NAN};
    float *x = floats(COUNT, 1), *y = floats(COUNT, 1);
    for (size_t i = 0; i < COUNT; i++) x[i] = random_float(-1, 1) * ldexpf(1, (int)(i % 40) - 32);
    memcpy(x, edges, sizeof edges);
    const cei_weight weight = {CEI_ROLE_MATRIX, 1, 1, put(&one, sizeof one), CEI_FORMAT_FLOAT32, false};
    const cei_slice at = put(x, COUNT * sizeof *x), out = put(y, COUNT * sizeof *y);
    for (int f = 0; f < CEI_FN_COUNT; f++) {
        const cei_linear_args args = {COUNT, at, &weight, NULL, (cei_function)f, out, NULL, NULL};
        expect_ok(cei_linear(stream, &args, &error), &error);
        get(out, y, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            const double wanted = exact_function((cei_function)f, (double)x[i]);
            expect_near((double)y[i], wanted, 2 * function_bound(wanted), function_names[f], i);
        }
    }
    cei_buffer_free(weight.at.buffer), cei_buffer_free(at.buffer), cei_buffer_free(out.buffer);
    free(x), free(y);
}

/* ---- tiles --------------------------------------------------------------------------------------------------------
 */

enum { ROWS = 70, IN = 133, OUT = 150 };

/* The product by every tile of a program that was built for probing: those for processors, or all others. */
static size_t run_tiles(cei_opencl_device *opencl, const cei_linear_args *args, const float *wanted) {
    size_t count = 0;
    float *found = floats(ROWS * OUT, 1);
    cl_program program;
    expect_ok(cei_opencl_build(opencl, CEI_OPENCL_PROBE, &program, &error), &error);
    for (unsigned i = 0; i < CEI_OPENCL_TILES; i++) {
        cl_int code;
        if (!cei_opencl_tile_suits(opencl, i)) continue;
        cl_kernel kernel = opencl->api.clCreateKernel(program, cei_opencl_tiles[i].name, &code);
        assert_int_equal(code, CL_SUCCESS);
        const cl_command_queue queue = ((cei_opencl_stream *)stream)->queue;
        cei_opencl_launch launch = cei_opencl_begin(opencl, queue, kernel);
        expect_ok(cei_opencl_multiply(&launch, &cei_opencl_tiles[i], args, cei_opencl_memory(args->x), &error), &error);
        get(args->out, found, ROWS * OUT);
        expect_same_bits(found, wanted, ROWS * OUT, cei_opencl_tiles[i].name);
        (void)opencl->api.clReleaseKernel(kernel);
        count++;
    }
    (void)opencl->api.clReleaseProgram(program);
    free(found);
    return count;
}

static void test_every_tile_gives_the_same_bits(void **state) {
    (void)state;
    require();
    cei_opencl_device *opencl = cei_opencl_of(device);
    const cl_device_type type = opencl->choice.type;
    float *x = floats(ROWS * IN, 1), *values = floats(OUT * IN, 1), *bias = floats(OUT, 1),
          *all = floats(ROWS * OUT, 1);
    const cei_weight weight = {CEI_ROLE_MATRIX, OUT, IN, put(values, OUT * IN * 4), CEI_FORMAT_FLOAT32, false};
    const cei_weight shift = {CEI_ROLE_VECTOR, 1, OUT, put(bias, OUT * 4), CEI_FORMAT_FLOAT32, false};
    const cei_linear_args args = {ROWS,        put(x, ROWS * IN * 4),    &weight, &shift,
                                  CEI_FN_GELU, put(all, ROWS * OUT * 4), NULL,    NULL};
    expect_ok(cei_linear(stream, &args, &error), &error);
    get(args.out, all, ROWS * OUT);
    opencl->choice.type = CL_DEVICE_TYPE_CPU;
    size_t tried = run_tiles(opencl, &args, all);
    opencl->choice.type = CL_DEVICE_TYPE_GPU;
    tried += run_tiles(opencl, &args, all);
    opencl->choice.type = type;
    assert_int_equal(tried, CEI_OPENCL_TILES);
    const cei_buffer *const used[] = {weight.at.buffer, shift.at.buffer, args.x.buffer, args.out.buffer};
    for (size_t i = 0; i < 4; i++) cei_buffer_free((cei_buffer *)(uintptr_t)used[i]);
    free(x), free(values), free(bias), free(all);
}

/* ---- measuring ----------------------------------------------------------------------------------------------------
 */

static void test_measure(void **state) {
    (void)state;
    require();
    ce_device_speed speed = {.size = sizeof speed};
    expect_ok(cei_device_measure(device, CE_PRECISION_FLOAT32, true, &speed, &error), &error);
    assert_true(speed.flops > 1e7 && speed.flops < 1e15);
    assert_true(speed.bandwidth > 1e7 && speed.bandwidth < 1e14);
    print_message("%.1f GFLOP/s, %.1f GB/s\n", speed.flops * 1e-9, speed.bandwidth * 1e-9);
    expect_status(cei_device_measure(device, (ce_precision)99, true, &speed, &error), CE_ERR_UNSUPPORTED, &error,
                  "precision 99");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),        cmocka_unit_test(test_a_flipped_bit_is_seen),
        cmocka_unit_test(test_sizes_overflow), cmocka_unit_test(test_norm),
        cmocka_unit_test(test_functions),      cmocka_unit_test(test_every_tile_gives_the_same_bits),
        cmocka_unit_test(test_measure),
    };
    cases_seed();
    return cmocka_run_group_tests_name("opencl device", tests, NULL, close_all);
}
