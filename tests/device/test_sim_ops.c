/* test_sim_ops.c - the operations through device.h on sim:0: values against double precision, and every argument that
 * device.c or the device must refuse. */
#include "support/support.h"

#include "device/sim/sim.h"

#include <math.h>
#include <string.h>

enum { TOKENS = 5, HIDDEN = 12, HEADS = 3, SIZE = 4, WIDE = 20, SPACE = 64 * 1024 };

static const cei_stream_limits limits = {.tokens = 8, .sequence = 4, .head_size = 8, .columns = 40};

static cei_device *device, *other_device;
static cei_stream *stream;
static cei_buffer *buffer, *foreign; /* foreign is sim:1's */
static size_t reserved;              /* bytes of buffer that are given out */

static int open_machine(void **state) {
    (void)state;
    cei_device_options options = {0};
    ce_error error = {0};
    cei_sim_reset();
    cei_sim_set_devices(2);
    reserved = 0;
    expect_ok(cei_device_open((cei_device_id){"sim", 0}, &options, &device, &error), &error);
    expect_ok(cei_device_open((cei_device_id){"sim", 1}, &options, &other_device, &error), &error);
    expect_ok(cei_stream_create(device, &limits, &stream, &error), &error);
    expect_ok(cei_buffer_create(device, SPACE, &buffer, &error), &error);
    expect_ok(cei_buffer_create(other_device, SPACE, &foreign, &error), &error);
    return 0;
}

static int close_machine(void **state) {
    (void)state;
    cei_buffer_free(foreign);
    cei_buffer_free(buffer);
    cei_stream_free(stream);
    cei_device_close(other_device);
    cei_device_close(device);
    assert_int_equal(cei_sim_count(0).bytes + cei_sim_count(1).bytes, 0);
    return 0;
}

/* ---- making inputs ------------------------------------------------------------------------------------------- */

static cei_slice reserve(size_t bytes) {
    cei_slice slice = {buffer, reserved};
    reserved += (bytes + CEI_BUFFER_ALIGNMENT - 1) / CEI_BUFFER_ALIGNMENT * CEI_BUFFER_ALIGNMENT;
    assert_true(reserved <= SPACE);
    return slice;
}

static cei_slice send(const void *data, size_t bytes) {
    ce_error error = {0};
    cei_slice slice = reserve(bytes);
    expect_ok(cei_write(stream, slice, data, bytes, &error), &error);
    return slice;
}

static void receive(cei_slice slice, float *values, size_t count) {
    ce_error error = {0};
    expect_ok(cei_read(stream, values, slice, count * sizeof *values, &error), &error);
}

/* Values that differ from each other, in [-1, 1]. */
static void fill(float *values, size_t count, float seed) {
    for (size_t i = 0; i < count; i++) values[i] = sinf(seed + 1.7f * (float)i);
}

static cei_weight send_weight(cei_role role, size_t rows, size_t columns, const float *values) {
    ce_error error = {0};
    cei_weight weight = {role, rows, columns, {0}, CEI_FORMAT_FLOAT32, false};
    weight.at = reserve(cei_weight_bytes(device, &(cei_weight){.role = role, .rows = rows, .columns = columns}));
    expect_ok(cei_weight_write(device, &weight, 0, rows, values, NULL, &error), &error);
    return weight;
}

static void expect_near(const float *found, const double *wanted, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)found[i] - wanted[i]) <= 2e-6 * (1 + fabs(wanted[i]))))
            fail_msg("value %zu is %.9g, expected %.9g", i, (double)found[i], wanted[i]);
}

/* ---- values -------------------------------------------------------------------------------------------------- */

