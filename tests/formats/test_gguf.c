/* test_gguf.c - GGUF files: metadata of all types, tensors, names; blocks of GGML's types against the package gguf; and
 * files that are cut, changed or made to mislead. What models are made of them is tests/model/test_gguf.c. */
#include "formats/blocks.h"
#include "formats/gguf_parts.h"

#include "support/failing_malloc.h"
#include "support/support.h"

#include "base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static cei_dtype dtype_named(const char *name) {
    int i = 0;
    while (i < CEI_DTYPE_COUNT && strcmp(cei_dtype_name((cei_dtype)i), name) != 0) i++;
    assert_true(i < CEI_DTYPE_COUNT);
    return (cei_dtype)i;
}

static void check_blocks(const json_t *entry) {
    const cei_dtype dtype = dtype_named(json_string_value(json_object_get(entry, "type")));
    size_t bytes, want_bytes;
    uint8_t *blocks = test_from_hex(json_string_value(json_object_get(entry, "blocks")), &bytes);
    uint8_t *want = test_from_hex(json_string_value(json_object_get(entry, "values")), &want_bytes);
    const size_t count = want_bytes / sizeof(float), block = cei_dtype_block(dtype);
    assert_int_equal(bytes, count / block * cei_dtype_size(dtype));
    float *got = malloc(want_bytes);
    const cei_values values = {.dtype = dtype, .rows = count / block, .columns = block, .data = blocks};
    cei_values_read(&values, 0, values.rows, got);
    assert_memory_equal(got, want, want_bytes);
    cei_values_read(&values, 1, 1, got); /* and a row alone */
    assert_memory_equal(got, want + block * sizeof *got, block * sizeof *got);
    free(got);
    free(want);
    free(blocks);
}

static void blocks_have_the_values_of_the_package(void **state) {
    (void)state;
    json_t *root = json_load_file(test_data("formats/gguf.json"), 0, NULL), *entry;
    size_t i;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "cases"), i, entry) check_blocks(entry);
    assert_int_equal(i, 8);
    json_decref(root);
}

/* ---- files that are made here ------------------------------------------------------------------------------------ */

typedef struct maker {
    uint8_t data[4096];
    size_t size;
} maker;

