/* Weights on the cpu device: what is written comes back, in parts too, and checksums are those of the file's order.
 * Buffers: what they hold, what they cost, and what they say when there is not enough. */
#include "device/cases.h"

#include "device/checksum.h"
#include "device/emulated.h"
#include "formats/values.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct weight_case {
    cei_role role;
    size_t rows, columns;
} weight_case;

static const weight_case cases[] = {
    {CEI_ROLE_MATRIX, 1, 1},    {CEI_ROLE_MATRIX, 3, 384},  {CEI_ROLE_MATRIX, 33, 5},    {CEI_ROLE_MATRIX, 64, 64},
    {CEI_ROLE_MATRIX, 129, 31}, {CEI_ROLE_MATRIX, 7, 1},    {CEI_ROLE_MATRIX, 1152, 96}, {CEI_ROLE_VECTOR, 1, 1},
    {CEI_ROLE_VECTOR, 1, 1000}, {CEI_ROLE_TABLE, 1, 1},     {CEI_ROLE_TABLE, 17, 33},    {CEI_ROLE_TABLE, 5000, 77},
    {CEI_ROLE_TABLE, 2, 384},   {CEI_ROLE_MATRIX, 31, 513},
};
enum { CASES = sizeof cases / sizeof *cases };

/* Any bits at all, NaNs among them: weights are carried, not computed. */
static float *random_words(size_t count) {
    uint32_t *words = malloc((count + 1) * sizeof *words);
    assert_non_null(words);
    for (size_t i = 0; i < count; i++) words[i] = random_bits();
    return (float *)(void *)words;
}

static uint64_t wanted_checksum(const float *values, size_t count) {
    cei_checksum sum = {0};
    cei_checksum_add(&sum, values, count);
    return cei_checksum_value(&sum);
}

static cei_weight make_weight(cpu_device *cpu, const weight_case *c, cei_format format) {
    ce_error error;
    cei_weight weight = {c->role, c->rows, c->columns, {NULL, CEI_BUFFER_ALIGNMENT}, format, false};
    const size_t bytes = cei_weight_bytes(cpu->device, &weight);
    assert_true(bytes > 0 && bytes % CEI_BUFFER_ALIGNMENT == 0);
    expect_ok(cei_buffer_create(cpu->device, bytes + 2 * CEI_BUFFER_ALIGNMENT, &weight.at.buffer, &error), &error);
    /* What was in memory before must not matter. */
    memset(((cei_cpu_buffer *)weight.at.buffer)->data, 0x7F, bytes + 2 * CEI_BUFFER_ALIGNMENT);
    return weight;
}

/* The neighbours of a weight in its buffer are other tensors. */
static void expect_neighbours(const cei_weight *weight) {
    const uint8_t *data = ((cei_cpu_buffer *)weight->at.buffer)->data;
    const size_t bytes = weight->at.buffer->bytes;
    for (size_t i = 0; i < CEI_BUFFER_ALIGNMENT; i++)
        if (data[i] != 0x7F || data[bytes - 1 - i] != 0x7F) fail_msg("a weight was written outside its place");
}

/* What a product reads past the last row of a matrix is zeros. */
static void expect_padding(const cpu_device *cpu, const cei_weight *weight) {
    const size_t panel = cei_cpu_of(cpu->device)->kernels.panel, used = weight->rows % panel;
    if (weight->role != CEI_ROLE_MATRIX || used == 0) return;
    const float *data = (const float *)(const void *)(((cei_cpu_buffer *)weight->at.buffer)->data + weight->at.offset);
    const float *last = data + weight->rows / panel * panel * weight->columns, zero = 0;
    for (size_t k = 0; k < weight->columns; k++)
        for (size_t j = used; j < panel; j++) expect_same_bits(&last[k * panel + j], &zero, 1, "padding");
}

