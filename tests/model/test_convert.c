/* test_convert.c - models in another precision: what is in the new folder, that it loads and scores, what is refused,
 * and that nothing half made stays. The command's tests are in tests/cli. */
#include "formats/checkpoint.h"
#include "support/failing_malloc.h"
#include "support/support.h"
#include "support/tiny_model.h"

#include <crossenc/crossenc.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char *place;
static tiny_model shape;

static const char *at(const char *name) { return test_path(place, name); }

static void write_model(void) { tiny_model_write(&shape, at("model")); }

static int make_place(void **state) {
    (void)state;
    place = test_make_folder();
    shape = tiny_model_default();
    shape.hidden = 64; /* so that layers are large enough for scales */
    shape.intermediate = 96;
    assert_int_equal(mkdir(at("model"), 0700), 0);
    write_model();
    return 0;
}

static int remove_place(void **state) {
    (void)state;
    test_remove_folder(place);
    return 0;
}

#define case_of(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

static size_t files_in(const char *path) {
    size_t count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}

static ce_status try_convert(const char *from, const char *to, ce_precision precision, ce_convert_report *report,
                             ce_error *error) {
    ce_convert_options options = {.size = sizeof options, .precision = precision, .threads = 1};
    if (report) *report = (ce_convert_report){.size = sizeof *report};
    return ce_convert(from, to, &options, report, error);
}

static ce_convert_report convert(const char *from, const char *to, ce_precision precision) {
    ce_error error = {0};
    ce_convert_report report;
    expect_ok(try_convert(from, to, precision, &report, &error), &error);
    assert_int_equal(report.stage, CE_CONVERT_DONE);
    assert_int_equal(report.precision, precision);
    return report;
}

static void expect_refused(const char *from, const char *to, ce_precision precision, ce_status want,
                           ce_convert_stage stage, const char *part) {
    ce_error error = {0};
    ce_convert_report report;
    size_t before = files_in(place);
    expect_status(try_convert(from, to, precision, &report, &error), want, &error, part);
    assert_int_equal(report.stage, stage);
    assert_int_equal(files_in(place), before);
}

enum { PAIRS = 4, MOST_LABELS = 8, SCORES = PAIRS * MOST_LABELS };

/* logits [SCORES]: those of the pairs, then zeros. */
static void score(const char *folder, ce_precision precision, float *logits) {
    static const char *const texts[PAIRS][2] = {
        {"word1 word2", "word3 word4 word5"}, {"a", "b"}, {"word9", ""}, {"word1 x", "word2 y word3 z"}};
    ce_error error = {0};
    ce_model *model = NULL;
    ce_pair pairs[PAIRS];
    ce_load_options options = {.size = sizeof options, .device = "cpu", .precision = precision, .threads = 1};
    ce_score_options raw = {.size = sizeof raw, .activation = CE_ACTIVATION_IDENTITY};
    for (size_t i = 0; i < PAIRS; i++) pairs[i] = (ce_pair){ce_text_of(texts[i][0]), ce_text_of(texts[i][1])};
    expect_ok(ce_model_load(folder, &options, &model, &error), &error);
    ce_model_info info = {.size = sizeof info};
    expect_ok(ce_model_describe(model, &info, &error), &error);
    assert_true(info.num_labels <= MOST_LABELS);
    memset(logits, 0, SCORES * sizeof *logits);
    expect_ok(ce_predict(model, pairs, PAIRS, &raw, logits, &error), &error);
    ce_model_free(model);
}

static void expect_near(const char *folder, ce_precision precision, const float *wanted, double bound) {
    float found[SCORES];
    score(folder, precision, found);
    for (size_t i = 0; i < SCORES; i++)
        if (!(fabs((double)found[i] - wanted[i]) <= bound * (1 + fabs((double)wanted[i]))))
            fail_msg("score %zu: %.6g, not %.6g", i, (double)found[i], (double)wanted[i]);
}

