/* test_checkpoint.c - checkpoints: one file, several with an index, and what is asked of their tensors. */
#include "formats/checkpoint.h"

#include "support/failing_malloc.h"
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- making checkpoints ------------------------------------------------------------------------------------- */

typedef struct entry {
    const char *name, *dtype, *shape; /* "[2, 3]" */
    size_t bytes;
    const void *data; /* NULL: 1, 2, 3, ... */
} entry;

/* Writes folder/name with the entries, one behind the other. */
static void write_tensors(const char *folder, const char *name, const entry *entries, size_t count) {
    static char header[4096];
    static uint8_t file[8192];
    size_t used = (size_t)snprintf(header, sizeof header, "{"), offset = 0;
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(header + used, sizeof header - used,
                                 "%s\"%s\": {\"dtype\": \"%s\", \"shape\": %s, \"data_offsets\": [%zu, %zu]}",
                                 i ? ", " : "", entries[i].name, entries[i].dtype, entries[i].shape, offset,
                                 offset + entries[i].bytes);
        offset += entries[i].bytes;
    }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    assert_true(used + 8 + offset <= sizeof file);
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)used >> 8 * i);
    memcpy(file + 8, header, used);
    uint8_t *at = file + 8 + used;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < entries[i].bytes; k++) at[k] = (uint8_t)(k + 1);
        if (entries[i].data) memcpy(at, entries[i].data, entries[i].bytes);
        at += entries[i].bytes;
    }
    test_write_file(folder, name, file, (size_t)(at - file));
}

static void write_index(const char *folder, const char *weight_map) {
    char json[4096];
    int size = snprintf(json, sizeof json, "{\"metadata\": {\"total_size\": 3}, \"weight_map\": %s}", weight_map);
    test_write_file(folder, "model.safetensors.index.json", json, (size_t)size);
}

static cei_checkpoint *open_folder(const char *folder) {
    ce_error error = {0};
    cei_checkpoint *checkpoint = NULL;
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    return checkpoint;
}

static void expect_refused(const char *folder, ce_status want, const char *part) {
    ce_error error = {0};
    cei_checkpoint *checkpoint = (cei_checkpoint *)1;
    expect_status(cei_checkpoint_open(folder, &checkpoint, &error), want, &error, part);
    assert_null(checkpoint);
    assert_int_equal(cei_checkpoint_open(folder, &checkpoint, NULL), want);
}

/* ---- one file ----------------------------------------------------------------------------------------------- */

static void a_single_file(void **state) {
    (void)state;
    char *folder = test_make_folder();
    const entry entries[] = {
        {"z", "F32", "[2, 3]", 24, NULL}, {"a", "I64", "[1]", 8, NULL}, {"m", "U8", "[0]", 0, NULL}};
    write_tensors(folder, "model.safetensors", entries, 3);
    write_index(folder, "{\"z\": \"absent.safetensors\"}"); /* the single file wins */
    cei_checkpoint *checkpoint = open_folder(folder);
    assert_int_equal(cei_checkpoint_count(checkpoint), 3);
    assert_true(cei_checkpoint_bytes(checkpoint) == 32);
    assert_non_null(strstr(cei_checkpoint_path(checkpoint), "/model.safetensors"));
    assert_string_equal(cei_checkpoint_at(checkpoint, 0)->name, "a");
    assert_string_equal(cei_checkpoint_at(checkpoint, 1)->name, "m");
    assert_string_equal(cei_checkpoint_at(checkpoint, 2)->name, "z");
    assert_null(cei_checkpoint_at(checkpoint, 3));
    const cei_tensor *tensor = cei_checkpoint_find(checkpoint, "z");
    assert_ptr_equal(tensor, cei_checkpoint_at(checkpoint, 2));
    assert_string_equal(tensor->dtype, "F32");
    assert_true(tensor->rank == 2 && tensor->shape[0] == 2 && tensor->shape[1] == 3 && tensor->count == 6);
    for (size_t i = 0; i < 24; i++) assert_int_equal(tensor->data[i], i + 1);
    assert_null(cei_checkpoint_find(checkpoint, "b"));
    assert_null(cei_checkpoint_find(checkpoint, ""));
    cei_checkpoint_close(checkpoint);
    cei_checkpoint_close(NULL);
    test_remove_folder(folder);
}