static void test_embed(void **state) {
    (void)state;
    float word[6 * HIDDEN], position[4 * HIDDEN], type[2 * HIDDEN], out[TOKENS * HIDDEN];
    int32_t ids[TOKENS] = {5, 0, 3, 3, 1}, positions[TOKENS] = {0, 1, 2, 0, 3}, types[TOKENS] = {0, 0, 1, 1, 0};
    double wanted[TOKENS * HIDDEN];
    ce_error error = {0};
    fill(word, 6 * HIDDEN, 1), fill(position, 4 * HIDDEN, 2), fill(type, 2 * HIDDEN, 3);
    cei_weight w = send_weight(CEI_ROLE_TABLE, 6, HIDDEN, word), p = send_weight(CEI_ROLE_TABLE, 4, HIDDEN, position);
    cei_weight t = send_weight(CEI_ROLE_TABLE, 2, HIDDEN, type);
    cei_embed_args args = {.tokens = TOKENS,
                           .ids = send(ids, sizeof ids),
                           .positions = send(positions, sizeof positions),
                           .types = send(types, sizeof types),
                           .word = &w,
                           .position = &p,
                           .type = &t,
                           .out = reserve(sizeof out)};
    expect_ok(cei_embed(stream, &args, &error), &error);
    receive(args.out, out, TOKENS * HIDDEN);
    for (size_t i = 0; i < TOKENS; i++)
        for (size_t c = 0; c < HIDDEN; c++)
            wanted[i * HIDDEN + c] =
                (double)word[ids[i] * HIDDEN + c] + type[types[i] * HIDDEN + c] + position[positions[i] * HIDDEN + c];
    expect_near(out, wanted, TOKENS * HIDDEN);
    cei_embed_args words = args;
    words.position = words.type = NULL;
    expect_ok(cei_embed(stream, &words, &error), &error);
    receive(args.out, out, TOKENS * HIDDEN);
    for (size_t i = 0; i < TOKENS; i++)
        assert_memory_equal(out + i * HIDDEN, word + ids[i] * HIDDEN, HIDDEN * sizeof *word);
    /* An index outside its table is a fault, never a read. */
    int32_t outside[TOKENS] = {0, 0, 6, 0, 0};
    args.ids = send(outside, sizeof outside);
    expect_status(cei_embed(stream, &args, &error), CE_ERR_DEVICE_FAULT, &error, "embed");
    outside[2] = -1;
    args.ids = send(outside, sizeof outside);
    expect_status(cei_embed(stream, &args, &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
}

static void norm_row(const float *x, const float *residual, const float *gain, const float *bias, double *wanted) {
    double mean = 0, variance = 0, v[HIDDEN];
    for (size_t c = 0; c < HIDDEN; c++) {
        v[c] = (double)x[c] + (residual ? residual[c] : 0);
        mean += v[c] / HIDDEN;
    }
    for (size_t c = 0; c < HIDDEN; c++) variance += (v[c] - mean) * (v[c] - mean) / HIDDEN;
    for (size_t c = 0; c < HIDDEN; c++) wanted[c] = gain[c] * (v[c] - mean) / sqrt(variance + 1e-12) + bias[c];
}

static void test_norm(void **state) {
    (void)state;
    float x[TOKENS * HIDDEN], residual[TOKENS * HIDDEN], gain[HIDDEN], bias[HIDDEN], out[TOKENS * HIDDEN];
    double wanted[TOKENS * HIDDEN];
    ce_error error = {0};
    fill(x, TOKENS * HIDDEN, 1), fill(residual, TOKENS * HIDDEN, 2), fill(gain, HIDDEN, 3), fill(bias, HIDDEN, 4);
    cei_weight g = send_weight(CEI_ROLE_VECTOR, 1, HIDDEN, gain), b = send_weight(CEI_ROLE_VECTOR, 1, HIDDEN, bias);
    cei_slice other = send(residual, sizeof residual);
    cei_norm_args args = {
        .rows = TOKENS, .x = send(x, sizeof x), .gain = &g, .bias = &b, .epsilon = 1e-12f, .out = reserve(sizeof out)};
    for (int with = 0; with < 2; with++) {
        args.residual = with ? &other : NULL;
        expect_ok(cei_norm(stream, &args, &error), &error);
        receive(args.out, out, TOKENS * HIDDEN);
        for (size_t r = 0; r < TOKENS; r++)
            norm_row(x + r * HIDDEN, with ? residual + r * HIDDEN : NULL, gain, bias, wanted + r * HIDDEN);
        expect_near(out, wanted, TOKENS * HIDDEN);
    }
    args.out = args.x; /* in place, which the contract allows */
    expect_ok(cei_norm(stream, &args, &error), &error);
    receive(args.out, out, TOKENS * HIDDEN);
    expect_near(out, wanted, TOKENS * HIDDEN);
}

static double function_of(cei_function function, double x) {
    switch (function) {
    case CEI_FN_GELU: return x / 2 * (1 + erf(x / sqrt(2)));
    case CEI_FN_GELU_TANH: return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case CEI_FN_GELU_QUICK: return x / (1 + exp(-1.702 * x));
    case CEI_FN_RELU: return x > 0 ? x : 0;
    case CEI_FN_SILU: return x / (1 + exp(-x));
    case CEI_FN_TANH: return tanh(x);
    case CEI_FN_SIGMOID: return 1 / (1 + exp(-x));
    default: return x;
    }
}

static void test_linear_with_each_function(void **state) {
    (void)state;
    float x[TOKENS * HIDDEN], weight[WIDE * HIDDEN], bias[WIDE], out[TOKENS * WIDE];
    double wanted[TOKENS * WIDE];
    ce_error error = {0};
    fill(x, TOKENS * HIDDEN, 1), fill(weight, WIDE * HIDDEN, 2), fill(bias, WIDE, 3);
    cei_weight w = send_weight(CEI_ROLE_MATRIX, WIDE, HIDDEN, weight), b = send_weight(CEI_ROLE_VECTOR, 1, WIDE, bias);
    cei_linear_args args = {TOKENS, send(x, sizeof x), &w, &b, CEI_FN_IDENTITY, reserve(sizeof out), NULL, NULL};
    for (int function = -1; function < CEI_FN_COUNT; function++) { /* -1: no bias */
        args.function = function < 0 ? CEI_FN_IDENTITY : (cei_function)function;
        args.bias = function < 0 ? NULL : &b;
        expect_ok(cei_linear(stream, &args, &error), &error);
        receive(args.out, out, TOKENS * WIDE);
        for (size_t r = 0; r < TOKENS; r++)
            for (size_t o = 0; o < WIDE; o++) {
                double sum = function < 0 ? 0 : bias[o];
                for (size_t i = 0; i < HIDDEN; i++) sum += (double)x[r * HIDDEN + i] * weight[o * HIDDEN + i];
                wanted[r * WIDE + o] = function_of(args.function, sum);
            }
        expect_near(out, wanted, TOKENS * WIDE);
    }
}

/* Token t of a sequence of length tokens at first, one head. */
static void attend(const float *qkv, size_t first, size_t length, size_t t, size_t head, double *wanted) {
    double weights[TOKENS], sum = 0;
    const size_t row = 3 * HIDDEN;
    const float *query = qkv + (first + t) * row + head * SIZE;
    for (size_t k = 0; k < length; k++) {
        double dot = 0;
        for (size_t c = 0; c < SIZE; c++) dot += (double)query[c] * qkv[(first + k) * row + HIDDEN + head * SIZE + c];
        weights[k] = exp(dot * 0.5);
        sum += weights[k];
    }
    for (size_t c = 0; c < SIZE; c++) {
        wanted[head * SIZE + c] = 0;
        for (size_t k = 0; k < length; k++)
            wanted[head * SIZE + c] += weights[k] / sum * qkv[(first + k) * row + 2 * HIDDEN + head * SIZE + c];
    }
}

static cei_attention_args attention_of(size_t tokens, size_t sequences, size_t longest, float scale) {
    return (cei_attention_args){.tokens = tokens,
                                .sequences = sequences,
                                .longest = longest,
                                .heads = HEADS,
                                .head_size = SIZE,
                                .scale = scale};
}

static void test_attention(void **state) {
    (void)state;
    float qkv[TOKENS * 3 * HIDDEN], out[TOKENS * HIDDEN];
    double wanted[TOKENS * HIDDEN];
    int32_t offsets[4] = {0, 3, 3, TOKENS}; /* the second sequence is empty */
    ce_error error = {0};
    fill(qkv, TOKENS * 3 * HIDDEN, 1);
    cei_attention_args args = attention_of(TOKENS, 3, 3, 0.5f);
    args.offsets = send(offsets, sizeof offsets);
    args.out = reserve(sizeof out);
    cei_attention_take_qkv(&args, send(qkv, sizeof qkv));
    expect_ok(cei_attention(stream, &args, &error), &error);
    receive(args.out, out, TOKENS * HIDDEN);
    for (size_t s = 0; s < 3; s++)
        for (size_t t = 0; t < (size_t)(offsets[s + 1] - offsets[s]); t++)
            for (size_t h = 0; h < HEADS; h++)
                attend(qkv, (size_t)offsets[s], (size_t)(offsets[s + 1] - offsets[s]), t, h,
                       wanted + ((size_t)offsets[s] + t) * HIDDEN);
    expect_near(out, wanted, TOKENS * HIDDEN);

    /* The first tokens alone: queries are rows of their own, and that of the empty sequence is left alone. */
    float first[3 * HIDDEN], found[3 * HIDDEN], canary[HIDDEN];
    fill(canary, HIDDEN, 1);
    for (size_t s = 0; s < 3; s++) memcpy(first + s * HIDDEN, qkv + (size_t)(s ? 3 : 0) * 3 * HIDDEN, sizeof canary);
    memcpy(found + HIDDEN, canary, sizeof canary);
    cei_attention_args fewer = args;
    fewer.first_only = true;
    fewer.q = (cei_strided){send(first, sizeof first), HIDDEN};
    fewer.out = send(found, sizeof found);
    expect_ok(cei_attention(stream, &fewer, &error), &error);
    receive(fewer.out, found, 3 * HIDDEN);
    assert_memory_equal(found, out, HIDDEN * sizeof *out);
    assert_memory_equal(found + HIDDEN, canary, sizeof canary);
    assert_memory_equal(found + 2 * HIDDEN, out + (size_t)3 * HIDDEN, HIDDEN * sizeof *out);

    static const int32_t unsound[][4] = {
        {1, 3, 3, TOKENS}, {0, 3, 3, TOKENS + 1}, {0, 4, 3, TOKENS}, {0, 0, 0, TOKENS}};
    for (size_t i = 0; i < 4; i++) {
        args.offsets = send(unsound[i], sizeof unsound[i]);
        expect_status(cei_attention(stream, &args, &error), CE_ERR_DEVICE_FAULT, &error, "attention");
    }
}

static void test_gather(void **state) {
    (void)state;
    float x[TOKENS * HIDDEN], out[3 * HIDDEN];
    int32_t rows[3] = {4, 0, 4};
    ce_error error = {0};
    fill(x, TOKENS * HIDDEN, 1);
    cei_gather_args args = {3, HIDDEN, send(x, sizeof x), send(rows, sizeof rows), reserve(sizeof out)};
    expect_ok(cei_gather(stream, &args, &error), &error);
    receive(args.out, out, 3 * HIDDEN);
    for (size_t i = 0; i < 3; i++) assert_memory_equal(out + i * HIDDEN, x + rows[i] * HIDDEN, HIDDEN * sizeof *x);
    rows[1] = -1;
    args.rows = send(rows, sizeof rows);
    expect_status(cei_gather(stream, &args, &error), CE_ERR_DEVICE_FAULT, &error, "gather");
    rows[1] = SPACE / (HIDDEN * 4);
    args.rows = send(rows, sizeof rows);
    expect_status(cei_gather(stream, &args, &error), CE_ERR_DEVICE_FAULT, &error, "outside");
}

static void test_nothing_to_do_is_done(void **state) {
    (void)state;
    float values[HIDDEN * HIDDEN] = {0};
    int32_t zero[1] = {0};
    ce_error error = {0};
    cei_weight t = send_weight(CEI_ROLE_TABLE, HIDDEN, HIDDEN, values),
               v = send_weight(CEI_ROLE_VECTOR, 1, HIDDEN, values);
    cei_weight m = send_weight(CEI_ROLE_MATRIX, HIDDEN, HIDDEN, values);
    cei_slice at = send(zero, sizeof zero), x = reserve(4);
    cei_embed_args embed = {.ids = at, .positions = at, .types = at, .word = &t, .position = &t, .type = &t, .out = x};
    cei_norm_args norm = {.x = x, .gain = &v, .bias = &v, .epsilon = 1e-12f, .out = x};
    cei_linear_args linear = {0, x, &m, &v, CEI_FN_IDENTITY, x, NULL, NULL};
    cei_attention_args attention = attention_of(0, 0, 0, 1);
    attention.offsets = at, attention.out = x;
    cei_attention_take_qkv(&attention, (cei_slice){x.buffer, 0});
    expect_ok(cei_embed(stream, &embed, &error), &error);
    expect_ok(cei_norm(stream, &norm, &error), &error);
    expect_ok(cei_linear(stream, &linear, &error), &error);
    expect_ok(cei_attention(stream, &attention, &error), &error);
}

static void test_a_distorted_operation_is_wrong_in_one_value(void **state) {
    (void)state;
    float x[HIDDEN], out[HIDDEN];
    int32_t rows[1] = {0};
    ce_error error = {0};
    fill(x, HIDDEN, 1);
    cei_gather_args args = {1, HIDDEN, send(x, sizeof x), send(rows, sizeof rows), reserve(sizeof out)};
    cei_sim_distort(0, CEI_OP_GATHER, true);
    expect_ok(cei_gather(stream, &args, &error), &error);
    receive(args.out, out, HIDDEN);
    size_t wrong = 0;
    for (size_t i = 0; i < HIDDEN; i++) wrong += memcmp(&x[i], &out[i], sizeof *x) != 0;
    assert_int_equal(wrong, 1);
    cei_sim_distort(0, CEI_OP_GATHER, false);
    expect_ok(cei_gather(stream, &args, &error), &error);
    receive(args.out, out, HIDDEN);
    assert_memory_equal(x, out, sizeof x);
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_GATHER], 2);
}

