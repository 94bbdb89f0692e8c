/* test_torch_file.c - files of torch.save: what torch reads of them, what is refused and how, and bytes that no torch
 * wrote. */
#include "formats/torch_file.h"

#include "support/failing_malloc.h"
#include "support/support.h"

#include "base/memory.h"
#include "formats/pickle.h"
#include "formats/zip.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- against torch ---- */

static json_t *load_cases(void) {
    json_error_t problem;
    json_t *root = json_load_file(test_data("formats/torch.json"), 0, &problem);
    if (!root) fail_msg("torch.json, line %d: %s", problem.line, problem.text);
    return root;
}

static const cei_tensor *find(const cei_header *header, const char *name) {
    for (size_t i = 0; i < header->count; i++)
        if (strcmp(header->tensors[i].name, name) == 0) return &header->tensors[i];
    fail_msg("no tensor \"%s\"", name);
    return NULL;
}

static void check_tensor(const cei_tensor *tensor, const json_t *want) {
    const json_t *shape = json_object_get(want, "shape");
    size_t size;
    uint8_t *data = test_from_hex(json_string_value(json_object_get(want, "data")), &size);
    assert_string_equal(tensor->dtype, json_string_value(json_object_get(want, "dtype")));
    assert_int_equal(tensor->rank, json_array_size(shape));
    for (size_t i = 0; i < json_array_size(shape); i++)
        assert_int_equal(tensor->shape[i], json_integer_value(json_array_get(shape, i)));
    assert_int_equal(tensor->bytes, size);
    assert_memory_equal(tensor->data, data, size);
    free(data);
}

static void check_case(const json_t *entry) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *message = json_string_value(json_object_get(entry, "message"));
    json_t *tensors = json_object_get(entry, "tensors"), *want;
    size_t size;
    uint8_t *file = test_from_hex(json_string_value(json_object_get(entry, "file")), &size);
    cei_header header;
    ce_error error = {CE_OK, ""};
    ce_status status = cei_torch_parse(file, size, "the file", &header, &error);
    if ((status == CE_OK) == (message != NULL)) fail_msg("%s: %s", name, error.message);
    if (message) assert_non_null(strstr(error.message, message));
    if (message) assert_true(status == CE_ERR_FORMAT || status == CE_ERR_UNSUPPORTED);
    assert_int_equal(header.count, json_object_size(tensors));
    const char *tensor;
    json_object_foreach(tensors, tensor, want) check_tensor(find(&header, tensor), want);
    cei_header_free(&header);
    free(file);
}

static void what_torch_writes(void **state) {
    (void)state;
    json_t *root = load_cases(), *entry;
    size_t i;
    json_array_foreach(json_object_get(root, "cases"), i, entry) check_case(entry);
    assert_int_equal(i, 27);
    json_decref(root);
}

/* The file of a case of that name. */
static uint8_t *file_of(const char *name, size_t *size) {
    json_t *root = load_cases(), *entry;
    uint8_t *file = NULL;
    size_t i;
    json_array_foreach(json_object_get(root, "cases"), i,
                       entry) if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0) file =
        test_from_hex(json_string_value(json_object_get(entry, "file")), size);
    json_decref(root);
    assert_non_null(file);
    return file;
}

/* ---- broken files ---- */

/* Each beginning of a good file, alone in its block so that a read past its end shows. */
static void cut_file(const char *name) {
    size_t whole;
    uint8_t *file = file_of(name, &whole);
    for (size_t size = 0; size < whole; size++) {
        uint8_t *part = malloc(size + 1);
        cei_header header;
        ce_error error = {CE_OK, ""};
        memcpy(part, file, size);
        expect_status(cei_torch_parse(part, size, "the file", &header, &error), CE_ERR_FORMAT, &error, "the file");
        assert_null(header.tensors);
        free(part);
    }
    free(file);
}

static void cut_files(void **state) {
    (void)state;
    cut_file("a plain dict");
    cut_file("of before 1.6");
}

