/* test_error.c - messages: one line of UTF-8 that fits, whatever the arguments hold. */
#include "base/error.h"

#include "base/log.h"
#include "base/utf8.h"
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void status_and_message_are_set(void **state) {
    (void)state;
    ce_error error = {CE_OK, "old"};
    assert_int_equal(cei_fail(&error, CE_ERR_IO, "cannot read %s: %d", "x", 7), CE_ERR_IO);
    assert_int_equal(error.status, CE_ERR_IO);
    assert_string_equal(error.message, "cannot read x: 7");
    assert_int_equal(cei_fail(NULL, CE_ERR_TEXT, "nobody reads this"), CE_ERR_TEXT);
}

static void context_can_be_put_in_front(void **state) {
    (void)state;
    ce_error error;
    cei_fail(&error, CE_ERR_FORMAT, "line %d", 3);
    cei_fail(&error, error.status, "the header of %s", error.message);
    assert_string_equal(error.message, "the header of line 3");
}

static bool is_utf8(const char *text) {
    const unsigned char *at = (const unsigned char *)text, *end = at + strlen(text);
    while (at < end) {
        size_t length = cei_utf8_sequence(at, (size_t)(end - at));
        if (length == 0) return false;
        at += length;
    }
    return true;
}

/* Text of each character, cut at every place within it. */
static void long_messages_are_cut_at_a_character(void **state) {
    (void)state;
    static const char *const characters[] = {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t c = 0; c < 4; c++)
        for (size_t shift = 0; shift < 4; shift++) {
            char text[2 * CE_ERROR_MESSAGE_SIZE] = "";
            size_t length = strlen(characters[c]), used = shift;
            memset(text, '-', shift);
            for (; used + length < sizeof text; used += length) memcpy(text + used, characters[c], length);
            ce_error error;
            cei_fail(&error, CE_ERR_IO, "%s", text);
            size_t kept = strlen(error.message);
            assert_true(kept > CE_ERROR_MESSAGE_SIZE - 1 - length && kept < CE_ERROR_MESSAGE_SIZE);
            assert_true(is_utf8(error.message));
            assert_int_equal((kept - shift) % length, 0);
            assert_null(strchr(error.message, '?'));
        }
}

static void whole_characters_at_the_end_stay(void **state) {
    (void)state;
    char text[CE_ERROR_MESSAGE_SIZE + 1];
    memset(text, 'x', sizeof text);
    memcpy(text + CE_ERROR_MESSAGE_SIZE - 4, "\xE2\x82\xACy", 5); /* the euro sign ends where the message does */
    ce_error error;
    cei_fail(&error, CE_ERR_IO, "%s", text);
    assert_int_equal(strlen(error.message), CE_ERROR_MESSAGE_SIZE - 1);
    assert_memory_equal(error.message + CE_ERROR_MESSAGE_SIZE - 4, "\xE2\x82\xAC", 4);
}

static void messages_are_one_line_of_utf8(void **state) {
    (void)state;
    ce_error error;
    cei_fail(&error, CE_ERR_IO, "a\nb\tc\x1b[31md\x7f%s",
             "e\xC2\x9B"
             "f");
    assert_string_equal(error.message, "a b c [31md e  f");
    cei_fail(&error, CE_ERR_IO, "%s", "\xFF\xC3(\xE2\x82 \xED\xA0\x80 \xC0\x80 \xF4\x90\x80\x80 \xC3\xA9");
    assert_string_equal(error.message, "\?\?(\?\? \?\?\? \?\? \?\?\?\? \xC3\xA9");
    cei_fail(&error, CE_ERR_IO, "%.3s!", "ab\xC3\xA9");
    assert_string_equal(error.message, "ab?!");
}

static void want_of_memory_says_how_much(void **state) {
    (void)state;
    ce_error error;
    assert_int_equal(cei_fail_memory(&error, "the weights", 4096), CE_ERR_MEMORY);
    assert_string_equal(error.message, "out of host memory: 4096 bytes for the weights");
    cei_fail_memory(&error, "the weights", 0);
    assert_string_equal(error.message, "out of host memory for the weights");
}

static void errno_has_a_text(void **state) {
    (void)state;
    char text[128], small[4];
    assert_string_equal(cei_errno_text(ENOENT, text, sizeof text), "No such file or directory");
    assert_ptr_equal(cei_errno_text(-12345, text, sizeof text), text);
    assert_true(strlen(text) > 0);
    assert_true(strlen(cei_errno_text(ENOENT, small, sizeof small)) < sizeof small);
}

static void struct_sizes_are_checked(void **state) {
    (void)state;
    ce_error error;
    assert_int_equal(cei_check_struct(16, 16, "ce_x", &error), CE_OK);
    assert_int_equal(cei_check_struct(17, 16, "ce_x", &error), CE_OK);
    expect_status(cei_check_struct(0, 16, "ce_x", &error), CE_ERR_ARGUMENT, &error, "ce_x.size is 0");
    expect_status(cei_check_struct(15, 16, "ce_x", &error), CE_ERR_ARGUMENT, &error, "sizeof(ce_x)");
}

static void statuses_have_their_names(void **state) {
    (void)state;
    assert_string_equal(ce_status_name(CE_OK), "CE_OK");
    for (int status = 1; status <= CE_ERR_CANCELLED; status++) {
        assert_int_equal(strncmp(ce_status_name((ce_status)status), "CE_ERR_", 7), 0);
        assert_string_not_equal(ce_status_name((ce_status)status), "CE_ERR_UNKNOWN");
    }
    assert_string_equal(ce_status_name((ce_status)(CE_ERR_CANCELLED + 1)), "CE_ERR_UNKNOWN");
    assert_string_equal(ce_status_name((ce_status)-1), "CE_ERR_UNKNOWN");
    assert_string_equal(ce_version(), CE_VERSION_STRING);
}

typedef struct lines {
    int count;
    ce_log_level level;
    char last[2 * CE_ERROR_MESSAGE_SIZE];
} lines;

static void keep(void *user, ce_log_level level, const char *message) {
    lines *kept = user;
    kept->count++;
    kept->level = level;
    snprintf(kept->last, sizeof kept->last, "%s", message);
}

static void log_lines_reach_the_caller(void **state) {
    (void)state;
    lines kept = {0};
    cei_log log = {keep, &kept};
    cei_log_line(&log, CE_LOG_WARNING, "%s is\n%d", "x", 3);
    assert_int_equal(kept.count, 1);
    assert_int_equal(kept.level, CE_LOG_WARNING);
    assert_string_equal(kept.last, "x is 3");
    cei_log silent = {NULL, &kept};
    cei_log_line(&silent, CE_LOG_WARNING, "nothing");
    cei_log_line(NULL, CE_LOG_WARNING, "nothing");
    assert_int_equal(kept.count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_and_message_are_set),
        cmocka_unit_test(context_can_be_put_in_front),
        cmocka_unit_test(long_messages_are_cut_at_a_character),
        cmocka_unit_test(whole_characters_at_the_end_stay),
        cmocka_unit_test(messages_are_one_line_of_utf8),
        cmocka_unit_test(want_of_memory_says_how_much),
        cmocka_unit_test(errno_has_a_text),
        cmocka_unit_test(struct_sizes_are_checked),
        cmocka_unit_test(statuses_have_their_names),
        cmocka_unit_test(log_lines_reach_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
