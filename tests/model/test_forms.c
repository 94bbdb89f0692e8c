/* test_forms.c - what forms of the transformer make of configs: weights that layers share are declared once, and what
 * cannot be had is refused by name. The models are those of tests/golden, with a few words of their configs changed. */
#include "base/memory.h"
#include "formats/checkpoint.h"
#include "model/architecture.h"
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A golden model's network and what it is made of. */
typedef struct made {
    cei_config config;
    cei_checkpoint *checkpoint;
    cei_plan plan;
    cei_network *network;
} made;

static void made_free(made *m) {
    cei_free(m->network);
    cei_plan_free(&m->plan);
    cei_checkpoint_close(m->checkpoint);
    cei_config_free(&m->config);
}

/* The config's text with one string in the place of another, which must be there; NULL changes nothing. */
static char *change(const char *text, const char *from, const char *to) {
    const char *at = from ? strstr(text, from) : text;
    if (!at) fail_msg("the config has no %s", from);
    const size_t size = strlen(text) + strlen(to) + 1;
    char *changed = calloc(size, 1);
    assert_non_null(changed);
    snprintf(changed, size, "%.*s%s%s", (int)(at - text), text, to, at + (from ? strlen(from) : 0));
    return changed;
}

static ce_status make(const char *model, const char *from, const char *to, made *m, ce_error *error) {
    char name[128];
    size_t size;
    *m = (made){0};
    snprintf(name, sizeof name, "golden/models/%s", model);
    expect_ok(cei_checkpoint_open(test_data(name), &m->checkpoint, error), error);
    strcat(name, "/config.json");
    char *text = test_read_file(test_data(name), &size), *changed = change(text, from, to);
    const cei_architecture *architecture;
    ce_status status = cei_config_parse(changed, strlen(changed), "config.json", NULL, &m->config, error);
    if (status == CE_OK) status = cei_architecture_find(&m->config, &architecture, error);
    if (status == CE_OK)
        status = architecture->create(architecture, &m->config, m->checkpoint, true, &m->plan, &m->network, error);
    if (status == CE_OK) status = cei_plan_check(&m->plan, m->checkpoint, error);
    free(text);
    free(changed);
    return status;
}

static void expect_refused(const char *model, const char *from, const char *to, ce_status want, const char *part) {
    made m;
    ce_error error;
    expect_status(make(model, from, to, &m, &error), want, &error, part);
    made_free(&m);
}

static uint64_t parameters_of(const char *model, const char *from, const char *to) {
    made m;
    ce_error error;
    expect_ok(make(model, from, to, &m, &error), &error);
    const uint64_t parameters = cei_plan_parameters(&m.plan);
    made_free(&m);
    return parameters;
}

/* ---- ALBERT ------------------------------------------------------------------------------------------------- */

static void test_layers_that_are_shared(void **state) {
    (void)state;
    /* The head's two layers are not the encoder's. */
    made m;
    ce_error error;
    expect_ok(make("albert", NULL, "", &m, &error), &error);
    assert_int_equal(cei_plan_unused(&m.plan, m.checkpoint), 4);
    made_free(&m);
    const uint64_t parameters = parameters_of("albert", NULL, "");
    assert_int_equal(parameters_of("albert", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1000"), parameters);
    assert_int_equal(parameters_of("albert", "\"num_hidden_groups\": 1,", ""), parameters);
    assert_int_equal(parameters_of("albert", "\"inner_group_num\": 1,", ""), parameters);
    assert_int_equal(parameters_of("albert-groups", "\"num_hidden_layers\": 5", "\"num_hidden_layers\": 3"),
                     parameters_of("albert-groups", NULL, ""));
}

static void test_layers_that_are_refused(void **state) {
    (void)state;
    expect_refused("albert", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1025", CE_ERR_UNSUPPORTED,
                   "more than the 1024 layers");
    expect_refused("albert", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 268435456", CE_ERR_UNSUPPORTED,
                   "num_hidden_layers 268435456 times inner_group_num 1");
    expect_refused("albert", "\"num_hidden_groups\": 1", "\"num_hidden_groups\": 2", CE_ERR_MODEL,
                   "albert_layer_groups.1");
    expect_refused("albert", "\"inner_group_num\": 1", "\"inner_group_num\": 2", CE_ERR_MODEL, "albert_layers.1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_that_are_shared),
        cmocka_unit_test(test_layers_that_are_refused),
    };
    return cmocka_run_group_tests_name("forms of the transformer", tests, NULL, NULL);
}