/* Written in parts of random heights, from last to first or first to last. */
static void write_in_parts(cpu_device *cpu, const cei_weight *weight, const float *values, const float *scales) {
    ce_error error;
    const bool backwards = random_bits() & 1;
    size_t done = 0;
    while (done < weight->rows) {
        const size_t count = random_size(1, weight->rows - done < 70 ? weight->rows - done : 70);
        const size_t first = backwards ? weight->rows - done - count : done;
        expect_ok(cei_weight_write(cpu->device, weight, first, count, values + first * weight->columns,
                                   scales ? scales + first : NULL, &error),
                  &error);
        done += count;
    }
}

static void check_weight(cpu_device *cpu, const cei_weight *weight, const float *values, const float *scales) {
    ce_error error;
    float *back = random_words(weight->rows * weight->columns), *back_scales = random_words(weight->rows);
    for (size_t round = 0; round < 6; round++) {
        const size_t first = round ? random_size(0, weight->rows) : 0;
        const size_t count = round ? random_size(0, weight->rows - first) : weight->rows;
        const size_t size = count * weight->columns;
        uint64_t checksum = 1;
        expect_ok(cei_weight_checksum(cpu->device, weight, first, count, &checksum, &error), &error);
        assert_true(checksum == wanted_checksum(values + first * weight->columns, size));
        expect_ok(cei_weight_read(cpu->device, weight, first, count, back, scales ? back_scales : NULL, &error),
                  &error);
        assert_memory_equal(back, values + first * weight->columns, size * sizeof *back);
        if (scales) assert_memory_equal(back_scales, scales + first, count * sizeof *scales);
    }
    free(back), free(back_scales);
}

static void test_weights(void **state) {
    static const unsigned threads[] = {1, 2, 3, 5};
    for (size_t i = 0; i < CASES; i++) {
        cpu_device cpu = cpu_open(*state, threads[i % 4]);
        cei_weight weight = make_weight(&cpu, &cases[i], CEI_FORMAT_FLOAT32);
        float *values = random_words(cases[i].rows * cases[i].columns);
        ce_error error;
        expect_ok(cei_weight_write(cpu.device, &weight, 0, weight.rows, values, NULL, &error), &error);
        check_weight(&cpu, &weight, values, NULL);
        memset(((cei_cpu_buffer *)weight.at.buffer)->data, 0x7F, weight.at.buffer->bytes);
        write_in_parts(&cpu, &weight, values, NULL);
        check_weight(&cpu, &weight, values, NULL);
        expect_neighbours(&weight);
        expect_padding(&cpu, &weight);
        cei_buffer_free(weight.at.buffer);
        cpu_close(&cpu);
        free(values);
    }
}

/* A single wrong bit anywhere is seen, be it of what products read beside the values. */
static void test_checksum_sees(void **state) {
    cpu_device cpu = cpu_open(*state, 1);
    const weight_case c = {CEI_ROLE_MATRIX, 40, 50};
    cei_weight weight = make_weight(&cpu, &c, CEI_FORMAT_FLOAT32);
    float *values = random_words(c.rows * c.columns);
    ce_error error;
    expect_ok(cei_weight_write(cpu.device, &weight, 0, weight.rows, values, NULL, &error), &error);
    const size_t panel = cei_cpu_of(cpu.device)->kernels.panel;
    float *data = (float *)(void *)(((cei_cpu_buffer *)weight.at.buffer)->data + weight.at.offset);
    const bool has_digits = cei_cpu_takes_digits(&cei_cpu_of(cpu.device)->kernels, c.columns);
    for (size_t round = 0; round < 100; round++) {
        const size_t row = random_size(0, c.rows - 1), column = random_size(0, c.columns - 1);
        float *held = &data[(row / panel * c.columns + column) * panel + row % panel];
        if (has_digits && round % 4 == 0) held = cei_cpu_exponents(&cei_cpu_of(cpu.device)->kernels, &weight) + row;
        uint32_t bits;
        memcpy(&bits, held, sizeof bits);
        const uint32_t flipped = bits ^ 1u << random_size(0, 31);
        memcpy(held, &flipped, sizeof flipped);
        uint64_t checksum;
        expect_ok(cei_weight_checksum(cpu.device, &weight, 0, c.rows, &checksum, &error), &error);
        assert_true(checksum != wanted_checksum(values, c.rows * c.columns));
        memcpy(held, &bits, sizeof bits);
    }
    cei_buffer_free(weight.at.buffer);
    cpu_close(&cpu);
    free(values);
}