/* ---- arguments that are refused ------------------------------------------------------------------------------ */

#define refused(call) expect_status((call), CE_ERR_ARGUMENT, &error, "internal: ")

/* Slices that a float32 [rows, columns] cannot be in. */
typedef struct bad_slices {
    cei_slice all[5];
} bad_slices;

static bad_slices bad_slices_for(size_t bytes) {
    return (bad_slices){{{NULL, 0},                            /* nowhere */
                         {foreign, 0},                         /* on another device */
                         {buffer, 2},                          /* between two elements */
                         {buffer, SPACE - bytes + 4},          /* one element too far */
                         {buffer, SIZE_MAX - bytes / 2 - 3}}}; /* an end that overflows */
}

static void test_transfers_outside_a_buffer(void **state) {
    (void)state;
    char bytes[16] = {0};
    ce_error error = {0};
    refused(cei_write(stream, (cei_slice){buffer, SPACE - 15}, bytes, 16, &error));
    refused(cei_write(stream, (cei_slice){buffer, SIZE_MAX}, bytes, 16, &error));
    refused(cei_write(stream, (cei_slice){foreign, 0}, bytes, 16, &error));
    refused(cei_write(stream, (cei_slice){NULL, 0}, bytes, 16, &error));
    refused(cei_read(stream, bytes, (cei_slice){buffer, SPACE - 15}, 16, &error));
    refused(cei_read(stream, bytes, (cei_slice){buffer, 8}, SIZE_MAX, &error));
    refused(cei_read(stream, bytes, (cei_slice){foreign, 0}, 16, &error));
    refused(cei_read(stream, bytes, (cei_slice){NULL, 0}, 16, &error));
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_WRITE] + cei_sim_count(0).calls[CEI_SIM_READ], 0);
}