/* Each byte of a good file changed in three ways: tensors that lie in it, or an error. */
static size_t change_file(const char *name) {
    static const uint8_t changes[] = {0x01, 0x80, 0xFF};
    size_t size, good = 0;
    uint8_t *file = file_of(name, &size);
    for (size_t at = 0; at < size; at++) {
        for (size_t i = 0; i < sizeof changes; i++) {
            cei_header header;
            ce_error error = {CE_OK, ""};
            file[at] ^= changes[i];
            if (cei_torch_parse(file, size, "the file", &header, &error) == CE_OK) good++;
            for (size_t k = 0; k < header.count; k++)
                assert_true(header.tensors[k].data >= file && header.tensors[k].data <= file + size &&
                            header.tensors[k].bytes <= (uint64_t)(file + size - header.tensors[k].data));
            cei_header_free(&header);
            file[at] ^= changes[i];
        }
    }
    free(file);
    return good;
}

static void changed_files(void **state) {
    (void)state;
    assert_true(change_file("a plain dict") > 1000); /* most bytes are numbers, padding and times */
    assert_true(change_file("of before 1.6") > 100);
}

static void expect_pickle(const char *bytes, size_t size, ce_status want, const char *part) {
    cei_pickle pickle;
    ce_error error = {CE_OK, ""};
    size_t used;
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, bytes, size);
    expect_status(cei_pickle_read(copy, size, "the file", &pickle, &used, &error), want, &error, part);
    assert_true(used <= size);
    cei_pickle_free(&pickle);
    free(copy);
}
#define PICKLE(bytes, want, part) expect_pickle((bytes), sizeof(bytes) - 1, (want), (part))
/* On the stack: a storage of two float32. */
#define STORAGE "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\2tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define DICT(value) "}X\1\0\0\0a" value "s."
#define TENSOR(offset, shape, strides) DICT(REBUILD "(" STORAGE offset shape strides "\x89}tR")