/* ---- low precision ------------------------------------------------------------------------------------------- */

/* Values that a format holds exactly. bfloat16: any bits at all. float16: of such, rounded. int8: rows as rounding
 * leaves them and, where from_file is set, as a file may bring them: with integers down to -128 and scales of either
 * sign. */
static float *low_values(const weight_case *c, cei_format format, bool from_file, float *scales) {
    float *values = random_words(c->rows * c->columns);
    for (size_t i = 0; i < c->rows * c->columns; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bits &= UINT32_C(0xFFFF0000);
        memcpy(values + i, &bits, sizeof bits);
        if (format == CEI_FORMAT_FLOAT16 && i % 8)
            values[i] = ldexpf(random_float(-1, 1), (int)random_size(0, 44) - 27);
    }
    if (format == CEI_FORMAT_FLOAT16) cei_round_rows(format, values, c->rows, c->columns, NULL);
    for (size_t r = 0; r < c->rows && format == CEI_FORMAT_INT8; r++) {
        float *row = values + r * c->columns;
        const float size = ldexpf(random_float(1, 2), (int)random_size(0, 200) - 110);
        random_fill(row, c->columns, r % 7 == 6 ? 0 : size);
        if (!from_file) {
            cei_round_rows(format, row, 1, c->columns, scales + r);
            continue;
        }
        scales[r] = r % 2 ? size : -size;
        for (size_t i = 0; i < c->columns; i++) row[i] = scales[r] * (float)((int)random_size(0, 255) - 128);
    }
    return values;
}

static uint8_t *bytes_of(const cei_weight *weight) {
    return ((cei_cpu_buffer *)weight->at.buffer)->data + weight->at.offset;
}

/* A matrix's panels are as kernels.h says: sums of the integers, and zeros for rows and columns that it hasn't. */
static void expect_panels(const cpu_device *cpu, const cei_weight *weight) {
    const cei_cpu_kernels *kernels = &cei_cpu_of(cpu->device)->kernels;
    const cei_cpu_low_layout at = cei_cpu_low_lay_out(kernels, weight);
    const bool is_int8 = weight->format == CEI_FORMAT_INT8;
    const size_t group = at.low->group, width = kernels->panel, size = is_int8 ? 1 : 2;
    for (size_t row = 0; row < (weight->rows + width - 1) / width * width; row++) {
        const uint8_t *panel = bytes_of(weight) + row / width * at.panel_bytes;
        int32_t sum = 0, held_sum = 0;
        float scale = 0;
        for (size_t k = 0; k < at.depth; k++) {
            const uint8_t *value = panel + at.head + ((k / group * width + row % width) * group + k % group) * size;
            const bool is_padding = row >= weight->rows || k >= weight->columns;
            if (is_padding && (value[0] != 0 || value[size - 1] != 0)) fail_msg("row %zu, column %zu is no 0", row, k);
            sum += is_int8 ? (int8_t)*value : 0;
        }
        if (!is_int8) continue;
        memcpy(&scale, panel + row % width * sizeof scale, sizeof scale);
        memcpy(&held_sum, panel + (width + row % width) * sizeof scale, sizeof held_sum);
        if (held_sum != sum) fail_msg("row %zu: the sum is %d, not %d", row, (int)held_sum, (int)sum);
        if (row >= weight->rows) assert_true(scale == 0);
    }
}

