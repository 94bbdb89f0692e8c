/* model_folder.c - copies of golden folders. Relies on the names that such folders have. */
#include "support/model_folder.h"

#include "support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_copy_model(const char *golden, const char *folder) {
    static const char *const names[] = {"model.safetensors", "tokenizer.json", "tokenizer_config.json",
                                        "vocab.txt",         "vocab.json",     "merges.txt",
                                        "config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        snprintf(path, sizeof path, "golden/%s/%s", golden, names[i]);
        FILE *there = fopen(test_data(path), "rb");
        if (!there) continue;
        fclose(there);
        size_t size;
        char *data = test_read_file(test_data(path), &size);
        test_write_file(folder, names[i], data, size);
        free(data);
    }
}

void test_set_json(const char *folder, const char *file, const char *key, const char *value) {
    json_t *root = json_load_file(test_path(folder, file), 0, NULL);
    if (!root) root = json_object();
    assert_true(json_is_object(root));
    if (value)
        assert_int_equal(json_object_set_new(root, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    else
        json_object_del(root, key);
    char *text = json_dumps(root, 0);
    assert_non_null(text);
    test_write_file(folder, file, text, strlen(text));
    free(text);
    json_decref(root);
}