static void put(maker *to, const void *data, size_t size) {
    assert_true(to->size + size <= sizeof to->data);
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

static void put_u32(maker *to, uint32_t number) { put(to, &number, sizeof number); }
static void put_u64(maker *to, uint64_t number) { put(to, &number, sizeof number); }

static void put_text(maker *to, const char *text) {
    put_u64(to, strlen(text));
    put(to, text, strlen(text));
}

static maker begin(uint32_t version, uint64_t tensors, uint64_t pairs) {
    maker made = {.size = 0};
    put(&made, "GGUF", 4);
    put_u32(&made, version);
    put_u64(&made, tensors);
    put_u64(&made, pairs);
    return made;
}

static void put_key(maker *to, const char *key, cei_gguf_type type) {
    put_text(to, key);
    put_u32(to, type);
}

static void put_tensor(maker *to, const char *name, uint64_t columns, uint64_t rows, uint32_t type, uint64_t offset) {
    put_text(to, name);
    put_u32(to, rows ? 2 : 1);
    put_u64(to, columns);
    if (rows) put_u64(to, rows);
    put_u32(to, type);
    put_u64(to, offset);
}

/* Up to where data begin, and so many bytes of them. */
static void put_data(maker *to, size_t bytes) {
    while (to->size % 32) put(to, "", 1);
    for (size_t i = 0; i < bytes; i++) put(to, &(uint8_t){(uint8_t)i}, 1);
}

/* In a block of its own, so that a read beyond it shows. */
static ce_status parse(const maker *made, cei_gguf *gguf, uint8_t **copy, ce_error *error) {
    *copy = malloc(made->size + 1);
    memcpy(*copy, made->data, made->size);
    *error = (ce_error){CE_OK, ""};
    return cei_gguf_parse(*copy, made->size, "the file", gguf, error);
}

static void expect_refused(const maker *made, ce_status status, const char *part) {
    cei_gguf gguf;
    uint8_t *copy;
    ce_error error;
    expect_status(parse(made, &gguf, &copy, &error), status, &error, part);
    assert_null(gguf.tensors);
    assert_null(gguf.pairs);
    free(copy);
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static maker make_metadata(void) {
    maker made = begin(3, 0, 15);
    const float narrow = 0.5f;
    const double wide = -2.25;
    put_key(&made, "u8", CEI_GGUF_UINT8), put(&made, "\xFF", 1);
    put_key(&made, "i8", CEI_GGUF_INT8), put(&made, "\xFF", 1);
    put_key(&made, "u16", CEI_GGUF_UINT16), put(&made, "\xFE\xFF", 2);
    put_key(&made, "i16", CEI_GGUF_INT16), put(&made, "\xFE\xFF", 2);
    put_key(&made, "u32", CEI_GGUF_UINT32), put_u32(&made, 70000);
    put_key(&made, "i32", CEI_GGUF_INT32), put_u32(&made, (uint32_t)-70000);
    put_key(&made, "u64", CEI_GGUF_UINT64), put_u64(&made, UINT64_MAX);
    put_key(&made, "i64", CEI_GGUF_INT64), put_u64(&made, (uint64_t)INT64_MIN);
    put_key(&made, "f32", CEI_GGUF_FLOAT32), put(&made, &narrow, 4);
    put_key(&made, "f64", CEI_GGUF_FLOAT64), put(&made, &wide, 8);
    put_key(&made, "bool", CEI_GGUF_BOOL), put(&made, "\1", 1);
    put_key(&made, "string", CEI_GGUF_STRING), put_text(&made, "text");
    put_key(&made, "numbers", CEI_GGUF_ARRAY), put_u32(&made, CEI_GGUF_INT16), put_u64(&made, 2);
    put(&made, "\1\0\2\0", 4);
    put_key(&made, "strings", CEI_GGUF_ARRAY), put_u32(&made, CEI_GGUF_STRING), put_u64(&made, 2);
    put_text(&made, ""), put_text(&made, "two");
    put_key(&made, "nested", CEI_GGUF_ARRAY), put_u32(&made, CEI_GGUF_ARRAY), put_u64(&made, 1);
    put_u32(&made, CEI_GGUF_BOOL), put_u64(&made, 3), put(&made, "\1\0\1", 3);
    return made;
}

static void check_integers(const cei_gguf *gguf) {
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"u8", 255},    {"i8", -1},      {"u16", 65534},     {"i16", -2},
                    {"u32", 70000}, {"i32", -70000}, {"u64", INT64_MAX}, {"i64", INT64_MIN}};
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        assert_true(cei_gguf_integer_at(cei_gguf_find(gguf, integers[i].key), 0) == integers[i].value);
}

static void check_values(const cei_gguf *gguf) {
    ce_error error;
    size_t size = 1;
    double number = 0;
    bool flag = false;
    cei_gguf_text text = {"", 0};
    expect_ok(cei_gguf_size(gguf, "u16", 65534, &size, &error), &error);
    assert_int_equal(size, 65534);
    expect_status(cei_gguf_size(gguf, "u16", 65533, &size, &error), CE_ERR_FORMAT, &error, "from 0 to 65533");
    expect_status(cei_gguf_size(gguf, "i8", 1, &size, &error), CE_ERR_FORMAT, &error, "\"i8\" must be");
    expect_status(cei_gguf_size(gguf, "numbers", 9, &size, &error), CE_ERR_FORMAT, &error, "\"numbers\"");
    expect_ok(cei_gguf_size(gguf, "absent", 9, &size, &error), &error);
    assert_int_equal(size, 65534);
    expect_ok(cei_gguf_double(gguf, "f32", &number, &error), &error);
    assert_true(number == 0.5);
    expect_ok(cei_gguf_double(gguf, "f64", &number, &error), &error);
    assert_true(number == -2.25);
    expect_status(cei_gguf_double(gguf, "string", &number, &error), CE_ERR_FORMAT, &error, "a number");
    expect_ok(cei_gguf_bool(gguf, "bool", &flag, &error), &error);
    assert_true(flag);
    expect_status(cei_gguf_bool(gguf, "u8", &flag, &error), CE_ERR_FORMAT, &error, "true or false");
    expect_ok(cei_gguf_string(gguf, "string", &text, &error), &error);
    assert_true(text.size == 4 && memcmp(text.data, "text", 4) == 0);
    expect_status(cei_gguf_string(gguf, "strings", &text, &error), CE_ERR_FORMAT, &error, "a string");
}