static void test_weights_outside_their_memory(void **state) {
    (void)state;
    float values[4 * HIDDEN] = {0};
    uint64_t sum;
    ce_error error = {0};
    cei_weight good = {CEI_ROLE_MATRIX, 4, HIDDEN, {buffer, 0}, CEI_FORMAT_FLOAT32, false};
    static const size_t ranges[][2] = {{0, 5}, {4, 1}, {5, 0}, {1, SIZE_MAX}, {SIZE_MAX, 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        refused(cei_weight_write(device, &good, ranges[i][0], ranges[i][1], values, NULL, &error));
        refused(cei_weight_read(device, &good, ranges[i][0], ranges[i][1], values, NULL, &error));
        refused(cei_weight_checksum(device, &good, ranges[i][0], ranges[i][1], &sum, &error));
    }
    cei_weight elsewhere[] = {good, good, good};
    elsewhere[0].at.buffer = foreign;
    elsewhere[1].at.offset = SPACE - 4;
    elsewhere[2].at.offset = SIZE_MAX - 3;
    for (size_t i = 0; i < 3; i++) {
        refused(cei_weight_write(device, &elsewhere[i], 0, 4, values, NULL, &error));
        refused(cei_weight_read(device, &elsewhere[i], 0, 4, values, NULL, &error));
        refused(cei_weight_checksum(device, &elsewhere[i], 0, 4, &sum, &error));
    }
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_UPLOAD], 0);
    good.at.buffer = NULL; /* a weight of the reference device, which this one must refuse */
    expect_status(cei_weight_write(device, &good, 0, 4, values, NULL, &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
    expect_status(cei_weight_read(device, &good, 0, 4, values, NULL, &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
    expect_status(cei_weight_checksum(device, &good, 0, 4, &sum, &error), CE_ERR_DEVICE_FAULT, &error, "sim:0");
}

static void test_embed_arguments(void **state) {
    (void)state;
    float values[4 * HIDDEN] = {0};
    int32_t zeros[TOKENS] = {0};
    ce_error error = {0};
    cei_weight t = send_weight(CEI_ROLE_TABLE, 4, HIDDEN, values), v = send_weight(CEI_ROLE_VECTOR, 1, HIDDEN, values);
    cei_weight narrow = t;
    narrow.columns = HIDDEN - 1;
    cei_slice at = send(zeros, sizeof zeros);
    const cei_embed_args good = {TOKENS, at, at, at, &t, &t, &t, 0, reserve(TOKENS * HIDDEN * 4)};
    cei_embed_args args = good;
    expect_ok(cei_embed(stream, &args, &error), &error);
    args.tokens = limits.tokens + 1, refused(cei_embed(stream, &args, &error));
    args.tokens = SIZE_MAX / 2, refused(cei_embed(stream, &args, &error));
    args = good, args.word = NULL, refused(cei_embed(stream, &args, &error));
    args = good, args.position = &v, refused(cei_embed(stream, &args, &error));
    args = good, args.type = &narrow, refused(cei_embed(stream, &args, &error));
    for (size_t i = 0; i < 5; i++) {
        bad_slices index = bad_slices_for(TOKENS * 4), wide = bad_slices_for(TOKENS * HIDDEN * 4);
        args = good, args.ids = index.all[i], refused(cei_embed(stream, &args, &error));
        args = good, args.positions = index.all[i], refused(cei_embed(stream, &args, &error));
        args = good, args.types = index.all[i], refused(cei_embed(stream, &args, &error));
        args = good, args.out = wide.all[i], refused(cei_embed(stream, &args, &error));
    }
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_EMBED], 1);
}

static void test_norm_arguments(void **state) {
    (void)state;
    float values[HIDDEN] = {0};
    ce_error error = {0};
    cei_weight v = send_weight(CEI_ROLE_VECTOR, 1, HIDDEN, values), t = v, narrow = v;
    t.role = CEI_ROLE_TABLE;
    narrow.columns = HIDDEN - 1;
    cei_slice x = reserve(TOKENS * HIDDEN * 4);
    const cei_norm_args good = {.rows = TOKENS, .x = x, .gain = &v, .bias = &v, .epsilon = 1e-12f, .out = x};
    cei_norm_args args = good;
    expect_ok(cei_norm(stream, &args, &error), &error);
    args = good, args.gain = NULL, refused(cei_norm(stream, &args, &error));
    args = good, args.gain = &t, refused(cei_norm(stream, &args, &error));
    args = good, args.bias = &narrow, refused(cei_norm(stream, &args, &error));
    args = good, args.rows = SIZE_MAX / 2, refused(cei_norm(stream, &args, &error));
    for (size_t i = 0; i < 5; i++) {
        bad_slices wide = bad_slices_for(TOKENS * HIDDEN * 4);
        args = good, args.x = wide.all[i], refused(cei_norm(stream, &args, &error));
        args = good, args.out = wide.all[i], refused(cei_norm(stream, &args, &error));
        args = good, args.residual = &wide.all[i], refused(cei_norm(stream, &args, &error));
        args = good, args.sum = &wide.all[i], refused(cei_norm(stream, &args, &error));
    }
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_NORM], 1);
}