static cei_checkpoint *open_result(const char *folder) {
    ce_error error = {0};
    cei_checkpoint *checkpoint = NULL;
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    return checkpoint;
}

static const char *dtype_in(const cei_checkpoint *checkpoint, const char *name) {
    const cei_tensor *tensor = cei_checkpoint_find(checkpoint, name);
    return tensor ? tensor->dtype : "none";
}

static void expect_same_file(const char *one, const char *other) {
    size_t first, second;
    char *a = test_read_file(one, &first), *b = test_read_file(other, &second);
    assert_int_equal(first, second);
    assert_memory_equal(a, b, first);
    free(a);
    free(b);
}

/* ---- forms --------------------------------------------------------------------------------------------------- */

static const char word[] = "bert.embeddings.word_embeddings.weight",
                  type[] = "bert.embeddings.token_type_embeddings.weight", norm[] = "bert.embeddings.LayerNorm.weight",
                  query[] = "bert.encoder.layer.0.attention.self.query.weight", head[] = "classifier.weight";

static void every_form_loads_and_scores(void **state) {
    (void)state;
    static const char *const sources[] = {"F32", "BF16", "I8"};
    enum { FORMS = 4 };
    static const ce_precision forms[FORMS] = {CE_PRECISION_FLOAT32, CE_PRECISION_BFLOAT16, CE_PRECISION_FLOAT16,
                                              CE_PRECISION_INT8};
    static const double bounds[FORMS] = {0, 0.02, 0.003, 0.05};
    for (size_t s = 0; s < 3; s++) {
        float wanted[SCORES];
        shape.dtype = sources[s];
        write_model();
        score(at("model"), CE_PRECISION_FLOAT32, wanted);
        for (size_t f = 0; f < FORMS; f++) {
            char name[32];
            snprintf(name, sizeof name, "%s-%zu", sources[s], f);
            ce_convert_report report = convert(at("model"), at(name), forms[f]);
            assert_int_equal(report.tensors, tiny_model_tensors(&shape));
            assert_int_equal(report.files, 3);
            expect_near(at(name), CE_PRECISION_FLOAT32, wanted, bounds[f]);
            expect_near(at(name), forms[f], wanted, bounds[f] > 0 ? 3 * bounds[f] : 0);
        }
    }
}

static void float32_is_exact(void **state) {
    (void)state;
    ce_convert_report report = convert(at("model"), at("new"), CE_PRECISION_FLOAT32);
    assert_true(report.tensors_rounded == 0 && report.largest_error == 0 && !report.largest_error_tensor[0]);
    assert_int_equal(report.bytes_before, report.bytes_after);
    assert_int_equal(report.bytes_after, 4 * tiny_model_parameters(&shape));
    cei_checkpoint *from = open_result(at("model")), *to = open_result(at("new"));
    assert_int_equal(cei_checkpoint_count(from), cei_checkpoint_count(to));
    for (size_t i = 0; i < cei_checkpoint_count(from); i++) {
        const cei_tensor *a = cei_checkpoint_at(from, i), *b = cei_checkpoint_at(to, i);
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->rank, b->rank);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    cei_checkpoint_close(from);
    cei_checkpoint_close(to);
}

/* Matrices and tables have a dtype of 16 bits, and the rest F32. */
static void expect_matrices(const cei_checkpoint *to, const char *dtype) {
    assert_string_equal(dtype_in(to, word), dtype);
    assert_string_equal(dtype_in(to, type), dtype);
    assert_string_equal(dtype_in(to, "bert.pooler.dense.weight"), dtype);
    assert_string_equal(dtype_in(to, norm), "F32");
    assert_string_equal(dtype_in(to, head), "F32");
}

