/* test_template.c - chat templates: against the reference, refused by line and name, and bounded whatever they do. */
#include "golden_json.h"

#include "support/failing_malloc.h"

#include "base/clock.h"
#include "text/template.h"

/* ---- against the reference ---- */

static cei_template *open_template(const char *source, const json_t *names) {
    cei_template *tmpl = NULL;
    ce_error error = {CE_OK, ""};
    const char *name;
    const json_t *value;
    ce_status status = cei_template_parse(source, strlen(source), "template", &tmpl, &error);
    if (status != CE_OK) fail_msg("%s\nin %s", error.message, source);
    json_object_foreach((json_t *)(uintptr_t)names, name, value)
        expect_ok(cei_template_define(tmpl, name, value, &error), &error);
    return tmpl;
}

static ce_text text_of(const json_t *string) {
    return (ce_text){json_string_value(string), json_string_length(string)};
}

/* The messages of a chat, whose contents are all texts or all in parts. */
static size_t read_chat(const json_t *chat, cei_template_message messages[8]) {
    const size_t count = json_array_size(chat);
    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        const json_t *message = json_array_get(chat, i), *content = golden_get(message, "content");
        const bool in_parts = json_is_array(content);
        if (in_parts) content = golden_get(json_array_get(content, 0), "text");
        messages[i] = (cei_template_message){text_of(golden_get(message, "role")), text_of(content), in_parts};
    }
    return count;
}

static void check_render(const cei_template *tmpl, const json_t *chat, cei_template_memory *memory, const json_t *want,
                         const char *name) {
    cei_template_message messages[8];
    ce_error error = {CE_OK, ""};
    ce_text prompt;
    const size_t count = read_chat(chat, messages);
    ce_status status = cei_template_render(tmpl, messages, count, memory, &prompt, &error);
    if (json_is_null(want)) {
        if (status != CE_ERR_MODEL) fail_msg("%s\nis rendered, and fails in the reference", name);
        assert_non_null(strstr(error.message, "template, line "));
        return;
    }
    if (status != CE_OK) fail_msg("%s\nin %s", error.message, name);
    const ce_text wanted = text_of(want);
    if (prompt.size != wanted.size || memcmp(prompt.data ? prompt.data : "", wanted.data, wanted.size) != 0)
        fail_msg("%s\ngives  %.*s\nand not %s", name, (int)prompt.size, prompt.data, wanted.data);
}

static void test_chats(void **state) {
    (void)state;
    json_t *golden = golden_load("templates.json");
    cei_template_memory memory = {0};
    const json_t *entry, *chat;
    size_t i, j;
    json_array_foreach(golden_get(golden, "chats"), i, entry) {
        cei_template *tmpl =
            open_template(json_string_value(golden_get(entry, "source")), json_object_get(entry, "names"));
        const char *name = json_string_value(golden_get(entry, "name"));
        json_array_foreach(golden_get(entry, "chats"), j, chat)
            check_render(tmpl, chat, &memory, json_array_get(golden_get(entry, "want"), j), name);
        cei_template_free(tmpl);
    }
    cei_template_memory_free(&memory);
    json_decref(golden);
}

static void test_snippets(void **state) {
    (void)state;
    json_t *golden = golden_load("templates.json"), *chat = json_pack("[{s:s, s:s}]", "role", "user", "content", "a");
    cei_template_memory memory = {0};
    const json_t *snippet;
    size_t i;
    json_array_foreach(golden_get(golden, "snippets"), i, snippet) {
        const char *source = json_string_value(json_array_get(snippet, 0));
        cei_template *tmpl = open_template(source, golden_get(golden, "names"));
        check_render(tmpl, chat, &memory, json_array_get(snippet, 1), source);
        cei_template_free(tmpl);
    }
    cei_template_memory_free(&memory);
    json_decref(chat);
    json_decref(golden);
}

/* ---- what is refused ---- */

static void expect_refused(const char *source, ce_status want, const char *part) {
    cei_template *tmpl = NULL;
    ce_error error = {CE_OK, ""};
    expect_status(cei_template_parse(source, strlen(source), "template", &tmpl, &error), want, &error, part);
    assert_null(tmpl);
}