static void test_linear_arguments(void **state) {
    (void)state;
    float values[41 * HIDDEN] = {0};
    ce_error error = {0};
    cei_weight m = send_weight(CEI_ROLE_MATRIX, WIDE, HIDDEN, values),
               v = send_weight(CEI_ROLE_VECTOR, 1, WIDE, values);
    cei_weight wide_out = send_weight(CEI_ROLE_MATRIX, 41, HIDDEN, values), narrow = v, elsewhere = m;
    narrow.columns = WIDE - 1;
    elsewhere.at = (cei_slice){buffer, SPACE - 256};
    const cei_linear_args good = {TOKENS,      reserve(TOKENS * HIDDEN * 4), &m,   &v,
                                  CEI_FN_RELU, reserve(TOKENS * WIDE * 4),   NULL, NULL};
    cei_linear_args args = good;
    expect_ok(cei_linear(stream, &args, &error), &error);
    args = good, args.weight = NULL, refused(cei_linear(stream, &args, &error));
    args = good, args.weight = &v, refused(cei_linear(stream, &args, &error));
    args = good, args.weight = &elsewhere, refused(cei_linear(stream, &args, &error));
    args = good, args.bias = &narrow, refused(cei_linear(stream, &args, &error));
    args = good, args.bias = NULL, args.weight = &wide_out, refused(cei_linear(stream, &args, &error));
    args = good, args.function = CEI_FN_COUNT, refused(cei_linear(stream, &args, &error));
    args = good, args.function = (cei_function)-1, refused(cei_linear(stream, &args, &error));
    args = good, args.rows = SIZE_MAX / 2, refused(cei_linear(stream, &args, &error));
    for (size_t i = 0; i < 5; i++) {
        args = good, args.x = bad_slices_for(TOKENS * HIDDEN * 4).all[i], refused(cei_linear(stream, &args, &error));
        args = good, args.out = bad_slices_for(TOKENS * WIDE * 4).all[i], refused(cei_linear(stream, &args, &error));
    }
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_LINEAR], 1);
}