static void bfloat16_rounds_matrices(void **state) {
    (void)state;
    ce_convert_report report = convert(at("model"), at("new"), CE_PRECISION_BFLOAT16);
    assert_true(report.largest_error > 1e-4 && report.largest_error < 4e-3);
    cei_checkpoint *from = open_result(at("model")), *to = open_result(at("new"));
    expect_matrices(to, "BF16");
    const cei_tensor *a = cei_checkpoint_find(from, query), *b = cei_checkpoint_find(to, query);
    for (size_t i = 0; i < a->count; i++) {
        float value;
        uint32_t bits = 0;
        memcpy(&value, a->data + 4 * i, sizeof value);
        value = cei_round_bfloat16(value);
        memcpy((uint8_t *)&bits + 2, b->data + 2 * i, 2);
        assert_memory_equal(&bits, &value, sizeof bits);
    }
    cei_checkpoint_close(from);
    cei_checkpoint_close(to);
}

/* Every value is rounded to the nearest half: what is written, read, has the bits of that in float16. */
static void float16_rounds_matrices(void **state) {
    (void)state;
    ce_convert_report report = convert(at("model"), at("new"), CE_PRECISION_FLOAT16);
    assert_true(report.largest_error > 1e-5 && report.largest_error < 5e-4);
    cei_checkpoint *from = open_result(at("model")), *to = open_result(at("new"));
    expect_matrices(to, "F16");
    const cei_tensor *a = cei_checkpoint_find(from, query), *b = cei_checkpoint_find(to, query);
    for (size_t i = 0; i < a->count; i++) {
        float value;
        uint16_t half;
        memcpy(&value, a->data + 4 * i, sizeof value);
        memcpy(&half, b->data + 2 * i, sizeof half);
        assert_true(cei_widen_float16(half) == cei_saturate_float16(value));
    }
    cei_checkpoint_close(from);
    cei_checkpoint_close(to);
    float wide[SCORES], narrow[SCORES];
    convert(at("new"), at("wide"), CE_PRECISION_FLOAT32);
    score(at("wide"), CE_PRECISION_FLOAT16, wide);
    score(at("new"), CE_PRECISION_FLOAT16, narrow);
    assert_memory_equal(narrow, wide, sizeof narrow);
    report = convert(at("new"), at("again"), CE_PRECISION_FLOAT16);
    assert_int_equal(report.tensors_rounded, 0);
    expect_same_file(at("new/model.safetensors"), at("again/model.safetensors"));
}

static void int8_takes_what_is_worth_scales(void **state) {
    (void)state;
    ce_convert_report report = convert(at("model"), at("new"), CE_PRECISION_INT8);
    assert_true(report.largest_error > 1e-3 && report.largest_error < 0.02);
    assert_true(report.largest_error_tensor[0] && report.bytes_after < report.bytes_before / 2);
    cei_checkpoint *to = open_result(at("new"));
    assert_string_equal(dtype_in(to, word), "I8");
    assert_string_equal(dtype_in(to, query), "I8");
    assert_string_equal(dtype_in(to, type), "F32");
    assert_string_equal(dtype_in(to, norm), "F32");
    assert_string_equal(dtype_in(to, head), "F32");
    char scale[256];
    snprintf(scale, sizeof scale, "%s.scale", query);
    const cei_tensor *found = cei_checkpoint_find(to, scale);
    assert_true(found && found->rank == 1 && found->shape[0] == shape.hidden);
    cei_checkpoint_close(to);
}

/* Converting what is int8 already gives it back, and so does a way over float32. */
static void int8_stays_as_it_is(void **state) {
    (void)state;
    convert(at("model"), at("one"), CE_PRECISION_INT8);
    ce_convert_report report = convert(at("one"), at("two"), CE_PRECISION_INT8);
    assert_int_equal(report.tensors_rounded, 0);
    expect_same_file(at("one/model.safetensors"), at("two/model.safetensors"));
    convert(at("one"), at("wide"), CE_PRECISION_FLOAT32);
    float wanted[SCORES];
    score(at("one"), CE_PRECISION_FLOAT32, wanted);
    expect_near(at("wide"), CE_PRECISION_FLOAT32, wanted, 0);
}

