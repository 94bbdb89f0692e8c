/* support.h - what every test program shares: cmocka, paths, temporary folders, files of text. */
#ifndef CE_TEST_SUPPORT_H
#define CE_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <crossenc/status.h>

/* CE_SHARED/path, static storage (four in turn), if it is there; else the test says SKIP and why, and ends. */
const char *test_shared(const char *path);

/* CE_TEST_DATA/path, static storage (four in turn). */
const char *test_data(const char *path);

/* A new empty folder under TMPDIR; removed with all in it by test_remove_folder, which frees the string. */
char *test_make_folder(void);
void test_remove_folder(char *folder);

/* A case with a folder of its own, test_folder, which is there while it runs. */
extern char *test_folder;
int test_folder_make(void **state);
int test_folder_remove(void **state);
#define folder_test(name) cmocka_unit_test_setup_teardown(name, test_folder_make, test_folder_remove)

/* folder/name, static, four in turn for each thread. */
const char *test_path(const char *folder, const char *name);

/* Makes the folder folder/name, if it is not there. */
void test_make_inner(const char *folder, const char *name);

/* Writes folder/name, failing the test if that fails. */
void test_write_file(const char *folder, const char *name, const void *data, size_t size);

/* Reads a whole file, failing the test if that fails. The caller frees; a NUL stands behind. */
char *test_read_file(const char *path, size_t *size);

/* Writes `to` over the first place where `from`, which is not shorter, is in the data; fails the test if it is nowhere.
 */
void test_overwrite(char *data, size_t size, const char *from, const char *to);

/* The bytes that these digits are, two each; the caller frees. Fails the test if digits is NULL. */
uint8_t *test_from_hex(const char *digits, size_t *size);

/* Loads a model on the CPU, which it is not placed on, and frees it: for tests in which allocations fail. */
ce_status test_load_deferred(void *path, ce_error *error);

/* Fails unless status is want, printing the error's message; and unless the message contains part (if not NULL). */
void test_expect_status(ce_status status, ce_status want, const ce_error *error, const char *part, const char *file,
                        int line);
#define expect_status(call, want, error, part) test_expect_status((call), (want), (error), (part), __FILE__, __LINE__)
#define expect_ok(call, error) test_expect_status((call), CE_OK, (error), NULL, __FILE__, __LINE__)

#endif
