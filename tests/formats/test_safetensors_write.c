/* test_safetensors_write.c - files that are written are those that the reader takes, byte for byte as expected. */
#include "formats/safetensors_write.h"

#include "formats/checkpoint.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *file_path(void) {
    static char path[2048];
    snprintf(path, sizeof path, "%s/model.safetensors", test_folder);
    return path;
}

static ce_status write_all(cei_new_tensor *tensors, size_t count, const cei_new_metadata *metadata, size_t entries,
                           ce_error *error) {
    cei_new_file file;
    ce_status status = cei_safetensors_create(file_path(), tensors, count, metadata, entries, &file, error);
    for (size_t i = 0; i < count && status == CE_OK; i++)
        for (uint64_t k = 0; k < tensors[i].bytes && status == CE_OK; k++)
            status = cei_new_file_write(&file, tensors[i].offset + k, &(char){(char)(16 * i + k)}, 1, error);
    if (status == CE_OK) status = cei_new_file_finish(&file, error);
    cei_new_file_close(&file);
    return status;
}

static void the_bytes_are_these(void **state) {
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"c\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[8,12]},"
                                 "\"b\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[12,15]}}";
    ce_error error = {0};
    cei_new_tensor tensors[] = {
        {"b", CEI_DTYPE_I8, 1, {3}, 0, 0}, {"c", CEI_DTYPE_BF16, 2, {1, 2}, 0, 0}, {"a", CEI_DTYPE_F32, 1, {2}, 0, 0}};
    expect_ok(write_all(tensors, 3, (cei_new_metadata[]){{"format", "pt"}}, 1, &error), &error);
    size_t size, text = (sizeof header - 1 + 63) / 64 * 64;
    char *data = test_read_file(file_path(), &size);
    assert_int_equal(size, 8 + text + 15);
    assert_int_equal((uint8_t)data[0] | (uint8_t)data[1] << 8, text);
    assert_memory_equal(data + 2, "\0\0\0\0\0\0", 6);
    assert_memory_equal(data + 8, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < text; i++) assert_int_equal(data[8 + i], ' ');
    assert_memory_equal(data + 8 + text, "\40\41\42\43\44\45\46\47\20\21\22\23\0\1\2", 15);
    free(data);
}

static void the_reader_finds_what_was_written(void **state) {
    (void)state;
    static const char strange[] = "a \"name\"\n\t\x1f \\ \xc3\xa9\xf0\x9f\x98\x80";
    ce_error error = {0};
    cei_checkpoint *checkpoint = NULL;
    cei_new_tensor tensors[] = {{strange, CEI_DTYPE_F16, 1, {5}, 0, 0},
                                {"empty", CEI_DTYPE_F32, 2, {0, 4}, 0, 0},
                                {"", CEI_DTYPE_I8, 2, {2, 2}, 0, 0}};
    expect_ok(write_all(tensors, 3, (cei_new_metadata[]){{"k\"", "v\\"}, {"z", strange}}, 2, &error), &error);
    expect_ok(cei_checkpoint_open(test_folder, &checkpoint, &error), &error);
    assert_int_equal(cei_checkpoint_count(checkpoint), 3);
    for (size_t i = 0; i < 3; i++) {
        const cei_tensor *found = cei_checkpoint_find(checkpoint, tensors[i].name);
        assert_non_null(found);
        assert_string_equal(found->dtype, cei_dtype_name(tensors[i].dtype));
        assert_int_equal(found->rank, tensors[i].rank);
        assert_int_equal(found->bytes, tensors[i].bytes);
        for (int k = 0; k < found->rank; k++) assert_int_equal(found->shape[k], tensors[i].shape[k]);
        for (size_t k = 0; k < found->bytes; k++) assert_int_equal(found->data[k], (uint8_t)(16 * i + k));
    }
    cei_checkpoint_close(checkpoint);
}

static void a_file_without_tensors(void **state) {
    (void)state;
    ce_error error = {0};
    cei_checkpoint *checkpoint = NULL;
    expect_ok(write_all(NULL, 0, NULL, 0, &error), &error);
    expect_ok(cei_checkpoint_open(test_folder, &checkpoint, &error), &error);
    assert_int_equal(cei_checkpoint_count(checkpoint), 0);
    cei_checkpoint_close(checkpoint);
}

static void what_cannot_be_written(void **state) {
    (void)state;
    ce_error error = {0};
    cei_new_file file;
    cei_new_tensor huge[] = {{"a", CEI_DTYPE_F32, 2, {UINT64_C(1) << 40, UINT64_C(1) << 40}, 0, 0}};
    cei_new_tensor many[] = {{"a", CEI_DTYPE_I8, 1, {UINT64_C(1) << 63}, 0, 0},
                             {"b", CEI_DTYPE_I8, 1, {UINT64_C(1) << 63}, 0, 0}};
    expect_status(cei_safetensors_create(file_path(), huge, 1, NULL, 0, &file, &error), CE_ERR_ARGUMENT, &error,
                  "larger than a file can be");
    expect_status(cei_safetensors_create(file_path(), many, 2, NULL, 0, &file, &error), CE_ERR_ARGUMENT, &error,
                  "larger than a file can be");
    assert_false(file.is_open);
    assert_int_not_equal(access(file_path(), F_OK), 0);
    test_write_file(test_folder, "model.safetensors", "x", 1);
    expect_status(cei_safetensors_create(file_path(), NULL, 0, NULL, 0, &file, &error), CE_ERR_IO, &error,
                  "File exists");
    assert_false(file.is_open);
}

static ce_status write_some(void *user, ce_error *error) {
    (void)user;
    cei_new_tensor tensors[] = {{"b", CEI_DTYPE_I8, 1, {3}, 0, 0}, {"a", CEI_DTYPE_F32, 1, {2}, 0, 0}};
    ce_status status = write_all(tensors, 2, (cei_new_metadata[]){{"format", "pt"}}, 1, error);
    unlink(file_path());
    return status;
}

static void want_of_memory(void **state) {
    (void)state;
    failing_malloc_or_skip();
    assert_true(test_each_allocation(write_some, NULL) > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        folder_test(the_bytes_are_these),    folder_test(the_reader_finds_what_was_written),
        folder_test(a_file_without_tensors), folder_test(what_cannot_be_written),
        folder_test(want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