static void bytes_do_not_depend_on_threads(void **state) {
    (void)state;
    static const char *const names[] = {"t0", "t1", "t2", "t7"};
    for (unsigned i = 0; i < 4; i++) {
        ce_error error = {0};
        ce_convert_options options = {
            .size = sizeof options, .precision = CE_PRECISION_INT8, .threads = (unsigned)(names[i][1] - '0')};
        expect_ok(ce_convert(at("model"), at(names[i]), &options, NULL, &error), &error);
        char path[64];
        snprintf(path, sizeof path, "%s/model.safetensors", names[i]);
        expect_same_file(at("t0/model.safetensors"), at(path));
    }
}

/* Old names, several files, other dtypes: the models of the golden tests. */
static void golden_models(void **state) {
    (void)state;
    static const char *const names[] = {"sharded-old-names", "relu-f16",           "silu-bf16-one-head", "int8",
                                        "long-1024",         "quick-gelu-one-type"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[1024];
        float wanted[SCORES];
        snprintf(from, sizeof from, "%s", test_data("golden/models"));
        snprintf(from + strlen(from), sizeof from - strlen(from), "/%s", names[i]);
        ce_convert_report report = convert(from, at(names[i]), CE_PRECISION_FLOAT32);
        assert_int_equal(report.tensors_rounded, 0);
        score(from, CE_PRECISION_FLOAT32, wanted);
        expect_near(at(names[i]), CE_PRECISION_FLOAT32, wanted, 0);
    }
    cei_checkpoint *to = open_result(at("sharded-old-names"));
    assert_string_equal(dtype_in(to, norm), "F32");
    assert_string_equal(dtype_in(to, "bert.embeddings.LayerNorm.gamma"), "none");
    cei_checkpoint_close(to);
}

/* ---- folders ------------------------------------------------------------------------------------------------- */

static void known_files_are_copied(void **state) {
    (void)state;
    test_write_file(place, "model/README.md", "words", 5);
    test_write_file(place, "model/LICENSE", "", 0);
    test_write_file(place, "model/secret.key", "x", 1);
    assert_int_equal(mkdir(at("model/onnx"), 0700), 0);
    assert_int_equal(rename(at("model/vocab.txt"), at("blob")), 0);
    assert_int_equal(symlink("../blob", at("model/vocab.txt")), 0);
    ce_convert_report report = convert(at("model"), at("new"), CE_PRECISION_FLOAT32);
    assert_int_equal(report.files, 5);
    assert_int_equal(files_in(at("new")), 6);
    expect_same_file(at("model/README.md"), at("new/README.md"));
    expect_same_file(at("blob"), at("new/vocab.txt"));
    expect_same_file(at("model/config.json"), at("new/config.json"));
    struct stat info;
    assert_int_equal(lstat(at("new/vocab.txt"), &info), 0);
    assert_true(S_ISREG(info.st_mode));
}

static void targets_that_are_there(void **state) {
    (void)state;
    ce_error error = {0};
    ce_convert_options options = {.size = sizeof options, .overwrite = true, .precision = CE_PRECISION_INT8};
    convert(at("model"), at("new"), CE_PRECISION_FLOAT32);
    expect_refused(at("model"), at("new"), CE_PRECISION_FLOAT32, CE_ERR_IO, CE_CONVERT_WRITING, "is there already");
    expect_ok(ce_convert(at("model"), at("new"), &options, NULL, &error), &error);
    cei_checkpoint *to = open_result(at("new"));
    assert_string_equal(dtype_in(to, word), "I8");
    cei_checkpoint_close(to);
    assert_int_equal(unlink(at("new/config.json")), 0);
    expect_status(ce_convert(at("model"), at("new"), &options, NULL, &error), CE_ERR_IO, &error, "no model folder");
    assert_int_equal(symlink("model", at("link")), 0);
    for (size_t i = 0; i < 3; i++) {
        const char *same[] = {at("model"), at("model/"), at("link")};
        expect_status(ce_convert(at("model"), same[i], &options, NULL, &error), CE_ERR_ARGUMENT, &error,
                      "is the model that is read");
    }
    assert_int_equal(files_in(at("model")), 4);
    expect_refused(at("model"), at("gone/new"), CE_PRECISION_INT8, CE_ERR_NOT_FOUND, CE_CONVERT_WRITING, "gone");
    expect_refused(at("model"), at("link/.."), CE_PRECISION_INT8, CE_ERR_ARGUMENT, CE_CONVERT_WRITING, "names no");
}