static void test_attention_arguments(void **state) {
    (void)state;
    int32_t offsets[3] = {0, 2, 4};
    ce_error error = {0};
    cei_attention_args good = attention_of(4, 2, 2, 1);
    good.offsets = send(offsets, sizeof offsets);
    good.out = reserve(4 * HIDDEN * 4);
    cei_attention_take_qkv(&good, reserve(4 * 3 * HIDDEN * 4));
    cei_attention_args args = good;
    expect_ok(cei_attention(stream, &args, &error), &error);
    args = good, args.tokens = limits.tokens + 1, refused(cei_attention(stream, &args, &error));
    args = good, args.longest = limits.sequence + 1, refused(cei_attention(stream, &args, &error));
    args = good, args.head_size = limits.head_size + 1, refused(cei_attention(stream, &args, &error));
    args = good, args.heads = SIZE_MAX / 2, refused(cei_attention(stream, &args, &error));
    args = good, args.sequences = SIZE_MAX, refused(cei_attention(stream, &args, &error));
    args = good, args.q.stride = HIDDEN - 1, refused(cei_attention(stream, &args, &error));
    args = good, args.k.stride = SIZE_MAX / 2, refused(cei_attention(stream, &args, &error));
    args = good, args.v.stride = SPACE / 8, refused(cei_attention(stream, &args, &error));
    for (size_t i = 0; i < 5; i++) {
        args = good, args.offsets = bad_slices_for(12).all[i], refused(cei_attention(stream, &args, &error));
        cei_strided *const operands[] = {&args.q, &args.k, &args.v};
        for (size_t o = 0; o < 3; o++) {
            args = good, operands[o]->at = bad_slices_for((3 * 3 + 1) * HIDDEN * 4).all[i];
            refused(cei_attention(stream, &args, &error));
        }
        args = good, args.out = bad_slices_for(4 * HIDDEN * 4).all[i], refused(cei_attention(stream, &args, &error));
    }
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_ATTENTION], 1);
}