static void test_refused_by_name(void **state) {
    (void)state;
    static const char *const refused[][2] = {
        {"a\n\n{{ x | sort }}", "line 3: the filter \"sort\""},
        {"{{ strftime_now('%Y') }}", "line 1: the function \"strftime_now\""},
        {"{{ x is callable }}", "the test \"callable\""},
        {"{{ x.append(1) }}", "the method \"append\""},
        {"{{ x | join(sep=1) }}", "the argument \"sep\" of the filter \"join\""},
        {"{{ x | map('nope') }}", "the filter \"nope\""},
        {"{{ x | map(y) }}", "must be a string in the template itself"},
        {"{{ x | selectattr('a', 'nope') }}", "the test \"nope\""},
        {"{{ x | selectattr('a.b') }}", "with a point"},
        {"{% include 'x' %}", "the statement \"include\""},
        {"{% for x in y recursive %}{% endfor %}", "recursive"},
        {"{% for x in y %}{% macro f() %}{% endmacro %}{% endfor %}", "a macro within a loop"},
        {"{% set a, b = 1, 2 %}", "set with several names"},
        {"{{ f(*x) }}", "arguments by *"},
        {"{{ x[0](1) }}", "what has no name"},
        {"{{ 2 ** 3 }}", "operator **"},
        {"{{ 9999999999999999 }}", "larger than 9e15"},
        {"{{ 0x10 }}", "not of a form"},
        {"{{ namespace({}) }}", "by name alone"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_refused(refused[i][0], CE_ERR_UNSUPPORTED, refused[i][1]);
}

static void test_malformed(void **state) {
    (void)state;
    static const char *const malformed[][2] = {
        {"a\n{{ x ", "line 2: an expression {{ is not closed"},
        {"{% if x %}a", "it ends where elif should be"},
        {"{% if x }}", "line 1"},
        {"{{ 'a }}", "a string is not closed"},
        {"{# a", "a comment {# is not closed"},
        {"{% raw %}a", "has no {% endraw %}"},
        {"{{ (1] }}", "a bracket closes nothing"},
        {"{{ }}", "where a value should be"},
        {"{{ 1 2 }}", "where }} should be"},
        {"{% endif %}", "\"endif\" is not supported"},
        {"{% break %}", "belong in a loop"},
        {"{{ '\\x4' }}", "an escape"},
        {"{{ a? }}", "an unexpected character"},
        {"{{ f(a=1, 2) }}", "behind one with a name"},
        {"{{ x | replace('a') }}", "lacks its argument \"new\""},
        {"{% for if in x %}{% endfor %}", "where a name should be"},
        {"{% set x %}a", "where endset should be"},
        {"\xff", "not valid UTF-8 at byte 0"},
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        cei_template *tmpl = NULL;
        ce_error error = {CE_OK, ""};
        ce_status status = cei_template_parse(malformed[i][0], strlen(malformed[i][0]), "template", &tmpl, &error);
        assert_true(status == CE_ERR_FORMAT || status == CE_ERR_UNSUPPORTED);
        if (!strstr(error.message, malformed[i][1])) fail_msg("%s: %s", malformed[i][0], error.message);
        assert_null(tmpl);
    }
}

/* count times part, between before and behind; freed by the caller. */
static char *repeated(const char *before, const char *part, size_t count, const char *behind) {
    const size_t size = strlen(part);
    char *text = malloc(strlen(before) + count * size + strlen(behind) + 1), *end;
    assert_non_null(text);
    end = text + sprintf(text, "%s", before);
    for (size_t i = 0; i < count; i++, end += size) memcpy(end, part, size);
    sprintf(end, "%s", behind);
    return text;
}

static void test_deep_templates(void **state) {
    (void)state;
    static const char *const deep[][3] = {
        {"{{ ", "(", ""},
        {"{{ ", "[", ""},
        {"{{ ", "not ", "x }}"},
        {"{{ ", "-", "x }}"},
        {"{{ 1", " + 1", " }}"},
        {"{{ x", ".a", " }}"},
        {"{{ x", " | trim", " }}"},
        {"", "{% if x %}", ""},
        {"{{ 1", " if x else 1", " }}"},
        {"{% if x %}", "{% elif x %}", "{% endif %}"},
        {"", "{% for x in y %}", ""},
    };
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        char *source = repeated(deep[i][0], deep[i][1], 20000, deep[i][2]);
        cei_template *tmpl = NULL;
        ce_error error = {CE_OK, ""};
        assert_int_not_equal(cei_template_parse(source, strlen(source), "deep", &tmpl, &error), CE_OK);
        assert_non_null(strstr(error.message, "nested"));
        assert_null(tmpl);
        free(source);
    }
}

static void test_large_templates(void **state) {
    (void)state;
    char *source = repeated("", "{{ x }}", (CEI_TEMPLATE_MAX_SIZE / 7) + 1, "");
    expect_refused(source, CE_ERR_UNSUPPORTED, "a chat template may have");
    source[CEI_TEMPLATE_MAX_SIZE / 7 * 7] = '\0';
    cei_template *tmpl = NULL;
    ce_error error;
    expect_ok(cei_template_parse(source, strlen(source), "large", &tmpl, &error), &error);
    cei_template_free(tmpl);
    free(source);
}

/* ---- bounds ---- */

static ce_status render_one(const char *source, ce_text content, ce_error *error) {
    cei_template *tmpl = open_template(source, NULL);
    const cei_template_message message = {ce_text_of("user"), content, false};
    cei_template_memory memory = {0};
    ce_text prompt;
    ce_status status = cei_template_render(tmpl, &message, 1, &memory, &prompt, error);
    cei_template_memory_free(&memory);
    cei_template_free(tmpl);
    return status;
}

static void test_templates_that_never_end(void **state) {
    (void)state;
    static const char *const endless[][2] = {
        {"{% set l = range(1000) %}{% for a in l %}{% for b in l %}{% for c in l %}{% endfor %}{% endfor %}{% endfor "
         "%}",
         "steps"},
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested"},
        {"{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}", "nested"},
        {"{% set n = namespace(s='aaaaaaaa') %}{% for i in range(100) %}{% set n.s = n.s + n.s %}{% endfor %}",
         "bytes"},
        {"{% for i in range(100000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' "
         "}}{% endfor %}",
         "bytes"},
        {"{{ range(900000000000000) | length }}", "steps"},
        {"{{ 'a' * 900000000 }}", ""},
        {"{% set n = namespace(l=[1]) %}{% for i in range(50) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l == n.l }}",
         "steps"},
        {"{% set n = namespace(l=[1]) %}{% for i in range(900) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l | tojson }}",
         "nested"},
        {"{{ 9000000000000000 + 1 }}", "9e15"},
    };
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        ce_error error = {CE_OK, ""};
        const double start = cei_now_ms();
        expect_status(render_one(endless[i][0], ce_text_of("x"), &error), CE_ERR_MODEL, &error, endless[i][1]);
        assert_true(cei_now_ms() - start < 5000);
    }
}