/* After any failure the old folder is what it was. */
static void a_failure_leaves_the_old_one(void **state) {
    (void)state;
    ce_error error = {0};
    ce_convert_options options = {.size = sizeof options, .overwrite = true};
    convert(at("model"), at("new"), CE_PRECISION_INT8);
    convert(at("model"), at("kept"), CE_PRECISION_INT8);
    test_write_file(place, "model/model.safetensors", "x", 1);
    expect_status(ce_convert(at("model"), at("new"), &options, NULL, &error), CE_ERR_FORMAT, &error,
                  "model.safetensors");
    expect_same_file(at("new/model.safetensors"), at("kept/model.safetensors"));
    assert_int_equal(files_in(place), 3);
}

static void no_room(void **state) {
    (void)state;
    struct rlimit old, small;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    for (rlim_t limit = 0; limit <= 4096; limit += 2048) {
        ce_error error = {0};
        ce_convert_report report;
        small.rlim_cur = limit;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        ce_status status = try_convert(at("model"), at("new"), CE_PRECISION_INT8, &report, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        expect_status(status, CE_ERR_IO, &error, "File too large");
        assert_int_equal(report.stage, CE_CONVERT_WRITING);
        assert_int_equal(files_in(place), 1);
    }
    signal(SIGXFSZ, handler);
}

/* ---- other heads --------------------------------------------------------------------------------------------- */

static float score_of(const char *folder) {
    ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1};
    ce_score_options raw = {.size = sizeof raw, .activation = CE_ACTIVATION_IDENTITY};
    const ce_pair pair = {ce_text_of("how many people"), ce_text_of("the city of berlin")};
    ce_model *model = NULL;
    float score = NAN;
    ce_error error = {0};
    expect_ok(ce_model_load(folder, &options, &model, &error), &error);
    expect_ok(ce_predict(model, &pair, 1, &raw, &score, &error), &error);
    ce_model_free(model);
    return score;
}

/* A decoder's classifier stays float32 under its own name, and its words become int8. */
static void a_decoder(void **state) {
    (void)state;
    char *from = strdup(test_data("golden/models/mistral"));
    convert(from, at("new"), CE_PRECISION_INT8);
    cei_checkpoint *checkpoint = open_result(at("new"));
    assert_string_equal(cei_checkpoint_find(checkpoint, "score.weight")->dtype, "F32");
    assert_string_equal(cei_checkpoint_find(checkpoint, "model.embed_tokens.weight")->dtype, "I8");
    cei_checkpoint_close(checkpoint);
    assert_true(fabsf(score_of(at("new")) - score_of(from)) < 0.2f);
    free(from);
}

/* ---- what is refused ----------------------------------------------------------------------------------------- */

static void broken_models(void **state) {
    (void)state;
    expect_refused(at("gone"), at("new"), CE_PRECISION_INT8, CE_ERR_NOT_FOUND, CE_CONVERT_READING, "gone");
    test_write_file(place, "model/vocab.txt", "[PAD]\n", 6);
    expect_refused(at("model"), at("new"), CE_PRECISION_INT8, CE_ERR_FORMAT, CE_CONVERT_READING, "vocab.txt");
    write_model();
    test_write_file(place, "model/config.json", "{", 1);
    expect_refused(at("model"), at("new"), CE_PRECISION_INT8, CE_ERR_FORMAT, CE_CONVERT_READING, "config.json");
    write_model();
    assert_int_equal(mkdir(at("model/README.md"), 0700), 0);
    expect_refused(at("model"), at("new"), CE_PRECISION_INT8, CE_ERR_IO, CE_CONVERT_READING, "README.md");
}

