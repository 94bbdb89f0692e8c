/* fuzz_json.c - base/json.c: any bytes parse or give an error; typed fields stay in the bounds that were asked. */
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
    fuzz_require(memchr(string, '\0', strlen(string) + 1) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ce_error error = {CE_OK, ""};
    json_t *root = NULL;
    ce_status status = cei_json_parse((const char *)data, size, "file", &root, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (root != NULL));
    if (json_is_object(root)) read_fields(root);
    json_decref(root);
    return 0;
}