/* Long contents pass: the bounds grow with them. */
static void test_long_contents(void **state) {
    (void)state;
    static const char source[] =
        "{% set c = messages[0].content %}{{ '<a>' + c + '\\n' + 'b' }}{{ c | trim }}{{ 'x' in c }}"
        "{{ c.split('\\n') | length }}{{ c | replace('a', 'b') | length }}{{ c[1:] }}";
    char *content = repeated("", "ab \xC3\xA9\n", 200000, "");
    ce_error error;
    expect_ok(render_one(source, ce_text_of(content), &error), &error);
    free(content);
}

static void test_steady_rendering_allocates_nothing(void **state) {
    (void)state;
    failing_malloc_or_skip();
    json_t *golden = golden_load("templates.json");
    const json_t *entry = json_array_get(golden_get(golden, "chats"), 2), *chats = golden_get(entry, "chats");
    cei_template *tmpl = open_template(json_string_value(golden_get(entry, "source")), NULL);
    cei_template_message messages[8];
    cei_template_memory memory = {0};
    ce_text prompt;
    ce_error error;
    for (int round = 0; round < 2; round++) {
        failing_malloc_start(FAILING_NONE, 0, FAILING_THIS_THREAD);
        for (size_t i = 0; i < json_array_size(chats); i++) {
            const size_t count = read_chat(json_array_get(chats, i), messages);
            expect_ok(cei_template_render(tmpl, messages, count, &memory, &prompt, &error), &error);
        }
        const size_t made = failing_malloc_stop();
        assert_true(round == 0 ? made > 0 : made == 0);
    }
    cei_template_memory_free(&memory);
    cei_template_free(tmpl);
    json_decref(golden);
}

/* Reads, defines and renders a template that uses much of what there is. */
static ce_status use_all(void *user, ce_error *error) {
    static const char source[] =
        "{% macro f(x) %}{{ x | tojson }}{% endmacro %}{% set n = namespace(a=[1, {'b': 'c'}]) %}"
        "{% for m in messages if m.role == 'user' %}{{ f(m) ~ n.a[1:] | tojson }}"
        "{{ m.content[0].text.split() | join('-') | upper }}{{ d }}{% endfor %}";
    const cei_template_message message = {ce_text_of("user"), ce_text_of("x y"), true};
    cei_template_memory memory = {0};
    cei_template *tmpl = NULL;
    ce_text prompt;
    ce_status status = cei_template_parse(source, strlen(source), "template", &tmpl, error);
    if (status == CE_OK) status = cei_template_define(tmpl, "d", user, error);
    if (status == CE_OK) status = cei_template_render(tmpl, &message, 1, &memory, &prompt, error);
    cei_template_memory_free(&memory);
    cei_template_free(tmpl);
    return status;
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    failing_malloc_or_skip();
    json_t *value = json_string("defined");
    assert_true(test_each_allocation(use_all, value) > 4);
    json_decref(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chats),
        cmocka_unit_test(test_snippets),
        cmocka_unit_test(test_refused_by_name),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_deep_templates),
        cmocka_unit_test(test_large_templates),
        cmocka_unit_test(test_templates_that_never_end),
        cmocka_unit_test(test_long_contents),
        cmocka_unit_test(test_steady_rendering_allocates_nothing),
        cmocka_unit_test(test_each_allocation_fails),
    };
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