/* Puts bits into value index of a tensor of the model, which is F32. */
static void spoil(const char *tensor, size_t index, uint32_t bits) {
    cei_checkpoint *checkpoint = open_result(at("model"));
    const cei_tensor *found = cei_checkpoint_find(checkpoint, tensor);
    assert_non_null(found);
    size_t size;
    char *data = test_read_file(at("model/model.safetensors"), &size);
    /* The data of all tensors ends where the file does. */
    const uint8_t *end = NULL;
    for (size_t i = 0; i < cei_checkpoint_count(checkpoint); i++) {
        const cei_tensor *other = cei_checkpoint_at(checkpoint, i);
        if (!end || other->data + other->bytes > end) end = other->data + other->bytes;
    }
    memcpy(data + size - (size_t)(end - found->data) + 4 * index, &bits, sizeof bits);
    cei_checkpoint_close(checkpoint);
    test_write_file(place, "model/model.safetensors", data, size);
    free(data);
}

static void weights_that_are_no_numbers(void **state) {
    (void)state;
    static const char *const tensors[] = {word, type, norm, query, head};
    static const uint32_t bad[] = {0x7FC00000, 0xFF800000};
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 2; k++)
            for (ce_precision form = CE_PRECISION_FLOAT32; form <= CE_PRECISION_FLOAT16; form++) {
                write_model();
                spoil(tensors[i], 3, bad[k]);
                expect_refused(at("model"), at("new"), form, CE_ERR_MODEL, CE_CONVERT_READING, tensors[i]);
            }
    write_model();
    spoil(query, 3, 0x7F7FFFFF); /* rounds to infinity in bfloat16 */
    expect_refused(at("model"), at("new"), CE_PRECISION_BFLOAT16, CE_ERR_MODEL, CE_CONVERT_READING, "as BF16");
    write_model();
    spoil(query, 3, 0x477FF000); /* 65,520: the least that is too large for float16 */
    expect_refused(at("model"), at("new"), CE_PRECISION_FLOAT16, CE_ERR_MODEL, CE_CONVERT_READING, "as F16");
}

static void wrong_calls(void **state) {
    (void)state;
    ce_error error = {0};
    ce_convert_options options = {.size = sizeof options};
    ce_convert_report report = {.size = 8};
    expect_status(ce_convert(NULL, at("new"), NULL, NULL, &error), CE_ERR_ARGUMENT, &error, "from is NULL");
    expect_status(ce_convert(at("model"), NULL, NULL, NULL, &error), CE_ERR_ARGUMENT, &error, "to is NULL");
    expect_status(ce_convert(at("model"), at("new"), NULL, &report, &error), CE_ERR_ARGUMENT, &error, "report.size");
    options.size = 4;
    expect_status(ce_convert(at("model"), at("new"), &options, NULL, &error), CE_ERR_ARGUMENT, &error, "options.size");
    options = (ce_convert_options){.size = sizeof options, .precision = (ce_precision)9};
    expect_status(ce_convert(at("model"), at("new"), &options, NULL, &error), CE_ERR_ARGUMENT, &error,
                  "precision is 9");
    options = (ce_convert_options){.size = sizeof options, .threads = 5000};
    expect_status(ce_convert(at("model"), at("new"), &options, NULL, &error), CE_ERR_ARGUMENT, &error, "5000");
    assert_int_equal(files_in(place), 1);
    expect_ok(ce_convert(at("model"), at("new"), NULL, NULL, NULL), &error);
}

typedef struct watcher {
    uint64_t calls, last, total, stop_at;
} watcher;