static void hostile_pickles(void **state) {
    (void)state;
    PICKLE("", CE_ERR_FORMAT, "breaks off");
    PICKLE(".", CE_ERR_FORMAT, "or none");
    PICKLE("}}.", CE_ERR_FORMAT, "more than one value");
    PICKLE("}", CE_ERR_FORMAT, "breaks off");
    PICKLE("}.", CE_OK, NULL);
    PICKLE("\x80\x05}.", CE_ERR_UNSUPPORTED, "protocol 5");
    PICKLE("cos\nsystem\n(X\2\0\0\0lstR.", CE_ERR_UNSUPPORTED, "\"os.system\"");
    PICKLE("cos", CE_ERR_FORMAT, "a name is cut off");
    PICKLE("cbuiltins\neval\n.", CE_ERR_UNSUPPORTED, "\"builtins.eval\"");
    PICKLE("ios\nsystem\n.", CE_ERR_UNSUPPORTED, "instruction 0x69"); /* INST */
    PICKLE("}\x81.", CE_ERR_UNSUPPORTED, "instruction 0x81");         /* NEWOBJ */
    PICKLE("\x93.", CE_ERR_UNSUPPORTED, "instruction 0x93");          /* STACK_GLOBAL */
    PICKLE("ccollections\nOrderedDict\n)R.", CE_OK, NULL);
    PICKLE("ccollections\nOrderedDict\n}R.", CE_ERR_FORMAT, "cannot be called");
    PICKLE("ccollections\nOrderedDict\n}\x85R.", CE_ERR_FORMAT, "other arguments");
    PICKLE("}})R.", CE_ERR_FORMAT, "cannot be called");
    PICKLE("R.", CE_ERR_FORMAT, "not complete");
    PICKLE("(t.", CE_ERR_UNSUPPORTED, "no dict");
    PICKLE("](K\1e.", CE_ERR_UNSUPPORTED, "no dict");
    PICKLE("]K\1a.", CE_ERR_UNSUPPORTED, "no dict");
    PICKLE("]K\1aK\1K\2\x86"
           "a.",
           CE_ERR_FORMAT, "longer than lists of names");
    PICKLE("}K\1a.", CE_ERR_FORMAT, "no list");
    PICKLE("(K\1e.", CE_ERR_FORMAT, "no list");
    PICKLE("e.", CE_ERR_FORMAT, "no beginning");
    PICKLE("a.", CE_ERR_FORMAT, "not complete");
    PICKLE("t.", CE_ERR_FORMAT, "no beginning");
    PICKLE("(\x85.", CE_ERR_FORMAT, "lacks its items");
    PICKLE("q\0.", CE_ERR_FORMAT, "memo");
    PICKLE("}q\1.", CE_ERR_FORMAT, "memo");
    PICKLE("}r\xFF\xFF\xFF\xFF.", CE_ERR_FORMAT, "memo");
    PICKLE("h\0.", CE_ERR_FORMAT, "memo lacks");
    PICKLE("}q\0q\0h\0b.", CE_OK, NULL);
    PICKLE("s.", CE_ERR_FORMAT, "not complete");
    PICKLE(")K\1K\1s.", CE_ERR_FORMAT, "no dict");
    PICKLE("}(K\1u.", CE_ERR_FORMAT, "no dict");
    PICKLE("(K\1K\1u.", CE_ERR_FORMAT, "no dict");
    PICKLE("u.", CE_ERR_FORMAT, "no beginning");
    PICKLE("}K\1K\1s.", CE_ERR_FORMAT, "no text");
    PICKLE(DICT("K\1"), CE_ERR_UNSUPPORTED, "\"a\" in it is no tensor");
    PICKLE("X\xFF\xFF\xFF\xFF", CE_ERR_FORMAT, "a text is cut off");
    PICKLE("\x8A\xFF.", CE_ERR_FORMAT, "a number is cut off");
    PICKLE("G\0\0.", CE_ERR_FORMAT, "a number is cut off");
    PICKLE("J\0\0.", CE_ERR_FORMAT, "a number is cut off");
    PICKLE("b.", CE_ERR_FORMAT, "no dict");
    PICKLE("}Q.", CE_ERR_FORMAT, "describes a storage");
    PICKLE(")Q.", CE_ERR_FORMAT, "describes a storage");
}

/* A long list is written in parts, of a thousand each. */
static void a_list_of_names(void **state) {
    (void)state;
    static const char list[] = "\x80\2]q\0(X\1\0\0\0aq\1X\1\0\0\0bq\2e(X\2\0\0\0cdq\3e.";
    cei_pickle_text *texts = NULL;
    size_t count = 0, used = 0;
    ce_error error;
    expect_ok(cei_pickle_read_texts((const uint8_t *)list, sizeof list - 1, "x", &texts, &count, &used, &error),
              &error);
    assert_int_equal(used, sizeof list - 1);
    assert_int_equal(count, 3);
    assert_true(texts[2].size == 2 && memcmp(texts[2].data, "cd", 2) == 0);
    cei_free(texts);
    expect_status(cei_pickle_read_texts((const uint8_t *)"}.", 2, "x", &texts, &count, &used, &error), CE_ERR_FORMAT,
                  &error, "no list");
    assert_null(texts);
}