static void check_low_weight(cpu_device *cpu, const weight_case *c, cei_format format, bool from_file) {
    float *scales = random_words(c->rows), *values = low_values(c, format, from_file, scales);
    const float *used = format == CEI_FORMAT_INT8 ? scales : NULL;
    cei_weight weight = make_weight(cpu, c, format);
    ce_error error;
    expect_ok(cei_weight_write(cpu->device, &weight, 0, weight.rows, values, used, &error), &error);
    check_weight(cpu, &weight, values, used);
    memset(bytes_of(&weight), 0x7F, weight.at.buffer->bytes - 2 * CEI_BUFFER_ALIGNMENT);
    write_in_parts(cpu, &weight, values, used);
    check_weight(cpu, &weight, values, used);
    expect_neighbours(&weight);
    if (c->role == CEI_ROLE_MATRIX) expect_panels(cpu, &weight);
    cei_buffer_free(weight.at.buffer);
    free(values), free(scales);
}

static void test_low_weights(void **state) {
    for (size_t i = 0; i < CASES; i++) {
        cpu_device cpu = cpu_open(*state, 1 + (unsigned)(i % 3));
        if (cases[i].role != CEI_ROLE_VECTOR) {
            check_low_weight(&cpu, &cases[i], CEI_FORMAT_BFLOAT16, false);
            check_low_weight(&cpu, &cases[i], CEI_FORMAT_FLOAT16, false);
            check_low_weight(&cpu, &cases[i], CEI_FORMAT_INT8, false);
            check_low_weight(&cpu, &cases[i], CEI_FORMAT_INT8, true);
        }
        cpu_close(&cpu);
    }
}

/* What precision is for: half the bytes, and a quarter. */
static void test_low_weights_are_small(void **state) {
    cpu_device cpu = cpu_open(*state, 1);
    for (int role = CEI_ROLE_TABLE; role <= CEI_ROLE_MATRIX; role++) {
        cei_weight shape = {.role = (cei_role)role, .rows = 1536, .columns = 384};
        const double full = (double)cei_weight_bytes(cpu.device, &shape);
        shape.format = CEI_FORMAT_BFLOAT16;
        assert_true((double)cei_weight_bytes(cpu.device, &shape) <= full * 0.51);
        shape.format = CEI_FORMAT_FLOAT16;
        assert_true((double)cei_weight_bytes(cpu.device, &shape) <= full * 0.51);
        shape.format = CEI_FORMAT_INT8;
        assert_true((double)cei_weight_bytes(cpu.device, &shape) <= full * 0.27);
    }
    cpu_close(&cpu);
}

/* What products read beside the values of the first row, the sum of its integers and its padding, is proved too. */
static void check_beside(cpu_device *cpu, const cei_weight *weight, uint64_t wanted) {
    const cei_cpu_kernels *kernels = &cei_cpu_of(cpu->device)->kernels;
    const cei_cpu_low_layout at = cei_cpu_low_lay_out(kernels, weight);
    const size_t size = weight->format == CEI_FORMAT_INT8 ? 1 : 2, group = at.low->group;
    size_t places[2], count = 0;
    ce_error error;
    if (weight->role != CEI_ROLE_MATRIX) return;
    if (weight->format == CEI_FORMAT_INT8) places[count++] = at.width * sizeof(float); /* behind the scales */
    if (at.depth > weight->columns) { /* the last value of the row's last group */
        const size_t last = at.depth - 1;
        places[count++] = at.head + (last / group * at.width * group + last % group) * size;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t checksum;
        bytes_of(weight)[places[i]] ^= 1;
        expect_ok(cei_weight_checksum(cpu->device, weight, 0, weight->rows, &checksum, &error), &error);
        assert_true(checksum != wanted);
        bytes_of(weight)[places[i]] ^= 1;
    }
}