static bool on_progress(void *user, uint64_t done, uint64_t total) {
    watcher *w = user;
    assert_true(done > w->last && done <= total && (w->total == 0 || w->total == total));
    w->last = done;
    w->total = total;
    return ++w->calls != w->stop_at;
}

static void progress_and_cancelling(void **state) {
    (void)state;
    ce_error error = {0};
    watcher w = {0};
    ce_convert_options options = {.size = sizeof options, .progress = on_progress, .progress_user = &w};
    expect_ok(ce_convert(at("model"), at("new"), &options, NULL, &error), &error);
    assert_true(w.last == w.total && w.total == 4 * tiny_model_parameters(&shape) && w.calls > 10);
    w = (watcher){.stop_at = 5};
    expect_status(ce_convert(at("model"), at("other"), &options, NULL, &error), CE_ERR_CANCELLED, &error, "cancelled");
    assert_int_equal(w.calls, 5);
    assert_int_equal(files_in(place), 2);
}

/* ---- want of memory ------------------------------------------------------------------------------------------ */

/* Allocates nothing but what ce_convert does. */
static ce_status convert_afresh(void *user, ce_error *error) {
    static const char *const names[] = {"model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json"};
    ce_status status = try_convert(at("model"), at("new"), *(const ce_precision *)user, NULL, error);
    assert_int_equal(access(at("new"), F_OK), status == CE_OK ? 0 : -1);
    for (size_t i = 0; i < 4 && status == CE_OK; i++) {
        char path[64];
        snprintf(path, sizeof path, "new/%s", names[i]);
        assert_int_equal(unlink(at(path)), 0);
    }
    if (status == CE_OK) assert_int_equal(rmdir(at("new")), 0);
    return status;
}

static void want_of_memory_leaves_nothing(void **state) {
    (void)state;
    failing_malloc_or_skip();
    for (ce_precision form = CE_PRECISION_BFLOAT16; form <= CE_PRECISION_FLOAT16; form++)
        assert_true(test_some_allocations(convert_afresh, &form, 200) > 100);
    assert_int_equal(files_in(place), 1);
}

/* DeBERTa's first version has queries, keys and values head by head, and no bias of keys: so does the new file. */
static void what_is_held_in_another_order(void **state) {
    (void)state;
    float logits[SCORES], found[SCORES];
    score(test_data("golden/models/deberta"), CE_PRECISION_FLOAT32, logits);
    const ce_convert_report report = convert(test_data("golden/models/deberta"), at("same"), CE_PRECISION_FLOAT32);
    score(at("same"), CE_PRECISION_FLOAT32, found);
    assert_memory_equal(found, logits, sizeof logits);
    cei_checkpoint *checkpoint = open_result(at("same"));
    assert_int_equal(cei_checkpoint_count(checkpoint), report.tensors);
    assert_non_null(cei_checkpoint_find(checkpoint, "deberta.encoder.layer.0.attention.self.q_bias"));
    cei_checkpoint_close(checkpoint);
    convert(test_data("golden/models/deberta"), at("small"), CE_PRECISION_INT8);
    expect_near(at("small"), CE_PRECISION_FLOAT32, logits, 0.8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        case_of(every_form_loads_and_scores),
        case_of(float32_is_exact),
        case_of(bfloat16_rounds_matrices),
        case_of(float16_rounds_matrices),
        case_of(int8_takes_what_is_worth_scales),
        case_of(int8_stays_as_it_is),
        case_of(bytes_do_not_depend_on_threads),
        case_of(golden_models),
        case_of(known_files_are_copied),
        case_of(targets_that_are_there),
        case_of(a_failure_leaves_the_old_one),
        case_of(no_room),
        case_of(broken_models),
        case_of(weights_that_are_no_numbers),
        case_of(a_decoder),
        case_of(wrong_calls),
        case_of(progress_and_cancelling),
        case_of(want_of_memory_leaves_nothing),
        case_of(what_is_held_in_another_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