static void hostile_tensors(void **state) {
    (void)state;
    PICKLE(TENSOR("K\0", "K\2\x85", "K\1\x85"), CE_OK, NULL);
    PICKLE(TENSOR("K\0", "K\1K\2\x86", "M\0\1K\1\x86"), CE_OK, NULL); /* the stride of one row is of no account */
    PICKLE(TENSOR("K\1", "K\1\x85", "K\1\x85"), CE_OK, NULL);
    PICKLE(TENSOR("K\2", "K\0\x85", "K\1\x85"), CE_OK, NULL);
    PICKLE(TENSOR("K\1", "K\2\x85", "K\1\x85"), CE_ERR_FORMAT, "not lie in its storage");
    PICKLE(TENSOR("K\3", "K\0\x85", "K\1\x85"), CE_ERR_FORMAT, "not lie in its storage");
    PICKLE(TENSOR("J\xFF\xFF\xFF\xFF", "K\2\x85", "K\1\x85"), CE_ERR_FORMAT, "describes a tensor");
    PICKLE(TENSOR("K\0", "J\xFF\xFF\xFF\xFF\x85", "K\1\x85"), CE_ERR_FORMAT, "describes a tensor");
    PICKLE(TENSOR("K\0", "K\2\x85", "K\2\x85"), CE_ERR_UNSUPPORTED, "in a row");
    PICKLE(TENSOR("K\0", "K\2\x85", "K\0\x85"), CE_ERR_UNSUPPORTED, "in a row");
    PICKLE(TENSOR("K\0", "K\2\x85", "J\xFF\xFF\xFF\xFF\x85"), CE_ERR_FORMAT, "strides");
    PICKLE(TENSOR("K\0", "K\2\x85", ")"), CE_ERR_FORMAT, "strides");
    PICKLE(TENSOR("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", ")"), CE_ERR_FORMAT, "describes a tensor"); /* rank 9 */
    /* 2^62 by 2^62 */
    PICKLE(TENSOR("K\0", "\x8A\x08\0\0\0\0\0\0\0\x40\x8A\x08\0\0\0\0\0\0\0\x40\x86", "K\1K\1\x86"), CE_ERR_FORMAT,
           "describes a tensor");
    PICKLE(DICT(REBUILD "(K\1t"
                        "R"),
           CE_ERR_FORMAT, "describes a tensor");
    PICKLE(DICT("ctorch._utils\n_rebuild_parameter\n" STORAGE "\x85R"), CE_ERR_FORMAT, "other arguments");
    PICKLE(DICT("(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuJ\xFF\xFF\xFF\xFFtQ"), CE_ERR_FORMAT,
           "describes a storage");
    PICKLE(DICT(STORAGE), CE_ERR_UNSUPPORTED, "no tensor");
}

/* ---- memory ---- */

static ce_status open_folder(void *folder, ce_error *error) {
    cei_checkpoint *checkpoint = NULL;
    ce_status status = cei_checkpoint_open(folder, &checkpoint, error);
    cei_checkpoint_close(checkpoint);
    return status;
}

static void no_memory_at_any_allocation(void **state) {
    (void)state;
    failing_malloc_or_skip();
    size_t size;
    uint8_t *file = file_of("a state dict", &size);
    char *folder = test_make_folder();
    test_write_file(folder, "pytorch_model.bin", file, size);
    test_each_allocation(open_folder, folder);
    free(file);
    file = file_of("of before 1.6", &size);
    test_write_file(folder, "pytorch_model.bin", file, size);
    test_each_allocation(open_folder, folder);
    test_remove_folder(folder);
    free(file);
}

/* ---- folders ---- */

/* The same tensors as the folder of safetensors that the file was made of. */
static void a_model_is_the_same_in_both_formats(void **state) {
    (void)state;
    ce_error error;
    size_t size;
    char *folder = test_make_folder();
    char *file = test_read_file(test_data("formats/silu-bf16-one-head.bin"), &size);
    cei_checkpoint *made = NULL, *given = NULL;
    test_write_file(folder, "pytorch_model.bin", file, size);
    expect_ok(cei_checkpoint_open(folder, &made, &error), &error);
    expect_ok(cei_checkpoint_open(test_data("golden/models/silu-bf16-one-head"), &given, &error), &error);
    assert_string_equal(cei_checkpoint_format(made), "PyTorch");
    assert_string_equal(cei_checkpoint_format(given), "safetensors");
    assert_int_equal(cei_checkpoint_count(made), cei_checkpoint_count(given));
    assert_true(cei_checkpoint_bytes(made) == cei_checkpoint_bytes(given));
    for (size_t i = 0; i < cei_checkpoint_count(given); i++) {
        const cei_tensor *a = cei_checkpoint_at(made, i), *b = cei_checkpoint_at(given, i);
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->dtype, b->dtype);
        assert_true(a->bytes == b->bytes);
        assert_memory_equal(a->data, b->data, (size_t)a->bytes);
    }
    cei_checkpoint_close(made);
    cei_checkpoint_close(given);
    test_remove_folder(folder);
    free(file);
}

