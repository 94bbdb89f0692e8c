/* fuzz_template.c - a chat template, and behind the first NUL the content of its messages: it is refused, or renders
 * the messages twice to the same prompt within its bounds, or says at which line it cannot. */
#include "fuzz.h"

#include "text/template.h"
#include "text/utf8.h"

#include <string.h>

static void define(cei_template *tmpl) {
    static const char values[] = "{\"l\": [1, \"b\", null, 2.5], \"m\": {\"k\": \"v\"}, \"s\": \"text\"}";
    json_t *all = NULL;
    fuzz_require(cei_json_parse(values, sizeof values - 1, "values", &all, NULL) == CE_OK);
    fuzz_require(cei_template_define(tmpl, "x", all, NULL) == CE_OK);
    fuzz_require(cei_template_define(tmpl, "l", json_object_get(all, "l"), NULL) == CE_OK);
    json_decref(all);
}

static void use(const cei_template *tmpl, ce_text content) {
    const cei_template_message messages[] = {{ce_text_of("system"), ce_text_of("rule"), false},
                                             {ce_text_of("query"), content, true},
                                             {ce_text_of("document"), content, false}};
    const size_t limit = CEI_TEMPLATE_BYTES + 64 * (2 * content.size + 4);
    cei_template_memory first = {0}, second = {0};
    ce_text prompt, again;
    ce_error error = {CE_OK, ""};
    ce_status status = cei_template_render(tmpl, messages, 3, &first, &prompt, &error);
    fuzz_check_error(status, &error);
    fuzz_require(prompt.size <= limit && first.arena.taken <= limit);
    fuzz_require(cei_template_render(tmpl, messages, 3, &second, &again, &error) == status);
    fuzz_require(prompt.size == again.size && (prompt.size == 0 || memcmp(prompt.data, again.data, again.size) == 0));
    if (status == CE_OK) fuzz_require(cei_utf8_check(prompt.data, prompt.size, NULL) == prompt.size);
    cei_template_memory_free(&first);
    cei_template_memory_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = size ? (const char *)data : "", *end = size ? memchr(text, '\0', size) : NULL;
    const size_t source = end ? (size_t)(end - text) : size;
    ce_text content = ce_text_of("a b\n<|im_end|>");
    cei_template *tmpl = NULL;
    ce_error error = {CE_OK, ""};
    if (end) content = (ce_text){end + 1, cei_utf8_check(end + 1, size - source - 1, NULL)};
    ce_status status = cei_template_parse(text, source, "template", &tmpl, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (tmpl != NULL));
    if (tmpl) {
        define(tmpl);
        use(tmpl, content);
    }
    cei_template_free(tmpl);
    return 0;
}
