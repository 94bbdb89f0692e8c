/* merges.c - collects the merges of a BPE model from JSON and from merges.txt. What they mean is bpe.c's business. */
#include "text/merges.h"

#include "base/error.h"
#include "text/utf8.h"

static const char version_mark[] = "#version";

void cei_merges_free(cei_merges *merges) {
    cei_free(merges->text.data);
    cei_free(merges->sizes);
    cei_free(merges->known);
    *merges = (cei_merges){0};
}

bool cei_merges_push(cei_merges *merges, const char *left, size_t left_size, const char *right, size_t right_size) {
    void *sizes = merges->sizes;
    bool grown = cei_grow(&sizes, &merges->capacity, merges->count + 1, sizeof *merges->sizes);
    merges->sizes = sizes;
    if (!grown || !cei_bytes_append(&merges->text, left, left_size)) return false;
    if (!cei_bytes_append(&merges->text, right, right_size)) return false;
    merges->sizes[merges->count++] = (cei_merge_sizes){(uint32_t)left_size, (uint32_t)right_size};
    return true;
}

bool cei_merges_push_line(cei_merges *merges, const char *line, size_t size, bool *good) {
    if (size >= sizeof version_mark - 1 && memcmp(line, version_mark, sizeof version_mark - 1) == 0) return true;
    const char *blank = size ? memchr(line, ' ', size) : NULL;
    size_t left = blank ? (size_t)(blank - line) : 0, right = blank ? size - left - 1 : 0;
    if (!blank || (right > 0 && memchr(blank + 1, ' ', right))) {
        *good = false;
        return true;
    }
    return cei_merges_push(merges, line, left, blank + 1, right);
}

static ce_status bad_merge(const char *path, size_t index, ce_error *error) {
    return cei_fail(error, CE_ERR_FORMAT, "%s: merge %zu is not two tokens", path, index + 1);
}

static ce_status read_merge(const json_t *item, size_t index, const char *path, cei_merges *merges, ce_error *error) {
    bool good = true, pushed;
    if (json_is_string(item)) {
        pushed = cei_merges_push_line(merges, json_string_value(item), json_string_length(item), &good);
    } else {
        const json_t *left = json_array_get(item, 0), *right = json_array_get(item, 1);
        if (json_array_size(item) != 2 || !json_is_string(left) || !json_is_string(right))
            return bad_merge(path, index, error);
        pushed = cei_merges_push(merges, json_string_value(left), json_string_length(left), json_string_value(right),
                                 json_string_length(right));
    }
    if (!pushed) return cei_fail_memory(error, "the merges", 0);
    return good ? CE_OK : bad_merge(path, index, error);
}

ce_status cei_merges_read_json(const json_t *array, const char *path, cei_merges *merges, ce_error *error) {
    size_t i;
    const json_t *item;
    if (!json_is_array(array)) return cei_fail(error, CE_ERR_FORMAT, "%s: the model's \"merges\" is no array", path);
    json_array_foreach(array, i, item) {
        ce_status status = read_merge(item, i, path, merges, error);
        if (status != CE_OK) return status;
    }
    return CE_OK;
}

ce_status cei_merges_read_text(const char *data, size_t size, const char *path, cei_merges *merges, ce_error *error) {
    size_t bad = cei_utf8_check(data, size, NULL);
    if (bad < size) return cei_fail(error, CE_ERR_FORMAT, "%s is not UTF-8: byte %zu", path, bad);
    if (size > UINT32_MAX) return cei_fail(error, CE_ERR_FORMAT, "%s is larger than 4 GB", path);
    for (size_t at = 0; at < size;) {
        const char *line = data + at, *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        bool good = true;
        at += length + 1;
        if (end && length > 0 && line[length - 1] == '\r') length--;
        if (!cei_merges_push_line(merges, line, length, &good)) return cei_fail_memory(error, "the merges", 0);
        if (!good) return bad_merge(path, merges->count, error);
    }
    return CE_OK;
}
