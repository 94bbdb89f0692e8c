/* test_header.c - safetensors headers, good and hostile: hostile.py makes the files and asks the format's own library.
 */
#include "formats/header.h"

#include "base/json.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of the corpus in a block of exactly its size, so that sanitizers see a read past its end. */
static uint8_t *read_exactly(const char *name, size_t *size) {
    char path[1024];
    snprintf(path, sizeof path, "%s/fuzz/corpus/safetensors/%s", CE_SOURCE, name);
    char *text = test_read_file(path, size);
    uint8_t *data = malloc(*size ? *size : 1);
    assert_non_null(data);
    memcpy(data, text, *size);
    free(text);
    return data;
}

static void check_verdict(const char *name, const char *reference, const char *message) {
    size_t size = 0, tensors = 7;
    uint8_t *data = read_exactly(name, &size);
    ce_error error = {0};
    ce_status status = cei_safetensors_check(data, size, &tensors, &error);
    assert_int_equal(cei_safetensors_check(data, size, &tensors, NULL), status);
    free(data);
    bool refused_there = strcmp(reference, "ok") != 0, refused = *message != '\0';
    if ((status != CE_OK) != refused) fail_msg("%s: %s %s", name, ce_status_name(status), error.message);
    if (refused) {
        expect_status(status, CE_ERR_FORMAT, &error, message);
        expect_status(status, CE_ERR_FORMAT, &error, "the file");
    }
    if (refused_there) assert_true(refused);
}

static void every_file_has_its_verdict(void **state) {
    (void)state;
    size_t size = 0, i;
    char *text = test_read_file(test_data("formats/verdicts.json"), &size);
    json_t *verdicts = NULL;
    const json_t *one;
    ce_error error = {0};
    expect_ok(cei_json_parse(text, size, "verdicts.json", &verdicts, &error), &error);
    free(text);
    assert_true(json_array_size(verdicts) > 90);
    json_array_foreach(verdicts, i, one) check_verdict(json_string_value(json_object_get(one, "file")),
                                                       json_string_value(json_object_get(one, "reference")),
                                                       json_string_value(json_object_get(one, "message")));
    json_decref(verdicts);
}

static void tensors_are_as_written(void **state) {
    (void)state;
    size_t size = 0;
    uint8_t *data = read_exactly("good-two", &size);
    ce_error error = {0};
    cei_header header;
    expect_ok(cei_header_parse(data, size, "x", &header, &error), &error);
    assert_int_equal(header.count, 2);
    const cei_tensor *a = &header.tensors[0];
    assert_string_equal(a->name, "a");
    assert_string_equal(a->dtype, "F32");
    assert_int_equal(a->rank, 2);
    assert_true(a->shape[0] == 2 && a->shape[1] == 3 && a->count == 6 && a->bytes == 24);
    assert_ptr_equal(a->data, data + size - 28);
    assert_ptr_equal(header.tensors[1].data, data + size - 4);
    cei_header_free(&header);
    free(data);
}

/* Every prefix of a good file, and the file with every bit turned, gives an answer and no more than that. */
static void truncated_and_damaged_files(void **state) {
    (void)state;
    size_t size = 0, tensors = 0;
    uint8_t *data = read_exactly("good-two", &size);
    ce_error error;
    for (size_t kept = 0; kept < size; kept++) {
        uint8_t *prefix = malloc(kept ? kept : 1);
        memcpy(prefix, data, kept);
        expect_status(cei_safetensors_check(prefix, kept, &tensors, &error), CE_ERR_FORMAT, &error, NULL);
        free(prefix);
    }
    size_t refused = 0;
    for (size_t bit = 0; bit < 8 * (size - 28); bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ce_status status = cei_safetensors_check(data, size, &tensors, &error);
        assert_true(status == CE_OK || status == CE_ERR_FORMAT);
        refused += status != CE_OK;
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(refused > 4 * size); /* the rest change names and metadata */
    free(data);
}

static void shapes_are_printed(void **state) {
    (void)state;
    char text[CEI_SHAPE_TEXT];
    uint64_t shape[CEI_MAX_RANK] = {UINT64_MAX, 2, UINT64_MAX, 4, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    assert_string_equal(cei_shape_text(shape, 0, text), "[]");
    assert_string_equal(cei_shape_text(shape + 1, 1, text), "[2]");
    assert_non_null(strstr(cei_shape_text(shape, CEI_MAX_RANK, text), "18446744073709551615]"));
}

typedef struct bytes {
    const uint8_t *data;
    size_t size;
} bytes;

static ce_status check_bytes(void *user, ce_error *error) {
    const bytes *file = user;
    size_t tensors;
    return cei_safetensors_check(file->data, file->size, &tensors, error);
}

static void no_memory_at_any_allocation(void **state) {
    (void)state;
    failing_malloc_or_skip();
    bytes file = {NULL, 0};
    uint8_t *data = read_exactly("good-two", &file.size);
    file.data = data;
    assert_true(test_each_allocation(check_bytes, &file) > 20);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_has_its_verdict),  cmocka_unit_test(tensors_are_as_written),
        cmocka_unit_test(truncated_and_damaged_files), cmocka_unit_test(shapes_are_printed),
        cmocka_unit_test(no_memory_at_any_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