/* Any bit of the memory: if what is read back changes, so does the checksum. */
static void check_flips(cpu_device *cpu, cei_role role, cei_format format) {
    const weight_case c = {role, 37, 50};
    float scales[37], *values = low_values(&c, format, false, scales), *back = random_words(37 * 50);
    cei_weight weight = make_weight(cpu, &c, format);
    ce_error error;
    expect_ok(cei_weight_write(cpu->device, &weight, 0, c.rows, values, scales, &error), &error);
    const size_t bytes = weight.at.buffer->bytes - 2 * CEI_BUFFER_ALIGNMENT;
    size_t seen = 0;
    for (size_t round = 0; round < 500; round++) {
        const size_t at = random_size(0, bytes - 1);
        const uint8_t bit = (uint8_t)(1 << random_size(0, 7));
        uint64_t checksum;
        bytes_of(&weight)[at] ^= bit;
        expect_ok(cei_weight_checksum(cpu->device, &weight, 0, c.rows, &checksum, &error), &error);
        expect_ok(cei_weight_read(cpu->device, &weight, 0, c.rows, back, scales, &error), &error);
        const bool differs = memcmp(back, values, c.rows * c.columns * sizeof *back) != 0;
        const bool noticed = checksum != wanted_checksum(values, c.rows * c.columns);
        assert_true(noticed || !differs);
        seen += noticed;
        bytes_of(&weight)[at] ^= bit;
    }
    assert_true(seen > 200); /* the rest is behind the last row, and scales of rows of zeros */
    check_beside(cpu, &weight, wanted_checksum(values, c.rows * c.columns));
    cei_buffer_free(weight.at.buffer);
    free(values), free(back);
}

static void test_low_checksum_sees(void **state) {
    cpu_device cpu = cpu_open(*state, 2);
    check_flips(&cpu, CEI_ROLE_MATRIX, CEI_FORMAT_BFLOAT16);
    check_flips(&cpu, CEI_ROLE_MATRIX, CEI_FORMAT_INT8);
    check_flips(&cpu, CEI_ROLE_TABLE, CEI_FORMAT_BFLOAT16);
    check_flips(&cpu, CEI_ROLE_MATRIX, CEI_FORMAT_FLOAT16);
    check_flips(&cpu, CEI_ROLE_TABLE, CEI_FORMAT_FLOAT16);
    check_flips(&cpu, CEI_ROLE_TABLE, CEI_FORMAT_INT8);
    cpu_close(&cpu);
}

/* An int8 value is found again at every scale that a weight may have. */
static void test_every_integer_at_many_scales(void **state) {
    enum { SCALES = 2000, VALUES = 256 };
    cpu_device cpu = cpu_open(*state, 1);
    const weight_case c = {CEI_ROLE_TABLE, SCALES, VALUES};
    float *scales = random_words(SCALES), *values = random_words((size_t)SCALES * VALUES);
    for (size_t r = 0; r < SCALES; r++) {
        scales[r] = ldexpf(random_float(1, 2), (int)(r % 246) - 126); /* from the least normal number on */
        for (size_t i = 0; i < VALUES; i++) values[r * VALUES + i] = scales[r] * (float)((int)i - 128);
    }
    scales[0] = FLT_MIN;
    for (size_t i = 0; i < VALUES; i++) values[i] = FLT_MIN * (float)((int)i - 128);
    cei_weight weight = make_weight(&cpu, &c, CEI_FORMAT_INT8);
    ce_error error;
    expect_ok(cei_weight_write(cpu.device, &weight, 0, SCALES, values, scales, &error), &error);
    check_weight(&cpu, &weight, values, scales);
    cei_buffer_free(weight.at.buffer);
    cpu_close(&cpu);
    free(scales), free(values);
}