static void absent_and_broken_files(void **state) {
    (void)state;
    char *folder = test_make_folder(), path[2048];
    expect_refused("/no/such/folder", CE_ERR_NOT_FOUND, "/no/such/folder");
    expect_refused(folder, CE_ERR_NOT_FOUND, "has neither model.safetensors nor model.safetensors.index.json");
    test_write_file(folder, "tf_model.h5", "x", 1);
    expect_refused(folder, CE_ERR_NOT_FOUND, "only tf_model.h5, which crossenc does not read");
    test_write_file(folder, "pytorch_model.bin", "x", 1);
    expect_refused(folder, CE_ERR_FORMAT, "pytorch_model.bin is no file of torch.save, or damaged: it is no archive");
    test_write_file(folder, "model.safetensors", "", 0);
    expect_refused(folder, CE_ERR_FORMAT, "model.safetensors has 0 bytes, too few");
    test_write_file(folder, "model.safetensors", "\3\0\0\0\0\0\0\0{}x", 11);
    expect_refused(folder, CE_ERR_FORMAT, "the header of ");
    test_write_file(folder, "model.safetensors", "\2\0\0\0\0\0\0\0[]", 10);
    expect_refused(folder, CE_ERR_FORMAT, "/model.safetensors must be a JSON object");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    expect_refused(path, CE_ERR_NOT_FOUND, "is not a folder");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused(folder, CE_ERR_IO, "is a folder, and a file is needed");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(folder, CE_ERR_IO, "is not a regular file");
    test_remove_folder(folder);
}

