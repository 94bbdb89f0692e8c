/* fuzz_template.c - a chat template, and behind the first NUL the content of its messages: it is refused, or renders
 * the messages twice to the same prompt within its bounds, or says at which line it cannot. One that only puts contents
 * into a text renders the content in the places of others. */
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

/* Contents that stand for themselves: no template that is looked at has such characters beside them. */
#define QUERY "\1"
#define DOCUMENT "\2"

static ce_status render(const cei_template *tmpl, ce_text query, ce_text document, cei_template_memory *memory,
                        ce_text *prompt) {
    const cei_template_message messages[] = {{ce_text_of("query"), query, false},
                                             {ce_text_of("document"), document, false}};
    return cei_template_render(tmpl, messages, 2, memory, prompt, NULL);
}

/* Is whole what text becomes with other contents? */
static bool is_filled(ce_text text, ce_text query, ce_text document, ce_text whole) {
    size_t at = 0;
    for (size_t i = 0; i < text.size; i++) {
        const bool is_place = text.data[i] == *QUERY || text.data[i] == *DOCUMENT;
        const ce_text next = !is_place ? (ce_text){text.data + i, 1} : text.data[i] == *QUERY ? query : document;
        if (next.size > whole.size - at || (next.size && memcmp(whole.data + at, next.data, next.size) != 0))
            return false;
        at += next.size;
    }
    return at == whole.size;
}

static bool has_places(ce_text text) {
    return text.size > 0 && (memchr(text.data, *QUERY, text.size) || memchr(text.data, *DOCUMENT, text.size));
}

static void fill(const cei_template *tmpl, ce_text content) {
    const ce_text document = ce_text_of(" and 1 ");
    cei_template_memory memory[3] = {0};
    ce_text text, empty, whole;
    if (render(tmpl, ce_text_of(""), ce_text_of(""), &memory[0], &empty) == CE_OK &&
        render(tmpl, ce_text_of(QUERY), ce_text_of(DOCUMENT), &memory[1], &text) == CE_OK && !has_places(empty) &&
        render(tmpl, content, document, &memory[2], &whole) == CE_OK) /* else there is too much of it */
        fuzz_require(is_filled(text, content, document, whole));
    for (size_t i = 0; i < 3; i++) cei_template_memory_free(&memory[i]);
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
        if (cei_template_is_flat(tmpl)) fill(tmpl, content);
    }
    cei_template_free(tmpl);
    return 0;
}