static void test_low_sizes_overflow(void **state) {
    static const size_t shapes[][2] = {{SIZE_MAX, 1},
                                       {1, SIZE_MAX},
                                       {SIZE_MAX / 2, 8},
                                       {8, SIZE_MAX / 2},
                                       {SIZE_MAX - 7, 1},
                                       {1, SIZE_MAX - 7},
                                       {(size_t)1 << 32, (size_t)1 << 32},
                                       {SIZE_MAX, SIZE_MAX}};
    cpu_device cpu = cpu_open(*state, 1);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int role = CEI_ROLE_TABLE; role <= CEI_ROLE_MATRIX; role++)
            for (int format = CEI_FORMAT_BFLOAT16; format < CEI_FORMAT_COUNT; format++) {
                const cei_weight shape = {.role = (cei_role)role,
                                          .rows = shapes[i][0],
                                          .columns = shapes[i][1],
                                          .format = (cei_format)format};
                assert_int_equal(cei_weight_bytes(cpu.device, &shape), 0);
            }
    cpu_close(&cpu);
}

static void test_int8_needs_scales(void **state) {
    cpu_device cpu = cpu_open(*state, 1);
    const weight_case c = {CEI_ROLE_MATRIX, 3, 5};
    cei_weight weight = make_weight(&cpu, &c, CEI_FORMAT_INT8);
    float values[15] = {0};
    ce_error error;
    expect_status(cei_weight_write(cpu.device, &weight, 0, 3, values, NULL, &error), CE_ERR_ARGUMENT, &error, "scales");
    expect_status(cei_weight_read(cpu.device, &weight, 0, 3, values, NULL, &error), CE_ERR_ARGUMENT, &error, "scales");
    cei_buffer_free(weight.at.buffer);
    cpu_close(&cpu);
}

/* ---- sizes, memory -------------------------------------------------------------------------------------------- */

static void test_sizes_overflow(void **state) {
    cpu_device cpu = cpu_open(*state, 1);
    assert_int_equal(
        cei_weight_bytes(cpu.device, &(cei_weight){.role = CEI_ROLE_MATRIX, .rows = SIZE_MAX / 2, .columns = 8}), 0);
    assert_int_equal(
        cei_weight_bytes(cpu.device, &(cei_weight){.role = CEI_ROLE_TABLE, .rows = SIZE_MAX / 8, .columns = 8}), 0);
    const cei_stream_limits limits = {SIZE_MAX / 2, SIZE_MAX / 2, SIZE_MAX / 2, SIZE_MAX / 2, false};
    cei_stream *stream;
    ce_error error;
    expect_status(cei_stream_create(cpu.device, &limits, &stream, &error), CE_ERR_DEVICE_MEMORY, &error, "scratch");
    assert_null(stream);
    cpu_close(&cpu);
}

static void test_no_memory(void **state) {
    cpu_device cpu = cpu_open(*state, 1);
    cei_buffer *buffer = NULL;
    ce_error error;
    expect_status(cei_buffer_create(cpu.device, (size_t)1 << 60, &buffer, &error), CE_ERR_DEVICE_MEMORY, &error,
                  "MiB are needed");
    assert_null(buffer);
    assert_non_null(strstr(error.message, "are free"));
    cpu_close(&cpu);
}

