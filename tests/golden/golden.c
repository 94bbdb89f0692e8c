/* golden.c - comparing with the reference, and finding texts by reference; whatever is missing fails the test. */
#include "golden.h"

#include "device/device.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *golden_device(void) {
    const char *device = getenv("CE_GOLDEN_DEVICE");
    return device ? device : "cpu";
}

void golden_require_device(void) {
    cei_device_id id;
    ce_error error = {0};
    if (cei_device_resolve(golden_device(), 0, &id, &error) == CE_OK) return;
    print_message("SKIP: %s\n", error.message);
    skip();
}

double golden_deviation(float got, double want) {
    return isfinite(got) ? fabs((double)got - want) / (1.0 + fabs(want)) : (double)INFINITY;
}

void golden_filter(void) {
    const char *pattern = getenv("CE_GOLDEN_FILTER");
    if (pattern) cmocka_set_test_filter(pattern);
}

ce_model *golden_load(const char *folder, size_t max_length) {
    return golden_load_in(CE_PRECISION_FLOAT32, folder, max_length);
}

ce_model *golden_load_in(ce_precision precision, const char *folder, size_t max_length) {
    ce_load_options options = {
        .size = sizeof options, .device = golden_device(), .max_length = max_length, .precision = precision};
    ce_model *model = NULL;
    ce_error error;
    expect_ok(ce_model_load(folder, &options, &model, &error), &error);
    return model;
}

json_t *golden_read_json(const char *path) {
    json_error_t error;
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (!root) fail_msg("%s:%d: %s", path, error.line, error.text);
    return root;
}

ce_text golden_text(const json_t *string) {
    assert_true(json_is_string(string));
    return (ce_text){json_string_value(string), json_string_length(string)};
}

json_t *golden_texts_create(void) {
    json_t *texts = json_object();
    assert_non_null(texts);
    return texts;
}

static void add(json_t *texts, const char *name, const char *text) {
    assert_int_equal(json_object_set_new(texts, name, json_string(text)), 0);
}

/* The next line of a text in memory, its newline replaced by NUL; NULL at the end. */
static char *next_line(char **rest) {
    if (!*rest || !**rest) return NULL;
    char *line = *rest, *end = strchr(line, '\n');
    *rest = end ? end + 1 : NULL;
    if (end) *end = '\0';
    return line;
}

/* A query has no title; a document is its title and its text. */
static void add_json_lines(json_t *texts, const char *prefix, char kind, const char *path) {
    char *data = test_read_file(path, NULL), *rest = data, name[64];
    for (char *line; (line = next_line(&rest));) {
        json_t *entry = json_loads(line, 0, NULL);
        assert_non_null(entry);
        const char *id = json_string_value(json_object_get(entry, "_id"));
        const char *title = json_string_value(json_object_get(entry, "title"));
        const char *text = json_string_value(json_object_get(entry, "text"));
        assert_true(id && text);
        bool titled = title && *title;
        size_t size = strlen(text) + (titled ? strlen(title) : 0) + 2;
        char *whole = malloc(size);
        assert_non_null(whole);
        snprintf(whole, size, "%s%s%s", titled ? title : "", titled ? " " : "", text);
        snprintf(name, sizeof name, "%s%c:%s", prefix, kind, id);
        add(texts, name, whole);
        free(whole);
        json_decref(entry);
    }
    free(data);
}

void golden_texts_add_collection(json_t *texts, const char *prefix, const char *folder) {
    char path[1200];
    snprintf(path, sizeof path, "%s/queries.jsonl", folder);
    add_json_lines(texts, prefix, 'q', path);
    snprintf(path, sizeof path, "%s/corpus.jsonl", folder);
    add_json_lines(texts, prefix, 'd', path);
}

void golden_texts_add_wikiqa(json_t *texts, const char *path) {
    char *data = test_read_file(path, NULL), *rest = data, name[64];
    unsigned number = 0;
    for (char *line; (line = next_line(&rest));) {
        char *answer = strchr(line, '\t'), *label = answer ? strchr(answer + 1, '\t') : NULL;
        assert_non_null(label);
        *answer = *label = '\0';
        snprintf(name, sizeof name, "Wq:%u", ++number);
        add(texts, name, line);
        snprintf(name, sizeof name, "Wa:%u", number);
        add(texts, name, answer + 1);
    }
    free(data);
}

static void add_sentences_of(json_t *texts, const char *folder, const char *file) {
    char path[1400], name[300];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    char *data = test_read_file(path, NULL), *rest = data;
    unsigned number = 0;
    for (char *line; (line = next_line(&rest));) {
        snprintf(name, sizeof name, "M:%.*s:%u", (int)strcspn(file, "."), file, ++number);
        add(texts, name, line);
    }
    free(data);
}

void golden_texts_add_sentences(json_t *texts, const char *folder) {
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));)
        if (strstr(entry->d_name, ".txt")) add_sentences_of(texts, folder, entry->d_name);
    closedir(listing);
}

/* Bytes of the first count words, where each blank ends one. */
static size_t length_of_words(const char *text, unsigned long count) {
    const char *end = text;
    for (; count > 0; count--) {
        end += strcspn(end, " ");
        if (!*end || count == 1) break;
        end++;
    }
    return (size_t)(end - text);
}

/* The text of one name, of size bytes, and how much of it is meant. */
static const char *find_one(const json_t *texts, const char *name, size_t size, size_t *length) {
    char key[128];
    assert_true(size < sizeof key);
    memcpy(key, name, size);
    key[size] = '\0';
    *length = 0;
    if (strcmp(key, "-") == 0) return "";
    char *words = strchr(key, '/');
    if (words) *words = '\0';
    const char *text = json_string_value(json_object_get(texts, key));
    if (!text) fail_msg("no text is named %s", key);
    *length = words ? length_of_words(text, strtoul(words + 1, NULL, 10)) : strlen(text);
    return text;
}

char *golden_texts_find(const json_t *texts, const char *reference) {
    size_t used = 0;
    char *whole = NULL;
    if (*reference == '"') {
        whole = strdup(reference + 1);
        assert_non_null(whole);
        return whole;
    }
    for (const char *name = reference;; name++) {
        size_t size = strcspn(name, "+"), length;
        const char *text = find_one(texts, name, size, &length);
        whole = realloc(whole, used + length + 2);
        assert_non_null(whole);
        if (name != reference) whole[used++] = ' ';
        memcpy(whole + used, text, length);
        used += length;
        name += size;
        if (!*name) break;
    }
    whole[used] = '\0';
    return whole;
}