static void a_file_without_tensors(void **state) {
    (void)state;
    char *folder = test_make_folder();
    write_tensors(folder, "model.safetensors", NULL, 0);
    cei_checkpoint *checkpoint = open_folder(folder);
    assert_int_equal(cei_checkpoint_count(checkpoint), 0);
    assert_null(cei_checkpoint_find(checkpoint, "a"));
    assert_null(cei_checkpoint_at(checkpoint, 0));
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

/* ---- shards ------------------------------------------------------------------------------------------------- */

/* two.safetensors has x and extra, one.safetensors has y and z. */
static char *make_shards(void) {
    char *folder = test_make_folder();
    const entry two[] = {{"x", "F32", "[2]", 8, NULL}, {"extra", "U8", "[3]", 3, NULL}};
    const entry one[] = {{"z", "F16", "[2]", 4, NULL}, {"y", "F32", "[1]", 4, NULL}, {"end", "F32", "[0]", 0, NULL}};
    write_tensors(folder, "two.safetensors", two, 2);
    write_tensors(folder, "one.safetensors", one, 3);
    return folder;
}

static void shards_make_one_checkpoint(void **state) {
    (void)state;
    char *folder = make_shards();
    write_index(folder, "{\"x\": \"two.safetensors\", \"y\": \"one.safetensors\", \"z\": \"one.safetensors\", "
                        "\"end\": \"one.safetensors\"}");
    cei_checkpoint *checkpoint = open_folder(folder);
    static const char *const names[] = {"end", "extra", "x", "y", "z"}; /* what the index leaves out is there too */
    assert_int_equal(cei_checkpoint_count(checkpoint), 5);
    for (size_t i = 0; i < 5; i++) assert_string_equal(cei_checkpoint_at(checkpoint, i)->name, names[i]);
    assert_true(cei_checkpoint_bytes(checkpoint) == 8 + 3 + 4 + 4);
    assert_non_null(strstr(cei_checkpoint_path(checkpoint), "model.safetensors.index.json"));
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

static void indexes_are_checked(void **state) {
    (void)state;
    static const struct {
        const char *map;
        ce_status status;
        const char *part;
    } cases[] = {
        {"{}", CE_ERR_FORMAT, "\"weight_map\" must be an object that gives each tensor its file, and is empty"},
        {"null", CE_ERR_FORMAT, "and is null"},
        {"[\"two.safetensors\"]", CE_ERR_FORMAT, "and is an array"},
        {"{\"x\": 2}", CE_ERR_FORMAT, "the file of tensor \"x\" must be a string, and is an integer"},
        {"{\"x\": null}", CE_ERR_FORMAT, "must be a string, and is null"},
        {"{\"x\": \"\"}", CE_ERR_FORMAT, "must be in the model's folder, and is \"\""},
        {"{\"x\": \"..\"}", CE_ERR_FORMAT, "must be in the model's folder"},
        {"{\"x\": \"../two.safetensors\"}", CE_ERR_FORMAT,
         "must be in the model's folder, and is \"../two.safetensors\""},
        {"{\"x\": \"/etc/passwd\"}", CE_ERR_FORMAT, "must be in the model's folder"},
        {"{\"x\": \"./two.safetensors\"}", CE_ERR_FORMAT, "must be in the model's folder"},
        {"{\"x\": \"two.safetensors\\u0000\"}", CE_ERR_FORMAT, "\"x\" has a NUL in it"},
        {"{\"x\": \"three.safetensors\"}", CE_ERR_NOT_FOUND, "three.safetensors"},
        {"{\"x\": \"one.safetensors\"}", CE_ERR_FORMAT, "tensor \"x\" is not in one.safetensors"},
        {"{\"x\": \"one.safetensors\", \"y\": \"two.safetensors\"}", CE_ERR_FORMAT, "where the index says it is"},
        {"{\"end\": \"two.safetensors\", \"y\": \"one.safetensors\"}", CE_ERR_FORMAT, "tensor \"end\" is not in two"},
        {"{\"w\": \"one.safetensors\"}", CE_ERR_FORMAT, "tensor \"w\" is not in one.safetensors"},
        {"{\"x\": \"model.safetensors.index.json\"}", CE_ERR_FORMAT, "it is no safetensors file"},
    };
    char *folder = make_shards();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_index(folder, cases[i].map);
        expect_refused(folder, cases[i].status, cases[i].part);
    }
    test_write_file(folder, "model.safetensors.index.json", "[]", 2);
    expect_refused(folder, CE_ERR_FORMAT, "holds no JSON object");
    test_write_file(folder, "model.safetensors.index.json", "{}", 2);
    expect_refused(folder, CE_ERR_FORMAT, "and is absent");
    test_remove_folder(folder);
}

static void a_tensor_in_two_shards_is_refused(void **state) {
    (void)state;
    char *folder = make_shards();
    const entry again = {"x", "F32", "[1]", 4, NULL};
    write_tensors(folder, "three.safetensors", &again, 1);
    write_index(folder, "{\"x\": \"two.safetensors\"}");
    cei_checkpoint_close(open_folder(folder)); /* a file that the index does not name is not opened */
    write_index(folder, "{\"x\": \"two.safetensors\", \"y\": \"one.safetensors\", \"extra\": \"two.safetensors\", "
                        "\"v\": \"three.safetensors\"}");
    expect_refused(folder, CE_ERR_FORMAT, "tensor \"x\" is in two of its files");
    test_remove_folder(folder);
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static const uint8_t halves[4] = {0x00, 0x3C, 0x00, 0xC0}; /* 1, -2 */
static const float scales[2] = {0.5f, 2.0f};
static const int8_t integers[4] = {1, -2, 3, -128};

static char *make_values(void) {
    char *folder = test_make_folder();
    const entry entries[] = {
        {"odd", "U8", "[1]", 1, NULL}, /* all that follow lie at odd addresses */
        {"float", "F32", "[2]", 8, scales},
        {"half", "F16", "[1, 2]", 4, halves},
        {"brain", "BF16", "[2, 1]", 4, halves},
        {"int", "I8", "[2, 2]", 4, integers},
        {"int.scale", "F32", "[2]", 8, scales},
        {"int_column", "I8", "[2, 2]", 4, integers},
        {"int_column.scale", "F32", "[2, 1]", 8, scales},
        {"int_bare", "I8", "[2, 2]", 4, integers},
        {"int_short", "I8", "[2, 2]", 4, integers},
        {"int_short.scale", "F32", "[1]", 4, scales},
        {"int_half", "I8", "[2, 2]", 4, integers},
        {"int_half.scale", "F16", "[2]", 4, halves},
        {"ids", "I64", "[2]", 16, NULL},
        {"ones", "F32", "[1, 1, 2, 1]", 8, scales},
        {"scalar", "F32", "[]", 4, scales},
        {"empty", "F32", "[0]", 0, NULL},
    };
    write_tensors(folder, "model.safetensors", entries, sizeof entries / sizeof entries[0]);
    return folder;
}

static void expect_values(const cei_checkpoint *checkpoint, const char *name, size_t rows, size_t columns,
                          const float *want) {
    ce_error error = {0};
    cei_values values;
    float out[4];
    expect_ok(cei_checkpoint_values(checkpoint, name, rows, columns, &values, &error), &error);
    assert_true(values.rows == rows && values.columns == columns);
    cei_values_read(&values, 0, rows, out);
    for (size_t i = 0; i < rows * columns; i++) assert_true(out[i] == want[i]);
    cei_checkpoint_release(checkpoint, &values);
    cei_values_read(&values, 0, rows, out);
    for (size_t i = 0; i < rows * columns; i++) assert_true(out[i] == want[i]);
}

/* A second folder's tensors get its name before theirs; when one cannot be added, what was there stays. */
static void another_folder_is_added(void **state) {
    (void)state;
    char *folder = test_make_folder(), inner[300];
    ce_error error = {0};
    write_tensors(folder, "model.safetensors", (entry[]){{"linear.weight", "F32", "[1, 2]", 8, NULL}}, 1);
    snprintf(inner, sizeof inner, "%s/2_Dense", folder);
    assert_int_equal(mkdir(inner, 0777), 0);
    cei_checkpoint *checkpoint = open_folder(folder);
    expect_status(cei_checkpoint_add(checkpoint, folder, "2_Dense", &error), CE_ERR_NOT_FOUND, &error, "2_Dense");
    assert_int_equal(cei_checkpoint_count(checkpoint), 1);
    write_tensors(inner, "model.safetensors",
                  (entry[]){{"linear.weight", "F32", "[2]", 8, NULL}, {"linear.bias", "F32", "[1]", 4, NULL}}, 2);
    expect_ok(cei_checkpoint_add(checkpoint, folder, "2_Dense", &error), &error);
    assert_int_equal(cei_checkpoint_count(checkpoint), 3);
    assert_int_equal(cei_checkpoint_bytes(checkpoint), 20);
    assert_string_equal(cei_checkpoint_at(checkpoint, 0)->name, "2_Dense/linear.bias");
    assert_int_equal(cei_checkpoint_find(checkpoint, "2_Dense/linear.weight")->rank, 1);
    assert_int_equal(cei_checkpoint_find(checkpoint, "linear.weight")->rank, 2);
    expect_ok(cei_checkpoint_verify(checkpoint, &error), &error);
    expect_status(cei_checkpoint_add(checkpoint, folder, "2_Dense", &error), CE_ERR_FORMAT, &error, "in two");
    assert_int_equal(cei_checkpoint_count(checkpoint), 3);
    cei_values values;
    expect_ok(cei_checkpoint_values(checkpoint, "2_Dense/linear.weight", 1, 2, &values, &error), &error);
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

static void tensors_are_read_as_matrices(void **state) {
    (void)state;
    char *folder = make_values();
    cei_checkpoint *checkpoint = open_folder(folder);
    expect_values(checkpoint, "float", 1, 2, scales);
    expect_values(checkpoint, "half", 1, 2, (const float[]){1, -2});
    expect_values(checkpoint, "brain", 2, 1, (const float[]){0.0078125f, -2}); /* 0x3C00 is 2^-7 there */
    expect_values(checkpoint, "int", 2, 2, (const float[]){0.5f, -1, 6, -256});
    expect_values(checkpoint, "int_column", 2, 2, (const float[]){0.5f, -1, 6, -256});
    expect_values(checkpoint, "ones", 2, 1, scales);
    expect_values(checkpoint, "empty", 1, 0, NULL);
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

static void expect_unreadable(const cei_checkpoint *checkpoint, const char *name, size_t rows, size_t columns,
                              ce_status want, const char *part) {
    ce_error error = {0};
    cei_values values;
    expect_status(cei_checkpoint_values(checkpoint, name, rows, columns, &values, &error), want, &error, part);
    expect_status(want, want, &error, "/model.safetensors");
}

static void wrong_tensors_are_named(void **state) {
    (void)state;
    char *folder = make_values();
    cei_checkpoint *checkpoint = open_folder(folder);
    expect_unreadable(checkpoint, "absent", 1, 2, CE_ERR_MODEL, "lacks the tensor \"absent\"");
    expect_unreadable(checkpoint, "float", 1, 3, CE_ERR_MODEL, "has the shape [2], and the model needs [3]");
    expect_unreadable(checkpoint, "float", 2, 1, CE_ERR_MODEL, "has the shape [2], and the model needs [2, 1]");
    expect_unreadable(checkpoint, "int", 4, 1, CE_ERR_MODEL, "has the shape [2, 2], and the model needs [4, 1]");
    expect_unreadable(checkpoint, "ones", 1, 2, CE_ERR_MODEL, "has the shape [1, 1, 2, 1], and the model needs [2]");
    expect_unreadable(checkpoint, "scalar", 1, 1, CE_ERR_MODEL, "has the shape [], and the model needs [1]");
    expect_unreadable(checkpoint, "ids", 1, 2, CE_ERR_UNSUPPORTED,
                      "\"ids\" has the dtype I64, and crossenc reads F32, F16");
    expect_unreadable(checkpoint, "int_bare", 2, 2, CE_ERR_MODEL,
                      "lacks the tensor \"int_bare.scale\", and an I8 tensor");
    expect_unreadable(checkpoint, "int_short", 2, 2, CE_ERR_MODEL,
                      "\"int_short.scale\" has the shape [1], and the model needs [2]");
    expect_unreadable(checkpoint, "int_half", 2, 2, CE_ERR_UNSUPPORTED,
                      "\"int_half.scale\" has the dtype F16, and scales must be F32");
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

/* ---- identity ----------------------------------------------------------------------------------------------- */

static void set_time(const char *folder, const char *name, long seconds) {
    char path[2048];
    struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void changed_files_are_noticed(void **state) {
    (void)state;
    char *folder = make_shards(), path[2048];
    write_index(folder, "{\"x\": \"two.safetensors\", \"y\": \"one.safetensors\"}");
    set_time(folder, "one.safetensors", 1000);
    ce_error error = {0};
    cei_checkpoint *checkpoint = open_folder(folder);
    cei_checkpoint_identity *identity = NULL;
    expect_ok(cei_checkpoint_identify(checkpoint, &identity, &error), &error);
    expect_ok(cei_checkpoint_verify(checkpoint, &error), &error);
    assert_true(cei_checkpoint_is(checkpoint, identity));
    set_time(folder, "one.safetensors", 1001);
    expect_status(cei_checkpoint_verify(checkpoint, &error), CE_ERR_IO, &error, "one.safetensors was changed");
    assert_true(cei_checkpoint_is(checkpoint, identity)); /* the checkpoint itself is the same */
    cei_checkpoint *later = open_folder(folder);
    assert_false(cei_checkpoint_is(later, identity));
    cei_checkpoint_close(later);
    set_time(folder, "one.safetensors", 1000);
    later = open_folder(folder);
    assert_true(cei_checkpoint_is(later, identity));
    cei_checkpoint_close(later);
    write_index(folder, "{\"x\": \"two.safetensors\"}");
    later = open_folder(folder);
    assert_false(cei_checkpoint_is(later, identity));
    cei_checkpoint_close(later);
    snprintf(path, sizeof path, "%s/two.safetensors", folder);
    assert_int_equal(unlink(path), 0);
    expect_status(cei_checkpoint_verify(checkpoint, &error), CE_ERR_IO, &error, "two.safetensors");
    assert_int_equal(cei_checkpoint_verify(checkpoint, NULL), CE_ERR_IO);
    cei_checkpoint_identity_free(identity);
    cei_checkpoint_identity_free(NULL);
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

/* ---- memory, real files ------------------------------------------------------------------------------------- */

static ce_status open_and_read(void *user, ce_error *error) {
    cei_checkpoint *checkpoint = NULL;
    cei_checkpoint_identity *identity = NULL;
    cei_values values;
    ce_status status = cei_checkpoint_open(user, &checkpoint, error);
    if (status == CE_OK) status = cei_checkpoint_identify(checkpoint, &identity, error);
    if (status == CE_OK && cei_checkpoint_find(checkpoint, "int"))
        status = cei_checkpoint_values(checkpoint, "int", 2, 2, &values, error);
    cei_checkpoint_identity_free(identity);
    cei_checkpoint_close(checkpoint);
    return status;
}

static void no_memory_at_any_allocation(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char *folder = make_values();
    assert_true(test_each_allocation(open_and_read, folder) > 50);
    test_remove_folder(folder);
    folder = make_shards();
    write_index(folder, "{\"x\": \"two.safetensors\", \"y\": \"one.safetensors\", \"z\": \"one.safetensors\"}");
    assert_true(test_each_allocation(open_and_read, folder) > 50);
    test_remove_folder(folder);
}

static void a_real_model(void **state) {
    (void)state;
    cei_checkpoint *checkpoint = open_folder(test_shared("models/ms-marco-MiniLM-L-12-v2-dq"));
    ce_error error = {0};
    cei_values values;
    assert_int_equal(cei_checkpoint_count(checkpoint), 201);
    expect_ok(cei_checkpoint_values(checkpoint, "classifier.weight", 1, 384, &values, &error), &error);
    assert_int_equal(values.dtype, CEI_DTYPE_F32);
    expect_ok(cei_checkpoint_values(checkpoint, "bert.embeddings.word_embeddings.weight", 30522, 384, &values, &error),
              &error);
    cei_checkpoint_close(checkpoint);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_file),
        cmocka_unit_test(absent_and_broken_files),
        cmocka_unit_test(a_file_without_tensors),
        cmocka_unit_test(shards_make_one_checkpoint),
        cmocka_unit_test(indexes_are_checked),
        cmocka_unit_test(a_tensor_in_two_shards_is_refused),
        cmocka_unit_test(another_folder_is_added),
        cmocka_unit_test(tensors_are_read_as_matrices),
        cmocka_unit_test(wrong_tensors_are_named),
        cmocka_unit_test(changed_files_are_noticed),
        cmocka_unit_test(no_memory_at_any_allocation),
        cmocka_unit_test(a_real_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