static size_t resident_bytes(void) {
    size_t pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%zu %zu", &pages, &resident) != 2) skip();
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

#if defined(__has_feature)
#define THREAD_SANITIZER __has_feature(thread_sanitizer)
#define MEMORY_SANITIZER (__has_feature(address_sanitizer) || __has_feature(memory_sanitizer))
#elif defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#else
#define THREAD_SANITIZER 0
#endif
#if !defined(MEMORY_SANITIZER)
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_SANITIZER 1
#else
#define MEMORY_SANITIZER 0
#endif
#endif

/* Two buffers, of which the first is freed: the C library would keep what lies below memory in use. The second round is
 * for blocks that are no larger than one that was freed, which glibc takes from its heap. */
static void test_memory_goes_back(void **state) {
    if (THREAD_SANITIZER) {
        print_message("SKIP: ThreadSanitizer's own memory hides what the program gives back\n");
        skip();
    }
    static const size_t sizes[] = {24 << 20, 20 << 20};
    cpu_device cpu = cpu_open(*state, 1);
    for (size_t round = 0; round < 2; round++) {
        cei_buffer *buffers[2];
        ce_error error;
        const size_t bytes = sizes[round], before = resident_bytes();
        for (size_t i = 0; i < 2; i++) {
            expect_ok(cei_buffer_create(cpu.device, bytes, &buffers[i], &error), &error);
            memset(((cei_cpu_buffer *)buffers[i])->data, 1, bytes);
        }
        assert_true(resident_bytes() > before + bytes + bytes / 2);
        cei_buffer_free(buffers[0]);
        assert_true(resident_bytes() < before + bytes + bytes / 2);
        cei_buffer_free(buffers[1]);
        assert_true(resident_bytes() < before + bytes / 2);
    }
    cpu_close(&cpu);
}

/* Is the page at such an address mapped, by anything? */
static bool is_mapped(const void *address) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char resident;
    void *begin = (void *)((uintptr_t)address / page * page);
    if (mincore(begin, page, &resident) == 0) return true;
    assert_int_equal(errno, ENOMEM);
    return false;
}

/* Also where the C library would keep what is freed: glibc takes from its heap what is no larger than the largest
 * mapped block that was freed before, and the heap shrinks at its end alone. */
static void test_freed_memory_is_gone(void **state) {
    if (THREAD_SANITIZER || MEMORY_SANITIZER) {
        print_message("SKIP: blocks are a sanitizer's, which keeps them\n");
        skip();
    }
    static const size_t sizes[] = {64 << 10, (64 << 10) + 1, 1 << 20, (4 << 20) - 1, 4 << 20, (7 << 20) + 4097};
    cpu_device cpu = cpu_open(*state, 1);
    void *volatile largest = malloc(16 << 20);
    free(largest);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cei_buffer *buffer;
        ce_error error;
        expect_ok(cei_buffer_create(cpu.device, sizes[i], &buffer, &error), &error);
        uint8_t *data = ((cei_cpu_buffer *)buffer)->data, *last = data + sizes[i] - 1;
        assert_int_equal((uintptr_t)data % CEI_BUFFER_ALIGNMENT, 0);
        void *volatile behind = malloc(1000); /* in the heap, the block would not be its end */
        memset(data, 1, sizes[i]);
        assert_true(is_mapped(data) && is_mapped(last));
        cei_buffer_free(buffer);
        const bool is_left = is_mapped(data) || is_mapped(last);
        free(behind);
        assert_false(is_left);
    }
    cpu_close(&cpu);
}

/* A file of a made-up machine: root/path, with its folders. */
static void make_file(const char *root, const char *path, const char *text) {
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    test_write_file(root, path, text, strlen(text));
}

static void expect_limits(const char *root, uint64_t total, uint64_t available) {
    uint64_t found_total, found_available;
    cei_cpu_memory_below(root, &found_total, &found_available);
    assert_true(found_total == total);
    assert_true(found_available == available);
}