static void check_arrays(const cei_gguf *gguf) {
    ce_error error;
    const cei_gguf_value *array;
    expect_ok(cei_gguf_array(gguf, "numbers", CEI_GGUF_INT32, &array, &error), &error);
    assert_int_equal(array->count, 2);
    assert_int_equal(cei_gguf_integer_at(array, 1), 2);
    expect_ok(cei_gguf_array(gguf, "strings", CEI_GGUF_STRING, &array, &error), &error);
    const uint8_t *at = array->data;
    assert_int_equal(cei_gguf_next_string(&at).size, 0);
    assert_int_equal(cei_gguf_next_string(&at).size, 3);
    expect_status(cei_gguf_array(gguf, "strings", CEI_GGUF_FLOAT32, &array, &error), CE_ERR_FORMAT, &error,
                  "\"strings\"");
    expect_ok(cei_gguf_array(gguf, "absent", CEI_GGUF_STRING, &array, &error), &error);
    assert_null(array);
}

static void metadata_of_all_types(void **state) {
    (void)state;
    const maker made = make_metadata();
    cei_gguf gguf;
    uint8_t *copy;
    ce_error error;
    expect_ok(parse(&made, &gguf, &copy, &error), &error);
    assert_int_equal(gguf.pair_count, 15);
    check_integers(&gguf);
    check_values(&gguf);
    check_arrays(&gguf);
    cei_gguf_close(&gguf);
    free(copy);
}

static void metadata_that_misleads(void **state) {
    (void)state;
    maker made = begin(3, 0, UINT64_MAX);
    expect_refused(&made, CE_ERR_FORMAT, "the metadata at byte 24 goes beyond");
    made = begin(3, 0, 2);
    put_key(&made, "twice", CEI_GGUF_UINT8), put(&made, "a", 1);
    put_key(&made, "twice", CEI_GGUF_UINT8), put(&made, "a", 1);
    expect_refused(&made, CE_ERR_FORMAT, "the key \"twice\" twice");
    made = begin(3, 0, 1);
    put_key(&made, "key of a type", (cei_gguf_type)13), put_u64(&made, 0);
    expect_refused(&made, CE_ERR_FORMAT, "has the type 13");
    made = begin(3, 0, 1);
    put_key(&made, "long", CEI_GGUF_STRING), put_u64(&made, UINT64_MAX);
    expect_refused(&made, CE_ERR_FORMAT, "goes beyond");
    made = begin(3, 0, 1);
    put_key(&made, "array", CEI_GGUF_ARRAY), put_u32(&made, CEI_GGUF_FLOAT64), put_u64(&made, UINT64_MAX / 4);
    expect_refused(&made, CE_ERR_FORMAT, "goes beyond");
    made = begin(3, 0, 1);
    put_key(&made, "deep", CEI_GGUF_ARRAY);
    for (int i = 0; i < 6; i++) put_u32(&made, CEI_GGUF_ARRAY), put_u64(&made, 1);
    put_u64(&made, 0);
    expect_refused(&made, CE_ERR_UNSUPPORTED, "arrays in arrays");
    made = begin(3, 0, 1);
    put_key(&made, "no \xFF text", CEI_GGUF_UINT8), put(&made, "a", 1);
    expect_refused(&made, CE_ERR_FORMAT, "a key is not UTF-8");
}