static void shards_and_precedence(void **state) {
    (void)state;
    static const char index[] = "{\"weight_map\":{\"a\":\"one.bin\",\"layer.7\":\"two.bin\"}}";
    static const char wrong[] = "{\"weight_map\":{\"a\":\"two.bin\"}}";
    ce_error error;
    size_t size;
    cei_checkpoint *checkpoint = NULL;
    char *folder = test_make_folder();
    uint8_t *one = file_of("a plain dict", &size);
    test_write_file(folder, "one.bin", one, size);
    uint8_t *two = file_of("many tensors", &size);
    test_write_file(folder, "two.bin", two, size);
    test_write_file(folder, "pytorch_model.bin.index.json", index, sizeof index - 1);
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    assert_int_equal(cei_checkpoint_count(checkpoint), 202);
    const cei_tensor *tensor = cei_checkpoint_find(checkpoint, "layer.7");
    assert_non_null(tensor);
    assert_memory_equal(tensor->data, "\0\0\xE0\x40", 4);
    cei_checkpoint_close(checkpoint);
    test_write_file(folder, "pytorch_model.bin.index.json", wrong, sizeof wrong - 1);
    expect_status(cei_checkpoint_open(folder, &checkpoint, &error), CE_ERR_FORMAT, &error, "\"a\" is not in two.bin");
    test_write_file(folder, "model.safetensors", "\2\0\0\0\0\0\0\0{}", 10);
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    assert_string_equal(cei_checkpoint_format(checkpoint), "safetensors");
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
    free(one);
    free(two);
}

/* Offsets of 64 bits, which archives have from 4 GB on, and some have below. */
static void an_archive_with_64_bits(void **state) {
    (void)state;
    static const char local[] = "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\2\0\0\0\1\0\0\0nhi";
    static const char central[] =
        "PK\1\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\1\0\x1C\0\0\0\0\0"
        "\0\0\0\0\0\0\xFF\xFF\xFF\xFFn\1\0\x18\0\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    static const char end64[] = "PK\6\6\x2C\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
                                "\x4B\0\0\0\0\0\0\0\x21\0\0\0\0\0\0\0";
    static const char locator[] = "PK\6\7\0\0\0\0\x6C\0\0\0\0\0\0\0\1\0\0\0";
    static const char end[] = "PK\5\6\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0";
    static const struct {
        const char *data;
        size_t size;
    } parts[] = {{local, 33}, {central, 75}, {end64, 56}, {locator, 20}, {end, 22}};
    uint8_t file[256];
    size_t size = 0;
    cei_zip zip;
    ce_error error;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        memcpy(file + size, parts[i].data, parts[i].size);
        size += parts[i].size;
    }
    expect_ok(cei_zip_open(file, size, "the file", &zip, &error), &error);
    assert_int_equal(zip.count, 1);
    const cei_zip_entry *entry = cei_zip_find(&zip, "n", 1, "", 0);
    assert_ptr_equal(entry, cei_zip_find(&zip, "", 0, "n", 1));
    assert_true(entry && entry->size == 2 && memcmp(entry->data, "hi", 2) == 0);
    assert_null(cei_zip_find(&zip, "n", 1, "x", 1));
    assert_null(cei_zip_find(&zip, "nn", 2, "", 0));
    cei_zip_close(&zip);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_torch_writes),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(changed_files),
        cmocka_unit_test(hostile_pickles),
        cmocka_unit_test(hostile_tensors),
        cmocka_unit_test(a_list_of_names),
        cmocka_unit_test(no_memory_at_any_allocation),
        cmocka_unit_test(a_model_is_the_same_in_both_formats),
        cmocka_unit_test(shards_and_precedence),
        cmocka_unit_test(an_archive_with_64_bits),
    };
    return cmocka_run_group_tests_name("torch_file", tests, NULL, NULL);
}
