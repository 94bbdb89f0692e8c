/* fuzz_modules.c - modules.json, and behind NULs the other files that Sentence Transformers writes beside a
 * transformer: what is accepted names folders in the model's alone, is in range, and makes a head or an error. */
#include "folder.h"
#include "fuzz.h"

#include "model/modules.h"

#include <string.h>

enum { MAX_SIZE = 1 << 24 };

/* The files in the order in which an input has them; one that it has not is not there. */
static const char *const files[] = {
    "modules.json",        "config_sentence_transformers.json", "1_Pooling/config.json",
    "2_Dense/config.json", "3_LayerNorm/config.json",           "sentence_bert_config.json"};
enum { FILES = sizeof files / sizeof files[0] };

static void make_folder(void) {
    static bool made;
    if (made) return;
    made = true;
    fuzz_folder_add("1_Pooling");
    fuzz_folder_add("2_Dense");
    fuzz_folder_add("3_LayerNorm");
}

static void write_files(const uint8_t *data, size_t size) {
    const uint8_t *at = data, *const end = data + size;
    for (size_t i = 0; i < FILES; i++) {
        const uint8_t *stop = at && at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
        if (at)
            fuzz_folder_write(files[i], at, (size_t)((stop ? stop : end) - at));
        else
            fuzz_folder_remove(files[i]);
        at = stop ? stop + 1 : NULL;
    }
}

static void check_folder_name(const char *name) {
    fuzz_require(name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
}

static void check_layer(const cei_module *layer) {
    check_folder_name(layer->folder);
    fuzz_require(layer->folder[0] != '\0' && layer->function < CEI_FN_COUNT);
    if (layer->kind == CEI_HEAD_NORMALIZE) return;
    fuzz_require(layer->in >= 1 && layer->in <= MAX_SIZE);
    if (layer->kind == CEI_HEAD_DENSE) fuzz_require(layer->out >= 1 && layer->out <= MAX_SIZE);
}

static void check_modules(const cei_modules *modules) {
    bool found = !modules->default_prompt;
    check_folder_name(modules->transformer);
    fuzz_require(modules->pooling_count >= 1 && modules->pooling_count <= CEI_POOL_COUNT);
    for (size_t i = 0; i < modules->pooling_count; i++) fuzz_require(modules->poolings[i] < CEI_POOL_COUNT);
    fuzz_require(modules->pooling[0] && strlen(modules->pooling) < sizeof modules->pooling - 1);
    for (size_t i = 0; i < modules->layer_count; i++) check_layer(&modules->layers[i]);
    for (size_t i = 0; i < modules->prompt_count; i++) {
        fuzz_require(modules->prompts[i].name && modules->prompts[i].text);
        found = found || strcmp(modules->prompts[i].name, modules->default_prompt) == 0;
    }
    fuzz_require(found);
    fuzz_require(modules->similarity <= CE_SIMILARITY_MANHATTAN);
    fuzz_require(modules->max_length <= MAX_SIZE && modules->truncate_dim <= MAX_SIZE);
}

/* The head on an encoder that is as wide as the first layer wants, if any width would do. */
static void make_head(const cei_modules *modules) {
    const size_t wanted = modules->layer_count ? modules->layers[0].in / modules->pooling_count : 0;
    cei_plan plan = {0};
    ce_error error = {CE_OK, ""};
    cei_head head = cei_modules_pool(modules, wanted ? wanted : 8);
    ce_status status = cei_modules_plan(modules, &plan, &head, &error);
    fuzz_check_error(status, &error);
    if (status == CE_OK) {
        fuzz_require(head.layer_count == modules->layer_count && head.outputs > 0 && head.widest >= head.outputs);
        fuzz_require(cei_head_workspace(&head, 1) > 0);
    }
    cei_plan_free(&plan);
}

static void ignore_line(void *user, ce_log_level level, const char *message) {
    (void)user;
    fuzz_require(level <= CE_LOG_WARNING && message[0] != '\0');
}

typedef ce_status (*load_fn)(const char *folder, const cei_log *log, cei_modules *modules, ce_error *error);

/* As a bi-encoder's folder, or a cross-encoder's, which may have no modules. */
static void load(load_fn load_modules) {
    const cei_log log = {ignore_line, NULL};
    ce_error error = {CE_OK, ""};
    cei_modules modules;
    ce_status status = load_modules(fuzz_folder(), &log, &modules, &error);
    fuzz_check_error(status, &error);
    if (status == CE_OK && cei_modules_are_head(&modules)) {
        check_modules(&modules);
        make_head(&modules);
    }
    cei_modules_free(&modules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    make_folder();
    write_files(data, size);
    load(cei_modules_load);
    load(cei_modules_load_scorer);
    return 0;
}
