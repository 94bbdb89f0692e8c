/* fuzz_json.c - base/json_parse.c: any bytes parse or give an error, as Jansson's own parser has it; typed fields stay
 * in the bounds that were asked. */
#include "fuzz.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

static void read_fields(const json_t *root) {
    ce_error error = {CE_OK, ""};
    size_t size = 7;
    fuzz_check_error(cei_json_size(root, "size", 3, 1000, "file", &size, &error), &error);
    fuzz_require(size >= 3 && size <= 1000);
    double number = 0;
    fuzz_check_error(cei_json_double(root, "number", "file", &number, &error), &error);
    fuzz_require(isfinite(number));
    bool truth = false;
    fuzz_check_error(cei_json_bool(root, "truth", "file", &truth, &error), &error);
    const char *string = "";
    fuzz_check_error(cei_json_string(root, "string", "file", &string, &error), &error);
    fuzz_require(strlen(string) < 65536);
}

/* Where the two may differ: -0 and integers beyond 64 bits are reals here, keys may have NULs, nesting ends earlier;
 * and Jansson takes a NUL byte for the end of the text. */
static bool differs_by_design(const uint8_t *data, size_t size, const json_t *theirs, const json_error_t *why,
                              const ce_error *error) {
    if (theirs) return strstr(error->message, "nested too deep") || memchr(data, '\0', size);
    return json_error_code(why) == json_error_numeric_overflow || json_error_code(why) == json_error_null_byte_in_key;
}

static bool has_minus_zero(const uint8_t *data, size_t size) {
    for (size_t i = 0; i + 1 < size; i++)
        if (data[i] == '-' && data[i + 1] == '0') return true;
    return false;
}

static void compare(const uint8_t *data, size_t size, const json_t *ours, const ce_error *error) {
    json_error_t why;
    json_t *theirs = json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!ours != !theirs)
        fuzz_require(differs_by_design(data, size, theirs, &why, error));
    else if (ours && !has_minus_zero(data, size))
        fuzz_require(json_equal(ours, theirs));
    json_decref(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ce_error error = {CE_OK, ""};
    json_t *root = NULL;
    ce_status status = cei_json_parse((const char *)data, size, "file", &root, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (root != NULL));
    compare(data, size, root, &error);
    if (json_is_object(root)) read_fields(root);
    json_decref(root);
    status = cei_json_parse_strict((const char *)data, size, "file", &root, &error);
    fuzz_check_error(status, &error);
    json_decref(root);
    return 0;
}