static void versions(void **state) {
    (void)state;
    maker made = begin(1, 0, 0);
    expect_refused(&made, CE_ERR_UNSUPPORTED, "version 1");
    made = begin(0x03000000, 0, 0);
    expect_refused(&made, CE_ERR_UNSUPPORTED, "big-endian");
    made = begin(3, 0, 0);
    memcpy(made.data, "GGML", 4);
    expect_refused(&made, CE_ERR_FORMAT, "does not begin with \"GGUF\"");
    made = begin(2, 0, 0);
    cei_gguf gguf;
    uint8_t *copy;
    ce_error error;
    expect_ok(parse(&made, &gguf, &copy, &error), &error);
    cei_gguf_close(&gguf);
    free(copy);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static void tensors_are_found(void **state) {
    (void)state;
    maker made = begin(3, 2, 0);
    put_tensor(&made, "matrix", 32, 3, 8, 32);
    put_tensor(&made, "vector", 4, 0, 0, 0);
    put_data(&made, 32 + 102);
    cei_gguf gguf;
    uint8_t *copy;
    ce_error error;
    expect_ok(parse(&made, &gguf, &copy, &error), &error);
    const cei_tensor *matrix = cei_gguf_tensor(&gguf, "matrix"), *vector = cei_gguf_tensor(&gguf, "vector");
    assert_string_equal(matrix->dtype, "Q8_0");
    assert_true(matrix->rank == 2 && matrix->shape[0] == 3 && matrix->shape[1] == 32 && matrix->bytes == 102);
    assert_true(vector->rank == 1 && vector->shape[0] == 4 && vector->bytes == 16);
    assert_int_equal(matrix->data - vector->data, 32);
    assert_int_equal(matrix->data[0], 32);
    assert_null(cei_gguf_tensor(&gguf, "scalar"));
    cei_gguf_close(&gguf);
    free(copy);
}

static void refuse_tensor(uint64_t columns, uint64_t rows, uint32_t type, uint64_t offset, ce_status status,
                          const char *part) {
    maker made = begin(3, 1, 0);
    put_tensor(&made, "name", columns, rows, type, offset);
    put_data(&made, 128);
    expect_refused(&made, status, part);
}

static void tensors_that_mislead(void **state) {
    (void)state;
    refuse_tensor(32, 2, 16, 0, CE_ERR_UNSUPPORTED, "is of type IQ2_XXS (16)");
    refuse_tensor(32, 2, 999, 0, CE_ERR_UNSUPPORTED, "is of type unknown (999)");
    refuse_tensor(33, 2, 8, 0, CE_ERR_FORMAT, "not whole blocks of Q8_0");
    refuse_tensor(UINT64_MAX, 2, 0, 0, CE_ERR_FORMAT, "overflow");
    refuse_tensor(UINT64_MAX / 4, 0, 0, 0, CE_ERR_FORMAT, "begins at byte 0");
    refuse_tensor(UINT64_MAX / 2, 0, 0, 0, CE_ERR_FORMAT, "overflow");
    refuse_tensor(4, 0, 0, 16, CE_ERR_FORMAT, "not aligned to 32");
    refuse_tensor(32, 0, 0, 32, CE_ERR_FORMAT, "truncated or damaged");
    refuse_tensor(1, 0, 0, UINT64_MAX - 31, CE_ERR_FORMAT, "truncated or damaged");
    maker made = begin(3, UINT64_MAX, 0);
    expect_refused(&made, CE_ERR_FORMAT, "the list of tensors");
    made = begin(3, 2, 0);
    put_tensor(&made, "name", 4, 0, 0, 0), put_tensor(&made, "name", 4, 0, 0, 32), put_data(&made, 64);
    expect_refused(&made, CE_ERR_FORMAT, "the tensor \"name\" twice");
    made = begin(3, 2, 0);
    put_tensor(&made, "a", 9, 0, 0, 0), put_tensor(&made, "b", 4, 0, 0, 32), put_data(&made, 64);
    expect_refused(&made, CE_ERR_FORMAT, "tensors \"a\" and \"b\" overlap");
    made = begin(3, 1, 1);
    put_key(&made, "general.alignment", CEI_GGUF_UINT32), put_u32(&made, 24);
    put_tensor(&made, "a", 4, 0, 0, 0), put_data(&made, 64);
    expect_refused(&made, CE_ERR_FORMAT, "a power of two from 8");
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void name_both(const void *user, const cei_tensor *tensor, cei_naming *to) {
    (void)user;
    if (strcmp(tensor->name, "kept") == 0) return;
    to->count = 2;
    snprintf(to->names[0], CEI_NAME_SIZE, "%s.first", tensor->name);
    snprintf(to->names[1], CEI_NAME_SIZE, "%s.second", tensor->name);
}

static void tensors_are_cut_by_rows(void **state) {
    (void)state;
    maker made = begin(3, 3, 0);
    put_tensor(&made, "two", 3, 4, 0, 0);
    put_tensor(&made, "kept", 1, 0, 0, 64);
    put_tensor(&made, "odd", 3, 3, 0, 96);
    put_data(&made, 96 + 36);
    cei_header header;
    ce_error error = {CE_OK, ""};
    expect_ok(cei_gguf_header(made.data, made.size, "the file", &header, &error), &error);
    const uint8_t *from = header.tensors[0].data;
    expect_ok(cei_header_rename(&header, name_both, NULL, &error), &error);
    assert_int_equal(header.count, 4);
    assert_string_equal(header.tensors[0].name, "two.first");
    assert_string_equal(header.tensors[1].name, "two.second");
    assert_true(header.tensors[0].data == from && header.tensors[1].data == from + 24);
    assert_true(header.tensors[1].shape[0] == 2 && header.tensors[1].count == 6 && header.tensors[1].bytes == 24);
    assert_string_equal(header.tensors[2].name, "kept");
    assert_string_equal(header.tensors[3].name, "odd.first"); /* three rows are no two halves */
    assert_int_equal(header.tensors[3].shape[0], 3);
    cei_header_free(&header);
}

/* ---- broken files ------------------------------------------------------------------------------------------------ */

static void cut_files(void **state) {
    (void)state;
    const maker whole = make_metadata();
    for (size_t size = 0; size < whole.size; size++) {
        maker part = whole;
        part.size = size;
        expect_refused(&part, CE_ERR_FORMAT, "the file");
    }
}

/* What is left of a file whose bytes were changed lies in it. */
static void check_bounds(const cei_gguf *gguf, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        const cei_tensor *tensor = &gguf->tensors[i];
        assert_true(tensor->data >= data && tensor->data <= data + size &&
                    tensor->bytes <= (uint64_t)(data + size - tensor->data));
    }
}

static void changed_files(void **state) {
    (void)state;
    static const uint8_t changes[] = {0x01, 0x80, 0xFF};
    size_t size, good = 0;
    uint8_t *file = (uint8_t *)test_read_file(test_data("golden/gguf/quantized.gguf"), &size);
    for (size_t at = 0; at < size; at += at < 1200 ? 1 : 37) {
        for (size_t i = 0; i < sizeof changes; i++) {
            cei_gguf gguf;
            ce_error error = {CE_OK, ""};
            file[at] ^= changes[i];
            if (cei_gguf_parse(file, size, "the file", &gguf, &error) == CE_OK) good++;
            check_bounds(&gguf, file, size);
            cei_gguf_close(&gguf);
            file[at] ^= changes[i];
        }
    }
    assert_true(good > 100);
    free(file);
}

static ce_status parse_once(void *user, ce_error *error) {
    cei_gguf gguf;
    ce_status status = cei_gguf_open(user, &gguf, error);
    cei_gguf_close(&gguf);
    return status;
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char path[512];
    snprintf(path, sizeof path, "%s", test_data("golden/gguf/quantized.gguf"));
    assert_true(test_each_allocation(parse_once, path) > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_have_the_values_of_the_package),
        cmocka_unit_test(metadata_of_all_types),
        cmocka_unit_test(metadata_that_misleads),
        cmocka_unit_test(versions),
        cmocka_unit_test(tensors_are_found),
        cmocka_unit_test(tensors_that_mislead),
        cmocka_unit_test(tensors_are_cut_by_rows),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(changed_files),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