/* Limits of control groups: version 2 with nested groups, version 1, and none. */
static void test_memory_limits(void **state) {
    (void)state;
    char *root = test_make_folder();
    expect_limits(root, 0, 0);
    make_file(root, "proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   800 kB\n");
    expect_limits(root, 1000 * 1024, 800 * 1024);
    make_file(root, "proc/self/cgroup", "12:cpu:/x\n0::/a/b\n");
    make_file(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
    make_file(root, "sys/fs/cgroup/a/b/memory.current", "5000\n");
    expect_limits(root, 1000 * 1024, 800 * 1024);
    make_file(root, "sys/fs/cgroup/a/memory.max", "600000\n");
    make_file(root, "sys/fs/cgroup/a/memory.current", "500000\n");
    expect_limits(root, 600000, 100000);
    /* Cached files are given up first, so that they count as free. */
    make_file(root, "sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 50000\nactive_file 20000\n");
    expect_limits(root, 600000, 170000);
    make_file(root, "sys/fs/cgroup/a/b/memory.max", "4000\n"); /* over its limit already */
    expect_limits(root, 4000, 0);
    make_file(root, "sys/fs/cgroup/memory.max", "3000\n");
    make_file(root, "sys/fs/cgroup/memory.current", "2000\n");
    expect_limits(root, 3000, 0);
    make_file(root, "proc/self/cgroup", "4:memory:/x\n");
    expect_limits(root, 1000 * 1024, 800 * 1024);
    make_file(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    make_file(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "300\n");
    expect_limits(root, 1000 * 1024, 800 * 1024);
    make_file(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n");
    expect_limits(root, 1000, 700);
    test_remove_folder(root);
}

static void test_probe(void **state) {
    (void)state;
    char reason[64];
    ce_device_info info;
    assert_int_equal(cei_cpu_driver.count(reason, sizeof reason), 1);
    cei_cpu_driver.probe(0, &info);
    assert_string_equal(info.id, "cpu");
    assert_true(info.usable);
    assert_string_equal(info.reason, "");
    assert_true(info.features[0] != '\0');
    assert_true(info.memory_total > 0 && info.memory_free <= info.memory_total);
}

#define EVERY_TIER(name, function)                                                                     \
    {name " (c)", function, NULL, NULL, &tiers[0]}, {name " (avx2)", function, NULL, NULL, &tiers[1]}, \
        {name " (avx512)", function, NULL, NULL, &tiers[2]}, {                                         \
        name " (neon)", function, NULL, NULL, &tiers[3]                                                \
    }

/* NEON's differ in the layout of panels. */
#define EVERY_LOW_TIER(name, function)                                                                 \
    {name " (c)", function, NULL, NULL, &tiers[0]}, {name " (avx2)", function, NULL, NULL, &tiers[1]}, \
        {name " (avx512)", function, NULL, NULL, &tiers[2]},                                           \
        {name " (neon)", function, NULL, NULL, &low_tiers[LOW_NEON]},                                  \
        {name " (neon with dot products)", function, NULL, NULL, &low_tiers[LOW_NEON_DOTPROD]}, {      \
        name " (neon with I8MM and BF16)", function, NULL, NULL, &low_tiers[LOW_NEON_BF16]             \
    }

int main(void) {
    cases_seed();
    const struct CMUnitTest tests[] = {
        EVERY_TIER("weights", test_weights),
        EVERY_TIER("checksum sees", test_checksum_sees),
#ifdef __x86_64__ /* with exponents beside the values, on any machine */
        {"weights (AMX, emulated)", test_weights, NULL, NULL, &emulated_tiers[EMULATED_AMX]},
        {"checksum sees (AMX, emulated)", test_checksum_sees, NULL, NULL, &emulated_tiers[EMULATED_AMX]},
#endif
        EVERY_LOW_TIER("low weights", test_low_weights),
        EVERY_LOW_TIER("low weights are small", test_low_weights_are_small),
        EVERY_LOW_TIER("low checksum sees", test_low_checksum_sees),
        EVERY_LOW_TIER("every integer at many scales", test_every_integer_at_many_scales),
        EVERY_LOW_TIER("low sizes overflow", test_low_sizes_overflow),
        {"int8 needs scales", test_int8_needs_scales, NULL, NULL, &tiers[0]},
        {"sizes overflow", test_sizes_overflow, NULL, NULL, &tiers[0]},
        {"no memory", test_no_memory, NULL, NULL, &tiers[0]},
        {"memory goes back", test_memory_goes_back, NULL, NULL, &tiers[0]},
        {"freed memory is gone", test_freed_memory_is_gone, NULL, NULL, &tiers[0]},
        cmocka_unit_test(test_memory_limits),
        cmocka_unit_test(test_probe),
    };
    return cmocka_run_group_tests_name("cpu weights", tests, NULL, NULL);
}