static void test_gather_arguments(void **state) {
    (void)state;
    int32_t rows[2] = {0, 0};
    ce_error error = {0};
    const cei_gather_args good = {2, HIDDEN, reserve(HIDDEN * 4), send(rows, sizeof rows), reserve(2 * HIDDEN * 4)};
    cei_gather_args args = good;
    expect_ok(cei_gather(stream, &args, &error), &error);
    args = good, args.count = SIZE_MAX / 2, refused(cei_gather(stream, &args, &error));
    args = good, args.columns = SIZE_MAX / 2, refused(cei_gather(stream, &args, &error));
    for (size_t i = 0; i < 5; i++) {
        args = good, args.x = bad_slices_for(HIDDEN * 4).all[i], refused(cei_gather(stream, &args, &error));
        args = good, args.rows = bad_slices_for(8).all[i], refused(cei_gather(stream, &args, &error));
        args = good, args.out = bad_slices_for(2 * HIDDEN * 4).all[i], refused(cei_gather(stream, &args, &error));
    }
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_GATHER], 1);
}

/* The formulas are the reference's, tested there; here: that they are reached, and what is refused. */
static void test_pool(void **state) {
    (void)state;
    float x[TOKENS * HIDDEN], out[2 * HIDDEN];
    int32_t offsets[3] = {0, 2, TOKENS};
    ce_error error = {0};
    fill(x, TOKENS * HIDDEN, 1);
    const cei_pool_args good = {TOKENS,
                                2,
                                HIDDEN,
                                send(x, sizeof x),
                                send(offsets, sizeof offsets),
                                CEI_POOL_LAST,
                                0,
                                {reserve(sizeof out), HIDDEN}};
    cei_pool_args args = good;
    expect_ok(cei_pool_rows(stream, &args, &error), &error);
    receive(args.out.at, out, 2 * HIDDEN);
    assert_memory_equal(out, x + HIDDEN, HIDDEN * sizeof *x);
    assert_memory_equal(out + HIDDEN, x + (TOKENS - 1) * HIDDEN, HIDDEN * sizeof *x);
    args = good, args.pooling = CEI_POOL_COUNT, refused(cei_pool_rows(stream, &args, &error));
    args = good, args.sequences = SIZE_MAX, refused(cei_pool_rows(stream, &args, &error));
    args = good, args.columns = SIZE_MAX / 2, refused(cei_pool_rows(stream, &args, &error));
    args = good, args.out.stride = HIDDEN - 1, refused(cei_pool_rows(stream, &args, &error));
    for (size_t i = 0; i < 5; i++) {
        args = good, args.x = bad_slices_for(sizeof x).all[i], refused(cei_pool_rows(stream, &args, &error));
        args = good, args.offsets = bad_slices_for(12).all[i], refused(cei_pool_rows(stream, &args, &error));
        args = good, args.out.at = bad_slices_for(sizeof out).all[i], refused(cei_pool_rows(stream, &args, &error));
    }
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_POOL], 1);
    offsets[1] = TOKENS + 1;
    args = good, args.offsets = send(offsets, sizeof offsets);
    expect_status(cei_pool_rows(stream, &args, &error), CE_ERR_DEVICE_FAULT, &error, "pool");
}

