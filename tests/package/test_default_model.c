/* test_default_model.c - how the model that comes with crossenc is found. The installed places are test_install.py's.
 */
#include "support/support.h"

#include <crossenc/model.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int forget_variable(void **state) {
    (void)state;
    return unsetenv("CROSSENC_DEFAULT_MODEL");
}

static void test_build_folder_has_it(void **state) {
    (void)state;
    char path[PATH_MAX], real[PATH_MAX];
    ce_error error = {0};
    expect_ok(ce_default_model_path(path, sizeof path, &error), &error);
    assert_non_null(realpath(path, real));
    assert_string_equal(real, CE_SOURCE "/models/crossenc-small-en");
}

static void test_variable_wins(void **state) {
    (void)state;
    char *folder = test_make_folder();
    test_write_file(folder, "config.json", "{}", 2);
    assert_int_equal(setenv("CROSSENC_DEFAULT_MODEL", folder, 1), 0);
    char path[PATH_MAX];
    ce_error error = {0};
    expect_ok(ce_default_model_path(path, sizeof path, &error), &error);
    assert_string_equal(path, folder);
    test_remove_folder(folder);
}

static void test_empty_variable_is_none(void **state) {
    (void)state;
    assert_int_equal(setenv("CROSSENC_DEFAULT_MODEL", "", 1), 0);
    char path[PATH_MAX];
    ce_error error = {0};
    expect_ok(ce_default_model_path(path, sizeof path, &error), &error);
    assert_non_null(strstr(path, "crossenc-small-en"));
}

static void test_variable_without_model(void **state) {
    (void)state;
    assert_int_equal(setenv("CROSSENC_DEFAULT_MODEL", "/no/such/folder", 1), 0);
    char path[PATH_MAX] = "untouched";
    ce_error error = {0};
    expect_status(ce_default_model_path(path, sizeof path, &error), CE_ERR_NOT_FOUND, &error, "/no/such/folder");
    assert_string_equal(path, "untouched");
    expect_status(ce_default_model_path(path, sizeof path, NULL), CE_ERR_NOT_FOUND, NULL, NULL);
}

static void test_small_buffer(void **state) {
    (void)state;
    char path[PATH_MAX], exact[PATH_MAX];
    ce_error error = {0};
    expect_ok(ce_default_model_path(path, sizeof path, &error), &error);
    size_t need = strlen(path) + 1;
    expect_status(ce_default_model_path(exact, need - 1, &error), CE_ERR_ARGUMENT, &error, "bytes");
    expect_ok(ce_default_model_path(exact, need, &error), &error);
    assert_string_equal(exact, path);
    expect_status(ce_default_model_path(NULL, 0, &error), CE_ERR_ARGUMENT, &error, "NULL");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_build_folder_has_it, forget_variable),
        cmocka_unit_test_setup(test_variable_wins, forget_variable),
        cmocka_unit_test_setup(test_empty_variable_is_none, forget_variable),
        cmocka_unit_test_setup(test_variable_without_model, forget_variable),
        cmocka_unit_test_setup(test_small_buffer, forget_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