static void test_normalize(void **state) {
    (void)state;
    float x[2 * HIDDEN] = {0}, out[2 * HIDDEN];
    ce_error error = {0};
    x[0] = 3, x[1] = 4;
    const cei_normalize_args good = {2, HIDDEN, send(x, sizeof x), reserve(sizeof out)};
    cei_normalize_args args = good;
    expect_ok(cei_normalize_rows(stream, &args, &error), &error);
    receive(args.out, out, 2 * HIDDEN);
    assert_true(out[0] == 0.6f && out[1] == 0.8f && out[HIDDEN] == 0);
    args = good, args.rows = SIZE_MAX / 2, refused(cei_normalize_rows(stream, &args, &error));
    for (size_t i = 0; i < 5; i++) {
        args = good, args.x = bad_slices_for(sizeof x).all[i], refused(cei_normalize_rows(stream, &args, &error));
        args = good, args.out = bad_slices_for(sizeof out).all[i], refused(cei_normalize_rows(stream, &args, &error));
    }
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_NORMALIZE], 1);
}

static void test_names_of_operations(void **state) {
    (void)state;
    assert_string_equal(cei_op_name(CEI_OP_EMBED), "embed");
    assert_string_equal(cei_op_name(CEI_OP_GATHER), "gather");
    assert_string_equal(cei_op_name(CEI_OP_COUNT), "unknown");
    assert_string_equal(cei_op_name((cei_op)-1), "unknown");
}

#define ops_test(name) cmocka_unit_test_setup_teardown(name, open_machine, close_machine)

int main(void) {
    const struct CMUnitTest tests[] = {
        ops_test(test_embed),
        ops_test(test_norm),
        ops_test(test_linear_with_each_function),
        ops_test(test_attention),
        ops_test(test_gather),
        ops_test(test_nothing_to_do_is_done),
        ops_test(test_a_distorted_operation_is_wrong_in_one_value),
        ops_test(test_transfers_outside_a_buffer),
        ops_test(test_weights_outside_their_memory),
        ops_test(test_embed_arguments),
        ops_test(test_norm_arguments),
        ops_test(test_linear_arguments),
        ops_test(test_attention_arguments),
        ops_test(test_gather_arguments),
        ops_test(test_pool),
        ops_test(test_normalize),
        ops_test(test_names_of_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
